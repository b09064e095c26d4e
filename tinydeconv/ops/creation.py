"""Making tensors: from data, filled, counted and random. Floating dtype by default float32."""

import numpy as np

from ..backend import as_device, device_of, generator, import_cupy, is_array, to_device
from ..tensor import Tensor
from .promotion import FLOAT
from .shape import _sizes


def tensor(data, dtype=None, device=None, requires_grad=False):
    """A copy of numbers, nested lists, an array or a Tensor.

    Arrays keep their dtype; of Python's numbers, floats become float32, ints int64 and bools bool.
    """
    return asarray(data, dtype, device, requires_grad, copy=True)


def asarray(data, dtype=None, device=None, requires_grad=False, copy=False):
    """Like tensor(), but shares the memory of an array or a Tensor where it can."""
    if isinstance(data, Tensor):
        result = asarray(data.data, dtype, device, requires_grad, copy)
        if result.data is data.data:
            result.version = data.version
        return result
    if hasattr(data, "__array__") and not isinstance(data, np.generic) and not is_array(data):
        data = np.asarray(data)  # another library's tensor, such as PyTorch's
    if not is_array(data):
        found = np.asarray(
            [x.item() if isinstance(x, Tensor) and x.ndim == 0 else x for x in data]
            if isinstance(data, (list, tuple))
            else data
        )
        if dtype is None and found.dtype.kind == "f":
            dtype = np.result_type(*({d for d in _dtypes(data) if d.kind == "f"} or {FLOAT}))
        data, copy = found, False
    elif not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if dtype is not None and data.dtype != dtype:
        data, copy = data.astype(dtype), False
    if device is not None and device_of(data) != as_device(device):
        data, copy = to_device(data, device), False
    return Tensor(data.copy() if copy else data, requires_grad)


def _dtypes(data):
    """The dtypes inside nested lists: Python's floats are float32, its ints and bools have none."""
    if isinstance(data, (list, tuple)):
        for part in data:
            yield from _dtypes(part)
    elif type(data) is float or isinstance(getattr(data, "dtype", None), np.dtype):
        yield getattr(data, "dtype", FLOAT)


