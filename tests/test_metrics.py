"""The scores against scikit-image, SciPy, scikit-learn, loops, and values worked out by hand."""

import math
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused
from scipy.linalg import sqrtm
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import pairwise_distances, pairwise_distances_argmin_min

from tinydeconv import metrics
from tinydeconv.data import SIGMA, add_noise, photograph
from tinydeconv.metrics import (
    class_agreement,
    frechet_distance,
    inception_score,
    mode_coverage,
    nearest_distance,
    pairwise_distance,
    psnr,
    ssim,
)

rng = np.random.default_rng(0)
WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}  # the paper's


def pair(shape, data_range):
    """Two images that are alike, but not very."""
    a = rng.random(shape) * data_range
    return a, a + 0.2 * data_range * rng.standard_normal(shape)


PAIRS = {
    "2-d": (pair((24, 37), 1.0), 1.0),
    "bytes": (pair((24, 37), 255.0), 255.0),
    "barely larger than the window": (pair((11, 12), 1.0), 1.0),
    "1-d": (pair((50,), 1.0), 1.0),
    "3-d": (pair((12, 13, 14), 2.0), 2.0),
    "unlike": ((rng.random((20, 20)), 1 - rng.random((20, 20))), 1.0),
    "transposed in memory": ((pair((30, 20), 1.0)[0].T, pair((20, 30), 1.0)[0]), 1.0),
}


@pytest.mark.parametrize("name", PAIRS)
def test_equal_to_scikit_image(name):
    (a, b), data_range = PAIRS[name]
    expected = peak_signal_noise_ratio(a, b, data_range=data_range)
    assert psnr(a, b, data_range) == pytest.approx(expected, abs=1e-9)
    for gaussian, settings in [(False, {}), (True, WANG)]:
        expected = structural_similarity(a, b, data_range=data_range, **settings)
        assert ssim(a, b, data_range, gaussian_weights=gaussian) == pytest.approx(
            expected, abs=1e-9
        )


@pytest.mark.parametrize("name", ["camera", "astronaut"])
def test_equal_to_scikit_image_on_photographs(name):
    clean = photograph(name)
    noisy = add_noise(clean, SIGMA, np.random.default_rng(0))
    expected = peak_signal_noise_ratio(clean, noisy, data_range=1)
    assert psnr(clean, noisy) == pytest.approx(expected, abs=1e-6)
    for gaussian, settings in [(False, {}), (True, WANG)]:
        expected = structural_similarity(clean, noisy, data_range=1, **settings)
        assert ssim(clean, noisy, 1, gaussian_weights=gaussian) == pytest.approx(expected, abs=1e-6)


def test_the_two_forms_of_ssim_differ():
    (a, b), data_range = PAIRS["2-d"]
    assert abs(ssim(a, b, data_range) - ssim(a, b, data_range, gaussian_weights=True)) > 1e-3


def test_psnr_by_hand():
    black = np.zeros((4, 5), dtype=np.uint8)
    assert psnr(black, black + 0.1) == pytest.approx(20, abs=1e-12)
    assert psnr(black, black + np.uint8(255), 255) == 0
    assert psnr(black, black) == math.inf


@pytest.mark.parametrize("gaussian", [False, True])
def test_ssim_by_hand(gaussian):
    """Constant images have no structure; what is left is the luminance term of eq. 6."""
    a, b = np.full((16, 16), 0.3), np.full((16, 16), 0.6)
    expected = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    assert ssim(a, b, 1, gaussian_weights=gaussian) == pytest.approx(expected, abs=1e-9)
    assert ssim(a, a, 1, gaussian_weights=gaussian) == pytest.approx(1, abs=1e-12)


def test_bytes_do_not_wrap_around():
    a = rng.integers(256, size=(20, 20), dtype=np.uint8)
    b = rng.integers(256, size=(20, 20), dtype=np.uint8)
    for metric in (psnr, ssim):
        expected = metric(a.astype(float), b.astype(float), 255)
        assert metric(a, b, 255) == metric(a, b.astype(float), 255) == expected
        assert metric(a.astype(float), b, 255) == expected


