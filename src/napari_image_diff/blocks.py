"""One tile of a pair that is read in parts: which parts it takes, and the pair that is made of them.

What depends on the whole of the images (data range, place, light) is found beforehand and is the same for all tiles.
The rest is done here as `pairing` does it for images in memory, with the same bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import intensity, resampling
from .planes import COUNTING, forget_transparent, make_colours, read_only, usable_as_it_is, with_nan
from .preparation import Pair, Plane, Volume, fold, write_luma
from .sources import Kept, Part, Source
from .tiles import Box, Slab, Work, breathe

__all__ = [
    "Facts",
    "PlaneView",
    "Reader",
    "cut_out",
    "find_there",
    "find_valid",
    "make_block",
    "make_planes",
    "match_light",
    "pick_plane",
]

# Pixels around a place that resampling takes.
TAPS = 4

# Of an image that lies no further off than this, in pixels, both are read in one box; else each where it is needed.
NEAR = 256

# Windows that alignment looks at again and again are kept, so many and up to so many pixels each.
KEPT_WINDOWS = 1024
LARGEST_WINDOW = 2**18


class Facts(NamedTuple):
    """What is known of two images before any of their tiles is worked on."""

    channels: tuple[Any, Any]
    """"gray", "RGB" or "RGBA" of before and after."""
    dtype: np.dtype[Any]
    """Of the gray planes."""
    grid: tuple[int, int]
    """Rows and columns of both images, as far as they are compared, and of the result."""
    masks: tuple[str, ...]
    """Which of "inside", "ignore" and "overlap" are read after the two images."""
    transparent: bool
    """Whether colour does not count where either image is fully transparent."""
    colours: int = 0
    """Channels in which the images are compared beside luma: 0, 3, or 4 with alpha."""
    data_range: float = 1.0
    center: float = 0.0
    quantum: float = 0.0
    largest: float = 0.0
    """The greatest absolute value, where the data range is so small that it matters (`detection.make_sources`)."""
    matrix: NDArray[np.float64] | None = None
    """Where after lies (see `resampling`), None where it lies as it should."""
    light: intensity.Light | None = None
    clipped: tuple[bool, bool] = (False, False)
    """Whether the gray plane, and the colours, of after may be clipped."""
    volume: Volume | None = None
    """None for images."""

    @property
    def planes(self) -> int:
        """Number of planes, 1 of an image."""
        return 1 if self.volume is None else self.volume.planes

    @property
    def tall(self) -> tuple[int, int]:
        """Rows and columns of the result with its planes one under the other."""
        return self.planes * self.grid[0], self.grid[1]

    @property
    def plane_dtype(self) -> np.dtype[Any]:
        """Type of the planes that are compared."""
        as_given = not self.masks and self.matrix is None and self.light is None
        return self.dtype if as_given else np.result_type(self.dtype, np.float32)

    def find_areas(self, box: Box) -> list[Box]:
        """Return what is read of both images for a box of the result: one box, or one for before and one for after."""
        if self.matrix is None:
            return [box]
        rows, columns = (np.array([low, low, high - 1, high - 1]) for low, high in (box[::2], box[1::2]))
        corners = self.matrix @ [rows, columns[[0, 3, 1, 2]], np.ones(4)]
        low, high = np.floor(corners.min(1)[:2]) - TAPS, np.ceil(corners.max(1)[:2]) + TAPS + 1
        bounds = np.clip([low[0], low[1], high[0], high[1]], 0, [*self.grid, *self.grid])
        top, left, bottom, right = (int(bound) for bound in bounds)
        if not self._lies_near():
            return [box, (top, left, bottom, right)]
        return [(min(top, box[0]), min(left, box[1]), max(bottom, box[2]), max(right, box[3]))]

    def _lies_near(self) -> bool:
        height, width = self.grid
        corners = np.array([(0, 0, 1), (height, 0, 1), (0, width, 1), (height, width, 1)])
        return self.matrix is None or bool(np.abs(corners @ (self.matrix - np.eye(3)).T).max() <= NEAR)


class Reader(NamedTuple):
    """Two images (one frame of each) that are read in parts."""

    facts: Facts
    sources: tuple[Source, ...]
    """before, after, and a source for each of ``facts.masks``."""
    frames: tuple[tuple[int, ...], ...]
    """The leading axes of each source at this frame."""

    def work(self, box: Box, *given: Any, slab: Slab = (0, 1)) -> Work:
        """Return the work on a box of the result, for a function ``(arrays, facts, box, *given)``.

        Of a volume, the arrays have the planes of `slab`.
        """
        parts = []
        for area in self.facts.find_areas(box):
            for source, frame in zip(self.sources, self.frames, strict=True):
                # A mask may be of one plane, for all
                planes = [slice(*slab)] if self.facts.volume is not None and source.solid else []
                parts.append(Part(source, (*frame, *planes, slice(*area[::2]), slice(*area[1::2]))))
        return Work(tuple(parts), (self.facts, box, *given))

    def read(self, box: Box, kept: Kept | None = None, slab: Slab = (0, 1)) -> Pair:
        """Return a box of the pair, with the help of chunks that are `kept`."""
        parts, given = self.work(box, slab=slab)
        return make_block([part.read(kept) for part in parts], *given)

    def at(self, plane: int) -> Reader:
        """Return a plane of a volume, to be read as an image; an image is returned as it is."""
        if self.facts.volume is None:
            return self
        frames = [
            (*frame, plane) if source.solid else frame for source, frame in zip(self.sources, self.frames, strict=True)
        ]
        return self._replace(facts=self.facts._replace(volume=None), frames=tuple(frames))


class PlaneView:
    """One gray plane of a reader as an array that is read where it is sliced, for `alignment`."""

    def __init__(
        self, reader: Reader, after: bool, chunks: Kept, preview: tuple[int, NDArray[Any]] | None = None
    ) -> None:
        self._reader = reader
        self._after = after
        self._preview = preview
        self._kept: dict[Box, NDArray[Any]] = {}
        self._chunks = chunks
        self.shape = reader.facts.grid
        self.dtype = np.result_type(reader.facts.dtype, np.float32) if reader.facts.masks else reader.facts.dtype

    def __getitem__(self, spans: tuple[slice, slice]) -> NDArray[Any]:
        if self._preview is not None and spans[0].step == self._preview[0]:
            return self._preview[1]
        (top, bottom, _), (left, right, _) = (
            span.indices(length) for span, length in zip(spans, self.shape, strict=True)
        )
        box = (top, left, bottom, right)
        if box not in self._kept:
            breathe()
            pair = self._reader.read(box, self._chunks)
            plane = pair.after if self._after else pair.before
            if plane.size > LARGEST_WINDOW:
                return plane
            if len(self._kept) >= KEPT_WINDOWS:
                del self._kept[next(iter(self._kept))]
            self._kept[box] = plane
        return self._kept[box]


def cut_out(arrays: list[NDArray[Any]], facts: Facts, box: Box, inner: Box) -> list[NDArray[Any]]:
    """Return, of what was read for a box, what a box within it takes."""
    areas, inner_areas = facts.find_areas(box), facts.find_areas(inner)
    each = len(arrays) // len(areas)
    found = []
    for number, (area, part) in enumerate(zip(areas, inner_areas, strict=True)):
        place = slice(part[0] - area[0], part[2] - area[0]), slice(part[1] - area[1], part[3] - area[1])
        for array in arrays[number * each : (number + 1) * each]:
            found.append(array[place if facts.volume is None or array.ndim == 2 else (slice(None), *place)])
    return found


def make_planes(arrays: list[NDArray[Any]], facts: Facts) -> tuple[list[Plane], NDArray[np.bool_] | None]:
    """Return both images of an area, without colour where that does not count, and which pixels count (None: all).

    The planes of a volume are laid one under the other.
    """
    if facts.volume is not None:
        arrays = [_lay_tall(array, len(arrays[0])) for array in arrays]
    planes = []
    for array, channels in zip(arrays, facts.channels, strict=False):
        planes.append(Plane(array[..., 0] if channels == "gray" and array.ndim == 3 else array, channels))
    if facts.transparent:
        planes = [Plane(plane.data.copy(), plane.channels) for plane in planes]
        forget_transparent(planes)
    return planes, find_valid(arrays[2:], facts)


def find_there(arrays: list[NDArray[Any]], facts: Facts) -> NDArray[np.bool_] | None:
    """Return which pixels of an area after has at all (None: all)."""
    if "overlap" not in facts.masks:
        return None
    mask = arrays[2 + facts.masks.index("overlap")]
    return np.asarray((mask if facts.volume is None else _lay_tall(mask, len(arrays[0]))) != 0)


def _lay_tall(array: NDArray[Any], count: int) -> NDArray[Any]:
    """Return an array (planes, H, W), or a mask (H, W) for so many planes, as a tall plane."""
    solid = np.broadcast_to(array, (count, *array.shape)) if array.ndim == 2 else array
    return solid.reshape(-1, *solid.shape[2:])


def find_valid(masks: list[NDArray[Any]], facts: Facts) -> NDArray[np.bool_] | None:
    """Return which pixels of an area count by its masks (None: all)."""
    valid = None
    for name, mask in zip(facts.masks, masks, strict=True):
        part = mask != 0 if name in COUNTING else mask == 0
        valid = part if valid is None else valid & part
    return valid


def make_block(arrays: list[NDArray[Any]], facts: Facts, box: Box) -> Pair:
    """Return a box of the pair from what was read for it; of a volume, one of as many planes."""
    areas = facts.find_areas(box)
    each = len(arrays) // len(areas)
    pairs = [_prepare(arrays[first : first + each], facts) for first in range(0, len(arrays), each)]
    pair = pairs[0] if facts.matrix is None else _place(pairs[0], pairs[-1], areas[0], areas[-1], facts, box)
    if facts.light is not None:
        pair = match_light(pair, facts.light, facts.clipped)
    before, after, *colours = (read_only(np.ascontiguousarray(plane)) for plane in (*pair[:2], *pair.colours))
    volume = None if facts.volume is None else facts.volume._replace(planes=len(arrays[0]))
    return pair._replace(before=before, after=after, colours=tuple(colours), volume=volume)


def pick_plane(pair: Pair, plane: int) -> Pair:
    """Return a plane of a volume as an image; an image is returned as it is."""
    if pair.volume is None:
        return pair
    before, after, *colours = (fold(each, pair.volume)[plane] for each in (*pair[:2], *pair.colours))
    return pair._replace(before=before, after=after, colours=tuple(colours), volume=None)


def _prepare(arrays: list[NDArray[Any]], facts: Facts) -> Pair:
    """Return both images of an area."""
    planes, valid = make_planes(arrays, facts)
    before, after = (to_luma(plane, facts.dtype) for plane in planes)
    if valid is not None:
        before = with_nan(before, valid)
        there = find_there(arrays, facts)
        after = after.astype(before.dtype) if there is None else with_nan(after, there)
    colours: tuple[NDArray[Any], ...] = ()
    if facts.colours:
        colours = make_colours((planes[0], planes[1]), facts.data_range, facts.colours == 4)
    return Pair(before, after, facts.data_range, facts.center, facts.quantum, colours)


def to_luma(plane: Plane, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an image in gray."""
    usable = usable_as_it_is(plane, dtype)
    if usable is not None:
        return usable
    luma = np.empty(plane.data.shape[:2], dtype)
    if luma.size:
        write_luma(plane, 0, luma.shape[0], luma)
    return luma


