# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor
from typing import Any

WIDTH: int

class Classifier(Module):
    body: Any
    config: dict[str, Any]
    last: Any
    def __init__(
        self,
        classes: int = 10,
        channels: Sequence[int] = (16, 32, 64),
        in_channels: int = 1,
        size: int = 32,
    ) -> None: ...
    def features(self, x: Tensor) -> Tensor: ...
    def forward(self, x: Tensor) -> Tensor: ...
    __call__ = forward