def from_numpy(array):
    """A Tensor that shares the memory of a NumPy array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected a NumPy array, got {type(array).__name__}")
    return Tensor(array)


def from_dlpack(other):
    """A Tensor that shares the memory of an array of another library (NumPy, PyTorch, CuPy, …)."""
    if not hasattr(other, "__dlpack_device__"):
        raise TypeError(f"expected an array that speaks DLPack, got {type(other).__name__}")
    kind, _ = other.__dlpack_device__()
    if kind == 1:  # kDLCPU in dlpack.h
        return Tensor(np.from_dlpack(other))
    return Tensor(import_cupy().from_dlpack(other))


def _shape(size):
    """zeros(2, 3) and zeros((2, 3)) alike, without negative sizes."""
    size = _sizes(size)
    if any(n < 0 for n in size):
        raise ValueError(f"expected sizes that are not negative, got {size}")
    return size


def _make(array, dtype, device, requires_grad):
    dtype = array.dtype if dtype is None else np.dtype(dtype)
    return Tensor(to_device(array.astype(dtype, copy=False), device), requires_grad)


def _floating(name, dtype):
    dtype = np.dtype(dtype or FLOAT)
    if dtype.kind != "f":
        raise TypeError(f"{name} makes floating numbers, not {dtype}; for integers see randint")
    return dtype


def zeros(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return full(_sizes(size), 0.0, dtype, device, requires_grad)


def ones(*size, dtype=None, device=None, requires_grad=False):
    """A tensor of ones: ones(2, 3) or ones((2, 3))."""
    return full(_sizes(size), 1.0, dtype, device, requires_grad)


def full(size, fill_value, dtype=None, device=None, requires_grad=False):
    """A tensor of one value; its dtype, unless given, is that of tensor(fill_value)."""
    value = np.asarray(fill_value)
    dtype = np.dtype(dtype or (FLOAT if value.dtype.kind == "f" else value.dtype))
    if dtype.kind in "iu" and not np.isfinite(value):
        raise ValueError(f"{dtype} holds no {fill_value}: expected a finite fill_value")
    return _make(np.full(_shape((size,)), value, dtype), None, device, requires_grad)


def eye(n, m=None, dtype=None, device=None, requires_grad=False):
    """Ones on the diagonal of an (n, m) matrix, n x n by default, zeros elsewhere."""
    return _make(np.eye(*_shape((n, n if m is None else m))), dtype or FLOAT, device, requires_grad)


def arange(start, end=None, step=1, dtype=None, device=None, requires_grad=False):
    """start, start + step, … before end; float32 if any of them is a float."""
    start, end = (0, start) if end is None else (start, end)
    floating = any(isinstance(v, (float, np.floating)) for v in (start, end, step))
    if step == 0:
        raise ValueError("arange needs a step other than 0")
    dtype = dtype or (FLOAT if floating else np.int64)
    return _make(np.arange(start, end, step), dtype, device, requires_grad)


def linspace(start, end, steps, dtype=None, device=None, requires_grad=False):
    """`steps` evenly spaced numbers from start to end, both included."""
    (steps,) = _shape((steps,))
    return _make(np.linspace(start, end, steps), dtype or FLOAT, device, requires_grad)


def rand(*size, dtype=None, device=None, requires_grad=False):
    """Uniform in [0, 1)."""
    dtype = _floating("rand", dtype)
    drawn = generator().random(_shape(size), np.float64 if dtype == np.float64 else np.float32)
    if dtype == np.float16:
        drawn = np.floor(drawn * 2**11) / 2**11  # its steps below 1, so that none rounds up to 1
    return _make(drawn, dtype, device, requires_grad)


def randn(*size, dtype=None, device=None, requires_grad=False):
    """Normal with mean 0 and variance 1; a seed gives the same numbers, rounded, in every dtype."""
    dtype = _floating("randn", dtype)
    return _make(generator().standard_normal(_shape(size)), dtype, device, requires_grad)


def randint(low, high=None, size=None, dtype=None, device=None, requires_grad=False):
    """Integers from low (0 when left out) to high - 1; randint(10, (2, 3)) and randint(0, 10, (2,
    3)).
    """
    if size is None:
        low, high, size = 0, low, high
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"randint needs a size like (2, 3) as its last argument, got {size!r}")
    if low >= high:
        raise ValueError(f"randint needs low < high, got {low} and {high}")
    dtype = np.dtype(dtype or np.int64)
    if dtype.kind in "biu":
        least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if low < least or high - 1 > most:
            raise ValueError(
                f"{dtype} holds {least} to {most}, but randint was asked for {low} to {high - 1}"
            )
    return _make(generator().integers(low, high, _shape((size,))), dtype, device, requires_grad)


def randperm(n, dtype=None, device=None):
    """0 to n - 1 in random order."""
    return _make(generator().permutation(*_shape((n,))), dtype or np.int64, device, False)


def full_like(x, fill_value, dtype=None, device=None, requires_grad=False):
    """One value in a tensor's shape, dtype and device."""
    return full(x.shape, fill_value, dtype or x.dtype, device or x.device, requires_grad)


def zeros_like(x, dtype=None, device=None, requires_grad=False):
    """Zeros of a tensor's shape, dtype and device."""
    return full_like(x, 0, dtype, device, requires_grad)


def ones_like(x, dtype=None, device=None, requires_grad=False):
    """Ones of a tensor's shape, dtype and device."""
    return full_like(x, 1, dtype, device, requires_grad)


def rand_like(x, dtype=None, device=None, requires_grad=False):
    """Uniform numbers of a tensor's shape, dtype and device."""
    return rand(x.shape, dtype=dtype or x.dtype, device=device or x.device).requires_grad_(
        requires_grad
    )


def randn_like(x, dtype=None, device=None, requires_grad=False):
    """Normal numbers of a tensor's shape, dtype and device."""
    return randn(x.shape, dtype=dtype or x.dtype, device=device or x.device).requires_grad_(
        requires_grad
    )


def randint_like(x, low, high=None, dtype=None, device=None, requires_grad=False):
    """Integers of a tensor's shape, dtype and device: randint_like(x, 10) or randint_like(x, 0,
    10).
    """
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, x.shape, dtype or x.dtype, device or x.device, requires_grad)
