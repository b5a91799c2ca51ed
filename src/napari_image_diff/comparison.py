"""Comparing two images: the whole pipeline, and what comes of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import frames, in_memory, tiles
from .measured import Cut, Cuts, Measured
from .noise import Limits
from .settings import Settings
from .sources import is_lazy
from .tables import Columns, count_rows, make_frame
from .tiles import Step
from .versions import find_versions
from .world import World, add_physical, read_world

if TYPE_CHECKING:
    import pandas as pd

    from .in_parts import Pyramid

__all__ = ["Comparison", "compare"]

# What is less would be said to be 0.00 %.
LEAST_SHARE = 0.00005

# Regions whose difference is nowhere above this are practically invisible to SSIM.
INVISIBLE = 0.05


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """What changed between two images; made by :func:`compare`.

    Of a stack, arrays begin with its leading axes, here "...", and `frames` has the comparison of each frame. Those of
    volumes (``spatial_ndim=3``) are (..., planes, H, W).

    Attributes
    ----------
    score : float, or (...) float64
        Mean SSIM, -1 to 1, over the pixels at least half a window away from the border; 1 = same.
    difference : (..., H, W) float32
        1 - SSIM at each pixel: 0 = same, 2 = opposite, NaN = not valid.
    measured : (..., H, W) float32 or None
        Evidence, kept for another threshold, too.
    threshold : float, or (...) float64
        A pixel differs where ``difference > threshold``, or ``evidence > threshold`` if there is evidence.
    labels : (..., H, W) int32
        0 = unchanged, i = region i; regions are filled and numbered in raster order of their first pixels, on and on
        over all frames.
    regions : DataFrame
        A row for each region: ``label``, of a stack the index of its ``frame`` (of several leading axes ``axis_0,
        axis_1, ...``), the box ``min_row, min_col, max_row, max_col`` (pixels, half-open), ``area`` (pixels),
        ``contour_area`` (as ``cv2.contourArea`` has it), ``centroid_row, centroid_col`` (pixels),
        ``difference_mean, difference_max``, ``before_mean, after_mean`` (intensities, luma for colour). With
        evidence also ``evidence_mean, evidence_max``, ``kind`` (added, removed, moved, recoloured, brighter, darker,
        texture, or "only in before" and "only in after"), ``reason`` (why it is of that kind, in words), and of what
        moved ``moved_rows, moved_cols`` (pixels) and ``partner`` (the label at the other end, 0 if none). Of volumes
        also ``min_plane, max_plane, centroid_plane``; there ``area`` counts voxels, ``contour_area`` is left out, and
        the kind is that of the plane which has most of the region. Where `compare` was told of a world, and of layers
        that have a scale or a unit, also ``physical_area``, ``physical_row, physical_col`` (the centroid; of volumes
        ``physical_plane``, too) and ``unit``: the area is in its square, of volumes in its cube.
    forgiven : DataFrame
        The boxes ``min_row, min_col, max_row, max_col`` of what a displacement by some pixels explains: no regions.
    region_columns, forgiven_columns : dict of arrays
        Both tables, an array for each name: what the DataFrames are made of when they are first asked for.
    settings : Settings
        What was asked.
    resolved : dict
        What was found out and used: ``data_range``, ``channels`` of either image, ``threshold_rule``, ``otsu_level``
        (None for other rules), ``identical`` (every value of both images the same), ``same_luma`` (in colour images
        nothing differs in luma), ``sizes`` (rows and columns of either image), ``pixels_not_valid``,
        ``pixels_not_shared`` (of images of different size), ``offset`` (median of after - before, intensity),
        ``alignment`` (outcome, reason, and the transform that was undone: in pixels and degrees, and as the matrix that
        takes (row, column, 1) of before to its place in after), ``intensity`` (gain and offset that were undone), with
        evidence ``noise`` (standard deviation of after - before, intensity) and ``edge_tolerance`` (pixels),
        ``versions``. Of a stack also ``frames``, names and lengths of its leading axes, and ``frames_not_shared``
        (frames that only one of the two has; they are not compared). Of volumes also ``window`` (planes, rows and
        columns of SSIM's window) and ``spacing``; ``sizes`` begin with the planes. Of layers whose pixels do not
        coincide, ``overlay`` says how they were compared (see `add_comparison`). Where the place of *before* is known,
        ``world`` has ``matrix`` and ``unit``, as `compare` takes them. Of a stack, pixels are added up,
        ``identical`` is what is so in all frames, and where frames may differ there is a list with a value for each.
    pair : Pair or None
        The two images as they were compared: gray planes and colours, read-only; shares memory with the inputs where it
        can. Of a stack each of `frames` has its own. The planes of volumes lie one under the other, as one tall plane.
    histogram : (..., 256) int64
        Pixels at each level of SSIM in 8 bits; Otsu's level comes from it.
    limits : Limits or None
        What noise and edges explain in this pair, if that was measured; kept for another threshold, too.
    frames : tuple of Comparison
        The frames of a stack in order, views of it and with its labels; empty for a single pair.
    pyramid : Pyramid or None
        Of images that are read in parts, `difference`, `evidence` and `labels` from full size to an overview. There,
        these arrays and `pair` are dask arrays, of which what is asked for is worked out from the images. Coarser
        levels of volumes have all planes.
    parts : object
        Of images that are read in parts what `rethreshold` goes on with; for this package alone.
    """

    score: Any
    difference: NDArray[np.float32]
    measured: NDArray[np.float32] | None
    threshold: Any
    labels: NDArray[np.int32]
    region_columns: Columns
    forgiven_columns: Columns
    settings: Settings
    resolved: dict[str, Any]
    pair: Any
    histogram: NDArray[np.int64]
    limits: Limits | None
    frames: tuple[Comparison, ...] = ()
    pyramid: Pyramid | None = None
    parts: Any = dataclasses.field(default=None, repr=False)

    @property
    def evidence(self) -> NDArray[np.float32] | None:
        """(H, W) float32: how far a pixel exceeds what noise and edges explain, 1 = the limit, NaN = not valid.

        None unless the threshold is "auto".
        """
        return self.measured if self.resolved["threshold_rule"] == "auto" else None

    @functools.cached_property
    def regions(self) -> pd.DataFrame:
        """The table of regions, a row for each."""
        return make_frame(self.region_columns)

    @functools.cached_property
    def forgiven(self) -> pd.DataFrame:
        """The table of what a small displacement explains."""
        return make_frame(self.forgiven_columns)

    @property
    def changed(self) -> bool:
        """Whether there is any region."""
        return count_rows(self.region_columns) > 0

    @property
    def changed_fraction(self) -> float:
        """Share of the pixels compared, or in one image only, that lie in regions, 0 to 1."""
        pixels = self.difference.size - self.resolved["pixels_not_valid"]
        if self.changed and self.settings.size == "pad":
            pixels += self.resolved["pixels_not_shared"]
        return min(1.0, int(self.region_columns["area"].sum()) / pixels) if pixels else 0.0

    @property
    def worst_frame(self) -> tuple[int, ...]:
        """The index of the frame of which most changed, or if none did has the lowest score; a number for each axis."""
        changed = [int(frame.region_columns["area"].sum()) for frame in self.frames]
        scores = np.where(np.isnan(self.score), np.inf, self.score)
        worst = np.argmax(changed) if any(changed) else np.argmin(scores)
        return tuple(int(index) for index in np.unravel_index(worst, np.shape(scores)))

    @property
    def verdict(
        self,
    ) -> Literal["identical", "no difference beyond noise", "no difference beyond the threshold", "different"]:
        """Which of three it is: "identical", "no difference beyond noise" (or "the threshold"), or "different"."""
        if self.changed:
            return "different"
        if self.resolved["identical"]:
            return "identical"
        return "no difference beyond noise" if self.evidence is not None else "no difference beyond the threshold"

    @property
    def summary(self) -> str:
        """The result in one line."""
        if self.frames:
            return self._sum_up()
        parts = [f"score {self.score:.4f}, {self._say_found()}"]
        if self.resolved["threshold_rule"] != "auto":
            rule = "Otsu" if self.resolved["threshold_rule"] == "otsu" else "set"
            parts.append(f"threshold {self.threshold:.3f} ({rule})")
            if set(self.resolved["channels"].values()) != {"gray"}:
                parts.append("colour compared as luma")
        elif self.verdict != "identical" and self.resolved["noise"] is not None:
            parts.append(f"noise {self.resolved['noise']:.3g}")
            if abs(self.resolved["offset"]) >= self.resolved["data_range"] / 255:
                parts.append(f"intensity {self.resolved['offset']:+.3g} all over")
        if self.resolved["alignment"]["outcome"] in ("aligned", "could not align"):
            words = "undone" if self.resolved["alignment"]["outcome"] == "aligned" else "could not align"
            parts.append(f"{words}: {self.resolved['alignment']['reason']}")
        return ", ".join([*parts, *self._say_left_out()])

    def _sum_up(self) -> str:
        """Return the summary of a stack."""
        different = sum(frame.changed for frame in self.frames)
        count = len(self.frames)
        parts = [f"{count:,} frame{'s' * (count != 1)}, {f'{different:,} different' if different else self.verdict}"]
        if different:
            count = count_rows(self.region_columns)
            worst = self.worst_frame if len(self.worst_frame) > 1 else self.worst_frame[0]
            parts.append(f"{count:,} region{'s' * (count != 1)}, {self._say_share()} changed, most in frame {worst}")
        if np.isfinite(self.score).any():
            parts.append(f"score {np.nanmin(self.score):.4f} and more")
        noise = [each for each in self.resolved["noise"] if each is not None]
        if noise and self.verdict != "identical":
            least, most = f"{min(noise):.3g}", f"{max(noise):.3g}"
            parts.append(f"noise {least}" + (f" to {most}" if most != least else ""))
        outcomes = [frame.resolved["alignment"]["outcome"] for frame in self.frames]
        for outcome, text in (("aligned", "moved into place"), ("could not align", "could not be aligned")):
            if outcome in outcomes:
                parts.append(f"{outcomes.count(outcome):,} {text}")
        return ", ".join([*parts, *self._say_left_out()])

    def _say_left_out(self) -> list[str]:
        """Return how much is forgiven and how much does not count."""
        counts = {
            "explained by a local shift": count_rows(self.forgiven_columns),
            "pixels in one image only": self.resolved["pixels_not_shared"],
            "frames in one image only": self.resolved.get("frames_not_shared", 0),
            "pixels not compared": self.resolved["pixels_not_valid"],
        }
        one = ((text.replace("s ", " ", 1) if count == 1 else text, count) for text, count in counts.items())
        return [f"{count:,} {text}" for text, count in one if count]

    def _say_found(self) -> str:
        """Return how many regions there are and how much they cover, or which kind of nothing there is."""
        count = count_rows(self.region_columns)
        if not count:
            if not self.resolved["identical"] and self.resolved["same_luma"] and self.evidence is None:
                return "no difference in luma (colour and alpha are not compared)"
            return "no region" if self.verdict == "no difference beyond the threshold" else self.verdict
        found = f"{count:,} region{'s' if count != 1 else ''}"
        if self.evidence is not None and not (self.region_columns["difference_max"] > INVISIBLE).any():
            kinds = ", ".join(dict.fromkeys(self.region_columns["kind"]))
            return f"yet {found}: {kinds}, {self._say_share()} changed"
        return f"{found}, {self._say_share()} changed"

    def _say_share(self) -> str:
        """Return how much lies in regions: of large images, of which it is next to nothing, the number of pixels."""
        share = self.changed_fraction
        return f"{share:.2%}" if share >= LEAST_SHARE else f"{int(self.region_columns['area'].sum()):,} pixels"

    def __repr__(self) -> str:
        """Return the summary: arrays are too long for a line."""
        return f"<Comparison: {self.summary}>"

    def rethreshold(
        self,
        threshold: float | str | None = None,
        min_area: float | None = None,
        sensitivity: float | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Comparison:
        """Return the comparison with another threshold, minimum area or sensitivity; nothing else is computed again.

        Images in chunks are read again, tile by tile: their maps were not kept.

        Parameters
        ----------
        threshold : float, "auto" or "otsu", optional
            As in `Settings`; that of this comparison's settings by default.
        min_area, sensitivity : float, optional
            As in `Settings`; those of this comparison's settings by default.
        progress : callable, optional
            Called as ``progress(done, total)`` after each tile; what it raises ends the run.

        Returns
        -------
        Comparison
            Shares ``difference``, ``evidence``, ``pair`` and ``histogram`` with this one. Evidence is measured when
            "auto" is asked for the first time.

        Raises
        ------
        TypeError, ValueError
            If a value is not one that `Settings` takes.
        """
        asked = {"threshold": threshold, "min_area": min_area, "sensitivity": sensitivity}
        settings = Settings.resolve(
            self.settings, **{name: value for name, value in asked.items() if value is not None}
        )
        measured = [
            Measured(
                frame.score,
                frame.histogram,
                frame.difference,
                frame.measured,
                frame.limits,
                frame.pair,
                frame.resolved,
                frame.parts,
            )
            for frame in self.frames or (self,)
        ]
        way = _find_way(self.parts is not None or any(frame.parts is not None for frame in self.frames))
        step = tiles.stepper(progress, way.count_cut_steps(measured, settings))
        return _cut(way, measured, settings, self.resolved.get("frames", {}), step)


def compare(
    before: ArrayLike,
    after: ArrayLike,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    inside: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    overlap: ArrayLike | None = None,
    evidence: Callable[[NDArray[Any], NDArray[Any]], ArrayLike] | None = None,
    axes: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    world: World | None = None,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Comparison:
    """Find what changed between two images.

    Parameters
    ----------
    before, after : (..., H, W) or (..., H, W, 3 or 4) array-like of real numbers
        Images of any layout and container (numpy, dask, zarr, xarray, memory-mapped); never written to. Leading axes
        (time, depth) are frames: each frame of one is compared with the same of the other, or, where one has none, with
        that. They share one data range. With ``spatial_ndim=3`` they are volumes, (..., planes, H, W). Arrays in
        chunks (anything with ``chunks``: dask, zarr, h5py) are never loaded whole.
    settings : Settings, optional
        All parameters; ``Settings()`` by default.
    inside, ignore : (H, W) or (..., H, W) array-like of bool or integers, optional
        In the pixels of `before`, of one frame for all or of each: a pixel counts only where `inside` is not 0, and not
        where `ignore` is not 0. Of volumes they may be of one plane for all, too.
    overlap : (H, W) or (..., H, W) array-like of bool, optional
        Of an `after` that was put on the grid of `before`, where it is there at all, as `resample` returns it: only
        there pixels count, and alignment brings in none from elsewhere.
    evidence : callable, optional
        Evidence of your own instead of what noise and edges do not explain: called once as ``evidence(before, after)``
        with the images as they are compared (aligned, (H, W) or (H, W, 3 or 4), read-only), it returns an (H, W) map of
        which values above 1 are changes. The threshold must be "auto". Volumes it is given whole, (planes, H, W), and
        frames one by one.
    axes : sequence of str, optional
        Names of the leading axes, for the columns of the table: "frame" if there is one, "axis_0" and so on if there
        are more.
    spacing : sequence of 3 floats, optional
        Of volumes the size of a voxel along planes, rows and columns, in one unit: where planes are farther apart than
        rows, SSIM's window has fewer of them. A voxel is a cube by default.
    world : (matrix, unit), optional
        Where `before` lies: an affine (3, 3) matrix that takes an index (row, column, 1) to its place in the world, of
        volumes (4, 4) and (plane, row, column, 1), and the unit of that, such as "µm" ("" if it has none). The table
        of regions has areas and positions in it then, too. Nothing else depends on it.
    progress : callable, optional
        Called as ``progress(done, total)`` on the calling thread after each tile, and in between with the same numbers
        where a tile takes long; an exception that it raises ends the run and goes on to the caller.
    **changes
        Single fields of `Settings`, such as ``sensitivity=2``.

    Returns
    -------
    Comparison
        Score, difference, evidence, labels and table of regions.

    Raises
    ------
    TypeError, ValueError
        If an image or a setting cannot be used; the message says what was found, what is wanted, what to do.
    OSError
        If a part of an image in chunks cannot be read; the message says which.

    Notes
    -----
    ``Settings.classic()`` is SSIM map, Otsu's threshold and filled external contours, as in A. Rosebrock, "Image
    Difference with OpenCV and Python", PyImageSearch 2017, and the StackOverflow answer "Extract differences between
    two images".

    Examples
    --------
    >>> import numpy as np
    >>> before = np.full((64, 64), 50, np.uint8)
    >>> after = before.copy()
    >>> after[20:40, 30:50] = 200
    >>> compare(before, after).regions[["min_row", "min_col", "max_row", "max_col"]].values.tolist()
    [[19, 29, 41, 51]]
    """
    asked = Settings.resolve(settings, **changes)
    if evidence is not None and asked.threshold != "auto":
        raise ValueError(
            f"threshold is {asked.threshold!r}, which cuts the difference; give threshold='auto' to cut evidence of "
            "your own"
        )
    if spacing is not None and asked.spatial_ndim == 2:
        raise ValueError(f"spacing is {spacing!r}, which is for volumes; give spatial_ndim=3, or leave it out")
    masks = {"inside": inside, "ignore": ignore, "overlap": overlap}
    way = _find_way(is_lazy(before) or is_lazy(after))
    place = {} if world is None else {"world": read_world(world, asked.spatial_ndim)}
    measured, names, step = way.measure(before, after, asked, masks, evidence, axes, spacing, progress)
    measured = [each._replace(resolved=each.resolved | place) for each in measured]
    return _cut(way, measured, asked, names, step)


def _find_way(lazy: bool) -> Any:
    """Return the room that has both halves of a comparison for images in memory, or for such that are read in parts."""
    if not lazy:
        return in_memory
    # Here, so that who has small images need not wait for it
    from . import in_parts

    return in_parts


def _cut(way: Any, measured: list[Measured], settings: Settings, axes: dict[str, int], step: Step) -> Comparison:
    """Do the fast half of a comparison; `axes` are names and lengths of the leading axes."""
    leading = tuple(axes.values())
    cuts: Cuts = way.cut(measured, settings, leading, step)
    every = tuple(_compose(cut, settings) for cut in cuts.frames)
    if not axes:
        return dataclasses.replace(every[0], pyramid=cuts.pyramid)
    return Comparison(
        score=np.array([each.score for each in every]).reshape(leading),
        difference=cuts.difference,
        measured=cuts.evidence,
        threshold=np.array([each.threshold for each in every]).reshape(leading),
        labels=cuts.labels,
        region_columns=frames.join_tables([each.region_columns for each in every], leading, tuple(axes)),
        forgiven_columns=frames.join_tables([each.forgiven_columns for each in every], leading, tuple(axes)),
        settings=settings,
        resolved=frames.join_notes([each.resolved for each in every]) | {"frames": axes},
        pair=None,
        histogram=cuts.histogram,
        limits=None,
        frames=every,
        pyramid=cuts.pyramid,
    )


def _compose(cut: Cut, settings: Settings) -> Comparison:
    """Return the comparison of a frame."""
    found = cut.measured
    return Comparison(
        score=found.score,
        difference=found.difference,
        measured=found.evidence,
        threshold=cut.threshold,
        labels=cut.labels,
        region_columns=add_physical(cut.regions, found.resolved.get("world")),
        forgiven_columns=cut.forgiven,
        settings=settings,
        resolved={**found.resolved, **cut.notes, "versions": find_versions()},
        pair=found.pair,
        histogram=found.histogram,
        limits=found.limits,
        parts=found.parts,
    )
