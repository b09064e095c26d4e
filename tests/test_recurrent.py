"""Recurrent cells and sequences: against the equations, number by number, and by rule."""

import copy
import itertools
import math
import pickle

import naive
import numpy as np
import pytest
from refusals import refused

import tinydeconv as td
from tinydeconv import nn
from tinydeconv.gradcheck import gradcheck
from tinydeconv.nn import functional as F

KINDS = {"RNN": 1, "GRU": 1, "LSTM": 2}  # tensors in the state
each_kind = pytest.mark.parametrize("kind", KINDS)


def draw(*shape, seed=0, grad=False):
    numbers = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return td.tensor(np.asarray(numbers), requires_grad=grad)


def start(kind, *shape):
    """A random state: a tensor, or (h, c)."""
    parts = tuple(draw(*shape, seed=9 + i) for i in range(KINDS[kind]))
    return parts if KINDS[kind] > 1 else parts[0]


def tensors(state):
    return state if isinstance(state, tuple) else (state,)


def close(found, expected):
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.detach().data, expected, rtol=0, atol=1e-12)


# ---------------------------------------------------------------- the equations, one number a time


def sigmoid(v):
    return 1 / (1 + math.exp(-v))


def product(weight, vector, bias):
    """weight @ vector + bias in loops."""
    found = []
    for i in range(len(weight)):
        total = 0.0 if bias is None else float(bias[i])
        for w, v in zip(weight[i], vector, strict=True):
            total += float(w) * float(v)
        found.append(total)
    return found


def rnn_cell(x, state, w, relu=False):
    """x and h vectors, w the weights by name -> [h']."""
    size, (h,) = len(state[0]), state
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    return [[max(a[k] + b[k], 0.0) if relu else math.tanh(a[k] + b[k]) for k in range(size)]]


def gru_cell(x, state, w):
    """Cho et al. 2014, rows of the weights: reset, update, new; the reset after the product."""
    size, (h,) = len(state[0]), state
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    new = []
    for k in range(size):
        reset, update = sigmoid(a[k] + b[k]), sigmoid(a[size + k] + b[size + k])
        n = math.tanh(a[2 * size + k] + reset * b[2 * size + k])
        new.append((1 - update) * n + update * h[k])
    return [new]


def lstm_cell(x, state, w):
    """Rows of the weights: input, forget, cell, output; weight_hr makes h smaller."""
    h, c = state
    size = len(c)
    a = product(w["weight_ih"], x, w["bias_ih"])
    b = product(w["weight_hh"], h, w["bias_hh"])
    gates = [a[k] + b[k] for k in range(4 * size)]
    i, f, g, o = (gates[n * size : (n + 1) * size] for n in range(4))
    c = [sigmoid(f[k]) * c[k] + sigmoid(i[k]) * math.tanh(g[k]) for k in range(size)]
    h = [sigmoid(o[k]) * math.tanh(c[k]) for k in range(size)]
    if w["weight_hr"] is not None:
        h = product(w["weight_hr"], h, None)
    return [h, c]


CELLS = {"RNN": rnn_cell, "GRU": gru_cell, "LSTM": lstm_cell}
NAMES = "weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"


def weights(layer, suffix=""):
    state = layer.state_dict()
    return {n: state[n + suffix].data if n + suffix in state else None for n in NAMES}


def sequence(layer, cell, x, state):
    """One sequence x (T, in), states [(layers * directions, size)] -> outputs (T, out), states."""
    last = [[None] * len(state[0]) for _ in state]
    for level in range(layer.num_layers):
        sides = []
        for side in range(2 if layer.bidirectional else 1):
            own = weights(layer, f"_l{level}" + ("_reverse" if side else ""))
            k = level * (2 if layer.bidirectional else 1) + side
            current = [list(s[k]) for s in state]
            outputs = [None] * len(x)
            for t in reversed(range(len(x))) if side else range(len(x)):
                current = cell(x[t], current, own)
                outputs[t] = current[0]
            sides.append(outputs)
            for part, value in zip(last, current, strict=True):
                part[k] = value
        x = [[v for outputs in sides for v in outputs[t]] for t in range(len(x))]
    return x, last


@each_kind
@pytest.mark.parametrize("bias", [True, False])
def test_cells(kind, bias):
    layer = getattr(nn, f"{kind}Cell")(4, 3, bias=bias).double()
    x, state = draw(5, 4), start(kind, 5, 3)
    for given in (state, None):
        found = tensors(layer(x, given))
        for n in range(5):
            before = [s.data[n] * (given is not None) for s in tensors(state)]
            expected = CELLS[kind](x.data[n], before, weights(layer))
            for part, numbers in zip(found, expected, strict=True):
                close(part[n], numbers)
    for alone in (layer(x[2], None), layer(x[2])):  # without a batch
        for part, whole in zip(tensors(alone), found, strict=True):
            close(part, whole.data[2])


