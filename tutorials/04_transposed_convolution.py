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
# # 04 · Transposed convolution
#
# **The question.** A convolution with a stride makes a large image small. Networks that paint, such
# as denoisers, autoencoders and generators, need a layer that makes a small image large. Which one
# belongs to the convolution as its way back? How large is what comes back? And why do so many
# painted pictures have a checkerboard on them?
#
# The layer has had many names: deconvolution (which it is not, see notebook 05), up-convolution,
# fractionally strided convolution, backward convolution. One name explains it. Write a convolution
# down as a matrix, and turn the matrix on its side.
#
# **You need:** notebook 03 (strides and padding); what a matrix times a vector is. Gradients (01)
# for section 6.
#
# **Time:** 90 minutes of reading and trying, and one minute of computing.
#
# **Afterwards you can** say which numbers a transposed convolution adds up, choose its padding and
# output_padding without guessing, tell it from an inverse, and build an upsampling layer that
# leaves no checkerboard.

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
import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import nn, optim, viz
from tinydeconv.data import Crops, photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import reference
from tinydeconv.metrics import psnr
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

rng = np.random.default_rng(0)
np.set_printoptions(precision=3, suppress=True, linewidth=100)

# %% [markdown]
# ## 1. A convolution is a matrix
#
# Take a row of pixels and a window of three weights. In notebook 03 we laid the window over the
# pixels, multiplied, added up, and moved on by the stride:


# %%
def conv(x, w, s=1, p=0):
    """x (n,), w (k,) -> features (m,): stride s, padding p."""
    x = np.pad(x, p)
    return np.array([x[i : i + len(w)] @ w for i in range(0, len(x) - len(w) + 1, s)])


print(conv(np.array([1.0, 2, 3, 4, 5, 6, 7]), np.array([1.0, 10, 100]), s=2))

# %% [markdown]
# Each feature is a sum of pixels, each times a number. Nothing is squared, no pixel is multiplied
# by another. Such a function is *linear*, and every linear function from 7 numbers to 3 is a matrix
# with 3 rows and 7 columns. Which one? Column $j$ is what becomes of a picture that is black but
# for pixel $j$. So ask the function:


# %%
def matrix_of(f, n):
    """The matrix of a linear function of n numbers: its columns are what f makes of a single 1."""
    return np.stack([f(one) for one in np.eye(n)], axis=1)


w = np.array([1.0, 10, 100])
A = matrix_of(lambda x: conv(x, w, s=2), 7)
print(A)

# %% [markdown]
# Every row is the window, in the place where it was laid. All of convolution is in this picture:


# %% tags=["gallery"]
TAPS = [BLUE, ORANGE, GREEN]


def draw_matrix(ax, title, turn=False, **options):
    """Which weight stands where in the matrix of a convolution of 7 pixels with 3 weights."""
    for a, unit in enumerate(np.eye(3)):
        where = matrix_of(lambda x, w=unit: conv(x, w, **options), 7)
        where = where.T if turn else where
        for i, j in np.argwhere(where):
            ax.add_patch(plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fc=TAPS[a], ec="white"))
            ax.text(j, i, f"$w_{a}$", ha="center", va="center", fontsize=10, color="white")
    rows, columns = where.shape
    frame = plt.Rectangle((-0.5, -0.5), columns, rows, fill=False, ec=GREY)
    ax.add_patch(frame)
    ax.set(xlim=(-0.7, columns - 0.3), ylim=(rows - 0.3, -0.7), aspect="equal")
    ax.set_title(f"{title}\n{rows} x {columns}", fontsize=10)
    ax.axis("off")


_, axes = plt.subplots(1, 5, figsize=(11, 3.4), layout="constrained", width_ratios=[7, 7, 7, 3, 4])
draw_matrix(axes[0], "stride 1")
draw_matrix(axes[1], "stride 2", s=2)
draw_matrix(axes[2], "stride 2, padding 1", s=2, p=1)
draw_matrix(axes[3], "stride 2,\ntransposed", turn=True, s=2)
draw_matrix(axes[4], "stride 2, padding 1,\ntransposed", turn=True, s=2, p=1)
viz.show(
    "Five matrices with coloured cells for the weights w0, w1 and w2. Three wide ones, of "
    "convolutions, hold the three weights side by side in every row, shifted by the stride; two "
    "tall ones are the second and third turned on their side."
)

# %% [markdown]
# **What to see.** A *row* of a wide matrix is one feature: the window, moved by the stride from row
# to row. Padding lets the window hang over the ends: the first and last row are cut. White cells
# are zeros. (A convolution is a dense layer with most weights zero and the rest shared.)
#
# Now read the tall matrices, the same ones turned on their side. They take 3 (or 4) features and
# give 7 pixels. A *column* belongs to one feature: **each feature paints the window into the image,
# times the feature's value.** Where two columns have something in the same row, the paint adds up.
#
# That is the transposed convolution. It is the *transpose* of a matrix, $A^\top$, and nothing else.

# %%
y = np.array([1.0, 2, 3])
by_matrix = A.T @ y
by_library = F.conv_transpose1d(td.tensor(y[None]), td.tensor(w[None, None]), stride=2)[0]
print("A.T @ y          ", by_matrix)
print("conv_transpose1d ", by_library.numpy())

# %% [markdown]
# Read it from left to right: 1 paints 1, 10, 100. Two pixels further on, 2 paints 2, 20, 200; where
# they meet there stands 100 + 2.
#
# ## 2. What a transpose promises, and what it does not
#
# For any matrix, any $x$ and any $y$,
#
# $$\langle A x,\, y\rangle \;=\; \sum_i \sum_j y_i\, A_{ij}\, x_j \;=\; \langle x,\, A^\top
#   y\rangle ,$$
#
# because both are the same double sum, added up by rows or by columns. In words: *go there and
# compare with $y$, or bring $y$ here and compare with $x$: the same number*. This is the promise,
# and it can be tested without knowing the matrix (notebook 02, section 9).

# %%
x, y = rng.standard_normal(7), rng.standard_normal(3)
promise = (A @ x) @ y, x @ (A.T @ y)
print(f"<A x, y> = {promise[0]:.12f}\n<x, A'y> = {promise[1]:.12f}")

