"""Each notebook stands in git twice, as a script to review and as .ipynb to open: the same cells.

`make notebooks` runs them.
"""

from pathlib import Path

import jupytext
import nbformat
import pytest

TUTORIALS = Path(__file__).parents[1] / "tutorials"


def cells(notebook):
    """(type, source, tags, whether the source is folded) of each cell."""
    return [
        (c.cell_type, c.source, c.metadata.get("tags", []), "jupyter" in c.metadata)
        for c in notebook.cells
    ]


def complaints(folder):
    """What is wrong with the notebooks in the folder, one sentence each."""
    names = {path.stem for path in folder.iterdir() if path.suffix in (".py", ".ipynb")}
    for name in sorted(names):
        missing = [s for s in (".py", ".ipynb") if not (folder / f"{name}{s}").exists()]
        if missing:
            yield f"{name}{missing[0]} is missing: jupytext --sync tutorials/{name}.*"
            continue
        script, paired = (jupytext.read(folder / f"{name}{s}") for s in (".py", ".ipynb"))
        if cells(script) != cells(paired):
            yield f"{name}: .py and .ipynb differ: jupytext --sync tutorials/{name}.py"
        code = [c for c in paired.cells if c.cell_type == "code"]
        if any(c.outputs or c.execution_count for c in code):
            yield f"{name}.ipynb holds outputs: clear them before committing"
        if code[0].metadata.get("tags") != ["parameters"] or "FAST = " not in code[0].source:
            yield f"{name}: its first code cell must set FAST and be tagged parameters"
        if "assert " not in code[-1].source:
            yield f"{name}: its last code cell must assert what the notebook has shown"


def test_the_notebooks_are_in_order():
    assert list(TUTORIALS.glob("*.py"))
    assert list(complaints(TUTORIALS)) == []


SOUND = """\
# %% [markdown]
# # A title

# %% tags=["parameters"]
FAST = True

# %%
x = 1

# %%
assert x == 1
"""


def pair(folder):
    """A sound notebook in the folder; returns its two files."""
    script, paired = folder / "00_a.py", folder / "00_a.ipynb"
    script.write_text(SOUND, encoding="utf-8")
    jupytext.write(jupytext.read(script), paired)
    return script, paired


def test_a_sound_pair_passes(tmp_path):
    pair(tmp_path)
    assert list(complaints(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("x = 1\n", "x = 2\n"),
        ("# # A title", "# # Another"),
        ("# %%\nx = 1\n", ""),
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


def test_outputs_are_seen(tmp_path):
    _, paired = pair(tmp_path)
    notebook = jupytext.read(paired)
    notebook.cells[2].outputs = [nbformat.v4.new_output("stream", text="1")]
    jupytext.write(notebook, paired)
    (complaint,) = complaints(tmp_path)
    assert "holds outputs" in complaint


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [("assert x == 1", "x", "assert"), (' tags=["parameters"]', "", "parameters")],
)
def test_a_notebook_without_its_switch_or_its_check_is_seen(tmp_path, old, new, word):
    script, paired = pair(tmp_path)
    script.write_text(SOUND.replace(old, new), encoding="utf-8")
    jupytext.write(jupytext.read(script), paired)
    (complaint,) = complaints(tmp_path)
    assert word in complaint
