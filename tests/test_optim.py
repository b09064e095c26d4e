"""Optimisers and schedules: against formulas for one number, and by rule."""

import inspect
import json
import math
import warnings

import naive
import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn, optim
from tinydeconv.backend import to_numpy
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.optim import SGD, Adagrad, Adam, AdamW, OneCycleLR, RMSprop, l1_penalty
from tinydeconv.optim.lr_scheduler import (
    CosineAnnealingLR,
    LRScheduler,
    MultiStepLR,
    ReduceLROnPlateau,
    StepLR,
)


def parameter(*shape, seed=0, dtype=np.float64, device="cpu"):
    numbers = np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))
    return td.tensor(numbers.astype(dtype), device=device, requires_grad=True)


def give_gradients(parameters, step):
    """Of sum(sin(step + 3 p)): depends on where the parameter is."""
    for p in parameters:
        p.grad = (3 * (step + 3 * p.detach()).cos()).detach()


# ---------------------------------------------------------------- against the formulas


def sgd_step(p, g, kept, t, maximize=False, **options):
    p, kept["v"] = naive.sgd_step(p, -g if maximize else g, kept.get("v"), **options)
    return p


def adam_step(p, g, kept, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
              amsgrad=False, maximize=False, decoupled_weight_decay=False):  # fmt: skip
    if maximize:
        g = -g
    if decoupled_weight_decay:
        p = p - lr * weight_decay * p
    else:
        g = g + weight_decay * p
    kept["m"] = kept.get("m", 0.0) + (1 - betas[0]) * (g - kept.get("m", 0.0))
    kept["v"] = kept.get("v", 0.0) + (1 - betas[1]) * (g**2 - kept.get("v", 0.0))
    kept["largest"] = max(kept["v"], kept.get("largest", 0.0))
    v = kept["largest"] if amsgrad else kept["v"]
    return p - lr * kept["m"] / (1 - betas[0] ** t) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw_step(p, g, kept, t, weight_decay=0.01, **options):
    return adam_step(p, g, kept, t, weight_decay=weight_decay, decoupled_weight_decay=True,
                     **options)  # fmt: skip


def rmsprop_step(p, g, kept, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0,
                 centered=False, maximize=False):  # fmt: skip
    g = (-g if maximize else g) + weight_decay * p
    kept["square"] = alpha * kept.get("square", 0.0) + (1 - alpha) * g**2
    kept["mean"] = alpha * kept.get("mean", 0.0) + (1 - alpha) * g
    scale = math.sqrt(kept["square"] - kept["mean"] ** 2 * centered) + eps
    kept["v"] = momentum * kept.get("v", 0.0) + g / scale
    return p - lr * kept["v"]


def adagrad_step(p, g, kept, t, lr=1e-2, lr_decay=0.0, weight_decay=0.0,
                 initial_accumulator_value=0.0, eps=1e-10, maximize=False):  # fmt: skip
    g = (-g if maximize else g) + weight_decay * p
    kept["sum"] = kept.get("sum", initial_accumulator_value) + g**2
    return p - lr / (1 + (t - 1) * lr_decay) * g / (math.sqrt(kept["sum"]) + eps)


NAIVE = {SGD: sgd_step, RMSprop: rmsprop_step, Adam: adam_step, AdamW: adamw_step,
         Adagrad: adagrad_step}  # fmt: skip
