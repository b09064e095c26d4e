"""Writes docs/reference.md: every function, layer and optimiser, and whether it is PyTorch's.

The facts about PyTorch stand in docs/differences.toml, and tests/parity/test_signatures.py holds
them against PyTorch itself.

    python tools/reference.py           writes the page
    python tools/reference.py --check   exits with 1 if it is out of date
"""

import inspect
import re
import sys
import tomllib
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path

import tinydeconv as td
from tinydeconv import cuda, nn, optim
from tinydeconv.nn import functional as F

ROOT = Path(__file__).resolve().parent.parent
PAGE, FACTS = ROOT / "docs" / "reference.md", ROOT / "docs" / "differences.toml"

# The parts of the page, and the modules that a part's tables are of, in this order.
PARTS = {
    "Tensors": "ops.*",
    "Gradients, devices, threads and files": """
        engine gradcheck backend cuda kernels.threads serialize
    """,
    "Tensor methods": "tensor",
    "Networks": """
        nn.convolution nn.basic nn.activations nn.losses nn.normalization nn.pooling nn.resampling
        nn.recurrent nn.module nn.init nn.utils nn.*
    """,
    "Optimisers": "optim.*",
}


CLASSES = {"Tensor": td.Tensor, "Module": nn.Module, "Optimizer": optim.Optimizer}  # with methods


def public():
    """{name, as users write it: the function or class}."""
    found = {f"td.{n}": f for n, f in vars(td).items() if callable(f) and n[0] != "_"}
    found |= {f"td.cuda.{n}": getattr(cuda, n) for n in cuda.__all__ if n[0].islower()}
    found |= {f"F.{n}": getattr(F, n) for n in F.__all__}
    found |= {f"nn.{n}": c for n, c in vars(nn).items() if callable(c) and n[0] != "_"}
    for module in (nn.init, nn.utils, optim.lr_scheduler, optim):
        for n, f in vars(module).items():
            at_home = getattr(f, "__module__", "").startswith(module.__name__)
            if n[0] != "_" and at_home and f not in found.values():
                found[f"{module.__name__.removeprefix('tinydeconv.')}.{n}"] = f
    for prefix, cls in CLASSES.items():
        for n, method in vars(cls).items():
            if n[0] != "_" and inspect.isfunction(method):
                found[f"{prefix}.{n}"] = method
    return found


def facts():
    return tomllib.loads(FACTS.read_text(encoding="utf-8"))


def matches(name, patterns):
    return any(fnmatchcase(name, pattern) for pattern in patterns)


# ---------------------------------------------------------------- the facts


def declared(told, name, kinds=("spelled", "differs")):
    """What the facts say of the arguments of a name."""
    found = {}
    for kind in kinds:
        for entry in told[kind]:
            if matches(name, entry["names"]):
                for key in ("without", "adds", "keyword", "order"):
                    found[key] = found.get(key, []) + entry.get(key, [])
                found["defaults"] = found.get("defaults", {}) | entry.get("defaults", {})
    return {key: value for key, value in found.items() if value}


WORDS = {
    "without": "without {}",
    "adds": "also takes {}",
    "keyword": "{} by keyword only",
    "order": "in the order {}",
}


def compared(told, name):
    """The cell of the column "PyTorch"."""
    if name in told["ours"]["names"]:
        return "ours"
    found, sentences = declared(told, name, ["differs"]), []
    for key, words in WORDS.items():
        if key in found:
            sentences.append(words.format(", ".join(f"`{n}`" for n in found[key])))
    for n, default in found.get("defaults", {}).items():
        sentences.append(f"`{n}` must be given" if default == "needed" else f"`{n}={default}`")
    for entry in told["differs"]:
        if matches(name, entry["names"]) and "note" in entry:
            sentences.append(entry["note"])
    return f"differs: {'; '.join(sentences)}" if sentences else "same"


# ---------------------------------------------------------------- the page


def arguments(function, method=False):
    """(arguments), as the student writes them: without self, and what is private."""
    told = inspect.signature(function)
    shown = [p.replace(annotation=p.empty) for p in told.parameters.values() if p.name[0] != "_"]
    shown = shown[method:]
    text = str(told.replace(parameters=shown, return_annotation=told.empty))
    text = re.sub(r"<(?:function|module) '?(\w+)'?[^>]*>", r"\1", text)
    return re.sub(r"PosixPath\('.*/(.*)'\)", r"'\1'", text)  # not where it lies on this machine


