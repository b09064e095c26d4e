"""Textures of any size from crops of one photograph: Spatial GAN (Jetchev, Bergmann and Vollgraf
2016).
"""

from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import data, models, ops, viz
from tinydeconv.data import TEXTURES
from tinydeconv.nn import functional as F
from tinydeconv.recipes.common import (
    check,
    made,
    optimizers_of,
    option,
    report,
    settings_of,
    stages,
)
from tinydeconv.recipes.gan import LOSSES
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.sample import WEIGHTS
from tinydeconv.train import Training

PICTURES = 8  # stages
EPOCH = 500  # batches
TILE = 32  # cells of noise a side that are painted at once
SIDE = 256  # pixels of the pictures that are measured
MEASURED = 64  # of them
MEASURED_SEED = 1_000_000  # of the first
LEAST = 64  # pixels a side of a photograph; half of it still has room for a filter at every scale
SQUARE = 32  # pixels a side of what is looked for in the photograph
SQUARES = 24  # how many are
GAP = 16  # pixels between two pictures


# ---------------------------------------------------------------- settings


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    texture: str = option(
        "gravel", f"{', '.join(TEXTURES)} or an image file, in colour if it is", metavar="TEXTURE"
    )
    steps: int = option(2500, "fewer steps are quicker and paint worse")
    seed: int = option(0, "of weights, noise and crops", least=0)
    batch_size: int = option(4, "crops a step", least=2)
    crop: int = option(96, "pixels a side of what the discriminator sees", least=32)
    latent: int = option(16, "numbers in a cell of noise")
    channels: tuple = (64, 64, 48)  # of the generator at a pixel a cell, at 2 and so on
    looks: int = 3  # convolutions of the generator at a pixel a cell
    judges: tuple = (32, 64, 96, 96)  # channels of the discriminator at half the size and so on
    loss: str = option("non-saturating", "the rules of the game", choices=tuple(LOSSES))
    generator_lr: float = option(6e-4, "the largest learning rate, at first")
    discriminator_lr: float = option(6e-4, "likewise")
    beta1: float = 0.5  # of Adam, as in DCGAN's paper; beta2 is 0.999
    smoothing: float = option(0.0, "how far the target for real crops is below 1")

    def __post_init__(self):
        check(self)
        for name in ("beta1", "smoothing"):
            if getattr(self, name) >= 1:
                raise ValueError(f"expected {name} below 1, got {getattr(self, name)}")


RECIPES = {"texture": Settings()}


# ---------------------------------------------------------------- data


class Patches:
    """Random square crops of one photograph (C, H, W), as it lies.

    Crop (epoch, index) is drawn from a generator keyed by (seed, epoch, index).
    """

    def __init__(self, image, size, seed=0):
        if min(image.shape[1:]) < size:
            raise ValueError(
                f"expected a photograph of at least {size} pixels a side, got {image.shape[2]} x "
                f"{image.shape[1]}"
            )
        self.image, self.size, self.seed = image, size, seed

    def batch(self, epoch, indices):
        """(crops,): (n, C, size, size)."""
        rngs = (np.random.default_rng([self.seed, epoch, index]) for index in indices)
        return (np.stack([patch(self.image, self.size, rng) for rng in rngs]),)


def patch(image, size, rng):
    """A random square of an image (..., H, W)."""
    top, left = (rng.integers(n - size + 1) for n in image.shape[-2:])
    return image[..., top : top + size, left : left + size]


def texture(name):
    """The photograph of this name or in this file, (1 or 3, H, W) in [0, 1]."""
    if name in TEXTURES:
        return data.photograph(name)[None]
    if not Path(name).is_file():
        found = "a folder" if Path(name).is_dir() else "nothing there"
        raise ValueError(
            f"expected texture to be {', '.join(TEXTURES)} or an image file, got {name!r}: {found}"
        )
    image = data.read_image(name)
    if min(image.shape[:2]) < LEAST:
        raise ValueError(
            f"expected a photograph of at least {LEAST} pixels a side, {name} has "
            f"{image.shape[1]} x {image.shape[0]}"
        )
    return np.moveaxis(np.atleast_3d(image), 2, 0)


