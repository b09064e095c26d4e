"""Do you trust that gradient? What backward computes, against finite differences.

>>> x = td.tensor([0.5, 2.0], dtype=td.float64, requires_grad=True)
>>> assert gradcheck(td.exp, x)

For a function f and a cotangent c, backward computes the gradient of the number <c, f(x)>. Moving x
a little along a direction v gives its slope without any calculus:

    <v, gradient> = (<c, f(x + h v)> - <c, f(x - h v)>) / 2h + O(h^2)

The cotangent is random, never ones, because sums hide mistakes: the outputs of a softmax always add
up to 1, so with ones a gradient of zeros would pass.
"""

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from .backend import array_module, to_device, to_numpy
from .engine import grad
from .tensor import Tensor

FINER = 32  # a suspicious difference is taken again with a step this many times smaller


class GradcheckError(RuntimeError):
    """A gradient is wrong, or nothing can be checked at all; `.report` is the Report."""

    report = property(lambda self: self.args[0])


class GradcheckWarning(UserWarning):
    """The check shows nothing: there is a kink, where no derivative exists, or it is zero."""


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """One input's or parameter's gradient, from backward (`analytic`) and differences (`numeric`).

    Both have the input's shape, or one number a direction. So has `error`, |analytic - numeric| /
    (|numeric| + atol / rtol), which passes up to rtol: that is PyTorch's criterion, |analytic -
    numeric| <= atol + rtol |numeric|; a kink has no error (nan). `index` is that of the worst error
    or first kink.
    """

    name: str
    status: str  # "right", "wrong", "kink" or "proves nothing"
    analytic: np.ndarray
    numeric: np.ndarray
    error: np.ndarray
    index: tuple = ()
    note: str = ""

    ok = property(lambda self: self.status == "right")
    relative = property(lambda self: float(np.nanmax(self.error, initial=0)))
    absolute = property(lambda self: float(abs(self.analytic - self.numeric).max(initial=0)))

    def __str__(self):
        line = f"  {self.name}: {self.status}" + f" at {list(self.index)}" * bool(self.index)
        if self.error.size:
            a, n, e = (x[self.index] + 0.0 for x in (self.analytic, self.numeric, self.error))
            line += f", analytic {a:.9g}, numeric {n:.9g}" + f", relative error {e:.1e}" * bool(
                e == e
            )
        return line + f"\n      {self.note}" * bool(self.note)

    __repr__ = __str__


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """What a check found. True if its status is "right": some gradient is, and none is not."""

    comparisons: tuple = ()
    note: str = ""  # on all of them, or why there are none
    check: str = "gradcheck"

    ok = property(lambda self: self.status == "right")

    @property
    def status(self):
        ranks = ("wrong", "kink", "right", "proves nothing")
        return min((c.status for c in self.comparisons), key=ranks.index, default="wrong")

    def __bool__(self):
        return self.ok

    def __str__(self):
        title = f"{self.check}: {self.status}" + f", {self.note}" * bool(self.note)
        return "\n".join([title, *map(str, self.comparisons)])

    __repr__ = __str__


def gradcheck(
    fn, inputs, *, eps=1e-6, atol=1e-5, rtol=1e-3, directions=None, seed=0, raise_exception=True
):
    """Compares the gradients of a function or Module with central differences; returns a Report.

    `inputs`: a Tensor or a tuple of arguments. Checked are the Tensors that require grad, in
    float64, and a Module's parameters; what counts are the outputs that require grad. Each element
    is moved by +-eps, two forwards each; with `directions=n` each input as a whole moves along n
    random directions instead.

    A wrong gradient raises GradcheckError: which input, which index, both values, a hint. Where the
    function has a kink, or stands still, nothing is proven: that is a GradcheckWarning. The
    relative error, |analytic - numeric| / (|numeric| + atol / rtol), is right up to rtol.
    """
    report = _examine(fn, fn, _named("inputs", inputs), seed, eps, atol, rtol, directions)
    return _delivered(report, raise_exception, report.comparisons)


