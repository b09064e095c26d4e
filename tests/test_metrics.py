"""PSNR and SSIM against scikit-image and against values worked out by hand."""

import math

import numpy as np
import pytest
from refusals import refused
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tinydeconv.data import SIGMA, add_noise, photograph
from tinydeconv.metrics import psnr, ssim

rng = np.random.default_rng(0)
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}  # the paper's


def pair(shape, data_range):
    """Two images that are alike, but not very."""
    a = rng.random(shape) * data_range
    return a, a + 0.2 * data_range * rng.standard_normal(shape)


PAIRS = {
    "2-d": (pair((24, 37), 1.0), 1.0),
    "bytes": (pair((24, 37), 255.0), 255.0),
    "barely larger than the window": (pair((11, 12), 1.0), 1.0),
    "1-d": (pair((50,), 1.0), 1.0),
    "3-d": (pair((12, 13, 14), 2.0), 2.0),
    "unlike": ((rng.random((20, 20)), 1 - rng.random((20, 20))), 1.0),
    "transposed in memory": ((pair((30, 20), 1.0)[0].T, pair((20, 30), 1.0)[0]), 1.0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equal_to_scikit_image(name):
    (a, b), data_range = PAIRS[name]
    expected = peak_signal_noise_ratio(a, b, data_range=data_range)
    assert psnr(a, b, data_range) == pytest.approx(expected, abs=1e-9)
    for gaussian, settings in [(False, {}), (True, WANG)]:
        expected = structural_similarity(a, b, data_range=data_range, **settings)
        assert ssim(a, b, data_range, gaussian_weights=gaussian) == pytest.approx(
            expected, abs=1e-9
        )


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_equal_to_scikit_image_on_photographs(name):
    clean = photograph(name)
    noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
    expected = peak_signal_noise_ratio(clean, noisy, data_range=1)
    assert psnr(clean, noisy) == pytest.approx(expected, abs=1e-6)
    for gaussian, settings in [(False, {}), (True, WANG)]:
        expected = structural_similarity(clean, noisy, data_range=1, **settings)
        assert ssim(clean, noisy, 1, gaussian_weights=gaussian) == pytest.approx(expected, abs=1e-6)


def test_the_two_forms_of_ssim_differ():
    (a, b), data_range = PAIRS["2-d"]
    assert abs(ssim(a, b, data_range) - ssim(a, b, data_range, gaussian_weights=True)) > 1e-3


def test_psnr_by_hand():
    black = np.zeros((4, 5), dtype=np.uint8)
    assert psnr(black, black + 0.1) == pytest.approx(20, abs=1e-12)
    assert psnr(black, black + np.uint8(255), 255) == 0
    assert psnr(black, black) == math.inf


@pytest.mark.parametrize("gaussian", [False, True])
def test_ssim_by_hand(gaussian):
    """Constant images have no structure; what is left is the luminance term of eq. 6."""
    a, b = np.full((16, 16), 0.3), np.full((16, 16), 0.6)
    expected = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    assert ssim(a, b, 1, gaussian_weights=gaussian) == pytest.approx(expected, abs=1e-9)
    assert ssim(a, a, 1, gaussian_weights=gaussian) == pytest.approx(1, abs=1e-12)


def test_bytes_do_not_wrap_around():
    a = rng.integers(256, size=(20, 20), dtype=np.uint8)
    b = rng.integers(256, size=(20, 20), dtype=np.uint8)
    for metric in (psnr, ssim):
        expected = metric(a.astype(float), b.astype(float), 255)
        assert metric(a, b, 255) == metric(a, b.astype(float), 255) == expected
        assert metric(a.astype(float), b, 255) == expected


def test_inputs_are_left_alone():
    (a, b), data_range = PAIRS["2-d"]
    before = a.copy(), b.copy()
    psnr(a, b, data_range)
    ssim(a, b, data_range)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


def test_bad_input():
    image = np.zeros((8, 9))
    with refused(ValueError, "(8, 9)", "(9, 8)"):
        psnr(image, image.T)
    with refused(ValueError, "(8, 9)", "(8, 9, 1)"):
        ssim(image, image[..., None], 1)
    with refused(ValueError, "(0, 9)"):
        psnr(image[:0], image[:0])
    with refused(ValueError, 11, "(8, 9)"):
        ssim(image, image, 1, gaussian_weights=True)
    with refused(ValueError, 7, "(6, 9)"):
        ssim(image[:6], image[:6], 1)
    for data_range in (0, -1, math.nan, math.inf):
        with refused(ValueError, "data_range", data_range):
            ssim(image, image, data_range)
    with pytest.raises(TypeError, match="data_range"):
        ssim(image, image)
