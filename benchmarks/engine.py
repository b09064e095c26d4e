"""A chain of small operations: what the engine costs when there is hardly any arithmetic."""

import numpy as np

from .tables import compare

HELP = "forward and backward through a chain of small operations"
PEERS = ["torch", "dezero", "mygrad"]
LINKS = 10
OPERATIONS = 5 * LINKS + 1


def cases(libraries):
    return [{"name": "one number", "shape": [1]}, {"name": "16 x 16 numbers", "shape": [16, 16]}]


def build(library, case):
    """sum(link(link(...x))): products, sums, one of which broadcasts a row, tanh and exp."""
    random, shape, ops = np.random.default_rng(0), case["shape"], library.ops
    x, w, row = (
        library.tensor(random.standard_normal(size, np.float32), requires_grad=True)
        for size in (shape, shape, shape[-1:])
    )

    def chain(_):
        y = x
        for _ in range(LINKS):
            y = ops.exp(ops.tanh(y * w + row)) - x
        total = ops.sum(y)
        total.backward()
        return total

    return lambda: library.clear(x, w, row), chain


def tables(record):
    return [compare(record, "microseconds an operation", 1e6 / OPERATIONS)]
