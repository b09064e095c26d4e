"""The rungs of the ladder, against loops that share no code with them."""

import naive
import numpy as np
import pytest
from refusals import refused
from test_kernels import GRID, arrays, options, scattered

from tinydeconv.geometry import ConvGeometry
from tinydeconv.kernels import ladder

RUNGS = {"seven loops": ladder.seven_loops, "taps": ladder.taps, "whole batch": ladder.whole_batch}


def climbs(rung, geometry):
    return rung != "seven loops" or len(geometry.big) == 2


BOTH = [(r, c) for r in RUNGS for c, (geometry, *_) in GRID.items() if climbs(r, geometry)]


@pytest.mark.parametrize(("rung", "name"), BOTH)
def test_a_rung_is_the_convolution(rung, name):
    geometry, *_ = case = GRID[name]
    x, w, _ = arrays(case)
    expected = naive.conv(x, w, None, groups=geometry.groups, **options(geometry)[0])
    # An output padding of a stride or more leaves room for windows that the small side has not.
    expected = expected[:, :, *(slice(o) for o in geometry.small)]
    y = RUNGS[rung](x, w, geometry)
    assert y.shape == expected.shape and y.flags.c_contiguous and y.flags.writeable
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("name", ["asymmetric padding", "groups"])
def test_memory_order_and_dtype(rung, name):
    geometry, *_ = case = GRID[name]
    x, w, _ = arrays(case)
    expected = naive.conv(x, w, None, groups=geometry.groups, **options(geometry)[0])
    np.testing.assert_allclose(RUNGS[rung](scattered(x), scattered(w), geometry), expected)
    single = RUNGS[rung](x.astype(np.float32), w.astype(np.float32), geometry)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["1-d", "3-d", "4-d"])
def test_other_numbers_of_axes_than_two_are_refused_by_the_seven_loops(name):
    geometry, *_ = case = GRID[name]
    x, w, _ = arrays(case)
    with refused(ValueError, "two", len(geometry.big), geometry.big[0]):
        ladder.seven_loops(x, w, geometry)


@pytest.mark.parametrize("rung", ["taps", "whole batch"])
def test_a_rung_climbs_on_the_gpu_too(cupy, rung):
    geometry = ConvGeometry.of_conv((5, 4), 3, 2, 1, groups=2)
    x, w = np.random.rand(2, 4, 5, 4), np.random.rand(6, 2, 3, 3)
    y = RUNGS[rung](cupy.asarray(x), cupy.asarray(w), geometry).get()
    np.testing.assert_allclose(y, naive.conv(x, w, None, 2, 1, 1, 2), rtol=1e-12)