# %% [markdown]
# What it does **not** promise is to bring back $x$. It cannot: 7 pixels have become 3 features, and
# whole families of images become the same 3. Here are two images of 24 pixels with the same 12
# features, and what three ways back make of these: the transpose; the transpose, divided by the
# paint that each pixel gets; and of all images that have these features the one with the smallest
# sum of squares (the *pseudo-inverse*, a true attempt to undo).

# %%
w = np.array([1.0, 2, 1]) / 4
n = 24
A = matrix_of(lambda x: conv(x, w, s=2, p=1), n)  # 12 features of 24 pixels
image = np.where(np.arange(n) < 9, 0.2, 1.0) - 0.6 * (np.arange(n) > 17)
unseen = np.linalg.svd(A)[2][len(A) :]  # 12 directions that A maps to zero
hidden = rng.standard_normal(len(unseen)) @ unseen  # and so any mixture of them
other = image + 0.4 * hidden / abs(hidden).max()
features = A @ image
ways_back = {
    "transpose": A.T @ features,
    "transpose, evened out": (A.T @ features) / A.sum(0),
    "pseudo-inverse": np.linalg.pinv(A) @ features,
}
same_features = abs(A @ other - features).max()
print(f"two images, {abs(other - image).max():.1f} apart; features {same_features:.0e} apart")

_, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained", sharey=True)
axes[0].step(np.arange(n), image, color="black", where="mid", label="an image")
axes[0].step(np.arange(n), other, "--", color=PURPLE, where="mid", label="another one")
axes[0].plot(np.arange(0, n, 2), features, "o", color=BLUE, label="the features of both")
styles = [(ORANGE, "-"), (GREEN, "--"), (SKY, "-.")]
axes[1].step(np.arange(n), image, color="black", where="mid", label="the image")
for (name, pixels), (colour, style) in zip(ways_back.items(), styles):
    axes[1].plot(np.arange(n), pixels, style, color=colour, label=name)
for ax in axes:
    ax.set(xlabel="pixel")
    ax.legend(fontsize=9, loc="upper left")
axes[0].set(ylabel="brightness", ylim=(-0.3, 2.1), title="Two images, the same features")
axes[1].set_title("Three ways back")
viz.show(
    "Left: a row of pixels with two steps, and a second one that zigzags around it; both have the "
    "same features, drawn as dots. Right: the row of pixels, and what the transpose and two other "
    "ways back make of the features: none returns the steps as sharp as they were."
)

# %% [markdown]
# **What to see.** Left: the features cannot tell the two images apart. Right: the transpose brings
# back the number of pixels and the rough shape, at half the brightness, and the steps are wider
# than before: whatever the window has blurred stays blurred. Dividing by the paint mends the height
# alone. The last one is no transposed convolution any more, and does not find the image either: the
# features do not know it. How far one can get with better knowledge about images is the subject of
# notebook 05.
#
# If it does not undo, what is it for? It is what the *gradient* needs. If the loss changes by
# $y_i$ when feature $i$ moves, and feature $i$ moves by $A_{ij}$ when pixel $j$ moves, then it
# changes by $\sum_i A_{ij}\, y_i$ when pixel $j$ moves: $A^\top y$. So this layer ran in every
# convolutional network that was ever trained by backpropagation, on the way back, before anybody
# put it in front.

# %% [markdown]
# ## 3. Two recipes, one result
#
# There are two ways to say it without a matrix, and they look very different.
#
# **Scatter.** Each feature paints its window:


# %%
def scatter(y, w, s=1):
    """y (m,), w (k,) -> pixels ((m - 1) s + k,): each feature paints the window, s apart."""
    pixels = np.zeros((len(y) - 1) * s + len(w))
    for i, feature in enumerate(y):
        pixels[i * s : i * s + len(w)] += feature * w
    return pixels


# %% [markdown]
# **Zero insertion.** Put $s - 1$ zeros between the features, zeros around, and do an ordinary
# convolution with stride 1, with the window *flipped*. (That is the picture that most articles
# show, as in Dumoulin and Visin, *A guide to convolution arithmetic for deep learning*, 2016. It
# explains the name "fractionally strided": while the window moves by one, it moves by $1/s$ of a
# feature.)


# %%
def zero_insertion(y, w, s=1):
    """The same, as a convolution."""
    spread = np.zeros((len(y) - 1) * s + 1)
    spread[::s] = y
    return conv(spread, w[::-1], p=len(w) - 1)


# %%
y, w = rng.standard_normal(4), rng.standard_normal(4)
recipes = scatter(y, w, 3), zero_insertion(y, w, 3)
print(f"scatter        {recipes[0]}\nzero insertion {recipes[1]}")

# %% [markdown]
# Why the flip? Scatter says: feature $i$ reaches pixel $j = i s + a$ with weight $w_a$. Seen from
# pixel $j$, the feature to its *left* comes with the *later* weight: the indices run against each
# other.


# %%
def draw_scatter(ax, m, s):
    for i in range(m):
        for a in range(3):
            label = f"$w_{a}$" if i == 0 else None
            ax.plot([i * s + 1, i * s + a], [1, 0], color=TAPS[a], lw=2.2, zorder=1, label=label)
    n = (m - 1) * s + 3
    style = {"s": 190, "color": "white", "zorder": 2}
    ax.scatter(np.arange(m) * s + 1, np.ones(m), marker="o", ec="black", **style)
    ax.scatter(np.arange(n), np.zeros(n), marker="s", ec="black", **style)
    ax.set_title("scatter: each feature paints 3 pixels", fontsize=11)
    ax.legend(loc="upper left", ncols=3, fontsize=10, frameon=False)


