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
# # 08 · CPU against GPU
#
# **The question.** The data sheet of a GPU promises a hundred times the arithmetic of your
# processor. Will your network train a hundred times as fast? And how would you find out without
# fooling yourself?
#
# First we learn to look at the clock, because a GPU makes it easy to be off by a factor of a
# thousand. Then we count, which needs no clock at all: operations, bytes, launches, tiles. Counts
# say what a kernel can reach at best, on a machine that you do not have. The last part asks what
# all this makes of a whole training step, and what TF32 costs.
#
# This notebook measures your processor. If there is a GPU and CuPy, it measures that too. If not,
# it reads the results of `python -m benchmarks gpu` that were committed with the library; and if
# there are none, it says so, and shows bounds in their place. **No time of a GPU in it is
# invented.**
#
# - **You need:** notebook 03 (the ladder and its two ceilings), notebook 07 (tiles, shared memory).
# - **Time:** 120 minutes of reading and trying; the exercises take 40 of them. A minute or two
#   of computing.
# - **Afterwards you can** time work that runs while Python goes on, tell noise from a difference,
#   compute from a layer's shape what it can reach under a roof, and say when a GPU pays.

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
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import floor, log10, prod
from pathlib import Path
from statistics import mean, median
from time import perf_counter
from unittest.mock import patch

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import bench, cudasim, nn, optim, viz
from tinydeconv.cuda import import_cupy
from tinydeconv.data import photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cpu, ladder, reference
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

rng = np.random.default_rng(0)
SECONDS = 0.02 if FAST else 0.5  # to measure each thing for
RESULTS = Path("../benchmarks/results")  # what GPUs have measured
cupy = import_cupy() if td.cuda.is_available() else None
print("This machine has a GPU." if cupy else "This machine has no GPU that could be used.")

# %% [markdown]
# ## 1. A clock that lies
#
# A launch does not wait. Python puts the work into a queue, which takes some microseconds, and goes
# on; the GPU comes to it when it is done with what is before it. That is a gift: Python can prepare
# the next layer while the GPU computes the last one. And it is a trap.
#
# You can have the same without a GPU. A thread that takes work from a queue, one piece after the
# other, is just such a worker:


# %%
class Thread:
    """A worker that does what it is told, in order, while Python goes on."""

    xp, name, side = np, "a thread of this processor", 1024

    def __init__(self):
        self.queue = ThreadPoolExecutor(1)

    def order(self, work):
        self.queue.submit(work)

    def wait(self):
        self.queue.submit(int).result()  # what comes last is done when all is done

    def note(self):
        """The worker's own look at the clock, when it comes to it."""
        return self.queue.submit(perf_counter)

    def between(self, start, end):
        return end.result() - start.result()


class Gpu:
    """The same of a GPU, where such a note is called an event."""

    xp, name, side = cupy, "the GPU", 8192

    def order(self, work):
        work()

    def wait(self):
        td.cuda.synchronize()

    def note(self):
        event = cupy.cuda.Event()
        event.record()
        return event

    def between(self, start, end):
        end.synchronize()
        return cupy.cuda.get_elapsed_time(start, end) / 1e3  # from milliseconds


workers = [Thread(), *([Gpu()] if cupy else [])]

# %% [markdown]
# Three ways to time a product of two matrices. Read the clock before and after the order; read it
# before the order and after waiting; or let the worker itself note the time before and after.


# %%
def three_clocks(worker, work):
    """Seconds of the work: without waiting, with waiting, and by the worker's notes."""
    start = perf_counter()
    first = worker.note()
    worker.order(work)
    second = worker.note()
    ordered = perf_counter()
    worker.wait()
    done = perf_counter()
    return ordered - start, done - start, worker.between(first, second)


CLOCKS = ["without waiting", "with waiting", "by the worker's notes"]
clocks = {}
for worker in workers:
    side = worker.side
    a = worker.xp.asarray(rng.standard_normal((side, side), np.float32))
    product = worker.xp.empty_like(a)

    def multiply(xp=worker.xp, a=a, product=product):
        xp.matmul(a, a, out=product)

    three_clocks(worker, multiply)  # does not count: the first call is never like the others
    clocks[worker.name] = [three_clocks(worker, multiply) for _ in range(9)]
    print(f"the product of two matrices of side {side} by {worker.name}")
    for name, samples in zip(CLOCKS, zip(*clocks[worker.name])):
        told = 2 * side**3 / median(samples) / 1e9
        print(f"  {name:23}{median(samples) * 1e3:8.3f} ms, or {told:10,.0f} GFLOP/s")

# %% [markdown]
# The first line is the speed at which Python writes orders. Nothing has been multiplied yet. The
# tables of many a blog post have been made like that, and it is easily seen: *a figure above the
# roof of the machine is a mistake of the clock.* (Section 5 measures that roof.)
#
# Look at four orders in a row, of something shorter, so that the orders are to be seen too:

# %%
thread = workers[0]
wave = np.linspace(0, 1, 30_000)


def trace():
    """(when all was done, ordered, begun), and the spans of the orders and of the work."""
    orders, stamps = [], []

    def stamped():
        start = perf_counter()
        np.sin(wave)
        stamps.append((start, perf_counter()))

    start = perf_counter()
    for _ in range(4):
        before = perf_counter()
        thread.order(stamped)
        orders.append((before, perf_counter()))
    ordered = perf_counter()
    thread.wait()
    return (perf_counter(), ordered, start), orders, stamps


# Of many attempts the quickest, in which no other program had its hand.
(all_done, all_ordered, start), orders, stamps = min(
    (trace() for _ in range(50)), key=lambda found: found[0][0] - found[0][2]
)

# % jupyter={"source_hidden": true} tags=["gallery", "hide-input"]
_, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
for row, (spans, colour) in enumerate([(orders, BLUE), (stamps, ORANGE)]):
    for low, high in spans:
        left, width = (low - start) * 1e3, (high - low) * 1e3
        ax.barh(row, width, left=left, height=0.5, color=colour, ec="white", lw=0.5)
ax.barh(0, (all_done - all_ordered) * 1e3, left=(all_ordered - start) * 1e3, height=0.2, color=GREY)
for when, words, align in [
    (all_ordered, "  all is ordered", "left"),
    (all_done, "all is done  ", "right"),
]:
    ax.axvline((when - start) * 1e3, color=RED, ls="--")
    ax.text((when - start) * 1e3, 1.55, words, ha=align, va="center")
ax.set_yticks([0, 1], ["Python", "the worker"])
total = (all_done - start) * 1e3
ax.set(xlabel="time, milliseconds", xlim=(-0.03 * total, 1.03 * total), ylim=(1.8, -0.5))
ax.set_title("Thirty thousand sines, four times")
viz.show(
    "Two lanes over time in milliseconds. Python writes four short orders at the very left, and "
    "then waits, a thin grey bar. The worker does them one after the other, four orange bars. "
    "Dashed lines mark when all is ordered and when all is done."
)

# %% [markdown]
# **What to see.** Blue: Python writes four orders. Thin and grey: it waits. Orange: the worker does
# one after the other. Whoever stops the clock at the left dashed line has timed the blue.
#
# On a GPU, the rules are:
#
# - **Wait before you look**, both times: before the start as well, or the work that somebody
#   ordered earlier counts as yours. `td.cuda.synchronize()` waits for everything.
# - **Or let the GPU look**: events, as in the class `Gpu` above. They leave out what Python needs
#   to notice that the work is done, and `tinydeconv bench` and the benchmarks use them. If Python
#   writes orders more slowly than the GPU does them, then the GPU waits between two events, and
#   that waiting is in the figure too.
# - **Printing waits**, and so does everything else that needs the numbers: `.item()`, `.cpu()`, a
#   comparison in an `if`. One `print(loss)` in each step, and Python no longer runs ahead.
#
# ### The first call
#
# One call before the clock runs is not superstition. On a GPU the first call of a kernel *compiles*
# it, or loads from a file what an earlier program had compiled; either takes far longer than
# running it. On a processor it is less, but to be seen: memory that was never used must be found by
# the system, page by page, and threads must be started.

# %%
warm = bench.Layer(1, 32, 32, ConvGeometry.of_conv((96, 96), 3, padding=1))
x, w = (td.tensor(rng.standard_normal(warm.shapes[name], np.float32)) for name in "xw")
calls = []
for _ in range(8):
    start = perf_counter()
    F.conv2d(x, w, padding=1)
    calls.append(perf_counter() - start)
print("a convolution, call after call:", " ".join(f"{s * 1e3:.2f}" for s in calls), "ms")

# %% [markdown]
# ## 2. Noise
#
# The same work, three hundred times. Nothing changes from one time to the next, except for what
# else your computer does: other programs, a clock that speeds up and slows down with the heat,
# memory that is given back.


