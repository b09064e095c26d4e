"""Photographs without the traces of JPEG: real files, and a training that undoes them."""

import functools
import io
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from test_fill import trained

import tinydeconv as td
from tinydeconv import data, models, optim
from tinydeconv.data import HELD_OUT, Crops, photograph
from tinydeconv.recipes import common
from tinydeconv.recipes import dejpeg as recipe
from tinydeconv.recipes.apply import translate
from tinydeconv.recipes.dejpeg import Compressed, Settings
from tinydeconv.serialize import load_json

rng = np.random.default_rng(0)
TINY = Settings(steps=6, channels=(2, 3), batch_size=2, crop=16)


@pytest.fixture(autouse=True)
def few_photographs(monkeypatch):
    monkeypatch.setattr(recipe, "Crops", functools.partial(data.Crops, ["coins"]))


def through_a_file(image, quality):
    """A grey image in [0, 1] as Pillow writes and reads it."""
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * image).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32) / 255


# ---------------------------------------------------------------- data


def test_crops_come_out_of_real_files():
    """Every compressed crop is what a file of some quality of the range holds; all are drawn."""
    crops = Crops(["coins"], 16, 0, seed=4)
    compressed, clean = Compressed(crops, (20, 22)).batch(1, range(20))
    np.testing.assert_array_equal(clean, crops.batch(1, range(20))[1])
    assert compressed.dtype == np.float32 and compressed.shape == clean.shape
    found = []
    for jpeg, (image,) in zip(compressed, clean):
        files = {quality: through_a_file(image, quality) for quality in (20, 21, 22)}
        found.append({q for q, of in files.items() if np.array_equal(jpeg[0], of)})
    assert all(found) and {20, 21, 22} <= set().union(*found)


def test_qualities_are_keyed():
    crops = Crops(["coins"], 16, 0)
    all_of_them, _ = Compressed(crops, (5, 90)).batch(0, range(8))
    again, _ = Compressed(crops, (5, 90)).batch(0, [6, 2])
    np.testing.assert_array_equal(again, all_of_them[[6, 2]])
    other, _ = Compressed(Crops(["coins"], 16, 0, seed=1), (5, 90)).batch(0, range(8))
    assert np.any(other != all_of_them)


def test_the_held_out_photographs_stay_out():
    with refused(ValueError, "camera", "held out"):
        Crops(HELD_OUT, 16, 0)


# ---------------------------------------------------------------- training


def test_the_loss_by_hand(tmp_path):
    training = common.start("dejpeg", tmp_path, replace(TINY, batch_size=1, worst=30, best=30))
    _, ((clean,),) = next(training.loader.batches(0))
    jpeg = through_a_file(clean, 30)
    network = training.networks["filler"]
    assert network.config["skips"]
    painted = network(td.tensor(2 * jpeg[None, None] - 1)).detach().numpy()
    expected = np.mean(abs(painted[0, 0] - (2 * clean - 1)))
    training.run(stages={1: lambda: None})
    assert training.losses["loss"][0] == pytest.approx(expected, rel=1e-5)
    # the network starts as the identity
    assert expected == pytest.approx(2 * np.mean(abs(jpeg - clean)), rel=1e-5)


def test_it_learns_one_crop():
    """Sixty steps on a crop bring it nearer to the clean one than the file is."""
    td.manual_seed(0)
    network = models.Filler(channels=(12, 16), skips=True)
    jpeg, clean = (
        td.tensor(2 * x - 1)
        for x in Compressed(Crops(["coffee"], 32, 0), (10, 10)).batch(0, range(2))
    )
    optimizer, errors = optim.Adam(network.parameters(), 3e-3), []
    for _ in range(60):
        error = abs(network(jpeg) - clean).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.9 * errors[0]


def state(training):
    return {n: x.numpy() for n, x in training.networks["filler"].state_dict().items()}


