"""Losses against loops in plain Python, at certainty and far out, and given bad input."""

import itertools
import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck
from tinydeconv.nn import functional as F

INF, NAN = float("inf"), float("nan")
REDUCTIONS = ("mean", "sum", "none")
rng = np.random.default_rng(11)


def draw(*shape):
    return rng.standard_normal(shape)


def chance(*shape):
    return rng.uniform(0.05, 0.95, shape)


def tensor(array):
    return None if array is None else td.tensor(array)


def reduced(losses, reduction, divisor=None):
    """An array of losses as PyTorch reduces it; the mean of nothing is NaN."""
    if reduction == "none":
        return losses
    total = math.fsum(losses.reshape(-1))
    if reduction == "sum":
        return total
    divisor = losses.size if divisor is None else divisor
    return total / divisor if divisor else NAN


def each(function, *arrays):
    """function(a, b, ...) of the numbers at every place of arrays that broadcast."""
    arrays = np.broadcast_arrays(*arrays)
    found = np.zeros(arrays[0].shape)
    for i in np.ndindex(*found.shape):
        found[i] = function(*(float(a[i]) for a in arrays))
    return found


def close(found, expected):
    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)


# ---------------------------------------------------------------- of a distance


def huber(d, delta):
    return d * d / 2 if abs(d) <= delta else delta * (abs(d) - delta / 2)


DISTANCES = {
    "mse": ("mse_loss", lambda d: d**2, {}),
    "l1": ("l1_loss", abs, {}),
    "huber": ("huber_loss", lambda d: huber(d, 1), {}),
    "narrow huber": ("huber_loss", lambda d: huber(d, 0.2), {"delta": 0.2}),
    "smooth l1": ("smooth_l1_loss", lambda d: huber(d, 1), {}),
    "wide smooth l1": ("smooth_l1_loss", lambda d: huber(d, 1.7) / 1.7, {"beta": 1.7}),
    "sharp smooth l1": ("smooth_l1_loss", abs, {"beta": 0}),
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
@pytest.mark.parametrize("note", DISTANCES)
def test_distances(note, shape, reduction):
    name, formula, options = DISTANCES[note]
    function = getattr(F, name)
    x, t, w = draw(*shape), draw(*shape), chance(*shape)
    losses = each(lambda a, b: formula(a - b), x, t)
    found = function(td.tensor(x), td.tensor(t), reduction=reduction, **options)
    close(found, reduced(losses, reduction))
    if name == "smooth_l1_loss":
        return
    # PyTorch divides by the sum of the weights, but for Huber's loss by their number
    divisor = None if name == "huber_loss" else math.fsum(w.reshape(-1))
    found = function(
        td.tensor(x), td.tensor(t), reduction=reduction, weight=td.tensor(w), **options
    )
    close(found, reduced(losses * w, reduction, divisor))


@pytest.mark.parametrize("name", ["huber_loss", "smooth_l1_loss"])
def test_far_apart_the_slope_is_one(name):
    x = td.tensor([-INF, -1e300, -1.0, 1.0, 1e300, INF], dtype=td.float64, requires_grad=True)
    y = getattr(F, name)(x, td.zeros_like(x), reduction="none")
    assert y.tolist() == [INF, 1e300, 0.5, 0.5, 1e300, INF]
    y.sum().backward()
    assert x.grad.tolist() == [-1, -1, -1, 1, 1, 1]


def test_distances_of_integers():
    a, b = td.tensor([1, 2, 3]), td.tensor([3, 2, 0])
    assert F.l1_loss(a, b, reduction="sum").item() == 5
    assert F.l1_loss(a, b, reduction="none").dtype == td.int64
    for function in (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss):
        assert function(a.float(), b).dtype == td.float32
        with pytest.raises(TypeError, match="int64"):
            function(a, b)


# ---------------------------------------------------------------- of classes


def log_softmax(logits):
    top = max(logits)
    total = math.fsum(math.exp(x - top) for x in logits)
    return [x - top - math.log(total) for x in logits]


def class_losses(log_p, target, weight, ignored, smoothing):
    """The loss of each site and what it counts in a mean; log_p (N, C, *), target (N, *)."""
    losses, counts = np.zeros(target.shape), np.zeros(target.shape)
    for n, *site in np.ndindex(*target.shape):
        row, t = log_p[(n, slice(None), *site)], target[(n, *site)]
        if t != ignored:
            w = [1.0] * len(row) if weight is None else weight
            spread = math.fsum(-a * b for a, b in zip(row, w)) / len(row)
            losses[(n, *site)] = (1 - smoothing) * -row[t] * w[t] + smoothing * spread
            counts[(n, *site)] = w[t]
    return losses, counts


SHAPES = [(4, 3), (2, 3, 5), (2, 3, 2, 2), (2, 3, 2, 1, 2)]


def logarithms(logits):
    return np.apply_along_axis(log_softmax, 1, logits)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 0.3])])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_indices(shape, weight, reduction):
    x = draw(*shape) * 3
    for ignored, smoothing in itertools.product((-100, 1, 77), (0.0, 0.25, 1.0)):
        target = rng.integers(0, 3, (shape[0], *shape[2:]))
        target[rng.random(target.shape) < 0.3] = ignored
        options = {"weight": tensor(weight), "ignore_index": ignored, "reduction": reduction}
        losses, counts = class_losses(logarithms(x), target, weight, ignored, smoothing)
        inputs = td.tensor(x), td.tensor(target)
        found = F.cross_entropy(*inputs, **options, label_smoothing=smoothing)
        close(found, reduced(losses, reduction, counts.sum()))
        losses, counts = class_losses(x, target, weight, ignored, 0)
        found = F.nll_loss(*inputs, **options)
        close(found, reduced(losses, reduction, counts.sum()))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, np.array([0.5, 2.0, 0.3])])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_probabilities(shape, weight, reduction):
    x, p = draw(*shape) * 3, chance(*shape)
    w = np.ones(3) if weight is None else weight
    for smoothing in (0.0, 0.25):
        mixed = p * (1 - smoothing) + smoothing / 3
        losses = -np.einsum("nc...,nc...,c->n...", logarithms(x), mixed, w)
        found = F.cross_entropy(
            td.tensor(x), td.tensor(p), tensor(weight), reduction=reduction,
            label_smoothing=smoothing,
        )  # fmt: skip
        close(found, reduced(losses, reduction))


