"""A network that paints what a picture lacks: a hole, or what a JPEG file has lost.

The idea is that of context encoders (Pathak, Krähenbühl, Donahue, Darrell and Efros, "Context
encoders: feature learning by inpainting", CVPR 2016): convolutions of stride 2 read the picture
until little room is left, transposed convolutions paint it again, and only who has understood what
is in the picture can paint what is missing.
"""

from itertools import pairwise

from .. import nn
from ..nn import functional as F
from .denoiser import _kaiming
from .unet import mirrored

SLOPE = 0.2  # below 0: with none, a few long steps can close a layer for good


class Filler(nn.Module):
    """Pictures (N, in_channels, H, W) of any size to others (N, out_channels, H, W), around 0.

    channels: how many at half the size, at a quarter, and so on
    skips: whether what the encoder has read at each size is added to what the decoder paints, and
        the picture to the answer. With them detail passes, and the network, whose last layer starts
        at zero, starts as the identity; without them all has to go through the smallest size.

    A size that is no multiple of what the network halves by is continued by the picture's mirror
    image, and the answer is cut again.
    """

    each_plane = True  # a grey network restores the planes of a colour picture one by one

    def __init__(self, in_channels=1, out_channels=1, channels=(32, 64, 128), skips=False):
        if len(channels) < 1:
            raise ValueError(f"expected channels of at least one resolution, got {channels}")
        if skips and in_channels != out_channels:
            raise ValueError(
                f"expected as many channels out as in, with skips, got {in_channels} in and "
                f"{out_channels} out"
            )
        self.config = {
            "in_channels": in_channels, "out_channels": out_channels, "channels": list(channels),
            "skips": skips,
        }  # fmt: skip
        self.skips, self.multiple = skips, 2 ** len(channels)
        self.margin = 3 * self.multiple  # pixels: it looks 3 less far, through the smallest picture
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise([in_channels, *channels])
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1)
            for a, b in reversed([*pairwise(channels)])
        )
        self.last = nn.ConvTranspose2d(channels[0], out_channels, 4, stride=2, padding=1)
        for layer in (*self.down, *self.up):
            _kaiming(layer)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def features(self, images):
        """What the encoder has read: (N, channels[-1], H / multiple, W / multiple), rounded up."""
        return self._read(images)[-1]

    def _read(self, images):
        """What stands at each size, the largest first."""
        sizes, h = [], mirrored(images, self.multiple)
        for down in self.down:
            h = F.leaky_relu(down(h), SLOPE)
            sizes.append(h)
        return sizes

    def forward(self, images):
        *skips, h = self._read(images)
        for up in self.up:
            h = up(h)
            h = F.leaky_relu(h + skips.pop() if self.skips else h, SLOPE)
        painted = self.last(h)[:, :, : images.shape[2], : images.shape[3]]
        return images + painted if self.skips else painted
