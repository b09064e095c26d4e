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
# # 03 · Convolution
#
# **The question.** Convolution is one line of mathematics and seven loops of Python. The same line,
# in the same Python, on the same computer, can run some ten thousand times faster, with the same
# multiplications, down to the last one. Where does the time go? (Only the topmost rung, that of
# the library, saves some of them too. What that brings is shown apart.)
#
# First we look at the line itself: which pixel meets which weight, under strides, padding, dilation
# and groups; why it is not quite what mathematicians call convolution; how far a stack of them can
# see. Then we climb the ladder from the seven loops to the library's kernel, rung by rung, and hold
# each rung against the two ceilings of your machine.
#
# - **You need:** NumPy; for section 5, gradients as in notebook 01.
# - **Time:** 120 minutes; the exercises take 40 of them.
# - **Afterwards you can** write a convolution for any stride, padding, dilation and number of axes,
#   say which pixels a feature sees, and tell from two measured ceilings what a program waits for.

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
import inspect
from dataclasses import replace
from math import prod
from statistics import median
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import bench, viz
from tinydeconv.data import photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cpu, ladder, reference
from tinydeconv.kernels.patches import ShortWalk
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. Seven loops
#
# An image has channels (one if it is grey, three in colour, dozens inside a network), and it comes
# in a batch. A convolution has a small window of weights for each pair of input channel $c$ and
# output channel $f$ (a *filter*). Lay the window over the image, multiply what lies on top of each
# other, add up, write the sum down, move on:
#
# $$y_{n,f,i,j} = \sum_{c}\sum_{a}\sum_{b}
#   x_{n,\,c,\;i s + a d - p,\;j s + b d - p}\; w_{f,c,a,b}$$
#
# Seven indices, so seven loops: image $n$, filter $f$, channel $c$, row $i$, column $j$, and the
# window's row $a$ and column $b$. A position $(a, b)$ in the window is called a **tap**, a number
# of the result a **feature**. The stride $s$, the padding $p$ and the dilation $d$ are for section
# 2.


# %%
def convolve(x, w, s=1, p=0, d=1):
    """x (N, C, H, W), w (K, C, A, B) -> y (N, K, rows, columns), as it is written down."""
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    (N, C, H, W), (K, _, A, B) = x.shape, w.shape
    rows, columns = (H - d * (A - 1) - 1) // s + 1, (W - d * (B - 1) - 1) // s + 1
    y = np.zeros((N, K, rows, columns))
    for n in range(N):
        for f in range(K):
            for c in range(C):
                for i in range(rows):
                    for j in range(columns):
                        for a in range(A):
                            for b in range(B):
                                pixel = x[n, c, i * s + a * d, j * s + b * d]
                                y[n, f, i, j] += pixel * w[f, c, a, b]
    return y


# %% [markdown]
# Two filters that look for edges (Sobel's): one subtracts what is on the left from what is on the
# right, the other the upper from the lower.

# %% tags=["gallery"]
image = photograph("chelsea")[80:160, 110:210].astype(np.float64)
sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 4
filters = np.stack([sobel, sobel.T])[:, None]  # (2 filters, 1 channel, 3, 3)

start = perf_counter()
edges = convolve(image[None, None], filters)
seconds = perf_counter() - start
multiplications = edges.size * sobel.size
print(f"{multiplications:,} multiplications in {seconds:.2f} s", end=": ")
print(f"{seconds / multiplications * 1e9:.0f} nanoseconds each")

_, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
axes[0].imshow(image, cmap="gray", vmin=0, vmax=1)
axes[0].set_title("image")
for ax, picture, name in zip(axes[1:], edges[0], ["right minus left", "lower minus upper"]):
    ax.imshow(picture, cmap="PuOr", vmin=-0.4, vmax=0.4)
    ax.set_title(name)
for ax in axes:
    ax.axis("off")
viz.show(
    "A cat's eye in grey, and what two filters make of it: one shows the edges where brightness "
    "changes from left to right, the other those where it changes from top to bottom, in purple "
    "and orange."
)

# %% [markdown]
# **What to see.** Purple is positive, orange negative, white zero. The first filter answers where
# brightness changes from left to right, such as at the sides of the pupil; the second where it
# changes from top to bottom. These weights were chosen by hand. In a network they are learned.
#
# Keep the nanoseconds in mind. A processor does several multiplications in *one*.

# %% [markdown]
# ## 2. Which pixel meets which tap
#
# Padding adds zeros around the image. The stride moves the window by more than one pixel. Dilation
# pulls the taps apart. All sizes follow from one line: tap $a$ of feature $i$ meets pixel
#
# $$i\,s + a\,d - p .$$
#
# In the library `ConvGeometry` knows that line, and nothing else does. Let us draw it, for a window
# of three taps on a row of pixels (all pictures after Dumoulin and Visin, *A guide to convolution
# arithmetic for deep learning*, 2016):

# %%
TAPS = [BLUE, ORANGE, GREEN]


def draw_meetings(ax, title, **options):
    """Pixels below, features above, and a line for each tap that joins two of them."""
    geometry = ConvGeometry.of_conv((7,), 3, **options)
    ((low, high),) = geometry.padding
    pixels = np.arange(-low, 7 + high)
    middle = [geometry.stride[0] * i + geometry.dilation[0] - low for i in range(geometry.small[0])]
    for (a,), (window,) in geometry.taps():
        for i, pixel in enumerate(pixels[window]):
            label = f"tap {a}" if i == 0 else None
            ax.plot([pixel, middle[i]], [0, 1], color=TAPS[a], lw=2, label=label, zorder=1)
    inside = (pixels >= 0) & (pixels < 7)
    empty = {"s": 190, "color": "white", "zorder": 2}
    ax.scatter(pixels[inside], 0 * pixels[inside], marker="s", ec="black", **empty)
    ax.scatter(pixels[~inside], 0 * pixels[~inside], marker="s", ec=GREY, ls=":", **empty)
    ax.scatter(middle, np.ones(len(middle)), marker="o", ec="black", **empty)
    ax.set_title(f"{title}: {geometry.small[0]} features", fontsize=11)
    ax.set(xlim=(-1.6, 7.6), ylim=(-0.3, 1.3))
    ax.axis("off")


figure, axes = plt.subplots(2, 2, figsize=(11, 5), layout="constrained")
draw_meetings(axes[0, 0], "plain")
draw_meetings(axes[0, 1], "padding 1", padding=1)
draw_meetings(axes[1, 0], "stride 2", stride=2)
draw_meetings(axes[1, 1], "dilation 2", dilation=2)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
viz.show(
    "Four drawings of squares below and circles above. Each circle has three lines of three "
    "colours to squares, which are neighbours, or with dilation 2 every second square. There are "
    "five circles for the plain window, seven with padding 1, three with stride 2 and three with "
    "dilation 2."
)

