# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping, Sequence
from tinydeconv.optim import Optimizer
from typing import Any

class LRScheduler:
    base_lrs: Any
    last_epoch: int
    optimizer: Optimizer
    in_groups: Any
    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None: ...
    def step(self) -> None: ...
    def get_lr(self) -> list[float]: ...
    def get_last_lr(self) -> list[float]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None: ...

class StepLR(LRScheduler):
    gamma: float
    step_size: int
    def __init__(
        self,
        optimizer: Optimizer,
        step_size: int,
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class MultiStepLR(LRScheduler):
    gamma: float
    milestones: Sequence[int]
    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Sequence[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class CosineAnnealingLR(LRScheduler):
    T_max: int
    eta_min: float
    def __init__(
        self,
        optimizer: Optimizer,
        T_max: int,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None: ...
    def get_lr(self) -> list[float]: ...

class OneCycleLR(LRScheduler):
    anneal_strategy: str
    cycle_momentum: bool
    pct_start: float
    three_phase: bool
    total_steps: int | None
    in_groups: Any
    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 10000.0,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None: ...
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None: ...
    def get_lr(self) -> list[float]: ...

class ReduceLROnPlateau(LRScheduler):
    best: Any
    cooldown: int
    cooldown_counter: Any
    eps: float
    factor: float
    last_epoch: int
    min_lr: float
    mode: str
    num_bad_epochs: Any
    optimizer: Optimizer
    patience: int
    threshold: float
    threshold_mode: str
    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 0.0001,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0,
        eps: float = 1e-08,
    ) -> None: ...
    def step(self, metrics: float) -> None: ...
    def get_lr(self) -> list[float]: ...
