"""The game of tinydeconv/recipes/gan.py is PyTorch's: from equal weights, images and noise both
players of the twin (twin.py) have the same losses at each step, and in the end the same weights.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import twin
from both import array

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import tinydeconv as td  # noqa: E402
from benchmarks import gan as benchmark  # noqa: E402
from benchmarks.libraries import open_library  # noqa: E402
from tinydeconv import data  # noqa: E402
from tinydeconv.models.gan import UPSAMPLINGS  # noqa: E402
from tinydeconv.recipes import gan  # noqa: E402

STEPS = 20
NARROW = {
    "batch_size": 8, "latent": 8, "channels": (12, 8, 6), "judges": (6, 8, 12), "steps": STEPS,
}  # fmt: skip
FULL = [  # the recipes as they are, in as few steps
    {name: getattr(recipe, name) for name in (*NARROW, "classes")} | {"steps": STEPS}
    for recipe in gan.RECIPES.values()
]
CASES = [
    {"loss": loss, "classes": classes, "spectral_norm": spectral_norm}
    for loss in gan.LOSSES
    for classes in (0, 10)
    for spectral_norm in (False, True)
] + [
    {"smoothing": 0.1},
    {"smoothing": 0.2, "loss": "hinge"},
    {"l1": 1e-4},
    {"l2": 1e-3, "classes": 10, "spectral_norm": True},
    {"l1": 1e-5, "l2": 1e-4, "smoothing": 0.1, "beta1": 0.0},
    {"activation": "leaky_relu"},
    {"activation": "prelu", "classes": 10},
    {"size": 64, "batch_size": 4},
    *({"upsampling": kind} for kind in UPSAMPLINGS[1:]),
    {"generator_lr": 0.01, "discriminator_lr": 0.01, "spectral_norm": True, "loss": "hinge"},
    *FULL,
]


def both(monkeypatch, tmp_path, options, game=twin.Game):
    """A training of ours after 20 steps, its twin, and the losses of the twin: {name: list}.

    All in float64, of which the noise is too.
    """
    settings = gan.Settings(**{**NARROW, **options})
    td.manual_seed(settings.seed)
    ours = gan.build(tmp_path / "checkpoint.safetensors", settings, "cpu")
    theirs = game(settings, ours.networks)
    for name, network in ours.networks.items():
        state = {key: torch.tensor(array(x)) for key, x in network.double().state_dict().items()}
        theirs.networks[name].double().load_state_dict(state)
        network.forward = in_float64(network.forward)
    noise = np.random.default_rng(1).standard_normal((STEPS, settings.batch_size, settings.latent))
    drawn = iter(noise)
    monkeypatch.setattr(td.ops, "randn", lambda *size, **_: td.tensor(next(drawn).reshape(size)))
    ours.run()
    told = [
        theirs.update(*batch, torch.tensor(of_step))
        for batch, of_step in zip(ours.loader.batches(0), noise)
    ]
    return ours, theirs, {name: [losses[name] for losses in told] for name in told[0]}


def in_float64(forward):
    return lambda x, *labels: forward(x.double(), *labels)


def agree(ours, theirs, losses):
    assert ours.losses.keys() == losses.keys()
    for name, other in losses.items():
        np.testing.assert_allclose(ours.losses[name], other, rtol=1e-8, err_msg=name)
    assert ours.networks.keys() == theirs.networks.keys()
    for name, network in theirs.networks.items():
        mine, other = ours.networks[name].state_dict(), network.state_dict()
        assert [*mine] == [*other]
        for key in other:
            a, b = array(mine[key]), array(other[key])
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=f"{name} {key}")


@pytest.mark.parametrize("options", CASES, ids=str)
def test_twenty_steps_of_both_players(options, monkeypatch, tmp_path):
    ours, theirs, losses = both(monkeypatch, tmp_path, options)
    assert all(len(set(of)) == STEPS for of in losses.values())
    agree(ours, theirs, losses)


def test_in_colour_of_three_classes(monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8 * STEPS, 3, 32, 32), np.uint8)
    labels = rng.integers(0, 3, len(images))
    monkeypatch.setattr(gan, "data_set", lambda *_: data.Images(images, labels))
    agree(*both(monkeypatch, tmp_path, {"classes": 3}))


# ---------------------------------------------------------------- twins that are none


class PaintsFirst(twin.Game):
    """The generator steps before the discriminator."""

    def judge(self, real, fake, asked):
        self.painted = super().paint(fake, asked)
        return super().judge(real, fake, asked)

    def paint(self, fake, asked):
        return self.painted


class PaintsAnew(twin.Game):
    """The generator's step has fakes of its own, painted after the discriminator's step."""

    def update(self, images, labels, noise):
        self.noise = noise
        return super().update(images, labels, noise)

    def paint(self, fake, asked):
        return super().paint(self.networks["generator"](self.noise.flip(0), *asked), asked)


class KeepsItsRate(twin.Game):
    """Without a schedule."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.schedules = []


