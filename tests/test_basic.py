"""Linear maps, tables of vectors, one-hot rows and dropout: against loops, by rule, by counting."""

import copy
import pickle

import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.nn import functional as F


def draw(*shape, seed=0, grad=False):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return td.tensor(np.asarray(numbers), requires_grad=grad)


def close(found, expected):
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.detach().data, expected, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- linear and bilinear


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,), (2, 0)])
def test_linear_and_bilinear(lead):
    first, second, w, v = draw(*lead, 3), draw(*lead, 2, seed=1), draw(5, 3), draw(5, 3, 2)
    b = draw(5)
    linear, bilinear = np.zeros((*lead, 5)), np.zeros((*lead, 5))
    for *at, o in np.ndindex(*lead, 5):
        for i in range(3):
            linear[*at, o] += first.data[*at, i] * w.data[o, i]
            for j in range(2):
                bilinear[*at, o] += first.data[*at, i] * v.data[o, i, j] * second.data[*at, j]
    close(F.linear(first, w), linear)
    close(F.linear(first, w, b), linear + b.data)
    close(F.bilinear(first, second, v), bilinear)
    close(F.bilinear(first, second, v, b), bilinear + b.data)


def test_linear_of_a_vector_of_weights_and_of_integers():
    x, w = draw(4, 3), draw(3)
    close(F.linear(x, w), [sum(row * w.data) for row in x.data])
    y = F.linear(td.tensor([[1, 2]]), td.tensor([[3, 4], [5, 6]]), td.tensor([7, 8]))
    assert y.dtype == td.int64 and y.tolist() == [[18, 25]]


def test_bilinear_layer():
    td.manual_seed(0)
    layer = nn.Bilinear(9, 4, 300).double()
    x1, x2 = draw(2, 9), draw(2, 4)
    assert layer(x1, x2).tolist() == F.bilinear(x1, x2, layer.weight, layer.bias).tolist()
    for p in layer.parameters():  # uniform within 1 / sqrt(9)
        assert 0.95 / 3 < abs(p.data).max() <= 1 / 3 and abs(p.data.mean()) < 0.03
    assert nn.Bilinear(2, 3, 4, bias=False).bias is None


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((5, 3), (1, 4), (6, 3, 4)), ("(5, 3)", "(1, 4)", "(6, 3, 4)", "None")),
        (((3,), (5, 4), (6, 3, 4)), ("(3,)", "(5, 4)")),
        (((5, 4), (5, 3), (6, 3, 4)), ("(5, 4)", "(5, 3)")),
        (((5, 3), (5, 4), (6, 12)), ("(6, 12)",)),
        (((5, 3), (5, 4), (6, 3, 4), (1,)), ("(1,)",)),
        (((), (5, 4), (6, 3, 4)), ("()",)),
    ],
)
def test_bilinear_of_other_shapes(shapes, words):
    with refused(ValueError, "bilinear", *words):
        F.bilinear(*(td.ones(shape) for shape in shapes))


# ---------------------------------------------------------------- embedding


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (0,), (2, 0)])
def test_embedding_picks_rows(shape, dtype):
    w = draw(5, 3, grad=True)
    places = td.tensor(np.asarray(np.random.default_rng(0).integers(0, 5, shape)).astype(dtype))
    y, g = F.embedding(places, w), draw(*shape, 3, seed=1)
    y.backward(g)
    expected, slope = np.zeros((*shape, 3)), np.zeros((5, 3))
    for at in np.ndindex(*shape):
        row = int(places.data[at])
        expected[at] = w.data[row]
        slope[row] += g.data[at]
    close(y, expected)
    close(w.grad, slope)


def test_the_padding_row_starts_at_zero_and_stays():
    places = td.tensor([[0, 4, 1], [4, 4, 2]])
    for padding_idx in (4, -1):
        layer = nn.Embedding(5, 3, padding_idx=padding_idx)
        assert layer.padding_idx == 4 and layer.weight.data[4].tolist() == [0, 0, 0]
        assert (layer.weight.data[:4] != 0).all()
        layer(places).sum().backward()
        assert layer.weight.grad[:, 0].tolist() == [1, 1, 1, 0, 0]
        td.optim.SGD(layer.parameters(), lr=1).step()
        assert layer.weight.data[4].tolist() == [0, 0, 0]


