"""Cutting an image into tiles and running them: on threads, with progress and a clean stop.

Images in memory are cut into bands of rows; those that are read in parts, into boxes along their chunks.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple, Protocol, TypeVar

from .sources import Part

__all__ = [
    "Box",
    "Progress",
    "Rows",
    "Step",
    "Work",
    "count_threads",
    "cut_boxes",
    "cut_rows",
    "map_parts",
    "map_tiles",
    "split_rows",
    "stepper",
    "uncounted",
]

Rows = tuple[int, int]
"""First and last row (exclusive) of a tile: a band as wide as the image."""

Progress = Callable[[int, int], None]
"""Called with what is done and what there is to do; what it raises ends the run."""

Box = tuple[int, int, int, int]
"""A tile as top, left, bottom, right, half-open."""


class Work(NamedTuple):
    """A tile of images that are read in parts: what is read for it, and what else its function is given."""

    parts: tuple[Part, ...]
    given: tuple[Any, ...]


class Step(Protocol):
    """Called on the calling thread after each tile; what it raises ends the run."""

    def __call__(self, tiles: int = 1) -> None:
        """Count `tiles` as done; 0 in a sweep that was not counted on."""


# Large enough that the rows read twice at the seams and the hand-over to a thread cost little,
# small enough that progress is smooth and that a stop comes soon: some 5 ms a tile.
TILE_PIXELS = 2**20

# The same for sweeps that only look at each pixel or write it.
LIGHT_TILE_PIXELS = 2**22

# A box that is read has about as many: its rim, of some 30 pixels, is read twice.
BOX_PIXELS = 2**22

Item = TypeVar("Item")
T = TypeVar("T")


def cut_rows(shape: Sequence[int], *, light: bool = False) -> list[Rows]:
    """Return the tiles of an image of `shape` (H, W), from top to bottom; fewer for a `light` sweep."""
    height, width = shape[0], shape[1]
    size = LIGHT_TILE_PIXELS if light else TILE_PIXELS
    # An image of few tiles is cut into as many equal ones as there are threads, unless that is not worth their start
    tiles = max(1, round(height * width / size), min(count_threads(), height * width // (size // 8)))
    rows = -(-height // tiles)
    return [(top, min(top + rows, height)) for top in range(0, height, rows)]


def cut_boxes(shape: tuple[int, int], chunks: tuple[Sequence[int], Sequence[int]], pixels: int) -> list[Box]:
    """Return the tiles of an image of `shape` that is read in parts, row of tiles by row, along its chunks.

    `chunks` are the lengths of the chunks of its rows and columns. A tile has whole chunks, so many that it is about
    square and has up to so many `pixels`; of chunks that are larger, one.
    """
    side = int(pixels**0.5)
    columns = _gather(chunks[1], shape[1], side)
    widest = max(right - left for left, right in columns)
    rows = _gather(chunks[0], shape[0], max(1, pixels // widest))
    return [(top, left, bottom, right) for top, bottom in rows for left, right in columns]


def _gather(chunks: Sequence[int], length: int, wanted: int) -> list[tuple[int, int]]:
    """Return the spans of neighbouring chunks, up to `wanted` pixels in each if a chunk has not more."""
    ends = [min(end, length) for end in itertools.accumulate(chunks)]
    spans: list[tuple[int, int]] = []
    start = 0
    for end, following in itertools.pairwise([*ends, length + wanted + 1]):
        if end > start and (following - start > wanted or end == length):
            spans.append((start, end))
            start = end
    return spans


def split_rows(rows: Rows, height: int) -> list[tuple[int, int, int]]:
    """Return the parts of a tile of a tall plane, which is of planes `height` rows high: plane, first and last row."""
    first, last = rows[0] // height, -(-rows[1] // height)
    return [
        (plane, max(rows[0] - plane * height, 0), min(rows[1] - plane * height, height)) for plane in range(first, last)
    ]


def count_threads() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_tiles(
    function: Callable[[Item], T], tiles: Sequence[Item], step: Step, take: Callable[[T], None] | None = None
) -> list[T]:
    """Return ``[function(tile) for tile in tiles]``, worked out on threads, the calling one among them.

    `step` is called on the calling thread after each tile. With `take` each result is handed to it there, as it
    comes, and nothing is returned. When `function` or `step` raises, tiles not yet begun are
    dropped, those under way are waited for, and the exception goes on: no thread is left behind.
    """
    waiting = deque(enumerate(tiles))
    finished: SimpleQueue[tuple[int, T] | BaseException] = SimpleQueue()

    def work() -> None:
        while (item := _take(waiting)) is not None:
            try:
                finished.put((item[0], function(item[1])))
            except BaseException as error:  # for the calling thread, which raises it
                finished.put(error)

    results: dict[int, T] = {}
    left = len(tiles)
    with ExitStack() as threads:
        # Leaving in the reverse order: first nothing more is begun, then the threads are waited for
        for _ in range(min(count_threads(), len(tiles)) - 1):
            helper = Thread(target=work, name="image-diff")
            helper.start()
            threads.callback(helper.join)
        threads.callback(waiting.clear)
        while left:
            if finished.empty() and (item := _take(waiting)) is not None:
                finished.put((item[0], function(item[1])))
            found = finished.get()
            if isinstance(found, BaseException):
                raise found
            left -= 1
            if take is not None:
                take(found[1])
            else:
                results[found[0]] = found[1]
            step()
    return [results[index] for index in sorted(results)]


def map_parts(
    function: Callable[..., T], work: Sequence[Work], step: Step, take: Callable[[T], None] | None = None
) -> list[T]:
    """Do what `map_tiles` does for tiles that are read first: ``function(arrays, *given)`` of each.

    Raises
    ------
    OSError
        If a part cannot be read; the message says which.
    """
    return map_tiles(lambda tile: function([part.read() for part in tile.parts], *tile.given), work, step, take)


def _take(waiting: deque[tuple[int, Item]]) -> tuple[int, Item] | None:
    """Return the next tile, None if there is none; another thread may take the last one first."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def stepper(progress: Callable[[int, int], None] | None, total: int) -> Step:
    """Return a `Step` that calls ``progress(done, total)`` with what is done so far."""
    done = 0

    def step(tiles: int = 1) -> None:
        nonlocal done
        done += tiles
        if progress is not None:
            progress(done, total)

    return step


def uncounted(step: Step) -> Step:
    """Return `step` for a sweep that was not counted on: it is called as often, but nothing is done by it."""
    return lambda tiles=1: step(0)
