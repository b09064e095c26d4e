"""Without the traces of JPEG: the network of `fill`, trained on photographs that were compressed,
and measured on two that it has never seen.

What is left is the task of Dong, Deng, Loy and Tang ("Compression artifacts reduction by a deep
convolutional network", ICCV 2015).
"""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import HELD_OUT, Crops, Loader, photograph
from tinydeconv.data.transforms import JPEG
from tinydeconv.metrics import psnr, ssim
from tinydeconv.recipes.apply import translate
from tinydeconv.recipes.common import check, made, option, report, stages
from tinydeconv.recipes.learned import device_of
from tinydeconv.train import Training, supervised

EPOCH = 500  # batches of data without an end
ROWS = 25  # of metrics.jsonl with a PSNR
QUALITIES = 10, 20, 30, 40  # that are measured, and SHOWN in pictures
SHOWN = 10
FIRST = "chelsea"  # the training photograph of the first picture and of metrics.jsonl
ZOOM = {"camera": (60, 190, 100), "astronaut": (70, 175, 100), "chelsea": (80, 120, 100)}
COMPRESSED = 1  # keys the draws of qualities apart from those of crops


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    worst: int = option(10, "the lowest quality of the JPEG files, from 1 to 100")
    best: int = option(40, "the highest")
    steps: int = option(4000, "fewer steps are quicker and restore worse")
    seed: int = option(0, "of weights, crops and qualities", least=0)
    batch_size: int = option(8, "crops a step")
    max_lr: float = option(3e-3, "the largest learning rate")
    crop: int = 64  # pixels a side
    channels: tuple = (48, 64)

    def __post_init__(self):
        check(self)
        JPEG((self.worst, self.best))


RECIPES = {"dejpeg": Settings()}


class Compressed:
    """Crops of photographs, and what a JPEG file makes of them: (compressed, clean), float32
    (n, 1, size, size) in [0, 1].

    crops: a data.Crops
    quality: (low, high) of the files, drawn from a generator keyed by (crops.seed, epoch, index)
    """

    def __init__(self, crops, quality):
        self.crops, self.jpeg = crops, JPEG(quality)

    def batch(self, epoch, indices):
        _, clean, _ = self.crops.batch(epoch, indices)
        keys = ([self.crops.seed, epoch, index, COMPRESSED] for index in indices)
        pairs = zip(clean, map(np.random.default_rng, keys))
        return np.stack([self.jpeg(*pair) for pair in pairs]), clean


def build(path, settings, device):
    """The Training of a filler with skips."""
    crops = Crops(size=settings.crop, sigma=0, seed=settings.seed)
    network = models.Filler(channels=settings.channels, skips=True).to(device)
    optimizer = optim.Adam(network.parameters())
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    loader = Loader(Compressed(crops, (settings.worst, settings.best)), settings.batch_size, EPOCH)
    return Training(
        {"filler": network}, {"filler": optimizer}, {"filler": schedule}, loader,
        supervised(network, optimizer, _loss), settings.steps, path,
    )  # fmt: skip


def _loss(network, compressed, clean):
    """The mean absolute error of pixels in [-1, 1], the network's range."""
    compressed, clean = (
        td.tensor(2 * x - 1, device=device_of(network)) for x in (compressed, clean)
    )
    return abs(network(compressed) - clean).mean()


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, network = training.path.parent, training.networks["filler"]
    first = folder / "first.png"

    def measure():
        images = restored(network, FIRST, SHOWN)
        if not first.exists():
            viz.denoise_panel(first, {FIRST: images}, ZOOM)
            tqdm.write(f"a first picture, after step {training.step}: {first}")
        return {"psnr": psnr(images["clean"], images["network"])}

    training.run(stages=stages(training, ROWS, measure))
    models.save(network, folder / "weights.safetensors", made(training))
    viz.loss_curve(folder / "loss.png", training.losses["loss"], "mean absolute error")
    results = {
        name: {quality: restored(network, name, quality) for quality in QUALITIES}
        for name in HELD_OUT
    }
    panel = {
        name: {
            label.replace("JPEG", f"JPEG, quality {SHOWN}"): image for label, image in of.items()
        }
        for name, of in ((name, of_quality[SHOWN]) for name, of_quality in results.items())
    }
    viz.denoise_panel(folder / "dejpeg.png", panel, ZOOM)
    return _measurements(results, training)


def restored(network, name, quality):
    """{label: image} of a photograph: clean, as a JPEG file of this quality, and restored."""
    clean = photograph(name)
    compressed = JPEG(quality)(clean[None], np.random.default_rng(0))[0]
    return {"clean": clean, "JPEG": compressed, "network": translate(network, compressed)}


def _measurements(results, training):
    """Writes PSNR and SSIM of every result as JSON and as the table that is returned."""
    measured = {
        name: {
            str(quality): {
                label: {
                    "psnr": psnr(images["clean"], image),
                    "ssim": ssim(images["clean"], image, 1),
                }
                for label, image in images.items()
                if label != "clean"
            }
            for quality, images in of_quality.items()
        }
        for name, of_quality in results.items()
    }
    told = {"training": training.settings, "photographs": measured}
    return report(training, told, _table(measured))


def _table(measured):
    """A row for each photograph and quality, and the gains.

    measured: {photograph: {quality: {"JPEG" or "network": {"psnr": dB, "ssim": number}}}}
    """
    lines = [
        "PSNR in dB (SSIM) of whole grey photographs that no training touched, as JPEG files.\n",
        f"{'':12}{'quality':>8}{'JPEG':>16}{'network':>16}{'gain':>18}",
    ]
    for name, of_quality in measured.items():
        for quality, of in of_quality.items():
            cells = [f"{x['psnr']:.2f} ({x['ssim']:.3f})" for x in of.values()]
            gain, better = (of["network"][what] - of["JPEG"][what] for what in ("psnr", "ssim"))
            cells.append(f"{gain:+.2f} ({better:+.3f})")
            lines.append(f"{name:12}{quality:>8}{cells[0]:>16}{cells[1]:>16}{cells[2]:>18}")
    return "\n".join(lines) + "\n"
