"""Losses."""

import numpy as np
from both import numbers
from registry import Call, case, layer

for reduction in ("mean", "sum", "none"):
    for shape in ((4, 3), (2, 3, 4, 2), (5,), (0, 3), ()):
        x, t = numbers(*shape), numbers(*shape, seed=1)
        # the mean of nothing is NaN; which of its derivatives are zero and which NaN is chance
        order = 0 if 0 in shape and reduction == "mean" else 2
        case("mse_loss", x, t, reduction=reduction, order=order)
        case("l1_loss", x, t, reduction=reduction, order=order)
        name, probability = "binary_cross_entropy_with_logits", 1 / (1 + np.exp(-t))
        case(name, x * 9, probability, reduction=reduction, order=order)
        if len(shape) > 1:
            sites = (shape[0], *shape[2:])
            t = np.random.default_rng(0).integers(0, shape[1], sites)
            case("cross_entropy", x * 9, t, reduction=reduction, order=order)
    case("cross_entropy", numbers(3), np.array(2), reduction=reduction)
case("binary_cross_entropy_with_logits", np.array([-800.0, 0.3, 800.0]), np.array([0.0, 0.5, 0.0]))
case("cross_entropy", np.array([[-800.0, 0.3, 800.0]]), np.array([0]))


# ---------------------------------------------------------------- layers

for reduction in ("mean", "sum", "none"):
    call, target = Call(reduction=reduction), np.array([0, 2, 1, 2])
    for name in ("MSELoss", "L1Loss", "BCEWithLogitsLoss"):
        layer(name, call, numbers(4, 3), numbers(4, 3, seed=1))
    layer("CrossEntropyLoss", call, numbers(4, 3), target)
layer("CrossEntropyLoss", Call(), numbers(4, 3), target)
