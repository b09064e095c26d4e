"""Kernels: arrays in, arrays out. They know neither Tensors nor gradients."""

import numpy as np

from ..backend import array_module, is_array
from . import cpu, cuda
from .cuda.launch import handles


def fastest(*arrays):
    """The module with the fastest kernels for these arrays: for NumPy's or for CuPy's. Both have
    the same functions.
    """
    return cpu if array_module(*arrays) is np else cuda


def by_kernel(name, /, *arguments, **settings):
    """What the function `name` of kernels/cuda gives, which does in a launch or two what NumPy's
    arrays have a formula for (pieces.py); None where it is not made for these arrays.
    """
    arrays = [a for a in arguments if is_array(a)]
    if array_module(*arrays) is np or not handles(*arrays):
        return None
    return getattr(cuda, name)(*arguments, **settings)