def draw_zero_insertion(ax, m, s):
    spread = np.arange(-2, (m - 1) * s + 3)
    real = (spread % s == 0) & (spread >= 0) & (spread <= (m - 1) * s)
    n = (m - 1) * s + 3
    for pixel in range(n):
        for a in range(3):
            source = pixel - a  # the flip: the last weight meets the first of the three
            alive = real[source + 2]
            width, style = (2.2, "-") if alive else (0.8, ":")
            ax.plot([source + 1, pixel], [1, 0], style, color=TAPS[a], lw=width, zorder=1)
    shown = {"s": 190, "zorder": 2, "marker": "o"}
    ax.scatter(spread[real] + 1, np.ones(real.sum()), color="white", ec="black", **shown)
    ax.scatter(spread[~real] + 1, np.ones((~real).sum()), color="white", ec=GREY, ls=":", **shown)
    for at in spread[~real]:
        ax.text(at + 1, 1, "0", ha="center", va="center", color=GREY, fontsize=9)
    ax.scatter(np.arange(n), np.zeros(n), s=190, marker="s", color="white", ec="black", zorder=2)
    ax.set_title("zero insertion: each pixel collects from 3 places", fontsize=11)


_, axes = plt.subplots(1, 2, figsize=(11, 2.9), layout="constrained")
draw_scatter(axes[0], 4, 2)
draw_zero_insertion(axes[1], 4, 2)
for ax in axes:
    ax.set(xlim=(-1.6, 9.8), ylim=(-0.3, 1.6))
    ax.axis("off")
viz.show(
    "Two drawings of the same transposed convolution with stride 2. Left: four features, each "
    "joined with three of nine pixels. Right: the features with zeros between and around them, "
    "each pixel joined with three of them; the lines to zeros are dotted, and the solid ones are "
    "those of the left drawing."
)

# %% [markdown]
# **What to see.** Circles are features, squares pixels. The solid lines are the same in both
# drawings. Read those into one pixel on the right from left to right: $w_2$, $w_1$, $w_0$. That is
# the flip. The dotted ones are multiplications by zero: with stride 2 in two dimensions they are
# three quarters of all, as the count below shows. So it is a good description (PyTorch's
# documentation has it too), and a wasteful way to compute.

# %%
spread = np.zeros((2 * 64 - 1, 2 * 64 - 1))
spread[::2, ::2] = 1  # where there is a feature
zeros = 1 - spread.mean()
print(f"{zeros:.1%} of the numbers that the window meets are inserted zeros")

# %% [markdown]
# There is a third recipe, and it is the fastest where there are few channels. Pixel $j$ only ever
# meets the weights $a$ with $a \equiv j \pmod s$: with stride 2, even pixels meet $w_0, w_2$ and
# odd ones $w_1$. So sort the pixels by their **phase** $j \bmod s$. Each phase is an ordinary
# convolution of the features with every $s$-th weight:


# %%
def by_phases(y, w, s=1):
    """The same; y[i] * w[a] is summed over i + a by np.convolve, which flips as it should."""
    pixels = np.zeros((len(y) - 1) * s + len(w))
    for phase in range(s):
        pixels[phase::s] = np.convolve(y, w[phase::s])
    return pixels


recipes = *recipes, by_phases(y, w, 3)
print("phases        ", recipes[2])

# %% [markdown]
# (The library uses scatter or phases, whichever the number of channels makes cheaper:
# `tinydeconv/kernels/cpu.py`.) Keep the phases in mind. They are where the checkerboard comes from.

# %% [markdown]
# ## 4. Padding crops, and output_padding chooses
#
# What does `padding=1` mean for a layer that enlarges? Look at the wide matrix with padding in
# section 1: it is the matrix of 9 pixels without padding (not drawn), with its first and its last
# *column* missing, since those pixels are zeros. Turn it on its side and the first and last *row*
# are missing: **in the transposed convolution padding crops.** It is the padding of the convolution
# it belongs to.

# %%
y, w = rng.standard_normal((1, 4)), rng.standard_normal((1, 1, 3))
whole = F.conv_transpose1d(td.tensor(y), td.tensor(w), stride=2).numpy()[0]
cropped = F.conv_transpose1d(td.tensor(y), td.tensor(w), stride=2, padding=1).numpy()[0]
print("padding 0:", whole)
print("padding 1:", " " * 6, cropped)

# %% [markdown]
# So $m$ features with a window that spans $d (k - 1) + 1$ pixels become
#
# $$n = (m - 1)\, s + d\,(k - 1) + 1 - 2p$$
#
# pixels. But there is a catch. A convolution with stride 2 makes 4 features of 7 pixels, and also
# of 8: where the last step does not fit, it drops what is left over. **The stride forgets the
# size.** Which one shall the way back restore?

# %%
forgotten = {}  # {features: the image sizes that have as many}
for n in range(5, 13):
    m = F.conv1d(td.zeros(1, n), td.zeros(1, 1, 3), stride=2, padding=1).shape[1]
    forgotten.setdefault(m, []).append(n)
print("kernel 3, stride 2, padding 1")
for m, sizes in forgotten.items():
    back = [
        F.conv_transpose1d(
            td.zeros(1, m), td.zeros(1, 1, 3), stride=2, padding=1, output_padding=extra
        ).shape[1]
        for extra in (0, 1)
    ]
    print(f"{m} features come from {sizes} pixels; output_padding 0, 1 gives {back}")

# %% [markdown]
# `output_padding` chooses among those sizes, $0 \dots s - 1$ more than the smallest. Its name says
# that it pads, and many articles say that it appends zeros. It does not. It moves the place where
# the picture is cut: the pixel that is won is one that `padding` would have cropped, with the paint
# that it got.

# %%
longer = F.conv_transpose1d(
    td.tensor(y), td.tensor(w), stride=2, padding=1, output_padding=1
).numpy()[0]
print("padding 0:                  ", whole)
print("padding 1, output_padding 1:", " " * 6, longer)

# %% [markdown]
# The last pixel is the last of the uncropped picture: cropped are $p$ pixels in front, and at the
# end $p$ less `output_padding`. (If that is below zero, nobody paints there, and the pixel is zero,
# plus the bias: so it is with `padding=0` always.)
#
# Where do the articles' zeros come from? In the picture of zero insertion they exist: one more zero
# behind the *features*, before the convolution. In the *answer* stands what the convolution makes
# of it:


# %%
def zero_insertion_with(y, w, s, p, extra):
    """zero_insertion with padding p and output_padding `extra`."""
    spread = np.zeros((len(y) - 1) * s + 1 + extra)
    spread[: (len(y) - 1) * s + 1 : s] = y
    return conv(spread, w[::-1], p=len(w) - 1 - p)


with_zeros = zero_insertion_with(y[0], w[0, 0], 2, 1, 1)
print(with_zeros)