def test_one_site_without_a_batch():
    x, w = draw(3), np.array([0.5, 2.0, 0.3])
    expected = -2 * log_softmax(x)[1]
    for reduction, divisor in (("sum", 1), ("none", 1), ("mean", 2)):
        options = {"weight": td.tensor(w), "reduction": reduction}
        found = F.cross_entropy(td.tensor(x), td.tensor(1), **options)
        assert found.shape == ()
        close(found, expected / divisor)
        close(F.nll_loss(td.tensor(x), td.tensor(1), **options), -2 * x[1] / divisor)
    certain = td.tensor([0.0, 1.0, 0.0], dtype=td.float64)
    close(F.cross_entropy(td.tensor(x), certain, td.tensor(w)), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_nothing_but_ignored_sites(smoothing):
    """As in PyTorch the mean is NaN and the gradient zero."""
    x = td.tensor(draw(2, 3), requires_grad=True)
    for reduction, value in (("mean", NAN), ("sum", 0), ("none", [0, 0])):
        for weight in (None, td.ones(3, dtype=td.float64)):
            y = F.cross_entropy(
                x, td.tensor([7, 7]), weight, ignore_index=7, reduction=reduction,
                label_smoothing=smoothing,
            )  # fmt: skip
            np.testing.assert_array_equal(y.tolist(), value)
            assert not td.grad(y.sum(), x)[0].data.any()


def test_an_ignored_site_may_hold_anything():
    x = td.tensor([[NAN, INF, 0.0], [1.0, 2.0, 3.0]], dtype=td.float64)
    assert F.nll_loss(x, td.tensor([-100, 1])).item() == -2
    close(F.cross_entropy(x, td.tensor([-100, 1])), -log_softmax([1, 2, 3])[1])
    found = F.cross_entropy(x, td.tensor([9, 1]), ignore_index=9, label_smoothing=0.3)
    log_p = np.array([log_softmax([1, 2, 3])])
    close(found, class_losses(log_p, np.array([1]), None, 9, 0.3)[0][0])


def test_far_logits():
    x = td.tensor([[-1000.0, 1000.0, 0.0]], requires_grad=True)
    for target, loss, slope in ((0, 2000, [-1, 1, 0]), (1, 0, [0, 0, 0]), (2, 1000, [0, 1, -1])):
        y = F.cross_entropy(x, td.tensor([target]))
        (first,) = td.grad(y, x, create_graph=True)
        assert y.item() == loss and first.tolist() == [slope]
        assert not td.grad((first * td.tensor([[1.0, 2, 3]])).sum(), x)[0].data.any()


def test_indices_of_any_integer_dtype():
    x = td.tensor(draw(3, 200))
    expected = F.cross_entropy(x, td.tensor([5, 156, 199])).item()
    found = F.cross_entropy(x, td.tensor(np.array([5, 156, 199], np.uint8)))  # 156 is not -100
    assert found.item() == expected


# ---------------------------------------------------------------- of probabilities


def bce(x, t):
    def log(p):
        return max(math.log(p), -100) if p else -100

    return -t * log(x) - (1 - t) * log(1 - x)


def bce_of_logit(x, t, positive=1.0):
    def softplus(x):
        return max(x, 0) + math.log1p(math.exp(-abs(x)))

    return positive * t * softplus(-x) + (1 - t) * softplus(x)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (0, 3)])
