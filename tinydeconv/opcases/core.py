"""Cases of every Op class and of the functions td.*, family by family."""

import numpy as np

from .. import ops
from ..geometry import ConvGeometry
from ..ops import conv, elementwise, linalg, promotion, reduction, shape, windows
from .case import Case


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


FAMILIES = (_elementwise, _shape, _reduction, _products, _convolution)