def test_inputs_are_left_alone():
    (a, b), data_range = PAIRS["2-d"]
    before = a.copy(), b.copy()
    psnr(a, b, data_range)
    ssim(a, b, data_range)
    assert np.array_equal(a, before[0]) and np.array_equal(b, before[1])


def test_bad_input():
    image = np.zeros((8, 9))
    with refused(ValueError, "(8, 9)", "(9, 8)"):
        psnr(image, image.T)
    with refused(ValueError, "(8, 9)", "(8, 9, 1)"):
        ssim(image, image[..., None], 1)
    with refused(ValueError, "(0, 9)"):
        psnr(image[:0], image[:0])
    with refused(ValueError, 11, "(8, 9)"):
        ssim(image, image, 1, gaussian_weights=True)
    with refused(ValueError, 7, "(6, 9)"):
        ssim(image[:6], image[:6], 1)
    for data_range in (0, -1, math.nan, math.inf):
        with refused(ValueError, "data_range", data_range):
            ssim(image, image, data_range)
    with pytest.raises(TypeError, match="data_range"):
        ssim(image, image)


# ---------------------------------------------------------------- inception score


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def score_in_loops(probabilities):
    """The inception score from its definition, one logarithm at a time."""
    n, classes = probabilities.shape
    marginal = [sum(float(probabilities[i, c]) for i in range(n)) / n for c in range(classes)]
    divergence = 0.0
    for row in probabilities:
        for p, q in zip(map(float, row), marginal):
            divergence += p * math.log(p / q) / n if p else 0
    return math.exp(divergence)


@pytest.mark.parametrize("sharpness", [0.1, 1, 10, 1000])  # the last has exact zeros
def test_inception_score_is_its_definition(sharpness):
    p = softmax(sharpness * rng.standard_normal((103, 7)))
    parts = [score_in_loops(part) for part in (p[:35], p[35:69], p[69:])]
    assert inception_score(p) == pytest.approx((score_in_loops(p), 0), rel=1e-12)
    assert inception_score(p, splits=3) == pytest.approx((np.mean(parts), np.std(parts)), rel=1e-9)
    assert all(type(value) is float for value in inception_score(p, splits=3))


def test_inception_score_by_hand():
    ten = np.eye(10)[np.arange(200) % 10]
    assert inception_score(ten)[0] == pytest.approx(10, rel=1e-12)
    assert inception_score(np.full((50, 10), 0.1))[0] == pytest.approx(1, rel=1e-12)  # unsure
    assert inception_score(np.eye(10)[np.full(50, 3)])[0] == pytest.approx(1, rel=1e-12)  # one mode
    assert inception_score(np.eye(10)[np.arange(50) % 2])[0] == pytest.approx(2, rel=1e-12)
    two = np.array([[1, 0], [0.5, 0.5]])  # divergences log 4/3 and half of it
    assert inception_score(two)[0] == pytest.approx((4 / 3) ** 0.75, rel=1e-12)


def test_parts_are_of_consecutive_samples():
    by_class = np.eye(10)[np.repeat(np.arange(10), 20)]
    assert inception_score(by_class, splits=10) == pytest.approx((1, 0), abs=1e-12)
    shuffled = rng.permutation(by_class)
    assert inception_score(shuffled, splits=10)[0] > 5


def test_probabilities_in_low_precision():
    p = softmax(3 * rng.standard_normal((500, 10)))
    for dtype, tolerance in [(np.float32, 1e-6), (np.float16, 1e-2)]:
        low = p.astype(dtype)
        assert inception_score(low) == pytest.approx(inception_score(p), rel=tolerance)
        assert inception_score(low) == inception_score(low.astype(np.float64))


