"""From the difference to filled, numbered regions: the runs of each tile, their union, labels and table.

A *run* is a stretch of neighbouring pixels in one row that differ. Runs are found tile by tile and put one after the
other; holes and connections are worked out on the runs alone, so that the result cannot depend on the tiles.

A volume is laid out as one tall plane, its planes one under the other. Only holes, connections and boxes know of that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .tables import Columns

__all__ = [
    "MEAN_UNIT",
    "Quantity",
    "Regions",
    "Runs",
    "Sums",
    "clip_runs",
    "connect_runs",
    "cut_plane",
    "find_holders",
    "find_largest_planes",
    "find_runs",
    "find_unit",
    "join_columns",
    "join_runs",
    "keep_regions",
    "make_quantity",
    "make_regions",
    "make_table",
    "make_table_of",
    "measure_tile",
    "name_box",
    "no_runs",
    "paint_runs",
    "paint_tile",
    "sum_tile",
    "weigh_runs",
    "weigh_tile",
]

_compile = njit(nogil=True, error_model="numpy", cache=True)

# Intensities are summed as integers of this share of the data range, differences of this share of 1: exact, and so
# independent of the tiles.
MEAN_UNIT = 2.0**-24

# Pixels of a row that are passed over at once where nothing begins or ends.
BLOCK = 128


class Runs(NamedTuple):
    """The runs of consecutive rows."""

    offsets: NDArray[np.int64]
    """(rows + 1,): runs ``offsets[i]`` to ``offsets[i + 1]`` lie in row i."""
    starts: NDArray[np.int32]
    """First column of each run."""
    stops: NDArray[np.int32]
    """Column after the last of each run."""
    open: NDArray[np.bool_]
    """(runs + rows,): whether the gap before each run, and at the end of each row, has a pixel that is not valid."""


class Regions(NamedTuple):
    """The filled runs of an image, the region that each belongs to, and what is known of each region."""

    runs: Runs
    """Filled, so gaps are never inside a region; `open` is empty."""
    labels: NDArray[np.int32]
    """Region of each run: 1 to N in raster order of the first pixel, 0 where the region was dropped."""
    boxes: NDArray[np.int64]
    """(N, 4): min_row, min_col, max_row, max_col, half-open; in a volume (N, 6), with min_plane and max_plane."""
    area: NDArray[np.int64]
    """(N,): pixels, in a volume voxels."""
    contour_area: NDArray[np.float64] | None
    """(N,): area of the polygon through the middles of the outer pixels, as ``cv2.contourArea`` gives it; None in a
    volume, where there is no such polygon."""
    centroids: NDArray[np.float64]
    """(N, 2): row, column; in a volume (N, 3), with the plane."""

    @property
    def size(self) -> NDArray[Any]:
        """What the minimum area is held against: contour area, in a volume the number of voxels."""
        return self.area if self.contour_area is None else self.contour_area


def name_box(ndim: int = 2) -> list[str]:
    """Return the columns of the table that have a region's box, along 2 axes, or 3 in a volume."""
    return [f"{end}_{axis}" for end in ("min", "max") for axis in ("plane", "row", "col")[-ndim:]]


def find_runs(difference: NDArray[np.float32], threshold: float) -> Runs:
    """Return the runs of pixels whose difference, as float64, is greater than `threshold`; NaN is never."""
    return Runs(*_find_runs(difference, _largest_below(threshold)))


def _largest_below(threshold: float) -> np.float32:
    """Return the float32 t for which ``d > t`` equals ``float64(d) > threshold`` for every float32 d."""
    with np.errstate(over="ignore"):  # what is too large is infinite, and the number below it the largest there is
        rounded = np.float32(threshold)
    return rounded if float(rounded) <= threshold else np.nextafter(rounded, np.float32(-np.inf))


