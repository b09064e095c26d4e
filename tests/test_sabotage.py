# ruff: noqa: E501  (tables of slips, one a line)
"""A check that cannot fail is a defect: here the shipped code is broken on purpose, and a named checker must notice.

Each row of the tables replaces one piece of text in one function of the package, as a slip of the pen would.
"""

import importlib
import inspect
import sys
import textwrap
import warnings
from types import SimpleNamespace

import naive
import numpy as np
import pytest

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.gradcheck import GradcheckError, adjointcheck, gradcheck, gradgradcheck
from tinydeconv.nn import functional as F

TIGHT = {"rtol": 1e-6, "atol": 1e-8}


def sabotage(monkeypatch, target, old, new):
    """Puts the function `target` ("engine:Node.pull") into force with `old` replaced by `new`."""
    module, path = target.split(":")
    owner = importlib.import_module(f"tinydeconv.{module}")
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    found = inspect.getattr_static(owner, name)
    function = found.fget if isinstance(found, property) else found
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old), f"{target} does not contain {old!r}: mend this table"
    space = {}
    exec(source.replace(old, new), function.__globals__, space)  # noqa: S102
    monkeypatch.setattr(owner, name, space[name])
    if not outer:  # the other pages and the public faces that have it by name
        for page in [m for n, m in sys.modules.items() if n.startswith("tinydeconv.")]:
            if vars(page).get(name) is function:
                monkeypatch.setattr(page, name, space[name])


def draw(*shape, seed=0):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return td.tensor(numbers, requires_grad=True)


# ---------------------------------------------------------------- what is checked, family by family

GEOMETRY = SimpleNamespace(
    stride=(2, 1), padding=((1, 0), (0, 2)), dilation=(1, 2), groups=2, kernel=(2, 3)
)


def conv(x, w):
    g = GEOMETRY
    return F.conv2d(x, w, stride=g.stride, padding=g.padding, dilation=g.dilation, groups=g.groups)


def conv_transpose(y, w):
    g = GEOMETRY
    return F.conv_transpose2d(
        y, w, stride=g.stride, padding=g.padding, dilation=g.dilation, groups=g.groups
    )


def batch_norm(x, w, b):
    return F.batch_norm(x, None, None, w, b, training=True)


