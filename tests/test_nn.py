"""Modules, layers, losses, batch norm, first values: against the naive reference and by rule."""

import inspect
import itertools
import math

import naive
import numpy as np
import pytest
from constructed import CONSTRUCTED
from refusals import refused

import tinydeconv as td
import tinydeconv.nn.functional as F
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.nn import init
from tinydeconv.nn.module import Buffer, Module, Parameter


def draw(*shape, seed=0, grad=False):
    numbers = np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))
    return td.tensor(numbers, requires_grad=grad)


def arrays(state):
    return {name: value.data.copy() for name, value in state.items()}


def unchanged(module, before):
    after = module.state_dict()
    assert list(after) == list(before)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name].data, array)


# ---------------------------------------------------------------- the registry


class Block(Module):
    def __init__(self):
        self.first = nn.Linear(2, 3)
        self.shift = Parameter(np.zeros(3, np.float32))
        self.mean = Buffer(np.ones(3, np.float32))
        self.nothing = None
        self.width = 3
        self.last = nn.Sequential(nn.Linear(3, 2, bias=False), nn.ReLU())

    def forward(self, x):
        return self.last(self.first(x) + self.shift - self.mean)


PARAMETERS = ["shift", "first.weight", "first.bias", "last.0.weight"]


def names(pairs):
    return [name for name, _ in pairs]


def test_attributes_are_the_registry():
    block = Block()
    assert names(block.named_parameters()) == PARAMETERS
    assert names(block.named_buffers()) == ["mean"]
    assert names(block.named_children()) == ["first", "last"]
    assert names(block.named_modules()) == ["", "first", "last", "last.0", "last.1"]
    assert list(block.state_dict()) == ["shift", "mean", *PARAMETERS[1:]]
    assert [p.shape for p in block.parameters()] == [(3,), (3, 2), (3,), (2, 3)]
    assert all(p.requires_grad for p in block.parameters())
    assert not any(b.requires_grad for b in block.buffers())
    assert block(td.ones(4, 2)).shape == (4, 2)


def test_what_is_set_or_deleted_later_counts():
    block = Block()
    block.extra = Parameter(np.zeros(1, np.float32))
    block.first = nn.PReLU()
    del block.mean
    assert names(block.named_parameters()) == ["shift", "extra", "first.weight", "last.0.weight"]
    assert names(block.named_buffers()) == []


def test_a_shared_parameter_counts_once_and_has_both_names_in_the_state():
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    tied[1].weight = tied[0].weight
    assert names(tied.named_parameters()) == ["0.weight", "0.bias"]
    assert list(tied.state_dict()) == ["0.weight", "0.bias", "1.weight"]
    x = draw(2, 3).float()
    tied(x).sum().backward()
    assert all(p.grad is not None for p in tied.parameters())

    other = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    other.load_state_dict(tied.state_dict())
    np.testing.assert_array_equal(other(x).detach().data, tied(x).detach().data)
    tied.double()
    assert tied[1].weight is tied[0].weight and tied[1].weight.dtype == td.float64


def test_a_shared_module_counts_once():
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    assert names(twice.named_parameters()) == ["0.weight", "0.bias"]
    assert names(twice.named_modules()) == ["", "0", "1"]
    assert len(twice) == 3 and twice[2] is layer


def test_apply_visits_all_from_inside():
    seen = []
    block = Block()
    assert block.apply(lambda module: seen.append(type(module).__name__)) is block
    assert seen == ["Linear", "Linear", "ReLU", "Sequential", "Block"]


def test_sequential():
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3 and list(model) == layers
    assert model[0] is layers[0] and model[-1] is layers[2]
    assert type(model[1:]) is nn.Sequential and list(model[1:]) == layers[1:]
    assert names(model[1:].named_parameters()) == ["1.weight", "1.bias"]
    x = draw(4, 2).float()
    expected = layers[2](layers[1](layers[0](x)))
    np.testing.assert_array_equal(model(x).detach().data, expected.detach().data)
    with refused(TypeError, "Module", "function"):
        nn.Sequential(nn.Linear(2, 3), F.relu)
    with pytest.raises(IndexError):
        model[3]


