"""Every function of nn.functional against PyTorch's: values, gradients and second derivatives.

CASES[name] holds calls of that function; between them they set every argument it takes.
"""

import inspect
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from both import Fixed, agree, numbers, spread

import tinydeconv.nn.functional as F

TF = torch.nn.functional


class Case(NamedTuple):
    """F.name(*args, **options); `theirs` stands in where PyTorch spells it differently."""

    args: tuple
    options: dict = {}
    theirs: Any = None
    order: int = 2  # of derivatives


CASES: dict[str, list[Case]] = {}


def case(name, *args, theirs=None, order=2, **options):
    CASES.setdefault(name, []).append(Case(args, options, theirs, order))


# ---------------------------------------------------------------- convolutions

SIZES = {1: (9,), 2: (8, 7), 3: (5, 4, 6)}
KERNELS = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}


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

# ---------------------------------------------------------------- pooling

for a in (1, 2, 3):
    maximum, average, unpool = f"max_pool{a}d", f"avg_pool{a}d", f"max_unpool{a}d"
    x = spread(2, 3, *SIZES[a])
    case(maximum, x, 2)
    case(maximum, x, KERNELS[a], return_indices=True)
    case(maximum, x, 3, stride=(2, 1, 2)[:a], padding=1, return_indices=True)
    case(maximum, x, 2, stride=1, dilation=(2, 1, 3)[:a], return_indices=True)
    case(maximum, x, 2, stride=3, ceil_mode=True, return_indices=True)
    case(maximum, x[0], 2, stride=2, padding=(1, 0, 1)[:a], ceil_mode=True, return_indices=True)
    case(maximum, x[:0], 2, return_indices=True)
    case(maximum, x[:1], 2)
    case(maximum, np.round(numbers(2, 3, *SIZES[a])), 3, stride=1, return_indices=True)  # ties

    x = numbers(2, 3, *SIZES[a])
    case(average, x, 2)
    case(average, x, KERNELS[a], stride=(2, 1, 2)[:a], padding=(1, 0, 1)[:a])
    case(average, x, 3, stride=2, padding=1, count_include_pad=False)
    case(average, x, 2, stride=3, padding=1, ceil_mode=True)
    case(average, x, 3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)
    case(average, x[0], 2, stride=1)
    case(average, x[:0], 2)
    divided = None
    if a == 1:  # whose counterpart lacks the argument

        def divided(x, k, *, stride, padding, divisor_override):
            y = TF.avg_pool2d(x[..., None], (k, 1), (stride, 1), (padding, 0),
                              divisor_override=divisor_override)  # fmt: skip
            return y[..., 0]

    case(average, x, 2, stride=2, padding=1, divisor_override=3, theirs=divided)

    pool = getattr(TF, maximum)
    x = spread(2, 3, *(6, 8, 4)[:a])
    _, where = pool(torch.from_numpy(x), 2, return_indices=True)
    y, where = numbers(*where.shape), where.numpy()
    case(unpool, y, where, 2)
    case(unpool, y[:0], where[:0], 2)
    case(unpool, y[0], where[0], (2,) * a, output_size=x.shape[2:])
    x = spread(2, 3, *SIZES[a])
    _, where = pool(torch.from_numpy(x), 2, return_indices=True)
    y, where = numbers(*where.shape), where.numpy()
    case(unpool, y, where, 2, output_size=SIZES[a])
    case(unpool, y, where, 2, output_size=(2, 3, *SIZES[a]))
    _, where = pool(torch.from_numpy(x), (2, 1, 2)[:a], 3, (1, 0, 0)[:a], return_indices=True)
    where = where.numpy()
    case(unpool, numbers(*where.shape), where, (2, 1, 2)[:a], stride=3, padding=(1, 0, 0)[:a],
         output_size=SIZES[a])  # fmt: skip

# ---------------------------------------------------------------- layers

w, b = numbers(5, 3), numbers(5)
case("linear", numbers(4, 3), w)
case("linear", numbers(4, 3), w, b)
case("linear", numbers(2, 4, 3), w, b)
case("linear", numbers(3), w, b)
case("linear", numbers(0, 3), w, b)

for shape in ((4, 3), (2, 3, 5), (2, 3, 4, 3), (2, 3, 2, 3, 2)):
    x, w, b = numbers(*shape) * 3 + 1, numbers(3), numbers(3, seed=1)
    mean, var = Fixed(numbers(3)), Fixed(numbers(3) ** 2 + 0.5)
    case("batch_norm", x, mean, var, w, b)
    case("batch_norm", x, mean, var, w, b, training=True)
    case("batch_norm", x, mean, var, training=True, momentum=0.3, eps=1e-3)
    case("batch_norm", x, None, None, w, b, training=True)
    case("batch_norm", x, mean, var, w, None, momentum=0.3, eps=1e-3)
    case("batch_norm", x[:0], mean, var, w, b)