def test_the_padding_row_has_values_like_any_other():
    w = draw(5, 3, grad=True)
    y = F.embedding(td.tensor([1, 3]), w, padding_idx=3)
    close(y, w.data[[1, 3]])
    (y * y).sum().backward()
    close(w.grad[1], 2 * w.data[1])
    assert not w.grad.data[3].any()


def test_long_rows_are_shortened_in_the_table_when_they_are_used():
    w = td.tensor([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], requires_grad=True)
    y = F.embedding(td.tensor([0, 1, 0]), w, max_norm=1.0)
    expected = [[0.6, 0.8], [0.3, 0.4], [6, 8]]  # the last was not used
    np.testing.assert_allclose(w.data, expected, rtol=1e-6)
    assert y.tolist() == w[[0, 1, 0]].tolist() and w.dtype == td.float32
    y.sum().backward()
    assert w.grad.tolist() == [[2, 2], [1, 1], [0, 0]]
    F.embedding(td.tensor([2]), w, max_norm=7.0, norm_type=1.0)
    np.testing.assert_allclose(w.data[2], [3, 4], rtol=1e-6)
    F.embedding(td.tensor([2]), w, max_norm=2.0, norm_type=float("inf"))
    np.testing.assert_allclose(w.data[2], [1.5, 2], rtol=1e-6)


def test_gradients_divided_by_how_often_a_row_is_used():
    layer = nn.Embedding(3, 2, scale_grad_by_freq=True).double()
    places, g = td.tensor([0, 2, 0, 0]), draw(4, 2)
    y = layer(places)
    close(y, layer.weight.data[[0, 2, 0, 0]])
    y.backward(g)
    close(layer.weight.grad, [g.data[[0, 2, 3]].mean(0), [0, 0], g.data[1]])
    g, v = draw(4, 2, grad=True), draw(3, 2, seed=1)
    (slope,) = td.grad(layer(places), layer.weight, g, create_graph=True)
    (back,) = td.grad(slope, g, v)  # where PyTorch forgets the division
    close(back, v.data[[0, 2, 0, 0]] / [[3], [1], [3], [3]])


def test_a_table_that_exists():
    table = draw(4, 3)
    frozen, free = (nn.Embedding.from_pretrained(table, freeze) for freeze in (True, False))
    assert not frozen.weight.requires_grad and free.weight.requires_grad
    assert isinstance(free.weight, nn.Parameter) and free.weight.dtype == td.float64
    close(frozen(td.tensor([2, 2])), table.data[[2, 2]])
    made = nn.Embedding.from_pretrained(table, True, 1, 2.0, norm_type=1.0)
    assert repr(made) == (
        "Embedding(4, 3, padding_idx=1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=False, "
        "sparse=False)"
    )
    close(made.weight, table.data)  # the padding row too
    with refused(ValueError, "(V, D)", "(2, 3, 4)"):
        nn.Embedding.from_pretrained(td.ones(2, 3, 4))


def test_first_values_of_a_table_are_normal():
    td.manual_seed(0)
    w = nn.Embedding(100, 100).weight.data
    assert w.dtype == np.float32 and abs(w.mean()) < 0.05 and abs(w.std() - 1) < 0.03
    assert 3 < abs(w).max() < 6


