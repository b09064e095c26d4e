# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Callable
from typing import Any
import numpy as np

TRIALS: int
UNTOUCHED: str

class exercise:
    checker: Callable[[np.random.Generator, Any], object]
    def __init__(self, checker: Callable[[np.random.Generator, Any], object]) -> None: ...
    def __call__(self, answer: Any) -> None: ...
    def complaint(self, answer: Any, seed: int | None = None) -> str | None: ...

def expect(got: Any, wanted: Any, what: str, tolerance: float = 1e-06) -> None: ...
