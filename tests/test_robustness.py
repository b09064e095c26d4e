"""Every recipe, killed at any moment and given what is wrong: one sentence, and nothing is lost."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields, replace
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_devices import SMALL

import tinydeconv as td
from tinydeconv import models, train
from tinydeconv.cli import main
from tinydeconv.recipes import common

NAMES = list(common.PAGES)
KILLS = -(-100 // len(NAMES))  # of each recipe: a hundred in all
STEPS = 30


def small(name, steps=2):
    return replace(common.page(name).RECIPES[name], steps=steps, **SMALL[name])


def told_by(*words):
    """(exit code, what a command said on stderr); any other exception is the test's failure."""
    said = StringIO()
    with redirect_stderr(said), redirect_stdout(StringIO()):
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code
    return code, said.getvalue()


def must_refuse(*words):
    """The one line by which a command refuses what it was given."""
    code, told = told_by(*words)
    last = told.splitlines()[-1] if told else ""
    assert code == 2 and last.startswith("tinydeconv: "), (words, code, told)
    assert told.count("tinydeconv: ") == 1 and "Errno" not in told
    return last


# ---------------------------------------------------------------- killed

VICTIM = """
import json, sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from tinydeconv.recipes import common
name, folder, changed = sys.argv[1:]
page = common.page(name)
if (Path(folder) / common.CHECKPOINT).exists():
    training = common.resume(name, folder)
else:
    settings = replace(page.RECIPES[name], **json.loads(changed))
    training = common.start(name, folder, settings)
training.run = partial(training.run, 1)  # saves after each step
print("ready", flush=True)
page.train(training)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not known there")
@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_kills_over_all_recipes_change_nothing(name, tmp_path):
    """SIGKILL in a step, a write, a picture or a measurement: what goes on in the end is bit for
    bit the training that nobody disturbed, and nothing half-written has a file's name.
    """
    settings = small(name, STEPS)
    alone = common.start(name, tmp_path / "alone", settings)
    begun = time.monotonic()
    alone.run(save_every=1)
    patience = (time.monotonic() - begun) / 3

    folder, chance = tmp_path / "killed", random.Random(name)
    changed = json.dumps({"steps": STEPS, **SMALL[name]})
    kills, at = 0, [0]  # steps
    while kills < KILLS:
        words = [sys.executable, "-c", VICTIM, name, str(folder), changed]
        before = written(folder)
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
        ) as process:
            if process.stdout.readline() != "ready\n":
                pytest.fail(process.stderr.read())
            while kills and process.poll() is None and written(folder) == before:
                time.sleep(0.002)  # all but the first come when there is something to lose
            try:
                _, told = process.communicate(timeout=chance.expovariate(1 / patience))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
        if process.returncode == 0:  # it came to its end before: from the beginning
            shutil.rmtree(folder)
            patience /= 2
            continue
        assert process.returncode == -signal.SIGKILL, told
        kills += 1
        if (folder / common.CHECKPOINT).exists():
            at.append(common.resume(name, folder).step)
        if at[-1] == at[-2:][0] < STEPS:  # it was at a picture, which takes longer than steps
            patience *= 2
        whole(folder)
    assert len({*at}) > 2, f"the kills came after steps {at}: not a test"
    there = (folder / common.CHECKPOINT).exists()
    again = common.resume(name, folder) if there else common.start(name, folder, settings)
    again.run()
    assert again.path.read_bytes() == alone.path.read_bytes()


def written(folder):
    """When the checkpoint was written, 0 before there is one."""
    path = folder / common.CHECKPOINT
    return path.stat().st_mtime_ns if path.exists() else 0


def whole(folder):
    """Every file that has a name of its own can be read to its end."""
    for path in folder.glob("[!.]*") if folder.exists() else ():
        if path.suffix == ".safetensors":
            td.load(path)
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# ---------------------------------------------------------------- wrong checkpoints


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """{recipe: its checkpoint after a step}."""
    paths = {}
    for name in NAMES:
        training = common.start(name, tmp_path_factory.mktemp(name), small(name))
        training._take_step(next(training._batches()))
        training.save()
        paths[name] = training.path
    return paths


@pytest.mark.parametrize("name", NAMES)
def test_the_checkpoint_of_another_recipe_is_named(name, checkpoints, tmp_path):
    for other, path in checkpoints.items():
        if other != name:
            shutil.copyfile(path, tmp_path / common.CHECKPOINT)
            told = must_refuse("train", name, "--out", tmp_path, "--resume", "--device", "cpu")
            assert f"expected the checkpoint of {name}, got '{other}'" in told


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_that_says_one_recipe_and_holds_another_is_refused(
    name, checkpoints, tmp_path
):
    told = td.load_metadata(checkpoints[name])
    for other, path in checkpoints.items():
        if {name, other} & {"dcgan", "cgan"} or other != name:
            tensors = td.load(path)
            if sorted(tensors) == sorted(td.load(checkpoints[name])):
                continue
            td.save(tensors, tmp_path / common.CHECKPOINT, told)
            must_refuse("train", name, "--out", tmp_path, "--resume", "--device", "cpu")


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_cut_short_is_refused(name, checkpoints, tmp_path):
    whole = checkpoints[name].read_bytes()
    for part in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / common.CHECKPOINT).write_bytes(whole[:part])
        must_refuse("train", name, "--out", tmp_path, "--resume", "--device", "cpu")


NONSENSE = [-1, 0, 10**9, 0.5, "x", None, [], [0], [-3, 2], [10**6, 10**6], {}, True, 1e308]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_nonsense_in_the_settings_of_a_checkpoint_is_one_sentence(name, checkpoints, tmp_path):
    """Each setting in turn is each of these: it is refused, or it is a setting as good as any."""
    path, refused = tmp_path / common.CHECKPOINT, 0
    told, tensors = td.load_metadata(checkpoints[name]), td.load(checkpoints[name])
    kept = json.loads(told[train.KEY])
    for key, value in product(kept["settings"], NONSENSE):
        if key == "recipe" or (key in ("batch_size", "steps") and value == 10**9):
            continue  # a number of steps or images like any, though nobody has the time for it
        spoilt = {**kept, "settings": {**kept["settings"], key: value}}
        td.save(tensors, path, {train.KEY: json.dumps(spoilt)})
        try:
            common.resume(name, tmp_path)
        except (ValueError, OSError, MemoryError) as error:  # what the command tells in a line
            assert "\n" not in str(error) and len(str(error)) < 1000
            refused += 1
    assert refused > 3 * len(kept["settings"])


# ---------------------------------------------------------------- swapped weights


@pytest.fixture(scope="module")
def weights(checkpoints, tmp_path_factory):
    """{recipe.network: weights file} of every network that a recipe has and a command may get."""
    files = {}
    for name, path in checkpoints.items():
        for part, network in common.resume(name, path.parent).networks.items():
            if type(network).__name__ in models.MODELS:
                file = tmp_path_factory.mktemp("weights") / f"{name}-{part}.safetensors"
                models.save(network, file)
                files[f"{name}.{part}"] = file
    return files


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 48), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


COMMANDS = {
    "denoise": lambda weights, photo, out: ("denoise", photo, "--weights", weights, "--out", out),
    "upscale": lambda weights, photo, out: ("upscale", photo, "--weights", weights, "--out", out),
    "sample": lambda weights, photo, out: ("sample", weights, "--n", 2, "--out", out),
    "apply": lambda weights, photo, out: ("apply", weights, photo, "--out", out),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_weights_of_any_network_do_their_work_or_are_refused(command, weights, photo, tmp_path):
    """Each weights file that there is, given to each command that takes one."""
    done = 0
    for number, file in enumerate(weights.values()):
        for suffix in (".png", ".wav"):
            out = tmp_path / f"{number}{suffix}"
            code, told = told_by(*COMMANDS[command](file, photo, out))
            assert code in (0, 2), told
            assert out.exists() == (code == 0)
            if code:
                assert told.count("\n") == 1 and told.startswith("tinydeconv: ")
            done += code == 0
    assert 0 < done < 2 * len(weights)


# ---------------------------------------------------------------- wrong data


def with_data():
    """The recipes that take data of the user's, with the option's name."""
    for name in NAMES:
        for f in fields(common.page(name).RECIPES[name]):
            if f.name in ("data", "texture"):
                yield name, f"--{f.name}"


@pytest.mark.parametrize("name, option", [*with_data()])
def test_data_that_will_not_do_is_one_sentence(name, option, tmp_path):
    rng, folders = np.random.default_rng(0), {}
    for what in ("empty", "one", "tiny", "text", "broken", "names"):
        folders[what] = tmp_path / what
        folders[what].mkdir()
    one = Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8))
    one.save(folders["one"] / "a.png")
    one.resize((1, 1)).save(folders["tiny"] / "a.png")
    (folders["text"] / "a.txt").write_text("no picture", encoding="utf-8")
    (folders["broken"] / "a.png").write_bytes((folders["one"] / "a.png").read_bytes()[:60])
    (folders["names"] / "class").mkdir()
    wrong = [*folders.values(), tmp_path / "missing", folders["text"] / "a.txt"]
    wrong += [folders["tiny"] / "a.png", folders["broken"] / "a.png"]
    for path in wrong:
        out = tmp_path / "out"
        must_refuse("train", name, "--out", out, option, path, "--steps", 1, "--device", "cpu")
        assert not out.exists()


def test_every_recipe_says_what_its_folder_must_not_be(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for name in NAMES:
        must_refuse("train", name, "--out", tmp_path / "file", "--device", "cpu")
        must_refuse("train", name, "--out", tmp_path / "none", "--resume", "--device", "cpu")
    assert [path.name for path in Path(tmp_path).iterdir()] == ["file"]


def test_the_settings_of_every_recipe_are_refused_one_by_one(tmp_path):
    """Each option of the command line with what it cannot be."""
    for name in NAMES:
        for f in fields(common.page(name).RECIPES[name]):
            if "help" not in f.metadata or isinstance(f.default, bool):
                continue
            flag = f"--{f.name.replace('_', '-')}"
            values = ["-1", "nan", ""] if not isinstance(f.default, str) else [""]
            for value in values:
                must_refuse("train", name, "--out", tmp_path / "out", f"{flag}={value}")
    assert not (tmp_path / "out").exists()
