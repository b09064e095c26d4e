"""Whether there is a GPU, and its memory: `td.cuda`. CuPy is made ready here when it is first met.

This is the only file that imports CuPy, and only when a GPU is asked for.
"""

import ctypes
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    *("OutOfMemoryError", "device_count", "empty_cache", "is_available", "max_memory_allocated"),
    *("mem_get_info", "memory_allocated", "reset_peak_memory_stats", "synchronize"),
]

# ---------------------------------------------------------------- finding CuPy


def import_cupy():
    """CuPy, ready for use, or a RuntimeError: one sentence on what is missing, and the fix."""
    try:
        import cupy
    except ModuleNotFoundError:
        driver = driver_version()
        extra, other = ("cuda12", "cuda13") if driver and driver < (13, 0) else ("cuda13", "cuda12")
        here = "there is no driver here" if driver is None else f"here {dotted(driver)}"
        raise RuntimeError(
            f"device 'cuda' needs CuPy, which is not installed: pip install 'tinydeconv[{extra}]' "
            f"(or [{other}], after the CUDA version of the driver, which nvidia-smi shows; {here})"
        ) from None
    except ImportError as error:
        raise RuntimeError(f"CuPy is installed, but cannot be imported: {error}") from error
    if not cupy.cuda.is_available():
        raise RuntimeError(
            "device 'cuda' needs an NVIDIA GPU and its driver: CuPy is installed, but "
            + _why_no_gpu(cupy.cuda.runtime.runtimeGetVersion() // 1000, driver_version())
        )
    ready(cupy)
    return cupy


def _why_no_gpu(built, driver):
    """built: the major CUDA version that CuPy is made for; driver: the driver's version."""
    if driver is None:
        return "finds no driver: install NVIDIA's, until nvidia-smi lists the GPU"
    if driver < (built, 0):
        return (
            f"is made for CUDA {built}, the driver for {dotted(driver)}: update the driver, or pip "
            f"uninstall cupy-cuda{built}x and pip install 'tinydeconv[cuda{driver[0]}]'"
        )
    return "finds no GPU: does nvidia-smi list one, and does CUDA_VISIBLE_DEVICES hide it?"


def driver_version():
    """The CUDA version that NVIDIA's driver is made for, such as (13, 0); None without a driver."""
    number = ctypes.c_int()
    try:
        library = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        library.cuDriverGetVersion(ctypes.byref(number))
    except (OSError, AttributeError):
        return None
    return as_version(number.value)


def as_version(number):
    """CUDA's number of a version, 13020, as (13, 2)."""
    return number // 1000, number % 1000 // 10


def dotted(version):
    return ".".join(map(str, version))


# ---------------------------------------------------------------- making it ready

_known: Any = None  # the CuPy that is ready


def ready(cupy):
    """True, when CuPy has its allocator and its precision from here, whoever imported it."""
    global _known
    if cupy is not _known:
        try:
            backends.cuda.apply(cupy)
        except AttributeError as error:  # it reaches for names that CuPy does not promise to keep
            sentence = f"expected CuPy 14, got {cupy.__version__} ({error}): install CuPy 14"
            raise RuntimeError(sentence) from error
        cupy.cuda.set_allocator(_explained(cupy, cupy.cuda.get_allocator()))
        _known = cupy
    return True


def use(cupy, index):
    """Makes a GPU the current one of this thread, where CuPy makes arrays and launches kernels."""
    if index != cupy.cuda.get_device_id():
        cupy.cuda.Device(index).use()
        backends.cuda.apply(cupy)


class OutOfMemoryError(RuntimeError):
    """An array does not fit into the memory of its GPU."""


_peaks: dict[int, int] = {}  # {index of a GPU whose peak is watched: bytes}


def _explained(cupy, allocate):
    """CuPy's allocator, with a sentence when memory runs out, and watching the peak."""

    def explained(size):
        try:
            pointer = allocate(size)
        except MemoryError as error:  # what the pool had kept in reserve is freed by then
            free, total = map(in_bytes, mem_get_info())
            limit = cupy.get_default_memory_pool().get_limit()
            raise OutOfMemoryError(
                f"out of memory on cuda:{cupy.cuda.get_device_id()}: {in_bytes(size)} were asked "
                f"for, {free} of {total} are free"
                + f", and CuPy may have {in_bytes(limit)}" * bool(limit)
                + "; try a smaller batch"
            ) from error
        index = cupy.cuda.get_device_id()
        if index in _peaks:
            _peaks[index] = max(_peaks[index], memory_allocated(index))
        return pointer

    return explained


def in_bytes(number):
    """A number of bytes as one says it."""
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.2f} MB"