CASES = {
    "arithmetic": (lambda a, b: a * b - a / (b * b + 1) + (-a), (draw(2, 3), draw(3, seed=1))),
    "power": (lambda a, b: (a * a + 1) ** b, (draw(2, 3), draw(2, 3, seed=1))),
    "exp": (td.exp, (draw(2, 3),)),
    "log": (lambda x: td.log(x * x + 1), (draw(2, 3),)),
    "sqrt": (lambda x: td.sqrt(x * x + 1), (draw(2, 3),)),
    "sin": (lambda x: x.sin() * x.cos(), (draw(2, 3),)),
    "tanh": (td.tanh, (draw(2, 3),)),
    "sigmoid": (td.sigmoid, (draw(2, 3),)),
    "kinks": (lambda x: x.relu() + abs(x) * F.leaky_relu(x, 0.1), (draw(2, 3),)),
    "choices": (
        lambda a, b: td.maximum(a, b) * td.where(a > 0, a, b),
        (draw(2, 3), draw(2, 3, seed=1)),
    ),
    "ties": (lambda x: td.stack([x, x]).amax(0), (draw(2, 3),)),
    "clamp": (lambda x: x.clamp(-0.5, 0.5), (draw(3, 3),)),
    "sums": (lambda x: x.sum(1) * x.mean((0, 2)).sum(), (draw(2, 3, 4),)),
    "softmax": (lambda x: x.softmax(1), (draw(2, 3),)),
    "log_softmax": (lambda x: x.log_softmax(1), (draw(2, 3),)),
    "matmul": (lambda a, b: a @ b, (draw(2, 3, 3), draw(3, 3, seed=1))),
    "stacks": (lambda a, b: a @ b, (draw(2, 3, 3), draw(2, 3, 3, seed=1))),
    "moves": (lambda x: x.permute(1, 2, 0).reshape(3, 8).flip(0)[:, 1:3], (draw(2, 3, 4),)),
    "index": (lambda x: x[[0, 1, 1]] * x[1:, 0], (draw(3, 2),)),
    "index squared": (lambda x: x[[0, 1, 1]] ** 2, (draw(3, 2),)),
    "slice squared": (lambda x: x[1:, 0] ** 2, (draw(3, 2),)),
    "cat": (lambda a, b: td.cat([a, b], 1) ** 2, (draw(2, 3), draw(2, 1, seed=1))),
    "expand": (lambda x: x.expand(4, 2, 3) ** 2, (draw(2, 3),)),
    "conv": (conv, (draw(2, 4, 5, 6), draw(6, 2, 2, 3, seed=1))),
    "conv_transpose": (conv_transpose, (draw(2, 6, 3, 2), draw(6, 2, 2, 3, seed=1))),
    "unfold": (lambda x: F.unfold(x, (2, 2), stride=1) ** 2, (draw(1, 2, 3, 3),)),
    "max_pool": (lambda x: F.max_pool2d(x, 2) ** 2, (draw(1, 2, 4, 4),)),
    "avg_pool": (lambda x: F.avg_pool2d(x, 2, padding=1) ** 2, (draw(1, 2, 4, 4),)),
    "batch_norm": (batch_norm, (draw(4, 3, 2), draw(3), draw(3, seed=1))),
    "prelu": (lambda x, w: F.prelu(x, w), (draw(4, 3), draw(3))),
    "cross_entropy": (lambda x: F.cross_entropy(x, td.tensor([0, 2])), (draw(2, 3),)),
    "bce": (
        lambda x: F.binary_cross_entropy_with_logits(x, td.tensor(np.array([[0.2, 1, 0]]))),
        (draw(1, 3),),
    ),
}


def first_order(case):
    function, inputs = CASES[case]
    assert gradcheck(function, inputs, **TIGHT)


def second_order(case):
    function, inputs = CASES[case]
    assert gradgradcheck(function, inputs, **TIGHT)


def adjoint(case):
    x, w = draw(2, 4, 5, 6), draw(6, 2, 2, 3, seed=1)
    adjointcheck(
        lambda a: conv(a, w),
        lambda b: F.conv_transpose2d(
            b,
            w,
            stride=GEOMETRY.stride,
            padding=GEOMETRY.padding,
            dilation=GEOMETRY.dilation,
            groups=GEOMETRY.groups,
            output_size=(5, 6),
        ),
        x,
    )


def forward(case):
    """The forward pass against the naive reference."""
    g = GEOMETRY
    numbers = {
        "conv": lambda x, w: naive.conv(x, w, None, g.stride, g.padding, g.dilation, g.groups),
        "conv_transpose": lambda y, w: naive.conv_transpose(
            y, w, None, g.stride, g.padding, (0, 0), g.dilation, g.groups
        ),
        "max_pool": lambda x: naive.max_pool(x, (2, 2), (2, 2), (0, 0), (1, 1))[0] ** 2,
        "avg_pool": lambda x: naive.avg_pool(x, (2, 2), (2, 2), (1, 1)) ** 2,
        "cross_entropy": lambda x: naive.cross_entropy(x, np.array([0, 2])),
        "bce": lambda x: naive.bce_with_logits(x, np.array([[0.2, 1, 0]])),
    }
    function, inputs = CASES[case]
    expected = numbers[case](*(x.data for x in inputs))
    np.testing.assert_allclose(function(*inputs).data, expected, rtol=1e-12, atol=1e-12)


def ties(case):
    x = td.tensor([1.0, 1.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0.5, 0.5]


def dtype(case):
    function, inputs = CASES[case]
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    y = function(*inputs)
    y.sum().backward()
    assert y.dtype == np.float32 and all(x.grad.dtype == np.float32 for x in inputs)


def optimiser(case):
    """Two Adam steps in the naive scalar form."""
    p = nn.Parameter(np.array([1.0]))
    adam = optim.Adam([p], lr=0.1)
    m = v = 0.0
    expected = 1.0
    for t, g in ((1, 0.5), (2, -0.3)):
        p.grad = td.tensor(np.array([g]))
        adam.step()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        expected -= 0.1 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + 1e-8)
    np.testing.assert_allclose(p.data, [expected], rtol=1e-12)


