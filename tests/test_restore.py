"""The classical methods of deconvolution, against scikit-image, SciPy and their own promises."""

import numpy as np
import pytest
from refusals import refused
from scipy import ndimage
from skimage.restoration import denoise_tv_chambolle
from skimage.restoration import richardson_lucy as skimage_richardson_lucy
from skimage.restoration import wiener as skimage_wiener

import tinydeconv as td
from tinydeconv import restore
from tinydeconv.restore import (
    blur,
    inverse_filter,
    periodic,
    richardson_lucy,
    total_variation,
    transfer,
    wiener,
)

rng = np.random.default_rng(0)
SHAPES = [  # of an image and a psf
    ((17,), (4,)),
    ((9, 12), (3, 5)),
    ((12, 9), (4, 6)),
    ((8, 7), (8, 7)),
    ((5, 6, 7), (3, 2, 3)),
]
METHODS = {  # what restores, with arguments that do some work
    "inverse_filter": lambda image, psf: inverse_filter(image, psf, 0.01),
    "wiener": lambda image, psf: wiener(image, psf, 0.01),
    "richardson_lucy": lambda image, psf: richardson_lucy(image, psf, 20),
    "total_variation": lambda image, psf: total_variation(image, psf, 0.01, 50),
}


def random_psf(shape):
    """Positive, not symmetric, of sum 1."""
    psf = rng.random(shape)
    return psf / psf.sum()


