"""Sample inputs for every op: what the tests and `tinydeconv gradcheck` walk through.

Each case is checked by differences at first and at second order. That covers every order: a
backward is made of ops, so a third derivative is made of their first derivatives again. Only a
backward that reads arrays or detaches would break the chain, and the second order shows that.
"""

import difflib
import re
import time
import warnings
import zlib
from typing import NamedTuple

import numpy as np

from . import ops
from .backend import to_device
from .engine import Op
from .geometry import ConvGeometry
from .gradcheck import GradcheckWarning, gradcheck, gradgradcheck
from .ops import conv, elementwise, linalg, promotion, reduction, shape, windows
from .tensor import Tensor

# What gradcheck says of cases that have no right gradient to show.
EXPECTED = {"kink": "kink", "zero derivative": "proves nothing", "empty": "proves nothing"}


class Case:
    """A function of Tensors, an Op class with its `args` or any other, and inputs for it.

    `inputs` are arrays, or shapes for random numbers in generic position: their absolute values lie
    between 0.5 and 2, so there are no ties, and no kinks at 0. `expect`: "right" or a key of
    EXPECTED.
    """

    def __init__(self, function, note, *inputs, args=(), positive=False, expect="right", group=""):
        self.function, self.note, self.args, self.expect = function, note, args, expect
        self.group = group or function.__name__
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        signs = (1,) if positive else (-1, 1)
        self.arrays = [
            np.array(rng.uniform(0.5, 2, x) * rng.choice(signs, x) if isinstance(x, tuple) else x)
            for x in inputs
        ]

    @property
    def name(self):
        return f"{self.group} {self.note}".strip()

    def inputs(self, dtype=np.float64, where="cpu"):
        """Fresh tensors that require grad."""
        return [Tensor(to_device(a.astype(dtype), where), requires_grad=True) for a in self.arrays]

    def __call__(self, *inputs):
        if not isinstance(self.function, type):
            return self.function(*inputs)
        where = inputs[0].device
        args = (to_device(a, where) if isinstance(a, np.ndarray) else a for a in self.args)
        return self.function(*args)(*inputs)


# ---------------------------------------------------------------- the cases


def _elementwise():
    e = elementwise
    for binary in (e.Add, e.Sub, e.Mul, e.Div, e.Maximum, e.Minimum):
        yield Case(binary, "of one shape", (2, 3), (2, 3))
        yield Case(binary, "broadcast", (2, 1, 3), (4, 1))
        yield Case(binary, "with a 0-d tensor", (3,), ())
    for unary in (e.Neg, e.Exp, e.Sin, e.Cos, e.Tanh, e.Sigmoid, e.Softplus, e.Abs, e.Relu):
        yield Case(unary, "", (2, 3))
    yield Case(e.Log, "", (2, 3), positive=True)
    yield Case(e.Sqrt, "", (2, 3), positive=True)
    yield Case(e.Pow, "broadcast", (2, 3), (3,), positive=True)
    yield Case(e.Pow, "of and by 0-d tensors", (), (), positive=True)
    for n in (1, 2, 3, -1):
        yield Case(lambda x, n=n: x**n, f"by {n}", (2, 3), group="Pow")
    yield Case(lambda x: x**0, "by 0", (2, 3), group="Pow", expect="zero derivative")
    yield Case(lambda x: x**2 + x**3, "of 0", [0.0, 0.7], group="Pow")
    yield Case(e.LeakyRelu, "", (2, 3), args=(0.1,))
    yield Case(e.Clamp, "between bounds", (3, 4), args=(-1, 1))
    yield Case(e.Clamp, "above a bound", (3, 4), args=(0.1, None))
    yield Case(e.Where, "broadcast", (2, 3), (2, 1), args=(np.array([True, False, True]),))
    yield Case(e.Sign, "", (2, 3), expect="zero derivative")
    yield Case(e.Step, "", (2, 3), args=(0.1, 1.0), expect="zero derivative")
    yield Case(e.FloorDivide, "broadcast", (2, 3), (3,), expect="zero derivative")
    yield Case(e.Remainder, "broadcast", (2, 3), (3,))
    yield Case(e.Relu, "at its corner", [-1.0, 0.0, 1.0], expect="kink")
    yield Case(e.Abs, "at its corner", [-1.0, 0.0, 1.0], expect="kink")
    yield Case(e.Maximum, "of equal numbers", [1.0, 2.0], [1.0, 1.5], expect="kink")
    yield Case(e.Minimum, "of equal numbers", [1.0, 2.0], [1.0, 1.5], expect="kink")


