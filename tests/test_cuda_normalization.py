"""Normalisation and activations on a GPU's arrays: values, gradients of both orders, and how many
kernels they launch.
"""

import copy
import math
from statistics import NormalDist

import numpy as np
import pytest
import strict_cupy
from refusals import refused

import tinydeconv as td
from tinydeconv import kernels, nn
from tinydeconv.backend import to_device, to_numpy
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.kernels.cuda import launch
from tinydeconv.nn import functional as F
from tinydeconv.ops.normalization import Normalize

TOLERANCE = {np.float64: 1e-12, np.float32: 2e-5}
EPS = 0.1


def draw(*shape, seed=0, dtype=np.float64):
    return np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape)).astype(dtype)


def on_gpu(*arrays):
    return [td.tensor(a, device="cuda", requires_grad=True) for a in arrays]


def close(found, expected, tolerance):
    assert found.shape == expected.shape
    np.testing.assert_allclose(to_numpy(found.data), expected, rtol=0, atol=tolerance)


def normalized(x, w, b, g, axes):
    """y, mean and variance, and the gradients from g, in float64: by the definition, with the
    gradient of x from the mean of what is normalised.
    """
    x, w, b, g = (a.astype(np.float64) for a in (x, w, b, g))
    mean, var = (f(x, axis=axes, keepdims=True) for f in (np.mean, np.var))
    z = (x - mean) / np.sqrt(var + EPS)

    def average(a):
        return a.mean(axes, keepdims=True)

    h = g * w
    gx = (h - average(h) - z * average(h * z)) / np.sqrt(var + EPS)
    kept = [tuple(i for i in range(x.ndim) if a.shape[i] == 1) for a in (w, b)]
    gw, gb = (z * g).sum(kept[0], keepdims=True), g.sum(kept[1], keepdims=True)
    return z * w + b, mean, var, gx, gw, gb


# x, the axes of the statistics, and w and b, which have size 1 there
CASES = [
    ((6, 5), (0,), (1, 5), (1, 5)),
    ((4, 3, 7), (0, 2), (1, 3, 1), (1, 3, 1)),
    ((2, 3, 4, 5), (0, 2, 3), (1, 3, 1, 1), (1, 1, 1, 1)),
    ((2, 3, 2, 3, 2), (0, 2, 3, 4), (1, 3, 1, 1, 1), (1, 3, 1, 1, 1)),
    ((2, 3, 4), (2,), (1, 3, 1), (1, 1, 1)),  # instance norm: w and b in turn
    ((2, 3, 4), (2,), (2, 1, 1), (2, 3, 1)),  # not in turn
    ((2, 2, 3, 4), (2, 3), (1, 1, 1, 1), (1, 2, 1, 1)),
    ((5, 6), (1,), (1, 1), (1, 1)),  # layer norm
    ((2, 3, 4), (0, 1, 2), (1, 1, 1), (1, 1, 1)),
    ((3, 4, 2), (1, 2), (3, 1, 1), (1, 1, 1)),
    ((2, 1, 6), (0, 2), (1, 1, 1), (1, 1, 1)),
    ((3, 4, 2, 2), (1, 3), (3, 1, 2, 1), (1, 1, 2, 1)),  # channels that do not lie side by side
]
# how many numbers a channel has around what a block sums, fetches and writes
RAGGED = [(1, 511), (1, 512), (3, 171), (2, 1023), (513, 1), (1, 1025), (1, 2049), (3, 700)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "case",
    [*CASES, *(((n, 2, m), (0, 2), (1, 2, 1), (1, 2, 1)) for n, m in RAGGED)],
    ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}",
)
def test_values_and_gradients(cupy, case, dtype):
    shape, axes, *others = case
    arrays = [draw(*s, seed=i, dtype=dtype) for i, s in enumerate((shape, *others, shape))]
    x, w, b, g = on_gpu(*arrays)
    op = Normalize(axes, EPS)
    y = op(x, w, b)
    found = [y, td.Tensor(op.mean), td.Tensor(op.var), *td.grad(y, [x, w, b], g.detach())]
    scale = math.prod(shape[axis] for axis in axes)  # what gradients of w and b are sums of
    for z, expected, size in zip(found, normalized(*arrays, axes), [1, 1, 1, 1, scale, scale]):
        assert z.dtype == dtype and isinstance(z.data, cupy.ndarray)
        close(z, expected, TOLERANCE[dtype] * max(1, size**0.5))
    for tensor, before in zip((x, w, b, g), arrays, strict=True):
        np.testing.assert_array_equal(to_numpy(tensor.data), before)


