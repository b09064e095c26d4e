"""The GPU that is measured: what it is, how it is timed, what may run on it beside tinydeconv."""

import gc
import re
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from math import inf
from time import monotonic, perf_counter
from types import SimpleNamespace

import numpy as np

import tinydeconv as td
from tinydeconv.backend import to_numpy
from tinydeconv.cuda import import_cupy

from .harness import ROOT
from .libraries import TorchLike

RESULTS = ROOT / "benchmarks" / "results"
FIRST_TF32 = (8, 0)  # the compute capability that has it (A100)


class Device:
    """The first GPU, through CuPy, and PyTorch if it is installed with CUDA.

    RuntimeError in one sentence if there is no GPU or no CuPy.
    """

    torch_where = "cuda"  # what PyTorch calls it

    def __init__(self):
        self.cupy = import_cupy()
        self.torch = None
        if find_spec("torch") and import_module("torch").cuda.is_available():
            self.torch = import_module("torch")
            self.torch.backends.cudnn.benchmark = True  # it times its algorithms and takes the best

    @property
    def stand_in(self):
        """Whether it is a model of CuPy, as tests have it, that no GPU stands behind."""
        return self.cupy.ndarray.__module__.partition(".")[0] != "cupy"

    @property
    def has_tf32(self):
        """Whether it has TF32; without it the switch changes nothing, and names would be wrong."""
        told = self.cupy.cuda.runtime.getDeviceProperties(0)
        return (told["major"], told["minor"]) >= FIRST_TF32

    def describe(self):
        runtime = self.cupy.cuda.runtime
        told = runtime.getDeviceProperties(0)
        return {
            "name": told["name"].decode(),
            "stand_in": self.stand_in,
            "capability": f"{told['major']}.{told['minor']}",
            "multiprocessors": told["multiProcessorCount"],
            "memory": told["totalGlobalMem"],  # bytes
            "driver": version(runtime.driverGetVersion()),
            "runtime": version(runtime.runtimeGetVersion()),
            "cupy": self.cupy.__version__,
            "torch": self.torch and {
                "version": self.torch.__version__,
                "cuda": self.torch.version.cuda,
                "cudnn": self.torch.backends.cudnn.version(),
            },
        }  # fmt: skip

    @contextmanager
    def precision(self, tf32):
        """Products of float32 in TF32, or not, of tinydeconv and of PyTorch alike."""
        switches = [td.backends.cuda]
        if self.torch:
            switches += [self.torch.backends.cuda.matmul, self.torch.backends.cudnn]
        before = [switch.allow_tf32 for switch in switches]
        for switch in switches:
            switch.allow_tf32 = tf32
        try:
            yield
        finally:
            for switch, was in zip(switches, before):
                switch.allow_tf32 = was

    def time(self, call, calls=1):
        """Seconds of a call: (between two CUDA events, of Python until it had ordered the work).

        CuPy and PyTorch both work in the default stream, so the events stand around either's work.
        """
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        began = perf_counter()
        for _ in range(calls):
            call()
        host = perf_counter() - began
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end) / 1e3 / calls, host / calls

    def time_here(self, call, calls=1):
        """Seconds of a call on the CPU, while the GPU does nothing."""
        self.cupy.cuda.Device().synchronize()
        start = perf_counter()
        for _ in range(calls):
            call()
        return (perf_counter() - start) / calls

    def numpy(self, array):
        """CuPy's, PyTorch's or NumPy's array as NumPy's."""
        if self.torch and isinstance(array, self.torch.Tensor):
            return array.detach().cpu().numpy()
        return to_numpy(array)

    def release(self):
        """Gives back the memory that nobody uses."""
        gc.collect()
        self.cupy.get_default_memory_pool().free_all_blocks()
        if self.torch:
            self.torch.cuda.empty_cache()

    def peak(self, work):
        """Bytes that work() needs above what stood before: {"used": by arrays at the peak, "held":
        of the GPU by CuPy's memory pool, which gives nothing back by itself}.
        """
        self.release()
        held = self.cupy.get_default_memory_pool().total_bytes
        before = td.cuda.memory_allocated(), held()
        td.cuda.reset_peak_memory_stats()
        try:
            kept = work()
            peak = td.cuda.max_memory_allocated(), held()
        finally:
            td.cuda._peaks.clear()  # watching takes time
        del kept
        return {"used": peak[0] - before[0], "held": peak[1] - before[1]}

    def torch_peak(self, work):
        """The same of PyTorch, which counts by itself."""
        self.release()
        cuda = self.torch.cuda
        cuda.reset_peak_memory_stats()
        before = cuda.memory_allocated(), cuda.memory_reserved()
        kept = work()
        peak = cuda.max_memory_allocated(), cuda.max_memory_reserved()
        del kept
        return {"used": peak[0] - before[0], "held": peak[1] - before[1]}


