"""Search the parameters of the classical denoisers on the training photographs.

    python tools/search_classical.py

For three levels of noise it climbs from the parameters in tinydeconv/recipes/classical.py: one step
of one parameter at a time, as long as the mean PSNR grows. The best found should stand there. Each
photograph counts once, by its central 160 x 160 pixels; the noise of the i-th has the seed i. Takes
some ten minutes if there is nothing to climb.
"""

from functools import cache, partial
from itertools import product

import numpy as np

from tinydeconv.data import TRAINING, add_noise, photograph
from tinydeconv.kernels.threads import run
from tinydeconv.metrics import psnr
from tinydeconv.recipes.classical import BEST, bilateral, nl_means, total_variation

GRIDS = {  # {method: values of each of its parameters}
    bilateral: ((2, 2.5, 3, 3.5, 4, 5, 6), (1, 1.25, 1.5, 1.75, 2, 2.5, 3)),
    total_variation: ((0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2),),
    nl_means: ((0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2), (5, 7, 9, 11, 13), (4, 5, 6, 7, 9, 12)),
}


def centre(image, side=160):
    top, left = (max(0, (length - side) // 2) for length in image.shape)
    return image[top : top + side, left : left + side]


CLEAN = [centre(photograph(name)) for name in TRAINING]


@cache
def score(method, level, point):
    """The mean PSNR in dB."""

    def one(i):
        noisy = add_noise(CLEAN[i], level / 255, np.random.default_rng(i))
        return psnr(CLEAN[i], method(noisy, level / 255, *point))

    mean = np.mean(run(one, range(len(CLEAN))))
    print(f"{mean:.3f} dB  {method.__name__} at {level}: {point}", flush=True)
    return mean


def neighbours(grid, point):
    """The points that differ by one step of one parameter."""
    for i, values in enumerate(grid):
        here = values.index(point[i])
        for value in (*values[max(0, here - 1) : here], *values[here + 1 : here + 2]):
            yield (*point[:i], value, *point[i + 1 :])


def climb(method, level):
    point = None
    best = BEST[method][level]
    while best != point:
        point = best
        best = max([point, *neighbours(GRIDS[method], point)], key=partial(score, method, level))
    print(f"best of {method.__name__} at {level}: {best}\n", flush=True)


def main():
    for method, level in product(BEST, (15, 25, 50)):
        climb(method, level)


if __name__ == "__main__":
    main()
