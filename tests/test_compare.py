"""`compare` and what it gives, as its callers meet it."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import cv2
import dask
import numba
import numpy as np
import pandas.testing
import pytest
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare, find_regions, ssim_map, tiles

SHAPE = (60, 80)

# The two ways to find what changed: by evidence, and by the difference
DETECT, CLASSIC = Settings(), Settings.classic()
WAYS = pytest.mark.parametrize("way", [DETECT, CLASSIC], ids=["detect", "classic"])


def pair(dtype: Any = np.uint8) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return an image and the same with two squares in it."""
    before = np.random.default_rng(0).integers(0, 200, SHAPE).astype(dtype)
    after = before.copy()
    after[8:24, 10:26] = after[36:52, 50:70] = 250
    return before, after


def colour(gray: NDArray[Any], channels: int = 3) -> NDArray[Any]:
    return np.stack([gray] * channels, axis=-1)


def assert_equal(one: Comparison, other: Comparison) -> None:
    for table in ("regions", "forgiven"):
        pandas.testing.assert_frame_equal(getattr(one, table), getattr(other, table), check_exact=True)
    for field in dataclasses.fields(Comparison):
        values = getattr(one, field.name), getattr(other, field.name)
        if field.name in ("region_columns", "forgiven_columns"):
            assert list(values[0]) == list(values[1])
        elif field.name in ("pair", "limits"):
            for part, other_part in zip(*(value or () for value in values), strict=True):
                np.testing.assert_array_equal(part, other_part, err_msg=field.name)
        else:
            np.testing.assert_array_equal(*values, err_msg=field.name)


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("image-diff")]


