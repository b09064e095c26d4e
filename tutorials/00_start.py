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
# You need: Python and a little NumPy. Time: a quarter of an hour.
#
# *To run a cell, press Shift+Enter. Change things. Nothing can break.*

# %% tags=["parameters"]
import os

FAST = os.environ.get("TINYDECONV_FAST") == "1"  # for automatic tests; leave it alone

# %%
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import SIGMA, Crops, Loader, add_noise, photograph
from tinydeconv.metrics import psnr
from tinydeconv.nn import functional as F
from tinydeconv.recipes.classical import METHODS
from tinydeconv.recipes.learned import denoise

# Colours that colour-blind readers can tell apart (Okabe and Ito, "Color Universal Design", 2008).
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#666666"

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
# The gradient points uphill. To find the bottom of a valley, walk the other way, a little at a
# time. That is all that training is:


# %%
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
plt.show()

# %% [markdown]
# **What to see.** Grey lines join points of equal height. Each step goes at a right angle to them,
# straight down, until the ground gets flat.
#
# Why `p.data = ...`, and not `p -= ...`? A Tensor is never changed in place: `p - ...` makes a new
# one, with `p` in its past. It would quietly replace the tensor that you train, so the library
# refuses `p -= ...` and says so. `p.data` is the bare array: assign to it, and `p` has new numbers
# and still no past. (The optimizer in section 4 does that for you.)
#
# How does `backward` know? That is notebook **01**: you will write the machine yourself. And how
# would you notice if it were wrong? That is notebook **02**.

# %% [markdown]
# ## 3. A convolution and its transpose
#
# A convolution slides a small window over an image and writes down one number for each place. With
# a *stride* of 2 it moves two pixels at a time, and the result has half the size. The **transposed
# convolution** goes the other way: each number paints its window back into a large image. It gave
# the library its name ("deconvolution", as some call it).

# %%
crop = td.tensor(photograph("chelsea")[60:188, 100:260].copy())
window = td.full((1, 1, 4, 4), 1 / 16)  # the mean of 4 by 4 pixels
small = F.conv2d(crop[None, None], window, stride=2, padding=1)
back = F.conv_transpose2d(small, 4 * window, stride=2, padding=1)

_, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
pictures = {"image": crop, "convolution, stride 2": small[0, 0]}
pictures |= {"transposed convolution of that": back[0, 0]}
for ax, (name, picture) in zip(axes, pictures.items()):
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1)
    ax.set_title(f"{name}\n{picture.shape[0]} x {picture.shape[1]} pixels")
    ax.set_axis_off()
plt.show()

# %% [markdown]
# **What to see.** The transposed convolution brings back the *size*, not the picture: what the
# window has blurred stays blurred. It is not the inverse. What is it, then? Take any image $x$, any
# window $w$ and any small image $y$. Multiply pixel by pixel and add up
# ($\langle\cdot,\cdot\rangle$). Then
#
# $$\langle \text{conv}(x, w),\; y\rangle \;=\; \langle x,\; \text{conv transpose}(y, w)\rangle .$$
#
# In other words: it carries numbers back the way the convolution brought them. That is just what a
# gradient needs, and so **the gradient of each is the other**. The whole library is built on this
# one idea.

# %%
x, w, y = td.randn(1, 1, 8, 8), td.randn(1, 1, 4, 4), td.randn(1, 1, 4, 4)
there = (F.conv2d(x, w, stride=2, padding=1) * y).sum()
and_back = (x * F.conv_transpose2d(y, w, stride=2, padding=1)).sum()
print(f"{there:.6f}  {and_back:.6f}")

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
# each time, so nothing can be learned by heart. Each step compares the network's answer with the
# clean piece, asks for the gradient, and moves all numbers a little downhill. (`Adam` chooses how
# far; `OneCycleLR` makes the steps larger at first and smaller at the end.) With the defaults this
# takes about a minute.

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
ax.semilogy(np.arange(len(smooth)) + width, smooth, color=BLUE, label=f"mean of {width} steps")
ax.axhline(SIGMA**2, color=ORANGE, ls="--", label="doing nothing: the variance of the noise")
ax.set(xlabel="step", ylabel="mean squared error", ylim=(4e-4, 0.04), title="The denoiser learns")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# **What to see.** The network starts on the orange line: its last layer is zero, so at first it
# changes nothing. Most is learned in the first moments; what comes later is slow and fine. (Single
# steps jump up and down, because some pieces are sky and some are grass.)
#
# Now the test, on a photograph that it has never seen. `camera` is held out: the training data
# refuses to contain it. Beside the network stand three classical methods, tuned on the same
# training photographs. PSNR measures the likeness in decibels (10 more means a tenth of the squared
# error), SSIM compares structure (1 is perfect).

# %%
clean = photograph("camera")
noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
images = {"clean": clean, "noisy": noisy.clip(0, 1)}
images |= {name: method(noisy, SIGMA) for name, method in METHODS.items()}
images["network"] = denoise(model, noisy, SIGMA)

viz.denoise_panel(None, {"camera": images}, zoom={"camera": (80, 200, 96)})

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
        display(Image(demo))
        break

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
# ## Check

# %%
assert (td.tensor([1.0, 2.0]) * 2).tolist() == [2, 4]
x = td.tensor([1.0, 2.0], requires_grad=True)
(x * x).sum().backward()
assert x.grad.tolist() == [2, 4]
assert np.allclose(path[-1], [1, -0.5], atol=0.2)
assert small.shape == (1, 1, 64, 80) and back.shape == (1, 1, 128, 160)
assert np.isclose(there.item(), and_back.item(), rtol=1e-4)
quality = {name: psnr(clean, image) for name, image in images.items()}
assert quality["network"] > quality["noisy"] + (4 if FAST else 8)
assert FAST or quality["network"] > max(quality["bilateral"], quality["total variation"])
print("All checks passed.")
