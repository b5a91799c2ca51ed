"""Two arrays become one pair: sizes, masks, transparency, place; and nothing that was given is written to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas.testing
import pytest
from made import as_type, boxes_of, muted, scene, through_lens, with_noise
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare

SHAPE = (90, 120)


def pair(dtype: Any = np.uint8, channels: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return soft ground, and the same with a bright square at rows 30 to 50 and columns 40 to 60."""
    picture = 60 + 60 * np.add.outer(np.linspace(0, 1, SHAPE[0]), np.linspace(0, 1, SHAPE[1]))
    if channels:
        picture = np.stack([picture * (1 - 0.1 * channel) for channel in range(channels)], axis=-1)
        if channels == 4:
            picture[..., 3] = 255
    after = picture.copy()
    after[30:50, 40:60] = 240 if channels < 4 else (240, 240, 240, 255)
    return as_type(picture, dtype), as_type(after, dtype)


TRUE = (30, 40, 50, 60)


def is_found(found: Comparison, true: tuple[int, ...] = TRUE, margin: int = 2) -> bool:
    """Return whether there is one region, and where it belongs; a window of 7 sees it from 3 pixels away."""
    boxes = boxes_of(found)
    return len(boxes) == 1 and max(abs(one - other) for one, other in zip(boxes[0], true, strict=True)) <= margin


