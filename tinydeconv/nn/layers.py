"""Layers: the functions of nn.functional with their parameters.

Arguments, defaults, first values and state names are PyTorch's.
"""

from collections.abc import Callable
from math import prod, sqrt

import numpy as np

from .. import ops
from ..geometry import ntuple, positive
from ..ops.shape import axis
from . import functional as F
from . import init
from .module import Buffer, Module, Parameter


def _fan_in_uniform(tensor, fan_in):
    """PyTorch's first values of linear and convolution layers: uniform within 1 / sqrt(fan in)."""
    return init.uniform_(tensor, -1 / sqrt(fan_in), 1 / sqrt(fan_in))


class Linear(Module):
    """y = x W^T + b: (*, in_features) -> (*, out_features)."""

    def __init__(self, in_features, out_features, bias=True):
        positive("in_features", (in_features,))
        positive("out_features", (out_features,))
        self.in_features, self.out_features = in_features, out_features
        self.weight = _fan_in_uniform(
            Parameter(np.empty((out_features, in_features), np.float32)), in_features
        )
        self.bias = (
            _fan_in_uniform(Parameter(np.empty(out_features, np.float32)), in_features)
            if bias
            else None
        )

    def forward(self, input):
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class _ConvNd(Module):
    """What convolutions and transposed convolutions over 1, 2 and 3 axes share."""

    axes: int
    transposed = False

    def _set_up(
        self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
    ):
        positive("in_channels", (in_channels,))
        positive("out_channels", (out_channels,))
        positive("groups", (groups,))
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"groups must divide {name}, got {groups} groups and {channels} channels"
                )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size = ntuple(kernel_size, self.axes, "kernel_size")
        self.stride = ntuple(stride, self.axes, "stride")
        self.dilation = ntuple(dilation, self.axes, "dilation")
        for name in ("kernel_size", "stride", "dilation"):
            positive(name, getattr(self, name))
        self.padding = (padding,) * self.axes if isinstance(padding, int) else padding
        first, second = (
            (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        )
        shape = (first, second // groups, *self.kernel_size)
        fan_in = prod(shape[1:])
        self.weight = _fan_in_uniform(Parameter(np.empty(shape, np.float32)), fan_in)
        self.bias = (
            _fan_in_uniform(Parameter(np.empty(out_channels, np.float32)), fan_in) if bias else None
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
        return ", ".join(told + ["bias=False"] * (self.bias is None))


class _Conv(_ConvNd):
    """Convolution with weights (out_channels, in_channels / groups, *kernel_size).

    (N, in_channels, *spatial) -> (N, out_channels, *spatial / stride), also without N. `padding`:
    an int, one an axis, a (low, high) pair an axis, "valid" or "same".
    """

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
    ):
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )

    def forward(self, input):
        return ops.convolution(
            input,
            self.weight,
            self.bias,
            self.axes,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )


class _ConvTranspose(_ConvNd):
    """Transposed convolution with weights (in_channels, out_channels / groups, *kernel_size).

    (N, in_channels, *spatial) -> (N, out_channels, *spatial * stride), also without N. The stride
    of a convolution forgets sizes; `output_padding`, or layer(x, output_size=...), chooses one.
    """

    transposed = True

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
    ):
        self._set_up(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        self.output_padding = output_padding

    def forward(self, input, output_size=None):
        return ops.transposed_convolution(
            input,
            self.weight,
            self.bias,
            self.axes,
            self.stride,
            self.padding,
            self.output_padding,
            output_size,
            self.dilation,
            self.groups,
        )


def _for_axes(base, name, function):
    """The layer class for 1, 2 and 3 axes."""
    for axes in (1, 2, 3):
        doc = f"{base.__doc__.rstrip()}\n\n    Spatial axes: {axes}. See F.{function}{axes}d.\n    "
        yield type(
            f"{name}{axes}d", (base,), {"axes": axes, "__doc__": doc, "__module__": __name__}
        )


Conv1d, Conv2d, Conv3d = _for_axes(_Conv, "Conv", "conv")
ConvTranspose1d, ConvTranspose2d, ConvTranspose3d = _for_axes(
    _ConvTranspose, "ConvTranspose", "conv_transpose"
)


class _BatchNorm(Module):
    """Each channel brought to mean 0 and variance 1, then scaled and shifted. See F.batch_norm."""

    dims: tuple

    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True):
        positive("num_features", (num_features,))
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(np.ones(num_features, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(num_features, np.float32)) if affine else None
        self.running_mean = (
            Buffer(np.zeros(num_features, np.float32)) if track_running_stats else None
        )
        self.running_var = (
            Buffer(np.ones(num_features, np.float32)) if track_running_stats else None
        )
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, input):
        if input.ndim not in self.dims or input.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}({self.num_features}) expects "
                f"{' or '.join(map(str, self.dims))} dimensions with {self.num_features} channels, "
                f"got shape {input.shape}"
            )
        momentum, count = self.momentum, self.num_batches_tracked if self.training else None
        if count is not None and momentum is None:  # the plain mean over all batches
            momentum = 1 / (count.item() + 1)
        y = F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            momentum,
            self.eps,
        )
        if count is not None:
            count.data = count.data + np.int64(1)
        return y

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (N, C) or (N, C, L)."""

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of (N, C, H, W)."""

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of (N, C, D, H, W)."""

    dims = (5,)


# ---------------------------------------------------------------- activations and shapes


class ReLU(Module):
    """max(x, 0)"""

    def forward(self, input):
        return F.relu(input)


class LeakyReLU(Module):
    """x where positive, negative_slope * x elsewhere"""

    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope)

    def extra_repr(self):
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """x where positive, a learned slope times x elsewhere, one in all or one a channel (He et al.
    2015)
    """

    def __init__(self, num_parameters=1, init=0.25):
        positive("num_parameters", (num_parameters,))
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class Sigmoid(Module):
    """1 / (1 + exp(-x))"""

    def forward(self, input):
        return F.sigmoid(input)


class Tanh(Module):
    """tanh(x)"""

    def forward(self, input):
        return F.tanh(input)


class Flatten(Module):
    """The dimensions from start_dim to end_dim, both included, as one"""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension as several: Unflatten(1, (8, 4, 4)) turns (N, 128) into (N, 8, 4, 4)"""

    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input):
        dim = axis(self.dim, input.ndim)
        shape = (*input.shape[:dim], *self.unflattened_size, *input.shape[dim + 1 :])
        try:
            return input.reshape(shape)
        except ValueError:
            raise ValueError(
                f"Unflatten cannot turn dim {dim} of size {input.shape[dim]} into sizes "
                f"{self.unflattened_size}: their product must be {input.shape[dim]}"
            ) from None

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


