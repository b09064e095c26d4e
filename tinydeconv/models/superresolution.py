"""Small networks that enlarge grey photographs; they differ in how few pixels become many.

The trunk is that of FSRCNN (Dong, Loy and Tang, "Accelerating the super-resolution convolutional
neural network", ECCV 2016), which works at the small size, where a pixel costs least. What it has
found becomes pixels by one of

- "transposed": a transposed convolution of 9x9, as in FSRCNN;
- "shuffle": scale^2 channels that are laid out as pixels, as in ESPCN (Shi et al., CVPR 2016);
- "resize": nearest neighbours and a convolution of 5x5, as Odena, Dumoulin and Olah advise
  ("Deconvolution and checkerboard artifacts", Distill 2016).
"""

from functools import partial
from itertools import pairwise
from typing import Any

from .. import nn
from ..nn import functional as F
from ..ops import cat

SCALES = 2, 4
UPSAMPLINGS = "transposed", "shuffle", "resize"
GREY = 0.5  # subtracted, so that what the layers add around an image is not black


def bicubic(images, scale):
    """(N, C, H, W) enlarged `scale` times, or shrunk for a scale below 1 to sizes rounded down.

    Keys' cubic kernel (1981, a = -1/2), as wide as 4 pixels of the smaller image, its weights
    made to sum to 1 at the borders: what Pillow's resize does with floats.
    """
    size = [int(n * scale) for n in images.shape[2:]]
    return F.interpolate(images, size, mode="bicubic", antialias=True)


class SuperResolution(nn.Module):
    """Grey images (N, 1, h, w) to larger ones (N, 1, scale * h, scale * w).

    scale: 2 or 4
    upsampling: "transposed", "shuffle" or "resize"
    channels: of the features, and after the shrinking layer and each mapping one, so three at least

    The network predicts what bicubic enlargement lacks. Its last layer starts close to zero, so it
    starts close to that; the pixels of a shuffle start equal (ICNR, Aitken et al. 2017).
    """

    def __init__(self, scale=2, upsampling="shuffle", channels=(32, 12, 12, 12, 12)):
        if scale not in SCALES:
            raise ValueError(f"expected a scale of 2 or 4, got {scale!r}")
        if upsampling not in UPSAMPLINGS:
            raise ValueError(
                f"expected upsampling {', '.join(UPSAMPLINGS[:-1])} or {UPSAMPLINGS[-1]}, got "
                f"{upsampling!r}"
            )
        if len(channels) < 3:
            raise ValueError(f"expected at least three channels, got {channels}")
        self.config = {"scale": scale, "upsampling": upsampling, "channels": list(channels)}
        self.scale = scale
        features, narrow, *_, mapped = channels
        mappings = list(pairwise(channels[1:]))
        self.margin = 4 + len(mappings)  # pixels of the small image, as far as the network looks
        layers = [nn.Conv2d(1, features, 5, padding=2), nn.Conv2d(features, narrow, 1)]
        layers += [nn.Conv2d(a, b, 3, padding=1) for a, b in mappings]
        layers += [nn.Conv2d(mapped, features, 1)]
        for layer in layers:
            _initialise(layer, 0.25)  # the slope with which PReLU starts
        self.trunk = nn.Sequential(
            *(part for layer in layers for part in (layer, nn.PReLU(layer.out_channels)))
        )
        start = partial(nn.init.normal_, std=1e-4)
        last: Any
        if upsampling == "transposed":
            last = nn.ConvTranspose2d(features, 1, 9, scale, padding=4, output_padding=scale - 1)
            self.upsampling = last
        elif upsampling == "shuffle":
            last = nn.Conv2d(features, scale**2, 3, padding=1)
            start = partial(nn.init.icnr_, init=start, upscale_factor=scale)
            self.upsampling = nn.Sequential(last, nn.PixelShuffle(scale))
        else:
            last = nn.Conv2d(features, 1, 5, padding=2)
            self.upsampling = nn.Sequential(nn.Upsample(scale_factor=scale), last)
        start(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, small):
        return bicubic(small, self.scale) + self.upsampling(self.trunk(small - GREY))


class PairDiscriminator(nn.Module):
    """Small images (N, 1, h, w) and large ones to logits (N, 1, h, w): how much the large one looks
    like the photograph that the small one was made of, around each of its pixels.

    Both are seen together, as in Isola et al. (CVPR 2017): so it is not enough to paint something
    sharp, it has to suit. Of the large image it sees what bicubic enlargement of the small one
    lacks, ten times as strong, since that is all that can betray a painted one; convolutions of
    stride 2 bring it to the small one's size.
    """

    def __init__(self, scale=2, channels=(16, 32)):
        few, many = channels
        self.scale = scale
        self.down = nn.ModuleList(
            nn.Conv2d(n, few, 4, stride=2, padding=1) for n in (1, few)[: SCALES.index(scale) + 1]
        )
        self.judge = nn.Sequential(
            nn.Conv2d(few + 1, many, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(many, many, 3, padding=1), nn.LeakyReLU(0.2),
            nn.Conv2d(many, 1, 3, padding=1),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                _initialise(layer, 0.2)

    def forward(self, small, large):
        h = 10 * (large - bicubic(small, self.scale))
        for down in self.down:
            h = F.leaky_relu(down(h), 0.2)
        return self.judge(cat([h, small - GREY], 1))


def _initialise(layer, slope):
    """Normal weights that keep the variance through a leaky ReLU (He et al. 2015), and no bias."""
    nn.init.kaiming_normal_(layer.weight, a=slope)
    nn.init.zeros_(layer.bias)
