"""Tensor: making it, calculating with it, and handing it to Python, NumPy and others."""

import copy
import operator
import pickle

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
import tinydeconv.nn.functional as F
from tinydeconv import ops
from tinydeconv.tensor import Tensor

rng = np.random.default_rng(0)


def same(tensor, array):
    """Equal values, and the very shape and dtype."""
    assert isinstance(tensor, Tensor)
    array = np.asarray(array)
    assert (tensor.shape, tensor.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(tensor.detach().numpy(), array)


# ---------------------------------------------------------------- making tensors


@pytest.mark.parametrize(
    "data, dtype",
    [
        (1.5, "float32"),
        ([1, 2.5], "float32"),
        (3, "int64"),
        ([[1, 2], [3, 4]], "int64"),
        (True, "bool"),
        ([True, False], "bool"),
        ([], "float32"),
        (np.float64(2), "float64"),
        (np.arange(3.0), "float64"),
        (np.arange(3, dtype=np.int8), "int8"),
        (np.ones(2, np.float16), "float16"),
        (np.ones(2, ">f4"), "float32"),  # another machine's byte order becomes ours
        ([td.tensor(1.0), td.tensor(2.0)], "float32"),
        ([td.ones(2), td.zeros(2)], "float32"),
        ([np.ones(2), np.zeros(2)], "float64"),  # only Python's own floats become float32
        ([np.float64(1), 2.0], "float64"),
        ([[1, np.float64(1)], [2.0, 3]], "float64"),
        ([td.ones(2, dtype=td.float64)], "float64"),
        ([td.tensor(1.0, dtype=td.float64), 2.0], "float64"),
        ([np.float16(1), 2], "float16"),
        ([np.float16(1), 2.0], "float32"),
        ([np.ones(2, ">f8")], "float64"),
        ([np.int64(1), 2.0], "float32"),
        ([np.int8(1)], "int8"),
        (td.ones(2, dtype=td.int32), "int32"),
        (range(3), "int64"),
    ],
)
def test_tensor_chooses_the_dtype(data, dtype):
    x = td.tensor(data)
    assert x.dtype == dtype and x.dtype.isnative
    np.testing.assert_array_equal(x.numpy(), np.asarray(data))
    assert td.tensor(data, dtype=td.float16).dtype == "float16"


def test_tensor_copies_and_asarray_shares():
    array = np.ones(3)
    assert not np.shares_memory(td.tensor(array).data, array)
    assert td.asarray(array).data is array
    assert td.asarray(td.from_numpy(array)).data is array
    assert td.Tensor(array).data is array
    assert not np.shares_memory(td.asarray(array, dtype=td.float32).data, array)
    same(td.tensor(np.asfortranarray(np.arange(6).reshape(2, 3))), [[0, 1, 2], [3, 4, 5]])

    x = td.tensor(td.ones(2, requires_grad=True), requires_grad=False)
    assert not x.requires_grad and td.tensor([1.0], requires_grad=True).requires_grad


def test_what_cannot_be_a_tensor():
    for data in ("text", 1j, None, [1, "a"], np.array([1j]), np.array(["a"]), object()):
        with pytest.raises(TypeError, match="expected boolean, integer or floating numbers"):
            td.tensor(data)
    with pytest.raises(ValueError, match="inhomogeneous"):
        td.tensor([[1], [1, 2]])
    with refused(TypeError, "list", "td.tensor(...)"):
        td.Tensor([1.0])
    with refused(TypeError, "list"):
        td.from_numpy([1.0])
    with refused(RuntimeError, "int64", ".float()"):
        td.tensor([1, 2], requires_grad=True)
    with refused(TypeError, "complex128"):
        td.ones(2, dtype=complex)


def test_filled_tensors():
    same(td.zeros(2, 3), np.zeros((2, 3), np.float32))
    same(td.zeros((2, 3)), np.zeros((2, 3), np.float32))
    same(td.ones([2]), np.ones(2, np.float32))
    same(td.ones(2, dtype=td.int8), np.ones(2, np.int8))
    same(td.zeros(()), np.zeros((), np.float32))
    same(td.zeros(), np.zeros((), np.float32))
    same(td.zeros(0, 3), np.zeros((0, 3), np.float32))
    same(td.full((2,), 3), np.full(2, 3))
    same(td.full(2, 3.0), np.full(2, 3, np.float32))
    same(td.full((2, 1), True), np.full((2, 1), True))
    same(td.full((2,), 3, dtype=td.float64), np.full(2, 3.0))
    assert td.ones(2, requires_grad=True).requires_grad
    with refused(TypeError, "float"):
        td.zeros(2.5)
    for make in (
        lambda: td.zeros(2, -1),
        lambda: td.ones((2, -1)),
        lambda: td.full((2, -1), 3),
        lambda: td.full(-1, 3),
        lambda: td.rand(2, -1),
        lambda: td.randn([-1]),
        lambda: td.randint(3, (2, -1)),
        lambda: td.linspace(0, 1, -1),
    ):
        with refused(ValueError, "expected", "negative", -1):
            make()


def test_counted_tensors():
    same(td.arange(3), [0, 1, 2])
    same(td.arange(1, 7, 2), [1, 3, 5])
    same(td.arange(3, 0, -1), [3, 2, 1])
    same(td.arange(1, 2, 0.25), np.float32([1, 1.25, 1.5, 1.75]))
    same(td.arange(np.float32(0.5), 2), np.float32([0.5, 1.5]))
    same(td.arange(2.0), np.float32([0, 1]))
    same(td.arange(2, dtype=td.float64), [0.0, 1.0])
    same(td.linspace(0, 1, 5), np.float32([0, 0.25, 0.5, 0.75, 1]))
    same(td.linspace(1, 0, 2, dtype=td.float64), [1.0, 0.0])
    with refused(ValueError, 0):
        td.arange(0, 1, 0)


def test_a_seed_repeats_all_random_numbers():
    def draw():
        return [
            td.rand(2, 3),
            td.randn(3),
            td.randint(10, (4,)),
            td.rand_like(td.ones(2)),
            td.randn_like(td.ones(2, dtype=td.float64)),
            td.randint_like(td.ones(2), 5),
        ]

    td.manual_seed(7)
    first = draw()
    td.manual_seed(7)
    state = td.get_rng_state()
    second, third = draw(), draw()
    td.set_rng_state(state)
    again = draw()
    for a, b, d in zip(first, second, again, strict=True):
        same(a, b.numpy())
        same(a, d.numpy())
    assert any((a != c).any() for a, c in zip(first, third, strict=True))
    td.manual_seed(7)
    assert (
        td.randn(3, dtype=td.float64).float().tolist()
        == (
            td.manual_seed(7),
            td.randn(3).tolist(),
        )[1]
    )  # the same numbers in every dtype, but for rounding
    with refused(ValueError, -1):
        td.manual_seed(-1)


def test_random_numbers_look_as_they_should():
    td.manual_seed(0)
    uniform, normal, integers = td.rand(10_000), td.randn(100, 100), td.randint(-3, 4, (10_000,))
    assert uniform.dtype == normal.dtype == "float32" and integers.dtype == "int64"
    assert uniform.min().item() >= 0 and uniform.max().item() < 1
    assert abs(uniform.mean().item() - 0.5) < 0.02
    assert abs(normal.mean().item()) < 0.04 and abs(normal.std().item() - 1) < 0.03
    assert sorted(set(integers.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    for dtype in ("float16", "float64"):
        assert td.rand(2, dtype=dtype).dtype == td.randn(2, dtype=dtype).dtype == dtype
    half = td.rand(200_000, dtype=td.float16)  # rounding must not reach 1
    assert half.min().item() >= 0 and 0.99 < half.max().item() < 1
    assert abs(half.mean().item() - 0.5) < 0.01 and len(set(half.tolist())) > 2000


def test_randint_forms():
    assert td.randint(1, (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert td.randint(4, 5, (2,)).tolist() == [4, 4]
    assert td.randint(4, 5, size=[1]).tolist() == [4]
    assert td.randint(4, high=5, size=(1,), dtype=td.uint8).dtype == "uint8"
    assert td.randint(1, ()).shape == ()
    with refused(ValueError, 5, 3):
        td.randint(5, 3, (2,))
    with refused(TypeError, "(2, 3)", "None"):
        td.randint(5)
    for low, high, dtype, least, most in (
        (0, 257, "uint8", 0, 255),
        (-1, 3, "uint8", 0, 255),
        (-129, 0, "int8", -128, 127),
        (0, 3, "bool", 0, 1),
        (-1, 1, "bool", 0, 1),
    ):
        with refused(ValueError, low, high - 1, dtype, least, most):
            td.randint(low, high, (5,), dtype=dtype)
    assert td.randint(255, 256, (2,), dtype=td.uint8).tolist() == [255, 255]
    assert td.randint(-128, -127, (2,), dtype=td.int8).tolist() == [-128, -128]
    assert td.randint(1, 2, (2,), dtype=td.bool).tolist() == [True, True]


@pytest.mark.parametrize("x", [td.ones(2, 3, dtype=td.int16), td.ones(2, dtype=td.float64)])
def test_like(x):
    for y in (
        td.zeros_like(x),
        td.ones_like(x),
        td.full_like(x, 3),
        *((td.rand_like(x), td.randn_like(x)) if x.is_floating_point() else ()),
        td.randint_like(x, 3),
        td.randint_like(x, 2, 3),
    ):
        assert (y.shape, y.dtype, y.device) == (x.shape, x.dtype, x.device)
    assert td.full_like(x, 3).max().item() == 3 == td.full_like(x, 3).min().item()
    assert td.randint_like(x, 2, 3).max().item() == 2
    with refused(TypeError, "randn", "int64", "randint"):
        td.randn(2, dtype=td.int64)
    assert td.zeros_like(x, dtype=td.float32, requires_grad=True).requires_grad
    assert td.zeros_like.__name__ == "zeros_like" and td.zeros_like.__doc__


# ---------------------------------------------------------------- devices


def test_devices():
    assert td.ones(2).device == td.device("cpu") and str(td.device("cpu")) == "cpu"
    assert td.device("cuda") == td.device("cuda", 0) == td.device("cuda:0") != td.device("cuda:1")
    assert str(td.device("cuda", 1)) == "cuda:1"
    assert repr(td.device("cpu")) == "device(type='cpu')"
    assert repr(td.device("cuda:1")) == "device(type='cuda', index=1)"
    assert len({td.device("cuda"), td.device("cuda:0"), td.device("cpu")}) == 2
    x = td.ones(2)
    assert x.to("cpu") is x and x.cpu() is x and x.to(td.device("cpu")) is x
    for name in ("tpu", "cuda:x", "cpu cuda", "", 3):
        with refused(ValueError, repr(name), "'cpu'", "'cuda'"):
            td.device(name)
    with refused(ValueError, "'gpu'"):
        td.zeros(2, device="gpu")


def test_cuda_without_cupy_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)  # importing it fails
    monkeypatch.setattr(td.cuda, "driver_version", lambda: None)
    for ask in (
        lambda: td.ones(2).to("cuda"),
        lambda: td.ones(2).cuda(),
        lambda: td.zeros(2, device="cuda:1"),
        lambda: td.tensor([1.0], device=td.device("cuda")),
    ):
        with refused(RuntimeError, "CuPy", "tinydeconv[cuda13]", "[cuda12]"):
            ask()


# ---------------------------------------------------------------- casts


def test_casts():
    x = td.tensor([0.0, 1.7, -2.2])
    same(x.float(), x.data)
    assert x.float() is x and x.to("float32") is x and x.astype(np.float32) is x
    same(x.double(), x.data.astype(np.float64))
    same(x.long(), [0, 1, -2])
    same(x.int(), np.int32([0, 1, -2]))
    same(x.bool(), [False, True, True])
    same(x.to(td.float16), x.data.astype(np.float16))
    same(x.to(td.ones(1, dtype=td.int8)), np.int8([0, 1, -2]))
    same(x.to(float), x.data.astype(np.float64))
    for bad in ("complex64", complex, "S3"):
        with pytest.raises(TypeError, match="expected boolean, integer or floating"):
            x.astype(bad)


# ---------------------------------------------------------------- operators

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
INTEGER = [operator.floordiv, operator.mod]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("function", ARITHMETIC + INTEGER + COMPARISONS)
def test_operators_agree_with_numpy(function):
    a, b = np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([3, 2, 5])
    x, y = td.tensor(a), td.tensor(b)
    same(function(x, y), function(a, b))
    same(function(x, 2), function(a, np.float32(2)))
    same(function(2, x), function(np.float32(2), a))
    for scalar in (2, 2.0, np.float64(2), np.int64(2), np.float32(2), True, np.array(2.0)):
        assert function(x, scalar).dtype == function(scalar, x).dtype == function(a, b).dtype
        same(function(x, scalar), function(a, np.float32(scalar)))
        same(function(scalar, x), function(np.float32(scalar), a))
    same(function(x, b), function(a, b))
    same(function(b, x), function(b, a))
    assert function(a.astype(np.float64), x).dtype == function(1.0, a.astype(np.float64)).dtype


def test_floor_division_and_remainder_follow_pythons_signs():
    a, b = td.tensor([7, -7, 7, -7]), td.tensor([2, 2, -2, -2])
    assert (a // b).tolist() == [3, -4, -4, 3]
    assert (a % b).tolist() == [1, 1, -1, -1]
    assert (a.float() % b).tolist() == [1.0, 1.0, -1.0, -1.0]


def test_remainders_of_large_quotients_and_infinities_are_exact():
    x = td.tensor([1e10, -1e10, 5.0, -5.0, -5.0, 0.0, 1.0])
    y = td.tensor([3.0, 3.0, np.inf, np.inf, -np.inf, 2.0, 0.0])
    same(x % y, np.float32([1, 2, 5, np.inf, -5, 0, np.nan]))
    same(td.tensor(1e17, dtype=td.float64) % 3, np.float64(1))  # 10^17 = 9 * k + 1
    same(td.tensor([2**62 + 1]) % 4, [1])
    with refused(ZeroDivisionError, "integer"):
        td.tensor([5]) % td.tensor([0])


def test_small_integers_wrap_around_against_larger_numbers():
    x = td.tensor([1, 255], dtype=td.uint8)
    same(x == -1, [False, True])
    same(x < 300, [True, False])
    same(x + 300, np.uint8([45, 43]))
    same(300 - x, np.uint8([43, 45]))
    same(x * -1, np.uint8([255, 1]))
    same(td.tensor([1, 2], dtype=td.int8) + np.int64(200), np.int8([-55, -54]))
    same(td.tensor([1.0], dtype=td.float16) + 70000, np.float16([np.inf]))


def test_unary_operators():
    x = td.tensor([1.0, -2.0])
    assert (-x).tolist() == [-1.0, 2.0] and abs(x).tolist() == [1.0, 2.0] and (+x) is x
    assert (-td.tensor([1, -2])).tolist() == [-1, 2]
    assert (~(x > 0)).tolist() == [False, True]
    assert (~td.tensor([0, 5])).tolist() == [-1, -6]


def test_logic():
    a, b = td.tensor([True, True, False]), td.tensor([True, False, False])
    assert (a & b).tolist() == [True, False, False]
    assert (a | b).tolist() == [True, True, False]
    assert (a ^ b).tolist() == [False, True, False]
    assert (td.tensor([6]) & 3).tolist() == [2]
    assert (True ^ a).tolist() == [False, False, True]


def test_an_array_on_the_left_gives_way():
    x = td.ones(2, requires_grad=True)
    for y in (np.ones(2, np.float32) + x, np.float64(2) * x, np.ones((2, 2)) - x, np.int8(1) / x):
        assert isinstance(y, Tensor) and y.requires_grad
    assert (np.float64(2) * x).dtype == np.float32
    assert (np.ones(2) + x).dtype == np.float64  # an array, unlike a scalar, counts
    assert isinstance(np.ones(2) > x, Tensor)


def test_matmul_takes_tensors_alone():
    x = td.ones(2)
    for multiply in (lambda: x @ np.ones(2), lambda: np.ones(2) @ x, lambda: x @ 2.0):
        with refused(TypeError, "matmul", "Tensor", "td.tensor(...)"):
            multiply()


def test_numpys_functions_do_not_swallow_a_tensor():
    x, array = td.ones(2), np.ones(2)
    with pytest.raises(TypeError, match="Tensor"):
        np.exp(x)
    with pytest.raises(TypeError, match="Tensor"):
        np.add(array, x)
    with pytest.raises(TypeError):
        array += x
    assert array.tolist() == [1.0, 1.0]
    with pytest.raises(TypeError):
        np.mean(x)
    stacked = np.stack([x, x])
    assert type(stacked) is np.ndarray and stacked.shape == (2, 2)
    with pytest.raises(RuntimeError, match="detach"):
        np.stack([td.ones(2, requires_grad=True)])


def test_augmented_assignment_makes_a_new_tensor():
    x = y = td.ones(2)
    x += 1
    assert y.tolist() == [1.0, 1.0] and x.tolist() == [2.0, 2.0]


def test_comparisons_are_boolean_tensors_and_hashes_are_identities():
    x, y = td.ones(2), td.ones(2)
    same(x == y, [True, True])
    same(x < 2, [True, True])
    same(x > 2, [False, False])
    same(np.ones(2) == x, [True, True])
    assert not (x == y).requires_grad
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1 and y not in {x: 1}
    assert (x == None) is False  # noqa: E711


@pytest.mark.parametrize(
    "a, b",
    [
        ((3,), (2, 3)), ((2, 1), (1, 3)), ((), (2,)), ((0, 3), (1, 3)), ((2, 1, 4), (3, 1)),
        ((1,), (0,)),
    ],
)  # fmt: skip
def test_broadcasting(a, b):
    x, y = (rng.normal(size=s) for s in (a, b))
    p, q = td.tensor(x, requires_grad=True), td.tensor(y, requires_grad=True)
    same(p * q, x * y)
    seed = rng.normal(size=(x * y).shape)
    gp, gq = td.grad(p * q, [p, q], td.tensor(seed))
    ones = np.ones(seed.shape)
    for g, other, shape in ((gp, y, a), (gq, x, b)):
        whole = seed * (other * ones)
        added = whole.sum(axis=tuple(range(whole.ndim - len(shape))))
        kept = tuple(i for i, n in enumerate(shape) if n == 1 and added.shape[i] != 1)
        np.testing.assert_allclose(g.numpy(), added.sum(axis=kept, keepdims=True), rtol=1e-12)


def test_sizes_that_do_not_broadcast():
    with refused(ValueError, "(2,3)", "(2,)"):
        td.ones(2, 3) + td.ones(2)
    with refused(ValueError, "(2,)", "(3,)"):
        td.where(td.ones(2) > 0, td.ones(2), td.ones(3))


# ---------------------------------------------------------------- indexing

KEYS = [
    0,
    -1,
    np.int64(1),
    (1, 2),
    (1, -1, 0),
    slice(None),
    slice(1, None),
    (slice(None, None, 2), slice(None, None, -1)),
    (slice(2, 0, -1), 0),
    slice(5, 9),
    None,
    (None, 0, None),
    Ellipsis,
    (..., 0),
    (0, ..., None, 1),
    (),
    [0, 2],
    [0, 0, 1],
    [[0, 1], [2, 0]],
    np.array([2, 1]),
    np.array(1),
    ([0, 1], [2, 3]),
    (slice(None), [1, 1, 3]),
    ([0, 1], slice(None), [1, 0]),  # the axes of the arrays come first
    ([[0], [1]], [1, 2]),
    (0, [1, 2]),
    (..., [0, 1]),
    ([1, 2], None),
    [True, False, True],
    np.array([False, True, False]),
    (slice(None), np.array([True, False, True, False])),
    rng.random((3, 4)) > 0.5,
    rng.random((3, 4, 2)) > 0.5,
    np.zeros((3, 4, 2), bool),
    True,
    False,
    [],
    np.zeros((0, 2), int),
    (slice(0, 0), [0, 1]),
]


def as_tensors(key):
    """The key with its arrays and lists as Tensors, integers as 0-d ones."""
    if isinstance(key, tuple):
        return tuple(map(as_tensors, key))
    if key is None or key is Ellipsis or isinstance(key, (slice, bool)):
        return key
    return td.tensor(key) if np.size(key) else td.tensor(key, dtype=td.int64)


@pytest.mark.parametrize("key", KEYS)
def test_indexing_agrees_with_numpy(key):
    array = rng.normal(size=(3, 4, 2))
    plain = np.zeros(0, int) if isinstance(key, list) and not key else key  # NumPy's [] is a float
    expected = array[plain]
    x = td.tensor(array, requires_grad=True)
    y = x[key]
    same(y, expected)
    same(x[as_tensors(key)], expected)

    weights = rng.normal(size=y.shape)
    y.backward(td.tensor(weights))
    gradient = np.zeros_like(array)
    np.add.at(gradient, plain, weights)  # repeated ones add up
    np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-14)


def test_tensors_inside_slices():
    x = td.arange(5)
    assert x[td.tensor(1) : td.tensor(4)].tolist() == [1, 2, 3]
    assert x[[td.tensor(0), td.tensor(3)]].tolist() == [0, 3]


@pytest.mark.parametrize(
    "key, kind, words",
    [
        (3, IndexError, (3,)),
        ((0, 0, 0), IndexError, (2, 3)),
        ([0, 5], IndexError, (5, 3)),
        (td.tensor([0, -4]), IndexError, (-4, 3)),
        (td.tensor([True, False]), IndexError, (3, 2)),
        (2.0, IndexError, ("float64",)),
        (td.tensor([0.0]), IndexError, ("float32",)),
        ("a", IndexError, ()),
        (slice(0.5, 2), TypeError, ()),
    ],
)
def test_indexing_errors(key, kind, words):
    with refused(kind, *words):
        td.ones(3, 2)[key]


def test_items_cannot_be_assigned():
    x = td.ones(3)
    with pytest.raises(TypeError):
        x[0] = 2.0


def test_gather():
    array = rng.normal(size=(3, 4))
    index = np.array([[0, 2, 1, 0], [2, 2, 2, 1]])
    x = td.tensor(array, requires_grad=True)
    y = td.gather(x, 0, td.tensor(index))
    same(y, np.take_along_axis(array, index, 0))
    same(x.gather(-1, td.tensor([[3], [0]])), [[array[0, 3]], [array[1, 0]]])
    y.sum().backward()
    assert x.grad.tolist() == [[1, 0, 0, 1], [0, 0, 1, 1], [1, 2, 1, 0]]


# ---------------------------------------------------------------- reductions


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2), [1], (2, 0, 1)])
@pytest.mark.parametrize(
    "name, reference",
    [
        ("sum", np.sum), ("mean", np.mean), ("amax", np.max), ("amin", np.min),
        ("all", np.all), ("any", np.any),
        ("var", lambda a, axis, keepdims: np.var(a, axis, keepdims=keepdims, ddof=1)),
        ("std", lambda a, axis, keepdims: np.std(a, axis, keepdims=keepdims, ddof=1)),
        ("norm", lambda a, axis, keepdims: np.sqrt(np.sum(a * a, axis, keepdims=keepdims))),
    ],
)  # fmt: skip
def test_reductions_agree_with_numpy(name, reference, dim, keepdim):
    array = rng.normal(size=(2, 3, 4)) * (rng.random((2, 3, 4)) > 0.3)
    axis = tuple(dim) if isinstance(dim, list) else dim
    y = getattr(td.tensor(array), name)(dim=dim, keepdim=keepdim)
    expected = reference(array, axis=axis, keepdims=keepdim)
    assert (y.shape, y.dtype) == (np.shape(expected), np.asarray(expected).dtype)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-13)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_max_and_min_along_a_dimension(dim, keepdim):
    array = rng.integers(0, 3, size=(3, 4, 5)).astype(float)  # with ties
    x = td.tensor(array)
    for name in ("max", "min"):
        values, indices = getattr(x, name)(dim, keepdim=keepdim)
        same(values, getattr(array, name)(axis=dim, keepdims=keepdim))
        same(indices, getattr(array, f"arg{name}")(axis=dim, keepdims=keepdim))
        assert getattr(x, name)(dim)._fields == ("values", "indices")
        same(getattr(x, f"arg{name}")(dim, keepdim), indices.numpy())
        same(getattr(x, f"arg{name}")(), getattr(array, f"arg{name}")())
        same(getattr(x, name)(), getattr(array, name)())
    same(x.max(td.ones(5)), np.maximum(array, 1))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_softmax_and_its_relatives_agree_with_the_formula_and_never_overflow(dim):
    array = rng.normal(size=(3, 4)) * 5
    total = np.log(np.exp(array).sum(axis=dim, keepdims=True))
    for shift in (0, 1e4):
        x = td.tensor(array + shift)
        np.testing.assert_allclose(td.softmax(x, dim).numpy(), np.exp(array - total), rtol=1e-9)
        np.testing.assert_allclose(td.log_softmax(x, dim).numpy(), array - total, atol=1e-9)
        np.testing.assert_allclose(
            td.logsumexp(x, dim, keepdim=True).numpy(), total + shift, rtol=1e-12
        )
        assert td.logsumexp(x, dim).shape == total.squeeze(dim).shape
    assert td.logsumexp(x, (0, 1)).shape == ()


