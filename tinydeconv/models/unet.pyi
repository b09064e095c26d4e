# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

class UNet(Module):
    config: dict[str, Any]
    down: Any
    first: Any
    last: Any
    margin: Any
    multiple: Any
    up: Any
    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        channels: Sequence[int] = (16, 32, 64, 64),
    ) -> None: ...
    def forward(self, images: Tensor) -> Tensor: ...
    __call__ = forward

def mirrored(images: Tensor, multiple: int) -> Tensor: ...
