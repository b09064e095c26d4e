"""A generator and a discriminator that play against each other (Goodfellow et al. 2014): pictures
from noise, and with labels from noise and the class that they shall show (Mirza and Osindero 2014).
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import data, metrics, models, ops, viz
from tinydeconv.models.gan import ACTIVATIONS, UPSAMPLINGS
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
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.sample import WEIGHTS, samples
from tinydeconv.recipes.scores import centred, scores
from tinydeconv.train import Training

PICTURES = 8  # stages
EPOCH = 500  # batches of data without an end
ROW = 10  # pictures of each class in a picture, and as many rows without classes
MEASURED = 2000  # samples, and fresh images of the data to hold them against
MEASURED_SEED = 1_000_000  # of these; it is no training's
KNOWN = 20_000  # training images, at most, among which the nearest is sought
NEAR = 200  # of how many samples
WITHIN = "distance within a class, over the data's"

# ---------------------------------------------------------------- losses
# D is the sigmoid of a logit s; z is noise, x an image. A loss is a pair: the discriminator's, of
# the logits of real images, those of fakes, and the smoothing, and the generator's, of fakes alone.


def cross_entropy(real, fake, smoothing=0.0):
    """-(1 - a) log D(x) - a log(1 - D(x)) - log(1 - D(G(z))), in the mean.

    smoothing: a, how far the target for real images is below 1, for them alone (Salimans et al.
        2016): a discriminator that is too sure of itself has no slope to teach by
    """
    target = ops.full_like(real, 1 - smoothing)
    return F.binary_cross_entropy_with_logits(real, target) + F.softplus(fake).mean()


def minimax(fake):
    """log(1 - D(G(z))), what the generator can change of the discriminator's loss, negative.

    The slope in s is -D(G(z)): near 0 for a fake that is recognised, which then does not learn.
    """
    return -F.softplus(fake).mean()


def non_saturating(fake):
    """-log D(G(z)), with the slope D(G(z)) - 1: the steeper, the worse the fake (Goodfellow et al.
    2014, section 3).
    """
    return F.softplus(-fake).mean()


def hinge(real, fake, smoothing=0.0):
    """max(0, 1 - a - s(x)) + max(0, 1 + s(G(z))), in the mean (Lim and Ye 2017); a: smoothing."""
    return F.relu(1 - smoothing - real).mean() + F.relu(1 + fake).mean()


def critic(fake):
    """-s(G(z)), whose slope is the same for every fake."""
    return -fake.mean()


LOSSES = {
    "minimax": (cross_entropy, minimax),
    "non-saturating": (cross_entropy, non_saturating),
    "hinge": (hinge, critic),
}


def penalty(network, l1, l2):
    """l1 * sum |w| + l2 * sum w^2 over the weights, not over biases and scales; 0 without both."""
    weights = [w for w in network.parameters() if w.ndim > 1] if l1 or l2 else []
    return sum(l1 * abs(w).sum() + l2 * (w * w).sum() for w in weights)


# ---------------------------------------------------------------- settings

DATA = {  # what is not endless, as arrays
    "digits": data.digits, "mnist": data.mnist, "fashion-mnist": data.fashion_mnist,
}  # fmt: skip
NAMES = ", ".join(["glyphs", *DATA])


@dataclass(frozen=True)
class Pictures:
    """What pictures a network learns to paint, of those that data_set() knows."""

    data: str = option("glyphs", f"{NAMES} or a folder of images", metavar="DATA")
    classes: int = option(0, "kinds of picture that can be asked for, 0 for none", least=0)
    size: int = option(32, "pixels a side", choices=(32, 64))
    colour: bool = option(False, "of a folder's images")


@dataclass(frozen=True)
class Settings(Pictures):
    """Everything that a training depends on; the defaults are DCGAN's on glyphs."""

    steps: int = option(5000, "fewer steps are quicker and paint worse")
    seed: int = option(0, "of weights, noise and data", least=0)
    batch_size: int = option(32, "images a step", least=2)
    latent: int = option(64, "numbers that a picture is made from")
    channels: tuple = (128, 64, 32)  # of the generator at 4 pixels, 8 and so on
    judges: tuple = (32, 64, 128)  # channels of the discriminator at half the size and so on
    activation: str = option("relu", "of the generator", choices=tuple(ACTIVATIONS))
    upsampling: str = option("transposed4", "how it doubles the size", choices=UPSAMPLINGS)
    loss: str = option("non-saturating", "the rules of the game", choices=tuple(LOSSES))
    generator_lr: float = option(1e-3, "the largest learning rate, at first")
    discriminator_lr: float = option(5e-4, "likewise")
    beta1: float = 0.5  # of Adam, as in DCGAN's paper; beta2 is 0.999
    smoothing: float = option(0.0, "how far the target for real images is below 1")
    spectral_norm: bool = option(False, "in the discriminator, in the place of batch norm")
    l1: float = option(0.0, "weight of the sum of all |weights| in the losses")
    l2: float = option(0.0, "weight of the sum of all squared weights in the losses")

    def __post_init__(self):
        check(self)
        for name in ("beta1", "smoothing"):
            if getattr(self, name) >= 1:
                raise ValueError(f"expected {name} below 1, got {getattr(self, name)}")
        if {len(self.channels), len(self.judges)} != {3}:
            raise ValueError(f"expected three channels each, got {self.channels}, {self.judges}")


