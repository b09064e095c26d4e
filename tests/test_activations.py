"""Activations against their formulas in plain Python, at kinks, far out, and given bad input."""

import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import functional as F

POINTS = [-6.3, -2.1, -1.4, -0.6, -0.01, 0.02, 0.7, 1.3, 2.2, 5.9]
ALPHA, SCALE = 1.6732632423543772848, 1.0507009873554804934


def sigma(x):
    return 1 / (1 + math.exp(-x))


def normal(x):
    """Density and distribution of the standard normal law."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi), (1 + math.erf(x / math.sqrt(2))) / 2


def elu(x, alpha=1.0):
    return (x, 1, 0) if x > 0 else (alpha * math.expm1(x), *[alpha * math.exp(x)] * 2)


def gelu(x):
    density, below = normal(x)
    return x * below, below + x * density, density * (2 - x * x)


def gelu_tanh(x):
    k = math.sqrt(2 / math.pi)
    u, du, ddu = k * (x + 0.044715 * x**3), k * (1 + 3 * 0.044715 * x**2), k * 6 * 0.044715 * x
    t = math.tanh(u)
    dt, ddt = (1 - t * t) * du, (1 - t * t) * (ddu - 2 * t * du * du)
    return x / 2 * (1 + t), (1 + t) / 2 + x / 2 * dt, dt + x / 2 * ddt


def silu(x):
    s = sigma(x)
    return x * s, s + x * s * (1 - s), s * (1 - s) * (2 + x * (1 - 2 * s))


def softplus(x, beta=1.0):
    s = sigma(beta * x)
    return math.log(1 + math.exp(beta * x)) / beta, s, beta * s * (1 - s)


def logsigmoid(x):
    s = sigma(x)
    return math.log(s), 1 - s, -s * (1 - s)


def sigmoid(x):
    s = sigma(x)
    return s, s * (1 - s), s * (1 - s) * (1 - 2 * s)


def tanh(x):
    t = math.tanh(x)
    return t, 1 - t * t, -2 * t * (1 - t * t)


def between(x, low, high):
    return (x, 1, 0) if low < x < high else (min(max(x, low), high), 0, 0)


def leaky(x, slope):
    return (x, 1, 0) if x > 0 else (slope * x, slope, 0)


# note: (name of a function, its options, number -> its value, slope and curvature)
FORMULAS = {
    "relu": ("relu", {}, lambda x: leaky(x, 0)),
    "relu6": ("relu6", {}, lambda x: between(x, 0, 6)),
    "leaky_relu": ("leaky_relu", {}, lambda x: leaky(x, 0.01)),
    "leaky_relu steeper": ("leaky_relu", {"negative_slope": 1.5}, lambda x: leaky(x, 1.5)),
    "prelu": ("prelu", {"weight": 0.3}, lambda x: leaky(x, 0.3)),
    "hardtanh": ("hardtanh", {}, lambda x: between(x, -1, 1)),
    "hardtanh lopsided": (
        "hardtanh", {"min_val": -2, "max_val": 0.5}, lambda x: between(x, -2, 0.5)
    ),
    "elu": ("elu", {}, elu),
    "elu deeper": ("elu", {"alpha": 2.5}, lambda x: elu(x, 2.5)),
    "selu": ("selu", {}, lambda x: [SCALE * d for d in elu(x, ALPHA)]),
    "gelu": ("gelu", {}, gelu),
    "gelu by tanh": ("gelu", {"approximate": "tanh"}, gelu_tanh),
    "silu": ("silu", {}, silu),
    "softplus": ("softplus", {}, softplus),
    "softplus sharper": ("softplus", {"beta": 3}, lambda x: softplus(x, 3)),
    "softplus, cut": (
        "softplus", {"beta": 2, "threshold": 3},
        lambda x: softplus(x, 2) if 2 * x <= 3 else (x, 1, 0),
    ),
    "logsigmoid": ("logsigmoid", {}, logsigmoid),
    "sigmoid": ("sigmoid", {}, sigmoid),
    "tanh": ("tanh", {}, tanh),
}  # fmt: skip


def function_of(note):
    name, options, _ = FORMULAS[note]

    def function(x):
        constants = {
            k: td.tensor(v, dtype=x.dtype) if k == "weight" else v for k, v in options.items()
        }
        return getattr(F, name)(x, **constants)

    return function


def value_of(note, x):
    return FORMULAS[note][-1](x)[0]


def derivatives(function, points, dtype=td.float64):
    """Rows of values, slopes and curvatures of an elementwise function."""
    x = td.tensor(points, dtype=dtype, requires_grad=True)
    rows = [function(x)]
    for _ in range(2):
        known = rows[-1].requires_grad
        rows.append(td.grad(rows[-1].sum(), x, create_graph=True)[0] if known else td.zeros_like(x))
    assert all(row.dtype == dtype for row in rows)
    return np.array([row.tolist() for row in rows])


@pytest.mark.parametrize("note", FORMULAS)
def test_values_slopes_and_curvatures(note):
    expected = np.transpose([FORMULAS[note][-1](x) for x in POINTS])
    found = derivatives(function_of(note), POINTS)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)
    found = derivatives(function_of(note), POINTS, td.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=2e-6)


# Far out: (value, slope, curvature) at -1000 and at 1000
LINE, FLAT = (1000, 1, 0), (0, 0, 0)
FAR = {
    "relu": (FLAT, LINE),
    "relu6": (FLAT, (6, 0, 0)),
    "hardtanh": ((-1, 0, 0), (1, 0, 0)),
    "elu": ((-1, 0, 0), LINE),
    "elu deeper": ((-2.5, 0, 0), LINE),
    "selu": ((-SCALE * ALPHA, 0, 0), (1000 * SCALE, SCALE, 0)),
    "gelu": (FLAT, LINE),
    "gelu by tanh": (FLAT, LINE),
    "silu": (FLAT, LINE),
    "softplus": (FLAT, LINE),
    "softplus sharper": (FLAT, LINE),
    "logsigmoid": ((-1000, 1, 0), FLAT),
    "sigmoid": (FLAT, (1, 0, 0)),
    "tanh": ((-1, 0, 0), (1, 0, 0)),
}


@pytest.mark.parametrize("dtype", [td.float32, td.float64])
@pytest.mark.parametrize("note", FAR)
def test_nothing_overflows(note, dtype):
    found = derivatives(function_of(note), [-1000.0, 1000.0], dtype)
    np.testing.assert_allclose(found, np.transpose(FAR[note]), rtol=1e-6, atol=0)


E50 = math.exp(-50)


@pytest.mark.parametrize(
    ("function", "at", "expected"),
    [  # to leading order in exp(-50) or in a tiny x: no digits are lost to 1
        (F.softplus, -50, (E50, E50, E50)),
        (F.logsigmoid, 50, (-E50, E50, -E50)),
        (F.silu, -50, (-50 * E50, -49 * E50, -48 * E50)),
        (F.sigmoid, -50, (E50, E50, E50)),
        (F.elu, -1e-12, (-1e-12, 1, 1)),
        (F.gelu, 1e-12, (0.5e-12, 0.5, math.sqrt(2 / math.pi))),
        (F.tanh, 1e-12, (1e-12, 1, -2e-12)),
    ],
)
def test_digits_in_the_tails(function, at, expected):
    found = derivatives(function, [float(at)])[:, 0]
    np.testing.assert_allclose(found, expected, rtol=2e-11)


NAN = float("nan")


@pytest.mark.parametrize(
    ("note", "at", "slopes"),
    [
        ("relu", [0.0, -0.0, NAN], [0, 0, 1]),
        ("relu6", [0.0, 6.0], [0, 0]),
        ("hardtanh", [-1.0, 1.0], [0, 0]),
        ("leaky_relu", [0.0, NAN], [0.01, 0.01]),
        ("elu", [0.0, NAN], [1, 1]),
        ("elu deeper", [0.0], [2.5]),
        ("selu", [0.0], [SCALE * ALPHA]),
        ("prelu", [0.0, NAN], [0.3, 0.3]),
    ],
)
def test_slopes_at_a_kink_are_pytorchs(note, at, slopes):
    np.testing.assert_allclose(derivatives(function_of(note), at)[1], slopes, rtol=1e-15)


@pytest.mark.parametrize("note", FORMULAS)
def test_a_nan_stays(note):
    assert math.isnan(derivatives(function_of(note), [NAN, 0.3])[0, 0])


# ---------------------------------------------------------------- prelu, softmax


def test_prelu_learns_a_slope_for_each_channel():
    x = td.tensor(np.array([[[-2.0, 3], [5, 0]], [[-1, -4], [-3, 2]]]), requires_grad=True)
    w = td.tensor([0.5, -0.1], dtype=td.float64, requires_grad=True)
    y = F.prelu(x, w)
    np.testing.assert_allclose(y.tolist(), [[[-1, 3], [5, 0]], [[-0.5, -2], [0.3, 2]]])
    y.sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), [[[0.5, 1], [1, -0.1]], [[0.5, 0.5], [-0.1, 1]]])
    np.testing.assert_allclose(w.grad.tolist(), [-2 - 1 - 4, -3])
    for one in (td.tensor(0.5), td.tensor([0.5])):
        for shape in ((), (3,), (0, 3), (2, 3, 2)):
            assert F.prelu(-td.ones(shape), one).data.tolist() == (-0.5 * np.ones(shape)).tolist()


def test_an_infinite_number_leaves_the_slope_of_prelu_alone():
    w = td.tensor([0.25], requires_grad=True)
    F.prelu(td.tensor([float("inf"), -2.0]), w).sum().backward()
    assert w.grad.tolist() == [-2]


def softmax(row):
    total = sum(math.exp(x - max(row)) for x in row)
    return [math.exp(x - max(row)) / total for x in row]


@pytest.mark.parametrize("scale", [1, 900])
def test_softmax(scale):
    x = np.random.default_rng(0).standard_normal((3, 4, 2)) * scale
    for dim in (0, 1, 2, -2):
        rows = np.moveaxis(x, dim, -1)
        expected = np.moveaxis(np.apply_along_axis(softmax, -1, rows), -1, dim)
        np.testing.assert_allclose(F.softmax(td.tensor(x), dim).data, expected, rtol=1e-12)
        with np.errstate(divide="ignore"):
            logs = np.log(expected)
        found = F.log_softmax(td.tensor(x), dim).data
        known = np.isfinite(logs)  # where softmax underflows, its logarithm does not
        assert np.isfinite(found).all() and known.any()
        np.testing.assert_allclose(found[known], logs[known], rtol=1e-9, atol=1e-12)


def test_softmax_in_another_dtype():
    x = td.tensor([[1, 2, 4]])
    for function in (F.softmax, F.log_softmax):
        assert function(x, 1, dtype=td.float64).dtype == td.float64
        found = function(x.double().requires_grad_(), 1, td.float32)
        assert found.dtype == td.float32
    np.testing.assert_allclose(F.softmax(x, 1, dtype=td.float64).data[0], softmax([1, 2, 4]))
    assert F.softmax(td.tensor(3.0), 0).item() == 1
    assert F.log_softmax(td.tensor(3.0), -1).item() == 0


# ---------------------------------------------------------------- manners


@pytest.mark.parametrize("note", FORMULAS)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 3, 1)])
def test_shape_stays_and_the_input_is_left_alone(note, shape):
    x = td.full(shape, 0.4, dtype=td.float64)
    y = function_of(note)(x)
    assert y.shape == shape and y.dtype == td.float64 and (x.data == 0.4).all()
    np.testing.assert_allclose(y.data, np.full(shape, value_of(note, 0.4)), rtol=1e-12)


@pytest.mark.parametrize("note", FORMULAS)
def test_half_precision_stays(note):
    y = function_of(note)(td.tensor([0.4, -0.5], dtype=td.float16))
    assert y.dtype == td.float16
    np.testing.assert_allclose(y.data, [value_of(note, x) for x in (0.4, -0.5)], atol=2e-3)


def test_integers_where_pytorch_takes_them():
    x = td.tensor([-3, 0, 2, 9])
    for function, expected in (
        (F.relu, [0, 0, 2, 9]),
        (F.relu6, [0, 0, 2, 6]),
        (F.hardtanh, [-1, 0, 1, 1]),
        (lambda x: F.hardtanh(x, -2.5, 3.5), [-2, 0, 2, 3]),
    ):
        assert function(x).dtype == td.int64 and function(x).tolist() == expected
    assert F.sigmoid(x).dtype == F.tanh(x).dtype == td.float32


FLOATING = ["leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "logsigmoid"]


@pytest.mark.parametrize("name", FLOATING)
@pytest.mark.parametrize("dtype", [td.int64, td.uint8, td.bool])
def test_integers_are_refused_where_pytorch_refuses_them(name, dtype):
    with refused(TypeError, name, np.dtype(dtype).name):
        getattr(F, name)(td.tensor([0, 1]).astype(dtype))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda x: F.softmax(x), ValueError, ("softmax", "dim")),
        (lambda x: nn.LogSoftmax()(x), ValueError, ("log_softmax", "dim")),
        (lambda x: F.softmax(x, 2), IndexError, (2,)),
        (lambda x: F.softmax(x.long(), 1), TypeError, ("softmax", "int64")),
        (lambda x: F.log_softmax(x, 1, td.int64), TypeError, ("log_softmax", "int64")),
        (lambda x: F.gelu(x, approximate="erf"), ValueError, ("'none'", "'tanh'", "'erf'")),
        (lambda x: F.hardtanh(x, 1, -1), ValueError, ("min_val", "max_val", 1, -1)),
        (lambda x: F.relu(x > 0), TypeError, ("relu", "bool")),
        (lambda x: F.hardtanh(x > 0), TypeError, ("hardtanh", "bool")),
        (lambda x: F.silu([1.0]), TypeError, ("Tensor", "list")),
        (lambda x: F.softmax([1.0], 0), TypeError, ("Tensor", "list")),
        (lambda x: F.prelu(x, 0.25), TypeError, ("Tensor", "float")),
        (lambda x: F.prelu(x, td.ones(2)), ValueError, ("(2, 3)", "(2,)")),
        (lambda x: F.prelu(x, td.ones(1, 1)), ValueError, ("(2, 3)", "(1, 1)")),
        (lambda x: F.prelu(x[0], td.ones(3)), ValueError, ("(3,)",)),
        (lambda x: F.prelu(x, td.ones(3).double()), TypeError, ("float32", "float64")),
        (lambda x: F.prelu(x.long(), td.ones(3)), TypeError, ("prelu", "int64")),
    ],
)
def test_bad_input_is_refused(call, kind, words):
    with refused(kind, *words):
        call(td.ones(2, 3))


IN_PLACE = {
    "relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
    "selu": nn.SELU, "silu": nn.SiLU, "hardtanh": nn.Hardtanh,
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_nothing_happens_in_place(name):
    with refused(ValueError, name, "inplace=True"):
        getattr(F, name)(td.ones(2), inplace=True)
    with refused(ValueError, IN_PLACE[name].__name__, "inplace=True"):
        IN_PLACE[name](inplace=True)
    assert "inplace" not in repr(IN_PLACE[name](inplace=False))


@pytest.mark.parametrize(
    ("layer", "note"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU6(), "relu6"),
        (nn.LeakyReLU(1.5), "leaky_relu steeper"),
        (nn.ELU(2.5), "elu deeper"),
        (nn.SELU(), "selu"),
        (nn.GELU(), "gelu"),
        (nn.GELU("tanh"), "gelu by tanh"),
        (nn.SiLU(), "silu"),
        (nn.Softplus(2, 3), "softplus, cut"),
        (nn.Hardtanh(-2, 0.5), "hardtanh lopsided"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Tanh(), "tanh"),
        (nn.LogSigmoid(), "logsigmoid"),
        (nn.PReLU(init=0.3).double(), "prelu"),
    ],
    ids=repr,
)
def test_layers(layer, note):
    y = layer(td.tensor(POINTS, dtype=td.float64)).tolist()
    np.testing.assert_allclose(y, [value_of(note, x) for x in POINTS], rtol=1e-7)
    assert list(layer.state_dict()) == ["weight"] * isinstance(layer, nn.PReLU)
