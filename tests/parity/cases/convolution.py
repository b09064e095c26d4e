"""Convolutions, unfold and fold."""

import numpy as np
import torch
from both import numbers
from registry import KERNELS, LAYERS, SIZES, TF, Call, case, layer


def spans(w, dilation):
    return [(dilation if isinstance(dilation, int) else dilation[i]) * (k - 1) + 1
            for i, k in enumerate(w.shape[2:])]  # fmt: skip


def pad(x, pairs):
    """Zeros around (and, for negative numbers, pixels cut off) each spatial axis."""
    return TF.pad(x, [n for pair in reversed(pairs) for n in pair])


def padded_conv(axes):
    """conv with a (low, high) pair of padding an axis, or "same" together with a stride."""

    def conv(x, w, b=None, *, stride=1, padding, dilation=1, groups=1):
        if padding == "same":
            padding = []
            for n, span in zip(x.shape[2:], spans(w, dilation)):
                lacking = max((-(-n // stride) - 1) * stride + span - n, 0)
                padding.append((lacking // 2, lacking - lacking // 2))
        function = getattr(TF, f"conv{axes}d")
        return function(pad(x, padding), w, b, stride=stride, dilation=dilation, groups=groups)

    return conv


def cut_conv_transpose(axes):
    """conv_transpose whose padding cuts (low, high) pixels off, or leaves size * stride."""

    def conv_transpose(x, w, *, stride=1, padding, dilation=1, groups=1):
        function = getattr(TF, f"conv_transpose{axes}d")
        full = function(x, w, stride=stride, dilation=dilation, groups=groups)
        if padding == "same":
            surplus = [span - stride for span in spans(w, dilation)]
            padding = [(max(s, 0) // 2, s - max(s, 0) // 2) for s in surplus]
        return pad(full, [(-low, -high) for low, high in padding])

    return conv_transpose


for a in (1, 2, 3):
    conv, conv_t, sizes, kernel = f"conv{a}d", f"conv_transpose{a}d", SIZES[a], KERNELS[a]
    x, w, b = numbers(2, 4, *sizes), numbers(6, 4, *kernel), numbers(6)
    single, pixel = numbers(1, 4, *sizes), numbers(6, 4, *(1,) * a)
    halves, each = numbers(6, 2, *kernel), numbers(8, 1, *kernel)
    case(conv, x, w)
    case(conv, x, w, b, padding=1)
    case(conv, single, pixel, b)
    case(conv, single, pixel, stride=3)  # stride > kernel: pixels that no tap meets
    case(conv, x, w, b, stride=(2, 3, 1)[:a], padding=(1, 0, 2)[:a], dilation=(2, 1, 1)[:a])
    case(conv, x, halves, b, groups=2, stride=2, padding="valid")
    case(conv, x, each, groups=4, padding="same", dilation=2)
    case(conv, x[0], w, b, padding=1)
    case(conv, x[:0], w, b, padding=1, stride=2)
    pairs = ((1, 2), (0, 3), (2, 0))[:a]
    case(conv, x, w, b, stride=2, padding=pairs, theirs=padded_conv(a))
    case(conv, x, w, b, stride=3, padding="same", theirs=padded_conv(a))

    small = (4, 3, 2)[:a]
    x, w, b = numbers(2, 6, *small), numbers(6, 4, *kernel), numbers(4)
    halves, each = numbers(6, 2, *kernel), numbers(6, 1, *kernel)
    case(conv_t, x, w)
    case(conv_t, x, w, b, stride=2, padding=1, output_padding=1)
    case(conv_t, x, w, stride=2, output_padding=2, dilation=3, padding=1)  # >= stride
    case(conv_t, x, halves, b, groups=2, stride=(3, 2, 1)[:a], padding=(0, 1, 0)[:a])
    case(conv_t, x, each, groups=6, stride=4)
    case(conv_t, x[0], w, b, stride=2)
    case(conv_t, x[:0], w, b, stride=2, padding=1)
    case(conv_t, x[:1], w, b)
    least = tuple((n - 1) * 3 - 2 + k for n, k in zip(small, kernel))
    wanted = tuple(n + e for n, e in zip(least, (2, 0, 1)))
    case(conv_t, x, w, b, stride=3, padding=1, output_size=wanted,
         theirs=lambda *args, output_size, a=a, **options: getattr(TF, f"conv_transpose{a}d")(
             *args, output_padding=(2, 0, 1)[:a], **options))  # fmt: skip
    case(conv_t, x, w, stride=2, padding=((1, 0), (0, 2), (1, 1))[:a], theirs=cut_conv_transpose(a))
    case(conv_t, x, w, stride=2, padding="same", dilation=2, theirs=cut_conv_transpose(a))
    case(conv_t, x, w, stride=4, padding="same", theirs=cut_conv_transpose(a))

x = numbers(2, 3, 7, 8)
case("unfold", x, 3)
case("unfold", x, (2, 3), dilation=(2, 1), padding=(0, 1), stride=(3, 2))
case("unfold", x[0], (2, 3), stride=4, padding=1)
case("unfold", x[:1], (4, 1))
case("fold", numbers(2, 12, 15), (4, 6), (2, 2))
case("fold", numbers(1, 12, 15), (4, 6), 2)
case("fold", numbers(2, 18, 12), (7, 8), (3, 2), dilation=(2, 1), padding=(1, 0), stride=(2, 2))
case("fold", numbers(18, 12), (7, 8), (3, 2), dilation=(2, 1), padding=(1, 0), stride=(2, 2))
# an empty batch, one axis and three are tinydeconv's alone: PyTorch's has none of them
case("unfold", x[:0], 3, stride=2, theirs=lambda x, *_, **__: x.reshape(0, 27, 9))
case("fold", numbers(0, 12, 15), (4, 6), 2, theirs=lambda x, *_: x.sum(2).reshape(0, 3, 4, 6))


def eye_conv(x, kernel, **options):
    """unfold as a convolution whose weight is the identity matrix."""
    axes, taps = len(kernel), x.shape[1] * int(np.prod(kernel))
    w = torch.eye(taps, dtype=x.dtype).reshape(taps, x.shape[1], *kernel)
    return getattr(TF, f"conv{axes}d")(x, w, **options).reshape(x.shape[0], taps, -1)


case("unfold", numbers(2, 2, 9), (3,), stride=2, padding=1, theirs=eye_conv)
case("unfold", numbers(1, 2, 4, 3, 5), (2, 1, 3), dilation=2, padding=(1, 0, 2), theirs=eye_conv)


# ---------------------------------------------------------------- layers

for a, sizes in SIZES.items():
    x, small = numbers(2, 4, *sizes), numbers(2, 6, *(4, 3, 2)[:a])
    some = {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}
    LAYERS[f"Conv{a}d"] = [
        (Call(4, 6, 3), [x]),
        (Call(4, 6, (3, 2, 1)[:a], **some, bias=False), [x]),
        (Call(4, 6, 3, padding="same"), [x[0]]),
        (Call(4, 6, 3, 2, (1, 2, 2)[:a], 1, 1, True, "reflect"), [x]),
        (Call(4, 6, 2, padding="same", dilation=3, padding_mode="replicate"), [x]),
        (Call(4, 6, 3, padding=1, padding_mode="circular"), [x[0]]),
        (Call(4, 6, 3, padding="valid", padding_mode="circular"), [x]),
    ]
    LAYERS[f"ConvTranspose{a}d"] = [
        (Call(6, 4, 3), [small]),
        (Call(6, 4, (3, 2, 1)[:a], **some, output_padding=1, bias=False), [small]),
        (Call(6, 4, 3, 2, 1, 1, 1, True, 1, "zeros"), [small[0]]),
        (Call(6, 4, 3, 2), [small, {"output_size": tuple(2 * n + 2 for n in small.shape[2:])}]),
        (Call(6, 4, 3, 2), [small, {"output_size": (2, 4, *(2 * n + 2 for n in small.shape[2:]))}]),
        (Call(6, 4, 3, 2), [small[0], {"output_size": (4, *(2 * n + 2 for n in small.shape[2:]))}]),
    ]
layer("Unfold", Call((2, 3), dilation=(2, 1), padding=(0, 1), stride=2), numbers(2, 3, 7, 8))
layer("Unfold", Call(3), numbers(3, 7, 8))
layer("Fold", Call((7, 8), (3, 2), dilation=(2, 1), padding=(1, 0), stride=2), numbers(2, 18, 12))
