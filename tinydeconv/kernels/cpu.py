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
from typing import NamedTuple

import numpy as np

from .threads import run, scratch

CACHE = 2**18  # numbers in the patches of a panel: 1 MB of float32
WIDE = 256  # positions in a panel all the same: the product of a narrower one is slow
SUMMED = 1024  # positions in a panel whose products are summed up, as adding costs a pass
SHARES = 8  # jobs at least, for as many cores, as long as panels have
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
    filters = w.reshape(geometry.groups, -1, w[0].size)
    run(_call, _correlations(x, filters, y, _walk(geometry)))
    return y


def conv_transpose(y, w, geometry):
    """(N, F, *small), (F, C / groups, *kernel) -> (N, C, *big), as reference.conv_transpose.

    Either each feature scatters its kernel onto the image, or each pixel gathers from the features
    that meet it. Scattering adds numbers for each channel of the image, gathering copies some for
    each one of the features: the fewer decide.
    """
    channels = w.shape[1] * geometry.groups
    shape = len(y), channels, *geometry.big
    if not y.size or not w.size:
        return np.zeros(shape, y.dtype)
    if _is_dense(geometry):
        return matmul(_rows(y), _rows(w)).reshape(shape)
    x = np.empty(shape, y.dtype)
    form = _scatterings if 4 * channels <= len(w) else _gatherings
    run(_call, list(form(y, w, x, geometry)))
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
    walk, taps = _walk(geometry), prod(geometry.kernel)
    positions = n * prod(geometry.small)
    blocks = _channel_blocks(channels, geometry, max(channels * taps // SUMMED, SHARES * SUMMED // positions))
    shares = -(-SHARES // len(blocks))
    panels = _panels(n, geometry.small, blocks[0].stop * taps, SUMMED, shares)
    parts = _cut(len(panels), -(-len(panels) // shares))

    def sum_of_panels(block, part):
        total = None
        for images, box in panels[part]:
            cols = walk.patches(x[images, block], box, groups)
            features = _features(y[images, :, *box], groups)
            each = scratch("each", (groups, cols.shape[1], features.shape[1]), x.dtype)
            np.matmul(cols, features.swapaxes(1, 2), out=each)
            total = each.copy() if total is None else np.add(total, each, out=total)
        return total

    sums = run(_call, [partial(sum_of_panels, *job) for job in product(blocks, parts)])
    w = np.empty(shape, x.dtype)
    rows = w.reshape(groups, filters // groups, -1)

    def finish(i):
        first, *rest = sums[i * len(parts) : (i + 1) * len(parts)]
        rows[:, :, _rows_of(blocks[i], taps, groups)] = sum(rest, first).swapaxes(1, 2)

    run(finish, range(len(blocks)))
    return w


def matmul(a, b):
    """Stacks of matrices (..., n, k) @ (..., k, m); the axes in front broadcast.

    The longest axis of the result is cut into shares.
    """
    front = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.empty((*front, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    axis = int(np.argmax(y.shape)) - y.ndim
    share = max(NARROW if axis >= -2 else 1, -(-y.shape[axis] // SHARES))
    if y.size * a.shape[-1] < 2**19:  # not worth a thread
        share = y.shape[axis]

    def multiply(part):
        def mine(array, whole=None):
            if axis == whole or -axis > array.ndim or array.shape[axis] == 1:
                return array
            return array[(..., part, *(slice(None),) * (-axis - 1))]

        np.matmul(mine(a, -1), mine(b, -2), out=mine(y))

    run(multiply, _cut(y.shape[axis], share))
    return y


# ---------------------------------------------------------------- patches


class _Walk(NamedTuple):
    """How taps walk over an image: position o meets, for tap t, pixel o * stride + t * dilation -
    low; what lies outside reads as zero.
    """

    kernel: tuple
    stride: tuple
    dilation: tuple
    low: tuple

    def patches(self, x, box, groups):
        """What the taps meet from a box of positions: (n, C, *big) -> (groups, C / groups * taps, n
        * positions), in scratch memory or as a view of x.
        """
        n, channels = x.shape[:2]
        size = _size(box)
        part, still = x[:, :, *box], set(self.kernel + self.stride) == {1} and not any(self.low)
        if still and n == 1 and part.shape[2:] == size:
            return part.reshape(groups, channels // groups, prod(size))
        image = self._padded(x, box, size)
        cols = scratch("cols", (channels, *self.kernel, n, *size), x.dtype)
        channel, copy, *steps = image.strides
        taps = (step * d for step, d in zip(steps, self.dilation))
        positions = (step * s for step, s in zip(steps, self.stride))
        strides = channel, *taps, copy, *positions  # of a view in which each tap is an index
        cols[...] = np.ndarray(cols.shape, x.dtype, image, strides=strides)
        return cols.reshape(groups, -1, n * prod(size))

    def _padded(self, x, box, size):
        """The pixels that the box needs, zeros around them: (C, n, *extent)."""
        extent, inside, pixels = [], [], []
        for big, part, o, k, s, d, low in zip(x.shape[2:], box, size, *self):
            first, reach = part.start * s - low, (o - 1) * s + (k - 1) * d + 1
            start, stop = min(max(first, 0), big), min(max(first + reach, 0), big)
            extent.append(reach)
            inside.append(slice(start - first, stop - first))
            pixels.append(slice(start, stop))
        image = scratch("image", (x.shape[1], len(x), *extent), x.dtype)
        image[...] = 0
        image[:, :, *inside] = x[:, :, *pixels].swapaxes(0, 1)
        return image


def _features(y, groups):
    """(n, F, *box) -> (groups, F / groups, n * positions)"""
    shape = groups, y.shape[1] // groups, y.size // y.shape[1]
    if len(y) == 1:
        return y.reshape(shape)
    features = scratch("features", shape, y.dtype)
    features.reshape(y.shape[1], len(y), *y.shape[2:])[...] = y.swapaxes(0, 1)
    return features


# ---------------------------------------------------------------- forms


def _correlations(x, filters, y, walk):
    """Jobs that write y[n, f, o] = sum over c, t of w[f, c, t] * x[n, c, where o and t meet].

    filters: (groups, F / groups, C / groups * taps)
    """

    def correlate(images, box):
        cols = walk.patches(x[images], box, len(filters))
        features = scratch("features", (*filters.shape[:2], cols.shape[2]), x.dtype)
        np.matmul(filters, cols, out=features)
        part = y[images, :, *box].swapaxes(0, 1)
        part[...] = features.reshape(part.shape)

    panels = _panels(len(x), y.shape[2:], len(filters) * filters.shape[2])
    return [partial(correlate, *panel) for panel in panels]


def _gatherings(y, w, x, geometry):
    """Jobs in which pixels gather. Those of one phase of the stride meet the same taps, as in a
    convolution of stride 1.
    """
    groups = geometry.groups
    w = np.moveaxis(w.reshape(groups, -1, *w.shape[1:]), 2, -1)  # quick to copy
    axes = zip(
        geometry.big, geometry.kernel, geometry.stride, geometry.dilation, geometry.padding
    )
    for phase in product(*(list(_phases(*axis)) for axis in axes)):
        pixels, taps, dilation, low = zip(*phase)
        part = x[:, :, *pixels]
        if None in taps:  # a stride longer than the kernel leaves pixels that no tap reaches
            part[...] = 0
            continue
        kernel = w[:, :, *taps]
        walk = _Walk(kernel.shape[2:-1], (1,) * len(taps), dilation, low)
        filters = kernel.reshape(groups, -1, w.shape[-1]).swapaxes(1, 2)
        yield from _correlations(y, filters, part, walk)


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

    def scatter(images, boxes, block):
        rows = _rows_of(block, taps, groups)
        channels, n = block.stop - block.start, images.stop - images.start
        image = scratch("image", (channels, n, *geometry.padded), y.dtype)
        image[...] = 0
        for box in boxes:
            features = _features(y[images, :, *box], groups)
            cols = scratch("cols", (channels, *geometry.kernel, n, *_size(box)), y.dtype)
            np.matmul(matrices[:, rows], features, out=cols.reshape(groups, -1, features.shape[2]))
            for tap in np.ndindex(geometry.kernel):
                window = tuple(
                    slice(t * d + part.start * s, t * d + (part.stop - 1) * s + 1, s)
                    for t, d, s, part in zip(tap, geometry.dilation, geometry.stride, box)
                )
                image[:, :, *window] += cols[:, *tap]
        x[images, block] = image[:, :, *geometry.interior].swapaxes(0, 1)

    blocks = _channel_blocks(x.shape[1], geometry, x.shape[1] * taps // SUMMED)
    panels = _panels(len(y), geometry.small, blocks[0].stop * taps)
    for images, of_these in groupby(panels, itemgetter(0)):
        boxes = [box for _, box in of_these]
        yield from (partial(scatter, images, boxes, block) for block in blocks)


# ---------------------------------------------------------------- panels


def _panels(n, small, width, least=None, shares=None):
    """The output positions in panels: [(images, box), ...], slices of the batch and of each axis.

    width: numbers in the patch of a position; least: positions in a panel, if there are so many.
    """
    room = max(least or WIDE, CACHE // width)
    room = max(NARROW, min(room, n * prod(small) // (shares or SHARES)))
    cuts: list = []
    for size in reversed(small):
        cuts.insert(0, _cut(size, room))
        room = room // size if len(cuts[0]) == 1 else 1
    return list(product(_cut(n, room), product(*cuts)))


def _channel_blocks(channels, geometry, number):
    """The channels in so many slices; groups are not parted."""
    return _cut(channels, channels // max(1, number) if geometry.groups == 1 else channels)


def _rows_of(block, taps, groups):
    """Where some channels are among the rows of a group's patches."""
    return slice(block.start * taps, block.stop * taps) if groups == 1 else slice(None)


def _cut(size, most):
    """range(size) in slices of at most so many: as few as can be, and of about one length."""
    parts = -(-size // max(1, most))
    return [slice(size * i // parts, size * (i + 1) // parts) for i in range(parts)]


def _size(box):
    return tuple(part.stop - part.start for part in box)


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


def _walk(geometry):
    low = tuple(low for low, _ in geometry.padding)
    return _Walk(geometry.kernel, geometry.stride, geometry.dilation, low)


def _call(job):
    return job()
