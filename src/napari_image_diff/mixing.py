"""Two images mixed into one picture to look at: one or the other, swiped, in a checkerboard, overlaid, subtracted.

Only what is on the screen is worked out, when it is asked for: a viewer that cuts sizes and parts out of a picture of
several sizes never asks for much more than its canvas has pixels, however large the images are.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "COARSEST",
    "SIGNED_COLORS",
    "Look",
    "Mixing",
    "Mixture",
    "Shades",
    "Side",
    "checkerboard",
    "colour",
    "gray",
    "level",
    "overlay",
    "show",
    "signed",
    "swipe",
]

Index: TypeAlias = tuple[int, ...]
"""Index of a frame, one number for each leading axis; () of a single plane."""

Join: TypeAlias = Callable[[NDArray[Any], NDArray[Any], NDArray[np.intp], NDArray[np.intp]], NDArray[Any]]
"""Makes one picture of two, of the same place and size, whose rows and columns in full size are the last two."""

# Steps from one pixel to the next in the sizes of a picture: none has more than four times the pixels of the next
STEPS = [1, *(step for power in range(1, 20) for step in (2**power, 3 * 2 ** (power - 1)))]

# A side of the coarsest size at most. A viewer may keep that one for ever, so it must never be the one on the screen.
COARSEST = 16

# Colours between black and white of a table; a screen shows 256
TABLE = 4096

# More in after is green, more in before magenta, as in the overlay: eyes that see red and green alike tell them apart
SIGNED_COLORS = {"name": "signed difference", "colors": [(1, 0.2, 1, 1), (0, 0, 0, 1), (0.2, 1, 0.2, 1)]}

# Weights of red, green and blue in luma (ITU-R BT.601)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Shades(NamedTuple):
    """How a viewer shows the values of a gray image."""

    black: float
    """The value shown in the first colour; `white` in the last."""
    white: float
    gamma: float
    colors: NDArray[np.float64]
    """(N, 4): RGBA, 0 to 1, from black to white."""


class Look(NamedTuple):
    """How a viewer shows an image."""

    shades: Shades | None
    """None of an image in colour."""
    white: float = 1.0
    """Of colour: the value that is shown as full red, green or blue; 0 is none of it."""


class Side(NamedTuple):
    """One of the two images."""

    levels: Sequence[Any]
    """(..., H, W) or (..., H, W, 3 or 4) arrays of any kind, from full size to coarser ones."""
    matrix: NDArray[np.float64]
    """(3, 3): takes (row, column, 1) of the mixture to a place in the full size."""
    frame_at: Callable[[Index], Index | None]
    """Takes the frame of the mixture to the one of this image that is shown then, None if there is none."""
    shades: Shades | None
    """None of an image in colour."""


Read: TypeAlias = tuple[NDArray[Any], NDArray[np.bool_], Shades | None]
"""Values of a part of an image, where there are any, and how they are shown; as `Paint` takes them."""

Paint: TypeAlias = Callable[[NDArray[Any], NDArray[np.bool_], Shades | None], NDArray[Any]]
"""Makes something to be joined of the values of an image: `colour`, `level` or `gray`."""


class _Painted(NamedTuple):
    """What was last made of the two, and of what."""

    sides: tuple[Side, Side]
    paint: Paint
    key: Any
    one: NDArray[Any]
    other: NDArray[Any]


@dataclasses.dataclass
class Mixing:
    """What is mixed, and how: all of it may be replaced at any time, and all sizes follow."""

    sides: tuple[Side, Side]
    shape: tuple[int, ...]
    """(..., H, W): that of the mixture."""
    paint: Paint
    join: Join
    report: Callable[[Exception], None] | None = None
    """Told of what cannot be read, which is clear then."""

    def __post_init__(self) -> None:
        self._painted: _Painted | None = None

    def make_levels(self) -> list[Mixture]:
        """Return the picture in all its sizes, for a viewer that takes such lists."""
        longest = max(self.shape[-2:])
        count = next(index for index, step in enumerate(STEPS) if longest <= step * COARSEST)
        # Of a tiny image, too, the last one is not for looking at
        return [Mixture(self, step) for step in STEPS[: max(count, 1) + 1]]

    def replace(self, sides: tuple[Side, Side], paint: Paint) -> None:
        """Mix these from now on, as they are now."""
        self.sides, self.paint, self._painted = sides, paint, None

    def picture(self, place: Index, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[Any]:
        """Return the part of a frame with these rows and columns of the full size, which are evenly spread."""
        # Viewers may ask on other threads, while something is replaced
        sides, paint, join, painted = self.sides, self.paint, self.join, self._painted
        key = place, *((len(each), *each[:2].tolist()) for each in (rows, cols))
        # The two do not change while a line is dragged over them
        if painted is None or painted.sides is not sides or painted.paint is not paint or painted.key != key:
            one, other = (paint(*self._read(side, place, rows, cols)) for side in sides)
            painted = self._painted = _Painted(sides, paint, key, one, other)
        return join(painted.one, painted.other, rows, cols)

    def _read(self, side: Side, place: Index, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Read:
        try:
            return _read(side, place, rows, cols)
        except Exception as error:  # whatever storage or a task of the user's may raise
            if self.report is None:
                raise
            self.report(error)
            return _nothing(side, (len(rows), len(cols)))


class Mixture:
    """A picture in one of its sizes, as viewers read arrays: parts of parts of it can be asked for.

    Parameters
    ----------
    mixing : Mixing
        What is mixed.
    step : int
        Rows of the full size from one row to the next.
    """

    def __init__(self, mixing: Mixing, step: int, picked: tuple[Any, ...] | None = None) -> None:
        self._mixing, self._step = mixing, step
        first = (step - 1) // 2
        sides = tuple(len(range(first, length, step)) or 1 for length in mixing.shape[-2:])
        self._whole = *mixing.shape[:-2], *sides
        # An array of indices for each axis, or a number where it was taken away
        self._picked = picked or tuple(np.arange(length) for length in self._whole)
        colours = () if mixing.paint is gray else (4,)
        self.shape: tuple[int, ...] = (*(len(each) for each in self._picked if not isinstance(each, int)), *colours)
        self.dtype: np.dtype[Any] = np.dtype(np.uint8 if colours else np.float32)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> Mixture:
        """Return a part; nothing is worked out for it yet."""
        keys = iter(key if isinstance(key, tuple) else (key,))
        picked = [each if isinstance(each, int) else each[next(keys, slice(None))] for each in self._picked]
        return Mixture(self._mixing, self._step, tuple(int(each) if np.ndim(each) == 0 else each for each in picked))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Work it out."""
        kept = [index for index, each in enumerate(self._picked) if not isinstance(each, int)]
        *lead, rows, cols = (np.atleast_1d(each) for each in self._picked)
        first, last = (self._step - 1) // 2, np.subtract(self._mixing.shape[-2:], 1)
        rows, cols = (np.minimum(each * self._step + first, end) for each, end in zip((rows, cols), last, strict=True))
        found = np.empty((*(len(each) for each in lead), len(rows), len(cols), *self.shape[len(kept) :]), self.dtype)
        for place in np.ndindex(*found.shape[: len(lead)]):
            frame = tuple(int(axis[index]) for axis, index in zip(lead, place, strict=True))
            found[place] = self._mixing.picture(frame, rows, cols)
        return found.reshape(self.shape).astype(dtype or self.dtype, copy=False)


