"""Learning without labels: a network fills holes in pictures, and what it had to understand for
that helps a classifier that has few labelled pictures (Pathak et al., CVPR 2016).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import data, models, nn, optim, viz
from tinydeconv.nn import functional as F
from tinydeconv.recipes.common import check, made, option, report, settings_of, stages
from tinydeconv.recipes.learned import device_of
from tinydeconv.recipes.scores import centred, read
from tinydeconv.train import Training, supervised

SIZE = 32  # pixels a side of the glyphs
EPOCH = 500  # batches of data without an end
PICTURES = 8  # stages
SHOWN = 12  # glyphs in a picture
HOLE = 1  # keys the draws of holes apart from those of glyphs

FRESH = 10**6  # the seed of glyphs that are measured on; those that follow are of labelled ones
MEASURED = 2000  # of them
LABELLED = 1, 5, 20  # pictures of a class
SEEDS = 5  # of labelled pictures and random weights
PROBE_STEPS = 100
PROBE_BATCH = 50
TUNED_LR = 2e-3  # the largest learning rates of the probe: of all weights,
LINEAR_LR = 1e-2  # and of the last layer alone
DECAY = 1e-2  # of weights, in AdamW
ARMS = {  # of the probe: (weights of the encoder, whether it learns too)
    "filler, frozen": ("filler", False), "random, frozen": ("random", False),
    "filler, tuned": ("filler", True), "random, tuned": ("random", True),
}  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """Everything that a training depends on."""

    classes: int = option(
        10, "of glyphs: 10, the digits, or 62, with the letters", choices=(10, 62)
    )
    smallest: int = option(10, "pixels a side of the smallest hole")
    largest: int = option(18, f"of the largest, less than {SIZE}")
    outside: float = option(0.0, "weight of the error outside of the hole", metavar="W")
    steps: int = option(2500, "fewer steps are quicker and fill worse")
    seed: int = option(0, "of weights, glyphs and holes", least=0)
    batch_size: int = option(32, "images a step")
    max_lr: float = option(3e-3, "the largest learning rate")
    channels: tuple = (32, 64, 128)

    def __post_init__(self):
        check(self)
        if not self.smallest <= self.largest < SIZE:
            raise ValueError(
                f"expected holes from smallest to largest, which leave something of {SIZE} pixels "
                f"a side, got {self.smallest} to {self.largest}"
            )
        if self.seed >= FRESH:
            raise ValueError(
                f"expected a seed below {FRESH}, which is that of the glyphs to measure on, got "
                f"{self.seed}"
            )


RECIPES = {"fill": Settings()}

# ---------------------------------------------------------------- holes


class Holes:
    """A data set of images that lack a square: (images, holes, labels).

    data: batch(epoch, indices) gives images (n, C, H, W) and labels
    smallest, largest: pixels a side of the hole, which lies wholly in the frame; all sizes, and all
        places for a size, are equally likely

    holes: float32 (n, 1, H, W), 1 where nothing is to be seen, drawn from a generator keyed by
    (seed, epoch, index)
    """

    def __init__(self, data, smallest, largest, seed=0):
        self.data, self.seed = data, seed
        self.smallest, self.largest = smallest, largest

    def batch(self, epoch, indices):
        images, labels = self.data.batch(epoch, indices)
        holes = np.zeros((len(images), 1, *images.shape[2:]), np.float32)
        for hole, index in zip(holes, indices):
            rng = np.random.default_rng([self.seed, epoch, index, HOLE])
            side = rng.integers(self.smallest, self.largest + 1)
            top, left = (rng.integers(n - side + 1) for n in hole.shape[1:])
            hole[:, top : top + side, left : left + side] = 1
        return images, holes, labels


def with_holes(settings, seed):
    """The data of a recipe's settings, with another seed."""
    glyphs = data.Glyphs(settings.classes, SIZE, seed)
    return Holes(glyphs, settings.smallest, settings.largest, seed)


