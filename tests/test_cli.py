"""The commands, as a user types them, and what they say when the user is wrong."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinydeconv as td
from tinydeconv import models, train
from tinydeconv.cli import main
from tinydeconv.ops import maths
from tinydeconv.recipes import common, learned
from tinydeconv.recipes import denoise as recipe
from tinydeconv.recipes.denoise import Settings

TINY = Settings(steps=3, channels=(2, 3, 4), batch_size=1, crop=8, epoch=2)


def run(*words):
    return subprocess.run(
        [sys.executable, "-m", "tinydeconv", *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def exit_code(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


# ---------------------------------------------------------------- help, version, imports


def test_help_names_the_commands_and_is_quick():
    code = (
        "import sys; from tinydeconv.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    for name in ("train", "denoise", "upscale", "sample", "apply", "gradcheck", "bench", "info"):
        assert name in done.stdout.splitlines()[0] or f"\n    {name}" in done.stdout
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"matplotlib", "PIL", "skimage", "sklearn", "tqdm", "tinydeconv.opcases"}


def test_the_help_of_train_tells_the_defaults(capsys):
    assert exit_code("train", "denoise", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    steps = f"(default: {recipe.RECIPES['denoise'].steps}, with --full {recipe.FULL.steps})"
    assert steps in told and f"(default: {recipe.RECIPES['denoise'].seed})" in told
    assert recipe.FULL.seed == recipe.RECIPES["denoise"].seed


def test_version(capsys):
    assert exit_code("--version") == 0
    assert capsys.readouterr().out == f"tinydeconv {td.__version__}\n"


# ---------------------------------------------------------------- gradcheck


def test_gradcheck_prints_a_table_with_the_worst_last(capsys):
    assert exit_code("gradcheck", "conv2d", "exp") == 0
    told = capsys.readouterr().out
    rows = [line for line in told.splitlines() if line.endswith(" right")]
    worst = [max(map(float, line.split()[-3:-1])) for line in rows]
    assert worst == sorted(worst) and len(rows) > 5
    assert {line.split()[0] for line in rows} >= {"Conv", "Exp"}
    assert "none wrong" in told.splitlines()[-1]


def test_gradcheck_shows_what_is_wrong_last(capsys, monkeypatch):
    monkeypatch.setattr(maths.Exp, "backward", lambda self, g, y, x, needs: g * y * 2)
    assert exit_code("gradcheck", "exp", "tanh") == 1
    table, details = capsys.readouterr().out.split("\n\n", 1)
    assert re.search(r"Exp .* wrong$", table) and table.count("wrong") == 1
    assert "Exp" in details and "analytic" in details and "2 times" in details
    assert details.splitlines()[-1].endswith("1 wrong")


def test_gradcheck_draws_the_step_curve(tmp_path, capsys):
    assert exit_code("gradcheck", "exp", "--plot", tmp_path / "curve.png") == 0
    assert min(Image.open(tmp_path / "curve.png").size) >= 300
    assert str(tmp_path / "curve.png") in capsys.readouterr().out


# ---------------------------------------------------------------- training


def training_process(folder, *words):
    """`tinydeconv train denoise`, as soon as it takes steps."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tinydeconv", "train", "denoise", "--out", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    told = b""
    while b"training" not in told:
        told += process.stderr.read(1)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_tells_how_to_go_on(number, tmp_path):
    folder = tmp_path / "a run"
    process = training_process(folder)
    process.send_signal(number)
    _, told = process.communicate()
    assert process.returncode == 128 + number
    assert b"Traceback" not in told
    told = told.decode().splitlines()[-1]
    steps = Settings().steps
    found = re.search(
        rf"tinydeconv: stopped after step \d+ of {steps}, saved in .*; go on with: (.*)", told
    )
    command = shlex.split(found[1])
    assert command[-5:] == ["train", "denoise", "--out", str(folder), "--resume"]
    help_of_it = subprocess.run([*command, "--help"], capture_output=True, check=False)
    assert b"--resume" in help_of_it.stdout


@pytest.mark.slow
def test_the_command_it_tells_goes_on_to_the_end(tmp_path):
    process = training_process(tmp_path, "--steps", "30")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    command = shlex.split(told.decode().splitlines()[-1].partition("go on with: ")[2])
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0
    assert "30/30" in done.stderr
    for word in ("camera", "astronaut", "total variation", str(tmp_path / "denoise.png")):
        assert word in done.stdout


