"""Image files of every kind, whole and damaged."""

import os

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from tinydeconv.data import read_image, rgb2gray, write_image

rng = np.random.default_rng(0)
GREY = rng.integers(256, size=(5, 7), dtype=np.uint8)
COLOUR = rng.integers(256, size=(5, 7, 3), dtype=np.uint8)
ALPHA = rng.integers(256, size=(5, 7, 1), dtype=np.uint8)
DEEP = rng.integers(65536, size=(5, 7), dtype=np.uint16)


def palette():
    image = Image.fromarray(GREY % 3).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.info["transparency"] = 1
    return image


FILES = {  # name of the file: (what Pillow is to write, the pixels to be read)
    "grey.png": (Image.fromarray(GREY), GREY / 255),
    "colour.png": (Image.fromarray(COLOUR), COLOUR / 255),
    "grey with alpha.png": (Image.fromarray(np.dstack([GREY[..., None], ALPHA])), GREY / 255),
    "colour with alpha.png": (Image.fromarray(np.dstack([COLOUR, ALPHA])), COLOUR / 255),
    "black and white.png": (Image.fromarray(GREY > 127), GREY > 127),
    "palette.png": (
        palette(),
        np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]])[GREY % 3] / 255,
    ),
    "16 bits.png": (Image.fromarray(DEEP), DEEP / 65535),
    "16 bits.tif": (Image.fromarray(DEEP), DEEP / 65535),
    "16 bits, big-endian.tif": (Image.fromarray(DEEP.astype(">u2")), DEEP / 65535),
    "16 bits.pgm": (Image.fromarray(DEEP), DEEP / 65535),
    "one pixel.png": (Image.fromarray(GREY[:1, :1]), GREY[:1, :1] / 255),
    "bitmap.bmp": (Image.fromarray(COLOUR), COLOUR / 255),
    "with a space and 中文.png": (Image.fromarray(GREY), GREY / 255),
}


@pytest.mark.parametrize("name", FILES)
def test_read(tmp_path, name):
    image, expected = FILES[name]
    image.save(tmp_path / name)
    pixels = read_image(tmp_path / name)
    assert pixels.dtype == np.float32
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=1e-7)


def test_read_jpeg_and_cmyk(tmp_path):
    flat = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    for mode in ("RGB", "CMYK"):
        Image.fromarray(flat).convert(mode).save(tmp_path / "flat.jpg", quality=100)
        np.testing.assert_allclose(read_image(str(tmp_path / "flat.jpg")), flat / 255, atol=0.02)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((4, 6), level, dtype=np.uint8)) for level in (50, 200)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(
        rgb2gray(np.atleast_3d(read_image(tmp_path / "two.gif")) * np.ones(3, "f4")),
        50 / 255,
        atol=1e-6,
    )


# EXIF orientation: how the stored pixels must be turned (EXIF 2.3, tag 274)
ORIENTATIONS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("stored", [GREY, COLOUR, DEEP], ids=["grey", "colour", "16 bits"])
def test_exif_orientation(tmp_path, stored, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    expected = ORIENTATIONS[orientation](stored / np.iinfo(stored.dtype).max)
    np.testing.assert_allclose(read_image(tmp_path / "turned.png"), expected, atol=1e-7)


def test_luminance():
    grey = rgb2gray(np.eye(3, dtype=np.float32)[None])
    np.testing.assert_allclose(grey, [[0.2125, 0.7154, 0.0721]], rtol=1e-6)
    assert grey.dtype == np.float32 and grey.shape == (1, 3)


# ------------------------------------------------------------ damaged


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "bmp", "webp"])
def test_a_truncated_file(tmp_path, suffix):
    """Wherever it was cut: one sentence, never the remainder painted grey."""
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(rng.integers(256, size=(40, 50, 3), dtype=np.uint8)).save(path)
    data = path.read_bytes()
    for kept in np.linspace(0, 0.9, 10):
        path.write_bytes(data[: int(kept * len(data))])
        with refused(ValueError, "cut"):
            read_image(path)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_not_an_image(tmp_path, content):
    (tmp_path / "not.png").write_bytes(content)
    with refused(ValueError, "not.png"):
        read_image(tmp_path / "not.png")


def test_what_is_not_there(tmp_path):
    with refused(ValueError, "nothing there", "missing.png"):
        read_image(tmp_path / "missing.png")
    with refused(ValueError, "a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("pixels", [DEEP.astype(np.int32) + 65536, GREY.astype(np.float32)])
def test_32_bits_are_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "wide.tif")
    with refused(ValueError, "wide.tif", 8, 16, 32):
        read_image(tmp_path / "wide.tif")


# ------------------------------------------------------------ written


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_what_is_written_is_read_again(tmp_path, pixels):
    write_image(tmp_path / "again.png", pixels / np.float32(255))
    assert np.array_equal(read_image(tmp_path / "again.png"), pixels / np.float32(255))
    assert os.listdir(tmp_path) == ["again.png"]


def test_written_values_are_clipped_and_rounded(tmp_path):
    write_image(tmp_path / "edge.PNG", [[-3.0, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0]])
    with Image.open(tmp_path / "edge.PNG") as image:
        assert np.asarray(image).tolist() == [[0, 0, 0, 1, 255, 255]]


@pytest.mark.parametrize("suffix", ["jpg", "tif", "bmp", "webp", "pgm"])
def test_the_suffix_says_the_format(tmp_path, suffix):
    write_image(tmp_path / f"flat.{suffix}", np.full((16, 16), 0.5))
    np.testing.assert_allclose(np.mean(read_image(tmp_path / f"flat.{suffix}")), 0.5, atol=0.02)


def test_bad_output_leaves_nothing(tmp_path):
    image = np.full((4, 4), 0.5)
    with refused(ValueError, "(4, 4, 2)"):
        write_image(tmp_path / "o.png", np.ones((4, 4, 2)))
    with refused(ValueError, "(0, 4)"):
        write_image(tmp_path / "o.png", np.ones((0, 4)))
    with refused(ValueError, 1, 16, "NaN"):
        write_image(tmp_path / "o.png", np.where(np.eye(4) * [1, 0, 0, 0], np.nan, image))
    for name in ("o.npy", "o", "o.psd"):  # .psd can be read, not written
        with refused(ValueError, ".png", name):
            write_image(tmp_path / name, image)
    assert os.listdir(tmp_path) == []
    with refused(FileNotFoundError, "nowhere"):
        write_image(tmp_path / "nowhere" / "o.png", image)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "kept.png"
    write_image(path, np.zeros((4, 4)))
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space left"):
        write_image(path, np.ones((4, 4)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["kept.png"]
