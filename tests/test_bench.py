"""The ladder's timing: what is counted, what is reported and drawn. No time is ever asserted."""

import json
import math
import os
import platform
from functools import partial
from pathlib import Path
from statistics import median

import naive
import numpy as np
import pytest
from PIL import Image
from refusals import refused
from threadpoolctl import threadpool_info, threadpool_limits

import tinydeconv as td
from tinydeconv import bench, viz
from tinydeconv.backend import to_numpy
from tinydeconv.bench import Layer, Place, Rung
from tinydeconv.cli import main
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import threads

of_conv = ConvGeometry.of_conv
ONE = Place("1 thread")
TINY = Layer(1, 2, 3, of_conv((4, 5), 3, padding=1))
GROUPED = Layer(2, 4, 6, of_conv((5, 4), (3, 2), (2, 1), 1, groups=2))
CEILING = {"gflops": 10.0, "gbs": 5.0}


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch):
    monkeypatch.setattr(bench, "GEMM_SIDE", 8)
    monkeypatch.setattr(bench, "COPY_BYTES", 4096)


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.setattr(threads, "_number", 2)


# ---------------------------------------------------------------- what is counted


class Counted:
    """A number that counts the multiplications it takes part in."""

    count = 0

    def __mul__(self, other):
        Counted.count += 1
        return 0.0


@pytest.mark.parametrize("groups", [1, 2])
def test_two_operations_for_each_multiplication(groups):
    layer = Layer(2, 4, 6, of_conv((5, 4), (3, 2), (2, 1), 0, groups=groups))
    x, w, y = (np.full(layer.shapes[name], Counted()) for name in "xwy")
    Counted.count = 0
    naive.conv(x, w, None, (2, 1), groups=groups)
    assert layer.flop == 2 * Counted.count
    Counted.count = 0
    naive.conv_transpose(y, w, None, (2, 1), groups=groups)
    assert layer.flop == 2 * Counted.count


def test_a_layer_counted_by_hand():
    assert GROUPED.shapes == {"x": (2, 4, 5, 4), "w": (6, 2, 3, 2), "y": (2, 6, 3, 5)}
    assert GROUPED.flop == 2 * (2 * 6) * (3 * 5) * 2 * (3 * 2)  # N F, positions, C / G, taps
    assert GROUPED.moved() == 4 * (160 + 72 + 180)
    assert GROUPED.moved(x=2, y=3) == 4 * (2 * 160 + 72 + 3 * 180)
    padded, cols = 2 * 4 * (7 * 6), 2 * 4 * 6 * (3 * 5)
    assert GROUPED.moved(padded=1, cols=3) == 4 * (160 + 72 + 180 + padded + 3 * cols)


def test_each_rung_is_the_kernel_that_it_says(cupy):
    random = np.random.default_rng(0)
    geometry = TINY.geometry
    x, w, y = (random.normal(size=TINY.shapes[name]) for name in "xwy")
    conv = naive.conv(x, w, padding=1)
    expected = {"conv": conv, "conv_transpose": naive.conv_transpose(y, w, padding=1)}
    for rung in bench.rungs(TINY):
        given = [{"x": x, "w": w, "y": y}[name] for name in bench.INPUTS[rung.kernel]]
        given = [cupy.asarray(array) for array in given] if rung.gpu else given
        result = to_numpy(rung.function(*given, geometry))
        if rung.kernel == "conv_weight":
            assert result.shape == w.shape
            np.testing.assert_allclose(np.vdot(w, result), np.vdot(y, conv))
        else:
            np.testing.assert_allclose(result, expected[rung.kernel], atol=1e-12)


# ---------------------------------------------------------------- measuring


def test_measure_leaves_the_first_call_out_and_takes_three_at_least(monkeypatch):
    calls, clock = [], iter(range(1000))
    monkeypatch.setattr(bench, "perf_counter", lambda: next(clock))
    assert bench.measure(lambda: calls.append(None), 0, ONE) == [1, 1, 1]
    assert len(calls) == 4
    # The clock is read twice a call, and after the third once more: is the time up?
    assert len(bench.measure(lambda: None, 3 * 2 + 8 * 3, ONE)) == 3 + 8


