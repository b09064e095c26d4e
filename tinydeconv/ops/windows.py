"""Sliding windows over any number of spatial axes: unfold and its transpose fold, and pooling.

Max-pooling is a gather, unpooling the scatter that is its adjoint. (Adaptive averages are a matter
of resampling.py.)
"""

from math import prod

import numpy as np

from ..backend import array_module
from ..geometry import ConvGeometry, ntuple
from ..kernels import fastest, windows
from ..tensor import Tensor
from .conv import ConvOp
from .indexing import must_fit
from .promotion import must_be_tensor
from .shape import Gather, Scatter, reshape, squeeze, unsqueeze


class Unfold(ConvOp):
    """(N, C, *big) -> (N, C, *kernel, *small): the pixels that each tap meets."""

    linear = True

    def forward(self, x):
        return fastest(x).unfold(x, self.geometry)

    def backward(self, g, cols, x, needs):
        return Fold(self.geometry)(g)


class Fold(ConvOp):
    """(N, C, *kernel, *small) -> (N, C, *big): the transpose of Unfold."""

    linear = True

    def forward(self, cols):
        return fastest(cols).fold(cols, self.geometry)

    def backward(self, g, x, cols, needs):
        return Unfold(self.geometry)(g)


class WindowSum(ConvOp):
    """(N, C, *big) -> (N, C, *small): the sum of the pixels that each window covers."""

    linear = True

    def forward(self, x):
        return fastest(x).window_sums(x, self.geometry)

    def backward(self, g, y, x, needs):
        return WindowSpread(self.geometry)(g)


class WindowSpread(ConvOp):
    """(N, C, *small) -> (N, C, *big): the sum of the windows that cover each pixel, the transpose
    of WindowSum.
    """

    linear = True

    def forward(self, y):
        return fastest(y).window_spread(y, self.geometry)

    def backward(self, g, x, y, needs):
        return WindowSum(self.geometry)(g)


class WindowPick(Gather):
    """(N, C, *big) -> (N, C, *small): from each window the pixel at its flat position `index` in
    the whole array.
    """

    def __init__(self, index, geometry):
        self.index, self.geometry = index, geometry

    def backward(self, g, y, x, needs):
        return WindowPut(self.index, self.geometry)(g)