def test_a_finished_training_is_measured_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(recipe.RECIPES, "denoise", TINY)
    monkeypatch.setattr(recipe, "METHODS", {})
    assert exit_code("train", "denoise", "--out", tmp_path) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.undo()
    monkeypatch.setattr(recipe, "METHODS", {})
    capsys.readouterr()
    assert exit_code("train", "denoise", "--out", tmp_path, "--resume") == 0
    told = capsys.readouterr().out
    assert f"{tmp_path} is finished after 3 of 3 steps" in told.splitlines()[0]
    assert "another --out" in told.splitlines()[0]
    assert "camera" in told and str(tmp_path / "denoise.png") in told
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert exit_code("train", "denoise", "--out", tmp_path) == 2
    assert "after 3 of 3 steps" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_demo_can_be_repeated(tmp_path):
    makefile = Path(__file__).parent.parent / "Makefile"

    def demo():
        words = ["make", "--dry-run", "--no-print-directory", "--file", makefile]
        words += ["--assume-old", ".venv/.stamp", "demo"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].split()

    assert demo()[-4:] == ["train", "denoise", "--out", "runs/denoise"]
    (tmp_path / "runs" / "denoise").mkdir(parents=True)
    (tmp_path / "runs" / "denoise" / "checkpoint.safetensors").touch()
    assert demo()[-5:] == ["train", "denoise", "--out", "runs/denoise", "--resume"]


