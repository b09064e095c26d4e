"""Linear maps, tables of vectors, dropout, and what moves numbers about: functions and layers."""

import numpy as np

from .. import ops
from ..backend import array_module
from ..geometry import positive
from ..ops.indexing import must_fit
from ..ops.shape import Gather
from .activations import accept, refuse_in_place
from .families import Described, FunctionLayer, for_axes, layer, layers
from .init import fan_in_uniform, normal_
from .module import Module, Parameter


def linear(input, weight, bias=None):
    """input @ weight.T + bias: (*, in) with weight (out, in) -> (*, out)."""
    if not input.ndim or input.shape[-1] != weight.shape[-1]:
        raise ValueError(
            f"linear with weight shape {weight.shape} (out, in) expects a last size of "
            f"{weight.shape[-1]}, got an input of shape {input.shape}"
        )
    y = input @ weight.T
    return y if bias is None else y + bias


def bilinear(input1, input2, weight, bias=None):
    """input1 @ weight[o] @ input2 + bias[o] for each o: (*, in1) and (*, in2) with weight (out,
    in1, in2) -> (*, out).
    """
    lead, sizes = input1.shape[:-1], weight.shape[1:]
    if (
        weight.ndim != 3
        or (input1.shape, input2.shape) != tuple((*lead, n) for n in sizes)
        or (bias is not None and bias.shape != weight.shape[:1])
    ):
        raise ValueError(
            "bilinear expects inputs (*, in1) and (*, in2), a weight (out, in1, in2) and a bias "
            f"(out,), got {input1.shape}, {input2.shape}, {weight.shape} and "
            f"{None if bias is None else bias.shape}"
        )
    y = ops.einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
    sparse=False,
):  # fmt: skip
    """weight[input]: rows of a table (V, D), for indices (*) -> (*, D).

    The row `padding_idx` gets no gradient. With `max_norm` the rows used are first shortened, in
    the table itself, to that `norm_type`-norm. With `scale_grad_by_freq` a row's gradient is
    divided by how often it is used. There are no sparse gradients here.
    """
    if sparse:
        raise ValueError("embedding has no sparse gradients, got sparse=True: leave it out")
    rows, size = _table(weight)
    if input.dtype not in (np.int32, np.int64):
        raise TypeError(f"embedding expects indices of int32 or int64, got {input.dtype}")
    must_fit(f"embedding in a table of {rows} rows", input, rows)
    xp, indices = array_module(weight.data, input.data), input.data
    if max_norm is not None or scale_grad_by_freq:
        uses = xp.bincount(indices.reshape(-1), minlength=rows)
    if max_norm is not None:
        norms = weight.detach().norm(norm_type, 1, keepdim=True)
        long = ops.logical_and(norms > max_norm, weight.wrap(uses[:, None] > 0))
        weight.data = (weight.detach() * ops.where(long, max_norm / (norms + 1e-7), 1)).data
    y = Gather(indices[..., None] * size + xp.arange(size))(weight)
    kept = y.detach()  # the same numbers without a gradient
    if scale_grad_by_freq:
        y = kept + (y - kept) / y.wrap(uses[indices][..., None])
    if padding_idx is not None:
        y = ops.where((input == _row(padding_idx, rows)).unsqueeze(-1), kept, y)
    return y


def _table(weight):
    if weight.ndim != 2:
        raise ValueError(f"embedding expects a table of shape (V, D), got shape {weight.shape}")
    return weight.shape


def _row(padding_idx, rows):
    if not -rows <= padding_idx < rows:
        raise ValueError(f"expected padding_idx in a table of {rows} rows, got {padding_idx}")
    return padding_idx % rows


def one_hot(input, num_classes=-1):
    """Indices (*) as rows (*, num_classes) of zeros with a single 1, int64; -1: as many classes as
    the largest index needs.
    """
    if input.dtype != np.int64:
        raise TypeError(f"one_hot expects int64 indices, got {input.dtype}: use .long()")
    if num_classes == -1 and input.numel():
        num_classes = max(input.max().item(), 0) + 1
    positive("num_classes", (num_classes,))
    must_fit(f"one_hot of {num_classes} classes", input, num_classes, kind=ValueError)
    return (input.unsqueeze(-1) == ops.arange(num_classes, device=input.device)).long()


def dropout(input, p=0.5, training=True, inplace=False):
    """Each number set to 0 with probability p, the others divided by 1 - p; outside of training the
    input itself (Srivastava et al. 2014).
    """
    return _drop(input, p, training, inplace, input.shape)


