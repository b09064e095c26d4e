"""Optimisers and the one-cycle schedule, against scalar formulas and by rule."""

import json
import math

import naive
import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.optim import SGD, Adam, OneCycleLR


def parameter(*shape, seed=0, dtype=np.float64):
    numbers = np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))
    return td.tensor(numbers.astype(dtype), requires_grad=True)


def give_gradients(parameters, step):
    """Of sum(sin(step + 3 p)): depends on where the parameter is."""
    for p in parameters:
        p.grad = td.tensor(np.asarray(3 * np.cos(step + 3 * p.data)))


# ---------------------------------------------------------------- against the formulas


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_sgd(options):
    parameters = [parameter(3, 2), parameter(4), parameter()]
    optimiser = SGD(parameters, **options)
    expected = [p.data.copy() for p in parameters]
    velocities = [dict.fromkeys(np.ndindex(p.shape)) for p in parameters]
    for step in range(6):
        give_gradients(parameters, step)
        for p, known, velocity in zip(parameters, expected, velocities, strict=True):
            for at in np.ndindex(p.shape):
                g, v = p.grad.data[at], velocity[at]
                known[at], velocity[at] = naive.sgd_step(known[at], g, v, **options)
        optimiser.step()
        for p, known in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(p.data, known, rtol=1e-13)


@pytest.mark.parametrize(
    "options",
    [{}, {"lr": 0.1}, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1}],
    ids=str,
)
def test_adam(options):
    parameters = [parameter(3, 2), parameter(4), parameter()]
    optimiser = Adam(parameters, **options)
    expected = [p.data.copy() for p in parameters]
    moments = [dict.fromkeys(np.ndindex(p.shape), (0.0, 0.0)) for p in parameters]
    for step in range(6):
        give_gradients(parameters, step)
        for p, known, moment in zip(parameters, expected, moments, strict=True):
            for at in np.ndindex(p.shape):
                found = naive.adam_step(
                    known[at], p.grad.data[at], *moment[at], step + 1, **options
                )
                known[at], *moment[at] = found
        optimiser.step()
        for p, known in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(p.data, known, rtol=1e-13)


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate():
    p = td.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimiser = Adam([p], lr=0.25)
    p.grad = td.tensor([1e-3, -50.0, 7.0])
    optimiser.step()
    np.testing.assert_allclose(p.data, [0.75, 2.25, 2.75], rtol=1e-5)


@pytest.mark.parametrize("cls", [SGD, Adam])
def test_a_quadratic_is_solved(cls):
    x, target = parameter(3), td.tensor([1.0, -2.0, 0.5], dtype=td.float64)
    optimiser = cls([x], lr=0.1)
    for _ in range(300):
        optimiser.zero_grad()
        ((x - target) ** 2).sum().backward()
        optimiser.step()
    np.testing.assert_allclose(x.data, target.data, atol=1e-3)


# ---------------------------------------------------------------- the rules of a step

