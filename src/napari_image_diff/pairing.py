"""From two arrays to the pair that is compared: on one grid, in one type, valid pixels, in place, in one light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import alignment, intensity, resampling, tiles
from .blocks import match_light
from .frames import Stack, fill_up, read_valid
from .planes import forget_transparent, is_transparent, make_colours, make_gray, read_only
from .preparation import Pair, Plane, Volume
from .settings import Settings

__all__ = ["Found", "find_alone", "find_grid", "find_place", "make_notes", "make_pair", "settle"]


class Found(NamedTuple):
    """A pair, and what was found out about it on the way."""

    pair: Pair
    notes: dict[str, Any]
    """``alignment``, ``intensity`` and ``pixels_not_shared``, as in `Comparison.resolved`."""


def find_grid(stack: Stack, settings: Settings) -> tuple[int, int]:
    """Return rows and columns of the frames compared: what both images have, or with "pad" what either has."""
    choose = max if settings.size == "pad" else min
    rows, columns = (choose(sides) for sides in zip(*stack.sides, strict=True))
    return rows, columns


def make_pair(stack: Stack, settings: Settings, step: tiles.Step, masks: Mapping[str, Any]) -> tuple[Stack, Pair]:
    """Return the images as tall planes of one dtype and, in colour, the colours too (sweep 0).

    Parameters
    ----------
    stack : Stack
        Of what `read_planes` returns.
    settings : Settings
        The data range.
    step : callable
        Called after each tile.
    masks : mapping
        "inside", "ignore" and "overlap" of `compare`, None where there is none.
    """
    transparent = settings.alpha == "compare" and any(plane.channels == "RGBA" for plane in stack.planes)
    if any(stack.lone) and (transparent or any(mask is not None for mask in masks.values())):
        # What counts of the one frame is not the same for all
        stack = fill_up(stack)
    valid = read_valid(stack, masks)
    there = read_valid(stack, {"overlap": masks.get("overlap")})
    planes = _forget_transparent(stack) if transparent else stack.planes
    pair = make_gray(planes, valid, settings, step, None if there is None else there[1])
    if any(plane.channels != "gray" for plane in planes):
        with_alpha = settings.alpha == "compare" and any(is_transparent(plane) for plane in planes)
        pair = pair._replace(colours=make_colours(planes, pair.data_range, with_alpha))
    return stack, pair


def settle(
    pair: Pair,
    sides: tuple[tuple[int, int], tuple[int, int]],
    grid: tuple[int, int],
    settings: Settings,
    step: tiles.Step,
) -> Found:
    """Return one frame of a pair as it is compared: on one grid, in place, in one light.

    `sides` are rows and columns of either image as it was given, `grid` those of the result.
    """
    aligned = find_place(pair.before, pair.after, pair.volume, settings, pair.data_range)
    if aligned.outcome == "aligned" or pair.before.shape != grid or pair.after.shape != grid:
        pair = _place(pair, aligned.matrix, grid, step)
    light = None
    if settings.match_intensity == "gain_offset":
        light = intensity.fit_light(pair.before, pair.after, pair.data_range)
        matched = match_light(pair, light)
        pair = _with_planes(pair, matched.before, matched.after, *matched.colours)
    return Found(pair, make_notes(aligned, light, sides))


def find_place(
    before: NDArray[Any], after: NDArray[Any], volume: Volume | None, settings: Settings, data_range: float
) -> alignment.Alignment:
    """Return where one gray plane lies on another; a volume lies as it is."""
    if volume is None:
        return alignment.find_alignment(before, after, settings.align, data_range)
    unmoved = alignment.find_alignment(before, after, "none", data_range)
    return unmoved._replace(reason="volumes are compared as they lie")


def make_notes(
    aligned: alignment.Alignment, light: intensity.Light | None, sides: tuple[tuple[int, int], tuple[int, int]]
) -> dict[str, Any]:
    """Return what was found out about a pair, as `Found` has it."""
    shared = [min(both) for both in zip(*sides, strict=True)]
    return {
        "alignment": {
            "outcome": aligned.outcome,
            "reason": aligned.reason,
            **alignment.describe(aligned),
            "matrix": aligned.matrix.tolist(),
        },
        "intensity": light._asdict() if light is not None else None,
        "pixels_not_shared": sum(rows * columns for rows, columns in sides) - 2 * shared[0] * shared[1],
    }


def _forget_transparent(stack: Stack) -> tuple[Plane, Plane]:
    """Return the images with the colour set to 0 where either is fully transparent."""
    one, other = (Plane(plane.data.copy(), plane.channels) for plane in stack.planes)
    for frame in range(stack.count):
        bands = stack.pick((one.data, other.data), frame)
        forget_transparent([Plane(bands[0], one.channels), Plane(bands[1], other.channels)])
    return one, other


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
        other[..., channel] = resampling.round_to(_resample(source, matrix, np.empty(shape, kind), step), other.dtype)
    return _with_planes(pair, before, after, one, other)


def _resample(plane: NDArray[Any], matrix: NDArray[np.float64], target: NDArray[Any], step: tiles.Step) -> NDArray[Any]:
    """Return `target` with what `plane` shows on its grid."""

    def resample_tile(rows: tiles.Rows) -> None:
        resampling.resample_tile(plane, matrix, *rows, target)

    tiles.map_tiles(resample_tile, tiles.cut_rows(target.shape), tiles.uncounted(step))
    return target


def _with_planes(pair: Pair, before: NDArray[Any], after: NDArray[Any], *colours: NDArray[Any]) -> Pair:
    """Return a pair of other planes, floats, with the data range of `pair`."""
    before, after, *colours_read = (read_only(plane) for plane in (before, after, *colours))
    return pair._replace(before=before, after=after, colours=tuple(colours_read))


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
