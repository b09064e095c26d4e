"""A generator and a discriminator of small pictures: DCGAN, plain and conditional.

The shapes are those of Radford, Metz and Chintala (2015, "Unsupervised representation learning with
deep convolutional generative adversarial networks"): transposed convolutions paint, convolutions
judge, every step doubles or halves the size, and batch norm stands between. Pictures are in
[-1, 1], as tanh makes them.
"""

from functools import partial
from itertools import pairwise
from math import exp
from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn.utils.parametrizations import spectral_norm as spectrally_normed
from ..ops import cat, tensor

SIDE = 4  # pixels, of the smallest picture inside
ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "prelu": nn.PReLU,
}
UPSAMPLINGS = ("transposed4", "transposed3", "bilinear", "gaussian", "resize", "shuffle")
SIGMA = 1.25  # pixels of the doubled picture
TAPS = {  # along an axis, of kernels that are not learned
    "bilinear": [1.0, 3.0, 3.0, 1.0],
    "gaussian": [exp(-0.5 * (at / SIGMA) ** 2) for at in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)],
}


class Generator(nn.Module):
    """Noise (N, latent) to pictures (N, out_channels, side, side) in [-1, 1].

    channels: how many at 4 pixels, at 8, and so on; the last transposed convolution doubles once
        more, so three give a side of 32 and four of 64
    classes: from 1 on it takes labels (N,) too, whose embedding stands beside the noise (Mirza and
        Osindero 2014)
    activation: "relu", "leaky_relu" (slope 0.2) or "prelu"
    upsampling: how each step doubles the size: a transposed convolution of stride 2, with kernel 4
        ("transposed4") or 3 ("transposed3"); a convolution of kernel 3 after a doubling that is not
        learned, a fixed "bilinear" or "gaussian" kernel or nearest neighbours ("resize"); or such a
        convolution before a pixel shuffle, whose pixels start equal ("shuffle"; ICNR, Aitken et al.
        2017)
    """

    def __init__(
        self, latent=64, channels=(128, 64, 32), out_channels=1, classes=0, activation="relu",
        upsampling="transposed4",
    ):  # fmt: skip
        _check(channels, classes, activation)
        if upsampling not in UPSAMPLINGS:
            raise ValueError(f"expected upsampling {', '.join(UPSAMPLINGS)}, got {upsampling!r}")
        self.config = {
            "latent": latent, "channels": list(channels), "out_channels": out_channels,
            "classes": classes, "activation": activation, "upsampling": upsampling,
        }  # fmt: skip
        self.side = SIDE * 2 ** len(channels)
        self.embedding: Any = nn.Embedding(classes, latent) if classes else None
        self.first = nn.Linear(latent * (2 if classes else 1), channels[0] * SIDE**2, bias=False)
        layers = [nn.Unflatten(1, (channels[0], SIDE, SIDE))]
        for a, b in pairwise((*channels, None)):
            layers += [nn.BatchNorm2d(a), ACTIVATIONS[activation]()]
            # the next batch norm would take a bias off again; there is none after the last layer
            layers += _doubling(upsampling, a, b or out_channels, not b)
        self.ladder = nn.Sequential(*layers, nn.Tanh())
        self.apply(_initialise)
        if upsampling == "shuffle":
            start = partial(nn.init.normal_, std=0.02)
            for layer in self.ladder:
                if isinstance(layer, nn.Conv2d):
                    nn.init.icnr_(layer.weight, start)
        if self.embedding is not None:
            # as long as a one-hot vector: labels as large as the noise would drown it, and every
            # picture of a class would be the same
            nn.init.normal_(self.embedding.weight, 0, latent**-0.5)

    def forward(self, noise, labels=None):
        if _asks(self, labels):
            noise = cat([noise, self.embedding(labels)], 1)
        return self.ladder(self.first(noise))


class FixedDoubling(nn.Module):
    """Channels (N, C, H, W) twice as large, each by itself: a transposed convolution whose kernel
    is not learned, the product of these taps along both axes.

    The taps of each phase are made to add up to 1, so what is constant stays so, but at the rim.
    """

    def __init__(self, taps):
        phases = tensor(taps).reshape(-1, 2)
        row = (phases / phases.sum(0)).flatten()
        self.kernel: Any = nn.Buffer((row[:, None] * row)[None, None])
        self.padding = len(row) // 2 - 1

    def forward(self, x):
        channels = x.shape[1]
        kernel = self.kernel.expand(channels, -1, -1, -1)
        return F.conv_transpose2d(x, kernel, stride=2, padding=self.padding, groups=channels)


