"""Formulas and sums over arrays in pieces: what NumPy gives on whole arrays, bit by bit the same on
any number of threads. Most tests make the pieces so small that small arrays have many.
"""

import operator
import warnings

import numpy as np
import pytest
from refusals import refused
from test_optim import OPTIMISERS

import tinydeconv as td
from tinydeconv import nn, opcases, optim
from tinydeconv.kernels import pieces, threads
from tinydeconv.nn import functional as F
from tinydeconv.ops import shape as shape_ops
from tinydeconv.optim import optimizers

THREADS = [1, 2, 3]


@pytest.fixture
def tiny(monkeypatch):
    shrink(monkeypatch)
    yield
    pieces._plan_for.cache_clear()


def shrink(monkeypatch, large=24):
    """From so many numbers on, arrays are large, and pieces hold about as many."""
    for name, value in {"LARGE": large, "CACHE": 100, "SUMS": 4, "CHAIN": 2}.items():
        monkeypatch.setattr(pieces, name, value)
    for page in (shape_ops, optimizers):
        monkeypatch.setattr(page, "LARGE", large)
    pieces._plan_for.cache_clear()


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def watched(monkeypatch):
    """The numbers of pieces that are computed from now on."""
    counts = []

    def run(work, jobs):
        counts.append(len(jobs))
        return threads.run(work, jobs)

    monkeypatch.setattr(pieces, "run", run)
    return counts


def same_bits(compute):
    """What compute() returns as bytes, found equal on any number of threads."""
    found, before = [], threads.get_num_threads()
    try:
        for number in THREADS:
            threads.set_num_threads(number)
            found.append([np.asarray(a).tobytes() for a in compute()])
    finally:
        threads.set_num_threads(before)
    assert all(f == found[0] for f in found)


# ---------------------------------------------------------------- formulas

SHAPES = [
    [(7, 5, 6), (7, 5, 6)],
    [(7, 5, 6), (1, 5, 1)],
    [(7, 5, 6), (5, 1), (6,)],
    [(7, 5, 6), (7, 1, 1), ()],
    [(1, 5, 6), (7, 1, 1)],
    [(40,), ()],
    [(2, 3, 4, 5), (3, 1, 1), (1, 3, 4, 1), (5,)],
    [(30, 1), (1, 30)],
    [(3, 200), (1, 200), (3, 1)],
]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_a_formula_in_pieces_is_the_formula(tiny, shapes, monkeypatch):
    arrays = [draw(*s, seed=i) for i, s in enumerate(shapes)]
    counts = watched(monkeypatch)

    def formula(first, *others):
        result = first * first + 1
        for other in others:
            result = np.maximum(other - result, 0.5 * result) / (1 + other * other)
        return result - np.exp(-abs(first))

    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(pieces.spread(formula, *arrays), formula(*arrays))
    assert counts[0] > 1


def test_arrays_that_are_repeated_without_memory(tiny):
    wide = np.broadcast_to(draw(5, 1), (5, 40))
    found = pieces.spread(operator.add, wide, draw(5, 40))
    np.testing.assert_array_equal(found, wide + draw(5, 40))


def test_rows_of_a_few_pixels_are_repeated_first(tiny):
    """They are too short for NumPy's broadcasting to be fast."""
    x, a = draw(40, 3, 2, 2), draw(1, 3, 1, 1)
    plan, (_, wide) = pieces._plan([x, a], 1)
    assert wide.shape == (1, 3, 2, 2) and len(plan.jobs) > 1
    np.testing.assert_array_equal(pieces.spread(operator.mul, x, a), x * a)