OPTIMISERS = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (Adam, {"lr": 0.1, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_parameter_without_a_gradient_stays(cls, options):
    still, moving = parameter(2), parameter(2, seed=1)
    before = still.data.copy()
    optimiser = cls([still, moving], **options)
    give_gradients([moving], 0)
    optimiser.step()
    np.testing.assert_array_equal(still.data, before)
    assert optimiser.state[0] == {}
    optimiser.zero_grad()
    assert still.grad is moving.grad is None
    after = moving.data.copy()
    optimiser.step()
    np.testing.assert_array_equal(moving.data, after)


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_step_keeps_dtype_and_shape_and_leaves_the_gradient(cls, options, dtype, shape):
    """Also with a learning rate from NumPy, whose float64 would widen float32."""
    p = parameter(*shape, dtype=dtype)
    optimiser = cls([p], **options | {"lr": np.float64(0.1)})
    for step in range(2):
        give_gradients([p], step)
        gradient = p.grad.data.copy()
        optimiser.step()
        assert (p.dtype, p.shape) == (dtype, shape) and p.requires_grad
        np.testing.assert_array_equal(p.grad.data, gradient)
    moments = [v for v in optimiser.state[0].values() if hasattr(v, "dtype")]
    assert all(m.dtype == dtype and m.shape == shape for m in moments)


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_arrays_given_to_a_parameter_are_not_written_to(cls, options):
    numbers = np.ones(3)
    p = td.from_numpy(numbers).requires_grad_()
    optimiser = cls([p], **options)
    give_gradients([p], 0)
    optimiser.step()
    assert (numbers == 1).all() and (p.data != 1).all()


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_groups_have_settings_of_their_own(cls, options):
    a, b = parameter(3), parameter(3)
    alone = parameter(3), parameter(3)
    both = cls([{"params": [a], "lr": 0.7}, {"params": iter([b])}], **options)
    each = cls([alone[0]], **options | {"lr": 0.7}), cls([alone[1]], **options)
    assert [group["lr"] for group in both.param_groups] == [0.7, 0.1]
    for step in range(3):
        give_gradients([a, b, *alone], step)
        for optimiser in (both, *each):
            optimiser.step()
    np.testing.assert_array_equal(a.data, alone[0].data)
    np.testing.assert_array_equal(b.data, alone[1].data)
    assert (a.data != b.data).any()


def test_a_changed_learning_rate_counts_from_the_next_step():
    p = td.tensor([1.0], requires_grad=True)
    optimiser = SGD([p], lr=0.5)
    p.grad = td.tensor([1.0])
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 0.25
    optimiser.step()
    assert p.tolist() == [0.25]


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_graph_from_before_the_step_is_stale(cls, options):
    """Stepping one of two networks too early, as happens to GANs: an error, no wrong gradient."""
    layers = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimiser = cls(layers.parameters(), **options)
    first, second = (layers(td.ones(3, 2)) ** 2).sum(), layers(td.ones(3, 2)).sum()
    first.backward()
    optimiser.step()
    with refused(RuntimeError, "overwritten", "optimiser"):
        second.backward()
    layers(td.ones(3, 2)).sum().backward()


def test_the_gradient_still_holds_where_nobody_reads_what_was_overwritten():
    p = td.tensor([1.0, 2.0], requires_grad=True)
    loss = (p + 1).sum()  # linear: its backward needs no values
    optimiser = SGD([p], lr=0.1)
    p.grad = td.tensor([1.0, 1.0])
    optimiser.step()
    optimiser.zero_grad()
    loss.backward()
    assert p.grad.tolist() == [1, 1]


# ---------------------------------------------------------------- state


def run(optimiser, p, steps):
    for step in steps:
        give_gradients(p, step)
        optimiser.step()


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
@pytest.mark.parametrize("through", [lambda state: state, lambda state: text_and_back(state)])
def test_state_dict_round_trip_goes_on_identically(cls, options, through):
    p, q = [parameter(3), parameter(2)], [parameter(3, seed=5), parameter(2, seed=5)]
    optimiser = cls(p, **options)
    run(optimiser, p, range(3))
    state = through(optimiser.state_dict())
    other = cls(q, lr=99.0)
    for mine, saved in zip(q, p, strict=True):
        mine.data = saved.data.copy()
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.1
    run(optimiser, p, range(3, 6))
    run(other, q, range(3, 6))
    for a, b in zip(p, q, strict=True):
        np.testing.assert_array_equal(a.data, b.data)


def text_and_back(state):
    """As it comes back from JSON: strings for indices, lists for pairs, and arrays by hand."""
    text = json.dumps(state, default=lambda array: {"array": array.tolist()})
    return json.loads(text, object_hook=lambda d: np.array(d["array"]) if "array" in d else d)


def test_state_dict_has_pytorchs_form():
    p = [parameter(3), parameter(2)]
    optimiser = Adam(p, lr=0.1)
    give_gradients(p[:1], 0)
    optimiser.step()
    state = optimiser.state_dict()
    assert set(state) == {"state", "param_groups"} and set(state["state"]) == {0}
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq"}
    (group,) = state["param_groups"]
    assert group == {
        "lr": 0.1,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0,
        "params": [0, 1],
    }


def test_loading_copies():
    p, q = parameter(3), parameter(3)
    optimiser, other = SGD([p], lr=0.1, momentum=0.9), SGD([q], lr=0.1, momentum=0.9)
    run(optimiser, [p], range(1))
    state = optimiser.state_dict()
    other.load_state_dict(state)
    other.state[0]["momentum_buffer"][:] = 0
    assert (optimiser.state[0]["momentum_buffer"] != 0).all()


def test_a_state_that_does_not_fit_is_refused():
    p = [parameter(3), parameter(2)]
    optimiser = Adam(p, lr=0.1)
    run(optimiser, p, range(1))
    state = optimiser.state_dict()
    with refused(RuntimeError, "[2]", "[1]"):
        Adam([parameter(3)]).load_state_dict(state)
    other = Adam([parameter(3), parameter(4)], lr=0.7)
    with refused(RuntimeError, "exp_avg", "parameter 1", "(2,)", "(4,)"):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.7 and other.state == [{}, {}]


def test_the_state_of_another_optimiser_is_refused():
    p = parameter(3)
    sgd, adam = SGD([p], lr=0.1, momentum=0.9), Adam([p], lr=0.1)
    run(sgd, [p], range(1))
    run(adam, [p], range(1))
    with refused(RuntimeError, "parameter 0", "momentum_buffer", "step, exp_avg, exp_avg_sq"):
        Adam([parameter(3)]).load_state_dict(sgd.state_dict())
    with refused(RuntimeError, "SGD", "parameter 0", "momentum_buffer", "exp_avg"):
        SGD([parameter(3)]).load_state_dict(adam.state_dict())
    state = adam.state_dict()
    del state["state"][0]["exp_avg"]
    with refused(RuntimeError, "Adam", "parameter 0", "step, exp_avg_sq"):
        Adam([parameter(3)]).load_state_dict(state)


# ---------------------------------------------------------------- refusals

P = parameter(2)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: SGD([]), ValueError, ("one parameter", "none")),
        (lambda: SGD(P), TypeError, ("list", "Tensor", "[x]")),
        (lambda: SGD([P * 2]), TypeError, ("leaf", "computed Tensor")),
        (lambda: SGD([P.data]), TypeError, ("leaf", "ndarray")),
        (lambda: SGD(nn.Linear(1, 1).named_parameters()), TypeError, ("leaf", "tuple")),
        (lambda: SGD([P, P]), ValueError, ("once", "twice")),
        (lambda: Adam([{"params": [P]}, {"params": [P]}]), ValueError, ("once", "twice")),
        (lambda: SGD([P], lr=-0.1), ValueError, ("lr", -0.1)),
        (lambda: SGD([P], momentum=-1), ValueError, ("momentum", -1)),
        (lambda: SGD([P], weight_decay=-2), ValueError, ("weight_decay", -2)),
        (lambda: Adam([P], eps=-1e-8), ValueError, ("eps", -1e-8)),
        (lambda: Adam([P], betas=(0.9, 1.0)), ValueError, ("betas", "(0.9, 1.0)")),
        (lambda: Adam([P], betas=(-0.1, 0.9)), ValueError, ("betas", "(-0.1, 0.9)")),
        (lambda: SGD([P], nesterov=True), ValueError, ("Nesterov", "momentum > 0", 0)),
        (lambda: SGD([P], momentum=0.9, dampening=0.1, nesterov=True), ValueError, (0.9, 0.1)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 0), ValueError, ("total_steps", 0)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 2.5), ValueError, ("total_steps", 2.5)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, 2), ValueError, ("pct_start", 2)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, -0.1), ValueError, ("pct_start", -0.1)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, anneal_strategy="exp"), ValueError, ("'exp'",)),
    ],
)  # fmt: skip
def test_refused(make, kind, words):
    with refused(kind, *words):
        make()


