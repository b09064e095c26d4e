"""Takes what trainings have left behind into docs/gallery, and writes docs/gallery.md's tables.

    python tools/gallery.py runs/dcgan runs/cgan ...   takes in these runs, and writes the page
    python tools/gallery.py                            writes the page from what was taken in

A run is a folder of `tinydeconv train`, and is called as its recipe or, if it is another run of
that, recipe-something. Of each the command, the commit, the seconds to the last step, the scores,
the table and the pictures named here are kept.
"""

import json
import re
import shutil
import sys
from pathlib import Path

from tinydeconv.recipes import common
from tinydeconv.serialize import load_json, write_atomically

DOCS = Path(__file__).parents[1] / "docs"
PICTURES = {  # of each run
    "classify": ["hardest.png"], "dcgan": ["samples.png"], "cgan": ["samples.png"],
    "wgan": ["samples.png", "wasserstein.png"],
    "sr": ["upscale.png"],
    "vae": ["samples.png", "reconstructions.png", "walk.png"], "cvae": ["samples.png", "walk.png"],
    "vae-map": ["map.png", "codes.png"],
    **{f"pix2pix{of}": ["translated.png"] for of in ("", "-l1")},
    **{f"texture{of}": ["texture.png", "tile.png"] for of in ("", "-brick", "-grass")},
    "tones": ["tones.png", "tones.wav"],
    "fill": ["filled.png"], "dejpeg": ["dejpeg.png"],
}  # fmt: skip
MARKED = re.compile(r"<!-- run ([\w-]+) -->\n.*?<!-- end -->", re.DOTALL)
COMPARED = re.compile(r"<!-- scores ([\w -]+) -->\n.*?<!-- end -->", re.DOTALL)


def take(run):
    """Copies what the gallery shows of a run that has come to its end."""
    (weights,) = [*run.glob("generator.safetensors"), *run.glob("weights.safetensors")]
    made = load_json(weights, "tinydeconv.model")["made"]
    name, recipe = run.name, made["settings"]["recipe"]
    if name not in PICTURES or name.partition("-")[0] != recipe:
        raise SystemExit(f"{run} is a run of {recipe}: expected one of {', '.join(PICTURES)}")
    rows = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    last = json.loads(rows[-1])
    if last["step"] != made["settings"]["steps"]:
        raise SystemExit(f"{run} is not at its end: step {last['step']}")
    told = {
        "command": common.command(made["settings"]),
        "commit": made["commit"],
        "seconds": last["seconds"],
        "table": (run / "table.txt").read_text(encoding="utf-8"),
        "scores": json.loads((run / "results.json").read_text(encoding="utf-8")).get("scores"),
    }
    write_atomically(DOCS / "gallery" / f"{name}.json", json.dumps(told, indent=1).encode())
    for picture in PICTURES[name]:
        shutil.copyfile(run / picture, DOCS / "gallery" / f"{name}-{picture}")


def record(name):
    """What was kept of a run."""
    return json.loads((DOCS / "gallery" / f"{name}.json").read_text(encoding="utf-8"))


def section(name):
    """What the page tells of a recipe, in its marks."""
    told = record(name)
    minutes = told["seconds"] / 60
    return (
        f"<!-- run {name} -->\n```console\n$ {told['command']}\n```\n\n"
        f"{minutes:.1f} minutes to the last step, on two cores (commit {told['commit'][:9]}).\n\n"
        f"```text\n{told['table']}```\n<!-- end -->"
    )


def comparison(names):
    """A table of the scores of several runs' samples, and of the data that the first compares
    itself with, in its marks.
    """
    runs = {name: record(name)["scores"] for name in names.split()}
    columns = {name: scores["samples"] for name, scores in runs.items()}
    columns["the data"] = next(iter(runs.values()))["the data"]
    rows = [f"| 2000 images | {' | '.join(columns)} |", f"| --- {'| ---: ' * len(columns)}|"]
    for what in dict.fromkeys(what for column in columns.values() for what in column):
        if what.endswith("training images"):  # not the same number of them for all
            continue
        cells = (f"{of[what]:.3f}" if what in of else "" for of in columns.values())
        rows.append(f"| {what} | {' | '.join(cells)} |")
    table = "\n".join(rows)
    return f"<!-- scores {names} -->\n{table}\n<!-- end -->"


def page(text):
    """docs/gallery.md with its sections and tables made anew."""
    text = MARKED.sub(lambda match: section(match[1]), text)
    return COMPARED.sub(lambda match: comparison(match[1]), text)


if __name__ == "__main__":
    (DOCS / "gallery").mkdir(exist_ok=True)
    for argument in sys.argv[1:]:
        take(Path(argument))
    path = DOCS / "gallery.md"
    write_atomically(path, page(path.read_text(encoding="utf-8")).encode())
