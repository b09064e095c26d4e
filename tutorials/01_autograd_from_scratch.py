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
# # 01 · Autograd from scratch
#
# **The question.** A network is one long formula with a million knobs (its parameters) and one
# number at the end (its loss). Training asks: *if I turn this knob a little, which way does the
# loss go, and how fast?* It asks this for every knob, at every step.
#
# Turning each knob in turn and looking would cost a million runs of the network. Doing the calculus
# by hand would cost a summer. Yet every library answers for **all** knobs together in about the
# time of a few runs. This notebook builds the machine that does it, twice: first for single
# numbers, in 60 lines, then for arrays. At the end we open tinydeconv's engine, and you will find
# the same machine inside.
#
# - **You need:** Python classes, some NumPy, and the chain rule from school.
# - **Time:** 90 minutes, a third of them for the exercises.
# - **Afterwards you can** write an engine that differentiates any formula, say why each number must
#   wait for all who used it, and read the library's own.

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
import math
import random
import time

import matplotlib.pyplot as plt
import numpy as np

from tinydeconv import viz
from tinydeconv.exercises import UNTOUCHED, exercise, expect
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, RED

# %% [markdown]
# ## 1. A number that remembers where it came from
#
# Take the formula
#
# $$w = u \, (u + a), \qquad u = a\,b.$$
#
# Python would compute $w$ and forget how. We want a number that remembers two things about the step
# that made it:
#
# - its **parents**: the numbers it was computed from;
# - its **slopes**: how fast it changes when each parent changes and everything else stands still.
#   For $u = a b$ they are $\partial u/\partial a = b$ and $\partial u/\partial b = a$.
#
# Each operation knows its own slopes. That is all the calculus there will be.


# %%
class Value:
    """A number that remembers the numbers it was computed from."""

    def __init__(self, data, parents=(), slopes=(), name=""):
        self.data, self.parents, self.slopes, self.name = data, parents, slopes, name

    def __add__(self, other):
        other = as_value(other)
        return Value(self.data + other.data, (self, other), (1.0, 1.0), "+")

    def __mul__(self, other):
        other = as_value(other)
        return Value(self.data * other.data, (self, other), (other.data, self.data), "×")

    def __pow__(self, n):
        return Value(self.data**n, (self,), (n * self.data ** (n - 1),), f"power {n}")

    def tanh(self):
        y = math.tanh(self.data)
        return Value(y, (self,), (1 - y * y,), "tanh")

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -as_value(other)

    __radd__, __rmul__ = __add__, __mul__

    def pull(self, g):
        """The gradient of each parent, from the gradient g of this value: the chain rule."""
        return [g * slope for slope in self.slopes]


def as_value(x):
    return x if isinstance(x, Value) else Value(x)


# %%
a, b = Value(2.0, name="a"), Value(3.0, name="b")
u = a * b
v = u + a
w = u * v
print("w =", w.data)
print("w was made by", w.name, "from", [p.data for p in w.parents], "with slopes", w.slopes)

# %% [markdown]
# ## 2. What it remembers is a graph: draw it
#
# Follow the parents of $w$, then their parents, and so on back to $a$ and $b$. We list the numbers
# so that **each comes after those it was computed from**. (Keep an eye on this order. It will turn
# out to be the heart of the matter.)


# %%
def inputs_first(root):
    """Every number behind root, and root itself; each after its own parents."""
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


print([node.name for node in inputs_first(w)])


# %% tags=["gallery"]
def draw(root, label, title, alt):
    """The graph behind root, inputs on the left, one box a node. alt: the picture in words."""
    nodes = inputs_first(root)
    depth = {root: 0}  # the longest path from root
    for node in reversed(nodes):
        for parent in node.parents:
            depth[parent] = max(depth.get(parent, 0), depth[node] + 1)
    columns = {}
    for node in nodes:
        columns.setdefault(depth[node], []).append(node)
    place = {
        node: (-2.0 * d, 1.3 * ((len(column) - 1) / 2 - i))
        for d, column in columns.items()
        for i, node in enumerate(column)
    }
    width = 2.1 * len(columns)
    size = width, 0.6 + 1.1 * max(map(len, columns.values()))
    _, ax = plt.subplots(figsize=size, layout="constrained")
    frames = {}
    for node in nodes:
        colour = GREEN if node is root else BLUE if node.parents else ORANGE
        box = {"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": colour, "lw": 2}
        text = ax.text(*place[node], label(node), ha="center", va="center", bbox=box)
        frames[node] = text.get_bbox_patch()
    for node in nodes:
        for parent in node.parents:
            bend = 0.45 if depth[parent] > depth[node] + 1 else 0  # around the box in between
            arrow = {"arrowstyle": "-|>", "color": GREY, "connectionstyle": f"arc3,rad={bend}"}
            arrow |= {"patchA": frames[parent], "patchB": frames[node]}
            ax.annotate("", place[node], place[parent], arrowprops=arrow)
    xs, ys = zip(*place.values())
    ax.set(xlim=(min(xs) - 0.8, max(xs) + 0.8), ylim=(min(ys) - 0.9, max(ys) + 0.9), title=title)
    ax.axis("off")
    viz.show(alt)


