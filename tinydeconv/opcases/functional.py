"""Cases of the functions of nn.functional, and of the recurrent cells, family by family."""

import numpy as np

from .. import nn
from ..backend import get_rng_state, manual_seed, set_rng_state
from ..nn import functional as F
from ..nn.losses import BinaryCrossEntropy, BinaryCrossEntropyWithLogits
from ..ops import cat, ones_like, zeros_like
from ..ops.resampling import Resample
from .case import Case


def _pooling():
    yield Case(F.max_pool2d, "", (1, 1, 3, 3), kernel_size=2, stride=1, padding=1)
    yield Case(F.avg_pool1d, "", (2, 1, 5), kernel_size=2, stride=2, padding=1)
    yield Case(F.adaptive_max_pool2d, "", (1, 1, 3, 4), output_size=(2, 3))
    yield Case(F.adaptive_avg_pool2d, "", (1, 1, 3, 4), output_size=(2, None))
    yield Case(
        F.max_unpool1d, "of repeated indices", (1, 2, 2), indices=np.array([[[1, 1], [0, 2]]]),
        kernel_size=2,
    )  # fmt: skip


def _resampling():
    ragged = [2, 0, 0, 2, 2], [1, 0, 2, 1, 2], [0.5, -1.0, 2.0, 0.3, 0.7]
    yield Case(Resample, "with an empty row", (2, 3, 2), args=(1, 4, ragged))
    yield Case(F.pad, "constant, and cut", (2, 3), pad=(-1, 2, 1, 0), value=0.3)
    for mode in ("reflect", "replicate", "circular"):
        yield Case(F.pad, mode, (1, 2, 3), pad=(2, 1, -1, 1), mode=mode)
    for mode, size in (("nearest", 5), ("nearest-exact", 5), ("area", 2), ("linear", 5)):
        yield Case(F.interpolate, mode, (1, 1, 3), size=size, mode=mode)
    yield Case(F.interpolate, "bilinear", (1, 1, 2, 3), scale_factor=1.7, mode="bilinear")
    yield Case(
        F.interpolate, "bilinear, corners aligned", (1, 1, 2, 3), size=(3, 2), mode="bilinear",
        align_corners=True,
    )  # fmt: skip
    for antialias in (False, True):
        yield Case(
            F.interpolate, f"bicubic, antialias={antialias}", (1, 1, 4, 2), size=(2, 3),
            mode="bicubic", antialias=antialias,
        )  # fmt: skip
    yield Case(F.interpolate, "trilinear", (1, 1, 2, 1, 2), size=(3, 2, 1), mode="trilinear")
    yield Case(F.upsample_nearest, "", (1, 1, 2), scale_factor=2)
    yield Case(F.upsample_bilinear, "", (1, 1, 2, 1), scale_factor=2)
    yield Case(F.pixel_shuffle, "", (4, 1, 2), upscale_factor=2)
    yield Case(F.pixel_unshuffle, "", (1, 2, 4), downscale_factor=2)


def _activations():
    for function in (F.relu, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.softplus, F.logsigmoid):
        yield Case(function, "", (2, 3))
    yield Case(F.gelu, "by tanh", (2, 3), approximate="tanh")
    yield Case(F.softplus, "with a threshold", (2, 3), beta=3, threshold=2)
    for function in (F.relu6, F.hardtanh):
        yield Case(function, "", [-2.0, -0.5, 0.5, 2.0, 7.0])
    for function in (F.sigmoid, F.tanh):
        yield Case(function, "", (2, 3))
    for function in (F.softmax, F.log_softmax):
        yield Case(function, "", (2, 3), dim=1)
    yield Case(F.prelu, "of one slope", (2, 3), ())
    yield Case(F.prelu, "of a slope for each channel", (2, 3), (3,))


def _normalization():
    def ours(training):
        return lambda x, w, b: F.batch_norm(x, zeros_like(b), ones_like(b), w, b, training)

    yield Case(ours(True), "", (3, 2, 2), (2,), (2,), group="batch_norm")
    yield Case(ours(False), "by running statistics", (3, 2), (2,), (2,), group="batch_norm")
    yield Case(
        lambda x, w, b: F.instance_norm(x, None, None, w, b),
        "", (2, 2, 3), (2,), (2,), group="instance_norm",
    )  # fmt: skip
    yield Case(
        lambda x, w, b: F.group_norm(x, 2, w, b), "", (2, 4, 2), (4,), (4,), group="group_norm"
    )
    yield Case(
        lambda x, b: F.layer_norm(x, (3, 2), None, b), "", (2, 3, 2), (3, 2), group="layer_norm"
    )