def test_module_list():
    layers = nn.ModuleList([nn.Linear(2, 3)])
    assert layers.append(nn.Linear(3, 4)) is layers
    assert len(layers) == 2 and [layer.out_features for layer in layers] == [3, 4]
    assert type(layers[1:]) is nn.ModuleList and layers[1:][0] is layers[-1]
    assert list(layers.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with refused(TypeError, "Module", "Tensor"):
        layers.append(td.ones(2))
    with refused(NotImplementedError, "ModuleList", "forward"):
        layers(td.ones(2))


# ---------------------------------------------------------------- the state


def test_state_dict_shares_memory_and_has_no_graph():
    block = Block()
    state = block.state_dict()
    assert all(not value.requires_grad for value in state.values())
    state["shift"].data[0] = 7.0
    assert block.shift.data[0] == 7.0


def test_load_state_dict_copies():
    block, other = Block(), Block()
    before = arrays(other.state_dict())
    parameters = list(block.parameters())
    block.load_state_dict(other.state_dict())
    unchanged(block, before)
    other.shift.data[:] = 9.0
    unchanged(block, before)
    assert all(a is b for a, b in zip(block.parameters(), parameters, strict=True))
    block.load_state_dict({name: array.copy() for name, array in before.items()})  # plain arrays
    unchanged(block, before)


def changed(**changes):
    """A state for Block, with entries replaced, added, or (None) left out."""
    state = arrays(Block().state_dict()) | {k.replace("__", "."): v for k, v in changes.items()}
    return {name: td.tensor(value) for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (changed(shift=None), ("Block", "lack", "shift")),
        (changed(last__0__weight=None, mean=None), ("lack", "mean", "last.0.weight")),
        (changed(other__bias=np.zeros(1)), ("Block", "unexpected", "other.bias")),
        (changed(shift=None, shifts=np.zeros(3)), ("lack", "shift", "unexpected", "shifts")),
        (changed(first__weight=np.zeros((2, 3), np.float32)), ("first.weight", "(3, 2)", "(2, 3)")),
        (changed(shift=np.zeros(4, np.float32)), ("shift", "(3,)", "(4,)")),
        (changed(mean=np.zeros(3)), ("mean", "float32", "float64")),
        (changed(mean=np.zeros(3, np.int32)), ("mean", "float32", "int32")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_loaded(state, words):
    block = Block()
    before = arrays(block.state_dict())
    with refused(RuntimeError, *words):
        block.load_state_dict(state)
    unchanged(block, before)


def test_of_many_missing_names_five_are_told():
    deep = nn.Sequential(*(nn.Linear(1, 1) for _ in range(9)))
    with refused(RuntimeError, "0.weight", "2.weight", "others"):
        deep.load_state_dict({})


def test_loading_loosely():
    block = Block()
    before = arrays(block.state_dict())
    new = np.full(3, 5.0, np.float32)
    block.load_state_dict({"shift": new, "unknown": np.zeros(7)}, strict=False)
    unchanged(block, before | {"shift": new})
    with refused(RuntimeError, "shift", "(3,)", "(2,)"):
        block.load_state_dict({"shift": np.zeros(2, np.float32)}, strict=False)


def test_loading_makes_older_graphs_stale():
    block = Block()
    loss = block(td.ones(4, 2)).sum()
    block.load_state_dict(Block().state_dict())
    with refused(RuntimeError, "overwritten"):
        loss.backward()


# ---------------------------------------------------------------- modes, dtypes, gradients


def test_train_and_eval_reach_all_modules():
    block = Block()
    assert all(m.training for m in block.modules())
    assert block.eval() is block and not any(m.training for m in block.modules())
    assert block.train() is block and all(m.training for m in block.modules())
    block.last.eval()
    assert [m.training for m in block.modules()] == [True, True, False, False, False]


@pytest.mark.parametrize(
    "convert", [Module.double, lambda m: m.to(td.float64), lambda m: m.to("float64")]
)
def test_a_cast_keeps_each_tensor_itself(convert):
    model = nn.Sequential(nn.Conv1d(2, 3, 2), nn.BatchNorm1d(3))
    tensors = [*model.parameters(), *model.buffers()]
    before = arrays(model.state_dict())
    model(draw(4, 2, 5).float()).sum().backward()
    gradients = [p.grad.data for p in model.parameters()]
    model.load_state_dict(before)
    assert convert(model) is model
    assert all(
        a is b for a, b in zip([*model.parameters(), *model.buffers()], tensors, strict=True)
    )
    dtypes = {name: value.dtype for name, value in model.state_dict().items()}
    assert dtypes.pop("1.num_batches_tracked") == td.int64
    assert set(dtypes.values()) == {np.dtype(np.float64)} and len(dtypes) == 6
    unchanged(model, before)
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert p.requires_grad and p.grad.dtype == td.float64
        np.testing.assert_array_equal(p.grad.data, g)
    assert model(draw(4, 2, 5)).dtype == td.float64
    assert model.float()[0].weight.dtype == td.float32


def test_a_cast_keeps_what_is_frozen_frozen():
    layer = nn.Linear(2, 2).requires_grad_(False)
    assert not any(p.requires_grad for p in layer.double().parameters())
    assert all(p.requires_grad for p in layer.requires_grad_().parameters())


@pytest.mark.parametrize("optimiser", [td.optim.SGD, td.optim.Adam])
def test_an_optimiser_goes_on_after_a_cast(optimiser):
    layer = nn.Linear(2, 1)
    steps = optimiser(layer.parameters(), lr=0.1)
    for cast in (layer.double, layer.float, layer.double):
        cast()
        dtype, before = layer.weight.dtype, layer.weight.data.copy()
        layer.zero_grad()
        layer(td.ones(3, 2, dtype=dtype)).sum().backward()
        steps.step()
        assert layer.weight.dtype == dtype and (layer.weight.data != before).all()


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_a_module_cannot_become_integers(dtype):
    with refused(TypeError, "floating", dtype):
        nn.Linear(2, 2).to(getattr(td, dtype))


def test_an_unknown_device_or_dtype_is_refused():
    with refused(ValueError, "cuda", "float23"):
        nn.Linear(2, 2).to("float23")


def test_zero_grad():
    block = Block()
    block(td.ones(4, 2)).sum().backward()
    assert any(p.grad is not None for p in block.parameters())
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


# ---------------------------------------------------------------- the layers

ALL_LAYERS = {
    name: cls
    for name, cls in vars(nn).items()
    if inspect.isclass(cls) and issubclass(cls, Module)
    and cls not in (Module, nn.Sequential, nn.ModuleList)
}  # fmt: skip


def attributes(layer):
    """All that makes a layer, but the numbers of its weights."""
    return {
        name: (value.shape, value.dtype, type(value)) if isinstance(value, td.Tensor) else value
        for name, value in vars(layer).items()
    }


@pytest.mark.parametrize("text", CONSTRUCTED)
def test_the_repr_makes_an_equal_layer(text):
    layer = eval(text, vars(nn))
    again = eval(repr(layer), vars(nn))
    assert type(again) is type(layer) and attributes(again) == attributes(layer)
    assert repr(again) == repr(layer)


def test_every_layer_and_argument_has_a_repr_case():
    given = {name: set() for name in ALL_LAYERS}
    for text in CONSTRUCTED:
        name = text.partition("(")[0]
        signature = inspect.signature(ALL_LAYERS[name])
        given[name] |= set(eval(text, {name: signature.bind}).arguments)
    for name, cls in ALL_LAYERS.items():
        missing = set(inspect.signature(cls).parameters) - given[name]
        assert missing <= {"init"}, name  # the repr does not tell the numbers of weights


def test_the_repr_of_a_network():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Flatten()))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Linear(2, 3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Flatten(start_dim=1, end_dim=-1)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Conv2d(1, 8, 3)) == "Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1))"


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("batch", [0, 1, 2, None])
def test_convolution_layers(axes, batch):
    """Against the loops, with every argument away from its default."""
    sizes, kernel, stride = (6, 5, 4)[:axes], (3, 2, 1)[:axes], (2, 1, 3)[:axes]
    shape = (4, *sizes) if batch is None else (batch, 4, *sizes)
    conv = getattr(nn, f"Conv{axes}d")(4, 6, kernel, stride, 1, 2, groups=2).double()
    back = getattr(nn, f"ConvTranspose{axes}d")(4, 6, kernel, stride, 1, 1, 2, dilation=2).double()
    x = draw(*shape)
    for layer, loops, options in (
        (conv, naive.conv, {}),
        (back, naive.conv_transpose, {"output_padding": 1}),
    ):
        w, b = layer.weight.detach().data, layer.bias.detach().data
        batched = x.data[None] if batch is None else x.data
        expected = loops(batched, w, b, stride, 1, dilation=2, groups=2, **options)
        y = layer(x).detach().data
        np.testing.assert_allclose(y, expected[0] if batch is None else expected, atol=1e-12)


def test_a_transposed_convolution_can_be_told_its_output_size():
    layer, x = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1), td.ones(1, 2, 4, 5)
    assert layer(x).shape == (1, 3, 7, 9)
    assert layer(x, output_size=(8, 9)).shape == (1, 3, 8, 9)
    with refused(ValueError, 9, "between 7 and 8"):
        layer(x, output_size=(9, 9))


