"""Data sets and image files. Importing this package imports no image library."""

from . import transforms
from .download import fashion_mnist, mnist
from .folder import image_folder
from .glyphs import GLYPHS, Glyphs
from .handwritten import digits
from .images import read_image, rgb2gray, write_image
from .loader import Images, Loader
from .noise import add_noise, estimate_sigma
from .photographs import HELD_OUT, PHOTOGRAPHS, SIGMA, TEXTURES, TRAINING, Crops, photograph
from .tones import TIMBRES, Tones, write_wave

__all__ = [
    "GLYPHS",
    "HELD_OUT",
    "PHOTOGRAPHS",
    "SIGMA",
    "TEXTURES",
    "TIMBRES",
    "TRAINING",
    "Crops",
    "Glyphs",
    "Images",
    "Loader",
    "Tones",
    "add_noise",
    "digits",
    "estimate_sigma",
    "fashion_mnist",
    "image_folder",
    "mnist",
    "photograph",
    "read_image",
    "rgb2gray",
    "transforms",
    "write_image",
    "write_wave",
]
