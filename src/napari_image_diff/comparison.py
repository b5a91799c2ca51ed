"""Comparing two images: the whole pipeline, and what comes of it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import detection, frames, kinds, pairing, planes, preparation, sweeps, threshold, tiles, volumes
from .noise import Limits
from .preparation import Pair, Plane, fold, unfold
from .regions import name_box
from .settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "compare"]

# The arrays of a comparison, which for a stack lie in one.
SHELVED = ("difference", "measured", "labels", "histogram")

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
        the kind is that of the plane which has most of the region.
    forgiven : DataFrame
        The boxes ``min_row, min_col, max_row, max_col`` of what a displacement by some pixels explains: no regions.
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
        columns of SSIM's window) and ``spacing``; ``sizes`` begin with the planes. Of a stack, pixels are added up,
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
    """

    score: Any
    difference: NDArray[np.float32]
    measured: NDArray[np.float32] | None
    threshold: Any
    labels: NDArray[np.int32]
    regions: pd.DataFrame
    forgiven: pd.DataFrame
    settings: Settings
    resolved: dict[str, Any]
    pair: Any
    histogram: NDArray[np.int64]
    limits: Limits | None
    frames: tuple[Comparison, ...] = ()

    @property
    def evidence(self) -> NDArray[np.float32] | None:
        """(H, W) float32: how far a pixel exceeds what noise and edges explain, 1 = the limit, NaN = not valid.

        None unless the threshold is "auto".
        """
        return self.measured if self.resolved["threshold_rule"] == "auto" else None

    @property
    def changed(self) -> bool:
        """Whether there is any region."""
        return len(self.regions) > 0

    @property
    def changed_fraction(self) -> float:
        """Share of the pixels compared, or in one image only, that lie in regions, 0 to 1."""
        pixels = self.difference.size - self.resolved["pixels_not_valid"]
        if len(self.regions) and self.settings.size == "pad":
            pixels += self.resolved["pixels_not_shared"]
        return min(1.0, int(self.regions["area"].sum()) / pixels) if pixels else 0.0

    @property
    def worst_frame(self) -> tuple[int, ...]:
        """The index of the frame with the lowest score, one number for each leading axis."""
        scores = np.where(np.isnan(self.score), np.inf, self.score)
        return tuple(int(index) for index in np.unravel_index(np.argmin(scores), np.shape(scores)))

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
            count = len(self.regions)
            parts.append(f"{count:,} region{'s' * (count != 1)}, {self.changed_fraction:.2%} changed")
        if np.isfinite(self.score).any():
            worst = self.worst_frame if len(self.worst_frame) > 1 else self.worst_frame[0]
            parts.append(f"score {self.score[self.worst_frame]:.4f} and more, least in frame {worst}")
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
            "explained by a local shift": len(self.forgiven),
            "pixels in one image only": self.resolved["pixels_not_shared"],
            "frames in one image only": self.resolved.get("frames_not_shared", 0),
            "pixels not valid": self.resolved["pixels_not_valid"],
        }
        one = ((text.replace("s ", " ", 1) if count == 1 else text, count) for text, count in counts.items())
        return [f"{count:,} {text}" for text, count in one if count]

    def _say_found(self) -> str:
        """Return how many regions there are and how much they cover, or which kind of nothing there is."""
        count = len(self.regions)
        if not count:
            if not self.resolved["identical"] and self.resolved["same_luma"] and self.evidence is None:
                return "no difference in luma (colour and alpha are not compared)"
            return "no region" if self.verdict == "no difference beyond the threshold" else self.verdict
        found = f"{count:,} region{'s' if count != 1 else ''}"
        if self.evidence is not None and not (self.regions["difference_max"] > INVISIBLE).any():
            kinds = ", ".join(dict.fromkeys(self.regions["kind"]))
            return f"yet {found}: {kinds}, {self.changed_fraction:.2%} changed"
        return f"{found}, {self.changed_fraction:.2%} changed"

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
        each = self.frames or (self,)
        shape = unfold(each[0].difference).shape
        steps = sweeps.count_fast_steps(shape)
        if settings.threshold == "auto" and self.measured is None:
            steps += detection.count_steps(shape)
        step = tiles.stepper(progress, len(each) * steps)
        measured = [
            _Measured(
                sweeps.Map(frame.difference, frame.score, frame.histogram),
                _Evidence(frame.measured, frame.limits),
                frame.pair,
                frame.resolved,
            )
            for frame in each
        ]
        return _cut_frames(measured, settings, self.resolved.get("frames", {}), step)


