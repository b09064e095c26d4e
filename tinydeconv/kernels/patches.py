"""Patches of images, and the other matrices of `cpu.py`: what is multiplied by what.

A walk tells which pixels the taps of a kernel meet. `Walk` lays them out as they are, `ShortWalk`
so that fewer products are needed. Both give matrices with an axis of products in front:

    filters  (products, groups, F / groups, C / groups * taps)
    patches  (products, groups, C / groups * taps, n * positions)
    features (products, groups, F / groups, n * positions)
"""

from math import prod

import numpy as np

from .threads import run, scratch

CHANNELS = 16  # in and out, and
POSITIONS = 1024  # from which on fewer products pay for what they take besides


def walk_over(small, kernel, stride, dilation, low, groups, n, channels, dtype):
    """The walk for a convolution: sizes an axis; channels: the fewer, of those in and out."""
    pays = (
        groups == 1
        and len(small) > 1
        and (kernel[0], stride[0], dilation[0]) == (ShortWalk.taps, 1, 1)
        and small[0] >= ShortWalk.together
        and channels >= CHANNELS
        and n * prod(small) >= POSITIONS
        and dtype in (np.float32, np.float64)
    )
    return (ShortWalk if pays else Walk)(small, kernel, stride, dilation, low, groups)


class Walk:
    """Position o meets, for tap t, pixel o * stride + t * dilation - low; outside the image there
    are zeros.
    """

    together = 1  # rows that a panel must not part
    share = 1.0  # products that are left of those of the definition

    def __init__(self, small, kernel, stride, dilation, low, groups):
        self.small, self.kernel, self.groups = small, kernel, groups
        self.stride, self.dilation, self.low = stride, dilation, low

    def patches(self, x, box):
        """What the taps meet from a box of positions, in scratch memory or as a view of x."""
        n, channels = x.shape[:2]
        size, part = sizes(box), x[:, :, *box]
        still = {*self.kernel, *self.stride} == {1} and not any(self.low)
        if still and n == 1 and part.shape[2:] == size:
            return part.reshape(1, self.groups, channels // self.groups, -1)
        extent, inside, pixels = self._reach(x, box, size)
        image = scratch("image", (channels, n, *extent), x.dtype)
        image[...] = 0
        image[:, :, *inside] = x[:, :, *pixels].swapaxes(0, 1)
        channel, copy, *steps = image.strides
        cols = scratch("cols", (channels, *self.kernel, n, *size), x.dtype)
        strides = channel, *self._taps(steps), copy, *self._positions(steps)
        cols[...] = np.ndarray(cols.shape, x.dtype, image, strides=strides)
        return cols.reshape(1, self.groups, -1, n * prod(size))

    def _reach(self, x, box, size):
        """How many pixels the taps reach from the box, an axis; where the image's own lie among
        them, and which they are.
        """
        extent, inside, pixels = [], [], []
        each = zip(x.shape[2:], box, size, self.kernel, self.stride, self.dilation, self.low)
        for big, part, o, k, s, d, low in each:
            first, reach = part.start * s - low, (o - 1) * s + (k - 1) * d + 1
            start, stop = min(max(first, 0), big), min(max(first + reach, 0), big)
            extent.append(reach)
            inside.append(slice(start - first, stop - first))
            pixels.append(slice(start, stop))
        return extent, inside, pixels

    def _taps(self, steps):
        """Strides of an image's view in which each tap is an index, over the last axes."""
        return (step * d for step, d in zip(steps, self.dilation[-len(steps) :]))

    def _positions(self, steps):
        return (step * s for step, s in zip(steps, self.stride[-len(steps) :]))

    def features(self, y):
        """Those of a box, (n, F, *sizes)."""
        shape = 1, self.groups, y.shape[1] // self.groups, y.size // y.shape[1]
        if len(y) == 1:
            return y.reshape(shape)
        features = scratch("features", shape, y.dtype)
        features.reshape(y.shape[1], len(y), *y.shape[2:])[...] = y.swapaxes(0, 1)
        return features

    def write(self, features, y):
        """The features of a box into (n, F, *sizes)."""
        y = y.swapaxes(0, 1)
        y[...] = features.reshape(y.shape)

    def filters(self, kernel):
        """(groups, F / groups, C / groups, *kernel) as filters."""
        if _features_inside(kernel):
            return (
                np.moveaxis(kernel, 1, -1)
                .reshape(1, self.groups, -1, kernel.shape[1])
                .swapaxes(2, 3)
            )
        return kernel.reshape(1, *kernel.shape[:2], -1)

    def weights(self, sums):
        """(products, groups, C / groups * taps, F / groups), the gradient of filters, as the
        gradient of kernels: (groups, F / groups, C / groups, *kernel).
        """
        _, groups, _, filters = sums.shape
        return sums.swapaxes(2, 3).reshape(groups, filters, -1, *self.kernel)


class ShortWalk(Walk):
    """Four rows of outputs together from 6 products instead of 12, where 3 taps meet rows.

    Outputs y of taps w over 6 pixels d are bilinear, as the product of two polynomials is, which
    follows from the products of their values at 6 points. Transposed, that says

        y = V(4).T @ ((V(3) @ w) * (inv(V(6)).T @ d))

    with V(k) the powers 0 to k - 1 of the points; of the point infinity, the last power alone.
    (Winograd 1980, Arithmetic Complexity of Computations; Lavin and Gray 2016, arXiv:1509.09308.)
    Here only along rows, so that all but the transform of the pixels are long matrix products. A
    convolution of 64 channels or more takes 2/3 to 3/4 of the time.
    """

    together, taps, products = 4, 3, 6
    share = products / (together * taps)

    def patches(self, x, box):
        n, channels = x.shape[:2]
        rows, *across = sizes(box)
        fours = -(-rows // self.together)
        extent, inside, pixels = self._reach(x, box, (fours * self.together, *across))
        image = scratch("image", (extent[0], channels, n, *extent[1:]), x.dtype)
        image[...] = 0
        image[inside[0], :, :, *inside[1:]] = np.moveaxis(x[:, :, *pixels], (2, 1), (0, 1))
        row, number = image.strides[0], x.itemsize
        lines = np.ndarray(  # six rows each, of which two are in the next six too
            (fours, self.products, row // number),
            x.dtype,
            image,
            strides=(self.together * row, row, number),
        )
        mixed = scratch("mixed", lines.shape, x.dtype)
        np.matmul(_matrix(_OF_PIXELS, x), lines, out=mixed)
        mixed = mixed.reshape(fours, self.products, *image.shape[1:])
        four, product, channel, copy, *steps = mixed.strides
        shape = self.products, channels, *self.kernel[1:], n, fours, *across
        cols = scratch("cols", shape, x.dtype)
        strides = product, channel, *self._taps(steps), copy, four, *self._positions(steps)
        cols[...] = np.ndarray(cols.shape, x.dtype, mixed, strides=strides)
        return cols.reshape(self.products, 1, -1, n * fours * prod(across))

    def features(self, y):
        filters, rows = y.shape[1:3]
        fours = -(-rows // self.together)
        lines = scratch("lines", (self.together, filters, len(y), fours, *y.shape[3:]), y.dtype)
        for i, line in enumerate(lines):
            some = y[:, :, i :: self.together].swapaxes(0, 1)
            line[:, :, : some.shape[2]] = some
            line[:, :, some.shape[2] :] = 0
        features = scratch("features", (self.products, lines[0].size), y.dtype)
        np.matmul(_matrix(_OF_ROWS.T, y), lines.reshape(self.together, -1), out=features)
        return features.reshape(self.products, 1, filters, -1)

    def write(self, features, y):
        filters, rows = y.shape[1:3]
        shape = filters, len(y), -(-rows // self.together), *y.shape[3:]
        lines = scratch("lines", (self.together, prod(shape)), y.dtype)
        np.matmul(_matrix(_OF_ROWS, y), features.reshape(self.products, -1), out=lines)
        for i, line in enumerate(lines):
            some = y[:, :, i :: self.together].swapaxes(0, 1)
            some[...] = line.reshape(shape)[:, :, : some.shape[2]]

    def filters(self, kernel):
        inside = _features_inside(kernel)
        taps = np.moveaxis(kernel[0], 0, -1) if inside else kernel[0]
        taps = np.moveaxis(taps, 1 if inside else 2, 0)  # (3, C, *across, F) or (3, F, C, *across)
        mixed = np.empty((self.products, *taps.shape[1:]), kernel.dtype)

        def mix(part):
            some = taps[:, part]
            made = _matrix(_OF_TAPS, kernel) @ some.reshape(self.taps, -1)
            mixed[:, part] = made.reshape(self.products, *some.shape[1:])

        run(mix, cut(taps.shape[1], 64))
        if inside:
            return mixed.reshape(self.products, 1, -1, kernel.shape[1]).swapaxes(2, 3)
        return mixed.reshape(self.products, 1, kernel.shape[1], -1)

    def weights(self, sums):
        filters = sums.shape[-1]
        taps = _matrix(_OF_TAPS.T, sums) @ sums.reshape(self.products, -1)
        taps = taps.reshape(self.taps, -1, *self.kernel[1:], filters)
        return np.moveaxis(taps, (-1, 1, 0), (0, 1, 2))[None]


def _powers(points, count):
    values = np.vander([*points, 0.0], count, increasing=True)
    values[-1] = np.arange(count) == count - 1
    return values


def _matrix(values, like):
    return values.astype(like.dtype)


POINTS = 0, 0.75, -0.75, 1.5, -1.5  # of those tried, the least rounding error: twice the plain one
_OF_TAPS = _powers(POINTS, ShortWalk.taps)
_OF_ROWS = _powers(POINTS, ShortWalk.together).T
_OF_PIXELS = np.linalg.inv(_powers(POINTS, ShortWalk.products)).T


def _features_inside(kernel):
    """Whether features lie closer in memory than channels, as when the roles of the two are
    exchanged: it is quick to copy a kernel in its own order, and BLAS takes either.
    """
    return kernel.strides[1] < kernel.strides[2]


def cut(size, most, together=1):
    """range(size) in slices of at most so many: as few as can be, of about one length, which is a
    multiple of `together`.
    """
    units = -(-size // together)
    parts = -(-units // max(1, most // together))
    ends = [min(size, units * i // parts * together) for i in range(parts + 1)]
    return [slice(*ends[i : i + 2]) for i in range(parts)]


def sizes(box):
    return tuple(part.stop - part.start for part in box)
