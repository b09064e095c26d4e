"""What is installed, what importing it costs, and how its tests are run."""

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from lessons import read

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"cupy", "matplotlib", "PIL", "scipy", "skimage", "sklearn", "torch"}


def run(*command, cwd, env=None):
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def heavy_after(statement):
    code = f"import sys; {statement}; print(*(set(sys.modules) & {HEAVY}))"
    return set(run(sys.executable, "-c", code, cwd=ROOT).split())


def test_import_leaves_the_heavy_libraries_alone():
    assert heavy_after("import tinydeconv") == set()
    assert heavy_after("import tinydeconv, PIL") == {"PIL"}


OPENS = ["open(path)", "path.open()", "path.read_text()", "path.write_text('x')"]


@pytest.mark.parametrize("text", OPENS)
@pytest.mark.parametrize("module", ["tinydeconv", "tinydeconv.data.images", "test_package"])
def test_opening_text_without_an_encoding_is_an_error(text, module, tmp_path):
    if not sys.flags.warn_default_encoding and "CI" not in os.environ:
        pytest.skip("set PYTHONWARNDEFAULTENCODING=1, or use make test")
    path = tmp_path / "text"
    path.write_text("", encoding="utf-8")
    with pytest.raises(EncodingWarning):
        exec(text, {"__name__": module, "path": path})
    exec(text, {"__name__": "someone_else", "path": path})


LESSON = ROOT / "tutorials" / "04_transposed_convolution.py"
AFTERWARDS = """
from tinydeconv.data import photograph

print(importlib.util.find_spec("tinydeconv").origin if photograph("camera").size else "")
"""
STEP = """
import numpy as np
import tinydeconv as td
from tinydeconv import nn

print(td.__file__)
layer = nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1)
y = layer(td.randn(1, 2, 5, 5))
y.sum().backward()
assert y.shape == (1, 3, 10, 10)
assert np.allclose(layer.bias.grad.numpy(), 100.0), layer.bias.grad
"""


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(tmp_path):
    """Build sdist and from it the wheel, install that, run it where the path is no ASCII word."""
    run(sys.executable, "-m", "build", "--no-isolation", f"--outdir={tmp_path}", cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    (info,) = {name.split("/")[0] for name in names if not name.startswith("tinydeconv/")}
    assert info.endswith(".dist-info")
    files = ["py.typed", "tensor.pyi", "models/denoiser.safetensors", "models/denoiser.csv"]
    files += ["kernels/cuda/common.cuh", "kernels/cuda/windows.cu", "cudasim/cuda.h"]
    files += ["cudasim/runtime.cpp", "data/glyphs.npz", "data/LICENSE_DEJAVU"]
    files += ["models/classifier.safetensors", "models/superresolution-x2.safetensors"]
    files += ["models/superresolution-x4.safetensors"]
    assert {f"tinydeconv/{file}" for file in files} <= set(names)
    assert f"{info}/licenses/LICENSE" in names

    folder = tmp_path / "my 文件夹 中文"
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    run(scripts / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    assert "train" in run(scripts / "python", "-m", "tinydeconv", "--help", cwd=folder)
    assert "train" in run(scripts / "tinydeconv", "--help", cwd=folder)
    step = folder / "step.py"
    step.write_text(STEP, encoding="utf-8")
    where = run(scripts / "python", "-X", "utf8", step, cwd=folder)
    assert Path(where.strip()).is_relative_to(folder)


@pytest.mark.slow
def test_a_hosted_notebook_installs_the_library(tmp_path):
    """The first cell of a lesson, where there is no tinydeconv but a wheel that pip finds."""
    run(
        sys.executable, "-m", "build", "--no-isolation", "--wheel", f"--outdir={tmp_path}", cwd=ROOT
    )
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    first = next(cell for cell in read(LESSON).cells if cell.cell_type == "code").source
    step = tmp_path / "step.py"
    step.write_text(f"{first}\n{AFTERWARDS}", encoding="utf-8")
    told = os.environ | {"PIP_FIND_LINKS": str(tmp_path)}
    where = run(python, step, cwd=tmp_path, env=told).splitlines()[-1]
    assert Path(where).is_relative_to(tmp_path / "venv")
