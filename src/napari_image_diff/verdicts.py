"""What a person may make of a region."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["LONGEST_NOTE", "NOT_REAL", "OPEN", "REAL", "VERDICTS", "Verdict"]

Verdict = Literal["open", "real", "not real"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OPEN, REAL, NOT_REAL = VERDICTS

# A note goes into one cell of a table: spreadsheets take 32,767 letters, Python's csv reads 131,072
LONGEST_NOTE = 10_000
