'''CUDA C on the CPU: write, run and break kernels without a GPU.

cudasim compiles CUDA C with the C++ compiler of the machine and runs it thread by thread, behind
the call form of CuPy. The same source then runs on a GPU: put `cupy` where `cudasim` stands, and
CuPy's arrays where NumPy's are.

    import numpy as np
    from tinydeconv import cudasim

    code = """
    extern "C" __global__ void reverse(const float* x, float* y) {
        __shared__ float all[64];
        all[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        y[threadIdx.x] = all[63 - threadIdx.x];
    }
    """
    reverse = cudasim.RawKernel(code, "reverse")
    x, y = np.arange(64, dtype=np.float32), np.empty(64, np.float32)
    reverse((1,), (64,), (x, y))  # grid, block, arguments

Without the barrier it gives a RaceError, which names the element, both threads and both lines. What
is found, each time a kernel runs:

- **Races** (RaceError). Two threads meet at an element, at least one writes, and neither a barrier
  nor an atomic orders them; also when the result happens to be right. Blocks are in no order at
  all. Each launch runs three times from the same memory: threads and blocks forward, in reverse,
  and shuffled by `seed`. A result that differs (atomics that hand out places, say) is a RaceError
  as well. Only what differs by rounding, after floating atomics, is let pass; and a plain read
  beside an atomicCAS, with which loops around one begin.
- **Accesses outside** (OutOfBoundsError) of the arrays, of shared memory, of local arrays whose
  size the compiler knows; each index of a T[n][m]. The kernel stops before the access.
- **Barriers** (BarrierError) that not all threads of a block reach.
- **Arguments** (ArgumentError) that do not fit the C signature: their number, dtype, C order, a
  Python int for an `int` (CuPy passes 64 bits), a read-only array; sizes that no GPU launches.
- **Compile errors** (CompileException) with file, line and the compiler's words.
- Loops that never end (also: Ctrl-C), division of integers by zero, misaligned accesses, printf
  of what its format does not say, failed `assert`s (CudaError).

All are CudaErrors; after one the arrays are as they were before the launch. A kernel that uses
shared memory which nobody wrote computes with NaN. `printf` lines start with block and thread:
`[block 0,0,0 thread 3,0,0] ...`.

`memcheck=True` runs launches in another process under AddressSanitizer: it sees local and shared
arrays that are overrun through a pointer, too, but no races.

What a source may use: the language as NVRTC, CuPy's compiler, takes it, without headers.
`__shared__`, `extern __shared__` (with shared_mem=), `__constant__` and `__device__` variables,
templates, atomics, float2 to double4, the usual mathematics. A GPU differs in

- the last bits: it fuses a * b + c into one operation (here -ffp-contract=off), its functions
  (expf, ...) round differently, and CuPy flushes denormal floats to zero;
- a float that fits no int, and a shift by all of an int's bits or more: there it has its own rules;
- speed: nothing here says what is fast on a GPU;
- what is not simulated: warps (shuffles, __syncwarp), fences, cooperative groups, textures, half
  precision, C++ outside of NVRTC's. Most give a compile error that says so.

It needs Linux (on Windows: WSL) and a C++ compiler: g++, c++ or clang++ on the PATH, or the one
that the environment variable CXX names; compiler() says which it is, or None. Compiled kernels are
kept in ~/.cache/tinydeconv/cudasim, or in the folder cudasim of the one that TINYDECONV_CACHE
names; it can be deleted at any time. A launch needs about eight times the memory of its arrays.
'''

from .build import compiler  # noqa: I001
from .errors import (
    ArgumentError, BarrierError, CompileException, CudaError, OutOfBoundsError, RaceError,
)  # fmt: skip
from .launch import RawKernel, RawModule

__all__ = [
    "ArgumentError", "BarrierError", "CompileException", "CudaError", "OutOfBoundsError",
    "RaceError", "RawKernel", "RawModule", "compiler",
]  # fmt: skip
