"""Cases of every Op class and of the functions td.*, family by family."""

import numpy as np

from .. import ops
from ..geometry import ConvGeometry
from ..ops import (
    conv,
    elementwise,
    formulas,
    joining,
    linalg,
    maths,
    normalization,
    promotion,
    reduction,
    shape,
    windows,
)  # fmt: skip
from .case import Case


def _elementwise():
    e = elementwise
    for binary in (e.Add, e.Sub, e.Mul, e.Div, e.Maximum, e.Minimum):
        yield Case(binary, "of one shape", (2, 3), (2, 3))
        yield Case(binary, "broadcast", (2, 1, 3), (4, 1))
        yield Case(binary, "with a 0-d tensor", (3,), ())
    for unary in (e.Neg, e.Abs, e.Relu):
        yield Case(unary, "", (2, 3))
    yield Case(e.Pow, "broadcast", (2, 3), (3,), positive=True)
    yield Case(e.Pow, "of and by 0-d tensors", (), (), positive=True)
    for n in (1, 2, 3, -1):
        yield Case(lambda x, n=n: x**n, f"by {n}", (2, 3), group="Pow")
    yield Case(lambda x: x**0, "by 0", (2, 3), group="Pow", expect="zero derivative")
    yield Case(lambda x: x**2 + x**3, "of 0", [0.0, 0.7], group="Pow")
    yield Case(e.LeakyRelu, "", (2, 3), args=(0.1,))
    yield Case(e.LeakyRelu, "downwards", (2, 3), args=(-0.5,))
    yield Case(e.PRelu, "", (2, 3), (3,))
    yield Case(e.Clamp, "between bounds", (3, 4), args=(-1, 1))
    yield Case(e.Clamp, "above a bound", (3, 4), args=(0.1, None))
    yield Case(ops.clamp, "between tensors", (3, 4), [-0.9, 0.3, -1.0, 0.0], [[0.9], [-0.3], [2.0]])
    yield Case(ops.lerp, "", (2, 3), (2, 3), (3,))
    yield Case(e.Where, "broadcast", (2, 3), (2, 1), args=(np.array([True, False, True]),))
    yield Case(formulas.Step, "", (2, 3), args=(lambda x: x > 0,), expect="zero derivative")
    yield Case(
        formulas.Curve, "", (2, 3), args=(lambda m, x: m.sin(x), lambda m, g, x: g * m.cos(x))
    )
    yield Case(e.FloorDivide, "broadcast", (2, 3), (3,), expect="zero derivative")
    yield Case(e.Remainder, "broadcast", (2, 3), (3,))
    yield Case(e.Relu, "at its corner", [-1.0, 0.0, 1.0], expect="kink")
    yield Case(e.Abs, "at its corner", [-1.0, 0.0, 1.0], expect="kink")
    yield Case(e.Maximum, "of equal numbers", [1.0, 2.0], [1.0, 1.5], expect="kink")
    yield Case(e.Minimum, "of equal numbers", [1.0, 2.0], [1.0, 1.5], expect="kink")


def _maths():
    m = maths
    for op in (m.Exp, m.Expm1, m.Sin, m.Cos, m.Arctan, m.Tanh, m.Sigmoid, m.Softplus, m.Erf):
        yield Case(op, "", (2, 3))
    yield Case(m.Softplus, "partly straight", (2, 3), args=(2.0, 0.5))
    for of_positive in (m.Log, m.Log1p, m.Sqrt):
        yield Case(of_positive, "", (2, 3), positive=True)
    for arc in (m.Arcsin, ops.asin, ops.acos):
        yield Case(arc, "", [[-0.6, 0.1], [0.3, 0.7]])
    yield Case(m.Sign, "", (2, 3), expect="zero derivative")
    for how in ("floor", "ceil", "trunc", "rint"):
        yield Case(m.Rounding, how, (2, 3), args=(how,), expect="zero derivative")
    for function in (ops.round, ops.floor, ops.ceil, ops.trunc):
        yield Case(function, "", (2, 3), expect="zero derivative")
    for function in (ops.atan, ops.tan, ops.sinh, ops.cosh, ops.reciprocal, ops.square):
        yield Case(function, "", (2, 3))
    for function in (ops.log2, ops.log10, ops.rsqrt):
        yield Case(function, "", (2, 3), positive=True)


