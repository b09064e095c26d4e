"""nn.utils: clipping, parameters as a vector, spectral norm and weight norm."""

import copy

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.nn import utils
from tinydeconv.nn.utils import spectral_norm, weight_norm


def draw(*shape, seed=0):
    return td.tensor(np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape)))


def parameters_with_gradients(scale=1.0, dtype=td.float64):
    """Three with a gradient, one of them 0-d, and one without."""
    shapes = [(2, 3), (4,), ()]
    held = [nn.Parameter(draw(*shape).astype(dtype)) for shape in shapes]
    for p, shape in zip(held, shapes):
        p.grad = (draw(*shape, seed=1) * scale).astype(dtype)
    return [*held, nn.Parameter(np.ones(2))]


def gradients(parameters):
    return np.concatenate([p.grad.data.ravel() for p in parameters if p.grad is not None])


# ---------------------------------------------------------------- clipping


@pytest.mark.parametrize("p", [1, 2.0, 3, float("inf"), "inf"])
@pytest.mark.parametrize("scale", [0.1, 10])
def test_clip_grad_norm(p, scale):
    parameters = parameters_with_gradients(scale)
    before = gradients(parameters)
    norm = np.linalg.norm(before, float(p))
    total = utils.clip_grad_norm_(iter(parameters), 2.5, norm_type=p)
    assert total.shape == () and total.item() == pytest.approx(norm, rel=1e-14)
    after = gradients(parameters)
    if norm < 2.5:
        np.testing.assert_array_equal(after, before)
    else:
        assert np.linalg.norm(after, float(p)) == pytest.approx(2.5, rel=1e-6)
        np.testing.assert_allclose(after / before, 2.5 / norm, rtol=1e-6)
    assert parameters[3].grad is None


def test_clip_grad_value():
    parameters = parameters_with_gradients(3)
    expected = gradients(parameters).clip(-0.7, 0.7)
    utils.clip_grad_value_(iter(parameters), 0.7)
    np.testing.assert_array_equal(gradients(parameters), expected)
    assert 0 < (abs(expected) == 0.7).sum() < expected.size


@pytest.mark.parametrize(
    "clip", [lambda p: utils.clip_grad_norm_(p, 0.5), lambda p: utils.clip_grad_value_(p, 0.1)]
)
def test_clipping_one_tensor_keeps_dtype_and_drops_graphs(clip):
    for dtype in (td.float16, td.float32):
        w = nn.Parameter(np.array([3.0, 4.0]).astype(dtype))
        (w * w).sum().backward(create_graph=True)
        clip(w)
        assert w.grad.dtype == dtype and not w.grad.requires_grad and abs(w.grad.data).max() < 1


def test_clipping_gradients_of_several_dtypes():
    """The norm has the widest of them, and each gradient keeps its own."""
    wide = nn.Parameter(np.ones(2))
    narrow = [nn.Parameter(np.ones(shape, np.float32)) for shape in ((), (3,))]
    for p in (wide, *narrow):
        p.grad = td.ones_like(p)
    assert utils.clip_grad_norm_([*narrow, wide], 0.6).dtype == td.float64
    assert [p.grad.dtype for p in (wide, *narrow)] == [td.float64, td.float32, td.float32]
    assert utils.clip_grad_norm_([*narrow, wide], 9).item() == pytest.approx(0.6)


def test_clipping_without_gradients():
    assert utils.clip_grad_norm_([], 1.0).item() == 0
    assert utils.clip_grad_norm_(nn.Linear(1, 1).parameters(), 1.0).item() == 0
    utils.clip_grad_value_([], 1.0)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_clipping_gradients_that_are_not_finite(number):
    parameters = parameters_with_gradients()
    parameters[1].grad.data[2] = number
    before = gradients(parameters)
    with refused(RuntimeError, "finite", number):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(gradients(parameters), before)
    assert not np.isfinite(utils.clip_grad_norm_(parameters, 1.0).item())
    if np.isnan(number):
        assert np.isnan(gradients(parameters)).all()


# ---------------------------------------------------------------- parameters as a vector


