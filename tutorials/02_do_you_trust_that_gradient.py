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
# # 02 · Do you trust that gradient?
#
# **The question.** Somebody hands you the derivative of a function. It looks plausible, it has the
# right shape, and training with it works. Is it right?
#
# A wrong gradient does not crash. That is what makes it dangerous: everything works, a bit worse,
# for months. This notebook is about the one good habit against it: **compare the gradient with the
# function itself**. The idea takes one line. Doing it well takes a few more ideas, and every one of
# them has bitten real libraries. At the end, seven operations are waiting for you. Five of them are
# wrong.
#
# - **You need:** notebooks 00 and 01 (a convolution, an optimizer; what an `Op` is, and its
#   `backward`), Taylor's series, and that $i^2 = -1$.
# - **Time:** 120 minutes; the seven suspects and the exercises take half of them.
# - **Afterwards you can** check any gradient against differences with the right step, say what such
#   a check cannot see, and test the transpose of a linear map without any differences.

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
import warnings

import matplotlib.pyplot as plt
import numpy as np

import tinydeconv as td
from tinydeconv import nn, optim, viz
from tinydeconv.exercises import UNTOUCHED, exercise, expect
from tinydeconv.geometry import ConvGeometry
from tinydeconv.gradcheck import (
    GradcheckError,
    GradcheckWarning,
    adjointcheck,
    gradcheck,
    gradgradcheck,
    step_curve,
)
from tinydeconv.kernels import reference
from tinydeconv.nn import functional as F
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE

# %% [markdown]
# ## 1. A wrong gradient trains
#
# The derivative of $y = \tanh x$ is $1 - y^2$. Somebody wrote it in a hurry. (`keeps` says what the
# backward reads. Left out, it is `("inputs", "output")`: everything. An op declares less to save
# memory.)


# %% tags=["gallery"]
class Tanh(td.Op):
    keeps = ("output",)

    def forward(self, x):
        return np.tanh(x)

    def backward(self, g, y, x, needs):
        return g * (1 - y * y)


class HastyTanh(Tanh):
    def backward(self, g, y, x, needs):
        return g * (1 - y)  # the square got lost


def fit(activation, steps):
    """The losses of a network with 16 hidden units that learns one period of a sine."""
    td.manual_seed(0)
    x = td.linspace(-3, 3, 60).reshape(-1, 1)
    first, last = nn.Linear(1, 16), nn.Linear(16, 1)
    adam = optim.Adam([*first.parameters(), *last.parameters()], lr=0.01)
    losses = []
    for _ in range(steps):
        y = last(activation()(first(x)))
        loss = F.mse_loss(y, x.sin())
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses


good = fit(Tanh, 1000)
hasty = fit(HastyTanh, 1000)

_, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
ax.semilogy(good, "-", color=BLUE, label="right gradient: $1 - y^2$")
ax.semilogy(hasty, "--", color=ORANGE, label="wrong gradient: $1 - y$")
ax.set(xlabel="step", ylabel="mean squared error", title="Both networks learn")
ax.legend()
viz.show(
    "The losses of two networks over 1000 steps, on a logarithmic axis. Both fall steeply at "
    "first. Then the one with the wrong gradient levels off, and the other goes on falling far "
    "below it."
)

# %% [markdown]
# **What to see.** Both losses fall by a factor of ten in the first steps. Then the wrong one
# stalls. With only the orange curve before you, would you have suspected the gradient? Or the
# learning rate, the number of units, the data?

# %% [markdown]
# ## 2. Look at the function itself
#
# A derivative is a promise about the function: *move $x$ by a little $h$, and $f$ moves by about
# $h$ times me*. So move $x$ and look. Two ways to do it:
#
# $$\text{forward: } \frac{f(x+h) - f(x)}{h} \qquad\qquad
#   \text{central: } \frac{f(x+h) - f(x-h)}{2h}$$


# %%
def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


x, h = 1.0, 0.7
around = np.linspace(-0.2, 2.2, 100)
_, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
ax.plot(around, np.sin(around), color=GREY, lw=3, label="f = sin")
lines = [
    ("the truth", np.cos(x), BLUE, "-"),
    ("forward", forward_difference(np.sin, x, h), ORANGE, "--"),
    ("central", central_difference(np.sin, x, h), GREEN, "-."),
]
for name, slope, colour, style in lines:
    tangent = np.sin(x) + slope * (around - x)
    ax.plot(around, tangent, style, color=colour, label=f"{name}: slope {slope:.3f}")
ax.plot([x - h, x, x + h], np.sin([x - h, x, x + h]), "o", color="black")
ax.set(xlabel="x", ylabel="f(x)", ylim=(-0.2, 1.6))
ax.set_title(f"Slopes at x = 1 from a (large) step h = {h}")
ax.legend(loc="upper left")
viz.show(
    "The curve of the sine with three straight lines through its point at x = 1: the tangent, the "
    "slope by forward difference, which is too flat, and the one by central difference, which is "
    "close to the tangent. Three dots on the curve mark x - h, x and x + h."
)

# %% [markdown]
# **What to see.** The forward slope uses the middle and the right dot, so it tilts where the curve
# bends. The central slope is that of the line through the two outer dots (drawn here through the
# middle one), and the bends on the two sides nearly cancel.
#
# Taylor's series says how well:
#
# $$\frac{f(x+h) - f(x)}{h} = f' + \frac{h}{2} f'' + \dots$$
#
# $$\frac{f(x+h) - f(x-h)}{2h} = f' + \frac{h^2}{6} f''' + \dots$$
#
# For the sine at 1, $f''' = -\cos 1 \approx -0.54$. So with $h = 1/1000$ the central difference is
# off by about $10^{-6}/6 \cdot 0.54 = 9\cdot10^{-8}$. Then let us take $h = 10^{-15}$ and have all
# the digits there are. Do we?

