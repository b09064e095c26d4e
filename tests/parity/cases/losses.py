"""Losses."""

import inspect
import itertools

import numpy as np
import torch
from both import Fixed, numbers, spread
from registry import TF, Call, case, layer

import tinydeconv as td
import tinydeconv.nn.functional as F

NAN, INF = float("nan"), float("inf")
REDUCTIONS = ("mean", "sum", "none")
SHAPES = ((4, 3), (2, 3, 4, 2), (5,), (0, 3), ())


def probabilities(*shape, seed=0):
    return 0.2 + 0.6 / (1 + np.exp(-numbers(*shape, seed=seed)))


def distributions(*shape, dim=1):
    p = np.exp(numbers(*shape, seed=1))
    return p / p.sum(dim, keepdims=True)


def orders(shape, reduction):
    """The mean of nothing is NaN; which of its derivatives are zero and which NaN is chance."""
    return 0 if 0 in shape and "mean" in reduction else 2


def by_name(name):
    """PyTorch's function, called by the names of our arguments: between them it has two more."""
    names = inspect.signature(getattr(F, name)).parameters
    return lambda *args: getattr(TF, name)(**dict(zip(names, args)))


# ---------------------------------------------------------------- of a distance

DISTANCES = {
    "mse_loss": [{}],
    "l1_loss": [{}],
    "huber_loss": [{}, {"delta": 0.3}, {"delta": 5}],
    "smooth_l1_loss": [{}, {"beta": 0.3}, {"beta": 5}, {"beta": 0}],
}

for name, settings in DISTANCES.items():
    for reduction, shape in itertools.product(REDUCTIONS, SHAPES):
        x, t = numbers(*shape), numbers(*shape, seed=1)
        order = orders(shape, reduction)
        for options in settings:
            case(name, x, t, reduction=reduction, order=order, **options)
        if name != "smooth_l1_loss":
            before = (x, t, reduction, 0.3) if name == "huber_loss" else (x, t, reduction)
            case(name, *before, probabilities(*shape, seed=2), theirs=by_name(name), order=order)
            case(name, *before, Fixed(np.zeros(shape)), theirs=by_name(name), order=0)  # 0 / 0
    case(name, spread(4), np.arange(4), order=2 * (name != "huber_loss"))  # PyTorch's fails then
    case(name, numbers(3), np.array([INF, -INF, NAN]), reduction="none", order=1)
    case(name, np.array([0.5, -1.0]), np.array([0.5, -1.0]), reduction="none", order=1)
for name in ("mse_loss", "l1_loss", "smooth_l1_loss"):
    case(name, np.arange(4), spread(4))
for reduction in ("sum", "none"):
    case("l1_loss", np.arange(4), np.array([2, 0, 5, 3]), reduction=reduction)
case("huber_loss", np.array([-0.7, 0.7]), np.zeros(2), "none", 0.7, order=1)
case("smooth_l1_loss", np.array([-0.7, 0.7]), np.zeros(2), reduction="none", beta=0.7, order=1)


# ---------------------------------------------------------------- of classes


def sites(shape, ignored=None):
    """Class indices for logits of this shape, some of them `ignored`."""
    shape, draw = (*shape[: len(shape) > 1], *shape[2:]), np.random.default_rng(3)
    found = draw.integers(0, 3, shape)
    return found if ignored is None else np.where(draw.random(shape) < 0.4, ignored, found)


CLASS_WEIGHT = Fixed(np.array([0.5, 2.0, 0.3]))
for reduction, weight, ignored, smoothing in itertools.product(
    REDUCTIONS, (None, CLASS_WEIGHT), (-100, 1, 300), (0.0, 0.3)
):
    x, options = numbers(2, 3, 4) * 9, {"reduction": reduction, "ignore_index": ignored}
    target = sites(x.shape, ignored)
    case("cross_entropy", x, target, weight, label_smoothing=smoothing, **options)
    if not smoothing:
        case("nll_loss", x, target, weight, **options)
    nothing = np.full_like(target, ignored)
    case("cross_entropy", x, nothing, weight, label_smoothing=smoothing, **options)
    case("nll_loss", x, nothing, weight, **options)
    if ignored < 0:
        smooth = {"reduction": reduction, "label_smoothing": smoothing}
        case("cross_entropy", x, distributions(2, 3, 4), weight, **smooth)