# %% [markdown]
# Which sizes belong together is all in the library's `ConvGeometry`, which keeps both sides, the
# image (`big`) and the features (`small`), since neither follows from the other. And a network that
# remembers the size, as the denoiser does, need not compute: `output_size=(7,)`.

# %%
geometry = ConvGeometry.of_transposed((4,), 3, stride=2, padding=1, output_size=(7,))
print(geometry.small, "->", geometry.big)
try:
    ConvGeometry.of_transposed((4,), 3, stride=2, padding=1, output_size=(9,))
except ValueError as error:
    print("ValueError:", error)

# %% [markdown]
# ## 5. From scratch, with channels
#
# For two axes and channels it is the same loop, over the taps: for each tap, the features are
# multiplied by its weights, which takes $F$ channels to $C$, and added to the pixels that the tap
# meets. Those are one slice with a step.
#
# The weights are the *same array* as the convolution's, $(F, C, k, k)$, read from the other side:
# the convolution takes $C$ channels to $F$, its transpose $F$ channels to $C$. (PyTorch's
# `ConvTranspose2d` calls this `(in_channels, out_channels, ...)`; "in" is $F$ here.)


# %%
def conv_transpose(y, w, s=1, p=0, extra=0):
    """y (N, F, h, w), w (F, C, k, k) -> images (N, C, H, W)."""
    (N, _, *small), (_, C, k, _) = y.shape, w.shape
    sizes = [(m - 1) * s + k for m in small]
    canvas = np.zeros(
        (N, C, *(n + extra for n in sizes))
    )  # on the extra pixels perhaps nobody paints
    for a, b in np.ndindex(k, k):
        paint = np.einsum("nfij,fc->ncij", y, w[:, :, a, b])
        rows, columns = (slice(tap, tap + (m - 1) * s + 1, s) for tap, m in zip((a, b), small))
        canvas[:, :, rows, columns] += paint
    height, width = (n - 2 * p + extra for n in sizes)
    return canvas[:, :, p : p + height, p : p + width]


worst = 0
for s, p, k, extra in [(1, 0, 3, 0), (2, 1, 3, 1), (2, 1, 4, 0), (3, 2, 5, 2), (3, 0, 2, 1)]:
    y, w = rng.standard_normal((2, 4, 5, 6)), rng.standard_normal((4, 3, k, k))
    ours = conv_transpose(y, w, s, p, extra)
    theirs = F.conv_transpose2d(
        td.tensor(y), td.tensor(w), stride=s, padding=p, output_padding=extra
    ).numpy()
    assert ours.shape == theirs.shape
    worst = max(worst, abs(ours - theirs).max())
print(f"from scratch and the library: {worst:.0e} apart")

# %% [markdown]
# ## 6. The triple
#
# Now the idea that carries the whole library. Take an image $x$, weights $w$ and features $y$, and
# make one number of the three:
#
# $$L(x, w, y) = \langle y,\; \text{conv}(x, w)\rangle .$$
#
# It is linear in each of the three. So its gradient with respect to $y$ contains no $y$: it is
# $\text{conv}(x, w)$. Its gradient with respect to $x$ contains no $x$: it is the image $g$ with
# $L = \langle x, g\rangle$ for every $x$; by section 2, $\text{conv transpose}(y, w)$. And with
# respect to $w$: a third kernel, the one that computes the weights' gradients,
# $\text{conv weight}(x, y)$.
#
# $$L = \langle y, \text{conv}(x, w)\rangle = \langle x, \text{conv transpose}(y, w)\rangle =
#   \langle w, \text{conv weight}(x, y)\rangle$$

# %%
geometry = ConvGeometry.of_conv((6, 7), (3, 4), stride=2, padding=1)
x = rng.standard_normal((2, 3, *geometry.big))
w = rng.standard_normal((4, 3, *geometry.kernel))
y = rng.standard_normal((2, 4, *geometry.small))
triple = [
    (y * reference.conv(x, w, geometry)).sum(),
    (x * reference.conv_transpose(y, w, geometry)).sum(),
    (w * reference.conv_weight(x, y, geometry)).sum(),
]
print(*(f"{number:.12f}" for number in triple))

# %% [markdown]
# Three kernels, one number. Now ask the autograd for the three gradients of the first formula:

# %%
tx, tw, ty = (td.tensor(array, requires_grad=True) for array in (x, w, y))
L = (ty * F.conv2d(tx, tw, stride=2, padding=1)).sum()
gradients = td.grad(L, (ty, tx, tw), create_graph=True)
kernels = [
    reference.conv(x, w, geometry),
    reference.conv_transpose(y, w, geometry),
    reference.conv_weight(x, y, geometry),
]
for name, gradient, kernel in zip(["conv", "conv_transpose", "conv_weight"], gradients, kernels):
    print(f"{name:15} {abs(gradient.detach().numpy() - kernel).max():.0e} apart")

# %% [markdown]
# And the derivative of a derivative? Each of these is linear in *its* two arguments, and its
# partial derivatives are the other two kernels again. The family is closed:
#
# | op | gradient for its 1st input | gradient for its 2nd input |
# |---|---|---|
# | `Conv(x, w)` | `ConvTranspose(g, w)` | `ConvWeight(x, g)` |
# | `ConvTranspose(y, w)` | `Conv(g, w)` | `ConvWeight(g, y)` |
# | `ConvWeight(x, y)` | `ConvTranspose(y, g)` | `Conv(x, g)` |
#
# Forty lines in `tinydeconv/ops/conv.py` are all derivatives of all orders, for any number of axes,
# strides, paddings, dilations and groups. Let `gradgradcheck` be the judge:

# %%
few = [
    td.tensor(rng.standard_normal(shape), requires_grad=True)
    for shape in [(1, 2, 3, 3), (2, 1, 3, 3)]
]
second_order = td.gradgradcheck(
    lambda y, w: F.conv_transpose2d(y, w, stride=2, padding=1, output_padding=1), few
)
print(second_order)

# %% [markdown]
# ## 7. Uneven overlap
#
# Back to painting. How much paint does each pixel get? Let every feature be 1 and every weight be
# 1, and count:

