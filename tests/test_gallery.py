"""docs/gallery.md shows what the default recipes left behind."""

import dataclasses
import importlib.util
import json
from pathlib import Path
from statistics import median

import pytest
from PIL import Image

from tinydeconv.recipes import common

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "gallery.md"

spec = importlib.util.spec_from_file_location("gallery", ROOT / "tools" / "gallery.py")
gallery = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gallery)


def test_the_page_is_what_the_records_say():
    text = PAGE.read_text(encoding="utf-8")
    assert gallery.page(text) == text
    assert sorted(gallery.MARKED.findall(text)) == sorted(gallery.PICTURES)


def record(name):
    return json.loads((ROOT / "docs" / "gallery" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", gallery.PICTURES)
def test_the_command_is_the_default_recipe(name):
    """What is shown is what a student gets, in the minutes that were promised; what is called
    recipe-something has other options.
    """
    told, recipe = record(name), name.partition("-")[0]
    settings = {"recipe": recipe, **dataclasses.asdict(common.page(recipe).RECIPES[recipe])}
    default = common.command(settings)
    assert (told["command"] == default) == (name == recipe)
    assert told["command"].startswith(f"tinydeconv train {recipe} ")
    assert told["seconds"] < 12 * 60 or name != recipe
    for picture in gallery.PICTURES[name]:
        path = ROOT / "docs" / "gallery" / f"{name}-{picture}"
        assert path.suffix == ".wav" or min(Image.open(path).size) >= 200
        assert f"(gallery/{path.name})" in PAGE.read_text(encoding="utf-8")


def test_all_defaults_together_take_less_than_ninety_minutes():
    assert sum(record(name)["seconds"] for name in gallery.PICTURES) < 5400


def test_the_comparison_with_pytorch_is_what_its_record_says():
    results = json.loads((ROOT / "docs" / "gan.json").read_text(encoding="utf-8"))["results"]
    text, distances = PAGE.read_text(encoding="utf-8"), {"tinydeconv": [], "torch": []}
    for result in sorted(results, key=lambda result: result["seed"]):
        (distance,) = (x for what, x in result["scores"].items() if what.startswith("Frechet"))
        distances[result["library"]].append(distance)
    ours, theirs = distances.values()
    assert len(ours) == len(theirs) == 3
    assert " | ".join(f"{x:.3f}" for x in [*ours, *theirs]) in text
    assert f"ours is {median(ours):.3f}, that of PyTorch's {median(theirs):.3f}" in text
    assert median(ours) <= max(theirs)
