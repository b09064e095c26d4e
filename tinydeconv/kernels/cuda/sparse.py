"""Launches sparse.cu: resampling, and sums at chosen positions."""

from functools import lru_cache
from math import prod

import numpy as np

from ...backend import array_module
from .. import sparse
from .launch import INSIDE, handles, launch_inside, launch_over

FILE = "sparse.cu"


def resample(x, axis, size, entries):
    """As sparse.resample."""
    outer, n, inner = prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])
    if not handles(x) or size * inner > INSIDE:
        return sparse.resample(x, axis, size, entries)
    xp, (rows, columns, weights) = array_module(x), entries
    starts = np.searchsorted(rows, np.arange(size + 1))
    parts = starts.astype(np.int32), columns.astype(np.int32), weights.astype(x.dtype)
    matrix = [_copy(xp, x.device.id, part.dtype.str, part.tobytes()) for part in parts]
    y = xp.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype)
    x = xp.ascontiguousarray(x)
    launch_inside(outer, size * inner, FILE, "resample", x, y, *matrix, outer, n, size, inner)
    return y


@lru_cache(maxsize=128)
def _copy(xp, device, dtype, numbers):
    """Numbers on the device: resizing comes back to the same few matrices in every step."""
    return xp.asarray(np.frombuffer(numbers, dtype))


def scatter_add(x, index, size, once=False):
    """As sparse.scatter_add. The positions are sorted, so that one thread adds up each sum, in the
    order of the elements: atomics would add in another order in each run.
    """
    if once:
        return sparse.scatter_add(x, index, size, once)
    if not handles(x):
        return scatter_add(x.astype(np.float64), index, size).astype(x.dtype)
    xp, index = array_module(x), index.reshape(-1).astype(np.int64, copy=False)
    order, y = xp.argsort(index, kind="stable"), xp.zeros(size, x.dtype)
    x, n = xp.ascontiguousarray(x), len(order)
    launch_over(n, FILE, "add_runs", x, order, index[order], y, np.int64(n))
    return y
