"""How *after* lies on *before* in the world of a viewer, and both as arrays on the grid of *before*."""

from __future__ import annotations

import dataclasses
import itertools
import math
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import regridding, warping
from .geometry import (
    NEAR,
    TRANSFORMS,
    affine_of,
    same_value,
    sides_of,
    transforms_of,
    transforms_of_plane,
    world_of,
)
from .sources import is_lazy

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from .comparison import Comparison
    from .tiles import Progress

__all__ = [
    "Laid",
    "Overlay",
    "add_record",
    "covers",
    "find_matrix",
    "find_overlay",
    "is_aligned",
    "lay",
    "toggle_alignment",
]

Axes = tuple[int, ...]

# How much of before overlaps is found on a sample of so many pixels along an axis, of images and of volumes.
SAMPLE = {2: 256, 3: 48}

# Where fewer rows or columns overlap, no window of SSIM is half full.
FEWEST = 4

# The affine that a layer had before `toggle_alignment`, and the one that it got
_aligned: weakref.WeakKeyDictionary[Layer, tuple[NDArray[np.float64], NDArray[np.float64]]] = (
    weakref.WeakKeyDictionary()
)


class Overlay(NamedTuple):
    """How a layer lies on another one, with which its pixels do not coincide."""

    matrix: NDArray[np.float64]
    """Takes an index of before, with a 1 at its end, to the place in after; of the last axes, which both have."""
    spatial_ndim: int
    words: str
    """In what the two differ."""
    share: float
    """How much of before overlaps, 0 to 1."""
    by_index: bool
    """Whether the two are compared by index all the same; `matrix` and `share` do not matter then."""

    @property
    def finer(self) -> bool:
        """Whether before has details that after cannot have, since its pixels are larger."""
        first = len(self.matrix) - self.spatial_ndim - 1
        back = np.linalg.inv(self.matrix[first:, first:]).astype(np.float64)
        return bool(warping.find_stretch(back).max() > regridding.FINER)

    def describe(self) -> str:
        """Say in a line how the two are compared."""
        if self.by_index:
            return f"compared by index, though they differ in place: {self.words}"
        parts = [f"after resampled onto before: {self.words}"]
        if self.finer:
            parts.append("before shown with the larger pixels of after")
        if self.share < 1:
            parts.append(f"{_say_share(self.share)} of before overlaps")
        return "; ".join(parts)


class Laid(NamedTuple):
    """Two layers as they are compared."""

    before: Any
    after: Any
    overlap: Any
    """Where after is there (see `compare`), None for everywhere."""


def find_overlay(
    before: Image,
    after: Image,
    frame: int | str | None = None,
    *,
    spatial_ndim: int = 2,
    by_index: bool = False,
    whole: bool = True,
) -> Overlay | None:
    """Return how `after` lies on `before`, None if their pixels coincide.

    `frame` is what is taken of before, as in `add_comparison`. Unless they are compared as a `whole`, but a frame with
    a frame, it does not matter where the frames lie.

    Raises
    ------
    ValueError
        If they cannot be compared where they lie.
    """
    if before is after:
        return None
    matrix, tilted = find_matrix(before, after, frame, spatial_ndim, whole=whole)
    axes = len(matrix) - 1
    sides = sides_of(before, axes)
    ends = np.array([np.zeros(axes + 1), *np.diag([*(length - 1 for length in sides), 0])])
    ends[:, -1] = 1
    if tilted is None and np.abs(ends @ (matrix - np.eye(axes + 1)).T).max() < NEAR:
        return None
    words = _say_differences(before, after)
    if by_index:
        return Overlay(matrix, spatial_ndim, words, 1.0, True)
    if tilted is not None:
        ways = "Set 3 dimensions, to compare volumes, or compare" if spatial_ndim == 2 else "Compare"
        raise ValueError(
            f"'{tilted.name}' is rotated or sheared so that its frames are no frames of the other layer. "
            f"{ways} by index."
        )
    share = _find_share(matrix, sides, sides_of(after, axes), spatial_ndim)
    if not share:
        raise ValueError(
            f"'{before.name}' and '{after.name}' do not overlap in the viewer, or by less than {FEWEST} pixels "
            f"({words}). Move one of them (scale, translate, units), or compare by index."
        )
    return Overlay(matrix, spatial_ndim, words, share, False)


