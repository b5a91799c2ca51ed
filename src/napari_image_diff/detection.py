"""Evidence swept over all tiles of a pair, and the regions that it makes.

What noise and edges explain is resolved once for the pair; which regions count is decided after those of all tiles are
joined. Evidence is one of planes: of volumes each plane has its own, and all share their limits.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import displacement, evidence, noise, regions, tiles
from .preparation import Pair, fold, unfold

__all__ = [
    "CLOSING",
    "LINKED",
    "MOST_WEIGHT",
    "SMALLEST_RANGE",
    "Changes",
    "close",
    "count_steps",
    "find_changes",
    "keep_blocks",
    "keep_heavy",
    "make_sources",
    "measure_evidence",
    "measure_limits",
]

# Regions are closed by a square of so many pixels, so that what is speckled or written in letters is one, ...
CLOSING = 7

# ... and so are parts of which pixels are so near.
LINKED = 3

# A region needs this weight: each of its pixels counts by its evidence, up to the second number. Three pixels far above
# the limit are enough, or ten just above it.
LEAST_WEIGHT = 10.0
MOST_WEIGHT = 4.0


# Evidence is worked out in float32, which holds values up to 3e38: so much smaller than a value the data range may be.
SMALLEST_RANGE = 1e-30


class Changes(NamedTuple):
    """The regions of a pair that count, and those that a small displacement explains."""

    found: regions.Regions
    forgiven: NDArray[np.int64]
    """(N, 4): min_row, min_col, max_row, max_col; in volumes (N, 6), with min_plane and max_plane."""


def count_steps(shape: tuple[int, int]) -> int:
    """Return how often `measure_evidence` calls its step."""
    return len(tiles.cut_rows(shape))


def make_sources(pair: Pair, difference: NDArray[np.float32], largest: float | None = None) -> list[evidence.Source]:
    """Return a pair as evidence is taken from it, of volumes plane by plane.

    Of a part of a pair, `largest` is the greatest absolute value of the whole.
    """
    # 0 counts as 0 where the middle of the data lies between it and the data range: so whole numbers of all types agree
    zero = 0.0 if 0 <= pair.center <= pair.data_range else pair.center - pair.data_range / 2
    data_range = pair.data_range
    if data_range < SMALLEST_RANGE:
        if largest is None:
            largest = max(np.abs(plane[np.isfinite(plane)]).max(initial=0) for plane in (pair.before, pair.after))
        data_range = max(data_range, SMALLEST_RANGE * float(largest))
    planes = _split(pair, pair.before, pair.after, unfold(difference), *pair.colours)
    return [evidence.Source(each[0], each[1], tuple(each[3:]), each[2], data_range, zero) for each in planes]


def _split(pair: Pair, *arrays: NDArray[Any]) -> list[list[NDArray[Any]]]:
    """Return some arrays of a pair plane by plane; an image is one plane."""
    if pair.volume is None:
        return [list(arrays)]
    whole = [fold(array, pair.volume) for array in arrays]
    return [[array[plane] for array in whole] for plane in range(pair.volume.planes)]


def measure_limits(
    pairs: Sequence[tuple[Pair, NDArray[np.float32]]], step: tiles.Step, kept: evidence.Kept | None = None
) -> noise.Limits:
    """Return what noise and edges explain in some pairs of one data range, each with its 1 - SSIM.

    With `kept`, of one plane: see `measure_evidence`.
    """
    data_range, quantum = pairs[0][0].data_range, pairs[0][0].quantum
    for radius in noise.RADII:
        sources = (source for pair in pairs for source in make_sources(*pair))
        counts = functools.reduce(noise.Counts.__add__, (_count(source, radius, step, kept) for source in sources))
        limits = noise.make_limits(counts, radius, data_range, quantum)
        if limits is not None:
            break
    assert limits is not None  # the largest radius always has limits
    return limits


def _count(source: evidence.Source, radius: int, step: tiles.Step, kept: evidence.Kept | None) -> noise.Counts:
    """Return what is counted in a sample of a plane."""
    sample = evidence.sample_tiles(source.before.shape)
    # Counts are large: the tiles of a thread share theirs
    size = -(-len(sample) // tiles.count_threads())
    parts = [sample[first : first + size] for first in range(0, len(sample), size)]
    count = functools.partial(evidence.count_tiles, source, radius=radius, kept=kept)
    return functools.reduce(noise.Counts.__add__, tiles.map_tiles(count, parts, tiles.uncounted(step)))


def keep_blocks(pair: Pair) -> evidence.Kept | None:
    """Return where what was looked at for the limits of a pair is kept for its evidence: of small images all of it."""
    return {} if pair.volume is None and pair.before.size <= evidence.SAMPLED_PIXELS else None


def measure_evidence(
    pair: Pair,
    difference: NDArray[np.float32],
    limits: noise.Limits,
    step: tiles.Step,
    kept: evidence.Kept | None = None,
) -> NDArray[np.float32]:
    """Return the evidence of a pair, 1 = the limit, NaN where a pixel is not valid.

    `kept` has what was looked at by `measure_limits`, and loses it.
    """
    sources = make_sources(pair, difference)
    found: NDArray[np.float32] = np.empty(pair.before.shape, np.float32)
    planes = found.reshape(len(sources), -1, found.shape[1])

    def write_tile(rows: tiles.Rows) -> None:
        for plane, top, bottom in tiles.split_rows(rows, planes.shape[1]):
            evidence.write_tile(sources[plane], top, bottom, limits, planes[plane], kept)

    tiles.map_tiles(write_tile, tiles.cut_rows(found.shape), step)
    return fold(found, pair.volume)


def find_changes(
    found: NDArray[np.float32], cut: float, min_area: float, pair: Pair, radius: int, step: tiles.Step
) -> Changes:
    """Return the regions where evidence is greater than `cut`.

    Parameters
    ----------
    found : (H, W) float32
        Evidence; of volumes (planes, H, W).
    cut : float
        A pixel counts above it.
    min_area : float
        Regions are kept when their contour area, in volumes the number of their voxels, is greater; a negative number
        keeps all.
    pair : Pair
        The images, to see whether a region is a displaced part.
    radius : int
        The tolerance of the evidence; regions are held against displacement where it is greater than 1. A region of a
        volume is displaced if it is in each of its planes.
    step : callable
        Called after each tile.
    """
    planes, found = (found[None] if found.ndim == 2 else found), unfold(found)

    def find_tile(rows: tiles.Rows) -> regions.Runs:
        parts = tiles.split_rows(rows, planes.shape[1])
        return regions.join_runs([_find_runs(planes[plane], top, bottom, cut) for plane, top, bottom in parts])

    bands = tiles.cut_rows(found.shape, light=True)
    runs = regions.join_runs(tiles.map_tiles(find_tile, bands, step))
    count = None if pair.volume is None else pair.volume.planes
    every = regions.connect_runs(runs, found.shape[1], LINKED, count)
    skip = tiles.uncounted(step)
    weights = tiles.map_tiles(
        lambda rows: regions.weigh_tile(every, *rows, found, cut, MOST_WEIGHT), bands if len(every.area) else [], skip
    )
    kept = keep_heavy(every, np.sum(weights, axis=0), min_area)
    if radius == 1 or not len(kept.area):
        return Changes(kept, kept.boxes[:0])
    images = _split(pair, pair.before, pair.after, *pair.colours)
    displaced = np.array(
        tiles.map_tiles(
            lambda region: _is_displaced(images, kept.boxes[region], pair.data_range), range(len(kept.area)), skip
        )
    )
    return Changes(regions.keep_regions(kept, ~displaced), kept.boxes[displaced])


def keep_heavy(every: regions.Regions, weights: NDArray[np.float64], min_area: float) -> regions.Regions:
    """Return the regions that weigh enough, and are greater than `min_area`."""
    return regions.keep_regions(every, (weights >= LEAST_WEIGHT) & (every.size > min_area))


def close(found: NDArray[np.float32], inner: tuple[int, int, int, int], cut: float) -> NDArray[np.float32]:
    """Return where evidence is greater than `cut`, closed: 1 or 0, NaN where a pixel is not valid.

    `inner` is top, left, bottom and right of what is wanted, around which `CLOSING` - 1 pixels are looked at, as far as
    there are any.
    """
    rim = CLOSING - 1
    rows, columns = (
        slice(max(0, inner[axis] - rim), min(found.shape[axis], inner[axis + 2] + rim)) for axis in range(2)
    )
    part = found[inner[0] : inner[2], inner[1] : inner[3]]
    mask = np.zeros(part.shape, np.float32)
    over = np.ascontiguousarray(found[rows, columns] > cut)
    marked = np.flatnonzero(over.any(axis=1))
    if marked.size:
        import cv2

        # Closing reaches no further than the rim from what it closes
        first, last = max(0, int(marked[0]) - rim), min(len(over), int(marked[-1]) + 1 + rim)
        closed = cv2.morphologyEx(
            over[first:last].view(np.uint8), cv2.MORPH_CLOSE, np.ones((CLOSING, CLOSING), np.uint8)
        )
        top, left = inner[0] - rows.start, inner[1] - columns.start
        start, stop = max(first, top), min(last, top + part.shape[0])
        mask[start - top : stop - top] = closed[start - first : stop - first, left : left + part.shape[1]]
    missing = np.isnan(part)
    if missing.any():
        mask[missing] = np.nan
    return mask


def _is_displaced(images: list[list[NDArray[Any]]], box: NDArray[np.int64], data_range: float) -> bool:
    """Return whether a small shift explains a region, in each of its planes."""
    first, last = (box[0], box[3]) if box.size == 6 else (0, 1)
    flat = np.delete(box, [0, 3]) if box.size == 6 else box
    return all(
        displacement.is_displaced((plane[0], plane[1]), tuple(plane[2:]), flat, data_range)
        for plane in images[first:last]
    )


def _find_runs(found: NDArray[np.float32], top: int, bottom: int, cut: float) -> regions.Runs:
    """Return the runs of the closed mask in the rows `top` to `bottom`."""
    if not (found[max(0, top - CLOSING + 1) : bottom + CLOSING - 1] > cut).any():
        return regions.find_runs(found[top:bottom], np.inf)
    return regions.find_runs(close(found, (top, 0, bottom, found.shape[1]), cut), 0.5)
