"""Elementwise operations: arithmetic, maths functions, choices and comparisons. All of them
broadcast as NumPy does.
"""

import operator

import numpy as np

from ..backend import array_module
from ..engine import Op
from ..kernels.pieces import each, spread
from ..tensor import Tensor
from .formulas import fused, in_one_pass, step
from .maths import log, trunc
from .promotion import as_tensor, astype, must_be_tensor, promote, result_type

# ---------------------------------------------------------------- arithmetic


class Add(Op):
    linear = broadcasts = True

    def forward(self, a, b):
        return spread(operator.add, a, b)

    def backward(self, g, y, a, b, needs):
        return g, g


class Sub(Op):
    linear = broadcasts = True

    def forward(self, a, b):
        return spread(operator.sub, a, b)

    def backward(self, g, y, a, b, needs):
        return g, -g if needs[1] else None


class Mul(Op):
    keeps = ("inputs",)
    broadcasts = True

    def forward(self, a, b):
        return spread(operator.mul, a, b)

    def backward(self, g, y, a, b, needs):
        return g * b if needs[0] else None, g * a if needs[1] else None


class Div(Op):
    keeps = ("inputs",)
    broadcasts = True

    def forward(self, a, b):
        return spread(operator.truediv, a, b)

    def backward(self, g, y, a, b, needs):
        return (
            g / b if needs[0] else None,
            fused(lambda m, g, a, b: -g * a / (b * b), g, a, b) if needs[1] else None,
        )


class Neg(Op):
    linear = True

    def forward(self, x):
        return spread(operator.neg, x)

    def backward(self, g, y, x, needs):
        return -g


class Pow(Op):
    """a ** b. Where 0 ** 0 would give 0 * inf in a derivative, the factor 0 wins, as in PyTorch."""

    broadcasts = True

    def forward(self, a, b):
        if b.ndim or not isinstance(b, (np.ndarray, np.generic)):  # to read it, Python would wait
            return each(operator.pow, a, b)
        n = b.item()  # NumPy squares and takes roots fast when the exponent is a plain number
        # and a * a * a is 50 times as fast as its power
        return each(lambda a: a * a * a if n == 3 else a**n, a)

    def backward(self, g, y, a, b, needs):
        ga = gb = None
        if needs[0]:
            zero = (b == 0) & (a == 0) if b.requires_grad else b == 0
            ga = g * b * a ** where(zero, b, b - 1)
        if needs[1]:
            gb = g * y * log(where((a == 0) & (b >= 0), 1, a))
        return ga, gb


# ---------------------------------------------------------------- kinks


class Abs(Op):
    keeps = ("inputs",)

    def forward(self, x):
        return spread(abs, x)

    def backward(self, g, y, x, needs):
        def slope(m, g, x):
            return g * step(m, lambda x: x > 0, x) - g * step(m, lambda x: x < 0, x)

        return fused(slope, g, x)


class Relu(Op):
    keeps = ("output",)

    def forward(self, x):
        return spread(lambda x: array_module(x).maximum(x, 0), x)

    def backward(self, g, y, x, needs):
        # the slope at a NaN is 1, as in PyTorch
        return fused(lambda m, g, y: g * step(m, lambda y: y != 0, y), g, y, kernel=("relu_grad",))


class LeakyRelu(Op):
    """x where positive, slope * x elsewhere."""

    keeps = ("inputs",)

    def __init__(self, slope):
        self.slope = float(slope)

    def forward(self, x):
        xp, slope = array_module(x), self.slope
        pick = xp.maximum if slope <= 1 else xp.minimum
        return in_one_pass(lambda x: pick(x, slope * x), x, kernel=("leaky_relu", slope))

    def backward(self, g, y, x, needs):
        def slope(m, g, x):
            above = step(m, lambda x: x > 0, x)
            if 0 <= self.slope <= 1:
                return g * m.maximum(above, self.slope)
            return g * (above + self.slope * (1 - above))

        return fused(slope, g, x, kernel=("leaky_relu_grad", self.slope))