OPTIMISERS = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.3, "maximize": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (RMSprop, {}),
    (RMSprop, {"lr": 0.1, "alpha": 0.8, "eps": 0.01, "weight_decay": 0.1}),
    (RMSprop, {"lr": 0.1, "momentum": 0.7, "maximize": True}),
    (RMSprop, {"lr": 0.1, "momentum": 0.7, "centered": True, "weight_decay": 0.1}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.1}),
    (Adam, {"lr": 0.1, "betas": (0.8, 0.5), "amsgrad": True, "maximize": True}),
    (Adam, {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    (AdamW, {}),
    (AdamW, {"lr": 0.1, "betas": (0.8, 0.5), "eps": 0.01, "weight_decay": 0.5, "amsgrad": True}),
    (AdamW, {"lr": 0.1, "maximize": True}),
    (Adagrad, {}),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "eps": 0.01}),
    (Adagrad, {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
]


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_trajectory_is_that_of_the_formula(cls, options):
    parameters = [parameter(3, 2), parameter(4), parameter()]
    optimiser = cls(parameters, **options)
    expected = [p.data.copy() for p in parameters]
    kept = [{at: {} for at in np.ndindex(p.shape)} for p in parameters]
    defaults = {"lr": 1e-3} if cls is SGD else {}
    for step in range(6):
        give_gradients(parameters, step)
        for p, known, memory in zip(parameters, expected, kept, strict=True):
            for at in np.ndindex(p.shape):
                g = p.grad.data[at]
                known[at] = NAIVE[cls](known[at], g, memory[at], step + 1, **defaults | options)
        optimiser.step()
        for p, known in zip(parameters, expected, strict=True):
            np.testing.assert_allclose(p.data, known, rtol=1e-12)


def test_every_optimiser_and_setting_is_among_these():
    for cls in [c for c in vars(optim).values() if inspect.isclass(c)]:
        if issubclass(cls, optim.Optimizer) and cls is not optim.Optimizer:
            given = {name for kind, options in OPTIMISERS if kind is cls for name in options}
            assert given == {*inspect.signature(cls).parameters} - {"params"}


def test_the_first_step_of_adam_is_as_long_as_the_learning_rate():
    p = td.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimiser = Adam([p], lr=0.25)
    p.grad = td.tensor([1e-3, -50.0, 7.0])
    optimiser.step()
    np.testing.assert_allclose(p.data, [0.75, 2.25, 2.75], rtol=1e-5)


@pytest.mark.parametrize("cls", NAIVE)
def test_a_quadratic_is_solved(cls):
    x, target = parameter(3), td.tensor([1.0, -2.0, 0.5], dtype=td.float64)
    optimiser = cls([x], lr=1.0 if cls is Adagrad else 0.1, weight_decay=0)
    schedule = CosineAnnealingLR(optimiser, 300)
    for _ in range(300):
        optimiser.zero_grad()
        ((x - target) ** 2).sum().backward()
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(x.data, target.data, atol=1e-3)


# ---------------------------------------------------------------- the rules of a step


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_parameter_without_a_gradient_stays(cls, options):
    still, moving = parameter(2), parameter(2, seed=1)
    before = still.data.copy()
    optimiser = cls([still, moving], **options)
    give_gradients([moving], 0)
    optimiser.step()
    np.testing.assert_array_equal(still.data, before)
    assert still not in optimiser.state
    optimiser.zero_grad()
    assert still.grad is moving.grad is None
    after = moving.data.copy()
    optimiser.step()
    np.testing.assert_array_equal(moving.data, after)


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (2, 3)])
def test_a_step_keeps_dtype_and_shape_and_leaves_the_gradient(cls, options, dtype, shape):
    """Also with settings from NumPy, whose float64 would widen float32."""
    p = parameter(*shape, dtype=dtype)
    numpy = {n: np.float64(x) for n, x in options.items() if type(x) is float}
    optimiser = cls([p], **options | numpy | {"lr": np.float64(0.1)})
    for step in range(2):
        give_gradients([p], step)
        gradient = p.grad.data.copy()
        optimiser.step()
        assert (p.dtype, p.shape) == (dtype, shape) and p.requires_grad
        np.testing.assert_array_equal(p.grad.data, gradient)
    for name, value in optimiser.state[p].items():
        if name == "step":
            assert value == 2 and type(value) is int
        else:
            assert (value.dtype, value.shape) == (dtype, shape) and not value.requires_grad


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_arrays_given_to_a_parameter_are_not_written_to(cls, options):
    numbers = np.ones(3)
    p = td.from_numpy(numbers).requires_grad_()
    optimiser = cls([p], **options)
    give_gradients([p], 0)
    optimiser.step()
    assert (numbers == 1).all() and (p.data != 1).all()


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_what_is_kept_is_no_view_of_the_gradient(cls, options):
    trajectories = []
    for spoil in (False, True):
        p = parameter(3)
        optimiser = cls([p], **options)
        for step in range(3):
            give_gradients([p], step)
            optimiser.step()
            if spoil:
                p.grad.data[:] = 1e3
        trajectories.append(p.data)
    np.testing.assert_array_equal(*trajectories)


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_gpu_computes_what_numpy_does(cupy, cls, options):
    both = []
    for device in ("cpu", "cuda"):
        p = [parameter(2, 3, device=device), parameter(device=device)]
        optimiser = cls(p, **options)
        run(optimiser, p, range(3))
        other = cls(p, **options)
        other.load_state_dict(optimiser.state_dict())
        run(other, p, range(3, 6))
        both.append([to_numpy(x.data) for x in p])
        kept = [v for n, v in other.state[p[0]].items() if n != "step"]
        kind = cupy.ndarray if device == "cuda" else np.ndarray
        assert all(isinstance(x.data, kind) for x in [*p, *kept])
    for a, b in zip(*both, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_a_changed_learning_rate_counts_from_the_next_step():
    p = td.tensor([1.0], requires_grad=True)
    optimiser = SGD([p], lr=0.5)
    p.grad = td.tensor([1.0])
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 0.25
    optimiser.step()
    assert p.tolist() == [0.25]


def test_an_optimiser_of_ones_own():
    class Signs(optim.Optimizer):
        keeps = {"last": None}

        def direction(self, g, state, size, **_):
            state["last"] = g
            return size * np.sign(g)

    p, q = (td.tensor([3.0, -1.0], requires_grad=True) for _ in range(2))
    optimiser = Signs([p], {"lr": 0.5, "size": 2.0})
    p.grad = td.tensor([0.1, -7.0])
    optimiser.step()
    assert p.tolist() == [2, 0] and optimiser.state[p]["last"].tolist() == p.grad.tolist()
    other = Signs([q], {"lr": 9.0, "size": 0.0})
    other.load_state_dict(optimiser.state_dict())
    assert other.param_groups[0]["size"] == 2 and other.state[q]["last"].tolist() == p.grad.tolist()


def test_a_learning_rate_can_be_a_tensor():
    p = td.tensor([1.0], requires_grad=True)
    p.grad = td.tensor([1.0])
    SGD([p], lr=td.tensor(0.25, dtype=td.float64)).step()
    assert p.tolist() == [0.75] and p.dtype == np.float32


def test_numbers_that_are_not_finite_pass_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cls in (RMSprop, Adam, Adagrad):
            p = td.tensor([1.0, 1.0, 1.0], requires_grad=True)
            p.grad = td.tensor([0.0, 1e30, 1.0])
            cls([p], eps=0).step()
            assert np.isnan(p.data[0]) and np.isfinite(p.data[1:]).all()


def test_a_closure_gives_loss_and_gradients():
    p = td.tensor([3.0], requires_grad=True)
    optimiser, calls = SGD([p], lr=0.5), []

    def closure():
        calls.append(p.item())
        optimiser.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with td.no_grad():
        assert optimiser.step(closure).item() == 9
    assert p.tolist() == [0.0] and calls == [3.0]
    assert optimiser.step(closure=closure).item() == 0 and optimiser.step() is None


def test_zero_grad_forgets_gradients_or_makes_them_zero():
    a, b = parameter(3), parameter(2)
    optimiser = SGD([a, b], momentum=0.9)
    a.grad = td.tensor(np.array([1, np.nan, np.inf]))
    before = a.grad
    optimiser.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0, 0] and a.grad.dtype == np.float64 and b.grad is None
    assert before.data[0] == 1
    optimiser.zero_grad()
    assert a.grad is None


