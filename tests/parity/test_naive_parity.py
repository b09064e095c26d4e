"""The naive reference of the tests against PyTorch: what all other tests lean on."""

import itertools
import math

import naive
import numpy as np
import pytest
import torch
from both import numbers

F = torch.nn.functional
T = torch.from_numpy
SIZES = {1: (9,), 2: (7, 6), 3: (5, 3, 4)}


def close(mine, theirs, tolerance=1e-12):
    assert mine.shape == tuple(theirs.shape)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)


def of(name, axes):
    return getattr(F, f"{name}{axes}d")


@pytest.mark.parametrize("axes", SIZES)
def test_convolutions(axes):
    for k, s, p, d, g in itertools.product((2, 3), (1, 3), (0, 1), (1, 2), (1, 2)):
        kernel = (k, k - 1, 1)[:axes]
        x, w, b = numbers(1, 4, *SIZES[axes]), numbers(6, 4 // g, *kernel), numbers(6)
        options = {"stride": s, "padding": p, "dilation": d, "groups": g}
        y = of("conv", axes)(T(x), T(w), T(b), **options)
        close(naive.conv(x, w, b, **options), y)
        y, b = numbers(*y.shape), numbers(4)
        if axes < 3 or d == 1:
            options["output_padding"] = max(s, d) - 1
            x = of("conv_transpose", axes)(T(y), T(w), T(b), **options)
            close(naive.conv_transpose(y, w, b, **options), x)


def test_convolutions_whose_axes_differ():
    x, w = numbers(2, 4, 7, 8), numbers(6, 2, 3, 2)
    options = {"stride": (2, 3), "dilation": (1, 2), "groups": 2}
    plain = F.conv2d(T(x), T(w), padding=(1, 0), **options)
    close(naive.conv(x, w, padding=(1, 0), **options), plain)
    padded = F.conv2d(F.pad(T(x), (0, 3, 1, 2)), T(w), **options)
    close(naive.conv(x, w, padding=((1, 2), (0, 3)), **options), padded)
    y = numbers(2, 6, 3, 4)
    full = F.conv_transpose2d(T(y), T(w), **options)
    cut = full[:, :, 1:-2, :-3]
    close(naive.conv_transpose(y, w, padding=((1, 2), (0, 3)), **options), cut)
    close(naive.conv(x[:0], w, **options), F.conv2d(T(x[:0]), T(w), **options))
    close(naive.conv_transpose(y[:0], w, **options), full[:0])


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [((2, 3), (1, 2), (0, 1), 1), (3, 2, 1, (2, 1)), ((2, 2), 3, (1, 0), (1, 2))],
)
def test_unfold_and_fold(kernel, stride, padding, dilation):
    x = numbers(2, 3, 7, 8)
    cols = F.unfold(T(x), kernel, dilation, padding, stride)
    close(naive.unfold(x, kernel, stride, padding, dilation), cols)
    cols = numbers(*cols.shape)
    folded = F.fold(T(cols), (7, 8), kernel, dilation, padding, stride)
    close(naive.fold(cols, (7, 8), kernel, stride, padding, dilation), folded)


@pytest.mark.parametrize("axes", (1, 3))
def test_unfold_and_fold_over_other_axes(axes):
    """As a convolution with the identity matrix, and its transpose."""
    kernel = (2, 3, 2)[:axes]
    taps = 2 * math.prod(kernel)
    x, w = numbers(2, 2, *SIZES[axes]), np.eye(taps).reshape(taps, 2, *kernel)
    y = of("conv", axes)(T(x), T(w), stride=2, padding=1)
    close(naive.unfold(x, kernel, 2, 1), y.reshape(2, taps, -1))
    y, extra = numbers(*y.shape), [(n + 2 - k) % 2 for n, k in zip(SIZES[axes], kernel)]
    x = of("conv_transpose", axes)(T(y), T(w), stride=2, padding=1, output_padding=extra)
    close(naive.fold(y.reshape(2, taps, -1), SIZES[axes], kernel, 2, 1), x)


