"""The evidence that a pixel changed: how far it exceeds what noise and edges explain, 1 = the limit.

A pair is looked at in *channels* (luma, and for colour images R - G, (R + G) / 2 - B and alpha) and in cells of 1, 2, 4
and 8 pixels. In each, what no small displacement can explain is held against a limit that comes from the pair itself:
from the noise measured at like intensity and like activity, and from the contrast of the edges near by.

All is worked out in blocks that begin at multiples of 8 pixels, with a rim of fixed width around, so that a value
depends on the pixels around it alone, never on the tile. Intensities are in *levels* here: 255 of them are the data
range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .noise import (
    ACTIVITIES,
    BINS,
    CELLS,
    EDGE_CELL,
    FIRST_BIN,
    INTENSITIES,
    MOST_FLOOR,
    STRONG_EDGE,
    STRUCTURE_BINS,
    Counts,
    Limits,
    count_squares,
    find_activity,
)

__all__ = ["BLOCK", "SAMPLED_PIXELS", "Kept", "Source", "count_tiles", "find_rim", "sample_tiles", "write_tile"]

# Blocks for the activity, pixels a side: those of JPEG, whose errors spread over a block.
BLOCK = 8

# Interpolation, sharpening and compression err at an edge in proportion to it: this share of the span of the pixels
# around is explained.
EDGE_SHARE = 0.35

# The same where edges are displaced by more than a pixel, of the span of 9 x 9 blocks.
WIDE_SHARE = 0.25
WIDE_BLOCKS = 4

# Compression errs in all channels where colours are saturated: this share of the span of a colour in the blocks around
# is explained, unless there is no noise at all.
SATURATED_SHARE = 0.1

# Coarse evidence goes to a finer cell only if that takes part in the change by at least this share.
LEAST_PART = 0.7

# Half widths of the rows of the disc that a tolerance covers, from its middle outwards.
DISCS = {1: np.array([1, 1]), 2: np.array([2, 2, 1]), 3: np.array([3, 3, 2, 1])}

# Pixels of a block worked on at a time, so that it stays in the processor's cache, and of one that noise is measured
# on.
TILE = (256, 1024)
SAMPLE = 256

# Noise is measured on all pixels of an image up to this number, on so many spread over it above.
SAMPLED_PIXELS = 2**20

Plane = NDArray[np.float32]
Images = tuple[NDArray[np.float32], NDArray[np.float32]]

_compile = njit(nogil=True, error_model="numpy", cache=True)


class Source(NamedTuple):
    """Two images as evidence is taken from them."""

    before: NDArray[Any]
    """(H, W): luma, read-only."""
    after: NDArray[Any]
    colours: tuple[NDArray[Any], ...]
    """Both images in colour, (H, W, 3 or 4), of one dtype and shape; empty for gray ones."""
    difference: NDArray[np.float32]
    """(H, W): 1 - SSIM, NaN where a pixel is not valid."""
    data_range: float
    zero: float
    """The intensity that counts as 0 levels."""


def sample_tiles(shape: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Return the tiles (top, left, bottom, right) that noise is measured on: all, or some spread over a large image."""
    height, width = shape
    if height * width <= SAMPLED_PIXELS:
        rows, columns = -(-height // SAMPLE), -(-width // SAMPLE)
        rows_taken, columns_taken = rows, columns
    else:
        rows, columns = max(1, height // SAMPLE), max(1, width // SAMPLE)
        wanted = SAMPLED_PIXELS / (SAMPLE * SAMPLE)
        share = (rows * columns / wanted) ** 0.5
        rows_taken = min(rows, max(1, round(rows / share), round(wanted / columns)))
        columns_taken = min(columns, max(1, round(wanted / rows_taken)))
    tops = [(2 * i + 1) * rows // (2 * rows_taken) * SAMPLE for i in range(rows_taken)]
    lefts = [(2 * i + 1) * columns // (2 * columns_taken) * SAMPLE for i in range(columns_taken)]
    return [(top, left, min(top + SAMPLE, height), min(left + SAMPLE, width)) for top in tops for left in lefts]


def count_tiles(
    source: Source, tiles: Sequence[tuple[int, int, int, int]], radius: int, kept: Kept | None = None
) -> Counts:
    """Count noise and edges of some tiles with the tolerance `radius`; what was looked at goes into `kept`."""
    channels = 1 + _count_colours(source)
    counts = Counts(
        np.zeros((channels, len(CELLS), 3, ACTIVITIES, INTENSITIES, BINS), np.int32),
        np.zeros((ACTIVITIES, 2 * STRUCTURE_BINS), np.int32),
        np.zeros(3, np.int32),
    )
    for tile in _join(tiles):
        block = _look(source, tile, radius)
        if kept is not None:
            kept[tile, radius] = block
        _count_block(block, tile, radius, counts)
        _count_structure(source.difference, tile, block.activity, find_rim(radius) // BLOCK, counts.structure)
    return counts


def _join(tiles: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Return tiles as wide as those to write, in which there are those side by side."""
    joined: list[tuple[int, int, int, int]] = []
    for tile in tiles:
        top, left, bottom, right = joined[-1] if joined else (-1, 0, 0, 0)
        if (top, right) == tile[:2] and tile[3] - left <= TILE[1]:
            joined[-1] = (top, left, bottom, tile[3])
        else:
            joined.append(tile)
    return joined


def write_tile(
    source: Source, top: int, bottom: int, limits: Limits, evidence: NDArray[np.float32], kept: Kept | None = None
) -> None:
    """Write the evidence of the rows `top` to `bottom` into `evidence` (H, W); NaN where a pixel is not valid.

    What was looked at to count is taken out of `kept`.
    """
    rim = find_rim(limits.radius)
    for tile in _blocks(top, bottom, evidence.shape[1]):
        first = max(top, tile[0])
        part = evidence[first : tile[2], tile[1] : tile[3]]
        if not source.difference[first : tile[2], tile[1] : tile[3]].any() and _is_same(source, tile, rim):
            part[:] = 0
            continue
        block = (kept or {}).pop((tile, limits.radius), None) or _look(source, tile, limits.radius)
        found = _weigh_block(block, limits)
        if limits.radius == 1:
            lights = block.channels[0]
            structure = limits.structure[block.activity]
            _add_structure(source.difference, structure, lights.raw_before, lights.raw_after, rim, tile, first, found)
        inner = (slice(rim + first - tile[0], rim + tile[2] - tile[0]), slice(rim, rim + tile[3] - tile[1]))
        part[:] = found[inner]
        if block.valid.size:
            part[~block.valid[inner]] = np.nan
    if limits.radius > 1:
        _forget_rim(evidence, top, bottom, limits.radius)


def _is_same(source: Source, tile: tuple[int, int, int, int], rim: int) -> bool:
    """Return whether both images are the same in a block and its rim, and valid: then there is no evidence in it."""
    rows, columns = (slice(max(0, low - rim), high + rim) for low, high in (tile[::2], tile[1::2]))
    images = [(source.before, source.after), source.colours] if source.colours else [(source.before, source.after)]
    return all(np.array_equal(one[rows, columns], other[rows, columns]) for one, other in images)


def _forget_rim(evidence: NDArray[np.float32], top: int, bottom: int, radius: int) -> None:
    """Set the evidence within `radius` of the image's border to 0: what moved in from outside cannot be known."""
    height, width = evidence.shape
    for rows, columns in (
        (slice(top, max(top, min(bottom, radius))), slice(None)),
        (slice(max(top, min(bottom, height - radius)), bottom), slice(None)),
        (slice(top, bottom), slice(radius)),
        (slice(top, bottom), slice(max(0, width - radius), width)),
    ):
        part = evidence[rows, columns]
        np.minimum(part, 0, out=part)  # NaN stays


def _blocks(top: int, bottom: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the blocks that cover the rows `top` to `bottom`, beginning at multiples of `BLOCK`."""
    for first in range(top // BLOCK * BLOCK, bottom, TILE[0]):
        for left in range(0, width, TILE[1]):
            yield first, left, min(first + TILE[0], bottom), min(left + TILE[1], width)


def find_rim(radius: int) -> int:
    """Return how far a block looks beyond itself: two of the largest cells, or the wide neighbourhood of blocks."""
    return 2 * CELLS[-1] if radius == 1 else (WIDE_BLOCKS + 1) * BLOCK


def _count_colours(source: Source) -> int:
    """Return the number of channels beside luma."""
    return source.colours[0].shape[2] - 1 if source.colours else 0


def _read_block(source: Source, tile: tuple[int, int, int, int], rim: int) -> tuple[Images, Images, NDArray[np.bool_]]:
    """Return luma and colours of both images in levels, with the rim, and which pixels are valid (none: all are)."""
    top, left = tile[0] - rim, tile[1] - rim
    shape = tuple(-(-(stop - start) // BLOCK) * BLOCK + 2 * rim for start, stop in (tile[::2], tile[1::2]))
    floats = source.before.dtype.kind == "f"
    scale = np.array([255 / source.data_range, source.zero], np.float64 if floats else np.float32)
    luma = np.empty(shape, np.float32), np.empty(shape, np.float32)
    for plane, target in zip((source.before, source.after), luma, strict=True):
        _fill_luma(plane, top, left, scale, target)
    number = _count_colours(source)
    halves = (number, shape[0] // 2, shape[1] // 2)
    colours = np.empty(halves, np.float32), np.empty(halves, np.float32)
    if source.colours:
        for image, target in zip(source.colours, colours, strict=True):
            _fill_colours(image, top, left, scale, target)
    valid = np.empty((0, 0), np.bool_)
    if floats:
        for colour in colours:
            # Alpha may not be finite where luma is
            np.nan_to_num(colour, copy=False, nan=0, posinf=0, neginf=0)
        valid = np.isfinite(luma[0]) & np.isfinite(luma[1])
        if valid.all():
            valid = valid[:0]
        else:
            for one in luma:
                one[~valid] = 0
            whole = valid.reshape(shape[0] // 2, 2, shape[1] // 2, 2).all((1, 3))
            for colour in colours:
                colour[:, ~whole] = 0
    return luma, colours, valid


class _Views(NamedTuple):
    """One channel of both images in all sizes of cells; the first is number `first`."""

    first: int
    before: list[Plane]
    """Smoothed, from the smallest cells to the largest."""
    after: list[Plane]
    raw_before: Plane
    """The smallest cells, not smoothed."""
    raw_after: Plane

    def of(self, cell: int) -> tuple[Plane, Plane]:
        """Return before and after in cells of size number `cell`."""
        return self.before[cell - self.first], self.after[cell - self.first]


def _view(before: Plane, after: Plane, first: int, last: int) -> _Views:
    """Return a channel in cells of size number `first`, in which it is given, to `last`."""

    def smooth_all(x: Plane) -> list[Plane]:
        cells = [x]
        while len(cells) < last - first + 1:
            cells.append(_halved(cells[-1]))
        return [_smoothed(cell) for cell in cells]

    return _Views(first, smooth_all(before), smooth_all(after), before, after)


class _Block(NamedTuple):
    """A block with its rim, as it is looked at with a tolerance."""

    channels: list[_Views]
    """Luma and the colours."""
    spans: list[Plane]
    """What each channel spans around the blocks of 8 x 8 pixels."""
    activity: NDArray[np.int32]
    """Their bins of activity."""
    valid: NDArray[np.bool_]
    """Which pixels are; empty where all are."""


Kept = dict[tuple[tuple[int, int, int, int], int], _Block]
"""Blocks by tile and tolerance."""


def _look(source: Source, tile: tuple[int, int, int, int], radius: int) -> _Block:
    """Return a block as noise is counted in it, and evidence taken from it."""
    luma, colours, valid = _read_block(source, tile, find_rim(radius))
    last = _last(radius, 1)
    channels = [_view(*luma, 0, last), *(_view(one, other, 1, last) for one, other in zip(*colours, strict=True))]
    spans = [_measure_span(views, 1) for views in channels]
    return _Block(channels, spans, _bins_of_activity(spans), valid)


def _weigh_block(block: _Block, limits: Limits) -> Plane:
    """Return the evidence of a block with its rim, in which it is not right."""
    least = _explain_blocks(block.channels[0], block.spans[1:], limits)
    found, *others = (
        _weigh_channel(views, block.channels[0], block.activity, least[min(index, 1)], limits, index)
        for index, views in enumerate(block.channels)
    )
    for other in others:
        _raise(found, other)
    return found


def _bins_of_activity(spans: list[Plane]) -> NDArray[np.int32]:
    """Return the bin of activity of each block: what it spans in the channel where that is most."""
    bounds = np.array([find_activity(index) for index in range(1, ACTIVITIES)], np.float32)
    bins: NDArray[np.int32] = _find_activities(np.maximum.reduce(spans), bounds)
    return bins


def _explain_blocks(lights: _Views, spans: list[Plane], limits: Limits) -> tuple[Plane, Plane]:
    """Return what the contrast around explains in each block, for luma and for colours; empty where nothing.

    `spans` are those of the colours.
    """
    saturated = np.empty((0, 0), np.float32)
    if spans and limits.noise > 0:
        saturated = np.float32(SATURATED_SHARE) * np.maximum.reduce(spans)
    if limits.radius == 1:
        return saturated, saturated
    wide = np.float32(WIDE_SHARE) * _measure_span(lights, WIDE_BLOCKS)
    return np.maximum(wide, saturated) if saturated.size else wide, saturated


def _last(radius: int, first: int) -> int:
    """Return the number of the largest cells that are looked at: where edges are displaced, large cells say nothing."""
    return len(CELLS) - 1 if radius == 1 else first


def _disc(radius: int, channel: int) -> NDArray[np.int64]:
    """Return the disc in the channel's smallest cells; colour has cells twice as large."""
    return DISCS[min(radius, 2) if channel else radius]


def _weigh_channel(
    views: _Views, lights: _Views, activity: NDArray[np.int32], least: Plane, limits: Limits, channel: int
) -> Plane:
    """Return the evidence of one channel in its smallest cells, from the largest down."""
    disc = _disc(limits.radius, channel)
    found = np.empty((2, 0, 0), np.float32)
    for cell in range(_last(limits.radius, views.first), views.first - 1, -1):
        parents = found
        before, after = views.of(cell)
        found = np.empty((2, *before.shape), np.float32)
        _weigh_cells(
            before, after, *lights.of(cell), activity, least, limits.levels[channel, cell], disc, parents, found
        )
    evidence: Plane = found[0]
    return evidence


def _count_block(block: _Block, tile: tuple[int, int, int, int], radius: int, counts: Counts) -> None:
    """Add noise and edges of a tile, of which `block` has a rim, to `counts`."""
    rim = find_rim(radius)
    box = (rim, rim, rim + tile[2] - tile[0], rim + tile[3] - tile[1])
    lights = block.channels[0]
    none = lights.raw_before[:0]
    edges = np.zeros((3, SAMPLE // EDGE_CELL, lights.raw_before.shape[1]), np.uint32)
    for channel, views in enumerate(block.channels):
        for cell in range(views.first, _last(radius, views.first) + 1):
            size = CELLS[cell]
            cells = np.array([box[0] // size, box[1] // size, -(-box[2] // size), -(-box[3] // size)])
            raw = (views.raw_before, views.raw_after) if cell == views.first else (none, none)
            _count_cells(
                *views.of(cell), *raw, *lights.of(cell), block.activity, _disc(radius, channel), cells, block.valid,
                counts.noise[channel, cell], edges if channel == cell == 0 else edges[:0],
            )  # fmt: skip
    squares = np.add.reduceat(edges[..., box[1] : box[3]], range(0, box[3] - box[1], EDGE_CELL), axis=2)
    counts.edges[:] += count_squares(*squares)


@_compile
def _mirrored(i, size):  # type: ignore[no-untyped-def]
    """Return the pixel that index `i` stands for where the border is mirrored with its own pixel repeated."""
    i %= 2 * size
    return i if i < size else 2 * size - 1 - i


@_compile
def _fill_luma(plane, top, left, scale, out):  # type: ignore[no-untyped-def]
    height, width = plane.shape
    factor, zero = scale[0], scale[1]
    t = scale.dtype.type
    inner, outer = min(max(0, -left), out.shape[1]), max(0, min(out.shape[1], width - left))
    for i in range(out.shape[0]):
        line = plane[_mirrored(top + i, height)]
        row = out[i]
        for j in range(inner):
            row[j] = np.float32((t(line[_mirrored(left + j, width)]) - zero) * factor)
        for j in range(outer, row.size):
            row[j] = np.float32((t(line[_mirrored(left + j, width)]) - zero) * factor)
        source, target = line[left + inner : left + outer], row[inner:outer]
        for j in range(target.size):
            target[j] = np.float32((t(source[j]) - zero) * factor)


@_compile
def _fill_colours(image, top, left, scale, out):  # type: ignore[no-untyped-def]
    """Write R - G, (R + G) / 2 - B and alpha, if there is one, averaged over 2 x 2 pixels."""
    height, width, channels = image.shape
    inner, outer = min(max(0, -left), 2 * out.shape[2]), max(0, min(2 * out.shape[2], width - left))
    rows = np.empty((2, 2 * out.shape[2], channels), image.dtype)
    both = np.empty(rows[0].size, scale.dtype)
    columns = np.array([_mirrored(left + j, width) for j in range(rows.shape[1])])
    outside = np.append(np.arange(inner), np.arange(outer, columns.size))
    for i in range(out.shape[1]):
        for k in range(2):
            line, row = image[_mirrored(top + 2 * i + k, height)], rows[k]
            for j in outside:
                for c in range(channels):
                    row[j, c] = line[columns[j], c]
            source, target = line[left + inner : left + outer].reshape(-1), row[inner:outer].reshape(-1)
            for j in range(target.size):
                target[j] = source[j]
        _mix_colours(rows[0], rows[1], scale, both, out[0, i], out[1, i], out[channels - 2, i])


@_compile
def _mix_colours(upper, lower, scale, both, red_green, blue, alpha):  # type: ignore[no-untyped-def]
    t = scale.dtype.type
    factor = scale[0] / 4
    half = t(0.5)
    # Both rows first: a loop over what lies side by side is vectorised
    channels = upper.shape[1]
    one, other = upper.reshape(-1), lower.reshape(-1)
    for k in range(both.size):
        both[k] = t(one[k]) + t(other[k])
    cells = both.reshape(-1, 2 * channels)
    for j in range(red_green.size):
        r, g = cells[j, 0] + cells[j, channels], cells[j, 1] + cells[j, 1 + channels]
        b = cells[j, 2] + cells[j, 2 + channels]
        red_green[j] = np.float32((r - g) * factor)
        blue[j] = np.float32(((r + g) * half - b) * factor)
    if channels > 3:
        for j in range(alpha.size):
            alpha[j] = np.float32((cells[j, 3] + cells[j, 7]) * factor)


@_compile
def _smoothed(x):  # type: ignore[no-untyped-def]
    """Return the mean over 3 x 3 cells; the outermost cells are left as they are."""
    height, width = x.shape
    out = np.empty_like(x)
    column = np.empty(width, np.float32)
    ninth = np.float32(1 / 9)
    for i in range(height):
        row = out[i]
        line = x[i]
        if i == 0 or i == height - 1:
            for j in range(width):
                row[j] = line[j]
            continue
        upper, lower = x[i - 1], x[i + 1]
        for j in range(width):
            column[j] = upper[j] + line[j] + lower[j]
        for j in range(1, width - 1):
            row[j] = (column[j - 1] + column[j] + column[j + 1]) * ninth
        row[0] = line[0]
        row[width - 1] = line[width - 1]
    return out


@_compile
def _halved(x):  # type: ignore[no-untyped-def]
    """Return the mean over each 2 x 2 cells."""
    out = np.empty((x.shape[0] // 2, x.shape[1] // 2), np.float32)
    quarter = np.float32(0.25)
    for i in range(out.shape[0]):
        upper, lower, row = x[2 * i], x[2 * i + 1], out[i]
        for j in range(row.size):
            row[j] = (upper[2 * j] + upper[2 * j + 1] + lower[2 * j] + lower[2 * j + 1]) * quarter
    return out


@_compile
def _find_envelope(x, i, disc, rows):  # type: ignore[no-untyped-def]
    """Write the least and greatest cell of the disc around each of row `i` into ``rows[0]`` and ``rows[1]``.

    The cells within a disc of the border are not written.
    """
    radius = disc.size - 1
    low, high, least, greatest = rows[0], rows[1], rows[2], rows[3]
    width = low.size
    if radius == 1:
        upper, line, lower = x[i - 1], x[i], x[i + 1]
        for j in range(width):
            least[j] = min(min(upper[j], line[j]), lower[j])
        for j in range(width):
            greatest[j] = max(max(upper[j], line[j]), lower[j])
        for j in range(1, width - 1):
            low[j] = min(min(least[j - 1], least[j]), least[j + 1])
        for j in range(1, width - 1):
            high[j] = max(max(greatest[j - 1], greatest[j]), greatest[j + 1])
        return
    inner_low, inner_high = low[radius : width - radius], high[radius : width - radius]
    for j in range(inner_low.size):
        inner_low[j] = np.inf
        inner_high[j] = -np.inf
    for k in range(-radius, radius + 1):
        half = disc[abs(k)]
        for s in range(radius - half, radius + half + 1):
            line = x[i + k, s : s + inner_low.size]
            for j in range(inner_low.size):
                inner_low[j] = min(inner_low[j], line[j])
                inner_high[j] = max(inner_high[j], line[j])


def _measure_span(views: _Views, reach: int) -> Plane:
    """Return, for each block, the span of the (2 reach + 1)^2 blocks around, in the image where it is less."""
    import cv2

    around = np.ones((2 * reach + 1,) * 2, np.uint8)
    spans = []
    for x in views.of(views.first):
        low, high = _find_extremes(x, BLOCK // CELLS[views.first])
        spans.append(cv2.dilate(high, around) - cv2.erode(low, around))
    least: Plane = np.minimum(*spans)
    return least


@_compile
def _find_activities(span, bounds):  # type: ignore[no-untyped-def]
    """Return the bin of activity of each block."""
    bins = np.empty(span.shape, np.int32)
    for i in range(span.shape[0]):
        for j in range(span.shape[1]):
            below = 0
            for bound in bounds:
                below += span[i, j] < bound
            bins[i, j] = bounds.size - below
    return bins


@_compile
def _find_extremes(x, size):  # type: ignore[no-untyped-def]
    """Return the least and the greatest cell of each block of `size` by `size` of them."""
    low = np.empty((x.shape[0] // size, x.shape[1] // size), np.float32)
    high = np.empty_like(low)
    least = np.empty(x.shape[1], np.float32)
    greatest = np.empty(x.shape[1], np.float32)
    for i in range(low.shape[0]):
        for m in range(size):
            line = x[size * i + m]
            for j in range(line.size):
                least[j] = min(least[j], line[j]) if m else line[j]
                greatest[j] = max(greatest[j], line[j]) if m else line[j]
        for j in range(low.shape[1]):
            low[i, j] = least[size * j]
            high[i, j] = greatest[size * j]
            for m in range(1, size):
                low[i, j] = min(low[i, j], least[size * j + m])
                high[i, j] = max(high[i, j], greatest[size * j + m])
    return low, high


@_compile
def _bin_of_intensity(value):  # type: ignore[no-untyped-def]
    scaled = value * np.float32(INTENSITIES / 256)
    return np.int32(min(max(scaled, np.float32(0)), np.float32(INTENSITIES - 1)))


@_compile
def _weigh_cells(a, b, luma_a, luma_b, activity, least, limits, disc, parents, out):  # type: ignore[no-untyped-def]
    """Write the evidence of one channel in cells of one size, and after - before, into `out` (2, h, w).

    `parents` are the same in cells twice as large, empty where there are none; `least` is the least limit of each
    block, empty if there is none.
    """
    # Only short loops of few arrays that begin at 0 and look into one table at one place are vectorised
    height, width = a.shape
    step = width // activity.shape[1]
    radius = disc.size - 1
    share = np.float32(EDGE_SHARE) if radius == 1 else np.float32(0)
    part = np.float32(LEAST_PART)
    zero = np.float32(0)
    table = _pair_intensities(limits)
    rows_a, rows_b = np.zeros((4, width), np.float32), np.zeros((4, width), np.float32)
    low_a, high_a, low_b, high_b = rows_a[0], rows_a[1], rows_b[0], rows_b[1]
    places = np.empty((2, width), np.int32)
    parent = np.zeros((2, width), np.float32)
    limit = np.empty(width, np.float32)
    base, place = places[0], places[1]
    inherited, direction = parent[0], parent[1]
    for i in range(height):
        found, change = out[0, i], out[1, i]
        x, y, light_a, light_b = a[i], b[i], luma_a[i], luma_b[i]
        for j in range(width):
            found[j] = zero
            change[j] = y[j] - x[j]
        if i < radius or i >= height - radius:
            continue
        block = i // step
        for j in range(activity.shape[1]):
            for k in range(step):
                base[j * step + k] = activity[block, j] * (INTENSITIES * INTENSITIES)
        for j in range(width):
            place[j] = base[j] + _bin_of_intensity(light_a[j]) * np.int32(INTENSITIES) + _bin_of_intensity(light_b[j])
        for j in range(width):
            limit[j] = table[np.uint32(place[j])]
        if least.size:
            for j in range(least.shape[1]):
                for k in range(step):
                    limit[j * step + k] = max(limit[j * step + k], least[block, j])
        _find_envelope(a, i, disc, rows_a)
        _find_envelope(b, i, disc, rows_b)
        for j in range(width):
            limit[j] = max(limit[j], share * min(high_a[j] - low_a[j], high_b[j] - low_b[j]))
        _find_residual(x, y, rows_a, rows_b, found)
        for j in range(width):
            found[j] /= limit[j]
        for j in range(radius):
            found[j] = zero
            found[width - 1 - j] = zero
        if parents.size:
            for k in range(2):
                line, wider = parents[k, i >> 1], parent[k]
                for j in range(width // 2):
                    wider[2 * j] = line[j]
                    wider[2 * j + 1] = line[j]
            for j in range(width):
                taken = part * direction[j] * direction[j]
                value = inherited[j] if change[j] * direction[j] >= taken else zero
                value = value if taken > zero else zero
                found[j] = max(found[j], value)


@_compile
def _count_structure(difference, tile, activity, rim, counts):  # type: ignore[no-untyped-def]
    """Count 1 - SSIM of the pixels of a tile that are valid, for the activity of their blocks.

    Around these there are `rim` blocks more.
    """
    width, bins = tile[3] - tile[1], 2 * STRUCTURE_BINS
    # Two histograms, since a processor stalls on adding to one place again and again; what is not valid comes last
    found = np.zeros((2, counts.size + 1), np.int32)
    invalid = np.uint32(counts.size)
    base, place = np.empty(width, np.uint32), np.empty(width, np.uint32)
    scale, zero, last = np.float32(STRUCTURE_BINS), np.float32(0), np.float32(bins - 1)
    for i in range(tile[2] - tile[0]):
        line = difference[tile[0] + i, tile[1] : tile[3]]
        if i % BLOCK == 0:
            for j in range(width):
                base[j] = activity[rim + i // BLOCK, rim + j // BLOCK] * bins
        for j in range(width):
            value = line[j] * scale
            place[j] = base[j] + np.uint32(np.int32(min(max(value, zero), last))) if value == value else invalid
        for j in range(width):
            found[j & 1, place[j]] += 1
    counts += (found[0, :-1] + found[1, :-1]).reshape(counts.shape)


@_compile
def _raise(found, other):  # type: ignore[no-untyped-def]
    """Raise `found` to `other`, which is given in cells twice as large."""
    for i in range(found.shape[0]):
        line, larger = found[i], other[i // 2]
        for j in range(larger.size):
            line[2 * j] = max(line[2 * j], larger[j])
            line[2 * j + 1] = max(line[2 * j + 1], larger[j])


@_compile
def _add_structure(difference, limits, before, after, rim, tile, first, evidence):  # type: ignore[no-untyped-def]
    """Raise `evidence`, in the rows of a tile from `first` on, to the share that 1 - SSIM has of its limits.

    `before`, `after` and `evidence` have a rim around the tile, and so have `limits`, which are those of its blocks of
    8 x 8 pixels. Below half of its limit 1 - SSIM says nothing, and it is low all around a change, too: it speaks for
    pixels that themselves changed by half as much as any near.
    """
    least, half = np.float32(255 * MOST_FLOOR), np.float32(0.5)
    width = tile[3] - tile[1]
    shares, bounds = np.empty(width, np.float32), np.empty(width, np.float32)
    for i in range(first, tile[2]):
        y = rim + i - tile[0]
        line, found = difference[i, tile[1] : tile[3]], evidence[y, rim : rim + width]
        if i == first or i % BLOCK == 0:
            for j in range(width):
                bounds[j] = limits[y // BLOCK, (rim + j) // BLOCK]
        for j in range(width):
            shares[j] = line[j] / bounds[j]
        over = 0
        for j in range(width):
            over += (shares[j] > half) & (shares[j] > found[j])
        if not over:
            continue
        for j in range(width):
            share, x = shares[j], rim + j
            if not (share > half and share > found[j]):
                continue
            change = abs(after[y, x] - before[y, x])
            takes_part = change > least
            for m in range(y - 3, y + 4):
                if takes_part:
                    for n in range(x - 3, x + 4):
                        takes_part &= 2 * change >= abs(after[m, n] - before[m, n])
            if takes_part:
                found[j] = share


@_compile
def _find_residual(x, y, rows_a, rows_b, out):  # type: ignore[no-untyped-def]
    """Write how far each cell of a row lies outside what the other image has around it, and the other way round."""
    low_a, high_a, low_b, high_b = rows_a[0], rows_a[1], rows_b[0], rows_b[1]
    zero = np.float32(0)
    for j in range(x.size):
        residual = max(max(y[j] - high_a[j], low_a[j] - y[j]), max(x[j] - high_b[j], low_b[j] - x[j]))
        out[j] = max(residual, zero)


@_compile
def _pair_intensities(limits):  # type: ignore[no-untyped-def]
    """Return a flat table of the lesser limit for each activity and each intensity of before and of after."""
    table = np.empty(ACTIVITIES * INTENSITIES * INTENSITIES, np.float32)
    for k in range(ACTIVITIES):
        for m in range(INTENSITIES):
            for n in range(INTENSITIES):
                table[(k * INTENSITIES + m) * INTENSITIES + n] = min(limits[k, m], limits[k, n])
    return table


@_compile
def _count_cells(a, b, raw_a, raw_b, luma_a, luma_b, activity, disc, box, valid, counts, edges):  # type: ignore[no-untyped-def]
    """Count |after - before|, residual and grain of the cells in `box` into ``counts[0]`` to ``counts[2]``.

    The grain is taken from single cells, not smoothed (`raw_a`, `raw_b`; empty: not counted): what the diagonals of
    2 x 2 of them differ by, which for white noise has its standard deviation, and of a smooth change next to nothing.
    """
    width = a.shape[1]
    step = width // activity.shape[1]
    rows_a, rows_b = np.zeros((4, width), np.float32), np.zeros((4, width), np.float32)
    values = np.zeros((3, width), np.float32)
    bits = values.view(np.int32)
    places = np.zeros((6, width), np.uint32)
    base, one, other = places[0], places[1], places[2]
    counted = np.ones(width, np.uint32)
    half = np.float32(0.5)
    quantities = 3 if raw_a.size else 2
    histograms = counts.reshape(3, -1)
    for i in range(box[0], box[2]):
        x, y, light_a, light_b = a[i], b[i], luma_a[i], luma_b[i]
        _find_envelope(a, i, disc, rows_a)
        _find_envelope(b, i, disc, rows_b)
        for j in range(width):
            values[0, j] = abs(y[j] - x[j])
        _find_residual(x, y, rows_a, rows_b, values[1])
        if raw_a.size:
            p, q, r, s = raw_a[i], raw_b[i], raw_a[i + 1], raw_b[i + 1]
            grain = values[2]
            for j in range(width - 1):
                grain[j] = abs((q[j] - p[j]) - (q[j + 1] - p[j + 1]) - (s[j] - r[j]) + (s[j + 1] - r[j + 1])) * half
        if valid.size:
            for j in range(width):
                counted[j] = valid[i * (BLOCK // step), j * (BLOCK // step)]
        if edges.size:
            k = (i - box[0]) // EDGE_CELL
            _count_edges(rows_a, rows_b, values, counted, edges[0, k], edges[1, k], edges[2, k])
        if i == box[0] or i % step == 0:
            for j in range(activity.shape[1]):
                for k in range(step):
                    base[j * step + k] = activity[i // step, j] * (INTENSITIES * BINS)
        for j in range(width):
            one[j] = base[j] + _bin_of_intensity(light_a[j]) * BINS
        for j in range(width):
            other[j] = base[j] + _bin_of_intensity(light_b[j]) * BINS
        for m in range(quantities):
            place, of_cells = places[3 + m], bits[m]
            for j in range(width):
                place[j] = min(max((of_cells[j] >> 19) - FIRST_BIN, 0), BINS - 1)
        _add_cells(places, counted, box[1], box[3], histograms, quantities)


@_compile
def _add_cells(places, counted, first, last, histograms, quantities):  # type: ignore[no-untyped-def]
    """Count the cells `first` to `last` of a row in the bins of before's intensity and of after's."""
    for j in range(first, last):
        one, other, count = places[1, j], places[2, j], counted[j]
        # Mostly both are the same
        times = 2 * count if one == other else count
        for m in range(quantities):
            histograms[m, np.uint32(one + places[3 + m, j])] += times
        if one != other:
            for m in range(quantities):
                histograms[m, np.uint32(other + places[3 + m, j])] += times


@_compile
def _count_edges(rows_a, rows_b, values, counted, found, displaced, other):  # type: ignore[no-untyped-def]
    """Count the cells of a row on strong edges, those of them with a large residual, and those that differ at all."""
    low_a, high_a, low_b, high_b = rows_a[0], rows_a[1], rows_b[0], rows_b[1]
    change, residual = values[0], values[1]
    strong, zero = np.float32(255 * STRONG_EDGE), np.float32(0)
    none = np.uint32(0)
    for j in range(counted.size):
        on_edge = counted[j] if min(high_a[j] - low_a[j], high_b[j] - low_b[j]) > strong else none
        found[j] += on_edge
        displaced[j] += on_edge if residual[j] > strong else none
        other[j] += on_edge if change[j] > zero else none
