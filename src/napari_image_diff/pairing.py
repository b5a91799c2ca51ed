"""From two arrays to the pair that is compared: on one grid, in one type, valid pixels, in place, in one light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import alignment, intensity, preparation, resampling, tiles
from .planes import fold_sides, make_colours, make_gray, read_only
from .preparation import Pair, Plane
from .settings import Settings

__all__ = ["Found", "find_alone", "find_grid", "make_pair"]


class Found(NamedTuple):
    """A pair, and what was found out about it on the way."""

    pair: Pair
    notes: dict[str, Any]
    """``alignment``, ``intensity`` and ``pixels_not_shared``, as in `Comparison.resolved`."""


def find_grid(planes: tuple[Plane, Plane], settings: Settings) -> tuple[int, int]:
    """Return the rows and columns on which two images are compared: what both have, or with "pad" what either has."""
    return fold_sides(max if settings.size == "pad" else min, planes)


def make_pair(
    planes: tuple[Plane, Plane],
    settings: Settings,
    step: tiles.Step,
    *,
    inside: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
) -> Found:
    """Return the images as they are compared: gray planes of one dtype and, in colour, the colours too (sweep 0).

    Parameters
    ----------
    planes : (before, after)
        As `read_planes` returns them.
    settings : Settings
        What to align, match and pad, and the data range.
    step : callable
        Called after each tile.
    inside, ignore : (H, W) array-like, optional
        In the pixels of `before`: one is valid only where `inside` is not 0, and not where `ignore` is not 0.
    """
    valid = _read_valid(planes[0].data.shape[:2], inside, ignore)
    shapes = [plane.data.shape[:2] for plane in planes]
    shared = fold_sides(min, planes)
    grid = find_grid(planes, settings)
    if settings.size == "overlap" and shapes[0] != shapes[1]:
        planes = (_cropped(planes[0], shared), _cropped(planes[1], shared))
        valid = valid[: shared[0], : shared[1]] if valid is not None else None
    colour = any(plane.channels != "gray" for plane in planes)
    if settings.alpha == "compare" and any(plane.channels == "RGBA" for plane in planes):
        planes = _forget_transparent(planes)
    pair = make_gray(planes, valid, settings, step)
    pair = pair._replace(colours=make_colours(planes, pair.data_range, settings.alpha) if colour else ())
    aligned = alignment.find_alignment(pair.before, pair.after, settings.align, pair.data_range)
    if aligned.outcome == "aligned" or pair.before.shape != grid or pair.after.shape != grid:
        pair = _place(pair, aligned.matrix, grid, step)
    light = None
    if settings.match_intensity == "gain_offset":
        light = intensity.fit_light(pair.before, pair.after, pair.data_range)
        pair = _match(pair, light)
    areas = [rows * columns for rows, columns in shapes]
    notes = {
        "alignment": {
            "outcome": aligned.outcome,
            "reason": aligned.reason,
            **alignment.describe(aligned),
            "matrix": aligned.matrix.tolist(),
        },
        "intensity": light._asdict() if light is not None else None,
        "pixels_not_shared": sum(areas) - 2 * shared[0] * shared[1],
    }
    return Found(pair, notes)


def _read_valid(shape: tuple[int, ...], inside: ArrayLike | None, ignore: ArrayLike | None) -> NDArray[np.bool_] | None:
    """Return which pixels of `before` may count, None for all."""
    valid = None
    for name, mask, counts in (("inside", inside, True), ("ignore", ignore, False)):
        if mask is None:
            continue
        read = np.asarray(mask)
        if read.shape != tuple(shape) or read.dtype.kind not in "bui":
            raise ValueError(
                f"{name} is an array of {read.dtype} of shape {read.shape}; give labels or a boolean array of the "
                f"shape of before, {tuple(shape)}"
            )
        part = (read != 0) if counts else (read == 0)
        valid = part if valid is None else valid & part
    if valid is not None and not valid.any():
        raise ValueError("inside and ignore leave no pixel to compare; leave some pixels of before to count")
    return valid


def _cropped(plane: Plane, shape: tuple[int, ...]) -> Plane:
    return Plane(plane.data[: shape[0], : shape[1]], plane.channels)


def _forget_transparent(planes: tuple[Plane, Plane]) -> tuple[Plane, Plane]:
    """Return the images with the colour set to 0 where either is fully transparent."""
    rows, columns = fold_sides(min, planes)
    clear = np.zeros((rows, columns), np.bool_)
    for plane in planes:
        if plane.channels == "RGBA":
            clear |= plane.data[:rows, :columns, 3] == 0
    if not clear.any():
        return planes
    copies = []
    for plane in planes:
        data = plane.data.copy()
        part = data[:rows, :columns]
        (part if data.ndim == 2 else part[..., :3])[clear] = 0
        copies.append(Plane(data, plane.channels))
    return copies[0], copies[1]


def _place(pair: Pair, matrix: NDArray[np.float64], shape: tuple[int, int], step: tiles.Step) -> Pair:
    """Return the pair on a grid of `shape`, with `after` seen where `matrix` finds it; NaN where an image is not."""
    kind = np.result_type(pair.before.dtype, np.float32)
    before = np.full(shape, np.nan, kind)
    before[: pair.before.shape[0], : pair.before.shape[1]] = pair.before
    after = _resample(pair.after, matrix, np.empty(shape, kind), step)
    if not pair.colours:
        return _with_planes(pair, before, after)
    one, other = (np.zeros((*shape, image.shape[2]), image.dtype) for image in pair.colours)
    one[: pair.before.shape[0], : pair.before.shape[1]] = pair.colours[0]
    for channel in range(other.shape[2]):
        source = np.ascontiguousarray(pair.colours[1][..., channel])
        other[..., channel] = _rounded(_resample(source, matrix, np.empty(shape, kind), step), other.dtype)
    return _with_planes(pair, before, after, one, other)


def _resample(plane: NDArray[Any], matrix: NDArray[np.float64], target: NDArray[Any], step: tiles.Step) -> NDArray[Any]:
    """Return `target` with what `plane` shows on its grid."""

    def resample_tile(rows: tiles.Rows) -> None:
        resampling.resample_tile(plane, matrix, *rows, target)

    tiles.map_tiles(resample_tile, tiles.cut_rows(target.shape), tiles.uncounted(step))
    return target


def _rounded(plane: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `plane` in `dtype`; in integers clipped and rounded, 0 where there is nothing."""
    if dtype.kind == "f":
        return plane.astype(dtype)
    found: NDArray[Any] = np.rint(np.minimum(np.fmax(plane, 0), np.iinfo(dtype).max)).astype(dtype)
    return found


