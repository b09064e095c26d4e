"""Every op, at every one of its sample inputs: derivatives, adjoints, and manners."""

import gc
import time

import numpy as np
import pytest

import tinydeconv as td
from tinydeconv import opcases, ops
from tinydeconv.engine import Op
from tinydeconv.gradcheck import gradcheck, gradgradcheck
from tinydeconv.nn import functional as F
from tinydeconv.opcases import CASES, EXPECTED, Case, every_op, find, missing_ops
from tinydeconv.ops.conv import Conv, ConvOp, ConvTranspose, ConvWeight
from tinydeconv.ops.elementwise import Add, Mul
from tinydeconv.ops.linalg import MatMul
from tinydeconv.ops.promotion import Cast, To

TIGHT = {"rtol": 1e-6, "atol": 1e-8}
EACH = (
    Conv,
    ConvTranspose,
    ConvWeight,
    MatMul,
    Mul,
)  # linear in each input, but not in all at once

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
rng = np.random.default_rng(5)


def random(like):
    return td.Tensor(np.array(rng.standard_normal(like.shape)))


def dot(a, b):
    return float((a.data * b.data).sum())


def is_op(case):
    return isinstance(case.function, type)


# ---- derivatives ----


def test_every_op_has_a_case():
    assert missing_ops() == []
    assert {Add, Conv, Cast} <= set(every_op()) and ConvOp not in every_op()


def test_an_op_without_a_case_is_seen():
    class Fresh(Add):
        __module__ = Add.__module__

    assert missing_ops() == [Fresh]
    del Fresh
    gc.collect()  # a class is a reference cycle
    assert missing_ops() == []


@each_case
@pytest.mark.filterwarnings("ignore::tinydeconv.gradcheck.GradcheckWarning")
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_gradients(case, check):
    report = check(case, case.inputs(), **TIGHT)
    assert report.status == EXPECTED.get(case.expect, "right"), report


def slope(function, seed):
    """The derivative along fixed random directions, as a function of the inputs again."""

    def derivative(*inputs):
        draw = np.random.default_rng(seed)
        y = function(*inputs)
        c = td.Tensor(np.array(draw.standard_normal(y.shape)))
        found = td.grad(y, inputs, c, create_graph=True)
        return sum((g * td.Tensor(np.array(draw.standard_normal(g.shape)))).sum() for g in found)

    return derivative


SMOOTH = """Exp Log Sqrt Sin Cos Tanh Sigmoid Softplus Pow Div Softmax LogSoftmax std logsumexp
    MatMul Conv ConvTranspose ConvWeight Mul einsum"""


@pytest.mark.parametrize("name", SMOOTH.split())
def test_third_and_fourth_order(name):
    case = find([name])[0]

    def function(*inputs):  # products alone have no third derivative
        return case(*(td.sin(x) for x in inputs))

    second = slope(slope(function, 1), 2)
    assert gradcheck(second, case.inputs(), **TIGHT)
    assert gradgradcheck(second, case.inputs(), **TIGHT)


@pytest.mark.parametrize(
    ("function", "values", "expected"),
    [
        (td.relu, [0, 1], [0, 1]),
        (td.abs, [0, -1], [0, -1]),
        (td.amax, [3, 1, 3], [0.5, 0, 0.5]),
        (td.amin, [1, 1, 1, 1], [0.25] * 4),
        (lambda x: td.max(x, 0).values, [3, 1, 3], [1, 0, 0]),
        (lambda x: td.maximum(x, td.tensor([2.0, 2.0])), [2, 3], [0.5, 1]),
        (lambda x: td.minimum(x, td.tensor([2.0, 2.0])), [2, 3], [0.5, 0]),
        (lambda x: td.clamp(x, -1, 1), [-1, 1, 2], [1, 1, 0]),
        (lambda x: td.norm(x), [0, 0], [0, 0]),
        (lambda x: td.std(x), [1, 1], [0, 0]),
    ],
)
def test_at_a_kink_the_gradient_is_pytorchs(function, values, expected):
    """Differences cannot tell, so here the convention is written down."""
    x = td.tensor([float(v) for v in values], requires_grad=True)
    function(x).sum().backward()
    assert x.grad.tolist() == expected


