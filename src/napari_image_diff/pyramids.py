"""Coarser views of a map: the greatest value in each cell, so that a small change shows from afar."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["merge", "pool"]

Number = TypeVar("Number", np.float32, np.int32)

_compile = njit(nogil=True, error_model="numpy", cache=True)


def pool(part: NDArray[Number], row: int, column: int, factor: int) -> NDArray[Number]:
    """Return the greatest value in each cell of `factor` by `factor` pixels of a part of a map, or of labels.

    Parameters
    ----------
    part : (H, W) float32, or int32 from 0 on
        NaN is not valid; a cell without a valid pixel is NaN.
    row, column : int
        Where the part's first pixel lies in its cell.
    factor : int
        Pixels along the side of a cell.
    """
    if factor == 1:
        return part.copy()
    shape = -(-(row + part.shape[0]) // factor), -(-(column + part.shape[1]) // factor)
    floats = part.dtype.kind == "f"
    nothing: Any = np.nan if floats else 0
    cells = np.full(shape, nothing, part.dtype)
    _pool(part, row, column, factor, part.dtype.type(-np.inf if floats else -1), cells)
    return cells


def merge(whole: NDArray[np.float32], cells: NDArray[np.float32], row: int, column: int) -> None:
    """Raise the cells of a coarse map, from (`row`, `column`) on, to those of a part of it."""
    target = whole[row : row + cells.shape[0], column : column + cells.shape[1]]
    np.fmax(target, cells, out=target)


@_compile
def _pool(part, row, column, factor, lowest, cells):  # type: ignore[no-untyped-def]
    greatest = np.empty(part.shape[1], part.dtype)
    for i in range(cells.shape[0]):
        greatest[:] = lowest
        for k in range(max(0, i * factor - row), min(part.shape[0], (i + 1) * factor - row)):
            line = part[k]
            for j in range(line.size):
                # NaN is not greater than anything
                greatest[j] = line[j] if line[j] > greatest[j] else greatest[j]
        for j in range(cells.shape[1]):
            found = lowest
            for k in range(max(0, j * factor - column), min(part.shape[1], (j + 1) * factor - column)):
                found = max(found, greatest[k])
            if found > lowest:
                cells[i, j] = found
