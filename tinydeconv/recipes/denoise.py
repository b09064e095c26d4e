"""The denoiser: trained on real photographs and measured on two that it has never seen."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import HELD_OUT, SIGMA, Crops, Loader, add_noise, photograph
from tinydeconv.kernels.threads import run
from tinydeconv.metrics import psnr, ssim
from tinydeconv.recipes.classical import METHODS
from tinydeconv.recipes.common import check, made, option, report, stages
from tinydeconv.recipes.learned import denoise, device_of
from tinydeconv.train import Training, supervised

FIRST = "chelsea"  # the training photograph of the first picture and of the log
FIRST_PICTURE = 200  # steps, some five seconds
ROWS = 25  # of metrics.jsonl with a PSNR
NOISE = 0, 55 / 255  # the weakest and the strongest in training
MEASURED = 15 / 255, SIGMA, 50 / 255
NOISE_SEED = 0  # of the noise on every photograph in a picture or a table
ZOOM = {"camera": (80, 195, 100), "astronaut": (70, 175, 100), "chelsea": (80, 120, 100)}


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on; the defaults are the demo's."""

    steps: int = option(8000, "fewer steps are quicker and denoise worse")
    seed: int = option(0, "of weights, crops and noise", least=0)
    channels: tuple = (24, 48, 80)
    batch_size: int = 8
    crop: int = 32  # pixels
    epoch: int = 500  # batches
    max_lr: float = 4e-3

    def __post_init__(self):
        check(self)


RECIPES = {"denoise": Settings()}
FULL = Settings(steps=20000, batch_size=16, crop=48)


def build(path, settings, device):
    """The Training of a denoiser."""
    crops = Crops(size=settings.crop, sigma=NOISE, seed=settings.seed)
    model = models.Denoiser(settings.channels).to(device)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    return Training(
        {"denoiser": model}, {"denoiser": optimizer}, {"denoiser": schedule},
        Loader(crops, settings.batch_size, settings.epoch),
        supervised(model, optimizer, _loss), settings.steps, path,
    )  # fmt: skip


def _loss(model, *batch):
    """The mean squared error, where strong noise, of which more is left, has less weight."""
    device = device_of(model)
    noisy, clean, sigma = (td.tensor(array, device=device) for array in batch)
    error = model(noisy, sigma) - clean
    return ((error**2).mean((1, 2, 3)) / (sigma + 5 / 255)).mean()


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, model = training.path.parent, training.networks["denoiser"]

    def measure():
        images = denoised(model, FIRST, SIGMA, {})
        return {"psnr": psnr(images["clean"], images["network"])}

    def first_picture():
        viz.denoise_panel(folder / "first.png", {FIRST: denoised(model, FIRST, SIGMA, {})}, ZOOM)
        tqdm.write(f"a first picture, after step {training.step}: {folder / 'first.png'}")
        return measure()

    early = min(FIRST_PICTURE, training.steps)
    training.run(stages=stages(training, ROWS, measure) | {early: first_picture})
    models.save(model, folder / "weights.safetensors", made(training))
    viz.loss_curve(folder / "loss.png", training.losses["loss"], "mean squared error / noise")
    print(f"measuring on {' and '.join(HELD_OUT)} ...", flush=True)
    results = held_out(model)
    panel = {name: images[SIGMA] for name, images in results.items()}
    viz.denoise_panel(folder / "denoise.png", panel, ZOOM)
    return _measurements(results, training)


def held_out(model):
    """{photograph: {sigma: {label: image}}} of all that is measured, several at a time."""
    cases = list(product(HELD_OUT, MEASURED))
    images = run(lambda case: denoised(model, case[0], case[1], METHODS), cases)
    return {
        name: {sigma: made for (n, sigma), made in zip(cases, images) if n == name}
        for name in HELD_OUT
    }


def denoised(model, name, sigma, methods):
    """{label: image} of a photograph: clean, noisy, and what the methods and the network made."""
    clean = photograph(name)
    noisy = add_noise(clean, sigma, np.random.default_rng(NOISE_SEED))
    made = {label: method(noisy, sigma) for label, method in methods.items()}
    network = denoise(model, noisy, sigma)
    return {"clean": clean, "noisy": np.clip(noisy, 0, 1), **made, "network": network}


def _measurements(results, training):
    """Writes PSNR and SSIM of every result as JSON and as the table that is returned."""
    measured = {
        name: {f"{255 * sigma:g}": quality(images) for sigma, images in of_sigma.items()}
        for name, of_sigma in results.items()
    }
    told = {"noise_seed": NOISE_SEED, "training": training.settings, "photographs": measured}
    return report(training, told, _table(measured))


def quality(images):
    """{label: {"psnr": dB, "ssim": number}} of all images but the clean one."""
    clean = images["clean"]
    return {
        label: {"psnr": psnr(clean, image), "ssim": ssim(clean, image, 1)}
        for label, image in images.items()
        if label != "clean"
    }


def _table(measured):
    """For each noise rows of methods and columns of photographs; then by how much the network wins.

    measured: {photograph: {255 * sigma: {label: {"psnr": dB, "ssim": number}}}}
    """
    lines: list[str] = []
    margins: dict[str, list] = {rival: [] for rival in METHODS}
    for sigma in next(iter(measured.values())):
        columns = [of_sigma[sigma] for of_sigma in measured.values()]
        lines += ["", f"sigma {sigma:11}" + "".join(f"{name:>18}" for name in measured)]
        for label in columns[0]:
            cells = (f"{c[label]['psnr']:.2f} ({c[label]['ssim']:.3f})" for c in columns)
            lines.append(f"{label:17}" + "".join(f"{cell:>18}" for cell in cells))
        for rival, found in margins.items():
            found += [c["network"]["psnr"] - c[rival]["psnr"] for c in columns]
    lines.append("")
    for rival, found in margins.items():
        lines.append(f"network against {rival}: {min(found):+.2f} to {max(found):+.2f} dB")
    return (
        "PSNR in dB (SSIM) of whole grey photographs that no training touched; Gaussian noise of\n"
        f"standard deviation sigma / 255, not clipped, seed {NOISE_SEED}; results clipped.\n"
        + "\n".join(lines)
        + "\n"
    )