def test_norms():
    array = rng.normal(size=(2, 3))
    x = td.tensor(array)
    for p in (1, 2, 3, 2.5, np.inf, 0, -1, -np.inf):
        for axis in (0, 1):
            np.testing.assert_allclose(
                x.norm(p, axis).numpy(), np.linalg.norm(array, p, axis), rtol=1e-13
            )
        np.testing.assert_allclose(x.norm(p).item(), np.linalg.norm(array.ravel(), p), rtol=1e-13)
    assert x.norm("fro").item() == x.norm().item()
    with refused(ValueError, "'nuc'"):
        x.norm("nuc")


def test_variance_corrections():
    array = rng.normal(size=(4, 5))
    for correction in (0, 1, 2):
        y = td.tensor(array).var(0, correction=correction)
        np.testing.assert_allclose(y.numpy(), array.var(axis=0, ddof=correction), rtol=1e-13)
    assert np.isnan(td.ones(1).var().item()) and td.ones(1).var(correction=0).item() == 0.0


def test_float16_is_added_up_in_float32():
    half = np.float16
    same(td.ones(4096, 2, dtype=half).sum(0), half([4096, 4096]))
    same(td.ones(70000, dtype=half).mean(), half(1))  # the sum alone is infinite
    same(td.ones(70000, dtype=half).sum(), half(np.inf))
    x = td.tensor(np.full((300, 300), 2, half), requires_grad=True)
    loss = F.mse_loss(x, td.zeros(300, 300, dtype=half))
    same(loss, half(4))
    loss.backward()
    assert x.grad.dtype == half
    np.testing.assert_allclose(x.grad.numpy(), np.full((300, 300), 4 / 90000), rtol=4e-3)
    same(F.batch_norm(x * 0 + 1, training=True), np.zeros((300, 300), half))
    y = td.ones(1, 2, dtype=half, requires_grad=True)
    (td.ones(4096, 2, dtype=half) * y).backward(td.ones(4096, 2, dtype=half))
    same(y.grad, half([[4096, 4096]]))
    same(td.full((300,), 1, dtype=td.int8).sum(dtype=td.int8), np.int8(44))