@given(st.integers(2, 40), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_inception_score_knows_no_order_and_its_bounds(n, classes, seed):
    generator = np.random.default_rng(seed)
    p = softmax(generator.choice([0.1, 3, 100]) * generator.standard_normal((n, classes)))
    score, _ = inception_score(p)
    assert 1 - 1e-12 <= score <= min(n, classes) + 1e-9
    assert inception_score(generator.permutation(p))[0] == pytest.approx(score, rel=1e-12)
    assert inception_score(generator.permutation(p.T).T)[0] == pytest.approx(score, rel=1e-12)


def test_bad_probabilities():
    with refused(ValueError, "softmax", "(4, 10)"):
        inception_score(rng.standard_normal((4, 10)))  # logits
    with refused(ValueError, "softmax", -0.5):
        inception_score([[1.5, -0.5], [0.5, 0.5]])
    with refused(ValueError, "sum", "(4, 10)"):
        inception_score(np.full((4, 10), 0.101))
    with refused(ValueError, "(2, 1, 2)"):
        inception_score(np.full((2, 1, 2), 0.5))
    with refused(ValueError, "NaN", 1, 6):
        inception_score([[0.5, 0.5], [1, 0], [math.nan, 1]])
    for empty in (np.ones((0, 10)), np.ones((1, 1)), np.ones(5)):
        with refused(ValueError, 2, "samples", empty.shape):
            inception_score(empty)
    for splits in (0, -1, 6):
        with refused(ValueError, "two samples", 10, splits):
            inception_score(np.full((10, 2), 0.5), splits)


# ---------------------------------------------------------------- Frechet distance


def textbook(a, b):
    """Dowson and Landau's formula in SciPy's words; inexact where a covariance is singular."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    root = sqrtm(cov_a @ cov_b)
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root).real


def symmetric(a, b):
    """The same by the eigenvalues of C_a^(1/2) C_b C_a^(1/2), which may be singular."""
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    values = np.maximum(np.linalg.eigvalsh(root @ cov_b @ root), 0)
    mean = np.sum((a.mean(0) - b.mean(0)) ** 2)
    return mean + np.trace(cov_a) + np.trace(cov_b) - 2 * np.sqrt(values).sum()


def features(n, d, generator=rng):
    """Correlated, with variances over several orders of magnitude, and skewed."""
    x = np.exp(0.5 * generator.standard_normal((n, d))) @ generator.standard_normal((d, d))
    return x * np.logspace(0, -2, d) + generator.standard_normal(d)


@pytest.mark.parametrize(("n", "m", "d"), [(50, 60, 8), (200, 100, 32), (5, 9, 1), (400, 300, 128)])
def test_frechet_distance_is_the_formula(n, m, d):
    a, b = features(n, d), features(m, d)
    assert frechet_distance(a, b) == pytest.approx(textbook(a, b), rel=1e-6)
    assert type(frechet_distance(a, b)) is float


def test_frechet_distance_of_few_samples():
    """From two samples on; ranks are below d on one side or on both."""
    generator = np.random.default_rng(1)
    for _ in range(300):
        n, m = generator.integers(2, 12, 2)
        d = generator.integers(1, 30)
        a, b = features(n, d, generator), features(m, d, generator)
        if generator.random() < 0.3:  # features that never fire, as after a ReLU
            a[:, generator.random(d) < 0.5] = 0
        if generator.random() < 0.2:  # nothing but copies
            b[:] = b[0]
        expected = symmetric(a, b)
        scale = np.sum(np.var(a, 0) + np.var(b, 0)) + 1
        assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6, abs=1e-6 * scale)
        assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-12 * scale)
        assert 0 <= frechet_distance(a, a) <= 1e-12 * scale


def with_moments(n, mean, deviations):
    """Samples that have exactly this mean, these standard deviations, and no correlation."""
    d = len(mean)
    x = np.linalg.qr(np.column_stack([np.ones(n), rng.standard_normal((n, d))]))[0][:, 1:]
    return x * np.sqrt(n - 1) * deviations + mean


@pytest.mark.parametrize("rank", [0, 3, 6])
def test_frechet_distance_by_hand(rank):
    """Uncorrelated: the squares of the differences of means and of standard deviations."""
    mean_a, mean_b = rng.standard_normal((2, 6))
    std_a, std_b = rng.random((2, 6))
    std_a[rank:] = 0  # singular
    a, b = with_moments(40, mean_a, std_a), with_moments(25, mean_b, std_b)
    expected = np.sum((mean_a - mean_b) ** 2) + np.sum((std_a - std_b) ** 2)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)
    # two points 0 and 2 have the unbiased variance 2, and -1 and 3 have 8
    assert frechet_distance([[0.0], [2.0]], [[-1.0], [3.0]]) == pytest.approx(2, rel=1e-12)


@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 15), st.integers(0, 2**32 - 1))
def test_frechet_distance_is_geometry(n, m, d, seed):
    """Turning and shifting both changes nothing, nor does order; a scale counts squared."""
    generator = np.random.default_rng(seed)
    a, b = features(n, d, generator), features(m, d, generator)
    distance = frechet_distance(a, b)
    turn, _ = np.linalg.qr(generator.standard_normal((d, d)))
    shift = 10 * generator.standard_normal(d)
    close = {"rel": 1e-9, "abs": 1e-9}
    assert frechet_distance(a @ turn + shift, b @ turn + shift) == pytest.approx(distance, **close)
    assert frechet_distance(generator.permutation(a), b) == pytest.approx(distance, **close)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * distance, **close)
    moved = frechet_distance(a, a + shift)
    assert moved == pytest.approx(np.sum(shift**2), **close)


def test_frechet_distance_takes_images_and_any_numbers():
    a, b = (rng.integers(256, size=(n, 3, 4, 4), dtype=np.uint8) for n in (100, 80))
    expected = textbook(a.reshape(100, -1), b.reshape(80, -1))
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a.astype(np.float32), b) == frechet_distance(a, b)


def test_frechet_distance_of_one_distribution_falls_with_the_samples():
    """The bias that the docstring states: of normal features, 2 d / n + d (d + 1) / (2 n)."""
    d = 8
    for n in (50, 200, 800):
        distances = [frechet_distance(*rng.standard_normal((2, n, d))) for _ in range(40)]
        assert np.mean(distances) == pytest.approx((2 * d + d * (d + 1) / 2) / n, rel=0.2)


def test_bad_features():
    x = rng.standard_normal((5, 3))
    with refused(ValueError, "(5, 3)", "(5, 2)"):
        frechet_distance(x, x[:, :2])
    for few in (x[:0], x[:1], x[:, :0], x[:, 0]):
        for pair in [(x, few), (few, x)]:
            with refused(ValueError, 2, few.shape):
                frechet_distance(*pair)
    for bad in (math.nan, math.inf):
        with refused(ValueError, "NaN", 1, 15):
            frechet_distance(np.where(np.arange(15).reshape(5, 3) == 7, bad, x), x)


# ---------------------------------------------------------------- classes


def test_mode_coverage_by_hand():
    assert mode_coverage(np.arange(1000) % 10, 10) == (pytest.approx(1, abs=1e-12), 10)
    assert mode_coverage([7] * 100, 10) == (0, 1)
    assert f"{mode_coverage([7] * 100, 10)[0]:.2f}" == "0.00"  # not -0.00
    two = math.log(2) / math.log(10)
    assert mode_coverage([3, 8] * 50, 10) == (pytest.approx(two, rel=1e-12), 2)
    quarter = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)
    assert mode_coverage([0, 1, 1, 1], 2) == (pytest.approx(quarter, rel=1e-12), 2)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), st.permutations(range(10)))
def test_mode_coverage_does_not_know_which_class_is_which(labels, names):
    entropy, seen = mode_coverage(labels, 10)
    assert 0 <= entropy <= 1 + 1e-12 and seen == len(set(labels))
    renamed = np.array(names, dtype=np.uint8)[labels]
    assert mode_coverage(renamed, 10) == (pytest.approx(entropy, abs=1e-12), seen)


def test_few_samples_lower_the_entropy_as_stated():
    n, classes = 500, 10
    scores = [mode_coverage(rng.integers(classes, size=n), classes)[0] for _ in range(400)]
    lowered = (classes - 1) / (2 * n * math.log(classes))
    assert 1 - np.mean(scores) == pytest.approx(lowered, rel=0.15)


def test_class_agreement_by_hand():
    assert class_agreement([1, 2, 3, 4], [1, 2, 0, 4]) == 0.75
    assert class_agreement(np.array([5], dtype=np.uint8), np.array([5])) == 1
    assert class_agreement([0, 1], [1, 0]) == 0


def test_bad_labels():
    with refused(ValueError, 0, 9, 10):
        mode_coverage([3, 10], 10)
    with refused(ValueError, 9, -1):
        mode_coverage([3, -1], 10)
    with refused(ValueError, "integer", "float64"):
        mode_coverage([3.0, 1.0], 10)
    with refused(ValueError, "integer", "(2, 10)"):
        mode_coverage(np.zeros((2, 10), dtype=int), 10)
    with refused(ValueError, "(0,)"):
        mode_coverage(np.zeros(0, dtype=int), 10)
    with refused(ValueError, 2, 1):
        mode_coverage([0, 0], 1)
    with refused(ValueError, "(2,)", "(3,)"):
        class_agreement([1, 2], [1, 2, 3])
    with refused(ValueError, "(0,)"):
        class_agreement([], [])
    with refused(ValueError, "(1, 2)"):
        class_agreement([[1, 2]], [[1, 2]])


# ---------------------------------------------------------------- distances


@pytest.fixture(params=[2**22, 50, 1], ids="block {}".format)
def block(request, monkeypatch):
    """Blocks that hold everything, that divide it with a rest, and of one row."""
    monkeypatch.setattr(metrics, "BLOCK", request.param)


def test_pairwise_distance_is_the_mean_over_pairs(block):
    samples, labels = rng.standard_normal((60, 2, 3)), rng.integers(4, size=60)
    labels[labels == 2] = 0
    samples[7] = samples[labels == labels[7]][0]  # one copy among others
    expected = np.zeros(5)
    for c in (0, 1, 3):
        mine = samples[labels == c].reshape(-1, 6)
        pairs = pairwise_distances(mine)[~np.eye(len(mine), dtype=bool)]
        expected[c] = pairs.mean()
    assert pairwise_distance(samples, labels, 5) == pytest.approx(expected, rel=1e-7)


def test_pairwise_distance_by_hand():
    samples = [[0, 0], [3, 4], [0, 0], [100, 100], [1, 1], [1, 2]]
    means = pairwise_distance(samples, [0, 0, 0, 1, 2, 2], 4)
    assert means == pytest.approx([10 / 3, 0, 1, 0], abs=1e-12)  # two classes without a pair


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_ten_memorised_pictures_have_no_variety(dtype, block):
    ten = (255 * rng.random((10, 1, 8, 8))).astype(dtype)
    labels = rng.integers(10, size=200)
    assert np.array_equal(pairwise_distance(ten[labels], labels, 10), np.zeros(10))


def test_k_memorised_pictures_in_a_class_have_nearly_all_of_it():
    """What the docstring warns of: the mean is over pairs, of which 1 / k are of one picture."""
    data = rng.standard_normal((4, 16))
    many = data[rng.integers(4, size=2000)]
    ratio = pairwise_distance(many, np.zeros(2000, int), 1) / pairwise_distance(
        data, np.zeros(4, int), 1
    )
    assert ratio == pytest.approx(1 - 1 / 4, abs=0.01)


def test_pairwise_distance_keeps_its_digits_far_from_the_origin():
    x, labels = rng.standard_normal((30, 5)), np.zeros(30, int)
    assert pairwise_distance(x + 1e8, labels, 1) == pytest.approx(
        pairwise_distance(x, labels, 1), rel=1e-6
    )


@given(st.integers(2, 30), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_pairwise_distance_knows_no_order_and_no_rotation(n, d, seed):
    generator = np.random.default_rng(seed)
    x, labels = generator.standard_normal((n, d)), generator.integers(3, size=n)
    means = pairwise_distance(x, labels, 3)
    order = generator.permutation(n)
    turn, _ = np.linalg.qr(generator.standard_normal((d, d)))
    turned = pairwise_distance(2 * (x @ turn)[order], labels[order], 3)
    assert turned == pytest.approx(2 * means, rel=1e-9, abs=1e-7)


def test_distances_need_little_memory(monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 2**14)
    x, labels = rng.standard_normal((2000, 4)), np.zeros(2000, int)
    tracemalloc.start()
    pairwise_distance(x, labels, 1)
    nearest_distance(x, x[::-1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6  # all pairs would be 32 MB


def test_nearest_distance_is_the_smallest(block):
    samples, training = rng.standard_normal((23, 3, 2)), rng.standard_normal((41, 3, 2))
    distances, nearest = nearest_distance(samples, training)
    expected, smallest = pairwise_distances_argmin_min(
        samples.reshape(23, 6), training.reshape(41, 6)
    )[::-1]
    assert distances == pytest.approx(expected, rel=1e-7)
    assert np.array_equal(nearest, smallest)


def test_a_copy_is_at_no_distance(block):
    training = rng.integers(256, size=(40, 1, 5, 5), dtype=np.uint8)
    chosen = rng.permutation(40)[:13]
    for dtype in (np.uint8, np.float32):
        distances, nearest = nearest_distance(training[chosen].astype(dtype), training)
        assert np.array_equal(distances, np.zeros(13)) and np.array_equal(nearest, chosen)
    x = rng.standard_normal((40, 25))  # products of these are rounded
    for shift in (0, 1e-9):
        distances, nearest = nearest_distance(x[chosen] + shift, x)
        expected = np.linalg.norm(x[chosen] + shift - x[chosen], axis=1)
        assert distances == pytest.approx(expected, rel=1e-12, abs=0)
        assert np.array_equal(nearest, chosen)
    one_pixel = training[chosen] ^ np.uint8(np.arange(25).reshape(5, 5) == 12)
    distances, nearest = nearest_distance(one_pixel, training)
    assert np.array_equal(distances, np.ones(13)) and np.array_equal(nearest, chosen)


def test_nearest_distance_far_from_the_origin():
    samples, training = rng.standard_normal((20, 4)), rng.standard_normal((30, 4))
    near, far = nearest_distance(samples, training), nearest_distance(samples + 1e8, training + 1e8)
    assert far[0] == pytest.approx(near[0], rel=1e-6) and np.array_equal(far[1], near[1])


def test_bad_distances():
    x, labels = rng.standard_normal((5, 2, 3)), np.zeros(5, int)
    with refused(ValueError, 4, 5):
        pairwise_distance(x, labels[:4], 2)
    with refused(ValueError, 1, 2):
        pairwise_distance(x, labels + 2, 2)
    with refused(ValueError, "integer", "float64"):
        pairwise_distance(x, labels + 0.5, 2)
    for few in (x[:0], x[:1], x[:, :0], x[:, 0, 0]):
        with refused(ValueError, 2, few.shape):
            pairwise_distance(few, labels[: len(few)], 2)
    with refused(ValueError, "(5, 2, 3)", "(5, 3, 2)"):
        nearest_distance(x, x.swapaxes(1, 2))
    for pair in [(x[:0], x), (x, x[:0])]:
        with refused(ValueError, 1, "(0, 2, 3)"):
            nearest_distance(*pair)
    for measure in (lambda x: pairwise_distance(x, labels, 2), lambda y: nearest_distance(x, y)):
        with refused(ValueError, "NaN", 1, 30):
            measure(np.where(np.arange(30).reshape(x.shape) == 9, math.nan, x))


def test_scores_leave_their_inputs_alone():
    x, labels, p = rng.standard_normal((20, 3)), rng.integers(3, size=20), np.eye(3)
    arrays = [x, labels, p]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    inception_score(p)
    frechet_distance(x, x)
    mode_coverage(labels, 3)
    class_agreement(labels, labels)
    pairwise_distance(x, labels, 3)
    nearest_distance(x, x)
    assert all(map(np.array_equal, arrays, before))


# ---------------------------------------------------------------- docs/scores.md


def test_the_page_about_scores_prints_what_it_shows(capsys):
    names = {}
    text = (Path(__file__).parents[1] / "docs" / "scores.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= 7 and len(blocks) == text.count("```python")
    for code, printed in blocks:
        exec(code, names)
        assert capsys.readouterr().out == printed
