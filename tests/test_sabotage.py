# ruff: noqa: E501  (tables of slips, one a line)
"""A check that cannot fail is a defect: here the shipped code is broken on purpose, and a named checker must notice.

Each row of the tables replaces one piece of text in one function of the package, as a slip of the pen would.
"""

import importlib
import inspect
import math
import sys
import textwrap
import warnings
from types import SimpleNamespace

import naive
import numpy as np
import pytest
import test_activations
import test_basic
import test_init
import test_kernels
import test_losses
import test_nn
import test_normalization
import test_optim
import test_pieces
import test_recurrent
import test_resampling
import test_summary
import test_utils

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import GradcheckError, adjointcheck, gradcheck, gradgradcheck
from tinydeconv.kernels import pieces, threads
from tinydeconv.nn import functional as F
from tinydeconv.nn import recurrent
from tinydeconv.nn.recurrent import CELLS
from tinydeconv.optim import SGD, Adagrad, Adam, AdamW, OneCycleLR, RMSprop
from tinydeconv.optim.lr_scheduler import CosineAnnealingLR, MultiStepLR, StepLR

TIGHT = {"rtol": 1e-6, "atol": 1e-8}


def sabotage(monkeypatch, target, old, new):
    """Puts the function `target` ("engine:Node.pull") into force with `old` replaced by `new`."""
    module, path = target.split(":")
    owner = importlib.import_module(f"tinydeconv.{module}")
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    found = inspect.getattr_static(owner, name)
    function = found.fget if isinstance(found, property) else inspect.unwrap(found)
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(old), f"{target} does not contain {old!r}: mend this table"
    space = {}
    exec(source.replace(old, new), function.__globals__, space)  # noqa: S102
    monkeypatch.setattr(owner, name, space[name])
    if not outer:  # also where other pages, the public faces and Tensor have it
        pages = [m for n, m in sys.modules.items() if n.partition(".")[0] == "tinydeconv"]
        for place in (*pages, td.Tensor):
            for known in [n for n, value in vars(place).items() if value is found]:
                monkeypatch.setattr(place, known, space[name])


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
    "shared": (lambda a, b: a.exp() + a + b + a + a, (draw(2, 3), draw(2, 3, seed=1))),
    "power": (lambda a, b: (a * a + 1) ** b, (draw(2, 3), draw(2, 3, seed=1))),
    "exp": (td.exp, (draw(2, 3),)),
    "log": (lambda x: td.log(x * x + 1), (draw(2, 3),)),
    "sqrt": (lambda x: td.sqrt(x * x + 1), (draw(2, 3),)),
    "sin": (lambda x: x.sin() * x.cos(), (draw(2, 3),)),
    "tanh": (td.tanh, (draw(2, 3),)),
    "sigmoid": (td.sigmoid, (draw(2, 3),)),
    "kinks": (lambda x: x.relu() + abs(x) * F.leaky_relu(x, 0.1), (draw(2, 3),)),
    "erf": (td.erf, (draw(2, 3),)),
    "near one": (lambda x: (x * x).log1p() * x.expm1(), (draw(2, 3),)),
    "arcs": (lambda x: x.atan() * (x.tanh() / 2).asin(), (draw(2, 3),)),
    "cumsum": (lambda x: x.cumsum(1) ** 2, (draw(2, 3),)),
    "prod": (lambda x: x.prod(1), (draw(2, 5),)),
    "diff": (lambda x: x.diff(n=2) ** 2, (draw(2, 5),)),
    "sort": (lambda x: x.sort(1, descending=True).values ** 2, (draw(2, 5),)),
    "scatter": (
        lambda x, v: x.scatter(1, td.tensor([[2, 0], [1, 3]]), v),
        (draw(2, 4), draw(2, 2)),
    ),
    "scatter_add": (
        lambda x, v: x.scatter_add(1, td.tensor([[2, 2], [1, 3]]), v) ** 2,
        (draw(2, 4), draw(2, 2)),
    ),
    "triangle": (lambda x: x.tril(-1) + x.triu(1), (draw(3, 4),)),
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
    "resized": (lambda x: F.interpolate(x, (3, 5), mode="bilinear") ** 2, (draw(1, 1, 2, 3),)),
    "batch_norm": (batch_norm, (draw(4, 3, 2), draw(3), draw(3, seed=1))),
    "prelu": (lambda x, w: F.prelu(x, w), (draw(4, 3), draw(3))),
    "gelu": (F.gelu, (draw(2, 3),)),
    "softplus": (F.softplus, (draw(2, 3),)),
    "layer_norm": (lambda x, w: F.layer_norm(x, (3,), w), (draw(2, 3), draw(3))),
    "cross_entropy": (lambda x: F.cross_entropy(x, td.tensor([0, 2])), (draw(2, 3),)),
    "bce": (
        lambda x: F.binary_cross_entropy_with_logits(x, td.tensor(np.array([[0.2, 1, 0]]))),
        (draw(1, 3),),
    ),
    "bce of probabilities": (
        lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
        (draw(2, 3), draw(2, 3, seed=1)),
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
        "erf": np.vectorize(math.erf),
        "prod": lambda x: [math.prod(row) for row in x.tolist()],
        "diff": lambda x: np.diff(np.diff(x)) ** 2,
        "sort": lambda x: np.array([sorted(row, reverse=True) for row in x.tolist()]) ** 2,
        "scatter": lambda x, v: [
            [v[0, 1], x[0, 1], v[0, 0], x[0, 3]],
            [x[1, 0], v[1, 0], x[1, 2], v[1, 1]],
        ],
        "triangle": lambda x: x * (1 - np.eye(3, 4)),
    }
    function, inputs = CASES[case]
    expected = numbers[case](*(x.data for x in inputs))
    np.testing.assert_allclose(function(*inputs).data, expected, rtol=1e-12, atol=1e-12)


def ties(case):
    x = td.tensor([1.0, 1.0], requires_grad=True)
    x.amax().backward()
    assert x.grad.tolist() == [0.5, 0.5]


def uneven_halves(case):
    """Means in float16 over windows of 1667 and 1668 numbers."""
    x = td.tensor(np.ones((1, 1, 5000), np.float16))
    assert F.adaptive_avg_pool1d(x, 3).tolist() == [[[1, 1, 1]]]


