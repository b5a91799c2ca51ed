"""What has to be known of images that are read in parts before their tiles are worked on.

Their shapes fit together; one data range holds for all frames; each frame has its place and its light. All of it is
found by sweeps whose tiles return little, and is the same as `pairing` finds for images in memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import alignment, detection, frames, intensity, pairing, planes, preparation, tiles, volumes
from .blocks import Facts, PlaneView, Reader, find_there, find_valid, make_block, make_planes, to_luma
from .preparation import NOTHING, Extent, Grid, Plane, pick_grid, put_grid
from .settings import Settings
from .sources import Kept, Source, is_lazy, open_source
from .tiles import Box, Slab, Tiling

__all__ = ["Opened", "Surveyed", "is_all_masked", "open_images", "settle", "survey"]


@dataclasses.dataclass(frozen=True)
class Opened:
    """Two images that are read in parts, checked against each other; nothing of them is read yet."""

    channels: tuple[Any, Any]
    sources: tuple[Source, ...]
    """before, after, and those of ``masks``."""
    masks: tuple[str, ...]
    leading: tuple[int, ...]
    lone: tuple[bool, bool]
    """Which of the two has one frame that is compared with every frame of the other."""
    not_shared: int
    """Number of frames that only one of the two has."""
    sides: tuple[tuple[int, int], tuple[int, int]]
    """Rows and columns of a frame of either image as it was given; of volumes, of what they have in common."""
    fit: volumes.Fit | None
    """What two volumes have in common; None for images."""

    @property
    def count(self) -> int:
        """Number of frames."""
        return math.prod(self.leading)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns that are compared."""
        rows, columns = (min(both) for both in zip(*self.sides, strict=True))
        return rows, columns

    @property
    def alike(self) -> bool:
        """Whether both images are of one size and have as many frames."""
        sides = self.sides if self.fit is None else self.fit.sides
        return sides[0] == sides[1] and not self.not_shared

    def pick(self, facts: Facts, frame: int) -> Reader:
        """Return a frame, to be read as `facts` say."""
        place = tuple(int(step) for step in np.unravel_index(frame, self.leading)) if self.leading else ()
        spatial = 2 if self.fit is None else 3
        along = [not lone for lone in self.lone] + [len(source.shape) > spatial for source in self.sources[2:]]
        return Reader(facts, self.sources, tuple(place if has_frames else () for has_frames in along))

    def cut(self) -> Tiling:
        """Return the tiles of a frame, along the chunks of the image that has the larger ones."""
        found = []
        for source, lone in zip(self.sources, self.lone, strict=False):
            first = 0 if lone else len(self.leading)
            chunks = source.chunks[first : first + (2 if self.fit is None else 3)]
            whole = all(len(lengths) == 1 for lengths in chunks)
            found.append((not whole, math.prod(max(lengths) for lengths in chunks), chunks))
        *along, rows, columns = max(found, key=lambda each: each[:2])[2]
        if self.fit is None:
            return Tiling(tiles.cut_boxes(self.grid, (rows, columns), tiles.BOX_PIXELS), [(0, 1)])
        boxes = tiles.cut_boxes(self.grid, (rows, columns), tiles.BOX_PIXELS // tiles.SLAB_PLANES)
        return Tiling(boxes, tiles.cut_slabs(self.fit.volume.planes, along[0], boxes))


class Surveyed(NamedTuple):
    """What was found out of all frames."""

    facts: Facts
    previews: list[NDArray[Any] | None]
    """Of before at each frame, for alignment."""


class _Ask(NamedTuple):
    """What is asked of a tile."""

    measured: bool
    """Whether extents are."""
    with_scales: bool
    steps: tuple[tuple[int, int], tuple[int, int]]
    """Of `preparation.sample_grid` for before and after, the frames laid under each other; (0, 0): not asked for."""
    tops: tuple[int, int]
    """The frame's first row among those of all frames."""
    stride: int
    """Of the preview; 0: not asked for."""


class _Found(NamedTuple):
    """What a tile returns, of before and of after."""

    extents: tuple[Extent, Extent]
    grids: tuple[list[Grid], list[Grid]]
    preview: Grid | None
    alpha: tuple[tuple[float, float], tuple[float, float]]
    """Least and greatest."""


def open_images(
    before: Any, after: Any, settings: Settings, masks: Mapping[str, Any], spacing: Sequence[float] | None = None
) -> Opened:
    """Return two images of which one at least is lazy, and masks (None where there is none).

    Raises
    ------
    TypeError, ValueError
        If they cannot be compared, as `planes.read_planes` and `frames.make_stack` have it.
    """
    sources, images, axes = [], [], settings.spatial_ndim
    for image, name in ((before, "before"), (after, "after")):
        source = open_source(image if is_lazy(image) else preparation.read_array(image, name), name)
        preparation.check_numbers(source.dtype, source.shape, name)
        shape = source.shape[:-1] if len(source.shape) > axes and source.shape[-1] == 1 else source.shape
        channels = preparation.find_channels(shape, name, settings.channels, stacks=True, axes=axes)
        # Of the plane only its shape is asked
        images.append(Plane(np.broadcast_to(np.empty((), source.dtype), shape), channels))
        sources.append(source)
    fit = volumes.fit_volumes(images[0], images[1], settings, spacing) if axes == 3 else None
    if fit is None:
        planes.check_sides(images[0], images[1], settings)
    else:
        images = [volumes.lay_tall(image, fit.shared) for image in images]
    leading, lone, not_shared = frames.match_frames((images[0], images[1]), settings)
    sides = planes.sides_of(images[0]), planes.sides_of(images[1])
    names = [name for name, mask in masks.items() if mask is not None]
    for name in names:
        mask = open_source(masks[name], name)
        shape = mask.shape if fit is None else volumes.lay_shape(name, mask, fit)
        frames.check_mask(mask.dtype, shape, name, leading, sides[0])
        sources.append(mask)
    channels_of_both = (images[0].channels, images[1].channels)
    if fit is not None:
        sides = fit.shared[1:], fit.shared[1:]
        sources = [source._replace(solid=len(source.shape) > 2) for source in sources]
    return Opened(channels_of_both, tuple(sources), tuple(names), leading, lone, not_shared, sides, fit)


def survey(opened: Opened, settings: Settings, tiling: Tiling, step: tiles.Step) -> Surveyed:
    """Return what is the same for all tiles of all frames, and the previews that alignment needs."""
    dtypes = opened.sources[0].dtype, opened.sources[1].dtype
    dtype = preparation.common_dtype(*dtypes)
    transparent = settings.alpha == "compare" and "RGBA" in opened.channels
    volume = None if opened.fit is None else opened.fit.volume
    facts = Facts(opened.channels, dtype, opened.grid, opened.masks, transparent, volume=volume)
    gathered = _gather(opened, facts, settings, tiling, step)
    extents = [preparation.merge_extents(each) if each else NOTHING for each in gathered.extents]
    data_range = settings.data_range
    if data_range == 0:
        scale = preparation.find_scale(dtypes, extents)
        pixels = sum(extent.finite for extent in extents)
        data_range = scale if scale is not None else _span(opened, facts, tiling, gathered.once, pixels, step)
    preparation.check_values(data_range, extents if settings.data_range == 0 or dtype == np.float64 else [])
    with_alpha = transparent and any(
        low != high or high < planes.opaque(source.dtype, high)
        for (low, high), source, channels in zip(gathered.alpha, opened.sources, opened.channels, strict=False)
        if channels == "RGBA"
    )
    center, quantum = preparation.find_middle(dtype, *gathered.grids, data_range)
    facts = facts._replace(
        colours=(4 if with_alpha else 3) if opened.channels != ("gray", "gray") else 0,
        data_range=data_range,
        center=center,
        quantum=quantum,
        largest=max(0.0, *(max(-extent.low, extent.high) for extent in extents)),
    )
    return Surveyed(facts, gathered.previews)


class _Gathered(NamedTuple):
    """What the tiles of all frames returned, put together."""

    once: tuple[bool, bool]
    """Whether of an image, which has one frame, only that is looked at."""
    extents: tuple[list[Extent], list[Extent]]
    grids: tuple[NDArray[Any], NDArray[Any]]
    previews: list[NDArray[Any] | None]
    alpha: list[tuple[float, float]]


def _gather(opened: Opened, facts: Facts, settings: Settings, tiling: Tiling, step: tiles.Step) -> _Gathered:
    """Sweep over all frames."""
    floats = facts.dtype.kind == "f"
    resolve = settings.data_range == 0
    small = not resolve and settings.data_range < detection.SMALLEST_RANGE
    measured = (resolve and facts.dtype != np.uint8) or facts.dtype == np.float64 or (floats and small)
    stride = alignment.find_stride(opened.grid) if settings.align != "none" and opened.fit is None else 0
    # What counts of an image of one frame may differ from frame to frame
    once = tuple(lone and not (opened.masks or facts.transparent) for lone in opened.lone)
    rows, columns = facts.tall
    heights = [rows * (1 if alone else opened.count) for alone in once]
    steps = [preparation.grid_steps((height, columns)) if floats else (0, 0) for height in heights]
    kind = facts.plane_dtype
    found = _Gathered(
        (once[0], once[1]),
        ([], []),
        (_room(heights[0], columns, steps[0], kind), _room(heights[1], columns, steps[1], kind)),
        [_room(*facts.grid, (stride, stride), kind) if stride else None for _ in range(opened.count)],
        [(math.inf, -math.inf), (math.inf, -math.inf)],
    )
    if not (measured or stride or floats or facts.transparent):
        step(opened.count * tiling.total)
        return found
    with_scales = opened.sources[0].dtype != opened.sources[1].dtype
    for frame in range(opened.count):
        first = [0 if alone else frame * rows for alone in once]
        ask = _Ask(measured, with_scales, (steps[0], steps[1]), (first[0], first[1]), stride)
        reader = opened.pick(facts, frame)

        def take(of_tile: _Found, frame: int = frame) -> None:
            preview = found.previews[frame]
            if preview is not None and of_tile.preview is not None:
                put_grid(preview, of_tile.preview)
            for image in range(2):
                if frame == 0 or not once[image]:
                    found.extents[image].append(of_tile.extents[image])
                    for grid in of_tile.grids[image]:
                        put_grid(found.grids[image], grid)
                (low, high), (least, most) = of_tile.alpha[image], found.alpha[image]
                # NaN, which is not opaque, stays
                found.alpha[image] = (float(np.minimum(low, least)), float(np.maximum(high, most)))

        work = [reader.work(box, slab, ask, slab=slab) for slab, box in tiling.in_strips()]
        tiles.map_parts(_survey_tile, work, step, take)
    return found


def _room(rows: int, columns: int, steps: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return room for the pixels sampled of an image; none where none are."""
    if not steps[0]:
        return np.zeros((0, 0), dtype)
    return np.zeros((-(-rows // steps[0]), -(-columns // steps[1])), dtype)


def _pick_planes(
    tall: NDArray[Any], facts: Facts, box: Box, slab: Slab, top: int, steps: tuple[int, int]
) -> list[Grid]:
    """Return the pixels sampled of the planes of a tile, if any are; `top` is the number of the frame's first row."""
    if not steps[0]:
        return []
    planes = tall.reshape(slab[1] - slab[0], -1, tall.shape[1])
    first = top + slab[0] * facts.grid[0] + box[0]
    return [pick_grid(plane, first + number * facts.grid[0], box[1], steps) for number, plane in enumerate(planes)]


def _survey_tile(arrays: list[NDArray[Any]], facts: Facts, box: Box, slab: Slab, ask: _Ask) -> _Found:
    """Look at one tile."""
    images, valid = make_planes(arrays, facts)
    lumas = [to_luma(image, facts.dtype) for image in images]
    extents = [NOTHING, NOTHING]
    if ask.measured:
        for number, luma in enumerate(lumas):
            counted = planes.read_only(luma if valid is None else planes.blank(luma, valid))
            extents[number] = preparation.measure_extent(counted, 0, len(counted), ask.with_scales)
    if valid is not None:
        lumas[0] = planes.with_nan(lumas[0], valid)
    there = find_there(arrays, facts)
    if there is not None:
        lumas[1] = planes.with_nan(lumas[1], there)
    grids = [
        _pick_planes(luma, facts, box, slab, top, steps)
        for luma, top, steps in zip(lumas, ask.tops, ask.steps, strict=True)
    ]
    alpha = [(math.inf, -math.inf), (math.inf, -math.inf)]
    for number, image in enumerate(images):
        if image.channels == "RGBA" and facts.transparent:
            alpha[number] = (float(image.data[..., 3].min()), float(image.data[..., 3].max()))
    preview = pick_grid(lumas[0], box[0], box[1], (ask.stride, ask.stride)) if ask.stride else None
    return _Found((extents[0], extents[1]), (grids[0], grids[1]), preview, (alpha[0], alpha[1]))


def _span(
    opened: Opened, facts: Facts, tiling: Tiling, once: tuple[bool, bool], pixels: int, step: tiles.Step
) -> float:
    """Return the span of both images between the percentiles 0.1 and 99.9."""

    def count(shift: int, prefixes: NDArray[np.uint64]) -> NDArray[np.int64]:
        total = np.zeros((len(prefixes), 1 << preparation.KEY_BITS), np.int64)

        def take(counts: NDArray[np.int64]) -> None:
            np.add(total, counts, out=total)

        for frame in range(opened.count):
            which = tuple(number for number in range(2) if frame == 0 or not once[number])
            reader = opened.pick(facts, frame)
            work = [reader.work(box, shift, prefixes, which, slab=slab) for slab, box in tiling.in_strips()]
            tiles.map_parts(_count_keys, work, tiles.uncounted(step), take)
        return total

    return preparation.find_span(count, pixels, facts.dtype)


def _count_keys(
    arrays: list[NDArray[Any]],
    facts: Facts,
    box: Box,
    shift: int,
    prefixes: NDArray[np.uint64],
    which: tuple[int, ...],
) -> NDArray[np.int64]:
    """Return the values of a tile by some of their bits, see `preparation.count_keys`."""
    images, valid = make_planes(arrays, facts)
    counts = np.zeros((len(prefixes), 1 << preparation.KEY_BITS), np.int64)
    for number in which:
        luma = to_luma(images[number], facts.dtype)
        counted = np.ascontiguousarray(luma if valid is None else planes.blank(luma, valid))
        counts += preparation.count_keys(
            preparation.order_keys(planes.read_only(counted)), 0, len(luma), shift, prefixes
        )
    return counts


def is_all_masked(opened: Opened, facts: Facts, tiling: Tiling, step: tiles.Step) -> bool:
    """Return whether there are masks, and they leave no pixel of any frame."""
    if not opened.masks:
        return False
    readers = [opened.pick(facts, frame) for frame in range(opened.count)]
    # Of the parts that a tile takes, the masks alone
    work = [
        tiles.Work(reader.work(box, slab=slab).parts[2:], (facts,))
        for reader in readers
        for slab, box in tiling.in_strips()
    ]
    return not any(tiles.map_parts(_leaves_any, work, tiles.uncounted(step)))


def _leaves_any(masks: list[NDArray[Any]], facts: Facts) -> bool:
    valid = find_valid(masks, facts)
    return valid is None or bool(valid.any())


def settle(
    opened: Opened, surveyed: Surveyed, frame: int, settings: Settings, tiling: Tiling, step: tiles.Step
) -> tuple[Reader, dict[str, Any]]:
    """Return one frame as it is compared, and the notes that `pairing.settle` makes."""
    facts = surveyed.facts
    reader = opened.pick(facts, frame)
    preview = surveyed.previews[frame]
    given = None if preview is None else (alignment.find_stride(facts.grid), preview)
    chunks = Kept()
    before: Any = PlaneView(reader, False, chunks, given)
    after: Any = PlaneView(reader, True, chunks)
    # It reads many windows, in between which somebody may want to stop
    with tiles.breathing(lambda: step(0)):
        aligned = pairing.find_place(before, after, facts.volume, settings, facts.data_range)
    if aligned.outcome == "aligned":
        facts = facts._replace(matrix=aligned.matrix)
        reader = opened.pick(facts, frame)
    light = None
    if settings.match_intensity == "gain_offset":
        light, clipped = _fit_light(reader, tiling, step)
        reader = opened.pick(facts._replace(light=light, clipped=clipped), frame)
    return reader, pairing.make_notes(aligned, light, opened.sides)


def _fit_light(reader: Reader, tiling: Tiling, step: tiles.Step) -> tuple[intensity.Light, tuple[bool, bool]]:
    """Return gain and offset of after, and whether its gray plane and its colours may be clipped."""
    facts = reader.facts
    every = intensity.find_step(facts.tall)
    samples = [_room(*facts.tall, (every, every), facts.plane_dtype) for _ in range(2)]
    ends = np.tile([np.inf, -np.inf], (3, 1))

    def take(found: tuple[list[Grid], list[Grid], NDArray[np.float64]]) -> None:
        for target, grids in zip(samples, found[:2], strict=True):
            for grid in grids:
                put_grid(target, grid)
        ends[:, 0], ends[:, 1] = np.fmin(ends[:, 0], found[2][:, 0]), np.fmax(ends[:, 1], found[2][:, 1])

    work = [reader.work(box, slab, every, slab=slab) for slab, box in tiling.in_strips()]
    tiles.map_parts(_sample_light, work, tiles.uncounted(step), take)
    before, after, colour = (bool(low >= 0 and high <= facts.data_range) for low, high in ends)
    light = intensity.fit_light(samples[0], samples[1], facts.data_range, step=1, clipped=before and after)
    return light, (after, colour)


def _sample_light(
    arrays: list[NDArray[Any]], facts: Facts, box: Box, slab: Slab, every: int
) -> tuple[list[Grid], list[Grid], NDArray[np.float64]]:
    """Return what `intensity.fit_light` looks at in a tile, and the ends of before, of after and of its colours."""
    pair = make_block(arrays, facts, box)
    one, other = (_pick_planes(plane, facts, box, slab, 0, (every, every)) for plane in (pair.before, pair.after))
    ends = np.tile([np.inf, -np.inf], (3, 1))
    for number, image in enumerate([pair.before, pair.after, *(colours[..., :3] for colours in pair.colours[1:])]):
        finite = image[np.isfinite(image)]
        if finite.size:
            ends[number] = finite.min(), finite.max()
    return one, other, ends