def version(number):
    """CUDA's 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def file_name(name):
    """NVIDIA H200 -> nvidia-h200"""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def out_of_memory(error):
    """Whether the GPU had no memory for it, by CuPy's word, PyTorch's or ours."""
    told = f"{type(error).__name__}: {error}".lower()
    return isinstance(error, MemoryError) or "outofmemory" in told or "out of memory" in told


class Budget:
    """So many seconds, from now on, to be shared by what is to be done."""

    def __init__(self, seconds):
        self.start = monotonic()
        self.end = self.start + seconds

    @property
    def spent(self):
        return monotonic() - self.start

    @property
    def left(self):
        return self.end - monotonic()

    def share(self, parts):
        """When the first of so many equal parts of what is left is over."""
        return monotonic() + self.left / parts


class OnDevice(TorchLike):
    """tinydeconv or PyTorch as benchmarks/steps.py uses it, with all that it makes on the GPU."""

    def __init__(self, name, where):
        super().__init__(name)
        makers = {
            make: self._there(getattr(self.lib, make), where)
            for make in ("rand", "randn", "zeros", "ones")
        }
        others = {known: getattr(self.lib, known) for known in ("tanh", "manual_seed")}
        self.nn = Moved(self.nn, where)
        self.lib = SimpleNamespace(**makers, **others)

    @staticmethod
    def _there(make, where):
        return lambda *size: make(*size, device=where)


class Moved:
    """The module `nn`, whose networks are made on the GPU; a network is a Sequential here."""

    def __init__(self, nn, where):
        self._nn, self._where = nn, where

    def __getattr__(self, name):
        return getattr(self._nn, name)

    def Sequential(self, *layers):
        return self._nn.Sequential(*layers).to(self._where)


def torch_kernel(torch, kernel, a, b, geometry):
    """One of the three kernels of convolution, by PyTorch's public functions."""
    axes = len(geometry.big)
    options = {
        "stride": geometry.stride,
        "padding": tuple(low for low, _ in geometry.padding),
        "dilation": geometry.dilation,
        "groups": geometry.groups,
    }
    if kernel == "conv":
        return getattr(torch.nn.functional, f"conv{axes}d")(a, b, **options)
    if kernel == "conv_weight":
        shape = b.shape[1], a.shape[1] // geometry.groups, *geometry.kernel
        return getattr(torch.nn.grad, f"conv{axes}d_weight")(a, shape, b, **options)
    least = (
        (small - 1) * stride - low - high + dilation * (taps - 1) + 1
        for small, stride, (low, high), dilation, taps in zip(
            geometry.small, geometry.stride, geometry.padding, geometry.dilation, geometry.kernel
        )
    )
    extra = tuple(big - size for big, size in zip(geometry.big, least))
    return getattr(torch.nn.functional, f"conv_transpose{axes}d")(
        a, b, output_padding=extra, **options
    )


def distance(found, right):
    """The largest difference over the largest number of `right`, or over 1 where that is less;
    infinite if shapes or dtypes differ, or if something is not finite in one of them alone.
    """
    if found.shape != right.shape or found.dtype != right.dtype:
        return inf
    finite = np.isfinite(right)
    if not np.array_equal(finite, np.isfinite(found)):
        return inf
    if not np.array_equal(found[~finite], right[~finite], equal_nan=right.dtype.kind in "fc"):
        return inf
    if not finite.any():
        return 0.0
    apart = np.abs(found[finite].astype(np.float64) - right[finite].astype(np.float64))
    return float(apart.max() / max(1.0, float(np.abs(right[finite]).max())))
