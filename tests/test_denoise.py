"""The denoiser: its network, its training from photographs, and what it makes of a picture."""

import hashlib
import itertools
import json
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from refusals import refused

import tinydeconv as td
from tinydeconv import models, nn
from tinydeconv.data import HELD_OUT, SIGMA
from tinydeconv.gradcheck import gradcheck
from tinydeconv.models import Denoiser
from tinydeconv.recipes import common
from tinydeconv.recipes import denoise as recipe
from tinydeconv.recipes.denoise import Settings
from tinydeconv.serialize import load_json

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
    assert sum(p.numel() for p in Denoiser().parameters()) == 70497
    full = Denoiser(recipe.FULL.channels)
    assert 4 * sum(p.numel() for p in full.parameters()) < 1_000_000


@pytest.mark.parametrize("size", [(4, 4), (5, 6), (7, 9), (33, 18), (6, 31)])
def test_every_size_comes_back(size):
    x = td.tensor(draw(2, 1, *size))
    assert trained()(x, td.tensor([0.1, 0.2])).shape == x.shape


def test_it_starts_as_the_identity():
    x = td.tensor(draw(1, 1, 8, 8))
    assert np.array_equal(Denoiser()(x, td.tensor([0.1])).detach(), x)


def test_each_image_has_its_own_noise_level():
    model, x, levels = trained(), td.tensor(draw(3, 1, 8, 8)), (0.02, 0.1, 0.3)
    together = model(x, td.tensor(levels)).detach().numpy()
    for i, level in enumerate(levels):
        alone = model(x[i : i + 1], td.tensor([level])).detach().numpy()
        np.testing.assert_allclose(together[i], alone[0], atol=1e-6)
    same = model(x, td.tensor([0.1] * 3)).detach().numpy()
    assert [np.allclose(a, b, atol=1e-4) for a, b in zip(together, same)] == [False, True, False]


def test_the_first_weights_keep_the_scale_of_what_flows():
    """Each layer by itself, away from the borders: from mean square 1 to mean square 1."""
    td.manual_seed(0)
    model = Denoiser((32, 32, 32))
    for layer in (*model.down, model.middle, *model.up):
        y = layer(td.randn(4, 32, 24, 24) * 2**0.5 * (td.rand(4, 32, 24, 24) > 0.5).float()).relu()
        scale = float((y[:, :, 4:-4, 4:-4] ** 2).mean())
        assert 0.8 < scale < 1.2, layer


def test_the_gradients_of_the_network():
    model = trained((4, 4, 4)).double()
    for parameter in model.parameters():  # biases of 0 would stand at the kinks of the ReLU
        nn.init.normal_(parameter, 0, 0.3)
    x, level = (td.tensor(rng.random(shape), requires_grad=True) for shape in [(1, 1, 6, 5), (1,)])
    assert gradcheck(model, [x, level], directions=5)


