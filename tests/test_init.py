"""First values of weights: distributions, and what the fixed ones must do to an image."""

import itertools
import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import init


def draw(*shape, seed=0):
    return td.tensor(np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape)))


# ---------------------------------------------------------------- first values

WEIGHT = (60, 40, 3, 5)  # fan in 600, fan out 900
STDS = {
    "uniform_": (lambda w: init.uniform_(w, -1, 3), 4 / math.sqrt(12), "uniform"),
    "normal_": (lambda w: init.normal_(w, 1, 0.2), 0.2, "normal"),
    "kaiming_uniform_": (init.kaiming_uniform_, math.sqrt(2 / 600), "uniform"),
    "kaiming_uniform_ a": (
        lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 3 / 600), "uniform"),
    "kaiming_normal_": (
        lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
        math.sqrt(2 / 900), "normal"),
    "kaiming_normal_ tanh": (
        lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 5 / 3 / math.sqrt(600), "normal"),
    "xavier_uniform_": (init.xavier_uniform_, math.sqrt(2 / 1500), "uniform"),
    "xavier_normal_": (lambda w: init.xavier_normal_(w, 3), 3 * math.sqrt(2 / 1500), "normal"),
}  # fmt: skip


@pytest.mark.parametrize("name", STDS)
def test_distributions(name):
    """36,000 numbers: the standard deviation is known to 0.4 %, the mean to 0.5 % of it."""
    fill, std, kind = STDS[name]
    td.manual_seed(0)
    w = td.zeros(WEIGHT)
    assert fill(w) is w and w.dtype == td.float32
    centre = 1 if name in ("uniform_", "normal_") else 0
    assert w.data.std() == pytest.approx(std, rel=0.02)
    assert abs(w.data.mean() - centre) < 0.03 * std
    furthest = abs(w.data - centre).max() / std
    assert 1.7 < furthest <= 1.7321 if kind == "uniform" else 3.5 < furthest < 6


def test_first_values_of_layers():
    td.manual_seed(0)
    for layer, fan_in in (
        (nn.Linear(100, 300), 100),
        (nn.Conv2d(20, 100, (3, 5), groups=2), 10 * 15),
        (nn.ConvTranspose2d(100, 40, (3, 5), groups=2), 20 * 15),
    ):
        bound = 1 / math.sqrt(fan_in)
        for p, least in ((layer.weight, 0.99), (layer.bias, 0.8)):
            assert least * bound < abs(p.data).max() <= bound
        assert layer.weight.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_a_seed_gives_the_same_weights():
    def weights(seed):
        td.manual_seed(seed)
        state = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4)).state_dict()
        return {name: value.data.copy() for name, value in state.items()}

    first, again, other = weights(1), weights(1), weights(2)
    assert all((first[k] == again[k]).all() and (first[k] != other[k]).any() for k in first)


def test_constants():
    w = td.zeros(2, 3, dtype=td.float64)
    assert init.constant_(w, 0.5) is w and w.tolist() == [[0.5] * 3] * 2 and w.dtype == td.float64
    assert init.ones_(w).tolist() == [[1] * 3] * 2 and init.zeros_(w).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init.kaiming_normal_(td.zeros(3)), (2, "(3,)")),
        (lambda: init.xavier_uniform_(td.zeros(3)), (2, "(3,)")),
        (
            lambda: init.kaiming_normal_(td.zeros(3, 3), mode="fan"),
            ("'fan_in'", "'fan_out'", "'fan'"),
        ),
        (lambda: init.kaiming_normal_(td.zeros(3, 3), nonlinearity="gelu"), ("relu", "'gelu'")),
        (lambda: init.bilinear_(td.zeros(5, 2, 4, 4)), ("(5, 2, 4, 4)",)),
        (lambda: init.bilinear_(td.zeros(2, 2)), ("kernel", "(2, 2)")),
        (lambda: init.gaussian_(td.zeros(2)), ("kernel", "(2,)")),
        (lambda: init.bilinear_(td.zeros(2, 0, 3)), ("(2, 0, 3)",)),
        (lambda: init.trunc_normal_(td.zeros(3), a=2, b=1), ("a=2", "b=1")),
        (lambda: init.trunc_normal_(td.zeros(3), std=0), ("std=0",)),
        (lambda: init.eye_(td.zeros(3)), ("matrix", "(3,)")),
        (lambda: init.orthogonal_(td.zeros(3)), (2, "(3,)")),
        (lambda: init.dirac_(td.zeros(3, 3)), ("convolution", "(3, 3)")),
        (lambda: init.dirac_(td.zeros(4, 2, 3), 3), ("3 groups", "(4, 2, 3)")),
        (lambda: init.dirac_(td.zeros(4, 2, 3), 0), ("0 groups", "(4, 2, 3)")),
        (lambda: init.uniform_(td.zeros(3), 2, 1), ("a=2", "b=1")),
        (lambda: init.normal_(td.zeros(3), std=-1), ("std", -1)),
        (lambda: init.icnr_(td.zeros(6, 2, 3, 3)), ("2^axes", "(6, 2, 3, 3)")),
        (lambda: init.icnr_(td.zeros(4, 2)), ("kernel", "(4, 2)")),
    ],
)
def test_init_refuses(call, words):
    with refused(ValueError, *words):
        call()


