"""Formulas in one pass: how a backward that is made of several operations gets fast.

A formula is a function of a module and of what it is applied to, such as

    lambda m, g, x: g * m.exp(-x * x)

With NumPy or CuPy for the module it is computed on arrays, in one pass over their memory. With
Tensor for it, and Tensors, it is computed op by op, and can be differentiated, to any order.
"""

from functools import partial

from ..backend import array_module
from ..engine import SILENCE, Op, is_grad_enabled
from ..kernels import by_kernel, pieces
from ..tensor import Tensor


class Formula(Op):
    """A formula on arrays, elementwise but for the axes `whole`; kernel: see in_one_pass."""

    whole: tuple = ()

    def __init__(self, formula, whole=(), kernel=()):
        self.formula, self.whole, self.kernel = formula, whole, kernel

    def forward(self, *arrays):
        formula = partial(self.formula, array_module(*arrays))
        if self.whole:
            return pieces.each(formula, *arrays, whole=self.whole)
        return in_one_pass(formula, *arrays, kernel=self.kernel)


class Curve(Formula):
    """A function of one variable, whose gradient is slope(m, g, x).

    On a GPU a kernel does the same, if one is named, and that with _grad behind its name the slope.
    """

    keeps = ("inputs",)

    def __init__(self, formula, slope, kernel=""):
        super().__init__(formula, kernel=(kernel,) if kernel else ())
        self.slope = slope

    def backward(self, g, y, x, needs):
        return fused(self.slope, g, x, kernel=tuple(f"{name}_grad" for name in self.kernel))


class Step(Op):
    """1 where test(x) holds, 0 elsewhere; the derivative is zero."""

    keeps = ()

    def __init__(self, test):
        self.test = test

    def forward(self, x):
        return self.test(x).astype(x.dtype)

    def backward(self, g, y, x, needs):
        return None


def step(m, test, x):
    """1 where test(x) holds, 0 elsewhere, in a formula: a comparison alone would forget x."""
    return Step(test)(x) if m is Tensor else test(x).astype(x.dtype)


def recorded(*tensors):
    """Whether what is made of these Tensors now can be differentiated."""
    return is_grad_enabled() and any(x.requires_grad for x in tensors)


def in_one_pass(formula, *arrays, kernel=()):
    """formula(*arrays), elementwise. On a GPU one pass takes a kernel that does the same: `kernel`
    is its name in kernels/cuda/activations.cu, and what numbers it needs.
    """
    found = by_kernel("elementwise", kernel, *arrays) if kernel else None
    return pieces.spread(formula, *arrays) if found is None else found


def fused(formula, *tensors, whole=(), kernel=()):
    """formula(Tensor, *tensors), in one pass where it is not recorded. It must be elementwise, but
    for the axes `whole`; kernel: see in_one_pass.
    """
    if recorded(*tensors):
        return formula(Tensor, *tensors)
    return Formula(formula, whole, kernel)(*tensors)


def total(m, x, axis):
    """The sum along an axis, which stays with size 1, in a formula."""
    return x.sum(axis, keepdim=True) if m is Tensor else x.sum(axis, keepdims=True)


def fused_sums(formula, axes, *tensors):
    """The sums over axes, which stay with size 1, of the tuple formula(Tensor, *tensors), likewise
    in one pass.
    """
    if recorded(*tensors):
        return [z.sum(axes, keepdim=True) for z in formula(Tensor, *tensors)]
    arrays = [x.data for x in tensors]
    formula = partial(formula, array_module(*arrays))
    return [tensors[0].wrap(z) for z in SILENCE.copy().run(pieces.sums, formula, axes, *arrays)]