# ---------------------------------------------------------------- one cycle


def rates(optimiser, schedule, total):
    """The learning rate of each of the steps."""
    found = []
    for _ in range(total):
        found.append(optimiser.param_groups[0]["lr"])
        schedule.step()
    return found


@pytest.mark.parametrize("strategy", ["cos", "linear"])
def test_one_cycle_goes_up_and_down(strategy):
    optimiser = SGD([P], momentum=0.5)
    schedule = OneCycleLR(optimiser, 0.5, 41, pct_start=0.51, anneal_strategy=strategy,
                          div_factor=10, final_div_factor=50)  # fmt: skip
    found = rates(optimiser, schedule, 41)
    # 0.51 * 41 - 1 = 19.91 is where the top would be, between two steps
    assert found[0] == pytest.approx(0.05) and found[-1] == pytest.approx(0.001)
    assert 0.49 < max(found) < 0.5 and found.index(max(found)) == 20
    assert sorted(found[:21]) == found[:21] and sorted(found[20:], reverse=True) == found[20:]


def test_one_cycle_in_numbers():
    optimiser = Adam([P], betas=(0.7, 0.99))
    schedule = OneCycleLR(optimiser, 1.0, 10, pct_start=0.5, base_momentum=0.8, max_momentum=0.9)
    assert schedule.get_last_lr() == [pytest.approx(1 / 25)]
    found = []
    for _ in range(10):
        group = optimiser.param_groups[0]
        found.append((group["lr"], group["betas"]))
        schedule.step()
    half = (1 + 1 / 25) / 2
    assert found[2][0] == pytest.approx(half) and found[4][0] == 1.0
    assert found[9][0] == pytest.approx(1 / 25 / 1e4)
    assert found[0][1] == (0.9, 0.99) and found[2][1] == pytest.approx((0.85, 0.99))
    assert found[4][1] == (0.8, 0.99) and found[9][1] == pytest.approx((0.9, 0.99))
    down = 1 / 25e4 + (1 - 1 / 25e4) / 2 * (1 + math.cos(math.pi * 2 / 5))
    assert found[6][0] == pytest.approx(down)


