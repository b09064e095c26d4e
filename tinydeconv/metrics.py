"""Scores of images and of generators: arrays in, floats out, in plain NumPy and float64.

PSNR and SSIM say how near one image, of any number of axes, is to another. The others take many
samples, counted by the first axis, and the features or probabilities that the caller's classifier
gives for them. docs/scores.md says what each sees, and what it does not.
"""

import numpy as np

BLOCK = 2**22  # distances at a time, 32 MB


def psnr(a, b, data_range=1.0):
    """Peak signal-to-noise ratio in dB: 10 log10(data_range^2 / mean (a - b)^2); inf if equal."""
    a, b = _pair(a, b, data_range)
    mse = np.mean((a - b) ** 2)
    return float(10 * np.log10(data_range**2 / mse)) if mse else float("inf")


def ssim(a, b, data_range, gaussian_weights=False):
    """Mean structural similarity, at most 1 (Wang et al., IEEE Trans. Image Processing 13, 2004).

    Every window that lies inside the image counts once: 7 pixels wide, uniform, with the sample
    covariance (scikit-image's default); or, with `gaussian_weights`, the paper's: 11 pixels wide,
    sigma 1.5, with the population covariance. `data_range` is white minus black, 1 for images in
    [0, 1]; it has no default because a wrong one gives a plausible wrong answer.
    """
    a, b = _pair(a, b, data_range)
    if gaussian_weights:
        window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        unbias = 1.0
    else:
        window = np.ones(7)
        unbias = 7**a.ndim / (7**a.ndim - 1)
    if min(a.shape, default=0) < len(window):
        raise ValueError(
            f"SSIM looks through windows {len(window)} pixels wide, which do not fit "
            f"into an image of shape {a.shape}"
        )
    window /= window.sum()

    mean_a, mean_b = _local_mean(a, window), _local_mean(b, window)
    var_a = unbias * (_local_mean(a * a, window) - mean_a**2)
    var_b = unbias * (_local_mean(b * b, window) - mean_b**2)
    cov = unbias * (_local_mean(a * b, window) - mean_a * mean_b)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * cov + c2) / (var_a + var_b + c2)
    return float(np.mean(luminance * structure))  # eq. 13


def inception_score(probabilities, splits=1):
    """The inception score, from 1 to the number of classes, as (mean, standard deviation).

    exp of the mean KL divergence of p(y | x) from p(y) (Salimans et al. 2016), which is high if
    each sample is one class for sure and all classes occur. `probabilities` (samples, classes) are
    p(y | x), a softmax's. Mean and population standard deviation are over `splits` parts of
    consecutive samples, so samples in the order of their classes are to be shuffled; for one part
    the deviation is 0 and says nothing. With few samples in a part it is too low on average, and
    it is not comparable between classifiers.
    """
    p = _samples(np.asarray(probabilities, dtype=np.float64))
    if p.ndim != 2 or (p < 0).any() or not np.allclose(p.sum(axis=1), 1, rtol=0, atol=1e-3):
        raise ValueError(
            "expected probabilities (samples, classes), at least 0 and with the sum 1 for each "
            f"sample, as a softmax gives them, got {p.min():.4g} to {p.max():.4g}, shape {p.shape}"
        )
    if not 1 <= splits <= len(p) // 2:
        raise ValueError(f"expected two samples or more in each part, got {len(p)} in {splits}")
    scores = [
        # the mean divergence is the entropy of the mean less the mean of the entropies
        np.exp(_entropy(part.mean(axis=0)) - _entropy(part).mean())
        for part in np.array_split(p, splits)
    ]
    return float(np.mean(scores)), float(np.std(scores))


def frechet_distance(features_a, features_b):
    """The squared Frechet distance of two sets of features, (samples, features) each; 0 if equal.

    The distance of the normal distributions with the sets' means m and unbiased covariances C,
    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) (Dowson and Landau 1982); with features of the
    Inception network it is the FID (Heusel et al. 2017). Two halves of one set have a distance
    above 0, the more so the fewer samples: compare only scores of equally many.
    """
    a, b = _samples(features_a), _samples(features_b)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"expected features of one shape, got {a.shape} and {b.shape}")
    mean_a, root_a = _moments(a)
    mean_b, root_b = _moments(b)
    if len(root_a) < len(root_b):
        root_a, root_b = root_b, root_a
    # The trace of (C_a C_b)^(1/2) is the sum of the singular values of root_a root_b^T, so the
    # trace above is |root_a - Q root_b|^2 with the best rotation Q (orthogonal Procrustes). A sum
    # of squares is never negative, and no covariance need be invertible.
    left, _, right = np.linalg.svd(root_a @ root_b.T, full_matrices=False)
    rest = root_a - left @ (right @ root_b)
    return float(np.sum((mean_a - mean_b) ** 2) + np.sum(rest**2))


def mode_coverage(labels, classes):
    """How evenly `labels` fall on 0 ... classes - 1, as (entropy over its maximum, classes seen).

    The entropy over log(classes) is 1 if all classes are equally frequent, 0 if there is but one;
    n samples lower it by about (classes - 1) / (2 n log(classes)). Labels, not mean probabilities:
    a classifier that is unsure of everything would look like a generator of everything.
    """
    if classes < 2:
        raise ValueError(f"expected 2 classes or more, got {classes}")
    frequencies = np.bincount(_labels(labels, classes)) / len(labels)
    return float(_entropy(frequencies) / np.log(classes)), np.count_nonzero(frequencies)


