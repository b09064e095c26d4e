"""An encoder and a decoder that learn to put pictures into a few numbers and to paint them again,
so that numbers from a bell curve become pictures too (Kingma and Welling 2013).

What is made large is the evidence lower bound (ELBO): the mean of log p(x | z) over codes z that
the encoder draws for an image x, minus the Kullback-Leibler divergence KL(q(z | x) | p(z)) of its
distribution from the prior p(z), a standard normal. It is at most log p(x), what one is after and
cannot compute.
"""

from dataclasses import dataclass, replace
from functools import partial
from math import log, pi
from statistics import NormalDist

import numpy as np

import tinydeconv as td
from tinydeconv import data, models, viz
from tinydeconv.models.vae import LIKELIHOODS
from tinydeconv.nn import functional as F
from tinydeconv.recipes import gan
from tinydeconv.recipes.common import check, made, optimizers_of, option, settings_of
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.scores import centred, read
from tinydeconv.train import Training

BATCH = 250  # images that are encoded at once, when measuring
COLUMNS = 10  # of the pictures, and as many walks
REBUILT = 50  # images in reconstructions.png
MAP = 20  # pictures a side of map.png
SCATTERED = 1000  # images in means.png
ACTIVE = 0.01  # the least variance of a code's mean, over images, that counts as use

# ---------------------------------------------------------------- the two parts of the bound


def log_likelihood(logits, images, log_sigma=None):
    """log p(x | z) of each image, (N,), in nats; pixels are independent, given the code.

    logits: (N, C, H, W), whose sigmoid is the mean of the pixels
    images: the pixels, in [0, 1]
    log_sigma: of the normal distribution of a pixel; without it, pixels are Bernoulli's

    A Bernoulli pixel is 0 or 1. Of a grey one, x, this is x log p + (1 - x) log(1 - p): the mean
    over black and white pictures drawn with these greys as probabilities, not a density of greys.
    """
    if log_sigma is None:
        fit = -F.binary_cross_entropy_with_logits(logits, images, reduction="none")
    else:
        off = (images - logits.sigmoid()) * (-log_sigma).exp()
        fit = -0.5 * off * off - log_sigma - 0.5 * log(2 * pi)
    return fit.flatten(1).sum(1)


def divergence(mean, log_variance):
    """KL(N(mean, variance) | N(0, 1)) of each number, in nats (Kingma and Welling, appendix B)."""
    return 0.5 * (mean * mean + log_variance.exp() - log_variance - 1)


def bound(model, images, *labels):
    """(log-likelihoods (N,), divergences (N, latent), means of the codes (N, latent)) of pictures
    (N, C, H, W) in [-1, 1]; the first minus the sum of the second is the ELBO, by one draw.
    """
    logits, mean, log_variance = model(images, *labels)
    fit = log_likelihood(logits, (images + 1) / 2, model.log_sigma)
    return fit, divergence(mean, log_variance), mean


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Settings(gan.Pictures):
    """Everything that a training depends on."""

    steps: int = option(7000, "fewer steps are quicker and paint worse")
    seed: int = option(0, "of weights, noise and data", least=0)
    batch_size: int = option(32, "images a step", least=2)
    latent: int = option(16, "numbers that a picture is put into; of 2 there is a map")
    channels: tuple = (128, 64, 32)  # of the decoder at 4 pixels, 8 and so on
    likelihood: str = option("bernoulli", "of pixels, given the code", choices=LIKELIHOODS)
    beta: float = option(1.0, "weight of the divergence from the prior in the loss")
    lr: float = option(5e-3, "the largest learning rate, at first")

    def __post_init__(self):
        check(self)
        if len(self.channels) != 3:
            raise ValueError(f"expected three channels, got {self.channels}")


# as large as the generators of dcgan and cgan
RECIPES = {
    "vae": Settings(),
    "cvae": Settings(classes=10, latent=12, steps=4000, channels=(64, 48, 24)),
}


def build(path, settings, device):
    """The Training of a VAE, whose decoder is there as "generator" too, for those who paint."""
    of_data, *_ = divided(settings)
    length = None if hasattr(of_data, "__len__") else gan.EPOCH
    loader = data.Loader(of_data, settings.batch_size, length)
    colours = of_data.batch(0, [0])[0].shape[1]
    channels = settings.channels
    if settings.size == 64:  # one resolution more
        channels = (2 * channels[0], *channels)
    model = models.VAE(
        settings.latent, channels, colours, settings.classes, settings.likelihood
    ).to(device)
    networks = {"vae": model, "generator": model.decoder}
    rates, betas = {"vae": settings.lr}, (0.9, 0.999)
    optimizers, schedules = optimizers_of(networks, rates, betas, settings.steps)
    update = partial(step, model, optimizers["vae"], settings)
    return Training(networks, optimizers, schedules, loader, update, settings.steps, path)


def divided(settings):
    """(data to learn from, images, labels): these are of other seeds, or every fifth of data that
    has an end, uint8 and int64.
    """
    of_data = gan.data_set(settings)
    if settings.data == "glyphs":
        others = gan.data_set(replace(settings, seed=gan.MEASURED_SEED + settings.seed))
        return of_data, *others.batch(0, range(gan.MEASURED))
    kept = np.arange(len(of_data)) % 5 == 0
    images, labels = of_data.images, of_data.labels
    rest = data.Images(images[~kept], labels[~kept], settings.seed)
    return rest, images[kept][: gan.MEASURED], labels[kept][: gan.MEASURED]


