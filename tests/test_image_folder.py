"""A folder of images of one's own: order, labels, crop, size, and what is refused."""

import numpy as np
import pytest
from PIL import Image
from refusals import refused

from tinydeconv.data import image_folder

rng = np.random.default_rng(0)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)


def flat(value, side=4):
    return np.full((side, side), value)


def bicubic(image, size):
    """Keys's cubic (a = -1/2) as wide as the pixels of the small image, one axis after the other.

    Each axis is rounded to whole levels, as images of 8 bits are.
    """
    for axis in (1, 0):
        scale = image.shape[axis] / size
        wide = max(scale, 1)
        centres = (np.arange(size)[:, None] + 0.5) * scale
        t = np.abs((np.arange(image.shape[axis]) + 0.5 - centres) / wide)
        near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
        weights = np.where(t < 1, near, np.where(t < 2, far, 0))
        weights /= weights.sum(axis=1, keepdims=True)
        image = np.moveaxis(np.tensordot(weights, image, (1, axis)), 0, axis)
        image = np.clip(np.rint(image), 0, 255)
    return image


def test_folders_are_classes(tmp_path):
    for name, value in {"b/2.png": 3, "b/10.PNG": 2, "a/z/deep.bmp": 1, "a/9.ppm": 0}.items():
        save(tmp_path / name, flat(value))
    (tmp_path / "empty").mkdir()
    (tmp_path / "a" / "read me.txt").write_text("no image", encoding="utf-8")
    for hidden in (".DS_Store", "a/._9.png", ".thumbnails/9.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"no image")
    images, labels, names = image_folder(str(tmp_path), 4)
    assert (images.dtype, images.shape, labels.dtype) == (np.uint8, (4, 1, 4, 4), np.int64)
    np.testing.assert_array_equal(images[:, 0, 0, 0], [0, 1, 2, 3])  # in the order of the paths
    np.testing.assert_array_equal(labels, [0, 0, 1, 1])
    assert names == ["a", "b"]


def test_one_image(tmp_path, monkeypatch):
    save(tmp_path / "mine" / "x.png", flat(7))
    monkeypatch.chdir(tmp_path / "mine")
    for path in (".", tmp_path / "mine"):
        images, labels, names = image_folder(path, 3)
        np.testing.assert_array_equal(images, np.full((1, 1, 3, 3), 7))
        assert labels.tolist() == [0] and names == ["mine"]


def test_one_folder_of_classes(tmp_path):
    save(tmp_path / "mine" / "cats" / "x.png", flat(7))
    assert image_folder(tmp_path / "mine", 2)[2] == ["cats"]


@pytest.mark.parametrize("shape", [(10, 30), (30, 10), (11, 24), (1, 9)])
def test_the_middle_is_cut_out(tmp_path, shape):
    """What surrounds the square does not even bleed into its edge."""
    side = min(shape)
    image = np.full(shape, 255)
    top, left = ((n - side) // 2 for n in shape)
    image[top : top + side, left : left + side] = 9
    save(tmp_path / "x.png", image)
    for size in (side, 3, 40):
        images, _, _ = image_folder(tmp_path, size)
        np.testing.assert_array_equal(images, np.full((1, 1, size, size), 9))


@pytest.mark.parametrize("size", [1, 7, 16, 24, 31])
def test_resized_with_antialias(tmp_path, size):
    image = rng.integers(256, size=(24, 24))
    save(tmp_path / "x.png", image)
    (found,), _, _ = image_folder(tmp_path, size)
    assert np.abs(found[0] - bicubic(image, size)).max() <= 1
    if size == 24:
        np.testing.assert_array_equal(found[0], image)


def test_stripes_become_grey(tmp_path):
    save(tmp_path / "x.png", np.tile([0, 255], (64, 32)))
    (found,), _, _ = image_folder(tmp_path, 8)
    assert np.abs(found[0].astype(int) - 127.5).max() < 6


def test_grey_and_colour(tmp_path):
    save(tmp_path / "1 colour.png", np.full((4, 4, 3), (200, 100, 50)))
    save(tmp_path / "2 alpha.png", np.full((4, 4, 4), (200, 100, 50, 0)))
    save(tmp_path / "3 grey.png", flat(70))
    Image.fromarray(np.full((4, 4), 70 * 257, dtype=np.uint16)).save(tmp_path / "4 deep.png")
    colour, _, _ = image_folder(tmp_path, 4, colour=True)
    assert colour.shape == (4, 3, 4, 4)
    expected = [(200, 100, 50), (200, 100, 50), (70, 70, 70), (70, 70, 70)]
    np.testing.assert_array_equal(colour[:, :, 1, 2], expected)
    grey, _, _ = image_folder(tmp_path, 4)
    luminance = round(0.2125 * 200 + 0.7154 * 100 + 0.0721 * 50)
    np.testing.assert_array_equal(grey[:, 0, 1, 2], [luminance, luminance, 70, 70])


def test_a_photograph_held_upright(tmp_path):
    """The EXIF orientation 6 says that the first row of the file is the right-hand side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "x.png", np.arange(4)[:, None] * np.full((4, 4), 50), exif=exif)
    (found,), _, _ = image_folder(tmp_path, 4)
    np.testing.assert_array_equal(found[0], np.full((4, 4), [150, 100, 50, 0]))


def test_bad_images_are_named(tmp_path):
    save(tmp_path / "good.png", flat(7))
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    with refused(ValueError, 2, 3, tmp_path / "text.png", tmp_path / "cut.png"):
        image_folder(tmp_path, 4)
    with pytest.raises(ValueError, match="^(?!.*good).*$"):
        image_folder(tmp_path, 4)


def test_bad_folders(tmp_path):
    with refused(ValueError, "nothing there", tmp_path / "missing"):
        image_folder(tmp_path / "missing", 4)
    with refused(ValueError, "no images", tmp_path, ".png"):
        image_folder(tmp_path, 4)
    (tmp_path / "x.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "x.png").mkdir()
    with refused(ValueError, "no images", tmp_path):
        image_folder(tmp_path, 4)
    with refused(ValueError, "a file", tmp_path / "x.txt"):
        image_folder(tmp_path / "x.txt", 4)


def test_an_image_beside_the_classes(tmp_path):
    for name in ("!first/1.png", "cats/1.png", "stray.png"):
        save(tmp_path / name, flat(7))
    with refused(ValueError, tmp_path / "stray.png", "class"):
        image_folder(tmp_path, 4)


@pytest.mark.parametrize("inside", [True, False])
def test_links_are_refused(tmp_path, inside):
    """To a file or a folder, inside or outside; only the folder itself may be a link."""
    save(tmp_path / "mine" / "cats" / "1.png", flat(7))
    save(tmp_path / "private" / "2.png", flat(8))
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert len(image_folder(tmp_path / "link", 4)[0]) == 1
    target = tmp_path / ("mine/cats" if inside else "private")
    for link, to in {"cats/3.png": target / "1.png", "dogs": target}.items():
        (tmp_path / "mine" / link).symlink_to(to)
        with refused(ValueError, tmp_path / "mine" / link, "link"):
            image_folder(tmp_path / "mine", 4)
        (tmp_path / "mine" / link).unlink()


@pytest.mark.parametrize("size", [0, -3])
def test_no_size(tmp_path, size):
    save(tmp_path / "x.png", flat(7))
    with refused(ValueError, "at least 1", size):
        image_folder(tmp_path, size)