# ---------------------------------------------------------------- training


def build(path, settings, device):
    """The Training of a generator and a discriminator of patches."""
    image = texture(settings.texture)
    crops = Patches(2 * image - 1, settings.crop, settings.seed)
    networks = {
        "generator": models.TextureGenerator(
            settings.latent, settings.channels, len(image), settings.looks
        ),
        "discriminator": models.PatchDiscriminator(settings.judges, len(image)),
    }
    networks = {name: network.to(device) for name, network in networks.items()}
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    betas = settings.beta1, 0.999
    optimizers, schedules = optimizers_of(networks, rates, betas, settings.steps)
    return Training(
        networks, optimizers, schedules, data.Loader(crops, settings.batch_size, EPOCH),
        partial(play, networks, optimizers, settings), settings.steps, path,
    )  # fmt: skip


def play(networks, optimizers, settings, crops):
    """A step of the discriminator, then one of the generator, on the same fakes; their losses.

    crops: (n, C, size, size) in [-1, 1]
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    to_judge, to_paint = LOSSES[settings.loss]
    device = device_of(generator)
    size = settings.crop
    side = -(-size // generator.factor) + 2 * generator.margin
    noise = ops.randn(len(crops), settings.latent, side, side, device=device)
    fake = generator(noise)[:, :, :size, :size]

    # detached: this step is not to reach the generator
    judged = discriminator(td.tensor(crops, device=device)), discriminator(fake.detach())
    d_loss = to_judge(*judged, settings.smoothing)
    optimizers["discriminator"].zero_grad()
    d_loss.backward()
    optimizers["discriminator"].step()

    g_loss = to_paint(discriminator(fake))
    optimizers["generator"].zero_grad()
    g_loss.backward(inputs=[*generator.parameters()])  # and not the discriminator's, at their cost
    optimizers["generator"].step()
    return {"discriminator": d_loss, "generator": g_loss}


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures, losses and
    measurements. Returns the measurements as a table to print.
    """
    folder, generator = training.path.parent, training.networks["generator"]

    def picture():
        models.save(generator, folder / WEIGHTS, made(training))
        path = folder / f"painted-{training.step}.png"
        write(path, paint(generator, SIDE, 2 * SIDE))
        tqdm.write(f"after step {training.step}: {path}")

    training.run(stages=stages(training, PICTURES, picture))
    models.save(generator, folder / WEIGHTS, made(training))
    viz.loss_curve(folder / "losses.png", training.losses)
    image = texture(settings_of(training.settings).texture)
    crop = image[:, :SIDE, :SIDE]
    height = crop.shape[1]
    gap = np.ones((len(image), height, GAP), np.float32)
    beside = [crop, gap, paint(generator, height, 3 * height)]
    write(folder / "texture.png", np.concatenate(beside, 2))
    side = SIDE - SIDE % generator.factor
    tile = paint(generator, side, side, periodic=True)
    write(folder / "tile.png", np.tile(tile, (1, 2, 3)))
    return _measurements(generator, image, training)


# ---------------------------------------------------------------- painting


