"""Draws the CUDA kernels and how they are simulated: docs/kernels, for docs/gpu.md and cudasim.md.

    python tools/draw_kernels.py               those that have changed
    python tools/draw_kernels.py unfold fold   these, if they have

In all of them images (the big side) are blue, weights orange, features (the small side) green,
patches purple, shared memory sky blue; what one thread does is red.
"""

import hashlib
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tinydeconv.serialize import write_atomically
from tinydeconv.viz import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY

ROOT = Path(__file__).resolve().parent.parent
FOLDER, CUDA = ROOT / "docs" / "kernels", ROOT / "tinydeconv" / "kernels" / "cuda"
WIDTH = 70  # of every page
CODE = "DejaVu Sans Mono"
SMALL, NORMAL = 10, 11.5  # points
DRAWINGS = {}  # {name: function that returns a Page}


def tint(colour, share=0.3):
    """The colour mixed with white."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


IMAGE, WEIGHT, FEATURE, PATCH, SHARED = map(tint, (BLUE, ORANGE, GREEN, PURPLE, SKY))
EMPTY = tint(GREY, 0.15)
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # words that lines would cross


class Page:
    """A drawing. A unit is 10 pixels on the site; (0, 0) is the upper left corner."""

    def __init__(self, height):
        self.figure = Figure((WIDTH / 10, height / 10), dpi=200)
        self.axis = self.figure.add_axes((0, 0, 1, 1))
        self.axis.set(xlim=(0, WIDTH), ylim=(height, 0))
        self.axis.set_axis_off()
        self.told = [height]  # all that is drawn

    def say(self, x, y, words, size=NORMAL, colour="black", across="center", **how):
        """Words around a point; `across`: which part of them stands there."""
        self.told.append(("say", x, y, words, size, colour, across, how))
        if "\n" in words or how.get("rotation"):
            how = {"va": "center", **how}
        elif "va" not in how:  # one line: letters with tails stay in line with the others
            y += 0.05 * size
        self.axis.text(x, y, words, size=size, color=colour, ha=across, linespacing=1.35, **how)

    def code(self, x, y, words, colour="black", size=SMALL, **how):
        self.say(x, y, words, size, colour, family=CODE, **how)

    def box(self, x, y, width, height, fill="none", edge="black", line=1.0, **how):
        self.told.append(("box", x, y, width, height, fill, edge, line, how))
        self.axis.add_patch(Rectangle((x, y), width, height, fc=fill, ec=edge, lw=line, **how))

    def mark(self, middle, width, height=None, colour=RED, fill="none", line=2.5, **how):
        """A frame around a point."""
        height = height or width
        x, y = middle[0] - width / 2, middle[1] - height / 2
        self.box(x, y, width, height, fill, colour, line, **how)

    def cells(self, x, y, rows, columns, fill, words=None, size=3.0, height=None):
        """A table of small boxes. fill: a colour, or a function of (row, column); words: likewise,
        or an array. Returns where the middle of a box is: a function of (row, column).
        """
        height = height or size

        def middle(row, column):
            return x + (column + 0.5) * size, y + (row + 0.5) * height

        for at in np.ndindex(rows, columns):
            self.mark(
                middle(*at), size, height, "black", fill(*at) if callable(fill) else fill, 0.7
            )
            if words is not None:
                text = words(*at) if callable(words) else words[at[0]][at[1]]
                self.say(*middle(*at), str(text), SMALL)
        return middle

    def arrow(self, start, end, colour="black", bend=0.0, line=1.6):
        self.told.append(("arrow", start, end, colour, bend, line))
        how = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "mutation_scale": 13}
        ends = {"shrinkA": 0, "shrinkB": 0}
        self.axis.add_patch(FancyArrowPatch(start, end, color=colour, lw=line, **how, **ends))

    def lines(self, points, colour="black", line=1.0):
        self.told.append(("lines", points, colour, line))
        self.axis.plot(*zip(*points), color=colour, lw=line, solid_capstyle="butt")

    def digest(self):
        """Names what is drawn. It stands in the file, which can so be told to be old, by whatever
        version of matplotlib it was drawn.
        """
        return hashlib.sha256(json.dumps(self.told, default=float).encode()).hexdigest()

    def png(self):
        """The bytes of a file of 256 colours."""
        drawn, file, note = io.BytesIO(), io.BytesIO(), PngInfo()
        self.figure.savefig(drawn, format="png", facecolor="white")
        note.add_text("Description", self.digest())
        picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        picture.save(file, "PNG", optimize=True, pnginfo=note)
        return file.getvalue()


def drawing(function):
    DRAWINGS[function.__name__] = function
    return function


def complaints(page):
    """What a reader would stumble over: words that are cut off, or lie on other words, or small."""
    renderer = FigureCanvasAgg(page.figure).get_renderer()
    edge, boxes = page.figure.bbox, {}
    for text in page.axis.texts:
        words = text.get_text()
        box = text.get_window_extent(renderer)
        if box.x0 < edge.x0 or box.x1 > edge.x1 or box.y0 < edge.y0 or box.y1 > edge.y1:
            yield f"{words!r} is cut off"
        if text.get_fontsize() < 9:
            yield f"{words!r} has letters of {text.get_fontsize():g} points"
        for other, there in boxes.items():
            if box.overlaps(there):
                yield f"{words!r} lies on {other.get_text()!r}"
        if words:
            boxes[text] = box


# ---------------------------------------------------------------- how work is shared out


@drawing
def grid():
    page, side, per_block, n = Page(26.5), 2.6, 8, 22
    for block in range(3):
        left, first = 1.2 + block * 23.4, per_block * block
        page.box(left - 0.6, 4, per_block * side + 1.2, 3.8, SHARED, SKY, 1.5)
        page.say(left + per_block * side / 2, 2.4, f"block {block}, threads 0 to 7")
        threads = page.cells(left, 4.6, 1, per_block, "white", lambda _, thread: thread, side)

        def fill(_, thread, first=first):
            return IMAGE if first + thread < n else EMPTY

        numbers = page.cells(
            left, 13, 1, per_block, fill, lambda _, thread, first=first: first + thread, side
        )
        for thread in range(per_block):
            mine = (block, thread) == (1, 3)
            if first + thread < n:
                start, end = threads(0, thread), numbers(0, thread)
                page.arrow(
                    (start[0], 7.3), (end[0], 12.9), RED if mine else GREY, line=2.2 if mine else 1
                )
            if mine:
                for middle in (threads(0, thread), numbers(0, thread)):
                    page.mark(middle, side)
    page.say(69, 17.2, "22 < n fails:\nnothing to do", SMALL, GREY, "right", va="top")
    page.say(1.2, 17.2, "n = 22 numbers", SMALL, GREY, "left", va="top")
    page.code(35, 19, "i = blockIdx.x * blockDim.x\n    + threadIdx.x", RED)
    page.code(35, 23.4, "= 1 * 8 + 3 = 11", RED)
    return page


# ---------------------------------------------------------------- patches


SIDE, TAPS = 4, 3  # of the image and of the kernel, which has padding 1 and stride 1


def met(tap, position):
    """Row and column of the padded image, for a tap and a position by number."""
    return position // SIDE + tap // TAPS, position % SIDE + tap % TAPS


def is_padding(row, column):
    return not (0 < row <= SIDE and 0 < column <= SIDE)


def image_and_columns(page, top):
    """The padded image and the columns of its patches; where the middles of their boxes are."""
    image = page.cells(1.5, top, 6, 6, lambda *at: EMPTY if is_padding(*at) else IMAGE, size=3)
    left, wide, high = 33.5, 2.15, 2.15

    def fill(tap, position):
        return EMPTY if is_padding(*met(tap, position)) else PATCH

    columns = page.cells(left, top, 9, 16, fill, size=wide, height=high)
    page.say(10.5, top - 1.6, "image x and its padding")
    page.say(left + 8.5 * wide, top - 1.6, "cols: a column for each position")
    for tap in range(9):
        at = left - 0.5, top + (tap + 0.5) * high
        page.say(*at, f"{tap // 3},{tap % 3}", 9, across="right", bbox={**BEHIND, "pad": -2})
    page.say(left - 1.7, top - 1.6, "tap", SMALL)
    return image, columns


@drawing
def unfold():
    page, top = Page(34), 4
    image, columns = image_and_columns(page, top)
    page.box(1.5 + 6, top + 3, 9, 9, edge="black", line=2, ls="--")
    page.box(33.5 + 6 * 2.15, top, 2.15, 9 * 2.15, edge="black", line=2, ls="--")
    row, column = met(2, 6)
    here, there = image(row, column), columns(2, 6)
    page.box(here[0] - 1.5, here[1] - 1.5, 3, 3, edge=RED, line=2.5)
    page.box(there[0] - 1.08, there[1] - 1.08, 2.15, 2.15, edge=RED, line=2.5)
    page.arrow((here[0] + 1.6, here[1]), (there[0] - 1.2, there[1]), RED, -0.06, 2.2)
    page.say(35, 26.6, "one thread writes one number of cols, and reads one pixel:", colour=RED)
    page.code(35, 28.9, "pixel = position * stride + tap * dilation - padding")
    page.say(35, 31.4, "grey: outside the image, the thread writes the fill (0) and reads nothing")
    return page


@drawing
def fold():
    page, top = Page(34), 4
    image, columns = image_and_columns(page, top)
    row, column = 2, 3
    here = image(row, column)
    page.box(here[0] - 1.5, here[1] - 1.5, 3, 3, edge=RED, line=2.5)
    for tap in range(9):
        y, x = row - tap // 3, column - tap % 3
        there = columns(tap, y * SIDE + x)
        page.box(there[0] - 1.08, there[1] - 1.08, 2.15, 2.15, tint(RED, 0.55), RED, 2)
        if tap in (0, 4, 8):
            page.arrow((there[0] - 1.2, there[1]), (here[0] + 1.6, here[1]), RED, -0.12, 1.8)
    page.say(35, 26.6, "one thread owns one pixel and adds up the numbers that met it", colour=RED)
    page.say(35, 29, "one for each tap, in the order of the taps")
    page.say(35, 31.4, "nobody else writes that pixel: no atomics, the same bits every time")
    return page


# ---------------------------------------------------------------- convolution


@drawing
def direct():
    page = Page(33)
    for channel in (2, 1, 0):
        x, y = 2 + 2.2 * channel, 4.5 + 2.2 * channel
        image = page.cells(x, y, 6, 6, IMAGE, size=2.5)
        corner = image(1, 1)
        page.box(corner[0] - 1.25, corner[1] - 1.25, 7.5, 7.5, tint(RED, 0.45), RED, 2)
        if channel == 0:
            page.box(corner[0] + 1.25, corner[1] - 1.25, 7.5, 7.5, edge="black", line=2, ls="--")
    for channel in (2, 1, 0):
        x, y = 30 + 2.2 * channel, 6.5 + 2.2 * channel
        page.cells(x, y, 3, 3, WEIGHT, size=2.5)
    page.cells(51.5, 5.5, 6, 6, FEATURE, size=2.5)
    page.box(51.5 + 2.5, 5.5 + 2.5, 2.5, 2.5, tint(RED, 0.45), RED, 2.5)
    page.box(51.5 + 5, 5.5 + 2.5, 2.5, 2.5, edge="black", line=2, ls="--")
    page.say(12.5, 2.2, "image x: 3 channels")
    page.say(36, 2.2, "filter f of w")
    page.say(59, 2.2, "features y, filter f")
    page.say(26, 12.5, "·", 30)
    page.arrow((43.8, 12), (53.8, 9.3), RED, -0.1, 2.2)
    page.say(
        35, 26.4, "one thread computes one feature: 27 products, 54 reads from memory", colour=RED
    )
    page.say(35, 28.8, "its neighbour (dashed) reads two thirds of the same pixels again")
    page.say(35, 31.2, "and each of the other filters reads all of them again")
    return page


def constants(file):
    """The numbers that a source of CUDA C names: {name: value}."""
    text = (CUDA / file).read_text(encoding="utf-8")
    lines = re.findall(r"^constexpr int (.+?);", text, re.MULTILINE)
    return {n: int(v) for line in lines for n, v in re.findall(r"(\w+) = (\d+)", line)}


@drawing
def gemm():
    tile = constants("convolution.cu")
    page = Page(57)
    left, top, wide, high, deep = 27, 26, 10.5, 5, 18  # of the features, and of a tile of them
    page.cells(left, top, 4, 4, FEATURE, size=wide, height=high)
    page.cells(4, top, 4, 1, WEIGHT, size=deep, height=high)
    for column in range(4):
        page.box(left + column * wide, 5, wide, deep, PATCH, ls="--")
    page.mark((left + 1.5 * wide, top + 1.5 * high), wide, high, fill=tint(RED, 0.45))
    page.mark((4 + deep / 2, top + 1.5 * high), deep, high)
    page.mark((left + 1.5 * wide, 5 + deep / 2), wide, deep)
    for part in range(1, 6):
        x, y = 4 + 3 * part, 5 + 3 * part
        page.lines([(x, top + high), (x, top + 2 * high)], RED, 0.8)
        page.lines([(left + wide, y), (left + 2 * wide, y)], RED, 0.8)
    weights, patches = (4 + 7.5, top + 1.5 * high), (left + 1.5 * wide, 5 + 7.5)
    page.mark(weights, 3, high, fill=SKY)
    page.mark(patches, wide, 3, fill=SKY)
    page.arrow(weights, (weights[0] + 6.5, weights[1]))
    page.arrow(patches, (patches[0], patches[1] + 6.5))
    image = page.cells(5, 7, 4, 4, IMAGE, size=2.6)
    page.mark((5 + 2.5 * 2.6, 7 + 2.5 * 2.6), 7.8, colour="black", line=2, ls="--")
    page.arrow(image(1, 3), (left + wide, 5 + 7.5), RED, -0.15, 1.8)
    page.say(10, 4, "image x, in memory", SMALL)
    page.say(left + 21, 3.2, "patches: a column for each position, never in memory", SMALL)
    page.say(13, 47.6, "weights w", SMALL)
    page.say(left + 21, 47.6, "features y: filters by positions of all images", SMALL)
    page.say(2, top + 10, "filters", SMALL, rotation=90)
    page.say(13, top - 1.3, "depth: channels x taps", SMALL)
    page.say(left - 1.6, 17, "depth", SMALL, rotation=90)
    size = f"{tile['ROWS']} filters by {tile['COLUMNS']} positions"
    page.say(35, 50.8, f"one block computes one tile of y, {size}", colour=RED)
    page.say(
        35,
        53.2,
        f"along the depth, {tile['DEPTH']} at a time: a slice of w and one of the patches,",
    )
    page.say(
        35, 55.5, "gathered from the image, go into shared memory for all threads of the block"
    )
    return page


@drawing
def gemm_block():
    tile = constants("convolution.cu")
    rows, columns, depth, own, run = (tile[n] for n in ("ROWS", "COLUMNS", "DEPTH", "OWN", "RUN"))
    page, left, top, wide, high, deep = Page(57), 8.5, 9, 32, 16, 4
    down, across = rows // own, columns // run
    cell, tall = wide / across, high / down
    page.box(left, top - deep - 0.8, wide, deep, SHARED, SKY, 2)
    page.box(left - deep - 0.8, top, deep, high, SHARED, SKY, 2)
    page.cells(left, top, down, across, FEATURE, size=cell, height=tall)
    for k in range(1, depth):
        y, x = top - deep - 0.8 + k * deep / depth, left - deep - 0.8 + k * deep / depth
        page.lines([(left, y), (left + wide, y)], SKY, 0.6)
        page.lines([(x, top), (x, top + high)], SKY, 0.6)
    row, column, k = 5, 9, 3.5 * deep / depth
    y = top + (row + 0.5) * tall
    page.mark((left - deep - 0.8 + k, y), 0.5, tall, fill=RED, line=0)
    for half in (0, across // 2):
        x = left + (half + column + 0.5) * cell
        page.mark((x, y), cell, tall, fill=RED)
        page.mark((x, top - deep - 0.8 + k), cell, 0.5, fill=RED, line=0)
    page.say(left + wide / 2, 2.2, f"patches, {depth} by {columns}", SMALL)
    page.say(1.8, top + high / 2, f"weights, {rows} by {depth}", SMALL, rotation=90)
    threads = f"{tile['THREADS']} threads; each has {own} rows and 2 runs of {run} columns"
    page.say(left - 5, top + high + 1.6, threads, SMALL, across="left")

    zoom, at, small = 49.5, 12, 2.1
    page.cells(zoom, at - small - 0.6, 1, own, SHARED, size=small)
    page.cells(zoom - small - 0.6, at, own, 1, SHARED, size=small)
    page.cells(zoom, at, own, own, tint(RED, 0.35), size=small)
    page.mark((zoom + own * small / 2, at + own * small / 2), own * small)
    page.code(
        zoom + own * small / 2, at + own * small / 2, "sum[i][j]\n+= a[i] * b[j]", bbox=BEHIND
    )
    page.arrow((x + cell / 2, y), (zoom - 3.2, y), RED, line=1.8)
    page.say(zoom + 7, 3.2, "one thread, in registers:", SMALL, RED)
    page.say(zoom + 7, 5.4, f"{own} + {own} numbers read,", SMALL, RED)
    page.say(zoom + 7, 7.6, f"{own * own} products", SMALL, RED)

    y, high = 36, 6.4
    steps = [
        ("put slice 0\ninto tiles A", SHARED),
        ("multiply A,\nfetch slice 1", FEATURE),
        ("put slice 1\ninto tiles B", tint(SKY, 0.7)),
        ("multiply B,\nfetch slice 2", FEATURE),
        ("put slice 2\ninto tiles A", SHARED),
    ]
    x = 1.2
    for number, (words, colour) in enumerate(steps):
        page.box(x, y, 12.2, high, colour)
        page.say(x + 6.1, y + high / 2, words, SMALL)
        x += 12.2
        if number in (0, 2):
            page.box(x + 0.5, y - 1, 0.8, high + 2, RED, "none")
            page.say(x + 0.9, y - 2.5, "barrier", SMALL, RED)
            x += 1.8
        else:
            x += 0.4
    page.say(x, y + high / 2, "...", across="left")
    page.say(35, 47, "the barrier: nobody multiplies before all have put their share")
    page.say(35, 49.6, "one a step is enough, since the next slice goes into the other tiles;")
    page.say(35, 52.2, "the slice after it is put when all have left the present ones:")
    page.say(35, 54.8, "behind the next barrier")
    return page


@drawing
def conv_transpose():
    page, cell = Page(54), 3.4
    row = page.cells(
        8,
        5,
        1,
        13,
        lambda _, i: FEATURE if i % 2 and 1 < i < 11 else EMPTY,
        lambda _, i: f"y{i // 2 - 1}" if i % 2 and 1 < i < 11 else "0",
        cell,
    )
    page.say(8, 2.6, "what the definition says: zeros between the features", SMALL, across="left")
    page.cells(row(0, 4)[0] - cell / 2, 10.4, 1, 4, WEIGHT, lambda _, i: f"w{3 - i}", cell)
    for i in range(4):
        x = row(0, 4 + i)[0]
        page.arrow((x, 10.3), (x, 8.5), GREY, line=1)
    page.say(
        42,
        12.1,
        "half of the products are with 0,\nthree quarters in two dimensions",
        SMALL,
        across="left",
        va="center",
    )
    page.lines([(1, 17), (69, 17)], GREY, 1)
    page.say(
        1.5,
        19.4,
        "what the kernel does: a small convolution for each phase of the stride",
        SMALL,
        across="left",
    )
    for phase, left in enumerate((2.5, 38.5)):
        taps = (1, 3) if phase == 0 else (0, 2)
        pixel = page.cells(
            left,
            24.5,
            1,
            8,
            lambda _, p, phase=phase: IMAGE if p % 2 == phase else "white",
            lambda _, p: p,
            cell + 0.2,
        )
        feature = page.cells(left + 5.6, 36.5, 1, 4, FEATURE, lambda _, o: f"y{o}", cell + 0.9)
        for p in range(phase, 8, 2):
            for tap in taps:
                o, rest = divmod(p + 1 - tap, 2)
                assert rest == 0
                if 0 <= o < 4:
                    mine = p == 4 - phase
                    end, start = pixel(0, p), feature(0, o)
                    page.arrow(
                        (start[0], 36.4),
                        (end[0], 28.2),
                        RED if mine else GREY,
                        line=2.2 if mine else 1.2,
                    )
                    if mine:
                        x = start[0] + 0.36 * (end[0] - start[0])
                        page.say(x, 36.4 - 0.36 * 8.2, f"w{tap}", SMALL, RED, bbox=BEHIND)
        page.mark(pixel(0, 4 - phase), cell + 0.2)
        kind = "even" if phase == 0 else "odd"
        page.say(left + 14.4, 22.7, f"phase {phase}: {kind} pixels", SMALL)
        page.cells(
            left + 7.6,
            43,
            1,
            4,
            lambda _, t, taps=taps: WEIGHT if t in taps else "white",
            lambda _, t: f"w{t}",
            cell,
        )
    page.say(35, 49.8, "a pixel only meets features through the taps of its own phase", colour=RED)
    page.say(35, 52.2, "(kernel 4, stride 2, padding 1); each phase is tiled like a convolution")
    return page


@drawing
def conv_weight():
    page, left, wide = Page(46), 7, 14.5
    for piece in range(4):
        x, share, mine = left + piece * wide, 0.2 + 0.12 * piece, piece == 1
        page.box(x, 4, wide, 5, tint(GREEN, share))
        page.box(x, 12.6, wide, 7, tint(PURPLE, share), ls="--")
        page.say(x + wide / 2, 6.5, f"piece {piece}", SMALL)
        page.say(x + wide / 2, 16.1, f"piece {piece}", SMALL)
        page.arrow((x + wide / 2, 20), (x + wide / 2, 23.8), RED if mine else GREY, line=1.8)
        page.box(x + 3.25, 24, 8, 5.5, WEIGHT)
        page.say(x + wide / 2, 26.75, f"part {piece}", SMALL)
        if piece:
            page.say(x, 26.75, "+", 14)
    for middle, high in ((6.5, 5), (16.1, 7)):
        page.mark((left + 1.5 * wide, middle), wide, high)
    page.mark((left + 1.5 * wide, 26.75), 8, 5.5)
    page.say(left, 2.4, "features y: along the positions of all images", SMALL, across="left")
    page.say(left, 11, "patches of the image, never in memory", SMALL, across="left")
    page.say(left - 1.4, 6.5, "filters", 9, rotation=90, va="center")
    page.say(left - 2.3, 16.1, "channels\nx taps", 9, rotation=90, va="center")
    page.arrow((36, 30), (36, 32.8))
    page.box(32, 33, 8, 5.5, WEIGHT)
    page.say(36, 35.75, "w")
    page.say(42, 35.75, "the parts, added in this order", SMALL, across="left")
    page.say(30, 35.75, "a second kernel", SMALL, across="right")
    page.say(35, 41.4, "one block sums one piece of the positions for one tile of w", colour=RED)
    page.say(35, 43.7, "the pieces follow from the shapes alone: the same bits every time")
    return page


# ---------------------------------------------------------------- pooling, gather and scatter


@drawing
def max_pool():
    page, size = Page(34), 4.6
    pixels = [*"314159265359897932", *"38", "NaN", *"626"]
    image = page.cells(
        2, 4.5, 4, 6, lambda r, c: tint(BLUE, 0.15 + (r // 2 + c // 2) % 2 * 0.15), size=size
    )
    for i, pixel in enumerate(pixels):
        x, y = image(*divmod(i, 6))
        page.say(x + 0.1, y + 0.9, pixel, NORMAL)
        page.say(x - 2, y - 1.4, str(i), 9, GREY, "left")
    winners = np.array([[7, 8, 5], [13, 20, 23]])
    indices = page.cells(38.5, 8, 2, 3, "white", winners, size)
    page.cells(55, 8, 2, 3, FEATURE, lambda r, c: pixels[winners[r, c]], size)
    page.mark((2 + 5 * size, 4.5 + size), 2 * size)
    page.mark(indices(0, 2), size)
    page.arrow((2 + 6 * size + 0.2, 7), (indices(0, 2)[0] - 1, 7.8), RED, -0.25, 2.2)
    page.say(15.8, 2.4, "image x, windows of 2 by 2")
    page.say(45.4, 19.2, "indices")
    page.say(61.9, 19.2, "y = x[indices]")
    page.say(
        35, 26.4, "one thread for each window: it keeps the largest pixel and its index", colour=RED
    )
    page.say(35, 28.8, "the first of equal pixels wins; a NaN wins over all; padding never does")
    page.say(35, 31.2, "the index (grey) is the flat position inside the image of that channel")
    return page


@drawing
def window_sums():
    page, size = Page(34), 3.4
    for back, left in enumerate((2, 37.5)):
        image = page.cells(left, 6, 5, 5, IMAGE, size=size)
        y = page.cells(left + 21.5, 9.4, 3, 3, FEATURE, size=size)
        if not back:
            page.mark(image(2, 2), 3 * size, fill=tint(RED, 0.35))
            page.mark(y(1, 1), size)
            page.arrow((left + 4 * size + 0.2, 14.5), (y(1, 1)[0] - 1.8, 14.5), RED, 0.0, 2.2)
        else:
            page.mark(image(1, 1), size)
            page.box(left + 21.5, 9.4, 2 * size, 2 * size, tint(RED, 0.35), RED, 2.5)
            page.arrow((left + 21.3, 12), (image(1, 1)[0] + 1.9, 11.1), RED, 0.1, 2.2)
    page.say(17.5, 2.2, "average pool")
    page.say(53, 2.2, "its way back")
    page.say(10.5, 4.6, "x", SMALL)
    page.say(28.6, 7.6, "sums", SMALL)
    page.say(46, 4.6, "gradient of x", SMALL)
    page.say(64.1, 7.6, "gradient", SMALL)
    page.say(17.5, 25.6, "one thread adds up\none window", colour=RED, va="top")
    page.say(
        53, 25.6, "one thread adds up the windows\nthat its pixel lies in", colour=RED, va="top"
    )
    page.say(35, 32, "both gather: each number is written once, by one thread", SMALL)
    return page


@drawing
def window_put():
    page, size = Page(34), 4
    picked = np.array([[7, 7, 4], [15, 7, 14]])
    image = page.cells(3, 5, 4, 5, IMAGE, size=size)
    for i in range(20):
        x, y = image(*divmod(i, 5))
        page.say(x - 1.7, y - 1.1, str(i), 9, GREY, "left")
    left = 49
    windows = page.cells(
        left, 7, 2, 3, lambda *at: tint(RED, 0.45) if picked[at] == 7 else FEATURE, picked, size
    )
    page.mark(image(1, 2), size)
    for at in np.argwhere(picked == 7):
        page.mark(windows(*at), size)
    page.arrow((left - 0.4, 7 + size), (image(1, 2)[0] + 2.2, image(1, 2)[1] + 0.8), RED, 0, 2.2)
    page.say(13, 2.6, "image: each pixel's position", SMALL)
    page.say(left + 6, 4.6, "features: which pixel each picked", SMALL)
    page.say(35, 25, "one thread owns one pixel, visits the windows that cover it,", colour=RED)
    page.say(35, 27.4, "and adds up the numbers of those that picked it", colour=RED)
    page.say(35, 30.2, "way back of max pooling (here kernel 3, stride 1, padding 0)")
    return page


@drawing
def scatter():
    page, size = Page(41), 4.6
    places, values = [2, 0, 2, 1, 0, 2, 4], "abcdefg"
    order = np.argsort(places, kind="stable")
    colours = {0: IMAGE, 1: WEIGHT, 2: FEATURE, 4: PATCH}
    left, top = 21, 3
    page.cells(left, top, 1, 7, "white", [places], size)
    page.cells(left, top + size, 1, 7, lambda _, i: colours[places[i]], [values], size)
    page.say(left - 1, top + size / 2, "place", across="right")
    page.say(left - 1, top + 1.5 * size, "number", across="right")
    at = page.cells(
        left, 20, 1, 7, lambda _, i: colours[places[order[i]]], [[values[i] for i in order]], size
    )
    for turn, i in enumerate(order):
        x = left + (i + 0.5) * size
        mine = places[i] == 2
        page.arrow(
            (x, top + 2 * size + 0.1),
            (at(0, turn)[0], 19.9),
            RED if mine else GREY,
            line=2 if mine else 1.2,
        )
    page.say(left - 1, 22.3, "sorted by place,\nequal ones in order", SMALL, across="right")
    words = ["b + e", "d", "a + c + f", "0", "g"]
    out = page.cells(14, 31.5, 1, 5, lambda _, p: colours.get(p, EMPTY), [words], 9.6, 4.6)
    for place in colours:
        run = [turn for turn, i in enumerate(order) if places[i] == place]
        middle = (at(0, run[0])[0] + at(0, run[-1])[0]) / 2
        mine = place == 2
        page.arrow(
            (middle, 24.9),
            (out(0, place)[0], 31.3),
            RED if mine else GREY,
            line=2.2 if mine else 1.2,
        )
        page.mark((middle, 22.3), len(run) * size, size, RED if mine else "black", line=2)
    page.mark(out(0, 2), 9.6, 4.6)
    page.say(13, 33.8, "sums", across="right")
    page.say(35, 38.8, "one thread for each place: it adds up its run, in order", colour=RED)
    return page


@drawing
def resample():
    page, wide, high = Page(42), 5.4, 3
    positions = (np.arange(8) + 0.5) / 2 - 0.5
    weights = np.maximum(0, 1 - abs(positions.clip(0, 3)[:, None] - np.arange(4)))
    top = 5

    def shown(row, column):
        return f"{weights[row, column]:g}" if weights[row, column] else ""

    y = page.cells(2.5, top, 8, 1, FEATURE, lambda row, _: f"y{row}", 4, high)
    page.cells(11, top, 8, 4, lambda *at: WEIGHT if shown(*at) else "white", shown, wide, high)
    x = page.cells(36.5, top + 2 * high, 4, 1, IMAGE, lambda row, _: f"x{row}", 4, high)
    page.say(8.8, top + 4 * high, "=", 14)
    page.say(34.5, top + 4 * high, "·", 18)
    page.mark(y(3, 0), 4, high)
    page.mark((11 + 2 * wide, top + 3.5 * high), 4 * wide, high)
    for column in (1, 2):
        page.mark(x(column, 0), 4, high)
    page.say(4.5, 3, "larger", SMALL)
    page.say(11 + 2 * wide, 3, "a sparse matrix", SMALL)
    page.say(38.5, top + 2 * high - 2, "image", SMALL)
    page.say(
        43.5, 7.5, "one thread: one number of y,\nthe few entries of its row", SMALL, RED, "left"
    )
    page.say(43.5, 21, "the matrix is kept as", SMALL, across="left")
    page.say(43.5, 23.2, "the start of each row, and", SMALL, across="left")
    page.say(43.5, 25.4, "column and weight of each entry", SMALL, across="left")
    page.say(35, 33.4, "the same for each row of the image, then for each column")
    page.say(35, 36.2, "way back: the same kernel with the transposed matrix")
    page.say(35, 38.9, "padding and adaptive averages are other matrices")
    return page


# ---------------------------------------------------------------- normalisation and Adam


@drawing
def normalize():
    page, size, left, gap = Page(56), 4.2, 4.5, 3.8
    strip = page.cells(
        left, 4.6, 1, 14, lambda _, i: tint(BLUE, 0.5) if i % 8 == 2 else IMAGE, size=size
    )
    sums, top, half = [3, 1, 4, 1, 5, 9, 2, 6], 13, 8
    for i in (2, 10):
        page.mark(strip(0, i), size)
        page.arrow((strip(0, i)[0], 9), (left + 2.5 * size, top - 0.1), RED, line=1.8)
    page.say(
        left, 2.6, "the numbers of one channel, all images and positions", SMALL, across="left"
    )
    page.say(left + 14 * size + 1, 6.7, "...", across="left")
    told = ["each thread: its own sum", "4 threads add", "2 threads add", "1 thread adds"]
    for level, words in enumerate(told):
        page.cells(
            left,
            top,
            1,
            8,
            lambda _, i, n=half: SHARED if i < n else "white",
            lambda _, i, n=half, s=tuple(sums): s[i] if i < n else "",
            size,
        )
        page.say(left + 8 * size + 2.5, top + size / 2, words, SMALL, across="left")
        if level < 3:
            half //= 2
            for i in range(half):
                page.arrow(
                    (left + (i + half + 0.5) * size, top + size),
                    (left + (i + 0.5) * size + 0.5, top + size + gap),
                    GREY,
                    line=1,
                )
                sums[i] += sums[i + half]
            y = top + size + gap / 2
            page.lines([(left - 1.5, y), (left + 8 * size + 1.5, y)], RED, 3)
            page.say(left + 8 * size + 2.5, y, "barrier", SMALL, RED, "left")
        top += size + gap
    page.say(35, 46, "one block for each channel: mean and variance from one reading", colour=RED)
    page.say(35, 48.5, "(the sums of d and d², where d = x - the first number)")
    page.say(35, 51.2, "then, with as many blocks as there is work for,")
    page.code(35, 53.7, "y = (x - mean) / sqrt(var + eps) * w + b")
    return page


@drawing
def adam():
    page = Page(36)
    names = [
        ("p", "parameter", IMAGE),
        ("g", "gradient", WEIGHT),
        ("m", "mean of g", FEATURE),
        ("v", "mean of g²", PATCH),
    ]
    for row, (name, words, colour) in enumerate(names):
        y = 4.5 + 5.2 * row
        before = page.cells(11, y, 1, 6, colour, size=3)
        page.mark(before(0, 2), 3)
        page.arrow((before(0, 5)[0] + 1.8, y + 1.5), (31.5, y + 1.5), line=1.4)
        if name != "g":
            after = page.cells(51, y, 1, 6, colour, size=3)
            page.mark(after(0, 2), 3)
            page.arrow((45.2, y + 1.5), (50.7, y + 1.5), line=1.4)
        page.say(9.8, y + 1.5, words, SMALL, across="right")
    page.box(31.8, 3.5, 13.2, 20.8, tint(RED, 0.2), RED, 2.5)
    page.say(38.4, 13.9, "one thread\nkeeps the four\nin registers\nand computes", SMALL, RED)
    page.say(20, 2.2, "read once", SMALL)
    page.say(60, 2.2, "written once", SMALL)
    page.code(35, 27.2, "m = beta1 * m + (1 - beta1) * g    v = beta2 * v + (1 - beta2) * g * g")
    page.code(35, 29.5, "p = p - lr * m / correction1 / (sqrt(v / correction2) + eps)")
    page.say(
        35, 32.9, "operation by operation it would be a dozen launches and a dozen readings", SMALL
    )
    return page


# ---------------------------------------------------------------- the simulator


@drawing
def simulator():
    page, wide, high = Page(42), 6, 4
    orders = {
        "forward": ("0123", "0123"),
        "reverse": ("3210", "3210"),
        "shuffled": ("2031", "1302"),
    }
    colours = [IMAGE, WEIGHT, FEATURE, PATCH]
    for row, (name, parts) in enumerate(orders.items()):
        y = 5.4 + row * 6.6
        page.say(11.5, y + high / 2, name, across="right")
        for left, order in zip((13, 13 + 4 * wide + 3), parts):
            for turn, thread in enumerate(order):
                page.box(left + turn * wide, y, wide, high, colours[int(thread)])
                page.say(left + (turn + 0.5) * wide, y + high / 2, thread)
        page.box(13 + 4 * wide + 1.1, y - 0.8, 0.8, high + 1.6, RED, "none")
    page.say(13 + 2 * wide, 2.8, "4 threads, up to the barrier", SMALL)
    page.say(13 + 6 * wide + 3, 2.8, "after it", SMALL)
    page.say(35, 26, "a thread runs until it waits or ends; then comes the next one", SMALL)
    page.say(35, 29.6, "every launch runs three times, from the same memory:", colour=RED)
    page.say(35, 32, "results that differ depend on the order of the threads", colour=RED)
    page.say(35, 35.4, "and each access is noted: two threads at one place in memory,")
    page.say(35, 37.8, "one of them writing and no barrier between: a race,")
    page.say(35, 40.2, "even if the result happens to be right")
    return page


def is_drawn(name):
    """Whether the file shows what its function draws."""
    path = FOLDER / f"{name}.png"
    return path.is_file() and DRAWINGS[name]().digest().encode() in path.read_bytes()


def draw(names):
    """Writes the files that are not up to date."""
    FOLDER.mkdir(exist_ok=True)
    for name in names:
        if not is_drawn(name):
            page = DRAWINGS[name]()
            print(name, *complaints(page), sep="\n    ")
            write_atomically(FOLDER / f"{name}.png", page.png())


if __name__ == "__main__":
    if unknown := [name for name in sys.argv[1:] if name not in DRAWINGS]:
        sys.exit(f"no drawing {', '.join(unknown)}; there are {', '.join(DRAWINGS)}")
    draw(sys.argv[1:] or DRAWINGS)