# %% [markdown]
# **What to see.** Squares are pixels (dotted: padding), circles features; the colour says which
# weight stands on the line. Every circle has three lines, one of each colour. The squares do not:
# near the ends a pixel is seen less often, and with stride 2 the inner pixels take turns (once, by
# orange; twice, by blue and green). With padding 1 the result is as long as the image.
#
# Read a picture from top to bottom and you have the *transposed* convolution: the same lines, the
# same colours, and each circle paints its three squares. That is all the difference there is.
#
# How many circles? The window spans $d\,(k-1) + 1$ pixels, and takes as many steps of $s$ as fit:
#
# $$\text{features} = \left\lfloor \frac{n + 2p - (d\,(k-1) + 1)}{s} \right\rfloor + 1$$

# %%
agree = 0
for n, k, s, p, d in np.ndindex(9, 4, 3, 3, 3):
    n, k, s, d = n + 1, k + 1, s + 1, d + 1
    if n + 2 * p >= d * (k - 1) + 1:
        by_formula = (n + 2 * p - (d * (k - 1) + 1)) // s + 1
        by_loops = convolve(np.zeros((1, 1, n, n)), np.zeros((0, 1, k, k)), s, p, d).shape[-1]
        agree += ConvGeometry.of_conv((n,), k, s, p, d).small == (by_formula,) == (by_loops,)
print(f"formula, loops and library agree on {agree} sizes")

# %% [markdown]
# In two dimensions the window is a square. Above, one feature and the pixels that its nine taps
# meet. Below, how many features look at each pixel: that is `fold` of ones, the transpose of
# cutting the patches out (section 8 has its partner, `unfold`).


# %% tags=["gallery"]
def draw_window(above, below, title, feature, **options):
    geometry = ConvGeometry.of_conv((6, 6), 3, **options)
    (low, _), _ = geometry.padding
    height, width = geometry.padded
    for row, column in np.ndindex(height, width):
        inside = low <= row < low + 6 and low <= column < low + 6
        style = {"ec": "black" if inside else GREY, "ls": "-" if inside else ":", "lw": 1}
        box = plt.Rectangle((column - low - 0.5, row - low - 0.5), 1, 1, fc="white", **style)
        above.add_patch(box)
    for (a, b), (rows, columns) in geometry.taps():
        row, column = range(height)[rows][feature[0]], range(width)[columns][feature[1]]
        square = plt.Rectangle((column - low - 0.5, row - low - 0.5), 1, 1, fc=TAPS[b], alpha=0.7)
        above.add_patch(square)
        above.text(column - low, row - low, f"{a},{b}", ha="center", va="center", fontsize=9)
    above.set_title(f"{title}\n{geometry.small[0]} x {geometry.small[1]} features", fontsize=11)
    seen = reference.fold(np.ones((1, 1, *geometry.kernel, *geometry.small)), geometry)[0, 0]
    below.imshow(seen, cmap="Blues", vmin=0, vmax=18)
    for (row, column), times in np.ndenumerate(seen):
        below.text(column, row, f"{times:.0f}", ha="center", va="center")
    for ax in (above, below):
        ax.set(xlim=(-1.6, 6.6), ylim=(6.6, -1.6), aspect="equal")
        ax.axis("off")


_, axes = plt.subplots(2, 4, figsize=(11, 6), layout="constrained")
draw_window(*axes[:, 0], "plain", (1, 2))
draw_window(*axes[:, 1], "padding 1", (0, 3), padding=1)
draw_window(*axes[:, 2], "stride 2", (1, 0), stride=2)
draw_window(*axes[:, 3], "dilation 2", (0, 1), dilation=2)
viz.show(
    "Above, four grids of six by six pixels with the nine taps of one feature coloured in: side by "
    "side, across the padded border, and spread out. Below, how many features see each pixel: 9 in "
    "the middle of the plain grid and of the padded one, a pattern of 1, 2 and 4 with stride 2."
)

# %% [markdown]
# **What to see.** Above: `a,b` is the tap, the colour its column. Below: with stride 2 the last row
# and column are never seen, since no further step fits; and the numbers are 1, 2 and 4: here a
# cross, in a larger image they take turns like the fields of a checkerboard. Each number is also
# what a pixel gets if every feature paints one unit with each tap: the checkerboard of transposed
# convolutions is this very picture (Odena, Dumoulin and Olah, *Deconvolution and checkerboard
# artifacts*, Distill 2016).

# %% [markdown]
# ## 3. Groups
#
# So far every filter looks at every channel. With $G$ *groups*, channels and filters are dealt out
# in $G$ heaps, and a filter looks only at the channels of its own heap.

# %%
C, K = 8, 8  # channels and filters


