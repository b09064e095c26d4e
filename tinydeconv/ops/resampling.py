"""Resampling: padding, resizing, and the averages of adaptive windows.

Along an axis, each pixel of the output is a weighted sum of pixels of the input: a sparse matrix an
axis. So a mode is a rule that says which pixels with which weights, one op applies the matrix, and
every gradient is its transpose.
"""

from functools import partial
from math import ceil, inf, prod

import numpy as np

from ..backend import array_module
from ..engine import Op
from ..geometry import ntuple, positive
from ..kernels import fastest
from ..tensor import Tensor
from .elementwise import where
from .promotion import must_be_tensor
from .reduction import mean
from .shape import Paste, Slice, permute, reshape, squeeze
from .windows import adaptive_size, adaptive_windows, as_batch


class Resample(Op):
    """A sparse matrix applied along an axis: y[row] = the sum of weight * x[column] over its
    `entries` (rows, columns, weights). What no entry names is not read: a NaN stays where it is.
    """

    linear = True

    def __init__(self, axis, size, entries):
        order = np.argsort(entries[0], kind="stable")
        self.axis, self.size = axis, size
        self.entries = [np.asarray(part)[order] for part in entries]

    def forward(self, x):
        return fastest(x).resample(x, self.axis, self.size, self.entries)

    def backward(self, g, y, x, needs):
        rows, columns, weights = self.entries
        return Resample(self.axis, x.shape[self.axis], (columns, rows, weights))(g)


def _resample(x, matrices):
    """x with a matrix (size, entries) applied to each of its last axes."""
    for axis, (size, entries) in enumerate(matrices, x.ndim - len(matrices)):
        x = Resample(axis, size, entries)(x)
    return x


def _matrix(columns, weights=1.0, named=True):
    """(size, entries) of a matrix whose row i names columns[i], with weights[i], where `named`."""
    shape = columns.shape
    weights, named = np.broadcast_to(weights, shape), np.broadcast_to(named, shape)
    return len(columns), (np.indices(shape)[0][named], columns[named], weights[named])


# ---------------------------------------------------------------- padding


def pad(input, pad, mode="constant", value=None):
    """Pixels added around the last axes; negative numbers cut pixels off.

    pad: (low, high) of the last axis, then of the one before it, and so on. mode: "constant" (of
    `value`, by default 0; any axes of any tensor), "reflect" (about the border pixel), "replicate"
    or "circular" (1 to 3 spatial axes of (N, C, *spatial) or (C, *spatial)).
    """
    shape = must_be_tensor("the input", input).shape
    if mode not in ("constant", "reflect", "replicate", "circular"):
        raise ValueError(
            f"the mode of padding is constant, reflect, replicate or circular, got {mode!r}"
        )
    if value and mode != "constant":
        raise ValueError(f"{mode} padding repeats pixels: it takes no value, got {value}")
    if not isinstance(pad, (tuple, list)) or len(pad) % 2:
        raise ValueError(
            f"expected pad to hold (low, high) of the last axis, then of the one before, got {pad}"
        )
    pad = ntuple(pad, len(pad), "pad")
    pairs = [pad[i : i + 2] for i in reversed(range(0, len(pad), 2))]
    first = len(shape) - len(pairs)
    if first < 0 or (mode != "constant" and (first not in (1, 2) or len(pairs) > 3)):
        layout = "" if mode == "constant" else " (N, C, *spatial) or (C, *spatial)"
        raise ValueError(
            f"{mode} padding of {len(pairs)} axes does not suit an input{layout} of shape {shape}"
        )
    sides = [(n, *pair) for n, pair in zip(shape[first:], pairs, strict=True)]
    for n, low, high in sides:
        if n + min(low, 0) + min(high, 0) < 0:
            raise ValueError(f"padding by ({low}, {high}) cuts off more than an axis of size {n}")
    if mode == "constant":
        return _constant(input, sides, value)
    return _resample(input, [_matrix(_border(mode, *side)) for side in sides])


def _constant(x, sides, value):
    inner = tuple(slice(max(-low, 0), n - max(-high, 0)) for n, low, high in sides)
    place = tuple(slice(max(low, 0), n + low - max(-high, 0)) for n, low, high in sides)
    shape = *x.shape[: x.ndim - len(sides)], *(n + low + high for n, low, high in sides)
    y = Paste((..., *place), shape)(Slice((..., *inner))(x))
    if not value:
        return y
    xp = array_module(x.data)
    inside = xp.zeros(shape, bool)
    inside[..., *place] = True
    return where(Tensor(inside), y, Tensor(xp.asarray(np.full((), value, x.dtype))))


