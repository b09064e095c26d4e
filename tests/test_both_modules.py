"""Every op gives the same on CuPy as on NumPy: on the strict stand-in, or with --device cuda on a
GPU.
"""

import numpy as np
import pytest

import tinydeconv as td
from benchmarks.gpu_parity import derivatives
from tinydeconv.backend import to_numpy
from tinydeconv.gradcheck import (
    GradcheckError,
    adjointcheck,
    gradcheck,
    gradgradcheck,
    step_curve,
)
from tinydeconv.opcases import CASES
from tinydeconv.ops.promotion import To


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c.function is not To], ids=lambda case: case.name
)
def test_cupy_gives_what_numpy_gives(cupy, case, dtype):
    expected = derivatives(case, "cpu", dtype)
    found = derivatives(case, "cuda", dtype)
    for a, b in zip(expected, found, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert isinstance(b.data, cupy.ndarray) and str(b.device) == "cuda:0"
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            tolerance = {"float32": 2e-5, "float64": 1e-11}.get(dtype.__name__)
            np.testing.assert_allclose(to_numpy(b.data), a.data, tolerance, tolerance)


def test_gradients_travel_between_devices(cupy):
    x = td.tensor([1.0, 2.0], requires_grad=True)
    (x.to("cuda") ** 2).sum().backward()
    assert str(x.grad.device) == "cpu"
    np.testing.assert_array_equal(x.grad.data, [2, 4])
    z = td.tensor([1.0, 2.0], device="cuda", requires_grad=True)
    (first,) = td.grad((z.cpu() ** 3).sum(), z, create_graph=True)
    (second,) = td.grad(first.cpu().sum(), z)
    assert isinstance(first.data, cupy.ndarray) and isinstance(second.data, cupy.ndarray)
    np.testing.assert_array_equal(to_numpy(second.data), [6, 12])


def test_powers_and_their_gradients_do_not_wait_for_the_gpu(cupy, monkeypatch):
    x = td.tensor([1.0, -2.0], device="cuda", requires_grad=True)
    with monkeypatch.context() as patch:
        for name in ("item", "get", "__bool__", "__int__", "__float__"):
            patch.setattr(cupy.ndarray, name, None)
        found = [(y := x**n, *td.grad(y.sum(), x)) for n in (2, 3)]
    values = [z.cpu().tolist() for pair in found for z in pair]
    assert values == [[1, 4], [2, -4], [1, -8], [3, 12]]


def test_the_stand_in_would_catch_mixing(cupy):
    x = td.tensor([1.0, 2.0], device="cuda")
    with pytest.raises((TypeError, RuntimeError)):
        x + td.tensor([1.0, 2.0])
    with pytest.raises(TypeError):
        x.data + np.ones(2)


def test_gradients_can_be_checked_there(cupy):
    x = td.tensor([[0.5, 1.0], [-2.0, 3.0]], dtype=td.float64, device="cuda", requires_grad=True)
    for directions in (None, 3):
        assert gradcheck(td.sin, x, directions=directions, rtol=1e-6, atol=1e-8)
        assert gradgradcheck(td.sin, x, directions=directions, rtol=1e-6, atol=1e-8)
    with pytest.raises(GradcheckError, match="zero though the outputs change"):
        gradcheck(lambda x: x.detach() ** 2, x)
    assert adjointcheck(lambda x: x.T, lambda y: y.T, x.detach())
    assert step_curve(td.sin, x, [1e-6])[2] < 1e-8
