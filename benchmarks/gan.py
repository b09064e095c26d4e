"""The recipe `dcgan` trained by tinydeconv and by PyTorch: which paints the better pictures?

tests/parity/test_gan_parity.py shows that both take the same steps from equal weights and noise. So
each starts from random numbers of its own here, on the same images, and what it has learned is
painted and scored by the same functions: PyTorch's weights go into our generator for that.

The record has a result a training, (library, seed); a training that is there is not done again.
"""

import sys
import time
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv.recipes import gan as recipe
from tinydeconv.recipes.sample import samples
from tinydeconv.recipes.scores import scores

from . import harness, record
from .gpu_results import Refused
from .libraries import NAMES
from .tables import OURS, markdown

HELP = "the pictures of DCGANs that tinydeconv and PyTorch have trained, by their scores"
PEERS = ["torch"]
LIBRARIES = [OURS, *PEERS]
SAMPLES = 5000  # painted by each, and as many images of the data that no training saw
UNSEEN = recipe.MEASURED_SEED  # of these and of the noise


def command(libraries, seeds, path, steps, threads):
    """Trains what the record at `path` has not yet, one process after the other, each of which adds
    its result; prints the table of all.
    """
    settings = asdict(recipe.Settings(**{"steps": steps} if steps else {}))
    del settings["seed"]
    head = {
        "subject": "gan",
        "settings": {n: list(x) if isinstance(x, tuple) else x for n, x in settings.items()},
        "samples": SAMPLES,
        "threads": threads,
        "machine": record.machine(),
    }
    there = {(row["library"], row["seed"]) for row in _kept(path, head)["results"]}
    for seed in seeds:
        for library in libraries:
            if (library, seed) in there:
                print(f"{NAMES[library]}, seed {seed}: {path} has it", file=sys.stderr)
                continue
            print(f"{NAMES[library]}, seed {seed}", file=sys.stderr, flush=True)
            told = record.new("gan", threads, 1, {})
            row = {"library": library, "seed": seed}
            row |= {key: told[key] for key in ("command", "date", "commit", "dirty")}
            case = {"subject": "gan", "path": str(path), "head": head, "row": row}
            with harness.workers([library], threads) as started:
                started[library].ask("prepare", case=case)
    print("\n\n".join(tables(_kept(path, head))))


def _kept(path, head):
    """The record at `path`, an empty one if there is none."""
    try:
        kept = record.load(path) if path.exists() else head | {"results": []}
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise Refused(f"expected a record, {path} is none: give --json another file")
    other = [name for name, value in head.items() if kept.get(name) != value]
    if other:
        raise Refused(
            f"expected a record of these {' and '.join(other)}, {path} is of others: give --json "
            "another file"
        )
    return kept


def _add(path, head, row):
    """Puts a result into the record, in the place of one of the same library and seed."""
    key = LIBRARIES.index(row["library"]), row["seed"]
    rows = {(LIBRARIES.index(r["library"]), r["seed"]): r for r in _kept(path, head)["results"]}
    rows[key] = row
    record.save(path, head | {"results": [rows[key] for key in sorted(rows)]})


# ---------------------------------------------------------------- one training


def build(library, case):
    """For the worker, whose first call does it all."""
    told = library.describe()
    row = case["row"] | {name: told[name] for name in ("version", "numpy", "python")}
    settings = recipe.Settings(**case["head"]["settings"], seed=row["seed"])

    def call(_):
        generator, row["training"] = trained(library, settings)
        row["scores"] = scored(generator, settings, case["head"]["samples"])
        _add(Path(case["path"]), case["head"], row)

    return lambda: None, call


def trained(library, settings):
    """A generator of ours with the weights that the library has found; and what that took."""
    library.lib.manual_seed(settings.seed)
    with TemporaryDirectory() as folder:
        training = recipe.build(Path(folder) / "checkpoint.safetensors", settings, "cpu")
        start, before = time.monotonic(), record.spent()
        losses = {OURS: _ours, "torch": _theirs}[library.name](training, settings)
        seconds = time.monotonic() - start
        all_, ours = (after - was for after, was in zip(record.spent(), before))
    late = -(-settings.steps // 10)
    told = {
        "seconds": round(seconds, 1),
        "others": round((all_ - ours) / seconds, 2),  # cores busy with other things
        "late losses": {name: float(np.mean(of[-late:])) for name, of in losses.items()},
    }
    return training.networks["generator"], told


def _ours(training, settings):
    training.run(save_every=settings.steps)
    return training.losses


def _theirs(training, settings):
    """The twin's training on our training's batches; its weights go into our networks."""
    import torch

    sys.path.append(str(harness.ROOT / "tests" / "parity"))
    from twin import Game

    game, losses = Game(settings, training.networks), {"discriminator": [], "generator": []}
    endless = (batch for epoch in count() for batch in training.loader.batches(epoch))
    batches = islice(endless, settings.steps)
    for images, labels in tqdm(batches, total=settings.steps, mininterval=10):
        told = game.update(images, labels, torch.randn(len(images), settings.latent))
        for name, loss in told.items():
            losses[name].append(loss)
    for name, network in game.networks.items():
        state = {key: td.tensor(x.numpy()) for key, x in network.state_dict().items()}
        training.networks[name].load_state_dict(state)
    return losses


def scored(generator, settings, n):
    """{what: number} of n samples beside n images of the data."""
    data = recipe.data_set(replace(settings, seed=UNSEEN)).batch(0, range(n))[0]
    asked = np.arange(n) % settings.classes if settings.classes else None
    return scores(2 * samples(generator, n, UNSEEN) - 1, data, asked)


# ---------------------------------------------------------------- what came out


def tables(measured):
    """A row a score, a column a training; and a sentence."""
    rows = measured["results"]
    if not rows:
        return ["no training yet"]
    head = [f"{measured['samples']} samples", *(f"{NAMES[r['library']]} {r['seed']}" for r in rows)]
    body = [[what, *(f"{r['scores'][what]:.4g}" for r in rows)] for what in rows[0]["scores"]]
    body.append(["minutes of training", *(f"{r['training']['seconds'] / 60:.1f}" for r in rows)])
    return [markdown(head, body), sentence(rows)]


def frechet(row):
    return next(x for what, x in row["scores"].items() if "Frechet" in what)


def sentence(rows):
    """The median of our Frechet distances beside PyTorch's."""
    ours, theirs = ([frechet(r) for r in rows if r["library"] == name] for name in LIBRARIES)
    if not ours or not theirs:
        return "One library has no training yet."
    worst = max(theirs)
    return (
        f"Median Frechet distance of tinydeconv's trainings ({len(ours)}): {median(ours):.4g}, "
        f"{'no worse' if median(ours) <= worst else 'worse'} than the worst of PyTorch's "
        f"({len(theirs)}), {worst:.4g}, whose median is {median(theirs):.4g}."
    )