def test_binary_cross_entropy(shape, reduction):
    x, t = chance(*shape), chance(*shape)
    for weight in (None, chance(*shape), chance(*shape[-1:]), chance()):
        w = 1.0 if weight is None else weight
        found = F.binary_cross_entropy(td.tensor(x), td.tensor(t), tensor(weight), reduction)
        close(found, reduced(each(bce, x, t) * w, reduction))
        for positive in (None, chance(*shape), chance(*shape[-1:]), np.array(3.0)):
            p = 1.0 if positive is None else positive
            found = F.binary_cross_entropy_with_logits(
                td.tensor(9 * x - 5), td.tensor(t), tensor(weight), reduction, tensor(positive)
            )
            close(found, reduced(each(bce_of_logit, 9 * x - 5, t, p) * w, reduction))


def test_certain_probabilities():
    """Wrong and certain costs 100 at a slope of 1e12, right and certain nothing."""
    x = td.tensor([0.0, 0.0, 1.0, 1.0], dtype=td.float64, requires_grad=True)
    t = td.tensor([0.0, 1.0, 0.0, 1.0], dtype=td.float64)
    y = F.binary_cross_entropy(x, t, reduction="none")
    assert y.tolist() == [0, 100, 100, 0]
    (first,) = td.grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(first.tolist(), [0, -1e12, 1e12, 0], rtol=1e-8)
    assert np.isfinite(td.grad(first.sum(), x)[0].data).all()


@pytest.mark.parametrize("dtype", [td.float32, td.float64])
def test_certain_logits(dtype):
    x = td.tensor([-800.0, -800.0, 800.0, 800.0], dtype=dtype, requires_grad=True)
    t = td.tensor([0.0, 1.0, 0.0, 1.0], dtype=dtype)
    y = F.binary_cross_entropy_with_logits(x, t, reduction="none", pos_weight=td.tensor(3.0))
    assert y.dtype == dtype and y.tolist() == [0, 2400, 800, 0]
    (first,) = td.grad(y.sum(), x, create_graph=True)
    assert first.tolist() == [0, -3, 1, 0]
    assert not td.grad(first.sum(), x)[0].data.any()
    small = F.binary_cross_entropy_with_logits(
        td.tensor([-40.0, 40.0]), td.tensor([0.0, 1.0]), reduction="none"
    )
    np.testing.assert_allclose(small.data, math.exp(-40), rtol=1e-5)  # no digit is lost to 40


