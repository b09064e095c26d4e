"""Padding, resizing, and pixels made of channels: functions and layers."""

from ..geometry import ntuple
from ..ops.resampling import interpolate, pad, pixel_shuffle, pixel_unshuffle
from .families import Described, layer, over_axes


def upsample_nearest(input, size=None, scale_factor=None):
    """interpolate() in mode "nearest": 1 to 3 spatial axes."""
    return interpolate(input, size, scale_factor)


def upsample_bilinear(input, size=None, scale_factor=None):
    """interpolate() in mode "bilinear" with align_corners=True."""
    return interpolate(input, size, scale_factor, "bilinear", align_corners=True)


# ---------------------------------------------------------------- layers

Upsample = layer("Upsample", interpolate, without="antialias")
UpsamplingNearest2d = layer("UpsamplingNearest2d", upsample_nearest)
UpsamplingBilinear2d = layer("UpsamplingBilinear2d", upsample_bilinear)
PixelShuffle = layer("PixelShuffle", pixel_shuffle)
PixelUnshuffle = layer("PixelUnshuffle", pixel_unshuffle)


class _Pad(Described):
    """Pads the spatial axes of (N, C, *spatial) or (C, *spatial); see F.pad.

    padding: an int for every side, or (low, high) of the last axis, then of the one before, ...
    """

    axes: int
    mode = "constant"
    value = 0.0

    def __init__(self, padding):
        self.padding = ntuple(padding, 2 * self.axes, "padding")

    def forward(self, input):
        return pad(input, self.padding, self.mode, self.value)


class _ConstantPad(_Pad):
    __doc__ = _Pad.__doc__

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value


ConstantPad1d, ConstantPad2d, ConstantPad3d = over_axes("ConstantPad", _ConstantPad)
ZeroPad1d, ZeroPad2d, ZeroPad3d = over_axes("ZeroPad", _Pad)
ReflectionPad1d, ReflectionPad2d, ReflectionPad3d = over_axes("ReflectionPad", _Pad, mode="reflect")
ReplicationPad1d, ReplicationPad2d, ReplicationPad3d = over_axes(
    "ReplicationPad", _Pad, mode="replicate"
)
CircularPad1d, CircularPad2d, CircularPad3d = over_axes("CircularPad", _Pad, mode="circular")
