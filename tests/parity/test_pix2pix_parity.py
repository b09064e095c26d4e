"""The game of tinydeconv/recipes/pix2pix.py is PyTorch's: from equal weights, a U-Net and a patch
discriminator that are written here once more, of PyTorch's layers, have the same losses at each
step, and in the end the same weights.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from both import array
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import tinydeconv as td  # noqa: E402
from tinydeconv.recipes import pix2pix  # noqa: E402

STEPS = 20
NARROW = {"batch_size": 4, "channels": (4, 6, 8), "judges": (4, 6), "steps": STEPS}
CASES = [
    {}, {"task": "colour"}, {"adversarial": 0.0}, {"l1": 0.0, "adversarial": 3.0},
    {"channels": (4, 6, 8, 8, 8)}, {"channels": (5,)}, {"size": 64, "judges": (4, 6, 6)},
    {"generator_lr": 0.01, "discriminator_lr": 0.01, "beta1": 0.0},
]  # fmt: skip


class UNet(nn.Module):
    """Isola et al. 2017, section 6.1.1: C(n) and CD(n) without the dropout."""

    def __init__(self, in_channels, out_channels, channels):
        super().__init__()
        self.first = nn.Conv2d(in_channels, channels[0], 4, 2, 1)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.2), nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b)
            )
            for a, b in pairwise(channels)
        )
        self.up = nn.ModuleList()
        for level in range(len(channels) - 1, 0, -1):
            a = channels[level] * (1 if level == len(channels) - 1 else 2)
            b = channels[level - 1]
            self.up.append(
                nn.Sequential(
                    nn.ReLU(), nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b)
                )
            )
        a = channels[0] * (1 if len(channels) == 1 else 2)
        self.last = nn.ConvTranspose2d(a, out_channels, 4, 2, 1)

    def forward(self, x):
        kept = [self.first(x)]
        for down in self.down:
            kept.append(down(kept[-1]))
        h = kept.pop()
        for up in self.up:
            h = torch.cat((up(h), kept.pop()), 1)
        return torch.tanh(self.last(F.relu(h)))


class PatchDiscriminator(nn.Module):
    def __init__(self, channels, in_channels):
        super().__init__()
        layers = [nn.Conv2d(in_channels, channels[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(channels):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.ladder = nn.Sequential(*layers)
        self.last = nn.Conv2d(channels[-1], 1, 3, 1, 1)

    def forward(self, x):
        return self.last(self.ladder(x))


class Game:
    """A training of PyTorch's networks; settings are the recipe's."""

    def __init__(self, settings):
        given, wanted = {"edges": (1, 1), "colour": (1, 2)}[settings.task]
        self.settings = settings
        self.networks = {"network": UNet(given, wanted, settings.channels)}
        rates = {"network": settings.generator_lr}
        if settings.adversarial:
            self.networks["discriminator"] = PatchDiscriminator(settings.judges, given + wanted)
            rates["discriminator"] = settings.discriminator_lr
        self.optimizers, self.schedules = {}, []
        for name, network in self.networks.items():
            adam = torch.optim.Adam(
                network.double().parameters(), rates[name], (settings.beta1, 0.999)
            )
            self.optimizers[name] = adam
            self.schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(adam, settings.steps))

    def update(self, given, wanted):
        """One step of both players; their losses."""
        given, wanted = (torch.from_numpy(x).double() for x in (given, wanted))
        painted = self.networks["network"](given)
        losses = {"error": F.l1_loss(painted, wanted)}
        loss = self.settings.l1 * losses["error"]
        if self.settings.adversarial:
            losses["discriminator"] = self.judge(given, wanted, painted.detach())
            losses["adversarial"] = self.fool(given, painted)
            loss = loss + self.settings.adversarial * losses["adversarial"]
        self.descend("network", loss)
        for schedule in self.schedules:
            schedule.step()
        return {name: x.item() for name, x in losses.items()}

    def judge(self, given, wanted, painted):
        judge = self.networks["discriminator"]
        real, fake = (judge(torch.cat((given, x), 1)) for x in (wanted, painted))
        loss = sum(
            F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))
            for logits, target in ((real, 1.0), (fake, 0.0))
        )
        self.descend("discriminator", loss)
        return loss

    def fool(self, given, painted):
        logits = self.networks["discriminator"](torch.cat((given, painted), 1))
        return F.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))

    def descend(self, name, loss):
        self.optimizers[name].zero_grad()
        loss.backward(inputs=list(self.networks[name].parameters()))
        self.optimizers[name].step()


def both(tmp_path, options, game=Game):
    """A training of ours after 20 steps, its twin, and the losses of the twin: {name: list}."""
    settings = pix2pix.Settings(**{**NARROW, **options})
    td.manual_seed(settings.seed)
    ours, theirs = pix2pix.build(tmp_path / "c.safetensors", settings, "cpu"), game(settings)
    assert ours.networks.keys() == theirs.networks.keys()
    for name, network in ours.networks.items():
        state = {key: torch.tensor(array(x)) for key, x in network.double().state_dict().items()}
        theirs.networks[name].load_state_dict(state)
    whole = ours.update
    ours.update = lambda *pair: whole(*(x.astype(np.float64) for x in pair))
    ours.run()
    told = [theirs.update(*pair) for pair, _ in zip(ours.loader.batches(0), range(STEPS))]
    return ours, theirs, {name: [losses[name] for losses in told] for name in told[0]}


def agree(ours, theirs, losses):
    assert ours.losses.keys() == losses.keys()
    for name, other in losses.items():
        assert len(set(other)) == STEPS
        np.testing.assert_allclose(ours.losses[name], other, rtol=1e-8, err_msg=name)
    for name, network in theirs.networks.items():
        mine, other = ours.networks[name].state_dict(), network.state_dict()
        assert [*mine] == [*other]
        for key in other:
            a, b = array(mine[key]), array(other[key])
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=f"{name} {key}")


@pytest.mark.parametrize("options", CASES, ids=str)
def test_twenty_steps_of_both_players(options, tmp_path):
    agree(*both(tmp_path, options))


def test_answers_in_eval_mode_of_any_size(tmp_path):
    ours, theirs, _ = both(tmp_path, {})
    mine, other = ours.networks["network"].eval(), theirs.networks["network"].eval()
    x = np.random.default_rng(0).random((2, 1, 21, 8)) * 2 - 1
    wide = np.pad(x, [(0, 0), (0, 0), (0, 3), (0, 0)], mode="symmetric")
    expected = other(torch.tensor(wide)).detach().numpy()[:, :, :21]
    np.testing.assert_allclose(array(mine(td.tensor(x))), expected, rtol=1e-9, atol=1e-12)


class JudgesAfter(Game):
    """The network is told by a discriminator that has not taken its step."""

    def judge(self, given, wanted, painted):
        self.before = self.fool(given, painted).item()
        return super().judge(given, wanted, painted)

    def update(self, given, wanted):
        return super().update(given, wanted) | {"adversarial": self.before}


class JudgesPicturesAlone(Game):
    """The discriminator does not see what was given."""

    def judge(self, given, wanted, painted):
        return super().judge(0 * given, wanted, painted)


class DropsASkip(Game):
    """Without what the way down knew at the first size."""

    def __init__(self, settings):
        super().__init__(settings)
        whole = self.networks["network"].last.forward
        self.networks["network"].last.forward = lambda h: whole(
            torch.cat((h[:, : h.shape[1] // 2], 0 * h[:, h.shape[1] // 2 :]), 1)
        )


@pytest.mark.parametrize("game", [JudgesAfter, JudgesPicturesAlone, DropsASkip])
def test_another_game_is_seen(game, tmp_path):
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*both(tmp_path, {}, game))
