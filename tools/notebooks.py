"""Writes tutorials/*.ipynb: the cells of the .py beside each, and what they print and draw.

    python tools/notebooks.py            runs those whose source has changed since they were run
    python tools/notebooks.py 04 05      runs these whatever has changed

Cells run as a student's do, in full mode. A fingerprint of the cells stays in the notebook's
metadata, so that nothing is run, and no picture changes, for a change elsewhere.
"""

import argparse
import base64
import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path

import jupytext

from tinydeconv.serialize import write_atomically

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "tutorials"
KEY = "tinydeconv"  # of the notebook's metadata
PATIENCE = 180  # seconds that a lesson may take
MOST = 10_000_000  # bytes of all notebooks


def cells(notebook):
    """(type, source, tags, whether the source is folded) of each cell."""
    return [
        (c.cell_type, c.source, c.metadata.get("tags", []), "jupyter" in c.metadata)
        for c in notebook.cells
    ]


def fingerprint(notebook):
    return hashlib.sha256(json.dumps(cells(notebook)).encode()).hexdigest()


def read(script):
    """The notebook of the script, without outputs."""
    notebook = jupytext.read(script)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # jupytext would draw a new one each time
    return notebook


def run(notebook):
    """Run the cells in full mode; returns the seconds it took."""
    from nbclient import NotebookClient

    environment = {k: v for k, v in os.environ.items() if k != "TINYDECONV_FAST"}
    environment["TQDM_DISABLE"] = "1"  # bars are for those who wait
    start = time.perf_counter()
    NotebookClient(
        notebook, timeout=10 * PATIENCE, record_timing=False, coalesce_streams=True,
        resources={"metadata": {"path": str(TUTORIALS)}},
    ).execute(env=environment)  # fmt: skip
    notebook.metadata.language_info.pop("version", None)
    return time.perf_counter() - start


def shrink(notebook):
    """Pictures in at most 256 colours: all greys of a photograph, and a fraction of the bytes."""
    from PIL import Image

    for output in (o for c in notebook.cells for o in c.get("outputs", [])):
        if "image/png" in output.get("data", {}):
            before = base64.b64decode(output.data["image/png"])
            buffer = io.BytesIO()
            picture = Image.open(io.BytesIO(before)).convert("RGB")
            picture.quantize(256, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            smaller = min(before, buffer.getvalue(), key=len)
            output.data["image/png"] = base64.b64encode(smaller).decode()


def is_up_to_date(script):
    paired = script.with_suffix(".ipynb")
    if not paired.exists():
        return False
    return jupytext.read(paired).metadata.get(KEY, {}).get("cells") == fingerprint(read(script))


def write(script):
    print(f"{script.stem} ...", end=" ", flush=True)
    notebook = read(script)
    seconds = run(notebook)
    shrink(notebook)
    notebook.metadata[KEY] = {"cells": fingerprint(notebook)}
    text = jupytext.writes(notebook, "ipynb")
    write_atomically(script.with_suffix(".ipynb"), text.encode())
    print(f"{seconds:.0f} s{', too long' if seconds > PATIENCE else ''}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("lessons", nargs="*", help="the numbers of the lessons to run")
    options = parser.parse_args()
    scripts = sorted(TUTORIALS.glob("*.py"))
    if unknown := set(options.lessons) - {script.stem[:2] for script in scripts}:
        sys.exit(f"no lesson {', '.join(sorted(unknown))} in {TUTORIALS.name}")
    for script in scripts:
        if script.stem[:2] in options.lessons if options.lessons else not is_up_to_date(script):
            write(script)
    size = sum(path.stat().st_size for path in TUTORIALS.glob("*.ipynb"))
    print(f"{size / 1e6:.1f} MB in all, of {MOST / 1e6:.0f}")


if __name__ == "__main__":
    main()
