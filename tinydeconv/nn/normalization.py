"""Normalisation: functions and layers."""

import numpy as np

from ..geometry import positive
from .module import Buffer, Module, Parameter


def batch_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, *spatial).

    In training, mean and var are the batch's (var biased) and move the running ones (var unbiased)
    by `momentum`; otherwise the running ones are used, and needed (Ioffe & Szegedy 2015).
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm expects (N, C) or (N, C, *spatial), got shape {input.shape}")
    for other in (running_mean, running_var, weight, bias):
        if other is not None and other.dtype != input.dtype:
            raise TypeError(
                f"batch_norm expects one dtype, got {input.dtype} with parameters of "
                f"{other.dtype}: cast the input or the layer with .float() or .double()"
            )
    dims = (0, *range(2, input.ndim))
    shape = (1, -1, *(1,) * (input.ndim - 2))
    if training:
        count = input.numel() // max(input.shape[1], 1)
        if count <= 1:
            raise ValueError(
                "batch_norm in training needs more than one value a channel, got shape "
                f"{input.shape}"
            )
        mean = input.mean(dims, keepdim=True)
        centred = input - mean
        var = (centred * centred).mean(dims, keepdim=True)
        if running_mean is not None:
            for running, batch in (
                (running_mean, mean),
                (running_var, var * (count / (count - 1))),
            ):
                running.data = running.data + momentum * (batch.data.reshape(-1) - running.data)
    elif running_mean is None:
        raise ValueError(
            "batch_norm without training=True needs running_mean and running_var, got None"
        )
    else:
        centred, var = input - running_mean.reshape(shape), running_var.reshape(shape)
    y = centred / (var + eps).sqrt()
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


# ---------------------------------------------------------------- layers


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
        y = batch_norm(
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
