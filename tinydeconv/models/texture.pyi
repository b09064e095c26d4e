# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

class TextureGenerator(Module):
    config: dict[str, Any]
    factor: Any
    ladder: Any
    margin: Any
    def __init__(
        self,
        latent: int = 16,
        channels: Sequence[int] = (64, 64, 48),
        out_channels: int = 1,
        looks: int = 3,
    ) -> None: ...
    def forward(self, noise: Tensor) -> Tensor: ...
    __call__ = forward
