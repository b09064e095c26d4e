"""Data sets and image files. Importing this package imports no image library."""

from .images import read_image, rgb2gray, write_image
from .noise import add_noise, estimate_sigma
from .photographs import HELD_OUT, PHOTOGRAPHS, SIGMA, TRAINING, Crops, Loader, photograph

__all__ = [
    "HELD_OUT",
    "PHOTOGRAPHS",
    "SIGMA",
    "TRAINING",
    "Crops",
    "Loader",
    "add_noise",
    "estimate_sigma",
    "photograph",
    "read_image",
    "rgb2gray",
    "write_image",
]
