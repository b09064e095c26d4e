"""Optimisers, schedules and a whole training run in float64, step by step with PyTorch."""

import numpy as np
import pytest
import torch
from both import array, numbers

import tinydeconv as td


def parameters(m):
    return [m.tensor(numbers(*shape), requires_grad=True) for shape in ((3, 2), (4,), ())]


def gradients(p, step):
    """Of a made-up loss: depends on where the parameter is, and differs from step to step."""
    rng = np.random.default_rng(step)
    return [np.sin(3 * array(x)) + rng.standard_normal(x.shape) for x in p]


OPTIMISERS = {
    "SGD": [
        {}, {"lr": 0.1}, {"lr": 0.1, "weight_decay": 0.1}, {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
        {"lr": 0.1, "momentum": 0.8, "dampening": 0.5, "weight_decay": 0.01},
    ],
    "Adam": [
        {}, {"lr": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9)}, {"lr": 0.1, "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "betas": (0.0, 0.5), "eps": 0, "weight_decay": 0.1},
    ],
}  # fmt: skip
SETTINGS = [(name, options) for name, settings in OPTIMISERS.items() for options in settings]


@pytest.mark.parametrize(("name", "options"), SETTINGS, ids=str)
def test_trajectory(name, options):
    """20 steps; each leaves one parameter without a gradient, one changes the learning rate."""
    pairs = [(m, parameters(m)) for m in (td, torch)]
    (_, mine), (_, theirs) = pairs
    optimisers = [getattr(m.optim, name)(p, **options) for m, p in pairs]
    for step in range(20):
        for (m, p), optimiser in zip(pairs, optimisers):
            optimiser.zero_grad()
            for i, (x, g) in enumerate(zip(p, gradients(p, step))):
                if i != step % 4:
                    x.grad = m.tensor(g)
            if step == 10:
                optimiser.param_groups[0]["lr"] *= 0.5
            optimiser.step()
        for a, b in zip(mine, theirs):
            np.testing.assert_allclose(array(a), array(b), rtol=1e-12, atol=1e-15)
    assert all((array(a) != array(b)).any() for a, b in zip(mine, parameters(td)))


@pytest.mark.parametrize("name", OPTIMISERS)
def test_groups_have_their_own_settings(name):
    found = []
    for m in (td, torch):
        first, second, third = parameters(m)
        groups = [{"params": [first], "lr": 0.3}, {"params": [second, third], "weight_decay": 0.2}]
        optimiser = getattr(m.optim, name)(groups, lr=0.1)
        for step in range(5):
            for x, g in zip((first, second, third), gradients((first, second, third), step)):
                x.grad = m.tensor(g)
            optimiser.step()
        found.append([array(x) for x in (first, second, third)])
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, rtol=1e-12)


SCHEDULES = [
    {"max_lr": 0.1, "total_steps": 50},
    {"max_lr": 2.0, "total_steps": 37, "pct_start": 0.5},
    {"max_lr": 0.1, "total_steps": 50, "anneal_strategy": "linear"},
    {"max_lr": 0.1, "total_steps": 50, "cycle_momentum": False},
    {"max_lr": 0.1, "total_steps": 20, "base_momentum": 0.7, "max_momentum": 0.9},
    {"max_lr": 0.1, "total_steps": 20, "div_factor": 3, "final_div_factor": 10},
    {"max_lr": 0.1, "total_steps": 10, "pct_start": 0.95, "anneal_strategy": "linear"},
    {"max_lr": 0.1, "total_steps": 7, "pct_start": 0.05},
]


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("settings", SCHEDULES, ids=str)
def test_one_cycle(name, settings):
    made = []
    for m in (td, torch):
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimiser = getattr(m.optim, name)(parameters(m), lr=1.0, **options)
        schedules = m.optim if m is td else m.optim.lr_scheduler
        made.append((optimiser, schedules.OneCycleLR(optimiser, **settings)))
    for step in range(settings["total_steps"]):
        for optimiser, schedule in made:
            if step:
                optimiser.step()
                schedule.step()
        (mine, my_schedule), (theirs, _) = made
        (a,), (b,) = mine.param_groups, theirs.param_groups
        assert a["lr"] == pytest.approx(b["lr"], rel=1e-12)
        assert my_schedule.get_last_lr() == [a["lr"]]
        key = "momentum" if name == "SGD" else "betas"
        assert a[key] == pytest.approx(b[key], rel=1e-12)


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
    "SGD": {"lr": 0.05, "momentum": 0.9, "nesterov": True},
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
        schedules = m.optim if m is td else m.optim.lr_scheduler
        schedule = schedules.OneCycleLR(optimiser, max_lr=TRAININGS[name]["lr"], total_steps=100)
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
