"""Endless characters: 62 of them, in 8 faces of the DejaVu fonts, never set down the same way.

glyphs.npz has them, drawn once by tools/bake_glyphs.py; LICENSE_DEJAVU is the fonts' licence.
"""

import string
from functools import cache
from pathlib import Path

import numpy as np

from .transforms import warp

ATLAS = Path(__file__).with_name("glyphs.npz")
CELL = 64  # pixels a side of a character in the atlas
GLYPHS = string.digits + string.ascii_uppercase + string.ascii_lowercase  # by label

JITTER = np.array([(-0.25, 0.25), (-0.2, 0.2), (0.8, 1.1)])  # angle in radians, shear, scale
SHIFT = 3 / 32  # of the frame, where there is room


@cache
def _atlas():
    """The ink, uint8 (faces, characters, CELL, CELL), read-only."""
    with np.load(ATLAS, allow_pickle=False) as file:
        glyphs = file["glyphs"]
    glyphs.setflags(write=False)
    return glyphs


class Glyphs:
    """Characters of 8 faces, turned, slanted, scaled and shifted at random, wholly in the frame.

    classes: 10, the digits, or 62, letters too (of which some look alike: `I` and `l`, `O` and `o`)
    size: 16, 32 or 64 pixels a side

    Image (epoch, index) is drawn from a generator keyed by (seed, epoch, index). All classes, faces
    and jitters are equally likely.
    """

    def __init__(self, classes=10, size=32, seed=0):
        if classes not in (10, len(GLYPHS)):
            raise ValueError(f"expected 10 or {len(GLYPHS)} classes of glyphs, got {classes}")
        if size not in (16, 32, CELL):
            raise ValueError(f"expected glyphs of 16, 32 or {CELL} pixels a side, got {size}")
        self.classes, self.size, self.seed = classes, size, seed
        cells = _atlas()[:, :classes]
        self._faces = len(cells)
        blocks = cells.reshape(-1, size, CELL // size, size, CELL // size)
        self._cells = blocks.mean((2, 4), dtype=np.float32).reshape(*cells.shape[:2], 1, size, size)
        # How far from the middle ink may be: one pixel beyond the last one, between two pixels
        away = np.abs(np.arange(size) - (size - 1) / 2)
        inked = self._cells[:, :, 0] > 0
        rows, columns = (np.where(inked.any(axis), away, 0).max(-1) for axis in (3, 2))
        self._reach = np.stack([rows, columns], -1) + 1

    def batch(self, epoch, indices):
        """(images, labels): ink bright on black, uint8 (n, 1, size, size), and int64 (n,)."""
        generators = (np.random.default_rng([self.seed, epoch, index]) for index in indices)
        drawn = np.array([generator.random(7) for generator in generators])
        face = (drawn[:, 0] * self._faces).astype(np.int64)
        label = (drawn[:, 1] * self.classes).astype(np.int64)
        angle, shear, scale = (drawn[:, 2:5] * np.ptp(JITTER, 1) + JITTER[:, 0]).T
        cos, sin = np.cos(angle), np.sin(angle)
        there = np.array([[cos - shear * sin, -sin], [sin + shear * cos, cos]]).transpose(2, 0, 1)
        back = np.array([[cos, sin], [-sin - shear * cos, cos - shear * sin]]).transpose(2, 0, 1)
        reach = (np.abs(there) * self._reach[face, label][:, None]).sum(2)  # of the turned ink
        frame = (self.size - 1) / 2
        scale = np.minimum(scale, frame / reach.max(1))[:, None]
        room = np.clip(frame - scale * reach, 0, SHIFT * self.size)
        shift = (2 * drawn[:, 5:] - 1) * room
        images = warp(self._cells[face, label], back / scale[:, :, None], shift)
        return np.rint(images).astype(np.uint8), label
