"""The simulator of CUDA: right kernels run right, and each kind of broken one is refused.

Every refusal is of a kernel that differs in one place from one that passes.
"""

import ast
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from tinydeconv import cudasim
from tinydeconv.cudasim import (
    ArgumentError,
    BarrierError,
    CompileException,
    CudaError,
    OutOfBoundsError,
    RaceError,
    build,
    launch,
)

try:
    build.find_compiler()
    MISSING = ""
except CudaError as error:
    MISSING = str(error)
pytestmark = pytest.mark.skipif(bool(MISSING) and "CI" not in os.environ, reason=MISSING)

K = 'extern "C" __global__ void k'


def zeros(n=32, dtype=np.float32):
    return np.zeros(n, dtype)


def run(code, *args, grid=(1,), block=(32,), options=(), shared_mem=0, **settings):
    """Launches kernel k of a source; its arguments."""
    kernel = cudasim.RawKernel(code, "k", options, **settings)
    kernel(grid, block, args, shared_mem=shared_mem)
    return args


def refused(error, code, *args, **settings):
    """The message with which a launch is refused; all arrays must be as before."""
    before = [np.copy(a) for a in args]
    with pytest.raises(error) as caught:
        run(code, *args, **settings)
    assert type(caught.value) is error
    for a, b in zip(args, before):
        np.testing.assert_array_equal(a, b)
    return str(caught.value)


# ---- a real kernel, and all that can be broken in it --------------------------------------------

MATMUL = """// C = A B, tiles of T x T in shared memory
constexpr int T = 8;
extern "C" __global__ void k(const real* __restrict__ A, const real* B, real* C,
                             int M, int N, int K) {
    __shared__ real a[T][T], b[T][T + 1];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * T + ty, col = blockIdx.x * T + tx;
    real sum = 0;
    for (int k0 = 0; k0 < K; k0 += T) {
        a[ty][tx] = row < M && k0 + tx < K ? A[row * K + k0 + tx] : 0;
        b[ty][tx] = col < N && k0 + ty < K ? B[(k0 + ty) * N + col] : 0;
        __syncthreads(); // filled
        for (int i = 0; i < T; i++) sum += a[ty][i] * b[i][tx];
        __syncthreads(); // used
    }
    if (row < M && col < N) C[row * N + col] = sum;
}
"""
M, N, DEPTH = 13, 9, 21


def matmul(code, dtype):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((M, DEPTH)), rng.standard_normal((DEPTH, N))
    a, b, c = a.astype(dtype), b.astype(dtype), np.full((M, N), np.nan, dtype)
    real = {np.float32: "float", np.float64: "double"}[dtype]
    sizes = [np.int32(n) for n in (M, N, DEPTH)]
    run(code, a, b, c, *sizes, grid=(2, 2), block=(8, 8), options=(f"-Dreal={real}",))
    return a, b, c


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_tiled_product_is_right(dtype):
    a, b, c = matmul(MATMUL, dtype)
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(c, a @ b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "old, new, error, words",
    [
        ("__syncthreads(); // filled", "", RaceError, r"\b[ab] \(shared memory\)"),
        ("__syncthreads(); // used", "", RaceError, r"\b[ab] \(shared memory\)"),
        ("k0 + tx < K", "k0 + tx <= K", OutOfBoundsError, r"reads A\[273\]; A has 273 elements"),
        ("k0 + ty < K", "k0 + ty <= K", OutOfBoundsError, r"reads B\[189\]; B has 189 elements"),
        ("row < M && k0", "row <= M && k0", OutOfBoundsError, r"reads A\[273\]"),
        (
            "if (row < M && col < N)",
            "if (row <= M && col < N)",
            OutOfBoundsError,
            r"writes C\[117\]",
        ),
        ("if (row < M && col < N)", "if (row < M)", RaceError, r"meet at C\[1, 0\]"),
        ("i < T", "i <= T", OutOfBoundsError, r"index 8 in a '?float"),
        ("if (row < M && col", "if (col", OutOfBoundsError, r"writes C\[117\]"),
        ("blockIdx.y * T + ty", "blockIdx.y + ty", RaceError, r"of block \(0, 1, 0\)"),
        ("real sum = 0;", "real sum = 0; if (row >= M) return;", BarrierError, "24 have left"),
        ("const real* B", "const double* B", ArgumentError, r"`const double\* B`: .* np.float64"),
        ("real sum = 0;", "real sum;;\n sum = nothing;", CompileException, "error: .*'nothing'"),
    ],
)
def test_each_slip_in_it_is_refused(old, new, error, words):
    assert MATMUL.count(old) == 1
    with pytest.raises(error, match=words):
        matmul(MATMUL.replace(old, new), np.float32)


def test_a_race_names_the_element_the_threads_and_both_lines():
    with pytest.raises(RaceError) as caught:
        matmul(MATMUL.replace("        __syncthreads(); // used\n", ""), np.float32)
    lines = str(caught.value).splitlines()
    assert re.fullmatch(
        r"k: two threads of block \(0, 0, 0\) meet at [ab] \(shared memory\), element \d+ of \d+ "
        r"in no order; put __syncthreads\(\) between them, or use an atomic",
        lines[0],
    )
    assert re.fullmatch(r"  thread \(\d, \d, 0\) writes", lines[1])
    assert lines[2].strip().startswith(("kernel.cu:9: a[ty]", "kernel.cu:10: b[ty]"))
    assert re.fullmatch(r"  thread \(\d, \d, 0\) reads", lines[3])
    assert lines[4] == "    kernel.cu:12: for (int i = 0; i < T; i++) sum += a[ty][i] * b[i][tx];"


# ---- races --------------------------------------------------------------------------------------

