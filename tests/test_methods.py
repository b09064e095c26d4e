"""The rarer Tensor methods against plain loops, and what they refuse."""

import itertools
import math

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import functional as F


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).permutation(math.prod(shape)).reshape(shape) / 7


# ---------------------------------------------------------------- functions of one variable

POINTS = [-6.5, -3.0, -1.0, -0.4, -1e-9, 0.0, 1e-9, 0.3, 0.9, 2.0, 5.9, 6.1, 30.0]
MATHS = {
    "erf": math.erf, "expm1": math.expm1, "atan": math.atan, "tan": math.tan, "sinh": math.sinh,
    "cosh": math.cosh, "square": lambda v: v * v, "floor": math.floor, "ceil": math.ceil,
    "trunc": math.trunc, "round": round, "sign": lambda v: (v > 0) - (v < 0), "isnan": math.isnan,
    "isinf": math.isinf, "isfinite": math.isfinite, "logical_not": lambda v: not v,
}  # fmt: skip
POSITIVE = {
    "log2": math.log2, "log10": math.log10, "log1p": math.log1p, "rsqrt": lambda v: v**-0.5,
    "reciprocal": lambda v: 1 / v,
}  # fmt: skip
UNIT = {"asin": math.asin, "acos": math.acos}
TABLE = [
    *((name, f, POINTS) for name, f in MATHS.items()),
    *((name, f, [1e-9, 0.2, 1.0, 700.0]) for name, f in POSITIVE.items()),
    *((name, f, [-1.0, -0.6, 0.0, 0.5, 1.0]) for name, f in UNIT.items()),
]


@pytest.mark.parametrize(("name", "function", "points"), TABLE, ids=[row[0] for row in TABLE])
def test_functions_of_one_variable(name, function, points):
    expected = np.array([function(v) for v in points])
    found = getattr(td.tensor(np.array(points)), name)()
    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-15)
    assert getattr(td, name)(td.tensor(points)).dtype in (np.float32, np.bool_)


def test_erf_is_exact_everywhere():
    x = np.linspace(-9, 9, 20001)
    exact = np.array([math.erf(v) for v in x])
    assert np.abs(td.erf(td.tensor(x)).data - exact).max() < 1e-14
    single = td.erf(td.tensor(x.astype(np.float32)))
    assert single.dtype == np.float32 and np.abs(single.data - exact).max() < 1e-6
    special = td.tensor([math.inf, -math.inf, math.nan]).erf().tolist()
    assert special[:2] == [1, -1] and math.isnan(special[2])


def test_rounding_goes_to_the_even_one_and_keeps_integers():
    x = td.tensor([0.5, 1.5, -2.5, 3.14159])
    assert x.round().tolist() == [0, 2, -2, 3]
    assert td.tensor([3.14159], dtype=td.float64).round(decimals=2).tolist() == [3.14]
    assert td.tensor([35.0, 1250.0]).round(decimals=-1).tolist() == [40, 1250]
    for name in ("round", "floor", "ceil", "trunc", "sign"):
        whole = getattr(td.tensor([-3, 4]), name)()
        assert whole.dtype == np.int64 and abs(whole).tolist() in ([3, 4], [1, 1])


@pytest.mark.parametrize("name", ["round", "floor", "ceil", "trunc", "sign"])
def test_rounding_is_a_constant_with_gradient_zero(name):
    x = td.tensor([0.3, -1.7], requires_grad=True)
    (getattr(x, name)() * x).sum().backward()
    assert x.grad.tolist() == getattr(x, name)().tolist()


