"""Padding, resizing, and pixels made of channels."""

import math

import numpy as np
from both import numbers
from registry import SIZES, Call, case, layer

# ---------------------------------------------------------------- padding

for a, sizes in SIZES.items():
    x = numbers(2, 3, *sizes)
    wide, cut = (2, 1, 0, 3, 1, 2)[: 2 * a], (-1, 2, 2, -1, -1, -2)[: 2 * a]
    for mode in ("reflect", "replicate", "circular"):
        case("pad", x, wide, mode)
        case("pad", x, cut, mode=mode)
        case("pad", x[0], wide, mode)
        case("pad", x[:0], wide, mode)
        case("pad", np.arange(2 * math.prod(sizes)).reshape(1, 2, *sizes), wide, mode)
        # as much as there is: several pixels of the output read one of the input
        most = tuple(n - (mode == "reflect") for n in reversed(sizes) for _ in "ab")
        case("pad", x[:1, :1], most, mode)
    for value in (None, 0, 1.5, -math.inf, math.nan):
        case("pad", x, wide, "constant", value)
        case("pad", x[0], cut, value=value)
x = numbers(2, 3, 4)
case("pad", x, ())
case("pad", x, (0, 0))
case("pad", x, (1, 0, 2, -1, -1, 3), value=0.3)  # the batch too
case("pad", x, (0, -4), value=1.0)  # nothing is left
case("pad", x, (3, -4), value=1.0)
case("pad", x[:0], (1, 1), value=1.0)
case("pad", numbers(0), (1, 2), value=1.0)
case("pad", np.array(0.3), ())
case("pad", np.arange(6).reshape(2, 3), (1, 2), value=7)
case("pad", np.arange(6).reshape(2, 3), (1, -2), value=-1.5)
case("pad", np.arange(6, dtype=np.uint8), (1, 2), value=255)
case("pad", np.array([True, False]), (1, 2))
case("pad", np.array([True, False]), (1, 2), value=True)
case("pad", np.array([[[True, False, False]]]), (1, 2), "circular")
case("pad", np.array([[0.5, math.nan, -math.inf, 1.0]]), (2, 1), "reflect")

# ---------------------------------------------------------------- resizing

SMOOTH = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
for a, sizes in SIZES.items():
    x = numbers(2, 3, *sizes)
    targets = [5, 13, (7, 11, 3)[:a], (1,) * a, sizes, tuple(2 * n for n in sizes)]
    factors = [2, 1.7, 0.6, 1.0, (0.5, 2.3, 1.4)[:a]]
    for mode in ("nearest", "nearest-exact", "area", *SMOOTH[a]):
        for corners in [{}] + [{"align_corners": c} for c in (False, True) if mode in SMOOTH[a]]:
            options = {"mode": mode} | corners
            for size in targets:
                case("interpolate", x, size, **options)
            for factor in factors:
                case("interpolate", x, scale_factor=factor, **options)
            case("interpolate", x, None, 1.7, recompute_scale_factor=True, **options)
            case("interpolate", x, scale_factor=0.6, recompute_scale_factor=False, **options)
        case("interpolate", x[:0], 5, mode=mode)
        case("interpolate", x[:1, :1], 6, mode=mode)
x = numbers(2, 1, 5, 6)
case("interpolate", x, 4)  # nearest is the default
for mode in ("bilinear", "bicubic"):
    for factor in (0.3, 0.7, 1.0, 2.5):
        for again in (False, True):
            case("interpolate", x, None, factor, mode, recompute_scale_factor=again)
    for size in ((2, 3), (3, 2), (1, 1), (5, 6), (5, 2), (9, 11)):
        for corners in (False, True):
            case("interpolate", x, size, None, mode, corners, antialias=True)
    case("interpolate", x, scale_factor=(0.7, 0.4), mode=mode, antialias=True)
    # 1.1 keeps the sizes; then PyTorch's gradient is not that of its values
    case("interpolate", x, scale_factor=1.1, mode=mode, order=0)
    case("interpolate", x, scale_factor=1.1, mode=mode, antialias=True, order=0)
for factor in (1.1, 2.1):  # sizes that stay, or double: a copy in PyTorch's kernel for images alone
    case("interpolate", x, scale_factor=factor)
    case("interpolate", x[:, :, 0], scale_factor=factor, order=0)
for mode in ("nearest", "nearest-exact"):
    case("interpolate", np.arange(60, dtype=np.uint8).reshape(1, 2, 5, 6), (7, 4), mode=mode)
    case("interpolate", np.array([[[1.0, math.nan, -math.inf, 2.0]]]), 6, mode=mode)
    for n, m in ((26, 11), (62, 7), (84, 10), (105, 25), (106, 13)):  # rounding decides
        case("interpolate", numbers(1, 1, n), m, mode=mode, order=0)
        case("interpolate", numbers(1, 1, n, 2), (m, 2), mode=mode, order=0)
case("interpolate", np.array([[[1.0, math.nan, -math.inf, 2.0, 3.0, 4.0]]]), 3, mode="area")
case("interpolate", np.array([[[1.0, 0.5, math.nan, 0.5, math.inf, 3.0]]]), 11, mode="linear")

for sizes in SIZES.values():
    case("upsample_nearest", numbers(2, 1, *sizes), 5)
    case("upsample_nearest", numbers(2, 1, *sizes), scale_factor=2)
case("upsample_bilinear", x, (7, 4))
case("upsample_bilinear", x, scale_factor=2)

# ---------------------------------------------------------------- pixels and channels

for front in ((), (2,), (2, 3)):
    case("pixel_shuffle", numbers(*front, 8, 3, 2), 2)
    case("pixel_unshuffle", numbers(*front, 2, 3, 6), 3)
case("pixel_shuffle", numbers(0, 8, 3, 2), 2, order=0)  # PyTorch's gradient has a wrong shape
case("pixel_shuffle", numbers(9, 1, 4), upscale_factor=3)
case("pixel_shuffle", numbers(2, 3, 2, 2), 1)
case("pixel_unshuffle", numbers(1, 4, 6), downscale_factor=2)
case("pixel_shuffle", np.arange(8).reshape(4, 1, 2), 2)


# ---------------------------------------------------------------- layers

for a, sizes in SIZES.items():
    x, sides = numbers(2, 3, *sizes), (2, 1, 0, 3, 1, 2)[: 2 * a]
    for kind in ("ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
        layer(f"{kind}{a}d", Call(2), x)
        layer(f"{kind}{a}d", Call(sides), x[0])
    layer(f"ConstantPad{a}d", Call(2, 1.5), x)
    layer(f"ConstantPad{a}d", Call(sides, -0.5), x[0])
    layer("Upsample", Call((7, 11, 3)[:a]), x)
    layer("Upsample", Call(scale_factor=1.7, recompute_scale_factor=True), x)
    layer("Upsample", Call(None, 2, SMOOTH[a][-1], True), x)
layer("UpsamplingNearest2d", Call((7, 4)), numbers(2, 1, 5, 6))
layer("UpsamplingNearest2d", Call(scale_factor=2), numbers(2, 1, 5, 6))
layer("UpsamplingBilinear2d", Call((7, 4)), numbers(2, 1, 5, 6))
layer("UpsamplingBilinear2d", Call(scale_factor=2), numbers(2, 1, 5, 6))
layer("PixelShuffle", Call(2), numbers(2, 8, 3, 2))
layer("PixelUnshuffle", Call(2), numbers(2, 4, 2))
