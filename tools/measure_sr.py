"""Three ways to make more pixels, without and with an adversarial term: docs/superresolution.md.

    python tools/measure_sr.py           trains what is not trained yet in runs/sr, a quarter of an
                                         hour for all, and measures: docs/superresolution.json
                                         and the pictures in docs/superresolution
    python tools/measure_sr.py --write   writes the tables of docs/superresolution.md from that

All is measured on the two held-out photographs.
"""

from itertools import product
from pathlib import Path

from matplotlib.figure import Figure
from measured import table, write

from tinydeconv import models
from tinydeconv.data import HELD_OUT
from tinydeconv.models.superresolution import SCALES, UPSAMPLINGS, SuperResolution
from tinydeconv.recipes import common, sr
from tinydeconv.serialize import load_json

ROOT = Path(__file__).parents[1]
PAGE, RECORD = ROOT / "docs" / "superresolution.md", ROOT / "docs" / "superresolution.json"
PICTURES = ROOT / "docs" / "superresolution"
RUNS = ROOT / "runs" / "sr"
STEPS = 800
TERMS = {"plain": 0.0, "adversarial": 0.02}
RIVALS = "bicubic", "Lanczos"


# ---------------------------------------------------------------- trainings and measurements


def trained(scale, upsampling, term):
    """A network of the comparison and how it was made, from its folder if it has been trained."""
    folder = RUNS / f"x{scale}-{upsampling}-{term}"
    weights = folder / "weights.safetensors"
    if not weights.exists():
        settings = sr.Settings(scale, upsampling, TERMS[term], STEPS)
        begun = (folder / common.CHECKPOINT).exists()
        print(f"training {folder}", flush=True)
        sr.train(common.resume("sr", folder) if begun else common.start("sr", folder, settings))
    return models.load(weights, SuperResolution), load_json(weights, models.KEY)["made"]


def shipped(scale):
    path = models.shipped(f"superresolution-x{scale}")
    return models.load(path, SuperResolution), load_json(path, models.KEY)["made"]


def measure():
    record: dict = {"compared": {}, "shipped": {}}
    for scale in SCALES:
        pictures, compared = {}, record["compared"].setdefault(str(scale), {})
        for term, upsampling in product(TERMS, UPSAMPLINGS):
            network, made = trained(scale, upsampling, term)
            found, pictures[term, upsampling] = of(network)
            compared.setdefault(term, {})[upsampling] = {"made": made, **found}
        network, made = shipped(scale)
        found, _ = of(network)
        record["shipped"][str(scale)] = {"made": made, **found}
        draw(PICTURES / f"x{scale}.png", pictures)
    return record


def of(network):
    """({"weights": how many, "photographs": {name: {label: quality}}}, {name: {label: image}})"""
    images = {name: sr.enlarged(network, name) for name in HELD_OUT}
    found = {name: sr.quality(of_name, network.scale) for name, of_name in images.items()}
    weights = sum(p.numel() for p in network.parameters())
    return {"weights": weights, "photographs": found}, images


def draw(path, pictures):
    """Enlarged parts: photograph, bicubic and the three networks, a row for each photograph and
    term.
    """
    parts = []
    for name, term in product(HELD_OUT, TERMS):
        top, left, side = sr.ZOOM[name]
        column = [pictures[term, upsampling][name] for upsampling in UPSAMPLINGS]
        images = [column[0]["clean"], column[0]["bicubic"], *(made["network"] for made in column)]
        parts.append([image[top : top + side, left : left + side] for image in images])
    panel(path, parts)


def panel(path, parts):
    """Draws rows of images, with what each row and each column is."""
    figure = Figure((10.4, 8.6), dpi=100, layout="constrained")
    axes = figure.subplots(len(parts), len(parts[0]))
    for axis, title in zip(axes[0], ["photograph", "bicubic", *UPSAMPLINGS]):
        axis.set_title(title)
    for row, images, (name, term) in zip(axes, parts, product(HELD_OUT, TERMS)):
        row[0].set_ylabel(f"{name}\n{term}")
        for axis, image in zip(row, images):
            axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path)


# ---------------------------------------------------------------- tables


def cells(quality):
    return [f"{quality['psnr']:.2f} ({quality['ssim']:.3f})", f"{100 * quality['detail']:.0f} %"]


def rows(photographs, label):
    return [cell for name in HELD_OUT for cell in cells(photographs[name][label])]


HEAD = [cell for name in HELD_OUT for cell in (f"{name}, PSNR in dB (SSIM)", "detail")]


def comparison(scale):
    def compared(record):
        of_scale = record["compared"][str(scale)]
        first = of_scale["plain"][UPSAMPLINGS[0]]["photographs"]
        lines = [[label, "", *rows(first, label)] for label in RIVALS]
        for term, upsampling in product(TERMS, UPSAMPLINGS):
            found = of_scale[term][upsampling]
            label = upsampling + (", adversarial" if TERMS[term] else "")
            lines.append([label, f"{found['weights']:,}", *rows(found["photographs"], "network")])
        return table([f"x{scale}", "weights", *HEAD], lines)

    return compared


def cost(record):
    """What the adversarial term changes, in the mean of both photographs."""
    lines = []
    for scale, upsampling in product(SCALES, UPSAMPLINGS):
        plain, adversarial = (
            means(record["compared"][str(scale)][term][upsampling]["photographs"].values())
            for term in TERMS
        )
        psnr, ssim = (adversarial[key] - plain[key] for key in ("psnr", "ssim"))
        detail = f"{100 * plain['detail']:.0f} % to {100 * adversarial['detail']:.0f} %"
        lines.append([f"x{scale} {upsampling}", f"{psnr:+.2f}", f"{ssim:+.3f}", detail])
    return table(["adversarial over plain", "PSNR in dB", "SSIM", "detail"], lines)


def means(qualities):
    found = [quality["network"] for quality in qualities]
    return {key: sum(of[key] for of in found) / len(found) for key in found[0]}


def of_shipped(record):
    lines = []
    for scale in SCALES:
        found = record["shipped"][str(scale)]["photographs"]
        lines += [[f"x{scale} {label}", *rows(found, label)] for label in (*RIVALS, "network")]
        gains = [found[n]["network"]["psnr"] - found[n]["bicubic"]["psnr"] for n in HELD_OUT]
        ahead = [cell for gain in gains for cell in (f"{gain:+.2f}", "")]
        lines.append([f"x{scale} network over bicubic", *ahead])
    return table(["weights of the library", *HEAD], lines)


TABLES = {"x2": comparison(2), "x4": comparison(4), "cost": cost, "shipped": of_shipped}


if __name__ == "__main__":
    write(measure, RECORD, PAGE, TABLES)
