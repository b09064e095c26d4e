"""The drawings of the CUDA kernels: none is missing, none is old, and all can be read."""

import re
import sys
from pathlib import Path

import pytest
from launches import kernels

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
import draw_kernels  # noqa: E402

PAGES = {
    name: (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("gpu.md", "cudasim.md")
}
SOURCES = [*(ROOT / "tinydeconv" / "kernels" / "cuda").glob("*.cu")]
SHOWN = {
    file: alt for text in PAGES.values() for alt, file in re.findall(r"!\[(.+)\]\((.+?)\)", text)
}


def test_every_kernel_stands_on_the_page():
    assert len(kernels()) > 20
    assert [name for name in kernels() if f"`{name}`" not in PAGES["gpu.md"]] == []
    assert [path.name for path in SOURCES if path.name not in PAGES["gpu.md"]] == []


def test_every_drawing_is_shown_and_told_in_words():
    files = {f"kernels/{name}.png" for name in draw_kernels.DRAWINGS}
    assert {*SHOWN} == files
    assert files == {f"kernels/{path.name}" for path in draw_kernels.FOLDER.iterdir()}
    assert all(len(alt) > 60 for alt in SHOWN.values())


@pytest.mark.parametrize("name", draw_kernels.DRAWINGS)
def test_a_drawing_is_up_to_date_and_can_be_read(name):
    assert draw_kernels.is_drawn(name), f"out of date: run python tools/draw_kernels.py {name}"
    assert [*draw_kernels.complaints(draw_kernels.DRAWINGS[name]())] == []


def test_the_sizes_on_the_page_are_those_of_the_source():
    tile = draw_kernels.constants("convolution.cu")
    words = "keeps the sums of {OWN} by {OWN} numbers of the tile".format(**tile)
    assert words in " ".join(PAGES["gpu.md"].split())


def test_what_cannot_be_read_is_seen():
    page = draw_kernels.Page(10)
    page.say(35, 5, "words")
    assert [*draw_kernels.complaints(page)] == []
    page.say(36, 5, "others")
    page.say(69, 2, "cut off")
    page.say(10, 2, "small", 8)
    found = [*draw_kernels.complaints(page)]
    assert len(found) == 3
    for complaint in (
        "'others' lies on 'words'",
        "'cut off' is cut off",
        "'small' has letters of 8",
    ):
        assert any(complaint in words for words in found), complaint
