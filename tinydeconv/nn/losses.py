"""Losses: functions and layers. `reduction` is "mean", "sum", or "none" for the loss of each
element or site. PyTorch's rules: the mean of losses with class weights, and of mse_loss and l1_loss
with a weight, divides by the sum of the weights; any other mean by the number of losses.
"""

from math import prod

import numpy as np

from ..backend import array_module
from ..engine import Op
from ..kernels.pieces import spread
from ..ops import log, log1p, norm, softplus, where
from ..ops.formulas import Curve, fused
from ..ops.indexing import must_fit
from ..ops.maths import sigmoid_of
from ..ops.promotion import must_be_tensor, promote
from ..ops.shape import Gather
from ..tensor import Tensor
from .activations import accept, log_softmax, relu
from .families import layer


def _reduce(loss, reduction, weight=None):
    """The losses reduced; `weight` holds what a mean is divided by the sum of (None: ones)."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    if reduction == "mean" and weight is not None:
        return loss.mean() / weight.astype(loss.dtype).mean()  # sums may overflow in float16
    return loss if reduction == "none" else getattr(loss, reduction)()


def _same_shape(name, a, b, what="input and target"):
    shapes = [must_be_tensor(n, x).shape for n, x in zip(what.split(" and "), (a, b), strict=True)]
    if a.shape != b.shape:
        raise ValueError(f"{name} expects {what} of one shape, got {shapes[0]} and {shapes[1]}")


def _weighted(name, loss, weight):
    """The losses times their weights (None: as they are)."""
    if weight is None:
        return loss
    _same_shape(name, loss, weight, "input and weight")
    return loss * weight


# ---------------------------------------------------------------- of a distance


def _difference(name, input, target):
    _same_shape(name, input, target)
    return accept(name, input - target)


def mse_loss(input, target, reduction="mean", weight=None):
    """(input - target)^2, times `weight` of the same shape."""
    loss = _square(_difference("mse_loss", input, target))
    return _reduce(_weighted("mse_loss", loss, weight), reduction, weight)


def l1_loss(input, target, reduction="mean", weight=None):
    """|input - target|, times `weight` of the same shape."""
    _same_shape("l1_loss", input, target)
    return _reduce(_weighted("l1_loss", abs(input - target), weight), reduction, weight)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """d^2 / 2 of a difference |d| <= delta and delta * (|d| - delta / 2) beyond, times `weight` of
    the same shape (Huber 1964).
    """
    if delta <= 0:
        raise ValueError(f"huber_loss expects a positive delta, got {delta}")
    loss = _huber(_difference("huber_loss", input, target), delta)
    return _reduce(_weighted("huber_loss", loss, weight), reduction)


def smooth_l1_loss(input, target, reduction="mean", beta=1.0):
    """d^2 / (2 beta) of a difference |d| < beta and |d| - beta / 2 beyond (Girshick 2015)."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss expects a beta of 0 or more, got {beta}")
    difference = _difference("smooth_l1_loss", input, target)
    return _reduce(_huber(difference, beta) / beta if beta else abs(difference), reduction)


def _square(x):
    return Curve(lambda m, x: x * x, lambda m, g, x: 2 * g * x)(x)


def _huber(difference, delta):
    delta = float(delta)

    def value(m, d):
        near = held(m, d)
        return near * near / 2 + delta * abs(d - near)

    def held(m, d):
        return d.clamp(-delta, delta) if m is Tensor else m.minimum(m.maximum(d, -delta), delta)

    return Curve(value, lambda m, g, d: g * held(m, d))(difference)


# ---------------------------------------------------------------- of classes


def cross_entropy(
    input, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0
):
    """-log softmax(input)[target]: logits (N, C, *) or (C,) with class indices (N, *) or (), or
    with probabilities of the logits' shape: -sum_c target[c] log softmax(input)[c].

    `weight` (C,) multiplies the classes; sites whose index is `ignore_index` count for nothing;
    `label_smoothing` mixes so much of the uniform distribution into the target (Szegedy et al.
    2016).
    """
    name = "cross_entropy"
    dim = _class_dim(name, input, target, weight)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"expected a label_smoothing between 0 and 1, got {label_smoothing}")
    log_p = log_softmax(input, dim)
    if target.shape != input.shape:
        return _of_indices(
            name, log_p, dim, target, weight, ignore_index, reduction, label_smoothing
        )
    if ignore_index >= 0:
        raise ValueError(
            f"ignore_index goes with class indices: got {ignore_index} and a target of "
            f"probabilities, of the input's shape {input.shape}"
        )
    target = accept(f"{name} with a target of the input's shape", target)
    target = target * (1 - label_smoothing) + label_smoothing / max(input.shape[dim], 1)
    return _reduce(-(_of_classes(log_p, weight) * target).sum(dim), reduction)


