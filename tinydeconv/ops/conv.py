"""Convolution: one trilinear form, three ops.

    L(x, w, y) = <y, conv(x, w)> = <x, conv_transpose(y, w)> = <w, conv_weight(x, y)>

Each op is one partial derivative of L, and the gradients of each are the other two. So these three
classes are closed under differentiation: every order of derivative, for any number of axes, stride,
padding, dilation and groups.
"""

from ..engine import Op
from ..geometry import ConvGeometry, check_conv
from ..kernels import fastest
from .shape import reshape, squeeze, unsqueeze


class ConvOp(Op):
    keeps = ("inputs",)

    def __init__(self, geometry):
        self.geometry = geometry


class Conv(ConvOp):
    """(x, w) -> y"""

    def forward(self, x, w):
        return fastest(x, w).conv(x, w, self.geometry)

    def backward(self, g, y, x, w, needs):
        return (
            ConvTranspose(self.geometry)(g, w) if needs[0] else None,
            ConvWeight(self.geometry)(x, g) if needs[1] else None,
        )


class ConvTranspose(ConvOp):
    """(y, w) -> x"""

    def forward(self, y, w):
        return fastest(y, w).conv_transpose(y, w, self.geometry)

    def backward(self, g, x, y, w, needs):
        return (
            Conv(self.geometry)(g, w) if needs[0] else None,
            ConvWeight(self.geometry)(g, y) if needs[1] else None,
        )


class ConvWeight(ConvOp):
    """(x, y) -> w"""

    def forward(self, x, y):
        return fastest(x, y).conv_weight(x, y, self.geometry)

    def backward(self, g, w, x, y, needs):
        return (
            ConvTranspose(self.geometry)(y, g) if needs[0] else None,
            Conv(self.geometry)(x, g) if needs[1] else None,
        )


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
    if isinstance(output_size, (tuple, list)) and len(output_size) in (axes + 1, axes + 2):
        output_size = output_size[-axes:]  # of a whole shape
    sizes = x.shape[2:], weight.shape[2:]
    geometry = ConvGeometry.of_transposed(
        *sizes, stride, padding, dilation, groups, output_padding, output_size
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
