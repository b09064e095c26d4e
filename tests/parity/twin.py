"""The twin of the recipe `gan` in PyTorch: the networks of tinydeconv/models/gan.py, weight for
weight under the same names, and the game of tinydeconv/recipes/gan.py, step for step.

Written from the papers' formulas and PyTorch's own layers; of tinydeconv it takes numbers alone.
"""

from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm as spectrally_normed

SIDE = 4
ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": lambda: nn.LeakyReLU(0.2), "prelu": nn.PReLU}


class Fixed(nn.Module):
    """Doubles each channel with taps that are not learned, those of a phase made to sum to 1."""

    def __init__(self, taps):
        super().__init__()
        row = torch.cat([taps[::2] / taps[::2].sum(), taps[1::2] / taps[1::2].sum()])
        row = row.reshape(2, -1).T.flatten()
        self.register_buffer("kernel", torch.outer(row, row).float()[None, None])

    def forward(self, x):
        channels, rim = x.shape[1], self.kernel.shape[-1] // 2 - 1
        each = self.kernel.repeat(channels, 1, 1, 1)
        return F.conv_transpose2d(x, each, None, 2, rim, groups=channels)


def bilinear():
    return Fixed(torch.tensor([0.25, 0.75, 0.75, 0.25]))


def gaussian():
    """Of standard deviation 1.25, six taps."""
    return Fixed(torch.exp(-((torch.arange(6) - 2.5) ** 2) / (2 * 1.25**2)))


def doubling(kind, a, b, bias):
    """Layers from a channels to b, twice as large."""
    if kind == "transposed4":
        return [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=bias)]
    if kind == "transposed3":
        return [nn.ConvTranspose2d(a, b, 3, 2, 1, 1, bias=bias)]
    if kind == "shuffle":
        return [nn.Conv2d(a, 4 * b, 3, 1, 1, bias=bias), nn.PixelShuffle(2)]
    kinds = {"bilinear": bilinear, "gaussian": gaussian, "resize": partial(nn.Upsample, None, 2)}
    return [kinds[kind](), nn.Conv2d(a, b, 3, 1, 1, bias=bias)]


class Generator(nn.Module):
    def __init__(self, latent, channels, out_channels, classes, activation, upsampling):
        super().__init__()
        self.embedding = nn.Embedding(classes, latent) if classes else None
        self.first = nn.Linear(2 * latent if classes else latent, channels[0] * SIDE**2, bias=False)
        layers = [nn.Unflatten(1, (channels[0], SIDE, SIDE))]
        for a, b in pairwise(channels):
            layers += [nn.BatchNorm2d(a), ACTIVATIONS[activation]()]
            layers += doubling(upsampling, a, b, False)
        layers += [nn.BatchNorm2d(channels[-1]), ACTIVATIONS[activation]()]
        layers += [*doubling(upsampling, channels[-1], out_channels, True), nn.Tanh()]
        self.ladder = nn.Sequential(*layers)
        self.apply(initialise)
        for layer in self.ladder:
            if upsampling == "shuffle" and isinstance(layer, nn.Conv2d):
                one = layer.weight.data[::4]  # Aitken et al. 2017: the four pixels start equal
                layer.weight.data = one.repeat_interleave(4, 0)
        if classes:
            nn.init.normal_(self.embedding.weight, std=latent**-0.5)

    def forward(self, noise, labels=None):
        if self.embedding is not None:
            noise = torch.cat([noise, self.embedding(labels)], 1)
        return self.ladder(self.first(noise))