def assert_same(one: Comparison, other: Comparison) -> None:
    for name in ("score", "difference", "evidence", "labels", "threshold"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    pandas.testing.assert_frame_equal(one.regions, other.regions, check_exact=True)


# --- sizes


@pytest.mark.parametrize("shape", [(80, 120), (90, 110), (1, 1), (120, 90)])
def test_sizes_that_differ_are_refused_with_the_ways_out(shape: tuple[int, int]) -> None:
    sizes = rf"before is 90 x 120 pixels \(rows x columns\) and after is {shape[0]} x {shape[1]}"
    words = f"{sizes}; .*size='overlap'.*size='pad'"
    with pytest.raises(ValueError, match=words):
        compare(pair()[0], np.zeros(shape, np.uint8))


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("way", [Settings(), Settings.classic()], ids=["detect", "classic"])
def test_overlap_compares_what_both_have(way: Settings, channels: int) -> None:
    before, after = pair(channels=channels)
    for one, other in ((before[:80], after[:, :100]), (before, after[:80, :100]), (before[:80, :100], after)):
        found = compare(one, other, way, size="overlap")
        assert_same(found, compare(before[:80, :100], after[:80, :100], way))
        pixels = [image.shape[0] * image.shape[1] - 80 * 100 for image in (one, other)]
        assert found.resolved["pixels_not_shared"] == sum(pixels)
        assert found.resolved["sizes"] == {"before": one.shape[:2], "after": other.shape[:2]}
        assert "pixels in one image only" in found.summary


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pad_shows_what_only_one_has(dtype: Any, channels: int) -> None:
    before, after = pair(dtype, channels)
    for name, one, other in (("before", before, after[:80, :100]), ("after", before[:80, :100], after)):
        found = compare(one, other, size="pad")
        assert found.labels.shape == found.difference.shape == SHAPE
        assert found.resolved["pixels_not_shared"] == 90 * 120 - 80 * 100
        alone = np.ones(SHAPE, bool)
        alone[:80, :100] = False
        assert np.isnan(found.difference[alone]).all()
        kinds = dict(zip(found.regions["label"], found.regions["kind"], strict=True))
        label = found.labels[85, 110]
        assert kinds[label] == f"only in {name}"
        np.testing.assert_array_equal(found.labels == label, alone)
        assert found.regions.set_index("label").loc[label, "area"] == alone.sum()
        assert len(found.regions) == 2
        assert (found.labels[30:50, 40:60] == 3 - label).all()
        assert not (found.labels[:80, :100] > 0)[~mask(27, 37, 53, 63)[:80, :100]].any()
        assert found.changed_fraction == pytest.approx((found.labels > 0).mean(), rel=0.01)


def test_pad_of_the_same_picture_finds_only_what_is_missing() -> None:
    before = pair()[0]
    for way in (Settings(), Settings.classic()):
        for rows, cols in ((70, 120), (90, 80), (70, 80)):
            found = compare(before, before[:rows, :cols], way, size="pad")
            assert len(found.regions) == 1
            assert found.regions["area"][0] == 90 * 120 - rows * cols
            assert found.verdict == "different"
    assert not compare(before, before[:70, :80], size="overlap").changed


def test_pad_tells_apart_what_only_before_and_only_after_has() -> None:
    before, _ = pair()
    found = compare(before[:70], before[:, :80], size="pad")
    assert sorted(found.regions["kind"]) == ["only in after", "only in before"]


def test_sizes_are_of_no_account_where_they_agree() -> None:
    before, after = pair()
    for size in ("overlap", "pad"):
        found = compare(before, after, size=size)
        assert_same(found, compare(before, after))
        assert found.resolved["pixels_not_shared"] == 0


# --- what counts


def mask(*box: int) -> NDArray[np.bool_]:
    found = np.zeros(SHAPE, bool)
    found[box[0] : box[2], box[1] : box[3]] = True
    return found


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_what_is_ignored_is_in_no_map_and_no_region(dtype: Any, channels: int) -> None:
    before, after = pair(dtype, channels)
    whole, beside = mask(28, 38, 52, 62), mask(0, 70, 90, 120)
    gone = compare(before, after, ignore=whole)
    assert not gone.changed
    found = compare(before, after, ignore=beside)
    assert is_found(found)
    for result, ignored in ((gone, whole), (found, beside)):
        assert result.evidence is not None
        np.testing.assert_array_equal(np.isnan(result.evidence), ignored)
        assert np.isnan(result.difference[ignored]).all()
        assert not result.labels[ignored].any()
        assert result.resolved["pixels_not_valid"] == np.isnan(result.difference).sum() >= ignored.sum()
        assert "pixels not compared" in result.summary


def test_of_a_change_the_part_that_counts_is_found() -> None:
    before, after = pair()
    half = mask(0, 50, 90, 120)
    found = compare(before, after, ignore=half)
    assert is_found(found, (30, 40, 50, 50))
    assert not found.labels[half].any()
    assert np.isnan(found.difference[half]).all()


def test_the_rim_of_what_is_ignored_is_no_edge() -> None:
    before, after = pair()
    assert compare(before, after).resolved["edge_tolerance"] == 1
    assert compare(before, after, ignore=mask(0, 50, 90, 120)).resolved["edge_tolerance"] == 1


def test_inside_is_the_other_way_round() -> None:
    before, after = pair()
    for box in ((20, 30, 45, 90), (0, 0, 90, 55)):
        expected = compare(before, after, inside=mask(*box))
        assert expected.changed
        assert_same(compare(before, after, ignore=~mask(*box)), expected)
        labels = np.random.default_rng(0).integers(1, 9, SHAPE) * mask(*box)
        for dtype in (np.int32, np.uint8, np.int64):
            assert_same(compare(before, after, inside=labels.astype(dtype)), expected)
        assert_same(compare(before, after, inside=mask(*box).tolist()), expected)
    both = compare(before, after, inside=mask(20, 30, 60, 90), ignore=mask(20, 50, 60, 90))
    assert_same(both, compare(before, after, inside=mask(20, 30, 60, 50)))
    assert_same(
        compare(before, after, inside=mask(0, 0, 90, 120)), compare(*map(np.float32, (before, after)), data_range=255)
    )


@pytest.mark.parametrize("name", ["inside", "ignore"])
@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        (np.zeros((3, 3), bool), r"bool of shape \(3, 3\)"),
        (np.zeros((90, 120, 1), bool), r"bool of shape \(90, 120, 1\)"),
        (np.zeros((120, 90), np.int32), r"int32 of shape \(120, 90\)"),
        (np.zeros(SHAPE), r"float64 of shape \(90, 120\)"),
        (np.full(SHAPE, "a"), r"<U1 of shape \(90, 120\)"),
        (True, r"bool of shape \(\)"),
    ],
)
def test_masks_of_another_shape_or_type_are_refused(name: str, wrong: Any, what: str) -> None:
    words = rf"^{name} is an array of {what}; give labels or a boolean array of the shape of before, \(90, 120\)"
    with pytest.raises(ValueError, match=words):
        compare(*pair(), **{name: wrong})


def test_nothing_left_to_compare_is_refused() -> None:
    before, after = pair()
    for masks in (
        {"ignore": np.ones(SHAPE, int)},
        {"inside": np.zeros(SHAPE, bool)},
        {"inside": mask(0, 0, 9, 9), "ignore": mask(0, 0, 20, 20)},
    ):
        with pytest.raises(ValueError, match="inside and ignore leave no pixel to compare"):
            compare(before, after, **masks)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.uint16])
def test_what_is_ignored_does_not_decide_the_data_range(dtype: Any) -> None:
    before, after = (image.astype(dtype) for image in pair())
    expected = compare(before[20:], after[20:]).resolved["data_range"]
    before[:20], after[:20] = 60_000, 20_000
    assert compare(before, after).resolved["data_range"] > 2 * expected
    found = compare(before, after, ignore=mask(0, 0, 20, 120))
    assert found.resolved["data_range"] == expected
    assert is_found(found)


