"""What the default comparison calls a change, and what it does not, on pictures made in code."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas.testing
import pytest
from made import Picture, as_jpeg, as_type, boxes_of, muted, scene, through_lens, with_noise, with_photons
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare, tiles

Box = tuple[int, int, int, int]
TYPES = [np.uint8, np.uint16, np.float32]


def assert_nothing(before: NDArray[Any], after: NDArray[Any], **changes: Any) -> Comparison:
    found = compare(before, after, **changes)
    assert boxes_of(found) == [], found
    assert found.verdict in ("identical", "no difference beyond noise")
    assert not found.labels.any()
    return found


def is_near(found: Box, true: Box, margin: int = 3) -> bool:
    return all(abs(one - other) <= margin for one, other in zip(found, true, strict=True))


# --- no change: the promise on false alarms


@pytest.mark.parametrize("colour", [False, True], ids=["gray", "RGB"])
@pytest.mark.parametrize("seed", range(5))
def test_sensor_noise_is_no_change(seed: int, colour: bool) -> None:
    """Over all parameters 80 pairs, 21 million pixels: not one region."""
    picture = scene(seed, colour=colour)
    for index, sd in enumerate((1, 4, 10, 20)):
        dtype = TYPES[(seed + index) % 3]
        noisy = [as_type(with_noise(picture, sd, 100 * seed + index + 50 * k), dtype) for k in range(2)]
        assert_nothing(*noisy)
    for index, per_level in enumerate((0.25, 1.0, 4.0)):
        shots = [as_type(with_photons(picture, per_level, 7 * seed + k), TYPES[(seed + index) % 3]) for k in range(2)]
        assert_nothing(*shots)
    assert_nothing(as_type(picture, np.uint8), as_type(with_noise(picture, 8, seed), np.uint8))


@pytest.mark.parametrize("quality", [50, 75, 90])
@pytest.mark.parametrize("seed", range(4))
def test_compression_is_no_change(seed: int, quality: int) -> None:
    for picture in (scene(seed), muted(scene(seed, colour=True))):
        assert_nothing(as_type(picture, np.uint8), as_jpeg(picture, quality))
        if picture.ndim == 2 or quality > 50:
            assert_nothing(*(as_jpeg(with_noise(picture, 5, 10 * seed + k), quality) for k in range(2)))
            assert_nothing(as_jpeg(picture, quality), as_jpeg(picture, 60))


def test_compression_of_saturated_colours_is_no_change_but_rarely() -> None:
    """At edges of saturated colours JPEG errs in a few pixels by more than is allowed for, in one of some ten pairs."""
    changed = 0
    for seed in range(12):
        picture = scene(seed, colour=True)
        for quality in (60, 75, 90):
            changed += compare(as_type(picture, np.uint8), as_jpeg(picture, quality)).changed
    assert changed <= 6  # of 36; encoders differ


def test_what_saturated_colours_explain_is_explained_in_noise_only() -> None:
    """A patch 10 levels brighter beside red on cyan: a render has no noise that could explain it."""
    before = np.full((128, 128, 3), 90, np.uint8)
    before[:, :64] = (250, 0, 0)
    before[:, 64:70] = (0, 250, 250)
    after = before.copy()
    after[60:68, 72:79] += 10
    assert compare(before, after).changed


def gradient(picture: Picture, levels: float) -> Picture:
    ramp = np.linspace(-levels, levels, picture.shape[1])
    return picture + ramp.reshape((1, -1) + (1,) * (picture.ndim - 2))


def moved(picture: Picture, rows: float, cols: float) -> Picture:
    matrix = np.array([[1, 0, cols], [0, 1, rows]])
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


HARMLESS: dict[str, Callable[[Picture], Picture]] = {
    "one level of offset": lambda picture: picture + 1,
    "a gain of 1.03": lambda picture: picture * 1.03,
    "a gradient of 6 levels": lambda picture: gradient(picture, 6),
    "a blur of 0.6 pixels": lambda picture: np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.6)),
    "a shift of 0.3 pixels": lambda picture: moved(picture, 0.15, 0.3),
    "a shift of 0.7 pixels": lambda picture: moved(picture, 0.35, 0.7),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize("colour", [False, True], ids=["gray", "RGB"])
def test_what_lamps_and_lenses_do_is_no_change(colour: bool, name: str) -> None:
    for seed in range(3):
        picture = through_lens(muted(scene(seed, 384, colour=True)) if colour else scene(seed, 384))
        dtype = TYPES[seed % 3]
        assert_nothing(as_type(picture, dtype), as_type(HARMLESS[name](picture), dtype))
        noisy = (with_noise(each, 3, seed + k) for k, each in enumerate((picture, HARMLESS[name](picture))))
        assert_nothing(*(as_type(each, dtype) for each in noisy))


def test_a_gain_is_no_change_of_saturated_colours() -> None:
    picture = np.zeros((128, 128, 3), np.uint8) + np.array([20, 30, 20], np.uint8)
    picture[30:90, 30:90] = (230, 5, 5)
    assert_nothing(picture, as_type(picture * 1.03, np.uint8))


# --- change: what is found


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("sd", [0, 2, 5, 10])
def test_squares_that_rise_above_the_noise_are_found(sd: float, dtype: Any) -> None:
    """The limit is 8 times the noise in the mean of 9 pixels, so 3.8 times that of one image, and 3 levels at least.

    A square so faint shows in cells of 4 and 8 pixels, and its box is as exact as they are.
    """
    contrast = max(8.0, 4.5 * sd)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        before = np.full((256, 256), rng.uniform(60, 180))
        after = before.copy()
        row, col = (int(value) for value in rng.integers(0, 256 - 16, 2))
        after[row : row + 16, col : col + 16] += contrast * (-1) ** seed
        found = compare(*(as_type(with_noise(each, sd, 9 * seed + k), dtype) for k, each in enumerate((before, after))))
        assert [is_near(box, (row, col, row + 16, col + 16), 8) for box in boxes_of(found)] == [True], found
        assert found.verdict == "different"


@pytest.mark.parametrize("colour", [False, True], ids=["gray", "RGB"])
@pytest.mark.parametrize("seed", range(4))
def test_a_square_on_any_ground_is_found_and_nothing_else(seed: int, colour: bool) -> None:
    picture = scene(seed, colour=colour)
    rng = np.random.default_rng(seed)
    for sd in (0, 3):
        after = picture.copy()
        row, col = (int(value) for value in rng.integers(10, 480, 2))
        area = after[row : row + 14, col : col + 14]
        area += 90 if area.mean() < 128 else -90
        images = (as_type(with_noise(each, sd, seed + k), np.uint8) for k, each in enumerate((picture, after)))
        found = compare(*images)
        assert len(found.regions) == 1, found
        assert is_near(boxes_of(found)[0], (row, col, row + 14, col + 14)), found


@pytest.mark.parametrize("sd", [0, 2, 3])
@pytest.mark.parametrize("level", [5, 120, 200, 230])
def test_twenty_levels_on_flat_ground_are_found_however_bright(level: float, sd: float) -> None:
    before = np.full((200, 200), level, float)
    after = before.copy()
    after[80:100, 60:80] += 20
    found = compare(*(as_type(with_noise(each, sd, k), np.uint8) for k, each in enumerate((before, after))))
    assert [is_near(box, (80, 60, 100, 80)) for box in boxes_of(found)] == [True]


def test_hue_of_equal_luma_is_found_and_invisible_to_ssim() -> None:
    before = np.full((160, 200, 3), 120, np.uint8)
    after = before.copy()
    after[60:90, 80:120] = (160, 100, 119)
    found = compare(before, after)
    assert [is_near(box, (60, 80, 90, 120)) for box in boxes_of(found)] == [True]
    assert found.regions["difference_max"].max() < 0.01
    assert found.score > 0.9999
    assert "yet 1 region: " in found.summary
    assert not compare(before, after, Settings.classic()).changed
    assert not compare(before[..., 0], before[..., 0].copy()).changed
    noisy = [as_type(with_noise(image.astype(float), 2, k), np.uint8) for k, image in enumerate((before, after))]
    assert [is_near(box, (60, 80, 90, 120)) for box in boxes_of(compare(*noisy))] == [True]


@pytest.mark.parametrize("side", [1, 2, 3, 5])
@pytest.mark.parametrize("sd", [0, 2])
def test_a_strong_spot_is_kept_however_small(side: int, sd: float) -> None:
    before = np.full((150, 150), 60.0)
    after = before.copy()
    after[70 : 70 + side, 90 : 90 + side] = 255
    found = compare(*(as_type(with_noise(each, sd, k), np.uint8) for k, each in enumerate((before, after))))
    assert [is_near(box, (70, 90, 70 + side, 90 + side), 2) for box in boxes_of(found)] == [True]


@pytest.mark.parametrize("end", [(140, 40), (60, 140), (20, 139), (139, 140)])
def test_a_line_of_one_pixel_is_one_region(end: tuple[int, int]) -> None:
    before = np.full((160, 160), 150.0)
    after = cv2.line(before.copy(), (20, 20), end, 20.0, 1)
    for sd in (0, 2):
        found = compare(*(as_type(with_noise(each, sd, k), np.uint8) for k, each in enumerate((before, after))))
        assert len(found.regions) == 1, found
        assert is_near(boxes_of(found)[0], (min(20, end[1]), 20, max(20, end[1]) + 1, end[0] + 1), 2), found


def test_parts_of_one_change_are_one_region() -> None:
    """Letters of a word are nearer to each other than a closing of 7 pixels bridges."""
    before = np.full((100, 200), 200, np.uint8)
    after = before.copy()
    for col in range(30, 130, 9):
        after[40:56, col : col + 4] = 30
    assert len(compare(before, after).regions) == 1
    after[40:56, 150:160] = 30
    assert len(compare(before, after).regions) == 2


def recall(found: Comparison, truth: NDArray[np.bool_]) -> float:
    return float((found.labels[truth] > 0).mean())


@pytest.mark.parametrize("colour", [False, True], ids=["gray", "RGB"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("what", ["replaced", "inverted", "brighter"])
def test_large_changes_are_found(what: str, share: float, colour: bool) -> None:
    picture = muted(scene(1, 256, colour=True), 0.7) if colour else scene(1, 256)
    columns = round(share * 256)
    after = picture.copy()
    part = after[:, :columns]
    part[:] = {"replaced": scene(2, 256, colour=colour)[:, :columns], "inverted": 255 - part, "brighter": part + 50}[
        what
    ]
    truth = np.zeros((256, 256), bool)
    truth[:, :columns] = True
    if what != "brighter":
        # What happens to be alike in both is no change
        truth &= (
            (np.abs(as_type(after, np.uint8).astype(int) - as_type(picture, np.uint8)) > 25)
            .reshape(256, 256, -1)
            .any(2)
        )
    found = compare(*(as_type(with_noise(each, 2, k), np.uint8) for k, each in enumerate((picture, after))))
    assert recall(found, truth) > 0.7, found
    if share < 1:
        assert (found.labels[:, columns + 8 :] > 0).mean() < 0.01


@pytest.mark.parametrize("sd", [0, 2])
@pytest.mark.parametrize("change", [-60, 25, 100])
def test_a_flat_picture_of_another_level_is_found_as_a_whole(change: float, sd: float) -> None:
    images = [np.full((128, 150), level) for level in (120.0, 120.0 + change)]
    found = compare(*(as_type(with_noise(image, sd, k), np.uint8) for k, image in enumerate(images)))
    assert recall(found, np.ones((128, 150), bool)) > 0.95


# --- edges that are displaced


def board(seed: int = 0, *, jitter: int = 0, side: int = 384) -> Picture:
    """Return a board of short tracks and pads that do not touch; each lies up to `jitter` pixels from its place."""
    rng, away = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    picture = np.full((side, side), 40.0)
    for top in range(0, side - 47, 48):
        for left in range(0, side - 47, 48):
            down, across = (int(value) for value in away.integers(-jitter, jitter + 1, 2))
            cell = picture[top : top + 48, left : left + 48]
            row, col = 10 + down, 10 + across
            kind = rng.integers(4)
            if kind != 1:
                cell[row : row + 7, col : col + 28] = 210
            if kind != 2:
                cell[row : row + 28, col + 10 : col + 17] = 210
            if kind == 3:
                cell[row + 16 : row + 28, col : col + 28] = 210
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.8))


@pytest.mark.parametrize("jitter", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_displaced_tracks_are_forgiven_and_defects_are_not(seed: int, jitter: int) -> None:
    before, after = board(seed), board(seed, jitter=jitter)
    clean = compare(as_type(before, np.uint8), as_type(after, np.uint8))
    assert clean.resolved["edge_tolerance"] == 3
    assert boxes_of(clean) == [], clean
    # What lies further away than the tolerance of evidence is told apart, and forgiven
    assert (len(clean.forgiven) > 0) == (jitter > 3)
    assert list(clean.forgiven) == ["min_row", "min_col", "max_row", "max_col"]
    # Solder where two cells meet, and a part that is missing
    solder, missing = (142, 140, 152, 152), (192, 192, 240, 240)
    for value, (top, left, bottom, right) in ((210, solder), (40, missing)):
        after[top:bottom, left:right] = value
    found = compare(as_type(before, np.uint8), as_type(after, np.uint8))
    assert found.resolved["edge_tolerance"] == 3
    hits = [[overlap(box, true) for box in boxes_of(found)] for true in (solder, missing)]
    assert all(any(row) for row in hits), found
    assert all(any(column) for column in zip(*hits, strict=True)), found


def overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def test_edges_in_their_place_need_no_tolerance() -> None:
    before = board(1)
    for after in (before, before + 1, with_noise(before, 4, 1)):
        assert compare(as_type(before, np.uint8), as_type(after, np.uint8)).resolved["edge_tolerance"] in (1, None)


def test_an_edit_is_no_displacement() -> None:
    before = np.full((200, 300), 230, np.uint8)
    for row in range(30, 180, 30):
        cv2.putText(before, "all work and no play", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 20, 2)
    after = before.copy()
    after[65:95, 5:120] = 230
    cv2.putText(after, "no rest", (10, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 20, 2)
    assert compare(before, after).resolved["edge_tolerance"] == 1


# --- sensitivity and threshold


@pytest.fixture(scope="module")
def several() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A noisy colour picture, and another with squares of all strengths."""
    picture = scene(3, 320, colour=True)
    after = picture.copy()
    for index, (row, col) in enumerate(np.random.default_rng(1).integers(0, 290, (14, 2)).tolist()):
        after[row : row + 18, col : col + 12] += (-1) ** index * (6 + 8 * index)
    before, after = (as_type(with_noise(each, 3, k), np.uint8) for k, each in enumerate((picture, after)))
    return before, after


