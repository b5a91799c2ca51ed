"""Two image files, and one that says what does not count in them, to a comparison."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .comparison import Comparison, compare
from .frames import name_axes
from .preparation import find_channels
from .reading import MOST_PIXELS, read_image, read_pair
from .regions import name_box
from .settings import Settings

__all__ = ["Files", "compare_files"]


class Files(NamedTuple):
    """What was read, and what came of it."""

    before: Any
    after: Any
    comparison: Comparison


def compare_files(
    images: Mapping[str, Path],
    settings: Settings,
    *,
    spacing: Sequence[float] | None = None,
    max_pixels: int = MOST_PIXELS,
    progress: Callable[[int, int], None] | None = None,
) -> Files:
    """Compare two image files.

    Parameters
    ----------
    images : mapping
        The files: "before", "after", and if part of them does not count "ignore", a mask or a table of boxes (CSV).
    settings, spacing, progress
        As for `comparison.compare`.
    max_pixels : int
        A file whose header tells of more pixels is refused before it is decoded.

    Raises
    ------
    OSError
        If a file cannot be read.
    TypeError, ValueError
        If the images cannot be compared, or no pixel of them.
    """
    before, after = read_pair(images["before"], images["after"], max_pixels)
    ignore = _read_ignored(images["ignore"], before, settings, max_pixels) if "ignore" in images else None
    comparison = compare(before, after, settings, ignore=ignore, spacing=spacing, progress=progress)
    if comparison.resolved["pixels_not_valid"] == comparison.difference.size:
        raise ValueError("nothing can be compared: no pixel, or too few round any, is a number in both images")
    return Files(before, after, comparison)


def _read_ignored(path: Path, before: Any, settings: Settings, max_pixels: int) -> NDArray[np.bool_]:
    """Return which pixels of `before` do not count: those not 0 in a mask, or those in the boxes of a table."""
    if path.suffix.lower() != ".csv":
        mask = read_image(path, max_pixels)
        # Of a picture in colour; that it is opaque says nothing
        return np.asarray(mask[..., :3].any(axis=-1) if mask.ndim == 3 and mask.shape[-1] in (3, 4) else mask != 0)
    shape = before.shape[:-1] if before.ndim > settings.spatial_ndim and before.shape[-1] == 1 else before.shape
    channels = find_channels(shape, "before", settings.channels, stacks=True, axes=settings.spatial_ndim)
    return _ignore_boxes(path, shape if channels == "gray" else shape[:-1], settings.spatial_ndim)


def _ignore_boxes(path: Path, shape: tuple[int, ...], axes: int) -> NDArray[np.bool_]:
    """Return which pixels lie in the boxes of a table; of a stack those of a frame, where the table tells which."""
    names = name_box(axes)
    leading = shape[:-axes]
    of_frames = name_axes(leading, ()) if leading else ()
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            rows = list(csv.DictReader(file, strict=True))
            if not (rows and all(name in rows[0] for name in of_frames)):
                leading, of_frames = (), ()
            numbers = [[int(float(row[name])) for name in (*of_frames, *names)] for row in rows]
            boxes = np.array(numbers, np.int64).reshape(len(rows), len(of_frames) + 2 * axes)
        except (csv.Error, KeyError, OverflowError, TypeError, ValueError) as error:
            raise ValueError(f"{path} has no boxes; give a CSV with the columns {', '.join(names)}") from error
    ignored = np.zeros(leading + shape[-axes:], np.bool_)
    for box in boxes.tolist():
        frame, ends = tuple(box[: len(of_frames)]), [max(end, 0) for end in box[len(of_frames) :]]
        if all(0 <= index < length for index, length in zip(frame, leading, strict=True)):
            ignored[frame + tuple(map(slice, ends[:axes], ends[axes:]))] = True
    return ignored
