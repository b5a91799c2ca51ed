"""Volumes: the last three axes are one image. Held against scikit-image, scipy and sums written out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity

from napari_image_diff import ssim

Array = NDArray[Any]

WINDOWS = [
    {"win_size": 7},
    {"win_size": 3},
    {"win_size": 11, "use_sample_covariance": False},
    {"window": "gaussian", "use_sample_covariance": False},
    {"window": "gaussian", "sigma": 0.7},
]


def noisy_pair(seed: int, dtype: Any, shape: tuple[int, ...] = (17, 31, 43)) -> tuple[Array, Array, float]:
    """Return two related volumes and their data range."""
    rng = np.random.default_rng(seed)
    largest = {np.uint8: 255, np.uint16: 65535}.get(dtype, 4095)
    before = rng.integers(0, largest + 1, shape)
    after = np.clip(np.rint(before + rng.normal(0, largest / 9, shape)), 0, largest)
    after[3:9, 10:20, 5:30] = before[3:9, 10:20, 5:30]
    return before.astype(dtype), after.astype(dtype), float(largest)


def window_of(options: dict[str, Any], data_range: float, share: float = 1.0) -> ssim.Window:
    asked = {"window": "uniform", "win_size": 7, "sigma": 1.5, "use_sample_covariance": True} | options
    kind = asked.pop("window")
    return ssim.make_window(kind, **asked, data_range=data_range, plane_share=share)


def measured(
    before: Array, after: Array, window: ssim.Window, center: float = 0.0, cuts: tuple[int, ...] = ()
) -> tuple[Array, float, int]:
    """Return difference, score and pixels of the score, of volumes cut at these rows, counted through all planes."""
    one, other = (np.ascontiguousarray(image.reshape(-1, image.shape[2])) for image in (before, after))
    difference = np.full(one.shape, -1, np.float32)
    tiles = itertools.pairwise((0, *cuts, len(one)))
    found = [ssim.measure_tile(one, other, difference, *rows, window, center, len(before)) for rows in tiles]
    pixels = sum(score.pixels for score in found)
    return difference.reshape(before.shape), sum(score.total for score in found) / (pixels * 2**30), pixels


def weights_of(window: ssim.Window) -> Array:
    """Return the weights of all voxels of a window."""
    taps = window.taps if window.taps.size else np.ones(window.size)
    return np.asarray(np.multiply.outer(window.plane_taps, np.multiply.outer(taps, taps)))


def written_out(before: Array, after: Array, window: ssim.Window) -> Array:
    """Return 1 - SSIM with the sums over the window taken by scipy, over the voxels that are finite in both."""
    x, y = before.astype(float), after.astype(float)
    valid = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(valid, x, 0), np.where(valid, y, 0)
    weights = weights_of(window)
    n, sx, sy, sxx, syy, sxy = (
        ndimage.correlate(each.astype(float), weights, mode="reflect") for each in (valid, x, y, x * x, y * y, x * y)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = n / (n - window.ddof)
        vx, vy, vxy = ((s / n - a * b / n**2) * share for s, a, b in ((sxx, sx, sx), (syy, sy, sy), (sxy, sx, sy)))
        top = (2 * sx * sy / n**2 + window.c1) * (2 * vxy + window.c2)
        difference = 1 - top / (((sx / n) ** 2 + (sy / n) ** 2 + window.c1) * (vx + vy + window.c2))
    return np.where(valid & (n >= weights.sum() / 2), difference, np.nan)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_map_and_score_are_those_of_scikit_image(dtype: Any, options: dict[str, Any]) -> None:
    before, after, data_range = noisy_pair(1, dtype, (20, 41, 53))
    asked: dict[str, Any] = {key: value for key, value in options.items() if key != "window"}
    asked["gaussian_weights"] = options.get("window") == "gaussian"
    score, expected = structural_similarity(
        before.astype(float), after.astype(float), data_range=data_range, full=True, **asked
    )
    center = data_range / 2 if dtype == np.float32 or asked["gaussian_weights"] else 0.0
    difference, found, _ = measured(before, after, window_of(options, data_range), center)
    # The score has steps of 2^-30 a voxel
    assert found == pytest.approx(score, abs=1e-11)
    np.testing.assert_allclose(difference, 1 - expected, rtol=0, atol=1.5e-7)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize(("share", "depth"), [(0.5, 3), (0.1, 1), (3.0, 7)])
def test_windows_are_as_thick_as_the_planes_let_them(options: dict[str, Any], share: float, depth: int) -> None:
    for dtype in (np.uint8, np.float32):
        before, after, data_range = noisy_pair(2, dtype)
        window = window_of(options, data_range, share)
        if options == {"win_size": 7}:
            assert window.shape == (depth, 7, 7)
        difference, _, pixels = measured(before, after, window, data_range / 2 if dtype == np.float32 else 0.0)
        np.testing.assert_allclose(difference, written_out(before, after, window), rtol=0, atol=1.5e-7)
        inside = [length - side + 1 for length, side in zip(before.shape, window.shape, strict=True)]
        assert pixels == np.prod(inside)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_voxels_that_are_not_valid_are_left_out(options: dict[str, Any]) -> None:
    before, after, data_range = noisy_pair(3, np.float32)
    before[4:9, 10:22, 8:20], after[12, 5, 30], before[0, 0, :3] = np.nan, np.inf, np.nan
    window = window_of(options, data_range)
    difference, score, pixels = measured(before, after, window, data_range / 2)
    expected = written_out(before, after, window)
    np.testing.assert_allclose(difference, expected, rtol=0, atol=1.5e-7)
    inside = expected[
        tuple(slice(side // 2, length - side // 2) for length, side in zip(before.shape, window.shape, strict=True))
    ]
    assert pixels == np.isfinite(inside).sum()
    assert score == pytest.approx(np.nanmean(1 - inside), abs=1e-9)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, "gaps"])
def test_tiles_give_the_bits_of_the_whole(dtype: Any, options: dict[str, Any]) -> None:
    before, after, data_range = noisy_pair(4, np.float32 if dtype == "gaps" else dtype)
    if dtype == "gaps":
        before[5:9, 3:6, 20:40], after[2, 1, 1] = np.nan, -np.inf
    window = window_of(options, data_range)
    whole = measured(before, after, window, 40.0)
    for cuts in ((31,), (5, 6, 100, 300, 310), tuple(range(13, 520, 37))):
        tiled = measured(before, after, window, 40.0, cuts)
        np.testing.assert_array_equal(tiled[0], whole[0])
        assert tiled[1:] == whole[1:]


@pytest.mark.parametrize("options", [*WINDOWS, {"win_size": 17}], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_volume_is_like_itself_and_either_may_come_first(dtype: Any, options: dict[str, Any]) -> None:
    before, after, data_range = noisy_pair(5, dtype)
    window = window_of(options, data_range)
    difference, score, _ = measured(before, before.copy(), window, 40.0)
    assert score == 1.0
    assert not difference.any()
    one, other = measured(before, after, window, 40.0), measured(after, before, window, 40.0)
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_sums_of_large_windows_do_not_wrap() -> None:
    shape = (104, 103, 110)
    rng = np.random.default_rng(6)
    before, after = (rng.integers(60000, 65536, shape).astype(np.uint16) for _ in range(2))
    score, expected = structural_similarity(
        before.astype(float), after.astype(float), win_size=103, data_range=65535.0, full=True
    )
    difference, found, pixels = measured(before, after, window_of({"win_size": 103}, 65535.0))
    assert pixels == 2 * 8
    assert found == pytest.approx(score, abs=1e-8)
    np.testing.assert_allclose(difference[50:54, 50:53, 50:60], 1 - expected[50:54, 50:53, 50:60], atol=1e-7)
