"""The CUDA kernels' tests can fail: a barrier taken away, or a bound moved by one, is noticed.

Each __syncthreads() is deleted and each comparison shifted (< for <=, and so on), one at a time, in
every file of kernels/cuda; the simulator or a comparison with NumPy must then complain.
"""

import re
from functools import cache

import numpy as np
import pytest

import tinydeconv as td
from tinydeconv import cudasim
from tinydeconv.backend import to_device, to_numpy
from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cuda, reference, windows
from tinydeconv.kernels.cuda import convolution, launch
from tinydeconv.nn import functional as F

pytestmark = pytest.mark.slow

rng = np.random.default_rng(0)
SHIFTED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
POINT = re.compile(r"__syncthreads\(\);|(?<= )(?:<=|>=|==|!=|<|>)(?= )")


@cache
def text_of(file):
    return (launch.FOLDER / file).read_text(encoding="utf-8")


def code_of(file):
    """The text with comments, in as many characters, blank."""
    return re.sub(r"//.*", lambda comment: " " * len(comment[0]), text_of(file))


def mutants():
    """(file, number of the line, what stands there, where it starts)."""
    for path in sorted(launch.FOLDER.iterdir(), key=lambda path: path.name):
        if path.name.endswith((".cu", ".cuh")):
            for point in POINT.finditer(code_of(path.name)):
                line = text_of(path.name).count("\n", 0, point.start()) + 1
                yield path.name, line, point[0], point.start()


# ---------------------------------------------------------------- what each file is for


def same(found, expected):
    np.testing.assert_allclose(to_numpy(found), expected, rtol=1e-12, atol=1e-12)


def on_gpu(function, *arrays, **options):
    arrays = [to_device(a, "cuda") if isinstance(a, np.ndarray) else a for a in arrays]
    return function(*arrays, **options)


def draw(*shape):
    return rng.standard_normal(shape)


# images, channels, filters, geometry; around the tiles of 64 rows, 128 columns and 8 deep
SHAPES = [
    (2, 2, 4, ConvGeometry.of_conv((5, 4), (3, 2), (2, 1), ((1, 0), (0, 2)), (1, 2), groups=2)),
    (1, 1, 1, ConvGeometry.of_conv((3, 5, 4), (1, 2, 3), (3, 2, 1), ((0, 0), (1, 1), (2, 0)))),
    (1, 1, 1, ConvGeometry.of_conv((2, 2), 3, 2, 1)),
    (2, 9, 64, ConvGeometry.of_conv((64,), 1)),
    (1, 1, 65, ConvGeometry.of_conv((129,), 1)),
    (3, 65, 2, ConvGeometry.of_transposed((11, 4), 2, 3, 0, 1, output_padding=2)),
    (2, 1, 2, ConvGeometry.of_conv((300,), 2)),
]