def nll_loss(input, target, weight=None, ignore_index=-100, reduction="mean"):
    """-input[target]: log-probabilities (N, C, *) or (C,) with class indices (N, *) or (); weight
    and ignore_index as in cross_entropy.
    """
    dim = _class_dim("nll_loss", input, target, weight)
    return _of_indices("nll_loss", input, dim, target, weight, ignore_index, reduction)


def _class_dim(name, input, target, weight):
    """The dimension of the classes, if these can be an input, a target and a weight."""
    must_be_tensor("target", target)
    if not accept(name, input).ndim:
        raise ValueError(f"{name} expects an input of (C,) or (N, C, *), got shape ()")
    dim = min(input.ndim - 1, 1)
    classes = input.shape[dim]
    if weight is not None and (
        must_be_tensor("weight", weight).shape != (classes,) or weight.dtype != input.dtype
    ):
        raise ValueError(
            f"{name} expects a weight for each of {classes} classes, in {input.dtype} like the "
            f"input, got {weight.dtype} of shape {weight.shape}"
        )
    return dim


def _of_classes(log_p, weight):
    """Log-probabilities (N, C, *) or (C,) times the weights of their classes."""
    return log_p if weight is None else log_p * weight.reshape(-1, *(1,) * (log_p.ndim - 2))


def _of_indices(name, log_p, dim, target, weight, ignore_index, reduction, smoothing=0.0):
    classes, sites = log_p.shape[dim], (*log_p.shape[:dim], *log_p.shape[dim + 1 :])
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name} of an input of shape {log_p.shape} expects class indices of an integer dtype, "
            f"got {target.dtype} of shape {target.shape}"
        )
    if target.shape != sites:
        raise ValueError(
            f"{name} of an input (N, C, *) expects targets (N, *): got input {log_p.shape} and "
            f"targets {target.shape}"
        )
    target = target.long()
    ignored = target == ignore_index
    target = where(ignored, 0, target)
    must_fit(f"{name} of {classes} classes", target, classes)
    share = (~ignored).astype(log_p.dtype) if weight is None else where(ignored, 0, weight[target])
    loss = where(ignored, 0, -_picked(log_p, dim, target) * share)
    if smoothing:
        spread = where(ignored, 0, -_of_classes(log_p, weight).sum(dim))
        loss = (1 - smoothing) * loss + smoothing / max(classes, 1) * spread
    return _reduce(loss, reduction, share)


def _picked(log_p, dim, target):
    """log_p[n, target[n, *], *], or log_p[target] where there is no n."""
    xp, sites = array_module(target.data), prod(log_p.shape[dim + 1 :])
    first = xp.arange(prod(target.shape)).reshape(target.shape)  # of each site, for one class
    first = first + first // sites * (log_p.shape[dim] - 1) * sites
    return Gather(first + target.data * sites, once=True)(log_p)


# ---------------------------------------------------------------- of probabilities


class BinaryCrossEntropy(Op):
    """-t log x - (1 - t) log(1 - x), the logarithms held above -100. As in PyTorch the slope in x
    is (x - t) / max(x (1 - x), 1e-12), finite where x is 0 or 1 and the logarithm's is not.
    """

    keeps = ("inputs",)

    def forward(self, x, t):
        xp = array_module(x)

        def value(x, t):
            return (t - 1) * xp.maximum(xp.log1p(-x), -100) - t * xp.maximum(xp.log(x), -100)

        return spread(value, x, t)

    def backward(self, g, y, x, t, needs):
        def slope(m, g, x, t):
            return g * ((x - t) / m.maximum(x * (1 - x), LEAST_VARIANCE))

        return (
            fused(slope, g, x, t) if needs[0] else None,
            g * (log1p(-x) - log(x)) if needs[1] else None,
        )


LEAST_VARIANCE = float(np.float32(1e-12))  # rounded as in PyTorch, where it is a float32


def binary_cross_entropy(input, target, weight=None, reduction="mean"):
    """-target log(input) - (1 - target) log(1 - input) of probabilities, with logarithms of at
    least -100; times `weight`, which broadcasts to the input's shape.
    """
    name = "binary_cross_entropy"
    _same_shape(name, input, target)
    for what, p in (("input", input), ("target", target)):
        accept(name, p)
        if p.numel() and not 0 <= p.min().item() <= p.max().item() <= 1:
            raise ValueError(
                f"{name} expects probabilities, from 0 to 1, got {what} from {p.min().item()} to "
                f"{p.max().item()}: for logits there is {name}_with_logits"
            )
    if input.dtype != target.dtype:
        raise TypeError(
            f"{name} expects one dtype, got input {input.dtype} and target {target.dtype}"
        )
    return _reduce(_times(BinaryCrossEntropy()(input, target), weight), reduction)


