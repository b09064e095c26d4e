"""The sentences for what a launch has found."""

import numpy as np

from .build import source_line
from .errors import ArgumentError, BarrierError, CudaError, OutOfBoundsError, RaceError

# As in runtime.cpp.
OUTSIDE, READONLY, RACE, BARRIER, ENDLESS, STOPPED, CRASHED, BOUNDS, ASSERT = range(1, 10)
NOWHERE, ARRAYS, SHARED, GLOBALS = range(4)
SIGFPE = 8  # an integer divided by zero
ROUNDING = {"e": 1e-1, "f": 1e-3, "F": 1e-3, "d": 1e-9, "D": 1e-9}  # of sums in another order


def explain(kernel, launch, arrays, inside):
    """The exception for the fault of a launch. inside: the name, array and offset of the arguments
    in each piece of memory.
    """
    f, module = launch.fault, kernel.module
    who = f"{kernel.name}: thread {_xyz(f.thread)} of block {_xyz(f.block)}"
    line = source_line(module.source, module.built, f.pc)
    text, verb = f.text.decode().strip("'"), "writes" if f.write else "reads"
    if f.kind == STOPPED:
        return KeyboardInterrupt(f"{kernel.name} was stopped")
    if f.kind == BARRIER:
        return BarrierError(_barrier(kernel, launch))
    if f.kind == RACE:
        return RaceError(_race(kernel, f, inside) + line)
    if f.kind == OUTSIDE:
        return OutOfBoundsError(f"{who} {verb} {_outside(kernel, launch, arrays, inside)}{line}")
    if f.kind == BOUNDS:
        place = module.source.line(f.file.decode(), f.line)
        return OutOfBoundsError(f"{who} uses index {f.index} in a {text}\n    {place}")
    if f.kind == READONLY:
        name = _element(kernel, f, inside)
        return ArgumentError(f"{who} writes {name}, which its parameter declares const{line}")
    spent = f"{launch.limit:,} accesses to memory and barriers", f"{launch.seconds} seconds"
    crash = "crashes" + "; memcheck=True may say why" * (not module.memcheck)
    crash = {SIGFPE: "divides an integer by zero"}.get(f.signal, crash)
    crash = "gives printf what its format does not say" if text else crash
    what = {
        ASSERT: f"{who}: the assertion {text} failed",
        ENDLESS: f"{who} still runs after {spent[f.signal == 1]}: does a loop never end?",
        CRASHED: f"{who} {'needs more than 256 KiB for its local variables' if f.index else crash}",
    }
    misaligned = f"{who} {verb} {f.size} bytes at an address that is no multiple of {f.size}"
    return CudaError(what.get(f.kind, misaligned) + line)


def _xyz(three):
    return f"({', '.join(map(str, three))})"


def _outside(kernel, launch, arrays, inside):
    f = launch.fault
    if f.place == SHARED:
        name = f"dynamic shared memory ({', '.join(kernel.module.facts['dynamic'])})"
        given = f"the launch has shared_mem={launch.shared}"
        return f"bytes {f.offset} to {f.offset + f.size - 1} of {name}; {given}"
    if f.place == ARRAYS and len(arrays):
        distances = [max(a.device - f.offset, f.offset - a.device - a.size + 1) for a in arrays]
        nearest = int(np.argmin(distances))
        name, array, start = inside[nearest][0]
        index = (f.offset - arrays[nearest].device - start) // array.itemsize
        return f"{name}[{index}]; {name} has {array.size} elements, shape {array.shape}"
    return f"{f.size} bytes where nothing lies ({f.text.decode() or f'at address {f.offset:#x}'})"


def _element(kernel, f, inside):
    """What lies at the fault's offset, as name[index]."""
    if f.place == ARRAYS:
        for name, array, start in inside[f.array]:
            if 0 <= (index := (f.offset - start) // array.itemsize) < array.size:
                return name + _position(index, array)
    facts, what = kernel.module.facts, "shared" if f.place == SHARED else "device"
    for begin, size, name in facts[what]:
        if 0 <= f.offset - begin < size:
            at, count = (f.offset - begin) // f.size, size // f.size
            return f"{name} ({what} memory), element {at} of {count}"
    return f"{' or '.join(facts['dynamic'])} ({what} memory), element {f.index // f.size}"


def _position(index, array):
    return str([int(i) for i in np.unravel_index(index, array.shape)])


def _race(kernel, f, inside):
    blocks = [f" of block {_xyz(block)}" for block in (f.other_block, f.block)]
    where, advice = blocks[0], "put __syncthreads() between them"
    if blocks[0] != blocks[1]:
        where, advice = "", "blocks are in no order, so give each its own elements, launch twice"
    earlier, later = map(_xyz, (f.other_thread, f.thread))
    if not where:
        earlier, later = earlier + blocks[0], later + blocks[1]
    first = "writes" if f.other_write else "updates atomically" if f.other_atomic else "reads"
    second = "writes" if f.write else "updates atomically" if f.atomic else "reads"
    line = source_line(kernel.module.source, kernel.module.built, f.other_pc)
    return (
        f"{kernel.name}: two threads{where} meet at {_element(kernel, f, inside)} in no order; "
        f"{advice}, or use an atomic\n  thread {earlier} {first}{line}\n  thread {later} {second}"
    )


def _barrier(kernel, launch):
    f, (x, y, z) = launch.fault, launch.block
    groups: dict[int, list] = {}
    for i in range(x * y * z):
        groups.setdefault(launch.waits[i], []).append(_xyz((i % x, i // x % y, i // x // y)))
    text = f"{kernel.name}: not all threads of block {_xyz(f.block)} reach the same __syncthreads()"
    for line, threads in sorted(groups.items()):
        first, more = ", ".join(threads[:3]), ", ..." if len(threads) > 3 else ""
        place = kernel.module.source.line(f.file.decode(), line)
        text += f"\n  {len(threads)} {'wait at ' + place if line else 'have left'}: {first}{more}"
    return text


def raise_if_orders_differ(kernel, launch, inside, results):
    """RaceError if an array ends otherwise when the threads run in another order.

    Sums by floating atomics may differ by rounding.
    """
    for arguments, orders in zip(inside, results):
        for name, array, start in arguments if orders else ():
            part, shape = slice(start, start + array.nbytes), (array.size, array.itemsize)
            bits = [order[part].reshape(shape) for order in orders]
            apart = np.any([np.any(bits[0] != other, 1) for other in bits[1:]], 0)
            values = [b.reshape(-1).view(array.dtype) for b in bits]
            if apart.any() and launch.float_atomics and array.dtype.char in ROUNDING:
                near = ROUNDING[array.dtype.char]
                tolerance = near, near * np.nanmax(np.abs(values[0]), initial=0)
                apart &= ~np.all([np.isclose(values[0], v, *tolerance, True) for v in values], 0)
            if apart.any():
                at = int(apart.argmax())
                raise RaceError(
                    f"{kernel.name}: the result depends on the order of the threads: "
                    f"{name}{_position(at, array)} is {values[0][at]!s} forward, {values[1][at]!s} "
                    f"in reverse and {values[2][at]!s} shuffled"
                )
    if launch.globals_differ and not launch.float_atomics:
        raise RaceError(f"{kernel.name}: a __device__ variable depends on the order of the threads")
