"""Regions in the world: areas and positions in the unit of what was imaged, beside those in pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .tables import Columns

__all__ = ["COLUMNS", "World", "add_physical", "name_unit", "read_world"]

World: TypeAlias = "tuple[ArrayLike, str]"
"""Matrix (n + 1, n + 1) that takes an index with a 1 at its end to the place in the world, and the unit of that."""

AXES = ("plane", "row", "col")

COLUMNS = ("physical_area", *(f"physical_{axis}" for axis in AXES), "unit")


def read_world(world: World, spatial_ndim: int) -> dict[str, Any]:
    """Return a world as `Comparison.resolved` has it: ``matrix``, a list of rows, and ``unit``.

    Raises
    ------
    TypeError, ValueError
        If it is none for images of so many axes.
    """
    try:
        matrix, unit = np.asarray(world[0], np.float64), world[1]
    except (TypeError, ValueError, LookupError):
        matrix, unit = np.empty(0), None
    if not isinstance(unit, str) or len(world) != 2:
        raise TypeError(f"world is {world!r}; give a matrix and a unit, as (matrix, 'µm')")
    side = spatial_ndim + 1
    affine = matrix.shape == (side, side) and np.isfinite(matrix).all()
    if not affine or not np.array_equal(matrix[-1], np.eye(side)[-1]):
        raise ValueError(
            f"the matrix of world has shape {matrix.shape}, or other numbers in its last row; give an affine matrix "
            f"({side}, {side}) of finite numbers, with {tuple(map(int, np.eye(side)[-1]))} as its last row"
        )
    # Steps may be tiny beside the place, and beside each other
    steps = np.linalg.norm(matrix[:-1, :-1], axis=0)
    if not steps.all() or np.linalg.matrix_rank(matrix[:-1, :-1] / steps) < spatial_ndim:
        raise ValueError("the matrix of world takes several pixels to one place; give one that has an inverse")
    return {"matrix": matrix.tolist(), "unit": unit}


def name_unit(unit: str, spatial_ndim: int) -> str:
    """Return the unit of ``physical_area`` in words for people; "world" where there is none."""
    return f"{unit}{'³' if spatial_ndim == 3 else '²'}" if unit else "world"


def add_physical(regions: Columns, world: dict[str, Any] | None) -> Columns:
    """Return a table of regions with `COLUMNS`, as it is where no world is known.

    ``physical_area`` is in the square of the unit, of volumes in its cube; ``physical_row``, ``physical_col``, and of
    volumes ``physical_plane``, are the place of the centroid.
    """
    if world is None:
        return regions
    matrix = np.array(world["matrix"])
    axes = AXES[-len(matrix) + 1 :]
    centroids = np.stack([regions[f"centroid_{axis}"] for axis in axes])
    places = matrix[:-1, :-1] @ centroids + matrix[:-1, -1:]
    size = abs(float(np.linalg.det(matrix)))
    return {
        **regions,
        "physical_area": regions["area"] * size,
        **{f"physical_{axis}": place for axis, place in zip(axes, places, strict=True)},
        "unit": np.full(len(regions["area"]), world["unit"], object),
    }
