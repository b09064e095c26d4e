"""The tables in README.md and docs/performance.md and the plots, from records in docs/performance
and, of GPUs, in benchmarks/results.

In a page, `<!-- record NAME -->` to `<!-- end -->` encloses what the record NAME says, and
`<!-- record NAME summary -->` its first table; `<!-- gpu -->` to `<!-- end -->` what the records of
GPUs say.
"""

import os
import re
from importlib import import_module

from . import gpu_plots, gpu_results, record
from .harness import ROOT
from .libraries import NAMES
from .plots import draw, is_drawn
from .tables import OURS, peers

RESULTS = gpu_results.RESULTS
PAGES = [ROOT / "README.md", ROOT / "docs" / "performance.md"]
FOLDER = ROOT / "docs" / "performance"
MARKED = re.compile(r"(<!-- record (\w+)( summary)? -->\n).*?(<!-- end -->)", re.DOTALL)
GPU = re.compile(r"(<!-- gpu -->\n).*?(<!-- end -->)", re.DOTALL)
NONE = """No GPU has run this yet; these two commands stand ready:

```console
$ python -m benchmarks gpu-parity
$ python -m benchmarks gpu
```"""


def write():
    """Writes the pages, and the plots that are not of today's records."""
    for path in sorted(RESULTS.glob("*.json")):
        gpu_results.write(record.load(path), path)
    for page in PAGES:
        record.write(page, written(page))
    for path in sorted(FOLDER.glob("*.json")):
        measured = record.load(path)
        if not is_drawn(path.with_suffix(".png"), measured):
            draw(measured, path.with_suffix(".png"))


def written(page):
    """The text of the page with what its records say."""

    def block(found):
        mark, name, summary, end = found.groups()
        measured = record.load(FOLDER / f"{name}.json")
        tables = import_module(f"benchmarks.{measured['subject']}").tables(measured)
        if summary:
            told = tables[:1]
        else:
            plot = os.path.relpath(FOLDER / f"{name}.png", page.parent)
            told = [*tables, f"![The same as a plot]({plot})"]
        return mark + "\n\n".join([provenance(measured), *told]) + "\n" + end

    text = MARKED.sub(block, page.read_text(encoding="utf-8"))
    return GPU.sub(lambda found: found[1] + on_gpus(page) + "\n" + found[2], text)


def on_gpus(page):
    """What the records of GPUs say, one after the other; a sentence where there are none."""
    parts = []
    for path in sorted(RESULTS.glob("*.json")):
        measured = record.load(path)
        raw = os.path.relpath(path, page.parent)
        parts += [f"### {measured['device']['name']}: `{measured['subject']}`"]
        parts += [gpu_results.provenance(measured)]
        parts += [f"#### {heading}\n\n{words}" for heading, words in gpu_results.told(measured)]
        for name in gpu_plots.names(measured) if measured["subject"] == "gpu" else ():
            plot = os.path.relpath(path.with_name(f"{path.stem}-{name}.png"), page.parent)
            parts.append(f"![{gpu_plots.ALT[name]}]({plot})")
        parts.append(
            f"All cases stand in `benchmarks/results/{path.stem}.md`, the raw samples in "
            f"[{path.name}]({raw})."
        )
    return "\n\n".join(parts) if parts else NONE


def provenance(measured):
    """What it was measured with."""
    machine, libraries = measured["machine"], measured["libraries"]
    ours = libraries[OURS]
    changed = " and changes" if measured["dirty"] else ""
    versions = [f"tinydeconv {ours['version']} (commit {measured['commit'][:9]}{changed})"]
    versions += [f"{NAMES[peer]} {libraries[peer]['version']}" for peer in peers(measured)]
    blas = [f"{p['internal_api']} {p['version']}" for p in ours["pools"] if p["user_api"] == "blas"]
    versions += [f"Python {ours['python']}", f"NumPy {ours['numpy']} with {' and '.join(blas)}"]
    return (
        f"`{measured['command']}`, {measured['date'][:10]}, medians of {measured['rounds']} rounds "
        f"on {machine['cores']} cores of {machine['cpu']}, {machine['memory'] / 1e9:.0f} GB, "
        f"{measured['threads']} threads, {measured['others']:.2f} cores busy with other things; "
        f"{', '.join(versions)}."
    )
