"""How the cost of a convolution grows: forward and backward of a 3x3 convolution, one size varied.

The number of operations is 54 N C^2 S^2, and so are the predicted slopes on log-log axes.
"""

from math import prod

import numpy as np

from .arithmetic import power
from .libraries import NAMES
from .tables import markdown, middle

HELP = "time of a convolution against batch, channels and image size, up to 2 GB"
PEERS = ["torch", "dezero", "mygrad"]

# axis: (N, C, S) with the axis's own size multiplied in, sizes, predicted slope
AXES = {
    "batch": (lambda n: (n, 64, 32, 32), [2**k for k in range(2, 12)], 1),
    "channels": (lambda c: (8, c, 32, 32), [2**k for k in range(5, 11)], 2),
    "image side": (lambda s: (1, 64, s, s), [64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448], 2),
}


def cases(libraries):
    return [
        {"name": axis, "size": size, "x": shape_of(size), "bytes": activations(shape_of(size))}
        for axis, (shape_of, sizes, _) in AXES.items()
        for size in sizes
    ]


def activations(shape):
    """Bytes of the image, the features and the gradients of both, in float32."""
    return 4 * 4 * prod(shape)


def build(library, case):
    random, channels = np.random.default_rng(0), case["x"][1]
    x = library.tensor(random.standard_normal(case["x"], np.float32), True)
    w = library.tensor(random.standard_normal((channels, channels, 3, 3), np.float32), True)
    gradient = library.tensor(random.standard_normal(case["x"], np.float32))

    def both_ways(_):
        y = library.convolve(x, w, transposed=False, padding=1)
        library.backward(y, gradient)
        return y

    return lambda: library.clear(x, w), both_ways


def curves(record):
    """{(axis, library): (sizes, seconds)}"""
    found = {}
    for result in record["results"]:
        for library in result["samples"]:
            sizes, seconds = found.setdefault((result["name"], library), ([], []))
            sizes.append(result["size"])
            seconds.append(middle(result, library))
    return found


def tables(record):
    rows = []
    for (axis, library), (sizes, seconds) in curves(record).items():
        fitted = f"{power(sizes, seconds):.2f}" if len(sizes) > 1 else ""
        largest = f"{seconds[-1]:.2g}"
        row = [axis, NAMES[library], f"{sizes[0]} to {sizes[-1]}", largest, AXES[axis][2], fitted]
        rows.append(row)
    head = ["against", "library", "sizes", "seconds at the last", "predicted slope", "fitted slope"]
    return [markdown(head, rows)]
