"""Losses: functions and layers."""

from .. import ops
from ..ops import log_softmax
from .families import layer


def _reduce(loss, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return loss if reduction == "none" else getattr(loss, reduction)()


def _same_shape(name, input, target):
    if input.shape != target.shape:
        raise ValueError(
            f"{name} expects input and target of one shape, got {input.shape} and {target.shape}"
        )


def mse_loss(input, target, reduction="mean"):
    """(input - target)^2"""
    _same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


def l1_loss(input, target, reduction="mean"):
    """|input - target|"""
    _same_shape("l1_loss", input, target)
    return _reduce(abs(input - target), reduction)


def cross_entropy(input, target, reduction="mean"):
    """-log softmax(input)[target]: logits (N, C, *) or (C,) with class indices (N, *) or ()."""
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy expects class indices of an integer dtype, got {target.dtype}"
        )
    dim = 1 if input.ndim > 1 else 0
    if not input.ndim or target.shape != (*input.shape[:dim], *input.shape[dim + 1 :]):
        raise ValueError(
            f"cross_entropy of logits (N, C, *) expects targets (N, *): got logits {input.shape} "
            f"and targets {target.shape}"
        )
    classes = input.shape[dim]
    if target.numel() and not 0 <= target.min().item() <= target.max().item() < classes:
        raise IndexError(
            f"cross_entropy of {classes} classes got targets from {target.min().item()} to "
            f"{target.max().item()}"
        )
    picked = log_softmax(input, dim).gather(dim, target.unsqueeze(dim)).squeeze(dim)
    return _reduce(-picked, reduction)


def binary_cross_entropy_with_logits(input, target, reduction="mean"):
    """-target log sigmoid(input) - (1 - target) log(1 - sigmoid(input)), without overflow."""
    _same_shape("binary_cross_entropy_with_logits", input, target)
    return _reduce(ops.softplus(input) - input * target, reduction)


# ---------------------------------------------------------------- layers

MSELoss, L1Loss = layer("MSELoss", mse_loss), layer("L1Loss", l1_loss)
CrossEntropyLoss = layer("CrossEntropyLoss", cross_entropy)
BCEWithLogitsLoss = layer("BCEWithLogitsLoss", binary_cross_entropy_with_logits)
