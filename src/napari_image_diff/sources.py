"""Arrays that are not in memory: knowing them, and reading a part of one.

Any array that is stored or worked out in chunks is one: dask, zarr, h5py, xarray around them. Nothing here imports dask
before such an array arrives.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Part", "Source", "is_lazy", "open_source"]


class Source(NamedTuple):
    """An array that is read in parts."""

    array: Any
    """dask, zarr or the like: has ``shape``, ``dtype``, and parts of it by slices."""
    name: str
    """What to call it in errors."""
    chunks: tuple[tuple[int, ...], ...]
    """For each axis, the length of each of its chunks; of an array in memory it is all one."""

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
    """For each axis a number or a slice with a begin and an end; an axis of which nothing is said is taken whole."""

    def read(self) -> NDArray[Any]:
        """Return the part, C-contiguous and in native byte order.

        Raises
        ------
        OSError
            If it cannot be read, or the zarr array that it was read from is gone: which part of what, and why.
        """
        try:
            part = self.source.array[self.place]
            stores = _find_stores(self.source.array if not hasattr(part, "dask") else part)
            if hasattr(part, "compute"):
                # The caller has threads of its own; on a cluster this runs within a task
                part = part.compute(scheduler="synchronous")
            array = np.asarray(part)
            for stored in stores:
                stored.open(stored.store_path)
        except Exception as error:  # whatever storage or a task of the user's may raise
            raise OSError(f"{self.describe()} could not be read: {type(error).__name__}: {error}") from error
        return np.ascontiguousarray(array, array.dtype.newbyteorder("="))

    def describe(self) -> str:
        """Say which part of what it is."""
        *leading, rows, columns = self.place[: _axes_of_planes(self.place)]
        frame = f"frame {', '.join(map(str, leading))}, " if leading else ""
        return f"{self.source.name}, {frame}{_say_span('rows', rows)}, {_say_span('columns', columns)},"


def _find_stores(array: Any) -> list[Any]:
    """Return the zarr arrays that an array is made of: of one that is gone zarr would read its fill value."""
    if not hasattr(array, "dask"):
        return [array] if hasattr(array, "store_path") else []
    graph = array.dask.cull(array.__dask_keys__())
    # An array that is read from has a layer of its own
    alone = [next(iter(layer.values())) for layer in graph.layers.values() if len(layer) == 1]
    held = [getattr(each, "value", each) for each in alone]
    return [each for each in held if hasattr(each, "store_path")]


def _axes_of_planes(place: tuple[int | slice, ...]) -> int:
    """Return the number of axes up to the columns: leading numbers, and then two slices."""
    return next(axis for axis, each in enumerate(place) if isinstance(each, slice)) + 2


def _say_span(name: str, place: int | slice) -> str:
    return f"{name} {place.start} to {place.stop}" if isinstance(place, slice) else f"{name} {place}"


def is_lazy(array: Any) -> bool:
    """Return whether an array is stored or worked out in chunks, so that it should not be loaded whole."""
    return not isinstance(array, np.ndarray) and getattr(array, "chunks", None) is not None


def open_source(array: Any, name: str) -> Source:
    """Return an array, lazy or in memory, as a source.

    Raises
    ------
    ValueError
        If its shape is not known.
    """
    if not is_lazy(array):
        array = np.asarray(array)
        return Source(array, name, tuple((length,) for length in array.shape))
    if not hasattr(array, "dask"):  # xarray around dask or zarr
        inner = getattr(array, "data", None)
        array = inner if is_lazy(inner) else array
    if any(math.isnan(length) for length in array.shape):
        raise ValueError(
            f"{name} has chunks whose size is not known, its shape is {tuple(array.shape)}; "
            f"call {name}.compute_chunk_sizes() first"
        )
    return Source(array, name, tuple(_list_chunks(*each) for each in zip(array.shape, array.chunks, strict=True)))


def _list_chunks(length: int, chunks: int | tuple[int, ...]) -> tuple[int, ...]:
    """Return the lengths of the chunks of an axis, of which an array of equal ones tells only the first."""
    if isinstance(chunks, int):
        return tuple(min(chunks, length - first) for first in range(0, length, chunks))
    return tuple(chunks)