# a generator that is told what to paint learns sooner
RECIPES = {
    "dcgan": Settings(),
    "cgan": Settings(classes=10, steps=4000, channels=(64, 48, 24), judges=(16, 32, 64)),
}


def networks(settings, image_channels):
    """{"generator": ..., "discriminator": ...}."""
    channels, judges = ladders(settings)
    return {
        "generator": models.Generator(
            settings.latent, channels, image_channels, settings.classes, settings.activation,
            settings.upsampling,
        ),
        "discriminator": models.Discriminator(
            judges, image_channels, settings.classes, settings.spectral_norm
        ),
    }  # fmt: skip


def ladders(settings):
    """The channels of both players, with one resolution more where pictures are twice as large."""
    channels, judges = settings.channels, settings.judges
    if settings.size == 64:
        channels, judges = (2 * channels[0], *channels), (*judges, 2 * judges[-1])
    return channels, judges


# ---------------------------------------------------------------- data


def data_set(settings, batches=1):
    """Batches (images, labels), uint8 (n, 1 or 3, size, size) and int64 (n,).

    batches: how many of batch_size images a step takes
    """
    name, size, classes = settings.data, settings.size, settings.classes
    if name == "glyphs":
        return data.Glyphs(classes or 10, size, settings.seed)
    if name in DATA:
        images, labels = DATA[name]()
        images, known = fitted(images, size), 10
    elif Path(name).is_dir():
        images, labels, names = data.image_folder(name, size, settings.colour)
        known = len(names)
    else:
        raise ValueError(f"expected data to be {NAMES} or a folder of images, got {name!r}")
    if classes not in (0, known):
        raise ValueError(f"expected classes to be 0 or {known}, as {name} has, got {classes}")
    if len(images) < (least := batches * settings.batch_size):
        taken = f"{batches} times a batch_size" if batches > 1 else "a batch_size"
        raise ValueError(f"expected {least} images or more, {taken}, {name} has {len(images)}")
    return data.Images(images, labels, settings.seed)


