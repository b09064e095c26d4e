"""Do you trust that gradient? What backward computes, against finite differences.

>>> x = td.tensor([0.5, 2.0], dtype=td.float64, requires_grad=True)
>>> assert gradcheck(td.exp, x)

For a function f and a cotangent c, backward computes the gradient of the number <c, f(x)>. Moving x a
little along a direction v gives its slope without any calculus:

    <v, gradient> = (<c, f(x + h v)> - <c, f(x - h v)>) / 2h + O(h^2)

The cotangent is random, never ones, because sums hide mistakes: the outputs of a softmax always add up
to 1, so with ones a gradient of zeros would pass.
"""

import itertools
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .backend import device_of, to_device, to_numpy
from .engine import enable_grad, grad, no_grad
from .tensor import Tensor

FINER = 32  # a suspicious difference is taken again with a step this many times smaller


class GradcheckError(RuntimeError):
    """A gradient is wrong, or cannot be checked at all; `.report` has the figures."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


class GradcheckWarning(UserWarning):
    """A check that shows nothing: at a kink there is no derivative, or the derivative is zero."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The gradient of one input or parameter: from backward (`analytic`), from differences (`numeric`).

    Both have the input's shape, or one number a direction. So has `error`, |analytic - numeric| /
    (|numeric| + atol / rtol): it passes up to rtol, which is PyTorch's |analytic - numeric| <=
    atol + rtol |numeric|. `index` is the worst element's.
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    status: str  # "right", "wrong", "kink" or "proves nothing"
    note: str = ""
    index: tuple = ()

    ok = property(lambda self: self.status == "right")
    relative = property(lambda self: float(self.error.max(initial=0)))
    absolute = property(lambda self: float(abs(self.analytic - self.numeric).max(initial=0)))

    def __str__(self):
        line = f"  {self.name:16}{self.status:16}worst error {self.relative:.1e} relative, "
        line += f"{self.absolute:.1e} absolute, of {self.error.size}"
        return f"{line}\n      {self.note}" if self.note else line


@dataclass(frozen=True, eq=False)
class Report:
    """What a check found; true if it is "right", which takes one gradient that is and none that is not."""

    comparisons: tuple = ()
    note: str = ""  # on all of them, or why there are none

    ok = property(lambda self: self.status == "right")
    relative = property(lambda self: max((c.relative for c in self.comparisons), default=np.inf))

    @property
    def status(self):
        found = {c.status for c in self.comparisons}
        ranks = ("wrong", "kink", "right", "proves nothing")
        return next((status for status in ranks if status in found), "wrong")

    def __bool__(self):
        return self.ok

    def __str__(self):
        title = f"gradients: {self.status}" + f": {self.note}" * bool(self.note)
        return "\n".join([title, *map(str, self.comparisons)])


def gradcheck(
    fn, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, directions=None, seed=0, raise_exception=True
):
    """Compares the gradients of a function or Module with central differences; returns a Report.

    `inputs`: a Tensor or a tuple of arguments. Checked are the Tensors that require grad, in float64,
    and a Module's parameters; what counts are the outputs that require grad. Every element is moved by
    +-eps, two forwards each; with `directions=n` each input as a whole moves along n random directions.

    A wrong gradient raises GradcheckError: which input, which index, both values, a hint. Where the
    function has a kink or stands still nothing is proven: that is a GradcheckWarning.
    """
    report = _examine(fn, fn, _named("inputs", inputs), eps, atol, rtol, directions, seed)
    return _delivered(report, raise_exception, report.comparisons)


def gradgradcheck(
    fn,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    directions=None,
    seed=0,
    raise_exception=True,
):
    """gradcheck of the gradients, as functions of the inputs, the parameters and `grad_outputs`.

    `grad_outputs`: a Tensor for each output that requires grad; random when left out.
    """
    inputs, options = _named("inputs", inputs), (eps, atol, rtol, directions, seed)
    outputs = _differentiable(fn(*inputs.values()))
    if not outputs:
        return _delivered(_examine(fn, fn, inputs, *options), raise_exception)
    if grad_outputs is None:
        rng = np.random.default_rng(seed)
        grad_outputs = [Tensor(_random_like(y.data, rng), requires_grad=True) for y in outputs]

    def derivative(*arguments):
        xs, gs = arguments[: len(inputs)], arguments[len(inputs) :]
        with enable_grad():
            ys = _differentiable(fn(*xs))
            wanted = _differentiable(xs) + list(_parameters(fn).values())
            gradients = grad(ys, wanted, gs, create_graph=True, allow_unused=True)
        return [g for g in gradients if g is not None]

    report = _examine(derivative, fn, inputs | _named("grad_outputs", grad_outputs), *options)
    if report.status == "wrong" and _examine(fn, fn, inputs, *options).status == "wrong":
        report = Report(report.comparisons, "at first order already, so begin with gradcheck")
    elif report.status == "wrong":
        blame = (
            "at second order alone: does a backward read arrays or detach, instead of using ops?"
        )
        report = Report(report.comparisons, " ".join(filter(None, (report.note, blame))))
    return _delivered(report, raise_exception)


