# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping, Sequence
from tinydeconv.tensor import _Array
from typing import Any
import os

INCHES: float
MARK: str
BLUE: str
ORANGE: str
GREEN: str
PURPLE: str
RED: str
SKY: str
GREY: str
ON_WHITE: Any
def show(alt: str, figure: Any = None) -> None: ...
def denoise_panel(
    path: str | os.PathLike[str] | None,
    photographs: Mapping[str, Mapping[str, _Array]],
    zoom: Mapping[str, tuple[int, int, int]],
) -> Any: ...
def loss_curve(
    path: str | os.PathLike[str] | None,
    losses: Sequence[float] | Mapping[str, Sequence[float]],
    label: str = "loss",
) -> Any: ...
def loss_curves(
    path: str | os.PathLike[str] | None,
    panels: Mapping[str, Sequence[float] | Mapping[str, Sequence[float]]],
) -> Any: ...
def grid(
    path: str | os.PathLike[str] | None,
    images: _Array,
    columns: int | None = None,
    scale: int | None = None,
) -> None: ...
def scatter(
    path: str | os.PathLike[str] | None,
    points: _Array,
    labels: _Array,
    names: Sequence[str] = ...,
) -> Any: ...
def spectrogram(
    path: str | os.PathLike[str] | None,
    rows: Mapping[str, _Array],
    rate: int,
    columns: Sequence[str],
    quietest: float = -60,
) -> Any: ...
def step_curve(
    path: str | os.PathLike[str] | None,
    steps: _Array,
    forward: _Array,
    central: _Array,
    title: str = "",
) -> Any: ...
def roofline(
    path: str | os.PathLike[str] | None,
    roofs: Mapping[str, tuple[float, float]],
    points: Mapping[str, tuple[float, float, str]],
) -> Any: ...
def bars(
    path: str | os.PathLike[str] | None,
    roofs: Mapping[str, tuple[float, float]],
    values: Mapping[str, tuple[float, str]],
) -> Any: ...