def _basic():
    yield Case(F.linear, "", (2, 3), (4, 3), (4,))
    yield Case(F.bilinear, "", (2, 3), (2, 2), (2, 3, 2), (2,))
    yield Case(
        lambda weight, input: F.embedding(input, weight),
        "", (3, 2), group="embedding", input=np.array([[2, 0, 2]]),
    )  # fmt: skip
    yield Case(
        lambda x: x.unsqueeze(-1) * F.one_hot((x > 0).long(), 2), "", (2, 3), group="one_hot"
    )
    for function, shape in (
        (F.dropout, (3, 4)), (F.dropout1d, (4, 2)), (F.dropout2d, (1, 4, 1, 2)),
        (F.dropout3d, (4, 1, 1, 2)),
    ):  # fmt: skip
        yield Case(_seeded(function), "", shape, group=function.__name__, p=0.4)


def _seeded(function):
    """The function drawing the same random numbers at each call."""

    def call(*inputs, **options):
        state = get_rng_state()
        manual_seed(0)
        try:
            return function(*inputs, **options)
        finally:
            set_rng_state(state)

    return call


def _recurrent():
    yield _layer(nn.RNNCell(2, 2), (2, 2), (2, 2))
    yield _layer(nn.RNNCell(2, 2, False, "relu"), (2, 2), (2, 2), note="with relu")
    yield _layer(nn.GRUCell(2, 2), (2, 2), (2, 2))
    yield _layer(nn.LSTMCell(2, 2), (2,), (2,), (2,))
    yield _layer(nn.ConvLSTMCell(1, 1, (3,)), (1, 2), (1, 2), (1, 2))
    yield _layer(nn.RNN(2, 1, 2, bidirectional=True), (2, 1, 2), (4, 1, 1))
    yield _layer(nn.GRU(2, 1, bidirectional=True, batch_first=True), (1, 3, 2), (2, 1, 1))
    yield _layer(nn.LSTM(1, 2, 2, proj_size=1), (2, 1), (2, 1), (2, 2))


def _layer(layer, *shapes, note=""):
    """A layer as a function of its input, its state and its weights, the results joined."""
    own, states = dict(layer.named_parameters()), len(shapes) - 1

    def call(x, *others):
        vars(layer).update(zip(own, others[states:], strict=True))
        results = _flat(layer(x, others[:states]))
        vars(layer).update(own)
        return cat([y.reshape(-1) for y in results])

    weights = (p.shape for p in layer.parameters())
    return Case(call, note, *shapes, *weights, group=type(layer).__name__)


def _flat(result):
    return [y for part in result for y in _flat(part)] if isinstance(result, tuple) else [result]


def _losses():
    def weighted(function, note, *shapes, **options):
        def call(*inputs, **options):
            return function(*inputs[:-1], weight=inputs[-1], **options)

        return Case(call, note, *shapes, group=function.__name__, **options)

    for function in (F.mse_loss, F.l1_loss, F.huber_loss, F.smooth_l1_loss):
        yield Case(function, "", (2, 3), (2, 3))
    for function in (F.mse_loss, F.l1_loss, F.huber_loss):
        yield weighted(function, "with weights", (2, 2), (2, 2), (2, 2))
    indices, some = np.array([2, 0]), np.array([[2, -100], [-100, 0]])
    for of_classes in (F.cross_entropy, F.nll_loss):
        yield Case(of_classes, "of indices", (2, 3), target=indices)
        yield weighted(of_classes, "with weights, some ignored", (2, 3, 2), (3,), target=some)
    yield weighted(F.cross_entropy, "smoothed", (2, 3, 2), (3,), target=some, label_smoothing=0.3)
    yield weighted(F.cross_entropy, "of probabilities", (2, 3), (2, 3), (3,), label_smoothing=0.3)
    p, t = [[0.2, 0.5], [0.6, 0.9]], [[0.3, 0.1], [0.8, 0.5]]
    yield Case(BinaryCrossEntropy, "", p, t)
    yield Case(BinaryCrossEntropyWithLogits, "", (2, 2), p, t)
    yield weighted(F.binary_cross_entropy, "", p, t, (2,))
    yield Case(F.binary_cross_entropy_with_logits, "", (2, 3), (2, 3))
    yield Case(
        lambda x, t, w, positive: F.binary_cross_entropy_with_logits(x, t, w, "sum", positive),
        "with weights", (2, 3), (2, 3), (3,), (1,), group="binary_cross_entropy_with_logits",
    )  # fmt: skip
    yield Case(F.kl_div, "", (2, 2), t, reduction="batchmean")
    yield Case(F.kl_div, "of logarithms", (2, 3), (2, 3), log_target=True)
    yield Case(F.cosine_similarity, "broadcast", (2, 3), (3,))
    yield Case(F.cosine_similarity, "of columns", (2, 3), (2, 3), dim=0, eps=0.1)
    yield Case(F.discriminator_hinge_loss, "", (4,), (3,))
    yield Case(F.generator_hinge_loss, "", (4,))


FAMILIES = (
    _pooling, _resampling, _activations, _normalization, _basic, _recurrent, _losses,
)  # fmt: skip