def dtype(case):
    function, inputs = CASES[case]
    inputs = [x.detach().float().requires_grad_() for x in inputs]
    y = function(*inputs)
    y.sum().backward()
    assert y.dtype == np.float32 and all(x.grad.dtype == np.float32 for x in inputs)


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
    ("kernels.windows:max_pool_indices", "pixels <= largest", "pixels >= largest", "max_pool", forward),
    ("kernels.windows:window_sizes", "if include_padding else geometry.interior", "if not include_padding else geometry.interior", "avg_pool", forward),
    ("ops.conv:Conv.backward", "ConvWeight(self.geometry)(x, g)", "ConvWeight(self.geometry)(x.detach(), g) * 2", "conv", first_order),
    ("ops.conv:ConvTranspose.backward", "Conv(self.geometry)(g, w)", "Conv(self.geometry)(g, w.flip(3))", "conv_transpose", first_order),
    ("ops.elementwise:Mul.backward", "g * b", "g * a", "arithmetic", first_order),
    ("ops.elementwise:Div.backward", "(b * b)", "b", "arithmetic", first_order),
    ("ops.elementwise:Sub.backward", "-g", "g", "arithmetic", first_order),
    ("ops.elementwise:Pow.backward", "b - 1", "b", "power", first_order),
    ("ops.maths:Function.forward", "self.function), x)", "self.function), x.astype('float32')).astype(x.dtype)", "log", first_order),
    ("ops.maths:Function.forward", "self.function), x)", "self.function), x.astype('float64'))", "sqrt", dtype),
    ("ops.maths:Erf.backward", "2 / math.sqrt", "1 / math.sqrt", "erf", first_order),
    ("ops.maths:erf_of", "[x.dtype.itemsize == 8]", "[0]", "erf", forward),
    ("ops.maths:Expm1.backward", "(y + 1)", "y", "near one", first_order),
    ("ops.maths:Log1p.backward", "(x + 1)", "x", "near one", first_order),
    ("ops.maths:Arctan.backward", "1 + x * x", "1 - x * x", "arcs", first_order),
    ("ops.maths:Arcsin.backward", "1 - x * x", "1 + x * x", "arcs", first_order),
    ("ops.reduction:CumSum.backward", "flip(g, self.axis)", "g", "cumsum", first_order),
    ("ops.reduction:prod", "2 * half, x.shape[dim] - 2 * half", "half, x.shape[dim] - 2 * half", "prod", forward),
    ("ops.reduction:diff", "rest - first", "rest - first * 2", "diff", forward),
    ("ops.reduction:argsort", "x.shape[dims[0]] - 1 - order", "order", "sort", forward),
    ("ops.indexing:scatter", "x.numel() + xp.arange", "xp.arange", "scatter", forward),
    ("ops.indexing:scatter_add", "x + Scatter", "x.detach() + Scatter", "scatter_add", first_order),
    ("ops.indexing:triu", "diagonal - 1", "diagonal", "triangle", forward),
    ("ops.elementwise:Abs.backward", "x > 0, x) - g", "x > 0, x) + g", "kinks", first_order),
    ("ops.elementwise:Where.backward", "(g, zero)", "(zero, g)", "choices", first_order),
    ("ops.elementwise:Clamp.backward", "x <= high", "x >= high", "clamp", first_order),
    ("ops.reduction:Amax.backward", " / sum(largest, self.axes, keepdim=True)", "", "ties", ties),
    ("ops.reduction:Sum.backward", "(g)", "(g) * 2", "sums", first_order),
    ("ops.reduction:Softmax.backward", "g - total(m, g * y, self.axis)", "g", "softmax", first_order),
    ("ops.linalg:MatMul.backward", "transpose(b, -1, -2)", "b", "matmul", first_order),
    ("ops.shape:Permute.backward", "tuple(self.dims.index(i) for i in range(len(self.dims)))", "self.dims", "moves", first_order),
    ("ops.joining:Cat.backward", "split(g, ", "split(g * 2, ", "cat", first_order),
    ("kernels.sparse:scatter_add", ".astype(x.dtype)", "", "index", dtype),
    ("ops.normalization:Normalize.backward", "g - shift - ", "g - ", "batch_norm", first_order),
    ("ops.normalization:Normalize.backward", " - (x - mean) * turn", "", "batch_norm", first_order),
    ("ops.elementwise:PRelu.backward", "if needs[1]", "if False", "prelu", first_order),
    ("nn.losses:_of_indices", "-_picked", "_picked", "cross_entropy", forward),
    ("nn.losses:binary_cross_entropy_with_logits", ", 1 - target)", ", target)", "bce", forward),
    ("nn.losses:BinaryCrossEntropy.backward", "(x - t)", "(x + t)", "bce of probabilities", first_order),
    ("nn.losses:BinaryCrossEntropy.backward", "log1p(-x) - log(x)", "log(x) - log1p(-x)", "bce of probabilities", first_order),
    ("kernels.sparse:resample", "np.float32) if", "x.dtype) if", None, uneven_halves),
    ("engine:Node.pull", "x.version[0] > self.number", "False", None, stale),
    ("engine:_walk", "node.inputs, node.output, node.parents = None, None, ()", "pass", None, lets_go),
    ("engine:_walk", "parent in sums and not create_graph", "not create_graph", "shared", first_order),
    ("engine:Node._fitted", "gx = gx.sum_to(parent.shape)", "pass", "arithmetic", first_order),
]  # fmt: skip

SECOND = [
    # visible only when a gradient is differentiated again: an array read in a backward, a detach
    ("engine:_walk", "parent in sums and not create_graph", "parent in sums", "shared"),
    ("ops.maths:Exp.backward", "g * y", "g * y.detach()", "exp"),
    ("ops.maths:Tanh.backward", ", g, y, kernel", ", g, g.wrap(y.data), kernel", "tanh"),
    ("ops.maths:Sigmoid.backward", "(1 - y)", "((1 - y).detach() if m is Tensor else 1 - y)", "sigmoid"),
    ("ops.maths:Erf.backward", ", g, x)", ", g, x.detach())", "erf"),
    ("ops.maths:Log1p.backward", ", g, x)", ", g, x.detach())", "near one"),
    ("ops.maths:Arctan.backward", ", g, x)", ", g, x.detach())", "arcs"),
    ("ops.reduction:CumSum.backward", "CumSum(self.axis)(flip(g, self.axis))", "g.wrap(CumSum(self.axis)(flip(g, self.axis)).data)", "cumsum"),
    ("ops.elementwise:Mul.backward", "g * b", "g * b.detach()", "arithmetic"),
    ("ops.elementwise:Div.backward", ", g, a, b)", ", g, a, b.detach())", "arithmetic"),
    ("ops.reduction:Softmax.backward", "y: y *", "y: (y.detach() if m is Tensor else y) *", "softmax"),
    ("ops.reduction:LogSoftmax.backward", ", g, y, whole", ", g, y.detach(), whole", "log_softmax"),
    ("ops.linalg:MatMul.backward", "MatMul()(transpose(a, -1, -2), g)", "MatMul()(transpose(a, -1, -2).detach(), g)", "stacks"),
    ("ops.normalization:Normalize._statistics", "if not recorded(x)", "if True", "batch_norm"),
    ("ops.normalization:MultiplyAdd.backward", "g * w", "g * w.detach()", "layer_norm"),
    ("ops.formulas:Curve.backward", ", g, x, kernel", ", g, x.detach(), kernel", "gelu"),
    ("ops.formulas:fused", "*tensors)\n    return", "*(x.detach() for x in tensors))\n    return", "gelu"),
    ("ops.formulas:fused_sums", "(Tensor, *tensors)", "(Tensor, *(x.detach() for x in tensors))", "batch_norm"),
    ("ops.elementwise:PRelu.backward", "(by_x, g, x, slope)", "(by_x, g, x, slope.detach())", "prelu"),
    ("ops.maths:Softplus.backward", "(slope, g, x)", "(slope, g, x.detach())", "softplus"),
    ("nn.losses:BinaryCrossEntropyWithLogits.backward", "(slope, g, x, a, b)", "(slope, g, x.detach(), a, b)", "bce"),
    ("nn.losses:BinaryCrossEntropy.backward", "maximum(x * (1 - x), ", "maximum((x * (1 - x)).detach() if m is Tensor else x * (1 - x), ", "bce of probabilities"),
    ("ops.conv:Conv.backward", "(g, w)", "(g, w.detach())", "conv"),
    ("ops.conv:ConvWeight.backward", "ConvTranspose(self.geometry)(y, g)", "ConvTranspose(self.geometry)(y, -g)", "conv"),
    ("ops.conv:ConvWeight.backward", "Conv(self.geometry)(x, g)", "Conv(self.geometry)(x, g) * 2", "conv_transpose"),
    ("ops.windows:Fold.backward", "(g)", "(g * 2)", "unfold"),
    ("ops.resampling:Resample.backward", "(g)", "(g.detach())", "resized"),
    ("ops.shape:Scatter.backward", "(g)", "(g * 2)", "index squared"),
    ("ops.shape:Paste.backward", "(g)", "(-g)", "slice squared"),
    ("ops.shape:SumTo.backward", "(g)", "(g * 0)", "expand"),
]  # fmt: skip


