"""The CUDA kernels of windows and of sparse sums: launched, against the array code on NumPy.

On the simulator unless `--device cuda` is given. Sums are added in the same order on both sides, so
where nothing is multiplied they must agree to the last bit.
"""

from math import prod

import naive
import numpy as np
import pytest
import test_kernels
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_kernels import GRID, columns, of_conv, shapes

import tinydeconv as td
from tinydeconv.backend import to_device, to_numpy
from tinydeconv.kernels import cuda, fastest, reference, sparse, windows
from tinydeconv.kernels.cuda import launch
from tinydeconv.kernels.cuda import sparse as cuda_sparse
from tinydeconv.kernels.cuda import windows as cuda_windows
from tinydeconv.nn import functional as F

rng = np.random.default_rng(2)


def scattered(y, index, geometry):
    """window_put without a word about windows."""
    shape = *y.shape[:2], *geometry.big
    return sparse.scatter_add(y, index, prod(shape)).reshape(shape)


DTYPES = [np.float32, np.float64]
ON_NUMPY = {
    "unfold": reference.unfold,
    "fold": reference.fold,
    "window_sums": windows.window_sums,
    "window_spread": windows.window_spread,
    "max_pool_indices": windows.max_pool_indices,
    "window_put": scattered,
    "resample": sparse.resample,
    "scatter_add": sparse.scatter_add,
}
WINDOWS = list(ON_NUMPY)[:6]


@pytest.fixture
def launched(cupy, monkeypatch):
    """The names of the kernels that are launched in the test, as they come."""
    names, real = [], launch.launch

    def record(file, name, grid, *rest):
        if 0 not in grid:  # nothing to do
            names.append(name)
        real(file, name, grid, *rest)

    monkeypatch.setattr(launch, "launch", record)
    return names


def on_device(name, *arguments):
    """What the kernel makes of NumPy's arrays, which it must leave as they are."""
    given = [to_device(a, "cuda") if isinstance(a, np.ndarray) else a for a in arguments]
    result = getattr(fastest(given[0]), name)(*given)
    for before, after in zip(arguments, given):
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(to_numpy(after), before)
    assert result.flags.c_contiguous
    return to_numpy(result)


def must_agree(name, *arguments, rtol=0.0):
    """Kernel and array code, in value, shape and dtype; to the bit unless rtol says otherwise."""
    found, expected = on_device(name, *arguments), ON_NUMPY[name](*arguments)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    if rtol:
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(found, expected)


def inputs(name, case, dtype=np.float64):
    """Random arrays for a kernel, and the geometry."""
    geometry, n, channels, filters = case
    x, _, y = (rng.normal(size=shape).astype(dtype) for shape in shapes(*case))
    if name == "fold":
        return columns(case).astype(dtype), geometry
    if name == "window_put":
        index = windows.max_pool_indices(x, geometry)
        first = np.arange(n * channels * geometry.groups) * prod(geometry.big)
        sizes = windows.window_sizes(geometry, include_padding=False)
        y = np.ones(index.shape, dtype) * (sizes > 0)  # a window of padding alone puts nothing
        return y, index + first.reshape(*index.shape[:2], *(1 for _ in geometry.big)), geometry
    return (y if name == "window_spread" else x), geometry


def exact(name, case, dtype):
    """must_agree; puts are numbers without rounding, as their order is another."""
    *arrays, geometry = inputs(name, case, dtype)
    if name == "window_put":
        arrays[0] = arrays[0] * rng.integers(-9, 9, arrays[0].shape).astype(dtype)
    must_agree(name, *arrays, geometry)


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_of_the_grid(launched, name, dtype):
    cases = [case for case in GRID.values() if len(case[0].big) <= 3]
    for case in cases:
        exact(name, case, dtype)
    assert launched == [name] * sum(inputs(name, case)[0].size > 0 for case in cases)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_of_any_geometry(cupy, name, transposed):
    @settings(max_examples=40, deadline=None)
    @given(test_kernels.cases(transposed))
    def run(case):
        exact(name, case, np.float32)

    run()


@pytest.mark.parametrize("name", WINDOWS)
def test_threads_go_from_image_to_image(launched, monkeypatch, name):
    """Blocks of 8 threads, and so few that each thread has several images."""
    monkeypatch.setattr(launch, "THREADS", 8)
    monkeypatch.setattr(launch, "BLOCKS", 3)
    for case in (of_conv((2,), 2), 9, 2, 1), (of_conv((3, 2), 2, 1, 1), 5, 3, 2):
        exact(name, case, np.float64)
    assert launched == [name] * 2