# %%
def sines():
    return np.sin(wave)


def seconds_of(work):
    start = perf_counter()
    work()
    return perf_counter() - start


many = [seconds_of(sines) for _ in range(60 if FAST else 300)]
middles = {"smallest": min(many), "median": median(many), "mean": mean(many)}

# %% [markdown]
# And now a race between two candidates who are *the same*: which one is faster? Once A runs ten
# times and then B ten times; once they take turns, A, B, A, B. Each race gives a ratio, and every
# ratio should be 1.


# %%
def race(in_turns):
    """The median of A's times over the median of B's, where A and B are the same work."""
    order = "AB" * 10 if in_turns else "A" * 10 + "B" * 10
    times = {"A": [], "B": []}
    for name in order:
        times[name].append(seconds_of(sines))
    return median(times["A"]) / median(times["B"])


races = {"one after the other": [], "in turns": []}
for _ in range(6 if FAST else 40):
    races["one after the other"].append(race(False))
    races["in turns"].append(race(True))

# % jupyter={"source_hidden": true} tags=["hide-input"]
_, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
left.semilogy([s * 1e6 for s in many], ".", color=GREY, ms=3, label="a call")
for (name, value), colour in zip(middles.items(), [BLUE, GREEN, ORANGE]):
    left.axhline(value * 1e6, color=colour, label=f"{name}, {value * 1e6:.0f} µs")
left.set(xlabel="call", ylabel="time, µs", title="The same work again and again")
left.legend(fontsize=9)
for row, ratios in enumerate(races.values()):
    right.plot(ratios, [row] * len(ratios), "o", color=[ORANGE, BLUE][row], alpha=0.4)
right.axvline(1, color=GREY, ls="--")
right.set_yticks([0, 1], races)
right.set(xlabel="ratio of A to B", ylim=(-0.7, 1.7), title="Races of two that are the same")
viz.show(
    "Left: the time of each of the calls as a grey dot on a logarithmic axis, most in a band, some "
    "far above, with lines for the smallest, the median and the mean. Right: ratios of the races "
    "as dots in two rows around a dashed line at 1."
)

# %% [markdown]
# **What to see.** Left: noise has one direction. Nothing runs faster than it can, and much may hold
# it up; a few slow calls draw the mean upwards, and leave the median where it is. The smallest is
# the steadiest of all, and right for a *ceiling*; but what a program does on a good day is not what
# it does. Right: how far from 1 the ratio of two equals can lie on your machine, today. A
# difference that is smaller than that is none. Turns help most where the disturbance is slow: it
# then meets both alike.
#
# So: the median of several calls, in turns, and both numbers or neither. `python -m benchmarks`
# works like that, and gives an interval for each ratio
# ([docs/performance.md](../docs/performance.md) says more).
#
# ## 3. Small things
#
# How long does it take to add two arrays of $n$ numbers?


# %%
def adders(worker, n):
    """{who: work} that adds n numbers; with a worker, order and wait."""
    a = worker.xp.ones(n, np.float32)
    result = worker.xp.empty_like(a)

    def ordered():
        worker.order(lambda: worker.xp.add(a, a, out=result))
        worker.wait()

    if worker.xp is not np:
        return {worker.name: ordered}
    x = td.tensor(a)
    return {"NumPy": lambda: np.add(a, a, out=result), "tinydeconv": lambda: x + x} | {
        worker.name: ordered
    }


def quickest(work, seconds):
    """The smallest time of a call. A look at the clock takes time too, so ten calls a look."""

    def ten():
        for _ in range(10):
            work()

    ten()
    samples, end = [], perf_counter() + seconds
    while len(samples) < 5 or perf_counter() < end:
        samples.append(seconds_of(ten) / 10)
    return min(samples)


sizes = [4**k for k in range(11 if FAST else 12)]
added = {}
for n in sizes:
    for worker in workers:
        for name, work in adders(worker, n).items():
            added.setdefault(name, []).append(quickest(work, SECONDS / 10))


def half_way(times):
    """How many numbers take twice as long as hardly any."""
    return np.interp(2 * min(times), np.maximum.accumulate(times), sizes)


floors = {name: min(times) for name, times in added.items()}
print(f"{'':28}{'to start':>11}   half of the time is the start at")
for name, times in added.items():
    print(f"{name:28}{floors[name] * 1e6:8.1f} µs{half_way(times):12,.0f} numbers")

# %% jupyter={"source_hidden": true} tags=["hide-input"]
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for (name, times), colour, marker in zip(added.items(), [BLUE, GREEN, ORANGE, PURPLE], "os^D"):
    ax.loglog(sizes, [t * 1e6 for t in times], f"{marker}-", color=colour, lw=1, label=name)
    ax.axhline(floors[name] * 1e6, color=colour, ls=":", lw=1)
ax.set(xlabel="numbers", ylabel="time, µs", title="Adding two arrays")
ax.legend()
viz.show(
    "Time in microseconds against how many numbers are added, both axes logarithmic. Each curve "
    "is flat on the left, along its dotted floor, and rises with slope 1 on the right: NumPy's is "
    "lowest, that of tinydeconv above it, and the worker's, which is ordered and waited for, above "
    "both; on the right they meet."
)

# %% [markdown]
# **What to see.** Every curve is about a line $a + b\,n$, bent by the logarithmic axes: a floor,
# and a slope, which changes where the arrays outgrow a cache. On the floor nobody adds; one calls
# functions, writes orders, wakes somebody up. *To time a small case is to time the floor.* Hockney
# called the size at which half of the time is floor $n_{1/2}$ (Hockney and Jesshope, *Parallel
# computers*, 1981): below it, a faster machine is hardly faster.
#
# On a GPU the floor is the launch. NVIDIA's own example (Gray, *Getting started with CUDA graphs*,
# 2019, on a V100): a kernel that is busy for some 3 microseconds takes some 10 if the program waits
# for each launch, and some 4 if it runs ahead. In 10 microseconds the arithmetic units of a V100
# could have done more than a hundred million operations.
#
# ### The journey
#
# And the numbers must get there. A GPU hangs on a cable (PCIe), and the cable is thin. To see how
# thin, we need the data sheets, and so the parts of a GPU, from the outside to the inside:
#
# - **its memory**, of many gigabytes (notebook 07: *global memory*), and a cache of some megabytes
#   before it, called L2;
# - some dozens of **multiprocessors**. Each block of threads runs on one of them, and each can hold
#   several blocks;
# - in each multiprocessor one small **fast memory**, which serves as shared memory and as a cache
#   (L1), a stock of **registers**, and 64 or 128 **units**, each of which can start a
#   multiplication with an addition at every clock. Some GPUs have further units for whole matrix
#   products, the *tensor cores*; section 9 comes to them.


# %%
@dataclass(frozen=True)
class Sheet:
    """What NVIDIA's data sheets and white papers say. Peaks: nobody measured them here."""

    multiprocessors: int
    units: int  # of float32, in a multiprocessor
    ghz: float  # the highest clock
    gflops: float  # float32, without tensor cores
    gbs: float  # of its memory
    link: float  # GB/s of the cable, one way
    shared: int  # KB of shared memory, of a multiprocessor
    threads: int  # that a multiprocessor holds at most
    source: str
    chip: int = 128  # bytes that its fast memory hands out at a clock


SHEETS = {
    "T4": Sheet(40, 64, 1.59, 8_100, 320, 16, 64, 1024, "data sheet 2019", chip=64),
    "RTX 4060": Sheet(24, 128, 2.46, 15_000, 272, 16, 100, 1536, "product page 2023"),
    "A100": Sheet(108, 64, 1.41, 19_500, 1_555, 32, 164, 2048, "40 GB, PCIe; white paper 2020"),
    "H200": Sheet(132, 128, 1.98, 67_000, 4_800, 64, 228, 2048, "SXM; data sheet 2024"),
}

print("data sheets, not measured")
print(f"{'':10}{'GFLOP/s':>9}{'GB/s':>7}{'cable':>7}  FLOP in the time of a byte  units x clock")
for name, sheet in SHEETS.items():
    units = 2 * sheet.multiprocessors * sheet.units * sheet.ghz
    print(f"{name:10}{sheet.gflops:9,.0f}{sheet.gbs:7,.0f}{sheet.link:7.0f}", end="")
    print(f"{sheet.gflops / sheet.gbs:16.0f}, cable {sheet.gflops / sheet.link:5.0f}", end="")
    print(f"{units:12,.0f}   {sheet.source}")

