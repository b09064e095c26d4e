# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping, Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor, _Array
from typing import Any
import os
from tinydeconv.models.denoiser import Denoiser as Denoiser

__all__ = [
    "Denoiser", "load", "save"
]
MODELS: Any
KEY: str
SHIPPED: Any
def save(
    model: Module,
    path: str | os.PathLike[str],
    made: Mapping[str, Any] | None = None,
) -> None: ...
def load(path: str | os.PathLike[str] = ...) -> Denoiser: ...
def require_room(channels: Sequence[int], state: Mapping[str, Tensor | _Array]) -> None: ...
