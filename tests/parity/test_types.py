"""The types in the stubs are true of every call that the other tests of this folder compare."""

import ast
import collections.abc
import functools
import inspect
import sys
import types
import typing
from importlib import import_module
from pathlib import Path

import cases  # noqa: F401 -- fills the tables
import numpy as np
import test_ops_parity as lines
from both import tensor
from registry import CASES, LAYERS

import tinydeconv as td

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import stubs  # noqa: E402

# What a case passes for None to be a value of its own, or as a number of any kind.
LOOSE = {"inplace=None", "sparse=None", "target='cpu'"}


class _DType:
    """Stands for what np.dtype takes."""


TEXTS = stubs.stubs()
MODULES = [import_module(f"tinydeconv.{face}".rstrip(".")) for face in stubs.FACES]
WORDS = vars(typing) | vars(collections.abc) | {n: c for m in MODULES for n, c in vars(m).items()}
WORDS |= vars(__builtins__) if inspect.ismodule(__builtins__) else __builtins__
WORDS |= {
    "np": np,
    "npt": types.SimpleNamespace(DTypeLike=_DType),
    "_Array": np.ndarray,
    "_Operand": td.Tensor | float | np.generic | np.ndarray,
    "_ValuesAndIndices": tuple,
    "_F": typing.Any,
    "_Switch": type(td.no_grad()),
    **{f"_{name}": WORDS[name] for name in ("bool", "device", "float", "int")},
}


def fits(value, kind):
    """Whether a value is of an annotated type."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if kind in (typing.Any, typing.Self) or isinstance(kind, typing.TypeVar):
        return True
    if kind is None:
        return value is None
    if origin is typing.Literal:
        return any(value is part or (value == part and value != 0) for part in parts)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if kind is _DType:
        return value in np.sctypeDict or isinstance(value, type | np.dtype)
    if origin is tuple and parts[-1] is not ...:
        same = isinstance(value, tuple) and len(value) == len(parts)
        return same and all(map(fits, value, parts))
    if origin in (tuple, list, collections.abc.Sequence):
        return isinstance(value, origin) and all(fits(part, parts[0]) for part in value)
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, origin or kind)


def promised(definition):
    """({parameter: type}, the result's type) of a function in a stub."""
    a = definition.args
    told = {p.arg: p.annotation for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.annotation}
    if a.vararg:
        told[f"*{a.vararg.arg}"] = a.vararg.annotation
    values = {name: eval(ast.unparse(kind), WORDS) for name, kind in told.items()}
    return values, eval(ast.unparse(definition.returns), WORDS)


def watched(function, name, overloads, complaints):
    """The function, writing down what passes through it and fits none of the overloads."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args, **options):
        result = function(*args, **options)
        bound, found = signature.bind(*args, **options), []
        for kinds, returns in overloads:
            misfits = [
                f"{name}({n}={value!r})"
                for n, given in bound.arguments.items()
                for key, values in ((n, [given]), (f"*{n}", given))
                if key in kinds
                for value in values
                if not fits(value, kinds[key])
            ]
            if not misfits and not fits(result, returns):
                misfits.append(f"{name}() -> {type(result).__name__}, not {returns}")
            found.append(misfits)
        if result is not NotImplemented:
            complaints.update(min(found, key=len))
        return result

    return call


def watch(monkeypatch, complaints):
    """Watches every function and every method that a stub has."""
    for module in MODULES:
        tree = ast.parse(TEXTS[Path(module.__file__).with_suffix(".pyi")])
        for owner in [tree, *(s for s in tree.body if isinstance(s, ast.ClassDef))]:
            home = module if owner is tree else vars(module).get(owner.name)
            signatures = {}
            for f in owner.body:
                plain = isinstance(f, ast.FunctionDef) and not (
                    {ast.unparse(d) for d in f.decorator_list} - {"overload"}
                )
                if plain and inspect.isfunction(getattr(home, f.name, None)):
                    signatures.setdefault(f.name, []).append(promised(f))
            for name, overloads in signatures.items():
                function = getattr(home, name)
                call = watched(function, f"{home.__name__}.{name}", overloads, complaints)
                for place in MODULES if owner is tree else [home]:
                    if owner is not tree or vars(place).get(name) is function:
                        monkeypatch.setattr(place, name, call)


def tensors(x):
    return tuple(map(tensors, x)) if isinstance(x, tuple) else tensor(td, x)


def run():
    """Every case of a function and of a layer, and every line, once."""
    for name, calls in CASES.items():
        for case in calls:
            getattr(td.nn.functional, name)(*(tensor(td, x) for x in case.args), **case.options)
    for name, calls in LAYERS.items():
        for call, inputs in calls:
            options = inputs[-1] if isinstance(inputs[-1], dict) else {}
            layer = call.of(getattr(td.nn, name)).double()
            layer(*(tensors(x) for x in inputs if x is not options), **options)
    known = {n: tensor(td, x) for n, x in lines.INPUTS.items()}
    for line in lines.FUNCTIONS + lines.METHODS + lines.OPERATIONS:
        eval(line.partition(" <> ")[0], vars(lines) | known | {"m": td})


def test_the_types_hold(monkeypatch):
    complaints = set()
    watch(monkeypatch, complaints)
    run()
    assert [c for c in sorted(complaints) if not any(loose in c for loose in LOOSE)] == []


def test_a_wrong_type_is_seen(monkeypatch):
    complaints = set()
    watch(monkeypatch, complaints)
    x = td.ones(2, 3)
    assert x.sum(1).shape == (2,) and td.nn.Linear(3, 2)(x).shape == (2, 2) and not complaints
    td.nn.functional.elu(x, alpha=np.float32(2)), x.sum(np.int64(1)), td.nn.Linear(3, np.int64(2))
    assert [c.split("(")[0] for c in sorted(complaints)] == [
        "Linear.__init__", "Tensor.sum", "tinydeconv.nn.functional.elu",
    ]  # fmt: skip
