"""Cutting an image into tiles and running them: on threads, with progress and a clean stop.

Images in memory are cut into bands of rows; those that are read in parts, into boxes along their chunks.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from queue import Empty, SimpleQueue
from threading import Event, Thread, local
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from .sources import Kept, Part, tidy

__all__ = [
    "Box",
    "Progress",
    "Rows",
    "Slab",
    "Step",
    "Stopped",
    "Tiling",
    "Work",
    "breathe",
    "breathing",
    "count_threads",
    "cut_boxes",
    "cut_rows",
    "cut_slabs",
    "map_parts",
    "map_tiles",
    "on_one_thread",
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

Slab = tuple[int, int]
"""First and last plane (exclusive) of a tile of a volume; (0, 1) of an image."""


class Tiling(NamedTuple):
    """The tiles of images that are read in parts: each slab of planes has all boxes."""

    boxes: list[Box]
    """Row of boxes by row."""
    slabs: list[Slab]

    @property
    def total(self) -> int:
        """Number of tiles."""
        return len(self.boxes) * len(self.slabs)

    def in_strips(self) -> list[tuple[Slab, Box]]:
        """Return the tiles in the order in which they are best worked on."""
        lefts = {left: number // STRIP for number, left in enumerate(sorted({box[1] for box in self.boxes}))}
        boxes = sorted(self.boxes, key=lambda box: (lefts[box[1]], box[0], box[1]))
        return [(slab, box) for box in boxes for slab in self.slabs]


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

# A box that is read has about as many pixels, and a rim of some 30. Chunks that the rim touches are read for the next
# box, too: boxes are worked on in strips so many boxes wide, so that few chunks have to be kept.
BOX_PIXELS = 2**22
STRIP = 6

# Of a volume it has so many planes, as the window has several, which are read, too; fewer if they are so large that
# the box would have more voxels than the second number.
SLAB_PLANES = 16
SLAB_VOXELS = 2**25

# Tasks that a cluster is given for each of its threads, so that none waits, and for how many seconds one is waited for
# before it is asked whether to go on.
IN_FLIGHT = 3
POLL = 0.2

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


def cut_slabs(planes: int, chunks: Sequence[int], boxes: Sequence[Box]) -> list[Slab]:
    """Return the spans of planes of the tiles of a volume, of which `boxes` are rows and columns.

    `chunks` are the lengths of the chunks along its planes.
    """
    largest = max((box[2] - box[0]) * (box[3] - box[1]) for box in boxes)
    return _gather(chunks, planes, max(1, min(SLAB_PLANES, SLAB_VOXELS // largest)))


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


_thread = local()


@contextmanager
def _holding(name: str, value: Any) -> Iterator[None]:
    """Let this thread have a value meanwhile."""
    before = getattr(_thread, name, None)
    setattr(_thread, name, value)
    try:
        yield
    finally:
        setattr(_thread, name, before)


def on_one_thread() -> AbstractContextManager[None]:
    """Let what is begun on this thread meanwhile use no other: for callers who work on several things at once."""
    return _holding("alone", True)


def count_threads() -> int:
    """Return the number of processors that this process may use, as far as this thread may start others."""
    if getattr(_thread, "alone", False):
        return 1
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
    stopped = Event()

    def ask_whether_stopped() -> None:
        if stopped.is_set():
            raise Stopped

    def work() -> None:
        _thread.breath = ask_whether_stopped
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
        threads.callback(stopped.set)
        threads.callback(waiting.clear)
        threads.enter_context(breathing(lambda: step(0)))
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


class Stopped(Exception):
    """Raised by `breathe` where a run has ended with an exception elsewhere."""


def breathing(take: Callable[[], None]) -> AbstractContextManager[None]:
    """Let `breathe` on this thread call `take`."""
    return _holding("breath", take)


def breathe() -> None:
    """Go on, unless the run is to end: to be called from time to time by a function that takes long over a tile."""
    take = getattr(_thread, "breath", None)
    if take is not None:
        take()


def map_parts(
    function: Callable[..., T], work: Sequence[Work], step: Step, take: Callable[[T], None] | None = None
) -> list[T]:
    """Do what `map_tiles` does for tiles that are read first: ``function(arrays, *given)`` of each.

    On a `dask.distributed` cluster, where a Client is active; each tile is one task.

    Raises
    ------
    OSError
        If a part cannot be read; the message says which.
    """
    client = _find_client()
    if client is not None:
        return _map_on(client, function, work, step, take)
    kept = Kept()

    def read_and_work(tile: Work) -> T:
        arrays = []
        for part in tile.parts:
            breathe()
            arrays.append(part.read(kept))
        return function(arrays, *tile.given)

    return map_tiles(read_and_work, work, step, take)


def _find_client() -> Any:
    """Return the active `dask.distributed` Client, None if there is none."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.default_client()
    except ValueError:
        return None


def _map_on(
    client: Any, function: Callable[..., T], work: Sequence[Work], step: Step, take: Callable[[T], None] | None
) -> list[T]:
    """Do what `map_parts` does on a cluster, with a few tasks for each of its threads at a time."""
    waiting = deque(enumerate(work))
    finished: SimpleQueue[Any] = SimpleQueue()
    under_way: dict[Any, int] = {}
    results: dict[int, T] = {}
    room = IN_FLIGHT * max(1, sum(client.nthreads().values()))
    left = len(work)
    try:
        while left:
            while waiting and len(under_way) < room:
                number, tile = waiting.popleft()
                future = client.compute(_make_task(function, tile))
                under_way[future] = number
                future.add_done_callback(finished.put)
            try:
                future = finished.get(timeout=POLL)
            except Empty:
                # Nothing is done yet, but somebody may want to stop
                step(0)
                continue
            number = under_way.pop(future)
            found = _result_of(future, work[number])
            left -= 1
            if take is not None:
                take(found)
            else:
                results[number] = found
            step()
    finally:
        client.cancel(list(under_way))
    return [results[number] for number in sorted(results)]


def _make_task(function: Callable[..., T], tile: Work) -> Any:
    """Return a tile as one task for a cluster. What is stored is read there, and what is in memory here is sent."""
    import dask

    shipped: list[Any] = []
    for part in tile.parts:
        array = part.source.array
        if isinstance(array, np.ndarray):
            shipped.append(part.read())
        else:
            shipped.append(array[part.place] if hasattr(array, "dask") else part)
    # A partial, because dask would look for arrays in what is given
    run = functools.partial(_run, function, tile.given, [part.wanted for part in tile.parts])
    return dask.delayed(run, pure=False)(shipped)  # type: ignore[attr-defined]


def _run(function: Callable[..., T], given: tuple[Any, ...], wanted: list[Any], shipped: list[Any]) -> T:
    """Work on a tile where it was shipped to."""
    arrays = [
        part.read() if isinstance(part, Part) else tidy(part, *each) for part, each in zip(shipped, wanted, strict=True)
    ]
    return function(arrays, *given)


def _result_of(future: Any, tile: Work) -> Any:
    """Return what a task returned."""
    try:
        return future.result()
    except OSError:
        raise
    except Exception as error:
        where = "; ".join(part.describe() for part in tile.parts[:2])
        raise OSError(f"{where} failed on the cluster: {type(error).__name__}: {error}") from error


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
