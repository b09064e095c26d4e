"""One generator, six ways to double the size: what does the stride leave in the spectra?

A pattern that repeats every 2, 4 or 8 pixels, as the last, the middle and the first of three
doublings of stride 2 can leave it, is power at the multiples of 1/2, 1/4 or 1/8 cycles a pixel. The
generator is that of the recipe `cgan`, with random weights and after a training; the pictures that
all are held against are the data. docs/upsampling.md is made from the record.

The record has a row for each (what, upsampling, seed); a row that is there is not done again.
"""

import base64
import re
import sys
import time
import zlib
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import numpy as np

import tinydeconv as td
from tinydeconv import ops, viz
from tinydeconv.models.gan import UPSAMPLINGS
from tinydeconv.recipes import gan as recipe
from tinydeconv.recipes.sample import samples
from tinydeconv.recipes.scores import centred, scores

from . import harness, record
from .gan import UNSEEN, _kept, frechet, trained
from .tables import OURS, markdown

HELP = "six ways for a generator to double the size, by the spectra of its pictures"
PERIODS = {2: "1/2", 4: "1/4", 8: "1/8"}  # pixels: cycles a pixel
FAST = {"beyond 1/4": 1 / 4, "beyond 1/2": 1 / 2}  # cycles a pixel, in any direction
STEPS = 1200  # of a training
SAMPLES = 2000  # painted by each, and as many images of the data that no training saw
DRAWS, OF_EACH = 200, 32  # random generators, and pictures of each
ROUNDS = 21  # turns that are timed
SHOWN = 10  # samples in the picture, one of each class
DATA = "data"
NAMES = {
    "transposed4": "transposed, kernel 4",
    "transposed3": "transposed, kernel 3",
    "bilinear": "fixed bilinear + convolution",
    "gaussian": "fixed Gaussian + convolution",
    "resize": "nearest + convolution",
    "shuffle": "pixel shuffle, ICNR",
    DATA: "the data",
}
PAGE = harness.ROOT / "docs" / "upsampling.md"
RECORD = PAGE.with_suffix(".json")
MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


# ---------------------------------------------------------------- what is measured


def spectrum(images):
    """Mean power (H, W) of images (n, 1, H, W): |FFT|^2 over the number of pixels, of the whole
    picture without a window. White noise has its variance everywhere.

    The stride's frequencies are among those of the transform, so a pattern that repeats has all of
    its power in them; a window would smear it over their neighbours, with which they are compared.
    """
    images = np.asarray(images, np.float64)[:, 0]
    return (abs(np.fft.fft2(images)) ** 2).mean(0) / images[0].size


def energy(power, period):
    """Power (n, n) at the frequencies of a pattern of this period, each over the mean of the eight
    around it, in the mean: 1 where it is like its surroundings.

    The frequencies are those whose two parts, along the rows and the columns, are multiples of
    1 / period, but not both of 2 / period, which a shorter pattern has too.
    """
    n = len(power)
    step = n // period
    around = sum(np.roll(power, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) - power
    ratio = power / (around / 8)
    own = np.zeros_like(power, bool)
    own[::step, ::step] = True
    own[:: 2 * step, :: 2 * step] = False
    return float(ratio[own].mean())


def profile(power):
    """(frequencies in cycles a pixel, mean power) of rings, one frequency wide, from 0 on."""
    n = len(power)
    away = radius(n) * n
    rings = np.rint(away).astype(int)
    return np.arange(rings.max() + 1) / n, np.bincount(rings.flat, power.flat) / np.bincount(
        rings.flat
    )


def radius(n):
    """Cycles a pixel of each of n by n frequencies, in any direction."""
    return np.hypot(*np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n)))


def fast(power, beyond):
    """Power beyond so many cycles a pixel."""
    return float(power[radius(len(power)) > beyond].sum())


# ---------------------------------------------------------------- the record