def step(model, optimizer, settings, images, labels):
    """A step up the ELBO, with beta times the divergence (Higgins et al. 2017); both its parts, in
    nats an image.

    images: uint8, 0 to 255
    """
    device = device_of(model)
    asked = [td.tensor(labels, device=device)] if settings.classes else []
    fit, off, _ = bound(model, td.tensor(centred(images), device=device), *asked)
    parts = {"reconstruction": -fit.mean(), "divergence": off.sum(1).mean()}
    optimizer.zero_grad()
    (parts["reconstruction"] + settings.beta * parts["divergence"]).backward()
    optimizer.step()
    return parts


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, model = training.path.parent, training.networks["vae"]
    settings = settings_of(training.settings)
    _, images, labels = divided(settings)
    gan.paint(training)
    models.save(model, folder / "vae.safetensors", made(training))
    viz.loss_curve(folder / "losses.png", training.losses, "nats an image")
    draw(model, folder, images, labels)
    return gan.measurements(training, measured(model, images, labels, settings.data))


# ---------------------------------------------------------------- measurements and pictures


def measured(model, images, labels, name):
    """{what: number} of images that no training saw, uint8 (n, C, H, W), and their labels (n,).

    name: of the data
    """
    fit, off, mean = evaluated(model, images, labels)
    parts = fit.mean(dtype=np.float64), off.sum(1).mean(dtype=np.float64)
    told = {
        f"ELBO of {len(images)} images that it has not seen, in nats": parts[0] - parts[1],
        "their log-likelihood, given the code": parts[0],
        "KL divergence of their codes from the prior": parts[1],
        f"numbers of the code in use, of {mean.shape[1]}": np.sum(mean.var(0) > ACTIVE),
    }
    if model.log_sigma is not None:
        told["standard deviation of a pixel"] = np.exp(model.log_sigma.item())
    if name == "glyphs" and images.shape[2] == 32 and model.config["classes"] in (0, 10):
        found = read(2 * decoded(model, mean, labels) - 1)[0].argmax(1)
        told["reconstructions read as what they are of"] = np.mean(found == labels)
    return {what: float(number) for what, number in told.items()}


def evaluated(model, images, labels):
    """What bound() tells of images in uint8, as arrays: the same for the same images."""
    state = td.get_rng_state()
    td.manual_seed(gan.MEASURED_SEED)
    found = _in_batches(model, partial(bound, model), centred(images), labels)
    td.set_rng_state(state)
    return found


def decoded(model, codes, labels):
    """Pictures (n, C, H, W) in [0, 1] of codes (n, latent), arrays: the means of the pixels."""

    def paint(z, *labels):
        return (model.decode(z, *labels).sigmoid(),)

    return _in_batches(model, paint, codes, labels)[0]


def _in_batches(model, function, x, labels):
    """A list of arrays, function(x, labels), or function(x) if the model takes no labels."""
    device, training, found = device_of(model), model.training, []
    model.eval()
    with td.no_grad():
        for start in range(0, len(x), BATCH):
            part = slice(start, start + BATCH)
            asked = [td.tensor(labels[part], device=device)] if model.config["classes"] else []
            found.append(function(td.tensor(x[part], device=device), *asked))
    model.train(training)
    return [np.concatenate([y.cpu().numpy() for y in of]) for of in zip(*found)]


def draw(model, folder, images, labels):
    """Writes pictures of what becomes of images that no training saw, uint8, and of their codes."""
    *_, mean = evaluated(model, images, labels)
    pixels, columns = images / np.float32(255), min(COLUMNS, len(images))
    number = min(REBUILT, len(images)) // columns * columns
    again = decoded(model, mean[:number], labels[:number])
    rows = [x[:number].reshape(-1, columns, *x.shape[1:]) for x in (pixels, again)]
    above = np.stack(rows, 1).reshape(-1, *pixels.shape[1:])  # each row of images over its own
    viz.grid(folder / "reconstructions.png", above, columns)
    if len(path := walks(model, pixels, mean, labels)):
        viz.grid(folder / "walk.png", path, COLUMNS)
    if mean.shape[1] == 2 and not model.config["classes"]:
        viz.grid(folder / "map.png", latent_map(model), MAP)
        axes = [f"{which} number of the code, mean" for which in ("first", "second")]
        viz.scatter(folder / "codes.png", mean[:SCATTERED], labels[:SCATTERED], axes)


def walks(model, pixels, mean, labels):
    """Rows of COLUMNS pictures: an image, what is decoded on the straight line from its code to
    that of another one, and the other one; both of one class, if the model is told classes.

    pixels: in [0, 1]; mean: of the codes
    """
    pairs = [*np.arange(len(mean) // 2 * 2).reshape(-1, 2)[:COLUMNS]]
    if classes := model.config["classes"]:
        pairs = [np.flatnonzero(labels == label)[:2] for label in range(classes)]
    ends = np.array([pair for pair in pairs if len(pair) == 2], np.int64).reshape(-1, 2)
    a, b = mean[ends].swapaxes(0, 1)[:, :, None]
    codes = a + np.linspace(0, 1, COLUMNS - 2, dtype=np.float32)[:, None] * (b - a)
    asked = labels[ends[:, 0]].repeat(COLUMNS - 2)
    if not len(asked):
        return pixels[:0]
    between = decoded(model, codes.reshape(-1, mean.shape[1]), asked)
    between = between.reshape(len(ends), -1, *pixels.shape[1:])
    first, last = pixels[ends].swapaxes(0, 1)[:, :, None]
    return np.concatenate([first, between, last], 1).reshape(-1, *pixels.shape[1:])


def latent_map(model):
    """MAP x MAP pictures of codes of two numbers: the first grows to the right, the second upwards,
    each in steps of equal probability under the prior.
    """
    at = [NormalDist().inv_cdf((i + 0.5) / MAP) for i in range(MAP)]
    codes = np.array([(x, y) for y in reversed(at) for x in at], np.float32)
    return decoded(model, codes, None)