def _place(of_before: Pair, of_after: Pair, area: Box, other: Box, facts: Facts, box: Box) -> Pair:
    """Return a box of the grid with both images where they lie on it; NaN where an image is not."""
    matrix = facts.matrix if facts.matrix is not None else np.eye(3)
    shape = (box[2] - box[0], box[3] - box[1])
    kind = np.result_type(of_before.before.dtype, np.float32)
    rows, columns = (slice(box[axis] - area[axis], box[axis + 2] - area[axis]) for axis in range(2))
    origins = resampling.Origins((box[0], box[1]), (other[0], other[1]), facts.grid)

    def see(plane: NDArray[Any]) -> NDArray[Any]:
        target = np.full(shape, np.nan, kind)
        if plane.size:
            source = read_only(np.ascontiguousarray(plane))
            resampling.resample_tile(source, matrix, 0, shape[0], target, origins)
        return target

    before, after = of_before.before[rows, columns].astype(kind), see(of_after.after)
    colours: list[NDArray[Any]] = []
    if of_before.colours:
        image = of_after.colours[1]
        seen = [resampling.round_to(see(image[..., channel]), image.dtype) for channel in range(image.shape[2])]
        colours = [of_before.colours[0][rows, columns], np.stack(seen, axis=2)]
    return of_before._replace(before=before, after=after, colours=tuple(colours))


def match_light(pair: Pair, light: intensity.Light, clipped: tuple[bool | None, bool | None] = (None, None)) -> Pair:
    """Return a pair with gain and offset of `after` undone; alpha keeps its own.

    `clipped` says of a part of a pair whether the gray plane of after, and its colours, may be clipped in the whole.
    """
    after = intensity.undo_light(pair.before, pair.after, light, pair.data_range, clipped[0])
    colours = tuple(image.astype(after.dtype) for image in pair.colours)
    if colours:
        one, other = (image[..., :3] for image in colours)
        colours[1][..., :3] = intensity.undo_light(one, other, light, pair.data_range, clipped[1])
    return pair._replace(before=pair.before.astype(after.dtype), after=after, colours=colours)
