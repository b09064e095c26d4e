"""The benchmarks: their arithmetic, their processes, what they keep. No test asserts a time."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from benchmarks import __main__ as command  # noqa: E402
from benchmarks import (  # noqa: E402
    arithmetic,
    harness,
    kernels,
    plots,
    record,
    report,
    scaling,
    tables,
    worker,
)
from benchmarks.libraries import open_library  # noqa: E402

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
TINY = {"subject": "engine", "name": "tiny", "shape": [1]}


# ---------------------------------------------------------------- arithmetic


def test_ratios_are_of_the_same_round():
    assert arithmetic.ratios({"a": [1, 6], "b": [2, 3]}, "a", "b") == [0.5, 2]


def test_the_interval_of_the_median():
    """The ranks for 95 % stand in every table of the sign test, for example 6: 1st and 6th."""
    ranks = {1: 1, 5: 1, 6: 1, 8: 1, 9: 2, 11: 2, 12: 3, 15: 4, 17: 5, 20: 6, 25: 8, 30: 10}
    for number, rank in ranks.items():
        values = [float(v) for v in range(number, 0, -1)]
        low, _, high = arithmetic.median_interval(values)
        assert (low, high) == (rank, number + 1 - rank), number
    assert arithmetic.median_interval([4, 1, 3, 2, 9, 7, 8])[1] == 4
    assert arithmetic.median_interval([1, 2])[1] == 1.5


def test_geometric_mean_and_power():
    assert arithmetic.geometric_mean([0.5, 2, 1, 8]) == pytest.approx(8**0.25)
    assert arithmetic.power([1, 10, 100], [3, 300, 30000]) == pytest.approx(2)
    assert arithmetic.power([2, 4, 8], [5, 5, 5]) == pytest.approx(0)


# ---------------------------------------------------------------- the processes


def state(pid):
    """The letter for what a process does: T is stopped; None if there is no such process."""
    try:
        letter = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if letter == "Z" else letter


@linux
def test_a_worker_is_stopped_while_another_runs(monkeypatch):
    turns = []
    ask = harness.Worker.ask

    def watched(self, told, **arguments):
        others = [w for w in started.values() if w is not self and w in awake]
        turns.append((self, [state(w.process.pid) for w in others]))
        awake.add(self)
        answer = ask(self, told, **arguments)
        assert state(self.process.pid) == "T"
        return answer

    monkeypatch.setattr(harness.Worker, "ask", watched)
    awake = set()
    with harness.workers(["tinydeconv"], 1) as started:
        started["twin"] = harness.Worker("tinydeconv", 1, {})
        try:
            samples = harness.times(started, TINY, 3)
        finally:
            started["twin"].end()
    first, twin = started.values()
    assert [w for w, _ in turns] == [first, twin, first, twin, twin, first, first, twin]
    assert {s for _, states in turns[2:] for s in states} == {"T"}
    assert samples.keys() == {"tinydeconv", "twin"}
    assert all(len(s) == 3 and min(s) > 0 for s in samples.values())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_no_worker_is_left_after_an_exception(error):
    with pytest.raises(error), harness.workers(["tinydeconv"], 1) as started:
        pid = started["tinydeconv"].process.pid
        started["tinydeconv"].ask("hello")
        os.kill(pid, 0)
        raise error
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_is_left_when_the_command_is_stopped(number):
    run = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", "engine", "--rounds", "1000000"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    try:
        wait_until(lambda: "T" in map(state, children.read_text(encoding="utf-8").split()))
        pids = children.read_text(encoding="utf-8").split()
        run.send_signal(number)
        told = run.communicate(timeout=20)[1]
        wait_until(lambda: not any(map(state, pids)))
    finally:
        run.kill()
    assert "Traceback" not in told
    assert run.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -number)


def wait_until(fulfilled):
    end = time.monotonic() + 20
    while not fulfilled():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_goes_wrong_in_a_worker_is_told():
    with harness.workers(["tinydeconv"], 1) as started:
        one = started["tinydeconv"]
        with pytest.raises(RuntimeError, match="^tinydeconv: ValueError: negative dimensions"):
            one.ask("prepare", case=TINY | {"shape": [-1]})
        one.ask("prepare", case=TINY)  # and goes on
        one.process.kill()
        with pytest.raises(RuntimeError, match="tinydeconv ended by itself, exit code -9"):
            one.ask("turn")


# ---------------------------------------------------------------- what is timed


class Spy:
    """tinydeconv, which keeps the tensors it makes."""

    def __init__(self):
        self.tensors = []
        self.library = open_library("tinydeconv")

    def __getattr__(self, name):
        return getattr(self.library, name)

    def tensor(self, *arguments):
        self.tensors.append(self.library.tensor(*arguments))
        return self.tensors[-1]


@pytest.mark.parametrize("measure", kernels.MEASURES)
def test_a_kernel_case_times_what_it_says(measure):
    case = {"x": [2, 3, 5, 5], "w": [3, 4, 2, 2], "transposed": True, "options": {"stride": 2}}
    spy = Spy()
    before, call = kernels.build(spy, case | {"measure": measure})
    for _ in range(2):  # nothing adds up
        y = before()
        result = call(y)
    x, w, *_ = spy.tensors
    if measure == "forward":
        assert y is None and result.shape == (2, 4, 10, 10) and not result.requires_grad
        return
    assert y.shape == (2, 4, 10, 10)
    gradient = spy.tensors[2].numpy().reshape(2, 4, 5, 2, 5, 2)
    right = {
        "x": np.einsum("nfhiwj,cfij->nchw", gradient, w.detach().numpy()),
        "w": np.einsum("nchw,nfhiwj->cfij", x.detach().numpy(), gradient),
    }
    wanted = {"input gradient": "x", "weight gradient": "w", "both gradients": "xw"}[measure]
    for name, tensor in {"x": x, "w": w}.items():
        if name in wanted:
            np.testing.assert_allclose(tensor.grad.numpy(), right[name], rtol=1e-4, atol=1e-4)
        else:
            assert tensor.grad is None


def test_the_layers_of_a_network_fit_together():
    """What comes out of a layer goes into the next."""
    networks = {"DCGAN generator": 64, "DCGAN discriminator": 1}
    for network, last in networks.items():
        side, channels = None, None
        layers = [case for case in kernels.SHAPES if case[1].startswith(network)]
        assert len(layers) == 5
        for _, name, x, w, options in layers:
            assert side is None or x[1:] == (channels, side, side), name
            stride, padding = options.get("stride", 1), options.get("padding", 0)
            if name.endswith("transposed"):
                side, channels = (x[2] - 1) * stride - 2 * padding + w[2], w[1]
            else:
                side, channels = (x[2] + 2 * padding - w[2]) // stride + 1, w[0]
        assert side == last


def test_every_family_and_measure_is_there():
    found = kernels.cases(["tinydeconv", "torch"])
    assert {case["measure"] for case in found} == set(kernels.MEASURES) - {"both gradients"}
    assert {len(case["x"]) - 2 for case in found} == {1, 2, 3}
    for kind in (True, False):
        families = {case["family"] for case in found if case["transposed"] is kind}
        assert families >= {"DCGAN", "denoisers", "U-Net", "audio", "3-d"}
    every = kernels.cases(["tinydeconv", "torch", "dezero", "mygrad"])
    together = [case for case in every if case["measure"] == "both gradients"]
    assert together and all(len(case["libraries"]) > 2 for case in together)
    assert not any(case["transposed"] for case in every if "mygrad" in case["libraries"])
    assert {len(case["x"]) for case in every if "dezero" in case["libraries"]} == {4}


def test_scaling_goes_up_to_two_gigabytes():
    cases = scaling.cases([])
    assert 1.9e9 < max(case["bytes"] for case in cases) < 2.2e9
    for axis, (_, sizes, slope) in scaling.AXES.items():
        shapes = [case["x"] for case in cases if case["name"] == axis]
        operations = [54 * n * c * c * height * width for n, c, height, width in shapes]
        assert arithmetic.power(sizes, operations) == pytest.approx(slope)


@linux
def test_the_peak_is_over_what_stood_before():
    bench = worker.Bench("tinydeconv")
    held = np.ones(2**24, np.uint8)  # stood before, and does not count
    bench.before, bench.call = lambda: None, lambda _: np.ones(2**26, np.uint8)[0]
    assert 0.95 * 2**26 < bench.peak()["bytes"] < 1.2 * 2**26
    assert held.all()


# ---------------------------------------------------------------- the command


def run(monkeypatch, *words, installed=()):
    there = command.find_spec
    monkeypatch.setattr(
        command, "find_spec", lambda n: n in installed if n in command.PIP else there(n)
    )
    command.main([*map(str, words)])


def test_the_record_of_a_run(monkeypatch, tmp_path, capsys):
    path = tmp_path / "engine.json"
    monkeypatch.setattr(sys, "argv", ["", "engine", "--only", "one number"])
    run(
        monkeypatch, "engine", "--only", "one number", "--rounds", 2, "--threads", 1, "--json", path
    )
    kept = json.loads(path.read_text(encoding="utf-8"))
    assert [p.name for p in tmp_path.iterdir()] == ["engine.json"]
    assert kept["command"] == "python -m benchmarks engine --only 'one number'"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", kept["date"])
    assert re.fullmatch("[0-9a-f]{40}", kept["commit"]) and kept["dirty"] in (True, False)
    assert kept["threads"] == 1 and kept["rounds"] == 2
    assert kept["machine"]["cpu"] and kept["machine"]["cores"] >= 1
    assert kept["machine"]["memory"] > 1e8 and kept["machine"]["system"]
    assert set(kept["environment"]) == {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    assert isinstance(kept["others"], float)
    ours = kept["libraries"]["tinydeconv"]
    assert ours["numpy"] == np.__version__ and ours["version"] and ours["python"]
    blas = [pool for pool in ours["pools"] if pool["user_api"] == "blas"]
    assert all(pool["version"] and pool["num_threads"] == 1 for pool in blas)
    (result,) = kept["results"]
    assert result["name"] == "one number" and len(result["samples"]["tinydeconv"]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("PyTorch takes no part: to install it, python -m pip install torch")
    assert told.out.startswith("| median, microseconds an operation | tinydeconv |")


def test_a_case_too_large_for_the_machine_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(record, "available_memory", lambda: 2**32)
    run(monkeypatch, "scaling", "--only", "2048", "--rounds", 1)
    told = capsys.readouterr()
    assert "batch 2048: left out, for it needs 6.4 GB and 4.3 are free" in told.err
    assert "2048" not in told.out


BAD = {
    "": "arguments are required: SUBJECT",
    "speed": "invalid choice: 'speed'",
    "steps --against tensorflow": "invalid choice: 'tensorflow'",
    "steps --rounds 0": "expected a whole number of at least 1, got '0'",
    "steps --threads two": "expected a whole number of at least 1, got 'two'",
    "steps --json no/such/folder/x.json": "there is no folder no/such/folder for",
    "kernels --only AlexNet": "no case of kernels has 'AlexNet' in it",
    "kernels --plot x.png": "--plot draws ratios, and there is no other library",
}


@pytest.mark.parametrize("words", BAD)
def test_bad_arguments_are_told_in_a_line(words, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, *words.split())
    told = [line for line in capsys.readouterr().err.splitlines() if "takes no part" not in line]
    assert stop.value.code == 2
    assert len(told) == 1 and BAD[words] in told[0]


def test_a_peer_that_has_nothing_of_the_kind_is_told(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(
            monkeypatch, "steps", "--against", "dezero", "mygrad", "--only", "none", installed="abc"
        )
    told = capsys.readouterr().err.splitlines()
    assert told[:2] == [
        f"{n} takes no part: it has nothing of the kind" for n in ("DeZero", "MyGrad")
    ]


# ---------------------------------------------------------------- tables, plots, pages


def result(name, ours, samples, measure="forward", family="F"):
    ours = {"tinydeconv": [ours] * 3}
    theirs = {peer: [value] * 3 for peer, value in samples.items()}
    return {"name": name, "family": family, "measure": measure, "samples": ours | theirs}


MADE = {
    "subject": "kernels",
    "libraries": dict.fromkeys(["tinydeconv", "torch", "dezero"], {}),
    "results": [
        result("a", 0.004, {"torch": 0.002, "dezero": 0.008}),
        result("a", 0.001, {"torch": 0.002}, "input gradient"),
        result("a", 0.001, {"torch": 0.004, "dezero": 0.016}, "both gradients"),
        result("b", 0.009, {"torch": 0.0005}, family="G"),
    ],
}


def rows(table):
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_tables_of_the_kernels():
    torch, all_cases, dezero = kernels.tables(MADE)
    assert rows(torch) == [
        ["time over PyTorch's", "forward", "input gradient", "all"],
        ["F", "2.00", "0.50", "1.00"],
        ["G", "18.00", "", "18.00"],
        ["all", "6.00", "0.50", "2.62"],
    ]
    assert torch.endswith("PyTorch takes over 1 ms: a, forward, 2.00.")  # b is too short to count
    assert rows(all_cases)[1:] == [["a", "2.00 (2)", "0.50 (2)"], ["b", "18.00 (0.5)", ""]]
    assert rows(dezero)[1:] == [["F", "0.50", "0.06", "0.18"], ["all", "0.50", "0.06", "0.18"]]
    assert dezero.endswith(
        "tinydeconv is 5.7 times as fast as DeZero, PyTorch is 4.0 times as fast as DeZero, "
        "in the geometric mean over all these."
    )


def test_the_table_of_medians():
    samples = {"tinydeconv": [0.001, 0.002, 0.009], "torch": [0.001, 0.004, 0.003]}
    made = {"libraries": dict.fromkeys(samples), "results": [{"name": "a", "samples": samples}]}
    assert rows(tables.compare(made, "ms", 1e3))[1] == ["a", "2", "3", "1.00 (0.50 to 3.00)"]


CURVES = {
    "subject": "scaling",
    "results": [
        {"name": "channels", "size": size, "samples": {"tinydeconv": [seconds] * 3}}
        for size, seconds in [(32, 0.1), (64, 0.4), (128, 1.6)]
    ],
}


def test_the_table_of_slopes():
    (table,) = scaling.tables(CURVES)
    assert rows(table)[1] == ["channels", "tinydeconv", "32 to 128", "1.6", "2", "2.00"]


@pytest.mark.parametrize("made", [MADE, CURVES], ids=["dots", "lines"])
def test_a_plot_knows_its_record(made, tmp_path):
    path = tmp_path / "plot.png"
    assert not report.is_drawn(path, made)
    plots.draw(made, path)
    assert report.is_drawn(path, made) and [p.name for p in tmp_path.iterdir()] == ["plot.png"]
    other = json.loads(json.dumps(made))
    other["results"][0]["samples"]["tinydeconv"] = [0.003] * 3
    assert not report.is_drawn(path, other)


def test_what_a_plot_draws():
    assert plots.drawn(MADE)[:2] == [
        ["time over PyTorch's", "a", "forward", 2, 2, 2],
        ["time over PyTorch's", "a", "input gradient", 0.5, 0.5, 0.5],
    ]
    bare = {key: value for key, value in MADE["results"][0].items() if key != "measure"}
    assert plots.drawn(MADE | {"subject": "memory", "results": [bare]}) == [
        ["peak memory over another library's", "a", "PyTorch", 2, 2, 2],
        ["peak memory over another library's", "a", "DeZero", 0.5, 0.5, 0.5],
    ]
    assert plots.drawn(CURVES) == [["channels", "tinydeconv", [32, 64, 128], [0.1, 0.4, 1.6]]]


@pytest.mark.parametrize("page", report.PAGES, ids=lambda page: page.name)
def test_the_pages_say_what_the_records_say(page):
    assert page.read_text(encoding="utf-8") == report.written(page), "python -m benchmarks report"


@pytest.mark.parametrize("name", command.SUBJECTS)
def test_the_plots_are_of_the_records(name):
    path = report.FOLDER / f"{name}.json"
    assert report.is_drawn(path.with_suffix(".png"), record.load(path)), (
        "python -m benchmarks report"
    )
    mark = f"<!-- record {name} -->"
    assert mark in report.PAGES[1].read_text(encoding="utf-8")


def test_a_report_is_written_from_the_records(tmp_path, monkeypatch):
    folder, page = tmp_path / "performance", tmp_path / "page.md"
    folder.mkdir()
    made = record.load(report.FOLDER / "kernels.json") | {"rounds": 12345}
    record.save(folder / "mine.json", made)
    assert record.load(folder / "mine.json") == made
    page.write_text(
        "A\n<!-- record mine -->\nold\n<!-- end -->\n"
        "B\n<!-- record mine summary -->\n<!-- end -->\nC\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(report, "FOLDER", folder)
    monkeypatch.setattr(report, "PAGES", [page])
    report.write()
    whole, short = page.read_text(encoding="utf-8").split("B\n")
    assert "old" not in whole and "medians of 12345 rounds" in whole
    assert "DnCNN middle" in whole and "DnCNN middle" not in short and "denoisers" in short
    assert whole.startswith("A\n<!-- record mine -->\n`python") and short.endswith(
        "<!-- end -->\nC\n"
    )
    assert "performance/mine.png" in whole and "mine.png" not in short
    assert (folder / "mine.png").is_file()
    before = (folder / "mine.png").stat().st_mtime_ns
    report.write()
    assert (folder / "mine.png").stat().st_mtime_ns == before
