"""Random pairs in random chunks: the comparison must be that of the same pair in memory, to the bit.

``python tests/fuzz.py --cases 20000`` holds so many cases against it, on all processors, and stops at the first that
differs; ``--first 1234 --cases 1`` repeats case 1234. One case of 20 takes any settings, the others are quick; one of 8
is of volumes.
``--large`` compares 70,000 x 40,000 pixels, more than 2^31, whose changes are known.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, NamedTuple
from unittest import mock

import cv2
import dask
import dask.array as da
import numpy as np
import pandas as pd
from chunked import Chunked, cut_axis
from made import scene, through_lens
from numpy.typing import NDArray
from test_regions import BOX, checkers, comb, contours_of, noise, rings, spiral
from test_volumes import scipy_labels

from napari_image_diff import (
    Comparison,
    blocks,
    compare,
    cropping,
    evidence,
    in_parts,
    intensity,
    lazy_maps,
    regions,
    sources,
    streaming,
    tiles,
)

Array = NDArray[Any]

# One case of so many takes any settings, and one of so many is of volumes.
DEAR = 20
SOLID = 8

# What a tile is, a band of one, a chunk of a map, the overview and so on: none of it may show.
SIZES: list[tuple[Any, str, tuple[int, ...]]] = [
    (tiles, "BOX_PIXELS", (1, 1, 1, 400, 2**22)),
    (tiles, "SLAB_PLANES", (1, 2, 16)),
    (tiles, "SLAB_VOXELS", (1, 2**25)),
    (sources, "UNIT", (1, 1, 20, 1024)),
    (sources, "KEPT_BYTES", (0, 2000, 2**28)),
    (tiles, "TILE_PIXELS", (100, 2**20)),
    (streaming, "BAND_PIXELS", (1, 200, 2**22)),
    (lazy_maps, "CHUNK_PIXELS", (150, 500, 2**20)),
    (lazy_maps, "FEWEST_CELLS", (2, 64)),
    (in_parts, "OVERVIEW_PIXELS", (1, 30, 500, 2**24, 2**24)),
    (cropping, "LARGEST_SIDE", (16, 2048)),
    (cropping, "AT_A_TIME", (1, 64)),
    (blocks, "NEAR", (0, 256)),
    (blocks, "KEPT_WINDOWS", (1, 1024)),
    (blocks, "LARGEST_WINDOW", (100, 2**18)),
]

# These show, but in memory as in chunks: how many pixels a measurement is taken from.
SAMPLES: list[tuple[Any, str, tuple[int, ...]]] = [
    (evidence, "SAMPLED_PIXELS", (2**6, 2**20)),
    (intensity, "SAMPLES", (2**8, 2**18)),
]

LARGEST = {"bool": 1, "uint8": 255, "float16": 1, "float32": 1, "float64": 1000, "int16": 3000, "int32": 100_000}


class Case(NamedTuple):
    """A pair, and how it is compared."""

    before: Array
    after: Array
    settings: dict[str, Any]
    masks: dict[str, Array]
    sizes: dict[tuple[Any, str], int]
    again: dict[str, Any]
    """What `Comparison.rethreshold` is asked for afterwards."""
    spatial: int
    """2 for images, 3 for volumes."""

    def __str__(self) -> str:
        images = [f"{image.shape} {image.dtype}" for image in (self.before, self.after)]
        sizes = {name: value for (_, name), value in self.sizes.items()}
        return f"{', '.join(images)}, {self.settings}, masks {[*self.masks]}, then {self.again}, {sizes}"


def make_case(seed: int) -> tuple[Case, np.random.Generator]:
    """Return a case, and the generator that the chunks are drawn from."""
    rng = np.random.default_rng(seed)
    dear, solid = seed % DEAR == 0, seed % SOLID == 0
    sides = tuple(int(side) for side in rng.integers(7, (40 if solid else 90) if dear else (25 if solid else 45), 2))
    if solid:
        sides = (int(rng.integers(3, 10)), *sides)
    dtype = np.dtype(str(rng.choice(["uint8", "uint8", "uint16", "float32", *LARGEST])))
    if dtype.itemsize > 1 and rng.random() < 0.1:
        dtype = dtype.newbyteorder(">")
    channels = int(rng.choice([0, 0, 3, 4] if dear else [0, 0, 0, 0, 3]))
    leading = (int(rng.integers(1, 4)),) if dear and rng.random() < 0.2 else ()
    before, after = _draw_pair(rng, (*leading, *sides, *([channels] if channels else [])), len(sides), dtype)
    settings = _draw_settings(rng, dear, channels, before)
    if solid:
        settings |= {"spatial_ndim": 3, "align": str(rng.choice(["none", "translation"]))}
        if rng.random() < 0.9:
            # The default has more planes than most of these volumes
            settings["win_size"] = int(rng.choice([3, 3, 5]))
        if rng.random() < 0.5:
            settings["spacing"] = (float(rng.choice([0.5, 1.5, 3])), 1.0, 1.0)
    masks: dict[str, Array] = {}
    if rng.random() < 0.15:
        masks["inside"] = rng.random(sides[int(rng.integers(len(sides) - 1)) :]) < 0.9
    if rng.random() < 0.15:
        masks["ignore"] = _draw_change(rng, sides[int(rng.integers(len(sides) - 1)) :]).astype(np.int32)
    if dear and rng.random() < 0.1:
        settings["size"] = "overlap"
        after = after[(slice(None),) * len(leading) + tuple(slice(max(min(7, side), side - 3)) for side in sides)]
    elif rng.random() < 0.1:
        # As of an image that was turned: all on one side of a line
        slope, start = rng.normal(size=2), rng.random() * sides[-1]
        masks["overlap"] = np.add.outer(slope[0] * np.arange(sides[-2]), slope[1] * (np.arange(sides[-1]) - start)) < 2
        if solid:
            masks["overlap"] = np.repeat(masks["overlap"][None], sides[0], axis=0)
    if leading and rng.random() < 0.3:
        before = before[0]
    drawn = {(room, name): int(rng.choice(values)) for room, name, values in SIZES + (SAMPLES if dear else [])}
    again = [
        {},
        {},
        {},
        {"min_area": 3},
        {"threshold": 0.3},
        {"threshold": "otsu"},
        {"threshold": "auto", "sensitivity": 1.5},
    ]
    return Case(before, after, settings, masks, drawn, again[rng.integers(len(again))], len(sides)), rng


def _draw_pair(
    rng: np.random.Generator, shape: tuple[int, ...], spatial: int, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Return two images; what changed is of one of the forms that are hard to put together."""
    channels = shape[-1] if shape[-1] in (3, 4) else 0
    first = len(shape) - spatial - bool(channels)
    solid = shape[first : first + spatial]
    sides = (solid[-2], solid[-1])
    largest = {"uint16": int(rng.choice([255, 4095, 65535]))}.get(dtype.name) or LARGEST[dtype.name]
    ground, other_ground = _draw_ground(rng, sides)
    changed = _draw_change(rng, solid)
    if channels:
        ground, other_ground, changed = ground[..., None], other_ground[..., None], changed[..., None]
    texture = 0.2 * rng.choice([0, 0.3, 1]) * rng.random(shape)
    before = ground + texture
    after = other_ground + texture + rng.choice([0, 0, 0.02, 0.1]) * rng.standard_normal(shape)
    after = np.where(changed, after + rng.choice([-0.5, 0.1, 0.5]), after)
    one, other = ((np.clip(image, 0, 1) * largest).astype(dtype) for image in (before, after))
    if rng.random() < 0.1:
        other = one.copy()
    if dtype.kind == "f" and rng.random() < 0.4:
        for image in (one, other):
            image.reshape(-1)[rng.integers(image.size, size=3)] = rng.choice([np.nan, np.inf, -np.inf], 3)
        holes = _draw_change(rng, solid)
        one[(slice(None),) * first + (holes,)] = np.nan
    if channels == 4 and rng.random() < 0.6:
        one[..., 3] = largest
        other[..., : sides[0] // 2, : sides[1] // 3, 3] = rng.choice([0, largest])
    return one, other


def _draw_ground(rng: np.random.Generator, sides: tuple[int, int]) -> tuple[Array, Array]:
    """Return what two images have in common, 0 to 1: a gradient, or a scene of which the second has another part."""
    smooth = np.add.outer(*(np.linspace(0, 0.5, side) for side in sides))
    if min(sides) < 60 or rng.random() < 0.4:
        return smooth, smooth
    whole = through_lens(scene(int(rng.integers(50)), 128)) / 255
    angle, scale = rng.choice([0, 0, 1.5]), rng.choice([1, 1, 1.02])
    turned = cv2.warpAffine(whole, cv2.getRotationMatrix2D((64, 64), angle, scale), (128, 128))
    (top, left), (down, across) = rng.integers(10, 20, 2), rng.integers(-9, 10, 2)
    one, other = whole[top:, left:], turned[top + down :, left + across :]
    return one[: sides[0], : sides[1]], other[: sides[0], : sides[1]]


def _draw_change(rng: np.random.Generator, sides: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask of an image or a volume; in that, now and then a thing that is closed in front and behind."""
    if len(sides) == 2:
        return _draw_mask(rng, (sides[0], sides[1]))
    planes = np.zeros(sides, bool)
    if rng.random() < 0.5:
        front, behind = sorted(rng.integers(0, sides[0], 2))
        planes[front : behind + 1] = _draw_mask(rng, (sides[1], sides[2]))
        rows, columns = (sorted(rng.integers(0, side, 2)) for side in sides[1:])
        planes[front : behind + 1 : max(1, behind - front), slice(*rows), slice(*columns)] = True
        return planes
    for plane in planes:
        if rng.random() < 0.6:
            plane[:] = _draw_mask(rng, (sides[1], sides[2]))
    return planes


def _draw_mask(rng: np.random.Generator, sides: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a spiral, a comb, rings, squares or noise, its strokes 1 to 4 pixels wide."""
    stroke = int(rng.integers(1, 5))
    height, width = (-(-side // stroke) for side in sides)
    most = max(height, width)
    squares = np.zeros((height, width), bool)
    for top, left, side in rng.integers((0, 0, 1), (height, width, 9), (5, 3)):
        squares[top : top + side, left : left + side] ^= True
    grain = noise(int(rng.integers(1000)))
    masks = [
        squares,
        squares,
        spiral(most),
        comb((height, width), int(rng.integers(height))),
        comb((width, height), int(rng.integers(width))).T,
        rings(most, int(rng.integers(1, 3))),
        checkers((height, width)),
        np.resize(grain, (height, width)),
        np.zeros((height, width), bool),
    ]
    mask = masks[rng.integers(len(masks))]
    mask = mask if rng.random() < 0.8 else ~mask
    return np.kron(mask, np.ones((stroke, stroke), bool))[: sides[0], : sides[1]]


def _draw_settings(rng: np.random.Generator, dear: bool, channels: int, before: Array) -> dict[str, Any]:
    """Return settings."""
    settings: dict[str, Any] = {
        "threshold": [0.2, 0.6, "otsu", "auto"][rng.integers(4)] if rng.random() < 0.7 else "auto",
        "min_area": float(rng.choice([-1, -1, 0, 5])),
        "align": str(rng.choice(["none", "translation", "affine"])) if dear else "none",
        "channels": "last" if channels else "none",
    }
    ways: list[tuple[float, dict[str, Any]]] = [
        (0.3, {"win_size": int(rng.choice([3, 3, 5]))}),
        (0.1, {"data_range": float(LARGEST.get(before.dtype.name, 255))}),
    ]
    if dear:
        ways += [
            (0.2, {"window": "gaussian", "sigma": float(rng.choice([0.5, 1.5]))}),
            (0.2, {"match_intensity": "gain_offset"}),
            (0.2, {"alpha": "drop"}),
            (0.2, {"sensitivity": 2.0}),
            (0.4, {"shared_threshold": True}),
        ]
    for share, change in ways:
        if rng.random() < share:
            settings |= change
    return settings


class Held(NamedTuple):
    """What was held against the same in memory."""

    reads: int
    regions: int
    refused: bool
    """Whether it is an error, in chunks as in memory."""
    aligned: bool


def hold(seed: int) -> Held:
    """Compare a case in memory and in chunks; AssertionError where they differ."""
    case, rng = make_case(seed)
    with _patched({(tiles, "count_threads"): lambda: 3, **case.sizes}):
        before, after = _cut(rng, case.before, case), _cut(rng, case.after, case)
        if rng.random() < 0.1:
            before = case.before
        masks = {name: _cut(rng, mask, case) if rng.random() < 0.5 else mask for name, mask in case.masks.items()}
        whole = _try_to_compare(case.before, case.after, {**case.settings, **case.masks})
        found = _try_to_compare(before, after, {**case.settings, **masks})
        reads = sum(len(getattr(image, "reads", ())) for image in (before, after))
        if isinstance(whole, Exception) or isinstance(found, Exception):
            assert repr(found) == repr(whole), f"{found!r} in chunks, {whole!r} in memory"
            return Held(reads, 0, True, False)
        hold_against(found, whole)
        hold_against_peers(found, case)
        if case.again:
            hold_against(found.rethreshold(**case.again), whole.rethreshold(**case.again))
    hold_seams(rng)
    outcomes = [frame.resolved["alignment"]["outcome"] for frame in whole.frames or (whole,)]
    return Held(reads, len(whole.regions), False, "aligned" in outcomes)


@contextlib.contextmanager
def _patched(values: dict[tuple[Any, str], Any]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for (room, name), value in values.items():
            stack.enter_context(mock.patch.object(room, name, value))
        yield


def _try_to_compare(before: Any, after: Any, settings: dict[str, Any]) -> Comparison | Exception:
    try:
        return compare(before, after, **settings)
    except (ValueError, TypeError) as error:
        return error


def _cut(rng: np.random.Generator, image: Array, case: Case) -> Any:
    """Return an image in chunks: of dask now and then."""
    colour = image.shape[-1] in (3, 4)
    first = max(0, image.ndim - case.spatial - colour)
    rows = image.ndim - 2 - colour
    most = int(rng.choice([2, 4, 8, 24] if case.spatial == 2 else [2, 4]))
    chunks = (
        *((1,) * length if rng.random() < 0.7 else (length,) for length in image.shape[:first]),
        *(cut_axis(rng, length, 4) for length in image.shape[first:rows]),
        cut_axis(rng, image.shape[rows], most),
        cut_axis(rng, image.shape[rows + 1], max(2, (24 if case.spatial == 2 else 8) // most)),
        *((length,) for length in image.shape[rows + 2 :]),
    )
    return da.from_array(image, chunks) if rng.random() < 0.1 else Chunked(image, chunks)


def hold_against(found: Comparison, whole: Comparison) -> None:
    """Raise AssertionError where a comparison is not that of the same images in memory, to the bit."""
    assert found.pyramid is not None
    both: dict[str, tuple[Any, Any]] = {}
    for name in ("score", "threshold", "histogram", "difference", "evidence", "labels"):
        both[name] = getattr(found, name), getattr(whole, name)
    for name in ("difference", "evidence", "labels"):
        levels = getattr(found.pyramid, name)
        for level, coarse in enumerate(levels[1:] if levels else [], 1):
            both[f"pyramid.{name}[{level}]"] = coarse, greatest(getattr(whole, name), 2**level)
    for number, (one, other) in enumerate(zip(found.frames or (found,), whole.frames or (whole,), strict=True)):
        for name in ("before", "after"):
            both[f"pair.{name} {number}"] = getattr(one.pair, name), getattr(other.pair, name)
        for image, colours in enumerate(zip(one.pair.colours, other.pair.colours, strict=True)):
            both[f"pair.colours[{image}] {number}"] = colours
    # All at once, and not on dask's threads: a graph for each array would take most of the time
    worked_out = dask.compute([one for one, _ in both.values()], scheduler="synchronous")[0]
    for (name, (_, other)), one in zip(both.items(), worked_out, strict=True):
        _equal(name, one, other)
    for name in ("regions", "forgiven"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(whole, name), check_exact=True, obj=name)
    for name, value in whole.resolved.items():
        assert repr(found.resolved[name]) == repr(value), f"resolved[{name!r}] is {found.resolved[name]}, not {value}"
    assert found.resolved.keys() == whole.resolved.keys(), "resolved"
    assert (found.verdict, found.summary) == (whole.verdict, whole.summary), "summary"


def _equal(name: str, found: Any, whole: Any) -> None:
    assert (found is None) == (whole is None), name
    if whole is not None:
        one, other = np.asarray(found), np.asarray(whole)
        assert one.dtype == other.dtype, f"{name} is {one.dtype}, not {other.dtype}"
        np.testing.assert_array_equal(one, other, err_msg=name)


def greatest(image: Array, side: int) -> Array:
    """Return the greatest value, NaN aside, in each square of so many pixels a side."""
    wide = [(0, 0)] * (image.ndim - 2) + [(0, -length % side) for length in image.shape[-2:]]
    lowest = np.nan if image.dtype.kind == "f" else 0
    cells = np.pad(image, wide, constant_values=lowest)
    cells = cells.reshape(*cells.shape[:-2], cells.shape[-2] // side, side, cells.shape[-1] // side, side)
    return np.asarray(np.fmax.reduce(cells, axis=(-3, -1)))


def hold_against_peers(found: Comparison, case: Case) -> None:
    """Hold the regions of a cut of the difference against OpenCV's contours, or scipy, which have no word for NaN."""
    if found.evidence is not None or found.frames or found.resolved["pixels_not_valid"]:
        return
    difference = found.difference.compute(scheduler="synchronous")
    mask = difference.astype(np.float64) > found.threshold
    if case.spatial == 3:
        labels = scipy_labels(mask)
        kept = np.flatnonzero(np.bincount(labels.ravel())[1:] > case.settings["min_area"]) + 1
        numbers = np.zeros(labels.max(initial=0) + 1, np.int32)
        numbers[kept] = np.arange(1, kept.size + 1)
        _equal("labels, by scipy", found.labels.compute(scheduler="synchronous"), numbers[labels])
        return
    labels, boxes, areas = contours_of(mask, case.settings["min_area"])
    _equal("labels, by OpenCV", found.labels.compute(scheduler="synchronous"), labels)
    assert found.regions[BOX].to_numpy().tolist() == boxes, "boxes, by OpenCV"
    assert found.regions["contour_area"].tolist() == areas, "contour areas, by OpenCV"
    sizes = np.bincount(labels.ravel(), minlength=len(areas) + 1)[1:]
    assert found.regions["area"].tolist() == sizes.tolist(), "areas"


def hold_seams(rng: np.random.Generator) -> None:
    """Hold the regions of a map put together from tiles against those of the whole."""
    height, width = (int(side) for side in rng.integers(2, 40, 2))
    values = _draw_mask(rng, (height, width)).astype(np.float32)
    if rng.random() < 0.3:
        values[_draw_mask(rng, (height, width))] = np.nan
    bands = []
    rows, columns = (np.cumsum((0, *cut_axis(rng, side, 8))) for side in (height, width))
    for top, bottom in itertools.pairwise(rows):
        parts = [
            regions.find_runs(np.ascontiguousarray(values[top:bottom, left:right]), 0.5)
            for left, right in itertools.pairwise(columns)
        ]
        bands.append(regions.join_columns(parts, columns[:-1].tolist())[0])
    found, whole = regions.join_runs(bands), regions.find_runs(values, 0.5)
    for name, one, other in zip(whole._fields, found, whole, strict=True):
        _equal(f"seams: {name}", one, other)
    if not np.isnan(values).any():
        made = regions.make_regions(found, width, -1)
        labels, boxes, _ = contours_of(values > 0, -1)
        painted = np.empty(values.shape, np.int32)
        regions.paint_runs(*regions.clip_runs(made, 0, 0, height, width), painted, 1)
        _equal("seams: labels", painted, labels)
        assert made.boxes.tolist() == boxes, "seams: boxes"


class Sparse:
    """A dark image of any size with bright rectangles, none of it in memory until it is sliced."""

    def __init__(self, shape: tuple[int, int], boxes: list[tuple[int, int, int, int]]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self._boxes = boxes

    def __getitem__(self, place: tuple[slice, slice]) -> NDArray[np.uint8]:
        (top, bottom, _), (left, right, _) = (
            each.indices(length) for each, length in zip(place, self.shape, strict=True)
        )
        part = np.zeros((bottom - top, right - left), np.uint8)
        for box in self._boxes:
            rows = slice(max(0, box[0] - top), max(0, box[2] - top))
            columns = slice(max(0, box[1] - left), max(0, box[3] - left))
            part[rows, columns] = 200
        return part


def compare_sparse(shape: tuple[int, int], boxes: list[tuple[int, int, int, int]], chunk: int, **settings: Any) -> None:
    """Compare an empty image with one of known rectangles, and raise AssertionError unless these are found."""
    chunks = tuple(tuple(min(chunk, side - first) for first in range(0, side, chunk)) for side in shape)
    before, after = (Chunked(Sparse(shape, held), chunks) for held in ([], boxes))
    found = compare(before, after, align="none", min_area=-1, **settings)
    reach = settings.get("win_size", 7) // 2
    # Where any pixel of the window differs, so does the structure
    grown = [
        [max(0, top - reach), max(0, left - reach), min(shape[0], bottom + reach), min(shape[1], right + reach)]
        for top, left, bottom, right in boxes
    ]
    assert found.regions[BOX].to_numpy().tolist() == grown, found.regions[BOX]
    areas = [(bottom - top) * (right - left) for top, left, bottom, right in grown]
    assert found.regions["area"].tolist() == areas
    assert int(found.histogram.sum()) == shape[0] * shape[1]
    for number, (top, left, bottom, right) in enumerate(grown, 1):
        part = found.labels[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1].compute()
        assert (part == number).sum() == areas[number - 1]
        assert part.size == areas[number - 1] or not part.all()
    assert found.pyramid is not None
    overview = np.asarray(found.pyramid.labels[-1])
    assert np.unique(overview).tolist() == list(range(len(boxes) + 1))


def compare_large() -> None:
    """Compare more than 2^31 pixels, and columns and rows beyond 2^16."""
    rows, columns = 40_000, 70_000
    boxes = [(10, 69_000, 40, 69_800), (20_000, 5, 20_030, 30), (31_000, 65_530, 31_020, 65_560)]
    boxes.append((rows - 9, columns - 20, rows, columns))
    assert boxes[2][0] * columns > 2**31
    compare_sparse((rows, columns), boxes, 4096, threshold=0.5)


def _hold_some(seeds: range) -> tuple[Counter[str], str]:
    """Return what was held of some cases, and how the first one differs that does."""
    warnings.simplefilter("error")
    counts: Counter[str] = Counter()
    for seed in seeds:
        try:
            held = hold(seed)
        except Exception as error:
            case, _ = make_case(seed)
            return counts, f"case {seed} differs: {case}\n{type(error).__name__}: {str(error).strip()}"
        counts.update(cases=1, dear=seed % DEAR == 0, **held._asdict())
    return counts, ""


def main() -> int:
    """Run, print what was held, and return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first, its seed (%(default)s)")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="how many at a time (%(default)s)")
    parser.add_argument("--large", action="store_true", help="compare 70,000 x 40,000 pixels, too")
    asked = parser.parse_args()
    began, last = time.monotonic(), asked.first + asked.cases
    counts: Counter[str] = Counter()
    shares = [range(first, min(first + 50, last)) for first in range(asked.first, last, 50)]
    with ProcessPoolExecutor(asked.processes, get_context("spawn")) as pool:
        # In the order of the cases, so that the first that differs is told
        for held, trouble in pool.map(_hold_some, shares):
            counts += held
            if trouble:
                pool.shutdown(cancel_futures=True)
                print(trouble, f"again: python tests/fuzz.py --cases 1 --first {trouble.split()[1]}", sep="\n")
                return 1
            if counts["cases"] % 1000 == 0:
                print(f"{counts['cases']:,} cases, {time.monotonic() - began:.0f} s", flush=True)
    print(
        f"{counts['cases']:,} cases from {asked.first} on are the same in chunks and in memory, {counts['dear']:,} of "
        f"any settings; {counts['regions']:,} regions, {counts['reads']:,} parts read, {counts['aligned']:,} moved "
        f"into place, {counts['refused']:,} refused alike; {time.monotonic() - began:.0f} s"
    )
    if asked.large:
        began = time.monotonic()
        compare_large()
        print(f"70,000 x 40,000 pixels: all changes are found where they are; {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
