"""The classical denoisers: each does its work, and the bilateral filter is what its paper says."""

import math

import numpy as np
import pytest

from tinydeconv.data import SIGMA, add_noise, photograph
from tinydeconv.metrics import psnr
from tinydeconv.recipes import classical
from tinydeconv.recipes.classical import BEST, METHODS, bilateral

CLEAN = photograph("chelsea")[80:208, 100:260]


@pytest.mark.parametrize(("level", "gain"), [(15, 4), (25, 6), (50, 8)])
@pytest.mark.parametrize("name", METHODS)
def test_denoises(name, level, gain):
    noisy = add_noise(CLEAN, level / 255, np.random.default_rng(0))
    before = noisy.copy()
    image = METHODS[name](noisy, level / 255)
    assert image.shape == noisy.shape and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 1
    assert psnr(CLEAN, image) > psnr(CLEAN, noisy) + gain
    assert np.array_equal(noisy, before)


def test_the_parameters_are_those_of_the_nearest_noise(monkeypatch):
    def method(noisy, sigma, *parameters):
        return parameters

    monkeypatch.setitem(BEST, method, {15: (1, 2), 50: (3, 4)})
    found = [classical._tuned(method, None, level / 255) for level in (0, 32, 33, 90)]
    assert found == [(1, 2), (1, 2), (3, 4), (3, 4)]


@pytest.mark.parametrize("name", METHODS)
def test_a_flat_picture_stays_flat_and_is_clipped(name):
    for level in (-0.5, 0.25, 1.5):
        image = METHODS[name](np.full((32, 40), level, dtype=np.float32), SIGMA)
        np.testing.assert_allclose(image, np.clip(level, 0, 1), atol=1e-5)


def test_bilateral_by_hand():
    """Every pixel is the mean of its window, weighted by nearness in space and in grey level."""
    image = np.random.default_rng(1).random((5, 6))
    result = bilateral(image, 0.2, color=2, spatial=0.9)
    mirrored = np.pad(image, 2, mode="symmetric")
    for y, x in np.ndindex(5, 6):
        total = weights = 0.0
        for dy in range(-2, 3):
            for dx in range(-2, 3):
                tap = mirrored[y + 2 + dy, x + 2 + dx]
                weight = math.exp(-(dy**2 + dx**2) / (2 * 0.9**2))
                weight *= math.exp(-((tap - image[y, x]) ** 2) / (2 * 0.4**2))
                total, weights = total + weight * tap, weights + weight
        assert result[y, x] == pytest.approx(total / weights, abs=1e-6)
