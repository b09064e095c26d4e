"""A trained network of image to image put to use: pictures of any size, grey or in colour."""

from pathlib import Path

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv import models

from .learned import device_of, tiles

WEIGHTS = "weights.safetensors"  # in the folder of a run
CHANNELS = (1, 1), (1, 2), (1, 3), (3, 1), (3, 3)  # in and out, of what can be applied
# Brightness, and how blue and how red a colour is: the planes of a JPEG file (ITU-R BT.601)
YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
MIDDLE = np.array([0, 0.5, 0.5], np.float32).reshape(3, 1, 1)


def load(run, device="cpu"):
    """The network of image to image in the folder or the file `run`."""
    run = Path(run)
    path = run / WEIGHTS if run.is_dir() else run
    if run.is_dir() and not path.exists():
        raise FileNotFoundError(
            f"expected the folder of a training from image to image, {run} has no {WEIGHTS}"
        )
    model = models.load(path)
    channels = tuple(model.config.get(name) for name in ("in_channels", "out_channels"))
    if channels not in CHANNELS or not hasattr(model, "margin"):
        raise ValueError(
            f"expected weights of a network from image to image, {path} has those of a "
            f"{type(model).__name__}"
        )
    return model.to(device)


def translate(model, image):
    """What the model makes of an image (H, W) or (H, W, 3) in [0, 1]: the same size, float32 in
    [0, 1], (H, W) or (H, W, 3).

    model: a network from (N, 1 or 3, H, W) to (N, 1 or 3, H, W) in [-1, 1], with a `margin`, how
        far it looks, a multiple of what it halves by. One that takes grey gets the brightness of a
        colour image, or, if it has `each_plane`, its planes one by one. One from grey to two
        channels gives the colours of a picture whose brightness stays. Planes are ycbcr's.

    It works in tiles that overlap by as far as the network looks, and mirrored around the border:
    the result is that of the whole image, and memory for the network does not grow with it. Raises
    ValueError for what is no such image.
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or image.size == 0:
        raise ValueError(f"expected an image of shape (H, W) or (H, W, 3), got {image.shape}")
    if image.dtype.kind != "f":  # 255 would be as white as 1
        raise ValueError(f"expected floats in [0, 1], got {image.dtype}")
    image = image.astype(np.float32)
    takes, gives = (model.config[name] for name in ("in_channels", "out_channels"))
    if takes == 3:
        planes = np.moveaxis(image, 2, 0) if image.ndim == 3 else np.stack([image] * 3)
        painted = _translated(model, planes)
    else:
        planes = ycbcr(image) if image.ndim == 3 else image[None]
        each = gives == 1 and getattr(model, "each_plane", False)
        parts = planes if each else planes[:1]
        painted = np.concatenate([_translated(model, part[None]) for part in parts])
        if gives == 2:
            painted = np.concatenate([planes[:1], painted])
        if gives == 2 or len(parts) == 3:
            return np.clip(rgb(painted), 0, 1)
    painted = np.clip(painted, 0, 1)
    return painted[0] if len(painted) == 1 else np.moveaxis(painted, 0, 2)


def ycbcr(image):
    """The planes (3, H, W) of a colour image (H, W, 3), both in [0, 1]; 0.5 is no colour."""
    return np.einsum("pc,hwc->phw", YCBCR, image) + MIDDLE


def rgb(planes):
    """The colour image of these planes; some planes are of no colour and lead out of [0, 1]."""
    return np.einsum("cp,phw->hwc", np.linalg.inv(YCBCR), planes - MIDDLE)


def _translated(model, planes):
    """Planes (in_channels, H, W) to (out_channels, H, W), both in [0, 1] here."""
    margin, training, device = model.margin, model.training, device_of(model)
    painted = np.empty((model.config["out_channels"], *planes.shape[1:]), np.float32)
    model.eval()
    with td.no_grad():
        for inside, around in tqdm(
            list(tiles(planes.shape[1:], margin)),
            desc="translating", unit="tile", delay=1, leave=False,
        ):  # fmt: skip
            given = td.tensor(2 * planes[:, *around][None] - 1, device=device)
            tile = model(given).cpu().numpy()[0, :, margin:, margin:]
            place = painted[:, *inside]
            place[...] = (tile[:, : place.shape[1], : place.shape[2]] + 1) / 2
    model.train(training)
    return painted
