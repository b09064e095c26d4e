"""Padding, resizing and adaptive pooling against plain loops; their transposes; what is refused."""

import itertools
import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import adjointcheck
from tinydeconv.nn import functional as F
from tinydeconv.ops import windows
from tinydeconv.ops.resampling import Resample

SIZES = {1: (7,), 2: (5, 6), 3: (4, 3, 5)}


def draw(*shape):
    return np.random.default_rng([3, *shape]).standard_normal(shape)


def along_axes(line_of, x, *arguments):
    """line_of(line, *own arguments) applied to each line along each of the last axes in turn."""
    for axis, own in enumerate(zip(*arguments, strict=True), x.ndim - len(arguments[0])):
        lines = np.moveaxis(x, axis, -1)
        x = np.array([line_of(list(lines[at]), *own) for at in np.ndindex(lines.shape[:-1])])
        x = np.moveaxis(x.reshape(*lines.shape[:-1], -1), -1, axis)
    return x


def agrees(found, expected):
    np.testing.assert_allclose(found.data, expected, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- padding


def padded_line(line, pair, mode, value=0.0):
    """A line with pixels put to its ends one after the other, and then cut."""
    low, high = pair
    if mode == "circular":  # only what is left after cutting goes round
        line = line[max(-low, 0) : len(line) - max(-high, 0)]
    before, after = [], []
    for i in range(1, max(low, high) + 1):  # the i-th pixel beyond either end
        first, last = {
            "constant": lambda i: (value, value),
            "replicate": lambda i: (line[0], line[-1]),
            "reflect": lambda i: (line[i], line[-1 - i]),
            "circular": lambda i: (line[-i], line[i - 1]),
        }[mode](i)
        before = [first] * (i <= low) + before
        after = after + [last] * (i <= high)
    if mode != "circular":
        line = line[max(-low, 0) : len(line) - max(-high, 0)]
    return before + line + after


PADS = {
    1: [((2, 1),), ((-2, 3),), ((6, 6),), ((0, -3),)],
    2: [((1, 2), (3, 0)), ((-1, 2), (1, -2)), ((0, 0), (5, 5))],
    3: [((1, 0), (2, 1), (0, 3)), ((-1, 1), (0, -1), (2, -2))],
}


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize(("axes", "pairs"), [(a, p) for a, pads in PADS.items() for p in pads])
def test_pad(axes, pairs, mode):
    pad = [n for pair in reversed(pairs) for n in pair]
    value = 1.5 if mode == "constant" else None
    for x in (draw(2, 3, *SIZES[axes]), draw(3, *SIZES[axes])):
        expected = along_axes(
            lambda line, pair: padded_line(line, pair, mode, value or 0.0), x, pairs
        )
        x = td.tensor(x, requires_grad=True)
        y = F.pad(x, pad, mode, value)
        agrees(y.detach(), expected)
        # the transpose counts how often each pixel was read
        counted = along_axes(
            lambda line, pair: padded_line(line, pair, mode), np.arange(x.numel()).reshape(x.shape)
            + 1, pairs,
        )  # fmt: skip
        reads = np.bincount(counted.astype(int).ravel(), minlength=x.numel() + 1)[1:]
        agrees(td.grad(y.sum(), x)[0], reads.reshape(x.shape))


def test_pad_keeps_the_kind_of_number():
    for dtype in (np.bool_, np.uint8, np.int64, np.float16, np.float32):
        x = td.tensor(np.array([[[0, 1, 1, 0, 1]]]).astype(dtype))
        for mode in ("constant", "reflect", "replicate", "circular"):
            y = F.pad(x, (2, 1), mode)
            assert y.dtype == dtype
            assert y.tolist() == [[padded_line(x.tolist()[0][0], (2, 1), mode, dtype(0))]]
    huge = td.tensor([[2**62 + 1, 3]])
    assert F.pad(huge, (1, 1), "replicate").tolist() == [[2**62 + 1, 2**62 + 1, 3, 3]]
    assert F.pad(td.tensor([1, 2]), (1, 0), value=-7).tolist() == [-7, 1, 2]
    assert F.pad(td.tensor([True]), (1, 0), value=True).tolist() == [True, True]


def test_pad_with_infinity_keeps_the_image_and_its_gradient_finite():
    x = td.tensor([[1.0, 2.0]], requires_grad=True)
    y = F.pad(x, (1, 0), value=-math.inf)
    assert y.tolist() == [[-math.inf, 1.0, 2.0]]
    (y[:, 1:] ** 2).sum().backward()
    assert x.grad.tolist() == [[2.0, 4.0]]


# ---------------------------------------------------------------- resizing


def triangle(t):
    return max(1 - abs(t), 0.0)


def cubic(a):
    """Keys's kernel, its two pieces written out."""

    def kernel(t):
        t = abs(t)
        if t < 1:
            return (a + 2) * t**3 - (a + 3) * t**2 + 1
        return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0

    return kernel


def resized_line(line, m, step, mode, corners=False, antialias=False):
    """A line of m pixels, each looked up or summed up by itself."""
    n, found = len(line), []
    if corners:
        step = (n - 1) / (m - 1) if m > 1 else 0.0
    for i in range(m):
        middle = i * step if corners else (i + 0.5) * step - 0.5
        if mode == "nearest":
            found.append(line[min(int(i * step), n - 1)])
        elif mode == "nearest-exact":
            found.append(line[min(int((i + 0.5) * step), n - 1)])
        elif mode == "area":
            window = line[i * n // m : math.ceil((i + 1) * n / m)]
            found.append(sum(window) / len(window))
        elif antialias:  # every pixel in reach of a kernel as wide as the step
            kernel, wide = triangle if mode == "bilinear" else cubic(-0.5), max(step, 1)
            weights = [kernel((j - middle) / wide) for j in range(n)]
            found.append(sum(w * v for w, v in zip(weights, line)) / sum(weights))
        elif mode == "bicubic":  # beyond the ends the last pixel goes on
            near = range(math.floor(middle) - 1, math.floor(middle) + 3)
            found.append(sum(cubic(-0.75)(middle - j) * line[min(max(j, 0), n - 1)] for j in near))
        else:
            found.append(np.interp(middle, range(n), line))
    return found


SMOOTH = {1: ["linear"], 2: ["bilinear", "bicubic"], 3: ["trilinear"]}
RESIZES = [
    (axes, mode, corners)
    for axes, smooth in SMOOTH.items()
    for mode in ("nearest", "nearest-exact", "area", *smooth)
    for corners in ((False, True) if mode in smooth else (False,))
]


@pytest.mark.parametrize(("axes", "mode", "corners"), RESIZES)
@pytest.mark.parametrize("target", [(4, 9, 2), (1, 1, 1), (13, 2, 7), (5, 6, 4), 1.7, 0.6, 2, 0.35])
def test_interpolate(axes, mode, corners, target):
    x, options = draw(2, 1, *SIZES[axes]), {"align_corners": True} if corners else {}
    if isinstance(target, tuple):
        size = target[:axes]
        steps = [n / m for n, m in zip(SIZES[axes], size)]
        y = F.interpolate(td.tensor(x), size, mode=mode, **options)
    else:
        size = [int(n * target) for n in SIZES[axes]]
        steps = [1 / target] * axes
        y = F.interpolate(td.tensor(x), scale_factor=target, mode=mode, **options)
        again = F.interpolate(td.tensor(x), None, target, mode, recompute_scale_factor=True)
        own = [n / m for n, m in zip(SIZES[axes], size)]
        agrees(again, along_axes(lambda *a: resized_line(*a, mode), x, size, own))
    agrees(y, along_axes(lambda *a: resized_line(*a, mode, corners), x, size, steps))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(2, 3), (1, 1), (9, 4), (5, 6)])
