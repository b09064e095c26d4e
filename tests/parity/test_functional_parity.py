"""Every function of nn.functional against PyTorch's: values, gradients and second derivatives."""

import inspect

import cases  # noqa: F401 -- fills the tables
import numpy as np
import pytest
from both import Fixed, agree
from registry import CASES, TF

import tinydeconv.nn.functional as F


def label(name, case):
    shapes = [list(x.shape) if isinstance(x, np.ndarray) else x for x in case.args]
    shapes = ["fixed" if isinstance(x, Fixed) else x for x in shapes]
    told = [*map(str, shapes), *(f"{k}={v}" for k, v in case.options.items())]
    return f"{name}({', '.join(told)})".replace(" ", "")


ALL = [pytest.param(n, c, id=label(n, c)) for n, calls in CASES.items() for c in calls]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "case"), ALL)
def test_function(name, case, dtype):
    ours, theirs = getattr(F, name), case.theirs or getattr(TF, name)
    agree(
        lambda *args: ours(*args, **case.options),
        lambda *args: theirs(*args, **case.options),
        case.args,
        dtype,
        order=min(case.order, 2 if dtype == "float64" else 1),
    )


def uncovered(names):
    """The functions without a case, and arguments that no case gives a value of its own."""
    for name in names:
        if name not in CASES:
            yield name
            continue
        signature, given = inspect.signature(getattr(F, name)), set()
        for case in CASES[name]:
            bound = signature.bind(*case.args, **case.options).arguments
            given |= {k for k, v in bound.items() if v is not signature.parameters[k].default}
        yield from (f"{name}({k})" for k in signature.parameters if k not in given)


def test_every_function_and_every_argument_has_a_case():
    assert F.__all__ and list(uncovered(F.__all__)) == []
    public = {n for n, f in vars(F).items() if inspect.isfunction(f) and not n.startswith("_")}
    assert public == set(F.__all__)


def test_a_function_or_argument_without_a_case_is_seen(monkeypatch):
    monkeypatch.setattr(F, "swish", lambda input: input, raising=False)
    assert list(uncovered([*F.__all__, "swish"])) == ["swish"]
    few = [case for case in CASES["conv2d"] if "dilation" not in case.options]
    monkeypatch.setitem(CASES, "conv2d", few)
    assert list(uncovered(F.__all__)) == ["conv2d(dilation)"]


@pytest.mark.parametrize(("name", "case"), [p for p in ALL if p.values[1].theirs is None])
def test_arguments_go_by_pytorchs_names(name, case):
    """The functions that are methods too call their first argument x, PyTorch always input."""
    ours, theirs = getattr(F, name), getattr(TF, name)
    named = inspect.signature(ours).bind(*case.args, **case.options).arguments
    values = list(named.values())
    in_pytorch = ["input" if k == "x" else k for k in named]
    agree(
        lambda *args: ours(**dict(zip(named, args))),
        lambda *args: theirs(**dict(zip(in_pytorch, args))),
        values,
        order=0,
    )
