"""The SSIM map against published values, scikit-image in float64, itself, and other cuts into tiles."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import camera
from skimage.metrics import structural_similarity

from napari_image_diff import Settings, compare, ssim, ssim_map, tiles

WINDOWS = [
    {"win_size": 7},
    {"win_size": 3},
    {"win_size": 11, "use_sample_covariance": False},
    {"win_size": 31},
    {"window": "gaussian", "use_sample_covariance": False},
    {"window": "gaussian", "sigma": 0.7},
]


def noisy_camera() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the pair of scikit-image's own tests."""
    image = camera()
    noise = 20 * np.random.RandomState(5).randn(*image.shape)
    return image, np.clip(image + noise, 0, 255).astype(image.dtype)


def random_pair(seed: int, shape: tuple[int, int] = (61, 83), largest: int = 255) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two related images of whole numbers as float64."""
    rng = np.random.default_rng(seed)
    before = rng.integers(0, largest + 1, shape).astype(float)
    after = np.clip(np.rint(before + rng.normal(0, largest / 9, shape)), 0, largest)
    after[10:20, 30:50] = before[10:20, 30:50]
    return before, after


def reference(before: NDArray[Any], after: NDArray[Any], options: dict[str, Any], data_range: float) -> tuple[Any, Any]:
    """Return scikit-image's score and map, in float64."""
    asked = {"win_size": 7, "use_sample_covariance": True, **options}
    if asked.pop("window", "uniform") == "gaussian":
        del asked["win_size"]
        asked |= {"gaussian_weights": True, "sigma": asked.get("sigma", 1.5)}
    return structural_similarity(before.astype(float), after.astype(float), full=True, data_range=data_range, **asked)


def test_uniform_window_gives_the_value_of_scikit_image() -> None:
    score, _ = ssim_map(*noisy_camera())
    assert score == pytest.approx(0.3674518327910367, abs=1e-12)


def test_gaussian_window_gives_the_published_value() -> None:
    score = compare(*noisy_camera(), Settings.wang2004()).score
    assert score == pytest.approx(0.357959091663361, abs=1e-5)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_map_and_score_are_those_of_scikit_image(dtype: Any, options: dict[str, Any]) -> None:
    largest = {np.uint8: 255, np.uint16: 65535}.get(dtype, 4095)
    before, after = random_pair(1, largest=largest)
    score, expected = reference(before, after, options, largest)
    found, difference = ssim_map(before.astype(dtype), after.astype(dtype), data_range=largest, **options)
    assert found == pytest.approx(score, abs=1e-10)
    np.testing.assert_allclose(difference, 1 - expected, rtol=0, atol=1.5e-7)


def test_bright_images_of_little_contrast_keep_their_precision() -> None:
    rng = np.random.default_rng(2)
    before = 30000 + rng.normal(0, 10, (50, 60))
    after = before + rng.normal(0, 3, (50, 60))
    score, expected = reference(before.astype(np.float32), after.astype(np.float32), {}, 60)
    found, difference = ssim_map(before.astype(np.float32), after.astype(np.float32), data_range=60)
    assert found == pytest.approx(score, abs=1e-7)
    np.testing.assert_allclose(difference, 1 - expected, rtol=0, atol=1e-6)


def test_one_wild_pixel_spoils_only_its_windows() -> None:
    before, after = (image.astype(np.float32) / 255 for image in random_pair(3))
    _, calm = ssim_map(before, after, data_range=1)
    before[30, 40] = 1e9
    _, wild = ssim_map(before, after, data_range=1)
    touched = np.zeros(before.shape, bool)
    touched[27:34, 37:44] = True
    np.testing.assert_array_equal(wild[~touched], calm[~touched])


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_same_image_scores_exactly_one(dtype: Any, options: dict[str, Any]) -> None:
    image = (random_pair(4)[0] * 0.3).astype(dtype)
    score, difference = ssim_map(image, image.copy(), **options)
    assert score == 1.0
    assert not difference.any()


@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_symmetric_in_its_two_images(dtype: Any, options: dict[str, Any]) -> None:
    before, after = ((image / 3).astype(dtype) for image in random_pair(5))
    score, difference = ssim_map(before, after, data_range=90, **options)
    other_score, other_difference = ssim_map(after, before, data_range=90, **options)
    assert score == other_score
    np.testing.assert_array_equal(difference, other_difference)


def measured(
    before: NDArray[Any], after: NDArray[Any], window: ssim.Window, cuts: list[int], center: float
) -> tuple[NDArray[np.float32], int, int]:
    """Return the map, total and count of an image cut at the given rows."""
    difference = np.full(before.shape, -1, np.float32)
    edges = [0, *cuts, before.shape[0]]
    scores = [
        ssim.measure_tile(before, after, difference, top, bottom, window, center)
        for top, bottom in itertools.pairwise(edges)
        if top < bottom
    ]
    return difference, sum(score.total for score in scores), sum(score.pixels for score in scores)


