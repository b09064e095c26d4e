"""Which array module owns an array, where it lives, and where random numbers come from.

NumPy arrays live on the CPU, CuPy arrays on a CUDA GPU. Both modules offer the same functions, so a
kernel asks `array_module(x)` and runs on either.
"""

import re
import sys
from dataclasses import dataclass

import numpy as np

from . import cuda
from .cuda import backends as backends
from .cuda import import_cupy as import_cupy


@dataclass(frozen=True)
class device:
    """Where an array lives: `device("cpu")`, `device("cuda")` or `device("cuda", 1)`, also spelled
    "cuda:1".
    """

    type: str
    index: int | None = None

    def __post_init__(self):
        match = re.fullmatch(r"(cpu|cuda)(?::(\d+))?", str(self.type))
        if match is None:
            raise ValueError(f"expected a device like 'cpu', 'cuda' or 'cuda:1', got {self.type!r}")
        kind, index = match.groups()
        if index is None:
            index = self.index
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", None if kind == "cpu" else int(index or 0))

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self):
        return f"device(type={self.type!r}" + (
            ")" if self.index is None else f", index={self.index})"
        )


def as_device(name):
    """A `device` from a device, a string or None (the CPU)."""
    return name if isinstance(name, device) else device("cpu" if name is None else name)


def is_array(value):
    """True for the arrays that a Tensor can hold."""
    return isinstance(value, np.ndarray) or _on_gpu(value)


def array_module(*arrays):
    """numpy or cupy, whichever owns all the arrays; they must live on one device.

    That GPU becomes the current one, where CuPy makes arrays and launches kernels.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return np
    places = {a.device.id if isinstance(a, cupy.ndarray) else None for a in arrays}
    if places <= {None}:
        return np
    if len(places) > 1:
        where = ", ".join(str(device_of(a)) for a in arrays)
        raise RuntimeError(
            f"expected all tensors on one device, got {where}; move them with .to('cpu') or "
            ".to('cuda')"
        )
    cuda.use(cupy, *places)
    return cupy


def device_of(array):
    return device("cuda", array.device.id) if _on_gpu(array) else device("cpu")


def to_device(array, where):
    """The array on that device: itself when it is there already, a copy otherwise."""
    where = as_device(where)
    if where == device_of(array):
        return array
    if where.type == "cpu":
        return sys.modules["cupy"].asnumpy(array)
    cupy, number = import_cupy(), cuda.device_count()
    if where.index >= number:
        here = ", ".join(f"cuda:{i}" for i in range(number))
        raise RuntimeError(f"there is no {where}, the GPUs of this machine are {here}")
    cuda.use(cupy, where.index)
    return cupy.asarray(array)


def to_numpy(array):
    return to_device(array, "cpu")


def _on_gpu(array):
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(array, cupy.ndarray) and cuda.ready(cupy)


# Random numbers are always drawn on the CPU and then moved, so one seed gives the same weights on
# every device.
_random = np.random.default_rng()


def manual_seed(seed):
    """Seeds the library's random numbers (a non-negative integer)."""
    global _random
    if seed < 0:
        raise ValueError(f"expected a non-negative seed, got {seed}")
    _random = np.random.default_rng(seed)


def generator():
    """The NumPy Generator that every random function of the library draws from."""
    return _random


def get_rng_state():
    """The state of the library's random numbers, as a dict that JSON can hold."""
    return _random.bit_generator.state


def set_rng_state(state):
    """Goes back to a state that get_rng_state gave."""
    _random.bit_generator.state = state
