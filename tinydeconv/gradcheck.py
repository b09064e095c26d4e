"""Do you trust that gradient? Gradients from backward against finite differences.

>>> report = gradcheck(td.exp, td.randn(3, dtype=td.float64, requires_grad=True))
>>> bool(report)
True

For a function f and a random cotangent c, the number <c, f(x)> has the gradient that backward computes from c. Moving x by h
along a direction v gives the same slope without any calculus:

    <v, gradient>  =  (<c, f(x + h v)> - <c, f(x - h v)>) / 2h + O(h^2)

The cotangent is random because sums hide mistakes: the outputs of a softmax always add up to 1, so with ones for c any
gradient of zeros would pass. `gradgradcheck` does the same to the gradient itself, `adjointcheck` to a pair of linear functions.
"""

import itertools
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .backend import device_of, is_array, to_device, to_numpy
from .engine import enable_grad, grad, no_grad
from .tensor import Tensor

FINER = 32  # a suspicious difference is taken again with a step so many times smaller
SEVERITY = ("wrong", "kink", "right", "proves nothing")  # a report is the first of these in it


class GradcheckError(RuntimeError):
    """A gradient is wrong; `.report` has the figures."""

    def __init__(self, report):
        super().__init__(str(report))
        self.report = report


class GradcheckWarning(UserWarning):
    """A gradient could not be checked: the function has a kink there, or does not change."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The gradient of one input or parameter, from backward (`analytic`) and from differences (`numeric`).

    Both have the input's shape, or one number a direction; so has `error`, |analytic - numeric| / (|numeric| + atol / rtol),
    which passes up to rtol. (That is PyTorch's criterion |analytic - numeric| <= atol + rtol |numeric|.)
    """

    name: str
    analytic: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    status: str  # "right", "wrong", "kink" or "proves nothing"
    index: tuple = ()  # of the worst element, or of the first kink
    note: str = ""

    @property
    def ok(self):
        return self.status == "right"

    @property
    def relative(self):
        """The worst relative error."""
        return float(self.error.max(initial=0))

    @property
    def absolute(self):
        """The worst absolute error."""
        return float(abs(self.analytic - self.numeric).max(initial=0))

    def __str__(self):
        worst = f"worst error {self.relative:.1e} relative, {self.absolute:.1e} absolute"
        line = f"{self.name:14} {self.status:14} {worst}, shape {self.numeric.shape}"
        return f"{line}\n    {self.note}" if self.note else line


@dataclass(frozen=True, eq=False)
class Report:
    """What a check found. True only if everything that it could compare is right."""

    comparisons: tuple = ()
    note: str = ""  # why there was nothing to compare, or what holds for all comparisons

    @property
    def status(self):
        """ "wrong", "kink", "right" or "proves nothing": the first of them that any input has."""
        found = {c.status for c in self.comparisons}
        return next((status for status in SEVERITY if status in found), "wrong")

    @property
    def ok(self):
        return self.status == "right"

    @property
    def relative(self):
        return max((c.relative for c in self.comparisons), default=np.inf)

    def __bool__(self):
        return self.ok

    def __str__(self):
        title = f"gradients: {self.status}" + (f": {self.note}" if self.note else "")
        return "\n".join([title, *(f"  {c}" for c in self.comparisons)])


def gradcheck(
    fn_or_module,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    directions=None,
    seed=0,
    raise_exception=True,
):
    """Compares the gradients of a function (or Module) with central differences of step `eps`; returns a Report.

    `inputs` is a Tensor or a tuple of arguments. Checked are the Tensors among them that require grad, which must be float64, and
    a Module's parameters; counted are all outputs that require grad. By default every element is moved, which takes two
    forwards each; `directions=n` moves each input as a whole along n random directions instead.

    A wrong gradient raises GradcheckError with the input, the index, both values and a hint. Where the function has a kink,
    or does not change, there is nothing to compare: that is a GradcheckWarning.
    """
    inputs = _named(inputs, "inputs")
    report = _examine(
        fn_or_module, inputs, fn_or_module, eps, atol, rtol, directions, seed, "backward"
    )
    return _delivered(report, report.comparisons, raise_exception)


