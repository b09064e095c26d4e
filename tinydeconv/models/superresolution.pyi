# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

SCALES: Any
UPSAMPLINGS: Any
GREY: float
def bicubic(images: Tensor, scale: float) -> Tensor: ...

class SuperResolution(Module):
    config: dict[str, Any]
    margin: Any
    scale: int
    trunk: Any
    upsampling: Module
    def __init__(
        self,
        scale: int = 2,
        upsampling: str = "shuffle",
        channels: Sequence[int] = (32, 12, 12, 12, 12),
    ) -> None: ...
    def forward(self, small: Tensor) -> Tensor: ...
    __call__ = forward

class PairDiscriminator(Module):
    down: Any
    judge: Any
    scale: int
    def __init__(self, scale: int = 2, channels: Sequence[int] = (16, 32)) -> None: ...
    def forward(self, small: Tensor, large: Tensor) -> Tensor: ...
    __call__ = forward
