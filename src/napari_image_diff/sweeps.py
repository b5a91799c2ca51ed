"""Each stage of a comparison, swept over all tiles of an image.

A sweep is one function of a tile, a merge of what the tiles return, and a finish. This room has the order of the
sweeps and nothing of what a tile does.
"""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import preparation, regions, ssim, threshold, tiles
from .settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Map", "find_regions", "label_regions", "measure_map", "prepare", "ssim_map"]

Progress = Callable[[int, int], None]
T = TypeVar("T")


class Map(NamedTuple):
    """The difference of a pair and what was counted on the way."""

    difference: NDArray[np.float32]
    score: float
    histogram: NDArray[np.int64]


def ssim_map(
    before: ArrayLike,
    after: ArrayLike,
    *,
    win_size: int = 7,
    window: Literal["uniform", "gaussian"] = "uniform",
    sigma: float = 1.5,
    use_sample_covariance: bool = True,
    data_range: float = 0.0,
    channels: Literal["auto", "last", "none"] = "auto",
    progress: Progress | None = None,
) -> tuple[float, NDArray[np.float32]]:
    """Return the mean SSIM of two images and 1 - SSIM at each pixel.

    Parameters
    ----------
    before, after : (H, W) or (H, W, 3 or 4) array-like of real numbers
        Images of one size; colour is compared as luma.
    win_size : int
        Side of the uniform window in pixels, odd, from 3 to 181.
    window : {"uniform", "gaussian"}
        Weights of the window.
    sigma : float
        Standard deviation of the Gaussian window in pixels; it is cut at 3.5 sigma.
    use_sample_covariance : bool
        Divide variances by N - 1 instead of N.
    data_range : float
        Span of the intensities; 0 resolves it from the images.
    channels : {"auto", "last", "none"}
        Whether a last axis of 3 or 4 is colour; "auto" takes it so in a 3-D array.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tile; what it raises ends the run.

    Returns
    -------
    score : float
        Mean SSIM, -1 to 1, over the pixels at least half a window away from the border; NaN if none is valid.
    difference : (H, W) float32
        0 = same, 2 = opposite, NaN = not valid.

    Raises
    ------
    TypeError, ValueError
        If an image or a parameter cannot be used; the message says what to do.

    Notes
    -----
    The same as ``1 - structural_similarity(..., full=True)`` of scikit-image on float64, to the rounding of float32.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    >>> score, difference = ssim_map(image, image)
    >>> score, difference.max()
    (1.0, np.float32(0.0))
    """
    settings = Settings(
        win_size=win_size,
        window=window,
        sigma=sigma,
        use_sample_covariance=use_sample_covariance,
        data_range=data_range,
        channels=channels,
    )
    planes = read_planes(before, after, settings)
    step = tiles.stepper(progress, count_slow_steps(planes[0].data.shape))
    score, difference, _ = _sweep_map(prepare(planes, settings, step), settings, step, lambda rows: None)
    return score, difference


def count_slow_steps(shape: Sequence[int]) -> int:
    """Return how often `prepare` and `measure_map` call their step."""
    return 2 * len(tiles.cut_rows(shape))


def count_fast_steps(shape: Sequence[int]) -> int:
    """Return how often `label_regions` calls its step."""
    return 2 * len(tiles.cut_rows(shape, light=True))


def read_planes(before: ArrayLike, after: ArrayLike, settings: Settings) -> tuple[preparation.Plane, preparation.Plane]:
    """Return both images checked against each other and against the window."""
    one = preparation.read_plane(before, "before", settings.channels)
    other = preparation.read_plane(after, "after", settings.channels)
    size, other_size = one.data.shape[:2], other.data.shape[:2]
    if size != other_size:
        raise ValueError(
            f"before is {size[0]} x {size[1]} pixels (rows x columns) and after is {other_size[0]} x {other_size[1]}; "
            "give images of one size: crop both to what they share, or resample one onto the other"
        )
    window = _make_window(settings, 1.0)
    if window.size > min(size):
        largest = min(size) - (min(size) + 1) % 2
        way = f"the largest that fits is win_size={largest}" if largest >= 3 else "no window fits; 3 x 3 is the least"
        if settings.window == "gaussian" and largest >= 3:
            way = f"the largest that fits is {largest}, sigma={(largest // 2 + 0.45) / ssim.GAUSSIAN_REACH:.2f}"
        raise ValueError(
            f"the images are {size[0]} x {size[1]} pixels and the window {window.size} x {window.size}; {way}"
        )
    return one, other


