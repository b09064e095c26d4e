"""Moving numbers about: reshape, permute, broadcast, slice and gather.

They come in adjoint pairs, each the gradient of the other: BroadcastTo and SumTo, Slice and Paste,
Gather and Scatter. Reshape and Permute are undone by themselves.
"""

import operator
from math import prod

import numpy as np

from ..backend import array_module
from ..engine import Op
from ..kernels import fastest
from ..kernels.pieces import LARGE, sums
from .promotion import FLOAT

# ---------------------------------------------------------------- the ops


class Reshape(Op):
    linear = view = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
        return x.reshape(self.shape)

    def backward(self, g, y, x, needs):
        return Reshape(x.shape)(g)


class Copy(Op):
    """The same numbers in memory of their own, in C order."""

    linear = True

    def forward(self, x):
        return array_module(x).array(x, order="C")

    def backward(self, g, y, x, needs):
        return g


class Permute(Op):
    linear = view = True

    def __init__(self, dims):
        self.dims = dims

    def forward(self, x):
        return x.transpose(self.dims)

    def backward(self, g, y, x, needs):
        return Permute(tuple(self.dims.index(i) for i in range(len(self.dims))))(g)


class BroadcastTo(Op):
    """Repeats axes of size 1 (and new axes in front) without copying."""

    linear = view = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
        return array_module(x).broadcast_to(x, self.shape)

    def backward(self, g, y, x, needs):
        return SumTo(x.shape)(g)


class SumTo(Op):
    """Adds up what broadcasting from `shape` would have repeated."""

    linear = True

    def __init__(self, shape):
        self.shape = shape

    def forward(self, x):
        new = x.ndim - len(self.shape)
        repeated = [new + i for i, n in enumerate(self.shape) if n == 1 and x.shape[new + i] != 1]
        added = (*range(new), *repeated)
        total = add_up(x, added, keepdims=bool(repeated)) if added else x.copy()
        return total if total.shape == self.shape else total.reshape(self.shape)

    def backward(self, g, y, x, needs):
        return BroadcastTo(x.shape)(g)


def add_up(array, axes, keepdims):
    """The sum of an array in its own dtype; float16 is added up in float32, as in PyTorch."""
    if array.size >= LARGE:
        (total,) = sums(lambda x: (x,), axes, array)
        return total if keepdims else total.squeeze(axes)
    wide = FLOAT if array.dtype == np.float16 else None
    return array.sum(axes, wide, keepdims=keepdims).astype(array.dtype, copy=False)


class Slice(Op):
    """x[key] for a key of integers, slices, None and Ellipsis, which meets each element at most
    once.
    """

    linear = view = True

    def __init__(self, key):
        self.key = key

    def forward(self, x):
        return x[self.key]

    def backward(self, g, y, x, needs):
        return Paste(self.key, x.shape)(g)


class Paste(Op):
    """Zeros of a shape with x at [key]: the transpose of Slice."""

    linear = True

    def __init__(self, key, shape):
        self.key, self.shape = key, shape

    def forward(self, x):
        whole = array_module(x).zeros(self.shape, x.dtype)
        whole[self.key] = x
        return whole

    def backward(self, g, y, x, needs):
        return Slice(self.key)(g)


class Gather(Op):
    """The elements of x at flat positions `index`, an integer array; the output has its shape.

    once: no position stands there twice, which saves adding.
    """

    linear = True

    def __init__(self, index, once=False):
        self.index, self.once = index, once

    def forward(self, x):
        return x.reshape(-1)[self.index]

    def backward(self, g, y, x, needs):
        return Scatter(self.index, x.shape, self.once)(g)


class Scatter(Op):
    """Zeros of a shape to which the elements of x are added at flat positions `index`: the
    transpose of Gather.
    """

    linear = True

    def __init__(self, index, shape, once=False):
        self.index, self.shape, self.once = index, shape, once

    def forward(self, x):
        add = fastest(x, self.index).scatter_add
        return add(x, self.index, prod(self.shape), self.once).reshape(self.shape)

    def backward(self, g, y, x, needs):
        return Gather(self.index, self.once)(g)


# ---------------------------------------------------------------- axes


def axis(dim, ndim):
    """A dimension counted from 0; negative ones count from the end."""
    if not hasattr(dim, "__index__") or getattr(dim, "ndim", 0) > 0:
        raise TypeError(f"expected dim to be an int, got {type(dim).__name__}")
    if not -ndim <= dim < ndim:
        raise IndexError(f"dim {dim} is out of range for a tensor of {ndim} dimensions")
    return operator.index(dim) % ndim


def axes(dim, ndim):
    """Dimensions as a tuple counted from 0: all of them for None, one for an int. A 0-d tensor
    has none, but may be asked for its dim 0 or -1, as in PyTorch.
    """
    if dim is None:
        return tuple(range(ndim))
    found = tuple(
        axis(d, max(ndim, 1)) for d in (dim if isinstance(dim, (tuple, list)) else (dim,))
    )
    if len(set(found)) != len(found):
        raise ValueError(f"expected each dim once, got {dim}")
    return found if ndim else ()


