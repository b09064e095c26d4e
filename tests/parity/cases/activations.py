"""Activations."""

import numpy as np
from both import numbers, spread
from registry import Call, case, layer

for shape in ((4, 3), (2, 3, 4, 3), (0, 3, 4), (3,), ()):
    x = spread(*shape) if shape else np.array(-0.3)
    for name in ("relu", "sigmoid", "tanh", "leaky_relu"):
        case(name, x)
    case("leaky_relu", x, 0.3)
    case("leaky_relu", x, negative_slope=-0.3)
    case("prelu", x, np.array([0.25]))
    if len(shape) > 1:
        case("prelu", x, numbers(3))
for name in ("softmax", "log_softmax"):
    for dim in (0, 1, -1):
        case(name, numbers(2, 3, 4) * 3, dim)
    case(name, numbers(2, 3) * 500, 1)
    case(name, numbers(3), 0)
    case(name, numbers(0, 3), 1)
for name in ("sigmoid", "tanh"):
    case(name, np.array([-800.0, -30.0, 0.0, 30.0, 800.0]))


# ---------------------------------------------------------------- layers

layer("ReLU", Call(), spread(2, 3))
layer("LeakyReLU", Call(), spread(2, 3))
layer("LeakyReLU", Call(0.3), spread(2, 3))
layer("PReLU", Call(), spread(2, 3, 4))
layer("PReLU", Call(3, init=0.1), spread(2, 3, 4))
layer("Sigmoid", Call(), numbers(2, 3))
layer("Tanh", Call(), numbers(2, 3))
