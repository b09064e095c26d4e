"""Activations: functions and layers."""

import numpy as np

from ..geometry import positive
from ..ops import leaky_relu, log_softmax, relu, sigmoid, softmax, tanh, where  # noqa: F401
from .families import layer
from .module import Module, Parameter


def prelu(input, weight):
    """input where positive, weight * input elsewhere; weight (1,) or one a channel (C,)."""
    if weight.numel() == 1:
        weight = weight.reshape(())
    elif input.ndim < 2 or weight.shape != (input.shape[1],):
        raise ValueError(
            f"expected a prelu weight of shape (1,) or one for each channel of {input.shape}, got "
            f"{weight.shape}"
        )
    else:
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    return where(input > 0, input, weight * input)


# ---------------------------------------------------------------- layers

ReLU, LeakyReLU = layer("ReLU", relu), layer("LeakyReLU", leaky_relu)
Sigmoid, Tanh = layer("Sigmoid", sigmoid), layer("Tanh", tanh)


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
