"""Text for people, of what may be anything."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["printable", "say_number", "shorten"]

# Of what somebody else has named, in a sentence
LONGEST_NAME = 80


def printable(text: str) -> str:
    """Return text with what cannot be seen or turns others round written out: line breaks, marks of direction."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def shorten(text: str) -> str:
    """Return text that can be seen, without its middle where it is long."""
    text, half = printable(text), LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}"


def say_number(value: Any, digits: int = 4) -> str:
    """Return a number for people: as many digits as say something, no exponent where it is not needed."""
    if value is None:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    size = math.floor(math.log10(abs(value)))
    if size < -4 or size > 11:
        return f"{value:.{digits - 1}e}"
    text = f"{value:,.{max(0, digits - 1 - size)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
