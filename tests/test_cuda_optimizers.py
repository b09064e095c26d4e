"""Optimisers whose step is a kernel: against formulas for one number, and against NumPy."""

import numpy as np
import pytest
from test_cuda_normalization import watch
from test_optim import NAIVE, OPTIMISERS, give_gradients, parameter

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.backend import to_numpy
from tinydeconv.optim import SGD, Adam, AdamW, RMSprop

WITH_KERNEL = [row for row in OPTIMISERS if row[0] in (Adam, AdamW, SGD)]
SHAPES = [(3, 2), (), (257,), (0, 3)]


def steps(optimiser, parameters, numbers):
    for step in numbers:
        give_gradients(parameters, step)
        optimiser.step()


@pytest.mark.parametrize(("cls", "options"), WITH_KERNEL)
def test_a_trajectory_is_that_of_the_formula_and_of_numpy(cupy, cls, options):
    both = [[parameter(*shape, device=d) for shape in SHAPES] for d in ("cuda", "cpu")]
    ours, other = (cls(parameters, **options) for parameters in both)
    numbers = to_numpy(both[0][0].data).copy()
    kept = {at: {} for at in np.ndindex(numbers.shape)}
    defaults = {"lr": 1e-3} if cls is SGD else {}
    for step in range(20):
        give_gradients(both[0], step)
        for at, memory in kept.items():
            g = to_numpy(both[0][0].grad.data)[at]
            numbers[at] = NAIVE[cls](numbers[at], g, memory, step + 1, **defaults | options)
        ours.step()
    steps(other, both[1], range(20))
    np.testing.assert_allclose(to_numpy(both[0][0].data), numbers, rtol=1e-12)
    for p, q in zip(*both, strict=True):
        assert isinstance(p.data, cupy.ndarray) and p.shape == q.shape
        np.testing.assert_allclose(to_numpy(p.data), q.data, rtol=1e-12)
        assert ours.state[p].keys() == other.state[q].keys()
        for name, moment in other.state[q].items():
            if name != "step":
                found = to_numpy(ours.state[p][name].data)
                np.testing.assert_allclose(found, moment.data, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("cls", [Adam, AdamW, SGD])
def test_float32(cupy, cls):
    both = [parameter(300, dtype=np.float32, device=d) for d in ("cuda", "cpu")]
    for p in both:
        options = {"momentum": 0.9} if cls is SGD else {"amsgrad": True}
        steps(cls([p], lr=0.01, weight_decay=0.1, **options), [p], range(5))
    assert both[0].dtype == np.float32
    np.testing.assert_allclose(to_numpy(both[0].data), both[1].data, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(("cls", "options"), WITH_KERNEL)
def test_a_step_is_one_launch_a_parameter(cupy, monkeypatch, cls, options):
    parameters = [parameter(*shape, device="cuda") for shape in SHAPES[:3]]
    optimiser = cls(parameters, **options)
    steps(optimiser, parameters, range(1))
    launched = watch(monkeypatch)
    give_gradients(parameters, 1)
    optimiser.step()
    assert launched == ["sgd" if cls is SGD else "adam"] * 3


@pytest.mark.parametrize(("cls", "options"), WITH_KERNEL)
def test_the_arrays_of_parameter_and_gradient_are_left_alone(cupy, cls, options):
    p = parameter(300, device="cuda")
    optimiser = cls([p], **options)
    for step in range(2):
        give_gradients([p], step)
        arrays = p.data, p.grad.data
        before = [to_numpy(a) for a in arrays]
        optimiser.step()
        for array, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(to_numpy(array), old)
        assert all(x.data is not arrays[1] for n, x in optimiser.state[p].items() if n != "step")


def test_the_same_bits_every_time(cupy):
    def once():
        p = parameter(1000, dtype=np.float32, device="cuda")
        steps(Adam([p], lr=0.1, amsgrad=True), [p], range(3))
        return to_numpy(p.data).tobytes()

    assert once() == once()


@pytest.mark.parametrize("cls", [Adam, SGD])
def test_a_state_travels_and_goes_on_there(cupy, cls):
    """Also a state of another order of memory, and with settings changed on the way."""
    first = parameter(2, 3)
    options = {"momentum": 0.9} if cls is SGD else {}
    optimiser = cls([first], lr=0.1, **options)
    steps(optimiser, [first], range(3))
    saved = optimiser.state_dict()
    for state in saved["state"].values():
        for name in state.keys() - {"step"}:
            state[name].data = np.asfortranarray(state[name].data)
    found = []
    for device in ("cpu", "cuda"):
        p = td.tensor(first.data, device=device, requires_grad=True)
        p.data = p.data.T.copy().T  # columns first
        other = cls([p], lr=0.1, **options)
        other.load_state_dict(saved)
        other.param_groups[0] |= {"weight_decay": 0.1, "name": "p", "params": [p]}
        if cls is Adam:
            other.param_groups[0]["amsgrad"] = True
        steps(other, [p], range(3, 6))
        found.append([to_numpy(x.data) for x in (p, *other.state[p].values()) if x is not None
                      and hasattr(x, "data")])  # fmt: skip
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-12)


@pytest.mark.parametrize("change", [lambda layer: layer.double(), lambda layer: layer.to("cuda")])
def test_a_model_that_changes_on_the_way_takes_its_state_along(cupy, change):
    found = []
    for device in ("cpu", "cuda"):
        layer = nn.Linear(3, 2)
        layer.weight.data = parameter(2, 3, dtype=np.float32).data
        optimiser = Adam([layer.to(device).weight], lr=0.1)
        steps(optimiser, [layer.weight], range(3))
        change(layer)
        steps(optimiser, [layer.weight], range(3, 6))
        found.append(layer.weight)
    assert found[0].dtype == found[1].dtype and isinstance(found[1].data, cupy.ndarray)
    np.testing.assert_allclose(*(to_numpy(w.data) for w in found), rtol=1e-6)


def test_infinite_numbers_meet_no_decay_that_there_is_not(cupy):
    for cls in (Adam, SGD):
        p = td.tensor([np.inf, -np.inf], device="cuda", requires_grad=True)
        p.grad = td.tensor([1.0, 1.0], device="cuda")
        cls([p], lr=0.1).step()
        assert p.cpu().tolist() == [np.inf, -np.inf]


def test_another_direction_or_dtype_is_not_the_kernels(cupy, monkeypatch):
    class Sign(Adam):
        def direction(self, g, state, **_):
            state["exp_avg"] = state["exp_avg_sq"] = g
            return g / abs(g)

    half = parameter(3, dtype=np.float16, device="cuda")
    p, q = parameter(3, device="cuda"), parameter(3, device="cuda")
    launched = watch(monkeypatch)
    start = to_numpy(p.data)
    for optimiser, x in ((Sign([p], lr=1.0), p), (Adam([half]), half), (RMSprop([q]), q)):
        steps(optimiser, [x], range(1))
    assert launched == [] and half.dtype == np.float16
    np.testing.assert_allclose(abs(to_numpy(p.data) - start), 1)
