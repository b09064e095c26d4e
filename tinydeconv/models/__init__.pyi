# Written by tools/stubs.py: do not edit.
# mypy: disable-error-code="override"

from collections.abc import Mapping
from pathlib import Path
from tinydeconv.nn.module import Module
from tinydeconv.tensor import Tensor, _Array
from typing import Any
import os
from tinydeconv.models.classifier import Classifier as Classifier
from tinydeconv.models.denoiser import Denoiser as Denoiser
from tinydeconv.models.filler import Filler as Filler
from tinydeconv.models.gan import Discriminator as Discriminator
from tinydeconv.models.gan import Generator as Generator
from tinydeconv.models.gan import PatchDiscriminator as PatchDiscriminator
from tinydeconv.models.superresolution import SuperResolution as SuperResolution
from tinydeconv.models.texture import TextureGenerator as TextureGenerator
from tinydeconv.models.tones import ToneGenerator as ToneGenerator
from tinydeconv.models.unet import UNet as UNet
from tinydeconv.models.vae import VAE as VAE

__all__ = [
    "Classifier", "Denoiser", "Discriminator", "Filler", "Generator", "PatchDiscriminator",
    "SuperResolution", "TextureGenerator", "ToneGenerator", "UNet", "VAE", "load", "save"
]
MODELS: Any
KEY: str
def shipped(name: str) -> Path: ...
SHIPPED: Any
def save(
    model: Module,
    path: str | os.PathLike[str],
    made: Mapping[str, Any] | None = None,
) -> None: ...
def load(path: str | os.PathLike[str] = ..., kind: type[Module] | None = None) -> Any: ...
def require_room(config: Mapping[str, Any], state: Mapping[str, Tensor | _Array]) -> None: ...
