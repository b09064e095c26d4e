"""Activations: functions and layers. Elementwise, unless they take a `dim`; at a kink the gradient
is PyTorch's.
"""

import math
from functools import partial

import numpy as np

from .. import ops
from ..geometry import positive
from ..ops import maths, sigmoid, tanh, where
from ..ops.elementwise import PRelu
from ..ops.formulas import Curve, step
from ..ops.maths import erf_of, sigmoid_of
from ..ops.promotion import must_be_tensor
from ..tensor import Tensor
from .families import FunctionLayer, layer
from .module import Module, Parameter


def refuse_in_place(name, inplace):
    """Nothing is changed in place here: inplace=True is an error."""
    if inplace:
        raise ValueError(
            f"{name} got inplace=True, but nothing is changed in place here: leave it out and use "
            "the result"
        )


def accept(name, input, inplace=False, kinds="f"):
    """The input, if the function `name` can take it: a Tensor of floating numbers (kind "f"), also
    of integers where `kinds` has "i" and "u".
    """
    refuse_in_place(name, inplace)
    if must_be_tensor("input", input).dtype.kind not in kinds:
        raise TypeError(f"{name} expects floating numbers, got {input.dtype}: use .float()")
    return input


def relu(input, inplace=False):
    """max(x, 0), of integers too."""
    return ops.relu(accept("relu", input, inplace, "fiu"))


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where positive, negative_slope * x elsewhere (Maas et al. 2013)."""
    return ops.leaky_relu(accept("leaky_relu", input, inplace), negative_slope)


def prelu(input, weight):
    """x where positive, weight * x elsewhere; weight () or (1,), or (C,) for each channel (He et
    al. 2015).
    """
    if accept("prelu", input).dtype != accept("prelu", weight).dtype:
        raise TypeError(
            f"prelu expects input and weight of one dtype, got {input.dtype} and {weight.dtype}"
        )
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.shape not in ((), (1,), (channels,)):
        raise ValueError(
            "expected a prelu weight of shape () or (1,), or one for each channel of "
            f"{input.shape}, got {weight.shape}"
        )
    weight = weight.reshape(() if weight.numel() == 1 else (-1, *(1,) * (input.ndim - 2)))
    return PRelu()(input, weight)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x held between min_val and max_val, of integers too; at the bounds the gradient is 0."""
    if min_val > max_val:
        raise ValueError(f"hardtanh expects min_val <= max_val, got {min_val} and {max_val}")
    if accept("hardtanh", input, inplace, "fiu").dtype.kind != "f":
        return input.clamp(min_val, max_val).astype(input.dtype)
    low, high = float(min_val), float(max_val)

    def slope(m, g, x):
        outside = m.maximum(step(m, lambda x: x <= low, x), step(m, lambda x: x >= high, x))
        return g - g * outside

    return Curve(lambda m, x: m.minimum(m.maximum(x, low), high), slope)(input)


def relu6(input, inplace=False):
    """min(max(x, 0), 6)"""
    return hardtanh(accept("relu6", input, inplace, "fiu"), 0, 6)


def elu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    return _elu(accept("elu", input, inplace), float(alpha))


def selu(input, inplace=False):
    """elu scaled so that mean 0 and variance 1 are kept from layer to layer (Klambauer et al. 2017,
    whose appendix has the two constants)
    """
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return _elu(accept("selu", input, inplace), alpha, scale)


def _elu(input, alpha, scale=1.0):
    def value(m, x):  # exp of a large number would overflow
        return scale * (m.maximum(x, 0) + alpha * m.expm1(m.minimum(x, 0)))

    def slope(m, g, x):
        below = g * step(m, lambda x: x <= 0, x)
        x = where(x <= 0, x, 0) if m is Tensor else m.fmin(x, 0)  # also of a NaN 0
        return scale * (g - below + alpha * (below * m.exp(x)))

    return Curve(value, slope)(input)


