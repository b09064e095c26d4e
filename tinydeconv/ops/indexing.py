"""Picking by position: indices, masks, triangles and diagonals.

Whatever moves numbers about is one Gather at flat positions, so its gradient is the Scatter that
adds them back; whatever writes is a Scatter, or a Gather from old and new numbers together.
"""

import math

import numpy as np

from ..backend import array_module, is_array
from ..tensor import Tensor
from .elementwise import where
from .joining import cat
from .promotion import as_tensor, astype, must_be_tensor
from .shape import Gather, Scatter, Slice, axis, expand, reshape


def index(x, key):
    """x[key], with NumPy's basic and advanced indexing; keys may hold Tensors, arrays and lists."""
    xp = array_module(x.data)
    key = tuple(_plain(k, xp) for k in (key if isinstance(key, tuple) else (key,)))
    if not any(map(is_array, key)):
        return Slice(key)(x)
    taken = [k.ndim if is_array(k) and k.dtype.kind == "b" else k is not None for k in key]
    if sum(taken) > x.ndim:  # an Ellipsis for no dimension: in NumPy alone it parts index arrays
        key = tuple(k for k in key if k is not Ellipsis)
    places = positions(x)
    if any(isinstance(k, int) for k in key):
        # Whole numbers first: for PyTorch they only take a dimension away; for NumPy they are index
        # arrays, whose places decide on the order of the result's dimensions.
        wait = [[slice(None)] * (k.ndim if k.dtype.kind == "b" else 1) if is_array(k) else [k]
                for k in key]  # fmt: skip
        places = places[tuple(k for ks in wait for k in ks)]
        rest = (k for k in key if not isinstance(k, int))
        key = tuple(slice(None) if k is None or isinstance(k, slice) else k for k in rest)
    return Gather(places[key])(x)


def _plain(k, xp):
    """One part of a key: ints, slices, None and Ellipsis as they are, the rest as arrays."""
    if k is None or k is Ellipsis or isinstance(k, slice):
        return k
    if isinstance(k, Tensor):
        k = k.data
    if not is_array(k) and not isinstance(k, bool) and hasattr(k, "__index__"):
        return int(k)
    k = k if isinstance(k, xp.ndarray) else xp.asarray(k, dtype=None if np.size(k) else np.int64)
    if k.dtype.kind not in "biu":
        raise IndexError(f"an index must be made of integers or booleans, got {k.dtype}")
    return int(k) if k.ndim == 0 and k.dtype.kind != "b" else k


def positions(x):
    """Each element's own flat position, in x's shape."""
    return array_module(x.data).arange(x.numel()).reshape(x.shape)


def _places(what, x, dim, index):
    """The flat positions in x that `index` along `dim` means, after checking it."""
    if not x.ndim and index.ndim < 2:
        return _places(what, reshape(x, 1), dim, reshape(index, -1)).reshape(index.shape)
    dim = axis(dim, x.ndim)
    if must_be_tensor("index", index).dtype.kind not in "iu":
        raise TypeError(f"{what} needs an integer index, got {index.dtype}")
    if index.ndim != x.ndim or any(
        n > m for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=True)) if d != dim
    ):
        raise ValueError(
            f"{what} along dim {dim} of shape {x.shape} needs an index of {x.ndim} dimensions, "
            f"none larger than the input's, got {index.shape}"
        )
    must_fit(f"{what} along dim {dim} of size {x.shape[dim]}", index, x.shape[dim])
    part = tuple(slice(None) if d == dim else slice(n) for d, n in enumerate(index.shape))
    return array_module(index.data).take_along_axis(positions(x)[part], index.data, dim)


def must_fit(what, index, size, hint="", kind=IndexError):
    """Refuses a Tensor of indices unless all are from 0 to size - 1."""
    if index.numel() and not 0 <= int(index.data.min()) <= int(index.data.max()) < size:
        low, high = int(index.data.min()), int(index.data.max())
        raise kind(f"{what} got indices from {low} to {high}{hint}")


def gather(x, dim, index):
    """out[i][j] = x[index[i][j]][j] for dim 0, and so on: picks along `dim`; index has as many
    dimensions as x.
    """
    return Gather(_places("gather", x, dim, index))(x)


def _source(what, x, index, src):
    """The part of src that the index speaks of; a number is as large as it needs to be."""
    if not isinstance(src, Tensor):
        return expand(as_tensor(src, x, x.dtype), index.shape)
    if src.dtype != x.dtype or src.ndim != index.ndim or any(
        n > m for n, m in zip(index.shape, src.shape, strict=True)
    ):  # fmt: skip
        raise ValueError(
            f"{what} expects a source of {x.dtype} at least as large as the index {index.shape}, "
            f"got {src.dtype} of shape {src.shape}"
        )
    return Slice(tuple(slice(n) for n in index.shape))(src)


def scatter(x, dim, index, src):
    """x with the numbers of `src` (a Tensor or one number) at the places that gather would read;
    of several for one place, one wins.
    """
    xp, places = array_module(x.data), _places("scatter", x, dim, index)
    origin = positions(x).reshape(-1)
    origin[places.reshape(-1)] = x.numel() + xp.arange(places.size)
    both = cat([reshape(x, -1), reshape(_source("scatter", x, index, src), -1)])
    return Gather(origin.reshape(x.shape))(both)


