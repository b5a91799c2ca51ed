"""Stacks: each frame is a pair of its own, and what holds for all is found from all."""

from __future__ import annotations

import re
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_image_diff import Comparison, Settings, compare
from napari_image_diff.frames import TAKEN, Shelf
from napari_image_diff.review import reviewed
from napari_image_diff.threshold import otsu_level

Array = NDArray[Any]

SIDES = (60, 76)


def make_pair(leading: tuple[int, ...], kind: str = "uint8", channels: int = 0) -> tuple[Array, Array]:
    """Return two stacks of textured frames, noisy, with a patch in each third frame, in the levels of `kind`."""
    random = np.random.default_rng(3)
    own = (channels,) if channels else ()
    count = int(np.prod(leading))
    rows, cols = np.ogrid[: SIDES[0], : SIDES[1]]
    scene = 90 + 40 * np.sin(rows / 6) * np.cos(cols / 9)
    before, after = (scene + random.normal(0, 2, (count, *own[:0], *SIDES)) for _ in range(2))
    for frame in range(0, count, 3):
        after[frame, 20:34, 30 + frame : 46 + frame] += 60
    if channels:
        before, after = (stack[..., None] * np.linspace(1, 0.6, channels) for stack in (before, after))
    dtype, factor = np.dtype(kind), {"uint8": 1, "uint16": 16, "float32": 1 / 255}[kind]
    stacks = [np.clip(stack * factor, 0, 65535 if dtype.kind == "u" else 1) for stack in (before, after)]
    one, other = (stack.reshape(*leading, *SIDES, *own).astype(dtype) for stack in stacks)
    return one, other


def frames_of(leading: tuple[int, ...]) -> list[tuple[int, ...]]:
    return list(np.ndindex(*leading))


