# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Callable, Iterator, Mapping, Sequence
from tinydeconv.tensor import _Array
from typing import Any
import numpy as np
import os
from tinydeconv.data import transforms as transforms

__all__ = [
    "GLYPHS", "HELD_OUT", "PHOTOGRAPHS", "SIGMA", "TEXTURES", "TIMBRES", "TRAINING", "Crops",
    "Glyphs", "Images", "Loader", "Tones", "add_noise", "digits", "estimate_sigma", "fashion_mnist",
    "image_folder", "mnist", "photograph", "read_image", "rgb2gray", "transforms", "write_image",
    "write_wave"
]
def fashion_mnist(
    train: bool = True,
    root: str | os.PathLike[str] | None = None,
) -> tuple[_Array, _Array]: ...
def mnist(
    train: bool = True,
    root: str | os.PathLike[str] | None = None,
) -> tuple[_Array, _Array]: ...
def image_folder(
    path: str | os.PathLike[str],
    size: int,
    colour: bool = False,
) -> tuple[_Array, _Array, list[str]]: ...
GLYPHS: str

class Glyphs:
    classes: int
    seed: int
    size: int
    def __init__(self, classes: int = 10, size: int = 32, seed: int = 0) -> None: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[_Array, _Array]: ...

def digits() -> tuple[_Array, _Array]: ...
def read_image(path: str | os.PathLike[str]) -> _Array: ...
def rgb2gray(rgb: _Array) -> _Array: ...
def write_image(path: str | os.PathLike[str], image: _Array) -> None: ...

class Images:
    images: _Array
    labels: _Array | None
    seed: int
    transform: Callable[[_Array, np.random.Generator], _Array] | None
    def __init__(
        self,
        images: _Array,
        labels: _Array | None = None,
        seed: int = 0,
        transform: Callable[[_Array, np.random.Generator], _Array] | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[_Array, ...]: ...

class Loader:
    batch_size: int
    data: Any
    length: int
    prefetch: int
    def __init__(
        self,
        data: Any,
        batch_size: int,
        length: int | None = None,
        prefetch: int = 2,
    ) -> None: ...
    def __len__(self) -> int: ...
    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[_Array, ...]]: ...

def add_noise(clean: _Array, sigma: float, rng: np.random.Generator) -> _Array: ...
def estimate_sigma(image: _Array) -> float: ...
HELD_OUT: tuple[str, ...]
PHOTOGRAPHS: Mapping[str, Any]
SIGMA: float
TEXTURES: tuple[str, ...]
TRAINING: tuple[str, ...]

class Crops:
    names: Sequence[str]
    seed: int
    sigma: float | Sequence[float]
    size: int
    def __init__(
        self,
        names: Sequence[str] = ...,
        size: int = 64,
        sigma: float | Sequence[float] = 0.09803921568627451,
        seed: int = 0,
    ) -> None: ...
    def crop(self, epoch: int, index: int) -> tuple[_Array, _Array, float]: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[_Array, _Array, _Array]: ...

def photograph(name: str, colour: bool = False) -> _Array: ...
TIMBRES: Any

class Tones:
    seed: int
    def __init__(self, seed: int = 0) -> None: ...
    def batch(self, epoch: int, indices: Sequence[int]) -> tuple[_Array, _Array, _Array]: ...

def write_wave(path: str | os.PathLike[str], wave: _Array, rate: int = 8000) -> None: ...
