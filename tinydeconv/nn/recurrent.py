"""Recurrent cells, and the layers that run them along a sequence.

A cell is one function of what the input says, x = W_ih x_t + b_ih, of what the state says, z = W_hh
h + b_hh, and of the state itself; it returns the new state, whose first part is the output.
"""

from collections.abc import Callable
from math import prod

from .. import ops
from ..geometry import ntuple, positive
from ..tensor import Tensor
from .basic import dropout, linear, probability, uniform_parameter
from .convolution import conv
from .families import Described


def _tanh(x, z, h):
    return ((x + z).tanh(),)


def _relu(x, z, h):
    return ((x + z).relu(),)


def _gru(x, z, h):
    """r, u = sigmoid(x + z); n = tanh(x + r z); h' = (1 - u) n + u h (Cho et al. 2014, with the
    reset gate r after the product, as in PyTorch).
    """
    (xr, xu, xn), (zr, zu, zn) = x.chunk(3, -1), z.chunk(3, -1)
    n = (xn + (xr + zr).sigmoid() * zn).tanh()
    return (n + (xu + zu).sigmoid() * (h - n),)


def _lstm(x, z, h, c):
    return _remember(x + z, c, -1)


def _remember(gates, c, dim):
    """c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(c'), with the gates i, f, g, o
    one after another along dim (Gers et al. 2000).
    """
    i, f, g, o = gates.chunk(4, dim)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


# {mode: (cell, gates, tensors in the state)}
CELLS: dict[str, tuple[Callable, int, int]] = {
    "RNN_tanh": (_tanh, 1, 1), "RNN_relu": (_relu, 1, 1),
    "GRU": (_gru, 3, 1), "LSTM": (_lstm, 4, 2),
}  # fmt: skip


def _state(layer, hx, input, shapes):
    """The state as a list of tensors of these shapes: hx, or zeros for None."""
    if hx is None:
        return [ops.zeros(shape, dtype=input.dtype, device=input.device) for shape in shapes]
    found = [hx] if isinstance(hx, Tensor) else list(hx)
    if [h.shape for h in found] != shapes:
        raise ValueError(
            f"{type(layer).__name__} expects, for an input of shape {input.shape}, a state of "
            f"{' and '.join(map(str, shapes))}, got {' and '.join(str(h.shape) for h in found)}"
        )
    return found


# ---------------------------------------------------------------- layers


class _Recurrent(Described):
    """What cells and sequences share: weights, and running them."""

    mode: str
    nonlinearity: str
    proj_size = 0

    def _set_up(self, input_size, hidden_size, bias):
        positive("input_size", (input_size,))
        positive("hidden_size", (hidden_size,))
        if self.mode not in CELLS:
            raise ValueError(f"expected nonlinearity 'tanh' or 'relu', got {self.nonlinearity!r}")
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias

    def _add_weights(self, input_size, suffix=""):
        rows, out = CELLS[self.mode][1] * self.hidden_size, self.proj_size or self.hidden_size
        for name, shape, wanted in (
            ("weight_ih", (rows, input_size), True),
            ("weight_hh", (rows, out), True),
            ("bias_ih", (rows,), self.bias),
            ("bias_hh", (rows,), self.bias),
            ("weight_hr", (out, self.hidden_size), self.proj_size),
        ):
            setattr(self, name + suffix, uniform_parameter(shape, self.hidden_size, wanted))

    def _check(self, input, *ndims):
        name = type(self).__name__
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name} expects a Tensor, got {type(input).__name__}: there are no packed "
                "sequences here, pad them to one length"
            )
        if input.ndim not in ndims or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name} expects {' or '.join(map(str, ndims))} dimensions, the last of size "
                f"{self.input_size}, got shape {input.shape}"
            )

    def _start(self, hx, input, lead):
        sizes = self.proj_size or self.hidden_size, self.hidden_size
        shapes = [(*lead, n) for n in sizes[: CELLS[self.mode][2]]]
        return _state(self, hx, input, shapes)

    def _run(self, input, state, suffix="", reverse=False):
        """The cell along (T, *, in): T outputs (*, out) and the state after the last."""
        names = "weight_ih", "bias_ih", "weight_hh", "bias_hh", "weight_hr"
        w_ih, b_ih, w_hh, b_hh, w_hr = (getattr(self, name + suffix) for name in names)
        cell, order, outputs = CELLS[self.mode][0], -1 if reverse else 1, []
        for x in ops.unbind(linear(input, w_ih, b_ih))[::order]:  # all steps in one product
            h, *rest = cell(x, linear(state[0], w_hh, b_hh), *state)
            state = [h if w_hr is None else linear(h, w_hr), *rest]
            outputs.append(state[0])
        return outputs[::order], state


def _alone(state):
    """A state as people get it: a tensor, or a tuple of several."""
    return tuple(state) if len(state) > 1 else state[0]


class _Cell(_Recurrent):
    """One step: a sequence of length 1."""

    def __init__(self, input_size, hidden_size, bias=True):
        self._set_up(input_size, hidden_size, bias)
        self._add_weights(input_size)

    def forward(self, input, hx=None):
        self._check(input, 1, 2)
        state = self._start(hx, input, input.shape[:-1])
        return _alone(self._run(input.unsqueeze(0), state)[1])


