"""Each stage of a comparison, swept over all tiles of an image.

A sweep is one function of a tile, a merge of what the tiles return, and a finish. This room has the order of the
sweeps and nothing of what a tile does.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import planes, preparation, regions, ssim, threshold, tiles
from .settings import Settings
from .tables import Columns, make_frame
from .tiles import Progress

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Map", "find_regions", "label_regions", "measure_map", "paint_regions", "ssim_map"]

T = TypeVar("T")


class Map(NamedTuple):
    """The difference of a pair and what was counted on the way."""

    difference: NDArray[np.float32]
    """(H, W), of a volume (planes, H, W)."""
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
    settings = Settings.classic(
        win_size=win_size,
        window=window,
        sigma=sigma,
        use_sample_covariance=use_sample_covariance,
        data_range=data_range,
        channels=channels,
    )
    images = planes.read_planes(before, after, settings)
    step = tiles.stepper(progress, count_slow_steps(images[0].data.shape))
    score, difference, _ = _sweep_map(planes.make_gray(images, None, settings, step), settings, step, lambda rows: None)
    return score, difference


def count_slow_steps(shape: Sequence[int]) -> int:
    """Return how often `make_gray` and `measure_map` call their step."""
    return 2 * len(tiles.cut_rows(shape))


def count_fast_steps(shape: Sequence[int]) -> int:
    """Return how often `label_regions` calls its step."""
    return 2 * len(tiles.cut_rows(shape, light=True))


def measure_map(pair: preparation.Pair, settings: Settings, step: tiles.Step) -> Map:
    """Return the difference of a pair, its score and its histogram (sweep 1)."""
    score, difference, histograms = _sweep_map(pair, settings, step, threshold.count_levels)
    return Map(difference, score, np.sum(histograms, axis=0))


def _sweep_map(
    pair: preparation.Pair, settings: Settings, step: tiles.Step, visit: Callable[[NDArray[np.float32]], T]
) -> tuple[float, NDArray[np.float32], list[T]]:
    """Return score and difference, and what `visit` makes of each tile of it while it is still in the cache."""
    window = planes.make_window(settings, pair.data_range, pair.volume)
    difference = np.empty(pair.before.shape, np.float32)
    count_planes = pair.volume.planes if pair.volume is not None else 1

    def measure_tile(rows: tiles.Rows) -> tuple[ssim.TileScore, T]:
        score = ssim.measure_tile(pair.before, pair.after, difference, *rows, window, pair.center, count_planes)
        return score, visit(difference[slice(*rows)])

    found = tiles.map_tiles(measure_tile, tiles.cut_rows(difference.shape), step)
    total = sum(score.total for score, _ in found)
    count = sum(score.pixels for score, _ in found)
    # Python integers, so that the one rounding is that of the division
    score = total / (count * ssim.SCORE_STEPS) if count else float("nan")
    return score, preparation.fold(difference, pair.volume), [visited for _, visited in found]


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
    labels, table = label_regions(array, threshold, min_area, None, step)
    return labels, make_frame(table)


def label_regions(
    difference: NDArray[np.float32],
    cut: float,
    min_area: float,
    pair: preparation.Pair | None,
    step: tiles.Step,
) -> tuple[NDArray[np.int32], Columns]:
    """Return labels and table of the regions (sweep 2), with the means of both images where `pair` is given.

    A `difference` (planes, H, W) is one of volumes.
    """
    tall = preparation.unfold(difference)
    count_planes = len(difference) if difference.ndim == 3 else None

    def find_tile(rows: tiles.Rows) -> regions.Runs:
        return regions.find_runs(tall[slice(*rows)], cut)

    runs = regions.join_runs(tiles.map_tiles(find_tile, tiles.cut_rows(tall.shape, light=True), step))
    found = regions.make_regions(runs, tall.shape[1], min_area, count_planes)
    return paint_regions(found, difference, None, pair, step)


def paint_regions(
    found: regions.Regions,
    difference: NDArray[np.float32],
    evidence: NDArray[np.float32] | None,
    pair: preparation.Pair | None,
    step: tiles.Step,
) -> tuple[NDArray[np.int32], Columns]:
    """Return labels and table of regions that were found."""
    labels = np.empty(difference.shape, np.int32)
    tall, count = preparation.unfold(labels), found.labels.size
    quantities = {"difference": regions.make_quantity(count, preparation.unfold(difference), 1.0)}
    if evidence is not None:
        quantities["evidence"] = regions.make_quantity(count, preparation.unfold(evidence), 1.0)
    if pair is not None:
        for name, plane in (("before", pair.before), ("after", pair.after)):
            quantities[name] = regions.make_quantity(count, plane, pair.data_range, pair.center)

    def paint_tile(rows: tiles.Rows) -> None:
        regions.paint_tile(found, *rows, tall)
        for quantity in quantities.values():
            regions.measure_tile(found, *rows, quantity)

    tiles.map_tiles(paint_tile, tiles.cut_rows(tall.shape, light=True), step)
    return labels, regions.make_table(found, quantities)