def join_runs(tiles: list[Runs]) -> Runs:
    """Return the runs of tiles that follow each other from top to bottom as those of one image."""
    if len(tiles) == 1:
        return tiles[0]
    bases = np.cumsum([0] + [tile.starts.size for tile in tiles])
    offsets = [tile.offsets[:-1] + base for tile, base in zip(tiles, bases, strict=False)]
    return Runs(
        np.concatenate([*offsets, bases[-1:]]),
        np.concatenate([tile.starts for tile in tiles]),
        np.concatenate([tile.stops for tile in tiles]),
        np.concatenate([tile.open for tile in tiles]),
    )


def no_runs(rows: int) -> Runs:
    """Return the runs of an image without any."""
    none = np.zeros(0, np.int32)
    return Runs(np.zeros(rows + 1, np.int64), none, none, np.zeros(rows, np.bool_))


def join_columns(tiles: list[Runs], lefts: Sequence[int]) -> tuple[Runs, NDArray[np.int64]]:
    """Return the runs of tiles that lie side by side as those of one band, and which of them each run became.

    Parameters
    ----------
    tiles : list of Runs
        Of as many rows each, from left to right.
    lefts : sequence of int
        First column of each tile.

    Returns
    -------
    runs : Runs
        Runs that meet at a seam are one.
    places : (all runs of the tiles,) int64
        For each run of each tile, tile after tile, its number in `runs`.
    """
    bases = np.cumsum([0] + [tile.starts.size for tile in tiles])
    *found, places = _join_columns(
        np.stack([tile.offsets for tile in tiles]).astype(np.int64),
        np.concatenate([tile.starts + np.int32(left) for tile, left in zip(tiles, lefts, strict=True)]),
        np.concatenate([tile.stops + np.int32(left) for tile, left in zip(tiles, lefts, strict=True)]),
        np.concatenate([tile.open for tile in tiles]),
        bases,
    )
    return Runs(*found), places


def clip_runs(found: Regions, top: int, left: int, bottom: int, right: int) -> tuple[Runs, NDArray[np.int32]]:
    """Return the runs of regions within a box, whose first pixel is (0, 0) for them, and the region of each."""
    runs = found.runs
    offsets, starts, stops, labels = _clip_runs(
        runs.offsets[top : bottom + 1], runs.starts, runs.stops, found.labels, left, right
    )
    return Runs(offsets, starts, stops, runs.open[:0]), labels


def cut_plane(found: Regions, first: int, last: int, told: NDArray[np.int64]) -> Regions:
    """Return what lies in the rows `first` to `last`, those of one plane, of the regions of a volume.

    The regions `told`, which are counted from 0 and reach into the plane, are numbered 1 to N. Any others have the
    number after, all of them, and neither a box nor an area. Of contour areas and centroids nothing is known.
    """
    numbers = np.full(len(found.area) + 1, len(told) + 1, np.int32)
    numbers[0], numbers[told + 1] = 0, np.arange(1, len(told) + 1, dtype=np.int32)
    offsets, starts, stops, labels = _clip_runs(
        found.runs.offsets[first : last + 1], found.runs.starts, found.runs.stops, found.labels, 0, 2**31 - 1
    )
    labels = numbers[labels]
    boxes = np.tile(np.array([2**62, 2**62, 0, 0]), (len(told) + 2, 1))
    rows = np.repeat(np.arange(last - first), np.diff(offsets))
    for column, (choose, sides) in enumerate(
        ((np.minimum, rows), (np.minimum, starts), (np.maximum, rows + 1), (np.maximum, stops))
    ):
        choose.at(boxes[:, column], labels, sides)
    area = np.bincount(labels, stops - starts, len(told) + 2).astype(np.int64)
    kept = slice(1, len(told) + 1)
    return Regions(
        Runs(offsets, starts, stops, found.runs.open[:0]), labels, boxes[kept], area[kept], None, np.empty((0, 2))
    )