def test_no_dims_at_all_mean_all_of_them():
    x = td.arange(4.0).reshape(2, 2)
    for name in ("sum", "mean", "amax", "amin", "var", "std", "norm"):
        for none in ((), []):
            same(getattr(x, name)(dim=none), getattr(x, name)().numpy())
    same(x.sum((), keepdim=True), np.float32([[6]]))
    same(x.all(()), [[False, True], [True, True]])  # PyTorch's all, any and squeeze differ
    same(td.ones(1, 2).squeeze(()), np.ones((1, 2), np.float32))


def test_the_gradient_of_a_largest_element_goes_to_the_nan():
    for values, expected in (([1, np.nan], [0, 1]), ([np.nan, 1, np.nan], [0.5, 0, 0.5])):
        for name in ("max", "min"):
            x = td.tensor(np.float32(values), requires_grad=True)
            getattr(x, name)().backward()
            assert x.grad.tolist() == expected


def test_softmax_of_nothing():
    for x, dim in ((td.zeros(3, 0), 1), (td.zeros(0, 3), 0), (td.zeros(3, 0), 0)):
        same(td.softmax(x, dim), np.zeros(x.shape, np.float32))
        same(td.log_softmax(x, dim), np.zeros(x.shape, np.float32))
    same(td.logsumexp(td.zeros(3, 0), 1), np.full(3, -np.inf, np.float32))
    same(td.logsumexp(td.zeros(3, 0), 0, keepdim=True), np.zeros((1, 0), np.float32))


