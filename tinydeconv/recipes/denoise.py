"""The denoiser: trained on real photographs, measured on two that it has never seen, put to use."""

import json
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import HELD_OUT, SIGMA, Crops, Loader, add_noise, photograph
from tinydeconv.data.images import images_extra
from tinydeconv.metrics import psnr, ssim
from tinydeconv.nn import functional as F
from tinydeconv.recipes.classical import METHODS
from tinydeconv.serialize import write_atomically
from tinydeconv.train import Training, read_settings

FIRST = "chelsea"  # the training photograph of the first picture
NOISE_SEED = 0  # of the noise on every photograph in a picture or a table
FIRST_PICTURE = 200  # steps, some five seconds
ZOOM = {"camera": (80, 195, 100), "astronaut": (70, 175, 100), "chelsea": (80, 120, 100)}
TILE, MARGIN = 256, 16  # pixels; the network looks 15 pixels far


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    steps: int = 12000
    seed: int = 0
    channels: tuple = (16, 24, 48)
    batch_size: int = 8
    crop: int = 32  # pixels
    epoch: int = 500  # batches
    max_lr: float = 5e-3

    def __post_init__(self):
        sizes = (self.steps, self.batch_size, self.crop, self.epoch, *self.channels)
        whole = all(isinstance(n, int) for n in (*sizes, self.seed))
        if not (whole and min(sizes) >= 1 and self.seed >= 0 and 0 < self.max_lr < inf):
            raise ValueError(f"expected positive numbers, whole but for max_lr, got {self}")


def start(folder, settings):
    """A Training from random weights, whose files go into the folder."""
    path = Path(folder) / "checkpoint.safetensors"
    if path.exists():
        there = resume(folder)
        raise FileExistsError(
            f"{folder} has a training after {there.step} of {there.steps} steps: go on with "
            "--resume, or choose another --out"
        )
    training = _training(path, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    return training


def resume(folder):
    """The Training whose checkpoint stands in the folder, where it was."""
    path = Path(folder) / "checkpoint.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"nothing to go on with: no {path}; start without --resume")
    told = read_settings(path)
    try:
        settings = Settings(**told)
        models.require_room(settings.channels, td.load(path))
        training = _training(path, settings)
    except (TypeError, ValueError):
        raise ValueError(
            f"expected the checkpoint of a denoiser, {path} has other settings: {str(told)[:200]}"
        ) from None
    training.load()
    return training


def _training(path, settings):
    images_extra("matplotlib")  # if it is missing, say so now, not when the picture is due
    crops = Crops(size=settings.crop, seed=settings.seed)
    td.manual_seed(settings.seed)
    model = models.Denoiser(settings.channels)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    loader = Loader(crops, settings.batch_size, settings.epoch)
    return Training(
        model, optimizer, schedule, loader, _loss, settings.steps, path, asdict(settings)
    )


def _loss(model, noisy, clean):
    return F.mse_loss(model(td.tensor(noisy)), td.tensor(clean))


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, model = training.path.parent, training.model

    def first_picture():
        viz.denoise_panel(folder / "first.png", {FIRST: _results(model, FIRST, {})}, ZOOM)
        tqdm.write(f"a first picture, after step {training.step}: {folder / 'first.png'}")

    training.run(stages={min(FIRST_PICTURE, training.steps): first_picture})
    models.save(model, folder / "weights.safetensors")
    viz.loss_curve(folder / "loss.png", training.losses, "mean squared error")
    print(f"measuring on {' and '.join(HELD_OUT)} ...", flush=True)
    results = {name: _results(model, name, METHODS) for name in HELD_OUT}
    viz.denoise_panel(folder / "denoise.png", results, ZOOM)
    return _measurements(results, training, folder)


def _results(model, name, methods):
    """{label: image} of one photograph: clean, noisy, and what methods and network make of it."""
    clean = photograph(name)
    noisy = add_noise(clean, SIGMA, np.random.default_rng(NOISE_SEED))
    made = {label: method(noisy) for label, method in methods.items()}
    network = denoise(model, noisy)
    return {"clean": clean, "noisy": np.clip(noisy, 0, 1), **made, "network": network}


def _measurements(results, training, folder):
    """Writes PSNR and SSIM of every result as JSON and as the table that is returned."""
    measured = {
        name: {
            label: {"psnr": psnr(images["clean"], image), "ssim": ssim(images["clean"], image, 1)}
            for label, image in images.items()
            if label != "clean"
        }
        for name, images in results.items()
    }
    told = {"sigma": SIGMA, "noise_seed": NOISE_SEED, "training": training.settings}
    text = json.dumps({**told, "photographs": measured}, indent=1)
    write_atomically(folder / "results.json", text.encode())
    table = _table(measured)
    write_atomically(folder / "table.txt", table.encode())
    return table


def _table(measured):
    """Rows of methods, columns of photographs, and who beats whom."""
    first, *_ = measured.values()
    lines = ["PSNR in dB (SSIM)" + "".join(f"{name:>18}" for name in measured)]
    for label in first:
        cells = (f"{m[label]['psnr']:.2f} ({m[label]['ssim']:.3f})" for m in measured.values())
        lines.append(f"{label:17}" + "".join(f"{cell:>18}" for cell in cells))
    for rival in METHODS:
        won = [n for n, m in measured.items() if m["network"]["psnr"] > m[rival]["psnr"]]
        where = " and ".join(won) or "neither photograph"
        lines.append(f"By PSNR, the network beats {rival} on {where}.")
    lines.append(
        f"Whole grey photographs in [0, 1] that no training touched; Gaussian noise of {SIGMA:.3f} "
        f"(25/255), not clipped, seed {NOISE_SEED}; results clipped."
    )
    return "\n".join(lines) + "\n"


def denoise(model, image):
    """An image (H, W) or (H, W, 3) in [0, 1] without its noise; each channel by itself.

    It goes through the network in tiles, so memory does not grow with the image.
    """
    channels = np.atleast_3d(image).transpose(2, 0, 1)[:, None]
    height, width = image.shape[:2]
    border = ((0, 0), (0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN))
    padded = np.pad(channels, border, mode="symmetric")
    result = np.empty_like(channels)
    with td.no_grad(), threadpool_limits(1, "blas"):  # see Training.run
        for top in range(0, height, TILE):
            for left in range(0, width, TILE):
                rows, columns = (slice(i, i + TILE + 2 * MARGIN) for i in (top, left))
                tile = model(td.tensor(padded[:, :, rows, columns])).numpy()
                inside = tile[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN]
                result[:, :, top : top + TILE, left : left + TILE] = inside
    return np.clip(result[:, 0].transpose(1, 2, 0).reshape(image.shape), 0, 1)
