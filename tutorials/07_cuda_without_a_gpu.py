# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 07 · Write a CUDA kernel without a GPU
#
# **The question.** Libraries like this one are fast on a GPU because somebody wrote *kernels* for
# it: functions in CUDA C that thousands of threads run at once. They are short, and easy to get
# wrong. A wrong one may give the right numbers on most days, and a GPU does not say a word about
# it. How does one write a kernel that is right, and how would you notice if it were not?
#
# You need no GPU to find out. The simulator of this library runs CUDA C on an ordinary processor,
# one thread after the other. It looks at every access to memory, so it can say what a GPU cannot:
# *this line and that line meet in the same number, and nothing says which comes first*. We write a
# handful of kernels, break each of them, and read what it says: first single threads, then threads
# that get into each other's way, then threads that help each other. At the end stands a convolution
# as GPU libraries compute it, and it filters a photograph.
#
# **You need:** notebook 03 (unfolding, convolution as a matrix product); a little C: loops, arrays,
# pointers. A C++ compiler, which Linux mostly has (Debian, Ubuntu: `sudo apt install g++`), on
# Linux, or in WSL on Windows.
#
# **Time:** 120 minutes of reading and trying; the exercises take 40 of them. Half a minute of
# computing.
#
# **Afterwards you can** write and launch a kernel, read a report of a race, place barriers, share
# tiles between threads, and say what a simulator proves and what it does not.

# %% tags=["parameters"]
import importlib.util
import os
import subprocess
import sys

FAST = os.environ.get("TINYDECONV_FAST") == "1"  # for automatic tests; leave it alone

if importlib.util.find_spec("tinydeconv") is None:  # a hosted notebook
    install = [sys.executable, "-m", "pip", "install", "--quiet", "tinydeconv[images]"]
    subprocess.run(install, check=True)

# %%
import re

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb

import tinydeconv as td
from tinydeconv import cudasim, viz
from tinydeconv.data import photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import reference
from tinydeconv.kernels.cuda.launch import source, struct
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

rng = np.random.default_rng(0)

if cudasim.compiler() is None:
    raise RuntimeError(
        "This lesson needs a C++ compiler, on Linux or in WSL on Windows, and finds none: install "
        "g++ (Debian, Ubuntu and WSL: sudo apt install g++), and restart the notebook."
    )

# %% [markdown]
# ## 1. One function, many threads
#
# A processor has a few cores, each made to finish one job soon. A GPU has thousands of simple
# arithmetic units, 16,896 of them in an H100 SXM, made to get *many* jobs done. To use them all,
# CUDA (Nickolls, Buck, Garland and Skadron, *Scalable parallel programming with CUDA*, ACM Queue
# 2008) turns a program inside out. You do not write the loop over the pixels. You write what
# happens to **one** pixel, and start as many threads as there are pixels. Each thread runs the same
# function, the **kernel**, and asks who it is:

# %%
DARKEN = """
extern "C" __global__ void darken(const float *image, float *result, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) result[i] = 0.5f * image[i];
}
"""

# %% [markdown]
# This is C, plus a few words. `__global__` marks a kernel. (`extern "C"` keeps C++ from decorating
# its name.) A pointer is the address of an array's first number. Nothing else of the array arrives:
# no length, no shape, so the length comes separately. `0.5f` is a `float` of 32 bits, as in the
# array; `0.5` would be a `double` of 64, in which many GPUs are slow.
#
# Threads come in **blocks** of the same size, and all blocks together are the **grid**. `threadIdx`
# is the number of a thread within its block, `blockIdx` that of its block within the grid,
# `blockDim` the size of a block and `gridDim` that of the grid, in blocks; each has three parts
# `.x`, `.y` and `.z` in case you want to count in two or three dimensions. So `i` counts through
# all threads of the grid.
#
# From Python a kernel is launched with the sizes of grid and block, and its arguments:

# %%
image = np.ascontiguousarray(photograph("chelsea")[80:140, 110:210])  # 60 rows of 100 pixels
darker = np.zeros_like(image)