for shape, reduction in itertools.product(
    ((4, 3), (2, 3, 2, 2), (2, 3, 2, 1, 2), (3,), (0, 3), (2, 3, 0)), REDUCTIONS
):
    x, order = numbers(*shape), orders(shape, reduction)
    for weight, smoothing in ((None, 0.0), (CLASS_WEIGHT, 0.3)):
        smooth = {"label_smoothing": smoothing, "reduction": reduction, "order": order}
        case("cross_entropy", x, sites(shape, -100), weight, **smooth)
        p = distributions(*shape, dim=min(len(shape) - 1, 1))
        case("cross_entropy", x, p, weight, ignore_index=-1, **smooth)
        case("nll_loss", x, sites(shape, -100), weight, reduction=reduction, order=order)
case("cross_entropy", numbers(4, 3), distributions(4, 3), np.array([0.5, 2.0, 0.3]))
case("cross_entropy", numbers(4, 3), sites((4, 3)), label_smoothing=1.0)
for name in ("cross_entropy", "nll_loss"):
    case(name, numbers(4, 3), sites((4, 3)).astype(np.uint8))
    case(name, numbers(4, 3), sites((4, 3)), Fixed(np.array([1.0, 0.0, 0.0])))
    case(name, np.array([[-800.0, 0.3, 800.0]]), np.array([0]))
    case(name, np.array([[-INF, 0.3, 0.8]]), np.array([1]))
    case(name, np.array([[-INF, 0.3, 0.8]]), np.array([0]), order=0)
    case(name, np.array([[NAN, 0.3, 0.8], [0.1, 0.2, 0.3]]), np.array([-100, 1]))
case("cross_entropy", np.array([[-INF, 0.3, 0.8]]), Fixed(np.array([[0, 1.0, 0]])), order=0)
case("cross_entropy", np.array([[-INF, 0.3, 0.8]]), np.array([1]), label_smoothing=0.1, order=0)


# ---------------------------------------------------------------- of probabilities


def bce(input, target, weight=None, reduction="mean"):
    """In PyTorch's ops: its own second derivative is off by 1e-12 / input, where ours is not."""
    loss = -(target * input.log() + (1 - target) * (-input).log1p())
    loss = loss if weight is None else loss * weight
    return loss if reduction == "none" else getattr(loss, reduction)()


name, logits = "binary_cross_entropy", "binary_cross_entropy_with_logits"
for reduction, shape in itertools.product(REDUCTIONS, SHAPES):
    order, x, t = orders(shape, reduction), probabilities(*shape), probabilities(*shape, seed=1)
    options = {"reduction": reduction, "order": order}
    full, row, one = (Fixed(probabilities(*s, seed=2)) for s in (shape, shape[-1:], ()))
    for weight, pos_weight in ((None, None), (full, None), (row, full), (one, row), (None, one)):
        case(name, x, t, weight, reduction=reduction, order=min(order, 1))
        case(name, x, t, weight, theirs=bce, **options)
        case(logits, x * 20 - 10, t, weight, reduction, pos_weight, theirs=by_name(logits),
             order=order)  # fmt: skip
certain = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1e-13, 1e-40, 0.3])
wrong = np.array([0.0, 1.0, 0.5, 0.0, 1.0, 0.5, 0.5, 0.5, 0.5])
case(name, certain, wrong, reduction="none", order=1)
case(name, certain, Fixed(wrong), Fixed(wrong + 1), reduction="sum", order=1)
far = np.array([-800.0, 0.3, 800.0, -800, -30, 20]), np.array([0.0, 0.5, 0.0, 1.0, 0.0, 1.0])
case(logits, *far)
case(logits, *far, None, "none", Fixed(np.array(3.0)), theirs=by_name(logits))
case(logits, *far, None, "sum", np.array(2), theirs=by_name(logits))
case(logits, np.array([INF, NAN]), np.array([0.5, 0.5]), reduction="none", order=1)

for reduction, shape, log in itertools.product((*REDUCTIONS, "batchmean"), SHAPES, (False, True)):
    x, p = np.log(probabilities(*shape)), probabilities(*shape, seed=1)
    t = np.log(p) if log else p
    order = orders(shape, reduction)
    case("kl_div", x, t, reduction=reduction, log_target=log, order=order)
case("kl_div", numbers(2, 3), probabilities(3), reduction="batchmean")
case("kl_div", numbers(3), probabilities(2, 3), reduction="batchmean")
case("kl_div", np.array([-1.0, -INF, -INF, -2, NAN, 0.5]),
     np.array([0.0, 0, 0.5, 0.5, 0, -0.1]), reduction="none", order=1)  # fmt: skip
