"""Elementwise formulas, and their sums, over arrays that are too large for the cache.

NumPy computes a formula such as `g * y * (1 - y)` one operation after the other, and each of them
goes through the whole memory. Here the operations are written down first, as on the tape of the
engine, and then done piece by piece: what comes between them stays in the cache, in scratch memory,
and the pieces are shared among the threads. They follow from shapes alone, and the sums of pieces
are added in their order: the same bits on any number of threads.
"""

from contextvars import copy_context
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from .threads import run, scratch

LARGE = 2**17  # numbers in an array, from which on it is worth to wake a thread
CACHE = 2**19  # numbers in all arrays of a piece together: 2 MB of float32
SHARES = 8  # pieces, at least, unless they get smaller than
SMALL = 2**15  # numbers, for which starting an operation takes as long as doing it
SUMS = 2**13  # sums that a piece contributes to, at most
CHAIN = 2**9  # float32 numbers that are added one after the other, at most


def spread(formula, *arrays):
    """formula(*arrays), of arrays of one dtype that broadcast against each other.

    The formula is made of operators and of NumPy's elementwise functions. (On CuPy, or where the
    arrays are small, it is just called.)
    """
    if not _are_large(arrays):
        return formula(*arrays)
    program = _Program(formula, arrays)

    def work(parts, out):
        program.run(parts, out.shape, out)

    return _spread(work, arrays, program.rooms)


def each(function, *arrays, whole=()):
    """function(*arrays), called piece by piece; it need not be elementwise along the axes `whole`,
    counted from 0, which no piece cuts.
    """
    if not _are_large(arrays):
        return function(*arrays)

    def work(parts, out):
        out[...] = function(*parts)

    return _spread(work, arrays, 2, whole)


def _spread(work, arrays, rooms, whole=()):
    """The array that work(a piece of each array, a piece of it) fills."""
    y = flat = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)), arrays[-1].dtype)
    if not whole and all(a.shape in (y.shape, ()) and a.flags.c_contiguous for a in arrays):
        flat, *arrays = (a.reshape(-1) for a in (y, *arrays))
    cuts = _cuts(flat.shape, len(arrays) + rooms, whole)
    parts = [_parts(a, cuts) for a in arrays]
    _run(lambda piece: work([part(piece) for part in parts], flat[piece]), product(*cuts))
    return y


def sums(formulas, axes, *arrays):
    """[the sum of formula(*arrays) over axes, which stay with size 1, for each formula]

    Within a piece a product with ones adds several times as fast as NumPy's sum; the sums of pieces
    are added in float64. (NumPy's float32 sums over any axis but the last are naive: 20 million
    ones add up to 16777216.)
    """
    if not _are_large(arrays) or arrays[0].dtype not in (np.float32, np.float64):
        return [_sum(formula(*arrays), axes) for formula in formulas]
    programs = [_Program(formula, arrays) for formula in formulas]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    cuts = _cuts(shape, len(arrays) + max(p.rooms for p in programs), added=axes)
    parts = [_parts(a, cuts) for a in arrays]
    # A piece is one of the parts that are added up, of one of the parts of the sums.
    added = [dict(zip(axes, piece)) for piece in product(*(cuts[axis] for axis in axes))]
    kept = list(product(*([slice(0, 1)] if d in axes else cut for d, cut in enumerate(cuts))))
    sizes = [1 if d in axes else n for d, n in enumerate(shape)]
    totals = [np.empty((len(added), *sizes)) for _ in formulas]

    def work(job):
        (number, add), keep = job
        piece = tuple(add.get(d, part) for d, part in enumerate(keep))
        arrays = [part(piece) for part in parts]
        for program, total in zip(programs, totals):
            z = program.run(arrays, [part.stop - part.start for part in piece])
            total[(number, *keep)] = _fold(z, axes)

    _run(work, product(enumerate(added), kept))
    return [total.sum(0).astype(arrays[0].dtype) for total in totals]


