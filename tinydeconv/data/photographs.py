"""Photographs that ship in scikit-image and scikit-learn, and keyed random crops of them.

Only genuine photographs that come with a licence line are here; CREDITS.md has author, source and
licence of each. None is downloaded.
"""

from functools import cache
from pathlib import Path

import numpy as np

from .images import images_extra, read_image, rgb2gray
from .noise import add_noise

PHOTOGRAPHS = {  # name: file, below the folder of the installed package
    "astronaut": "skimage/data/astronaut.png",
    "brick": "skimage/data/brick.png",
    "camera": "skimage/data/camera.png",
    "chelsea": "skimage/data/chelsea.png",
    "china": "sklearn/datasets/images/china.jpg",
    "clock": "skimage/data/clock_motion.png",
    "coffee": "skimage/data/coffee.png",
    "coins": "skimage/data/coins.png",
    "flower": "sklearn/datasets/images/flower.jpg",
    "grass": "skimage/data/grass.png",
    "gravel": "skimage/data/gravel.png",
    "hubble_deep_field": "skimage/data/hubble_deep_field.jpg",
    "immunohistochemistry": "skimage/data/ihc.png",
    "microaneurysms": "skimage/data/microaneurysms.png",
    "retina": "skimage/data/retina.jpg",
    "rocket": "skimage/data/rocket.jpg",
}
HELD_OUT = ("camera", "astronaut")  # for the final measurement alone
TRAINING = tuple(name for name in PHOTOGRAPHS if name not in HELD_OUT)
TEXTURES = ("brick", "grass", "gravel")  # the same all over
SIGMA = 25 / 255  # standard deviation of the noise, for pixels in [0, 1]


@cache
def photograph(name, colour=False):
    """The named photograph, grey (rgb2gray), float32 (H, W) in [0, 1], read-only; with `colour`
    (H, W, 3), if it has any.
    """
    if name not in PHOTOGRAPHS:
        raise ValueError(f"no photograph named {name!r}; there are {', '.join(PHOTOGRAPHS)}")
    package, _, file = PHOTOGRAPHS[name].partition("/")
    image = read_image(Path(images_extra(package).__file__).parent / file)
    if colour and image.ndim == 2:
        raise ValueError(f"the photograph {name} has no colour")
    image = image if colour or image.ndim == 2 else rgb2gray(image)
    image.setflags(write=False)  # it is shared by all who ask
    return image


class Crops:
    """Random square crops of training photographs, in one of eight poses, noisy and clean.

    sigma: standard deviation of the noise, or (low, high) to draw one from for every crop

    Crop (epoch, index) is drawn from a generator keyed by (seed, epoch, index): it is the same
    whatever was drawn before it, so a resumed run sees what an uninterrupted one sees.
    """

    def __init__(self, names=TRAINING, size=64, sigma=SIGMA, seed=0):
        if held_out := [name for name in names if name in HELD_OUT]:
            raise ValueError(
                f"training may not touch {', '.join(held_out)}: held out for measurement"
            )
        smallest = min((side for name in names for side in photograph(name).shape), default=0)
        if not 0 < size <= smallest:
            raise ValueError(
                f"expected crops of 1 to {smallest} pixels a side, as the smallest of "
                f"{len(names)} photographs has, got {size}"
            )
        self.names, self.size, self.seed = tuple(names), size, seed
        self.sigma = sigma if isinstance(sigma, (tuple, list)) else (sigma, sigma)

    def crop(self, epoch, index):
        """(noisy, clean, sigma): (1, size, size) twice and a number, float32."""
        rng = np.random.default_rng([self.seed, epoch, index])
        image = photograph(self.names[rng.integers(len(self.names))])
        top, left = (rng.integers(side - self.size + 1) for side in image.shape)
        clean = image[top : top + self.size, left : left + self.size]
        clean = np.rot90(clean, int(rng.integers(4)))
        if rng.integers(2):
            clean = clean[:, ::-1]
        clean = np.ascontiguousarray(clean)[None]
        sigma = np.float32(rng.uniform(*self.sigma))
        return add_noise(clean, sigma, rng), clean, sigma

    def batch(self, epoch, indices):
        """(noisy, clean, sigma) of these: (n, 1, size, size) twice and (n,), float32."""
        return tuple(map(np.stack, zip(*(self.crop(epoch, index) for index in indices))))