FILLS = ["uniform_", "normal_", "trunc_normal_", "zeros_", "eye_", "orthogonal_", "xavier_normal_"]


@pytest.mark.parametrize("name", FILLS)
def test_a_bare_array_is_refused(name):
    """As in normal_(layer.weight.data): only a Tensor can tell its graphs that it has changed."""
    weight = nn.Linear(2, 3).weight
    before = weight.data.copy()
    with refused(TypeError, "Tensor", "ndarray", "not its .data"):
        getattr(init, name)(weight.data)
    np.testing.assert_array_equal(weight.data, before)


# ---------------------------------------------------------------- truncated, orthogonal, identities


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [(0, 1, -2, 2), (0, 0.02, -2, 2), (1, 2, -1, 1.5), (0, 1, 5, 7), (-3, 1, 8, 20), (0, 9, 0, 1)],
)
def test_truncated_normal_has_the_right_share_below_every_number(mean, std, a, b):
    """Against the distribution function, in higher precision through the tail on its own side."""
    td.manual_seed(0)
    w = td.zeros(40_000, dtype=td.float64)
    assert init.trunc_normal_(w, mean, std, a, b) is w

    def above(x):
        return math.erfc((x - mean) / std / math.sqrt(2)) / 2

    values = np.sort(w.data)
    assert a <= values[0] and values[-1] <= b
    share = np.array([(above(a) - above(x)) / (above(a) - above(b)) for x in values])
    # Kolmogorov-Smirnov: 1.95 / sqrt(n) is exceeded once in a thousand seeds
    assert abs(share - (np.arange(values.size) + 0.5) / values.size).max() < 1.95 / 200


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3), (4, 3, 2, 2), (30, 3, 2, 2), (1, 1)])
@pytest.mark.parametrize("gain", [1, 2.5])
def test_orthogonal(shape, gain):
    w = td.zeros(shape, dtype=td.float64)
    assert init.orthogonal_(w, gain) is w
    matrix = w.data.reshape(shape[0], -1)
    matrix = matrix if shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(matrix @ matrix.T, gain**2 * np.eye(len(matrix)), atol=1e-12)


def test_orthogonal_matrices_are_equally_likely():
    """Half of all 2 by 2 ones are rotations, and their first entry is the cosine of any angle."""
    td.manual_seed(0)
    found = np.array([init.orthogonal_(td.zeros(2, 2)).data for _ in range(2000)])
    assert 0.45 < (np.linalg.det(found) > 0).mean() < 0.55
    angles = np.arctan2(found[:, 1, 0], found[:, 0, 0])
    quarters = np.histogram(angles, bins=4, range=(-math.pi, math.pi))[0]
    assert quarters.min() > 420 and quarters.max() < 580  # 500 +- 4 standard deviations


