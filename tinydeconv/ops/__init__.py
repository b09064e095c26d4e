"""Differentiable operations, one family a file, and the one table that hangs them onto Tensor."""

# ruff: noqa: F401, I001

import numpy as np

from ..backend import is_array
from ..tensor import Tensor
from .conv import convolution, transposed_convolution
from .creation import (
    arange, asarray, eye, from_dlpack, from_numpy, full, full_like, linspace, ones, ones_like,
    rand, rand_like, randint, randint_like, randn, randn_like, randperm, tensor, zeros, zeros_like,
)
from .elementwise import (
    abs_ as abs, add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, clamp, div, eq,
    floor_divide, ge, gt, le, leaky_relu, lerp, logical_and, logical_not, logical_or, logical_xor,
    lt, maximum, minimum, mul, ne, neg, pow, relu, remainder, sub, where,
)
from .indexing import (
    diag, diagonal, gather, index, index_select, masked_fill, masked_select, nonzero,
    repeat_interleave, roll, scatter, scatter_add, trace, tril, triu,
)
from .joining import cat, chunk, meshgrid, narrow, split, stack, unbind
from .linalg import bmm, dot, einsum, matmul, mm, mv, outer
from .maths import (
    acos, asin, atan, ceil, cos, cosh, erf, exp, expm1, floor, isfinite, isinf, isnan, log, log10,
    log1p, log2, reciprocal, round, rsqrt, sigmoid, sign, sin, sinh, softplus, sqrt, square, tan,
    tanh, trunc,
)
from .promotion import astype, result_type, to
from .reduction import (
    all, allclose, amax, amin, any, argmax, argmin, argsort, count_nonzero, cumsum, diff, equal,
    isclose, log_softmax, logsumexp, max, mean, min, norm, prod, softmax, sort, std, std_mean, sum,
    topk, var, var_mean,
)
from .shape import (
    clone, contiguous, expand, flatten, flip, movedim, permute, repeat, reshape, squeeze, sum_to,
    transpose, unflatten, unsqueeze,
)
from .windows import avg_pool, fold, max_pool, max_unpool, unfold

# Functions of the library's front page that make tensors or join several: td.NAME alone.
_MAKERS = (
    arange, asarray, cat, einsum, eye, from_dlpack, from_numpy, full, full_like, linspace, meshgrid,
    ones, ones_like, rand, rand_like, randint, randint_like, randn, randn_like, randperm,
    result_type, stack, tensor, where, zeros, zeros_like,
)
# Functions of one tensor first: td.NAME and, with the same arguments, x.NAME.
_BOTH = (
    abs, acos, add, all, allclose, amax, amin, any, argmax, argmin, argsort, asin, atan,
    bitwise_and, bitwise_not, bitwise_or, bitwise_xor, bmm, ceil, chunk, clamp, clone, cos, cosh,
    count_nonzero, cumsum, diag, diagonal, diff, div, dot, eq, equal, erf, exp, expm1, flatten,
    flip, floor, floor_divide, gather, ge, gt, index_select, isclose, isfinite, isinf, isnan, le,
    lerp, log, log10, log1p, log2, log_softmax, logical_and, logical_not, logical_or, logical_xor,
    logsumexp, lt, masked_fill, masked_select, matmul, max, maximum, mean, min, minimum, mm,
    movedim, mul, mv, narrow, ne, neg, nonzero, norm, outer, permute, pow, prod, reciprocal, relu,
    remainder, repeat_interleave, reshape, roll, round, rsqrt, scatter, scatter_add, sigmoid, sign,
    sin, sinh, softmax, sort, split, sqrt, square, squeeze, std, std_mean, sub, sum, tan, tanh,
    topk, trace, transpose, tril, triu, trunc, unbind, unflatten, unsqueeze, var, var_mean,
)
# Methods alone, as in PyTorch.
_METHODS = (astype, contiguous, expand, repeat, sum_to, to)


def _table(functions):
    return {f.__name__.strip("_"): f for f in functions}


__all__ = sorted(_table((*_MAKERS, *_BOTH)))

def _cast(dtype):
    def cast(x):
        return astype(x, dtype)

    cast.__doc__ = f"In {np.dtype(dtype)}."
    return cast