FORMULA, RATES = "a_trajectory_is_that_of_the_formula", "a_schedule_gives_each_group_its_rates"
INCOMPLETE, RESUMED = "an_incomplete_state_is_refused", "a_schedule_is_resumed_with_its_optimiser"
OPTIM = [
    # function of optim, text, slip, the test of test_optim.py that must catch it, its arguments
    ("optimizers:SGD.direction", "(1 - dampening) * g", "g", FORMULA, SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    ("optimizers:SGD.direction", "buffer = g if", "buffer = (1 - dampening) * g if", FORMULA, SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2}),
    ("optimizers:SGD.direction", "g + momentum * buffer if", "buffer if", FORMULA, SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("optimizers:Optimizer._move", "array_module(x).array\n", "array_module(x).asarray\n", "what_is_kept_is_no_view_of_the_gradient", SGD, {"lr": 0.1, "momentum": 0.9}),
    ("optimizers:RMSprop.direction", "variance - mean * mean", "variance", FORMULA, RMSprop, {"centered": True}),
    ("optimizers:RMSprop.direction", "sqrt(variance) + eps", "sqrt(variance + eps)", FORMULA, RMSprop, {"eps": 0.01}),
    ("optimizers:RMSprop.direction", "g * g, alpha", "g * g, 1 - alpha", FORMULA, RMSprop, {}),
    ("optimizers:RMSprop.direction", "momentum * state", "state", FORMULA, RMSprop, {"momentum": 0.7}),
    ("optimizers:Adam.direction", "(correction1 / correction2**0.5) + correction1 * eps", "(1 / correction2**0.5) + eps", FORMULA, Adam, {}),
    ("optimizers:Adam.direction", "(correction1 / correction2**0.5)", "correction1", FORMULA, Adam, {}),
    ("optimizers:Adam.direction", "maximum(state.get(\"max_exp_avg_sq\", v), v)", "maximum(v, v)", FORMULA, Adam, {"betas": (0.8, 0.5), "amsgrad": True}),
    ("optimizers:Adam.direction", "xp.sqrt(v) * (correction1 / correction2**0.5) + correction1 * eps", "xp.sqrt(v / correction2 + eps) * correction1", FORMULA, Adam, {"eps": 0.01}),
    ("optimizers:Adagrad.direction", "state[\"step\"] - 1", "state[\"step\"]", FORMULA, Adagrad, {"lr_decay": 0.2}),
    ("optimizers:Adagrad.direction", "initial_accumulator_value) +", "0) +", FORMULA, Adagrad, {"initial_accumulator_value": 0.5}),
    ("optimizers:_average", "(1 - decay) * new", "new", FORMULA, Adam, {}),
    ("optimizers:Optimizer._moved", "1 - lr * decay", "1 - decay", FORMULA, AdamW, {"weight_decay": 0.5}),
    ("optimizers:Optimizer._moved", "elif decay:", "if decay:", FORMULA, AdamW, {"weight_decay": 0.5}),
    ("optimizers:Optimizer._moved", "g + decay * x", "g - decay * x", FORMULA, SGD, {"lr": 0.1, "weight_decay": 0.3}),
    ("optimizers:Optimizer._moved", "g = -g", "pass", FORMULA, Adagrad, {"maximize": True}),
    ("optimizers:Optimizer._move", "array(new, x.dtype)", "array(new)", "a_step_keeps_dtype_and_shape_and_leaves_the_gradient", Adam, {"weight_decay": 0.1}, np.float32, (2, 3)),
    ("optimizers:Optimizer._fitting", "fit = not state or needed <= set(state)", "fit = set(state)", INCOMPLETE, Adam, {"amsgrad": True}),
    ("optimizers:Optimizer._fitting", " <= set(self.keeps)", "", INCOMPLETE, Adagrad, {}),
    ("optimizers:Optimizer._fitting", ".clone()", "", "a_state_dict_is_a_snapshot_and_loading_copies"),
    ("optimizers:Optimizer.load_state_dict", ", **self.always", "", "adamw_stays_decoupled_with_the_state_of_adam"),
    ("optimizers:Optimizer.add_param_group", "{**self.defaults, **param_group, ", "{**param_group, **self.defaults, ", "groups_have_settings_of_their_own", SGD, {"lr": 0.1}),
    ("lr_scheduler:StepLR.get_lr", "self.last_epoch > 0 and ", "", RATES, StepLR, {"step_size": 3}),
    ("lr_scheduler:MultiStepLR.get_lr", "self.milestones.count(self.last_epoch)", "(self.last_epoch in self.milestones)", RATES, MultiStepLR, {"milestones": [2, 5, 5], "gamma": 0.7}),
    ("lr_scheduler:CosineAnnealingLR.get_lr", "(1 - cos(pi / end)) / 2", "1 - cos(pi / end)", RATES, CosineAnnealingLR, {"T_max": 5}),
    ("lr_scheduler:OneCycleLR.get_lr", "(2 * top, ", "(1.5 * top, ", "one_cycle_in_three_phases"),
    ("lr_scheduler:OneCycleLR.get_lr", "between(group, 2)", "0.95", "one_cycle_in_numbers"),
    ("lr_scheduler:LRScheduler.load_state_dict", "vars(self).update(state_dict)", "self.last_epoch = 0", RESUMED, OneCycleLR, {"max_lr": 0.5, "total_steps": 30}),
    ("lr_scheduler:ReduceLROnPlateau.step", "> self.patience", ">= self.patience", "the_rate_falls_after_more_than_patience_steps_without_improvement"),
    ("lr_scheduler:ReduceLROnPlateau.step", "self.cooldown, 0", "0, 0", "a_plateau_cools_down"),
    ("lr_scheduler:ReduceLROnPlateau._is_better", "1 + margin", "1 - margin", "what_counts_as_better"),
    ("lr_scheduler:ReduceLROnPlateau.get_lr", "> self.eps", ">= 0", "rates_have_a_floor_and_small_changes_are_left_out"),
]  # fmt: skip


LOOPS, ADAPTIVE = "interpolate", "adaptive_pooling"
RESAMPLING = [
    # function (of ops), text, slip, the test of test_resampling.py that must catch it, its arguments
    ("resampling:Resample.backward", "(columns, rows, weights)", "(columns, rows, weights * 2)", "the_gradient_is_the_transpose", "bilinear to (9, 3)"),
    ("resampling:Resample.backward", "(columns, rows, weights)", "(rows, rows, weights)", "pad", 1, ((2, 1),), "reflect"),
    ("kernels.sparse:resample", "] += x", "] = x", LOOPS, 2, "bicubic", False, (4, 9)),
    ("kernels.sparse:resample", " < len(rows)", " < len(rows) + 9", "entries_of_one_place_are_added_and_empty_rows_are_zero"),
    ("kernels.sparse:resample", "else x.dtype", "else np.float32", "pad_keeps_the_kind_of_number"),
    ("resampling:_matrix", "[0][named], columns[named], weights[named]", "[0].ravel(), columns.ravel(), (weights * named).ravel()", "a_nan_stays_where_it_is"),
    ("resampling:pad", "reversed(range(0, len(pad), 2))", "range(0, len(pad), 2)", "pad", 2, ((1, 2), (3, 0)), "replicate"),
    ("resampling:_constant", "n - max(-high, 0)", "n", "pad", 1, ((0, -3),), "constant"),
    ("resampling:_constant", "Tensor(inside)", "Tensor(~inside)", "pad_with_infinity_keeps_the_image_and_its_gradient_finite"),
    ("resampling:_border", "n - 1 - abs(n - 1 - abs(places))", "np.minimum(abs(places + 0.5) - 0.5, 2 * n - 1 - places).astype(int)", "pad", 1, ((2, 1),), "reflect"),
    ("resampling:_border", "first + (places - first) % kept", "places % n", "pad", 2, ((-1, 2), (1, -2)), "circular"),
    ("resampling:_target", "or recompute", "", LOOPS, 1, "linear", False, 0.6),
    ("resampling:_target", "[1 / scale for scale in scales]", "[n / m for n, m in zip(spatial, size)]", LOOPS, 2, "nearest", False, 0.6),
    ("resampling:_nearest", "0.5 * exact", "0.0", LOOPS, 1, "nearest-exact", False, (4,)),
    ("resampling:_smooth", "(m - 1)", "m", LOOPS, 1, "linear", True, (4,)),
    ("resampling:_smooth", "-0.75", "-0.5", LOOPS, 2, "bicubic", False, (4, 9)),
    ("resampling:_smooth", "-0.5 if", "-0.75 if", "antialias", "bicubic", (2, 3)),
    ("resampling:_smooth", "max(step, 1)", "step", "antialias", "bilinear", (9, 4)),
    ("resampling:_smooth", ".clip(0, n - 1)", " % n", LOOPS, 3, "trilinear", False, (4, 9, 2)),
    ("resampling:_area", "1 / (end - start)[:, None]", "1 / (end - start).max()", LOOPS, 1, "area", False, (4,)),
    ("resampling:pixel_shuffle", "0, 3, 1, 4, 2", "0, 3, 2, 4, 1", "pixel_shuffle"),
    ("resampling:pixel_unshuffle", "0, 2, 4, 1, 3", "0, 4, 2, 1, 3", "pixel_shuffle"),
    ("windows:adaptive_windows", "-(-(i + 1) * n // m)", "(i + 1) * n // m", "adaptive_windows_cover_the_axis_evenly"),
    ("windows:adaptive_size", "n if m is None else m", "1 if m is None else m", ADAPTIVE, 2, (None, 2, None), True),
    ("windows:_picked", "squeeze(indices, 0)", "indices", ADAPTIVE, 2, (3, 4, 2), False),
    ("windows:_flat", "* area", "", ADAPTIVE, 1, (3, 4, 2), True),
]  # fmt: skip


SLOPES, KINK, FAR = (
    "values_slopes_and_curvatures",
    "slopes_at_a_kink_are_pytorchs",
    "nothing_overflows",
)
ACTIVATIONS = [
    # function of nn.activations, text, slip, the test of test_activations.py that must catch it, its arguments
    ("relu", "ops.relu", "-ops.relu", SLOPES, "relu"),
    ("relu6", "0, 6", "0, 5", SLOPES, "relu6"),
    ("leaky_relu", ", negative_slope)", ", 0.01)", SLOPES, "leaky_relu steeper"),
    ("ops.elementwise:PRelu.forward", "slope * xp.minimum", "0.25 * xp.minimum", SLOPES, "prelu"),
    ("prelu", "(-1, *(1,) * (input.ndim - 2))", "-1", "prelu_learns_a_slope_for_each_channel"),
    ("ops.elementwise:PRelu.backward", "m.minimum(x, 0)", "x * step(m, lambda x: x < 0, x)", "an_infinite_number_leaves_the_slope_of_prelu_alone"),
    ("hardtanh", "m.minimum(m.maximum(x, low), high)", "x", SLOPES, "hardtanh"),
    ("hardtanh", "x >= high", "x > high", KINK, "hardtanh", [-1.0, 1.0], [0, 0]),
    ("hardtanh", ".astype(input.dtype)", "", "integers_where_pytorch_takes_them"),
    ("_elu", "alpha * ", "", SLOPES, "elu deeper"),
    ("_elu", "where(x <= 0, x, 0) if m is Tensor else m.fmin(x, 0)", "x", FAR, "elu", td.float64),
    ("_elu", "lambda x: x <= 0", "lambda x: x < 0", KINK, "elu deeper", [0.0], [2.5]),
    ("selu", "1.673", "1.674", SLOPES, "selu"),
    ("selu", "1.0507", "1.0508", SLOPES, "selu"),
    ("_below", "math.sqrt(2))", "2)", SLOPES, "gelu"),
    ("_about_below", "0.044715", "0.04475", SLOPES, "gelu by tanh"),
    ("silu", "(s * (1 + x * (1 - s)))", "s", SLOPES, "silu"),
    ("ops.maths:Softplus.forward", " / self.beta", "", SLOPES, "softplus sharper"),
    ("ops.maths:Softplus.forward", "z > self", "x > self", SLOPES, "softplus, cut"),
    ("logsigmoid", "m.minimum(x, 0)", "1 + m.minimum(x, 0)", SLOPES, "logsigmoid"),
    ("softmax", ", dtype)", ", np.float64)", "softmax_in_another_dtype"),
    ("softmax", ", dim)", ", -1)", "softmax", 1),
    ("log_softmax", ", dim)", ", -1)", "softmax", 1),
    ("refuse_in_place", "if inplace", "if not inplace", "nothing_happens_in_place", "relu"),
]  # fmt: skip

ROWS, WEIGHTS, VECTORS = (2, 3, 5), np.array([0.5, 2.0, 0.3]), ((2, 3), (3,))
LOSSES = [
    # function of nn.losses, text, slip, the test of test_losses.py that must catch it, its arguments
    ("_reduce", "loss.mean() / weight.astype(loss.dtype).mean()", "loss.mean()", "distances", "mse", (2, 3), "mean"),
    ("_reduce", "loss.mean() / weight.astype(loss.dtype).mean()", "loss.mean()", "class_indices", ROWS, WEIGHTS, "mean"),
    ("_reduce", "getattr(loss, reduction)()", "loss.sum()", "distances", "l1", (2, 3), "mean"),
    ("_weighted", "loss * weight", "loss", "distances", "huber", (2, 3), "sum"),
    ("mse_loss", "reduction, weight)", "reduction)", "distances", "mse", (2, 3), "mean"),
    ("l1_loss", "reduction, weight)", "reduction)", "distances", "l1", (2, 3), "mean"),
    ("huber_loss", "reduction)", "reduction, weight)", "distances", "huber", (2, 3), "mean"),
    ("_huber", "delta * abs(", "abs(", "distances", "narrow huber", (2, 3), "none"),
    ("_huber", "m.minimum(m.maximum(d, -delta), delta)", "m.minimum(m.maximum(d, -1), 1)", "distances", "narrow huber", (2, 3), "none"),
    ("_huber", "g * held(m, d)", "g * d", "far_apart_the_slope_is_one", "huber_loss"),
    ("smooth_l1_loss", " / beta", "", "distances", "wide smooth l1", (2, 3), "none"),
    ("cross_entropy", "(1 - label_smoothing)", "1", "class_probabilities", ROWS, None, "mean"),
    ("cross_entropy", "max(input.shape[dim], 1)", "1", "class_probabilities", ROWS, None, "mean"),
    ("_of_classes", "log_p * weight.reshape(-1, *(1,) * (log_p.ndim - 2))", "log_p", "class_probabilities", ROWS, WEIGHTS, "sum"),
    ("_of_indices", "(1 - smoothing) * ", "", "class_indices", ROWS, None, "sum"),
    ("_of_indices", " / max(classes, 1)", "", "class_indices", ROWS, None, "sum"),
    ("_of_indices", "_of_classes(log_p, weight)", "log_p", "class_indices", ROWS, WEIGHTS, "sum"),
    ("_of_indices", "-_picked(log_p, dim, target) * share", "-_picked(log_p, dim, target)", "class_indices", ROWS, WEIGHTS, "none"),
    ("_of_indices", "where(ignored, 0, weight[target])", "weight[target]", "class_indices", ROWS, WEIGHTS, "mean"),
    ("_of_indices", "(loss, reduction, share)", "(loss, reduction)", "class_indices", ROWS, None, "mean"),
    ("_of_indices", "spread = where(ignored, 0, ", "spread = (", "class_indices", ROWS, None, "sum"),
    ("_of_indices", "where(ignored, 0, -_picked(log_p, dim, target) * share)", "-_picked(log_p, dim, target) * share", "an_ignored_site_may_hold_anything"),
    ("_of_indices", "target = target.long()", "pass", "indices_of_any_integer_dtype"),
    ("BinaryCrossEntropy.forward", "-100", "-99", "certain_probabilities"),
    ("BinaryCrossEntropy.backward", "m.maximum(x * (1 - x), LEAST_VARIANCE)", "(x * (1 - x))", "certain_probabilities"),
    ("binary_cross_entropy", "weight), reduction", "None), reduction", "binary_cross_entropy", (4, 3), "mean"),
    ("binary_cross_entropy_with_logits", "_times(target, pos_weight)", "target", "binary_cross_entropy", (4, 3), "sum"),
    ("BinaryCrossEntropyWithLogits.forward", "common + b * xp.maximum(x, 0) - a * xp.minimum(x, 0)", "a * xp.log1p(xp.exp(-x)) - b * xp.log(1 - 1 / (1 + xp.exp(-x)))", "certain_logits", td.float64),
    ("_times", ".astype(x.dtype)", "", "weights_do_not_widen_the_loss"),
    ("kl_div", "(target == 0, 0, ", "(target < 0, 0, ", "kl_div", (4, 3), "sum"),
    ("kl_div", "input.shape[0] if input.ndim else 1", "loss.numel()", "kl_div", (4, 3), "batchmean"),
    ("kl_div", "target.exp() * ", "target * ", "kl_div", (4, 3), "mean"),
    ("_unit", "length < eps", "length < 0", "cosine_similarity", VECTORS, 2.0),
    ("_unit", "length - length.detach() + eps", "eps", "the_gradient_below_eps_is_pytorchs"),
    ("discriminator_hinge_loss", "1 + fake", "1 - fake", "hinge_losses", "mean"),
    ("generator_hinge_loss", "-accept", "accept", "hinge_losses", "mean"),
]  # fmt: skip


KERNELS = [
    # kernels' module and function, text, slip, which of the three goes wrong
    ("reference", "geometry:ConvGeometry.taps", "t * d, t * d + (o - 1) * s + 1, s", "t * s, t * s + (o - 1) * d + 1, d", "conv_matches_naive"),
    ("reference", "geometry:ConvGeometry.interior", "slice(low, low + n)", "slice(0, n)", "conv_matches_naive"),
    ("reference", "kernels.reference:fold", "*geometry.interior]", "*geometry.interior][:, :, ::-1]", "conv_transpose_matches_naive"),
    ("reference", "kernels.reference:fold", "+= cols", "= cols", "adjoint"),
    ("reference", "kernels.reference:_filters", "w.reshape(groups, w.shape[0] // groups, ", "w.reshape(w.shape[0] // groups, groups, w.shape[1] * prod(geometry.kernel)).swapaxes(0, 1).reshape(groups, w.shape[0] // groups, ", "conv_matches_naive"),
    ("reference", "kernels.reference:conv_weight", "w.sum(axis=0)", "w.mean(axis=0)", "adjoint"),
    ("cpu", "kernels.cpu:_phases", "first + padding[0]", "first", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_phases", "gcd(stride, dilation)", "1", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_phases", "slice(met[-1], None, -step)", "slice(met[0], None, step)", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_gatherings", "part[...] = 0", "part[...] = 1", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_scatterings", "image[...] = 0", "pass", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_scatterings", "] += cols", "] = cols", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:_scatterings", "t * d + part.start * s,", "t * d + part.start,", "conv_transpose_matches_naive"),
    ("cpu", "kernels.cpu:conv_weight", "np.add(total, each, out=total)", "each", "adjoint"),
    ("cpu", "kernels.cpu:conv_weight", "sum(rest, first)", "first", "adjoint"),
    ("cpu", "kernels.cpu:_is_dense", "geometry.groups == 1", "True", "conv_matches_naive"),
    ("cpu", "kernels.cpu:_is_dense", "and not any(map(any, geometry.padding))", "", "conv_matches_naive"),
    ("cpu", "kernels.patches:Walk._reach", "part.start * s - low", "part.start * s", "conv_matches_naive"),
    ("cpu", "kernels.patches:Walk.patches", "image[...] = 0", "pass", "conv_matches_naive"),
    ("cpu", "kernels.patches:Walk._taps", "self.dilation", "self.stride", "conv_matches_naive"),
    ("cpu", "kernels.patches:Walk.weights", "swapaxes(2, 3)", "swapaxes(2, 3)[::-1, ::-1]", "adjoint"),
    ("cpu", "kernels.patches:ShortWalk.patches", "image[...] = 0", "pass", "conv_matches_naive"),
    ("cpu", "kernels.patches:ShortWalk.features", "line[:, :, some.shape[2] :] = 0", "pass", "adjoint"),
    ("cpu", "kernels.patches:ShortWalk.write", "i :: self.together", "(i + 1) % 4 :: self.together", "conv_matches_naive"),
    ("cpu", "kernels.patches:ShortWalk.weights", "_OF_TAPS.T", "_OF_TAPS.T[::-1]", "adjoint"),
    ("cpu", "kernels.patches:walk_over", "groups == 1", "True", "conv_matches_naive"),
    ("cpu", "kernels.patches:walk_over", "(ShortWalk.taps, 1, 1)", "(ShortWalk.taps, 1, dilation[0])", "conv_matches_naive"),
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


