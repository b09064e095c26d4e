"""Linear maps, tables of vectors, dropout, and layers that move numbers about."""

import numpy as np
from both import numbers
from registry import TF, Call, case, layer

import tinydeconv as td

# inplace=True and sparse=True are refused, so the value that is not the default is a falsy one.
FALSY = None

w, b = numbers(5, 3), numbers(5)
case("linear", numbers(4, 3), w)
case("linear", numbers(4, 3), w, b)
case("linear", numbers(2, 4, 3), w, b)
case("linear", numbers(3), w, b)
case("linear", numbers(0, 3), w, b)
case("linear", numbers(2, 0, 3), w, b)
case("linear", numbers(2, 0), w[:, :0], b)
case("linear", numbers(2, 3), numbers(3))
case("linear", numbers(3), numbers(3))
case("linear", np.array([[1, 2]]), np.array([[3, 4], [5, 6]]), np.array([7, 8]))

w = numbers(5, 3, 4)
case("bilinear", numbers(6, 3), numbers(6, 4), w)
case("bilinear", numbers(2, 6, 3), numbers(2, 6, 4), w, b)
case("bilinear", numbers(3), numbers(4), w, b)
case("bilinear", numbers(0, 3), numbers(0, 4), w, b)

w, places = numbers(6, 3), np.array([[1, 5, 1], [0, 5, 1]])
case("embedding", places, w)
case("embedding", places.astype(np.int32), w)
case("embedding", np.array(4), w)
case("embedding", places[:0], w, order=1)  # the second derivative raises in PyTorch
case("embedding", places[:0], w[:0], order=1)
case("embedding", places, w, 1)
case("embedding", places, w, padding_idx=-1)
case("embedding", places, w, max_norm=1.0)
case("embedding", places, w, 5, max_norm=0.5, norm_type=1.0)
case("embedding", places, w, max_norm=0.5, norm_type=float("inf"))
# whose second derivative in PyTorch forgets the scale
case("embedding", places, w, scale_grad_by_freq=True, order=1)
case("embedding", np.array(2), w, scale_grad_by_freq=True)
case("embedding", places, w, 1, 1.0, 3.0, True, order=1)

case("embedding", places, w, sparse=FALSY, theirs=lambda *args, sparse: TF.embedding(*args))

case("one_hot", places)
case("one_hot", places, 8)
case("one_hot", np.array(2))
case("one_hot", places[:0], num_classes=3)

# The libraries draw different numbers: what is left is to keep everything, or nothing.
for name, shapes in {
    "dropout": ((), (3,), (2, 3, 4), (0, 3)),
    "dropout1d": ((3, 4), (2, 3, 4)),
    "dropout2d": ((2, 3, 4, 2),),
    "dropout3d": ((2, 3, 4, 2), (2, 3, 4, 2, 2)),
}.items():
    for x in (numbers(*shape) for shape in shapes):
        case(name, x, training=False)
        case(name, x, 0.0)
        case(name, x, p=1.0)
    case(name, x, 1.0, inplace=FALSY)
case("dropout", np.array([np.nan, np.inf, 1.0]), 1.0)
case("dropout", places, 0.5, False)


# ---------------------------------------------------------------- layers


class Dense(Call):
    """Without the falsy `sparse` for PyTorch, which takes nothing but a bool."""

    def of(self, cls):
        options = self.options if cls is td.nn.Embedding else {}
        return cls(*self.args, **options)


layer("Linear", Call(3, 5), numbers(4, 3))
layer("Linear", Call(3, 5, bias=False), numbers(2, 4, 3))
layer("Bilinear", Call(3, 4, 5), numbers(6, 3), numbers(6, 4))
layer("Bilinear", Call(3, 4, 5, bias=False), numbers(2, 6, 3), numbers(2, 6, 4))
layer("Embedding", Call(6, 3), places)
layer("Embedding", Call(6, 3, 1), places)
layer("Embedding", Call(6, 3, padding_idx=-1, max_norm=0.5, norm_type=1.0), places)
# each index once: the second derivative of repeated ones in PyTorch forgets the scale
layer("Embedding", Call(6, 3, scale_grad_by_freq=True), places[0, :2])
layer("Embedding", Dense(6, 3, sparse=FALSY), places)
layer("Identity", Call(), numbers(2, 3))
layer("Identity", Call(54, unused=0.1), numbers(2, 3))
layer("Flatten", Call(), numbers(2, 3, 4))
layer("Flatten", Call(0, -2), numbers(2, 3, 4))
layer("Unflatten", Call(1, (2, 3)), numbers(4, 6))
layer("Unflatten", Call(-1, [2, -1]), numbers(4, 6))
layer("Unflatten", Call(1, (-1, 2)), numbers(0, 6))
for name, shape in {
    "Dropout": (2, 3),
    "Dropout1d": (2, 3, 4),
    "Dropout2d": (2, 3, 4, 2),
    "Dropout3d": (2, 3, 4, 2, 2),
}.items():
    layer(name, Call(0.0), numbers(*shape))
    layer(name, Call(p=1.0), numbers(*shape))
    layer(name, Call(1.0, FALSY), numbers(*shape))