class WindowPut(WindowPick):
    """(N, C, *small) -> (N, C, *big): the transpose of WindowPick. It is a Scatter that knows which
    windows can have picked a pixel.
    """

    def forward(self, y):
        return fastest(y, self.index).window_put(y, self.index, self.geometry)

    def backward(self, g, x, y, needs):
        return WindowPick(self.index, self.geometry)(g)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Sliding patches as columns: (N, C, *spatial) -> (N, C * prod(kernel), L); as many spatial
    axes as kernel_size has ints.

    An int kernel_size means two axes, as in PyTorch; (C, *spatial) gives (C * prod(kernel), L).
    """
    kernel = _kernel(kernel_size)
    batched = _check_axes(x, len(kernel) + 2, "unfold", "(N, C, *spatial)")
    x = x if batched else unsqueeze(x, 0)
    geometry = ConvGeometry.of_conv(x.shape[2:], kernel, stride, padding, dilation)
    cols = Unfold(geometry)(x)
    cols = reshape(cols, x.shape[0], x.shape[1] * prod(kernel), prod(geometry.small))
    return cols if batched else squeeze(cols, 0)


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added back into an image: (N, C * prod(kernel), L) -> (N, C, *output_size); the
    transpose of unfold.
    """
    kernel = _kernel(kernel_size)
    batched = _check_axes(x, 3, "fold", "(N, C * prod(kernel), L)")
    x = x if batched else unsqueeze(x, 0)
    geometry = ConvGeometry.of_conv(
        ntuple(output_size, len(kernel), "output_size"), kernel, stride, padding, dilation
    )
    n, rows, columns = x.shape
    if rows % prod(kernel) or columns != prod(geometry.small):
        raise ValueError(
            f"fold to {geometry.big} with kernel {kernel} expects (N, a multiple of "
            f"{prod(kernel)}, {prod(geometry.small)}), got {x.shape}"
        )
    image = Fold(geometry)(reshape(x, n, rows // prod(kernel), *kernel, *geometry.small))
    return image if batched else squeeze(image, 0)


def _kernel(kernel_size):
    axes = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else 2
    return ntuple(kernel_size, axes, "kernel_size")


def _check_axes(x, ndim, name, layout):
    """Whether x has the batch axis; it may lack that one only."""
    if x.ndim not in (ndim, ndim - 1):
        raise ValueError(f"{name} expects {layout} or the same without N, got shape {x.shape}")
    return x.ndim == ndim


# ---------------------------------------------------------------- pooling


def max_pool(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False,
    *, axes,
):  # fmt: skip
    """The largest pixel of each window: (N, C, *spatial) or (C, *spatial); padding counts as
    -infinity.

    The indices are flat positions inside each channel's image; equal pixels give the first.
    """
    x, batched = as_batch(input, axes, kinds="fiu")
    geometry = _windows(x, axes, kernel_size, stride, padding, dilation, ceil_mode)
    if not windows.window_sizes(geometry, include_padding=False).all():
        raise ValueError(
            f"a window of the pooling holds padding alone: image {geometry.big}, kernel "
            f"{geometry.kernel}, dilation {geometry.dilation} and padding {padding}"
        )
    pixels = x.data if x.dtype.kind == "f" else x.data.astype(np.float64)
    indices = fastest(pixels).max_pool_indices(pixels, geometry)
    return _picked(x, indices, batched, return_indices, geometry)


def adaptive_max_pool(input, output_size, return_indices=False, *, axes):
    """The largest pixel of each of output_size windows that cover the image evenly.

    (N, C, *spatial) or (C, *spatial); output_size: an int, or one an axis, None for the image's
    own. The indices are flat positions inside each channel's image; equal pixels give the first.
    """
    x, batched = as_batch(input, axes)
    xp, big = array_module(x.data), x.shape[2:]
    small = adaptive_size(output_size, big)
    positions = np.zeros((1, 1), np.int64)  # (windows, taps), over more axes with each turn
    for n, m in zip(big, small, strict=True):
        start, end = adaptive_windows(n, m)
        # a window shorter than the longest repeats its last pixel, which changes no maximum
        taps = np.minimum(start[:, None] + np.arange(max(end - start, default=1)), end[:, None] - 1)
        pairs = positions[:, None, :, None] * n + taps[:, None]
        positions = pairs.reshape(len(positions) * m, positions.shape[1] * taps.shape[1])
    positions = xp.asarray(positions)
    pixels = x.data.reshape(*x.shape[:2], prod(big))[:, :, positions]
    indices = positions[xp.arange(prod(small)), pixels.argmax(axis=-1)]
    return _picked(x, indices.reshape(*x.shape[:2], *small), batched, return_indices)


def _picked(x, indices, batched, return_indices, geometry=None):
    """The pixels of x (N, C, *spatial) at flat positions inside each channel's image, one from each
    window of the geometry if there is one.
    """
    indices = Tensor(indices)
    places = _flat(indices, prod(x.shape[2:]))
    y = (WindowPick(places, geometry) if geometry else Gather(places))(x)
    if not batched:
        y, indices = squeeze(y, 0), squeeze(indices, 0)
    return (y, indices) if return_indices else y


def max_unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None, *, axes):
    """Each pixel put at its index in an image of zeros: the adjoint of max_pool.

    Pixels that share an index are added. (PyTorch keeps one of them, and does not say which.)
    """
    if indices.dtype.kind != "i" or indices.shape != input.shape:
        raise ValueError(
            f"max_unpool expects integer indices of the input's shape {input.shape}, got "
            f"{indices.dtype} of {indices.shape}"
        )
    x, batched = as_batch(input, axes)
    indices = indices if batched else unsqueeze(indices, 0)
    if output_size is None:
        kernel = ntuple(kernel_size, axes, "kernel_size")
        stride = kernel if stride is None else stride
        output_size = ConvGeometry.of_transposed(
            x.shape[2:], kernel, stride, ntuple(padding, axes, "padding")
        ).big
    output_size = ntuple(tuple(output_size)[-axes:], axes, "output_size")
    area = prod(output_size)
    hint = "; pass the output_size that max_pool had as input"
    must_fit(f"max_unpool to {output_size}, positions 0 to {area - 1},", indices, area, hint)
    y = Scatter(_flat(indices, area), (*x.shape[:2], *output_size))(x)
    return y if batched else squeeze(y, 0)


def avg_pool(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None, *, axes,
):  # fmt: skip
    """The mean of each window: (N, C, *spatial) or (C, *spatial)."""
    x, batched = as_batch(input, axes)
    geometry = _windows(x, axes, kernel_size, stride, padding, 1, ceil_mode)
    y = WindowSum(geometry)(x)
    if divisor_override is None:
        xp = array_module(x.data)
        y = y / Tensor(xp.asarray(windows.window_sizes(geometry, count_include_pad), dtype=x.dtype))
    elif divisor_override == 0:
        raise ValueError("expected a divisor_override other than 0")
    else:
        y = y / divisor_override
    return y if batched else squeeze(y, 0)


def as_batch(x, axes, kinds="f"):
    """(N, C, *spatial) of one image too, and whether it was a batch."""
    if must_be_tensor("the input", x).ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"pooling over {axes} axes expects (N, C, *spatial) or (C, *spatial), got shape "
            f"{x.shape}"
        )
    if x.dtype.kind not in kinds:
        raise TypeError(f"this pooling needs a floating input, got {x.dtype}: use .float()")
    return (x, True) if x.ndim == axes + 2 else (unsqueeze(x, 0), False)


def adaptive_size(output_size, spatial):
    """The size that an adaptive pooling of these spatial axes gives."""
    axes = len(spatial)
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * axes
    if len(sizes) == axes:
        sizes = tuple(n if m is None else m for n, m in zip(spatial, sizes, strict=True))
    sizes = ntuple(sizes, axes, "output_size (None keeps a size)")
    if min(sizes) < 0 or min(spatial) < 1:
        raise ValueError(f"cannot pool spatial axes of {spatial} to an output_size of {sizes}")
    return sizes


def adaptive_windows(n, m):
    """Where each of m windows over n pixels starts, and where it ends. They cover every pixel;
    neighbours share one where n / m is no whole number.
    """
    i = np.arange(m)
    return i * n // m, -(-(i + 1) * n // m)


def _windows(x, axes, kernel_size, stride, padding, dilation, ceil_mode):
    kernel = ntuple(kernel_size, axes, "kernel_size")
    padding = ntuple(padding, axes, "padding")
    for k, p in zip(kernel, padding, strict=True):
        if p > k // 2:
            raise ValueError(
                f"padding of a pooling must be at most half its kernel, got padding {p} and kernel "
                f"{k}"
            )
    stride = kernel if stride is None else stride
    return ConvGeometry.of_conv(x.shape[2:], kernel, stride, padding, dilation, ceil_mode=ceil_mode)


def _flat(indices, area):
    """Positions inside each image as positions in the whole array (N, C, *spatial)."""
    n, channels = indices.shape[:2]
    first = array_module(indices.data).arange(n * channels) * area
    return indices.data + first.reshape(n, channels, *(1,) * (indices.ndim - 2))