def prepare(
    planes: tuple[preparation.Plane, preparation.Plane], settings: Settings, step: tiles.Step
) -> preparation.Pair:
    """Return the images as gray planes of one dtype, with their data range (sweep 0)."""
    dtypes = (planes[0].data.dtype, planes[1].data.dtype)
    common = preparation.common_dtype(*dtypes)
    shape = planes[0].data.shape[:2]
    targets = [_usable_as_it_is(plane, common) for plane in planes]
    ready = [target if target is not None else np.empty(shape, common) for target in targets]
    resolve = settings.data_range == 0
    # Values of the other dtypes are never too large
    measure = resolve or common == np.float64

    def prepare_tile(rows: tiles.Rows) -> list[preparation.Extent]:
        for plane, target, usable in zip(planes, ready, targets, strict=True):
            if usable is None:
                preparation.write_luma(plane, *rows, target)
        mixed = dtypes[0] != dtypes[1]
        return [preparation.measure_extent(plane, *rows, mixed) for plane in ready] if measure else []

    bands = tiles.cut_rows(shape)
    if any(usable is None for usable in targets) or (measure and common != np.uint8):
        found = tiles.map_tiles(prepare_tile, bands, step)
    else:
        # Nothing to convert and nothing to count: one call instead of a sweep
        found = [prepare_tile((0, shape[0]))]
        step(len(bands))
    before, after = (_read_only(plane) for plane in ready)
    extents = [preparation.merge_extents(list(of_tiles)) for of_tiles in zip(*found, strict=True)]
    data_range = settings.data_range
    if resolve:
        if dtypes[0] != dtypes[1]:
            preparation.check_scales(*dtypes, extents)
        whole = preparation.merge_extents(extents)
        scale = preparation.full_scale(dtypes[0] if dtypes[0] == dtypes[1] else common, whole)
        data_range = scale if scale is not None else _span(before, after, whole.finite, step)
    preparation.check_values(data_range, extents)
    needs_center = common.kind == "f" or settings.window == "gaussian"
    center = preparation.find_center(before, after, data_range) if needs_center else 0.0
    return preparation.Pair(before, after, data_range, center)