def test_eye():
    assert init.eye_(td.ones(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("out", "groups"), [(4, 1), (6, 1), (3, 1), (4, 2), (8, 2), (4, 4)])
def test_dirac_passes_channels_through(axes, out, groups):
    conv = getattr(nn, f"Conv{axes}d")(4, out, 3, padding=1, groups=groups, bias=False).double()
    init.dirac_(conv.weight, groups)
    x = draw(2, 4, *(5, 4, 3)[:axes])
    y, expected = conv(x).detach().data, np.zeros((2, out, *x.shape[2:]))
    for g in range(groups):
        for i in range(min(out, 4) // groups):
            expected[:, g * (out // groups) + i] = x.data[:, g * (4 // groups) + i]
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_begins_as_nearest_neighbours(factor):
    """All pixels that a shuffle puts in one place are equal: an enlargement of a small image."""
    conv = nn.Conv2d(2, 3 * factor**2, 3, padding=1, bias=False)
    td.manual_seed(0)
    assert init.icnr_(conv.weight, upscale_factor=factor) is conv.weight
    y = conv(draw(1, 2, 4, 5).float()).detach().data
    large = np.zeros((3, 4 * factor, 5 * factor))
    for c, i, j, h, w in np.ndindex(3, factor, factor, 4, 5):  # what a pixel shuffle is
        large[c, h * factor + i, w * factor + j] = y[0, c * factor**2 + i * factor + j, h, w]
    small = large[:, ::factor, ::factor]
    assert small.std() > 0.1
    # equal but for rounding: some BLAS adds up the last rows of a product in another order
    np.testing.assert_allclose(large, small.repeat(factor, 1).repeat(factor, 2), 1e-5, 1e-6)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_icnr_fills_the_weight_of_one_pixel(axes):
    td.manual_seed(0)
    weight = td.zeros(300 * 2**axes, 20, *(3,) * axes)
    init.icnr_(weight, lambda w: init.kaiming_normal_(w, nonlinearity="relu"))
    assert weight.data.std() == pytest.approx(math.sqrt(2 / (20 * 3**axes)), rel=0.03)
    ones = init.icnr_(td.zeros(4, 1, 1, dtype=td.float64), init.ones_, 4)
    assert ones.tolist() == [[[1]]] * 4 and ones.dtype == td.float64


# ---------------------------------------------------------------- fixed upsamplers


def enlarged(image, axes, kernel, fill, groups=1):
    """The image (N, C, *sizes) through a transposed convolution with that kernel, stride times."""
    channels, stride = image.shape[1], (kernel + 1) // 2
    cls = getattr(nn, f"ConvTranspose{axes}d")
    layer = cls(channels, channels, kernel, stride, kernel // 2 - (kernel % 2 == 0) * (stride // 2),
                groups=groups, bias=False).double()  # fmt: skip
    fill(layer.weight)
    return layer(image).detach().data, stride


def interior(array, axes, margin):
    return array[(..., *(slice(margin, -margin),) * axes)]


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("fill", [init.bilinear_, init.gaussian_, lambda w: init.gaussian_(w, 0.7)])
def test_a_constant_stays_constant(kernel, fill):
    for axes, groups in itertools.product((1, 2, 3), (1, 2)):
        y, stride = enlarged(td.ones(1, 2, *(5,) * axes).double(), axes, kernel, fill, groups)
        np.testing.assert_allclose(interior(y, axes, kernel), 1, atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 4, 5, 6])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_bilinear_interpolates_linearly(kernel, axes):
    """Output pixel o lies at (o - offset) / stride between the input's pixels, along each axis."""
    image = draw(1, 2, *(6,) * axes)
    y, stride = enlarged(image, axes, kernel, init.bilinear_, groups=2)
    centre = (kernel - 1) / 2 - (kernel // 2 - (kernel % 2 == 0) * (stride // 2))
    expected = image.data
    for axis in range(2, 2 + axes):
        at = (np.arange(y.shape[axis]) - centre) / stride
        expected = np.apply_along_axis(lambda v, at=at: np.interp(at, range(6), v), axis, expected)
    np.testing.assert_allclose(
        interior(y, axes, stride), interior(expected, axes, stride), atol=1e-12
    )


def test_upsamplers_keep_channels_apart():
    weight = init.bilinear_(td.ones(4, 4, 3, 3)).data
    assert all((weight[i, j] == 0).all() for i, j in np.ndindex(4, 4) if i != j)
    assert all((weight[i, i] == weight[0, 0]).all() for i in range(4))
    assert weight[0, 0].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def test_gaussian_is_a_gaussian():
    """Each tap divided by the sum over its phase of the stride 2: taps 0 and 2, or 1 and 3."""
    weight = init.gaussian_(td.ones(1, 1, 4), sigma=0.8).data[0, 0]
    taps = np.exp(-(np.array([-1.5, -0.5, 0.5, 1.5]) ** 2) / (2 * 0.8**2))
    np.testing.assert_allclose(weight, taps / (taps[0] + taps[2]), rtol=1e-6)


def test_a_part_of_a_tensor_is_refused_because_the_whole_would_stay_as_it_was():
    w = td.zeros(3, 2)
    with refused(ValueError, "part", "(1, 2)", "clone"):
        init.ones_(w[1:2])
    assert init.ones_(w[1:2].clone()).tolist() == [[1, 1]] and w.sum().item() == 0
