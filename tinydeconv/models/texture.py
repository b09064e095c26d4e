"""A generator of textures of any size: Spatial GAN (Jetchev, Bergmann and Vollgraf 2016)."""

from itertools import pairwise
from typing import Any

from .. import nn
from .gan import _check, _initialise


class TextureGenerator(nn.Module):
    """Noise (N, latent, h, w) to pictures (N, out_channels, H, W) in [-1, 1], `factor` pixels a
    cell of noise, but for the `margin` cells on each side: H = (h - 2 * margin) * factor.

    latent: numbers in a cell of noise
    channels: how many at a pixel a cell, at two pixels a cell, and so on; the last transposed
        convolution doubles once more, so three give a factor of 8
    looks: how many convolutions come before the first that doubles; with each of them a pixel
        depends on one more cell on every side, so that neighbours can fit together

    No layer pads. So every pixel is painted by the same rule from the cells around it: there are no
    borders, noise that repeats gives a picture that repeats, and a picture can be painted part by
    part (the paper's layers pad with zeros).
    """

    def __init__(self, latent=16, channels=(64, 64, 48), out_channels=1, looks=3):
        _check(channels, 0, "relu")
        if looks < 1:
            raise ValueError(f"expected looks of at least 1, got {looks}")
        self.config = {
            "latent": latent, "channels": list(channels), "out_channels": out_channels,
            "looks": looks,
        }  # fmt: skip
        self.factor, self.margin = 2 ** len(channels), looks + 1
        layers: list[Any] = [nn.Conv2d(latent, channels[0], 3, bias=False)]
        for _ in range(looks - 1):
            layers += [nn.BatchNorm2d(channels[0]), nn.ReLU()]
            layers += [nn.Conv2d(channels[0], channels[0], 3, bias=False)]
        for a, b in pairwise((*channels, None)):
            layers += [nn.BatchNorm2d(a), nn.ReLU()]
            # 4 wide, of which two taps reach each pixel: padding=2 cuts off where only one does
            layers += [nn.ConvTranspose2d(a, b or out_channels, 4, stride=2, padding=2, bias=not b)]
        self.ladder = nn.Sequential(*layers, nn.Tanh())
        self.apply(_initialise)

    def forward(self, noise):
        latent, least = self.config["latent"], 2 * self.margin + 1
        if noise.ndim != 4 or noise.shape[1] != latent or min(noise.shape[2:]) < least:
            raise ValueError(
                f"expected noise (N, {latent}, h, w) of {least} cells or more a side, "
                f"{self.margin} of them around the picture on each side, got shape {noise.shape}"
            )
        # n cells become 2 n - 2, three times over 8 n - 14: one pixel too many on each side
        return self.ladder(noise)[:, :, 1:-1, 1:-1]