def stale(case):
    w = nn.Parameter(np.array([2.0]))
    loss = (w * w).sum()
    w.data = w.data - 1
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()


def lets_go(case):
    loss = (draw(2) ** 2).sum()
    loss.backward()
    with pytest.raises(RuntimeError, match="let go"):
        loss.backward()


FIRST = [
    # family of code, function, text, slip, case, the checker that must catch it
    ("geometry:ConvGeometry.taps", "t * d, t * d + (o - 1) * s + 1, s", "t * s, t * s + (o - 1) * d + 1, d", "conv", forward),
    ("geometry:ConvGeometry.taps", "t * d, t * d + (o - 1) * s + 1, s", "t * s, t * s + (o - 1) * d + 1, d", "conv_transpose", forward),
    ("geometry:ConvGeometry.interior", "slice(low, low + n)", "slice(0, n)", "conv", forward),
    ("kernels.reference:fold", "*geometry.interior]", "*geometry.interior][:, :, ::-1]", "conv_transpose", adjoint),
    ("kernels.reference:fold", "+= cols", "= cols", "conv_transpose", adjoint),
    ("kernels.reference:_filters", "w.reshape(groups, w.shape[0] // groups, ", "w.reshape(w.shape[0] // groups, groups, w.shape[1] * prod(geometry.kernel)).swapaxes(0, 1).reshape(groups, w.shape[0] // groups, ", "conv", forward),
    ("kernels.reference:max_pool_indices", "argmax", "argmin", "max_pool", forward),
    ("kernels.reference:window_sizes", "if include_padding else geometry.interior", "if not include_padding else geometry.interior", "avg_pool", forward),
    ("kernels.reference:conv_weight", "w.sum(axis=0)", "w.mean(axis=0)", "conv", first_order),
    ("ops.conv:Conv.backward", "ConvWeight(self.geometry)(x, g)", "ConvWeight(self.geometry)(x.detach(), g) * 2", "conv", first_order),
    ("ops.conv:ConvTranspose.backward", "Conv(self.geometry)(g, w)", "Conv(self.geometry)(g, w.flip(3))", "conv_transpose", first_order),
    ("ops.elementwise:Mul.backward", "g * b", "g * a", "arithmetic", first_order),
    ("ops.elementwise:Div.backward", "(b * b)", "b", "arithmetic", first_order),
    ("ops.elementwise:Sub.backward", "-g", "g", "arithmetic", first_order),
    ("ops.elementwise:Pow.backward", "b - 1", "b", "power", first_order),
    ("ops.elementwise:Log.forward", ".log(x)", ".log(x.astype('float32')).astype(x.dtype)", "log", first_order),
    ("ops.elementwise:Sqrt.forward", ".sqrt(x)", ".sqrt(x.astype('float64'))", "sqrt", dtype),
    ("ops.elementwise:Abs.backward", "g * Sign()(x)", "g", "kinks", first_order),
    ("ops.elementwise:Where.backward", "(g, zero)", "(zero, g)", "choices", first_order),
    ("ops.elementwise:Clamp.backward", "x <= self.high", "x >= self.high", "clamp", first_order),
    ("ops.reduction:Amax.backward", " / sum(largest, self.axes, keepdim=True)", "", "ties", ties),
    ("ops.reduction:Sum.backward", "(g)", "(g) * 2", "sums", first_order),
    ("ops.reduction:Softmax.backward", "g - sum(g * y, self.axis, keepdim=True)", "g", "softmax", first_order),
    ("ops.linalg:MatMul.backward", "transpose(b, -1, -2)", "b", "matmul", first_order),
    ("ops.shape:Permute.backward", "tuple(self.dims.index(i) for i in range(len(self.dims)))", "self.dims", "moves", first_order),
    ("ops.shape:Cat.backward", "split(g, ", "split(g * 2, ", "cat", first_order),
    ("ops.shape:Scatter.forward", "sums.astype(x.dtype)", "sums", "index", dtype),
    ("nn.normalization:batch_norm", "mean = input.mean(dims, keepdim=True)", "mean = input.mean(dims, keepdim=True).detach()", "batch_norm", first_order),
    ("nn.normalization:batch_norm", "(var + eps).sqrt()", "(var + eps).sqrt().detach()", "batch_norm", first_order),
    ("nn.activations:prelu", "weight * input", "weight.detach() * input", "prelu", first_order),
    ("nn.losses:cross_entropy", "-picked", "picked", "cross_entropy", forward),
    ("nn.losses:binary_cross_entropy_with_logits", "- input * target", "- target", "bce", forward),
    ("optim:Adam.update", " / correction1", "", None, optimiser),
    ("engine:Node.pull", "cell[0] != count", "False", None, stale),
    ("engine:Node.release", "self.inputs = self.output = self.versions = None", "pass", None, lets_go),
    ("engine:Node._checked", "gx = gx.sum_to(shape)", "pass", "arithmetic", first_order),
]  # fmt: skip

