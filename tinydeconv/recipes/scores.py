"""Scores of what a generator paints, by the classifier of glyphs that comes with the library.

It was trained with seed 1: a generator with that seed sees the images that it saw.
"""

from functools import cache

import numpy as np

import tinydeconv as td
from tinydeconv import metrics, models
from tinydeconv.recipes.learned import device_of

BATCH = 250  # images that are read at once
SURE = 0.5, 0.9  # probabilities from which on a class is likelier than all others, or sure


def centred(images):
    """Pixels in [-1, 1], float32, of images in uint8 or of floats that are so already."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images / np.float32(127.5) - 1
    if images.dtype.kind != "f" or not np.abs(images).max(initial=0) <= 1 + 1e-3:
        raise ValueError(
            f"expected images in uint8 or floats in [-1, 1], got {images.dtype} from "
            f"{images.min():.4g} to {images.max():.4g}"
        )
    return images.astype(np.float32)


def read(images, model=None):
    """(probabilities, features) of images (n, C, size, size), uint8 or floats in [-1, 1]: arrays
    (n, classes) and (n, 64).

    model: a Classifier, by default the one of 32-pixel glyph digits that comes with the library
    """
    model = _shipped() if model is None else model
    images, where, training = centred(images), device_of(model), model.training
    shape = tuple(model.config[name] for name in ("in_channels", "size", "size"))
    if images.shape[1:] != shape or not len(images):
        raise ValueError(
            f"the classifier reads images of shape (n, {str(shape)[1:]}, got {images.shape}"
        )
    probabilities, features = [], []
    model.eval()
    with td.no_grad():
        for start in range(0, len(images), BATCH):
            x = model.features(td.tensor(images[start : start + BATCH], device=where))
            features.append(x.cpu().numpy())
            probabilities.append(model.last(x).softmax(1).cpu().numpy())
    model.train(training)
    return np.concatenate(probabilities), np.concatenate(features)


def scores(samples, data, labels=None):
    """{what: number} of a generator's samples, held against images of the data, both as read()
    takes them; better as many of the one as of the other, which the Frechet distance depends on.

    labels: the digits that the samples shall show, if any were asked for

    Classes are those read; distances are of pixels in [-1, 1]. A distance over the data's is that
    of two samples of a class, over that of two images of it; and that of a sample from the half of
    the data that is nearest to it, over that of images of the other half.
    """
    samples, data = centred(samples), centred(data)
    probabilities, features = read(samples)
    answers, of_data = read(data)
    found, expected = probabilities.argmax(1), answers.argmax(1)
    classes = probabilities.shape[1]
    coverage, seen = metrics.mode_coverage(found, classes)
    of_class = metrics.pairwise_distance(data, expected, classes)
    if not of_class.all():
        raise ValueError(
            f"expected two images or more of each of {classes} classes to compare with, got "
            f"{len(data)} images, none or one of {np.count_nonzero(of_class == 0)} classes"
        )
    apart = metrics.pairwise_distance(samples, found, classes) / of_class
    half = len(data) // 2
    near = np.median(metrics.nearest_distance(samples, data[:half])[0])
    near /= np.median(metrics.nearest_distance(data[half:], data[:half])[0])
    told = {
        "entropy of the classes read, over its maximum": coverage,
        "classes read": seen,
        **{f"read with probability {p} or more": np.mean(probabilities.max(1) >= p) for p in SURE},
        "inception score of classifier features (not Inception)": metrics.inception_score(
            probabilities
        )[0],
        "Frechet distance of classifier features (not Inception)": metrics.frechet_distance(
            features, of_data
        ),
        "distance within a class, over the data's, mean": apart.mean(),
        "distance within a class, over the data's, least": apart.min(),
        "distance to the nearest of the data, over the data's, median": near,
    }
    if labels is not None:
        told["read as asked"] = metrics.class_agreement(labels, found)
    return {what: float(number) for what, number in told.items()}


@cache
def _shipped():
    return models.load(models.shipped("classifier"), models.Classifier)