i, w = td.tensor([0, 3]), td.ones(4, 2)
BAD = [
    (lambda: F.embedding(td.tensor([0, 4]), w), IndexError, (4, 0)),
    (lambda: F.embedding(td.tensor([-1]), w), IndexError, (4, -1)),
    (lambda: F.embedding(td.tensor([0]), w[:0]), IndexError, ("0 rows",)),
    (lambda: F.embedding(td.ones(2), w), TypeError, ("int64", "float32")),
    (lambda: F.embedding(i.astype("uint8"), w), TypeError, ("int64", "uint8")),
    (lambda: F.embedding(i > 0, w), TypeError, ("int64", "bool")),
    (lambda: F.embedding(i, td.ones(4)), ValueError, ("(V, D)", "(4,)")),
    (lambda: F.embedding(i, w, 4), ValueError, ("padding_idx", 4)),
    (lambda: F.embedding(i, w, -5), ValueError, ("padding_idx", -5)),
    (lambda: F.embedding(i, w, sparse=True), ValueError, ("sparse",)),
    (lambda: nn.Embedding(4, 2, sparse=True)(i), ValueError, ("sparse",)),
    (lambda: nn.Embedding(4, 2, 4), ValueError, ("padding_idx", 4)),
    (lambda: nn.Embedding(0, 2), ValueError, ("num_embeddings", 0)),
    (lambda: nn.Embedding(2, 0), ValueError, ("embedding_dim", 0)),
    (lambda: nn.Bilinear(2, 0, 3), ValueError, ("features", 0)),
    (lambda: F.one_hot(td.ones(2)), TypeError, ("int64", "float32")),
    (lambda: F.one_hot(i.int()), TypeError, ("int64", "int32", ".long()")),
    (lambda: F.one_hot(i, 3), ValueError, ("3 classes", 0, 3)),
    (lambda: F.one_hot(td.tensor([-2, 1])), ValueError, (-2, 1)),
    (lambda: F.one_hot(td.tensor([-2, -1])), ValueError, (-2, -1)),
    (lambda: F.one_hot(i[:0]), ValueError, ("num_classes", -1)),
    (lambda: F.one_hot(i, 0), ValueError, ("num_classes", 0)),
    (lambda: F.dropout(w, 1.5), ValueError, (0, 1, 1.5)),
    (lambda: F.dropout(w, -0.1, training=False), ValueError, (0, 1, -0.1)),
    (lambda: F.dropout(w, float("nan")), ValueError, ("nan",)),
    (lambda: F.dropout(w, inplace=True), ValueError, ("inplace=True",)),
    (lambda: F.dropout2d(td.ones(2, 3, 4), inplace=True), ValueError, ("inplace=True",)),
    (lambda: F.dropout(i), TypeError, ("int64",)),
    (lambda: F.dropout1d(td.ones(3)), ValueError, ("dropout1d", 2, 3, "(3,)")),
    (lambda: F.dropout2d(td.ones(2, 3)), ValueError, ("dropout2d", 3, 4, "(2, 3)")),
    (lambda: F.dropout3d(td.ones(2, 3, 4)), ValueError, ("dropout3d", 4, 5, "(2, 3, 4)")),
    (lambda: nn.Dropout(2), ValueError, (0, 1, 2)),
    (lambda: nn.Dropout3d(inplace=True), ValueError, ("Dropout3d", "inplace=True")),
]


@pytest.mark.parametrize(("refusing", "kind", "words"), BAD)
def test_bad_input(refusing, kind, words):
    with refused(kind, *words):
        refusing()


# ---------------------------------------------------------------- one_hot


@pytest.mark.parametrize("shape", [(), (3,), (2, 4), (0,)])
def test_one_hot(shape):
    places = td.tensor(np.asarray(np.random.default_rng(1).integers(0, 5, shape)))
    expected = np.zeros((*shape, 7), np.int64)
    for at in np.ndindex(*shape):
        expected[*at, int(places.data[at])] = 1
    y = F.one_hot(places, 7)
    assert y.dtype == td.int64 and y.tolist() == expected.tolist() and y.shape == expected.shape
    if places.numel():
        classes = int(places.data.max()) + 1
        assert F.one_hot(places).tolist() == expected[..., :classes].tolist()


# ---------------------------------------------------------------- dropout

FACES = {
    "dropout": (F.dropout, nn.Dropout, (40, 60), (40, 60)),
    "dropout1d": (F.dropout1d, nn.Dropout1d, (40, 60, 3), (40, 60, 1)),
    "dropout2d": (F.dropout2d, nn.Dropout2d, (40, 60, 2, 3), (40, 60, 1, 1)),
    "dropout3d": (F.dropout3d, nn.Dropout3d, (40, 60, 2, 1, 3), (40, 60, 1, 1, 1)),
    "dropout1d unbatched": (F.dropout1d, nn.Dropout1d, (2400, 3), (2400, 1)),
    "dropout2d of (N, C, L)": (F.dropout2d, nn.Dropout2d, (40, 60, 3), (40, 60, 1)),
    "dropout3d unbatched": (F.dropout3d, nn.Dropout3d, (2400, 2, 1, 2), (2400, 1, 1, 1)),
}
each_face = pytest.mark.parametrize("face", FACES)


