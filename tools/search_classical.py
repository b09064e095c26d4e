"""Search the parameters of the classical denoisers on the training photographs.

    python tools/search_classical.py

Prints the mean PSNR at every point of the grids below, for three levels of noise; the best are in
tinydeconv/recipes/classical.py. Each photograph counts once, by its central 256 x 256 pixels; the
noise of the i-th has the seed i. Takes an hour.
"""

from itertools import product

import numpy as np

from tinydeconv.data import TRAINING, add_noise, photograph
from tinydeconv.metrics import psnr
from tinydeconv.recipes.classical import BEST, bilateral, nl_means, total_variation

GRIDS = {  # {method: values of each of its parameters}
    bilateral: ((2, 2.5, 3, 3.5, 4, 5), (1, 1.25, 1.5, 1.75, 2, 2.5, 3)),
    total_variation: ((0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2),),
    nl_means: ((0.4, 0.45, 0.5, 0.6, 0.7, 0.8), (3, 5, 7, 9, 11, 13), (5, 6, 7, 9, 12, 15)),
}


def centre(image, side=256):
    top, left = (max(0, (length - side) // 2) for length in image.shape)
    return image[top : top + side, left : left + side]


def main():
    clean = [centre(photograph(name)) for name in TRAINING]
    for method, level in product(BEST, (15, 25, 50)):
        sigma, scores = level / 255, {}
        noisy = [add_noise(x, sigma, np.random.default_rng(i)) for i, x in enumerate(clean)]
        for point in product(*GRIDS[method]):
            results = (method(y, sigma, *point) for y in noisy)
            scores[point] = np.mean([psnr(x, result) for x, result in zip(clean, results)])
            print(f"{scores[point]:.3f} dB  {method.__name__} at {level}: {point}", flush=True)
        print(f"best of {method.__name__} at {level}: {max(scores, key=scores.__getitem__)}\n")


if __name__ == "__main__":
    main()
