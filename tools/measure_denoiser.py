"""What the denoiser that comes with the library can do, and where it fails: docs/denoiser.md.

    python tools/measure_denoiser.py           measures, in some minutes: docs/denoiser.json
    python tools/measure_denoiser.py --write   writes the tables of docs/denoiser.md from that

All is measured on the two held-out photographs.
"""

import io
from pathlib import Path

import numpy as np
from measured import table, write

from tinydeconv import models
from tinydeconv.data import HELD_OUT, SIGMA, TRAINING, add_noise, estimate_sigma, photograph
from tinydeconv.data.images import images_extra, read_image
from tinydeconv.data.photographs import PHOTOGRAPHS
from tinydeconv.kernels.threads import run
from tinydeconv.metrics import psnr
from tinydeconv.recipes.classical import METHODS
from tinydeconv.recipes.denoise import MEASURED, NOISE_SEED, held_out, quality
from tinydeconv.recipes.learned import denoise, noise_levels
from tinydeconv.serialize import load_json

DOCS = Path(__file__).parents[1] / "docs"
PAGE, RECORD = DOCS / "denoiser.md", DOCS / "denoiser.json"
WHITE = 255
LEVELS = (0, 5, 10, 15, 25, 35, 50)
TOLD = (5, 10, 15, 20, 25, 30, 35, 50)


# ---------------------------------------------------------------- kinds of noise


def gaussian(clean, rng):
    return add_noise(clean, SIGMA, rng)


def file(clean, rng):
    """As in an image file of 8 bits."""
    return np.rint(gaussian(clean, rng).clip(0, 1) * WHITE) / WHITE


def uniform(clean, rng):
    return clean + SIGMA * 3**0.5 * rng.uniform(-1, 1, clean.shape)


def poisson(clean, rng, photons=50):
    return rng.poisson(clean * photons) / photons


def speckle(clean, rng):
    return clean * (1 + 0.2 * rng.standard_normal(clean.shape))


def salt_and_pepper(clean, rng):
    salt = rng.integers(2, size=clean.shape)
    return np.where(rng.random(clean.shape) < 0.05, salt, clean)


def blurred(clean, rng):
    """Noise through a Gaussian of 1 pixel, as strong as the others."""
    taps = np.exp(-0.5 * np.arange(-4, 5) ** 2)
    noise = rng.standard_normal(clean.shape)
    for axis in range(2):
        noise = np.apply_along_axis(np.convolve, axis, noise, taps / np.linalg.norm(taps), "same")
    return clean + SIGMA * noise


def stripes(clean, rng):
    """Rows of a sensor that are read with different offsets."""
    return clean + SIGMA * rng.standard_normal((len(clean), 1))


def jpeg(clean, rng, quality=10):
    """No noise, but few bits."""
    Image, buffer = images_extra("PIL.Image"), io.BytesIO()
    pixels = np.rint(np.clip(clean, 0, 1) * WHITE).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "jpeg", quality=quality)
    return np.asarray(Image.open(buffer)) / WHITE


def noise_then_jpeg(clean, rng):
    return jpeg(gaussian(clean, rng), rng, 75)


KINDS = {
    "Gaussian, as in training": gaussian,
    "Gaussian, clipped and rounded to 8 bits": file,
    "uniform": uniform,
    "Poisson, 50 photons at white": poisson,
    "speckle: each pixel times 1 ± 0.2": speckle,
    "Gaussian, then JPEG of quality 75": noise_then_jpeg,
    "Gaussian, blurred (1 pixel)": blurred,
    "stripes: an offset for each row": stripes,
    "salt and pepper, 5 % of the pixels": salt_and_pepper,
    "JPEG of quality 10, no noise": jpeg,
    "none": lambda clean, rng: clean,
}

# ---------------------------------------------------------------- measurements


def measure(model):
    return {
        "noise_seed": NOISE_SEED,
        "made": load_json(models.SHIPPED, models.KEY)["made"],
        "levels": {
            name: {f"{WHITE * sigma:g}": quality(images) for sigma, images in of_sigma.items()}
            for name, of_sigma in held_out(model).items()
        },
        "colour": {f"{WHITE * s:g}": colour(model, s) for s in MEASURED},
        "kinds": {name: of_kinds(model, photograph(name)) for name in HELD_OUT},
        "told": {name: told(model, photograph(name)) for name in HELD_OUT},
        "estimates": {name: estimates(photograph(name)) for name in (*HELD_OUT, *TRAINING)},
    }


def noisy_version(clean, make):
    return make(clean, np.random.default_rng(NOISE_SEED)).astype(np.float32)


def of_kinds(model, clean):
    return dict(zip(KINDS, run(lambda make: of_kind(model, clean, make), KINDS.values())))


