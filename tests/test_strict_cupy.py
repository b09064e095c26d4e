"""The stand-in for CuPy: what it does as CuPy, and that it refuses what CuPy would, or should."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from strict_cupy import NAMES, VERSION, install

HOST = np.array([[3.0, 1.0, 2.0], [0.0, 5.0, 4.0]])


@pytest.fixture
def cp():
    with install() as module:
        yield module


@pytest.fixture
def x(cp):
    return cp.asarray(HOST)


def same(device, expected):
    """Values, shape and dtype, and really an array of the device."""
    assert type(device).__module__ == "strict_cupy"
    expected = np.asarray(expected)
    assert device.dtype == expected.dtype
    np.testing.assert_array_equal(device.get(), expected)


# ---- what it does ----


def test_is_cupy_only_while_installed():
    assert "cupy" not in sys.modules
    with install() as module:
        import cupy
        import cupy.cuda  # noqa: F401
        from cupy.lib.stride_tricks import as_strided

        assert cupy is module and cupy.__version__ == VERSION
        assert callable(as_strided)
    assert not any(name.partition(".")[0] == "cupy" for name in sys.modules)


def test_what_was_cupy_before_comes_back():
    code = (
        "import sys; sys.modules['cupy'] = before = object()\n"
        "from strict_cupy import install\n"
        "with install() as cp: assert sys.modules['cupy'] is cp\n"
        "assert sys.modules['cupy'] is before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=__file__.rpartition("test_")[0])


OPERATIONS = {
    "add": lambda x: x + x,
    "scalar": lambda x: 2 - x,
    "numpy_scalar": lambda x: np.float32(2) * x,
    "numpy_float64": lambda x: np.float64(2) / (x + 1),
    "matmul": lambda x: x @ x.T,
    "power": lambda x: 2**x,
    "compare": lambda x: x > 2,
    "unary": lambda x: abs(-x),
    "invert": lambda x: ~(x == 1),
    "ints": lambda x: x[1, 2],
    "slices": lambda x: x[:, None, ::-1],
    "ellipsis": lambda x: x[..., 0],
    "list": lambda x: x[:, [0, 2]],
    "mask": lambda x: x[x > 2],
    "sum": lambda x: x.sum(),
    "sum_axis": lambda x: x.sum(axis=1, keepdims=True),
    "argmax": lambda x: x.argmax(),
    "reshape": lambda x: x.reshape(3, -1).swapaxes(0, 1).transpose(1, 0),
    "astype": lambda x: x.astype(np.float32),
    "T": lambda x: x.T,
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_array_agrees_with_numpy(x, operation):
    same(operation(x), operation(HOST))


FUNCTIONS = {
    "exp": lambda xp, x: xp.exp(x),
    "ufunc_dtype": lambda xp, x: xp.add(x, 1, dtype=np.float32),
    "maximum": lambda xp, x: xp.maximum(x, 2.5),
    "sum": lambda xp, x: xp.sum(x),
    "count_nonzero": lambda xp, x: xp.count_nonzero(x),
    "array_equal": lambda xp, x: xp.array_equal(x, x),
    "where": lambda xp, x: xp.where(x > 2, x, 0.0),
    "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "pad": lambda xp, x: xp.pad(x, ((1, 0), (0, 2)), constant_values=7),
    "einsum": lambda xp, x: xp.einsum("ij,kj->ik", x, x, optimize=True),
    "bincount": lambda xp, x: xp.bincount(
        x.astype(int).ravel(), weights=x.astype("float32").ravel(), minlength=9
    ),
    "take_along_axis": lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=1), 1),
    "norm": lambda xp, x: xp.linalg.norm(x),
    "split": lambda xp, x: xp.split(x, 2)[1],
    "nonzero": lambda xp, x: xp.nonzero(x)[0],
    "windows": lambda xp, x: xp.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    "zeros": lambda xp, x: xp.zeros(x.shape),
    "arange": lambda xp, x: xp.arange(3),
    "array_of_arrays": lambda xp, x: xp.array([x[0], x[1]]),
    "ascontiguousarray": lambda xp, x: xp.ascontiguousarray(x.T),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_module_agrees_with_numpy(cp, x, function):
    same(function(cp, x), function(np, HOST))


def test_names_that_are_no_functions(cp):
    assert cp.float32 is np.float32 and cp.newaxis is None and cp.pi == np.pi
    assert cp.finfo(cp.float32).eps == np.finfo("f4").eps
    assert cp.result_type(cp.zeros(1, "f4"), np.float64) == np.float64


def test_results_are_views_or_copies_as_in_cupy(cp, x):
    x[1, 2][...] = 40  # integers alone give a 0-d view
    x.T[0] = 7
    assert x.tolist() == [[7.0, 1.0, 2.0], [7.0, 5.0, 40.0]]
    assert HOST[0, 0] == 3  # the transfer copied
    x.get()[...] = 0
    assert x[0, 1] == 1
    out = np.empty((2, 3))
    assert x.get(out=out) is out and out[1, 2] == 40
    assert cp.asarray(x) is x and cp.asnumpy(x) is not HOST
    assert not cp.may_share_memory(cp.array(x), x)
    assert cp.may_share_memory(cp.array(x, copy=False), x)


def test_in_place(cp, x):
    alias, total = x, x.sum()
    x *= 2
    x[0] = 5
    x[x > 6] -= 1
    assert alias.tolist() == [[5, 5, 5], [0, 9, 7]]
    old_total = total
    total += 1
    assert old_total is total and float(total) == 16
    out = cp.empty((2, 3))
    assert cp.exp(alias, out=out) is out and alias.sum(0, out=out[0]).tolist() == [5, 14, 12]


def test_add_at(cp):
    y = cp.zeros(3)
    cp.add.at(y, cp.asarray([0, 0, 2]), 1.0)
    assert y.tolist() == [2, 0, 1]


def test_conversions(x):
    first = x[0, 0]
    assert (float(first), int(first), complex(first), bool(first)) == (3.0, 3, 3 + 0j, True)
    assert (len(x), first.item(), f"{first:.2f}", repr(first)) == (2, 3.0, "3.00", "array(3.)")
    assert [row.tolist() for row in x] == HOST.tolist()
    for again in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        same(again, HOST)
        again[...] = 0
    same(x, HOST)


def test_cuda(cp, x):
    assert cp.cuda.is_available() and cp.cuda.runtime.getDeviceCount() == 2
    with cp.cuda.Device(0) as device:
        assert x.device == device and device.id == 0
    cp.cuda.Stream.null.synchronize()
    assert x.data.ptr and x.flags.c_contiguous and not x.T.flags.c_contiguous
    assert cp.get_array_module(HOST, x) is cp and cp.get_array_module(HOST, 1.0) is np


def test_random(cp):
    y = cp.random.default_rng(0).standard_normal((2, 3), dtype=np.float32)
    assert isinstance(y, cp.ndarray) and y.shape == (2, 3) and y.dtype == np.float32


class Deferring:
    """Of a class that says so, CuPy leaves operators to its reflected ones, as NumPy does."""

    __array_ufunc__ = None

    def __radd__(self, other):
        return "theirs"

    def __array__(self, dtype=None, copy=None):
        return HOST


def test_defers_to_array_ufunc_none(cp, x):
    assert x + Deferring() == "theirs"
    with pytest.raises(TypeError, match="Deferring"):
        cp.exp(Deferring())
    with pytest.raises(TypeError, match="Deferring"):
        cp.sum(Deferring())
    with pytest.raises(TypeError, match="Deferring"):
        cp.einsum("ij->i", Deferring())


# ---- what it refuses ----

MIXING = {
    "operator": lambda cp, x, h: x + h,
    "reflected": lambda cp, x, h: h + x,
    "matmul": lambda cp, x, h: x @ h.T,
    "reflected_matmul": lambda cp, x, h: h @ x.T,
    "zero_d": lambda cp, x, h: x * np.array(2.0),
    "compare": lambda cp, x, h: x == h,
    "reflected_compare": lambda cp, x, h: h < x,
    "compare_none": lambda cp, x, h: x == None,  # noqa: E711
    "in_place": lambda cp, x, h: x.__iadd__(h),
    "in_place_host": lambda cp, x, h: h.__iadd__(x),
    "operator_list": lambda cp, x, h: x + [1.0, 2.0, 3.0],
    "method": lambda cp, x, h: x.dot(h.T),
    "method_keyword": lambda cp, x, h: x.clip(min=h),
    "method_out": lambda cp, x, h: x.sum(out=h),
    "function": lambda cp, x, h: cp.where(x > 1, x, h),
    "function_list": lambda cp, x, h: cp.concatenate([x, h]),
    "function_keyword": lambda cp, x, h: cp.bincount(x.astype(int)[0], weights=h[0]),
    "function_nested": lambda cp, x, h: cp.array([x, h]),
    "function_host_only": lambda cp, x, h: cp.sum(h),
    "einsum": lambda cp, x, h: cp.einsum("ij,ij->", x, h),
    "ufunc": lambda cp, x, h: cp.maximum(x, h),
    "ufunc_out": lambda cp, x, h: cp.exp(x, out=h),
    "add_at": lambda cp, x, h: cp.add.at(x, 0, h[0]),
    "index": lambda cp, x, h: x[np.array([0, 1])],
    "index_zero_d": lambda cp, x, h: x[np.array(0)],
    "index_tuple": lambda cp, x, h: x[:, np.array([0, 1])],
    "index_in_list": lambda cp, x, h: x[[np.array(0)]],
    "index_mask": lambda cp, x, h: x[h > 2],
    "assign": lambda cp, x, h: x.__setitem__(0, h[0]),
    "assign_list": lambda cp, x, h: x.__setitem__(0, [1.0, 2.0, 3.0]),
    "assign_at_mask": lambda cp, x, h: x.__setitem__(h > 2, 0.0),
    "assign_to_host": lambda cp, x, h: h.__setitem__(0, x[0]),
    "host_index": lambda cp, x, h: h[x > 2],
    "asarray": lambda cp, x, h: np.asarray(x),
    "array_of_zero_d": lambda cp, x, h: np.array([x[0, 0]]),
    "from_buffer": lambda cp, x, h: memoryview(x),
    "numpy_ufunc": lambda cp, x, h: np.exp(x),
    "numpy_ufunc_mixed": lambda cp, x, h: np.add(h, x),
    "numpy_ufunc_out": lambda cp, x, h: np.exp(h, out=x),
    "numpy_function": lambda cp, x, h: np.sum(x),
    "numpy_function_list": lambda cp, x, h: np.stack([x, x]),
    "numpy_shape": lambda cp, x, h: np.shape(x),
    "numpy_where": lambda cp, x, h: np.where(h > 1, h, x),
    "numpy_einsum": lambda cp, x, h: np.einsum("ij->", x),
    "numpy_testing": lambda cp, x, h: np.testing.assert_allclose(x, h),
}


@pytest.mark.parametrize("mix", MIXING.values(), ids=MIXING)
def test_refuses_numpy(cp, x, mix):
    with pytest.raises(TypeError):
        mix(cp, x, HOST.copy())


def test_refusals_name_what_came_and_the_fix(cp, x):
    with pytest.raises(TypeError, match=r"cupy.maximum .* numpy.ndarray: cupy.asarray"):
        cp.maximum(x, HOST)
    with pytest.raises(TypeError, match="Implicit conversion to a NumPy array is not allowed"):
        np.asarray(x)


LISTS = {
    "function": lambda cp, x: cp.sum([1.0, 2.0]),
    "ufunc": lambda cp, x: cp.exp([1.0]),
    "concatenate": lambda cp, x: cp.concatenate([x, [[1.0, 2.0, 3.0]]]),
    "where": lambda cp, x: cp.where(True, x, x),
    "broadcast_to": lambda cp, x: cp.broadcast_to(1.0, (2,)),
}


@pytest.mark.parametrize("call", LISTS.values(), ids=LISTS)
def test_refuses_lists_and_scalars_for_arrays(cp, x, call):
    with pytest.raises(TypeError, match="takes cupy arrays"):
        call(cp, x)


PARAMETERS = {
    "sum_where": lambda cp, x: cp.sum(x, where=x > 1),
    "sum_initial": lambda cp, x: x.sum(initial=0.0),
    "max_initial": lambda cp, x: cp.max(x, initial=0.0),
    "mean_where": lambda cp, x: x.mean(where=x > 1),
    "ufunc_where": lambda cp, x: cp.exp(x, where=x > 1),
    "ufunc_order": lambda cp, x: cp.exp(x, order="C"),
    "clip_half": lambda cp, x: cp.clip(x, 0),
    "clip_min": lambda cp, x: cp.clip(x, min=0),
    "take_along_axis": lambda cp, x: cp.take_along_axis(x, cp.argsort(x)),
    "einsum_out": lambda cp, x: cp.einsum("ij->i", x, out=cp.empty(2)),
    "pad_keyword": lambda cp, x: cp.pad(x, 1, values=3),
    "take_mode": lambda cp, x: x.take(0, mode="clip"),
    "zeros_like_device": lambda cp, x: cp.zeros(2, like=x),
    "as_strided": lambda cp, x: cp.lib.stride_tricks.as_strided(x, writeable=False),
    "item_index": lambda cp, x: x.item(0),
    "random": lambda cp, x: cp.random.default_rng(0).integers(3, dtype=int, seed=1),
}


@pytest.mark.parametrize("call", PARAMETERS.values(), ids=PARAMETERS)
def test_refuses_parameters_that_cupy_lacks(cp, x, call):
    with pytest.raises(TypeError, match="in CuPy"):
        call(cp, x)


LACKING = {
    "errstate": lambda cp, x: cp.errstate,
    "nditer": lambda cp, x: cp.nditer,
    "longdouble": lambda cp, x: cp.longdouble,
    "ndarray_ctypes": lambda cp, x: x.ctypes,
    "ndarray_setflags": lambda cp, x: x.setflags,
    "flags_writeable": lambda cp, x: x.flags.writeable,
    "linalg": lambda cp, x: cp.linalg.multi_dot,
    "random": lambda cp, x: cp.random.get_state,
    "rng_normal": lambda cp, x: cp.random.default_rng(0).normal,
    "rng_permutation": lambda cp, x: cp.random.default_rng(0).permutation,
    "new_attribute": lambda cp, x: setattr(x, "grad", None),
    "imatmul": lambda cp, x: x.__imatmul__,
    "index": lambda cp, x: x.__index__,
}


@pytest.mark.parametrize("name", LACKING.values(), ids=LACKING)
def test_lacks_what_cupy_lacks(cp, x, name):
    with pytest.raises(AttributeError):
        name(cp, x)


def test_says_that_cupy_lacks_it(cp, x):
    with pytest.raises(AttributeError, match=rf"CuPy {VERSION} has no cupy.errstate"):
        _ = cp.errstate
    with pytest.raises(AttributeError, match=r"has no cupy.ndarray.ctypes"):
        _ = x.ctypes


def test_says_what_it_does_not_model(cp, x):
    for owner, name in ((cp, "fuse"), (cp, "RawKernel"), (cp, "r_"), (x, "scatter_add")):
        with pytest.raises(NotImplementedError, match=rf"does not model .*\.{name}"):
            getattr(owner, name)


OTHERS = {
    "index_of_the_host": (TypeError, lambda cp, x: range(cp.arange(3)[2])),
    "slice": (TypeError, lambda cp, x: x[: cp.arange(3)[1]]),
    "axis": (TypeError, lambda cp, x: cp.sum(x, axis=cp.arange(3)[1])),
    "shape": (TypeError, lambda cp, x: x.reshape(cp.arange(3)[2], 3)),
    "hash": (TypeError, lambda cp, x: hash(x)),
    "iterate_0d": (TypeError, lambda cp, x: list(x[0, 0])),
    "len_0d": (TypeError, lambda cp, x: len(x[0, 0])),
    "truth": (ValueError, lambda cp, x: bool(x)),
    "two_masks": (TypeError, lambda cp, x: x[x[:, 0] > 0, x[0] > 0]),
    "dtype_object": (ValueError, lambda cp, x: cp.array([None])),
    "dtype_string": (ValueError, lambda cp, x: cp.array("photo")),
    "add_at_int64": (TypeError, lambda cp, x: cp.add.at(cp.arange(3), 0, 1)),
    "multiply_at": (NotImplementedError, lambda cp, x: cp.multiply.at(x, 0, 1.0)),
    "dlpack": (BufferError, lambda cp, x: np.from_dlpack(x)),
}


@pytest.mark.parametrize("error, act", OTHERS.values(), ids=OTHERS)
def test_refuses_as_cupy_does(cp, x, error, act):
    with pytest.raises(error):
        act(cp, x)


def test_record_is_whole():
    assert len(NAMES["cupy"]) > 400 and len(NAMES["cupy.ndarray"]) > 60
    assert NAMES["cupy"]["sum"] == "a, axis=None, dtype=None, out=None, keepdims=False"
    assert NAMES["cupy.ndarray"]["shape"] is None
