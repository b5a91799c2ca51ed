"""Arrays that are not in memory: knowing them, and reading a part of one.

Any array that is stored or worked out in chunks is one: dask, zarr, h5py, xarray around them. Nothing here imports dask
before such an array arrives.
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from threading import Event, Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Kept", "Part", "Source", "as_dask", "is_lazy", "open_source", "tidy"]


# Chunks that are kept during a sweep have so many bytes in all; of larger ones than such a share of it none is kept.
KEPT_BYTES = 3 * 2**26
FEWEST_KEPT = 8

# Chunks of fewer pixels along a side are read several at a time: each reading takes some milliseconds.
UNIT = 1024


class Source(NamedTuple):
    """An array that is read in parts."""

    array: Any
    """dask, zarr or the like: has ``shape``, ``dtype``, and parts of it by slices."""
    name: str
    """What to call it in errors."""
    chunks: tuple[tuple[int, ...], ...]
    """For each axis, the length of each of its chunks; of an array in memory it is all one."""
    solid: bool = False
    """Whether the axis before the rows is that of the planes of a volume."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers, in native byte order."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype).newbyteorder("=")
        return dtype


class Part(NamedTuple):
    """A part of a source, not yet read."""

    source: Source
    place: tuple[int | slice, ...]
    """For each axis up to the columns a number or a slice with a begin and an end; colour is taken whole."""

    @property
    def wanted(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and type of what is read."""
        whole = (slice(0, length) for length in self.source.shape[len(self.place) :])
        shape = tuple(each.stop - each.start for each in (*self.place, *whole) if isinstance(each, slice))
        return shape, self.source.dtype

    def read(self, kept: Kept | None = None) -> NDArray[Any]:
        """Return the part, C-contiguous and in native byte order; with the help of chunks that are `kept`.

        Raises
        ------
        OSError
            If it cannot be read, or the zarr array that it was read from is gone: which part of what, and why.
        """
        try:
            if kept is not None and self._has_room(kept):
                return self._gather(kept)
            return self.fetch()
        except (Exception, SystemExit) as error:  # whatever storage or a task of the user's may raise
            raise OSError(f"{self.describe()} could not be read: {type(error).__name__}: {error}") from error

    def fetch(self) -> NDArray[Any]:
        """Do what `read` does, with whatever error comes of it."""
        part = self.source.array[self.place]
        stores = _find_stores(self.source.array if not hasattr(part, "dask") else part)
        if hasattr(part, "compute"):
            from dask.local import get_sync

            # The caller has threads of its own; on a cluster this runs within a task. By its name dask would warn of it
            part = part.compute(scheduler=get_sync)
        array = tidy(part, *self.wanted)
        for stored in stores:
            _open_again(stored)
        return array

    def _has_room(self, kept: Kept) -> bool:
        """Return whether the source has chunks, and they are small enough to be kept."""
        largest = math.prod(max(lengths, default=0) for lengths in self._list_units())
        return is_lazy(self.source.array) and largest * self.source.dtype.itemsize <= kept.room / FEWEST_KEPT

    def _list_units(self) -> list[tuple[int, ...]]:
        """Return the lengths of what is read at once: chunks, small ones of rows and columns together."""
        rows, chunks = len(self.place) - 2, self.source.chunks
        # Chunks of several frames or planes are as large with fewer rows and columns
        side = UNIT / math.prod(max(lengths, default=0) for lengths in chunks[:rows]) ** 0.5
        return [lengths if axis < rows else _put_together(lengths, side) for axis, lengths in enumerate(chunks)]

    def _gather(self, kept: Kept) -> NDArray[Any]:
        """Return the part put together from whole chunks."""
        shape = self.source.shape
        spans = [place if isinstance(place, slice) else slice(place, place + 1) for place in self.place]
        spans += [slice(0, length) for length in shape[len(spans) :]]
        whole = np.empty([span.stop - span.start for span in spans], self.source.dtype)
        along = [_find_chunks(units, span) for units, span in zip(self._list_units(), spans, strict=True)]
        for chunk in itertools.product(*along):
            starts = [max(span.start, start) for span, (start, _) in zip(spans, chunk, strict=True)]
            stops = [min(span.stop, stop) for span, (_, stop) in zip(spans, chunk, strict=True)]
            there = tuple(slice(a - c[0], b - c[0]) for a, b, c in zip(starts, stops, chunk, strict=True))
            here = tuple(slice(a - s.start, b - s.start) for a, b, s in zip(starts, stops, spans, strict=True))
            whole[here] = kept.take(Part(self.source, tuple(slice(*ends) for ends in chunk)))[there]
        return whole.reshape([span.stop - span.start for span in spans[self._count_numbers() :]])

    def _count_numbers(self) -> int:
        return sum(not isinstance(place, slice) for place in self.place)

    def describe(self) -> str:
        """Say which part of what it is."""
        numbers = self._count_numbers()
        frames = numbers - (self.source.solid and len(self.place) - numbers == 2)
        words = [f"frame {', '.join(map(str, self.place[:frames]))}"] if frames else []
        words += [f"plane {plane}" for plane in self.place[frames:numbers]]
        spans = [span for span in self.place[numbers:] if isinstance(span, slice)]
        names = ("planes", "rows", "columns")[-len(spans) :]
        words += [f"{name} {span.start} to {span.stop}" for name, span in zip(names, spans, strict=True)]
        return ", ".join([self.source.name, *words, ""]).rstrip()


def _open_again(stored: Any) -> None:
    """Raise an error if a zarr array is no longer there."""
    import zarr

    zarr.open_array(stored.store_path, mode="r", zarr_format=stored.metadata.zarr_format)


def _find_stores(array: Any) -> list[Any]:
    """Return the zarr arrays that an array is made of: of one that is gone zarr would read its fill value."""
    if not hasattr(array, "dask"):
        return [array] if hasattr(array, "store_path") else []
    graph = array.dask.cull(array.__dask_keys__())
    # An array that is read from has a layer of its own
    alone = [next(iter(layer.values())) for layer in graph.layers.values() if len(layer) == 1]
    held = [getattr(each, "value", each) for each in alone]
    return [each for each in held if hasattr(each, "store_path")]


class Kept:
    """Chunks that were read lately, for as long as a sweep lasts: a tile needs of its neighbours' only the rim."""

    def __init__(self, room: int | None = None) -> None:
        self.room = KEPT_BYTES if room is None else room
        self._arrays: OrderedDict[Any, NDArray[Any]] = OrderedDict()
        self._bytes = 0
        self._under_way: dict[Any, Event] = {}
        self._lock = Lock()

    def take(self, chunk: Part) -> NDArray[Any]:
        """Return a chunk, read if it is not here. Two threads that need it read it once."""
        spans = (span for span in chunk.place if isinstance(span, slice))
        key = (id(chunk.source.array), tuple((span.start, span.stop) for span in spans))
        while True:
            with self._lock:
                if key in self._arrays:
                    self._arrays.move_to_end(key)
                    return self._arrays[key]
                waited_for = self._under_way.get(key)
                if waited_for is None:
                    self._under_way[key] = Event()
                    break
            waited_for.wait()
        try:
            array = chunk.fetch()
            self._keep(key, array)
        finally:
            with self._lock:
                self._under_way.pop(key).set()
        return array

    def _keep(self, key: Any, array: NDArray[Any]) -> None:
        with self._lock:
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self.room:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes


def _put_together(chunks: tuple[int, ...], side: float) -> tuple[int, ...]:
    """Return the lengths of neighbouring chunks together, so that each is `side` at least, but for the last."""
    found = [0]
    for length in chunks:
        if found[-1] >= side:
            found.append(0)
        found[-1] += length
    return tuple(found)


def _find_chunks(chunks: tuple[int, ...], span: slice) -> list[tuple[int, int]]:
    """Return begin and end of the chunks of an axis that a span touches."""
    ends = np.cumsum(chunks)
    first, last = np.searchsorted(ends, span.start, "right"), np.searchsorted(ends, span.stop, "left")
    return [(int(ends[k] - chunks[k]), int(ends[k])) for k in range(first, min(last + 1, len(chunks)))]


def tidy(part: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what was read as the kernels take it: C-contiguous and in native byte order.

    Raises
    ------
    TypeError
        If it is not of this shape and type: what dask is told of a chunk, and what the chunk's function then makes,
        need not be the same. Or if some of it is masked.
    """
    if np.ma.is_masked(part):
        raise TypeError("it has masked values; give dask.array.ma.filled(array, numpy.nan)")
    array = np.asarray(part)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if (array.shape, array.dtype) != (shape, dtype):
        raise TypeError(f"{array.dtype} of shape {array.shape} came, not {dtype} of shape {shape}")
    return array


def is_lazy(array: Any) -> bool:
    """Return whether an array is stored or worked out in chunks, so that it should not be loaded whole."""
    try:
        return not isinstance(array, np.ndarray) and getattr(array, "chunks", None) is not None
    except Exception:  # that of a closed file; `open_source` says so
        return True


def open_source(array: Any, name: str) -> Source:
    """Return an array, lazy or in memory, as a source.

    Raises
    ------
    OSError
        If it can no longer be read.
    TypeError
        If it is no array.
    ValueError
        If its shape is not known.
    """
    if not is_lazy(array):
        array = np.asarray(array)
        return Source(array, name, tuple((length,) for length in array.shape))
    try:
        known = isinstance(getattr(array, "shape", None), tuple) and hasattr(array, "dtype")
    except Exception as error:  # whatever storage may raise
        raise OSError(f"{name} cannot be read ({error}); is its file closed? Open it again") from error
    if not known:
        raise TypeError(
            f"{name} is a {type(array).__name__}; give an array: of a Dataset one of its variables, of a Delayed "
            "dask.array.from_delayed"
        )
    if not hasattr(array, "dask"):  # xarray around dask or zarr
        inner = getattr(array, "data", None)
        array = inner if is_lazy(inner) else array
    if isinstance(getattr(array, "_meta", None), np.ma.MaskedArray):
        import dask.array as da

        kind = np.result_type(array.dtype, np.float32)
        array = da.ma.filled(array.astype(kind), np.nan)
    if any(math.isnan(length) for length in array.shape):
        raise ValueError(
            f"{name} has chunks whose size is not known, its shape is {tuple(array.shape)}; "
            f"call {name}.compute_chunk_sizes() first"
        )
    return Source(array, name, tuple(_list_chunks(*each) for each in zip(array.shape, array.chunks, strict=True)))


def as_dask(array: Any) -> Any:
    """Return a lazy array as a dask array."""
    import dask.array as da

    return array if hasattr(array, "dask") else da.from_array(array, name=False)  # type: ignore[no-untyped-call]


def _list_chunks(length: int, chunks: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of the chunks of an axis, of which an array of equal ones tells only the first."""
    if isinstance(chunks, int):
        return tuple(min(chunks, length - first) for first in range(0, length, chunks))
    return tuple(chunks)