names = {a: "a", b: "b", u: "u = a × b", v: "v = u + a", w: "w = u × v"}
draw(
    w,
    lambda node: f"{names[node]}\n= {node.data:g}",
    "w = u (u + a) with u = a b",
    "Boxes joined by arrows: a = 2 and b = 3 lead to u = 6, a and u to v = 8, u and v to w = 48.",
)

# %% [markdown]
# **What to see.** Orange boxes are inputs, the green one is the result; an arrow leads from a
# number to a number computed from it. Both $a$ and $u$ are used twice. So $a$ reaches $w$ along
# three paths: $a \to u \to w$, $a \to v \to w$ and $a \to u \to v \to w$.

# %% [markdown]
# ## 3. Walking back, and how it goes wrong
#
# The chain rule says: multiply the slopes along a path, and **add up over all paths** from the
# input to the result. For $a$ and $b$, with $a=2$, $b=3$, by hand ($w = a^2b^2 + a^2b$):
#
# $$\frac{\partial w}{\partial a} = 2ab^2 + 2ab = 48, \qquad
#   \frac{\partial w}{\partial b} = 2a^2b + a^2 = 28 .$$
#
# Now by machine. Give each number a *gradient* $g = \partial w / \partial(\text{that number})$. For
# $w$ itself it is 1. From there, each number hands to each parent its own gradient times the slope,
# and whoever is handed something adds it up. It seems natural to serve the numbers in the order in
# which the walk comes across them, starting from $w$:


# %%
def backward_as_they_come(root):
    """Wrong! Each number passes its gradient on when its turn comes: first come, first served."""
    grads, queue = {root: 1.0}, [root]
    for node in queue:  # the queue grows while we go along it
        for parent, g in zip(node.parents, node.pull(grads[node])):
            grads[parent] = grads.get(parent, 0.0) + g
            if parent not in queue:
                queue.append(parent)
    return grads


wrong = backward_as_they_come(w)
print("dw/da =", wrong[a], "   (by hand: 48)")
print("dw/db =", wrong[b], "   (by hand: 28)")

# %% [markdown]
# Wrong, and no error message. What happened? Watch $u$. The walk comes to it straight from $w$, and
# $u$ passes on what it has at that moment: $8$. Only then comes the turn of $v$, which hands $u$
# another $6$. By then $u$ has had its turn. Those $6$ never reach $a$ and $b$.
#
# A number must not speak **before it has heard from everyone who used it**. We have two ways out.
#
# **Way out 1: speak again each time something new arrives.** Then every path through the graph is
# walked by itself. The answer is right. What does it cost?


# %%
def backward_every_path(root):
    """Right, but follows every single path from root to the inputs. Also returns how many steps."""
    grads, steps, todo = {}, 0, [(root, 1.0)]
    while todo:
        node, g = todo.pop()
        steps += 1
        grads[node] = grads.get(node, 0.0) + g
        todo.extend(zip(node.parents, node.pull(g)))
    return grads, steps


grads, steps = backward_every_path(w)
print(f"dw/da = {grads[a]}, dw/db = {grads[b]}, in {steps} steps\n")


def doubled(x, times):
    for _ in range(times):
        x = x + x
    return x


for times in (4, 8, 12, 16):
    _, steps = backward_every_path(doubled(Value(1.0), times))
    print(f"{times:3} doublings x + x: {steps:7,} steps")

# %% [markdown]
# Every `x + x` doubles the number of paths. A network of 100 such layers would take longer than the
# age of the universe, although it has only 100 numbers in it.
#
# **Way out 2: serve the numbers in the right order.** Whoever used a number comes *after* that
# number in `inputs_first`. So go through that list **backwards**: consumers first. Then each number
# has heard from all its consumers when its turn comes, and it speaks once.


# %%
def backward(root, g=1.0):
    """The gradient of root with respect to every number behind it, as {number: gradient}."""
    grads = {root: g}
    for node in reversed(inputs_first(root)):
        for parent, gp in zip(node.parents, node.pull(grads[node])):
            grads[parent] = grads[parent] + gp if parent in grads else gp
    return grads


grads = backward(w)
print("dw/da =", grads[a], "  dw/db =", grads[b])

# %%
turn = {node: i for i, node in enumerate(reversed(inputs_first(w)), 1)}
draw(
    w,
    lambda node: f"{names[node]}\ngradient {grads[node]:g}\nturn {turn[node]}",
    "Consumers first: the gradient of w, and the turn in which each number speaks",
    "The same boxes, now with gradients: w has 1, then v has 6, u has 14, and at last b has 28 "
    "and a has 48.",
)

