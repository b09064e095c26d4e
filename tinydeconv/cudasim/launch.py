"""RawModule and RawKernel: arguments checked and laid out, launched, and the result compared."""

import ctypes
import os
import subprocess
import sys
import tempfile
import threading
from ctypes import addressof, c_char, c_int32, c_int64, c_uint32, c_uint64, c_void_p
from math import prod
from pathlib import Path

import numpy as np

from .build import Source, build
from .errors import ArgumentError, CudaError
from .report import explain, raise_if_orders_differ

LARGEST = {"grid": (2**31 - 1, 65535, 65535), "block": (1024, 1024, 64)}
MAX_THREADS = 1024  # of a block
SHARED_BYTES = 48 * 1024  # of a block
ACCESSES = 2 * 10**9  # of one order of a launch; more count as endless
SECONDS = 300  # that a launch may take
STACKS = c_uint64()  # of the threads, for all modules: where runtime.cpp has put them
ORDERS = 3


def _struct(*fields):
    """A struct of runtime.cpp: (type, "names of such fields")."""
    each = [(field, kind) for kind, names in fields for field in names.split()]
    return type("Struct", (ctypes.Structure,), {"_fields_": each})


BY_ORDER, SIZES = c_uint64 * ORDERS, c_uint32 * 3
TEXT, BY_THREAD = c_char * 256, c_int32 * MAX_THREADS
Array = _struct((c_uint64, "host size readonly"), (BY_ORDER, "results"), (c_uint64, "device"))
Argument = _struct((c_int64, "array"), (c_uint64, "offset value"))
Variable = _struct((c_uint64, "offset size"))
Fault = _struct(
    *[(c_int64, "kind place array offset size"), (SIZES, "block thread other_block other_thread")],
    *[(c_int64, "write other_write atomic other_atomic"), (c_uint64, "pc other_pc")],
    *[(c_int64, "line index signal"), (TEXT, "file text")],
)
Launch = _struct(
    *[(c_uint64, "kernel"), (SIZES, "grid block"), (c_uint64, "shared limit seed orders")],
    *[(c_uint64, "seconds stacks"), (c_int64, "n_arrays n_arguments n_variables")],
    *[(c_uint64, "arrays arguments variables"), (Fault, "fault")],
    *[(c_int64, "float_atomics globals_differ"), (c_uint64, "shared_used"), (BY_THREAD, "waits")],
    *[(c_uint64, "printed n_printed")],
)
# What the compiler says of a parameter (cuda.h); kinds are NumPy's letters, p a pointer, v void.
Parameter = _struct((c_int32, "kind size pointee_kind pointee_size pointee_const"))

_one_at_a_time = threading.Lock()  # the threads of a launch share the module's variables


class RawModule:
    """CUDA C source, compiled; called like cupy.RawModule.

    `options` are the compiler's, as ("-Dreal=float",); of NVRTC's, -D and -U have a meaning here,
    and the language is C++17. `seed` draws the third order of the threads. With `memcheck=True`
    launches run in a process of their own under AddressSanitizer, which sees more accesses outside
    arrays, but no races.

    CompileException, with file, line and the compiler's words, for a source that does not compile.
    """

    def __init__(self, code, options=(), *, memcheck=False, seed=0):
        self.source, self.memcheck, self.seed = Source(code, options), memcheck, seed
        path, self.facts = build(self.source, False)
        self.library = ctypes.CDLL(str(path))
        self.built = build(self.source, True)[0] if memcheck else path

    def get_function(self, name):
        """The kernel of that name. CudaError, which lists the kernels, where there is none."""
        if name in self.facts["kernels"]:
            return Kernel(self, name)
        if name in self.facts["hidden"]:
            raise CudaError(f'kernel {name} cannot be found by name: write extern "C" before it')
        known = ", ".join(self.facts["kernels"]) or "none"
        raise CudaError(f"the source has no kernel {name!r}; its kernels: {known}")


def RawKernel(code, name, options=(), *, memcheck=False, seed=0):
    """A kernel of a source; called like cupy.RawKernel. Arguments as for RawModule."""
    return RawModule(code, options, memcheck=memcheck, seed=seed).get_function(name)