@pytest.mark.parametrize("cls", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"in_channels": 3, "groups": 2}, ("groups", "in_channels", 2, 3)),
        ({"out_channels": 3, "groups": 2}, ("groups", "out_channels", 2, 3)),
        ({"groups": 0}, ("groups", 0)),
        ({"kernel_size": (3, 3, 3)}, ("kernel_size", 2, "(3, 3, 3)")),
        ({"stride": "2"}, ("stride", "'2'")),
        ({"in_channels": 0}, ("in_channels", 1, 0)),
        ({"out_channels": -4}, ("out_channels", 1, -4)),
        ({"in_channels": 2.5}, ("in_channels", 2.5)),
        ({"kernel_size": 0}, ("kernel_size", 1, "(0, 0)")),
        ({"kernel_size": (3, -1)}, ("kernel_size", 1, "(3, -1)")),
        ({"stride": 0}, ("stride", 1, "(0, 0)")),
        ({"dilation": (1, 0)}, ("dilation", 1, "(1, 0)")),
    ],
)
def test_layers_that_cannot_be_are_refused(cls, arguments, words):
    with refused(ValueError, *words):
        cls(**{"in_channels": 4, "out_channels": 4, "kernel_size": 3, **arguments})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(-1, 3), ("in_features", 1, -1)),
        (lambda: nn.Linear(3, 0), ("out_features", 1, 0)),
        (lambda: nn.BatchNorm2d(0), ("num_features", 1, 0)),
        (lambda: nn.PReLU(-2), ("num_parameters", 1, -2)),
    ],
)
def test_layers_of_no_size_are_refused(make, words):
    with refused(ValueError, *words):
        make()


