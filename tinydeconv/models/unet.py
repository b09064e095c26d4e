"""A U-Net: from one picture another of the same size, in whose making both sizes of things count.

On the way down convolutions halve the size and see more and more of the picture; on the way up
transposed convolutions paint. What the way down knew at a size stands beside what the way up makes
of it (Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image
segmentation", MICCAI 2015), so that a thin line need not pass through the smallest picture. Kernels
of 4, strides of 2 and batch norm are those of Isola et al. ("Image-to-image translation with
conditional adversarial networks", CVPR 2017).
"""

from itertools import pairwise

from .. import nn
from ..ops import cat, tensor
from .gan import _initialise


class UNet(nn.Module):
    """Pictures (N, in_channels, H, W) of any size to others (N, out_channels, H, W) in [-1, 1].

    channels: how many at half the size, at a quarter, and so on

    A size that is no multiple of what the network halves by is continued by the picture's mirror
    image, and the answer is cut again. There is no dropout, which is the noise of Isola et al.: so
    the same picture has the same answer.
    """

    def __init__(self, in_channels=1, out_channels=1, channels=(16, 32, 64, 64)):
        if len(channels) < 1:
            raise ValueError(f"expected channels of at least one resolution, got {channels}")
        self.config = {
            "in_channels": in_channels, "out_channels": out_channels, "channels": list(channels),
        }  # fmt: skip
        self.multiple = 2 ** len(channels)
        self.margin = 3 * self.multiple  # pixels: it looks 3 less far, through the smallest picture
        self.first = nn.Conv2d(in_channels, channels[0], 4, stride=2, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(0.2), nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(b),
            )
            for a, b in pairwise(channels)
        )  # fmt: skip
        # from the smallest picture on; all but it stand beside what is painted at their size
        above = [channels[-1], *(2 * n for n in channels[-2::-1])]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(), nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(b),
            )
            for a, b in zip(above, channels[-2::-1])
        )  # fmt: skip
        self.last = nn.ConvTranspose2d(above[-1], out_channels, 4, stride=2, padding=1)
        self.apply(_initialise)

    def forward(self, images):
        height, width = images.shape[2:]
        h = self.first(mirrored(images, self.multiple))
        skips = []
        for down in self.down:
            skips.append(h)
            h = down(h)
        for up in self.up:
            h = cat([up(h), skips.pop()], 1)
        return self.last(h.relu()).tanh()[:, :, :height, :width]


def mirrored(images, multiple):
    """Images (N, C, H, W) continued downwards and to the right by their mirror image, until both
    sizes are multiples.
    """
    for axis in (2, 3):
        n = images.shape[axis]
        if n % multiple:
            there_and_back = [*range(n), *reversed(range(n))]
            places = [there_and_back[i % (2 * n)] for i in range(n + -n % multiple)]
            images = images.index_select(axis, tensor(places, device=images.device))
    return images
