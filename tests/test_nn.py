"""Modules, layers, losses, batch norm, first values: against the naive reference and by rule."""

import copy
import inspect
import math
import pickle
from collections import OrderedDict

import naive
import numpy as np
import pytest
from constructed import CONSTRUCTED
from refusals import refused

import tinydeconv as td
import tinydeconv.nn.functional as F
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck, gradgradcheck
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
    assert names(model[1:].named_parameters()) == ["2.weight", "2.bias"]  # as in the whole
    x = draw(4, 2).float()
    expected = layers[2](layers[1](layers[0](x)))
    np.testing.assert_array_equal(model(x).detach().data, expected.detach().data)
    with refused(TypeError, "Module", "function"):
        nn.Sequential(nn.Linear(2, 3), F.relu)
    with pytest.raises(IndexError):
        model[3]


def test_a_sequential_with_names():
    layers = OrderedDict(conv=nn.Conv2d(1, 2, 3), relu=nn.ReLU(), more=nn.Conv2d(2, 1, 1))
    model = nn.Sequential(layers)
    assert list(model) == list(layers.values()) and model.relu is model[1]
    assert list(model.state_dict()) == ["conv.weight", "conv.bias", "more.weight", "more.bias"]
    assert names(model[1:].named_children()) == ["relu", "more"]
    model[1] = nn.Tanh()
    assert names(model.named_children()) == ["conv", "relu", "more"]
    assert isinstance(model.relu, nn.Tanh)
    assert names(model.append(nn.ReLU()).named_children())[-1] == "3"


@pytest.mark.parametrize("make", [nn.ModuleList, lambda modules: nn.Sequential(*modules)])
def test_containers_are_lists(make):
    """Every operation as on a list of the same modules; names are numbers again afterwards."""
    layers = [nn.Linear(1, n) for n in range(1, 8)]
    container, expected = make(layers[:4]), layers[:4]

    def agrees():
        assert list(container) == expected and len(container) == len(expected)
        assert names(container.named_children()) == [str(i) for i in range(len(expected))]

    assert container.append(layers[4]) is container
    expected.append(layers[4])
    agrees()
    assert container.extend(iter(layers[5:])) is container
    expected += layers[5:]
    agrees()
    for i in (0, 3, -1, 99):
        extra = nn.ReLU()
        container.insert(i, extra)
        expected.insert(i, extra)
        agrees()
        assert extra in container and container.index(extra) == expected.index(extra)
    for key in (0, -2, slice(1, 5, 2)):
        del container[key], expected[key]
        agrees()
    for i in (0, -1):
        container[i] = expected[i] = nn.Tanh()
        agrees()
    assert container.pop(1) is expected.pop(1)
    agrees()
    container += layers[:2]
    expected += layers[:2]
    agrees()
    joined = container + layers[2:4]
    assert type(joined) is type(container) and list(joined) == expected + layers[2:4]
    with pytest.raises(IndexError):
        container[99] = nn.ReLU()
    for change in (
        lambda: container.insert(0, F.relu),
        lambda: container.__setitem__(0, F.relu),
        lambda: container.extend([F.relu]),
    ):
        with refused(TypeError, "Module", "function"):
            change()
        agrees()


def test_what_a_slice_is_given_takes_no_name_twice():
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Tanh())[1:].append(nn.Sigmoid())
    assert [type(m) for m in model] == [nn.ReLU, nn.Tanh, nn.Sigmoid]


def test_module_dict():
    layers = {"relu": nn.ReLU(), "lin": nn.Linear(2, 3)}
    found = nn.ModuleDict(layers)
    assert list(found) == list(found.keys()) == ["relu", "lin"] and len(found) == 2
    assert [*found.values()] == [*layers.values()] and [*found.items()] == [*layers.items()]
    assert "lin" in found and "linear" not in found and "training" not in found
    assert found["lin"] is found.lin is layers["lin"]
    assert list(found.state_dict()) == ["lin.weight", "lin.bias"]
    found["relu"] = nn.Tanh()  # at its old place
    found.update({"last": nn.Flatten()})
    found.update([("lin", nn.Linear(2, 4, bias=False))])
    assert list(found) == ["relu", "lin", "last"] and list(found.state_dict()) == ["lin.weight"]
    assert isinstance(found.pop("relu"), nn.Tanh) and list(found) == ["lin", "last"]
    del found["last"]
    assert list(found) == ["lin"] and found != nn.ModuleDict(found) and found in {found}
    found.clear()
    assert len(found) == 0 and list(found.parameters()) == []
    with pytest.raises(KeyError):
        found["lin"]
    with pytest.raises(KeyError):
        del found["training"]
    for name in ("keys", "training", "a.b", ""):
        with refused(KeyError, f"{name!r}"):
            found[name] = nn.ReLU()
    with refused(TypeError, "Module", "function"):
        found["relu"] = F.relu
    with refused(NotImplementedError, "ModuleDict", "forward"):
        found(td.ones(2))


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


