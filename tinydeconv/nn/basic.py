"""Linear maps and what moves numbers about: functions and layers."""

import numpy as np

from ..geometry import positive
from ..ops.shape import axis
from .init import fan_in_uniform
from .module import Module, Parameter


def linear(input, weight, bias=None):
    """input @ weight.T + bias: (*, in) with weight (out, in) -> (*, out)."""
    y = input @ weight.T
    return y if bias is None else y + bias


# ---------------------------------------------------------------- layers


class Linear(Module):
    """y = x W^T + b: (*, in_features) -> (*, out_features)."""

    def __init__(self, in_features, out_features, bias=True):
        positive("in_features", (in_features,))
        positive("out_features", (out_features,))
        self.in_features, self.out_features = in_features, out_features
        self.weight = fan_in_uniform(
            Parameter(np.empty((out_features, in_features), np.float32)), in_features
        )
        self.bias = (
            fan_in_uniform(Parameter(np.empty(out_features, np.float32)), in_features)
            if bias
            else None
        )

    def forward(self, input):
        return linear(input, self.weight, self.bias)

    def extra_repr(self):
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


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
