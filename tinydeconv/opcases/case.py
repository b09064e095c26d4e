"""Case: a function and inputs to check it with."""

import zlib

import numpy as np

from ..backend import to_device
from ..tensor import Tensor

# What gradcheck says of cases that have no right gradient to show.
EXPECTED = {"kink": "kink", "zero derivative": "proves nothing", "empty": "proves nothing"}


class Case:
    """A function of Tensors, an Op class with its `args` or any other, and inputs for it.

    `inputs` are arrays, or shapes for random numbers in generic position: their absolute values lie
    between 0.5 and 2, so there are no ties, and no kinks at 0. `options` go to the function;
    arrays among them become constant Tensors. `expect`: "right" or a key of EXPECTED.
    """

    def __init__(
        self, function, note, *inputs, args=(), positive=False, expect="right", group="", **options
    ):
        self.function, self.note, self.args, self.expect = function, note, args, expect
        self.options = options
        self.group = group or function.__name__
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        signs = (1,) if positive else (-1, 1)
        self.arrays = [
            np.array(rng.uniform(0.5, 2, x) * rng.choice(signs, x) if isinstance(x, tuple) else x)
            for x in inputs
        ]

    @property
    def name(self):
        return f"{self.group} {self.note}".strip()

    def inputs(self, dtype=np.float64, where="cpu"):
        """Fresh tensors that require grad."""
        return [Tensor(to_device(a.astype(dtype), where), requires_grad=True) for a in self.arrays]

    def __call__(self, *inputs):
        where = inputs[0].device
        if not isinstance(self.function, type):
            options = {
                name: Tensor(to_device(value, where)) if isinstance(value, np.ndarray) else value
                for name, value in self.options.items()
            }
            return self.function(*inputs, **options)
        args = (to_device(a, where) if isinstance(a, np.ndarray) else a for a in self.args)
        return self.function(*args)(*inputs)
