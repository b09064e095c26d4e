"""The characters that are always there: endless glyphs, and real handwritten digits."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import sklearn.datasets
from PIL import Image, ImageDraw, ImageFont
from refusals import refused
from test_budgets import ROOT

from tinydeconv.data import GLYPHS, Glyphs, digits, glyphs, images

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
CELL = 64


@cache
def atlas():
    with np.load(glyphs.ATLAS, allow_pickle=False) as file:
        return file["faces"].tolist(), file["glyphs"]


# ------------------------------------------------------------ the atlas


def centred(image):
    """Moved until the centre of mass is in the middle."""
    image = np.asarray(image, np.float32)
    shift = (CELL - 1) / 2 - np.array(scipy.ndimage.center_of_mass(image))
    return scipy.ndimage.shift(image, shift, order=1)


def test_the_characters():
    assert len(GLYPHS) == len(set(GLYPHS)) == 62
    assert GLYPHS[:10] == "0123456789" and GLYPHS.isascii() and GLYPHS.isalnum()


@pytest.mark.parametrize("face", range(8))
def test_a_label_says_which_character_it_is(face):
    """Beside what Pillow draws with the font: closer to it than to any other character."""
    faces, cells = atlas()
    font = ImageFont.truetype(FONTS / f"{faces[face]}.ttf", 480)  # so large that hinting is nothing
    drawn = []
    for character in GLYPHS:
        left, top, right, bottom = font.getbbox(character)
        image = Image.new("L", (10 * CELL, 10 * CELL))
        at = 5 * CELL - (left + right) // 2, 5 * CELL - (top + bottom) // 2
        ImageDraw.Draw(image).text(at, character, fill=255, font=font)
        drawn.append(centred(image.reduce(10)))
    ours = np.stack([centred(cell) for cell in cells[face]])
    distances = np.abs(ours[:, None] - np.stack(drawn)).mean((2, 3))
    assert (distances.argmin(1) == np.arange(62)).all()


def test_every_character_stands_in_the_middle_of_its_cell():
    faces, cells = atlas()
    assert cells.shape == (8, 62, CELL, CELL) and cells.dtype == np.uint8
    assert len(set(faces)) == 8
    assert len({cell.tobytes() for cell in cells.reshape(-1, CELL, CELL)}) == 8 * 62
    for axis in (2, 3):
        ink = cells.any(axis)
        first, last = ink.argmax(-1), CELL - 1 - ink[..., ::-1].argmax(-1)
        assert np.abs((first + last) / 2 - (CELL - 1) / 2).max() <= 0.5
    assert cells.max((2, 3)).min() > 200


def test_the_atlas_is_what_the_tool_draws(monkeypatch):
    pytest.importorskip("matplotlib", "3.10")  # whose LoadFlags the tool uses
    monkeypatch.syspath_prepend(ROOT / "tools")
    import bake_glyphs

    faces, cells = atlas()
    assert tuple(faces) == bake_glyphs.FACES
    apart = np.abs(bake_glyphs.bake().astype(int) - cells)
    assert np.count_nonzero(apart) < 0.01 * apart.size and apart.max() < 16  # by its FreeType


def test_the_atlas_is_small_and_has_its_licence():
    assert glyphs.ATLAS.stat().st_size < 150_000
    licence = glyphs.ATLAS.with_name("LICENSE_DEJAVU").read_text(encoding="utf-8")
    assert licence == (FONTS / "LICENSE_DEJAVU").read_text(encoding="utf-8")


def test_the_atlas_runs_no_code(monkeypatch, tmp_path):
    np.savez(tmp_path / "glyphs.npz", glyphs=np.array([print], object))
    monkeypatch.setattr(glyphs, "ATLAS", tmp_path / "glyphs.npz")
    with pytest.raises(ValueError, match="allow_pickle"):
        glyphs._atlas.__wrapped__()  # around the cache


def test_glyphs_need_no_image_library():
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'skimage', 'sklearn', 'scipy'):\n"
        "    sys.modules[name] = None\n"  # importing it is an ImportError now
        "from tinydeconv.data import Glyphs\n"
        "print(Glyphs().batch(0, range(3))[0].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT
    )
    assert done.stdout.strip() == "(3, 1, 32, 32)", done.stderr


# ------------------------------------------------------------ the images


def drawn_again(data, epoch, index, frame):
    """The image in a wider frame, by SciPy, and its label: the same draws, but its own geometry."""
    u = np.random.default_rng([data.seed, epoch, index]).random(7)
    face, label = int(u[0] * 8), int(u[1] * data.classes)
    angle, shear, scale = -0.25 + 0.5 * u[2], -0.2 + 0.4 * u[3], 0.8 + 0.3 * u[4]
    cell = atlas()[1][face, label]
    step = CELL // data.size
    cell = np.add.reduceat(
        np.add.reduceat(cell, range(0, CELL, step), 0, float), range(0, CELL, step), 1
    )
    cell /= step**2
    slant = np.array([[1, 0], [shear, 1]])  # of (y, x)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # The corners of a box around the ink, and of a pixel of blur around that
    half = [
        np.abs(np.flatnonzero(cell.any(axis)) - (data.size - 1) / 2).max() + 1 for axis in (1, 0)
    ]
    corners = np.array([(half[0], half[1]), (half[0], -half[1])]).T
    reach = np.abs(turn @ slant @ corners).max(1)
    middle = (data.size - 1) / 2
    scale = min(scale, middle / reach.max())
    room = np.minimum(middle - scale * reach, 3 / 32 * data.size)
    forward = scale * turn @ slant
    back, shift = np.linalg.inv(forward), (2 * u[5:] - 1) * room
    offset = middle - back @ ((frame - 1) / 2 + shift)
    image = scipy.ndimage.affine_transform(
        cell, back, offset, (frame, frame), order=1, mode="grid-constant"
    )
    return image, label


@pytest.mark.parametrize(("classes", "size"), [(10, 32), (62, 32), (62, 16), (10, 64)])
def test_a_glyph_is_its_character_turned_slanted_scaled_and_shifted(classes, size):
    data = Glyphs(classes, size, seed=5)
    ours, labels = data.batch(3, range(40))
    assert ours.shape == (40, 1, size, size) and ours.dtype == np.uint8
    assert labels.shape == (40,) and labels.dtype == np.int64
    for index in range(40):
        expected, label = drawn_again(data, 3, index, size)
        assert labels[index] == label
        assert np.abs(ours[index, 0] - expected).max() < 0.51  # half of it from rounding


def test_a_glyph_never_leaves_the_frame():
    data = Glyphs(62, 16)
    for index in range(100):
        image, _ = drawn_again(data, 0, index, 32)
        image[8:24, 8:24] = 0
        assert image.max() < 1e-6


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_outermost_pixels_are_black(size):
    images, labels = Glyphs(62, size).batch(0, range(32_000 // size))
    images = images[:, 0]
    assert not images[:, [0, -1]].any() and not images[:, :, [0, -1]].any()
    assert set(labels) == set(range(62))
    near = size // 16  # and what is near them is not
    assert images[:, [near, -1 - near]].any() and images[:, :, [near, -1 - near]].any()


def test_a_larger_glyph_is_the_same_glyph():
    small, labels = Glyphs(62, 32).batch(0, range(50))
    large, same = Glyphs(62, 64).batch(0, range(50))
    assert np.array_equal(labels, same)
    large = large.reshape(50, 32, 2, 32, 2).mean((2, 4))
    for a, b in zip(small[:, 0], large):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.97


def test_a_glyph_depends_on_seed_epoch_and_index_alone():
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    alone = {key: Glyphs(62, seed=key[0]).batch(key[1], [key[2]])[0].tobytes() for key in keys}
    assert len(set(alone.values())) == len(keys)
    np.random.seed(0)  # nothing global has a say
    for seed, epoch, indices in [(0, 1, (2, 0)), (2, 0, (1, 2, 0)), (1, 2, (0, 1, 2, 2))]:
        images, _ = Glyphs(62, seed=seed).batch(epoch, indices)
        for image, index in zip(images, indices):
            assert image.tobytes() == alone[seed, epoch, index]


def test_classes_and_faces_are_equally_likely():
    data = Glyphs(62, 16)
    data._cells[:] = 0
    data._cells[..., 4:12, 4:12] = 10 * (1 + np.arange(8))[:, None, None, None, None]
    images, labels = data.batch(0, range(3100))
    faces = images.max((1, 2, 3))
    counts = np.unique(faces, return_counts=True), np.unique(labels, return_counts=True)
    assert [len(values) for values, _ in counts] == [8, 62]
    both = np.histogram2d(faces, labels, [8, 62])[0]
    for table in (counts[0][1], counts[1][1], both.ravel()):
        assert 0.01 < scipy.stats.chisquare(table).pvalue < 0.99


def test_bad_input():
    for classes in (11, 0, 26):
        with refused(ValueError, 10, 62, classes):
            Glyphs(classes)
    for size in (28, 0, 128):
        with refused(ValueError, 16, 32, 64, size):
            Glyphs(size=size)


# ------------------------------------------------------------ handwritten digits


def test_the_digits_are_scikit_learns():
    ours, labels = digits()
    theirs = sklearn.datasets.load_digits()
    assert ours.shape == (1797, 1, 8, 8) and ours.dtype == np.float32 and labels.dtype == np.int64
    assert ours.min() == 0 and ours.max() == 1
    assert np.array_equal(ours[:, 0] * 16, theirs.images)
    assert np.array_equal(labels, theirs.target)


def test_without_scikit_learn_the_remedy_is_named(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(images.importlib, "import_module", missing)
    with refused(ImportError, "sklearn", 'pip install "tinydeconv[images]"'):
        digits()