# ---------------------------------------------------------------- groups


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_groups_have_settings_of_their_own(cls, options):
    a, b = parameter(3), parameter(3)
    alone = parameter(3), parameter(3)
    both = cls([{"params": a, "lr": 0.7}, {"params": iter([b])}], **options)
    each = cls([alone[0]], **options | {"lr": 0.7}), cls([alone[1]], **options)
    assert both.param_groups[0]["lr"] == 0.7
    assert both.param_groups[1]["lr"] == each[1].param_groups[0]["lr"] != 0.7
    for step in range(3):
        give_gradients([a, b, *alone], step)
        for optimiser in (both, *each):
            optimiser.step()
    np.testing.assert_array_equal(a.data, alone[0].data)
    np.testing.assert_array_equal(b.data, alone[1].data)
    assert (a.data != b.data).any()


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_group_can_come_later(cls, options):
    a, b, c = parameter(3), parameter(2), parameter(2)
    optimiser, alone = cls([a], **options), cls([c], **options | {"lr": 0.3})
    run(optimiser, [a], range(2))
    group = {"params": [b], "lr": 0.3}
    optimiser.add_param_group(group)
    assert group == {"params": [b], "lr": 0.3} and len(optimiser.param_groups) == 2
    assert set(optimiser.param_groups[1]) == set(optimiser.param_groups[0])
    run(optimiser, [a, b], range(2, 5))
    run(alone, [c], range(2, 5))
    np.testing.assert_array_equal(b.data, c.data)


def test_settings_can_be_turned_on_and_off_between_steps():
    for cls, switches in [
        (SGD, {"momentum": 0.9}), (Adam, {"amsgrad": True}),
        (RMSprop, {"momentum": 0.9, "centered": True}),
    ]:  # fmt: skip
        p = parameter(3)
        optimiser = cls([p], lr=0.1)
        off = {name: optimiser.param_groups[0][name] for name in switches}
        for step, settings in enumerate([off, switches, off, switches]):
            optimiser.param_groups[0] |= settings
            run(optimiser, [p], [step])
            other = cls([parameter(3)])
            other.load_state_dict(optimiser.state_dict())  # whatever is left of before
        assert np.isfinite(p.data).all()


# ---------------------------------------------------------------- state


def run(optimiser, parameters, steps):
    for step in steps:
        give_gradients(parameters, step)
        optimiser.step()


def through_json(state):
    """As it comes back from JSON: strings for indices, lists for pairs, and arrays by hand."""
    text = json.dumps(state, default=lambda array: {"array": array.tolist()})
    return json.loads(text, object_hook=lambda d: np.array(d["array"]) if "array" in d else d)


