"""What noise and edges explain: from what was counted in a pair to the limits that evidence is held against.

Intensities are in *levels*: 255 of them are the data range. The kernels that count, in another room, are compiled with
the bins of this one; numba's cache does not see a change here, so a change of them needs an empty cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "ACTIVITIES",
    "BINS",
    "CELLS",
    "EDGE_CELL",
    "FIRST_BIN",
    "INTENSITIES",
    "MOST_FLOOR",
    "RADII",
    "STRONG_EDGE",
    "STRUCTURE_BINS",
    "Counts",
    "Limits",
    "count_squares",
    "find_activity",
    "make_limits",
]

# Cells of 1, 2, 4 and 8 pixels: change that is too faint for one pixel shows in the mean of many. Colour begins at 2,
# because JPEG and video store it at half the resolution.
CELLS = (1, 2, 4, 8)

# Noise is measured apart for each of so many bins of intensity (its square grows with the signal: photons) ...
INTENSITIES = 8

# ... and of activity, the span of a neighbourhood of 3 x 3 blocks: under 2 levels, 4, 8, ..., 64 and more.
ACTIVITIES = 7

# A limit is so many times the standard deviation of the noise ...
LUMA_FACTOR = 8.0
COLOUR_FACTOR = 12.0

# ... and never below a floor: four times the noise of single pixels, three times the step from one possible value to
# the next, or this share of the data range, whichever is most ...
NOISE_FLOOR = 4.0
STEP_FLOOR = 3.0
LEAST_FLOOR = 0.004

# ... but no more than this share of it: 3 levels. In 8 bits it is always that much. For colour, whose channels are
# differences of two and span twice as much, it is so many times as high.
MOST_FLOOR = 0.012
COLOUR_FLOOR = 2.7

# A difference (1 - SSIM) counts where it is so many times what nine tenths of the pixels of like activity have, and not
# below the floor: at 1 nothing of the structure is left. It finds what a tolerance of a pixel forgives: fine hatching.
STRUCTURE_FACTOR = 4.0
STRUCTURE_FLOOR = 0.95
STRUCTURE_BINS = 32

# The tail of noise is at most so many times what its median tells, and a sixth of the highest floor, and a sixteenth of
# the activity.
HEAVIEST_TAIL = 3.0

# Cells of fewer pixels are not measured: they take the noise of the nearest.
FEWEST = 400

# An edge is strong where both images span this share of the data range in 3 x 3 pixels. In squares of so many pixels,
# with so many on strong edges at least, edges are displaced if this share of them leaves a residual as large. If they
# are so in that share of the squares, it is no change here or there, and the tolerance is 3 pixels instead of 1; not so
# if that share of the squares is the same to the bit, as in renders: what moved among these is a change; nor if there
# are only so few squares that one change makes up a large share of them.
STRONG_EDGE = 0.2
EDGE_CELL = 64
FEWEST_EDGES = 50
DISPLACED_EDGES = 0.005
DISPLACED_SQUARES = 0.08
FEWEST_SQUARES = 6
SAME_SQUARES = 0.4
RADII = (1, 3)

# Bins of a histogram: 16 to an octave, from 2^-12 levels.
OCTAVE = 16
BINS = 320
FIRST_BIN = (127 - 12) * OCTAVE

# The least value, in levels, of each of them; the first holds all that is less.
VALUES = np.append(0, ((np.arange(1, BINS) + FIRST_BIN) << 19).astype(np.int32).view(np.float32)).astype(np.float64)

# Where so many pixels are the same in both images, there is no noise.
QUIET = 0.95


_compile = njit(nogil=True, error_model="numpy", cache=True)


class Counts(NamedTuple):
    """What was counted in some tiles of a pair, int32; counts of tiles add up to those of the image, int64."""

    noise: NDArray[Any]
    """(channels, cells, 3, activities, intensities, bins): histograms of |after - before|, of the residual, and of the
    grain of after - before."""
    structure: NDArray[Any]
    """(activities, 64): histogram of the difference, 32 bins to 1."""
    edges: NDArray[Any]
    """(3,): squares with strong edges of luma, those of them where edges are displaced, those with all the same."""

    def __add__(self, other: Any) -> Counts:
        """Return the counts of both."""
        return Counts(*(np.add(one, another, dtype=np.int64) for one, another in zip(self, other, strict=True)))


class Limits(NamedTuple):
    """What noise and edges explain, resolved once for a pair."""

    radius: int
    """Tolerance in pixels: 1, or 3 where edges are displaced."""
    levels: NDArray[np.float32]
    """(channels, cells, activities, intensities): limit in levels."""
    structure: NDArray[np.float32]
    """(activities,): limit of the difference."""
    noise: float
    """Standard deviation of after - before of a pixel, in units of the data."""


def make_limits(counts: Counts, radius: int, data_range: float, quantum: float) -> Limits | None:
    """Return the limits that the counts of a pair give; None if edges are displaced by more than `radius`.

    `quantum` is the step from one possible intensity to the next: 1 for whole numbers, else 0.
    """
    squares, displaced, same = counts.edges
    told = radius < RADII[-1] and squares >= FEWEST_SQUARES
    if told and displaced > DISPLACED_SQUARES * squares and same < SAME_SQUARES * squares:
        return None
    noise = _measure_spread(counts.noise[0, 0, 2].sum((0, 1)))
    lowest = max(NOISE_FLOOR * noise, 255 * STEP_FLOOR * quantum / data_range, 255 * LEAST_FLOOR)
    levels = np.empty((*counts.noise.shape[:2], ACTIVITIES, INTENSITIES), np.float32)
    for channel, of_channel in enumerate(counts.noise):
        factor = COLOUR_FACTOR if channel else LUMA_FACTOR
        times = COLOUR_FLOOR if channel else 1.0
        floor = min(lowest, 255 * MOST_FLOOR) * times
        first = min(channel, 1)
        white = _measure_grain(of_channel[first, 2])
        levels[channel, :first] = floor
        for cell in range(first, len(CELLS)):
            found = _measure_noise(of_channel[cell, 0], of_channel[cell, 1], 255 * MOST_FLOOR * times / 6)
            # Each size of cell halves white noise, and 3 x 3 cells have a third of it
            most = np.maximum(_most_explained(channel, cell), factor * white / 3 / 2.0 ** (cell - first))
            levels[channel, cell] = np.maximum(np.minimum(factor * found, most), floor)
    return Limits(radius, levels, _limit_structure(counts.structure), noise * data_range / 255)


def count_squares(
    strong: NDArray[np.int64], displaced: NDArray[np.int64], other: NDArray[np.int64]
) -> tuple[int, int, int]:
    """Return how many squares have strong edges, in how many of these they are displaced, in how many all the same.

    `strong`, `displaced` and `other` are the pixels of each square on strong edges, those of them with a large
    residual, and those that differ at all.
    """
    counted = strong >= FEWEST_EDGES
    moved = counted & (displaced > DISPLACED_EDGES * strong)
    return int(counted.sum()), int(moved.sum()), int((counted & (other == 0)).sum())


def _limit_structure(histograms: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the limit of the difference for each activity; where there are too few pixels, that of the nearest."""
    pixels = histograms.sum(1)
    measured = np.flatnonzero(pixels >= FEWEST)
    if not len(measured):
        return np.full(len(pixels), np.inf, np.float32)
    nearest = measured[np.abs(measured - np.arange(len(pixels))[:, None]).argmin(1)]
    tails = (np.cumsum(histograms, axis=1) <= 0.9 * pixels[:, None]).sum(1) / STRUCTURE_BINS
    limits: NDArray[np.float32] = np.maximum(STRUCTURE_FACTOR * tails[nearest], STRUCTURE_FLOOR).astype(np.float32)
    return limits


