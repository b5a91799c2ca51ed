"""A comparison on disk, as OME-Zarr 0.5: its maps in chunks and in coarser sizes, and its tables beside them.

A result is the folder of an OME-Zarr image, which programs that know the format open::

    result.zarr/
        zarr.json        the difference as an image, and what was asked and found out; written last
        0, 1, ...        its levels, each half as large as the one before
        evidence/        the evidence as an image, if it was measured
        labels/regions/  the labels, of the image above
        regions.csv, forgiven.csv

It is written under another name beside its own, which it gets when all is there.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import ome_zarr, pyramids, records, tiles
from .comparison import Comparison
from .folders import make_folder
from .sources import Part, Source, is_lazy, open_source
from .tiles import Box, Step

__all__ = ["is_complete", "write_zarr"]

# What is ours among the attributes of the folder. It is written last, so a folder that has it is complete.
MARK = "napari-image-diff"

# Where the maps are in the folder
PLACES = {"difference": ".", "evidence": "evidence", "regions": "labels/regions"}

# Sides of a chunk: some MB, which a viewer reads at once
CHUNK = 1024

# The coarsest level has sides of so many pixels, at most.
COARSEST = 512


class Level(NamedTuple):
    """A size in which a map is written."""

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: list[tuple[tuple[slice, ...], Box]]
    """Those of leading axes, and of rows and columns, that are written at once."""
    """What is written at a time: a plane, and a box in it that has whole chunks."""


def write_zarr(
    comparison: Comparison,
    path: str | os.PathLike[str],
    *,
    axes: Sequence[str] = (),
    scale: float | Sequence[float] | None = None,
    translate: Sequence[float] | None = None,
    units: Any = None,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a comparison as an OME-Zarr image (version 0.5): difference, evidence, labels and tables.

    The maps are written chunk by chunk, so those of images that are larger than memory, too.

    Parameters
    ----------
    comparison : Comparison
        The result to write.
    path : path-like
        The folder to make, such as "result.zarr".
    axes : sequence of str, optional
        Names of the leading axes, by default those of the comparison; "t", "c" and "z" say what an axis is.
    scale : float or sequence of float, optional
        Size of a pixel (of volumes: of a voxel) in `units`, one number, or one for each of the last axes, as in a
        layer's ``scale``; by default 1, and of volumes the `spacing` with which they were compared.
    translate : sequence of float, optional
        Where the middle of the first pixel lies, in `units`, for each of the last axes, as in a layer's ``translate``;
        0 by default.
    units : str, or sequence of str or of pint's units, optional
        "micrometer", say, or one for each of the last axes, as in a layer's ``units``; pixels by default.
    overwrite : bool
        Whether to replace a result that is at `path` already. It stays there until the new one is complete.
    progress : callable, optional
        Called as ``progress(done, total)`` on the calling thread after each part; an exception that it raises ends
        the run and goes on to the caller.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If something is at `path` already: without `overwrite`, or something else than a result of this function.
    ImportError
        If zarr is not installed.
    OSError
        If the folder cannot be written, for a full disk, say. At `path` there is what was there before.
    ValueError
        If OME-Zarr has no place for the axes or a unit; the message says what it takes.

    Notes
    -----
    A pixel of a coarser level has the greatest value of those that it stands for, so that a small change shows from
    afar. The attribute "napari-image-diff" of the folder has the settings and what was found out.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_image_diff import compare
    >>> black = np.zeros((64, 64), np.uint8)
    >>> write_zarr(compare(black, black), "same.zarr", scale=0.5, units="micrometer").name
    'same.zarr'
    """
    _require_zarr()
    place = Path(path).resolve()
    made = _make_axes(comparison, tuple(axes), scale, translate, units)
    maps = {"difference": comparison.difference, "evidence": comparison.evidence, "regions": comparison.labels}
    sources = [open_source(array, name) for name, array in maps.items() if array is not None]
    levels = _plan_levels(sources[0])
    step = tiles.stepper(progress, len(sources) * sum(len(level.blocks) for level in levels))
    _check_place(place, overwrite)
    with make_folder(place, replace=overwrite) as folder:
        for source in sources:
            _write_levels(folder / PLACES[source.name], source, levels, [axis.name for axis in made], step)
        for name, table in (("regions", comparison.region_columns), ("forgiven", comparison.forgiven_columns)):
            (folder / f"{name}.csv").write_bytes(records.to_csv(table))
        _write_attributes(folder, comparison, [source.name for source in sources], made, len(levels))
    return place