@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (2, 3, 2), (0, 3)])
def test_kl_div(shape, reduction):
    x, t = np.log(chance(*shape)), chance(*shape)
    if t.size > 1:
        t.reshape(-1)[0] = 0
    losses = each(lambda x, t: t * (math.log(t) - x) if t else 0, x, t)
    if reduction == "batchmean":
        expected = reduced(losses, "mean", shape[0] if shape else 1)
    else:
        expected = reduced(losses, reduction)
    close(F.kl_div(td.tensor(x), td.tensor(t), reduction), expected)
    with np.errstate(divide="ignore"):
        logs = td.tensor(np.log(np.where(t == 0, 1e-300, t)))
    close(F.kl_div(td.tensor(x), logs, reduction, log_target=True), expected)


def test_kl_div_broadcasts_and_an_impossible_class_has_a_finite_gradient():
    x, t = np.log(chance(2, 3)), chance(3)
    losses = each(lambda x, t: t * (math.log(t) - x), x, t)
    close(F.kl_div(td.tensor(x), td.tensor(t), reduction="batchmean"), losses.sum() / 2)
    x = td.tensor([-1.0, -2.0], requires_grad=True)
    F.kl_div(x, td.tensor([0.0, 1.0]), reduction="sum").backward()
    assert x.grad.tolist() == [0, -1]


# ---------------------------------------------------------------- of directions and critics


def cosine(a, b, eps):
    lengths = [max(math.sqrt(math.fsum(x * x for x in v)), eps) for v in (a, b)]
    return math.fsum(x / lengths[0] * y / lengths[1] for x, y in zip(a, b))


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (2, 3)), ((2, 3, 4), (3, 1)), ((3,), (3,))],
)
@pytest.mark.parametrize("eps", [1e-8, 2.0])
def test_cosine_similarity(shapes, eps):
    x1, x2 = (draw(*shape) for shape in shapes)
    a, b = np.broadcast_arrays(x1, x2)
    for dim in range(-a.ndim, a.ndim):
        rows = [np.moveaxis(v, dim, -1) for v in (a, b)]
        expected = np.zeros(rows[0].shape[:-1])
        for i in np.ndindex(*expected.shape):
            expected[i] = cosine(rows[0][i], rows[1][i], eps)
        close(F.cosine_similarity(td.tensor(x1), td.tensor(x2), dim, eps), expected)


def test_the_gradient_at_a_zero_vector_is_finite():
    x = td.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=td.float64, requires_grad=True)
    y = F.cosine_similarity(x, td.tensor([[0.0, 5.0], [0.0, 0.0]], dtype=td.float64))
    assert y.tolist() == [0, 0]
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, [[0, 1e8], [0, 0]])
    assert F.cosine_similarity(td.tensor(2.0), td.tensor(-3.0), 0).item() == -1


def test_the_gradient_below_eps_is_pytorchs():
    """A length below eps counts as eps, but its slope is that of the length."""
    x1, x2 = draw(3), draw(3)
    x = td.tensor(x1, requires_grad=True)
    F.cosine_similarity(x, td.tensor(x2), 0, 10.0).backward()
    length = math.sqrt(math.fsum(a * a for a in x1))
    along = math.fsum(a * b for a, b in zip(x1, x2)) / 10
    expected = [(b - a / length * along) / 10 / 10 for a, b in zip(x1, x2)]
    np.testing.assert_allclose(x.grad.data, expected, rtol=1e-12)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_hinge_losses(reduction):
    real, fake = np.array([-3.0, 0.5, 1.0, 2.0]), np.array([-2.0, -1.0, -0.25, 4.0])
    parts = each(lambda s: max(0, 1 - s), real), each(lambda s: max(0, 1 + s), fake)
    found = F.discriminator_hinge_loss(td.tensor(real), td.tensor(fake), reduction)
    close(found, sum(reduced(part, reduction) for part in parts))
    close(F.generator_hinge_loss(td.tensor(fake), reduction), reduced(-fake, reduction))