def gradgradcheck(fn, inputs, grad_outputs=None, *, seed=0, raise_exception=True, **options):
    """gradcheck of the gradients, as functions of the inputs, the parameters and `grad_outputs`.

    `grad_outputs`: a Tensor for each output that requires grad, random when left out. `options`:
    eps, atol, rtol and directions, as in gradcheck.
    """
    inputs, rng = _named("inputs", inputs), np.random.default_rng(seed)
    if grad_outputs is None:
        with _restored(fn):
            outputs = _differentiable(_tensors(fn(*inputs.values())))
        grad_outputs = [_random(y, rng).requires_grad_() for y in outputs]

    def derivative(*arguments):
        xs, gs = arguments[: len(inputs)], arguments[len(inputs) :]
        outputs = _differentiable(_tensors(fn(*xs)))
        wanted = [*_differentiable(xs), *_parameters(fn).values()]
        found = grad(outputs, wanted, gs, create_graph=True, allow_unused=True)
        return [g for g in found if g is not None]

    arguments = inputs | _named("grad_outputs", grad_outputs)
    report = _examine(derivative, fn, arguments, seed, **options)
    if report.status == "wrong" and report.comparisons:
        first = _examine(fn, fn, inputs, seed, **options).status
        report = replace(report, note=f"at second order (at first order: {first})")
    report = replace(report, check="gradgradcheck")
    return _delivered(report, raise_exception)


def adjointcheck(linear, adjoint, x, y=None, *, rtol=1e-10, seed=0, raise_exception=True):
    """Checks on random numbers that A is linear and A' its adjoint: <A x, y> = <x, A' y>.

    x, and y (A(x) when left out), are float64 Tensors or arrays that give the shapes. The errors
    are relative to the norms. Returns a Report, or raises GradcheckError.
    """
    y, rng = linear(x) if y is None else y, np.random.default_rng(seed)
    _require_float64({"x": x, "y": y}, rtol)
    u, v, w = (_random(like, rng) for like in (x, x, y))
    au, back = linear(u), adjoint(w)
    if (au.shape, back.shape) != (y.shape, x.shape):
        raise ValueError(f"expected {y.shape} and {x.shape}, got {au.shape} and {back.shape}")
    off = linear(u - 2 * v) - au + 2 * linear(v)
    rows = []
    for name, left, right, square in (
        ("|A(u - 2v) - Au + 2Av| = 0", _dot(off, off) ** 0.5, 0, _dot(au, au)),
        ("<Au, w> = <u, A'w>", _dot(au, w), _dot(u, back), _dot(au, au) * _dot(w, w)),
    ):
        error = abs(left - right) / (square or 1) ** 0.5
        status = "wrong" if not error <= rtol else "right" if square else "proves nothing"
        rows.append(Comparison(name, status, *np.array([left, right, error])))
    return _delivered(Report(tuple(rows), check="adjointcheck"), raise_exception)


def step_curve(fn, inputs, steps=None, seed=0):
    """The error of differences by step size, along one random direction: (steps, forward, central).

    The errors are relative to backward's slope. Large steps suffer from curvature (like h, central
    differences like h^2), small ones from rounding (like 1 / h).
    """
    steps = np.logspace(-13, 0, 53) if steps is None else np.asarray(steps)
    probe = _Probe(fn, fn, _named("inputs", inputs), seed)
    probe.start()
    moves = [(leaf, _random(leaf, probe.rng).data) for leaf in probe.leaves.values()]
    slope = sum(_dot(v, g) for (_, v), g in zip(moves, probe.gradients(), strict=True))
    left, right = np.array([probe.slopes(moves, float(h)) for h in steps]).T
    return steps, abs(right / slope - 1), abs((left + right) / 2 / slope - 1)


# ---------------------------------------------------------------- moving the inputs


class _Probe:
    """A function at copies of its inputs; inputs that require grad, and parameters, can move."""

    def __init__(self, function, module, inputs, seed):
        self.function, self.given, self.rng = function, inputs, np.random.default_rng(seed)
        self.inputs = {name: _copy(x) for name, x in inputs.items()}
        self.leaves = {name: x for name, x in self.inputs.items() if _differentiable([x])}
        self.leaves |= _parameters(module)
        if not self.leaves:
            raise ValueError("nothing to check: no input requires grad; set requires_grad=True")

    def start(self):
        """Runs it, draws a cotangent for each output, and says what makes a check impossible."""
        self.outputs = self.run()
        self.values = [y.data for y in self.outputs]  # an output may be an input itself, and move
        self.cotangents = [_random(y, self.rng) for y in self.outputs]
        changed = ", ".join(n for n, x in self.inputs.items() if not _equal(x, self.given[n]))
        if changed:
            return f"the function overwrites {changed}: it must leave its inputs alone"
        if not self.outputs or any(y.dtype != np.float64 for y in self.outputs):
            return "the function must return float64 tensors: no other dtype on the way"
        if not all(map(_equal, self.outputs, self.run())):
            return "two runs differ: switch dropout off with .eval(), or seed it inside"
        return ""

    def run(self):
        """The outputs that require grad, or else all floating ones: do they change all the same?"""
        results = _tensors(self.function(*self.inputs.values()))
        return _differentiable(results) or [y for y in results if y.is_floating_point()]

    def gradients(self):
        """What backward computes for each leaf, None where the outputs have no graph to it."""
        outputs = _differentiable(self.outputs)  # all of them or none
        leaves, cotangents = list(self.leaves.values()), self.cotangents[: len(outputs)]
        found = grad(outputs, leaves, cotangents, allow_unused=True)
        return [None if g is None else g.data for g in found]

    def slopes(self, moves, h):
        """The left and right difference quotients of <c, f>, moving (leaf, direction) pairs."""
        before, found = [leaf.data for leaf, _ in moves], []
        try:
            for step in (-h, h):
                for (leaf, v), array in zip(moves, before, strict=True):
                    leaf.data = array_module(array).asarray(array + step * v)
                triples = zip(self.cotangents, self.run(), self.values, strict=True)
                found.append(sum(_dot(c.data, y.data - y0) for c, y, y0 in triples) / step)
        finally:
            for (leaf, _), array in zip(moves, before, strict=True):
                leaf.data = array
        return found


