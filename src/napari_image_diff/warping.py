"""A part of an image, or of a volume, seen on another grid: by any affine transform, to larger or smaller pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .resampling import LENIENT, Origins, resample_tile

__all__ = ["Place", "find_area", "find_nearest", "find_overlap", "find_stretch", "tidy_matrix", "warp"]

# Lanczos's kernel reaches so many pixels to either side, and the table of its sums has so many steps to a pixel.
REACH, STEPS = 3, 4096

# What lies this close to the edge of an image, in pixels, is there: scales such as 0.1 are not exact. Kernels let pass
# a little more (`LENIENT`), so that nothing is missing where something counts as there.
ROUNDING = 1e-7

# Decimals of a matrix that count: less moves no pixel of the largest image by a thousandth.
DECIMALS = 10

# Types that kernels are compiled for; others are read as float64.
NATIVE = (np.uint8, np.uint16, np.float32, np.float64)

_compile = njit(nogil=True, error_model="numpy", cache=True)


class Place(NamedTuple):
    """Where parts lie in their wholes, a number for each axis."""

    target: tuple[int, ...]
    """First pixel of the part of the grid."""
    source: tuple[int, ...]
    """First pixel of the part of the image."""
    shape: tuple[int, ...]
    """Of the whole image."""


def tidy_matrix(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a matrix in which what is whole, or 0, but for rounding errors is so."""
    return np.asarray(np.round(matrix, DECIMALS) + 0.0)


