"""Optimisers, schedules and a whole training run in float64, step by step with PyTorch."""

import inspect

import numpy as np
import pytest
import torch
from both import agree, array, numbers

import tinydeconv as td

BOTH = (td, torch)
LEFT_OUT = {"foreach", "fused", "capturable", "differentiable"}


def parameters(m, dtype="float64"):
    shapes = (3, 2), (4,), ()
    return [m.tensor(numbers(*shape).astype(dtype), requires_grad=True) for shape in shapes]


def gradients(p, step):
    """Of a made-up loss: depends on where the parameter is, and differs from step to step."""
    rng = np.random.default_rng(step)
    return [(np.sin(3 * array(x)) + rng.standard_normal(x.shape)).astype(array(x).dtype) for x in p]


def take_step(m, p, optimiser, step):
    """With a gradient for all parameters but one."""
    optimiser.zero_grad()
    for i, (x, g) in enumerate(zip(p, gradients(p, step))):
        if i != step % 4:
            x.grad = m.tensor(g)
    optimiser.step()


OPTIMISERS = {
    "SGD": [
        {}, {"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "maximize": True},
        {"lr": 0.1, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.01},
    ],
    "RMSprop": [
        {}, {"lr": 0.1}, {"lr": 0.1, "alpha": 0.5}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "centered": True}, {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.1, "alpha": 0.9, "momentum": 0.5, "centered": True, "weight_decay": 0.1},
        {"lr": 0.1, "momentum": 0.5, "centered": True, "maximize": True, "eps": 1e-3},
    ],
    "Adam": [
        {}, {"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9)}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "maximize": True, "weight_decay": 0.1},
        {"lr": 0.1, "betas": (0.0, 0.5), "eps": 0, "weight_decay": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True},
        {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True, "weight_decay": 0.1,
         "decoupled_weight_decay": True, "maximize": True},
    ],
    "AdamW": [
        {}, {"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9)}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.3}, {"lr": 0.1, "weight_decay": 0.0, "maximize": True},
        {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True, "weight_decay": 0.1, "maximize": True},
    ],
    "Adagrad": [
        {}, {"lr": 0.1}, {"lr": 0.1, "lr_decay": 0.1}, {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "maximize": True, "weight_decay": 0.1, "lr_decay": 0.01},
    ],
}  # fmt: skip
SETTINGS = [(name, options) for name, settings in OPTIMISERS.items() for options in settings]


def same_state(mine, theirs):
    """Two optimisers' state_dicts: names, numbers and settings."""
    mine, theirs = mine.state_dict(), theirs.state_dict()
    assert mine.keys() == theirs.keys() and mine["state"].keys() == theirs["state"].keys()
    for i, kept in theirs["state"].items():
        assert set(mine["state"][i]) == set(kept)
        for name, value in kept.items():
            found = array(mine["state"][i][name])
            assert name == "step" or found.dtype == array(value).dtype
            np.testing.assert_allclose(found, array(value), rtol=1e-12, atol=1e-15, err_msg=name)
    for a, b in zip(mine["param_groups"], theirs["param_groups"], strict=True):
        assert a == {name: value for name, value in b.items() if name not in LEFT_OUT}


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=str)
def test_trajectory(name, options):
    """60 steps of three parameters, where the learning rate changes."""
    pairs = [(m, parameters(m)) for m in BOTH]
    (_, mine), (_, theirs) = pairs
    optimisers = [getattr(m.optim, name)(p, **options) for m, p in pairs]
    for step in range(60):
        for (m, p), optimiser in zip(pairs, optimisers):
            optimiser.param_groups[0]["lr"] *= 0.5 if step % 20 == 10 else 1.02
            take_step(m, p, optimiser, step)
        for a, b in zip(mine, theirs):
            np.testing.assert_allclose(array(a), array(b), rtol=1e-12, atol=1e-14)
    same_state(*optimisers)
    assert all((array(a) != array(b)).any() for a, b in zip(mine, parameters(td)))


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=str)
def test_float32_stays_float32(name, options):
    found = []
    for m in BOTH:
        p = parameters(m, "float32")
        optimiser = getattr(m.optim, name)(p, **options)
        for step in range(10):
            take_step(m, p, optimiser, step)
        kept = [x for s in optimiser.state_dict()["state"].values() for n, x in s.items()
                if n != "step"]  # fmt: skip
        assert all(array(x).dtype == np.float32 for x in [*p, *kept])
        found.append([array(x) for x in p])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def grouped(m, name, options):
    """An optimiser of two groups with settings of their own."""
    first, second, third = p = parameters(m)
    own = {"lr": 0.3, **{k: v for k, v in options.items() if k != "initial_accumulator_value"}}
    groups = [{"params": [first], **own}, {"params": [second, third], "weight_decay": 0.2}]
    start = {k: v for k, v in options.items() if k == "initial_accumulator_value"}
    return p, getattr(m.optim, name)(groups, lr=0.1, **start)


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=str)
def test_groups_have_their_own_settings(name, options):
    pairs = [(m, *grouped(m, name, options)) for m in BOTH]
    for step in range(12):
        for m, p, optimiser in pairs:
            if step == 5:
                late = m.tensor(numbers(2, seed=1), requires_grad=True)
                optimiser.add_param_group({"params": late, "lr": 0.05, "maximize": True})
                p.append(late)
            take_step(m, p, optimiser, step)
    (_, mine, optimiser), (_, theirs, other) = pairs
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(array(a), array(b), rtol=1e-12)
    same_state(optimiser, other)


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=str)
def test_it_goes_on_from_a_state_of_pytorchs(name, options):
    theirs = parameters(torch)
    other = getattr(torch.optim, name)(theirs, **options)
    for step in range(7):
        take_step(torch, theirs, other, step)
    mine = [td.tensor(array(x).copy(), requires_grad=True) for x in theirs]
    optimiser = getattr(td.optim, name)(mine, lr=9.0)
    optimiser.load_state_dict(other.state_dict())
    for step in range(7, 14):
        take_step(torch, theirs, other, step)  # in place, which must not reach ours
        take_step(td, mine, optimiser, step)
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(array(a), array(b), rtol=1e-12)


