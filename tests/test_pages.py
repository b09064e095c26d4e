"""What tools/pages.py makes for the documentation site of docstrings and notebooks."""

import base64
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import pages  # noqa: E402

API = {path.stem: path.read_text(encoding="utf-8") for path in ROOT.glob("docs/api/*.md")}


def made(name):
    patterns = API[name].split("<!-- api ")[1].split(" -->")[0].split()
    return pages.api(*patterns)


@pytest.mark.parametrize(
    ("doc", "expected"),
    [
        ("One\nsentence.\n\nAnother.", "One sentence.\n\nAnother.\n"),
        ("x[i] * `x[j] * 2` <= a_b", r"x\[i] \* `x[j] * 2` \<= a\_b" + "\n"),
        ("(a *tap* of *a, b*c*d, *e) * f * g", r"(a *tap* of \*a, b\*c\*d, \*e) \* f \* g" + "\n"),
        ("-x", "\\-x\n"),
        ("1. x", "1\\. x\n"),
        ("Text\n\n    a  = b\n    cc = d", "Text\n\n```text\na  = b\ncc = d\n```\n"),
        (">>> 1 + 1\n2", "```pycon\n>>> 1 + 1\n2\n```\n"),
        ("a: first\n    line\nb, c: others", "- `a`: first line\n- `b, c`: others\n"),
        ("a: first\nline, of prose", "a: first line, of prose\n"),
        ("- **b c**, *d*,\n  e * f\n- g**2", "- **b c**, *d*, e \\* f\n- g\\*\\*2\n"),
    ],
)
def test_docstrings_become_markdown(doc, expected):
    assert "\n".join(pages.markdown(doc)) == expected


def test_every_public_name_is_described_once():
    text = "\n".join(map(made, API))
    for name, what in pages.reference.public().items():
        module, _, short = name.rpartition(".")
        method = module in pages.reference.CLASSES
        arguments = pages.reference.arguments(what, method)
        shown = f"}} {name if method else short}{arguments}\n"
        assert text.count(shown if method else f"{shown}:module: {module}\n") == 1, name


def test_properties_methods_and_other_rooms_are_described():
    assert "{py:property} Tensor.grad\n" in made("methods")
    other = made("photographs")
    assert "{py:method} Training.run(save_every=200, stages=None)\n" in other
    assert "{py:function} psnr(a, b, data_range=1.0)\n:module: metrics\n" in other


def test_the_text_of_1d_2d_and_3d_stands_there_once():
    networks = made("networks")
    assert networks.count("Convolution (cross-correlation) of") == 1
    assert "1 spatial axis" not in networks and "Spatial axes: 1" not in networks


def notebook(folder, tags, alt="A *dot*"):
    png = base64.b64encode(b"PNG").decode()
    output = {"data": {"image/png": png}, "metadata": {"image/png": {"alt": alt}}}
    seen = "**What to see.** It\nis. One dot. " + 200 * "o"
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# 04 · Dots\n", "## 1. A dot"]},
        {"cell_type": "code", "metadata": {"tags": tags}, "source": "", "outputs": [output]},
        {"cell_type": "markdown", "metadata": {}, "source": seen},
    ]
    (folder / "tutorials").mkdir()
    path = folder / "tutorials" / "04_dots.ipynb"
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages, "PICTURES", tmp_path / "made")
    return tmp_path


def test_a_tagged_picture_is_in_the_gallery(elsewhere):
    notebook(elsewhere, ["gallery"])
    link = "../tutorials/04_dots.ipynb#1-a-dot"
    text = pages.gallery()
    assert f"[![A \\*dot\\*](/made/04_dots-1.png)]({link})" in text
    assert f"\n**[04 · Dots]({link})** It is. One dot.\n" in text
    assert (elsewhere / "made" / "04_dots-1.png").read_bytes() == b"PNG"


def test_a_gallery_without_pictures_says_so(elsewhere):
    notebook(elsewhere, ["other"])
    assert "none" in pages.gallery() and "[" not in pages.gallery()


def test_pictures_of_lessons_are_told_in_words_and_their_setting_up_is_folded(tmp_path):
    notebook(tmp_path, ["parameters"])
    source = [(tmp_path / "tutorials" / "04_dots.ipynb").read_text(encoding="utf-8")]
    spec = importlib.util.spec_from_file_location("conf", ROOT / "docs" / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    conf.fill(None, "tutorials/04_dots", source)
    told = json.loads(source[0])["cells"][1]["metadata"]
    assert told["mystnb"] == {"image": {"alt": "A *dot*"}}
    assert told["tags"] == ["parameters", "hide-input"]