# %%
truth = np.cos(1.0)
for h in (1e-1, 1e-3, 1e-5, 1e-8, 1e-11, 1e-15):
    f, c = forward_difference(np.sin, 1.0, h), central_difference(np.sin, 1.0, h)
    print(f"h = {h:.0e}   forward is off by {abs(f - truth):.0e}, central by {abs(c - truth):.0e}")

# %% [markdown]
# ## 3. The step-size curve
#
# It gets better, and then worse again. A computer keeps only about 16 digits of a number (7 in
# float32). It rounds $f(x+h)$ and $f(x-h)$ in the last of them. Subtracting two nearly equal
# numbers throws the equal leading digits away and leaves the rounding, which is then divided by a
# tiny $h$.
#
# Call $\epsilon$ the relative distance between neighbouring numbers: $2.2\cdot10^{-16}$ in float64
# and $1.2\cdot10^{-7}$ in float32. Then, up to factors near one:
#
# | | too large a step | too small a step | the two are equal at | where the error is |
# |---|---|---|---|---|
# | forward | $h$ | $\epsilon/h$ | $h = \epsilon^{1/2}$ | $\epsilon^{1/2}$ |
# | central | $h^2$ | $\epsilon/h$ | $h = \epsilon^{1/3}$ | $\epsilon^{2/3}$ |
#
# (Press et al., *Numerical Recipes*, 3rd edition 2007, section 5.7.) Measured:

# %% tags=["gallery"]
steps = np.logspace(-16, 0, 97)


def errors(difference, dtype):
    """The relative error of a difference quotient of sin at 1, for each step."""
    one = dtype(1)
    slopes = np.array([difference(np.sin, one, dtype(h)) for h in steps], dtype=np.float64)
    return np.maximum(abs(slopes / truth - 1), 1e-17)  # so that a lucky 0 can be drawn


figure, axes = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained", sharey=True)
curves = {}
for ax, dtype in zip(axes, (np.float64, np.float32)):
    eps = np.finfo(dtype).eps
    for name, difference, colour, marker, power in [
        ("forward", forward_difference, ORANGE, "s", 1),
        ("central", central_difference, BLUE, "o", 2),
    ]:
        curves[name, dtype] = errors(difference, dtype)
        ax.loglog(steps, curves[name, dtype], marker, ms=4, color=colour, label=name)
        best = eps ** (1 / (power + 1))
        ax.axvline(best, color=colour, ls=":", label=rf"$\epsilon^{{1/{power + 1}}}$")
        ax.loglog(steps, steps**power / 2, "-", color=colour, lw=1, label=f"~ $h^{power}$")
    ax.loglog(steps, eps / steps / 2, "--", color=GREY, lw=1, label=r"~ $\epsilon/h$")
    ax.set(xlabel="step h", ylim=(1e-14, 10), title=f"{np.dtype(dtype)}")
axes[0].set_ylabel("relative error of the slope")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=7)
viz.show(
    "Errors of forward and central differences against the step, on logarithmic axes, for float64 "
    "and for float32. Each falls along a straight line to a lowest point near the dotted line, and "
    "left of it rises again, scattered along another straight line. In float32 all lies higher."
)

# %% [markdown]
# **What to see.** Each curve is a valley. On the right slope rules *truncation*, the bend of the
# function: the error falls by 10 (forward) or by 100 (central) when the step gets 10 times smaller.
# On the left slope rules *rounding*. The dotted lines are $\epsilon^{1/2}$ and $\epsilon^{1/3}$:
# the bottoms of the valleys. In float32 the valleys are shallow, and they lie somewhere else. (At
# the far left of float32, $x + h$ is rounded to $x$: nothing moves, the slope is 0, and the error
# is 100 %.)
#
# Two rules to take home:
#
# - **Central differences, in float64, with $h$ near $10^{-5}$ or $10^{-6}$.** Ten digits are right
#   there.
# - **Never in float32.** At $x = 10$ the neighbouring numbers are $10^{-6}$ apart. Such a step can
#   hardly be taken at all:

# %%
for x in np.float32([1, 10, 100]):
    noisy = central_difference(np.sin, x, np.float32(1e-6))
    print(f"float32, h = 1e-6, at x = {x:3g}: slope {noisy:6.3f}, the truth is {np.cos(x):6.3f}")

# %% [markdown]
# For that reason the library refuses:

# %%
try:
    gradcheck(td.sin, td.tensor([1.0], requires_grad=True))
except TypeError as error:
    print("TypeError:", error)

# %% [markdown]
# The library's version of the curve is `step_curve`. Here for a function of the kind that you will
# really want to check, a convolution followed by `tanh`:

# %%
rng = np.random.default_rng(0)


def tensor(*shape):
    """A float64 tensor of random numbers that requires grad."""
    return td.tensor(rng.standard_normal(shape), requires_grad=True)


image, kernel = tensor(1, 2, 8, 8), tensor(3, 2, 3, 3)
h, forward, central = step_curve(lambda x, w: Tanh()(F.conv2d(x, w)), (image, kernel))
_, _, plateau = step_curve(lambda x, w: HastyTanh()(F.conv2d(x, w)), (image, kernel))

_, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
ax.loglog(h, forward, "s", ms=4, color=ORANGE, label="Tanh, forward")
ax.loglog(h, central, "o", ms=4, color=BLUE, label="Tanh, central")
ax.loglog(h, plateau, "x", ms=5, color=PURPLE, label="HastyTanh, central")
ax.set(xlabel="step h", ylabel="relative error", title="tanh(conv2d(x, w)), one direction")
ax.legend()
viz.show(
    "Errors against the step on logarithmic axes, for tanh of a convolution. Forward and central "
    "differences make two valleys for the right gradient. For the wrong gradient the crosses lie "
    "on a level line near 1, whatever the step."
)

