"""Lines of text as pictures, for captions: in the font that napari brings along."""

from __future__ import annotations

import functools
import importlib.resources
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .words import printable

__all__ = ["SIZE", "Theme", "draw_lines", "measure_text", "pack"]

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

# Height of the letters, in pixels
SIZE = 14

# Between two lines, as a share of their height
LEADING = 1.3

# Of the packages that napari needs; Pillow's own font has ASCII and little else, no "µ" and no "é"
FONT = ("napari_resources", "resources/fonts/M_PLUS_1p/MPLUS1p-Regular.ttf")

# No font has a letter there, and so each shows what it has for such
NO_LETTER = "\U0010fffd"

BETWEEN = "  ·  "


class Theme(NamedTuple):
    """The colours round pictures, RGB."""

    ground: Color
    ink: Color


def draw_lines(lines: Sequence[str], width: int, theme: Theme, size: int = SIZE) -> Picture:
    r"""Return lines of text as a picture, RGB, exactly so wide; what does not fit ends in "…".

    What cannot be seen, and letters that the font does not have, are written out, as ``\u202e``.
    """
    from PIL import Image, ImageDraw

    font, height = _load_font(size), round(size * LEADING)
    picture = Image.new("RGB", (max(1, width), max(1, height * len(lines))), theme.ground)
    pen = ImageDraw.Draw(picture)
    for number, line in enumerate(lines):
        # On one base line, whatever letters there are
        pen.text((0, number * height + size), _shorten(_spell(line, size), width, font), theme.ink, font, anchor="ls")
    return np.array(picture)[: height * len(lines)]


def measure_text(text: str, size: int = SIZE) -> int:
    """Return how wide a line of text is, in pixels."""
    return int(np.ceil(_load_font(size).getlength(_spell(text, size))))


def pack(parts: Sequence[str], width: int, size: int = SIZE) -> list[str]:
    """Return parts of a text in as few lines as they fit, none of them broken."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}{BETWEEN}{part}" if lines else part
        if lines and measure_text(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


@functools.cache
def _load_font(size: int) -> Any:
    from PIL import ImageFont

    try:
        file = io.BytesIO(importlib.resources.files(FONT[0]).joinpath(FONT[1]).read_bytes())
        # Basic: whether letters are shaped must not depend on how Pillow was built
        return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC)
    except (ImportError, OSError):
        return ImageFont.load_default(size=size)


def _spell(text: str, size: int) -> str:
    """Return a text with all that a picture cannot show written out."""
    return "".join(
        letter if _has(letter, size) else letter.encode("unicode_escape").decode() for letter in printable(text)
    )


@functools.lru_cache(maxsize=4096)
def _has(letter: str, size: int) -> bool:
    """Return whether the font has a letter."""
    font = _load_font(size)
    mask, none = font.getmask(letter), font.getmask(NO_LETTER)
    return letter.isascii() or mask.size != none.size or bytes(mask) != bytes(none)


def _shorten(text: str, width: int, font: Any) -> str:
    """Return as much of the beginning of a text as fits."""
    if font.getlength(text) <= width:
        return text
    fits, too_long = 0, len(text)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if font.getlength(text[:middle] + "…") <= width else (fits, middle)
    return text[:fits].rstrip() + "…"
