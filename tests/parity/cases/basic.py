"""Linear maps, and layers that move numbers about."""

from both import numbers
from registry import Call, case, layer

w, b = numbers(5, 3), numbers(5)
case("linear", numbers(4, 3), w)
case("linear", numbers(4, 3), w, b)
case("linear", numbers(2, 4, 3), w, b)
case("linear", numbers(3), w, b)
case("linear", numbers(0, 3), w, b)


# ---------------------------------------------------------------- layers

layer("Linear", Call(3, 5), numbers(4, 3))
layer("Linear", Call(3, 5, bias=False), numbers(2, 4, 3))
layer("Flatten", Call(), numbers(2, 3, 4))
layer("Flatten", Call(0, -2), numbers(2, 3, 4))
layer("Unflatten", Call(1, (2, 3)), numbers(4, 6))
layer("Unflatten", Call(-1, [2, -1]), numbers(4, 6))
