# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Callable, Sequence
from tinydeconv.tensor import Tensor, _Array
from typing import Any, Literal, TypeVar, overload
import contextlib
import numpy as np

_F = TypeVar("_F", bound=Callable[..., Any])

class _Switch(contextlib.ContextDecorator):
    def __init__(self, name: str, value: bool) -> None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

SILENCE: Any
clock: Any

class Op:
    keeps: tuple[str, ...]
    linear: bool
    broadcasts: bool
    view: bool
    def forward(self, *arrays: _Array) -> Any: ...
    def backward(self, g: Any, y: Any, *inputs: Tensor | Sequence[Tensor], needs: Any) -> Any: ...
    def __call__(self, *inputs: Any) -> Tensor: ...
    @property
    def name(self) -> str: ...

class Spec:
    version: list[int]
    def __init__(self, array: _Array) -> None: ...
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

class Node(Spec):
    def __init__(
        self,
        result: Any,
        op: Any = None,
        parents: Any = (),
        inputs: Any = (),
    ) -> None: ...
    def pull(self, g: Any, needs: Any) -> list[Tensor | None]: ...
    def __repr__(self) -> str: ...
    grad: Tensor | None
    hooks: Any
    inputs: Any
    number: Any
    op: Any
    output: Any
    parents: Any
    retains_grad: Any
    where: Any

def alike(what: str, gradient: Tensor, like: Any) -> Tensor: ...
def backward(
    output: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: Literal[False] = False,
) -> tuple[Tensor, ...]: ...
@overload
def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]: ...
@overload
def no_grad(function: None = None) -> _Switch: ...
@overload
def no_grad(function: _F) -> _F: ...
@overload
def enable_grad(function: None = None) -> _Switch: ...
@overload
def enable_grad(function: _F) -> _F: ...
def is_grad_enabled() -> bool: ...
def detect_anomaly() -> _Switch: ...
