"""Super-resolution: trained on real photographs and measured on two that it has never seen."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import HELD_OUT, Crops, Loader, photograph
from tinydeconv.data.images import images_extra
from tinydeconv.metrics import psnr, ssim
from tinydeconv.models.superresolution import (
    SCALES,
    UPSAMPLINGS,
    PairDiscriminator,
    SuperResolution,
    bicubic,
)
from tinydeconv.recipes.common import check, made, option, report, stages
from tinydeconv.recipes.gan import cross_entropy, non_saturating
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.upscale import upscale
from tinydeconv.train import Training

FIRST = "chelsea"  # the training photograph of the first picture and of metrics.jsonl
ROWS = 25  # of metrics.jsonl with a PSNR
JUDGE_LR = 1e-3  # the discriminator's highest learning rate
ZOOM = {"camera": (60, 190, 100), "astronaut": (70, 175, 100), "chelsea": (80, 120, 100)}


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    scale: int = option(2, "how many times as large", choices=SCALES)
    upsampling: str = option("shuffle", "how few pixels become many", choices=UPSAMPLINGS)
    adversarial: float = option(
        0.0, "weight of the adversarial term in the second half of the steps", metavar="W"
    )
    steps: int = option(4000, "fewer steps are quicker and paint worse")
    seed: int = option(0, "of weights and crops", least=0)
    channels: tuple = (32, 12, 12, 12, 12)
    batch_size: int = 8
    crop: int = 24  # pixels of the small image
    epoch: int = 500  # batches
    max_lr: float = 4e-3

    def __post_init__(self):
        check(self)


RECIPES = {"sr": Settings()}


def build(path, settings, device):
    """The Training of a network, in the second half of the steps against a discriminator if there
    is an adversarial term.
    """
    crops = Crops(size=settings.scale * settings.crop, sigma=0, seed=settings.seed)
    networks: dict[str, Any] = {
        "network": SuperResolution(settings.scale, settings.upsampling, settings.channels)
    }
    rates = {"network": settings.max_lr}
    if settings.adversarial:
        networks["discriminator"] = PairDiscriminator(settings.scale)
        rates["discriminator"] = JUDGE_LR
    networks = {name: network.to(device) for name, network in networks.items()}
    optimizers = {name: optim.Adam(network.parameters()) for name, network in networks.items()}
    schedules = {
        name: optim.OneCycleLR(optimizers[name], rate, settings.steps)
        for name, rate in rates.items()
    }
    return Training(
        networks, optimizers, schedules, Loader(crops, settings.batch_size, settings.epoch),
        _update(networks, optimizers, schedules, settings), settings.steps, path,
    )  # fmt: skip


def _update(networks, optimizers, schedules, settings):
    """A step down the mean absolute error, plus the adversarial term when its time has come."""
    network, judge = networks["network"], networks.get("discriminator")

    def update(noisy, large, sigma):
        large = td.tensor(large, device=device_of(network))
        small = bicubic(large, 1 / settings.scale)
        painted = network(small)
        error = loss = abs(painted - large).mean()
        losses = {"error": error}
        if judge is not None:
            losses |= {"adversarial": 0.0, "discriminator": 0.0}
        if judge is not None and schedules["network"].last_epoch >= settings.steps // 2:
            fooling = non_saturating(judge(small, painted))
            loss = error + settings.adversarial * fooling
            losses["adversarial"] = fooling
        optimizers["network"].zero_grad()
        loss.backward()
        optimizers["network"].step()
        if loss is not error:
            judging = cross_entropy(judge(small, large), judge(small, painted.detach()))
            optimizers["discriminator"].zero_grad()  # of the slopes by which it was fooled too
            judging.backward()
            optimizers["discriminator"].step()
            losses["discriminator"] = judging
        return losses

    return update


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, model = training.path.parent, training.networks["network"]
    first = folder / "first.png"

    def measure():
        images = enlarged(model, FIRST)
        if not first.exists():
            viz.denoise_panel(first, {FIRST: images}, ZOOM)
            tqdm.write(f"a first picture, after step {training.step}: {first}")
        return {"psnr": psnr(images["clean"], images["network"])}

    training.run(stages=stages(training, ROWS, measure))
    models.save(model, folder / "weights.safetensors", made(training))
    viz.loss_curve(folder / "loss.png", training.losses["error"], "mean absolute error")
    if "adversarial" in training.losses:
        half = training.steps // 2
        game = {name: of[half:] for name, of in training.losses.items() if name != "error"}
        viz.loss_curve(folder / "game.png", game, f"loss, from step {half} on")
    results = {name: enlarged(model, name) for name in HELD_OUT}
    viz.denoise_panel(folder / "upscale.png", results, ZOOM)
    return _measurements(results, training)


def enlarged(model, name):
    """{label: image} of a photograph: the clean one, and what is made of it shrunk by the model's
    scale, by bicubic and Lanczos interpolation and by the model.
    """
    scale = model.scale
    height, width = (n - n % scale for n in photograph(name).shape)
    clean = photograph(name)[:height, :width]
    small = bicubic(td.tensor(clean[None, None].copy()), 1 / scale).numpy()[0, 0]
    Image = images_extra("PIL.Image")
    rivals = {
        label: np.asarray(Image.fromarray(small).resize((width, height), method)).clip(0, 1)
        for label, method in {"bicubic": Image.BICUBIC, "Lanczos": Image.LANCZOS}.items()
    }
    return {"clean": clean, **rivals, "network": upscale(model, small)}


def detail(clean, image, scale):
    """The power of an image in the frequencies that the small image has no room for, those above
    1 / (2 * scale) a pixel along an axis, over the clean one's.

    1 is as much detail as there was, right or wrong.
    """
    window = np.outer(*map(np.hanning, clean.shape))  # the borders do not meet
    high = np.maximum(*(abs(f) for f in np.meshgrid(*map(np.fft.fftfreq, clean.shape[::-1]))))
    powers = (
        np.sum(abs(np.fft.fft2(window * x)[high > 1 / (2 * scale)]) ** 2) for x in (image, clean)
    )
    return float(np.divide(*powers))


def quality(images, scale):
    """{label: {"psnr": dB, "ssim": number, "detail": ratio}} of all images but the clean one."""
    clean = images["clean"]
    return {
        label: {
            "psnr": psnr(clean, image),
            "ssim": ssim(clean, image, 1),
            "detail": detail(clean, image, scale),
        }
        for label, image in images.items()
        if label != "clean"
    }


def _measurements(results, training):
    """Writes what was measured as JSON and as the table that is returned."""
    scale = training.networks["network"].scale
    measured = {name: quality(images, scale) for name, images in results.items()}
    told = {"training": training.settings, "photographs": measured}
    return report(training, told, _table(measured, scale))


def _table(measured, scale):
    """Rows of methods and columns of photographs; then by how much the network wins.

    measured: {photograph: {label: {"psnr": dB, "ssim": number, "detail": ratio}}}
    """
    lines = [f"{'':12}" + "".join(f"{name:>24}" for name in measured)]
    columns = list(measured.values())
    for label in columns[0]:
        cells = (
            f"{c[label]['psnr']:.2f} ({c[label]['ssim']:.3f}, {100 * c[label]['detail']:.0f} %)"
            for c in columns
        )
        lines.append(f"{label:12}" + "".join(f"{cell:>24}" for cell in cells))
    gains = [c["network"]["psnr"] - c["bicubic"]["psnr"] for c in columns]
    return (
        "PSNR in dB (SSIM, and the power in frequencies that the small image cannot hold, of the\n"
        f"photograph's) of whole grey photographs that no training touched, x{scale}, shrunk by\n"
        "antialiased bicubic interpolation.\n\n"
        + "\n".join(lines)
        + f"\n\nnetwork against bicubic: {min(gains):+.2f} to {max(gains):+.2f} dB\n"
    )