def assert_same(found: Comparison, expected: Comparison) -> None:
    for name in ("score", "difference", "evidence", "threshold", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    pd.testing.assert_frame_equal(found.regions, expected.regions)


@pytest.mark.parametrize("settings", [Settings(), Settings.classic()], ids=["default", "classic"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(("leading", "channels"), [((5,), 0), ((1,), 0), ((2, 3), 0), ((4,), 3), ((2, 2), 4)])
def test_each_frame_is_what_it_is_alone(leading: tuple[int, ...], channels: int, kind: str, settings: Settings) -> None:
    before, after = make_pair(leading, kind, channels)
    found = compare(before, after, settings)
    assert found.difference.shape == found.labels.shape == (*leading, *SIDES)
    assert found.score.shape == found.threshold.shape == leading
    first = 0
    for place, frame in zip(frames_of(leading), found.frames, strict=True):
        alone = compare(before[place], after[place], settings, data_range=found.resolved["data_range"])
        if kind == "float32":  # the constant subtracted against cancellation is that of all frames
            np.testing.assert_allclose(found.difference[place], alone.difference, atol=1e-6)
        else:
            np.testing.assert_array_equal(found.difference[place], alone.difference)
            assert found.score[place] == alone.score
        own = np.where(found.labels[place] > 0, found.labels[place] - first, 0)
        np.testing.assert_array_equal(own, alone.labels)
        assert list(frame.regions["label"]) == list(range(first + 1, first + 1 + len(alone.regions)))
        assert np.shares_memory(frame.difference, found.difference)
        first += len(alone.regions)
    assert list(found.regions["label"]) == list(range(1, first + 1))


def test_the_table_says_the_frame() -> None:
    before, after = make_pair((2, 5))
    found = compare(before, after)
    assert list(found.regions.columns[:4]) == ["label", "axis_0", "axis_1", "min_row"]
    assert found.regions[["axis_0", "axis_1"]].values.tolist() == [[0, 0], [0, 3], [1, 1], [1, 4]]
    for row in found.regions.itertuples():
        part = found.labels[row.axis_0, row.axis_1, row.min_row : row.max_row, row.min_col : row.max_col]
        assert np.count_nonzero(part == row.label) == row.area == np.count_nonzero(found.labels == row.label)
    named = compare(before, after, axes=("t", "z"))
    assert list(named.regions.columns[:4]) == ["label", "t", "z", "min_row"]
    assert named.resolved["frames"] == {"t": 2, "z": 5}
    assert list(compare(before[0], after[0]).regions.columns[:3]) == ["label", "frame", "min_row"]
    assert list(named.rethreshold(sensitivity=2).regions.columns[:4]) == ["label", "t", "z", "min_row"]


def test_the_names_that_axes_cannot_have_are_those_of_the_columns() -> None:
    stack = make_pair((9,))
    tables = [compare(*stack).frames[0].regions, compare(*stack, spatial_ndim=3).regions]
    tables.append(reviewed(compare(*stack), ()).frames[0].regions)
    tables += [each.regions for each in compare(*stack, world=(np.eye(3), "")).frames[:1]]
    tables.append(compare(*stack, spatial_ndim=3, world=(np.eye(4), "")).regions)
    assert {name for table in tables for name in table} | {"index"} == TAKEN


@pytest.mark.parametrize("axes", [("t",), ("t", "t"), ("t", "area"), ("index", "t")])
def test_names_of_axes_must_fit(axes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^axes "):
        compare(*make_pair((2, 3)), axes=axes)


@pytest.mark.parametrize("channels", [0, 3, 4])
@pytest.mark.parametrize("which", ["before", "after"])
def test_one_plane_is_compared_with_every_frame(which: str, channels: int) -> None:
    before, after = make_pair((5,), channels=channels)
    if channels == 4:
        before[..., 3], after[..., 3] = 255, 255
        before[0, :20, :20, 3] = 0
        after[1, 40:, :20, 3] = 0
    lone = before[0] if which == "before" else after[0]
    images = (lone, after) if which == "before" else (before, lone)
    every = [np.broadcast_to(image, after.shape) for image in images]
    assert_same(compare(*images), compare(*every))


def test_a_mask_may_be_of_one_frame_or_of_all() -> None:
    before, after = make_pair((5,))
    ignore = np.zeros((5, *SIDES), bool)
    ignore[:, 10:50, 20:70] = True
    found = compare(before, after, ignore=ignore)
    assert_same(found, compare(before, after, ignore=ignore[0]))
    assert not found.changed
    assert np.isnan(found.difference[ignore]).all()
    ignore[0] = False
    found = compare(before, after, ignore=ignore)
    assert found.regions["frame"].tolist() == [0]
    assert_same(compare(before[0], after, ignore=ignore), compare(np.stack([before[0]] * 5), after, ignore=ignore))
    with pytest.raises(ValueError, match=re.escape("one frame, (60, 76), or of all, (5, 60, 76)")):
        compare(before, after, ignore=ignore[:2])


@pytest.mark.parametrize("size", ["overlap", "pad"])
def test_frames_may_differ_in_size(size: str) -> None:
    before, after = make_pair((3,), channels=3)
    before = before[:, :, :70]
    after = after[:, :55]
    mask = np.ones(before.shape[1:3], bool)
    mask[:8, :8] = False
    found = compare(before, after, size=size, inside=mask)
    for frame in range(3):
        alone = compare(before[frame], after[frame], size=size, inside=mask)
        np.testing.assert_array_equal(found.difference[frame], alone.difference)
        np.testing.assert_array_equal(found.labels[frame] > 0, alone.labels > 0)
    assert found.resolved["pixels_not_shared"] == 3 * alone.resolved["pixels_not_shared"]


def test_of_stacks_of_different_length_the_overlap_is_compared_on_request() -> None:
    before, after = make_pair((6,))
    with pytest.raises(ValueError, match=r"^before has 6 frames and after has 5; .*size='overlap'.* one plane"):
        compare(before, after[:5])
    assert_same(compare(before, after[:5], size="overlap"), compare(before[:5], after[:5]))
    equal = compare(before, before[:5], size="overlap")
    assert equal.verdict == "no difference beyond noise"
    assert equal.resolved["frames_not_shared"] == 1
    assert equal.summary.endswith("1 frame in one image only")
    with pytest.raises(ValueError, match=r"^before has leading axes of 6 frames and after of 1 x 6"):
        compare(before, after[None], size="overlap")


@pytest.mark.parametrize("kind", ["uint16", "float32"])
def test_all_frames_have_one_data_range(kind: str) -> None:
    before, after = make_pair((5,), kind)
    after[2] = after[2] * 3
    found = compare(before, after)
    ranges = {frame.resolved["data_range"] for frame in found.frames}
    assert ranges == {found.resolved["data_range"]}
    tall = compare(before.reshape(-1, SIDES[1]), after.reshape(-1, SIDES[1]), align="none")
    assert found.resolved["data_range"] == tall.resolved["data_range"]


def test_otsu_may_be_shared() -> None:
    before, after = make_pair((5,))
    own, shared = (compare(before, after, Settings.classic(shared_threshold=share)) for share in (False, True))
    assert len(set(own.threshold)) > 1
    level = otsu_level(shared.histogram.sum(0))
    assert shared.resolved["otsu_level"] == [level] * 5
    assert set(shared.threshold) == {1 - (level + 1) / 255}


def test_limits_may_be_shared() -> None:
    """A frame that is noisier than the rest is like them only if they share their limits."""
    before, after = make_pair((6,))
    before[3:] = after[3:]  # three frames are identical
    found = compare(before, after, shared_threshold=True)
    assert len({id(frame.limits) for frame in found.frames}) == 1
    again = found.rethreshold(sensitivity=1.5)
    assert again.frames[0].limits is found.frames[0].limits
    assert again.measured is not None
    np.testing.assert_array_equal(again.measured, found.measured)
    own = compare(before, after)
    assert len({id(frame.limits) for frame in own.frames}) > 1


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "changes", [{"threshold": 0.3}, {"threshold": "otsu"}, {"sensitivity": 2.0}, {"min_area": 300}]
)
def test_a_cut_anew_is_a_comparison_anew(changes: dict[str, Any], shared: bool) -> None:
    before, after = make_pair((5,))
    found = compare(before, after, shared_threshold=shared)
    assert_same(found.rethreshold(**changes), compare(before, after, shared_threshold=shared, **changes))
    classic = compare(before, after, Settings.classic(shared_threshold=shared))
    assert classic.measured is None
    assert_same(
        classic.rethreshold("auto", -1),
        compare(before, after, Settings.classic(threshold="auto", min_area=-1, shared_threshold=shared)),
    )


def test_what_is_said_of_a_stack() -> None:
    before, after = make_pair((5,))
    found = compare(before, after)
    assert found.verdict == "different"
    areas = [int(frame.regions["area"].sum()) for frame in found.frames]
    assert found.worst_frame == (int(np.argmax(areas)),)
    # Noise may be more in a frame in which nothing changed
    noisy = after.copy()
    noisy[0] = np.clip(before[0] + np.random.default_rng(0).normal(0, 30, before[0].shape), 0, 255)
    blurred = compare(before, noisy)
    assert [frame.changed for frame in blurred.frames] == [False, False, False, True, False]
    assert blurred.worst_frame == (3,)
    assert np.argmin(blurred.score) == 0
    assert found.summary.startswith("5 frames, 2 different, 2 regions, ")
    assert f"changed, most in frame {found.worst_frame[0]}, score {found.score.min():.4f} and more" in found.summary
    assert 0 < found.changed_fraction < 0.1
    same = compare(before, before)
    assert same.verdict == "identical"
    assert same.summary == "5 frames, identical, score 1.0000 and more"
    assert compare(before[:1], after[:1]).summary.startswith("1 frame, 1 different, 1 region, ")
    nothing = compare(before, after, ignore=np.arange(SIDES[0] * SIDES[1]).reshape(SIDES) > 2)
    assert "score" not in nothing.summary
    assert compare(before[1:3], after[1:3]).verdict == "no difference beyond noise"
    assert len(found.resolved["noise"]) == 5


def test_a_frame_that_was_moved_is_told_of() -> None:
    random = np.random.default_rng(0)
    scene = np.clip(128 + 200 * gaussian_filter(random.normal(0, 1, (120, 130)), 2), 0, 255)
    before = np.stack([scene[:100, :100]] * 5).astype(np.uint8)
    after = before.copy()
    after[1] = scene[3:103, 2:102]
    found = compare(before, after)
    assert "1 moved into place" in found.summary
    assert [each["outcome"] for each in found.resolved["alignment"]] == ["not needed", "aligned", *["not needed"] * 3]
    assert not found.changed


def test_progress_counts_all_frames() -> None:
    before, after = make_pair((5,))
    calls: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        calls.append((done, total))

    found = compare(before, after, progress=progress)
    for function in (lambda: found, lambda: found.rethreshold("otsu", progress=progress)):
        function()
        assert calls[-1][0] == calls[-1][1]
        assert [done for done, _ in calls] == sorted(done for done, _ in calls)
        assert len({total for _, total in calls}) == 1
        calls.clear()


def test_layout_and_container_do_not_matter() -> None:
    before, after = make_pair((2, 3))
    expected = compare(before, after)
    assert_same(compare(np.asfortranarray(before), da.from_array(after, chunks=(1, 2, 30, 30))), expected)
    wide = np.zeros((2, 3, 120, 80), np.uint8)
    wide[..., ::2, 2:78] = before
    assert_same(compare(wide[..., ::2, 2:78], after), expected)
    assert_same(compare(before[..., None], after), expected)


def test_a_stack_of_colour_needs_no_word_but_three_planes_do() -> None:
    before, after = make_pair((3,))
    found = compare(before, after, channels="none")
    assert found.labels.shape == (3, *SIDES)
    with pytest.raises(ValueError, match="channels='none' if these are frames"):
        compare(before, after)


def test_evidence_of_ones_own_is_asked_for_each_frame() -> None:
    before, after = make_pair((5,))
    shapes = []

    def own(one: Array, other: Array) -> Array:
        shapes.append(one.shape)
        return np.abs(one.astype(float) - other) / 30

    found = compare(before, after, evidence=own, shared_threshold=True)
    assert shapes == [SIDES] * 5
    assert found.regions["frame"].tolist() == [0, 3]
    assert found.rethreshold(sensitivity=1.2).regions["frame"].tolist() == [0, 3]


def test_a_cut_anew_shares_what_it_did_not_change_and_leaves_the_rest() -> None:
    before, after = make_pair((5,))
    found = compare(before, after)
    kept = found.labels.copy(), found.difference.copy()
    again = found.rethreshold(sensitivity=3)
    assert found.evidence is not None
    assert again.evidence is not None
    for one, other in ((again.difference, found.difference), (again.evidence, found.evidence)):
        assert np.shares_memory(one, other)
    assert not np.shares_memory(again.labels, found.labels)
    np.testing.assert_array_equal(found.labels, kept[0])
    np.testing.assert_array_equal(found.difference, kept[1])


def test_a_shelf_does_not_write_over_what_lay_there() -> None:
    first = Shelf((3,))
    for frame in range(3):
        first.put("x", frame, np.full(4, frame))
    old = first.take("x")
    second = Shelf((3,))
    second.put("x", 0, old[0])
    second.put("x", 1, np.full(4, 7))
    second.put("x", 2, old[2])
    assert second.take("x")[:, 0].tolist() == [0, 7, 2]
    assert old[:, 0].tolist() == [0, 1, 2]
    assert second.put("y", 0, None) is second.take("y") is None


@pytest.mark.parametrize("lazy", [False, True])
def test_identical_frames_say_nothing_of_the_noise_of_all(lazy: bool) -> None:
    rng = np.random.default_rng(0)
    before = np.uint8(128 + 40 * np.sin(np.add.outer(np.arange(80), np.arange(90)) / 7) + np.zeros((3, 1, 1)))
    after = before.copy()
    after[1] = np.clip(before[1] + rng.normal(0, 4, before[1].shape), 0, 255)
    alone = compare(before[1], after[1])
    assert alone.resolved["noise"] > 2
    one, other = (da.from_array(image, chunks=(1, 40, 40)) if lazy else image for image in (before, after))
    found = compare(one, other, shared_threshold=True, channels="none")
    assert found.resolved["noise"][1] == alone.resolved["noise"]
    np.testing.assert_array_equal(found.evidence[1], alone.evidence)
