"""The two halves of a comparison for images that are read in parts, as `in_memory` has them for others."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import (
    cropping,
    frames,
    kinds,
    lazy_maps,
    planes,
    preparation,
    regions,
    ssim,
    streaming,
    surveying,
    tiles,
    volumes,
)
from .measured import Cut, Cuts, Measured, Shared, add_kinds, find_cut, find_shared, make_boxes
from .noise import Limits
from .settings import Settings
from .streaming import Ask, Seen
from .tables import count_rows
from .tiles import Progress, Step, Tiling

if TYPE_CHECKING:
    from .blocks import Reader

__all__ = ["Parts", "Pyramid", "count_cut_steps", "cut", "measure"]

# The overview of all frames has so many pixels, at most.
OVERVIEW_PIXELS = 2**24


class Parts(NamedTuple):
    """A frame of images that are read in parts, and what was seen of it."""

    reader: Reader
    tiling: Tiling
    seen: Seen
    ask: Ask
    """With what it was looked at."""
    found: regions.Regions | None = None
    """The regions that were found in it, numbered from 1."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Pyramid:
    """The maps of a comparison from full size on, each level half as large as the one before.

    The last is an overview in memory, of 16 million pixels at most; the others are dask arrays. A pixel of a coarser
    level has the greatest value of those that it stands for; planes of volumes stay as many.
    """

    difference: list[Any]
    evidence: list[Any] | None
    labels: list[Any]


def measure(
    before: Any,
    after: Any,
    settings: Settings,
    masks: Mapping[str, Any],
    evidence: Any,
    axes: Sequence[str],
    spacing: Sequence[float] | None,
    progress: Progress | None,
) -> tuple[list[Measured], dict[str, int], Step]:
    """Return what is found out about each frame, names and lengths of the leading axes, and the step to go on with.

    The parameters are those of `comparison.compare`.
    """
    opened = surveying.open_images(before, after, settings, masks, spacing)
    _check(settings, evidence)
    names = frames.name_axes(opened.leading, axes)
    tiling = opened.cut()
    again = settings.threshold == "otsu" or (settings.threshold == "auto" and settings.shared_threshold)
    # A survey, a look, another for which the threshold is known, and the table; what is left out counts as done
    step = tiles.stepper(progress, opened.count * tiling.total * 4)
    surveyed = surveying.survey(opened, settings, tiling, step)
    whole: dict[str, Any] = {
        "data_range": surveyed.facts.data_range,
        "channels": dict(zip(("before", "after"), opened.channels, strict=True)),
        "sizes": dict(zip(("before", "after"), opened.sides, strict=True)),
    }
    if opened.leading:
        whole["frames_not_shared"] = opened.not_shared
    facts = surveyed.facts
    window = planes.make_window(settings, facts.data_range, facts.volume)
    flat = planes.make_window(settings, facts.data_range)
    factor = _find_factor(facts.grid, opened.count * facts.planes)
    measured = []
    for frame in range(opened.count):
        reader, notes = surveying.settle(opened, surveyed, frame, settings, tiling, step)
        limits = None
        if settings.threshold == "auto" and not settings.shared_threshold:
            limits = streaming.measure_limits([reader], tiling, flat, step)
        ask = Ask(window, flat, limits, None if again else find_cut(settings, np.zeros(256, np.int64))[0], factor)
        seen = streaming.look(reader, tiling, ask, step)
        tally = seen.tally
        pixels = int(tally.histogram.sum())
        resolved = {
            **whole,
            "pixels_not_valid": math.prod(reader.facts.tall) - pixels,
            **notes,
            **(opened.fit.notes if opened.fit is not None else {}),
            "identical": opened.alike and tally.same,
            "same_luma": not tally.differs and opened.channels[0] != "gray",
            "offset": preparation.find_offset(*(grid.part for grid in seen.grids)),
        }
        score = tally.total / (tally.pixels * ssim.SCORE_STEPS) if tally.pixels else math.nan
        pair = lazy_maps.make_pair(reader)
        parts = Parts(reader, tiling, seen, ask)
        measured.append(Measured(score, tally.histogram, None, None, limits, pair, resolved, parts))
    # Where nothing is left, it may also be that nothing is finite
    if not any(each.histogram.any() for each in measured) and surveying.is_all_masked(opened, facts, tiling, step):
        raise ValueError(frames.NOTHING_LEFT)
    return measured, dict(zip(names, opened.leading, strict=True)), step


