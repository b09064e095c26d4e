"""docs/performance.md and its plots, from the records in docs/performance."""

import re
from importlib import import_module

from . import record
from .harness import ROOT
from .libraries import NAMES
from .plots import digest, draw
from .tables import OURS, peers

PAGE = ROOT / "docs" / "performance.md"


def write(page=PAGE):
    """The page with the tables of all records between its marks; the plots that are out of date."""
    record.write(page, with_tables(page.read_text(encoding="utf-8"), records(page)))
    for path, measured in records(page).items():
        if not is_drawn(path.with_suffix(".png"), measured):
            draw(measured, path.with_suffix(".png"))


def records(page=PAGE):
    """{file: record} for the page's marks, which name the records."""
    names = re.findall(r"^<!-- record (\w+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    paths = [page.with_suffix("") / f"{name}.json" for name in names]
    return {path: record.load(path) for path in paths}


def with_tables(text, found):
    for path, measured in found.items():
        mark = f"<!-- record {path.stem} -->\n"
        subject = import_module(f"benchmarks.{measured['subject']}")
        plot = f"![The same as a plot]({path.parent.name}/{path.stem}.png)"
        block = "\n\n".join([provenance(measured), *subject.tables(measured), plot])
        start = text.index(mark) + len(mark)
        text = text[:start] + block + "\n" + text[text.index("<!-- end -->", start) :]
    return text


def provenance(measured):
    """What it was measured with."""
    machine, libraries = measured["machine"], measured["libraries"]
    ours = libraries[OURS]
    commit = f"commit {measured['commit'][:9]}{', changed' if measured['dirty'] else ''}"
    versions = [f"tinydeconv {ours['version']} ({commit})"]
    versions += [f"{NAMES[peer]} {libraries[peer]['version']}" for peer in peers(measured)]
    blas = [f"{p['internal_api']} {p['version']}" for p in ours["pools"] if p["user_api"] == "blas"]
    versions += [f"Python {ours['python']}", f"NumPy {ours['numpy']} with {' and '.join(blas)}"]
    return (
        f"`{measured['command']}`, {measured['date'][:10]}, medians of {measured['rounds']} rounds "
        f"on {machine['cores']} cores of {machine['cpu']}, {machine['memory'] / 1e9:.0f} GB, "
        f"{measured['threads']} threads; {', '.join(versions)}."
    )


def is_drawn(plot, measured):
    """Whether the plot is of this record."""
    return plot.is_file() and digest(measured).encode() in plot.read_bytes()
