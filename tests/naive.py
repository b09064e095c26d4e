"""The naive reference: every operation spelled as loops over its output's (or input's) indices.

Slow and obvious on purpose, float64 throughout, and importing nothing of the package, so that
agreeing with it means something. Layouts, argument meanings and formulas are PyTorch's. Spatial
arguments are an int for every axis or one value an axis; padding may also be (low, high) pairs.
"""

import math

import numpy as np


def _each(value, axes):
    """One value an axis: 2 -> (2, 2, ...)."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def _lows_highs(padding, axes):
    """The padding before and after each axis: 1 or (1, 0) or ((0, 2), (1, 1)) -> lows, highs."""
    pairs = [_each(p, 2) for p in _each(padding, axes)]
    return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)


def _inside(position, sizes):
    return all(0 <= p < size for p, size in zip(position, sizes, strict=True))


def _windows(sizes, kernel, stride, padding, dilation):
    """The number of windows along each axis, and a function (window, tap) -> position in the image.

    The position is meant in the unpadded image, so in the padding it lies outside of the image.
    """
    axes = len(sizes)
    kernel, stride, dilation = (_each(v, axes) for v in (kernel, stride, dilation))
    lows, highs = _lows_highs(padding, axes)
    counts = tuple(
        (sizes[i] + lows[i] + highs[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1
        for i in range(axes)
    )

    def position(window, tap):
        return tuple(window[i] * stride[i] + tap[i] * dilation[i] - lows[i] for i in range(axes))

    return counts, position


# ---- convolution ----


def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """x (N, C, *sizes), w (F, C/groups, *kernel), b (F,) or None -> (N, F, *counts)."""
    features, channels, *kernel = w.shape  # channels: those of one group
    counts, position = _windows(x.shape[2:], kernel, stride, padding, dilation)
    y = np.zeros((x.shape[0], features, *counts))
    for n, f, *window in np.ndindex(*y.shape):
        group = f // (features // groups)
        total = 0.0 if b is None else b[f]
        for c, *tap in np.ndindex(channels, *kernel):
            at = position(window, tap)
            if _inside(at, x.shape[2:]):
                total += x[n, group * channels + c, *at] * w[f, c, *tap]
        y[n, f, *window] = total
    return y


def conv_transpose(y, w, b=None, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """y (N, F, *counts), w (F, C/groups, *kernel), b (C,) or None -> (N, C, *sizes), by scattering.

    sizes = (counts - 1) * stride - low - high + dilation * (kernel - 1) + output_padding + 1
    """
    axes = y.ndim - 2
    features, channels, *kernel = w.shape  # channels: those of one group
    stride, dilation, extra = (_each(v, axes) for v in (stride, dilation, output_padding))
    lows, highs = _lows_highs(padding, axes)
    sizes = tuple(
        (y.shape[2 + i] - 1) * stride[i] - lows[i] - highs[i]
        + dilation[i] * (kernel[i] - 1) + extra[i] + 1
        for i in range(axes)
    )  # fmt: skip
    x = np.zeros((y.shape[0], channels * groups, *sizes))
    for n, f, *window in np.ndindex(*y.shape):
        group = f // (features // groups)
        for c, *tap in np.ndindex(channels, *kernel):
            at = [window[i] * stride[i] + tap[i] * dilation[i] - lows[i] for i in range(axes)]
            if _inside(at, sizes):
                x[n, group * channels + c, *at] += y[n, f, *window] * w[f, c, *tap]
    if b is not None:
        for n, c, *at in np.ndindex(*x.shape):
            x[n, c, *at] += b[c]
    return x


def unfold(x, kernel, stride=1, padding=0, dilation=1):
    """x (N, C, *sizes) -> (N, C * prod(kernel), L): column l is window l, channel by channel."""
    kernel = _each(kernel, x.ndim - 2)
    counts, position = _windows(x.shape[2:], kernel, stride, padding, dilation)
    cols = np.zeros((x.shape[0], x.shape[1] * math.prod(kernel), math.prod(counts)))
    for n in range(x.shape[0]):
        for row, (c, *tap) in enumerate(np.ndindex(x.shape[1], *kernel)):
            for column, window in enumerate(np.ndindex(*counts)):
                at = position(window, tap)
                if _inside(at, x.shape[2:]):
                    cols[n, row, column] = x[n, c, *at]
    return cols


def fold(cols, output_size, kernel, stride=1, padding=0, dilation=1):
    """cols (N, C * prod(kernel), L) -> (N, C, *output_size): each entry added back where it was."""
    kernel = _each(kernel, len(output_size))
    counts, position = _windows(output_size, kernel, stride, padding, dilation)
    channels = cols.shape[1] // math.prod(kernel)
    x = np.zeros((cols.shape[0], channels, *output_size))
    for n in range(cols.shape[0]):
        for row, (c, *tap) in enumerate(np.ndindex(channels, *kernel)):
            for column, window in enumerate(np.ndindex(*counts)):
                at = position(window, tap)
                if _inside(at, output_size):
                    x[n, c, *at] += cols[n, row, column]
    return x


# ---- pooling ----


def max_pool(x, kernel, stride=None, padding=0, dilation=1):
    """x (N, C, *sizes) -> (values, indices), both (N, C, *counts); the first of equal maxima wins.

    An index counts row-major in the unpadded image of its channel. Padding never wins; a NaN does.
    """
    sizes = x.shape[2:]
    kernel = _each(kernel, len(sizes))
    stride = kernel if stride is None else stride
    counts, position = _windows(sizes, kernel, stride, padding, dilation)
    values = np.zeros((*x.shape[:2], *counts))
    indices = np.zeros((*x.shape[:2], *counts), dtype=np.int64)
    for n, c, *window in np.ndindex(*values.shape):
        best, best_at = None, None
        for tap in np.ndindex(*kernel):
            at = position(window, tap)
            if not _inside(at, sizes):
                continue
            if best is None or x[n, c, *at] > best or math.isnan(x[n, c, *at]):
                best, best_at = x[n, c, *at], at
        flat = 0
        for size, coordinate in zip(sizes, best_at, strict=True):
            flat = flat * size + coordinate
        values[n, c, *window] = best
        indices[n, c, *window] = flat
    return values, indices


def max_unpool(x, indices, output_size):
    """x, indices (N, C, *counts) -> (N, C, *output_size): each value added at its flat index."""
    y = np.zeros((*x.shape[:2], math.prod(output_size)))
    for n, c, *window in np.ndindex(*x.shape):
        y[n, c, indices[n, c, *window]] += x[n, c, *window]
    return y.reshape(*x.shape[:2], *output_size)


def avg_pool(x, kernel, stride=None, padding=0, count_include_pad=True):
    """x (N, C, *sizes) -> (N, C, *counts): window means, over the padding's zeros too or not."""
    sizes = x.shape[2:]
    kernel = _each(kernel, len(sizes))
    stride = kernel if stride is None else stride
    counts, position = _windows(sizes, kernel, stride, padding, 1)
    y = np.zeros((*x.shape[:2], *counts))
    for n, c, *window in np.ndindex(*y.shape):
        inside = [at for tap in np.ndindex(*kernel) if _inside(at := position(window, tap), sizes)]
        count = math.prod(kernel) if count_include_pad else len(inside)
        y[n, c, *window] = sum(x[n, c, *at] for at in inside) / count
    return y


