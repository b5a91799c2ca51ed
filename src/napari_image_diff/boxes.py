"""The boxes of regions as shapes: rectangles, of volumes one on each plane or, in the 3-D view, twelve edges.

In the 2-D view napari shows a shape only on a plane in which all of it lies, so a region of a volume has a rectangle
on each of the planes that it spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BOXES_DRAWN", "Drawn", "draw", "pick_largest"]

# napari draws some 5,000 boxes a second: beyond these, the largest, adding the layer would keep the window waiting.
BOXES_DRAWN = 2000

# A way along all edges of a box, with three of them twice, that never turns back at once, which napari cannot draw.
# Corners by plane, row and column: 0 = least, 1 = greatest
WAY = np.array(
    [
        (0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (0, 0, 0), (1, 0, 0), (1, 0, 1), (0, 0, 1),
        (0, 1, 1), (1, 1, 1), (1, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0), (0, 1, 0),
    ]
)  # fmt: skip


class Drawn(NamedTuple):
    """Shapes, and their rows of a table."""

    corners: NDArray[np.float64]
    """(N, corners, axes): pixel centres are at integers, so a box begins half a pixel before."""
    shape_type: str
    table: pd.DataFrame
    """(N rows): a region that has several shapes has as many rows."""


def pick_largest(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the regions that are drawn: as many as have `BOXES_DRAWN` shapes, the largest, in their order.

    Boxes of which the table has no area come in their order.
    """
    order = np.arange(len(regions))
    if "area" in regions:
        order = np.argsort(-regions["area"].to_numpy(), kind="stable")
    kept = order[np.cumsum(_count_planes(regions)[order]) <= BOXES_DRAWN]
    return regions.iloc[np.sort(kept)].reset_index(drop=True)


def draw(regions: pd.DataFrame, axes: Sequence[str], ndisplay: int) -> Drawn:
    """Return the boxes of all rows of a table, as the view of so many dimensions needs them.

    Parameters
    ----------
    regions : DataFrame
        Has the columns of a box.
    axes : sequence of str
        Columns with the leading axes.
    ndisplay : int
        2 or 3, as in ``viewer.dims.ndisplay``; images have rectangles in either.
    """
    ends = [regions[f"{end}_{axis}"].to_numpy(np.float64) - 0.5 for axis in ("row", "col") for end in ("min", "max")]
    top, bottom, left, right = ends
    if "min_plane" in regions and ndisplay == 3:
        planes = [regions[name].to_numpy(np.float64) - 0.5 for name in ("min_plane", "max_plane")]
        sides = np.array([planes, [top, bottom], [left, right]])
        return Drawn(_lead(regions, axes, sides[np.arange(3), WAY].transpose(2, 0, 1)), "path", regions)
    corners = np.stack([top, left, top, right, bottom, right, bottom, left], axis=-1).reshape(-1, 4, 2)
    if "min_plane" not in regions:
        return Drawn(_lead(regions, axes, corners), "rectangle", regions)
    counts = _count_planes(regions)
    rows = np.repeat(np.arange(len(regions)), counts)
    first = np.cumsum(counts) - counts
    planes_of = np.arange(len(rows)) - first[rows] + regions["min_plane"].to_numpy()[rows]
    whole = np.concatenate([np.repeat(planes_of[:, None, None], 4, axis=1), corners[rows]], axis=2)
    table = regions.iloc[rows].reset_index(drop=True)
    return Drawn(_lead(table, axes, whole), "rectangle", table)


def _count_planes(regions: pd.DataFrame) -> NDArray[Any]:
    """Return how many planes each region spans."""
    if "min_plane" not in regions:
        return np.ones(len(regions), np.int64)
    return (regions["max_plane"] - regions["min_plane"]).to_numpy(np.int64)


def _lead(table: pd.DataFrame, axes: Sequence[str], corners: NDArray[Any]) -> NDArray[np.float64]:
    """Put the leading axes before the coordinates of corners."""
    frames = np.repeat(table[list(axes)].to_numpy(np.float64)[:, None], corners.shape[1], axis=1)
    return np.concatenate([frames, corners], axis=2)