def _check(settings: Settings, evidence: Any) -> None:
    """Raise ValueError where something needs the images as a whole."""
    asked = {
        "size is 'pad'": settings.size == "pad",
        "evidence is a function": evidence is not None,
    }
    for words, is_asked in asked.items():
        if is_asked:
            raise ValueError(
                f"{words}, which needs images in memory, and before or after is read in chunks (dask, zarr); load both "
                "with numpy.asarray, or leave it out"
            )


def _find_factor(grid: tuple[int, int], count: int) -> int:
    """Return how many pixels, along a side, a pixel of the overview stands for."""
    factor = 1
    while factor < max(grid) and math.prod(-(-side // factor) for side in grid) * count > OVERVIEW_PIXELS:
        factor *= 2
    return factor


def count_cut_steps(measured: Sequence[Measured], settings: Settings) -> int:
    """Return how often `cut` calls its step."""
    # Another look and the table
    return sum(2 * each.parts.tiling.total for each in measured)


def cut(measured: list[Measured], settings: Settings, leading: tuple[int, ...], step: Step) -> Cuts:
    """Do the fast half for all frames; `measured` is emptied."""

    def measure_limits(some: Sequence[Measured]) -> Limits:
        parts = some[0].parts
        return streaming.measure_limits([each.parts.reader for each in some], parts.tiling, parts.ask.flat, step)

    shared = find_shared(measured, settings, measure_limits)
    every: list[Cut] = []
    found: list[tuple[regions.Regions, int]] = []
    first = 0
    while measured:
        frame, of_frame = _cut(measured.pop(0), settings, shared, step)
        every.append(frame._replace(regions=frames.count_on(frame.regions, first)))
        found.append((of_frame, first))
        first += count_rows(frame.regions)
    every, pyramid = _make_arrays(every, found, leading)
    whole = every[0].measured
    histogram = _stack([each.measured.histogram for each in every], leading)
    if not leading:
        return Cuts(every, whole.difference, whole.evidence, every[0].labels, whole.histogram, pyramid)
    evidence = pyramid.evidence[0] if pyramid.evidence is not None else None
    return Cuts(every, pyramid.difference[0], evidence, pyramid.labels[0], histogram, pyramid)


def _make_arrays(
    every: list[Cut], found: list[tuple[regions.Regions, int]], leading: tuple[int, ...]
) -> tuple[list[Cut], Pyramid]:
    """Return the frames with their maps, and the maps of all frames in all sizes."""
    seen = [each.measured.parts.seen for each in every]
    made = [
        lazy_maps.Frame(
            each.measured.parts.reader,
            each.measured.parts.ask,
            of_it.difference,
            of_it.evidence,
            not each.measured.resolved["pixels_not_valid"],
        )
        for each, of_it in zip(every, seen, strict=True)
    ]
    reader, coarsest = made[0].reader, made[0].ask.factor
    facts = reader.facts
    auto = every[0].notes["threshold_rule"] == "auto"
    overview = _stack([each.difference for each in seen], leading)
    of_evidence = _stack([each.evidence for each in seen], leading)
    rows, columns = seen[0].difference.shape[-2:]
    whole = (0, facts.planes), (0, 0, rows, columns)
    painted = [lazy_maps.paint(*each, *whole, facts.grid, coarsest) for each in found]
    labels = _stack([each if facts.volume is not None else each[0] for each in painted], leading)
    factors = lazy_maps.list_factors(coarsest)

    def levels(make: Any, last: NDArray[Any]) -> list[Any]:
        return [*(make(factor) for factor in factors[:-1]), last if coarsest > 1 else lazy_maps.hold(last)]

    pyramid = Pyramid(
        levels(lambda factor: lazy_maps.make_map(made, leading, False, factor), overview),
        levels(lambda factor: lazy_maps.make_map(made, leading, True, factor), of_evidence) if auto else None,
        levels(lambda factor: lazy_maps.make_labels(found, reader, leading, factor), labels),
    )
    frames_of = []
    for number, each in enumerate(every):
        place = np.unravel_index(number, leading) if leading else ()
        measured = each.measured._replace(
            difference=pyramid.difference[0][place],
            evidence=pyramid.evidence[0][place] if pyramid.evidence is not None else None,
        )
        frames_of.append(each._replace(measured=measured, labels=pyramid.labels[0][place]))
    return frames_of, pyramid


def _stack(arrays: list[NDArray[Any]], leading: tuple[int, ...]) -> NDArray[Any]:
    """Return the arrays of all frames as one, with the leading axes."""
    whole = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
    return whole.reshape(*leading, *whole.shape[1:])


def _cut(measured: Measured, settings: Settings, shared: Shared, step: Step) -> tuple[Cut, regions.Regions]:
    """Do the fast half of a frame; the regions are returned too, for the labels are made of them."""
    reader, tiling, seen, ask, _ = measured.parts
    cut, notes = find_cut(settings, shared if isinstance(shared, np.ndarray) else measured.histogram)
    auto, identical = settings.threshold == "auto", measured.resolved["identical"]
    limits = None
    if auto:
        limits = shared if isinstance(shared, Limits) else None if identical else measured.limits
        if limits is None and not identical:
            limits = streaming.measure_limits([reader], tiling, ask.flat, step)
    wanted = ask._replace(limits=None if identical else limits, cut=cut)
    if identical and auto:
        nothing = np.where(np.isnan(seen.difference), np.nan, np.float32(0))
        seen = seen._replace(runs=regions.no_runs(reader.facts.tall[0]), weights=np.zeros(0), evidence=nothing)
        step(tiling.total)
    elif wanted.cut != ask.cut or wanted.limits is not ask.limits:
        seen = streaming.look(reader, tiling, wanted, step)
    else:
        step(tiling.total)
    facts = reader.facts
    if auto:
        kept = streaming.cut_evidence(seen, facts, settings.min_area)
        radius = limits.radius if limits is not None else 1
        found, forgiven = streaming.find_changes(kept, reader, radius, step)
        if limits is not None:
            notes |= {"noise": limits.noise, "edge_tolerance": limits.radius}
    else:
        count = None if facts.volume is None else facts.planes
        found = regions.make_regions(seen.runs, facts.grid[1], settings.min_area, count)
        forgiven = found.boxes[:0]
    table = streaming.measure_table(found, reader, tiling, wanted, auto, step)
    if auto:
        add_kinds(table, _tell_kinds(found, reader, limits.noise if limits is not None else 0.0, step))
    parts = Parts(reader, tiling, seen, wanted, found)
    measured = measured._replace(limits=limits if auto else measured.limits, parts=parts)
    return Cut(measured, cut, None, table, make_boxes(forgiven), notes), found


def _tell_kinds(found: regions.Regions, reader: Reader, noise: float, step: Step) -> kinds.Kinds:
    """Return what kind of change each region of a frame is."""
    if reader.facts.volume is None:
        return cropping.tell_kinds(found, reader, noise, step)

    def tell(plane: int, of_plane: regions.Regions) -> kinds.Kinds:
        return cropping.tell_kinds(of_plane, reader.at(plane), noise, step)

    return volumes.name_kinds(found, reader.facts.grid[0], tell)