# ---- normalisation, losses ----


def batch_norm(x, w, b, running_mean, running_var, training=True, momentum=0.1, eps=1e-5):
    """x (N, C, *sizes), the rest (C,) -> (y, running_mean, running_var), the inputs untouched.

    In training, y uses the batch's biased variance, the running variance takes the unbiased one.
    """
    y = np.zeros(x.shape)
    new_mean, new_var = np.array(running_mean, float), np.array(running_var, float)
    for c in range(x.shape[1]):
        mean, var = running_mean[c], running_var[c]
        if training:
            values = [float(v) for v in x[:, c].flat]
            mean = sum(values) / len(values)
            squares = sum((v - mean) ** 2 for v in values)
            var = squares / len(values)
            unbiased = squares / (len(values) - 1)
            new_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean
            new_var[c] = (1 - momentum) * running_var[c] + momentum * unbiased
        for n, *at in np.ndindex(x.shape[0], *x.shape[2:]):
            y[n, c, *at] = (x[n, c, *at] - mean) / math.sqrt(var + eps) * w[c] + b[c]
    return y, new_mean, new_var


def _logsumexp(values):
    top = max(values)
    if math.isinf(top):
        return top
    return top + math.log(sum(math.exp(v - top) for v in values))


def logsumexp(x, axis):
    """log(sum(exp(x))) along one axis, which goes."""
    x = np.moveaxis(x, axis, -1)
    y = np.zeros(x.shape[:-1])
    for at in np.ndindex(*y.shape):
        y[at] = _logsumexp([float(v) for v in x[at]])
    return y


def softmax(x, axis):
    """exp(x) / sum(exp(x)) along one axis."""
    x = np.moveaxis(x, axis, -1)
    y = np.zeros(x.shape)
    for *at, i in np.ndindex(*y.shape):
        y[*at, i] = math.exp(x[*at, i] - _logsumexp([float(v) for v in x[*at]]))
    return np.moveaxis(y, -1, axis)