# ---------------------------------------------------------------- comparing


@np.errstate(all="ignore")  # what is not finite will be said
def _examine(function, module, inputs, seed, eps=1e-6, atol=1e-5, rtol=1e-3, directions=None):
    """The Report of a check."""
    if not all(value > 0 for value in (eps, atol, rtol)):
        raise ValueError(f"expected positive eps, atol and rtol, got {eps}, {atol} and {rtol}")
    probe = _Probe(function, module, inputs, seed)
    _require_float64(probe.leaves, eps)
    with _restored(module):
        trouble = probe.start()
        if trouble:
            return Report(note=trouble)
        pairs = zip(probe.leaves, probe.gradients(), strict=True)
        found = (_compare(probe, name, g, eps, atol, rtol, directions) for name, g in pairs)
        return Report(tuple(found))


@contextmanager
def _restored(module):
    """Afterwards a Module's buffers (the running statistics of a batch norm) are as before."""
    buffers = [(b, b.data.copy()) for b in getattr(module, "buffers", tuple)()]
    try:
        yield
    finally:
        for buffer, array in buffers:
            buffer.data = array


def _compare(probe, name, gradient, eps, atol, rtol, directions):
    """The Comparison for one leaf."""
    leaf, unused, remarks = probe.leaves[name], gradient is None, {}
    gradient = leaf.data * 0 if unused else gradient
    shape = leaf.shape if directions is None else (directions,)
    analytic, numeric, kinks = (np.zeros(shape) for _ in range(3))
    for k, v in enumerate(_directions(leaf, directions, probe.rng)):
        slopes = probe.slopes([(leaf, v)], eps)
        a = float(gradient.reshape(-1)[k]) if directions is None else _dot(v, gradient)
        analytic.flat[k], numeric.flat[k] = a, sum(slopes) / 2
        tolerance = atol + rtol * min(map(abs, slopes))
        if not max(abs(a - slope) for slope in slopes) <= tolerance:
            finer = probe.slopes([(leaf, v)], eps / FINER)
            kinks.flat[k], remarks[k] = _second_look(a, slopes, finer, tolerance)
    error = np.nan_to_num(abs(analytic - numeric) / (abs(numeric) + atol / rtol), nan=np.inf)
    error = np.where(kinks, np.nan, error)
    wrong = error > rtol
    status, note, worst = "right", "", int(error.argmax()) if error.size else 0
    if wrong.any():
        status, worst = "wrong", int(np.where(wrong, error, -1).argmax())
        note = remarks.get(worst) or _hint(analytic, numeric, wrong)
    elif kinks.any():
        status, worst = "kink", int(kinks.argmax())
        note = remarks[worst]
    elif (abs(numeric) * (1 - rtol) <= atol).all():
        status, zero = "proves nothing", "its derivative is about zero: a gradient of zeros passes"
        note = "the outputs do not depend on it" if unused else zero
    elif (gradient.astype(np.float32) == gradient).all():  # in float64 that is no coincidence
        status, note = "wrong", "its elements are float32 numbers: a backward rounds to float32"
    index = tuple(map(int, np.unravel_index(worst, shape))) if error.size else ()
    return Comparison(name, status, analytic, numeric, error, index, note)


