"""Recurrent cells, and layers that run them along a sequence."""

import torch
from both import numbers
from registry import TF, THEIRS, Call, layer

x = numbers(3, 2, 4)  # (T, N, input_size)
for name, count in {"RNN": 1, "GRU": 1, "LSTM": 2}.items():

    def state(*shape, count=count):
        h, c = numbers(*shape), numbers(*shape, seed=1)
        return (h, c) if count > 1 else h

    # ------------------------------------------------------------ cells
    cell = f"{name}Cell"
    layer(cell, Call(4, 3), x[0])
    layer(cell, Call(4, 3), x[0], state(2, 3))
    layer(cell, Call(4, 3), x[0, 0])
    layer(cell, Call(4, 3, bias=False), x[0, 0], state(3))
    layer(cell, Call(4, 3), x[0, :0], state(0, 3))
    # ------------------------------------------------------------ sequences
    layer(name, Call(4, 3), x)
    layer(name, Call(4, 3), x, state(1, 2, 3))
    layer(name, Call(4, 3, bias=False), x[:, 0])
    layer(name, Call(4, 3, batch_first=True), x[:1], state(1, 1, 3))
    layer(name, Call(4, 3, num_layers=2, batch_first=True, bidirectional=True), x, state(4, 3, 3))
    layer(name, Call(4, 3, 2, bidirectional=True, batch_first=True), x[:, 0], state(4, 3))
    layer(name, Call(4, 3, bidirectional=True, bias=False), x[:, :0])
    layer(name, Call(4, 3, num_layers=2), x[:1])
    # PyTorch draws other numbers: dropout can only keep nothing here
    layer(name, Call(4, 3, num_layers=3, dropout=1.0, bidirectional=True), x[:2])
layer("RNNCell", Call(4, 3, True, "relu"), x[0], numbers(2, 3))
layer("RNN", Call(4, 3, 2, "relu", False), x, numbers(2, 2, 3))
layer("LSTM", Call(4, 3, proj_size=2), x, (numbers(1, 2, 2), numbers(1, 2, 3)))
layer("LSTM", Call(4, 3, 2, False, True, 0.0, True, 1), x, (numbers(4, 3, 1), numbers(4, 3, 3)))
layer("LSTM", Call(4, 3, proj_size=1, bidirectional=True, num_layers=2), x[:, 1])


class ConvLSTMCell(torch.nn.Module):
    """Shi et al. 2015, equation 3, without the terms in W_c; one filter for x and one for h."""

    def __init__(self, in_channels, hidden_channels, kernel_size, bias=True):
        super().__init__()
        kernel_size = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
        channels = in_channels, hidden_channels
        self.channels, self.axes = channels, len(kernel_size)
        self.weight = torch.nn.Parameter(
            torch.zeros(4 * hidden_channels, sum(channels), *kernel_size)
        )
        self.bias = torch.nn.Parameter(torch.zeros(4 * hidden_channels)) if bias else None

    def forward(self, input, hx=None):
        dim, conv = input.ndim - self.axes - 1, getattr(TF, f"conv{self.axes}d")
        shape = list(input.shape)
        shape[dim] = self.channels[1]
        h, c = hx or (input.new_zeros(shape),) * 2
        w_x, w_h = self.weight.split(self.channels, 1)
        terms = conv(input, w_x, self.bias, padding="same") + conv(h, w_h, padding="same")
        i, f, g, o = terms.chunk(4, dim)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


THEIRS["ConvLSTMCell"] = ConvLSTMCell
layer("ConvLSTMCell", Call(2, 3, 3), numbers(2, 2, 4, 5))
layer("ConvLSTMCell", Call(2, 1, (3, 1), bias=False), numbers(2, 4, 5),
      (numbers(1, 4, 5), numbers(1, 4, 5, seed=1)))  # fmt: skip
layer("ConvLSTMCell", Call(2, 3, (3,)), numbers(2, 2, 5),
      (numbers(2, 3, 5), numbers(2, 3, 5, seed=1)))  # fmt: skip
layer("ConvLSTMCell", Call(1, 1, (1, 3, 1)), numbers(1, 1, 2, 3, 2))
