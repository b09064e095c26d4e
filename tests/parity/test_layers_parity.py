"""Layers of nn against PyTorch's: outputs, gradients, state, first values, files both ways."""

import inspect

import cases  # noqa: F401 -- fills the tables
import numpy as np
import pytest
import safetensors.torch
import torch
from both import agree, array, numbers, same
from registry import LAYERS, Call

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import init

ALL = [pytest.param(n, *case, id=f"{n}{case[0]}") for n, calls in LAYERS.items() for case in calls]
CONTAINERS = {"Module", "Sequential", "ModuleList"}


def layers_of(module):
    return {
        n for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, module.Module)
    } - CONTAINERS


def test_every_layer_has_cases():
    assert set(LAYERS) == layers_of(nn)


def test_every_argument_of_every_layer_has_a_value_of_its_own():
    for name, calls in LAYERS.items():
        signature, given = inspect.signature(getattr(nn, name)), set()
        for call, _ in calls:
            bound = signature.bind(*call.args, **call.options).arguments
            given |= {k for k, v in bound.items() if v != signature.parameters[k].default}
        assert given == set(signature.parameters), name


@pytest.mark.parametrize("name", [*LAYERS, "SGD", "Adam", "OneCycleLR"])
def test_constructors_have_pytorchs_arguments_order_and_defaults(name):
    mine = (nn if name in LAYERS else td.optim).__dict__[name]
    theirs = getattr(torch.nn, name, None) or getattr(torch.optim, name, None)
    theirs = theirs or torch.optim.lr_scheduler.OneCycleLR
    mine, theirs = (inspect.signature(cls).parameters for cls in (mine, theirs))
    assert list(mine) == [n for n in theirs if n in mine]
    for n in mine:
        # PyTorch can also work out the number of steps, from epochs
        assert mine[n].default == theirs[n].default or n == "total_steps", n


def pair(name, call):
    """The layer in both libraries, in float64, with our random weights."""
    mine, theirs = call.of(getattr(nn, name)), call.of(getattr(torch.nn, name))
    state = {k: torch.tensor(array(v)) for k, v in mine.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    return mine.double(), theirs.double()


def loose(inputs):
    """Options at the end of the inputs."""
    return (inputs[:-1], inputs[-1]) if isinstance(inputs[-1], dict) else (inputs, {})


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(("name", "call", "inputs"), ALL)
def test_layer(name, call, inputs, mode):
    """Outputs and gradients by input and parameters to second order; the state afterwards."""
    mine, theirs = pair(name, call)
    inputs, options = loose(inputs)
    for step in range(2):
        if mode == "eval" and step == 1:
            mine.eval(), theirs.eval()
        weights = [array(p) for p in mine.parameters()]
        agree(
            lambda *values: with_parameters(td, mine, values, len(inputs), options),
            lambda *values: with_parameters(torch, theirs, values, len(inputs), options),
            [*inputs, *weights],
        )
    for key, value in theirs.state_dict().items():
        same(mine.state_dict()[key], value, key)


def with_parameters(library, module, values, count, options):
    """The module called with values[:count], its parameters for this time being values[count:]."""
    inputs, parameters = values[:count], values[count:]
    if library is torch:
        names = dict(zip((n for n, _ in module.named_parameters()), parameters))
        return torch.func.functional_call(module, names, inputs, options)
    saved = dict(module.named_parameters())
    try:
        for name, p in zip(saved, parameters):
            vars(module)[name] = p
        return module(*inputs, **options)
    finally:
        vars(module).update(saved)


@pytest.mark.parametrize(("name", "call", "inputs"), ALL)
def test_state_dict(name, call, inputs):
    mine, theirs = call.of(getattr(nn, name)), call.of(getattr(torch.nn, name))
    assert described(mine.state_dict()) == described(theirs.state_dict())
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in mine.named_buffers()] == [n for n, _ in theirs.named_buffers()]


def described(state):
    return [(name, tuple(value.shape), str(array(value).dtype)) for name, value in state.items()]


def test_what_is_shared_counts_once_and_has_every_name_in_the_state():
    found = []
    for m in (td, torch):
        layer, tied = m.nn.Linear(3, 3), m.nn.Linear(3, 3, bias=False)
        tied.weight = layer.weight
        model = m.nn.Sequential(layer, m.nn.BatchNorm1d(3), layer, m.nn.Sequential(tied))
        named = model.named_parameters(), model.named_buffers(), model.named_modules()
        found.append([[n for n, _ in pairs] for pairs in named] + [described(model.state_dict())])
    assert found[0] == found[1]


# ---------------------------------------------------------------- first values


def statistics(tensor):
    """What tells distributions apart: standard deviation; mean, largest in units of it."""
    numbers = array(tensor).astype(np.float64)
    std = numbers.std()
    return std, numbers.mean() / (std or 1), abs(numbers - numbers.mean()).max() / (std or 1)


def alike(mine, theirs):
    """Of some 10,000 numbers each: the same distribution, as far as chance lets one tell."""
    (std1, mean1, top1), (std2, mean2, top2) = statistics(mine), statistics(theirs)
    assert std1 == pytest.approx(std2, rel=0.03)
    assert mean1 == pytest.approx(mean2, rel=0.03, abs=0.05)
    # uniform: sqrt(3) = 1.73; normal: about 4
    assert top1 == pytest.approx(top2, abs=0.05 if top2 < 2 else 1.2)


