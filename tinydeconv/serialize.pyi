# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping
from tinydeconv.tensor import Tensor, _Array
from typing import Any
import os

def save(
    state: Mapping[str, Tensor | _Array],
    path: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None: ...
def load(path: str | os.PathLike[str]) -> dict[str, Tensor]: ...
def load_metadata(path: str | os.PathLike[str]) -> dict[str, str]: ...
def load_json(path: str | os.PathLike[str], key: str) -> dict[str, Any] | None: ...
def write_atomically(path: str | os.PathLike[str], data: Any) -> None: ...
