"""The network put to use: photographs of any size, grey or in colour, enlarged."""

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv.data import rgb2gray
from tinydeconv.models.superresolution import bicubic

from .learned import device_of, tiles


def upscale(model, image):
    """An image (H, W) or (H, W, 3) in [0, 1], model.scale times as large, float32 in [0, 1].

    The luminance goes through the network, the colours' differences from it are enlarged bicubic,
    since eyes and cameras see them less sharply. In tiles that overlap by as far as the network
    looks, and mirrored around the border: the result is that of the whole image, and memory for the
    network does not grow with it. Raises ValueError for what is no such image.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"expected an image of shape (H, W) or (H, W, 3), got {image.shape}")
    if image.dtype.kind != "f":  # 255 would be as white as 1
        raise ValueError(f"expected floats in [0, 1], got {image.dtype}")
    image = image.astype(np.float32)
    planes, scale, margin = _planes(image), model.scale, model.margin
    height, width = image.shape[:2]
    large = np.empty((len(planes), height * scale, width * scale), np.float32)
    with td.no_grad():
        for inside, around in tqdm(
            list(tiles((height, width), margin)),
            desc="enlarging", unit="tile", delay=1, leave=False,
        ):  # fmt: skip
            tile = _enlarged(model, planes[:, *around])[:, margin * scale :, margin * scale :]
            place = large[:, *(slice(s.start * scale, s.stop * scale) for s in inside)]
            place[...] = tile[:, : place.shape[1], : place.shape[2]]
    return np.clip(large[0] if image.ndim == 2 else _colours(large), 0, 1)


def _enlarged(model, planes):
    """Planes of which the network enlarges the first."""
    planes = td.tensor(planes[:, None], device=device_of(model))
    large = [model(planes[:1]).cpu().numpy()]
    if len(planes) > 1:
        large.append(bicubic(planes[1:], model.scale).cpu().numpy())
    return np.concatenate(large)[:, 0]


def _planes(image):
    """(1, H, W) of a grey image; (4, H, W) of a colour one: luminance, and how red, green and blue
    differ from it.
    """
    if image.ndim == 2:
        return image[None]
    luminance = rgb2gray(image)
    return np.concatenate([luminance[None], np.moveaxis(image, 2, 0) - luminance])


def _colours(planes):
    return np.moveaxis(planes[1:] + planes[:1], 0, 2)