@pytest.mark.parametrize(("part", "expected"), [(0.1, [1, 0.5, 0.0]), (1.0, [0.5, 0.75, 1])])
def test_one_cycle_that_only_falls_or_only_rises(part, expected):
    optimiser = SGD([P])
    total = 10 if part == 0.1 else 3
    schedule = OneCycleLR(optimiser, 1.0, total, part, "linear", False, div_factor=2,
                          final_div_factor=1e9)  # fmt: skip
    found = rates(optimiser, schedule, total)
    if part == 0.1:  # the top is the first step
        expected = np.linspace(1, 0, 10)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_one_cycle_leaves_momentum_alone_when_told():
    optimiser = SGD([P], momentum=0.5)
    schedule = OneCycleLR(optimiser, 1.0, 10, cycle_momentum=False)
    rates(optimiser, schedule, 5)
    assert optimiser.param_groups[0]["momentum"] == 0.5


def test_one_cycle_can_be_resumed():
    first, second = SGD([P], momentum=0.9), SGD([P], momentum=0.9)
    schedule, other = OneCycleLR(first, 1.0, 20), OneCycleLR(second, 1.0, 20)
    rates(first, schedule, 7)
    other.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert second.param_groups[0]["lr"] == first.param_groups[0]["lr"]
    assert second.param_groups[0]["momentum"] == first.param_groups[0]["momentum"]
    assert rates(first, schedule, 13) == rates(second, other, 13)


def test_one_cycle_has_an_end():
    schedule = OneCycleLR(SGD([P]), 1.0, 3)
    for _ in range(3):
        schedule.step()
    with refused(ValueError, 3):
        schedule.step()


def test_public_names():
    assert optim.SGD is SGD and optim.Adam is Adam and td.optim is optim
