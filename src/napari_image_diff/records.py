"""A comparison as JSON and its tables as CSV: for files, reports and other programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .comparison import Comparison

__all__ = ["list_rows", "make_record", "to_csv"]

# A cell that begins with one of these is a formula to a spreadsheet
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def make_record(comparison: Comparison) -> dict[str, Any]:
    """Return what was asked and what was found out, in the types of JSON: no NaN, that is None.

    It has ``verdict``, ``summary``, ``score``, ``threshold``, ``resolved`` (as in `Comparison`) and ``settings``.
    """
    names = ("verdict", "summary", "score", "threshold", "resolved")
    record = {name: getattr(comparison, name) for name in names}
    simple: dict[str, Any] = _simplify(record | {"settings": dataclasses.asdict(comparison.settings)})
    return simple


def list_rows(table: Mapping[str, NDArray[Any]]) -> list[dict[str, Any]]:
    """Return the rows of a table in the types of JSON, each with the names of its columns."""
    columns = [_simplify(column) for column in table.values()]
    return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]


def to_csv(table: Mapping[str, NDArray[Any] | Sequence[Any]]) -> bytes:
    """Return a table as RFC 4180 has it, in UTF-8; text that a spreadsheet would work out begins with an apostrophe."""
    text = io.StringIO()
    # Text in quotes stays one cell where a spreadsheet parts them by other signs
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(_defuse(name) for name in table)
    columns = [_simplify(column) for column in table.values()]
    writer.writerows([_defuse(cell) for cell in row] for row in zip(*columns, strict=True))
    # Names of files may have bytes that are no text
    return text.getvalue().encode(errors="backslashreplace")


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
