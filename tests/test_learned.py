"""The network put to use: photographs of every kind and size, at the command line and off it."""

import re

import numpy as np
import pytest
from PIL import Image
from test_denoise import draw, trained

import tinydeconv as td
from tinydeconv import models
from tinydeconv.cli import main
from tinydeconv.data import add_noise, estimate_sigma, photograph
from tinydeconv.recipes import common, learned
from tinydeconv.recipes.learned import OPPONENT, TILE, denoise, noise_levels
from tinydeconv.serialize import load_json

rng = np.random.default_rng(0)


def whole(model, image, sigma):
    """A grey image through the network in one piece, in four turns, with borders mirrored."""
    m, (height, width) = model.margin, image.shape
    padded = np.pad(image, [(m, m + -n % m) for n in image.shape], mode="symmetric")
    results = []
    for turns in range(4):
        turned = np.rot90(padded, turns).copy()[None, None]
        result = model(td.tensor(turned), td.tensor([sigma])).detach().numpy()[0, 0]
        results.append(np.rot90(result, -turns))
    return np.mean(results, axis=0)[m : m + height, m : m + width]


# ---------------------------------------------------------------- an image


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (1, 40), (5, 40, 3), (33, 18), (TILE + 3, 17)])
def test_any_size_and_colour(shape):
    image = draw(*shape)
    before = image.copy()
    clean = denoise(trained(), image, 0.1)
    assert clean.shape == shape and clean.dtype == np.float32
    assert clean.min() >= 0 and clean.max() <= 1
    assert np.array_equal(image, before)


@pytest.mark.parametrize("shape", [(16, 32), (21, 30), (2 * TILE + 7, TILE + 30), (TILE, TILE + 1)])
def test_tiles_are_the_whole_image(shape):
    model, image = trained(), draw(*shape)
    clean = denoise(model, image, 0.1)
    np.testing.assert_allclose(clean, whole(model, image, 0.1).clip(0, 1), atol=2e-6)
    assert np.abs(clean - image).max() > 0.1


def test_a_network_of_another_depth_has_its_own_margin(monkeypatch):
    monkeypatch.setattr(learned, "TILE", 32)
    model, image = trained((2, 3, 4, 5)), draw(70, 81)
    expected = whole(model, image, 0.1).clip(0, 1)
    np.testing.assert_allclose(denoise(model, image, 0.1), expected, atol=2e-6)


def test_memory_for_the_network_does_not_grow_with_the_image(monkeypatch):
    model, largest = trained(), []

    class Model:
        margin = model.margin

        def __call__(self, noisy, sigma):
            largest.append(noisy.shape)
            return model(noisy, sigma)

    monkeypatch.setattr(learned, "TILE", 64)
    denoise(Model(), draw(200, 300), 0.1)
    assert len(largest) == 4 * 5 * 4 and max(largest) == (1, 1, 64 + 2 * 16, 64 + 2 * 16)


def test_a_grey_image_with_three_equal_colours_has_nothing_in_the_differences():
    planes, gains = learned._planes(np.repeat(draw(4, 5, 1), 3, axis=2))
    np.testing.assert_allclose(planes[1:], 0.5, atol=1e-6)
    np.testing.assert_allclose(gains, np.sqrt((OPPONENT**2).sum(1)))


def test_colours_come_back():
    image = draw(6, 7, 3)
    np.testing.assert_allclose(learned._image(learned._planes(image)[0]), image, atol=1e-6)


def test_each_plane_of_a_colour_image_is_denoised_by_itself():
    model, image, sigma = trained(), draw(20, 30, 3) / 2 + 0.25, 0.1
    planes = np.einsum("pc,hwc->phw", OPPONENT, image) + np.reshape([0, 0.5, 0.5], (3, 1, 1))
    norms = np.linalg.norm(OPPONENT, axis=1)
    clean = [whole(model, p.astype("f4"), np.float32(sigma * n)) for p, n in zip(planes, norms)]
    clean[1] -= 0.5
    clean[2] -= 0.5
    expected = np.einsum("cp,phw->hwc", np.linalg.inv(OPPONENT), clean)
    np.testing.assert_allclose(denoise(model, image, sigma), expected.clip(0, 1), atol=1e-5)


def test_noise_stronger_than_the_network_knows():
    model, image = trained(), draw(16, 16)
    factor = np.float32(0.5)
    expected = denoise(model, image * factor, 50 / 255) / factor
    np.testing.assert_allclose(denoise(model, image, 100 / 255), expected.clip(0, 1), atol=1e-6)


def test_noise_levels_of_colour_are_in_units_of_each_colours_noise():
    clean = np.stack([photograph("chelsea")] * 3, axis=2)
    noisy = add_noise(clean, 20 / 255, np.random.default_rng(0))
    np.testing.assert_allclose(255 * noise_levels(noisy), [20, 20, 20], rtol=0.05)
    assert noise_levels(noisy[..., 0]).shape == (1,)
    assert noise_levels(noisy[..., 0])[0] == estimate_sigma(noisy[..., 0])


# ---------------------------------------------------------------- the command


