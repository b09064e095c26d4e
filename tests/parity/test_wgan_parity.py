"""A training of tinydeconv/recipes/wgan.py is PyTorch's: from equal weights, images and random
numbers the penalty, its gradients, each step's losses and the weights in the end are the same.
"""

import numpy as np
import pytest
import torch
import twin
from both import array

import tinydeconv as td
from tinydeconv import models
from tinydeconv.recipes import wgan

STEPS = 20
NARROW = {
    "batch_size": 6, "latent": 8, "channels": (12, 8, 6), "judges": (6, 8, 12), "steps": STEPS,
    "critic_steps": 3,
}  # fmt: skip
DEFAULT = wgan.RECIPES["wgan"]
CASES = [
    {},
    {"classes": 10},
    {"critic_steps": 1},
    {"penalty": 0.0},
    {"penalty": 0.1, "critic_steps": 2},
    {"beta1": 0.5, "beta2": 0.99},
    {"activation": "leaky_relu"},
    {"size": 64, "batch_size": 3},
    {"generator_lr": 0.01, "critic_lr": 0.01},
    {name: getattr(DEFAULT, name) for name in ("channels", "judges", "latent", "critic_steps")},
]


# ---------------------------------------------------------------- the twin


def norms(critic, places, *asked):
    places = places.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(places, *asked).sum(), places, create_graph=True)
    return slopes.flatten(1).square().sum(1).sqrt()


def twins(ours):
    """PyTorch's networks with the weights of ours, which become float64 too."""
    kinds = {"generator": twin.Generator, "critic": twin.Discriminator}
    theirs = {name: kinds[name](**network.config).double() for name, network in ours.items()}
    for name, network in ours.items():
        state = {key: torch.tensor(array(x)) for key, x in network.double().state_dict().items()}
        theirs[name].load_state_dict(state)
    return theirs


class Game:
    """A training of PyTorch's networks by the formulas of Gulrajani et al. 2017, algorithm 1."""

    def __init__(self, settings, networks):
        self.settings, self.networks = settings, networks
        rates = {"generator": settings.generator_lr, "critic": settings.critic_lr}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), rates[name], (settings.beta1, settings.beta2))
            for name, net in networks.items()
        }
        self.schedules = [
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
            for optimizer in self.optimizers.values()
        ]

    def update(self, images, labels, noise, parts):
        """One step; its losses.

        noise, parts: random numbers of each of the critic's steps, and noise for the generator's
        """
        settings, generator, critic = self.settings, *self.networks.values()
        n, told = settings.critic_steps, []
        for k in range(n):
            real = torch.from_numpy(images[k::n] / np.float32(127.5) - 1).double()
            asked = [torch.from_numpy(labels[k::n])] if settings.classes else []
            fake = generator(noise[k], *asked).detach()
            distance = critic(real, *asked).mean() - critic(fake, *asked).mean()
            found = norms(critic, self.places(real, fake, parts[k]), *asked)
            penalty = (found - 1).square().mean()
            self.descend("critic", settings.penalty * penalty - distance)
            told.append([x.item() for x in (distance, found.mean(), penalty)])
        loss = -critic(generator(noise[n], *asked), *asked).mean()
        self.descend("generator", loss)
        for schedule in self.schedules:
            schedule.step()
        means = zip(("wasserstein", "gradient norm", "penalty"), np.mean(told, 0))
        return {**dict(means), "generator": loss.item()}

    def places(self, real, fake, part):
        return (1 - part) * real + part * fake

    def descend(self, name, loss):
        self.optimizers[name].zero_grad()
        loss.backward(inputs=list(self.networks[name].parameters()))
        self.optimizers[name].step()