@pytest.mark.parametrize("row", KERNELS, ids=lambda row: f"{row[1]}-{row[3]}")
def test_kernels_are_watched(row, monkeypatch):
    module, target, old, new, checker = row
    module = importlib.import_module(f"tinydeconv.kernels.{module}")

    def check():
        for size in (None, 5):
            with monkeypatch.context() as smaller:
                if size:
                    test_kernels.cut_small(smaller, size)
                for array in vars(threads._local).values():
                    if isinstance(array, np.ndarray):
                        array[...] = 63  # scratch memory is never to be zero by chance
                for case in test_kernels.GRID.values():
                    getattr(test_kernels, f"check_{checker}")(module, case)

    monkeypatch.setattr(threads, "_number", 1)
    check()
    sabotage(monkeypatch, target, old, new)
    with pytest.raises((*NOTICED, TypeError)):
        check()


@pytest.mark.parametrize("row", RESAMPLING, ids=lambda row: f"{row[0]}-{row[3]}")
def test_resampling_is_watched(row, monkeypatch):
    target, old, new, name, *arguments = row
    checker = getattr(test_resampling, f"test_{name}")
    checker(*arguments)
    sabotage(monkeypatch, target if target.startswith("kernels") else f"ops.{target}", old, new)
    with warnings.catch_warnings(), pytest.raises((*NOTICED, IndexError, TypeError)):
        warnings.simplefilter("ignore")
        checker(*arguments)


