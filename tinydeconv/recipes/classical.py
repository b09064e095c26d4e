"""Three classical denoisers to stand beside the network.

Each takes a grey image (H, W) with Gaussian noise of standard deviation SIGMA and returns a grey
image in [0, 1]. The defaults are the best on the training photographs alone, found by
`python tools/search_classical.py`; they hold for SIGMA and for no other noise.
"""

from itertools import product

import numpy as np

from ..data.images import images_extra
from ..data.photographs import SIGMA


def bilateral(noisy, sigma_color=0.3, sigma_spatial=1.75, radius=4):
    """Bilateral filter (Tomasi and Manduchi, ICCV 1998), over windows 2 radius + 1 pixels wide.

    Our own, since scikit-image 0.26 centres its spatial weights one pixel off (the range of
    `_compute_spatial_lut` is one too long), which costs more than a dB.
    """
    height, width = noisy.shape
    padded = np.pad(noisy, radius, mode="symmetric")
    total, weights = np.zeros_like(noisy), np.zeros_like(noisy)
    for row, column in product(range(2 * radius + 1), repeat=2):
        tap = padded[row : row + height, column : column + width]
        distance = ((row - radius) ** 2 + (column - radius) ** 2) / sigma_spatial**2
        weight = np.exp(-0.5 * ((tap - noisy) ** 2 / sigma_color**2 + distance))
        total += weight * tap
        weights += weight
    return _clip(total / weights)


def total_variation(noisy, weight=0.09):
    """Total variation (Rudin, Osher and Fatemi 1992), by scikit-image's Chambolle (2004)."""
    restoration = images_extra("skimage.restoration")
    # run to convergence: the default tolerance stops some pictures after a few steps
    return _clip(restoration.denoise_tv_chambolle(noisy, weight, eps=1e-5, max_num_iter=200))


def nl_means(noisy, h=0.6 * SIGMA, patch_size=7, patch_distance=9):
    """Non-local means (Buades, Coll and Morel, CVPR 2005), scikit-image's with known noise."""
    restoration = images_extra("skimage.restoration")
    return _clip(
        restoration.denoise_nl_means(
            noisy, patch_size, patch_distance, h, fast_mode=True, sigma=SIGMA
        )
    )


def _clip(image):
    return np.clip(image, 0, 1).astype(np.float32)


METHODS = {"bilateral": bilateral, "total variation": total_variation, "NL-means": nl_means}
