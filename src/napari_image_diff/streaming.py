"""The sweeps over images that are read in parts.

They are those of `sweeps` and `detection`, tile for tile and bit for bit, with three differences. A tile is a box that
is read with a rim, worked on and let go. What a tile returns is small. And maps are not kept: what is needed of them
later is worked out again; of the whole there is an overview.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import detection, displacement, evidence, noise, pyramids, regions, ssim, threshold, tiles
from .blocks import Facts, Reader, cut_out, make_block, pick_plane
from .preparation import Grid, Pair, grid_steps, pick_grid, put_grid
from .tables import Columns
from .tiles import Box, Slab, Tiling

__all__ = [
    "Ask",
    "Changes",
    "Seen",
    "cut_evidence",
    "find_changes",
    "grow",
    "grow_slab",
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
    flat: ssim.Window
    """That of each plane by itself, which evidence takes."""
    limits: noise.Limits | None
    """What evidence is held against; None where there is none."""
    cut: float | None
    """Where evidence, or the difference, is cut into runs; None: not yet."""
    factor: int
    """Pixels along a side of a cell of the overview."""


class Tally(NamedTuple):
    """What is counted in a pair; those of tiles add up."""

    total: int
    """Of the score, see `ssim.TileScore`."""
    pixels: int
    histogram: NDArray[np.int64]
    differs: bool
    """Whether the difference is above 0 anywhere."""
    same: bool
    """Whether all values of both images, as they were given, are the same."""

    def __add__(self, other: Tally) -> Tally:  # type: ignore[override]
        """Return what is counted in both."""
        return Tally(
            self.total + other.total,
            self.pixels + other.pixels,
            self.histogram + other.histogram,
            self.differs or other.differs,
            self.same and other.same,
        )


class Seen(NamedTuple):
    """What was seen of a pair: of a plane of a tile, or of a frame."""

    tally: Tally
    runs: regions.Runs
    weights: NDArray[np.float64]
    """(runs,): of evidence."""
    difference: NDArray[np.float32]
    """The greatest in each cell of the overview; the first cell is that of the first pixel. Of a volume with planes."""
    evidence: NDArray[np.float32]
    """The same, empty where there is no evidence."""
    grids: tuple[Grid, Grid]
    """Of before and after, what lies here of `preparation.sample_grid`."""


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


def grow_slab(slab: Slab, window: ssim.Window, planes: int) -> Slab:
    """Return the planes that the window takes for those of a tile, of so many that there are."""
    reach = window.plane_taps.size // 2
    return max(0, slab[0] - reach), min(planes, slab[1] + reach)


def look(reader: Reader, tiling: Tiling, ask: Ask, step: tiles.Step) -> Seen:
    """Return what is seen of a frame."""
    facts, rim = reader.facts, rim_of(ask)
    cells = [facts.planes, *(-(-side // ask.factor) for side in facts.grid)]
    maps = np.full(cells, np.nan, np.float32), np.full(cells if ask.limits else (cells[0], 0, 0), np.nan, np.float32)
    steps = grid_steps(facts.tall)
    samples = _make_samples(facts, steps), _make_samples(facts, steps)
    work = []
    for slab, tile in tiling.in_strips():
        read = grow_slab(slab, ask.window, facts.planes)
        work.append(reader.work(grow(tile, rim, facts.grid), tile, ask, rim, slab, read[0], slab=read))
    tallies = []
    parts: dict[tuple[int, Box], tuple[regions.Runs, NDArray[np.float64]]] = {}

    def take(found: tuple[Slab, Box, list[Seen]]) -> None:
        slab, tile, seen = found
        for plane, each in enumerate(seen, slab[0]):
            for target, part in zip(maps, (each.difference, each.evidence), strict=True):
                pyramids.merge(target[plane], part, tile[0] // ask.factor, tile[1] // ask.factor)
            for target, grid in zip(samples, each.grids, strict=True):
                put_grid(target, grid)
            parts[plane, tile] = _pack(each.runs), each.weights
        tallies.append(_add_up(seen))

    tiles.map_parts(_look_at, work, step, take)
    joined = [_join([(tile, *parts[plane, tile]) for tile in tiling.boxes]) for plane in range(facts.planes)]
    runs, weights = zip(*joined, strict=True)
    difference, found = maps if facts.volume is not None else (maps[0][0], maps[1][0])
    tally = functools.reduce(Tally.__add__, tallies)
    grids = Grid(0, 0, samples[0]), Grid(0, 0, samples[1])
    return Seen(tally, regions.join_runs(list(runs)), np.concatenate(weights), difference, found, grids)


def _pack(runs: regions.Runs) -> regions.Runs:
    """Return runs in less memory: of many tiles even the offsets are much, and most have none."""
    if not runs.starts.size and not runs.open.any():
        return _nothing(runs.offsets.size - 1)
    return runs._replace(offsets=runs.offsets.astype(np.int32))


@functools.cache
def _nothing(rows: int) -> regions.Runs:
    nothing = regions.no_runs(rows)
    return nothing._replace(offsets=nothing.offsets.astype(np.int32))


def _make_samples(facts: Facts, steps: tuple[int, int]) -> NDArray[Any]:
    """Return room for what `preparation.sample_grid` takes of an image."""
    return np.zeros([-(-side // every) for side, every in zip(facts.tall, steps, strict=True)], facts.plane_dtype)


def _add_up(seen: Sequence[Seen]) -> Tally:
    return functools.reduce(Tally.__add__, (each.tally for each in seen))


def _join(
    parts: list[tuple[Box, regions.Runs, NDArray[np.float64]]],
) -> tuple[regions.Runs, NDArray[np.float64]]:
    """Return the runs of all tiles of a plane as those of one image, and what they weigh."""
    bands: dict[int, list[tuple[Box, regions.Runs, NDArray[np.float64]]]] = {}
    for part in parts:
        bands.setdefault(part[0][0], []).append(part)
    runs, weights = [], []
    for band in bands.values():
        joined, places = regions.join_columns([each for _, each, _ in band], [tile[1] for tile, _, _ in band])
        runs.append(joined)
        weights.append(np.bincount(places, np.concatenate([each for _, _, each in band]), joined.starts.size))
    return regions.join_runs(runs), np.concatenate(weights)


def _look_at(
    arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, ask: Ask, rim: int, slab: Slab, first: int
) -> tuple[Slab, Box, list[Seen]]:
    """Look at one tile, band by band and plane by plane; the arrays of a volume begin with plane number `first`."""
    rows = max(1, BAND_PIXELS // (tile[3] - tile[1]))
    # Cells of the overview do not lie in two bands
    rows = -(-rows // ask.factor) * ask.factor
    tops = [tile[0], *range((tile[0] // ask.factor) * ask.factor + rows, tile[2], rows)]
    seen: list[list[Seen]] = [[] for _ in range(*slab)]
    for top, bottom in zip(tops, [*tops[1:], tile[2]], strict=True):
        band = (top, tile[1], bottom, tile[3])
        inner = grow(band, rim, facts.grid)
        part = cut_out(arrays, facts, box, inner)
        pair = make_block(part, facts, inner)
        for plane, here in enumerate(seen, slab[0]):
            tiles.breathe()
            here.append(_look_at_plane(pair, part, facts, inner, band, ask, plane, first))
    return slab, tile, [each[0] if len(each) == 1 else _put_together(each) for each in seen]


def _put_together(bands: list[Seen]) -> Seen:
    """Return what was seen of the bands of a plane."""
    return Seen(
        _add_up(bands),
        regions.join_runs([each.runs for each in bands]),
        np.concatenate([each.weights for each in bands]),
        np.concatenate([each.difference for each in bands]),
        np.concatenate([each.evidence for each in bands]),
        (_put_under([each.grids[0] for each in bands]), _put_under([each.grids[1] for each in bands])),
    )


def _put_under(grids: list[Grid]) -> Grid:
    return grids[0]._replace(part=np.concatenate([grid.part for grid in grids]))


def _look_at_plane(
    block: Pair, arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, ask: Ask, plane: int, first: int
) -> Seen:
    """Look at a plane, the number of which is `plane`, of a block that begins with number `first`."""
    inner = shift_box(tile, box)
    difference, found, score = measure_block(block, facts, box, tile, ask, plane - first)
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
    of_evidence = np.empty((0, 0), np.float32) if ask.limits is None else pyramids.pool(own, *corner)
    top, steps = plane * facts.grid[0] + tile[0], grid_steps(facts.tall)
    before, after = (
        pick_grid(image[inner[0] : inner[2], inner[1] : inner[3]], top, tile[1], steps)
        for image in pick_plane(block, plane - first)[:2]
    )
    if facts.volume is not None:
        arrays = [each[plane - first] for each in arrays[:2]]
    same = not differs and facts.matrix is None and _is_same(arrays, facts, inner)
    tally = Tally(score.total, score.pixels, threshold.count_levels(part), differs, same)
    return Seen(tally, runs, weights, cells, of_evidence, (before, after))


def _is_same(arrays: list[NDArray[Any]], facts: Facts, inner: Box) -> bool:
    """Return whether both images, as they were given, have the same values in a tile."""
    one, other = (array[inner[0] : inner[2], inner[1] : inner[3]] for array in arrays[:2])
    # One of them may have an axis of a single channel
    alike = one.size == other.size
    return alike and np.array_equal(
        one.reshape(other.shape), other, equal_nan=one.dtype.kind == other.dtype.kind == "f"
    )


def shift_box(tile: Box, box: Box) -> Box:
    """Return a tile as it lies in a box around it."""
    return (tile[0] - box[0], tile[1] - box[1], tile[2] - box[0], tile[3] - box[1])


def measure_block(
    block: Pair, facts: Facts, box: Box, tile: Box, ask: Ask, plane: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32], ssim.TileScore]:
    """Return difference and evidence of a box, which are right in the tile (evidence some way around), and the score.

    Of a volume, they are those of a `plane`, counted from the first of the block. Evidence is that of the difference
    where there are no limits.
    """
    grid, reach = facts.grid, ask.window.size // 2
    inner = shift_box(tile, box)
    near = detection.CLOSING - 1 if ask.limits is not None else 0
    first, last = max(0, inner[0] - near), min(box[2] - box[0], inner[2] + near)
    counted = max(tile[0], reach), max(tile[1], reach), min(tile[2], grid[0] - reach), min(tile[3], grid[1] - reach)
    top = plane * (box[2] - box[0])
    tall = np.empty(block.before.shape, np.float32)
    # Evidence of a volume takes another difference, that of the plane
    rows = (first, last) if block.volume is None else (inner[0], inner[2])
    score = ssim.measure_tile(
        block.before,
        block.after,
        tall,
        top + rows[0],
        top + rows[1],
        ask.window,
        block.center,
        block.volume.planes if block.volume is not None else 1,
        shift_box(counted, box),
    )
    difference = tall[top : top + box[2] - box[0]]
    if ask.limits is None:
        return difference, difference, score
    pair, flat = pick_plane(block, plane), difference
    if block.volume is not None:
        flat = np.empty(difference.shape, np.float32)
        ssim.measure_tile(pair.before, pair.after, flat, first, last, ask.flat, pair.center)
    found = np.empty(difference.shape, np.float32)
    source = detection.make_sources(pair, flat, facts.largest)[0]
    evidence.write_tile(source, first, last, ask.limits, found)
    return difference, found, score


def measure_limits(readers: Sequence[Reader], tiling: Tiling, window: ssim.Window, step: tiles.Step) -> noise.Limits:
    """Return what noise and edges explain in some frames of one data range, plane by plane of volumes."""
    facts = readers[0].facts
    limits = None
    places = [
        (reader, slab, tile)
        for reader in readers
        for slab in tiling.slabs
        for tile in evidence.sample_tiles(facts.grid)
    ]
    sums: list[noise.Counts] = []

    def take(found: noise.Counts) -> None:
        # Counts are large
        sums.append(sums.pop() + found if sums else found)

    for radius in noise.RADII:
        sums.clear()
        rim = max(window.size // 2, evidence.find_rim(radius) + evidence.BLOCK)
        work = [
            reader.work(grow(tile, rim, facts.grid), tile, window, radius, slab=slab) for reader, slab, tile in places
        ]
        tiles.map_parts(_count, work, tiles.uncounted(step), take)
        limits = noise.make_limits(sums[0], radius, facts.data_range, facts.quantum)
        if limits is not None:
            break
    assert limits is not None  # the largest radius always has limits
    return limits


def _count(
    arrays: list[NDArray[Any]], facts: Facts, box: Box, tile: Box, window: ssim.Window, radius: int
) -> noise.Counts:
    """Return what is counted in one tile of a sample, plane by plane."""
    block, inner = make_block(arrays, facts, box), shift_box(tile, box)
    counts: list[noise.Counts] = []
    for plane in range(block.volume.planes if block.volume is not None else 1):
        tiles.breathe()
        pair = pick_plane(block, plane)
        difference, _, _ = measure_block(pair, facts, box, tile, Ask(window, window, None, None, 1))
        found = evidence.count_tiles(detection.make_sources(pair, difference, facts.largest)[0], [inner], radius)
        # Counts are large
        counts.append(counts.pop() + found if counts else found)
    return counts[0]


def cut_evidence(seen: Seen, facts: Facts, min_area: float) -> regions.Regions:
    """Return the regions of the evidence of a frame that weigh enough."""
    planes = None if facts.volume is None else facts.planes
    every = regions.connect_runs(seen.runs, facts.grid[1], detection.LINKED, planes)
    holders = regions.find_holders(seen.runs, every)
    weights = np.zeros(len(every.area))
    np.add.at(weights, every.labels[holders] - 1, seen.weights)
    return detection.keep_heavy(every, weights, min_area)


def find_changes(kept: regions.Regions, reader: Reader, radius: int, step: tiles.Step) -> Changes:
    """Return the regions that no small displacement explains, and the boxes of the others.

    They are held against displacement only where the tolerance of the evidence, `radius`, is greater than 1. A region
    of a volume is displaced if it is in each of its planes.
    """
    if radius == 1 or not len(kept.area):
        return Changes(kept, kept.boxes[:0])
    of_volume = reader.facts.volume is not None
    flat = np.delete(kept.boxes, [0, 3], axis=1) if of_volume else kept.boxes
    asked = np.flatnonzero((flat[:, 2:] - flat[:, :2]).max(1) <= displacement.LARGEST_SIDE)
    work, numbers = [], []
    for region in asked.tolist():
        box = flat[region].tolist()
        around = grow((box[0], box[1], box[2], box[3]), displacement.AROUND_REGION, reader.facts.grid)
        for plane in range(*kept.boxes[region, [0, 3]].tolist()) if of_volume else (0,):
            work.append(reader.at(plane).work(around, box))
            numbers.append(region)
    displaced = np.zeros(len(kept.area), np.bool_)
    displaced[asked] = True
    found = np.array(tiles.map_parts(_is_displaced, work, tiles.uncounted(step)), np.bool_)
    displaced[np.array(numbers, np.int64)[~found]] = False
    return Changes(regions.keep_regions(kept, ~displaced), kept.boxes[displaced])


def _is_displaced(arrays: list[NDArray[Any]], facts: Facts, box: Box, region: list[int]) -> bool:
    pair = make_block(arrays, facts, box)
    inside = np.array(region) - [box[0], box[1], box[0], box[1]]
    return displacement.is_displaced((pair.before, pair.after), pair.colours, inside, pair.data_range)


def measure_table(
    found: regions.Regions, reader: Reader, tiling: Tiling, ask: Ask, with_evidence: bool, step: tiles.Step
) -> Columns:
    """Return the table of the regions of a frame; of tiles only what regions span is read."""
    facts, rim = reader.facts, rim_of(ask)
    names = ["difference", *(["evidence"] if with_evidence else []), "before", "after"]
    count = len(found.area)
    sums = {name: regions.Sums(np.zeros(count), np.full(count, -np.inf)) for name in names}
    work = []
    for slab, tile in tiling.in_strips():
        clipped = _clip(found, facts.grid[0], slab, tile)
        if not any(labels.size for _, labels in clipped):
            continue
        slab, tile = _shrink(clipped, slab, tile)
        runs, labels = zip(*_clip(found, facts.grid[0], slab, tile), strict=True)
        own, places = np.unique(np.concatenate(labels), return_inverse=True)
        ends = np.cumsum([each.size for each in labels])[:-1]
        numbers = np.split((places + 1).astype(np.int32), ends)
        read = grow_slab(slab, ask.window, facts.planes)
        given = (tile, ask, slab[0] - read[0], runs, numbers, own - 1)
        work.append(reader.work(grow(tile, rim, facts.grid), *given, slab=read))

    def take(part: tuple[NDArray[np.int32], list[dict[str, regions.Sums]]]) -> None:
        own, of_planes = part
        for name, (total, largest) in (each for of_plane in of_planes for each in of_plane.items()):
            sums[name].total[own] += total
            sums[name].largest[own] = np.maximum(sums[name].largest[own], largest)

    tiles.map_parts(_sum_tile, work, step, take)
    step(tiling.total - len(work))
    of_image = (facts.center, regions.find_unit(facts.plane_dtype, facts.data_range))
    of_map = (0.0, regions.find_unit(np.dtype(np.float32), 1.0))
    units = {name: of_image if name in ("before", "after") else of_map for name in names}
    return regions.make_table_of(found, sums, units)


def _clip(found: regions.Regions, rows: int, slab: Slab, tile: Box) -> list[tuple[regions.Runs, NDArray[np.int32]]]:
    """Return what `regions.clip_runs` does for each plane, of so many `rows`, of a tile."""
    top, left, bottom, right = tile
    return [regions.clip_runs(found, plane * rows + top, left, plane * rows + bottom, right) for plane in range(*slab)]


def _shrink(clipped: list[tuple[regions.Runs, NDArray[np.int32]]], slab: Slab, tile: Box) -> tuple[Slab, Box]:
    """Return the part of a tile that the runs in it span."""
    planes = [plane for plane, (_, labels) in enumerate(clipped, slab[0]) if labels.size]
    rows = np.flatnonzero(np.sum([np.diff(runs.offsets) for runs, _ in clipped], axis=0))
    left = min(int(runs.starts.min()) for runs, labels in clipped if labels.size)
    right = max(int(runs.stops.max()) for runs, labels in clipped if labels.size)
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    return (planes[0], planes[-1] + 1), (tile[0] + top, tile[1] + left, tile[0] + bottom, tile[1] + right)


def _sum_tile(
    arrays: list[NDArray[Any]],
    facts: Facts,
    box: Box,
    tile: Box,
    ask: Ask,
    first: int,
    runs: Sequence[regions.Runs],
    labels: Sequence[NDArray[np.int32]],
    own: NDArray[np.int32],
) -> tuple[NDArray[np.int32], list[dict[str, regions.Sums]]]:
    """Return the numbers of the regions of a tile, and the sums over each, plane by plane.

    Runs and labels are those of each plane, from number `first` of what was read on.
    """
    block = make_block(arrays, facts, box)
    inner = shift_box(tile, box)
    sums = []
    for plane, (of_plane, numbers) in enumerate(zip(runs, labels, strict=True), first):
        if not numbers.size:
            continue
        tiles.breathe()
        difference, found, _ = measure_block(block, facts, box, tile, ask, plane)
        pair = pick_plane(block, plane)
        maps = {"difference": (difference, 1.0, 0.0), "evidence": (found, 1.0, 0.0)}
        if ask.limits is None:
            del maps["evidence"]
        for name, image in (("before", pair.before), ("after", pair.after)):
            maps[name] = (image, pair.data_range, pair.center)
        here = {}
        for name, (image, span, zero) in maps.items():
            part = np.ascontiguousarray(image[inner[0] : inner[2], inner[1] : inner[3]])
            quantity = regions.make_quantity(numbers.size, part, span, zero)
            here[name] = regions.sum_tile(of_plane, numbers, len(own), quantity)
        sums.append(here)
    return own, sums
