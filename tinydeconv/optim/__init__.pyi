# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Callable, Iterable, Mapping
from tinydeconv.tensor import Tensor, _Array
from typing import Any
from tinydeconv.optim import lr_scheduler as lr_scheduler
from tinydeconv.optim.lr_scheduler import OneCycleLR as OneCycleLR

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "OneCycleLR", "Optimizer", "RMSprop", "l1_penalty",
    "lr_scheduler"
]

class SGD(Optimizer):
    keeps: dict[str, Any]
    elementwise: bool
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.001,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None: ...
    def direction(
        self,
        g: Any,
        state: dict[str, Any],
        momentum: float,
        dampening: float,
        nesterov: bool,
        **_: Any,
    ) -> _Array: ...

class Adagrad(Optimizer):
    keeps: dict[str, Any]
    elementwise: bool
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.01,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None: ...
    def direction(
        self,
        g: Any,
        state: dict[str, Any],
        lr_decay: float,
        initial_accumulator_value: float,
        eps: float,
        **_: Any,
    ) -> _Array: ...

class Adam(Optimizer):
    keeps: dict[str, Any]
    elementwise: bool
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None: ...
    def direction(
        self,
        g: Any,
        state: dict[str, Any],
        betas: tuple[float, float],
        eps: float,
        amsgrad: bool,
        **_: Any,
    ) -> _Array: ...

class AdamW(Adam):
    always: Any
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-08,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None: ...

class Optimizer:
    defaults: Mapping[str, Any]
    direction: Any
    param_groups: list[dict[str, Any]]
    state: list[dict[str, Any]]
    elementwise: bool
    keeps: dict[str, Any]
    always: Any
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        defaults: Mapping[str, Any],
    ) -> None: ...
    def add_param_group(self, param_group: Mapping[str, Any]) -> None: ...
    def __repr__(self) -> str: ...
    def zero_grad(self, set_to_none: bool = True) -> None: ...
    def step(self, closure: Callable[[], Tensor] | None = None) -> Any: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None: ...

class RMSprop(Optimizer):
    keeps: dict[str, Any]
    elementwise: bool
    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-08,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None: ...
    def direction(
        self,
        g: Any,
        state: dict[str, Any],
        alpha: float,
        eps: float,
        momentum: float,
        centered: bool,
        **_: Any,
    ) -> _Array: ...

def l1_penalty(parameters: Iterable[Tensor] | Tensor) -> Tensor: ...