REVERSE = """extern "C" __global__ void k(float* x) {
    __shared__ float s[32];
    s[threadIdx.x] = threadIdx.x + 1;
    __syncthreads();
    x[threadIdx.x] = s[31 - threadIdx.x];
}"""
RACES = [
    ("lost update", "(float* x) { x[0] += 1; }", (1,), r"meet at x\[0\] in"),
    ("same value", "(float* x) { x[3] = 1; }", (1,), r"thread \(0, 0, 0\) writes"),
    ("between blocks", "(float* x) { x[threadIdx.x] = 1; }", (2,), r"of block \(1, 0, 0\) writes"),
    ("blocks, read", "(float* x) { if (threadIdx.x == 0) x[blockIdx.x] = x[1]; }", (2,), "twice"),
    ("blocks, both",
     "(float* x) { if (threadIdx.x == 0) { atomicAdd(x, 1.0f); x[blockIdx.x + 1] = x[0]; } }",
     (2,), r"of block \(1, 0, 0\) reads"),
    ("both, and read",
     "(float* x) { int i = threadIdx.x; x[i + 1] = *x; if (!i) atomicAdd(x, 1.0f); }",
     (1,), "reads"),
    ("read, then atomic", "(float* x) { if (threadIdx.x) atomicAdd(x, 1.0f); else x[1] = x[0]; }",
     (1,), "updates atomically"),
    ("atomic, then read", "(float* x) { if (threadIdx.x < 9) atomicAdd(x, 1.0f); else x[9] = *x; }",
     (1,), r"\(9, 0, 0\) reads"),
    ("atomic in another block", "(float* x) { if (blockIdx.x) x[0] = 1; else atomicAdd(x, 1.0f); }",
     (2,), "updates atomically"),
    ("plain after two atomics", "(float* x) { atomicAdd(x, 1.0f); if (threadIdx.x > 30) *x = 1; }",
     (1,), "writes"),
    ("device variable", "(float* x) { counter = counter + 1; }", (1,), r"counter \(device mem"),
    ("bytes of one word", "(float* x) { ((char*)x)[(threadIdx.x + 1) / 2] = 1; }", (1,), r"x\[0\]"),
    ("a byte of a float",
     "(float* x) { if (threadIdx.x == 1) ((char*)x)[1] = 1; if (threadIdx.x == 0) *x = 2; }",
     (1,), r"x\[0\]"),
    ("a float of bytes",
     "(float* x) { if (threadIdx.x == 0) ((char*)x)[1] = 1; if (threadIdx.x == 1) *x = 2; }",
     (1,), r"x\[0\]"),
    ("half of a double", "(float* x) { if (threadIdx.x) x[1] = 1; else *(double*)x = 2; }",
     (1,), r"x\[[01]\]"),
]  # fmt: skip


@pytest.mark.parametrize("body, grid, words", [r[1:] for r in RACES], ids=[r[0] for r in RACES])
def test_races_are_seen(body, grid, words):
    block = (2,) if "double" in body else (32,)
    message = refused(
        RaceError, f"__device__ int counter;\n{K}{body}", zeros(64), grid=grid, block=block
    )
    assert re.search(words, message) and "kernel.cu:2: extern" in message


def test_a_missing_barrier_is_a_race_and_the_barrier_mends_it():
    (x,) = run(REVERSE, zeros())
    np.testing.assert_array_equal(x, np.arange(32, 0, -1))
    refused(RaceError, REVERSE.replace("__syncthreads();", ""), zeros())
    # The read after the barrier is ordered, the write of the next round is not.
    read, fill = "x[threadIdx.x] = s[31 - threadIdx.x];", "s[threadIdx.x] = 1;"
    again = f"__syncthreads(); {read} {fill} __syncthreads();"
    twice = REVERSE.replace("__syncthreads();", again)
    assert "s (shared memory)" in refused(RaceError, twice, zeros())
    run(twice.replace(fill, f"__syncthreads(); {fill}"), zeros())


@pytest.mark.parametrize(
    "body",
    [
        "(char* x) { x[threadIdx.x] = 1; x[threadIdx.x] += 1; }",  # neighbours in one word
        "(char* x) { char a = x[0] + x[1]; __syncthreads(); x[threadIdx.x] = a + 2; }",
        "(char* x) { if (threadIdx.x == 0) for (int i = 0; i < 32; i++) x[i] = 1;"
        " __syncthreads(); x[31 - threadIdx.x] += 1; }",
    ],
)
def test_what_barriers_order_is_no_race(body):
    (x,) = run(K + body, zeros(dtype=np.int8))
    np.testing.assert_array_equal(x, 2)


def test_atomics_of_all_threads_and_blocks_are_no_race():
    code = (
        K
        + "(int* x, int* y) { atomicAdd(x, 1); atomicMax(y, int(blockIdx.x * 32 + threadIdx.x)); }"
    )
    x, y = run(code, zeros(1, np.int32), zeros(1, np.int32), grid=(5,))
    assert (x[0], y[0]) == (160, 159)


# ---- the order of the threads -------------------------------------------------------------------


def test_a_result_that_depends_on_the_order_is_a_race():
    code = K + "(int* n, int* x) { x[atomicAdd(n, 1)] = threadIdx.x; }"
    args = zeros(1, np.int32), zeros(dtype=np.int32)
    message = refused(RaceError, code, *args)
    found = re.search(r"x\[0\] is 0 forward, 31 in reverse and (\d+) shuffled", message)
    assert found
    assert refused(RaceError, code, *args) == message  # one seed, one order
    others = {refused(RaceError, code, *args, seed=s) for s in range(1, 5)}
    assert len(others | {message}) > 2
    # and between blocks
    code = K + "(int* n, int* x) { if (threadIdx.x == 0) x[atomicAdd(n, 1)] = blockIdx.x; }"
    messages = {refused(RaceError, code, *args, grid=(10,), seed=s) for s in range(4)}
    assert len(messages) > 2 and all("x[0] is 0 forward, 9 in reverse" in m for m in messages)


def test_a_device_variable_that_depends_on_the_order_is_a_race_and_else_it_is_kept():
    code = "__device__ int last;" + K + "(int* x) { atomicExch(&last, (int)threadIdx.x); }"
    assert "__device__ variable" in refused(RaceError, code, zeros(1, np.int32))
    code = "__device__ int count;" + K + "(int* x) { if (threadIdx.x) *x = atomicAdd(&count, 1); }"
    kernel = cudasim.RawKernel(code, "k")
    for launches in range(3):
        x = zeros(1, np.int32)
        kernel((1,), (2,), (x,))
        assert x[0] == launches


def test_floating_atomics_may_differ_by_rounding_only():
    terms = np.random.default_rng(0).standard_normal(32).astype(np.float32)
    forward, reverse = (np.add.accumulate(t)[-1] for t in (terms, terms[::-1]))
    assert forward != reverse
    code = K + "(const float* x, float* sum) { atomicAdd(sum, x[threadIdx.x]); }"
    assert run(code, terms, zeros(1))[1] == forward
    message = refused(RaceError, K + "(float* x) { atomicExch(x, 1.0f + threadIdx.x); }", zeros())
    assert "x[0] is 32.0 forward, 1.0 in reverse" in message


