"""The recipes `fill` and `dejpeg` step for step as PyTorch does them: from equal weights and
batches the twin has the same losses, and in the end the same weights.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from both import array
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
import tinydeconv as td  # noqa: E402
from tinydeconv.recipes import dejpeg, fill  # noqa: E402

STEPS = 20
CASES = [
    ("fill", {}),
    ("fill", {"classes": 62, "outside": 0.3, "smallest": 4, "largest": 30}),
    ("fill", {"channels": fill.Settings().channels, "batch_size": 8}),
    ("dejpeg", {"crop": 24}),
    ("dejpeg", {"crop": 21, "max_lr": 0.01}),
    ("dejpeg", {"channels": dejpeg.Settings().channels, "batch_size": 2, "crop": 32}),
]


class Filler(nn.Module):
    def __init__(self, in_channels, out_channels, channels, skips):
        super().__init__()
        self.skips = skips
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise([in_channels, *channels])
        )
        up = [nn.ConvTranspose2d(b, a, 4, 2, 1) for a, b in pairwise(channels)]
        self.up = nn.ModuleList(up[::-1])
        self.last = nn.ConvTranspose2d(channels[0], out_channels, 4, 2, 1)

    def forward(self, x):
        multiple, (height, width) = 2 ** len(self.down), x.shape[2:]
        h = x
        for axis in (2, 3):  # continued by its last rows, then columns, in reverse
            missing = -h.shape[axis] % multiple
            if missing:
                h = torch.cat([h, h.flip(axis).narrow(axis, 0, missing)], axis)
        read = []
        for layer in self.down:
            h = torch.nn.functional.leaky_relu(layer(h), 0.2)
            read.append(h)
        for number, layer in enumerate(self.up):
            h = layer(h)
            if self.skips:
                h = h + read[-2 - number]
            h = torch.nn.functional.leaky_relu(h, 0.2)
        painted = self.last(h)[..., :height, :width]
        return x + painted if self.skips else painted


def loss_of_holes(network, images, holes, labels, outside):
    images = torch.from_numpy(images / np.float32(127.5) - 1).double()
    holes = torch.from_numpy(holes)
    painted = network(torch.where(holes > 0, 0.0, images))
    error = torch.mean((painted - images)[holes > 0] ** 2)
    return error + outside * torch.mean((painted - images)[holes == 0] ** 2)


def loss_of_jpeg(network, compressed, clean):
    compressed, clean = (torch.from_numpy(2 * x - 1).double() for x in (compressed, clean))
    return torch.nn.functional.l1_loss(network(compressed), clean)


def both(recipe, options, tmp_path, twin=Filler, scale=1.0):
    """(losses, weights) of ours and of the twin after 20 steps, in float64."""
    page = {"fill": fill, "dejpeg": dejpeg}[recipe]
    more = {"channels": (4, 6, 8), "batch_size": 4, "steps": STEPS, **options}
    settings = page.Settings(**more)
    td.manual_seed(1)
    ours = page.build(tmp_path / "checkpoint.safetensors", settings, "cpu")
    network = ours.networks["filler"].double()
    td.nn.init.normal_(network.last.weight, 0, 0.05)  # so that all layers have slopes at once
    network.forward = lambda x, forward=network.forward: forward(x.double())
    theirs = twin(**network.config).double()
    state = {name: torch.tensor(array(x)) for name, x in network.state_dict().items()}
    theirs.load_state_dict(state)
    optimizer = torch.optim.Adam(theirs.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.max_lr * scale, STEPS)
    losses = []
    for batch in ours.loader.batches(0):
        if len(losses) == STEPS:
            break
        more = {"outside": settings.outside} if recipe == "fill" else {}
        loss = (loss_of_holes if recipe == "fill" else loss_of_jpeg)(theirs, *batch, **more)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    ours.run()
    return ours.losses["loss"], losses, network.state_dict(), theirs.state_dict()


def agree(mine, other, ours, theirs):
    assert len(set(other)) == STEPS
    np.testing.assert_allclose(mine, other, rtol=1e-8)
    assert [*ours] == [*theirs]
    for name, x in theirs.items():
        np.testing.assert_allclose(array(ours[name]), array(x), rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(("recipe", "options"), CASES, ids=str)
def test_twenty_steps(recipe, options, tmp_path):
    agree(*both(recipe, options, tmp_path))


class OneSkipLess(Filler):
    def forward(self, x):
        self.skips = False
        return x + super().forward(x)


@pytest.mark.parametrize(
    ("recipe", "sabotage"), [("dejpeg", {"twin": OneSkipLess}), ("fill", {"scale": 1.01})], ids=str
)
def test_another_twin_is_seen(recipe, sabotage, tmp_path):
    found = both(recipe, {}, tmp_path, **sabotage)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        agree(*found)