def who_sees_whom(groups):
    """A weight (K, C, 3, 3) that is zero where grouped filters do not look, and the grouped one."""
    w = rng.standard_normal((K, C // groups, 3, 3))
    dense = np.zeros((K, C, 3, 3))
    for f in range(K):
        first = f // (K // groups) * (C // groups)
        dense[f, first : first + C // groups] = w[f]
    return dense, w


x = rng.standard_normal((2, C, 6, 6))
_, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
group_errors = []
for ax, groups in zip(axes, (1, 2, 4, 8)):
    dense, w = who_sees_whom(groups)
    grouped = F.conv2d(td.tensor(x), td.tensor(w), groups=groups).numpy()
    group_errors.append(abs(grouped - convolve(x, dense)).max())
    ax.imshow(np.abs(dense).sum((2, 3)) > 0, cmap="Blues", vmin=0, vmax=1.6)
    ax.set_xticks(np.arange(C + 1) - 0.5, [])
    ax.set_yticks(np.arange(K + 1) - 0.5, [])
    ax.grid(color="white", lw=2)
    ax.tick_params(length=0)
    ax.set_title(f"groups = {groups}\n{w.size} weights", fontsize=11)
    ax.set(xlabel="channel", ylabel="filter")
viz.show(
    "Four squares of 8 filters by 8 channels. With one group all fields are blue, with 2, 4 and 8 "
    "groups only blocks along the diagonal, each half as large as before."
)
print("largest difference from the dense convolution:", max(group_errors))

# %% [markdown]
# **What to see.** Blue: this filter looks at this channel. $G$ groups have a $G$-th of the weights
# and of the multiplications. The last one is called *depthwise*: each channel by itself. It mixes
# nothing, so it is usually followed by a 1x1 convolution, which mixes channels and nothing else.
# Together they take the place of a dense convolution (MobileNet, Howard et al. 2017) for a fraction
# of its multiplications. For 64 channels, 64 filters and 3x3 taps:

# %%
dense_cost, depthwise_cost, pointwise_cost = 64 * 64 * 9, 64 * 9, 64 * 64
saving = dense_cost / (depthwise_cost + pointwise_cost)
print(f"{saving:.1f} times fewer multiplications for each pixel")

# %% [markdown]
# Fewer multiplications; not so much less time, as a further question at the end will show.
#
# ## 4. Convolution or cross-correlation?
#
# A convolution, says the mathematician, runs backwards through one of the two:
#
# $$(x * w)_i = \sum_a x_{i - a}\, w_a \qquad\text{and not}\qquad
#   (x \star w)_i = \sum_a x_{i + a}\, w_a .$$
#
# The second is *cross-correlation*, and that is what every deep-learning library computes under the
# name of convolution. To see the difference take a window that is not symmetric, and an image that
# is black but for one pixel.

# %%
letter = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [1, 0, 0, 0]], float)
dot = np.zeros((9, 9))
dot[4, 4] = 1


def correlate(x, w):
    """Cross-correlation of two grey images, at every place where they overlap."""
    low = [(n - 1, n - 1) for n in w.shape]
    return convolve(np.pad(x, low)[None, None], w[None, None])[0, 0]


def flip(w):
    return w[::-1, ::-1]


_, axes = plt.subplots(1, 4, figsize=(11, 3), layout="constrained")
correlated, convolved = correlate(dot, letter), correlate(dot, flip(letter))
pictures = [letter, dot, correlated, convolved]
names = ["window", "image", "cross-correlation", "convolution:\nwith the window flipped"]
for ax, picture, name in zip(axes, pictures, names):
    ax.imshow(picture, cmap="Blues", vmin=0, vmax=1.4)
    ax.set_title(name, fontsize=11)
    ax.set_xticks(np.arange(picture.shape[1] + 1) - 0.5, [])
    ax.set_yticks(np.arange(picture.shape[0] + 1) - 0.5, [])
    ax.grid(color=GREY, lw=0.5)
    ax.tick_params(length=0)
viz.show(
    "A window with the letter F, an image with a single dot, the dot's cross-correlation, an F "
    "turned upside down and back to front, and its convolution, an upright F."
)

# %% [markdown]
# **What to see.** Cross-correlation answers one dot with the window turned by 180 degrees:
# the dot meets the *last* tap first. Convolution answers with the window itself.
#
# Why do mathematicians want the flip? Because then the two partners may be swapped, and a chain of
# windows is one window:

# %%
u, v, t = (rng.standard_normal(n) for n in (6, 4, 3))


def off(p, q):
    return abs(p - q).max()


print(f"u * v       and v * u:       {off(np.convolve(u, v), np.convolve(v, u)):.1e} apart")
swapped = off(np.correlate(u, v, "full"), np.correlate(v, u, "full"))
print(f"u ⋆ v       and v ⋆ u:       {swapped:.1e} apart")
both = np.convolve(np.convolve(u, v), t), np.convolve(u, np.convolve(v, t))
print(f"(u * v) * t and u * (v * t): {off(*both):.1e} apart")

# %% [markdown]
# And why do networks not care? Because the weights are learned. Ask a library's "convolution" to
# imitate a true one with some kernel. What are the best weights? (Least squares on the unfolded
# patches; training would find the same.)

# %%
kernel = rng.standard_normal((3, 3))
noise = rng.standard_normal((20, 20))
truth = convolve(noise[None, None], flip(kernel)[None, None])  # a true convolution
patches = F.unfold(td.tensor(noise[None, None]), 3)[0].numpy()  # (9 taps, positions)
learned = np.linalg.lstsq(patches.T, truth.reshape(-1), rcond=None)[0].reshape(3, 3)
print("the kernel     ", kernel.reshape(-1).round(2))
print("what is learned", learned.reshape(-1).round(2))

# %% [markdown]
# The kernel, back to front. Nothing is lost; it is only stored the other way round.
#
# In one place the flip comes back by itself. The gradient of a cross-correlation runs along the
# lines of section 2 from top to bottom, so pixel $i$ collects from features $i - a$: a true
# convolution. That is the transposed convolution at stride 1, seen from the pixel's side:

# %%
g, w = rng.standard_normal((6, 6)), rng.standard_normal((3, 3))
transposed = F.conv_transpose2d(td.tensor(g[None, None]), td.tensor(w[None, None])).numpy()[0, 0]
flip_error = off(transposed, correlate(g, flip(w)))
print("conv_transpose2d and the flipped window:", flip_error, "apart")

# %% [markdown]
# ## 5. How far does it see?
#
# A feature of one 3x3 layer sees 3x3 pixels. A feature of the layer above sees 3x3 features, each
# of which sees 3x3 pixels. Their windows overlap, so that makes 5x5. The **receptive field** grows
# by $(k - 1)\,d$ steps a layer, and a step is as many pixels as all strides below it multiply to
# (Araujo, Norris and Sim, *Computing receptive fields of convolutional neural networks*, Distill
# 2019):
#
# $$r = 1 + \sum_l (k_l - 1)\, d_l \prod_{m<l} s_m$$


# %%
def receptive_field(layers):
    """Its side in pixels; layers: (kernel, stride, dilation) of each, the first one first."""
    size, step = 1, 1
    for k, s, d in layers:
        size += (k - 1) * d * step
        step *= s
    return size


# %% [markdown]
# A formula is a promise. Who can check it? The gradient: it says by how much the middle feature
# changes with each pixel, so **it is zero exactly where the network does not look.** Positive
# weights, so that nothing cancels:


# %%
def sensitivity(layers, n):
    """The gradient of the middle feature with respect to an image of n x n pixels."""
    x = td.zeros(1, 1, n, n, requires_grad=True)
    y = x
    for k, s, d in layers:
        w = td.tensor(rng.uniform(0.5, 1.5, (1, 1, k, k)) / k**2).float()
        y = F.conv2d(y, w, stride=s, dilation=d, padding=(k - 1) * d // 2)
    middle = y[0, 0, y.shape[2] // 2, y.shape[3] // 2]
    return td.grad(middle, x)[0].numpy()[0, 0]


def extent(gradient):
    """Rows from the first to the last that the feature looks at."""
    rows = np.flatnonzero(gradient.any(axis=1))
    return int(rows[-1] - rows[0] + 1)


pair, pool = [(3, 1, 1)] * 2, (2, 2, 1)
networks = {
    "four 3x3 layers": [(3, 1, 1)] * 4,
    "the same, stride 2": [(3, 2, 1)] * 4,
    "dilation 1, 2, 4, 8": [(3, 1, d) for d in (1, 2, 4, 8)],
    "VGG-16 up to its last pool": [*pair, pool, *pair, pool, *([(3, 1, 1)] * 3 + [pool]) * 3],
}
fields = {}
print(f"{'':28}by formula  measured")
for name, layers in networks.items():
    gradient = sensitivity(layers, 256 if "VGG" in name else 45)
    fields[name] = receptive_field(layers), extent(gradient), gradient
    print(f"{name:28}{fields[name][0]:10}{fields[name][1]:10}")

# %% tags=["gallery"]
_, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for ax, (name, (size, _, gradient)) in zip(axes, fields.items()):
    n = len(gradient)
    ax.imshow(np.sqrt(gradient / gradient.max()), cmap="magma", extent=(0, n, n, 0))
    rows, columns = (np.flatnonzero(gradient.any(axis=axis)) for axis in (1, 0))
    corner = columns[0], rows[0]
    ax.add_patch(plt.Rectangle(corner, size, size, fill=False, ec="white", lw=1.5, ls="--"))
    ax.set_title(f"{name}\n{size} of {n} pixels", fontsize=10)
    ax.axis("off")
viz.show(
    "Four pictures of sensitivity, bright in the middle and dark towards the rim of a dashed "
    "square: 9 pixels wide for four layers, 31 with strides and with dilation, 212 of 256 for "
    "VGG-16."
)

# %% [markdown]
# **What to see.** Four layers of 9 weights each see 9 pixels across; with strides or with growing
# dilation (Yu and Koltun 2016) the same 36 weights see 31. The dashed square is the formula's. The
# brightness (a square root, to lift the dark parts) is what the feature makes of it. In a deep
# stack the middle counts most and the rim of the square hardly at all: many paths lead to the
# middle, one to the corner, and the sum of many small steps tends to a bell curve (Luo et al.,
# *Understanding the effective receptive field in deep convolutional neural networks*, 2016). How
# much of the sensitivity lies in the middle of the square?

# %%
for name, (size, _, gradient) in fields.items():
    rows, columns = (np.flatnonzero(gradient.any(axis=axis)) for axis in (1, 0))
    top, left, quarter = rows[0] + size // 4, columns[0] + size // 4, size // 2
    inner = gradient[top : top + quarter, left : left + quarter].sum() / gradient.sum()
    print(f"{name:28}{inner:4.0%} of the sensitivity in {(quarter / size) ** 2:.0%} of the area")

# %% [markdown]
# ## 6. Two ceilings
#
# Now to the time. From here on there are two layers: a small one for Python's loops, and one as it
# stands in a real network (the 3x3 convolution of ResNet's first blocks, He et al. 2016).
#
# A convolution needs a fixed number of floating-point operations (FLOP): a multiplication and an
# addition for each output, channel and tap.

# %%
SMALL = bench.SMALL
LAYER = replace(bench.LAYER, images=2, channels=16, filters=16) if FAST else bench.LAYER
SECONDS = 0.02 if FAST else 0.5  # to measure each thing for

for name, layer in [("small", SMALL), ("layer", LAYER)]:
    x, w, y = layer.shapes.values()
    by_hand = 2 * prod(y) * w[1] * 9
    print(f"{name}: x {x}, w {w}, y {y}: {by_hand / 1e6:,.1f} million FLOP")

# %% [markdown]
# What is the best that your machine could do? Whatever a program does, it must do arithmetic, and
# it must fetch its numbers from memory and put them back. So there are two ceilings:
#
# - **Arithmetic.** Nothing does more of it a second than the product of two large matrices (GEMM,
#   for *general matrix multiply*), on which people have worked for decades (Goto and van de Geijn,
#   *Anatomy of high-performance matrix multiplication*, 2008). NumPy calls a library for it, its
#   BLAS.
# - **Memory.** Nothing moves more bytes a second than a plain copy of an array that is larger than
#   the caches.
#
# Both can be measured, on one thread and on all:

# %%
PLACES = [place for place in bench.places() if place.xp is np]  # without a GPU
ONE, ALL = PLACES[0], PLACES[-1]
CEILINGS = {place.name: bench.ceilings(place, SECONDS) for place in PLACES}
for name, ceiling in CEILINGS.items():
    print(f"{name}: {ceiling['gflops']:6.0f} GFLOP/s, {ceiling['gbs']:5.1f} GB/s", end=", ")
    print(f"so {ceiling['gflops'] / ceiling['gbs']:.0f} FLOP in the time of a byte")

# %% [markdown]
# The last number is the key to everything that follows. A program that does *fewer* operations a
# byte spends its time waiting for memory, and a faster processor would not help it. Operations a
# byte are the **operational intensity** of a program, and a picture with intensity to the right and
# speed upwards is its **roofline** (Williams, Waterman and Patterson, *Roofline: an insightful
# visual performance model for multicore architectures*, 2009): a slope, where memory is the
# ceiling, and a flat roof, where arithmetic is.
#
# (If all threads are hardly faster than one, then another program is running, or the "cores" are
# two faces of one.)
#
# ## 7. First rungs: the loops, and one tap at a time
#
# `ladder.seven_loops` is our `convolve`, with groups, and with an `if` for the padding. We time it
# on the small layer, and let `bench` compute the rest:

# %%
rungs = {rung.name: rung for rung in bench.rungs(LAYER) if rung.kernel == "conv"}
rows = []


def climb(name, place=ONE, layer=LAYER):
    """Times a rung and prints what it reaches."""
    row = bench.climb(rungs[name], layer, place, CEILINGS[place.name], SECONDS)
    rows.append(row)
    print(f"{name}, {place.name}: {row['median'] * 1e3:.1f} ms, {row['gflops']:.3g} GFLOP/s")
    print(f"  {row['of_gemm']:.3%} of the ceiling of arithmetic")
    print(f"  {row['of_copy']:.3%} of the ceiling of memory, {row['intensity']:.1f} FLOP a byte")
    return row


loops = climb("seven loops", layer=SMALL)

# %% [markdown]
# Far, far below both. It waits neither for the processor's arithmetic nor for memory: Python reads
# each line anew for each pixel, finds out what `*` means for these two objects, makes an object of
# the result. The multiplication is the smallest part of it.
#
# So let each line of Python do more. Two of the seven loops, over the taps, are short; the other
# five are long. Turn the order around: **outside the taps, inside everything else.** For one tap,
# the pixels that it meets are one slice of the padded image (section 2!), and channels and filters
# make a matrix product:

# %%
print(inspect.getsource(ladder.taps))
taps = climb("taps")

# %% [markdown]
# Nine turns through the loop instead of millions. But look at what one turn does to memory. It
# copies the pixels of the tap into one piece (a matrix product wants that), makes the product in a
# new array, reads `y`, adds, writes `y` back. All of them are as large as the whole batch, so all
# of that goes through memory, nine times over. Counted in passes over whole arrays:

# %%
names = {"x": "the images", "padded": "the padded images", "cols": "the patches"}
names |= {"y": "the features"}
sizes = {name: (LAYER.moved(**{name: 2}) - LAYER.moved(**{name: 1})) / 1e6 for name in names}
for name, words in names.items():
    times = {"x": 1, "y": 1, **rungs["taps"].passes}.get(name, 0)
    print(f"{words:18} {sizes[name]:7.1f} MB, passed {times:2} times")
print(f"together {taps['bytes'] / 1e6:,.0f} MB, for {taps['flop'] / 1e6:,.0f} million FLOP")

# %% [markdown]
# ("The patches" are all pixels that all taps meet: nine times the image.) That is few operations a
# byte. Compare with the FLOP in the time of a byte above: here memory is the lower ceiling.
#
# ## 8. One large product: im2col
#
# BLAS is best at *one large* product. So first write all patches side by side, as the columns of a
# matrix, then multiply once. This is called *im2col* ("image to columns"), or *unfolding*
# (Chellapilla, Puri and Simard, *High performance convolutional neural networks for document
# processing*, 2006). A small example: an image of 4x4, a window of 3x3.

# %%
little, window = np.arange(16.0).reshape(4, 4), np.array([[0, 1, 0], [1, 2, 1], [0, 1, 0.0]])
columns = reference.unfold(little[None, None], ConvGeometry.of_conv((4, 4), 3)).reshape(9, 4)
by_product = window.reshape(1, 9) @ columns


def show_numbers(ax, numbers, title, colours=True):
    """A matrix with its numbers; each pixel of the image keeps its own colour."""
    cmap, shown = ("viridis", numbers) if colours else ("gray_r", 0 * numbers)
    ax.imshow(shown, cmap=cmap, vmin=-4 if colours else 0, vmax=19 if colours else 1, alpha=0.6)
    for (row, column), number in np.ndenumerate(numbers):
        ax.text(column, row, f"{number:g}", ha="center", va="center", fontsize=9)
    ax.set_xticks(np.arange(numbers.shape[1] + 1) - 0.5, [])
    ax.set_yticks(np.arange(numbers.shape[0] + 1) - 0.5, [])
    ax.grid(color="black", lw=0.6)
    ax.tick_params(length=0)
    ax.set_title(title, fontsize=11)


_, axes = plt.subplots(1, 4, figsize=(11, 4), layout="constrained", width_ratios=[4, 9, 4, 4])
show_numbers(axes[0], little, "image")
show_numbers(axes[1], window.reshape(1, 9), "weights, as a row", colours=False)
show_numbers(axes[2], columns, "patches, as columns")
show_numbers(axes[3], by_product, "features", colours=False)
for ax, sign in zip(axes[1:3], ["@", "="]):
    ax.annotate(sign, (1.02, 0.5), xycoords="axes fraction", fontsize=16, va="center")
viz.show(
    "A matrix of 4 by 4 numbers, the image; a row of 9 weights; times a matrix of 9 by 4 numbers, "
    "whose columns are the four patches of the image; equals a row of 4 features."
)

# %% [markdown]
# **What to see.** Each column is the patch of one feature, each row is what one tap meets: a
# shifted copy of the image. 16 pixels have become 36 numbers. The four pixels in the middle stand
# there four times each. In a large image nearly every pixel stands there nine times.
#
# That is the price: nine times the memory, written and read again.

# %%
print(inspect.getsource(ladder.whole_batch))
batch = climb("whole batch")
print(f"\nthe patches take {sizes['cols']:.0f} MB, the image {sizes['x']:.0f} MB")


# %%
def draw_roofline():
    roofs = {name: (c["gflops"], c["gbs"]) for name, c in CEILINGS.items()}
    points = {
        f"{row['rung']}, {row['place']}": (row["intensity"], row["gflops"], row["place"])
        for row in rows
    }
    return viz.roofline(None, roofs, points)


viz.show(
    "A roofline: GFLOP/s against operations a byte, both axes logarithmic. For each number of "
    "threads a slope turns into a flat roof. Below are dots for the seven loops, at the bottom, "
    "for the taps and for the whole batch, each with a dotted line up to its roof.",
    draw_roofline(),
)

# %% [markdown]
# **What to see.** To the right: more operations a byte. Upwards: faster. No dot can be above its
# roof, except by the caches' favour (the count of passes takes it that nothing is left in a cache
# from one pass to the next; while an array is small enough, that is too strict). The dotted lines
# are what a rung leaves on the table.
#
# The large product should bring us close to the flat roof. On most machines it does not, and on
# some it is no faster than the taps. Where does its time go? Take it apart:

# %%
geometry = LAYER.geometry
x, w = (rng.standard_normal(LAYER.shapes[name], np.float32) for name in "xw")
kept = np.zeros((LAYER.channels, 3, 3, LAYER.images, *geometry.small), np.float32)
padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))).swapaxes(0, 1)