def through_a_file(state, folder):
    """Moments as tensors of a file, everything else beside them."""
    flat = {f"{i}.{n}": x for i, kept in state["state"].items() for n, x in kept.items()}
    td.save({k: x for k, x in flat.items() if isinstance(x, td.Tensor)}, folder / "moments")
    again = {i: {} for i in state["state"]}
    for key, x in (flat | td.load(folder / "moments")).items():
        i, name = key.split(".")
        again[int(i)][name] = x
    return {"state": again, "param_groups": state["param_groups"]}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_resumed_it_takes_the_same_steps_bit_for_bit(cls, options, dtype, tmp_path):
    def fresh(seed, **options):
        p = [parameter(3, seed=seed, dtype=dtype), parameter(seed=seed, dtype=dtype)]
        return p, cls([{"params": p[:1], "weight_decay": 0.2}, {"params": p[1:]}], **options)

    p, whole = fresh(0, **options)
    run(whole, p, range(3))
    state = whole.state_dict()
    states = [state, through_a_file(state, tmp_path)]
    if dtype == np.float64:
        states.append(through_json(state))
    after = [x.data.copy() for x in p]
    run(whole, p, range(3, 6))
    for state in states:
        q, other = fresh(5, lr=99.0)
        for mine, saved in zip(q, after, strict=True):
            mine.data = saved.copy()
        other.load_state_dict(state)
        run(other, q, range(3, 6))
        for a, b in zip(p, q, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
        assert other.param_groups[0].keys() == whole.param_groups[0].keys()
        assert other.param_groups[0]["lr"] == whole.param_groups[0]["lr"]


NAMES = {  # of what PyTorch keeps
    SGD: "momentum_buffer", RMSprop: "step square_avg momentum_buffer grad_avg",
    Adam: "step exp_avg exp_avg_sq max_exp_avg_sq", AdamW: "step exp_avg exp_avg_sq max_exp_avg_sq",
    Adagrad: "step sum",
}  # fmt: skip
EVERYTHING = [
    (SGD, {"momentum": 0.9}), (RMSprop, {"momentum": 0.9, "centered": True}),
    (Adam, {"amsgrad": True}), (AdamW, {"amsgrad": True}), (Adagrad, {}),
]  # fmt: skip


@pytest.mark.parametrize(("cls", "options"), EVERYTHING)
def test_state_dict_has_pytorchs_form(cls, options):
    p = [parameter(3), parameter(2), parameter(4)]
    optimiser = cls([{"params": p[:2]}, {"params": p[2:], "lr": 0.5}], lr=0.1, **options)
    run(optimiser, [p[2]], range(2))
    run(optimiser, [p[0]], range(1))
    state = optimiser.state_dict()
    assert set(state) == {"state", "param_groups"} and list(state["state"]) == [0, 2]
    for i, kept in state["state"].items():
        assert set(kept) == set(NAMES[cls].split())
        assert all(isinstance(x, td.Tensor) for n, x in kept.items() if n != "step")
        assert kept.get("step", i + 1) == i + 1  # the third parameter had a gradient every time
    known = {**inspect.signature(cls).parameters}.keys()
    if cls is AdamW:
        known |= {"decoupled_weight_decay"}
    assert all(set(group) == known for group in state["param_groups"])
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert [group["lr"] for group in state["param_groups"]] == [0.1, 0.5]


def test_settings_by_default():
    group = Adam([parameter(1)], lr=0.1).state_dict()["param_groups"][0]
    assert group == {
        "lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "amsgrad": False,
        "maximize": False, "decoupled_weight_decay": False, "params": [0],
    }  # fmt: skip


def test_a_state_dict_is_a_snapshot_and_loading_copies():
    p, q = parameter(3), parameter(3)
    optimiser, other = SGD([p], lr=0.1, momentum=0.9), SGD([q], lr=0.1, momentum=0.9)
    run(optimiser, [p], range(1))
    state = optimiser.state_dict()
    before = state["state"][0]["momentum_buffer"].data.copy()
    other.load_state_dict(state)
    other.state[q]["momentum_buffer"].data[:] = 0
    other.param_groups[0]["lr"] = 7
    run(optimiser, [p], range(1, 2))
    np.testing.assert_array_equal(state["state"][0]["momentum_buffer"].data, before)
    assert (before != 0).all() and state["param_groups"][0]["lr"] == 0.1


def test_states_go_to_the_parameters_by_the_groups_lists():
    p = [parameter(2), parameter(2, seed=1)]
    optimiser = SGD(p, momentum=0.9)
    run(optimiser, p, range(2))
    state = optimiser.state_dict()
    state["param_groups"][0]["params"] = [10, 4]
    state["state"] = {10: state["state"][0], 4: state["state"][1]}
    other = SGD(p, momentum=0.9)
    other.load_state_dict(state)
    for x in p:
        a, b = (o.state[x]["momentum_buffer"].data for o in (optimiser, other))
        np.testing.assert_array_equal(a, b)


def test_a_state_of_before_lacks_settings_and_keeps_the_optimisers_own():
    p = parameter(3)
    optimiser = Adam([p], lr=0.1, maximize=True)
    old = {"lr": 0.2, "betas": [0.8, 0.9], "eps": 1e-8, "weight_decay": 0, "params": [0]}
    moments = {"exp_avg": np.ones(3), "exp_avg_sq": np.ones(3), "step": 3}
    optimiser.load_state_dict({"state": {"0": moments}, "param_groups": [old]})
    (group,) = optimiser.param_groups
    assert group["maximize"] and not group["amsgrad"] and group["lr"] == 0.2
    assert group["params"] == [p] and optimiser.state[p]["step"] == 3
    with refused(RuntimeError, "max_exp_avg_sq", "amsgrad", "parameter 0"):
        Adam([parameter(3)], amsgrad=True).load_state_dict(
            {"state": {"0": moments}, "param_groups": [old]}
        )


def test_adamw_stays_decoupled_with_the_state_of_adam():
    p = parameter(3)
    adam = Adam([p], lr=0.1, weight_decay=0.1)
    run(adam, [p], range(1))
    adamw = AdamW([parameter(3)])
    adamw.load_state_dict(adam.state_dict())
    assert adamw.param_groups[0]["decoupled_weight_decay"] is True
    assert adamw.param_groups[0]["weight_decay"] == 0.1
    adam.load_state_dict(adamw.state_dict())
    assert adam.param_groups[0]["decoupled_weight_decay"] is True


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    p = [parameter(3), parameter(2)]
    optimiser = Adam(p, lr=0.1)
    run(optimiser, p, range(1))
    state = optimiser.state_dict()
    with refused(RuntimeError, "[2]", "[1]"):
        Adam([parameter(3)]).load_state_dict(state)
    other = Adam([parameter(3), parameter(4)], lr=0.7)
    with refused(RuntimeError, "exp_avg", "parameter 1", "(2,)", "(4,)"):
        other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.7 and not other.state
    with refused(RuntimeError, "parameters", "[5]"):
        optimiser.load_state_dict({**state, "state": {**state["state"], 5: state["state"][0]}})
    bad = {**state["param_groups"][0], "betas": (0.9, 1.5)}
    with refused(ValueError, "betas", "(0.9, 1.5)"):
        other.load_state_dict({**state, "param_groups": [bad]})
    with refused(RuntimeError, "exp_avg", "(3,)", "()"):
        odd = {**state["state"][0], "exp_avg": 1.0}
        optimiser.load_state_dict({**state, "state": {0: odd}})


@pytest.mark.parametrize(("cls", "options"), EVERYTHING)
def test_an_incomplete_state_is_refused(cls, options):
    p = parameter(3)
    optimiser = cls([p], **options)
    run(optimiser, [p], range(2))
    state = optimiser.state_dict()
    for name in state["state"][0]:
        kept = {n: x for n, x in state["state"][0].items() if n != name}
        if kept:
            with refused(RuntimeError, cls.__name__, name, "parameter 0"):
                optimiser.load_state_dict({**state, "state": {0: kept}})
    more = {**state["state"][0], "heat": 1.0}
    with refused(RuntimeError, cls.__name__, "heat", "parameter 0"):
        optimiser.load_state_dict({**state, "state": {0: more}})
    # what PyTorch writes of a parameter that never had a gradient
    for nothing in ({}, {0: {}}):
        optimiser.load_state_dict({**state, "state": nothing})
        assert not optimiser.state_dict()["state"]


def test_the_state_of_another_optimiser_is_refused():
    p = parameter(3)
    sgd, adam = SGD([p], lr=0.1, momentum=0.9), Adam([p], lr=0.1)
    run(sgd, [p], range(1))
    run(adam, [p], range(1))
    with refused(RuntimeError, "parameter 0", "momentum_buffer", "step, exp_avg, exp_avg_sq"):
        Adam([parameter(3)]).load_state_dict(sgd.state_dict())
    with refused(RuntimeError, "SGD", "parameter 0", "momentum_buffer", "exp_avg"):
        SGD([parameter(3)]).load_state_dict(adam.state_dict())


# ---------------------------------------------------------------- the L1 penalty


def test_l1_penalty_is_the_sum_of_absolute_values():
    a, b = td.tensor([[1.0, -2.0], [0.0, 4.0]], requires_grad=True), td.tensor(-3.0)
    penalty = l1_penalty(x for x in (a, b))
    assert penalty.shape == () and penalty.item() == 10 and penalty.dtype == np.float32
    (penalty * 2).backward()
    assert a.grad.tolist() == [[2, -2], [0, 2]]
    assert l1_penalty(nn.Linear(3, 2).double().parameters()).dtype == np.float64


def test_l1_penalty_can_be_differentiated_twice():
    inputs = parameter(2, 3), parameter(4), parameter()
    assert gradcheck(lambda *p: l1_penalty(p), inputs, rtol=1e-6, atol=1e-8)
    assert gradgradcheck(lambda *p: l1_penalty([x**3 for x in p]), inputs, rtol=1e-6, atol=1e-8)


# ---------------------------------------------------------------- refusals

P = parameter(2)


def groups(count=2, cls=SGD, **options):
    """An optimiser of several groups with rates 1, 1/2, 1/3 ..."""
    made = [{"params": [parameter(1, seed=i)], "lr": 1 / (i + 1)} for i in range(count)]
    return cls(made, **options)


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: SGD([]), ValueError, ("one parameter", "none")),
        (lambda: SGD(P), TypeError, ("list", "Tensor", "[x]")),
        (lambda: SGD(nn.Linear(1, 1)), TypeError, ("list", "Linear", "model.parameters()")),
        (lambda: SGD(nn.Linear(1, 1).parameters), TypeError, ("method", "model.parameters()")),
        (lambda: SGD({"params": [P]}), TypeError, ("list", "dict")),
        (lambda: SGD([{"params": [P]}, P]), TypeError, ('"params"', "Tensor")),
        (lambda: SGD([{"lr": 0.1}]), TypeError, ('"params"', "dict")),
        (lambda: SGD([P]).add_param_group([P]), TypeError, ('"params"', "list")),
        (lambda: SGD([P]).load_state_dict({}), TypeError, ("optimiser's state",)),
        (lambda: SGD([P]).load_state_dict(None), TypeError, ("optimiser's state",)),
        (lambda: SGD([P]).load_state_dict(nn.Linear(1, 1).state_dict()), TypeError, ("another",)),
        (lambda: SGD([P], lr="0.1"), ValueError, ("lr", "number", "'0.1'")),
        (lambda: Adam([P], lr=None), ValueError, ("lr", "number", "None")),
        (lambda: Adam([P], betas=0.9), ValueError, ("two betas", 0.9)),
        (lambda: SGD({P}), None, ()),  # a set of one has an order
        (lambda: SGD([{"params": {P}}]), TypeError, ("order", "set", "list")),
        (lambda: SGD([P * 2]), TypeError, ("leaf", "computed Tensor")),
        (lambda: SGD([P.data]), TypeError, ("leaf", "ndarray")),
        (lambda: SGD(nn.Linear(1, 1).named_parameters()), TypeError, ("leaf", "tuple")),
        (lambda: SGD([P, P]), ValueError, ("once", "twice")),
        (lambda: Adam([{"params": [P]}, {"params": [P]}]), ValueError, ("once", "twice")),
        (lambda: SGD([P]).add_param_group({"params": P}), ValueError, ("once", "twice")),
        (lambda: SGD([{"params": P, "lr": -3}]), ValueError, ("lr", -3)),
        (lambda: SGD([{"params": P, "lr": 1}], lr=-3), ValueError, ("lr", -3)),
        (lambda: SGD([P], lr=-0.1), ValueError, ("lr", -0.1)),
        (lambda: SGD([P], lr=float("nan")), ValueError, ("lr", "nan")),
        (lambda: SGD([P], momentum=-1), ValueError, ("momentum", -1)),
        (lambda: SGD([P], weight_decay=-2), ValueError, ("weight_decay", -2)),
        (lambda: Adam([P], eps=-1e-8), ValueError, ("eps", -1e-8)),
        (lambda: Adam([P], betas=(0.9, 1.0)), ValueError, ("betas", "(0.9, 1.0)")),
        (lambda: Adam([P], betas=(-0.1, 0.9)), ValueError, ("betas", "(-0.1, 0.9)")),
        (lambda: AdamW([P], betas=(0.9,)), ValueError, ("two betas", "(0.9,)")),
        (lambda: RMSprop([P], alpha=-0.5), ValueError, ("alpha", -0.5)),
        (lambda: Adagrad([P], lr_decay=-0.5), ValueError, ("lr_decay", -0.5)),
        (lambda: Adagrad([P], initial_accumulator_value=-1), ValueError,
         ("initial_accumulator_value", -1)),
        (lambda: SGD([P], nesterov=True), ValueError, ("Nesterov", "momentum > 0", 0)),
        (lambda: SGD([P], momentum=0.9, dampening=0.1, nesterov=True), ValueError, (0.9, 0.1)),
        (lambda: l1_penalty([]), ValueError, ("one parameter", "none")),
        (lambda: StepLR(P, 3), TypeError, ("optimiser", "Tensor")),
        (lambda: StepLR(SGD([P]), 0), ValueError, ("step_size", 0)),
        (lambda: StepLR(SGD([P]), 3, last_epoch=4), ValueError, ("initial_lr", "group 0")),
        (lambda: MultiStepLR(SGD([P]), [5, 3]), ValueError, ("increasing", "[5, 3]")),
        (lambda: CosineAnnealingLR(SGD([P]), 0), ValueError, ("T_max", 0)),
        (lambda: ReduceLROnPlateau(P), TypeError, ("optimiser", "Tensor")),
        (lambda: ReduceLROnPlateau(SGD([P]), "mean"), ValueError, ("mode", "'min'", "'mean'")),
        (lambda: ReduceLROnPlateau(SGD([P]), factor=1.0), ValueError, ("factor", "1.0")),
        (lambda: ReduceLROnPlateau(SGD([P]), factor=-0.1), ValueError, ("factor", "-0.1")),
        (lambda: ReduceLROnPlateau(SGD([P]), threshold_mode="x"), ValueError, ("'rel'", "'x'")),
        (lambda: ReduceLROnPlateau(groups(2), min_lr=[0.1]), ValueError, ("min_lr", 2, 1)),
        (lambda: OneCycleLR(None, 0.1, 10), TypeError, ("optimiser", "NoneType")),
        (lambda: OneCycleLR(SGD([P]), 0.1), ValueError, ("total_steps", "epochs", "None")),
        (lambda: OneCycleLR(SGD([P]), 0.1, epochs=3), ValueError, ("steps_per_epoch", "None")),
        (lambda: OneCycleLR(SGD([P]), 0.1, epochs=0, steps_per_epoch=2), ValueError, (0, 2)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 0), ValueError, ("total_steps", 0)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 2.5), ValueError, ("total_steps", 2.5)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, pct_start=2), ValueError, ("pct_start", 2)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, pct_start=-0.1), ValueError, ("pct_start", -0.1)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, anneal_strategy="exp"), ValueError, ("'exp'",)),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, div_factor=0), ValueError, ("div_factor", 0)),
        (lambda: OneCycleLR(SGD([P]), -0.1, 9), ValueError, ("max_lr", -0.1)),
        (lambda: OneCycleLR(groups(2), [0.1], 9), ValueError, ("max_lr", 2, 1)),
        (lambda: OneCycleLR(Adagrad([P]), 0.1, 9), ValueError, ("cycle_momentum", "Adagrad")),
        (lambda: OneCycleLR(SGD([P]), 0.1, 9, last_epoch=2), ValueError, ("initial_lr", "group 0")),
    ],
)  # fmt: skip
def test_refused(make, kind, words):
    if kind is None:
        make()
        return
    with refused(kind, *words):
        make()