def _dropout(input, p=0.5, training=True, inplace=False, *, axes):
    """Each channel of (N, C, *spatial) or (C, *spatial) set to 0 with probability p, the others
    divided by 1 - p; outside of training the input itself (Tompson et al. 2015).
    """
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"dropout{axes}d expects {axes + 1} or {axes + 2} dimensions, got shape {input.shape}"
        )
    # PyTorch takes three dimensions for (N, C, L) in dropout2d, though for (C, L) in dropout1d.
    lead = 2 if axes == 2 else input.ndim - axes
    return _drop(input, p, training, inplace, (*input.shape[:lead], *(1,) * (input.ndim - lead)))


def _drop(input, p, training, inplace, shape):
    probability(p)
    refuse_in_place("dropout", inplace)
    if not training or p == 0:
        return input
    kept = (ops.rand(shape, device=input.device) >= p).astype(accept("dropout", input).dtype)
    return input * (kept / (1 - p or 1))  # p = 1 keeps nothing that would have to be divided


def probability(p):
    if not 0 <= p <= 1:
        raise ValueError(f"expected a probability of dropout between 0 and 1, got {p}")


dropout1d, dropout2d, dropout3d = for_axes(_dropout)

# ---------------------------------------------------------------- layers


def uniform_parameter(shape, fan_in, wanted=True):
    """A Parameter with PyTorch's first values, uniform within 1 / sqrt(fan_in), or None."""
    return fan_in_uniform(Parameter(np.empty(shape, np.float32)), fan_in) if wanted else None


class Linear(Described):
    """y = x W^T + b: (*, in_features) -> (*, out_features)."""

    def __init__(self, in_features, out_features, bias=True):
        positive("in_features", (in_features,))
        positive("out_features", (out_features,))
        self.in_features, self.out_features = in_features, out_features
        self.weight = uniform_parameter((out_features, in_features), in_features)
        self.bias = uniform_parameter((out_features,), in_features, bias)

    def forward(self, input):
        return linear(input, self.weight, self.bias)


class Bilinear(Described):
    """y_o = x1 W_o x2 + b_o: (*, in1_features), (*, in2_features) -> (*, out_features)."""

    def __init__(self, in1_features, in2_features, out_features, bias=True):
        self.in1_features, self.in2_features = in1_features, in2_features
        self.out_features = out_features
        shape = out_features, in1_features, in2_features
        positive("numbers of features", shape)
        self.weight = uniform_parameter(shape, in1_features)
        self.bias = uniform_parameter((out_features,), in1_features, bias)

    def forward(self, input1, input2):
        return bilinear(input1, input2, self.weight, self.bias)


class Embedding(Described):
    """A table of num_embeddings vectors: indices (*) -> (*, embedding_dim). See F.embedding.

    First values are normal; the row padding_idx is zero and, without a gradient, stays so.
    """

    def __init__(
        self, num_embeddings, embedding_dim, padding_idx=None, max_norm=None, norm_type=2.0,
        scale_grad_by_freq=False, sparse=False,
    ):  # fmt: skip
        positive("num_embeddings", (num_embeddings,))
        positive("embedding_dim", (embedding_dim,))
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = None if padding_idx is None else _row(padding_idx, num_embeddings)
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        self.weight = normal_(Parameter(np.empty((num_embeddings, embedding_dim), np.float32)))
        if padding_idx is not None:
            self.weight.data[padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings, freeze=True, *args, **options):
        """The layer of a table (V, D) that exists already; the settings follow as above."""
        made = cls(*_table(embeddings), *args, **options)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def forward(self, input):
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type,
            self.scale_grad_by_freq, self.sparse,
        )  # fmt: skip


class _Dropout(FunctionLayer):
    """Dropout while the layer is in training."""

    p: float
    inplace: bool

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        probability(self.p)
        refuse_in_place(type(self).__name__, self.inplace)

    def forward(self, input):
        return super().forward(input, training=self.training)


Dropout = layer("Dropout", dropout, without="training", base=_Dropout)
Dropout1d, Dropout2d, Dropout3d = layers(
    "Dropout", (dropout1d, dropout2d, dropout3d), without="training", base=_Dropout
)


class Identity(Module):
    """The input itself, whatever the layer was made with."""

    def __init__(self, *args, **kwargs):
        pass

    def forward(self, input):
        return input


class Flatten(Module):
    """The dimensions from start_dim to end_dim, both included, as one"""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """One dimension as several: Unflatten(1, (8, 4, 4)) turns (N, 128) into (N, 8, 4, 4)"""

    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input):
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