SETTINGS = [
    dict(zip(("num_layers", "bidirectional", "bias"), values, strict=True))
    for values in itertools.product((1, 2, 3), (False, True), (True, False))
]


@each_kind
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("proj_size", [0, 2])
def test_sequences(kind, settings, proj_size):
    if proj_size and kind != "LSTM":
        return
    options = settings | ({"proj_size": proj_size} if proj_size else {})
    layer = getattr(nn, kind)(4, 3, **options).double()
    x, count = draw(5, 2, 4), settings["num_layers"] * (1 + settings["bidirectional"])
    state = start(kind, count, 2, 3)
    if proj_size:
        state = (draw(count, 2, proj_size), state[1])
    for given in (state, None):
        before = [s.data * (given is not None) for s in tensors(state)]
        y, after = layer(x, given)
        assert isinstance(after, tuple) == (kind == "LSTM")
        for n in range(2):
            expected, last = sequence(layer, CELLS[kind], x.data[:, n], [s[:, n] for s in before])
            close(y[:, n], expected)
            for part, numbers in zip(tensors(after), last, strict=True):
                close(part[:, n], numbers)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_relu(bidirectional):
    x = draw(3, 4)
    layer = nn.RNNCell(4, 3, nonlinearity="relu").double()
    close(layer(x[0]), rnn_cell(x.data[0], [[0] * 3], weights(layer), relu=True)[0])
    layer = nn.RNN(4, 3, 2, "relu", bidirectional=bidirectional).double()
    zeros = [np.zeros((2 * (1 + bidirectional), 3))]
    cell = lambda *given: rnn_cell(*given, relu=True)  # noqa: E731
    y, h = layer(x)
    expected, last = sequence(layer, cell, x.data, zeros)
    close(y, expected)
    close(h, last[0])


# ---------------------------------------------------------------- the ways to call them


@each_kind
def test_the_batch_may_come_first_or_not_at_all(kind):
    layer = getattr(nn, kind)(4, 3, 2, bidirectional=True).double()
    other = getattr(nn, kind)(4, 3, 2, bidirectional=True, batch_first=True).double()
    other.load_state_dict(layer.state_dict())
    x, state = draw(5, 2, 4), start(kind, 4, 2, 3)
    y, after = layer(x, state)
    y_first, after_first = other(x.transpose(0, 1), state)
    assert y_first.shape == (2, 5, 6)
    close(y_first, y.data.swapaxes(0, 1))
    for a, b in zip(tensors(after), tensors(after_first), strict=True):
        close(a, b.data)  # layers first, whatever batch_first says
    own = tuple(s[:, 1] for s in tensors(state))
    for one in (layer, other):
        y_one, after_one = one(x[:, 1], own if len(own) > 1 else own[0])
        close(y_one, y.data[:, 1])
        for a, b in zip(tensors(after), tensors(after_one), strict=True):
            close(b, a.data[:, 1])


@each_kind
def test_a_sequence_in_two_parts_is_the_whole(kind):
    layer = getattr(nn, kind)(4, 3, 2).double()
    x = draw(7, 2, 4)
    y, after = layer(x)
    first, state = layer(x[:3])
    second, last = layer(x[3:], state)
    close(td.cat([first, second]), y.data)
    for a, b in zip(tensors(after), tensors(last), strict=True):
        close(a, b.data)


@each_kind
def test_a_cell_run_by_hand_is_the_layer(kind):
    layer, cell = getattr(nn, kind)(4, 3).double(), getattr(nn, f"{kind}Cell")(4, 3).double()
    cell.load_state_dict({k[:-3]: v for k, v in layer.state_dict().items()})
    x, state, outputs = draw(5, 2, 4), None, []
    for t in range(5):
        state = cell(x[t], state)
        outputs.append(tensors(state)[0])
    close(layer(x)[0], td.stack(outputs).data)


@each_kind
def test_empty_batches(kind):
    y, after = getattr(nn, kind)(4, 3, 2, bidirectional=True)(td.ones(5, 0, 4))
    assert y.shape == (5, 0, 6) and {s.shape for s in tensors(after)} == {(4, 0, 3)}
    assert {s.shape for s in tensors(getattr(nn, f"{kind}Cell")(4, 3)(td.ones(0, 4)))} == {(0, 3)}


