"""`python -m benchmarks gpu` and `gpu-parity`: whole runs of tiny layers, on the stand-in for CuPy
where there is no GPU. No test asserts a time.
"""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import tinydeconv as td  # noqa: E402
from benchmarks import __main__ as command_line  # noqa: E402
from benchmarks import (  # noqa: E402
    device,
    gpu,
    gpu_parity,
    gpu_plots,
    gpu_results,
    gpu_tables,
    plots,
    record,
    report,
    steps,
)
from benchmarks.gpu_results import command  # noqa: E402
from tinydeconv import bench, kernels  # noqa: E402
from tinydeconv.ops.maths import Exp  # noqa: E402

SAME, HALVE = {"padding": 1}, {"stride": 2, "padding": 1}
SHAPES = [
    ("ResNet", "ResNet 3x3", (2, 3, 5, 5), (4, 3, 3, 3), SAME),
    ("DCGAN", "DCGAN generator 2, transposed", (1, 4, 3, 3), (4, 3, 4, 4), HALVE),
    ("audio", "WaveNet dilated", (1, 2, 12), (3, 2, 2), {"dilation": 4}),
    ("3-d", "3D U-Net", (1, 2, 3, 3, 3), (2, 2, 2, 2, 2), {}),
]
WITHOUT_TORCH = [name for name in gpu.LADDER if "PyTorch" not in name]
NAMES = ["ladder", "roofline", "ratios"]


