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
from typing import NamedTuple

import numpy as np

from .threads import run, scratch

LARGE = 2**17  # numbers in an array, from which on it is worth to wake a thread
CACHE = 2**20  # numbers in all arrays of a piece together: 4 MB of float32
SHARES = 8  # pieces, at least, unless they get smaller than LARGE
SUMS = 2**13  # sums that a piece contributes to, at most
CHAIN = 2**9  # float32 numbers that are added one after the other, at most


def spread(formula, *arrays):
    """formula(*arrays), of arrays of one dtype that broadcast against each other.

    The formula is made of operators and of NumPy's elementwise functions. (On CuPy, or where the
    arrays are small, it is just called.)
    """
    if not _are_large(arrays):
        return formula(*arrays)
    y = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)), arrays[0].dtype)
    program = _Program(formula, arrays)
    _cut(program.run, len(program.owners), arrays, [y])
    return y


def fill(outs, formula, *arrays):
    """Writes the arrays in the tuple formula(*arrays) over `outs`, which may be among the arrays
    unless the formula reads these later on. All have one shape.
    """
    if _are_large((*outs, *arrays)):
        program = _Program(formula, arrays, apart=True)
        _cut(program.run, len(program.owners), arrays, outs)
    else:
        for out, z in zip(outs, formula(*arrays)):
            out[...] = z


def each(function, *arrays, whole=()):
    """function(*arrays), called piece by piece; it need not be elementwise along the axes `whole`,
    counted from 0, which no piece cuts.
    """
    if not _are_large(arrays):
        return function(*arrays)
    y = np.empty(np.broadcast_shapes(*(a.shape for a in arrays)), arrays[-1].dtype)

    def call(parts, shape, outs):
        outs[0][...] = function(*parts)

    _cut(call, 3, arrays, [y], whole)
    return y


def _cut(call, rooms, arrays, outs, whole=()):
    """call(pieces of the arrays, their shape, pieces of `outs` to be filled), for all of them."""
    shape = outs[0].shape
    if not whole and all(a.shape in (shape, ()) and a.flags.c_contiguous for a in arrays):
        outs = [y.reshape(-1) for y in outs]
        arrays = [a.reshape(-1) if a.ndim else a for a in arrays]
    plan, arrays = _plan(arrays, rooms, whole)
    plan.run(lambda job: call(job.parts(arrays), job.shape, [y[job.piece] for y in outs]))


def sums(formula, axes, *arrays):
    """[the sum over axes, which stay with size 1, for each array in the tuple formula(*arrays)]

    Within a piece a product with ones adds several times as fast as NumPy's sum; the sums of pieces
    are added in float64. (NumPy's float32 sums over any axis but the last are naive: 20 million
    ones add up to 16777216.)
    """
    if not _are_large(arrays) or arrays[0].dtype not in (np.float32, np.float64):
        return [_sum(z, axes) for z in formula(*arrays)]
    program = _Program(formula, arrays)
    plan, arrays = _plan(arrays, len(program.owners), added=axes)
    totals = [np.empty(plan.totals) for _ in program.results]

    def work(job):
        for z, total in zip(program.run(job.parts(arrays), job.shape), totals):
            total[job.place] = _fold(z, axes)

    plan.run(work)
    return [total.sum(0).astype(arrays[0].dtype) for total in totals]


def moments(x, axes):
    """The mean and the variance (biased) over axes, which stay with size 1, in one pass.

    Each piece has its own, which are joined as in Chan, Golub & LeVeque (1979).
    """
    count = max(prod(x.shape[axis] for axis in axes), 1)  # without numbers, both are 0
    if not _are_large([x]) or x.dtype not in (np.float32, np.float64):
        mean = _sum(x, axes) / count
        return mean, _sum((x - mean) ** 2, axes) / count
    one = np.empty([1 if axis in axes else n for axis, n in enumerate(x.shape)])
    plan, _ = _plan([x, one], 1, added=axes)  # a mean is one number for many
    counts, totals, squares = np.empty((3, *plan.totals))

    def work(job):
        part, _ = job.parts([x, one])
        number = prod(job.shape[axis] for axis in axes)
        total = _fold(part, axes)
        part = np.subtract(part, total / number, out=scratch("piece 0", job.shape, x.dtype))
        part *= part
        counts[job.place], totals[job.place] = number, total
        squares[job.place] = _fold(part, axes)

    plan.run(work)
    mean = totals.sum(0) / count
    squares += counts * (totals / counts - mean) ** 2
    return mean.astype(x.dtype), (squares.sum(0) / count).astype(x.dtype)