@pytest.mark.parametrize("channels", [(2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_the_margin_is_just_wider_than_the_network_looks(channels):
    model, level = trained(channels).double(), td.tensor([0.1]).double()
    side = 4 * model.margin
    x, reach = td.tensor(rng.random((1, 1, side, side)), requires_grad=True), 0
    for i in range(side // 2, side // 2 + 2 ** (len(channels) - 1)):  # every place on the coarsest
        (g,) = td.grad(model(x, level)[0, 0, i, i], x)
        rows, columns = np.nonzero(g.numpy()[0, 0])
        reach = max(reach, abs(rows - i).max(), abs(columns - i).max())
    assert reach == model.margin - 1


@pytest.mark.parametrize("channels", [(), (4,)])
def test_it_needs_two_resolutions(channels):
    with refused(ValueError, "two", channels):
        Denoiser(channels)


# ---------------------------------------------------------------- weights files


def test_a_model_comes_back_from_its_file(tmp_path):
    model, path = trained((4, 6, 8, 10)), tmp_path / "w.safetensors"
    models.save(model, path)
    again = models.load(path)
    x, level = td.tensor(draw(1, 1, 16, 16)), td.tensor([0.1])
    assert np.array_equal(again(x, level).detach(), model(x, level).detach())


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    state = trained((4, 6, 8)).state_dict()

    def write(config):
        td.save(state, path, {models.KEY: json.dumps(config)})

    td.save(state, path)
    with refused(ValueError, path):
        models.load(path)
    write({"name": "Painter"})
    with refused(ValueError, "Denoiser", "Painter", path):
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
from test_denoise import TINY, common, models, recipe
recipe.Crops = functools.partial(recipe.Crops, ["coins"])
if {resume}:
    training = common.resume("denoise", {folder!r})
else:
    training = common.start("denoise", {folder!r}, TINY)
def kill():
    os.kill(os.getpid(), signal.SIGKILL)
training.run(save_every=3, stages={{{step}: kill}})
models.save(training.networks["denoiser"], {folder!r} + "/weights.safetensors")
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
        training = common.start("denoise", tmp_path, Settings(seed=seed))
        (batch, *_) = training.loader.batches(0, 499)
        return training.networks["denoiser"].first.weight.data, *batch

    for a, b, c in zip(first(0), first(0), first(1), strict=True):
        assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_noise_of_every_strength_is_learned_from(tmp_path):
    training = common.start("denoise", tmp_path, Settings())
    drawn = []
    for noisy, clean, sigma in itertools.islice(training.loader.batches(0), 50):
        drawn += list(255 * sigma)
        np.testing.assert_allclose(np.std(noisy - clean, axis=(1, 2, 3)), sigma, rtol=0.1)
    assert min(drawn) < 2 and max(drawn) > 53 and np.mean(drawn) == pytest.approx(27.5, abs=3)


def test_the_loss_by_hand():
    noisy, clean, sigma = draw(2, 1, 3, 3), draw(2, 1, 3, 3), np.float32([0.1, 0.2])
    error = np.mean((noisy - clean) ** 2, axis=(1, 2, 3))
    expected = (error[0] / (0.1 + 5 / 255) + error[1] / (0.2 + 5 / 255)) / 2
    loss = recipe._loss(lambda image, level: image, noisy, clean, sigma)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_sixty_steps_lower_the_loss(tmp_path):
    training = common.start("denoise", tmp_path, Settings(steps=60))
    training.run()
    assert np.mean(training.losses["loss"][-5:]) < 0.5 * np.mean(training.losses["loss"][:5])


def test_what_a_training_leaves_behind(tmp_path, monkeypatch):
    rival = {"bilateral": lambda noisy, sigma: np.clip(noisy, 0, 1) + sigma}
    monkeypatch.setattr(recipe, "METHODS", rival)
    training = common.start("denoise", tmp_path / "new" / "run", TINY)
    table = recipe.train(training)
    folder = tmp_path / "new" / "run"
    names = ["checkpoint.safetensors", "denoise.png", "first.png", "loss.png"]
    names += ["metrics.jsonl", "results.json", "table.txt", "weights.safetensors"]
    assert sorted(p.name for p in folder.iterdir()) == names
    for name in ("denoise.png", "first.png", "loss.png"):
        assert min(Image.open(folder / name).size) >= 400
    assert table == (folder / "table.txt").read_text(encoding="utf-8")

    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert results["noise_seed"] == 0
    assert results["training"] == {"recipe": "denoise", **json.loads(json.dumps(asdict(TINY)))}
    model = models.load(folder / "weights.safetensors")
    noise = {"camera": [24.81, 20.60, 15.21], "astronaut": [25.07, 20.76, 15.21]}  # scikit-image's
    for name in HELD_OUT:
        clean, of_sigma = recipe.photograph(name), results["photographs"][name]
        for sigma, decibels in zip(("15", "25", "50"), noise[name], strict=True):
            measured, level = of_sigma[sigma], int(sigma) / 255
            assert list(measured) == ["noisy", "bilateral", "network"]
            assert measured["noisy"]["psnr"] == pytest.approx(decibels, abs=0.01)
            assert f"{measured['network']['psnr']:.2f} ({measured['network']['ssim']:.3f})" in table
            noisy = recipe.add_noise(clean, level, np.random.default_rng(0))
            results_of = {
                "network": recipe.denoise(model, noisy, level),
                "bilateral": noisy.clip(0, 1) + level,
            }
            for label, image in results_of.items():
                error = np.mean((image.astype(float) - clean) ** 2)
                assert measured[label]["psnr"] == pytest.approx(-10 * np.log10(error))


def test_the_table_says_by_how_much_the_network_wins():
    def measured(**psnrs):
        names = {"nl": "NL-means", "tv": "total variation"}
        return {names.get(n, n): {"psnr": value, "ssim": 0.5} for n, value in psnrs.items()}

    table = recipe._table(
        {
            "camera": {"25": measured(bilateral=28, tv=31, nl=29, network=30)},
            "astronaut": {"25": measured(bilateral=29, tv=31, nl=31, network=29.5)},
        }
    )
    assert "network against bilateral: +0.50 to +2.00 dB" in table
    assert "network against NL-means: -1.50 to +1.00 dB" in table
    assert "network against total variation: -1.50 to -1.00 dB" in table


@pytest.fixture
def little_to_measure(monkeypatch):
    for name, value in {"METHODS": {}, "HELD_OUT": ("camera",), "MEASURED": (SIGMA,)}.items():
        monkeypatch.setattr(recipe, name, value)


def rows(folder):
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_the_log(tmp_path, little_to_measure):
    training = common.start("denoise", tmp_path, TINY)
    recipe.train(training)
    log = rows(tmp_path)
    assert [row["step"] for row in log] == list(range(1, 24))  # so short a training: a row a step
    np.testing.assert_allclose([row["loss"] for row in log], training.losses["loss"])
    seconds = [row["seconds"] for row in log]
    assert seconds == sorted(seconds)
    clean = recipe.photograph("chelsea")
    noisy = recipe.add_noise(clean, 25 / 255, np.random.default_rng(0))
    made = recipe.denoise(training.networks["denoiser"], noisy, 25 / 255)
    error = np.mean((made.astype(float) - clean) ** 2)
    assert log[-1]["psnr"] == pytest.approx(-10 * np.log10(error), abs=1e-3)


def test_the_weights_say_how_they_were_made(tmp_path, little_to_measure):
    recipe.train(common.start("denoise", tmp_path, TINY))
    made = load_json(tmp_path / "weights.safetensors", models.KEY)["made"]
    assert made["command"] == "tinydeconv train denoise --steps 23 --seed 1"
    assert made["settings"] == {"recipe": "denoise", **json.loads(json.dumps(asdict(TINY)))}
    assert made["commit"] is None or re.match("[0-9a-f]{40}(-dirty)?$", made["commit"])
    full = {"recipe": "denoise", **json.loads(json.dumps(asdict(recipe.FULL)))}
    words = f"train denoise --full --steps {recipe.FULL.steps} --seed 0"
    assert common.command(full) == f"tinydeconv {words}"


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
    for of_sigma in results["photographs"].values():
        for measured in of_sigma.values():
            assert measured["network"]["psnr"] > measured["bilateral"]["psnr"]