def find_stretch(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return, for each axis of an image, how many of its pixels a pixel of the grid is as large as, 1 at least."""
    found = np.sqrt((matrix[:-1, :-1] ** 2).sum(axis=1))
    # The rows of a rotation have length 1, but for rounding errors
    return np.asarray(np.where(found < 1 + LENIENT, 1.0, found))


def find_nearest(places: NDArray[np.float64], lengths: Sequence[int]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the indices (..., n) that are nearest to places along n axes of these lengths, and which places are there.

    Of two that are as near it is the later one.
    """
    ends = np.asarray(lengths, np.float64) - 0.5
    there = ((places >= -0.5 - ROUNDING) & (places <= ends + ROUNDING)).all(axis=-1)
    # A little more, so that rounding errors do not decide
    nearest = np.clip(np.floor(places + (0.5 + ROUNDING)), 0, ends - 0.5)
    return nearest.astype(np.intp), np.asarray(there)


def find_area(
    matrix: NDArray[np.float64], low: Sequence[int], high: Sequence[int], shape: Sequence[int]
) -> list[tuple[int, int]]:
    """Return first and last pixel (exclusive) along each axis of what a box of the grid takes of an image of `shape`.

    `low` and `high` are the first and last pixels (exclusive) of the box; where the image does not reach it, begin and
    end are the same.
    """
    ends = matrix[:-1, :-1, None] * np.array([low, np.subtract(high, 1)]).T[None]
    reach = _find_reach(find_stretch(matrix)) + 1
    first = np.floor(ends.min(axis=2).sum(axis=1) + matrix[:-1, -1] - reach)
    last = np.ceil(ends.max(axis=2).sum(axis=1) + matrix[:-1, -1] + reach) + 1
    sides = [np.clip(each, 0, length) for each, length in zip(np.stack([first, last], axis=1), shape, strict=True)]
    return [(int(begin), int(end)) for begin, end in sides]


def find_overlap(
    matrix: NDArray[np.float64], low: Sequence[int], high: Sequence[int], shape: Sequence[int], every: int = 1
) -> NDArray[np.bool_]:
    """Return which pixels of a box of the grid, from `low` to `high` (exclusive), an image of `shape` reaches.

    Of the pixels along each axis only `every` so many is looked at.

    A pixel of the grid is reached where its centre lies in a pixel of the image. Where it is larger than those, no more
    than half a pixel of the image may be missing of it.
    """
    axes = np.ix_(*(np.arange(begin, end, every, dtype=np.float64) for begin, end in zip(low, high, strict=True)))
    found: NDArray[np.bool_] = np.ones((1,) * len(axes), np.bool_)
    ends = matrix[:-1, :-1, None] * np.array([low, np.subtract(high, 1)]).T[None]
    least, most = (each.sum(axis=1) + matrix[:-1, -1] for each in (ends.min(axis=2), ends.max(axis=2)))
    for number, (row, stretch, length) in enumerate(zip(matrix[:-1], find_stretch(matrix), shape, strict=True)):
        rim = stretch / 2 - ROUNDING
        if least[number] >= rim - 1 and most[number] <= length - rim:
            continue
        # Axes that do not matter are left out, so that the arrays stay small
        place = sum((step * axis for step, axis in zip(row, axes, strict=False) if step), np.float64(row[-1]))
        found = found & (place >= rim - 1) & (place <= length - rim)
    return np.broadcast_to(found, [axis.size for axis in axes])


def warp(part: NDArray[Any], matrix: NDArray[np.float64], shape: Sequence[int], place: Place) -> NDArray[Any]:
    """Return a box of `shape` of the grid: what an image of two or three axes shows there.

    Parameters
    ----------
    part : (H, W) or (planes, H, W) real numbers or bool
        What `find_area` says of the image, or more of it; not empty.
    matrix : (3, 3) or (4, 4) float64
        Takes an index of the grid to a place in the image, as `tidy_matrix` returns it.
    shape : sequence of int
        Sides of the box.
    place : Place
        Where the box and the part lie.

    Returns
    -------
    array
        Of `shape`, float64, or of the part's type where pixels are only copied (by whole pixels, flips, exchanged
        axes). What it has where `find_overlap` says that nothing is, is of no account.

    Notes
    -----
    Lanczos's kernel of 6 pixels along each axis (Duchon 1979), its weights of sum 1. Along an axis on which pixels
    become larger, the running sum of the image is interpolated so, and a pixel has what is between its two ends: the
    mean of what lies in it, as a camera with such pixels sees it. Where pixels are as large as before that is the very
    kernel. A stretched kernel leaves more of sharp edges than such a mean does (in 12 pictures without noise, averaged
    over 3 x 3 pixels, 5 regions were found with it, with this one none).

    Axes that the matrix does not mix are done one after the other, those first that become shortest. Each pixel is
    worked out from its own place alone, in the same order, so that parts and boxes do not matter. Edge pixels are
    repeated beyond the edge.
    """
    order, groups = _part_axes(matrix)
    seen = np.transpose(part, order)
    matrix = matrix[[*order, len(order)]]
    sources, lengths = ([each[axis] for axis in order] for each in (place.source, place.shape))
    if _copies(matrix):
        axes = []
        for axis, side in enumerate(shape):
            index = np.rint(matrix[axis, axis] * (place.target[axis] + np.arange(side)) + matrix[axis, -1])
            axes.append((np.clip(index, 0, lengths[axis] - 1) - sources[axis]).clip(0, seen.shape[axis] - 1))
        return np.asarray(seen[np.ix_(*(index.astype(np.intp) for index in axes))])
    if part.dtype not in NATIVE:
        seen = seen.astype(np.float64)
    if len(groups) > 1:
        # The others would be worked on along with it
        high = np.add(place.target, shape)
        area = find_area(matrix, place.target, [int(end) for end in high], lengths)
        spans = [
            slice(max(begin, source) - source, end - source) for (begin, end), source in zip(area, sources, strict=True)
        ]
        seen = seen[tuple(spans)]
        sources = [source + span.start for source, span in zip(sources, spans, strict=True)]
    for group in groups:
        there = _Axes(
            matrix[[*group, -1]][:, [*group, -1]],
            [shape[axis] for axis in group],
            Place(*(tuple(each[axis] for axis in group) for each in (place.target, sources, lengths))),
        )
        if len(group) == 1:
            seen = _warp_axis(seen, group[0], there)
            continue
        last = range(-len(group), 0)
        images = np.moveaxis(seen, group, last)
        found = np.empty((*images.shape[: -len(group)], *there.shape))
        for number in np.ndindex(found.shape[: -len(group)]):
            _warp_together(_read_only(np.ascontiguousarray(images[number])), there, found[number])
        seen = np.moveaxis(found, last, group)
    return seen


class _Axes(NamedTuple):
    """The axes that are done at once: their part of the matrix, the sides of the box, and where all lies."""

    matrix: NDArray[np.float64]
    shape: list[int]
    place: Place


def _part_axes(matrix: NDArray[np.float64]) -> tuple[list[int], list[list[int]]]:
    """Return which axis of the image stands for each of the grid, and the groups of axes of the grid that mix."""
    count = len(matrix) - 1
    mixes = matrix[:-1, :-1] != 0
    groups: list[tuple[list[int], list[int]]] = []
    for axis in range(count):
        # The axes of the image that this one touches, and whatever groups touch those
        own, theirs = [axis], [int(other) for other in np.flatnonzero(mixes[:, axis])]
        for group in [each for each in groups if set(theirs) & set(each[1])]:
            groups.remove(group)
            own, theirs = [*group[0], *own], [*group[1], *theirs]
        groups.append((sorted(own), sorted(set(theirs))))
    order = [0] * count
    for own, theirs in groups:
        for axis, other in zip(own, theirs, strict=True):
            order[axis] = other
    groups.sort(key=lambda group: (-abs(np.linalg.det(matrix[np.ix_(group[1], group[0])])), group[0]))
    return order, [own for own, _ in groups]


def _copies(matrix: NDArray[np.float64]) -> bool:
    """Return whether pixels only go elsewhere: along each axis by whole pixels, or backwards."""
    linear = matrix[:-1, :-1]
    return bool((np.abs(linear) == np.eye(len(linear))).all() and (matrix[:-1, -1] % 1 == 0).all())


def _lanczos(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(distance) < REACH, np.sinc(distance) * np.sinc(distance / REACH), 0.0)


def _find_reach(stretch: Any) -> Any:
    """Return how far from a place, in pixels of the image, those lie that it takes."""
    return stretch / 2 + (REACH - 0.5)


@functools.cache
def _table() -> NDArray[np.float64]:
    """Return what a running sum takes of a pixel, from all to nothing, by how far its end lies before the pixel's.

    From -2 to 3 pixels, in steps; it is the sum of the kernel over all pixels from there on.
    """
    places = np.arange((2 * REACH - 1) * STEPS + 1) / STEPS - (REACH - 1)
    part = _lanczos(places[:, None] + np.arange(2 * REACH)).sum(axis=1)
    whole = _lanczos((places - np.floor(places))[:, None] + np.arange(-REACH, REACH)).sum(axis=1)
    return np.asarray(part / whole)


def _weigh(distance: NDArray[np.float64], stretch: float) -> NDArray[np.float64]:
    """Return the weights of pixels at these distances from the middle of a pixel that is so many times as large."""
    if stretch == 1:
        found = _lanczos(distance)
        # A whole place takes its own pixel alone, though sin(pi k) is not 0 to the last bit
        found[np.abs(found) < 1e-15] = 0
    else:
        places, table = np.arange(_table().size) / STEPS - (REACH - 1), _table()
        found = np.interp(distance + (1 - stretch) / 2, places, table)
        found -= np.interp(distance + (1 + stretch) / 2, places, table)
    found /= found.sum(axis=1, keepdims=True)
    return found


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to: kernels are compiled for this kind of array alone."""
    view = array.view()
    view.flags.writeable = False
    return view


def _warp_axis(array: NDArray[Any], axis: int, there: _Axes) -> NDArray[Any]:
    """Return an array resampled along one axis."""
    first, length = there.place.source[0], array.shape[axis]
    where = there.matrix[0, 0] * (there.place.target[0] + np.arange(there.shape[0])) + there.matrix[0, 1]
    if _copies(there.matrix):
        return np.asarray(array.take(np.clip(where - first, 0, length - 1).astype(np.intp), axis))
    stretch = max(1.0, abs(float(there.matrix[0, 0])))
    reach = _find_reach(stretch)
    begins = np.floor(where - reach) + 1
    taps = begins[:, None] + np.arange(math.ceil(2 * reach))
    weights = _weigh(taps - where[:, None], stretch)
    indices = np.clip(taps - first, 0, length - 1).astype(np.int64)
    sides = math.prod(array.shape[:axis]), length, math.prod(array.shape[axis + 1 :])
    flat = _read_only(np.ascontiguousarray(array, np.float64).reshape(sides))
    found = np.zeros((flat.shape[0], there.shape[0], flat.shape[2]))
    if flat.shape[2] == 1:
        _add_within_lines(flat[..., 0], indices, weights, found[..., 0])
    else:
        _add_lines(flat, indices, weights, found)
    return found.reshape(*array.shape[:axis], there.shape[0], *array.shape[axis + 1 :])


def _warp_together(image: NDArray[Any], there: _Axes, target: NDArray[np.float64]) -> None:
    """Write an image, contiguous, resampled along all its axes, into `target`."""
    stretch, place = find_stretch(there.matrix), there.place
    if image.ndim == 2 and (stretch == 1).all():
        origins = Origins(*(each[:2] for each in place))  # type: ignore[arg-type]
        resample_tile(image, there.matrix, 0, len(target), target, origins)
        return
    # An image is a volume of one plane, which is its own neighbour
    extra = 3 - image.ndim
    matrix = np.eye(4)
    matrix[extra:, extra:] = there.matrix
    sides = [np.array([0] * extra + list(each)) for each in place]
    sides[2][:extra] = 1
    volume, found = (each.reshape((1,) * extra + each.shape) for each in (image, target))
    reach = np.array([0.5] * extra + list(_find_reach(stretch)))
    stretches = np.array([1.0] * extra + list(stretch))
    _warp_volume(volume, found, matrix, stretches, reach, _table(), *sides)


@_compile
def _add_lines(array, indices, weights, found):  # type: ignore[no-untyped-def]
    """Add up weighted lines that run along the last axis."""
    for number in range(array.shape[0]):
        for row in range(indices.shape[0]):
            out = found[number, row]
            for tap in range(indices.shape[1]):
                weight = weights[row, tap]
                if weight == 0:
                    continue
                line = array[number, indices[row, tap]]
                for column in range(out.size):
                    out[column] += weight * line[column]


@_compile
def _add_within_lines(array, indices, weights, found):  # type: ignore[no-untyped-def]
    """Add up weighted pixels of each line."""
    for number in range(array.shape[0]):
        line = array[number]
        out = found[number]
        for place in range(indices.shape[0]):
            total = 0.0
            for tap in range(indices.shape[1]):
                if weights[place, tap] != 0:
                    total += weights[place, tap] * line[indices[place, tap]]
            out[place] = total


@_compile
def _look_up(table, place):  # type: ignore[no-untyped-def]
    """Return what the table has at a place, between its steps, too."""
    step = min(max((place + (REACH - 1)) * STEPS, 0.0), table.size - 1.0)
    number = min(int(step), table.size - 2)
    return table[number] + (step - number) * (table[number + 1] - table[number])


@_compile
def _find_taps(place, stretch, reach, first, length, table, indices, weights):  # type: ignore[no-untyped-def]
    """Set the pixels about a place, and their weights, and return how many they are."""
    begin = math.floor(place - reach) + 1
    count = math.ceil(2 * reach)
    total = 0.0
    for tap in range(count):
        distance = begin + tap - place
        weights[tap] = _look_up(table, distance + (1 - stretch) / 2) - _look_up(table, distance + (1 + stretch) / 2)
        indices[tap] = min(max(begin + tap - first, 0), length - 1)
        total += weights[tap]
    for tap in range(count):
        weights[tap] /= total
    return count


@_compile
def _warp_volume(  # type: ignore[no-untyped-def]
    volume, target, matrix, stretch, reach, table, first_target, first_source, shape
):
    """Resample by any affine transform, voxel by voxel."""
    most = int(2 * reach.max()) + 2
    indices = np.empty((3, most), np.int64)
    weights = np.empty((3, most))
    place = np.empty(3)
    count = np.empty(3, np.int64)
    for plane in range(target.shape[0]):
        for row in range(target.shape[1]):
            for column in range(target.shape[2]):
                inside = True
                for axis in range(3):
                    place[axis] = (
                        matrix[axis, 0] * (first_target[0] + plane)
                        + matrix[axis, 1] * (first_target[1] + row)
                        + matrix[axis, 2] * (first_target[2] + column)
                        + matrix[axis, 3]
                    )
                    inside = inside and -0.5 - LENIENT <= place[axis] <= shape[axis] - 0.5 + LENIENT
                if not inside:
                    target[plane, row, column] = np.nan
                    continue
                for axis in range(3):
                    count[axis] = _find_taps(
                        place[axis],
                        stretch[axis],
                        reach[axis],
                        first_source[axis],
                        volume.shape[axis],
                        table,
                        indices[axis],
                        weights[axis],
                    )
                total = 0.0
                for i in range(count[0]):
                    of_plane = 0.0
                    for j in range(count[1]):
                        line = volume[indices[0, i], indices[1, j]]
                        of_line = 0.0
                        for k in range(count[2]):
                            of_line += weights[2, k] * line[indices[2, k]]
                        of_plane += weights[1, j] * of_line
                    total += weights[0, i] * of_plane
                target[plane, row, column] = total
