"""Networks, and weights files that say which network they are of."""

import json
from itertools import pairwise
from pathlib import Path

import tinydeconv as td
from tinydeconv.serialize import load_json

from .denoiser import Denoiser

__all__ = ["Denoiser", "load", "save"]

MODELS = {"Denoiser": Denoiser}
KEY = "tinydeconv.model"  # of the file's metadata
SHIPPED = Path(__file__).with_name("denoiser.safetensors")


def save(model, path, made=None):
    """Writes the model's weights, its name and its `config`, the constructor's arguments.

    made: how the weights came about, if it is to be told, as JSON can hold it
    """
    told = {"name": type(model).__name__, **model.config, "made": made}
    td.save(model.state_dict(), path, {KEY: json.dumps(told)})


def load(path=SHIPPED):
    """The model that save() wrote; by default the denoiser that comes with the library.

    Raises OSError, ValueError or RuntimeError, one sentence, for what is no such file.
    """
    config, state = load_json(path, KEY), td.load(path)
    if config is None:
        raise ValueError(
            f"expected a weights file that names its network, as `tinydeconv train` writes it; "
            f"{path} names none"
        )
    name, _ = config.pop("name", None), config.pop("made", None)
    if name not in list(MODELS):  # of a list one may ask it about anything
        raise ValueError(f"expected weights of {' or '.join(MODELS)}, {path} has those of {name}")
    try:
        require_room(config["channels"], state)
        model = MODELS[name](**config)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path} has weights of a {name} of another kind: {str(config)[:200]}"
        ) from None
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise RuntimeError(f"{path} has other weights than it says: {error}") from None
    return model


def require_room(channels, state):
    """A ValueError if a network of these channels has more weights than a file with this state.

    It comes before the network is made: a wrong number must not fill the memory.
    """
    least = sum(abs(a * b) for a, b in pairwise([*channels, *channels[-1:]]))
    if least > sum(x.numel() for x in state.values()):
        raise ValueError(f"expected at least {least} weights for channels {channels}")