def test_sums_of_integers_and_booleans():
    same(td.full((300,), 1, dtype=td.uint8).sum(), np.int64(300))
    same((td.ones(3) > 0).sum(), np.int64(3))
    same(td.ones(3).sum(dtype=td.float64), np.float64(3))
    same(td.tensor([1, 2]).mean(dtype=td.float32), np.float32(1.5))


def test_reduction_errors():
    x = td.ones(2, 3)
    for name in ("sum", "mean", "amax", "argmax", "max", "all", "norm", "std"):
        with refused(IndexError, 2, 5):
            getattr(x, name)(dim=5)
    with refused(ValueError, "(0, -2)"):
        x.sum((0, -2))
    with refused(TypeError, "str"):
        x.sum("rows")
    for name in ("mean", "var", "std", "std_mean", "norm", "softmax", "log_softmax"):
        with refused(TypeError, "int64", ".float()"):
            getattr(td, name)(x.long(), 1)
    for name in ("max", "amin", "argmin"):
        with refused(ValueError, "(2, 0)"):
            getattr(td.ones(2, 0), name)()
        with refused(ValueError, "(2, 0)", "(1,)"):
            getattr(td.ones(2, 0), name)(dim=1)
    assert td.ones(2, 0).sum(1).tolist() == [0.0, 0.0]
    assert td.ones(2, 0).amax(0).shape == (0,)


