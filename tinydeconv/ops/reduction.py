"""Reductions: over `dim` (None: everything; an int or several), kept as size 1 with `keepdim`."""

import math
from collections import namedtuple

import numpy as np

from ..backend import array_module
from ..engine import Op
from ..kernels.pieces import each
from ..tensor import Tensor
from .elementwise import maximum, minimum, where
from .formulas import fused, total
from .indexing import gather
from .joining import cat, narrow
from .maths import exp, log, sqrt
from .promotion import FLOAT, as_floating, astype
from .shape import BroadcastTo, Reshape, add_up, axes, axis, flip, reshape, squeeze

ValuesAndIndices = namedtuple("ValuesAndIndices", "values indices")


class Sum(Op):
    """The sum over some axes, kept as size 1 or dropped."""

    linear = True

    def __init__(self, axes, keepdim):
        self.axes, self.keepdim = axes, keepdim

    def forward(self, x):
        return add_up(x, self.axes, self.keepdim) if self.axes else x.copy()

    def backward(self, g, y, x, needs):
        kept = tuple(1 if d in self.axes else n for d, n in enumerate(x.shape))
        return BroadcastTo(x.shape)(Reshape(kept)(g))


class Amax(Op):
    """The largest element over some axes, kept as size 1; equal ones share the gradient evenly,
    and NaNs count as the largest.
    """

    pick = "max"

    def __init__(self, axes):
        self.axes = axes

    def forward(self, x):
        return getattr(x, self.pick)(axis=self.axes, keepdims=True)

    def backward(self, g, y, x, needs):
        largest = astype((x == y) | (x != x), g.dtype)
        return g * largest / sum(largest, self.axes, keepdim=True)


class Amin(Amax):
    pick = "min"


class Softmax(Op):
    """exp(x) / sum(exp(x)) along an axis."""

    keeps = ("output",)

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        def softmax(x):
            e = _shifted(x, self.axis)
            array_module(x).exp(e, out=e)
            e /= e.sum(axis=self.axis, keepdims=True)
            return e

        return each(softmax, x, whole=self.axis)

    def backward(self, g, y, x, needs):
        return fused(
            lambda m, g, y: y * (g - total(m, g * y, self.axis)), g, y, whole=self.axis
        )


class LogSoftmax(Op):
    """x - log(sum(exp(x))) along an axis."""

    keeps = ("output",)

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        xp = array_module(x)

        def log_softmax(x):
            x = _shifted(x, self.axis)
            x -= xp.log(xp.exp(x).sum(axis=self.axis, keepdims=True))
            return x

        return each(log_softmax, x, whole=self.axis)

    def backward(self, g, y, x, needs):
        return fused(
            lambda m, g, y: g - m.exp(y) * total(m, g, self.axis), g, y, whole=self.axis
        )


class CumSum(Op):
    """Running sums along an axis."""

    linear = True

    def __init__(self, axis):
        self.axis = axis

    def forward(self, x):
        return x.cumsum(self.axis, x.dtype)

    def backward(self, g, y, x, needs):
        return flip(CumSum(self.axis)(flip(g, self.axis)), self.axis)


def _shifted(x, axis):
    """Moved so that the largest is 0 along the axis and exp does not overflow."""
    if not x.size:
        return x.copy()
    return array_module(x).asarray(x - x.max(axis=axis, keepdims=True))  # not a NumPy scalar


def _over(dim, ndim):
    """The axes to reduce; an empty `dim` means all of them, too."""
    return axes(None if isinstance(dim, (tuple, list)) and not dim else dim, ndim)


def _dropped(kept, dims, keepdim):
    """A result with its reduced axes of size 1 kept or dropped."""
    shape = tuple(n for d, n in enumerate(kept.shape) if d not in dims)
    return kept if keepdim else Reshape(shape)(kept)


def _floating(name, x):
    """x itself; integers are refused, as in PyTorch."""
    if x.dtype.kind != "f":
        raise TypeError(f"{name} needs a floating tensor, got {x.dtype}: use .float()")
    return x


def _nonempty(what, x, dims):
    if 0 in (x.shape[d] for d in dims):
        raise ValueError(f"{what} of no elements: shape {x.shape} has size 0 along {dims}")


def sum(x, dim=None, keepdim=False, dtype=None):
    """The sum; of integers and booleans it is an int64."""
    if dtype is not None or x.dtype.kind != "f":
        x = astype(x, np.int64 if dtype is None else dtype)
    return Sum(_over(dim, x.ndim), keepdim)(x)


def mean(x, dim=None, keepdim=False, dtype=None):
    """The arithmetic mean of a floating tensor."""
    if dtype is not None:
        x = astype(x, dtype)
    # a sum in float16 could be infinite
    wide = astype(_floating("a mean", x), np.promote_types(x.dtype, FLOAT))
    return astype(
        sum(wide, dim, keepdim) / math.prod(x.shape[d] for d in _over(dim, x.ndim)), x.dtype
    )


