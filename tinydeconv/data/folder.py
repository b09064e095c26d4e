"""A folder of one's own images as arrays of one size."""

import operator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .images import images_extra, read_image, rgb2gray

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def image_folder(path, size, colour=False):
    """(images, labels, names): all image files below a folder, in the order of their paths.

    images: uint8 (n, 1, size, size), or (n, 3, size, size) with `colour`, 0 to 255: the largest
    square in the middle, resized by Pillow's bicubic filter, which is antialiased
    labels: int64 (n,), numbers the folders in which they lie, as torchvision's ImageFolder does
    names: these folders' names, by label; only the folder's own if all images lie directly in it

    Files of other kinds and hidden ones are passed over. A link is refused, since in a folder that
    somebody else has made it may lead to any image of yours. Raises ValueError, one sentence.
    """
    Image = images_extra("PIL.Image")
    if (size := operator.index(size)) < 1:
        raise ValueError(f"expected images of at least 1 pixel a side, got {size}")
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.exists() else "nothing there"
        raise ValueError(f"expected a folder of images, found {found}: {path}")
    files = list(_image_files(path))
    if not files:
        raise ValueError(f"found no images in {path}; they end in {', '.join(sorted(SUFFIXES))}")
    folders = [(*file.relative_to(path).parts[:-1], ".")[0] for file in files]
    names = sorted(set(folders))
    if "." in names and len(names) > 1:
        stray = files[folders.index(".")]
        raise ValueError(f"{stray} belongs to no class: it lies beside the folders of the classes")
    images, unreadable = [], []
    for file in tqdm(files, desc="images", unit="file", delay=1):
        try:
            image = read_image(file)
        except ValueError:
            unreadable.append(str(file))
            continue
        side = min(image.shape[:2])
        top, left = ((length - side) // 2 for length in image.shape[:2])
        square = image[top : top + side, left : left + side]
        if square.ndim == 3 and not colour:
            square = rgb2gray(square)
        square = Image.fromarray(np.rint(square * 255).astype(np.uint8))
        square = square.convert("RGB" if colour else "L").resize((size, size))
        images.append(np.asarray(square).reshape(size, size, -1).transpose(2, 0, 1))
    if unreadable:
        told = f"{len(unreadable)} of {len(files)} images: {', '.join(unreadable)}"
        raise ValueError(f"could not read {told}; remove them or save them anew")
    labels = np.array([names.index(folder) for folder in folders], dtype=np.int64)
    return np.stack(images), labels, names if names != ["."] else [path.resolve().name]


def _image_files(folder):
    """One by one, so that a link is met before all that there is beside it has been looked at."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink():
            raise ValueError(f"{path} is a link, which may lead anywhere: put a copy in its place")
        if path.is_dir():
            yield from _image_files(path)
        elif path.suffix.lower() in SUFFIXES and path.is_file():
            yield path