def test_padding_reads_as_fill(launched):
    for fill in (-np.inf, 2):
        must_agree("unfold", rng.normal(size=(1, 2, 3, 4)), of_conv((3, 4), 2, 1, 1), fill)
    assert launched == ["unfold"] * 2


@pytest.mark.parametrize("name", [n for n in GRID if GRID[n][0].groups == 1 and n != "4-d"])
def test_pairs_are_transposes(cupy, name):
    """<unfold(x), cols> = <x, fold(cols)>, and so on."""
    case, y = GRID[name], inputs("window_spread", GRID[name])[0]
    geometry, n, channels, _ = case
    x, _ = inputs("unfold", case)
    z, index, _ = inputs("window_put", case)
    y, z = y[:, :channels], z * rng.normal(size=z.shape)
    channels = min(channels, y.shape[1])
    for there, back in (
        (on_device("unfold", x, geometry), ("fold", columns(case))),
        (on_device("window_sums", x[:, :channels], geometry), ("window_spread", y)),
        (x.reshape(-1)[index], ("window_put", z, index)),
    ):
        image = on_device(*back, geometry)
        scale = np.linalg.norm(there) * np.linalg.norm(back[1])
        pixels = x[:, : image.shape[1]]
        assert abs(np.vdot(there, back[1]) - np.vdot(pixels, image)) <= 1e-12 * scale


# ---------------------------------------------------------------- max-pooling

VALUES = [np.nan, -np.inf, np.inf, -0.0, 0.0, 1.0, 1.0, 2.0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "geometry",
    [
        of_conv((6, 5), (2, 3), (2, 3)),
        of_conv((5, 5), 3, 2, 1),
        of_conv((7, 6), (3, 2), (1, 2), (1, 0), (2, 1)),
        of_conv((6, 5), 3, 2, 1, ceil_mode=True),
        of_conv((7,), 2, 3, 1),
        of_conv((4, 3, 5), 2, (2, 1, 2), 1),
        of_conv((9,), 4, 2, ((2, 1),), 2),
    ],
)
def test_the_largest_pixel(launched, geometry, dtype):
    shape = 2, 3, *geometry.big
    for x in (
        rng.normal(size=shape),
        rng.integers(0, 2, shape),  # ties
        -1.0 - rng.random(shape),  # the padding must not win
        np.full(shape, -np.inf),  # nor here
        rng.choice(VALUES, shape),
        rng.choice([-np.inf, np.nan], shape),
        np.zeros((0, *shape[1:])),
    ):
        must_agree("max_pool_indices", x.astype(dtype), geometry)
    assert launched == ["max_pool_indices"] * 6  # for no image there is nothing to do


def test_the_largest_pixel_is_that_of_the_loops(cupy):
    x = rng.integers(0, 3, (2, 2, 6, 5)).astype(np.float64)
    _, expected = naive.max_pool(x, 3, (2, 1), 1, (1, 2))
    found = on_device("max_pool_indices", x, of_conv((6, 5), 3, (2, 1), 1, (1, 2)))
    np.testing.assert_array_equal(found, expected)


def test_any_numbers_in_any_windows(cupy):
    @settings(max_examples=80, deadline=None)
    @given(test_kernels.cases(False), st.randoms(use_true_random=False))
    def run(case, random):
        geometry, n, channels, _ = case
        assume(windows.window_sizes(geometry, include_padding=False).all())
        shape = n, channels, *geometry.big
        x = np.array(random.choices(VALUES, k=prod(shape))).reshape(shape)
        must_agree("max_pool_indices", x, geometry)

    run()


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pooling_picks_and_puts_back(launched, stride):
    """Values, gradients and their gradients, where windows overlap and where they lie apart."""
    image = rng.permutation(2 * 2 * 7 * 6).reshape(2, 2, 7, 6) / 10

    def pooled(where):
        x = td.tensor(image, device=where, requires_grad=True)
        y, indices = F.max_pool2d(x, 2, stride, 1, return_indices=True)
        (g,) = td.grad((y**3).sum(), x, create_graph=True)
        (h,) = td.grad((g**2).sum(), x)
        return [to_numpy(t.data) for t in (y, indices, g, h)]

    for found, expected in zip(pooled("cuda"), pooled("cpu")):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert launched == ["max_pool_indices", "window_put", "window_put"]


def test_average_pooling_needs_no_columns(launched):
    x = td.tensor(rng.normal(size=(2, 2, 5, 5)), device="cuda", requires_grad=True)
    y = F.avg_pool2d(x, 3, 2, 1)
    (g,) = td.grad((y**2).sum(), x, create_graph=True)
    td.grad((g**2).sum(), x)
    assert launched == ["window_sums", "window_spread", "window_sums", "window_spread"]


# ---------------------------------------------------------------- resampling


