"""The estimate of noise: right for noise alone, near it for photographs."""

import numpy as np
import pytest

from tinydeconv.data import TRAINING, add_noise, estimate_sigma, photograph

rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(512, 512), (64, 80), (16, 200), (3, 3000), (1, 4000)])
@pytest.mark.parametrize("sigma", [0.001, 0.1])
def test_noise_alone(shape, sigma):
    estimates = [
        estimate_sigma(add_noise(np.full(shape, 0.5, "f4"), sigma, rng)) for _ in range(20)
    ]
    assert np.mean(estimates) == pytest.approx(sigma, rel=0.04)
    assert np.std(estimates) < 0.15 * sigma


@pytest.mark.parametrize("shape", [(3, 3), (1, 5), (7, 1), (10, 10), (18, 18), (400, 2)])
def test_small_images_give_the_right_order(shape):
    estimates = [estimate_sigma(rng.normal(0.5, 0.1, shape)) for _ in range(200)]
    assert 0.05 < np.mean(estimates) < 0.2


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 2), (2, 1)])
def test_an_image_too_small_to_tell_has_none(shape):
    assert estimate_sigma(rng.random(shape)) == 0


def test_a_flat_image_and_a_ramp_have_none():
    assert estimate_sigma(np.full((40, 50), 0.3)) == 0
    rows, columns = np.mgrid[:40, :50] / 50
    assert estimate_sigma(0.2 + rows / 4 + columns / 3 + rows**2 / 5) == pytest.approx(0, abs=1e-6)


# Texture as fine as noise looks like noise. These photographs have much, in units of 1/255.
TEXTURE = {"grass": 10.5, "gravel": 5.5, "hubble_deep_field": 3.5}


@pytest.mark.parametrize("name", TRAINING)
def test_photographs(name):
    clean = photograph(name)[:512, :512]
    for sigma in (0, 5, 15, 25):
        noisy = add_noise(clean, sigma / 255, np.random.default_rng(0))
        estimate = 255 * estimate_sigma(noisy)
        assert 0.97 * sigma <= estimate < np.hypot(sigma, TEXTURE.get(name, 2)) + 0.9


def test_clipped_parts_are_left_out():
    """Half black, half white but for a grey square: the square has all the noise that is left."""
    clean = np.zeros((160, 160), "f4")
    clean[:, 80:] = 1
    clean[40:120, 40:120] = 0.5
    noisy = add_noise(clean, 20 / 255, np.random.default_rng(0)).clip(0, 1)
    assert 255 * estimate_sigma(noisy) == pytest.approx(20, rel=0.1)


def test_where_all_is_clipped_there_is_an_answer_still():
    assert estimate_sigma(np.ones((64, 64))) == 0
    noisy = add_noise(np.zeros((64, 64), "f4"), 0.1, rng).clip(0, 1)
    assert 0.02 < estimate_sigma(noisy) < 0.1


def test_double_precision_gives_the_same():
    noisy = add_noise(np.full((64, 64), 0.5, "f4"), 0.1, rng)
    assert estimate_sigma(noisy.astype(float)) == pytest.approx(estimate_sigma(noisy), rel=1e-5)