class _Evidence(NamedTuple):
    """Evidence and the limits it was held against, None where not measured."""

    found: NDArray[np.float32] | None = None
    limits: Limits | None = None


class _Measured(NamedTuple):
    """What the slow half finds out about a frame."""

    found: sweeps.Map
    evidence: _Evidence
    pair: Pair
    resolved: dict[str, Any]


def compare(
    before: ArrayLike,
    after: ArrayLike,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    inside: ArrayLike | None = None,
    ignore: ArrayLike | None = None,
    evidence: Callable[[NDArray[Any], NDArray[Any]], ArrayLike] | None = None,
    axes: Sequence[str] = (),
    spacing: Sequence[float] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **changes: Any,
) -> Comparison:
    """Find what changed between two images.

    Parameters
    ----------
    before, after : (..., H, W) or (..., H, W, 3 or 4) array-like of real numbers
        Images of any layout and container (numpy, dask, zarr, xarray, memory-mapped); never written to. Leading axes
        (time, depth) are frames: each frame of one is compared with the same of the other, or, where one has none, with
        that. They share one data range. With ``spatial_ndim=3`` they are volumes, (..., planes, H, W).
    settings : Settings, optional
        All parameters; ``Settings()`` by default.
    inside, ignore : (H, W) or (..., H, W) array-like of bool or integers, optional
        In the pixels of `before`, of one frame for all or of each: a pixel counts only where `inside` is not 0, and not
        where `ignore` is not 0. Of volumes they may be of one plane for all, too.
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
    progress : callable, optional
        Called as ``progress(done, total)`` on the calling thread after each tile; an exception that it raises ends
        the run and goes on to the caller.
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
    masks: dict[str, Any] = {"inside": inside, "ignore": ignore}
    solid = None
    if asked.spatial_ndim == 3:
        solid = volumes.read_volumes(before, after, asked, spacing, **masks)
        images, masks = solid.images, solid.masks
    elif spacing is not None:
        raise ValueError(f"spacing is {tuple(spacing)}, which is for volumes; give spatial_ndim=3, or leave it out")
    else:
        images = planes.read_planes(before, after, asked, stacks=True)
    stack = frames.make_stack(images, asked)
    names = frames.name_axes(stack.leading, axes)
    tall = [plane.data.shape for plane in stack.planes]
    shape = pairing.find_grid(stack, asked)
    auto = asked.threshold == "auto"
    of_frame = len(tiles.cut_rows(shape)) + sweeps.count_fast_steps(shape)
    of_frame += detection.count_steps(shape) if auto else 0
    step = tiles.stepper(progress, len(tiles.cut_rows(max(tall))) + stack.count * of_frame)
    stack, pair = pairing.make_pair(stack, asked, step, **masks)
    whole = {
        "data_range": pair.data_range,
        "channels": {"before": images[0].channels, "after": images[1].channels},
        "sizes": dict(zip(("before", "after"), stack.sides, strict=True)),
        "versions": dict(_versions()),
    }
    if stack.leading:
        whole["frames_not_shared"] = stack.not_shared
    alike = stack.sides[0] == stack.sides[1] and not stack.not_shared
    if solid is not None:
        pair, alike = pair._replace(volume=solid.volume), alike and not solid.notes["pixels_not_shared"]
    measured = []
    for frame in range(stack.count):
        of_it, notes = pairing.settle(stack.pick_pair(pair, frame), stack.sides, shape, asked, step)
        found = sweeps.measure_map(of_it, asked, step)
        resolved = {
            **whole,
            "pixels_not_valid": found.difference.size - int(found.histogram.sum()),
            **notes,
            **(solid.notes if solid is not None else {}),
            **_say_same(stack.pick_planes(frame), found, alike),
            "offset": preparation.find_offset(of_it.before, of_it.after),
        }
        own = _Evidence()
        if evidence is not None:
            own = _Evidence(_measure_own(evidence, of_it))
            step(detection.count_steps(shape))
        measured.append(_Measured(found, own, of_it, resolved))
    return _cut_frames(measured, asked, dict(zip(names, stack.leading, strict=True)), step)


def _cut_frames(measured: list[_Measured], settings: Settings, axes: dict[str, int], step: tiles.Step) -> Comparison:
    """Do the fast half for all frames; `axes` are names and lengths of the leading axes."""
    shared = _share(measured, settings, step) if settings.shared_threshold else None
    if not axes:
        return _cut(measured[0], settings, shared, step)
    shelf = frames.Shelf(tuple(axes.values()))
    found, first = [], 0
    for index in range(len(measured)):
        frame = _cut(measured.pop(0), settings, shared, step)
        frame.labels[frame.labels > 0] += first
        places = {name: shelf.put(name, index, getattr(frame, name)) for name in SHELVED}
        found.append(dataclasses.replace(frame, regions=frames.count_on(frame.regions, first), **places))
        first += len(frame.regions)
    return _join(found, shelf, axes)


def _share(measured: list[_Measured], settings: Settings, step: tiles.Step) -> NDArray[np.int64] | Limits | None:
    """Return what one threshold for all frames is taken from: a histogram, or limits."""
    if settings.threshold == "otsu":
        return np.asarray(np.sum([each.found.histogram for each in measured], axis=0))
    # Neither evidence of the user's own nor identical frames have limits
    noisy = [each for each in measured if each.evidence.found is None or each.evidence.limits is not None]
    noisy = [each for each in noisy if not each.resolved["identical"]]
    if settings.threshold != "auto" or not noisy:
        return None
    known = noisy[0].evidence.limits
    if known is not None and all(each.evidence.limits is known for each in noisy):
        return known
    return detection.measure_limits([(each.pair, _find_difference(each, settings, step)) for each in noisy], step)


def _join(found: list[Comparison], shelf: frames.Shelf, axes: dict[str, int]) -> Comparison:
    """Return the comparisons of all frames, whose arrays are on the shelf, as one."""
    leading = tuple(axes.values())
    return Comparison(
        score=np.array([each.score for each in found]).reshape(leading),
        threshold=np.array([each.threshold for each in found]).reshape(leading),
        regions=frames.join_tables([each.regions for each in found], leading, tuple(axes)),
        forgiven=frames.join_tables([each.forgiven for each in found], leading, tuple(axes)),
        settings=found[0].settings,
        resolved=frames.join_notes([each.resolved for each in found]) | {"frames": axes},
        pair=None,
        limits=None,
        frames=tuple(found),
        **{name: shelf.take(name) for name in SHELVED},
    )


def _measure_own(evidence: Callable[[NDArray[Any], NDArray[Any]], ArrayLike], pair: Pair) -> NDArray[np.float32]:
    """Return the evidence that a function of the user's finds; NaN where a pixel is not valid."""
    given = (fold(image, pair.volume) for image in pair.colours or (pair.before, pair.after))
    found = np.array(evidence(*given), np.float32)
    planes = [fold(plane, pair.volume) for plane in (pair.before, pair.after)]
    if found.shape != planes[0].shape:
        raise ValueError(
            f"evidence returned an array of shape {found.shape}; give a map with one value for each pixel, "
            f"{planes[0].shape}"
        )
    for plane in planes:
        found[~np.isfinite(plane)] = np.nan
    return found


