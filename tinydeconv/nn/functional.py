"""The functions behind the layers, with PyTorch's names, arguments and defaults; each family has
a page of its own, where its layers stand too.
"""

# ruff: noqa: F401, I001

from .activations import leaky_relu, log_softmax, prelu, relu, sigmoid, softmax, tanh
from .basic import linear
from .convolution import (
    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, fold, unfold,
)
from .losses import binary_cross_entropy_with_logits, cross_entropy, l1_loss, mse_loss
from .normalization import batch_norm
from .pooling import (
    avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d, max_unpool1d,
    max_unpool2d, max_unpool3d,
)

__all__ = sorted(name for name, f in vars().items() if callable(f))