def assert_same(one: Comparison, other: Comparison) -> None:
    for name in ("score", "difference", "evidence", "threshold", "labels", "histogram", "settings"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    for name in ("regions", "forgiven"):
        pandas.testing.assert_frame_equal(getattr(one, name), getattr(other, name), check_exact=True)
    assert (one.verdict, one.summary) == (other.verdict, other.summary)


def test_more_sensitivity_never_finds_less(several: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    first = compare(*several)
    assert first.resolved["edge_tolerance"] == 1
    less, areas = np.zeros(first.labels.shape, bool), []
    for sensitivity in (0.1, 0.2, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0, 10.0):
        found = first.rethreshold(sensitivity=sensitivity)
        assert found.threshold == pytest.approx(1 / sensitivity)
        more = found.labels > 0
        assert not (less & ~more).any()
        less = more
        areas.append(int(more.sum()))
    assert len(set(areas)) > 5
    assert first.rethreshold(min_area=100).labels.any()
    assert not (first.rethreshold(min_area=100).labels[first.labels == 0] > 0).any()


def test_rethreshold_equals_a_fresh_comparison(several: tuple[NDArray[np.uint8], NDArray[np.uint8]]) -> None:
    displaced = as_type(board(2, side=200), np.uint8), as_type(board(2, jitter=3, side=200), np.uint8)
    steps: list[dict[str, Any]] = [
        {"sensitivity": 3.0},
        {"threshold": 0.4, "min_area": 60},
        {"threshold": "auto"},
        {"threshold": "otsu", "min_area": -1},
        {"threshold": "auto", "sensitivity": 0.4},
    ]
    for images in (several, displaced):
        asked = dataclasses.asdict(Settings(align="none"))
        found = compare(*images, asked)
        for step in steps:
            found = found.rethreshold(**step)
            asked |= step
            assert_same(found, compare(*images, asked))


# --- tiles


@pytest.mark.parametrize("case", ["RGB", "displaced", "NaN", "uint16"])
def test_tiles_and_threads_do_not_show(
    case: str, several: tuple[NDArray[np.uint8], NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    images: tuple[NDArray[Any], NDArray[Any]] = several
    if case == "displaced":
        after = board(2, jitter=3)
        after[200:220, 100:115] = 255 - after[200:220, 100:115]
        images = as_type(board(2), np.uint8), as_type(after, np.uint8)
    elif case == "NaN":
        images = several[0][..., 0] / np.float32(255), several[1][..., 0] / np.float32(255)
        images[0][100:130, 40:80] = np.nan
    elif case == "uint16":
        images = several[0][..., 0].astype(np.uint16) * 257, several[1][..., 0].astype(np.uint16) * 257
    whole = compare(*images)
    assert len(whole.regions) >= 1
    assert "kind" in whole.regions
    for pixels, threads in ((500, 1), (3001, 4), (20_000, 2)):
        with monkeypatch.context() as patch:
            patch.setattr(tiles, "TILE_PIXELS", pixels)
            patch.setattr(tiles, "LIGHT_TILE_PIXELS", 3 * pixels)
            patch.setattr(tiles, "count_threads", lambda threads=threads: threads)
            found = compare(*images)
            assert_same(found, whole)
            assert found.resolved == whole.resolved
            assert_same(found.rethreshold(sensitivity=2.0), whole.rethreshold(sensitivity=2.0))