def _cut(
    measured: _Measured,
    settings: Settings,
    shared: NDArray[np.int64] | Limits | None,
    step: tiles.Step,
) -> Comparison:
    """Do the fast half of a frame: from the maps to the regions.

    `shared` is what the threshold is taken from if not from the frame itself: a histogram, or limits.
    """
    found, pair, resolved = measured.found, measured.pair, measured.resolved
    evidence, limits = measured.evidence
    rule = settings.threshold if isinstance(settings.threshold, str) else "number"
    histogram = shared if isinstance(shared, np.ndarray) else found.histogram
    level = threshold.otsu_level(histogram) if rule == "otsu" else None
    alone = pairing.find_alone(resolved["sizes"]) if settings.size == "pad" else {}
    told: dict[str, Any] = {"noise": None, "edge_tolerance": None}
    if rule == "auto":
        of_all = shared if isinstance(shared, Limits) else limits
        if evidence is None or limits is not of_all:
            evidence, limits = _measure_evidence(measured, of_all, settings, step)
        # What float32 has, so that all stages cut at the same value
        cut = float(np.float32(1 / settings.sensitivity))
        radius = limits.radius if limits is not None else 1
        changes = detection.find_changes(evidence, cut, settings.min_area, pair, radius, step)
        labels, regions = sweeps.paint_regions(changes.found, found.difference, evidence, pair, step)
        _tell_kinds(regions, labels, pair, limits, step)
        forgiven = changes.forgiven
        if limits is not None:
            told = {"noise": limits.noise, "edge_tolerance": limits.radius}
    else:
        forgiven = np.empty((0, 4 if pair.volume is None else 6), np.int64)
        cut = threshold.threshold_of_level(level) if level is not None else float(settings.threshold)
        labels, regions = sweeps.label_regions(found.difference, cut, settings.min_area, pair, step)
    if alone:
        regions = _add_alone(labels, regions, alone)
    return Comparison(
        score=found.score,
        difference=found.difference,
        measured=evidence,
        threshold=cut,
        labels=labels,
        regions=regions,
        forgiven=_make_boxes(forgiven),
        settings=settings,
        resolved={**resolved, **told, "threshold_rule": rule, "otsu_level": level},
        pair=pair,
        histogram=found.histogram,
        limits=limits,
    )


