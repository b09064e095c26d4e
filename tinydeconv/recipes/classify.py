"""Classifiers: of glyphs, of which there is no end, or of as many images as there are.

Where images are few, one fifth is left for measuring, and to which fifth that is much is owed to
chance: so there are five networks, each kept from another fifth, that learn side by side
(five-fold cross-validation). Five more learn from the same images as they are, never warped.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

import tinydeconv as td
from tinydeconv import models, optim, viz
from tinydeconv.data import (
    GLYPHS,
    Glyphs,
    Images,
    Loader,
    digits,
    fashion_mnist,
    image_folder,
    mnist,
)
from tinydeconv.data.transforms import RandomAffine
from tinydeconv.nn import functional as F
from tinydeconv.recipes.common import check, made, option, report, settings_of, stages
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.scores import centred, read
from tinydeconv.train import Training

MNIST = {"mnist": mnist, "fashion-mnist": fashion_mnist}
AUGMENT = RandomAffine(degrees=5, translate=(0.04, 0.04), scale=(0.95, 1.05), shear=5)
FOLDS = 5
FRESH = 10**6  # the seed of glyphs that are measured on
MEASURED = 5000  # of them
EPOCH = 500  # batches of glyphs
SHOWN = 49  # images in hardest.png
ROWS = 10  # of metrics.jsonl with an accuracy


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    data: str = option(
        "glyphs",
        "glyphs, digits, mnist, fashion-mnist, or a folder with a folder of images for each class",
        metavar="DATA",
    )
    classes: int = option(10, "of glyphs: 10, the digits, or 62, with the letters")
    size: int = option(32, "pixels a side of glyphs, and of the images of a folder")
    augment: bool = option(True, "warp images at random, and compare with a training without it")
    steps: int = option(1000, "fewer steps are quicker and read worse")
    seed: int = option(0, "of weights, images and folds", least=0)
    batch_size: int = option(32, "images a step")
    max_lr: float = option(5e-3, "the largest learning rate")
    channels: tuple = (12, 24, 48)

    def __post_init__(self):
        check(self)
        if self.seed == FRESH:
            raise ValueError(f"expected another seed, {FRESH} is that of the glyphs to measure on")


RECIPES = {"classify": Settings()}


class Together:
    """Loaders side by side: a batch is a tuple of one of each."""

    def __init__(self, loaders):
        self.loaders = loaders

    def batches(self, epoch, start=0):
        yield from zip(*(loader.batches(epoch, start) for loader in self.loaders))


@lru_cache(1)
def _parts(settings):
    """({"kind fold": (data set to learn from, (images, labels) to measure on)}, classes' names)."""
    if settings.data == "glyphs":
        classes, size = settings.classes, settings.size
        fresh = Glyphs(classes, size, FRESH).batch(0, range(MEASURED))
        return {"glyphs": (Glyphs(classes, size, settings.seed), fresh)}, GLYPHS[:classes]
    splits, names = _splits(settings)
    kinds = {"augmented": AUGMENT, "plain": None} if settings.augment else {"plain": None}
    parts = {
        f"{kind} {fold}": (Images(images, labels, settings.seed, transform), held_out)
        for kind, transform in kinds.items()
        for fold, ((images, labels), held_out) in enumerate(splits, 1)
    }
    return parts, names


def _splits(settings):
    """[((images, labels) to learn from, those to measure on), ...], and the classes' names."""
    if load := MNIST.get(settings.data):
        return [(load(train=True), load(train=False))], "0123456789"
    if settings.data == "digits":
        images, labels = digits()
        images, names = np.rint(255 * images).astype(np.uint8), "0123456789"
    elif Path(settings.data).is_dir():
        images, labels, names = image_folder(settings.data, settings.size)
    else:
        raise ValueError(
            f"expected the data glyphs, digits, {', '.join(MNIST)} or a folder of images, got "
            f"{settings.data!r}"
        )
    if len(names) < 2 or len(images) < FOLDS:
        raise ValueError(
            f"expected {FOLDS} images or more in two folders or more, one a class, found "
            f"{len(images)} in {len(names)}: {settings.data}"
        )
    order = np.random.default_rng(settings.seed).permutation(len(images))
    splits = []
    for held_out in np.array_split(order, FOLDS):
        learned = np.setdiff1d(order, held_out)
        splits.append(tuple((images[i], labels[i]) for i in (learned, held_out)))
    return splits, names


def build(path, settings, device):
    """The Training of a network for each fold and kind; all begin with the same weights."""
    parts, names = _parts(settings)
    size = next(iter(parts.values()))[1][0].shape[-1]
    networks, optimizers, schedules = {}, {}, {}
    for name in parts:
        td.manual_seed(settings.seed)
        networks[name] = models.Classifier(len(names), settings.channels, size=size).to(device)
        optimizers[name] = optim.AdamW(networks[name].parameters())
        schedules[name] = optim.OneCycleLR(optimizers[name], settings.max_lr, settings.steps)
    length = EPOCH if settings.data == "glyphs" else None
    loader = Together([Loader(data, settings.batch_size, length) for data, _ in parts.values()])

    def update(*batches):
        losses: dict[str, list] = {}
        for (name, model), (images, labels) in zip(networks.items(), batches):
            x, y = (td.tensor(a, device=device_of(model)) for a in (centred(images), labels))
            loss = F.cross_entropy(model(x), y)
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
            losses.setdefault(name.split()[0], []).append(float(loss))
        return {kind: np.mean(of) for kind, of in losses.items()}

    return Training(networks, optimizers, schedules, loader, update, settings.steps, path)


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the accuracies, and what is mistaken for what, as text to print.
    """
    folder, networks = training.path.parent, training.networks
    settings = settings_of(training.settings)
    parts, names = _parts(settings)

    def probabilities():
        return {name: read(held[0], networks[name])[0] for name, (_, held) in parts.items()}

    def measure():
        right = _right(probabilities(), parts)
        return {f"accuracy, {kind}": float(np.mean(_means(of))) for kind, of in right.items()}

    training.run(stages=stages(training, ROWS, measure))
    models.save(next(iter(networks.values())), folder / "weights.safetensors", made(training))
    viz.loss_curve(folder / "losses.png", training.losses, "cross entropy")
    found = probabilities()
    right = _right(found, parts)
    # What follows is of the first kind: all its held-out images, each read by one network
    first = [name for name in parts if name.split()[0] == next(iter(right))]
    images, labels = (np.concatenate([parts[n][1][i] for n in first]) for i in (0, 1))
    probability = np.concatenate([found[name] for name in first])
    sure = probability[np.arange(len(labels)), labels]
    viz.grid(folder / "hardest.png", images[np.argsort(sure)[:SHOWN]] / np.float32(255))
    confusion = np.zeros((len(names), len(names)), dtype=int)
    np.add.at(confusion, (labels, probability.argmax(1)), 1)
    results = {
        "training": training.settings,
        "accuracy": {kind: _means(of) for kind, of in right.items()},
        "names": list(names),
        "confusion": confusion.tolist(),
    }
    return report(training, results, _table(settings, right, confusion, names))


def _right(probabilities, parts):
    """{kind: [whether each held-out image of a fold is read right, ...]}."""
    right: dict[str, list[np.ndarray]] = {}
    for name, (_, (_, labels)) in parts.items():
        right.setdefault(name.split()[0], []).append(probabilities[name].argmax(1) == labels)
    return right


def _means(right):
    return [float(of.mean()) for of in right]


def _table(settings, right, confusion, names):
    """The accuracy of each kind, all confusions of few classes, and the most frequent ones.

    right: as _right gives it; confusion: [label, answer], of the first kind
    """
    count, (first, *rest) = confusion.sum(), right
    if settings.data == "glyphs":
        lines = [f"{count} fresh glyphs of {len(names)} classes"]
    else:
        folds = f", {FOLDS}-fold cross-validation" * (len(right[first]) > 1)
        lines = [f"{count} held-out images of {settings.data}{folds}"]
    for kind, of in right.items():
        each = f" ({', '.join(f'{100 * a:.2f}' for a in _means(of))})" if len(of) > 1 else ""
        lines.append(f"{kind:10} {100 * np.mean(_means(of)):.2f} % right{each}")
    if rest:
        a, b = (np.concatenate(of) for of in right.values())
        lines.append(
            f"right with {first} alone {np.sum(a & ~b)}, with {rest[0]} alone {np.sum(b & ~a)}"
        )
    wrong = confusion - np.diag(confusion.diagonal())
    lines += ["", f"{first}: {wrong.sum()} of {count} mistaken"]
    for place in np.argsort(-wrong, axis=None, kind="stable")[:12]:
        label, answer = divmod(int(place), len(names))
        if times := wrong[label, answer]:
            lines.append(f"  {names[label]} read as {names[answer]}: {times}")
    if len(names) <= 10:
        width = max(6, *map(len, names)) + 1
        lines += ["", "rows: what it is; columns: what it was read as"]
        lines.append("".join(f"{name:>{width}}" for name in ("", *names)))
        for name, row in zip(names, confusion):
            lines.append(f"{name:>{width}}" + "".join(f"{n:{width}}" for n in row))
    return "\n".join(lines) + "\n"