def convolutions():
    for n, channels, filters, g in SHAPES:
        x, w = draw(n, channels, *g.big), draw(filters, channels // g.groups, *g.kernel)
        y = draw(n, filters, *g.small)
        same(on_gpu(convolution.conv, x, w, g), reference.conv(x, w, g))
        same(on_gpu(convolution.conv_transpose, y, w, g), reference.conv_transpose(y, w, g))
        same(on_gpu(convolution.conv_weight, x, y, g), reference.conv_weight(x, y, g))


def direct():
    padded = ConvGeometry.of_conv((2, 3, 2), 2, padding=1)
    for n, channels, filters, g in (*SHAPES[:3], (2, 1, 1, padded)):
        x, w = draw(n, channels, *g.big), draw(filters, channels // g.groups, *g.kernel)
        same(on_gpu(convolution.direct, x, w, g), reference.conv(x, w, g))


def pooled(x, g):
    """The positions by a loop: NumPy's argmax takes the first NaN, and the first of equal ones."""
    inside = reference.unfold(np.ones_like(x), g) == 0
    cols = np.where(inside, -np.inf, reference.unfold(x, g)).reshape(*x.shape[:2], -1, *g.small)
    places = np.arange(x[0, 0].size, dtype=float).reshape(1, 1, *g.big)
    places = reference.unfold(places, g).reshape(1, 1, -1, *g.small)
    best = cols.argmax(2)[:, :, None]
    return np.take_along_axis(np.broadcast_to(places, cols.shape), best, 2)[:, :, 0].astype(int)


def sliding():
    padded = 1, 1, 1, ConvGeometry.of_conv((2, 2, 3), 2, 1, 1)  # on all sides
    for n, channels, _, g in (*SHAPES[:4], padded):
        x, y = draw(n, channels, *g.big), draw(n, channels, *g.small)
        cols = draw(n, channels, *g.kernel, *g.small)
        same(on_gpu(cuda.unfold, x, g, fill=7), reference.unfold(x, g, 7))
        same(on_gpu(cuda.fold, cols, g), reference.fold(cols, g))
        same(on_gpu(cuda.window_sums, x, g), windows.window_sums(x, g))
        same(on_gpu(cuda.window_spread, y, g), windows.window_spread(y, g))
    g = ConvGeometry.of_conv((7, 6), 3, 2, 1)
    for x in (draw(2, 2, 7, 6), np.ones((1, 2, 7, 6)), rng.choice([0, 1, np.nan], (2, 2, 7, 6))):
        indices = pooled(x, g)
        np.testing.assert_array_equal(to_numpy(on_gpu(cuda.max_pool_indices, x, g)), indices)
        flat = indices + np.arange(x[..., 0, 0].size).reshape(*x.shape[:2], 1, 1) * 42
        y, expected = draw(*indices.shape), np.zeros(x.size)
        np.add.at(expected, flat.reshape(-1), y.reshape(-1))
        same(on_gpu(cuda.window_put, y, flat, g), expected.reshape(x.shape))


def sums():
    index = rng.integers(0, 7, 30)
    x, expected = draw(30), np.zeros(9)
    np.add.at(expected, index, x)
    same(on_gpu(cuda.scatter_add, x, index, 9), expected)
    entries = np.array([0, 0, 1, 3, 3, 3]), np.array([0, 4, 2, 1, 1, 3]), draw(6)
    x, matrix = draw(3, 5, 2), np.zeros((4, 5))
    np.add.at(matrix, entries[:2], entries[2])
    same(on_gpu(cuda.resample, x, 1, 4, entries), np.einsum("ij,ajb->aib", matrix, x))


def normalisation():
    for shape in ((2, 3, 5), (3, 2, 9), (2, 1, 3000), (1, 3, 2100), (600, 2), (4, 1, 1)):
        x, g, w, b = draw(*shape), draw(*shape), draw(shape[1]), draw(shape[1])
        inputs = [td.Tensor(a, requires_grad=True) for a in (x, w, b)]
        others = [td.Tensor(to_device(a, "cuda"), requires_grad=True) for a in (x, w, b)]
        found = []
        for (x_, w_, b_), where in ((inputs, "cpu"), (others, "cuda")):
            mean, var = td.zeros(shape[1], dtype=td.float64), td.ones(shape[1], dtype=td.float64)
            mean, var = mean.to(where), var.to(where)
            y = F.batch_norm(x_, mean, var, w_, b_, training=True)
            y.backward(td.Tensor(to_device(g, where)))
            found.append([y, x_.grad, w_.grad, b_.grad, mean, var])
        for a, c in zip(*found, strict=True):
            same(c.data, a.data)
    x = draw(2, 3, 4)
    images = [td.Tensor(to_device(x, where)) for where in ("cpu", "cuda")]
    for_images = [F.instance_norm(x, *(None,) * 4) for x in images]
    same(for_images[1].data, for_images[0].data)


def activations():
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "silu", "gelu"):
        x, g = np.concatenate([draw(5), [0.0]]), draw(6)
        both = [td.Tensor(to_device(x, where), requires_grad=True) for where in ("cpu", "cuda")]
        outputs = [getattr(F, name)(z) for z in both]
        for y in outputs:
            y.backward(td.Tensor(to_device(g, y.device)))
        same(outputs[1].data, outputs[0].data)
        same(both[1].grad.data, both[0].grad.data)


def optimisers():
    settings = [{"weight_decay": d, "maximize": m} for d in (0, 0.1) for m in (False, True)]
    kinds = [(td.optim.Adam, {}), (td.optim.Adam, {"amsgrad": True}), (td.optim.SGD, {})]
    kinds += [(td.optim.SGD, {"momentum": 0.9, "nesterov": n}) for n in (False, True)]
    for (kind, own), more in [(k, s) for k in kinds for s in settings]:
        start, gradients = draw(5), [draw(5) * 10 ** (1 - i) for i in range(3)]
        moved = []
        for where in ("cpu", "cuda"):
            p = td.Tensor(to_device(start.copy(), where), requires_grad=True)
            optimiser = kind([p], lr=0.1, **own, **more)
            for g in gradients:
                p.grad = td.Tensor(to_device(g.copy(), where))
                optimiser.step()
            moved.append(to_numpy(p.data))
        same(moved[1], moved[0])


EXERCISES = {
    "activations.cu": [activations],
    "common.cuh": [activations, sliding, sums],
    "convolution.cu": [convolutions],
    "direct.cu": [direct],
    "normalize.cu": [normalisation],
    "optimizers.cu": [optimisers],
    "sparse.cu": [sums],
    "windows.cu": [sliding],
}


@pytest.fixture
def source(monkeypatch):
    """Changes the text of a file at a place, for the launch code."""

    def forget():
        launch._kernel.cache_clear()
        launch._module.cache_clear()

    def change(file, old, new, place):
        changed = text_of(file)[:place] + new + text_of(file)[place + len(old) :]

        class Folder:
            def __truediv__(self, name):
                return self if name == file else launch_folder / name

            def read_text(self, encoding):
                return changed

        launch_folder = launch.FOLDER
        monkeypatch.setattr(launch, "FOLDER", Folder())

    monkeypatch.setattr(cudasim.launch, "ACCESSES", 10**7)  # a loop may have lost its end
    forget()
    yield change
    forget()


@pytest.mark.parametrize("file", EXERCISES)
def test_the_files_as_they_are_pass(cupy, file):
    for exercise in EXERCISES[file]:
        exercise()


def test_every_file_is_exercised():
    files = {path.name for path in launch.FOLDER.iterdir() if path.name.endswith((".cu", ".cuh"))}
    assert files == set(EXERCISES)


# What makes no difference to the result: (file, a part of the line, what stands there)
EQUAL = [
    ("convolution.cu", "RESIDENT = sizeof(real)", "=="),  # how many blocks share a multiprocessor
    ("convolution.cu", "turn = 0; from < depth", "<"),  # another step, of zeros
]


def differs(file, line, old, place):
    text = text_of(file).splitlines()[line - 1]
    return not any(f == file and part in text and o == old for f, part, o in EQUAL)


@pytest.mark.parametrize(
    ("file", "line", "old", "place"),
    [m for m in mutants() if differs(*m)],
    ids=lambda value: str(value).strip("();"),
)
def test_a_mutant_is_noticed(cupy, source, file, line, old, place):
    source(file, old, SHIFTED.get(old, ""), place)
    with pytest.raises((AssertionError, cudasim.CudaError, RuntimeError)):
        for exercise in EXERCISES[file]:
            exercise()