def signature(name, function):
    """name(arguments), as the student calls it."""
    text = name + arguments(function, name.split(".")[0] in CLASSES)
    return f"`{text}`".replace("|", "\\|")


def sentence(function):
    """The first sentence of a docstring; a name without one says all."""
    text = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return plain(re.split(r"(?<=[.;])(?<!et al\.)(?<!eq\.) ", text)[0].rstrip(".:;"))


def plain(text):
    """Text whose stars, bars and so on mean nothing in Markdown, but for what stands in `code`."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*_<|\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def family(name, function):
    """The module whose table a name stands in."""
    prefix, _, short = name.rpartition(".")
    if prefix in CLASSES:
        return {"Tensor": "tensor", "Module": "nn.module", "Optimizer": "optim.optimizers"}[prefix]
    if prefix == "F":  # the first page that has it, whoever defined it
        for page in PARTS["Networks"].split():
            if "*" not in page and hasattr(import_module(f"tinydeconv.{page}"), short):
                return page
    home = function.__module__.removeprefix("tinydeconv.")
    return "nn.utils" if home == "nn.utils.parametrizations" else home


def table(told, rows):
    lines = ["| | what it does | PyTorch |", "|---|---|---|"]
    for name, function in rows:
        cells = signature(name, function), sentence(function), compared(told, name)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def page():
    told, names = facts(), public()
    families = {}
    for name, function in names.items():
        families.setdefault(family(name, function), []).append((name, function))
    lines = HEAD.splitlines()
    for part, patterns in PARTS.items():
        lines += ["", f"## {part}"]
        order = [m for pattern in patterns.split() for m in families if fnmatchcase(m, pattern)]
        for module in dict.fromkeys(order):
            doc = inspect.getdoc(import_module(f"tinydeconv.{module}"))
            about = " ".join(doc.split("\n\n")[0].split())
            title = re.split(r"[:.] |[:.]$", about)[0]
            lines += ["", f"### {title}", "", f"`{module.replace('.', '/')}`: {plain(about)}", ""]
            lines += table(told, families.pop(module))
    assert not families, f"no part of the page has {', '.join(families)}"
    lines += ["", "## Left out", "", "Arguments that PyTorch has and nothing here takes:", ""]
    lines += ["| argument | of | why |", "|---|---|---|"]
    for entry in told["left_out"]:
        arguments = ", ".join(f"`{a}`" for a in entry["arguments"])
        of = ", ".join("all" if n == "*" else f"`{n}`" for n in entry["of"])
        lines.append(f"| {arguments} | {of} | {entry['why']} |")
    lines += ["", "Names that one might look for:", "", "| | names | instead |", "|---|---|---|"]
    for entry in told["absent"]:
        names = ", ".join(f"`{n}`" for n in entry["names"])
        lines.append(f"| {entry['what']} | {names} | {entry['instead']} |")
    return "\n".join(lines) + "\n"


HEAD = """\
<!-- Written by tools/reference.py: do not edit. -->

# Reference

`td` is `tinydeconv`, `nn` and `optim` are its modules, `F` is `tinydeconv.nn.functional`; `Tensor`,
`Module` and `Optimizer` stand for one of their kind.

The last column compares with PyTorch 2.13; a test holds it against PyTorch itself. *same*: the same
arguments, in the same order, with the same defaults, apart from what is [left out](#left-out)
everywhere. Operands (`x`, or `a` and `b`) go by position, whatever PyTorch calls them.

Tensors also have Python's operators, NumPy's indexing (with negative steps too), and the attributes
`shape` (a tuple), `dtype` (NumPy's), `device`, `ndim`, `requires_grad`, `grad`, `grad_fn`,
`is_leaf`, `data` (the array itself), `T` and `mT`.

With `td.backends.cuda.allow_tf32 = True` a GPU may round the float32 numbers that it multiplies in
matrices to TF32. What does not fit into its memory raises `td.cuda.OutOfMemoryError`."""


if __name__ == "__main__":
    if "--check" not in sys.argv:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit(f"{PAGE} is out of date: run python tools/reference.py")