def lay(
    overlay: Overlay | None,
    images: tuple[Any, Any],
    rgb: tuple[bool, bool],
    progress: Progress | None = None,
) -> Laid:
    """Return two arrays, of which `rgb` says whether they have channels, as they are compared.

    `after` is seen on the grid of `before`, and, where its pixels are larger, `before` with those: both have one
    resolution then. What is in chunks stays so.
    """
    before, after = images
    if overlay is None or overlay.by_index:
        return Laid(before, after, None)
    if is_lazy(before) and not is_lazy(after):
        # It may become as large as before
        after = _hold(after)
    axes, ndim = len(overlay.matrix) - 1, overlay.spatial_ndim
    sides = before.shape[len(before.shape) - rgb[0] - axes : len(before.shape) - rgb[0]]
    seen, overlap = regridding.resample(after, overlay.matrix, sides, spatial_ndim=ndim, rgb=rgb[1], progress=progress)
    if overlay.finer:
        before = regridding.match_resolution(
            before, after, overlay.matrix, spatial_ndim=ndim, rgb=rgb, progress=progress
        )
    of_after = after.shape[len(after.shape) - rgb[1] - axes : len(after.shape) - rgb[1]]
    return Laid(before, seen, None if covers(overlay.matrix, sides, of_after, ndim) else overlap)


def add_record(comparison: Comparison, overlay: Overlay | None) -> Comparison:
    """Return a comparison whose record says how the two layers lie: ``resolved["overlay"]``."""
    if overlay is None:
        return comparison
    record = {
        "way": "by index" if overlay.by_index else "resampled",
        "reason": overlay.describe(),
        "matrix": overlay.matrix.tolist(),
        "share": None if overlay.by_index else overlay.share,
        "matched": not overlay.by_index and overlay.finer,
    }
    every = tuple(
        dataclasses.replace(each, resolved={**each.resolved, "overlay": record}) for each in comparison.frames
    )
    return dataclasses.replace(comparison, resolved={**comparison.resolved, "overlay": record}, frames=every)


def toggle_alignment(comparison: Comparison | None, before: Image, after: Image) -> None:
    """Lay `after` on `before` in the viewer, where `comparison` found it, or put it back where it was before that.

    Only the layer's affine changes. Comparing goes by the earlier one meanwhile, so another comparison finds the same.
    """
    if is_aligned(after):
        after.affine, _ = _aligned.pop(after)
    elif comparison is not None:
        earlier = affine_of(after)
        after.affine = _find_affine(comparison, before, after)
        _aligned[after] = earlier, affine_of(after)


def is_aligned(layer: Layer) -> bool:
    """Return whether a layer still has the affine that `toggle_alignment` gave it."""
    return layer in _aligned and same_value(affine_of(layer), _aligned[layer][1])


def _earlier_affine(layer: Layer) -> NDArray[np.float64]:
    """Return the affine that a layer has, or had before `toggle_alignment`."""
    return _aligned[layer][0] if is_aligned(layer) else affine_of(layer)


def _find_affine(comparison: Comparison, before: Image, after: Image) -> NDArray[np.floating]:
    """Return the affine with which `after` lies on `before`."""
    last = np.ix_([-3, -2, -1], [-3, -2, -1])
    own, world, in_own_units = (
        world_of(layer, units)[last]
        for layer, units in ((before, before.units), (after, before.units), (after, after.units))
    )
    # From where after lies to where it shall lie, in the units of before, and then in its own
    change = own @ np.linalg.inv(_matrix_of(comparison)) @ np.linalg.inv(world)
    units = world @ np.linalg.inv(in_own_units)
    affine: NDArray[np.floating] = np.linalg.inv(units) @ change @ units @ affine_of(after)
    return affine


