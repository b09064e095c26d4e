"""Normalisation: functions and layers.

One idea over different axes: numbers that belong together are brought to mean 0 and variance 1,
then scaled and shifted. Batch norm takes a channel of all images together, instance norm a channel
of one image, group norm several channels of one image, layer norm the last dimensions.
"""

from math import prod

import numpy as np

from ..geometry import positive
from ..kernels import by_kernel
from ..ops import ones, zeros
from ..ops.normalization import MultiplyAdd, Normalize
from .activations import accept
from .families import Described, over_axes
from .module import Buffer, Parameter


def batch_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, training=False,
    momentum=0.1, eps=1e-5,
):  # fmt: skip
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, *spatial).

    In training, mean and var are the batch's (var biased) and move the running ones (var unbiased)
    by `momentum`; otherwise the running ones are used, and needed (Ioffe & Szegedy 2015).
    """
    return _by_channel(
        "batch_norm", (0,), input, running_mean, running_var, weight, bias, training, momentum, eps
    )


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
    momentum=0.1, eps=1e-5,
):  # fmt: skip
    """Batch norm of each image of (N, C, *spatial) by itself (Ulyanov et al. 2016).

    The running statistics, if given, move to the means over the images; they are used, and needed,
    when `use_input_stats` is False.
    """
    return _by_channel(
        "instance_norm", (), input, running_mean, running_var, weight, bias, use_input_stats,
        momentum, eps,
    )  # fmt: skip


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """The channels of (N, C, *spatial) in groups, each image and group normalised by itself; weight
    and bias are (C,) (Wu & He 2018).
    """
    _check("group_norm", input, (weight, bias))
    n, channels, *spatial = input.shape
    _divisible(channels, num_groups)
    _several("group_norm", input.numel() // num_groups, input)
    shape = num_groups, channels // num_groups
    grouped = _wide(input).reshape(n, *shape, *spatial)
    weight, bias = _each((1, *shape, *(1 for _ in spatial)), weight, bias)
    y, _ = _normalize(grouped, tuple(range(2, grouped.ndim)), eps)
    return _scaled(y, weight, bias).reshape(input.shape).astype(input.dtype)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """The last dimensions, which have the sizes `normalized_shape`, normalised together; weight and
    bias have these sizes too (Ba et al. 2016).
    """
    shape = _sizes(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm expects an input whose last sizes are {shape}, got shape {input.shape}"
        )
    _check("layer_norm", input, (weight, bias), shape)
    y, _ = _normalize(_wide(input), tuple(range(input.ndim - len(shape), input.ndim)), eps)
    return _scaled(y, weight, bias).astype(input.dtype)


def _normalize(input, dims, eps, weight=None, bias=None):
    """(input - mean) / sqrt(var + eps) * weight + bias, and the op that made it, which knows mean
    and var over `dims`. There, weight and bias must have size 1.
    """
    op = Normalize(dims, eps)
    return op(input, *_factor_and_term(input, weight, bias)), op


def _scaled(input, weight, bias):
    """input * weight + bias."""
    if weight is None and bias is None:
        return input
    return MultiplyAdd()(input, *_factor_and_term(input, weight, bias))


def _factor_and_term(input, weight, bias):
    """weight and bias, or 1 and 0, in the dtype of the input."""
    for given, other in ((weight, ones), (bias, zeros)):
        if given is None:
            yield other((1,) * input.ndim, dtype=input.dtype, device=input.device)
        else:
            yield given.astype(input.dtype)


def _wide(input):
    """The input in float32 at least: squares in float16 overflow."""
    return input.astype(np.promote_types(input.dtype, np.float32))


def _by_channel(
    name, dims, input, running_mean, running_var, weight, bias, use_input, momentum, eps
):
    """Each channel normalised, over `dims` and space or by the running statistics, which are moved
    or used.
    """
    _check(name, input, (running_mean, running_var, weight, bias))
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"{name} expects both running_mean and running_var or neither, got one")
    shape = (1, input.shape[1], *(1,) * (input.ndim - 2))
    weight, bias = _each(shape, weight, bias)
    if not use_input:
        if running_mean is None:
            raise ValueError(
                f"{name} needs running_mean and running_var, got None: without them it takes the "
                "statistics of its input, with training=True or use_input_stats=True"
            )
        mean, var = (_wide(x) for x in _each(shape, running_mean, running_var))
        scale = (var + eps).rsqrt() if weight is None else (var + eps).rsqrt() * weight
        shift = -mean * scale if bias is None else bias - mean * scale
        return _scaled(_wide(input), scale, shift).astype(input.dtype)
    dims = (*dims, *range(2, input.ndim))
    count = prod(input.shape[d] for d in dims)
    _several(name, count, input)
    y, op = _normalize(_wide(input), dims, eps, weight, bias)
    if running_mean is not None and input.numel():
        statistics = op.mean, op.var, running_mean.data, running_var.data
        found = by_kernel("follow", *statistics, momentum, count / (count - 1))
        if found:
            running_mean.data, running_var.data = found
            return y.astype(input.dtype)
        unbiased = op.var * (count / (count - 1))
        for running, found in ((running_mean, op.mean), (running_var, unbiased)):
            # the mean is over the images of an instance norm
            found = found.mean(0).reshape(-1).astype(running.dtype)
            running.data = running.data + momentum * (found - running.data)
    return y.astype(input.dtype)


def _each(shape, *parameters):
    return [p if p is None else p.reshape(shape) for p in parameters]


def _check(name, input, parameters, shape=None):
    """Refuses parameters that do not fit: of another dtype, or not of this shape (one a channel of
    (N, C, *spatial) for None).
    """
    if shape is None:
        if input.ndim < 2:
            raise ValueError(f"{name} expects (N, C) or (N, C, *spatial), got shape {input.shape}")
        shape = input.shape[1:2]
    for other in parameters:
        if other is not None and other.dtype != input.dtype:
            raise TypeError(
                f"{name} expects one dtype, got {input.dtype} with parameters of {other.dtype}: "
                "cast the input or the layer with .float() or .double()"
            )
        if other is not None and other.shape != shape:
            raise ValueError(
                f"{name} of shape {input.shape} expects parameters of shape {shape}, got "
                f"{other.shape}"
            )
    accept(name, input)


def _several(name, count, input):
    if count == 1:
        raise ValueError(
            f"{name} needs more than one value to take statistics of, got shape {input.shape}"
        )


def _divisible(channels, num_groups):
    positive("num_groups", (num_groups,))
    if channels % num_groups:
        raise ValueError(
            f"num_groups must divide the channels, got {num_groups} groups and {channels} channels"
        )


def _sizes(shape):
    return (shape,) if hasattr(shape, "__index__") else tuple(shape)


# ---------------------------------------------------------------- layers


class _Norm(Described):
    """A normalisation with a learned scale and shift."""

    def _set_up(self, shape, affine, bias):
        self.weight = Parameter(np.ones(shape, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(shape, np.float32)) if affine and bias else None


class GroupNorm(_Norm):
    """Groups of channels of each image brought to mean 0 and variance 1, then each channel scaled
    and shifted. See F.group_norm.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, *, bias=True):
        positive("num_channels", (num_channels,))
        _divisible(num_channels, num_groups)
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        self._set_up((num_channels,), affine, bias)

    def forward(self, input):
        return group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class LayerNorm(_Norm):
    """The last dimensions brought to mean 0 and variance 1, then each place scaled and shifted. See
    F.layer_norm.
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        self.normalized_shape, self.eps = _sizes(normalized_shape), eps
        positive("normalized_shape", self.normalized_shape)
        self.elementwise_affine = elementwise_affine
        self._set_up(self.normalized_shape, elementwise_affine, bias)

    def forward(self, input):
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)


class _BatchNorm(_Norm):
    """Each channel brought to mean 0 and variance 1, then scaled and shifted. See F.batch_norm."""

    axes: int

    @property
    def dims(self):
        """How many an input may have: (N, C) and (N, C, L), or (N, C, *spatial)."""
        return (2, 3) if self.axes == 1 else (self.axes + 2,)

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, *,
        bias=True,
    ):  # fmt: skip
        positive("num_features", (num_features,))
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self._set_up((num_features,), affine, bias)
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(np.zeros(num_features, np.float32))
            self.running_var = Buffer(np.ones(num_features, np.float32))
            self.num_batches_tracked = Buffer(np.zeros((), np.int64))

    def forward(self, input):
        self._check(input, 1)
        momentum, count = self.momentum, self.num_batches_tracked if self.training else None
        if count is not None and momentum is None:  # the plain mean over all batches
            momentum = 1 / (count.item() + 1)
        y = self._applied(batch_norm, input, momentum)
        if count is not None:
            count.data = count.data + np.int64(1)
        return y

    def _applied(self, function, input, momentum):
        use_batch = self.training or not self.track_running_stats
        running = self.running_mean, self.running_var
        return function(input, *running, self.weight, self.bias, use_batch, momentum, self.eps)

    def _check(self, input, channel_dim):
        if input.ndim not in self.dims or input.shape[channel_dim] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}({self.num_features}) expects "
                f"{' or '.join(map(str, self.dims))} dimensions with {self.num_features} channels, "
                f"got shape {input.shape}"
            )


class _InstanceNorm(_BatchNorm):
    """Each channel of each image brought to mean 0 and variance 1. See F.instance_norm."""

    @property
    def dims(self):
        """How many an input may have: (C, *spatial) or (N, C, *spatial)."""
        return self.axes + 1, self.axes + 2

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, *,
        bias=True,
    ):  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias=bias)

    def forward(self, input):
        unbatched = input.ndim == self.dims[0]
        self._check(input, 0 if unbatched else 1)
        images = input.unsqueeze(0) if unbatched else input
        y = self._applied(instance_norm, images, self.momentum or 0.0)
        return y.squeeze(0) if unbatched else y


BatchNorm1d, BatchNorm2d, BatchNorm3d = over_axes("BatchNorm", _BatchNorm)
InstanceNorm1d, InstanceNorm2d, InstanceNorm3d = over_axes("InstanceNorm", _InstanceNorm)