# ---------------------------------------------------------------- pooling


class _Pool(Module):
    """Pooling layers over 1, 2 and 3 axes; stride defaults to the kernel."""

    axes: int

    def extra_repr(self):
        return ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name != "training"
        )


class _MaxPool(_Pool):
    """The largest pixel of each window, and with return_indices where it was."""

    def __init__(
        self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False
    ):
        self.kernel_size, self.stride, self.padding, self.dilation = (
            kernel_size,
            stride,
            padding,
            dilation,
        )
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def forward(self, input):
        return ops.max_pool(
            input,
            self.axes,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class _AvgPool(_Pool):
    """The mean of each window."""

    def __init__(
        self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    ):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input):
        return ops.avg_pool(
            input,
            self.axes,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _MaxUnpool(_Pool):
    """Pixels put back where max-pooling found them: layer(x, indices), zeros elsewhere."""

    def __init__(self, kernel_size, stride=None, padding=0):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, input, indices, output_size=None):
        return ops.max_unpool(
            input, indices, self.axes, self.kernel_size, self.stride, self.padding, output_size
        )


MaxPool1d, MaxPool2d, MaxPool3d = _for_axes(_MaxPool, "MaxPool", "max_pool")
AvgPool1d, AvgPool2d, AvgPool3d = _for_axes(_AvgPool, "AvgPool", "avg_pool")
MaxUnpool1d, MaxUnpool2d, MaxUnpool3d = _for_axes(_MaxUnpool, "MaxUnpool", "max_unpool")


# ---------------------------------------------------------------- losses


class _Loss(Module):
    """A loss function as a layer: loss(input, target)."""

    function: Callable

    def __init__(self, reduction="mean"):
        self.reduction = reduction

    def forward(self, input, target):
        return type(self).function(input, target, self.reduction)

    def extra_repr(self):
        return f"reduction={self.reduction!r}"


class MSELoss(_Loss):
    """See F.mse_loss."""

    function = staticmethod(F.mse_loss)


class L1Loss(_Loss):
    """See F.l1_loss."""

    function = staticmethod(F.l1_loss)


class CrossEntropyLoss(_Loss):
    """See F.cross_entropy."""

    function = staticmethod(F.cross_entropy)


class BCEWithLogitsLoss(_Loss):
    """See F.binary_cross_entropy_with_logits."""

    function = staticmethod(F.binary_cross_entropy_with_logits)
