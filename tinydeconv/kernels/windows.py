"""The kernels of pooling: what the windows of an image hold; on NumPy and on CuPy."""

from math import prod

import numpy as np

from ..backend import array_module
from .reference import fold, unfold
from .sparse import scatter_add


def max_pool_indices(x, geometry):
    """Where each window has its largest pixel: flat positions inside each image, (N, C, *small) of
    int64.
    """
    xp = array_module(x)
    image = xp.full((*x.shape[:2], *geometry.padded), -xp.inf, x.dtype)
    # even a pixel of -infinity must beat the padding
    image[:, :, *geometry.interior] = xp.maximum(x, xp.finfo(x.dtype).min)
    (_, first), *others = geometry.taps()
    largest = image[:, :, *first].copy()
    tap = xp.zeros(largest.shape, np.min_scalar_type(len(others)))
    for number, (_, window) in enumerate(others, 1):
        pixels = image[:, :, *window]
        wins = ~(pixels <= largest) & (largest == largest)  # so does a NaN, but only the first
        tap = xp.maximum(tap, wins * tap.dtype.type(number))
        largest = xp.maximum(largest, pixels)
    area = prod(geometry.small)
    positions = unfold(xp.arange(prod(geometry.big)).reshape(1, 1, *geometry.big), geometry)
    window = xp.arange(area).reshape(geometry.small)
    return positions.reshape(-1)[tap * np.int64(area) + window]


def window_sums(x, geometry):
    """The sum of the pixels in each window: (N, C, *big) -> (N, C, *small)."""
    image = array_module(x).zeros((*x.shape[:2], *geometry.padded), x.dtype)
    image[:, :, *geometry.interior] = x
    return sum(image[:, :, *window] for _, window in geometry.taps())


def window_spread(y, geometry):
    """The transpose of window_sums: each pixel adds up the windows that cover it, (N, C, *small) ->
    (N, C, *big).
    """
    taps = (1 for _ in geometry.kernel)
    cols = *y.shape[:2], *geometry.kernel, *geometry.small
    y = y.reshape(*y.shape[:2], *taps, *geometry.small)
    return fold(array_module(y).broadcast_to(y, cols), geometry)


def window_put(y, index, geometry):
    """Each window's number put at the pixel that it picked, added where others picked it too: (N,
    C, *small) -> (N, C, *big). `index` holds positions in the flat result.
    """
    shape = *y.shape[:2], *geometry.big
    sizes = zip(geometry.kernel, geometry.dilation, geometry.stride, strict=True)
    apart = all((k - 1) * d < s for k, d, s in sizes)  # then no pixel is picked twice
    return scatter_add(y, index, prod(shape), apart).reshape(shape)


def window_sizes(geometry, include_padding):
    """How many pixels each window covers, with or without the padding: (*small), a NumPy array of
    int64.
    """
    inside = np.zeros(geometry.padded, np.int64)
    whole = tuple(
        slice(n + low + high) for n, (low, high) in zip(geometry.big, geometry.padding, strict=True)
    )
    inside[whole if include_padding else geometry.interior] = 1
    return sum(inside[window] for _, window in geometry.taps())
