"""Functions of one variable. Integers become float32 first; what rounds has the gradient zero."""

import math
from functools import partial

import numpy as np
from numpy.polynomial import chebyshev

from ..backend import array_module
from ..engine import Op
from ..kernels.pieces import each, spread
from ..tensor import Tensor
from .formulas import fused, in_one_pass, step
from .promotion import as_floating


class Function(Op):
    """A function of one variable that the array modules have by the same name."""

    keeps = ("inputs",)

    def __init__(self):
        self.function = self.name.lower()

    def forward(self, x):
        return spread(getattr(array_module(x), self.function), x)


class Exp(Function):
    """e to the power of x."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return g * y


class Expm1(Function):
    """exp(x) - 1, exact near 0."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, y: g * (y + 1), g, y)


class Log(Function):
    """The natural logarithm."""

    def backward(self, g, y, x, needs):
        return g / x


class Log1p(Function):
    """log(1 + x), exact near 0."""

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: g / (x + 1), g, x)


class Sqrt(Function):
    """The square root."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, y: g / (2 * y), g, y)


class Sin(Function):
    """The sine of an angle in radians."""

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: g * m.cos(x), g, x)


class Cos(Function):
    """The cosine of an angle in radians."""

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: -g * m.sin(x), g, x)


class Arcsin(Function):
    """The angle, in radians, of which x is the sine."""

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: g / m.sqrt(1 - x * x), g, x)


class Arctan(Function):
    """The angle, in radians, of which x is the tangent."""

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: g / (1 + x * x), g, x)


class Tanh(Function):
    """The hyperbolic tangent."""

    keeps = ("output",)

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, y: g * (1 - y * y), g, y, kernel=("tanh_grad",))


class Sigmoid(Op):
    """1 / (1 + exp(-x))"""

    keeps = ("output",)

    def forward(self, x):
        return in_one_pass(partial(sigmoid_of, array_module(x)), x, kernel=("sigmoid",))

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, y: g * y * (1 - y), g, y, kernel=("sigmoid_grad",))


class Softplus(Op):
    """log(1 + exp(beta * x)) / beta, without overflow; where beta * x is above the threshold, x."""

    keeps = ("inputs",)

    def __init__(self, beta=1.0, threshold=math.inf):
        self.beta, self.threshold = beta, threshold

    def forward(self, x):
        xp = array_module(x)

        def softplus(x):
            z = x * self.beta
            curve = (xp.maximum(z, 0) + xp.log1p(xp.exp(-abs(z)))) / self.beta
            return xp.where(z > self.threshold, x, curve)

        return each(softplus, x)

    def backward(self, g, y, x, needs):
        def slope(m, g, x):
            z = x * self.beta
            line = g * step(m, lambda z: z > self.threshold, z)
            return line + (g - line) * sigmoid_of(m, z)

        return fused(slope, g, x)


class Erf(Op):
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x, to rounding."""

    keeps = ("inputs",)

    def forward(self, x):
        return spread(partial(erf_of, array_module(x)), x)

    def backward(self, g, y, x, needs):
        return fused(lambda m, g, x: g * m.exp(-x * x) * (2 / math.sqrt(math.pi)), g, x)


def sigmoid_of(m, x):
    """The sigmoid in a formula: exp(-x) may be infinite, which derivatives do not forgive."""
    return x.sigmoid() if m is Tensor else 1 / (1 + m.exp(-x))


def erf_of(m, x):
    """The error function in a formula.

    With t = 2 / (2 + |x|) the function log(erfc(|x|) / t) + x^2 is so smooth that a polynomial
    gives it (Press et al., Numerical Recipes, 6.2.2); it is fitted to Python's own erfc below.
    """
    if m is Tensor:
        return x.erf()
    z = m.minimum(abs(x), 6)  # from there on, erf is 1
    t = 2 / (2 + z)
    s = (2 * t - (1 + T_MIN)) / (1 - T_MIN)  # in [-1, 1]
    *lower, p = POLYNOMIALS[x.dtype.itemsize == 8]
    for c in reversed(lower):  # Horner's rule
        p = p * s + c
    return m.copysign(1 - t * m.exp(p - z * z), x)


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
    one = op()  # serves every application, for it keeps nothing

    def apply(input):
        return one(as_floating(input))

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
