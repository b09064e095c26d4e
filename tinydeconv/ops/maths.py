"""Functions of one variable. Integers become float32 first; what rounds has the gradient zero."""

import math

import numpy as np
from numpy.polynomial import chebyshev

from ..backend import array_module
from ..engine import Op
from ..tensor import Tensor
from .promotion import as_floating


class Function(Op):
    """A function of one variable that the array modules have by the same name."""

    keeps = ("inputs",)

    def forward(self, x):
        return getattr(array_module(x), self.name.lower())(x)


class Exp(Function):
    """e to the power of x."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return g * y


class Expm1(Function):
    """exp(x) - 1, exact near 0."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return g * (y + 1)


class Log(Function):
    """The natural logarithm."""

    def backward(self, g, y, x, needs):
        return g / x


class Log1p(Function):
    """log(1 + x), exact near 0."""

    def backward(self, g, y, x, needs):
        return g / (x + 1)


class Sqrt(Function):
    """The square root."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return g / (2 * y)


class Sin(Function):
    """The sine of an angle in radians."""

    def backward(self, g, y, x, needs):
        return g * cos(x)


class Cos(Function):
    """The cosine of an angle in radians."""

    def backward(self, g, y, x, needs):
        return -g * sin(x)


class Arcsin(Function):
    """The angle, in radians, of which x is the sine."""

    def backward(self, g, y, x, needs):
        return g / sqrt(1 - x * x)


class Arctan(Function):
    """The angle, in radians, of which x is the tangent."""

    def backward(self, g, y, x, needs):
        return g / (1 + x * x)


class Tanh(Function):
    """The hyperbolic tangent."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return g * (1 - y * y)


class Sigmoid(Op):
    """1 / (1 + exp(-x))"""

    keeps = ("output",)

    def forward(self, x):
        xp = array_module(x)
        e = xp.exp(-abs(x))  # of |x| alone, so that nothing overflows
        return xp.where(x < 0, e, xp.ones_like(e)) / (1 + e)

    def backward(self, g, y, x, needs):
        return g * y * (1 - y)


class Softplus(Op):
    """log(1 + exp(x)), without overflow."""

    keeps = ("inputs",)

    def forward(self, x):
        xp = array_module(x)
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))

    def backward(self, g, y, x, needs):
        return g * sigmoid(x)


class Erf(Op):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, to rounding.

    With t = 2 / (2 + |x|) the function log(erfc(|x|) / t) + x^2 is so smooth that a polynomial
    gives it (Press et al., Numerical Recipes, 6.2.2); it is fitted to Python's own erfc below.
    """

    keeps = ("inputs",)

    def forward(self, x):
        xp = array_module(x)
        z = xp.minimum(abs(x), 6)  # from there on, erf is 1
        t = 2 / (2 + z)
        s = (2 * t - (1 + T_MIN)) / (1 - T_MIN)  # in [-1, 1]
        *lower, highest = POLYNOMIALS[x.itemsize == 8]
        p = xp.full_like(x, highest)
        for c in reversed(lower):  # Horner's rule
            p *= s
            p += c
        return xp.copysign(1 - t * xp.exp(p - z * z), x)

    def backward(self, g, y, x, needs):
        return g * exp(-x * x) * (2 / math.sqrt(math.pi))


T_MIN = 2 / (2 + 6)


def _smooth(s):
    t = ((1 - T_MIN) * s + 1 + T_MIN) / 2
    return math.log(math.erfc(2 / t - 2) / t) + (2 / t - 2) ** 2


# For float32 and for float64: interpolated at Chebyshev's points, in powers of s.
POLYNOMIALS = [
    chebyshev.cheb2poly(chebyshev.chebinterpolate(np.vectorize(_smooth), degree)).tolist()
    for degree in (9, 19)
]


class Sign(Op):
    """-1, 0 or 1; its derivative is zero wherever there is one."""

    keeps = ()

    def forward(self, x):
        xp = array_module(x)
        return xp.where(x == x, xp.sign(x), x.dtype.type(0))  # of a NaN 0, as in PyTorch

    def backward(self, g, y, x, needs):
        return None


class Rounding(Op):
    """A whole number: floor, ceil, trunc or rint; the derivative is zero wherever there is one."""

    keeps = ()

    def __init__(self, how):
        self.how = how

    def forward(self, x):
        return getattr(array_module(x), self.how)(x) if x.dtype.kind == "f" else x.copy()

    def backward(self, g, y, x, needs):
        return None


# ---------------------------------------------------------------- the functions that people call


def _function(op, name=None):
    """The function of Tensors that applies an op of one variable."""

    def apply(input):
        return op()(as_floating(input))

    apply.__name__ = apply.__qualname__ = name or op.__name__.lower()
    apply.__doc__ = op.__doc__
    return apply


exp, expm1, log, log1p, sqrt = map(_function, (Exp, Expm1, Log, Log1p, Sqrt))
sin, cos, tanh, sigmoid, erf = map(_function, (Sin, Cos, Tanh, Sigmoid, Erf))
asin, atan, softplus = _function(Arcsin, "asin"), _function(Arctan, "atan"), _function(Softplus)


def acos(input):
    """The angle, in radians, of which x is the cosine."""
    return math.pi / 2 - asin(input)


def tan(input):
    """The tangent of an angle in radians."""
    return sin(input) / cos(input)


def sinh(input):
    """The hyperbolic sine."""
    x = as_floating(input)
    return (expm1(x) - expm1(-x)) / 2


def cosh(input):
    """The hyperbolic cosine."""
    x = as_floating(input)
    return (exp(x) + exp(-x)) / 2


def log2(input):
    """The logarithm to base 2."""
    return log(input) / math.log(2)


def log10(input):
    """The logarithm to base 10."""
    return log(input) / math.log(10)


def rsqrt(input):
    """1 / sqrt(x)"""
    return 1 / sqrt(input)


def reciprocal(input):
    """1 / x"""
    return 1 / input


def square(input):
    """x * x"""
    return input * input


def sign(input):
    """-1, 0 or 1; the gradient is zero."""
    return Sign()(input)


def floor(input):
    """The next whole number below; the gradient is zero."""
    return Rounding("floor")(input)


def ceil(input):
    """The next whole number above; the gradient is zero."""
    return Rounding("ceil")(input)


def trunc(input):
    """Without the digits after the point; the gradient is zero."""
    return Rounding("trunc")(input)


def round(input, *, decimals=0):
    """To so many digits after the point, halves to the even one; the gradient is zero."""
    if decimals < 0:
        return Rounding("rint")(input / 10.0**-decimals) * 10.0**-decimals
    if decimals:
        return Rounding("rint")(input * 10.0**decimals) / 10.0**decimals
    return Rounding("rint")(input)


def _test(name):
    """A question about each number, as a function of Tensors."""

    def apply(input):
        xp = array_module(input.data)
        return Tensor(xp.asarray(getattr(xp, name)(input.data)))

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"Whether each number is {name[2:]}."
    return apply


isnan, isinf, isfinite = map(_test, ("isnan", "isinf", "isfinite"))
