"""Pictures of a generator that a recipe has trained."""

from pathlib import Path

import numpy as np

import tinydeconv as td
from tinydeconv import models, ops, viz

BATCH = 64  # how many are painted at once
WEIGHTS = "generator.safetensors"  # in the folder of a run


def samples(generator, n, seed=0, label=None):
    """n pictures (n, C, H, W) in [0, 1], float32, the same for the same seed.

    label: the class of all, if the generator asks for one; without it all classes take turns
    """
    classes = generator.config["classes"]
    if label is not None and not 0 <= label < classes:
        known = f"0 to {classes - 1}" if classes else "no class: this generator takes none"
        raise ValueError(f"expected {known}, got class {label}")
    state, training = td.get_rng_state(), generator.training
    td.manual_seed(seed)
    noise = ops.randn(n, generator.config["latent"])
    td.set_rng_state(state)
    labels = np.arange(n) % classes if label is None and classes else np.full(n, label or 0)
    where = next(generator.parameters()).device
    pictures = []
    generator.eval()
    with td.no_grad():
        for start in range(0, n, BATCH):
            part = noise[start : start + BATCH].to(where)
            asked = [td.tensor(labels[start : start + BATCH], device=where)] if classes else []
            pictures.append(generator(part, *asked).cpu().numpy())
    generator.train(training)
    return (np.concatenate(pictures) + 1) / 2


def draw(run, n, seed, label, out):
    """Writes a picture of n samples of the generator in the folder or the file `run`."""
    run = Path(run)
    path = run / WEIGHTS if run.is_dir() else run
    if run.is_dir() and not path.exists():
        raise FileNotFoundError(
            f"expected the folder of a training of a generator, {run} has no {WEIGHTS}: it is "
            "written with the first picture"
        )
    generator = models.load(path, models.Generator)
    classes = generator.config["classes"] if label is None else 0
    viz.grid(out, samples(generator, n, seed, label), classes or None)
