"""Sizes of convolutions: by counting, and every size that cannot be, refused with its numbers."""

import dataclasses
import itertools

import numpy as np
import pytest
from refusals import refused

from tinydeconv.geometry import ConvGeometry, check_conv, ntuple

of_conv, of_transposed = ConvGeometry.of_conv, ConvGeometry.of_transposed


def grid(*ranges):
    return list(itertools.product(*ranges))


# ---------------------------------------------------------------- convolution


def windows(padded, kernel, stride, dilation):
    """How many windows have all their taps inside: by counting."""
    last_taps = (o * stride + (kernel - 1) * dilation for o in itertools.count())
    return len(list(itertools.takewhile(lambda tap: tap < padded, last_taps)))


def test_convolution_counts_the_windows_that_fit():
    cases = grid(range(1, 8), range(1, 4), range(1, 5), range(1, 4), range(3), range(3))
    for n, k, s, d, low, high in cases:
        count = windows(n + low + high, k, s, d)
        if count:
            geometry = of_conv((n,), k, s, ((low, high),), d)
            assert geometry.small == (count,), (n, k, s, d, low, high)
            assert geometry.big == (n,)
        else:
            with refused(ValueError, k, d, n, n + low + high):
                of_conv((n,), k, s, ((low, high),), d)


def test_same_keeps_the_size_or_divides_it_by_the_stride_rounding_up():
    for n, k, s, d in grid(range(1, 10), range(1, 6), range(1, 6), range(1, 4)):
        geometry = of_conv((n,), k, s, "same", d)
        assert geometry.small == (-(-n // s),), (n, k, s, d)
        ((low, high),) = geometry.padding
        assert low <= high <= low + 1  # the odd pixel goes to the end
        if high:  # and no more than it takes
            assert windows(n + low + high - 1, k, s, d) < geometry.small[0]


def test_a_last_window_may_hang_over_the_end_with_ceil_mode():
    """PyTorch's rule: rounded up, but no window may start beyond the image and its low padding."""
    for n, k, s, d in grid(range(1, 9), range(1, 5), range(1, 5), (1, 2)):
        for p in range(k // 2 + 1):
            count = -(-(n + 2 * p - d * (k - 1) - 1) // s) + 1
            if (count - 1) * s >= n + p:
                count -= 1
            if count > 0:
                assert of_conv((n,), k, s, p, d, ceil_mode=True).small == (count,), (n, k, s, p, d)
            else:
                with refused(ValueError, n, k, d):
                    of_conv((n,), k, s, p, d, ceil_mode=True)


def test_each_axis_has_its_own_numbers():
    geometry = of_conv((7, 8, 9), (1, 2, 3), (3, 2, 1), ((0, 0), (1, 0), (2, 3)), (1, 2, 3), 4)
    assert geometry == ConvGeometry(
        big=(7, 8, 9),
        small=(3, 4, 8),
        kernel=(1, 2, 3),
        stride=(3, 2, 1),
        padding=((0, 0), (1, 0), (2, 3)),
        dilation=(1, 2, 3),
        groups=4,
    )


@pytest.mark.parametrize(
    "padding, pairs",
    [
        (0, ((0, 0), (0, 0))),
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        ([1, 2], ((1, 1), (2, 2))),
        (((0, 1), (2, 0)), ((0, 1), (2, 0))),
        ([[0, 1], (2, 0)], ((0, 1), (2, 0))),
        (np.int64(1), ((1, 1), (1, 1))),
        ("valid", ((0, 0), (0, 0))),
        ("same", ((1, 1), (0, 1))),
    ],
)
def test_padding_is_said_in_many_ways(padding, pairs):
    geometry = of_conv((5, 6), (3, 2), padding=padding)
    assert geometry.padding == pairs
    if padding != "same":
        assert of_transposed((5, 6), (3, 2), padding=padding).padding == pairs
    assert all(type(p) is int for pair in geometry.padding for p in pair)


def test_one_number_serves_all_axes():
    for make in (of_conv, of_transposed):
        one = make((7, 7), 3, 2, 1, 2)
        assert one == make([7, 7], [3, 3], (2, 2), (1, 1), np.array([2, 2]).tolist())
        assert hash(one) == hash(make((7, 7), (3, 3), 2, ((1, 1), (1, 1)), 2))


def test_a_geometry_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        of_conv((5,), 3).big = (6,)


# ---------------------------------------------------------------- transposed convolution


def test_a_transposed_convolution_is_as_large_as_the_pixels_it_paints():
    for n, k, s, d, low, high in grid(
        range(1, 5), range(1, 4), range(1, 5), range(1, 4), range(3), range(3)
    ):
        painted = (n - 1) * s + (k - 1) * d + 1  # from the first tap to the last
        for extra in range(max(s, d)):
            size = painted - low - high + extra
            if size < 1:
                with refused(ValueError, size, n, k, s, (low, high), d):
                    of_transposed((n,), k, s, ((low, high),), d, output_padding=extra)
                continue
            geometry = of_transposed((n,), k, s, ((low, high),), d, output_padding=extra)
            assert geometry.big == (size,) and geometry.small == (n,)
            if extra < s:  # the convolution of that size leads back
                assert of_conv((size,), k, s, ((low, high),), d) == geometry
            wanted = of_transposed((n,), k, s, ((low, high),), d, output_size=(size,))
            assert wanted == geometry


def test_transposed_same_multiplies_the_size_by_the_stride():
    for n, k, s, d in grid(range(1, 5), range(1, 6), range(1, 6), range(1, 4)):
        geometry = of_transposed((n,), k, s, "same", d)
        assert geometry.big == (n * s,), (n, k, s, d)
        ((low, high),) = geometry.padding
        assert 0 <= low <= high <= low + 1
        assert geometry.padding == of_conv((n * s,), k, s, "same", d).padding


def test_output_padding_and_output_size_an_axis():
    geometry = of_transposed((3, 3), 3, 2, output_padding=(0, 1))
    assert geometry.big == (7, 8)
    assert of_transposed((3, 3), 3, 2, output_size=(7, 8)) == geometry
    assert of_transposed((3, 3), 3, 2, output_size=8).big == (8, 8)
    # what lies beyond the stride, but within the dilation
    assert of_transposed((3,), 3, 2, 0, 4, output_padding=3).big == (16,)


# ---------------------------------------------------------------- taps


@pytest.mark.parametrize(
    "geometry",
    [
        of_conv((5,), 3),
        of_conv((7, 6), (3, 2), (2, 3), ((1, 0), (0, 2)), (2, 1)),
        of_conv((9,), 2, 4),
        of_conv((5, 5), 2, 2, ceil_mode=True),
        of_conv((4, 3, 5), (1, 2, 3), (1, 2, 1), 1),
        of_transposed((3, 2), (3, 2), (1, 3), 0, (3, 1), output_padding=(2, 1)),
    ],
)
def test_taps_meet_the_positions_of_the_formula(geometry):
    """Tap t at small position o lies at o * stride + t * dilation - padding_low of the image."""
    seen = []
    for tap, where in geometry.taps():
        seen.append(tap)
        for axis, one in enumerate(where):
            inside = list(range(geometry.padded[axis]))[one]
            low = geometry.padding[axis][0]
            expected = [
                o * geometry.stride[axis] + tap[axis] * geometry.dilation[axis] - low
                for o in range(geometry.small[axis])
            ]
            assert [position - low for position in inside] == expected
    assert seen == list(np.ndindex(*geometry.kernel))
    for axis, one in enumerate(geometry.interior):
        inside = list(range(geometry.padded[axis]))[one]
        assert len(inside) == geometry.big[axis]
        assert inside[0] == geometry.padding[axis][0]


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize("make", [of_conv, of_transposed])
@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"kernel": 0}, ("kernel size", "(0, 0)")),
        ({"kernel": (3, -1)}, ("kernel size", "(3, -1)")),
        ({"kernel": (3,)}, ("kernel size", 2, "(3,)")),
        ({"kernel": (3, 3, 3)}, ("kernel size", 2, "(3, 3, 3)")),
        ({"kernel": 2.5}, ("kernel size", 2.5)),
        ({"kernel": "3"}, ("kernel size", "'3'")),
        ({"kernel": None}, ("kernel size", "None")),
        ({"kernel": True}, ("kernel size", "True")),
        ({"stride": 0}, ("stride", "(0, 0)")),
        ({"stride": -2}, ("stride", "(-2, -2)")),
        ({"stride": (1, 0)}, ("stride", "(1, 0)")),
        ({"stride": (1, 2, 3)}, ("stride", 2, "(1, 2, 3)")),
        ({"stride": (1, 1.5)}, ("stride", "(1, 1.5)")),
        ({"dilation": 0}, ("dilation", "(0, 0)")),
        ({"dilation": (2,)}, ("dilation", 2, "(2,)")),
        ({"padding": -1}, ("padding", -1)),
        ({"padding": (1, -3)}, ("padding", "(1, -3)")),
        ({"padding": ((0, 1), (2, -2))}, ("padding", "((0, 1), (2, -2))")),
        ({"padding": ((0, 1), 2)}, ("padding", 2, "((0, 1), 2)")),
        ({"padding": ((0, 1, 2), (0, 1, 2))}, ("padding", "((0, 1, 2), (0, 1, 2))")),
        ({"padding": (1, 2, 3)}, ("padding", 2, "(1, 2, 3)")),
        ({"padding": "full"}, ("padding", "'valid'", "'same'", "'full'")),
        ({"padding": 0.5}, ("padding", 0.5)),
        ({"groups": 0}, ("groups", 0)),
        ({"groups": -1}, ("groups", -1)),
        ({"groups": 1.5}, ("groups", 1.5)),
    ],
)
def test_refused_numbers(make, arguments, words):
    with refused(ValueError, *words):
        make((5, 5), **{"kernel": 3} | arguments)