def command(seeds, path, steps, threads):
    """Measures what the record at `path` has not yet, each in a process of its own, which adds its
    row; prints the tables, and writes the page if the record is the page's.
    """
    settings = asdict(replace(recipe.RECIPES["cgan"], steps=steps or STEPS))
    del settings["seed"], settings["upsampling"]
    head = {
        "subject": "upsampling",
        "settings": {n: list(x) if isinstance(x, tuple) else x for n, x in settings.items()},
        "samples": SAMPLES,
        "draws": [DRAWS, OF_EACH],
        "threads": threads,
        "machine": record.machine(),
    }
    wanted = [("data", DATA, None), ("times", None, None)]
    wanted += [("start", name, None) for name in UPSAMPLINGS]
    wanted += [("trained", name, seed) for seed in seeds for name in UPSAMPLINGS]
    there = {key(row) for row in _kept(path, head)["results"]}
    for what, name, seed in wanted:
        if (what, name, seed) in there:
            continue
        words = " ".join(str(word) for word in (what, name, seed) if word is not None)
        print(words, file=sys.stderr, flush=True)
        told = record.new("upsampling", threads, 1, {})
        row = {"what": what, "upsampling": name, "seed": seed}
        row |= {of: told[of] for of in ("command", "date", "commit", "dirty")}
        case = {"subject": "upsampling", "path": str(path), "head": head, "row": row}
        with harness.workers([OURS], threads) as started:
            started[OURS].ask("prepare", case=case)
    print("\n\n".join(tables(_kept(path, head))))
    if path.resolve() == RECORD:
        write()


def key(row):
    return row["what"], row["upsampling"], row["seed"]


def build(library, case):
    """For the worker, whose first call does it all."""
    row, head = case["row"] | {"version": library.describe()["version"]}, case["head"]

    def call(_):
        start, before = time.monotonic(), record.spent()
        row.update(MEASURES[row["what"]](library, head, row))
        seconds = time.monotonic() - start
        all_, ours = (after - was for after, was in zip(record.spent(), before))
        row["others"] = round((all_ - ours) / seconds, 2)  # cores busy with other things
        path = Path(case["path"])
        rows = {key(r): r for r in [*_kept(path, head)["results"], row]}
        record.save(path, head | {"results": [*rows.values()]})

    return lambda: None, call


def of_settings(head, **more):
    """The recipe's Settings."""
    return recipe.Settings(**head["settings"], **more)


def unseen(head):
    """Images of the data that no training saw, as many again, and the digits that both show."""
    n = head["samples"]
    images, labels = recipe.data_set(of_settings(head, seed=UNSEEN)).batch(0, range(2 * n))
    return centred(images[:n]), centred(images[n:]), labels[n:]


def of_the_data(library, head, row):
    images, others, labels = unseen(head)
    return told(others, images, labels)


def told(pictures, images, labels):
    """What is kept of pictures (n, 1, H, W) in [-1, 1], held against images of the data."""
    return {
        "spectrum": rounded(spectrum(pictures)),
        "scores": scores(pictures, images, labels),
        "pictures": packed(pictures[:SHOWN]),
    }


def at_the_start(library, head, row):
    """The mean spectrum of random generators, each of which sees one batch, as in the first step of
    a training: batch norm goes by the batch.
    """
    draws, n = head["draws"]
    settings, total = of_settings(head, upsampling=row["upsampling"]), 0.0
    for draw in range(draws):
        td.manual_seed(draw)
        generator = recipe.networks(settings, 1)["generator"]
        asked = td.tensor(np.arange(n) % settings.classes)
        with td.no_grad():
            pictures = generator(ops.randn(n, settings.latent), asked).numpy()
        total = total + spectrum(pictures)
    weights = sum(p.numel() for p in generator.parameters())
    return {"weights": weights, "spectrum": rounded(total / draws)}


def after_training(library, head, row):
    settings = of_settings(head, upsampling=row["upsampling"], seed=row["seed"])
    generator, training = trained(library, settings)
    images, *_ = unseen(head)
    n = head["samples"]
    pictures = 2 * samples(generator, n, UNSEEN) - 1
    return {"training": training, **told(pictures, images, np.arange(n) % settings.classes)}


def times(library, head, row):
    """Seconds of a step of both players, of processor time, which other work on the machine hardly
    changes; in turns of which another one goes first each time.
    """
    with TemporaryDirectory() as folder:
        steps = {}
        for name in UPSAMPLINGS:
            settings = of_settings(head, upsampling=name, seed=0)
            training = recipe.build(Path(folder) / name, settings, "cpu")
            steps[name] = training.update
            batch = next(training.loader.batches(0))
        seconds = {name: [] for name in steps}
        for number, order in enumerate(harness.rounds_of([*steps], ROUNDS + 1)):
            for name in order:
                start = time.process_time()
                steps[name](*batch)
                if number:  # the first round warms up
                    seconds[name].append(round(time.process_time() - start, 5))
    return {"seconds": seconds}