def _matrix_of(comparison: Comparison) -> NDArray[np.float64]:
    """Return the matrix that takes (row, column, 1) in before to the place in after that shows the same."""
    found = np.array(comparison.resolved["alignment"]["matrix"], np.float64)
    overlay = comparison.resolved.get("overlay")
    if overlay is None or overlay["way"] == "by index":
        return found
    # What was found is where after lies as it was resampled
    return np.asarray(np.array(overlay["matrix"])[-3:, -3:] @ found)


def find_matrix(
    before: Image,
    after: Image,
    frame: int | str | None = None,
    spatial_ndim: int = 2,
    *,
    whole: bool = True,
    as_shown: bool = False,
) -> tuple[NDArray[np.float64], Image | None]:
    """Return the matrix that takes an index of the last axes of `before`, of those that both have, to `after`.

    And the layer whose frames are none of the other, if one is tilted so. `frame` and `whole` are as in `find_overlay`;
    where `after` was laid on `before` (`toggle_alignment`), it lies where it did before that, unless `as_shown`.
    """
    own, theirs = world_of(before, before.units), world_of(after, before.units)
    if is_aligned(after) and not as_shown:
        # The affine comes last: that which it had before it was laid on before
        units = theirs @ np.linalg.inv(world_of(after, after.units))
        moved = _earlier_affine(after) @ np.linalg.inv(affine_of(after))
        theirs = units @ moved @ np.linalg.inv(units) @ theirs
    axes = min(before.ndim, after.ndim)
    single = isinstance(frame, int) and before.ndim == spatial_ndim + 1
    if single or not whole:
        axes = spatial_ndim
    last = np.ix_(*[range(-axes - 1, 0)] * 2)
    matrix = warping.tidy_matrix(np.linalg.inv(theirs[last]) @ own[last])
    if isinstance(frame, int) and axes > spatial_ndim:
        # One frame of before is compared with all along the first axis of after
        matrix[0], matrix[:, 0] = np.eye(axes + 1)[0], np.eye(axes + 1)[0]
    worlds = (after, theirs), (before, own)
    tilted = [layer for layer, world in worlds if _mixes(world, layer.ndim - axes)]
    if not tilted and _mixes(matrix, axes - spatial_ndim):
        tilted = [layer for layer, world in worlds if _mixes(world, layer.ndim - spatial_ndim)]
    return matrix, tilted[0] if tilted else None


def _mixes(matrix: NDArray[np.float64], lead: int) -> bool:
    """Return whether the first axes of a matrix, so many, and the others are mixed."""
    if not lead:
        return False
    linear = matrix[:-1, :-1]
    most = max(np.abs(linear[:lead, lead:]).max(initial=0), np.abs(linear[lead:, :lead]).max(initial=0))
    return bool(most > 10.0**-warping.DECIMALS * np.abs(linear).max())


def _are_there(matrix: NDArray[np.float64], frames: Any, lengths: Axes) -> NDArray[np.bool_]:
    """Return which frames of before, of these indices, after has: it need have none between."""
    places = np.reshape(frames, (len(frames), len(lengths))) @ matrix[:-1, :-1].T + matrix[:-1, -1]
    return warping.find_nearest(places, lengths)[1]


