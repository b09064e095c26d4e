"""Sparse matrices applied to arrays: sums of chosen numbers, and nothing else is read."""

import numpy as np

from ..backend import array_module


def resample(x, axis, size, entries):
    """A matrix applied along an axis, which gets this size: y[row] = the sum of weight * x[column]
    over its entries (rows, columns, weights), three NumPy arrays in ascending order of the rows.
    """
    xp, rows = array_module(x), entries[0]
    before, after = (slice(None),) * axis, (1,) * (x.ndim - axis - 1)
    # float16 is added up in float32, as in PyTorch
    wide = np.promote_types(x.dtype, np.float32) if x.dtype.kind == "f" else x.dtype
    y = xp.zeros((*x.shape[:axis], size, *x.shape[axis + 1 :]), wide)
    turn = np.arange(len(rows)) - np.searchsorted(rows, rows)
    for k in range(turn.max(initial=-1) + 1):  # each row's first entry, its second, ...
        rows, columns, weights = (part[turn == k] for part in entries)
        together = rows[-1] - rows[0] < len(rows)  # then a slice, which is 5 times as fast
        there = slice(rows[0], rows[-1] + 1) if together else xp.asarray(rows)
        weights = xp.asarray(weights.astype(wide).reshape(-1, *after))
        y[*before, there] += x.take(xp.asarray(columns), axis) * weights
    return y.astype(x.dtype, copy=False)


def scatter_add(x, index, size, once=False):
    """(size,) zeros to which the elements of x are added, each at its position in `index`; `once`:
    no position stands there twice.
    """
    if once:
        y = array_module(x).zeros(size, x.dtype)
        y[index] = x
        return y
    # bincount adds in float64, in order, and many times faster than add.at
    return np.bincount(index.reshape(-1), x.reshape(-1), minlength=size).astype(x.dtype)
