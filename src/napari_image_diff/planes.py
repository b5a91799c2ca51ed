"""From two arrays to planes: gray ones of one type with their data range, and colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import preparation, ssim, tiles
from .preparation import Pair, Plane
from .settings import Settings

__all__ = [
    "COUNTING",
    "axes_of",
    "blank",
    "check_sides",
    "forget_transparent",
    "is_transparent",
    "make_colours",
    "make_gray",
    "make_window",
    "opaque",
    "read_only",
    "read_planes",
    "sides_of",
    "usable_as_it_is",
    "with_nan",
]


# Masks that say what counts; "ignore" says what does not.
COUNTING = ("inside", "overlap")


def read_planes(
    before: ArrayLike, after: ArrayLike, settings: Settings, *, stacks: bool = False
) -> tuple[Plane, Plane]:
    """Return both images checked against each other and the window; with `stacks` they may have leading axes."""
    one = preparation.read_plane(before, "before", settings.channels, stacks)
    other = preparation.read_plane(after, "after", settings.channels, stacks)
    check_sides(one, other, settings)
    return one, other


def check_sides(one: Plane, other: Plane, settings: Settings) -> None:
    """Raise ValueError where images of these sides cannot be compared: before, after."""
    size, other_size = sides_of(one), sides_of(other)
    if size != other_size and settings.size == "error":
        raise ValueError(
            f"before is {_say_sides(one)} pixels (rows x columns) and after is {_say_sides(other)}; "
            "give images of one size, or size='overlap' to compare what they share, or size='pad' to see the rest as "
            "regions too; an image of another scale has to be resampled onto the other first"
        )
    _check_window((min(size[0], other_size[0]), min(size[1], other_size[1])), settings)


def axes_of(plane: Plane) -> int:
    """Return the number of axes of one frame: rows, columns and, in colour, channels."""
    return 2 if plane.channels == "gray" else 3


def sides_of(plane: Plane) -> tuple[int, int]:
    """Return rows and columns of one frame."""
    first = len(plane.data.shape) - axes_of(plane)
    rows, columns = plane.data.shape[first : first + 2]
    return rows, columns


def _say_sides(plane: Plane) -> str:
    """Return rows and columns, and how many frames there are of them."""
    frames = plane.data.shape[: len(plane.data.shape) - axes_of(plane)]
    sides = " x ".join(map(str, sides_of(plane)))
    return f"{' x '.join(map(str, frames))} frames of {sides}" if frames else sides


def _check_window(size: tuple[int, int], settings: Settings) -> None:
    window = make_window(settings, 1.0)
    if window.size > min(size):
        largest = min(size) - (min(size) + 1) % 2
        way = f"the largest that fits is win_size={largest}" if largest >= 3 else "no window fits; 3 x 3 is the least"
        if settings.window == "gaussian" and largest >= 3:
            way = f"the largest that fits is {largest}, sigma={(largest // 2 + 0.45) / ssim.GAUSSIAN_REACH:.2f}"
        raise ValueError(
            f"the images are {size[0]} x {size[1]} pixels and the window {window.size} x {window.size}; {way}"
        )


def make_window(settings: Settings, data_range: float, volume: preparation.Volume | None = None) -> ssim.Window:
    """Return SSIM's window for the given settings, for images or a volume."""
    share = 0.0 if volume is None else volume.plane_share
    return ssim.make_window(
        settings.window, settings.win_size, settings.sigma, settings.use_sample_covariance, data_range, share
    )


def make_gray(
    planes: tuple[Plane, Plane],
    valid: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None,
    settings: Settings,
    step: tiles.Step,
    there: NDArray[np.bool_] | None = None,
) -> Pair:
    """Return the images as gray planes of one dtype, with their data range; each keeps its size.

    `valid` says which pixels of each count, `there` which after has at all, None for all.
    """
    dtypes = (planes[0].data.dtype, planes[1].data.dtype)
    common = preparation.common_dtype(*dtypes)
    resolve = settings.data_range == 0
    # Values of the other dtypes are never too large
    measure = resolve or common == np.float64
    ready, counted, extents = [], [], []
    masks = valid or (None, None)
    for plane, mask, each_step in zip(planes, masks, (tiles.uncounted(step), step), strict=True):
        luma, counts, extent = _make_luma(plane, common, mask, measure, dtypes[0] != dtypes[1], each_step)
        ready.append(luma)
        counted.append(counts)
        extents.append(extent)
    data_range = settings.data_range
    if resolve:
        scale = preparation.find_scale(dtypes, extents)
        data_range = scale if scale is not None else _span(counted, sum(each.finite for each in extents), step)
    preparation.check_values(data_range, extents if measure else [])
    if valid is not None:
        ready[0] = with_nan(ready[0], valid[0])
        ready[1] = ready[1].astype(ready[0].dtype) if there is None else with_nan(ready[1], there)
    before, after = (read_only(plane) for plane in ready)
    return Pair(before, after, data_range, *preparation.find_middle(common, before, after, data_range))