def of_kind(model, clean, make):
    """PSNRs of one photograph with one kind of noise; rms and estimate in units of 1/255."""
    noisy = noisy_version(clean, make)
    (estimate,), rms = noise_levels(noisy), float(np.sqrt(np.mean((noisy - clean) ** 2)))
    return {
        "rms": WHITE * rms,
        "estimate": float(WHITE * estimate),
        "noisy": psnr(clean, noisy) if rms else None,
        "estimated": psnr(clean, denoise(model, noisy, estimate)),
        "told rms": psnr(clean, denoise(model, noisy, rms)),
        "NL-means": psnr(clean, METHODS["NL-means"](noisy, rms)) if rms else None,
    }


def told(model, clean):
    """PSNR by the noise level that the network was told; the noise is SIGMA."""
    noisy = noisy_version(clean, gaussian)
    return {str(level): psnr(clean, denoise(model, noisy, level / WHITE)) for level in TOLD}


def estimates(clean):
    """{noise: its estimate} in units of 1/255, of photographs as in files of 8 bits."""
    clean, found = clean[:512, :512], {}
    for level in LEVELS:
        noisy = add_noise(clean, level / WHITE, np.random.default_rng(NOISE_SEED))
        as_file = (np.rint(noisy.clip(0, 1) * WHITE) / WHITE).astype(np.float32)
        found[str(level)] = WHITE * estimate_sigma(as_file)
    return found


def colour(model, sigma):
    """PSNRs of the astronaut in colour."""
    package, _, file = PHOTOGRAPHS["astronaut"].partition("/")
    clean = read_image(Path(images_extra(package).__file__).parent / file)
    noisy = add_noise(clean, sigma, np.random.default_rng(NOISE_SEED))
    apart = [denoise(model, noisy[..., c], sigma) for c in range(3)]
    return {
        "noisy": psnr(clean, noisy.clip(0, 1)),
        "each of red, green, blue by itself": psnr(clean, np.stack(apart, axis=2)),
        "brightness and colour differences": psnr(clean, denoise(model, noisy, sigma)),
    }


# ---------------------------------------------------------------- tables


def levels(record):
    """Rows of methods; columns of photographs and noise."""
    of_photograph = record["levels"]
    columns = [(name, sigma) for name, found in of_photograph.items() for sigma in found]
    head = ["PSNR in dB (SSIM)", *(f"{name}, {sigma}" for name, sigma in columns)]
    cells = [of_photograph[name][sigma] for name, sigma in columns]
    rows = [
        [label, *(f"{c[label]['psnr']:.2f} ({c[label]['ssim']:.3f})" for c in cells)]
        for label in cells[0]
    ]
    ahead = [c["network"]["psnr"] - c["NL-means"]["psnr"] for c in cells]
    return table(head, [*rows, ["network over NL-means", *(f"{x:+.2f}" for x in ahead)]])


def kinds(record):
    head = ["camera / astronaut, PSNR in dB", "as it is", "network", "network, told the strength"]
    head += ["NL-means, told", "strength", "estimate"]
    columns = ("noisy", "estimated", "told rms", "NL-means", "rms", "estimate")
    first, second = record["kinds"].values()
    rows = []
    for kind in first:
        pairs = [(first[kind][c], second[kind][c]) for c in columns]
        rows.append(
            [kind, *("–" if None in pair else "{:.1f} / {:.1f}".format(*pair) for pair in pairs)]
        )
    return table(head, rows)


def wrong_sigma(record):
    head = ["PSNR in dB, noise of 25, told", *map(str, TOLD)]
    return table(
        head, [[n, *(f"{found[str(t)]:.2f}" for t in TOLD)] for n, found in record["told"].items()]
    )


def estimated(record):
    head = ["noise", *map(str, LEVELS)]
    found = record["estimates"]
    rows = [[name, *(f"{found[name][str(level)]:.1f}" for level in LEVELS)] for name in HELD_OUT]
    for label, which in (("median", np.median), ("largest", np.max)):
        errors = [which([abs(found[n][str(s)] - s) for n in TRAINING]) for s in LEVELS]
        rows.append([f"{label} error on the training photographs", *(f"{e:.1f}" for e in errors)])
    return table(head, rows)


def in_colour(record):
    found = record["colour"]
    head = ["astronaut in colour, PSNR in dB", *found]
    labels = next(iter(found.values()))
    return table(head, [[label, *(f"{c[label]:.2f}" for c in found.values())] for label in labels])


TABLES = {
    "levels": levels, "kinds": kinds, "told": wrong_sigma, "estimates": estimated,
    "colour": in_colour,
}  # fmt: skip


if __name__ == "__main__":
    write(lambda: measure(models.load()), RECORD, PAGE, TABLES)
