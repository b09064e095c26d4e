"""Sample inputs for every op: what the tests and `tinydeconv gradcheck` walk through.

Each case is checked by differences at first and at second order. That covers every order: a
backward is made of ops, so a third derivative is made of their first derivatives again. Only a
backward that reads arrays or detaches would break the chain, and the second order shows that.
"""

import difflib
import re
import time
import warnings
from typing import NamedTuple

import numpy as np

from ..engine import Op
from ..gradcheck import GradcheckWarning, gradcheck, gradgradcheck
from . import core, functional
from .case import EXPECTED
from .case import Case as Case

CASES = [case for family in (*core.FAMILIES, *functional.FAMILIES) for case in family()]


# ---------------------------------------------------------------- walking through them


def every_op(base=Op):
    """Every Op class of this package that has a forward of its own."""
    for op in base.__subclasses__():
        if op.backward is not Op.backward and op.__module__.startswith("tinydeconv."):
            yield op
        yield from every_op(op)


def missing_ops():
    """The Op classes that have no case; there should be none."""
    covered = {case.function for case in CASES}
    return [op for op in every_op() if op not in covered]


def find(names=None):
    """The cases of the ops and functions named: "Conv", "conv2d", "norm"; all cases for None."""
    if not names:
        return CASES
    chosen = []
    for name in names:
        found = [c for c in CASES if _plain(name) in (_plain(c.group), _plain(c.name))]
        if not found:
            known = {_plain(case.group): case.group for case in CASES}
            near = [known[n] for n in difflib.get_close_matches(_plain(name), known)]
            hint = (
                f"did you mean {' or '.join(near)}?" if near else "without a name, all are checked"
            )
            raise ValueError(f"no op has the name {name!r}: {hint}")
        chosen += [case for case in found if case not in chosen]
    return chosen


def _plain(name):
    """conv_transpose2d, ConvTranspose and conv transpose are one name."""
    return re.sub(r"(?<=[a-z])\dd$", "", re.sub(r"[_\s-]", "", name.lower()))


class Row(NamedTuple):
    """One case checked: worst relative errors at first and second order, and what they say."""

    op: str
    case: str
    first: float
    second: float
    status: str  # "right", "kink", "zero derivative" or "empty" as expected; otherwise "wrong"
    seconds: float
    details: str  # both reports


def check(names=None, where="cpu"):
    """Yields a Row for each case of the named ops, after gradcheck and gradgradcheck there."""
    how = {"rtol": 1e-6, "atol": 1e-8, "raise_exception": False}
    for case in find(names):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GradcheckWarning)
            reports = [f(case, case.inputs(where=where), **how) for f in (gradcheck, gradgradcheck)]
        expected = all(r.status == EXPECTED.get(case.expect, "right") for r in reports)
        status = case.expect if expected else "wrong"
        first, second = (max((c.relative for c in r.comparisons), default=np.inf) for r in reports)
        seconds, details = time.perf_counter() - start, "\n".join(map(str, reports))
        yield Row(case.group, case.note, first, second, status, seconds, details)
