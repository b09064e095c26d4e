"""Launches windows.cu: unfold and fold, and the windows of pooling."""

from math import prod

import numpy as np

from ...backend import array_module
from .. import reference, windows
from .launch import INSIDE, handles, launch_inside, struct
from .sparse import scatter_add

FILE = "windows.cu"


def unfold(x, geometry, fill=0):
    """As reference.unfold."""
    if not _handles(x, geometry):
        return reference.unfold(x, geometry, fill)
    shape = *geometry.kernel, *geometry.small
    return _filled("unfold", [x], shape, geometry, float(fill))


def fold(cols, geometry):
    """As reference.fold."""
    if not _handles(cols, geometry):
        return reference.fold(cols, geometry)
    return _filled("fold", [cols], geometry.big, geometry)


def window_sums(x, geometry):
    """As windows.window_sums."""
    if not _handles(x, geometry):
        return windows.window_sums(x, geometry)
    return _filled("window_sums", [x], geometry.small, geometry)


def window_spread(y, geometry):
    """As windows.window_spread."""
    if not _handles(y, geometry):
        return windows.window_spread(y, geometry)
    return _filled("window_spread", [y], geometry.big, geometry)


def max_pool_indices(x, geometry):
    """As windows.max_pool_indices."""
    if not _handles(x, geometry):
        return windows.max_pool_indices(x, geometry)
    return _filled("max_pool_indices", [x], geometry.small, geometry, dtype=np.int64)


def window_put(y, index, geometry):
    """As windows.window_put."""
    if not _handles(y, geometry):
        shape = *y.shape[:2], *geometry.big
        return scatter_add(y, index, prod(shape)).reshape(shape)
    return _filled("window_put", [y, index], geometry.big, geometry)


def _handles(x, geometry):
    elements = max(prod(geometry.big), prod(geometry.kernel) * prod(geometry.small))
    return handles(x, axes=len(geometry.big)) and elements <= INSIDE


def _filled(name, arrays, shape, geometry, *numbers, dtype=None):
    """What a kernel makes of arrays (N, C, ...): (N, C, *shape), in the first one's dtype."""
    xp, front = array_module(*arrays), arrays[0].shape[:2]
    arrays = [xp.ascontiguousarray(array) for array in arrays]
    y = xp.empty((*front, *shape), dtype or arrays[0].dtype)
    images = prod(front)
    launch_inside(
        images, prod(shape), FILE, name, *arrays, y, struct(geometry), *numbers, images
    )  # fmt: skip
    return y