def hole_error(painted, images, holes, outside=0.0):
    """The mean squared error of the holes' pixels, plus `outside` times that of the others.

    painted, images: (n, C, H, W); holes: (n, 1, H, W)
    """
    wrong, seen = (painted - images) ** 2, 1 - holes
    channels = images.shape[1]
    error = (wrong * holes).sum() / (channels * holes.sum())
    if outside:
        error = error + outside * (wrong * seen).sum() / (channels * seen.sum())
    return error


# ---------------------------------------------------------------- training


def build(path, settings, device):
    """The Training of a filler."""
    network = models.Filler(channels=settings.channels).to(device)
    optimizer = optim.Adam(network.parameters())
    schedule = optim.OneCycleLR(optimizer, settings.max_lr, settings.steps)
    loader = data.Loader(with_holes(settings, settings.seed), settings.batch_size, EPOCH)
    loss = partial(_loss, outside=settings.outside)
    return Training(
        {"filler": network}, {"filler": optimizer}, {"filler": schedule}, loader,
        supervised(network, optimizer, loss), settings.steps, path,
    )  # fmt: skip


def _loss(network, images, holes, labels, outside):
    """Of a network that sees grey where the holes are; the labels are not looked at."""
    device = device_of(network)
    images, holes = td.tensor(centred(images), device=device), td.tensor(holes, device=device)
    return hole_error(network(images * (1 - holes)), images, holes, outside)


def filled(network, images, holes):
    """Images (n, C, H, W) in [-1, 1] whose holes (n, 1, H, W), and nothing else, are painted."""
    with td.no_grad():
        painted = network(td.tensor(images * (1 - holes), device=device_of(network)))
    return np.where(holes, np.clip(painted.cpu().numpy(), -1, 1), images)


def train(training):
    """Runs the training to its end; beside the checkpoint come weights, pictures and measurements.

    Returns the measurements as a table to print.
    """
    folder, network = training.path.parent, training.networks["filler"]
    settings = settings_of(training.settings)
    fresh = with_holes(settings, FRESH).batch(0, range(MEASURED))

    def picture(name=None):
        images, holes = centred(fresh[0][:SHOWN]), fresh[1][:SHOWN]
        rows = np.concatenate([images * (1 - holes), filled(network, images, holes), images])
        path = folder / (name or f"filled-{training.step}.png")
        viz.grid(path, (rows + 1) / 2, SHOWN, scale=2)
        tqdm.write(f"after step {training.step}: {path}")

    training.run(stages=stages(training, PICTURES, picture))
    picture("filled.png")
    models.save(network, folder / "weights.safetensors", made(training))
    viz.loss_curve(folder / "loss.png", training.losses["loss"], "mean squared error in the hole")
    holes = measured(network, *fresh)
    print("probing what the encoder has learned ...", flush=True)
    accuracies = probed(network, settings.classes, fresh[0], fresh[2])
    told = {"training": training.settings, "holes": holes, "probe": accuracies}
    return report(training, told, _table(holes, accuracies, settings.classes))


def measured(network, images, holes, labels):
    """{what: {"error": mean squared error in the hole, "read": part that is read as it is}}.

    The pictures are those with the hole black, with the hole filled, and as they were; those of
    digits are read by the classifier that comes with the library.
    """
    images = centred(images)
    kinds = {
        "black": np.where(holes, np.float32(-1), images),
        "filled": filled(network, images, holes),
        "whole": images,
    }
    told = {}
    for name, of in kinds.items():
        told[name] = {"error": float(np.square(of - images).sum() / holes.sum())}
        if labels.max() < 10:
            told[name]["read"] = float(np.mean(read(of)[0].argmax(1) == labels))
    return told


# ---------------------------------------------------------------- the probe


class Reader(nn.Module):
    """A classifier that begins with the encoder of a Filler: images (N, 1, H, W) to logits.

    images: which its features are centred and scaled by; they have the size of all to come
    """

    def __init__(self, network, images, classes):
        self.network = network
        features = network.features(images).flatten(1).detach()
        self.middle, self.spread = features.mean(0), features.std()
        self.last = nn.Linear(features.shape[1], classes).to(device_of(network))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def features(self, images):
        return (self.network.features(images).flatten(1) - self.middle) / self.spread

    def forward(self, images):
        return self.last(self.features(images))


