"""Volumes: planes, rows and columns are one image, with windows, regions and boxes in 3-D.

A volume is laid out as one tall plane, its planes one under the other, and goes through the same stages as an image.
Those that look around a pixel, the sums over the window and the regions, know of its planes. What tells noise and edges
from a change looks at each plane by itself: so do evidence and the kinds of change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import kinds, planes, preparation, regions, ssim, sweeps, tiles
from .preparation import Pair, Plane, Volume
from .settings import Settings

__all__ = ["Fit", "Volumes", "fit_volumes", "lay_shape", "lay_tall", "measure_planes", "name_kinds", "read_volumes"]

Sides = tuple[int, int, int]
"""Planes, rows and columns."""


class Fit(NamedTuple):
    """What two volumes have in common."""

    volume: Volume
    sides: tuple[Sides, Sides]
    """Of before and of after, as they were given."""
    shared: Sides
    notes: dict[str, Any]
    """``sizes``, ``window``, ``spacing`` and ``pixels_not_shared``, as in `Comparison.resolved`."""


class Volumes(NamedTuple):
    """Two volumes, with or without leading axes, as tall planes of what both of them have."""

    images: tuple[Plane, Plane]
    masks: dict[str, Any]
    """What counts, laid out like them."""
    fit: Fit


def read_volumes(
    before: ArrayLike,
    after: ArrayLike,
    settings: Settings,
    spacing: Sequence[float] | None,
    masks: Mapping[str, Any],
) -> Volumes:
    """Return two volumes checked against each other and the window, as tall planes of what both of them have.

    Parameters
    ----------
    before, after : (..., planes, H, W) or (..., planes, H, W, 3 or 4) array-like
        Volumes.
    settings : Settings
        All parameters.
    spacing : sequence of 3 floats, optional
        Size of a voxel along planes, rows and columns, in one unit.
    masks : mapping
        "inside", "ignore" and "overlap" of `compare`, None where there is none: of one plane, of one volume, or with
        all axes of `before`.

    Raises
    ------
    TypeError, ValueError
        If they cannot be compared as volumes.
    """
    one, other = (
        preparation.read_plane(image, name, settings.channels, stacks=True, axes=3)
        for name, image in (("before", before), ("after", after))
    )
    fit = fit_volumes(one, other, settings, spacing)
    return Volumes(
        (lay_tall(one, fit.shared), lay_tall(other, fit.shared)),
        {name: _lay_mask(name, mask, fit) for name, mask in masks.items() if mask is not None},
        fit,
    )


def fit_volumes(one: Plane, other: Plane, settings: Settings, spacing: Sequence[float] | None) -> Fit:
    """Return what two volumes have in common, of which only the shapes are looked at: before, after.

    Raises
    ------
    ValueError
        If they cannot be compared as volumes.
    """
    if settings.align in ("rigid", "affine"):
        raise ValueError(f"align is {settings.align!r}, and volumes are compared as they lie; give align='none'")
    sides = _sides_of(one), _sides_of(other)
    if sides[0] != sides[1] and settings.size != "overlap":
        raise ValueError(
            f"before has {_say(sides[0])} voxels (planes x rows x columns) and after {_say(sides[1])}; give volumes of "
            "one size, or size='overlap' to compare what they share"
        )
    count, rows, columns = (min(both) for both in zip(*sides, strict=True))
    shared = (count, rows, columns)
    volume = Volume(count, _find_share(spacing))
    window = planes.make_window(settings, 1.0, volume).shape
    _check_window(shared, window, settings)
    notes = {
        "sizes": dict(zip(("before", "after"), sides, strict=True)),
        "window": window,
        "spacing": None if spacing is None else tuple(float(side) for side in spacing),
        "pixels_not_shared": sum(math.prod(each) for each in sides) - 2 * math.prod(shared),
    }
    return Fit(volume, sides, shared, notes)


def _sides_of(plane: Plane) -> Sides:
    first = plane.data.ndim - planes.axes_of(plane) - 1
    count, rows, columns = plane.data.shape[first : first + 3]
    return count, rows, columns


def _say(sides: Sides) -> str:
    return " x ".join(map(str, sides))


def _find_share(spacing: Sequence[float] | None) -> float:
    """Return how many planes are as thick as a row is high."""
    if spacing is None:
        return 1.0
    sides = np.asarray(spacing)
    if sides.shape != (3,) or sides.dtype.kind not in "iuf" or not ((sides > 0) & (sides < np.inf)).all():
        raise ValueError(
            f"spacing is {spacing!r}; give the size of a voxel along planes, rows and columns, as (2, 1, 1)"
        )
    return min(float(spacing[1] / spacing[0]), 1.0)


def _check_window(shared: Sides, window: Sides, settings: Settings) -> None:
    """Raise where the window has more planes, rows or columns than the volumes."""
    if all(side <= length for side, length in zip(window, shared, strict=True)):
        return
    largest = min(shared) - (min(shared) + 1) % 2
    ways = []
    if largest >= 3 and settings.window == "uniform":
        ways.append(f"win_size={largest}")
    elif largest >= 3:
        ways.append(f"sigma={(largest // 2 + 0.45) / ssim.GAUSSIAN_REACH:.2f}")
    if window[1] <= min(shared[1:]):
        ways.append("spacing, if planes are farther apart than rows: the window has fewer planes then")
    ways.append("spatial_ndim=2 to compare plane by plane")
    raise ValueError(
        f"the volumes have {_say(shared)} voxels (planes x rows x columns) and the window {_say(window)}; give "
        + ", or ".join(ways)
    )


def lay_tall(plane: Plane, shared: Sides) -> Plane:
    """Return what both volumes have of one of them, as tall planes."""
    first = plane.data.ndim - planes.axes_of(plane) - 1
    data = plane.data[(slice(None),) * first + tuple(slice(length) for length in shared)]
    return Plane(data.reshape(*data.shape[:first], -1, *data.shape[first + 2 :]), plane.channels)


def lay_shape(name: str, mask: Any, fit: Fit) -> tuple[int, ...]:
    """Return the shape of a mask of one plane, one volume or several as that of one of tall planes.

    Raises
    ------
    ValueError
        If it is neither of one plane nor of volumes, or not of whole numbers.
    """
    sides, shape = fit.sides[0], tuple(mask.shape)
    if shape[-3:] not in (sides, sides[1:]) or mask.dtype.kind not in "bui":
        raise ValueError(
            f"{name} is an array of {mask.dtype} of shape {shape}; give labels or a boolean array of one plane of "
            f"before, {sides[1:]}, or of all, {sides}"
        )
    return (*shape[:-3], fit.shared[0] * fit.shared[1], fit.shared[2])


def _lay_mask(name: str, mask: ArrayLike, fit: Fit) -> NDArray[Any]:
    """Return a mask of one plane, one volume or several as one of tall planes."""
    read, shared = np.asarray(mask), fit.shared
    shape = lay_shape(name, read, fit)
    whole = np.broadcast_to(read, fit.sides[0]) if read.ndim == 2 else read
    return whole[..., : shared[0], : shared[1], : shared[2]].reshape(shape)


def measure_planes(pair: Pair, settings: Settings, step: tiles.Step) -> NDArray[np.float32]:
    """Return 1 - SSIM of each plane of a volume by itself, (planes, H, W).

    In that of the volume a change shows in the planes before and behind it, where nothing else speaks against it.
    """
    assert pair.volume is not None
    flat = pair.volume._replace(plane_share=0.0)
    return sweeps.measure_map(pair._replace(volume=flat), settings, step).difference


def name_kinds(found: regions.Regions, rows: int, name: Callable[[int, regions.Regions], kinds.Kinds]) -> kinds.Kinds:
    """Say what kind of change each region of a volume is: as it looks in the plane that has most of it.

    Parameters
    ----------
    found : Regions
        Of the volume.
    rows : int
        Of a plane.
    name : callable
        Called with the number of a plane and the regions in it, says of what kind those with a box are.

    Returns
    -------
    kinds.Kinds
        Moves are found within a plane.
    """
    largest, count = regions.find_largest_planes(found, rows), len(found.area)
    kind, reason = np.full(count, "", object), np.full(count, "", object)
    partner, shift = np.zeros(count, np.int64), np.full((count, 2), np.nan)
    order = np.argsort(largest, kind="stable")
    for told in np.split(order, np.flatnonzero(np.diff(largest[order])) + 1) if count else ():
        plane = int(largest[told[0]])
        here = name(plane, regions.cut_plane(found, plane * rows, (plane + 1) * rows, told))
        kind[told], reason[told], shift[told] = here.kind, here.reason, here.shift
        partner[told] = np.append(0, told + 1)[here.partner]
    return kinds.Kinds(list(kind), list(reason), partner, shift)
