# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

SLOPE: float

class Filler(Module):
    config: dict[str, Any]
    down: Any
    last: Any
    margin: Any
    multiple: Any
    skips: bool
    up: Any
    each_plane: bool
    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128),
        skips: bool = False,
    ) -> None: ...
    def features(self, images: Tensor) -> Tensor: ...
    def forward(self, images: Tensor) -> Tensor: ...
    __call__ = forward
