"""A table of a network's layers: what comes out of each, what it learns, what it computes."""

from contextlib import contextmanager
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np

from ..engine import enable_grad
from ..ops import zeros
from ..ops.conv import Conv, ConvTranspose, ConvWeight
from ..ops.linalg import MatMul
from ..tensor import Tensor


class Row(NamedTuple):
    """One call of a module; its numbers leave out what earlier rows have counted."""

    name: str
    type: str
    output_shape: tuple
    parameters: int
    multiply_adds: int


class Summary(NamedTuple):
    """The rows of a network and their totals; printed, it is a table."""

    rows: list
    parameters: int
    multiply_adds: int

    def __repr__(self):
        table: list[tuple] = [("name", "type", "output shape", "parameters", "multiply-adds")]
        for *words, parameters, products in (*self.rows, ("total", "", "", *self[1:])):
            table.append((*map(str, words), f"{parameters:,}", f"{products:,}"))
        widths = [max(map(len, column)) for column in zip(*table)]
        line = "  ".join(f"{{:{side}{n}}}" for side, n in zip("<<<>>", widths))
        return "\n".join(line.format(*cells) for cells in table)


def summary(model, input_shape, dtype=None):
    """The layers of a model in the order in which they finish, run once on zeros of `input_shape`
    (N, ...), or of several inputs' shapes in a list; their dtype, if not given, is the model's.

    Parameters count where they are first used, multiply-adds (of convolutions and matrix products,
    layers or not, but none under no_grad) for the whole batch; modules that only call others have
    no row. Runs in eval mode and leaves the model as it was.
    """
    if not isinstance(input_shape, (tuple, list)):
        found = type(input_shape).__name__
        raise TypeError(f"expected a shape such as (1, 3, 32, 32) or a list of them, got {found}")
    several = any(isinstance(shape, (tuple, list)) for shape in input_shape)
    shapes = input_shape if several else [input_shape]
    where = next((t.device for t in (*model.parameters(), *model.buffers())), "cpu")
    if dtype is None:
        dtype = next((p.dtype for p in model.parameters()), np.float32)
    inputs = [zeros(shape, dtype=dtype, device=where) for shape in shapes]
    rows, counted = [], set()

    def fresh(things):
        found = [thing for thing in things if thing not in counted]
        counted.update(found)
        return found

    def record(name, module, inputs, output):
        outputs = _tensors(output)
        parameters = sum(p.numel() for p in fresh(module.parameters()))
        products = sum(map(_multiply_adds, fresh(_between(_tensors(inputs), outputs))))
        if parameters or products or not any(module.children()):
            shape = output.shape if isinstance(output, Tensor) else tuple(y.shape for y in outputs)
            rows.append(Row(name, type(module).__name__, shape, parameters, products))

    with _left_as_it_was(model), enable_grad():
        model.eval().requires_grad_()  # so that all is recorded, frozen layers too
        for name, module in model.named_modules():
            module.register_forward_hook(partial(record, name))
        model(*(x.requires_grad_(x.is_floating_point()) for x in inputs))
    total = sum(p.numel() for p in model.parameters())
    return Summary(rows, total, sum(row.multiply_adds for row in rows))


@contextmanager
def _left_as_it_was(model):
    """Afterwards all attributes, modes, hooks and numbers of the model are what they were."""
    modules = [(module, dict(vars(module))) for module in model.modules()]
    tensors = [(t, t.data, t.requires_grad) for t in (*model.parameters(), *model.buffers())]
    try:
        yield
    finally:
        for module, attributes in modules:
            vars(module).clear()
            vars(module).update(attributes)
        for tensor, array, requires_grad in tensors:
            tensor.requires_grad = requires_grad
            if tensor.data is not array:
                tensor.data = array


def _tensors(value):
    """The Tensors in a Tensor, or in tuples, lists and dicts of them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [tensor for part in value for tensor in _tensors(part)]
    return [value] if isinstance(value, Tensor) else []


def _between(inputs, outputs):
    """The nodes of the graph behind the outputs, down to those of the inputs."""
    found, seen = [], {None, *(x.node for x in inputs)}
    stack = [y.node for y in outputs]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            found.append(node)
            stack.extend(node.parents)
    return found


# Where a convolution's features and weight stand among its inputs and its output.
PLACES = {Conv: (2, 1), ConvTranspose: (0, 1), ConvWeight: (1, 2)}


def _multiply_adds(node):
    """Each feature of a convolution meets a weight of every tap and channel of its group."""
    shapes = [x.shape for x in (*node.inputs, node)]
    if isinstance(node.op, MatMul):
        return prod(shapes[2]) * shapes[0][-1]
    if type(node.op) not in PLACES:
        return 0
    features, weight = (shapes[i] for i in PLACES[type(node.op)])
    return prod(features) * prod(weight[1:])