def _most_explained(channel: int, cell: int) -> NDArray[np.float64]:
    """Return what compression, another lamp and the like explain at most, in levels, for each activity (a column)."""
    activity = np.array([[find_activity(index)] for index in range(ACTIVITIES)])
    fine = cell == min(channel, 1)
    return (16 if fine and not channel else 13) + activity * (1 / 4 if fine else 1 / 16)


def find_activity(index: int) -> float:
    """Return the least activity of a bin, in levels."""
    return 2.0**index if index else 0.0


def _measure_noise(differences: NDArray[Any], residuals: NDArray[Any], slack: float) -> NDArray[np.float64]:
    """Return the standard deviation of the noise, in levels, for each activity and intensity."""
    activity = np.array([[find_activity(index)] for index in range(ACTIVITIES)])
    median, median_of_all, pixels = _find_quantiles(differences, 0.5)
    tail, tail_of_all, _ = _find_quantiles(residuals, 0.9)
    each = _deviation(median, tail, slack + activity / 16)
    of_all = _deviation(median_of_all, tail_of_all, slack)
    return np.maximum.accumulate(_fill_gaps(each, of_all, pixels), axis=0)


def _measure_grain(histograms: NDArray[Any]) -> NDArray[np.float64]:
    """Return the standard deviation of white noise, in levels, for each activity and intensity."""
    median, median_of_all, pixels = _find_quantiles(histograms, 0.5)
    found: NDArray[np.float64] = _fill_gaps(1.4826 * median, 1.4826 * median_of_all, pixels)
    return found