def _match(pair: Pair, light: intensity.Light) -> Pair:
    """Return the pair with gain and offset of `after` undone; alpha keeps its own."""
    after = intensity.undo_light(pair.before, pair.after, light, pair.data_range)
    before = pair.before.astype(after.dtype)
    if not pair.colours:
        return _with_planes(pair, before, after)
    one, other = (image.astype(after.dtype) for image in pair.colours)
    other[..., :3] = intensity.undo_light(one[..., :3], other[..., :3], light, pair.data_range)
    return _with_planes(pair, before, after, one, other)


def _with_planes(pair: Pair, before: NDArray[Any], after: NDArray[Any], *colours: NDArray[Any]) -> Pair:
    """Return a pair of other planes, floats, with the data range of `pair`."""
    center = preparation.find_center(before, after, pair.data_range)
    before, after, *colours_read = (read_only(plane) for plane in (before, after, *colours))
    return Pair(before, after, pair.data_range, center, pair.quantum, tuple(colours_read))


def find_alone(sizes: Mapping[str, tuple[int, int]]) -> dict[str, list[tuple[slice, slice]]]:
    """Return the parts (rows, columns) that only one of two images of these sizes has, by its name."""
    rows, columns = (min(size[axis] for size in sizes.values()) for axis in range(2))
    found = {}
    for name, size in sizes.items():
        below = (slice(rows, size[0]), slice(0, size[1]))
        beside = (slice(0, min(rows, size[0])), slice(columns, size[1]))
        parts = [part for part in (below, beside) if all(side.start < side.stop for side in part)]
        if parts:
            found[name] = parts
    return found
