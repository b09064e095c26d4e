"""Plots of a record: ratios as dots, scaling as lines. Those of a GPU's are in gpu_plots.py."""

import hashlib
import json

from .libraries import NAMES
from .scaling import AXES, curves
from .tables import peers, ratio, shared

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]  # of equal lightness to all eyes


def drawn(record):
    """The numbers and names that the plot shows: lists of [panel, name, series, low, median, high]
    or, of the scaling, of [panel, series, sizes, seconds]; of a GPU's record all that it holds.
    """
    if record["subject"] == "gpu":
        return [record.get("ceilings"), record["results"]]
    if record["subject"] == "scaling":
        return [[axis, NAMES[library], *curve] for (axis, library), curve in curves(record).items()]
    what, found = "peak memory" if record["subject"] == "memory" else "time", []
    for peer in peers(record):
        for result in shared(record, peer):
            panel, series = f"{what} over {NAMES[peer]}'s", result.get("measure")
            if not series:  # few results: all peers share a panel
                panel, series = f"{what} over another library's", NAMES[peer]
            found.append([panel, result["name"], series, *ratio(result, peer)])
    return found


def digest(record):
    """Names what the plot shows; stands in the file of the plot, which can so be told to be old."""
    return hashlib.sha256(json.dumps(drawn(record)).encode()).hexdigest()


def is_drawn(plot, measured):
    """Whether the plot shows this record; the file says what it shows."""
    return plot.is_file() and digest(measured).encode() in plot.read_bytes()


def draw(record, path):
    """Writes the plot, in the format that the ending of the path says."""
    from matplotlib.figure import Figure  # here, because it takes its time

    figure = Figure(layout="constrained")
    (lines if record["subject"] == "scaling" else dots)(figure, drawn(record))
    save(figure, path, record)


def save(figure, path, record):
    temporary = path.with_name(f"new-{path.name}")
    note = {"metadata": {"Description": digest(record)}} if path.suffix == ".png" else {}
    figure.savefig(temporary, dpi=110, **note)
    temporary.replace(path)


def dots(figure, points):
    """Ratios with their intervals: a row for each name, a colour for each series."""
    names = list(dict.fromkeys(name for _, name, *_ in points))
    panels = list(dict.fromkeys(panel for panel, *_ in points))
    series = list(dict.fromkeys(label for _, _, label, *_ in points))
    figure.set_size_inches(3 + 4 * len(panels), 1.6 + 0.3 * len(names))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, title in zip(axes, panels):
        shown = [point[1:] for point in points if point[0] == title]
        labels = [label for label in series if label in {p[1] for p in shown}]
        for number, label in enumerate(labels):
            colour, offset = COLOURS[series.index(label)], 0.2 * (number - (len(labels) - 1) / 2)
            rows = [(names.index(p[0]) + offset, *p[2:]) for p in shown if p[1] == label]
            heights, low, middle, high = zip(*rows)
            panel.hlines(heights, low, high, color=colour, linewidth=1)
            panel.plot(middle, heights, "o", color=colour, markersize=4, label=label)
        for number in range(0, len(names), 2):
            panel.axhspan(number - 0.5, number + 0.5, color="0.95", zorder=0)
        panel.axvline(1, color="0.3", linewidth=1)
        plain_numbers(panel, min(p[2] for p in shown), max(p[4] for p in shown))
        panel.set_xlabel(f"{title} (left of 1 is better)")
        panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)


def plain_numbers(panel, low, high):
    """A logarithmic x axis from low to high, and from 1/2 to 2 at least, with plain numbers."""
    panel.set_xscale("log")
    panel.set_xlim(0.9 * min(low, 0.5), 1.1 * max(high, 2))
    ticks = [d * 10.0**e for e in range(-4, 5) for d in (1, 2, 5)]
    left, right = panel.get_xlim()
    panel.set_xticks(shown := [t for t in ticks if left < t < right], [f"{t:g}" for t in shown])
    panel.minorticks_off()
    panel.grid(axis="x", alpha=0.3)


def lines(figure, found):
    """Times against sizes, and the predicted slope through the last time of the first library."""
    panels = list(dict.fromkeys(axis for axis, *_ in found))
    figure.set_size_inches(4 * len(panels), 4)
    for panel, axis in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        shown = [curve for title, *curve in found if title == axis]
        for colour, (label, sizes, seconds) in zip(COLOURS, shown):
            panel.plot(sizes, seconds, "o-", color=colour, markersize=4, label=label)
        _, sizes, seconds = shown[0]
        slope = AXES[axis][2]
        predicted = [seconds[-1] * (size / sizes[-1]) ** slope for size in sizes]
        panel.plot(sizes, predicted, "--", color="0.5", label=f"predicted: slope {slope}")
        panel.set(xscale="log", yscale="log", xlabel=axis, ylabel="seconds")
        panel.set_xticks(sizes[::2], sizes[::2])
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.legend(frameon=False)