def paint(model, height, width, seed=0, periodic=False):
    """A picture (C, height, width) in [0, 1], float32, the same for the same seed and size.

    periodic: its right edge fits its left one, and its lower edge its upper one: many of it side by
        side are one picture, since their noise is; height and width are then multiples of
        model.factor

    Painted in tiles that overlap in the noise by as far as the network looks: the picture has no
    seams, and memory for the network does not grow with it.
    """
    factor, margin = model.factor, model.margin
    if min(height, width) < 1:
        raise ValueError(f"expected a picture of at least 1 x 1 pixels, got {width} x {height}")
    if periodic and (height % factor or width % factor):
        raise ValueError(
            f"expected a tile of multiples of {factor} pixels a side, which is what the generator "
            f"makes of a cell of noise, got {width} x {height}"
        )
    cells = [-(-n // factor) for n in (height, width)]
    around = 0 if periodic else 2 * margin
    state = td.get_rng_state()
    td.manual_seed(seed)
    noise = ops.randn(model.config["latent"], *(n + around for n in cells)).numpy()
    td.set_rng_state(state)
    if periodic:
        noise = noise[:, *np.ix_(*(np.arange(-margin, n + margin) % n for n in cells))]
    return painted(model, noise)[:, :height, :width]


def painted(model, noise):
    """What the network makes of noise (latent, h, w), all around it a margin, as paint() does."""
    factor, margin = model.factor, model.margin
    rows, columns = (n - 2 * margin for n in noise.shape[1:])
    picture = np.empty((model.config["out_channels"], rows * factor, columns * factor), np.float32)
    where, training = device_of(model), model.training
    model.eval()
    with td.no_grad():
        for top, left in tqdm(
            list(product(range(0, rows, TILE), range(0, columns, TILE))),
            desc="painting", unit="tile", delay=1, leave=False,
        ):  # fmt: skip
            ends = min(top + TILE, rows), min(left + TILE, columns)
            around = noise[None, :, top : ends[0] + 2 * margin, left : ends[1] + 2 * margin]
            tile = model(td.tensor(around, device=where)).cpu().numpy()[0]
            inside = (slice(a * factor, b * factor) for a, b in zip((top, left), ends))
            picture[:, *inside] = (tile + 1) / 2
    model.train(training)
    return picture


def draw(model, out, seed=0, size=(512, 512), tile=False):
    """Writes a picture.

    size: (width, height) in pixels
    tile: whether the picture shall fit itself on all sides
    """
    width, height = size
    write(out, paint(model, height, width, seed, tile))


def write(path, image):
    """Writes an image (1 or 3, H, W) in [0, 1]."""
    data.write_image(path, image[0] if len(image) == 1 else np.moveaxis(image, 0, 2))


# ---------------------------------------------------------------- measurements


def seams(images):
    """How much a step across the edges differs from one inside, (left to right, top to bottom).

    images: (n, C, H, W); the mean absolute difference of the first and the last column, where the
        picture would meet itself, over that of two columns that are neighbours, and so for rows
    """
    ratios = []
    for lines in (np.moveaxis(images, 3, 0), np.moveaxis(images, 2, 0)):
        inside = np.abs(np.diff(lines, axis=0)).mean()
        ratios.append(float(np.abs(lines[0] - lines[-1]).mean() / inside))
    return tuple(ratios)


def filters(number=48, side=7):
    """Random patterns (number, 1, side, side) of mean 0 and length 1."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((number, 1, side, side))
    patterns -= patterns.mean((2, 3), keepdims=True)
    patterns /= np.linalg.norm(patterns, axis=(2, 3), keepdims=True)
    return patterns.astype(np.float32)


def grams(image, scales=3):
    """How often random patterns are found together in an image, (scales, number, number).

    image: (H, W) in [0, 1]; at each scale it is half as large as at the one before

    The products of every two features relu(pattern * image), in the mean over all places (Gatys,
    Ecker and Bethge 2015, of the features of a trained network; random ones tell textures apart as
    well, Ustyuzhaninov, Brendel, Gatys and Bethge 2016).
    """
    x, patterns, found = td.tensor(np.ascontiguousarray(image)[None, None]), filters(), []
    with td.no_grad():
        for _ in range(scales):
            features = F.relu(F.conv2d(x, td.tensor(patterns))).numpy()[0]
            features = features.reshape(len(patterns), -1)
            found.append(features @ features.T / features.shape[1])
            x = F.avg_pool2d(x, 2)
    return np.stack(found)


def gram_distance(a, b):
    """|a - b| / (|a| + |b|) of two grams(), in the mean over scales: 0 if equal, at most 1."""
    a, b, apart = (np.linalg.norm(x, axis=(1, 2)) for x in (a, b, a - b))
    return float((apart / (a + b)).mean())


def nearest_square(squares, image):
    """Euclidean distance of each of squares (n, s, s) to the nearest square of an image (H, W)."""
    x, w = (td.tensor(y[:, None]).double() for y in (image[None], squares))
    with td.no_grad():
        # |a - b|^2 = |a|^2 - 2 a b + |b|^2, of all places at once
        squared = F.conv2d(x * x, ops.ones_like(w[:1])) - 2 * F.conv2d(x, w)
        nearest = squared.amin((0, 2, 3)) + (w * w).sum((1, 2, 3))
    return np.sqrt(np.maximum(nearest.numpy(), 0))


def grey(image):
    """(H, W) of an image (1 or 3, H, W)."""
    return image[0] if len(image) == 1 else data.rgb2gray(np.moveaxis(image, 0, 2))


def quarters(image):
    """The four corners of an image (H, W), each of half its sides."""
    height, width = (n // 2 for n in image.shape)
    return [image[rows, columns] for rows in _ends(height) for columns in _ends(width)]


def _ends(length):
    return slice(length), slice(-length, None)


def measured(generator, image, name):
    """{what: {...: number}} of pictures that are painted now, held against photographs.

    image: (1 or 3, H, W), the photograph of this name that the generator has learned from
    """
    side = SIDE - SIDE % generator.factor
    periodic, free = (
        np.stack([paint(generator, side, side, MEASURED_SEED + i, kind) for i in range(MEASURED)])
        for kind in (True, False)
    )
    photograph, pictures = grey(image), [grey(x) for x in free]
    known = {name: photograph, **{n: grey(texture(n)) for n in TEXTURES if n != name}}
    known = {n: grams(x) for n, x in known.items()}
    to_known = {"painted": pictures, "quarters of the photograph": quarters(photograph)}
    distances = {
        label: np.array([[gram_distance(x, y) for y in known.values()] for x in map(grams, images)])
        for label, images in to_known.items()
    }
    half = photograph.shape[1] // 2
    near, of_half = (
        np.median(nearest_square(_squares(images), where))
        for images, where in (
            (pictures, photograph), ([photograph[:, :half]], photograph[:, half:]),
        )
    )  # fmt: skip
    return {
        "edges": {"periodic": seams(periodic), "not periodic": seams(free)},
        "gram": {label: dict(zip(known, of.mean(0).tolist())) for label, of in distances.items()},
        "own is nearest": float((distances["painted"].argmin(1) == 0).mean()),
        "nearest square": float(near / of_half),
    }


def _squares(images):
    """Random squares of images in turn, (SQUARES, SQUARE, SQUARE)."""
    rng = np.random.default_rng(0)
    return np.stack([patch(images[i % len(images)], SQUARE, rng) for i in range(SQUARES)])


def _measurements(generator, image, training):
    """Writes what was measured as JSON and as the table that is returned."""
    print(f"measuring {MEASURED} pictures ...", flush=True)
    told = measured(generator, image, settings_of(training.settings).texture)
    results = {"pictures": MEASURED, "seed": MEASURED_SEED, "training": training.settings, **told}
    return report(training, results, _table(told))


def _table(told):
    """What measured() tells, as a table."""
    lines = [f"{'across the edges, over inside':34}{'left to right':>15}{'top to bottom':>15}"]
    for name, of in told["edges"].items():
        lines.append(f"{name:34}" + "".join(f"{x:15.3f}" for x in of))
    names = next(iter(told["gram"].values()))
    lines += ["", f"{'Gram distance to':34}" + "".join(f"{Path(n).stem:>15.14}" for n in names)]
    for label, of in told["gram"].items():
        lines.append(f"{label:34}" + "".join(f"{x:15.3f}" for x in of.values()))
    return (
        f"{MEASURED} pictures of some {SIDE} pixels a side\n\n" + "\n".join(lines) + "\n\n"
        f"nearest to their own photograph: {100 * told['own is nearest']:.0f} % of the pictures\n"
        f"distance of a square of {SQUARE} pixels to the nearest in the photograph, over that of\n"
        f"squares of one half of the photograph to the other half: {told['nearest square']:.3f}\n"
    )
