"""The functions behind the layers, with PyTorch's names, arguments and defaults.

Hyper-parameters of the convolution family and of unfold and fold come by keyword only: PyTorch's
positional order differs between conv2d (dilation, groups) and conv_transpose2d (groups, dilation),
which has bitten many.
"""

from .. import ops
from ..ops import leaky_relu, log_softmax, relu, sigmoid, softmax, tanh, where

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cross_entropy",
    "fold",
    "l1_loss",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mse_loss",
    "prelu",
    "relu",
    "sigmoid",
    "softmax",
    "tanh",
    "unfold",
]

# ---------------------------------------------------------------- convolutions and pooling


def _for_axes(family):
    """family(axes) for one, two and three spatial axes, each with its name."""
    made = []
    for axes in (1, 2, 3):
        function = family(axes)
        function.__name__ = function.__qualname__ = f"{family.__name__.strip('_')}{axes}d"
        function.__doc__ = (
            f"{function.__doc__.strip()}\n\n    {axes} spatial {'axes' if axes > 1 else 'axis'}."
        )
        made.append(function)
    return made


def _conv(axes):
    def conv(input, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1):
        """Convolution (cross-correlation) of (N, C, *spatial) or (C, *spatial).

        weight: (F, C / groups, *kernel); bias: (F,)

        Output size: (size + padding - dilation * (kernel - 1) - 1) // stride + 1. `padding`: an
        int, an int or a (low, high) pair an axis, "valid", or "same" (size / stride, rounded up).
        """
        return ops.convolution(input, weight, bias, axes, stride, padding, dilation, groups)

    return conv


def _conv_transpose(axes):
    def conv_transpose(
        input,
        weight,
        bias=None,
        *,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        dilation=1,
        output_size=None,
    ):
        """Transposed convolution of (N, C, *spatial) or (C, *spatial).

        weight: (C, F / groups, *kernel); bias: (F,)

        Output size: (size - 1) * stride - padding + dilation * (kernel - 1) + 1 + output_padding.
        `output_size` chooses the output_padding; padding="same" means size * stride.
        """
        return ops.transposed_convolution(
            input,
            weight,
            bias,
            axes,
            stride,
            padding,
            output_padding,
            output_size,
            dilation,
            groups,
        )

    return conv_transpose


def _max_pool(axes):
    def max_pool(
        input,
        kernel_size,
        stride=None,
        padding=0,
        dilation=1,
        ceil_mode=False,
        return_indices=False,
    ):
        """The largest pixel of each window; stride defaults to the kernel.

        With return_indices also where it was, flat in its image.
        """
        return ops.max_pool(
            input, axes, kernel_size, stride, padding, dilation, ceil_mode, return_indices
        )

    return max_pool


