"""Weights on disk: safetensors files, which hold numbers and names and nothing that runs.

PyTorch's safetensors reads them too.
"""

import contextlib
import json
import os
import re
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from .backend import is_array, to_numpy
from .tensor import Tensor


def save(state, path, metadata=None):
    """Writes {name: Tensor} to a safetensors file, with {str: str} of metadata.

    The file appears whole or not at all. Equal tensors give equal bytes; so does metadata of one
    key, while several keys come in any order.
    """
    if not isinstance(state, dict):
        found = type(state).__name__
        raise TypeError(f"expected {{name: Tensor}}, got {found}: pass model.state_dict()")
    told = {} if metadata is None else metadata
    if not isinstance(told, dict) or {str} < {str, *map(type, (*told, *told.values()))}:
        raise TypeError(f"expected metadata {{str: str}}, got {metadata!r:.60}")
    arrays = {}
    for name, value in state.items():
        if not isinstance(name, str) or name == "__metadata__":  # which the format has taken
            raise TypeError(f"expected {{name: Tensor}}, {name!r} is no name for a tensor")
        if not isinstance(value, Tensor) and not is_array(value):
            raise TypeError(
                f"expected {{name: Tensor}}, but {name!r} is of type {type(value).__name__}: the "
                "file holds a flat dict of tensors; numbers and settings go into metadata"
            )
        array = to_numpy(value.data if isinstance(value, Tensor) else value)
        arrays[name] = np.asarray(array, order="C")  # the format holds no strides
    write_atomically(path, to_bytes(arrays, metadata))


def load(path):
    """{name: Tensor} from a safetensors file."""
    with _opened(path) as file:
        return {name: Tensor(file.get_tensor(name)) for name in list(file.keys())}


def load_metadata(path):
    """The {str: str} of metadata that a safetensors file carries."""
    with _opened(path) as file:
        return file.metadata() or {}


def load_json(path, key):
    """The JSON object, a dict, in the metadata of a safetensors file; None if there is no `key`."""
    text = load_metadata(path).get(key)
    if text is None:
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):  # no JSON, or nested too deeply
        told = None
    if not isinstance(told, dict):
        raise ValueError(
            f"expected a JSON object as {key} in the metadata of {path}, got {text[:40]!r}"
        )
    return told


@contextlib.contextmanager
def _opened(path):
    path = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(f"expected a safetensors file, {path} is a folder")
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no file {path}") from None
    except SafetensorError as error:
        raise ValueError(
            _how_to_convert(path)
            or f"{path} is not a whole safetensors file ({error}); a file cut short or of another "
            "format must be written again"
        ) from None
    except (TypeError, AttributeError) as error:  # NumPy lacks bfloat16, float8 and float4
        raise ValueError(
            f"{path} has numbers of a type that Tensors cannot hold ({error}): convert them first"
        ) from None


def _how_to_convert(path):
    """A sentence for files of PyTorch and NumPy, None for others."""
    stem, suffix = os.path.splitext(path)
    new = f"{stem}.safetensors"
    if suffix == ".npz":
        return (
            f"{path} is a file of NumPy's, expected safetensors: convert it with td.save({{name: "
            f"td.tensor(array) for name, array in np.load({path!r}).items()}}, {new!r})"
        )
    with open(path, "rb") as file:
        # How a zip file and a pickle begin. A safetensors file begins with the length of its
        # header, whose third byte is zero up to 64 kilobytes.
        pickled = re.match(rb"PK[\x03\x05]|\x80[\x02-\x05][^\0]", file.read(4))
    if pickled or suffix in (".pth", ".pt", ".ckpt", ".pkl", ".pickle"):
        return (
            f"{path} is a pickle, which could run any program and is not read: where PyTorch is "
            f"installed, convert it with safetensors.torch.save_file(torch.load({path!r}, "
            f"weights_only=True), {new!r})"
        )
    return None


def write_atomically(path, data):
    """Writes bytes under a temporary name in the same folder and renames it.

    A crash leaves the old file or the new one; a link stays and its file is replaced.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(f"expected the name of a file, {path} is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist")
    temporary = path.with_name(f".{path.name}.part")  # one name: what a kill leaves is used again
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