OPERATIONS = [
    operator.add, operator.sub, operator.mul, np.maximum, np.minimum, np.copysign, operator.gt,
    operator.neg, abs, np.tanh, np.exp, np.square,
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_memory_is_used_again_only_when_nobody_reads_it(tiny, seed):
    """Random formulas with one, two or three results, some of which are inputs."""
    rng = np.random.default_rng(seed)
    inputs = [draw(9, 8, seed=i) for i in range(3)]
    picks = [(rng.choice(len(OPERATIONS)), rng.random(2)) for _ in range(12)]
    which = rng.random(rng.integers(1, 4))

    def formula(*arrays):
        known = [*arrays]
        for operation, places in picks:
            operation = OPERATIONS[operation]
            a, b = (known[int(p * len(known))] for p in places)
            unary = operation in OPERATIONS[-5:]
            known.append((operation(a) if unary else operation(a, b)) * 0.5)
        return tuple(known[-1 - int(p * len(known))] for p in which)

    with np.errstate(all="ignore"):
        expected = formula(*inputs)
        for total, z in zip(pieces.sums(formula, (0, 1), *inputs), expected, strict=True):
            np.testing.assert_allclose(total, z.sum(keepdims=True), rtol=1e-10, atol=1e-12)
        outs = [np.empty((9, 8)) for _ in expected]
        pieces.fill(outs, formula, *inputs)
        for out, z in zip(outs, expected, strict=True):
            np.testing.assert_array_equal(out, z)
        np.testing.assert_array_equal(
            pieces.spread(lambda *a: formula(*a)[0] + 1, *inputs), expected[0] + 1
        )


def test_outputs_may_be_inputs(tiny):
    x, m, new = draw(50), draw(50, seed=1), np.empty(50)

    def formula(x, m):
        m = np.exp(x) + m
        return m, x - 0.1 * m

    expected = formula(x, m)
    pieces.fill([m, new], formula, x, m)
    np.testing.assert_array_equal([m, new], expected)


@pytest.mark.parametrize("function", [np.sum, np.where, np.linalg.norm, np.clip])
def test_what_is_not_elementwise_is_refused_instead_of_wrong(tiny, function):
    arguments = {np.where: (0, 1), np.clip: (0, 1)}.get(function, ())
    with refused(TypeError, function.__name__):
        pieces.spread(lambda x: function(x, *arguments), draw(50))
    for other in (np.add.reduce, lambda x: np.exp(x, where=False)):
        with pytest.raises(TypeError):
            pieces.spread(other, draw(50))


def test_axes_that_belong_together_are_not_cut(tiny, monkeypatch):
    counts, x = watched(monkeypatch), draw(6, 7, 8)
    for axis in range(3):
        found = pieces.each(lambda x, a=axis: x / x.sum(axis=a, keepdims=True), x, whole=(axis,))
        np.testing.assert_allclose(found, x / x.sum(axis=axis, keepdims=True), rtol=1e-12)
    assert min(counts) > 1


def test_settings_of_numpy_reach_all_threads(tiny):
    zeros, size = np.zeros(200), np.getbufsize()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")
        assert np.isinf(pieces.spread(lambda x: 1 / x, zeros)).all()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        pieces.spread(lambda x: 1 / x, zeros)
    pieces.spread(operator.add, draw(4, 300), draw(4, 1))
    assert np.getbufsize() == size


def test_other_orders_of_memory_are_left_to_numpy(tiny, monkeypatch):
    counts, x = watched(monkeypatch), draw(9, 8).T
    np.testing.assert_array_equal(pieces.spread(operator.neg, x), -x)
    (total,) = pieces.sums(lambda x: (x,), (0,), x)
    np.testing.assert_allclose(total, x.sum(0, keepdims=True), rtol=1e-12)
    assert not counts


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("shape", [(40,), (7, 9), (5, 4, 6), (3, 2, 4, 5), (50, 1, 2)], ids=str)
def test_sums_over_any_axes(tiny, shape, monkeypatch):
    counts, x = watched(monkeypatch), draw(*shape)
    y = draw(*(n if d % 2 else 1 for d, n in enumerate(shape)), seed=1)
    for bits in range(1, 2 ** len(shape)):
        axes = tuple(d for d in range(len(shape)) if bits >> d & 1)
        found = pieces.sums(lambda x, y: (x, x * y - 1), axes, x, y)
        for total, z in zip(found, (x, x * y - 1), strict=True):
            np.testing.assert_allclose(total, z.sum(axes, keepdims=True), rtol=1e-11, atol=1e-12)
        mean, variance = pieces.moments(x + 3, axes)
        np.testing.assert_allclose(mean, (x + 3).mean(axes, keepdims=True), rtol=1e-12)
        np.testing.assert_allclose(variance, x.var(axes, keepdims=True), rtol=1e-9, atol=1e-14)
    assert min(counts) > 1


def test_half_precision_is_added_up_in_float32():
    for shape in ((5000,), (400_000, 2)):  # their own sums stay at 2048 ones
        (total,) = pieces.sums(lambda x: (x,), (0,), np.ones(shape, np.float16) / 8)
        assert (total == shape[0] // 8).all() and total.dtype == np.float16


def test_twenty_million_ones():
    """Naive float32 sums of them are 16777216."""
    ones = np.broadcast_to(np.float32(1), (20_000_000, 2))
    assert td.Tensor(ones).sum(0).tolist() == [20_000_000] * 2
    assert td.Tensor(ones).mean().item() == 1


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2**18,), (0,)), ((2**18, 2), (0,)), ((16, 8, 48, 48), (0, 2, 3)), ((4096, 64), (1,))],
)
def test_float32_sums_are_as_exact_as_pairwise_ones(shape, axes):
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    exact = x.astype(np.float64)
    (total,) = pieces.sums(lambda x: (x,), axes, x)
    np.testing.assert_allclose(total, exact.sum(axes, keepdims=True), rtol=5e-7)
    x += 100
    exact = x.astype(np.float64)
    mean, variance = pieces.moments(x, axes)
    np.testing.assert_allclose(mean, exact.mean(axes, keepdims=True), rtol=2e-7)
    np.testing.assert_allclose(variance, exact.var(axes, keepdims=True), rtol=2e-6)