@pytest.mark.parametrize("row", OPTIM, ids=lambda row: f"{row[0]}-{row[3]}")
def test_optim_is_watched(row, monkeypatch):
    target, old, new, name, *arguments = row
    checker = getattr(test_optim, f"test_{name}")
    checker(*arguments)
    sabotage(monkeypatch, f"optim.{target}", old, new)
    with pytest.raises(NOTICED):
        checker(*arguments)


IDEA, IMAGE, FEW = (
    "each_norm_is_the_same_idea_over_other_numbers",
    (2, 6, 5),
    "empty_batches_teach_nothing",
)
TRACKS, ALONE = (
    "instance_norm_tracks_the_means_over_images",
    "instance_norm_of_one_image_without_a_batch",
)
NORMALIZATION = [
    # function of nn.normalization, text, slip, the test of test_normalization.py that must catch it, its arguments
    ("ops.normalization:Normalize.forward", "self.var + self.eps", "self.var", IDEA, IMAGE),
    ("ops.normalization:Normalize.forward", "self.scale * w", "w", IDEA, IMAGE),
    ("kernels.pieces:moments", "(x - mean) ** 2", "x**2", IDEA, IMAGE),
    ("_wide", "input.astype(np.promote_types(input.dtype, np.float32))", "input", "squares_of_half_precision_do_not_overflow"),
    ("ops.normalization:Normalize.forward", "scale + b", "scale", "scale_and_shift_can_be_left_out", IMAGE),
    ("kernels.pieces:moments", "max(prod(x.shape[axis] for axis in axes), 1)", "prod(x.shape[axis] for axis in axes)", FEW),
    ("_by_channel", " and input.numel()", "", FEW),
    ("_by_channel", "(count - 1)", "count", "running_variance_is_unbiased_though_the_batch_is_divided_by_the_biased"),
    ("_by_channel", ".mean(0)", "[0]", TRACKS, 1),
    ("_by_channel", "momentum * (found", "(found", TRACKS, 2),
    ("_by_channel", "range(2, input.ndim)", "range(2, 3)", TRACKS, 3),
    ("group_norm", "num_groups, channels // num_groups", "channels // num_groups, num_groups", IDEA, IMAGE),
    ("layer_norm", "range(input.ndim - len(shape), input.ndim)", "range(input.ndim - 1, input.ndim)", IDEA, IMAGE),
    ("_several", "count == 1", "count == 0", "one_value_is_no_sample"),
    ("_InstanceNorm.forward", "self.momentum or 0.0", "0.1", "instance_norm_without_a_momentum_leaves_its_statistics_alone"),
    ("_InstanceNorm.forward", "input.unsqueeze(0) if unbatched else input", "input", ALONE, 2, True),
    ("_BatchNorm._applied", "self.training or not", "self.training and not", TRACKS, 1),
    ("GroupNorm.forward", ", self.eps", "", "layers_hand_their_settings_on"),
    ("LayerNorm.forward", ", self.eps", "", "layers_hand_their_settings_on"),
]  # fmt: skip

