"""The denoiser: its network, its training from photographs, and what it makes of a picture."""

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import models, nn
from tinydeconv.cli import main
from tinydeconv.data import HELD_OUT
from tinydeconv.gradcheck import gradcheck
from tinydeconv.models import Denoiser
from tinydeconv.recipes import denoise as recipe
from tinydeconv.recipes.denoise import MARGIN, TILE, Settings, denoise

rng = np.random.default_rng(0)


def trained(channels=(16, 24, 48)):
    """A network that does something: its last layer does not start at zero."""
    td.manual_seed(0)
    model = Denoiser(channels)
    nn.init.normal_(model.last.weight, 0, 0.05)
    return model


def draw(*shape):
    return rng.random(shape, dtype=np.float32)


# ---------------------------------------------------------------- the network


def test_the_size_of_the_network():
    assert sum(p.numel() for p in Denoiser().parameters()) == 70353


@pytest.mark.parametrize("size", [(4, 4), (5, 6), (7, 9), (33, 18), (6, 31)])
def test_every_size_comes_back(size):
    x = td.tensor(draw(2, 1, *size))
    assert trained()(x).shape == x.shape


def test_it_starts_as_the_identity():
    x = td.tensor(draw(1, 1, 8, 8))
    assert np.array_equal(Denoiser()(x).detach(), x)


def test_the_first_weights_keep_the_scale_of_what_flows():
    """Each layer by itself, away from the borders: from mean square 1 to mean square 1."""
    td.manual_seed(0)
    model = Denoiser((32, 32, 32))
    for layer in (*model.down, model.middle, *model.up):
        y = layer(td.randn(4, 32, 24, 24) * 2**0.5 * (td.rand(4, 32, 24, 24) > 0.5).float()).relu()
        scale = float((y[:, :, 4:-4, 4:-4] ** 2).mean())
        assert 0.8 < scale < 1.2, layer


def test_the_gradients_of_the_network():
    model = trained((2, 3, 4)).double()
    x = td.tensor(rng.random((1, 1, 6, 5)), requires_grad=True)
    assert gradcheck(model, x, directions=5)


def test_the_margin_is_wider_than_the_network_looks():
    model = trained((2, 3, 4)).double()
    x = td.tensor(rng.random((1, 1, 64, 64)), requires_grad=True)
    for i in range(30, 34):  # all positions relative to the coarsest grid
        (g,) = td.grad(model(x)[0, 0, i, i], x)
        rows, columns = np.nonzero(g.numpy()[0, 0])
        reach = max(abs(rows - i).max(), abs(columns - i).max())
        assert 10 < reach <= MARGIN


@pytest.mark.parametrize("channels", [(), (4,)])
def test_it_needs_two_resolutions(channels):
    with refused(ValueError, "two", channels):
        Denoiser(channels)


# ---------------------------------------------------------------- denoising an image


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 40, 3), (33, 18), (TILE + 3, TILE + 1)])
def test_any_size_and_colour(shape):
    image = draw(*shape)
    before = image.copy()
    clean = denoise(trained(), image)
    assert clean.shape == shape and clean.dtype == np.float32
    assert clean.min() >= 0 and clean.max() <= 1
    assert np.array_equal(image, before)


def test_tiles_leave_no_seams():
    model, image = trained(), draw(2 * TILE + 7, TILE + 30)
    padded = np.pad(image, MARGIN, mode="symmetric")
    whole = model(td.tensor(padded[None, None])).detach().numpy()[0, 0]
    whole = np.clip(whole[MARGIN:-MARGIN, MARGIN:-MARGIN], 0, 1)
    np.testing.assert_allclose(denoise(model, image), whole, atol=1e-6)


def test_each_channel_by_itself():
    model, image = trained(), draw(20, 30, 3)
    clean = denoise(model, image)
    for c in range(3):
        np.testing.assert_allclose(clean[..., c], denoise(model, image[..., c]), atol=1e-6)