class PRelu(Op):
    """x where positive, slope * x elsewhere; the slope is an input too."""

    keeps = ("inputs",)
    broadcasts = True

    def forward(self, x, slope):
        xp = array_module(x)
        return spread(lambda x, slope: xp.maximum(x, 0) + slope * xp.minimum(x, 0), x, slope)

    def backward(self, g, y, x, slope, needs):
        def by_x(m, g, x, slope):
            above = step(m, lambda x: x > 0, x)
            return g * (above + slope * (1 - above))

        return (
            fused(by_x, g, x, slope) if needs[0] else None,
            fused(lambda m, g, x: g * m.minimum(x, 0), g, x) if needs[1] else None,
        )


class Clamp(Op):
    """x held between two numbers (None: no bound); at the bounds the gradient passes, as in
    PyTorch.
    """

    keeps = ("inputs",)

    def __init__(self, low, high):
        self.low, self.high = low, high

    def forward(self, x):
        xp, low, high = array_module(x), self.low, self.high

        def held(x):
            x = x if low is None else xp.maximum(x, low)
            return x if high is None else xp.minimum(x, high)

        return spread(held, x)

    def backward(self, g, y, x, needs):
        low, high = self.low, self.high

        def slope(m, g, x):
            g = g if low is None else g * step(m, lambda x: x >= low, x)
            return g if high is None else g * step(m, lambda x: x <= high, x)

        return fused(slope, g, x)


class Maximum(Op):
    """The larger of two; where they are equal each gets half the gradient."""

    keeps = ("inputs",)
    broadcasts = True
    pick = "maximum"

    def forward(self, a, b):
        return spread(getattr(array_module(a), self.pick), a, b)

    def backward(self, g, y, a, b, needs):
        first, second = (a > b, b > a) if self.pick == "maximum" else (a < b, b < a)
        shared = where(a == b, g / 2, g)  # beside a NaN neither wins, and each gets the whole
        return where(second, 0, shared), where(first, 0, shared)


class Minimum(Maximum):
    pick = "minimum"


class Where(Op):
    """a where the condition holds, b elsewhere."""

    linear = broadcasts = True

    def __init__(self, condition):
        self.condition = condition

    def forward(self, a, b):
        return each(array_module(a).where, self.condition, a, b)

    def backward(self, g, y, a, b, needs):
        zero = as_tensor(0, g, g.dtype)
        return (
            Where(self.condition)(g, zero) if needs[0] else None,
            Where(self.condition)(zero, g) if needs[1] else None,
        )


class FloorDivide(Op):
    """floor(a / b); its derivative is zero wherever there is one."""

    keeps = ()
    broadcasts = True

    def forward(self, a, b):
        return a // _divisor(b)

    def backward(self, g, y, a, b, needs):
        return None


class Remainder(Op):
    """a - floor(a / b) * b with the sign of b, exact however large the quotient is."""

    keeps = ("inputs",)
    broadcasts = True

    def forward(self, a, b):
        if b.dtype.kind != "f":
            return a % _divisor(b)
        xp = array_module(a)
        rest = xp.fmod(a, b)  # exact, with the sign of a; CuPy's remainder rounds the quotient
        return xp.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)

    def backward(self, g, y, a, b, needs):
        return g, -g * floor_divide(a, b) if needs[1] else None


def _divisor(b):
    if b.dtype.kind != "f" and not b.all():
        raise ZeroDivisionError("integer division by zero: cast with .float() to get infinity")
    return b


# ---------------------------------------------------------------- the functions that people call

# These ops keep nothing, so one object serves every application, and its making costs no time.
ADD, SUB, MUL, DIV, NEG, RELU = Add(), Sub(), Mul(), Div(), Neg(), Relu()


def add(a, b, *, alpha=1):
    """a + alpha * b"""
    return ADD(*promote(a, b if alpha == 1 else b * alpha))


def sub(a, b, *, alpha=1):
    """a - alpha * b"""
    return SUB(*promote(a, b if alpha == 1 else b * alpha))