def _shape():
    s, twice = shape, np.array([[0, 5, 2], [5, 1, 5]])
    yield Case(s.Reshape, "", (2, 3), args=((3, 1, 2),))
    yield Case(s.Permute, "", (2, 3, 4), args=((2, 0, 1),))
    yield Case(s.Copy, "", (2, 3))
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
    yield Case(joining.Cat, "and an empty one", (2, 1), (2, 0), (2, 2), args=(1,))
    yield Case(lambda x: x.mT.clone().contiguous(), "", (2, 3), group="clone")
    yield Case(lambda x: ops.repeat(x, 2, 1, 2, 1), "", (2, 1, 3), group="repeat")
    for name, *args in (
        ("flatten",), ("flip", 2), ("squeeze", 1), ("unsqueeze", 1), ("transpose", 0, 2),
    ):  # fmt: skip
        yield Case(lambda x, n=name, a=args: getattr(x, n)(*a), "", (2, 1, 3), group=name)
    yield Case(lambda x: ops.chunk(x, 2, 1)[1], "", (2, 3), group="chunk")
    yield Case(lambda x: ops.split(x, [1, 2], 1)[1], "", (2, 3), group="split")
    yield Case(lambda x: ops.unbind(x, 1)[2], "", (2, 3), group="unbind")
    yield Case(ops.narrow, "", (2, 4), dim=1, start=1, length=2)
    yield Case(ops.movedim, "", (2, 1, 3), source=0, destination=-1)
    yield Case(ops.unflatten, "", (4, 3), dim=0, sizes=(2, -1))
    yield Case(
        lambda x, y: sum(ops.meshgrid(x, y, indexing="xy")), "", (2,), (3,), group="meshgrid"
    )
    yield Case(lambda x, y: ops.stack([x, y, x], 1), "", (2, 2), (2, 2), group="stack")
    yield Case(promotion.Cast, "", (2, 3), args=(np.dtype(np.float64),))
    yield Case(promotion.To, "", (2, 3), args=("cpu", "cpu"))


def _indexing():
    picks, mask = np.array([[0, 2, 0], [1, 1, 1]]), np.array([[True, False], [True, True]])
    yield Case(lambda x: x[[0, 2, -1], 1:, [2, 0, 0]], "advanced", (3, 2, 3), group="index")
    yield Case(lambda x: x[1, :, [2, 0, 0]], "of a slice", (3, 2, 3), group="index")
    yield Case(lambda x: x[[[True, False], [True, True]]], "by a mask", (2, 2, 2), group="index")
    yield Case(ops.gather, "with repeats", (2, 3), dim=1, index=picks)
    for function in (ops.scatter, ops.scatter_add):
        yield Case(
            lambda x, src, index, f=function: f(x, 1, index, src),
            "", (2, 3), (2, 3), group=function.__name__, index=picks[:, ::2],
        )  # fmt: skip
    yield Case(ops.index_select, "", (2, 3), dim=1, index=np.array([2, 0, 2]))
    yield Case(ops.repeat_interleave, "", (2, 3), repeats=[1, 0, 2], dim=1)
    yield Case(ops.masked_fill, "", (3, 2, 2), mask=mask, value=0.3)
    yield Case(ops.masked_select, "", (3, 2, 2), mask=mask)
    yield Case(ops.roll, "", (2, 3), shifts=(1, -1), dims=(0, 1))
    for triangle in (ops.tril, ops.triu):
        yield Case(triangle, "", (2, 3, 3), diagonal=1)
    yield Case(ops.diagonal, "", (2, 3, 2), offset=1, dim1=0, dim2=2)
    yield Case(ops.diag, "of a vector", (3,), diagonal=-1)
    yield Case(ops.diag, "of a matrix", (2, 3), diagonal=1)
    yield Case(ops.trace, "", (2, 3))