case("kl_div", np.array([-1.0, -2.0, -0.3]), Fixed(np.array([0.0, 1.0, 0.0])), reduction="none")
case("kl_div", np.array([-1.0, -INF, -2]), np.array([-INF, -0.5, -0.5]), reduction="none",
     log_target=True, order=1)  # fmt: skip


# ---------------------------------------------------------------- of directions and critics

for shapes in (((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 1), (2, 3)), ((3,), (2, 3)), ((0, 3), (0, 3)),
               ((2, 3, 4), (3, 1)), ((2, 0), (2, 0))):  # fmt: skip
    x1, x2 = (numbers(*shape, seed=i) for i, shape in enumerate(shapes))
    case("cosine_similarity", x1, x2)
    case("cosine_similarity", x1, x2, dim=0)
    case("cosine_similarity", x1, x2, -2, 2.0)  # above the norms
    case("cosine_similarity", x1, x2, -1, 0.0)
case("cosine_similarity", np.array(2.0), np.array(-3.0), 0)
case("cosine_similarity", numbers(3), np.arange(3), -1)
case("cosine_similarity", np.array([[0.0, 0], [1e-9, 1e-9], [0, 0]]),
     np.array([[1.0, 2], [1, 3], [0, 0]]), order=1)  # fmt: skip
case("cosine_similarity", numbers(2, 3) * 1e30, numbers(2, 3) * 1e-5, order=0)


def reduced(reduction, losses):
    return losses if reduction == "none" else getattr(losses, reduction)()


def discriminator(real, fake, reduction="mean"):
    return sum(reduced(reduction, TF.relu(1 - s)) for s in (real, -fake))


for shape, reduction in itertools.product(((4,), (2, 3), ()), REDUCTIONS):
    real, fake = numbers(*shape) * 2, numbers(*shape, seed=1) * 2
    case("discriminator_hinge_loss", real, fake, reduction=reduction, theirs=discriminator)
    case("generator_hinge_loss", fake, reduction=reduction,
         theirs=lambda fake, reduction: -reduced(reduction, fake))  # fmt: skip
case("discriminator_hinge_loss", numbers(4), numbers(3, 2), theirs=discriminator)


# ---------------------------------------------------------------- layers


class Weighted(Call):
    """A constructor's arguments with weights, tuples here, as tensors of the layer's library."""

    def of(self, cls):
        library = torch if issubclass(cls, torch.nn.Module) else td
        options = {
            name: library.tensor(value) if isinstance(value, tuple) else value
            for name, value in self.options.items()
        }
        return cls(*self.args, **options)


x, p, classes = numbers(4, 3), probabilities(4, 3), np.array([0, 2, 1, 2])
for reduction in REDUCTIONS:
    call = Call(reduction=reduction)
    for name in ("MSELoss", "L1Loss"):
        layer(name, call, x, numbers(4, 3, seed=1))
    layer("HuberLoss", Call(reduction, 0.5), x, numbers(4, 3, seed=1))
    layer("SmoothL1Loss", Call(reduction=reduction, beta=0.5), x, numbers(4, 3, seed=1))
    for chosen in (call, Weighted(weight=(0.5, 2.0, 0.3), reduction=reduction)):
        for name in ("CrossEntropyLoss", "NLLLoss"):
            layer(name, chosen, x, classes)
        layer("BCEWithLogitsLoss", chosen, x, numbers(4, 3, seed=1))
    layer("KLDivLoss", Call(reduction=reduction, log_target=True), np.log(p), numbers(4, 3, seed=1))
layer("CrossEntropyLoss", Call(), x, classes)
layer("CrossEntropyLoss", Weighted(weight=(0.5, 2.0, 0.3), ignore_index=2, label_smoothing=0.1),
      x, classes)  # fmt: skip
layer("NLLLoss", Call(ignore_index=2), x, classes)
layer("BCEWithLogitsLoss", Weighted(pos_weight=(0.5, 2.0, 0.3)), x, p)
half = np.full((4, 3), 0.5)
layer("BCELoss", Call(), half, half)
small = (0.05, 0.2, 0.03)  # keeps the error of PyTorch's second derivative below the tolerance
layer("BCELoss", Weighted(weight=small, reduction="sum"), half, half)
layer("KLDivLoss", Call(reduction="batchmean"), np.log(p), p)
layer("CosineSimilarity", Call(), x, numbers(4, 3, seed=1))
layer("CosineSimilarity", Call(0, 5.0), x, numbers(4, 3, seed=1))
