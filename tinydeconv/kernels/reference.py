"""The three kernels of convolution, in their most readable form; they run on NumPy and on CuPy.

All of them are built from one walk over the taps of a kernel. For a tap, the pixels that it meets
are one strided slice of the padded image; `unfold` copies those slices out, `fold` adds them back
(its transpose), and in between stands one matrix product for each image and group:

    conv            y    = w   @ unfold(x)
    conv_transpose  x    = fold(w.T @ y)
    conv_weight     w    = sum over images of y @ unfold(x).T

They are the three partial derivatives of one trilinear form <y, conv(x, w)> = <x, conv_transpose(y,
w)> = <w, conv_weight(x, y)>.

Shapes: x (N, C, *big), w (F, C / groups, *kernel), y (N, F, *small), cols (N, C, *kernel, *small).
"""

from math import prod

from ..backend import array_module


def unfold(x, geometry, fill=0):
    """The pixels that each tap meets: (N, C, *big) -> (N, C, *kernel, *small). Padding reads as
    `fill`.
    """
    xp = array_module(x)
    image = xp.full((*x.shape[:2], *geometry.padded), fill, x.dtype)
    image[:, :, *geometry.interior] = x
    cols = xp.empty((*x.shape[:2], *geometry.kernel, *geometry.small), x.dtype)
    for tap, window in geometry.taps():
        cols[:, :, *tap] = image[:, :, *window]
    return cols


def fold(cols, geometry):
    """The transpose of unfold: (N, C, *kernel, *small) -> (N, C, *big), overlaps added."""
    xp = array_module(cols)
    image = xp.zeros((*cols.shape[:2], *geometry.padded), cols.dtype)
    for tap, window in geometry.taps():
        image[:, :, *window] += cols[:, :, *tap]
    return xp.ascontiguousarray(image[:, :, *geometry.interior])


def conv(x, w, geometry):
    """Convolution (cross-correlation, as everywhere in deep learning): (N, C, *big) -> (N, F,
    *small).
    """
    y = _filters(w, geometry) @ _patches(unfold(x, geometry), geometry)
    return y.reshape(len(x), w.shape[0], *geometry.small)


def conv_transpose(y, w, geometry):
    """Transposed convolution: (N, F, *small) -> (N, C, *big). Each feature paints its kernel onto
    the image.
    """
    cols = _filters(w, geometry).swapaxes(-1, -2) @ _features(y, geometry)
    channels = w.shape[1] * geometry.groups
    return fold(cols.reshape(len(y), channels, *geometry.kernel, *geometry.small), geometry)


def conv_weight(x, y, geometry):
    """How each weight joins image and features: (N, C, *big), (N, F, *small) -> (F, C / groups,
    *kernel).
    """
    w = _features(y, geometry) @ _patches(unfold(x, geometry), geometry).swapaxes(-1, -2)
    return w.sum(axis=0).reshape(y.shape[1], x.shape[1] // geometry.groups, *geometry.kernel)


def matmul(a, b):
    """Stacks of matrices (..., n, k) @ (..., k, m); the axes in front broadcast."""
    return a @ b


# The same three arrays as stacks of matrices, one for each image and group (K taps, S positions).


def _filters(w, geometry):
    """(F, C/G, *kernel) -> (G, F/G, C/G * K)"""
    groups = geometry.groups
    return w.reshape(groups, w.shape[0] // groups, w.shape[1] * prod(geometry.kernel))


def _patches(cols, geometry):
    """(N, C, *kernel, *small) -> (N, G, C/G * K, S)"""
    (n, channels), groups, taps = cols.shape[:2], geometry.groups, prod(geometry.kernel)
    return cols.reshape(n, groups, channels // groups * taps, prod(geometry.small))


def _features(y, geometry):
    """(N, F, *small) -> (N, G, F/G, S)"""
    (n, filters), groups = y.shape[:2], geometry.groups
    return y.reshape(n, groups, filters // groups, prod(geometry.small))
