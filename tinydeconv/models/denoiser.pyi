# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

class Denoiser(Module):
    config: dict[str, Any]
    down: Any
    first: Any
    last: Any
    margin: Any
    middle: Any
    up: Any
    def __init__(self, channels: Sequence[int] = (16, 24, 48)) -> None: ...
    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor: ...
    __call__ = forward