# %% [markdown]
# **What to see.** The same two valleys, for a function of 182 numbers. The wrong gradient (purple
# crosses) has no valley: whatever the step, differences and gradient never come together. That is
# how a wrong gradient differs from a badly chosen step.
#
# (At the command line, `tinydeconv gradcheck tanh --plot curve.png` draws such valleys.)

# %% [markdown]
# ## 4. A difference without a subtraction
#
# Must there be a valley? Rounding hurts only because we *subtract*. Take a step in a direction
# where there is nothing to subtract: sideways, into the complex numbers.
#
# $$f(x + ih) = f(x) + ih\,f'(x) - \frac{h^2}{2} f''(x) - \dots$$
#
# $$\Longrightarrow\qquad \frac{\operatorname{Im} f(x + ih)}{h} = f'(x) + O(h^2)$$
#
# The imaginary part holds the derivative and nothing else (Lyness and Moler 1967; Squire and Trapp,
# *SIAM Review* 40, 1998). No digits are lost, so $h$ may be as small as we like:


# %%
def complex_step(f, x, h):
    return f(x + 1j * h).imag / h


tiny = np.logspace(-40, 0, 81)
sideways = np.array([abs(complex_step(np.sin, 1.0, h) / truth - 1) for h in tiny])

_, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for name, colour, marker in [("forward", ORANGE, "s"), ("central", BLUE, "o")]:
    ax.loglog(steps, curves[name, np.float64], marker, ms=3, color=colour, label=name)
ax.loglog(tiny, np.maximum(sideways, 1e-17), "^", ms=5, color=GREEN, label="complex step")
ax.set(xlabel="step h", ylabel="relative error", ylim=(3e-18, 10), title="No valley: float64")
ax.legend()
viz.show(
    "Errors against the step on logarithmic axes. Forward and central differences make valleys. "
    "The complex step falls with the central differences, then stays at the last digit down to "
    "steps of 1e-40."
)

# %% [markdown]
# **What to see.** The green triangles fall with $h^2$ like the central differences, then stay at
# the level of the last digit (zero errors are drawn at $10^{-17}$), however small the step. There
# is no best step to look for. Take $h = 10^{-100}$ and forget about it.
#
# It works for every formula of $+, -, \times, /$, `exp`, `sin`, `tanh`, matrix products, if the
# code lets complex numbers through. Tensors do not: they hold real numbers. But the kernels below
# them are plain array functions that do not mind. So we can ask the convolution that the whole
# library stands on for its derivative, to the last digit:

# %%
geometry = ConvGeometry.of_conv(big=(8, 8), kernel=(3, 3), stride=(2, 1), padding=1)
c = rng.standard_normal((1, 3, *geometry.small))  # any weights of the outputs


def f(x, w):
    """A number: the outputs of tanh(conv(x, w)), weighted with c. (NumPy arrays)"""
    return (c * np.tanh(reference.conv(x, w, geometry))).sum()


y = F.conv2d(image, kernel, stride=(2, 1), padding=1).tanh()
gx, gw = td.grad(y, (image, kernel), td.tensor(c))

direction = rng.standard_normal(image.shape)  # move all pixels at once
x, w, h = image.data, kernel.data, 1e-100
measured = f(x + 1j * h * direction, w).imag / h
promised = (gx.numpy() * direction).sum()
print("complex step:", measured)
print("backward:    ", promised)
by_complex_step = abs(measured / promised - 1)

# %% [markdown]
# But mind the functions that are not smooth formulas. `abs` of a complex number is its length,
# which has no imaginary part:

# %%
print("slope of |x| at 3 by complex step:", complex_step(abs, 3.0, 1e-100))

# %% [markdown]
# Zero, and wrong. The same goes for `max`, comparisons, and complex conjugates. Differences work
# for everything, and so they are what a general checker uses.

# %% [markdown]
# ## 5. Many numbers in, many numbers out
#
# **Many outputs.** `backward` starts with a gradient $c$ of the outputs, the *cotangent*. It then
# computes the gradient of the one number $\langle c, f(x)\rangle = \sum_i c_i f_i(x)$. So that is
# the function to take differences of.
#
# **Many inputs.** Either move each input by itself, or move all together along one random direction
# $v$:
#
# $$\langle v, \text{gradient}\rangle \;\overset{?}{=}\;
#   \frac{\langle c, f(x + h v)\rangle - \langle c, f(x - h v)\rangle}{2h}$$
#
# Here is a whole checker:


# %%
def check(function, x, c, directions=None, h=1e-6):
    """Pairs (slope promised by backward, slope measured), one for each element or direction."""
    (gradient,) = td.grad(function(x), x, td.tensor(c))
    if directions is None:
        moves = np.eye(x.numel()).reshape(-1, *x.shape)  # each element by itself
    else:
        moves = rng.standard_normal((directions, *x.shape))

    def value(array):
        return (c * function(td.tensor(array)).numpy()).sum()

    promised = [(gradient.numpy() * v).sum() for v in moves]
    measured = [(value(x.data + h * v) - value(x.data - h * v)) / (2 * h) for v in moves]
    return np.array(promised), np.array(measured)


x, c = tensor(4), rng.standard_normal(4)
gap = {}  # between the two
for name, activation in [("Tanh", Tanh()), ("HastyTanh", HastyTanh())]:
    promised, measured = check(activation, x, c)
    gap[name] = abs(promised - measured).max()
    print(f"{name}\n  backward    {promised.round(6)}\n  differences {measured.round(6)}")