def mul(a, b):
    """a * b"""
    return MUL(*promote(a, b))


def div(a, b, *, rounding_mode=None):
    """a / b; integers become float32 first. rounding_mode "floor" and "trunc" (towards 0) give
    whole numbers in the operands' dtype.
    """
    if rounding_mode is None:
        return DIV(*promote(a, b, floating=True))
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f"expected rounding_mode None, 'floor' or 'trunc', got {rounding_mode!r}")
    whole = floor_divide(a, b)
    if rounding_mode == "floor":
        return whole
    if whole.dtype.kind == "f":
        return trunc(div(a, b))
    return whole + ((whole < 0) & (whole * b != a))


def floor_divide(a, b):
    """floor(a / b), as Python's //; the gradient is zero."""
    return FloorDivide()(*promote(a, b))


def remainder(a, b):
    """a - floor(a / b) * b, with the sign of b, as Python's %."""
    return Remainder()(*promote(a, b))


def pow(a, b):
    """a ** b."""
    return Pow()(*promote(a, b))


def neg(x):
    """-x"""
    return NEG(x)


def abs_(x):
    """|x|; at 0 the gradient is 0."""
    return Abs()(x)


def relu(input):
    """max(x, 0)."""
    return RELU(input)


def leaky_relu(input, negative_slope=0.01):
    """x where positive, negative_slope * x elsewhere."""
    return LeakyRelu(negative_slope)(input)


def clamp(x, min=None, max=None):
    """x held between min and max, two numbers or two Tensors that broadcast."""
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise ValueError("clamp expects min, max or both, got neither")
    if not any(isinstance(bound, Tensor) for bound in bounds):
        x = astype(x, result_type(x, *bounds))
        return Clamp(*(None if bound is None else x.dtype.type(bound) for bound in (min, max)))(x)
    if min is not None:
        x = where(x < min, min, x)
    return x if max is None else where(x > max, max, x)


def maximum(a, b):
    """The larger of two; where they are equal each gets half the gradient."""
    return Maximum()(*promote(a, b))


def minimum(a, b):
    """The smaller of two; where they are equal each gets half the gradient."""
    return Minimum()(*promote(a, b))


def where(condition, a, b):
    """a where the boolean tensor `condition` is true, b elsewhere."""
    if must_be_tensor("condition", condition).dtype.kind != "b":
        raise TypeError(
            f"expected a boolean condition, got {condition.dtype}: compare first, as in x > 0"
        )
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = as_tensor(a, condition, result_type(a, b))
    return Where(condition.data.copy())(*promote(a, b))  # its own: the mask may be overwritten


def lerp(a, b, weight):
    """a + weight * (b - a)"""
    return a + weight * (b - a)


def _without_gradient(name):
    """A binary function of Python's operator module whose result is boolean or integer."""

    def apply(a, b):
        a, b = promote(a, b)
        found = getattr(operator, "__" + name.removeprefix("bitwise_") + "__")(a.data, b.data)
        return Tensor(array_module(a.data, b.data).asarray(found))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"Elementwise {name}; no gradient."
    return apply


eq, ne, lt, le, gt, ge = map(_without_gradient, ("eq", "ne", "lt", "le", "gt", "ge"))
bitwise_and, bitwise_or, bitwise_xor = map(
    _without_gradient, ("bitwise_and", "bitwise_or", "bitwise_xor")
)


def logical_and(a, b):
    """Whether both are true (not zero)."""
    return (a != 0) & (b != 0)


def logical_or(a, b):
    """Whether at least one is true (not zero)."""
    return (a != 0) | (b != 0)


def logical_xor(a, b):
    """Whether exactly one is true (not zero)."""
    return (a != 0) ^ (b != 0)


def logical_not(x):
    """Whether it is false (zero)."""
    return x == 0


def bitwise_not(x):
    """~x: not for booleans, all bits flipped for integers."""
    return Tensor(array_module(x.data).asarray(~x.data))