def _second_look(a, slopes, finer, tolerance):
    """Whether there is a kink or jump that excuses backward's slope a, and a remark.

    slopes and finer: left and right difference quotients, with a step and with a finer one.
    """
    sides = list(zip(slopes, finer, strict=True))
    central, centre = sum(slopes) / 2, sum(finer) / 2
    gap, off = abs(slopes[1] - slopes[0]), abs(a - central)
    # A kink at this very point: finer steps give the same two slopes, and a lies between them.
    same = gap > tolerance and sum(abs(s - f) for s, f in sides) <= gap / 4
    here = same and min(slopes) - tolerance <= a <= max(slopes) + tolerance
    # A kink less than a step away: finer steps agree with a.
    near = off > tolerance and sum(abs(a - f) for f in finer) <= max(gap / 4, tolerance)
    # A jump at this point: to one side or both, the slope grows like 1 / step.
    jumps = [abs(f - FINER * s) < abs(s) for s, f in sides]
    smooth = [abs(a - s) + abs(a - f) <= tolerance for s, f in sides]
    if here or near or any(jumps) and all(map(max, jumps, smooth)):
        return (
            True,
            "a kink: the slope of <c, f> is {:.6g} on the left, {:.6g} on the right".format(
                *slopes
            ),
        )
    rough = abs(centre - central) > max(tolerance, off / 4)
    return False, f"a finer step gives {centre:.6g}: noise (float32?)" if rough else ""


def _hint(analytic, numeric, wrong):
    """What the pattern of the errors says about their cause."""

    def same(a, b):
        return np.allclose(a, b, rtol=1e-3, atol=1e-3 * abs(numeric).max())

    if not np.isfinite(analytic + numeric).all():
        return "not finite: choose other inputs, unless a backward divides by zero or overflows"
    if not analytic.any():
        return "zero though the outputs change: a detach(), .data or None cuts the graph somewhere"
    factor = (analytic * numeric).sum() / ((numeric**2).sum() or 1)
    if same(analytic, factor * numeric):
        return f"{factor:.6g} times the numeric gradient: a wrong sign, a factor missing or added"
    if same(np.sort(analytic, axis=None), np.sort(numeric, axis=None)):
        return "the right numbers in another order: a transpose, a flip, channels exchanged"
    rows = {axis: np.unique(found).tolist() for axis, found in enumerate(np.nonzero(wrong))}
    parts = [f"{r} of axis {axis}" for axis, r in rows.items() if len(r) < wrong.shape[axis]]
    count = f"{wrong.sum()} of {wrong.size} elements are wrong"
    return f"{count}, all at {' and '.join(parts)}" if parts else count


# ---------------------------------------------------------------- small things


def _delivered(report, raise_exception, must_prove=()):
    """The report; as an error if it is wrong, with a warning if something proves nothing."""
    if report.status == "wrong" and raise_exception:
        raise GradcheckError(report)
    if {report.status, *(c.status for c in must_prove)} & {"kink", "proves nothing"}:
        warnings.warn(str(report), GradcheckWarning, stacklevel=3)
    return report


def _require_float64(values, step):
    for name, value in values.items():
        if value.dtype != np.float64:
            why = f"the rounding of {value.dtype} drowns a difference of {step:.0e}"
            raise TypeError(f"expected {name} in float64, as {why}; use .double(), on a Module too")


def _copy(x):
    return Tensor(x.data.copy(), x.requires_grad) if isinstance(x, Tensor) else x


def _named(name, values):
    """{"inputs[0]": first, ...} of one argument or a tuple of them."""
    values = values if isinstance(values, (tuple, list)) else (values,)
    return {f"{name}[{i}]": value for i, value in enumerate(values)}


def _parameters(module):
    """A Module's parameters by name; nothing for a function."""
    return {n: p for n, p in getattr(module, "named_parameters", tuple)() if p.requires_grad}


def _tensors(results):
    """What a function returned, a Tensor or several, as a list."""
    results = list(results) if isinstance(results, (tuple, list)) else [results]
    if not all(isinstance(y, Tensor) for y in results):
        raise TypeError(f"expected a function that returns tensors, got {type(results[0])}")
    return results


def _differentiable(values):
    return [x for x in values if isinstance(x, Tensor) and x.requires_grad]


def _directions(leaf, count, rng):
    """Random directions, or each element's own when count is None."""
    for i in range(leaf.numel() if count is None else count):
        unit = (np.arange(leaf.numel()) == i).reshape(leaf.shape).astype(leaf.dtype)
        yield to_device(unit, leaf.device) if count is None else _random(leaf, rng).data


def _random(like, rng):
    """Normal numbers as a Tensor or array like the one given."""
    numbers = rng.standard_normal(like.shape).astype(like.dtype)
    return Tensor(to_device(numbers, like.device)) if isinstance(like, Tensor) else numbers


def _dot(a, b):
    return float((a * b).sum())


def _equal(a, b):
    """Whether two tensors hold the same numbers; other arguments are not looked at."""
    if not isinstance(a, Tensor):
        return True
    return np.array_equal(to_numpy(a.data), to_numpy(b.data), equal_nan=True)