@pytest.mark.parametrize(
    "big, arguments, words",
    [
        ((5, 2), {"kernel": 3}, ("axis 1", "kernel size 3", "dilation 1", "size 2")),
        ((4, 9), {"kernel": (3, 3), "dilation": 2}, ("axis 0", 3, 2, "spans 5", "size 4")),
        ((2,), {"kernel": 6, "padding": ((1, 2),)}, ("axis 0", "spans 6", "size 2", "(1, 2)", 5)),
        ((0,), {"kernel": 1}, ("axis 0", "size 0")),
        ((0,), {"kernel": 1, "padding": 2}, ("axis 0", "size 0", "(2, 2)", 4)),
        ((3, 0, 3), {"kernel": 1, "padding": "same"}, ("axis 1", "size 0")),
        ((2,), {"kernel": 6, "stride": 2, "ceil_mode": True}, ("axis 0", "spans 6", "size 2")),
    ],
)
def test_a_kernel_that_does_not_fit(big, arguments, words):
    with refused(ValueError, *words):
        of_conv(big, **arguments)


@pytest.mark.parametrize(
    "small, arguments, words",
    [
        ((3, 3), {"output_padding": 1}, ("output_padding", 1, "axis 0", "stride 1", "dilation 1")),
        ((3, 3), {"stride": 2, "output_padding": (1, 2)}, (2, "axis 1", "stride 2", "dilation 1")),
        ((3, 3), {"dilation": 2, "output_padding": 2}, (2, "axis 0", "stride 1", "dilation 2")),
        ((3, 3), {"stride": 2, "output_padding": -1}, (-1, "axis 0", "stride 2")),
        ((3, 3), {"output_padding": (0, 0, 0)}, ("output_padding", 2, "(0, 0, 0)")),
        ((3, 3), {"output_padding": "1"}, ("output_padding", "'1'")),
        (
            (3, 3),
            {"stride": 2, "output_size": (7, 9)},
            (9, "axis 1", 7, 8, "stride 2", "dilation 1"),
        ),
        ((3, 3), {"stride": 2, "output_size": 6}, (6, "axis 0", 7, 8, "stride 2")),
        ((3, 3), {"output_size": (5, 6)}, (6, "axis 1", 5)),
        ((3, 3), {"output_size": (5, 5, 5)}, ("output_size", 2, "(5, 5, 5)")),
        ((3, 3), {"padding": "same", "output_padding": 1}, ("same", "output_padding", 1)),
        ((1, 4), {"padding": 2}, ("size -1", "axis 0", 1, "kernel 3", "stride 1", "(2, 2)")),
        ((2,), {"padding": ((1, 3),)}, ("size 0", "axis 0", "input 2", "kernel 3", "(1, 3)")),
        ((4, 0), {"stride": 2}, ("axis 1", "input 0", "kernel 3", "stride 2")),
    ],
)
def test_an_output_that_cannot_be(small, arguments, words):
    with refused(ValueError, *words):
        of_transposed(small, 3, **arguments)


