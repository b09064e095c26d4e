# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from tinydeconv.nn.module import Module, ModuleList
from tinydeconv.tensor import Tensor
from typing import Any

def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module: ...
def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module: ...

class SpectralNorm(Module):
    dim: int
    eps: float
    n_power_iterations: int
    def __init__(self, weight: Tensor, n_power_iterations: int, eps: float, dim: int) -> None: ...
    def forward(self, weight: Tensor) -> Tensor: ...
    __call__ = forward
    def originals(self, weight: Tensor) -> Any: ...

class WeightNorm(Module):
    dim: int | None
    def __init__(self, dim: int | None) -> None: ...
    def forward(self, g: Any, v: Tensor) -> Tensor: ...
    __call__ = forward
    def originals(self, weight: Tensor) -> Any: ...

class ParametrizationList(ModuleList):
    def forward(self) -> Tensor: ...
    __call__ = forward
