"""The histogram against numpy's cast, Otsu's level against OpenCV's, the threshold against the mask it stands for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_image_diff.threshold import count_levels, otsu_level, threshold_of_level


def opencv_level(histogram: NDArray[Any], *, accelerated: bool = False) -> int:
    """Return Otsu's level of OpenCV for an image that has this histogram; `accelerated`, that of Intel's IPP in it."""
    image = np.repeat(np.arange(256, dtype=np.uint8), histogram)
    before = cv2.useOptimized()
    cv2.setUseOptimized(accelerated)
    try:
        level, _ = cv2.threshold(image[None, :], 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    finally:
        cv2.setUseOptimized(before)
    return int(level)


def variance_between(histogram: NDArray[Any], level: int) -> Fraction:
    """Return what Otsu's level is the greatest of, exactly (times the square of the number of pixels)."""
    counts = [int(count) for count in histogram]
    moments = [value * count for value, count in enumerate(counts)]
    low, high = sum(counts[: level + 1]), sum(counts[level + 1 :])
    distance = Fraction(sum(moments[: level + 1]), low) - Fraction(sum(moments[level + 1 :]), high)
    return low * high * distance**2


def random_histogram(rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a histogram of one of the shapes that images have, or that are hard on Otsu."""
    kind = rng.integers(6)
    if kind == 0:  # any counts at all
        return rng.integers(0, int(rng.choice([2, 5, 100, 1000])), 256)
    histogram = np.zeros(256, np.int64)
    if kind == 1:  # a few levels, many ties
        histogram[rng.choice(256, int(rng.integers(1, 6)), replace=False)] = rng.integers(1, 4)
    elif kind == 2:  # two levels, neighbours too
        low = int(rng.integers(255))
        histogram[[low, int(rng.integers(low + 1, 256))]] = rng.integers(1, 10**5, 2)
    elif kind == 3:  # two bells
        for middle, wide in zip(rng.integers(0, 256, 2), rng.uniform(1, 60, 2), strict=True):
            values = rng.normal(middle, wide, int(rng.integers(1, 5000)))
            histogram += np.bincount(np.clip(values, 0, 255).astype(int), minlength=256)
    elif kind == 4:  # almost everything on one level, as a map of two images that are nearly the same
        histogram[255] = rng.integers(10**4, 10**6)
        histogram[rng.integers(0, 256, 4)] += rng.integers(0, 3, 4)
    else:  # mirror images, where two splits part the classes equally well
        histogram += rng.integers(0, 50, 256)
        histogram += histogram[::-1].copy()
    return histogram


@pytest.mark.parametrize("seed", range(40))
def test_otsu_level_is_that_of_opencv(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(100):
        histogram = random_histogram(rng)
        assert otsu_level(histogram) == (opencv_level(histogram) if histogram.any() else 0), histogram.tolist()


@pytest.mark.parametrize("seed", range(12, 16))
def test_where_intel_chooses_otherwise_the_splits_are_equally_good(seed: int) -> None:
    """OpenCV may hand the search to IPP, which rounds in an order of its own."""
    rng = np.random.default_rng(seed)
    for _ in range(100):
        histogram = random_histogram(rng)
        if not histogram.any():
            continue
        ours, theirs = otsu_level(histogram), opencv_level(histogram, accelerated=True)
        if ours != theirs:
            one, other = variance_between(histogram, ours), variance_between(histogram, theirs)
            assert abs(one / other - 1) < 1e-12


def test_every_pair_of_levels() -> None:
    for low in range(0, 255, 5):
        for high in range(low + 1, 256, 7):
            histogram = np.zeros(256, np.int64)
            histogram[[low, high]] = 3, 5
            assert otsu_level(histogram) == opencv_level(histogram) == low


@pytest.mark.parametrize("level", [0, 1, 128, 254, 255])
def test_one_level_cannot_be_split(level: int) -> None:
    histogram = np.zeros(256, np.int64)
    histogram[level] = 77
    assert otsu_level(histogram) == opencv_level(histogram) == 0


def test_nothing_counted_gives_0() -> None:
    assert otsu_level(np.zeros(256, np.int64)) == 0


@pytest.mark.parametrize("share", [0.9, 0.99, 1.01, 1.1])
def test_a_side_of_too_small_a_share_is_no_class(share: float) -> None:
    """OpenCV's limit is 1.19e-7 of the pixels: one pixel in 8.4 million."""
    histogram = np.zeros(256, np.int64)
    histogram[[10, 200]] = 1, round(2**23 / share)
    assert otsu_level(histogram) == opencv_level(histogram) == (10 if share > 1 else 0)


def test_counts_beyond_any_image_do_not_overflow() -> None:
    histogram = np.zeros(256, np.int64)
    histogram[[3, 50, 90, 250]] = np.array([2, 1, 1, 2]) * 10**16
    assert otsu_level(histogram) == opencv_level(histogram // 10**16) == 90


def cast_as_the_recipes_do(difference: NDArray[np.float32]) -> NDArray[np.int64]:
    similarity = np.clip(1.0 - difference.astype(np.float64), 0, 1)
    return np.bincount((similarity * 255).astype(np.uint8).ravel(), minlength=256)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1), (61, 83), (64, 256)])