# %% tags=["gallery"]
overlap = {}
for k, p in [(2, 0), (3, 1), (4, 1), (5, 2)]:
    ones = td.ones(1, 1, 6, 6), td.ones(1, 1, k, k)
    overlap[k] = F.conv_transpose2d(*ones, stride=2, padding=p).numpy()[0, 0]

_, axes = plt.subplots(1, 4, figsize=(11, 3.2), layout="constrained")
for ax, (k, counts) in zip(axes, overlap.items()):
    ax.imshow(counts, cmap="Blues", vmin=0, vmax=14)
    for (row, column), times in np.ndenumerate(counts):
        ax.text(column, row, f"{times:.0f}", ha="center", va="center", fontsize=8)
    ax.set_title(f"kernel {k}, stride 2", fontsize=11)
    ax.axis("off")
viz.show(
    "Four grids of small numbers, how often each pixel is painted with stride 2. Kernel 2: always "
    "once. Kernel 3: 1, 2 and 4 in a checkered pattern. Kernel 4: always four times, but at the "
    "rim. Kernel 5: 4, 6 and 9 in a checkered pattern."
)

# %% [markdown]
# **What to see.** Away from the rim, kernels 2 and 4 paint every pixel equally often. Kernels 3 and
# 5, which the stride does not divide, give some pixels four times (or nine quarters) as much as
# others. On a network's flat grey wall that is a checkerboard, as Odena, Dumoulin and Olah showed
# (*Deconvolution and checkerboard artifacts*, Distill 2016). Their advice: choose a kernel that the
# stride divides, or better, enlarge first and convolve afterwards.
#
# Is kernel 4 safe, then? Equally *often* is not equally *much*. In one dimension even pixels get
# $w_0 + w_2$ and odd pixels $w_1 + w_3$ from a flat region: the weights of the two phases. They are
# equal if somebody sees to it, and not otherwise. So measure, do not count.
#
# **What we measure.** Give the network a flat grey picture. A good one answers with a flat picture.
# Whatever varies in the answer, far from the rim, is the layer's own pattern. Its strength is the
# standard deviation, in grey levels of which there are 255 between black and white. Less than one
# is less than a file of 8 bits can hold.


# %%
def pattern(model):
    """The pattern in the answers to three flat pictures, in grey levels, and the last answer."""
    levels = []
    for grey in (0.25, 0.5, 0.75):
        with td.no_grad():
            answer = model(td.full((1, 1, 24, 24), grey)).numpy()[0, 0, 12:-12, 12:-12]
        levels.append(255 * answer.std(dtype=np.float64))
    return np.mean(levels), answer


# %% [markdown]
# The contestants all stand at the end of the same small network, which doubles the size of an
# image: two convolutions of 16 channels, then
#
# - a **transposed convolution**, kernel 2, 3 or 4;
# - **pixel shuffle** (Shi et al., *Real-time single image and video super-resolution using an
#   efficient sub-pixel convolutional neural network*, 2016): a convolution with 4 output channels,
#   whose four numbers become 2 x 2 pixels. That is a transposed convolution again, of kernel 6
#   (each phase has 3 x 3 weights of its own), but with a *bias* for each phase as well. **ICNR**
#   (Aitken et al., *Checkerboard artifact free sub-pixel convolution*, 2017) starts all four phases
#   with the same weights;
# - a transposed convolution with **fixed** weights on each channel, and a convolution behind it.
#   Bilinear weights, with which Long, Shelhamer and Darrell start (*Fully convolutional networks
#   for semantic segmentation*, 2015), are $(1, 2, 1)/2$ along each axis for kernel 3: an uneven
#   overlap, but the phases $w_1$ and $w_0 + w_2$ are equal. A Gaussian, sampled at the same three
#   places, is not so lucky;
# - **resize + convolution**: nearest or bilinear enlargement, and a convolution of 3.

# %%
CHANNELS = 16


class Doubler(nn.Module):
    """Grey images (N, 1, H, W) to (N, 1, 2H, 2W)."""

    def __init__(self, up):
        self.first = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.up = up

    def forward(self, x):
        return self.up(self.second(self.first(x).relu()).relu())


def transposed(kernel):
    padding, extra = (kernel - 1) // 2, kernel % 2  # so that the size doubles
    return nn.ConvTranspose2d(CHANNELS, 1, kernel, stride=2, padding=padding, output_padding=extra)


def resized(mode):
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode=mode), nn.Conv2d(CHANNELS, 1, 3, padding=1)
    )


def shuffled(icnr):
    conv = nn.Conv2d(CHANNELS, 4, 3, padding=1)
    if icnr:
        nn.init.icnr_(conv.weight, upscale_factor=2)
        nn.init.zeros_(conv.bias)  # four different ones would be a pattern as well
    return nn.Sequential(conv, nn.PixelShuffle(2))


def fixed(profile):
    """profile: 3 weights along an axis."""
    up = nn.ConvTranspose2d(
        CHANNELS, CHANNELS, 3, stride=2, padding=1, output_padding=1, groups=CHANNELS, bias=False
    )
    window = np.outer(profile, profile)
    up.weight.data = np.tile(window, (CHANNELS, 1, 1, 1)).astype(np.float32)
    up.weight.requires_grad = False
    return nn.Sequential(up, nn.Conv2d(CHANNELS, 1, 3, padding=1))


bell = np.exp(-(np.array([-1, 0, 1]) ** 2) / 2)
CONTESTANTS = {
    "transposed, kernel 2": lambda: transposed(2),
    "transposed, kernel 3": lambda: transposed(3),
    "transposed, kernel 4": lambda: transposed(4),
    "pixel shuffle": lambda: shuffled(icnr=False),
    "pixel shuffle, ICNR": lambda: shuffled(icnr=True),
    "fixed Gaussian": lambda: fixed(2 * bell / bell.sum()),
    "fixed bilinear": lambda: fixed([0.5, 1, 0.5]),
    "nearest + convolution": lambda: resized("nearest"),
    "bilinear + convolution": lambda: resized("bilinear"),
}
SEEDS = 10 if FAST else 100


def make(name, seed):
    td.manual_seed(seed)
    return Doubler(CONTESTANTS[name]())


