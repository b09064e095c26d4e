"""Pictures of a generator that a recipe has trained."""

from importlib import import_module
from inspect import signature
from pathlib import Path

import numpy as np

import tinydeconv as td
from tinydeconv import models, ops, viz

BATCH = 64  # how many are painted at once
WEIGHTS = "generator.safetensors"  # in the folder of a run
# what can be painted, and the page whose draw(model, out, seed, ...) does it
DRAWN = {"Generator": "sample", "TextureGenerator": "texture", "ToneGenerator": "tones"}
FLAGS = {"label": "--class"}  # of the command line, where they are named otherwise


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


def draw(model, out, seed=0, n=64, label=None):
    """Writes a picture of n samples side by side; label: as in samples()."""
    classes = model.config["classes"] if label is None else 0
    viz.grid(out, samples(model, n, seed, label), classes or None)


def sample(run, out=None, seed=0, **asked):
    """Writes what the generator in the folder or the file `run` paints, and returns where.

    out: by default samples.png, of tones samples.wav
    asked: what else the draw() of its page takes; a ValueError for anything more
    """
    run = Path(run)
    path = run / WEIGHTS if run.is_dir() else run
    if run.is_dir() and not path.exists():
        raise FileNotFoundError(
            f"expected the folder of a training of a generator, {run} has no {WEIGHTS}: it is "
            "written with the first picture"
        )
    model = models.load(path)
    kind = type(model).__name__
    if kind not in DRAWN:
        raise ValueError(f"expected weights of {' or '.join(DRAWN)}, {path} has those of {kind}")
    page = import_module(f".{DRAWN[kind]}", __package__)
    taken = [*signature(page.draw).parameters][3:]
    if wrong := [name for name in asked if name not in taken]:
        known, got = (" and ".join(FLAGS.get(n, f"--{n}") for n in of) for of in (taken, wrong))
        raise ValueError(f"a {kind}, which {path} has, takes {known}, got {got}")
    out = Path(out or ("samples.wav" if kind == "ToneGenerator" else "samples.png"))
    page.draw(model, out, seed, **asked)
    return out