PADDING, SHORTENED = (
    "the_padding_row_starts_at_zero_and_stays",
    "long_rows_are_shortened_in_the_table_when_they_are_used",
)
KEPT, OUTSIDE = "what_dropout_keeps_and_how_much", "outside_of_training_nothing_happens"
BASIC = [
    # function of nn.basic, text, slip, the test of test_basic.py that must catch it, its arguments
    ("linear", "y + bias", "y", "linear_and_bilinear", (4,)),
    ("bilinear", "y + bias", "y", "linear_and_bilinear", (2, 3)),
    ("bilinear", "oij", "oji", "linear_and_bilinear", (4,)),
    ("embedding", "(input == ", "(input != ", PADDING),
    ("embedding", "kept, y)", "y, y)", PADDING),
    ("embedding", "kept, y)", "0, y)", "the_padding_row_has_values_like_any_other"),
    ("embedding", "norms > max_norm", "norms < max_norm", SHORTENED),
    ("embedding", "uses[:, None] > 0", "uses[:, None] >= 0", SHORTENED),
    ("embedding", "norm(norm_type, ", "norm(2, ", SHORTENED),
    ("embedding", " / y.wrap(uses[indices][..., None])", "", "gradients_divided_by_how_often_a_row_is_used"),
    ("embedding", " * size", "", "embedding_picks_rows", (3,), "int64"),
    ("_row", "padding_idx % rows", "padding_idx", PADDING),
    ("Embedding.__init__", "self.weight.data[padding_idx] = 0", "pass", PADDING),
    ("one_hot", "input.max().item(), 0) + 1", "input.max().item(), 0) + 2", "one_hot", (3,)),
    ("one_hot", ".unsqueeze(-1)", ".unsqueeze(0)", "one_hot", (2, 4)),
    ("_drop", ">= p", ">= 1 - p", KEPT, "dropout", 0.1),
    ("_drop", " / (1 - p or 1)", "", KEPT, "dropout1d", 0.5),
    ("_drop", "ops.rand(shape,", "ops.rand(input.shape,", KEPT, "dropout3d", 0.5),
    ("_drop", "(1 - p or 1)", "(1 - p)", "dropping_all_gives_zeros", "dropout2d", "float32"),
    ("_drop", "not training or p == 0", "p == 0", OUTSIDE, "dropout"),
    ("_drop", ".astype(accept(\"dropout\", input).dtype)", ".double()", "the_same_numbers_are_dropped_in_every_dtype", "float32"),
    ("_Dropout.forward", "self.training", "True", OUTSIDE, "dropout2d"),
]  # fmt: skip

