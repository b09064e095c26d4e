"""Differentiable operations, one family a file, and the one table that hangs them onto Tensor."""

# ruff: noqa: F401, I001

import numpy as np

from ..backend import is_array
from ..tensor import Tensor
from .conv import convolution, transposed_convolution
from .creation import (
    arange, asarray, from_dlpack, from_numpy, full, full_like, linspace, ones, ones_like, rand,
    rand_like, randint, randint_like, randn, randn_like, tensor, zeros, zeros_like,
)
from .elementwise import (
    abs_ as abs, add, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, clamp, cos, div, eq, exp,
    floor_divide, ge, gt, le, leaky_relu, log, lt, maximum, minimum, mul, ne, neg, pow, relu,
    remainder, sigmoid, sin, softplus, sqrt, sub, tanh, where,
)
from .linalg import einsum, matmul
from .promotion import astype, result_type, to
from .reduction import (
    all, amax, amin, any, argmax, argmin, log_softmax, logsumexp, max, mean, min, norm, softmax,
    std, sum, var,
)
from .shape import (
    cat, expand, flatten, flip, gather, index, permute, reshape, split, squeeze, stack, sum_to,
    transpose, unsqueeze,
)
from .windows import avg_pool, fold, max_pool, max_unpool, unfold

# Functions of the library's front page, td.NAME.
__all__ = [
    "abs", "add", "all", "amax", "amin", "any", "arange", "argmax", "argmin", "asarray", "cat",
    "clamp", "cos", "div", "einsum", "eq", "exp", "flatten", "flip", "floor_divide", "from_dlpack",
    "from_numpy", "full", "full_like", "gather", "ge", "gt", "le", "linspace", "log", "log_softmax",
    "logsumexp", "lt", "matmul", "max", "maximum", "mean", "min", "minimum", "mul", "ne", "neg",
    "norm", "ones", "ones_like", "permute", "pow", "rand", "rand_like", "randint", "randint_like",
    "randn", "randn_like", "relu", "remainder", "reshape", "result_type", "sigmoid", "sin",
    "softmax", "split", "sqrt", "squeeze", "stack", "std", "sub", "sum", "tanh", "tensor",
    "transpose", "unsqueeze", "var", "where", "zeros", "zeros_like",
]

# Methods of Tensor with the same name and arguments as the function.
METHODS = {
    f.__name__.strip("_"): f
    for f in (
        abs, add, all, amax, amin, any, argmax, argmin, astype, clamp, cos, div, eq, exp, expand,
        flatten, flip, floor_divide, gather, ge, gt, le, log, log_softmax, logsumexp, lt, matmul,
        max, maximum, mean, min, minimum, mul, ne, neg, norm, permute, pow, relu, remainder,
        reshape, sigmoid, sin, softmax, split, sqrt, squeeze, std, sub, sum, sum_to, tanh, to,
        transpose, unsqueeze, var,
    )
}
METHODS |= {
    "where": lambda x, condition, other: where(condition, x, other),
    "expand_as": lambda x, other: expand(x, other.shape),
    "reshape_as": lambda x, other: reshape(x, other.shape),
    "t": lambda x: transpose(x, 0, 1),
    "float": lambda x: astype(x, np.float32),
    "double": lambda x: astype(x, np.float64),
    "long": lambda x: astype(x, np.int64),
    "int": lambda x: astype(x, np.int32),
    "bool": lambda x: astype(x, np.bool_),
    "cpu": lambda x: to(x, "cpu"),
    "cuda": lambda x, index=0: to(x, f"cuda:{index}"),
}
PROPERTIES = {
    "T": lambda x: permute(x, *reversed(range(x.ndim))),
    "mT": lambda x: transpose(x, -1, -2),
}


def _operand(function, swapped=False):
    """An operator that leaves operands it does not know to the other side."""

    def operator(a, b):
        if not (isinstance(b, (Tensor, bool, int, float, np.generic)) or is_array(b)):
            return NotImplemented
        return function(b, a) if swapped else function(a, b)

    operator.__doc__ = function.__doc__
    return operator


def _in_place(a, b):
    """x += y makes a new x, which would quietly leave the leaf itself as it was."""
    if a.is_leaf and a.requires_grad:
        raise TypeError("a leaf that requires grad is not changed in place: use x.data -= step")
    return NotImplemented  # Python then takes x = x + y


OPERATORS = {
    "__getitem__": index, "__iter__": lambda x: (x[i] for i in range(len(x))), "__neg__": neg,
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

for _name, _function in (METHODS | OPERATORS).items():
    setattr(Tensor, _name, _function)
for _name, _function in PROPERTIES.items():
    setattr(Tensor, _name, property(_function))