def gradgradcheck(
    fn_or_module,
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
    """gradcheck of the gradients themselves, as functions of the inputs, the parameters and `grad_outputs`.

    `grad_outputs` (a Tensor for each output that requires grad; random by default) are checked like inputs.
    """
    fn, module, inputs = fn_or_module, fn_or_module, _named(inputs, "inputs")
    options = (eps, atol, rtol, directions, seed)
    outputs = [y for y in _tensors(fn(*inputs.values())) if y.requires_grad]
    if not outputs:
        return _delivered(_examine(fn, inputs, module, *options), (), raise_exception)
    if grad_outputs is None:
        rng = np.random.default_rng(seed)
        grad_outputs = tuple(Tensor(_random_like(y.data, rng), requires_grad=True) for y in outputs)

    def derivative(*arguments):
        """The gradients of <grad_outputs, fn(inputs)> with respect to all that require grad."""
        x, g = arguments[: len(inputs)], arguments[len(inputs) :]
        with enable_grad():
            y = [y for y in _tensors(fn(*x)) if y.requires_grad]
            wanted = [*filter(_requires_grad, x), *_parameters(module).values()]
            found = grad(y, wanted, g, create_graph=True, allow_unused=True)
        return [gradient for gradient in found if gradient is not None]

    arguments = inputs | _named(grad_outputs, "grad_outputs")
    report = _examine(derivative, arguments, module, *options)
    if report.status == "wrong":
        first = _examine(fn, inputs, module, *options).status
        blame = (
            "at second order; the first order is wrong already, so begin with gradcheck"
            if first == "wrong"
            else "at second order, though not at first: look for a backward that uses arrays or detached tensors, "
            "where it should combine Tensors"
        )
        report = Report(report.comparisons, f"{report.note}; {blame}" if report.note else blame)
    # That a gradient does not depend on some input is how linear functions are: no reason to warn.
    return _delivered(report, (), raise_exception)


def adjointcheck(linear, adjoint, x, y=None, *, rtol=1e-10, seed=0):
    """Checks that `linear` is linear and `adjoint` its adjoint, <A x, y> = <x, A' y>, on random numbers; returns a Report.

    `x` (and `y`, by default A(x)) are Tensors or arrays in float64 that give the shapes. The errors are relative to |A x| |y|.
    Raises GradcheckError where either does not hold.
    """
    rng = np.random.default_rng(seed)
    y = linear(x) if y is None else y
    for name, value in (("x", x), ("y", y)):
        if value.dtype != np.float64:
            raise TypeError(_why_float64(name, value.dtype, rtol, "rtol"))

    def random(like):
        array = _random_like(_array(like), rng)
        return Tensor(array) if isinstance(like, Tensor) else array

    u, v, w = random(x), random(x), random(y)
    au, av, back = linear(u), linear(v), adjoint(w)
    for name, got, wanted in (("linear(x)", au, y), ("adjoint(y)", back, x)):
        if got.shape != wanted.shape:
            raise ValueError(f"expected {name} to have shape {wanted.shape}, got {got.shape}")
    au, av, sum_, back, u_, w_ = (_host(a) for a in (au, av, linear(2 * u - 3 * v), back, u, w))

    def compare(name, left, right, scale, note):
        left, right = np.asarray(left), np.asarray(right)
        error = abs(left - right) / scale if scale else np.zeros(left.shape)
        good = bool((error <= rtol).all())
        status = ("right" if scale else "proves nothing") if good else "wrong"
        return Comparison(name, left, right, error, status, note="" if good else note)

    size = np.linalg.norm(au) * np.linalg.norm(w_)
    products = (au * w_).sum(), (u_ * back).sum()
    unequal = "<A x, y> is {:.9g}, <x, A' y> is {:.9g}".format(*products)
    crooked = "A(2 u - 3 v) is not 2 A(u) - 3 A(v)"
    report = Report(
        (
            compare("linear", sum_, 2 * au - 3 * av, abs(au).max(initial=0), crooked),
            compare("adjoint", *products, size, unequal),
        )
    )
    return _delivered(report, (), raise_exception=True)


class StepCurve(NamedTuple):
    """Relative errors of difference quotients, one for each step."""

    steps: np.ndarray
    forward: np.ndarray
    central: np.ndarray


def step_curve(fn_or_module, inputs, steps=None, seed=0):
    """How the error of forward and central differences depends on the step, along one random direction; a StepCurve.

    Large steps suffer from curvature (an error like h, or h^2 for central differences), small ones from rounding (like 1/h).
    """
    steps = np.logspace(-13, 0, 53) if steps is None else np.asarray(steps, dtype=np.float64)
    rng = np.random.default_rng(seed)
    probe = _Probe(fn_or_module, _named(inputs, "inputs"), fn_or_module)
    gradients = probe.gradients(rng)
    moves = [(leaf, _random_like(leaf.data, rng)) for leaf in probe.leaves.values()]
    slope = sum(_dot(v, g) for (_, v), g in zip(moves, gradients, strict=True))
    left, right = np.array([probe.slopes(moves, h) for h in steps]).T
    return StepCurve(
        steps, abs(right - slope) / abs(slope), abs((left + right) / 2 - slope) / abs(slope)
    )


# ---------------------------------------------------------------- moving the inputs


class _Probe:
    """A function at copies of its inputs, whose leaves (inputs that require grad, and parameters) can be moved."""

    def __init__(self, function, inputs, module):
        self.function = function
        self.inputs = {name: _copy(x) for name, x in inputs.items()}
        self.leaves = {name: x for name, x in self.inputs.items() if _requires_grad(x)}
        self.leaves |= _parameters(module)
        if not self.leaves:
            raise ValueError(
                "nothing to check: no input requires grad; make one with td.tensor(..., requires_grad=True)"
            )

    def gradients(self, rng):
        """The gradients of all leaves for random cotangents of the outputs; None for a leaf that no output depends on."""
        results = _tensors(self.function(*self.inputs.values()))
        floating = [i for i, y in enumerate(results) if y.is_floating_point()]
        chosen = [i for i in floating if results[i].requires_grad]
        self.chosen = chosen or floating  # without any graph: to see whether they change all the same
        self.outputs = [results[i].data for i in self.chosen]
        self.cotangents = [_random_like(y, rng) for y in self.outputs]
        if not chosen:
            return [None] * len(self.leaves)
        ys, gs = [results[i] for i in chosen], [Tensor(c) for c in self.cotangents]
        found = grad(ys, list(self.leaves.values()), gs, allow_unused=True)
        return [None if g is None else g.data for g in found]

    def forward(self):
        with no_grad():
            results = _tensors(self.function(*self.inputs.values()))
        return [results[i].data for i in self.chosen]

    def slopes(self, moves, h):
        """The left and the right difference quotient of <cotangents, outputs> along moves [(leaf, direction)]."""
        return [self._rise(moves, step) / step for step in (-h, h)]

    def _rise(self, moves, step):
        before = [leaf.data for leaf, _ in moves]
        try:
            for leaf, v in moves:
                leaf.data = leaf.data + step * v
            there = self.forward()
        finally:
            for (leaf, _), array in zip(moves, before, strict=True):
                leaf.data = array
        return sum(map(_dot, self.cotangents, map(np.subtract, there, self.outputs)))
