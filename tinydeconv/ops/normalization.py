"""Normalisation: numbers that belong together brought to mean 0 and variance 1."""

from math import prod

from ..backend import array_module
from ..engine import Op
from ..kernels import by_kernel
from ..kernels.pieces import moments, spread
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
        self.count = max(prod(x.shape[d] for d in self.axes), 1)
        found = by_kernel("normalize", x, w, b, self.axes, self.eps)
        if found:
            y, self.mean, self.var, self.scale = found
            return y
        self.mean, self.var = moments(x, self.axes)
        self.scale = 1 / array_module(x).sqrt(self.var + self.eps)
        affine = x, self.mean, self.scale * w, b
        return spread(lambda x, mean, scale, b: (x - mean) * scale + b, *affine)

    def backward(self, g, y, x, w, b, needs):
        if not recorded(g, x, w):
            arrays = g.data, x.data, w.data, self.mean, self.scale
            found = by_kernel("normalize_grad", *arrays, needs[0])
            if found:
                return tuple(z if z is None else g.wrap(z) for z in found)
        mean, scale = self._statistics(x)
        sum_g, sum_gx = fused_sums(lambda m, g, x, mean: (g, g * (x - mean)), self.axes, g, x, mean)
        gx = None
        if needs[0]:  # mean and variance follow x (Ioffe & Szegedy 2015, section 3)
            shift, turn = sum_g / self.count, sum_gx * _squared(scale) / self.count
            gx = fused(
                lambda m, g, x, mean, shift, turn, slope: (g - shift - (x - mean) * turn) * slope,
                *(g, x, mean, shift, turn, scale * w),
            )
        return gx, sum_gx * scale, sum_g

    def _statistics(self, x):
        """The mean and 1 / sqrt(var + eps): as the forward found them, where they are constants."""
        if not recorded(x):
            return x.wrap(self.mean), x.wrap(self.scale)
        mean = x.sum(self.axes, keepdim=True) / self.count
        var = _squared(x - mean).sum(self.axes, keepdim=True) / self.count
        return mean, (var + self.eps).rsqrt()


class MultiplyAdd(Op):
    """x * w + b, where w and b have size 1 along some axes, or fewer."""

    keeps = ("inputs",)
    broadcasts = True

    def forward(self, x, w, b):
        return spread(lambda x, w, b: x * w + b, x, w, b)

    def backward(self, g, y, x, w, b, needs):
        gw = None
        if needs[1]:
            shape = (1,) * (x.ndim - w.ndim) + w.shape
            axes = tuple(d for d, (n, m) in enumerate(zip(x.shape, shape)) if n != m)
            gw = fused_sums(lambda m, g, x: (g * x,), axes, g, x)[0] if axes else g * x
        return g * w if needs[0] else None, gw, g


def _squared(x):
    return x * x