@each_kind
def test_a_list_is_a_state_too(kind):
    layer = getattr(nn, f"{kind}Cell")(4, 3).double()
    x, state = draw(2, 4), start(kind, 2, 3)
    for a, b in zip(tensors(layer(x, state)), tensors(layer(x, list(tensors(state)))), strict=True):
        assert a.tolist() == b.tolist()


# ---------------------------------------------------------------- dropout


@each_kind
def test_dropout_stands_between_the_layers(kind):
    layer = getattr(nn, kind)(4, 3, 3, dropout=1.0).double()
    x = draw(5, 2, 4)
    y, after = layer(x)
    assert y.data.any()  # the last outputs are kept
    assert y.tolist() == layer(2 * x)[0].tolist()  # nothing of the input comes through
    h, doubled = tensors(after)[0], tensors(layer(2 * x)[1])[0]
    assert h[1:].tolist() == doubled[1:].tolist() and h[0].tolist() != doubled[0].tolist()
    layer.eval()
    plain = getattr(nn, kind)(4, 3, 3).double()
    plain.load_state_dict(layer.state_dict())
    assert layer(x)[0].tolist() == plain(x)[0].tolist()


def test_dropout_follows_the_seed_and_scales_what_it_keeps():
    layer, x = nn.RNN(4, 300, 2, "relu", dropout=0.3).double(), draw(1, 4)
    found = []
    for seed in (0, 0, 1):
        td.manual_seed(seed)
        found.append(layer(x)[0].tolist())
    assert found[0] == found[1] != found[2]
    td.manual_seed(0)
    w = layer.state_dict()
    hidden = F.dropout(layer(x)[1][0].detach().unsqueeze(0), 0.0)
    td.manual_seed(0)
    hidden = F.dropout(hidden, 0.3)
    expected = (F.linear(hidden, w["weight_ih_l1"], w["bias_ih_l1"]) + w["bias_hh_l1"]).relu()
    np.testing.assert_allclose(found[0], expected.data, atol=1e-12)


# ---------------------------------------------------------------- weights and derivatives


@each_kind
def test_names_and_shapes_of_the_weights(kind):
    rows = {"RNN": 3, "GRU": 9, "LSTM": 12}[kind]
    layer = getattr(nn, kind)(4, 3, 2, bidirectional=True)
    found = {name: p.shape for name, p in layer.named_parameters()}
    expected = {}
    for level, side in itertools.product((0, 1), ("", "_reverse")):
        end = f"_l{level}{side}"
        expected[f"weight_ih{end}"] = (rows, 6 if level else 4)
        expected[f"weight_hh{end}"] = (rows, 3)
        expected[f"bias_ih{end}"] = expected[f"bias_hh{end}"] = (rows,)
    assert found == expected and list(found) == list(expected)
    cell = getattr(nn, f"{kind}Cell")(4, 3, bias=False)
    assert {name: p.shape for name, p in cell.named_parameters()} == {
        "weight_ih": (rows, 4), "weight_hh": (rows, 3),
    }  # fmt: skip


def test_the_weights_of_a_projection():
    layer = nn.LSTM(4, 3, 2, bias=False, bidirectional=True, proj_size=2)
    found = [(name, p.shape) for name, p in layer.named_parameters()]
    assert found[:3] == [
        ("weight_ih_l0", (12, 4)), ("weight_hh_l0", (12, 2)), ("weight_hr_l0", (2, 3)),
    ]  # fmt: skip
    assert found[6] == ("weight_ih_l1", (12, 4))  # two directions of 2
    assert len(found) == 12


@each_kind
def test_first_values_are_uniform_within_one_over_the_root_of_the_hidden_size(kind):
    td.manual_seed(0)
    for p in getattr(nn, kind)(30, 100).parameters():
        assert 0.09 < abs(p.data).max() <= 0.1 and p.dtype == td.float32
        assert abs(p.data.std() * math.sqrt(3) / 0.1 - 1) < 0.2


@each_kind
@pytest.mark.parametrize("steps", [1, 3])
def test_derivatives_by_input_and_first_state(kind, steps):
    layer = getattr(nn, kind)(2, 2, 2, bidirectional=True).double()
    shapes = [(steps, 1, 2), *[(4, 1, 2)] * KINDS[kind]]
    inputs = [draw(*shape, seed=i, grad=True) for i, shape in enumerate(shapes)]

    def run(x, *state):
        return layer(x, state if len(state) > 1 else state[0])[0]

    assert gradcheck(run, inputs, rtol=1e-6, atol=1e-8)