darken = cudasim.RawKernel(DARKEN, "darken")
threads = 256  # of a block
blocks = -(-image.size // threads)  # rounded up
darken((blocks,), (threads,), (image, darker, np.int32(image.size)))

idle = blocks * threads - image.size
print("as NumPy has it:", np.array_equal(darker, image / 2))
print(f"{blocks} blocks of {threads} threads for {image.size} pixels: {idle} threads have none")

# %% [markdown]
# On a GPU you would write `cupy` for `cudasim`, and bring the arrays there with `cupy.asarray`; the
# kernel and its launch stay the same. (CuPy is NumPy for GPUs, and this is its way to launch one.)
#
# The number of pixels is seldom a multiple of the size of a block, so the last block hangs over the
# edge. Hence the `if`, which nearly every kernel has. In two dimensions it is two edges. Let the
# threads write down who they are:

# %%
WHO = """
extern "C" __global__ void in_a_row(int *block, int *thread, int height, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < height * width) {
        block[i] = blockIdx.x;
        thread[i] = threadIdx.x;
    }
}

extern "C" __global__ void in_squares(int *block, int *thread, int height, int width) {
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < height && column < width) {
        block[row * width + column] = blockIdx.y * gridDim.x + blockIdx.x;
        thread[row * width + column] = threadIdx.y * blockDim.x + threadIdx.x;
    }
}
"""


# %% tags=["gallery"]
def blocks_of(side, shape):
    """How many blocks of side x side threads cover rows and columns: (across, down)."""
    height, width = shape
    return -(-width // side), -(-height // side)


who = cudasim.RawModule(code=WHO)  # all kernels of a text
owners = {}
for name, grid, block in [
    ("in_a_row", (blocks,), (256,)),
    ("in_squares", blocks_of(16, image.shape), (16, 16)),
]:
    owners[name] = np.full((2, *image.shape), -1, np.int32)  # of each pixel the block, the thread
    sizes = (np.int32(n) for n in image.shape)
    who.get_function(name)(grid, block, (*owners[name], *sizes))

HUES = np.array([to_rgb(colour) for colour in (BLUE, ORANGE, GREEN, PURPLE, SKY, GREY)])
_, axes = plt.subplots(2, 2, figsize=(10, 6.6), layout="constrained")
titles = "24 blocks of 256 threads", "7 x 4 blocks of 16 x 16 threads"
for above, below, (block, thread), title in zip(*axes, owners.values(), titles):
    above.imshow(np.minimum(HUES[block % 6] * (0.2 + 1.6 * image[..., None]), 1))
    above.set_title(f"{title}:\nwhose pixel is it?")
    bar = below.imshow(thread, cmap="viridis", vmin=0, vmax=255)
    below.set_title("which thread of the block?")
    for ax in (above, below):
        ax.axis("off")
for ax in axes[:, 1]:  # the threads that have no pixel
    ax.add_patch(plt.Rectangle((-0.5, -0.5), 7 * 16, 4 * 16, fill=False, ec=GREY, ls=":", lw=2))
    ax.set(xlim=(-1, 112), ylim=(64, -1))
plt.colorbar(bar, ax=axes[1], label="number of the thread in its block", shrink=0.8)
viz.show(
    "A cat's eye four times. Upper row: coloured by the block that writes each pixel, on the left "
    "in stripes of two and a half rows, on the right in squares that are cut off at the right and "
    "lower edge. Lower row: the number of the thread in its block, from dark to bright in each "
    "stripe and in each square. A dotted frame reaches beyond the right image."
)

# %% [markdown]
# **What to see.** The same eye, dealt out in two ways. Left: 256 pixels in a row, two rows and a
# half, are one block. Right: squares. The grid (dotted) is larger than the image: those of its
# threads that have no pixel fail the `if`.
#
# Threads with neighbouring numbers have neighbouring pixels, and that is no accident. A GPU runs 32
# neighbours together (a *warp*), and fetches what they read at once if it lies side by side.
#
# ### Mistakes that cost a minute here
#
# A GPU believes what it is told. If you pass a number of 64 bits where the kernel expects 32, or an
# array in another order, it takes the bytes as they lie there. The simulator holds every argument
# against the C signature first. Here is a helper that prints its complaints instead of stopping the
# notebook, and some ways to earn them. (`kernel.cu:4` is line 4 of the text that you gave; line 1
# is the empty one behind the quotation marks.)


# %%
def complaint(f, *arguments):
    """What the simulator says against f(*arguments): printed, and returned."""
    try:
        f(*arguments)
    except cudasim.CudaError as error:
        print(f"{type(error).__name__}: {error}\n")
        return error
    print("no complaint\n")


n = np.int32(image.size)
crop = photograph("chelsea")[80:140, 110:210]  # a view: its rows do not follow each other
refused = [
    complaint(darken, (1,), (1,), (image, darker, image.size)),
    complaint(darken, (1,), (1,), (image.astype(np.float64), darker, n)),
    complaint(darken, (1,), (1,), (crop, darker, n)),
    complaint(cudasim.RawKernel, DARKEN.replace("image[i];", "image[i]"), "darken"),
]

# %% [markdown]
# And without the `if`?

# %%
no_edge = cudasim.RawKernel(DARKEN.replace("if (i < n) ", ""), "darken")
beyond = complaint(no_edge, (blocks,), (threads,), (image, darker, n))

# %% [markdown]
# The report says which thread did what, in which line. A real GPU may stop the program some
# launches later. More often it says nothing, because the memory behind the array belongs to another
# array of yours: the kernel "works", and something else is wrong.
#
# ### A thread may do more than one pixel
#
# A grid may be smaller than the data. Then each thread goes on in steps as long as the grid (Harris
# calls this a *grid-stride loop*, 2013). Kernels that do so are right for any grid, and `printf`
# shows how the work is dealt out:

# %%
STRIDE = r"""
extern "C" __global__ void darken(const float *image, float *result, int n, bool tell) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        result[i] = 0.5f * image[i];
        if (tell) printf("pixel %d\n", i);
    }
}
"""
stride = cudasim.RawKernel(STRIDE, "darken")
stride((2,), (3,), (image, darker, np.int32(10), np.bool_(True)))

same = []
for grid in (1, 5, 100):
    darker = np.zeros_like(image)
    stride((grid,), (64,), (image, darker, n, np.bool_(False)))
    same.append(np.array_equal(darker, image / 2))
print("right with 1, 5 and 100 blocks:", same)

# %% [markdown]
# The threads speak in the order in which they happen to run: here one after the other, on a GPU as
# it comes. **Nothing in a kernel may depend on that order.** Keep this sentence; most of what
# follows is about it.
#
# ## 2. Unfold
#
# Our first useful kernel is the one that notebook 03 built its matrix product on: `unfold` copies
# the patches of an image into columns, one row for each tap. Number $(k, o)$ of the matrix is the
# pixel that tap $k$ meets at position $o$, and all that there is to know is the line $i\,s + a -
# p$. It gets a function of its own, because we shall need it again. (`__device__`: for use inside
# kernels.) The sizes travel together, as a `struct`:

# %%
PIXEL = """
struct Layer {
    int channels, height, width, kernel, stride, padding, rows, columns;
};

// Where in x the pixel lies that tap k meets at position o; -1 in the padding.
__device__ int pixel(int k, int o, Layer g) {
    int b = k % g.kernel, a = k / g.kernel % g.kernel, c = k / (g.kernel * g.kernel);
    int i = o / g.columns * g.stride + a - g.padding;
    int j = o % g.columns * g.stride + b - g.padding;
    bool inside = i >= 0 && i < g.height && j >= 0 && j < g.width;
    return inside ? (c * g.height + i) * g.width + j : -1;
}
"""
UNFOLD = """
// x (channels, height, width) -> cols (taps of all channels, positions): n numbers
extern "C" __global__ void unfold(const float *x, float *cols, Layer g, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, positions = g.rows * g.columns;
    if (i >= n) return;
    int p = pixel(i / positions, i % positions, g);
    cols[i] = p < 0 ? 0 : x[p];
}
"""
FIELDS = ["channels", "height", "width", "kernel", "stride", "padding", "rows", "columns"]


def layer(channels, height, width, kernel, stride=1, padding=0):
    """The struct Layer: a NumPy array of one element, whose fields have the names and types."""
    rows, columns = ((n + 2 * padding - kernel) // stride + 1 for n in (height, width))
    numbers = channels, height, width, kernel, stride, padding, rows, columns
    return np.array(numbers, [(name, np.int32) for name in FIELDS])


def unfold(x, g):
    """x (channels, height, width) -> (taps of all channels, positions)"""
    cols = np.full((g["channels"] * g["kernel"] ** 2, g["rows"] * g["columns"]), np.nan, x.dtype)
    kernel = cudasim.RawKernel(PIXEL + UNFOLD, "unfold")
    kernel((-(-cols.size // 256),), (256,), (x, cols, g, np.int32(cols.size)))
    return cols


# %% [markdown]
# One thread for each number of the *result*. Each number has one writer, so threads cannot get into
# each other's way. That many threads read the same pixel does no harm. Against the library's own
# `unfold`, in NumPy:

# %%
agree = []
for channels, kernel, s, p in [(1, 3, 1, 0), (3, 3, 1, 1), (2, 5, 2, 2), (2, 2, 3, 1)]:
    x = rng.standard_normal((channels, 11, 14), np.float32)
    wanted = reference.unfold(x[None], ConvGeometry.of_conv((11, 14), (kernel, kernel), s, p))
    cols = unfold(x, layer(channels, 11, 14, kernel, s, p))
    agree.append(np.array_equal(cols, wanted.reshape(cols.shape)))
print("unfold, in four shapes:", agree)

# %%
eye = np.ascontiguousarray(image[::4, ::5])[None]  # (1, 15, 20)
positions = eye.size
cols = unfold(eye, layer(*eye.shape, kernel=3, padding=1))
k, o = 6, 9 * 20 + 7  # tap (2, 0), at position (9, 7)
row, column = 9 + 2 - 1, 7 + 0 - 1

_, axes = plt.subplots(2, 1, figsize=(11, 5.2), layout="constrained", height_ratios=[5, 3])
axes[0].imshow(eye[0], cmap="gray", vmin=0, vmax=1)
axes[0].add_patch(plt.Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=RED, lw=3))
axes[0].set_title(f"the image: thread {k * positions + o} reads pixel ({row}, {column})")
axes[1].imshow(cols, cmap="gray", vmin=0, vmax=1, aspect="auto")
axes[1].add_patch(plt.Rectangle((o - 0.5, k - 0.5), 1, 1, fill=False, ec=RED, lw=1.5))
axes[1].plot(o, k + 1.1, "^", color=RED)  # the frame is small
axes[1].set_title(f"the patches, 9 taps by {positions} positions: it writes number ({k}, {o})")
for ax in axes:
    ax.axis("off")
viz.show(
    "Above, a coarse picture of a cat's eye with one pixel framed in red. Below, a wide matrix of "
    "nine rows, in which the lines of that picture stand behind each other, shifted a little from "
    "row to row; one number is framed in red, and a red triangle points to it."
)

# %% [markdown]
# **What to see.** Each row of the matrix is the whole image, line after line, shifted by one tap;
# what is quite black is padding. So the image is stored nine times. The framed number is that of
# one thread, which copies the framed pixel.
#
# ## 3. A race
#
# How often does each grey level occur in a photograph? One thread for each pixel looks at its level
# and adds one to that level's counter:

# %%
camera = photograph("camera")[:: 1 + FAST, :: 1 + FAST]
levels = np.round(camera * 255).astype(np.uint8).reshape(-1)

COUNT = """
extern "C" __global__ void count(const unsigned char *levels, int *counts, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) counts[levels[i]] += 1;
}
"""


def count(text):
    """How often each level occurs, by a kernel of that text."""
    counts = np.zeros(256, np.int32)
    kernel = cudasim.RawKernel(text, "count")
    kernel((-(-levels.size // 256),), (256,), (levels, counts, np.int32(levels.size)))
    return counts


race = complaint(count, COUNT)

# %% [markdown]
# `counts[v] += 1` looks like one step and is three: *read* the counter, *add* one, *write* it back.
# If two threads read before either has written, both write the same number, and one pixel is lost.
# That is a **race**: two threads touch the same number, at least one of them writes, and nothing
# says who comes first. The simulator reports it even though here, where one thread runs after the
# other, the sum would have been right. It does not wait for a wrong result; it looks for what could
# go wrong.
#
# NumPy has the same trap: `counts[levels] += 1` also reads all, adds one, and writes all. So it can
# show what is lost, if we let 32 neighbours go in lockstep, as a GPU's warps do.
# (That is a sketch. A real GPU has more threads under way than one warp, and seldom loses the same
# number twice.)


# %%
def in_lockstep(levels, together):
    """The counts, if so many neighbours at a time all read before any of them writes."""
    counts = np.zeros(256, int)
    for start in range(0, levels.size, together):
        counts[levels[start : start + together]] += 1
    return counts


sketch = in_lockstep(levels, 32)
lost = 1 - sketch.sum() / levels.size
lost_noise = 1 - in_lockstep(rng.integers(0, 256, levels.size), 32).sum() / levels.size
print(f"{lost:.0%} of the pixels are lost; of random levels it would be {lost_noise:.0%}")

_, ax = plt.subplots(figsize=(9, 3.4), layout="constrained")
ax.step(range(256), np.bincount(levels, minlength=256), color="black", label="all pixels")
ax.step(range(256), sketch, color=ORANGE, label="with 32 threads in lockstep")
ax.set(xlabel="grey level", ylabel="number of pixels", title="camera")
ax.legend()
viz.show(
    "Two histograms of the grey levels of a photograph, with peaks at dark and at bright levels. "
    "The orange one, with lost updates, stays below the black one, most of all at the peaks."
)

# %% [markdown]
# **What to see.** The orange curve is no histogram at all. Neighbouring pixels tend to have the
# same level, so many of a warp's 32 threads want the same counter, and all but one are lost. With
# random levels few would be: test on real data.
#
# The cure has a name. An **atomic** operation reads, adds and writes in one piece; the others wait:

# %%
counts = count(COUNT.replace("counts[levels[i]] += 1", "atomicAdd(&counts[levels[i]], 1)"))
print("as NumPy counts:", np.array_equal(counts, np.bincount(levels, minlength=256)))

# %% [markdown]
# ### Turn it round
#
# The second cure needs no waiting. Take `fold`, the transpose of `unfold`: it adds each number of
# the columns back to the pixel where it came from. With one thread for each number, as before:

# %%
SCATTER = """
extern "C" __global__ void fold(const float *cols, float *x, Layer g, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, positions = g.rows * g.columns;
    if (i >= n) return;
    int p = pixel(i / positions, i % positions, g);
    if (p >= 0) x[p] += cols[i];
}
"""


def fold(text, cols, g, n):
    """cols -> x (channels, height, width), by n threads that run the kernel of that text."""
    x = np.zeros((g["channels"], g["height"], g["width"]), cols.dtype)
    kernel = cudasim.RawKernel(PIXEL + text, "fold")
    kernel((-(-n // 256),), (256,), (cols, x, g, np.int32(n)))
    return x


overlapping, apart = layer(2, 12, 15, kernel=3, padding=1), layer(2, 12, 15, kernel=3, stride=3)
scattered = [
    complaint(fold, SCATTER, unfold(np.ones((2, 12, 15), np.float32), g), g, n)
    for g, n in [(overlapping, 2 * 9 * 12 * 15), (apart, 2 * 9 * 4 * 5)]
]

# %% [markdown]
# With overlapping windows it races. With a stride as large as the window no two patches share a
# pixel, and there is no race: a test with *that* layer would have told you nothing.
#
# Now turn it round. One thread for each **pixel**, which *gathers* what belongs to it: the
# positions whose windows cover it, found by solving $i = \text{row} \cdot s + a - p$ for the row.

# %%
GATHER = """
extern "C" __global__ void fold(const float *cols, float *x, Layer g, int n) {
    int p = blockIdx.x * blockDim.x + threadIdx.x;
    if (p >= n) return;
    int j = p % g.width, i = p / g.width % g.height, c = p / (g.width * g.height);
    float sum = 0;
    for (int a = 0; a < g.kernel; ++a)
        for (int b = 0; b < g.kernel; ++b) {
            int row = i + g.padding - a, column = j + g.padding - b;
            if (row % g.stride || column % g.stride) continue;  // between two positions
            row /= g.stride, column /= g.stride;
            if (row < 0 || row >= g.rows || column < 0 || column >= g.columns) continue;
            int k = (c * g.kernel + a) * g.kernel + b;
            sum += cols[(k * g.rows + row) * g.columns + column];
        }
    x[p] = sum;
}
"""
fold_errors = []
for channels, kernel, s, p in [(1, 3, 1, 0), (3, 3, 1, 1), (2, 5, 2, 2), (2, 2, 3, 1)]:
    g = layer(channels, 11, 14, kernel, s, p)
    shape = channels, kernel, kernel, int(g["rows"]), int(g["columns"])
    cols = rng.standard_normal(shape, np.float32)
    wanted = reference.fold(cols[None], ConvGeometry.of_conv((11, 14), (kernel, kernel), s, p))[0]
    atomic = SCATTER.replace("x[p] += cols[i]", "atomicAdd(&x[p], cols[i])")
    found = fold(GATHER, cols, g, wanted.size), fold(atomic, cols, g, cols.size)
    fold_errors.append([abs(x - wanted).max() for x in found])
print("gathered, and with atomicAdd, off by", np.max(fold_errors, axis=0))

# %% [markdown]
# Both are right. Still there is a reason to gather. A sum of floating-point numbers is rounded
# after each term, so it depends on their order. The pixels of the photograph in float32, from the
# first to the last and from the last to the first:

# %%
row = np.ascontiguousarray(camera).reshape(-1)
forwards, backwards = np.cumsum(row)[-1], np.cumsum(row[::-1])[-1]
print(f"{forwards:.9g} and {backwards:.9g}")

# %% [markdown]
# Atomic additions come in whatever order the threads arrive, so two runs on a GPU may differ in the
# last digits. A thread that gathers adds in the order of its loop, and gives the same bits each
# time. The library's kernels have no atomic operation at all: every number of a result has one
# writer.
#
# (Notebook 04 told the same story without threads: *scatter*, where each feature paints, and the
# pixel's view, where it collects. Exercise 3 brings the two together.)
#
# ## 4. A barrier
#
# Sometimes threads have to work together on one number. How bright is a photograph on average? One
# thread could add up everything while all others watch. Or: each thread adds up some pixels; then
# half of the threads add the sums of the other half to theirs, then a quarter, and so on, as in a
# knockout tournament (Harris, *Optimizing parallel reduction in CUDA*, 2007). For that they must
# see each other's numbers. Threads of a block have a small, fast memory in common, `__shared__` (48
# KB; some GPUs give more if asked), and a way to wait for each other, the **barrier**
# `__syncthreads()`: none goes on before all have arrived.

# %%
SUMS = """
// x (n) -> result: a sum for each block, of 256 threads
extern "C" __global__ void sums(const float *x, float *result, int n) {
    __shared__ float part[256];
    int t = threadIdx.x;
    float own = 0;
    for (int i = blockIdx.x * blockDim.x + t; i < n; i += gridDim.x * blockDim.x) own += x[i];
    part[t] = own;
    for (int half = 128; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
    }
    if (t == 0) result[blockIdx.x] = part[0];
}
"""


def total(text, x, grid=32):
    """The sum of x: one launch for a sum of each block, a second for the sum of those."""
    kernel = cudasim.RawKernel(text, "sums")
    parts, whole = np.empty(grid, np.float32), np.empty(1, np.float32)
    kernel((grid,), (256,), (x, parts, np.int32(x.size)))
    kernel((1,), (256,), (parts, whole, np.int32(grid)))
    return whole[0]


by_tree, exact = total(SUMS, row), row.sum(dtype=np.float64)
print(f"mean brightness {by_tree / row.size:.4f}")
print(f"off by {abs(by_tree / exact - 1):.1e}", end=", ")
print(f"one after the other by {abs(forwards / exact - 1):.1e}")

# %% [markdown]
# Two launches, because blocks cannot wait for each other: a GPU starts them in any order, some when
# others have ended. But what one launch has written, the next one sees.
#
# (A tree is not only quick. It adds numbers of about the same size, so it rounds less than a loop
# that adds small pixels to an ever larger sum.)
#
# Here is the same tree with 8 threads, which write down what is in shared memory after each step:

# %%
TREE = """
extern "C" __global__ void tree(const float *x, float *trace) {
    __shared__ float part[8];
    int t = threadIdx.x;
    part[t] = x[t];
    trace[t] = part[t];
    for (int half = 4, step = 1; half > 0; half /= 2, ++step) {
        __syncthreads();
        if (t < half) part[t] += part[t + half];
        trace[step * 8 + t] = part[t];
    }
}
"""
trace = np.empty((4, 8), np.float32)
cudasim.RawKernel(TREE, "tree")((1,), (8,), (np.float32([3, 1, 4, 1, 5, 9, 2, 6]), trace))

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for step, half in enumerate([8, 4, 2, 1]):
    for t in range(8):
        active = t < half
        if active and step:
            ax.plot([t, t], [step - 0.75, step - 0.25], color=GREY)
            ax.plot([t + half, t], [step - 0.75, step - 0.25], color=BLUE)
        colour, box = ("white", BLUE) if active else (GREY, "white")
        style = {"ha": "center", "va": "center", "fontsize": 13, "color": colour}
        style["bbox"] = {"boxstyle": "round", "fc": box, "ec": GREY}
        ax.text(t, step, f"{trace[step, t]:g}", **style)
    if step:
        ax.axhline(step - 0.5, color=RED, lw=1, ls="--")
        ax.text(7.4, step - 0.5, "barrier", color=RED, va="center", backgroundcolor="white")
ax.set(xlim=(-0.6, 8.3), ylim=(3.5, -0.5))
ax.set_title("eight threads, from left to right, and what each has in shared memory")
ax.axis("off")
viz.show(
    "Four rows of eight numbers. The first row is 3, 1, 4, 1, 5, 9, 2, 6; in each row below half "
    "as many numbers are blue, each joined by lines with two numbers above it; the last row has 31 "
    "on the left. A dashed red line, a barrier, stands between the rows."
)

# %% [markdown]
# **What to see.** A column is a thread. Blue numbers were written in this step; white ones are left
# over. Each blue number is the sum of two above it: one was the thread's own (grey line), the other
# is *another thread's* (blue line), which must be there before it is read. That is what the red
# lines are for.
#
# What happens without them?

# %%
missing = complaint(total, SUMS.replace("__syncthreads();", ""), row)

# %% [markdown]
# Thread 0 reads in the tree what thread 1 puts down before it, and no barrier stands in between:
# when thread 0 came by, thread 1 had not even started.
#
# This mistake often goes unnoticed on a GPU. The 32 threads of a warp used to march in step, so
# within a warp the barrier was not needed; the very slides that taught the tree to everybody left
# it out for the last 32 threads, to save time. Since 2017 (NVIDIA's Volta) the threads of a warp
# may part, and such kernels may give wrong sums, now and then.
#
# If barriers are that important, why not only where they are needed: for the threads that add?

# %%
TOO_FEW = SUMS.replace(
    """        __syncthreads();
        if (t < half) part[t] += part[t + half];
""",
    """        if (t < half) {
            __syncthreads();
            part[t] += part[t + half];
        }
""",
)
divergent = complaint(total, TOO_FEW, row)

# %% [markdown]
# A barrier waits for *all* threads of the block. Half of them have walked past it and never come:
# on a GPU the program may hang, or, worse, go on in some way that no manual describes. So no
# `__syncthreads()` inside an `if` that not all threads take, and no early `return` before one.
# (That is why the tree says `if (t < half) part...` and not `if (t >= half) return`. GPUs since
# Volta wait only for those threads that have not ended, so there this very kernel may seem to work.
# But CUDA does not promise it for all GPUs, and a thread that has ended does not fetch what the
# others need; so the simulator asks for every thread.)
#
# ## 5. Outside, or only wrong
#
# Here is a kernel with three mistakes in two lines. It is to subtract the left neighbour from the
# right one (outside of the image there is black). Try to see all three before you go on.

# %%
SLOPE = """
extern "C" __global__ void slope(const float *x, float *y, int height, int width) {
    int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
    if (i <= height && j <= width)
        y[i * width + j] = x[i * width + j + 1] - x[i * width + j - 1];
}
"""


def slope(text):
    """Right minus left of the eye."""
    y = np.full_like(image, np.nan)
    sizes = (np.int32(n) for n in image.shape)
    kernel = cudasim.RawKernel(text, "slope")
    kernel(blocks_of(16, image.shape), (16, 16), (image, y, *sizes))
    return y


mended = [SLOPE]
found = [complaint(slope, SLOPE)]

# %% [markdown]
# The first thread of all reads one number before the array: at the left edge there is no left
# neighbour. Mended, we try again:

# %%
mended += [SLOPE.replace("x[i * width + j - 1]", "(j > 0 ? x[i * width + j - 1] : 0)")]
found += [complaint(slope, mended[1])]

# %% [markdown]
# A race? Between which threads? `j <= width` lets one thread too many into each row, and number
# `width` of row 0 is number 0 of row 1: still inside the array, but another thread's. An index may
# be wrong and not be outside.

# %%
mended += [mended[1].replace("i <= height && j <= width", "i < height && j < width")]
found += [complaint(slope, mended[2])]

# %% [markdown]
# The thread of the last pixel reads behind the end. A hasty mend asks for just that, whether the
# number lies in the array:

# %%
right = "x[i * width + j + 1]"
hasty = mended[2].replace(right, f"(i * width + j + 1 < height * width ? {right} : 0)")
found += [complaint(slope, hasty)]

black = np.zeros((len(image), 1), np.float32)
wanted_slope = np.hstack([image[:, 1:], black]) - np.hstack([black, image[:, :-1]])
wrong = np.argwhere(slope(hasty) != wanted_slope)
print(f"{len(wrong)} pixels are wrong, in the columns {np.unique(wrong[:, 1])}")

# %% [markdown]
# No complaint, and wrong. At the right edge each thread reads on, in the next row. No tool can know
# that this is not what you meant; only a comparison with something simpler can. So the rule of this
# library is: the simulator **and** a plain version in NumPy, for sizes that do not fit.

# %%
mended += [mended[2].replace(right, f"(j + 1 < width ? {right} : 0)")]
found += [complaint(slope, mended[3])]
print("as NumPy has it:", np.array_equal(slope(mended[3]), wanted_slope))

# %% [markdown]
# One kind of access escapes even so: through a pointer into an array of the thread's own. The
# compiler knows the size of `own` below, and an index outside of it is reported like any other. But
# `sort` gets an address and a number. Its first loop goes one too far:

# %%
MEDIAN = """
__device__ void sort(float *a, int n) {
    for (int i = 1; i <= n; ++i) {
        float moved = a[i];
        int j = i;
        for (; j > 0 && a[j - 1] > moved; --j) a[j] = a[j - 1];
        a[j] = moved;
    }
}

// The median of 3 x 3 pixels; the border stays as it is.
extern "C" __global__ void median(const float *x, float *y, int height, int width) {
    int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < 1 || i > height - 2 || j < 1 || j > width - 2) return;
    float own[9];
    for (int a = 0; a < 9; ++a) own[a] = x[(i + a / 3 - 1) * width + j + a % 3 - 1];
    sort(own, 9);
    y[i * width + j] = own[4];
}
"""


def median(text, memcheck):
    """The image, with the median of 3 x 3 pixels in place of each."""
    y = image.copy()
    sizes = (np.int32(n) for n in image.shape)
    kernel = cudasim.RawKernel(text, "median", memcheck=memcheck)
    kernel(blocks_of(16, image.shape), (16, 16), (image, y, *sizes))
    return y


strange = complaint(median, MEDIAN, False)
overrun = complaint(median, MEDIAN, True)

windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3)).reshape(58, 98, 9)
medians = median(MEDIAN.replace("i <= n", "i < n"), memcheck=True)[1:-1, 1:-1]
print("mended, as NumPy has it:", np.array_equal(medians, np.median(windows, axis=-1)))

# %% [markdown]
# Behind `own` lies whatever the compiler has put there, so the first run says nothing, or only that
# something is strange: a result that depends on the order of the threads. With `memcheck=True`
# every array of a thread is guarded (by AddressSanitizer, Serebryany et al. 2012). That takes
# longer, and that mode does not look for races, so it is a switch.
#
# ## 6. Tiles
#
# Now to what GPUs are bought for, the matrix product: $c_{ij} = \sum_k a_{ik} b_{kj}$. One thread
# for each number of the result, which reads a row of $a$ and a column of $b$. To know how much is
# read, we count: `READ` adds one to a counter, and then reads. (The option `-DTILE=16` of the
# compiler puts 16 wherever the text says `TILE`; this kernel does not yet, the next one will.)

# %%
READ = """
#define READ(number) (atomicAdd(reads, 1ull), number)
"""
PRODUCT = """
// a (M, K), b (K, N) -> c (M, N)
extern "C" __global__ void product(const float *a, const float *b, float *c, int M, int K, int N,
                                   unsigned long long *reads) {
    int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M || j >= N) return;
    float sum = 0;
    for (int k = 0; k < K; ++k) sum += READ(a[i * K + k]) * READ(b[k * N + j]);
    c[i * N + j] = sum;
}
"""


def multiply(text, a, b, side):
    """a @ b by the kernel `product` of that text, in blocks of side x side; and how many numbers
    it has read from a and b.
    """
    (m, k), n = a.shape, b.shape[1]
    c, reads = np.full((m, n), np.nan, np.float32), np.zeros(1, np.uint64)
    kernel = cudasim.RawKernel(READ + text, "product", (f"-DTILE={side}",))
    sizes = (np.int32(size) for size in (m, k, n))
    kernel(blocks_of(side, c.shape), (side, side), (a, b, c, *sizes, reads))
    return c, int(reads[0])


n = 32 if FAST else 64
a, b = rng.standard_normal((2, n, n), np.float32)
c, simple_reads = multiply(PRODUCT, a, b, 16)
print(f"off by {abs(c - a @ b).max():.0e}; {simple_reads:,} reads; 2 * {n}^3 = {2 * n**3:,}")

# %% [markdown]
# Each number of $a$ and $b$ is read $n$ times, by $n$ different threads. How bad is that? A
# multiply and an add are 2 operations, and for these it reads 2 numbers of 4 bytes: a quarter of an
# operation for each byte. An A100 (NVIDIA's data sheet, 2020) can do this many while a byte
# arrives:

# %%
a100_operations, a100_bytes = 19.5e12, 1.555e12  # a second, in float32
balance = a100_operations / a100_bytes
print(f"{balance:.1f} operations a byte; here {2 / 8}, so {balance / (2 / 8):.0f} times too few")

# %% [markdown]
# (Not all of these reads get as far as memory. A number that all threads of a warp want is fetched
# once, and a cache keeps for a while what was read. How much that helps, only a GPU can tell.)
#
# The threads of one block read the same rows and columns over and over. So let them help each
# other. They fetch a square **tile** of $a$ and one of $b$ into shared memory, each thread one
# number of each; *wait*; multiply what is there, as if that were all; *wait*, until everybody is
# done with the tiles; and fetch the next two.

# %%
TILED = """
// a (M, K), b (K, N) -> c (M, N); blocks of TILE x TILE threads
extern "C" __global__ void product(const float *a, const float *b, float *c, int M, int K, int N,
                                   unsigned long long *reads) {
    __shared__ float left[TILE][TILE], right[TILE][TILE];
    int t = threadIdx.y, u = threadIdx.x;
    int i = blockIdx.y * TILE + t, j = blockIdx.x * TILE + u;
    float sum = 0;
    for (int k = 0; k < K; k += TILE) {
        left[t][u] = i < M && k + u < K ? READ(a[i * K + k + u]) : 0;
        right[t][u] = k + t < K && j < N ? READ(b[(k + t) * N + j]) : 0;
        __syncthreads();  // the tiles are complete
        for (int q = 0; q < TILE; ++q) sum += left[t][q] * right[q][u];
        __syncthreads();  // all have read them
    }
    if (i < M && j < N) c[i * N + j] = sum;
}
"""

# %% [markdown]
# There is no early `return` any more: a thread without a number of $c$ still helps to fetch. Where
# a tile hangs over an edge it holds zeros, which add nothing to the sums.

# %%
M, K, N, T = 20, 24, 28, 8
_, ax = plt.subplots(figsize=(7, 6.4), layout="constrained")
gap = 3


def draw(left, top, width, height, colour="white", edge=GREY, **style):
    ax.add_patch(plt.Rectangle((left, top), width, height, fc=colour, ec=edge, **style))


down, across, step = 1, 2, 1  # the block, and how far it has come
c_left, c_top = K + gap, K + gap
draw(0, c_top, K, M, ORANGE, alpha=0.35)
draw(c_left, 0, N, K, PURPLE, alpha=0.35)
draw(c_left, c_top, N, M, GREEN, alpha=0.35)
draw(0, c_top + down * T, K, T, ORANGE, alpha=0.6)
draw(c_left + across * T, 0, T, K, PURPLE, alpha=0.6)
draw(step * T, c_top + down * T, T, T, SKY, lw=2)
draw(c_left + across * T, step * T, T, T, SKY, lw=2)
for y, x in np.ndindex(-(-M // T), -(-N // T)):
    draw(c_left + x * T, c_top + y * T, T, T, fill=False, lw=1.5, ls=":")
draw(c_left + across * T, c_top + down * T, T, T, GREEN, lw=2)
t, u = 2, 5  # a thread
draw(0, c_top + down * T + t, K, 1, edge=RED, fill=False, lw=1.5)
draw(c_left + across * T + u, 0, 1, K, edge=RED, fill=False, lw=1.5)
draw(c_left + across * T + u, c_top + down * T + t, 1, 1, RED, edge=RED)
ax.text(K / 2, c_top - 1, "a", ha="center", fontsize=14)
ax.text(c_left - 1, K / 2, "b", ha="right", fontsize=14)
ax.text(c_left - 1, c_top - 1, "c", ha="right", fontsize=14)
ax.set(xlim=(-1, c_left + N + 5), ylim=(c_top + M + 5, -2), aspect="equal")
ax.set_title("one block, in its second step")
ax.axis("off")
viz.show(
    "Three matrices: a in orange at the lower left, b in purple above, c in green between them, "
    "which is cut into tiles. One tile of c is marked, with the strip of rows of a and the strip "
    "of columns of b that it needs; in each strip a square is light blue. A red row, a red column "
    "and a red dot where they meet belong to one thread; tiles hang over the right and lower edge."
)

# %% [markdown]
# **What to see.** The dark green tile of $c$ belongs to one block. It needs a strip of $a$ and a
# strip of $b$, and has the two light blue squares of them in shared memory. Red: what one thread
# needs. At the right and the lower edge the tiles reach beyond the matrix.
#
# Each number that is fetched serves $T$ threads. So there should be $2 n^3 / T$ reads:

# %%
sides = [2, 4, 8, 16] if FAST else [2, 4, 8, 16, 32]
tiled_reads = {side: multiply(TILED, a, b, side)[1] for side in sides}
tiled_errors = []
for rows, depth, columns in [(20, 24, 28), (1, 1, 1), (16, 16, 16), (17, 33, 15), (5, 40, 3)]:
    p, q = (rng.standard_normal(s, np.float32) for s in [(rows, depth), (depth, columns)])
    tiled_errors.append(abs(multiply(TILED, p, q, 16)[0] - p @ q).max())
print(f"ragged sizes: off by {max(tiled_errors):.0e}")

_, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
ax.plot([1, *sides], [2 * n**3 / side for side in [1, *sides]], color=GREY, label="2 n³ / T")
ax.plot(1, simple_reads, "s", color=ORANGE, label="without tiles, counted")
ax.plot(sides, tiled_reads.values(), "o", color=BLUE, label="with tiles, counted")
ax.set(xlabel="side T of a tile", ylabel="numbers read", title=f"Product of {n} x {n} matrices")
ax.set_xscale("log", base=2)
ax.set_yscale("log")
ax.set_xticks([1, *sides], [1, *sides])
ax.legend()
viz.show(
    "A falling straight line on logarithmic axes: numbers read against the side of a tile. The "
    "counts with tiles, as dots, lie on it; so does the count without tiles, at side 1."
)

# %% [markdown]
# **What to see.** The counts lie on the line. With $T = 16$ a byte serves 4 operations instead of a
# quarter. That is still less than what an A100 asks for, and 32 x 32 threads are the most that a
# block may have. Section 7 has the way out.
#
# Both barriers are needed. Take one away, and the other:

# %%
unguarded = [
    complaint(multiply, TILED.replace(f"__syncthreads();  // {why}", ""), a, b, 8)
    for why in ("the tiles are complete", "all have read them")
]

# %% [markdown]
# Without the first, a thread multiplies numbers that another has not fetched yet: it reads, then
# the other one writes. Without the second, a quick thread fetches the next tile while a slow one
# still multiplies: one writes, then the other one reads. The same two lines, in the other order.
#
# ## 7. The convolution
#
# A convolution is the product of the weights with the unfolded image (notebook 03). The patches
# were a wasteful detour there: nine times the image, written to memory only to be read again. In a
# GPU's memory they are worse, since there is less of it:

# %%
channels, side = 64, 512
image_bytes = 4 * channels * side**2
patch_bytes = 9 * image_bytes
print(f"{channels} channels of {side} x {side}: {image_bytes / 1e6:.0f} MB", end=", ")
print(f"their patches {patch_bytes / 1e6:.0f} MB")

# %% [markdown]
# But the tiled product reads the right matrix in one place only, when it fetches a tile. And number
# $(k, o)$ of that matrix is a pixel, whose place `pixel(k, o, g)` knows. So ask *there*, and never
# store the matrix: an **implicit** matrix product (Chetlur et al., *cuDNN: efficient primitives for
# deep learning*, 2014). Compare with `TILED`: `right[t][u]` is another, and names have changed.

# %%
CONV = """
// x (channels, height, width), w (filters, taps of all channels) -> y (filters, positions)
extern "C" __global__ void conv(const float *x, const float *w, float *y, Layer g, int filters) {
    __shared__ float left[TILE][TILE], right[TILE][TILE];
    int taps = g.channels * g.kernel * g.kernel, positions = g.rows * g.columns;
    int t = threadIdx.y, u = threadIdx.x;
    int f = blockIdx.y * TILE + t, o = blockIdx.x * TILE + u;
    float sum = 0;
    for (int k = 0; k < taps; k += TILE) {
        int p = k + t < taps && o < positions ? pixel(k + t, o, g) : -1;
        left[t][u] = f < filters && k + u < taps ? w[f * taps + k + u] : 0;
        right[t][u] = p < 0 ? 0 : x[p];
        __syncthreads();
        for (int q = 0; q < TILE; ++q) sum += left[t][q] * right[q][u];
        __syncthreads();
    }
    if (f < filters && o < positions) y[f * positions + o] = sum;
}
"""


def conv(x, w, stride=1, padding=0):
    """x (channels, height, width), w (filters, channels, k, k) -> (filters, rows, columns)"""
    g, tile = layer(*x.shape, w.shape[2], stride, padding), 8
    y = np.full((len(w), int(g["rows"]), int(g["columns"])), np.nan, np.float32)
    kernel = cudasim.RawKernel(PIXEL + CONV, "conv", (f"-DTILE={tile}",))
    grid = blocks_of(tile, (len(w), y[0].size))
    kernel(grid, (tile, tile), (x, w, y, g, np.int32(len(w))))
    return y


conv_errors = []
for channels, filters, kernel, s, p in [(3, 5, 3, 1, 1), (2, 9, 5, 2, 2), (4, 1, 2, 3, 0)]:
    x = rng.standard_normal((channels, 11, 14), np.float32)
    w = rng.standard_normal((filters, channels, kernel, kernel), np.float32)
    wanted = F.conv2d(td.tensor(x[None]), td.tensor(w), stride=s, padding=p).numpy()[0]
    conv_errors.append(abs(conv(x, w, s, p) - wanted).max())
print(f"against the library's conv2d: off by {max(conv_errors):.0e}")

# %% [markdown]
# Some thirty lines, and they run on any NVIDIA GPU. The library's own kernel,
# `tinydeconv/kernels/cuda/convolution.cu`, is the same idea taken further:
#
# - A thread has 8 x 8 numbers of the result, not one. It keeps their sums in *registers*, its
#   private memory, and for 64 products it reads 8 weights and 8 pixels from shared memory, where
#   ours reads two numbers for *one* product (**register blocking**: Volkov and Demmel,
#   *Benchmarking GPUs to tune dense linear algebra*, 2008). So a tile can be 64 x 128, with 128
#   threads.
# - It has two pairs of tiles. While one is multiplied, the next is on its way from memory (**double
#   buffering**), and one barrier is enough for each step.
# - It takes images in batches, groups, dilation, and one to three axes.
#
# It runs here as well, from the same file that a GPU gets. Its arguments are arrays, a
# `ConvGeometry` as a struct, and four counts:

# %%
LIBRARY = source("convolution.cu")
x = rng.standard_normal((1, 6, 15, 17), np.float32)
w = rng.standard_normal((10, 6, 3, 3), np.float32)
geometry = ConvGeometry.of_conv((15, 17), (3, 3), 2, 1)
y = np.full((1, 10, *geometry.small), np.nan, np.float32)

its_conv = cudasim.RawKernel(LIBRARY, "conv", ("-Dreal=float",))
numbers = (np.int32(number) for number in (1, 1, 6, 10))  # images, groups, channels, filters
its_conv((1,), (128,), (x, w, y, struct(geometry), *numbers))  # one tile is enough

library_error = abs(y[0] - conv(x[0], w, 2, 1)).max()
print(f"the library's kernel and ours: {library_error:.0e} apart")
ours, its = 2 / 1, (8 + 8) / (8 * 8)
print(f"reads of shared memory for each product: ours {ours:g}, the library's {its:g}")
tile_reads, tile_operations = 4 * (64 + 128), 2 * 64 * 128  # bytes, for each step in depth
its_balance = tile_operations / tile_reads
print(f"operations for each byte from memory: {its_balance:.1f}, of {balance:.1f} that are wanted")

# %% [markdown]
# And now for your own kernel: a photograph, with a blur and two filters for edges, each of 5 x 5
# taps.

# %% tags=["gallery"]
smooth, difference = np.array([1, 4, 6, 4, 1]) / 16, np.array([-1, -2, 0, 2, 1]) / 8
bank = [np.outer(smooth, smooth), np.outer(smooth, difference), np.outer(difference, smooth)]
filters = np.stack(bank)[:, None].astype(np.float32)  # (3 filters, 1 channel, 5, 5)
coffee = np.ascontiguousarray(photograph("coffee")[:: 2 + 4 * FAST, :: 2 + 4 * FAST])
blurred, across, down = conv(coffee[None], filters, padding=2)
edges = np.hypot(across, down)

_, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
for ax, name, picture, white in zip(
    axes, ["image", "blurred", "edges"], [coffee, blurred, edges], [1, 1, 0.4]
):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=white)
    ax.set_title(name)
    ax.axis("off")
viz.show(
    "A cup of coffee with a spoon on a wooden table three times: as it is, blurred, and its edges "
    "in white on black."
)

# %% [markdown]
# **What to see.** Every number of these pictures is a sum that one thread of your kernel has added
# up from tiles, without storing a patch. The edges join two filters, right minus left and lower
# minus upper, by $\sqrt{h^2 + v^2}$. The line along the border is the padding: outside of the
# photograph there is black.
#
# ## 8. What the simulator cannot show
#
# **Speed.** It runs one thread at a time, and looks at each access. What is slow here may be fast
# on a GPU and the other way round. Nothing above says how fast a kernel is. That tiles save reads
# is a fact; whether these reads cost time, and how much, only a GPU can tell. Whether neighbouring
# threads read neighbouring numbers, how many blocks fit onto the chip, whether threads of a warp go
# different ways: all that decides about speed, and none of it is visible here.
#
# **Warps.** Functions in which the 32 threads of a warp exchange numbers are not simulated.
#
# **The last bits.** A GPU multiplies and adds with one rounding instead of two, and has its own
# `exp` and `sin`.
#
# **Other sizes.** It finds every race of the launch that it sees, not those of a launch with other
# sizes or other data. You have seen one, in section 3: no race where stride and window are equal.
#
# What it does show, no GPU does: that no two threads of *this* launch meet in memory unordered
# (without atomics: in whatever order they run), that all come to each barrier, and that each access
# lies in its array.
# (If you have a GPU: NVIDIA's Compute Sanitizer looks for mistakes of these kinds there, for races
# in shared memory alone.)
#
# If you have a GPU and CuPy, this makes the same pictures there:
#
# ```python
# import cupy
#
# kernel = cupy.RawKernel(PIXEL + CONV, "conv", ("-DTILE=16",))
# g, y = layer(1, *coffee.shape, kernel=5, padding=2), cupy.empty((3, *coffee.shape), np.float32)
# arrays = cupy.asarray(coffee), cupy.asarray(filters), y
# kernel(blocks_of(16, (3, coffee.size)), (16, 16), (*arrays, g, np.int32(3)))
# blurred, across, down = cupy.asnumpy(y)
# ```
#
# Notebook 08 measures. [docs/gpu.md](../docs/gpu.md) has a drawing for each of the library's
# kernels, and [docs/cudasim.md](../docs/cudasim.md) says all that the simulator can do.
#
# ## 9. What to take home
#
# | question | answer |
# |---|---|
# | who am I? | `blockIdx.x * blockDim.x + threadIdx.x` |
# | more threads than numbers? | `if (i < n)`, in every direction |
# | one number of the result, many writers? | gather, or `atomicAdd` |
# | a number from another thread of my block? | `__shared__`, and a barrier before it is read |
# | and before it is overwritten? | another barrier |
# | a barrier in an `if`? an early `return`? | no |
# | the simulator is silent | no race and nothing outside, in this launch; compare with NumPy |
# | many threads read the same? | fetch a tile together |
# | a matrix that can be computed? | do not store it |
#
# ## 10. Exercises
#
# Write your kernel in place of the `...`, and run the cell: it is launched with new numbers and
# sizes each time, and held against NumPy.
#
# ### Exercise 1: max-pooling
#
# The largest number of each window of `k` by `k`, windows side by side, is what max-pooling keeps
# of an image.
#
# - In: `x` (height, width), of any size; what is left over at the right and lower edge, if `k` does
#   not divide a side, is ignored.
# - Out: `y` (height / k, width / k), rounded down.
# - The grid is two-dimensional, in blocks of 8 x 8 threads: one thread for each number of `y`.
#
# An example: of `[[1, 2, 3, 4], [5, 6, 7, 8]]` and `k = 2` remains `[[6, 8]]`. The numbers may be
# negative. (C's `INFINITY` and `FLT_MAX` are not there: they stand in header files, which CuPy's
# compiler does not read by itself.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, text):
    """Sizes that k does not divide, more blocks one way than the other, mostly negative numbers."""
    k = int(rng.integers(2, 4))
    height, width = rng.permutation([rng.integers(5, 15), rng.integers(30, 45)])
    x = rng.standard_normal((height, width), np.float32) - 2
    rows, columns = height // k, width // k
    wanted = x[: rows * k, : columns * k].reshape(rows, k, columns, k).max((1, 3))
    y = np.full((rows, columns), np.nan, np.float32)
    sizes = (np.int32(size) for size in (height, width, k))
    kernel = cudasim.RawKernel(text, "max_pool")
    kernel(blocks_of(8, y.shape), (8, 8), (x, y, *sizes))
    expect(y, wanted, f"y, of x of shape {x.shape} and k = {k}")


# %% tags=["exercise"]
MAX_POOL = """
extern "C" __global__ void max_pool(const float *x, float *y, int height, int width, int k) {
    int rows = height / k, columns = width / k;  // of y
    ...  // yours
}
"""

check_1(MAX_POOL)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# MAX_POOL = """
# extern "C" __global__ void max_pool(const float *x, float *y, int height, int width, int k) {
#     int rows = height / k, columns = width / k;  // of y
#     int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
#     if (i >= rows || j >= columns) return;
#     float largest = x[i * k * width + j * k];
#     for (int a = 0; a < k; ++a)
#         for (int b = 0; b < k; ++b)
#             largest = fmaxf(largest, x[(i * k + a) * width + j * k + b]);
#     y[i * columns + j] = largest;
# }
# """
# ```
#
# Usual mistakes: to start with 0, which is wrong for negative numbers; `width` in place of
# `columns` when writing; the `if` with the sizes of `x`; `i` and `j` not times `k`.
#
# </details>
#
# ### Exercise 2: mend it
#
# A moving average of three, `y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3`, where outside of `x` there
# are zeros. Each block of 64 threads first fetches its numbers into shared memory, with one more on
# either side. The kernel below is full of mistakes. Let the simulator lead you from one to the
# next, and keep the tile: without it every number of `x` is read three times. (The checker counts.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
COUNTED = """
__device__ int reads;
template <class T> __device__ T counted(T array) { return atomicAdd(&reads, 1), array; }
extern "C" __global__ void told(int *result) { *result = reads, reads = 0; }
"""


@exercise
def check_2(rng, text):
    """Lengths that 64 does and does not divide. A block may read x 66 times: `x[` is counted."""
    for n in (64 * rng.integers(1, 4), 64 * rng.integers(0, 3) + rng.integers(1, 64)):
        x, y = rng.standard_normal(n, np.float32), np.full(n, np.nan, np.float32)
        launch = (-(-n // 64),), (64,), (x, y, np.int32(n))
        cudasim.RawKernel(text, "average")(*launch)
        padded = np.pad(x, 1)
        expect(y, (padded[:-2] + padded[1:-1] + padded[2:]) / 3, f"y, of {n} numbers")
        counting = cudasim.RawModule(code=COUNTED + re.sub(r"\bx\[(?!\])", "counted(x)[", text))
        counting.get_function("average")(*launch)
        reads, enough = np.zeros(1, np.int32), 66 * -(-n // 64)
        counting.get_function("told")((1,), (1,), (reads,))
        assert reads <= enough, f"x is read {reads[0]} times; with the tile {enough} are enough."


# %% tags=["exercise"]
AVERAGE = """
extern "C" __global__ void average(const float *x, float *y, int n) {
    __shared__ float tile[64];
    int t = threadIdx.x, i = blockIdx.x * 64 + t;
    if (i >= n) return;
    tile[t + 1] = x[i];
    if (t == 0) tile[0] = x[i - 1];
    if (t == 63) {
        tile[65] = x[i + 1];
        __syncthreads();
    }
    y[i] = (tile[t] + tile[t + 1] + tile[t + 2]) / 3;
}
"""

check_2(AVERAGE)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# AVERAGE = """
# extern "C" __global__ void average(const float *x, float *y, int n) {
#     __shared__ float tile[66];
#     int t = threadIdx.x, i = blockIdx.x * 64 + t;
#     tile[t + 1] = i < n ? x[i] : 0;
#     if (t == 0) tile[0] = i > 0 ? x[i - 1] : 0;
#     if (t == 63) tile[65] = i + 1 < n ? x[i + 1] : 0;
#     __syncthreads();
#     if (i < n) y[i] = (tile[t] + tile[t + 1] + tile[t + 2]) / 3;
# }
# """
# ```
#
# Five mistakes: the tile is too small; the first thread of all and the last one read outside `x`;
# the threads behind the end leave before the barrier; and only one thread comes to it. The `return`
# does more harm than that: the zero on the right of the last number, which a thread behind the end
# should have put there, is missing.
#
# </details>
#
# ### Exercise 3: transposed convolution, gathered
#
# In notebook 04 each feature paints the window `w`, times its value, into the image: `x[i * s + a,
# j * s + b] += y[i, j] * w[a, b]`. With a thread for each feature that is a race. Write it as a
# gather, without columns in memory.
#
# - In: `y` (rows, columns), `w` (k, k), the stride `s`.
# - Out: `x` (height, width) with `height = (rows - 1) * s + k`, and `width` likewise.
# - The grid is two-dimensional, in blocks of 8 x 8 threads: one thread for each pixel of `x`.
#
# (Which features paint pixel `(i, j)`? Not all taps lead to one: compare `GATHER`.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, text):
    """Windows that overlap, and ones that leave pixels unpainted; more blocks one way."""
    for k, s in [(int(rng.integers(3, 5)), 2), (2, 3)]:
        sides = rng.permutation([rng.integers(2, 4), rng.integers(6, 9)])
        y, w = (rng.standard_normal(shape, np.float32) for shape in [sides, (k, k)])
        wanted = F.conv_transpose2d(td.tensor(y[None, None]), td.tensor(w[None, None]), stride=s)
        x = np.full(wanted.shape[2:], np.nan, np.float32)
        sizes = (np.int32(size) for size in (*y.shape, k, s, *x.shape))
        kernel = cudasim.RawKernel(text, "conv_transpose")
        kernel(blocks_of(8, x.shape), (8, 8), (y, w, x, *sizes))
        expect(x, wanted.numpy()[0, 0], f"x, of y of shape {y.shape}, k = {k}, s = {s}", 1e-5)


# %% tags=["exercise"]
CONV_TRANSPOSE = """
extern "C" __global__ void conv_transpose(const float *y, const float *w, float *x, int rows,
                                          int columns, int k, int s, int height, int width) {
    ...  // yours
}
"""

check_3(CONV_TRANSPOSE)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# CONV_TRANSPOSE = """
# extern "C" __global__ void conv_transpose(const float *y, const float *w, float *x, int rows,
#                                           int columns, int k, int s, int height, int width) {
#     int i = blockIdx.y * blockDim.y + threadIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
#     if (i >= height || j >= width) return;
#     float sum = 0;
#     for (int a = 0; a < k; ++a)
#         for (int b = 0; b < k; ++b) {
#             int row = i - a, column = j - b;  // times the stride
#             if (row < 0 || column < 0 || row % s || column % s) continue;
#             row /= s, column /= s;
#             if (row < rows && column < columns) sum += y[row * columns + column] * w[a * k + b];
#         }
#     x[i * width + j] = sum;
# }
# """
# ```
#
# Every product belongs to a feature: nothing is multiplied by an inserted zero. Usual mistakes: the
# division without the question whether it leaves a rest; `row` and `column` not held against the
# size of `y`; `i + a`, the way of a convolution, where `i - a` is the way back.
#
# </details>
#
# ### Further questions
#
# 1. In `PRODUCT`, change places: let `i` come from `x` and `j` from `y` of the thread. Is the
#    result still right? What would a GPU say?
# 2. Give each block a histogram of its own in shared memory, and add these to `counts` at the end.
#    Where do barriers belong? How many atomic additions to global memory remain?
# 3. `conv` takes one image. Let `blockIdx.z` be the number of the image in a batch.
# 4. The simulator reports a race when two threads write the *same value* to one place. Should it?
#
# <details><summary>Answers</summary>
#
# 1. It is right, for square matrices: for others the grid must be turned as well. The simulator is
#    content. But neighbouring threads now read numbers that lie $n$ apart, and a GPU fetches a
#    piece of memory for each, where one or two would do for all of a warp: the same work, several
#    times slower. This is the most frequent reason for a slow kernel.
# 2. One after setting the 256 counters to zero, one before they are added up. (In shared memory the
#    additions are atomic as well.) 256 remain for each block: as many as before, if a block has 256
#    pixels. So let each thread count more of them, as in `STRIDE`: with 32 blocks 8192 remain, in
#    place of one for each of 262,144 pixels.
# 3. Add `blockIdx.z * g.channels * g.height * g.width` to `x`, and `blockIdx.z * filters *
#    positions` to `y`; launch a grid of three sizes.
# 4. Yes: for C++ and CUDA it is a race like any other, and then they promise nothing. GPUs do write
#    the value; but one that is the same today comes from an expression that somebody may change
#    tomorrow.
#
# </details>
#
# Next: **08 · CPU against GPU.** How fast is all this, and how would one measure it honestly?
#
# ## Check

# %%
assert all(isinstance(error, cudasim.ArgumentError) for error in refused[:3])
assert isinstance(refused[3], cudasim.CompileException)
assert np.array_equal(darker, image / 2) and all(same) and idle == 144
assert isinstance(beyond, cudasim.OutOfBoundsError)
assert np.array_equal(owners["in_a_row"][0].reshape(-1), np.arange(image.size) // 256)
rows, columns = np.indices(image.shape)
squares = rows // 16 * 7 + columns // 16, rows % 16 * 16 + columns % 16
assert np.array_equal(owners["in_squares"], squares)
assert len(agree) == 4 and all(agree)

assert isinstance(race, cudasim.RaceError) and 0.04 < lost_noise < 0.08 and lost > 0.4
assert counts.sum() == levels.size
assert np.array_equal(counts, np.bincount(levels, minlength=256))
assert isinstance(scattered[0], cudasim.RaceError) and scattered[1] is None
assert np.max(fold_errors) < 1e-5

assert abs(by_tree - exact) < 1e-6 * exact < abs(forwards - exact) and forwards != backwards
assert trace[-1, 0] == 31 and trace[1, :4].tolist() == [8, 10, 6, 7]
assert isinstance(missing, cudasim.RaceError) and isinstance(divergent, cudasim.BarrierError)

outside, racing = cudasim.OutOfBoundsError, cudasim.RaceError
assert [type(error) for error in found[:3]] == [outside, racing, outside]
assert found[3:] == [None, None] and len(wrong) == len(image) - 1
assert np.array_equal(slope(mended[3]), wanted_slope) and isinstance(overrun, outside)
assert np.array_equal(medians, np.median(windows, axis=-1))

assert simple_reads == 2 * n**3
assert all(reads == 2 * n**3 // side for side, reads in tiled_reads.items())
assert max(tiled_errors) < 1e-4 and 12 < balance < 13
assert all(isinstance(error, racing) for error in unguarded)
assert max(conv_errors) < 1e-4 and library_error < 1e-4 and its_balance > balance
picture = F.conv2d(td.tensor(coffee[None, None]), td.tensor(filters), padding=2).numpy()[0]
assert np.allclose([blurred, across, down], picture, atol=1e-5)
print("All checks passed.")