# %% [markdown]
# (The last column shows where such a peak comes from: multiprocessors x units x two operations x
# clock. It supposes that every unit multiplies and adds at every clock.)
#
# While one byte crosses the cable, these GPUs could do 500 to 1,000 operations. So data goes there
# once, the weights stay, and one brings back a loss, not an image. An addition with both arrays
# sent and the result fetched moves 12 bytes over the cable for one operation. The same 12 bytes
# pass through the memory of the processor, and adding on the spot would have cost no more than
# that: no GPU can win it.
#
# ## 4. Counting
#
# What is the work? A convolution needs a multiplication and an addition for each output, channel of
# its group and tap: $2 N F S\, C/G\, K$ floating-point operations (FLOP), with $S$ positions and
# $K$ taps. The library counts them in `bench.Layer`, by that formula. Is it right? Ask numbers that
# count:


# %%
class Counting:
    """A number that counts how often it is multiplied."""

    products = 0

    def __mul__(self, other):
        Counting.products += 1
        return self

    def __add__(self, other):
        return self

    __radd__ = __add__  # 0 + number, as in sum()


odd = bench.Layer(2, 4, 6, ConvGeometry.of_conv((6, 7), (3, 2), stride=2, groups=2))
counted = {}
for kernel, names in bench.INPUTS.items():
    Counting.products = 0
    arrays = [np.full(odd.shapes[name], Counting(), object) for name in names]
    getattr(reference, kernel)(*arrays, odd.geometry)
    counted[kernel] = Counting.products
    print(f"{kernel:15} {counted[kernel]} multiplications; the formula has {odd.flop // 2}")

# %% [markdown]
# All three kernels, forward and both gradients, need the same number. (The arithmetic of a
# transposed convolution with stride is what you see here only if nobody multiplies the zeros in
# between; notebook 04.)
#
# And the bytes? At least, each array goes through memory once. Operations a byte are the
# **operational intensity**. By hand, and by the library:

# %%
LAYER = bench.LAYER  # 3x3 in ResNet's first blocks: 16 images, 64 channels and filters, 56 x 56
x, w, y = LAYER.shapes.values()
flop_by_hand = 2 * 16 * 64 * 56 * 56 * 64 * 9
bytes_by_hand = 4 * (16 * 64 * 56 * 56 + 64 * 64 * 9 + 16 * 64 * 56 * 56)
print("the same as the library:", flop_by_hand == LAYER.flop, bytes_by_hand == LAYER.moved())

n = prod(y)
work = {  # (operations, bytes)
    "convolution, 3x3, 64 channels": (LAYER.flop, LAYER.moved()),
    "its two gradients, each": (LAYER.flop, LAYER.moved()),
    "1x1, 64 channels": (2 * n * 64, 4 * (2 * n + 64 * 64)),
    "depthwise, 3x3": (2 * n * 9, 4 * (2 * n + 64 * 9)),
    "ReLU": (n, 4 * 2 * n),  # read, written
    "batch norm, training": (8 * n, 4 * 3 * n),  # read for the moments; read again, written
    "sum of two": (n, 4 * 3 * n),
    "Adam, a number": (14, 4 * 7),  # reads p, g, m, v; writes p, m, v
}
intensity = {name: flop / moved for name, (flop, moved) in work.items()}
print(f"\n{'':32}{'MFLOP':>9}{'MB':>9}{'FLOP a byte':>14}")
for name, (flop, moved) in work.items():
    print(f"{name:32}{flop / 1e6:9.2f}{moved / 1e6:9.2f}{intensity[name]:14.2f}")

# %% [markdown]
# (A comparison counts as an operation here, and so does a root.) A factor of more than a thousand
# between the convolution and the sum. Compare with the FLOP in the time of a byte in the table of
# data sheets: the large convolution can keep the units of every GPU busy; ReLU, the norm and Adam
# cannot keep one in fifteen busy. They move bytes.
#
# That is why one *fuses* them: a norm with the activation behind it reads and writes the features
# once instead of twice; Adam in one kernel moves 28 bytes a number, and written as a dozen array
# operations, each of which reads one or two arrays and writes one, more than a hundred.
#
# ## 5. The roofline of this processor
#
# Two ceilings, arithmetic and memory, both measured, as in notebook 03; and intensity to the right,
# speed upwards: a **roofline** (Williams, Waterman and Patterson, *Roofline: an insightful visual
# performance model for multicore architectures*, 2009). Whoever is under the slope waits for
# memory, whoever is under the flat roof waits for arithmetic, and whoever is far below both waits
# for something else.

# %%
MEASURED = replace(LAYER, images=2, channels=16, filters=16) if FAST else LAYER
PLACES = bench.places()  # one thread, all threads, and a GPU if there is one
CEILINGS = {place.name: bench.ceilings(place, SECONDS) for place in PLACES}
for name, ceiling in CEILINGS.items():
    print(f"{name}: {ceiling['gflops']:6.0f} GFLOP/s, {ceiling['gbs']:5.1f} GB/s", end=", ")
    print(f"so {ceiling['gflops'] / ceiling['gbs']:.0f} FLOP in the time of a byte")

# %%
CPU_PLACES = [place for place in PLACES if place.xp is np]
ONE, ALL = CPU_PLACES[0], CPU_PLACES[-1]
ladders = [rung for rung in bench.rungs(MEASURED) if rung.kernel == "conv"]


def climb(rung, place):
    """Times a rung of the ladder; the seven loops on a smaller layer."""
    layer = bench.SMALL if rung.function is ladder.seven_loops else MEASURED
    row = bench.climb(rung, layer, place, CEILINGS[place.name], SECONDS)
    print(f"{rung.name + ', ' + place.name:32}{row['gflops']:12,.4g} GFLOP/s", end="")
    print(f"{row['intensity']:8.1f} FLOP a byte{row['of_gemm']:10.3%} of the flat roof")
    return row


rows = [climb(rung, ONE) for rung in ladders if not rung.gpu]
rows += [climb(rung, ALL) for rung in ladders if rung.threaded and ALL is not ONE]

features = rng.standard_normal(MEASURED.shapes["y"], np.float32)
clipped = np.empty_like(features)
relu = median(bench.measure(lambda: np.maximum(features, 0, out=clipped), SECONDS, ONE))
gflops = features.size / relu / 1e9
rows.append({"rung": "ReLU", "place": ONE.name, "intensity": 1 / 8, "gflops": gflops})

# %% tags=["gallery"]
roofs = {place.name: CEILINGS[place.name] for place in CPU_PLACES}
viz.show(
    "A roofline of this processor: GFLOP/s against operations a byte, both axes logarithmic, with "
    "a slope that turns into a flat roof for one thread and for all. Dots: ReLU on the left under "
    "the slope, the seven loops at the bottom, the other rungs of the ladder rising to the roof.",
    viz.roofline(
        None,
        {name: (roof["gflops"], roof["gbs"]) for name, roof in roofs.items()},
        {
            f"{row['rung']}, {row['place']}": (row["intensity"], row["gflops"], row["place"])
            for row in rows
        },
    ),
)

# %% [markdown]
# **What to see.** Three kinds of waiting. ReLU hangs under the slope, and however well it is
# written, it stays there (with arrays that fit into a cache it may rise above: the roof is that of
# memory). The panels stand under the flat roof, or even above, as they save multiplications. The
# seven loops are far below both: they wait for Python.
#
# ## 6. The ladder of a GPU
#
# The library has three rungs for a GPU, all in CUDA C:
#
# - **direct**: a thread for each number of the result, the formula as it stands;
# - **unfold + cuBLAS**: one kernel writes the patches, and cuBLAS, NVIDIA's BLAS, multiplies;
# - **implicit GEMM**: tiles of patches are gathered in shared memory, and never written (notebook
#   07).
#
# The first and the third move `x`, `w` and `y`, once each if all goes well. The second writes the
# patches and reads them again: for a 3x3 window nine times the image, twice. (For our layer these
# are 116 MB, more than a cache of any of these GPUs holds.) That is all we need to place them under
# the roof of *any* machine:


# %%
def rung_intensity(rung, shapes, flop):
    """FLOP a byte of a rung of the GPU's ladder; shapes of x, w, y; one group."""
    _, (_, *taps), (images, _, *positions) = shapes
    patches = prod(taps) * images * prod(positions)
    passed = sum(map(prod, shapes)) + 2 * patches * rung.startswith("unfold")
    return flop / (4 * passed)


RUNGS = ["direct", "unfold + cuBLAS", "implicit GEMM"]
LAYER_SHAPES = list(LAYER.shapes.values())
where = {rung: rung_intensity(rung, LAYER_SHAPES, LAYER.flop) for rung in RUNGS}
bounds = {}  # GFLOP/s at most
print("GFLOP/s at most, by data sheets, not measured")
print(f"{'':16}{'FLOP a byte':>13}" + "".join(f"{name:>10}" for name in SHEETS))
for rung, found in where.items():
    tops = [min(sheet.gflops, sheet.gbs * found) for sheet in SHEETS.values()]
    print(f"{rung:16}{found:13.1f}" + "".join(f"{top:10,.0f}" for top in tops))
    bounds |= {(rung, name): top for name, top in zip(SHEETS, tops)}