def find_largest_planes(found: Regions, rows: int) -> NDArray[np.int64]:
    """Return, for each region of a volume whose planes have so many rows, where it has most voxels, first of equals."""
    largest = _find_largest_planes(
        found.runs.offsets, found.runs.starts, found.runs.stops, found.labels, len(found.area), rows
    )
    return np.asarray(largest[1:])


def find_holders(runs: Runs, found: Regions) -> NDArray[np.int64]:
    """Return, for each of the runs that regions were made from, the filled run that it is a part of."""
    return np.asarray(_find_holders(runs.offsets, runs.starts, found.runs.offsets, found.runs.starts))


def weigh_runs(runs: Runs, evidence: NDArray[np.float32], cut: float, most: float) -> NDArray[np.float64]:
    """Return the weight of each run of a tile, whose evidence is given; see `weigh_tile`."""
    weights = np.zeros(runs.starts.size + 1)
    numbers = np.arange(1, weights.size, dtype=np.int32)
    _weigh_runs(runs.offsets, runs.starts, runs.stops, numbers, evidence, _largest_below(cut), cut, most, weights)
    return weights[1:]


def paint_runs(runs: Runs, labels: NDArray[np.int32], painted: NDArray[np.int32], factor: int) -> None:
    """Write the greatest label of each cell of `factor` by `factor` pixels of a tile into `painted`, 0 where none."""
    painted[:] = 0
    _paint_cells(runs.offsets, runs.starts, runs.stops, labels, painted, factor)


class Sums(NamedTuple):
    """A quantity over the regions of a tile; sums of tiles add up."""

    total: NDArray[np.float64]
    """(regions,): of the pixels as whole numbers, see `Quantity`."""
    largest: NDArray[np.float64]


def sum_tile(runs: Runs, labels: NDArray[np.int32], count: int, quantity: Quantity) -> Sums:
    """Return a quantity, the plane of which is the tile's, over the regions 1 to `count` of a tile."""
    _measure_runs(runs.offsets, runs.starts, runs.stops, labels, *quantity)
    return Sums(*_sum_runs(labels, quantity.sums, quantity.largest, count))


def make_regions(runs: Runs, width: int, min_area: float, planes: int | None = None) -> Regions:
    """Fill holes, connect runs into regions, drop the small ones and number the rest.

    Parameters
    ----------
    runs : Runs
        Of a whole image.
    width : int
        Columns of the image.
    min_area : float
        A region is kept when its contour area, in a volume the number of its voxels, is greater; a negative number
        keeps all.
    planes : int, optional
        Number of planes of a volume; None for an image.

    Returns
    -------
    Regions
        Filled regions are connected over edges and corners (8 neighbours, in a volume 26). A hole is background,
        connected over edges (4 neighbours, in a volume over faces, 6), that reaches neither the image's border nor a
        pixel that is not valid. The border of a volume is all of its faces, so in a single plane nothing is filled.

    Notes
    -----
    In an image these are the external contours of ``cv2.findContours``, filled: holes, and what lies in them, belong to
    the region around. The contour area is n4 + n3 / 2, with n4 and n3 the numbers of 2 x 2 blocks that have 4 and 3
    pixels in the region (Pick's theorem on the polygon through the pixels' middles).
    """
    found = connect_runs(runs, width, planes=planes)
    return keep_regions(found, found.size > min_area)


def connect_runs(runs: Runs, width: int, reach: int = 1, planes: int | None = None) -> Regions:
    """Return all regions of an image `width` columns wide: holes filled, pixels up to `reach` apart in one region.

    From plane to plane of a volume, if there are `planes`, it is neighbours that are connected, whatever the `reach`.
    """
    volume, rows = planes is not None, (runs.offsets.size - 1) // (planes or 1)
    offsets, starts, stops = _fill_holes(*runs, width, rows, volume)
    filled = Runs(offsets, starts, stops, runs.open[:0])
    parents, doubled_area = _connect(offsets, starts, stops, reach, rows)
    region_of_run, sums = _sum_regions(offsets, starts, stops, parents, doubled_area, rows)
    # Of an image the plane is left out
    axes = slice(0 if volume else 1, 3)
    boxes = np.concatenate([sums[:, 0:3][:, axes], sums[:, 3:6][:, axes]], axis=1)
    area, contour_area = sums[:, 6], None if volume else sums[:, 7] / 2
    centroids = sums[:, 8:][:, axes] / np.maximum(area, 1)[:, None]
    return Regions(filled, (region_of_run + 1).astype(np.int32), boxes, area, contour_area, centroids)


