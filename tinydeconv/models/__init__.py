"""Networks, and weights files that say which network they are of."""

import json

import tinydeconv as td

from .denoiser import Denoiser

__all__ = ["Denoiser", "load", "save"]

MODELS = {"Denoiser": Denoiser}
KEY = "tinydeconv.model"  # of the file's metadata


def save(model, path):
    """Writes the model's weights, its name and its `config`, the constructor's arguments."""
    told = {"name": type(model).__name__, **model.config}
    td.save(model.state_dict(), path, {KEY: json.dumps(told)})


def load(path):
    """The model that save() wrote.

    Raises OSError, ValueError or RuntimeError, one sentence, for what is no such file.
    """
    metadata = td.load_metadata(path)
    if KEY not in metadata:
        raise ValueError(
            f"expected a weights file that names its network, as `tinydeconv train` writes it; "
            f"{path} names none"
        )
    config = json.loads(metadata[KEY])
    name = config.pop("name")
    if name not in MODELS:
        raise ValueError(f"expected weights of {' or '.join(MODELS)}, {path} has those of {name}")
    try:
        model = MODELS[name](**config)
    except TypeError:
        raise ValueError(f"{path} has weights of a {name} of another kind: {config}") from None
    model.load_state_dict(td.load(path))
    return model