# %% [markdown]
# Bounds, not predictions: nothing that makes all the products can be faster, and much is slower.
# (Some algorithms make fewer, as our panels do and cuDNN, NVIDIA's library of convolutions, may.)
# What a GPU really does has to be measured on one:


# %%
def gpu_records(folder):
    """What `python -m benchmarks gpu` has left in the folder: records of real GPUs."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    found = [r for r in found if r["subject"] == "gpu" and not r["device"]["stand_in"]]
    return [r for r in found if first_layer(r)]  # one that was stopped early may have none


def first_layer(record):
    """The result of its first convolution with one of the rungs, or None."""
    found = (r for r in record["results"] if r.get("kernel") == "conv")
    return next((r for r in found if any(rung in r["samples"] for rung in RUNGS)), None)


def dots_of(record):
    """{(rung, place): (FLOP a byte, GFLOP/s)} of the record's first layer, and {place: its roof}"""
    _, *places = record["ceilings"]  # the first one is the CPU
    result, dots = first_layer(record), {}
    for name, samples in result["samples"].items():
        if name.startswith((*RUNGS, "PyTorch")):
            rung, place = name.removesuffix(", TF32"), places[name.endswith("TF32")]
            at = rung_intensity(rung, [result[array] for array in "xwy"], result["flop"])
            dots[rung, place] = at, result["flop"] / median(samples) / 1e9
    return dots, {place: record["ceilings"][place] for place in places}


dots, gpu_roofs, source = {}, {}, None
if cupy:
    source = "measured here, just now"
    places = [place for place in PLACES if place.xp is not np]
    for place in places:
        for rung in ladders:
            if rung.gpu and (rung.tf32 or not place.tf32):
                row = climb(rung, place)
                dots[rung.name, place.name] = row["intensity"], row["gflops"]
        gpu_roofs[place.name] = CEILINGS[place.name]
elif records := gpu_records(RESULTS):
    record = records[0]
    source = f"`{record['command']}`, {record['date'][:10]}, {record['device']['name']}"
    dots, gpu_roofs = dots_of(record)

if source:
    print(f"The dots below: {source}.")
    for (rung, place), (_, gflops) in dots.items():
        print(f"  {rung + ', ' + place:48}{gflops:10,.0f} GFLOP/s")
else:
    print("No GPU is here, and no results of one stand in benchmarks/results: no GPU has run this")
    print("library yet. The picture shows the bounds of the data sheets, and no measurement.")

# %% jupyter={"source_hidden": true} tags=["gallery", "hide-input"]
_, ax = plt.subplots(figsize=(9, 5.6), layout="constrained")
along = np.geomspace(0.5, 1000, 200)
for (name, sheet), colour in zip(SHEETS.items(), [BLUE, ORANGE, GREEN, PURPLE]):
    label = f"{name}, data sheet, not measured"
    ax.loglog(along, np.minimum(sheet.gflops, sheet.gbs * along), color=colour, label=label)
    tops = [bounds[rung, name] for rung in RUNGS]
    ax.plot(where.values(), tops, "o", mfc="white", color=colour, ms=8)
for rung, words in [("unfold + cuBLAS", ""), ("implicit GEMM", ", direct")]:
    ax.axvline(where[rung], color=GREY, ls=":", lw=1)
    ax.text(where[rung] * 1.05, 160, rung + words, rotation=90)
for (place, roof), style in zip(gpu_roofs.items(), ["-", "--"]):
    top = np.minimum(roof["gflops"], roof["gbs"] * along)
    ax.loglog(along, top, style, color="black", lw=2, label=f"{place}, measured")
for ((rung, place), dot), mark in zip(dots.items(), "vsD*PX"):
    ax.plot(*dot, mark, color=RED, ms=9, ls="none", label=f"{rung}, {place}, measured")
ax.set(xlabel="operational intensity, FLOP per byte moved", ylabel="GFLOP/s")
ax.set(xlim=(along[0], along[-1]), ylim=(100, 5e5))
ax.set_title("A 3x3 convolution of 64 channels under the roofs of GPUs")
ax.grid(alpha=0.25)
ax.figure.legend(fontsize=9, loc="outside lower center", ncols=2)
viz.show(
    "Rooflines of four GPUs from their data sheets, GFLOP/s against operations a byte. Two dotted "
    "vertical lines, for patches and cuBLAS at 14 operations a byte and for the implicit product "
    "at 143; open circles where they meet each roof. Red marks and black roofs, if there are any, "
    "are measured."
)

# %% [markdown]
# **What to see.** Open circles are bounds: where a rung meets the roof of a data sheet. Red and
# black, if there are any, are measured. The patches alone put the second rung near the corner of
# the roof, or under the slope: on an RTX 4060, whose memory is slow for its arithmetic, three
# quarters of the units must idle while patches travel. The implicit product stands far to the
# right, under the flat roof of all four.
#
# But **direct** stands at the same place, and nobody believes that it reaches the flat roof. What
# is missing in the picture?
#
# ## 7. Where each kernel sits, and why
#
# ### A second roof
#
# The picture knows one memory. The fast one in each multiprocessor is not infinitely fast either:
# at a clock it hands out 128 bytes at most, a number of 4 bytes to each of the 32 threads of a
# warp, whether that is 32 numbers or 32 times the same (*CUDA C++ programming guide*; half of that
# on a T4: NVIDIA's white paper on the GA102), for 64 or 128 products that the units could make. So
# draw the roofline again, with bytes from *that* memory. The slope ends where a thread makes 2 to 4
# products for each number that it fetches.
#
# `direct` fetches a weight and a pixel for each product, from the cache at best. The tiled product
# of notebook 07 reads as many from shared memory: its tiles relieve the memory of the GPU, and the
# fast one hardly. (A compiler may fetch four neighbours at once, and so save some.) The way out is
# to keep numbers in the registers of a thread: with $m \times m$ sums in registers, $2m$ numbers
# serve $m^2$ products (Volkov and Demmel, *Benchmarking GPUs to tune dense linear algebra*, 2008).
# Here is such a kernel, for whole tiles, and with a counter at every read:

# %%
BLOCKED = """
#define READ(memory, number) (atomicAdd(&reads[memory], 1ull), number)
constexpr int SIDE = 4, DEPTH = 4, TILE = SIDE * OWN;  // SIDE x SIDE threads, OWN x OWN sums each

// a (M, K), b (K, N) -> c (M, N); M and N multiples of TILE, K of DEPTH
extern "C" __global__ void product(const float *a, const float *b, float *c, int K, int N,
                                   unsigned long long *reads) {
    __shared__ float left[DEPTH][TILE], right[DEPTH][TILE];
    float sum[OWN][OWN] = {};
    int t = threadIdx.y, u = threadIdx.x, top = blockIdx.y * TILE, side = blockIdx.x * TILE;
    for (int k = 0; k < K; k += DEPTH) {
        for (int i = t * SIDE + u; i < TILE * DEPTH; i += SIDE * SIDE) {
            int row = i / DEPTH, deep = i % DEPTH;
            left[deep][row] = READ(0, a[(top + row) * K + k + deep]);
            right[i / TILE][i % TILE] = READ(0, b[(k + i / TILE) * N + side + i % TILE]);
        }
        __syncthreads();
        for (int q = 0; q < DEPTH; ++q) {
            float p[OWN], r[OWN];  // in registers
            for (int m = 0; m < OWN; ++m) p[m] = READ(1, left[q][t * OWN + m]);
            for (int m = 0; m < OWN; ++m) r[m] = READ(1, right[q][u * OWN + m]);
            for (int m = 0; m < OWN; ++m)
                for (int n = 0; n < OWN; ++n) sum[m][n] += p[m] * r[n];
        }
        __syncthreads();
    }
    for (int m = 0; m < OWN; ++m)
        for (int n = 0; n < OWN; ++n)
            c[(top + t * OWN + m) * N + side + u * OWN + n] = sum[m][n];
}
"""


def count_reads(own):
    """Operations for each byte from (global, shared) memory, of a product, counted as it runs."""
    side, depth = 32, 16
    a, b = rng.standard_normal((side, depth), np.float32), rng.standard_normal((depth, side))
    b, c, reads = b.astype(np.float32), np.empty((side, side), np.float32), np.zeros(2, np.uint64)
    kernel = cudasim.RawKernel(BLOCKED, "product", (f"-DOWN={own}",))
    blocks = side // (4 * own)
    kernel((blocks, blocks), (4, 4), (a, b, c, np.int32(depth), np.int32(side), reads))
    assert abs(c - a @ b).max() < 1e-4
    return 2 * side * side * depth / (4 * reads.astype(float))


