"""The photographs, and crops of them that depend on (seed, epoch, index) alone."""

import re
import socket
import subprocess
import sys

import numpy as np
import pytest
import skimage.color
import skimage.data
import sklearn.datasets
from refusals import refused
from test_budgets import ROOT

from tinydeconv.data import (
    HELD_OUT,
    PHOTOGRAPHS,
    SIGMA,
    TEXTURES,
    TRAINING,
    Crops,
    Loader,
    add_noise,
    images,
    photograph,
    photographs,
)

# (height, width), as the documentation of the packages has them
SIZES = {
    "astronaut": (512, 512),
    "brick": (512, 512),
    "camera": (512, 512),
    "chelsea": (300, 451),
    "china": (427, 640),
    "clock": (300, 400),
    "coffee": (400, 600),
    "coins": (303, 384),
    "flower": (427, 640),
    "grass": (512, 512),
    "gravel": (512, 512),
    "hubble_deep_field": (872, 1000),
    "immunohistochemistry": (512, 512),
    "microaneurysms": (102, 102),
    "retina": (1411, 1411),
    "rocket": (427, 640),
}


def original(name):
    """The photograph as its own package hands it out."""
    if name in ("china", "flower"):
        return sklearn.datasets.load_sample_image(f"{name}.jpg")
    return getattr(skimage.data, name)()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_is_its_packages_own_in_grey(name):
    image, expected = photograph(name), original(name)
    expected = skimage.color.rgb2gray(expected) if expected.ndim == 3 else expected / 255
    assert image.shape == SIZES[name] == expected.shape
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, expected, rtol=0, atol=3e-7)
    assert 0 <= image.min() < image.max() <= 1
    assert not image.flags.writeable


def test_the_held_out_photographs():
    assert HELD_OUT == ("camera", "astronaut")
    assert set(HELD_OUT) | set(TRAINING) == set(PHOTOGRAPHS) == set(SIZES)
    assert not set(HELD_OUT) & set(TRAINING)


def test_the_textures_are_training_photographs():
    assert set(TEXTURES) < set(TRAINING)
    assert Crops(TEXTURES, size=8).names == ("brick", "grass", "gravel")


def test_no_photograph_is_a_training_photograph_by_another_name():
    for held_out in HELD_OUT:
        for name in TRAINING:
            assert not np.array_equal(photograph(held_out), photograph(name))


def test_no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a photograph was looked for on the network")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for name in PHOTOGRAPHS:
        assert photograph.__wrapped__(name).shape == SIZES[name]  # around the cache


def test_every_photograph_is_credited_with_a_licence():
    text = (ROOT / "CREDITS.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)`(?: \(held out\))? (\|.*)\|$", text, re.MULTILINE))
    assert set(rows) == set(PHOTOGRAPHS)
    for name, row in rows.items():
        shows, author, licence = (cell.strip() for cell in row.strip("|").split("|"))
        assert shows and author, name
        assert re.search("CC0|public domain|CC BY 2.0|no known copyright", licence), name


def test_importing_the_data_imports_no_image_library():
    code = (
        "import sys, tinydeconv.data, tinydeconv.viz, tinydeconv.recipes.classical\n"
        "print({'PIL', 'skimage', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=ROOT
    )
    assert run.stdout.strip() == "set()", run.stderr


@pytest.mark.parametrize(
    ("module", "name"), [("PIL", "brick"), ("skimage", "brick"), ("sklearn", "china")]
)
def test_a_missing_package_is_named_with_its_remedy(monkeypatch, module, name):
    real = images.importlib.import_module

    def without(wanted):
        if wanted.split(".")[0] == module:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        return real(wanted)

    monkeypatch.setattr(images.importlib, "import_module", without)
    with refused(ImportError, module, 'pip install "tinydeconv[images]"'):
        photograph.__wrapped__(name)


# ------------------------------------------------------------ noise


def test_noise_is_gaussian_and_not_clipped():
    clean = np.zeros((400, 500), dtype=np.float32)
    noise = add_noise(clean, 0.1, np.random.default_rng(0))
    assert noise.dtype == np.float32 and not clean.any()
    assert noise.min() < -0.3  # would be 0, clipped
    assert noise.mean() == pytest.approx(0, abs=0.001)
    assert noise.std() == pytest.approx(0.1, rel=0.01)
    assert (noise**4).mean() == pytest.approx(3 * 0.1**4, rel=0.03)  # kurtosis of the Gaussian
    side_by_side = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(side_by_side) < 0.01


# ------------------------------------------------------------ crops


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_crop_depends_on_seed_epoch_and_index_alone():
    crops = Crops(size=24, seed=3)
    keys = [(epoch, index) for epoch in range(3) for index in range(5)]
    forwards = {key: crops.crop(*key) for key in keys}
    np.random.seed(0)  # nothing global has a say
    other = Crops(size=24, seed=3)
    for key in reversed(keys):
        assert same(other.crop(*key), forwards[key])


