"""How near one image is to another: PSNR and SSIM, in plain NumPy.

Both take images of any number of axes, compute in float64 and return a float.
"""

import numpy as np


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