@pytest.mark.parametrize("cls", NAIVE)
@pytest.mark.parametrize("name", ["foreach", "fused", "capturable", "differentiable"])
def test_what_is_left_out_of_pytorchs_arguments_is_refused_by_name(cls, name):
    with pytest.raises(TypeError, match=name):
        cls([P], **{name: True})


def test_a_schedule_of_another_kind_is_refused():
    step = StepLR(SGD([P]), 3)
    with refused(RuntimeError, "StepLR", "T_max"):
        step.load_state_dict(CosineAnnealingLR(SGD([P]), 3).state_dict())
    with refused(RuntimeError, "StepLR", "nothing"):
        step.load_state_dict({})


# ---------------------------------------------------------------- schedules

SCHEDULES = [
    (StepLR, {"step_size": 3}),
    (StepLR, {"step_size": 4, "gamma": 0.5}),
    (MultiStepLR, {"milestones": [2, 5, 5, 9], "gamma": 0.7}),
    (CosineAnnealingLR, {"T_max": 7, "eta_min": 0.01}),
    (CosineAnnealingLR, {"T_max": 1}),
    (OneCycleLR, {"max_lr": [0.5, 0.2], "epochs": 8, "steps_per_epoch": 3, "three_phase": True}),
    (OneCycleLR, {"max_lr": 0.5, "total_steps": 30, "anneal_strategy": "linear"}),
]


