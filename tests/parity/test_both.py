"""The comparison itself: what it must refuse."""

import numpy as np
import pytest
import torch
from both import agree, numbers, same

X = numbers(2, 3)


def test_equal_computations_agree():
    agree(lambda x: (x * x).exp(), lambda x: (x * x).exp(), [X])


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        (lambda x: x.sin() * (1 + 1e-10), "result 0 of order 0"),
        (lambda x: x.sin().float(), "float32 instead of float64"),
        (lambda x: x.sin().reshape(3, 2), r"\(3, 2\) instead of \(2, 3\)"),
        (lambda x: (x.sin(), x), "one library gives result 1"),
        (lambda x: x.sin().detach(), "result 0 of order 1"),
        (lambda x: 2 * x.sin() - x.sin().detach(), "result 0 of order 1"),
        (lambda x: x.sin() + _gradient_not_differentiable(x), "of order 2"),
    ],
)
def test_differences_are_seen(wrong, where):
    with pytest.raises(AssertionError, match=where):
        agree(wrong, lambda x: x.sin(), [X])


def _gradient_not_differentiable(x):
    """0, with gradient and second derivative 0 - but (x - x.detach())**2 has a second one of 2."""
    rest = x - x.detach()
    return rest * rest


def test_an_overwritten_input_is_seen():
    def overwriting(x):
        y = x * 1.0
        x.detach().data[0] = 7.0
        return y

    with pytest.raises(AssertionError, match="input 0 afterwards"):
        agree(overwriting, lambda x: x * 1.0, [X], order=0)


@pytest.mark.parametrize(
    ("mine", "other"), [([np.nan], [0.0]), ([np.inf], [-np.inf]), ([0.0], [np.nan])]
)
def test_infinities_and_nans_must_match(mine, other):
    with pytest.raises(AssertionError):
        same(torch.tensor(mine), torch.tensor(other))
    same(torch.tensor(mine), torch.tensor(mine))


def test_none_is_a_gradient_of_zeros():
    same(None, torch.zeros(3))
    same(torch.zeros(3), None)
    with pytest.raises(AssertionError, match="zeros"):
        same(None, torch.ones(3))