def is_complete(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder is a complete result of `write_zarr`.

    What is left of a process that was killed while it wrote is not; its name has ".incomplete" at the end.

    Examples
    --------
    >>> is_complete("missing.zarr")
    False
    """
    try:
        found = json.loads(Path(path, "zarr.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and MARK in found.get("attributes", ())


def _require_zarr() -> None:
    try:
        from zarr import create_group  # noqa: F401  zarr 2 has none
    except ImportError as error:
        raise ImportError('OME-Zarr needs zarr 3; pip install "napari-image-diff[zarr]"') from error


def _make_axes(
    comparison: Comparison, names: tuple[str, ...], scale: Any, translate: Any, units: Any
) -> list[ome_zarr.Axis]:
    spatial = comparison.settings.spatial_ndim
    lead = comparison.difference.ndim - spatial
    names = names or tuple(comparison.resolved.get("frames", ()))
    if len(names) != lead:
        last = " and ".join("zyx"[-spatial:])
        raise ValueError(f"axes is {names}; give a name for each axis before {last}, of which there are {lead}")
    spacing = comparison.resolved.get("spacing")
    return ome_zarr.make_axes(names, spatial, spacing if scale is None else scale, translate, units)


# --- the folder ---


def _check_place(place: Path, overwrite: bool) -> None:
    """Raise FileExistsError where something is that must stay."""
    if place.exists() and not overwrite:
        raise FileExistsError(f"{place} is there already; give another name, or overwrite=True")
    if place.exists() and not is_complete(place):
        raise FileExistsError(f"{place} is no result of write_zarr, so it is not overwritten; give another name")


def _write_attributes(
    folder: Path, comparison: Comparison, names: Sequence[str], axes: list[ome_zarr.Axis], levels: int
) -> None:
    """Write what makes the arrays images, and the folder a result."""
    import zarr

    described = {name: ome_zarr.describe_image(name, comparison.difference.shape, axes, levels) for name in names}
    of_all, of_each = ome_zarr.describe_labels(["regions"])
    described["regions"]["ome"] |= of_each
    described["difference"][MARK] = records.make_record(comparison)
    zarr.create_group(store=folder / "labels", attributes=of_all)
    for name in reversed(names):
        zarr.create_group(store=folder / PLACES[name], attributes=described[name])


# --- the maps ---


def _plan_levels(source: Source) -> list[Level]:
    """Return the sizes in which a map is written."""
    *leading, rows, columns = source.shape
    sides, singly = [CHUNK, CHUNK], [(1,) * length for length in leading]
    planes = list(itertools.product(*map(_slice, singly)))
    if is_lazy(source.array):
        # Along the chunks in which it is worked out, so that none is worked out twice
        sides = [max(lengths) for lengths in source.chunks[-2:]]
        planes = list(itertools.product(*map(_slice, source.chunks[:-2])))
    levels = []
    while True:
        spans = [
            [(start, min(start + side, length)) for start in range(0, length, side)]
            for side, length in zip(sides, (rows, columns), strict=True)
        ]
        boxes = [(top, left, bottom, right) for (top, bottom), (left, right) in itertools.product(*spans)]
        chunks = [min(_divide(side), length) for side, length in zip(sides, (rows, columns), strict=True)]
        blocks = list(itertools.product(planes, boxes))
        levels.append(Level((*leading, rows, columns), (*(1 for _ in leading), *chunks), blocks))
        if max(rows, columns) <= COARSEST:
            return levels
        rows, columns, sides = -(-rows // 2), -(-columns // 2), [CHUNK, CHUNK]
        planes = list(itertools.product(*map(_slice, singly)))


def _slice(chunks: tuple[int, ...]) -> list[slice]:
    """Return the chunks along an axis."""
    return [slice(stop - length, stop) for length, stop in zip(chunks, itertools.accumulate(chunks), strict=True)]


def _divide(side: int) -> int:
    """Return a side of chunks, of which a block of that side has whole ones."""
    while side > CHUNK and side % 2 == 0:
        side //= 2
    return side


def _write_levels(folder: Path, source: Source, levels: list[Level], names: Sequence[str], step: Step) -> None:
    """Write a map in all its sizes, each made of the one before."""
    import zarr

    for number, level in enumerate(levels):
        array = zarr.create_array(
            store=folder / str(number),
            shape=level.shape,
            chunks=level.chunks,
            dtype=source.dtype,
            fill_value=0,
            dimension_names=names,
        )
        write = functools.partial(_write_block, source, array, 2 if number else 1)
        tiles.map_tiles(write, level.blocks, step)
        source = open_source(array, source.name)


def _write_block(finer: Source, array: Any, factor: int, block: tuple[tuple[int, ...], Box]) -> None:
    """Write a block of a level, each pixel of which stands for `factor` by `factor` pixels of the finer one."""
    planes, (top, left, bottom, right) = block
    height, width = finer.shape[-2:]
    rows = slice(top * factor, min(bottom * factor, height))
    columns = slice(left * factor, min(right * factor, width))
    part = Part(finer, (*planes, rows, columns)).read()
    cells = np.empty((*part.shape[:-2], bottom - top, right - left), part.dtype)
    for plane in np.ndindex(part.shape[:-2]):
        cells[plane] = pyramids.pool(part[plane], 0, 0, factor)
    array[(*planes, slice(top, bottom), slice(left, right))] = cells
