"""Normalisation: against loops over the numbers that belong together, and by rule."""

import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.nn import functional as F

TIGHT = {"rtol": 1e-6, "atol": 1e-8}
SHAPES = [(2, 6, 5), (1, 6, 3, 2), (2, 6, 2, 1, 3)]


def draw(*shape, seed=0, grad=False):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return td.tensor(np.asarray(numbers), requires_grad=grad)


def groups(x, key):
    """{key: positions}: what is normalised together."""
    found = {}
    for at in np.ndindex(*x.shape):
        found.setdefault(key(*at), []).append(at)
    return found


def moments(x, places):
    """Mean, biased and unbiased variance of the numbers at these positions."""
    values = [float(x[at]) for at in places]
    mean = sum(values) / len(values)
    squares = sum((v - mean) ** 2 for v in values)
    return mean, squares / len(values), squares / max(len(values) - 1, 1)


def normalized(x, key, weight, bias, eps=1e-5):
    """x with every group at mean 0 and variance 1, then scaled by weight(*at) and shifted."""
    y = np.zeros(x.shape)
    for places in groups(x, key).values():
        mean, var, _ = moments(x, places)
        for at in places:
            y[at] = (x[at] - mean) / math.sqrt(var + eps) * weight(*at) + bias(*at)
    return y


def by_channel(tensor):
    return lambda n, c, *_: tensor.data[c]


def by_place(tensor):
    return lambda *at: tensor.data[at[-tensor.ndim :]]


