"""Layers of nn against PyTorch's: outputs, gradients, state, first values, files both ways."""

import inspect
import typing
from collections import OrderedDict

import cases  # noqa: F401 -- fills the tables
import numpy as np
import pytest
import safetensors.torch
import torch
from both import agree, array, numbers, same
from registry import LAYERS, THEIRS, Call

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import init

ALL = [pytest.param(n, *case, id=f"{n}{case[0]}") for n, calls in LAYERS.items() for case in calls]
CONTAINERS = {"Module", "Sequential", "ModuleList", "ModuleDict"}


def counterpart(name):
    """PyTorch's layer, or what stands in for it."""
    return getattr(torch.nn, name, None) or THEIRS[name]


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
            if "Transpose" in name:  # it knows one padding_mode only
                given |= {"padding_mode"} & set(bound)
        assert given == set(signature.parameters), name


@pytest.mark.parametrize("name", [*LAYERS, "SGD", "Adam", "OneCycleLR"])
def test_constructors_have_pytorchs_arguments_order_and_defaults(name):
    mine = (nn if name in LAYERS else td.optim).__dict__[name]
    theirs = counterpart(name) if name in LAYERS else getattr(torch.optim, name, None)
    theirs = theirs or torch.optim.lr_scheduler.OneCycleLR
    mine, theirs = (
        inspect.signature([*typing.get_overloads(cls.__init__), cls][0]).parameters
        for cls in (mine, theirs)
    )
    assert list(mine) == [n for n in theirs if n in mine]
    for n in mine:
        # PyTorch can also work out the number of steps, from epochs
        assert mine[n].default == theirs[n].default or n == "total_steps", n


def pair(name, call):
    """The layer in both libraries, in float64, with our random weights."""
    mine, theirs = call.of(getattr(nn, name)), call.of(counterpart(name))
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
            lambda *values: with_parameters(td, mine, values, inputs, options),
            lambda *values: with_parameters(torch, theirs, values, inputs, options),
            [*flat(inputs), *weights],
        )
    for key, value in theirs.state_dict().items():
        same(mine.state_dict()[key], value, key)


def flat(inputs):
    return [x for part in inputs for x in (part if isinstance(part, tuple) else (part,))]


def with_parameters(library, module, values, like, options):
    """The module called with the first values, in tuples as in `like`; its parameters for this time
    are the others.
    """
    inputs, parameters = values[: len(flat(like))], values[len(flat(like)) :]
    rest = iter(inputs)
    inputs = tuple(
        tuple(next(rest) for _ in part) if isinstance(part, tuple) else next(rest) for part in like
    )
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
    mine, theirs = call.of(getattr(nn, name)), call.of(counterpart(name))
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


def steps_of_containers(m):
    """The names in containers after each of many changes, and what some changes return."""
    n, make = m.nn, lambda: m.nn.Linear(1, 1, bias=False)
    for kind in (lambda *modules: n.ModuleList(modules), n.Sequential):
        c = kind(make(), n.ReLU(), make())
        yield c
        yield c.append(make())
        yield c.extend([make(), n.Tanh()])
        c.insert(1, n.Tanh())
        yield c
        yield c[2:], c[::-2], c[-1]
        c[-2] = n.ReLU()
        del c[0], c[1:3]
        yield c
        yield c.pop(0), c
        c += kind(make())
        yield c
        yield c + kind(n.Tanh(), make())
    c = n.Sequential(OrderedDict([("a", make()), ("b", n.ReLU()), ("c", make())]))
    yield c, c[1:], c.b
    c[1] = n.Tanh()
    yield c.append(make())
    d = n.ModuleDict({"x": make(), "y": n.ReLU()})
    yield d
    d["z"], d["x"] = n.Tanh(), n.Sequential(make())
    d.update({"y": make(), "w": n.ReLU()})
    d.update([("v", make())])
    yield d, [*d.keys()], [*d.values()], [*d.items()], len(d), "x" in d
    yield d.pop("y"), d


def shown(value):
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if not hasattr(value, "named_modules"):
        return value
    return [
        [(name, type(module).__name__) for name, module in value.named_modules()],
        list(value.state_dict()),
    ]


def test_containers_change_as_pytorchs():
    for mine, theirs in zip(steps_of_containers(td), steps_of_containers(torch), strict=True):
        assert shown(mine) == shown(theirs)


# Arguments that PyTorch's methods of Module have beyond ours; which of its methods we leave out.
LEFT_OUT = {
    "load_state_dict": {"assign"},
    "named_modules": {"memo"},
    "register_forward_hook": {"prepend", "with_kwargs", "always_call"},
    "register_forward_pre_hook": {"prepend", "with_kwargs"},
    "state_dict": {"args", "destination", "keep_vars"},
    "to": {"args", "kwargs"},
}
NO_METHODS = {
    "bfloat16", "compile", "get_extra_state", "ipu", "mtia", "register_backward_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_module",
    "register_load_state_dict_post_hook", "register_load_state_dict_pre_hook",
    "register_state_dict_post_hook", "register_state_dict_pre_hook", "set_extra_state",
    "set_submodule", "share_memory", "to_empty", "type", "xpu",
}  # fmt: skip


def test_module_has_pytorchs_methods():
    def methods(cls):
        return {n: f for n, f in vars(cls).items() if n[0] != "_" and inspect.isfunction(f)}

    mine, theirs = methods(nn.Module), methods(torch.nn.Module)
    assert set(theirs) - set(mine) == NO_METHODS and set(mine) <= {*theirs, "forward"}
    for name in set(mine) & set(theirs) - {"forward"}:
        ours, other = (inspect.signature(m[name]).parameters for m in (mine, theirs))
        assert set(other) - set(ours) == LEFT_OUT.get(name, set()), name
        shared = [n for n in other if n in ours]
        assert shared == [n for n in ours if n in other], name
        assert [ours[n].default for n in shared] == [other[n].default for n in shared], name