def prod(x, dim=None, keepdim=False, dtype=None):
    """The product; of integers and booleans it is an int64. Right at zeros too, to any order."""
    if dtype is not None or x.dtype.kind != "f":
        x = astype(x, np.int64 if dtype is None else dtype)
    if dim is None or not x.ndim:
        x, dim, keepdim = reshape(x, -1), 0, False
    dim = axis(dim, x.ndim)
    if not x.shape[dim]:
        return sum(x, dim, keepdim) + 1
    while x.shape[dim] > 1:  # pairs, pairs of pairs, ...: no division
        half = x.shape[dim] // 2
        pairs = narrow(x, dim, 0, half) * narrow(x, dim, half, half)
        x = cat([pairs, narrow(x, dim, 2 * half, x.shape[dim] - 2 * half)], dim)
    return x if keepdim else squeeze(x, dim)


def cumsum(x, dim, dtype=None):
    """Running sums along dim; of integers and booleans they are int64."""
    if dtype is not None or x.dtype.kind != "f":
        x = astype(x, np.int64 if dtype is None else dtype)
    dims = axes(dim, x.ndim)
    return CumSum(*dims)(x) if dims else x


def diff(x, n=1, dim=-1, prepend=None, append=None):
    """Each number minus the one before it along dim, n times; prepend and append join first."""
    x = cat([part for part in (prepend, x, append) if part is not None], dim)
    for _ in range(n):
        n = x.shape[dim]
        rest, first = narrow(x, dim, n > 0, n - (n > 0)), narrow(x, dim, 0, n - (n > 0))
        x = rest ^ first if x.dtype.kind == "b" else rest - first
    return x