def _shape():
    s, twice = shape, np.array([[0, 5, 2], [5, 1, 5]])
    yield Case(s.Reshape, "", (2, 3), args=((3, 1, 2),))
    yield Case(s.Permute, "", (2, 3, 4), args=((2, 0, 1),))
    yield Case(s.BroadcastTo, "in front and inside", (2, 1), args=((3, 2, 4),))
    yield Case(s.SumTo, "from in front and inside", (3, 2, 4), args=((2, 1),))
    yield Case(s.SumTo, "its own shape", (2, 1), args=((2, 1),))
    for note, key in (
        ("reversed", (slice(None, None, -1), None, 1)),
        ("with steps", (Ellipsis, slice(1, None, 2))),
        ("to a number", (-1, 2)),
    ):
        yield Case(s.Slice, note, (2, 4), args=(key,))
        yield Case(s.Paste, note, np.ones((2, 4))[key].shape, args=(key, (2, 4)))
    yield Case(s.Gather, "with repeats", (2, 3), args=(twice,))
    yield Case(s.Scatter, "with repeats", (2, 3), args=(twice, (2, 4)))
    yield Case(s.Cat, "and an empty one", (2, 1), (2, 0), (2, 2), args=(1,))
    yield Case(lambda x: x[[0, 2, -1], 1:, [2, 0, 0]], "advanced", (3, 2, 3), group="index")
    yield Case(lambda x: x[[[True, False], [True, True]]], "by a mask", (2, 2, 2), group="index")
    yield Case(lambda x, y: ops.stack([x, y, x], 1), "", (2, 2), (2, 2), group="stack")
    yield Case(promotion.Cast, "", (2, 3), args=(np.dtype(np.float64),))
    yield Case(promotion.To, "", (2, 3), args=("cpu", "cpu"))


def _reduction():
    r = reduction
    for note, axes in (("over an axis", (1,)), ("over two axes", (0, 2)), ("over all", (0, 1, 2))):
        yield Case(r.Sum, note, (2, 3, 2), args=(axes, False))
        yield Case(r.Amax, note, (2, 3, 2), args=(axes,))
        yield Case(r.Amin, note, (2, 3, 2), args=(axes,))
    yield Case(r.Sum, "of a number, kept", (), args=((), True))
    yield Case(r.Amax, "of equal numbers", [[1.0, 2.0, 2.0]], args=((1,),), expect="kink")
    yield Case(r.Amin, "of equal numbers", [[1.0, 1.0, 2.0]], args=((1,),), expect="kink")
    for op in (r.Softmax, r.LogSoftmax):
        yield Case(op, "in front", (3, 2), args=(0,))
        yield Case(op, "at the end", (2, 1, 3), args=(2,))
    for p in (1, 2, 3, float("inf")):
        yield Case(lambda x, p=p: ops.norm(x, p, 1), f"of order {p}", (2, 3), group="norm")
    yield Case(lambda x: ops.mean(x, (0, 1)), "", (2, 3, 2), group="mean")
    yield Case(lambda x: ops.var(x, 1), "", (2, 3), group="var")
    yield Case(lambda x: ops.std(x, correction=0), "", (2, 3), group="std")
    yield Case(lambda x: ops.logsumexp(x, 1), "", (2, 3), group="logsumexp")
    yield Case(lambda x: ops.max(x, 1).values, "", (2, 3), group="max")


def _products():
    yield Case(linalg.MatMul, "", (2, 3), (3, 2))
    yield Case(linalg.MatMul, "broadcast", (2, 1, 2, 3), (2, 3, 1))
    yield Case(ops.matmul, "of vectors", (3,), (3,))
    yield Case(ops.matmul, "of a stack and a vector", (2, 2, 3), (3,))
    for equation, *shapes in (
        ("bij,bjk->ik", (2, 2, 3), (2, 3, 2)),
        ("ii->i", (3, 3)),
        ("...i,i", (2, 3), (3,)),
        ("i,j,k->kj", (2,), (2,), (3,)),
    ):
        yield Case(lambda *x, e=equation: ops.einsum(e, *x), equation, *shapes, group="einsum")