def test_antialias(mode, size):
    x = draw(2, 1, 5, 6)
    steps = [n / m for n, m in zip(x.shape[2:], size)]
    y = F.interpolate(td.tensor(x), size, mode=mode, antialias=True)
    agrees(y, along_axes(lambda *a: resized_line(*a, mode, antialias=True), x, size, steps))


def test_half_precision_is_added_up_in_float32():
    x = td.tensor(np.full((1, 1, 5000), 1.0, np.float16))
    assert F.adaptive_avg_pool1d(x, 1).item() == 1.0
    assert F.interpolate(x, 3, mode="area").dtype == np.float16


def test_a_nan_stays_where_it_is():
    x = np.ones((1, 1, 7, 7))
    x[0, 0, 2, 3], x[0, 0, 6, 6] = math.nan, math.inf
    for mode, reached in (("nearest", 4), ("area", 4), ("bilinear", 16)):
        y = F.interpolate(td.tensor(x), scale_factor=2, mode=mode).data
        assert np.isnan(y).sum() == reached and np.isinf(y).sum() in (4, 9)
    y = F.adaptive_avg_pool2d(td.tensor(x), 4).data  # of windows 0:2, 1:4, 3:6 and 5:7
    assert np.isnan(y).sum() == 2 and np.isinf(y).sum() == 1
    assert np.isnan(F.pad(td.tensor(x), (1, 1, 1, 1), "reflect").data).sum() == 1