@each_face
@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_what_dropout_keeps_and_how_much(face, p):
    function, _, shape, drawn = FACES[face]
    td.manual_seed(0)
    x = draw(*shape, grad=True)
    y = function(x, p)
    factor = y.detach().data / x.data
    kept = factor != 0
    np.testing.assert_allclose(factor[kept], 1 / (1 - p), rtol=1e-12)
    channels = kept[tuple(slice(n) for n in drawn)]
    assert channels.size == 2400 and (kept == channels).all()  # whole channels
    assert abs(channels.sum() - 2400 * (1 - p)) < 4 * np.sqrt(2400 * p * (1 - p))
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, factor, rtol=1e-12)


@each_face
def test_draws_are_independent_and_follow_the_seed(face):
    function, _, shape, drawn = FACES[face]
    x = td.ones(shape)
    td.manual_seed(3)
    first, second = (function(x).data for _ in range(2))
    td.manual_seed(3)
    np.testing.assert_array_equal(function(x).data, first)
    places = tuple(slice(n) for n in drawn)
    agreeing = (first[places] == second[places]).mean()
    assert abs(agreeing - 0.5) < 4 * 0.5 / np.sqrt(2400)
    rows = first[places].reshape(40, 60) > 0
    assert len(np.unique(rows, axis=0)) == 40 and len(np.unique(rows.T, axis=0)) == 60


@each_face
def test_outside_of_training_nothing_happens(face):
    function, layer, shape, _ = FACES[face]
    x, state = td.ones(shape), td.get_rng_state()
    assert function(x, 0.9, training=False) is x and function(x, 0.9, False) is x
    assert function(x, 0.0) is x
    made = layer(0.9)
    assert made.eval()(x) is x and made.train()(x) is not x
    td.set_rng_state(state)
    expected = function(x, 0.9)
    td.set_rng_state(state)
    assert made(x).tolist() == expected.tolist()


@each_face
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_dropping_all_gives_zeros(face, dtype):
    function, _, shape, _ = FACES[face]
    x = td.ones(shape, dtype=dtype, requires_grad=True)
    y = function(x, 1.0)
    y.sum().backward()
    assert y.dtype == dtype and not y.data.any() and not x.grad.data.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_numbers_are_dropped_in_every_dtype(dtype):
    td.manual_seed(0)
    expected = F.dropout(td.ones(100)).tolist()
    td.manual_seed(0)
    y = F.dropout(td.ones(100, dtype=dtype))
    assert y.dtype == dtype and y.tolist() == expected


def test_dropout_of_nothing_and_of_a_number():
    assert F.dropout(td.ones(0, 3)).shape == (0, 3)
    assert F.dropout(td.tensor(1.0)).item() in (0, 2)


def test_dropout_is_drawn_where_its_input_lives(cupy):
    td.manual_seed(0)
    expected = F.dropout(td.ones(20)).tolist()
    td.manual_seed(0)
    y = F.dropout(td.ones(20, device="cuda"))
    assert isinstance(y.data, cupy.ndarray) and y.cpu().tolist() == expected


def test_dropout_layers_travel():
    layer = nn.Dropout2d(0.3).eval()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == "Dropout2d(p=0.3, inplace=False)" and not other.training
    assert list(layer.state_dict()) == []
    model = nn.Sequential(nn.Identity(), nn.Dropout(0.5))
    x = td.ones(50)
    assert model.eval()(x) is x and set(model.train()(x).tolist()) == {0, 2}


def test_identity_takes_anything_and_does_nothing():
    x = td.ones(2)
    assert nn.Identity()(x) is x and nn.Identity(54, unused=0.1)(x) is x
