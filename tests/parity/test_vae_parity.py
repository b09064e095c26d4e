"""The training of tinydeconv/recipes/vae.py is PyTorch's: from equal weights, images and noise the
twin (vae_twin.py) has the same losses at each step, and in the end the same weights and the same
bound on images that neither has seen.
"""

import numpy as np
import pytest
import torch
import vae_twin
from both import array

import tinydeconv as td
from tinydeconv import data
from tinydeconv.recipes import vae

STEPS, UNSEEN = 20, 50
NARROW = {"batch_size": 8, "latent": 5, "channels": (12, 8, 6), "steps": STEPS}
CASES = [
    {"likelihood": likelihood, "classes": classes}
    for likelihood in vae.LIKELIHOODS
    for classes in (0, 10)
] + [
    {"beta": 0.0},
    {"beta": 4.0, "likelihood": "gaussian"},
    {"latent": 2, "lr": 0.01},
    {"size": 64, "batch_size": 4},
    *(  # the recipes as they are, in as few steps
        {name: getattr(recipe, name) for name in (*NARROW, "classes")} | {"steps": STEPS}
        for recipe in vae.RECIPES.values()
    ),
]


def both(monkeypatch, tmp_path, options, training=vae_twin.Training, dtype="float64"):
    """A training of ours after its steps, its twin, and the losses of the twin: {name: list}.

    All in this dtype, of which the noise is too.
    """
    settings = vae.Settings(**{**NARROW, **options})
    td.manual_seed(settings.seed)
    ours = vae.build(tmp_path / "checkpoint.safetensors", settings, "cpu")
    model = ours.networks["vae"]
    if dtype == "float64":
        model.double()
        monkeypatch.setattr(vae, "centred", lambda images: images / 127.5 - 1)
    theirs = training(settings, model)
    state = {key: torch.tensor(array(x)) for key, x in model.state_dict().items()}
    theirs.network.to(getattr(torch, dtype)).load_state_dict(state)
    shape = settings.steps, settings.batch_size, settings.latent
    noise = np.random.default_rng(1).standard_normal(shape).astype(dtype)
    draw_from(monkeypatch, noise)
    ours.run()
    told = [
        theirs.update(*batch, torch.from_numpy(of_step))
        for batch, of_step in zip(batches(ours), noise)
    ]
    return ours, theirs, {name: [losses[name] for losses in told] for name in told[0]}


def batches(training):
    epoch = 0
    while True:
        yield from training.loader.batches(epoch)
        epoch += 1


def draw_from(monkeypatch, noise):
    drawn = iter(noise)
    monkeypatch.setattr("tinydeconv.models.vae.randn_like", lambda x: td.tensor(next(drawn)))


def bounds(monkeypatch, ours, theirs, dtype="float64"):
    """The ELBO of images that neither has seen, by ours and by the twin."""
    model = ours.networks["vae"]
    seen = data.Glyphs(10, model.side, seed=9).batch(0, range(UNSEEN))
    noise = np.random.default_rng(2).standard_normal((UNSEEN, model.config["latent"])).astype(dtype)
    draw_from(monkeypatch, [noise])
    fit, off, _ = vae.evaluated(model, *seen)
    return (fit - off.sum(1)).mean(dtype=np.float64), theirs.elbo(*seen, torch.from_numpy(noise))


def agree(ours, theirs, losses):
    assert ours.losses.keys() == losses.keys()
    for name, other in losses.items():
        np.testing.assert_allclose(ours.losses[name], other, rtol=1e-9, err_msg=name)
    mine, other = ours.networks["vae"].state_dict(), theirs.network.state_dict()
    assert sorted(mine) == sorted(other)
    for key in other:
        a, b = array(mine[key]), array(other[key])
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("options", CASES, ids=str)
def test_twenty_steps_and_the_bound_on_what_was_not_seen(options, monkeypatch, tmp_path):
    ours, theirs, losses = both(monkeypatch, tmp_path, options)
    assert all(len(set(of)) == STEPS for of in losses.values())
    agree(ours, theirs, losses)
    mine, other = bounds(monkeypatch, ours, theirs)
    assert mine == pytest.approx(other, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", vae.LIKELIHOODS)
def test_in_float32_the_bound_is_the_twins_within_a_hundredth(likelihood, monkeypatch, tmp_path):
    """After 200 steps, each library rounding in its own way."""
    options = {"channels": (32, 24, 12), "batch_size": 32, "steps": 200, "likelihood": likelihood}
    ours, theirs, losses = both(monkeypatch, tmp_path, options, dtype="float32")
    mine, other = bounds(monkeypatch, ours, theirs, "float32")
    assert mine == pytest.approx(other, rel=0.01)


# ---------------------------------------------------------------- twins that are none


class Unweighted(vae_twin.Training):
    """Without beta."""

    def __init__(self, settings, ours):
        super().__init__(settings, ours)
        self.settings = vae.Settings(**NARROW)


class KeepsItsRate(vae_twin.Training):
    """Without a schedule."""

    def update(self, *given):
        told = super().update(*given)
        self.optimizer.param_groups[0]["lr"] = self.settings.lr
        return told


@pytest.mark.parametrize("training", [Unweighted, KeepsItsRate])
def test_other_steps_are_seen(training, monkeypatch, tmp_path):
    found = both(monkeypatch, tmp_path, {"beta": 1.001}, training)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*found)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("paint", lambda z: z * 1.00001),
        ("likelihood", lambda found: found * 1.00001),
    ],
)
def test_another_formula_is_seen(name, change, monkeypatch, tmp_path):
    real = getattr(vae_twin.VAE, name)
    monkeypatch.setattr(vae_twin.VAE, name, lambda *given: change(real(*given)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*both(monkeypatch, tmp_path, {}))


@pytest.mark.parametrize("options", [{"likelihood": "gaussian"}, {"classes": 10}], ids=str)
def test_both_begin_alike(options):
    """Mean and spread of each weight and buffer of the default networks, from chance."""
    settings = vae.Settings(**options)
    td.manual_seed(0)
    torch.manual_seed(0)
    ours = vae.build(None, settings, "cpu").networks["vae"]
    for key, x in vae_twin.Training(settings, ours).network.state_dict().items():
        mine, other = array(ours.state_dict()[key]), array(x)
        spread, near = other.std(), 6 / mine.size**0.5
        assert abs(mine.mean() - other.mean()) <= near * spread, key
        assert abs(mine.std() - spread) <= near * spread, key
