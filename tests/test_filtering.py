"""Filters as a person types them, held against the same with pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_image_diff.filtering import find_rows

TABLE = {
    "label": np.arange(1, 6),
    "kind": np.array(["added", "moved", "removed", "moved", "darker"], object),
    "area": np.array([10, 200, 35, 35, 7]),
    "moved_rows": np.array([np.nan, 3.5, np.nan, -2.0, np.nan]),
    "note": np.array(["", "A hair", "dust, or not", "", "hair"], object),
}
FRAME = pd.DataFrame(TABLE)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("", "label > 0"),
        ("  , ,", "label > 0"),
        ("area > 35", "area > 35"),
        ("area>=35", "area >= 35"),
        ("AREA < 35.0", "area < 35"),
        ("area <= 35", "area <= 35"),
        ("area = 35", "area == 35"),
        ("area != 35", "area != 35"),
        ("kind = Moved", "kind == 'moved'"),
        ("kind != moved", "kind != 'moved'"),
        ("mov", "kind in ('moved', 'removed')"),
        ("hair", "label in (2, 5)"),
        ("hair, kind = moved", "label == 2"),
        ("Moved rows > -3", "moved_rows > -3"),
        ("moved_rows < 0", "moved_rows < 0"),
        ("area > 9, area < 100, mov", "label in (3, 4)"),
        ("nothing of the kind", "label < 0"),
        ("note =", "label > 0"),
        ("area >", "label > 0"),
    ],
)
def test_it_finds_what_pandas_finds(words: str, wanted: str) -> None:
    found = find_rows(TABLE, words, {"moved_rows": "Moved rows", "partner": "Other end"})
    assert found.tolist() == FRAME.eval(wanted).tolist()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("size > 3", r"no column 'size'$"),
        ("area > many", r"'area' has numbers, and 'many' is none"),
        ("Other end = 3", "no column 'Other end'"),
        ("__import__('os') = 3", "no column"),
    ],
)
def test_what_cannot_be_is_said(words: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_rows(TABLE, words, {"partner": "Other end"})


def test_an_empty_table_has_no_rows() -> None:
    empty = {name: column[:0] for name, column in TABLE.items()}
    for words in "", "hair", "area > 3":
        assert find_rows(empty, words).shape == (0,)
    assert find_rows({}, "x").shape == (0,)
