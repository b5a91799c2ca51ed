"""Stacks: leading axes are frames, and each frame is a pair of its own.

The frames of an image are laid out one under the other, as one tall plane. So what holds for the whole stack (types,
data range) is found by the sweeps that find it for a pair, and a frame is a band of rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tables, world
from .planes import COUNTING, axes_of, sides_of
from .preparation import Pair, Plane
from .settings import Settings
from .tables import Columns

__all__ = [
    "NOTHING_LEFT",
    "TAKEN",
    "Shelf",
    "Stack",
    "check_mask",
    "count_on",
    "fill_up",
    "join_notes",
    "join_tables",
    "make_stack",
    "match_frames",
    "name_axes",
    "read_valid",
]

# What the columns of the tables of regions are called; "index" is that of the features of Labels.
TAKEN = {
    "index",
    "label",
    "min_plane",
    "min_row",
    "min_col",
    "max_plane",
    "max_row",
    "max_col",
    "area",
    "contour_area",
    "centroid_plane",
    "centroid_row",
    "centroid_col",
    "difference_mean",
    "difference_max",
    "evidence_mean",
    "evidence_max",
    "before_mean",
    "after_mean",
    "kind",
    "reason",
    "moved_rows",
    "moved_cols",
    "partner",
    "verdict",
    "note",
    *world.COLUMNS,
}

NOTHING_LEFT = "inside and ignore leave no pixel to compare; leave some pixels of before to count"

# What was resolved once, for all frames.
SHARED = (
    "data_range",
    "channels",
    "sizes",
    "window",
    "spacing",
    "versions",
    "threshold_rule",
    "frames_not_shared",
    "overlay",
    "world",
)


@dataclasses.dataclass(frozen=True)
class Stack:
    """Two images, frame under frame."""

    planes: tuple[Plane, Plane]
    """Tall: (frames x H, W) or (frames x H, W, 3 or 4). An image without leading axes has one frame, for all."""
    leading: tuple[int, ...]
    """Shape of the leading axes, () for a pair of single planes."""
    lone: tuple[bool, bool]
    """Which of the two has one frame that is compared with every frame of the other."""
    sides: tuple[tuple[int, int], tuple[int, int]]
    """Rows and columns of a frame of either image as it was given."""
    not_shared: int
    """Number of frames that only one of the two has, which are not compared."""

    @property
    def count(self) -> int:
        """Number of frames."""
        return math.prod(self.leading)

    def pick(self, arrays: tuple[NDArray[Any], ...], frame: int) -> tuple[NDArray[Any], ...]:
        """Return the bands of two tall arrays that hold a frame."""
        found = []
        for array, lone in zip(arrays, self.lone, strict=False):
            height = len(array) // (1 if lone else self.count)
            top = 0 if lone else frame * height
            found.append(array[top : top + height])
        return tuple(found)

    def pick_planes(self, frame: int) -> tuple[Plane, Plane]:
        """Return a frame of both images as they were given."""
        data = self.pick(tuple(plane.data for plane in self.planes), frame)
        one, other = (Plane(each, plane.channels) for each, plane in zip(data, self.planes, strict=True))
        return one, other

    def pick_pair(self, pair: Pair, frame: int) -> Pair:
        """Return a frame of the tall pair."""
        before, after = self.pick((pair.before, pair.after), frame)
        return pair._replace(before=before, after=after, colours=self.pick(pair.colours, frame))


def make_stack(images: tuple[Plane, Plane], settings: Settings) -> Stack:
    """Return two images, with or without leading axes, as a stack.

    Raises
    ------
    ValueError
        If their leading axes do not fit together.
    """
    leading, lone, not_shared = match_frames(images, settings)
    sides = [sides_of(plane) for plane in images]
    shared = (min(side[0] for side in sides), min(side[1] for side in sides))
    tall = []
    for plane, alone in zip(images, lone, strict=True):
        part = () if alone else tuple(slice(length) for length in leading)
        if settings.size == "overlap":
            part = (*part, slice(shared[0]), slice(shared[1]))
        data = plane.data[part]
        tall.append(Plane(data.reshape(-1, *data.shape[data.ndim - axes_of(plane) + 1 :]), plane.channels))
    return Stack((tall[0], tall[1]), leading, lone, (sides[0], sides[1]), not_shared)


def match_frames(images: tuple[Plane, Plane], settings: Settings) -> tuple[tuple[int, ...], tuple[bool, bool], int]:
    """Return the leading axes, which image has one frame for all, and how many frames only one has (see `Stack`).

    Raises
    ------
    ValueError
        If the leading axes do not fit together.
    """
    shapes = [plane.data.shape[: len(plane.data.shape) - axes_of(plane)] for plane in images]
    lone = (not shapes[0] and bool(shapes[1]), not shapes[1] and bool(shapes[0]))
    leading = max(shapes, key=len)
    if not any(lone) and shapes[0] != shapes[1]:
        if settings.size != "overlap" or len(shapes[0]) != len(shapes[1]):
            raise ValueError(_explain_lengths(*shapes))
        leading = tuple(min(both) for both in zip(*shapes, strict=True))
    frames = [math.prod(shape) for shape in shapes]
    return leading, lone, 0 if any(lone) else sum(frames) - 2 * math.prod(leading)


def _explain_lengths(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    before, after = (" x ".join(map(str, shape)) for shape in (one, other))
    ways = "or one plane, to compare it with every frame of the other"
    if len(one) != len(other):
        return f"before has leading axes of {before} frames and after of {after}; give both the same axes, {ways}"
    return (
        f"before has {before} frames and after has {after}; give as many of both, or size='overlap' to compare those "
        f"that both have, {ways}"
    )


def fill_up(stack: Stack) -> Stack:
    """Return a stack in which an image of one frame has it for each of the other's."""
    planes = []
    for plane, lone in zip(stack.planes, stack.lone, strict=True):
        data = np.broadcast_to(plane.data, (stack.count, *plane.data.shape)) if lone else plane.data
        planes.append(Plane(data.reshape(-1, *plane.data.shape[1:]), plane.channels))
    return dataclasses.replace(stack, planes=(planes[0], planes[1]), lone=(False, False))


