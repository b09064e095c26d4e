"""Takes what trainings have left behind into docs/gallery, and writes docs/gallery.md's tables.

    python tools/gallery.py runs/dcgan runs/cgan ...   takes in these runs, and writes the page
    python tools/gallery.py                            writes the page from what was taken in

A run is a folder of `tinydeconv train`. Of each the command, the commit, the seconds to the last
step, the table and the pictures named here are kept.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tinydeconv.recipes import common
from tinydeconv.serialize import load_json, write_atomically

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = {  # of each recipe
    "classify": ["hardest.png"], "dcgan": ["samples.png"], "cgan": ["samples.png"],
    "sr": ["upscale.png"],
}  # fmt: skip
MARKED = re.compile(r"<!-- run (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def take(run):
    """Copies what the gallery shows of a run that has come to its end."""
    (weights,) = [*run.glob("generator.safetensors"), *run.glob("weights.safetensors")]
    made = load_json(weights, "tinydeconv.model")["made"]
    name = made["settings"]["recipe"]
    rows = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(rows[-1])
    if last["step"] != made["settings"]["steps"]:
        raise SystemExit(f"{run} is not at its end: step {last['step']}")
    told = {
        "command": common.command(made["settings"]),
        "commit": made["commit"],
        "seconds": last["seconds"],
        "table": (run / "table.txt").read_text(encoding="utf-8"),
    }
    write_atomically(DOCS / "gallery" / f"{name}.json", json.dumps(told, indent=1).encode())
    for picture in PICTURES[name]:
        shutil.copyfile(run / picture, DOCS / "gallery" / f"{name}-{picture}")


def section(name):
    """What the page tells of a recipe, in its marks."""
    told = json.loads((DOCS / "gallery" / f"{name}.json").read_text(encoding="utf-8"))
    minutes = told["seconds"] / 60
    return (
        f"<!-- run {name} -->\n```console\n$ {told['command']}\n```\n\n"
        f"{minutes:.1f} minutes to the last step, on two cores (commit {told['commit'][:9]}).\n\n"
        f"```text\n{told['table']}```\n<!-- end -->"
    )


def page(text):
    """docs/gallery.md with its sections made anew."""
    return MARKED.sub(lambda match: section(match[1]), text)


if __name__ == "__main__":
    (DOCS / "gallery").mkdir(exist_ok=True)
    for argument in sys.argv[1:]:
        take(Path(argument))
    path = DOCS / "gallery.md"
    write_atomically(path, page(path.read_text(encoding="utf-8")).encode())