# ---------------------------------------------------------------- what is built on it


@pytest.mark.parametrize("case", opcases.CASES, ids=lambda case: case.name)
def test_every_op_gives_the_same_in_pieces(case, request, monkeypatch):
    inputs = case.inputs()
    y = case(*inputs)
    g = td.Tensor(draw(*y.shape))
    expected = [y, *td.grad(y, inputs, g)]
    request.getfixturevalue("tiny")
    shrink(monkeypatch, 1)
    y = case(*inputs)
    for a, b in zip([y, *td.grad(y, inputs, g)], expected, strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("case", opcases.CASES, ids=lambda case: case.name)
def test_a_gradient_that_is_recorded_is_the_one_that_is_not(case):
    inputs = case.inputs()
    y = case(*inputs)
    g = td.Tensor(draw(*y.shape))
    plain = td.grad(y, inputs, g, retain_graph=True)
    for a, b in zip(plain, td.grad(y, inputs, g, create_graph=True), strict=True):
        np.testing.assert_allclose(a.data, b.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_a_step_in_pieces_is_a_step(cls, options, monkeypatch):
    """With a snapshot of its state in between; what the parameter held before stays as it was."""
    ends = []
    for large in (10**9, 24):
        shrink(monkeypatch, large)
        numbers = draw(7, 9)
        p = td.from_numpy(numbers).requires_grad_()
        optimiser = cls([p], **options)
        for seed in range(4):
            p.grad = td.Tensor(draw(7, 9, seed=seed))
            optimiser.step()
            if seed == 1:
                state = optimiser.state_dict()
        np.testing.assert_array_equal(numbers, draw(7, 9))
        kept = state["state"].get(0, {})
        ends.append([p.data, *(kept[name].data for name in sorted({*kept} - {"step"}))])
    np.testing.assert_allclose(*ends, rtol=1e-12)


def large(*shape, seed=0):
    return td.Tensor(draw(*shape, dtype=np.float32, seed=seed))


def training(layer):
    def compute():
        x, parameters = large(4, 6, 90, 80).requires_grad_(), getattr(layer, "parameters", list)()
        y = layer(x)
        return [y.detach(), *td.grad(y, [x, *parameters], large(*y.shape, seed=1))]

    return compute


def steps(make):
    def compute():
        p = nn.Parameter(draw(300, 1000, dtype=np.float32))
        optimiser = make([p])
        for seed in range(2):
            p.grad = large(300, 1000, seed=seed)
            optimiser.step()
        return [p.detach(), *(x for x in optimiser.state[p].values() if isinstance(x, td.Tensor))]

    return compute


@pytest.mark.parametrize(
    "compute",
    [
        training(F.gelu),
        training(lambda x: F.leaky_relu(x.relu() + x, 0.2)),
        training(lambda x: x.sigmoid() * x.tanh() / (x * x + 1)),
        training(lambda x: x.softmax(1)),
        training(lambda x: x.log_softmax(3)),
        training(lambda x: x.sum((0, 2, 3)) * x.mean(1).var()),
        training(nn.BatchNorm2d(6)),
        training(nn.GroupNorm(2, 6)),
        training(nn.LayerNorm(80)),
        training(lambda x: F.binary_cross_entropy_with_logits(x, x.detach().sigmoid())),
        training(lambda x: F.cross_entropy(x, td.zeros(4, 90, 80, dtype=td.int64))),
        steps(lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1)),
        steps(lambda p: optim.Adam(p, amsgrad=True)),
        steps(lambda p: optim.RMSprop(p, momentum=0.5, centered=True)),
    ],
)
def test_the_same_bits_on_any_number_of_threads(compute):
    same_bits(lambda: [x.data for x in compute()])
