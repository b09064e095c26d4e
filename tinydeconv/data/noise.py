"""Noise: how to add it to a photograph, and how much of it a photograph has."""

from math import prod, sqrt
from statistics import NormalDist

import numpy as np

BLOCK = 16  # pixels a side
SMOOTH = 0.1  # the part of the blocks that shall be smooth enough to show noise alone
CLIPPED = 0.02  # the part of a block's pixels that may be black or white


def add_noise(clean, sigma, rng):
    """`clean` plus Gaussian noise of standard deviation `sigma`, not clipped, float32."""
    return clean + np.float32(sigma) * rng.standard_normal(clean.shape, dtype=np.float32)


def estimate_sigma(image):
    """The standard deviation of the white noise in a grey image (H, W) in [0, 1].

    Second differences along both axes leave little of a picture and all of the noise (Immerkaer,
    Computer Vision and Image Understanding 64, 1996), and where they leave much there is texture:
    so the least of their mean squares over blocks tells the noise. Black and white blocks do not
    count, since their noise was clipped. 0 for an image with less than 3 pixels along each axis.
    """
    if max(image.shape) < 3:
        return 0.0
    detail, black_or_white = image, (image == 0) | (image == 1)
    for axis, length in enumerate(image.shape):
        if length > 2:
            detail = np.diff(detail, 2, axis) / np.float32(sqrt(6))  # 1 -2 1: noise keeps its size
            black_or_white = black_or_white.take(range(1, length - 1), axis)
    energy, clipped = _block_means(detail**2), _block_means(black_or_white)
    energy = energy[clipped <= max(CLIPPED, np.quantile(clipped, SMOOTH))]
    # The least of many mean squares is below the variance. Wilson and Hilferty (1931) tell by how
    # much, once n is known: neighbours share pixels, and 18 of 35 along an axis are independent.
    quantile = (SMOOTH * (len(energy) - 1) + 0.5) / len(energy)
    n = prod(max(1, min(length, BLOCK) * 18 / 35) for length in detail.shape)
    bias = (1 - 2 / (9 * n) + NormalDist().inv_cdf(quantile) * sqrt(2 / (9 * n))) ** 3
    return sqrt(np.quantile(energy, SMOOTH) / bias)


def _block_means(image):
    """The mean of each whole block, in float64, flat."""
    (height, rows), (width, columns) = ((min(n, BLOCK), n // min(n, BLOCK)) for n in image.shape)
    blocks = image[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return blocks.mean((1, 3), dtype=np.float64).ravel()