# ---------------------------------------------------------------- formulas, written down


class _Program:
    """The operations of a formula, and for each the room in memory that its result is written to.

    owners: for each room which result of the formula ends up there, or None. With `apart`, a room
        of a result is used for nothing else.
    """

    def __init__(self, formula, arrays, apart=False):
        self.dtype, self.inputs = arrays[0].dtype, len(arrays)
        self.values = [None] * self.inputs  # then, as they come, constants and results
        self.steps: list = []
        self.owners: list[int | None] = []
        found = formula(*(_Place(self, i) for i in range(self.inputs)))
        self.results = [self.number(z) for z in (found if isinstance(found, tuple) else (found,))]
        last = {n: i for i, (_, operands, _) in enumerate(self.steps) for n in operands}
        rooms: dict[int, int] = {}
        free: list[int] = []
        for i, (operation, operands, result) in enumerate(self.steps):
            # a result may overwrite what is not read any more
            read = {n for n in operands if n in rooms and last[n] == i and n not in self.results}
            free += [rooms[n] for n in read]
            if not free or (apart and result in self.results):
                free.append(len(self.owners))
                self.owners.append(None)
            rooms[result] = free.pop()
            if result in self.results:
                self.owners[rooms[result]] = self.results.index(result)
            self.steps[i] = operation, operands, result, rooms[result]

    def number(self, value):
        """The number of a value: of an input or a result, or of a new constant."""
        if isinstance(value, _Place):
            return value.number
        self.values.append(value)
        return len(self.values) - 1

    def run(self, arrays, shape, outs=()):
        """The results for pieces of the inputs, in `outs` or in scratch memory."""
        values = [*arrays, *self.values[self.inputs :]]
        rooms = [
            outs[k] if outs and k is not None else scratch(f"piece {i}", shape, self.dtype)
            for i, k in enumerate(self.owners)
        ]
        for operation, operands, result, room in self.steps:
            values[result] = operation(*[values[n] for n in operands], out=rooms[room])
        found = [values[n] for n in self.results]
        for z, out in zip(found, outs):
            if z is not out:  # but an input, for instance
                out[...] = z
        return found


class _Place(np.lib.mixins.NDArrayOperatorsMixin):
    """An input or a result in a formula: what NumPy is asked to do with it is written down."""

    def __init__(self, program, number):
        self.program, self.number, self.dtype = program, number, program.dtype

    def astype(self, dtype):
        return self  # a comparison gives 0 and 1 in the dtype of its place

    def __array_function__(self, function, types, args, kwargs):
        return NotImplemented  # NumPy then says in an error which function is not elementwise

    def __array_ufunc__(self, operation, method, *operands, **options):
        if method != "__call__" or options:
            return NotImplemented
        numbers = [self.program.number(value) for value in operands]
        result = self.program.number(None)
        self.program.steps.append((operation, numbers, result))
        return _Place(self.program, result)


# ---------------------------------------------------------------- arrays, cut into pieces


class _Job(NamedTuple):
    """A piece: where it is, its shape, where in each array, and where its sums go."""

    piece: tuple
    shape: list
    indices: list
    place: tuple

    def parts(self, arrays):
        return [a if i is None else a[i] for a, i in zip(arrays, self.indices)]