def closed_form(cls, options, base, t):
    """The rate of step t in one go; None where there is no such formula."""
    if cls is StepLR:
        return base * options.get("gamma", 0.1) ** (t // options["step_size"])
    if cls is MultiStepLR:
        return base * options["gamma"] ** sum(t >= m for m in options["milestones"])
    if cls is CosineAnnealingLR:
        low = options.get("eta_min", 0)
        return low + (base - low) * (1 + math.cos(math.pi * t / options["T_max"])) / 2
    return None


@pytest.mark.parametrize(("cls", "options"), SCHEDULES)
def test_a_schedule_gives_each_group_its_rates(cls, options):
    optimiser = groups(2, momentum=0.9)
    schedule = cls(optimiser, **options)
    for t in range(24):
        found = [group["lr"] for group in optimiser.param_groups]
        assert schedule.last_epoch == t and schedule.get_last_lr() == found
        for lr, base in zip(found, (1, 1 / 2), strict=True):
            expected = closed_form(cls, options, base, t)
            assert expected is None or lr == pytest.approx(expected, rel=1e-12, abs=1e-16)
        optimiser.step()
        schedule.step()
    if cls is not OneCycleLR:
        assert schedule.base_lrs == [group["initial_lr"] for group in optimiser.param_groups]
        assert schedule.base_lrs == [1, 1 / 2]


@pytest.mark.parametrize(("cls", "options"), SCHEDULES)
def test_a_schedule_is_resumed_with_its_optimiser(cls, options):
    def go(optimiser, schedule, steps):
        found = []
        for _ in range(steps):
            schedule.step()
            found.append([(g["lr"], g["momentum"]) for g in optimiser.param_groups])
        return found

    whole = groups(2, momentum=0.9)
    schedule = cls(whole, **options)
    go(whole, schedule, 8)
    states = json.loads(json.dumps([whole.state_dict(), schedule.state_dict()]))
    after = go(whole, schedule, 12)
    for first in (0, 1):  # in either order
        other = groups(2, momentum=0.1)
        again = cls(other, **options)
        for which in (first, 1 - first):
            (other, again)[which].load_state_dict(states[which])
        assert again.get_last_lr() == [group["lr"] for group in other.param_groups]
        assert go(other, again, 12) == after and again.state_dict() == schedule.state_dict()
    # or as PyTorch resumes too: a schedule that is made anew behind the last step
    other = groups(2, momentum=0.1)
    other.load_state_dict(states[0])
    again = cls(other, **options, last_epoch=8)
    if cls is not CosineAnnealingLR:  # which in PyTorch as here keeps the rate for one step more
        found = [[(g["lr"], g["momentum"]) for g in other.param_groups], *go(other, again, 11)]
        assert found == after
    assert again.last_epoch == (9 if cls is CosineAnnealingLR else 20)


def test_a_rate_changed_by_hand_counts():
    for make in (lambda o: StepLR(o, 2, 0.5), lambda o: MultiStepLR(o, [2], 0.5)):
        optimiser = SGD([P], lr=1.0)
        schedule = make(optimiser)
        optimiser.param_groups[0]["lr"] = 10.0
        schedule.step()
        assert optimiser.param_groups[0]["lr"] == 10.0
        schedule.step()
        assert optimiser.param_groups[0]["lr"] == 5.0


def test_a_schedule_of_ones_own():
    class Halves(LRScheduler):
        def get_lr(self):
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimiser = groups(2)
    schedule = Halves(optimiser)
    schedule.step()
    assert schedule.get_last_lr() == [1 / 2, 1 / 4] and schedule.last_epoch == 1
    other = groups(2)
    again = Halves(other)
    again.load_state_dict(schedule.state_dict())
    again.step()
    assert [group["lr"] for group in other.param_groups] == [1 / 4, 1 / 8]


# ---------------------------------------------------------------- on a plateau


def plateau(measured, **options):
    """The rates after each measurement."""
    optimiser = SGD([P], lr=1.0)
    schedule = ReduceLROnPlateau(optimiser, **options)
    found = []
    for value in measured:
        schedule.step(value)
        assert schedule.get_last_lr() == [optimiser.param_groups[0]["lr"]]
        found.append(optimiser.param_groups[0]["lr"])
    return found


def test_the_rate_falls_after_more_than_patience_steps_without_improvement():
    # the best is 1 at first, is passed by 0.5, then never again
    measured = [1, 2, 0.5, 0.5, 0.6, 0.7, 0.5, 0.5, 0.5]
    assert plateau(measured, patience=2, factor=0.5) == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]
    upside_down = [10 - m for m in measured]
    assert plateau(upside_down, mode="max", patience=2, factor=0.5)[5:] == [0.5, 0.5, 0.5, 0.25]
    assert plateau([1.0] * 12) == [1.0] * 11 + [0.1]


