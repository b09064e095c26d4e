"""Networks, and weights files that say which network they are of."""

import json
from itertools import pairwise
from math import prod
from pathlib import Path

import tinydeconv as td
from tinydeconv.serialize import load_json

from .classifier import Classifier
from .denoiser import Denoiser
from .filler import Filler
from .gan import Discriminator, Generator, PatchDiscriminator
from .superresolution import SuperResolution
from .texture import TextureGenerator
from .tones import ToneGenerator
from .unet import UNet
from .vae import VAE

__all__ = [
    "Classifier",
    "Denoiser",
    "Discriminator",
    "Filler",
    "Generator",
    "PatchDiscriminator",
    "SuperResolution",
    "TextureGenerator",
    "ToneGenerator",
    "UNet",
    "VAE",
    "load",
    "save",
]

MODELS = {
    model.__name__: model
    for model in (
        Classifier, Denoiser, Discriminator, Generator, PatchDiscriminator, SuperResolution,
        Filler,
        TextureGenerator, ToneGenerator, UNet, VAE,
    )  # fmt: skip
}
KEY = "tinydeconv.model"  # of the file's metadata


def shipped(name):
    """The file of weights of this name that comes with the library."""
    return Path(__file__).with_name(f"{name}.safetensors")


SHIPPED = shipped("denoiser")


def save(model, path, made=None):
    """Writes the model's weights, its name and its `config`, the constructor's arguments.

    made: how the weights came about, if it is to be told, as JSON can hold it
    """
    told = {"name": type(model).__name__, **model.config, "made": made}
    td.save(model.state_dict(), path, {KEY: json.dumps(told)})


def load(path=SHIPPED, kind=None):
    """The model that save() wrote; by default the denoiser that comes with the library.

    kind: the class that it shall be of, if only one will do

    Raises OSError, ValueError or RuntimeError, one sentence, for what is no such file.
    """
    config, state = load_json(path, KEY), td.load(path)
    if config is None:
        raise ValueError(
            f"expected a weights file that names its network, as `tinydeconv train` writes it; "
            f"{path} names none"
        )
    name, _ = config.pop("name", None), config.pop("made", None)
    wanted = [kind.__name__] if kind else list(MODELS)
    if name not in wanted:  # of a list one may ask it about anything
        raise ValueError(f"expected weights of {' or '.join(wanted)}, {path} has those of {name}")
    try:
        require_room(config, state)
        model = MODELS[name](**config)
    except (LookupError, TypeError, ValueError):
        raise ValueError(
            f"{path} has weights of a {name} of another kind: {str(config)[:200]}"
        ) from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"{path} has other weights than it says: {error}") from None
    return model


def require_room(config, state):
    """A ValueError if a network of this config has more weights than a file with this state.

    It comes before the network is made: a wrong number must not fill the memory.
    """
    channels = list(config["channels"])
    sizes = sorted(abs(n) for n in (*channels, *config.values()) if isinstance(n, int))
    least = sum(abs(a * b) for a, b in pairwise([*channels, *channels[-1:]]))
    least = max([least, prod(sizes[-2:])])  # a layer between the two largest
    if least > sum(x.numel() for x in state.values()):
        raise ValueError(f"expected at least {least} weights for {config}")
