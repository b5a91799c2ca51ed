"""Which rows of a table a person wants to see, from what they typed: words, and columns held against values."""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_rows"]

SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
TERM = re.compile(r"\s*(?P<column>[^<>=!]+?)\s*(?P<sign><=|>=|!=|<|>|=)\s*(?P<value>.+?)\s*")


def find_rows(table: Mapping[str, NDArray[Any]], words: str, titles: Mapping[str, str] | None = None) -> NDArray[Any]:
    """Return which rows of a table meet a filter.

    Parameters
    ----------
    table : mapping of str to (N,) array
        The columns.
    words : str
        Terms with commas between them, all of which are to be met: ``area > 100``, ``kind = moved``,
        ``verdict != open`` (signs are < <= > >= = !=), or a part of any text in the row. Capitals do not matter.
    titles : mapping of str to str, optional
        Other names of columns.

    Returns
    -------
    (N,) bool array
        All where there is no term.

    Raises
    ------
    ValueError
        If a column is not there, or a number is wanted.

    Examples
    --------
    >>> find_rows({"kind": np.array(["added", "moved"]), "area": np.array([9, 12])}, "area > 10, mov").tolist()
    [False, True]
    """
    known = {name.casefold(): name for name in table}
    known |= {title.casefold(): name for name, title in (titles or {}).items() if name in table}
    count = len(next(iter(table.values()), ()))
    found = np.ones(count, np.bool_)
    for term in filter(None, map(str.strip, words.split(","))):
        # While it is typed, a term is not done
        if not term.endswith(tuple(SIGNS)):
            found &= _meet(table, known, term)
    return found


def _meet(table: Mapping[str, NDArray[Any]], known: Mapping[str, str], term: str) -> NDArray[np.bool_]:
    parts = TERM.fullmatch(term)
    if parts is None:
        texts = [column for column in table.values() if column.dtype.kind in "OU"]
        here = [[term.casefold() in str(cell).casefold() for cell in column] for column in texts]
        return np.any(here, axis=0) if here else np.zeros(len(next(iter(table.values()), ())), np.bool_)
    name = known.get(parts["column"].casefold())
    if name is None:
        near = difflib.get_close_matches(parts["column"].casefold(), known, n=1, cutoff=0.5)
        meant = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"there is no column '{parts['column']}'{meant}")
    column, sign, value = table[name], SIGNS[parts["sign"]], parts["value"]
    if column.dtype.kind in "OU":
        texts_ = np.array([str(cell).casefold() for cell in column], object)
        return np.array([bool(sign(cell, value.casefold())) for cell in texts_], np.bool_)
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"'{name}' has numbers, and '{value}' is none; give one, as in {name} > 10") from None
    return np.asarray(sign(column, number), np.bool_)
