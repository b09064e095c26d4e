"""Dtypes of results, held against PyTorch's own tables."""

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td

# Printed by torch.result_type of PyTorch 2.13, for the dtypes of this library. Each row: the left
# operand, a tensor with axes, and its result with each right operand, in the order of the rows.
WITH_AXES = {  # the right operand is a tensor with axes
    "bool": "bool uint8 int8 int16 int32 int64 float16 float32 float64",
    "uint8": "uint8 uint8 int16 int16 int32 int64 float16 float32 float64",
    "int8": "int8 int16 int8 int16 int32 int64 float16 float32 float64",
    "int16": "int16 int16 int16 int16 int32 int64 float16 float32 float64",
    "int32": "int32 int32 int32 int32 int32 int64 float16 float32 float64",
    "int64": "int64 int64 int64 int64 int64 int64 float16 float32 float64",
    "float16": "float16 float16 float16 float16 float16 float16 float16 float32 float64",
    "float32": "float32 float32 float32 float32 float32 float32 float32 float32 float64",
    "float64": "float64 float64 float64 float64 float64 float64 float64 float64 float64",
}
WITH_0D = {  # the right operand is a 0-d tensor
    "bool": "bool uint8 int8 int16 int32 int64 float16 float32 float64",
    "uint8": "uint8 uint8 uint8 uint8 uint8 uint8 float16 float32 float64",
    "int8": "int8 int8 int8 int8 int8 int8 float16 float32 float64",
    "int16": "int16 int16 int16 int16 int16 int16 float16 float32 float64",
    "int32": "int32 int32 int32 int32 int32 int32 float16 float32 float64",
    "int64": "int64 int64 int64 int64 int64 int64 float16 float32 float64",
    "float16": "float16 float16 float16 float16 float16 float16 float16 float16 float16",
    "float32": "float32 float32 float32 float32 float32 float32 float32 float32 float32",
    "float64": "float64 float64 float64 float64 float64 float64 float64 float64 float64",
}
WITH_SCALAR = {  # the right operand is a bool, an int or a float; the left one has axes or not
    "bool": "bool int64 float32",
    "uint8": "uint8 uint8 float32",
    "int8": "int8 int8 float32",
    "int16": "int16 int16 float32",
    "int32": "int32 int32 float32",
    "int64": "int64 int64 float32",
    "float16": "float16 float16 float16",
    "float32": "float32 float32 float32",
    "float64": "float64 float64 float64",
}
SCALARS = (
    (True, np.True_),
    (2, np.int8(2), np.int64(2), np.uint8(2)),
    (2.0, np.float16(2), np.float32(2), np.float64(2)),
)


def check(left, right, expected):
    """The dtype of left and right together, by the rule and by an operation, either way round."""
    for a, b in ((left, right), (right, left)):
        assert td.result_type(a, b) == expected, (a, b)
        assert td.mul(a, b).dtype == expected, (a, b)
        assert td.maximum(a, b).dtype == expected, (a, b)
        assert td.div(a, b).dtype == (expected if expected[0] == "f" else "float32"), (a, b)
        assert td.eq(a, b).dtype == bool


@pytest.mark.parametrize("left", WITH_AXES)
def test_tensors_as_in_pytorch(left):
    for right, axes, zero in zip(
        WITH_AXES, WITH_AXES[left].split(), WITH_0D[left].split(), strict=True
    ):
        check(td.ones(2, dtype=left), td.ones(2, 1, dtype=right), axes)
        check(td.ones(2, dtype=left), td.ones(dtype=right), zero)
        check(td.ones(dtype=left), td.ones(dtype=right), axes)  # equal standing


@pytest.mark.parametrize("left", WITH_SCALAR)
def test_scalars_as_in_pytorch(left):
    for kind, expected in zip(SCALARS, WITH_SCALAR[left].split(), strict=True):
        for scalar in kind:  # NumPy's scalars count as Python's
            check(td.ones(2, dtype=left), scalar, expected)
            check(td.ones(dtype=left), scalar, expected)


def test_three_operands():
    x, zero = td.ones(2, dtype=td.bool), td.ones(dtype=td.int8)
    assert td.result_type(x, zero, 2.0) == "float32"
    assert td.result_type(x, zero, 2) == "int8"
    assert td.result_type(x.astype("uint8"), zero, td.ones(1, dtype=td.float16)) == "float16"


@pytest.mark.parametrize(
    "operation",
    [
        lambda x: x * 2,
        lambda x: 2.5 - x,
        lambda x: x**2,
        lambda x: np.float64(2) ** x,
        lambda x: x / np.float64(3),
        lambda x: np.float64(3) // x,
        lambda x: x % np.float64(3),
        lambda x: x.clamp(np.float64(0), 1),
        lambda x: x.clamp(max=np.float64(1)),
        lambda x: td.where(x > 0, x, np.float64(3)),
        lambda x: td.minimum(np.float64(3), x),
        lambda x: x + td.tensor(2.0, dtype=np.float64),
        lambda x: x + td.ones(2, 2, dtype=td.int64),
        lambda x: x.mean() * x.var() * x.norm() * x.sum(0),
        lambda x: x.norm(np.float64(3)),
        lambda x: td.softmax(x, 0) + td.logsumexp(x, 0),
        lambda x: td.cat([x, td.ones(2, 2, dtype=td.int64)]),
    ],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_nothing_widens_a_floating_tensor_on_the_sly(operation, dtype):
    x = td.ones(2, 2, dtype=dtype, requires_grad=True)
    y = operation(x)
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == dtype


@pytest.mark.parametrize(
    "operation, dtype",
    [
        (lambda x: x.sum(), "int64"),
        (lambda x: x.clamp(2), "int8"),
        (lambda x: x.clamp(0.5), "float32"),
        (lambda x: x.max(), "int8"),
        (lambda x: x.exp(), "float32"),
        (lambda x: x.argmax(), "int64"),
        (lambda x: x > 1, "bool"),
        (lambda x: x // 2, "int8"),
        (lambda x: x % 2, "int8"),
        (lambda x: x**2, "int8"),
    ],
)
def test_integers(operation, dtype):
    assert operation(td.ones(3, dtype=td.int8)).dtype == dtype


def test_casts_are_differentiable():
    x = td.tensor([1.0, 2.0], requires_grad=True)
    w = td.tensor([3.0, 4.0], dtype=np.float64, requires_grad=True)
    y = (x * w).sum()
    assert y.dtype == np.float64
    gx, gw = td.grad(y, [x, w], create_graph=True)
    assert gx.dtype == np.float32 and gx.tolist() == [3.0, 4.0]
    assert gw.dtype == np.float64 and gw.tolist() == [1.0, 2.0]
    assert td.grad(gx.sum(), w)[0].tolist() == [1.0, 1.0]


def test_what_is_no_number_is_refused():
    x = td.ones(2)
    with refused(TypeError, "complex64"):
        x + np.complex64(1)
    with refused(TypeError, "list"):
        td.mul(x, [1, 2])
    with refused(TypeError, "Tensor", "int", "float"):
        td.add(1, 2.0)
    for other in (1j, "2", None, [1, 2]):
        with pytest.raises(TypeError):
            x * other
        assert (x == other) is False and (x != other) is True
