"""What kind of change each region is, of images that are read in parts: `kinds` on crops around the regions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import kinds, regions, tiles
from .blocks import Facts, Reader, make_block
from .preparation import Pair, flatten
from .tiles import Box, Work

__all__ = ["tell_kinds"]

# Crops are read in parts of up to so many pixels a side ...
LARGEST_SIDE = 2048

# ... and so many regions at a time are kept to be measured, a few hundred pixels a side each.
AT_A_TIME = 64

Painted = tuple[regions.Runs, NDArray[np.int32]]
"""The runs of a box and the region of each, from which its labels are painted."""


def tell_kinds(found: regions.Regions, reader: Reader, noise: float, step: tiles.Step) -> kinds.Kinds:
    """Return what kind of change each region of a frame is."""
    skip, boxes = tiles.uncounted(step), found.boxes
    facts = reader.facts

    def measure(some: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        shares = np.array_split(some, -(-max(1, len(some)) // AT_A_TIME))
        measured = [_measure_regions(found, reader, share, noise, skip) for share in shares]
        return [np.concatenate(each) for each in zip(*measured, strict=True)]

    def match(pairs: NDArray[np.int64], asked: kinds.Asked) -> NDArray[np.float64]:
        work = []
        for old, new in pairs.tolist():
            reach = kinds.find_reach(boxes[old], boxes[new])
            one, other = (_around(boxes[region], reach, facts.grid) for region in (old, new))
            first, second = reader.work(one), reader.work(other)
            painted = (regions.clip_runs(found, *one), regions.clip_runs(found, *other))
            given = (facts, (one, other), painted, (old + 1, new + 1), boxes[[old, new]], asked.of(old, new))
            work.append(Work(first.parts + second.parts, (len(first.parts), *given)))
        return np.array(tiles.map_parts(_match, work, skip)).reshape(-1, 3)

    def match_within(some: NDArray[np.int64], asked: kinds.Asked) -> NDArray[np.float64]:
        work = []
        for region in some.tolist():
            box = _around(boxes[region], 0, facts.grid)
            work.append(reader.work(box, regions.clip_runs(found, *box), region + 1, boxes[region], asked.of(region)))
        return np.array(tiles.map_parts(_match_within, work, skip)).reshape(-1, 3)

    return kinds.name_kinds_by(kinds.Looks(measure, match, match_within), boxes)


def _around(box: NDArray[np.int64], reach: int, grid: tuple[int, int]) -> Box:
    """Return a box with so many pixels around it, as far as the image goes."""
    top, left, bottom, right = (int(side) for side in box)
    return (max(0, top - reach), max(0, left - reach), min(grid[0], bottom + reach), min(grid[1], right + reach))


def _measure_regions(
    found: regions.Regions, reader: Reader, some: NDArray[np.int64], noise: float, step: tiles.Step
) -> list[NDArray[np.float64]]:
    """Return what `kinds.measure_crop` does of some regions, however large they are."""
    grid = reader.facts.grid
    crops = [kinds.find_crop(found.boxes[region].tolist(), grid) for region in some]
    work = [
        reader.work(box, regions.clip_runs(found, *box), number, crop)
        for number, crop in enumerate(crops)
        for box in _cut(crop[:4], crop[4])
    ]
    images: list[list[NDArray[Any]]] = [[] for _ in crops]
    for number, row, column, *parts in tiles.map_parts(_thin, work, step):
        top, left, bottom, right, every = crops[number]
        rows, columns = -(-(bottom - top) // every), -(-(right - left) // every)
        if not images[number]:
            images[number] = [np.zeros((rows, columns, *part.shape[2:]), part.dtype) for part in parts]
        for image, part in zip(images[number], parts, strict=True):
            image[row : row + part.shape[0], column : column + part.shape[1]] = part

    def measure(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        before, after, labels = images[number]
        return kinds.measure_crop(before, after, labels, int(some[number]) + 1, reader.facts.data_range, noise)

    nothing = np.zeros((0, kinds.COLUMNS)), np.zeros((0, 2, 3 if reader.facts.colours else 1))
    measured = [nothing, *tiles.map_tiles(measure, range(len(crops)), step)]
    return [np.concatenate(each) for each in zip(*measured, strict=True)]


def _cut(box: Box, every: int) -> Iterator[Box]:
    """Yield the parts in which a box is read of which one of `every` pixels is taken."""
    side = max(1, LARGEST_SIDE // every) * every
    for top in range(box[0], box[2], side):
        for left in range(box[1], box[3], side):
            yield (top, left, min(top + side, box[2]), min(left + side, box[3]))


def _thin(
    arrays: list[NDArray[Any]],
    facts: Facts,
    box: Box,
    painted: Painted,
    number: int,
    crop: tuple[int, int, int, int, int],
) -> tuple[int, int, int, NDArray[Any], NDArray[Any], NDArray[np.int32]]:
    """Return the pixels of a box that belong to a crop, of both images and the labels, and their place in it."""
    every = crop[4]
    before, after = _look(make_block(arrays, facts, box))
    row, column = (box[0] - crop[0]) // every, (box[1] - crop[1]) // every
    one, other, labels = (image[::every, ::every].copy() for image in (before, after, _paint(painted, box)))
    return number, row, column, one, other, labels


def _look(pair: Pair) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return both images with an axis of channels, as they look."""
    if not pair.colours:
        return pair.before[..., None], pair.after[..., None]
    return flatten(pair.colours[0], pair.data_range), flatten(pair.colours[1], pair.data_range)


def _paint(painted: Painted, box: Box) -> NDArray[np.int32]:
    """Return the labels of a box."""
    labels = np.empty((box[2] - box[0], box[3] - box[1]), np.int32)
    regions.paint_runs(*painted, labels, 1)
    return labels


def _match(
    arrays: list[NDArray[Any]],
    count: int,
    facts: Facts,
    places: tuple[Box, Box],
    painted: tuple[Painted, Painted],
    numbers: tuple[int, int],
    boxes: NDArray[np.int64],
    asked: kinds.Asked,
) -> NDArray[np.float64]:
    """Hold an old place and a new one against each other; the first `count` arrays are of the old."""
    old, new = (
        kinds.Crop(*_look(make_block(part, facts, box)), _paint(runs, box), box[0], box[1])
        for part, box, runs in zip((arrays[:count], arrays[count:]), places, painted, strict=True)
    )
    return kinds.match_crops(old, new, numbers, boxes, facts.grid, facts.data_range, asked)


def _match_within(
    arrays: list[NDArray[Any]],
    facts: Facts,
    box: Box,
    painted: Painted,
    number: int,
    region: NDArray[np.int64],
    asked: kinds.Asked,
) -> NDArray[np.float64]:
    crop = kinds.Crop(*_look(make_block(arrays, facts, box)), _paint(painted, box), box[0], box[1])
    return kinds.match_crop_within(crop, number, region, facts.data_range, asked)
