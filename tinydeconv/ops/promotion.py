"""Dtypes: PyTorch's promotion table, and the explicit, differentiable casts that carry it out.

A kind beats a lower kind (bool < integer < floating); within a kind the wider type wins, but only
among tensors of the same standing: tensors with axes outrank 0-d tensors, which outrank Python and
NumPy scalars. So a scalar never widens a floating tensor. (NumPy's own rules differ: there float32
times np.float64(2) is float64.)
"""

import numpy as np

from ..backend import array_module, as_device, is_array, to_device
from ..engine import SILENCE, Op
from ..tensor import Tensor, accept

FLOAT = np.dtype(np.float32)  # what Python floats become
_PLAIN = (float, int)
_KINDS = {"b": 0, "u": 1, "i": 1, "f": 2}


class Cast(Op):
    """The same numbers in another dtype; the gradient is cast back."""

    linear = True

    def __init__(self, dtype):
        self.dtype = dtype

    def forward(self, x):
        return x.astype(self.dtype)

    def backward(self, g, y, x, needs):
        return Cast(x.dtype)(g)


class To(Op):
    """The same numbers on another device; the gradient travels back."""

    linear = True

    def __init__(self, where, origin):
        self.where, self.origin = where, origin

    def forward(self, x):
        return to_device(x, self.where)

    def backward(self, g, y, x, needs):
        return To(self.origin, self.where)(g)


def astype(x, dtype):
    """The tensor in another dtype (the same Tensor when it has it already)."""
    dtype = np.dtype(dtype)
    return x if x.dtype == dtype else Cast(accept(dtype))(x)


def to(x, *target, device=None, dtype=None):
    """The tensor on another device ("cpu", "cuda:0"), in another dtype, or both, as in another
    tensor: to("cuda"), to(td.float64), to("cuda", td.float64), to(other).
    """
    for wish in target:
        if isinstance(wish, Tensor):
            device, dtype = wish.device, wish.dtype
        elif isinstance(wish, (type, np.dtype)) or wish in np.sctypeDict:
            dtype = wish
        else:
            device = wish
    if device is not None and x.device != as_device(device):
        x = To(as_device(device), x.device)(x)
    return x if dtype is None else astype(x, dtype)


def result_type(*operands):
    """The dtype that PyTorch gives to an operation on these Tensors and scalars."""
    result = None
    for standing in (
        lambda v: isinstance(v, Tensor) and v.ndim,
        lambda v: isinstance(v, Tensor) and not v.ndim,
        lambda v: not isinstance(v, Tensor),
    ):
        group = None
        for dtype in (_dtype_of(v) for v in operands if standing(v)):
            group = dtype if group is None else _wider(group, dtype)
        if result is None or (group is not None and _KINDS[group.kind] > _KINDS[result.kind]):
            result = group
    return result


def _dtype_of(value):
    if isinstance(value, Tensor):
        return value.dtype
    kind = (
        np.asarray(value).dtype.kind if isinstance(value, (bool, int, float, np.generic)) else None
    )
    if kind not in _KINDS:
        raise TypeError(f"expected a Tensor or a real number, got {type(value).__name__}")
    return {"b": np.dtype(np.bool_), "f": FLOAT}.get(kind, np.dtype(np.int64))


def _wider(a, b):
    if _KINDS[a.kind] != _KINDS[b.kind]:
        return a if _KINDS[a.kind] > _KINDS[b.kind] else b
    return np.promote_types(a, b)


def must_be_tensor(name, value):
    """The value itself, if it is a Tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"expected {name} to be a Tensor, got {type(value).__name__}: use td.tensor(...)"
        )
    return value


def as_tensor(value, like, dtype):
    """A Tensor from an operand: itself, or a constant beside `like`; too large integers wrap
    around, as in PyTorch.
    """
    if isinstance(value, Tensor):
        return value
    asarray, silence = array_module(like._data).asarray, SILENCE.copy()  # of overflow to infinity
    if dtype.kind == "f":
        return like.wrap(silence.run(asarray, value, dtype))
    return like.wrap(silence.run(asarray(value).astype, dtype))


def promote(a, b, floating=False):
    """Two operands (at least one a Tensor) as Tensors of their common dtype; with `floating`,
    integers become float32.
    """
    like, other = (a, b) if isinstance(a, Tensor) else (b, a)
    if isinstance(like, Tensor):  # most often there is little to find out, and no time to lose
        dtype = like._data.dtype
        if isinstance(other, Tensor):
            if other._data.dtype is dtype and (dtype.kind == "f" or not floating):
                return a, b
        elif type(other) in _PLAIN and dtype.kind == "f":
            return as_tensor(a, like, dtype), as_tensor(b, like, dtype)
    return promote_all(a, b, floating=floating)


def promote_all(*operands, floating=False):
    """Any number of operands in the same way."""
    tensors = [v for v in operands if isinstance(v, Tensor)]
    if not tensors:
        raise TypeError(f"expected a Tensor, got {', '.join(type(v).__name__ for v in operands)}")
    operands = tuple(Tensor(v) if is_array(v) else v for v in operands)
    dtype = result_type(*operands)
    if floating and dtype.kind != "f":
        dtype = FLOAT
    return [astype(as_tensor(v, tensors[0], dtype), dtype) for v in operands]


def as_floating(x):
    """x itself, or as float32 when it holds integers."""
    must_be_tensor("the input", x)
    return x if x._data.dtype.kind == "f" else astype(x, FLOAT)