def test_it_goes_on_bit_for_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "EPOCH", 2)
    whole = common.start("dejpeg", tmp_path / "whole", TINY)
    whole.run()
    cut = common.start("dejpeg", tmp_path / "cut", TINY)
    with pytest.raises(KeyboardInterrupt):
        cut.run(stages={3: lambda: signal.raise_signal(signal.SIGINT)})
    again = common.resume("dejpeg", tmp_path / "cut")
    assert again.step == 3
    again.run()
    assert again.losses == whole.losses
    for a, b in zip(state(again).items(), state(whole).items(), strict=True):
        assert a[0] == b[0] and np.array_equal(a[1], b[1])


def test_what_a_training_leaves_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "ROWS", 1)
    monkeypatch.setattr(recipe, "QUALITIES", (10, 40))
    table = recipe.train(common.start("dejpeg", tmp_path, replace(TINY, worst=20)))
    names = ["checkpoint.safetensors", "dejpeg.png", "first.png", "loss.png", "metrics.jsonl"]
    names += ["results.json", "table.txt", "weights.safetensors"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names
    assert table == (tmp_path / "table.txt").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert told["training"]["recipe"] == "dejpeg" and list(told["photographs"]) == list(HELD_OUT)
    for name, of_quality in told["photographs"].items():
        assert list(of_quality) == ["10", "40"]
        for quality, of in of_quality.items():
            clean = photograph(name)
            error = np.mean((through_a_file(clean, int(quality)).astype(float) - clean) ** 2)
            assert of["JPEG"]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)
            assert f"{-10 * np.log10(error):.2f}" in table
    made = load_json(tmp_path / "weights.safetensors", models.KEY)["made"]
    assert made["command"].startswith("tinydeconv train dejpeg --worst 20 --steps 6 --seed 0")
    assert models.load(tmp_path / "weights.safetensors", models.Filler).config["skips"]


def test_the_table_says_what_was_gained():
    def of(psnr, ssim):
        return {"psnr": psnr, "ssim": ssim}

    table = recipe._table({"camera": {"10": {"JPEG": of(28, 0.8), "network": of(29.25, 0.79)}}})
    assert "28.00 (0.800)   29.25 (0.790)    +1.25 (-0.010)" in table


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"worst": 41}, ["quality", "(41, 40)"]),
        ({"best": 101}, ["quality", 100, 101]),
        ({"worst": 0}, ["worst", 1, 0]),
        ({"max_lr": -1.0}, ["max_lr", "-1.0"]),
    ],
)
def test_bad_settings_are_refused(wrong, words):
    with refused(ValueError, *words):
        replace(TINY, **wrong)


def test_crops_larger_than_a_photograph_are_refused(tmp_path):
    with refused(ValueError, "crops", 303, 400):
        common.start("dejpeg", tmp_path, replace(TINY, crop=400))


# ---------------------------------------------------------------- put to use


@pytest.mark.parametrize("shape", [(20, 31), (270, 40)])
def test_tiles_are_the_whole_photograph(shape):
    model, image = trained((2, 3, 4), skips=True), rng.random(shape, np.float32)
    m = model.margin
    around = [(m, m + -n % m) for n in shape]
    padded = np.pad(image, around, "symmetric")[None, None]
    whole = model(td.tensor(2 * padded - 1)).detach().numpy()[0, 0, m:, m:]
    expected = (whole[: shape[0], : shape[1]] + 1) / 2
    np.testing.assert_allclose(translate(model, image), expected.clip(0, 1), atol=2e-6)
    assert np.abs(expected - image).max() > 0.01


def test_colours_go_through_one_by_one():
    """A photograph without colour comes back without it, and its brightness is the grey one's."""
    model, grey = models.Filler(channels=(2, 3), skips=True), rng.random((9, 12), np.float32)
    colour = np.repeat(grey[:, :, None], 3, 2)
    np.testing.assert_allclose(translate(model, colour), colour, atol=1e-5)
    model = trained((2, 3), skips=True)
    assert translate(model, colour).shape == (9, 12, 3)