class Discriminator(nn.Module):
    """Pictures (N, in_channels, side, side) to one logit each, (N,): how real they look.

    channels: how many at half the side, at a quarter, and so on down to 4 pixels
    classes: from 1 on it takes labels (N,) too: the embedding of a picture's label is multiplied
        with its features, and the product is added to the logit (projection, Miyato and Koyama
        2018)
    spectral_norm: no layer enlarges a difference of its inputs (Miyato et al. 2018); it takes the
        place of batch norm
    batch_norm: without it no picture's logit depends on the others of its batch
    """

    def __init__(
        self, channels=(32, 64, 128), in_channels=1, classes=0, spectral_norm=False,
        activation="leaky_relu", batch_norm=True,
    ):  # fmt: skip
        _check(channels, classes, activation)
        self.config = {
            "channels": list(channels), "in_channels": in_channels, "classes": classes,
            "spectral_norm": spectral_norm, "activation": activation, "batch_norm": batch_norm,
        }  # fmt: skip
        self.side = SIDE * 2 ** len(channels)
        features = channels[-1] * SIDE**2
        normed = batch_norm and not spectral_norm
        self.ladder = nn.Sequential(
            *_halvings(channels, in_channels, activation, normed), nn.Flatten()
        )
        self.last = nn.Linear(features, 1)
        self.embedding: Any = nn.Embedding(classes, features) if classes else None
        self.apply(_initialise)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, 0, 0.02)
        if spectral_norm:
            for module in [*self.modules()]:
                if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                    spectrally_normed(module)

    def forward(self, images, labels=None):
        if images.shape[2:] != (self.side, self.side):
            raise ValueError(
                f"expected images of {self.side} pixels a side, which the layers halve to {SIDE}, "
                f"got shape {images.shape}"
            )
        features = self.ladder(images)
        logits = self.last(features).squeeze(1)
        if _asks(self, labels):
            logits = logits + (self.embedding(labels) * features).sum(1)
        return logits


class PatchDiscriminator(nn.Module):
    """Pictures (N, in_channels, H, W) of any size to logits (N, 1, h, w): how real each looks
    around each of h x w places (Li and Wand 2016; Isola et al. 2017).

    channels: how many at half the size, at a quarter, and so on; the more of them, the larger the
        patch that a logit sees, and H and W are at least 2^(their number + 1)
    batch_norm: as in Discriminator
    """

    def __init__(self, channels=(32, 64), in_channels=1, activation="leaky_relu", batch_norm=True):
        _check(channels, 0, activation)
        self.config = {
            "channels": list(channels), "in_channels": in_channels, "activation": activation,
            "batch_norm": batch_norm,
        }  # fmt: skip
        self.least = 2 ** (len(channels) + 1)
        self.ladder = nn.Sequential(*_halvings(channels, in_channels, activation, batch_norm))
        self.last = nn.Conv2d(channels[-1], 1, 3, padding=1)
        self.apply(_initialise)

    def forward(self, images):
        if min(images.shape[2:]) < self.least:
            raise ValueError(
                f"expected images of {self.least} pixels a side or more, which the layers halve, "
                f"got shape {images.shape}"
            )
        return self.last(self.ladder(images))


def _doubling(upsampling, a, b, bias):
    """Layers that make b channels of twice the size of a channels."""
    if upsampling == "transposed4":
        return [nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=bias)]
    if upsampling == "transposed3":
        return [nn.ConvTranspose2d(a, b, 3, stride=2, padding=1, output_padding=1, bias=bias)]
    if upsampling == "shuffle":
        return [nn.Conv2d(a, 4 * b, 3, padding=1, bias=bias), nn.PixelShuffle(2)]
    nearest = upsampling == "resize"
    double = nn.Upsample(scale_factor=2) if nearest else FixedDoubling(TAPS[upsampling])
    return [double, nn.Conv2d(a, b, 3, padding=1, bias=bias)]


def _halvings(channels, in_channels, activation, batch_norm):
    """Convolutions that halve the size; batch norm, if there is any, after all but the first, which
    sees how bright pictures are.
    """
    layers = [nn.Conv2d(in_channels, channels[0], 4, stride=2, padding=1)]
    for a, b in pairwise(channels):
        layers += [ACTIVATIONS[activation]()]
        layers += [nn.Conv2d(a, b, 4, stride=2, padding=1, bias=not batch_norm)]
        layers += [nn.BatchNorm2d(b)] if batch_norm else []
    return [*layers, ACTIVATIONS[activation]()]


def _asks(network, labels):
    """Whether there are labels, if there shall be."""
    classes = network.config["classes"]
    if (labels is None) == bool(classes):
        kind = f"of {classes} classes" if classes else "without classes"
        raise ValueError(
            f"a {type(network).__name__} {kind} takes {'' if classes else 'no '}labels"
        )
    return bool(classes)


def _initialise(module):
    """The paper's first weights: normal with standard deviation 0.02, around 1 in batch norm."""
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0, 0.02)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)


def _check(channels, classes, activation):
    if len(channels) < 1:
        raise ValueError(f"expected channels of at least one resolution, got {channels}")
    if classes < 0:
        raise ValueError(f"expected a number of classes, 0 for none, got {classes}")
    if activation not in ACTIVATIONS:
        raise ValueError(f"expected activation {', '.join(ACTIVATIONS)}, got {activation!r}")
