"""The geometry of a convolution: every size, and every error about a size, in one place. Integers
only.

A convolution joins two grids: `big`, the image side (input of a convolution, output of a transposed
one), and `small`, the feature side. Kernel offset t (a *tap*) at small position o meets big
position

    o * stride + t * dilation - padding_low

(Dumoulin & Visin 2016, "A guide to convolution arithmetic for deep learning"). A stride forgets how
large the image was, so neither side is a function of the other: both are kept.
"""

import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class ConvGeometry:
    """Sizes of a convolution over any number of spatial axes: one entry an axis, `padding` as (low,
    high) pairs.
    """

    big: tuple
    small: tuple
    kernel: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int = 1

    @classmethod
    def of_conv(cls, big, kernel, stride=1, padding=0, dilation=1, groups=1, ceil_mode=False):
        """From the image side: small = (big + padding - span) // stride + 1.

        `padding`: an int, one an axis, one (low, high) pair an axis, "valid", or "same" (small =
        ceil(big / stride)). With `ceil_mode` (pooling) a last window may hang over the end, if it
        starts inside the image or its low padding.
        """
        big, kernel, stride, dilation = _steps(big, kernel, stride, dilation)
        positive("groups", (groups,))
        if padding == "same":
            lacking = [
                max(0, (-(-n // s) - 1) * s + span - n)
                for n, s, span in zip(big, stride, _spans(kernel, dilation), strict=True)
            ]
            padding = tuple((total // 2, total - total // 2) for total in lacking)
        padding = pairs(padding, len(big))
        small = []
        for axis, (n, s, (low, high), span) in enumerate(
            zip(big, stride, padding, _spans(kernel, dilation), strict=True)
        ):
            padded = n + low + high
            steps = (padded - span) // s
            if ceil_mode and (padded - span) % s and (steps + 1) * s < n + low:
                steps += 1
            if n < 1 or steps < 0:
                raise ValueError(
                    f"the kernel does not fit on spatial axis {axis}: kernel size {kernel[axis]} "
                    f"with dilation {dilation[axis]} spans {span}, the image has size {n} and with "
                    f"padding ({low}, {high}) {padded}"
                )
            small.append(steps + 1)
        return cls(big, tuple(small), kernel, stride, padding, dilation, groups)

    @classmethod
    def of_transposed(
        cls,
        small,
        kernel,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        output_padding=0,
        output_size=None,
    ):
        """From the feature side: big = (small - 1) * stride - padding + span + output_padding.

        `output_padding` (or the `output_size` wanted) chooses among the sizes that the stride
        forgot; it adds no zeros. `padding` as in of_conv; "same" means big = small * stride.
        """
        small, kernel, stride, dilation = _steps(small, kernel, stride, dilation)
        positive("groups", (groups,))
        axes, spans = len(small), _spans(kernel, dilation)
        extra = ntuple(output_padding, axes, "output_padding")
        if padding == "same":
            if any(extra):
                raise ValueError(
                    'padding="same" chooses the output size by itself: output_padding must be 0, '
                    f"got {output_padding}"
                )
            surplus = [span - s for span, s in zip(spans, stride, strict=True)]
            padding = tuple(
                (max(0, total) // 2, max(0, total) - max(0, total) // 2) for total in surplus
            )
            extra = tuple(max(0, -total) for total in surplus)
        padding = pairs(padding, axes)
        least = tuple(
            (n - 1) * s - low - high + span
            for n, s, (low, high), span in zip(small, stride, padding, spans, strict=True)
        )
        if output_size is not None:
            extra = tuple(
                want - size
                for want, size in zip(ntuple(output_size, axes, "output_size"), least, strict=True)
            )
        for axis, (size, e, s, d) in enumerate(zip(least, extra, stride, dilation, strict=True)):
            if output_size is not None and not 0 <= e < max(s, d):
                raise ValueError(
                    f"output_size {size + e} cannot be reached on spatial axis {axis}: it must lie "
                    f"between {size} and {size + max(s, d) - 1} (stride {s}, dilation {d})"
                )
            if not 0 <= e < max(s, d):
                raise ValueError(
                    "output_padding must be at least 0 and smaller than stride or dilation, got "
                    f"{e} on spatial axis {axis} with stride {s} and dilation {d}"
                )
            if small[axis] < 1 or size + e < 1:
                raise ValueError(
                    f"the output would have size {size + e} on spatial axis {axis}: input "
                    f"{small[axis]}, kernel {kernel[axis]}, stride {s}, padding {padding[axis]}, "
                    f"dilation {d}"
                )
        big = tuple(size + e for size, e in zip(least, extra, strict=True))
        return cls(big, small, kernel, stride, padding, dilation, groups)

    @property
    def padded(self):
        """Size of the image side with its padding, large enough for every tap."""
        return tuple(
            max(n + low + high, (o - 1) * s + span)
            for n, (low, high), o, s, span in zip(
                self.big,
                self.padding,
                self.small,
                self.stride,
                _spans(self.kernel, self.dilation),
                strict=True,
            )
        )

    @property
    def interior(self):
        """Where the image lies inside the padded one: a slice an axis."""
        return tuple(
            slice(low, low + n) for n, (low, _) in zip(self.big, self.padding, strict=True)
        )

    def taps(self):
        """For each tap its kernel offset, and the slices of the padded image that it meets."""
        for tap in itertools.product(*map(range, self.kernel)):
            yield (
                tap,
                tuple(
                    slice(t * d, t * d + (o - 1) * s + 1, s)
                    for t, d, s, o in zip(tap, self.dilation, self.stride, self.small, strict=True)
                ),
            )


def check_conv(x, weight, bias, groups, transposed=False):
    """Refuses shapes that a convolution of (N, C, *spatial) with (F, C / groups, *kernel) cannot
    have.

    Transposed: (N, F, *spatial) with (F, C / groups, *kernel), the same weight read from the other
    side.
    """
    kind = "a transposed convolution" if transposed else "a convolution"
    positive("groups", (groups,))
    if len(x) != len(weight):
        raise ValueError(
            f"{kind} over {len(weight) - 2} axes expects an input of {len(weight)} axes (N, C, "
            f"*spatial) or {len(weight) - 1} unbatched, got shape {x}"
        )
    if weight[0] % groups:
        raise ValueError(
            f"groups must divide the first axis of the weight, got {groups} groups and weight "
            f"shape {weight}"
        )
    channels = weight[0] if transposed else weight[1] * groups
    if x[1] != channels:
        raise ValueError(
            f"{kind} with weight shape {weight} and {groups} groups expects {channels} input "
            f"channels, got {x[1]} in shape {x}"
        )
    filters = weight[1] * groups if transposed else weight[0]
    if bias is not None and tuple(bias) != (filters,):
        raise ValueError(
            f"expected a bias of shape ({filters},) for weight shape {weight} and {groups} groups, "
            f"got {tuple(bias)}"
        )


def ntuple(value, axes, name):
    """An int for every axis, or one int an axis."""
    values = (
        (value,) * axes
        if _is_int(value)
        else tuple(value)
        if isinstance(value, (tuple, list))
        else (None,)
    )
    if len(values) != axes or not all(map(_is_int, values)):
        raise ValueError(f"expected {name} to be an int or {axes} ints, got {value!r}")
    return tuple(int(v) for v in values)


def _steps(size, kernel, stride, dilation):
    size = tuple(size)
    kernel = ntuple(kernel, len(size), "kernel size")
    stride = ntuple(stride, len(size), "stride")
    dilation = ntuple(dilation, len(size), "dilation")
    for name, values in (("kernel size", kernel), ("stride", stride), ("dilation", dilation)):
        positive(name, values)
    return size, kernel, stride, dilation


def _spans(kernel, dilation):
    """How far a kernel reaches: 1 + dilation * (kernel - 1)."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def pairs(padding, axes):
    if padding == "valid":
        padding = 0
    if (
        isinstance(padding, (tuple, list))
        and len(padding) == axes
        and all(
            isinstance(p, (tuple, list)) and len(p) == 2 and all(map(_is_int, p)) for p in padding
        )
    ):
        pairs = tuple((int(low), int(high)) for low, high in padding)
    else:
        pairs = tuple(
            (p, p)
            for p in ntuple(
                padding, axes, "padding (also a (low, high) pair an axis, 'valid' or 'same')"
            )
        )
    if any(p < 0 for pair in pairs for p in pair):
        raise ValueError(f"padding must not be negative, got {padding}")
    return pairs


def positive(name, values):
    """Refuses what is not a whole number of at least 1."""
    if not all(_is_int(v) and v > 0 for v in values):
        found = values[0] if len(values) == 1 else values
        raise ValueError(f"{name} must be positive, a whole number of at least 1, got {found}")


def _is_int(value):
    return hasattr(value, "__index__") and not isinstance(value, bool)
