"""Photographs of every kind and size enlarged, at the command line and off it."""

import json

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from test_sr import KINDS, draw, trained

import tinydeconv as td
from tinydeconv import models
from tinydeconv.cli import main
from tinydeconv.data import photograph
from tinydeconv.metrics import psnr
from tinydeconv.recipes import common, learned
from tinydeconv.recipes import sr as recipe
from tinydeconv.recipes.upscale import upscale
from tinydeconv.serialize import load_json

LUMINANCE = np.float32([0.2125, 0.7154, 0.0721])


def whole(model, plane):
    """A plane through the network in one piece, with borders mirrored."""
    m, s, (height, width) = model.margin, model.scale, plane.shape
    padded = np.pad(plane, m, mode="symmetric")
    large = model(td.tensor(padded[None, None])).detach().numpy()[0, 0]
    return large[m * s : (m + height) * s, m * s : (m + width) * s]


def pillows(plane, scale, margin):
    """The same by Pillow's bicubic enlargement."""
    padded = np.pad(plane, margin, mode="symmetric")
    size = [n * scale for n in padded.shape[::-1]]
    large = np.asarray(Image.fromarray(padded).resize(size, Image.BICUBIC))
    cut = margin * scale
    return large[cut:-cut, cut:-cut]


# ---------------------------------------------------------------- an image


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (3, 2), (1, 40), (5, 40, 3), (33, 18)])
def test_any_size_and_colour(shape):
    image = draw(*shape)
    before = image.copy()
    large = upscale(trained(4), image)
    assert large.shape == (4 * shape[0], 4 * shape[1], *shape[2:]) and large.dtype == np.float32
    assert large.min() >= 0 and large.max() <= 1
    assert np.array_equal(image, before)


@pytest.mark.parametrize("scale, upsampling", KINDS)
def test_tiles_are_the_whole_image(scale, upsampling, monkeypatch):
    monkeypatch.setattr(learned, "TILE", 16)
    model = trained(scale, upsampling)
    for shape in [(16, 32), (39, 17), (5, 50)]:
        image = draw(*shape)
        expected = whole(model, image).clip(0, 1)
        np.testing.assert_allclose(upscale(model, image), expected, atol=2e-6)
        assert abs(expected - pillows(image, scale, model.margin)).max() > 0.05


def test_memory_for_the_network_does_not_grow_with_the_image(monkeypatch):
    model, seen = trained(), []

    class Model:
        margin, scale = model.margin, model.scale

        def __call__(self, small):
            seen.append(small.shape)
            return model(small)

    monkeypatch.setattr(learned, "TILE", 64)
    upscale(Model(), draw(200, 300, 3))
    m = model.margin
    assert len(seen) == 4 * 5 and np.max(seen, axis=0).max() <= 64 + 3 * m


def test_colour_is_luminance_and_what_pillow_makes_of_the_differences():
    model, image = trained(2), draw(20, 30, 3) / 2 + 0.25
    luminance = image @ LUMINANCE
    differences = [pillows(image[..., c] - luminance, 2, model.margin) for c in range(3)]
    expected = whole(model, luminance)[..., None] + np.stack(differences, 2)
    assert 0 < expected.min() < expected.max() < 1
    np.testing.assert_allclose(upscale(model, image), expected, atol=1e-5)


def test_a_grey_image_with_three_equal_colours_stays_grey():
    model, grey = trained(2), draw(9, 8)
    large = upscale(model, np.repeat(grey[..., None], 3, axis=2))
    np.testing.assert_allclose(large, upscale(model, grey)[..., None].repeat(3, 2), atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 4), (0, 4), (2, 4, 4, 3)])
def test_what_is_no_image_is_refused(shape):
    with refused(ValueError, "(H, W)", shape):
        upscale(trained(), np.zeros(shape))
    with refused(ValueError, "[0, 1]", "uint8"):
        upscale(trained(), np.zeros((4, 4), np.uint8))


# ---------------------------------------------------------------- the command


@pytest.fixture
def files(tmp_path):
    """(photo, weights, out)"""
    models.save(trained(2), tmp_path / "w.safetensors")
    return [tmp_path / name for name in ("photo.png", "w.safetensors", "big.png")]


@pytest.mark.parametrize("mode, shape", [("L", (7, 12)), ("RGB", (7, 12, 3)), ("L", (1, 1))])
def test_a_photograph_of_every_kind(mode, shape, files, capsys):
    photo, weights, out = files
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    image = Image.fromarray(pixels)
    assert image.mode == mode
    image.save(photo)
    words = ["upscale", str(photo), "--weights", str(weights), "--out", str(out)]
    assert main([*words, "--device", "cpu"]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    found = np.asarray(Image.open(out))
    expected = upscale(trained(2), (pixels / 255).astype(np.float32))
    np.testing.assert_allclose(found / 255, expected, atol=0.51 / 255)


def test_weights_of_another_network_are_refused(files, capsys):
    photo, weights, out = files
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(photo)
    models.save(models.Denoiser((4, 6)), weights)
    words = ["upscale", str(photo), "--weights", str(weights), "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main([*words, "--device", "cpu"])
    assert stop.value.code == 2 and "SuperResolution" in capsys.readouterr().err
    assert not out.exists()


# ---------------------------------------------------------------- the weights of the package


@pytest.mark.parametrize("scale", [2, 4])
def test_the_shipped_weights_say_how_they_were_made(scale):
    path = models.shipped(f"superresolution-x{scale}")
    assert path.stat().st_size < 500_000
    model, made = models.load(path, models.SuperResolution), load_json(path, models.KEY)["made"]
    assert model.scale == scale == made["settings"]["scale"]
    assert made["command"] == common.command(made["settings"])
    assert made["settings"]["steps"] > recipe.Settings().steps
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(lines[-1])
    assert last["step"] == made["settings"]["steps"] and last["psnr"] > {2: 35, 4: 30.8}[scale]


@pytest.mark.parametrize("scale", [2, 4])
def test_the_shipped_weights_are_ahead_of_bicubic(scale):
    """On a corner of each held-out photograph, shrunk and enlarged by Pillow."""
    model = models.load(models.shipped(f"superresolution-x{scale}"))
    for name in recipe.HELD_OUT:
        clean = photograph(name)[80:280, 80:280]
        small = Image.fromarray(clean).resize((200 // scale,) * 2, Image.BICUBIC)
        bicubic = np.asarray(small.resize((200, 200), Image.BICUBIC))
        gain = psnr(clean, upscale(model, np.asarray(small))) - psnr(clean, bicubic.clip(0, 1))
        assert gain > {2: 0.8, 4: 0.4}[scale]


def test_the_command_uses_the_shipped_weights(tmp_path):
    """Without --weights; the picture stands beside the photograph."""
    pixels = np.rint(255 * photograph("coffee")[100:140, 100:150]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a cup.png")
    for scale in (2, 4):
        words = ["upscale", str(tmp_path / "a cup.png"), "--scale", str(scale), "--device", "cpu"]
        assert main(words) == 0
        found = np.asarray(Image.open(tmp_path / f"a cup-x{scale}.png")) / 255
        model = models.load(models.shipped(f"superresolution-x{scale}"))
        expected = upscale(model, (pixels / 255).astype(np.float32))
        np.testing.assert_allclose(found, expected, atol=0.51 / 255)