def test_levels_are_those_of_the_cast_to_8_bits(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for low, high in ((0, 2), (0, 0.01), (0.99, 1.01), (1, 2)):
        difference = rng.uniform(low, high, shape).astype(np.float32)
        found = count_levels(difference)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, cast_as_the_recipes_do(difference))


def test_levels_change_where_the_cast_does() -> None:
    """The float32 on either side of every step."""
    steps = (1 - np.arange(256) / 255).astype(np.float32)
    tiny = (10.0 ** -np.linspace(1, 20, 256)).astype(np.float32)
    difference = np.stack([np.nextafter(steps, np.float32(-1)), steps, np.nextafter(steps, np.float32(3)), tiny])
    np.testing.assert_array_equal(count_levels(difference), cast_as_the_recipes_do(difference))


def test_rounding_beyond_the_ends_stays_inside() -> None:
    ends = np.array([[0.0, -0.0, -1e-7, 1.0, 1.0000001, 2.0, 2.0000002]], np.float32)
    expected = np.zeros(256, np.int64)
    expected[[0, 255]] = 4, 3
    np.testing.assert_array_equal(count_levels(ends), expected)


def test_not_valid_is_not_counted() -> None:
    difference = np.full((8, 9), 0.5, np.float32)
    difference[2, 3:7] = np.nan
    counts = count_levels(difference)
    assert (counts.sum(), counts[127]) == (68, 68)
    assert not count_levels(np.full((3, 3), np.nan, np.float32)).any()


def test_histograms_of_tiles_add_up() -> None:
    difference = np.random.default_rng(1).uniform(0, 2, (53, 31)).astype(np.float32)
    parts = [count_levels(difference[top : top + 7]) for top in range(0, 53, 7)]
    np.testing.assert_array_equal(np.sum(parts, axis=0), count_levels(difference))


def test_threshold_of_a_level_marks_the_levels_up_to_it() -> None:
    """The recipes mark ``level <= L`` on 8 bits; 1e-6 off the steps there is no rounding to disagree about."""
    similarity = np.random.default_rng(2).uniform(0, 1, 20_000)
    similarity = similarity[np.abs(similarity * 255 - np.round(similarity * 255)) > 255e-6]
    levels = (similarity * 255).astype(np.uint8)
    difference = (1 - similarity).astype(np.float32)
    for level in range(255):
        marked = difference.astype(np.float64) > threshold_of_level(level)
        np.testing.assert_array_equal(marked, levels <= level)


def test_what_cannot_be_is_counted_at_the_ends() -> None:
    """Another thread may write to the images while they are compared: no count may land outside the histogram."""
    counts = count_levels(np.array([[-0.5, -1e30, np.inf, 7, -np.inf, np.nan]], np.float32))
    assert (counts[255], counts[0], counts.sum()) == (3, 2, 5)
