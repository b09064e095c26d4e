"""The memory that a training step needs, over what stands before it: the peak of two DCGAN steps.

Each figure is of a fresh process, which has imported the library and built the networks.
"""

from . import steps
from .tables import compare

HELP = "peak memory of a DCGAN step"
PEERS = steps.PEERS


def cases(libraries):
    return [{"name": "DCGAN"}]


def build(library, case):
    before, step = steps.build(library, case)
    return before, lambda _: (step(_), step(_))  # the first leaves Adam's moments to the second


def tables(record):
    return [compare(record, "MB", 1e-6)]
