"""Maps of images that are read in parts, as dask arrays: what is asked of them is worked out from the images then."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import pyramids, regions, streaming, tiles
from .blocks import Reader, pick_plane
from .preparation import Pair
from .streaming import Ask
from .tiles import Box, Slab

__all__ = ["Frame", "hold", "list_factors", "make_labels", "make_map", "make_pair"]

# A chunk is worked out as a whole, for what is on the screen of it: some 100 ms.
CHUNK_PIXELS = 2**20

# Chunks of coarser maps have so many cells along a side, at least.
FEWEST_CELLS = 64


class Frame(NamedTuple):
    """A frame as its maps are made."""

    reader: Reader
    ask: Ask
    """Without limits there is no evidence: it is 0 everywhere."""
    difference: NDArray[np.float32]
    """The overview, with cells as `ask` has them; of a volume with planes."""
    evidence: NDArray[np.float32]
    complete: bool
    """Whether all pixels are valid."""


Span = tuple[int, int]

Make = Callable[[int, Slab, Box], NDArray[Any]]
"""Makes a chunk (planes, H, W) of an array, given frame, planes and box; an image has one plane."""


class _Chunks:
    """Makes a chunk of an array, given where it lies; no dataclass, which dask would look into for arrays."""

    def __init__(self, leading: tuple[int, ...], spans: list[list[Span]], make: Make) -> None:
        self.leading = leading
        self.spans = spans
        self.make = make

    def __call__(self, block_id: tuple[int, ...]) -> NDArray[Any]:
        count = len(self.leading)
        frame = int(np.ravel_multi_index(block_id[:count], self.leading)) if count else 0
        *planes, (top, bottom), (left, right) = (
            spans[k] for spans, k in zip(self.spans, block_id[count:], strict=False)
        )
        chunk = self.make(frame, planes[0] if planes else (0, 1), (top, left, bottom, right))
        return (chunk if planes else chunk[0])[(None,) * count]


def _assemble(
    name: str,
    leading: tuple[int, ...],
    spans: list[list[Span]],
    dtype: Any,
    make: Make,
    channels: tuple[int, ...] = (),
) -> Any:
    """Return a dask array whose chunks are made by `make`; `spans` are those along its axes after the leading ones."""
    import dask.array as da

    lengths = [tuple(stop - start for start, stop in along) for along in spans]
    chunks = (*((1,) * length for length in leading), *lengths, *((count,) for count in channels))
    meta = np.empty((0,) * len(chunks), dtype)
    # A name of its own: to find one, dask would read all that the images are made of
    name = f"image-diff-{name}-{uuid.uuid4().hex}"
    return da.map_blocks(  # type: ignore[no-untyped-call]
        _Chunks(leading, spans, make), chunks=chunks, dtype=dtype, meta=meta, name=name
    )


def hold(array: NDArray[Any]) -> Any:
    """Return an array in memory as a dask array."""
    import dask.array as da

    chunks = (*((1,) * (array.ndim - 2)), 2048, 2048)
    name = f"image-diff-{uuid.uuid4().hex}"
    return da.from_array(array, chunks=chunks, name=name)  # type: ignore[no-untyped-call]


def list_factors(coarsest: int) -> list[int]:
    """Return the factors of the levels of a pyramid: 1, 2, 4, ... up to that of the overview."""
    return [2**level for level in range(coarsest.bit_length())]


def _cut(reader: Reader, factor: int) -> list[list[Span]]:
    """Return the spans of planes, if it is one of a volume, rows and columns of the chunks of a map, in cells."""
    chunks, planes = reader.sources[0].chunks[len(reader.frames[0]) :], []
    if reader.facts.volume is not None:
        # As the source has them, but few, since one is looked at at a time
        deepest = min(tiles.SLAB_PLANES, max(chunks[0]))
        planes = [
            [(first, min(first + deepest, reader.facts.planes)) for first in range(0, reader.facts.planes, deepest)]
        ]
        chunks = chunks[1:]
    pixels = CHUNK_PIXELS // (planes[0][0][1] if planes else 1)
    if factor == 1:
        boxes = tiles.cut_boxes(reader.facts.grid, (chunks[0], chunks[1]), pixels)
        return planes + [sorted({box[axis::2] for box in boxes}) for axis in range(2)]  # type: ignore[misc]
    side = max(FEWEST_CELLS, int(pixels**0.5) * 2 // factor)
    cells = [-(-length // factor) for length in reader.facts.grid]
    return planes + [[(start, min(start + side, length)) for start in range(0, length, side)] for length in cells]


def make_map(frames: Sequence[Frame], leading: tuple[int, ...], of_evidence: bool, factor: int = 1) -> Any:
    """Return the difference, or evidence, of all frames, (..., H, W) float32, the greatest in each cell.

    Those of volumes are (..., planes, H, W).
    """

    def make(frame: int, slab: Slab, cells: Box) -> NDArray[np.float32]:
        return _make_cells(frames[frame], slab, cells, of_evidence, factor)

    name = "evidence" if of_evidence else "difference"
    return _assemble(name, leading, _cut(frames[0].reader, factor), np.float32, make)


def _make_cells(frame: Frame, slab: Slab, cells: Box, of_evidence: bool, factor: int) -> NDArray[np.float32]:
    """Return some cells of some planes of a map."""
    reader, ask = frame[:2]
    grid, count = reader.facts.grid, slab[1] - slab[0]
    found = np.full((count, cells[2] - cells[0], cells[3] - cells[1]), np.nan, np.float32)
    overview, step = frame.evidence if of_evidence else frame.difference, ask.factor // factor
    rows, columns = (slice(cells[axis] // step, -(-cells[axis + 2] // step)) for axis in range(2))
    if frame.complete and not overview.reshape(-1, *overview.shape[-2:])[slice(*slab), rows, columns].any():
        # The greatest is 0
        found[:] = 0
        return found
    side = max(1, int((CHUNK_PIXELS / count) ** 0.5) // factor)
    for row, column in itertools.product(range(cells[0], cells[2], side), range(cells[1], cells[3], side)):
        bottom, right = min(row + side, cells[2]), min(column + side, cells[3])
        tile = (row * factor, column * factor, min(bottom * factor, grid[0]), min(right * factor, grid[1]))
        there = found[:, row - cells[0] : bottom - cells[0], column - cells[1] : right - cells[1]]
        for number, plane in enumerate(_measure_tile(reader, slab, tile, ask, of_evidence)):
            there[number] = pyramids.pool(plane, 0, 0, factor)
    return found


def _measure_tile(reader: Reader, slab: Slab, tile: Box, ask: Ask, of_evidence: bool) -> Iterator[NDArray[np.float32]]:
    """Yield the difference or the evidence of each plane of a tile."""
    facts, alone = reader.facts, of_evidence and ask.limits is not None
    # Evidence looks at each plane by itself
    wanted = ask._replace(window=ask.flat) if alone else ask._replace(limits=None)
    box = streaming.grow(tile, streaming.rim_of(wanted), facts.grid)
    read = streaming.grow_slab(slab, wanted.window, facts.planes)
    block, top, left, bottom, right = reader.read(box, slab=read), *streaming.shift_box(tile, box)
    for plane in range(slab[0] - read[0], slab[1] - read[0]):
        pair, number = (pick_plane(block, plane), 0) if alone else (block, plane)
        difference, evidence, _ = streaming.measure_block(pair, facts, box, tile, wanted, number)
        if of_evidence and not alone:
            yield np.where(np.isnan(difference[top:bottom, left:right]), np.nan, np.float32(0))
        else:
            yield (evidence if alone else difference)[top:bottom, left:right]


def make_labels(
    found: Sequence[tuple[regions.Regions, int]], reader: Reader, leading: tuple[int, ...], factor: int = 1
) -> Any:
    """Return the labels of all frames, (..., H, W) int32, the greatest in each cell; no image is read for them.

    `found` are the regions of each frame, and the number before that of the first.
    """
    facts = reader.facts

    def make(frame: int, slab: Slab, cells: Box) -> NDArray[np.int32]:
        return paint(*found[frame], slab, cells, facts.grid, factor)

    return _assemble("labels", leading, _cut(reader, factor), np.int32, make)


def paint(
    of_frame: regions.Regions, first: int, slab: Slab, cells: Box, grid: tuple[int, int], factor: int
) -> NDArray[np.int32]:
    """Return some cells of the labels of some planes of a frame, whose numbers begin after `first`."""
    top, left, bottom, right = (side * factor for side in cells)
    painted = np.empty((slab[1] - slab[0], cells[2] - cells[0], cells[3] - cells[1]), np.int32)
    for plane, there in enumerate(painted, slab[0]):
        above = plane * grid[0]
        runs, labels = regions.clip_runs(of_frame, above + top, left, above + min(bottom, grid[0]), min(right, grid[1]))
        regions.paint_runs(runs, labels + np.int32(first), there, factor)
    return painted


def make_pair(reader: Reader) -> Pair:
    """Return a frame of the images as they are compared, as dask arrays; planes of volumes one under the other."""
    facts, (rows, columns) = reader.facts, _cut(reader, 1)[-2:]
    height = facts.grid[0]
    tall = [(plane * height + top, plane * height + bottom) for plane in range(facts.planes) for top, bottom in rows]

    def read(box: Box) -> Pair:
        plane, top = divmod(box[0], height)
        return reader.at(plane).read((top, box[1], top + box[2] - box[0], box[3]))

    def plane(name: str, take: Callable[[Pair], NDArray[Any]], dtype: Any, channels: tuple[int, ...] = ()) -> Any:
        def make(frame: int, slab: Slab, box: Box) -> NDArray[Any]:
            return take(read(box))[None]

        return _assemble(name, (), [tall, columns], dtype, make, channels)

    before = plane("before", lambda pair: pair.before, facts.plane_dtype)
    after = plane("after", lambda pair: pair.after, facts.plane_dtype)
    colours: tuple[Any, ...] = ()
    if facts.colours:
        # With light undone they are floats
        dtype = np.result_type(facts.dtype, np.float32) if facts.light is not None else facts.dtype
        channels = (facts.colours,)
        colours = (
            plane("before", lambda pair: pair.colours[0], dtype, channels),
            plane("after", lambda pair: pair.colours[1], dtype, channels),
        )
    return Pair(before, after, facts.data_range, facts.center, facts.quantum, colours, facts.volume)
