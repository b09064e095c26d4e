"""Lesson 08 on a machine with committed results of a GPU, and on one with a GPU: what the lesson
shows there, which it cannot show here; and the launches that it counts by hand.
"""

import json
from collections import Counter

import pytest
from lessons import LESSONS, Lesson
from test_gpu_benchmarks import SHAPES, gpu_here, kept, measure  # noqa: F401  (a fixture)

import tinydeconv as td
from tinydeconv.kernels.cuda import convolution, launch, normalization

(NAME,) = (name for name in LESSONS if name.startswith("08"))
SMALL = ["replace(LAYER, images=2, channels=16, filters=16)", "bench.SMALL"]
WITHOUT = ["td.cuda.is_available()", "False"]


def at(folder):
    """A slip that lets the lesson look for results there."""
    return ['Path("../benchmarks/results")', f'Path("{folder}")']


def labels(lesson, words):
    """Of what is in the legend of the picture of GPUs, those with the words."""
    (figure,) = (f for _, alt, f in lesson.figures if "Rooflines of four GPUs" in alt)
    found = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return [label for label in found if words in label]


@pytest.mark.slow
def test_committed_results_are_shown(gpu_here, tmp_path, monkeypatch, capsys):  # noqa: F811
    measure(tmp_path, SHAPES[:1], ())
    (path,) = tmp_path.glob("*.json")
    found, _ = kept(tmp_path)
    found["device"] |= {"stand_in": False, "name": "NVIDIA Test"}
    path.write_text(json.dumps(found), encoding="utf-8")

    lesson = Lesson(NAME).run(monkeypatch, [at(tmp_path), WITHOUT, SMALL])
    assert "The dots below" in capsys.readouterr().out and "NVIDIA Test" in lesson.names["source"]
    rungs = {rung for rung, _ in lesson.names["dots"]}
    assert rungs >= {"direct", "unfold + cuBLAS", "implicit GEMM", "unfold + cuBLAS, TF32"}
    assert len(labels(lesson, "data sheet, not measured")) == 4
    assert len(labels(lesson, ", measured")) >= 6  # two roofs, four rungs

    found["device"]["stand_in"] = True
    path.write_text(json.dumps(found), encoding="utf-8")
    assert lesson.names["gpu_records"](tmp_path) == []
    assert lesson.names["gpu_records"](tmp_path / "nothing") == []


@pytest.mark.slow
def test_a_gpu_is_measured(gpu_here, tmp_path, monkeypatch):  # noqa: F811
    here = [
        at(tmp_path),
        SMALL,
        ["workers = [Thread(), *([Gpu()] if cupy else [])]", "workers = [Thread()]"],
        ["step_time(16, n, device)", "step_time(1, n, device)"],
        ["batches = [1, 8, 32]", "batches = [1, 2]"],
    ]
    lesson = Lesson(NAME).run(monkeypatch, here)
    assert lesson.names["source"] == "measured here, just now"
    rungs = [rung for rung, _ in lesson.names["dots"]]
    assert sorted(rungs) == ["direct", "implicit GEMM", "unfold + cuBLAS", "unfold + cuBLAS"]
    assert len(labels(lesson, ", measured")) == 6 and len(lesson.names["steps"]) == 2
    gpu = lesson.names["Gpu"]()
    assert min(lesson.names["three_clocks"](gpu, lambda: gpu.xp.ones(9))) > 0


@pytest.fixture
def launched(monkeypatch):
    """How often each kernel was launched, as it counts."""
    counts, right = Counter(), launch.launch

    def counting(file, name, grid, *rest):
        counts[name] += 0 not in grid
        return right(file, name, grid, *rest)

    for module in (launch, convolution, normalization):
        monkeypatch.setattr(module, "launch", counting)
    return counts


@pytest.mark.slow
def test_the_launches_of_a_training_step(cupy, launched, monkeypatch):
    cells = Lesson(NAME).cells
    names = {"td": td, "nn": td.nn, "optim": td.optim, "F": td.nn.functional}
    for words in ("def networks", "LAUNCHES = {"):
        (source,) = (c.source for c in cells if c.cell_type == "code" and words in c.source)
        exec(source, names)
    step = names["training_step"](2, 2, noise=2, device="cuda")
    step()
    launched.clear()
    step()
    ours = sum(launched.values())
    assert names["launches"] == ours + 2 + 1  # ReLU's and tanh's forward pass is CuPy's
    assert launched["conv"] + launched["conv_transpose"] + launched["conv_weight"] == 33
    assert launched["adam"] == names["parameters"] == 12
