"""The kernels for CuPy's arrays: CUDA C, in the .cu files beside this one, and how it is launched.

They take three spatial axes at most and float32 or float64; the rest is left to ../reference.py and
../windows.py, which run on CuPy's arrays too.
"""

# ruff: noqa: F401

from ..reference import matmul
from .convolution import conv, conv_transpose, conv_weight
from .normalization import elementwise, follow, normalize, normalize_grad
from .optimizers import adam, sgd
from .sparse import resample, scatter_add
from .windows import fold, max_pool_indices, unfold, window_put, window_spread, window_sums
