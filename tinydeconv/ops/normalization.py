"""Normalisation: numbers that belong together brought to mean 0 and variance 1."""

from math import prod

from ..backend import array_module
from ..engine import Op
from ..kernels.pieces import spread, sums
from .formulas import fused, fused_sums, recorded


class Normalize(Op):
    """(x - mean) / sqrt(var + eps) * w + b; the mean and the biased variance are those over some
    axes, along which w and b have size 1.

    The forward leaves the two behind, as arrays `mean` and `var` with size 1 along the axes.
    """

    keeps = ("inputs",)
    broadcasts = True

    def __init__(self, axes, eps):
        self.axes, self.eps = axes, eps

    def forward(self, x, w, b):
        self.count = max(prod(x.shape[d] for d in self.axes), 1)  # without numbers, the mean is 0
        (total,) = sums(lambda x: (x,), self.axes, x)
        self.mean = total / self.count
        (total,) = sums(lambda x, mean: (_squared(x - mean),), self.axes, x, self.mean)
        self.var = total / self.count
        self.scale = 1 / array_module(x).sqrt(self.var + self.eps)
        affine = x, self.mean, self.scale * w, b
        return spread(lambda x, mean, scale, b: (x - mean) * scale + b, *affine)

    def backward(self, g, y, x, w, b, needs):
        mean, scale = self._statistics(x)
        sum_g, sum_gx = fused_sums(
            lambda m, g, x, mean: (g, g * (x - mean)), self.axes, g, x, mean
        )
        gx = None
        if needs[0]:  # mean and variance follow x (Ioffe & Szegedy 2015, section 3)
            shift, turn = sum_g / self.count, sum_gx * _squared(scale) / self.count
            gx = fused(
                lambda m, g, x, mean, shift, turn, slope: (g - shift - (x - mean) * turn) * slope,
                *(g, x, mean, shift, turn, scale * w),
            )
        return gx, sum_gx * scale, sum_g

    def _statistics(self, x):
        """The mean and 1 / sqrt(var + eps): what the forward found, where that can be a constant."""
        if not recorded(x):
            return x.wrap(self.mean), x.wrap(self.scale)
        mean = x.sum(self.axes, keepdim=True) / self.count
        var = _squared(x - mean).sum(self.axes, keepdim=True) / self.count
        return mean, (var + self.eps).rsqrt()


class MultiplyAdd(Op):
    """a * b + c"""

    keeps = ("inputs",)
    broadcasts = True

    def forward(self, a, b, c):
        return spread(lambda a, b, c: a * b + c, a, b, c)

    def backward(self, g, y, a, b, c, needs):
        return g * b if needs[0] else None, g * a if needs[1] else None, g


def _squared(x):
    return x * x
