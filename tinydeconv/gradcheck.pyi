# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Sequence
from dataclasses import dataclass
from tinydeconv.tensor import Tensor, _Array
from typing import Any

FINER: int

class GradcheckError(RuntimeError):
    @property
    def report(self) -> Report: ...

class GradcheckWarning(UserWarning):
    ...

@dataclass(frozen=True)
class Comparison:
    name: str
    status: str
    analytic: _Array
    numeric: _Array
    error: _Array
    index: tuple[int, ...] = ...
    note: str = ...
    @property
    def ok(self) -> bool: ...
    @property
    def relative(self) -> float: ...
    @property
    def absolute(self) -> float: ...
    def __str__(self) -> str: ...
    def __repr__(self) -> str: ...

@dataclass(frozen=True)
class Report:
    comparisons: tuple[Comparison, ...] = ...
    note: str = ...
    check: str = ...
    @property
    def ok(self) -> bool: ...
    @property
    def status(self) -> str: ...
    def __bool__(self) -> bool: ...
    def __str__(self) -> str: ...
    def __repr__(self) -> str: ...

def gradcheck(
    fn: Any,
    inputs: Any,
    *,
    eps: float = 1e-06,
    atol: float = 1e-05,
    rtol: float = 0.001,
    directions: int | None = None,
    seed: int = 0,
    raise_exception: bool = True,
) -> Report: ...
def gradgradcheck(
    fn: Any,
    inputs: Any,
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    *,
    seed: int = 0,
    raise_exception: bool = True,
    **options: Any,
) -> Report: ...
def adjointcheck(
    linear: Any,
    adjoint: Any,
    x: Tensor,
    y: Any = None,
    *,
    rtol: float = 1e-10,
    seed: int = 0,
    raise_exception: bool = True,
) -> Report: ...
def step_curve(
    fn: Any,
    inputs: Any,
    steps: _Array | None = None,
    seed: int = 0,
) -> tuple[_Array, _Array, _Array]: ...