MEASURES = {
    DATA: of_the_data, "start": at_the_start, "trained": after_training, "times": times,
}  # fmt: skip


def rounded(power):
    """As a record holds it, with three digits."""
    return [[float(f"{x:.3g}") for x in row] for row in power.tolist()]


def packed(pictures):
    """Pictures (n, 1, H, W) in [-1, 1] as text."""
    pixels = np.rint((pictures + 1) * 127.5).astype(np.uint8)
    return base64.b64encode(zlib.compress(pixels.tobytes(), 9)).decode()


def unpacked(text, side):
    """Bytes (n, side, side) that packed() made."""
    pixels = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return pixels.reshape(-1, side, side)


# ---------------------------------------------------------------- what came out


def rows_of(measured, what, name):
    """The rows of this kind."""
    return [r for r in measured["results"] if (r["what"], r["upsampling"]) == (what, name)]


def figures(row):
    """{what: number} of a row with a spectrum and scores."""
    power = np.array(row["spectrum"])
    found = {of: energy(power, period) for period, of in PERIODS.items()}
    if "scores" in row:
        found |= {"Frechet distance": frechet(row), "read as asked": row["scores"]["read as asked"]}
    return found | {name: fast(power, beyond) for name, beyond in FAST.items()}


def start(measured):
    """A row a doubling: how many weights it has, its energies, and what a step takes."""
    lines, seconds = [], {}
    for row in rows_of(measured, "times", None):
        seconds = row["seconds"]
    for name in (*UPSAMPLINGS, DATA):
        for row in rows_of(measured, "data" if name == DATA else "start", name):
            found = figures(row)
            step = f"{1000 * median(seconds[name]):.0f}" if name in seconds else ""
            weights = f"{row['weights']:,}" if "weights" in row else ""
            energies = (f"{found[of]:.2f}" for of in PERIODS.values())
            lines.append([NAMES[name], *energies, weights, step])
    head = ["at the start", *PERIODS.values(), "weights", "ms a step, processor"]
    return markdown(head, lines)


def end(measured):
    """A row a doubling: the mean over the seeds of each figure, and the least and the most."""
    (data,) = rows_of(measured, DATA, DATA) or [None]
    lines, heads = [], [*PERIODS.values(), *FAST, "Frechet distance", "read as asked"]
    for name in (*UPSAMPLINGS, DATA):
        rows = rows_of(measured, DATA if name == DATA else "trained", name)
        if not rows or not data:
            continue
        found = [figures(row) for row in rows]
        for of in found:
            of |= {what: of[what] / figures(data)[what] for what in FAST}
        lines.append([NAMES[name], *(spread([of[what] for of in found]) for what in heads)])
    return markdown(["after training", *heads], lines)


def spread(numbers):
    if len(numbers) == 1:
        return f"{numbers[0]:.2f}"
    return f"{mean(numbers):.2f} ({min(numbers):.2f} to {max(numbers):.2f})"


TABLES = {"start": start, "end": end}


def tables(measured):
    """All that the record has so far."""
    return [table(measured) for table in TABLES.values()]


# ---------------------------------------------------------------- the page


def write():
    """Fills the page's tables from its record, and draws its pictures."""
    measured = record.load(RECORD)
    record.write(PAGE, page(measured, PAGE.read_text(encoding="utf-8")))
    draw(measured, PAGE.with_suffix(""))


def page(measured, text):
    """The text with the record's tables in their marks."""
    return MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]](measured)}\n{found[3]}", text)


def draw(measured, folder):
    """Writes spectra.png, profiles.png and samples.png of a record that is complete."""
    folder.mkdir(exist_ok=True)
    for name, figure in {"spectra": spectra, "profiles": profiles, "samples": shown}.items():
        figure(measured).savefig(folder / f"{name}.png")


def mean_of(measured, what, name):
    """The mean spectrum (n, n) of the rows of this kind."""
    rows = rows_of(measured, DATA if name == DATA else what, name)
    return np.mean([row["spectrum"] for row in rows], axis=0)