def cross_entropy(x, target):
    """Scores x (N, C, *sizes), class indices target (N, *sizes) -> the mean of -log softmax."""
    losses = []
    for n, *at in np.ndindex(*target.shape):
        scores = [float(x[n, c, *at]) for c in range(x.shape[1])]
        losses.append(_logsumexp(scores) - scores[target[n, *at]])
    return sum(losses) / len(losses)


def bce_with_logits(x, target):
    """The mean of -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), without overflow."""
    losses = []
    for z, t in zip(x.flat, target.flat, strict=True):
        losses.append(max(z, 0.0) - z * t + math.log1p(math.exp(-abs(z))))
    return sum(losses) / len(losses)


def mse(x, target):
    """The mean squared difference."""
    return sum((a - t) ** 2 for a, t in zip(x.flat, target.flat, strict=True)) / x.size


def l1(x, target):
    """The mean absolute difference."""
    return sum(abs(a - t) for a, t in zip(x.flat, target.flat, strict=True)) / x.size


# ---- matrix product, optimisers ----


def matmul(a, b):
    """a (..., I, K) @ b (..., K, J), leading axes broadcast; a 1-d side is a row or a column."""
    rows = a.reshape(1, -1) if a.ndim == 1 else a
    columns = b.reshape(-1, 1) if b.ndim == 1 else b
    batch = np.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    y = np.zeros((*batch, rows.shape[-2], columns.shape[-1]))

    def own(lead, operand):  # an axis of length 1 is read at 0, a missing one not at all
        sizes = operand.shape[:-2]
        lead = lead[len(lead) - len(sizes) :]
        return [0 if size == 1 else i for i, size in zip(lead, sizes, strict=True)]

    for *lead, i, j in np.ndindex(*y.shape):
        for k in range(rows.shape[-1]):
            y[*lead, i, j] += rows[*own(lead, rows), i, k] * columns[*own(lead, columns), k, j]
    if a.ndim == 1:
        y = y.squeeze(-2)
    if b.ndim == 1:
        y = y.squeeze(-1)
    return y


def sgd_step(p, g, velocity, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    """One number's step -> (p, velocity); velocity is None before the first step."""
    g = g + weight_decay * p
    if momentum:
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        g = g + momentum * velocity if nesterov else velocity
    return p - lr * g, velocity


def adam_step(p, g, m, v, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """One number's step number t = 1, 2, ... -> (p, m, v), with L2 decay (not AdamW's)."""
    g = g + weight_decay * p
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g * g
    mean = m / (1 - betas[0] ** t)
    deviation = math.sqrt(v) / math.sqrt(1 - betas[1] ** t)
    return p - lr * mean / (deviation + eps), m, v


# ---- picture quality ----


def psnr(image, reference, data_range=1.0):
    """Peak signal-to-noise ratio in dB."""
    return 10 * math.log10(data_range**2 / mse(image, reference))


def ssim(image, reference, data_range=1.0, gaussian=False):
    """Mean structural similarity of two grey images (Wang et al. 2004, eq. 13, K = 0.01, 0.03).

    A 7 x 7 uniform window with sample covariances, or with `gaussian` an 11 x 11 one of sigma 1.5
    with plain ones as in the paper; only windows that lie inside the image.
    """
    width = 11 if gaussian else 7
    sigma, middle = 1.5, width // 2
    weights = {}
    for i, j in np.ndindex(width, width):
        distance2 = (i - middle) ** 2 + (j - middle) ** 2
        weights[i, j] = math.exp(-distance2 / (2 * sigma**2)) if gaussian else 1.0
    total = sum(weights.values())
    correction = 1.0 if gaussian else width**2 / (width**2 - 1)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    scores = []
    for top, left in np.ndindex(image.shape[0] - width + 1, image.shape[1] - width + 1):
        triples = [
            (weight / total, image[top + i, left + j], reference[top + i, left + j])
            for (i, j), weight in weights.items()
        ]
        mean_a = sum(p * a for p, a, _ in triples)
        mean_b = sum(p * b for p, _, b in triples)
        var_a = correction * sum(p * (a - mean_a) ** 2 for p, a, _ in triples)
        var_b = correction * sum(p * (b - mean_b) ** 2 for p, _, b in triples)
        cov = correction * sum(p * (a - mean_a) * (b - mean_b) for p, a, b in triples)
        scores.append(
            (2 * mean_a * mean_b + c1) * (2 * cov + c2)
            / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )  # fmt: skip
    return sum(scores) / len(scores)