class Discriminator(nn.Module):
    def __init__(self, channels, in_channels, classes, spectral_norm, activation, batch_norm):
        super().__init__()
        layers = [nn.Conv2d(in_channels, channels[0], 4, 2, 1), ACTIVATIONS[activation]()]
        for a, b in pairwise(channels):
            normed = batch_norm and not spectral_norm
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=not normed)]
            layers += [nn.BatchNorm2d(b)] if normed else []
            layers += [ACTIVATIONS[activation]()]
        self.ladder = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(channels[-1] * SIDE**2, 1)
        self.embedding = nn.Embedding(classes, channels[-1] * SIDE**2) if classes else None
        self.apply(initialise)
        if classes:
            nn.init.normal_(self.embedding.weight, std=0.02)
        if spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, (nn.Conv2d, nn.Linear, nn.Embedding)):
                    spectrally_normed(module)

    def forward(self, images, labels=None):
        features = self.ladder(images)
        logits = self.last(features)[:, 0]
        if self.embedding is not None:
            logits = logits + torch.einsum("nf,nf->n", self.embedding(labels), features)
        return logits


def initialise(module):
    """Radford et al. 2015: normal with standard deviation 0.02."""
    if isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1, 0.02)
    elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
        nn.init.normal_(module.weight, 0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# ---------------------------------------------------------------- losses, of logits


def cross_entropy(real, fake, smoothing):
    of_real = (1 - smoothing) * F.logsigmoid(real) + smoothing * F.logsigmoid(-real)
    return -of_real.mean() - F.logsigmoid(-fake).mean()


def hinge(real, fake, smoothing):
    return (1 - smoothing - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()


JUDGED = {"minimax": cross_entropy, "non-saturating": cross_entropy, "hinge": hinge}
PAINTED = {
    "minimax": lambda fake: F.logsigmoid(-fake).mean(),  # log(1 - D)
    "non-saturating": lambda fake: -F.logsigmoid(fake).mean(),  # -log D
    "hinge": lambda fake: -fake.mean(),
}


def penalty(network, settings):
    weights = [w for w in network.parameters() if w.ndim > 1]
    l1, l2 = (sum((w.abs() ** power).sum() for w in weights) for power in (1, 2))
    return settings.l1 * l1 + settings.l2 * l2


# ---------------------------------------------------------------- the game


class Game:
    """A training of PyTorch's networks, with weights of their own at first.

    settings: the recipe's
    ours: {"generator", "discriminator": networks of tinydeconv}, whose .config says what to build
    """

    def __init__(self, settings, ours):
        kinds = {"generator": Generator, "discriminator": Discriminator}
        rates = {"generator": settings.generator_lr, "discriminator": settings.discriminator_lr}
        self.settings = settings
        self.networks = {name: kind(**ours[name].config) for name, kind in kinds.items()}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), lr=rates[name], betas=(settings.beta1, 0.999))
            for name, net in self.networks.items()
        }
        self.schedules = [
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.steps)
            for optimizer in self.optimizers.values()
        ]

    def update(self, images, labels, noise):
        """One step of both players; their losses.

        images, labels: a batch of the recipe's data, arrays
        noise: (n, latent), a tensor
        """
        real = torch.from_numpy(images / np.float32(127.5) - 1).to(noise.dtype)
        asked = [torch.from_numpy(labels)] if self.settings.classes else []
        fake = self.networks["generator"](noise, *asked)
        losses = {"discriminator": self.judge(real, fake, asked)}
        losses["generator"] = self.paint(fake, asked)
        for schedule in self.schedules:
            schedule.step()
        return losses

    def judge(self, real, fake, asked):
        """A step of the discriminator."""
        network, settings = self.networks["discriminator"], self.settings
        judged = network(real, *asked), network(fake.detach(), *asked)
        loss = JUDGED[settings.loss](*judged, settings.smoothing) + penalty(network, settings)
        return self.descend("discriminator", loss)

    def paint(self, fake, asked):
        """A step of the generator."""
        judged = self.networks["discriminator"](fake, *asked)
        loss = PAINTED[self.settings.loss](judged)
        return self.descend("generator", loss + penalty(self.networks["generator"], self.settings))

    def descend(self, name, loss):
        """A step of one optimiser, which leaves the other player's gradients alone."""
        self.optimizers[name].zero_grad()
        loss.backward(inputs=list(self.networks[name].parameters()))
        self.optimizers[name].step()
        return loss.item()
