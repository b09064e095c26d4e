"""What all recipes share: how a training starts, goes on, and says how it was made."""

import json
import shlex
import subprocess
from dataclasses import asdict, field, fields, replace
from importlib import import_module
from math import inf
from pathlib import Path
from typing import Any

import tinydeconv as td
from tinydeconv import models, optim
from tinydeconv.data.images import images_extra
from tinydeconv.serialize import write_atomically
from tinydeconv.train import read_settings

PAGES = {
    "denoise": "denoise", "classify": "classify", "dcgan": "gan", "cgan": "gan", "sr": "sr",
    "wgan": "wgan", "pix2pix": "pix2pix",
    "fill": "fill", "dejpeg": "dejpeg",
    "vae": "vae", "cvae": "vae", "texture": "texture", "tones": "tones",
}  # fmt: skip
CHECKPOINT = "checkpoint.safetensors"


def page(name):
    """The module of a recipe."""
    return import_module(f".{PAGES[name]}", __package__)


def option(default, help, **more):
    """A field of Settings that is an option of the command line too.

    more: `choices`, the `least` that a number may be, the `metavar` that stands for a value
    """
    return field(default=default, metadata={"help": help, **more})


def check(settings):
    """A ValueError for the first option whose value is no number as it shall be, or no choice.

    Whole numbers stay whole; they are at least 1, or what `least` says, and floats at least 0.
    Lists become tuples again, which they were before JSON.
    """
    for f in fields(settings):
        value: Any = getattr(settings, f.name)
        kind: Any = type(f.default)
        if choices := f.metadata.get("choices"):
            good, expected = value in choices, f"one of {', '.join(map(str, choices))}"
        elif kind is bool:
            good, expected = isinstance(value, bool), "true or false"
        elif kind is str:
            good, expected = isinstance(value, str) and value != "", "a name"
        elif kind is tuple:
            value = tuple(value)
            object.__setattr__(settings, f.name, value)  # past what keeps Settings as they are
            good = all(isinstance(n, int) and n >= 1 for n in value) and len(value) > 0
            expected = "positive whole numbers"
        else:
            least = f.metadata.get("least", 1 if kind is int else 0)
            right = isinstance(value, (int, float) if kind is float else int)
            good = right and not isinstance(value, bool) and least <= value < inf
            expected = f"a {'whole ' * (kind is int)}number of at least {least}"
        if not good:
            raise ValueError(f"expected {expected} for {f.name}, got {value!r:.80}")


def start(name, folder, settings, device="cpu"):
    """The Training of a recipe, from random weights, on a device; its files go into the folder."""
    path = Path(folder) / CHECKPOINT
    if path.exists():
        try:
            there = resume(name, folder)
        except ValueError as error:
            raise ValueError(f"{error}; choose another --out") from None
        raise FileExistsError(
            f"{folder} has a training after {there.step} of {there.steps} steps: go on with "
            "--resume, or choose another --out"
        )
    training = _build(name, path, settings, device)
    path.parent.mkdir(parents=True, exist_ok=True)
    return training


def resume(name, folder, device="cpu"):
    """The Training whose checkpoint stands in the folder, where it was, on any device."""
    path = Path(folder) / CHECKPOINT
    if not path.exists():
        raise FileNotFoundError(f"nothing to go on with: no {path}; start without --resume")
    told = read_settings(path)
    try:
        # a checkpoint written before there was more than one recipe names none
        if (found := told.get("recipe", "denoise")) != name:
            raise ValueError(f"expected the checkpoint of {name}, got {found!r:.40}")
        settings = settings_of(told, name)
        names = "channels", "latent", "looks", "harmonics"
        sizes = {of: vars(settings)[of] for of in names if of in vars(settings)}
        models.require_room(sizes, td.load(path))
        training = _build(name, path, settings, device)
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"cannot go on with {path}: {error}; its settings are {str(told)[:200]}"
        ) from None
    training.load()
    return training


def settings_of(told, name=None):
    """The Settings of a recipe, as its checkpoints and weights files tell them."""
    given = {key: value for key, value in told.items() if key != "recipe"}
    name = name or told["recipe"]
    return type(page(name).RECIPES[name])(**given)


def _build(name, path, settings, device):
    images_extra("matplotlib")  # if it is missing, say so now, not when the picture is due
    td.manual_seed(settings.seed)
    training = page(name).build(path, settings, device)
    training.settings = {"recipe": name, **asdict(settings)}
    return training


def made(training):
    """How a training's weights came about, for their file."""
    return {
        "command": command(training.settings),
        "commit": _commit(),
        "settings": training.settings,
    }


def command(told):
    """What to type for a training with these settings."""
    name, settings = told["recipe"], settings_of(told)
    default = page(name).RECIPES[name]
    words = ["tinydeconv train", name]
    full = getattr(page(name), "FULL", None)
    if full and replace(full, steps=settings.steps, seed=settings.seed) == settings:
        words, default = [*words, "--full"], full
    for f in fields(settings):
        value = getattr(settings, f.name)
        if f.metadata.get("help") and (
            f.name in ("steps", "seed") or value != getattr(default, f.name)
        ):
            words.append(_word(f.name, value))
    return " ".join(words)


def _word(name, value):
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag} {shlex.quote(str(value))}"


def _commit():
    """The commit of the checkout that this is, if it is one and there is git to ask."""
    root = Path(td.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    words = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        done = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    except OSError:
        return None
    return done.stdout.strip() or None


def stages(training, pictures, function):
    """{step: function} for about so many equal stages, and an early one at a fortieth of the way,
    so that there soon is something to see.
    """
    every = -(-training.steps // pictures)
    early = max(1, training.steps // 40)
    return dict.fromkeys([early, *range(every, training.steps, every), training.steps], function)


def optimizers_of(networks, rates, betas, steps):
    """({name: Adam}, {name: schedule}) of those networks that have a rate, {name: number}, from
    which it goes down a cosine to 0 in so many steps.
    """
    optimizers = {
        name: optim.Adam(networks[name].parameters(), rate, betas) for name, rate in rates.items()
    }
    schedules = {
        name: optim.lr_scheduler.CosineAnnealingLR(of, steps) for name, of in optimizers.items()
    }
    return optimizers, schedules


def report(training, results, table):
    """Writes what was measured, as JSON and as the table, which it returns."""
    folder = training.path.parent
    write_atomically(folder / "results.json", json.dumps(results, indent=1).encode())
    write_atomically(folder / "table.txt", table.encode())
    return table