class Registering(Module):
    """Block's kinds of things, by name."""

    def __init__(self):
        self.register_parameter("shift", Parameter(np.zeros(3, np.float32)))
        self.register_parameter("bias", None)
        self.register_buffer("mean", td.ones(3))
        self.register_buffer("nothing", None)
        self.register_buffer("grid", td.arange(4), persistent=False)
        self.add_module("first", nn.Linear(2, 3))


def test_registering_by_name():
    module = Registering()
    assert names(module.named_parameters()) == ["shift", "first.weight", "first.bias"]
    assert names(module.named_buffers()) == ["mean", "grid"]
    assert list(module.state_dict()) == ["shift", "mean", "first.weight", "first.bias"]
    assert module.bias is None and isinstance(module.mean, Buffer)
    module.load_state_dict(module.state_dict())
    module.register_parameter("bias", Parameter(np.zeros(3, np.float32)))
    module.register_buffer("mean", None)
    assert "bias" in module.state_dict() and "mean" not in module.state_dict()


@pytest.mark.parametrize(
    ("register", "kind", "words"),
    [
        (lambda m: m.register_parameter("w", td.ones(2)), TypeError, ("nn.Parameter", "Tensor")),
        (lambda m: m.register_parameter("mean", None), KeyError, ("'mean'",)),
        (lambda m: m.register_buffer("forward", td.ones(2)), KeyError, ("'forward'",)),
        (lambda m: m.register_buffer("a.b", td.ones(2)), KeyError, ("dots", "'a.b'")),
        (lambda m: m.register_buffer("b", 3.0), TypeError, ("array", "float")),
        (lambda m: m.add_module("shift", nn.ReLU()), KeyError, ("'shift'",)),
        (lambda m: m.add_module("", nn.ReLU()), KeyError, ("''",)),
        (lambda m: m.add_module("next", F.relu), TypeError, ("Module", "function")),
        (lambda m: m.add_module("next", nn.ReLU), TypeError, ("the class ReLU", "ReLU(...)")),
    ],
)
def test_what_cannot_be_registered(register, kind, words):
    module = Registering()
    before = names(module.named_parameters()), names(module.named_buffers())
    with refused(kind, *words):
        register(module)
    assert before == (names(module.named_parameters()), names(module.named_buffers()))


def test_a_tensor_set_over_a_buffer_is_the_buffer():
    """As in running = 0.9 * running + 0.1 * mean."""
    module = Registering()
    module.mean = 0.5 * module.mean + 1
    module.grid = module.grid + 1
    assert names(module.named_buffers()) == ["mean", "grid"] and module.mean.tolist() == [1.5] * 3
    assert list(module.state_dict()) == ["shift", "mean", "first.weight", "first.bias"]
    with refused(TypeError, "mean", "Buffer", "Tensor that requires grad"):
        module.mean = module.mean * module.shift
    with refused(TypeError, "mean", "Buffer", "float"):
        module.mean = 3.0
    module.mean = None
    assert names(module.named_buffers()) == ["grid"]


def test_a_module_is_not_replaced_by_a_function():
    module = Registering()
    with refused(TypeError, "first", "Module", "function"):
        module.first = F.relu
    module.first = nn.ReLU()
    module.first = None
    assert list(module.children()) == []


def test_walking_with_a_prefix_without_recursing_and_with_duplicates():
    block = Block()
    assert names(block.named_parameters("net")) == [f"net.{name}" for name in PARAMETERS]
    assert names(block.named_parameters(recurse=False)) == ["shift"]
    assert names(block.named_parameters("net", recurse=False)) == ["net.shift"]
    assert list(block.parameters(recurse=False)) == [block.shift]
    assert names(block.named_buffers("net", False)) == ["net.mean"]
    assert list(nn.Sequential(block).buffers(recurse=False)) == []
    assert names(block.named_modules(prefix="net"))[:2] == ["net", "net.first"]
    layer = nn.Linear(2, 2, bias=False)
    twice = nn.Sequential(layer, nn.ReLU(), layer)
    assert names(twice.named_children()) == ["0", "1"] and len(list(twice.children())) == 2
    assert names(twice.named_parameters(remove_duplicate=False)) == ["0.weight", "2.weight"]
    assert names(twice.named_modules(remove_duplicate=False)) == ["", "0", "1", "2"]
    seen = []
    twice.apply(seen.append)
    assert seen == [layer, twice[1], twice]