def _measure_evidence(
    measured: _Measured, limits: Limits | None, settings: Settings, step: tiles.Step
) -> tuple[NDArray[np.float32], Limits | None]:
    """Return evidence and limits of a frame; of identical images there is nothing to measure."""
    pair = measured.pair
    if measured.resolved["identical"]:
        step(detection.count_steps(pair.before.shape))
        return np.where(np.isnan(measured.found.difference), np.nan, np.float32(0)), limits
    difference = _find_difference(measured, settings, step)
    if limits is None:
        limits = detection.measure_limits([(pair, difference)], step)
    return detection.measure_evidence(pair, difference, limits, step), limits


def _find_difference(measured: _Measured, settings: Settings, step: tiles.Step) -> NDArray[np.float32]:
    """Return the difference that is held as evidence: of volumes that of each plane by itself."""
    if measured.pair.volume is None:
        return measured.found.difference
    return volumes.measure_planes(measured.pair, settings, tiles.uncounted(step))


def _add_alone(
    labels: NDArray[np.int32], regions: pd.DataFrame, alone: Mapping[str, list[tuple[slice, slice]]]
) -> pd.DataFrame:
    """Add what only one image has to labels and table, as regions after the others."""
    import pandas as pd

    for name, parts in alone.items():
        mask = np.zeros(labels.shape, np.float32)
        for part in parts:
            mask[part] = 1
            labels[part] = len(regions) + 1
        found = sweeps.find_regions(mask, 0.5, min_area=-1)[1].drop(columns=["difference_mean", "difference_max"])
        other = "after" if name == "before" else "before"
        found = found.assign(label=len(regions) + 1, kind=f"only in {name}", reason=f"{other} does not reach as far")
        if "partner" in regions:
            found["partner"] = 0
        regions = pd.concat([regions, found], ignore_index=True)
    return regions


def _tell_kinds(
    regions: pd.DataFrame, labels: NDArray[np.int32], pair: Pair, limits: Limits | None, step: tiles.Step
) -> None:
    """Add to the table what kind of change each region is."""
    before, after = (_flatten(image, pair.data_range) for image in pair.colours or (pair.before, pair.after))
    noise = limits.noise if limits is not None else 0.0
    levels = (pair.data_range, noise, tiles.uncounted(step))
    if pair.volume is None:
        found = kinds.name_kinds(before, after, labels, regions[name_box()].to_numpy(np.int64), *levels)
    else:
        before, after = (fold(image, pair.volume) for image in (before, after))
        found = volumes.name_kinds(before, after, labels, len(regions), *levels)
    regions["kind"], regions["reason"] = list(found.kind), list(found.reason)
    regions["moved_rows"], regions["moved_cols"] = found.shift.T
    regions["partner"] = found.partner


def _flatten(image: NDArray[Any], data_range: float) -> NDArray[Any]:
    """Return an image as it looks on gray where it is transparent."""
    if image.ndim == 2 or image.shape[2] == 3:
        return image
    opaque = image[..., 3:].astype(np.float32) / np.float32(data_range)
    flat: NDArray[Any] = image[..., :3] * opaque + np.float32(data_range / 2) * (1 - opaque)
    return flat


def _make_boxes(boxes: NDArray[np.int64]) -> pd.DataFrame:
    """Return boxes (N, 4), or of volumes (N, 6), as a table."""
    import pandas as pd

    return pd.DataFrame(boxes, columns=name_box(boxes.shape[1] // 2))


def _say_same(images: tuple[Plane, Plane], found: sweeps.Map, alike: bool) -> dict[str, bool]:
    """Return whether the images are identical, pixel by pixel, and whether only their luma is the same.

    Unless they are `alike` in shape, as they were given, they are not identical.
    """
    if np.fmax.reduce(found.difference, axis=None) > 0:
        return {"identical": False, "same_luma": False}
    before, after = (image.data for image in images)
    floats = before.dtype.kind == after.dtype.kind == "f"
    identical = alike and np.array_equal(before, after, equal_nan=floats)
    return {"identical": identical, "same_luma": images[0].channels != "gray"}


@functools.cache
def _versions() -> Mapping[str, str]:
    """Return the versions that a result depends on; looking them up takes milliseconds."""
    return {name: version(name) for name in ("napari-image-diff", "numpy", "numba", "opencv-python-headless")}