def copy_patches(cols):
    for tap, window in geometry.taps():
        cols[:, *tap] = padded[:, :, *window]


flat = w.reshape(LAYER.filters, -1), kept.reshape(LAYER.channels * 9, -1)
result = flat[0] @ flat[1]
steps = {
    "patches into fresh memory": lambda: copy_patches(np.empty_like(kept)),
    "patches into memory used before": lambda: copy_patches(kept),
    "the product": lambda: np.matmul(*flat, out=result),
}


def in_turns(works):
    """The median time of each. They take turns, so that what else runs here meets all alike."""
    times = {name: [] for name in works}
    for _ in range(1 if FAST else 4):
        for name, work in works.items():
            times[name] += bench.measure(work, 0, ONE)
    return {name: median(samples) for name, samples in times.items()}


parts = in_turns(steps)
for name, time in parts.items():
    print(f"{name:32} {time * 1e3:7.1f} ms")

# %% [markdown]
# The product alone is what we wanted. The patches cost about as much again, and more in *fresh*
# memory than in memory that was used before: the system has to find each new page and fill it with
# zeros. An array of a hundred megabytes is given back after each call, and asked for anew.
#
# ## 9. Panels
#
# Two observations:
#
# 1. The product does not need all patches at once. A *panel* of them will do: the patches of a few
#    rows of one image.
# 2. If the panel is small enough to stay in the cache until the product has read it, and lies in
#    the same memory each time, then the patches never go through memory at all.
#
# What remains is to read the image once and to write the features once. Here it is in a dozen
# lines (for stride 1 and one group):


