"""The tables in README.md and docs/performance.md and the plots, from records in docs/performance.

In a page, `<!-- record NAME -->` to `<!-- end -->` encloses what the record NAME says, and
`<!-- record NAME summary -->` its first table.
"""

import os
import re
from importlib import import_module

from . import record
from .harness import ROOT
from .libraries import NAMES
from .plots import digest, draw
from .tables import OURS, peers

PAGES = [ROOT / "README.md", ROOT / "docs" / "performance.md"]
FOLDER = ROOT / "docs" / "performance"
MARKED = re.compile(r"(<!-- record (\w+)( summary)? -->\n).*?(<!-- end -->)", re.DOTALL)


def write():
    """Writes the pages, and the plots that are not of today's records."""
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

    return MARKED.sub(block, page.read_text(encoding="utf-8"))


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


def is_drawn(plot, measured):
    """Whether the plot shows this record; the file says what it shows."""
    return plot.is_file() and digest(measured).encode() in plot.read_bytes()
