"""tinydeconv: deep learning from scratch, with convolution and its transpose at heart.

>>> import tinydeconv as td
>>> x = td.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])
"""

# ruff: noqa: F401

import numpy as _np

from . import cuda, nn, optim
from .backend import backends, device, get_rng_state, manual_seed, set_rng_state
from .engine import (
    Op,
    detect_anomaly,
    enable_grad,
    grad,
    is_grad_enabled,
    no_grad,
)
from .gradcheck import adjointcheck, gradcheck, gradgradcheck
from .kernels.threads import get_num_threads, set_num_threads
from .ops import *  # noqa: F403
from .ops import tensor  # again, because a type checker would take the submodule for it
from .serialize import load, load_metadata, save
from .tensor import Tensor

__version__ = "0.1.0"

float16, float32, float64 = (_np.dtype(n) for n in ("float16", "float32", "float64"))
uint8, int8, int16, int32, int64 = (
    _np.dtype(n) for n in ("uint8", "int8", "int16", "int32", "int64")
)
bool = _np.dtype("bool")
half, float, double, short, int, long = float16, float32, float64, int16, int32, int64