# ---------------------------------------------------------------- shapes


MOVES = [  # of shape (2, 3, 4), by us and by NumPy
    (lambda x: x.reshape(4, 6), lambda a: a.reshape(4, 6)),
    (lambda x: x.reshape((6, -1)), lambda a: a.reshape(6, 4)),
    (lambda x: x.reshape(-1), np.ravel),
    (lambda x: x.T.reshape(4, 6), lambda a: a.T.reshape(4, 6)),
    (lambda x: x.reshape_as(td.ones(8, 3)), lambda a: a.reshape(8, 3)),
    (lambda x: x.flatten(), np.ravel),
    (lambda x: x.flatten(1), lambda a: a.reshape(2, 12)),
    (lambda x: x.flatten(0, 1), lambda a: a.reshape(6, 4)),
    (lambda x: x[1, 2, 3].flatten(), lambda a: a[1, 2, 3:]),
    (lambda x: x.permute(2, 0, 1), lambda a: a.transpose(2, 0, 1)),
    (lambda x: x.permute((-1, 0, 1)), lambda a: a.transpose(2, 0, 1)),
    (lambda x: x.transpose(0, -1), lambda a: a.swapaxes(0, 2)),
    (lambda x: x.T, lambda a: a.T),
    (lambda x: x.mT, lambda a: a.swapaxes(1, 2)),
    (lambda x: x[0].t(), lambda a: a[0].T),
    (lambda x: x.flip(0), lambda a: a[::-1]),
    (lambda x: x.flip(0, -1), lambda a: a[::-1, :, ::-1]),
    (lambda x: x.unsqueeze(0), lambda a: a[None]),
    (lambda x: x.unsqueeze(-1), lambda a: a[..., None]),
    (lambda x: x[:1].squeeze(), lambda a: a[0]),
    (lambda x: x[:1, :1].squeeze(0), lambda a: a[0, :1]),
    (lambda x: x[:1, :1].squeeze((0, 1)), lambda a: a[0, 0]),
    (lambda x: x.squeeze(1), lambda a: a),
    (lambda x: x[:, :1].expand(2, 3, 4), lambda a: a[:, :1].repeat(3, 1)),
    (lambda x: x[0, 0].expand(5, -1), lambda a: np.tile(a[0, 0], (5, 1))),
    (lambda x: x[0, :1].expand_as(x[0]), lambda a: a[0, :1].repeat(3, 0)),
    (lambda x: td.cat([x, x[:, :1]], 1), lambda a: np.concatenate([a, a[:, :1]], 1)),
    (lambda x: td.cat([x], -1), lambda a: a),
    (lambda x: td.stack([x, x]), lambda a: np.stack([a, a])),
    (lambda x: td.stack([x, x * 2], -1), lambda a: np.stack([a, a * 2], -1)),
    (lambda x: x.split(3, 2)[1], lambda a: a[:, :, 3:]),
    (lambda x: x.split([1, 0, 3], -1)[2], lambda a: a[:, :, 1:]),
    (lambda x: td.where(x == x, x, 0), lambda a: a),
    (lambda x: x.sum((0, 2)), lambda a: a.sum((0, 2))),
    (lambda x: x.mean(1, keepdim=True), lambda a: a.mean(1, keepdims=True)),
]


@pytest.mark.parametrize("ours, numpys", MOVES)
def test_moving_agrees_with_numpy_and_its_gradient_is_its_transpose(ours, numpys):
    array, other = np.arange(24.0).reshape(2, 3, 4), rng.normal(size=(2, 3, 4))
    x = td.tensor(array, requires_grad=True)
    y = ours(x)
    same(y, numpys(array))
    g = rng.normal(size=y.shape)
    y.backward(td.tensor(g))
    np.testing.assert_allclose(np.vdot(x.grad.data, other), np.vdot(g, numpys(other)), rtol=1e-12)


def test_reshaping_nothing():
    same(td.zeros(0, 3).reshape(0), np.zeros(0, np.float32))
    same(td.zeros(0, 3).reshape(-1, 3), np.zeros((0, 3), np.float32))