def test_unflatten_refuses():
    with refused(IndexError, 5, "2 dimensions"):
        nn.Unflatten(5, (2, 2))(td.zeros(3, 4))
    with refused(ValueError, "Unflatten", 1, "size 4", "(2, 3)"):
        nn.Unflatten(-1, (2, 3))(td.zeros(3, 4))
    with refused(ValueError, "Unflatten", 1, "size 4", "(-1, 3)"):
        nn.Unflatten(1, (-1, 3))(td.zeros(3, 4))


def test_linear_and_shapes():
    layer = nn.Linear(3, 2).double()
    x = draw(4, 5, 3)
    expected = naive.matmul(x.data, layer.weight.data.T) + layer.bias.data
    np.testing.assert_allclose(layer(x).detach().data, expected, atol=1e-14)
    assert nn.Flatten()(td.ones(2, 3, 4)).shape == (2, 12)
    assert nn.Flatten(0, 1)(td.ones(2, 3, 4)).shape == (6, 4)
    assert nn.Unflatten(1, (3, 2, 2))(td.ones(5, 12)).shape == (5, 3, 2, 2)
    assert nn.Unflatten(-1, (4, -1))(td.ones(5, 12)).shape == (5, 4, 3)


def test_activations():
    x = td.tensor([[-2.0, -0.5, 0.0, 3.0]])
    assert nn.ReLU()(x).tolist() == [[0, 0, 0, 3]]
    assert nn.LeakyReLU(0.5)(x).tolist() == [[-1, -0.25, 0, 3]]
    assert nn.PReLU()(x).tolist() == [[-0.5, -0.125, 0, 3]]
    assert nn.PReLU(4, init=0.5)(x).tolist() == [[-1, -0.25, 0, 3]]
    np.testing.assert_allclose(nn.Tanh()(x).data, np.tanh(x.data), rtol=1e-6)
    np.testing.assert_allclose(nn.Sigmoid()(x).data, 1 / (1 + np.exp(-x.data)), rtol=1e-6)


def test_prelu_has_a_slope_for_each_channel():
    x, w = draw(2, 3, 4), draw(3, seed=1)
    y = F.prelu(x, w).data
    for n, c, i in np.ndindex(*x.shape):
        assert y[n, c, i] == (
            x.data[n, c, i] if x.data[n, c, i] > 0 else w.data[c] * x.data[n, c, i]
        )
    with refused(ValueError, "(1,)", "(2, 3, 4)", "(2,)"):
        F.prelu(x, draw(2))


# ---------------------------------------------------------------- batch norm


