# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Callable, Sequence
from tinydeconv.tensor import _Array
import numpy as np

def warp(images: _Array, matrices: _Array, shifts: _Array) -> _Array: ...

class Transform:
    def __call__(self, image: _Array, rng: np.random.Generator) -> _Array: ...

class Compose(Transform):
    transforms: Sequence[Callable[[_Array, np.random.Generator], _Array]]
    def __init__(
        self,
        transforms: Sequence[Callable[[_Array, np.random.Generator], _Array]],
    ) -> None: ...

class RandomHorizontalFlip(Transform):
    p: float
    def __init__(self, p: float = 0.5) -> None: ...

class RandomCrop(Transform):
    padding: int
    size: int
    def __init__(self, size: int, padding: int = 0) -> None: ...

class RandomAffine(Transform):
    degrees: float | Sequence[float]
    scale: Sequence[float]
    shear: float | Sequence[float]
    translate: Sequence[float]
    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] = (0, 0),
        scale: Sequence[float] = (1, 1),
        shear: float | Sequence[float] = 0,
    ) -> None: ...

class GaussianNoise(Transform):
    clip: bool
    mean: float
    sigma: float
    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None: ...

class GaussianBlur(Transform):
    kernel_size: int
    sigma: float | Sequence[float]
    def __init__(self, kernel_size: int, sigma: float | Sequence[float] = (0.1, 2.0)) -> None: ...

class JPEG(Transform):
    quality: int | Sequence[int]
    def __init__(self, quality: int | Sequence[int]) -> None: ...