# %% [markdown]
# **What to see.** Each box has a later turn than every box its arrows lead to. $u$ waits for $v$
# (turn 2), so its gradient is complete, $8 + 6 = 14$, when it passes it on to $a$ and $b$.
#
# This walk is **reverse-mode automatic differentiation**, or *backpropagation*. It goes back to
# Linnainmaa's thesis of 1970; Griewank tells the story in *Who invented the reverse mode of
# differentiation?* (Documenta Mathematica, 2012).

# %% [markdown]
# ## 4. A long chain
#
# `inputs_first` calls itself once for each link of a chain. Python puts an end to that quite soon:

# %%
chain = Value(1.0)
for _ in range(100_000):
    chain = chain + 1
try:
    backward(chain)
except RecursionError as error:
    print("RecursionError:", error)

# %% [markdown]
# So we keep the list of things to do ourselves. Each number is put on a stack twice: first to be
# opened (push its parents on top of it), then, when everything above it is done, to be listed.


# %%
def inputs_first(root):  # noqa: F811
    """Every number behind root, and root itself; each after its own parents. No recursion."""
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


start = chain
while start.parents:
    start = start.parents[0]
print("through 100,000 additions: the gradient is", backward(chain)[start])

# %% [markdown]
# `Value`, this `inputs_first` and `backward`: that is a complete engine, in 60 lines. Karpathy's
# [micrograd](https://github.com/karpathy/micrograd) showed the world how small it can be.
#
# ## 5. It trains
#
# The smallest problem that a straight line cannot solve is *exclusive or*: answer $+1$ if exactly
# one of two switches is on, $-1$ otherwise. Four hidden units with `tanh`, and the squared error,
# summed over the four positions of the switches:

# %%
random.seed(0)
hidden = [[Value(random.gauss(0, 1)) for _ in range(3)] for _ in range(4)]
output = [Value(random.gauss(0, 1)) for _ in range(5)]
parameters = [p for unit in [*hidden, output] for p in unit]


def network(x1, x2):
    h = [(w1 * x1 + w2 * x2 + bias).tanh() for w1, w2, bias in hidden]
    return sum(w * hi for w, hi in zip(output, h)) + output[-1]


switches = [(-1, -1, -1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]  # x1, x2, the answer


def total_loss():
    return sum((network(x1, x2) - answer) ** 2 for x1, x2, answer in switches)


# %% [markdown]
# Has the walk got all the slopes right? The slow way tells: turn each knob a little, and look. (Why
# the two differ in the last digits, and how to do this well, is the subject of notebook 02.)


# %%
def turn_and_look(knob, h=1e-5):
    """The slope of the loss along one knob, from two runs of the network."""
    start = knob.data
    losses = []
    for knob.data in (start - h, start + h):
        losses.append(total_loss().data)
    knob.data = start
    return (losses[1] - losses[0]) / (2 * h)


grads = backward(total_loss())
walked, looked = [grads[p] for p in parameters], [turn_and_look(p) for p in parameters]
print(f"{2 * len(parameters)} runs: ", *(f"{slope:16.12f}" for slope in looked[:3]), " ...")
print("one walk:", *(f"{slope:16.12f}" for slope in walked[:3]), " ...")

# %% [markdown]
# Now train: turn each knob a little against its slope, again and again.

# %%
losses = []
for _ in range(100):
    loss = total_loss()
    grads = backward(loss)
    for p in parameters:
        p.data -= 0.05 * grads[p]
    losses.append(loss.data)

for x1, x2, answer in switches:
    print(f"{x1:+d} {x2:+d}   should be {answer:+d}, is {network(x1, x2).data:+.2f}")

# %% tags=["gallery"]
side = np.linspace(-1.6, 1.6, 33)
picture = [[network(x1, x2).data for x1 in side] for x2 in side]
_, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.semilogy(losses, color=BLUE)
left.set(xlabel="step", ylabel="sum of squared errors", title="The loss falls")
filled = right.contourf(side, side, picture, np.linspace(-2, 2, 21), cmap="PuOr", extend="both")
right.contour(side, side, picture, [0], colors="black")
for x1, x2, answer in switches:
    marker = {"marker": "o" if answer > 0 else "s", "facecolor": "white", "edgecolor": "black"}
    right.scatter(x1, x2, 90, **marker)
right.set(xlabel="switch 1", ylabel="switch 2", title="What the network answers", aspect="equal")
plt.colorbar(filled, ax=right, label="answer")
viz.show(
    "Left, a falling curve of the loss over 100 steps. Right, a coloured map of the answers: two "
    "purple corners with circles, two orange corners with squares, black lines between them."
)

# %% [markdown]
# **What to see.** Left: the loss, on a logarithmic scale. Right: the answer for every position of
# the switches; circles should be $+1$ (purple), squares $-1$ (orange), and the black lines are
# where the network cannot decide. No straight line separates circles from squares.

# %% [markdown]
# ## 6. From numbers to arrays: keep the rule, not the slopes
#
# One Python object for each number is far too slow for an image. We want one object for each
# *array*. What are the slopes then? For $y = \tanh(x)$ with 1000 elements there are
# $1000 \times 1000$ of them: how each $y_i$ depends on each $x_j$, the **Jacobian** matrix. Nearly
# all are zero:

# %%
x = np.array([-1.0, 0.0, 0.5, 2.0])
y = np.tanh(x)
jacobian = np.diag(1 - y**2)
print(jacobian.round(3))

# %% [markdown]
# But `backward` never looks at slopes. It only asks each node to turn the gradient $g$ of the
# output into the gradient of each parent. In terms of the Jacobian $J$ that is the product
# $g^\top J$, a *vector-Jacobian product*. For `tanh` it is `g * (1 - y**2)`: four multiplications,
# and no matrix anywhere.

# %%
g = np.array([1.0, 10.0, 100.0, 1000.0])
print(g @ jacobian)
print(g * (1 - y**2))

# %% [markdown]
# So an array node keeps a **rule**: a function from the gradient of its output to the gradients of
# its parents. And now a decision that looks small and is not: *the rule computes with our own
# arrays, not with NumPy's.* Then a gradient is itself a number that remembers where it came from.
# We come back to this in section 8.
#
# ## 7. Broadcasting, and taking it back
#
# A bias of shape `(3,)` added to a batch of shape `(4, 3)`: NumPy uses each bias four times. The
# gradient that comes back has shape `(4, 3)` and the bias has shape `(3,)`. Does it matter?

# %%
bias = np.array([0.1, 0.2, 0.3])
g = np.arange(12.0).reshape(4, 3)  # what comes back
print("a training step makes the bias", (bias - 0.01 * g).shape, "and NumPy does not complain")

# %% [markdown]
# It does: the bias has silently become four biases. What is right? Each bias is *one* number that
# was used four times. The chain rule says: add up over all uses. So **un-broadcasting is summing**:
# over the axes that broadcasting added in front, and along those that it stretched from 1.


# %%
def sum_to(g, shape):
    """The transpose of np.broadcast_to: sums what was stretched. (NumPy arrays)"""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))  # the axes in front
    stretched = tuple(axis for axis, n in enumerate(shape) if n == 1 and g.shape[axis] != 1)
    return g.sum(axis=stretched, keepdims=True)