@pytest.fixture
def many_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut into bands of few rows, on three threads."""
    monkeypatch.setattr(tiles, "TILE_PIXELS", 400)
    monkeypatch.setattr(tiles, "LIGHT_TILE_PIXELS", 400)
    monkeypatch.setattr(tiles, "count_threads", lambda: 3)


# --- what is in a comparison


@WAYS
def test_shapes_and_types_are_as_said(way: Settings) -> None:
    before, after = pair()
    found = compare(before, after, way)
    assert type(found.score) is float
    assert type(found.threshold) is float
    assert (found.difference.shape, found.difference.dtype) == (SHAPE, np.float32)
    assert (found.labels.shape, found.labels.dtype) == (SHAPE, np.int32)
    assert (found.histogram.shape, found.histogram.dtype) == ((256,), np.int64)
    assert found.settings == way
    if way.threshold == "auto":
        assert found.evidence is not None
        assert (found.evidence.shape, found.evidence.dtype) == (SHAPE, np.float32)
    else:
        assert found.evidence is None
        assert found.limits is None
    assert list(found.forgiven) == ["min_row", "min_col", "max_row", "max_col"]
    np.testing.assert_array_equal(found.pair.before, before)
    np.testing.assert_array_equal(found.pair.after, after)


@WAYS
def test_regions_are_those_of_the_labels(way: Settings) -> None:
    found = compare(*pair(), way)
    assert len(found.regions) == 2
    assert found.regions["label"].tolist() == [1, 2] == np.unique(found.labels)[1:].tolist()
    for region in found.regions.itertuples():
        rows, cols = np.nonzero(found.labels == region.label)
        box = (rows.min(), cols.min(), rows.max() + 1, cols.max() + 1)
        assert (region.min_row, region.min_col, region.max_row, region.max_col) == box
        assert region.area == rows.size
        assert (region.centroid_row, region.centroid_col) == pytest.approx((rows.mean(), cols.mean()))
        assert region.after_mean > region.before_mean
        assert region.difference_max == found.difference[rows, cols].max()
        if found.evidence is not None:
            assert region.evidence_max == found.evidence[rows, cols].max() > found.threshold
            assert region.evidence_mean == pytest.approx(found.evidence[rows, cols].mean(dtype=np.float64), rel=1e-6)


def test_stages_on_their_own_give_the_same() -> None:
    before, after = pair(np.uint16)
    found = compare(before, after, Settings.classic(win_size=9, min_area=3))
    score, difference = ssim_map(before, after, win_size=9)
    labels, regions = find_regions(difference, found.threshold, min_area=3)
    assert score == found.score
    np.testing.assert_array_equal(difference, found.difference)
    np.testing.assert_array_equal(labels, found.labels)
    assert regions.equals(found.regions[list(regions)])


def test_changed_and_fraction_and_summary() -> None:
    found = compare(*pair(), Settings.classic())
    assert found.changed is True
    assert found.changed_fraction == (found.labels > 0).sum() / found.labels.size
    share = f"{found.changed_fraction:.2%}"
    expected = f"score {found.score:.4f}, 2 regions, {share} changed, threshold {found.threshold:.3f} (Otsu)"
    assert found.summary == expected
    assert repr(found) == f"<Comparison: {expected}>"


def test_summary_says_one_region_none_and_a_threshold_that_was_set() -> None:
    before, after = pair()
    after[:30] = before[:30]
    assert ", 1 region, " in compare(before, after).summary
    assert ", 1 region, " in compare(before, after, Settings.classic()).summary
    assert compare(before, after, threshold=0.25, min_area=40).summary.endswith("threshold 0.250 (set)")
    none = compare(before, after, Settings.classic(min_area=1e6))
    assert (none.changed, none.changed_fraction) == (False, 0.0)
    assert ", no region, " in none.summary
    assert "identical" not in none.summary


@WAYS
def test_the_verdict_is_one_of_three(way: Settings) -> None:
    before, after = pair()
    same = compare(before, before.copy(), way)
    assert (same.verdict, same.changed) == ("identical", False)
    found = compare(before, after, way)
    assert (found.verdict, found.changed) == ("different", True)
    dropped = found.rethreshold(min_area=1e6)
    words = "noise" if way.threshold == "auto" else "the threshold"
    assert (dropped.verdict, dropped.changed) == (f"no difference beyond {words}", False)
    noisy = np.clip(before + np.random.default_rng(1).normal(0, 2, SHAPE), 0, 255).astype(np.uint8)
    assert compare(before, noisy).verdict == "no difference beyond noise"
    assert "no difference beyond noise" in compare(before, noisy).summary
    assert compare(before, noisy, threshold=0.9).verdict == "no difference beyond the threshold"


def test_summary_of_what_was_detected() -> None:
    found = compare(*pair())
    share = f"{found.changed_fraction:.2%}"
    noise = f"{found.resolved['noise']:.3g}"
    assert found.summary == f"score {found.score:.4f}, 2 regions, {share} changed, noise {noise}"
    assert repr(found) == f"<Comparison: {found.summary}>"


def test_summary_counts_what_is_not_valid() -> None:
    before, after = pair(np.float32)
    before[:20, 60:] = np.nan
    found = compare(before, after, Settings.classic(data_range=255))
    assert found.summary.endswith(", 400 pixels not compared")
    assert found.changed_fraction == (found.labels > 0).sum() / (found.labels.size - 400)
    detected = compare(before, after, data_range=255)
    assert detected.summary.endswith(", 400 pixels not compared")
    assert detected.changed_fraction == (detected.labels > 0).sum() / (detected.labels.size - 400)
    for way in (DETECT, CLASSIC):
        nothing = compare(before * np.nan, after, way)
        assert (nothing.changed, nothing.changed_fraction) == (False, 0.0)
        assert "4,800 pixels not compared" in nothing.summary


def test_resolved_says_what_was_used() -> None:
    before, after = pair()
    found = compare(colour(before), colour(after, 4), Settings.classic())
    still = {"shift": (0.0, 0.0), "rotation": 0.0, "scale": (1.0, 1.0), "shear": 0.0, "matrix": np.eye(3).tolist()}
    expected = {
        "data_range": 255.0,
        "channels": {"before": "RGB", "after": "RGBA"},
        "threshold_rule": "otsu",
        "otsu_level": found.resolved["otsu_level"],
        "identical": False,
        "same_luma": False,
        "pixels_not_valid": 0,
        "pixels_not_shared": 0,
        "alignment": {"outcome": "off", "reason": found.resolved["alignment"]["reason"], **still},
        "offset": 0.0,
        "intensity": None,
        "noise": None,
        "edge_tolerance": None,
        "sizes": {"before": SHAPE, "after": SHAPE},
        "versions": {
            "napari-image-diff": version("napari-image-diff"),
            "numpy": version("numpy"),
            "numba": version("numba"),
            "opencv": cv2.__version__,
        },
    }
    assert found.resolved == expected
    assert found.threshold == 1 - (found.resolved["otsu_level"] + 1) / 255
    detected = compare(colour(before), colour(after), sensitivity=0.5)
    reason = detected.resolved["alignment"]["reason"]
    assert detected.resolved == expected | {
        "channels": {"before": "RGB", "after": "RGB"},
        "threshold_rule": "auto",
        "otsu_level": None,
        "alignment": {"outcome": "not needed", "reason": reason, **still},
        "noise": detected.limits.noise if detected.limits else None,
        "edge_tolerance": detected.limits.radius if detected.limits else None,
    }
    assert reason
    assert detected.threshold == 2
    number = compare(before, after, threshold=0.3)
    assert (number.resolved["threshold_rule"], number.resolved["otsu_level"], number.threshold) == ("number", None, 0.3)
    found.resolved["versions"].clear()
    assert compare(before, after).resolved["versions"]["numpy"] == np.__version__


def test_images_of_one_luma_are_not_called_identical() -> None:
    before = np.full((40, 40, 3), (200, 50, 50), np.uint8)
    after = before.copy()
    after[10:30, 10:30] = (0, 152, 50)
    found = compare(before, after, Settings.classic())
    assert (found.score, found.changed, found.resolved["identical"]) == (1.0, False, False)
    assert "no difference in luma (colour and alpha are not compared)" in found.summary
    transparent = np.dstack([before, np.full((40, 40), 255, np.uint8)])
    transparent[5:9, 5:9, 3] = 0
    assert "identical" not in compare(before, transparent, Settings.classic()).summary
    same = compare(before, before.copy(), Settings.classic())
    assert "identical" in same.summary
    assert "colour compared as luma" in same.summary
    assert "luma" not in compare(before[..., 0], after[..., 0], Settings.classic()).summary


def test_of_one_luma_colour_and_alpha_are_detected() -> None:
    before = np.full((40, 40, 3), (200, 50, 50), np.uint8)
    after = before.copy()
    after[10:30, 10:30] = (0, 152, 50)
    found = compare(before, after)
    assert (found.score, len(found.regions), found.resolved["same_luma"]) == (1.0, 1, True)
    assert "score 1.0000, yet 1 region: " in found.summary
    transparent = np.dstack([before, np.full((40, 40), 255, np.uint8)])
    transparent[5:9, 5:9, 3] = 0
    assert compare(before, transparent).verdict == "different"
    assert "luma" not in found.summary + compare(before, before.copy()).summary


@WAYS
@pytest.mark.parametrize("window", ["uniform", "gaussian"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64, np.float16, np.float32, np.float64])
def test_identical_images_are_said_to_be(dtype: Any, window: str, way: Settings) -> None:
    before = pair()[0].astype(dtype)
    for after in (before, before.copy()):
        found = compare(before, after, way, window=window, min_area=-1)
        assert found.score == 1.0
        assert not found.changed
        assert not found.difference.any()
        assert not found.labels.any()
        assert len(found.regions) == 0
        assert found.verdict == "identical"
        if way.threshold == "auto":
            assert found.summary == "score 1.0000, identical"
            assert found.evidence is not None
            assert not found.evidence.any()
        else:
            assert found.summary.startswith("score 1.0000, identical, ")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize(("one", "other"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_constant_images(dtype: Any, one: float, other: float) -> None:
    found = compare(np.full(SHAPE, one, dtype), np.full(SHAPE, other, dtype), threshold=1e-6, min_area=-1)
    assert found.changed == (one != other)
    assert (found.score == 1) == (one == other)
    assert found.changed_fraction == (one != other)


def test_one_pixel_is_found_where_it_is() -> None:
    before = np.zeros(SHAPE, np.uint8)
    after = before.copy()
    after[30, 40] = 255
    region = compare(before, after, Settings.classic(min_area=0)).regions.iloc[0]
    assert region[["min_row", "min_col", "max_row", "max_col"]].tolist() == [27, 37, 34, 44]
    assert (region["centroid_row"], region["centroid_col"]) == (30, 40)
    # Evidence smooths over 3 x 3 pixels
    region = compare(before, after).regions.iloc[0]
    assert region[["min_row", "min_col", "max_row", "max_col"]].tolist() == [29, 39, 32, 42]
    assert (region["centroid_row"], region["centroid_col"]) == (30, 40)


# --- settings


@pytest.mark.parametrize("settings", [Settings(win_size=11, min_area=5), {"win_size": 11, "min_area": 5}])
def test_settings_as_record_mapping_or_changes(settings: Any) -> None:
    expected = compare(*pair(), win_size=11, min_area=5)
    assert_equal(compare(*pair(), settings), expected)
    assert_equal(compare(*pair(), settings={"win_size": 3, "min_area": 5}, win_size=np.int64(11)), expected)
    classic = compare(*pair(), Settings.classic(win_size=11))
    assert_equal(compare(*pair(), Settings.classic(), win_size=11), classic)
    assert_equal(compare(*pair(), dataclasses.asdict(Settings.classic()), win_size=11), classic)


def test_settings_are_checked_before_the_images() -> None:
    with pytest.raises(ValueError, match="win_size is 4, which is even"):
        compare(None, None, win_size=4)
    with pytest.raises(TypeError, match="no such setting: winsize"):
        compare(*pair(), winsize=7)
    with pytest.raises(TypeError, match="settings is a int; give a Settings"):
        compare(*pair(), 7)  # type: ignore[arg-type]


# --- another threshold


@pytest.mark.parametrize("make", [lambda image: image, colour])
@pytest.mark.parametrize(
    ("way", "changes"),
    [
        (CLASSIC, {}),
        (CLASSIC, {"threshold": 0.1}),
        (CLASSIC, {"threshold": 1.5}),
        (CLASSIC, {"min_area": -1}),
        (CLASSIC, {"threshold": 0.4, "min_area": 300}),
        (CLASSIC, {"sensitivity": 3.0}),
        (DETECT, {}),
        (DETECT, {"sensitivity": 0.3}),
        (DETECT, {"sensitivity": 4.0, "min_area": 300}),
        (DETECT, {"min_area": 300}),
    ],
)
def test_rethreshold_equals_a_fresh_comparison(
    make: Callable[..., Any], changes: dict[str, Any], way: Settings
) -> None:
    before, after = map(make, pair())
    first = compare(before, after, way, win_size=5)
    found = first.rethreshold(**changes)
    assert_equal(found, compare(before, after, way, win_size=5, **changes))
    for shared in ("difference", "pair", "histogram", "score"):
        assert getattr(found, shared) is getattr(first, shared)
    assert found.evidence is first.evidence
    assert_equal(first, compare(before, after, way, win_size=5))


@pytest.mark.parametrize("make", [lambda image: image, colour])
def test_rethreshold_goes_from_the_difference_to_evidence(make: Callable[..., Any]) -> None:
    images = [make(image) for image in pair()]
    for threshold in ("otsu", 0.3):
        first = compare(*images, threshold=threshold)
        assert_equal(first.rethreshold("auto"), compare(*images))
        assert_equal(first.rethreshold("auto", sensitivity=0.4), compare(*images, sensitivity=0.4))


@pytest.mark.parametrize("threshold", ["otsu", 0.3])
@pytest.mark.parametrize("make", [lambda image: image, colour])
def test_rethreshold_goes_from_evidence_to_the_difference(make: Callable[..., Any], threshold: Any) -> None:
    images = [make(image) for image in pair()]
    found, fresh = compare(*images).rethreshold(threshold), compare(*images, threshold=threshold)
    np.testing.assert_array_equal(found.labels, fresh.labels)
    pandas.testing.assert_frame_equal(found.regions, fresh.regions, check_exact=True)
    assert (found.evidence, found.threshold, found.settings) == (None, fresh.threshold, fresh.settings)
    assert (found.score, found.summary, found.verdict) == (fresh.score, fresh.summary, fresh.verdict)
    assert_equal(found.rethreshold("auto"), compare(*images))


def test_the_same_is_identical_whatever_counts() -> None:
    image = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    image[5:9, 5:9] = np.nan
    assert compare(image, image.copy()).verdict == "identical"
    assert compare(image, image.copy(), ignore=image > 0.5).verdict == "identical"
    other = image.copy()
    other[0, 0] = np.nan
    assert compare(image, other).verdict == "no difference beyond noise"


def test_another_light_all_over_is_said() -> None:
    before = np.random.default_rng(1).integers(60, 120, SHAPE).astype(np.uint8)
    before = np.sort(before, axis=1)
    lighter = compare(before, before + np.uint8(3), align="none")
    assert lighter.resolved["offset"] == 3
    assert not lighter.changed
    assert "intensity +3 all over" in lighter.summary
    assert "all over" not in compare(before, before).summary


def test_rethreshold_from_evidence_forgets_what_only_evidence_has() -> None:
    cut = compare(*pair()).rethreshold("otsu")
    assert cut.evidence is None
    assert (cut.resolved["noise"], cut.resolved["edge_tolerance"]) == (None, None)
    # What was measured is kept, so that it need not be again
    assert_equal(dataclasses.replace(cut, measured=None, limits=None), compare(*pair(), threshold="otsu"))
    assert cut.rethreshold("auto").evidence is cut.measured is not None


def test_rethreshold_goes_back_to_otsu() -> None:
    first = compare(*pair(), threshold=0.3, min_area=7)
    assert_equal(first.rethreshold("otsu"), compare(*pair(), threshold="otsu", min_area=7))
    assert_equal(first.rethreshold(0.8).rethreshold(0.3), first)
    assert_equal(first.rethreshold(threshold=0, min_area=0), compare(*pair(), threshold=0, min_area=0))


def test_rethreshold_checks_its_numbers() -> None:
    first = compare(*pair())
    with pytest.raises(ValueError, match="threshold is 3; give a number from 0 to 2"):
        first.rethreshold(3)
    with pytest.raises(ValueError, match="threshold is 'automatic'; give 'auto' or 'otsu' or a number"):
        first.rethreshold("automatic")
    with pytest.raises(ValueError, match=r"sensitivity is 0; give a number from 0.1 to 10"):
        first.rethreshold(sensitivity=0)
    with pytest.raises(TypeError, match="min_area is 'all'; give a number"):
        first.rethreshold(min_area="all")  # type: ignore[arg-type]


# --- progress and a clean stop


class Recorder:
    """Progress that writes down its calls, and stops the run at one of them."""

    def __init__(self, stop_at: int | None = None, error: BaseException | None = None) -> None:
        self.calls: list[tuple[int, int]] = []
        self.threads: set[threading.Thread] = set()
        self.stop_at = stop_at
        self.error = error

    def __call__(self, done: int, total: int) -> None:
        if len(self.calls) == self.stop_at and self.error is not None:
            raise self.error
        self.calls.append((done, total))
        self.threads.add(threading.current_thread())


def runs(progress: Recorder) -> Iterator[Callable[[], object]]:
    """Give every function that takes `progress`, on images of both kinds of range."""
    first = compare(*pair())
    yield lambda: compare(*pair(), Settings.classic(), progress=progress)
    yield lambda: compare(*pair(np.float64), progress=progress)
    yield lambda: compare(*map(colour, pair(np.uint16)), progress=progress)
    yield lambda: first.rethreshold(0.3, progress=progress)
    yield lambda: compare(*pair(), Settings.classic()).rethreshold("auto", progress=progress)
    yield lambda: ssim_map(*pair(np.float32), progress=progress)
    yield lambda: find_regions(first.difference, 0.3, progress=progress)


@pytest.mark.usefixtures("many_tiles")
@pytest.mark.parametrize("run", range(7))
def test_progress_rises_to_its_total_on_the_calling_thread(run: int) -> None:
    progress = Recorder()
    list(runs(progress))[run]()
    done, totals = zip(*progress.calls, strict=True)
    assert len(set(totals)) == 1
    assert len(set(done)) > 10
    assert list(done) == sorted(done)
    assert (done[0] >= 0, done[-1]) == (True, totals[0])
    assert progress.threads == {threading.current_thread()}
    assert not own_threads()


def test_progress_of_one_tile() -> None:
    progress = Recorder()
    compare(np.zeros((9, 9)), np.zeros((9, 9)), progress=progress)
    assert progress.calls[-1][0] == progress.calls[-1][1]


class Stopped(BaseException):
    """What a Cancel button might raise."""


@pytest.mark.usefixtures("many_tiles")
@pytest.mark.parametrize("run", range(7))
def test_progress_may_stop_the_run_at_any_call(run: int) -> None:
    counted = Recorder()
    list(runs(counted))[run]()
    expected = compare(*pair())
    for stop_at in range(len(counted.calls)):
        error = Stopped() if stop_at % 2 else ValueError("enough")
        progress = Recorder(stop_at, error)
        with pytest.raises(type(error)) as caught:
            list(runs(progress))[run]()
        assert caught.value is error
        assert len(progress.calls) == stop_at
        assert not own_threads()
    assert_equal(compare(*pair()), expected)


@pytest.mark.usefixtures("many_tiles")
def test_an_error_in_a_thread_is_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(rows: tiles.Rows) -> None:
        if rows[0] > 20:
            raise ArithmeticError(f"rows {rows}")

    with pytest.raises(ArithmeticError, match="rows"):
        tiles.map_tiles(fail, tiles.cut_rows(SHAPE), lambda tiles=1: None)
    assert not own_threads()


def test_tiles_not_yet_begun_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "count_threads", lambda: 3)
    stopped = threading.Event()
    begun = []

    def work(rows: tiles.Rows) -> None:
        begun.append(rows)
        assert rows[0] == 0 or stopped.wait(60)

    def stop(tiles: int = 1) -> None:
        stopped.set()
        raise Stopped

    with pytest.raises(Stopped):
        tiles.map_tiles(work, [(row, row + 1) for row in range(20_000)], stop)
    assert len(begun) < 20_000
    assert not own_threads()


def test_many_comparisons_at_once() -> None:
    """From different threads, as from two docks."""
    expected = compare(*pair())
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: compare(*pair()), range(12)):
            assert_equal(found, expected)


# --- colour


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("one", [0, 1, 3, 4])
@pytest.mark.parametrize("other", [0, 1, 3, 4])
def test_gray_and_colour_are_compared_as_luma(one: int, other: int, dtype: Any) -> None:
    before, after = pair(dtype)
    expected = compare(before, after, Settings.classic())
    names = {0: "gray", 1: "gray", 3: "RGB", 4: "RGBA"}
    images = colour(before, one) if one else before, colour(after, other) if other else after
    found = compare(*images, Settings.classic())
    assert found.score == expected.score
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.regions.equals(expected.regions)
    assert found.resolved["channels"] == {"before": names[one], "after": names[other]}


@pytest.mark.parametrize("channels", ["auto", "last", "none"])
def test_gray_needs_no_channels(channels: str) -> None:
    before, after = pair()
    expected = compare(before, after)
    np.testing.assert_array_equal(compare(before, after, channels=channels).labels, expected.labels)
    found = compare(before[..., None], after, channels=channels)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_channels_last_takes_even_three_rows_as_colour() -> None:
    image = np.random.default_rng(1).integers(0, 256, (3, 64, 3), dtype=np.uint8)
    assert compare(image, image, channels="last", win_size=3).resolved["channels"]["before"] == "RGB"


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        (
            (3, 60, 80),
            "auto",
            "first axis may be colour; give numpy.moveaxis(NAME, 0, -1) if it is, channels='none' if these are frames",
        ),
        (
            (3, 60, 3),
            "auto",
            "colour may be its first axis or its last; give numpy.moveaxis(NAME, 0, -1) or channels='last'",
        ),
        (
            (4, 60, 4),
            "auto",
            "colour may be its first axis or its last; give numpy.moveaxis(NAME, 0, -1) or channels='last'",
        ),
        ((60,), "auto", "give a gray image (H, W) or a colour image (H, W, 3 or 4)"),
        ((), "auto", "give a gray image (H, W) or a colour image (H, W, 3 or 4)"),
    ],
)
def test_what_is_no_image_is_refused(shape: tuple[int, ...], channels: str, words: str) -> None:
    image = np.zeros(shape, np.uint8)
    for name, before, after in (("before", image, pair()[1]), ("after", pair()[0], image)):
        wanted = re.escape(words.replace("NAME", name)).replace(r"\.\*", ".*")
        with pytest.raises(ValueError, match=f"^{name} has shape {re.escape(str(shape))}.*{wanted}"):
            compare(before, after, channels=channels)


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        ((60, 80, 3), "none", "60 frames of 80 x 3"),
        ((60, 80, 2), "auto", "60 frames of 80 x 2"),
        ((60, 80, 5), "last", "60 frames of 80 x 5"),
        ((2, 5, 60, 70), "auto", "2 x 5 frames of 60 x 70"),
    ],
)
def test_frames_of_another_size_are_refused(shape: tuple[int, ...], channels: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^before is {words} pixels .* and after is 60 x 80; give images of one size"):
        compare(np.zeros(shape, np.uint8), pair()[1], channels=channels)


def test_the_way_out_of_an_error_works() -> None:
    before, after = pair()
    expected = compare(before, after)
    first = np.moveaxis(colour(before), -1, 0)
    assert compare(np.moveaxis(first, 0, -1), after).score == expected.score
    assert compare(np.stack([before] * 5)[0], np.stack([after] * 2, axis=-1)[..., 0]).score == expected.score


# --- what cannot be compared


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (np.zeros(SHAPE, complex), "complex128"),
        (np.zeros(SHAPE, np.complex64), "complex64"),
        (np.zeros(SHAPE, object), "object"),
        (np.full(SHAPE, "a"), "<U1"),
        (np.full(SHAPE, b"a"), r"\|S1"),
        (np.zeros(SHAPE, "datetime64[s]"), r"datetime64\[s\]"),
        (np.zeros(SHAPE, [("red", "u1"), ("green", "u1")]), r"\[\('red', 'u1'\), \('green', 'u1'\)\]"),
        (np.ma.masked_all(SHAPE, complex), "complex128"),
        (None, "object"),
        ({"image": 1}, "object"),
    ],
)
def test_what_are_not_real_numbers_is_refused(image: Any, kind: str) -> None:
    words = f"is an array of {kind}; give real numbers: bool, integers or floats"
    with pytest.raises(TypeError, match=f"^before {words}"):
        compare(image, pair()[1])
    with pytest.raises(TypeError, match=f"^after {words}"):
        compare(pair()[0], image)


def test_rows_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^before cannot be read as an array .*; give rows of one length"):
        compare([[1, 2, 3], [4, 5]], pair()[1])


@pytest.mark.parametrize("shape", [(0, 80), (60, 0), (0, 0), (0,), (60, 0, 3), (60, 80, 0)])
def test_no_pixels_are_refused(shape: tuple[int, ...]) -> None:
    words = f"has shape {re.escape(str(shape))} and no pixels; give an image of at least 3 x 3 pixels"
    with pytest.raises(ValueError, match=f"^before {words}"):
        compare(np.zeros(shape), pair()[1])
    with pytest.raises(ValueError, match=f"^after {words}"):
        compare(pair()[0], np.zeros(shape))


@pytest.mark.parametrize("shape", [(60, 81), (80, 60), (60, 80 // 2), (1, 1)])
def test_different_shapes_are_refused(shape: tuple[int, int]) -> None:
    words = (
        rf"before is 60 x 80 pixels \(rows x columns\) and after is {shape[0]} x {shape[1]}; give images of one size"
    )
    with pytest.raises(ValueError, match=words):
        compare(pair()[0], np.zeros(shape))
    with pytest.raises(ValueError, match=words):
        compare(colour(pair()[0]), np.zeros(shape))


@pytest.mark.parametrize("height", range(1, 24))
@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_window_error_names_the_largest_that_fits(height: int, window: str) -> None:
    image = np.random.default_rng(height).integers(0, 256, (height, 40), dtype=np.uint8)
    too_large: dict[str, Any] = {"window": window, **({"win_size": 31} if window == "uniform" else {"sigma": 5.0})}
    with pytest.raises(ValueError, match=rf"images are {height} x 40 pixels and the window \d+ x \d+; ") as caught:
        compare(image, image, **too_large)
    message = str(caught.value)
    if height < 3:
        assert message.endswith("no window fits; 3 x 3 is the least")
        return
    largest = height if height % 2 else height - 1
    assert f"the largest that fits is {'win_size=' if window == 'uniform' else ''}{largest}" in message
    name, value = re.findall(r"(win_size|sigma)=([\d.]+)", message)[0]
    assert compare(image, image.copy(), window=window, **{name: float(value)}).score == 1


@pytest.mark.parametrize("size", [3, 7, 11])
def test_window_as_large_as_the_image(size: int) -> None:
    before, after = (image[:size, :size] for image in pair())
    found = compare(before, after, win_size=size)
    assert found.score == pytest.approx(1 - found.difference[size // 2, size // 2], abs=1e-6)


# --- nothing else is touched


def test_no_global_of_a_library_is_changed() -> None:
    def globals_of_libraries() -> list[Any]:
        return [
            cv2.getNumThreads(),
            cv2.useOptimized(),
            cv2.ocl.useOpenCL(),
            numba.get_num_threads(),
            dask.config.config,
            np.geterr(),
            np.get_printoptions(),
            list(warnings.filters),
            sys.getswitchinterval(),
            threading.stack_size(),
        ]

    cv2.setNumThreads(1)
    try:
        before = [repr(value) for value in globals_of_libraries()]
        for dtype in (np.uint8, np.uint16, np.float32):
            first, second = pair(dtype)
            compare(colour(first), colour(second)).rethreshold(0.2)
            compare(first, second, Settings.wang2004())
        assert [repr(value) for value in globals_of_libraries()] == before
    finally:
        cv2.setNumThreads(-1)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.uint16, np.uint64, np.float16, np.float32, np.float64])
def test_no_warning_whatever_is_in_the_images(dtype: Any) -> None:
    """pytest makes warnings errors in the threads too; this says so also where it does not."""
    extremes: list[float] = [0, 1]
    if np.issubdtype(dtype, np.integer):
        extremes += [np.iinfo(dtype).min, np.iinfo(dtype).max]
    elif dtype is not bool:
        extremes += [-1.0, 1e-7, 60000.0, np.nan, np.inf, -np.inf]
    rng = np.random.default_rng(4)
    before, after = (rng.choice(np.array(extremes, dtype), (*SHAPE, 3)) for _ in range(2))
    before[:20], after[:20] = extremes[-1], extremes[-1]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for settings in (Settings(), Settings.wang2004(), Settings(threshold=0.0, min_area=-1)):
            compare(before, after, settings)
            compare(before[..., 0], after[..., 1], settings)
    assert not caught


@pytest.mark.parametrize(("side", "told"), [(600, "0.01% changed"), (1500, "18 pixels changed")])
def test_little_of_a_large_image_is_told_in_pixels(side: int, told: str) -> None:
    before = np.zeros((side, side), np.uint8)
    after = before.copy()
    after[300, 300:304] = 255
    found = compare(before, after)
    assert found.regions["area"].tolist() == [18]
    assert f"1 region, {told}" in found.summary
