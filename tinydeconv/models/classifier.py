"""A small classifier of images, whose last layer but one serves as features for scores.

The plan is LeNet's (LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 1998), with
batch norm (Ioffe and Szegedy 2015) and ReLU: convolutions at a coarser and coarser resolution, then
dense layers.
"""

from itertools import pairwise

from .. import nn

WIDTH = 64  # of the features


class Classifier(nn.Module):
    """Images (N, in_channels, size, size) in [-1, 1] to logits (N, classes).

    channels: of each convolution, after which the resolution is halved
    """

    def __init__(self, classes=10, channels=(16, 32, 64), in_channels=1, size=32):
        left = size // 2 ** len(channels)  # pixels a side after the last halving
        if left < 1:
            raise ValueError(
                f"expected images of at least {2 ** len(channels)} pixels a side, which "
                f"{len(channels)} layers can halve, got {size}"
            )
        self.config = {
            "classes": classes, "channels": list(channels), "in_channels": in_channels,
            "size": size,
        }  # fmt: skip
        layers: list[nn.Module] = []
        for a, b in pairwise([in_channels, *channels]):
            # Pooled first, norm and ReLU have a quarter of the pixels; the norm has its own bias
            layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.MaxPool2d(2)]
            layers += [nn.BatchNorm2d(b), nn.ReLU()]
        dense = nn.Linear(channels[-1] * left**2, WIDTH, bias=False)
        layers += [nn.Flatten(), dense, nn.BatchNorm1d(WIDTH), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.last = nn.Linear(WIDTH, classes)

    def features(self, x):
        """What the logits are a linear function of, (N, 64)."""
        return self.body(x)

    def forward(self, x):
        return self.last(self.features(x))
