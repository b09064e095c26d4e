"""`python -m benchmarks gan`: what is trained, what is kept, what is said of it."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import tinydeconv as td  # noqa: E402
from benchmarks import __main__ as command  # noqa: E402
from benchmarks import gan, harness  # noqa: E402
from benchmarks.libraries import open_library  # noqa: E402
from tinydeconv.data import Glyphs  # noqa: E402
from tinydeconv.recipes.sample import samples  # noqa: E402

TINY = gan.recipe.Settings(batch_size=4, latent=4, channels=(4, 3, 2), judges=(2, 3, 4), steps=3)


@pytest.fixture
def trained_in_no_time(monkeypatch):
    """Tiny networks, few samples, and workers in this process; what they were asked to train."""
    monkeypatch.setattr(gan, "SAMPLES", 100)
    monkeypatch.setattr(gan.recipe, "Settings", lambda **given: replace(TINY, **given))
    asked = []

    class Here:
        def __init__(self, library, threads, environment):
            self.library = open_library(library)

        def ask(self, command, case):
            asked.append((case["row"]["library"], case["row"]["seed"]))
            case = json.loads(json.dumps(case))  # it goes through a pipe
            before, call = gan.build(self.library, case)
            call(before())

        def end(self):
            pass

    monkeypatch.setattr(harness, "Worker", Here)
    return asked


def test_a_training_is_added_and_done_once(trained_in_no_time, tmp_path, capsys):
    path = tmp_path / "gan.json"
    words = ["gan", "--only", "tinydeconv", "--threads", "1", "--json", str(path), "--seeds"]
    command.main([*words, "1"])
    first = json.loads(path.read_text(encoding="utf-8"))
    command.main([*words, "0", "1"])
    assert trained_in_no_time == [("tinydeconv", 1), ("tinydeconv", 0)]
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [row["seed"] for row in kept["results"]] == [0, 1]
    assert kept["results"][1] == first["results"][0]
    assert kept["settings"]["steps"] == 3 and "seed" not in kept["settings"]
    assert kept["samples"] == 100 and kept["threads"] == 1
    row = kept["results"][0]
    assert row["training"]["seconds"] >= 0
    frechet = [gan.frechet(row) for row in kept["results"]]
    assert frechet[0] != frechet[1] and min(frechet) > 0
    assert set(row["training"]["late losses"]) == {"discriminator", "generator"}
    assert row["version"] == td.__version__ and row["numpy"] == np.__version__
    told = capsys.readouterr()
    assert f"tinydeconv, seed 1: {path} has it" in told.err
    assert told.out.splitlines()[-1] == "One library has no training yet."


def test_trainings_of_other_settings_are_not_mixed(trained_in_no_time, tmp_path, capsys):
    path = tmp_path / "gan.json"
    words = ["gan", "--only", "tinydeconv", "--seeds", "0", "--json", str(path), "--steps"]
    command.main([*words, "2"])
    before = path.read_bytes()
    with pytest.raises(SystemExit) as stop:
        command.main([*words, "1"])
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "expected" in line]
    assert stop.value.code == 2 and f"expected a record of these settings, {path} is of" in said
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["something", "[]", "3"])
def test_what_is_no_record_stays_as_it_is(text, tmp_path, capsys):
    path = tmp_path / "gan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        command.main(["gan", "--only", "tinydeconv", "--json", str(path)])
    assert stop.value.code == 2 and f"expected a record, {path} is none" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == text


def test_pytorch_alone_where_there_is_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    path = tmp_path / "gan.json"
    assert command.main(["gan", "--only", "torch", "--json", str(path)]) == 2
    assert "PyTorch takes no part: to install it" in capsys.readouterr().err
    assert not path.exists()


def test_what_is_scored_is_painted_by_what_was_trained(trained_in_no_time):
    library = open_library("tinydeconv")
    generator, _ = gan.trained(library, TINY)
    again, _ = gan.trained(library, TINY)
    other, _ = gan.trained(library, replace(TINY, seed=1))
    np.testing.assert_array_equal(*(samples(g, 3) for g in (generator, again)))
    assert np.abs(samples(generator, 3) - samples(other, 3)).max() > 0


def test_late_losses_are_those_of_the_last_tenth(monkeypatch):
    monkeypatch.setattr(gan, "_ours", lambda *_: {"generator": [*range(20)]})
    _, told = gan.trained(open_library("tinydeconv"), replace(TINY, steps=20))
    assert told["late losses"] == {"generator": 18.5}


def test_samples_are_held_against_as_many_images_that_no_training_saw(monkeypatch):
    monkeypatch.setattr(gan, "scores", lambda *given: given)
    settings = replace(TINY, classes=10)
    generator = gan.recipe.networks(settings, 1)["generator"]
    painted, images, asked = gan.scored(generator, settings, 30)
    assert np.array_equal(images, Glyphs(seed=gan.UNSEEN).batch(0, range(30))[0])
    assert painted.shape == images.shape and painted.min() < 0
    assert np.array_equal(asked, np.arange(30) % 10)
    assert gan.scored(gan.recipe.networks(TINY, 1)["generator"], TINY, 3)[2] is None


def rows(library, *distances):
    training = {"seconds": 90}
    return [
        {"library": library, "seed": seed, "training": training, "scores": {"Frechet distance": x}}
        for seed, x in enumerate(distances)
    ]


def test_our_median_beside_the_worst_of_pytorch():
    few = rows("torch", 1.0, 3.0, 2.0)
    assert gan.sentence(rows("tinydeconv", 9.0, 1.0, 2.5) + few) == (
        "Median Frechet distance of tinydeconv's trainings (3): 2.5, no worse than the worst of "
        "PyTorch's (3), 3, whose median is 2."
    )
    assert "3.5, worse than" in gan.sentence(rows("tinydeconv", 9.0, 1.0, 3.5) + few)
    assert gan.sentence(few) == "One library has no training yet."


def test_the_table_has_a_column_a_training():
    measured = {"samples": 5, "results": rows("tinydeconv", 1.25) + rows("torch", 3.0, 2.0)}
    lines = gan.tables(measured)[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["5 samples", "tinydeconv 0", "PyTorch 0", "PyTorch 1"]
    assert cells[2] == ["Frechet distance", "1.25", "3", "2"]
    assert cells[3] == ["minutes of training", "1.5", "1.5", "1.5"]