# ---- adjoints ----


def pairs(case):
    """(function of some inputs, these inputs, the others fixed) for which the case is linear."""
    inputs = case.inputs()
    if case.function.linear:
        yield case, inputs
    elif case.function in EACH:
        a, b = inputs
        yield lambda x: case(x, b.detach()), [a]
        yield lambda x: case(a.detach(), x), [b]


LINEAR = [c for c in CASES if is_op(c) and (c.function.linear or c.function in EACH)]


@pytest.mark.parametrize("case", LINEAR, ids=lambda case: case.name)
def test_backward_is_the_adjoint(case):
    """<A x, y> = <x, A' y> to rounding, with the op's own backward for A', and A is linear."""
    for function, inputs in pairs(case):
        u, v = ([random(x) for x in inputs] for _ in range(2))
        xs = [x.requires_grad_() for x in u]
        y = function(*xs)
        w = random(y)
        found = td.grad(y, xs, w)
        size = np.linalg.norm(y.data) * np.linalg.norm(w.data)
        assert abs(dot(y, w) - sum(map(dot, xs, found))) <= 1e-12 * size
        mixed = function(*(td.Tensor(np.array(3 * a.data - 2 * b.data)) for a, b in zip(u, v)))
        expected = 3 * y.data - 2 * function(*v).data
        np.testing.assert_allclose(mixed.data, expected, rtol=1e-12, atol=1e-12)


# ---- manners ----


@each_case
def test_inputs_are_left_alone(case):
    inputs = case.inputs()
    before = [x.data.copy() for x in inputs]
    y = case(*inputs)
    first = td.grad(y, inputs, random(y), create_graph=True)
    roots = [g for g in first if g.requires_grad]
    if roots:
        td.grad(roots, inputs, [random(g) for g in roots], allow_unused=True)
    for x, array in zip(inputs, before):
        np.testing.assert_array_equal(x.data, array)


@each_case
def test_float32_stays_float32(case):
    inputs = case.inputs(np.float32)
    y = case(*inputs)
    if case.function is not Cast:
        assert y.dtype == np.float32
        g = td.Tensor(random(y).data.astype(np.float32))
        assert all(gradient.dtype == np.float32 for gradient in td.grad(y, inputs, g))
    np.testing.assert_allclose(y.data, case(*case.inputs()).data, rtol=1e-4, atol=1e-5)


def test_a_cast_casts_its_gradient_back():
    x = td.tensor(rng.standard_normal(5), requires_grad=True)
    g = td.Tensor(rng.standard_normal(5).astype(np.float32))
    (found,) = td.grad(x.float(), x, g)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found.data, g.data.astype(np.float64))


def reordered(array):
    """The same numbers, neither C- nor F-contiguous."""
    if array.ndim == 0:
        return array
    big = np.zeros([2 * n + 1 for n in array.shape[::-1]])
    view = big[tuple(slice(2 * n - 1 if n else 0, None, -2) for n in array.shape[::-1])].T
    view = view[tuple(slice(n) for n in array.shape)]
    view[...] = array
    return view


@each_case
def test_memory_layout_does_not_matter(case):
    plain = case.inputs()
    strided = [td.Tensor(reordered(x.data), requires_grad=True) for x in plain]
    for x in strided:
        assert x.numel() < 2 or not x.data.flags.contiguous
    y, z = case(*plain), case(*strided)
    g = random(y)
    for a, b in zip(
        (y, *td.grad(y, plain, g)), (z, *td.grad(z, strided, td.Tensor(reordered(g.data))))
    ):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-13, atol=1e-14)


# to() never makes a To for the device that a tensor is on already.
OPS = [case for case in CASES if is_op(case) and case.function is not To]