# %%
def show_numbers(ax, array, title, colour):
    rows = np.atleast_2d(array)
    ax.imshow(np.ones_like(rows), cmap="gray", vmin=0, vmax=1)
    for (i, j), value in np.ndenumerate(rows):
        box = plt.Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=colour, lw=2)
        ax.add_patch(box)
        ax.text(j, i, f"{value:g}", ha="center", va="center")
    ax.set_title(f"{title}\nshape {array.shape}", fontsize=10)
    ax.set(ylim=(3.6, -0.6), xlim=(-0.6, 2.6))
    ax.axis("off")


_, axes = plt.subplots(1, 4, figsize=(11, 2.9), layout="constrained")
show_numbers(axes[0], bias, "bias", BLUE)
show_numbers(axes[1], np.broadcast_to(bias, (4, 3)), "forward: copied down", BLUE)
show_numbers(axes[2], g, "backward: gradient comes back", ORANGE)
show_numbers(axes[3], sum_to(g, (3,)), "summed: gradient of bias", ORANGE)
viz.show(
    "Four tables of numbers: a bias of three numbers; the same copied into four rows; a gradient "
    "of four rows, 0 to 11; and the sums of its columns, 18, 22 and 26."
)

# %% [markdown]
# **What to see.** Blue, forward: each bias is copied into four rows. Orange, backward: the four
# gradients in a column belong to one bias, so they are added: $0 + 3 + 6 + 9 = 18$.
#
# Broadcasting and summing are **transposes** of each other. Both are linear, and for every $x$ and
# $g$
#
# $$\langle \text{broadcast}(x),\, g\rangle = \langle x,\, \text{sum to}(g)\rangle .$$
#
# That is a test that needs no calculus: random numbers on both sides, and the two sums must agree.
# (The whole library rests on such pairs; the pair that gave it its name is convolution and
# *transposed* convolution.)

# %%
rng, pairs = np.random.default_rng(0), []
for small, big in [((3,), (4, 3)), ((4, 1), (4, 3)), ((), (2, 3)), ((2, 1, 3), (5, 2, 4, 3))]:
    x, g = rng.standard_normal(small), rng.standard_normal(big)
    here, there = (np.broadcast_to(x, big) * g).sum(), (x * sum_to(g, small)).sum()
    print(f"{small!s:10} -> {big!s:13} {here:.12f}  {there:.12f}")
    pairs.append((here, there))

# %% [markdown]
# Now the array engine. The walk is the one from above, unchanged: all it wants from a node is
# `parents` and `pull`.