def colour(values: NDArray[Any], there: NDArray[np.bool_], shades: Shades | None) -> NDArray[np.uint8]:
    """Return (h, w, 4) values as a viewer shows them; clear where there are none.

    Parameters
    ----------
    values : (h, w) or (h, w, 3 or 4) array
        Gray or colour, as the image has them.
    there : (h, w) bool array
        Where the image is.
    shades : Shades or None
        Of gray.
    """
    if shades is None:
        found = np.full((*values.shape[:2], 4), 255, np.uint8)
        found[..., : values.shape[2]] = _to_bytes(values)
    else:
        found = _table(shades)[_steps_of(values, shades)]
        there = there & np.isfinite(values) if values.dtype.kind == "f" else there
    found[~there] = 0
    return found


def level(values: NDArray[Any], there: NDArray[np.bool_], shades: Shades | None) -> NDArray[np.float32]:
    """Return (h, w) how bright a viewer shows values, 0 to 1, of colour its luma; NaN where there are none."""
    if shades is None:
        found = _to_bytes(values)[..., :3].astype(np.float32) @ LUMA / 255
    else:
        found = (_steps_of(values, shades) / np.float32(TABLE - 1)) ** np.float32(shades.gamma)
        there = there & np.isfinite(values) if values.dtype.kind == "f" else there
    return np.where(there, found, np.nan).astype(np.float32)


