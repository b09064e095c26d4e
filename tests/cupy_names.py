"""Record CuPy's public names and parameters, which strict_cupy.py goes by.

With CuPy installed, no GPU needed: python tests/cupy_names.py > tests/cupy_names.txt
"""

import inspect
import re

import cupy
from cupy.random import Generator  # lazy: dir(cupy.random) has it only now

OWNERS = {
    "cupy": cupy,
    "cupy.ndarray": cupy.ndarray,
    "cupy.lib": cupy.lib,
    "cupy.lib.stride_tricks": cupy.lib.stride_tricks,
    "cupy.linalg": cupy.linalg,
    "cupy.random": cupy.random,
    "cupy.random.Generator": Generator,
    "cupy.cuda": cupy.cuda,
}
PLAIN = (bool, int, float, str, tuple)
BY_HAND = {  # from their sources: both take **kwargs
    "einsum": "subscripts, *operands, dtype=None, optimize=False",
    "pad": "array, pad_width, mode='constant', *, constant_values=0, end_values=0, "
    "stat_length=None, reflect_type='even'",
}


def parameters(name, value):
    """ "(a, axis=None)": the parameters of a function; "" of what is none, or does not tell."""
    if not callable(value) or isinstance(value, type):
        return ""
    if name in BY_HAND:
        return f"({BY_HAND[name]})"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # Cython's functions and ufuncs tell theirs in the docstring
        text = re.search(r"\((.*)\)|$", (value.__doc__ or "").partition("\n")[0]).group(1)
        if text is None or "..." in text:
            return ""
        if "[" in text:  # a ufunc of several outputs
            text = "*args, out=None, casting='same_kind', dtype=None"
        text = re.sub(r"\b\w+ (?=\w)", "", text)  # C types
        text = re.sub(r"=numpy\.\w+", "=None", text).replace("\\*", "*")
        signature = inspect.signature(eval(f"lambda {text}: None"))
    kept = [
        p.replace(annotation=p.empty, default=plain(p.default))
        for p in signature.parameters.values()
        if p.name != "self"
    ]
    return str(inspect.Signature(kept))


def plain(default):
    """A default that reads as Python: what has no such form becomes None."""
    if default is inspect.Parameter.empty or type(default) in PLAIN:
        return default
    return None


def public(owner):
    """The public names of a module or class, less what it merely imported."""
    for name in sorted(dir(owner)):
        module = getattr(owner, name) if inspect.ismodule(getattr(owner, name)) else None
        foreign = module and not module.__name__.startswith("cupy")
        if not (name.startswith("_") or foreign or name == "annotations"):
            yield name


print(f"# The public names of CuPy {cupy.__version__}, with parameters where it tells them")
for title, owner in OWNERS.items():
    print(f"\n[{title}]")
    for name in public(owner):
        print(name + parameters(name, getattr(owner, name)))