# ---------------------------------------------------------------- schedules

SCHEDULES = {
    "StepLR": [{"step_size": 7}, {"step_size": 1, "gamma": 0.9}, {"step_size": 20, "gamma": 1.5}],
    "MultiStepLR": [
        {"milestones": [3, 20, 40]}, {"milestones": (0, 5, 5, 30), "gamma": 0.5},
        {"milestones": []},
    ],
    "CosineAnnealingLR": [
        {"T_max": 50}, {"T_max": 20, "eta_min": 0.01}, {"T_max": 1}, {"T_max": 7, "eta_min": 0.5},
    ],
    "OneCycleLR": [
        {"max_lr": 0.1, "total_steps": 60},
        {"max_lr": 2.0, "total_steps": 60, "pct_start": 0.5},
        {"max_lr": 0.1, "total_steps": 60, "anneal_strategy": "linear"},
        {"max_lr": 0.1, "total_steps": 60, "cycle_momentum": False},
        {"max_lr": 0.1, "total_steps": 60, "base_momentum": 0.7, "max_momentum": 0.9},
        {"max_lr": 0.1, "total_steps": 60, "div_factor": 3, "final_div_factor": 10},
        {"max_lr": 0.1, "total_steps": 61, "pct_start": 0.95, "anneal_strategy": "linear"},
        {"max_lr": 0.1, "total_steps": 67, "pct_start": 0.0},
        {"max_lr": 0.1, "total_steps": 60, "pct_start": 0.01},
        {"max_lr": 0.1, "epochs": 5, "steps_per_epoch": 12},
        {"max_lr": 0.1, "total_steps": 62, "epochs": 1, "steps_per_epoch": 1},
        {"max_lr": 0.1, "total_steps": 60, "three_phase": True},
        {"max_lr": [0.1, 0.5], "total_steps": 60, "three_phase": True, "pct_start": 0.4,
         "base_momentum": [0.7, 0.8], "max_momentum": (0.9, 0.99)},
        {"max_lr": 0.1, "total_steps": 60, "three_phase": True, "pct_start": 0.8},
        {"max_lr": 0.1, "total_steps": 60, "three_phase": True, "pct_start": 0.5,
         "anneal_strategy": "linear"},
    ],
    "ReduceLROnPlateau": [
        {}, {"patience": 2}, {"patience": 0, "factor": 0.7}, {"patience": 3, "cooldown": 4},
        {"mode": "max", "patience": 2}, {"patience": 1, "threshold": 0.05},
        {"patience": 1, "threshold": 0.02, "threshold_mode": "abs"},
        {"mode": "max", "patience": 1, "threshold": 0.02, "threshold_mode": "abs"},
        {"mode": "max", "patience": 1, "threshold": 0.05},
        {"patience": 0, "min_lr": 0.01}, {"patience": 0, "min_lr": [0.1, 0.02]},
        {"patience": 0, "factor": 0.5, "eps": 0.01},
    ],
}  # fmt: skip
PLANS = [(name, options) for name, settings in SCHEDULES.items() for options in settings]
MEASURED = 1 / np.arange(1, 62) ** 0.3 + 0.1 * np.sin(np.arange(61) ** 2)