@pytest.mark.parametrize("strip", [64, 100, 4096])
@pytest.mark.parametrize("options", WINDOWS, ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@given(cuts=st.lists(st.integers(0, 61), max_size=6), with_gaps=st.booleans())
@settings(max_examples=5, deadline=None)
def test_tiles_give_the_bits_of_the_whole(
    dtype: Any, options: dict[str, Any], strip: int, cuts: list[int], with_gaps: bool
) -> None:
    before, after = ((image / 3).astype(dtype) for image in random_pair(6, (61, 211)))
    if with_gaps and dtype == np.float32:
        before[5:9, 20:60], after[40, 100] = np.nan, -np.inf
    asked = {"window": "uniform", "win_size": 7, "sigma": 1.5, "use_sample_covariance": True, **options}
    window = ssim.make_window(asked["window"], asked["win_size"], asked["sigma"], asked["use_sample_covariance"], 85.0)
    whole = measured(before, after, window, [], 40.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssim, "STRIP", strip)
        patch.setattr(ssim, "FLOAT_STRIP", strip)
        tiled = measured(before, after, window, sorted(cuts), 40.0)
    np.testing.assert_array_equal(tiled[0], whole[0])
    assert tiled[1:] == whole[1:]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_number_of_threads_does_not_matter(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = noisy_camera()
    expected = compare(before, after)
    monkeypatch.setattr(tiles, "count_threads", lambda: threads)
    monkeypatch.setattr(tiles, "TILE_PIXELS", 5000)
    found = compare(before, after)
    assert found.score == expected.score
    np.testing.assert_array_equal(found.difference, expected.difference)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.regions.equals(expected.regions)


@pytest.mark.parametrize("options", WINDOWS, ids=str)
def test_same_values_in_any_dtype_give_the_same_bits(options: dict[str, Any]) -> None:
    before, after = random_pair(7)
    score, difference = ssim_map(before.astype(np.uint8), after.astype(np.uint8), data_range=255, **options)
    for dtype in (np.int16, np.uint16, np.int32, np.uint64, np.float16, np.float32, np.float64, np.longdouble, ">u2"):
        found, other = ssim_map(before.astype(dtype), after.astype(dtype), data_range=255, **options)
        assert found == score, dtype
        np.testing.assert_array_equal(other, difference, err_msg=str(dtype))


def masked_ssim(before: NDArray[Any], after: NDArray[Any], row: int, col: int, data_range: float) -> float:
    """Return SSIM of the 7 x 7 window round a pixel from its finite pixels, straight from the definition."""
    rows, cols = (
        np.pad(np.arange(size), 3, mode="symmetric")[at : at + 7]
        for size, at in zip(before.shape, (row, col), strict=True)
    )
    x, y = before[np.ix_(rows, cols)].ravel(), after[np.ix_(rows, cols)].ravel()
    valid = np.isfinite(x) & np.isfinite(y)
    if valid.sum() < 49 / 2 or not (np.isfinite(before[row, col]) and np.isfinite(after[row, col])):
        return float("nan")
    (vx, cxy), (_, vy) = np.cov(x[valid], y[valid])
    ux, uy = x[valid].mean(), y[valid].mean()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return float((2 * ux * uy + c1) * (2 * cxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2)))


def test_pixels_not_valid_are_left_out_of_every_window() -> None:
    before, after = random_pair(8, (24, 31))
    before[3:8, 5:12], after[20, 29], before[15, 15] = np.nan, np.inf, -np.inf
    score, difference = ssim_map(before, after, data_range=255)
    expected = np.array([[masked_ssim(before, after, i, j, 255) for j in range(31)] for i in range(24)])
    np.testing.assert_array_equal(np.isnan(difference), np.isnan(expected))
    np.testing.assert_allclose(difference, 1 - expected, rtol=0, atol=1.5e-7)
    assert score == pytest.approx(np.nanmean(expected[3:-3, 3:-3]), abs=1e-10)


def test_nothing_valid_gives_no_number_and_no_region() -> None:
    found = compare(np.full((20, 20), np.nan), np.zeros((20, 20)))
    assert np.isnan(found.score)
    assert not found.changed
    assert found.resolved["pixels_not_valid"] == 400


@pytest.mark.parametrize(("before", "after"), [(0, 0), (7, 7), (0, 200), (255, 0)])
def test_constant_images(before: int, after: int) -> None:
    score, difference = ssim_map(np.full((20, 30), before, np.uint8), np.full((20, 30), after, np.uint8))
    c1 = (0.01 * 255) ** 2
    expected = (2 * before * after + c1) / (before**2 + after**2 + c1)
    assert score == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(difference, 1 - expected, atol=1e-7)