@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 5), (2, 3, 4, 3), (2, 3, 2, 3, 2), (2, 3, 1, 1)])
def test_batch_norm(shape):
    """Outputs and running statistics over three batches and in eval, layer and function."""
    axes = max(len(shape) - 2, 1)
    layer = getattr(nn, f"BatchNorm{axes}d")(3, eps=1e-3, momentum=0.3).double()
    layer.weight.data, layer.bias.data = draw(3).data, draw(3, seed=1).data
    mean, var = np.zeros(3), np.ones(3)
    for step, training in enumerate((True, True, True, False)):
        layer.train(training)
        x = draw(*shape, seed=step) * 3 + 2
        expected, mean, var = naive.batch_norm(
            x.data, layer.weight.data, layer.bias.data, mean, var, training, 0.3, 1e-3
        )
        np.testing.assert_allclose(layer(x).detach().data, expected, atol=1e-12)
        np.testing.assert_allclose(layer.running_mean.data, mean, atol=1e-14)
        np.testing.assert_allclose(layer.running_var.data, var, atol=1e-14)
        assert layer.num_batches_tracked.item() == min(step + 1, 3)
        assert layer.num_batches_tracked.dtype == td.int64


def test_the_running_mean_of_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = [draw(7, 2, seed=s) for s in range(4)]
    for x in batches:
        layer(x)
    means, variances = [x.data.mean(0) for x in batches], [x.data.var(0, ddof=1) for x in batches]
    np.testing.assert_allclose(layer.running_mean.data, np.mean(means, 0), atol=1e-14)
    np.testing.assert_allclose(layer.running_var.data, np.mean(variances, 0), atol=1e-14)


def test_without_running_statistics_the_batch_counts_in_eval_too():
    layer = nn.BatchNorm1d(2, track_running_stats=False).double()
    x = draw(7, 2)
    y = layer(x).detach().data
    assert layer.running_mean is layer.running_var is layer.num_batches_tracked is None
    assert list(layer.state_dict()) == ["weight", "bias"]
    np.testing.assert_array_equal(layer.eval()(x).detach().data, y)
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-12)
    with refused(ValueError, "more than one value", "(1, 2)"):
        layer(draw(1, 2))
    with refused(ValueError, "training", "running_mean"):
        F.batch_norm(x)


def test_batch_norm_without_scale_and_shift():
    layer = nn.BatchNorm1d(2, affine=False)
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    assert layer(draw(7, 2).float()).requires_grad is False


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1), (0, 2), (0, 2, 5)])
def test_batch_norm_in_training_needs_two_values_a_channel(shape):
    layer = nn.BatchNorm1d(2)
    with refused(ValueError, "more than one value", shape):
        layer(td.ones(shape))
    assert layer.eval()(td.ones(shape)).shape == shape


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.BatchNorm2d(3), (2, 4, 5, 5), ("BatchNorm2d(3)", 4, 3, "(2, 4, 5, 5)")),
        (nn.BatchNorm2d(3), (2, 3, 5), ("BatchNorm2d(3)", 4, "(2, 3, 5)")),
        (nn.BatchNorm1d(3), (2, 3, 5, 5), ("BatchNorm1d(3)", "2 or 3", "(2, 3, 5, 5)")),
        (nn.BatchNorm3d(3), (3, 2, 2, 2), ("BatchNorm3d(3)", 5, "(3, 2, 2, 2)")),
    ],
)
def test_batch_norm_of_another_shape(layer, shape, words):
    with refused(ValueError, *words):
        layer(td.ones(shape))
    assert layer.num_batches_tracked.item() == 0


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}])
def test_batch_norm_of_another_dtype(options):
    layer = nn.BatchNorm1d(2, **options)
    before = arrays(layer.state_dict())
    for training in (True, False):
        layer.train(training)
        for x, found in ((draw(7, 2), "float64"), (td.ones(7, 2).long(), "int64")):
            with refused(TypeError, found, "float32", ".float()", ".double()"):
                layer(x)
    unchanged(layer, before)


def test_batch_norm_makes_no_float64_of_float32():
    layer = nn.BatchNorm2d(3)
    y = layer(draw(2, 3, 4, 4).float())
    y.sum().backward()
    found = [y, layer.weight.grad, layer.running_mean, layer.running_var]
    assert {t.dtype for t in found} == {np.dtype(np.float32)}


# ---------------------------------------------------------------- gradients