def _where(x, condition, other):
    """x where the boolean tensor `condition` is true, the other elsewhere."""
    return where(condition, x, other)


def _view(x, *shape):
    """The same as reshape: a view where the memory allows one, otherwise a copy."""
    return reshape(x, *shape)


def _reshape_as(x, other):
    """In the shape of another tensor."""
    return reshape(x, other.shape)


def _expand_as(x, other):
    """Dimensions of size 1 repeated to the sizes of another tensor."""
    return expand(x, other.shape)


def _t(x):
    """A matrix transposed; fewer dimensions as they are."""
    return x if x.ndim < 2 else permute(x, 1, 0)  # which refuses more of them


def _cpu(x):
    """In the main memory."""
    return to(x, "cpu")


def _cuda(x, device=None):
    """On a GPU: a number or a name such as "cuda:1", by default the first one."""
    return to(x, f"cuda:{device or 0}" if isinstance(device, int | None) else device)


METHODS = _table((*_BOTH, *_METHODS)) | {
    "where": _where, "view": _view, "expand_as": _expand_as, "reshape_as": _reshape_as,
    "view_as": _reshape_as, "t": _t, "half": _cast(np.float16), "float": _cast(np.float32),
    "double": _cast(np.float64), "long": _cast(np.int64), "int": _cast(np.int32),
    "bool": _cast(np.bool_), "cpu": _cpu, "cuda": _cuda,
}
PROPERTIES = {
    "T": lambda x: permute(x, *reversed(range(x.ndim))),
    "mT": lambda x: transpose(x, -1, -2),
}


_OPERANDS = (Tensor, bool, int, float, np.generic)


def _operand(function, swapped=False):
    """An operator that leaves operands it does not know to the other side."""

    def operator(a, b):
        if not (isinstance(b, _OPERANDS) or is_array(b)):
            return NotImplemented
        return function(b, a) if swapped else function(a, b)

    operator.__doc__ = function.__doc__
    return operator


def _in_place(a, b):
    """x += y makes a new x, which would quietly leave the leaf itself as it was."""
    if a.is_leaf and a.requires_grad:
        raise TypeError(
            "a leaf that requires grad is not changed in place: use x.data -= 0.1 * x.grad.data"
        )
    return NotImplemented  # Python then takes x = x + y


def _rows(x):
    len(x)  # refuses a 0-d tensor
    return iter(unbind(x))


OPERATORS = {
    "__getitem__": index, "__iter__": _rows, "__neg__": neg,
    "__pos__": lambda x: x,
    "__abs__": abs, "__invert__": bitwise_not,
}
for _name, _function in {
    "add": add, "sub": sub, "mul": mul, "truediv": div, "floordiv": floor_divide, "mod": remainder,
    "pow": pow, "matmul": matmul, "and": bitwise_and, "or": bitwise_or, "xor": bitwise_xor,
}.items():
    OPERATORS[f"__{_name}__"] = _operand(_function)
    OPERATORS[f"__r{_name}__"] = _operand(_function, swapped=True)
    OPERATORS[f"__i{_name}__"] = _in_place
OPERATORS |= {f"__{f.__name__}__": _operand(f) for f in (eq, ne, lt, le, gt, ge)}

class _InPlace:
    """Stands where PyTorch has a method that works in place, and tells what to do instead.

    (A __getattr__ could tell it of any name, but makes all attributes slow: an op on small tensors
    takes a tenth longer.)
    """

    def __init__(self, name):
        self.name = name

    def __get__(self, x, kind):
        raise AttributeError(
            f"a Tensor has no {self.name}_: nothing is changed in place, use x = x.{self.name}(...)"
            " or its like",
            name=f"{self.name}_",
            obj=x,
        )


for _name in (*METHODS, "zero", "fill", "copy", "normal", "uniform"):
    setattr(Tensor, f"{_name}_", _InPlace(_name))
for _name, _function in (METHODS | OPERATORS).items():
    setattr(Tensor, _name, _function)
for _name, _function in PROPERTIES.items():
    setattr(Tensor, _name, property(_function))