@pytest.mark.parametrize(
    "x, weight, bias, groups, transposed, words",
    [
        ((2, 3), (4, 3, 3, 3), None, 1, False, (2, 4, 3, "(2, 3)")),
        ((2, 3, 5), (4, 3, 3, 3), None, 1, True, (2, 4, 3, "(2, 3, 5)")),
        ((2, 3, 5, 5), (4, 2, 3, 3), None, 1, False, ("(4, 2, 3, 3)", 1, 2, 3, "(2, 3, 5, 5)")),
        ((2, 3, 5, 5), (4, 2, 3, 3), None, 2, False, ("(4, 2, 3, 3)", 2, 4, 3, "(2, 3, 5, 5)")),
        ((2, 3, 5, 5), (4, 2, 3, 3), None, 1, True, ("(4, 2, 3, 3)", 1, 4, 3, "(2, 3, 5, 5)")),
        ((2, 9, 5), (4, 3, 3), None, 3, False, ("groups", 3, "(4, 3, 3)")),
        ((2, 4, 5), (4, 3, 3), None, 3, True, ("groups", 3, "(4, 3, 3)")),
        ((2, 3, 5), (4, 3, 3), None, 0, False, ("groups", 0)),
        ((2, 3, 5), (4, 3, 3), (3,), 1, False, ("(4,)", "(4, 3, 3)", 1, "(3,)")),
        ((2, 3, 5), (4, 3, 3), (4, 1), 1, False, ("(4,)", "(4, 1)")),
        ((2, 4, 5), (4, 3, 3), (4,), 2, True, ("(6,)", "(4, 3, 3)", 2, "(4,)")),
    ],
)
def test_shapes_that_do_not_belong_together(x, weight, bias, groups, transposed, words):
    with refused(ValueError, *words):
        check_conv(x, weight, bias, groups, transposed)


def test_shapes_that_do():
    check_conv((2, 6, 5), (4, 3, 3), (4,), 2)
    check_conv((2, 4, 5), (4, 3, 3), (6,), 2, transposed=True)
    check_conv((0, 6, 5), (4, 3, 3), None, 2)


def test_ntuple():
    assert ntuple(3, 2, "it") == ntuple((3, 3), 2, "it") == ntuple([3, np.int8(3)], 2, "it")
    assert ntuple((), 0, "it") == ()
    for bad in ((1,), (1, 2, 3), (1, None), "ab", 1.0, None, False, {1, 2}):
        with refused(ValueError, "it", 2):
            ntuple(bad, 2, "it")
