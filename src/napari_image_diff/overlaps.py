"""What sets of pixels share with each other, told by their spans.

A *span* is a stretch of neighbouring pixels in one row, with a number that says what it is a part of. A volume is one
tall plane, its planes one under the other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["NO_SPANS", "Shared", "Spans", "count_shared", "find_spans", "pick_spans", "sort_spans"]

_compile = njit(nogil=True, error_model="numpy", cache=True)


class Spans(NamedTuple):
    """Spans in the order of their rows."""

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    """First column of each."""
    stops: NDArray[np.int64]
    """Column after the last of each."""
    numbers: NDArray[np.int64]
    """What each is a part of, from 1 on."""


NO_SPANS = Spans(*np.empty((4, 0), np.int64))


class Shared(NamedTuple):
    """How many pixels two numbers share, for all pairs that share any."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    pixels: NDArray[np.int64]


def find_spans(labels: NDArray[Any], rows: NDArray[np.int64]) -> Spans:
    """Return the spans of equal labels, but for 0, in some rows of a plane (H, W); `rows` are in order, none twice."""
    # Once to count them, once to take them
    count = _find_spans(labels, rows, np.empty((0, 4), np.int64))
    found = np.empty((count, 4), np.int64)
    _find_spans(labels, rows, found)
    return Spans(*found.T)


def sort_spans(spans: Spans) -> Spans:
    """Return spans in the order of their rows, and those of a row as they were."""
    order = np.argsort(spans.rows, kind="stable")
    return Spans(*(column[order] for column in spans))


def pick_spans(spans: Spans, kept: NDArray[np.bool_]) -> Spans:
    """Return the spans that are marked in `kept`."""
    return Spans(*(column[kept] for column in spans))


def count_shared(scanned: Spans, painted: Spans, width: int) -> Shared:
    """Return how many pixels each number of `scanned` shares with each of `painted`.

    Where those of `painted` lie upon each other, only the last of a row counts. What is beyond `width` columns does not
    count.
    """
    count = _count_shared(*scanned, *painted, width, np.empty((0, 3), np.int64))
    found = np.empty((count, 3), np.int64)
    _count_shared(*scanned, *painted, width, found)
    one, other, pixels = found.T
    factor = int(other.max(initial=0)) + 1
    pairs, places = np.unique(one * factor + other, return_inverse=True)
    total = np.zeros(len(pairs), np.int64)
    np.add.at(total, places, pixels)
    return Shared(pairs // factor, pairs % factor, total)


@_compile
def _find_spans(labels, rows, found):  # type: ignore[no-untyped-def]
    count = 0
    for row in rows:
        line = labels[row]
        column = 0
        while column < line.size:
            start, label = column, line[column]
            while column < line.size and line[column] == label:
                column += 1
            if label == 0:
                continue
            if count < len(found):
                found[count, 0] = row
                found[count, 1] = start
                found[count, 2] = column
                found[count, 3] = label
            count += 1
    return count


@_compile
def _count_shared(  # type: ignore[no-untyped-def]
    s_rows, s_starts, s_stops, s_numbers, p_rows, p_starts, p_stops, p_numbers, width, found
):
    line = np.zeros(width, np.int64)
    count = scanned = painted = 0
    while scanned < s_rows.size and painted < p_rows.size:
        row = p_rows[painted]
        if s_rows[scanned] != row:
            if s_rows[scanned] < row:
                scanned += 1
            else:
                painted += 1
            continue
        first = painted
        while painted < p_rows.size and p_rows[painted] == row:
            line[p_starts[painted] : p_stops[painted]] = p_numbers[painted]
            painted += 1
        while scanned < s_rows.size and s_rows[scanned] == row:
            column, stop = s_starts[scanned], min(s_stops[scanned], width)
            while column < stop:
                start, number = column, line[column]
                while column < stop and line[column] == number:
                    column += 1
                if number:
                    if count < len(found):
                        found[count, 0] = s_numbers[scanned]
                        found[count, 1] = number
                        found[count, 2] = column - start
                    count += 1
            scanned += 1
        for span in range(first, painted):
            line[p_starts[span] : p_stops[span]] = 0
    return count
