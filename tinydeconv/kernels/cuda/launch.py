"""How the CUDA kernels of this folder are compiled and launched.

The sources are the .cu files beside this one. CuPy compiles a file when a kernel of it is first
launched, once for float and once for double, and keeps the result on disk.
"""

from functools import cache
from importlib.resources import files

import numpy as np

from ...backend import array_module

FOLDER = files(__package__)
THREADS = 256  # in a block of a kernel that has no shape of its own
INSIDE = 2**31 - THREADS  # elements that an image may have, at most
BLOCKS = 2**16  # in such a kernel's grid, at most: a thread then works more than once

SIZES = "big", "small", "kernel", "stride", "dilation"
GEOMETRY = np.dtype([(name, np.int32, 3) for name in (*SIZES, "padding")])


def handles(*arrays, axes=0):
    """Whether the kernels here are made for these arrays and so many spatial axes."""
    return axes <= 3 and all(a.dtype in (np.float32, np.float64) for a in arrays)


def struct(geometry):
    """A ConvGeometry as the struct of common.cuh: an array of one element, which CuPy passes by
    value.
    """
    axes, found = len(geometry.big), np.empty((), GEOMETRY)
    for name in SIZES:
        found[name] = (1,) * (3 - axes) + getattr(geometry, name)
    found["padding"] = (0,) * (3 - axes) + tuple(low for low, _ in geometry.padding)
    return found


def launch(file, name, grid, block, *arguments):
    """Launches a kernel of a file. `real` is the dtype of the first array; arrays must be in C
    order; Python's ints go as int, its floats as real.

    RuntimeError for a source that does not compile, with the compiler's words.
    """
    first = next(a for a in arguments if hasattr(a, "dtype"))
    xp = array_module(first)
    if 0 in grid:
        return
    given = [
        np.int32(a) if isinstance(a, int) else first.dtype.type(a) if isinstance(a, float) else a
        for a in arguments
    ]
    try:
        kernel = _kernel(xp.RawModule, file, name, first.dtype.name)
        kernel(grid, block, tuple(given))
    except xp.cuda.compiler.CompileException as error:
        raise RuntimeError(
            f"the CUDA kernels in {file} do not compile here; the CUDA libraries, the driver and "
            f"CuPy may not fit together (`tinydeconv info` shows them). The compiler says:\n{error}"
        ) from None


def launch_over(n, file, name, *arguments):
    """Launches a kernel whose threads share a loop over n elements (FOR_EACH)."""
    launch(file, name, (min(-(-n // THREADS), BLOCKS),), (THREADS,), *arguments)


def launch_inside(images, n, file, name, *arguments):
    """Launches a kernel whose threads have an element of n each, in so many images (FOR_ELEMENT,
    FOR_IMAGES). Where images are smaller than a block, it holds several.
    """
    wide = min(THREADS, 1 << (n - 1).bit_length())
    across, down = -(-n // wide), -(-images // (THREADS // wide))
    grid = across, min(down, max(1, (BLOCKS - 1) // max(1, across)))
    launch(file, name, grid, (wide, THREADS // wide), *arguments)


@cache
def _kernel(raw_module, file, name, dtype):
    return _module(raw_module, file, dtype).get_function(name)


@cache
def _module(raw_module, file, dtype):
    real = {"float32": "float", "float64": "double"}[dtype]
    return raw_module(code=source(file), options=(f"-Dreal={real}",))


def source(file):
    """The text of a file, with common.cuh in front; line numbers in messages are the file's own."""
    parts = [
        f'#line 1 "{part}"\n' + (FOLDER / part).read_text(encoding="utf-8")
        for part in ("common.cuh", file)
    ]
    return "".join(parts)
