"""The network as a denoiser of photographs, grey or in colour, of any size and any noise level."""

from itertools import product

import numpy as np
from tqdm import tqdm

import tinydeconv as td
from tinydeconv.data import estimate_sigma

TILE = 256  # pixels a side
STRONGEST = 50 / 255  # noise that the network has learned well

# Brightness, red against blue, and both against green. Noise that is independent in the colours is
# independent in these, and most of the picture is in the brightness: so the others can be smoothed
# well, as in the colour variant of BM3D (Dabov, Foi, Katkovnik and Egiazarian, ICIP 2007).
OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1 / 2, 0, -1 / 2], [1 / 4, -1 / 2, 1 / 4]], np.float32)
MIDDLE = np.array([0, 0.5, 0.5], np.float32).reshape(3, 1, 1)  # no difference is a middle grey


def noise_levels(image):
    """The estimated noise of an image (H, W) or (H, W, 3): (1,) or (3,) standard deviations.

    Those of colour are of its brightness and its two colour differences, times what makes all three
    equal to the noise of red, green and blue if that is equal and independent.
    """
    planes, gains = _planes(image)
    return np.array([estimate_sigma(plane) for plane in planes]) / gains


def denoise(model, image, sigma):
    """An image (H, W) or (H, W, 3) in [0, 1] without its noise, float32.

    sigma: the noise's standard deviation in each colour, or what noise_levels gives

    It goes through the network in tiles that overlap by as far as the network looks: the result is
    that of the whole image, and memory for the network does not grow with it.
    """
    planes, gains = _planes(image)
    levels = (np.broadcast_to(sigma, len(planes)) * gains).astype(np.float32)
    # Stronger noise than the network knows becomes weaker when the image's contrast does.
    contrast = STRONGEST / np.maximum(levels, np.float32(STRONGEST))
    clean = np.empty_like(planes)
    with td.no_grad():
        for inside, around in tqdm(
            list(tiles(planes.shape[1:], model.margin)),
            desc="denoising", unit="tile", delay=1, leave=False,
        ):  # fmt: skip
            noisy = planes[:, *around] * contrast[:, None, None]
            tile = _mean_of_turns(model, noisy, levels * contrast)
            height, width = clean[:, *inside].shape[1:]
            tile = tile[:, model.margin :, model.margin :][:, :height, :width]
            clean[:, *inside] = tile / contrast[:, None, None]
    return np.clip(_image(clean), 0, 1)


def _mean_of_turns(model, noisy, sigma):
    """What the network makes, where it is, of (N, H, W) with noise sigma (N,), turned by 0, 90, 180
    and 270 degrees and back again.

    Where its four answers differ, they err differently: 0.1 dB (Timofte, Rothe and Van Gool, Seven
    Ways to Improve Example-Based Single Image Super Resolution, CVPR 2016).
    """
    total, device = np.zeros_like(noisy), device_of(model)
    sigma = td.tensor(sigma, device=device)
    for turns in range(4):
        turned = np.rot90(noisy, turns, (1, 2))[:, None]
        answer = model(td.tensor(turned, device=device), sigma).cpu().numpy()
        total += np.rot90(answer[:, 0], -turns, (1, 2))
    return total / 4


def device_of(model):
    """Where a network's parameters are; what has none is on the CPU."""
    parameters = list(model.parameters()) if hasattr(model, "parameters") else []
    return parameters[0].device if parameters else td.device("cpu")


def _planes(image):
    """(1, H, W) of a grey image or (3, H, W) of a colour one, and how strong noise is in each."""
    image = np.asarray(image, np.float32)
    if image.ndim == 2:
        return image[None], np.ones(1)
    planes = np.einsum("pc,hwc->phw", OPPONENT, image) + MIDDLE
    return planes, np.linalg.norm(OPPONENT, axis=1)


def _image(planes):
    """The image of these planes."""
    if len(planes) == 1:
        return planes[0]
    return np.einsum("cp,phw->hwc", np.linalg.inv(OPPONENT), planes - MIDDLE)


def tiles(shape, margin):
    """Indices of each tile, and of it with its surroundings, mirrored where there are none."""
    for corner in product(*(range(0, length, TILE) for length in shape)):
        inside = tuple(slice(start, start + TILE) for start in corner)
        # Where the last tile ends does not matter, but the network halves a multiple of the margin.
        ends = (min(start + TILE, -(-n // margin) * margin) for start, n in zip(corner, shape))
        around = (
            _mirrored(np.arange(start - margin, end + margin), n)
            for start, end, n in zip(corner, ends, shape)
        )
        yield inside, np.ix_(*around)


def _mirrored(i, length):
    """Positions on an axis of this length that is continued by its mirror image."""
    i = i % (2 * length)
    return np.minimum(i, 2 * length - 1 - i)
