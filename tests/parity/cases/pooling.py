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
    even = spread(2, 3, *(6, 8, 4)[:a])
    pool = getattr(torch.nn, f"MaxPool{a}d")
    _, where = pool(2, return_indices=True)(torch.from_numpy(even))
    _, shifted = pool(2, 3, 1, return_indices=True)(torch.from_numpy(x))
    LAYERS[f"MaxUnpool{a}d"] = [
        (Call(2), [numbers(*where.shape), where.numpy()]),
        (Call(2, stride=3, padding=1),
         [numbers(*shifted.shape), shifted.numpy(), {"output_size": sizes}]),
    ]  # fmt: skip
