"""What a person decided about regions: verdicts and notes, which stay with their pixels.

A review is a list of decisions about pixels, not about labels, so it outlives what regions are made of: of another
threshold or a second run, each region has the verdict that at least half of its pixels have. What a review says of the
regions of a comparison is worked out each time, and no decision is forgotten because its region is not there now.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import regions, tiles
from .comparison import Comparison
from .overlaps import NO_SPANS, Spans, count_shared, find_spans, pick_spans, sort_spans
from .tables import Columns, count_rows
from .verdicts import LONGEST_NOTE, OPEN, VERDICTS, Verdict

__all__ = ["Decision", "Review", "count_verdicts", "decide", "reviewed"]

Index = tuple[int, ...]


class Decision(NamedTuple):
    """What was decided of some pixels."""

    frame: Index
    """The index of their frame, () of a single pair."""
    runs: NDArray[np.int64]
    """(N, 3): row, first column and column after the last of each run, in the order of pixels in memory, none upon each
    other; of volumes (N, 4), the plane before the row."""
    verdict: Verdict
    note: str


Review: TypeAlias = tuple[Decision, ...]
"""Decisions in the order in which they were taken."""


def decide(
    review: Sequence[Decision],
    comparison: Comparison,
    labels: int | Iterable[int],
    *,
    verdict: Verdict | None = None,
    note: str | None = None,
    frame: Index = (),
) -> Review:
    """Return a review with a decision about one or more regions added.

    Parameters
    ----------
    review : sequence of Decision
        What was decided before, () at the beginning. It stays as it is.
    comparison : Comparison
        The result with the regions.
    labels : int or iterable of int
        Which regions.
    verdict : {"open", "real", "not real"}, optional
        What they are; by default what each of them is already.
    note : str, optional
        A note about them, "" for none; by default the one that each of them has. No more than 10,000 letters.
    frame : tuple of int
        Where the comparison is of one frame of a stack, the index of that.

    Returns
    -------
    tuple of Decision
        A decision about each of the regions comes last. Earlier ones of which more than half of the pixels lie in these
        regions are left out.

    Raises
    ------
    TypeError, ValueError
        If there is no such region or verdict, or the note is too long; the message says what is wanted.

    Examples
    --------
    >>> from napari_image_diff import compare
    >>> from napari_image_diff.review import decide, reviewed
    >>> before = np.full((64, 64), 50, np.uint8)
    >>> after = before.copy()
    >>> after[20:40, 30:50] = 200
    >>> comparison = compare(before, after)
    >>> review = decide((), comparison, 1, verdict="not real", note="a hair")
    >>> reviewed(comparison.rethreshold(sensitivity=2), review).regions[["verdict", "note"]].values.tolist()
    [['not real', 'a hair']]
    """
    _check(verdict, note)
    wanted = _read_labels(labels, comparison)
    kept, made = list(review), []
    for index, of_frame in _list_frames(comparison, frame):
        known = of_frame.region_columns["label"]
        here = known[np.isin(known, wanted)]
        if not here.size:
            continue
        found, shape = _find_runs(of_frame, here), of_frame.labels.shape
        new = _lay_out(found, shape)
        first, last = min(runs[0, 0] for runs in found), max(runs[-1, 0] for runs in found)
        earlier = [each for each in kept if _fits(each, index, shape) and _reaches(each, first, last)]
        painted = _paint(earlier, shape)
        area = np.array([_count_pixels(runs) for runs in found])
        told = _tell(earlier, painted, new, area, shape[-1])
        made += [
            Decision(index, runs, verdict or had, had_note if note is None else note)
            for runs, had, had_note in zip(found, *told, strict=True)
        ]
        gone = {id(each) for each in _find_superseded(earlier, painted, new, shape[-1])}
        kept = [each for each in kept if id(each) not in gone]
    return (*kept, *made)


def reviewed(
    comparison: Comparison,
    review: Sequence[Decision],
    *,
    frame: Index = (),
    progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Return a comparison whose table says what was decided of each region: two more columns, "verdict" and "note".

    Parameters
    ----------
    comparison : Comparison
        A result, of the images that the review is about.
    review : sequence of Decision
        What was decided, of regions of this or of another result.
    frame : tuple of int
        Where the comparison is of one frame of a stack, the index of that.
    progress : callable, optional
        Called as ``progress(done, total)`` after each frame; what it raises ends the run.

    Returns
    -------
    Comparison
        Shares all else with the one given; of a stack `frames` have the columns, too.

    Notes
    -----
    Of each pixel that counts which was decided last. A region is "real" or "not real" if at least half of its pixels
    are (if half of them are each, what was decided later), and otherwise "open". Its note is, of those that some of
    its pixels have, the one that most of them have, and of equals the later.
    """
    of_frames: dict[Index, list[Decision]] = {}
    for each in review:
        of_frames.setdefault(each.frame, []).append(each)
    step = tiles.stepper(progress, max(1, len(comparison.frames)))
    every = []
    for index, of_frame in _list_frames(comparison, frame):
        shape = of_frame.labels.shape
        fitting = [each for each in of_frames.get(index, ()) if _fits(each, index, shape)]
        painted, area, spans = _paint(fitting, shape), of_frame.region_columns["area"], NO_SPANS
        if painted.rows.size and area.size:
            spans = _find_spans(of_frame, np.unique(painted.rows))
        verdicts, notes = _tell(fitting, painted, spans, area, shape[-1])
        every.append({"verdict": np.array(verdicts, object), "note": np.array(notes, object)})
        step()
    if not comparison.frames:
        return _add(comparison, every[0])
    frames = tuple(_add(of_frame, told) for of_frame, told in zip(comparison.frames, every, strict=True))
    whole = {name: np.concatenate([told[name] for told in every]) for name in every[0]}
    return dataclasses.replace(_add(comparison, whole), frames=frames)