def test_only_what_is_wanted_is_computed(cupy, monkeypatch):
    launched = watch(monkeypatch)
    x, w, b = on_gpu(draw(4, 3), draw(1, 3), draw(1, 3))
    y = Normalize((0,), EPS)(x.detach(), w, b)
    td.grad(y.sum(), [w, b])
    assert "normalize_sums" in launched and "normalize_grad" not in launched


def test_the_same_bits_every_time(cupy):
    arrays = draw(3, 4, 700, dtype=np.float32), draw(1, 4, 1, dtype=np.float32)

    def once():
        x, w = on_gpu(*arrays)
        y = Normalize((0, 2), EPS)(x, w, w)
        return [to_numpy(z.data).tobytes() for z in (y, *td.grad(y, [x, w], x.detach()))]

    assert once() == once()


@pytest.mark.parametrize(
    "x",
    [
        1e4 + draw(2, 3, 300),
        1e6 + draw(1, 2, 900) * 16,
        draw(2, 2, 300) + [[[1e6]], [[-1e6]]] * (np.arange(300) == 0),  # the first is far away
        np.full((2, 2, 9), 0.1),
    ],
    ids=["large mean", "larger", "outlier", "constant"],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_mean_far_from_zero_costs_no_precision(cupy, x, dtype):
    x = x.astype(dtype)
    op = Normalize((0, 2), EPS)
    one = np.ones((1, 1, 1), dtype)
    op(*on_gpu(x, one, one))
    wide = x.astype(np.longdouble)
    mean, var = (f(wide, axis=(0, 2), keepdims=True) for f in (np.mean, np.var))
    eps = np.finfo(dtype).eps
    atol = 4 * eps * abs(x).max()  # what a number loses when the first is taken off
    np.testing.assert_allclose(to_numpy(op.mean), mean.astype(dtype), rtol=0, atol=atol)
    np.testing.assert_allclose(to_numpy(op.var), var.astype(dtype), rtol=1e3 * eps, atol=0)


def test_a_hundred_thousand_equal_numbers(cupy):
    """Sums in float32 that grow one by one would round each time."""
    n = 100_003
    x, w, b = on_gpu(np.full((n, 1), 30000.1, np.float32), *np.ones((2, 1, 1), np.float32))
    op = Normalize((0,), EPS)
    y = op(x, w, b)
    g = td.Tensor(to_device(np.full((n, 1), 0.1, np.float32), "cuda"))
    gw, gb = td.grad(y, [w, b], g)
    np.testing.assert_allclose(gb.item(), n * 0.1, rtol=1e-7)
    assert op.mean.item() == np.float32(30000.1) and gw.item() == op.var.item() == 0


def test_half_precision_is_left_to_formulas(cupy, monkeypatch):
    launched = watch(monkeypatch)
    arrays = [draw(*shape, dtype=np.float16) for shape in ((4, 3), (1, 3), (1, 3))]
    y = Normalize((0,), EPS)(*on_gpu(*arrays))
    expected, *_ = normalized(*arrays, arrays[0], (0,))
    assert y.dtype == np.float16 and not launched
    close(y, expected, 1e-2)


def test_arrays_in_another_order(cupy):
    x = td.tensor(draw(7, 3, 4), device="cuda").permute(2, 1, 0)
    one = td.ones(1, 3, 1, dtype=td.float64, device="cuda", requires_grad=True)
    y = Normalize((0, 2), EPS)(x, one, one)
    (found,) = td.grad(y, one, x)
    host = to_numpy(x.data)
    expected, *_, gw, gb = normalized(host, np.ones((1, 3, 1)), np.ones((1, 3, 1)), host, (0, 2))
    close(y, expected, 1e-12)
    close(found, gw + gb, 1e-11)


def test_no_numbers_at_all(cupy):
    layer = nn.BatchNorm2d(3).to("cuda")
    y = layer(td.ones(0, 3, 4, 4, device="cuda"))
    y.sum().backward()
    assert y.shape == (0, 3, 4, 4) and layer.weight.grad.cpu().tolist() == [0, 0, 0]
    assert layer.running_var.cpu().tolist() == [1, 1, 1]


# ---------------------------------------------------------------- layers

LAYERS = [
    (nn.BatchNorm1d(3), (4, 3)),
    (nn.BatchNorm1d(3), (2, 3, 5)),
    (nn.BatchNorm2d(3, momentum=None), (2, 3, 4, 2)),
    (nn.BatchNorm3d(3, affine=False), (2, 3, 2, 3, 2)),
    (nn.InstanceNorm2d(3, affine=True, track_running_stats=True, momentum=0.3), (2, 3, 4, 5)),
    (nn.GroupNorm(2, 4), (2, 4, 3, 2)),
    (nn.LayerNorm((3, 4)), (5, 3, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda value: str(value))
def test_layers_learn_and_track_what_they_do_on_the_cpu(cupy, layer, shape):
    def trained(device):
        other = copy.deepcopy(layer).double().to(device)
        results = []
        for step in range(2):
            x = td.tensor(draw(*shape, seed=step) * 3 + 2, device=device, requires_grad=True)
            y = other(x)
            (y * y * y).sum().backward()
            results += [y.detach(), x.grad, *(p.grad for p in other.parameters())]
        return [z.cpu().data for z in (*results, *other.buffers())]

    for a, b in zip(trained("cpu"), trained("cuda"), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-10, atol=1e-10)


def test_layers_in_half_precision(cupy):
    """They are computed in float32, and keep their statistics in float16."""
    x = draw(8, 4, 3, dtype=np.float16) * np.float16(200)
    found = []
    for device in ("cpu", "cuda"):
        layer = nn.BatchNorm1d(4).half().to(device)
        y = layer(td.tensor(x, device=device)).detach()
        assert y.dtype == layer.running_var.dtype == np.float16
        found.append([y.cpu().data, layer.running_mean.cpu().data, layer.running_var.cpu().data])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=2e-3, atol=2e-3)


def test_one_value_is_no_sample_there_either(cupy):
    for shape in ((1, 3), (1, 3, 1)):
        with refused(ValueError, "more than one value", "shape"):
            F.batch_norm(td.ones(*shape, device="cuda"), training=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True, eps=EPS),
        lambda x, w, b: F.leaky_relu(F.instance_norm(x, None, None, w, b, eps=EPS), 0.2),
        lambda x, w, b: F.group_norm(x, 1, w, b, EPS),
    ],
)
def test_second_derivatives(cupy, function):
    inputs = on_gpu(draw(2, 2, 3), draw(2), draw(2, seed=1))
    assert gradcheck(function, inputs, rtol=1e-6, atol=1e-8)
    assert gradgradcheck(function, inputs, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------- activations

X = [math.nan, math.inf, -math.inf, 30.0, -30.0, -3.0, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0]
NORMAL = NormalDist()
SIGMOID = [1 / (1 + math.exp(-x)) for x in X]
ACTIVATIONS = {
    "relu": (td.relu, [max(x, 0.0) for x in X], [float(not x <= 0) for x in X]),
    "leaky_relu": (
        lambda x: F.leaky_relu(x, 0.2), [x if x > 0 else 0.2 * x for x in X],
        [1.0 if x > 0 else 0.2 for x in X],
    ),
    "leaky_relu, steep": (
        lambda x: F.leaky_relu(x, -1.5), [x if x > 0 else -1.5 * x for x in X],
        [1.0 if x > 0 else -1.5 for x in X],
    ),
    "sigmoid": (td.sigmoid, SIGMOID, [s * (1 - s) for s in SIGMOID]),
    "silu": (
        F.silu, [x * s for x, s in zip(X, SIGMOID)],
        [s * (1 + x * (1 - s)) for x, s in zip(X, SIGMOID)],
    ),
    "gelu": (
        F.gelu, [x * NORMAL.cdf(x) for x in X], [NORMAL.cdf(x) + x * NORMAL.pdf(x) for x in X],
    ),
    "tanh": (td.tanh, [math.tanh(x) for x in X], [1 - math.tanh(x) ** 2 for x in X]),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(cupy, name, dtype):
    function, values, slopes = ACTIVATIONS[name]
    values = [math.nan, *values[1:]]  # Python's max() does not pass it on
    for repeats in (1, 40):  # 40 * 12 numbers: more than a block
        x, g = np.tile(X, repeats).astype(dtype), draw(12 * repeats, dtype=dtype)
        tensor = td.tensor(x, device="cuda", requires_grad=True)
        y = function(tensor)
        (gx,) = td.grad(y, tensor, td.Tensor(to_device(g, "cuda")))
        tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": 8 * np.finfo(dtype).eps}
        np.testing.assert_allclose(to_numpy(y.data), np.tile(values, repeats), **tolerance)
        np.testing.assert_allclose(to_numpy(gx.data), np.tile(slopes, repeats) * g, **tolerance)
        np.testing.assert_array_equal(to_numpy(tensor.data), x)


# ---------------------------------------------------------------- launches


def watch(monkeypatch):
    """The names of the kernels of ours that are launched from now on."""
    found, get = [], launch._kernel
    monkeypatch.setattr(launch, "_kernel", lambda *of: found.append(of[2]) or get(*of))
    return found


def count(monkeypatch, run):
    """[the kernels of ours, how many arrays CuPy itself computes] during run(). What makes no
    array of its own launches nothing: views, and memory that is only taken.
    """
    with monkeypatch.context() as patch:
        ours, opened, theirs = watch(patch), {}, {}
        host, device, call = strict_cupy._host, strict_cupy._device, strict_cupy._call

        def known(value, where):
            found = host(value, where)
            opened[id(found)] = found  # held, so that no other gets its id
            return found

        def counted(value):
            new = isinstance(value, np.ndarray) and value.base is None and id(value) not in opened
            if new or isinstance(value, np.generic):
                theirs[id(value)] = value
            return device(value)

        def called(where, *args, **kwargs):
            result = call(where, *args, **kwargs)
            if where == "cupy.empty":
                del theirs[id(result._host)]
            return result

        patch.setattr(strict_cupy, "_host", known)
        patch.setattr(strict_cupy, "_device", counted)
        patch.setattr(strict_cupy, "_call", called)
        run()
        return ours, len(theirs)


@pytest.fixture
def simulated(request):
    if request.config.getoption("--device") != "sim":
        pytest.skip("CuPy's own launches are counted on the stand-in")


BATCH_NORM = ["moments", "normalize", "follow"]
STEPS = [  # a step; our kernels and CuPy's arrays, forward and backward; the arrays without them
    (nn.BatchNorm2d(3), BATCH_NORM, 1, ["normalize_sums", "normalize_grad"], 0, 25, 17),
    (
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()),
        BATCH_NORM, 2, ["relu_grad", "normalize_sums", "normalize_grad"], 0, 26, 20,
    ),
    (
        nn.Sequential(nn.BatchNorm2d(3), nn.LeakyReLU(0.2)),
        [*BATCH_NORM, "leaky_relu"], 1,
        ["leaky_relu_grad", "normalize_sums", "normalize_grad"], 0, 27, 21,
    ),
    (nn.Sigmoid(), ["sigmoid"], 0, ["sigmoid_grad"], 0, 4, 3),
    (nn.Tanh(), [], 1, ["tanh_grad"], 0, 1, 3),
    (nn.SiLU(), ["silu"], 0, ["silu_grad"], 0, 5, 9),
    (nn.GELU(), ["gelu"], 0, ["gelu_grad"], 0, 35, 41),
]  # fmt: skip


@pytest.mark.parametrize("row", STEPS, ids=lambda row: repr(row[0]).replace("\n", ""))
def test_how_many_launches_a_layer_takes(cupy, simulated, monkeypatch, row):
    """CuPy launches a kernel for every array that it computes, some of them several."""
    layer, *expected = row
    layer = layer.to("cuda")
    shape = 4, 3, 5, 5
    inputs = [*on_gpu(draw(*shape, dtype=np.float32)), *layer.parameters()]
    g = td.tensor(draw(*shape, seed=1, dtype=np.float32), device="cuda")

    def counted():
        y = []
        forward = count(monkeypatch, lambda: y.append(layer(inputs[0])))
        return *forward, *count(monkeypatch, lambda: td.grad(y[0], inputs, g))

    assert [*counted()] == expected[:4]
    monkeypatch.setattr(kernels, "handles", lambda *arrays: False)
    assert [*counted()] == [[], expected[4], [], expected[5]]
