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
# # 00 · Start
#
# **The question.** What is inside a library that learns to clean a photograph? This one is small
# enough to read: NumPy arrays, a few hundred lines that differentiate, convolution written by hand.
# In this notebook you meet its three ideas (a tensor, a gradient, a convolution with its
# transpose), and then train a network that removes noise, from random weights, in about a minute.
#
# - **You need:** Python and a little NumPy. No calculus beyond "how fast does it grow?".
# - **Time:** 45 minutes, a third of them for the exercises.
# - **Afterwards you can** compute with tensors, get a gradient and follow it downhill, say what a
#   transposed convolution does (and what it does not), and train a network that cleans photographs.
#
# *To run a cell, press Shift+Enter. Change things. Nothing can break.*

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
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import SIGMA, Crops, Loader, add_noise, photograph
from tinydeconv.exercises import exercise, expect
from tinydeconv.metrics import psnr
from tinydeconv.nn import functional as F
from tinydeconv.recipes.classical import METHODS
from tinydeconv.recipes.learned import denoise
from tinydeconv.viz import BLUE, GREY, ORANGE

td.manual_seed(0)

# %% [markdown]
# ## 1. A tensor
#
# A `Tensor` is a NumPy array with a memory. Arithmetic, broadcasting, slices and masks work as in
# NumPy; the names are PyTorch's (`dim` and `keepdim`, not `axis` and `keepdims`). Indexing reads,
# it does not assign: a Tensor is never changed in place.

# %%
x = td.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
print(x)
print("shape", x.shape, " type", x.dtype)
print("sum of each row:", x.sum(dim=1))
print("matrix product: ", x @ x.T)

# %% [markdown]
# NumPy's own functions do not know about the memory. So compute with `x.exp()` or `td.exp(x)`, for
# `np.exp(x)` is refused; and when you want the bare array, ask for it with `np.asarray(x)`:

# %%
print("to NumPy:", np.asarray(x)[0], "  and from it:", td.tensor(np.arange(3)))

# %% [markdown]
# ## 2. A gradient
#
# The memory is what makes it special. Ask a tensor to remember (`requires_grad=True`), compute
# something with it, and call `backward()` on the result. Then `.grad` says how fast the result
# would grow if you moved each element:

# %%
x = td.tensor([1.0, 2.0], requires_grad=True)
y = (x * x).sum()  # 1² + 2²
y.backward()
print("y =", y.item(), "  gradient", x.grad, "  by hand: 2x")

# %% [markdown]
# Is that so? Move each number by a thousandth, and look:


# %%
def sum_of_squares(a, b):
    return a * a + b * b


here = sum_of_squares(1, 2)
moved = (sum_of_squares(1.001, 2) - here) / 0.001, (sum_of_squares(1, 2.001) - here) / 0.001
print(f"y grows {moved[0]:.3f} and {moved[1]:.3f} times as fast as the number that moves")

# %% [markdown]
# The gradient points uphill. To find the bottom of a valley, walk the other way, a little at a
# time. That is all that training is:


# %% tags=["gallery"]
def height(p):
    return (p[0] - 1) ** 2 + 4 * (p[1] + p[0] / 2) ** 2


p = td.tensor([-1.5, 1.5], requires_grad=True)
path = [p.tolist()]
for _ in range(40):
    (slope,) = td.grad(height(p), p)
    p.data = p.data - 0.08 * slope.data
    path.append(p.tolist())

across, up = np.meshgrid(np.linspace(-2, 2.5, 100), np.linspace(-1.5, 2, 100))
_, ax = plt.subplots(figsize=(6, 4.6), layout="constrained")
heights = [0.1, 0.5, 1, 2, 4, 8, 16, 32]
lines = ax.contour(across, up, height((across, up)), heights, colors=GREY, linewidths=0.8)
ax.clabel(lines, fontsize=8)
ax.plot(*zip(*path), "o-", color=ORANGE, ms=4, label="40 steps downhill")
ax.plot(1, -0.5, "*", color=BLUE, ms=16, label="the lowest point")
ax.set(xlabel="first number", ylabel="second number", aspect="equal")
ax.set_title("Following the gradient downhill")
ax.legend(loc="upper right", framealpha=1)
viz.show(
    "Contour lines of a long, slanted valley. Orange dots, a step apart, lead from its upper left "
    "corner across the lines to a blue star at the lowest point."
)