# %% [markdown]
# There it is. Two runs of the function for each element: fine for 4, too much for a million. One
# random direction costs two runs in all. What do we lose?
#
# Say one element of the gradient is twice what it should be, and the other $n - 1$ are right.
# Alone, that element is off by 100 %. Along a random direction its error drowns in the sum of all
# the others:


# %%
def seen(n):
    """The error that one random direction shows, if one of n elements of a gradient is doubled."""
    gradient, v = rng.standard_normal((2, n))
    gradient[0] = 1
    error = v[0] * gradient[0]  # what doubling the first element adds to the slope
    return abs(error) / np.linalg.norm(gradient)  # relative to the size that slopes have


sizes = [10**k for k in range(1, 5 if FAST else 6)]
trials = [[seen(n) for _ in range(40)] for n in sizes]

_, ax = plt.subplots(figsize=(7.5, 3.8), layout="constrained")
for n, found in zip(sizes, trials):
    label = "one random direction, 40 tries" if n == sizes[0] else None
    ax.loglog([n] * len(found), found, "o", ms=5, alpha=0.5, color=ORANGE, mew=0, label=label)
ax.loglog(sizes, np.power(sizes, -0.5), "--", color=GREY, label=r"$1/\sqrt{n}$")
ax.loglog(sizes, np.ones(len(sizes)), "s-", color=BLUE, label="element by element")
ax.axhline(1e-3, color="black", ls=":", label="a usual tolerance, 1e-3")
ax.set(xlabel="number of inputs n", ylabel="relative error of the slope")
ax.set_title("One element of the gradient is doubled: who sees it?")
ax.legend(fontsize=9)
viz.show(
    "The error that is seen, against the number of inputs, on logarithmic axes. Element by element "
    "it stays at 1. Forty dots for each size, one a random direction, scatter about the line of "
    "one over the root of n, some of them far below it."
)

# %% [markdown]
# **What to see.** Each dot is a try. Element by element, the error is 1 whatever the size. One
# random direction sees it shrink like $1/\sqrt n$, and now and then, by bad luck, much more. So:
#
# - **small inputs, element by element**, to find bugs in an operation. Nothing hides there;
# - **random directions** for a whole network on real data, where a bug of an operation shows in
#   *many* elements, and one direction sees it almost surely.
#
# In the library, both are `gradcheck` (also `td.gradcheck`). It takes a function or a `Module` and
# checks the parameters too:

# %%
network = nn.Sequential(
    nn.Conv2d(1, 4, 3, padding=1), nn.Tanh(), nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)
).double()
print(gradcheck(network, tensor(2, 1, 5, 5)))

# %% [markdown]
# *Analytic* is what `backward` says, *numeric* the central difference. The *relative error* is
#
# $$\frac{|\text{analytic} - \text{numeric}|}{|\text{numeric}| + \text{atol}/\text{rtol}} ,$$
#
# and up to `rtol` ($10^{-3}$) it is right. Multiply it out, and you have PyTorch's criterion,
# |analytic - numeric| $\le$ atol + rtol |numeric|. `atol` ($10^{-5}$) is for slopes near zero: next
# to them even rounding would look large. The line of a tensor shows its worst element.

# %%
big = tensor(1, 1, 64, 64)
print(gradcheck(network, big, directions=3))

# %% [markdown]
# And when something is wrong:

# %%
try:
    gradcheck(HastyTanh(), tensor(2, 3))
except GradcheckError as error:
    print(error)

# %% [markdown]
# ## 6. The check that proves nothing
#
# Why did we take a *random* cotangent $c$? The obvious choice is to sum the outputs,
# $c = (1, 1, \dots)$. Here is a softmax whose author never got round to the backward:


# %%
class UnfinishedSoftmax(td.Op):
    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def backward(self, g, y, x, needs):
        return 0 * g  # to do


x = tensor(5)
promised, measured = check(UnfinishedSoftmax(), x, c=np.ones(5))
print("with ones:   backward", promised, " differences", measured.round(9))
gap["ones"] = abs(promised - measured).max()
promised, measured = check(UnfinishedSoftmax(), x, c=rng.standard_normal(5))
print("with random: backward", promised, " differences", measured.round(9))
gap["random"] = abs(promised - measured).max()

# %% [markdown]
# With ones, it passes with flying colours! The outputs of a softmax always add up to 1. So their
# sum never moves, its derivative *is* zero, and the check compares zero with zero. (Batch norm is
# the other famous case: it makes the sum of its outputs zero, whatever comes in.)
#
# A random cotangent has no such blind spot; the library always draws one. But you can still build
# the trap yourself, with a `.sum()` inside. Then the library says so:


# %%
def report(check, *arguments, **options):
    """The report of a check, whatever it found."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradcheckWarning)
        return check(*arguments, raise_exception=False, **options)


nothing = report(gradcheck, lambda x: x.softmax(0).sum(), x)
print(nothing)

# %% [markdown]
# **A check that cannot fail is not a check.** When you write one, break the code on purpose and
# watch it go red. Then mend it again.
#
# ## 7. Kinks
#
# `relu(x)` is $\max(x, 0)$. What is its slope at 0?

# %% tags=["gallery"]
h = 0.25
at = np.linspace(-1, 1, 401)


def relu(x):
    return np.maximum(x, 0)


_, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
left.plot(at, relu(at), color=GREY, lw=3, label="relu")
left.plot([-h, h], relu(np.array([-h, h])), "o--", color=ORANGE, label="central difference: 1/2")
left.set(xlabel="x", ylabel="relu(x)", title="At the kink, the central difference cuts the corner")
left.legend()
right.plot(at, at > 0, color=BLUE, lw=2, label="backward")
right.plot(at, central_difference(relu, at, h), "--", color=ORANGE, label="central difference")
right.axvspan(-h, h, color=GREY, alpha=0.15, label="closer than h to the kink")
right.set(xlabel="x", ylabel="slope", title="Closer than a step, they disagree")
right.legend(loc="upper left")
viz.show(
    "Left, the relu with a dashed line from a point left of its corner to one right of it: the "
    "line cuts the corner. Right, the slope: backward jumps from 0 to 1 at zero, the central "
    "difference goes up in a straight line across a shaded band as wide as two steps."
)

# %% [markdown]
# **What to see.** Left: the step goes to both sides of the corner and measures $1/2$, which is the
# slope nowhere. Right: that happens everywhere in the grey band, $|x| < h$. (Here $h$ is huge, so
# that it can be seen.) `backward` says 0 at the kink itself, by convention, as PyTorch does.
#
# Neither is a bug: at a kink there is no derivative to be right about. A checker that shouts
# "wrong" here cries wolf, and soon nobody listens. So the library looks left and right separately,
# and with a finer step, before it judges:

# %%
kink = report(gradcheck, lambda x: x.relu(), td.tensor([-1.0, 0.0, 2.0]).double().requires_grad_())
print(kink)

# %% [markdown]
# (The slopes are those of $\langle c, f(x)\rangle$: 0 and 1 times the random cotangent of this
# element.)
#
# What to do about it: move your test inputs away from the corners. Random numbers hardly ever sit
# on one, but zeros, whole numbers and equal elements (`max`!) do.
#
# ## 8. The second derivative
#
# In notebook 01 gradients could be differentiated again. There is a bug that only shows then:


# %%
class HalfExp(td.Op):
    """exp(x), kept for the backward as a plain array."""

    def forward(self, x):
        self.kept = np.exp(x)
        return self.kept

    def backward(self, g, y, x, needs):
        return g * td.tensor(self.kept)


print(gradcheck(lambda x: HalfExp()(x), tensor(3)))

# %% [markdown]
# Perfect. But `self.kept` is a plain array: it does not remember that it came from $x$. So whoever
# differentiates this gradient is told that $e^x$ is a constant. When does anybody do that? Newton's
# method does: it looks for the minimum of a function by $x \leftarrow x - f'/f''$. Take
#
# $$f(x) = e^{x^2/2} - x .$$


# %%
def newton(exp, steps=6):
    """The way of x from 0 to the minimum of exp(x²/2) - x."""
    x, way = td.tensor(np.array(0.0), requires_grad=True), []
    for _ in range(steps):
        f = exp(x * x / 2) - x
        (slope,) = td.grad(f, x, create_graph=True)
        (bend,) = td.grad(slope, x)
        x = td.tensor(x.data - slope.data / bend.data, requires_grad=True)
        way.append(x.item())
    return np.array(way)


minimum = newton(td.exp, 20)[-1]
off = {
    "exp": abs(newton(td.exp) - minimum),
    "HalfExp": abs(newton(lambda x: HalfExp()(x)) - minimum),
}
print("distance from the minimum, step by step")
for name, distances in off.items():
    print(f"{name:8}", "  ".join(f"{d:.0e}" for d in distances))

# %% [markdown]
# The right one doubles its correct digits with each step, as Newton's method is famous for. The
# wrong one creeps up: everything works, a bit worse. (Gradient penalties, Hessian-vector products
# and meta-learning differentiate gradients too.) `gradgradcheck` treats the gradient as the
# function and checks *its* gradient:

# %%
second = report(gradgradcheck, lambda x: HalfExp()(x), tensor(3))
print(second)

# %% [markdown]
# Read the first line: at first order all was well. `inputs[0]` is $x$, where the gradient should
# change and does not. `grad_outputs[0]` is the incoming gradient $g$.
#
# The cure is the library's one rule for ops: **what an op keeps on itself may be read by a forward
# only.** A backward combines the Tensors it is given: `return g * y`.
#
# ## 9. Linear? Then no differences at all
#
# Many ops are *linear*: sum, reshape, broadcast, padding, convolution. The backward of a linear map
# $A$ is its transpose (or *adjoint*) $A^\top$, the map for which
#
# $$\langle A x,\, y\rangle = \langle x,\, A^\top y\rangle \qquad\text{for all } x, y.$$
#
# Both sides can simply be computed, with random $x$ and $y$. No step, no truncation: they must
# agree to the last digits. (Geophysicists call it the *dot-product test*; Claerbout, *Earth
# Soundings Analysis*, 1992.) The transpose of a convolution is, of course, the transposed
# convolution:

# %%
w = tensor(4, 2, 3, 3)
transposed = report(
    adjointcheck,
    lambda x: F.conv2d(x, w, stride=2, padding=1),
    lambda y: F.conv_transpose2d(y, w, stride=2, padding=1, output_size=(8, 8)),
    tensor(1, 2, 8, 8),
)
print(transposed)

# %% [markdown]
# The first line checks that $A$ is linear at all, the second the two sums. Here the errors are
# relative to the norms, $|Au|$ and $|Au|\,|w|$.
#
# ## 10. Seven suspects
#
# Here are seven operations that an honest colleague has written. **Five of them are wrong.** All
# have the right shapes, and none of them crashes.


# %%
class Swish(td.Op):
    """x times sigmoid(x)."""

    def forward(self, x):
        return x / (1 + np.exp(-x))

    def backward(self, g, y, x, needs):
        s = x.sigmoid()
        return g * (s + y * (1 - s))


class RowSoftmax(td.Op):
    """exp(x) / sum(exp(x)) of each row."""

    keeps = ("output",)

    def forward(self, x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def backward(self, g, y, x, needs):
        return g * y * (1 - y)


class Scale(td.Op):
    """Each column of x (N, C) times its own factor w (C,)."""

    def forward(self, x, w):
        return x * w

    def backward(self, g, y, x, w, needs):
        return g * w, (g * x).mean(0)


class LogCosh(td.Op):
    """log(cosh(x)): like x² / 2 near 0, like |x| far away."""

    def forward(self, x):
        return np.logaddexp(x, -x) - np.log(2)  # cosh itself would overflow

    def backward(self, g, y, x, needs):
        return g * x.tanh()


class Huber(td.Op):
    """x² / 2 from -1 to 1, continued by straight lines."""

    def forward(self, x):
        return np.where(abs(x) <= 1, x * x / 2, abs(x) - 0.5)

    def backward(self, g, y, x, needs):
        return g * td.where(abs(x) <= 1, x, 1)


class Blur(td.Op):
    """Each number of a row mixed with its two neighbours on the left, round and round."""

    linear = True

    def forward(self, x):
        return 0.5 * x + 0.3 * np.roll(x, 1, axis=-1) + 0.2 * np.roll(x, 2, axis=-1)

    def backward(self, g, y, x, needs):
        return Blur()(g)


class Bell(td.Op):
    """exp(-x² / 2), the bell curve."""

    def forward(self, x):
        return np.exp(-x * x / 2)

    def backward(self, g, y, x, needs):
        return -g * x * y.detach()  # detach: saves memory


# %% [markdown]
# Your tools, with fresh random inputs (numbers between about -0.5 and 0.5):
#
# ```python
# print(report(gradcheck, lambda x: Swish()(x), small(3, 4)))
# print(report(gradgradcheck, lambda x: Swish()(x), small(3, 4)))
# print(report(adjointcheck, lambda x: Blur()(x), lambda y: Blur()(y), small(3, 4)))
# ```
#
# Below a wrong gradient the report says what it can tell from the numbers. Sometimes that names the
# mistake (a factor, numbers in another order), sometimes it only counts the wrong elements, and the
# thinking is yours. Remember that a check sees only the inputs you give it.
#
# Mend a culprit in a cell of your own (`class Mended(RowSoftmax): ...`), so that the check at the
# end still finds the original. Write down whom you find guilty:


# %%
def small(*shape):
    return td.tensor(rng.standard_normal(shape) / 4, requires_grad=True)


guilty = set()  # names, such as {"Swish"}

print(report(gradcheck, lambda x: Swish()(x), small(3, 4)))

# %% [markdown]
# <details><summary><b>The solution</b> (try first!)</summary>
#
# - **RowSoftmax** fails `gradcheck`. In a softmax every output depends on *every* input. The
#   backward has the diagonal of the Jacobian alone. Right:
#   `y * (g - (g * y).sum(-1, keepdim=True))`.
# - **Scale** fails for `w` only. The hint says "0.333333 times the numeric gradient": with 3 rows,
#   a mean where a sum belongs. Each factor was used in every row, so add up (notebook 01, section
#   7).
# - **Huber** passes with small inputs! They all lie between -1 and 1, where it is right. Give it
#   larger ones, on both sides: below -1 the slope is -1, not 1. *A check sees only the branches
#   that its inputs visit.* Right: `g * x.clamp(-1, 1)`.
# - **Blur** claims to be its own transpose. That is true of a kernel that is the same from left to
#   right; this one is not. `adjointcheck` with `Blur()` for both says so. Right: roll to the other
#   side.
# - **Bell** passes `gradcheck` and fails `gradgradcheck`: the `detach` cuts the graph, and a part
#   of the second derivative is missing. Right: without it.
# - **Swish** and **LogCosh** are innocent. They only look suspicious.
#
# (Scale and Huber *pass* `gradgradcheck`: it asks whether the second derivative belongs to the
# first, not whether the first is right. You need both.)
#
# The next cell (folded) runs all that, and mends them. It prints the verdicts once `guilty` is
# filled.
#
# </details>


# %% jupyter={"source_hidden": true} tags=["hide-input"]
def large(*shape):
    return td.tensor(np.linspace(-3, 3, np.prod(shape)).reshape(shape), requires_grad=True)


def examine(op, *inputs):
    """What gradcheck and gradgradcheck find."""

    def function(*tensors):
        return op()(*tensors)

    return [report(check, function, inputs).status for check in (gradcheck, gradgradcheck)]


def as_own_transpose(op):
    return report(adjointcheck, lambda x: op()(x), lambda y: op()(y), small(3, 4)).status


class MendedSoftmax(RowSoftmax):
    def backward(self, g, y, x, needs):
        return y * (g - (g * y).sum(-1, keepdim=True))


class MendedScale(Scale):
    def backward(self, g, y, x, w, needs):
        return g * w, (g * x).sum(0)


class MendedHuber(Huber):
    def backward(self, g, y, x, needs):
        return g * x.clamp(-1, 1)


class MendedBlur(Blur):
    def backward(self, g, y, x, needs):
        return BlurToTheLeft()(g)


class BlurToTheLeft(Blur):
    def forward(self, y):
        return 0.5 * y + 0.3 * np.roll(y, -1, axis=-1) + 0.2 * np.roll(y, -2, axis=-1)

    def backward(self, g, y, x, needs):
        return MendedBlur()(g)


class MendedBell(Bell):
    def backward(self, g, y, x, needs):
        return -g * x * y


evidence = {
    op.__name__: [*examine(op, small(3, 4)), *examine(op, large(3, 4))]
    for op in (Swish, RowSoftmax, LogCosh, Huber, Blur, Bell)
}
evidence["Scale"] = [*examine(Scale, small(3, 4), small(4)), *examine(Scale, large(3, 4), large(4))]
mended = {
    op.__name__: examine(op, large(3, 4))
    for op in (MendedSoftmax, MendedHuber, MendedBlur, MendedBell)
}
mended["MendedScale"] = examine(MendedScale, large(3, 4), large(4))

really = {"RowSoftmax", "Scale", "Huber", "Blur", "Bell"}
if guilty:
    head = "small, 1st", "small, 2nd", "large, 1st", "large, 2nd"
    print(f"{'':15}", *(f"{word:14}" for word in head))
    for name, found in (evidence | mended).items():
        print(f"{name:15}", *(f"{status:14}" for status in found))
    print("Blur as its own transpose, by adjointcheck:", as_own_transpose(Blur))
    print(f"\nYou found {len(guilty & really)} of 5, and accused {len(guilty - really)} innocent.")
else:
    print("No verdict yet: name the guilty in the cell above, and run this one again.")

# %% [markdown]
# ## 11. For the wall above your desk
#
# 1. float64, central differences, $h \approx 10^{-6}$; element by element on small inputs.
# 2. A random cotangent. Never ones.
# 3. Inputs on every branch of the code, and away from kinks.
# 4. Odd sizes: a batch of 1, a stride that leaves pixels over. No square arrays, where a transpose
#    goes unnoticed.
# 5. Second order too, if anybody may ever differentiate the gradient.
# 6. Linear maps by their transpose, which is exact.
# 7. Break it on purpose once. A check that stays green then is no check.
#
# The library does all this for each of its operations: `tinydeconv gradcheck` at the command line
# walks through them all and prints the table, worst last.
#
# ## 12. Exercises
#
# Each answer is checked on new random numbers whenever you run its cell.
#
# ### Exercise 1: the gradient by differences
#
# Section 5 checks a Tensor's function. Write the half of it that needs no Tensors:
# `gradient_by_differences(f, x, c)`.
#
# - In: `f`, a function from an array to an array of perhaps another shape; `x`, a float64 array of
#   any shape; `c`, an array of the shape of `f(x)`.
# - Out: the gradient of $\langle c, f(x)\rangle$ with respect to `x`, an array of its shape, with
#   eight digits right. And `x` is to be left as it was, to the last bit.
#
# An example: `gradient_by_differences(np.exp, np.array([0.0, 1.0]), np.array([1.0, 2.0]))` is about
# `[1, 5.4365637]`, which is $[1, 2e]$.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """f(x) = exp(A x): by hand, its gradient is A^T (c exp(A x))."""
    shape = tuple(rng.integers(1, 4, rng.integers(1, 4)))  # up to three axes
    matrix = rng.standard_normal((6, np.prod(shape))) / np.prod(shape) ** 0.5

    def f(x):
        return np.exp(matrix @ x.reshape(-1)).reshape(2, 3)

    x, c = rng.standard_normal(shape), rng.standard_normal((2, 3))
    before = x.copy()
    wanted = (matrix.T @ (c * f(x)).reshape(-1)).reshape(shape)
    what = f"the gradient for an x of shape {x.shape}"
    expect(answer(f, x, c), wanted, what, tolerance=1e-8)
    assert np.array_equal(x, before), "x has changed (adding h and taking it off again rounds)."


# %% tags=["exercise"]
def gradient_by_differences(f, x, c):
    """The gradient of <c, f(x)>, an array of the shape of x; f takes and returns arrays."""
    return ...  # yours


check_1(gradient_by_differences)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def gradient_by_differences(f, x, c, h=1e-6):
#     gradient = np.empty(x.shape)
#     for i in np.ndindex(x.shape):
#         move = np.zeros(x.shape)
#         move[i] = h
#         gradient[i] = (c * (f(x + move) - f(x - move))).sum() / (2 * h)
#     return gradient
# ```
#
# Usual mistakes: a forward difference (its best step gives eight digits with luck, and most steps
# give fewer); a step so small that rounding eats the digits; the cotangent forgotten, which is the
# check with ones of section 6; one `h` below where there are two. And `x[i] += h`, because the
# caller's array moves, and because `x[i] -= h` afterwards does not always bring back the same bits.
#
# </details>
#
# ### Exercise 2: rows of length 1
#
# Cosine similarity divides each row of a matrix by its length, and so does weight normalisation
# (Salimans and Kingma, *Weight normalization: a simple reparameterization to accelerate training of
# deep neural networks*, 2016):
#
# $$y = \frac{x}{|x|}, \qquad |x| = \sqrt{x_1^2 + x_2^2 + \dots} \qquad\text{for each row } x.$$
#
# Write the backward. In: `g`, the gradient of the outputs, and `x`, both arrays of shape (N, C).
# Out: the gradient of the inputs, of the same shape.
#
# An example: for the row `x = [3, 4]`, whose length is 5, and `g = [1, 0]`, it is
# `[0.128, -0.096]`. For `g = [3, 4]` it is zero. Can you see why, before you compute anything?


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """No formula: each element is moved by itself, with the complex step of section 4."""
    x, g = rng.standard_normal((2, *rng.integers(2, 5, 2)))
    wanted = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        sideways = np.zeros(x.shape, complex)
        sideways[i] = 1e-100j
        wanted[i] = (g * unit_rows(x + sideways)).sum().imag / 1e-100
    expect(answer(g, x), wanted, f"the gradient for an x of shape {x.shape}")


# %% tags=["exercise"]
def unit_rows(x):
    return x / np.sqrt((x * x).sum(axis=-1, keepdims=True))


def unit_rows_backward(g, x):
    """The gradient of x (N, C), from the gradient g (N, C) of unit_rows(x)."""
    return ...  # yours


check_2(unit_rows_backward)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def unit_rows_backward(g, x):
#     length = np.sqrt((x * x).sum(axis=-1, keepdims=True))
#     y = x / length
#     return (g - y * (g * y).sum(axis=-1, keepdims=True)) / length
# ```
#
# An element of $x$ reaches $y$ on two roads, through the numerator and through the length, and the
# length's own gradient is $y$. What is subtracted is the part of $g$ along the row: stretching a
# row changes nothing in $y$, so the gradient has no part in that direction (and for $g$ along $x$
# it is zero). Usual mistakes: the second road forgotten, `g / length`, as in RowSoftmax above; a
# sum over all rows at once, which a matrix of one row would not show.
#
# </details>
#
# ### Exercise 3: a test that can fail
#
# Write the dot-product test of section 9, `is_transpose(forward, backward, n, m)`.
#
# - In: `forward`, a linear function from arrays of shape `(n,)` to arrays of shape `(m,)`, and
#   `backward`, one from `(m,)` to `(n,)`.
# - Out: `True` if $\langle A x, y\rangle$ and $\langle x, B y\rangle$ agree to about nine digits,
#   where $A$ is `forward` and $B$ is `backward`; otherwise `False`. You choose $x$ and $y$.
#
# A test is tested with right things and with broken ones. Yours will meet both, and some of the
# broken ones were made to pass a careless test. Some have numbers of $10^{-10}$, some of $10^{10}$.
#
# An example: `is_transpose(np.cumsum, lambda y: np.cumsum(y[::-1])[::-1], 5, 5)` is `True`.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """Matrices, each with its transpose and with things that are not."""
    n = int(rng.integers(3, 6))
    for m, scale in [(n, 1e-10), (n + 2, 1), (n, 1e10)]:
        matrix = scale * rng.standard_normal((m, n))
        element, unseen = np.zeros((2, n, m))
        element[rng.integers(n), rng.integers(m)] = scale
        unseen[:2, :2] = [[scale, -scale], [-scale, scale]]  # rows and columns add up to 0
        backs = [
            (matrix.T, "the transpose"),
            (matrix.T + element, "the transpose with one element spoiled"),
            (matrix.T + unseen, "the transpose with four elements spoiled"),
            (1.0001 * matrix.T, "the transpose times 1.0001"),
        ]
        if m == n:
            backs.append((matrix, "the matrix itself, not transposed"))
        for back, name in backs:
            got = answer(lambda x, a=matrix: a @ x, lambda y, b=back: b @ y, n, m)
            assert got is not ..., UNTOUCHED
            kind = type(got).__name__
            assert isinstance(got, bool | np.bool_), f"expected True or False, got {kind}."
            what = f"backward is {name} (numbers of about {scale:g})"
            assert got == (name == "the transpose"), f"{what}, and you say {got}."


# %% tags=["exercise"]
def is_transpose(forward, backward, n, m):
    """Whether <forward(x), y> = <x, backward(y)>, for x of shape (n,) and y of shape (m,)."""
    return ...  # yours


check_3(is_transpose)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def is_transpose(forward, backward, n, m):
#     x, y = rng.standard_normal(n), rng.standard_normal(m)
#     there, back = forward(x) @ y, x @ backward(y)
#     return abs(there - back) <= 1e-9 * np.linalg.norm(forward(x)) * np.linalg.norm(y)
# ```
#
# Usual mistakes: ones for $x$ or $y$, which do not see errors that add up to zero; `==`, since the
# two sums round differently; `np.isclose`, which besides the relative tolerance has an absolute one
# of $10^{-8}$, and calls all small numbers equal; a tolerance relative to the sum itself, which may
# be close to zero by chance (rarely, and then the test cries wolf). The norms are never close to
# zero by chance.
#
# </details>
#
# Next: **03 · Convolution.** The linear map on which all the rest stands.
#
# ## Check


# %%
def slope_of(errors, low, high):
    """How steep a curve is on logarithmic paper between two steps."""
    part = (steps >= low) & (steps <= high)
    return np.polyfit(np.log(steps[part]), np.log(errors[part]), 1)[0]


assert good[-1] < hasty[-1] / 100 and hasty[-1] < hasty[0] / 5  # it trains, and worse

for dtype, low in [(np.float64, 1e-4), (np.float32, 3e-2)]:
    eps = np.finfo(dtype).eps
    for name, power in [("forward", 1), ("central", 2)]:
        curve, best = curves[name, dtype], eps ** (1 / (power + 1))
        assert abs(slope_of(curve, low, 0.3) - power) < 0.1  # truncation
        near = (steps > best / 10) & (steps < best * 10)
        assert curve[near].min() < 10 * best**power  # the valley is where theory says
        assert np.median(curve[(steps > best / 1000) & (steps < best / 100)]) > 3 * best**power
assert abs(slope_of(curves["forward", np.float64], 1e-14, 1e-10) + 1) < 0.2  # rounding

assert sideways[tiny < 1e-9].max() < 1e-15 and by_complex_step < 1e-13
assert central.min() < 1e-8 and plateau.min() > 0.01
assert max(gap["Tanh"], gap["ones"]) < 1e-8 and min(gap["HastyTanh"], gap["random"]) > 0.01

assert 0.3 < np.median([np.median(t) * np.sqrt(n) for n, t in zip(sizes, trials)]) < 1.2
assert nothing.status == "proves nothing" and kink.status == "kink"
assert kink.comparisons[0].index == (1,)

assert off["exp"][4] < 1e-9 and off["HalfExp"][4] > 0.001
assert second.status == "wrong" and transposed.status == "right"

right, wrong = "right", "wrong"
assert evidence["Swish"] == evidence["LogCosh"] == [right] * 4
assert evidence["RowSoftmax"][0] == evidence["Scale"][0] == evidence["Blur"][0] == wrong
assert evidence["Huber"][:2] == [right, right] and evidence["Huber"][2] == wrong
assert evidence["Bell"] == [right, wrong, right, wrong]
assert as_own_transpose(Blur) == wrong
assert all(found == [right, right] for found in mended.values())
print("All checks passed.")