def _avg_pool(axes):
    def avg_pool(
        input,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        """The mean of each window; stride defaults to the kernel."""
        return ops.avg_pool(
            input,
            axes,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad,
            divisor_override,
        )

    return avg_pool


def _max_unpool(axes):
    def max_unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        """Each pixel added at its index in an image of zeros: the adjoint of max_pool.

        indices: from max_pool with return_indices
        """
        return ops.max_unpool(input, indices, axes, kernel_size, stride, padding, output_size)

    return max_unpool


conv1d, conv2d, conv3d = _for_axes(_conv)
conv_transpose1d, conv_transpose2d, conv_transpose3d = _for_axes(_conv_transpose)
max_pool1d, max_pool2d, max_pool3d = _for_axes(_max_pool)
avg_pool1d, avg_pool2d, avg_pool3d = _for_axes(_avg_pool)
max_unpool1d, max_unpool2d, max_unpool3d = _for_axes(_max_unpool)


def unfold(input, kernel_size, *, dilation=1, padding=0, stride=1):
    """Sliding patches as columns: (N, C, *spatial) -> (N, C * prod(kernel), L).

    An int kernel_size means two axes.
    """
    return ops.unfold(input, kernel_size, dilation, padding, stride)


def fold(input, output_size, kernel_size, *, dilation=1, padding=0, stride=1):
    """Columns added back into an image, the transpose of unfold.

    (N, C * prod(kernel), L) -> (N, C, *output_size)
    """
    return ops.fold(input, output_size, kernel_size, dilation, padding, stride)


# ---------------------------------------------------------------- layers


def linear(input, weight, bias=None):
    """input @ weight.T + bias: (*, in) with weight (out, in) -> (*, out)."""
    y = input @ weight.T
    return y if bias is None else y + bias


def prelu(input, weight):
    """input where positive, weight * input elsewhere; weight (1,) or one a channel (C,)."""
    if weight.numel() == 1:
        weight = weight.reshape(())
    elif input.ndim < 2 or weight.shape != (input.shape[1],):
        raise ValueError(
            f"expected a prelu weight of shape (1,) or one for each channel of {input.shape}, got "
            f"{weight.shape}"
        )
    else:
        weight = weight.reshape(-1, *(1,) * (input.ndim - 2))
    return where(input > 0, input, weight * input)


def batch_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    training=False,
    momentum=0.1,
    eps=1e-5,
):
    """(x - mean) / sqrt(var + eps) * weight + bias for each channel of (N, C, *spatial).

    In training, mean and var are the batch's (var biased) and move the running ones (var unbiased)
    by `momentum`; otherwise the running ones are used, and needed (Ioffe & Szegedy 2015).
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm expects (N, C) or (N, C, *spatial), got shape {input.shape}")
    for other in (running_mean, running_var, weight, bias):
        if other is not None and other.dtype != input.dtype:
            raise TypeError(
                f"batch_norm expects one dtype, got {input.dtype} with parameters of "
                f"{other.dtype}: cast the input or the layer with .float() or .double()"
            )
    dims = (0, *range(2, input.ndim))
    shape = (1, -1, *(1,) * (input.ndim - 2))
    if training:
        count = input.numel() // max(input.shape[1], 1)
        if count <= 1:
            raise ValueError(
                "batch_norm in training needs more than one value a channel, got shape "
                f"{input.shape}"
            )
        mean = input.mean(dims, keepdim=True)
        centred = input - mean
        var = (centred * centred).mean(dims, keepdim=True)
        if running_mean is not None:
            for running, batch in (
                (running_mean, mean),
                (running_var, var * (count / (count - 1))),
            ):
                running.data = running.data + momentum * (batch.data.reshape(-1) - running.data)
    elif running_mean is None:
        raise ValueError(
            "batch_norm without training=True needs running_mean and running_var, got None"
        )
    else:
        centred, var = input - running_mean.reshape(shape), running_var.reshape(shape)
    y = centred / (var + eps).sqrt()
    if weight is not None:
        y = y * weight.reshape(shape)
    return y if bias is None else y + bias.reshape(shape)


# ---------------------------------------------------------------- losses


def _reduce(loss, reduction):
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"expected reduction 'mean', 'sum' or 'none', got {reduction!r}")
    return loss if reduction == "none" else getattr(loss, reduction)()


def _same_shape(name, input, target):
    if input.shape != target.shape:
        raise ValueError(
            f"{name} expects input and target of one shape, got {input.shape} and {target.shape}"
        )


def mse_loss(input, target, reduction="mean"):
    """(input - target)^2"""
    _same_shape("mse_loss", input, target)
    difference = input - target
    return _reduce(difference * difference, reduction)


def l1_loss(input, target, reduction="mean"):
    """|input - target|"""
    _same_shape("l1_loss", input, target)
    return _reduce(abs(input - target), reduction)


def cross_entropy(input, target, reduction="mean"):
    """-log softmax(input)[target]: logits (N, C, *) or (C,) with class indices (N, *) or ()."""
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"cross_entropy expects class indices of an integer dtype, got {target.dtype}"
        )
    dim = 1 if input.ndim > 1 else 0
    if not input.ndim or target.shape != (*input.shape[:dim], *input.shape[dim + 1 :]):
        raise ValueError(
            f"cross_entropy of logits (N, C, *) expects targets (N, *): got logits {input.shape} "
            f"and targets {target.shape}"
        )
    classes = input.shape[dim]
    if target.numel() and not 0 <= target.min().item() <= target.max().item() < classes:
        raise IndexError(
            f"cross_entropy of {classes} classes got targets from {target.min().item()} to "
            f"{target.max().item()}"
        )
    picked = log_softmax(input, dim).gather(dim, target.unsqueeze(dim)).squeeze(dim)
    return _reduce(-picked, reduction)


def binary_cross_entropy_with_logits(input, target, reduction="mean"):
    """-target log sigmoid(input) - (1 - target) log(1 - sigmoid(input)), without overflow."""
    _same_shape("binary_cross_entropy_with_logits", input, target)
    return _reduce(ops.softplus(input) - input * target, reduction)