at_start = {
    name: np.array([pattern(make(name, seed))[0] for seed in range(SEEDS)]) for name in CONTESTANTS
}
print(f"grey levels, {SEEDS} seeds: a quarter is below, half of them, three quarters")
for name, levels in at_start.items():
    print(f"{name:24}", *(f"{level:8.2f}" for level in np.quantile(levels, [0.25, 0.5, 0.75])))

# %% [markdown]
# - Kernels 2, 3 and 4 start alike, although 2 does not overlap at all and 4 overlaps evenly: with
#   random weights the phases differ, whatever the count. Counting decides only where the weights
#   are alike.
# - ICNR begins flat, but only with equal *biases*: the ordinary start gives the four phases four
#   different ones. (Put the line with `zeros_` out of use and look.)
# - Bilinear weights of kernel 3 are flat in spite of their uneven overlap. The Gaussian is not.
#   What counts is the sum of each phase. `nn.init.gaussian_` mends it by dividing each phase by its
#   sum.
# - What is enlarged by interpolation stays flat, whatever the convolution behind it does: it treats
#   all pixels alike.

# %% [markdown]
# ## 8. And after training?
#
# At the start nobody looks at the pictures. What is left when the network has learned? Let each
# contestant double photographs: the small image is the mean of 2 x 2 pixels, the large one is the
# answer, the loss is the squared error. (Adam, OneCycleLR and PSNR: notebook 00.)

# %%
STEPS = 20 if FAST else 300
LOOK = [step for step in (0, 1, 3, 10, 30, 100, 300) if step <= STEPS]  # where we look


def halve(images):
    *rest, height, width = images.shape
    return images.reshape(*rest, height // 2, 2, width // 2, 2).mean((-3, -1))


held_out = photograph("camera")  # in no training
small = td.tensor(halve(held_out)[None, None])
crops = Crops(size=48, sigma=0.0)


def train(model, seed):
    """By step: the pattern; what it makes of flat grey and of the photograph."""
    weights = [w for w in model.parameters() if w.requires_grad]
    optimizer = optim.Adam(weights)
    schedule = optim.OneCycleLR(optimizer, max_lr=1e-2, total_steps=STEPS)
    curve, pictures = [], {}
    for step in range(STEPS + 1):
        if step in (*LOOK, STEPS):
            level, flat = pattern(model)
            curve.append((step, level))
            with td.no_grad():
                pictures[step] = flat, model(small).numpy()[0, 0]
        if step < STEPS:
            # of a crop, [1] is the clean one
            clean = np.stack([crops.crop(seed, 8 * step + i)[1] for i in range(8)])
            loss = F.mse_loss(model(td.tensor(halve(clean))), td.tensor(clean))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return dict(curve), pictures


RUNS = 1 if FAST else 2
results = {name: [train(make(name, seed), seed) for seed in range(RUNS)] for name in CONTESTANTS}

print(f"{'':24}weights   pattern at start      at the end        PSNR on camera, dB")
table = {}
for name, runs in results.items():
    before, after = ([curve[step] for curve, _ in runs] for step in (0, STEPS))
    quality = [psnr(held_out, pictures[STEPS][1]) for _, pictures in runs]
    count = sum(w.numel() for w in make(name, 0).up.parameters() if w.requires_grad)
    table[name] = before, after, quality
    columns = ("  ".join(f"{number:7.2f}" for number in column) for column in table[name])
    print(f"{name:24}{count:7}", *columns, sep="   ")

# %%
LINES = {
    "transposed, kernel 3": (BLUE, "o-"),
    "transposed, kernel 4": (SKY, "s-"),
    "pixel shuffle": (ORANGE, "^-"),
    "pixel shuffle, ICNR": (RED, "v--"),
    "fixed Gaussian": (PURPLE, "d:"),
    "fixed bilinear": (GREEN, "x-."),
}
_, ax = plt.subplots(figsize=(8.5, 4.4), layout="constrained")
for name, (colour, style) in LINES.items():
    levels = [np.mean([curve[step] for curve, _ in results[name]]) for step in LOOK]
    ax.plot(LOOK, levels, style, color=colour, label=name)
ax.axhline(1, color=GREY, lw=0.8, ls="--", label="one grey level of 255")
ax.set_xscale("symlog", linthresh=1)
ax.set_yscale("symlog", linthresh=0.01)
ax.set_xticks(LOOK, LOOK)
ax.set_yticks([0, 0.01, 0.1, 1, 10, 100], ["0", "0.01", "0.1", "1", "10", "100"])
ax.set(xlabel="step of training", ylabel="pattern in flat grey, grey levels")
ax.set(xlim=(-0.15, 340), ylim=(-0.003, 100))
ax.set_title("The pattern in a flat region (resize + convolution: 0 throughout)")
ax.grid(alpha=0.25)
ax.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0.01, 0.12))
viz.show(
    "Curves of the pattern in grey levels against the step of training, on logarithmic axes. "
    "Transposed convolutions and pixel shuffle start at tens of levels, the fixed Gaussian at one "
    "or so, and all end below one; pixel shuffle with ICNR starts at zero and ends among them; "
    "fixed bilinear weights stay at zero."
)

# %% [markdown]
# **What to see.** Training takes nearly all of the pattern away, where there was one, down to less
# than a grey level, which nobody sees; and it brings as much where there was none (ICNR: only the
# *start* is flat). Kernel 4 ends no better than kernel 3. What is flat by construction stays at
# zero.
#
# Mind the table: each number is one run, and two runs of the same layer differ in PSNR by as much
# as the layers do. It ranks nobody.

# %% tags=["gallery"]
window = np.s_[118:190, 226:298]  # of the photograph
middle = LOOK[-3]
rows = {"flat grey,\nat the start": (0, 0), f"photograph,\nstep {middle}": (middle, 1)}
rows |= {f"photograph,\nstep {STEPS}": (STEPS, 1)}
_, axes = plt.subplots(3, 9, figsize=(12, 5), layout="constrained")
for column, (name, runs) in enumerate(results.items()):
    _, pictures = runs[0]
    for ax, (row, (step, which)) in zip(axes[:, column], rows.items()):
        picture = pictures[step][which]
        if which:
            ax.imshow(picture[window], cmap="gray", vmin=0, vmax=1)
        else:  # the answer's own brightness, give or take as much again
            level = abs(picture).max()
            ax.imshow(
                picture, cmap="gray", vmin=picture.mean() - level, vmax=picture.mean() + level
            )
        ax.set_xticks([])
        ax.set_yticks([])
        if column == 0:
            ax.set_ylabel(row, fontsize=10)
    axes[0, column].set_title(name.replace(", ", ",\n").replace(" + ", " +\n"), fontsize=9)
