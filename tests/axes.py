"""What a student would miss in a figure: labels, units, a legend, colours to tell apart."""

import re
from itertools import combinations

from matplotlib.colors import to_rgb

from tinydeconv import viz

PALETTE = {
    to_rgb(colour)
    for colour in (
        viz.BLUE, viz.ORANGE, viz.GREEN, viz.PURPLE, viz.RED, viz.SKY, viz.GREY, viz.MARK,
        "black", "white",
    )
}  # fmt: skip
COLOUR_MAPS = {"gray", "gray_r", "Blues", "PuOr", "viridis", "cividis", "magma"}
SMALLEST = 8  # points
QUANTITIES = {  # a label with one of these words needs one of these units
    r"\btime\b": r"seconds?\b|\bms\b|milliseconds|microseconds|\bµs\b|minutes|hours",
    r"\bPSNR\b": r"\bdB\b",
}


def complaints(figure):
    """What is wrong with the figure, one sentence each."""
    figure.canvas.draw()
    titled = bool(figure.get_suptitle()) or any(title(ax) for ax in figure.axes)
    for number, ax in enumerate(figure.axes):
        found = list(of_axes(ax)) if ax.axison else list(of_bare_axes(ax, titled))
        yield from (f"axes {number} ({title(ax) or 'no title'}): {words}" for words in found)
    page, drawn = figure.bbox_inches, figure.get_tightbbox()
    if not (page.x0 - 0.05 <= drawn.x0 and drawn.x1 <= page.x1 + 0.05):
        yield "something is cut off at the left or right"
    if not (page.y0 - 0.05 <= drawn.y0 and drawn.y1 <= page.y1 + 0.05):
        yield "something is cut off at the top or bottom"


def title(ax):
    return ax.get_title() or ax.get_title("left") or ax.get_title("right")


def of_bare_axes(ax, titled):
    if ax.has_data() and not titled:
        yield "no axis and no title"
    yield from of_artists(ax)


def of_axes(ax):
    for name in "xy":
        axis = getattr(ax, f"{name}axis")
        group = getattr(ax, f"get_shared_{name}_axes")().get_siblings(ax)
        words = " ".join(getattr(other, f"get_{name}label")() for other in group).strip()
        ticks = [label.get_text() for label in axis.get_ticklabels() if label.get_visible()]
        named = ticks and all(re.search(r"[A-Za-z]{2}", text) for text in ticks if text)
        if not words and any(ticks) and not named and not is_unused_side_of_colorbar(ax, axis):
            yield f"the {name} axis has numbers and no label"
        for quantity, unit in QUANTITIES.items():
            if re.search(quantity, words) and not re.search(unit, words):
                yield f"the {name} axis is labelled {words!r}, without a unit"
        for label in axis.get_ticklabels():
            if label.get_visible() and label.get_text() and label.get_fontsize() < SMALLEST:
                yield f"the {name} axis has letters of {label.get_fontsize():g} points"
                break
    yield from of_artists(ax)


def is_unused_side_of_colorbar(ax, axis):
    bar = getattr(ax, "_colorbar", None)
    return bar is not None and axis is not bar.long_axis


def of_artists(ax):
    lines = [line for line in ax.lines if line.get_visible()]
    for line in lines:
        if to_rgb(line.get_color()) not in PALETTE:
            yield f"a line has the colour {line.get_color()}, which is not of the palette"
    for patch in () if hasattr(ax, "_colorbar") else ax.patches:  # a bar's ends are of its map
        colours = [c for c in (patch.get_facecolor(), patch.get_edgecolor()) if c[3] > 0]
        for colour in colours:
            if tuple(colour[:3]) not in PALETTE:
                yield f"a bar or frame has the colour {colour[:3]}, which is not of the palette"
    labelled = [line for line in lines if not line.get_label().startswith("_")]
    for one, other in combinations(labelled, 2):
        if look(one) == look(other):
            yield f"{one.get_label()!r} and {other.get_label()!r} look the same"
    handles, _ = ax.get_legend_handles_labels()
    if len(handles) > 1 and not (ax.get_legend() or ax.figure.legends):
        yield "several things are named, and no legend says which is which"
    for image in (*ax.images, *ax.collections):
        values, given = image.get_array(), getattr(image, "colors", None)  # contours' own colours
        mapped = values is not None and values.ndim < 3 and not given
        if mapped and image.get_cmap().name not in COLOUR_MAPS:
            yield f"the colour map {image.get_cmap().name} is not one that all can read"
    for spots in (spots for spots in ax.collections if spots.get_array() is None):
        colours = {tuple(c[:3]) for c in (*spots.get_facecolor(), *spots.get_edgecolor()) if c[3]}
        if colours - PALETTE:
            yield f"spots or lines have colours that are not of the palette: {colours - PALETTE}"
    for text in ax.texts:
        if text.get_text() and text.get_fontsize() < SMALLEST:
            yield f"{text.get_text()!r} is written in {text.get_fontsize():g} points"


def look(line):
    return to_rgb(line.get_color()), line.get_linestyle(), str(line.get_marker()), line.get_alpha()
