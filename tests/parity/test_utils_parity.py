"""nn.utils against PyTorch's: clipping, vectors, and weights that are computed."""

import numpy as np
import pytest
import safetensors.torch
import torch
from both import agree, array, numbers, same
from registry import Call
from torch.nn.utils import parametrizations as theirs_of

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn.utils import parametrizations as ours_of

# ---------------------------------------------------------------- clipping and vectors


def clipped(library, name, scale, dtype, args, options):
    """What the function returns, and the gradients afterwards."""
    held, empty = [], (0, 2) if "inf" not in args else (1, 2)  # of none PyTorch takes no maximum
    for i, shape in enumerate([(2, 3), (4,), (), empty, (2,)]):
        p = library.nn.Parameter(library.tensor(numbers(*shape).astype(dtype)))
        if i < 4:
            p.grad = library.tensor((scale * numbers(*shape, seed=1)).astype(dtype))
        held.append(p)
    result = getattr(library.nn.utils, name)(held, *args, **options)
    return [result, *(p.grad for p in held)]


CLIPS = [
    ("clip_grad_norm_", Call(1.5)),
    ("clip_grad_norm_", Call(1.5, 1)),
    ("clip_grad_norm_", Call(max_norm=1.5, norm_type=3.0, error_if_nonfinite=True)),
    ("clip_grad_norm_", Call(0.5, "inf")),
    ("clip_grad_norm_", Call(0)),
    ("clip_grad_value_", Call(0.3)),
    ("clip_grad_value_", Call(clip_value=0)),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", [0.01, 3, np.nan, np.inf])
@pytest.mark.parametrize(("name", "call"), CLIPS, ids=str)
def test_clipping(name, call, scale, dtype):
    if "error_if_nonfinite" in call.options and not np.isfinite(scale):
        for library in (td, torch):
            with pytest.raises(RuntimeError):
                clipped(library, name, scale, dtype, call.args, call.options)
        return
    found = [clipped(m, name, scale, dtype, call.args, call.options) for m in (td, torch)]
    for mine, other in zip(*found, strict=True):
        assert (mine is None) == (other is None)
        if other is not None:
            same(mine, other)


def test_vectors():
    def function(library):
        def there_and_back(a, b, c):
            vector = library.nn.utils.parameters_to_vector([a, b, c])
            held = [library.nn.Parameter(x.detach() * 0) for x in (a, b, c)]
            library.nn.utils.vector_to_parameters(vector.detach(), iter(held))
            return vector**2, *(p.detach() for p in held)

        return there_and_back

    agree(function(td), function(torch), [numbers(2, 3), numbers(4), numbers(1)])


# ---------------------------------------------------------------- weights that are computed

MODULES = {
    "Linear": (Call(4, 3), (2, 4)),
    "Conv1d": (Call(2, 3, 3, bias=False), (2, 2, 5)),
    "Conv2d": (Call(4, 6, (2, 3), groups=2), (2, 4, 5, 6)),
    "ConvTranspose2d": (Call(4, 6, 3, groups=2), (2, 4, 3, 2)),
    "ConvTranspose3d": (Call(2, 3, 2), (2, 2, 3, 2, 2)),
}
COMPUTED = [
    ("spectral_norm", Call()),
    ("spectral_norm", Call("weight", 3, 1e-3, 1)),
    ("spectral_norm", Call(name="weight", n_power_iterations=2, eps=1e-6, dim=-1)),
    ("spectral_norm", Call("bias")),
    ("weight_norm", Call()),
    ("weight_norm", Call("weight", None)),
    ("weight_norm", Call(dim=1)),
    ("weight_norm", Call(dim=-1)),
    ("weight_norm", Call(dim=-2)),
    ("weight_norm", Call("bias")),
]
CASES = [
    pytest.param(layer, name, call, id=f"{name}{call}-{layer}")
    for layer in MODULES
    for name, call in COMPUTED
    if "bias" not in call.args or layer == "Linear"
]


def pair(layer, name, call):
    """The layer with its computed weight in both libraries, with our numbers."""
    made = []
    for library in (td, torch):
        module = MODULES[layer][0].of(getattr(library.nn, layer)).double()
        made.append(call.of(lambda *a, m=module, lib=library, **o: computed(lib, name)(m, *a, **o)))
    state = {k: torch.tensor(array(v)) for k, v in made[0].state_dict().items()}
    made[1].load_state_dict(state, strict=True)
    return made


def computed(library, name):
    return getattr(ours_of if library is td else theirs_of, name)


def test_they_are_in_utils_too():
    for name in ("spectral_norm", "weight_norm"):
        assert getattr(nn.utils, name) is getattr(ours_of, name)


@pytest.mark.parametrize(("layer", "name", "call"), CASES)
def test_the_state_has_pytorchs_names(layer, name, call):
    mine, theirs = pair(layer, name, call)
    state = theirs.state_dict()
    assert {k: array(v).shape for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in state.items()
    }
    assert list(mine.state_dict()) == list(state)
    for kind in ("named_parameters", "named_buffers"):
        assert [n for n, _ in getattr(mine, kind)()] == [n for n, _ in getattr(theirs, kind)()]
    assert type(mine).__name__ == type(theirs).__name__


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("layer", "name", "call"), CASES)
def test_training_steps(layer, name, call, training):
    """Outputs, gradients and the state, over three steps of plain gradient descent."""
    mine, theirs = pair(layer, name, call)
    mine.train(training), theirs.train(training)
    # away from the norms that weight_norm begins with
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        p.data = p.data * 1.3
        q.data.mul_(1.3)
    steps = [m.optim.SGD(n.parameters(), lr=0.1) for m, n in ((td, mine), (torch, theirs))]
    for step in range(3):
        x = numbers(*MODULES[layer][1], seed=step)
        y, z = mine(td.tensor(x)), theirs(torch.tensor(x))
        same(y, z)
        for optimizer in steps:
            optimizer.zero_grad()
        (y**2).sum().backward(), (z**2).sum().backward()
        for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
            same(p.grad, q.grad, tolerance=1e-10)
        for optimizer in steps:
            optimizer.step()
        for key, value in theirs.state_dict().items():
            same(mine.state_dict()[key], value, key)