viz.show(
    "A grid of pictures, a column for each of the nine layers. First row: flat grey becomes a "
    "checkerboard with transposed convolutions and pixel shuffle, a faint one with the fixed "
    "Gaussian, and stays flat with the other four. Second row: after 30 steps the photograph shows "
    "the pattern in those same columns. Third row: at the end all look alike and clean."
)

# %% [markdown]
# **What to see.** First row: what a random network makes of flat grey. Second row: eye and camera
# after 30 steps, where there is a pattern, with the pattern. Third row: at the end you would not
# guess which layer it was.
#
# So is all the talk of checkerboards empty? Here the squared error punishes every wrong pixel, and
# flat regions are everywhere: the network *learns* to make its phases equal, as far as it pays.
# Where no loss looks at single pixels (a generator's, say), nobody tells it to. What is flat by
# construction needs no telling, and we saw no loss in quality.
#
# And there is a place where no loss looks. The gradient of a convolution with a stride is a
# transposed convolution, so the *gradient* with respect to an image has the pattern too, and
# whoever looks at gradients sees it (saliency maps, feature visualisation; Odena et al. show it as
# well). A gradient has no grey levels, so here is the pattern's share, the standard deviation over
# the root mean square: 100 random first layers, and for comparison two that do not stride.

# %%
FIRST = {
    "stride 2, kernel 3": lambda: nn.Conv2d(1, CHANNELS, 3, stride=2, padding=1),
    "stride 2, kernel 4": lambda: nn.Conv2d(1, CHANNELS, 4, stride=2, padding=1),
    "stride 1, kernel 3": lambda: nn.Conv2d(1, CHANNELS, 3, padding=1),
    "stride 1, then means of 2 x 2": lambda: nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1), nn.AvgPool2d(2)
    ),
}
gradient_patterns = {}
for name, layer in FIRST.items():
    shares = []
    for seed in range(100):
        td.manual_seed(seed)
        x = td.zeros(1, 1, 24, 24, requires_grad=True)
        (gradient,) = td.grad(layer()(x).sum(), x)
        inner = gradient.numpy()[0, 0, 4:-4, 4:-4].astype(np.float64)
        shares.append(inner.std() / np.sqrt((inner**2).mean()))
    gradient_patterns[name] = np.mean(shares)
    print(f"{name:30} {gradient_patterns[name]:.0%} of the gradient is pattern")

random = rng.standard_normal((10_000, 4))  # four phases that know nothing of each other
unrelated = np.mean(random.std(1) / np.sqrt((random**2).mean(1)))
print(f"{'four random numbers':30} {unrelated:.0%}")

# %% [markdown]
# The gradients' phases have no more to do with each other than four random numbers. Kernel 4 is no
# better than 3. A stride of 1 followed by an average leaves nothing. Training may shrink this
# pattern, but no term of the loss asks for it.

# %% [markdown]
# ## 9. What to take home
#
# | question | answer |
# |---|---|
# | what is it? | the transpose of a convolution's matrix: features paint windows, paint adds up |
# | what is it not? | an inverse |
# | `padding` | that of the convolution it belongs to: it crops |
# | `output_padding` | which of the forgotten sizes; `output_size=` says it directly |
# | a kernel that the stride divides? | even overlap; flat only if the phases' weights agree |
# | a flat start | ICNR, with equal biases; bilinear weights |
# | no pattern, ever | enlarge by interpolation, then convolve |
#
# (The last one costs as many multiplications as pixel shuffle, four times those of a transposed
# convolution of the same kernel.)
#
# In the library: `nn.ConvTranspose1d`, `2d`, `3d`; `nn.Upsample`; `nn.PixelShuffle`;
# `nn.init.icnr_`, `bilinear_` and `gaussian_`. The reading path is `geometry.py`,
# `kernels/reference.py`, `ops/conv.py`.
#
# ## 10. Exercises
#
# Write your answer in place of the `...` and run the cell: it tests the answer with new numbers
# each time.
#
# ### Exercise 1: the transpose of a difference
#
# `np.diff(x)` takes $n$ numbers to the $n - 1$ differences $x_{i+1} - x_i$. It is linear, so it has
# a transpose: a function of $n - 1$ numbers $y$ that returns $n$ numbers, with
# $\langle \text{diff}(x), y\rangle = \langle x, \text{answer}(y)\rangle$ for all $x$ and $y$.
# Write it without a matrix and without a loop. (Where does $x_i$ turn up in the differences? With
# which sign?)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    y = rng.standard_normal(rng.integers(2, 7))
    matrix = matrix_of(np.diff, len(y) + 1)
    expect(answer(y), matrix.T @ y, f"the transpose of np.diff, of {len(y)} numbers")


# %% tags=["exercise"]
def diff_transpose(y):
    """y (n - 1,) -> (n,)"""
    return ...  # yours


check_1(diff_transpose)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def diff_transpose(y):
#     return -np.diff(y, prepend=0, append=0)
# ```
#
# $x_i$ stands in two differences: with a plus in the one that ends there, $y_{i-1}$, and with a
# minus in the one that starts there, $y_i$. So it gets $y_{i-1} - y_i$; the first and the last have
# only one of the two. (Section 3 says it as well: `np.diff` is a convolution with the window $(-1,
# 1)$, and its transpose paints that window, `np.convolve(y, [-1, 1])`.) Usual mistakes: the sign (a
# difference runs against the grain when it is turned around), and forgetting the ends, which gives
# $n - 2$ numbers. (Up to that sign, the transpose of a derivative is a derivative. You will meet it
# as "integration by parts".)
#
# </details>
#
# ### Exercise 2: which output_padding?
#
# A convolution with kernel `k`, stride `s`, padding `p` and dilation `d` has read an image of `n`
# pixels. Which `output_padding` does the transposed convolution with the same numbers need to come
# back to `n`? (For `n = 8, k = 3, s = 2, p = 1, d = 1` it is 1.)


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    for _ in range(20):
        k, s, p, d = (
            int(rng.integers(low, high)) for low, high in [(1, 5), (2, 5), (0, 3), (1, 4)]
        )
        n = int(rng.integers(d * (k - 1) + 1, 40))
        features = F.conv1d(
            td.zeros(1, n), td.zeros(1, 1, k), stride=s, padding=p, dilation=d
        ).shape[1]
        geometry = ConvGeometry.of_conv((n,), k, s, p, d)
        least = (features - 1) * s - 2 * p + d * (k - 1) + 1
        assert geometry.small == (features,)
        expect(answer(n, k, s, p, d), n - least, f"output_padding_for({n}, {k}, {s}, {p}, {d})")