def both(monkeypatch, tmp_path, options, game=Game):
    """A training of ours, its twin, and the twin's losses: {name: list}."""
    settings = wgan.Settings(**{**NARROW, **options})
    td.manual_seed(settings.seed)
    ours = wgan.build(tmp_path / "checkpoint.safetensors", settings, "cpu")
    theirs = game(settings, twins(ours.networks))
    rng, n = np.random.default_rng(1), settings.critic_steps
    noise = rng.standard_normal((STEPS, n + 1, settings.batch_size, settings.latent))
    parts = rng.random((STEPS, n, settings.batch_size, 1, 1, 1))
    for name, numbers in {"randn": noise, "rand": parts}.items():
        drawn = (of_draw for of_step in numbers for of_draw in of_step)
        monkeypatch.setattr(
            td.ops, name, lambda *size, drawn=drawn, **_: td.tensor(next(drawn).reshape(size))
        )
    centred = wgan.centred
    monkeypatch.setattr(wgan, "centred", lambda images: centred(images).astype(np.float64))
    ours.run()
    told = [
        theirs.update(*batch, torch.tensor(noise[i]), torch.tensor(parts[i]))
        for i, batch in zip(range(STEPS), ours.loader.batches(0))
    ]
    return ours, theirs, {name: [losses[name] for losses in told] for name in told[0]}


def agree(ours, theirs, losses):
    assert ours.losses.keys() == losses.keys()
    for name, other in losses.items():
        np.testing.assert_allclose(ours.losses[name], other, rtol=1e-8, err_msg=name)
    for name, network in theirs.networks.items():
        mine, other = ours.networks[name].state_dict(), network.state_dict()
        assert [*mine] == [*other]
        for key in other:
            a, b = array(mine[key]), array(other[key])
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=f"{name} {key}")


# ---------------------------------------------------------------- the penalty


@pytest.mark.parametrize("activation", ["leaky_relu", "relu", "prelu"])
@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("channels", [(4, 6), DEFAULT.judges])
def test_the_penalty_and_its_gradients(channels, classes, activation):
    """Each gradient within 1e-8 of PyTorch's, of its largest number."""
    td.manual_seed(0)
    mine = models.Discriminator(channels, 2, classes, activation=activation, batch_norm=False)
    theirs = twins({"critic": mine})["critic"]
    for p, q in zip(mine.parameters(), theirs.parameters()):
        p.data *= 10  # slopes that are not small
        q.data *= 10
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((5, 2, mine.side, mine.side)), rng.integers(4, size=5)
    asked = [labels] if classes else []
    of_mine = wgan.penalty(
        found := wgan.steepness(mine, td.tensor(images), *(td.tensor(y) for y in asked))
    )
    expected = norms(theirs, torch.tensor(images), *(torch.tensor(y) for y in asked))
    of_theirs = (expected - 1).square().mean()
    np.testing.assert_allclose(array(found), array(expected), rtol=1e-10)
    np.testing.assert_allclose(of_mine.item(), of_theirs.item(), rtol=1e-10)
    of_mine.backward()
    of_theirs.backward()
    other = dict(theirs.named_parameters())
    moved = 0
    for name, p in mine.named_parameters():
        if other[name].grad is None:
            assert p.grad is None or not array(p.grad).any()
            continue
        a, b = array(p.grad), array(other[name].grad)
        moved += np.abs(b).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-8 * np.abs(b).max(), err_msg=name)
    assert moved >= len(channels) + 1


# ---------------------------------------------------------------- the training


@pytest.mark.parametrize("options", CASES, ids=str)
def test_twenty_steps_of_both_players(options, monkeypatch, tmp_path):
    ours, theirs, losses = both(monkeypatch, tmp_path, options)
    assert all(len(set(of)) == STEPS for of in losses.values())
    agree(ours, theirs, losses)


# ---------------------------------------------------------------- twins that are none


class OnlyOutside(Game):
    """The slope is measured at the real images."""

    def places(self, real, fake, part):
        return real


class TheOtherWay(Game):
    """The part is counted from the fake's end."""

    def places(self, real, fake, part):
        return super().places(fake, real, part)


class KeepsItsRate(Game):
    """Without a schedule."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.schedules = []


@pytest.mark.parametrize("game", [OnlyOutside, TheOtherWay, KeepsItsRate])
def test_another_game_is_seen(game, monkeypatch, tmp_path):
    found = both(monkeypatch, tmp_path, {}, game)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*found)


def test_a_first_derivative_alone_is_seen(monkeypatch, tmp_path):
    """The penalty as a number, without a gradient of its own."""
    steepness = wgan.steepness
    monkeypatch.setattr(wgan, "steepness", lambda *of: steepness(*of).detach())
    found = both(monkeypatch, tmp_path, {})
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*found)