def test_division_with_rounding():
    for a, b in itertools.product((7, -7, 6, -6, 0), (2, -2, 3)):
        x, y = td.tensor([a]), td.tensor([b])
        assert x.div(y, rounding_mode="floor").tolist() == [a // b]
        assert x.div(y, rounding_mode="trunc").tolist() == [math.trunc(a / b)]
        assert x.double().div(y, rounding_mode="trunc").tolist() == [math.trunc(a / b)]
    with refused(ValueError, "floor", "trunc", "'ceil'"):
        td.tensor([1]).div(2, rounding_mode="ceil")


# ---------------------------------------------------------------- along a dimension

SHAPES = [(4,), (3, 4), (2, 3, 4)]
ALONG = [(shape, dim) for shape in SHAPES for dim in range(-len(shape), len(shape))]


def rows(array, dim):
    """Index and vector of each line of the array along dim."""
    others = [range(n) for n in array.shape]
    others[dim] = [slice(None)]
    for where in itertools.product(*others):
        yield where, array[where].tolist()


@pytest.mark.parametrize(("shape", "dim"), ALONG)
def test_along_a_dimension(shape, dim):
    a = draw(*shape)
    x = td.tensor(a)
    (values, order), (falling, back) = x.sort(dim), x.sort(dim, descending=True)
    for where, row in rows(a, dim):
        ranked = sorted(range(len(row)), key=row.__getitem__)
        assert values.data[where].tolist() == sorted(row)
        assert order.data[where].tolist() == x.argsort(dim).data[where].tolist() == ranked
        assert falling.data[where].tolist() == sorted(row, reverse=True)
        assert back.data[where].tolist() == ranked[::-1]
        top = x.topk(2, dim)
        assert top.values.data[where].tolist() == sorted(row)[:-3:-1]
        assert top.indices.data[where].tolist() == ranked[:-3:-1]
        assert x.topk(1, dim, largest=False).values.data[where].tolist() == [min(row)]
        running = list(itertools.accumulate(row))
        np.testing.assert_allclose(x.cumsum(dim).data[where], running, rtol=1e-14)
        assert x.diff(dim=dim).data[where].tolist() == [b - a for a, b in zip(row, row[1:])]
        line = tuple(0 if w == slice(None) else w for w in where)
        product = x.prod(dim, keepdim=True).data[line]
        np.testing.assert_allclose(product, math.prod(row), rtol=1e-14)
        turned = x.roll(1, dim).data[where].tolist()
        assert turned == row[-1:] + row[:-1]
        count = x.count_nonzero(dim).data.reshape(x.prod(dim, keepdim=True).shape)[line]
        assert count == sum(v != 0 for v in row)


def test_equal_numbers_keep_their_order_when_sorted():
    x = td.tensor([1, 0, 1, 0, 1])
    assert x.sort().indices.tolist() == [1, 3, 0, 2, 4]
    assert x.sort(descending=True).indices.tolist() == [0, 2, 4, 1, 3]


def test_the_product_has_its_gradient_at_zeros_too():
    x = td.tensor([2.0, 0.0, 3.0], requires_grad=True)
    (g,) = td.grad(x.prod(), x, create_graph=True)
    assert g.tolist() == [0, 6, 0]
    (second,) = td.grad(g[0], x)  # d/dx of x1 x2
    assert second.tolist() == [0, 3, 0]


def test_pairs_of_statistics():
    x = td.tensor(draw(3, 4))
    for found, first, second in (
        (x.var_mean(1), x.var(1), x.mean(1)),
        (td.std_mean(x, unbiased=False), x.std(correction=0), x.mean()),
    ):
        assert found[0].tolist() == first.tolist() and found[1].tolist() == second.tolist()


# ---------------------------------------------------------------- picking by position


def test_scatter_undoes_and_transposes_gather():
    a, index = draw(3, 4), np.array([[0, 2, 1, 0], [2, 2, 0, 1]])
    x, i = td.tensor(a), td.tensor(index)
    picked = x.gather(0, i)
    for r, c in np.ndindex(index.shape):
        assert picked.data[r, c] == a[index[r, c], c]
    added, written = np.zeros((3, 4)), a.copy()
    src = draw(2, 4, seed=1)
    for r, c in np.ndindex(index.shape):
        added[index[r, c], c] += src[r, c]
        written[index[r, c], c] = src[r, c]
    np.testing.assert_allclose((td.zeros_like(x).scatter_add(0, i, td.tensor(src))).data, added)
    td.adjointcheck(lambda v: v.gather(0, i), lambda v: td.zeros_like(x).scatter_add(0, i, v), x)
    distinct = td.tensor(np.array([[0, 2, 1, 0], [2, 0, 0, 1]]))
    result = x.scatter(0, distinct, td.tensor(src))
    for r, c in np.ndindex(index.shape):
        assert result.data[distinct.data[r, c], c] == src[r, c]
    assert x.scatter(1, td.tensor([[0], [1], [3]]), 9.0).tolist() == [
        [9.0 if c == k else v for c, v in enumerate(row)] for k, row in zip((0, 1, 3), a.tolist())
    ]


def test_triangles_and_diagonals():
    a = draw(2, 3, 4)
    x = td.tensor(a)
    for k in (-2, 0, 1, 5):
        for r, c in np.ndindex(3, 4):
            below = a[:, r, c] if c - r <= k else 0 * a[:, r, c]
            assert x.tril(k).data[:, r, c].tolist() == below.tolist()
            above = a[:, r, c] if c - r >= k else 0 * a[:, r, c]
            assert x.triu(k).data[:, r, c].tolist() == above.tolist()
    assert x[0].diagonal().tolist() == [a[0, i, i] for i in range(3)]
    assert x[0].diag(1).tolist() == [a[0, i, i + 1] for i in range(3)]
    assert x[0].trace().item() == sum(a[0, i, i] for i in range(3))
    assert td.tensor([5, 7]).diag(-1).tolist() == [[0, 0, 0], [5, 0, 0], [0, 7, 0]]
    assert td.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_masks():
    x, mask = td.tensor([[1.0, 2.0], [3.0, 4.0]]), td.tensor([True, False])
    assert x.masked_fill(mask, -1).tolist() == [[-1, 2], [-1, 4]]
    assert x.masked_select(mask).tolist() == [1, 3]
    assert (x > 1).nonzero().tolist() == [[0, 1], [1, 0], [1, 1]]
    whole = td.tensor([1, 2]).masked_fill(mask, 7)
    assert whole.tolist() == [7, 2] and whole.dtype == np.int64


def test_copies_and_pieces():
    x = td.tensor(draw(2, 3))
    np.testing.assert_array_equal(x.repeat(2, 1, 2).data, np.tile(x.data, (2, 1, 2)))
    np.testing.assert_array_equal(x.repeat_interleave(2, 1).data, np.repeat(x.data, 2, 1))
    assert x.repeat_interleave(td.tensor([2, 0, 1]), 1).tolist() == x[:, [0, 0, 2]].tolist()
    assert [p.tolist() for p in x.chunk(2, 1)] == [x[:, :2].tolist(), x[:, 2:].tolist()]
    assert [p.tolist() for p in x.unbind(1)] == x.mT.tolist()
    assert x.narrow(1, -2, 2).tolist() == x[:, 1:].tolist()
    assert x.unflatten(1, (3, 1)).shape == (2, 3, 1)
    assert td.zeros(2, 3, 4).movedim((0, 1), (2, 0)).shape == (3, 4, 2)
    copy, across = x.clone(), x.mT.contiguous()
    assert not np.shares_memory(copy.data, x.data) and x.contiguous() is x
    assert across.data.flags.c_contiguous and across.tolist() == x.mT.tolist()
    rows, columns = td.meshgrid(td.arange(2), td.arange(3))
    assert rows.tolist() == [[0, 0, 0], [1, 1, 1]] and columns.tolist() == [[0, 1, 2]] * 2
    assert td.meshgrid(td.arange(2), td.arange(3), indexing="xy")[0].tolist() == [[0, 1]] * 3


def test_products_by_name():
    v, m, s = td.tensor([1.0, 2.0]), td.tensor([[1.0, 2.0], [3.0, 4.0]]), td.ones(2, 2, 2)
    assert v.dot(v).item() == 5 and m.mv(v).tolist() == [5, 11]
    assert m.mm(m).tolist() == [[7, 10], [15, 22]] and s.bmm(s).tolist() == [[[2, 2]] * 2] * 2
    assert v.outer(v).tolist() == [[1, 2], [2, 4]]


def test_comparisons_of_whole_tensors():
    x = td.tensor([1.0, math.inf])
    assert x.allclose(x) and x.equal(x) and not x.equal(td.tensor([1.0]))
    assert x.isclose(td.tensor([1.000005, math.inf])).tolist() == [True, True]
    assert not x.allclose(td.tensor([1.1, math.inf])) and type(x.allclose(x)) is bool


def test_a_random_permutation():
    td.manual_seed(0)
    first, again = td.randperm(50), td.randperm(50)
    assert sorted(first.tolist()) == sorted(again.tolist()) == list(range(50))
    assert first.tolist() != again.tolist() and first.dtype == np.int64


def test_a_number_has_one_dimension_when_asked():
    x = td.tensor(2.5)
    assert x.sum(0).item() == x.softmax(0).item() * 2.5 == x.max(-1).values.item() == 2.5
    assert x.sort().indices.item() == x.argmax(0).item() == x.topk(1).indices.item() == 0
    with refused(IndexError, "dim 1"):
        x.sum(1)


# ---------------------------------------------------------------- what is refused

M = td.tensor(draw(2, 3))
BAD = [
    (lambda: td.sqrt(8), TypeError, ("Tensor", "int", "td.tensor")),
    (lambda: td.cat(M, M), TypeError, ("dim", "int", "Tensor")),
    (lambda: M.zero_(), AttributeError, ("zero_", "in place")),
    (lambda: F.conv2d(M, M, None, 2), TypeError, ("conv2d(input, weight", "stride", "positional")),
    (lambda: F.max_pool2d(M, 2, strides=1), TypeError, ("max_pool2d(input", "'strides'")),
    (lambda: nn.MaxPool2d(2, strides=1), TypeError, ("MaxPool2d(kernel_size", "'strides'")),
    (lambda: M.clamp(), ValueError, ("min", "max")),
    (lambda: M.chunk(0), ValueError, ("1", "0")),
    (lambda: M.narrow(1, 2, 2), IndexError, (2, 3)),
    (lambda: M.movedim((0, 1), 0), ValueError, ("(0, 1)", "(0,)")),
    (lambda: M.unflatten(1, (2, 2)), ValueError, (3, "(2, 2)")),
    (lambda: M.repeat(2), ValueError, (2, "(2,)")),
    (lambda: M.topk(4), ValueError, (4, "(2, 3)")),
    (lambda: M.scatter(1, td.tensor([[3]]), 1.0), IndexError, (3,)),
    (lambda: M.scatter(1, td.tensor([[0.0]]), 1.0), TypeError, ("integer", "float32")),
    (lambda: M.scatter_add(1, td.tensor([[0, 1]]), td.ones(1, 1)), (ValueError), ("(1, 2)",)),
    (lambda: M.index_select(1, td.tensor([[0]])), TypeError, ("vector", "(1, 1)")),
    (lambda: M.index_select(1, td.tensor([-1])), IndexError, (-1, 3)),
    (lambda: M.masked_fill(M > 0, td.ones(3)), ValueError, ("one number", "(3,)")),
    (lambda: M.masked_select(td.ones(3)), TypeError, ("boolean", "float32")),
    (lambda: M.roll((1, 2), 0), ValueError, ("(1, 2)", 0)),
    (lambda: td.ones(3).tril(), ValueError, ("2", "(3,)")),
    (lambda: M.diagonal(0, 1, 1), ValueError, (1,)),
    (lambda: td.ones(2, 2, 2).diag(), ValueError, ("(2, 2, 2)",)),
    (lambda: td.ones(3).trace(), ValueError, ("matrix", "(3,)")),
    (lambda: M.dot(M), ValueError, ("dot", "(2, 3)")),
    (lambda: td.ones(2, 2, 2).bmm(td.ones(3, 2, 2)), ValueError, ("(3, 2, 2)",)),
    (lambda: M.outer(M), ValueError, ("vectors", "(2, 3)")),
    (lambda: td.meshgrid(td.ones(2), indexing="yx"), ValueError, ("'ij'", "'yx'")),
    (lambda: td.eye(-1), ValueError, (-1,)),
]


def test_methods_in_place_say_what_to_use_instead():
    with refused(AttributeError, "add_", "in place", "x.add("):
        M.add_(1)
    with refused(AttributeError, "frobnicate"):
        M.frobnicate()
    assert not hasattr(M, "cumsum_along")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_integers_hold_no_infinity(value):
    with refused(ValueError, "int64", value):
        td.tensor([1, 2]).masked_fill(td.tensor([True, False]), value)
    with refused(ValueError, "int32", value):
        td.full((2,), value, dtype=td.int32)


def test_dtypes_have_their_short_names():
    names = {"half": td.float16, "float": td.float32, "double": td.float64, "long": td.int64}
    for name, dtype in (names | {"short": td.int16, "int": td.int32}).items():
        assert getattr(td, name) is dtype and td.zeros(1, dtype=getattr(td, name)).dtype == dtype


@pytest.mark.parametrize(("call", "kind", "words"), BAD)
def test_refused(call, kind, words):
    with refused(kind, *words):
        call()