# %% tags=["exercise"]
def output_padding_for(n, k, s, p, d):
    """The output_padding that brings back n pixels."""
    return ...  # yours


check_2(output_padding_for)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def output_padding_for(n, k, s, p, d):
#     return (n + 2 * p - d * (k - 1) - 1) % s
# ```
#
# It is what was left over when the steps were counted: the remainder of the very division that
# gives the number of features. Usual mistakes: `n % s`, which is right only if the rest happens to
# be a multiple of the stride, and to forget that dilation makes the window span `d * (k - 1) + 1`.
#
# </details>
#
# ### Exercise 3: ICNR
#
# `F.pixel_shuffle(y, r)` turns `(N, C * r * r, H, W)` into `(N, C, H * r, W * r)`: the `r * r`
# channels that follow each other become the `r` by `r` pixels of one place. Given the weights `w`
# of a convolution to `C` channels, `(C, in, k, k)`, make weights `(C * r * r, in, k, k)` such that
# convolution and shuffle together are the convolution with `w`, enlarged by nearest neighbours.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    r, channels = int(rng.integers(2, 4)), int(rng.integers(2, 4))
    w = rng.standard_normal((channels, 3, 3, 3))
    x = td.tensor(rng.standard_normal((1, 3, 5, 4)))
    weights = answer(w.copy(), r)
    shape = (channels * r * r, 3, 3, 3)
    got = np.shape(weights)
    assert got == shape, f"icnr(w, {r}): expected shape {shape}, got {got}."
    shuffled = F.pixel_shuffle(F.conv2d(x, td.tensor(weights), padding=1), r)
    wanted = F.conv2d(x, td.tensor(w), padding=1).numpy().repeat(r, 2).repeat(r, 3)
    expect(shuffled.numpy(), wanted, f"the picture with icnr(w, {r}) of {channels} channels")


# %% tags=["exercise"]
def icnr(w, r):
    """w (C, in, k, k) -> (C * r * r, in, k, k)"""
    return ...  # yours


check_3(icnr)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def icnr(w, r):
#     return np.repeat(w, r * r, axis=0)
# ```
#
# The channels of one place follow each other, so each filter is repeated `r * r` times in a row.
# The usual mistakes: `np.tile`, which lays the whole stack down `r * r` times and so mixes the
# channels up (with `C = 1` nobody notices), and to repeat only `r` times.
#
# </details>
#
# ### Further questions
#
# 1. Draw the matrix of a convolution with dilation 2. What does its transpose paint?
# 2. Which weights would make a transposed convolution of kernel 4 and stride 2 interpolate? Compare
#    with `nn.init.bilinear_`.
# 3. Write the weights of a transposed convolution of kernel 6, stride 2 and padding 2 that equals a
#    convolution of kernel 3 with pixel shuffle behind it.
# 4. Train the doublers with the absolute error (`F.l1_loss`). Does the pattern go away as fast?
#
# Next: **05 · Deconvolution is not transposed convolution.** What if we really want to undo a blur?
#
# ## Check

# %%
assert np.array_equal(by_matrix, [1, 10, 102, 20, 203, 30, 300])
assert np.array_equal(by_library, by_matrix) and np.isclose(*promise, rtol=1e-12)
assert same_features < 1e-12 and abs(other - image).max() > 0.3
assert all(abs(pixels - image).max() > 0.1 for pixels in ways_back.values())
assert all(np.allclose(recipes[0], recipe, rtol=1e-12, atol=1e-12) for recipe in recipes)
assert 0.74 < zeros < 0.76

assert np.array_equal(cropped, whole[1:-1]) and np.array_equal(longer, whole[1:])
assert np.allclose(with_zeros, longer, rtol=1e-12, atol=1e-12)
assert [len(sizes) for sizes in forgotten.values()] == [2] * 4
assert worst < 1e-12
assert np.allclose(triple, triple[0], rtol=1e-12) and second_order.status == "right"
assert all(
    np.allclose(gradient.detach().numpy(), kernel, rtol=1e-12, atol=1e-12)
    for gradient, kernel in zip(gradients, kernels)
)

inner = {k: np.unique(counts[2:-2, 2:-2]).tolist() for k, counts in overlap.items()}
assert inner == {2: [1], 3: [1, 2, 4], 4: [4], 5: [4, 6, 9]}
flat_at_start = {name for name, levels in at_start.items() if max(levels) < 1e-3}
by_construction = {"fixed bilinear", "nearest + convolution", "bilinear + convolution"}
assert flat_at_start == by_construction | {"pixel shuffle, ICNR"}
assert min(np.median(at_start[f"transposed, kernel {k}"]) for k in (2, 3, 4)) > 5
for name, (before, after, _) in table.items():
    if name in by_construction:
        assert max(after) < 1e-3
    elif name in flat_at_start:
        assert min(after) > 0.01  # only the start is flat
    elif name != "fixed Gaussian":
        assert FAST or np.mean(after) < min(3, np.mean(before) / 5)
qualities = [quality for *_, quality in table.values()]
assert FAST or np.ptp(np.mean(qualities, 1)) < 2 * np.ptp(qualities, 1).max()  # it ranks nobody
assert min(gradient_patterns[f"stride 2, kernel {k}"] for k in (3, 4)) > 0.5
assert max(share for name, share in gradient_patterns.items() if "stride 1" in name) < 1e-5
assert 0.8 < unrelated < 0.9
print("All checks passed.")