class CudaSwitches:
    """`td.backends.cuda`: how GPUs compute."""

    __slots__ = ("_allow_tf32", "_touched")

    def __init__(self):
        self._allow_tf32 = self._touched = False

    @property
    def allow_tf32(self):
        """Whether products of float32 matrices, convolutions among them, may round what they
        multiply to TF32, 10 bits of mantissa instead of 23, which is faster from the A100 on.

        False until you say otherwise, whatever the variable CUPY_TF32 says. Stacks of matrices heed
        it in the thread that sets it.
        """
        return self._allow_tf32

    @allow_tf32.setter
    def allow_tf32(self, value):
        if not isinstance(value, bool):
            raise TypeError(f"expected True or False for allow_tf32, got {value!r}")
        self._allow_tf32, self._touched = value, self._touched or value
        if _known is not None:
            self.apply(_known)

    def apply(self, cupy):
        """Tells CuPy, which minds a setting of its own for the product of two matrices, and cuBLAS:
        for stacks of them, the handle of this thread and GPU says (github.com/cupy/cupy, issue
        4584).
        """
        linalg, cublas_mode = cupy._core._routines_linalg, "CUBLAS_DEFAULT_MATH"
        kind = linalg.COMPUTE_TYPE_DEFAULT
        if self._allow_tf32:
            kind, cublas_mode = linalg.COMPUTE_TYPE_TF32, "CUBLAS_TF32_TENSOR_OP_MATH"
        linalg.set_compute_type(np.float32, kind)
        if self._touched:  # else the handle, which takes time to make, is as it was
            cublas = cupy.cuda.cublas
            cublas.setMathMode(cupy.cuda.get_cublas_handle(), getattr(cublas, cublas_mode))


@dataclass(frozen=True)
class Backends:
    """`td.backends`: switches, by kind of device."""

    cuda: CudaSwitches


backends = Backends(CudaSwitches())


# ---------------------------------------------------------------- td.cuda


def is_available():
    """Whether a GPU can be used; it never raises."""
    try:
        return bool(import_cupy())
    except RuntimeError:
        return False


def device_count():
    """How many GPUs can be used."""
    return _known.cuda.runtime.getDeviceCount() if is_available() else 0


def synchronize(device=None):
    """Waits until a GPU, by default the current one, has done all that it was told to do."""
    cupy = import_cupy()
    _gpu(cupy, device).synchronize()


def memory_allocated(device=None):
    """How many bytes the arrays on a GPU take now; 0 while none is in use."""
    return _pool("used_bytes", device)


def reset_peak_memory_stats(device=None):
    """Starts to watch the peak that max_memory_allocated tells."""
    index = _gpu(import_cupy(), device).id
    _peaks[index] = memory_allocated(index)


def max_memory_allocated(device=None):
    """The most bytes that the arrays on a GPU took at once since reset_peak_memory_stats(), which
    must come before: watching takes time.
    """
    index = _gpu(import_cupy(), device).id
    if index not in _peaks:
        raise RuntimeError("nobody watched: call td.cuda.reset_peak_memory_stats() first")
    return _peaks[index]


def mem_get_info(device=None):
    """(free, total) bytes of a GPU's memory, all programs together."""
    cupy = import_cupy()
    with _gpu(cupy, device):
        return cupy.cuda.runtime.memGetInfo()


def empty_cache():
    """Gives memory that no array takes back to the GPUs, for other programs; CuPy keeps it
    otherwise, to be quick.
    """
    for i in range(device_count()):
        _pool("free_all_blocks", i)


def _gpu(cupy, device):
    """CuPy's Device for an index, a device, a name such as "cuda:1", or None: the current one."""
    index = cupy.cuda.get_device_id() if device is None else str(device).removeprefix("cuda")
    return cupy.cuda.Device(int(str(index).removeprefix(":") or 0))


def _pool(what, device):
    """Calls a method of CuPy's memory pool for a GPU; 0 while none is in use."""
    if _known is None:
        return 0
    with _gpu(_known, device):
        return getattr(_known.get_default_memory_pool(), what)()