def test_what_has_a_dotted_name():
    block = Block()
    assert block.get_submodule("") is block and block.get_submodule("last.0") is block.last[0]
    assert block.get_parameter("last.0.weight") is block.last[0].weight
    assert block.get_buffer("mean") is block.mean
    with pytest.raises(AttributeError):
        block.get_submodule("last.7")


# ---------------------------------------------------------------- hooks


def test_forward_hooks_see_and_replace():
    block, seen = Block(), []
    x = td.ones(4, 2)
    expected = block(x).detach().data

    def before(module, inputs):
        seen.append(("before", module, inputs))

    def after(module, inputs, output):
        seen.append(("after", module, inputs, output))

    handles = [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
    y = block(x)
    assert seen[0][:2] == ("before", block) and seen[1][:2] == ("after", block)
    assert seen[0][2][0] is seen[1][2][0] is x and seen[1][3] is y
    for handle in handles:
        handle.remove()
    np.testing.assert_array_equal(block(x).detach().data, expected)
    assert len(seen) == 2

    block.register_forward_pre_hook(lambda module, inputs: inputs[0] * 2)
    doubled = block.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 2,))
    block.register_forward_hook(lambda module, inputs, output: output + 1)
    block.register_forward_hook(lambda module, inputs, output: output * inputs[0].sum().item())
    np.testing.assert_array_equal(
        block(x).detach().data, (block.forward(x * 4) + 1).detach().data * 32
    )
    doubled.remove()
    np.testing.assert_array_equal(
        block(x).detach().data, (block.forward(x * 2) + 1).detach().data * 16
    )


def test_a_hook_registered_twice_is_taken_off_once():
    layer, seen = nn.ReLU(), []

    def hook(module, inputs, output):
        seen.append(module)

    first, second = layer.register_forward_hook(hook), layer.register_forward_hook(hook)
    first.remove()
    first.remove()
    layer(td.ones(2))
    assert len(seen) == 1
    copied = copy.deepcopy(layer)
    second.remove()
    layer(td.ones(2))
    copied(td.ones(2))
    assert seen[1:] == [copied]


# ---------------------------------------------------------------- the state


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_is_whole_and_apart(clone):
    module = Registering()
    module.tied = module.shift
    module.eval()
    again = clone(module)
    assert list(again.state_dict()) == list(module.state_dict()) and not again.first.training
    assert again.tied is again.shift and again.shift is not module.shift
    assert isinstance(again.shift, Parameter) and again.shift.requires_grad
    assert isinstance(again.mean, Buffer) and not again.grid.persistent
    again.shift.data[:] = 5
    assert module.shift.tolist() == [0, 0, 0]


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


def test_floating_numbers_are_cast_to_the_dtype_of_the_model():
    block = Block()
    block.load_state_dict(changed(mean=np.full(3, 0.1)))
    assert block.mean.dtype == np.float32
    np.testing.assert_array_equal(block.mean.data, np.float32(0.1))


def test_a_buffer_that_is_none_waits_for_its_tensor():
    block = Block()
    block.register_buffer("cache", None, persistent=False)
    assert block.cache is None
    block.cache = td.ones(2)
    assert isinstance(block.cache, nn.Buffer) and not block.cache.persistent
    assert "cache" in dict(block.named_buffers()) and "cache" not in block.state_dict()


def test_a_name_leads_to_its_own_kind():
    block = nn.Sequential(nn.BatchNorm1d(2))
    assert block.get_parameter("0.weight") is block[0].weight
    assert block.get_buffer("0.running_var") is block[0].running_var
    assert block.get_submodule("") is block and block.get_submodule("0") is block[0]
    for get, name, words in (
        (block.get_parameter, "0", ("Parameter", "BatchNorm1d")),
        (block.get_submodule, "0.weight", ("Module", "Parameter")),
        (block.get_buffer, "0.weight", ("Buffer", "Parameter")),
    ):
        with refused(AttributeError, name, *words):
            get(name)


@pytest.mark.parametrize("value", [None, [1.0, 2.0, 3.0]])
def test_a_state_of_no_tensors_is_refused(value):
    block = Block()
    before = arrays(block.state_dict())
    with refused(TypeError, "shift", type(value).__name__):
        block.load_state_dict({**block.state_dict(), "shift": value})
    unchanged(block, before)