DEEP = {"num_layers": 2, "bidirectional": True, "bias": True}
RECURRENT = [
    # function of nn.recurrent, text, slip, the test of test_recurrent.py that must catch it, its arguments
    ("_tanh", "x + z", "x", "cells", "RNN", True),
    ("_relu", ".relu()", ".tanh()", "relu", False),
    ("_gru", "(xr, xu, xn), (zr, zu, zn)", "(xu, xr, xn), (zu, zr, zn)", "cells", "GRU", True),
    ("_gru", "(xn + (xr + zr).sigmoid() * zn)", "(xn + zn) * (xr + zr).sigmoid()", "cells", "GRU", True),
    ("_gru", "(h - n)", "(n - h)", "cells", "GRU", False),
    ("_remember", "i, f, g, o", "f, i, g, o", "cells", "LSTM", True),
    ("_remember", "i, f, g, o", "i, f, o, g", "cells", "LSTM", False),
    ("_remember", "c.tanh(), c", "c.sigmoid(), c", "cells", "LSTM", True),
    ("_remember", "(4, dim)", "(4, -1)", "conv_lstm", (1, 3), (4, 4), True),
    ("_remember", "i.sigmoid()", "i.sigmoid().detach()", "derivatives_by_input_and_first_state", "LSTM", 3),
    ("_Recurrent._run", "[::order]:", "[::1]:", "sequences", "GRU", DEEP, 0),
    ("_Recurrent._run", "outputs[::order]", "outputs", "sequences", "RNN", DEEP, 0),
    ("_Recurrent._run", "linear(state[0], w_hh, b_hh)", "linear(state[0] * 0, w_hh, b_hh)", "sequences", "LSTM", DEEP, 2),
    ("_Recurrent._add_weights", "self.hidden_size, wanted", "shape[-1], wanted", "first_values_are_uniform_within_one_over_the_root_of_the_hidden_size", "GRU"),
    ("_Sequence.forward", "s[len(finals)]", "s[0]", "sequences", "LSTM", DEEP, 0),
    ("_Sequence.forward", "if layer:", "if True:", "dropout_stands_between_the_layers", "GRU"),
    ("_Sequence.forward", "self.training", "True", "dropout_stands_between_the_layers", "LSTM"),
    ("_Sequence.forward", "self.batch_first and input.ndim == 3", "self.batch_first", "the_batch_may_come_first_or_not_at_all", "RNN"),
    ("ConvLSTMCell.forward", "[input, h]", "[h, input]", "conv_lstm", (3,), (5,), True),
]  # fmt: skip

CAST, KINDS = "a_cast_keeps_each_tensor_itself", "a_tensor_set_over_a_buffer_is_the_buffer"
HOOKS = "forward_hooks_see_and_replace"
MODULE = [
    # function of nn.module, text, slip, the test of test_nn.py that must catch it, its arguments
    ("Module.__call__", "inputs = changed", "changed = changed", HOOKS),
    ("Module.__call__", "output if changed is None else changed", "output", HOOKS),
    ("Module._hooked", "partial(hook)", "hook", "a_hook_registered_twice_is_taken_off_once"),
    ("Module.__setattr__", "Buffer(value, persistent=getattr(old, \"persistent\", self._awaited.get(name)))", "value", KINDS),
    ("Module.__setattr__", ", persistent=getattr(old, \"persistent\", self._awaited.get(name))", "", KINDS),
    ("Module._register", ' or "." in name', "", "what_cannot_be_registered", lambda m: m.register_buffer("a.b", td.ones(2)), KeyError, ()),
    ("Module.named_children", "_once", "iter", "walking_with_a_prefix_without_recursing_and_with_duplicates"),
    ("Module.to", "if not tensor.is_floating_point()", "if False", CAST, nn.Module.double),
    ("Module.to", "if moved.data is not tensor.data", "if True", "a_cast_to_what_it_is_already_leaves_graphs_alone"),
    ("Module._state", 'getattr(t, "persistent", True)', "True", KINDS),
    ("Module.load_state_dict", "array_module(array).array(array, mine.dtype)", "array", "load_state_dict_copies"),
    ("ModuleList.extend", "if n not in vars(self)", "", "what_a_slice_is_given_takes_no_name_twice"),
    ("ModuleList.insert", "held.pop()", "held.pop(0)", "containers_are_lists", nn.ModuleList),
]  # fmt: skip

SHARES = "truncated_normal_has_the_right_share_below_every_number"
INIT = [
    # function of nn.init, text, slip, the test of test_init.py that must catch it, its arguments
    ("trunc_normal_", "(a <= x) & (x <= b)", "a <= x", SHARES, 0, 1, -2, 2),
    ("trunc_normal_", "** 2) / 2)", "** 2))", SHARES, 0, 1, 5, 7),
    ("orthogonal_", "q *= np.sign(np.diag(r))", "pass", "orthogonal_matrices_are_equally_likely"),
    ("orthogonal_", "gain * ", "", "orthogonal", (3, 8), 2.5),
    ("dirac_", "i, i, *", "i, 0, *", "dirac_passes_channels_through", 2, 4, 1),
    ("dirac_", "k // 2", "0", "dirac_passes_channels_through", 1, 4, 2),
    ("icnr_", "np.repeat(init(weight).data, pixels, axis=0)", "np.concatenate([init(weight).data] * pixels)", "icnr_begins_as_nearest_neighbours", 2),
]  # fmt: skip

UNCHANGED, OWN = "the_model_stays_as_it_was", "rows_leave_out_what_others_have_counted"
SUMMARY = [
    # function of nn.summary, text, slip, the test of test_summary.py that must catch it, its arguments
    ("_multiply_adds", "PLACES[type(node.op)]", "(2, 1)", "a_real_network"),
    ("_multiply_adds", "weight[1:]", "weight", "one_convolution"),
    ("_multiply_adds", "shapes[0][-1]", "shapes[1][-1]", "multiply_adds_of_layers", nn.Linear(5, 7), (3, 5), 105),
    ("_between", "*(x.node for x in inputs)", "", OWN),
    ("summary", "fresh(_between(_tensors(inputs), outputs))", "_between(_tensors(inputs), outputs)", OWN),
    ("summary", "fresh(module.parameters())", "module.parameters()", "a_shared_layer_has_a_row_for_each_call_and_counts_once"),
    ("summary", ".requires_grad_()  #", "  #", "other_dtypes"),
    ("summary", ", enable_grad()", "", "frozen_layers_count_also_under_no_grad"),
    ("summary", "model.eval()", "model", "it_runs_in_eval_mode"),
    ("_left_as_it_was", "vars(module).clear()", "continue", UNCHANGED),
    ("_left_as_it_was", "tensor.requires_grad = requires_grad", "pass", UNCHANGED),
    ("_left_as_it_was", "tensor.data = array", "pass", UNCHANGED),
]  # fmt: skip