def fitted(images, size):
    """Images (n, C, h, w), uint8 or in [0, 1], enlarged as many whole times as the size has room
    for, then with a black margin all around, uint8 (n, C, size, size).
    """
    images = td.tensor(images if images.dtype == np.float32 else images / np.float32(255))
    times = size // max(images.shape[2:])
    if times > 1:
        images = F.interpolate(images, scale_factor=times, mode="bilinear")
    around = [((size - n) // 2, size - n - (size - n) // 2) for n in images.shape[2:]]
    pixels = np.rint(images.numpy() * 255).astype(np.uint8)
    return np.pad(pixels, [(0, 0), (0, 0), *around])


# ---------------------------------------------------------------- training


def build(path, settings, device):
    """The Training of a generator and its discriminator."""
    rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
    return game(path, settings, device, networks, rates, play)


def game(path, settings, device, networks, rates, play, beta2=0.999, batches=1):
    """The Training of a generator and whom it plays against.

    networks: networks(settings, image_channels) gives {name: network}
    rates: {name: the largest learning rate}
    play: play({name: network}, {name: optimiser}, settings, images, labels) does a step
    batches: how many of batch_size images a step takes
    """
    of_data = data_set(settings, batches)
    length = None if hasattr(of_data, "__len__") else EPOCH
    loader = data.Loader(of_data, batches * settings.batch_size, length)
    channels = of_data.batch(0, [0])[0].shape[1]
    nets = {name: net.to(device) for name, net in networks(settings, channels).items()}
    betas = settings.beta1, beta2
    optimizers, schedules = optimizers_of(nets, rates, betas, settings.steps)
    update = partial(play, nets, optimizers, settings)
    return Training(nets, optimizers, schedules, loader, update, settings.steps, path)


def play(networks, optimizers, settings, images, labels):
    """A step of the discriminator, then one of the generator, on the same fakes; their losses.

    images: uint8, 0 to 255; each fake has the label of a real image
    """
    generator, discriminator = networks["generator"], networks["discriminator"]
    to_judge, to_paint = LOSSES[settings.loss]
    device = device_of(generator)
    real = td.tensor(centred(images), device=device)
    asked = [td.tensor(labels, device=device)] if settings.classes else []
    fake = generator(ops.randn(len(images), settings.latent, device=device), *asked)

    # detached: this step is not to reach the generator
    judged = discriminator(real, *asked), discriminator(fake.detach(), *asked)
    d_loss = to_judge(*judged, settings.smoothing) + penalty(
        discriminator, settings.l1, settings.l2
    )
    optimizers["discriminator"].zero_grad()
    d_loss.backward()
    optimizers["discriminator"].step()

    g_loss = to_paint(discriminator(fake, *asked)) + penalty(generator, settings.l1, settings.l2)
    optimizers["generator"].zero_grad()
    g_loss.backward(inputs=[*generator.parameters()])  # and not the discriminator's, at their cost
    optimizers["generator"].step()
    return {"discriminator": d_loss, "generator": g_loss}


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures of samples, losses
    and scores. Returns the scores as a table to print.
    """
    paint(training)
    viz.loss_curve(training.path.parent / "losses.png", training.losses)
    return measurements(training)


def paint(training):
    """Runs the training to its end; on the way and then, weights and a picture of samples."""
    folder, generator = training.path.parent, training.networks["generator"]
    classes = generator.config["classes"]

    def picture(name=None):
        models.save(generator, folder / WEIGHTS, made(training))
        images = samples(generator, ROW * (classes or ROW))
        if classes:  # a row of each class
            images = np.concatenate([images[label::classes] for label in range(classes)])
        path = folder / (name or f"samples-{training.step}.png")
        viz.grid(path, images, ROW)
        tqdm.write(f"after step {training.step}: {path}")

    training.run(stages=stages(training, PICTURES, picture))
    picture("samples.png")


# ---------------------------------------------------------------- scores


def measured(images, asked, known, fresh, labels, legible):
    """{what: number} of images (n, 1 or 3, size, size) in [0, 1], held against the data.

    asked: the labels (n,) that they shall show, or None
    known: images of the training; fresh, labels: others of the data, to compare with
    legible: whether our classifier can read them; else the classes are those asked for, or all is
        one class
    """
    if legible:
        told = scores(2 * images - 1, 2 * fresh - 1, asked)
    else:
        if asked is None:
            asked, labels = np.zeros(len(images), np.int64), np.zeros_like(labels)
        classes = max(asked.max(), labels.max()) + 1
        of_data = metrics.pairwise_distance(fresh, labels, classes)
        several = of_data > 0  # it takes two different images to compare with
        apart = metrics.pairwise_distance(images, asked, classes)[several] / of_data[several]
        told = {}
        if len(apart):
            told = {f"{WITHIN}, mean": apart.mean(), f"{WITHIN}, least": apart.min()}
    near, _ = metrics.nearest_distance(images[:NEAR], known)
    told[f"distance to the nearest of {len(known)} training images"] = np.median(near)
    return {what: float(number) for what, number in told.items()}


def measurements(training, more=None):
    """Writes the scores of samples, and those of images of the data if it has no end, as JSON and
    as the table that is returned.

    more: {what: number} of the training, for both
    """
    print(f"measuring {MEASURED} samples ...", flush=True)
    generator = training.networks["generator"]
    settings = settings_of(training.settings)
    endless, classes = settings.data == "glyphs", settings.classes
    # of data without an end, what the training has seen
    loader = training.loader
    seen = min(training.step, len(loader)) * loader.batch_size if endless else KNOWN
    known, labels = _images(loader.data, min(seen, KNOWN))
    judged = {"samples": (samples(generator, MEASURED, MEASURED_SEED), np.arange(MEASURED))}
    if endless:
        others = data_set(replace(settings, seed=MEASURED_SEED + settings.seed))
        fresh, labels = _images(others, 2 * MEASURED)
        judged["the data"] = fresh[MEASURED:], labels[MEASURED:]
    else:
        fresh = known
    legible = endless and settings.size == 32 and classes in (0, 10)
    told = {
        name: measured(
            x, asked % classes if classes else None, known, fresh[:MEASURED], labels[:MEASURED],
            legible,
        )
        for name, (x, asked) in judged.items()
    }  # fmt: skip
    results = {"samples": MEASURED, "seed": MEASURED_SEED, "training": training.settings}
    results |= {"scores": told, **(more or {})}
    rows = [f"{f'{MEASURED} images':61}" + "".join(f"{name:>10}" for name in told)]
    for what in told["samples"]:
        rows.append(f"{what:61}" + "".join(f"{of[what]:10.3f}" for of in told.values()))
    rows += [f"{what:61}{number:10.3f}" for what, number in (more or {}).items()]
    return report(training, results, "\n".join(rows) + "\n")


def _images(of_data, most):
    """The first so many images of a data set, if it has so many, in [0, 1], and their labels."""
    number = min(most, len(getattr(of_data, "images", range(most))))
    images, labels = of_data.batch(0, range(number))
    return images / np.float32(255), labels