def var(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """The mean squared distance from the mean; unbiased: divided by the number of elements minus
    `correction`, which `unbiased` sets to 1 or 0.
    """
    correction = correction if unbiased is None else int(unbiased)
    dims = _over(dim, x.ndim)
    centred = _floating("a variance", x) - mean(x, dims, keepdim=True)
    freedom = math.prod(x.shape[d] for d in dims) - correction
    return sum(centred * centred, dims, keepdim) / float(freedom if freedom > 0 else 0)


def std(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """The square root of var; where it is 0 the gradient is 0."""
    return _root(var(x, dim, unbiased, keepdim, correction=correction))


def var_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """(var, mean)"""
    return var(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


def std_mean(x, dim=None, unbiased=None, keepdim=False, *, correction=1):
    """(std, mean)"""
    return std(x, dim, unbiased, keepdim, correction=correction), mean(x, dim, keepdim)


def norm(x, p=2, dim=None, keepdim=False):
    """(sum |x|^p)^(1/p); the largest |x| for p = inf, the smallest for -inf, how many are not zero
    for 0; "fro" means 2. Of a zero vector the gradient is 0.
    """
    x, p = _floating("a norm", x), 2 if p == "fro" else p
    if isinstance(p, str):
        raise ValueError(f"expected p to be a number or 'fro', got {p!r}")
    if abs(p) == math.inf:
        return (amax if p > 0 else amin)(abs(x), dim, keepdim)
    if p == 0:
        return sum(astype(x != 0, x.dtype), dim, keepdim)
    if p == 2:
        return _root(sum(x * x, dim, keepdim))
    if p == 1:
        return sum(abs(x), dim, keepdim)
    total = sum(abs(x) ** p, dim, keepdim)
    return where(total == 0, 0, where(total == 0, 1, total) ** (1 / p))


def _root(x):
    """sqrt(x) whose derivative at 0 is 0 instead of infinite."""
    return where(x == 0, x, sqrt(where(x == 0, 1, x)))


def amax(x, dim=None, keepdim=False, _op=Amax):
    """The largest elements; equal ones share the gradient evenly."""
    dims = _over(dim, x.ndim)
    _nonempty("a largest or smallest element", x, dims)
    return _dropped(_op(dims)(x), dims, keepdim)


def amin(x, dim=None, keepdim=False):
    """The smallest elements; equal ones share the gradient evenly."""
    return amax(x, dim, keepdim, _op=Amin)


def _argument(name, x, dim, keepdim):
    if dim is None:
        _nonempty(name, x, axes(None, x.ndim))
        found = getattr(x.data, name)()
        return Tensor(array_module(x.data).asarray(found).reshape((1,) * x.ndim if keepdim else ()))
    dims = axes(dim, x.ndim)
    _nonempty(name, x, dims)
    data = x.data if x.ndim else x.data.reshape(1)
    found = getattr(data, name)(axis=dims[0] if dims else 0, keepdims=keepdim and x.ndim > 0)
    return Tensor(array_module(data).asarray(found).reshape(() if not x.ndim else found.shape))


def argmax(x, dim=None, keepdim=False):
    """Where the largest element is (the first of equal ones): flat, or along dim; int64."""
    return _argument("argmax", x, dim, keepdim)


def argmin(x, dim=None, keepdim=False):
    """Where the smallest element is (the first of equal ones): flat, or along dim; int64."""
    return _argument("argmin", x, dim, keepdim)


def max(x, dim=None, keepdim=False):
    """max(): the largest element. max(dim): (values, indices) along a dimension. max(other): the
    larger of two tensors.
    """
    return _pick(x, dim, keepdim, amax, argmax, maximum)


def min(x, dim=None, keepdim=False):
    """min(): the smallest element. min(dim): (values, indices) along a dimension. min(other): the
    smaller of two tensors.
    """
    return _pick(x, dim, keepdim, amin, argmin, minimum)


def _pick(x, dim, keepdim, over_all, argument, between):
    if isinstance(dim, Tensor):
        return between(x, dim)
    if dim is None:
        return over_all(x)
    where_ = argument(x, dim, keepdim=True)
    values = _taken(x, dim, where_)
    if not keepdim:
        values, where_ = squeeze(values, dim), squeeze(where_, dim)
    return ValuesAndIndices(values, where_)


def _taken(x, dim, indices):
    return gather(x, dim, indices) if x.ndim else x


def argsort(x, dim=-1, descending=False, stable=False):
    """The positions that would sort x along dim; equal numbers keep their order (so it is always
    stable), and NaNs count as the largest.
    """
    dims = axes(dim, x.ndim)
    if not dims:
        return Tensor(array_module(x.data).zeros((), np.int64))
    data = flip(x, dims).data if descending else x.data
    order = Tensor(array_module(data).argsort(data, axis=dims[0], kind="stable"))
    return flip(x.shape[dims[0]] - 1 - order, dims) if descending else order


def sort(x, dim=-1, descending=False, stable=False):
    """(values, indices) sorted along dim; equal numbers keep their order."""
    indices = argsort(x, dim, descending, stable)
    return ValuesAndIndices(_taken(x, dim, indices), indices)


def topk(x, k, dim=-1, largest=True, sorted=True):
    """(values, indices) of the k largest (or smallest) along dim, in order."""
    indices = argsort(x, dim, largest)
    if not 0 <= k <= (x.shape[dim] if x.ndim else 1):
        raise ValueError(f"topk of {k} does not fit dim {dim} of shape {x.shape}")
    indices = narrow(indices, dim, 0, k) if x.ndim else indices
    return ValuesAndIndices(_taken(x, dim, indices), indices)


def all(x, dim=None, keepdim=False):
    """Whether all elements are true (not zero)."""
    xp = array_module(x.data)
    return Tensor(xp.asarray(xp.all(x.data, axis=axes(dim, x.ndim), keepdims=keepdim)))


def any(x, dim=None, keepdim=False):
    """Whether some element is true (not zero)."""
    return ~all(x == 0, dim, keepdim)


def count_nonzero(x, dim=None):
    """How many elements are not zero."""
    return sum(x != 0, dim)


def isclose(x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Where |x - other| <= atol + rtol |other|; equal infinities are close."""
    xp = array_module(x.data)
    return Tensor(xp.asarray(xp.isclose(x.data, other.data, rtol, atol, equal_nan)))


def allclose(x, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all numbers are close (see isclose), as a Python bool."""
    return bool(all(isclose(x, other, rtol, atol, equal_nan)))


def equal(x, other):
    """Whether the two have one shape and the same numbers, as a Python bool."""
    return x.shape == other.shape and bool(all(x == other))


def logsumexp(x, dim, keepdim=False):
    """log(sum(exp(x))) without overflow."""
    x = as_floating(x)
    if not x.numel():
        return log(sum(exp(x), dim, keepdim))
    largest = amax(x, dim, keepdim=True).detach()
    largest = where(abs(largest) == float("inf"), 0, largest)
    result = log(sum(exp(x - largest), dim, keepdim=True)) + largest
    return _dropped(result, _over(dim, x.ndim), keepdim)


def softmax(input, dim, dtype=None):
    """exp(x) / sum(exp(x)) along dim; with a dtype, x is cast to it first."""
    x = _floating("softmax", input if dtype is None else astype(input, dtype))
    return Softmax(axes(int(dim), x.ndim))(x)


def log_softmax(input, dim, dtype=None):
    """log(softmax(x)) along dim, without overflow; with a dtype, x is cast to it first."""
    x = _floating("log_softmax", input if dtype is None else astype(input, dtype))
    return LogSoftmax(axes(int(dim), x.ndim))(x)