@pytest.mark.parametrize(
    "call, kind, words",
    [
        (lambda x: x.reshape(4), ValueError, ("(2, 3)", 6, "(4,)")),
        (lambda x: x.reshape(-1, 4), ValueError, ("(2, 3)", 6, "(-1, 4)")),
        (lambda x: x.reshape(-1, -1), ValueError, ("(2, 3)", "(-1, -1)")),
        (lambda x: x.reshape(-2, -3), ValueError, ("(2, 3)", "(-2, -3)")),
        (lambda x: x[:0].reshape(-1, 0), ValueError, ("(0, 3)", "(-1, 0)")),
        (lambda x: x.reshape(6.0), TypeError, ("float",)),
        (lambda x: x.permute(0), ValueError, ("(2, 3)", 2, "(0,)")),
        (lambda x: x.permute(0, 0), ValueError, ("(0, 0)",)),
        (lambda x: x.permute(0, 2), IndexError, (2,)),
        (lambda x: x.transpose(0, 3), IndexError, (2, 3)),
        (lambda x: x.unsqueeze(0).t(), ValueError, (3, "(1, 2, 3)")),
        (lambda x: x.expand(3, 3), ValueError, ("(2, 3)", "(3, 3)")),
        (lambda x: x.expand(3), ValueError, ("(2, 3)", 2, "(3,)")),
        (lambda x: x.expand(-1, 2, 3), ValueError, ("(2, 3)", "(-1, 2, 3)")),
        (lambda x: x.squeeze(2), IndexError, (2,)),
        (lambda x: x.unsqueeze(4), IndexError, (3, 4)),
        (lambda x: x.flatten(1, 0), ValueError, (1, 0)),
        (lambda x: x.flip(2), IndexError, (2,)),
        (lambda x: td.cat([]), ValueError, ("none",)),
        (lambda x: td.cat([x, x.T]), ValueError, (0, "(2, 3)", 1, "(3, 2)")),
        (lambda x: td.cat([x, x, x[0]]), ValueError, (0, "(2, 3)", 2, "(3,)")),
        (lambda x: td.cat([x, x], dim=2), IndexError, (2,)),
        (lambda x: td.stack([]), ValueError, ("none",)),
        (lambda x: td.stack([x, x.T]), ValueError, ("(2, 3)", 1, "(3, 2)")),
        (lambda x: td.stack([x, x], dim=3), IndexError, (3,)),
        (lambda x: td.split(x, 0), ValueError, (0,)),
        (lambda x: td.split(x, [1, 2]), ValueError, ("[1, 2]", 0, "(2, 3)")),
        (lambda x: td.split(x, [-1, 4], dim=1), ValueError, ("[-1, 4]", 1, "(2, 3)")),
        (lambda x: td.split(x, 1, dim=2), IndexError, (2,)),
    ],
)
def test_shape_errors(call, kind, words):
    with refused(kind, *words):
        call(td.ones(2, 3))


def test_joining_and_splitting():
    x = td.arange(6).reshape(2, 3)
    for mine, grid in zip(td.meshgrid([x[0], x[1]]), np.meshgrid(x.data[0], x.data[1])):
        same(mine, grid.T)
    assert td.cat([x.float(), x.double()]).dtype == "float64"
    for pieces, sizes in ((x.split(2, 1), (2, 1)), (td.split(x, [1, 0, 2], dim=-1), (1, 0, 2))):
        assert isinstance(pieces, tuple) and tuple(p.shape[1] for p in pieces) == sizes
        same(td.cat(pieces, 1), x.data)


def test_where():
    a = np.arange(3.0)
    x = td.tensor(a)
    same(td.where(x > 1, x, -1), np.where(a > 1, a, -1))
    same((x * 2).where(x > 1, 0.0), np.where(a > 1, a * 2, 0))
    same(td.where(x > 1, 1.0, 0.0), np.float32([0, 0, 1]))
    same(td.where(x > 1, 1, 0), [0, 0, 1])
    with refused(TypeError, "float64"):
        td.where(x, x, x)


# ---------------------------------------------------------------- products


@pytest.mark.parametrize(
    "a, b",
    [
        ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)),
        ((5, 2, 3), (3,)), ((2, 0), (0, 3)), ((0, 3), (3, 2)), ((0, 2, 3), (3, 4)),
        ((6, 5, 2, 3), (3, 1)),
    ],
)  # fmt: skip
def test_matmul_agrees_with_numpy(a, b):
    x, y = rng.normal(size=a), rng.normal(size=b)
    p, q = td.tensor(x, requires_grad=True), td.tensor(y, requires_grad=True)
    for product in (p @ q, td.matmul(p, q), p.matmul(q)):
        assert product.shape == (x @ y).shape and product.dtype == np.float64
        np.testing.assert_allclose(product.detach().numpy(), x @ y, rtol=1e-12, atol=1e-14)
    u, v = td.randn(*a, dtype=np.float64), td.randn(*b, dtype=np.float64)
    gp, gq = td.grad((p @ q).sum(), [p, q])  # against the differential of the product
    np.testing.assert_allclose((gp * u).sum().item(), (u.data @ y).sum(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose((gq * v).sum().item(), (x @ v.data).sum(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "case",
    [
        ("i->", (3,)),
        ("i->i", (3,)),
        ("ij->ji", (2, 3)),
        ("ji", (2, 3)),
        ("ij->", (2, 3)),
        ("ij->j", (2, 3)),
        ("ii", (3, 3)),
        ("ii->i", (3, 3)),
        ("iii->i", (2, 2, 2)),
        ("iiii", (2, 2, 2, 2)),
        ("iji->ji", (3, 2, 3)),
        ("iijj->ij", (2, 2, 3, 3)),
        ("i,i", (3,), (3,)),
        ("i,j->ij", (3,), (2,)),
        ("i,j->ji", (3,), (2,)),
        ("i,j->", (3,), (2,)),
        ("ij,jk", (2, 3), (3, 4)),
        ("ij,jk->ki", (2, 3), (3, 4)),
        ("ij,kj->ik", (2, 3), (4, 3)),
        ("ba,ca", (2, 3), (4, 3)),
        ("ij,ij->", (2, 3), (2, 3)),
        ("ij,ij->ij", (2, 3), (2, 3)),
        ("ij,ji->", (2, 3), (3, 2)),
        ("ij,j->ij", (2, 3), (3,)),
        ("ij,i->j", (2, 3), (2,)),
        ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
        ("bij,bjk", (5, 2, 3), (5, 3, 4)),
        ("bij,bjk->ik", (5, 2, 3), (5, 3, 4)),
        ("bij,jk->bik", (5, 2, 3), (3, 4)),
        ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
        ("ij,kl->ijkl", (2, 3), (4, 5)),
        ("ij,kl->lj", (2, 3), (4, 5)),
        ("ii,i->i", (3, 3), (3,)),
        ("ii,jj->ij", (3, 3), (2, 2)),
        ("iij,jkk->ik", (2, 2, 3), (3, 4, 4)),
        ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
        ("i,i,i->i", (3,), (3,), (3,)),
        ("i,j,k->kji", (2,), (3,), (4,)),
        ("ij,jk,ki->", (2, 3), (3, 4), (4, 2)),
        ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)),
        ("...ij,...jk", (6, 1, 2, 3), (5, 3, 4)),
        ("...ij,jk->...ik", (6, 5, 2, 3), (3, 4)),
        ("...i->...", (2, 3)),
        ("...i->i...", (4, 2, 3)),
        ("...", (2, 3)),
        ("...,...", (2, 3), (3,)),
        ("...ii->...i", (4, 3, 3)),
        ("...ii", (4, 3, 3)),
        ("i...,j...->ij...", (2, 4), (3, 4)),
        ("i...j->...", (2, 4, 5, 3)),
        ("ij,ij->ij", (2, 1), (2, 3)),
        ("ii,i->i", (1, 1), (3,)),
        ("ij,jk->ik", (2, 1), (3, 4)),
        ("bij,bjk->bik", (1, 2, 3), (5, 3, 4)),
        (" i j , j k -> i k ", (2, 3), (3, 4)),
        ("aB,BC", (2, 3), (3, 4)),
        ("ij,jk->ik", (0, 3), (3, 4)),
        ("ij,jk->ik", (2, 0), (0, 4)),
        (",i->i", (), (3,)),
    ],
    ids=lambda case: case[0],
)
def test_einsum_agrees_with_numpy(case):
    equation, *shapes = case
    arrays = [rng.normal(size=shape) for shape in shapes]
    y = td.einsum(equation, *map(td.tensor, arrays))
    expected = np.einsum(equation, *arrays)
    assert (y.shape, y.dtype) == (expected.shape, np.float64)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-13)