def class_agreement(asked, predicted):
    """The share of samples that a classifier reads as the class that was asked for."""
    asked, predicted = np.asarray(asked), np.asarray(predicted)
    if asked.ndim != 1 or asked.shape != predicted.shape or asked.size == 0:
        raise ValueError(f"expected two lists of labels, got {asked.shape} and {predicted.shape}")
    return float(np.mean(asked == predicted))


def pairwise_distance(samples, labels, classes):
    """Mean Euclidean distance of two different samples of one class: an array (classes,).

    `samples` (n, ...) are images or features, with `labels` (n,). A class of fewer than two samples
    shows no variety and gets 0, as one picture many times does. Compare with the data's. k pictures
    many times in a class still get about 1 - 1 / k of it: this alone does not prove that nothing is
    memorised.
    """
    samples, labels = _samples(samples), _labels(labels, classes)
    if len(labels) != len(samples):
        raise ValueError(f"expected a label a sample, got {len(labels)} for {len(samples)}")
    means = np.zeros(classes)
    for c in range(classes):
        x = _flat(samples[labels == c])
        total = 0.0
        for start, stop in _blocks(len(x), len(x)):
            squared = _squared_distances(x[start:stop], x)
            np.fill_diagonal(squared[:, start:], 0)  # each to itself
            total += np.sqrt(squared).sum()
        means[c] = total / max(len(x) * (len(x) - 1), 1)
    return means


def nearest_distance(samples, training):
    """Euclidean distance of each sample to the nearest training image, and that one's index.

    `samples` (n, ...) and `training` (m, ...) in the same units; two arrays (n,). A copy has the
    distance 0 exactly. What counts as near is told by the distances of held-out images.
    """
    samples, training = _samples(samples, 1), _samples(training, 1)
    if samples.shape[1:] != training.shape[1:]:
        raise ValueError(f"expected images of one shape, got {samples.shape} and {training.shape}")
    x = _flat(samples)
    distances, nearest = np.full(len(x), np.inf), np.zeros(len(x), dtype=np.int64)
    for start, stop in _blocks(len(training), max(x.shape)):
        squared = _squared_distances(x, _flat(training[start:stop]))
        index = squared.argmin(axis=1)
        squared = squared[np.arange(len(x)), index]
        nearest = np.where(squared < distances, start + index, nearest)
        distances = np.minimum(squared, distances)
    for start, stop in _blocks(len(x), x.shape[1]):  # again, without the products' rounding
        difference = x[start:stop] - _flat(training[nearest[start:stop]])
        distances[start:stop] = np.linalg.norm(difference, axis=1)
    return distances, nearest


def _pair(a, b, data_range):
    """Both images as float64, of one shape."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.size == 0:
        raise ValueError(f"expected two images of one shape, got {a.shape} and {b.shape}")
    if not 0 < data_range < np.inf:
        raise ValueError(f"data_range is white minus black, a positive number, got {data_range}")
    return a, b


def _local_mean(image, window):
    """The mean under a separable window, wherever it lies inside the image."""
    for axis in range(image.ndim):
        views = np.lib.stride_tricks.sliding_window_view(image, len(window), axis)
        image = views @ window
    return image


def _samples(samples, least=2):
    """An array (n, ...) of at least so many samples, all finite."""
    samples = np.asarray(samples)
    if samples.ndim < 2 or len(samples) < least or samples.size == 0:
        raise ValueError(f"expected {least} samples (n, ...) or more, got shape {samples.shape}")
    if bad := samples.size - np.count_nonzero(np.isfinite(samples)):
        raise ValueError(f"expected finite numbers, got {bad} of {samples.size} infinite or NaN")
    return samples


def _labels(labels, classes):
    """An array (n,) of whole numbers from 0 to classes - 1."""
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ValueError(f"expected integer labels (n,), got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}"
        )
    return labels.astype(np.int64)


def _flat(samples):
    """A float64 copy (n, numbers of a sample)."""
    return samples.astype(np.float64).reshape(len(samples), int(np.prod(samples.shape[1:])))


def _entropy(p):
    """Along the last axis, in nats; 0 log 0 is 0."""
    return 0.0 - np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def _moments(samples):
    """The mean, and a root (at most n rows) of the unbiased covariance: root^T root."""
    x = _flat(samples)
    mean = x.mean(axis=0)
    x -= mean
    return mean, np.linalg.qr(x, mode="r") / np.sqrt(len(x) - 1)


def _blocks(rows, columns):
    """Slices of `rows`, so that a block of so many columns has at most BLOCK numbers."""
    step = max(1, BLOCK // max(columns, 1))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def _squared_distances(a, b):
    """Of each row of a to each row of b, up to rounding; exactly 0 if all rows are equal."""
    a, b = a - a[:1], b - a[:1]  # a distance keeps more digits near the origin
    squares = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1)
    return np.maximum(squares - 2 * (a @ b.T), 0)