def test_hinge_losses_of_unequal_numbers_of_scores():
    real, fake = td.tensor([0.5, 2.0]), td.tensor([[-0.5], [3.0], [0.0], [-2.0]])
    assert F.discriminator_hinge_loss(real, fake).item() == 0.25 + 5.5 / 4
    with refused(ValueError, "(2,)", "(4, 1)"):
        F.discriminator_hinge_loss(real, fake, "none")


# ---------------------------------------------------------------- manners


X, T = td.tensor(chance(2, 3)), td.tensor(chance(2, 3))
INDICES = td.tensor([2, 0])
CALLS = {
    "mse_loss": (X, T),
    "l1_loss": (X, T),
    "huber_loss": (X, T),
    "smooth_l1_loss": (X, T),
    "cross_entropy": (X, INDICES),
    "nll_loss": (X, INDICES),
    "binary_cross_entropy": (X, T),
    "binary_cross_entropy_with_logits": (X, T),
    "kl_div": (X, T),
    "cosine_similarity": (X, T),
    "discriminator_hinge_loss": (X, T),
    "generator_hinge_loss": (X,),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [td.float16, td.float32, td.float64])
def test_dtype_stays_and_the_inputs_are_left_alone(name, dtype):
    inputs = [x.astype(dtype) if x.is_floating_point() else x for x in CALLS[name]]
    before = [x.data.copy() for x in inputs]
    y = getattr(F, name)(*inputs)
    assert y.dtype == dtype
    expected = getattr(F, name)(*CALLS[name]).data
    np.testing.assert_allclose(y.data, expected, rtol=5e-3 if dtype == td.float16 else 1e-5)
    for x, array in zip(inputs, before):
        np.testing.assert_array_equal(x.data, array)


def test_weights_do_not_widen_the_loss():
    x, t, w = X.float(), T.float(), td.ones(3, dtype=td.float64)
    for function in (F.binary_cross_entropy, F.binary_cross_entropy_with_logits):
        assert function(x, t, w).dtype == td.float32
    assert F.binary_cross_entropy_with_logits(x, t, pos_weight=w).dtype == td.float32


def test_weights_can_be_learned():
    w = td.tensor([0.5, 2.0, 0.3], dtype=td.float64, requires_grad=True)
    target = td.tensor([[2, 0], [-100, 1]])
    x = td.tensor(draw(2, 3, 2))
    assert gradcheck(lambda w: F.cross_entropy(x, target, w), w)
    assert gradcheck(lambda w: F.cross_entropy(x, target, w, label_smoothing=0.2), w)
    logits = F.binary_cross_entropy_with_logits
    assert gradcheck(lambda w: logits(X, T, w, pos_weight=w), w)


