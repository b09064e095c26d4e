"""The twin of the recipe `vae` in PyTorch: the network of tinydeconv/models/vae.py, weight for
weight under the same names, and the steps of tinydeconv/recipes/vae.py.

Written from the paper's formulas and PyTorch's own layers and distributions; of tinydeconv it takes
numbers alone.
"""

from itertools import pairwise

import torch
import twin
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self, latent, channels, in_channels, classes, likelihood, upsampling):
        super().__init__()
        self.side, first = twin.SIDE * 2 ** len(channels), in_channels + (classes > 0)
        self.decoder = twin.Generator(latent, channels, in_channels, classes, "relu", upsampling)
        self.planes = nn.Embedding(classes, self.side**2) if classes else None
        narrow = channels[::-1]
        layers = [nn.Conv2d(first, narrow[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(narrow):
            layers += [nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.mean = nn.Linear(narrow[-1] * twin.SIDE**2, latent)
        self.log_variance = nn.Linear(narrow[-1] * twin.SIDE**2, latent)
        if likelihood == "gaussian":
            self.log_sigma = nn.Parameter(torch.log(torch.tensor(0.2)))

    def parts(self, images, labels, noise):
        """(log p(x | z), KL from the prior), both (n,): images in [-1, 1]."""
        x = images
        if self.planes is not None:
            drawn = self.planes(labels).unflatten(1, (1, self.side, self.side))
            x = torch.cat([x, drawn], 1)
        features = self.encoder(x)
        q = Normal(self.mean(features), torch.exp(0.5 * self.log_variance(features)))
        asked = [] if self.planes is None else [labels]
        painted = self.paint(q.loc + q.scale * noise, *asked)
        fit = self.likelihood((images + 1) / 2, painted).sum((1, 2, 3))
        return fit, kl_divergence(q, Normal(torch.zeros_like(noise), 1)).sum(1)

    def paint(self, z, labels=None):
        """What the decoder gives to its tanh."""
        kept = []
        hook = self.decoder.ladder[-1].register_forward_pre_hook(lambda _, x: kept.append(x[0]))
        self.decoder(z, labels)
        hook.remove()
        return kept[0]

    def likelihood(self, pixels, painted):
        if hasattr(self, "log_sigma"):
            return Normal((torch.tanh(painted) + 1) / 2, self.log_sigma.exp()).log_prob(pixels)
        black = -2 * painted  # (1 + tanh(a)) / 2 = 1 / (1 + exp(-2 a))
        return pixels * F.logsigmoid(-black) + (1 - pixels) * F.logsigmoid(black)


class Training:
    """Of PyTorch's network, with weights of its own at first."""

    def __init__(self, settings, ours):
        self.settings = settings
        self.network = VAE(**ours.config, upsampling=ours.decoder.config["upsampling"])
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.lr)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, settings.steps)

    def update(self, images, labels, noise):
        """One step; its losses.

        images, labels: a batch of the recipe's data, arrays
        noise: (n, latent), a tensor, whose dtype all has
        """
        fit, off = self.network.parts(*self.given(images, labels, noise))
        loss = self.settings.beta * off.mean() - fit.mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"reconstruction": -fit.mean().item(), "divergence": off.mean().item()}

    def elbo(self, images, labels, noise):
        """The mean over images that were not learned from."""
        self.network.eval()
        with torch.no_grad():
            fit, off = self.network.parts(*self.given(images, labels, noise))
        return (fit - off).mean().item()

    @staticmethod
    def given(images, labels, noise):
        return torch.from_numpy(images).to(noise.dtype) / 127.5 - 1, torch.tensor(labels), noise
