"""The denoiser: trained on real photographs and measured on two that it has never seen."""

import json
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import inf
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import HELD_OUT, SIGMA, Crops, Loader, add_noise, photograph
from tinydeconv.data.images import images_extra
from tinydeconv.kernels.threads import run
from tinydeconv.metrics import psnr, ssim
from tinydeconv.recipes.classical import METHODS
from tinydeconv.recipes.learned import denoise, device_of
from tinydeconv.serialize import write_atomically
from tinydeconv.train import Training, read_settings

FIRST = "chelsea"  # the training photograph of the first picture and of the log
FIRST_PICTURE = 200  # steps, some five seconds
ROWS = 25  # of the log
NOISE = 0, 55 / 255  # the weakest and the strongest in training
MEASURED = 15 / 255, SIGMA, 50 / 255
NOISE_SEED = 0  # of the noise on every photograph in a picture or a table
ZOOM = {"camera": (80, 195, 100), "astronaut": (70, 175, 100), "chelsea": (80, 120, 100)}


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on; the defaults are the demo's."""

    steps: int = 8000
    seed: int = 0
    channels: tuple = (24, 48, 80)
    batch_size: int = 8
    crop: int = 32  # pixels
    epoch: int = 500  # batches
    max_lr: float = 4e-3

    def __post_init__(self):
        object.__setattr__(self, "channels", tuple(self.channels))  # from JSON it is a list
        sizes = (self.steps, self.batch_size, self.crop, self.epoch, *self.channels)
        whole = all(isinstance(n, int) for n in (*sizes, self.seed))
        if not (whole and min(sizes) >= 1 and self.seed >= 0 and 0 < self.max_lr < inf):
            raise ValueError(f"expected positive numbers, whole but for max_lr, got {self}")


DEMO = Settings()
FULL = Settings(steps=20000, batch_size=16, crop=48)


def start(folder, settings, device="cpu"):
    """A Training from random weights on a device, whose files go into the folder."""
    path = Path(folder) / "checkpoint.safetensors"
    if path.exists():
        there = resume(folder)
        raise FileExistsError(
            f"{folder} has a training after {there.step} of {there.steps} steps: go on with "
            "--resume, or choose another --out"
        )
    training = _training(path, settings, device)
    path.parent.mkdir(parents=True, exist_ok=True)
    return training


def resume(folder, device="cpu"):
    """The Training whose checkpoint stands in the folder, where it was, on any device."""
    path = Path(folder) / "checkpoint.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"nothing to go on with: no {path}; start without --resume")
    told = read_settings(path)
    try:
        settings = Settings(**told)
        models.require_room(settings.channels, td.load(path))
        training = _training(path, settings, device)
    except (TypeError, ValueError):
        raise ValueError(
            f"expected the checkpoint of a denoiser, {path} has other settings: {str(told)[:200]}"
        ) from None
    training.load()
    return training


def _training(path, settings, device):
    images_extra("matplotlib")  # if it is missing, say so now, not when the picture is due
    crops = Crops(size=settings.crop, sigma=NOISE, seed=settings.seed)
    td.manual_seed(settings.seed)
    model = models.Denoiser(settings.channels).to(device)
    optimizer = optim.Adam(model.parameters())
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    loader = Loader(crops, settings.batch_size, settings.epoch)
    return Training(
        model, optimizer, schedule, loader, _loss, settings.steps, path, asdict(settings)
    )


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
    folder, model = training.path.parent, training.model
    made = {"command": _command(training.settings), "commit": _commit()}
    log = _log(training, folder / "log.csv")

    def first_picture():
        log()
        viz.denoise_panel(folder / "first.png", {FIRST: denoised(model, FIRST, SIGMA, {})}, ZOOM)
        tqdm.write(f"a first picture, after step {training.step}: {folder / 'first.png'}")

    every = -(-training.steps // ROWS)
    stages = dict.fromkeys([*range(every, training.steps, every), training.steps], log)
    training.run(stages=stages | {min(FIRST_PICTURE, training.steps): first_picture})
    models.save(model, folder / "weights.safetensors", {**made, "settings": training.settings})
    viz.loss_curve(folder / "loss.png", training.losses, "mean squared error / noise")
    print(f"measuring on {' and '.join(HELD_OUT)} ...", flush=True)
    results = held_out(model)
    panel = {name: images[SIGMA] for name, images in results.items()}
    viz.denoise_panel(folder / "denoise.png", panel, ZOOM)
    return _measurements(results, training, folder)


def _command(settings):
    """What to type for a training with these settings."""
    given = Settings(**settings)
    short: dict = {"steps": given.steps, "seed": given.seed}
    size = ["--full"] if replace(FULL, **short) == given else []
    options = [f"--{name} {value}" for name, value in short.items()]
    return " ".join(["tinydeconv train denoise", *size, *options])


def _commit():
    """The commit of the checkout that this is, if it is one."""
    root = Path(td.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
    done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    return done.stdout.strip() or None


def _log(training, path):
    """A function that adds a row to a CSV file; of a training that goes on, the rows so far stay.

    loss: the mean since the last row; psnr: in dB, of the first picture's photograph
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [line.split(",") for line in lines[1:]]
    rows = [row for row in rows if int(row[0]) <= training.step]
    start = time.monotonic() - (float(rows[-1][-1]) if rows else 0)

    def log():
        loss = np.mean(training.losses[int(rows[-1][0]) if rows else 0 :])
        images = denoised(training.model, FIRST, SIGMA, {})
        quality = psnr(images["clean"], images["network"])
        seconds = time.monotonic() - start
        rows.append([str(training.step), f"{loss:.6f}", f"{quality:.3f}", f"{seconds:.1f}"])
        table = [["step", "loss", "psnr", "seconds"], *rows]
        write_atomically(path, "".join(",".join(row) + "\n" for row in table).encode())

    return log


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


def _measurements(results, training, folder):
    """Writes PSNR and SSIM of every result as JSON and as the table that is returned."""
    measured = {
        name: {f"{255 * sigma:g}": quality(images) for sigma, images in of_sigma.items()}
        for name, of_sigma in results.items()
    }
    told = {"noise_seed": NOISE_SEED, "training": training.settings, "photographs": measured}
    write_atomically(folder / "results.json", json.dumps(told, indent=1).encode())
    table = _table(measured)
    write_atomically(folder / "table.txt", table.encode())
    return table


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
