"""The type stubs: up to date, strict, true of the library, and of use to a student."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "typing_cases"
sys.path.insert(0, str(ROOT / "tools"))
import stubs  # noqa: E402

# What stubtest may complain of.
ALLOWED = r"""
tinydeconv\.__main__  # runs the command line when it is imported
tinydeconv\.data\.photographs\.photograph  # functools.cache hides its arguments
tinydeconv\.data\.(glyphs\._atlas|tones\._bessel)  # as above
tinydeconv\.recipes\.(classify\._parts|scores\._shipped|tones\._waves_to_compare)  # as above
tinydeconv\.nn\.\w+\.__signature__  # of a layer made of a function: what inspect is to show
tinydeconv\.kernels\.pieces\.\w+  # functools.lru_cache hides its arguments
tinydeconv\.(cudasim\.build|kernels\.cuda\.(launch|sparse))\.\w+  # and so does functools.cache
tinydeconv\.cudasim\.launch\.STACKS  # an integer of ctypes, whose name depends on the machine
tinydeconv\.engine\.Spec\.version  # which a Tensor has too, as a list
tinydeconv(\.tensor)?\.Tensor\.[a-z]\w*_  # only raises a better sentence
tinydeconv\.nn\.(RNN|GRU|LSTM)\.__getattr__  # stands for weights whose names depend on num_layers
"""


def run(*command):
    # mypy itself opens files without an encoding, of which `make types` has Python warn
    env = {k: v for k, v in os.environ.items() if k != "PYTHONWARNDEFAULTENCODING"}
    command = [sys.executable, "-m", *command]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", env=env)


def mypy(*files):
    """What mypy --strict says."""
    pytest.importorskip("mypy")
    done = run("mypy", "--strict", "--config-file=", *map(str, files))
    assert not done.stderr, done.stderr
    return done.stdout


def test_the_stubs_are_up_to_date():
    written = stubs.stubs()
    assert set(written) == set((ROOT / "tinydeconv").rglob("*.pyi"))
    for path, text in written.items():
        current = path.read_text(encoding="utf-8") == text
        assert current, f"{path} is out of date: run python tools/stubs.py"


@pytest.mark.slow
def test_the_stubs_are_strict_and_a_student_gets_by():
    files = sorted((ROOT / "tinydeconv").rglob("*.pyi"))
    told = mypy(*files, CASES / "student.py")
    assert told == f"Success: no issues found in {len(files) + 1} source files\n"


@pytest.mark.slow
def test_mistakes_are_found():
    source = (CASES / "mistakes.py").read_text(encoding="utf-8")
    lines = enumerate(source.splitlines(), 1)
    expected = [(str(i), m[1]) for i, line in lines if (m := re.search(r"# error: (\S+)$", line))]
    found = re.findall(r"mistakes\.py:(\d+): error: .*\[(.+)\]", mypy(CASES / "mistakes.py"))
    assert expected and found == expected


@pytest.mark.slow
def test_the_stubs_are_true_of_the_library(tmp_path):
    """mypy's stubtest imports every module and compares; its findings about bodies do not count."""
    pytest.importorskip("mypy")
    (tmp_path / "allowed").write_text(ALLOWED, encoding="utf-8")
    (tmp_path / "mypy.ini").write_text("[mypy]\nignore_errors = true\n", encoding="utf-8")
    files = f"--allowlist={tmp_path / 'allowed'}", f"--mypy-config-file={tmp_path / 'mypy.ini'}"
    done = run("mypy.stubtest", "tinydeconv", "--concise", *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_students_program_runs():
    told = runpy.run_path(str(CASES / "student.py"))
    assert len(told["train"](1)) == 1


COMPLETIONS = {
    "x = td.tensor([1.0])\nx.cum": "cumsum",
    "x = td.tensor([1.0])\nloss = F.mse_loss(x, x)\nloss.back": "backward",
    "x = td.randn(2, 3)\n(x.exp() + 1).sum(1).unsq": "unsqueeze",
    "for row in td.eye(3):\n    row.masked_f": "masked_fill",
    "layer = nn.Conv2d(1, 2, 3)\nlayer.state_d": "state_dict",
    "layer = nn.Conv2d(1, 2, 3)\nlayer.weight.gra": "grad",
    "nn.Conv2d(1, 2, 3)(td.randn(1, 1, 5, 5)).rel": "relu",
    "nn.Sequential(nn.ReLU())(td.ones(1)).ite": "item",
    "nn.ConvT": "ConvTranspose2d",
    "nn.Conv2d(1, 2, 3, padding_m": "padding_mode=",
    "F.cross_entropy(x, y, label_s": "label_smoothing=",
    "nn.init.ortho": "orthogonal_",
    "optimizer = optim.Adam([])\noptimizer.zero": "zero_grad",
    "td.cum": "cumsum",
}


@pytest.mark.parametrize("code", COMPLETIONS, ids=COMPLETIONS.values())
def test_completion(code):
    """What an editor offers (jedi is what Jupyter asks)."""
    jedi = pytest.importorskip("jedi")
    head = "import tinydeconv as td\nfrom tinydeconv import nn, optim\n"
    script = jedi.Script(
        f"{head}from tinydeconv.nn import functional as F\n{code}", project=jedi.Project(ROOT)
    )
    assert COMPLETIONS[code] in [c.name_with_symbols for c in script.complete()]