def test_the_loop_around_atomiccas_of_cudas_guide_is_no_race():
    """It begins with a plain read, others update beside it: an old value costs a round."""
    code = """
    __device__ double add(double* address, double value) {
        unsigned long long *p = (unsigned long long*)address, old = *p, assumed;
        do {
            assumed = old;
            old = atomicCAS(p, assumed,
                            __double_as_longlong(value + __longlong_as_double(assumed)));
        } while (assumed != old);
        return __longlong_as_double(old);
    }
    extern "C" __global__ void k(double* sum) { add(sum, threadIdx.x); }"""
    (total,) = run(code, zeros(1, np.float64), grid=(3,))
    assert total[0] == 3 * 496
    message = refused(RaceError, code.replace("add(sum", "*sum = 1; add(sum"), zeros(1, np.float64))
    assert "updates atomically" in message or "writes" in message


def test_a_race_in_dynamic_shared_memory_names_the_element():
    code = (
        K
        + """(float* x, int n) {
        extern __shared__ char pool[];
        float* s = (float*)pool + n;
        s[threadIdx.x] = x[threadIdx.x];
        x[threadIdx.x] = s[31 - threadIdx.x];
    }"""
    )
    message = refused(RaceError, code, zeros(), np.int32(8), shared_mem=160)
    assert re.search(
        r"meet at pool \(shared memory\), element (2[4-9]|[89]|1\d) in no order", message
    )


# ---- accesses outside ---------------------------------------------------------------------------

OUTSIDE = [
    ("(float* x) { x[threadIdx.x + 1] = 0; }", r"\(31, 0, 0\) .* writes x\[32\]; x has 32 el"),
    ("(float* x) { x[threadIdx.x] = x[(int)threadIdx.x - 1]; }", r"thread \(0, .* reads x\[-1\]"),
    ("(float* x) { x[threadIdx.x + 32] = 0; }", r"writes x\[32\]"),
    ("(float* x) { x[1 << 28] = 0; }", "where nothing lies"),
    ("(float* x) { x = (float*)(8LL * blockIdx.x); x[threadIdx.x] = 0; }", "at address 0x0"),
    ("(float* x) { atomicAdd(x + 32, 1.0f); }", r"x\[32\]"),
    ("(float* x) { ((double*)(x + 31))[0] = 1; }", r"writes x\[31\]"),
    ("(float* x) { __shared__ float s[4][8]; s[threadIdx.x / 8][threadIdx.x % 8 + 1] = 0; }",
     r"index 8 in a float ?\[8\]"),
    ("(float* x) { __shared__ float s[4][8]; s[threadIdx.x / 8 + 1][threadIdx.x % 8] = 0; }",
     r"index 4 in a float ?\[4\]\[8\]"),
    ("(float* x) { float a[3] = {1, 2, 3}; x[threadIdx.x] = a[threadIdx.x % 4]; }",
     r"index 3 in a float ?\[3\]"),
    ("(float* x) { __shared__ int s[2]; s[(int)threadIdx.x - 1] = 0; }", r"index -1 in a int ?\[2"),
    ("(float* x) { extern __shared__ float s[]; s[threadIdx.x + 1] = 0; }",
     r"bytes 128 to 131 of dynamic shared memory \(s\); the launch has shared_mem=128"),
]  # fmt: skip


@pytest.mark.parametrize("body, words", OUTSIDE)
def test_accesses_outside_are_caught_before_they_happen(body, words):
    message = refused(OutOfBoundsError, "\n" + K + body, zeros(), shared_mem=128)
    assert re.search(words, message)
    assert f"\n    kernel.cu:2: {K}{body}" in message


def test_the_array_next_to_it_in_the_callers_memory_is_not_hit():
    both = zeros(64)
    refused(
        OutOfBoundsError,
        K + "(float* x, float* y) { x[32 + threadIdx.x] = 1; }",
        both[:32],
        both[32:],
    )
    assert not both.any()
    refused(OutOfBoundsError, K + "(float* x) { x[0] = 1; }", zeros(0))


@pytest.mark.parametrize(
    "body, words",
    [
        ("*(double*)(x + i) = 1;", "writes 8 bytes at an address that is no multiple of 8"),
        ("x[0] = *(double*)(x + i);", "reads 8 bytes at an address that is no multiple of 8"),
        ("atomicAdd((int*)((char*)x + i), 1);", "4 bytes at an address that is no multiple of 4"),
        ("extern __shared__ char s[]; *(float*)(s + i) = 1;", "no multiple of 4"),
    ],
)
def test_misaligned_accesses_stop_as_on_a_gpu(body, words):
    code = f"{K}(float* x, int i) {{ {body} }}"
    run(code, zeros(), np.int32(0), block=(1,), shared_mem=64)
    message = refused(CudaError, code, zeros(), np.int32(1), block=(1,), shared_mem=64)
    assert words in message and "\n    kernel.cu:1: extern" in message


def test_the_process_lives_on_and_the_module_too():
    code = K + "(int* x, int n) { if (threadIdx.x < n) x[threadIdx.x] += 1; __syncthreads(); }"
    kernel = cudasim.RawKernel(code, "k")  # the other threads wait when thread 32 fails
    x = zeros(dtype=np.int32)
    for _ in range(3):
        with pytest.raises(OutOfBoundsError):
            kernel((1,), (64,), (x, np.int32(33)))
        kernel((1,), (64,), (x, np.int32(32)))
    np.testing.assert_array_equal(x, 3)


# ---- barriers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body, first, second",
    [
        ("if (threadIdx.x < 3) __syncthreads();",
         "29 have left: (3, 0, 0), (4, 0, 0), (5, 0, 0), ...",
         "3 wait at kernel.cu:2: if (threadIdx.x < 3) __syncthreads();: (0, 0, 0), (1, 0, 0), (2,"),
        ("if (threadIdx.x == 7) return;\n__syncthreads();", "1 have left: (7, 0, 0)",
         "31 wait at kernel.cu:3: __syncthreads();: (0, 0, 0), (1, 0, 0), (2, 0, 0), ..."),
        ("if (threadIdx.x < 16)\n__syncthreads();\nelse\n__syncthreads();",
         "16 wait at kernel.cu:3: __syncthreads();: (0, 0, 0)", "16 wait at kernel.cu:5: "),
        ("for (int i = 0; i <= threadIdx.x; i++)\n__syncthreads();", "1 have left: (0, 0, 0)",
         "31 wait at kernel.cu:3"),
    ],
)  # fmt: skip
def test_divergent_barriers(body, first, second):
    message = refused(BarrierError, f"{K}(float* x) {{\n{body}\n}}", zeros())
    lines = message.splitlines()
    assert lines[0] == "k: not all threads of block (0, 0, 0) reach the same __syncthreads()"
    assert lines[1].strip().startswith(first) and lines[2].strip().startswith(second)


def test_barriers_in_a_uniform_branch_and_in_a_loop_are_none_of_these():
    code = K + "(int* x) { for (int i = 0; i < 9; i++) if (x[0] == 0) __syncthreads(); }"
    run(code, zeros(dtype=np.int32))