GRADIENTS = {
    "batch_norm": (
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        (draw(4, 3, 2, grad=True), draw(3, grad=True), draw(3, seed=1, grad=True)),
    ),
    "batch_norm that tracks": (
        lambda x: F.batch_norm(x, Buffer(np.zeros(3)), Buffer(np.ones(3)), training=True),
        (draw(4, 3, grad=True),),
    ),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, td.tensor([[0, 2], [1, 1]])),
        (draw(2, 3, 2, grad=True),),
    ),
    "cross_entropy of each": (
        lambda x: F.cross_entropy(x, td.tensor([0, 2]), reduction="none"),
        (draw(2, 3, grad=True),),
    ),
    "bce": (
        F.binary_cross_entropy_with_logits,
        (draw(2, 3, grad=True), td.full((2, 3), 0.3, dtype=td.float64, requires_grad=True)),
    ),
    "mse": (F.mse_loss, (draw(2, 3, grad=True), draw(2, 3, seed=1, grad=True))),
    "l1": (F.l1_loss, (draw(2, 3, grad=True), draw(2, 3, seed=1, grad=True))),
    "prelu": (F.prelu, (draw(2, 3, 2, grad=True), draw(3, grad=True))),
    "prelu of one slope": (F.prelu, (draw(2, 3, grad=True), draw(1, grad=True))),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::tinydeconv.gradcheck.GradcheckWarning")
@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_gradients(name, check):
    function, inputs = GRADIENTS[name]
    report = check(function, inputs, rtol=1e-6, atol=1e-8)
    # the l1 loss has slopes of +-1, and no curvature to be wrong about
    assert report or name == "l1" and check is gradgradcheck


def test_gradients_of_layers_with_parameters():
    for layer, x in (
        (nn.BatchNorm1d(3, track_running_stats=False), draw(4, 3, grad=True)),
        (nn.ConvTranspose1d(2, 3, 3, stride=2), draw(2, 2, 3, grad=True)),
        (nn.PReLU(3), draw(2, 3, grad=True)),
    ):
        assert gradcheck(layer.double(), x)


# ---------------------------------------------------------------- losses


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 5), (2, 3, 2, 2)])
def test_losses(shape):
    x, t = draw(*shape) * 5, draw(*shape, seed=1)
    probability = td.sigmoid(t)
    sites = (shape[0], *shape[2:])
    classes = td.tensor(np.random.default_rng(0).integers(0, shape[1], sites))
    for function, layer, loops, target in (
        (F.mse_loss, nn.MSELoss, naive.mse, t),
        (F.l1_loss, nn.L1Loss, naive.l1, t),
        (
            F.binary_cross_entropy_with_logits,
            nn.BCEWithLogitsLoss,
            naive.bce_with_logits,
            probability,
        ),
        (F.cross_entropy, nn.CrossEntropyLoss, naive.cross_entropy, classes),
    ):
        expected = loops(x.data, target.data)
        assert function(x, target).item() == pytest.approx(expected, rel=1e-13)
        each = function(x, target, reduction="none")
        assert each.shape == target.shape
        assert each.mean().item() == pytest.approx(expected, rel=1e-13)
        total = layer(reduction="sum")(x, target).item()
        assert total == pytest.approx(expected * target.numel(), rel=1e-13)
        assert layer()(x, target).item() == function(x, target).item()


def test_losses_of_large_logits():
    x = td.tensor([[-1000.0, 1000.0], [1000.0, 0.0]])
    assert F.cross_entropy(x, td.tensor([0, 0]), reduction="none").tolist() == [2000, 0]
    each = F.binary_cross_entropy_with_logits(x, td.ones_like(x), reduction="none").tolist()
    assert each == [[1000, 0], [0, pytest.approx(math.log(2))]]
    assert F.cross_entropy(td.tensor([0.0, 0.0]), td.tensor(1)).item() == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: F.mse_loss(td.ones(3, 1), td.ones(3)), ValueError, ("(3, 1)", "(3,)")),
        (lambda: F.l1_loss(td.ones(2), td.ones(3)), ValueError, ("(2,)", "(3,)")),
        (
            lambda: F.mse_loss(td.ones(2), td.ones(2), "avg"),
            ValueError,
            ("'mean'", "'sum'", "'avg'"),
        ),
        (lambda: F.cross_entropy(td.ones(2, 3), td.ones(2)), TypeError, ("integer", "float32")),
        (lambda: F.cross_entropy(td.ones(2, 3), td.tensor([0])), ValueError, ("(2, 3)", "(1,)")),
        (lambda: F.cross_entropy(td.ones(2, 3), td.tensor([0, 3])), IndexError, (3, "0 to 3")),
        (lambda: F.cross_entropy(td.ones(2, 3), td.tensor([-1, 2])), IndexError, (3, "-1 to 2")),
    ],
)
def test_losses_refuse(call, kind, words):
    with refused(kind, *words):
        call()