@pytest.mark.parametrize("axes", SIZES)
@pytest.mark.parametrize("ties", [False, True])
def test_pooling(axes, ties):
    x = numbers(2, 2, *SIZES[axes])
    if ties:
        x = np.round(x)
        x.flat[[5, 17]] = -np.inf, np.nan
    for k, s, p, d in itertools.product((2, 3), (None, 1), (0, 1), (1, 2)):
        if d * (k - 1) + 1 > min(SIZES[axes]) + 2 * p:
            continue
        values, indices = of("max_pool", axes)(T(x), k, s, p, d, return_indices=True)
        found = naive.max_pool(x, k, s, p, d)
        np.testing.assert_array_equal(found[0], values)
        np.testing.assert_array_equal(found[1], indices)
        if d == 1 and not ties:
            for counted in (True, False):
                y = of("avg_pool", axes)(T(x), k, s, p, count_include_pad=counted)
                close(naive.avg_pool(x, k, s, p, counted), y)
        if s is None and p == 0 and d == 1 and not ties:
            y = of("max_unpool", axes)(values, indices, k, None, 0, SIZES[axes])
            close(naive.max_unpool(*found, SIZES[axes]), y)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 4, 3), (2, 2, 3, 2, 2)])
def test_normalisation_and_losses(shape):
    x, channels = numbers(*shape) * 3 + 1, shape[1]
    w, b, mean = numbers(3, channels)
    var = numbers(channels, seed=1) ** 2 + 0.5
    for training in (True, False):
        new_mean, new_var = T(mean.copy()), T(var.copy())
        y = F.batch_norm(T(x), new_mean, new_var, T(w), T(b), training, 0.3, 1e-3)
        found = naive.batch_norm(x, w, b, mean, var, training, 0.3, 1e-3)
        for a, c in zip(found, (y, new_mean, new_var)):
            close(a, c)
    t = np.random.default_rng(0).integers(0, channels, (shape[0], *shape[2:]))
    for mine, theirs, scale, target in (
        (naive.cross_entropy, F.cross_entropy, 50, t),
        (naive.bce_with_logits, F.binary_cross_entropy_with_logits, 300, abs(np.sin(x))),
        (naive.mse, F.mse_loss, 1, np.sin(x)),
        (naive.l1, F.l1_loss, 1, np.sin(x)),
    ):
        close(np.asarray(mine(x * scale, target)), theirs(T(x * scale), T(target)), 1e-11)
    for axis in range(-1, len(shape)):
        close(naive.logsumexp(x * 300, axis), torch.logsumexp(T(x * 300), axis), 1e-11)
        close(naive.softmax(x * 30, axis), torch.softmax(T(x * 30), axis))


@pytest.mark.parametrize(
    ("a", "b"),
    [((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
     ((3,), (5, 3, 2)), ((5, 2, 3), (3,)), ((1, 2, 0), (4, 0, 3)), ((0, 2, 3), (3, 2))],
)  # fmt: skip
def test_matmul(a, b):
    a, b = numbers(*a), numbers(*b)
    close(naive.matmul(a, b), T(a) @ T(b))


@pytest.mark.parametrize(
    "options",
    [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1},
     {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    ids=str,
)  # fmt: skip
def test_sgd(options):
    p = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    optimiser, mine, velocity = torch.optim.SGD([p], **options), 0.7, None
    for step in range(5):
        p.grad = torch.tensor(math.sin(3 * step + 1), dtype=torch.float64)
        optimiser.step()
        mine, velocity = naive.sgd_step(mine, math.sin(3 * step + 1), velocity, **options)
        assert mine == pytest.approx(p.item(), rel=1e-13)


@pytest.mark.parametrize(
    "options", [{}, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}], ids=str
)
def test_adam(options):
    p = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    optimiser, mine, m, v = torch.optim.Adam([p], **options), 0.7, 0.0, 0.0
    for step in range(5):
        p.grad = torch.tensor(math.sin(3 * step + 1), dtype=torch.float64)
        optimiser.step()
        mine, m, v = naive.adam_step(mine, math.sin(3 * step + 1), m, v, step + 1, **options)
        assert mine == pytest.approx(p.item(), rel=1e-13)