# ---------------------------------------------------------------- adaptive pooling


def test_adaptive_windows_cover_the_axis_evenly():
    for n, m in itertools.product(range(1, 12), range(1, 15)):
        start, end = windows.adaptive_windows(n, m)
        assert start[0] == 0 and end[-1] == n and len(start) == m
        assert (start == [math.floor(i * n / m + 1e-9) for i in range(m)]).all()
        assert (end == [math.ceil((i + 1) * n / m - 1e-9) for i in range(m)]).all()
        assert (start[1:] <= end[:-1]).all() and (end > start).all()


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("wanted", [(1, 1, 1), (3, 4, 2), (9, 5, 3), (None, 2, None)])
@pytest.mark.parametrize("batched", [True, False])
def test_adaptive_pooling(axes, wanted, batched):
    sizes = SIZES[axes]
    x, wanted = np.round(draw(2, 3, *sizes), 1), wanted[:axes]  # rounded: with ties
    small = [n if m is None else m for n, m in zip(sizes, wanted)]
    average, largest = np.zeros((2, 3, *small)), np.zeros((2, 3, *small))
    indices = np.zeros((2, 3, *small), int)
    for at in np.ndindex(*average.shape):
        window = [
            range(i * n // m, math.ceil((i + 1) * n / m)) for i, n, m in zip(at[2:], sizes, small)
        ]
        pixels = {p: x[at[0], at[1], *p] for p in itertools.product(*window)}
        average[at] = sum(pixels.values()) / len(pixels)
        where = max(pixels, key=pixels.get)  # the first of equal ones
        largest[at], indices[at] = pixels[where], np.ravel_multi_index(where, sizes)
    if not batched:
        x, average, largest, indices = x[0], average[0], largest[0], indices[0]
    kinds = getattr(nn, f"AdaptiveAvgPool{axes}d"), getattr(nn, f"AdaptiveMaxPool{axes}d")
    agrees(kinds[0](wanted)(td.tensor(x)), average)
    values, found = kinds[1](wanted, return_indices=True)(td.tensor(x))
    agrees(values, largest)
    np.testing.assert_array_equal(found.data, indices)


def test_whole_numbers_have_a_maximum():
    x = td.tensor(-np.arange(1, 13).reshape(1, 1, 3, 4))
    y, indices = F.max_pool2d(x, 2, padding=1, return_indices=True)
    assert y.dtype == np.int64 and y.tolist() == [[[[-1, -2, -4], [-5, -6, -8]]]]
    assert indices.tolist() == [[[[0, 1, 3], [4, 5, 7]]]]


# ---------------------------------------------------------------- transposes

LINEAR = {
    "pad": lambda x: F.pad(x, (2, -1, 1, 1)),
    "pad reflect": lambda x: F.pad(x, (4, 3, 1, -1), "reflect"),
    "pad replicate": lambda x: F.pad(x, (4, 3, 1, -1), "replicate"),
    "pad circular": lambda x: F.pad(x, (4, 3, 1, -1), "circular"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (2, 7)),
}
LINEAR |= {
    f"{mode} to {size}": lambda x, mode=mode, size=size: F.interpolate(x, size, mode=mode)
    for mode in ("nearest", "nearest-exact", "area", "bilinear", "bicubic")
    for size in ((2, 7), (9, 3))
}


@pytest.mark.parametrize("name", LINEAR)
def test_the_gradient_is_the_transpose(name):
    x = td.tensor(draw(2, 4, 4, 6))

    def transpose(y):
        leaf = x.detach().requires_grad_()
        return td.grad(LINEAR[name](leaf), leaf, y)[0]

    assert adjointcheck(LINEAR[name], transpose, x)


def test_entries_of_one_place_are_added_and_empty_rows_are_zero():
    entries = [2, 0, 2, 2], [1, 0, 1, 2], [1.0, 3.0, 10.0, 100.0]
    x = td.tensor([[1.0, 2.0], [5.0, 7.0], [math.inf, 0.5]], requires_grad=True)
    y = Resample(0, 4, entries)(x)
    assert y.tolist() == [[3.0, 6.0], [0.0, 0.0], [math.inf, 127.0], [0.0, 0.0]]
    y[:, 1].sum().backward()
    assert x.grad.tolist() == [[0.0, 3.0], [0.0, 11.0], [0.0, 100.0]]


def test_unpooling_adds_what_shares_an_index():
    indices = td.tensor([[[2, 2, 0]]])
    y = F.max_unpool1d(td.tensor([[[1.0, 10.0, 5.0]]]), indices, 2)
    assert y.tolist() == [[[5.0, 0.0, 11.0, 0.0, 0.0, 0.0]]]


# ---------------------------------------------------------------- pixels and channels


def test_pixel_shuffle():
    x = draw(2, 12, 3, 2)
    y = F.pixel_shuffle(td.tensor(x), 2)
    for n, c, i, j in np.ndindex(*y.shape):
        assert y.data[n, c, i, j] == x[n, 4 * c + 2 * (i % 2) + j % 2, i // 2, j // 2]
    agrees(F.pixel_unshuffle(y, 2), x)
    assert F.pixel_shuffle(td.ones(0, 4, 3, 2), 2).shape == (0, 1, 6, 4)
    assert F.pixel_unshuffle(td.ones(0, 1, 6, 4), 2).shape == (0, 4, 3, 2)


# ---------------------------------------------------------------- padding_mode


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_padding_mode_pads_the_image_first(axes, mode):
    kernel, padding = (3, 2, 3)[:axes], ((1, 2), (2, 0), (1, 1))[:axes]
    pad = [n for pair in reversed(padding) for n in pair]
    cls, x = getattr(nn, f"Conv{axes}d"), td.tensor(draw(2, 3, *SIZES[axes]).astype(np.float32))
    layer = cls(3, 4, kernel, stride=2, padding=padding, padding_mode=mode)
    plain = getattr(F, f"conv{axes}d")
    wide = F.pad(x, pad, "constant" if mode == "zeros" else mode)
    expected = plain(wide, layer.weight, layer.bias, stride=2)
    np.testing.assert_array_equal(layer(x).data, expected.data)
    np.testing.assert_allclose(layer(x[0]).data, expected[0].data, rtol=1e-5, atol=1e-6)


def test_a_circular_convolution_commutes_with_shifts():
    layer = nn.Conv2d(1, 2, (3, 4), padding="same", padding_mode="circular").double()
    x = draw(1, 1, 5, 6)
    shifted = layer(td.tensor(np.roll(x, (2, -1), (2, 3))))
    agrees(shifted.detach(), np.roll(layer(td.tensor(x)).data, (2, -1), (2, 3)))


# ---------------------------------------------------------------- what is refused

x1, x2, x3 = td.ones(2, 3, 7), td.ones(2, 3, 5, 6), td.ones(2, 3, 4, 3, 5)
REFUSED = {
    "pad: odd": (lambda: F.pad(x1, (1, 2, 3)), ValueError, ("(low, high)", "(1, 2, 3)")),
    "pad: an int": (lambda: F.pad(x1, 1), ValueError, ("(low, high)", 1)),
    "pad: a fraction": (lambda: F.pad(x1, (1, 1.5)), ValueError, ("2 ints", "(1, 1.5)")),
    "pad: too many axes": (lambda: F.pad(td.ones(3), (1,) * 4), ValueError, (2, "(3,)")),
    "pad: mode": (lambda: F.pad(x1, (1, 1), "mirror"), ValueError, ("reflect", "'mirror'")),
    "pad: value": (lambda: F.pad(x1, (1, 1), "reflect", 2), ValueError, ("reflect", 2)),
    "pad: no channels": (
        lambda: F.pad(td.ones(5, 6), (1,) * 4, "reflect"), ValueError, ("reflect", 2, "(5, 6)"),
    ),
    "pad: two batches": (
        lambda: F.pad(x3, (1,) * 2, "circular"), ValueError, ("(2, 3, 4, 3, 5)", "(N, C, *spatial)")
    ),
    "pad: four axes": (
        lambda: F.pad(td.ones(1, 1, 2, 2, 2, 2), (1,) * 8, "replicate"), ValueError,
        (4, "replicate"),
    ),
    "pad: cut": (lambda: F.pad(x1, (-4, -4)), ValueError, ("(-4, -4)", "size 7")),
    "pad: reflect": (lambda: F.pad(x1, (7, 0), "reflect"), ValueError, (6, 7, "(7, 0)")),
    "pad: circular": (lambda: F.pad(x1, (0, 8), "circular"), ValueError, ("most 7", "(0, 8)")),
    "pad: circular, cut": (lambda: F.pad(x1, (-5, 3), "circular"), ValueError, (2, "(-5, 3)")),
    "pad: replicate nothing": (
        lambda: F.pad(x1[:, :, :0], (1, 0), "replicate"), ValueError, ("size 0", "(1, 0)"),
    ),
    "pad: an array": (lambda: F.pad(np.ones(3), (1, 1)), TypeError, ("Tensor", "ndarray")),
    "pad: layer": (lambda: nn.ReflectionPad2d((1, 2)), ValueError, ("padding", 4, "(1, 2)")),
    "mode": (lambda: F.interpolate(x2, 3, mode="cubic"), ValueError, ("'cubic'", "bicubic")),
    "mode of fewer axes": (
        lambda: F.interpolate(x2, 3, mode="linear"), ValueError, ("'linear'", "(2, 3, 5, 6)"),
    ),
    "unbatched": (
        lambda: F.interpolate(td.ones(5, 6), 3), ValueError, ("'nearest'", "(5, 6)", "(N, C, L)"),
    ),
    "no size": (lambda: F.interpolate(x1), ValueError, ("size", "scale_factor", None)),
    "two sizes": (lambda: F.interpolate(x1, 3, 2.0), ValueError, ("scale_factor", 3, "2.0")),
    "sizes": (lambda: F.interpolate(x2, (3, 4, 5)), ValueError, ("size", 2, "(3, 4, 5)")),
    "fraction of a pixel": (lambda: F.interpolate(x1, 3.5), ValueError, ("size", "3.5")),
    "size 0": (lambda: F.interpolate(x2, (3, 0)), ValueError, ("(5, 6)", "(3, 0)", "at least 1")),
    "shrunk to nothing": (
        lambda: F.interpolate(x2, scale_factor=0.18), ValueError, ("(5, 6)", "(0, 1)"),
    ),
    "image of nothing": (lambda: F.interpolate(x1[:, :, :0], 3), ValueError, ("(0,)", "(3,)")),
    "scale factors": (
        lambda: F.interpolate(x2, scale_factor=(2,)), ValueError, ("scale_factor", 2, "(2,)"),
    ),
    "scale 0": (lambda: F.interpolate(x1, scale_factor=0), ValueError, ("scale_factor", 0)),
    "scale -1": (lambda: F.interpolate(x1, scale_factor=-1.0), ValueError, ("above 0", "-1.0")),
    "scale NaN": (lambda: F.interpolate(x1, scale_factor=math.nan), ValueError, ("nan",)),
    "corners": (
        lambda: F.interpolate(x1, 3, align_corners=False), ValueError,
        ("align_corners", "'nearest'"),
    ),
    "recompute": (
        lambda: F.interpolate(x1, 3, recompute_scale_factor=True), ValueError, (3, "scale_factor"),
    ),
    "antialias": (
        lambda: F.interpolate(x1, 3, mode="linear", antialias=True), ValueError,
        ("antialias", "bilinear", "'linear'"),
    ),
    "whole numbers": (
        lambda: F.interpolate(x1.long(), 3), TypeError, ("'nearest'", "int64", ".float()"),
    ),
    "bytes": (
        lambda: F.interpolate(td.zeros(1, 1, 2, 2, dtype=td.uint8), 3, mode="bilinear"), TypeError,
        ("'bilinear'", "uint8", ".float()"),
    ),
    "adaptive: sizes": (
        lambda: F.adaptive_avg_pool2d(x2, (1, 2, 3)), ValueError, ("output_size", 2, "(1, 2, 3)"),
    ),
    "adaptive: fraction": (
        lambda: F.adaptive_max_pool1d(x1, 1.5), ValueError, ("output_size", "(1.5,)"),
    ),
    "adaptive: negative": (
        lambda: F.adaptive_max_pool2d(x2, (2, -1)), ValueError, ("(5, 6)", "(2, -1)"),
    ),
    "adaptive: no pixels": (
        lambda: F.adaptive_avg_pool1d(x1[:, :, :0], 2), ValueError, ("(0,)", "(2,)"),
    ),
    "adaptive: axes": (lambda: F.adaptive_avg_pool3d(x2[0], 2), ValueError, (3, "(3, 5, 6)")),
    "adaptive: whole numbers": (
        lambda: F.adaptive_max_pool1d(x1.long(), 2), TypeError, ("int64", ".float()"),
    ),
    "average of whole numbers": (
        lambda: F.avg_pool1d(x1.long(), 2), TypeError, ("int64", ".float()"),
    ),
    "maximum of truths": (lambda: F.max_pool1d(x1 > 0, 2), TypeError, ("bool", ".float()")),
    "shuffle: channels": (
        lambda: F.pixel_shuffle(x2, 2), ValueError, (2, 4, "(2, 3, 5, 6)"),
    ),
    "shuffle: factor": (lambda: F.pixel_shuffle(x2, 0), ValueError, ("factor", 0)),
    "shuffle: axes": (lambda: F.pixel_shuffle(x2[0, 0], 1), ValueError, ("(5, 6)",)),
    "unshuffle: sizes": (lambda: F.pixel_unshuffle(x2, 2), ValueError, (2, "(2, 3, 5, 6)")),
    "padding_mode": (
        lambda: nn.Conv1d(1, 1, 3, padding_mode="mirror"), ValueError, ("padding_mode", "'mirror'"),
    ),
    "padding_mode, transposed": (
        lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), ValueError,
        ("ConvTranspose2d", "zeros", "'reflect'"),
    ),
    "padding by name": (
        lambda: nn.Conv2d(1, 1, 3, padding="sam"), ValueError, ("'same'", "'valid'", "'sam'"),
    ),
    "padding too large to reflect": (
        lambda: nn.Conv1d(3, 1, 3, padding=7, padding_mode="reflect")(x1), ValueError, ("most 6",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_one_sentence(name):
    call, kind, words = REFUSED[name]
    with refused(kind, *words):
        call()
