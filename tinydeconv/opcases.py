"""Sample inputs for every op: what the tests and `tinydeconv gradcheck` walk through.

A backward is made of ops, so derivatives of any order are right if every op's first derivative is,
unless a backward reads arrays or detaches: the second order shows that. Hence each case is checked
at first and second order, by differences, at inputs in generic position: no zeros, no ties.
"""

import difflib
import re
import time
import warnings
import zlib
from typing import NamedTuple

import numpy as np

from . import ops
from .backend import device, to_device
from .engine import Op
from .geometry import ConvGeometry
from .gradcheck import GradcheckWarning, gradcheck, gradgradcheck
from .ops import conv, elementwise, linalg, promotion, reduction, shape
from .tensor import Tensor

# What a check finds where there is no right gradient to be had.
STATUS = {"kink": "kink", "zero derivative": "proves nothing", "empty": "proves nothing"}


class Case:
    """A function of Tensors with inputs for it: an Op class with its `args`, or any function.

    `inputs` are arrays, or shapes to be filled with random numbers of sizes from 0.5 to 2.
    """

    def __init__(self, function, note, *inputs, args=(), positive=False, expect="right"):
        self.function, self.note, self.args, self.expect = function, note, args, expect
        self.group = function.__name__
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        signs = (1,) if positive else (-1, 1)
        self.arrays = [
            rng.uniform(0.5, 2, x) * rng.choice(signs, x) if isinstance(x, tuple) else np.array(x)
            for x in inputs
        ]

    @property
    def name(self):
        return f"{self.group} {self.note}".strip()

    def inputs(self, dtype=np.float64, where="cpu"):
        """Fresh tensors that require grad."""
        return [Tensor(to_device(a.astype(dtype), where), requires_grad=True) for a in self.arrays]

    def __call__(self, *inputs):
        if not isinstance(self.function, type):
            return self.function(*inputs)
        where = inputs[0].device
        args = (to_device(a, where) if isinstance(a, np.ndarray) else a for a in self.args)
        return self.function(*args)(*inputs)
