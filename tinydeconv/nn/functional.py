"""The functions behind the layers, with PyTorch's names, arguments and defaults; each family has
a page of its own, where its layers stand too.
"""

# ruff: noqa: F401, I001

from .activations import (
    elu, gelu, hardtanh, leaky_relu, log_softmax, logsigmoid, prelu, relu, relu6, selu, sigmoid,
    silu, softmax, softplus, tanh,
)
from .basic import (
    bilinear, dropout, dropout1d, dropout2d, dropout3d, embedding, linear, one_hot,
)
from .convolution import (
    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d, fold, unfold,
)
from .losses import (
    binary_cross_entropy, binary_cross_entropy_with_logits, cosine_similarity, cross_entropy,
    discriminator_hinge_loss, generator_hinge_loss, huber_loss, kl_div, l1_loss, mse_loss, nll_loss,
    smooth_l1_loss,
)
from .normalization import batch_norm, group_norm, instance_norm, layer_norm
from .pooling import (
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, adaptive_max_pool1d,
    adaptive_max_pool2d, adaptive_max_pool3d, avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d,
    max_pool2d, max_pool3d, max_unpool1d, max_unpool2d, max_unpool3d,
)
from .resampling import (
    interpolate, pad, pixel_shuffle, pixel_unshuffle, upsample_bilinear, upsample_nearest,
)

__all__ = sorted(name for name, f in vars().items() if callable(f))