def test_a_plateau_cools_down():
    found = plateau([1.0] * 9, patience=1, factor=0.5, cooldown=2)
    # reduced at the third (two bad ones), which wait two steps, then two bad ones again
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_what_counts_as_better():
    for options, better, not_better in [
        ({"threshold": 0.1}, 8.99, 9.01),
        ({"threshold": 0.1, "threshold_mode": "abs"}, 9.89, 9.91),
        ({"threshold": 0.1, "mode": "max"}, 11.01, 10.99),
        ({"threshold": 0.1, "threshold_mode": "abs", "mode": "max"}, 10.11, 10.09),
        ({}, 9.9989, 9.9991),
        ({}, -math.inf, math.nan),
    ]:
        assert plateau([10.0, better], patience=0, **options) == [1, 1]
        assert plateau([10.0, not_better], patience=0, **options) == [1, 0.1]


def test_rates_have_a_floor_and_small_changes_are_left_out():
    assert plateau([1.0] * 5, patience=0, min_lr=0.05)[1:] == [0.1, 0.05, 0.05, 0.05]
    assert plateau([1.0] * 4, patience=0, factor=0.5, eps=0.3)[1:] == [0.5, 0.5, 0.5]
    optimiser = groups(2)
    schedule = ReduceLROnPlateau(optimiser, patience=0, min_lr=[0.9, 0.02])
    optimiser.param_groups[0]["lr"] = 0.5  # below its floor, where it is left
    for _ in range(3):
        schedule.step(td.tensor(1.0))
    assert [group["lr"] for group in optimiser.param_groups] == [0.5, 0.02]
    optimiser.add_param_group({"params": [parameter(1)]})
    with refused(ValueError, "min_lr", 3, 2):
        schedule.step(1.0)