def count_verdicts(comparison: Comparison) -> dict[str, int]:
    """Return how many regions of a comparison have each verdict; all are open if it was not reviewed."""
    verdicts = comparison.region_columns.get("verdict", np.full(count_rows(comparison.region_columns), OPEN, object))
    return {verdict: int(np.count_nonzero(verdicts == verdict)) for verdict in VERDICTS}


def _add(comparison: Comparison, columns: Columns) -> Comparison:
    """Return a comparison with more columns; its tables are made anew when they are asked for."""
    return dataclasses.replace(comparison, region_columns=comparison.region_columns | columns)


def _check(verdict: Any, note: Any) -> None:
    if verdict is None and note is None:
        raise ValueError("nothing is decided; give a verdict, a note, or both")
    if verdict is not None and verdict not in VERDICTS:
        raise ValueError(f"verdict is {verdict!r}; give {', '.join(map(repr, VERDICTS))}")
    if note is not None and not isinstance(note, str):
        raise TypeError(f"note is a {type(note).__name__}; give text")
    if note is not None and len(note) > LONGEST_NOTE:
        raise ValueError(f"the note has {len(note):,} letters; give one of {LONGEST_NOTE:,} at most")


def _read_labels(labels: int | Iterable[int], comparison: Comparison) -> NDArray[np.int64]:
    wanted = np.atleast_1d(np.array(list(labels) if isinstance(labels, Iterable) else labels))
    known = comparison.region_columns["label"]
    if not wanted.size or wanted.dtype.kind not in "iu":
        raise TypeError(f"labels is {labels!r}; give the number of a region, or of some")
    missing = wanted[~np.isin(wanted, known)]
    if missing.size:
        there = f"its labels are {known[0]} to {known[-1]}" if known.size else "it has none"
        raise ValueError(f"the comparison has no region {missing[0]}; {there}")
    return wanted.astype(np.int64)


def _list_frames(comparison: Comparison, before: Index) -> Iterator[tuple[Index, Comparison]]:
    """Give the frames of a comparison with their indices, which begin with `before`."""
    if not comparison.frames:
        yield before, comparison
        return
    for index, of_frame in zip(np.ndindex(np.shape(comparison.score)), comparison.frames, strict=True):
        yield (*before, *index), of_frame


# --- the rule ---


def _tell(
    decisions: Sequence[Decision], painted: Spans, spans: Spans, area: NDArray[Any], width: int
) -> tuple[list[Verdict], list[str]]:
    """Return verdict and note of each region of a frame, of which these are the pixels and the area.

    `painted` are the pixels of the decisions. Both are numbered from 1.
    """
    verdicts: list[Verdict] = [OPEN] * len(area)
    notes = [""] * len(area)
    if not decisions:
        return verdicts, notes
    shared = count_shared(spans, painted, width)
    one, other = shared.one - 1, shared.other - 1
    codes = np.array([VERDICTS.index(each.verdict) for each in decisions])[other]
    pixels, latest = np.zeros((2, len(area), len(VERDICTS)), np.int64)
    np.add.at(pixels, (one, codes), shared.pixels)
    np.maximum.at(latest, (one, codes), other)
    # Of two that have half each the later is written last
    enough = 2 * pixels >= area[:, None]
    enough[:, VERDICTS.index(OPEN)] = False
    for region, code in sorted(np.argwhere(enough).tolist(), key=lambda place: latest[tuple(place)]):
        verdicts[region] = VERDICTS[code]
    # The note of most pixels is written last
    for pair in np.lexsort((other, shared.pixels)):
        notes[one[pair]] = decisions[other[pair]].note or notes[one[pair]]
    return verdicts, notes


