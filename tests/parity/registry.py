"""The tables of what is held against PyTorch; each family fills them in cases/FAMILY.py."""

from typing import Any, NamedTuple

import torch

TF = torch.nn.functional
SIZES = {1: (9,), 2: (8, 7), 3: (5, 4, 6)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


class Case(NamedTuple):
    """F.name(*args, **options); `theirs` stands in where PyTorch spells it differently."""

    args: tuple
    options: dict = {}
    theirs: Any = None
    order: int = 2  # of derivatives


# {function of nn.functional: its calls}; between them they set every argument it takes
CASES: dict[str, list[Case]] = {}


def case(name, *args, theirs=None, order=2, **options):
    CASES.setdefault(name, []).append(Case(args, options, theirs, order))


class Call:
    """A constructor's arguments, written down to be used twice."""

    def __init__(self, *args, **options):
        self.args, self.options = args, options

    def __repr__(self):
        told = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.options.items())]
        return f"({', '.join(told)})"

    def of(self, cls):
        return cls(*self.args, **self.options)


# {layer: [(constructor's arguments, inputs)]}; a dict at the end of the inputs are options, a tuple
# among them several tensors in one argument
LAYERS: dict[str, list] = {}

# {layer that PyTorch has not: a torch.nn.Module to compare it with}
THEIRS: dict[str, type] = {}


def layer(name, call, *inputs):
    LAYERS.setdefault(name, []).append((call, list(inputs)))
