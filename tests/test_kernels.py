"""The kernels, reference and fast, against loops that share no code with them."""

from math import prod

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import cpu, patches, reference, threads, windows
from tinydeconv.kernels import reference as kernels

of_conv, of_transposed = ConvGeometry.of_conv, ConvGeometry.of_transposed
rng = np.random.default_rng(0)

# name: geometry, images N, channels and filters of each group
GRID = {
    "plain": (of_conv((5, 5), 3), 2, 2, 3),
    "stride > kernel": (of_conv((8, 7), 2, 3), 2, 2, 2),
    "stride > kernel, padded": (of_conv((8, 7), 2, 3, 1), 2, 1, 2),
    "leftover pixels": (of_conv((8, 9), 3, (2, 4)), 1, 2, 2),
    "even kernel": (of_conv((6, 6), (2, 4), 1, (1, 2)), 1, 2, 2),
    "asymmetric padding": (of_conv((5, 4), 3, 2, ((2, 0), (0, 3))), 2, 2, 2),
    "padding wider than the kernel": (of_conv((3, 3), 2, 1, ((3, 0), (2, 3))), 1, 1, 2),
    "same": (of_conv((5, 6), (2, 3), 1, "same"), 1, 2, 2),
    "same with stride": (of_conv((7, 6), (4, 3), (3, 2), "same"), 1, 2, 2),
    "dilation": (of_conv((9, 8), (3, 2), (1, 2), 1, (2, 3)), 1, 2, 2),
    "pointwise": (of_conv((3, 4), 1), 2, 3, 2),
    "kernel as large as the image": (of_conv((3, 4), (3, 4)), 2, 2, 2),
    "kernel as large as the image, padding": (of_conv((3, 3), 3, 4, 1), 2, 2, 2),
    "kernel as large as the image, groups": (of_conv((3, 2), (3, 2), groups=2), 2, 2, 2),
    "many filters": (of_conv((8, 7), 3, 2, ((1, 0), (0, 2))), 2, 1, 5),
    "groups": (of_conv((5, 5), 3, 2, 1, groups=2), 2, 2, 3),
    "groups = channels": (of_conv((5, 5), 3, 1, 1, groups=4), 2, 1, 1),
    "groups = channels, more filters": (of_conv((5, 4), 3, 2, 1, groups=3), 1, 1, 2),
    "no images": (of_conv((5, 5), 3, 2, 1), 0, 2, 3),
    "no images, groups": (of_conv((5, 5), 3, 2, 1, groups=2), 0, 2, 3),
    "no channels": (of_conv((5, 5), 3), 2, 0, 3),
    "1-d": (of_conv((11,), 4, 3, ((1, 2),), 2), 2, 2, 3),
    "3-d": (of_conv((4, 5, 3), (2, 3, 2), (1, 2, 3), ((0, 1), (1, 1), (2, 0)), (2, 1, 1)), 1, 2, 2),
    "4-d": (of_conv((3, 2, 3, 2), (2, 1, 2, 2), (1, 1, 2, 1), 1), 1, 1, 2),
    "rows by fours": (of_conv((9, 6), 3, 1, 1), 2, 2, 3),
    "rows by fours, strange": (of_conv((7, 5), (3, 2), (1, 2), ((2, 0), (0, 3)), (1, 2)), 1, 3, 2),
    "rows by fours, 3-d": (of_conv((6, 3, 4), (3, 2, 1), 1, ((1, 1), (0, 1), (0, 0))), 2, 2, 2),
    "rows by fours, transposed": (of_transposed((5, 4), 3, (1, 2), ((1, 0), (1, 1))), 2, 3, 2),
    "transposed": (of_transposed((3, 4), 3, 2, 1), 2, 2, 3),
    "output padding": (of_transposed((3, 2), (3, 2), (2, 3), (1, 0), 1, 1, (1, 2)), 2, 2, 2),
    "output padding >= stride": (of_transposed((3, 2), 2, 1, 0, 3, 1, (2, 1)), 1, 2, 2),
    "output padding >= stride, 2": (of_transposed((3, 3), 3, 2, 2, (4, 3), 1, (3, 2)), 1, 2, 2),
    "output padding beyond all taps": (of_transposed((2, 3), 1, (4, 3), 0, 1, 1, (3, 2)), 1, 2, 2),
    "output size": (of_transposed((3, 3), 4, 2, 1, output_size=(6, 7)), 1, 2, 2),
    "transposed same": (of_transposed((2, 3), (3, 2), (2, 4), "same"), 1, 2, 2),
    "transposed, one pixel left": (of_transposed((2, 2), 3, 1, ((1, 2), (2, 1))), 2, 1, 2),
    "transposed 1-d": (of_transposed((4,), 3, 2, ((0, 1),), 2, 2, 1), 2, 2, 2),
    "transposed 3-d": (of_transposed((2, 3, 2), (2, 1, 3), (2, 3, 1), (0, 0, 1)), 1, 2, 2),
}  # fmt: skip