def _part(matrix: NDArray[np.float64], lead: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the parts of a matrix for the leading axes, so many, and for the others."""
    frames, last = [*range(lead), len(matrix) - 1], [*range(lead, len(matrix))]
    return matrix[np.ix_(frames, frames)], matrix[np.ix_(last, last)]


def covers(matrix: NDArray[np.float64], sides: Axes, of_after: Axes, spatial_ndim: int) -> bool:
    """Return whether after is there for all of before: where it is has no dents, so that corners tell."""
    lead = len(sides) - spatial_ndim
    of_frames, of_pixels = _part(matrix, lead)
    corners = [list(itertools.product(*((0, side - 1) for side in each))) for each in (sides[:lead], sides[lead:])]
    pixels = (
        warping.find_overlap(of_pixels, corner, [place + 1 for place in corner], of_after[lead:]).all()
        for corner in corners[1]
    )
    return all(pixels) and bool(_are_there(of_frames, corners[0], of_after[:lead]).all())


def _find_share(matrix: NDArray[np.float64], sides: Axes, of_after: Axes, spatial_ndim: int) -> float:
    """Return which share of before overlaps, by a sample where there are many pixels; 0 where too little does."""
    lead = len(sides) - spatial_ndim
    of_frames, of_pixels = _part(matrix, lead)
    frames = np.stack(np.unravel_index(np.arange(math.prod(sides[:lead])), sides[:lead] or (1,)), axis=-1)[:, :lead]
    share = float(_are_there(of_frames, frames, of_after[:lead]).mean())
    # Only where after may be
    back = np.linalg.inv(of_pixels)
    ends = np.array([[-0.5] * spatial_ndim, np.subtract(of_after[lead:], 0.5)])
    corners = back[:-1, :-1, None] * ends.T[None]
    low = np.floor(corners.min(axis=2).sum(axis=1) + back[:-1, -1])
    high = np.ceil(corners.max(axis=2).sum(axis=1) + back[:-1, -1]) + 1
    begin, stop = (np.clip(each, 0, sides[lead:]).astype(int) for each in (low, high))
    if not share or (begin >= stop).any():
        return 0.0
    every = max(1, math.ceil((stop - begin).max() / SAMPLE[spatial_ndim]))
    there = warping.find_overlap(of_pixels, begin, stop, of_after[lead:], every)
    of_each = [there.any(axis=tuple(set(range(spatial_ndim)) - {axis})).sum() for axis in range(spatial_ndim)]
    if min(of_each[-2:]) * every < FEWEST:
        return 0.0
    return float(share * there.mean() * math.prod(stop - begin) / math.prod(sides[lead:]))


def _say_share(share: float) -> str:
    return f"{share:.0%}" if 0.01 <= share < 0.995 else f"{share:.3%}"


def _hold(array: Any) -> Any:
    """Return an array in memory as one chunk."""
    import dask.array as da

    return da.from_array(array, chunks=-1, name=False)  # type: ignore[no-untyped-call]


# ---------------------------------------------------------------- in words


def _say_differences(before: Image, after: Image) -> str:
    """Say in which transforms two layers differ, with what is short of numbers: of after, and of before."""
    axes = min(before.ndim, after.ndim)
    ours, theirs = (
        transforms_of(layer) if before.ndim == after.ndim else transforms_of_plane(layer, axes)
        for layer in (before, after)
    )
    theirs["affine"] = _earlier_affine(after)[-axes - 1 :, -axes - 1 :]
    words = []
    units = [" ".join(dict.fromkeys(f"{unit:~}" or str(unit) for unit in each["units"])) for each in (theirs, ours)]
    in_units = [unit if len(unit.split()) == 1 and unit not in ("pix", "px", "pixel") else "" for unit in units]
    for name in TRANSFORMS:
        one, other = theirs[name], ours[name]
        if name == "axis_labels" or same_value(one, other):
            continue
        if name in ("scale", "translate"):
            numbers = [_say_numbers(values, one, other) for values in (one, other)]
            says = [f"{each} {unit}".rstrip() for each, unit in zip(numbers, in_units, strict=True)]
            if in_units[0] == in_units[1]:
                says[0] = numbers[0]
            words.append(f"{name} {says[0]} -> {says[1]}")
        elif name == "rotate" and axes == 2:
            degrees = [f"{math.degrees(math.atan2(turn[1, 0], turn[0, 0])):.3g}" for turn in (one, other)]
            words.append(f"rotate {degrees[0]} -> {degrees[1]} degrees")
        elif name == "units":
            words.append(f"units {units[0]} -> {units[1]}")
        else:
            words.append(name)
    return ", ".join(words)


def _say_numbers(values: NDArray[np.float64], one: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Return numbers of axes as a number where they are the same, without the leading axes in which two agree."""
    first = int(np.argmax(np.asarray(one) != np.asarray(other)))
    first = min(first, max(0, len(values) - 2))
    told = [f"{value:.4g}" for value in values[first:]]
    alike = len(set(map(float, one[first:]))) == 1 and len(set(map(float, other[first:]))) == 1
    return told[0] if alike else f"({', '.join(told)})"