def test_a_plateau_is_resumed():
    optimiser, measured = groups(2), [5, 4, 4, 4.5, 4, 3, 3, 3, 3, 3, 2.5, 2.5, 2.5, 2.5]
    settings = {"patience": 1, "cooldown": 1, "factor": 0.5}
    schedule = ReduceLROnPlateau(optimiser, **settings)
    for value in measured[:6]:
        schedule.step(value)
    states = json.loads(json.dumps([optimiser.state_dict(), schedule.state_dict()]))
    other = groups(2)
    again = ReduceLROnPlateau(other, mode="max")
    other.load_state_dict(states[0])
    again.load_state_dict(states[1])
    for value in measured[6:]:
        schedule.step(value)
        again.step(value)
        assert again.get_last_lr() == schedule.get_last_lr()
    assert schedule.get_last_lr()[0] < 0.2 and again.best == 2.5


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
    schedule = OneCycleLR(optimiser, 1.0, total, None, None, part, "linear", False,
                          div_factor=2, final_div_factor=1e9)  # fmt: skip
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


def test_one_cycle_counts_epochs_and_knows_groups():
    optimiser = groups(2)
    schedule = OneCycleLR(optimiser, [1.0, 2.0], epochs=4, steps_per_epoch=5, div_factor=10)
    assert schedule.total_steps == 20 and schedule.get_last_lr() == pytest.approx([0.1, 0.2])
    schedule = OneCycleLR(optimiser, 1.0, 6, epochs=4, steps_per_epoch=5)
    assert schedule.total_steps == 6


def test_one_cycle_in_three_phases():
    optimiser = SGD([P], momentum=0.5)
    schedule = OneCycleLR(optimiser, 1.0, 11, pct_start=4 / 11, anneal_strategy="linear",
                          div_factor=4, final_div_factor=10, three_phase=True)  # fmt: skip
    found = []
    for _ in range(11):
        found.append([optimiser.param_groups[0][name] for name in ("lr", "momentum")])
        schedule.step()
    up = [0.25, 0.5, 0.75, 1.0]
    lrs, momenta = np.transpose(found)
    np.testing.assert_allclose(lrs, [*up, *up[2::-1], 0.19375, 0.1375, 0.08125, 0.025])
    np.testing.assert_allclose(momenta[[0, 3, 6, 8, 10]], [0.95, 0.85, 0.95, 0.95, 0.95])


def test_one_cycle_turns_the_momentum_of_its_optimiser():
    for cls, key in [(SGD, "momentum"), (RMSprop, "momentum"), (AdamW, "betas")]:
        optimiser = cls([P])
        OneCycleLR(optimiser, 1.0, 10, max_momentum=0.7)
        found = optimiser.param_groups[0][key]
        assert found == (0.7 if key == "momentum" else (0.7, 0.999))
    OneCycleLR(Adagrad([P]), 1.0, 10, cycle_momentum=False)


def test_public_names():
    assert optim.SGD is SGD and optim.Adam is Adam and td.optim is optim
    assert optim.OneCycleLR is optim.lr_scheduler.OneCycleLR


def test_the_repr_tells_the_settings_of_each_group():
    optimizer = SGD([{"params": [td.ones(1)]}, {"params": [td.ones(1)], "lr": 0.5}], lr=0.1)
    told = repr(optimizer)
    assert told.startswith("SGD({'lr': 0.1") and "{'lr': 0.5" in told and "params" not in told