class _Sequence(_Recurrent):
    """Layers of cells along a sequence, each forwards or both ways."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
        bidirectional=False,
    ):  # fmt: skip
        self._set_up(input_size, hidden_size, bias)
        positive("num_layers", (num_layers,))
        probability(dropout)
        self.num_layers, self.batch_first, self.dropout = num_layers, batch_first, dropout
        self.bidirectional = bidirectional
        for suffixes in self._suffixes():
            for suffix in suffixes:
                self._add_weights(input_size, suffix)
            input_size = len(suffixes) * (self.proj_size or hidden_size)

    def _suffixes(self):
        """What the names of the weights end in, layer by layer: one direction or both."""
        ends = ("", "_reverse") if self.bidirectional else ("",)
        return [[f"_l{layer}{end}" for end in ends] for layer in range(self.num_layers)]

    def forward(self, input, hx=None):
        self._check(input, 2, 3)
        swap = self.batch_first and input.ndim == 3
        output = input.transpose(0, 1) if swap else input
        if not len(output):
            raise ValueError(f"{type(self).__name__} expects a step or more, got {input.shape}")
        suffixes = self._suffixes()
        lead = (sum(map(len, suffixes)), *output.shape[1:-1])
        state = self._start(hx, input, lead)
        finals: list = []  # the state of each layer and direction at its end
        for layer, ends in enumerate(suffixes):
            if layer:
                output = dropout(output, self.dropout, self.training)
            directions = []
            for reverse, suffix in enumerate(ends):
                own = [s[len(finals)] for s in state]
                outputs, final = self._run(output, own, suffix, reverse)
                directions.append(ops.stack(outputs))
                finals.append(final)
            output = ops.cat(directions, -1)
        final = [ops.stack(parts) for parts in zip(*finals, strict=True)]
        return output.transpose(0, 1) if swap else output, _alone(final)


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu (Elman 1990): (N, input_size) and a state
    (N, hidden_size), zeros unless given -> the new state; also without N.
    """

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh"):
        self.nonlinearity, self.mode = nonlinearity, f"RNN_{nonlinearity}"
        super().__init__(input_size, hidden_size, bias)


class GRUCell(_Cell):
    """A gated recurrent unit: (N, input_size) and a state (N, hidden_size), zeros unless given ->
    the new state; also without N.
    """

    mode = "GRU"


class LSTMCell(_Cell):
    """Long short-term memory: (N, input_size) and a state (h, c), each (N, hidden_size), zeros
    unless given -> the new (h, c); also without N.
    """

    mode = "LSTM"


class RNN(_Sequence):
    """RNNCells along a sequence, in layers, in one direction or both.

    (T, N, input_size), with batch_first (N, T, input_size), or (T, input_size); hx: (layers *
    directions, N, hidden_size), zeros unless given -> (output, last state): the last layer's
    states, both directions side by side, and the state of each layer and direction at its end.
    Dropout stands between the layers.
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True,
        batch_first=False, dropout=0.0, bidirectional=False,
    ):  # fmt: skip
        self.nonlinearity, self.mode = nonlinearity, f"RNN_{nonlinearity}"
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )


class GRU(_Sequence):
    """GRUCells along a sequence. Shapes as in RNN."""

    mode = "GRU"


class LSTM(_Sequence):
    """LSTMCells along a sequence. Shapes as in RNN, but the state is (h, c). With a proj_size the
    h of each step is brought to that size by a matrix (Sak et al. 2014).
    """

    mode = "LSTM"

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, proj_size=0,
    ):  # fmt: skip
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"expected a proj_size from 0 (none) to below hidden_size {hidden_size}, got "
                f"{proj_size}"
            )
        self.proj_size = proj_size
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )


class ConvLSTMCell(Described):
    """An LSTM cell whose products are convolutions that keep the size (Shi et al. 2015, without the
    peepholes). PyTorch has none.

    (N, in_channels, *spatial) and a state (h, c), each (N, hidden_channels, *spatial), zeros unless
    given -> the new (h, c); also without N. An int kernel_size means two axes.
    """

    def __init__(self, in_channels, hidden_channels, kernel_size, bias=True):
        axes = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else 2
        self.in_channels, self.hidden_channels = in_channels, hidden_channels
        self.kernel_size = ntuple(kernel_size, axes, "kernel_size")
        shape = (4 * hidden_channels, in_channels + hidden_channels, *self.kernel_size)
        positive("channels and kernel_size", (in_channels, *shape))
        self.weight = uniform_parameter(shape, prod(shape[1:]))
        self.bias = uniform_parameter(shape[:1], prod(shape[1:]), bias)

    def forward(self, input, hx=None):
        dim = -1 - len(self.kernel_size)  # of the channels
        if input.ndim not in (-dim, 1 - dim) or input.shape[dim] != self.in_channels:
            raise ValueError(
                f"ConvLSTMCell expects {-dim} or {1 - dim} dimensions with {self.in_channels} "
                f"channels, got shape {input.shape}"
            )
        shape = (*input.shape[:dim], self.hidden_channels, *input.shape[dim + 1 :])
        h, c = _state(self, hx, input, [shape, shape])
        both, axes = ops.cat([input, h], dim), len(self.kernel_size)
        gates = conv(both, self.weight, self.bias, padding="same", axes=axes)
        return _remember(gates, c, dim)
