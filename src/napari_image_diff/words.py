"""Text for people, of what may be anything."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return text with what cannot be seen or turns others round written out: line breaks, marks of direction."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