# %%
class Array:
    """A NumPy array that remembers which arrays it was computed from, and how to go back."""

    __array_ufunc__ = None  # so that `numpy_array * Array` comes to our __rmul__

    def __init__(self, data, parents=(), rule=lambda g: (), name=""):
        self.data = np.asarray(data, dtype=np.float64)
        self.parents, self.pull, self.name = parents, rule, name

    @property
    def shape(self):
        return self.data.shape

    def __add__(self, other):
        other = as_array(other)

        def rule(g):
            return g.sum_to(self.shape), g.sum_to(other.shape)

        return Array(self.data + other.data, (self, other), rule, "add")

    def __mul__(self, other):
        other = as_array(other)

        def rule(g):
            return (g * other).sum_to(self.shape), (g * self).sum_to(other.shape)

        return Array(self.data * other.data, (self, other), rule, "mul")

    def __matmul__(self, other):
        def rule(g):
            return g @ other.T, self.T @ g

        return Array(self.data @ other.data, (self, other), rule, "matmul")

    @property
    def T(self):
        return Array(self.data.T, (self,), lambda g: (g.T,), "T")

    def sum_to(self, shape):
        if shape == self.shape:
            return self
        data = sum_to(self.data, shape)
        return Array(data, (self,), lambda g: (g.broadcast_to(self.shape),), "sum_to")

    def broadcast_to(self, shape):
        data = np.broadcast_to(self.data, shape)
        return Array(data, (self,), lambda g: (g.sum_to(self.shape),), "broadcast_to")

    def sum(self):
        return self.sum_to(())

    def tanh(self):
        y = Array(np.tanh(self.data), (self,), lambda g: (g * (1 - y * y),), "tanh")
        return y

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -as_array(other)

    def __rsub__(self, other):
        return as_array(other) + -self

    __radd__, __rmul__ = __add__, __mul__


def as_array(x):
    return x if isinstance(x, Array) else Array(x)


def grad(result, *inputs):
    """The gradients of a scalar Array, one for each input; Arrays again."""
    grads = backward(result, Array(1.0))
    return [grads[x] for x in inputs]


# %% [markdown]
# A two-layer network on a batch of 5, with the bias broadcast, all its gradients in one walk:


# %%
def loss_of(x, w1, bias, w2, target):
    error = (x @ w1 + bias).tanh() @ w2 - target
    return (error * error).sum()


rng = np.random.default_rng(1)
numbers = [rng.standard_normal(shape) for shape in [(5, 2), (2, 3), (3,), (3, 1), (5, 1)]]
x, w1, bias, w2, target = map(Array, numbers)
ours = grad(loss_of(x, w1, bias, w2, target), w1, bias, w2)
for name, gradient in zip(["w1", "bias", "w2"], ours):
    print(f"{name:5} shape {gradient.shape}\n{gradient.data.round(3)}")

# %% [markdown]
# ## 8. The derivative of a derivative
#
# In section 6 the rules were written with our own arrays: `g * (1 - y * y)` builds a graph like any
# other formula. So the gradient can be differentiated again, and again. `Value` could not do that:
# its slopes were plain numbers, which remember nothing. **Forward computes with raw numbers,
# backward with numbers that remember: that is all there is to derivatives of any order.**
#
# (In the cell below `.sum()` makes one number of 200. Each $\tanh(x_i)$ depends on its own $x_i$
# alone, so the gradient of the sum holds each one's own derivative.)

# %% tags=["gallery"]
points = Array(np.linspace(-3, 3, 200))
curves = [points.tanh()]
for _ in range(3):
    (derivative,) = grad(curves[-1].sum(), points)
    curves.append(derivative)

_, ax = plt.subplots(figsize=(7.5, 4), layout="constrained")
styles = [("tanh(x)", BLUE, "-"), ("1st", ORANGE, "--"), ("2nd", GREEN, "-."), ("3rd", RED, ":")]
for curve, (name, colour, style) in zip(curves, styles):
    ax.plot(points.data, curve.data, style, color=colour, lw=2.2, label=name)
ax.set(xlabel="x", ylabel="value", title="tanh and its derivatives, each found from the last")
ax.axhline(0, color=GREY, lw=0.8)
ax.legend(title="derivative")
viz.show(
    "Four curves over x from -3 to 3: tanh rises from -1 to 1; its 1st derivative is a bell with "
    "its peak at 0; the 2nd and 3rd swing through zero ever more often."
)

# %% [markdown]
# **What to see.** Where a curve has its peak, the next one crosses zero. By hand the first three
# derivatives are $1-t^2$, $-2t(1-t^2)$ and $(6t^2-2)(1-t^2)$ with $t = \tanh x$. The check at the
# end compares.

# %% [markdown]
# ## 9. The same machine in the library
#
# Here are three operations of tinydeconv, as they stand in `tinydeconv/ops/`:

# %%
import tinydeconv as td
from tinydeconv.ops import elementwise, maths

for op in (elementwise.Add, elementwise.Mul, maths.Sigmoid):
    print(inspect.getsource(op))