# %% [markdown]
# **What to see.** Grey lines join points of equal height. Each step goes at a right angle to them,
# straight down, until the ground gets flat. (`td.grad(y, x)` hands you the gradient,
# `y.backward()` leaves it in `x.grad`.)
#
# Why `p.data = ...`, and not `p -= ...`? A Tensor is never changed in place: `p - ...` makes a new
# one, with `p` in its past. It would quietly replace the tensor that you train, so the library
# refuses `p -= ...` and says so. `p.data` is the bare array: assign to it, and `p` has new numbers
# and still no past. The library's version of the loop is an *optimizer*, here the simplest, and
# three lines that you will see again wherever a network is trained:

# %%
q = td.tensor([-1.5, 1.5], requires_grad=True)
optimizer = optim.SGD([q], lr=0.08)
for _ in range(40):
    optimizer.zero_grad()  # backward() adds to .grad, so forget what is there
    height(q).backward()
    optimizer.step()  # q.data = q.data - lr * q.grad.data
print("by hand:", p.tolist(), "  by the optimizer:", q.tolist())

# %% [markdown]
# How does `backward` know? That is notebook **01**: you will write the machine yourself. And how
# would you notice if it were wrong? That is notebook **02**.

# %% [markdown]
# ## 3. A convolution and its transpose
#
# A convolution slides a small window over an image. At each place it multiplies what lies on top of
# each other, adds up, and writes down one number. With a *stride* of 2 it moves two pixels at a
# time, and the result has about half the size. The **transposed convolution** goes the other way:
# each number paints its window back into a large image, and where windows overlap, the paint adds
# up. It gave the library its name ("deconvolution", as some call it).


