"""Image files to arrays and back, through Pillow."""

import importlib
import io
from pathlib import Path

import numpy as np

from ..serialize import write_atomically

LUMINANCE = (0.2125, 0.7154, 0.0721)  # of red, green and blue, as in skimage.color.rgb2gray


def images_extra(module):
    """Import a module of the `images` extra, or say in one sentence how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise ImportError(f'{package} is missing: pip install "tinydeconv[images]"') from None


def rgb2gray(rgb):
    """The luminance (..., H, W) of a colour image (..., H, W, 3), in the same units."""
    return rgb @ np.asarray(LUMINANCE, dtype=rgb.dtype)


def read_image(path):
    """Read an image file as float32 in [0, 1]: (H, W) if it is grey, (H, W, 3) if it has colour.

    The EXIF orientation is applied, alpha is dropped, an animation gives its first frame. Grey
    keeps 16 bits; Pillow reads colour of 16 bits a channel as 8. Raises ValueError, one sentence,
    for what cannot be read as an image.
    """
    Image, ImageOps = images_extra("PIL.Image"), images_extra("PIL.ImageOps")
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing there"
        raise ValueError(f"expected an image file, found {found}: {path}")
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith(("I", "F")):  # "I;16" in either byte order, "I" for 16-bit PGM
                pixels, white = np.asarray(image), 65535
            else:
                grey = image.mode in ("1", "L", "LA", "La")
                pixels, white = np.asarray(image.convert("L" if grey else "RGB")), 255
            if image.mode == "F" or pixels.min() < 0 or pixels.max() > white:
                raise ValueError("expected pixels of 8 or 16 bits, got 32")
    except Image.UnidentifiedImageError:
        raise ValueError(f"could not read {path}: not in an image format Pillow knows") from None
    except Exception as error:  # on a damaged file Pillow may raise nearly any built-in exception
        raise ValueError(f"could not read {path} as an image: {error}") from None
    return np.divide(pixels, white, dtype=np.float32)


def write_image(path, image):
    """Write (H, W) grey or (H, W, 3) colour in [0, 1], clipped, as 8 bits; the suffix says how.

    Raises ValueError for a wrong shape, pixel or suffix, OSError for a folder that cannot be
    written, one sentence each.
    """
    Image = images_extra("PIL.Image")
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"expected an image of shape (H, W) or (H, W, 3), got {image.shape}")
    if bad := np.count_nonzero(~np.isfinite(image)):
        raise ValueError(f"expected finite pixels, got {bad} of {image.size} infinite or NaN")
    file_format = Image.registered_extensions().get(Path(path).suffix.lower())
    if file_format not in Image.SAVE:
        raise ValueError(f"expected a file name that ends like an image's (.png, .jpg), got {path}")
    pixels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format)
    write_atomically(path, buffer.getvalue())
