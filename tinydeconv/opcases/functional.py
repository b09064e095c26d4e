"""Cases of the functions of nn.functional, and of the recurrent cells, family by family."""

import numpy as np

from ..nn import functional as F
from .case import Case


def _pooling():
    yield Case(F.max_pool2d, "", (1, 1, 3, 3), kernel_size=2, stride=1, padding=1)
    yield Case(F.avg_pool1d, "", (2, 1, 5), kernel_size=2, stride=2, padding=1)


def _activations():
    yield Case(F.prelu, "", (2, 3), (3,))


def _normalization():
    yield Case(
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        "", (3, 2, 2), (2,), (2,), group="batch_norm",
    )  # fmt: skip


def _losses():
    yield Case(F.mse_loss, "", (2, 3), (2, 3))
    yield Case(F.cross_entropy, "of indices", (2, 3), target=np.array([2, 0]))


FAMILIES = (_pooling, _activations, _normalization, _losses)
