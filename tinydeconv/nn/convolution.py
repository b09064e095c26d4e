"""Convolution and its transpose, over 1, 2 and 3 spatial axes: functions and layers.

Hyper-parameters come by keyword only: PyTorch's positional order differs between conv2d (dilation,
groups) and conv_transpose2d (groups, dilation), which has bitten many.
"""

from math import prod

import numpy as np

from .. import ops
from ..geometry import ConvGeometry, ntuple, pairs, positive
from ..ops.resampling import pad
from .families import for_axes, layer, over_axes
from .init import fan_in_uniform
from .module import Module, Parameter


def conv(input, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, axes):
    """Convolution (cross-correlation) of (N, C, *spatial) or (C, *spatial).

    weight: (F, C / groups, *kernel); bias: (F,)

    Output size: (size + padding - dilation * (kernel - 1) - 1) // stride + 1. `padding`: an
    int, an int or a (low, high) pair an axis, "valid", or "same" (size / stride, rounded up).
    """
    return ops.convolution(input, weight, bias, axes, stride, padding, dilation, groups)


def conv_transpose(
    input, weight, bias=None, *, stride=1, padding=0, output_padding=0, groups=1, dilation=1,
    output_size=None, axes,
):  # fmt: skip
    """Transposed convolution of (N, C, *spatial) or (C, *spatial).

    weight: (C, F / groups, *kernel); bias: (F,)

    Output size: (size - 1) * stride - padding + dilation * (kernel - 1) + 1 + output_padding.
    `output_size` chooses the output_padding; padding="same" means size * stride.
    """
    return ops.transposed_convolution(
        input, weight, bias, axes, stride, padding, output_padding, output_size, dilation, groups
    )


def unfold(input, kernel_size, *, dilation=1, padding=0, stride=1):
    """Sliding patches as columns: (N, C, *spatial) -> (N, C * prod(kernel), L).

    An int kernel_size means two axes.
    """
    return ops.unfold(input, kernel_size, dilation, padding, stride)


def fold(input, output_size, kernel_size, *, dilation=1, padding=0, stride=1):
    """Columns added back into an image, the transpose of unfold.

    (N, C * prod(kernel), L) -> (N, C, *output_size)
    """
    return ops.fold(input, output_size, kernel_size, dilation, padding, stride)


conv1d, conv2d, conv3d = for_axes(conv)
conv_transpose1d, conv_transpose2d, conv_transpose3d = for_axes(conv_transpose)

# ---------------------------------------------------------------- layers

Unfold, Fold = layer("Unfold", unfold), layer("Fold", fold)


class _ConvNd(Module):
    """What convolutions and transposed convolutions over 1, 2 and 3 axes share."""

    axes: int
    transposed = False

    def _set_up(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
        padding_mode,
    ):  # fmt: skip
        channels = {"in_channels": in_channels, "out_channels": out_channels}
        for name, count in {"groups": groups, **channels}.items():
            positive(name, (count,))
            if count % groups:
                raise ValueError(
                    f"groups must divide {name}, got {groups} groups and {count} channels"
                )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = ntuple(kernel_size, self.axes, "kernel_size")
        self.stride = ntuple(stride, self.axes, "stride")
        self.dilation = ntuple(dilation, self.axes, "dilation")
        for name in ("kernel_size", "stride", "dilation"):
            positive(name, getattr(self, name))
        self.padding = (padding,) * self.axes if isinstance(padding, int) else padding
        if padding != "same":  # which depends on the image
            pairs(padding, self.axes)
        known = ("zeros",) if self.transposed else ("zeros", "reflect", "replicate", "circular")
        if padding_mode not in known:
            raise ValueError(
                f"padding_mode of {type(self).__name__} is {' or '.join(known)}, got "
                f"{padding_mode!r}"
            )
        self.padding_mode = padding_mode
        first, second = (
            (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        )
        shape = (first, second // groups, *self.kernel_size)
        fan_in = prod(shape[1:])
        self.weight = fan_in_uniform(Parameter(np.empty(shape, np.float32)), fan_in)
        self.bias = (
            fan_in_uniform(Parameter(np.empty(out_channels, np.float32)), fan_in) if bias else None
        )

    def extra_repr(self):
        told = [
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        ]
        for name, default in (
            ("padding", (0,) * self.axes),
            ("output_padding", 0),
            ("dilation", (1,) * self.axes),
            ("groups", 1),
        ):
            value = getattr(self, name, default)
            if value != default:
                told.append(f"{name}={value!r}")
        if self.bias is None:
            told.append("bias=False")
        if self.padding_mode != "zeros":
            told.append(f"padding_mode={self.padding_mode!r}")
        return ", ".join(told)


class _Conv(_ConvNd):
    """Convolution with weights (out_channels, in_channels / groups, *kernel_size).

    (N, in_channels, *spatial) -> (N, out_channels, *spatial / stride), also without N. `padding`:
    an int, one an axis, a (low, high) pair an axis, "valid" or "same"; `padding_mode`: "zeros", or
    pixels as in F.pad: "reflect", "replicate" or "circular".
    """

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1,
        bias=True, padding_mode="zeros",
    ):  # fmt: skip
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode,
        )  # fmt: skip

    def forward(self, input):
        padding = self.padding
        if self.padding_mode != "zeros":
            sides = ConvGeometry.of_conv(
                input.shape[-self.axes :], self.kernel_size, self.stride, padding, self.dilation
            ).padding
            input = pad(input, [n for side in reversed(sides) for n in side], self.padding_mode)
            padding = 0
        return ops.convolution(
            input, self.weight, self.bias, self.axes, self.stride, padding, self.dilation,
            self.groups,
        )  # fmt: skip


class _ConvTranspose(_ConvNd):
    """Transposed convolution with weights (in_channels, out_channels / groups, *kernel_size).

    (N, in_channels, *spatial) -> (N, out_channels, *spatial * stride), also without N. The stride
    of a convolution forgets sizes; `output_padding`, or layer(x, output_size=...), chooses one.
    `padding_mode` can only be "zeros", as in PyTorch.
    """

    transposed = True

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0,
        groups=1, bias=True, dilation=1, padding_mode="zeros",
    ):  # fmt: skip
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode,
        )  # fmt: skip
        self.output_padding = output_padding

    def forward(self, input, output_size=None):
        return ops.transposed_convolution(
            input, self.weight, self.bias, self.axes, self.stride, self.padding,
            self.output_padding, output_size, self.dilation, self.groups,
        )  # fmt: skip


Conv1d, Conv2d, Conv3d = over_axes("Conv", _Conv)
ConvTranspose1d, ConvTranspose2d, ConvTranspose3d = over_axes("ConvTranspose", _ConvTranspose)