# ---------------------------------------------------------------- pooling


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), (2, 3, 0)])
def test_pooling(axes, kernel, stride, padding):
    x = draw(2, 3, *(6, 5, 4)[:axes])
    layer = getattr(nn, f"MaxPool{axes}d")(kernel, stride, padding, return_indices=True)
    values, indices = layer(x)
    expected, where = naive.max_pool(x.data, kernel, stride, padding)
    np.testing.assert_array_equal(values.data, expected)
    np.testing.assert_array_equal(indices.data, where)
    for counted in (True, False):
        layer = getattr(nn, f"AvgPool{axes}d")(kernel, stride, padding, count_include_pad=counted)
        expected = naive.avg_pool(x.data, kernel, stride, padding, counted)
        np.testing.assert_allclose(layer(x).data, expected, atol=1e-14)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1)])
def test_unpooling_is_the_adjoint_of_pooling(axes, kernel, stride):
    """<pool(x), y> = <x, unpool(y)>, also where windows overlap; each is the other's gradient."""
    pool, unpool = getattr(nn, f"MaxPool{axes}d"), getattr(nn, f"MaxUnpool{axes}d")
    x = draw(2, 3, *(6, 4, 4)[:axes], grad=True)
    values, indices = pool(kernel, stride, return_indices=True)(x)
    y = draw(*values.shape, seed=1, grad=True)
    image = unpool(kernel, stride)(y, indices, output_size=x.shape)
    np.testing.assert_array_equal(
        image.detach().data, naive.max_unpool(y.data, indices.data, x.shape[2:])
    )
    assert (values * y).sum().item() == pytest.approx((x * image).sum().item(), rel=1e-12)
    (back,) = td.grad((values * y.detach()).sum(), x)
    np.testing.assert_allclose(back.data, image.detach().data, atol=1e-14)
    (picked,) = td.grad((image * x.detach()).sum(), y)
    np.testing.assert_array_equal(picked.data, values.detach().data)


def test_unpooling_to_an_image_too_small_is_refused():
    values, indices = F.max_pool2d(draw(1, 1, 5, 5), 2, return_indices=True)
    with refused(IndexError, "(4, 4)", 15, "output_size"):
        nn.MaxUnpool2d(2)(values, td.full_like(indices, 18))


# ---------------------------------------------------------------- first values

WEIGHT = (60, 40, 3, 5)  # fan in 600, fan out 900
STDS = {
    "uniform_": (lambda w: init.uniform_(w, -1, 3), 4 / math.sqrt(12), "uniform"),
    "normal_": (lambda w: init.normal_(w, 1, 0.2), 0.2, "normal"),
    "kaiming_uniform_": (init.kaiming_uniform_, math.sqrt(2 / 600), "uniform"),
    "kaiming_uniform_ a": (
        lambda w: init.kaiming_uniform_(w, a=math.sqrt(5)), math.sqrt(1 / 3 / 600), "uniform"),
    "kaiming_normal_": (
        lambda w: init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
        math.sqrt(2 / 900), "normal"),
    "kaiming_normal_ tanh": (
        lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), 5 / 3 / math.sqrt(600), "normal"),
    "xavier_uniform_": (init.xavier_uniform_, math.sqrt(2 / 1500), "uniform"),
    "xavier_normal_": (lambda w: init.xavier_normal_(w, 3), 3 * math.sqrt(2 / 1500), "normal"),
}  # fmt: skip


@pytest.mark.parametrize("name", STDS)
def test_distributions(name):
    """36,000 numbers: the standard deviation is known to 0.4 %, the mean to 0.5 % of it."""
    fill, std, kind = STDS[name]
    td.manual_seed(0)
    w = td.zeros(WEIGHT)
    assert fill(w) is w and w.dtype == td.float32
    centre = 1 if name in ("uniform_", "normal_") else 0
    assert w.data.std() == pytest.approx(std, rel=0.02)
    assert abs(w.data.mean() - centre) < 0.03 * std
    furthest = abs(w.data - centre).max() / std
    assert 1.7 < furthest <= 1.7321 if kind == "uniform" else 3.5 < furthest < 6


def test_first_values_of_layers():
    td.manual_seed(0)
    for layer, fan_in in (
        (nn.Linear(100, 300), 100),
        (nn.Conv2d(20, 100, (3, 5), groups=2), 10 * 15),
        (nn.ConvTranspose2d(100, 40, (3, 5), groups=2), 20 * 15),
    ):
        bound = 1 / math.sqrt(fan_in)
        for p, least in ((layer.weight, 0.99), (layer.bias, 0.8)):
            assert least * bound < abs(p.data).max() <= bound
        assert layer.weight.data.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_a_seed_gives_the_same_weights():
    def weights(seed):
        td.manual_seed(seed)
        return arrays(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 4)).state_dict())

    first, again, other = weights(1), weights(1), weights(2)
    assert all((first[k] == again[k]).all() and (first[k] != other[k]).any() for k in first)