for shape in ((4, 3), (2, 3, 4, 3), (0, 3, 4), (3,), ()):
    x = spread(*shape) if shape else np.array(-0.3)
    for name in ("relu", "sigmoid", "tanh", "leaky_relu"):
        case(name, x)
    case("leaky_relu", x, 0.3)
    case("leaky_relu", x, negative_slope=-0.3)
    case("prelu", x, np.array([0.25]))
    if len(shape) > 1:
        case("prelu", x, numbers(3))
for name in ("softmax", "log_softmax"):
    for dim in (0, 1, -1):
        case(name, numbers(2, 3, 4) * 3, dim)
    case(name, numbers(2, 3) * 500, 1)
    case(name, numbers(3), 0)
    case(name, numbers(0, 3), 1)
for name in ("sigmoid", "tanh"):
    case(name, np.array([-800.0, -30.0, 0.0, 30.0, 800.0]))

# ---------------------------------------------------------------- losses

for reduction in ("mean", "sum", "none"):
    for shape in ((4, 3), (2, 3, 4, 2), (5,), (0, 3), ()):
        x, t = numbers(*shape), numbers(*shape, seed=1)
        # the mean of nothing is NaN; which of its derivatives are zero and which NaN is chance
        order = 0 if 0 in shape and reduction == "mean" else 2
        case("mse_loss", x, t, reduction=reduction, order=order)
        case("l1_loss", x, t, reduction=reduction, order=order)
        name, probability = "binary_cross_entropy_with_logits", 1 / (1 + np.exp(-t))
        case(name, x * 9, probability, reduction=reduction, order=order)
        if len(shape) > 1:
            sites = (shape[0], *shape[2:])
            t = np.random.default_rng(0).integers(0, shape[1], sites)
            case("cross_entropy", x * 9, t, reduction=reduction, order=order)
    case("cross_entropy", numbers(3), np.array(2), reduction=reduction)
case("binary_cross_entropy_with_logits", np.array([-800.0, 0.3, 800.0]), np.array([0.0, 0.5, 0.0]))
case("cross_entropy", np.array([[-800.0, 0.3, 800.0]]), np.array([0]))

# ---------------------------------------------------------------- the tests


def label(name, case):
    shapes = [list(x.shape) if isinstance(x, np.ndarray) else x for x in case.args]
    shapes = ["fixed" if isinstance(x, Fixed) else x for x in shapes]
    told = [*map(str, shapes), *(f"{k}={v}" for k, v in case.options.items())]
    return f"{name}({', '.join(told)})".replace(" ", "")


ALL = [pytest.param(n, c, id=label(n, c)) for n, cases in CASES.items() for c in cases]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("name", "case"), ALL)
def test_function(name, case, dtype):
    ours, theirs = getattr(F, name), case.theirs or getattr(TF, name)
    agree(
        lambda *args: ours(*args, **case.options),
        lambda *args: theirs(*args, **case.options),
        case.args,
        dtype,
        order=min(case.order, 2 if dtype == "float64" else 1),
    )


def uncovered(names):
    """The functions without a case, and arguments that no case gives a value of its own."""
    for name in names:
        if name not in CASES:
            yield name
            continue
        signature, given = inspect.signature(getattr(F, name)), set()
        for case in CASES[name]:
            bound = signature.bind(*case.args, **case.options).arguments
            given |= {k for k, v in bound.items() if v is not signature.parameters[k].default}
        yield from (f"{name}({k})" for k in signature.parameters if k not in given)


def test_every_function_and_every_argument_has_a_case():
    assert F.__all__ and list(uncovered(F.__all__)) == []
    public = {n for n, f in vars(F).items() if inspect.isfunction(f) and not n.startswith("_")} - {
        "where"
    }
    assert public == set(F.__all__)


def test_a_function_or_argument_without_a_case_is_seen(monkeypatch):
    monkeypatch.setattr(F, "swish", lambda input: input, raising=False)
    assert list(uncovered([*F.__all__, "swish"])) == ["swish"]
    few = [case for case in CASES["conv2d"] if "dilation" not in case.options]
    monkeypatch.setitem(CASES, "conv2d", few)
    assert list(uncovered(F.__all__)) == ["conv2d(dilation)"]


@pytest.mark.parametrize(("name", "case"), [p for p in ALL if p.values[1].theirs is None])
def test_arguments_go_by_pytorchs_names(name, case):
    """The functions that are methods too call their first argument x, PyTorch always input."""
    ours, theirs = getattr(F, name), getattr(TF, name)
    named = inspect.signature(ours).bind(*case.args, **case.options).arguments
    values = list(named.values())
    in_pytorch = ["input" if k == "x" else k for k in named]
    agree(
        lambda *args: ours(**dict(zip(named, args))),
        lambda *args: theirs(**dict(zip(in_pytorch, args))),
        values,
        order=0,
    )
