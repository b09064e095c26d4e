"""Augmentation: what each transform does, beside SciPy and Pillow, and that it does no more."""

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image
from refusals import refused

from tinydeconv.data import images, transforms
from tinydeconv.data.transforms import (
    JPEG,
    Compose,
    GaussianBlur,
    GaussianNoise,
    RandomAffine,
    RandomCrop,
    RandomHorizontalFlip,
)

ALL = {
    "flip": RandomHorizontalFlip(),
    "crop": RandomCrop(7, padding=2),
    "affine": RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 10),
    "noise": GaussianNoise(),
    "blur": GaussianBlur(5),
    "jpeg": JPEG((10, 90)),
    "compose": Compose([GaussianNoise(), RandomHorizontalFlip()]),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def image(channels=3, height=11, width=14, seed=0):
    return rng(seed).random((channels, height, width), dtype=np.float32)


def places(height, width):
    """An image whose pixels all differ, and none is 0."""
    return (1 + np.arange(height * width, dtype=np.float32)).reshape(1, height, width)


@pytest.mark.parametrize("name", ALL)
def test_the_generator_alone_decides_and_the_image_stays_as_it_is(name):
    before = image()
    kept = before.copy()
    before.setflags(write=False)
    results = [ALL[name](before, rng(seed)) for seed in (0, 1, 2, 3, 4, 5, 0)]
    assert np.array_equal(before, kept)
    assert np.array_equal(results[0], results[-1])
    assert any(not np.array_equal(results[0], other) for other in results)
    for result in results:
        assert result.dtype == np.float32
        assert result.shape == ((3, 7, 7) if name == "crop" else before.shape)


@pytest.mark.parametrize("name", ALL)
def test_floats_of_64_bits_stay_so(name):
    assert ALL[name](image().astype(np.float64), rng()).dtype == np.float64


@pytest.mark.parametrize("name", ALL)
def test_only_one_image_of_floats_is_taken(name):
    with refused(ValueError, "floats", "uint8"):
        ALL[name](np.zeros((1, 8, 8), np.uint8), rng())
    for shape in ((8, 8), (2, 1, 8, 8)):
        with refused(ValueError, "(C, H, W)", shape):
            ALL[name](np.zeros(shape, np.float32), rng())


def test_compose_goes_from_first_to_last_with_one_generator():
    def double(image, rng):
        return 2 * image

    def noisy(image, rng):
        return image + rng.random()

    draw = rng(3)
    expected = 2 * image() + draw.random() + draw.random()
    np.testing.assert_allclose(Compose([double, noisy, noisy])(image(), rng(3)), expected)


def test_flip():
    mirrored = [[row[::-1] for row in channel] for channel in image().tolist()]
    assert np.array_equal(RandomHorizontalFlip(1)(image(), rng()), np.float32(mirrored))
    assert np.array_equal(RandomHorizontalFlip(0)(image(), rng()), image())
    for p in (0.5, 0.1):
        flip, draw = RandomHorizontalFlip(p), rng()
        flipped = [flip(image(), draw)[0, 0, 0] != image()[0, 0, 0] for _ in range(1000)]
        assert np.mean(flipped) == pytest.approx(p, abs=0.04)


@pytest.mark.parametrize(("size", "padding"), [(4, 0), (6, 0), (5, 2), (10, 2)])
def test_a_crop_is_any_part_of_the_padded_image(size, padding):
    height, width = 6, 8
    whole = np.zeros((height + 2 * padding, width + 2 * padding))
    whole[padding : padding + height, padding : padding + width] = places(height, width)[0]
    parts = {
        whole[top : top + size, left : left + size].astype(np.float32).tobytes(): 0
        for top in range(len(whole) - size + 1)
        for left in range(len(whole[0]) - size + 1)
    }
    crop, draw = RandomCrop(size, padding), rng()
    for _ in range(100 * len(parts)):
        parts[crop(places(height, width), draw).tobytes()] += 1  # a KeyError, if it is no part
    assert len(parts) < 2 or scipy.stats.chisquare(list(parts.values())).pvalue > 0.005


# ------------------------------------------------------------ affine


