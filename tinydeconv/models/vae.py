"""A variational autoencoder of small pictures (Kingma and Welling 2013, "Auto-encoding variational
Bayes"), plain and conditional.

Its decoder is the generator of gan.py, number for number: only who teaches it differs. A GAN's has
a critic; this one has an encoder, which says of each picture what noise it may have been painted
from, as a normal distribution, and has to paint the picture again from a draw of it.
"""

from typing import Any

from .. import nn
from ..ops import cat, exp, full, randn_like
from .gan import Generator, _asks, _halvings

LIKELIHOODS = "bernoulli", "gaussian"
SIGMA = 0.2  # of the pixels in [0, 1], before the first step


class VAE(nn.Module):
    """Pictures (N, in_channels, side, side) in [-1, 1] through a code of `latent` numbers and back:
    (logits, mean, log_variance).

    channels: of the decoder, as in Generator; the encoder has the same in reverse
    classes: from 1 on both take labels (N,) too: the decoder as Generator does, and the encoder as
        a channel more of the picture, one learned image for each class
    likelihood: of the pixels in [0, 1] given the code, "bernoulli" or "gaussian". Their means are
        the sigmoid of `logits` in both; the gaussian has one standard deviation for all pixels, the
        exponential of `log_sigma`, which is learned like a weight (Rybkin, Daniilidis and Levine
        2021)
    """

    def __init__(
        self, latent=16, channels=(64, 48, 24), in_channels=1, classes=0, likelihood="bernoulli"
    ):
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"expected likelihood {' or '.join(LIKELIHOODS)}, got {likelihood!r}")
        self.config = {
            "latent": latent, "channels": list(channels), "in_channels": in_channels,
            "classes": classes, "likelihood": likelihood,
        }  # fmt: skip
        self.decoder = Generator(latent, channels, in_channels, classes)
        self.side = self.decoder.side
        planes = in_channels + bool(classes)
        self.planes: Any = nn.Embedding(classes, self.side**2) if classes else None
        ladder = _halvings(channels[::-1], planes, "leaky_relu", batch_norm=True)
        self.encoder = nn.Sequential(*ladder, nn.Flatten())
        features = channels[0] * (self.side // 2 ** len(channels)) ** 2
        self.mean = nn.Linear(features, latent)
        self.log_variance = nn.Linear(features, latent)
        self.log_sigma: Any = None
        if likelihood == "gaussian":
            self.log_sigma = nn.Parameter(full((), SIGMA).log())

    def encode(self, images, labels=None):
        """(mean, log_variance), both (N, latent), of the code's normal distribution q(z | x)."""
        if images.shape[2:] != (self.side, self.side):
            raise ValueError(
                f"expected images of {self.side} pixels a side, which the layers halve, got shape "
                f"{images.shape}"
            )
        if _asks(self, labels):
            images = cat([images, self.planes(labels).reshape(-1, 1, self.side, self.side)], 1)
        features = self.encoder(images)
        return self.mean(features), self.log_variance(features)

    def decode(self, z, labels=None):
        """Logits (N, in_channels, side, side) of what pixels are in the mean, from 0 to 1.

        sigmoid(2 a) = (tanh(a) + 1) / 2, so they are twice what the decoder gives to its tanh.
        """
        if _asks(self.decoder, labels):
            z = cat([z, self.decoder.embedding(labels)], 1)
        *layers, _ = self.decoder.ladder
        h = self.decoder.first(z)
        for layer in layers:
            h = layer(h)
        return 2 * h

    def forward(self, images, labels=None):
        mean, log_variance = self.encode(images, labels)
        # z as a function of what is learned and of noise that is not: so a gradient gets through
        z = mean + exp(log_variance / 2) * randn_like(mean)
        return self.decode(z, labels), mean, log_variance
