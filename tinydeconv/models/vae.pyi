# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

LIKELIHOODS: Any
SIGMA: float

class VAE(Module):
    config: dict[str, Any]
    decoder: Any
    encoder: Any
    log_sigma: Any
    log_variance: Any
    mean: Any
    planes: Any
    side: Any
    def __init__(
        self,
        latent: int = 16,
        channels: Sequence[int] = (64, 48, 24),
        in_channels: int = 1,
        classes: int = 0,
        likelihood: str = "bernoulli",
    ) -> None: ...
    def encode(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor: ...
    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]: ...
    __call__ = forward
