"""Each notebook stands in git twice, as a script to review and as .ipynb to open: the same cells,
and in the .ipynb what they print and draw.

`make notebooks` runs them in fast mode, tools/notebooks.py in full mode.
"""

import base64
import io
import re
import sys

import jupytext
import nbformat
import numpy as np
import pytest
from PIL import Image
from test_budgets import ROOT

sys.path.insert(0, str(ROOT / "tools"))
from notebooks import KEY, MOST, cells, fingerprint, is_up_to_date, shrink  # noqa: E402

TUTORIALS = ROOT / "tutorials"
PARAMETERS = """\
import importlib.util
import os
import subprocess
import sys

FAST = os.environ.get("TINYDECONV_FAST") == "1"  # for automatic tests; leave it alone

if importlib.util.find_spec("tinydeconv") is None:  # a hosted notebook
    install = [sys.executable, "-m", "pip", "install", "--quiet", "tinydeconv[images]"]
    subprocess.run(install, check=True)"""
FIRST_WORDS = (r"\*\*You need:\*\*", r"\*\*Time:\*\*.*\d+", r"\*\*Afterwards you can\*\*")


def complaints(folder):
    """What is wrong with the notebooks in the folder, one sentence each."""
    names = {path.stem for path in folder.iterdir() if path.suffix in (".py", ".ipynb")}
    for name in sorted(names):
        missing = [s for s in (".py", ".ipynb") if not (folder / f"{name}{s}").exists()]
        if missing:
            yield f"{name}{missing[0]} is missing: python tools/notebooks.py"
            continue
        script, paired = (jupytext.read(folder / f"{name}{s}") for s in (".py", ".ipynb"))
        if cells(script) != cells(paired):
            yield f"{name}: .py and .ipynb differ: python tools/notebooks.py"
        elif paired.metadata.get(KEY, {}).get("cells") != fingerprint(script):
            yield f"{name}.ipynb has no outputs, or of other cells: python tools/notebooks.py"
        yield from (f"{name}.ipynb: {words}" for words in of_outputs(paired))
        yield from (f"{name}: {words}" for words in of_cells(paired.cells))
    size = sum(path.stat().st_size for path in folder.glob("*.ipynb"))
    if size > MOST:
        yield f"the notebooks have {size / 1e6:.1f} MB, of {MOST / 1e6:.0f}"


def of_outputs(notebook):
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"cell {number} ended in an error"
            if output.get("name") == "stderr":
                yield f"cell {number} warned: {output.text[:80]!r}"
            shows = "image/png" in output.get("data", {})
            if shows and not output.metadata.get("image/png", {}).get("alt"):
                yield f"cell {number} shows a picture without words for those who cannot see it"


def of_cells(cells):
    code = [c for c in cells if c.cell_type == "code"]
    for words in FIRST_WORDS:
        if not re.search(words, cells[0].source):
            yield f"its first cell must say {words!r}"
    if code[0].metadata.get("tags") != ["parameters"] or code[0].source != PARAMETERS:
        yield "its first code cell must set FAST and install the library, and be tagged parameters"
    if "assert " not in code[-1].source:
        yield "its last code cell must assert what the notebook has shown"
    for cell, below in zip(cells, cells[1:]):
        asks = "exercise" in cell.metadata.get("tags", [])
        if asks and not (below.source.startswith("<details>") and "```python" in below.source):
            yield f"no folded solution below {cell.source[:60]!r}"


def test_the_notebooks_are_in_order():
    assert list(TUTORIALS.glob("*.py"))
    assert list(complaints(TUTORIALS)) == []


SOUND = f"""\
# %% [markdown]
# # A title
#
# **You need:** nothing.
#
# **Time:** 10 minutes.
#
# **Afterwards you can** go home.

# %% tags=["parameters"]
{PARAMETERS}

# %%
x = 1
viz.show("A line")

# %% [markdown]
# **What to see.** A line.

# %% tags=["exercise"]
check_1(x)

# %% [markdown]
# <details>
#
# ```python
# x = 1
# ```
#
# </details>

# %%
assert x == 1
"""


