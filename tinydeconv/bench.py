"""The ladder of convolutions, timed on this machine and held against its two ceilings.

A processor can do no more arithmetic than its matrix products do, and move no more memory than a
plain copy does. Both ceilings are measured here, and so is each rung of the ladder (kernels/ladder
and kernels/cpu; on a GPU kernels/cuda). The *operational intensity* of a rung, floating-point
operations a byte moved, says which of the two it meets first: the roofline model (Williams,
Waterman and Patterson 2009, "Roofline: an insightful visual performance model for multicore
architectures").

Units: GFLOP/s are 10^9 floating-point operations a second, GB/s 10^9 bytes a second.
"""

import json
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import tinydeconv

from . import viz
from .cuda import import_cupy
from .data.images import images_extra
from .geometry import ConvGeometry
from .info import machine
from .kernels import cpu, ladder, threads
from .kernels.cuda import convolution as gpu
from .serialize import write_atomically

FLOAT = np.dtype(np.float32)
GEMM_SIDE = 2048  # of the square matrices whose product is the ceiling of arithmetic
GPU_GEMM_SIDE = 8192  # the same on a GPU, which smaller ones would not keep busy
GPU_TURN = 2e-3  # seconds that a GPU is kept busy between two looks at its clock
COPY_BYTES = 2**28  # of the array whose copy is the ceiling of memory; far more than a cache holds