def probed(network, classes, images, labels):
    """{arm: {pictures of a class: [the part of the images that is read right, for each seed]}}.

    Each seed draws labelled glyphs, which all arms get, and the weights of the random encoders; the
    arms differ in nothing but where the encoder's weights come from, and whether they learn too.
    images, labels: uint8 (n, 1, SIZE, SIZE) and int64 (n,), to measure on
    """
    device = device_of(network)
    fresh = td.tensor(centred(images), device=device)
    told: dict[str, dict] = {arm: {str(each): [] for each in LABELLED} for arm in ARMS}
    for seed in tqdm(range(FRESH + 1, FRESH + 1 + SEEDS), desc="probing", unit="seed"):
        td.manual_seed(seed)
        random = models.Filler(**network.config).to(device)
        weights = {"filler": network.state_dict(), "random": random.state_dict()}
        for each in LABELLED:
            known, asked = labelled(classes, each, seed)
            known, asked = td.tensor(centred(known), device=device), td.tensor(asked, device=device)
            for arm, (source, learns) in ARMS.items():
                encoder = models.Filler(**network.config).to(device)
                encoder.load_state_dict(weights[source])
                answers = _answers(Reader(encoder, known, classes), known, asked, fresh, learns)
                told[arm][str(each)].append(float(np.mean(answers == labels)))
    return told


def labelled(classes, each, seed):
    """The first so many glyphs of each class among those of a seed, and their labels."""
    images, labels = data.Glyphs(classes, SIZE, seed).batch(0, range(classes * (20 + 4 * each)))
    chosen = np.concatenate([np.flatnonzero(labels == c)[:each] for c in range(classes)])
    return images[chosen], labels[chosen]


def _answers(reader, images, labels, fresh, learns):
    """The classes (n,) that a reader which has learned the labels reads in fresh images."""
    if learns:
        _fit(reader, images, labels, TUNED_LR)
    else:
        with td.no_grad():
            images, fresh = reader.features(images), reader.features(fresh)
        reader = reader.last
        _fit(reader, images, labels, LINEAR_LR)
    with td.no_grad():
        return reader(fresh).cpu().numpy().argmax(1)


def _fit(model, images, labels, rate):
    """Steps down the cross entropy; batches are all images, or so many of them at random."""
    optimizer = optim.AdamW(model.parameters(), weight_decay=DECAY)
    schedule = optim.OneCycleLR(optimizer, rate, PROBE_STEPS)
    rng = np.random.default_rng(FRESH)
    for _ in range(PROBE_STEPS):
        chosen = td.tensor(rng.permutation(len(images))[:PROBE_BATCH], device=images.device)
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()


def _table(holes, accuracies, classes):
    """What the holes were filled with, and the accuracies of all arms with their gains.

    holes: as measured() gives it; accuracies: as probed() gives it
    """
    lines = [f"{MEASURED} fresh glyphs of {classes} classes", ""]
    lines.append(f"{'the hole is':24}{'squared error in it':>20}{'read as it is':>16}")
    for name, of in holes.items():
        read_right = f"{100 * of['read']:14.1f} %" if "read" in of else ""
        lines.append(f"{name:24}{of['error']:20.3f}{read_right}")
    lines += ["", f"right in %, mean and standard deviation of {SEEDS} seeds, of a classifier with"]
    lines.append(f"{'labelled pictures a class':26}" + "".join(f"{each:>14}" for each in LABELLED))
    for arm, of in accuracies.items():
        lines.append(f"{arm:26}" + "".join(_cell(np.array(a)) for a in of.values()))
    for kind in ("frozen", "tuned"):
        with_it, without = (accuracies[f"{source}, {kind}"] for source in ("filler", "random"))
        gains = (np.subtract(with_it[each], without[each]) for each in with_it)
        lines.append(f"{f'gain, {kind}':26}" + "".join(_cell(gain, "+") for gain in gains))
    return "\n".join(lines) + "\n"


def _cell(values, sign=""):
    return f"{100 * values.mean():{sign}7.1f} ±{100 * values.std(ddof=1):4.1f} "