def _sizes(sizes):
    """reshape(2, 3) and reshape((2, 3)) alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = sizes[0]
    return tuple(operator.index(n) for n in sizes)


def _filled(sizes, total):
    """The sizes with the one that is -1 found from their product, where it can be."""
    known = prod(n for n in sizes if n != -1)
    if sizes.count(-1) == 1 and known and total % known == 0:
        return tuple(total // known if n == -1 else n for n in sizes)
    return sizes


# ---------------------------------------------------------------- the functions that people call


def reshape(x, *shape):
    """The same elements in another shape; one size may be -1."""
    shape = _filled(_sizes(shape), x.numel())
    if any(n < 0 for n in shape) or prod(shape) != x.numel():
        raise ValueError(f"cannot reshape {x.shape} ({x.numel()} elements) to {shape}")
    return Reshape(shape)(x)


def flatten(x, start_dim=0, end_dim=-1):
    """The dimensions from start_dim to end_dim, both included, as one."""
    if x.ndim == 0:
        return reshape(x, 1)
    start, end = axis(start_dim, x.ndim), axis(end_dim, x.ndim)
    if start > end:
        raise ValueError(f"expected start_dim not after end_dim, got {start_dim} and {end_dim}")
    return reshape(x, *x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :])


def permute(x, *dims):
    """The dimensions in another order."""
    dims = axes(_sizes(dims), x.ndim)
    if len(dims) != x.ndim:
        raise ValueError(f"expected each of the {x.ndim} dimensions of {x.shape} once, got {dims}")
    return Permute(dims)(x)


def transpose(x, dim0, dim1):
    """Two dimensions exchanged."""
    order = list(range(x.ndim))
    dim0, dim1 = axis(dim0, x.ndim or 1), axis(dim1, x.ndim or 1)
    if not x.ndim:
        return x
    order[dim0], order[dim1] = dim1, dim0
    return Permute(tuple(order))(x)


def squeeze(x, dim=None):
    """Without the dimensions of size 1 (all of them, or those of `dim` that are)."""
    gone = {d for d in axes(dim, x.ndim) if x.shape[d] == 1}
    return Reshape(tuple(n for d, n in enumerate(x.shape) if d not in gone))(x)


def unsqueeze(x, dim):
    """With a new dimension of size 1 before `dim`."""
    dim = axis(dim, x.ndim + 1)
    return Reshape((*x.shape[:dim], 1, *x.shape[dim:]))(x)


def expand(x, *sizes):
    """Dimensions of size 1 repeated to the given sizes without copying; -1 keeps a size."""
    sizes = _sizes(sizes)
    new = len(sizes) - x.ndim
    if new < 0:
        raise ValueError(f"expand needs at least {x.ndim} sizes for shape {x.shape}, got {sizes}")
    shape = tuple(x.shape[i - new] if n == -1 and i >= new else n for i, n in enumerate(sizes))
    if any(n < 0 for n in shape) or any(
        x.shape[i] not in (1, shape[new + i]) for i in range(x.ndim)
    ):
        raise ValueError(f"cannot expand {x.shape} to {sizes}: only dimensions of size 1 can grow")
    return BroadcastTo(shape)(x)


def repeat(x, *sizes):
    """Copies side by side, so many along each dimension; more sizes make new ones in front."""
    sizes = _sizes(sizes)
    if len(sizes) < x.ndim or any(n < 0 for n in sizes):
        raise ValueError(
            f"repeat needs at least {x.ndim} sizes of 0 or more for shape {x.shape}, got {sizes}"
        )
    shape = (1,) * (len(sizes) - x.ndim) + x.shape
    pairs = [(1, n) for n in shape], list(zip(sizes, shape, strict=True))
    narrow_, wide = (tuple(n for pair in each for n in pair) for each in pairs)
    copies = BroadcastTo(wide)(Reshape(narrow_)(x))
    return Reshape(tuple(r * n for r, n in pairs[1]))(copies)


def clone(x):
    """A copy with a memory of its own; the gradient flows back to x."""
    return Copy()(x)


def contiguous(x):
    """x itself when its memory is in C order, otherwise such a copy."""
    return x if x.data.flags.c_contiguous else Copy()(x)


def sum_to(x, shape):
    """Summed over what broadcasting from `shape` repeats."""
    return x if x.shape == tuple(shape) else SumTo(tuple(shape))(x)


def movedim(x, source, destination):
    """The dimensions `source` moved to the places `destination`; the others keep their order."""
    source, destination = axes(source, x.ndim), axes(destination, x.ndim)
    if len(source) != len(destination):
        raise ValueError(
            f"movedim expects as many sources as destinations, got {source} and {destination}"
        )
    order = [d for d in range(x.ndim) if d not in source]
    for to, d in sorted(zip(destination, source, strict=True)):
        order.insert(to, d)
    return Permute(tuple(order))(x)


def unflatten(x, dim, sizes):
    """One dimension as several; one of the sizes may be -1."""
    dim = axis(dim, x.ndim)
    found = _filled(tuple(sizes), x.shape[dim])
    if not found or any(n < 0 for n in found) or prod(found) != x.shape[dim]:
        raise ValueError(
            f"cannot unflatten dim {dim} of size {x.shape[dim]} into sizes {tuple(sizes)}: their "
            f"product must be {x.shape[dim]}"
        )
    return reshape(x, *x.shape[:dim], *found, *x.shape[dim + 1 :])


def flip(x, *dims):
    """Reversed along the given dimensions."""
    backwards = axes(_sizes(dims), x.ndim)
    return Slice(tuple(slice(None, None, -1 if d in backwards else 1) for d in range(x.ndim)))(x)
