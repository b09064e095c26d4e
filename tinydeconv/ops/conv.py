"""Convolution: one trilinear form, three ops.

    L(x, w, y) = <y, conv(x, w)> = <x, conv_transpose(y, w)> = <w, conv_weight(x, y)>

Each op is one partial derivative of L, and the gradients of each are the other two. So these three
classes are closed under differentiation: every order of derivative, for any number of axes, stride,
padding, dilation and groups.
"""

from math import prod

from ..engine import Op
from ..geometry import ConvGeometry, check_conv, ntuple
from ..kernels import reference as kernels
from .shape import reshape, squeeze, unsqueeze


class ConvOp(Op):
    def __init__(self, geometry):
        self.geometry = geometry


class Conv(ConvOp):
    """(x, w) -> y"""

    def forward(self, x, w):
        return kernels.conv(x, w, self.geometry)

    def backward(self, g, y, x, w, needs):
        return (
            ConvTranspose(self.geometry)(g, w) if needs[0] else None,
            ConvWeight(self.geometry)(x, g) if needs[1] else None,
        )


class ConvTranspose(ConvOp):
    """(y, w) -> x"""

    def forward(self, y, w):
        return kernels.conv_transpose(y, w, self.geometry)

    def backward(self, g, x, y, w, needs):
        return (
            Conv(self.geometry)(g, w) if needs[0] else None,
            ConvWeight(self.geometry)(g, y) if needs[1] else None,
        )


class ConvWeight(ConvOp):
    """(x, y) -> w"""

    def forward(self, x, y):
        return kernels.conv_weight(x, y, self.geometry)

    def backward(self, g, w, x, y, needs):
        return (
            ConvTranspose(self.geometry)(y, g) if needs[0] else None,
            Conv(self.geometry)(x, g) if needs[1] else None,
        )


class Unfold(ConvOp):
    """(N, C, *big) -> (N, C, *kernel, *small): the pixels that each tap meets."""

    linear = True

    def forward(self, x):
        return kernels.unfold(x, self.geometry)

    def backward(self, g, cols, x, needs):
        return Fold(self.geometry)(g)


class Fold(ConvOp):
    """(N, C, *kernel, *small) -> (N, C, *big): the transpose of Unfold."""

    linear = True

    def forward(self, cols):
        return kernels.fold(cols, self.geometry)

    def backward(self, g, x, cols, needs):
        return Unfold(self.geometry)(g)


def convolution(x, weight, bias, axes, stride, padding, dilation, groups):
    """conv1d, conv2d, conv3d: (N, C, *spatial) or (C, *spatial), with weight (F, C / groups,
    *kernel) and bias (F,).
    """
    x, batched = _batch(x, weight, bias, axes, groups, transposed=False)
    geometry = ConvGeometry.of_conv(
        x.shape[2:], weight.shape[2:], stride, padding, dilation, groups
    )
    return _finish(Conv(geometry)(x, weight), bias, batched)


def transposed_convolution(
    x, weight, bias, axes, stride, padding, output_padding, output_size, dilation, groups
):
    """conv_transpose1d, 2d, 3d: (N, F, *spatial) or (F, *spatial), with weight (F, C / groups,
    *kernel) and bias (C,).
    """
    x, batched = _batch(x, weight, bias, axes, groups, transposed=True)
    geometry = ConvGeometry.of_transposed(
        x.shape[2:],
        weight.shape[2:],
        stride,
        padding,
        dilation,
        groups,
        output_padding,
        output_size,
    )
    return _finish(ConvTranspose(geometry)(x, weight), bias, batched)


def _batch(x, weight, bias, axes, groups, transposed):
    """The input with a batch axis, checked against weight and bias; and whether it had one."""
    if weight.ndim != axes + 2:
        raise ValueError(
            f"expected a weight of {axes + 2} axes for {axes} spatial ones, got shape "
            f"{weight.shape}"
        )
    for name, other in (("weight", weight), ("bias", bias)):
        if other is not None and (other.dtype != x.dtype or x.dtype.kind != "f"):
            raise TypeError(
                f"expected input and {name} of one floating dtype, got {x.dtype} and "
                f"{other.dtype}; cast with .float() or .double()"
            )
    batched = x.ndim != axes + 1
    if not batched:
        x = unsqueeze(x, 0)
    check_conv(x.shape, weight.shape, None if bias is None else bias.shape, groups, transposed)
    return x, batched


def _finish(y, bias, batched):
    if bias is not None:
        y = y + reshape(bias, -1, *(1,) * (y.ndim - 2))
    return y if batched else squeeze(y, 0)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Sliding patches as columns: (N, C, *spatial) -> (N, C * prod(kernel), L); as many spatial
    axes as kernel_size has ints.

    An int kernel_size means two axes, as in PyTorch; (C, *spatial) gives (C * prod(kernel), L).
    """
    kernel = _kernel(kernel_size)
    batched = _check_axes(x, len(kernel) + 2, "unfold", "(N, C, *spatial)")
    x = x if batched else unsqueeze(x, 0)
    geometry = ConvGeometry.of_conv(x.shape[2:], kernel, stride, padding, dilation)
    cols = Unfold(geometry)(x)
    cols = reshape(cols, x.shape[0], x.shape[1] * prod(kernel), prod(geometry.small))
    return cols if batched else squeeze(cols, 0)


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added back into an image: (N, C * prod(kernel), L) -> (N, C, *output_size); the
    transpose of unfold.
    """
    kernel = _kernel(kernel_size)
    batched = _check_axes(x, 3, "fold", "(N, C * prod(kernel), L)")
    x = x if batched else unsqueeze(x, 0)
    geometry = ConvGeometry.of_conv(
        ntuple(output_size, len(kernel), "output_size"), kernel, stride, padding, dilation
    )
    n, rows, columns = x.shape
    if rows % prod(kernel) or columns != prod(geometry.small):
        raise ValueError(
            f"fold to {geometry.big} with kernel {kernel} expects (N, a multiple of "
            f"{prod(kernel)}, {prod(geometry.small)}), got {x.shape}"
        )
    image = Fold(geometry)(reshape(x, n, rows // prod(kernel), *kernel, *geometry.small))
    return image if batched else squeeze(image, 0)


def _kernel(kernel_size):
    axes = len(kernel_size) if isinstance(kernel_size, (tuple, list)) else 2
    return ntuple(kernel_size, axes, "kernel_size")


def _check_axes(x, ndim, name, layout):
    """Whether x has the batch axis; it may lack that one only."""
    if x.ndim not in (ndim, ndim - 1):
        raise ValueError(f"{name} expects {layout} or the same without N, got shape {x.shape}")
    return x.ndim == ndim