def read_valid(stack: Stack, masks: Mapping[str, Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return which pixels of the two tall images may count, None for all.

    `masks` are "inside", "ignore" and "overlap" of `compare`, None where there is none: (H, W), for all frames, or with
    the leading axes, too.
    """
    valid = None
    shape = (*stack.leading, *stack.sides[0])
    for name, mask in masks.items():
        if mask is None:
            continue
        read = np.asarray(mask)
        check_mask(read.dtype, read.shape, name, stack.leading, stack.sides[0])
        part = np.broadcast_to((read != 0) if name in COUNTING else (read == 0), shape)
        valid = part if valid is None else valid & part
    if valid is None:
        return None
    found = tuple(np.ones(plane.data.shape[:2], np.bool_) for plane in stack.planes)
    for frame, part in enumerate(valid.reshape(-1, *stack.sides[0])):
        for band in stack.pick(found, frame):
            common = part[: band.shape[0], : band.shape[1]]
            band[: common.shape[0], : common.shape[1]] = common
    if not found[0].any():
        raise ValueError(NOTHING_LEFT)
    return found[0], found[1]


def check_mask(
    dtype: np.dtype[Any], shape: tuple[int, ...], name: str, leading: tuple[int, ...], sides: tuple[int, int]
) -> None:
    """Raise ValueError where a mask is not one for frames of these sides."""
    whole = (*leading, *sides)
    if shape not in (whole, sides) or dtype.kind not in "bui":
        wanted = f"{sides}" if not leading else f"one frame, {sides}, or of all, {whole}"
        raise ValueError(
            f"{name} is an array of {dtype} of shape {shape}; give labels or a boolean array of the shape of before, "
            f"{wanted}"
        )


class Shelf:
    """The arrays of all frames, of which each frame's becomes a view, one after the other; so there is no second copy.

    What lies on such a shelf already, from an earlier comparison, stays where it is.
    """

    def __init__(self, leading: tuple[int, ...]) -> None:
        self._leading = leading
        self._count = math.prod(leading)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._known: set[str] = set()

    def put(self, name: str, frame: int, array: Any) -> Any:
        """Put a frame's array in its place and return it from there; None stays None."""
        if array is None:
            return None
        shape, base = (self._count, *array.shape), array.base
        if name not in self._arrays:
            known = isinstance(base, np.ndarray) and base.size == self._count * array.size
            self._arrays[name] = base.reshape(shape) if known else np.empty(shape, array.dtype)
            if known:
                self._known.add(name)
        place: NDArray[Any] = self._arrays[name][frame]
        if place.ctypes.data == array.ctypes.data:
            return place
        if name in self._known:
            # Of another comparison: it stays as it is
            self._known.remove(name)
            earlier, self._arrays[name] = self._arrays[name], np.empty(shape, array.dtype)
            self._arrays[name][:frame] = earlier[:frame]
            place = self._arrays[name][frame]
        place[...] = array
        return place

    def take(self, name: str) -> Any:
        """Return the array of all frames, with the leading axes; None if there is none."""
        whole = self._arrays.get(name)
        return None if whole is None else whole.reshape(*self._leading, *whole.shape[1:])


def count_on(regions: Columns, first: int) -> Columns:
    """Return a table of regions whose labels begin after `first`."""
    changes = {"label": regions["label"] + np.int32(first)}
    if "partner" in regions:
        changes["partner"] = np.where(regions["partner"] == 0, 0, regions["partner"] + first)
    return regions | changes


def name_axes(leading: tuple[int, ...], axes: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the leading axes, those that were given or our own."""
    if not axes:
        return ("frame",) if len(leading) == 1 else tuple(f"axis_{axis}" for axis in range(len(leading)))
    if len(axes) != len(leading) or len(set(axes)) != len(axes) or set(axes) & TAKEN:
        raise ValueError(
            f"axes is {tuple(axes)}; give a name of its own, which no other column of the table has, for each leading "
            f"axis, of which there are {len(leading)}"
        )
    return tuple(axes)


def join_tables(every: Sequence[Columns], leading: tuple[int, ...], axes: tuple[str, ...]) -> Columns:
    """Return the tables of all frames as one, with a column for each leading axis: the frame's index."""
    places = np.repeat(np.arange(len(every)), [tables.count_rows(table) for table in every])
    indices = (index.astype(np.int64) for index in np.unravel_index(places, leading))
    whole = tables.join(every)
    label = {"label": whole.pop("label")} if "label" in whole else {}
    return label | dict(zip(axes, indices, strict=True)) | whole


def join_notes(notes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was resolved of all frames: what they share, a sum, whether all are, or a list with one for each."""
    joined: dict[str, Any] = {}
    for key, value in notes[0].items():
        every = [each[key] for each in notes]
        if key in ("pixels_not_valid", "pixels_not_shared"):
            joined[key] = sum(every)
        elif key in ("identical", "same_luma"):
            joined[key] = all(every)
        else:
            joined[key] = value if key in SHARED else every
    return joined