def test_while_measuring_the_threads_are_the_places_and_blas_has_one(two_threads):
    seen = []

    def work():
        blas = [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]
        seen.append((threads.get_num_threads(), *blas))

    with threadpool_limits(2, "blas"):
        bench.measure(work, 0, Place("5 threads", 5))
    assert set(seen) == {(5, *[1] * (len(seen[0]) - 1))}
    assert threads.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError):
        bench.measure(lambda: 1 / 0, 0, Place("3 threads", 3))
    assert threads.get_num_threads() == 2


@pytest.mark.parametrize("number", [1, 3])
def test_ceilings_are_positive_and_the_best_of_the_samples(number, monkeypatch):
    place = Place("here", number)
    measured = bench.ceilings(place, 0)
    assert measured["gflops"] > 0 and measured["gbs"] > 0
    assert len(measured["gemm_seconds"]) >= 3 and len(measured["copy_seconds"]) >= 3

    def stopped(work, seconds, place):
        work()
        return [3.0, 2.0, 4.0]

    monkeypatch.setattr(bench, "measure", stopped)
    counted = bench.ceilings(place, 0)
    assert counted["gflops"] * 1e9 == pytest.approx(number * 2 * 8 * 8 * 8 / 2)
    whole = 4096 // 4 // number * number * 4  # each thread copies as many whole numbers
    assert counted["gbs"] * 1e9 == pytest.approx(2 * whole / 2)  # read and written


def test_a_row_is_made_of_its_samples(monkeypatch):
    def halves(x, w, geometry):
        assert x.shape == GROUPED.shapes["x"] and w.shape == GROUPED.shapes["w"]
        assert x.dtype == w.dtype == np.float32 and geometry == GROUPED.geometry

    monkeypatch.setattr(bench, "measure", lambda work, s, p: (work(), [4e-6, 1e-6, 2e-6])[1])
    row = bench.climb(Rung("half", halves, passes={"y": 2}), GROUPED, ONE, CEILING, 0)
    flop, moved = GROUPED.flop, GROUPED.moved(y=2)
    assert (row["rung"], row["kernel"], row["place"]) == ("half", "conv", "1 thread")
    assert row["median"] == 2e-6 and row["seconds"] == [4e-6, 1e-6, 2e-6]
    assert (row["flop"], row["bytes"]) == (flop, moved)
    assert row["gflops"] == pytest.approx(flop / 2e-6 / 1e9)
    assert row["of_gemm"] == pytest.approx(flop / 2e-6 / 10e9)
    assert row["of_copy"] == pytest.approx(moved / 2e-6 / 5e9)
    assert row["intensity"] == pytest.approx(flop / moved)


# ---------------------------------------------------------------- the whole run

FORWARD = ["seven loops", "taps", "whole batch", "panels"]


def test_the_report(two_threads):
    lines = []
    report = bench.run(bench.places(), 0, GROUPED, TINY, tell=lines.append)
    json.dumps(report)
    assert list(report["ceilings"]) == ["1 thread", "2 threads"]
    assert report["threads"] == 2 and report["versions"]["numpy"] == np.__version__
    assert report["machine"]["cpu"] and report["machine"]["cores"] >= 1
    for library in report["blas"]:
        assert library["internal_api"] and "filepath" not in library

    steps = [(row["rung"], row["kernel"], row["place"]) for row in report["rungs"]]
    assert steps[:3] == [(name, "conv", "1 thread") for name in FORWARD[:3]]
    assert steps[3:] == [
        ("panels", kernel, place)
        for kernel in ("conv", "conv_transpose", "conv_weight")
        for place in ("1 thread", "2 threads")
    ]
    rates = [row["gflops"] for row in report["rungs"]]
    for i, row in enumerate(report["rungs"]):
        assert row["flop"] == (TINY if i == 0 else GROUPED).flop
        assert row["gflops"] == pytest.approx(row["flop"] / median(row["seconds"]) / 1e9)
        ceiling = report["ceilings"][row["place"]]
        assert row["of_gemm"] == pytest.approx(row["gflops"] / ceiling["gflops"])
        assert row["over_first"] == pytest.approx(row["gflops"] / rates[0])
        gain = pytest.approx(rates[i] / rates[i - 1]) if 0 < i < 5 else None
        assert row["over_before"] == gain
    # A line for each place and each rung, as they come.
    told = "\n".join(lines).splitlines()
    for row in report["rungs"]:
        (line,) = [t for t in told if t.startswith(f"{bench._label(**row)} ")]
        assert f"{row['of_gemm']:.1%}" in line
    assert "sizes differ" in told[-1] and str(TINY.shapes["x"]) in lines[-1]


