"""Gain and offset between two images, found on what did not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff import compare
from napari_image_diff.intensity import Light, fit_light, undo_light

SHAPE = (240, 320)


def picture(low: float = 30, high: float = 170, seed: int = 0) -> NDArray[np.float64]:
    """Return large soft structures that span `low` to `high`."""
    soft = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, SHAPE), 9)
    return low + (soft - soft.min()) / np.ptp(soft) * (high - low)


def noisy(image: NDArray[Any], sd: float, seed: int) -> NDArray[np.float64]:
    return image + np.random.default_rng(seed).normal(0, sd, image.shape)


def uint8(image: NDArray[Any]) -> NDArray[np.uint8]:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def changed(image: NDArray[Any], share: float, seed: int = 1) -> NDArray[Any]:
    """Return the image with another one in its first columns."""
    copy = image.copy()
    columns = round(share * image.shape[1])
    copy[:, :columns] = picture(20, 240, seed)[:, :columns]
    return copy


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (1.1, 0.0), (0.85, 12.0), (1.3, -15.0), (0.6, 40.0)])
@pytest.mark.parametrize("sd", [0.0, 3.0, 8.0])
def test_gain_and_offset_are_found_to_one_percent(gain: float, offset: float, sd: float) -> None:
    truth = picture()
    before, after = noisy(truth, sd, 2), noisy(gain * truth + offset, sd, 3)
    found = fit_light(before, after, 255.0)
    assert found.gain == pytest.approx(gain, rel=0.01)
    # An offset is known as well as the gain is, at the middle of the data
    assert found.offset + found.gain * 100 == pytest.approx(offset + gain * 100, abs=1.0)
    back = fit_light(after, before, 255.0)
    assert back.gain == pytest.approx(1 / gain, rel=0.01)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_types_do_not_matter(dtype: Any) -> None:
    scale = {np.uint8: 1.0, np.uint16: 16.0}.get(dtype, 1 / 255)
    truth = picture()
    before, after = ((image * scale).astype(dtype) for image in (noisy(truth, 2, 4), noisy(0.9 * truth + 10, 2, 5)))
    found = fit_light(before, after, 255 * scale)
    assert found.gain == pytest.approx(0.9, rel=0.01)
    assert found.offset / scale + 90 == pytest.approx(100, abs=1.0)


@pytest.mark.parametrize("sd", [1.0, 4.0])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_what_changed_does_not_decide(share: float, sd: float) -> None:
    truth = picture()
    after = changed(1.2 * truth + 8, share)
    found = fit_light(uint8(noisy(truth, sd, 6)), uint8(noisy(after, sd, 7)), 255.0)
    assert found.gain == pytest.approx(1.2, rel=0.01)
    assert found.offset + 1.2 * 100 == pytest.approx(128, abs=1.3)


def overexposed(scale: float = 1.0, most: float = 255.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return an image in which a seventh is clipped, and a brighter one in which a third is."""
    truth = picture(-30, 330)
    truth *= 240 / np.quantile(truth, 0.8)
    before, after = noisy(truth, 2, 8), noisy(1.25 * truth - 20, 2, 9)
    return np.clip(np.rint(before * scale), 0, most), np.clip(np.rint(after * scale), 0, most)


def test_what_is_clipped_does_not_decide() -> None:
    before, after = (image.astype(np.uint8) for image in overexposed())
    assert (before == 255).mean() > 0.1
    assert (after == 255).mean() > 0.3
    found = fit_light(before, after, 255.0)
    assert found.gain == pytest.approx(1.25, rel=0.01)
    assert found.offset + 1.25 * 100 == pytest.approx(105, abs=1.3)


def test_what_is_clipped_at_12_bits_does_not_decide() -> None:
    before, after = (image.astype(np.uint16) for image in overexposed(16, 4095))
    assert fit_light(before, after, 4095.0).gain == pytest.approx(1.25, rel=0.01)


def test_what_is_clipped_does_not_decide_where_pixels_are_ignored() -> None:
    before, after = (image.astype(np.uint8) for image in overexposed())
    ignore = np.zeros(SHAPE, bool)
    ignore[0, 0] = True
    found = compare(before, after, match_intensity="gain_offset", align="none", ignore=ignore)
    assert found.resolved["intensity"]["gain"] == pytest.approx(1.25, rel=0.01)


@pytest.mark.parametrize(("level", "other"), [(100, 100), (100, 130), (30.0, 85.0)])
def test_flat_images_have_an_offset_and_no_gain(level: float, other: float) -> None:
    before, after = np.full(SHAPE, level, np.float32), np.full(SHAPE, other, np.float32)
    assert fit_light(before, after, 255.0) == Light(1.0, other - level)
    almost = fit_light(np.float32(noisy(before, 0.5, 1)), np.float32(noisy(after, 0.5, 2)), 255.0)
    assert almost.gain == 1
    assert almost.offset == pytest.approx(other - level, abs=0.1)


def test_what_is_not_finite_is_left_out() -> None:
    truth = picture()
    before, after = truth.copy(), 1.1 * truth + 5
    before[:60], after[60:100] = np.nan, np.inf
    found = fit_light(before, after, 255.0)
    assert found == pytest.approx((1.1, 5), rel=1e-6)
    assert fit_light(np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8), 255.0) == Light(1.0, 0.0)


def test_nothing_finite_has_no_light() -> None:
    nothing = np.full(SHAPE, np.nan, np.float32)
    assert fit_light(nothing, np.float32(picture()), 255.0) == Light(1.0, 0.0)


def test_undoing_takes_after_back() -> None:
    truth, light = np.float32(picture()), Light(1.2, -7.0)
    for dtype, kind in ((np.float32, np.float32), (np.float64, np.float64)):
        found = undo_light(truth.astype(dtype), (1.2 * truth - 7).astype(dtype), light, 255.0)
        assert found.dtype == kind
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-4)
    assert undo_light(uint8(truth), uint8(1.2 * truth - 7), light, 255.0).dtype == np.float32


def test_what_was_clipped_is_not_held_against_after() -> None:
    before = np.array([[100, 200, 240, 250, 100]], np.float32)
    after = np.array([[120, 240, 255, 255, 255]], np.uint8)
    found = undo_light(before, after, Light(1.2, 0.0), 255.0)
    # The last is too bright for anything that 100 could have become
    np.testing.assert_allclose(found, [[100, 200, 240, 250, 212.5]])


@pytest.mark.parametrize("colour", [False, True])
def test_compare_undoes_another_light_and_finds_what_changed(colour: bool) -> None:
    truth = picture()
    after = 0.8 * truth + 25
    after[100:120, 200:230] += 40
    images = [uint8(noisy(image, 2, seed)) for seed, image in enumerate((truth, after))]
    if colour:
        images = [np.stack([image] * 3, axis=-1) for image in images]
    found = compare(*images, match_intensity="gain_offset", align="none")
    assert found.resolved["intensity"] == pytest.approx({"gain": 0.8, "offset": 25}, rel=0.03)
    assert len(found.regions) == 1
    region = found.regions.iloc[0]
    box = region[["min_row", "min_col", "max_row", "max_col"]].to_numpy(int)
    assert (np.abs(box - (100, 200, 120, 230)) <= 3).all()
    # The table is in the light of before; a region is a little larger than its change
    assert region["after_mean"] - region["before_mean"] == pytest.approx(40 / 0.8, rel=0.15)
    as_it_is = compare(*images, align="none")
    assert as_it_is.resolved["intensity"] is None
    assert as_it_is.changed_fraction > found.changed_fraction