def _border(mode, n, low, high):
    """Which pixel of an axis of n stands at each place of the padded axis."""
    first, kept = max(-low, 0), n + min(low, 0) + min(high, 0)
    most = {"reflect": n - 1, "replicate": inf if n else 0, "circular": kept}[mode]
    if max(low, high) > most:
        raise ValueError(
            f"{mode} padding of an axis of size {n} adds at most {most} pixels on a side, got "
            f"({low}, {high})"
        )
    places = np.arange(-low, n + high)
    if mode == "replicate":
        return places.clip(0, n - 1)
    if mode == "reflect":
        return n - 1 - abs(n - 1 - abs(places))
    return first + (places - first) % kept


# ---------------------------------------------------------------- resizing

# Modes for so many spatial axes, beside nearest, nearest-exact and area.
MODES = {1: ("linear",), 2: ("bilinear", "bicubic"), 3: ("trilinear",)}


def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """(N, C, *spatial) resized to `size`, or to spatial * scale_factor, rounded down.

    mode: "nearest", "nearest-exact" (which looks from the middles of pixels), "area" (the means of
    adaptive windows), "linear", "bilinear" and "trilinear" (1, 2 and 3 axes), "bicubic" (2 axes;
    Keys 1981, a = -0.75). align_corners: the middles, not the edges, of the outermost pixels stay
    in place (linear and cubic modes). A scale_factor is the step from pixel to pixel too, unless
    `recompute_scale_factor`. antialias: shrinking widens the kernel (bilinear, and bicubic with
    a = -0.5).
    """
    axes = must_be_tensor("the input", input).ndim - 2
    if mode not in ("nearest", "nearest-exact", "area", *MODES.get(axes, ())) or axes not in MODES:
        raise ValueError(
            f"mode {mode!r} does not suit an input of shape {input.shape}: (N, C, L) takes linear, "
            "(N, C, H, W) bilinear or bicubic, (N, C, D, H, W) trilinear, and each of them "
            "nearest, nearest-exact or area"
        )
    smooth = mode.endswith(("linear", "cubic"))
    if align_corners is not None and not smooth:
        raise ValueError(f"align_corners is for linear and cubic modes, got mode {mode!r}")
    if antialias and mode not in MODES[2]:
        raise ValueError(f"antialias is for the modes bilinear and bicubic, got mode {mode!r}")
    if input.dtype.kind != "f" and not (input.dtype == np.uint8 and mode.startswith("nearest")):
        raise TypeError(f"mode {mode!r} needs a floating input, got {input.dtype}: use .float()")
    spatial = input.shape[2:]
    size, steps = _target(spatial, size, scale_factor, recompute_scale_factor)
    if mode == "area":
        rule = _area
    elif smooth:
        rule = partial(_smooth, mode == "bicubic", align_corners, antialias)
    else:
        rule = partial(_nearest, mode == "nearest-exact", axes == 2, input.dtype != np.float64)
    return _resample(input, [*map(rule, spatial, size, steps)])


def _target(spatial, size, scale_factor, recompute):
    """The sizes that are wanted, and how many pixels of the input one pixel of the output is."""
    axes = len(spatial)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"expected a size or a scale_factor, got {size} and {scale_factor}")
    if recompute and scale_factor is None:
        raise ValueError(f"size {size} leaves no scale_factor to recompute: leave one of them out")
    if scale_factor is not None:
        scales = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor,) * axes
        if len(scales) != axes or not all(0 < scale < inf for scale in scales):
            raise ValueError(f"expected scale_factor above 0, or {axes} such, got {scale_factor}")
        size = [int(n * scale) for n, scale in zip(spatial, scales, strict=True)]
    size = ntuple(size, axes, "size")
    if min(*spatial, *size) < 1:
        raise ValueError(f"cannot resize {spatial} to {size}: every size must be at least 1")
    if scale_factor is None or recompute:
        return size, [n / m for n, m in zip(spatial, size, strict=True)]
    return size, [1 / scale for scale in scales]


