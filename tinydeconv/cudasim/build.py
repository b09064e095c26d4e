"""From CUDA C to machine code: the compiler, what is rewritten for it, and the cache on disk."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path

from .errors import CompileException, CudaError

COMMON = "-std=c++17 -g1 -gdwarf-4 -w -fPIC -fvisibility=hidden -fno-exceptions"
# No optimisation that merges accesses or takes a slip for what cannot be, none that fuses a product
# and a sum, and no headers.
FLAGS = f"{COMMON} -ffp-contract=off -nostdinc -fno-finite-loops -fno-delete-null-pointer-checks"
FLAGS += " -O1 -fstack-clash-protection -D__CUDACC__ -D__CUDACC_RTC__ -D__CUDA_ARCH__=800"
# Some systems define _FORTIFY_SOURCE, which takes a jump to another fiber's stack for an attack.
RUNTIME = f"{COMMON} -O2 -U_FORTIFY_SOURCE"
# For the source, the runtime and the linker: a library whose accesses runtime.cpp sees, and a
# program whose accesses AddressSanitizer sees.
LIBRARY = "-fsanitize=thread,bounds", "", "-shared -Wl,-Bsymbolic,-z,now,-z,defs -lm"
PROGRAM = "-fsanitize=address,bounds -DMEMCHECK", "-DMEMCHECK", "-fsanitize=address -rdynamic -ldl"

WITHIN = r"[^()]*(?:\((?:[^()]|\([^()]*\))*\)[^()]*)*"  # parentheses
BOUNDS, ALIGN = (rf"(?:__{word}__\s*\({WITHIN}\)\s*)?" for word in ("launch_bounds", "align"))
KERNEL = rf'(extern\s*"C"\s*)?__global__\s+{BOUNDS}void\s+{BOUNDS}(\w+)\s*\(({WITHIN})\)\s*[{{;]'
DYNAMIC = r"(?:extern\s+([\w\s]*?)__shared__|__shared__\s+extern)\s+"
DYNAMIC += rf"{ALIGN}([^;\[]*?)(\w+)\s*\[\s*\]((?:\s*\[[^]]*\])*)\s*;"
INITIAL = r"(__shared__(?:\[[^]]*\]|[^];={}[])*)=[^;]*;"
REFUSED = r'\1; static_assert(false, "__shared__ has no initial values: let a thread write them");'


@cache
def find_compiler():
    """The C++ compiler and its version: $CXX, or the first of g++, c++ and clang++ there is.

    CudaError without one, and on a system that cudasim does not run on.
    """
    if not sys.platform.startswith("linux"):
        raise CudaError("cudasim runs on Linux alone; on Windows, run Python within WSL")
    for name in filter(None, (os.environ.get("CXX"), "g++", "c++", "clang++")):
        if path := shutil.which(name):
            return path, _run([path, "--version"]).stdout
    raise CudaError(
        "cudasim needs a C++ compiler and found none: install one (Debian, Ubuntu and WSL: "
        "`sudo apt install g++`) or name it in the environment variable CXX"
    )


def compiler():
    """The path of the C++ compiler that kernels are compiled with; None where cudasim finds none,
    or does not run on the system.
    """
    with suppress(CudaError):
        return find_compiler()[0]


def cache_folder():
    """Where compiled kernels are kept; a temporary folder where that cannot be written."""
    user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("TINYDECONV_CACHE") or Path(user, "tinydeconv"), "cudasim")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        folder = Path(tempfile.gettempdir(), f"tinydeconv-cudasim-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


class Source:
    """CUDA C with its options; knows the text of each line, whatever #line calls it."""

    def __init__(self, code, options):
        self.code, self.lines, file = f'#line 1 "kernel.cu"\n{code}\n', {}, ""
        for text in self.code.splitlines():
            if marker := re.match(r'\s*#\s*line\s+(\d+)(?:\s+"([^"]*)")?', text):
                number, file = int(marker[1]), Path(marker[2] or file).name
            else:
                self.lines[file, number] = text.strip()
                number += 1
        self.options = [o for o in options if o.startswith(("-D", "-U"))]

    def line(self, file, number):
        """A line as file:number: text. What was written around the source is its end."""
        text = self.lines.get((Path(file).name, int(number)))
        return "the end of the source" if text is None else f"{Path(file).name}:{number}: {text}"