def test_parameters_to_vector_and_back():
    layer = nn.Sequential(nn.Linear(2, 3), nn.Conv1d(1, 2, 3)).double()
    vector = utils.parameters_to_vector(layer.parameters())
    np.testing.assert_array_equal(
        vector.detach().data, np.concatenate([p.data.ravel() for p in layer.parameters()])
    )
    (vector * td.arange(len(vector)).double()).sum().backward()
    np.testing.assert_array_equal(gradients(layer.parameters()), np.arange(len(vector)))

    new = draw(len(vector))
    utils.vector_to_parameters(new, layer.parameters())
    np.testing.assert_array_equal(
        utils.parameters_to_vector(layer.parameters()).detach().data, new.data
    )
    new.data[:] = 0
    assert all((p.data != 0).all() for p in layer.parameters())
    utils.vector_to_parameters(new.float(), layer.parameters())
    assert {p.dtype for p in layer.parameters()} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(
        utils.parameters_to_vector(layer[0].weight).data, layer[0].weight.data.ravel()
    )
    for wrong in (draw(len(vector) + 1), draw(3), draw(len(vector), 1)):
        with refused(ValueError, len(vector), wrong.shape):
            utils.vector_to_parameters(wrong, layer.parameters())
    with refused(ValueError, len(vector), "Tensor", "ndarray"):
        utils.vector_to_parameters(new.data, layer.parameters())


# ---------------------------------------------------------------- spectral norm and weight norm

LAYERS = [
    pytest.param(make, draw(*shape, seed=2), id=name)
    for name, make, shape in (
        ("Linear", lambda: nn.Linear(4, 3), (2, 4)),
        ("Conv2d", lambda: nn.Conv2d(4, 6, (2, 3), groups=2), (1, 4, 3, 4)),
        ("Conv1d", lambda: nn.Conv1d(2, 3, 3, bias=False), (2, 2, 5)),
        ("ConvTranspose2d", lambda: nn.ConvTranspose2d(4, 6, 2, groups=2), (1, 4, 3, 2)),
    )
]


def as_matrix(weight, dim):
    return np.moveaxis(weight, dim, 0).reshape(weight.shape[dim], -1)


@pytest.mark.parametrize(("make", "x"), LAYERS)
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
def test_spectral_norm_is_one(make, x, dim):
    td.manual_seed(0)
    layer = make().double()
    before = layer.weight.data
    rows = dim if dim is not None else int("Transpose" in type(layer).__name__)
    assert utils.spectral_norm(layer, n_power_iterations=300, dim=dim) is layer
    weight = layer.weight.detach().data
    largest = np.linalg.norm(as_matrix(before, rows), 2)
    np.testing.assert_allclose(weight, before / largest, rtol=1e-10)


def test_power_iteration_is_for_training():
    layer = spectral_norm(nn.Linear(5, 4).double())
    weight = layer.parametrizations["weight"].original
    weight.data = draw(4, 5).data
    layer.eval()
    first = layer.weight.detach().data
    np.testing.assert_array_equal(layer.weight.detach().data, first)
    errors = []
    layer.train()
    for _ in range(60):  # one step each time that the weight is read
        errors.append(abs(np.linalg.norm(layer.weight.detach().data, 2) - 1))
    assert errors[0] > 1e-3 and errors[-1] < 1e-6
    u, v = (layer.parametrizations["weight"][0].state_dict()[n].data for n in ("_u", "_v"))
    left, _, right = np.linalg.svd(weight.data)
    assert abs(u @ left[:, 0]) == pytest.approx(1) and abs(v @ right[0]) == pytest.approx(1)


def test_a_vector_is_divided_by_its_length():
    layer = spectral_norm(nn.Linear(2, 3).double(), "bias")
    before = layer.parametrizations["bias"].original.data
    np.testing.assert_allclose(layer.bias.detach().data, before / np.sqrt((before**2).sum()))
    assert list(layer.state_dict()) == ["weight", "parametrizations.bias.original"]


@pytest.mark.parametrize(("make", "x"), LAYERS)
@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm_learns_lengths_and_directions(make, x, dim):
    layer = make().double()
    before, expected = layer.weight.data, layer(x).detach().data
    assert weight_norm(layer, dim=dim) is layer
    np.testing.assert_allclose(layer(x).detach().data, expected, rtol=1e-12)
    g, v = layer.parametrizations["weight"].parameters()
    np.testing.assert_array_equal(v.data, before)
    v.data = draw(*v.shape).data
    g.data = np.abs(draw(*g.shape, seed=1).data)
    weight = layer.weight.detach().data
    if dim is None:
        assert g.shape == () and np.sqrt((weight**2).sum()) == pytest.approx(g.item())
    else:
        rows = as_matrix(weight, dim)
        np.testing.assert_allclose(np.sqrt((rows**2).sum(1)), g.data.ravel())
        assert g.ndim == weight.ndim and g.shape[dim] == weight.shape[dim]
    cosine = (weight * v.data).sum() / np.sqrt((weight**2).sum() * (v.data**2).sum())
    assert dim is not None or cosine == pytest.approx(1)


