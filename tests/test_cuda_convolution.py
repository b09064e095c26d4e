"""The CUDA kernels of convolution: launched, against loops and the readable form on NumPy.

On the simulator unless `--device cuda` is given.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import test_kernels
from hypothesis import given, settings
from test_kernels import GRID, SOME, arrays, of_conv, of_transposed

from tinydeconv.backend import backends, to_device, to_numpy
from tinydeconv.kernels import reference
from tinydeconv.kernels.cuda import convolution

rng = np.random.default_rng(6)
THREE = {"conv": "xw", "conv_transpose": "yw", "conv_weight": "xy"}
UNFOLDED = {name: f"{name}_unfolded" for name in THREE}


def on_device(name, *arguments):
    """What a function of convolution.py makes of NumPy's arrays, and leaves as they are."""
    *given, geometry = arguments
    moved = [to_device(a, "cuda") for a in given]
    result = getattr(convolution, name)(*moved, geometry)
    for before, after in zip(given, moved, strict=True):
        np.testing.assert_array_equal(to_numpy(after), before)
    assert result.flags.c_contiguous
    assert result.dtype == given[0].dtype
    return to_numpy(result)


def module(names):
    """Functions of convolution.py under the names of `reference`, for NumPy's arrays."""

    def function(name):
        return lambda *arguments: on_device(name, *arguments)

    return SimpleNamespace(**{short: function(name) for short, name in names.items()})


@pytest.fixture(params=["tiles", "unfolded"])
def triple(request, cupy):
    return module(dict(zip(THREE, THREE)) if request.param == "tiles" else UNFOLDED)


@pytest.fixture
def launched(cupy, monkeypatch):
    """The kernels that are launched in the test, with their blocks, as they come."""
    names, real = [], convolution.launch

    def record(file, name, grid, *rest):
        names.append((name, *grid))
        real(file, name, grid, *rest)

    monkeypatch.setattr(convolution, "launch", record)
    return names


def inputs(name, case, dtype=np.float64):
    made = dict(zip("xwy", arrays(case), strict=True))
    return [made[letter].astype(dtype) for letter in THREE[name]]


def must_agree(name, *arguments, tolerance=None, under=None):
    """A kernel and the readable form; `tolerance` is relative to the largest number."""
    found = on_device(under or name, *arguments)
    exact = [a.astype(np.float64) for a in arguments[:-1]]
    expected = getattr(reference, name)(*exact, arguments[-1])
    assert found.shape == expected.shape
    if found.size:
        tolerance = tolerance or 50 * np.finfo(found.dtype).eps
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * abs(expected).max())


# ---------------------------------------------------------------- the triple


@pytest.mark.parametrize("name", GRID)
def test_each_of_the_three_is_its_loops(triple, name):
    test_kernels.check_conv_matches_naive(triple, GRID[name])
    test_kernels.check_conv_transpose_matches_naive(triple, GRID[name])
    test_kernels.check_adjoint(triple, GRID[name])


@pytest.mark.parametrize("name", GRID)
def test_direct_is_the_seven_loops(cupy, name):
    test_kernels.check_conv_matches_naive(module({"conv": "direct"}), GRID[name])


@pytest.mark.parametrize("name", THREE)
def test_single_precision(cupy, name):
    for case in GRID.values():
        must_agree(name, *inputs(name, case, np.float32), case[0])
        if name == "conv":
            must_agree(name, *inputs(name, case, np.float32), case[0], under="direct")


@pytest.mark.parametrize("transposed", [False, True])
def test_any_geometry(cupy, transposed):
    tiles = module(dict(zip(THREE, THREE)))

    @settings(max_examples=60, deadline=None)
    @given(test_kernels.cases(transposed))
    def run(case):
        test_kernels.check_conv_matches_naive(tiles, case)
        test_kernels.check_conv_transpose_matches_naive(tiles, case)
        test_kernels.check_adjoint(tiles, case)

    run()