def tiny(lib, nn, functional, optim):
    """A network like those of benchmarks/steps.py, small enough for the simulator."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.ReLU())
    optimizer = optim.Adam(model.parameters())
    images = lib.randn(2, 1, 4, 4)

    def step():
        optimizer.zero_grad()
        functional.mse_loss(model(images), lib.zeros(2, 2, 4, 4)).backward()
        optimizer.step()

    return step


@pytest.fixture
def gpu_here(cupy, monkeypatch):
    """A GPU, or a stand-in that says what one says; ceilings, rounds and networks are small."""
    runtime = cupy.cuda.runtime
    if not device.Device().has_tf32:
        pytest.skip("this GPU has no TF32, which every run here has rows of")
    if device.Device().stand_in:
        known = runtime.getDeviceProperties(0) | {"multiProcessorCount": 2}
        monkeypatch.setattr(runtime, "getDeviceProperties", lambda number: known)
    for name, value in {"GEMM_SIDE": 8, "GPU_GEMM_SIDE": 8, "COPY_BYTES": 4096}.items():
        monkeypatch.setattr(bench, name, value)
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    monkeypatch.setattr(gpu_results, "find_spec", lambda name: None)  # no plots, which take a while
    monkeypatch.setattr(gpu, "TURN", 1e-9)
    monkeypatch.setattr(device, "find_spec", lambda name: None)  # PyTorch has a suite of its own
    monkeypatch.setitem(steps.MODELS, "tiny", tiny)
    return device.Device()


def measure(folder, shapes=SHAPES, models=("tiny",), seconds=300):
    """(exit code, what the JSON file holds, the page)"""
    code = command("gpu", seconds, folder, wanted=gpu.cases(shapes, models), ceiling=0)
    return code, *kept(folder)


def kept(folder, subject="gpu"):
    (path,) = (p for p in folder.glob("*.json") if record.load(p)["subject"] == subject)
    return record.load(path), path.with_suffix(".md").read_text(encoding="utf-8")


def rows(text):
    """{first cell: the others} of all tables; of two with one first cell, those of the first."""
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first: others for first, *others in reversed(cells)}


# ---------------------------------------------------------------- what is measured


def test_every_layer_is_there_three_times_and_the_first_tell_most():
    found = gpu.cases()
    layers = [case for case in found if case["kind"] == "convolution"]
    assert [case["kernel"] for case in layers[:3]] == ["conv", "conv_transpose", "conv_weight"]
    assert {case["name"] for case in layers} == {shape[1] for shape in gpu.SHAPES} | {"ResNet 3x3"}
    assert len(layers) == 3 * (len(gpu.SHAPES) + 1)
    others = [(case["kind"], case["name"]) for case in found[3:9]]
    assert others == [(kind, name) for name in steps.MODELS for kind in ("step", "memory")]
    families = list(dict.fromkeys(case["family"] for case in layers))
    early = [case["family"] for case in layers[: 3 * len(families)]]
    assert set(early) == set(families)  # one of each before the second of any


def test_what_is_said_to_be_picked_is_picked():
    for kernel in bench.INPUTS:
        assert getattr(kernels.cuda, kernel) is getattr(gpu.gpu_kernels, kernel)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape[1])
def test_a_layer_is_the_one_of_its_shapes(shape):
    _, name, x, w, options = shape
    of = gpu.layer(*shape[1:])
    images = of.shapes["y"] if name.endswith("transposed") else of.shapes["x"]
    assert images == x and of.shapes["w"] == w
    assert of.geometry.stride[0] == options.get("stride", 1)


def test_all_contestants_compute_the_same(gpu_here):
    for case in gpu.cases(SHAPES, ()):
        results = {
            name: gpu_here.numpy(contestant.call())
            for name, contestant in gpu.convolution(gpu_here, case).items()
        }
        assert set(results) == set(WITHOUT_TORCH) - (
            {gpu.DIRECT} if case["kernel"] != "conv" else set()
        )
        for name, result in results.items():
            assert device.distance(result, results[gpu.CPU]) < 1e-5, (case["name"], name)


def test_a_gpu_without_tf32_has_no_rows_of_it(gpu_here, monkeypatch):
    monkeypatch.setattr(device.Device, "has_tf32", False)
    case, *_, trained, _ = gpu.cases(SHAPES[:1], ["tiny"])
    for contestants in (gpu.convolution(gpu_here, case), gpu.step(gpu_here, trained)):
        assert len(contestants) > 1 and not any("TF32" in name for name in contestants)
    assert len(gpu.ceilings(gpu_here, 0)) == 2
    for product in gpu_parity.products(5).values():  # what the switch does there cannot matter
        assert "has no TF32" in gpu_parity.tf32(gpu_here, product)[1]


def test_the_precision_is_the_contestants(gpu_here):
    seen = []

    def call():
        seen.append(td.backends.cuda.allow_tf32)

    for tf32 in (True, False):
        gpu.Contestant(call, tf32).turn(gpu_here)
    assert seen == [True, True, False, False] and td.backends.cuda.allow_tf32 is False
    with pytest.raises(ZeroDivisionError):
        gpu.Contestant(lambda: 1 / 0, True).turn(gpu_here)
    assert td.backends.cuda.allow_tf32 is False


def test_a_turn_on_the_gpu_lies_between_two_events(gpu_here, monkeypatch):
    told, cuda = [], gpu_here.cupy.cuda

    class Event:
        def record(self):
            told.append("event")

        def synchronize(self):
            told.append("waited")

    monkeypatch.setattr(cuda, "Event", Event)
    monkeypatch.setattr(cuda, "get_elapsed_time", lambda start, end: 12.0)
    contestant = gpu.Contestant(lambda: told.append("call"), calls=3)
    contestant.turn(gpu_here)
    assert told == ["call", "event", "call", "call", "call", "event", "waited"]
    assert contestant.seconds == [0.004] and 0 < contestant.host[0] < 1


def test_networks_are_made_on_the_gpu(gpu_here):
    made = []

    def spy(lib, nn, functional, optim):
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        made.extend([*model.parameters(), lib.rand(1), lib.randn(2), lib.zeros(1), lib.ones(3)])
        return lambda: None

    steps.MODELS["spy"] = spy
    try:
        steps.build(device.OnDevice("tinydeconv", "cuda"), {"name": "spy"})
    finally:
        del steps.MODELS["spy"]
    assert [str(tensor.device) for tensor in made] == ["cuda:0"] * 6


def test_the_peak_of_memory(gpu_here):
    def work():
        first = td.zeros(1000, 250, device="cuda")  # a million bytes
        del first
        return td.zeros(1000, 250, device="cuda"), td.zeros(1000, 500, device="cuda")

    held = td.zeros(250_000, device="cuda")  # stood before, and does not count
    found = gpu_here.peak(work)
    assert 3e6 <= found["used"] < 3.1e6
    if gpu_here.stand_in:  # a pool may have had room left in what it gave others a part of
        assert found["held"] >= 3e6
    assert held.sum().item() == 0 and not td.cuda._peaks


# ---------------------------------------------------------------- a whole run


def test_a_whole_run(gpu_here, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_results, "find_spec", find_spec)
    code, found, page = measure(tmp_path)
    assert code == 0 and found["left_out"] == [] and 0 < found["spent"] < 300
    about = found["device"]
    assert about["name"] and re.fullmatch(r"\d+\.\d", about["capability"]) and about["memory"] > 1e8
    assert about["driver"] and about["runtime"] and about["cupy"] and about["torch"] is None
    assert re.fullmatch("[0-9a-f]{40}", found["commit"]) and found["date"] and found["machine"]
    assert found["about"]["samples"] and found["about"]["contestants"][gpu.IMPLICIT]

    layers = [result for result in found["results"] if result["kind"] == "convolution"]
    assert len(layers) == 3 * len(SHAPES) and len(found["results"]) == len(layers) + 2
    for result in layers:
        there = [n for n in WITHOUT_TORCH if n != gpu.DIRECT or result["kernel"] == "conv"]
        assert list(result["samples"]) == there and result["failed"] == {}
        assert all(len(s) == 2 and min(s) > 0 for s in result["samples"].values())
        assert result["host"].keys() == set(there) - {gpu.CPU}
        assert max(result["errors"].values()) < 1e-2 and result["errors"][gpu.IMPLICIT] < 1e-5
    step, memory = (r for r in found["results"] if r["kind"] != "convolution")
    assert list(step["samples"]) == ["tinydeconv, CPU", "tinydeconv", "tinydeconv, TF32"]
    assert memory["samples"]["tinydeconv"]["used"] > 0

    table = rows(page)
    for result in layers:
        assert f"{result['name']}, {result['kernel']}" in table
    for name in {*WITHOUT_TORCH} - {gpu.UNFOLD_TF32}:
        assert f"conv, {name}" in table
    assert "TF32 off" in page and "TF32 on" in page and "How to read this" in page
    assert f"In {len(gpu_tables.verdict(found)['floor']['over'])} of 12 cases" in page
    assert "Aim: not measured, for there are no times of PyTorch with cuDNN." in page
    told = capsys.readouterr().out
    assert "## Floor and aim" in told and "## Training steps" in told
    for name in NAMES:
        (path,) = tmp_path.glob(f"*-{name}.png")
        assert plots.is_drawn(path, found) and str(path) in told


def test_the_time_is_shared_and_what_is_left_out_is_told(gpu_here, tmp_path):
    code, found, page = measure(tmp_path, seconds=0)
    assert code == 0 and found["results"] == []
    assert len(found["left_out"]) == 14 and found["left_out"][0] == "convolution ResNet 3x3 conv"
    case = gpu.cases(SHAPES[:1], ())[0]
    late = gpu.measure(gpu_here, case, until=0)  # the time was up before it began
    assert {len(samples) for samples in late["samples"].values()} == {1}


def test_the_shares_of_the_time(gpu_here, monkeypatch):
    shares = []

    def spied(of_device, case, until):
        shares.append((case["kind"], until - now[0]))
        now[0] += 10  # each takes ten seconds
        return {"kind": case["kind"], "samples": {}, "failed": {}}

    class Budget:
        spent, left = 0, property(lambda self: 100 - now[0])

    now = [0]
    monkeypatch.setattr(gpu.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(gpu, "measure", spied)
    measured = {}
    wanted = gpu.cases(SHAPES[:1], ["tiny"])
    gpu.run(gpu_here, measured, wanted, Budget(), tell=lambda line: None, ceiling=0)
    weights = [1, 1, 1, 8, 1]
    left = [100, 90, 80, 70, 60]
    expected = [left[i] * weights[i] / sum(weights[i:]) for i in range(5)]
    assert [share for _, share in shares] == pytest.approx(expected)
    assert measured["left_out"] == []


@pytest.mark.slow
def test_where_memory_runs_out_the_run_goes_on(gpu_here, tmp_path):
    big = ("ResNet", "big", (1, 4, 16, 16), (2, 4, 5, 5), {"padding": 2})  # 100 kB of patches
    wanted = [case for case in gpu.cases([big, SHAPES[2]], ()) if case["kernel"] == "conv"]
    pool = gpu_here.cupy.get_default_memory_pool()
    gpu_here.release()
    pool.set_limit(size=pool.used_bytes() + 60_000)
    try:
        code = command("gpu", 300, tmp_path, wanted=wanted, ceiling=0)
    finally:
        pool.set_limit(size=0)
    found, page = kept(tmp_path)
    first, last = found["results"]
    assert code == 0 and found["left_out"] == []
    assert first["failed"].keys() == {gpu.REFERENCE, gpu.UNFOLD, gpu.UNFOLD_TF32}
    assert all(words.startswith("out of memory: ") for words in first["failed"].values())
    assert first["samples"].keys() == {gpu.CPU, gpu.DIRECT, gpu.IMPLICIT} and last["failed"] == {}
    assert rows(page)["big, conv"][3] == "out of memory" and "Wrong" not in page


def test_an_interrupted_run_leaves_what_was_measured(gpu_here, tmp_path, monkeypatch):
    whole, left = gpu.measure, iter([True, True, False])

    def stopped(*arguments):
        if not next(left):
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(gpu, "measure", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path)
    found, page = kept(tmp_path)
    assert len(found["results"]) == 2 and len(found["left_out"]) == 12
    assert "There was no time for 12 cases" in page and "ResNet 3x3, conv_transpose" in page
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".md"}


def test_a_run_can_be_interrupted_before_the_first_case(gpu_here, tmp_path, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu, "ceilings", stopped)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path)
    found, page = kept(tmp_path)
    assert found["results"] == [] and len(found["left_out"]) == 14
    assert page.startswith("# Measured on ")


def test_a_wrong_kernel_is_called_out(gpu_here, tmp_path, monkeypatch):
    right = gpu.gpu_kernels.conv_transpose
    monkeypatch.setattr(gpu.gpu_kernels, "conv_transpose", lambda *a: right(*a) * 1.001)
    code, found, page = measure(tmp_path, SHAPES[:1], ())
    assert code == 1
    assert "- Wrong: ResNet 3x3, conv_transpose, implicit GEMM: off by 0.001" in page
    assert page.count("Wrong") == 1 and "right: held" not in page


def test_a_kernel_that_fails_is_called_out(gpu_here, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("the kernel does not compile")

    monkeypatch.setattr(gpu.gpu_kernels, "conv_weight", broken)
    code, found, page = measure(tmp_path, SHAPES[:1], ())
    assert code == 1 and len(found["results"]) == 3
    assert "conv_weight, implicit GEMM: RuntimeError: the kernel does not compile." in page
    assert rows(page)["ResNet 3x3, conv_weight"][4] == "RuntimeError"


# ---------------------------------------------------------------- floor and aim


def invented(kernels, family="F"):
    """A record of times in milliseconds: {name: {contestant: times}}"""
    results = [
        {
            "kind": "convolution", "name": name, "kernel": "conv", "family": family,
            "flop": 10**9, "bytes": 10**7, "x": [1, 2, 3, 3], "w": [2, 2, 3, 3],
            "samples": {who: [t / 1e3 for t in times] for who, times in samples.items()},
            "errors": dict.fromkeys(samples, 1e-7), "host": dict.fromkeys(samples, 1e-6),
            "failed": {},
        }
        for name, samples in kernels.items()
    ]  # fmt: skip
    places = ["CPU, 8 threads", "G, TF32 off", "G, TF32 on"]
    ceilings = {place: {"gflops": 1000.0 * 10**i, "gbs": 100.0} for i, place in enumerate(places)}
    return {"subject": "gpu", "results": results, "left_out": [], "ceilings": ceilings}


QUICK, SLOW, NOISY = [1.0] * 6, [1.1] * 6, [0.7, 0.8, 0.9, 1.2, 1.3, 1.4]


def test_a_slow_kernel_misses_the_floor():
    found = invented(
        {
            "as quick": {gpu.IMPLICIT: QUICK, gpu.UNFOLD: QUICK},
            "slower": {gpu.IMPLICIT: SLOW, gpu.UNFOLD: QUICK},
            "perhaps slower": {gpu.IMPLICIT: NOISY, gpu.UNFOLD: QUICK},
            "not to be compared": {gpu.IMPLICIT: SLOW},
        }
    )
    floor = gpu_tables.verdict(found)["floor"]
    assert floor["cases"] == 3 and floor["worst"] == ("slower, conv", pytest.approx(1.1))
    assert floor["over"] == [("slower, conv", pytest.approx(1.1))]
    said = gpu_tables.sentences(found)
    assert "Floor, TF32 off: missed. In 1 of 3 cases implicit GEMM" in said
    assert "the worst case is slower, conv, 1.10 times the time of unfold + cuBLAS" in said
    assert "Python" not in said
    found["results"][1]["host"][gpu.IMPLICIT] = 1.05e-3  # of 1.1
    assert "for certain (in 1 of these Python took as long as the GPU);" in gpu_tables.sentences(
        found
    )
    del found["results"][1]
    said = gpu_tables.sentences(found)
    assert "Floor, TF32 off: held. In 0 of 2 cases" in said


def test_the_aim_is_twice_the_time_of_cudnn():
    def said(ours):
        found = invented({"a": {gpu.IMPLICIT: [ours] * 6, gpu.TORCH: QUICK, gpu.TORCH_TF32: QUICK}})
        return gpu_tables.sentences(found)

    assert "Aim, TF32 off: held. In 0 of 1 cases" in said(1.99)
    assert "Aim, TF32 off: missed. In 1 of 1 cases" in said(2.01) and "2.01 times" in said(2.01)
    assert "Floor: not measured, for there are no times of unfold + cuBLAS." in said(1)


def test_results_of_pytorch_must_be_of_the_same_thing():
    found = invented({"a": {gpu.IMPLICIT: QUICK, gpu.TORCH: QUICK}})
    found["results"][0]["errors"][gpu.TORCH] = 5e-3  # an algorithm may be coarse
    assert gpu_tables.wrong(found) == []
    found["results"][0]["errors"][gpu.TORCH] = float("nan")
    assert gpu_tables.wrong(found)[0][1] == gpu.TORCH


def test_the_tables_of_times():
    samples = {
        gpu.CPU: [10.0] * 6,
        gpu.UNFOLD: [2.0] * 6,
        gpu.IMPLICIT: QUICK,
        gpu.TORCH: [0.5] * 6,
    }
    found = invented({"a": samples | {gpu.UNFOLD_TF32: [0.2] * 6, gpu.TORCH_TF32: [0.5] * 6}})
    found["results"][0]["host"][gpu.UNFOLD] = 1.9e-3  # Python's
    picked = ["1,000", "10%", "10%"]  # GFLOP/s, and of the two ceilings
    against = ["0.50 (0.50 to 0.50)", "2.00 (2.00 to 2.00)"]
    found_row = rows(gpu_tables.each(found))["a, conv"]
    assert found_row == ["10", "", "", "2*", "1", "0.5", *picked, *against]
    with_it = ["0.2", "0.5", "5,000", "5%", "0.40 (0.40 to 0.40)", "1.0e-07", "0.10 (0.10 to 0.10)"]
    assert rows(gpu_tables.each_tf32(found))["a, conv"] == with_it
    assert rows(gpu_tables.families(found))["all"] == ["0.10", "0.50", "2.00", "0.40"]
    assert rows(gpu_tables.ladder(found))["conv, implicit GEMM"] == ["off", "1", *picked, "10"]


# ---------------------------------------------------------------- parity


def cases_of(*groups):
    return [case for case in gpu_parity.CASES if case.group in groups]


OPS = ["Conv", "Exp", "Gather", "Scatter", "max_pool2d", "sort"]


def parity(gpu_here, folder, part=None, cases=None):
    """(exit code, the JSON file, the page) of a part, or of all, over a few ops."""
    side = 5 if gpu_here.stand_in else 64  # cuBLAS need not use TF32 for small matrices
    wanted = gpu_parity.checks(gpu_here, cases_of(*OPS) if cases is None else cases, side)
    wanted = [check for check in wanted if part in (None, check.part)]
    code = command("gpu-parity", 300, folder, wanted=wanted)
    return code, *kept(folder, "gpu-parity")


@pytest.mark.slow
def test_parity(gpu_here, tmp_path):
    code, found, page = parity(gpu_here, tmp_path)
    assert [row for row in found["results"] if not row["passed"]] == [] and code == 0
    parts = [row["part"] for row in found["results"]]
    assert list(dict.fromkeys(parts)) == ["same bits", "resume", "TF32", "weights", "ops"]
    assert parts.count("same bits") == 14 and parts.count("ops") == 2 * len(cases_of(*OPS))
    assert "Every check passed." in page and found["left_out"] == []
    assert re.search(r"TF32: \d\.\d digits are right without it, \d\.\d with it", page)
    (resume,) = (row for row in found["results"] if row["part"] == "resume")
    assert resume["details"] == "resumed after step 3 of 6, it ended with the same bits"
    for row in found["results"]:
        assert rows(page)[f"{row['part']}: {row['case']}"][-1] == "pass"


def test_every_op_is_checked(gpu_here):
    found = [check for check in gpu_parity.checks(gpu_here) if check.part == "ops"]
    moved = sum(case.function is gpu_parity.To for case in gpu_parity.CASES)
    assert len(found) == 2 * (len(gpu_parity.CASES) - moved) and moved < 5


def test_a_wrong_op_is_reported(gpu_here, tmp_path, monkeypatch, capsys):
    right = Exp.forward

    def wrong(self, x):
        y = right(self, x)
        return y if isinstance(x, np.ndarray) else y + y * y.dtype.type(1e-3)

    monkeypatch.setattr(Exp, "forward", wrong)
    code, found, page = parity(gpu_here, tmp_path, "ops")
    assert code == 1
    failed = {row["case"] for row in found["results"] if not row["passed"]}
    assert failed == {case.name for case in cases_of("Exp")}
    assert "**fail**" in page and "wrong: ops: Exp" in capsys.readouterr().out


def test_a_wrong_gradient_and_one_that_is_missing_are_reported(gpu_here, monkeypatch):
    right = gpu_parity.derivatives
    (case,) = cases_of("Exp")[:1]

    def changed(change):
        def derivatives(case, where, dtype):
            found = right(case, where, dtype)
            return found if where == "cpu" else [*found[:-1], change(found[-1])]

        monkeypatch.setattr(gpu_parity, "derivatives", derivatives)
        return gpu_parity.op(case, "float64")[0]

    assert changed(lambda last: last) < 1e-9
    assert changed(lambda last: last * 1.01) > 1e-3
    assert changed(lambda last: None) == changed(lambda last: last.cpu()) == np.inf
    assert changed(lambda last: last.float()) == np.inf


@pytest.mark.slow
def test_bits_that_change_are_reported(gpu_here, tmp_path, monkeypatch):
    fold, calls = gpu_parity.F.fold, []

    def restless(*arguments, **options):
        calls.append(None)
        return fold(*arguments, **options) * (1 + len(calls) * 1e-7)

    monkeypatch.setattr(gpu_parity.F, "fold", restless)
    code, found, page = parity(gpu_here, tmp_path, "same bits")
    failed = [(row["case"], row["details"]) for row in found["results"] if not row["passed"]]
    assert code == 1
    assert failed == [("fold", "3 runs did not give the same bits")] * 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model.load_state_dict", "optimizer.load_state_dict", "random"])
def test_a_training_that_goes_on_elsewhere_is_reported(gpu_here, tmp_path, monkeypatch, name):
    if name == "random":
        monkeypatch.setattr("tinydeconv.train.td.set_rng_state", lambda state: None)
    else:
        owner = {"model": td.nn.Module, "optimizer": td.optim.Optimizer}[name.split(".")[0]]
        monkeypatch.setattr(owner, "load_state_dict", lambda self, state: None)
    code, found, page = parity(gpu_here, tmp_path, "resume")
    assert code == 1 and "it did not end with the same bits" in page


def test_tf32_must_be_off_and_must_do_something(gpu_here, tmp_path, monkeypatch):
    td.backends.cuda.allow_tf32 = True
    try:
        code, _, page = parity(gpu_here, tmp_path, "TF32")
    finally:
        td.backends.cuda.allow_tf32 = False
    assert code == 1 and "it is on by default" in page
    monkeypatch.setattr(type(td.backends.cuda), "apply", lambda *_: None)  # the switch is loose
    code, _, page = parity(gpu_here, tmp_path, "TF32")
    assert code == 1 and "the switch should cost three digits or so" in page


def test_weights_that_change_on_the_way_are_reported(gpu_here, tmp_path, monkeypatch):
    monkeypatch.setattr(td, "manual_seed", lambda seed: None)
    code, found, _ = parity(gpu_here, tmp_path, "weights")
    passed = {row["case"]: row["passed"] for row in found["results"]}
    assert code == 1 and not passed["one seed"] and not passed["through a file"]


@pytest.mark.slow
def test_a_check_that_breaks_is_reported(gpu_here, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_parity.F, "fold", None)
    code, found, page = parity(gpu_here, tmp_path, "same bits")
    assert code == 1 and "TypeError: 'NoneType' object is not callable" in page
    json.dumps(found["results"])


def test_distance():
    a = np.array([1.0, 20.0, np.inf])
    assert device.distance(a, a) == 0
    assert device.distance(np.array([1.0, 21.0, np.inf]), a) == 1 / 20
    assert device.distance(np.array([0.3]), np.array([0.2])) == pytest.approx(0.1)
    for other in ([1, 20, -np.inf], [1, 20, np.nan], [np.inf, 20, np.inf], [1, 20]):
        assert device.distance(np.array(other, float), a) == np.inf
    assert device.distance(a.astype(np.float32), a) == np.inf
    nan = np.array([np.nan])
    assert device.distance(nan, nan) == 0


# ---------------------------------------------------------------- the command, and the pages


def test_without_a_gpu_a_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)  # as if it were not installed
    for subject in ("gpu", "gpu-parity"):
        with pytest.raises(SystemExit) as stop:
            command_line.main([subject])
        (line,) = capsys.readouterr().err.splitlines()
        assert stop.value.code == 2 and "needs CuPy, which is not installed: pip install" in line


def test_what_the_command_refuses(gpu_here, tmp_path, monkeypatch, capsys, request):
    monkeypatch.setattr(gpu_results.gpu, "cases", list)  # or it would measure for minutes
    monkeypatch.setattr(gpu_parity, "checks", lambda there: [])
    bad = {
        "gpu --only ResNet": "--only gives a part",
        f"gpu --only AlexNet --folder {tmp_path}": "no case of gpu has 'AlexNet' in it",
        "gpu-parity --seconds 0": "expected a whole number of at least 1, got '0'",
    }
    if request.config.getoption("--device") == "sim":
        bad |= {
            "gpu": "holds what real GPUs did",
            "gpu-parity": "no stand-in for one: add --folder",
        }
    for words, sentence in bad.items():
        with pytest.raises(SystemExit) as stop:
            command_line.main(words.split())
        (line,) = capsys.readouterr().err.splitlines()
        assert stop.value.code == 2 and sentence in line
    assert list(tmp_path.iterdir()) == []


def test_the_command_measures_a_part(gpu_here, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu_parity, "CASES", cases_of("Exp"))
    words = ["gpu-parity", "--only", "through a file", "--folder", str(tmp_path / "new")]
    assert command_line.main(words) == 0
    found, _ = kept(tmp_path / "new", "gpu-parity")
    assert [row["part"] for row in found["results"]] == ["weights"]


def test_names_of_files_and_versions():
    assert device.file_name("NVIDIA GeForce RTX 4090 (Laptop)") == "nvidia-geforce-rtx-4090-laptop"
    assert [device.version(n) for n in (12080, 13000)] == ["12.8", "13.0"]


@pytest.mark.slow
def test_the_pages_say_what_the_records_of_gpus_say(gpu_here, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_results, "find_spec", find_spec)
    results, page = tmp_path / "results", tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    for name, value in {"RESULTS": results, "PAGES": [page], "FOLDER": tmp_path}.items():
        monkeypatch.setattr(report, name, value)
    page.write_text("A\n<!-- gpu -->\nyesterday\n<!-- end -->\nB\n", encoding="utf-8")
    report.write()
    assert page.read_text(encoding="utf-8") == (
        f"A\n<!-- gpu -->\n{report.NONE}\n<!-- end -->\nB\n"
    )
    assert "No GPU has run this yet" in report.NONE
    measure(results, SHAPES[:1])
    parity(gpu_here, results, "weights")
    (plot,) = results.glob("*-ladder.png")
    plot.unlink()
    report.write()
    text = page.read_text(encoding="utf-8")
    assert (
        report.NONE not in text and "yesterday" not in text and text.endswith("<!-- end -->\nB\n")
    )
    assert f"`gpu`\n\n{gpu_results.provenance(kept(results)[0])}" in text
    for heading in ("Floor and aim", "The ladder", "Training steps", "Parity"):
        assert f"#### {heading}" in text
    for path in re.findall(r"\]\((\.\./results/[^)]+)\)", text):
        assert (page.parent / path).is_file()
    assert plot.is_file() and len(re.findall(r"!\[[^]]+\]", text)) == 3
    report.write()
    assert page.read_text(encoding="utf-8") == text


def test_what_is_kept_is_of_real_gpus_and_of_today():
    for path in device.RESULTS.glob("*.json"):
        found = record.load(path)
        assert found["device"]["stand_in"] is False
        assert path.with_suffix(".md").read_text(encoding="utf-8") == gpu_results.text(found)
        for name in gpu_plots.names(found) if found["subject"] == "gpu" else ():
            assert plots.is_drawn(path.with_name(f"{path.stem}-{name}.png"), found)


def test_the_plots_have_what_there_is(gpu_here, tmp_path):
    samples = {gpu.CPU: [8.0] * 6, gpu.UNFOLD: [2.0] * 6, gpu.IMPLICIT: QUICK, gpu.TORCH: [0.5] * 6}
    found = invented({"a": samples}) | {"device": {"name": "G"}}
    assert [point[:3] for point in gpu_plots.points(found)] == [
        ["implicit GEMM over unfold + cuBLAS\nTF32 off", "a", "conv"],
        ["implicit GEMM over PyTorch\nTF32 off", "a", "conv"],
    ]
    (axis,) = gpu_plots.ladder(found).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == [f"conv: {n}" for n in samples]
    assert [patch.get_width() for patch in axis.patches] == [125, 500, 1000, 2000]
    (axis,) = gpu_plots.roofline(found).axes
    roofs, dots = axis.lines[:2], axis.lines[2:]
    assert [line.get_ydata()[-1] for line in roofs] == [1e4, 2e4]
    assert [dot.get_label() for dot in dots] == [gpu.IMPLICIT, gpu.UNFOLD, gpu.TORCH]
    assert dots[0].get_xdata() == [100] and dots[0].get_ydata() == [1000]
    nothing = invented({"a": {}})
    assert gpu_plots.names(nothing) == {}