class LooksOnce(twin.Game):
    """Spectral norm without a power iteration while the generator steps."""

    def paint(self, fake, asked):
        self.networks["discriminator"].eval()
        told = super().paint(fake, asked)
        self.networks["discriminator"].train()
        return told


@pytest.mark.parametrize("game", [PaintsFirst, PaintsAnew, KeepsItsRate, LooksOnce])
def test_another_order_is_seen(game, monkeypatch, tmp_path):
    found = both(monkeypatch, tmp_path, {"spectral_norm": True}, game)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*found)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("ACTIVATIONS", {"leaky_relu": lambda: torch.nn.LeakyReLU(0.2001)}),
        ("PAINTED", {"non-saturating": twin.PAINTED["minimax"]}),
        ("JUDGED", {"non-saturating": lambda r, f, a: twin.cross_entropy(r, f, a + 1e-6)}),
    ],
    ids=["slope", "generator's loss", "smoothing"],
)
def test_another_formula_is_seen(name, part, monkeypatch, tmp_path):
    monkeypatch.setattr(twin, name, {**getattr(twin, name), **part})
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*both(monkeypatch, tmp_path, {}))


# ---------------------------------------------------------------- what is scored


def test_the_benchmark_scores_what_pytorch_has_trained(monkeypatch):
    """Our generator with the twin's weights paints the twin's pictures."""
    games = []

    class Kept(twin.Game):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            games.append(self)

    monkeypatch.setattr(twin, "Game", Kept)
    settings = gan.Settings(**{**NARROW, "steps": 3, "classes": 10})
    generator, told = benchmark.trained(open_library("torch"), settings)
    assert told["late losses"].keys() == {"discriminator", "generator"}
    noise, labels = np.random.default_rng(0).standard_normal((6, 8), np.float32), np.arange(6)
    theirs = games[0].networks["generator"].eval()
    assert games[0].schedules[0].last_epoch == 3
    painted = theirs(torch.from_numpy(noise), torch.from_numpy(labels))
    mine = generator.eval()(td.tensor(noise), td.tensor(labels))
    np.testing.assert_allclose(array(mine), array(painted), rtol=1e-4, atol=1e-6)
    again, _ = benchmark.trained(open_library("torch"), settings)
    for a, b in zip(again.parameters(), generator.parameters()):
        np.testing.assert_array_equal(array(a), array(b))


@pytest.mark.parametrize(
    "options",
    [{}, {"classes": 10}, {"spectral_norm": True}, *({"upsampling": u} for u in UPSAMPLINGS[1:])],
    ids=str,
)
def test_both_begin_alike(options):
    """Mean and spread of each weight and buffer of the default networks, from chance."""
    settings = gan.Settings(**options)
    td.manual_seed(0)
    torch.manual_seed(0)
    ours = gan.networks(settings, 1)
    for name, network in twin.Game(settings, ours).networks.items():
        for key, x in network.state_dict().items():
            mine, other = array(ours[name].state_dict()[key]), array(x)
            spread = other.std()
            near = 6 / mine.size**0.5
            assert abs(mine.mean() - other.mean()) <= near * spread, (name, key)
            assert abs(mine.std() - spread) <= near * spread, (name, key)