def build(source, memcheck):
    """The path of the library (for memcheck: of the program), and what is known of it.

    CompileException with the compiler's words.
    """
    (cxx, version), (own, runtime_own, link) = find_compiler(), PROGRAM if memcheck else LIBRARY
    # of a struct behind a pointer, g++ takes a last array to go on for as long as one likes
    own = own if "clang" in version else own.replace("bounds", "bounds-strict")
    texts = [files(__package__).joinpath(f).read_text("utf-8") for f in ("cuda.h", "runtime.cpp")]
    key, folder = _key(*texts, cxx, version, FLAGS, RUNTIME, own, link), cache_folder()
    runtime, built = folder / f"{key}.o", folder / _key(key, source.code, *source.options)
    facts = built.with_suffix(".json")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = Path(work)
        if not runtime.exists():
            command = [cxx, *f"{RUNTIME} {runtime_own} -c -xc++ - -o".split(), work / "runtime"]
            _check(source, _run(command, texts[1]))
            os.replace(work / "runtime", runtime)
        if not facts.exists():
            (work / "cuda.h").write_text(texts[0], encoding="utf-8")
            text, known = _expand(source, [cxx, *source.options, *FLAGS.split()])
            command = [cxx, *FLAGS.split(), *own.split(), "-c", "-xc++", "-"]
            command += ["-include", work / "cuda.h", "-o", work / "kernels"]
            _check(source, _run(command, text))
            command = [cxx, work / "kernels", runtime, *link.split(), "-o", work / "built"]
            _check(source, _run(command))
            known |= _variables(work / "built")
            (work / "facts").write_text(json.dumps(known), encoding="utf-8")
            os.replace(work / "built", built)
            os.replace(work / "facts", facts)
    return built, json.loads(facts.read_text(encoding="utf-8"))


def _expand(source, compile):
    """The source without macros and comments, rewritten for the C++ compiler, and its kernels.

    extern __shared__ arrays become pointers, and each kernel gets a function to call it by.
    """
    ran = _run([*compile, "-E", "-xc++", "-"], source.code)
    _check(source, ran)
    found = re.findall(KERNEL, ran.stdout)
    c_names = re.search(r'extern\s*"C"\s*{', ran.stdout)
    kernels, named = {}, {name for c_name, name, _ in found if c_name or c_names}
    for _, name, takes in found:
        if name in named:
            kernels[name] = [" ".join(p.split()) for p in takes.split(",") if p.strip("\n void")]
    text = re.sub(DYNAMIC, r"\1 \2 (*const \3)\4 = (\1 \2 (*)\4)cudasim_dynamic;", ran.stdout)
    text = re.sub(INITIAL, REFUSED, text)
    text += '\n# 1 "cudasim"\n' + "".join(f"CUDASIM_KERNEL({name})\n" for name in kernels)
    return text, {
        "kernels": kernels,
        "hidden": [name for _, name, _ in found if name not in kernels],
        "dynamic": [name for *_, name, _ in re.findall(DYNAMIC, ran.stdout)],
    }


def _variables(built):
    """[address, bytes, name] of the variables in shared memory, and of the module's others."""
    known: dict[str, list] = {"TLS": [], "OBJECT": []}
    for line in _run(["nm", "-C", "-f", "sysv", built]).stdout.splitlines():
        name, address, _, kind, size, *_ = [*map(str.strip, line.split("|")), *[""] * 5]
        if size and kind in known and name != "cudasim_dynamic":
            known[kind].append([int(address, 16), int(size, 16), name.split("::")[-1]])
    return {"shared": known["TLS"], "device": known["OBJECT"]}


def _key(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


def _run(command, text=None):
    command, words = [str(part) for part in command], {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, input=text, env=words, capture_output=True, encoding="utf-8")


def _check(source, ran):
    if ran.returncode == 0:
        return
    found = []
    for line in ran.stderr.splitlines():
        if error := re.match(r"(.+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)", line):
            words = re.sub("call to .* declared with .*attribute.*?: ", "", error[3])
            if re.search("No such file|include path|file not found", words):
                words += " (nor does NVRTC, CuPy's compiler, have such headers)"
            found.append(f"{source.line(error[1], error[2])}\n    error: {words}")
    raise CompileException("\n".join(found[:10]) or ran.stderr.strip())


def source_line(source, built, address):
    """The source line of a return address within what was built, on a line of its own, or ""."""
    for place in _run(["addr2line", "-i", "-e", built, hex(address - 1)]).stdout.splitlines():
        file, _, number = place.split(" ")[0].rpartition(":")  # innermost inlined function first
        if number.isdigit() and (Path(file).name, int(number)) in source.lines:
            return f"\n    {source.line(file, number)}"
    return ""