def test_constants():
    w = td.zeros(2, 3, dtype=td.float64)
    assert init.constant_(w, 0.5) is w and w.tolist() == [[0.5] * 3] * 2 and w.dtype == td.float64
    assert init.ones_(w).tolist() == [[1] * 3] * 2 and init.zeros_(w).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: init.kaiming_normal_(td.zeros(3)), (2, "(3,)")),
        (lambda: init.xavier_uniform_(td.zeros(3)), (2, "(3,)")),
        (
            lambda: init.kaiming_normal_(td.zeros(3, 3), mode="fan"),
            ("'fan_in'", "'fan_out'", "'fan'"),
        ),
        (lambda: init.kaiming_normal_(td.zeros(3, 3), nonlinearity="gelu"), ("relu", "'gelu'")),
        (lambda: init.bilinear_(td.zeros(5, 2, 4, 4)), ("(5, 2, 4, 4)",)),
        (lambda: init.bilinear_(td.zeros(2, 2)), ("kernel", "(2, 2)")),
        (lambda: init.gaussian_(td.zeros(2)), ("kernel", "(2,)")),
        (lambda: init.bilinear_(td.zeros(2, 0, 3)), ("(2, 0, 3)",)),
    ],
)
def test_init_refuses(call, words):
    with refused(ValueError, *words):
        call()


# ---------------------------------------------------------------- fixed upsamplers


def enlarged(image, axes, kernel, fill, groups=1):
    """The image (N, C, *sizes) through a transposed convolution with that kernel, stride times."""
    channels, stride = image.shape[1], (kernel + 1) // 2
    cls = getattr(nn, f"ConvTranspose{axes}d")
    layer = cls(channels, channels, kernel, stride, kernel // 2 - (kernel % 2 == 0) * (stride // 2),
                groups=groups, bias=False).double()  # fmt: skip
    fill(layer.weight)
    return layer(image).detach().data, stride


def interior(array, axes, margin):
    return array[(..., *(slice(margin, -margin),) * axes)]


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 8])
@pytest.mark.parametrize("fill", [init.bilinear_, init.gaussian_, lambda w: init.gaussian_(w, 0.7)])
def test_a_constant_stays_constant(kernel, fill):
    for axes, groups in itertools.product((1, 2, 3), (1, 2)):
        y, stride = enlarged(td.ones(1, 2, *(5,) * axes).double(), axes, kernel, fill, groups)
        np.testing.assert_allclose(interior(y, axes, kernel), 1, atol=1e-12)


@pytest.mark.parametrize("kernel", [3, 4, 5, 6])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_bilinear_interpolates_linearly(kernel, axes):
    """Output pixel o lies at (o - offset) / stride between the input's pixels, along each axis."""
    image = draw(1, 2, *(6,) * axes)
    y, stride = enlarged(image, axes, kernel, init.bilinear_, groups=2)
    centre = (kernel - 1) / 2 - (kernel // 2 - (kernel % 2 == 0) * (stride // 2))
    expected = image.data
    for axis in range(2, 2 + axes):
        at = (np.arange(y.shape[axis]) - centre) / stride
        expected = np.apply_along_axis(lambda v, at=at: np.interp(at, range(6), v), axis, expected)
    np.testing.assert_allclose(
        interior(y, axes, stride), interior(expected, axes, stride), atol=1e-12
    )


def test_upsamplers_keep_channels_apart():
    weight = init.bilinear_(td.ones(4, 4, 3, 3)).data
    assert all((weight[i, j] == 0).all() for i, j in np.ndindex(4, 4) if i != j)
    assert all((weight[i, i] == weight[0, 0]).all() for i in range(4))
    assert weight[0, 0].tolist() == [[0.25, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 0.25]]


def test_gaussian_is_a_gaussian():
    """Each tap divided by the sum over its phase of the stride 2: taps 0 and 2, or 1 and 3."""
    weight = init.gaussian_(td.ones(1, 1, 4), sigma=0.8).data[0, 0]
    taps = np.exp(-(np.array([-1.5, -0.5, 0.5, 1.5]) ** 2) / (2 * 0.8**2))
    np.testing.assert_allclose(weight, taps / (taps[0] + taps[2]), rtol=1e-6)


def test_a_parameter_is_not_replaced_by_a_plain_tensor():
    layer = nn.Linear(2, 2)
    with refused(TypeError, "weight", "Tensor", "nn.Parameter"):
        layer.weight = td.zeros(2, 2)
    layer.weight = nn.Parameter(np.zeros((2, 2), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