def _nearest(exact, images, single, n, m, step):
    # Rounded as PyTorch does it, to pick the same pixels: its kernel for images (2 axes) works in
    # float32 always, and does not ask for the scale_factor when a size stays or doubles.
    if images and not exact and m in (n, 2 * n):
        step = n / m
    places = (np.arange(m) + 0.5 * exact) * (np.float32(step) if images or single else step)
    places = places.astype(np.float32)
    return _matrix(np.minimum(np.floor(places).astype(np.int64), n - 1))


def _smooth(cubic, align_corners, antialias, n, m, step):
    if align_corners:
        step = (n - 1) / (m - 1) if m > 1 else 0
    elif m == n and (antialias or not cubic):  # in PyTorch too: the scale_factor is not asked
        step = 1
    half = 0 if align_corners and not antialias else 0.5  # where a pixel's place is
    places = (np.arange(m) + half)[:, None] * step - half
    stretch = max(step, 1) if antialias else 1
    reach = ceil(stretch * (2 if cubic else 1))
    columns = np.floor(places).astype(np.int64) + np.arange(1 - reach, reach + 1)
    t = abs(columns - places) / stretch
    weights = _keys(t, -0.5 if antialias else -0.75) if cubic else (1 - t).clip(0)
    if not antialias:
        return _matrix(columns.clip(0, n - 1), weights)
    inside = (columns >= 0) & (columns < n)
    return _matrix(columns, weights / weights.sum(1, where=inside, keepdims=True), inside)


def _keys(t, a):
    """The kernel of cubic convolution at distances t (Keys 1981, eq. 4 has a = -0.5)."""
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, a * (((t - 5) * t + 8) * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0))


def adaptive_avg_pool(input, output_size, *, axes):
    """The means of output_size windows that cover the image evenly.

    (N, C, *spatial) or (C, *spatial); output_size: an int, or one an axis; None keeps a size.
    """
    x, batched = as_batch(input, axes)
    size = adaptive_size(output_size, x.shape[2:])
    if any(n % max(m, 1) for n, m in zip(x.shape[2:], size)) or 0 in size:
        y = _resample(x, [*map(_area, x.shape[2:], size)])
    else:  # windows side by side, of one size
        pairs = [(m, n // m) for n, m in zip(x.shape[2:], size)]
        y = reshape(x, *x.shape[:2], *(n for pair in pairs for n in pair))
        y = mean(y, tuple(range(3, y.ndim, 2)))
    return y if batched else squeeze(y, 0)


def _area(n, m, step=None):
    start, end = adaptive_windows(n, m)
    columns = start[:, None] + np.arange((end - start).max(initial=0))
    return _matrix(columns, 1 / (end - start)[:, None], columns < end[:, None])


# ---------------------------------------------------------------- pixels and channels


def pixel_shuffle(input, upscale_factor):
    """(..., C * r * r, H, W) -> (..., C, H * r, W * r), r = upscale_factor: each pixel's groups of
    r * r channels as squares of pixels (Shi et al. 2016).
    """
    *front, channels, height, width = _images("pixel_shuffle", input, upscale_factor)
    r = upscale_factor
    if channels % r**2:
        raise ValueError(
            f"pixel_shuffle by {r} needs a multiple of {r * r} channels, got shape {input.shape}"
        )
    squares = reshape(input, prod(front) * channels // r**2, r, r, height, width)
    return reshape(permute(squares, 0, 3, 1, 4, 2), *front, channels // r**2, height * r, width * r)


def pixel_unshuffle(input, downscale_factor):
    """(..., C, H * r, W * r) -> (..., C * r * r, H, W), r = downscale_factor: undoes
    pixel_shuffle.
    """
    *front, channels, height, width = _images("pixel_unshuffle", input, downscale_factor)
    r = downscale_factor
    if height % r or width % r:
        raise ValueError(
            f"pixel_unshuffle by {r} needs sizes that are multiples of {r}, got shape {input.shape}"
        )
    squares = reshape(input, prod(front) * channels, height // r, r, width // r, r)
    return reshape(
        permute(squares, 0, 2, 4, 1, 3), *front, channels * r**2, height // r, width // r
    )


def _images(name, x, factor):
    if must_be_tensor("the input", x).ndim < 3:
        raise ValueError(f"{name} expects (..., C, H, W), got shape {x.shape}")
    positive("the factor", (factor,))
    return x.shape