def test_warp_is_scipys_affine_transform():
    draw = rng()
    batch = draw.random((6, 2, 9, 13), dtype=np.float32)
    matrices = np.eye(2) + draw.normal(0, 0.4, (6, 2, 2))
    shifts = draw.uniform(-4, 4, (6, 2))
    matrices[0], shifts[0] = np.eye(2), 0
    matrices[1], shifts[1] = np.eye(2), (3, -2)
    ours = transforms.warp(batch, matrices, shifts)
    assert ours.dtype == np.float32
    assert np.array_equal(ours[0], batch[0])
    assert np.array_equal(ours[1][:, 3:, :-2], batch[1][:, :-3, 2:])
    assert not ours[1][:, :3].any() and not ours[1][:, :, -2:].any()
    middle = np.array([4, 6])
    for one, matrix, shift, result in zip(batch, matrices, shifts, ours):
        for channel, found in zip(one, result):
            expected = scipy.ndimage.affine_transform(
                channel.astype(np.float64), matrix, middle - matrix @ (middle + shift), order=1,
                mode="grid-constant",
            )  # fmt: skip
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_affine_turns_clockwise_and_shears_and_scales_as_pytorchs():
    """By the matrix that torchvision documents, of (x, y): turn @ shear * scale, the shear against
    x; here turned over into SciPy's, which is from outputs to inputs and of (y, x).
    """
    before = image(1, 21, 16)
    ours = RandomAffine((20, 20), scale=(1.3, 1.3), shear=(-15, -15))(before, rng())
    turn, shear = np.deg2rad([20, -15])
    forward = 1.3 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    forward = forward @ [[1, -np.tan(shear)], [0, 1]]
    back = np.linalg.inv(forward)[::-1, ::-1]
    middle = np.array([10, 7.5])
    expected = scipy.ndimage.affine_transform(
        before[0], back, middle - back @ middle, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(ours[0], expected, rtol=0, atol=1e-6)


def test_a_quarter_turn_is_exact():
    square = image(3, 8, 8)
    ours = RandomAffine((90, 90))(square, rng())
    np.testing.assert_allclose(ours, np.rot90(square, -1, (1, 2)), rtol=0, atol=1e-6)


def test_affine_draws_from_the_whole_of_its_ranges(monkeypatch):
    seen = []
    monkeypatch.setattr(transforms, "warp", lambda x, *drawn: seen.append(drawn) or x)
    affine, draw = RandomAffine(30, (0.5, 0.25), (0.5, 2), (5, 25)), rng()
    for _ in range(2000):
        affine(image(1, 40, 24), draw)
    shifts = np.stack([shift[0] for _, shift in seen])
    forward = np.linalg.inv(np.stack([matrix[0] for matrix, _ in seen]))[:, ::-1, ::-1]
    (xx, xy), (yx, yy) = forward.transpose(1, 2, 0)
    scale, turn = np.hypot(xx, yx), np.arctan2(yx, xx)
    shear = np.rad2deg(np.arctan2(-(xy * np.cos(turn) + yy * np.sin(turn)), scale))
    turn = np.rad2deg(turn)
    ranges = [(turn, -30, 30), (shear, 5, 25), (scale, 0.5, 2)]
    ranges += [(shifts[:, 0], -10, 10), (shifts[:, 1], -12, 12)]
    for drawn, low, high in ranges:
        assert scipy.stats.kstest(drawn, "uniform", (low, high - low)).pvalue > 0.001
        assert low <= drawn.min() and drawn.max() <= high
    assert np.abs(np.corrcoef([drawn for drawn, *_ in ranges]) - np.eye(5)).max() < 0.08


# ------------------------------------------------------------ noise, blur, JPEG


def test_noise():
    grey = np.full((1, 300, 400), 0.5, np.float32)
    noise = GaussianNoise(0.05, 0.1, clip=False)(grey, rng()) - grey
    assert scipy.stats.kstest(noise.ravel()[::10], "norm", (0.05, 0.1)).pvalue > 0.001
    assert noise.min() < -0.3 and noise.std() == pytest.approx(0.1, rel=0.01)
    clipped = GaussianNoise(0.05, 0.1)(0 * grey + 1, rng())
    assert clipped.max() == 1 and clipped.min() < 0.8
    assert np.array_equal(
        clipped, np.clip(GaussianNoise(0.05, 0.1, False)(0 * grey + 1, rng()), 0, 1)
    )
    assert np.array_equal(GaussianNoise(sigma=0)(grey, rng()), grey)


@pytest.mark.parametrize("sigma", [0.3, 1, 2.5])
@pytest.mark.parametrize("kernel_size", [1, 3, 9])
def test_blur_is_scipys_gaussian_filter(sigma, kernel_size):
    ours = GaussianBlur(kernel_size, sigma)(image(), rng())
    for channel, found in zip(image().astype(np.float64), ours):
        expected = scipy.ndimage.gaussian_filter(
            channel, sigma, mode="mirror", radius=kernel_size // 2
        )
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_blur_draws_its_sigma():
    point = np.zeros((1, 41, 41), np.float64)
    point[0, 20, 20] = 1
    blur, draw = GaussianBlur(31, (1, 3)), rng()
    away = np.arange(-20, 21) ** 2
    sigmas = [np.sqrt(away @ blur(point, draw)[0].sum(1)) for _ in range(300)]
    assert scipy.stats.kstest(sigmas, "uniform", (1, 2)).pvalue > 0.001


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
@pytest.mark.parametrize("quality", [1, 40, 100])
def test_jpeg_is_pillows(channels, mode, quality, tmp_path):
    before = scipy.ndimage.gaussian_filter(image(channels, 19, 30), (0, 2, 2)) * 3 - 1
    levels = np.clip(before, 0, 1) * 255
    pixels = np.empty((19, 30, channels), np.uint8)
    for c in range(channels):
        pixels[:, :, c] = np.round(levels[c])
    Image.fromarray(pixels.squeeze()).save(tmp_path / "a.jpg", quality=quality)
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.mode == mode
        expected = np.asarray(file).reshape(19, 30, channels) / 255
    ours = JPEG(quality)(before, rng())
    np.testing.assert_allclose(ours.transpose(1, 2, 0), expected, rtol=0, atol=1e-6)


def test_jpeg_draws_its_quality():
    before = image(1)
    possible = {JPEG(quality)(before, rng()).tobytes(): 0 for quality in range(20, 26)}
    assert len(possible) == 6
    jpeg, draw = JPEG((20, 25)), rng()
    for _ in range(600):
        possible[jpeg(before, draw).tobytes()] += 1
    assert scipy.stats.chisquare(list(possible.values())).pvalue > 0.001


def test_without_pillow_the_remedy_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(images.importlib, "import_module", missing)
    with refused(ImportError, "PIL", 'pip install "tinydeconv[images]"'):
        JPEG(50)(image(), rng())


# ------------------------------------------------------------ bad input


def test_bad_input():
    for p in (-0.1, 1.5):
        with refused(ValueError, "probability", p):
            RandomHorizontalFlip(p)
    with refused(ValueError, "size", 0):
        RandomCrop(0)
    with refused(ValueError, "padding", -1):
        RandomCrop(4, -1)
    with refused(ValueError, 15, "11 x 14", 11):
        RandomCrop(15)(image(), rng())
    with refused(ValueError, 16, "15 x 18", 15):
        RandomCrop(16, padding=2)(image(), rng())
    for scale in ((0, 1), (-1, 1), (1.2, 0.8)):
        with refused(ValueError, "scale", scale):
            RandomAffine(10, scale=scale)
    for sigma in (-0.1, np.nan):
        with refused(ValueError, "sigma", sigma):
            GaussianNoise(sigma=sigma)
    with refused(ValueError, "odd", 4):
        GaussianBlur(4)
    for sigma in (0, -1, (-1, 2), (2, 1)):
        with refused(ValueError, "sigma", sigma):
            GaussianBlur(3, sigma)
    for quality in (0, 101, (0, 50), (50, 101), (60, 50)):
        with refused(ValueError, "quality", 1, 100, quality):
            JPEG(quality)
    with refused(ValueError, "channels", 1, 3, 2):
        JPEG(50)(image(2), rng())
