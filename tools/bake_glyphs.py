"""Writes tinydeconv/data/glyphs.npz: the characters of tinydeconv.data.Glyphs, drawn once.

    python tools/bake_glyphs.py

The fonts are those that matplotlib carries; its FreeType decides the pixels (another version moves
one in 400, by up to 4 of 255), so the file is written once and kept.
"""

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ft2font import FT2Font, LoadFlags

from tinydeconv.data.glyphs import ATLAS, CELL, GLYPHS
from tinydeconv.serialize import write_atomically

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FACES = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono"),
    *("DejaVuSansMono-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
)
POINTS = 48  # at 72 dots an inch: pixels an em, so that the widest, W, fits into a cell


def draw(font, character):
    """The ink of one character in the middle of a cell, uint8 (CELL, CELL), smooth at its edges."""
    font.clear()
    font.set_size(POINTS, 72)
    font.set_text(character, 0, flags=LoadFlags.NO_HINTING)
    font.draw_glyphs_to_bitmap(antialiased=True)
    ink = np.asarray(font.get_image())
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cell = np.zeros((CELL, CELL), np.uint8)
    top, left = ((CELL - side) // 2 for side in ink.shape)
    cell[top : top + ink.shape[0], left : left + ink.shape[1]] = ink
    return cell


def bake():
    """(faces, characters, CELL, CELL), uint8."""
    fonts = (FT2Font(str(FONTS / f"{face}.ttf")) for face in FACES)
    return np.stack([np.stack([draw(font, character) for character in GLYPHS]) for font in fonts])


if __name__ == "__main__":
    buffer = io.BytesIO()
    np.savez_compressed(buffer, faces=FACES, glyphs=bake())
    write_atomically(ATLAS, buffer.getvalue())
    print(f"{ATLAS}: {len(buffer.getvalue()):,} bytes")