def test_a_system_without_proc_has_a_processor_too(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "arm")
    assert bench.machine()["machine"]["cpu"] == "arm"


def test_one_thread_is_measured_once(monkeypatch):
    monkeypatch.setattr(threads, "_number", 1)
    report = bench.run(bench.places(), 0, TINY, TINY, tell=lambda line: None)
    assert list(report["ceilings"]) == ["1 thread"]
    assert [row["rung"] for row in report["rungs"]] == [*FORWARD, "panels", "panels"]


@pytest.fixture
def gpu(cupy, monkeypatch):
    """A GPU's places; small ceilings."""
    monkeypatch.setattr(bench, "GPU_GEMM_SIDE", 8)
    return [place for place in bench.places() if place.xp is cupy]


def test_a_gpu_has_rows_of_its_own(two_threads, gpu):
    name = gpu[0].name
    report = bench.run(bench.places(), 0, TINY, TINY, tell=lambda line: None)
    assert list(report["ceilings"]) == ["1 thread", "2 threads", name, f"{name}, TF32"]
    rows = [row for row in report["rungs"] if row["place"].startswith(name)]
    product = ("unfold + cuBLAS", "conv")
    assert [(row["rung"], row["kernel"], row["place"] != name) for row in rows] == [
        ("direct", "conv", False),
        (*product, False),
        (*product, True),  # only cuBLAS has TF32
        ("implicit GEMM", "conv", False),
        ("implicit GEMM", "conv_transpose", False),
        ("implicit GEMM", "conv_weight", False),
    ]
    assert report["rungs"][5:9] == rows[:4]  # after the CPU's convolutions
    assert rows[0]["over_before"] == rows[0]["gflops"] / report["rungs"][4]["gflops"]
    assert all(len(row["seconds"]) >= 3 and min(row["seconds"]) > 0 for row in rows)


def test_a_gpu_is_timed_by_its_own_clock(cupy, gpu, monkeypatch):
    """Between two events, of which the second is waited for; Python's clock does not count."""
    monkeypatch.setattr(bench, "perf_counter", lambda: 0.0)
    told = []

    class Event:
        def record(self):
            told.append(self)

        def synchronize(self):
            told.append("waited")

    monkeypatch.setattr(cupy.cuda, "Event", Event)
    monkeypatch.setattr(cupy.cuda, "get_elapsed_time", lambda a, b: 250.0)
    assert gpu[0].time(lambda: told.append("work")) == 0.25
    start, work, end, waited = told
    assert (work, waited) == ("work", "waited") and start is not end


def test_a_gpu_is_kept_busy_between_two_looks_at_its_clock(gpu, monkeypatch):
    """Or the time would be Python's, which takes longer to order a small kernel than it runs."""
    for seconds, calls in ((1.0, 1), (9e-5, 23), (1e-9, 100)):
        told = []

        def time(place, work, calls=1, told=told, seconds=seconds):
            told.append(calls)
            return seconds

        monkeypatch.setattr(Place, "time", time)
        assert bench.measure(None, 0, gpu[0]) == [seconds] * 3
        assert told == [1, 1, calls, calls, calls]


