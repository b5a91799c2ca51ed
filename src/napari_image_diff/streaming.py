"""The sweeps over images that are read in parts.

They are those of `sweeps` and `detection`, tile for tile and bit for bit, with three differences. A tile is a box that
is read with a rim, worked on and let go. What a tile returns is small. And maps are not kept: what is needed of them
later is worked out again; of the whole there is an overview.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import detection, displacement, evidence, noise, pyramids, regions, ssim, threshold, tiles
from .blocks import Facts, Reader, cut_out, make_block
from .preparation import Pair, grid_steps
from .tiles import Box

if TYPE_CHECKING:
    import pandas as pd

if TYPE_CHECKING:
    pass

__all__ = [
    "Ask",
    "Changes",
    "Seen",
    "cut_evidence",
    "find_changes",
    "grow",
    "look",
    "measure_block",
    "measure_limits",
    "measure_table",
    "rim_of",
    "shift_box",
]

# What a tile works on at a time: of chunks that are larger than a tile, a band.
BAND_PIXELS = 2**22


class Ask(NamedTuple):
    """What is asked of the tiles of a frame."""

    window: ssim.Window
    limits: noise.Limits | None
    """What evidence is held against; None where there is none."""
    cut: float | None
    """Where evidence, or the difference, is cut into runs; None: not yet."""
    factor: int
    """Pixels along a side of a cell of the overview."""


class Seen(NamedTuple):
    """What was seen of a pair; of a tile or a frame."""

    total: int
    """Of the score, see `ssim.TileScore`."""
    pixels: int
    histogram: NDArray[np.int64]
    differs: bool
    """Whether the difference is above 0 anywhere."""
    same: bool
    """Whether all values of both images, as they were given, are the same."""
    runs: regions.Runs
    weights: NDArray[np.float64]
    """(runs,): of evidence."""
    difference: NDArray[np.float32]
    """The greatest in each cell of the overview; the first cell is that of the first pixel."""
    evidence: NDArray[np.float32]
    """The same, without rows where there is no evidence."""
    grids: tuple[NDArray[Any], NDArray[Any]]
    """Of before and after, the pixels of `preparation.sample_grid` that lie here."""


class Changes(NamedTuple):
    """The regions of a frame that count, and those that a small displacement explains."""

    found: regions.Regions
    forgiven: NDArray[np.int64]


def rim_of(ask: Ask) -> int:
    """Return how far around a tile is read."""
    reach = ask.window.size // 2
    if ask.limits is None:
        return reach
    # A block of evidence is completed to whole blocks, and mirrored there at the image's border
    return detection.CLOSING - 1 + max(reach, evidence.find_rim(ask.limits.radius) + evidence.BLOCK)


def grow(tile: Box, rim: int, grid: tuple[int, int]) -> Box:
    """Return a tile with a rim, as far as the image goes, that begins where blocks of evidence do."""
    top, left = (max(0, first - rim) // evidence.BLOCK * evidence.BLOCK for first in tile[:2])
    return (top, left, min(grid[0], tile[2] + rim), min(grid[1], tile[3] + rim))


def look(reader: Reader, boxes: Sequence[Box], ask: Ask, step: tiles.Step) -> Seen:
    """Return what is seen of a frame whose tiles are `boxes`, row of tiles by row."""
    facts, rim = reader.facts, rim_of(ask)
    cells = tuple(-(-side // ask.factor) for side in facts.grid)
    whole = [np.full(cells, np.nan, np.float32), np.full(cells if ask.limits else (0, cells[1]), np.nan, np.float32)]
    down, across = grid_steps(facts.grid)
    size = (-(-facts.grid[0] // down), -(-facts.grid[1] // across))
    samples = np.zeros(size, facts.plane_dtype), np.zeros(size, facts.plane_dtype)
    work = [reader.work(grow(tile, rim, facts.grid), tile, ask, rim) for tile in tiles.in_strips(boxes)]
    parts: dict[Box, Seen] = {}

    def take(found: tuple[Box, Seen]) -> None:
        tile, seen = found
        for target, part in zip(whole, (seen.difference, seen.evidence), strict=True):
            pyramids.merge(target, part, tile[0] // ask.factor, tile[1] // ask.factor)
        for target, grid in zip(samples, seen.grids, strict=True):
            row, column = -(-tile[0] // down), -(-tile[1] // across)
            target[row : row + grid.shape[0], column : column + grid.shape[1]] = grid
        # Of many tiles even the offsets of their runs are much
        runs = seen.runs._replace(offsets=seen.runs.offsets.astype(np.int32))
        parts[tile] = seen._replace(runs=runs, difference=whole[0][:0], evidence=whole[0][:0], grids=samples)

    tiles.map_parts(_look_at, work, step, take)
    runs, weights = _join([(tile, parts[tile]) for tile in boxes])
    every = parts.values()
    return Seen(
        sum(seen.total for seen in every),
        sum(seen.pixels for seen in every),
        np.sum([seen.histogram for seen in every], axis=0),
        any(seen.differs for seen in every),
        all(seen.same for seen in every),
        runs,
        weights,
        whole[0],
        whole[1],
        samples,
    )


def _join(parts: list[tuple[Box, Seen]]) -> tuple[regions.Runs, NDArray[np.float64]]:
    """Return the runs of all tiles as those of one image, and what they weigh."""
    bands: dict[int, list[tuple[Box, Seen]]] = {}
    for part in parts:
        bands.setdefault(part[0][0], []).append(part)
    runs, weights = [], []
    for band in bands.values():
        joined, places = regions.join_columns([seen.runs for _, seen in band], [tile[1] for tile, _ in band])
        each = np.concatenate([seen.weights for _, seen in band])
        runs.append(joined)
        weights.append(np.bincount(places, each, joined.starts.size))
    return regions.join_runs(runs), np.concatenate(weights)


def _look_at(arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, ask: Ask, rim: int) -> tuple[Box, Seen]:
    """Look at one tile, band by band."""
    rows = max(1, BAND_PIXELS // (tile[3] - tile[1]))
    # Cells of the overview do not lie in two bands
    rows = -(-rows // ask.factor) * ask.factor
    tops = [tile[0], *range((tile[0] // ask.factor) * ask.factor + rows, tile[2], rows)]
    bands = [(top, tile[1], bottom, tile[3]) for top, bottom in zip(tops, [*tops[1:], tile[2]], strict=True)]
    seen = []
    for band in bands:
        tiles.breathe()
        inner = grow(band, rim, facts.grid)
        seen.append(_look_at_band(cut_out(arrays, facts, box, inner), facts, inner, band, ask))
    joined = Seen(
        sum(each.total for each in seen),
        sum(each.pixels for each in seen),
        np.sum([each.histogram for each in seen], axis=0),
        any(each.differs for each in seen),
        all(each.same for each in seen),
        regions.join_runs([each.runs for each in seen]),
        np.concatenate([each.weights for each in seen]),
        np.concatenate([each.difference for each in seen]),
        np.concatenate([each.evidence for each in seen]),
        (np.concatenate([each.grids[0] for each in seen]), np.concatenate([each.grids[1] for each in seen])),
    )
    return tile, joined


def _look_at_band(arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, ask: Ask) -> Seen:
    pair = make_block(arrays, facts, box)
    inner = shift_box(tile, box)
    difference, found, score = measure_block(pair, facts, box, tile, ask)
    part = np.ascontiguousarray(difference[inner[0] : inner[2], inner[1] : inner[3]])
    own = part if ask.limits is None else np.ascontiguousarray(found[inner[0] : inner[2], inner[1] : inner[3]])
    if ask.limits is None or ask.cut is None:
        runs = regions.find_runs(part, np.inf if ask.cut is None else ask.cut)
        weights = np.zeros(runs.starts.size)
    else:
        runs = regions.find_runs(detection.close(found, inner, ask.cut), 0.5)
        weights = regions.weigh_runs(runs, own, ask.cut, detection.MOST_WEIGHT)
    differs = bool(np.fmax.reduce(part, axis=None) > 0)
    corner = (tile[0] % ask.factor, tile[1] % ask.factor, ask.factor)
    cells = pyramids.pool(part, *corner)
    of_evidence = cells[:0] if ask.limits is None else pyramids.pool(own, *corner)
    down, across = grid_steps(facts.grid)
    rows, columns = slice(-tile[0] % down, None, down), slice(-tile[1] % across, None, across)
    grids = [plane[inner[0] : inner[2], inner[1] : inner[3]][rows, columns].copy() for plane in pair[:2]]
    return Seen(
        score.total,
        score.pixels,
        threshold.count_levels(part),
        differs,
        not differs and facts.matrix is None and _is_same(arrays, facts, inner),
        runs,
        weights,
        cells,
        of_evidence,
        (grids[0], grids[1]),
    )


def _is_same(arrays: list[NDArray[Any]], facts: Facts, inner: Box) -> bool:
    """Return whether both images, as they were given, have the same values in a tile."""
    one, other = (array[inner[0] : inner[2], inner[1] : inner[3]] for array in arrays[:2])
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")


def shift_box(tile: Box, box: Box) -> Box:
    """Return a tile as it lies in a box around it."""
    return (tile[0] - box[0], tile[1] - box[1], tile[2] - box[0], tile[3] - box[1])


def measure_block(
    pair: Pair, facts: Facts, box: Box, tile: Box, ask: Ask
) -> tuple[NDArray[np.float32], NDArray[np.float32], ssim.TileScore]:
    """Return difference and evidence of a box, which are right in the tile (evidence some way around), and the score.

    Evidence is that of the difference where there are no limits.
    """
    height, width = facts.grid
    reach = ask.window.size // 2
    near = detection.CLOSING - 1 if ask.limits is not None else 0
    inner = shift_box(tile, box)
    first, last = max(0, inner[0] - near), min(box[2] - box[0], inner[2] + near)
    counted = (
        max(tile[0], reach), max(tile[1], reach), min(tile[2], height - reach), min(tile[3], width - reach)
    )  # fmt: skip
    difference = np.empty(pair.before.shape, np.float32)
    score = ssim.measure_tile(
        pair.before, pair.after, difference, first, last, ask.window, pair.center, counted=shift_box(counted, box)
    )
    if ask.limits is None:
        return difference, difference, score
    found = np.empty(difference.shape, np.float32)
    source = detection.make_sources(pair, difference, facts.largest)[0]
    evidence.write_tile(source, first, last, ask.limits, found)
    return difference, found, score


def measure_limits(readers: Sequence[Reader], window: ssim.Window, step: tiles.Step) -> noise.Limits:
    """Return what noise and edges explain in some frames of one data range."""
    facts = readers[0].facts
    limits = None
    for radius in noise.RADII:
        rim = max(window.size // 2, evidence.find_rim(radius) + evidence.BLOCK)
        work = [
            reader.work(grow(tile, rim, facts.grid), tile, window, radius)
            for reader in readers
            for tile in evidence.sample_tiles(facts.grid)
        ]
        counts = functools.reduce(noise.Counts.__add__, tiles.map_parts(_count, work, tiles.uncounted(step)))
        limits = noise.make_limits(counts, radius, facts.data_range, facts.quantum)
        if limits is not None:
            break
    assert limits is not None  # the largest radius always has limits
    return limits


def _count(
    arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, window: ssim.Window, radius: int
) -> noise.Counts:
    """Return what is counted in one tile of a sample."""
    pair = make_block(arrays, facts, box)
    difference, _, _ = measure_block(pair, facts, box, tile, Ask(window, None, None, 1))
    inner = shift_box(tile, box)
    return evidence.count_tiles(detection.make_sources(pair, difference, facts.largest)[0], [inner], radius)


def cut_evidence(seen: Seen, width: int, min_area: float) -> regions.Regions:
    """Return the regions of the evidence of a frame that weigh enough."""
    every = regions.connect_runs(seen.runs, width, detection.LINKED)
    holders = regions.find_holders(seen.runs, every)
    weights = np.zeros(len(every.area))
    np.add.at(weights, every.labels[holders] - 1, seen.weights)
    return detection.keep_heavy(every, weights, min_area)


def find_changes(kept: regions.Regions, reader: Reader, radius: int, step: tiles.Step) -> Changes:
    """Return the regions that no small displacement explains, and the boxes of the others.

    They are held against displacement only where the tolerance of the evidence, `radius`, is greater than 1.
    """
    if radius == 1 or not len(kept.area):
        return Changes(kept, np.empty((0, 4), np.int64))
    sides = (kept.boxes[:, 2:] - kept.boxes[:, :2]).max(1)
    asked = np.flatnonzero(sides <= displacement.LARGEST_SIDE)
    work = []
    for box in kept.boxes[asked].tolist():
        rows, columns = reader.facts.grid
        around = grow((box[0], box[1], box[2], box[3]), displacement.AROUND_REGION, (rows, columns))
        work.append(reader.work(around, box))
    displaced = np.zeros(len(kept.area), np.bool_)
    displaced[asked] = tiles.map_parts(_is_displaced, work, tiles.uncounted(step))
    return Changes(regions.keep_regions(kept, ~displaced), kept.boxes[displaced])


def _is_displaced(arrays: list[NDArray[Any]], facts: Facts, box: Box, region: list[int]) -> bool:
    pair = make_block(arrays, facts, box)
    inside = np.array(region) - [box[0], box[1], box[0], box[1]]
    return displacement.is_displaced((pair.before, pair.after), pair.colours, inside, pair.data_range)


def measure_table(
    found: regions.Regions, reader: Reader, boxes: Sequence[Box], ask: Ask, with_evidence: bool, step: tiles.Step
) -> pd.DataFrame:
    """Return the table of the regions of a frame; tiles without any are not read."""
    facts, rim = reader.facts, rim_of(ask)
    names = ["difference", *(["evidence"] if with_evidence else []), "before", "after"]
    count = len(found.area)
    sums = {name: regions.Sums(np.zeros(count), np.full(count, -np.inf)) for name in names}
    work = []
    for tile in tiles.in_strips(boxes):
        runs, labels = regions.clip_runs(found, *tile)
        if labels.size:
            own, places = np.unique(labels, return_inverse=True)
            numbers = (places + 1).astype(np.int32)
            work.append(reader.work(grow(tile, rim, facts.grid), tile, ask, rim, runs, numbers, own - 1))

    def take(part: tuple[NDArray[np.int32], dict[str, regions.Sums]]) -> None:
        own, of_tile = part
        for name, (total, largest) in of_tile.items():
            sums[name].total[own] += total
            sums[name].largest[own] = np.maximum(sums[name].largest[own], largest)

    tiles.map_parts(_sum_tile, work, step, take)
    step(len(boxes) - len(work))
    of_image = (facts.center, regions.find_unit(facts.plane_dtype, facts.data_range))
    of_map = (0.0, regions.find_unit(np.dtype(np.float32), 1.0))
    units = {name: of_image if name in ("before", "after") else of_map for name in names}
    return regions.make_table_of(found, sums, units)


def _sum_tile(
    arrays: list[NDArray[Any]],
    facts: Facts,
    box: Box,
    tile: Box,
    ask: Ask,
    rim: int,
    runs: regions.Runs,
    labels: NDArray[np.int32],
    own: NDArray[np.int32],
) -> tuple[NDArray[np.int32], dict[str, regions.Sums]]:
    """Return the numbers of the regions of a tile, and the sums over each."""
    pair = make_block(arrays, facts, box)
    difference, found, _ = measure_block(pair, facts, box, tile, ask)
    inner = shift_box(tile, box)
    planes = {"difference": (difference, 1.0, 0.0), "evidence": (found, 1.0, 0.0)}
    if ask.limits is None:
        del planes["evidence"]
    for name, plane in (("before", pair.before), ("after", pair.after)):
        planes[name] = (plane, pair.data_range, pair.center)
    sums = {}
    for name, (plane, span, zero) in planes.items():
        part = np.ascontiguousarray(plane[inner[0] : inner[2], inner[1] : inner[3]])
        quantity = regions.make_quantity(labels.size, part, span, zero)
        sums[name] = regions.sum_tile(runs, labels, len(own), quantity)
    return own, sums
