"""Every link of the pages and lessons leads somewhere: to a file, to a heading, or to https.

Nothing is fetched here; `make links` asks whether the pages elsewhere are still there.
"""

import re
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import jupytext
import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from pages import slug  # noqa: E402

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/api/*.md")]
LESSONS = [*ROOT.glob("tutorials/*.py")]


def text_of(path):
    """The Markdown of a page; of a lesson that of its cells."""
    if path.suffix == ".md":
        return path.read_text(encoding="utf-8")
    cells = jupytext.read(path.with_suffix(".py")).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def links_and_anchors(text):
    """The targets of all links and pictures, and {anchor} of all headings."""
    links, anchors, repeated = [], set(), Counter()
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in zip([None, *tokens], tokens):
        for part in [token, *(token.children or ())]:
            links += [part.attrs[key] for key in ("href", "src") if key in part.attrs]
            if part.type.startswith("html"):
                links += re.findall(r"(?:href|src)=[\"']([^\"']+)", part.content)
        if before and before.type == "heading_open":
            anchor = slug("".join(part.content for part in token.children))
            anchors.add(f"{anchor}-{repeated[anchor]}" if anchor in repeated else anchor)
            repeated[anchor] += 1
    return links, anchors


def complaint(link, path, root=ROOT):
    """What is wrong with a link on a page, if anything is."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        if parts.scheme != "https" or not re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc):
            return "is no address that begins with https://"
        return None
    target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
    if not target.is_relative_to(root) or not target.is_file():
        return "leads to no file"  # a folder would do on the web, but the site has no page for it
    inside = target.relative_to(root).as_posix()
    if inside.startswith(("runs/", "docs/_build/")):
        return "leads to a file that is not in the repository"
    checked = parts.fragment and target.suffix in (".md", ".ipynb")
    if checked and unquote(parts.fragment) not in links_and_anchors(text_of(target))[1]:
        return "leads to no heading there"
    return None


def complaints(path, root=ROOT):
    found = ((link, complaint(link, path, root)) for link in links_and_anchors(text_of(path))[0])
    return [f"{link} {wrong}" for link, wrong in found if wrong]


@pytest.mark.parametrize("path", [*PAGES, *LESSONS], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    assert complaints(path) == []


def test_there_are_links():
    assert len(PAGES) > 10 and len(LESSONS) > 3
    assert "docs/denoiser.md" in links_and_anchors(text_of(ROOT / "README.md"))[0]
    assert {"why", "convolutions"} < links_and_anchors(text_of(ROOT / "docs/performance.md"))[1]


@pytest.mark.parametrize(
    ("link", "wrong"),
    [
        ("[a](there.md)", None),
        ("[a](there.md#a-heading-of-it-1)", None),
        ("![a](there.md)", None),
        ("[a](#here-中文)", None),
        ("| a |\n|---|\n| [a](https://example.org/a?b#c) |", None),
        ("`[a](nowhere.md)`", None),
        ("```\n[a](nowhere.md)\n```", None),
        ("[a](nowhere.md)", "no file"),
        ("![a](nowhere.png)", "no file"),
        ("[a]\n\n[a]: nowhere.md", "no file"),
        ('<img src="nowhere.png">', "no file"),
        ("[a](folder)", "no file"),
        ("[a](../outside.md)", "no file"),
        ("[a](runs/made.md)", "not in the repository"),
        ("[a](there.md#nowhere)", "no heading"),
        ("[a](#nowhere)", "no heading"),
        ("[a](http://example.org)", "https"),
        ("<https://example>", "https"),
    ],
)
def test_what_is_wrong_is_seen(tmp_path, link, wrong):
    root = tmp_path / "root"
    for folder in ("folder", "runs"):
        (root / folder).mkdir(parents=True)
    for name in ("there.md", "runs/made.md", "../outside.md"):
        (root / name).write_text("# A `heading` of it\n\n# A heading, of it!", encoding="utf-8")
    page = root / "page.md"
    page.write_text(f"# Here: 中文\n\n{link}", encoding="utf-8")
    found = complaints(page, root)
    assert found == [] if wrong is None else wrong in found[0]