def test_slices():
    for count in range(1, 10):
        x = draw(count, 2, grad=True)
        parts = td.unbind(x)
        assert [p.tolist() for p in parts] == x.tolist()
        sum((i + 1) * p.sum() for i, p in enumerate(parts)).backward()
        assert x.grad[:, 0].tolist() == list(range(1, count + 1))


def test_the_way_back_through_many_slices_does_not_touch_the_whole_each_time():
    """What the gradients of slices hold together: T log T numbers, not T^2."""
    touched, count = 0, 256
    x = draw(count, 1, grad=True)
    parts = td.unbind(x * 1.0)
    seen, stack = set(), [p.node for p in parts]
    while stack:
        node = stack.pop()
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            touched += sum(math.prod(p.shape) for p in node.parents if p is not None)
            stack += [p for p in node.parents if p is not None]
    assert touched <= 4 * count * math.log2(count)


@each_kind
def test_float32_stays(kind):
    layer = getattr(nn, kind)(4, 3, 2, bidirectional=True)
    x = draw(5, 2, 4).float()
    y, after = layer(x)
    y.sum().backward()
    found = [y, *tensors(after), *(p.grad for p in layer.parameters())]
    assert {t.dtype for t in found} == {np.dtype(np.float32)}


@each_kind
def test_layers_travel(kind):
    layer = getattr(nn, kind)(4, 3, 2, bidirectional=True)
    x = td.randn(5, 2, 4)
    expected = layer(x)[0].tolist()
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert other(x)[0].tolist() == expected


def test_an_lstm_learns_what_no_average_tells():
    """Whether the first number of a sequence was positive."""
    td.manual_seed(0)
    model, head = nn.LSTM(1, 8), nn.Linear(8, 1)
    adam = td.optim.Adam([*model.parameters(), *head.parameters()], lr=0.05)
    x = td.randn(6, 64, 1)
    target = (x[0] > 0).float()
    for _ in range(60):
        loss = F.binary_cross_entropy_with_logits(head(model(x)[0][-1]), target)
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert loss.item() < 0.1


# ---------------------------------------------------------------- convolutional