def _make_luma(
    plane: Plane,
    dtype: np.dtype[Any],
    valid: NDArray[np.bool_] | None,
    measure: bool,
    with_scales: bool,
    step: tiles.Step,
) -> tuple[NDArray[Any], NDArray[Any], preparation.Extent]:
    """Return one image as gray, the same of its valid pixels alone, and their extent (of nothing, unless `measure`)."""
    usable = usable_as_it_is(plane, dtype)
    shape = plane.data.shape[:2]
    luma = usable if usable is not None else np.empty(shape, dtype)
    counted = luma

    def write_tile(rows: tiles.Rows) -> None:
        preparation.write_luma(plane, *rows, luma)

    def prepare_tile(rows: tiles.Rows) -> preparation.Extent | None:
        if usable is None and valid is None:
            preparation.write_luma(plane, *rows, luma)
        return preparation.measure_extent(counted, *rows, with_scales) if measure else None

    bands = tiles.cut_rows(shape)
    if valid is not None:
        # What is not valid must not decide the data range: 0 is never above a full scale
        if usable is None:
            tiles.map_tiles(write_tile, bands, tiles.uncounted(step))
        counted = blank(luma, valid)
    if usable is None or (measure and dtype != np.uint8):
        found = tiles.map_tiles(prepare_tile, bands, step)
    else:
        # Nothing to convert and nothing to count: one call instead of a sweep
        found = [prepare_tile((0, shape[0]))]
        step(len(bands))
    extents = [extent for extent in found if extent is not None]
    return luma, counted, preparation.merge_extents(extents) if extents else preparation.NOTHING


def blank(plane: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a copy in which what is not valid has no say in the data range: 0 in integers, NaN in floats."""
    copy = plane.copy()
    copy[~valid] = 0 if plane.dtype.kind == "u" else np.nan
    return copy


def with_nan(plane: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[Any]:
    """Return a copy as floats with NaN where a pixel is not valid."""
    copy: NDArray[Any] = plane.astype(np.result_type(plane.dtype, np.float32))
    copy[~valid] = np.nan
    return copy


def usable_as_it_is(plane: Plane, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the image itself where the kernels can read it without a copy."""
    data = plane.data.view(np.uint8) if plane.data.dtype == np.bool_ else plane.data
    usable = plane.channels == "gray" and data.dtype == dtype and data.flags.c_contiguous and data.flags.aligned
    return data if usable else None


def read_only(plane: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to; the kernels are compiled for this kind of array only."""
    view = plane.view(np.ndarray)
    view.flags.writeable = False
    return view


def _span(planes: list[NDArray[Any]], pixels: int, step: tiles.Step) -> float:
    """Return the span of the two images between the percentiles 0.1 and 99.9, 1 if that is 0.

    The value of a rank is found from its leading bits to its last, by histograms that add up over tiles.
    """
    bits = [preparation.order_keys(plane) for plane in planes]
    work = [(plane, rows) for plane in bits for rows in tiles.cut_rows(plane.shape)]

    def count(shift: int, prefixes: NDArray[Any]) -> NDArray[np.int64]:
        def count_tile(item: tuple[NDArray[Any], tiles.Rows]) -> NDArray[np.int64]:
            counts: NDArray[np.int64] = preparation.count_keys(item[0], *item[1], shift, prefixes)
            return counts

        return np.asarray(np.sum(tiles.map_tiles(count_tile, work, tiles.uncounted(step)), axis=0))

    return preparation.find_span(count, pixels, planes[0].dtype)


def make_colours(
    planes: tuple[Plane, Plane], data_range: float, with_alpha: bool
) -> tuple[NDArray[Any], NDArray[Any]] | tuple[()]:
    """Return both images in colour, of one dtype and number of channels: (H, W, 3), or 4 `with_alpha`.

    A gray image has three equal channels; where alpha is missing it is opaque. Alpha is brought to the data range.
    """
    dtype = preparation.common_dtype(planes[0].data.dtype, planes[1].data.dtype)
    found = []
    for plane in planes:
        data = plane.data[..., None] if plane.channels == "gray" else plane.data
        if not with_alpha and data.shape[2] == 3 and data.dtype == dtype and data.flags.c_contiguous:
            found.append(read_only(data))
            continue
        colours = np.empty((*data.shape[:2], 4 if with_alpha else 3), dtype)
        colours[..., :3] = data[..., :3]
        if with_alpha:
            full = opaque(plane.data.dtype, data_range)
            share = data[..., 3] / full if plane.channels == "RGBA" else 1.0
            whole = np.multiply(share, data_range)
            colours[..., 3] = whole if dtype.kind == "f" else np.rint(whole)
        found.append(read_only(colours))
    return found[0], found[1]


def forget_transparent(planes: Sequence[Plane]) -> None:
    """Set the colour of two images that begin at one pixel to 0, in place, where either is fully transparent."""
    rows, columns = (min(plane.data.shape[axis] for plane in planes) for axis in range(2))
    bands = [plane.data[:rows, :columns] for plane in planes]
    clear = np.zeros((rows, columns), np.bool_)
    for band, plane in zip(bands, planes, strict=True):
        if plane.channels == "RGBA":
            clear |= band[..., 3] == 0
    for band in bands:
        (band if band.ndim == 2 else band[..., :3])[clear] = 0


def is_transparent(plane: Plane) -> bool:
    """Return whether any pixel of an image is less than opaque."""
    if plane.channels != "RGBA":
        return False
    alpha = plane.data[..., 3]
    return bool((alpha != alpha.max()).any()) or float(alpha.max()) < opaque(alpha.dtype, float(alpha.max()))


def opaque(dtype: np.dtype[Any], data_range: float) -> float:
    """Return the alpha of an opaque pixel: the largest of an integer type, 1 in floats up to 1, else the data range."""
    if dtype.kind == "b":
        return 1.0
    if dtype.kind in "ui":
        return float(np.iinfo(dtype).max)
    return max(1.0, data_range)
