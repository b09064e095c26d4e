"""Activations."""

import numpy as np
import torch
from both import numbers, spread
from registry import TF, Call, case, layer

# inplace=True is refused, so the value that is not the default is another falsy one.
FALSY = None
NAN, INF = float("nan"), float("inf")

SETTINGS = {
    "relu": [{}],
    "relu6": [{}],
    "leaky_relu": [{}, {"negative_slope": 0.3}, {"negative_slope": -0.3}],
    "hardtanh": [{}, {"min_val": -2, "max_val": 0.5}, {"min_val": 0.3, "max_val": 0.3}],
    "elu": [{}, {"alpha": 0.3}, {"alpha": -2}],
    "selu": [{}],
    "gelu": [{}, {"approximate": "tanh"}],
    "silu": [{}],
    "softplus": [{}, {"beta": 3}, {"beta": -0.5}, {"beta": 2.5, "threshold": 1.23}],
    "sigmoid": [{}],
    "tanh": [{}],
    "logsigmoid": [{}],
}
IN_PLACE = ["relu", "relu6", "leaky_relu", "hardtanh", "elu", "selu", "silu"]
INTEGERS = ["relu", "relu6", "hardtanh", "sigmoid", "tanh"]
# PyTorch's second derivative of elu at 0 is 0, ours that from the left.
KINKS = {"relu": [0], "relu6": [0, 6], "leaky_relu": [0], "hardtanh": [-1, 1], "elu": [0],
         "selu": [0]}  # fmt: skip

for name, settings in SETTINGS.items():
    for options in settings:
        for shape in ((4, 3), (2, 3, 4, 3), (0, 3, 4), (3,), ()):
            case(name, spread(*shape) if shape else np.array(-0.3), **options)
        for far in (25.0, 800.0, 1e3, 1e6):
            case(name, np.array([-far, far]), **options)
        if name != "gelu":  # PyTorch's gelu of infinity depends on dtype and processor
            case(name, np.array([-INF, -1e30, NAN, 1e30, INF]), **options)
for name in IN_PLACE:
    case(name, spread(4, 3), inplace=FALSY)
for name in INTEGERS:
    case(name, np.arange(-9, 9).reshape(3, 6))
    case(name, np.arange(-9, 9, dtype=np.int8))
case("hardtanh", np.arange(-9, 9), -2.5, 3.5)
case("relu6", np.arange(9, dtype=np.uint8))
case("sigmoid", np.array([False, True]))
for name, at in KINKS.items():
    case(name, np.array([*at, -0.0], dtype=np.float64), order=1)
case("softplus", numbers(4) * 9, 2, 3)
case("leaky_relu", spread(4, 3), 0.3)
case("elu", spread(4, 3), 0.3)
case("hardtanh", spread(4, 3), -0.4, 0.9)

for shape in ((4, 3), (2, 3, 4, 3), (0, 3, 4), (3,), ()):
    x = spread(*shape) if shape else np.array(-0.3)
    for slope in (np.array([0.25]), np.array(0.25)):
        case("prelu", x, slope)
    if len(shape) > 1:
        case("prelu", x, numbers(3))
        case("prelu", x[:, :1], numbers(1))
case("prelu", np.array([[-INF, NAN, 0.0, INF]]), np.array([0.25]), order=1)

for name in ("softmax", "log_softmax"):
    for dim in (0, 1, -1):
        case(name, numbers(2, 3, 4) * 3, dim)
    case(name, numbers(2, 3) * 500, 1)
    case(name, np.array([[-INF, 0.0, 1e300], [NAN, 0, 1], [INF, 0, 1], [-INF] * 3]), 1)
    case(name, np.array([[-INF, 0.0, 1.0]]), 1)
    case(name, numbers(3), 0)
    case(name, numbers(0, 3), 1)
    case(name, numbers(0, 3), 0)
    case(name, numbers(2, 0), 1)
    for dim in (0, -1):
        case(name, np.array(0.3), dim)


def converting(name):
    """PyTorch's function, to be told a dtype by NumPy's name."""
    function = getattr(TF, name)
    return lambda x, dim, dtype: function(x, dim, dtype=getattr(torch, dtype))


for name in ("softmax", "log_softmax"):
    case(name, numbers(2, 3), 1, dtype="float64", theirs=converting(name))
    case(name, numbers(2, 3), 1, dtype="float32", theirs=converting(name), order=0)  # 1: rounded
    for dtype in ("float32", "float64"):
        case(name, np.arange(6).reshape(2, 3), 1, dtype=dtype, theirs=converting(name))


# ---------------------------------------------------------------- layers

x = spread(2, 3) * 9
for name in ("ReLU", "ReLU6", "SELU", "SiLU"):
    layer(name, Call(), x)
    layer(name, Call(FALSY), x)
layer("LeakyReLU", Call(), x)
layer("LeakyReLU", Call(0.3, FALSY), x)
layer("ELU", Call(), x)
layer("ELU", Call(0.3, FALSY), x)
layer("Hardtanh", Call(), x)
layer("Hardtanh", Call(-2.0, 0.5, FALSY), x)
layer("GELU", Call(), x)
layer("GELU", Call("tanh"), x)
layer("Softplus", Call(), x)
layer("Softplus", Call(2, 3), x)
for name in ("Sigmoid", "Tanh", "LogSigmoid"):
    layer(name, Call(), x)
for name in ("Softmax", "LogSoftmax"):
    layer(name, Call(1), x)
    layer(name, Call(dim=-2), x)
layer("PReLU", Call(), spread(2, 3, 4))
layer("PReLU", Call(3, init=0.1), spread(2, 3, 4))
