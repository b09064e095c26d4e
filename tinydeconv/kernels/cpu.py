"""The three kernels of convolution, and matmul, for NumPy arrays: as fast as NumPy goes.

`reference.py` is the readable twin, and tests hold both to the same answers. It unfolds a whole
batch before it multiplies. Here the work is cut into *panels*, some output positions of some
images: so few that their patches are still in the cache when the matrix product reads them, and so
many that every core has its share. Panels follow from shapes alone, and partial sums are added in
their order, so the bits do not depend on the number of threads.
"""

from functools import partial
from itertools import groupby, product
from math import gcd, prod
from operator import itemgetter

import numpy as np

from .patches import Walk, cut, sizes, walk_over
from .reference import fold, unfold  # noqa: F401  (offered here too: see fastest)
from .sparse import resample, scatter_add  # noqa: F401
from .threads import run, scratch
from .windows import max_pool_indices, window_put, window_spread, window_sums  # noqa: F401

CACHE = 2**19  # numbers in the patches of a panel: 2 MB of float32
WHOLE = 2**22  # numbers in an image that features scatter onto, at most
WIDE = 256  # positions in a panel all the same: the product of a narrower one is slow
SUMMED = 1024  # positions in a panel whose products are summed up, as adding costs a pass
JOB = 2**22  # multiplications for which it is worth to wake a thread, some 50 microseconds
ALONE = 2**18  # multiplications, for which BLAS takes one thread by itself
SHARES = 8  # jobs at least, for as many cores, if there is work for them and panels have
NARROW = 64  # positions


# ---------------------------------------------------------------- the kernels


def conv(x, w, geometry):
    """(N, C, *big), (F, C / groups, *kernel) -> (N, F, *small), as reference.conv."""
    shape = len(x), len(w), *geometry.small
    if not x.size or not w.size:
        return np.zeros(shape, x.dtype)
    if _is_dense(geometry):
        return matmul(_rows(x), _rows(w).T).reshape(shape)
    y = np.empty(shape, x.dtype)
    kernel = w.reshape(geometry.groups, -1, *w.shape[1:])
    low = [low for low, _ in geometry.padding]
    run(_call, _correlations(x, kernel, y, geometry.stride, geometry.dilation, low))
    return y


def conv_transpose(y, w, geometry):
    """(N, F, *small), (F, C / groups, *kernel) -> (N, C, *big), as reference.conv_transpose.

    Either each feature scatters its kernel onto the image, or each pixel gathers from the features
    that meet it. Scattering adds numbers for each channel of the image, gathering copies some for
    each one of the features, which is quicker for as many; and gathering can be cut into panels,
    scattering needs a whole image.
    """
    channels = w.shape[1] * geometry.groups
    shape = len(y), channels, *geometry.big
    if not y.size or not w.size:
        return np.zeros(shape, y.dtype)
    if _is_dense(geometry):
        return matmul(_rows(y), _rows(w)).reshape(shape)
    x = np.empty(shape, y.dtype)
    few = 4 * channels <= len(w) and channels * prod(geometry.padded) <= WHOLE
    run(_call, list((_scatterings if few else _gatherings)(y, w, x, geometry)))
    return x