def keep_regions(found: Regions, kept: NDArray[np.bool_]) -> Regions:
    """Return the regions marked in `kept` (N,), numbered anew in the same order."""
    numbers = np.zeros(kept.size + 1, np.int32)
    numbers[1:][kept] = np.arange(1, np.count_nonzero(kept) + 1, dtype=np.int32)
    contour_area = None if found.contour_area is None else found.contour_area[kept]
    columns = (found.boxes[kept], found.area[kept], contour_area, found.centroids[kept])
    return Regions(found.runs, numbers[found.labels], *columns)


def weigh_tile(
    found: Regions, top: int, bottom: int, evidence: NDArray[np.float32], cut: float, most: float
) -> NDArray[np.float64]:
    """Return the weight of each region in the rows `top` to `bottom`: its pixels above `cut`, each by how far above.

    A pixel of evidence e counts e / cut, `most` at the utmost, in steps of 2^-10; weights of tiles add up exactly.
    """
    runs = found.runs
    weights = np.zeros(len(found.area) + 1)
    offsets = runs.offsets[top : bottom + 1]
    limit = _largest_below(cut)
    _weigh_runs(offsets, runs.starts, runs.stops, found.labels, evidence[top:bottom], limit, cut, most, weights)
    return weights[1:]


class Quantity(NamedTuple):
    """An image that is measured over each region, and what was found, run by run."""

    plane: NDArray[Any]
    """(H, W) real numbers."""
    zero: float
    unit: float
    """Each pixel counts as (value - zero) / unit, rounded to a whole number."""
    sums: NDArray[np.float64]
    """(runs,), whole numbers: exact below 2^53, and beyond still finite, as int64 would not be."""
    largest: NDArray[np.float64]
    """(runs,)."""


def make_quantity(runs: int, plane: NDArray[Any], span: float, zero: float = 0.0) -> Quantity:
    """Return `plane`, whose values span about `span`, as a quantity still to be measured over so many runs.

    Whole numbers count whole; floats are rounded to 2^-24 of the power of two not above `span`.
    """
    return Quantity(plane, zero, find_unit(plane.dtype, span), np.zeros(runs), np.zeros(runs))


def find_unit(dtype: np.dtype[Any], span: float) -> float:
    """Return the unit in which the pixels of a quantity count."""
    return MEAN_UNIT * 2.0 ** math.floor(math.log2(span)) if dtype.kind == "f" else 1.0


def paint_tile(found: Regions, top: int, bottom: int, labels: NDArray[np.int32]) -> None:
    """Write the rows `top` to `bottom` of `labels` (H, W): each region's number in its pixels, 0 elsewhere."""
    runs = found.runs
    _paint_labels(runs.offsets[top : bottom + 1], runs.starts, runs.stops, found.labels, labels[top:bottom])


def measure_tile(found: Regions, top: int, bottom: int, quantity: Quantity) -> None:
    """Measure a quantity over the runs of the rows `top` to `bottom`."""
    runs = found.runs
    _measure_runs(
        runs.offsets[top : bottom + 1], runs.starts, runs.stops, found.labels, quantity.plane[top:bottom], *quantity[1:]
    )


def make_table(found: Regions, quantities: Mapping[str, Quantity]) -> Columns:
    """Return the regions as a table, a row for each, in the order of their labels.

    Each quantity has its mean over the region as a column; difference and evidence have their greatest value too.
    """
    count = len(found.area)
    sums = {name: Sums(*_sum_runs(found.labels, each.sums, each.largest, count)) for name, each in quantities.items()}
    return make_table_of(found, sums, {name: (each.zero, each.unit) for name, each in quantities.items()})


