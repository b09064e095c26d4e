"""The slower rungs of the ladder: the same convolution in three ways, to see what each gains.

    seven_loops    one multiplication at a time: the formula, as it is written down
    taps           one matrix product for each tap and image: the shifted image times one weight
    whole_batch    all patches of all images side by side, then one large matrix product (im2col;
                   Chellapilla et al. 2006, "High performance convolutional neural networks for
                   document processing")

The rung above them is cpu.conv. Shapes: x (N, C, *big), w (F, C / groups, *kernel) -> y (N, F,
*small).
"""

from math import prod

from ..backend import array_module


def seven_loops(x, w, geometry):
    """Images, filters, channels, rows, columns, rows of the kernel, columns of the kernel.

    Two spatial axes, since each loop is written out; ValueError for any other number of them.
    """
    if len(geometry.big) != 2:
        raise ValueError(
            "seven_loops writes out the loops of two spatial axes, got an image side of "
            f"{len(geometry.big)}: {geometry.big}"
        )
    xp = array_module(x, w)
    (height, width), (rows, columns) = geometry.big, geometry.small
    (down, across), (top, left) = geometry.stride, (low for low, _ in geometry.padding)
    (step_i, step_j), (kernel_rows, kernel_columns) = geometry.dilation, geometry.kernel
    images, (filters, channels) = len(x), w.shape[:2]  # channels: those of one group
    y = xp.zeros((images, filters, rows, columns), x.dtype)
    for n in range(images):
        for f in range(filters):
            first = f // (filters // geometry.groups) * channels
            for c in range(channels):
                for row in range(rows):
                    for column in range(columns):
                        for i in range(kernel_rows):
                            for j in range(kernel_columns):
                                r = row * down + i * step_i - top
                                s = column * across + j * step_j - left
                                if 0 <= r < height and 0 <= s < width:  # the padding is zero
                                    y[n, f, row, column] += x[n, first + c, r, s] * w[f, c, i, j]
    return y


def taps(x, w, geometry):
    """For each tap: the pixels that it meets, times its weights, added up. Any number of axes."""
    xp, groups = array_module(x, w), geometry.groups
    n, (filters, channels), area = len(x), w.shape[:2], prod(geometry.small)
    image = _padded(x, geometry)
    stacks = w.reshape(groups, filters // groups, channels, *geometry.kernel)
    y = xp.zeros((n, groups, filters // groups, area), x.dtype)
    for tap, window in geometry.taps():
        pixels = image[:, :, *window].reshape(n, groups, channels, area)
        y += xp.ascontiguousarray(stacks[..., *tap]) @ pixels
    return y.reshape(n, filters, *geometry.small)


def whole_batch(x, w, geometry):
    """All images unfolded to (C, *kernel, N, *small) for one matrix product. Any number of axes."""
    xp, groups = array_module(x, w), geometry.groups
    n, (filters, channels) = len(x), w.shape[:2]
    image = _padded(x, geometry).swapaxes(0, 1)
    cols = xp.empty((channels * groups, *geometry.kernel, n, *geometry.small), x.dtype)
    for tap, window in geometry.taps():
        cols[:, *tap] = image[:, :, *window]
    rows, columns = channels * prod(geometry.kernel), n * prod(geometry.small)
    y = w.reshape(groups, filters // groups, rows) @ cols.reshape(groups, rows, columns)
    return xp.ascontiguousarray(y.reshape(filters, n, *geometry.small).swapaxes(0, 1))


def _padded(x, geometry):
    image = array_module(x).zeros((*x.shape[:2], *geometry.padded), x.dtype)
    image[:, :, *geometry.interior] = x
    return image