def conv_weight(x, y, geometry):
    """(N, C, *big), (N, F, *small) -> (F, C / groups, *kernel), as reference.conv_weight.

    A job is some panels for some channels, so few that their sum stays in the cache.
    """
    (n, channels), filters, groups = x.shape[:2], y.shape[1], geometry.groups
    shape = filters, channels // groups, *geometry.kernel
    if not x.size or not y.size:
        return np.zeros(shape, x.dtype)
    if _is_dense(geometry):
        return matmul(_rows(y).T, _rows(x)).reshape(shape)
    low = [low for low, _ in geometry.padding]
    walk = walk_over(
        geometry.small, geometry.kernel, geometry.stride, geometry.dilation, low, groups, n,
        min(channels, filters), x.dtype,
    )  # fmt: skip
    taps, positions = prod(geometry.kernel), n * prod(geometry.small)
    shares = _shares(prod(shape) * positions)
    number = max(channels * taps // SUMMED, shares * SUMMED // positions)
    blocks = _channel_blocks(channels, geometry, number)
    shares = -(-shares // len(blocks))
    panels = _panels(n, walk, blocks[0].stop * taps, shares, SUMMED)
    parts = cut(len(panels), -(-len(panels) // shares))

    def sum_of_panels(block, part):
        total = None
        for images, box in panels[part]:
            cols = walk.patches(x[images, block], box)
            features = walk.features(y[images, :, *box])
            each = scratch("each", (*cols.shape[:3], features.shape[2]), x.dtype)
            np.matmul(cols, features.swapaxes(2, 3), out=each)
            total = each.copy() if total is None else np.add(total, each, out=total)
        return total

    sums = run(_call, [partial(sum_of_panels, *job) for job in product(blocks, parts)])
    w = np.empty(shape, x.dtype)
    kernels = w.reshape(groups, -1, *shape[1:])

    def finish(i):
        first, *rest = sums[i * len(parts) : (i + 1) * len(parts)]
        some = slice(None) if groups > 1 else blocks[i]
        kernels[:, :, some] = walk.weights(sum(rest, first))

    run(finish, range(len(blocks)))
    return w


def matmul(a, b):
    """Stacks of matrices (..., n, k) @ (..., k, m); the axes in front broadcast.

    The longest axis of the result is cut into shares.
    """
    if a.size * b.shape[-1] <= ALONE:
        return a @ b
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.empty((*front, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    axis = int(np.argmax(y.shape)) - y.ndim
    share = -(-y.shape[axis] // _shares(y.size * a.shape[-1]))
    if axis >= -2:
        share = max(share, NARROW)

    def multiply(part):
        def mine(array, whole=None):
            if axis == whole or -axis > array.ndim or array.shape[axis] == 1:
                return array
            return array[(..., part, *(slice(None),) * (-axis - 1))]

        np.matmul(mine(a, -1), mine(b, -2), out=mine(y))

    run(multiply, cut(y.shape[axis], share))
    return y


# ---------------------------------------------------------------- forms


def _correlations(x, kernel, y, stride, dilation, low):
    """Jobs that write y[n, f, o] = sum over c, t of kernel[f, c, t] * x[n, c, where o and t meet].

    kernel: (groups, F / groups, C / groups, *kernel)
    """
    groups, channels = len(kernel), min(x.shape[1], y.shape[1])
    size = y.shape[2:], kernel.shape[3:], stride, dilation, low
    walk = walk_over(*size, groups, len(x), channels, x.dtype)
    filters = walk.filters(kernel)

    def correlate(images, box):
        cols = walk.patches(x[images], box)
        features = scratch("features", (*filters.shape[:3], cols.shape[3]), x.dtype)
        np.matmul(filters, cols, out=features)
        walk.write(features, y[images, :, *box])

    shares = _shares(kernel.size * len(x) * prod(walk.small))
    panels = _panels(len(x), walk, x.shape[1] * prod(walk.kernel), shares)
    return [partial(correlate, *panel) for panel in panels]


def _gatherings(y, w, x, geometry):
    """Jobs in which pixels gather. Those of one phase of the stride meet the same taps, as in a
    convolution of stride 1.
    """
    w = w.reshape(geometry.groups, -1, *w.shape[1:]).swapaxes(1, 2)
    axes = zip(geometry.big, geometry.kernel, geometry.stride, geometry.dilation, geometry.padding)
    for phase in product(*(list(_phases(*axis)) for axis in axes)):
        pixels, taps, dilation, low = zip(*phase)
        part = x[:, :, *pixels]
        if None in taps:  # a stride longer than the kernel leaves pixels that no tap reaches
            part[...] = 0
            continue
        kernel = w[:, :, :, *taps]
        yield from _correlations(y, kernel, part, (1,) * len(taps), dilation, low)


def _phases(big, kernel, stride, dilation, padding):
    """For each phase of an axis: its pixels, their taps (last first), and the dilation and the
    padding of the convolution that they make.
    """
    step = stride // gcd(stride, dilation)
    for first in range(min(stride, big)):
        place = first + padding[0]
        met = [t for t in range(kernel) if (place - t * dilation) % stride == 0]
        pixels = slice(first, None, stride)
        if met:
            low = (met[-1] * dilation - place) // stride
            yield pixels, slice(met[-1], None, -step), step * dilation // stride, low
        else:
            yield pixels, None, 1, 0


def _scatterings(y, w, x, geometry):
    """Jobs in which features scatter, each onto some channels of some images."""
    groups, filters, taps = geometry.groups, len(w), prod(geometry.kernel)
    matrices = w.reshape(groups, filters // groups, w[0].size).swapaxes(1, 2)
    ones = (1,) * len(geometry.small)
    walk = Walk(geometry.small, ones, ones, ones, (0,) * len(ones), groups)

    def scatter(images, boxes, block):
        rows = _rows_of(block, taps, groups)
        channels, n = block.stop - block.start, images.stop - images.start
        image = scratch("image", (channels, n, *geometry.padded), y.dtype)
        image[...] = 0
        for box in boxes:
            features = walk.features(y[images, :, *box])[0]
            cols = scratch("cols", (channels, *geometry.kernel, n, *sizes(box)), y.dtype)
            np.matmul(matrices[:, rows], features, out=cols.reshape(groups, -1, features.shape[2]))
            for tap in np.ndindex(geometry.kernel):
                window = tuple(
                    slice(t * d + part.start * s, t * d + (part.stop - 1) * s + 1, s)
                    for t, d, s, part in zip(tap, geometry.dilation, geometry.stride, box)
                )
                image[:, :, *window] += cols[:, *tap]
        x[images, block] = image[:, :, *geometry.interior].swapaxes(0, 1)

    blocks = _channel_blocks(x.shape[1], geometry, x.shape[1] * taps // SUMMED)
    panels = _panels(len(y), walk, blocks[0].stop * taps, _shares(w.size * y.size // filters))
    for images, of_these in groupby(panels, itemgetter(0)):
        boxes = [box for _, box in of_these]
        yield from (partial(scatter, images, boxes, block) for block in blocks)


# ---------------------------------------------------------------- panels


def _shares(multiplications):
    """How many jobs so much work is to be, at least."""
    return max(1, min(SHARES, multiplications // JOB))


def _panels(n, walk, width, shares, least=None):
    """The output positions in panels: [(images, box), ...], slices of the batch and of each axis.

    width: numbers in the patch of a position; shares: panels at least; least: positions in a panel,
    if there are so many.
    """
    room = max(least or WIDE, CACHE // width) / walk.share
    room = int(max(NARROW, min(room, n * prod(walk.small) // shares)))
    cuts: list = []
    for size in reversed(walk.small):
        together = walk.together if len(cuts) == len(walk.small) - 1 else 1
        cuts.insert(0, cut(size, room, together))
        room = room // size if len(cuts[0]) == 1 else 1
    return list(product(cut(n, room), product(*cuts)))


def _channel_blocks(channels, geometry, number):
    """The channels in so many slices; groups are not parted."""
    return cut(channels, channels // max(1, number) if geometry.groups == 1 else channels)


def _rows_of(block, taps, groups):
    """Where some channels are among the rows of a group's patches."""
    return slice(block.start * taps, block.stop * taps) if groups == 1 else slice(None)


# ---------------------------------------------------------------- one position


def _is_dense(geometry):
    """Whether the kernel is as large as the image: then there are no patches, only a product."""
    return (
        geometry.groups == 1
        and set(geometry.small) == {1}
        and geometry.big == geometry.kernel
        and not any(map(any, geometry.padding))
    )


def _rows(array):
    return array.reshape(len(array), -1)


def _call(job):
    return job()