def make_table_of(found: Regions, sums: Mapping[str, Sums], units: Mapping[str, tuple[float, float]]) -> Columns:
    """Return the same from the sums over each region; `units` are zero and unit of each quantity."""
    count = len(found.area)
    columns: Columns = {"label": np.arange(1, count + 1, dtype=np.int32)}
    box = name_box(found.boxes.shape[1] // 2)
    columns |= dict(zip(box, found.boxes.T, strict=True))
    columns["area"] = found.area
    if found.contour_area is not None:
        columns["contour_area"] = found.contour_area
    columns |= {name.replace("min", "centroid"): column for name, column in zip(box, found.centroids.T, strict=False)}
    for name, (total, largest) in sums.items():
        zero, unit = units[name]
        columns[f"{name}_mean"] = total / np.maximum(found.area, 1) * unit + zero
        if name in ("difference", "evidence"):
            columns[f"{name}_max"] = np.where(largest > -np.inf, largest, np.nan)
    return columns


@_compile
def _join_columns(offsets, starts, stops, open_gaps, bases):  # type: ignore[no-untyped-def]
    """Return offsets, starts, stops, open gaps and places; `offsets` are (tiles, rows + 1), `bases` first runs."""
    count, height = offsets.shape[0], offsets.shape[1] - 1
    joined = np.empty(height + 1, np.int64)
    new_starts, new_stops = np.empty_like(starts), np.empty_like(stops)
    new_open = np.zeros(starts.size + height, np.bool_)
    places = np.empty(starts.size, np.int64)
    joined[0] = 0
    runs = 0
    for row in range(height):
        gap = runs + row
        for tile in range(count):
            base = bases[tile]
            # Gaps of a tile follow each other as its runs do, with one more for each row
            gaps = base + tile * height + row
            for run in range(base + offsets[tile, row], base + offsets[tile, row + 1]):
                new_open[gap] |= open_gaps[gaps + run - base]
                if runs > joined[row] and new_stops[runs - 1] == starts[run]:
                    new_stops[runs - 1] = stops[run]
                else:
                    new_starts[runs], new_stops[runs] = starts[run], stops[run]
                    runs += 1
                    gap += 1
                places[run] = runs - 1
            new_open[gap] |= open_gaps[gaps + offsets[tile, row + 1]]
        joined[row + 1] = runs
    return joined, new_starts[:runs].copy(), new_stops[:runs].copy(), new_open[: runs + height].copy(), places


@_compile
def _clip_runs(offsets, starts, stops, run_labels, left, right):  # type: ignore[no-untyped-def]
    height = offsets.size - 1
    clipped = np.zeros(height + 1, np.int64)
    size = offsets[height] - offsets[0]
    new_starts, new_stops = np.empty(size, np.int32), np.empty(size, np.int32)
    labels = np.empty(size, np.int32)
    count = 0
    for row in range(height):
        low, high = offsets[row], offsets[row + 1]
        while low < high:
            middle = (low + high) // 2
            if stops[middle] <= left:
                low = middle + 1
            else:
                high = middle
        for run in range(low, offsets[row + 1]):
            if starts[run] >= right:
                break
            if run_labels[run]:
                new_starts[count] = max(starts[run], left) - left
                new_stops[count] = min(stops[run], right) - left
                labels[count] = run_labels[run]
                count += 1
        clipped[row + 1] = count
    return clipped, new_starts[:count].copy(), new_stops[:count].copy(), labels[:count].copy()


@_compile
def _find_largest_planes(offsets, starts, stops, run_labels, count, rows):  # type: ignore[no-untyped-def]
    largest, most = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    here, voxels = np.full(count + 1, -1), np.zeros(count + 1, np.int64)
    for line in range(offsets.size - 1):
        plane = line // rows
        for run in range(offsets[line], offsets[line + 1]):
            region = run_labels[run]
            if here[region] != plane:
                here[region] = plane
                voxels[region] = 0
            voxels[region] += stops[run] - starts[run]
            if voxels[region] > most[region]:
                most[region] = voxels[region]
                largest[region] = plane
    return largest


@_compile
def _find_holders(offsets, starts, filled_offsets, filled_starts):  # type: ignore[no-untyped-def]
    holders = np.empty(starts.size, np.int64)
    for row in range(offsets.size - 1):
        holder = filled_offsets[row]
        for run in range(offsets[row], offsets[row + 1]):
            while holder + 1 < filled_offsets[row + 1] and filled_starts[holder + 1] <= starts[run]:
                holder += 1
            holders[run] = holder
    return holders


@_compile
def _paint_cells(offsets, starts, stops, run_labels, painted, factor):  # type: ignore[no-untyped-def]
    for row in range(offsets.size - 1):
        line = painted[row // factor]
        for run in range(offsets[row], offsets[row + 1]):
            for cell in range(starts[run] // factor, (stops[run] - 1) // factor + 1):
                line[cell] = max(line[cell], run_labels[run])


@_compile
def _paint_labels(offsets, starts, stops, run_labels, labels):  # type: ignore[no-untyped-def]
    for row in range(labels.shape[0]):
        line = labels[row]
        line[:] = 0
        for run in range(offsets[row], offsets[row + 1]):
            line[starts[run] : stops[run]] = run_labels[run]


@_compile
def _measure_runs(offsets, starts, stops, run_labels, values, zero, unit, sums, largest):  # type: ignore[no-untyped-def]
    scale = 1.0 / unit
    for row in range(values.shape[0]):
        for run in range(offsets[row], offsets[row + 1]):
            if run_labels[run] == 0:
                continue
            line = values[row, starts[run] : stops[run]]
            total = 0.0
            greatest = -np.inf
            for j in range(line.size):
                total += np.floor((float(line[j]) - zero) * scale + 0.5)
                # Not by max, of which NaN depends on the order
                if line[j] > greatest:
                    greatest = line[j]
            sums[run] = total
            largest[run] = greatest


@_compile
def _weigh_runs(offsets, starts, stops, run_labels, evidence, limit, cut, most, weights):  # type: ignore[no-untyped-def]
    for row in range(evidence.shape[0]):
        for run in range(offsets[row], offsets[row + 1]):
            line = evidence[row, starts[run] : stops[run]]
            total = 0.0
            for j in range(line.size):
                if line[j] > limit:
                    total += np.floor(min(float(line[j]) / cut, most) * 1024.0 + 0.5) / 1024.0
            weights[run_labels[run]] += total


@_compile
def _sum_runs(run_labels, sums, largest, count):  # type: ignore[no-untyped-def]
    totals = np.zeros(count)
    greatest = np.full(count, -np.inf)
    for run in range(run_labels.size):
        region = run_labels[run] - 1
        if region >= 0:
            totals[region] += sums[run]
            greatest[region] = max(greatest[region], largest[run])
    return totals, greatest


@_compile
def _find_runs(difference, threshold):  # type: ignore[no-untyped-def]
    height, width = difference.shape
    offsets = np.empty(height + 1, np.int64)
    offsets[0] = 0
    starts = np.empty(1024, np.int32)
    stops = np.empty(1024, np.int32)
    open_gaps = np.zeros(1024 + height, np.bool_)
    count = 0
    for row in range(height):
        values = difference[row]
        if count + width // 2 + 1 > starts.size:
            size = 2 * starts.size + width
            starts = _grown(starts, size)
            stops = _grown(stops, size)
            open_gaps = _grown(open_gaps, size + height)
        open_gaps[count + row] = False
        inside = False
        for left in range(0, width, BLOCK):
            block = values[left : left + BLOCK]
            over_pixels = 0
            invalid_pixels = 0
            for j in range(block.size):
                over_pixels += block[j] > threshold
                invalid_pixels += block[j] != block[j]
            if invalid_pixels == 0 and over_pixels == (block.size if inside else 0):
                continue
            for j in range(block.size):
                over = block[j] > threshold
                if over and not inside:
                    starts[count] = left + j
                elif inside and not over:
                    stops[count] = left + j
                    count += 1
                    open_gaps[count + row] = False
                if block[j] != block[j]:
                    open_gaps[count + row] = True
                inside = over
        if inside:
            stops[count] = width
            count += 1
            open_gaps[count + row] = False
        offsets[row + 1] = count
    return offsets, starts[:count].copy(), stops[:count].copy(), open_gaps[: count + height].copy()


@_compile
def _grown(array, size):  # type: ignore[no-untyped-def]
    longer = np.empty(size, array.dtype)
    # A loop: assigning to a slice would compile the text of an error that cannot occur, for a second and a half
    for i in range(array.size):
        longer[i] = array[i]
    return longer


@_compile
def _find(parents, node):  # type: ignore[no-untyped-def]
    """Return the root of `node`, halving the path to it."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@_compile
def _unite(parents, one, other):  # type: ignore[no-untyped-def]
    """Join two sets; the smaller number becomes the root, so that a root is the first of its set."""
    one, other = _find(parents, one), _find(parents, other)
    if one < other:
        parents[other] = one
    else:
        parents[one] = other


@_compile
def _fill_holes(offsets, starts, stops, open_gaps, width, rows, volume):  # type: ignore[no-untyped-def]
    """Return offsets, starts and stops of the runs with the gaps that are holes closed.

    Gap g of row i, before its run g, has node 1 + offsets[i] + i + g; node 0 is the world outside. Planes of a `volume`
    have so many `rows`.
    """
    height = offsets.size - 1
    parents = np.arange(1 + starts.size + height)
    for row in range(height):
        begin, end = offsets[row], offsets[row + 1]
        node = 1 + begin + row
        at_border = row % rows == 0 or row % rows == rows - 1 or (volume and (row < rows or row >= height - rows))
        for gap in range(end - begin + 1):
            at_side = (gap == 0 and (begin == end or starts[begin] > 0)) or (
                gap == end - begin and stops[end - 1] < width
            )
            if at_side or open_gaps[node - 1 + gap] or at_border:
                _unite(parents, 0, node + gap)
        if row % rows:
            _unite_gaps(parents, offsets, starts, stops, row - 1, row, width)
        if row >= rows:
            _unite_gaps(parents, offsets, starts, stops, row - rows, row, width)
    new_offsets = np.empty_like(offsets)
    new_offsets[0] = 0
    new_starts = np.empty_like(starts)
    new_stops = np.empty_like(stops)
    count = 0
    for row in range(height):
        for run in range(offsets[row], offsets[row + 1]):
            hole = run > offsets[row] and _find(parents, 1 + run + row) != 0
            if hole:
                new_stops[count - 1] = stops[run]
            else:
                new_starts[count] = starts[run]
                new_stops[count] = stops[run]
                count += 1
        new_offsets[row + 1] = count
    return new_offsets, new_starts[:count].copy(), new_stops[:count].copy()


@_compile
def _unite_gaps(parents, offsets, starts, stops, above, row, width):  # type: ignore[no-untyped-def]
    """Unite the gaps of a row with those of another, above or in the plane before, that share a column with them."""
    upper, lower = offsets[above], offsets[row]
    while upper <= offsets[above + 1] and lower <= offsets[row + 1]:
        upper_start = stops[upper - 1] if upper > offsets[above] else 0
        upper_stop = starts[upper] if upper < offsets[above + 1] else width
        lower_start = stops[lower - 1] if lower > offsets[row] else 0
        lower_stop = starts[lower] if lower < offsets[row + 1] else width
        if max(upper_start, lower_start) < min(upper_stop, lower_stop):
            _unite(parents, 1 + upper + above, 1 + lower + row)
        if upper_stop < lower_stop:
            upper += 1
        else:
            lower += 1


@_compile
def _connect(offsets, starts, stops, reach, rows):  # type: ignore[no-untyped-def]
    """Return the parents of the runs united, and each run's share of twice the contour area.

    Runs are united where pixels of theirs are at most `reach` apart, down or across: 1 is over edges and corners. From
    one plane of so many `rows` to the next it is always 1.
    """
    parents = np.arange(starts.size)
    doubled_area = np.zeros(starts.size, np.int64)
    for row in range(offsets.size - 1):
        for run in range(offsets[row] + 1, offsets[row + 1]):
            if starts[run] < stops[run - 1] + reach:
                _unite(parents, run - 1, run)
        line = row % rows
        for above in range(max(row - line, row - reach), row):
            _unite_runs(parents, doubled_area, offsets, starts, stops, above, row, reach)
        if row >= rows:
            for other in range(max(line - 1, 0), min(line + 2, rows)):
                _unite_runs(parents, doubled_area, offsets, starts, stops, row - line - rows + other, row, 1)
    return parents, doubled_area


@_compile
def _unite_runs(parents, doubled_area, offsets, starts, stops, above, row, reach):  # type: ignore[no-untyped-def]
    """Unite the runs of a row with those of another that are at most `reach` apart across."""
    first = offsets[above]
    for lower in range(offsets[row], offsets[row + 1]):
        while first < offsets[above + 1] and stops[first] + reach <= starts[lower]:
            first += 1
        upper = first
        while upper < offsets[above + 1] and starts[upper] < stops[lower] + reach:
            _unite(parents, upper, lower)
            if above == row - 1:
                doubled_area[lower] += _doubled_area(starts[upper], stops[upper], starts[lower], stops[lower])
            upper += 1


@_compile
def _doubled_area(start, stop, other_start, other_stop):  # type: ignore[no-untyped-def]
    """Return 2 n4 + n3 of the 2 x 2 blocks between two runs in neighbouring rows.

    Runs of one row have a gap between them, so that a pair of neighbours in a row never touches two runs of the other.
    """
    both = max(0, min(stop, other_stop) - max(start, other_start) - 1)
    touched = max(0, min(stop, other_stop + 1) - max(start, other_start - 1) - 1)
    other_touched = max(0, min(stop + 1, other_stop) - max(start - 1, other_start) - 1)
    return 2 * both + (touched - both) + (other_touched - both)


@_compile
def _sum_regions(offsets, starts, stops, parents, doubled_area, rows):  # type: ignore[no-untyped-def]
    """Return the region of each run, from 0 in raster order, and the sums over each.

    Sums are min_plane, min_row, min_col, max_plane, max_row, max_col, pixels, doubled contour area, sum of planes, sum
    of rows, sum of columns, where planes have so many `rows`.
    """
    regions = np.empty(starts.size, np.int64)
    count = 0
    for run in range(starts.size):
        root = _find(parents, run)
        if root == run:
            regions[run] = count
            count += 1
        else:
            regions[run] = regions[root]
    sums = np.zeros((count, 11), np.int64)
    sums[:, :3] = np.iinfo(np.int64).max
    for line in range(offsets.size - 1):
        plane, row = line // rows, line % rows
        for run in range(offsets[line], offsets[line + 1]):
            region = sums[regions[run]]
            start, stop = np.int64(starts[run]), np.int64(stops[run])
            region[0] = min(region[0], plane)
            region[1] = min(region[1], row)
            region[2] = min(region[2], start)
            region[3] = plane + 1
            region[4] = max(region[4], row + 1)
            region[5] = max(region[5], stop)
            region[6] += stop - start
            region[7] += doubled_area[run]
            region[8] += plane * (stop - start)
            region[9] += row * (stop - start)
            region[10] += (start + stop - 1) * (stop - start) // 2
    return regions, sums
