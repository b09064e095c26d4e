"""A small denoiser: convolutions on the way down, transposed convolutions on the way up.

The idea is RED-Net's (Mao, Shen and Yang, NIPS 2016): each transposed convolution mirrors a
convolution, and what the convolution read is added to what the transposed one paints. Here every
pair has stride 2, so most of the work happens at a coarse resolution, where it costs little. How
strong the noise is comes in beside the image, as in FFDNet (Zhang, Zuo and Zhang, IEEE Trans. Image
Processing 27, 2018), so one network serves weak noise and strong.
"""

from itertools import pairwise
from math import prod, sqrt

from .. import nn
from ..ops import cat


class Denoiser(nn.Module):
    """Noisy grey images (N, 1, H, W), with the standard deviation (N,) of each one's noise, to
    clean ones of the same size, which may be odd.

    channels: how many at each resolution, the full one first. The network predicts the noise and
    subtracts it; its last layer starts at zero, so it starts as the identity.
    """

    def __init__(self, channels=(16, 24, 48)):
        if len(channels) < 2:
            raise ValueError(f"expected channels of at least two resolutions, got {channels}")
        self.config = {"channels": list(channels)}
        self.margin = 4 * 2 ** (len(channels) - 1)  # pixels, at least as far as the network looks
        full, *_, coarsest = channels
        pairs = list(pairwise(channels))
        self.first = nn.Conv2d(2, full, 3, padding=1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.middle = nn.Conv2d(coarsest, coarsest, 3, padding=1)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1) for a, b in reversed(pairs)
        )
        self.last = nn.ConvTranspose2d(full, 1, 3, padding=1)
        for layer in (self.first, *self.down, self.middle, *self.up):
            _kaiming(layer)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, noisy, sigma):
        level = sigma.reshape(-1, 1, 1, 1).expand(noisy.shape)
        h, skips = self.first(cat([noisy, level], 1)).relu(), []
        for down in self.down:
            skips.append(h)
            h = down(h).relu()
        h = self.middle(h).relu()
        for up in self.up:
            skip = skips.pop()
            # Two sizes of image, 2n and 2n + 1, shrink to n: the skip knows which one it was.
            h = (up(h, output_size=skip.shape[2:]) + skip).relu()
        return noisy - self.last(h)


def _kaiming(layer):
    """Normal weights that keep the variance through a ReLU (He et al. 2015), and no bias.

    The fan in of a transposed convolution: every input paints prod(kernel) pixels, and there are
    prod(stride) pixels for every input.
    """
    fan = layer.in_channels * prod(layer.kernel_size)
    if isinstance(layer, nn.ConvTranspose2d):
        fan /= prod(layer.stride)
    nn.init.normal_(layer.weight, 0, sqrt(2 / fan))
    nn.init.zeros_(layer.bias)