SECOND = [
    # visible only when a gradient is differentiated again: an array read in a backward, a detach
    ("ops.elementwise:Exp.backward", "g * y", "g * y.detach()", "exp"),
    ("ops.elementwise:Tanh.backward", "y * y", "g.wrap((y * y).data)", "tanh"),
    ("ops.elementwise:Sigmoid.backward", "(1 - y)", "(1 - y).detach()", "sigmoid"),
    ("ops.elementwise:Mul.backward", "g * b", "g * b.detach()", "arithmetic"),
    ("ops.elementwise:Div.backward", "(b * b)", "(b * b).detach()", "arithmetic"),
    ("ops.reduction:Softmax.backward", "return y *", "return y.detach() *", "softmax"),
    ("ops.reduction:LogSoftmax.backward", "exp(y)", "exp(y).detach()", "log_softmax"),
    ("ops.linalg:MatMul.backward", "MatMul()(transpose(a, -1, -2), g)", "MatMul()(transpose(a, -1, -2).detach(), g)", "stacks"),
    ("ops.conv:Conv.backward", "(g, w)", "(g, w.detach())", "conv"),
    ("ops.conv:ConvWeight.backward", "ConvTranspose(self.geometry)(y, g)", "ConvTranspose(self.geometry)(y, -g)", "conv"),
    ("ops.conv:ConvWeight.backward", "Conv(self.geometry)(x, g)", "Conv(self.geometry)(x, g) * 2", "conv_transpose"),
    ("ops.windows:Fold.backward", "(g)", "(g * 2)", "unfold"),
    ("ops.shape:Scatter.backward", "(g)", "(g * 2)", "index squared"),
    ("ops.shape:Paste.backward", "(g)", "(-g)", "slice squared"),
    ("ops.shape:SumTo.backward", "(g)", "(g * 0)", "expand"),
]  # fmt: skip


NOTICED = (AssertionError, GradcheckError, RuntimeError, ValueError, pytest.fail.Exception)


def name_of(row):
    return f"{row[0]}-{row[-1] if isinstance(row[-1], str) else row[-1].__name__}"


@pytest.mark.parametrize("case", CASES)
def test_sound_code_passes(case):
    first_order(case)
    second_order(case)


@pytest.mark.parametrize("row", FIRST, ids=name_of)
def test_the_named_checker_catches(row, monkeypatch):
    target, old, new, case, checker = row
    checker(case)
    sabotage(monkeypatch, target, old, new)
    with warnings.catch_warnings(), pytest.raises(NOTICED):
        warnings.simplefilter("ignore")
        checker(case)


@pytest.mark.parametrize("row", SECOND, ids=name_of)
def test_only_the_second_order_shows(row, monkeypatch):
    target, old, new, case = row
    sabotage(monkeypatch, target, old, new)
    first_order(case)
    with pytest.raises(GradcheckError):
        second_order(case)