def two_groups(m, name="SGD"):
    first, second, _ = parameters(m)
    settings = {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}
    groups = [{"params": [first], "lr": 0.8}, {"params": [second]}]
    return getattr(m.optim, name)(groups, lr=0.3, **settings)


def scheduled(name, options, optimisers, **more):
    return [getattr(m.optim.lr_scheduler, name)(optimiser, **options, **more)
            for m, optimiser in zip(BOTH, optimisers)]  # fmt: skip


def advance(schedule, step):
    schedule.optimizer.step()
    plateau = "num_bad_epochs" in vars(schedule)
    schedule.step(*([MEASURED[step]] if plateau else []))


def same_rates(mine, theirs):
    """Rates, momenta and where they come from."""
    assert mine.last_epoch == theirs.last_epoch
    np.testing.assert_allclose(mine.get_last_lr(), theirs.get_last_lr(), rtol=1e-12, atol=1e-17)
    groups = [[{k: v for k, v in g.items() if k not in LEFT_OUT | {"params"}}
               for g in s.optimizer.param_groups] for s in (mine, theirs)]  # fmt: skip
    for a, b in zip(*groups, strict=True):
        assert list(a.pop("betas", ())) == pytest.approx(list(b.pop("betas", ())), rel=1e-12)
        assert a == pytest.approx(b, rel=1e-12, abs=1e-17)


@pytest.mark.parametrize(
    ("name", "options", "optimiser"),
    [(*plan, "SGD") for plan in PLANS]
    + [(*plan, kind) for plan in PLANS if plan[0] == "OneCycleLR" for kind in ("Adam", "RMSprop")]
    + [("OneCycleLR", {"max_lr": 1, "total_steps": 60, "cycle_momentum": False}, "Adagrad")],
    ids=str,
)
def test_schedule(name, options, optimiser):
    """60 steps; the learning rates of both groups, and their momenta."""
    pair = scheduled(name, options, [two_groups(m, optimiser) for m in BOTH])
    same_rates(*pair)
    for step in range(60):
        for schedule in pair:
            advance(schedule, step)
        same_rates(*pair)