ONES, FLOATS = td.ones(2, 3), td.tensor([[0.0, 0.5, 1.5], [0, 0, 0]])


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: F.huber_loss(ONES, td.ones(3)), ValueError, ("huber_loss", "(2, 3)", "(3,)")),
        (lambda: F.smooth_l1_loss(ONES, td.ones(3)), ValueError, ("(2, 3)", "(3,)")),
        (lambda: F.huber_loss(ONES, ONES, delta=0), ValueError, ("delta", 0)),
        (lambda: F.smooth_l1_loss(ONES, ONES, beta=-1), ValueError, ("beta", -1)),
        (lambda: F.mse_loss(ONES, ONES, weight=td.ones(3)), ValueError, ("weight", "(3,)")),
        (lambda: F.l1_loss(ONES, ONES, weight=td.ones(3)), ValueError, ("weight", "(3,)")),
        (lambda: F.huber_loss(ONES, ONES, weight=td.ones(3)), ValueError, ("weight", "(3,)")),
        (lambda: F.l1_loss(ONES, ONES, "max"), ValueError, ("'mean'", "'sum'", "'none'", "'max'")),
        (lambda: nn.NLLLoss(reduction="max")(ONES, INDICES), ValueError, ("'mean'", "'max'")),
        (lambda: F.cross_entropy(td.ones(()), td.tensor(0)), ValueError, ("(N, C, *)", "()")),
        (lambda: F.cross_entropy(ONES.long(), INDICES), TypeError, ("cross_entropy", "int64")),
        (lambda: F.nll_loss(ONES.long(), INDICES), TypeError, ("nll_loss", "int64")),
        (lambda: F.nll_loss(ONES, INDICES.float()), TypeError, ("integer", "float32")),
        (lambda: F.nll_loss(ONES, INDICES > 0), TypeError, ("integer", "bool")),
        (lambda: F.nll_loss(ONES, INDICES[:1]), ValueError, ("(2, 3)", "(1,)")),
        (lambda: F.nll_loss(ONES, INDICES + 1), IndexError, (3, "1 to 3")),
        (lambda: F.nll_loss(ONES, INDICES - 1), IndexError, (3, "-1 to 1")),
        (lambda: F.cross_entropy(ONES, INDICES, td.ones(2)), ValueError, (3, "(2,)")),
        (lambda: F.nll_loss(ONES, INDICES, td.ones(3).double()), ValueError, ("float64",)),
        (lambda: F.cross_entropy(ONES, ONES.long()), TypeError, ("int64",)),
        (lambda: F.cross_entropy(ONES, ONES, ignore_index=0), ValueError, ("ignore_index", 0)),
        (
            lambda: F.cross_entropy(ONES, INDICES, label_smoothing=1.5),
            ValueError, ("label_smoothing", 1.5),
        ),
        (lambda: F.binary_cross_entropy(FLOATS, ONES), ValueError, ("input", "0.0 to 1.5")),
        (lambda: F.binary_cross_entropy(ONES, FLOATS), ValueError, ("target", "0.0 to 1.5")),
        (lambda: F.binary_cross_entropy(ONES * NAN, ONES), ValueError, ("input", "nan to nan")),
        (lambda: F.binary_cross_entropy(ONES, ONES.double()), TypeError, ("float32", "float64")),
        (lambda: F.binary_cross_entropy(ONES, ONES.long()), TypeError, ("int64",)),
        (lambda: F.binary_cross_entropy(ONES, td.ones(3)), ValueError, ("(2, 3)", "(3,)")),
        (lambda: F.binary_cross_entropy(ONES, ONES, td.ones(2)), ValueError, ("(2, 3)", "(2,)")),
        (
            lambda: F.binary_cross_entropy_with_logits(ONES, ONES.long()),
            TypeError, ("binary_cross_entropy_with_logits", "int64"),
        ),
        (
            lambda: F.binary_cross_entropy_with_logits(ONES, ONES, pos_weight=td.ones(2)),
            ValueError, ("(2, 3)", "(2,)"),
        ),
        (lambda: F.kl_div(ONES, ONES.long()), TypeError, ("kl_div", "int64")),
        (lambda: F.kl_div(ONES.long(), ONES), TypeError, ("kl_div", "int64")),
        (lambda: F.cosine_similarity(ONES.long(), ONES.long()), TypeError, ("int64",)),
        (lambda: F.cosine_similarity(ONES, td.ones(2)), ValueError, ("(2, 3)", "(2,)")),
        (lambda: F.cosine_similarity(ONES, ONES, 2), IndexError, (2,)),
        (lambda: F.cosine_similarity(ONES, ONES, eps=-1), ValueError, ("eps", -1)),
        (lambda: F.mse_loss([1.0], ONES), TypeError, ("Tensor", "list")),
        (lambda: F.mse_loss(ONES, ONES, weight=2.0), TypeError, ("weight", "Tensor", "float")),
        (lambda: F.nll_loss(ONES, INDICES, [1, 2, 3]), TypeError, ("weight", "Tensor", "list")),
        (lambda: F.binary_cross_entropy(ONES, ONES, 2.0), TypeError, ("weight", "Tensor")),
        (lambda: F.kl_div(ONES, 1.0), TypeError, ("Tensor", "float")),
        (lambda: F.cosine_similarity(ONES, [1.0]), TypeError, ("Tensor", "list")),
        (lambda: F.cross_entropy(ONES, [0, 1]), TypeError, ("Tensor", "list")),
        (lambda: F.generator_hinge_loss(1.0), TypeError, ("Tensor", "float")),
        (lambda: F.discriminator_hinge_loss([1.0], ONES), TypeError, ("Tensor", "list")),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, kind, words):
    with refused(kind, *words):
        call()