def test_what_is_no_state_is_refused():
    with refused(TypeError, "str", "td.load"):
        Block().load_state_dict("weights.safetensors")


def test_loading_tells_what_did_not_fit():
    block = Block()
    state = block.state_dict()
    assert block.load_state_dict(state) == ([], [])
    assert "All keys matched" in repr(block.load_state_dict(state))
    found = block.load_state_dict({"shift": state["shift"], "other": td.ones(1)}, strict=False)
    assert found.missing_keys == ["mean", *PARAMETERS[1:]]
    assert found.unexpected_keys == ["other"] and "other" in repr(found)


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
    "convert",
    [
        Module.double,
        lambda m: m.to(td.float64),
        lambda m: m.to("float64"),
        lambda m: m.to("cpu", td.float64),
        lambda m: m.to(None, td.float64),
        lambda m: m.to(device="cpu", dtype=td.float64),
        lambda m: m.to(td.ones(1, dtype=td.float64)),
    ],
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
    for layer in (nn.Linear(2, 2), nn.ReLU()):
        with refused(TypeError, "floating", dtype):
            layer.to(getattr(td, dtype))
        with refused(TypeError, "floating", dtype):
            layer.to("cpu", dtype=getattr(td, dtype))


def test_a_cast_to_what_it_is_already_leaves_graphs_alone():
    layer = nn.Linear(2, 2)
    loss = layer(td.ones(1, 2)).sum()
    layer.float().cpu().to("cpu")
    loss.backward()


def test_half():
    layer = nn.BatchNorm1d(2).half()
    assert {t.dtype.name for t in layer.state_dict().values()} == {"float16", "int64"}


def test_to_a_gpu_and_back(cupy):
    layer = nn.BatchNorm1d(2)
    layer.weight.grad = td.ones(2)
    assert layer.cuda() is layer
    assert {str(t.device) for t in layer.state_dict().values()} == {"cuda:0"}
    assert str(layer.weight.grad.device) == "cuda:0"
    assert layer(td.ones(3, 2).cuda()).device == td.device("cuda")
    layer.to(td.ones(1, dtype=td.float64))
    assert {t.device.type for t in layer.state_dict().values()} == {"cpu"}
    assert layer.weight.dtype == td.float64 and layer.num_batches_tracked.dtype == td.int64
    assert layer.cuda(0).to("cuda:0").cpu().weight.device.type == "cpu"


def test_an_unknown_device_or_dtype_is_refused():
    with refused(ValueError, "cuda", "float23"):
        nn.Linear(2, 2).to("float23")


def test_zero_grad():
    block = Block()
    block(td.ones(4, 2)).sum().backward()
    assert any(p.grad is not None for p in block.parameters())
    block.shift.grad = None
    block.zero_grad(set_to_none=False)
    assert block.shift.grad is None and block.first.bias.grad.tolist() == [0, 0, 0]
    block.zero_grad()
    assert all(p.grad is None for p in block.parameters())


# ---------------------------------------------------------------- the layers

ALL_LAYERS = {
    name: cls
    for name, cls in vars(nn).items()
    if inspect.isclass(cls) and issubclass(cls, Module)
    and cls not in (Module, nn.Sequential, nn.ModuleList, nn.ModuleDict)
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

    class Named(nn.Linear):
        pass

    named = Named(1, 2)
    named.act = nn.ReLU()
    assert repr(named) == "Named(\n  1, 2, bias=True\n  (act): ReLU()\n)"
    assert repr(nn.ModuleDict({"a": nn.Tanh()})) == "ModuleDict(\n  (a): Tanh()\n)"
    assert repr(nn.Sequential()) == "Sequential()"
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
    with refused(ValueError, "unflatten", 1, "size 4", "(2, 3)"):
        nn.Unflatten(-1, (2, 3))(td.zeros(3, 4))
    with refused(ValueError, "unflatten", 1, "size 4", "(-1, 3)"):
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


@pytest.mark.parametrize("shape", [(1, 2), (1, 2, 1)])
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
    image = unpool(kernel, stride)(y, indices, x.shape)
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


def test_a_parameter_is_not_replaced_by_a_plain_tensor():
    layer = nn.Linear(2, 2)
    with refused(TypeError, "weight", "Tensor", "nn.Parameter"):
        layer.weight = td.zeros(2, 2)
    layer.weight = nn.Parameter(np.zeros((2, 2), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