def test_ctrl_c_after_the_last_step_tells_how_to_go_on_too(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setitem(recipe.RECIPES, "denoise", TINY)
    monkeypatch.setattr(recipe, "held_out", interrupted)
    assert exit_code("train", "denoise", "--out", tmp_path) == 130
    assert "go on with" in capsys.readouterr().err.splitlines()[-1]


def test_a_training_that_diverges_says_so_in_one_line(tmp_path, monkeypatch, capsys):
    whole = recipe._loss

    def loss(model, *batch):
        return whole(model, *batch) * float("nan")

    monkeypatch.setattr(recipe, "_loss", loss)
    assert exit_code("train", "denoise", "--out", tmp_path, "--steps", 7) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    for word in ("tinydeconv: ", "step 1 of 7", str(tmp_path / "checkpoint.safetensors")):
        assert word in told


# ---------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with good files and bad ones; the commands of the table run in it."""
    folder = tmp_path_factory.mktemp("files")
    ramp = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    Image.fromarray(ramp).save(folder / "photo.png")
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:-40])
    (folder / "text.png").write_text("not an image", encoding="utf-8")
    (folder / "empty.png").touch()
    (folder / "sub").mkdir()

    model = models.Denoiser((2, 3, 4))
    models.save(model, folder / "w.safetensors")
    whole = (folder / "w.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-10])
    td.save(model.state_dict(), folder / "nameless.safetensors")
    wrong = {"name": "Denoiser", "channels": [2, 3, 5]}
    td.save(model.state_dict(), folder / "wrong.safetensors", {models.KEY: json.dumps(wrong)})
    grey = {**model.state_dict(), "first.weight": model.first.weight[:, :1].detach()}
    told = {models.KEY: json.dumps({"name": "Denoiser", "channels": [2, 3, 4]})}
    td.save(grey, folder / "blind", told)
    model.last.bias.data = model.last.bias.data * np.float32("nan")
    models.save(model, folder / "nan.safetensors")

    td.manual_seed(0)
    models.save(models.SuperResolution(2, "shuffle", (4, 4, 4)), folder / "sr.safetensors")
    models.save(models.UNet(1, 1, (2, 3)), folder / "unet.safetensors")
    models.save(models.TextureGenerator(3, (4, 4)), folder / "texture.safetensors")
    for name in ("pictures", "nothing", "lonely", "small", "painter"):
        (folder / name).mkdir()
    painter = models.Generator(latent=3, channels=(4, 4, 4), classes=10)
    models.save(painter, folder / "painter" / "generator.safetensors")
    for side in (16, 20, 24):
        Image.fromarray(ramp[:side, :side]).save(folder / "pictures" / f"{side}.png")
    Image.fromarray(ramp).save(folder / "lonely" / "photo.png")
    Image.fromarray(ramp[:1, :1]).save(folder / "dot.png")
    (folder / "nothing" / "notes.txt").write_text("no image", encoding="utf-8")

    for name in ("run", "cut", "weights"):
        (folder / name).mkdir()
    common.start("denoise", folder / "run", TINY).save()
    checkpoint = (folder / "run" / "checkpoint.safetensors").read_bytes()
    (folder / "cut" / "checkpoint.safetensors").write_bytes(checkpoint[:-10])
    (folder / "weights" / "checkpoint.safetensors").write_bytes(whole)
    for name, text in ODD_MODELS.items():
        td.save(models.Denoiser((2, 3, 4)).state_dict(), folder / name, {models.KEY: text})
    for name, spoil in ODD_CHECKPOINTS.items():
        spoiled_checkpoint(folder / "run" / "checkpoint.safetensors", folder / name, spoil)
    return folder


ODD_MODELS = {
    "no-json": "Denoiser",
    "deep": "[" * 100_000,
    "empty": "{}",
    "list": "[]",
    "name-in-a-list": '{"name": ["a"]}',
    "no-channels": '{"name": "Denoiser"}',
    "zero-channels": '{"name": "Denoiser", "channels": [0, 0]}',
    "one-resolution": '{"name": "Denoiser", "channels": [4]}',
    "channels-in-words": '{"name": "Denoiser", "channels": "ab"}',
    "channels-a-number": '{"name": "Denoiser", "channels": 5}',
    "half-channels": '{"name": "Denoiser", "channels": [2.5, 3]}',
    "huge-channels": '{"name": "Denoiser", "channels": [2000000, 2000000]}',
    "huge-last-channels": '{"name": "Denoiser", "channels": [1, 20000]}',
    "other-channels": '{"name": "Denoiser", "channels": [2, 3, 5]}',
}


def setting(**changes):
    return lambda told, tensors: told["settings"].update(changes)


def without(name):
    return lambda told, tensors: told.pop(name)


def telling(name, value):
    return lambda told, tensors: told.update({name: value})


def keeping(kept):
    """Leaves only the tensors that `kept` says yes to."""

    def spoil(told, tensors):
        for name in [name for name in tensors if not kept(name)]:
            del tensors[name]

    return spoil


def without_moments_and_steps(told, tensors):
    keeping(lambda name: "exp_avg" not in name)(told, tensors)
    told["optimizers"]["denoiser"]["numbers"] = {}


ODD_CHECKPOINTS = {
    "lacks-settings": without("settings"),
    "lacks-schedule": without("schedules"),
    "lacks-position": without("position"),
    "lacks-optimizer": without("optimizers"),
    "lacks-random": without("random"),
    "lacks-losses": keeping(lambda name: name != "losses.loss"),
    "lacks-a-weight": keeping(lambda name: name != "networks.denoiser.first.weight"),
    "lacks-moments": keeping(lambda name: "exp_avg" not in name),
    "lacks-moments-and-steps": without_moments_and_steps,
    "settings-in-words": telling("settings", "none"),
    "optimizer-in-words": telling("optimizers", "none"),
    "odd-schedule": telling("schedules", {"denoiser": {"last_epoch": "x"}}),
    "other-schedule": telling("schedules", {"denoiser": {"last_epoch": 2}}),
    "odd-position": telling("position", {"step": 1, "epoch": 0, "batch": "x"}),
    "position-below-zero": telling("position", {"step": 1, "epoch": 0, "batch": -1}),
    "endless-position": telling("position", {"step": float("inf"), "epoch": 0, "batch": 0}),
    "odd-random": telling("random", {}),
    "channels-ab": setting(channels="ab"),
    "channels-five": setting(channels=5),
    "huge-network": setting(channels=[20000, 20000]),
    "no-steps": setting(steps=0),
    "steps-in-words": setting(steps="many"),
    "seed-below-zero": setting(seed=-1),
    "no-batch": setting(batch_size=0),
    "huge-crop": setting(crop=10**6),
    "rate-in-words": setting(max_lr="high"),
    "unknown-setting": setting(momentum=0.9),
}


def spoiled_checkpoint(source, folder, spoil):
    """A checkpoint after one step, spoilt, in a new folder."""
    training = common.resume("denoise", source.parent)
    training._take_step(next(training._batches()))
    training.path = folder / "checkpoint.safetensors"
    folder.mkdir()
    training.save()
    told, tensors = td.load_metadata(training.path), td.load(training.path)
    told = json.loads(told[train.KEY])
    spoil(told, tensors)
    td.save(tensors, training.path, {train.KEY: json.dumps(told)})


def denoise(photo="photo.png", weights="w.safetensors", out="clean.png", sigma=25):
    return f"denoise {photo} --weights {weights} --out {out} --sigma {sigma}"


BAD = {
    # what: (command line, words and numbers that the one line must have)
    "no command": ("", ["COMMAND"]),
    "unknown command": ("paint", ["'paint'", "train", "denoise", "sample", "upscale", "gradcheck"]),
    "unknown device": ("denoise photo.png --device tpu", ["--device", "'tpu'", "auto", "cuda"]),
    "no recipe": ("train", ["RECIPE"]),
    "unknown recipe": ("train paint", ["'paint'", "denoise"]),
    "unknown option": ("train denoise --epochs 3", ["--epochs"]),
    "no photo": ("denoise", ["PHOTO"]),
    "photo is missing": (denoise(photo="no.png"), ["no.png", "image"]),
    "photo is a folder": (denoise(photo="sub"), ["sub", "folder"]),
    "photo is text": (denoise(photo="text.png"), ["text.png"]),
    "photo is empty": (denoise(photo="empty.png"), ["empty.png"]),
    "photo is cut short": (denoise(photo="cut.png"), ["cut.png"]),
    "photo is weights": (denoise(photo="w.safetensors"), ["w.safetensors", "image"]),
    "weights are missing": (denoise(weights="no.safetensors"), ["no.safetensors"]),
    "weights are a folder": (denoise(weights="sub"), ["sub", "folder"]),
    "weights are a photo": (denoise(weights="photo.png"), ["photo.png", "safetensors"]),
    "weights are cut short": (denoise(weights="cut.safetensors"), ["cut.safetensors", "whole"]),
    "weights name no network": (denoise(weights="nameless.safetensors"), ["nameless.safetensors"]),
    "weights are a checkpoint": (
        denoise(weights="run/checkpoint.safetensors"),
        ["run/checkpoint.safetensors", "weights"],
    ),
    "weights do not fit": (denoise(weights="wrong.safetensors"), ["fit", "Denoiser", "5", "4"]),
    "weights are NaN": (denoise(weights="nan.safetensors"), ["finite", "4096"]),
    "weights of one input": (denoise(weights="blind"), ["blind", "first.weight", "(2, 1, 3, 3)"]),
    "negative sigma": (denoise(sigma=-1), ["--sigma", "0 to 255", "'-1'"]),
    "sigma in words": (denoise(sigma="much"), ["--sigma", "'much'"]),
    "sigma is NaN": (denoise(sigma="nan"), ["--sigma", "'nan'"]),
    "sigma is too much": (denoise(sigma=256), ["--sigma", "'256'"]),
    "out is the photo": (denoise(out="photo.png"), ["photo.png", "another file"]),
    "out is the photo in other words": (denoise(out="sub/../photo.png"), ["another file"]),
    "out is no image": (denoise(out="clean.xyz"), ["clean.xyz", ".png"]),
    "out in a missing folder": (denoise(out="no/clean.png"), ["no", "does not exist"]),
    "out below a file": (denoise(out="photo.png/clean.png"), ["photo.png"]),
    "out in a folder that cannot be written": (denoise(out="/proc/clean.png"), ["/proc"]),
    "out is a folder": (denoise(out="sub"), ["sub"]),
    "holes in disorder": ("train fill --smallest 9 --largest 5", ["smallest to largest", "9 to 5"]),
    "hole as large as all": ("train fill --largest 32", ["leave something", "32"]),
    "JPEG quality of none": ("train dejpeg --best 101", ["quality", "100", "101"]),
    "run below a file": ("train denoise --out photo.png/run", ["photo.png/run"]),
    "run is a file": ("train denoise --out photo.png", ["photo.png"]),
    "run in a folder that cannot be written": ("train denoise --out /proc/run", ["/proc/run"]),
    "no steps": ("train denoise --steps 0", ["--steps", "at least 1", "'0'"]),
    "negative steps": ("train denoise --steps -3", ["--steps", "at least 1", "'-3'"]),
    "steps in words": ("train denoise --steps many", ["--steps", "'many'"]),
    "half a step": ("train denoise --steps 1.5", ["--steps", "'1.5'"]),
    "negative seed": ("train denoise --seed -1", ["--seed", "at least 0", "'-1'"]),
    "nothing to resume": (
        "train denoise --out no --resume",
        ["no/checkpoint.safetensors", "--resume"],
    ),
    "resume from half a file": (
        "train denoise --out cut --resume",
        ["cut/checkpoint.safetensors", "whole"],
    ),
    "resume from weights": (
        "train denoise --out weights --resume",
        ["weights/checkpoint.safetensors", "checkpoint of a training"],
    ),
    "a training is there": (
        "train denoise --out run",
        ["run has a training after 0 of 3 steps", "--resume", "--out"],
    ),
    "what is there cannot be read": ("train denoise --out cut", ["cut/checkpoint.safetensors"]),
    "resume with another size": ("train denoise --out run --resume --full", ["--resume", "--full"]),
    "resume with new steps": (
        "train denoise --out run --resume --steps 5",
        ["--resume", "--steps"],
    ),
    "resume with a new seed": ("train denoise --out run --resume --seed 5", ["--resume", "--seed"]),
    "resume the run of another recipe": (
        "train dcgan --out run --resume",
        ["run/checkpoint.safetensors", "checkpoint of dcgan", "denoise"],
    ),
    "unknown data": ("train dcgan --data imagenet", ["glyphs", "mnist", "folder", "'imagenet'"]),
    "no name of data": ("train dcgan --data=", ["a name for data", "''"]),
    "unknown data to classify": ("train classify --data imagenet", ["glyphs", "'imagenet'"]),
    "a folder without images": ("train dcgan --data nothing", ["nothing", "image"]),
    "a folder with one image": ("train dcgan --data lonely", ["lonely", "1"]),
    "unknown loss": ("train dcgan --loss lost", ["--loss", "'lost'", "hinge"]),
    "unknown likelihood": ("train vae --likelihood laplace", ["--likelihood", "'laplace'"]),
    "unknown size": ("train dcgan --size 48", ["--size", "32", "64"]),
    "no critic": ("train wgan --critic-steps 0", ["--critic-steps", "at least 1", "'0'"]),
    "a batch of one": ("train dcgan --batch-size 1", ["--batch-size", "at least 2", "'1'"]),
    "endless rate": ("train dcgan --generator-lr inf", ["--generator-lr", "'inf'"]),
    "too many classes": ("train cgan --classes 11", ["classes", "10", "11"]),
    "unknown scale": ("train sr --scale 3", ["--scale", "2", "4", "3"]),
    "unknown upsampling": ("train sr --upsampling magic", ["--upsampling", "'magic'", "shuffle"]),
    "sample from nowhere": ("sample nowhere", ["nowhere"]),
    "sample from a folder without weights": ("sample run", ["run", "generator.safetensors"]),
    "sample from a denoiser": ("sample w.safetensors", ["w.safetensors", "Generator", "Denoiser"]),
    "sample a class out of range": ("sample painter --class 10", ["0 to 9", "class 10"]),
    "sample a class below zero": ("sample painter --class -1", ["--class", "'-1'"]),
    "no samples": ("sample painter --n 0", ["--n", "at least 1", "'0'"]),
    "more samples than memory": (f"sample painter --n {10**15}", ["allocate", str(10**15)]),
    "samples into a missing folder": ("sample painter --out no/a.png", ["no", "does not exist"]),
    "samples that are no image": ("sample painter --out samples.xyz", ["samples.xyz", ".png"]),
    "a size that is none": ("sample texture.safetensors --size 9", ["--size", "2048x1024", "'9'"]),
    "a size of small pictures": ("sample painter --size 9x9", ["Generator", "--n", "--size"]),
    "a class of texture": ("sample texture.safetensors --class 1", ["--size", "--class"]),
    "a tile of odd size": ("sample texture.safetensors --size 8x9 --tile", ["4 pixels", "8 x 9"]),
    "more texture than memory": (f"sample texture.safetensors --size {10**8}x99999", ["allocate"]),
    "no such texture": ("train texture --texture sand", ["'sand'", "brick", "grass", "gravel"]),
    "texture that is a folder": ("train texture --texture pictures", ["'pictures'", "a folder"]),
    "texture that is too small": ("train texture --texture photo.png", ["96", "64 x 64"]),
    "crop larger than the texture": ("train texture --crop 513", ["513", "512 x 512"]),
    "enlarge what is missing": ("upscale no.png", ["no.png", "image"]),
    "enlarge three times": ("upscale photo.png --scale 3", ["--scale", "3", "2", "4"]),
    "enlarge with a denoiser": (
        "upscale photo.png --weights w.safetensors",
        ["w.safetensors", "SuperResolution", "Denoiser"],
    ),
    "enlarge over the photo": (
        "upscale photo.png --weights sr.safetensors --out photo.png",
        ["photo.png", "another file"],
    ),
    "enlarge into no image": (
        "upscale photo.png --weights sr.safetensors --out big.xyz",
        ["big.xyz", ".png"],
    ),
    "apply nothing": ("apply", ["RUN", "PHOTO"]),
    "apply what is missing": ("apply nowhere photo.png", ["nowhere"]),
    "apply to what is missing": ("apply unet.safetensors no.png", ["no.png", "image"]),
    "apply a folder without weights": ("apply run photo.png", ["run", "weights.safetensors"]),
    "apply a denoiser": ("apply w.safetensors photo.png", ["w.safetensors", "Denoiser"]),
    "apply swapped words": ("apply photo.png unet.safetensors", ["photo.png", "safetensors"]),
    "apply over the picture": (
        "apply unet.safetensors photo.png --out photo.png",
        ["photo.png", "another file"],
    ),
    "apply into no image": (
        "apply unet.safetensors photo.png --out new.xyz",
        ["new.xyz", ".png"],
    ),
    "unknown task": ("train pix2pix --task maps", ["--task", "'maps'", "edges", "colour"]),
    "hide more than there is": ("train pix2pix --hidden 40", ["hidden", "32", "40"]),
    "nothing to learn by": ("train pix2pix --l1 0 --adversarial 0", ["l1", "adversarial"]),
    "denoise with the weights of another network": (
        denoise(weights="sr.safetensors"),
        ["sr.safetensors", "Denoiser", "SuperResolution"],
    ),
    "unknown op": ("gradcheck conv2d covn", ["'covn'", "conv2d"]),
    "plot without a picture's ending": ("gradcheck exp --plot curve", ["--plot", ".png", "curve"]),
    "plot into a missing folder": ("gradcheck exp --plot no/curve.png", ["no", "does not exist"]),
}
BAD |= {f"weights {name}": (denoise(weights=name), [name]) for name in ODD_MODELS}
BAD |= {
    f"checkpoint {name}": (f"train denoise --out {name} --resume", [f"{name}/checkpoint"])
    for name in ODD_CHECKPOINTS
}


def every_file(folder):
    return {p: p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_in_one_line(what, files, monkeypatch, capsys):
    line, words = BAD[what]
    monkeypatch.chdir(files)
    before = every_file(files)
    assert exit_code(*line.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("tinydeconv: ") and told.count("\n") == 1, told
    assert "Errno" not in told
    for word in words:
        assert word in told, told
    assert every_file(files) == before


def test_no_traceback_from_the_real_command(files):
    weights = files / "w.safetensors"
    done = run("denoise", files / "text.png", "--weights", weights, "--out", "x.png")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("tinydeconv: ") and done.stderr.count("\n") == 1


def test_a_bug_keeps_its_traceback(files, tmp_path, monkeypatch):
    def bug(*_):
        raise ValueError("operands could not be broadcast")

    monkeypatch.setattr(learned, "denoise", bug)
    monkeypatch.setattr(recipe, "train", bug)
    monkeypatch.chdir(files)
    for line in (denoise(out=tmp_path / "x.png"), f"train denoise --out {tmp_path}"):
        with pytest.raises(ValueError, match="broadcast"):
            main(line.split())


LIMITED = """
import resource, sys
from tinydeconv.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to the size of a file")
def test_a_disk_that_runs_full_leaves_the_checkpoint_before(tmp_path):
    """The first checkpoint fits, the second, with Adam's moments, is too large for the limit."""
    folder = tmp_path / "run"
    common.start("dcgan", folder, replace(common.page("dcgan").RECIPES["dcgan"], steps=2)).save()
    path = folder / "checkpoint.safetensors"
    first = path.read_bytes()
    limit = str(len(first) * 5 // 4)
    words = ["train", "dcgan", "--out", str(folder), "--resume"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, limit, *words], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 2, done.stderr
    told = done.stderr.splitlines()[-1]
    assert told.startswith("tinydeconv: cannot write") and "Traceback" not in done.stderr
    assert str(path) in told and "too large" in told
    assert path.read_bytes() == first and not list(folder.glob(".*"))


def test_a_full_disk_is_told_in_one_line(files, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device", "/disk/checkpoint.safetensors")

    monkeypatch.setattr(recipe, "train", full)
    assert exit_code("train", "denoise", "--out", tmp_path) == 2
    told = capsys.readouterr().err
    assert told == "tinydeconv: cannot use /disk/checkpoint.safetensors: No space left on device\n"