def test_a_hole_that_is_ignored_is_not_filled() -> None:
    before, after = pair()
    hole = mask(37, 47, 43, 53)
    after[hole] = before[hole]
    assert (compare(before, after).labels[hole] > 0).all()
    assert not compare(before, after, ignore=hole).labels[hole].any()


def test_masks_lie_on_before_where_sizes_differ() -> None:
    before, after = pair()
    ignore = mask(28, 38, 52, 62)
    for size in ("overlap", "pad"):
        found = compare(before, after[:80, :100], size=size, ignore=ignore)
        assert not (found.labels[:80, :100] > 0).any()
    with pytest.raises(ValueError, match=r"of the shape of before, \(90, 120\)"):
        compare(before, after[:80, :100], size="overlap", ignore=ignore[:80, :100])


# --- transparency


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_change_of_alpha_is_found_unless_dropped(dtype: Any) -> None:
    before, _ = pair(dtype, 4)
    before[..., 3] = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    after = before.copy()
    after[30:50, 40:60, 3] = after[30:50, 40:60, 3] * 0.6
    assert is_found(compare(before, after))
    assert is_found(compare(after, before))
    assert is_found(compare(before[..., :3], after)), "a missing alpha is opaque"
    assert is_found(compare(after, before[..., :3]))
    assert not compare(before, after, alpha="drop").changed
    assert not compare(before, after, Settings.classic(min_area=-1)).changed


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_opaque_alpha_changes_nothing(dtype: Any) -> None:
    before, after = pair(dtype, 3)
    expected = compare(before, after)
    opaque = np.full((*SHAPE, 1), {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype], dtype)
    with_alpha = [np.concatenate([image, opaque], axis=-1) for image in (before, after)]
    for one, other in (with_alpha, (before, with_alpha[1]), (with_alpha[0], after)):
        assert_same(compare(one, other), expected)


def test_the_colour_of_what_is_transparent_does_not_count() -> None:
    before, after = pair(channels=4)
    before[30:50, 40:60, 3] = after[30:50, 40:60, 3] = 0
    assert not compare(before, after).changed
    assert is_found(compare(before, after, alpha="drop"))
    # Transparent in one image only: the transparency differs, whatever the colour
    before[30:50, 40:60, 3] = 255
    assert is_found(compare(before, after))
    floats = [image.astype(np.float32) / 255 for image in (before, after)]
    assert is_found(compare(*floats))


# --- gray and colour


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_gray_against_colour_is_gray_in_three_channels(dtype: Any) -> None:
    before, after = pair(dtype)
    expected = compare(before, after)
    rgb = [np.stack([image] * 3, axis=-1) for image in (before, after)]
    for one, other in ((rgb[0], after), (before, rgb[1]), tuple(rgb), (before[..., None], after)):
        found = compare(one, other)
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert found.resolved["channels"]["before"] == ("RGB" if one.shape[2:] == (3,) else "gray")
    tinted = rgb[1].copy()
    tinted[70:85, 80:100, 0] += np.asarray({np.uint8: 60, np.uint16: 960}.get(dtype, 60 / 255), dtype)
    assert compare(before, tinted).labels[75, 90] > 0


# --- place


