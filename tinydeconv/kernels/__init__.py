"""Kernels: arrays in, arrays out. They know neither Tensors nor gradients."""

import numpy as np

from ..backend import array_module
from . import cpu, reference


def fastest(*arrays):
    """The module with the fastest `conv`, `conv_transpose`, `conv_weight` and `matmul` for these
    arrays.
    """
    return cpu if array_module(*arrays) is np else reference
