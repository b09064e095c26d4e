"""A room imports only from rooms above it, and third-party libraries only where they belong."""

import ast
import sys

import pytest
from test_budgets import BUDGETS, ROOT

ROOMS = list(dict.fromkeys(room.split("/")[0] for room in BUDGETS))
FACE = "tinydeconv"  # the package itself: the core's public face, for the rooms below the core
ORDER = [*ROOMS[: ROOMS.index("data")], FACE, *ROOMS[ROOMS.index("data") :]]
ALONE = {"cudasim"}  # imports nothing of ours

FREE = {*sys.stdlib_module_names, "numpy", "safetensors", "threadpoolctl", "tqdm"}
SOMEWHERE = {
    "cupy": {"cuda"},
    "cupyx": {"cuda"},
    "IPython": {"viz"},
    **dict.fromkeys(["matplotlib", "PIL", "skimage", "sklearn"], {"data", "viz", "recipes"}),
}


def imports(path, package):
    """(line, full dotted name) of each import statement in the file, in functions too.

    `from a import b` gives a.b: b may be a module. package: the dotted name that `.` means.
    """
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            base += [node.module] if node.module else []
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def complaints(root):
    """What breaks the rules in root/tinydeconv, one sentence each."""
    for path in sorted((root / FACE).rglob("*.py")):
        place = path.relative_to(root)
        package = ".".join(place.parent.parts)
        room = place.with_suffix("").parts[1]
        face = place.name in ("__init__.py", "__main__.py") and len(place.parts) == 2
        if room not in ORDER and not face:
            yield f"{place}: {room} is no room"
            continue
        for line, name in imports(path, package):
            top, *rest = name.split(".")
            where = f"{place.as_posix()}:{line}: {room}"
            if top == FACE:
                source = rest[0] if rest and rest[0] in ORDER else FACE
                if face or source == room:
                    continue
                if room in ALONE or ORDER.index(source) > ORDER.index(room):
                    yield f"{where} may not import {source}"
            elif top not in FREE and room not in SOMEWHERE.get(top, ()):
                yield f"{where} may not import {top}"


def test_the_shipped_package_keeps_the_order():
    assert any((ROOT / FACE).rglob("*.py"))
    assert list(complaints(ROOT)) == []


LEGAL = {
    "__init__.py": "from . import cli, nn",
    "__main__.py": "from .cli import main",
    "cuda.py": "import cupy, numpy as np",
    "ops/conv.py": "from ..kernels import reference\nfrom .base import Op\nfrom . import math",
    "ops/base.py": "import math, threadpoolctl\nfrom tinydeconv.engine import Op",
    "nn/functional.py": "from .. import ops\nfrom ..ops.conv import conv",
    "recipes/denoise.py": "import tinydeconv as td\nfrom .. import Tensor\nimport PIL.Image",
}
ILLEGAL = [
    ("engine.py", "from . import tensor", "may not import tensor"),
    ("engine.py", "from .tensor import Tensor", "may not import tensor"),
    ("engine.py", "import tinydeconv.tensor", "may not import tensor"),
    ("engine.py", "from tinydeconv import tensor", "may not import tensor"),
    ("engine.py", "def f():\n    from .ops.conv import conv", "may not import ops"),
    ("ops/conv.py", "from .. import opcases", "may not import opcases"),
    ("kernels/deep/gemm.py", "from ... import engine", "may not import engine"),
    ("kernels/__init__.py", "from ..engine import Op", "may not import engine"),
    ("nn/module.py", "import tinydeconv as td", "may not import tinydeconv"),
    ("optim.py", "from . import Tensor", "may not import tinydeconv"),
    ("serialize.py", "from .data import images", "may not import data"),
    ("cudasim/run.py", "from ..backend import xp", "may not import backend"),
    ("kernels/cuda.py", "def f():\n    import cupy", "may not import cupy"),
    ("kernels/cuda.py", "from cupyx.scipy import ndimage", "may not import cupyx"),
    ("cli.py", "from PIL import Image", "may not import PIL"),
    ("train.py", "import matplotlib.pyplot as plt", "may not import matplotlib"),
    ("metrics.py", "from skimage.metrics import ssim", "may not import skimage"),
    ("models/rednet.py", "import sklearn", "may not import sklearn"),
    ("data/images.py", "import scipy", "may not import scipy"),
    ("data/images.py", "import cupy", "may not import cupy"),
    ("__init__.py", "import matplotlib", "may not import matplotlib"),
    ("__main__.py", "import cupy", "may not import cupy"),
    ("helpers.py", "", "helpers is no room"),
]


def build(root, files):
    for name, text in files.items():
        path = root / FACE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_what_is_legal_passes(tmp_path):
    build(tmp_path, LEGAL)
    assert list(complaints(tmp_path)) == []


@pytest.mark.parametrize(("file", "text", "complaint"), ILLEGAL)
def test_what_is_illegal_is_reported(tmp_path, file, text, complaint):
    build(tmp_path, LEGAL | {file: text})
    (found,) = complaints(tmp_path)
    assert file in found and found.endswith(complaint)