@pytest.mark.parametrize(("shape", "taps"), SHAPES)
def test_blur_is_a_convolution_with_the_flip(shape, taps):
    image, psf = rng.random(shape), rng.standard_normal(taps)
    expected = np.zeros(shape)
    for i in np.ndindex(shape):
        for a in np.ndindex(taps):
            j = tuple((i + k // 2 - a) % n for i, k, a, n in zip(i, taps, a, shape))
            expected[i] += psf[a] * image[j]
    np.testing.assert_allclose(blur(image, psf), expected, atol=1e-12)
    np.testing.assert_allclose(blur(image, psf), ndimage.convolve(image, psf, mode="wrap"))


def test_a_bright_pixel_becomes_the_psf():
    dot, psf = np.zeros((9, 8)), rng.random((3, 4))
    dot[4, 5] = 1
    np.testing.assert_allclose(blur(dot, psf)[3:6, 3:7], psf, atol=1e-15)


def test_the_transposed_blur_is_that_of_the_flipped_psf():
    image, psf, other = rng.random((9, 12)), rng.standard_normal((3, 5)), rng.random((9, 12))
    there, back = np.vdot(blur(image, psf), other), np.vdot(image, blur(other, psf[::-1, ::-1]))
    assert there == pytest.approx(back, rel=1e-12)
    H = transfer(psf, image.shape)
    np.testing.assert_allclose(transfer(psf[::-1, ::-1], image.shape), H.conj(), atol=1e-12)


@pytest.mark.parametrize(("shape", "taps"), SHAPES)
def test_transfer_is_what_happens_to_a_wave(shape, taps):
    """A wave comes out as a wave, H times as strong: its real and imaginary part, each."""
    psf = rng.standard_normal(taps)
    H = transfer(psf, shape)
    assert H.shape == shape and H.dtype == np.complex128
    for frequency in rng.integers(shape, size=(5, len(shape))):
        turns = sum(k * i / n for k, i, n in zip(frequency, np.indices(shape), shape))
        wave = np.exp(2j * np.pi * turns)
        seen = blur(wave.real, psf) + 1j * blur(wave.imag, psf)
        np.testing.assert_allclose(seen, H[tuple(frequency)] * wave, atol=1e-12)


@pytest.mark.parametrize(("shape", "taps"), SHAPES)
def test_the_inverse_filter_is_exact_without_noise(shape, taps):
    image, psf = rng.standard_normal(shape), random_psf(taps)
    psf[tuple(k // 2 for k in taps)] += 1.5  # more than all others together: |H| >= 0.5
    np.testing.assert_allclose(inverse_filter(blur(image, psf), psf), image, atol=1e-12)
    np.testing.assert_allclose(wiener(blur(image, psf), psf, 0), image, atol=1e-12)


def test_the_inverse_filter_gives_up_what_is_lost():
    """The mean of two neighbours erases the fastest wave, which nothing can bring back."""
    image, psf = rng.random(8), np.array([0.5, 0.5])
    fastest = (-1.0) ** np.arange(8)
    lost = image - fastest * (image @ fastest) / 8
    for restored in (inverse_filter(blur(image, psf), psf), wiener(blur(image, psf), psf, 0)):
        np.testing.assert_allclose(restored, lost, atol=1e-12)
    # |H| is cos(pi f): 1, 0.92, 0.71, 0.38, 0. Above one half there are the first three.
    spectrum = np.fft.rfft(inverse_filter(blur(image, psf), psf, 0.5))
    expected = np.fft.rfft(image) * [1, 1, 1, 0, 0]
    np.testing.assert_allclose(spectrum, expected, atol=1e-12)
    darker = inverse_filter(blur(image, 0.1 * psf), 0.1 * psf, 0.5)
    np.testing.assert_allclose(np.fft.rfft(darker), expected, atol=1e-12)


@pytest.mark.parametrize("side", [70, 210])
@pytest.mark.parametrize("psf", [np.full((7, 7), 1 / 49), np.full((1, 7), 1 / 7), np.ones((4, 5))])
@pytest.mark.parametrize("precisions", [("f8", "f8"), ("f4", "f8"), ("f4", "f4"), ("f8", "f4")])
def test_what_is_erased_to_rounding_is_given_up(side, psf, precisions):
    """H is then about 1e-17, not 0: to divide by it would fill the picture with its rounding."""
    image = rng.random((side, side))
    erased = np.abs(transfer(psf, image.shape)) < 1e-12 * psf.sum()
    assert erased.any()
    expected = np.fft.ifft2(np.fft.fft2(image) * ~erased).real
    of_image, of_psf = precisions
    seen = blur(image, psf).astype(of_image)
    tolerance = 1e-3 if "f4" in precisions else 1e-9  # much is 1 / |H| of the weakest that is kept
    for method in (inverse_filter, wiener):
        restored = method(seen, psf.astype(of_psf), 0)
        assert restored.dtype == of_image
        np.testing.assert_allclose(restored, expected, atol=tolerance)


@pytest.mark.parametrize(("shape", "taps"), [s for s in SHAPES if s[0] != s[1]])
def test_wiener_is_scikit_images(shape, taps):
    """Whose ratio is a number times the power of the Laplacian."""
    image, psf = rng.random(shape), random_psf(taps)
    dot = np.zeros([3] * len(shape))
    dot[(1,) * len(shape)] = 1
    laplacian = ndimage.laplace(dot, mode="constant")
    ratio = 0.1 * np.abs(transfer(laplacian, shape)) ** 2
    expected = skimage_wiener(image, psf, 0.1, clip=False)
    np.testing.assert_allclose(wiener(image, psf, ratio), expected, atol=1e-12)


def test_no_other_filter_has_less_error_than_wieners():
    """With the right ratio of powers, over many images and much noise, wave by wave."""
    shape, psf = (8, 9), random_psf((3, 3))
    power = np.fft.fft2(blur(np.eye(8, 9), random_psf((5, 5))))  # of the images: any will do
    power = np.abs(power) ** 2 + 0.1
    errors = {"right": 0, "stronger": 0, "weaker": 0}
    for _ in range(200):
        white, noise = rng.standard_normal((2, *shape))
        image = np.fft.ifft2(np.sqrt(power) * np.fft.fft2(white)).real
        seen = blur(image, psf) + 0.3 * noise
        for name, factor in zip(errors, (1, 2, 0.5)):
            errors[name] += ((wiener(seen, psf, factor * 0.3**2 / power) - image) ** 2).sum()
    assert errors["right"] < min(errors["stronger"], errors["weaker"])


@pytest.mark.parametrize("iterations", [1, 2, 20])
@pytest.mark.parametrize(
    ("shape", "taps"), [((30,), (3,)), ((20, 21), (3, 5)), ((9, 9, 9), (3, 3, 1))]
)
def test_richardson_lucy_is_scikit_images(shape, taps, iterations):
    """Where black margins make its borders, zeros, the same as ours."""
    inside = tuple(slice(k // 2, n - k // 2) for n, k in zip(shape, taps))
    image, psf = np.zeros(shape), random_psf(taps)
    image[inside] = rng.random(image[inside].shape)
    expected = skimage_richardson_lucy(image, psf, iterations, clip=False)
    np.testing.assert_allclose(richardson_lucy(image, psf, iterations), expected, atol=1e-9)


@pytest.mark.parametrize("total", [1, 2.5])
def test_richardson_lucy_keeps_what_it_promises(total):
    """Never negative, as much light as there was, and likelier with each step."""
    image, psf = np.zeros((16, 17)), total * random_psf((4, 5))
    image[3:9, 4:8] = 200
    seen = rng.poisson(np.maximum(blur(image, psf), 0)).astype(float)
    likelihood = []
    for iterations in range(12):
        x = richardson_lucy(seen, psf, iterations)
        assert x.min() >= 0 and x.sum() * total == pytest.approx(seen.sum(), rel=1e-9)
        expected = np.maximum(blur(x, psf), 1e-12)
        likelihood.append((seen * np.log(expected) - expected).sum())
    assert all(after > before for before, after in zip(likelihood, likelihood[1:]))


def test_richardson_lucy_of_darkness_is_dark():
    assert not richardson_lucy(np.zeros((4, 4)), random_psf((3, 3)), 5).any()


def objective(x, image, psf, weight):
    gradient = [np.roll(x, -1, axis) - x for axis in range(x.ndim)]
    smooth = np.sqrt(np.sum(np.square(gradient), axis=0)).sum()
    return ((blur(x, psf) - image) ** 2).sum() / 2 + weight * smooth


@pytest.mark.parametrize("weight", [0.02, 0.2])
def test_total_variation_without_a_blur_is_scikit_images(weight):
    """Chambolle's algorithm; flat margins make its borders the same as ours."""
    image = np.zeros((14, 15))
    image[4:9, 5:11] = rng.random((5, 6))
    expected = denoise_tv_chambolle(image, weight, eps=0, max_num_iter=20_000)
    found = total_variation(image, np.ones((1, 1)), weight, 1000)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("shape", "taps"), SHAPES)
@pytest.mark.parametrize("weight", [0.01, 0.3])
def test_total_variation_finds_the_minimum(shape, taps, weight):
    """It meets a bound that no x can be below, and what differs from it is worse."""
    image, psf = rng.random(shape), random_psf(taps)
    psf[tuple(k // 2 for k in taps)] += 1  # the quadratic shall have a minimum that is well defined
    x = total_variation(image, psf, weight, 3000)
    lowest = objective(x, image, psf, weight)
    assert lower_bound(image, psf, weight) == pytest.approx(lowest, rel=1e-5)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(20):
            other = x + size * rng.standard_normal(shape)
            assert objective(other, image, psf, weight) > lowest
    for other in (x + 1e-3, x * 1.001, 0.999 * x + 0.001 * image):
        assert objective(other, image, psf, weight) > lowest


def lower_bound(image, psf, weight):
    """A number that the objective is nowhere below.

    weight * TV(x) is at least <gradient of x, q>, for any field q of vectors no longer than weight.
    With that in its place the minimum is known, at x = A^-1 (H'y - D'q), where A is H'H and D the
    gradient. The best q, by accelerated projected gradients (Beck and Teboulle 2009).
    """
    H = transfer(psf, image.shape)
    A = np.abs(H) ** 2
    back = np.fft.ifftn(H.conj() * np.fft.fftn(image)).real

    def minimiser(q):
        transposed = sum(np.roll(part, 1, axis) - part for axis, part in enumerate(q))
        return np.fft.ifftn(np.fft.fftn(back - transposed) / A).real

    def gradient(x):
        return np.stack([np.roll(x, -1, axis) - x for axis in range(x.ndim)])

    step = A.min() / (4 * image.ndim)
    q = momentum = np.zeros((image.ndim, *image.shape))
    t = 1
    for _ in range(4000):
        new = momentum + step * gradient(minimiser(momentum))
        new /= np.maximum(1, np.sqrt((new**2).sum(0)) / weight)
        later = (1 + np.sqrt(1 + 4 * t**2)) / 2
        momentum = new + (t - 1) / later * (new - q)
        q, t = new, later
    x = minimiser(q)
    return ((blur(x, psf) - image) ** 2).sum() / 2 + (gradient(x) * q).sum()


def test_total_variation_of_a_flat_image_is_flat():
    for level in (0, 0.3, 0.5):
        flat = np.full((6, 7), level)
        found = total_variation(flat, random_psf((3, 3)), 0.1)
        np.testing.assert_allclose(found, flat, atol=1e-12)


def test_total_variation_does_not_depend_on_the_unit():
    image, psf = rng.random((12, 13)), random_psf((3, 3))
    small, large = (total_variation(s * image, psf, s * 0.05, 20) / s for s in (1, 255))
    np.testing.assert_allclose(small, large, atol=1e-12)


@pytest.mark.parametrize("shape", [(11,), (8, 11), (5, 6, 7)])
def test_periodic_goes_on_without_a_jump(shape):
    image = np.cumsum(rng.random(shape), axis=-1)  # ends far above where it began
    for margin in (0, 1, min(shape) // 2):
        larger = periodic(image, margin)
        assert larger.shape == tuple(n + 2 * margin for n in shape)
        assert np.array_equal(larger[tuple(map(slice, shape))], image)
    line = periodic(np.array([1.0, 2, 3, 4, 5, 6]), 2)
    # beyond the end 6 5 4 3, before the beginning 4 3 2 1, and the weights are 1/8 3/8 5/8 7/8
    np.testing.assert_allclose(line, [1, 2, 3, 4, 5, 6, 5.75, 4.25, 2.75, 1.25])
    np.testing.assert_allclose(periodic(image.T, 2), periodic(image, 2).T)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("shape", "taps"), SHAPES)
def test_each_method_sharpens(name, shape, taps):
    """Nearer to the sharp image than what it was given, where there is no noise."""
    image, psf = np.ones(shape), random_psf(taps)
    image[tuple(slice(n // 4, 3 * n // 4) for n in shape)] = 2
    psf[tuple(k // 2 for k in taps)] += 0.5
    psf /= psf.sum()
    seen = blur(image, psf)
    restored = METHODS[name](seen, psf)
    assert restored.shape == shape
    assert ((restored - image) ** 2).sum() < 0.9 * ((seen - image) ** 2).sum()


@pytest.mark.parametrize("name", [*METHODS, "blur", "periodic"])
def test_precision_is_kept_and_inputs_are_left_alone(name):
    works = {**METHODS, "blur": blur, "periodic": lambda image, psf: periodic(image, 3)}
    exact = rng.random((12, 13))
    psf = random_psf((3, 5))
    psf[1, 2] += 1
    expected = works[name](exact, psf)
    types = {"float32": "float32", "float16": "float32", "float64": "float64", "int64": "float64"}
    for given, kept in {**types, "uint8": "float32", "bool": "float32"}.items():
        image = (exact * (100 if "int" in given else 1)).astype(given)
        before, psf_before = image.copy(), psf.copy()
        image.setflags(write=False)
        result = works[name](image, psf)
        assert type(result) is np.ndarray and result.dtype == kept
        assert not np.shares_memory(result, image)
        assert np.array_equal(image, before) and np.array_equal(psf, psf_before)
        if given == "float32":
            np.testing.assert_allclose(result, expected, atol=1e-4)
        # neither the psf's precision nor a layout in memory, nor a Tensor, makes another thing
        assert works[name](image, psf.astype(np.float32)).dtype == kept
        other = works[name](np.asfortranarray(image), psf)
        np.testing.assert_allclose(other, result, atol=1e-5 * abs(result).max())
    assert type(works[name](td.tensor(exact), psf)) is np.ndarray


BAD = [  # image, psf, and words of the sentence
    (np.zeros((4, 5)), np.ones((5, 5)), ("(5, 5)", "(4, 5)")),
    (np.zeros((4, 5)), np.ones(3), ("(3,)", "(4, 5)")),
    (np.zeros((4, 5)), np.ones((3, 0)), ("psf", "(3, 0)")),
    (np.zeros((4, 0)), np.ones((1, 0)), ("image", "(4, 0)")),
    (np.array([[1, np.nan], [1, np.inf]]), np.ones((1, 1)), ("image", 2, 4)),
    (np.zeros((4, 5)), np.array([[np.inf]]), ("psf", 1)),
    (np.zeros((4, 5), complex), np.ones((1, 1)), ("image", "complex128")),
    (np.zeros((4, 5)), [["a"]], ("psf", "<U1")),
]


@pytest.mark.parametrize(("image", "psf", "words"), BAD)
@pytest.mark.parametrize("name", [*METHODS, "blur"])
def test_bad_images_are_refused(name, image, psf, words):
    with refused(ValueError, *words):
        (METHODS | {"blur": blur})[name](image, psf)


def test_bad_numbers_are_refused():
    image, psf = np.ones((6, 8)), np.ones((3, 3))
    for number in (-1, np.nan, np.inf):
        with refused(ValueError, "floor", number):
            inverse_filter(image, psf, number)
        with refused(ValueError, "weight", number):
            total_variation(image, psf, number)
        with refused(ValueError, "noise_to_signal"):
            wiener(image, psf, number)
    with refused(ValueError, "weight", 0):
        total_variation(image, psf, 0)
    with refused(ValueError, "noise_to_signal", "(6, 8)", "(6, 5)"):
        wiener(image, psf, np.ones((6, 5)))
    with refused(ValueError, "noise_to_signal", "(6, 8)", -0.5):
        wiener(image, psf, np.full((6, 8), -0.5))
    for method in (richardson_lucy, lambda *args: total_variation(*args[:2], 1, args[2])):
        with refused(ValueError, "iterations", -1):
            method(image, psf, -1)
        with refused(TypeError, "'float'"):
            method(image, psf, 2.5)
        with refused(ValueError, "psf", "sum", 0):
            method(image, np.array([[1.0, -1.0]]), 3)
    with refused(ValueError, "image", -0.25):
        richardson_lucy(image - 1.25, psf, 3)
    with refused(ValueError, "psf", -1.0):
        richardson_lucy(image, psf - [[0, 0, 2]], 3)
    with refused(ValueError, 4, "(6, 8)"):
        periodic(image, 4)
    with refused(ValueError, "margin", -1):
        periodic(image, -1)
    with refused(ValueError, "image", "()"):
        periodic(3.0, 0)


def test_no_steps_change_nothing():
    image, psf = rng.random((5, 6)), random_psf((3, 3))
    np.testing.assert_allclose(richardson_lucy(image, psf, 0), image.mean())
    np.testing.assert_array_equal(total_variation(image, psf, 0.1, 0), image)


def test_the_room_is_numpy_alone():
    assert not hasattr(restore, "td") and restore.np is np
