"""Dtypes of results against PyTorch: every pair of operands, every dtype."""

import operator

import numpy as np
import pytest
import torch
from both import array

import tinydeconv as td

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
SCALARS = {"bool": True, "int": 2, "float": 2.5}
NUMPY_SCALARS = {"bool": np.True_, "int": np.int16(2), "float": np.float64(2.5)}


def operand(m, kind, dtype):
    if kind == "number":
        return SCALARS[dtype]
    return m.tensor([1, 1] if kind == "tensor" else 1, dtype=getattr(m, dtype))


OPERANDS = [(kind, dtype) for kind in ("tensor", "0-d") for dtype in DTYPES]
OPERANDS += [("number", name) for name in SCALARS]


@pytest.mark.parametrize("first", OPERANDS, ids=" ".join)
def test_result_type(first):
    for second in OPERANDS:
        mine, theirs = (m.result_type(operand(m, *first), operand(m, *second)) for m in (td, torch))
        assert f"torch.{mine}" == str(theirs), second


FUNCTIONS = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "eq": operator.eq,
    "lt": operator.lt, "and": operator.and_, "xor": operator.xor,
}  # fmt: skip


def result(function, *arguments):
    """(dtype, numbers), or None when the library refuses."""
    try:
        y = function(*arguments)
    except (TypeError, RuntimeError, NotImplementedError):
        return None
    return str(array(y).dtype), y.tolist()


def own_way(name, first, second):
    """NumPy's ways with booleans: True - 1 is 0, and True // True an int8 (PyTorch refuses)."""
    booleans = [first[1], second[1]].count("bool")
    return booleans == 2 if name in ("floordiv", "mod", "pow") else name == "sub" and booleans


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("first", OPERANDS, ids=" ".join)
def test_operator(name, first):
    """The dtype and numbers that an operator gives, and whether it gives any."""
    for second in OPERANDS:
        if first[0] == second[0] == "number" or own_way(name, first, second):
            continue
        mine, theirs = (
            result(FUNCTIONS[name], operand(m, *first), operand(m, *second)) for m in (td, torch)
        )
        assert mine == theirs, second


@pytest.mark.parametrize("first", OPERANDS[: 2 * len(DTYPES)], ids=" ".join)
def test_joining(first):
    for second in OPERANDS[: 2 * len(DTYPES)]:
        for join in (
            lambda m, a, b: m.cat([a.reshape(-1), b.reshape(-1)]),
            lambda m, a, b: m.stack([a.reshape(-1)[0], b.reshape(-1)[0]]),
            lambda m, a, b: m.where(m.tensor([True, False]), a, b),
            lambda m, a, b: m.maximum(a, b),
        ):
            mine, theirs = (join(m, operand(m, *first), operand(m, *second)) for m in (td, torch))
            assert f"torch.{mine.dtype}" == str(theirs.dtype), second


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NUMPY_SCALARS)
def test_numpy_scalars_count_as_numbers(dtype, name):
    """PyTorch's result with the Python number, on either side of the operator."""
    for shape in ([1, 1], 1):
        mine, theirs = (m.tensor(shape, dtype=getattr(m, dtype)) for m in (td, torch))
        expected = str((theirs * SCALARS[name]).dtype)
        assert f"torch.{(mine * NUMPY_SCALARS[name]).dtype}" == expected
        assert f"torch.{(NUMPY_SCALARS[name] * mine).dtype}" == expected


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "log",
        "sqrt",
        "sin",
        "tanh",
        "sum",
        "neg",
        "abs",
        "amax",
        "mean",
        "argmax",
        "any",
        "relu",
    ],
)
def test_function_of_one_tensor(name, dtype):
    if dtype == "bool" and name in ("abs", "argmax", "relu"):
        return  # which PyTorch refuses
    mine, theirs = (
        result(getattr(m, name), m.tensor([1, 1], dtype=getattr(m, dtype))) for m in (td, torch)
    )
    if name == "any":  # PyTorch's all and any of uint8 are uint8, of every other dtype bool
        theirs = ("bool", bool(theirs[1]))
    assert (mine and mine[0]) == (theirs and theirs[0])
