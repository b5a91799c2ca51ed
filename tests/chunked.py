"""Arrays in chunks that are no more than they have to be, and ways to cut an image into chunks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Chunks = tuple[tuple[int, ...], ...]

AXES = ("rows", "columns")


class Chunked:
    """An array that can be sliced and says its chunks, and notes what is read of it; `look` is called before."""

    def __init__(self, array: Any, chunks: Chunks, look: Callable[[Any], None] | None = None) -> None:
        self._array = array
        self._look = look
        self.chunks = chunks
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self.reads: list[Any] = []

    def __getitem__(self, place: Any) -> NDArray[Any]:
        self.reads.append(place)
        if self._look is not None:
            self._look(place)
        return np.asarray(self._array[place])

    def __array__(self, *_: Any, **__: Any) -> NDArray[Any]:
        raise AssertionError("read whole")


def in_chunks(array: NDArray[Any], *sides: int) -> Chunked:
    """Return an array in chunks of these sides; further axes are whole."""
    lengths = (*sides, *array.shape[len(sides) :])
    return Chunked(array, tuple(even(*each) for each in zip(array.shape, lengths, strict=True)))


def even(length: int, chunk: int) -> tuple[int, ...]:
    """Return an axis in equal chunks; the last has what is left."""
    return tuple(min(chunk, length - first) for first in range(0, length, chunk))


def cut_axis(rng: np.random.Generator, length: int, most: int) -> tuple[int, ...]:
    """Return an axis in some chunks, `most` or fewer: whole, even, ragged, or with single pixels at its ends."""
    ways: Sequence[Callable[[], tuple[int, ...]]] = (
        lambda: (length,),
        lambda: even(length, int(rng.integers(-(-length // most), length + 1))),
        lambda: _cut_at(length, rng.choice(np.arange(1, length), min(length - 1, most - 1), replace=False)),
        lambda: _cut_at(length, [1, length - 1]) if length > 2 and most > 2 else (length,),
        lambda: _cut_at(length, range(1, min(length, most))),
    )
    return ways[rng.integers(len(ways))]()


def _cut_at(length: int, places: Any) -> tuple[int, ...]:
    return tuple(int(stop - start) for start, stop in itertools.pairwise([0, *sorted(places), length]))