# %%
def panels(x, w, geometry, height):
    """Unfolds `height` rows of features at a time."""
    image = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
    rows, columns = geometry.small
    cols = np.empty((x.shape[1], *geometry.kernel, height, columns), x.dtype)
    patches, weights = cols.reshape(-1, height * columns), w.reshape(len(w), -1)
    y = np.empty((len(x), len(w), rows, columns), x.dtype)
    for n in range(len(x)):
        for top in range(0, rows, height):
            for a, b in np.ndindex(*geometry.kernel):
                cols[:, a, b] = image[n, :, top + a : top + a + height, b : b + columns]
            product = weights @ patches
            y[n, :, top : top + height] = product.reshape(len(w), height, columns)
    return y


panel_error = abs(panels(x, w, geometry, 7) - reference.conv(x, w, geometry)).max()
print(f"{panel_error:.0e} from the reference kernel")

# %% [markdown]
# How high should a panel be? Try all:

# %%
heights = [h for h in range(1, geometry.small[0] + 1) if geometry.small[0] % h == 0]
megabytes = [kept[..., 0, :h, :].nbytes / 1e6 for h in heights]
times = in_turns({h: lambda h=h: panels(x, w, geometry, h) for h in heights})
speeds = [LAYER.flop / time / 1e9 for time in times.values()]

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.semilogx(megabytes, speeds, "o-", color=BLUE, label="panels, 1 thread")
for height, size, speed in zip(heights, megabytes, speeds):
    words = {"xytext": (0, 7), "textcoords": "offset points", "ha": "center", "fontsize": 9}
    ax.annotate(height, (size, speed), **words)