def shapes(geometry, n, channels, filters):
    """The shapes of x, w and y; `channels` and `filters` are those of one group."""
    groups = geometry.groups
    return (
        (n, channels * groups, *geometry.big),
        (filters * groups, channels, *geometry.kernel),
        (n, filters * groups, *geometry.small),
    )


def arrays(case):
    """Random x, w, y of a case, which nobody can write into."""
    made = [rng.normal(size=shape) for shape in shapes(*case)]
    for array in made:
        array.flags.writeable = False
    return made


def columns(case):
    """Random unfolded patches."""
    geometry, n, channels, _ = case
    return rng.normal(size=(n, channels * geometry.groups, *geometry.kernel, *geometry.small))


def options(geometry):
    """What the naive functions want to know, and the part of big that the formula leaves open."""
    taps = [d * (k - 1) + 1 for d, k in zip(geometry.dilation, geometry.kernel, strict=True)]
    least = [
        (o - 1) * s + tap - low - high
        for o, s, tap, (low, high) in zip(
            geometry.small, geometry.stride, taps, geometry.padding, strict=True
        )
    ]
    extra = tuple(n - size for n, size in zip(geometry.big, least, strict=True))
    chosen = {name: getattr(geometry, name) for name in ("stride", "padding", "dilation")}
    return chosen, extra


def check_conv_matches_naive(kernels, case):
    geometry, *_ = case
    x, w, _ = arrays(case)
    chosen, extra = options(geometry)
    y = kernels.conv(x, w, geometry)
    expected = naive.conv(x, w, None, groups=geometry.groups, **chosen)
    # An output padding of a stride or more leaves room for windows that the small side has not.
    expected = expected[:, :, *(slice(o) for o in geometry.small)]
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


def check_conv_transpose_matches_naive(kernels, case):
    geometry, *_ = case
    _, w, y = arrays(case)
    chosen, extra = options(geometry)
    x = kernels.conv_transpose(y, w, geometry)
    expected = naive.conv_transpose(
        y, w, None, output_padding=extra, groups=geometry.groups, **chosen
    )
    assert x.shape == expected.shape
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-12)


def check_adjoint(kernels, case):
    """<y, conv(x, w)> = <x, conv_transpose(y, w)> = <w, conv_weight(x, y)>, to 1e-12 relative."""
    geometry, *_ = case
    x, w, y = arrays(case)
    forward = kernels.conv(x, w, geometry)
    back = kernels.conv_transpose(y, w, geometry)
    weight = kernels.conv_weight(x, y, geometry)
    assert (back.shape, weight.shape, forward.shape) == (x.shape, w.shape, y.shape)
    form = np.vdot(y, forward)
    scale = np.linalg.norm(y) * np.linalg.norm(forward)
    assert abs(form - np.vdot(x, back)) <= 1e-12 * scale
    assert abs(form - np.vdot(w, weight)) <= 1e-12 * scale


@pytest.fixture(params=GRID)
def case(request):
    return GRID[request.param]


# ---------------------------------------------------------------- the triple


CUTS = {"reference": None, "cpu": None, "cpu, panels of 1": 1, "cpu, panels of 5": 5}


@pytest.fixture(params=CUTS)
def triple(request, monkeypatch):
    """The module of the kernels; fast ones also with panels too small for any other use."""
    if CUTS[request.param]:
        cut_small(monkeypatch, CUTS[request.param])
    return reference if request.param == "reference" else cpu