def gray(values: NDArray[Any], there: NDArray[np.bool_], shades: Shades | None) -> NDArray[np.float32]:
    """Return (h, w) values as they are, of colour its luma; NaN where there are none. Of 32 bits and more float64."""
    dtype = np.result_type(values.dtype.newbyteorder("="), np.float32)
    found = values.astype(dtype) if shades is not None else values[..., :3].astype(dtype) @ LUMA.astype(dtype)
    return np.where(there, found, np.nan)


def show(
    before: NDArray[Any], after: NDArray[Any], rows: NDArray[np.intp], cols: NDArray[np.intp], *, which: int
) -> NDArray[Any]:
    """Return before (0) or after (1)."""
    return (before, after)[which]


def swipe(
    before: NDArray[Any],
    after: NDArray[Any],
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
    *,
    cut: float,
    axis: int = 1,
    line: bool = False,
) -> NDArray[Any]:
    """Return before up to a line and after beyond it: the columns (with `axis` 0 the rows) from `cut` on.

    With `line`, the first column of after is white.
    """
    places = (rows, cols)[axis]
    begin = int(np.searchsorted(places, cut))
    where = (slice(None), slice(begin)) if axis else slice(begin)
    found = after.copy()
    found[where] = before[where]
    if line:
        found[(slice(None), slice(begin, begin + 1)) if axis else slice(begin, begin + 1)] = 255
    return found