@dataclass(frozen=True)
class Layer:
    """A convolution to time: images N, channels C, filters F, and its geometry."""

    images: int
    channels: int
    filters: int
    geometry: ConvGeometry

    @property
    def shapes(self):
        """The shapes of x, w and y, by name."""
        n, c, f, g = self.images, self.channels, self.filters, self.geometry
        return {"x": (n, c, *g.big), "w": (f, c // g.groups, *g.kernel), "y": (n, f, *g.small)}

    @property
    def flop(self):
        """A multiplication and an addition for each output, channel of its group and tap: 2 N F S
        C/G K. Those that meet the padding count too, and all three kernels need as many.
        """
        return 2 * prod(self.shapes["y"]) * prod(self.shapes["w"][1:])

    def moved(self, x=1, padded=0, cols=0, y=1):
        """Bytes through memory, if the images x, the padded images, the patches `cols` and the
        features y are read or written so many times as a whole, and w once.
        """
        g, maps = self.geometry, self.images * self.channels
        sizes = {name: prod(shape) for name, shape in self.shapes.items()}
        numbers = x * sizes["x"] + y * sizes["y"] + sizes["w"]
        numbers += maps * (padded * prod(g.padded) + cols * prod(g.kernel) * prod(g.small))
        return numbers * FLOAT.itemsize


# The 3x3 convolution of ResNet's first blocks (He et al. 2016), and one small enough for Python.
LAYER = Layer(16, 64, 64, ConvGeometry.of_conv((56, 56), 3, padding=1))
SMALL = Layer(1, 8, 8, ConvGeometry.of_conv((16, 16), 3, padding=1))


@dataclass(frozen=True)
class Rung:
    """A way to compute one of the three kernels.

    passes: how often it reads or writes whole arrays, as Layer.moved has them. What is used again
        at once, such as a panel of patches, stays in the cache and does not count.
    threaded: it can use several threads
    gpu: it runs on CuPy's arrays, and on them alone; tf32: its products can be in TF32
    """

    name: str
    function: Callable
    kernel: str = "conv"
    passes: dict = field(default_factory=dict)
    threaded: bool = False
    gpu: bool = False
    tf32: bool = False


INPUTS = {"conv": "xw", "conv_transpose": "yw", "conv_weight": "xy"}


def rungs(layer):
    """The ladders of the CPU and of a GPU, from the bottom up; then the two other kernels of each
    last rung.
    """
    # Pixels of a tap are read, copied and multiplied; features are written, read, and added to y,
    # which is read and written.
    by_tap = {"padded": 1, "cols": 3, "y": 4 * prod(layer.geometry.kernel)}
    # Patches are copied (read, written) and multiplied; features are written, and copied to where
    # their image is.
    at_once = {"padded": 1, "cols": 3, "y": 3}
    # A GPU's threads look for the padding themselves, and cuBLAS writes features to their place.
    unfolded = {"cols": 2}
    return [
        Rung("seven loops", ladder.seven_loops),
        Rung("taps", ladder.taps, passes=by_tap),
        Rung("whole batch", ladder.whole_batch, passes=at_once),
        Rung("panels", cpu.conv, threaded=True),
        Rung("direct", gpu.direct, gpu=True),
        Rung("unfold + cuBLAS", gpu.conv_unfolded, passes=unfolded, gpu=True, tf32=True),
        Rung("implicit GEMM", gpu.conv, gpu=True),
        Rung("panels", cpu.conv_transpose, "conv_transpose", threaded=True),
        Rung("panels", cpu.conv_weight, "conv_weight", threaded=True),
        Rung("implicit GEMM", gpu.conv_transpose, "conv_transpose", gpu=True),
        Rung("implicit GEMM", gpu.conv_weight, "conv_weight", gpu=True),
    ]


# ---------------------------------------------------------------- where and how long


@dataclass(frozen=True)
class Place:
    """Where a rung is timed: on so many threads of the CPU, or on a GPU, whose matrix products may
    be in TF32 (inputs rounded to 10 bits after the leading one) instead of float32.
    """

    name: str
    threads: int = 1
    xp: Any = np
    tf32: bool = False

    @contextmanager
    def entered(self):
        switch = tinydeconv.backends.cuda
        before = threads.get_num_threads(), switch.allow_tf32
        threads.set_num_threads(self.threads)
        switch.allow_tf32 = self.tf32
        try:
            yield
        finally:
            threads.set_num_threads(before[0])
            switch.allow_tf32 = before[1]

    def time(self, work, calls=1):
        """Seconds that a call of work takes. Python only orders work from a GPU and runs ahead, so
        there the GPU itself notes the time before and after it (CUDA events).
        """
        if self.xp is np:
            start = perf_counter()
            work()
            return perf_counter() - start
        start, end = self.xp.cuda.Event(), self.xp.cuda.Event()
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        return self.xp.cuda.get_elapsed_time(start, end) / 1e3 / calls  # from milliseconds


def places(device="auto"):
    """One thread, one thread a core, and the GPU, without TF32 and, from the A100 on, with it, if
    there is one ("auto"), or a RuntimeError ("cuda"), or without it ("cpu").
    """
    found = [Place("1 thread")]
    if (number := threads.get_num_threads()) > 1:
        found.append(Place(f"{number} threads", number))
    if device == "cpu" or device == "auto" and not tinydeconv.cuda.is_available():
        return found
    cupy = import_cupy()
    told = cupy.cuda.runtime.getDeviceProperties(0)
    found.append(Place(name := told["name"].decode(), xp=cupy))
    return [*found, *[Place(f"{name}, TF32", xp=cupy, tf32=True)] * (told["major"] >= 8)]


def measure(work, seconds, place):
    """How long a call took, in seconds, again and again: as often as fits, three times at least,
    after calls to warm up. BLAS has one thread meanwhile: more would be the kernel's own. Each time
    a GPU has as many calls as take it GPU_TURN, or it would wait for Python, and that be timed.
    """
    calls = 1

    def once():
        if place.xp is not np:
            return place.time(work, calls)
        return place.time(lambda: threads.run(lambda _: work(), [None]))

    with place.entered():
        once()
        if place.xp is not np:
            calls = 1 + int(GPU_TURN / max(once(), GPU_TURN / 99))
        end = perf_counter() + seconds
        samples = [once() for _ in range(3)]
        while perf_counter() < end:
            samples.append(once())
    return samples


def ceilings(place, seconds):
    """What the place can do at best: {"gflops", "gbs"}, with the samples. Each thread has a matrix
    product, and a part of the array to copy, of its own.
    """
    xp, jobs, side = place.xp, place.threads, GEMM_SIDE if place.xp is np else GPU_GEMM_SIDE
    a = xp.asarray(np.random.default_rng(0).standard_normal((side, side), FLOAT))
    products = [xp.empty_like(a) for _ in range(jobs)]
    gemm = measure(
        lambda: threads.run(lambda out: xp.matmul(a, a, out=out), products), seconds, place
    )
    parts = [xp.ones((2, COPY_BYTES // FLOAT.itemsize // jobs), FLOAT) for _ in range(jobs)]
    copy = measure(lambda: threads.run(lambda part: xp.copyto(*part), parts), seconds, place)
    return {
        "gflops": 2 * side**3 * jobs / min(gemm) / 1e9,
        "gbs": sum(part.nbytes for part in parts) / min(copy) / 1e9,  # once read, once written
        "gemm_seconds": gemm,
        "copy_seconds": copy,
    }


def climb(rung, layer, place, ceiling, seconds):
    """Times one rung: a row of the table, as a dict."""
    random = np.random.default_rng(0)
    first, second = (
        place.xp.asarray(random.standard_normal(layer.shapes[name], FLOAT))
        for name in INPUTS[rung.kernel]
    )
    samples = measure(lambda: rung.function(first, second, layer.geometry), seconds, place)
    time, moved = median(samples), layer.moved(**rung.passes)
    gflops = layer.flop / time / 1e9
    return {
        "rung": rung.name,
        "kernel": rung.kernel,
        "place": place.name,
        "layer": asdict(layer),
        "flop": layer.flop,
        "bytes": moved,
        "seconds": samples,
        "median": time,
        "gflops": gflops,
        "of_gemm": gflops / ceiling["gflops"],
        "of_copy": moved / time / 1e9 / ceiling["gbs"],
        "intensity": layer.flop / moved,
    }


# ---------------------------------------------------------------- the whole run


def _tell(line):
    print(line, flush=True)


def run(places, seconds=1.0, layer=LAYER, small=SMALL, tell=_tell):
    """Measures the ceilings of each place, then the rungs, each for so many seconds, and tells each
    as it comes. Returns the report, a dict that JSON can hold.
    """
    report = {**machine(), "ceilings": {}, "rungs": []}
    steps = _steps(rungs(layer), places)
    width = max(37, *(2 + len(_label(rung.name, rung.kernel, place.name)) for rung, place in steps))
    tell(f"{'ceilings of this machine':{width}}{'GFLOP/s':>10}{'GB/s':>10}")
    for place in places:
        ceiling = report["ceilings"][place.name] = ceilings(place, seconds)
        tell(f"{place.name:{width}}{_short(ceiling['gflops']):>10}{_short(ceiling['gbs']):>10}")
    tell(f"\n{'rung':{width}}{HEAD}")
    first = before = None
    for rung, place in steps:
        of = small if rung.function is ladder.seven_loops else layer
        row = climb(rung, of, place, report["ceilings"][place.name], seconds)
        first = first or row
        row["over_first"] = row["gflops"] / first["gflops"]
        row["over_before"] = None
        if rung.kernel == "conv":
            row["over_before"] = row["gflops"] / before["gflops"] if before else None
            before = row
        report["rungs"].append(row)
        tell(f"{_label(**row):{width}}{_line(row)}")
    tell(f"\n{_footnote(layer, small)}")
    return report


def _steps(rungs, places):
    """(rung, place): convolutions on the CPU, on the GPU, then the other two kernels."""

    def fits(rung, place):
        if place.xp is np:
            return not rung.gpu and (rung.threaded or place.threads == 1)
        return rung.gpu and (rung.tf32 or not place.tf32)

    return [(rung, place) for rung in rungs for place in places if fits(rung, place)]


HEAD = (
    f"{'time':>10}{'GFLOP/s':>10}{'of GEMM':>9}{'of copy':>9}{'FLOP/byte':>11}"
    f"{'gain':>8}{'in all':>8}"
)


def _line(row):
    gain = "" if row["over_before"] is None else _short(row["over_before"])
    return (
        f"{_short(row['median'] * 1e3):>7} ms{_short(row['gflops']):>10}"
        f"{row['of_gemm']:>9.1%}{row['of_copy']:>9.1%}{row['intensity']:>11.1f}"
        f"{gain:>8}{_short(row['over_first']):>8}"
    )


def _label(rung, kernel, place, **_):
    """Of a row: _label(**row)."""
    return f"{rung}{'' if kernel == 'conv' else f' {kernel}'}, {place}"


def _short(number):
    """Three digits."""
    return f"{number:.3g}" if number < 999.5 else f"{number:,.0f}"


def _footnote(layer, small):
    x, w = layer.shapes["x"], layer.shapes["w"]
    return (
        f"float32, images {x}, weights {w}: {layer.flop / 1e9:.2f} GFLOP;\n"
        f"the seven loops: images {small.shapes['x']}, {small.flop / 1e9:.4f} GFLOP.\n"
        "Times are medians, ceilings the best that was seen. A GPU is timed by CUDA events, with\n"
        "TF32 off where it is not named.\n"
        "of GEMM, of copy: how much of its place's ceilings a rung reaches.\n"
        "FLOP/byte: operations over the bytes of all passes over whole arrays.\n"
        "gain, in all: GFLOP/s over those of the rung before and of the first (as sizes differ)."
    )


# ---------------------------------------------------------------- files


def prepare(folder=None, path=None):
    """Makes the folder of the pictures; OSError or ImportError now if they, or the JSON file at
    `path`, could not be written later.
    """
    if folder is not None:
        images_extra("matplotlib")
        Path(folder).mkdir(parents=True, exist_ok=True)
        _require_writable(folder)
    if path is not None:
        if Path(path).is_dir():
            raise IsADirectoryError(f"expected the name of a file, {path} is a folder")
        _require_writable(Path(path).parent)


def _require_writable(folder):
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"cannot write into the folder {folder}: {error.strerror}") from None


def save(report, path):
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode())


def draw(report, folder):
    """roofline.png and ladder.png in the folder; returns their paths."""
    folder = Path(folder)
    roofs = {name: (c["gflops"], c["gbs"]) for name, c in report["ceilings"].items()}
    forward = [row for row in report["rungs"] if row["kernel"] == "conv"]
    points = {_label(**row): (row["intensity"], row["gflops"], row["place"]) for row in forward}
    viz.roofline(folder / "roofline.png", roofs, points)
    bars = {_label(**row): (row["gflops"], row["place"]) for row in report["rungs"]}
    viz.bars(folder / "ladder.png", roofs, bars)
    return [folder / "roofline.png", folder / "ladder.png"]
