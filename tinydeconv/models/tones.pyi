# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

SEED: int
STRIDE: int
KERNEL: int

class ToneGenerator(Module):
    config: dict[str, Any]
    first: Any
    ladder: Any
    length: Any
    note: Any
    scales: Any
    timbre: Any
    def __init__(
        self,
        latent: int = 16,
        channels: Sequence[int] = (64, 48, 32, 16),
        hidden: int = 128,
        harmonics: int = 8,
    ) -> None: ...
    def forward(self, noise: Tensor, timbres: Tensor, notes: Tensor) -> Tensor: ...
    __call__ = forward
