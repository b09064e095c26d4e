"""Undoing a blur: the classical methods of deconvolution, in plain NumPy.

An image is blurred by a convolution with a point spread function (psf): what becomes of one bright
pixel. Both are arrays with the same axes, any number of them, the psf no larger than the image; a
psf of shape (a, b, 1) blurs each colour of (H, W, 3) alike. Its centre is element n // 2 along each
axis. Borders are periodic: what leaves the image on one side comes back in on the other. For a
photograph, whose surroundings nobody knows, see `periodic`.

Every function but `transfer` returns a new array of the image's shape (`periodic`: a larger one),
in its units: float64 for float64 and integers of 32 bits or more, otherwise float32. A ValueError
refuses what is not an array of finite real numbers, and shapes that do not fit together. In the
formulas capital letters are spectra: H is `transfer`, Y the Fourier transform of the image.
"""

from operator import index

import numpy as np

SHRINK = 0.2  # of total_variation: what a step takes off the gradients, in spreads of the image


def transfer(psf, shape):
    """H, the factor by which the blur multiplies each wave in an image of this shape, complex.

    That is the discrete Fourier transform of the psf, padded with zeros, its centre moved to the
    first pixel. Frequencies come in the order of numpy.fft.fftfreq.
    """
    psf = _real("psf", psf)
    if psf.ndim != len(shape) or any(p > n for p, n in zip(psf.shape, shape)):
        raise ValueError(
            "expected a psf with as many axes as the image and no longer along any, "
            f"got shapes {psf.shape} and {tuple(shape)}"
        )
    centred = np.zeros(shape, psf.dtype)
    centred[tuple(map(slice, psf.shape))] = psf
    return np.fft.fftn(np.roll(centred, [-(n // 2) for n in psf.shape], range(psf.ndim)))


def blur(image, psf):
    """The convolution of an image with a psf, H Y:

        blurred[i] = sum over a of psf[a] * image[i + n // 2 - a]

    With the flip (the minus before a), unlike nn.functional.conv2d.
    """
    image, H = _prepared(image, psf)
    return _filtered(image, H)


def inverse_filter(image, psf, floor=0.0):
    """Divide each wave by what the blur multiplied it with, Y / H.

    floor: waves that the blur leaves no more than this part of the strongest are given up, and are
        0 in the result; at 0, the waves that it erases, to rounding

    Exact for all others where there is no noise. The noise of a wave grows by 1 / |H|.
    """
    _positive("floor", floor, zero=True)
    image, H = _prepared(image, psf)
    strength = np.abs(H)
    kept = strength > max(floor, _rounding(image, psf)) * strength.max()
    return _filtered(image, np.divide(1, H, where=kept, out=np.zeros_like(H)))


def wiener(image, psf, noise_to_signal):
    """The filter of least mean squared error, conj(H) Y / (|H|^2 + noise_to_signal).

    noise_to_signal: the power of the noise over that of the sharp image, at least 0: a number, or
        an array of the image's shape, one for each frequency, in the order of `transfer` and equal
        at opposite frequencies (as powers are); at 0 this is the inverse filter

    N. Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949.
    """
    image, H = _prepared(image, psf)
    ratio = _real("noise_to_signal", np.atleast_1d(noise_to_signal))
    if ratio.shape not in ((1,), image.shape) or ratio.min() < 0:
        raise ValueError(
            f"expected noise_to_signal as a number or an array of shape {image.shape}, nowhere "
            f"below 0, got shape {ratio.shape} and {ratio.min()}"
        )
    strength = np.abs(H)
    power = strength**2 + _half(ratio).astype(image.dtype)
    kept = power > (_rounding(image, psf) * strength.max()) ** 2
    return _filtered(image, np.divide(H.conj(), power, where=kept, out=np.zeros_like(H)))


def richardson_lucy(image, psf, iterations):
    """The likeliest image if the pixels are counts of photons (Poisson noise), step by step:

        x <- x * transposed blur of (image / blur of x) / sum(psf)

    It starts from a flat x. No pixel and no element of the psf may be negative; then neither is x,
    and its total is that of the image over that of the psf. More iterations sharpen more, the noise
    too: stopping early is part of the method.

    W. H. Richardson, J. Opt. Soc. America 62, 1972; L. B. Lucy, Astronomical Journal 79, 1974.
    """
    _count(iterations)
    image, H = _prepared(image, psf)
    total = _total(psf)
    for name, array in {"image": image, "psf": _real("psf", psf)}.items():
        if array.min() < 0:
            raise ValueError(
                f"Richardson-Lucy counts photons: expected no {name} below 0, got {array.min()}; "
                "np.clip?"
            )
    # A Fourier transform rounds: what should be a small positive number may come out negative.
    rounding = np.finfo(image.dtype)
    least = max(rounding.eps * image.max(), rounding.tiny)
    x = np.full_like(image, image.mean() / total)
    for _ in range(iterations):
        ratio = image / np.maximum(_filtered(x, H), least)
        x *= np.maximum(_filtered(ratio, H.conj()), 0) / total
    return x


def total_variation(image, psf, weight, iterations=100):
    """The x of least sum((blur of x - image)^2) / 2 + weight * TV(x), approached step by step.

    TV is the sum of the lengths of the gradient over all pixels; the gradient is the difference to
    the next pixel along each axis. A sharp edge costs no more than a soft one, a ripple costs much.

    weight: above 0, in units of the image

    The problem is that of Rudin, Osher and Fatemi (Physica D 60, 1992), with a blur. The algorithm
    is Goldstein and Osher's split Bregman (SIAM J. Imaging Sciences 2, 2009): give the gradient a
    copy d of its own. With d known, x is a division of spectra; with x known, d is its gradient
    with all lengths shrunk; and b remembers what the two still differ in.

    Every axis counts as one of space: give it one colour at a time.
    """
    _count(iterations)
    _positive("weight", weight)
    image, H = _prepared(image, psf)
    _total(psf)
    shrink = image.dtype.type(SHRINK * (image.std() or 1))  # the way there depends on it, not x
    tie = image.dtype.type(weight) / shrink
    waves = (4 * np.sin(np.pi * np.fft.fftfreq(n)) ** 2 for n in image.shape)
    power = np.abs(H) ** 2 + tie * _half(sum(np.ix_(*waves))).astype(image.dtype)
    seen = H.conj() * np.fft.rfftn(image)
    axes = range(image.ndim)
    d = b = np.zeros((image.ndim, *image.shape), image.dtype)
    x = image.copy()
    for _ in range(iterations):
        pull = sum(np.roll(part, 1, axis) - part for axis, part in enumerate(d - b))
        x = np.fft.irfftn((seen + tie * np.fft.rfftn(pull)) / power, image.shape, axes)
        b = b + [np.roll(x, -1, axis) - x for axis in axes]
        length = np.sqrt((b**2).sum(0))
        d = b * (1 - shrink / np.maximum(length, shrink))
        b = b - d
    return x


def periodic(image, margin):
    """A larger image that goes on without a jump where its end meets its beginning.

    Beyond the end of each axis come 2 * margin pixels, which fade from the mirror image of the end
    to that of the beginning. Restore it, then cut off what was added:

        wiener(periodic(image, margin), psf, ratio)[:height, :width]

    margin: in pixels, at least 0 and at most half the shortest side; half the psf's side or more

    Every axis counts as one of space: give it one colour at a time.
    """
    _count(margin, "margin")
    image = _real("image", image)
    if 2 * margin > min(image.shape):
        raise ValueError(
            f"expected a margin of at most half the shortest side, got {margin} for an image of "
            f"shape {image.shape}"
        )
    fade = (np.arange(2 * margin, dtype=image.dtype) + 0.5) / max(2 * margin, 1)
    for axis in range(image.ndim):
        lines = np.moveaxis(image, axis, -1)
        mirrored = lines[..., ::-1]
        end, beginning = mirrored[..., : 2 * margin], mirrored[..., lines.shape[-1] - 2 * margin :]
        lines = np.concatenate([lines, end + fade * (beginning - end)], axis=-1)
        image = np.moveaxis(lines, -1, axis)
    return image


def _half(spectrum):
    """What numpy.fft.rfftn keeps of a spectrum: that of a real image says everything twice."""
    return spectrum[..., : spectrum.shape[-1] // 2 + 1]


def _filtered(image, H):
    """The image with each wave multiplied by its factor, of half a spectrum."""
    return np.fft.irfftn(H * np.fft.rfftn(image), image.shape, range(image.ndim))


def _prepared(image, psf):
    """The image, and half of the transfer function, of the same precision."""
    image = _real("image", image)
    H = _half(transfer(psf, image.shape))
    return image, H.astype(np.result_type(image, np.complex64))


def _rounding(image, psf):
    """Where |H| is no more than this part of the strongest, it is 0, calculated inexactly."""
    return 8 * max(np.finfo(_real("psf", array).dtype).eps for array in (image, psf))


def _real(name, array):
    """The array as float32 or float64."""
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise ValueError(f"expected {name} of real numbers, got {array.dtype}")
    if array.size == 0 or array.ndim == 0:
        raise ValueError(f"expected {name} as an array of some size, got shape {array.shape}")
    if bad := np.count_nonzero(~np.isfinite(array)):
        raise ValueError(f"expected {name} finite, got {bad} of {array.size} infinite or NaN")
    return array.astype(np.result_type(array, np.float32), copy=False)


def _total(psf):
    """By how much the psf multiplies the brightness of the whole image."""
    psf = np.asarray(psf, np.float64)
    total = float(psf.sum())
    if abs(total) <= 1e-9 * np.abs(psf).sum():
        raise ValueError(f"expected a psf that lets brightness through, got one of sum {total:.3g}")
    return total


def _positive(name, number, zero=False):
    if not (0 < number < np.inf or (zero and number == 0)):
        raise ValueError(f"expected {name} {'at least' if zero else 'above'} 0, got {number}")


def _count(number, name="iterations"):
    if index(number) < 0:
        raise ValueError(f"expected {name} at least 0, got {number}")
