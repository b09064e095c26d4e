"""The table of a network's layers, against numbers worked out by hand."""

from math import prod

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
import tinydeconv.nn.functional as F
from tinydeconv import nn
from tinydeconv.models.denoiser import Denoiser


def numbers(found):
    return [(row.name, row.parameters, row.multiply_adds) for row in found.rows]


def test_one_convolution():
    found = nn.summary(nn.Conv2d(3, 16, 3, padding=1), (1, 3, 32, 32))
    (row,) = found.rows
    assert row == ("", "Conv2d", (1, 16, 32, 32), 448, 442_368)
    assert (found.parameters, found.multiply_adds) == (448, 442_368)
    assert str(found) == repr(found)
    assert str(found).splitlines() == [
        "name   type    output shape     parameters  multiply-adds",
        "       Conv2d  (1, 16, 32, 32)         448        442,368",
        "total                                  448        442,368",
    ]


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(5, 7), (3, 5), 3 * 5 * 7),
        (nn.Linear(5, 7), (3, 2, 5), 3 * 2 * 5 * 7),
        (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 9), 2 * 6 * 4 * 2 * 3),
        (nn.Conv3d(1, 2, (1, 2, 3)), (1, 1, 3, 3, 3), 2 * 3 * 2 * 1 * 6),
        (nn.Conv2d(3, 2, 3), (3, 5, 5), 2 * 3 * 3 * 3 * 9),
        (nn.ConvTranspose2d(3, 8, 4, 2, 1), (2, 3, 5, 6), 2 * 3 * 5 * 6 * 8 * 16),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), (1, 4, 5, 5), 4 * 25 * 3 * 9),
        (nn.ReLU(), (1, 4, 5, 5), 0),
        (nn.Conv2d(1, 1, 3), (0, 1, 5, 5), 0),
    ],
)
def test_multiply_adds_of_layers(layer, shape, expected):
    found = nn.summary(layer, shape)
    assert found.multiply_adds == expected
    assert found.parameters == sum(prod(p.shape) for p in layer.parameters())
    assert [row.output_shape for row in found.rows] == [layer(td.zeros(shape)).shape]


class Block(nn.Module):
    """Layers, a Parameter of its own, functional calls before, between and after the layers."""

    def __init__(self):
        self.scale = nn.Parameter(np.ones((2, 2), np.float32))
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.unused = nn.Linear(9, 9)
        self.inner = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        x = x @ self.scale  # 2 * 8 rows by 2 by 2
        y = self.first(x)
        y = F.conv2d(y, td.ones(4, 1, 3, 3), groups=4, padding=1)
        return self.inner(self.norm(y)) + x


def test_rows_leave_out_what_others_have_counted():
    found = nn.summary(Block(), (1, 2, 8, 2))
    assert numbers(found) == [
        ("first", 4 * 2 * 9 + 4, 4 * 2 * 9 * 16),
        ("norm", 8, 0),
        ("inner.0", 0, 0),
        ("inner.1", 4 * 2 + 2, 4 * 2 * 16),
        # its own: the Parameter and the layer that nobody calls; the functional calls
        ("", 4 + 90, 16 * 2 * 2 + 4 * 9 * 16),
    ]
    assert found.parameters == sum(row.parameters for row in found.rows)
    assert found.multiply_adds == sum(row.multiply_adds for row in found.rows)
    types = [row.type for row in found.rows]
    assert types == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d", "Block"]


def test_a_shared_layer_has_a_row_for_each_call_and_counts_once():
    layer = nn.Linear(4, 4)
    tied = nn.Linear(4, 4)
    tied.weight = layer.weight
    found = nn.summary(nn.Sequential(layer, nn.Tanh(), layer, tied), (2, 4))
    assert numbers(found) == [("0", 20, 32), ("1", 0, 0), ("0", 0, 32), ("3", 4, 32)]
    assert (found.parameters, found.multiply_adds) == (24, 96)


def test_weights_that_are_computed_belong_to_their_layer():
    plain = nn.summary(nn.Linear(4, 3), (2, 4))
    found = nn.summary(nn.utils.weight_norm(nn.Linear(4, 3)), (2, 4))
    assert numbers(found) == [("", plain.parameters + 3, plain.multiply_adds)]


class Two(nn.Module):
    def __init__(self):
        self.table = nn.Linear(3, 2)

    def forward(self, x, y):
        return self.table(x), {"y": [self.table(y)]}


