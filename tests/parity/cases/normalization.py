"""Normalisation."""

from both import Fixed, numbers
from registry import LAYERS, SIZES, Call, case, layer

for shape in ((4, 3), (2, 3, 5), (2, 3, 4, 3), (2, 3, 2, 3, 2)):
    x, w, b = numbers(*shape) * 3 + 1, numbers(3), numbers(3, seed=1)
    mean, var = Fixed(numbers(3)), Fixed(numbers(3) ** 2 + 0.5)
    case("batch_norm", x, mean, var, w, b)
    case("batch_norm", x, mean, var, w, b, training=True)
    case("batch_norm", x, mean, var, training=True, momentum=0.3, eps=1e-3)
    case("batch_norm", x, None, None, w, b, training=True)
    case("batch_norm", x, mean, var, w, None, momentum=0.3, eps=1e-3)
    case("batch_norm", x[:0], mean, var, w, b)


# ---------------------------------------------------------------- layers

for a, sizes in SIZES.items():
    x = numbers(2, 4, *sizes)
    some = {"eps": 1e-2, "momentum": 0.3}
    LAYERS[f"BatchNorm{a}d"] = [
        (Call(4), [x]),
        (Call(4, **some, affine=False), [x]),
        (Call(4, momentum=None), [x]),
        (Call(4, track_running_stats=False), [x]),
    ]
layer("BatchNorm1d", Call(4), numbers(5, 4))