KINDS = {
    "grey": ("L", (24, 31)),
    "colour": ("RGB", (24, 31, 3)),
    "colour of odd size": ("RGB", (7, 5, 3)),
    "16 bits": ("I;16", (24, 31)),
    "one pixel": ("L", (1, 1)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_command(kind, tmp_path):
    mode, shape = KINDS[kind]
    pixels = rng.integers(0, 65536 if mode == "I;16" else 256, shape)
    image = Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8))
    assert image.mode == mode
    photo, weights, out = (tmp_path / name for name in ("photo.png", "w.safetensors", "clean.png"))
    image.save(photo)
    model = trained((4, 6, 8))  # not the default: the file says which it is
    models.save(model, weights)
    assert main(["denoise", str(photo), "--weights", str(weights), "--out", str(out)]) == 0
    white = 65535 if mode == "I;16" else 255
    expected = denoise(model, (pixels / white).astype(np.float32))
    assert kind == "one pixel" or not np.allclose(expected, pixels / white, atol=0.05)
    found = np.asarray(Image.open(out))
    assert found.shape == shape and found.dtype == np.uint8
    np.testing.assert_allclose(found / 255, expected, atol=0.51 / 255)


# ---------------------------------------------------------------- weights files


def test_a_model_comes_back_from_its_file(tmp_path):
    model, path = trained((4, 6, 8, 10)), tmp_path / "w.safetensors"
    models.save(model, path)
    again = models.load(path)
    x = td.tensor(draw(1, 1, 16, 16))
    assert np.array_equal(again(x).detach(), model(x).detach())


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    state = trained((4, 6, 8)).state_dict()

    def write(config):
        td.save(state, path, {models.KEY: json.dumps(config)})

    td.save(state, path)
    with refused(ValueError, path):
        models.load(path)
    write({"name": "Classifier"})
    with refused(ValueError, "Denoiser", "Classifier", path):
        models.load(path)
    write({"name": "Denoiser", "channels": [4, 6, 9]})
    with refused(RuntimeError, "down.1", 9, 8):
        models.load(path)
    write({"name": "Denoiser", "channels": [4, 6]})
    with refused(RuntimeError, "down.1.weight"):
        models.load(path)
    write({"name": "Denoiser", "widths": [4, 6, 8]})
    with refused(ValueError, "widths", path):
        models.load(path)


# ---------------------------------------------------------------- training

TINY = Settings(steps=23, seed=1, channels=(4, 6, 8), batch_size=2, crop=16, epoch=7)

CHILD = """
import functools, os, signal, sys
sys.path.insert(0, {tests!r})
from test_denoise import TINY, models, recipe
recipe.Crops = functools.partial(recipe.Crops, ["coins"])
training = recipe.resume({folder!r}) if {resume} else recipe.start({folder!r}, TINY)
def kill():
    os.kill(os.getpid(), signal.SIGKILL)
training.run(save_every=3, stages={{{step}: kill}})
models.save(training.model, {folder!r} + "/weights.safetensors")
"""