class Kernel:
    """A kernel of a module, to be launched as kernel(grid, block, args)."""

    def __init__(self, module, name):
        self.module, self.name = module, name
        self.declarations = takes = module.facts["kernels"][name]
        self.names = [d.split("[")[0].replace("*", " ").split()[-1].strip("()") for d in takes]
        describe = module.library[f"cudasim_parameters_{name}"]
        describe.restype = ctypes.POINTER(Parameter)
        self.parameters = [p for p, _ in zip(describe(), takes)]
        self.function = ctypes.cast(module.library[f"cudasim_call_{name}"], c_void_p).value

    def __call__(self, grid, block, args, *, shared_mem=0):
        """Runs the kernel for all threads and waits for them.

        grid, block: up to three sizes each. args: arrays in C order for pointers, NumPy scalars for
        numbers, arrays of one element for structs. shared_mem: bytes of dynamic shared memory.

        ArgumentError before the launch; RaceError, BarrierError, OutOfBoundsError or CudaError for
        what happens in it, and then all arrays are as they were before.
        """
        grid, block = self._sizes("grid", grid), self._sizes("block", block)
        if prod(block) > MAX_THREADS:
            raise ArgumentError(f"{self.name}: a block has {MAX_THREADS} threads at most: {block}")
        self._check_shared(0, shared_mem)
        if len(args) != len(self.parameters):
            takes = f"{self.name}({', '.join(self.declarations)})"
            raise ArgumentError(f"{len(args)} arguments for {len(self.parameters)}: {takes}")
        for declaration, parameter, value in zip(self.declarations, self.parameters, args):
            if complaint := _complaint(parameter, value):
                raise ArgumentError(f"{self.name}, parameter `{declaration}`: {complaint}")
        with _one_at_a_time:
            self._launch(grid, block, args, shared_mem)

    def _sizes(self, what, given):
        most = LARGEST[what]
        if isinstance(given, tuple | list) and 1 <= len(given) <= 3:
            sizes = (*given, 1, 1)[:3]
            if all(isinstance(n, int | np.integer) and 1 <= n <= m for n, m in zip(sizes, most)):
                return tuple(map(int, sizes))
        expected = f"a tuple of up to three sizes, each at least 1 and at most {most}"
        raise ArgumentError(f"{self.name}: {what} is {expected}, got {given}")

    def _check_shared(self, static, dynamic):
        if dynamic < 0 or static + dynamic > SHARED_BYTES:
            wants = f"{static} bytes in variables and shared_mem={dynamic}"
            most = f"a block has at most {SHARED_BYTES} bytes of shared memory"
            raise ArgumentError(f"{self.name}: {most}, and this launch wants {wants}")

    def _launch(self, grid, block, args, shared_mem):
        pointers = [i for i, p in enumerate(self.parameters) if chr(p.kind) == "p"]
        written = [not self.parameters[i].pointee_const for i in pointers]
        pieces, places = _pieces([args[i] for i in pointers], written)
        arrays, results = (Array * len(pieces))(), []
        for array, (host, size, to_write) in zip(arrays, pieces):
            results.append([np.empty(size, np.uint8) for _ in range(ORDERS * to_write)])
            array.host, array.size, array.readonly = host, size, not to_write
            array.results[: len(results[-1])] = [r.ctypes.data for r in results[-1]]
        values = [np.array(a) for a in args]
        arguments = (Argument * len(args))(*[(-1, v.nbytes, v.ctypes.data) for v in values])
        inside: list[list] = [[] for _ in pieces]  # name, array, offset of the arguments in each
        for i, (piece, offset) in zip(pointers, places):
            arguments[i] = piece, offset
            inside[piece].append((self.names[i], args[i], offset))
        shared = self.module.facts["shared"]
        variables = (Variable * len(shared))(*[(at, size) for at, size, _ in shared])
        orders = ORDERS if prod(grid) * prod(block) > 1 and not self.module.memcheck else 1
        how = shared_mem, ACCESSES, self.module.seed, orders, SECONDS, addressof(STACKS)
        parts = arrays, arguments, variables
        launch = Launch(self.function, grid, block, *how, *map(len, parts), *map(addressof, parts))
        if self.module.memcheck:
            printed = self._run_apart(launch, arrays, arguments, values, results)
        elif self.module.library.cudasim_launch(ctypes.byref(launch)):
            raise CudaError(f"{self.name}: too little memory for arrays and notes on each access")
        else:
            printed = ctypes.string_at(launch.printed or b"", launch.n_printed)
        sys.stdout.write(printed.decode("utf-8", "replace"))
        if launch.fault.kind:
            raise explain(self, launch, arrays, inside)
        self._check_shared(launch.shared_used, shared_mem)
        if launch.orders > 1:
            raise_if_orders_differ(self, launch, inside, results)
        for (host, size, _), result in zip(pieces, results):
            if result and size:
                ctypes.memmove(host, result[0].ctypes.data, size)

    def _run_apart(self, launch, arrays, arguments, values, results):
        """Runs the launch in a process of its own. What it printed; the rest goes to its places."""
        data = [*map(bytes, (launch, arrays, arguments))]
        data += [ctypes.string_at(a.host, a.size) for a in arrays]
        data += [value.tobytes() for value, a in zip(values, arguments) if a.array < 0]
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:redzone=2048"}
        with tempfile.TemporaryDirectory() as folder:
            asked, answer = Path(folder, "launch"), Path(folder, "answer")
            asked.write_bytes(b"".join(data))
            command = [self.module.built, self.name, asked, answer]
            try:
                ran = subprocess.run(command, capture_output=True, env=environment, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                late = f"{self.name} still runs after {SECONDS} seconds: does a loop never end?"
                raise CudaError(late) from None
            if ran.returncode:
                end = f"ended with {ran.returncode}: {ran.stderr.decode('utf-8', 'replace')[-500:]}"
                raise CudaError(f"{self.name}: the memory check {end}")
            reply = answer.read_bytes()
        at = 0
        for place in (launch, arrays, *(r[0] for r in results if r)):
            part = memoryview(place).cast("B")
            part[:] = reply[at : at + part.nbytes]
            at += part.nbytes
        return reply[at:]


def _pieces(arrays, written):
    """Arrays that overlap share a piece of memory: [(address, bytes, whether written)] of the
    pieces, and (piece, offset) of each array.
    """
    pieces: list[tuple[int, int, bool]] = []
    places = [(0, 0)] * len(arrays)
    for i in sorted(range(len(arrays)), key=lambda i: arrays[i].ctypes.data):
        begin, size = arrays[i].ctypes.data, arrays[i].nbytes
        if pieces and begin < sum(pieces[-1][:2]):
            start, length, before = pieces[-1]
            pieces[-1] = start, max(length, begin + size - start), before or written[i]
        else:
            pieces.append((begin, size, written[i]))
        places[i] = len(pieces) - 1, begin - pieces[-1][0]
    return pieces, places


def _misfit(dtype, kind, size):
    """What a dtype should have been for the C type of that kind and size, or "" where it fits.
    Complex numbers are structs.
    """
    same = dtype.kind == kind or (kind == "s" and dtype.kind in "Vc")
    if kind == "v" or (same and dtype.itemsize == size and dtype.isnative):
        return ""
    names = {"f": f"np.float{8 * size}", "i": f"np.int{8 * size}", "u": f"np.uint{8 * size}"}
    return {**names, "b": "np.bool_"}.get(kind, f"a struct of {size} bytes")


def _complaint(parameter, value):
    """Why a value does not fit its parameter, or ""."""
    given = np.asarray(value)
    if chr(parameter.kind) == "p":
        if not isinstance(value, np.ndarray):
            return f"expected an array, got {value!r} of type {type(value).__name__}"
        if expected := _misfit(value.dtype, chr(parameter.pointee_kind), parameter.pointee_size):
            return f"expected an array of {expected}, got one of {value.dtype}"
        if not value.flags.c_contiguous:
            shape = f"an array of shape {value.shape}"
            return f"{shape} not in C order; give np.ascontiguousarray of it"
        if not (value.flags.writeable or parameter.pointee_const):
            return "the array is read-only; declare the pointer const or give a copy"
    elif given.size != 1:
        return f"expected a value, got an array of shape {given.shape}"
    elif expected := _misfit(given.dtype, chr(parameter.kind), parameter.size):
        if type(value) in (bool, int, float, complex):
            python = f"CuPy passes a Python {type(value).__name__} as {given.dtype}"
            return f"{python}; give {expected}({value})"
        return f"expected {expected}, got {given.dtype} of {given.itemsize} bytes"
    return ""