def adjointcheck(linear, adjoint, x, y=None, *, rtol=1e-10, seed=0):
    """Checks on random numbers that `linear` is linear, and `adjoint` its adjoint: <A x, y> = <x, A' y>.

    x, and y (A(x) when left out), are float64 Tensors or arrays that give the shapes. Returns a Report,
    whose errors are relative to |A x| |y|, or raises GradcheckError.
    """
    y, rng = linear(x) if y is None else y, np.random.default_rng(seed)
    _require_float64({"x": x, "y": y}, rtol)
    kind = Tensor if isinstance(x, Tensor) else np.asarray
    u, v, w = (kind(rng.standard_normal(like.shape)) for like in (x, x, y))
    au, av, auv, back = linear(u), linear(v), linear(2 * u - 3 * v), adjoint(w)
    for name, got, wanted in (("linear(x)", au, y), ("adjoint(y)", back, x)):
        if got.shape != wanted.shape:
            raise ValueError(f"expected {name} of shape {wanted.shape}, got {got.shape}")
    u, w, au, av, auv, back = (np.asarray(a) for a in (u, w, au, av, auv, back))
    rows = []
    for name, left, right, scale in (
        ("A(2u - 3v) = 2Au - 3Av", auv, 2 * au - 3 * av, abs(au).max(initial=0)),
        (
            "<Au, w> = <u, A'w>",
            (au * w).sum(),
            (u * back).sum(),
            np.sqrt((au**2).sum() * (w**2).sum()),
        ),
    ):
        error = abs(left - right) / (scale or 1)
        status = "wrong" if not (error <= rtol).all() else "right" if scale else "proves nothing"
        rows.append(Comparison(name, left, right, error, status))
    return _delivered(Report(tuple(rows)), True)


class StepCurve(NamedTuple):
    """The relative error of forward and of central differences, for each step."""

    steps: np.ndarray
    forward: np.ndarray
    central: np.ndarray


def step_curve(fn, inputs, steps=None, seed=0):
    """How far differences are from the gradient, by step size, along one random direction.

    Large steps suffer from curvature (error ~ h, central h^2), small ones from rounding (~ 1 / h).
    """
    steps = np.logspace(-13, 0, 53) if steps is None else np.asarray(steps)
    probe = _Probe(fn, fn, _named("inputs", inputs), np.random.default_rng(seed))
    moves = [(leaf, _random_like(leaf.data, probe.rng)) for leaf in probe.leaves.values()]
    slope = sum(_dot(v, g) for (_, v), g in zip(moves, probe.gradients(), strict=True))
    left, right = np.array([probe.slopes(moves, h) for h in steps]).T
    forward, central = (abs(found / slope - 1) for found in (right, (left + right) / 2))
    return StepCurve(steps, forward, central)


# ---------------------------------------------------------------- moving the inputs


class _Probe:
    """A function at copies of its inputs, whose leaves (inputs that require grad, parameters) can move."""

    def __init__(self, function, module, inputs, rng):
        self.function, self.rng = function, rng
        self.inputs = {
            name: Tensor(x.data.copy(), x.requires_grad) if isinstance(x, Tensor) else x
            for name, x in inputs.items()
        }
        leaves = {n: x for n, x in self.inputs.items() if isinstance(x, Tensor) and x.requires_grad}
        self.leaves = leaves | _parameters(module)
        if not self.leaves:
            raise ValueError("nothing to check: no input requires grad; pass requires_grad=True")
        self.results = _differentiable(self.run()) or self.run()
        self.outputs = [y.data for y in self.results]
        self.cotangents = [_random_like(y, rng) for y in self.outputs]

    def run(self):
        return [y for y in _tensors(self.function(*self.inputs.values())) if y.is_floating_point()]