def pixels(mode, *shape):
    kind = np.uint16 if mode == "I;16" else np.uint8
    return rng.integers(0, np.iinfo(kind).max + 1, shape).astype(kind)


KINDS = {
    "grey": ("L", (24, 31)),
    "colour": ("RGB", (24, 31, 3)),
    "colour of odd size": ("RGB", (7, 5, 3)),
    "colour with alpha": ("RGBA", (9, 12, 4)),
    "16 bits": ("I;16", (24, 31)),
    "one pixel": ("L", (1, 1)),
    "one pixel wide": ("RGB", (40, 1, 3)),
    "one pixel high": ("L", (1, 40)),
}


@pytest.fixture
def files(tmp_path):
    """(photo, weights, out)"""
    models.save(trained((4, 6, 8)), tmp_path / "w.safetensors")  # not the default: the file says so
    return [tmp_path / name for name in ("photo.png", "w.safetensors", "clean.png")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_photograph_of_every_kind(kind, files, capsys):
    (mode, shape), (photo, weights, out) = KINDS[kind], files
    image = Image.fromarray(pixels(mode, *shape))
    assert image.mode == mode
    image.save(photo)
    words = ["denoise", str(photo), "--weights", str(weights), "--out", str(out), "--sigma", "20"]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{out}\n"
    white = 65535 if mode == "I;16" else 255
    noisy = (np.asarray(image) / white).astype(np.float32)
    noisy = noisy[..., :3] if mode == "RGBA" else noisy
    expected = denoise(trained((4, 6, 8)), noisy, 20 / 255)
    assert kind == "one pixel" or not np.allclose(expected, noisy, atol=0.05)
    found = np.asarray(Image.open(out))
    assert found.shape == noisy.shape and found.dtype == np.uint8
    np.testing.assert_allclose(found / 255, expected, atol=0.51 / 255)


def test_a_photograph_that_lies_on_its_side_comes_out_upright(files):
    photo, weights, out = files
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.fromarray(pixels("RGB", 8, 20, 3)).save(photo, exif=exif)
    assert main(["denoise", str(photo), "--weights", str(weights), "--out", str(out)]) == 0
    with Image.open(out) as image:
        assert image.size == (8, 20) and not image.getexif()


def test_the_noise_is_estimated_unless_told(files, capsys):
    photo, weights, out = files
    noisy = add_noise(np.full((64, 64, 3), 0.5, "f4"), 30 / 255, np.random.default_rng(0))
    Image.fromarray(np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)).save(photo)
    words = ["denoise", str(photo), "--weights", str(weights), "--out", str(out)]
    assert main(words) == 0
    told = capsys.readouterr().out.splitlines()
    levels = 255 * noise_levels(np.asarray(Image.open(photo)) / np.float32(255))
    assert all(abs(levels - 30) < 3)
    for level in levels:
        assert f"{level:.1f}" in told[0]
    assert "estimated" in told[0] and "--sigma" in told[0] and told[-1] == str(out)
    estimated = out.read_bytes()
    assert main([*words, "--sigma", "5"]) == 0
    assert out.read_bytes() != estimated


def test_the_result_stands_beside_the_photograph(tmp_path, files):
    weights, folder = files[1], tmp_path / "my photos"
    folder.mkdir()
    Image.fromarray(pixels("L", 9, 9)).save(folder / "a cat.jpg")
    before = (folder / "a cat.jpg").read_bytes()
    for _ in range(2):  # the second time over the first result
        assert main(["denoise", str(folder / "a cat.jpg"), "--weights", str(weights)]) == 0
        assert sorted(p.name for p in folder.iterdir()) == ["a cat-denoised.png", "a cat.jpg"]
    assert (folder / "a cat.jpg").read_bytes() == before


# ---------------------------------------------------------------- the weights of the package


def test_the_shipped_weights_say_how_they_were_made():
    assert models.SHIPPED.stat().st_size < 1_000_000
    made = load_json(models.SHIPPED, models.KEY)["made"]
    assert made["command"] == common.command({"recipe": "denoise", **made["settings"]})
    assert "--full" in made["command"] and f"--seed {made['settings']['seed']}" in made["command"]
    assert re.fullmatch("[0-9a-f]{40}", made["commit"])  # not "-dirty"
    head, *lines = models.SHIPPED.with_suffix(".csv").read_text(encoding="utf-8").splitlines()
    assert head == "step,loss,psnr,seconds"
    step, loss, quality, seconds = map(float, lines[-1].split(","))
    assert step == made["settings"]["steps"] and quality > 30 and seconds < 30 * 60


def test_the_shipped_weights_remove_noise_of_every_strength():
    model, clean = models.load(), photograph("camera")[100:228, 150:278]
    for sigma, gain in {5: 1, 15: 4, 25: 5, 50: 8}.items():
        noisy = add_noise(clean, sigma / 255, np.random.default_rng(0))
        left = np.mean((denoise(model, noisy, sigma / 255) - clean) ** 2)
        assert 10 * np.log10((sigma / 255) ** 2 / left) > gain
