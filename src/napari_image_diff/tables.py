"""Tables as columns: an array for each name, all of one length.

The engine works with these; a DataFrame is made of them for who wants one, because loading pandas takes longer than
comparing two small images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Columns", "count_rows", "join", "make_frame"]

Columns = dict[str, NDArray[Any]]


def count_rows(table: Mapping[str, NDArray[Any]]) -> int:
    """Return how many rows a table has."""
    return len(next(iter(table.values())))


def join(tables: Sequence[Columns]) -> Columns:
    """Return the rows of some tables as one, with the columns of all; what one has not is NaN there."""
    names = dict.fromkeys(name for table in tables for name in table)
    # Tables without rows would decide the types of the columns
    filled = [table for table in tables if count_rows(table)] or tables[:1]
    return {
        name: np.concatenate([table.get(name, np.full(count_rows(table), np.nan)) for table in filled])
        for name in names
    }


def make_frame(table: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Return a table as a DataFrame."""
    import pandas as pd

    return pd.DataFrame(dict(table))
