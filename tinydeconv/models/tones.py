"""A generator of short tones: transposed convolutions, as in WaveGAN, told what note to play.

The shapes are those of Donahue, McAuley and Puckette ("Adversarial audio synthesis", ICLR 2019):
every transposed convolution has a kernel of 25 samples and makes a wave four times as long. What
they had not:

- a layer is shown sines and cosines of the note that is asked for, and of its overtones, at each of
  its samples: layers that have the same kernel everywhere find it hard to keep in step (Engel et
  al., "GANSynth", ICLR 2019), and a sine keeps them (Wang, Takaki and Yamagishi, ICASSP 2019);
- what is asked for scales each channel (as in FiLM, Perez et al., AAAI 2018);
- the last layer gives a wave and, apart from it, how loud it is (van den Oord et al., "WaveNet",
  2016, has such gates in each layer).
"""

from itertools import pairwise
from math import pi

import numpy as np

from .. import nn, ops
from ..data.tones import FREQUENCIES, NOTES, RATE, TIMBRES
from ..nn import functional as F

SEED = 16  # samples of the shortest wave inside
STRIDE, KERNEL = 4, 25


class ToneGenerator(nn.Module):
    """Noise (N, latent), and numbers (N,) of timbres and of notes, to waves (N, 1, length) in
    [-1, 1] at data.tones.RATE.

    channels: how many of 16 samples, of 64 and so on; four give a length of 4096
    hidden: channels between the request and the first of these
    harmonics: how many sines and cosines of the note a layer is shown, beside the channels
    """

    def __init__(self, latent=16, channels=(64, 48, 32, 16), hidden=128, harmonics=8):
        if len(channels) < 1:
            raise ValueError(f"expected channels of at least one length, got {channels}")
        self.config = {
            "latent": latent, "channels": list(channels), "hidden": hidden, "harmonics": harmonics,
        }  # fmt: skip
        self.length = SEED * STRIDE ** len(channels)
        self.timbre = nn.Embedding(len(TIMBRES), latent)
        self.note = nn.Embedding(len(NOTES), latent)
        self.first = nn.Sequential(
            nn.Linear(3 * latent, hidden), nn.ReLU(), nn.Linear(hidden, channels[0] * SEED),
            nn.Unflatten(1, (channels[0], SEED)),
        )  # fmt: skip
        wide = [n + 2 * harmonics for n in channels]  # with the phases
        self.scales = nn.ModuleList(nn.Linear(3 * latent, n) for n in wide)
        self.ladder = nn.ModuleList(
            nn.ConvTranspose1d(n, b, KERNEL, STRIDE, padding=11, output_padding=1)
            for n, (_, b) in zip(wide, pairwise((*channels, 2)))
        )
        for number, layer in enumerate(self.ladder, 1):
            # as many products as meet in a sample; the last layer starts quietly
            met, gain = layer.in_channels * KERNEL / STRIDE, 0.2 if number == len(channels) else 1
            nn.init.normal_(layer.weight, 0, gain * (2 / met) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, noise, timbres, notes):
        asked = ops.cat([noise, self.timbre(timbres), self.note(notes)], 1)
        h = self.first(asked)
        for scale, layer in zip(self.scales, self.ladder):
            h = ops.cat([F.relu(h), self._phases(notes, h)], 1)
            h = layer(h * scale(asked).unsqueeze(2))
        wave, loudness = ops.chunk(h, 2, 1)
        return wave.tanh() * loudness.sigmoid()

    def _phases(self, notes, h):
        """Sines and cosines of the notes' harmonics at the times of the samples of h (N, C, T), as
        (N, 2 * harmonics, T).
        """
        times = np.arange(h.shape[2]) * (self.length / h.shape[2] / RATE)
        harmonics = np.arange(1, self.config["harmonics"] + 1)
        phases = 2 * pi * FREQUENCIES[:, None, None] * harmonics[:, None] * times
        table = np.concatenate([np.sin(phases), np.cos(phases)], 1)
        return ops.tensor(table, dtype=h.dtype, device=h.device)[notes]
