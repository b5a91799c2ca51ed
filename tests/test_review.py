"""What was decided of regions: the rule, held against pixels one by one, whatever became of the regions since."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare
from napari_image_diff.overlaps import Spans, count_shared, find_spans
from napari_image_diff.regions import name_box
from napari_image_diff.review import Decision, Review, count_verdicts, decide, reviewed
from napari_image_diff.verdicts import LONGEST_NOTE, VERDICTS

Array = NDArray[Any]

NOTHING = compare(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))


def with_labels(labels: Array) -> Comparison:
    """Return a comparison with these labels; what else it has does not matter here."""
    known = np.unique(labels[labels > 0])
    places = [np.argwhere(labels == label) for label in known]
    boxes = [[*each.min(0), *each.max(0) + 1] for each in places]
    table = dict(zip(name_box(labels.ndim), np.array(boxes).reshape(-1, 2 * labels.ndim).T, strict=True))
    columns = {"label": known, **table, "area": np.array([len(each) for each in places], np.int64)}
    return dataclasses.replace(NOTHING, labels=labels, region_columns=columns)


def random_labels(seed: int, shape: tuple[int, ...]) -> Array:
    """Return labels 1 to N in the order of their first pixels; some lie side by side, some in several parts."""
    random = np.random.default_rng(seed)
    found = random.integers(0, 6, [-(-side // 3) for side in shape])
    for axis, side in enumerate(shape):
        found = np.repeat(found, 3, axis).take(range(side), axis)
    found = np.where(random.random(shape) < random.choice([0, 0.3, 0.7]), 0, found)
    first = [label for label in dict.fromkeys(found.ravel().tolist()) if label]
    numbers = np.zeros(7, np.int32)
    numbers[first] = np.arange(1, len(first) + 1)
    return numbers[found]


class Pixels(NamedTuple):
    """A decision as the rule in words has it."""

    mask: Array
    verdict: str
    note: str


def rule(taken: Sequence[Pixels], region: Array) -> tuple[str, str]:
    """Return verdict and note of a region, pixel by pixel."""
    last = [
        next((number for number in reversed(range(len(taken))) if taken[number].mask[tuple(pixel)]), None)
        for pixel in np.argwhere(region)
    ]
    verdict, latest = "open", -1
    for wanted in ("real", "not real"):
        numbers = [number for number in last if number is not None and taken[number].verdict == wanted]
        if numbers and 2 * len(numbers) >= len(last) and max(numbers) > latest:
            verdict, latest = wanted, max(numbers)
    noted = [number for number in last if number is not None and taken[number].note]
    most = max(set(noted), key=lambda number: (noted.count(number), number), default=None)
    return verdict, "" if most is None else taken[most].note


def rule_of_deciding(taken: list[Pixels], labels: Array, wanted: set[int], verdict: Any, note: Any) -> list[Pixels]:
    new = []
    for label in sorted(wanted):
        had = rule(taken, labels == label)
        new.append(Pixels(labels == label, had[0] if verdict is None else verdict, had[1] if note is None else note))
    covered = np.isin(labels, list(wanted))
    return [each for each in taken if 2 * np.count_nonzero(each.mask & covered) <= np.count_nonzero(each.mask)] + new


def told(comparison: Comparison, review: Review, **place: Any) -> list[tuple[str, str]]:
    table = reviewed(comparison, review, **place).region_columns
    return list(zip(table["verdict"], table["note"], strict=True))


def mask_of(decision: Decision, shape: tuple[int, ...]) -> Array:
    mask = np.zeros(shape, bool)
    for *row, start, stop in decision.runs.tolist():
        mask[(*row, slice(start, stop))] = True
    return mask


SHAPES = st.sampled_from([(7, 9), (1, 12), (12, 1), (3, 6, 7)])
STEPS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sets(st.integers(0, 5), min_size=1, max_size=3),
        st.sampled_from([None, *VERDICTS]),
        st.sampled_from([None, "", "a", "b"]),
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(SHAPES, STEPS)
def test_the_rule_is_that_of_each_pixel(shape: tuple[int, ...], steps: list[Any]) -> None:
    review: Review = ()
    taken: list[Pixels] = []
    for seed, picked, verdict, note in steps:
        labels = random_labels(seed, shape)
        count = int(labels.max())
        if (verdict is None and note is None) or not count:
            continue
        wanted = {number % count + 1 for number in picked}
        review = decide(review, with_labels(labels), wanted, verdict=verdict, note=note)
        taken = rule_of_deciding(taken, labels, wanted, verdict, note)
        assert [each[2:] for each in review] == [each[1:] for each in taken]
        for mine, theirs in zip(review, taken, strict=True):
            np.testing.assert_array_equal(mask_of(mine, shape), theirs.mask)
        for other in (seed, seed + 1, 99):
            labels = random_labels(other, shape)
            expected = [rule(taken, labels == label) for label in range(1, int(labels.max()) + 1)]
            assert told(with_labels(labels), review) == expected


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.randoms(use_true_random=False))
def test_the_same_regions_have_the_same_verdicts_whatever_their_labels(seed: int, random: Any) -> None:
    labels = random_labels(seed, (10, 11))
    count = int(labels.max())
    review: Review = ()
    given_to = {label: (random.choice(VERDICTS), random.choice("xyz")) for label in range(1, count + 1)}
    for label in random.sample(range(1, count + 1), count):
        review = decide(review, with_labels(labels), label, verdict=given_to[label][0], note=given_to[label][1])
    assert told(with_labels(labels.copy()), review) == list(given_to.values())
    numbers = np.array([0, *random.sample(range(1, count + 1), count)], np.int32)
    renamed = told(with_labels(numbers[labels]), review)
    assert {numbers[label]: given_to[label] for label in given_to} == dict(enumerate(renamed, 1))
    # All at once, in their other order
    again = decide(review, with_labels(numbers[labels]), range(1, count + 1), note="z")
    assert len(again) == count
    assert told(with_labels(labels), again) == [(verdict, "z") for verdict, _ in given_to.values()]


def test_a_note_alone_leaves_the_verdict_and_a_verdict_alone_the_note() -> None:
    found = with_labels(random_labels(2, (9, 9)))
    review = decide((), found, 1, note="dust?")
    assert told(found, review)[0] == ("open", "dust?")
    review = decide(review, found, 1, verdict="not real")
    assert told(found, review)[0] == ("not real", "dust?")
    review = decide(review, found, 1, verdict="open")
    assert told(found, review)[0] == ("open", "dust?")
    review = decide(review, found, [1], note="")
    assert told(found, review)[0] == ("open", "")
    assert len(review) == 1


def square(*boxes: tuple[int, int, int, int]) -> Comparison:
    labels = np.zeros((40, 40), np.int32)
    for label, (top, left, bottom, right) in enumerate(boxes, 1):
        labels[top:bottom, left:right] = label
    return with_labels(labels)


def test_a_large_region_does_not_take_the_verdict_of_a_small_one_in_it() -> None:
    small, large = square((10, 10, 14, 14)), square((5, 5, 25, 25))
    review = decide((), small, 1, verdict="not real", note="a hair")
    assert told(large, review) == [("open", "a hair")]
    # It comes back with the small one, and is no more once the large one was decided
    assert told(small, review) == [("not real", "a hair")]
    review = decide(review, large, 1, verdict="real")
    assert len(review) == 1
    assert told(small, review) == told(large, review) == [("real", "a hair")]


def test_the_parts_of_a_region_have_its_verdict_and_half_of_it_is_enough() -> None:
    whole = square((10, 10, 20, 20))
    review = decide((), whole, 1, verdict="real", note="new")
    assert told(square((10, 10, 20, 12), (10, 15, 20, 20)), review) == [("real", "new")] * 2
    assert told(square((10, 10, 20, 30)), review) == [("real", "new")]
    assert told(square((10, 10, 20, 31)), review) == [("open", "new")]
    assert told(square((20, 20, 30, 30)), review) == [("open", "")]


def test_of_two_halves_the_later_counts() -> None:
    halves, whole = square((10, 10, 20, 15), (10, 15, 20, 20)), square((10, 10, 20, 20))
    for first, last in (1, 2), (2, 1):
        for earlier, later in ("real", "not real"), ("not real", "real"):
            review = decide((), halves, first, verdict=earlier, note="one")
            review = decide(review, halves, last, verdict=later, note="other")
            assert told(whole, review) == [(later, "other")]


STACK = np.random.default_rng(1).integers(100, 110, (5, 70, 90), dtype=np.uint8)
CHANGED = STACK.copy()
CHANGED[1, 10:24, 12:30] = CHANGED[1, 40:60, 50:62] = CHANGED[3, 10:24, 12:30] = 220


@pytest.mark.parametrize("chunks", [None, (1, 32, 40), (2, 70, 25)])
@pytest.mark.parametrize("asked", [{}, {"spatial_ndim": 3, "win_size": 5}, {"threshold": 0.3, "min_area": -1}], ids=str)
def test_images_in_memory_and_in_chunks_are_reviewed_alike(asked: dict[str, Any], chunks: Any) -> None:
    images = [STACK, CHANGED]
    if chunks is not None:
        images = [da.from_array(image, chunks=chunks) for image in images]
    found, plain = compare(*images, **asked), compare(STACK, CHANGED, **asked)
    labels = np.asarray(plain.labels)
    assert len(plain.regions) > 1
    review: Review = ()
    for label in plain.regions["label"]:
        review = decide(review, found, label, verdict=VERDICTS[label % 3], note=str(label))
        frame, runs = review[-1].frame, review[-1].runs
        np.testing.assert_array_equal(mask_of(review[-1], labels[frame].shape), labels[frame] == label)
        assert runs.dtype == np.int64
    expected = [(VERDICTS[label % 3], str(label)) for label in plain.regions["label"]]
    assert told(found, review) == told(plain, review) == expected
    again = reviewed(found, review)
    pieces = [frame.regions[["verdict", "note"]].values.tolist() for frame in again.frames or (again,)]
    assert [tuple(row) for piece in pieces for row in piece] == expected
    # With other regions, and with fewer
    size = plain.regions["contour_area" if "contour_area" in plain.regions else "area"]
    for changes in {"min_area": 0, "sensitivity": 0.5}, {"min_area": size.min()}, {"min_area": size.max() - 1}:
        one, other = (each.rethreshold(**changes) for each in (found, plain))
        assert told(one, review) == told(other, review)
    assert 0 < len(other.regions) < len(plain.regions)


def test_a_stack_is_reviewed_frame_by_frame() -> None:
    found = compare(STACK, CHANGED)
    assert found.regions["frame"].tolist() == [1, 1, 3]
    steps: list[tuple[int, int]] = []
    review = decide((), found, [1, 2], verdict="not real")
    again = reviewed(found, review, progress=lambda *done: steps.append(done))
    assert again.regions["verdict"].tolist() == ["not real", "not real", "open"]
    assert steps == [(done, 5) for done in range(1, 6)]
    # The frame alone, and another one, which has the same region
    for frame, verdict in (1, "not real"), (3, "open"):
        alone = compare(STACK[frame], CHANGED[frame])
        assert told(alone, review, frame=(frame,))[0] == (verdict, "")
        assert told(alone, review)[0] == ("open", "")
    alone = compare(STACK[3], CHANGED[3])
    review = decide(review, alone, 1, verdict="real", frame=(3,))
    assert reviewed(found, review).regions["verdict"].tolist() == ["not real", "not real", "real"]


def test_what_is_of_other_images_does_no_harm() -> None:
    volume, plane = with_labels(random_labels(1, (3, 6, 7))), square((30, 30, 38, 38))
    review = decide(decide((), plane, 1, verdict="real"), volume, 1, verdict="not real")
    narrow = np.zeros((34, 33), np.int32)
    narrow[30:, 30:] = 1
    for found in (volume, plane):
        assert count_verdicts(reviewed(found, review))["open"] == len(found.regions) - 1
    assert told(with_labels(narrow), review) == [("real", "")]
    assert told(with_labels(narrow[:20, :20]), review) == []
    assert len(review) == 2


def test_the_comparison_and_its_tables_stay_as_they_are() -> None:
    found = compare(STACK[1], CHANGED[1])
    before = found.regions
    again = reviewed(found, decide((), found, 1, verdict="real", note="n"))
    assert found.regions is before
    assert "verdict" not in found.region_columns
    assert list(again.regions) == [*before, "verdict", "note"]
    assert again.labels is found.labels
    assert "verdict" not in again.rethreshold(sensitivity=2).region_columns
    assert count_verdicts(found) == {"open": 2, "real": 0, "not real": 0}
    assert count_verdicts(again) == {"open": 1, "real": 1, "not real": 0}
    assert reviewed(again, ()).regions["verdict"].tolist() == ["open", "open"]
    assert reviewed(NOTHING, ()).regions["verdict"].tolist() == []


def test_a_region_that_only_one_image_has_is_reviewed_too() -> None:
    found = compare(STACK[0], CHANGED[0][:60, :80], size="pad")
    assert found.regions["kind"].tolist() == ["only in before"]
    review = decide((), found, 1, verdict="not real")
    assert told(found, review) == [("not real", "")]


@pytest.mark.parametrize(
    ("labels", "decision", "words"),
    [
        (1, {}, "nothing is decided"),
        (1, {"verdict": "wrong"}, "'wrong'.*'open', 'real', 'not real'"),
        (1, {"note": 7}, "note is a int"),
        (1, {"note": "a" * (LONGEST_NOTE + 1)}, "10,001 letters"),
        (3, {"verdict": "real"}, "no region 3; its labels are 1 to 2"),
        ([1, 0], {"verdict": "real"}, "no region 0"),
        ([], {"verdict": "real"}, r"labels is \[\]"),
        (1.5, {"verdict": "real"}, "labels is 1.5"),
        ("1", {"verdict": "real"}, "labels is '1'"),
    ],
)
def test_mistakes_are_told(labels: Any, decision: dict[str, Any], words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        decide((), square((0, 0, 4, 4), (9, 9, 14, 14)), labels, **decision)
    with pytest.raises(ValueError, match="it has none"):
        decide((), NOTHING, 1, verdict="real")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(*[st.integers(0, 9)] * 4), max_size=6), min_size=2, max_size=2))
def test_shared_pixels_are_counted_as_one_by_one(lists: list[list[tuple[int, int, int, int]]]) -> None:
    every, drawn = [], []
    for number, spans in enumerate(lists):
        rows = sorted((row, min(a, b), max(a, b) + 1, part + 1) for row, a, b, part in spans)
        every.append(Spans(*np.array(rows, np.int64).reshape(-1, 4).T))
        drawn.append({})
        for row, start, stop, part in rows:
            for column in range(start, min(stop, 8)):
                pixels = drawn[number].setdefault((row, column), [])
                pixels[:] = [part] if number else [*pixels, part]
    expected: dict[tuple[int, int], int] = {}
    for place, parts in drawn[0].items():
        for part in parts:
            for other in drawn[1].get(place, ()):
                expected[part, other] = expected.get((part, other), 0) + 1
    shared = count_shared(*every, 8)
    assert {
        (one, other): pixels for one, other, pixels in zip(*map(np.ndarray.tolist, shared), strict=True)
    } == expected


def test_spans_are_those_of_the_rows_asked_for() -> None:
    labels = np.array([[1, 1, 2, 0], [0, 0, 0, 0], [0, 3, 3, 3]], np.int32)
    assert np.stack(find_spans(labels, np.array([0, 2])), axis=1).tolist() == [
        [0, 0, 2, 1],
        [0, 2, 3, 2],
        [2, 1, 4, 3],
    ]
    assert find_spans(labels, np.array([1])).rows.size == 0


def test_classic_regions_keep_their_verdicts_over_a_slider_that_moves() -> None:
    found = compare(STACK[1], CHANGED[1], Settings.classic())
    review = decide((), found, found.regions["label"], verdict="not real", note="dust")
    for threshold in (0.9, 0.05, 0.5, found.threshold):
        now = found.rethreshold(threshold=threshold)
    assert told(now, review) == [("not real", "dust")] * len(found.regions)