def cut_small(monkeypatch, size):
    """Panels of so many positions, and fewer products for any number of channels."""
    for limit in ("CACHE", "WIDE", "SUMMED", "NARROW", "JOB"):
        monkeypatch.setattr(cpu, limit, size)
    for limit in ("CHANNELS", "POSITIONS"):
        monkeypatch.setattr(patches, limit, 1)


def test_fewer_products_round_about_as_well():
    """Of float32, twice the error of the plain products; a test that it is not ten times."""
    geometry = of_conv((32, 32), 3, 1, 1)
    x, w, y = arrays((geometry, 2, 64, 64))
    single = [array.astype(np.float32) for array in (x, w, y)]
    for i, j, name in ((0, 1, "conv"), (2, 1, "conv_transpose"), (0, 2, "conv_weight")):
        plain, short = (getattr(module, name) for module in (reference, cpu))
        exact = plain((x, w, y)[i], (x, w, y)[j], geometry)
        errors = [
            np.linalg.norm(kernel(single[i], single[j], geometry) - exact)
            for kernel in (plain, short)
        ]
        assert 1.2 * errors[0] < errors[1] < 5 * errors[0]  # they are really used


def test_conv_is_the_seven_loops(triple, case):
    check_conv_matches_naive(triple, case)


def test_conv_transpose_is_the_scatter(triple, case):
    check_conv_transpose_matches_naive(triple, case)


def test_the_three_are_derivatives_of_one_form(triple, case):
    check_adjoint(triple, case)


@pytest.mark.parametrize("form", [cpu._scatterings, cpu._gatherings])
def test_both_forms_of_the_transposed_convolution_are_it(form, case):
    geometry, *_ = case
    x, w, y = arrays(case)
    if x.size and y.size:
        made = np.full(x.shape, np.nan)
        threads.run(lambda job: job(), list(form(y, w, made, geometry)))
        expected = reference.conv_transpose(y, w, geometry)
        np.testing.assert_allclose(made, expected, rtol=1e-12, atol=1e-12)


def test_fold_is_the_transpose_of_unfold(case):
    geometry, *_ = case
    x, _, _ = arrays(case)
    cols = columns(case)
    there, back = kernels.unfold(x, geometry), kernels.fold(cols, geometry)
    assert (there.shape, back.shape) == (cols.shape, x.shape)
    scale = np.linalg.norm(there) * np.linalg.norm(cols)
    assert abs(np.vdot(there, cols) - np.vdot(x, back)) <= 1e-12 * scale


# naive.unfold and naive.fold know the number of windows from the image alone.
FROM_THE_IMAGE = [
    name
    for name, (g, *_) in GRID.items()
    if of_conv(g.big, g.kernel, g.stride, g.padding, g.dilation).small == g.small
]


@pytest.mark.parametrize("name", FROM_THE_IMAGE)
def test_unfold_and_fold_are_the_loops(name):
    geometry, n, _, _ = case = GRID[name]
    chosen, _ = options(geometry)
    x, _, _ = arrays(case)
    cols = columns(case)
    flat = (n, x.shape[1] * prod(geometry.kernel), prod(geometry.small))
    np.testing.assert_array_equal(
        kernels.unfold(x, geometry).reshape(flat), naive.unfold(x, geometry.kernel, **chosen)
    )
    np.testing.assert_allclose(
        kernels.fold(cols, geometry),
        naive.fold(cols.reshape(flat), geometry.big, geometry.kernel, **chosen),
        rtol=1e-12,
        atol=1e-12,
    )


# ---------------------------------------------------------------- manners

KERNELS = {
    **{
        f"{name}, {module.__name__}": (getattr(module, name), inputs)
        for module in (reference, cpu)
        for name, inputs in (("conv", "xw"), ("conv_transpose", "yw"), ("conv_weight", "xy"))
    },
    "unfold": (kernels.unfold, "x"),
    "fold": (kernels.fold, "c"),
}
SOME = ["asymmetric padding", "groups", "1-d", "3-d", "output padding >= stride", "no images"]


