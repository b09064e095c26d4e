# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

SIDE: int
ACTIVATIONS: Any
UPSAMPLINGS: Any
SIGMA: float
TAPS: Any

class Generator(Module):
    config: dict[str, Any]
    embedding: Any
    first: Any
    ladder: Any
    side: Any
    def __init__(
        self,
        latent: int = 64,
        channels: Sequence[int] = (128, 64, 32),
        out_channels: int = 1,
        classes: int = 0,
        activation: str = "relu",
        upsampling: str = "transposed4",
    ) -> None: ...
    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor: ...
    __call__ = forward

class FixedDoubling(Module):
    kernel: Any
    padding: Any
    def __init__(self, taps: Sequence[float]) -> None: ...
    def forward(self, x: Tensor) -> Tensor: ...
    __call__ = forward

class Discriminator(Module):
    config: dict[str, Any]
    embedding: Any
    ladder: Any
    last: Any
    side: Any
    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        in_channels: int = 1,
        classes: int = 0,
        spectral_norm: bool = False,
        activation: str = "leaky_relu",
        batch_norm: bool = True,
    ) -> None: ...
    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor: ...
    __call__ = forward

class PatchDiscriminator(Module):
    config: dict[str, Any]
    ladder: Any
    last: Any
    least: Any
    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        in_channels: int = 1,
        activation: str = "leaky_relu",
        batch_norm: bool = True,
    ) -> None: ...
    def forward(self, images: Tensor) -> Tensor: ...
    __call__ = forward