@pytest.mark.parametrize("done", [1, 9, 20])
@pytest.mark.parametrize(("name", "options"), PLANS, ids=str)
def test_schedule_that_goes_on_after_a_last_epoch(name, options, done):
    if name == "ReduceLROnPlateau":  # which has no such argument
        return
    optimisers = [two_groups(m) for m in BOTH]
    for schedule in scheduled(name, options, optimisers):
        for step in range(done):
            advance(schedule, step)
    pair = scheduled(name, options, optimisers, last_epoch=done)
    same_rates(*pair)
    for step in range(30):
        for schedule in pair:
            advance(schedule, step)
        same_rates(*pair)


@pytest.mark.parametrize(("name", "options"), PLANS, ids=str)
def test_schedule_from_its_state(name, options):
    """As in PyTorch: the schedule is made, then optimiser and schedule load their states."""
    optimisers, others = ([two_groups(m) for m in BOTH] for _ in range(2))
    first = scheduled(name, options, optimisers)
    for schedule in first:
        for step in range(11):
            advance(schedule, step)
    second = scheduled(name, options, others)
    for before, after in zip(first, second):
        after.optimizer.load_state_dict(before.optimizer.state_dict())
        after.load_state_dict(before.state_dict())
    same_rates(*second)
    for step in range(11, 40):
        for schedule in second:
            advance(schedule, step)
        same_rates(*second)


@pytest.mark.parametrize(("name", "options"), PLANS, ids=str)
def test_schedule_beside_another_and_a_hand(name, options):
    """A second schedule multiplies the same rates, and one of them is changed by hand."""
    optimisers = [two_groups(m) for m in BOTH]
    pair = scheduled(name, options, optimisers)
    beside = scheduled("StepLR", {"step_size": 5, "gamma": 1.1}, optimisers)
    for step in range(30):
        for schedule, other, optimiser in zip(pair, beside, optimisers):
            if step == 12:
                optimiser.param_groups[0]["lr"] *= 3
            advance(schedule, step)
            other.step()
        same_rates(*pair)


# ---------------------------------------------------------------- nothing is left out


def classes(module):
    """{name: class} of the optimisers or schedules of a module, without their bases."""
    bases = td.optim.Optimizer, td.optim.lr_scheduler.LRScheduler
    found = {n: c for n, c in vars(module).items() if inspect.isclass(c) and issubclass(c, bases)}
    return {n: c for n, c in found.items() if c not in bases}


def uncovered(found, cases):
    """The classes without a case, and arguments that no case gives a value of its own."""
    for name, cls in found.items():
        if name not in cases:
            yield name
            continue
        known = inspect.signature(cls).parameters
        given = {n for case in cases[name] for n, x in case.items() if x != known[n].default}
        # parameters and optimisers come with every case, and last_epoch has a test of its own
        free = {"params", "optimizer", "last_epoch"}
        yield from (f"{name}({n})" for n in known if n not in given | free)


def test_every_optimiser_and_schedule_has_cases_for_every_argument():
    optimisers = classes(td.optim)
    assert optimisers.pop("OneCycleLR") is td.optim.lr_scheduler.OneCycleLR
    assert list(uncovered(optimisers, OPTIMISERS)) == []
    assert list(uncovered(classes(td.optim.lr_scheduler), SCHEDULES)) == []
    public = {*td.optim.__all__} - {*optimisers, "OneCycleLR", "Optimizer"}
    assert public == {"l1_penalty", "lr_scheduler"}  # the first is tested below


def test_what_has_no_case_is_seen():
    few = {**OPTIMISERS, "Adam": [o for o in OPTIMISERS["Adam"] if "amsgrad" not in o]}
    del few["Adagrad"]
    optimisers = {n: c for n, c in classes(td.optim).items() if n in OPTIMISERS}
    assert set(uncovered(optimisers, few)) == {"Adam(amsgrad)", "Adagrad"}