# ---------------------------------------------------------------- layers

WEIGHT = td.tensor([0.5, 2.0, 0.3], dtype=td.float64)


@pytest.mark.parametrize(
    ("layer", "function", "options", "keys"),
    [
        (nn.MSELoss, F.mse_loss, {"reduction": "sum"}, []),
        (nn.L1Loss, F.l1_loss, {"reduction": "sum"}, []),
        (nn.HuberLoss, F.huber_loss, {"reduction": "sum", "delta": 0.1}, []),
        (nn.SmoothL1Loss, F.smooth_l1_loss, {"reduction": "sum", "beta": 0.1}, []),
        (nn.CrossEntropyLoss, F.cross_entropy, {}, []),
        (
            nn.CrossEntropyLoss, F.cross_entropy,
            {"weight": WEIGHT, "ignore_index": 0, "reduction": "sum", "label_smoothing": 0.1},
            ["weight"],
        ),
        (
            nn.NLLLoss, F.nll_loss, {"weight": WEIGHT, "ignore_index": 0, "reduction": "sum"},
            ["weight"],
        ),
        (nn.BCELoss, F.binary_cross_entropy, {"weight": WEIGHT, "reduction": "sum"}, ["weight"]),
        (
            nn.BCEWithLogitsLoss, F.binary_cross_entropy_with_logits,
            {"weight": WEIGHT, "reduction": "sum", "pos_weight": WEIGHT + 1},
            ["weight", "pos_weight"],
        ),
        (nn.KLDivLoss, F.kl_div, {"reduction": "batchmean", "log_target": True}, []),
        (nn.CosineSimilarity, F.cosine_similarity, {"dim": 0, "eps": 1.0}, []),
    ],
)  # fmt: skip
def test_layers(layer, function, options, keys):
    made, inputs = layer(**options), CALLS[function.__name__]
    assert made(*inputs).tolist() == function(*inputs, **options).tolist()
    assert made(*inputs).tolist() != layer()(*inputs).tolist() or not options
    assert list(made.state_dict()) == [n for n, _ in made.named_buffers()] == keys
    assert not list(made.parameters())


def test_the_weights_of_a_loss_move_with_it():
    loss = nn.CrossEntropyLoss(td.tensor([0.5, 2.0, 0.3])).double()
    assert loss.weight.dtype == td.float64
    loss(X, INDICES)
    other = nn.CrossEntropyLoss(td.ones(3, dtype=td.float64))
    other.load_state_dict(loss.state_dict())
    assert other.weight.tolist() == loss.weight.tolist()


def test_a_mean_over_many_sites_stays_finite_in_half_precision():
    x = td.zeros((2, 2, 300, 300), dtype=td.float16)
    y = F.cross_entropy(x, td.zeros((2, 300, 300), dtype=td.int64), ignore_index=1)
    assert y.dtype == td.float16 and y.item() == pytest.approx(math.log(2), rel=1e-3)