def relative(power):
    """Over the mean of all frequencies but 0, the mean brightness of the pictures."""
    return power / power.flat[1:].mean()


def figure_of(width, height, layout="constrained"):
    from matplotlib.figure import Figure  # here, because it takes its time

    return Figure((width, height), dpi=100, layout=layout)


def spectra(measured):
    """A column for each way, and one of the data; random generators above, trained ones below."""
    from matplotlib.colors import LogNorm

    columns, figure = [*UPSAMPLINGS, DATA], figure_of(14, 4.6)
    axes = figure.subplots(2, len(columns), sharex=True, sharey=True)
    for row, what in zip(axes, ("start", "trained")):
        for axis, name in zip(row, columns):
            power = np.fft.fftshift(relative(mean_of(measured, what, name)))
            half = 0.5 / len(power)
            extent = (-0.5 - half, 0.5 - half, 0.5 - half, -0.5 - half)
            scale = LogNorm(1e-3, 1e2, clip=True)
            image = axis.imshow(power, cmap="magma", norm=scale, extent=extent)
            for along in axis.set_xticks, axis.set_yticks:
                along([-0.5, -0.25, 0, 0.25], ["-1/2", "-1/4", "0", "1/4"], fontsize=8)
    for axis, name in zip(axes[0], columns):
        axis.set_title(NAMES[name].replace(", ", ",\n").replace(" + ", " +\n"), fontsize=10)
    axes[0, 0].set_ylabel("random weights\ncycles a pixel, down")
    axes[1, 0].set_ylabel("after training\ncycles a pixel, down")
    figure.supxlabel("cycles a pixel, across", fontsize=10)
    label = "power over the mean\nof all frequencies but 0"
    figure.colorbar(image, ax=axes, label=label, extend="both", pad=0.01)
    return figure


STYLES = [
    (viz.SKY, "s-"), (viz.BLUE, "o-"), (viz.GREEN, "x-."), (viz.PURPLE, "d:"), (viz.ORANGE, "^-"),
    (viz.RED, "v--"),
]  # fmt: skip


def profiles(measured):
    """Power by frequency in any direction: random generators left, trained ones right."""
    figure = figure_of(11, 5)
    axes = figure.subplots(1, 2)
    for axis, what in zip(axes, ("start", "trained")):
        _, of_data = profile(relative(mean_of(measured, DATA, DATA)))
        for name, (colour, style) in zip(UPSAMPLINGS, STYLES):
            at, power = profile(relative(mean_of(measured, what, name)))
            power = power if what == "start" else power / of_data
            axis.plot(at[1:], power[1:], style, color=colour, ms=4, label=NAMES[name])
        of_data = of_data if what == "start" else np.ones_like(of_data)
        axis.plot(at[1:], of_data[1:], color="black", label=NAMES[DATA])
        axis.set(yscale="log", xlabel="cycles a pixel, in any direction", xlim=(0, 0.72))
        axis.set_xticks(
            [0, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8], ["0", "1/8", "1/4", "3/8", "1/2", "5/8"]
        )
        axis.grid(alpha=0.25)
    axes[0].set(title="random weights", ylabel="power over the mean of all", ylim=(1e-4, 1e2))
    axes[1].set(title="after training", ylabel="the same, over the data's", ylim=(0.8, 30))
    axes[1].set_yticks(ticks := [1, 2, 5, 10, 20], ticks)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def shown(measured):
    """A row of samples for each way, of the first seed, and one of the data."""
    columns = [*UPSAMPLINGS, DATA]
    figure = figure_of(9, 0.67 * len(columns), None)
    axes = figure.subplots(len(columns), 1)
    figure.subplots_adjust(left=0.25, right=0.99, bottom=0.01, top=0.99, hspace=0.06)
    for axis, name in zip(axes, columns):
        row = rows_of(measured, DATA if name == DATA else "trained", name)[0]
        pictures = unpacked(row["pictures"], len(row["spectrum"]))
        axis.imshow(np.concatenate(pictures, 1), cmap="gray", vmin=0, vmax=255)
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(NAMES[name], rotation=0, ha="right", va="center", fontsize=9)
    return figure
