"""Three classical denoisers to stand beside the network.

Each takes a grey image (H, W) with Gaussian noise of standard deviation `sigma` and returns a grey
image in [0, 1]. METHODS has them with the parameters of the best mean PSNR on the training
photographs alone, found by `python tools/search_classical.py` for three levels of noise.
"""

from functools import partial
from itertools import product

import numpy as np

from ..data.images import images_extra


def bilateral(noisy, sigma, color, spatial):
    """Bilateral filter (Tomasi and Manduchi, ICCV 1998).

    color: standard deviation of the weights in grey level, in units of sigma
    spatial: in position, in pixels; the windows are 5 times as wide

    Our own, since scikit-image 0.26 centres its spatial weights one pixel off (the range of
    `_compute_spatial_lut` is one too long), which costs more than a dB.
    """
    (height, width), radius = noisy.shape, int(2.5 * spatial)
    padded = np.pad(noisy, radius, mode="symmetric")
    total, weights = np.zeros_like(noisy), np.zeros_like(noisy)
    for row, column in product(range(2 * radius + 1), repeat=2):
        tap = padded[row : row + height, column : column + width]
        distance = ((row - radius) ** 2 + (column - radius) ** 2) / spatial**2
        weight = np.exp(-0.5 * ((tap - noisy) ** 2 / (color * sigma) ** 2 + distance))
        total += weight * tap
        weights += weight
    return _clip(total / weights)


def total_variation(noisy, sigma, weight):
    """Total variation (Rudin, Osher and Fatemi 1992), by scikit-image's Chambolle (2004).

    weight: in units of sigma
    """
    restoration = images_extra("skimage.restoration")
    # run to convergence: the default tolerance stops some pictures after a few steps
    return _clip(
        restoration.denoise_tv_chambolle(noisy, weight * sigma, eps=1e-5, max_num_iter=200)
    )


def nl_means(noisy, sigma, h, patch_size, patch_distance):
    """Non-local means (Buades, Coll and Morel, CVPR 2005), scikit-image's with known noise.

    h: in units of sigma

    The fast mode, where all pixels of a patch have the same weight, is 0.15 dB weaker.
    """
    restoration = images_extra("skimage.restoration")
    return _clip(
        restoration.denoise_nl_means(
            noisy, patch_size, patch_distance, h * sigma, fast_mode=False, sigma=sigma
        )
    )


def _clip(image):
    return np.clip(image, 0, 1).astype(np.float32)


BEST: dict = {  # {method: {255 * sigma: its parameters}}
    bilateral: {15: (3, 1.5), 25: (3, 1.75), 50: (5, 2)},
    total_variation: {15: (0.8,), 25: (0.9,), 50: (1,)},
    nl_means: {15: (1.1, 7, 5), 25: (0.8, 9, 7), 50: (0.6, 11, 9)},
}


def _tuned(method, noisy, sigma):
    """The method with the parameters of the nearest noise that was searched."""
    nearest = min(BEST[method], key=lambda known: abs(known - 255 * sigma))
    return method(noisy, sigma, *BEST[method][nearest])


METHODS = {
    name: partial(_tuned, method)
    for name, method in {
        "bilateral": bilateral, "total variation": total_variation, "NL-means": nl_means,
    }.items()
}  # fmt: skip
