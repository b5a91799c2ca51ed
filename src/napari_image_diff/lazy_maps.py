"""Maps of images that are read in parts, as dask arrays: what is asked of them is worked out from the images then."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import pyramids, regions, streaming, tiles
from .blocks import Reader
from .preparation import Pair
from .streaming import Ask
from .tiles import Box

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


class _Chunks:
    """Makes a chunk of an array, given where it lies; no dataclass, which dask would look into for arrays."""

    def __init__(self, leading: tuple[int, ...], spans: list[list[tuple[int, int]]], make: Callable[..., Any]) -> None:
        self.leading = leading
        self.spans = spans
        self.make = make

    def __call__(self, block_id: tuple[int, ...]) -> NDArray[Any]:
        count = len(self.leading)
        frame = int(np.ravel_multi_index(block_id[:count], self.leading)) if count else 0
        (top, bottom), (left, right) = (
            spans[k] for spans, k in zip(self.spans, block_id[count : count + 2], strict=True)
        )
        chunk: NDArray[Any] = self.make(frame, (top, left, bottom, right))
        return chunk[(None,) * count]


def _assemble(
    name: str,
    leading: tuple[int, ...],
    spans: list[list[tuple[int, int]]],
    dtype: Any,
    make: Callable[[int, Box], NDArray[Any]],
    channels: tuple[int, ...] = (),
) -> Any:
    """Return a dask array whose chunks are made by `make`, given frame and box."""
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


def _cut(reader: Reader, factor: int) -> list[list[tuple[int, int]]]:
    """Return rows and columns, in cells, of the chunks of a map."""
    if factor == 1:
        rows, columns, *_ = reader.sources[0].chunks[len(reader.frames[0]) + reader.solid[0] :]
        boxes = tiles.cut_boxes(reader.facts.grid, (rows, columns), CHUNK_PIXELS)
        return [sorted({box[axis::2] for box in boxes}) for axis in range(2)]  # type: ignore[misc]
    side = max(FEWEST_CELLS, int(CHUNK_PIXELS**0.5) * 2 // factor)
    cells = [-(-length // factor) for length in reader.facts.grid]
    return [[(start, min(start + side, length)) for start in range(0, length, side)] for length in cells]


def make_map(frames: Sequence[Frame], leading: tuple[int, ...], of_evidence: bool, factor: int = 1) -> Any:
    """Return the difference, or evidence, of all frames, (..., H, W) float32, the greatest in each cell.

    Planes of volumes are the last of the leading axes; a chunk is of one.
    """
    planes = frames[0].reader.facts.planes

    def make(number: int, cells: Box) -> NDArray[np.float32]:
        return _make_cells(frames[number // planes], number % planes, cells, of_evidence, factor)

    name = "evidence" if of_evidence else "difference"
    return _assemble(name, leading, _cut(frames[0].reader, factor), np.float32, make)


def _make_cells(frame: Frame, plane: int, cells: Box, of_evidence: bool, factor: int) -> NDArray[np.float32]:
    """Return some cells of a plane of a map."""
    reader, ask = frame[:2]
    grid = reader.facts.grid
    found = np.full((cells[2] - cells[0], cells[3] - cells[1]), np.nan, np.float32)
    overview, step = frame.evidence if of_evidence else frame.difference, ask.factor // factor
    rows, columns = (slice(cells[axis] // step, -(-cells[axis + 2] // step)) for axis in range(2))
    if frame.complete and not overview.reshape(-1, *overview.shape[-2:])[plane, rows, columns].any():
        # The greatest is 0
        found[:] = 0
        return found
    side = max(1, int(CHUNK_PIXELS**0.5) // factor)
    for row, column in itertools.product(range(cells[0], cells[2], side), range(cells[1], cells[3], side)):
        bottom, right = min(row + side, cells[2]), min(column + side, cells[3])
        tile = (row * factor, column * factor, min(bottom * factor, grid[0]), min(right * factor, grid[1]))
        part = _measure_tile(reader, plane, tile, ask, of_evidence)
        found[row - cells[0] : bottom - cells[0], column - cells[1] : right - cells[1]] = pyramids.pool(
            part, 0, 0, factor
        )
    return found


def _measure_tile(reader: Reader, plane: int, tile: Box, ask: Ask, of_evidence: bool) -> NDArray[np.float32]:
    """Return the difference or the evidence of a plane of a tile."""
    planes = reader.facts.planes
    if of_evidence and ask.limits is not None and reader.facts.volume is not None:
        # Each plane by itself
        reader, plane, planes, ask = reader.at(plane), 0, 1, ask._replace(window=ask.flat)
    wanted = ask if of_evidence else ask._replace(limits=None)
    box = streaming.grow(tile, streaming.rim_of(wanted), reader.facts.grid)
    slab = streaming.grow_slab((plane, plane + 1), ask.window, planes)
    block = reader.read(box, slab=slab)
    difference, evidence, _ = streaming.measure_block(block, reader.facts, box, tile, wanted, plane - slab[0])
    top, left, bottom, right = streaming.shift_box(tile, box)
    if of_evidence and ask.limits is None:
        part = difference[top:bottom, left:right]
        return np.where(np.isnan(part), np.nan, np.float32(0))
    return (evidence if of_evidence else difference)[top:bottom, left:right]


def make_labels(
    found: Sequence[tuple[regions.Regions, int]], reader: Reader, leading: tuple[int, ...], factor: int = 1
) -> Any:
    """Return the labels of all frames, (..., H, W) int32, the greatest in each cell; no image is read for them.

    `found` are the regions of each frame, and the number before that of the first.
    """
    facts = reader.facts

    def make(number: int, cells: Box) -> NDArray[np.int32]:
        of_frame, first = found[number // facts.planes]
        return paint(of_frame, first, number % facts.planes, cells, facts.grid, factor)

    return _assemble("labels", leading, _cut(reader, factor), np.int32, make)


def paint(
    of_frame: regions.Regions, first: int, plane: int, cells: Box, grid: tuple[int, int], factor: int
) -> NDArray[np.int32]:
    """Return some cells of the labels of a plane of a frame, whose numbers begin after `first`."""
    top, left, bottom, right = (side * factor for side in cells)
    above = plane * grid[0]
    runs, labels = regions.clip_runs(of_frame, above + top, left, above + min(bottom, grid[0]), min(right, grid[1]))
    painted = np.empty((cells[2] - cells[0], cells[3] - cells[1]), np.int32)
    regions.paint_runs(runs, labels + np.int32(first), painted, factor)
    return painted


def make_pair(reader: Reader) -> Pair:
    """Return a frame of the images as they are compared, as dask arrays; planes of volumes one under the other."""
    spans, facts = _cut(reader, 1), reader.facts
    height = facts.grid[0]
    spans[0] = [
        (plane * height + top, plane * height + bottom) for plane in range(facts.planes) for top, bottom in spans[0]
    ]

    def read(number: int, box: Box) -> Pair:
        plane = box[0] // height
        return reader.at(plane).read((box[0] - plane * height, box[1], box[2] - plane * height, box[3]))

    def plane(name: str, take: Callable[[Pair], NDArray[Any]], dtype: Any, channels: tuple[int, ...] = ()) -> Any:
        return _assemble(name, (), spans, dtype, lambda number, box: take(read(number, box)), channels)

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
