"""First values of weights.

Each function overwrites a tensor, so its name ends in an underscore, as in PyTorch; random ones
follow td.manual_seed.
"""

from functools import reduce
from math import prod, sqrt

import numpy as np

from ..backend import generator, to_device


def _fill(tensor, numbers):
    """Overwrites the tensor with numbers of its shape, in its dtype and on its device."""
    tensor.data = to_device(np.asarray(numbers).astype(tensor.dtype), tensor.device)
    return tensor


def uniform_(tensor, a=0.0, b=1.0):
    return _fill(tensor, generator().uniform(a, b, tensor.shape))


def fan_in_uniform(tensor, fan_in):
    """PyTorch's first values of linear and convolution layers: uniform within 1 / sqrt(fan in)."""
    return uniform_(tensor, -1 / sqrt(fan_in), 1 / sqrt(fan_in))


def normal_(tensor, mean=0.0, std=1.0):
    return _fill(tensor, generator().normal(mean, std, tensor.shape))


def constant_(tensor, val):
    return _fill(tensor, np.full(tensor.shape, val))


def zeros_(tensor):
    return constant_(tensor, 0)


def ones_(tensor):
    return constant_(tensor, 1)


def calculate_gain(nonlinearity, param=None):
    """By how much a nonlinearity's weights are enlarged to keep the variance (PyTorch's table)."""
    if nonlinearity == "leaky_relu":
        return sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2)}
    if nonlinearity not in gains:
        raise ValueError(
            f"expected a nonlinearity of {', '.join(gains)} or leaky_relu, got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def fans(tensor):
    """(fan_in, fan_out) of a weight (out, in, *kernel), as PyTorch counts them."""
    if tensor.ndim < 2:
        raise ValueError(
            f"fan in and fan out need a weight of at least 2 dimensions, got shape {tensor.shape}"
        )
    return tensor.shape[1] * prod(tensor.shape[2:]), tensor.shape[0] * prod(tensor.shape[2:])


def _kaiming_std(tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / sqrt(fans(tensor)[mode == "fan_out"])


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Uniform with the variance gain^2 / fan (He et al. 2015)."""
    bound = sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu"):
    """Normal with the variance gain^2 / fan (He et al. 2015)."""
    return normal_(tensor, 0, _kaiming_std(tensor, a, mode, nonlinearity))


def xavier_uniform_(tensor, gain=1.0):
    """Uniform with the variance 2 gain^2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    bound = gain * sqrt(6 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """Normal with the variance 2 gain^2 / (fan_in + fan_out) (Glorot & Bengio 2010)."""
    return normal_(tensor, 0, gain * sqrt(2 / sum(fans(tensor))))


# ---------------------------------------------------------------- fixed upsamplers


def bilinear_(tensor):
    """Makes a transposed convolution with stride (kernel + 1) // 2 interpolate linearly.

    Long et al. 2015 (FCN). Weight (C, C / groups, *kernel): each channel is enlarged by itself.
    """
    return _upsampler(tensor, lambda offset, stride: np.maximum(0, 1 - np.abs(offset) / stride))


def gaussian_(tensor, sigma=None):
    """The same with a Gaussian of `sigma` output pixels (half the stride by default)."""
    return _upsampler(
        tensor, lambda offset, stride: np.exp(-0.5 * (offset / (sigma or stride / 2)) ** 2)
    )


def _upsampler(tensor, profile):
    """Separable kernels profile(distance from the centre, stride) on the diagonal of channels.

    The taps that share a phase of the stride add up to 1, so a constant image stays constant.
    """
    if tensor.ndim < 3 or 0 in tensor.shape or tensor.shape[0] % tensor.shape[1]:
        raise ValueError(
            f"expected an upsampler's weight of shape (C, C / groups, *kernel), got {tensor.shape}"
        )
    channels, per_group, *kernel = tensor.shape
    axes = []
    for k in kernel:
        stride = (k + 1) // 2
        taps = profile(np.arange(k) - (k - 1) / 2, stride).astype(np.float64)
        for phase in range(stride):
            taps[phase::stride] /= taps[phase::stride].sum()
        axes.append(taps)
    weight = np.zeros(tensor.shape)
    weight[np.arange(channels), np.arange(channels) % per_group] = reduce(np.multiply.outer, axes)
    return _fill(tensor, weight)