def test_a_gpu_without_tf32_has_no_place_for_it(cupy, monkeypatch):
    told = cupy.cuda.runtime.getDeviceProperties(0)
    for major, places in ((7, 1), (8, 2), (9, 2)):
        there = told | {"major": major}
        monkeypatch.setattr(cupy.cuda.runtime, "getDeviceProperties", lambda i, t=there: t)
        assert sum(place.xp is cupy for place in bench.places()) == places


def test_a_place_says_whether_products_are_in_tf32(cupy, gpu):
    def error(place):
        with place.entered():
            y = bench.gpu.conv_unfolded(*map(cupy.asarray, (x, w)), geometry)
            return np.abs(to_numpy(y) - right).max()

    random, geometry = np.random.default_rng(0), GROUPED.geometry
    x, w = (random.standard_normal(GROUPED.shapes[name], np.float32) for name in "xw")
    right = naive.conv(x.astype(float), w.astype(float), None, (2, 1), padding=1, groups=2)
    assert error(gpu[0]) < 1e-5 and td.backends.cuda.allow_tf32 is False
    if cupy.ndarray.__module__ == "strict_cupy":  # cuBLAS need not use it for such small matrices
        assert 1e-4 < error(gpu[1]) < 1e-1
    assert td.backends.cuda.allow_tf32 is False


