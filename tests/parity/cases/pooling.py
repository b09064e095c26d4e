"""Pooling."""

import numpy as np
import torch
from both import numbers, spread
from registry import KERNELS, LAYERS, SIZES, TF, Call, case

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
    odd = x.copy()  # of two NaNs in one window PyTorch's index means the last, ours the first
    odd[:, :, *(n // 2 for n in SIZES[a])] = np.nan
    odd[0, 0], odd[0, 1] = -np.inf, np.inf
    case(maximum, odd, 2, padding=1, return_indices=True)
    whole = np.arange(-20, x.size // 6 - 20).reshape(1, 1, *SIZES[a])
    case(maximum, whole, 2, stride=3, padding=1, return_indices=True)
    case(maximum, (whole + 20).astype(np.uint8), 2, return_indices=True)

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

    maximum, average = f"adaptive_max_pool{a}d", f"adaptive_avg_pool{a}d"
    x = spread(2, 3, *SIZES[a])
    sizes = [1, 2, 3, 12, (3, 5, 2)[:a], [4, 3, 6][:a], SIZES[a]]
    if a > 1:  # whose counterparts take None
        sizes += [(None, 3, None)[:a], (None,) * a]
    for size in sizes:
        case(maximum, x, size)
        case(average, x, size)
    case(average, x, *[None] * (a > 1) or [SIZES[1]],
         theirs=lambda x, size, name=average: getattr(TF, name)(x, x.shape[2:]))  # fmt: skip
    case(maximum, x, 3, True)
    case(maximum, x[0], (3, 5, 2)[:a], return_indices=True)
    case(maximum, x[:0], 2, return_indices=True)
    case(maximum, np.round(numbers(2, 3, *SIZES[a])), 4, return_indices=True)  # ties
    case(maximum, odd, 12, return_indices=True)
    case(average, x[0], 4)
    case(average, x[:0], 2)
    case(average, odd, 4)
    case(average, x, 0, order=0)  # of which PyTorch has no gradient
    case(maximum, x, 0, order=0)


# ---------------------------------------------------------------- layers

for a, sizes in SIZES.items():
    x = spread(2, 3, *sizes)
    LAYERS[f"MaxPool{a}d"] = [
        (Call(2), [x]),
        (Call(3, 2, 1, ceil_mode=True, return_indices=True), [x]),
        (Call(2, stride=1, dilation=2), [x[0]]),
    ]
    LAYERS[f"AvgPool{a}d"] = [
        (Call(2), [x]),
        (Call(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False), [x]),
        *[(Call(2, divisor_override=3), [x])] * (a > 1),
    ]
    LAYERS[f"AdaptiveMaxPool{a}d"] = [
        (Call(3), [x]),
        (Call((3, 5, 2)[:a], return_indices=True), [x[0]]),
    ]
    LAYERS[f"AdaptiveAvgPool{a}d"] = [(Call(3), [x]), (Call((3, 5, 2)[:a]), [x[0]])]
    even = spread(2, 3, *(6, 8, 4)[:a])
    pool = getattr(torch.nn, f"MaxPool{a}d")
    _, where = pool(2, return_indices=True)(torch.from_numpy(even))
    _, shifted = pool(2, 3, 1, return_indices=True)(torch.from_numpy(x))
    LAYERS[f"MaxUnpool{a}d"] = [
        (Call(2), [numbers(*where.shape), where.numpy()]),
        (Call(2, stride=3, padding=1),
         [numbers(*shifted.shape), shifted.numpy(), {"output_size": sizes}]),
    ]  # fmt: skip
