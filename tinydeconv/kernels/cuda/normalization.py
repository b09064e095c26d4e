"""Launches the kernels of normalize.cu and activations.cu.

A mean, a variance and a sum are one number for each channel, in a shape with 1 along the other
axes. The axes of the channels must lie side by side: otherwise None is what the functions give.
"""

from math import prod

import numpy as np

from ...backend import array_module
from .launch import launch, launch_over

ADDERS = 512  # threads in a block that sums: THREADS of normalize.cu
WRITERS = 256  # threads in one that does not, which have
EACH = 4  # numbers each, if there are so many


def normalize(x, w, b, axes, eps):
    """(x - mean) * scale * w + b, and the mean and the biased variance over the axes, and the scale
    1 / sqrt(var + eps).
    """
    shape = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    sizes = _sizes(x, shape)
    if sizes is None:
        return None
    x, w, b = _in_order(x, _in_turn(w, shape), _in_turn(b, shape))
    y, mean, var, scale = (_empty(x, s) for s in (x.shape, shape, shape, shape))
    _launch("moments", sizes, x, mean, var, scale, float(eps), sums=True)
    _launch("normalize", sizes, x, mean, scale, w, b, y, w.size, b.size)
    return y, mean, var, scale


def normalize_grad(g, x, w, mean, scale, wanted):
    """The gradients of x (None where it is not wanted), of w and of b, one number for each channel,
    from that of what `normalize` gives.
    """
    sizes = _sizes(x, mean.shape)
    if sizes is None:
        return None
    g, x, w = _in_order(g, x, _in_turn(w, mean.shape))
    gx, gw, gb = None, _empty(x, mean.shape), _empty(x, mean.shape)
    _launch("normalize_sums", sizes, g, x, mean, scale, gw, gb, sums=True)
    if wanted:
        gx = _empty(x, x.shape)
        _launch("normalize_grad", sizes, g, x, mean, scale, w, gw, gb, gx, w.size)
    return gx, gw, gb


def follow(mean, var, running_mean, running_var, momentum, unbiased):
    """The running statistics (C,) after those of a batch, which end in axes of C, 1, 1, ..."""
    old = _in_order(running_mean, running_var)
    new = [_empty(a, a.shape) for a in old]
    numbers = float(momentum), float(unbiased), mean.size // old[0].size, old[0].size
    launch_over(old[0].size, "normalize.cu", "follow", mean, var, *old, *new, *numbers)
    return new


def elementwise(kernel, *arrays):
    """What a kernel of activations.cu, (name, *numbers), makes of arrays of one shape."""
    (name, *numbers), y = kernel, _empty(arrays[0], arrays[0].shape)
    launch_over(y.size, "activations.cu", name, *_in_order(*arrays), y, *numbers, np.int64(y.size))
    return y


def _launch(name, sizes, *arguments, sums=False):
    """Launches a kernel over channels: one block each for what is summed, else a few."""
    outer, channels, inner = sizes
    threads, parts = (ADDERS, 1) if sums else (WRITERS, -(-outer * inner // (WRITERS * EACH)))
    grid = channels, min(parts, 65535)
    launch("normalize.cu", name, grid, (threads,), *arguments, *sizes)


def _sizes(x, shape):
    """(outer, channels, inner): x as the kernels see it; None where the channels, whose axes have
    not size 1 in `shape`, do not lie side by side, where there are no numbers, or too many.
    """
    kept = [axis for axis, n in enumerate(shape) if n > 1]
    first, last = (kept[0], kept[-1] + 1) if kept else (0, 0)
    sizes = prod(x.shape[:first]), prod(shape), prod(x.shape[last:])
    return sizes if 0 < prod(sizes) == x.size and max(sizes) < 2**31 else None


def _in_turn(w, shape):
    """w, which broadcasts against a shape, so that the channels there have its numbers in turn."""
    own = w.shape[next((axis for axis, n in enumerate(w.shape) if n > 1), w.ndim) :]
    if own == shape[len(shape) - len(own) :]:
        return w
    return array_module(w).broadcast_to(w, shape)


def _in_order(*arrays):
    return [array_module(a).ascontiguousarray(a) for a in arrays]


def _empty(like, shape):
    return array_module(like).empty(shape, like.dtype)
