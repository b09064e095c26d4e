"""Search the parameters of the classical denoisers on the training photographs.

    python tools/search_classical.py

Prints the mean PSNR at every point of the grids below, in a minute and a half; the best are the
defaults in tinydeconv/recipes/classical.py. Each photograph counts once, by its central 256 x 256
pixels; the noise of the i-th has the seed i.
"""

from itertools import product

import numpy as np

from tinydeconv.data import SIGMA, TRAINING, add_noise, photograph
from tinydeconv.metrics import psnr
from tinydeconv.recipes.classical import bilateral, nl_means, total_variation

GRIDS = {
    bilateral: {"sigma_color": (0.2, 0.25, 0.3, 0.35), "sigma_spatial": (1.25, 1.5, 1.75, 2.0)},
    total_variation: {"weight": (0.07, 0.08, 0.09, 0.1, 0.11)},
    nl_means: {
        "h": tuple(k * SIGMA for k in (0.5, 0.6, 0.7, 0.8, 0.9)),
        "patch_size": (5, 7, 9),
        "patch_distance": (6, 9, 11),
    },
}


def centre(image, side=256):
    top, left = (max(0, (length - side) // 2) for length in image.shape)
    return image[top : top + side, left : left + side]


def main():
    clean = [centre(photograph(name)) for name in TRAINING]
    noisy = [add_noise(x, SIGMA, np.random.default_rng(seed)) for seed, x in enumerate(clean)]
    for method, grid in GRIDS.items():
        scores = {}
        for point in product(*grid.values()):
            parameters = dict(zip(grid, point))
            score = np.mean([psnr(x, method(y, **parameters)) for x, y in zip(clean, noisy)])
            listed = ", ".join(f"{name}={value:.4g}" for name, value in parameters.items())
            scores[f"{method.__name__}({listed})"] = score
            print(f"{score:.3f} dB  {method.__name__}({listed})", flush=True)
        print("best:", max(scores, key=lambda call: scores[call]), "\n")


if __name__ == "__main__":
    main()