def checkerboard(
    before: NDArray[Any], after: NDArray[Any], rows: NDArray[np.intp], cols: NDArray[np.intp], *, tile: int
) -> NDArray[Any]:
    """Return both in squares of so many pixels, the first of before."""
    odd = (rows[:, None] // tile + cols // tile) % 2 == 1
    return np.where(odd[..., None], after, before)


def overlay(
    before: NDArray[Any], after: NDArray[Any], rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Return before in magenta and after in green: gray where they are equally bright, and where one alone is there."""
    alone = np.isnan(before), np.isnan(after)
    levels = np.where(alone[0], after, before), np.where(alone[1], before, after)
    one, other = (np.nan_to_num(each * 255 + 0.5).astype(np.uint8) for each in levels)
    return np.stack([one, other, one, np.where(alone[0] & alone[1], 0, 255).astype(np.uint8)], axis=-1)


def signed(
    before: NDArray[Any], after: NDArray[Any], rows: NDArray[np.intp], cols: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return after - before, float32; NaN where either is not there."""
    # Infinity less infinity is nothing, and a screen has no number beyond float32
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(after - before, np.float32)


def _nothing(side: Side, shape: tuple[int, int]) -> Read:
    """Return what is read where an image is not."""
    full, tail = side.levels[0], () if side.shades is not None else (side.levels[0].shape[-1],)
    return np.zeros((*shape, *tail), full.dtype), np.zeros(shape, np.bool_), side.shades


def _read(side: Side, place: Index, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Read:
    """Return the values of an image where the mixture has these rows and columns, and where there are any."""
    frame = side.frame_at(place)
    shape = len(rows), len(cols)
    if frame is None:
        return _nothing(side, shape)
    sides = side.levels[0].shape[len(frame) : len(frame) + 2]
    down, along = (_places(row, rows, cols) for row in np.asarray(side.matrix, np.float64)[:2])
    there = _within(down, sides[0]) & _within(along, sides[1])
    if not there.any():
        return _nothing(side, shape)
    array, factor = _pick_level(side, rows, cols, sides)
    found = [(axis + 0.5) / ratio - 0.5 for axis, ratio in zip((down, along), factor, strict=True)]
    # Only what is asked for is read
    ends = [(max(0, int(np.floor(axis.min()))), max(0, int(np.ceil(axis.max()))) + 2) for axis in found]
    part = np.asarray(array[(*frame, *(slice(*end) for end in ends))])
    local = [axis - begin for axis, (begin, _) in zip(found, ends, strict=True)]
    between = max(factor) == 1 and _is_between(side.matrix, rows, cols)
    if between and side.shades is None:
        # Colours between pixels are those of a screen
        part = _to_bytes(part)
    return _sample(part, local, between=between), np.broadcast_to(there, shape), side.shades


def _places(row: NDArray[np.float64], rows: NDArray[np.intp], cols: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return what a row of a matrix makes of places: (h, 1) or (1, w) where it goes by rows or columns alone."""
    if not row[1]:
        return np.asarray(row[0] * rows[:, None] + row[2])
    if not row[0]:
        return np.asarray(row[1] * cols[None] + row[2])
    return np.asarray(row[0] * rows[:, None] + row[1] * cols + row[2])


def _within(places: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    return (places >= -0.5) & (places < length - 0.5)


def _pick_level(
    side: Side, rows: NDArray[np.intp], cols: NDArray[np.intp], sides: Sequence[int]
) -> tuple[Any, tuple[float, float]]:
    """Return the coarsest size with a pixel for each that is asked for, and by how much it is coarser."""
    steps = [float(each[1] - each[0]) if len(each) > 1 else 1.0 for each in (rows, cols)]
    wanted = np.abs(np.asarray(side.matrix)[:2, :2]) @ steps
    axis = -3 if side.shades is None else -2
    best = side.levels[0], (1.0, 1.0)
    for array in side.levels[1:]:
        factor = sides[0] / array.shape[axis], sides[1] / array.shape[axis + 1]
        if factor[0] <= wanted[0] * 1.01 and factor[1] <= wanted[1] * 1.01:
            best = array, factor
    return best


def _is_between(matrix: NDArray[np.float64], rows: NDArray[np.intp], cols: NDArray[np.intp]) -> bool:
    """Return whether places between pixels are asked for, and not fewer than there are pixels."""
    whole = np.array_equal(np.rint(matrix), matrix)
    return not whole and all(len(each) < 2 or each[1] - each[0] == 1 for each in (rows, cols))


def _sample(part: NDArray[Any], places: Sequence[NDArray[np.float64]], *, between: bool) -> NDArray[Any]:
    """Return the values of a part of an image at places in it: the nearest pixel's, or `between` pixels."""
    down, along = places
    if between:
        # float64 has all other types, but for integers of more than 53 bits
        known = part.dtype.isnative and part.dtype in (np.uint8, np.uint16, np.float32)
        source = part if known else part.astype(np.float64)
        right, low = (np.ascontiguousarray(each, np.float32) for each in np.broadcast_arrays(along, down))
        found = cv2.remap(np.ascontiguousarray(source), right, low, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(found)
    row, col = (
        np.clip(np.floor(axis + 0.5).astype(np.intp), 0, length - 1)
        for axis, length in zip(places, part.shape, strict=False)
    )
    return part[row, col]


def _steps_of(values: NDArray[Any], shades: Shades) -> NDArray[np.intp]:
    """Return where values lie between black, 0, and white, the last of the table's."""
    scale = (TABLE - 1) / ((shades.white - shades.black) or 1.0)
    # float32 is enough for a screen, but not for black points and values beyond 24 bits
    dtype = np.result_type(values.dtype.newbyteorder("="), np.float32).type
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values.astype(dtype) - dtype(shades.black)) * dtype(scale)
    return np.asarray(np.rint(np.nan_to_num(scaled.clip(0, TABLE - 1), nan=0.0)), np.intp)


def _table(shades: Shades) -> NDArray[np.uint8]:
    """Return (TABLE, 4) the colours from black to white."""
    return _make_table(shades.gamma, shades.colors.tobytes(), len(shades.colors))


@functools.lru_cache(maxsize=8)
def _make_table(gamma: float, colors: bytes, count: int) -> NDArray[np.uint8]:
    places = np.linspace(0, 1, TABLE) ** gamma * (count - 1)
    table = np.frombuffer(colors, np.float64).reshape(count, 4)
    found = [np.interp(places, np.arange(count), channel) for channel in table.T]
    return (np.stack(found, axis=-1) * 255 + 0.5).astype(np.uint8)


def _to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return colours as viewers show them: floats from 0 to 1, integers over all that their type can hold."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "f":
        scaled = np.nan_to_num(values) * 255.0
    else:
        scaled = values.astype(np.float32) * (255 / (1 if values.dtype == np.bool_ else np.iinfo(values.dtype).max))
    found: NDArray[np.uint8] = (scaled.clip(0, 255) + 0.5).astype(np.uint8)
    return found