@st.composite
def matrices(draw):
    """x's shape, the axis and its new size, and the entries, in ascending order of the rows."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    axis, size = draw(st.integers(0, len(shape) - 1)), draw(st.integers(1, 5))
    shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(1, 9))
    places = st.tuples(st.integers(0, size - 1), st.integers(0, shape[axis] - 1))
    entries = sorted(draw(st.lists(places, max_size=12)), key=lambda place: place[0])
    rows, columns = np.array(entries, np.int64).reshape(-1, 2).T
    return shape, axis, size, (rows, columns, rng.normal(size=len(rows)))


@pytest.mark.parametrize("dtype, rtol", [(np.float32, 1e-5), (np.float64, 1e-13)])
def test_any_matrix_along_any_axis(cupy, dtype, rtol):
    @settings(max_examples=80, deadline=None)
    @given(matrices())
    def run(case):
        shape, axis, size, entries = case
        x = rng.normal(size=shape).astype(dtype)
        must_agree("resample", x, axis, size, entries, rtol=rtol)
        rows, columns, weights = entries  # and the transpose
        order = np.argsort(columns, kind="stable")
        back = columns[order], rows[order], weights[order]
        g = rng.normal(size=[*shape[:axis], size, *shape[axis + 1 :]]).astype(dtype)
        must_agree("resample", g, axis, shape[axis], back, rtol=rtol)

    run()


RAGGED = np.array([0, 2, 2, 2]), np.array([1, 0, 0, 2]), np.array([0.5, -1.0, 3.0, 2.0])


def test_what_no_entry_names_is_not_read(launched):
    x = np.array([[1.0, 2.0], [3.0, 4.0], [np.inf, 6.0], [np.nan, np.nan]])
    y = on_device("resample", x, 0, 4, RAGGED)
    assert y.tolist() == [[1.5, 2.0], [0.0, 0.0], [np.inf, 16.0], [0.0, 0.0]]
    assert launched == ["resample"]


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 3, 0), (2, 0, 3), (2, 4, 3)])
def test_resampling_of_nothing_and_to_nothing(cupy, shape):
    none = np.array([], np.int64), np.array([], np.int64), np.array([])
    for size in (0, 4):
        must_agree("resample", np.ones(shape), 1, size, none)


def test_threads_resample_line_after_line(launched, monkeypatch):
    monkeypatch.setattr(launch, "THREADS", 8)
    monkeypatch.setattr(launch, "BLOCKS", 3)
    for shape in (9, 3, 5), (40, 3, 1):
        must_agree("resample", rng.normal(size=shape), 1, 4, RAGGED, rtol=1e-13)
    assert launched == ["resample"] * 2


def test_a_matrix_is_copied_to_the_device_once(cupy):
    x = to_device(rng.normal(size=(3, 4)), "cuda")
    cuda.resample(x, 0, 7, RAGGED)
    copies = cuda_sparse._copy.cache_info().misses
    cuda.resample(x + 1, 0, 7, RAGGED)
    assert cuda_sparse._copy.cache_info().misses == copies
    cuda.resample(x, 0, 7, (*RAGGED[:2], 2 * RAGGED[2]))
    assert cuda_sparse._copy.cache_info().misses == copies + 1


# ---------------------------------------------------------------- sums at positions


@pytest.mark.parametrize("dtype", [*DTYPES, np.float16, np.int64, np.uint8])
@pytest.mark.parametrize("positions", [np.int64, np.int32])
def test_sums_at_positions(launched, dtype, positions):
    x = (rng.normal(size=(40, 30)) * 50).astype(dtype)
    if dtype == np.uint8:  # sums that fit: beyond, a GPU and a CPU may round a double differently
        x = (rng.random((40, 30)) < 0.1).astype(dtype)
    for size in (1, 7, 5000):
        index = rng.integers(0, size, x.shape).astype(positions)
        must_agree("scatter_add", x, index, size)
    assert launched == ["add_runs"] * 3


def test_sums_are_added_in_order_in_float64(cupy):
    x = np.array([1e16, 1.0, -1e16, 3.0, 2.0**-60, 1e16, 1.0])
    index = np.array([4, 4, 4, 1, 4, 1, 1])
    assert on_device("scatter_add", x, index, 6).tolist() == [0, 1e16 + 4, 0, 0, 2.0**-60, 0]
    small = np.array([2**24, 1, 1, -(2**24)], np.float32)  # 1 is lost beside 2**24 in float32
    assert on_device("scatter_add", small, np.zeros(4, int), 1).tolist() == [2.0]
    whole = np.array([2**40 + 1, 2])
    assert on_device("scatter_add", whole, np.zeros(2, int), 1).tolist() == [2**40 + 3]


def test_no_sums(launched):
    must_agree("scatter_add", np.ones((0, 2)), np.ones((0, 2), int), 3)
    must_agree("scatter_add", np.ones(0), np.ones(0, int), 0)
    assert launched == []


@pytest.mark.parametrize("dtype", [*DTYPES, np.int64])
def test_positions_that_stand_once_need_no_sorting(launched, dtype):
    x, index = (rng.normal(size=(3, 4)) * 9).astype(dtype), rng.permutation(20)[:12].reshape(3, 4)
    must_agree("scatter_add", x, index, 20, True)
    assert launched == []


def test_a_thousand_threads_have_the_runs(launched, monkeypatch):
    monkeypatch.setattr(launch, "THREADS", 4)
    monkeypatch.setattr(launch, "BLOCKS", 2)
    must_agree("scatter_add", rng.normal(size=99), rng.integers(0, 9, 99), 9)
    assert launched == ["add_runs"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_have_the_same_bits_each_time(cupy, dtype):
    """An embedding whose rows are used often, unpooling onto shared pixels, and pooling."""
    index = td.tensor(rng.integers(0, 3, (20, 9)), device="cuda")
    table = td.tensor(rng.normal(size=(3, 5)).astype(dtype), device="cuda", requires_grad=True)
    x = td.tensor(rng.normal(size=(2, 3, 9)).astype(dtype), device="cuda", requires_grad=True)
    shared = td.tensor(rng.integers(0, 4, (2, 3, 9)), device="cuda")

    def bits():
        for y, leaf in (
            (F.embedding(index, table).sin(), table),
            (F.max_unpool1d(x, shared, 1, output_size=(4,)).sin(), x),
            (F.max_pool1d(x, 3, 1).sin(), x),
            (F.interpolate(x, 14, mode="linear").sin(), x),
            (F.fold(F.unfold(x[:, :, None], (1, 3)).sin(), (1, 9), (1, 3)), x),
        ):
            yield to_numpy(y.data).tobytes()
            yield to_numpy(td.grad(y.sum(), leaf)[0].data).tobytes()

    assert list(bits()) == list(bits())


# ---------------------------------------------------------------- memory, and other arrays


def strided(array):
    """The same numbers on the device, with gaps, backwards along one axis and in another order."""
    room = np.full([2 * n for n in reversed(array.shape)], -1, array.dtype)
    view = room.T[tuple(slice(None, None, 2) for _ in array.shape)][::-1]
    view[...] = array
    room = to_device(room, "cuda")
    return room.transpose()[tuple(slice(None, None, 2) for _ in array.shape)][::-1]


@pytest.mark.parametrize("name", ON_NUMPY)
def test_how_the_inputs_lie_in_memory_does_not_matter(launched, name):
    if name in WINDOWS:
        arguments = inputs(name, GRID["asymmetric padding"])
    elif name == "resample":
        arguments = rng.normal(size=(2, 3, 4)), 1, 4, RAGGED
    else:
        arguments = rng.normal(size=(4, 5)), rng.integers(0, 6, (4, 5)), 6
    given = [strided(a) if isinstance(a, np.ndarray) else a for a in arguments]
    for a in given[: 1 + (name in ("window_put", "scatter_add"))]:
        assert not a.flags.c_contiguous and not a.flags.f_contiguous
    found = to_numpy(getattr(cuda, name)(*given))
    np.testing.assert_allclose(found, ON_NUMPY[name](*arguments), rtol=1e-13)
    assert len(launched) == 1


OTHERS = {
    "float16": GRID["groups"],
    "4 axes": GRID["4-d"],
    "many columns": GRID["groups"],
    "a large image": (of_conv((50,), 1, 7), 2, 1, 1),
}


@pytest.mark.parametrize("why", OTHERS)
@pytest.mark.parametrize("name", WINDOWS)
def test_other_windows_are_left_to_array_code(launched, monkeypatch, name, why):
    if why not in ("float16", "4 axes"):
        monkeypatch.setattr(cuda_windows, "INSIDE", 49)  # as if offsets had fewer bits
    exact(name, OTHERS[why], np.float16 if why == "float16" else np.float32)
    assert launched == (["add_runs"] if name == "window_put" else [])


def test_other_numbers_are_resampled_by_array_code(launched, monkeypatch):
    for dtype in (np.float16, np.int64, np.uint8, np.bool_):
        x = (rng.normal(size=(2, 3, 4)) * 9).astype(dtype)
        must_agree("resample", x, 1, 4, (*RAGGED[:2], np.ones(4)))
    monkeypatch.setattr(cuda_sparse, "INSIDE", 15)
    must_agree("resample", rng.normal(size=(2, 3, 4)), 1, 4, RAGGED)
    assert launched == []