def shifted(rows: int, cols: int, colour: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two views of one scene; the later has a square at rows 100 to 120 and columns 60 to 80 of before."""
    picture = through_lens(muted(scene(2, 320, colour=True)) if colour else scene(2, 320))
    after = picture.copy()
    area = after[130:150, 90:110]
    area += 90 if area.mean() < 128 else -90
    one = picture[30:260, 30:250]
    other = after[30 - rows : 260 - rows, 30 - cols : 250 - cols]
    before, later = (as_type(with_noise(image, 2, k), np.uint8) for k, image in enumerate((one, other)))
    return before, later


@pytest.mark.parametrize("colour", [False, True], ids=["gray", "RGB"])
@pytest.mark.parametrize(("rows", "cols"), [(0, 0), (5, 0), (-3, 8), (12, -20)])
def test_a_shift_is_undone_on_the_grid_of_before(rows: int, cols: int, colour: bool) -> None:
    before, after = shifted(rows, cols, colour)
    found = compare(before, after)
    assert is_found(found, (100, 60, 120, 80), 3)
    told = found.resolved["alignment"]
    assert told["shift"] == pytest.approx((rows, cols), abs=0.1)
    # The matrix takes a pixel of before to the place in after that shows the same
    assert np.array(told["matrix"]) @ (50, 60, 1) == pytest.approx((50 + rows, 60 + cols, 1), abs=0.1)
    assert told["outcome"] == ("aligned" if rows or cols else "not needed")
    uncovered = np.zeros(before.shape[:2], bool)
    if rows:
        uncovered[(slice(-rows, None) if rows > 0 else slice(0, -rows)), :] = True
    if cols:
        uncovered[:, (slice(-cols, None) if cols > 0 else slice(0, -cols))] = True
    missing = np.isnan(found.pair.after) if rows or cols else np.zeros(uncovered.shape, bool)
    np.testing.assert_array_equal(missing, uncovered)
    np.testing.assert_array_equal(np.isnan(found.difference) | missing, np.isnan(found.difference))
    assert not found.labels[uncovered].any()
    assert found.resolved["pixels_not_valid"] == np.isnan(found.difference).sum()
    assert found.pair.after.shape == before.shape[:2]
    if colour:
        assert all(image.shape == before.shape for image in found.pair.colours)
    off = compare(before, after, align="none")
    assert off.resolved["alignment"]["outcome"] == "off"
    assert (off.score < found.score - 0.1) == bool(rows or cols)


def test_what_is_not_covered_has_no_evidence_at_any_tolerance() -> None:
    before, after = shifted(5, 0, colour=True)
    found = compare(before, after)
    assert found.evidence is not None
    assert found.resolved["edge_tolerance"] == 3
    assert np.isnan(found.evidence[-5:]).all()


def test_masks_lie_on_before_where_after_is_shifted() -> None:
    before, after = shifted(5, -8)
    ignore = np.zeros(before.shape, bool)
    ignore[96:124, 56:84] = True
    found = compare(before, after, ignore=ignore)
    assert found.resolved["alignment"]["outcome"] == "aligned"
    assert not found.changed
    assert found.evidence is not None
    assert np.isnan(found.evidence[ignore]).all()


def test_a_change_of_hue_is_found_in_its_place_after_a_shift() -> None:
    before, after = shifted(0, 0, colour=True)
    after = after.copy()
    after[20:44, 150:180] = np.clip(after[20:44, 150:180] + np.array([40, -20, 0]), 0, 255)
    rolled = after[:, 7:]
    found = compare(before[:, :-7], rolled)
    assert found.resolved["alignment"]["outcome"] == "aligned"
    assert (found.labels[22:42, 152:178] > 0).mean() > 0.9


# --- nothing is written to


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"align": "affine"},
        {"match_intensity": "gain_offset"},
        {"alpha": "drop"},
        {"ignore": mask(0, 0, 30, 30)},
        {"inside": mask(0, 0, 60, 60).astype(np.int32)},
        {"threshold": "otsu"},
    ],
    ids=lambda changes: next(iter(changes), "defaults"),
)
@pytest.mark.parametrize("channels", [0, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_nothing_given_is_written_to(dtype: Any, channels: int, changes: dict[str, Any]) -> None:
    before, after = pair(dtype, channels)
    if channels == 4:
        before[:9, :9, 3] = 0
    given = [before, after, *(value for value in changes.values() if isinstance(value, np.ndarray))]
    raw = [array.tobytes() for array in given]
    found = compare(before, after, **changes)
    found.rethreshold(0.3).rethreshold("auto")
    assert [array.tobytes() for array in given] == raw
    assert before.flags.writeable
    assert after.flags.writeable
    for array in given:
        array.flags.writeable = False
    again = compare(before, after, **changes)
    np.testing.assert_array_equal(again.labels, found.labels)
    for plane in (*found.pair[:2], *found.pair.colours):
        assert not plane.flags.writeable
    for array in given:
        array.flags.writeable = True


def test_padding_writes_to_nothing_either() -> None:
    before, after = pair(channels=3)
    raw = before.tobytes(), after.tobytes()
    for size in ("overlap", "pad"):
        compare(before, after[:80, :100], size=size)
    assert (before.tobytes(), after.tobytes()) == raw


def test_images_that_differ_only_where_nothing_shows_are_not_identical() -> None:
    before = np.full((40, 50, 4), 200, np.uint8)
    before[:10, :10, 3] = 0
    after = before.copy()
    after[:10, :10, 0] = 90
    assert compare(before, after).verdict == "no difference beyond noise"
    assert compare(before, before.copy()).verdict == "identical"


def test_images_of_different_size_are_not_identical() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)
    assert compare(image, image[:30], size="overlap").verdict == "no difference beyond noise"
