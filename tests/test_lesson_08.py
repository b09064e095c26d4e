"""Lesson 08 on a machine with committed results of a GPU, and on one with a GPU: what the lesson
shows there, which it cannot show here; and what it counts by hand or took from the compiler: the
launches of a training step, instructions and registers.
"""

import json
import struct
from collections import Counter

import pytest
from lessons import LESSONS, Lesson
from test_cuda_compiles import compiled
from test_gpu_benchmarks import SHAPES, gpu_here, kept, measure  # noqa: F401  (a fixture)

import tinydeconv as td
from tinydeconv.kernels.cuda import convolution, launch, normalization
from tinydeconv.kernels.cuda.launch import source

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
    rungs = sorted(rung for rung, _ in lesson.names["dots"])
    assert rungs == ["direct", "implicit GEMM", "unfold + cuBLAS", "unfold + cuBLAS"]
    assert sum(place.endswith("TF32 on") for _, place in lesson.names["dots"]) == 1
    assert len(labels(lesson, "data sheet, not measured")) == 4
    assert len(labels(lesson, ", measured")) >= 6  # two roofs, four rungs

    found["device"]["stand_in"] = True
    path.write_text(json.dumps(found), encoding="utf-8")
    assert lesson.names["gpu_records"](tmp_path) == []
    assert lesson.names["gpu_records"](tmp_path / "nothing") == []
    found["device"]["stand_in"] = False
    found["results"] = []  # stopped while the ceilings were measured
    path.write_text(json.dumps(found), encoding="utf-8")
    assert lesson.names["gpu_records"](tmp_path) == []


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
    assert launched["conv_weight"] == 12 and launched["add_parts"] == 0
    assert launched["adam"] == names["parameters"] == 12
    monkeypatch.setattr(convolution, "SHARE", 16)  # as if there were many more images
    launched.clear()
    step()
    assert 0 < launched["add_parts"] < 12 and sum(launched.values()) == ours + launched["add_parts"]


def instructions(file, kernel):
    """The instructions of a kernel for an RTX 4060, of 16 bytes each, and how many registers."""
    code = compiled(source(file), "sm_89", "float")
    (table,) = struct.unpack_from("<Q", code, 40)  # an ELF file
    size, count, names = struct.unpack_from("<3H", code, 58)
    sections = [struct.unpack_from("<2I4Q2I2Q", code, table + n * size) for n in range(count)]
    for name, *_, start, length, _, info, _, _ in sections:
        at = sections[names][4] + name
        if code[at : code.index(0, at)] == f".text.{kernel}".encode():
            return list(struct.iter_unpack("<2Q", code[start : start + length])), info >> 24
    raise AssertionError(f"no {kernel} in {file}")


JUMP, PRODUCT = 0x947, 0x223  # BRA and FFMA, in the lowest 12 bits


def loops(code):
    """(instructions, products) of each loop: what lies between a jump back and where it leads."""
    for number, (low, high) in enumerate(code):
        if low & 0xFFF == JUMP:
            far = (low >> 34 | (high & 0x3FFFF) << 30) - ((high >> 17 & 1) << 48)  # in 4 bytes
            inside = code[number + 1 + far // 4 : number + 1]
            if far < -4:
                yield len(inside), sum(word & 0xFFF == PRODUCT for word, _ in inside)


def test_instructions_and_registers():
    """What the lesson says of the code that NVIDIA's compiler makes, which other versions may make
    a little longer or shorter.
    """
    (text,) = (c.source for c in Lesson(NAME).cells if "INSTRUCTIONS = {" in c.source)
    said = {}
    exec(text.splitlines()[0], said)
    code, registers = instructions("convolution.cu", "conv")
    assert 160 < registers <= 168
    long, products = max(loops(code))
    assert products == 512
    assert said["INSTRUCTIONS"]["implicit GEMM"] == pytest.approx(long / products, rel=0.05)
    least = min(
        long / products for long, products in loops(instructions("direct.cu", "conv_direct")[0])
    )
    assert said["INSTRUCTIONS"]["direct"] == pytest.approx(least, rel=0.2)