owns = [1, 2, 4, 8]
by_formula = {own: (own * 4 / 4, own / 4) for own in owns}
if cudasim.compiler():
    by_count = {own: tuple(count_reads(own)) for own in owns}
else:
    by_count = by_formula
    print("There is no simulator here (see notebook 07), so this is by formula, not counted:")
for own, (slow, fast) in by_count.items():
    print(f"{own} x {own} sums a thread: {slow:5.2f} FLOP a byte from global memory", end=", ")
    print(f"{fast:5.2f} from shared memory")

# %% [markdown]
# Both grow with the number of sums that a thread keeps.
#
# ### A third roof
#
# And there is a third. In all our GPUs a multiprocessor starts four instructions at a clock, each
# for the 32 threads of a warp: that makes 128. With 128 units all of them must be products, or a
# unit idles. But where is the pixel, and is it inside? That takes instructions too. NVIDIA's
# compiler needs no GPU, so we can look at what it makes (here for an RTX 4060). The innermost loop
# of the library's `conv`, with 8 x 8 sums a thread, has 752 instructions for 512 products; that of
# `direct` has 41 for 4, and more where a row of the window is shorter than that. (A test of the
# library counts them again.)

# %%
INSTRUCTIONS = {"direct": 41 / 4, "implicit GEMM": 752 / 512}  # for each product
NUMBERS = {"direct": 2, "implicit GEMM": 16 / 64}  # from the fast memory, for each product
ALONE = {"direct": 2 / 8, "implicit GEMM": 2 * 64 * 128 / (4 * (64 + 128))}  # FLOP a byte, no cache
ROOFS = {
    "instructions": GREEN,
    "fast memory": SKY,
    "memory, no cache": ORANGE,
    "memory, perfect cache": PURPLE,
}
shares = {}
for kernel, fetched in NUMBERS.items():
    for name, sheet in SHEETS.items():
        starts = 128 / sheet.units / INSTRUCTIONS[kernel]
        on_chip = sheet.chip / (4 * fetched) / sheet.units
        off_chip = (found * sheet.gbs / sheet.gflops for found in (ALONE[kernel], where[kernel]))
        shares[f"{kernel}, {name}"] = [min(1, top) for top in (starts, on_chip, *off_chip)]
print(f"{'of the peak at most':24}" + "".join(f"{roof:>23}" for roof in ROOFS))
for name, tops in shares.items():
    print(f"{name:24}" + "".join(f"{top:23.1%}" for top in tops))


# %% jupyter={"source_hidden": true} tags=["hide-input"]
def bars(groups, series, title):
    """Bars of {group: [share of each of the series]}, in %; series: {label: colour}."""
    figure, ax = plt.subplots(figsize=(9, 1.4 + 0.5 * len(groups)), layout="constrained")
    for number, (label, colour) in enumerate(series.items()):
        at = np.arange(len(groups)) + 0.8 * (number + 0.5) / len(series) - 0.4
        lengths = [100 * group[number] for group in groups.values()]
        ax.barh(at, lengths, 0.7 / len(series), color=colour, label=label)
    ax.set_yticks(range(len(groups)), groups)
    ax.invert_yaxis()
    ax.set(xlabel="%", title=title, xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=len(series))


chosen = {name: tops for name, tops in shares.items() if name.endswith(("RTX 4060", "H200"))}
bars(chosen, ROOFS, "What each roof allows, of the peak (counted, not measured)")
viz.show(
    "Four bars for each of two kernels on two GPUs: what share of the peak the instructions, the "
    "fast memory and the GPU's memory allow, the latter without a cache and with a perfect one. "
    "For direct all are short except the last; for the implicit product the instructions allow two "
    "thirds, the fast memory everything."
)

# %% [markdown]
# **What to see.** A kernel is bound by its shortest bar, where the truth about the GPU's memory
# lies somewhere between the last two. `direct` ends at a tenth of the peak because of its
# instructions, and would end at an eighth because of its fetches; and that takes a cache that finds
# nearly everything, or the third bar would be the shortest by far. The implicit product needs that
# luck much less: its tiles fetch a number once for 64 or 128 products. It may reach two thirds of
# the peak and not more, where a multiprocessor has 128 units; where it has 64 (T4, A100), half of
# the instructions can be others.
#
# ### Registers, and who waits
#
# Each of its threads keeps 64 sums, 16 numbers to multiply, those of the next tiles, and addresses:
# 166 registers, says the compiler. A multiprocessor has 65,536. So few threads fit on one, and the
# share of those that it could hold is called **occupancy**:

# %%
BLOCK = 128  # threads
RESIDENT = 65536 // (BLOCK * 168)  # blocks; a GPU deals out registers by eights
block_bytes = 4 * 2 * 8 * (64 + 4 + 128 + 4) + 256  # two pairs of tiles 8 deep, and some places
for name, sheet in SHEETS.items():
    assert RESIDENT * block_bytes <= 1024 * sheet.shared  # so shared memory is not what limits it
    print(f"{name:10}{RESIDENT} blocks, so {RESIDENT * BLOCK} of {sheet.threads} threads", end=": ")
    print(f"{RESIDENT * BLOCK / sheet.threads:.0%} occupancy")

# %% [markdown]
# Many threads are one way to hide waiting: while one waits for memory, another computes. The other
# way is much independent work in each thread, and 64 sums are just that (Volkov, *Better
# performance at lower occupancy*, 2010). Occupancy is a means, not an aim.
#
# ### Tiles that are not there
#
# Tiles have a price as well. A block computes 64 filters by 128 positions, whether there are so
# many or not; and it takes 132 blocks to give each multiprocessor of an H200 something to do. Both
# can be counted:


