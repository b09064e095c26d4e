# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Iterator, Mapping, Sequence
from tinydeconv.tensor import _Array
from typing import Any
import numpy as np
import os

__all__ = [
    "HELD_OUT", "PHOTOGRAPHS", "SIGMA", "TRAINING", "Crops", "Loader", "add_noise",
    "estimate_sigma", "photograph", "read_image", "rgb2gray", "write_image"
]
def read_image(path: str | os.PathLike[str]) -> _Array: ...
def rgb2gray(rgb: _Array) -> _Array: ...
def write_image(path: str | os.PathLike[str], image: _Array) -> None: ...
def add_noise(clean: _Array, sigma: float, rng: np.random.Generator) -> _Array: ...
def estimate_sigma(image: _Array) -> float: ...
HELD_OUT: tuple[str, ...]
PHOTOGRAPHS: Mapping[str, Any]
SIGMA: float
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
    def crop(self, epoch: int, index: int) -> tuple[_Array, _Array]: ...

class Loader:
    batch_size: int
    crops: Crops
    length: int
    def __init__(self, crops: Crops, batch_size: int, length: int) -> None: ...
    def __len__(self) -> int: ...
    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[_Array, _Array]]: ...

def photograph(name: str) -> _Array: ...