# ---- shared memory ------------------------------------------------------------------------------


def test_shared_memory_starts_as_nan_in_every_block():
    code = (
        K
        + """(float* x) {
        __shared__ float s[1]; __shared__ int i[2][3]; extern __shared__ double d[];
        x[3 * blockIdx.x] = s[0], x[3 * blockIdx.x + 1] = i[1][2], x[3 * blockIdx.x + 2] = d[1];
        __syncthreads();
        s[0] = i[1][2] = d[1] = 5;
    }"""
    )
    (x,) = run(code, zeros(6), grid=(2,), block=(1,), shared_mem=16)
    np.testing.assert_array_equal(x, [np.nan, -1, np.nan] * 2)
    (x,) = run(
        K + "(float* x) { __shared__ float s[32]; x[threadIdx.x] = s[threadIdx.x]; }", zeros()
    )
    assert np.isnan(x).all()  # also where nobody ever writes it


def test_shared_memory_of_templates_and_device_functions():
    code = """
    template <int n> __device__ int turned(int value) {
        __shared__ int all[n];
        all[threadIdx.x] = value;
        __syncthreads();
        return all[n - 1 - threadIdx.x];
    }
    __device__ __forceinline__ int kept(int value) {
        __shared__ int all[32];
        all[threadIdx.x] = value;
        return all[threadIdx.x];
    }
    extern "C" __global__ void k(int* x) {
        x[threadIdx.x] = kept(turned<32>(threadIdx.x)) + 100 * turned<33>(1);
    }"""
    message = refused(RaceError, code.replace("__syncthreads();", ""), zeros(dtype=np.int32))
    assert "all (shared memory), element" in message and "of 32 in" in message
    (x,) = run(code.replace("turned<33>(1)", "0"), zeros(dtype=np.int32))
    np.testing.assert_array_equal(x, np.arange(32)[::-1])


def test_dynamic_shared_memory_at_file_scope_with_alignment():
    code = (
        "extern __shared__ __align__(16) unsigned char all[];\n"
        + K
        + """(double* x) {
        double* s = (double*)all;
        s[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        x[threadIdx.x] = s[31 - threadIdx.x];
    }"""
    )
    (x,) = run(code, np.arange(32.0), shared_mem=256)
    np.testing.assert_array_equal(x, np.arange(32.0)[::-1])
    assert "shared_mem=255" in refused(OutOfBoundsError, code, np.arange(32.0), shared_mem=255)


@pytest.mark.parametrize(
    "declaration",
    [
        "extern volatile __shared__ float s[];",
        "extern __shared__ volatile float s[];",
        "__shared__ extern float s[];",
        "extern __shared__ __align__(2 * sizeof(float)) float s[];",
        "extern __shared__ float t[][4]; float* s = t[0];",
    ],
)
def test_dynamic_shared_memory_in_other_words(declaration):
    body = "int i = threadIdx.x; s[i] = i; __syncthreads(); x[i] = s[31 - i];"
    (x,) = run(f"{K}(float* x) {{ {declaration} {body} }}", zeros(), shared_mem=128)
    np.testing.assert_array_equal(x, np.arange(32)[::-1])


@pytest.mark.parametrize("variable", ["float s = 0", "float s[3] = {1, 2}", "int s[2], t[1] = {}"])
def test_shared_memory_has_no_initial_values(variable):
    code = f"{K}(float* x) {{\n__shared__ {variable};\nx[0] = 1;\n}}"
    message = refused(CompileException, code, zeros())
    assert "kernel.cu:2: __shared__" in message and "let a thread write them" in message
    run(code.split(" =")[0] + ";" + code.partition(";")[2], zeros(), block=(1,))


def test_a_block_has_48_kib_of_shared_memory():
    code = K + "(float* x) { __shared__ float s[%d]; s[threadIdx.x] = 1; }"
    run(code % 12288, zeros())
    assert "wants 49156 bytes in variables" in refused(ArgumentError, code % 12289, zeros())
    assert "shared_mem=4" in refused(ArgumentError, code % 12288, zeros(), shared_mem=4)
    assert "shared_mem=49153" in refused(ArgumentError, code % 8, zeros(), shared_mem=49153)


# ---- the language -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.uint64, np.float32, np.float64])
def test_atomics(dtype):
    c = {"int32": "int", "uint32": "unsigned", "uint64": "unsigned long long", "float32": "float",
         "float64": "double"}[np.dtype(dtype).name]  # fmt: skip
    calls = ["atomicAdd(x + 0, v)"]
    if dtype in (np.int32, np.uint32):
        calls += ["atomicSub(x + 1, v)"]
    if np.issubdtype(dtype, np.integer):
        calls += ["atomicMax(x + 2, v)", "atomicMin(x + 3, v)", "atomicAnd(x + 4, v)",
                  "atomicOr(x + 5, v)", "atomicXor(x + 6, v)", "atomicCAS(x + 7, (T)9, v)",
                  "atomicCAS(x + 8, (T)8, v)"]  # fmt: skip
    if dtype is np.uint32:
        calls += ["atomicInc(x + 9, v)", "atomicInc(x + 10, v)", "atomicDec(x + 11, v)"]
    body = "".join(f"old[{re.search(r'x [+] ([0-9]+)', call)[1]}] = {call};" for call in calls)
    code = f"typedef {c} T;\n{K}(T* x, T* old, T v) {{ {body} }}"
    start = np.array([100, 100, 3, 3, 12, 12, 12, 9, 9, 5, 6, 0], dtype)
    x, old = start.copy(), start.copy()
    run(code, x, old, dtype(6), block=(1,))
    done = np.array([106, 94, 6, 3, 12 & 6, 12 | 6, 12 ^ 6, 6, 9, 6, 0, 6], dtype)
    touched = [int(re.search(r"x [+] (\d+)", call)[1]) for call in calls]
    expected = start.copy()
    expected[touched] = done[touched]
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(old, start)


def test_atomics_exist_for_cudas_types_only():
    message = refused(
        CompileException, K + "(long long* x) { atomicAdd(x, 1LL); }", zeros(1, np.int64)
    )
    assert (
        "no matching function" in message
        or "no known conversion" in message
        or "invalid" in message
    )