def gelu(input, *, approximate="none"):
    """x times the probability that a standard normal number is below x, exactly or by
    approximate="tanh" (Hendrycks & Gimpel 2016).
    """
    x = accept("gelu", input)
    if approximate == "none":
        return Curve(lambda m, x: x * _below(m, x), _gelu_slope, "gelu")(x)
    if approximate == "tanh":
        return Curve(lambda m, x: x * _about_below(m, x)[0], _gelu_slope_by_tanh)(x)
    raise ValueError(f"expected approximate 'none' or 'tanh', got {approximate!r}")


def _below(m, x):
    """The probability that a standard normal number is below x."""
    return (1 + erf_of(m, x / math.sqrt(2))) / 2


def _gelu_slope(m, g, x):
    return g * (_below(m, x) + x * m.exp(x * x / -2) / math.sqrt(2 * math.pi))


def _about_below(m, x):
    """The same by tanh, and its slope."""
    k, c = math.sqrt(2 / math.pi), 0.044715
    t = m.tanh(k * (x + c * x * x * x))
    return (1 + t) / 2, (1 - t * t) * (k / 2 * (1 + 3 * c * x * x))


def _gelu_slope_by_tanh(m, g, x):
    below, slope = _about_below(m, x)
    return g * (below + x * slope)


def silu(input, inplace=False):
    """x * sigmoid(x)"""

    def slope(m, g, x):
        s = sigmoid_of(m, x)
        return g * (s * (1 + x * (1 - s)))

    x = accept("silu", input, inplace)
    return Curve(lambda m, x: x * sigmoid_of(m, x), slope, "silu")(x)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; where beta * x is above the threshold, x itself."""
    return maths.Softplus(float(beta), float(threshold))(accept("softplus", input))


def logsigmoid(input):
    """log(sigmoid(x)), without overflow."""
    return Curve(
        lambda m, x: m.minimum(x, 0) - m.log1p(m.exp(-abs(x))),
        lambda m, g, x: g * sigmoid_of(m, -x),
    )(accept("logsigmoid", input))


def softmax(input, dim=None, dtype=None):
    """exp(x) / sum(exp(x)) along dim, which must be given; computed in dtype (None: the input's)"""
    return ops.softmax(must_be_tensor("input", input), _given("softmax", dim), dtype)


def log_softmax(input, dim=None, dtype=None):
    """log(softmax(x)) along dim, which must be given, without overflow; computed in dtype (None:
    the input's).
    """
    return ops.log_softmax(must_be_tensor("input", input), _given("log_softmax", dim), dtype)


def _given(name, dim):
    if dim is None:
        raise ValueError(f"{name} needs a dim: 1 for the classes of (N, C), -1 for the last axis")
    return dim


# ---------------------------------------------------------------- layers


class _OutOfPlace(FunctionLayer):
    """A layer whose function takes `inplace`, which is refused at once and not worth telling."""

    inplace: bool

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        refuse_in_place(type(self).__name__, self.inplace)

    def extra_repr(self):
        settings = self.settings().items()
        return ", ".join(f"{name}={value!r}" for name, value in settings if name != "inplace")


_layer = partial(layer, base=_OutOfPlace)
ReLU = _layer("ReLU", relu)
ReLU6 = _layer("ReLU6", relu6)
LeakyReLU = _layer("LeakyReLU", leaky_relu)
Hardtanh = _layer("Hardtanh", hardtanh)
ELU = _layer("ELU", elu)
SELU = _layer("SELU", selu)
SiLU = _layer("SiLU", silu)
GELU = layer("GELU", gelu)
Softplus = layer("Softplus", softplus)
LogSigmoid = layer("LogSigmoid", logsigmoid)
Sigmoid = layer("Sigmoid", sigmoid)
Tanh = layer("Tanh", tanh)
Softmax = layer("Softmax", softmax, without="dtype")
LogSoftmax = layer("LogSoftmax", log_softmax, without="dtype")


class PReLU(Module):
    """x where positive, a learned slope times x elsewhere, one in all or one a channel (He et al.
    2015)
    """

    def __init__(self, num_parameters=1, init=0.25):
        positive("num_parameters", (num_parameters,))
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, input):
        return prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"