def test_without_filters(cupy):
    for name in THREE:
        case = of_conv((4, 5), (3, 2), 2, 1), 2, 3, 0
        must_agree(name, *inputs(name, case), case[0])


# ---------------------------------------------------------------- edges of tiles


def product(name, rows, columns, depth, groups=1):
    """A case, over one axis, in which a kernel multiplies matrices of this size."""
    if name == "conv":  # taps and positions
        return of_conv((columns + depth - 1,), depth, groups=groups), 1, 1, rows
    if name == "conv_transpose":  # filters and pixels
        return of_conv((columns,), 1, groups=groups), 1, rows, depth
    return of_conv((columns + depth - 1,), columns, groups=groups), 1, 1, rows


AROUND = -1, 0, 1
SIZES = [(64 + a, 128 + b, 8 + c) for a in AROUND for b in AROUND for c in AROUND]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", THREE)
def test_sizes_around_those_of_a_tile(cupy, name, dtype):
    sizes = SIZES if dtype == np.float64 else SIZES[::4]
    for size in sizes:
        case = product(name, *size)
        must_agree(name, *inputs(name, case, dtype), case[0])


@pytest.mark.parametrize("size", [(1, 1, 1), (130, 1, 3), (64, 256, 8), (3, 3, 60), (129, 257, 17)])
@pytest.mark.parametrize("name", THREE)
def test_many_tiles_and_groups_each_way(launched, name, size):
    case = product(name, *size, groups=2)
    must_agree(name, *inputs(name, case, np.float32), case[0])
    assert launched == [(name, 2 * -(-size[0] // 64) * -(-size[1] // 128))]


BATCHES = {
    "columns of several images": (of_conv((5, 9), 3, 2, 1), 20, 3, 2),
    "phases of several tiles": (of_transposed((7, 9), 3, 2, 1, 1, 1, (1, 0)), 6, 2, 3),
    "phases without taps": (of_conv((8, 50), (1, 2), (3, 4), ((2, 0), (1, 3))), 3, 2, 2),
    "phases that dilation parts": (of_conv((30, 21), 4, (4, 6), 5, (2, 3)), 2, 2, 2),
    "a stride longer than the image": (of_conv((3, 2), 2, 5, 2, groups=3), 3, 2, 2),
    "volumes": (of_transposed((3, 4, 5), (2, 3, 4), (1, 2, 3), ((0, 1), (1, 1), (2, 0))), 2, 2, 3),
    "depthwise": (of_conv((9, 10), 3, 1, 1, 2, groups=9), 2, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", THREE)
def test_batches(cupy, name, batch):
    case = BATCHES[batch]
    must_agree(name, *inputs(name, case), case[0])


# ---------------------------------------------------------------- parts of the depth


def test_a_long_depth_has_parts(launched):
    case = of_conv((300,), 3, groups=2), 2, 1, 3
    must_agree("conv_weight", *inputs("conv_weight", case), case[0])
    assert launched == [("conv_weight", 2 * 3)]  # 2 * 298 positions, in shares of 256


@pytest.mark.parametrize("share, parts", [(1, 30), (7, 5), (8, 4), (15, 2), (29, 2), (30, 1)])
def test_parts_of_any_size(launched, monkeypatch, share, parts):
    monkeypatch.setattr(convolution, "SHARE", share)
    case = of_conv((5, 3), 3, 1, 1), 2, 2, 2
    must_agree("conv_weight", *inputs("conv_weight", case), case[0])
    assert launched == [("conv_weight", parts)]


def test_parts_are_no_more_than_a_gpu_can_use(launched, monkeypatch):
    monkeypatch.setattr(convolution, "SHARE", 1)
    monkeypatch.setattr(convolution, "BLOCKS", 4)
    case = of_conv((5, 3), 3, 1, 1, groups=3), 2, 1, 1
    must_agree("conv_weight", *inputs("conv_weight", case), case[0])
    assert launched == [("conv_weight", 3 * 2)]  # as many tiles, and two parts of 23 positions


# ---------------------------------------------------------------- manners


@pytest.mark.parametrize("name", THREE)
def test_the_bits_are_always_the_same(cupy, monkeypatch, name):
    monkeypatch.setattr(convolution, "SHARE", 16)
    case = BATCHES["phases of several tiles"]
    given = *inputs(name, case, np.float32), case[0]
    np.testing.assert_array_equal(on_device(name, *given), on_device(name, *given))


@pytest.mark.parametrize("name", THREE)
def test_an_image_of_a_batch_is_as_alone(cupy, name):
    case = geometry, *_ = BATCHES["columns of several images"]
    if name != "conv_weight":
        a, w = inputs(name, case, np.float32)
        together = on_device(name, a, w, geometry)
        for i in 0, 6, 19:
            alone = on_device(name, a[i : i + 1], w, geometry)
            np.testing.assert_array_equal(together[i], alone[0])


@pytest.mark.parametrize("where", SOME)
@pytest.mark.parametrize("name", [*THREE, "direct"])
def test_how_the_inputs_lie_in_memory_does_not_matter(cupy, name, where):
    case = GRID[where]
    given = inputs("conv" if name == "direct" else name, case)
    views = [cupy.asarray(a).T.copy().T[::-1] for a in given]  # backwards, and in another order
    found = getattr(convolution, name)(*views, case[0])
    same = on_device(name, *(np.ascontiguousarray(a[::-1]) for a in given), case[0])
    np.testing.assert_array_equal(to_numpy(found), same)


@pytest.mark.parametrize("name", THREE)
def test_what_is_not_finite_spreads_to_its_neighbours_alone(cupy, name):
    """A NaN goes where it is multiplied; infinities give no NaN where a tile has no numbers."""
    case = geometry, *_ = of_conv((9, 8), 3, 2, ((1, 0), (1, 0)), groups=2), 2, 2, 3
    a, b = inputs(name, case)
    a[1, 2, 2, 1] = np.nan
    found, expected = on_device(name, a, b, geometry), getattr(reference, name)(a, b, geometry)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert 0 < np.isnan(found).sum() < found.size
    inside = of_conv((7,), 3), 2, 1, 3
    for infinite in 0, 1:
        given = [np.full_like(a, np.inf if i == infinite else 1) for i, a in
                 enumerate(inputs(name, inside))]  # fmt: skip
        if name != "conv_transpose":
            assert np.isposinf(on_device(name, *given, inside[0])).all()


@pytest.mark.parametrize("name", THREE)
def test_the_rest_is_left_to_the_readable_form(launched, name):
    case = GRID["4-d"]
    must_agree(name, *inputs(name, case), case[0])
    case = GRID["groups"]
    must_agree(name, *inputs(name, case, np.float16), case[0])
    assert launched == []


@pytest.mark.parametrize(
    "channels, filters, kernel, largest", [(2, 1, 1, 18), (1, 2, 1, 18), (3, 3, 9, 81)]
)
@pytest.mark.parametrize("name", THREE)
def test_places_in_memory_must_be_32_bit_numbers(
    launched, monkeypatch, name, channels, filters, kernel, largest
):
    """The largest image is that of x, or of y, or w is larger."""
    case = of_conv((9,), kernel), 2, channels, filters
    for limit in largest - 1, largest:
        monkeypatch.setattr(convolution, "INSIDE", limit)
        must_agree(name, *inputs(name, case), case[0])
        assert len(launched) == (limit == largest)


@pytest.mark.parametrize("name", THREE)
def test_tf32_is_for_cublas(launched, monkeypatch, name):
    monkeypatch.setattr(type(backends.cuda), "allow_tf32", True)
    case = GRID["groups"]
    tolerance = 2**-7  # the numbers themselves are rounded to 10 bits, on a GPU
    must_agree(name, *inputs(name, case, np.float32), case[0], tolerance=tolerance)
    assert launched == []
    must_agree(name, *inputs(name, case, np.float64), case[0])
    assert len(launched) == 1