@pytest.mark.parametrize("case", OPS, ids=lambda case: case.name)
def test_outputs_that_share_memory_are_declared_views(case):
    inputs = case.inputs()
    y = case(*inputs).data
    shared = [np.may_share_memory(y, x.data) for x in inputs]
    assert not any(shared[1:])
    assert case.function.view or not any(shared)


def test_declared_views_are_views():
    """And share the version counter: overwriting the base makes the view stale."""
    assert {case.function.view for case in CASES if is_op(case)} == {True, False}
    for op in (op for op in every_op() if op.view):
        case = next(c for c in CASES if c.function is op)
        (x,) = case.inputs()
        y = case(x)
        assert np.may_share_memory(y.data, x.data) and y.version is x.version


# What has no gradient: questions, positions, new tensors.
NO_GRADIENT = """
    all allclose any arange argmax argmin argsort asarray bitwise_and bitwise_not bitwise_or
    bitwise_xor count_nonzero eq equal eye from_dlpack from_numpy full full_like ge gt isclose
    isfinite isinf isnan le linspace logical_and logical_not logical_or logical_xor lt ne nonzero
    ones ones_like rand rand_like randint randint_like randn randn_like randperm result_type tensor
    zeros zeros_like
"""


def without_a_case(functions):
    groups = {opcases._plain(case.group) for case in CASES}
    return {name for name in functions if opcases._plain(name) not in groups}


def test_every_public_function_has_a_case():
    assert without_a_case(F.__all__) <= {"one_hot"}
    assert without_a_case(ops.__all__) == set(NO_GRADIENT.split())
    assert without_a_case(["swish", "relu"]) == {"swish"}


# ---- names and rows ----


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("conv2d", {"Conv", "conv2d"}),
        ("Conv", {"Conv", "conv2d"}),
        ("conv_transpose3d", {"ConvTranspose", "conv_transpose1d"}),
        ("ConvTranspose2d", {"ConvTranspose", "conv_transpose1d"}),
        ("log_softmax", {"LogSoftmax", "log_softmax"}),
        ("MATMUL", {"MatMul", "matmul"}),
        ("max_pool3d", {"max_pool2d"}),
        ("norm", {"norm"}),
        ("einsum", {"einsum"}),
        ("relu", {"Relu", "relu"}),
    ],
)
def test_names(name, groups):
    assert {case.group for case in find([name])} == groups


def test_a_case_is_found_by_its_own_name():
    assert [c.name for c in find(["conv stride > kernel"])] == ["Conv stride > kernel"]
    assert find() == find([]) == CASES
    assert len(find(["add", "Add"])) == len(find(["add"])) == 3
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize(
    ("name", "near"),
    [("sofmax", "softmax"), ("conv_transposed2d", "conv_transpose"), ("xyzzy", "")],
)
def test_an_unknown_name_lists_near_ones(name, near):
    with pytest.raises(ValueError, match=f"'{name}'.*{near}"):
        find([name])


def test_rows():
    start = time.perf_counter()
    rows = list(opcases.check(["conv2d", "sign", "abs"]))
    assert time.perf_counter() - start < 5
    assert {row.status for row in rows} == {"right", "empty", "zero derivative", "kink"}
    for row in rows:
        assert 0 <= row.first < 1e-6 and 0 <= row.second < 1e-6 and 0 < row.seconds < 5
    assert rows[0][:2] == ("Conv", "plain") and rows[0].first > 0 < rows[0].second


def test_a_wrong_op_gets_a_row_that_says_so(monkeypatch):
    class Wrong(Op):
        def forward(self, x):
            return x * x

        def backward(self, g, y, x, needs):
            return g * x

    cases = [Case(Wrong, "", (3,)), Case(Add, "", (3,), (3,), expect="kink")]
    monkeypatch.setattr(opcases, "CASES", cases)
    wrong, unexpected = opcases.check()
    assert wrong.status == "wrong" and wrong.first > 0.1 and "0.5 times" in wrong.details
    assert unexpected.status == "wrong" and "gradcheck: right" in unexpected.details