def close(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(found.detach().data, expected, rtol=0, atol=tolerance)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("shape", SHAPES)
def test_each_norm_is_the_same_idea_over_other_numbers(shape):
    x, w, b = draw(*shape) * 3 + 2, draw(6), draw(6, seed=1)
    scale = by_channel(w), by_channel(b)
    y = F.batch_norm(x, None, None, w, b, training=True, eps=1e-3)
    close(y, normalized(x.data, lambda n, c, *_: c, *scale, 1e-3))
    y = F.instance_norm(x, None, None, w, b)
    close(y, normalized(x.data, lambda n, c, *_: (n, c), *scale))
    for size in (1, 2, 3, 6):
        y = F.group_norm(x, 6 // size, w, b, eps=1e-2)
        close(y, normalized(x.data, lambda n, c, *_, size=size: (n, c // size), *scale, 1e-2))
    for last in range(1, len(shape) + 1):
        w, b = draw(*shape[-last:]), draw(*shape[-last:], seed=1)
        y = F.layer_norm(x, shape[-last:], w, b)
        scale = by_place(w), by_place(b)
        close(y, normalized(x.data, lambda *at, last=last: at[:-last], *scale))


@pytest.mark.parametrize("shape", SHAPES)
def test_scale_and_shift_can_be_left_out(shape):
    x, w, b = draw(*shape), draw(6), draw(6, seed=1)
    c = (1, 6, *(1,) * (len(shape) - 2))
    for norm in (
        lambda w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda w, b: F.instance_norm(x, None, None, w, b),
        lambda w, b: F.group_norm(x, 2, w, b),
    ):
        plain = norm(None, None)
        close(norm(w, None), (plain * w.reshape(c)).data)
        close(norm(None, b), (plain + b.reshape(c)).data)
    plain = F.layer_norm(x, shape[-1:])
    v = draw(shape[-1])
    close(F.layer_norm(x, shape[-1:], v), (plain * v).data)
    close(F.layer_norm(x, shape[-1], None, v), (plain + v).data)


def test_running_variance_is_unbiased_though_the_batch_is_divided_by_the_biased():
    mean, var = td.zeros(1), td.ones(1)
    y = F.batch_norm(td.tensor([[0.0], [2.0]]), mean, var, training=True, momentum=0.1, eps=0)
    assert y.tolist() == [[-1], [1]]  # variance 1 of the two, 2 as a guess about all
    np.testing.assert_allclose([mean.item(), var.item()], [0.1, 0.9 + 0.2], rtol=1e-6)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_instance_norm_tracks_the_means_over_images(axes):
    layer = getattr(nn, f"InstanceNorm{axes}d")(
        2, eps=1e-3, momentum=0.3, affine=True, track_running_stats=True
    ).double()
    layer.weight.data, layer.bias.data = draw(2).data, draw(2, seed=1).data
    scale = by_channel(layer.weight), by_channel(layer.bias)
    mean, var = np.zeros(2), np.ones(2)
    for step in range(2):
        x = draw(3, 2, *(4, 2, 3)[:axes], seed=step) * 2 + 1
        close(layer(x), normalized(x.data, lambda n, c, *_: (n, c), *scale, 1e-3))
        found = {k: moments(x.data, p) for k, p in groups(x.data, lambda n, c, *_: (n, c)).items()}
        for c in range(2):
            mean[c] += 0.3 * (sum(found[n, c][0] for n in range(3)) / 3 - mean[c])
            var[c] += 0.3 * (sum(found[n, c][2] for n in range(3)) / 3 - var[c])
        close(layer.running_mean, mean)
        close(layer.running_var, var)
    layer.eval()
    expected = np.zeros(x.shape)
    for n, c, *at in np.ndindex(*x.shape):
        centred = (x.data[n, c, *at] - mean[c]) / math.sqrt(var[c] + 1e-3)
        expected[n, c, *at] = centred * layer.weight.data[c] + layer.bias.data[c]
    close(layer(x), expected)
    close(layer.running_mean, mean)
    assert layer.num_batches_tracked.item() == 0  # as in PyTorch


def test_instance_norm_without_a_momentum_leaves_its_statistics_alone():
    layer = nn.InstanceNorm1d(2, momentum=None, track_running_stats=True)
    layer(td.randn(3, 2, 4))
    assert layer.running_mean.tolist() == [0, 0] and layer.running_var.tolist() == [1, 1]


def test_by_default_instance_norm_learns_and_tracks_nothing():
    layer = nn.InstanceNorm2d(3)
    assert list(layer.state_dict()) == [] and layer.weight is layer.running_mean is None
    x = td.randn(2, 3, 4, 4)
    assert layer.eval()(x).tolist() == layer.train()(x).tolist()


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_instance_norm_of_one_image_without_a_batch(axes, training):
    made = [
        getattr(nn, f"InstanceNorm{axes}d")(3, affine=True, track_running_stats=True).double()
        for _ in range(2)
    ]
    x = draw(3, *(4, 2, 3)[:axes])
    one, batch = (layer.train(training) for layer in made)
    y = one(x)
    assert y.shape == x.shape and y.tolist() == batch(x.unsqueeze(0))[0].tolist()
    assert one.running_mean.tolist() == batch.running_mean.tolist()


def test_layers_hand_their_settings_on():
    x = draw(2, 4, 3)
    layer = nn.GroupNorm(2, 4, eps=0.5).double()
    layer.weight.data, layer.bias.data = draw(4).data, draw(4, seed=1).data
    assert layer(x).tolist() == F.group_norm(x, 2, layer.weight, layer.bias, 0.5).tolist()
    layer = nn.LayerNorm([4, 3], 0.5).double()
    layer.weight.data, layer.bias.data = draw(4, 3).data, draw(4, 3, seed=1).data
    assert layer(x).tolist() == F.layer_norm(x, (4, 3), layer.weight, layer.bias, 0.5).tolist()
    for layer in (nn.GroupNorm(2, 4, affine=False), nn.LayerNorm(3, elementwise_affine=False)):
        assert list(layer.state_dict()) == [] and layer(x.float()).dtype == td.float32
    for layer in (
        nn.GroupNorm(2, 4, bias=False), nn.LayerNorm(3, bias=False), nn.BatchNorm1d(4, bias=False),
        nn.InstanceNorm1d(4, affine=True, bias=False),
    ):  # fmt: skip
        assert [name for name, _ in layer.named_parameters()] == ["weight"]
        assert layer(x.float()).shape == x.shape


# ---------------------------------------------------------------- few numbers, and none


def test_one_value_is_no_sample():
    for refusing in (
        lambda: F.batch_norm(td.ones(1, 3), training=True),
        lambda: F.batch_norm(td.ones(1, 3, 1, 1), training=True),
        lambda: F.instance_norm(td.ones(2, 3, 1)),
        lambda: F.instance_norm(td.ones(2, 3)),
        lambda: nn.InstanceNorm2d(3)(td.ones(2, 3, 1, 1)),
        lambda: nn.InstanceNorm2d(3, track_running_stats=True)(td.ones(3, 1, 1)),
        lambda: F.group_norm(td.ones(1, 4), 4),
    ):
        with refused(ValueError, "more than one value", "shape"):
            refusing()
    F.batch_norm(td.ones(1, 3, 2), training=True)  # one image is several values
    F.group_norm(td.ones(2, 4), 4)
    assert F.layer_norm(td.ones(2, 1), (1,)).tolist() == [[0], [0]]
    tracked = nn.InstanceNorm2d(3, track_running_stats=True).eval()
    assert tracked(td.ones(2, 3, 1, 1)).shape == (2, 3, 1, 1)


def test_empty_batches_teach_nothing():
    layer = nn.BatchNorm2d(3)
    y = layer(td.ones(0, 3, 4, 4))
    y.sum().backward()
    assert y.shape == (0, 3, 4, 4) and layer.weight.grad.tolist() == [0, 0, 0]
    assert layer.running_mean.tolist() == [0, 0, 0] and layer.running_var.tolist() == [1, 1, 1]
    for layer, shape in (
        (nn.InstanceNorm1d(3, affine=True), (0, 3, 4)),
        (nn.InstanceNorm1d(3, affine=True, track_running_stats=True), (2, 3, 0)),
        (nn.GroupNorm(3, 6), (0, 6, 4)),
        (nn.GroupNorm(3, 6), (2, 6, 0)),
        (nn.LayerNorm(4), (0, 4)),
    ):
        y = layer(td.ones(shape))
        y.sum().backward()
        assert y.shape == shape and not layer.weight.grad.data.any()
        assert all(np.isfinite(b.data).all() for b in layer.buffers())


# ---------------------------------------------------------------- derivatives and dtypes


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, b: F.batch_norm(x, td.ones(4).double(), td.ones(4).double(), None, b, True),
        lambda x, b: F.batch_norm(x, td.ones(4).double(), td.ones(4).double(), None, b),
        lambda x, b: F.instance_norm(x, td.ones(4).double(), td.ones(4).double(), None, b),
        lambda x, b: F.group_norm(x, 2, None, b),
        lambda x, b: F.layer_norm(x, (3,), None, b[1:]),
    ],
)
def test_a_shift_without_a_scale(norm):
    """PyTorch's own second derivatives raise here."""
    inputs = draw(2, 4, 3, grad=True), draw(4, grad=True)
    assert gradcheck(norm, inputs, **TIGHT) and gradgradcheck(norm, inputs, **TIGHT)


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm1d(4),
        nn.BatchNorm1d(4, track_running_stats=False),
        nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(3),
    ],
)
def test_float32_stays_and_the_input_too(layer):
    x = draw(2, 4, 3).float()
    before = x.data.copy()
    y = layer(x)
    (y * y).sum().backward()
    found = [y, *(p.grad for p in layer.parameters()), *layer.buffers()]
    assert {t.dtype for t in found if t.is_floating_point()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(x.data, before)


def test_squares_of_half_precision_do_not_overflow():
    x = (draw(8, 4, 3) * 200).half()
    assert np.isinf((x * x).sum(2).data).any()
    for make in (
        lambda: nn.BatchNorm1d(4),
        lambda: nn.InstanceNorm1d(4, affine=True, track_running_stats=True),
        lambda: nn.GroupNorm(2, 4),
        lambda: nn.LayerNorm(3),
    ):
        half, whole = make().half(), make()
        y, expected = half(x), whole(x.float())
        assert y.dtype == td.float16
        np.testing.assert_allclose(y.detach().data, expected.detach().data, atol=4e-3)
        for found, buffer in zip(half.buffers(), whole.buffers(), strict=True):
            assert found.dtype == (td.float16 if buffer.is_floating_point() else td.int64)
            np.testing.assert_allclose(found.data, buffer.data, rtol=4e-3, atol=0.1)


# ---------------------------------------------------------------- bad input

x = td.ones(2, 4, 3)
BAD = [
    (lambda: F.batch_norm(x, td.zeros(4), None), ValueError, ("running_mean", "running_var")),
    (lambda: F.batch_norm(x, weight=td.ones(1), training=True), ValueError, ("(4,)", "(1,)")),
    (lambda: F.batch_norm(x, td.zeros(3), td.ones(3)), ValueError, ("(4,)", "(3,)")),
    (lambda: F.batch_norm(x.double(), weight=td.ones(4), training=True), TypeError,
     ("float64", "float32")),
    (lambda: F.batch_norm(x.long(), training=True), TypeError, ("int64",)),
    (lambda: F.instance_norm(td.ones(3)), ValueError, ("(N, C)", "(3,)")),
    (lambda: F.instance_norm(x, use_input_stats=False), ValueError,
     ("instance_norm", "running_mean", "use_input_stats")),
    (lambda: F.instance_norm(x, None, None, td.ones(3)), ValueError, ("(4,)", "(3,)")),
    (lambda: F.group_norm(x, 3), ValueError, ("num_groups", 3, 4)),
    (lambda: F.group_norm(x, 0), ValueError, ("num_groups", 0)),
    (lambda: F.group_norm(td.ones(4), 2), ValueError, ("(N, C)", "(4,)")),
    (lambda: F.group_norm(x, 2, td.ones(2)), ValueError, ("(4,)", "(2,)")),
    (lambda: F.layer_norm(x, (4,)), ValueError, ("(4,)", "(2, 4, 3)")),
    (lambda: F.layer_norm(x, (2, 2, 4, 3)), ValueError, ("(2, 2, 4, 3)", "(2, 4, 3)")),
    (lambda: F.layer_norm(x, ()), ValueError, ("()", "(2, 4, 3)")),
    (lambda: F.layer_norm(x, (3,), td.ones(1)), ValueError, ("(3,)", "(1,)")),
    (lambda: F.layer_norm(x.long(), (3,)), TypeError, ("int64",)),
    (lambda: nn.GroupNorm(3, 4), ValueError, ("num_groups", 3, 4)),
    (lambda: nn.GroupNorm(0, 4), ValueError, ("num_groups", 0)),
    (lambda: nn.GroupNorm(2, 0), ValueError, ("num_channels", 0)),
    (lambda: nn.LayerNorm((3, 0)), ValueError, ("normalized_shape", 1, "(3, 0)")),
    (lambda: nn.InstanceNorm1d(0), ValueError, ("num_features", 0)),
    (lambda: nn.InstanceNorm1d(4)(td.ones(2, 4, 3, 3)), ValueError,
     ("InstanceNorm1d(4)", "2 or 3", "(2, 4, 3, 3)")),
    (lambda: nn.InstanceNorm2d(4)(td.ones(4, 3)), ValueError, ("3 or 4", "(4, 3)")),
    (lambda: nn.InstanceNorm1d(4)(td.ones(3, 4)), ValueError, ("4 channels", "(3, 4)")),
    (lambda: nn.GroupNorm(2, 4)(td.ones(2, 6, 3)), ValueError, ("(6,)", "(4,)")),
]  # fmt: skip


@pytest.mark.parametrize(("refusing", "kind", "words"), BAD)
def test_bad_input(refusing, kind, words):
    with refused(kind, *words):
        refusing()
