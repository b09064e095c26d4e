"""Activations: functions and layers. Elementwise, unless they take a `dim`; at a kink the gradient
is PyTorch's.
"""

import math
from functools import partial

import numpy as np

from .. import ops
from ..geometry import positive
from ..ops import erf, expm1, sigmoid, tanh, where
from ..ops.promotion import must_be_tensor
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
    # the inner choice keeps an infinite x out of the gradient of the weight
    return where(input > 0, input, weight * where(input > 0, 0, input))


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x held between min_val and max_val, of integers too; at the bounds the gradient is 0."""
    if min_val > max_val:
        raise ValueError(f"hardtanh expects min_val <= max_val, got {min_val} and {max_val}")
    held = accept("hardtanh", input, inplace, "fiu").detach().clamp(min_val, max_val)
    outside = (input <= min_val) | (input >= max_val)
    return where(outside, held.astype(input.dtype), input)


def relu6(input, inplace=False):
    """min(max(x, 0), 6)"""
    return hardtanh(accept("relu6", input, inplace, "fiu"), 0, 6)


def elu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x) - 1) elsewhere (Clevert et al. 2016)."""
    below = accept("elu", input, inplace).clamp(max=0)  # or exp would overflow where x is large
    return where(input <= 0, alpha * expm1(below), input)


def selu(input, inplace=False):
    """elu scaled so that mean 0 and variance 1 are kept from layer to layer (Klambauer et al. 2017,
    whose appendix has the two constants)
    """
    x = accept("selu", input, inplace)
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def gelu(input, *, approximate="none"):
    """x times the probability that a standard normal number is below x, exactly or by
    approximate="tanh" (Hendrycks & Gimpel 2016).
    """
    x = accept("gelu", input)
    if approximate == "none":
        return x / 2 * (1 + erf(x / math.sqrt(2)))
    if approximate == "tanh":
        return x / 2 * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    raise ValueError(f"expected approximate 'none' or 'tanh', got {approximate!r}")


def silu(input, inplace=False):
    """x * sigmoid(x)"""
    return accept("silu", input, inplace) * sigmoid(input)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; where beta * x is above the threshold, x itself."""
    scaled = accept("softplus", input) * beta
    return where(scaled > threshold, input, ops.softplus(scaled) / beta)


def logsigmoid(input):
    """log(sigmoid(x)), without overflow."""
    return -ops.softplus(-accept("logsigmoid", input))


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
