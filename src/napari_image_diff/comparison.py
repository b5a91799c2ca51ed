"""Comparing two images: the whole pipeline, and what comes of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import sweeps, threshold, tiles
from .preparation import Pair, Plane
from .settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What changed between two images; made by :func:`compare`.

    Attributes
    ----------
    score : float
        Mean SSIM, -1 to 1, over the pixels at least half a window away from the border; 1 = same.
    difference : (H, W) float32
        1 - SSIM at each pixel: 0 = same, 2 = opposite, NaN = not valid.
    threshold : float
        A pixel differs where ``difference > threshold``.
    labels : (H, W) int32
        0 = unchanged, i = region i; regions are filled and numbered in raster order of their first pixels.
    regions : DataFrame
        A row for each region: ``label``, the box ``min_row, min_col, max_row, max_col`` (pixels, half-open), ``area``
        (pixels), ``contour_area`` (as ``cv2.contourArea`` has it), ``centroid_row, centroid_col`` (pixels),
        ``difference_mean, difference_max``, ``before_mean, after_mean`` (intensities, luma for colour).
    settings : Settings
        What was asked.
    resolved : dict
        What was found out and used: ``data_range``, ``channels`` of either image, ``threshold_rule``, ``otsu_level``
        (None for a number), ``identical`` (every value of both images the same), ``same_luma`` (in colour images
        nothing differs but what is not compared, if anything), ``pixels_not_valid``, ``versions``.
    pair : Pair
        The two images as they were compared: gray planes, read-only; shares memory with the inputs where it can.
    histogram : (256,) int64
        Pixels at each level of SSIM in 8 bits; Otsu's level comes from it.
    """

    score: float
    difference: NDArray[np.float32]
    threshold: float
    labels: NDArray[np.int32]
    regions: pd.DataFrame
    settings: Settings
    resolved: dict[str, Any]
    pair: Pair
    histogram: NDArray[np.int64]

    @property
    def changed(self) -> bool:
        """Whether there is any region."""
        return len(self.regions) > 0

    @property
    def changed_fraction(self) -> float:
        """Share of the valid pixels that lie in regions, 0 to 1."""
        valid = self.difference.size - self.resolved["pixels_not_valid"]
        return int(self.regions["area"].sum()) / valid if valid else 0.0

    @property
    def summary(self) -> str:
        """The result in one line."""
        count = len(self.regions)
        found = f"{count:,} region{'s' if count != 1 else ''}, {self.changed_fraction:.2%} changed"
        if not count:
            found = "identical" if self.resolved["identical"] else "no region"
            if not self.resolved["identical"] and self.resolved["same_luma"]:
                found = "no difference in luma (colour and alpha are not compared)"
        rule = "Otsu" if self.resolved["threshold_rule"] == "otsu" else "set"
        invalid = self.resolved["pixels_not_valid"]
        left_out = f", {invalid:,} pixels not valid" if invalid else ""
        as_luma = ", colour compared as luma" if set(self.resolved["channels"].values()) != {"gray"} else ""
        return f"score {self.score:.4f}, {found}, threshold {self.threshold:.3f} ({rule}){as_luma}{left_out}"

    def __repr__(self) -> str:
        """Return the summary: arrays are too long for a line."""
        return f"<Comparison: {self.summary}>"

    def rethreshold(
        self,
        threshold: float | str | None = None,
        min_area: float | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Comparison:
        """Return the comparison with another threshold or minimum area; the difference is not computed again.

        Parameters
        ----------
        threshold : float or "otsu", optional
            As in `Settings`; that of this comparison's settings by default.
        min_area : float, optional
            As in `Settings`; that of this comparison's settings by default.
        progress : callable, optional
            Called as ``progress(done, total)`` after each tile; what it raises ends the run.

        Returns
        -------
        Comparison
            Shares ``difference``, ``pair`` and ``histogram`` with this one.

        Raises
        ------
        TypeError, ValueError
            If a value is not one that `Settings` takes.
        """
        asked = {"threshold": threshold, "min_area": min_area}
        settings = Settings.resolve(
            self.settings, **{name: value for name, value in asked.items() if value is not None}
        )
        step = tiles.stepper(progress, sweeps.count_fast_steps(self.difference.shape))
        found = sweeps.Map(self.difference, self.score, self.histogram)
        return _cut(found, self.pair, settings, self.resolved, step)


def compare(
    before: ArrayLike,
    after: ArrayLike,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Comparison:
    """Find what changed between two images.

    Parameters
    ----------
    before, after : (H, W) or (H, W, 3 or 4) array-like of real numbers
        Images of one size, of any layout and container (numpy, dask, zarr, xarray, memory-mapped); never written to.
        Colour is compared as luma; alpha is not used.
    settings : Settings, optional
        All parameters; ``Settings()`` by default.
    progress : callable, optional
        Called as ``progress(done, total)`` on the calling thread after each tile; an exception that it raises ends
        the run and goes on to the caller.
    **changes
        Single fields of `Settings`, such as ``threshold=0.2``.

    Returns
    -------
    Comparison
        Score, difference, threshold, labels and table of regions.

    Raises
    ------
    TypeError, ValueError
        If an image or a setting cannot be used; the message says what was found, what is wanted, what to do.

    Notes
    -----
    SSIM map, Otsu's threshold and filled external contours, as in A. Rosebrock, "Image Difference with OpenCV and
    Python", PyImageSearch 2017, and the StackOverflow answer "Extract differences between two images".

    Examples
    --------
    >>> import numpy as np
    >>> before = np.full((64, 64), 50, np.uint8)
    >>> after = before.copy()
    >>> after[20:40, 30:50] = 200
    >>> compare(before, after).regions[["min_row", "min_col", "max_row", "max_col"]].values.tolist()
    [[17, 27, 43, 53]]
    """
    asked = Settings.resolve(settings, **changes)
    planes = sweeps.read_planes(before, after, asked)
    shape = planes[0].data.shape
    step = tiles.stepper(progress, sweeps.count_slow_steps(shape) + sweeps.count_fast_steps(shape))
    pair = sweeps.prepare(planes, asked, step)
    found = sweeps.measure_map(pair, asked, step)
    resolved = {
        "data_range": pair.data_range,
        "channels": {"before": planes[0].channels, "after": planes[1].channels},
        "pixels_not_valid": found.difference.size - int(found.histogram.sum()),
        **_say_same(planes, found),
        "versions": dict(_versions()),
    }
    return _cut(found, pair, asked, resolved, step)


def _cut(found: sweeps.Map, pair: Pair, settings: Settings, resolved: dict[str, Any], step: tiles.Step) -> Comparison:
    """Do the fast half: from the difference to the regions."""
    rule = settings.threshold if isinstance(settings.threshold, str) else "number"
    level = threshold.otsu_level(found.histogram) if rule == "otsu" else None
    cut = threshold.threshold_of_level(level) if level is not None else float(settings.threshold)
    labels, regions = sweeps.label_regions(found.difference, cut, settings.min_area, pair, step)
    return Comparison(
        score=found.score,
        difference=found.difference,
        threshold=cut,
        labels=labels,
        regions=regions,
        settings=settings,
        resolved={**resolved, "threshold_rule": rule, "otsu_level": level},
        pair=pair,
        histogram=found.histogram,
    )


def _say_same(planes: tuple[Plane, Plane], found: sweeps.Map) -> dict[str, bool]:
    """Return whether the images are identical, pixel by pixel, and whether only their luma is the same."""
    if found.histogram[-1] < found.difference.size or found.difference.any():
        return {"identical": False, "same_luma": False}
    before, after = (plane.data for plane in planes)
    return {"identical": np.array_equal(before, after), "same_luma": planes[0].channels != "gray"}


@functools.cache
def _versions() -> Mapping[str, str]:
    """Return the versions that a result depends on; looking them up takes milliseconds."""
    return {name: version(name) for name in ("napari-image-diff", "numpy", "numba", "opencv-python-headless")}
