"""The functions td.*, the methods and operators of Tensor, and what they do at ties and kinks.

FUNCTIONS[name] holds computations that call td.name; METHODS and OPERATORS those that are written
differently. Each is the same line of code for both libraries: `m` is tinydeconv or torch.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from both import TOLERANCES, Fixed, agree, numbers, spread

import tinydeconv as td
from tinydeconv import ops


class Case(NamedTuple):
    compute: Any  # (m, *inputs) -> results
    inputs: tuple
    order: int = 2
    theirs: Any = None  # PyTorch's line, where it differs


def positive(*shape):
    return numbers(*shape) ** 2 + 0.3


def integers(*shape, low=-4, high=5, dtype=np.int64):
    return np.random.default_rng(0).integers(low, high, shape).astype(dtype)


def unary(name, *inputs):
    """A function of one tensor, of several shapes, of integers, strided and transposed."""
    cases = [Case(lambda m, x: getattr(m, name)(x), (x,)) for x in inputs]
    x = inputs[0].T
    return [*cases, Case(lambda m, x: getattr(m, name)(x.T[::2]), (x,))]


def binary(name, a, b, **options):
    """A function of two tensors: alike, broadcast, with a number on either side, one of them."""

    def compute(m, a, b):
        return getattr(m, name)(a, b)

    pairs = [(a, b), (a, b[0]), (a[:, :1], b), (a[:0], b[0]), (a, b[0, 0]), (a[None], b)]
    cases = [Case(compute, pair, **options) for pair in pairs]
    cases += [Case(lambda m, a: getattr(m, name)(a, m.tensor(2.5)), (a,), **options)]
    cases += [Case(lambda m, a: getattr(m, name)(a, a), (a,), **options)]
    return [*cases, Case(compute, (a, Fixed(b)), **options)]


def comparison(name):
    a, b = integers(3, 4), integers(4, low=-1, high=2)
    return [
        Case(lambda m, a, b: getattr(m, name)(a, b), (a, b)),
        Case(lambda m, a: getattr(m, name)(a, 1), (a,)),
        Case(lambda m, a: getattr(m, name)(a, 0.5), (np.array([np.nan, 0.5, -np.inf]),)),
    ]


def reduction(name, x=X3, **more):
    """Over everything, one dim, several, kept and dropped."""
    def f(m, *args, **options):
        return getattr(m, name)(*args, **options)

    return [
        Case(lambda m, x: f(m, x), (x,)),
        Case(lambda m, x: f(m, x, 1), (x,)),
        Case(lambda m, x: f(m, x, dim=-1, keepdim=True), (x,)),
        Case(lambda m, x: f(m, x, dim=(0, 2)), (x,)),
        Case(lambda m, x: f(m, x, (0, -2), keepdim=True), (x,)),
    ]