def _find_superseded(decisions: Sequence[Decision], painted: Spans, new: Spans, width: int) -> Iterator[Decision]:
    """Give the decisions, `painted` as for `_tell`, of which more than half of the pixels are in new ones."""
    shared = count_shared(painted, new, width)
    pixels = np.bincount(shared.one - 1, shared.pixels, len(decisions))
    for each, covered in zip(decisions, pixels, strict=True):
        if 2 * covered > _count_pixels(each.runs):
            yield each


# --- pixels ---


def _fits(decision: Decision, index: Index, shape: tuple[int, ...]) -> bool:
    """Return whether a decision is about a frame of this index and shape: volumes have other runs than planes."""
    return decision.frame == index and decision.runs.shape[1] == len(shape) + 1


def _reaches(decision: Decision, first: int, last: int) -> bool:
    """Return whether some of a decision may be between two rows, of volumes planes, both of which count."""
    return bool(decision.runs[0, 0] <= last and first <= decision.runs[-1, 0])


def _count_pixels(runs: NDArray[np.int64]) -> int:
    return int((runs[:, -1] - runs[:, -2]).sum())


def _lay_out(every: Sequence[NDArray[np.int64]], shape: tuple[int, ...]) -> Spans:
    """Return the runs of some, numbered from 1, as spans, the later ones upon the earlier; planes one under the other.

    Rows and planes that are not there are left out.
    """
    if not every:
        return NO_SPANS
    runs, numbers = np.concatenate(every), np.repeat(np.arange(1, len(every) + 1), [len(each) for each in every])
    inside = (runs[:, :-2] < shape[:-1]).all(axis=1)
    rows = np.ravel_multi_index(tuple(runs[inside, :-2].T), shape[:-1])
    return sort_spans(Spans(rows.astype(np.int64), runs[inside, -2], runs[inside, -1], numbers[inside]))


def _paint(decisions: Sequence[Decision], shape: tuple[int, ...]) -> Spans:
    """Return the pixels of decisions, numbered from 1."""
    return _lay_out([each.runs for each in decisions], shape)


def _find_spans(of_frame: Comparison, rows: NDArray[np.int64]) -> Spans:
    """Return the pixels of the regions of a frame in some rows; the first region has the number 1."""
    if of_frame.parts is None:
        first = int(of_frame.region_columns["label"][0])
        found = find_spans(of_frame.labels.reshape(-1, of_frame.labels.shape[-1]), rows)
        return found._replace(numbers=found.numbers - first + 1)
    # Labels in chunks are made of runs, which are there
    kept: regions.Regions = of_frame.parts.found
    begins, counts = kept.runs.offsets[rows], kept.runs.offsets[rows + 1] - kept.runs.offsets[rows]
    places = np.arange(counts.sum()) + np.repeat(begins - (np.cumsum(counts) - counts), counts)
    columns = (each[places].astype(np.int64) for each in (kept.runs.starts, kept.runs.stops, kept.labels))
    return pick_spans(Spans(np.repeat(rows, counts), *columns), kept.labels[places] > 0)


def _find_runs(of_frame: Comparison, labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the pixels of some regions, whose labels are in order, each as those of a decision."""
    columns, shape = of_frame.region_columns, of_frame.labels.shape
    places = labels - int(columns["label"][0])
    begins, ends = np.array([columns[name][places] for name in regions.name_box(len(shape))]).reshape(2, len(shape), -1)
    lines = np.zeros(shape[:-1], np.bool_)
    for begin, end in zip(begins[:-1].T.tolist(), ends[:-1].T.tolist(), strict=True):
        lines[tuple(map(slice, begin, end))] = True
    spans = _find_spans(of_frame, np.flatnonzero(lines))
    wanted = np.zeros(len(columns["label"]) + 1, np.bool_)
    wanted[places + 1] = True
    spans = pick_spans(spans, wanted[spans.numbers])
    order = np.argsort(spans.numbers, kind="stable")
    runs = np.stack((*np.unravel_index(spans.rows, lines.shape), spans.starts, spans.stops), axis=1)[order]
    return np.split(runs.astype(np.int64), np.searchsorted(spans.numbers[order], places[1:] + 1))