# %% [markdown]
# An `Op` has a `forward`, which sees raw arrays, and a `backward`, which sees Tensors: our rule.
# `g` is the incoming gradient and `y` the output. (`spread` and `fused` compute large arrays in
# pieces, on all cores; read them as plain calls of the formula in them.) Line by line, what is the
# same and what is better:
#
# | ours | tinydeconv | why |
# |---|---|---|
# | `rule`, a nameless function | `Op.backward` of a class | a class can be listed and tested |
# | `Array` holds parents and rule | a `Tensor` points to a `Node` | see "no cycles" below |
# | every rule calls `sum_to` | `broadcasts`, done by the walk | said once, never forgotten |
# | all gradients are computed | `needs` says which are wanted | nobody asks for the image's |
# | every input is kept | `keeps`, `linear` say what is read | memory: sums need shapes only |
# | the graph stays | the walk lets go of it | two steps' graphs never stand in memory together |
# | `inputs_first` with a stack | nodes have numbers, which are sorted | inputs are made first |
# | `backward` returns a dict | `td.grad(...)`, or `.backward()` fills `.grad` | as in PyTorch |
#
# The same numbers? Here is section 1 again. And since `loss_of` uses nothing but `@`, `+`, `-`,
# `*`, `.tanh()` and `.sum()`, it runs on Tensors as it is.

# %%
a, b = td.tensor(2.0, requires_grad=True), td.tensor(3.0, requires_grad=True)
u = a * b
w = u * (u + a)
w.backward(retain_graph=True)  # retain_graph: we still want to look at it
print("dw/da =", a.grad, "  dw/db =", b.grad)

draw(
    w.node,
    lambda node: repr(node).strip("<>"),
    "The library's graph of w = u (u + a)",
    "The boxes and arrows of section 2 again, with the library's names for them.",
)

# %% [markdown]
# **What to see.** The same graph as in section 2; the boxes are the library's `Node`s, named after
# the ops that made them.

# %%
tensors = [td.tensor(n, requires_grad=True) for n in numbers]
loss = loss_of(*tensors)
theirs = td.grad(loss, tensors[1:4])
for name, mine, library in zip(["w1", "bias", "w2"], ours, theirs):
    print(f"{name:5} largest difference {abs(mine.data - library.numpy()).max():.1e}")

# %% [markdown]
# **Letting go.** That walk has thrown the graph of `loss` away behind itself. A second walk gets
# told:

# %%
try:
    td.grad(loss, tensors[1:4])
except RuntimeError as error:
    print("RuntimeError:", error)

# %% [markdown]
# **No cycles.** Python frees an object at once when nobody points to it any more. Objects that
# point at each other in a circle must wait for the garbage collector, which comes when it likes.
# Our `tanh` made such a circle: `y` holds its rule, and the rule holds `y`. The library's nodes
# keep raw output arrays instead, and no node points to the Tensor it made.

# %%
import gc
import weakref

gc.collect()
gc.disable()
y = Array(np.zeros(3)).tanh()
our_ghost = weakref.ref(y)
y = td.zeros(3, requires_grad=True).tanh()
their_ghost = weakref.ref(y)
del y
left_behind = [our_ghost() is not None, their_ghost() is not None]
gc.enable()
print("still in memory after the last name is gone: ours", left_behind[0], "theirs", left_behind[1])

# %% [markdown]
# With images of megabytes, that decides whether training fits on your machine.
#
# **An op of your own** takes five lines, and can be differentiated as often as you like, since its
# backward is made of ops. It keeps everything for the backward, inputs and output, as long as it
# does not say `keeps`; the library's ops declare less, to save memory:


# %%
class Cube(td.Op):
    def forward(self, x):
        return x**3

    def backward(self, g, y, x, needs):
        return 3 * g * x * x


x = td.tensor(2.0, requires_grad=True)
y = Cube()(x)
(first,) = td.grad(y, x, create_graph=True)
(second,) = td.grad(first, x)
print(f"x³ = {y.item():g}, 3x² = {first.item():g}, 6x = {second.item():g}")

# %% [markdown]
# ## 10. What does it cost?
#
# Turning each of $n$ knobs in turn takes $n + 1$ runs. The walk computes all $n$ slopes for a small
# fixed multiple of *one* run, however many knobs there are (Baur and Strassen, *The complexity of
# partial derivatives*, 1983). Let us see:

# %%
side = 300 if FAST else 1000
weights = td.randn(side, side, requires_grad=True)
batch = td.randn(64, side)