ax.semilogx(kept.nbytes / 1e6, batch["gflops"], "s", color=ORANGE, label="whole batch")
ax.axhline(CEILINGS[ONE.name]["gflops"], color=GREY, ls="--", label="matrix product, 1 thread")
ax.set(xlabel="patches of a panel, MB", ylabel="GFLOP/s", ylim=(0, None))
ax.set_title("How many rows to a panel (the numbers)?")
ax.legend(loc="lower center")
viz.show(
    "GFLOP/s against the size of the patches of a panel in MB. A curve, its dots labelled with the "
    "number of rows in a panel; a square for the whole batch; and a dashed line for the matrix "
    "product, the ceiling."
)

# %% [markdown]
# **What to see.** A hill (if nobody else uses your machine). On the left the panels are so narrow
# that Python's own time and the product's beginnings and ends weigh in. On the right they outgrow
# the cache. The top is broad, so one constant serves all layers.
#
# ### Fewer multiplications after all
#
# The library's kernel (`kernels/cpu.py`) works in such panels. For windows of three rows at stride
# 1 it does one thing more, the only rung that does: it multiplies less. Two features of three taps
# on a row are six multiplications. Four will do (Winograd, *Arithmetic complexity of computations*,
# 1980; Lavin and Gray, *Fast algorithms for convolutional neural networks*, 2016):


# %%
def two_features(d, w):
    """Two neighbouring features, from four pixels d and three taps w, by four multiplications."""
    plus, minus = (w[0] + w[1] + w[2]) / 2, (w[0] - w[1] + w[2]) / 2  # once for the whole image
    first, last = (d[0] - d[2]) * w[0], (d[1] - d[3]) * w[2]
    second, third = (d[1] + d[2]) * plus, (d[2] - d[1]) * minus
    return np.array([first + second + third, second - third - last])


pixels, three_taps = rng.standard_normal(4), rng.standard_normal(3)
by_four, by_six = two_features(pixels, three_taps), np.correlate(pixels, three_taps)
print("four multiplications:", by_four, "  six:", by_six)

# %% [markdown]
# The library takes four rows of features together, with 6 products in place of 12 (`ShortWalk` in
# `kernels/patches.py`). The sums before and after take time too, so it does not become twice as
# fast. From here on our panels and the library's stand side by side. Operations are counted as the
# definition has them, for all alike: what is saved shows as speed.
#
# What does the number of images do? The whole batch unfolds them all at once, the panels never:

# %%
best = max(zip(speeds, heights))[1]
rungs["our panels"] = bench.Rung(
    "our panels", lambda x, w, geometry: panels(x, w, geometry, best), passes={"padded": 2}
)
rungs["library"] = replace(rungs["panels"], name="library")
counts = [1, 2] if FAST else [1, 2, 4, 8, 16, 32]
kinds = {"taps": (GREEN, "^"), "whole batch": (ORANGE, "s"), "our panels": (BLUE, "o")}
kinds["library"] = PURPLE, "D"
many = rng.standard_normal((max(counts), *x.shape[1:]), np.float32)
times = in_turns(
    {
        (name, n): lambda name=name, n=n: rungs[name].function(many[:n], w, geometry)
        for name in kinds
        for n in counts
    }
)
flop = {n: replace(LAYER, images=n).flop for n in counts}

_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for name, (colour, marker) in kinds.items():
    speeds = [flop[n] / times[name, n] / 1e9 for n in counts]
    ax.plot(counts, speeds, f"{marker}-", color=colour, label=f"{name}, 1 thread")
ax.set_xscale("log", base=2)
ax.set_xticks(counts, counts)
ax.set(xlabel="images in the batch", ylabel="GFLOP/s", ylim=(0, None))
ax.set_title("The same layer, more and more images")
ax.legend()
viz.show(
    "GFLOP/s against the number of images in the batch. The lines of the library and of our panels "
    "lie above those of the taps and the whole batch, which fall as there are more images."
)

# %% [markdown]
# **What to see.** With a single image the whole batch is nothing but one large panel, and nearest
# to the panels. With more, it gets slower as its patches outgrow the caches, and then what the
# system leaves to a program for its next call. Panels do not: with them only the images and
# features themselves grow. Between our panels and the library's lie mostly the multiplications
# that it saves.
#
# ## 10. Threads, and the whole ladder
#
# Panels have a second gift: they do not depend on each other. NumPy lets other threads run while it
# computes, so each core can take panel after panel, with scratch memory of its own, and BLAS is
# told to use one thread in each. (The other way round, one product after the other, each on all
# cores, leaves all but one core idle while patches are copied.)

# %% tags=["gallery"]
climb("our panels")
climb("library")
if ALL is not ONE:
    climb("library", ALL)
top = rows[-1]

viz.show(
    "A roofline: GFLOP/s against operations a byte, both axes logarithmic. For each number of "
    "threads a slope turns into a flat roof. Below are dots for the seven loops, at the bottom, "
    "for the taps and for the whole batch, and highest of all for our panels and the library's, "
    "each with a dotted line up to its roof.",
    draw_roofline(),
)

# %% [markdown]
# **What to see.** The panels stand far to the right, since none of their patches goes through
# memory: what limits them is the flat roof alone. (The library, which saves multiplications, could
# even rise above it.) How near does each rung come to what its ceilings demand, in milliseconds?