@pytest.mark.parametrize(
    ("kernel", "size"), [((3,), (5,)), ((1, 3), (4, 5)), (3, (4, 3)), ((3, 1, 3), (2, 2, 3))]
)
@pytest.mark.parametrize("bias", [True, False])
def test_conv_lstm(kernel, size, bias):
    layer = nn.ConvLSTMCell(2, 3, kernel, bias=bias).double()
    ks = (kernel,) * 2 if isinstance(kernel, int) else kernel
    x, h, c = draw(2, 2, *size), draw(2, 3, *size), draw(2, 3, *size, seed=1)
    for given in ((h, c), None):
        before_h, before_c = (s.data * (given is not None) for s in (h, c))
        both = np.concatenate([x.data, before_h], 1)
        own = None if layer.bias is None else layer.bias.data
        gates = naive.conv(both, layer.weight.data, own, padding=tuple(k // 2 for k in ks))
        after = np.zeros((2, *before_c.shape))
        for n, k, *at in np.ndindex(*before_c.shape):
            i, f, g, o = (gates[n, gate * 3 + k, *at] for gate in range(4))
            cell = sigmoid(f) * before_c[n, k, *at] + sigmoid(i) * math.tanh(g)
            after[:, n, k, *at] = sigmoid(o) * math.tanh(cell), cell
        found = layer(x, given)
        for part, expected in zip(found, after, strict=True):
            close(part, expected)
    for part, expected in zip(layer(x[1]), found, strict=True):  # without a batch
        close(part, expected.data[1])


def test_weights_of_a_conv_lstm():
    td.manual_seed(0)
    layer = nn.ConvLSTMCell(8, 16, (3, 5))
    assert {name: p.shape for name, p in layer.named_parameters()} == {
        "weight": (64, 24, 3, 5), "bias": (64,),
    }  # fmt: skip
    bound = 1 / math.sqrt(24 * 15)
    assert 0.95 * bound < abs(layer.weight.data).max() <= bound
    assert abs(layer.bias.data).max() <= bound and nn.ConvLSTMCell(1, 2, 3, bias=False).bias is None


# ---------------------------------------------------------------- bad input

x = td.ones(5, 2, 4)
BAD = [
    (lambda: nn.LSTM(4, 3)([1, 2]), TypeError, ("LSTM", "Tensor", "list", "packed sequences")),
    (lambda: nn.GRUCell(4, 3)(None), TypeError, ("GRUCell", "NoneType")),
    (lambda: nn.LSTM(3, 3)(x), ValueError, ("LSTM", "2 or 3", 3, "(5, 2, 4)")),
    (lambda: nn.LSTM(4, 3)(td.ones(5, 2, 2, 4)), ValueError, ("2 or 3", "(5, 2, 2, 4)")),
    (lambda: nn.GRUCell(4, 3)(x), ValueError, ("1 or 2", "(5, 2, 4)")),
    (lambda: nn.GRUCell(4, 3)(td.tensor(1.0)), ValueError, ("1 or 2", "()")),
    (lambda: nn.RNN(4, 3)(x[:0]), ValueError, ("RNN", "step", "(0, 2, 4)")),
    (lambda: nn.RNN(4, 3, batch_first=True)(x[:, :0]), ValueError, ("step", "(5, 0, 4)")),
    (lambda: nn.RNN(4, 3)(x[:0, 0]), ValueError, ("step", "(0, 4)")),
    (lambda: nn.GRU(4, 3)(x, td.ones(1, 1, 3)), ValueError, ("GRU", "(1, 2, 3)", "(1, 1, 3)")),
    (lambda: nn.GRU(4, 3, 2)(x, td.ones(1, 2, 3)), ValueError, ("(2, 2, 3)", "(1, 2, 3)")),
    (lambda: nn.GRU(4, 3)(x[:, 0], td.ones(1, 1, 3)), ValueError, ("(1, 3)", "(1, 1, 3)")),
    (lambda: nn.LSTM(4, 3)(x, td.ones(1, 2, 3)), ValueError, ("(1, 2, 3) and (1, 2, 3)",)),
    (lambda: nn.LSTM(4, 3, proj_size=2)(x, (td.ones(1, 2, 3),) * 2), ValueError,
     ("(1, 2, 2) and (1, 2, 3)",)),
    (lambda: nn.LSTMCell(4, 3)(x[0], (td.ones(3), td.ones(3))), ValueError, ("(2, 3)", "(3,)")),
    (lambda: nn.RNNCell(4, 3)(x[0], td.ones(1, 3)), ValueError, ("(2, 3)", "(1, 3)")),
    (lambda: nn.LSTM(4, 3)(x.double()), TypeError, ("float64", "float32")),
    (lambda: nn.LSTM(4, 3)(x.long()), TypeError, ("int64", "float32")),
    (lambda: nn.RNN(4, 3, nonlinearity="GRU"), ValueError, ("'tanh'", "'relu'", "'GRU'")),
    (lambda: nn.RNNCell(4, 3, nonlinearity="Tanh"), ValueError, ("'tanh'", "'Tanh'")),
    (lambda: nn.GRU(0, 3), ValueError, ("input_size", 0)),
    (lambda: nn.GRUCell(4, 0), ValueError, ("hidden_size", 0)),
    (lambda: nn.GRU(4, 3, 0), ValueError, ("num_layers", 0)),
    (lambda: nn.GRU(4, 3, dropout=1.5), ValueError, (0, 1, 1.5)),
    (lambda: nn.LSTM(4, 3, proj_size=3), ValueError, ("proj_size", "hidden_size", 3)),
    (lambda: nn.LSTM(4, 3, proj_size=-1), ValueError, ("proj_size", -1)),
    (lambda: nn.GRU(4, 3, proj_size=1), TypeError, ("proj_size",)),
    (lambda: nn.ConvLSTMCell(2, 3, 3)(td.ones(2, 5)), ValueError, ("3 or 4", 2, "(2, 5)")),
    (lambda: nn.ConvLSTMCell(2, 3, 3)(td.ones(3, 5, 5)), ValueError, ("2 channels", "(3, 5, 5)")),
    (lambda: nn.ConvLSTMCell(2, 3, 3)(td.ones(2, 5, 5), (td.ones(3, 5, 4),) * 2), ValueError,
     ("(3, 5, 5) and (3, 5, 5)", "(3, 5, 4)")),
    (lambda: nn.ConvLSTMCell(2, 3, (0, 1)), ValueError, ("kernel_size", 0)),
    (lambda: nn.ConvLSTMCell(2, 0, 3), ValueError, ("channels", 0)),
    (lambda: nn.ConvLSTMCell(2, 3, 2.5), ValueError, ("kernel_size", 2.5)),
]  # fmt: skip


@pytest.mark.parametrize(("refusing", "kind", "words"), BAD)
def test_bad_input(refusing, kind, words):
    with refused(kind, *words):
        refusing()