of_conv, of_transposed = ConvGeometry.of_conv, ConvGeometry.of_transposed
GEOMETRIES = {  # N images, C channels, F features, and the rest
    "plain": (2, 1, 2, of_conv((4, 3), (2, 2))),
    "stride > kernel": (1, 2, 1, of_conv((8,), 2, stride=3)),
    "leftover pixels": (1, 1, 2, of_conv((6, 5), (3, 2), stride=(2, 3))),
    "even kernel": (1, 1, 1, of_conv((4, 3), (2, 4), padding=(1, 2))),
    "asymmetric padding": (1, 1, 1, of_conv((3, 4), 3, stride=2, padding=((0, 2), (3, 1)))),
    "padding same": (1, 1, 1, of_conv((4, 5), (2, 3), stride=2, padding="same")),
    "dilation": (1, 1, 1, of_conv((6, 4), (3, 2), dilation=(2, 3))),
    "output padding >= stride": (1, 1, 1, of_transposed((2, 2), 2, (2, 1), 0, 3, output_padding=2)),
    "groups": (1, 4, 2, of_conv((3, 2), 2, padding=1, groups=2)),
    "groups = channels": (1, 3, 6, of_conv((4,), 3, padding=1, groups=3)),
    "N = 0": (0, 2, 1, of_conv((3, 3), 2)),
    "one axis": (2, 2, 2, of_conv((5,), 3, padding=1)),
    "three axes": (1, 1, 2, of_conv((2, 3, 2), (2, 2, 1), (1, 2, 1), (0, 1, 0))),
}


def conv2d(x, w, b):
    return conv.convolution(x, w, b, 2, 2, "same", 1, 1)


def conv_transpose1d(x, w, b):
    return conv.transposed_convolution(x, w, b, 1, 2, 1, 1, None, 1, 1)


def _convolution():
    for note, (n, channels, features, g) in GEOMETRIES.items():
        x, y = (n, channels, *g.big), (n, features, *g.small)
        w, cols = (features, channels // g.groups, *g.kernel), (n, channels, *g.kernel, *g.small)
        for op, *inputs in (
            (conv.Conv, x, w),
            (conv.ConvTranspose, y, w),
            (conv.ConvWeight, x, y),
            (windows.Unfold, x),
            (windows.Fold, cols),
        ):
            yield Case(op, note, *inputs, args=(g,), expect="right" if n else "empty")
    yield Case(conv2d, "unbatched, with bias", (1, 3, 4), (2, 1, 2, 3), (2,))
    yield Case(conv_transpose1d, "unbatched, with bias", (2, 3), (2, 1, 3), (1,))
    yield Case(lambda x: windows.max_pool(x, 2, 2, 1, 1), "", (1, 1, 3, 3), group="max_pool2d")
    yield Case(lambda x: windows.avg_pool(x, 1, 2, 2, 1), "", (2, 1, 5), group="avg_pool1d")


FAMILIES = (_elementwise, _shape, _reduction, _products, _convolution)
CASES = [case for family in FAMILIES for case in family()]


# ---------------------------------------------------------------- walking through them


def every_op(base=Op):
    """Every Op class of this package that has a forward of its own."""
    for op in base.__subclasses__():
        if op.forward is not Op.forward and op.__module__.startswith(__package__):
            yield op
        yield from every_op(op)


def missing_ops():
    """The Op classes that have no case; there should be none."""
    covered = {case.function for case in CASES}
    return [op for op in every_op() if op not in covered]


def find(names=None):
    """The cases of the ops and functions named: "Conv", "conv2d", "norm"; all cases for None."""
    if not names:
        return CASES
    chosen = []
    for name in names:
        found = [c for c in CASES if _plain(name) in (_plain(c.group), _plain(c.name))]
        if not found:
            known = {_plain(case.group): case.group for case in CASES}
            near = [known[n] for n in difflib.get_close_matches(_plain(name), known)]
            hint = (
                f"did you mean {' or '.join(near)}?" if near else "without a name, all are checked"
            )
            raise ValueError(f"no op has the name {name!r}: {hint}")
        chosen += [case for case in found if case not in chosen]
    return chosen


def _plain(name):
    """conv_transpose2d, ConvTranspose and conv transpose are one name."""
    return re.sub(r"(?<=[a-z])\dd$", "", re.sub(r"[_\s-]", "", name.lower()))


class Row(NamedTuple):
    """One case checked: worst relative errors at first and second order, and what they say."""

    op: str
    case: str
    first: float
    second: float
    status: str  # "right", "kink", "zero derivative" or "empty" as expected; otherwise "wrong"
    seconds: float
    details: str  # both reports


def check(names=None):
    """Yields a Row for each case of the named ops, after gradcheck and gradgradcheck."""
    options = {"rtol": 1e-6, "atol": 1e-8, "raise_exception": False}
    for case in find(names):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradcheckWarning)
            reports = [f(case, case.inputs(), **options) for f in (gradcheck, gradgradcheck)]
        expected = all(r.status == EXPECTED.get(case.expect, "right") for r in reports)
        status = case.expect if expected else "wrong"
        first, second = (max((c.relative for c in r.comparisons), default=np.inf) for r in reports)
        seconds, details = time.perf_counter() - start, "\n".join(map(str, reports))
        yield Row(case.group, case.note, first, second, status, seconds, details)