def _reduction():
    r = reduction
    for note, axes in (("over an axis", (1,)), ("over two axes", (0, 2)), ("over all", (0, 1, 2))):
        yield Case(r.Sum, note, (2, 3, 2), args=(axes, False))
        yield Case(r.Amax, note, (2, 3, 2), args=(axes,))
        yield Case(r.Amin, note, (2, 3, 2), args=(axes,))
    yield Case(r.Sum, "of a number, kept", (), args=((), True))
    yield Case(r.Amax, "of equal numbers", [[1.0, 2.0, 2.0]], args=((1,),), expect="kink")
    yield Case(r.Amin, "of equal numbers", [[1.0, 1.0, 2.0]], args=((1,),), expect="kink")
    yield Case(r.CumSum, "", (2, 3), args=(1,))
    n = normalization
    yield Case(n.Normalize, "a channel", (2, 3, 2), (1, 3, 1), (1, 3, 1), args=((0, 2), 0.1))
    yield Case(n.Normalize, "an image", (2, 2, 3), (1, 2, 1), (1, 1, 1), args=((2,), 0.1))
    yield Case(n.MultiplyAdd, "", (2, 3), (3,), ())
    yield Case(n.MultiplyAdd, "of one shape", (2, 3), (2, 3), (2, 3))
    for op in (r.Softmax, r.LogSoftmax):
        yield Case(op, "in front", (3, 2), args=((0,),))
        yield Case(op, "at the end", (2, 1, 3), args=((2,),))
    for p in (1, 2, 3, float("inf")):
        yield Case(lambda x, p=p: ops.norm(x, p, 1), f"of order {p}", (2, 3), group="norm")
    yield Case(lambda x: ops.mean(x, (0, 1)), "", (2, 3, 2), group="mean")
    yield Case(lambda x: ops.var(x, 1), "", (2, 3), group="var")
    yield Case(lambda x: ops.std(x, correction=0), "", (2, 3), group="std")
    yield Case(lambda x: ops.logsumexp(x, 1), "", (2, 3), group="logsumexp")
    yield Case(ops.prod, "", (2, 3), dim=1)
    yield Case(ops.prod, "with zeros", [[0.0, 2.0, 0.0], [0.5, 0.0, -1.5]], dim=1)
    yield Case(ops.cumsum, "", (2, 3), dim=-1)
    yield Case(ops.diff, "twice", (2, 4), n=2)
    for pair in (ops.std_mean, ops.var_mean):
        yield Case(lambda x, f=pair: sum(f(x, 1)), "", (2, 3), group=pair.__name__)
    for function in (ops.max, ops.min, ops.sort):
        yield Case(lambda x, f=function: f(x, 1).values, "", (2, 3), group=function.__name__)
    yield Case(lambda x: ops.topk(x, 2, 0).values, "", (3, 2), group="topk")


def _products():
    yield Case(linalg.MatMul, "", (2, 3), (3, 2))
    yield Case(linalg.MatMul, "broadcast", (2, 1, 2, 3), (2, 3, 1))
    yield Case(ops.matmul, "of vectors", (3,), (3,))
    yield Case(ops.matmul, "of a stack and a vector", (2, 2, 3), (3,))
    yield Case(ops.bmm, "", (2, 2, 3), (2, 3, 2))
    yield Case(ops.dot, "", (3,), (3,))
    yield Case(ops.mv, "", (2, 3), (3,))
    yield Case(ops.mm, "", (2, 3), (3, 2))
    yield Case(ops.outer, "", (2,), (3,))
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
            (windows.WindowSum, x),
            (windows.WindowSpread, y),
            (windows.Fold, cols),
        ):
            yield Case(op, note, *inputs, args=(g,), expect="right" if n else "empty")
    for pick, size in ((windows.WindowPick, 5), (windows.WindowPut, 2)):
        picks = np.array([[[2, 2], [6, 7]]])
        yield Case(pick, "", (1, 2, size), args=(picks, of_conv((5,), 3, 2)))
    yield Case(conv2d, "unbatched, with bias", (1, 3, 4), (2, 1, 2, 3), (2,))
    yield Case(conv_transpose1d, "unbatched, with bias", (2, 3), (2, 1, 3), (1,))


FAMILIES = (_elementwise, _maths, _shape, _indexing, _reduction, _products, _convolution)