@pytest.mark.parametrize("shape", [(3, 4), (4, 2, 3, 2), (5,)])
@pytest.mark.parametrize("dim", [0, -1])
def test_spectral_norm_to_second_order(shape, dim):
    mine = ours_of.SpectralNorm(td.tensor(numbers(*shape)), 1, 1e-12, dim).eval()
    theirs = theirs_of._SpectralNorm(torch.tensor(numbers(*shape)), 1, dim, 1e-12).eval()
    theirs.load_state_dict({k: torch.tensor(array(v)) for k, v in mine.state_dict().items()})
    agree(mine, theirs, [numbers(*shape, seed=1)])


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2, None])
def test_weight_norm_to_second_order(dim):
    """At second order against PyTorch's formula: its own kernel for the first and the last dim is
    wrong there, as torch.autograd.gradgradcheck says.
    """
    mine, theirs = ours_of.WeightNorm(dim), theirs_of._WeightNorm(dim)
    v = numbers(4, 2, 3)
    g, _ = theirs.right_inverse(torch.tensor(v))
    inputs = [g.numpy() * 1.5, v]
    agree(mine, theirs, inputs, order=1)
    agree(mine, lambda g, v: v * (g / torch.norm_except_dim(v, 2, theirs.dim)), inputs)


@pytest.mark.parametrize(("layer", "name", "call"), CASES)
def test_files_both_ways(layer, name, call, tmp_path):
    mine, theirs = pair(layer, name, call)
    x, path = numbers(*MODULES[layer][1]), tmp_path / "weights.safetensors"
    mine(td.tensor(x))  # moves the singular vectors
    td.save(mine.state_dict(), path)
    theirs.load_state_dict(safetensors.torch.load_file(path), strict=True)
    same(mine.eval()(td.tensor(x)), theirs.eval()(torch.tensor(x)))

    _, theirs = pair(layer, name, call)
    theirs(torch.tensor(x))
    safetensors.torch.save_file(theirs.state_dict(), path)
    mine.load_state_dict(td.load(path), strict=True)
    same(mine(td.tensor(x)), theirs.eval()(torch.tensor(x)))
