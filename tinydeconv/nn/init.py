"""First values of weights.

Each function overwrites a tensor, so its name ends in an underscore, as in PyTorch; random ones
follow td.manual_seed.
"""

from functools import reduce
from math import prod, sqrt
from statistics import NormalDist

import numpy as np

from ..backend import generator, to_device
from ..tensor import Tensor


def _fill(tensor, numbers):
    """Overwrites the tensor with numbers of its shape, in its dtype and on its device."""
    if not isinstance(tensor, Tensor):
        found = type(tensor).__name__
        raise TypeError(f"expected a Tensor, got {found}: pass the Parameter itself, not its .data")
    array = tensor.data
    if isinstance(array.base, type(array)) and array.base.size > array.size:
        raise ValueError(
            f"expected a whole tensor, got a part of one, of shape {tensor.shape}, which gets new "
            "memory and leaves the whole as it was: give the whole, or a .clone()"
        )
    tensor.data = to_device(np.asarray(numbers).astype(tensor.dtype), tensor.device)
    return tensor


def _expect(good, what, tensor):
    if not good:
        raise ValueError(f"expected {what}, got shape {tensor.shape}")


def uniform_(tensor, a=0.0, b=1.0):
    if not a <= b:
        raise ValueError(f"expected a <= b, got a={a}, b={b}")
    return _fill(tensor, generator().uniform(a, b, tensor.shape))


def fan_in_uniform(tensor, fan_in):
    """PyTorch's first values of linear and convolution layers: uniform within 1 / sqrt(fan in)."""
    return uniform_(tensor, -1 / sqrt(fan_in), 1 / sqrt(fan_in))


def normal_(tensor, mean=0.0, std=1.0):
    if not std >= 0:
        raise ValueError(f"expected a std of at least 0, got {std}")
    return _fill(tensor, generator().normal(mean, std, tensor.shape))


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0):
    """Normal, but within [a, b]: numbers drawn there are kept as often as the density says."""
    if not (a <= b and std > 0):
        raise ValueError(f"expected a <= b and a positive std, got a={a}, b={b}, std={std}")
    normal, drawn = NormalDist(mean, std), generator()
    likely = normal.cdf(b) - normal.cdf(a) > 0.3  # else most of what normal() draws would be lost
    peak = (np.clip(mean, a, b) - mean) / std
    kept, n = np.empty(0), prod(tensor.shape)
    while kept.size < n:
        if likely:
            x = drawn.normal(mean, std, n)
            good = (a <= x) & (x <= b)
        else:
            x = drawn.uniform(a, b, n)
            good = drawn.uniform(size=n) < np.exp((peak**2 - ((x - mean) / std) ** 2) / 2)
        kept = np.concatenate([kept, x[good]])
    return _fill(tensor, kept[:n].reshape(tensor.shape))


def constant_(tensor, val):
    return _fill(tensor, np.full(tensor.shape, val))


def zeros_(tensor):
    return constant_(tensor, 0)


def ones_(tensor):
    return constant_(tensor, 1)


def eye_(tensor):
    """The identity matrix."""
    _expect(tensor.ndim == 2, "a matrix", tensor)
    return _fill(tensor, np.eye(*tensor.shape))


def dirac_(tensor, groups=1):
    """A convolution's weight (out, in / groups, *kernel) that passes its input channels through, as
    many as there are.
    """
    good = 3 <= tensor.ndim <= 5 and groups > 0 == tensor.shape[0] % groups
    _expect(good and min(tensor.shape[2:]), f"a convolution's weight for {groups} groups", tensor)
    out, channels, *kernel = tensor.shape
    weight = np.zeros((groups, out // groups, channels, *kernel))
    for i in range(min(weight.shape[1:3])):
        weight[(slice(None), i, i, *(k // 2 for k in kernel))] = 1
    return _fill(tensor, weight.reshape(tensor.shape))


def orthogonal_(tensor, gain=1):
    """Rows, or columns if these are fewer, of length `gain` and orthogonal to each other (Saxe et
    al. 2013); kernel axes count as columns.
    """
    _expect(tensor.ndim > 1, "at least 2 dimensions", tensor)
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    q, r = np.linalg.qr(generator().normal(size=(max(rows, columns), min(rows, columns))))
    q *= np.sign(np.diag(r))  # else not every orthogonal matrix would be equally likely
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def calculate_gain(nonlinearity, param=None):
    """By how much a nonlinearity's weights are enlarged to keep the variance (PyTorch's table)."""
    if nonlinearity == "leaky_relu":
        return sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    linear = ("linear", *(f"conv{t}{axes}d" for t in ("", "_transpose") for axes in (1, 2, 3)))
    gains = dict.fromkeys(linear, 1.0)
    gains |= {"sigmoid": 1.0, "tanh": 5 / 3, "relu": sqrt(2), "selu": 0.75}
    if nonlinearity not in gains:
        raise ValueError(
            f"expected a nonlinearity of {', '.join(gains)} or leaky_relu, got {nonlinearity!r}"
        )
    return gains[nonlinearity]


def fans(tensor):
    """(fan_in, fan_out) of a weight (out, in, *kernel), as PyTorch counts them."""
    _expect(tensor.ndim > 1, "a weight of at least 2 dimensions", tensor)
    return tensor.shape[1] * prod(tensor.shape[2:]), tensor.shape[0] * prod(tensor.shape[2:])


def _kaiming_std(tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / sqrt(fans(tensor)[mode == "fan_out"] or 1)


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


def icnr_(tensor, init=kaiming_normal_, upscale_factor=2):
    """The weight (C * upscale_factor^axes, in, *kernel) of a convolution before a pixel shuffle,
    the same for all pixels that are shuffled out of one (Aitken et al. 2017).

    So the two together begin as an enlargement by nearest neighbours, without a checkerboard;
    `init` fills the weight of one pixel.
    """
    pixels = upscale_factor ** (tensor.ndim - 2)
    good = tensor.ndim > 2 and tensor.shape[0] % pixels == 0
    _expect(good, f"a weight (C * {upscale_factor}^axes, in, *kernel)", tensor)
    weight = Tensor(np.zeros((tensor.shape[0] // pixels, *tensor.shape[1:]), tensor.dtype))
    return _fill(tensor, np.repeat(init(weight).data, pixels, axis=0))


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
    good = tensor.ndim > 2 and 0 not in tensor.shape and tensor.shape[0] % tensor.shape[1] == 0
    _expect(good, "an upsampler's weight (C, C / groups, *kernel)", tensor)
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