def pair(folder, text=SOUND):
    """A notebook in the folder; returns its two files."""
    script, paired = folder / "00_a.py", folder / "00_a.ipynb"
    script.write_text(text, encoding="utf-8")
    notebook = jupytext.read(script)
    notebook.metadata[KEY] = {"cells": fingerprint(notebook)}
    jupytext.write(notebook, paired)
    return script, paired


def test_a_sound_pair_passes(tmp_path):
    pair(tmp_path)
    assert list(complaints(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x = 1\nviz", "x = 2\nviz"),
        ("# # A title", "# # Another"),
        ("# %%\nx = 1\n", "# %%\n"),
        ("# %%\nx = 1", '# %% tags=["hide-input"]\nx = 1'),
        ("# %%\nx = 1", '# %% jupyter={"source_hidden": true}\nx = 1'),
    ],
)
def test_a_difference_is_seen(tmp_path, old, new):
    script, _ = pair(tmp_path)
    assert old in SOUND
    script.write_text(SOUND.replace(old, new), encoding="utf-8")
    (complaint,) = complaints(tmp_path)
    assert "differ" in complaint


@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_a_missing_half_is_seen(tmp_path, suffix):
    pair(tmp_path)
    (tmp_path / f"00_a{suffix}").unlink()
    (complaint,) = complaints(tmp_path)
    assert f"00_a{suffix} is missing" in complaint


def test_outputs_of_other_cells_are_seen(tmp_path):
    script, paired = pair(tmp_path)
    notebook = jupytext.read(paired)
    notebook.metadata[KEY]["cells"] = "of before"
    jupytext.write(notebook, paired)
    (complaint,) = complaints(tmp_path)
    assert "other cells" in complaint


@pytest.mark.parametrize(
    ("output", "word"),
    [
        (nbformat.v4.new_output("stream", name="stderr", text="a warning"), "warned"),
        (nbformat.v4.new_output("error", ename="E", evalue="", traceback=[]), "error"),
        (nbformat.v4.new_output("display_data", {"image/png": ""}), "without words"),
        (nbformat.v4.new_output("stream", text="x" * MOST), "MB"),
    ],
)
def test_bad_outputs_are_seen(tmp_path, output, word):
    _, paired = pair(tmp_path)
    notebook = jupytext.read(paired)
    notebook.cells[2].outputs = [output]
    jupytext.write(notebook, paired)
    (complaint,) = complaints(tmp_path)
    assert word in complaint


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("assert x == 1", "x", "assert"),
        (' tags=["parameters"]', "", "parameters"),
        ("tinydeconv[images]", "tinydeconv", "install the library"),
        ("**You need:**", "Needed:", "You need"),
        ("**Time:** 10", "**Time:** some", "Time"),
        ("**Afterwards you can**", "You can", "Afterwards"),
        ("# <details>", "#", "folded solution"),
    ],
)
def test_what_a_notebook_lacks_is_seen(tmp_path, old, new, word):
    assert old in SOUND
    pair(tmp_path, SOUND.replace(old, new))
    (complaint,) = complaints(tmp_path)
    assert word in complaint


def test_only_what_has_changed_is_run(tmp_path):
    script, paired = pair(tmp_path)
    assert is_up_to_date(script)
    script.write_text(SOUND.replace("x = 1\nviz", "x = 2\nviz"), encoding="utf-8")
    assert not is_up_to_date(script)
    paired.unlink()
    assert not is_up_to_date(script)


def test_pictures_shrink_and_keep_their_greys():
    greys = np.random.default_rng(0).integers(256, size=(64, 64, 1), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(greys, 3, axis=2)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    cell = nbformat.v4.new_code_cell(
        outputs=[nbformat.v4.new_output("display_data", {"image/png": text})]
    )
    shrink(nbformat.v4.new_notebook(cells=[cell]))
    smaller = base64.b64decode(cell.outputs[0].data["image/png"])
    assert len(smaller) < len(buffer.getvalue()) / 2
    pixels = np.asarray(Image.open(io.BytesIO(smaller)).convert("RGB"))
    assert np.array_equal(pixels, np.repeat(greys, 3, axis=2))
