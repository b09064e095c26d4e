"""From one kind of picture another: a U-Net learns from pairs, down the mean absolute error and
against a discriminator of patches (Isola et al. 2017, "pix2pix").

Where a picture has several right answers, the least error is in the middle of them, which may be
none. The discriminator sees what was given and what was painted of it, and tells such compromises
from answers.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import data, metrics, models, viz
from tinydeconv.data import HELD_OUT, photograph, rgb2gray
from tinydeconv.ops import cat
from tinydeconv.recipes.apply import WEIGHTS, translate, ycbcr
from tinydeconv.recipes.common import (
    check,
    made,
    optimizers_of,
    option,
    report,
    settings_of,
    stages,
)
from tinydeconv.recipes.gan import cross_entropy, non_saturating
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.scores import centred, read
from tinydeconv.train import Training

TASKS = "edges", "colour"
# those of daily things, of the training photographs that have colour
COLOURED = "chelsea", "china", "coffee", "flower", "rocket"
JUDGED = "astronaut"  # the only one in colour that no training touches
EPOCH = 500  # batches of data without an end
PICTURES = 5  # stages
ROW = 10  # pairs in the picture
SHOWN = (60, 165), (20, 0), (140, 90), (340, 110), (30, 380)  # corners of parts of JUDGED
SIDE = 120  # pixels of each
MEASURED = 1000  # pairs of outlines
MEASURED_SEED = 1_000_000  # of these; it is no training's
BATCH = 100  # pictures that are painted at once

# ---------------------------------------------------------------- pairs
# Both pictures of a pair are float32 (n, channels, size, size) in [-1, 1], as the networks see them


def outline(ink):
    """Where the border of ink is: pixels of ink, of which one of the four neighbours is none.

    ink: booleans (..., H, W); outside there is none
    """
    wide = np.pad(ink, [(0, 0)] * (ink.ndim - 2) + [(1, 1)] * 2)
    up, down = wide[..., :-2, 1:-1], wide[..., 2:, 1:-1]
    left, right = wide[..., 1:-1, :-2], wide[..., 1:-1, 2:]
    return ink & ~(up & down & left & right)


class Outlines:
    """Pairs: outlines of digits, white on black, of which a grey square hides a part; the digits.

    hidden: side of the square, in pixels, or 0; it lies anywhere in the picture

    Pair (epoch, index) depends on (seed, epoch, index) alone.
    """

    def __init__(self, size=32, hidden=16, seed=0):
        self.glyphs, self.hidden = data.Glyphs(10, size, seed), hidden

    def batch(self, epoch, indices):
        """(outlines, digits), (n, 1, size, size) each."""
        return self.labelled(epoch, indices)[:2]

    def labelled(self, epoch, indices):
        """(outlines, digits, labels): the same, and which digits they are, int64 (n,)."""
        digits, labels = self.glyphs.batch(epoch, indices)
        given = 2 * outline(digits >= 128).astype(np.float32) - 1
        for index, picture in zip(indices, given):
            # the digits' generators have keys of three numbers
            rng = np.random.default_rng([self.glyphs.seed, epoch, index, 1])
            top, left = rng.integers(self.glyphs.size - self.hidden + 1, size=2)
            picture[:, top : top + self.hidden, left : left + self.hidden] = 0
        return given, centred(digits), labels


class Colours:
    """Pairs: square crops of photographs in grey, some of them mirrored; and their colours, which
    are ycbcr's last two planes: the brightness is known.

    Pair (epoch, index) is drawn from a generator keyed by (seed, epoch, index).
    """

    def __init__(self, size=32, seed=0, names=COLOURED):
        if held_out := [name for name in names if name in HELD_OUT]:
            raise ValueError(
                f"training may not touch {', '.join(held_out)}: held out for measurement"
            )
        self.size, self.seed, self.names = size, seed, names

    def pair(self, epoch, index):
        rng = np.random.default_rng([self.seed, epoch, index])
        image = photograph(self.names[rng.integers(len(self.names))], colour=True)
        top, left = (rng.integers(side - self.size + 1) for side in image.shape[:2])
        crop = image[top : top + self.size, left : left + self.size]
        crop = crop[:, ::-1] if rng.integers(2) else crop
        planes = ycbcr(crop)
        return planes[:1], planes[1:]

    def batch(self, epoch, indices):
        """(grey, colours): (n, 1, size, size) and (n, 2, size, size)."""
        pairs = zip(*(self.pair(epoch, index) for index in indices))
        return tuple(2 * np.stack(images) - 1 for images in pairs)


# ---------------------------------------------------------------- settings


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    task: str = option(
        "edges", "outlines with a part hidden to digits, or grey photographs to colour",
        choices=TASKS,
    )  # fmt: skip
    hidden: int = option(
        16, "side of the square that hides a part of an outline, in pixels", least=0
    )
    size: int = option(32, "pixels a side of the training pictures", choices=(32, 64))
    l1: float = option(20.0, "weight of the mean absolute error, 100 in the paper", metavar="W")
    adversarial: float = option(
        1.0, "weight of what the discriminator says; 0 is the error alone", metavar="W"
    )
    steps: int = option(4000, "fewer steps are quicker and paint worse")
    seed: int = option(0, "of weights and pairs", least=0)
    batch_size: int = option(16, "pairs a step", least=2)
    channels: tuple = (16, 32, 64, 64)  # of the U-Net at half the size, at a quarter and so on
    judges: tuple = (16, 32, 64)  # channels of the discriminator, likewise
    generator_lr: float = option(1e-3, "the largest learning rate, at first")
    discriminator_lr: float = option(5e-4, "likewise")
    beta1: float = 0.5  # of Adam, as in the paper; beta2 is 0.999

    def __post_init__(self):
        check(self)
        if self.beta1 >= 1:
            raise ValueError(f"expected beta1 below 1, got {self.beta1}")
        if self.hidden > self.size:
            raise ValueError(
                f"expected hidden of at most {self.size} pixels, the size, got {self.hidden}"
            )
        if not self.l1 and not self.adversarial:
            raise ValueError("expected a weight above 0 for l1 or adversarial, got 0 for both")


RECIPES = {"pix2pix": Settings()}


def data_set(settings, seed=None):
    """The pairs of a task."""
    seed = settings.seed if seed is None else seed
    if settings.task == "edges":
        return Outlines(settings.size, settings.hidden, seed)
    return Colours(settings.size, seed)


# ---------------------------------------------------------------- training


def build(path, settings, device):
    """The Training of a U-Net, against a discriminator if there is an adversarial term."""
    pairs = data_set(settings)
    given, wanted = (images.shape[1] for images in pairs.batch(0, [0]))
    networks: dict[str, Any] = {"network": models.UNet(given, wanted, settings.channels)}
    rates = {"network": settings.generator_lr}
    if settings.adversarial:
        networks["discriminator"] = models.PatchDiscriminator(settings.judges, given + wanted)
        rates["discriminator"] = settings.discriminator_lr
    networks = {name: network.to(device) for name, network in networks.items()}
    betas = settings.beta1, 0.999
    optimizers, schedules = optimizers_of(networks, rates, betas, settings.steps)
    loader = data.Loader(pairs, settings.batch_size, EPOCH)
    update = partial(play, networks, optimizers, settings)
    return Training(networks, optimizers, schedules, loader, update, settings.steps, path)


def play(networks, optimizers, settings, given, wanted):
    """A step of the discriminator, if there is one, then one of the network; their losses."""
    network, judge = networks["network"], networks.get("discriminator")
    given, wanted = (td.tensor(images, device=device_of(network)) for images in (given, wanted))
    painted = network(given)
    error = abs(painted - wanted).mean()
    losses, loss = {"error": error}, settings.l1 * error
    if judge is not None:
        # detached: this step is not to reach the network
        judged = (judge(cat([given, x], 1)) for x in (wanted, painted.detach()))
        losses["discriminator"] = cross_entropy(*judged)
        optimizers["discriminator"].zero_grad()
        losses["discriminator"].backward()
        optimizers["discriminator"].step()
        losses["adversarial"] = non_saturating(judge(cat([given, painted], 1)))
        loss = loss + settings.adversarial * losses["adversarial"]
    optimizers["network"].zero_grad()
    loss.backward(inputs=[*network.parameters()])  # and not the discriminator's, at their cost
    optimizers["network"].step()
    return losses


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures, losses and
    measurements. Returns the measurements as a table to print.
    """
    folder, network = training.path.parent, training.networks["network"]
    settings = settings_of(training.settings)
    show, measure = OF_TASK[settings.task]

    def picture(name=None):
        models.save(network, folder / WEIGHTS, made(training))
        rows = show(network, settings)
        path = folder / (name or f"translated-{training.step}.png")
        images = np.concatenate(rows)
        viz.grid(path, images, len(rows[0]), max(1, 100 // images.shape[-1]))
        tqdm.write(f"after step {training.step}: {path}")

    training.run(stages=stages(training, PICTURES, picture))
    picture("translated.png")
    viz.loss_curve(folder / "losses.png", training.losses)
    return _measurements(measure(network, settings), training)


def _measurements(told, training):
    """Writes {what: {of which pictures: number}} as JSON and as the table that is returned."""
    settings = training.settings
    results = {"training": settings, "measured": told}
    columns = list(next(iter(told.values())))
    of = f"{MEASURED} digits" if settings["task"] == "edges" else f"{JUDGED}, the photograph"
    lines = [f"{of} no training saw".ljust(44) + "".join(f"{name:>10}" for name in columns)]
    for what, row in told.items():
        cells = "".join(f"{row[name]:10.3f}" for name in columns if name in row)
        lines.append(f"{what:44}{cells}")
    return report(training, results, "\n".join(lines) + "\n")


# ---------------------------------------------------------------- what is shown and measured


def painted(network, given):
    """What the network, in eval mode, makes of pictures (n, C, size, size): (n, C', size, size)."""
    training, parts = network.training, []
    network.eval()
    with td.no_grad():
        for start in range(0, len(given), BATCH):
            part = td.tensor(given[start : start + BATCH], device=device_of(network))
            parts.append(network(part).cpu().numpy())
    network.train(training)
    return np.concatenate(parts)


def show_digits(network, settings):
    """Rows of images in [0, 1]: outlines no training has seen, what is painted, the digits."""
    given, wanted = data_set(settings, MEASURED_SEED + settings.seed).batch(0, range(ROW))
    return [(x + 1) / 2 for x in (given, painted(network, given), wanted)]


def show_colours(network, settings):
    """Rows of parts of a photograph no training has seen: grey, as it is painted, as it is."""
    return [
        np.stack([np.moveaxis(image[y : y + SIDE, x : x + SIDE], 2, 0) for y, x in SHOWN])
        for image in coloured(network).values()
    ]


def coloured(network):
    """{"given", "painted", "truth": a photograph no training has seen (H, W, 3)}."""
    truth = photograph(JUDGED, colour=True)
    brightness = ycbcr(truth)[0]
    given = np.repeat(brightness[..., None], 3, 2)
    return {"given": given, "painted": translate(network, brightness), "truth": truth}


def steepness(images, where):
    """The mean difference of neighbours, along both axes, where the second of them is marked."""
    return sum(
        np.abs(np.diff(images, axis=axis))[where.take(range(1, where.shape[axis]), axis)].mean()
        for axis in (2, 3)
    )


def measure_digits(network, settings):
    """{what: {of which pictures: number}} of digits no training has seen."""
    pairs = data_set(settings, MEASURED_SEED + settings.seed)
    given, wanted, labels = pairs.labelled(0, range(MEASURED))
    found = {"given": given, "painted": painted(network, given), "truth": wanted}
    told = {"mean absolute error, white less black is 1": {
        name: np.abs(x - wanted).mean() / 2 for name, x in found.items()
    }}  # fmt: skip
    if (hidden := given == 0).any():
        told["the same where it is hidden"] = {
            name: np.abs(x - wanted)[hidden].mean() / 2 for name, x in found.items()
        }
        told["steepness there, over the truth's"] = {
            name: steepness(x, hidden) / steepness(wanted, hidden) for name, x in found.items()
        }
    if settings.size == 32:  # what the classifier reads
        told["read right, share"] = {
            name: np.mean(read(x)[0].argmax(1) == labels) for name, x in found.items()
        }
    return floats(told)


def chroma(image):
    """How far from grey a colour image (H, W, 3) is: the mean distance of its colours from their
    luminance.
    """
    return np.linalg.norm(image - rgb2gray(image)[..., None], axis=2).mean()


def variety(image):
    """How many colours an image (H, W, 3) has: the area that they take up, whatever their
    brightness, sqrt(det C) of the covariance C of how blue and how red they are; 0 on a line.
    """
    colours = ycbcr(image)[1:].reshape(2, -1)
    return np.sqrt(max(0, np.linalg.det(np.cov(colours))))


def measure_colours(network, settings):
    """{what: {of which pictures: number}} of a photograph no training has seen."""
    found = coloured(network)
    truth = found["truth"]
    return floats({
        "mean absolute error, white less black is 1": {
            name: np.abs(x - truth).mean() for name, x in found.items()
        },
        "PSNR, dB": {
            name: metrics.psnr(truth, x) for name, x in found.items() if x is not truth
        },
        "distance from grey, over the truth's": {
            name: chroma(x) / chroma(truth) for name, x in found.items()
        },
        "area of the colours, over the truth's": {
            name: variety(x) / variety(truth) for name, x in found.items()
        },
    })  # fmt: skip


def floats(told):
    """As JSON can hold it."""
    return {what: {name: float(x) for name, x in row.items()} for what, row in told.items()}


OF_TASK = {"edges": (show_digits, measure_digits), "colour": (show_colours, measure_colours)}