def filled(m, function, *args, **options):
    m.manual_seed(0)
    return function(*args, **options)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("Linear", Call(100, 10_000)),
        ("Conv1d", Call(40, 2000, 7, groups=4)),
        ("Conv2d", Call(20, 2000, 3)),
        ("Conv3d", Call(10, 2000, 2)),
        ("ConvTranspose1d", Call(400, 9000, 7, groups=4)),
        ("ConvTranspose2d", Call(10, 9000, 3)),
        ("ConvTranspose3d", Call(10, 9000, 2)),
        ("BatchNorm2d", Call(7)),
        ("PReLU", Call(5)),
        ("PReLU", Call(5, 0.1)),
    ],
    ids=str,
)
def test_first_values(name, call):
    mine, theirs = (filled(m, call.of, getattr(m.nn, name)) for m in (td, torch))
    state = theirs.state_dict()
    for key, value in mine.state_dict().items():
        if value.is_floating_point():
            alike(value, state[key])
        else:
            same(value, state[key])


INITS = {
    "uniform_": [Call(), Call(-3, 5), Call(a=2.0, b=2.5)],
    "normal_": [Call(), Call(3.0, 0.5), Call(mean=-1.0, std=0.1)],
    "constant_": [Call(0.3), Call(val=2)],
    "zeros_": [Call()],
    "ones_": [Call()],
    "xavier_uniform_": [Call(), Call(gain=2.5)],
    "xavier_normal_": [Call(), Call(2.5)],
    "kaiming_uniform_": [
        Call(), Call(0.3), Call(mode="fan_out"), Call(nonlinearity="relu"),
        Call(nonlinearity="tanh"), Call(0, "fan_out", "linear"),
    ],
    "kaiming_normal_": [
        Call(), Call(a=0.3), Call(mode="fan_out"), Call(nonlinearity="relu"),
        Call(1, "fan_out", "sigmoid"),
    ],
}  # fmt: skip
OURS = {"bilinear_", "gaussian_"}  # PyTorch has none


INIT_CALLS = [pytest.param(n, c, id=f"{n}{c}") for n, calls in INITS.items() for c in calls]


@pytest.mark.parametrize(("name", "call"), INIT_CALLS)
@pytest.mark.parametrize("shape", [(200, 100), (50, 30, 3, 5)])
def test_init(name, call, shape):
    found = []
    for m in (td, torch):
        tensor = m.zeros(shape)
        returned = filled(m, getattr(m.nn.init, name), tensor, *call.args, **call.options)
        assert returned is tensor
        found.append(tensor)
    alike(*found)


def test_every_init_function_has_cases():
    public = {n for n in vars(init) if n.endswith("_") and not n.startswith("_")}
    assert public == set(INITS) | OURS


def test_gains():
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    for slope in (0, 0.3, -1):
        theirs = torch.nn.init.calculate_gain("leaky_relu", slope)
        assert init.calculate_gain("leaky_relu", slope) == theirs


# ---------------------------------------------------------------- files


def network(m, channels):
    """Nested, with every layer that has a state."""
    n = m.nn
    down = [n.Conv2d(1, channels, 3, padding=1), n.BatchNorm2d(channels), n.PReLU(channels)]
    up = [n.ConvTranspose2d(channels, 2, 4, 2, 1, bias=False), n.BatchNorm2d(2), n.ReLU()]
    ends = n.ModuleList([n.Flatten(), n.Linear(2 * 64, 3, bias=False)])
    return n.Sequential(n.Sequential(*down), n.MaxPool2d(2), n.Sequential(*up), *ends)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_of_ours_loads_in_pytorch(tmp_path, dtype):
    mine, theirs = network(td, 4).to(dtype), network(torch, 4).to(getattr(torch, dtype))
    mine(td.randn(3, 1, 8, 8, dtype=dtype))  # moves the running statistics
    mine[0][0].weight.data = np.asfortranarray(mine[0][0].weight.data)
    td.save(mine.state_dict(), tmp_path / "ours.safetensors")
    state = safetensors.torch.load_file(tmp_path / "ours.safetensors")
    assert sorted(described(state)) == sorted(described(theirs.state_dict()))
    theirs.load_state_dict(state, strict=True)
    equal(mine, theirs, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_of_pytorchs_loads_in_ours(tmp_path, dtype):
    mine, theirs = network(td, 4).to(dtype), network(torch, 4).to(getattr(torch, dtype))
    theirs(torch.randn(3, 1, 8, 8, dtype=getattr(torch, dtype)))
    safetensors.torch.save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    mine.load_state_dict(td.load(tmp_path / "theirs.safetensors"), strict=True)
    equal(mine, theirs, dtype)


def equal(mine, theirs, dtype):
    assert described(mine.state_dict()) == described(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(array(mine.state_dict()[name]), array(value))
    x = numbers(2, 1, 8, 8).astype(dtype)
    same(mine.eval()(td.tensor(x)), theirs.eval()(torch.tensor(x)))


def test_a_file_of_another_network_is_refused_by_both(tmp_path):
    td.save(network(td, 5).state_dict(), tmp_path / "five.safetensors")
    for m, state in (
        (td, td.load(tmp_path / "five.safetensors")),
        (torch, safetensors.torch.load_file(tmp_path / "five.safetensors")),
    ):
        with pytest.raises(RuntimeError):
            network(m, 4).load_state_dict(state)