def _usable_as_it_is(plane: preparation.Plane, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """Return the image itself where the kernels can read it without a copy."""
    data = plane.data.view(np.uint8) if plane.data.dtype == np.bool_ else plane.data
    usable = plane.channels == "gray" and data.dtype == dtype and data.flags.c_contiguous and data.flags.aligned
    return data if usable else None


def _read_only(plane: NDArray[Any]) -> NDArray[Any]:
    """Return a view that cannot be written to; the kernels are compiled for this kind of array only."""
    view = plane.view(np.ndarray)
    view.flags.writeable = False
    return view


def _span(before: NDArray[Any], after: NDArray[Any], count: int, step: tiles.Step) -> float:
    """Return the span of the two images between the percentiles 0.1 and 99.9, 1 if that is 0.

    The value of a rank is found from its leading bits to its last, by histograms that add up over tiles.
    """
    shape = before.shape
    ranks = [int(preparation.LOW_SHARE * (count - 1)), -int(-preparation.HIGH_SHARE * (count - 1) // 1)]
    keys = [0, 0]
    planes = [preparation.order_keys(plane) for plane in (before, after)]
    for shift in range(before.dtype.itemsize * 8 - preparation.KEY_BITS, -1, -preparation.KEY_BITS):
        prefixes = np.array(keys, np.uint64)

        def count_tile(rows: tiles.Rows, shift: int = shift, prefixes: NDArray[Any] = prefixes) -> NDArray[np.int64]:
            of_planes = [preparation.count_keys(plane, *rows, shift, prefixes) for plane in planes]
            counts: NDArray[np.int64] = np.add(*of_planes)
            return counts

        counts = np.sum(tiles.map_tiles(count_tile, tiles.cut_rows(shape), functools.partial(step, 0)), axis=0)
        for k in range(2):
            upto = np.cumsum(counts[k])
            digit = int(np.searchsorted(upto, ranks[k], side="right"))
            ranks[k] -= int(upto[digit - 1]) if digit else 0
            keys[k] = (keys[k] << preparation.KEY_BITS) | digit
    low, high = (preparation.value_of_key(key, before.dtype) for key in keys)
    return high - low if high > low else 1.0


def measure_map(pair: preparation.Pair, settings: Settings, step: tiles.Step) -> Map:
    """Return the difference of a pair, its score and its histogram (sweep 1)."""
    score, difference, histograms = _sweep_map(pair, settings, step, threshold.count_levels)
    return Map(difference, score, np.sum(histograms, axis=0))


def _sweep_map(
    pair: preparation.Pair, settings: Settings, step: tiles.Step, visit: Callable[[NDArray[np.float32]], T]
) -> tuple[float, NDArray[np.float32], list[T]]:
    """Return score and difference, and what `visit` makes of each tile of it while it is still in the cache."""
    window = _make_window(settings, pair.data_range)
    difference = np.empty(pair.before.shape, np.float32)

    def measure_tile(rows: tiles.Rows) -> tuple[ssim.TileScore, T]:
        score = ssim.measure_tile(pair.before, pair.after, difference, *rows, window, pair.center)
        return score, visit(difference[slice(*rows)])

    found = tiles.map_tiles(measure_tile, tiles.cut_rows(difference.shape), step)
    total = sum(score.total for score, _ in found)
    count = sum(score.pixels for score, _ in found)
    # Python integers, so that the one rounding is that of the division
    score = total / (count * ssim.SCORE_STEPS) if count else float("nan")
    return score, difference, [visited for _, visited in found]


def _make_window(settings: Settings, data_range: float) -> ssim.Window:
    return ssim.make_window(
        settings.window, settings.win_size, settings.sigma, settings.use_sample_covariance, data_range
    )


def find_regions(
    difference: ArrayLike, threshold: float, *, min_area: float = 40.0, progress: Progress | None = None
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Return the filled regions where a difference is greater than a threshold.

    Parameters
    ----------
    difference : (H, W) array-like of floats
        Compared as float32; NaN is not valid: never in a region, and a hole with such a pixel is not filled.
    threshold : float
        A pixel differs where ``difference > threshold``.
    min_area : float
        Regions are kept when their contour area is greater; a negative number keeps all.
    progress : callable, optional
        Called as ``progress(done, total)`` after each tile; what it raises ends the run.

    Returns
    -------
    labels : (H, W) int32
        0 = unchanged, i = region i, in raster order of the regions' first pixels.
    regions : DataFrame
        A row for each region: ``label``, the box ``min_row, min_col, max_row, max_col`` (half-open), ``area`` (pixels),
        ``contour_area`` (as ``cv2.contourArea`` has it), ``centroid_row, centroid_col``, ``difference_mean``,
        ``difference_max``.

    Raises
    ------
    TypeError, ValueError
        If `difference` is not a 2-D array of real numbers with pixels, or a number is not one.

    Examples
    --------
    >>> import numpy as np
    >>> difference = np.zeros((9, 9), np.float32)
    >>> difference[2:7, 2:7] = 1
    >>> labels, regions = find_regions(difference, 0.5, min_area=10)
    >>> regions[["label", "area", "contour_area"]].values.tolist()
    [[1.0, 25.0, 16.0]]
    """
    plane = preparation.read_plane(difference, "difference", "none").data
    cut: Any = threshold
    if not isinstance(cut, numbers.Real) or math.isnan(cut):
        raise ValueError(f"threshold is {threshold!r}; give a number")
    min_area = Settings(min_area=min_area).min_area
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite
        array = np.ascontiguousarray(plane, np.float32)
    step = tiles.stepper(progress, count_fast_steps(array.shape))
    return label_regions(array, threshold, min_area, None, step)


def label_regions(
    difference: NDArray[np.float32],
    cut: float,
    min_area: float,
    pair: preparation.Pair | None,
    step: tiles.Step,
) -> tuple[NDArray[np.int32], pd.DataFrame]:
    """Return labels and table of the regions (sweep 2), with the means of both images where `pair` is given."""
    bands = tiles.cut_rows(difference.shape, light=True)

    def find_tile(rows: tiles.Rows) -> regions.Runs:
        return regions.find_runs(difference[slice(*rows)], cut)

    runs = regions.join_runs(tiles.map_tiles(find_tile, bands, step))
    found = regions.make_regions(runs, difference.shape[1], min_area)
    labels = np.empty(difference.shape, np.int32)
    quantities = [regions.make_quantity(found, difference, 1.0)]
    if pair is not None:
        quantities += [
            regions.make_quantity(found, plane, pair.data_range, pair.center) for plane in (pair.before, pair.after)
        ]

    def paint_tile(rows: tiles.Rows) -> None:
        regions.paint_tile(found, *rows, labels)
        for quantity in quantities:
            regions.measure_tile(found, *rows, quantity)

    tiles.map_tiles(paint_tile, bands, step)
    return labels, regions.make_table(found, *quantities)