def _deviation(median: Any, tail: Any, slack: Any) -> Any:
    """Return the standard deviation of normal noise of which half lies below the median, and 0.9 below the tail.

    A tail far heavier than the median, by `slack` and more, is change rather than noise.
    """
    deviation = 1.4826 * median
    return np.maximum(deviation, np.minimum(tail / 1.645, HEAVIEST_TAIL * deviation + slack))


@_compile
def _find_quantiles(histograms, share):  # type: ignore[no-untyped-def]
    """Return the values below which `share` of each histogram (activities, intensities, bins) lies, 0 if it is empty.

    The same of all histograms together follows, and how many pixels each has.
    """
    found = np.zeros(histograms.shape[:2])
    pixels = np.zeros(histograms.shape[:2], np.int64)
    together = np.zeros(BINS, np.int64)
    for k in range(found.shape[0]):
        for m in range(found.shape[1]):
            histogram = histograms[k, m]
            pixels[k, m] = histogram.sum()
            if pixels[k, m]:
                together += histogram
                found[k, m] = VALUES[_find_place(histogram, share * pixels[k, m])]
    return found, VALUES[_find_place(together, share * pixels.sum())], pixels


@_compile
def _find_place(histogram, goal):  # type: ignore[no-untyped-def]
    """Return the first bin up to which as many are counted as `goal`."""
    place, upto = 0, histogram[0] + 0
    while upto < goal:
        place += 1
        upto += histogram[place]
    return place


@_compile
def _fill_gaps(each, of_all, pixels):  # type: ignore[no-untyped-def]
    """Return what is found of each activity and intensity, or elsewhere where these have too few pixels.

    Then it is what is found of the nearest in activity or of the nearest in intensity, the greater; or of all, where
    none has enough.
    """
    found = each.copy()
    for k in range(each.shape[0]):
        for m in range(each.shape[1]):
            if pixels[k, m] >= FEWEST:
                continue
            in_activity = in_intensity = of_all
            least = least_other = 9 * (ACTIVITIES + INTENSITIES)
            for p in range(each.shape[0]):
                for q in range(each.shape[1]):
                    if pixels[p, q] >= FEWEST:
                        away, other = 8 * abs(p - k) + abs(q - m), abs(p - k) + 8 * abs(q - m)
                        if away < least:
                            least, in_activity = away, each[p, q]
                        if other < least_other:
                            least_other, in_intensity = other, each[p, q]
            found[k, m] = max(in_activity, in_intensity)
    return found


def _measure_spread(histogram: NDArray[np.int64]) -> float:
    """Return the value, in levels, below which as much of a histogram lies as within a standard deviation: 68 %."""
    total = int(histogram.sum())
    if not total or histogram[0] > QUIET * total:
        return 0.0
    occupied = np.flatnonzero(histogram)
    values = VALUES[occupied]
    # Whole numbers count for half a step on either side
    between = np.append((values[1:] + values[:-1]) / 2, values[-1])
    shares = np.cumsum(histogram)[occupied] / total
    return float(np.interp(0.6827, np.append(0, shares), np.append(0, between)))