def seconds(function):
    """How long one call takes: the best of five."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def forward():
    return (batch @ weights).tanh().sum()


one, both = seconds(forward), seconds(lambda: td.grad(forward(), weights))
print(f"{weights.numel():,} knobs")
print(f"one run:                        {one * 1e3:8.2f} ms")
print(f"one run and all the gradients:  {both * 1e3:8.2f} ms, {both / one:.1f} times that")
print(f"turning each knob would take:   {one * weights.numel():8.0f} s")

# %% [markdown]
# ## 11. Exercises
#
# Write your answer in place of the three dots and run the cell. It tries your answer on new random
# numbers each time and says "Right." or what is wrong. The solution is folded below each.
#
# ### Exercise 1: division
#
# `Value` can add and multiply, and it cannot divide. Write `divide(a, b)`: two Values in, a Value
# out, $a / b$, which remembers its two parents and its two slopes. What are they, for
# $q = a / b$? (Hold $b$ still, move $a$; then the other way round.)
#
# For instance, with $a = 6$ and $b = 2$ the result is 3, and its slopes are 0.5 and -1.5.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_1(rng, answer):
    """Random numbers; the slopes of a formula that divides twice, by turning and looking."""
    numbers = rng.uniform(0.5, 2, 2) * rng.choice([-1, 1], 2)
    a, b = map(Value, numbers.tolist())
    quotient = answer(a, b)
    assert quotient is not ..., UNTOUCHED
    assert isinstance(quotient, Value), f"expected a Value, got {type(quotient).__name__}."
    where = f"a = {a.data:.3f} and b = {b.data:.3f}"
    expect(quotient.data, a.data / b.data, f"divide(a, b) at {where}")
    twice = answer(a, b) * 3 + answer(b * b, a)
    formulas = {
        "a / b": (quotient, lambda a, b: a / b),
        "3 a / b + b² / a": (twice, lambda a, b: 3 * a / b + b * b / a),
    }
    for formula, (root, truth) in formulas.items():
        grads = backward(root)
        for name, value, move in (("a", a, (1e-5, 0)), ("b", b, (0, 1e-5))):
            slope = (truth(*(numbers + move)) - truth(*(numbers - move))) / 2e-5
            what = f"the slope of {formula} along {name} at {where}"
            expect(grads.get(value, 0.0), slope, what, tolerance=1e-5)


# %% tags=["exercise"]
def divide(a, b):
    """The Value a / b of two Values."""
    return ...  # yours: Value(data, parents, slopes, name)


check_1(divide)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def divide(a, b):
#     return Value(a.data / b.data, (a, b), (1 / b.data, -a.data / b.data**2), "÷")
# ```
#
# The larger $b$, the smaller the quotient: hence the minus sign, which is the first to get lost.
# The second is the square. (`a * b**-1` is right too: multiplication and power know their slopes.
# Then the graph has one more number in it.)
#
# </details>

# %% [markdown]
# ### Exercise 2: the eldest last
#
# The library sorts its nodes by a serial number, given to each at its birth. Write the walk's order
# that way. Each number behind `root` now has a `.born`: 0 for the first that was made, then 1, and
# so on. Return a list of all numbers behind `root`, and `root` itself, each once, such that each
# stands before its own parents. Other numbers have been born in the meantime; they do not belong in
# the list.
#
# For the $w$ of section 1, made in the order $a, b, u, v, w$, that is `[w, v, u, b, a]`. Why is
# such an order always right?


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_2(rng, answer):
    """A random formula of sums and products, with the diamond of section 1 on top of it."""
    made = [Value(x) for x in rng.standard_normal(3)]
    for _ in range(8):
        a, b = (made[i] for i in rng.integers(len(made), size=2))
        made.append(a + b if rng.integers(2) else a * b)
    a, b = made[-1], made[int(rng.integers(3))]
    made.append(a * b)  # u
    made.append(made[-1] + a)  # v
    made.append(made[-2] * made[-1] if rng.integers(2) else made[-1] * made[-2])  # w
    root = made[-1]
    made.append(root + 1)  # a child of the root is not behind it
    for number, value in enumerate(made):
        value.born = number

    got = answer(root)
    assert got is not ..., UNTOUCHED
    assert isinstance(got, list), f"expected a list of Values, got {type(got).__name__}."
    behind = set(inputs_first(root))
    missing, foreign = len(behind - set(got)), len(set(got) - behind)
    assert root in got, "root itself is missing."
    assert not missing, f"{missing} of the {len(behind)} numbers behind root are missing."
    assert not foreign, f"{foreign} of the list are not behind root."
    assert len(got) == len(behind), f"{len(behind)} numbers, but a list of {len(got)}: each once!"
    for place, value in enumerate(got):
        for parent in value.parents:
            if parent in got[:place]:
                n = f"{value.born} stands after its parent {parent.born}"
                raise AssertionError(f"the number born as {n}.")


# %% tags=["exercise"]
def consumers_first(root):
    """All numbers behind root, and root, each once and before its parents; they have .born."""
    return ...  # yours


check_2(consumers_first)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def consumers_first(root):
#     found, todo = {root}, [root]
#     while todo:
#         for parent in todo.pop().parents:
#             if parent not in found:
#                 found.add(parent)
#                 todo.append(parent)
#     return sorted(found, key=lambda node: node.born, reverse=True)
# ```
#
# A number can only be computed from numbers that exist already. So a parent is always older than
# its child, and going from young to old meets consumers first. Without `reverse=True` it is the
# order of the forward run. Without the sorting, it is an order in which the walk came across them,
# and we know from section 3 where that leads. Without `if parent not in found`, the search follows
# every single path. And root itself is easily forgotten: it is nobody's parent.
#
# </details>

# %% [markdown]
# ### Exercise 3: a rule that can be differentiated
#
# Give `Array` an exponential: `exp(x)` of an Array is an Array, with a rule. It shall be right to
# the third order: the derivative of $e^x$ is $e^x$, and so are the second and the third. For
# instance, an Array of zeros becomes one of ones, with ones as its gradient, and again, and again.


# %% jupyter={"source_hidden": true} tags=["hide-input"]
@exercise
def check_3(rng, answer):
    """Random numbers in a random shape; value, and three derivatives of exp(2 x)."""
    shape = tuple(int(n) for n in rng.integers(1, 4, 2))
    x = Array(rng.uniform(-1, 1, shape))
    y = answer(x * 2)
    assert y is not ..., UNTOUCHED
    assert isinstance(y, Array), f"expected an Array, got {type(y).__name__}."
    gradients = y.pull(Array(np.ones(shape)))
    for what, found in (("the parents", y.parents), ("what the rule returns", gradients)):
        assert isinstance(found, tuple | list), f"{what} should be a tuple: (..., ) with a comma."
    assert len(gradients) == len(y.parents), "the rule should return a gradient for each parent."
    wanted = np.exp(2 * x.data)
    expect(y.data, wanted, f"exp of an Array of shape {shape}")
    for order in ("first", "second", "third"):
        grads = backward(y.sum(), Array(1.0))
        assert x in grads, f"the {order} derivative is 0: what came before remembers nothing of x."
        y, wanted = grads[x], 2 * wanted
        expect(y.data, wanted, f"the {order} derivative of exp(2 x)")


# %% tags=["exercise"]
def exp(x):
    """The exponential of an Array, element by element."""
    return ...  # yours: Array(data, parents, rule, name)


check_3(exp)

# %% [markdown]
# <details><summary><b>Solution</b> (try first!)</summary>
#
# ```python
# def exp(x):
#     y = Array(np.exp(x.data), (x,), lambda g: (g * y,), "exp")
#     return y
# ```
#
# The rule runs long after `y` has its name, so it may speak of `y`. With `g * y.data` or
# `g * np.exp(x.data)` the first derivative is right and the second is 0: a rule that computes with
# raw numbers forgets $x$. A rule that leaves `g` out forgets the chain.
#
# </details>

# %% [markdown]
# **Further questions**, for which there is no checker:
#
# 1. In `backward_as_they_come`, find a formula for which the wrong walk happens to be right. What
#    must its graph look like?
# 2. Give `Array` a division, and make a softmax of it and of `exp`, $e^{x_i} / \sum_j e^{x_j}$. Is
#    its second derivative right, too?
#
# <details><summary>Answers</summary>
#
# 1. Any graph in which all paths from the result to a given number are equally long (for instance a
#    tree, in which there is only one). Then first come, first served is a right order by luck.
# 2. With $q = a / b$ the rule returns $g / b$ and $-g\,q / b$, computed with Arrays, and both go
#    through `sum_to`, since the sum below is broadcast. How to tell whether a second derivative is
#    right is the subject of the next notebook.
#
# </details>
#
# Next: **02 · Do you trust that gradient?** We wrote rules such as `g * (1 - y * y)` by hand. A
# slip of the pen would not crash. How would we ever notice?

# %% [markdown]
# ## Check

# %%
a, b = Value(2.0), Value(3.0)
u = a * b
w = u * (u + a)
right, wrong = backward(w), backward_as_they_come(w)
assert (right[a], right[b]) == (48, 28) and (wrong[a], wrong[b]) == (30, 16)
assert backward_every_path(w)[0] == right
assert backward_every_path(doubled(Value(1.0), 10))[1] == 2**11 - 1  # and not 11
assert backward(chain)[start] == 1

numbers_made = [Value(x) for x in rng.uniform(0.5, 1, 3)]  # a random formula of eight steps
for i, j in rng.integers(3, size=(8, 2)):
    numbers_made.append(numbers_made[-1 - i] * numbers_made[-1 - j].tanh())
right, slow = backward(numbers_made[-1]), backward_every_path(numbers_made[-1])[0]
assert all(np.isclose(right[node], slow[node]) for node in slow)  # whatever the graph

assert np.allclose(walked, looked, rtol=1e-5, atol=1e-7)
assert losses[-1] < losses[0] / 1000
assert all(network(x1, x2).data * answer > 0.5 for x1, x2, answer in switches)

assert all(np.isclose(here, there, rtol=1e-12) for here, there in pairs)
t = np.tanh(points.data)
by_hand = [t, 1 - t**2, -2 * t * (1 - t**2), (6 * t**2 - 2) * (1 - t**2)]
assert all(np.allclose(curve.data, expected) for curve, expected in zip(curves, by_hand))

for mine, library in zip(ours, theirs):
    assert mine.shape == library.shape and np.allclose(mine.data, library, rtol=1e-12, atol=1e-12)
assert left_behind == [True, False]
assert (y.item(), first.item(), second.item()) == (8, 12, 12)
assert both < one * weights.numel() / 100
print("All checks passed.")
