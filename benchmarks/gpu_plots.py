"""The plots of a GPU's record: the ladder of one layer, the roofline, ratios of all layers."""

import numpy as np

from tinydeconv import viz

from . import plots
from .gpu import CPU, IMPLICIT, LADDER, TORCH, TORCH_TF32, UNFOLD, UNFOLD_TF32
from .gpu_tables import OFF, ON, have, in_order, middle, of_kind, ratio

PANELS = [  # (ours, theirs, title)
    (IMPLICIT, UNFOLD, f"{IMPLICIT} over {UNFOLD}\n{OFF}"),
    (IMPLICIT, TORCH, f"{IMPLICIT} over PyTorch\n{OFF}"),
    (UNFOLD_TF32, TORCH_TF32, f"{UNFOLD} over PyTorch\n{ON}"),
]
ALT = {  # for readers who cannot see them
    "ladder": "Bars of GFLOP/s of each rung, and the ceilings of arithmetic",
    "roofline": "GFLOP/s of all layers by operational intensity, under the measured roofs",
    "ratios": "Ratios of times of all layers, with their intervals",
}


def names(record):
    """{name of the plot: how it is drawn}, of those that there is something for."""
    found = of_kind(record, "convolution")
    if not any(result["samples"] for result in found):
        return {}
    known = {"ladder": ladder, "roofline": roofline}
    return known | ({"ratios": ratios} if points(record) else {})


def draw(record, path):
    """Writes `<path>-ladder.png` and so on; returns their paths. One that is of the record already
    stays.
    """
    written = []
    for name, drawer in names(record).items():
        target = path.with_name(f"{path.stem}-{name}.png")
        if not plots.is_drawn(target, record):
            plots.save(drawer(record), target, record)
        written.append(target)
    return written


def place_of(record, contestant):
    """Where it runs, a key of the ceilings."""
    return list(record["ceilings"])[0 if contestant == CPU else 2 if "TF32" in contestant else 1]


def ladder(record):
    """Bars of GFLOP/s of the first layer, under the ceilings of arithmetic."""
    found = of_kind(record, "convolution")
    values = {}
    for result in found:
        for name in LADDER:
            if result["name"] == found[0]["name"] and have(result, name):
                rate = result["flop"] / middle(result, name) / 1e9
                told = f"{result['kernel']}: {name}"
                values[told] = (rate, place_of(record, name))
    roofs = {place: (top["gflops"], top["gbs"]) for place, top in record["ceilings"].items()}
    figure = viz.bars(None, roofs, values)
    x, w = (tuple(found[0][key]) for key in "xw")
    figure.suptitle(f"{found[0]['name']}, images {x}, weights {w}, on {record['device']['name']}")
    return figure


def roofline(record):
    """GFLOP/s of all layers by operations a byte, each array once, under the measured roofs."""
    from matplotlib.figure import Figure

    figure = Figure((8, 6), layout="constrained")
    axis = figure.subplots()
    found = of_kind(record, "convolution")
    lie = [result["flop"] / result["bytes"] for result in found]
    along = np.geomspace(min(lie) / 2, max(lie) * 2, 200)
    for (place, top), style in zip(list(record["ceilings"].items())[1:], ("-", "--")):
        words = f"{place}: {top['gflops']:,.0f} GFLOP/s, {top['gbs']:,.0f} GB/s"
        roof = np.minimum(top["gflops"], top["gbs"] * along)
        axis.loglog(along, roof, style, color="0.3", label=words)
    shown = [IMPLICIT, UNFOLD, TORCH, UNFOLD_TF32, TORCH_TF32]
    colours = [*plots.COLOURS, "#e69f00"]
    for name, colour, marker in zip(shown, colours, "osDv^"):
        mine = [result for result in found if have(result, name)]
        rates = [result["flop"] / middle(result, name) / 1e9 for result in mine]
        intensity = [result["flop"] / result["bytes"] for result in mine]
        if mine:
            axis.plot(intensity, rates, marker, color=colour, markersize=4, alpha=0.8, label=name)
    axis.set(xlabel="operational intensity, FLOP per byte moved at least", ylabel="GFLOP/s")
    axis.set_title(f"Three kernels of {len({r['name'] for r in found})} layers", fontsize=10)
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def points(record):
    """[[panel, layer, kernel, low, median, high]]"""
    return [
        [title, result["name"], result["kernel"], *ratio(result, ours, theirs)]
        for ours, theirs, title in PANELS
        for result in in_order(record)
        if have(result, ours, theirs)
    ]


def ratios(record):
    """Ratios of times of all layers, as dots with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    plots.dots(figure, points(record))
    return figure
