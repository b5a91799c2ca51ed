"""`compare(..., evidence=function)`: a measure of the user's own in place of noise and edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from made import boxes_of
from numpy.typing import NDArray

from napari_image_diff import Settings, compare

SHAPE = (60, 80)


def pair(channels: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    shape = (*SHAPE, channels) if channels else SHAPE
    before = np.random.default_rng(0).integers(90, 100, shape, dtype=np.uint8)
    after = before.copy()
    after[20:30, 40:56] += 20
    return before, after


def tenths(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
    """Return the absolute difference, 10 levels = 1."""
    found = np.abs(np.float64(after) - np.float64(before)) / 10
    return found if found.ndim == 2 else found[..., :3].max(2)


@pytest.mark.parametrize("channels", [0, 3, 4])
def test_its_map_is_cut_at_one(channels: int) -> None:
    before, after = pair(channels)
    found = compare(before, after, evidence=tenths)
    assert found.evidence is not None
    np.testing.assert_array_equal(found.evidence, tenths(before, after).astype(np.float32))
    assert found.threshold == 1
    assert boxes_of(found) == [(20, 40, 30, 56)]
    assert found.limits is None
    assert found.resolved["noise"] is None
    assert found.verdict == "different"
    assert "kind" in found.regions
    # 20 levels are 2, and 0.4 of that is less than 1
    for fresh in (compare(before, after, evidence=tenths, sensitivity=0.4), found.rethreshold(sensitivity=0.4)):
        assert not fresh.changed
        assert fresh.verdict == "no difference beyond noise"


def test_it_is_called_once_with_the_images_as_they_are_compared() -> None:
    calls: list[tuple[NDArray[Any], ...]] = []

    def measure(*images: NDArray[Any]) -> NDArray[Any]:
        calls.append(images)
        return tenths(*images)

    for channels in (0, 3):
        before, after = pair(channels)
        found = compare(before, after, evidence=measure)
        found.rethreshold(sensitivity=2).rethreshold(min_area=3)
        assert len(calls) == 1
        for image, given in zip(calls.pop(), (before, after), strict=True):
            np.testing.assert_array_equal(image, given)
            assert not image.flags.writeable
            with pytest.raises(ValueError, match="read-only"):
                image[0, 0] = 1


def test_what_it_returns_belongs_to_it() -> None:
    before, after = pair()
    own = tenths(before, after).astype(np.float32)
    kept = own.copy()
    ignore = np.zeros(SHAPE, bool)
    ignore[:25] = True
    found = compare(before, after, evidence=lambda *_: own, ignore=ignore)
    np.testing.assert_array_equal(own, kept)
    assert found.evidence is not None
    np.testing.assert_array_equal(np.isnan(found.evidence), ignore)
    assert boxes_of(found) == [(25, 40, 30, 56)]


def test_its_nan_is_no_change() -> None:
    before, after = pair()

    def measure(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        found = tenths(one, other)
        found[:, 48:] = np.nan
        return found

    found = compare(before, after, evidence=measure)
    assert boxes_of(found) == [(20, 40, 30, 48)]
    assert not compare(before, after, evidence=lambda *_: np.full(SHAPE, np.nan)).changed
    assert compare(before, after, evidence=lambda *_: np.full(SHAPE, np.inf)).labels.all()


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int64, bool, list])
def test_it_may_return_any_kind_of_array(kind: Any) -> None:
    before, after = pair()
    own = np.zeros(SHAPE, np.float64 if kind is list else kind)
    own[20:30, 40:56] = 1 if kind is bool else 3
    given = own.tolist() if kind is list else own
    found = compare(before, after, evidence=lambda *_: given, sensitivity=2)
    assert boxes_of(found) == [(20, 40, 30, 56)]


@pytest.mark.parametrize("shape", [(), (60,), (80, 60), (60, 80, 1), (60, 80, 3), (59, 80)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    words = rf"evidence returned an array of shape {shape}; give a map with one value for each pixel, \(60, 80\)"
    with pytest.raises(
        ValueError, match=words.replace(f"{shape}", "".join(f"\\{c}" if c in "()" else c for c in f"{shape}"))
    ):
        compare(*pair(), evidence=lambda *_: np.zeros(shape))


@pytest.mark.parametrize("threshold", ["otsu", 0.3])
def test_the_threshold_must_be_auto(threshold: Any) -> None:
    with pytest.raises(
        ValueError, match="which cuts the difference; give threshold='auto' to cut evidence of your own"
    ):
        compare(*pair(), evidence=tenths, threshold=threshold)
    with pytest.raises(ValueError, match="give threshold='auto'"):
        compare(*pair(), Settings.classic(), evidence=tenths)


def test_its_errors_are_the_callers() -> None:
    error = ArithmeticError("no model")

    def fail(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
        raise error

    with pytest.raises(ArithmeticError) as caught:
        compare(*pair(), evidence=fail)
    assert caught.value is error


def test_it_sees_the_images_in_their_place() -> None:
    rng = np.random.default_rng(1)
    scene = np.kron(rng.integers(20, 230, (16, 16)), np.ones((10, 10), int)).astype(np.uint8)
    before, after = scene[10:140, 10:140], scene[7:137, 15:145]
    found = compare(before, after, evidence=tenths)
    assert found.resolved["alignment"]["outcome"] == "aligned"
    assert found.resolved["alignment"]["shift"] == pytest.approx((3, -5), abs=0.1)
    assert found.evidence is not None
    assert np.isfinite(found.evidence).mean() > 0.9
    assert np.nanmax(found.evidence) < 1


def test_progress_reaches_its_total() -> None:
    calls: list[tuple[int, int]] = []
    compare(*pair(), evidence=tenths, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]


def test_it_is_kept_while_another_threshold_is_tried() -> None:
    before, after = pair()
    found = compare(before, after, evidence=tenths)
    back = found.rethreshold(0.3).rethreshold("auto")
    np.testing.assert_array_equal(back.evidence, found.evidence)