def test_several_inputs_and_outputs():
    found = nn.summary(Two(), [(4, 3), (5, 3)])
    assert numbers(found) == [("table", 8, 24), ("table", 0, 30)]
    both = nn.summary(nn.ModuleList([Two()])[0].table, (1, 3))
    assert both.rows[0].output_shape == (1, 2)

    class Named(Two):
        """With a Parameter of its own it has a row."""

        def __init__(self):
            super().__init__()
            self.own = nn.Parameter(np.ones(1, np.float32))

    assert nn.summary(Named(), [(4, 3), (5, 3)]).rows[-1].output_shape == ((4, 2), (5, 2))


def test_a_real_network():
    """Pixels, channels in and out, taps; a transposed convolution's pixels are its input's."""
    found = nn.summary(Denoiser(channels=(16, 24, 48)), [(1, 1, 16, 16), (1,)])
    layers = {
        "first": (256, 2, 16, 9),
        "down.0": (64, 16, 24, 16),
        "down.1": (16, 24, 48, 16),
        "middle": (16, 48, 48, 9),
        "up.0": (16, 48, 24, 16),
        "up.1": (64, 24, 16, 16),
        "last": (256, 16, 1, 9),
    }
    assert numbers(found) == [
        (name, a * b * taps + b, pixels * a * b * taps)
        for name, (pixels, a, b, taps) in layers.items()
    ]
    assert str(found).splitlines()[-1].split() == ["total", "70,497", "1,818,624"]


# ---------------------------------------------------------------- the model stays as it was


class Tracking(Block):
    """Overwrites a Buffer in every mode, and keeps what it computed last."""

    def __init__(self):
        super().__init__()
        self.count = nn.Buffer(np.zeros(()))
        self.last = None

    def forward(self, x):
        self.count.data = self.count.data + 1
        self.last = super().forward(x)
        return self.last


def test_the_model_stays_as_it_was():
    model, seen = Tracking(), []
    model.norm.eval()
    model.first.requires_grad_(False)
    model.inner.register_forward_hook(lambda *call: seen.append(call))
    y = model(td.randn(1, 2, 8, 2))
    y.sum().backward(retain_graph=True)
    state = {name: value.data for name, value in model.state_dict().items()}
    before = [(m, m.training, dict(vars(m))) for m in model.modules()]
    gradients = [(p, p.requires_grad, p.grad) for p in model.parameters()]
    nn.summary(model, (1, 2, 8, 2))
    assert len(seen) == 2
    for module, training, attributes in before:
        assert module.training is training and list(vars(module)) == list(attributes)
        assert all(vars(module)[name] is value for name, value in attributes.items())
    for p, requires_grad, grad in gradients:
        assert p.requires_grad == requires_grad and p.grad is grad
    for name, value in model.state_dict().items():
        assert value.data is state[name]
    y.sum().backward()  # its graph is not stale


def test_it_runs_in_eval_mode():
    assert nn.summary(nn.BatchNorm1d(3), (1, 3)).parameters == 6  # one value a channel
    model, before = nn.Dropout(0.5), td.get_rng_state()
    nn.summary(model, (1, 2))
    assert td.get_rng_state() == before


def test_after_an_error_too():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 1, 3))
    before = [dict(vars(m)) for m in model.modules()]
    with refused(ValueError, "BatchNorm2d(3)", "(1, 4, 8, 8)"):
        nn.summary(model, (1, 4, 8, 8))
    assert [dict(vars(m)) for m in model.modules()] == before and model.training


@pytest.mark.parametrize("shape", [3, td.ones(1, 2)])
def test_what_is_no_shape_is_refused(shape):
    with refused(TypeError, "shape", type(shape).__name__):
        nn.summary(nn.Linear(2, 2), shape)


def test_frozen_layers_count_also_under_no_grad():
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1)).requires_grad_(False)
    with td.no_grad():
        assert nn.summary(model, (1, 3)).multiply_adds == 8
    assert not any(p.requires_grad for p in model.parameters())


def test_other_dtypes():
    assert nn.summary(nn.Linear(3, 2).double(), (1, 3), dtype=td.float64).multiply_adds == 6

    class Looked(nn.Module):
        def __init__(self):
            self.table = nn.Parameter(np.ones((5, 3), np.float32))

        def forward(self, indices):
            return self.table[indices] @ self.table.T

    for model in (Looked(), Looked().requires_grad_(False)):
        found = nn.summary(model, (4,), dtype=td.int64)
        assert numbers(found) == [("", 15, 4 * 3 * 5)]


def test_on_a_gpu(cupy):
    assert nn.summary(nn.Conv2d(1, 2, 3).cuda(), (1, 1, 3, 3)).multiply_adds == 18