def test_einsum_takes_a_list_of_operands():
    x = td.ones(2, 3)
    assert td.einsum("ij,ij->i", [x, x]).tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    "equation, shapes, words",
    [
        ("ij,jk", [(2, 3)], ("'ij,jk'", 2, 1)),
        ("ij", [(2,)], (0, "'ij'", "(2,)")),
        ("ij,jk->ik", [(2, 3), (4, 2)], ("'j'", 3, 4, "(4, 2)")),
        ("i,i...->i", [(2,), ()], (1, "'i...'", "()")),
        ("i->j", [(2,)], ("'i->j'",)),
        ("i->ii", [(2,)], ("'i->ii'",)),
        ("ii", [(2, 3)], ("'i'", 2, 3)),
        ("ii->i", [(1, 3)], ("'i'", 1, 3, 0, "(1, 3)")),  # no broadcasting inside one operand
        ("ii->i", [(3, 1)], ("'i'", 1, 3, 0, "(3, 1)")),
        ("i,iji->j", [(3,), (1, 2, 3)], ("'i'", 1, 3, 1, "(1, 2, 3)")),
    ],
)
def test_einsum_errors(equation, shapes, words):
    with refused(ValueError, "einsum", *words):
        td.einsum(equation, *(td.ones(*shape) for shape in shapes))


# ---------------------------------------------------------------- Python's protocols


def test_length_iteration_and_membership():
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2 and [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.0]]
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert 3.0 in td.tensor([1.0, 3.0]) and 2.0 not in td.tensor([1.0, 3.0])
    with refused(TypeError, "0-d"):
        len(td.tensor(1.0))
    with refused(TypeError, "0-d"):
        list(td.tensor(1.0))


def test_numbers():
    x = td.tensor([[2.5]], requires_grad=True)
    assert type(x.item()) is float and x.item() == 2.5 == float(x) and int(x) == 2 and bool(x)
    assert not td.tensor(0.0) and not td.tensor([False])
    assert type(td.tensor(3).item()) is int and td.tensor(True).item() is True
    assert x.tolist() == [[2.5]] and td.tensor(2).tolist() == 2
    for ask in (float, int, bool, Tensor.item):
        with refused(ValueError, "(2,)", ".tolist()"):
            ask(td.ones(2))
    with refused(ValueError, "(0,)"):
        bool(td.ones(0))


def test_an_integer_tensor_counts_and_indexes():
    n = td.tensor(2)
    assert [5, 6, 7][n] == 7 and list(range(n)) == [0, 1] and operator.index(n) == 2
    assert td.ones(n, 3).shape == (2, 3) and td.ones(6).reshape(n, -1).shape == (2, 3)
    for x in (td.tensor(2.0), td.tensor([2]), td.tensor(True)):
        with refused(TypeError, str(x.dtype), str(x.shape)):
            operator.index(x)


def test_sizes():
    x = td.ones(2, 3)
    assert x.shape == x.size() == (2, 3) and x.size(1) == x.size(-1) == 3
    assert x.ndim == x.dim() == 2 and x.numel() == 6 and type(x.numel()) is int
    assert x.is_floating_point() and not x.long().is_floating_point()


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: td.zeros(2), "tensor([0., 0.])"),
        (lambda: td.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (lambda: td.tensor(2.5), "tensor(2.5)"),
        (lambda: td.tensor(3), "tensor(3)"),
        (lambda: td.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: td.tensor([True, False]), "tensor([ True, False])"),
        (lambda: td.tensor([[1.0, 2.0], [3.0, 4.0]]), "tensor([[1., 2.],\n        [3., 4.]])"),
        (lambda: td.tensor([1 / 3, 2 / 3]), "tensor([0.3333, 0.6667])"),
        (lambda: td.tensor([0.1, 1e5]), "tensor([1.e-01, 1.e+05])"),
        (lambda: td.tensor([np.nan, np.inf]), "tensor([nan, inf])"),
        (lambda: td.arange(2000), "tensor([   0,    1,    2, ..., 1997, 1998, 1999])"),
        (lambda: td.zeros(0), "tensor([], shape=(0,))"),
        (lambda: td.zeros(0, 3, dtype=td.int64), "tensor([], shape=(0, 3), dtype=int64)"),
        (lambda: td.zeros(1, dtype=td.float64), "tensor([0.], dtype=float64)"),
        (lambda: td.ones(1, dtype=td.int32), "tensor([1], dtype=int32)"),
        (lambda: td.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: td.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward0>)"),
        (lambda: (td.ones(1, requires_grad=True) * 2).detach(), "tensor([2.])"),
        (
            lambda: td.ones(1, dtype=td.float64, requires_grad=True).exp(),
            "tensor([2.7183], dtype=float64, grad_fn=<ExpBackward0>)",
        ),
    ],
)
def test_repr(make, text):
    assert repr(make()) == str(make()) == f"{make()}" == text


def test_format():
    assert f"{td.tensor(3.14159):.2f} {td.tensor(7):03d}" == "3.14 007"
    assert f"{td.tensor(2.0, requires_grad=True):.1f}" == "2.0"
    assert f"{td.tensor([1.0]):>14}" == "  tensor([1.])"
    with pytest.raises(ValueError, match="f"):
        f"{td.ones(2):.2f}"


def pickled(x):
    return pickle.loads(pickle.dumps(x))


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, pickled])
def test_copies_and_pickles(clone):
    for x in (td.tensor([1.0, 2.0], requires_grad=True), td.arange(6).reshape(2, 3).T):
        y = clone(x)
        same(y, x.data)
        assert y is not x and y.requires_grad == x.requires_grad and y.is_leaf
        assert not np.shares_memory(y.data, x.data)
        assert y.version is not x.version
    with refused(RuntimeError, "detach()"):
        clone(td.ones(2, requires_grad=True) * 2)


def test_a_shared_tensor_stays_shared_in_a_deep_copy():
    x = td.ones(2)
    a, b = copy.deepcopy([x, x])
    assert a is b and a is not x


# ---------------------------------------------------------------- NumPy and DLPack


