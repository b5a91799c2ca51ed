"""A comparison as JSON and its tables as CSV: for files, reports and other programs."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from .comparison import Comparison

__all__ = ["list_rows", "make_record", "to_csv"]

# A cell that begins with one of these is a formula to a spreadsheet
FORMULAS = ("=", "+", "-", "@", "\t", "\r")


def make_record(comparison: Comparison) -> dict[str, Any]:
    """Return what was asked and what was found out, in the types of JSON: no NaN, that is None.

    It has ``verdict``, ``summary``, ``score``, ``threshold``, ``resolved`` (as in `Comparison`) and ``settings``.
    """
    names = ("verdict", "summary", "score", "threshold", "resolved")
    record = {name: getattr(comparison, name) for name in names}
    simple: dict[str, Any] = _simplify(record | {"settings": dataclasses.asdict(comparison.settings)})
    return simple


def list_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table in the types of JSON, each with the names of its columns."""
    columns = {str(name): table[name].tolist() for name in table}
    return [
        {name: _simplify(value) for name, value in zip(columns, row, strict=True)}
        for row in zip(*columns.values(), strict=True)
    ]


def to_csv(table: pd.DataFrame) -> bytes:
    """Return a table as RFC 4180 has it, in UTF-8; text that a spreadsheet would work out begins with an apostrophe."""
    safe = table.map(_defuse).rename(columns=_defuse)
    return safe.to_csv(index=False, lineterminator="\r\n").encode()


def _defuse(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell


def _simplify(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _simplify(each) for name, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _simplify(value.tolist())
    if isinstance(value, list | tuple):
        return [_simplify(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
