"""The three kernels of convolution on CuPy's arrays, and the rungs of the ladder below them.

    direct              one thread for each number of the result: the loops, as one writes them down
    conv_unfolded, ...  unfold and fold of windows.cu, and a matrix product of cuBLAS between
    conv, ...           tiles in shared memory, and no patches in memory (convolution.cu); those
                        above instead where td.backends.cuda.allow_tf32 wants it

Shapes and meaning are those of ../reference.py, which also takes what the kernels here are not made
for: more than three spatial axes, and other dtypes than float32 and float64.
"""

from math import prod

import numpy as np

from ...backend import array_module, backends
from .. import reference
from ..reference import _features, _filters, _patches
from .launch import INSIDE, handles, launch, launch_over, struct
from .windows import fold, unfold

FILE = "convolution.cu"
ROWS, COLUMNS, BLOCK = 64, 128, (128,)  # as there: of a tile, and the threads of a block
# conv_weight cuts its depth into shares, until there are so many blocks: some for each
# multiprocessor of a large GPU. Fixed numbers, as the bits depend on them.
BLOCKS = 1024
SHARE = 256  # positions at least


# ---------------------------------------------------------------- tiles


def conv(x, w, geometry):
    """(N, C, *big), (F, C / groups, *kernel) -> (N, F, *small), as reference.conv."""
    sizes = n, _, filters = len(x), x.shape[1], len(w)
    if _in_tf32(x):
        return conv_unfolded(x, w, geometry)
    if not _handles(x, w, geometry, *sizes):
        return reference.conv(x, w, geometry)
    y = array_module(x, w).empty((n, filters, *geometry.small), x.dtype)
    blocks = _tiles(filters, n * prod(geometry.small), geometry)
    launch(FILE, "conv", (blocks,), BLOCK, *_arguments(x, w, y, geometry, *sizes))
    return y


def conv_transpose(y, w, geometry):
    """(N, F, *small), (F, C / groups, *kernel) -> (N, C, *big), as reference.conv_transpose."""
    sizes = n, channels, _ = len(y), w.shape[1] * geometry.groups, len(w)
    if _in_tf32(y):
        return conv_transpose_unfolded(y, w, geometry)
    if not _handles(y, w, geometry, *sizes):
        return reference.conv_transpose(y, w, geometry)
    x = array_module(y, w).empty((n, channels, *geometry.big), y.dtype)
    phases = prod(map(min, geometry.big, geometry.stride))
    pixels = prod(-(-size // s) for size, s in zip(geometry.big, geometry.stride, strict=True))
    blocks = phases * _tiles(channels, n * pixels, geometry)
    launch(FILE, "conv_transpose", (blocks,), BLOCK, *_arguments(y, w, x, geometry, *sizes))
    return x


def conv_weight(x, y, geometry):
    """(N, C, *big), (N, F, *small) -> (F, C / groups, *kernel), as reference.conv_weight."""
    sizes = n, channels, filters = len(x), x.shape[1], y.shape[1]
    if _in_tf32(x):
        return conv_weight_unfolded(x, y, geometry)
    if not _handles(x, y, geometry, *sizes):
        return reference.conv_weight(x, y, geometry)
    shape = filters, channels // geometry.groups, *geometry.kernel
    tiles, positions = _tiles(filters, prod(shape[1:]), geometry), n * prod(geometry.small)
    share = max(SHARE, min(INSIDE, -(-positions * tiles // BLOCKS)))
    count = max(1, -(-positions // share))
    parts = array_module(x, y).empty((count, *shape), x.dtype)
    arguments = _arguments(x, y, parts, geometry, *sizes)
    launch(FILE, "conv_weight", (tiles * count,), BLOCK, *arguments, share)
    if count == 1:
        return parts[0]
    w = array_module(x, y).empty(shape, x.dtype)
    launch_over(w.size, FILE, "add_parts", parts, w, count, np.int64(w.size))
    return w


def _tiles(rows, columns, geometry):
    """How many tiles cover results of so many rows, of all groups, and columns, of each."""
    return geometry.groups * -(-rows // geometry.groups // ROWS) * -(-columns // COLUMNS)


# ---------------------------------------------------------------- the rungs below


def direct(x, w, geometry):
    """As conv."""
    sizes = n, _, filters = len(x), x.shape[1], len(w)
    if not _handles(x, w, geometry, *sizes):
        return reference.conv(x, w, geometry)
    y = array_module(x, w).empty((n, filters, *geometry.small), x.dtype)
    launch_over(y.size, "direct.cu", "conv_direct", *_arguments(x, w, y, geometry, *sizes))
    return y


def conv_unfolded(x, w, geometry):
    """As conv."""
    y = _filters(w, geometry) @ _patches(unfold(x, geometry), geometry)
    return y.reshape(len(x), len(w), *geometry.small)


def conv_transpose_unfolded(y, w, geometry):
    """As conv_transpose."""
    cols = _filters(w, geometry).swapaxes(-1, -2) @ _features(y, geometry)
    shape = len(y), w.shape[1] * geometry.groups, *geometry.kernel, *geometry.small
    return fold(cols.reshape(shape), geometry)


def conv_weight_unfolded(x, y, geometry):
    """As conv_weight."""
    # The other way round than in the readable form: in a stack of matrices, CuPy copies the one
    # that is transposed, and patches are the larger ones.
    w = _patches(unfold(x, geometry), geometry) @ _features(y, geometry).swapaxes(-1, -2)
    w = array_module(w).ascontiguousarray(w.sum(axis=0).swapaxes(-1, -2))
    return w.reshape(y.shape[1], x.shape[1] // geometry.groups, *geometry.kernel)


# ---------------------------------------------------------------- launches


def _handles(a, b, geometry, n, channels, filters):
    """Whether the kernels are made for this; places in an image, and in w, are 32-bit numbers."""
    big, small, taps = map(prod, (geometry.big, geometry.small, geometry.kernel))
    largest = max(channels * big, filters * small, filters * channels // geometry.groups * taps)
    return handles(a, b, axes=len(geometry.big)) and largest <= INSIDE


def _in_tf32(array):
    """Whether the products may be TF32, which cuBLAS has and the tiles have not."""
    return backends.cuda.allow_tf32 and array.dtype == np.float32


def _arguments(a, b, result, geometry, n, channels, filters):
    """What all kernels of convolution take; channels and filters are those of a group there."""
    xp, groups = array_module(a, b), geometry.groups
    arrays = xp.ascontiguousarray(a), xp.ascontiguousarray(b), result
    return *arrays, struct(geometry), n, groups, channels // groups, filters // groups
