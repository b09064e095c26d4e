"""The training of tinydeconv/recipes/tones.py is PyTorch's: from equal weights, tones and noise a
twin has the same distances at each of 20 steps, and in the end the same weights.

The twin is written from the papers' formulas, with PyTorch's layers and its torch.stft; of
tinydeconv it takes numbers alone.
"""

import sys
from math import pi
from pathlib import Path

import numpy as np
import pytest
import torch
from both import array
from torch import nn
from torch.nn import functional as F

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import tinydeconv as td  # noqa: E402
from tinydeconv.recipes import tones  # noqa: E402

STEPS = 20
NARROW = {
    "steps": STEPS,
    "batch_size": 3,
    "latent": 4,
    "channels": (8, 6, 5, 4),
}  # the rest is the recipe's
SEMITONES = torch.tensor([0, 2, 4, 5, 7, 9, 11, 12], dtype=torch.float64)  # from C4 to C5
HERTZ = 440 * 2 ** ((SEMITONES - 9) / 12)


class Generator(nn.Module):
    def __init__(self, latent, channels, hidden, harmonics):
        super().__init__()
        self.timbre, self.note = nn.Embedding(8, latent), nn.Embedding(8, latent)
        self.first = nn.Sequential(
            nn.Linear(3 * latent, hidden), nn.ReLU(), nn.Linear(hidden, 16 * channels[0])
        )
        self.k = torch.arange(1, harmonics + 1, dtype=torch.float64)
        ends = *channels[1:], 2
        wide = [n + 2 * harmonics for n in channels]
        self.scales = nn.ModuleList([nn.Linear(3 * latent, n) for n in wide])
        self.ladder = nn.ModuleList(
            [nn.ConvTranspose1d(a, b, 25, 4, 11, 1) for a, b in zip(wide, ends)]
        )

    def forward(self, noise, timbres, notes):
        asked = torch.hstack([noise, self.timbre(timbres), self.note(notes)])
        h = self.first(asked).reshape(len(noise), -1, 16)
        for scale, layer in zip(self.scales, self.ladder):
            seconds = torch.arange(0, h.shape[2], dtype=h.dtype) * (4096 / h.shape[2] / 8000)
            turns = torch.einsum("n,k,t->nkt", HERTZ[notes], self.k, seconds)
            shown = torch.cat([torch.sin(2 * pi * turns), torch.cos(2 * pi * turns)], 1)
            h = layer(torch.cat([F.relu(h), shown], 1) * scale(asked)[:, :, None])
        return torch.tanh(h[:, :1]) * torch.sigmoid(h[:, 1:])


def spectra(waves, window):
    hann = torch.hann_window(window, dtype=waves.dtype)
    of = torch.stft(
        waves[:, 0], window, window // 2, window=hann, center=False, return_complex=True
    )
    of = of * 2 / hann.sum()
    return torch.sqrt(of.real**2 + of.imag**2 + 1e-8)


def distance(a, b):
    linear = torch.sqrt(((a - b) ** 2).sum(1) + 1e-10)
    logarithm = (torch.log(a + 0.003) - torch.log(b + 0.003)) ** 2
    return (4 * linear + torch.sqrt(logarithm.mean(1) + 1e-10)).mean()


class Twin:
    def __init__(self, settings, config):
        self.network = Generator(**config).double()
        parameters = self.network.parameters()
        self.optimizer = torch.optim.Adam(parameters, betas=(0.9, 0.99))
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, settings.max_lr, settings.steps
        )
        self.steps = settings.steps

    def weight(self, step):
        return min(1, 0.3 + 0.7 * step / (self.steps / 2))

    def update(self, step, waves, timbres, notes, noise):
        real, n = torch.tensor(waves / np.float32(32767)).double(), len(waves)
        asked = torch.tensor(timbres).repeat(2), torch.tensor(notes).repeat(2)
        first, second = self.network(noise, *asked).split(n)
        near, apart = 0, 0
        for window in (512, 128):
            x, a, b = (spectra(w, window) for w in (real, first, second))
            near = near + 0.5 * (distance(x, a) + distance(x, b))
            apart = apart + distance(a, b)
        self.optimizer.zero_grad()
        (2 * near - self.weight(step) * apart).backward()
        self.optimizer.step()
        self.schedule.step()
        return {"to real tones": near.item(), "of two made": apart.item()}


def both(monkeypatch, tmp_path, twin=Twin, **options):
    """Our training after 20 steps, the twin, and the twin's losses; all in float64."""
    settings = tones.Settings(**{**NARROW, **options})
    td.manual_seed(0)
    ours = tones.build(tmp_path / "checkpoint.safetensors", settings, "cpu")
    generator = ours.networks["generator"].double()
    theirs = twin(settings, generator.config)
    state = {key: torch.tensor(array(x)) for key, x in generator.state_dict().items()}
    theirs.network.load_state_dict(state)
    n = settings.batch_size
    noise = np.random.default_rng(1).standard_normal((STEPS, 2 * n, settings.latent))
    drawn = iter(noise)
    monkeypatch.setattr(td.ops, "randn", lambda *size, **_: td.tensor(next(drawn).reshape(size)))
    distances = tones.distances
    monkeypatch.setattr(tones, "distances", lambda real, *made: distances(real.double(), *made))
    ours.run()
    batches = ours.loader.batches(0)
    told = [
        theirs.update(step, *batch, torch.tensor(of))
        for step, (batch, of) in enumerate(zip(batches, noise))
    ]
    return ours, theirs, told


def agree(ours, theirs, told):
    for name in told[0]:
        np.testing.assert_allclose(ours.losses[name], [t[name] for t in told], rtol=1e-8)
    mine, other = ours.networks["generator"].state_dict(), theirs.network.state_dict()
    assert [*mine] == [*other]
    for name in other:
        np.testing.assert_allclose(array(mine[name]), array(other[name]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("options", [{}, {"batch_size": 1, "latent": 2}, {"max_lr": 0.02}], ids=str)
def test_twenty_steps(options, monkeypatch, tmp_path):
    ours, theirs, told = both(monkeypatch, tmp_path, **options)
    assert len(told) == STEPS and len(set(ours.losses["to real tones"])) == STEPS
    agree(ours, theirs, told)


# ---------------------------------------------------------------- twins that are none


class AtOnce(Twin):
    """The second term has its full weight from the first step on."""

    def weight(self, step):
        return 1


class KeepsItsRate(Twin):
    """Without a schedule."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimizer, 1)


@pytest.mark.parametrize("twin", [AtOnce, KeepsItsRate])
def test_another_training_is_told_apart(twin, monkeypatch, tmp_path):
    with pytest.raises(AssertionError):
        agree(*both(monkeypatch, tmp_path, twin))