# %%
def convolve(image, window, stride):
    """Read: one number for each place of the window. (NumPy arrays)"""
    size = len(window)
    small = np.zeros([(n - size) // stride + 1 for n in image.shape])
    for i, j in np.ndindex(*small.shape):
        top, left = i * stride, j * stride
        small[i, j] = (image[top : top + size, left : left + size] * window).sum()
    return small


def paint(small, window, stride):
    """Write: each number paints the window, times itself, where it would have been read."""
    size = len(window)
    image = np.zeros([(n - 1) * stride + size for n in small.shape])
    for i, j in np.ndindex(*small.shape):
        top, left = i * stride, j * stride
        image[top : top + size, left : left + size] += small[i, j] * window
    return image


crop = photograph("chelsea")[60:188, 100:260].astype(np.float64)
window = np.full((4, 4), 1 / 16)  # the mean of 4 by 4 pixels
small = convolve(crop, window, 2)
back = paint(small, 4 * window, 2)  # 4, since 2 by 2 windows overlap on a pixel

_, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
pictures = {"image": crop, "convolution, stride 2": small}
pictures |= {"transposed convolution of that": back}
for ax, (name, picture) in zip(axes, pictures.items()):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}\n{picture.shape[0]} x {picture.shape[1]} pixels")
    ax.set_axis_off()
viz.show(
    "Three pictures of a cat's eye: sharp; coarse, of half as many pixels each way; and of the "
    "first size again, but blurred, with a dark rim."
)

# %% [markdown]
# **What to see.** The transposed convolution brings back the *size*, not the picture: what the
# window has blurred stays blurred. (At the rim fewer windows overlap, so there is less paint.) It
# is not the inverse. What is it, then? Take any image $x$, any window $w$ and any small image $y$.
# Multiply pixel by pixel and add up ($\langle\cdot,\cdot\rangle$). Then
#
# $$\langle \text{conv}(x, w),\; y\rangle \;=\; \langle x,\; \text{conv transpose}(y, w)\rangle .$$

# %%
rng = np.random.default_rng(0)
x, w, y = (rng.standard_normal((side, side)) for side in (8, 4, 3))
there = (convolve(x, w, 2) * y).sum()
and_back = (x * paint(y, w, 2)).sum()
print(f"{there:.12f}  {and_back:.12f}")

# %% [markdown]
# In other words: a transposed convolution carries numbers back the way the convolution brought
# them. That is just what a gradient needs, and so **the gradient of each, with respect to its
# input, is the other**. The whole library is built on this one idea. Here is its version, for many
# images and channels at once (so the shapes begin with `1, 1`), without the loops, and with a
# gradient:

# %%
image, kernel = td.tensor(x[None, None], requires_grad=True), td.tensor(w[None, None])
features = td.tensor(y[None, None])
the_same = (F.conv2d(image, kernel, stride=2) * features).sum()
the_same.backward()
painted = F.conv_transpose2d(features, kernel, stride=2)
print(f"{the_same:.12f}, the same sum")
print(f"paint and conv_transpose2d differ by at most {abs(paint(y, w, 2) - painted).max():.0e}")
print(f"paint and the gradient of conv2d, by at most {abs(paint(y, w, 2) - image.grad).max():.0e}")

# %% [markdown]
# ## 4. A network that removes noise
#
# Put the two together. `Denoiser` makes a photograph smaller with convolutions, thinks about it,
# and makes it large again with transposed ones. It is told how strong the noise is, predicts the
# noise and subtracts it.

# %%
model = models.Denoiser()
print(model)
print(f"\n{sum(p.numel() for p in model.parameters()):,} numbers to learn")

# %% [markdown]
# It learns from pairs: a small piece of a photograph, and the same with noise. The noise is new
# each time, so it cannot be learned by heart. Each step measures how far the network's answer is
# from the clean piece (here the mean squared error; what training makes small is called the
# *loss*), asks for its gradient, and moves all numbers a little downhill. (`Adam` chooses how far;
# `OneCycleLR` makes the steps larger at first and smaller at the end.) With the defaults this takes
# about a minute.

# %%
steps = 60 if FAST else 2000
optimizer = optim.Adam(model.parameters())
schedule = optim.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
pieces = Loader(Crops(size=32), batch_size=8, length=steps)

losses, start = [], time.perf_counter()
for noisy, clean, sigma in pieces.batches(epoch=0):
    loss = F.mse_loss(model(td.tensor(noisy), td.tensor(sigma)), td.tensor(clean))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    losses.append(loss.item())
    if len(losses) % (steps // 10) == 0:
        seconds = time.perf_counter() - start
        print(f"step {len(losses):5}, {seconds:4.0f} s, loss {np.mean(losses[-50:]):.5f}")

# %%
width = steps // 30
smooth = np.convolve(losses, np.full(width, 1 / width), mode="valid")
_, ax = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
ax.semilogy(losses, color=BLUE, lw=0.5, alpha=0.35, label="each step")
ax.semilogy(np.arange(len(smooth)) + width // 2, smooth, color=BLUE, label=f"mean of {width} steps")
ax.axhline(SIGMA**2, color=ORANGE, ls="--", label="doing nothing: the variance of the noise")
ax.set(xlabel="step", ylabel="mean squared error", ylim=(4e-4, 0.04), title="The denoiser learns")
ax.legend(loc="upper right")
viz.show(
    "A curve of the loss over the steps, on a logarithmic scale. It starts on a dashed line, the "
    "variance of the noise, drops steeply at first and then ever more slowly."
)

# %% [markdown]
# **What to see.** The network starts on the orange line: its last layer is zero, so at first it
# changes nothing. Most is learned in the first moments; what comes later is slow and fine. (Single
# steps jump up and down, because some pieces are sky and some are grass.)
#
# Now the test, on a photograph that it has never seen. `camera` is held out: the training data
# refuses to contain it. How good is an answer? PSNR, the peak signal-to-noise ratio, measures the
# likeness in decibels (dB): 10 more means a tenth of the squared error.
#
# $$\text{PSNR} = 10 \log_{10} \frac{1}{\text{mean squared error}}$$
#
# (The 1 is the peak: white.)

# %%
clean = photograph("camera")
if FAST:
    clean = clean[:180, :300]
noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
by_hand = 10 * np.log10(1 / ((noisy - clean) ** 2).mean())
print(f"PSNR of the noisy photograph: {by_hand:.3f} dB, by the library {psnr(clean, noisy):.3f} dB")

# %% [markdown]
# Beside the network stand three classical methods, tuned on the same training photographs. (SSIM
# compares structure instead of pixels; 1 is perfect. In the pictures what is darker than black or
# whiter than white is cut off, and so "noisy" has a little less noise there.)

# %% tags=["gallery"]
images = {"clean": clean, "noisy": noisy.clip(0, 1)}
images |= {name: method(noisy, SIGMA) for name, method in METHODS.items()}
images["network"] = denoise(model, noisy, SIGMA)

viz.show(
    "Six versions of a photograph of a man with a camera, each with his face enlarged below: "
    "clean, noisy, after three classical methods, and after the network, with PSNR and SSIM above.",
    viz.denoise_panel(None, {"camera": images}, zoom={"camera": (80, 200, 96)}),
)

# %% [markdown]
# **What to see.** Below each photograph a part of it, enlarged. Look at the hair, the eye and the
# sky. The bilateral filter leaves grain. Total variation makes flat patches. Non-local means is
# smooth, but gives up on what occurs only once in the picture, such as the camera's eyepiece. The
# network, one minute old, is about level with the best of them.
#
# ## 5. The full demo
#
# `make demo` trains a wider network for longer (about four minutes on two cores), measures it on
# both held-out photographs, and puts weights, pictures and a table into `runs/denoise`. It learns
# from noise of every strength, not from one alone. Without make:
# `python -m tinydeconv train denoise --out runs/denoise`. This is its picture: yours if you have
# run it, otherwise the one in the README.

# %%
for folder in ("../runs/denoise", "../docs"):
    demo = Path(folder) / "denoise.png"
    if demo.exists():
        words = "Two photographs in six versions: clean, noisy, after three classical methods, and "
        display(Image(demo, alt=words + "after the network, with the PSNR and SSIM of each."))
        break
else:
    print("The picture is not here. It stands at the top of the README.")

# %% [markdown]
# **What to see.** The same columns as above, for both photographs. A few more minutes have put the
# network ahead of all three on both.
#
# ## 6. Where things are
#
# The library is a house of rooms. Each room uses only the rooms above it, so you can read it from
# the top down. The core is an afternoon's reading, best in the order of the bold lines.
#
# | room | what is in it |
# |---|---|
# | `backend.py` | which array module (NumPy or CuPy) owns an array; devices, seeds |
# | **1** `geometry.py` | all the sizes of a convolution, and every error about them |
# | **2** `kernels/reference.py` | convolution and its two partners, on plain arrays |
# | **3** `engine.py` | how gradients walk back: notebook 01 |
# | `tensor.py` | the Tensor, a handle on an array and its past |
# | **4** `ops/conv.py` and the rest of `ops/` | operations, forward and backward side by side |
# | **5** `gradcheck.py`, `opcases/` | is the gradient right? Notebook 02 |
# | `nn/`, `optim/` | layers and networks; how they are trained |
# | `serialize.py` | weights to files that PyTorch can read, and back |
# | `data/`, `metrics.py`, `viz.py` | photographs, PSNR and SSIM, pictures |
# | `models/`, `train.py`, `recipes/` | the denoiser, the training loop, the demo |
#
# At the command line: `tinydeconv train denoise`, `tinydeconv denoise photo.png`,
# `tinydeconv gradcheck`.
#
# The lessons go on from here. `make tutorials` opens them in JupyterLab:
#
# | lesson | its question |
# |---|---|
# | 01 Autograd from scratch | how does `backward` know? You write the machine yourself |
# | 02 Do you trust that gradient? | how would you notice if it were wrong? |
# | 03 Convolution | the same multiplications, ten thousand times faster: where did the time go? |
# | 04 Transposed convolution | what is transposed in it, and where do checkerboards come from? |
# | 05 Deconvolution is not transposed convolution | then how *do* you undo a blur? |
# | 06 Denoise a photograph | why is the network ahead of the classics, and where does it fail? |
#
# `make docs` builds the rest of the documentation as a small site: the reference, the design, a
# page of myths (what popular articles get wrong, each with two lines that show it), and a glossary
# in English and Chinese.
#
# ## 7. Exercises
#
# Write your answer in place of the three dots and run the cell. It tries your answer on new random
# numbers each time and says "Right." or what is wrong. The solution is folded below each.
#
# ### Exercise 1: your own optimizer
#
# What `optim.SGD` does, for any number of parameters. In come a loss, a list of tensors it was
# computed from, and the length of a step. Each tensor shall move a step downhill, as `p` did in
# section 2. Afterwards `.grad` shall be `None` again, as if `zero_grad` had been called: otherwise
# the next `backward` adds to it.
#
# For instance, a parameter of 3 with the gradient 10 and `rate=0.1` becomes 2.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Two steps of a line that is fitted to random points; the gradient by hand."""
    (x, target), (slope, height) = rng.standard_normal((2, 8)), rng.standard_normal(2)
    rate = rng.uniform(0.05, 0.2)
    a, b = td.tensor(slope, requires_grad=True), td.tensor(height, requires_grad=True)
    for number in (1, 2):
        error = slope * x + height - target
        slope, height = slope - rate * 2 * (error * x).mean(), height - rate * 2 * error.mean()
        answer(((a * td.tensor(x) + b - td.tensor(target)) ** 2).mean(), [a, b], rate)
        expect([a.item(), b.item()], [slope, height], f"the two parameters after step {number}")
        assert a.grad is None and b.grad is None, "the gradients are still there after the step."


# %% tags=["exercise"]
def step(loss, parameters, rate):
    """Move each parameter one step downhill on the loss, and forget its gradient."""
    loss.backward()
    for p in parameters:
        p.data = ...  # yours
        p.grad = ...  # yours


check_1(step)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def step(loss, parameters, rate):
#     loss.backward()
#     for p in parameters:
#         p.data = p.data - rate * p.grad.data
#         p.grad = None
# ```
#
# The usual mistakes: `p = p - ...` gives a new tensor the name `p`, and the one in the list stays
# where it was; a plus sign goes uphill; without the last line, each step also takes all the steps
# before it once more.
#
# </details>

# %% [markdown]
# ### Exercise 2: shrink a picture
#
# Make a picture smaller by a whole number $n$: each pixel of the result is the mean of $n$ by $n$
# pixels, and these squares lie side by side. What does not fill a square, at the right and at the
# bottom, is dropped. Use `F.conv2d`: which window, which stride?
#
# A tensor of shape `(H, W)` goes in, one of `(H // n, W // n)` comes out: 7 by 9 pixels become
# 3 by 4 for $n = 2$. `td.full((a, b), value)` makes a tensor of equal numbers. And mind the
# `1, 1` in front: `picture[None, None]` has it, `result[0, 0]` takes it off again.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A random picture, against NumPy's mean over squares."""
    n, rows, columns = (int(k) for k in rng.integers(2, 5, 3))
    height, width = rows * n + rng.integers(n), columns * n + rng.integers(n)
    picture = rng.random((height, width), dtype=np.float32)
    squares = picture[: rows * n, : columns * n].reshape(rows, n, columns, n)
    what = f"shrink(picture, {n}) of {height} by {width} pixels"
    expect(answer(td.tensor(picture), n), squares.mean((1, 3)), what, tolerance=1e-5)


# %% tags=["exercise"]
def shrink(picture, n):
    """The means of n by n pixels: (H, W) -> (H // n, W // n)."""
    return ...  # yours


check_2(shrink)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def shrink(picture, n):
#     window = td.full((1, 1, n, n), 1 / n**2)
#     return F.conv2d(picture[None, None], window, stride=n)[0, 0]
# ```
#
# The window adds up to one, so that a white picture stays white: `1 / n` would make it $n$ times as
# bright. With a stride of 1 the squares overlap and the picture hardly shrinks.
#
# </details>

# %% [markdown]
# ### Exercise 3: noise of a given strength
#
# Papers say "noisy, 20 dB". Make such a picture: add Gaussian noise, so that the PSNR of the result
# is (nearly) what was asked for. How strong must the noise be? Its mean square is $\sigma^2$; put
# that into the formula of section 4 and solve for $\sigma$.
#
# In come a clean picture, a number of decibels and a NumPy generator `rng`. The noisy picture comes
# out. `add_noise(clean, sigma, rng)` does the adding. For instance, 20 dB need $\sigma = 0.1$.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """A random picture and a random PSNR, which 40,000 pixels tell to a few hundredths of a dB."""
    clean, decibels = rng.random((200, 200), dtype=np.float32), rng.uniform(10, 40)
    got = np.asarray(answer(clean, decibels, rng), dtype=np.float64)
    what = f"the PSNR of noisy_at(clean, {decibels:.2f}, rng) in dB"
    expect(psnr(clean, got), decibels, what, tolerance=0.02)
    noise = got - clean
    assert abs(noise.mean()) < noise.std() / 10, "noise should be 0 in the mean."
    near = (abs(noise) < noise.std()).mean()  # 68 % of a bell curve
    assert 0.65 < near < 0.71, f"{near:.0%} of the noise is below one sigma: not a bell curve."


# %% tags=["exercise"]
def noisy_at(clean, decibels, rng):
    """The clean picture with Gaussian noise, its PSNR as many decibels as asked for."""
    return ...  # yours


check_3(noisy_at)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def noisy_at(clean, decibels, rng):
#     sigma = 10 ** (-decibels / 20)
#     return add_noise(clean, sigma, rng)
# ```
#
# The formula says $\text{PSNR} = -10 \log_{10} \sigma^2 = -20 \log_{10} \sigma$. With 10 in place
# of 20 you get the variance and use it as a standard deviation, the usual mistake. Without the
# minus sign, the better the PSNR asked for, the louder the noise.
#
# </details>

# %% [markdown]
# ## Check

# %%
assert (td.tensor([1.0, 2.0]) * 2).tolist() == [2, 4]
x = td.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2, 4] and np.allclose(x.grad, moved, atol=0.002)
assert np.allclose(path[-1], [1, -0.5], atol=0.2) and np.allclose(path[-1], q.tolist())

assert small.shape == (63, 79) and back.shape == crop.shape == (128, 160)
assert np.isclose(there, and_back, rtol=1e-12) and np.isclose(there, the_same.item(), rtol=1e-12)
assert np.allclose(image.grad[0, 0], painted[0, 0])
assert np.isclose(back[2:-2, 2:-2].mean(), crop.mean(), rtol=0.05)  # as bright, though blurred
assert psnr(crop[2:-2, 2:-2], back[2:-2, 2:-2]) < 35  # and blurred

assert np.isclose(losses[0], SIGMA**2, rtol=0.1)  # at first the network changes nothing
assert np.isclose(by_hand, psnr(clean, noisy))
quality = {name: psnr(clean, version) for name, version in images.items()}
assert quality["network"] > quality["noisy"] + (4 if FAST else 8)
assert FAST or quality["network"] > max(quality["bilateral"], quality["total variation"])
print("All checks passed.")