# %%
def tiles(layer):
    """How many blocks `conv` launches, and which share of their sums is asked for."""
    g, n = layer.geometry, layer.images * prod(layer.geometry.small)
    blocks = g.groups * -(-layer.filters // g.groups // 64) * -(-n // 128)
    return blocks, layer.filters * n / (blocks * 64 * 128)


def layer(images, channels, filters, size, kernel, stride=1, padding=0, groups=1):
    of = ConvGeometry.of_conv((size, size), kernel, stride, padding, groups=groups)
    return bench.Layer(images, channels, filters, of)


LAYERS = {
    "ResNet 3x3, 64 images": layer(64, 64, 64, 56, 3, padding=1),
    "ResNet 3x3, 1 image": layer(1, 64, 64, 56, 3, padding=1),
    "VGG conv5, 2 images": layer(2, 512, 512, 14, 3, padding=1),
    "DCGAN, first layer": layer(32, 3, 64, 64, 4, 2, 1),
    "DCGAN, fourth layer": layer(32, 256, 512, 8, 4, 2, 1),
    "DCGAN, last layer": layer(32, 512, 1, 4, 4),
    "MobileNet 3x3, depthwise": layer(8, 128, 128, 56, 3, padding=1, groups=128),
}
useful = {}
print(f"{'':28}{'blocks':>9}{'asked for':>11}{'H200 busy':>11}{'both':>8}")
for name, of in LAYERS.items():
    blocks, asked = tiles(of)
    units = SHEETS["H200"].multiprocessors
    busy = blocks / (-(-blocks // units) * units)  # the last round may be a small one
    useful[name] = asked, busy
    print(f"{name:28}{blocks:9,}{asked:11.1%}{busy:11.1%}{asked * busy:8.1%}")

labels = {"of the sums are asked for": GREEN, "of 132 multiprocessors busy": SKY}
bars(useful, labels, "What tiles of 64 x 128 leave of an H200 (counted, not measured)")
viz.show(
    "Two bars for each of seven layers: how much of its tiles a layer asks for, and how many "
    "multiprocessors of an H200 have a block. Both are long for ResNet with 64 images; the last "
    "layer of DCGAN and the depthwise one ask for hardly any of their sums; the layers of few "
    "images leave most multiprocessors without a block."
)

# %% [markdown]
# **What to see.** Where both bars are long, the tile fits. Short green bars: a layer with one
# filter, or one filter a group, asks for one row of 64. Short blue bars: small layers have a few
# blocks and leave the rest of a large GPU idle; a smaller GPU has less to leave idle. (*Busy* takes
# a multiprocessor for busy when it has one block. With one alone, little hides its waiting.) A
# library with a kernel for each case, such as cuDNN, picks another tile here; ours has one, that
# can be read, and for depthwise layers it is a bad one. Whether that costs as much time as the bars
# suggest, a measurement must say.
#
# ## 8. A whole training step
#
# A kernel is not a training. Here is a small DCGAN (Radford, Metz and Chintala 2016), with images
# of 16 x 16, and one update of both of its networks:


# %%
def networks(features, noise):
    f = features
    generator = nn.Sequential(
        *(nn.ConvTranspose2d(noise, 2 * f, 4, 1, 0, bias=False), nn.BatchNorm2d(2 * f), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * f, f, 4, 2, 1, bias=False), nn.BatchNorm2d(f), nn.ReLU()),
        *(nn.ConvTranspose2d(f, 1, 4, 2, 1, bias=False), nn.Tanh()),
    )
    discriminator = nn.Sequential(
        *(nn.Conv2d(1, f, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(f, 2 * f, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * f), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(2 * f, 1, 4, 1, 0, bias=False), nn.Flatten(0)),
    )
    return generator, discriminator


def training_step(features, images, noise=8, device="cpu"):
    """A function that trains both networks once on so many images."""
    generator, discriminator = (net.to(device) for net in networks(features, noise))
    optimizers = [optim.Adam(net.parameters()) for net in (discriminator, generator)]
    photographs = td.tanh(td.randn(images, 1, 16, 16)).to(device)
    real, fake = td.ones(images, device=device), td.zeros(images, device=device)
    loss = F.binary_cross_entropy_with_logits

    def step():
        optimizers[0].zero_grad()
        loss(discriminator(photographs), real).backward()
        made = generator(td.randn(images, noise, 1, 1).to(device))
        loss(discriminator(made.detach()), fake).backward()
        optimizers[0].step()
        optimizers[1].zero_grad()
        loss(discriminator(made), real).backward()
        optimizers[1].step()

    return step


# %% [markdown]
# How many kernels does a GPU launch for it? Each layer has its number, forward and back
# ([docs/gpu.md](../docs/gpu.md) names the kernels):

# %%
LAUNCHES = {  # forward, back
    nn.Conv2d: (1, 2),  # back: the gradients of the images and of the weights
    nn.ConvTranspose2d: (1, 2),
    nn.BatchNorm2d: (3, 2),  # moments, normalize, follow; normalize_sums, normalize_grad
    nn.ReLU: (1, 1),
    nn.LeakyReLU: (1, 1),
    nn.Tanh: (1, 1),
    nn.Flatten: (0, 0),  # another view of the same numbers
}
generator, discriminator = networks(8, 8)
passes = {
    net: sum(sum(LAUNCHES[type(layer)]) for layer in net) for net in (generator, discriminator)
}
parameters = sum(len(list(net.parameters())) for net in passes)
# The discriminator runs three times. Nobody wants gradients of real images, of images whose
# history was cut off, or of the generator's noise. Adam: one for each parameter.
launches = passes[generator] + 3 * passes[discriminator] - 3 + parameters
print(f"{launches} launches a step, and those of the losses come on top")

# %% [markdown]
# (A test of the library counts as many when the launch code runs.) Their number does not depend on
# how large the images are or how many, but for one thing: a gradient of weights that has more than
# 256 positions to sum is summed in parts, and one more launch adds these up. There are twelve such
# gradients, so it is 100 at most. Nor does the time depend on it that Python needs for the orders.
# It can be measured without a GPU: make everything so small that there is hardly any arithmetic.
# (The orders for a GPU take another way, through CuPy, so this is their size and not their time.)

# %%
with_gpu = ["cuda"] if cupy else []


def step_time(features, images, device="cpu"):
    step = training_step(features, images, device=device)
    work = step if device == "cpu" else lambda: (step(), td.cuda.synchronize())
    return min(bench.measure(work, SECONDS, ONE))  # on a day without other programs


batches = [1, 8, 32] if FAST else [1, 2, 4, 8, 16, 32, 64, 128, 256]
bare = step_time(1, 1)  # one channel, one image: orders and nothing else
steps = {device: [step_time(16, n, device) for n in batches] for device in ("cpu", *with_gpu)}
print(f"orders alone: {bare * 1e3:.1f} ms a step", end=", ")
print(f"{bare / launches * 1e6:.0f} microseconds for each launch that a GPU would have")
for n, seconds in zip(batches, steps["cpu"]):
    print(f"{n:4} images: {seconds * 1e3:7.1f} ms, {seconds / bare:6.1f} times the orders")

# %% [markdown]
# Take the fastest GPU there could be: it needs no time at all. Python still writes its orders, so a
# step takes as long as they do. The last column is what such a miracle gains: very little for one
# image, and much for a large batch.
#
# This is Amdahl's law (1967): if a share $p$ of the time becomes $s$ times as fast, then the whole
# becomes $1 / (1 - p + p/s)$ times as fast, and never more than $1 / (1 - p)$. How large is the
# share of the convolutions?


# %%
def share_of_convolutions(images):
    """Of the time of a step on this processor."""
    spent, shares = [], []

    def watched(function):
        def timed(*arguments):
            start = perf_counter()
            result = function(*arguments)
            spent.append(perf_counter() - start)
            return result

        return timed

    step = training_step(16, images)
    step()
    watching = {name: watched(getattr(cpu, name)) for name in bench.INPUTS}
    with ONE.entered(), patch.multiple(cpu, **watching):
        for _ in range(3 if FAST else 15):
            spent.clear()
            whole = seconds_of(step)
            shares.append(sum(spent) / whole)
    return median(shares)


p = share_of_convolutions(batches[-1])
print(f"{batches[-1]} images: convolutions take {p:.0%} of a step on this processor", end=", ")
print(f"so faster convolutions alone make it at most {1 / (1 - p):.1f} times as fast")

# %% jupyter={"source_hidden": true} tags=["gallery", "hide-input"]
_, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
for (device, times), colour in zip(steps.items(), [BLUE, PURPLE]):
    name = "this processor, 1 thread" if device == "cpu" else "the GPU here"
    left.loglog(batches, [t * 1e3 for t in times], "o-", color=colour, label=name)
left.axhline(bare * 1e3, color=GREY, ls="--", label="orders alone")
left.set(xlabel="images in the batch", ylabel="time, ms", title="A training step of a DCGAN")
left.legend()
gains = np.geomspace(1, 1000, 100)
for share, colour, words in [(p, ORANGE, "as here"), (0.5, SKY, ""), (0.99, GREEN, "")]:
    label = f"{share:.0%} convolutions{', ' * bool(words)}{words}"
    right.loglog(gains, 1 / (1 - share + share / gains), color=colour, label=label)
right.loglog(gains, gains, ":", color=GREY, label="what one would like")
right.set(xlabel="convolutions so many times as fast", ylabel="the step so many times as fast")
right.set(ylim=(0.9, 1000), title="Amdahl's law")
right.legend()
viz.show(
    "Left: milliseconds of a training step against the images in a batch, a curve that is nearly "
    "flat at first and then rises, above a dashed line for the orders alone. Right: the gain of a "
    "step against the gain of its convolutions, for three shares of these; the curves bend and end "
    "far below the dotted diagonal."
)

# %% [markdown]
# **What to see.** Left: the distance between the curve and the dashed line is all that a GPU can
# take away; a small batch has little to give. Right: the rest of the step soon decides.
# Make the convolutions a hundred times as fast, and the norms, the activations and Adam are what
# you wait for. So a GPU must run these too, in few launches, and the batch must be large.
#
# (Where launches dominate, one can record a whole step and launch it at once: CUDA graphs. The
# library does not; it has few launches in each layer instead.)
#
# ## 9. TF32
#
# From the A100 on, the tensor cores of GPUs take products of float32 too, if one lets them: up to
# eight times as many a second on an A100, says its white paper. (A T4 cannot do it; on gaming cards
# such as the RTX 4060 the data sheets promise hardly more than in float32.) The price stands in the
# format. A float32 has 23 bits after the leading one, a TF32 has 10; both have 8 bits of exponent,
# so the same range. The inputs of each product are rounded to that; the sums stay in float32.


# %%
def tf32(x):
    """float32 rounded to 10 bits after the leading one, to the nearest, ties to even. (A GPU may
    round ties the other way, or cut the bits off.)
    """
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    odd = (bits >> 13) & 1
    return ((bits + 0xFFF + odd) & ~np.uint32(0x1FFF)).view(np.float32)


for number in (1.0, 1.0005, 3.14159265, 293.15, 1000.3):
    print(f"{number:<12} becomes {tf32(np.float32(number)).item():.9g}")

# %% [markdown]
# Three digits and a bit. How far off is a convolution, against one in float64? Deeper and deeper,
# as errors might add up:

# %%
depths = [4, 16, 64] if FAST else [4, 16, 64, 256, 1024]
errors = {"float32": [], "TF32": []}
for channels in depths:
    deep = bench.Layer(1, channels, 8, ConvGeometry.of_conv((12, 12), 3))
    x, w = (rng.standard_normal(deep.shapes[name], np.float32) for name in "xw")
    exact = reference.conv(x.astype(np.float64), w.astype(np.float64), deep.geometry)
    for name, rounded in [("float32", np.float32), ("TF32", tf32)]:
        result = reference.conv(rounded(x), rounded(w), deep.geometry)
        errors[name].append(abs(result - exact).max() / abs(exact).max())
for name, found in errors.items():
    told = ", ".join(f"{-log10(error):.1f}" for error in found)
    print(f"{name:8} digits that are right, {depths[0]} to {depths[-1]} channels: {told}")

# %% [markdown]
# The digits of TF32 do not get fewer with depth: rounding errors of many terms cancel about as fast
# as their sum grows. For the weights of a network, which are noisy anyway, three digits are mostly
# enough. For other numbers they are not. A thermal camera sees a wall of 20 degrees, which is 293
# kelvins, and something warm on it; a small filter shows its edges.

# %% tags=["gallery"]
picture = photograph("coffee")[:: 2 + 4 * FAST, :: 2 + 4 * FAST]
kelvin = (293 + picture).astype(np.float32)
filters = np.array([[[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]]], np.float32) / 4
filters = np.concatenate([filters, filters.swapaxes(2, 3)])
geometry = ConvGeometry.of_conv(kelvin.shape, 3)


def edges(rounded):
    across, down = reference.conv(rounded(kelvin)[None, None], rounded(filters), geometry)[0]
    return np.hypot(across, down)


fine, coarse = edges(np.float32), edges(tf32)
_, axes = plt.subplots(1, 3, figsize=(11, 2.9), layout="constrained")
for ax, image, name, top in zip(
    axes, [kelvin - 293, fine, coarse], ["kelvins above 293", "edges, float32", "edges, TF32"],
    [1, 0.4, 0.4],
):  # fmt: skip
    ax.imshow(image, cmap="gray", vmin=0, vmax=top)
    ax.set_title(name)
    ax.axis("off")
viz.show(
    "A cup of coffee as temperatures, its edges in float32, white lines on black, and its edges in "
    "TF32: contour lines of a few flat steps, with most of the detail gone."
)
off = abs(coarse - fine).mean() / fine.mean()
steps_left = len(np.unique(tf32(kelvin)))
print(f"TF32 leaves {steps_left} temperatures; the edges are off by {off:.0%} of their mean")

# %% [markdown]
# **What to see.** Between 256 and 512 the numbers of TF32 are a quarter apart. The picture has
# become a map of contour lines, and the filter finds their borders. In one step of TF32 float32 has
# 8,192.
#
# This is why the switch is off, and why you turn it on by name:
#
# ```python
# td.backends.cuda.allow_tf32 = True
# ```
#
# A result that depends on the machine it ran on, in the fourth digit, should be somebody's
# decision. A test that compares with NumPy, a numerical gradient, an image in kelvins: each would
# fail in a way that is hard to find. And it does not always pay. TF32 lifts the flat roof; the
# slope stays:

# %%
a100, a100_tf32 = SHEETS["A100"], 156_000  # GFLOP/s, white paper, not measured
gains = {}
for rung in ("unfold + cuBLAS", "implicit GEMM"):
    before, after = (min(top, a100.gbs * where[rung]) for top in (a100.gflops, a100_tf32))
    gains[rung] = after / before
    print(f"{rung}: at most {after:,.0f} instead of {before:,.0f}", end=", ")
    print(f"{gains[rung]:.1f} times, of {a100_tf32 / a100.gflops:.0f}")

# %% [markdown]
# The library has TF32 through cuBLAS alone, so its convolutions then take the way over patches, and
# these were near the corner of the roof already. For that layer, counting says: do not expect
# eight. (Deeper layers have more operations for each patch. Compute it for yours.)
#
# ## 10. What to expect of your own machine
#
# ```console
# $ tinydeconv info                    # what is there, and whether TF32 is on
# $ tinydeconv bench --plot runs/      # the ladder of this notebook, on CPU and GPU
# $ python -m benchmarks gpu-parity    # is the GPU right? seven minutes
# $ python -m benchmarks gpu           # how fast, beside PyTorch? seven minutes
# ```
#
# The last two need a copy of the repository and write into `benchmarks/results`; where they left
# something there, this notebook shows it in section 6. Before you run them, write down what you
# expect, from the data sheet of your GPU and from the counts above. Where the measurement is far
# below the bound, there is something to be found.
#
# ## 11. What to take home
#
# | question | answer |
# |---|---|
# | may I look at the clock now? | wait first, before and after; or events |
# | what does the first call tell? | how long compiling takes |
# | mean, median, smallest? | the median of turns; the smallest for a ceiling |
# | why is the small case so slow? | it is not the case, it is the launch |
# | what can this layer reach? | the lower roof, at its operational intensity |
# | which roof? | each memory has its own: the GPU's, and that of a multiprocessor |
# | why is `direct` slow? | two reads and ten instructions for each product |
# | what do 64 sums a thread buy? | a quarter of a read, an instruction and a half |
# | will the training be as fast as the kernel? | 1 / (1 - p + p / s), and orders take time |
# | TF32? | three digits, where somebody has decided so |
#
# ## 12. Exercises
#
# Each answer is checked on new numbers whenever you run its cell.
#
# ### Exercise 1: an honest clock
#
# Write `measure(launch, wait, clock)`, which returns the seconds that one piece of work takes on a
# GPU.
#
# - In: three functions without arguments. `launch()` orders the work and returns at once, `wait()`
#   returns when all that was ordered is done, `clock()` gives the time in seconds.
# - Out: the seconds of one piece, within 2 %. The work takes a millisecond or more.
#
# The GPU is an imagined one, with a clock of its own, so no noise of your computer is in it. But it
# has all the habits of a real one: somebody has given it work before you, its first call compiles,
# and every fourth call is held up by something.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
class Imagined:
    """Python and a GPU, with a clock that runs only when one of them does something."""

    def __init__(self, rng):
        self.now, self.seconds = rng.uniform(0, 1000), rng.uniform(0.001, 0.01)
        self.free = self.now + rng.uniform(0.5, 2)  # when the GPU is done with what was before
        self.calls = 0

    def launch(self):
        self.now += 5e-6 if self.calls else 0.4  # the first one compiles
        held_up = 5 if self.calls % 4 == 1 else 1
        self.calls += 1
        self.free = max(self.free, self.now) + self.seconds * held_up

    def wait(self):
        self.now = max(self.now, self.free) + 2e-6

    def clock(self):
        self.now += 1e-7
        return self.now


@exercise
def check_1(rng, answer):
    """Work of one to ten milliseconds, after half a second or more of somebody else's."""
    gpu = Imagined(rng)
    told = answer(gpu.launch, gpu.wait, gpu.clock)
    expect(told, gpu.seconds, "the seconds of one piece of work", 0.02)


# %% tags=["exercise"]
def measure(launch, wait, clock):
    """The seconds that one launch() keeps the GPU busy."""
    return ...  # yours


check_1(measure)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def measure(launch, wait, clock):
#     launch()  # compiles
#     wait()
#     samples = []
#     for _ in range(15):
#         start = clock()
#         launch()
#         wait()
#         samples.append(clock() - start)
#     return sorted(samples)[len(samples) // 2]
# ```
#
# Usual mistakes: no `wait()` before the clock is read again, which measures the order; the mean, to
# which the calls that were held up add most; a single sample; the first one, with the compiler and
# somebody else's work in it. (The smallest sample would do here as well. On a real GPU it would
# say what happens on a very good day.)
#
# </details>
#
# ### Exercise 2: under the roof
#
# Write `place(x, w, stride, padding, peak, bandwidth)` for a two-dimensional convolution in
# float32, of one group.
#
# - In: `x`, a shape (N, C, H, W); `w`, a shape (F, C, A, B); the stride and the padding, whole
#   numbers; the peak in FLOP a second; the bandwidth in bytes a second.
# - Out: three numbers. The operational intensity in FLOP a byte, if x, w and y go through memory
#   once each; the FLOP a second that can be reached at most; the seconds that it takes at least.
#
# An example: `x = (1, 1, 3, 3)` and `w = (1, 1, 3, 3)` with stride 1 and no padding have 18 FLOP
# and 76 bytes.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A machine whose memory is the lower roof, and one whose arithmetic is."""
    lowest, highest = [1, 4, 4, 9, 9, 2, 2, 1, 1], [9, 65, 65, 40, 40, 6, 6, 4, 4]
    for ratio in rng.permutation([0.4, 2.5]):
        n, c, f, height, width, a, b, stride, padding = rng.integers(lowest, highest).tolist()
        of = ConvGeometry.of_conv((height, width), (a, b), stride, padding)
        x, w, counted = (n, c, height, width), (f, c, a, b), bench.Layer(n, c, f, of)
        flop, moved, peak = counted.flop, counted.moved(), rng.uniform(1e12, 5e13)
        bandwidth = ratio * peak * moved / flop
        got = answer(x, w, stride, padding, peak, bandwidth)
        assert np.shape(got) == (3,), "expected three numbers."
        about = f"x {x}, w {w}, stride {stride}, padding {padding}"
        expect(got[0], flop / moved, f"the intensity, {about}")
        reached = min(peak, bandwidth * flop / moved)
        what = f"FLOP a second, {about}, peak {peak:.3g}, bandwidth {bandwidth:.3g}"
        expect(got[1], reached, what)
        expect(got[2], flop / reached, f"the seconds, {about}")


# %% tags=["exercise"]
def place(x, w, stride, padding, peak, bandwidth):
    """(FLOP a byte, FLOP a second at most, seconds at least)"""
    return ...  # yours


check_2(place)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def place(x, w, stride, padding, peak, bandwidth):
#     (n, c, height, width), (f, _, a, b) = x, w
#     rows = (height + 2 * padding - a) // stride + 1
#     columns = (width + 2 * padding - b) // stride + 1
#     flop = 2 * n * f * rows * columns * c * a * b
#     moved = 4 * (n * c * height * width + f * c * a * b + n * f * rows * columns)
#     reached = min(peak, bandwidth * flop / moved)
#     return flop / moved, reached, flop / reached
# ```
#
# Usual mistakes: a multiplication and an addition counted as one operation; numbers in place of
# bytes; the weights forgotten, which are most of the bytes in deep layers of small images; the size
# of x in place of that of y; seconds from the peak, where memory is the lower roof.
#
# </details>
#
# ### Exercise 3: when does a GPU pay?
#
# A program computes something for each image of a batch. On the processor an image takes its
# operations at the processor's speed. The GPU needs so many launches, however many images there
# are; and each image must be sent there and its result fetched, one after the other with the
# computing. Write `break_even`, the smallest number of images for which the GPU is faster.
#
# - In: `flop`, the operations of an image; `sent` and `fetched`, its bytes over the cable; `cpu`
#   and `gpu`, FLOP a second that are really reached; `link`, bytes a second of the cable;
#   `launches`, their number, and `latency`, the seconds of one.
# - Out: a whole number, or `None` if the GPU never is.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """A cable that is quick enough, one that is not, and one that nearly is."""
    cpu, launches = rng.uniform(1e10, 5e11), int(rng.integers(5, 200))
    gpu, latency = cpu * rng.uniform(10, 100), rng.uniform(2e-6, 1e-5)
    sent, fetched = (int(number) for number in rng.integers(10_000, 1_000_000, 2))
    seconds = latency * rng.uniform(0.2, 2)  # of an image on the processor
    flop = int(seconds * cpu)
    almost = 1 - 0.5 * cpu / gpu  # the cable is quicker than the processor; with the GPU it is not
    for share in rng.permutation(
        [rng.uniform(0.3, 0.8), almost, rng.uniform(1, 3)]
    ):  # for the cable
        link = (sent + fetched) / (share * seconds)
        got = answer(flop, sent, fetched, cpu, gpu, link, launches, latency)
        gain = flop / cpu - flop / gpu - (sent + fetched) / link
        about = f"{flop:.3g} FLOP, {sent} and {fetched} bytes, cable {link:.3g}, CPU {cpu:.3g}, "
        about += f"GPU {gpu:.3g}, {launches} launches of {latency:.3g} s"
        if gain > 0:
            expect(got, floor(launches * latency / gain) + 1, f"images, {about}")
        else:
            assert got is None, f"it never pays ({about}): expected None, got {got}."


# %% tags=["exercise"]
def break_even(flop, sent, fetched, cpu, gpu, link, launches, latency):
    """The smallest number of images for which the GPU is faster, or None."""
    return ...  # yours


check_3(break_even)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def break_even(flop, sent, fetched, cpu, gpu, link, launches, latency):
#     gain = flop / cpu - flop / gpu - (sent + fetched) / link  # of an image
#     if gain <= 0:
#         return None
#     return int(launches * latency / gain) + 1
# ```
#
# n images on the processor take `n * flop / cpu`; on the GPU, `launches * latency` and n times the
# rest. Usual mistakes: the way back forgotten; one launch in place of all; the division rounded
# down; a negative number of images, where the cable alone takes longer than the processor.
#
# </details>
#
# ### Further questions
#
# 1. Why does `three_clocks` note the start in the worker's queue, and not simply read the clock
#    before the order?
# 2. A 3x3 convolution with 64 channels on images of 56 x 56: from how many channels and filters on
#    does *unfold + cuBLAS* reach the flat roof of an RTX 4060?
# 3. `direct` reads each pixel of the image many times, and is still bound by the fast memory and
#    not by that of the GPU. What must be true for that, and for which layers would it not be?
# 4. A colleague finds a kernel 3 % faster after a change, from one run of each. What do you ask?
#
# <details><summary>Answers</summary>
#
# 1. The worker may be busy with something else when the order comes. Its own notes enclose the work
#    alone, and nothing that was ordered before.
# 2. With $C$ channels and as many filters the patches dominate: $2 \cdot 9 C^2$ operations for $4
#    (2 \cdot 9 C + 2 C)$ bytes a position, $0.225\,C$ FLOP a byte. The ridge is at 55, so from
#    about 245 channels on.
# 3. The pixels must come from a cache after the first time. Threads side by side read pixels side
#    by side, and the same weights, so mostly they do. With very many channels the pixels of one
#    thread's window, all channels together, outgrow the cache before the next filter wants them.
# 4. How far apart are two runs of the *same* kernel? In turns, how many, which median, which
#    interval? And was the clock read after waiting?
#
# </details>
#
# ## Check

# %%
for samples in clocks.values():
    ordered, done, noted = map(min, zip(*samples))
    assert 2 * ordered < done and 2 * ordered < noted  # some hundred times, on a machine at peace
assert all(noted <= done for _, done, noted in clocks[thread.name])
assert len(stamps) == 4 and stamps[-1][1] <= all_done
assert middles["smallest"] < middles["mean"] and min(map(len, races.values())) >= 6
assert floors["NumPy"] < floors["tinydeconv"] and 4 * floors["NumPy"] < added["NumPy"][-1]

for sheet in SHEETS.values():
    units = 2 * sheet.multiprocessors * sheet.units * sheet.ghz
    assert abs(units / sheet.gflops - 1) < 0.02
assert set(counted.values()) == {odd.flop // 2}
assert (flop_by_hand, bytes_by_hand) == (LAYER.flop, LAYER.moved())
assert intensity["ReLU"] == 1 / 8 and intensity["convolution, 3x3, 64 channels"] > 140

reached = {(row["rung"], row["place"]): row["gflops"] for row in rows}
assert reached["panels", ALL.name] > 100 * reached["seven loops", ONE.name]
assert min(min(c["gflops"], c["gbs"]) for c in CEILINGS.values()) > 0

rung = {rung.name: rung for rung in bench.rungs(LAYER)}
for name, found in where.items():
    assert np.isclose(found, LAYER.flop / LAYER.moved(**rung[name].passes))
assert all(0 < bounds[rung, name] <= sheet.gflops for rung, name in bounds)
assert bounds["unfold + cuBLAS", "RTX 4060"] < bounds["implicit GEMM", "RTX 4060"] == 15_000
assert bool(dots) == bool(gpu_roofs) == bool(source)
assert all(found > 0 and gflops > 0 for found, gflops in dots.values())

for own in owns:
    assert np.allclose(by_count[own], by_formula[own]), own
assert shares["direct, H200"][1] == 1 / 8 == shares["direct, A100"][1] / 2
assert min(shares["direct, H200"][:2]) == shares["direct, H200"][0] > 0.09
assert 0.65 < min(shares["implicit GEMM, H200"]) < 0.7 < min(shares["implicit GEMM, A100"]) == 1
assert RESIDENT == 3
assert tiles(LAYERS["ResNet 3x3, 64 images"])[0] == 1568
assert useful["MobileNet 3x3, depthwise"][0] == 1 / 64
assert useful["DCGAN, last layer"][0] == 1 / 256

assert launches == 88 and bare > 0
assert 0 < p < 1
assert tf32(np.float32(1 + 2**-11)) == 1 and tf32(np.float32(1 + 3 * 2**-11)) == 1 + 2**-9
assert tf32(np.float32(-293.15)) == -293.25
assert all(1e-4 < error < 3e-3 for error in errors["TF32"])
assert all(t > 100 * f for t, f in zip(errors["TF32"], errors["float32"]))
assert steps_left <= 5 and off > 0.2
assert 1 <= gains["unfold + cuBLAS"] < 2 < gains["implicit GEMM"]
print("All checks passed.")