def scatter_add(x, dim, index, src):
    """x with the numbers of the Tensor `src` added at the places that gather would read: its
    transpose.
    """
    places = _places("scatter_add", x, dim, index)
    return x + Scatter(places, x.shape)(_source("scatter_add", x, index, src))


def index_select(x, dim, index):
    """The slices of x along `dim` that a vector of indices names."""
    if not x.ndim:
        return reshape(index_select(reshape(x, 1), dim, index), ())
    dim = axis(dim, x.ndim)
    if must_be_tensor("index", index).dtype.kind not in "iu" or index.ndim > 1:
        raise TypeError(
            f"index_select needs a vector of integers, got {index.dtype} of shape {index.shape}"
        )
    must_fit(f"index_select along dim {dim} of size {x.shape[dim]}", index, x.shape[dim])
    return Gather(array_module(x.data).take(positions(x), index.data.reshape(-1), dim))(x)


def repeat_interleave(x, repeats, dim=None):
    """Each slice along `dim` (None: each number) `repeats` times in a row, an int or one each."""
    if dim is None:
        return repeat_interleave(reshape(x, -1), repeats, 0)
    times = repeats.tolist() if isinstance(repeats, Tensor) else repeats
    return Gather(array_module(x.data).repeat(positions(x), times, axis(dim, x.ndim)))(x)


def masked_fill(x, mask, value):
    """x with a number where the boolean mask, which broadcasts, is true."""
    if isinstance(value, Tensor) and value.ndim:
        raise ValueError(f"masked_fill expects one number, got shape {value.shape}: use td.where")
    if x.dtype.kind != "f" and not math.isfinite(value):
        raise ValueError(f"{x.dtype} holds no {value}: use .float().masked_fill(...)")
    return where(mask, astype(as_tensor(value, x, x.dtype), x.dtype), x)


def masked_select(x, mask):
    """The numbers where the boolean mask, which broadcasts with x, is true, as a vector."""
    if must_be_tensor("mask", mask).dtype.kind != "b":
        raise TypeError(f"masked_select needs a boolean mask, got {mask.dtype}")
    shape = np.broadcast_shapes(x.shape, mask.shape)
    return index(expand(x, shape), expand(mask, shape))


def nonzero(x, *, as_tuple=False):
    """Where x is not zero: an index a row, (how many, dimensions), or as_tuple a vector for each
    dimension, with which x can be indexed.
    """
    xp = array_module(x.data)
    found = xp.nonzero(x.data.reshape(x.shape or 1))
    return tuple(map(Tensor, found)) if as_tuple else Tensor(xp.stack(found, 1)[:, : x.ndim])


def roll(x, shifts, dims=None):
    """Moved along `dims` (None: as one long row); what leaves at one end comes in at the other."""
    if dims is not None and np.size(shifts) != np.size(dims):
        raise ValueError(f"roll expects as many shifts as dims, got {shifts} and {dims}")
    dims = None if dims is None else tuple(axis(d, x.ndim) for d in np.atleast_1d(dims))
    return Gather(array_module(x.data).roll(positions(x), shifts, dims))(x)


def tril(x, diagonal=0):
    """The lower triangle of each matrix, zeros elsewhere; `diagonal` > 0 keeps so many more."""
    return masked_fill(x, ~_lower(x, diagonal), 0)


def triu(x, diagonal=0):
    """The upper triangle of each matrix, zeros elsewhere; `diagonal` > 0 keeps so many fewer."""
    return masked_fill(x, _lower(x, diagonal - 1), 0)


def _lower(x, diagonal):
    """Where the lower triangle of a matrix of x is."""
    if x.ndim < 2:
        raise ValueError(f"a triangle needs at least 2 dimensions, got shape {x.shape}")
    return Tensor(array_module(x.data).tri(*x.shape[-2:], diagonal, bool))


def diagonal(x, offset=0, dim1=0, dim2=1):
    """Where two dimensions have equal positions, the second `offset` ahead, as a last one."""
    dims = axis(dim1, x.ndim), axis(dim2, x.ndim)
    if dims[0] == dims[1]:
        raise ValueError(f"diagonal expects two different dimensions, got {dim1} and {dim2}")
    return Gather(array_module(x.data).diagonal(positions(x), offset, *dims))(x)


def diag(x, diagonal=0):
    """A vector as the diagonal of a matrix of zeros; the diagonal of a matrix as a vector."""
    if x.ndim == 2:
        return Gather(array_module(x.data).diagonal(positions(x), diagonal))(x)
    if x.ndim != 1:
        raise ValueError(f"diag expects 1 or 2 dimensions, got shape {x.shape}")
    n = x.numel() + abs(diagonal)
    first = diagonal if diagonal > 0 else -diagonal * n
    return Scatter(first + array_module(x.data).arange(x.numel()) * (n + 1), (n, n))(x)


def trace(x):
    """The sum of a matrix's diagonal."""
    if x.ndim != 2:
        raise ValueError(f"trace expects a matrix, got shape {x.shape}")
    return diagonal(x).sum()