@pytest.fixture(params=KERNELS)
def kernel(request):
    """A kernel as a function (geometry, *inputs), and what makes its inputs for a case."""
    function, names = KERNELS[request.param]

    def inputs(case):
        made = dict(zip("xwyc", (*arrays(case), columns(case)), strict=True))
        return [made[name] for name in names]

    return lambda geometry, *inputs: function(*inputs, geometry), inputs


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_dtype_is_kept(kernel, name, dtype):
    (apply, inputs), geometry = kernel, GRID[name][0]
    made = inputs(GRID[name])
    expected = apply(geometry, *made)
    result = apply(geometry, *(array.astype(dtype) for array in made))
    assert expected.dtype == np.float64 and result.dtype == dtype
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


def scattered(array):
    """The same numbers spread out in memory, backwards along one axis and in another order."""
    room = np.full([2 * n for n in reversed(array.shape)], np.nan, array.dtype)
    view = room.T[tuple(slice(None, None, 2) for _ in array.shape)][::-1]
    view[...] = array
    view.flags.writeable = False
    return view


@pytest.mark.parametrize("name", SOME)
def test_how_the_inputs_lie_in_memory_does_not_matter(kernel, name):
    (apply, inputs), geometry = kernel, GRID[name][0]
    made = inputs(GRID[name])
    views = [scattered(array) for array in made]
    assert not any(v.flags.c_contiguous or v.flags.f_contiguous for v in views if v.size)
    np.testing.assert_allclose(
        apply(geometry, *views), apply(geometry, *made), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("name", SOME)
def test_inputs_are_left_alone_and_results_are_fresh_and_contiguous(kernel, name):
    (apply, inputs), geometry = kernel, GRID[name][0]
    made = [array.copy() for array in inputs(GRID[name])]
    before = [array.copy() for array in made]
    result = apply(geometry, *made)
    for array, copy in zip(made, before, strict=True):
        np.testing.assert_array_equal(array, copy)
        assert not np.shares_memory(array, result)
    assert result.flags.c_contiguous and result.flags.writeable


@pytest.mark.parametrize("name", SOME)
def test_a_complex_step_gives_the_derivative(kernel, name):
    """f(a + ih b) = f(a) + ih f'(a) b: it is for this that kernels take complex numbers."""
    (apply, inputs), geometry = kernel, GRID[name][0]
    at, along, h = inputs(GRID[name]), inputs(GRID[name]), 1e-30
    step = apply(geometry, *(a + 1j * h * b for a, b in zip(at, along, strict=True)))
    by_product_rule = sum(apply(geometry, *at[:i], along[i], *at[i + 1 :]) for i in range(len(at)))
    np.testing.assert_allclose(step.real, apply(geometry, *at), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(step.imag / h, by_product_rule, rtol=1e-12, atol=1e-14)


def test_padding_reads_as_fill():
    cols = kernels.unfold(np.ones((1, 1, 2)), of_conv((2,), 2, 1, 1), fill=-np.inf)
    assert cols.tolist() == [[[[-np.inf, 1, 1], [1, 1, -np.inf]]]]


def test_what_no_tap_reaches_is_zero():
    x = kernels.conv_transpose(np.ones((1, 1, 2)), np.ones((1, 1, 1)), of_conv((6,), 1, 3))
    assert x.tolist() == [[[1, 0, 0, 1, 0, 0]]]


# ---------------------------------------------------------------- random geometries


@st.composite
def cases(draw, transposed):
    axes = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 3)
    padding = tuple(zip(each(0, 2), each(0, 2), strict=True))
    groups = draw(st.integers(1, 2))
    reach = [
        d * (k - 1) + 1 - low - high
        for d, k, (low, high) in zip(dilation, kernel, padding, strict=True)
    ]
    more = each(0, 3 if axes < 3 else 1)
    if transposed:
        small = tuple(
            max(1, -(-(1 - room) // s) + 1) + (m > 1)
            for room, s, m in zip(reach, stride, more, strict=True)
        )
        extra = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
        geometry = of_transposed(small, kernel, stride, padding, dilation, groups, extra)
    else:
        big = tuple(max(1, room) + m for room, m in zip(reach, more, strict=True))
        geometry = of_conv(big, kernel, stride, padding, dilation, groups)
    return geometry, draw(st.integers(0, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 2))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(
    "check", [check_conv_matches_naive, check_conv_transpose_matches_naive, check_adjoint]
)
def test_any_geometry(check, transposed):
    @settings(max_examples=200 if check is check_adjoint else 60, deadline=None)
    @given(cases(transposed))
    def run(case):
        for module in (reference, cpu):
            check(module, case)

    run()


# ---------------------------------------------------------------- pooling windows


@pytest.mark.parametrize(
    "big, kernel, stride, padding, dilation",
    [
        ((6, 5), (2, 3), None, 0, 1),
        ((5, 5), 3, 2, 1, 1),
        ((7, 6), (3, 2), (1, 2), (1, 0), (2, 1)),
        ((7,), 2, 3, 1, 1),
        ((4, 3, 5), 2, (2, 1, 2), 1, 1),
    ],
)
def test_max_pool_indices(big, kernel, stride, padding, dilation):
    geometry = of_conv(big, kernel, kernel if stride is None else stride, padding, dilation)
    for x in (
        rng.normal(size=(2, 3, *big)),
        rng.integers(0, 2, size=(2, 3, *big)).astype(np.float32),  # ties: the first wins
        -1.0 - rng.random((2, 1, *big)),  # the padding must not win
        np.zeros((0, 2, *big)),
    ):
        x.flags.writeable = False
        indices = windows.max_pool_indices(x, geometry)
        _, expected = naive.max_pool(x, geometry.kernel, geometry.stride, padding, dilation)
        assert indices.dtype == np.int64
        np.testing.assert_array_equal(indices, expected)


def test_a_pixel_of_minus_infinity_still_beats_the_padding():
    x = rng.normal(size=(2, 3, 4, 5))
    x[:, :, :2, 1:] = x[:, :, :, 3:] = -np.inf
    indices = windows.max_pool_indices(x, of_conv((4, 5), 2, 1, 1))
    values, _ = naive.max_pool(x, 2, 1, 1)
    flat = x.reshape(2, 3, 20)
    picked = np.take_along_axis(flat, indices.reshape(2, 3, -1), 2).reshape(indices.shape)
    np.testing.assert_array_equal(picked, values)


def test_a_nan_wins():
    x = np.array([[[1.0, np.nan, 2.0, 4.0, 3.0]]])
    assert windows.max_pool_indices(x, of_conv((5,), 3, 1, 1)).tolist() == [[[1, 1, 1, 3, 3]]]


def test_max_pool_indices_with_a_window_over_the_end():
    x = np.array([[[1.0, 5.0, 2.0, 4.0, -3.0]]])
    geometry = of_conv((5,), 2, 2, ceil_mode=True)
    assert windows.max_pool_indices(x, geometry).tolist() == [[[1, 3, 4]]]


@pytest.mark.parametrize("kernel, stride, padding", [((2, 3), 2, 0), (3, (1, 2), 1), (2, 3, 1)])
def test_window_sizes(kernel, stride, padding):
    geometry = of_conv((6, 7), kernel, stride, padding)
    ones = np.ones((1, 1, 6, 7))
    pixels = naive.avg_pool(ones, geometry.kernel, geometry.stride, padding)[0, 0]
    taps = prod(geometry.kernel)
    sizes = windows.window_sizes(geometry, include_padding=False)
    np.testing.assert_allclose(sizes, pixels * taps, rtol=1e-15)
    assert sizes.dtype == np.int64
    assert (windows.window_sizes(geometry, include_padding=True) == taps).all()


def test_window_sizes_where_a_window_hangs_over_the_end():
    """As PyTorch: what lies beyond the image and its padding never counts."""
    geometry = of_conv((6,), 3, 2, 1, ceil_mode=True)  # windows from -1, 1, 3 and 5 on
    assert windows.window_sizes(geometry, include_padding=True).tolist() == [3, 3, 3, 2]
    assert windows.window_sizes(geometry, include_padding=False).tolist() == [2, 3, 3, 1]