def test_forward_hooks():
    found = []
    for m in (td, torch):
        layer = m.nn.ReLU()
        pre = layer.register_forward_pre_hook(lambda module, inputs: inputs[0] - 1)
        layer.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
        post = layer.register_forward_hook(lambda module, inputs, output: output + inputs[0])
        layer.register_forward_hook(lambda module, inputs, output: None)
        found.append([layer(m.tensor([-1.0, 2.0])).tolist()])
        pre.remove(), post.remove()
        found[-1].append(layer(m.tensor([-1.0, 2.0])).tolist())
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
        ("Bilinear", Call(10, 10, 10_000)),
        ("Embedding", Call(100, 100, 5)),
        ("LSTM", Call(4, 2500, proj_size=1)),
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
    "trunc_normal_": [
        Call(), Call(1.0, 2.0, -1.0, 1.5), Call(std=0.02), Call(a=5.0, b=6.0), Call(3.0, b=-1.0),
    ],
    "constant_": [Call(0.3), Call(val=2)],
    "zeros_": [Call()],
    "ones_": [Call()],
    "orthogonal_": [Call(), Call(2.5)],
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
EXACT = {"eye_": [Call()], "dirac_": [Call(), Call(2), Call(groups=4)]}
OURS = {"bilinear_", "gaussian_", "icnr_"}  # PyTorch has none
THEIRS_ALONE = {"sparse_"}


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


@pytest.mark.parametrize("shape", [(3, 5), (4, 4), (8, 3, 3), (4, 2, 2, 5), (12, 2, 3, 4, 1)])
@pytest.mark.parametrize(("name", "call"), [(n, c) for n, calls in EXACT.items() for c in calls])
def test_init_exactly(name, call, shape):
    if (len(shape) == 2) is (name == "eye_"):
        found = [
            getattr(m.nn.init, name)(m.ones(shape), *call.args, **call.options) for m in (td, torch)
        ]
        same(*found)


def test_every_init_function_has_cases():
    public, theirs = (
        {n for n in vars(m) if n.endswith("_") and not n.startswith("_")}
        for m in (init, torch.nn.init)
    )
    assert public == {*INITS, *EXACT, *OURS} and theirs - public == THEIRS_ALONE
    for name, calls in (INITS | EXACT).items():
        mine, theirs = (inspect.signature(vars(m)[name]).parameters for m in (init, torch.nn.init))
        assert list(mine) == [n for n in theirs if n != "generator"]
        given = {n for c in calls for n in inspect.signature(vars(init)[name])
                 .bind(None, *c.args, **c.options).arguments}  # fmt: skip
        assert given == set(mine), name
        assert [p.default for p in mine.values()] == [theirs[n].default for n in mine]


def test_gains():
    convolutions = [f"conv{t}{axes}d" for t in ("", "_transpose") for axes in (1, 2, 3)]
    for name in ("linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", *convolutions):
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


STATEFUL = [case for case in ALL if case.values[1].of(getattr(nn, case.values[0])).state_dict()]


@pytest.mark.parametrize("saves", [td, torch], ids=["ours", "theirs"])
@pytest.mark.parametrize(("name", "call", "inputs"), STATEFUL)
def test_a_file_of_every_layer(name, call, inputs, saves, tmp_path):
    """Saved by one library, loaded by the other, which then gives the same outputs."""
    path, (inputs, options) = tmp_path / "weights.safetensors", loose(inputs)
    mine, theirs = call.of(getattr(nn, name)), call.of(counterpart(name))
    source, target = (mine, theirs) if saves is td else (theirs, mine)
    for i, value in enumerate(source.state_dict().values()):  # no two tensors alike
        if value.is_floating_point():
            value.data[...] = saves.rand(value.shape) / 2 + 0.5 + i
    if saves is td:
        td.save(mine.state_dict(), path)
        state = safetensors.torch.load_file(path)
    else:
        safetensors.torch.save_file(theirs.state_dict(), path)
        state = td.load(path)
    assert sorted(described(state)) == sorted(described(target.state_dict()))
    target.load_state_dict(state, strict=True)
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(array(mine.state_dict()[key]), array(value), key)
    mine.double().eval(), theirs.double().eval()
    agree(
        lambda *values: with_parameters(td, mine, values, inputs, options),
        lambda *values: with_parameters(torch, theirs, values, inputs, options),
        flat(inputs),
        order=0,
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_told_about_pytorchs_own_files_works(tmp_path, zipped):
    theirs, path = torch.nn.Linear(2, 3), str(tmp_path / "weights.pth")
    torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError) as caught:
        td.load(path)
    told = str(caught.value).partition("convert it with ")[2]
    exec(told, {"torch": torch, "safetensors": safetensors})
    td.nn.Linear(2, 3).load_state_dict(td.load(tmp_path / "weights.safetensors"))


def test_a_file_of_another_network_is_refused_by_both(tmp_path):
    td.save(network(td, 5).state_dict(), tmp_path / "five.safetensors")
    for m, state in (
        (td, td.load(tmp_path / "five.safetensors")),
        (torch, safetensors.torch.load_file(tmp_path / "five.safetensors")),
    ):
        with pytest.raises(RuntimeError):
            network(m, 4).load_state_dict(state)