LINEAR, CONV, _, TRANSPOSED = (case.values for case in test_utils.LAYERS)
CLIPPED, BACK = "clip_grad_norm", "parameters_to_vector_and_back"
UTILS = [
    # function of nn.utils, text, slip, the test of test_utils.py that must catch it, its arguments
    ("clip_grad_norm_", "p.grad * scale", "p.grad * scale * scale", CLIPPED, 2.0, 10),
    ("clip_grad_norm_", ".clamp(max=1.0)", "", CLIPPED, 2.0, 0.1),
    ("clip_grad_norm_", "norm(stack(norms), float(norm_type))", "norm(stack(norms), 2)", CLIPPED, 3, 10),
    ("clip_grad_norm_", ".astype(p.dtype)", "", "clipping_gradients_of_several_dtypes"),
    ("clip_grad_value_", "-clip_value", "0", "clip_grad_value"),
    ("vector_to_parameters", ".astype(p.dtype)", "", BACK),
    ("vector_to_parameters", "start += p.numel()", "start += 1", BACK),
]  # fmt: skip

ONE, LENGTHS = "spectral_norm_is_one", "weight_norm_learns_lengths_and_directions"
TRAINING = "power_iteration_is_for_training"
PARAMETRIZATIONS = [
    ("SpectralNorm.forward", "(self._u @ (matrix @ self._v))", "norm(weight)", ONE, *LINEAR, 0),
    ("SpectralNorm.forward", "(self._u @ (matrix @ self._v))", "(self._u @ (matrix @ self._v)).detach()", "gradients", *LINEAR, nn.utils.spectral_norm, gradcheck),
    ("SpectralNorm.forward", "if self.training", "if True", TRAINING),
    ("SpectralNorm._iterate", "self._unit(self._u @ matrix)", "self._v", TRAINING),
    ("SpectralNorm._matrix", "movedim(weight, self.dim, 0)", "weight", ONE, *CONV, 1),
    ("spectral_norm", "(1 if getattr", "(0 if getattr", ONE, *TRANSPOSED, None),
    ("WeightNorm._norm", "movedim(v, kept, 0)", "v", LENGTHS, *CONV, 1),
    ("WeightNorm._norm", "norm(rows, 2, 1)", "norm(rows, 1, 1)", LENGTHS, *LINEAR, 0),
    ("WeightNorm.forward", "self._norm(v)", "self._norm(v).detach()", "gradients", *LINEAR, nn.utils.weight_norm, gradcheck),
    ("_parametrized", "delattr(module, name)", "pass", "a_computed_weight_lives_with_its_module", nn.utils.weight_norm),
]  # fmt: skip


AGAIN, AXES = "memory_is_used_again_only_when_nobody_reads_it", "sums_over_any_axes"
FORMULA_OF, IMAGES = "a_formula_in_pieces_is_the_formula", [(7, 5, 6), (1, 5, 1)]
PIECES = [
    # function of kernels.pieces, text, slip, the test of test_pieces.py that must catch it, its arguments
    ("_Program.__init__", " and last[n] == i", "", AGAIN, {"seed": 0}),
    ("_Program.__init__", " and n not in self.results", "", AGAIN, {"seed": 9}),
    ("_Program.__init__", "(apart and result in self.results)", "False", "outputs_may_be_inputs", {}),
    ("_Program.run", "out[...] = z", "pass", AGAIN, {"seed": 2}),
    ("_Place.__array_ufunc__", 'method != "__call__" or options', "False", "what_is_not_elementwise_is_refused_instead_of_wrong", {"function": np.sum}),
    ("_Plan.run", "context.run(np.setbufsize, self.buffer)", "np.setbufsize(self.buffer)", "settings_of_numpy_reach_all_threads", {}),
    ("_plan_for", "if row < 128", "if False", "rows_of_a_few_pixels_are_repeated_first", {}),
    ("_plan_for", "s[-axes:] != shape[-axes:]", "s[-axes:] == shape[-axes:]", "rows_of_a_few_pixels_are_repeated_first", {}),
    ("_cuts", "min(i + step, n)", "min(i + step, n) - (i > 0)", AXES, {"shape": (7, 9)}),
    ("_cuts", "min(i + step, n)", "i + step", AXES, {"shape": (7, 9)}),
    ("_cuts", "if axis not in whole:", "if True:", "axes_that_belong_together_are_not_cut", {}),
    ("_index", "if c else slice(None)", "", FORMULA_OF, {"shapes": IMAGES}),
    ("sums", "total.sum(0)", "total[0]", AXES, {"shape": (7, 9)}),
    ("moments", "squares += counts", "counts", AXES, {"shape": (7, 9)}),
    ("moments", "total / number", "total", AXES, {"shape": (7, 9)}),
    ("_fold", "z[:, : rest.shape[1]] += rest", "pass", AXES, {"shape": (7, 9)}),
    ("_fold", "while first - 1 in axes", "while False", AXES, {"shape": (5, 4, 6)}),
    ("_sum", "np.float32 if z.dtype == np.float16 else None", "None", "half_precision_is_added_up_in_float32", {}),
]  # fmt: skip


PAGES = {
    "activations": (test_activations, ACTIVATIONS),
    "basic": (test_basic, BASIC),
    "losses": (test_losses, LOSSES),
    "normalization": (test_normalization, NORMALIZATION),
    "recurrent": (test_recurrent, RECURRENT),
    "module": (test_nn, MODULE),
    "init": (test_init, INIT),
    "summary": (test_summary, SUMMARY),
    "utils": (test_utils, UTILS),
    "utils.parametrizations": (test_utils, PARAMETRIZATIONS),
}


@pytest.mark.parametrize("row", PIECES, ids=lambda row: f"{row[0]}-{row[3]}")
def test_pieces_are_watched(row, monkeypatch):
    target, old, new, name, arguments = row
    checker, size = getattr(test_pieces, f"test_{name}"), np.getbufsize()
    test_pieces.shrink(monkeypatch)
    known = inspect.signature(checker).parameters
    arguments |= {n: x for n, x in (("tiny", None), ("monkeypatch", monkeypatch)) if n in known}
    try:
        checker(**arguments)
        sabotage(monkeypatch, f"kernels.pieces:{target}", old, new)
        pieces._plan_for.cache_clear()
        with np.errstate(all="ignore"), pytest.raises((*NOTICED, TypeError)):
            checker(**arguments)
    finally:
        pieces._plan_for.cache_clear()
        np.setbufsize(size)


@pytest.mark.parametrize(
    ("page", "row"),
    [(page, row) for page, (_, rows) in PAGES.items() for row in rows],
    ids=lambda value: value if isinstance(value, str) else f"{value[0]}-{value[3]}",
)
def test_functions_and_layers_are_watched(page, row, monkeypatch):
    target, old, new, name, *arguments = row
    checker = getattr(PAGES[page][0], f"test_{name}")
    checker(*arguments)
    sabotage(monkeypatch, target if ":" in target else f"nn.{page}:{target}", old, new)
    for mode, (cell, *sizes) in CELLS.items():
        monkeypatch.setitem(CELLS, mode, (getattr(recurrent, cell.__name__), *sizes))
    with pytest.raises((*NOTICED, TypeError)):
        checker(*arguments)