FUNCTIONS = {
    **{f: f for f in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt")},
    **{f: f for f in ("fabs", "floor", "ceil", "trunc", "rint")},
    **{f: f for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "asin": "arcsin", "atan": "arctan", "rsqrt": lambda x: 1 / np.sqrt(x), "abs": "abs",
    "exp10": lambda x: 10**x, "round": np.rint,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mathematics(dtype):
    x = np.random.default_rng(0).uniform(0.1, 0.9, 32).astype(dtype)
    real, f = ("float", "f") if dtype == np.float32 else ("double", "")
    named = [n for n in FUNCTIONS if n != "abs"]
    lines = [f"y[{i}][t] = {n}(x[t]);" for i, n in enumerate(FUNCTIONS)]
    lines += [f"y[{len(lines) + i}][t] = {n}{f}(x[t]);" for i, n in enumerate(named)]
    code = f"{K}(const {real}* x, {real} (*y)[32]) {{ int t = threadIdx.x; {' '.join(lines)} }}"
    code = code.replace(
        f"{real} (*y)[32]) {{", f"{real}* out) {{ {real} (*y)[32] = ({real} (*)[32])out;"
    )
    y = np.empty((len(lines), 32), dtype)
    run(code, x, y)
    for row, name in zip(y, [*FUNCTIONS, *named]):
        numpy = FUNCTIONS[name]
        expected = numpy(x) if callable(numpy) else getattr(np, numpy)(x)
        np.testing.assert_allclose(row, expected, rtol=2e-6 if f else 1e-14, err_msg=name)


def test_products_and_sums_are_not_fused():
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(32).astype(np.float32) for _ in range(3))
    y, z = zeros(), zeros()
    code = (
        K
        + """(const float* a, const float* b, const float* c, float* y, float* z) {
        int t = threadIdx.x;
        y[t] = a[t] * b[t] + c[t], z[t] = fmaf(a[t], b[t], c[t]);
    }"""
    )
    run(code, a, b, c, y, z)
    np.testing.assert_array_equal(y, a * b + c)
    np.testing.assert_array_equal(z, (a.astype(float) * b + c).astype(np.float32))
    assert (y != z).any()


def test_the_rest_of_the_language():
    code = """
    #define HALF(n) ((n) / 2)
    static_assert(sizeof(float4) == 16 && warpSize == 32, "as in CUDA");
    __constant__ float table[3] = {1, 2, 3};
    __device__ int offset = 7;
    struct Pair { int a; double b; };
    template <class T> __host__ __device__ __noinline__ T larger(T a, T b) { return max(a, b); }
    extern "C" __global__ void __launch_bounds__(256, 2) k(
        float* /* the * result */ y, // out
        const float4* __restrict__ v, Pair p) {
        unsigned t = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        dim3 g = gridDim;
        float inf = 1.0f / 0.0f;
        float4 q = __ldg(v);
        y[t] = table[t % 3] + offset + larger(p.a, HALF(5)) + p.b + g.x * g.y * g.z + q.w
             + (min(3u, 2) == 2) + (inf > 1e30f) + (isnan(0.0f / 0.0f) ? 1 : 0)
             + __int_as_float(0x3f800000) + make_float2(1, 2).y;
    }"""
    pair = np.array((5, 0, 0.5), [("a", np.int32), ("pad", np.int32), ("b", np.float64)])
    four = np.zeros(1, [(c, np.float32) for c in "xyzw"])
    four["w"] = 0.25
    (y, *_) = run(code, zeros(24), four, pair, block=(2, 3, 4))
    np.testing.assert_array_equal(y, np.arange(24) % 3 + 1 + 7 + 5 + 0.5 + 1 + 0.25 + 3 + 1 + 2)


def test_indices_are_those_of_cuda():
    code = (
        K
        + """(unsigned* x) {
        unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
        unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
        x[block * blockDim.x * blockDim.y * blockDim.z + thread] = threadIdx.z * 100 + blockIdx.y;
    }"""
    )
    (x,) = run(code, zeros((2, 3, 4, 4, 3, 2), np.uint32), grid=(4, 3, 2), block=(2, 3, 4))
    expected = 100 * np.arange(4)[:, None, None] + np.arange(3)[:, None, None, None, None]
    np.testing.assert_array_equal(x, np.broadcast_to(expected, x.shape))


def test_signatures_in_other_words():
    run(K + "(void) {}")
    code = """#define SIDE (4)
    extern "C" __global__ void __launch_bounds__(SIDE * (SIDE + 1)) k(float x[], float (*y)[2]) {
        x[0] = y[3][1];
    }"""
    y = np.arange(8, dtype=np.float32).reshape(4, 2)
    (x, _) = run(code, zeros(), y, block=(1,))
    assert x[0] == 7
    code = code.replace("float (*y)[2]", "const float y[4][2]")
    code = code.replace("x[0] =", "x[32] =")
    message = refused(OutOfBoundsError, code, x, y, block=(1,))
    assert "writes x[32]; x has" in message


def test_functions_on_bits_and_vectors():
    code = (
        K
        + """(unsigned* y, const unsigned* v) {
        unsigned x = v[0];
        uint4 a = make_uint4(1, 2, 3, 4);
        uchar3 b = make_uchar3(255, 0, 1);
        longlong2 c = make_longlong2(5, 6);
        y[0] = __brev(x), y[1] = __byte_perm(x, 0xa0b0c0d0u, 0x7310), y[2] = __umulhi(x, 1u << 16);
        y[3] = __funnelshift_l(x, 1u, 8), y[4] = __clzll((long long)x), y[5] = __ffsll(256LL);
        y[6] = a.w + b.x + c.y + (NULL == nullptr), y[7] = __brevll((unsigned long long)x) >> 32;
    }"""
    )
    (y, _) = run(code, zeros(8, np.uint32), np.array([0x12345678], np.uint32), block=(1,))
    assert [hex(n) for n in y] == [
        "0x1e6a2c48", "0xa0125678", "0x1234", hex(1 << 8 | 0x12), hex(35), hex(9), hex(266),
        "0x1e6a2c48",
    ]  # fmt: skip


# ---- printf -------------------------------------------------------------------------------------


def test_printf_is_tagged_and_printed_once(capsys):
    code = (
        K + '(int* x) { if (threadIdx.x < 2) printf("n=%d %.1f %s\\n", threadIdx.x, 0.5, "so"); }'
    )
    run(code, zeros(1, np.int32), grid=(1, 2))
    assert capsys.readouterr().out.splitlines() == [
        f"[block 0,{b},0 thread {t},0,0] n={t} 0.5 so" for b in range(2) for t in range(2)
    ]


def test_printf_in_pieces_and_of_a_kernel_that_fails(capsys):
    code = K + '(int* x) { printf("a"); printf("b"); __syncthreads(); x[threadIdx.x] = 1; }'
    refused(OutOfBoundsError, code, zeros(1, np.int32), block=(2,))
    tags = [f"[block 0,0,0 thread {t},0,0] ab" for t in range(2)]
    assert capsys.readouterr().out == "\n".join(tags)


def test_printf_that_crashes_or_never_ends(capsys, monkeypatch):
    code = K + '(int* x) { printf("%s\\n", threadIdx.x + 1); }'
    message = refused(CudaError, code, zeros(1, np.int32))
    assert "thread (0, 0, 0) of block (0, 0, 0) gives printf what its format does not" in message
    assert "\n    kernel.cu:1: extern" in message
    capsys.readouterr()
    monkeypatch.setattr(launch, "ACCESSES", 10**6)
    code = K + '(volatile int* x) { while (x[0] == 0) printf("%s", "a line of text\\n"); }'
    assert "still runs" in refused(CudaError, code, zeros(1, np.int32), block=(1,))
    assert 2**24 < len(capsys.readouterr().out) < 2**24 + 200


# ---- arguments ----------------------------------------------------------------------------------

TAKES = "(float* x, const double *d, int n, float a, long long m, unsigned char b, bool c) {}"
GOOD = [
    zeros(),
    zeros(dtype=np.float64),
    np.int32(1),
    np.float32(1),
    np.int64(1),
    np.uint8(1),
    np.bool_(1),
]


def _readonly():
    a = zeros()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize(
    "at, value, words",
    [
        (0, zeros(dtype=np.float64), "`float* x`: expected an array of np.float32, got"),
        (0, zeros(64)[::2], r"in C order; give np.ascontiguousarray"),
        (0, zeros((4, 8)).T, r"an array of shape (8, 4) not in C order"),
        (0, _readonly(), "read-only"),
        (0, zeros().astype(">f4"), "got one of >f4"),
        (0, 3, "expected an array, got 3 of type int"),
        (0, None, "expected an array, got None"),
        (0, np.float32(3), "expected an array"),
        (0, [1.0, 2.0], "expected an array"),
        (1, zeros(), "`const double *d`: expected an array of np.float64, got one of float32"),
        (2, 3, "CuPy passes a Python int as int64; give np.int32(3)"),
        (2, np.int64(3), "expected np.int32, got int64 of 8 bytes"),
        (2, np.uint32(3), "expected np.int32, got uint32"),
        (2, np.float32(3), "expected np.int32, got float32"),
        (2, True, "CuPy passes a Python bool as bool; give np.int32(True)"),
        (2, zeros(), "expected a value, got an array of shape (32,)"),
        (3, 0.5, "CuPy passes a Python float as float64; give np.float32(0.5)"),
        (3, np.float64(0.5), "expected np.float32, got float64"),
        (5, np.int8(1), "expected np.uint8"),
        (6, np.uint8(1), "expected np.bool_"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_the_signature(at, value, words):
    args = [*GOOD[:at], value, *GOOD[at + 1 :]]
    with pytest.raises(ArgumentError) as caught:
        run(K + TAKES, *args)
    assert words in str(caught.value) and isinstance(caught.value, TypeError)


def test_arguments_that_fit():
    run(K + TAKES, *GOOD)
    run(K + TAKES, *GOOD[:4], 1, *GOOD[5:6], True)  # Python's int is a long long, its bool a bool
    run(K + "(double a, const float* x) {}", 0.5, _readonly())
    run(
        K + "(void* x, const volatile float* y, float2* z) {}",
        zeros(),
        zeros(),
        zeros(1, np.complex64),
    )
    with pytest.raises(ArgumentError, match=r"6 arguments for 7: k\(float\* x, const double \*d, "):
        run(K + TAKES, *GOOD[:-1])


def test_structs_go_by_value_and_size():
    code = "struct G { int a[3]; };" + K + "(int* x, G g) { x[0] = g.a[2]; g.a[2] = 0; }"
    (x, g) = run(code, zeros(1, np.int32), np.array(([1, 2, 3],), [("a", np.int32, 3)]), block=(1,))
    assert x[0] == 3 and g["a"][2] == 3
    four = np.zeros((), [("a", np.int32, 4)])
    assert "expected a struct of 12 bytes" in refused(ArgumentError, code, zeros(1, np.int32), four)


def test_types_are_the_compilers_not_the_spelling():
    code = (
        "typedef real number;\n#define TAKES (number* x, const number a) // and b\n"
        + K
        + " TAKES { x[0] = a; }"
    )
    for real, dtype in (("float", np.float32), ("double", np.float64)):
        (x, _) = run(code, zeros(1, dtype), dtype(2), options=(f"-Dreal={real}",), block=(1,))
        assert x[0] == 2
    assert "np.float64" in refused(
        ArgumentError, code, zeros(1), np.float32(2), options=("-Dreal=double",)
    )


def test_const_arrays_are_not_written():
    code = K + "(const float* x) { ((float*)x)[threadIdx.x] = 1; }"
    assert "writes x[0], which its parameter declares const" in refused(
        ArgumentError, code, zeros()
    )


def test_arrays_that_overlap_stay_one_memory():
    code = K + "(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x] + 1; }"
    x = zeros(33)
    run(code, x[:32], x[:32])
    np.testing.assert_array_equal(x, [1] * 32 + [0])
    assert "meet at x[1]" in refused(RaceError, code, x[:32], x[1:])


@pytest.mark.parametrize(
    "sizes, words",
    [
        ({"block": (1025,)}, "block is a tuple of up to three sizes"),
        ({"block": (32, 33)}, "1024 threads at most: (32, 33, 1)"),
        ({"block": (1, 1, 65)}, "at most (1024, 1024, 64), got (1, 1, 65)"),
        ({"block": ()}, "got ()"),
        ({"grid": (1, 65536)}, "grid is a tuple"),
        ({"grid": (1, 1, 65536)}, "at most (2147483647, 65535, 65535)"),
        ({"grid": (0,)}, "each at least 1"),
        ({"grid": 4}, "got 4"),
        ({"grid": (100 / 32,)}, "got (3.125,)"),
        ({"shared_mem": -1}, "shared_mem=-1"),
    ],
)
def test_limits_of_a_launch(sizes, words):
    assert words in refused(ArgumentError, K + "(float* x) {}", zeros(), **sizes)
    run(K + "(float* x) {}", zeros(), block=(4, 4, 64), grid=(3, 2, 2))


# ---- compile errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code, words",
    [
        ("// one\n" + K + "(float* x) {\n  x[0] = nothing;\n}",
         "kernel.cu:3: x[0] = nothing;\n    error: "),
        ('#line 1 "common.cu"\nstruct S;\n#line 1 "own.cu"\n\n' + K + "(float* x) { missing(x); }",
         "own.cu:2: extern"),
        ("#include <stdint.h>\n" + K + "(float* x) {}", "NVRTC"),
        (K + "(float* x) { x[0] = __shfl_down_sync(0xffffffff, x[0], 1); }",
         "warp functions are not simulated: use shared memory"),
        (K + "(float* x) { __syncwarp(); }", "warps are not simulated: use __syncthreads()"),
        (K + "(float* x) { __threadfence(); }", "fences are not simulated"),
        (K + "(float* x) { x[0] = exp(1); }", "ambiguous"),  # as NVRTC has it
        (K + "(float* x) { x[0] = INFINITY; }", "INFINITY"),
        ("#error no\n" + K + "(float* x) {}", "kernel.cu:1: #error no"),
        (K + "(float* x) {", "the end of the source\n    error: expected "),
    ],
)  # fmt: skip
def test_compile_errors_have_the_line_and_the_words(code, words):
    message = refused(CompileException, code, zeros())
    assert words in message and str(build.cache_folder()) not in message and "cuda.h" not in message


def test_kernels_that_are_not_there():
    module = cudasim.RawModule(K + "(float* x) {}\n__global__ void hidden(float* x) {}")
    with pytest.raises(CudaError, match="no kernel 'l'; its kernels: k"):
        module.get_function("l")
    with pytest.raises(
        CudaError, match='hidden cannot be found by name: write extern "C" before it'
    ):
        module.get_function("hidden")
    module = cudasim.RawModule(
        'extern "C" {\n__global__ void a(int n) {}\n__global__ void b() {}\n}'
    )
    module.get_function("a")((1,), (1,), (np.int32(1),))
    module.get_function("b")((1,), (1,), ())


# ---- kernels that crash or never end ------------------------------------------------------------


@pytest.mark.parametrize(
    "code, words",
    [
        (K + "(int* x) { x[threadIdx.x] = 7 / x[threadIdx.x]; }", "divides an integer by zero"),
        (K + "(int* x) { assert(threadIdx.x < 3); }",
         "thread (3, 0, 0) of block (0, 0, 0): the assertion threadIdx.x < 3 failed"),
        ("__device__ int f(int n) { volatile int a[999]; a[n] = 1; return n ? f(n - 1) + *a : 0; }"
         "\n" + K + "(int* x) { *x = f(998); }", "needs more than 256 KiB for its local variables"),
        ("__device__ __noinline__ int f(int n) { volatile int a[70000]; a[n] = 1; return a[n]; }\n"
         + K + "(int* x) { if (threadIdx.x == 9) *x = f(*x); }",  # not the stack of thread 8
         "(9, 0, 0) of block (0, 0, 0) needs more than 256 KiB for its local variables"),
        (K + "(int* x) { if (threadIdx.x == 3) __trap(); }", "(3, 0, 0) of block (0, 0, 0): the"),
    ],
)  # fmt: skip
def test_crashes_become_sentences(code, words):
    message = refused(CudaError, code, zeros(dtype=np.int32))
    assert words in message and "\n    kernel.cu:" in message


@pytest.mark.parametrize("body", ["while (x[0] == 0);", "for (;;) __syncthreads();"])
def test_loops_that_never_end_are_left_after_a_limit(body, monkeypatch):
    monkeypatch.setattr(launch, "ACCESSES", 10**5)
    message = refused(CudaError, f"{K}(volatile int* x) {{ {body} }}", zeros(dtype=np.int32))
    assert (
        "still runs after 100,000 accesses to memory and barriers: does a loop never end?"
        in message
    )


@pytest.mark.parametrize("body", ["for (;;);", "while (x[0] == 0);"])
def test_and_those_that_touch_no_memory_after_a_time(body, monkeypatch):
    monkeypatch.setattr(launch, "SECONDS", 1)
    message = refused(CudaError, f"{K}(volatile int* x) {{ {body} }}", zeros(dtype=np.int32))
    assert "k: thread (0, 0, 0) of block (0, 0, 0) still runs after 1 seconds: does a" in message


def test_a_grid_without_end_is_left_too(monkeypatch):
    monkeypatch.setattr(launch, "SECONDS", 1)
    code = K + "(float* x) { if (blockIdx.x < 1 && threadIdx.x < 1) x[0] = 1; }"
    message = refused(CudaError, code, zeros(), grid=(10**8,), block=(1,))
    assert "still runs after 1 seconds" in message


@pytest.mark.parametrize(
    "body", ["for (;;);", "while (x[0] == 0);", "while (x[0] == 0) __syncthreads();"]
)
def test_ctrl_c_stops_a_kernel(body):
    kernel = cudasim.RawKernel(f"{K}(volatile int* x) {{ {body} }}", "k")
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    handler = signal.getsignal(signal.SIGINT)
    timer.start()
    with pytest.raises(KeyboardInterrupt, match="k was stopped"):
        kernel((1,), (32,), (zeros(dtype=np.int32),))
    timer.join()
    run(K + "(float* x) { x[threadIdx.x] = 1; }", zeros())  # and all goes on
    assert signal.getsignal(signal.SIGINT) is handler


# ---- memcheck -----------------------------------------------------------------------------------

FILL = "__device__ void fill(float* p, int n) {\n    for (int i = 0; i < n; i++) p[i] = i;\n}\n"
LOCAL = (
    FILL + K + "(float* x, int n) { float a[8]; fill(a, n); x[threadIdx.x] = a[threadIdx.x % 8]; }"
)
SHARED = FILL + K + ("(float* x, int n) { __shared__ float a[8]; if (threadIdx.x == 0) fill(a, n);"
                     " __syncthreads(); x[threadIdx.x] = a[threadIdx.x % 8]; }")  # fmt: skip


def test_memcheck_sees_arrays_overrun_through_a_pointer():
    for code, words in ((LOCAL, "stack-buffer-overflow"), (SHARED, "global-buffer-overflow")):
        (x, _) = run(code, zeros(), np.int32(8), memcheck=True)
        np.testing.assert_array_equal(x, np.arange(32) % 8)
        message = refused(OutOfBoundsError, code, zeros(), np.int32(9), memcheck=True)
        assert words in message and "thread (0, 0, 0) of block (0, 0, 0) writes 4 bytes" in message
        assert "kernel.cu:2: for (int i = 0; i < n; i++) p[i] = i;" in message


CHECKED = """extern "C" __global__ void k(float* x, int n, int size) {
    extern __shared__ float s[];
    __shared__ float t[4][8];
    printf("here\\n");
    if (n == 1) x[threadIdx.x + 1] = 1;
    if (n == 2) x[(int)threadIdx.x - 1] = 1;
    if (n == 3) s[threadIdx.x + 1] = 1;
    if (n == 4) t[threadIdx.x / 8][threadIdx.x % 8 + 1] = 1;
    if (n == 5 && threadIdx.x) __syncthreads();
    if (n == 6) x[0] = 7 / (n - size);
    while (n == 7);
    s[threadIdx.x] = threadIdx.x;
    __syncthreads();
    x[threadIdx.x] = s[31 - threadIdx.x];
}"""


@pytest.mark.parametrize(
    "n, error, words",
    [
        (1, OutOfBoundsError, "writes x[32]; x has 32 elements"),
        (2, OutOfBoundsError, "writes x[-1]; x has 32 elements"),
        (3, OutOfBoundsError, "bytes 128 to 131 of dynamic shared memory (s)"),
        (4, OutOfBoundsError, "index 8 in a float [8]"),
        (5, BarrierError, "31 wait at kernel.cu:9: if (n == 5"),
        (6, CudaError, "divides an integer by zero"),
        (7, CudaError, "k still runs after 1 seconds: does a loop never end?"),
    ],
)
def test_memcheck_sees_what_the_simulator_sees(n, error, words, monkeypatch):
    monkeypatch.setattr(launch, "SECONDS", 1)
    args = zeros(), np.int32(n), np.int32(6)
    message = refused(error, CHECKED, *args, memcheck=True, shared_mem=128)
    assert words in message
    assert n == 7 or "kernel.cu:" in message


def test_memcheck_gives_results_and_prints(capsys):
    (x, *_) = run(CHECKED, zeros(), np.int32(0), np.int32(0), memcheck=True, shared_mem=128)
    np.testing.assert_array_equal(x, np.arange(32)[::-1])
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"[block 0,0,0 thread {t},0,0] here" for t in range(32)]


# ---- the house ----------------------------------------------------------------------------------


def test_it_is_fast_enough():
    """64 x 64 x 64 with tiles of 16 x 16 within a second, a small launch within 10 ms."""
    code = MATMUL.replace("T = 8", "T = 16")
    kernel = cudasim.RawKernel(code, "k", ("-Dreal=float",))
    a, c = np.ones((64, 64), np.float32), zeros((64, 64))
    small = cudasim.RawKernel(K + "(float* x) { x[threadIdx.x] += 1; }", "k")
    for f, args, sizes, most in (
        (kernel, (a, a, c, *3 * [np.int32(64)]), ((4, 4), (16, 16)), 1),
        (small, (zeros(256),), ((1,), (256,)), 0.01),
    ):
        times = []
        for _ in range(5):
            start = time.process_time()
            f(*sizes, args)
            times.append(time.process_time() - start)
        assert min(times) < most


def test_many_modules_and_launches_need_no_more_memory():
    """Linux gives a process some 65530 mappings: each module had 2048 for the stacks once."""

    def resident():
        return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])

    def mappings():
        return len(Path("/proc/self/maps").read_text(encoding="utf-8").splitlines())

    code, before = K + "(float* x) { x[threadIdx.x] += 1; __syncthreads(); }", None
    for i in range(4):
        run(f"{code} // {i}", zeros(1024), block=(1024,))
        before = before or mappings()
    assert mappings() - before < 200
    kernel, x = cudasim.RawKernel(code, "k"), zeros()
    for i in range(1000):
        kernel((1,), (32,), (x,))
        before = resident() if i == 100 else before
    assert x[0] == 1000 and resident() - before < 300


def test_launches_from_several_threads():
    code = REVERSE.replace("x[threadIdx.x]", "x[32 * blockIdx.x + threadIdx.x]")
    kernel, results = cudasim.RawKernel(code, "k"), []

    def work():
        for _ in range(5):
            x = zeros(32 * 100)
            kernel((100,), (32,), (x,))
            results.append(x)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 20
    for x in results:
        np.testing.assert_array_equal(x.reshape(100, 32), np.arange(32, 0, -1)[None].repeat(100, 0))


def test_what_is_compiled_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYDECONV_CACHE", str(tmp_path))
    run(REVERSE, zeros())
    kept = sorted(tmp_path.rglob("*"))
    assert kept and not [p for p in kept if p.is_dir() and p.name != "cudasim"]
    build.find_compiler()
    monkeypatch.setattr(subprocess, "run", None)  # nothing may be compiled again
    run(REVERSE, zeros())
    assert sorted(tmp_path.rglob("*")) == kept


def test_where_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("TINYDECONV_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_folder() == tmp_path / "tinydeconv" / "cudasim"
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("TINYDECONV_CACHE", str(tmp_path / "file"))
    assert build.cache_folder().name.startswith("tinydeconv-cudasim-")
    run(REVERSE, zeros())


def test_without_a_compiler_and_on_other_systems_a_sentence_says_so(monkeypatch):
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    find = build.find_compiler.__wrapped__
    with pytest.raises(CudaError, match="needs a C.. compiler and found none: install one"):
        find()
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(CudaError, match="on Windows, run Python within WSL"):
        find()


def test_the_compiler_that_cxx_names_is_taken(monkeypatch):
    monkeypatch.setenv("CXX", "c++")
    assert Path(build.find_compiler.__wrapped__()[0]).name == "c++"


def test_the_example_of_the_manual_runs():
    lines = cudasim.__doc__.split("    import numpy", 1)[1].split("\nWithout")[0]
    names = {}
    exec(
        "\n".join(line.removeprefix("    ") for line in f"    import numpy{lines}".splitlines()),
        names,
    )
    np.testing.assert_array_equal(names["y"], np.arange(64)[::-1])
    without = names["code"].replace("__syncthreads();", "")
    with pytest.raises(RaceError):
        cudasim.RawKernel(without, "reverse")((1,), (64,), (names["x"], names["y"]))


def test_it_imports_nothing_of_ours_and_brings_its_sources():
    folder = files(cudasim)
    assert folder.joinpath("cuda.h").is_file() and folder.joinpath("runtime.cpp").is_file()
    for file in Path(cudasim.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2 and not (node.module or "").startswith("tinydeconv")


def test_the_last_array_of_a_struct_ends_there():
    code = """
    struct Tile {
        int n;
        float line[8];
        __device__ void fill(const float* x, int last) {
            for (int i = 0; i <= last; ++i) line[i] = x[i % 4];
        }
    };
    extern "C" __global__ void f(const float* x, float* y, int last) {
        Tile tile{};
        tile.fill(x, last);
        y[threadIdx.x] = tile.line[threadIdx.x];
    }
    """
    kernel = cudasim.RawKernel(code, "f")
    x, y = np.ones((2, 4), np.float32)
    kernel((1,), (4,), (x, y, np.int32(7)))
    with pytest.raises(cudasim.OutOfBoundsError, match=r"index 8 in a float \[8\]"):
        kernel((1,), (4,), (x, y, np.int32(8)))