def binary_cross_entropy_with_logits(input, target, weight=None, reduction="mean", pos_weight=None):
    """-pos_weight target log sigmoid(input) - (1 - target) log(1 - sigmoid(input)), times `weight`,
    without overflow; both weights broadcast to the input's shape.
    """
    name = "binary_cross_entropy_with_logits"
    _same_shape(name, input, target)
    input, target = promote(accept(name, input), accept(name, target))
    loss = BinaryCrossEntropyWithLogits()(input, _times(target, pos_weight), 1 - target)
    return _reduce(_times(loss, weight), reduction)


class BinaryCrossEntropyWithLogits(Op):
    """a log(1 + exp(-x)) + b log(1 + exp(x)), without overflow."""

    keeps = ("inputs",)

    def forward(self, x, a, b):
        xp = array_module(x)

        def value(x, a, b):
            common = (a + b) * xp.log1p(xp.exp(-abs(x)))
            return common + b * xp.maximum(x, 0) - a * xp.minimum(x, 0)

        return spread(value, x, a, b)

    def backward(self, g, y, x, a, b, needs):
        def slope(m, g, x, a, b):
            return g * (b * sigmoid_of(m, x) - a * sigmoid_of(m, -x))

        return (
            fused(slope, g, x, a, b) if needs[0] else None,
            g * softplus(-x) if needs[1] else None,
            g * softplus(x) if needs[2] else None,
        )


def _times(x, weight):
    """x times a weight that is brought to its shape and dtype (None: x itself)."""
    if weight is None:
        return x
    return x * must_be_tensor("weight", weight).astype(x.dtype).expand(x.shape)


def kl_div(input, target, reduction="mean", log_target=False):
    """target * (log(target) - input) of log-probabilities `input` and probabilities `target`, or
    with log_target their logarithms; where the target is 0 its part target * log(target) is 0.

    reduction="batchmean" divides the sum by the batch size: the Kullback-Leibler divergence.
    """
    accept("kl_div", input), accept("kl_div", target)
    if log_target:
        loss = target.exp() * (target - input)
    else:
        loss = where(target == 0, 0, target * log(target)) - target * input
    if reduction == "batchmean":
        return loss.sum() / (input.shape[0] if input.ndim else 1)
    return _reduce(loss, reduction)


# ---------------------------------------------------------------- of directions and critics


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """<x1, x2> / (max(|x1|, eps) max(|x2|, eps)) along a dim of the shape both broadcast to."""
    if eps < 0:
        raise ValueError(f"cosine_similarity expects an eps of 0 or more, got {eps}")
    x1, x2 = promote(x1, x2)
    accept("cosine_similarity", x1)
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    return (_unit(x1.expand(shape), dim, eps) * _unit(x2.expand(shape), dim, eps)).sum(dim)


def _unit(x, dim, eps):
    length = norm(x, 2, dim, keepdim=True)
    # as in PyTorch, a length below eps becomes eps, but keeps its gradient
    return x / where(length < eps, length - length.detach() + eps, length)


def discriminator_hinge_loss(real, fake, reduction="mean"):
    """max(0, 1 - real) and max(0, 1 + fake) of a critic's scores, each reduced, then added (Lim &
    Ye 2017).
    """
    accept("discriminator_hinge_loss", real), accept("discriminator_hinge_loss", fake)
    if reduction == "none":
        _same_shape("discriminator_hinge_loss with reduction='none'", real, fake, "real and fake")
    return _reduce(relu(1 - real), reduction) + _reduce(relu(1 + fake), reduction)


def generator_hinge_loss(fake, reduction="mean"):
    """-fake, of a critic's scores (Lim & Ye 2017)."""
    return _reduce(-accept("generator_hinge_loss", fake), reduction)


# ---------------------------------------------------------------- layers

MSELoss = layer("MSELoss", mse_loss, without="weight")
L1Loss = layer("L1Loss", l1_loss, without="weight")
HuberLoss = layer("HuberLoss", huber_loss, without="weight")
SmoothL1Loss = layer("SmoothL1Loss", smooth_l1_loss)
CrossEntropyLoss = layer("CrossEntropyLoss", cross_entropy)
NLLLoss = layer("NLLLoss", nll_loss)
BCELoss = layer("BCELoss", binary_cross_entropy)
BCEWithLogitsLoss = layer("BCEWithLogitsLoss", binary_cross_entropy_with_logits)
KLDivLoss = layer("KLDivLoss", kl_div)
CosineSimilarity = layer("CosineSimilarity", cosine_similarity)