def test_every_part_of_the_key_counts():
    keys = [(seed, epoch, index) for seed in range(3) for epoch in range(3) for index in range(3)]
    drawn = {Crops(size=16, seed=seed).crop(*key)[0].tobytes() for seed, *key in keys}
    assert len(drawn) == len(keys)


def poses(image):
    turned = [np.rot90(image, k) for k in range(4)]
    return turned + [pose[:, ::-1] for pose in turned]


def test_a_crop_is_a_part_of_its_photograph_in_one_of_eight_poses():
    """In a photograph whose pixels all differ, every crop must be found where it says it is."""
    crops = Crops(["microaneurysms"], size=20)
    image = np.arange(102 * 102, dtype=np.float32).reshape(102, 102)
    places, seen = set(), set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photographs, "photograph", lambda name: image)
        for index in range(400):
            _, clean, _ = crops.crop(0, index)
            top, left = divmod(int(clean.min()), 102)
            expected = poses(image[top : top + 20, left : left + 20])
            (pose,) = (i for i, part in enumerate(expected) if np.array_equal(clean[0], part))
            places.add((top, left))
            seen.add(pose)
    assert seen == set(range(8))
    assert len(places) > 350
    assert min(top for top, _ in places) < 3 and max(top for top, _ in places) > 79
    assert min(left for _, left in places) < 3 and max(left for _, left in places) > 79


def test_the_whole_of_the_smallest_photograph_can_be_a_crop():
    _, clean, _ = Crops(["microaneurysms"], size=102).crop(0, 0)
    assert any(np.array_equal(clean[0], p) for p in poses(photograph("microaneurysms")))


def test_crops_come_from_every_training_photograph():
    crops, seen = Crops(size=8), set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photographs, "photograph", lambda n: seen.add(n) or np.zeros((9, 9), "f4"))
        for index in range(200):
            crops.crop(0, index)
    assert seen == set(TRAINING)


def test_noise_is_fresh_for_each_crop():
    crops = Crops(["brick"], size=64)
    noises = [np.subtract(*crops.crop(epoch, 7)[:2]) for epoch in range(4)]
    assert np.std(noises) == pytest.approx(SIGMA, rel=0.03)
    correlations = np.corrcoef([noise.ravel() for noise in noises])
    assert np.abs(correlations - np.eye(4)).max() < 0.06


def test_noise_of_a_range_is_drawn_for_each_crop_and_told():
    crops = Crops(["brick"], size=64, sigma=(0.02, 0.2))
    told = []
    for index in range(60):
        noisy, clean, sigma = crops.crop(0, index)
        assert np.std(noisy - clean) == pytest.approx(sigma, rel=0.1)
        told.append(sigma)
    assert 0.02 < min(told) < 0.04 and 0.18 < max(told) < 0.2
    assert np.mean(told) == pytest.approx(0.11, abs=0.02)
    assert Crops(["brick"], size=64, sigma=0.1).crop(0, 0)[2] == np.float32(0.1)


@pytest.mark.parametrize("names", [HELD_OUT, ["brick", "camera"], ["astronaut"], PHOTOGRAPHS])
def test_training_may_not_touch_a_held_out_photograph(names):
    for name in (name for name in names if name in HELD_OUT):
        with refused(ValueError, name):
            Crops(names)


def test_bad_input():
    with refused(ValueError, "'lena'", "coffee"):
        photograph("lena")
    with refused(ValueError, 102, 103):
        Crops(size=103)
    with refused(ValueError, 102, 0):
        Crops(size=0)
    with refused(ValueError, "0 photographs"):
        Crops([])


# ------------------------------------------------------------ batches


def test_batches():
    crops = Crops(size=12, seed=5)
    batches = list(Loader(crops, batch_size=3, length=4).batches(epoch=2))
    assert len(batches) == 4
    for b, batch in enumerate(batches):
        assert [array.shape for array in batch] == [(3, 1, 12, 12), (3, 1, 12, 12), (3,)]
        for part, array in enumerate(batch):
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
            expected = [crops.crop(2, 3 * b + i)[part] for i in range(3)]
            assert np.array_equal(array, expected)


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_may_be_entered_at_any_batch(start):
    loader = Loader(Crops(size=12), batch_size=2, length=4)
    whole = list(loader.batches(epoch=1))
    rest = list(Loader(Crops(size=12), batch_size=2, length=4).batches(epoch=1, start=start))
    assert len(rest) == 4 - start
    assert all(same(a, b) for a, b in zip(rest, whole[start:], strict=True))
