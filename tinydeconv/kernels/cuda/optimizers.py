"""Launches the kernels of optimizers.cu: a step of an optimiser for one parameter."""

import numpy as np

from ...backend import array_module
from .launch import launch_over


def adam(
    p, g, kept, step, /, lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay,
    **_,
):  # fmt: skip
    """The new parameter and its new moments, from its gradient, the moments {name: array} that are
    kept, and the settings of optim.Adam; the moments are overwritten.
    """
    names = ["exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * bool(amsgrad)]
    moments = [_kept(kept.get(name), p) for name in names]
    lr, decay, (beta1, beta2) = float(lr), float(weight_decay), map(float, betas)
    part1, part2 = 1 - beta1**step, 1 - beta2**step
    scale, least = part1 / part2**0.5, part1 * float(eps)
    shrink, decay = (1 - lr * decay, 0.0) if decoupled_weight_decay else (1.0, decay)
    numbers = lr, beta1, 1 - beta1, beta2, 1 - beta2, scale, least, shrink, decay
    arrays = *moments[:2], moments[-1]
    return _step("adam", p, g, arrays, *numbers, int(maximize), int(amsgrad)), *moments


def sgd(p, g, kept, step, /, lr, momentum, dampening, weight_decay, nesterov, maximize, **_):
    """Likewise of optim.SGD."""
    buffer = kept.get("momentum_buffer")
    moments = [_kept(buffer, p)] if momentum else []
    take = 1.0 if buffer is None else 1 - float(dampening)
    numbers = float(lr), float(momentum), take, float(weight_decay)
    arrays = moments or [p]
    return _step("sgd", p, g, arrays, *numbers, int(maximize), int(nesterov)), *moments


def _step(name, p, g, moments, *numbers):
    xp = array_module(p, g)
    p, g, moved = xp.ascontiguousarray(p), xp.ascontiguousarray(g), xp.empty(p.shape, p.dtype)
    launch_over(p.size, "optimizers.cu", name, p, g, moved, *moments, *numbers, np.int64(p.size))
    return moved


def _kept(moment, p):
    """What is kept of a parameter, to be overwritten; zeros before the first step."""
    xp = array_module(p)
    return xp.zeros(p.shape, p.dtype) if moment is None else xp.ascontiguousarray(moment, p.dtype)
