# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping, Sequence
from tinydeconv.tensor import _Array
import os

INCHES: float
MARK: str
def denoise_panel(
    path: str | os.PathLike[str] | None,
    photographs: Mapping[str, Mapping[str, _Array]],
    zoom: Mapping[str, tuple[int, int, int]],
) -> None: ...
def loss_curve(
    path: str | os.PathLike[str] | None,
    losses: Sequence[float],
    label: str = "loss",
) -> None: ...
def step_curve(
    path: str | os.PathLike[str] | None,
    steps: _Array,
    forward: _Array,
    central: _Array,
    title: str = "",
) -> None: ...