class _Plan(NamedTuple):
    """How arrays are cut. `widths`: a shape to which an array is to be repeated first, or None."""

    shape: tuple
    jobs: list
    totals: tuple
    widths: list
    buffer: int

    def run(self, work):
        """The jobs on all threads, with the caller's settings of NumPy, such as np.errstate."""
        context = copy_context()
        # NumPy writes what is repeated into a buffer, unless that is as short as a row: with one
        # number a channel of 32x32 pixels, an operation then takes a third of the time.
        context.run(np.setbufsize, self.buffer)
        run(lambda job: context.copy().run(work, job), self.jobs)


def _plan(arrays, rooms, whole=(), added=()):
    """The plan for these arrays and `rooms` more, and the arrays, some of them repeated."""
    plan = _plan_for(tuple([a.shape for a in arrays]), rooms, whole, added)
    return plan, [
        a if w is None else np.broadcast_to(a, w).copy() for a, w in zip(arrays, plan.widths)
    ]


@lru_cache(256)
def _plan_for(shapes, rooms, whole, added):
    shape = np.broadcast_shapes(*shapes)
    axes, row = _row(shape, shapes)
    widths: list = [None] * len(shapes)
    if row < 128:  # then repeat along the row, and have longer ones
        for i, s in enumerate(shapes):
            width = (*s[:-axes], *shape[-axes:])
            if s[-axes:] != shape[-axes:] and 4 * prod(width) <= prod(shape):
                widths[i] = width
        shapes = [w or s for w, s in zip(widths, shapes)]
        axes, row = _row(shape, shapes)
    cuts = _cuts(shape, len(shapes) + rooms, whole, added)
    kept = [[slice(0, 1)] if axis in added else cut for axis, cut in enumerate(cuts)]
    jobs = []
    for number, parts in enumerate(product(*(cuts[axis] for axis in added))):
        for place in product(*kept):
            piece = list(place)
            for axis, part in zip(added, parts):
                piece[axis] = part
            sizes = [part.stop - part.start for part in piece]
            indices = [_index(s, piece, cuts) for s in shapes]
            jobs.append(_Job(tuple(piece), sizes, indices, (number, *place)))
    totals = (number + 1, *(1 if axis in added else n for axis, n in enumerate(shape)))
    buffer = row // 16 * 16 if 128 <= row < prod(shape) else 8192
    return _Plan(shape, jobs, totals, widths, buffer)


def _cuts(shape, arrays, whole, added):
    """For each axis the slices that cut it into about equal parts; a piece is a part of each."""
    room, sums, cuts = max(LARGE, min(CACHE // arrays, prod(shape) // SHARES)), SUMS, []
    room //= prod(shape[axis] for axis in whole)
    for axis in reversed(range(len(shape))):
        n = step = shape[axis]
        if axis not in whole:
            step = min(n, max(room, 1))
            if added and axis not in added:
                step = min(step, max(sums, 1))
                sums //= step
            step = -(-n // -(-n // step))
            room //= step
        cuts.append([slice(i, min(i + step, n)) for i in range(0, n, step)])
    return cuts[::-1]


def _row(shape, shapes):
    """How many of the last axes every array either has as a whole or is repeated along as a whole,
    and how many numbers these are.
    """
    row, before = 1, None
    for axis in range(1, len(shape) + 1):
        if shape[-axis] > 1:
            repeated = [len(s) < axis or s[-axis] == 1 for s in shapes]
            if before not in (None, repeated):
                return axis - 1, row
            row, before = row * shape[-axis], repeated
    return len(shape), row


def _index(shape, piece, cuts):
    """Where an array of this shape has a piece: None for all of the array."""
    axes = range(-len(shape), 0)
    cut = [shape[d] > 1 and len(cuts[d]) > 1 for d in axes]
    return tuple(piece[d] if c else slice(None) for d, c in zip(axes, cut)) if any(cut) else None


def _sum(z, axes):
    """NumPy's sum; float16 is added up in float32."""
    wide = np.float32 if z.dtype == np.float16 else None
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
                isinstance(a, np.ndarray) and a.size and (a.flags.c_contiguous or 0 in a.strides)
                for a in arrays
            )
    return False
