"""Real handwritten digits, which ship in scikit-learn."""

import numpy as np

from .images import images_extra


def digits():
    """(images, labels) of 1797 digits: float32 (n, 1, 8, 8) in [0, 1], ink bright, and int64 (n,).

    Thirteen people wrote them: the test set of Alpaydin and Kaynak's "Optical recognition of
    handwritten digits", UCI Machine Learning Repository, 1998.
    """
    images, labels = images_extra("sklearn.datasets").load_digits(return_X_y=True)
    return (images / 16).astype(np.float32).reshape(-1, 1, 8, 8), labels.astype(np.int64)