# ---------------------------------------------------------------- pictures


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, in order."""
    figures, save = [], viz._save
    monkeypatch.setattr(
        viz, "_save", lambda figure, path: (figures.append(figure), save(figure, path))
    )
    return figures


ROOFS = {"1 thread": (100.0, 12.0), "2 threads": (190.0, 18.0)}
POINTS = {
    "seven loops, 1 thread": (15.8, 0.0033, "1 thread"),
    "taps, 1 thread": (4.4, 50.0, "1 thread"),
    "whole batch, 1 thread": (9.0, 60.0, "1 thread"),
    "panels, 1 thread": (143.0, 85.0, "1 thread"),
    "panels, 2 threads": (143.0, 160.0, "2 threads"),
}


def boxes_of(figure, words):
    """Where the texts stand, in pixels."""
    figure.draw_without_rendering()
    (axis,) = figure.axes
    texts = {text.get_text(): text for text in axis.texts}
    return [texts[word].get_window_extent() for word in words]


def test_roofline(tmp_path, drawn):
    viz.roofline(tmp_path / "roofline.png", ROOFS, POINTS)
    (axis,) = drawn[0].axes
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert "FLOP per byte" in axis.get_xlabel() and axis.get_ylabel() == "GFLOP/s"
    roofs, dots = axis.lines[:2], axis.lines[2:]
    for line, (place, (gflops, gbs)) in zip(roofs, ROOFS.items()):
        assert line.get_label().startswith(f"{place}: {gflops:.0f} GFLOP/s, {gbs:.0f} GB/s")
        for intensity, height in zip(*line.get_data()):
            assert height == pytest.approx(min(gflops, gbs * intensity))
        assert line.get_ydata()[0] < gflops == line.get_ydata()[-1]  # both ceilings are seen
    for dot, (intensity, gflops, place) in zip(dots, POINTS.values()):
        assert dot.get_xdata() == [intensity] and dot.get_ydata() == [gflops]
        assert dot.get_color() == roofs[list(ROOFS).index(place)].get_color()
    boxes = boxes_of(drawn[0], POINTS)
    frame = axis.get_window_extent()
    for i, box in enumerate(boxes):
        assert frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 and box.y1 < frame.y1
        assert not any(box.overlaps(other) for other in boxes[i + 1 :])


def test_bars(tmp_path, drawn):
    values = {label: (gflops, place) for label, (_, gflops, place) in POINTS.items()}
    viz.bars(tmp_path / "ladder.png", ROOFS, values)
    (axis,) = drawn[0].axes
    assert axis.get_xscale() == "log" and axis.yaxis_inverted()
    assert [patch.get_width() for patch in axis.patches] == [v for v, _ in values.values()]
    assert [t.get_text() for t in axis.get_yticklabels()] == list(values)
    assert [line.get_xdata()[0] for line in axis.lines] == [100.0, 190.0]
    for box in boxes_of(drawn[0], [f"{v:.3g}" for v, _ in values.values()]):
        assert box.x1 < axis.get_window_extent().x1


def test_pictures_are_written_whole_or_not_at_all(tmp_path, monkeypatch, two_threads):
    report = bench.run(bench.places(), 0, TINY, TINY, tell=lambda line: None)
    paths = bench.draw(report, tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["ladder.png", "roofline.png"]
    for path in paths:
        with Image.open(path) as image:
            image.load()
            assert min(image.size) >= 300
    before = [path.read_bytes() for path in paths]

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with refused(OSError, "roofline", "space"):
        bench.draw(report, tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert sorted(os.listdir(tmp_path)) == ["ladder.png", "roofline.png"]


# ---------------------------------------------------------------- the command


def exit_code(*words):
    try:
        return main(["bench", *map(str, words)])
    except SystemExit as stop:
        return stop.code


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "run", partial(bench.run, seconds=0, layer=TINY, small=TINY))
    folder, path = tmp_path / "new" / "pictures", tmp_path / "bench.json"
    assert exit_code("--plot", folder, "--json", path) == 0
    told = capsys.readouterr().out
    for word in ("seven loops", "panels conv_weight", "GFLOP/s", str(path), str(folder)):
        assert word in told
    assert sorted(os.listdir(folder)) == ["ladder.png", "roofline.png"]
    report = json.loads(path.read_text(encoding="utf-8"))
    assert {"command", "date", "versions", "machine", "threads", "blas"} < set(report)
    for row in report["rungs"]:
        assert len(row["seconds"]) >= 3 and min(row["seconds"]) > 0
        assert math.isfinite(row["gflops"])
    for ceiling in report["ceilings"].values():
        assert len(ceiling["gemm_seconds"]) >= 3 and len(ceiling["copy_seconds"]) >= 3
    assert sorted(os.listdir(tmp_path)) == ["bench.json", "new"]


def test_without_files_it_writes_none(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "run", partial(bench.run, seconds=0, layer=TINY, small=TINY))
    monkeypatch.chdir(tmp_path)
    assert exit_code() == 0
    assert "panels" in capsys.readouterr().out and os.listdir(tmp_path) == []


BAD = {
    # what: (words, words of the one line)
    "unknown option": ("--fast", ["--fast"]),
    "a word too many": ("fast", ["fast"]),
    "no folder": ("--plot", ["--plot"]),
    "plot below a file": ("--plot file/plots", ["file"]),
    "plot is a file": ("--plot file", ["file"]),
    "plot cannot be written": ("--plot /proc", ["/proc"]),
    "plot cannot be made": ("--plot /proc/plots", ["/proc/plots"]),
    "json is a folder": ("--json sub", ["sub", "folder"]),
    "json in a missing folder": ("--json no/bench.json", ["no"]),
    "json in a folder that cannot be written": ("--json /proc/bench.json", ["/proc"]),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_told_before_anything_is_measured(what, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr(bench, "run", None)
    line, words = BAD[what]
    assert exit_code(*line.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("tinydeconv: ") and told.count("\n") == 1 and "Errno" not in told, told
    for word in words:
        assert word in told
    assert sorted(os.listdir(tmp_path)) == ["file", "sub"] and os.listdir(tmp_path / "sub") == []


def test_a_bad_number_of_threads_is_told_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(threads, "_number", None)
    monkeypatch.setenv(threads.VARIABLE, "many")
    assert exit_code() == 2
    told = capsys.readouterr().err
    assert threads.VARIABLE in told and "'many'" in told and told.count("\n") == 1


def test_without_matplotlib_it_says_so_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert exit_code("--plot", tmp_path / "plots") == 2
    assert "matplotlib is missing" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