@pytest.mark.parametrize(("make", "x"), LAYERS)
@pytest.mark.parametrize("computed", [spectral_norm, weight_norm])
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_gradients(make, x, computed, check):
    layer = computed(make().double()).eval()  # the singular vectors stay, in training they move
    assert check(layer, x.detach().requires_grad_(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("computed", [spectral_norm, weight_norm])
def test_a_computed_weight_lives_with_its_module(computed):
    layer = nn.Linear(3, 2)
    before = layer.weight
    model = nn.Sequential(computed(layer), nn.ReLU())
    assert isinstance(layer, nn.Linear) and type(layer).__name__ == "ParametrizedLinear"
    learned = list(layer.parametrizations["weight"].parameters())
    assert any(p is before for p in learned) == (computed is spectral_norm)
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in learned)
    assert "weight" not in dict(layer.named_parameters()) and "parametrizations" in repr(model)
    again = copy.deepcopy(model.eval())
    assert not again[0].parametrizations["weight"][0].training
    np.testing.assert_array_equal(again[0].weight.detach().data, layer.weight.detach().data)
    again[0].parametrizations["weight"].parameters().__next__().data *= 3
    learned[-1].data = learned[-1].data + 1
    assert (again[0].weight.detach().data != layer.weight.detach().data).any()
    model.double()
    assert layer.weight.dtype == td.float64 and model(draw(4, 3)).dtype == td.float64

    model.train()
    real, fake = model(draw(4, 3)), model(draw(4, 3, seed=1))  # two forwards, then the backward
    (real - fake).square().sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    td.optim.SGD(model.parameters(), lr=0.1).step()
    with refused(ValueError, "'weight'", "ParametrizedLinear"):
        computed(layer)


def test_two_computed_weights_of_one_module():
    layer = nn.Linear(3, 2).double()
    other = copy.deepcopy(weight_norm(layer))
    spectral_norm(layer, "bias")
    assert layer.bias.norm().item() == pytest.approx(1) and layer.weight.shape == (2, 3)
    assert isinstance(other.bias, nn.Parameter)  # the copy's class is not changed with it
    assert type(layer).__name__ == "ParametrizedLinear"


@pytest.mark.parametrize("computed", [spectral_norm, weight_norm])
def test_frozen_weights_stay_frozen(computed):
    layer = computed(nn.Linear(3, 2).requires_grad_(False))
    assert not any(p.requires_grad for p in layer.parameters())
    assert not layer(td.ones(1, 3)).requires_grad


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: spectral_norm(nn.ReLU()), ValueError, ("'weight'", "ReLU")),
        (lambda: weight_norm(nn.Linear(2, 2), "wait"), ValueError, ("'wait'", "Linear")),
        (lambda: spectral_norm(nn.BatchNorm1d(2), "running_mean"), ValueError, ("BatchNorm1d",)),
        (lambda: spectral_norm(nn.Linear(2, 2), n_power_iterations=0), ValueError, (1, 0)),
        (lambda: spectral_norm(nn.Linear(2, 2), dim=2), IndexError, (2,)),
        (lambda: weight_norm(nn.Linear(2, 2), dim=-3), IndexError, (-3,)),
    ],
)
def test_what_cannot_be_computed(call, kind, words):
    with refused(kind, *words):
        call()


def test_a_refused_layer_is_left_as_it_was():
    layer = nn.Linear(2, 2)
    with pytest.raises(IndexError):
        weight_norm(layer, dim=5)
    assert type(layer) is nn.Linear and list(layer.state_dict()) == ["weight", "bias"]


def test_on_a_gpu(cupy):
    for computed in (spectral_norm, weight_norm):
        layer = nn.Conv2d(2, 3, 2).double()
        expected = computed(copy.deepcopy(layer))
        layer = computed(layer.cuda())
        x = draw(1, 2, 4, 4)
        if computed is weight_norm:
            found = layer(x.cuda()).detach().cpu().data
            np.testing.assert_allclose(found, expected(x).detach().data)
        layer(x.cuda()).sum().backward()
        assert str(utils.clip_grad_norm_(layer.parameters(), 0.1).device) == "cuda:0"
        utils.clip_grad_value_(layer.parameters(), 0.01)
        assert utils.parameters_to_vector(p.grad for p in layer.parameters()).amax().item() <= 0.01
        vector = utils.parameters_to_vector(layer.parameters()).detach()
        utils.vector_to_parameters(vector * 2, layer.parameters())
        assert {str(t.device) for t in layer.state_dict().values()} == {"cuda:0"}