@pytest.mark.parametrize("name", [*OPTIMISERS, "Optimizer", *SCHEDULES, "LRScheduler"])
def test_arguments_are_pytorchs(name):
    """Names, order, defaults, what is positional; the constructor's and those of the methods."""
    mine, theirs = (getattr(m.optim, name, None) or getattr(m.optim.lr_scheduler, name)
                    for m in BOTH)  # fmt: skip
    methods = ["__init__", "step", "state_dict", "load_state_dict"]
    methods += ["add_param_group", "zero_grad"] if hasattr(mine, "zero_grad") else ["get_last_lr"]
    for method in methods:
        a, b = (inspect.signature(getattr(cls, method)).parameters for cls in (mine, theirs))
        # a schedule's step(epoch) is deprecated
        b = {n: p for n, p in b.items() if n not in LEFT_OUT and (method, n) != ("step", "epoch")}
        # RMSprop has maximize behind arguments that are left out: its place would mean another
        free = {"maximize"} if name == "RMSprop" else set()
        assert set(a) == set(b)
        assert [n for n in a if n not in free] == [n for n in b if n not in free]
        for n in a:
            assert a[n].default == b[n].default, (method, n)
            assert n in free or a[n].kind == b[n].kind, (method, n)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_l1_penalty(dtype):
    agree(
        lambda *p: td.optim.l1_penalty([x * x * x for x in p]),
        lambda *p: sum((x * x * x).abs().sum() for x in p),
        [numbers(3, 2), numbers(4), numbers()],
        dtype,
    )


# ---------------------------------------------------------------- a whole training


def denoiser(m):
    n = m.nn
    return n.Sequential(
        n.Conv2d(1, 6, 3, padding=1),
        n.BatchNorm2d(6),
        n.ReLU(),
        n.Conv2d(6, 8, 4, stride=2, padding=1, bias=False),
        n.BatchNorm2d(8),
        n.LeakyReLU(0.1),
        n.ConvTranspose2d(8, 6, 4, stride=2, padding=1),
        n.BatchNorm2d(6),
        n.PReLU(6),
        n.ConvTranspose2d(6, 1, 3, padding=1),
    )


TRAININGS = {
    "Adam": {"lr": 0.01, "weight_decay": 1e-3},
    "AdamW": {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True},
    "SGD": {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    "RMSprop": {"lr": 0.003, "momentum": 0.5, "centered": True},
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_hundred_steps_of_training(name):
    """A denoiser from equal weights on equal batches: equal losses, equal weights in the end."""
    td.manual_seed(0)
    mine, theirs = denoiser(td).double(), denoiser(torch).double()
    theirs.load_state_dict({k: torch.tensor(array(v)) for k, v in mine.state_dict().items()})
    losses = []
    for m, model in ((td, mine), (torch, theirs)):
        optimiser = getattr(m.optim, name)(model.parameters(), **TRAININGS[name])
        top = TRAININGS[name]["lr"]
        schedule = m.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=top, total_steps=100)
        losses.append([])
        for step in range(100):
            noisy, clean = (m.tensor(images) for images in batch(step))
            optimiser.zero_grad()
            loss = m.nn.functional.mse_loss(model(noisy), clean)
            loss.backward()
            optimiser.step()
            schedule.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(*losses, rtol=1e-8)
    assert losses[0][-1] < losses[0][0] / 5
    for key, value in theirs.state_dict().items():
        ours = array(mine.state_dict()[key])
        np.testing.assert_allclose(ours, array(value), rtol=1e-6, atol=1e-9)


def batch(step):
    """Three noisy images of a wave each, and the clean ones."""
    rng = np.random.default_rng(step)
    i, j = np.mgrid[:12, :12] / 6
    direction, phase = rng.standard_normal((2, 3, 1, 1, 1)), rng.uniform(0, 6, (3, 1, 1, 1))
    clean = np.sin(direction[0] * i + direction[1] * j + phase)
    return clean + 0.3 * rng.standard_normal(clean.shape), clean