def child(folder, step=-1, resume=False):
    """Trains in a process of its own, which is killed after a step and before that one is saved."""
    code = CHILD.format(
        tests=str(Path(__file__).parent), folder=str(folder), step=step, resume=resume
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode


def bits(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_killed_at_three_random_steps_it_ends_with_the_same_weights(tmp_path):
    steps = sorted(random.Random(1).sample([s for s in range(1, TINY.steps) if s % TINY.epoch], 3))
    for i, step in enumerate(steps):
        assert child(tmp_path / "killed", step, resume=i > 0) == -signal.SIGKILL
    assert child(tmp_path / "killed", resume=True) == 0
    assert child(tmp_path / "whole") == 0
    for name in ("weights.safetensors", "checkpoint.safetensors"):
        assert bits(tmp_path / "killed" / name) == bits(tmp_path / "whole" / name)


def test_the_seed_decides_weights_and_crops(tmp_path):
    def first(seed):
        training = recipe.start(tmp_path, Settings(seed=seed))
        (noisy, clean), *_ = training.loader.batches(0, 499)
        return training.model.first.weight.data, noisy, clean

    for a, b, c in zip(first(0), first(0), first(1), strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_thirty_steps_lower_the_loss(tmp_path):
    training = recipe.start(tmp_path, Settings(steps=30))
    training.run()
    assert np.mean(training.losses[-5:]) < 0.6 * np.mean(training.losses[:5])


def test_what_a_training_leaves_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(recipe, "METHODS", {"bilateral": lambda noisy: np.clip(noisy, 0, 1)})
    training = recipe.start(tmp_path / "new" / "run", TINY)
    table = recipe.train(training)
    folder = tmp_path / "new" / "run"
    names = ["checkpoint.safetensors", "denoise.png", "first.png", "loss.png", "results.json"]
    names += ["table.txt", "weights.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    for name in ("denoise.png", "first.png", "loss.png"):
        assert min(Image.open(folder / name).size) >= 400
    assert table == (folder / "table.txt").read_text(encoding="utf-8")

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["noise_seed"] == 0 and results["sigma"] == 25 / 255
    assert Settings(**results["training"]) == Settings(**json.loads(json.dumps(vars(TINY))))
    model = models.load(folder / "weights.safetensors")
    for name in HELD_OUT:
        measured = results["photographs"][name]
        assert list(measured) == ["noisy", "bilateral", "network"]
        noise = {"camera": 20.60, "astronaut": 20.76}[name]  # measured with scikit-image
        assert measured["noisy"]["psnr"] == pytest.approx(noise, abs=0.01)
        assert f"{measured['network']['psnr']:.2f} ({measured['network']['ssim']:.3f})" in table
        clean = recipe.photograph(name)
        noisy = recipe.add_noise(clean, 25 / 255, np.random.default_rng(0))
        error = np.mean((denoise(model, noisy).astype(float) - clean) ** 2)
        assert measured["network"]["psnr"] == pytest.approx(-10 * np.log10(error))


def test_the_table_says_who_wins():
    def measured(**psnrs):
        return {label: {"psnr": value, "ssim": 0.5} for label, value in psnrs.items()}

    lost = {"total variation": {"psnr": 31, "ssim": 0.5}, "NL-means": {"psnr": 29, "ssim": 0.5}}
    table = recipe._table(
        {
            "camera": {**measured(bilateral=28, network=30), **lost},
            "astronaut": {**measured(bilateral=29, network=29.5), **lost},
        }
    )
    assert "beats bilateral on camera and astronaut" in table
    assert "beats total variation on neither photograph" in table


# ---------------------------------------------------------------- the whole command, slowly


def command(*arguments):
    return [sys.executable, "-m", "tinydeconv", "train", "denoise", *map(str, arguments)]


@pytest.mark.slow
def test_the_command_killed_after_a_checkpoint_ends_with_the_same_weights(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command("--out", whole, "--steps", 240), check=True)
    with subprocess.Popen(command("--out", killed, "--steps", 240)) as process:
        while not (killed / "first.png").exists():  # drawn before the checkpoint of step 200
            time.sleep(0.1)
        time.sleep(0.4)
        process.kill()
    subprocess.run(command("--out", killed, "--resume"), check=True)
    for name in ("weights.safetensors", "results.json", "table.txt"):
        assert bits(whole / name) == bits(killed / name)


@pytest.mark.slow
def test_six_hundred_steps_beat_the_bilateral_filter(tmp_path):
    subprocess.run(command("--out", tmp_path, "--steps", 600), check=True)
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    for measured in results["photographs"].values():
        assert measured["network"]["psnr"] > measured["bilateral"]["psnr"]
