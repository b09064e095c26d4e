"""Data sets and image files. Importing this package imports no image library."""

from .images import read_image, rgb2gray, write_image
from .photographs import (
    HELD_OUT,
    PHOTOGRAPHS,
    SIGMA,
    TRAINING,
    Crops,
    Loader,
    add_noise,
    photograph,
)

__all__ = [
    "HELD_OUT",
    "PHOTOGRAPHS",
    "SIGMA",
    "TRAINING",
    "Crops",
    "Loader",
    "add_noise",
    "photograph",
    "read_image",
    "rgb2gray",
    "write_image",
]