# %%
print(f"{'':24}{'measured':>10}{'arithmetic':>12}{'memory':>9}   at the ceilings of {ONE.name}")
_, ax = plt.subplots(figsize=(8, 3), layout="constrained")
one_thread = [row for row in rows if row["place"] == ONE.name and row["rung"] != "seven loops"]
for i, row in enumerate(one_thread):
    share = ShortWalk.share if row["rung"] == "library" else 1  # of the multiplications
    arithmetic = share * row["flop"] / CEILINGS[ONE.name]["gflops"] / 1e6
    memory = row["bytes"] / CEILINGS[ONE.name]["gbs"] / 1e6
    measured = row["median"] * 1e3
    print(f"{row['rung']:24}{measured:7.1f} ms{arithmetic:9.1f} ms{memory:6.1f} ms")
    first = i == 0
    ax.barh(i - 0.2, measured, 0.36, color=GREY, label="measured" if first else None)
    ax.barh(i + 0.2, arithmetic, 0.36, color=BLUE, label="arithmetic" if first else None)
    label = "memory" if first else None
    ax.barh(i + 0.2, memory, 0.36, left=arithmetic, color=ORANGE, label=label)
ax.set_yticks(range(len(one_thread)), [row["rung"] for row in one_thread])
ax.invert_yaxis()
ax.set(xlabel="milliseconds", title="Measured, and what the ceilings demand")
ax.legend()
viz.show(
    "Bars for each rung on one thread: the measured time, and below it the time that arithmetic "
    "and passes through memory would take at the ceilings."
)

# %% [markdown]
# **What to see.** Blue is the multiplications: the same for all, but half of them for the library.
# Orange is what the passes through memory cost at the speed of a copy. A program that does one
# after the other needs the sum of both; a cache may spare it some of the orange. What grey has
# beyond that is neither arithmetic nor passes: fresh pages, Python, copies from cache to cache,
# products of a shape that BLAS does not love.
#
# From the bottom to the top of the ladder, in operations a second (the small layer does fewer, so
# times do not compare):

# %%
print(f"{'rung':24}{'GFLOP/s':>10}{'times the one before':>22}{'times the first':>17}")
for before, row in zip([rows[0], *rows], rows):
    gain, in_all = (row["gflops"] / other["gflops"] for other in (before, rows[0]))
    name = f"{row['rung']}, {row['place']}"
    print(f"{name:24}{row['gflops']:10.3g}{gain:22,.1f}{in_all:17,.0f}")

# %% [markdown]
# One idea each time: *let each line of Python do more* (taps); *one large product* (whole batch);
# *use what you have fetched while it is near* (our panels); *multiply less* (library); *all hands*
# (threads). The second one alone is only half an idea, and the textbooks often stop there. Up to
# our panels the multiplications are the same, down to the last one.
#
# `tinydeconv bench --plot DIR` at the command line measures this ladder, the two other kernels
# (transposed convolution and weight gradient) and the GPU if there is one.
#
# ## 11. Exercises
#
# Each answer is checked on new random numbers whenever you run its cell.
#
# ### Exercise 1: any number of axes
#
# Sound has one axis, a photograph two, a scan of the body three. Write `convolve_nd(x, w, s, p, d)`
# for all of them.
#
# - In: `x` (N, C, \*sizes) and `w` (K, C, \*window), with as many sizes as there are axes; the
#   stride `s`, the padding `p` and the dilation `d` are whole numbers, the same for each axis.
# - Out: the features (N, K, \*counts).
#
# An example: the row `[1, 2, 3, 4]` with the window `[1, 10]` and `s=2, p=1, d=1` gives
# `[10, 32, 4]`. How many `for` do you need? (`np.ndindex(2, 3)` counts through both at once.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """One to three axes, against the library's kernel."""
    axes = rng.integers(1, 4)
    (images, channels, filters), (s, p, d) = rng.integers(1, 3, 3), rng.integers([2, 1, 2], 4)
    x = rng.standard_normal((images, channels, *rng.integers(5, 8, axes)))
    w = rng.standard_normal((filters, channels, *rng.integers(2, 4, axes)))
    geometry = ConvGeometry.of_conv(x.shape[2:], w.shape[2:], int(s), int(p), int(d))
    what = f"x of shape {x.shape}, w of shape {w.shape}, s={s}, p={p}, d={d}"
    expect(answer(x, w, int(s), int(p), int(d)), reference.conv(x, w, geometry), what)


# %% tags=["exercise"]
def convolve_nd(x, w, s, p, d):
    """x (N, C, *sizes), w (K, C, *window) -> (N, K, *counts), for any number of axes."""
    return ...  # yours


check_1(convolve_nd)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def convolve_nd(x, w, s, p, d):
#     axes = x.ndim - 2
#     x = np.pad(x, [(0, 0), (0, 0)] + [(p, p)] * axes)
#     counts = [(n - d * (k - 1) - 1) // s + 1 for n, k in zip(x.shape[2:], w.shape[2:])]
#     y = np.zeros((len(x), len(w), *counts))
#     for n, f, *place in np.ndindex(y.shape):
#         for c, *tap in np.ndindex(w.shape[1:]):
#             pixel = x[n, c, *(i * s + a * d for i, a in zip(place, tap))]
#             y[n, f, *place] += pixel * w[f, c, *tap]
#     return y
# ```
#
# Two loops: one over the outputs, one over what each adds up. (The library's tests compare its
# kernels with such a version, `tests/naive.py`.) Usual mistakes: the dilation in the sizes and not
# in the index, or the other way round; channels and batch padded too; the window flipped, which is
# the mathematician's convolution of section 4.
#
# </details>
#
# ### Exercise 2: which pixels does a feature see?
#
# Section 5 says how far a feature sees, and not where. Write `seen(i, layers)`, for a row of
# pixels.
#
# - In: `i`, the number of a feature of the last layer, and `layers`, a list of (kernel, stride,
#   padding, dilation), the first layer first.
# - Out: the first and the last pixel that it sees, two whole numbers. Padding counts as pixels:
#   $-1$, $-2$, ... on the left of pixel 0.
#
# An example: one layer of 3 taps, stride 2 and padding 1 is `[(3, 2, 1, 1)]`. Its feature 0 sees
# from $-1$ to 1, its feature 5 from 9 to 11. A second such layer on top sees, from its feature 0,
# the pixels $-3$ to 3.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """Follows each line of section 2, from a feature down to the pixels."""
    layers = [tuple(int(n) for n in rng.integers([2, 2, 1, 2], 4)) for _ in range(3)]
    i = int(rng.choice([0, 1, rng.integers(2, 9)]))  # the first ones see the padding
    found = {i}
    for k, s, p, d in layers[::-1]:
        found = {feature * s + tap * d - p for feature in found for tap in range(k)}
    expect(answer(i, layers), [min(found), max(found)], f"seen({i}, {layers})")


# %% tags=["exercise"]
def seen(i, layers):
    """The first and the last pixel that feature i sees; layers: (kernel, stride, padding, dilation)
    of each, the first one first.
    """
    return ...  # yours


