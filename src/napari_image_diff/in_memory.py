"""The two halves of a comparison for images in memory: what is measured in each frame, and where it is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import detection, frames, kinds, pairing, planes, preparation, regions, sweeps, tiles, volumes
from .measured import Cut, Cuts, Measured, Shared, add_kinds, find_cut, find_shared, make_boxes
from .noise import Limits
from .preparation import Pair, Plane, fold, unfold
from .settings import Settings
from .tables import Columns, count_rows, join
from .tiles import Progress, Step

__all__ = ["count_cut_steps", "cut", "measure"]

Own = Callable[[NDArray[Any], NDArray[Any]], ArrayLike]


def measure(
    before: ArrayLike,
    after: ArrayLike,
    settings: Settings,
    masks: Mapping[str, Any],
    evidence: Own | None,
    axes: Sequence[str],
    spacing: Sequence[float] | None,
    progress: Progress | None,
) -> tuple[list[Measured], dict[str, int], Step]:
    """Return what is found out about each frame, names and lengths of the leading axes, and the step to go on with.

    The parameters are those of `comparison.compare`.
    """
    solid = None
    if settings.spatial_ndim == 3:
        solid = volumes.read_volumes(before, after, settings, spacing, masks)
        images, masks = solid.images, solid.masks
    else:
        images = planes.read_planes(before, after, settings, stacks=True)
    stack = frames.make_stack(images, settings)
    names = frames.name_axes(stack.leading, axes)
    tall = [plane.data.shape for plane in stack.planes]
    shape = pairing.find_grid(stack, settings)
    of_frame = len(tiles.cut_rows(shape)) + sweeps.count_fast_steps(shape)
    of_frame += detection.count_steps(shape) if settings.threshold == "auto" else 0
    step = tiles.stepper(progress, len(tiles.cut_rows(max(tall))) + stack.count * of_frame)
    stack, pair = pairing.make_pair(stack, settings, step, masks)
    whole: dict[str, Any] = {
        "data_range": pair.data_range,
        "channels": {"before": images[0].channels, "after": images[1].channels},
        "sizes": dict(zip(("before", "after"), stack.sides, strict=True)),
    }
    if stack.leading:
        whole["frames_not_shared"] = stack.not_shared
    alike = stack.sides[0] == stack.sides[1] and not stack.not_shared
    if solid is not None:
        pair, alike = pair._replace(volume=solid.fit.volume), alike and not solid.fit.notes["pixels_not_shared"]
    measured = []
    for frame in range(stack.count):
        of_it, notes = pairing.settle(stack.pick_pair(pair, frame), stack.sides, shape, settings, step)
        found = sweeps.measure_map(of_it, settings, step)
        resolved = {
            **whole,
            "pixels_not_valid": found.difference.size - int(found.histogram.sum()),
            **notes,
            **(solid.fit.notes if solid is not None else {}),
            **_say_same(stack.pick_planes(frame), found, alike),
            "offset": preparation.find_offset(of_it.before, of_it.after),
        }
        own = None
        if evidence is not None:
            own = _measure_own(evidence, of_it)
            step(detection.count_steps(shape))
        measured.append(Measured(found.score, found.histogram, found.difference, own, None, of_it, resolved))
    return measured, dict(zip(names, stack.leading, strict=True)), step


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


def _measure_own(evidence: Own, pair: Pair) -> NDArray[np.float32]:
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


def count_cut_steps(measured: Sequence[Measured], settings: Settings) -> int:
    """Return how often `cut` calls its step."""
    shape = unfold(measured[0].difference).shape
    steps = sweeps.count_fast_steps(shape)
    if settings.threshold == "auto" and measured[0].evidence is None:
        steps += detection.count_steps(shape)
    return len(measured) * steps


def cut(measured: list[Measured], settings: Settings, leading: tuple[int, ...], step: Step) -> Cuts:
    """Do the fast half for all frames; `measured` is emptied, so that arrays need not be there twice."""

    def measure_limits(some: Sequence[Measured]) -> Limits:
        return detection.measure_limits([(each.pair, _find_difference(each, settings, step)) for each in some], step)

    shared = find_shared(measured, settings, measure_limits)
    if not leading:
        found = _cut(measured.pop(), settings, shared, step)
        of_it = found.measured
        return Cuts([found], of_it.difference, of_it.evidence, found.labels, of_it.histogram)
    shelf = frames.Shelf(leading)
    every: list[Cut] = []
    first = 0
    while measured:
        frame = _cut(measured.pop(0), settings, shared, step)
        frame.labels[frame.labels > 0] += first
        arrays = {name: getattr(frame.measured, name) for name in ("difference", "evidence", "histogram")}
        places = {name: shelf.put(name, len(every), array) for name, array in arrays.items()}
        of_it = frame.measured._replace(**places)
        labels = shelf.put("labels", len(every), frame.labels)
        every.append(frame._replace(measured=of_it, labels=labels, regions=frames.count_on(frame.regions, first)))
        first += count_rows(frame.regions)
    return Cuts(every, *(shelf.take(name) for name in ("difference", "evidence", "labels", "histogram")))


def _cut(measured: Measured, settings: Settings, shared: Shared, step: Step) -> Cut:
    """Do the fast half of a frame: from the maps to the regions.

    `shared` is what the threshold is taken from if not from the frame itself: a histogram, or limits.
    """
    pair, difference = measured.pair, measured.difference
    cut, notes = find_cut(settings, shared if isinstance(shared, np.ndarray) else measured.histogram)
    if settings.threshold == "auto":
        of_all = shared if isinstance(shared, Limits) else measured.limits
        if measured.evidence is None or measured.limits is not of_all:
            measured = _measure_evidence(measured, of_all, settings, step)
        evidence, limits = measured.evidence, measured.limits
        radius = limits.radius if limits is not None else 1
        found, forgiven = detection.find_changes(evidence, cut, settings.min_area, pair, radius, step)
        labels, table = sweeps.paint_regions(found, difference, evidence, pair, step)
        _tell_kinds(table, found, labels, pair, limits, step)
        if limits is not None:
            notes |= {"noise": limits.noise, "edge_tolerance": limits.radius}
    else:
        forgiven = np.empty((0, 4 if pair.volume is None else 6), np.int64)
        labels, table = sweeps.label_regions(difference, cut, settings.min_area, pair, step)
    if settings.size == "pad":
        table = _add_alone(labels, table, pairing.find_alone(measured.resolved["sizes"]), step)
    return Cut(measured, cut, labels, table, make_boxes(forgiven), notes)


def _measure_evidence(measured: Measured, limits: Limits | None, settings: Settings, step: Step) -> Measured:
    """Add evidence and limits of a frame; of identical images there is nothing to measure."""
    pair = measured.pair
    if measured.resolved["identical"]:
        step(detection.count_steps(pair.before.shape))
        nothing = np.where(np.isnan(measured.difference), np.nan, np.float32(0))
        return measured._replace(evidence=nothing, limits=limits)
    difference = _find_difference(measured, settings, step)
    kept = None
    if limits is None:
        kept = detection.keep_blocks(pair)
        limits = detection.measure_limits([(pair, difference)], step, kept)
    evidence = detection.measure_evidence(pair, difference, limits, step, kept)
    return measured._replace(evidence=evidence, limits=limits)


def _find_difference(measured: Measured, settings: Settings, step: Step) -> NDArray[np.float32]:
    """Return the difference that is held as evidence: of volumes that of each plane by itself."""
    if measured.pair.volume is None:
        found: NDArray[np.float32] = measured.difference
        return found
    return volumes.measure_planes(measured.pair, settings, tiles.uncounted(step))


def _add_alone(
    labels: NDArray[np.int32], table: Columns, alone: Mapping[str, list[tuple[slice, slice]]], step: Step
) -> Columns:
    """Add what only one image has to labels and table, as regions after the others."""
    for name, parts in alone.items():
        mask = np.zeros(labels.shape, np.float32)
        for part in parts:
            mask[part] = 1
            labels[part] = count_rows(table) + 1
        found = sweeps.label_regions(mask, 0.5, -1, None, tiles.uncounted(step))[1]
        # That of the mask
        del found["difference_mean"], found["difference_max"]
        other = "after" if name == "before" else "before"
        found["label"] = np.array([count_rows(table) + 1], np.int32)
        found["kind"] = np.array([f"only in {name}"], object)
        found["reason"] = np.array([f"{other} does not reach as far"], object)
        if "partner" in table:
            found["partner"] = np.array([0])
        table = join([table, found])
    return table


def _tell_kinds(
    table: Columns,
    changes: regions.Regions,
    labels: NDArray[np.int32],
    pair: Pair,
    limits: Limits | None,
    step: Step,
) -> None:
    """Add to the table what kind of change each region is."""
    images = pair.colours or (pair.before, pair.after)
    before, after = (preparation.flatten(image, pair.data_range) for image in images)
    noise = limits.noise if limits is not None else 0.0
    levels = (pair.data_range, noise, tiles.uncounted(step))
    if pair.volume is None:
        add_kinds(table, kinds.name_kinds(before, after, labels, changes.boxes, *levels))
        return
    before, after = (fold(image, pair.volume) for image in (before, after))

    def name_in(plane: int, of_plane: regions.Regions) -> kinds.Kinds:
        local = np.empty(labels.shape[1:], np.int32)
        regions.paint_tile(of_plane, 0, len(local), local)
        return kinds.name_kinds(before[plane], after[plane], local, of_plane.boxes, *levels)

    add_kinds(table, volumes.name_kinds(changes, labels.shape[1], name_in))