def test_numpy_shares_memory_and_respects_the_graph():
    x = td.ones(3)
    assert x.numpy() is x.data and np.asarray(x) is x.data
    assert not np.shares_memory(np.array(x), x.data)
    assert np.asarray(x, dtype=np.float64).dtype == x.__array__(np.float64).dtype == np.float64
    assert np.array(x, copy=False) is x.data
    with pytest.raises(ValueError, match="copy"):
        np.array(x, dtype=np.float64, copy=False)
    np.testing.assert_allclose(x, [1, 1, 1])

    x.requires_grad = True
    for ask in (Tensor.numpy, np.asarray, np.array, lambda t: np.concatenate([t, t])):
        for tensor in (x, x * 2):
            with refused(RuntimeError, ".detach().numpy()"):
                ask(tensor)
    assert x.detach().numpy() is x.data


def test_dlpack_with_numpy_both_ways():
    for array in (np.arange(6.0).reshape(2, 3).T, np.ones(2, bool), np.ones((), np.float16)):
        x = td.from_dlpack(array)
        same(x, array)
        back = np.from_dlpack(x)
        assert np.shares_memory(x.data, array) and np.shares_memory(back, array)
        assert (back.shape, back.strides, back.dtype) == (array.shape, array.strides, array.dtype)
    assert np.shares_memory(td.from_dlpack(td.from_numpy(array)).data, array)
    assert td.ones(2).__dlpack_device__() == np.ones(2).__dlpack_device__()


def test_dlpack_never_passes_negative_strides_on():
    array = np.arange(6.0).reshape(2, 3)
    whole = td.from_numpy(array)
    for x in (whole.flip(1), whole[::-1], whole.flip(0, 1)):
        assert min(x.data.strides) < 0  # else this test proves nothing
        back = np.from_dlpack(x)
        assert min(back.strides) > 0
        np.testing.assert_array_equal(back, x.data)


def test_dlpack_refuses_a_graph():
    x = td.ones(2, requires_grad=True)
    for tensor in (x, x * 2):
        with refused(BufferError, ".detach()"):
            np.from_dlpack(tensor)
    assert np.shares_memory(np.from_dlpack(x.detach()), x.data)


# ---------------------------------------------------------------- data, requires_grad, grad


def test_data_takes_an_array_of_its_own_kind():
    x = td.ones(2, requires_grad=True)
    x.data -= 0.5
    assert x.tolist() == [0.5, 0.5] and x.requires_grad
    new = np.float32([3, 4])
    x.data = new
    assert x.data is new
    zero = td.tensor(1.0)
    zero.data = zero.data - np.float32(1)  # which NumPy gives as a scalar
    assert zero.item() == 0.0 and isinstance(zero.data, np.ndarray)
    for bad, words in (
        (np.ones(3, np.float32), ("(2,)", "(3,)")),
        (np.ones(2), ("float32", "float64")),
        ([1.0, 2.0], ("float32", "list")),
    ):
        with refused(ValueError, *words):
            x.data = bad
    with refused(RuntimeError, "leaf", "detach()"):
        (x * 2).data = new
    assert x.tolist() == [3.0, 4.0]
    x.data = x.data - 0.5 * td.ones(2)  # a Tensor's array
    assert x.tolist() == [2.5, 3.5] and isinstance(x.data, np.ndarray)


def test_overwriting_a_computed_tensor_is_refused_even_in_place():
    y = td.ones(2, requires_grad=True) * 2
    with refused(RuntimeError, "detach()"):
        y.data -= 1.0


def test_detach_shares_memory_without_the_graph():
    x = td.ones(2, requires_grad=True)
    y = (x * 2).detach()
    assert not y.requires_grad and y.is_leaf and y.grad_fn is None
    assert x.detach().data is x.data


def test_requires_grad_is_switched_on_leaves_alone():
    x = td.ones(2)
    assert x.requires_grad_() is x and x.requires_grad and x.is_leaf
    assert not x.requires_grad_(False).requires_grad
    y = x.requires_grad_() * 2
    assert y.requires_grad and not y.is_leaf
    y.requires_grad = True  # as it is
    with refused(RuntimeError, "detach()"):
        y.requires_grad = False
    with refused(RuntimeError, "int64", ".float()"):
        td.arange(3).requires_grad = True
    assert not (x.long() * 2).requires_grad and not (x > 0).requires_grad


def test_grad_can_be_set():
    x = td.ones(2, requires_grad=True)
    assert x.grad is None and td.ones(2).grad is None
    x.grad = td.zeros(2)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    x.grad = None
    with refused(RuntimeError, "(2,)", "(3,)", "float32"):
        x.grad = td.ones(3)
    with refused(RuntimeError, "float32", "float64"):
        x.grad = td.ones(2, dtype=td.float64)
    with refused(TypeError, "ndarray"):
        x.grad = np.ones(2, np.float32)
    frozen = td.ones(2)
    frozen.grad = None
    with refused(RuntimeError, ".grad"):
        frozen.grad = td.ones(2)


def test_become_keeps_identity_and_takes_the_gradient_along():
    x = td.ones(2, requires_grad=True)
    (x * 3).sum().backward()
    stale = (x * x).sum()
    x.become(np.ones(2))
    assert x.dtype == x.grad.dtype == "float64" and x.requires_grad and x.is_leaf
    assert x.grad.tolist() == [3.0, 3.0]
    with refused(RuntimeError, "overwritten"):
        stale.backward()


# ---------------------------------------------------------------- the table of methods


def test_functions_are_methods_too():
    x = td.tensor([0.5, 1.0])
    for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "abs", "relu", "neg"):
        assert getattr(x, name)().tolist() == getattr(td, name)(x).tolist(), name


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "sin", "cos", "tanh", "abs"])
def test_functions_agree_with_numpy(name):
    array = np.linspace(0.1, 3, 7)
    y = getattr(td, name)(td.tensor(array))
    np.testing.assert_allclose(y.numpy(), getattr(np, name)(array), rtol=1e-15)


def test_functions_that_must_not_overflow():
    x = td.tensor([-1e4, -1.0, 0.0, 1.0, 1e4], dtype=np.float64)
    e = np.exp(-1.0)
    np.testing.assert_allclose(td.sigmoid(x).numpy(), [0, e / (1 + e), 0.5, 1 / (1 + e), 1])
    np.testing.assert_allclose(
        ops.softplus(x).numpy(), [0, np.log1p(e), np.log(2), 1 + np.log1p(e), 1e4]
    )


def test_clamp():
    x = td.tensor([-2.0, 0.0, 2.0])
    assert x.clamp(-1, 1).tolist() == [-1, 0, 1]
    assert x.clamp(min=0).tolist() == [0, 0, 2] and x.clamp(max=0).tolist() == [-2, 0, 0]
    assert x.clamp(td.tensor([-1.0, 1.0, 3.0]), td.ones(3)).tolist() == [-1, 1, 1]
    with refused(ValueError, "min", "max"):
        x.clamp()


def test_an_array_in_the_other_byte_order():
    array = np.arange(3, dtype=np.dtype(np.float32).newbyteorder())
    with refused(TypeError, "f4", "td.tensor"):
        Tensor(array)
    assert td.tensor(array).dtype == np.float32 and td.tensor(array).tolist() == [0, 1, 2]