check_2(seen)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def seen(i, layers):
#     first = last = i
#     for k, s, p, d in reversed(layers):
#         first = first * s - p
#         last = last * s - p + (k - 1) * d
#     return first, last
# ```
#
# The line $i s + a d - p$ of section 2, for the first tap and for the last. It leads downwards, so
# the last layer comes first. Subtract the two, and $i$ and all paddings drop out: what remains is
# the formula of section 5, read from the other end. Usual mistakes: the layers in the order in
# which they are given; the padding forgotten; the padding of an upper layer counted in pixels,
# though it is one of features.
#
# </details>
#
# ### Exercise 3: panels of any height
#
# `panels` in section 9 only works if the height divides the number of rows, and at stride 1. A
# library has to take what comes. Write `panels_of_any_height(x, w, geometry, height)`.
#
# - In: `x` (N, C, H, W), `w` (K, C, A, B), a `ConvGeometry` of one group and dilation 1, with any
#   padding and any stride (`geometry.stride` is one for each axis), and the height of a panel in
#   rows of features. The last panel may be lower.
# - Out: the features (N, K, \*geometry.small).
#
# An example: with 7 rows and a height of 3 there are panels of 3, 3 and 1 rows.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """Heights that leave a lower panel, strides of 2 and 3, against the library's kernel."""
    padding, stride = (
        [(int(p), int(p)) for p in rng.integers(0, 3, 2)],
        tuple(rng.integers(2, 4, 2)),
    )
    big, kernel = tuple(rng.integers(17, 24, 2)), tuple(rng.integers(2, 4, 2))
    geometry = ConvGeometry.of_conv(big, kernel, stride, padding)
    rows = geometry.small[0]
    height = int(rng.choice([h for h in range(2, rows) if rows % h]))
    x, w = rng.standard_normal((2, 3, *big)), rng.standard_normal((4, 3, *kernel))
    what = f"{rows} rows in panels of {height}, stride {geometry.stride}"
    expect(answer(x, w, geometry, height), reference.conv(x, w, geometry), what)


# %% tags=["exercise"]
def panels_of_any_height(x, w, geometry, height):
    """x (N, C, H, W), w (K, C, A, B) -> (N, K, *geometry.small), `height` rows at a time."""
    return ...  # yours


check_3(panels_of_any_height)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def panels_of_any_height(x, w, geometry, height):
#     image = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
#     (rows, columns), (s, t) = geometry.small, geometry.stride
#     weights = w.reshape(len(w), -1)
#     y = np.empty((len(x), len(w), rows, columns), x.dtype)
#     for n in range(len(x)):
#         for top in range(0, rows, height):
#             h = min(height, rows - top)
#             cols = np.empty((x.shape[1], *geometry.kernel, h, columns), x.dtype)
#             for a, b in np.ndindex(geometry.kernel):
#                 first = top * s + a
#                 cols[:, a, b] = image[n, :, first : first + h * s : s, b : b + columns * t : t]
#             product = weights @ cols.reshape(-1, h * columns)
#             y[n, :, top : top + h] = product.reshape(len(w), h, columns)
#     return y
# ```
#
# Usual mistakes: the stride in the step of the slice and not in its beginning, `top + a`; the rows
# that are left over forgotten. (With `np.empty` they are whatever was in memory, at times the right
# numbers of the call before. Start with `np.nan` while you look for such a mistake.) And a snare:
# to keep one array for all panels, as section 9 does, and use `cols[..., :h, :]` for the last one.
# That part is not one piece of memory, so `reshape` quietly makes a copy.
#
# </details>
#
# ### Further questions
#
# 1. Draw the meetings for stride 3 and a window of 2. Which pixels are never seen? What would a
#    transposed convolution write there?
# 2. How many layers of dilation 1, 2, 4, 8, ... with 2 taps does it take to hear one second of
#    music at 16,000 samples a second? (van den Oord et al., *WaveNet: a generative model for raw
#    audio*, 2016.)
# 3. A 1x1 convolution with 64 channels and filters, and a depthwise 3x3: read each array once,
#    write each once. Which of them can reach the flat roof of your machine? Then time both, with
#    `bench.Layer` and `cpu.conv`.
# 4. Give `panels` threads: let each image be a job for `tinydeconv.kernels.threads.run`. Mind the
#    patches: who may write into them?
#
# <details><summary>Answers</summary>
#
# 1. Every third pixel. The transposed convolution leaves zeros there: no feature paints them.
# 2. 14: the field is $1 + (1 + 2 + \dots + 2^{13}) = 2^{14} = 16384$.
# 3. 1x1: $2 \cdot 64$ operations for a pixel and filter, 8 bytes for a pixel in and a feature out
#    (4 bytes a number): 16 FLOP a byte. Depthwise: $2 \cdot 9$ operations for 8 bytes: 2.25.
#    Compare with the FLOP in the time of a byte in section 6: the ceiling of the depthwise one is
#    memory. It has a 64th of the dense one's multiplications, and takes far more than a 64th of its
#    time.
# 4. Each job needs patches of its own, for instance made inside the job. With one array for all,
#    two threads would overwrite each other's patches, and the result would differ from run to run.
#
# </details>
#
# Next: **04 · Transposed convolution.** The network turns around. Section 2's lines, read from top
# to bottom, are the operation that gave the library its name.
#
# ## Check

# %%
near = {"rtol": 1e-9, "atol": 1e-9}
assert np.allclose(edges[0, 0], F.conv2d(td.tensor(image[None, None]), td.tensor(filters))[0, 0])
assert agree == 780
assert max(group_errors) < 1e-12 and 7 < saving < 9
assert np.array_equal(convolved[4:9, 4:8], letter) and letter.sum() == convolved.sum()
assert np.array_equal(correlated[4:9, 4:8], flip(letter)) and swapped > 0.1
assert np.allclose(learned, flip(kernel), **near) and flip_error < 1e-12
assert all(formula == measured for formula, measured, _ in fields.values())
assert [formula for formula, _, _ in fields.values()] == [9, 31, 31, 212]

x, w = (rng.standard_normal(SMALL.shapes[name]) for name in "xw")
expected = convolve(x, w, p=1)
for f in (ladder.seven_loops, ladder.taps, ladder.whole_batch, reference.conv, cpu.conv):
    assert np.allclose(f(x, w, SMALL.geometry), expected, **near), f
assert np.allclose(panels(x, w, SMALL.geometry, 4), expected, **near) and panel_error < 1e-3
assert min(min(ceiling["gflops"], ceiling["gbs"]) for ceiling in CEILINGS.values()) > 0
assert top["gflops"] > 100 * loops["gflops"]  # some ten thousand times, on a machine at peace
assert np.allclose(by_four, by_six, **near)
assert np.array_equal(by_product, convolve(little[None, None], window[None, None]).reshape(1, 4))
assert by_hand == LAYER.flop and taps["intensity"] < batch["intensity"] < top["intensity"]
print("All checks passed.")