class _Program:
    """The operations of a formula, and for each the room that its result is written to: room 0
    is the output, the others are scratch memory.
    """

    def __init__(self, formula, arrays):
        self.dtype, self.inputs = arrays[0].dtype, len(arrays)
        self.values = [None] * self.inputs  # then, as they come, constants and results
        self.steps, self.rooms = [], 0
        self.result = self.number(formula(*(_Place(self, i) for i in range(self.inputs))))
        last = {n: i for i, (_, places, _) in enumerate(self.steps) for n in places}
        rooms, free = {}, []
        for i, (_, places, result) in enumerate(self.steps):
            # a result may overwrite what is not read any more
            free += {rooms[n] for n in places if n in rooms and last[n] == i}
            if not free:
                free.append(self.rooms)
                self.rooms += 1
            rooms[result] = free.pop()
        first = rooms.get(self.result)
        self.steps = [(*step, (rooms[step[2]] - first) % self.rooms) for step in self.steps]

    def number(self, value):
        """The number of a value: of an input or a result, or of a new constant."""
        if isinstance(value, _Place):
            return value.number
        self.values.append(value)
        return len(self.values) - 1

    def run(self, arrays, shape, out=None):
        """The formula's result for pieces of the inputs: in `out`, or in scratch memory."""
        values = [*arrays, *self.values[self.inputs :]]
        rooms = [] if out is None else [out]
        for i in range(len(rooms), self.rooms):
            rooms.append(scratch(f"piece {i}", shape, self.dtype))
        for operation, places, result, room in self.steps:
            values[result] = operation(*[values[n] for n in places], out=rooms[room])
        return values[self.result]


class _Place(np.lib.mixins.NDArrayOperatorsMixin):
    """An input or a result in a formula: what NumPy is asked to do with it is written down."""

    def __init__(self, program, number):
        self.program, self.number, self.dtype = program, number, program.dtype

    def __array_ufunc__(self, operation, method, *operands, **options):
        places = [self.program.number(value) for value in operands]
        result = self.program.number(None)
        self.program.steps.append((operation, places, result))
        return _Place(self.program, result)


def _run(work, jobs):
    """The jobs on all threads, with the caller's settings, such as np.errstate."""
    context = copy_context()
    run(lambda job: context.copy().run(work, job), jobs)


def _sum(z, axes):
    """NumPy's sum; float16 is added up in float32."""
    wide = np.promote_types(z.dtype, np.float32) if z.dtype.kind == "f" else None
    return z.sum(axes, wide, keepdims=True).astype(z.dtype, copy=False)


def _fold(z, axes):
    """The sum of a piece over axes, which stay with size 1; neighbours are added up together."""
    for last in reversed(axes):
        if last + 1 in axes:
            continue
        first = last
        while first - 1 in axes:
            first -= 1
        before, n, after = z.shape[:first], prod(z.shape[first : last + 1]), z.shape[last + 1 :]
        if prod(after) == 1:
            z = z.reshape(-1, n).dot(_ones(n, z.dtype))  # unlike @, dot lets other threads run
        else:
            z = z.reshape(prod(before), n, prod(after))
            while z.shape[1] > CHAIN:
                half = z.shape[1] // 2
                z, rest = z[:, :half] + z[:, half : 2 * half], z[:, 2 * half :]
                z[:, : rest.shape[1]] += rest
            z = _ones(z.shape[1], z.dtype) @ z
        z = z.reshape(*before, *(1 for _ in range(first, last + 1)), *after)
    return z


@lru_cache(16)
def _ones(n, dtype):
    return np.ones(n, dtype)


def _are_large(arrays):
    """Whether cutting pays: NumPy's arrays in C's order of memory, or repeated, and a large one."""
    for a in arrays:
        if a.size >= LARGE:
            return all(
                isinstance(a, np.ndarray) and (a.flags.c_contiguous or 0 in a.strides)
                for a in arrays
            )
    return False


def _cuts(shape, arrays, whole=(), added=None):
    """For each axis the slices that cut it into about equal parts; a piece is a part of each."""
    room, sums, cuts = max(SMALL, min(CACHE // arrays, prod(shape) // SHARES)), SUMS, []
    room //= max(prod(shape[d] for d in whole), 1)
    for axis in reversed(range(len(shape))):
        n = step = max(shape[axis], 1)
        if axis not in whole:
            step = min(n, max(room, 1))
            if added is not None and axis not in added:
                step = min(step, max(sums, 1))
                sums //= step
            step = -(-n // -(-n // step))
            room //= step
        cuts.append([slice(i, min(i + step, n)) for i in range(0, shape[axis], step)])
    return cuts[::-1]


def _parts(array, cuts):
    """The function that gives the array's part of a piece: along an axis that is not cut, or along
    which the array is repeated, all of it.
    """
    cut = [n > 1 and len(c) > 1 for n, c in zip(array.shape[::-1], cuts[::-1])][::-1]
    if not any(cut):
        return lambda piece: array
    first, everything = len(cuts) - array.ndim, slice(None)
    if array.ndim == len(cuts) and all(n > 1 for n in array.shape):
        return array.__getitem__
    return lambda piece: array[tuple(s if c else everything for s, c in zip(piece[first:], cut))]
