"""Regions against OpenCV's contours, scipy's labels and numpy's sums, however the image is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff import compare, find_regions, tiles

Mask = NDArray[np.bool_]

BOX = ["min_row", "min_col", "max_row", "max_col"]
EIGHT_NEIGHBOURS = np.ones((3, 3))


def spiral(size: int) -> Mask:
    """Return a path that winds inwards, one pixel wide: one region, and no hole."""
    mask = np.zeros((size, size), bool)
    row, col, step, length = 0, -1, (0, 1), size
    for turn in range(2 * size):
        for _ in range(length):
            row, col = row + step[0], col + step[1]
            mask[row, col] = True
        step = (step[1], -step[0])
        length -= 2 if turn % 2 or turn == 0 else 0
        length += 1 if turn == 0 else 0
        if length <= 0:
            break
    return mask


def comb(shape: tuple[int, int], spine: int) -> Mask:
    """Return teeth that are joined in one row only."""
    mask = np.zeros(shape, bool)
    mask[:, ::2] = True
    mask[spine] = True
    return mask


def rings(size: int, gap: int = 2) -> Mask:
    """Return squares within squares: filled, they are one region."""
    mask = np.zeros((size, size), bool)
    for inset in range(0, size // 2, gap):
        mask[inset : size - inset, inset : size - inset] ^= True
    return mask


def checkers(shape: tuple[int, int], first: int = 0) -> Mask:
    return np.indices(shape).sum(axis=0) % 2 == first


def dots(*places: tuple[int, int]) -> Mask:
    mask = np.zeros((9, 11), bool)
    for place in places:
        mask[place] = True
    return mask


def noise(seed: int) -> Mask:
    """Return noise of any density and grain."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 70, 2))
    image = rng.random(shape)
    if seed % 3 == 0:
        image = ndimage.gaussian_filter(image, rng.uniform(0.5, 3), mode="wrap")
    return image < np.quantile(image, rng.random())


SHAPES: dict[str, Mask] = {
    "spiral": spiral(41),
    "spiral_inside_out": ~spiral(40),
    "comb_down": comb((20, 31), 0),
    "comb_up": comb((20, 31), -1),
    "comb_middle": comb((21, 30), 10),
    "comb_sideways": comb((20, 31), 0).T.copy(),
    "rings": rings(37),
    "rings_thin": rings(36, 1),
    "rings_inside_out": ~rings(38),
    "checkers": checkers((17, 23)),
    "checkers_other": checkers((16, 24), 1),
    "rings_round_checkers": np.pad(np.pad(checkers((9, 9)), 2), 2, constant_values=True),
    "ring_closed_by_corners": np.pad(np.eye(8, dtype=bool) | np.eye(8, dtype=bool)[::-1], 3),
    "diamond": np.abs(np.indices((21, 21)) - 10).sum(axis=0) == 8,
    "one_pixel": dots((4, 5)),
    "corners": dots((0, 0), (0, 10), (8, 0), (8, 10)),
    "corner_to_corner": dots((3, 3), (4, 4), (5, 3), (4, 2)),
    "full": np.ones((12, 13), bool),
    "empty": np.zeros((12, 13), bool),
    "one_row": np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1]], bool),
    "one_column": np.array([[1, 1, 0, 1, 0, 0, 1, 1, 1]], bool).T.copy(),
    "one_by_one": np.ones((1, 1), bool),
    "frame": np.pad(np.zeros((10, 14), bool), 1, constant_values=True),
    "frame_with_gap": np.pad(np.zeros((10, 14), bool), ((1, 1), (1, 0)), constant_values=True),
    "wide": noise(3).repeat(40, axis=1),
    "beyond_a_block": np.tile(np.arange(300) % 130 < 128, (3, 1)),
}


def contours_of(mask: Mask, min_area: float) -> tuple[NDArray[np.int32], list[list[int]], list[float]]:
    """Return labels, boxes and contour areas by OpenCV, in raster order of the first pixels."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    kept = [contour for contour in reversed(found) if cv2.contourArea(contour) > min_area]
    labels = np.zeros(mask.shape, np.int32)
    boxes = []
    for number, contour in enumerate(kept, 1):
        cv2.drawContours(labels, [contour], 0, number, -1)
        col, row, width, height = cv2.boundingRect(contour)
        boxes.append([row, col, row + height, col + width])
    return labels, boxes, [cv2.contourArea(contour) for contour in kept]


def scipy_labels(mask: Mask) -> NDArray[np.int32]:
    """Return the filled mask's labels by scipy, renumbered in raster order of the first pixels."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask), EIGHT_NEIGHBOURS)
    _, first = np.unique(labels[labels > 0], return_index=True)
    order = np.zeros(count + 1, np.int32)
    order[1:][np.argsort(first)] = np.arange(1, count + 1)
    return order[labels]


def regions_of(mask: Mask, min_area: float = -1) -> tuple[NDArray[np.int32], pd.DataFrame]:
    return find_regions(mask.astype(np.float32), 0.5, min_area=min_area)


def check_against_opencv(mask: Mask, min_area: float) -> None:
    labels, regions = regions_of(mask, min_area)
    expected, boxes, areas = contours_of(mask, min_area)
    np.testing.assert_array_equal(labels, expected)
    assert labels.dtype == np.int32
    assert regions["label"].tolist() == list(range(1, len(areas) + 1))
    assert regions[BOX].values.tolist() == boxes
    assert regions["contour_area"].tolist() == areas


def check_against_scipy(mask: Mask) -> None:
    labels, regions = regions_of(mask)
    expected = scipy_labels(mask)
    np.testing.assert_array_equal(labels, expected)
    numbers = range(1, len(regions) + 1)
    assert regions["area"].tolist() == np.bincount(expected.ravel(), minlength=len(regions) + 1)[1:].tolist()
    centroids = np.reshape(ndimage.center_of_mass(np.ones(mask.shape), expected, numbers), (-1, 2))
    np.testing.assert_allclose(regions[["centroid_row", "centroid_col"]], centroids, rtol=1e-12, atol=1e-12)
    slices = [[*(axis.start for axis in box), *(axis.stop for axis in box)] for box in ndimage.find_objects(expected)]
    assert regions[BOX].values.tolist() == slices


@pytest.mark.parametrize("min_area", [-1, 0, 4.5])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_as_opencv_has_them(name: str, min_area: float) -> None:
    check_against_opencv(SHAPES[name], min_area)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_as_scipy_has_them(name: str) -> None:
    check_against_scipy(SHAPES[name])


@pytest.mark.parametrize("tenth", range(30))
def test_noise_as_opencv_and_scipy_have_it(tenth: int) -> None:
    for seed in range(20 * tenth, 20 * tenth + 20):
        check_against_opencv(noise(seed), -1)
        check_against_opencv(noise(seed), 2.0)
        check_against_scipy(noise(seed))


def test_the_shapes_are_what_they_are_called() -> None:
    counts = {name: len(regions_of(mask)[1]) for name, mask in SHAPES.items()}
    one = ["spiral", "comb_down", "rings", "checkers", "diamond", "one_pixel", "corner_to_corner", "full", "frame"]
    assert [counts[name] for name in one] == [1] * len(one)
    assert (counts["empty"], counts["corners"], counts["one_row"]) == (0, 4, 3)
    assert regions_of(SHAPES["spiral"])[1]["area"].tolist() == [SHAPES["spiral"].sum()]
    assert regions_of(SHAPES["diamond"])[1]["area"].tolist() == [1 + 4 * (8 + 28)]


@pytest.mark.parametrize(("side", "area"), [(1, 0), (2, 1), (3, 4), (8, 49)])
def test_min_area_is_strict(side: int, area: float) -> None:
    mask = np.pad(np.ones((side, side), bool), 2)
    assert regions_of(mask)[1]["contour_area"].tolist() == [area]
    assert len(regions_of(mask, area)[1]) == 0
    assert not regions_of(mask, area)[0].any()
    assert len(regions_of(mask, np.nextafter(area, -1))[1]) == 1


@pytest.mark.parametrize("min_area", [-0.001, -1, -1000, -np.inf])
def test_any_negative_number_keeps_all(min_area: float) -> None:
    assert len(regions_of(SHAPES["corners"], min_area)[1]) == 4


def test_infinite_min_area_keeps_none() -> None:
    assert len(regions_of(SHAPES["full"], np.inf)[1]) == 0


def test_what_lies_in_a_hole_belongs_to_the_region_around() -> None:
    mask = np.pad(np.pad(np.pad(np.ones((1, 1), bool), 2), 1, constant_values=True), 1)
    labels, regions = regions_of(mask)
    assert regions["area"].tolist() == [49]
    np.testing.assert_array_equal(labels, np.pad(np.ones((7, 7)), 1))


@pytest.mark.parametrize("col", [4, 130, 200, 511, 595])
def test_one_pixel_not_valid_opens_a_hole_however_wide(col: int) -> None:
    """Rows are passed over in blocks of 128 pixels where nothing begins or ends."""
    difference = np.pad(np.zeros((3, 592), np.float32), 4, constant_values=1)
    assert find_regions(difference, 0.5)[1]["area"].tolist() == [difference.size]
    difference[5, col] = np.nan
    labels, regions = find_regions(difference, 0.5)
    assert regions["area"].tolist() == [difference.size - 3 * 592]
    np.testing.assert_array_equal(labels > 0, difference > 0.5)


def test_threshold_is_strict_and_compared_in_float64() -> None:
    tenth = np.float32(0.1)  # greater than the float64 0.1
    difference = np.full((5, 5), tenth)
    assert len(find_regions(difference, 0.1, min_area=-1)[1]) == 1
    assert len(find_regions(difference, float(tenth), min_area=-1)[1]) == 0
    assert len(find_regions(difference, np.nextafter(float(tenth), 0), min_area=-1)[1]) == 1
    for threshold in (np.inf, 1e300, -1e300, -np.inf):
        assert len(find_regions(difference, threshold, min_area=-1)[1]) == (threshold < 0)


@pytest.mark.parametrize("seed", range(25))
def test_pixels_not_valid_keep_holes_open(seed: int) -> None:
    """A hole is filled unless one of its pixels is not valid; such a pixel is in no region."""
    rng = np.random.default_rng(seed)
    mask = noise(seed + 1000)
    difference = mask.astype(np.float32)
    invalid = rng.random(mask.shape) < rng.choice([0.005, 0.05, 0.3])
    difference[invalid] = np.nan
    background, _ = ndimage.label(np.pad(~mask | invalid, 1, constant_values=True))
    outside = {background[0, 0], *np.unique(background[1:-1, 1:-1][invalid])}
    filled = ~np.isin(background, list(outside))[1:-1, 1:-1]
    labels, regions = find_regions(difference, 0.5, min_area=-1)
    expected, count = ndimage.label(filled, EIGHT_NEIGHBOURS)
    np.testing.assert_array_equal(labels > 0, filled)
    assert len(regions) == count
    # The same partition, whatever the numbers
    assert len(np.unique(np.stack([labels[filled], expected[filled]]), axis=1).T) == count
    assert not labels[invalid].any()
    assert np.isfinite(regions.to_numpy()).all()


def test_one_pixel_not_valid_opens_one_hole_of_two() -> None:
    difference = np.zeros((9, 16), np.float32)
    difference[1:8, 1:8] = difference[1:8, 8:15] = 1
    difference[3:6, 3:6] = difference[3:6, 10:13] = 0
    difference[4, 11] = np.nan
    labels, regions = find_regions(difference, 0.5)
    assert regions["area"].tolist() == [98 - 9]
    assert (labels[4, 4], labels[4, 10], labels[4, 11]) == (1, 0, 0)
    assert np.isfinite(regions["difference_mean"]).all()


@pytest.fixture(params=[1, 2, 3, 7, 100], ids="{} rows".format)
def bands(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give a function that makes every later run cut into bands of so many rows, on three threads."""

    def cut() -> None:
        def cut_rows(shape: Any, **_: Any) -> list[tuple[int, int]]:
            return [(top, min(top + request.param, shape[0])) for top in range(0, shape[0], request.param)]

        monkeypatch.setattr(tiles, "cut_rows", cut_rows)
        monkeypatch.setattr(tiles, "count_threads", lambda: 3)

    return cut


def test_seams_do_not_show(bands: Callable[[], None]) -> None:
    rng = np.random.default_rng(5)
    maps = [*SHAPES.values(), *(noise(seed) for seed in range(60))]
    differences = [(mask * rng.uniform(0.5, 2, mask.shape)).astype(np.float32) for mask in maps]
    for difference in differences[::3]:
        difference[rng.random(difference.shape) < 0.03] = np.nan
    whole = [find_regions(difference, 0.5, min_area=1) for difference in differences]
    bands()
    for difference, (labels, regions) in zip(differences, whole, strict=True):
        found, table = find_regions(difference, 0.5, min_area=1)
        np.testing.assert_array_equal(found, labels)
        pd.testing.assert_frame_equal(table, regions, check_exact=True)


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("pixels", [10, 60, 997])
def test_size_of_tiles_and_number_of_threads_do_not_show(
    pixels: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (np.random.default_rng(6).random((90, 47)) * 255).astype(np.uint8)
    after = before.copy()
    for row in (3, 30, 60):
        after[row : row + 14, row // 2 : row // 2 + 9] = 200
    whole = compare(before, after, threshold=0.4, min_area=-1)
    assert len(whole.regions) == 3
    monkeypatch.setattr(tiles, "TILE_PIXELS", pixels)
    monkeypatch.setattr(tiles, "LIGHT_TILE_PIXELS", pixels)
    monkeypatch.setattr(tiles, "count_threads", lambda: threads)
    found = compare(before, after, threshold=0.4, min_area=-1)
    np.testing.assert_array_equal(found.labels, whole.labels)
    np.testing.assert_array_equal(found.difference, whole.difference)
    np.testing.assert_array_equal(found.histogram, whole.histogram)
    pd.testing.assert_frame_equal(found.regions, whole.regions, check_exact=True)
    assert found.score == whole.score


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_means_are_those_of_numpy(dtype: Any) -> None:
    rng = np.random.default_rng(7)
    before = rng.integers(0, 256, (90, 110)).astype(dtype)
    after = before.copy()
    for row, col in rng.integers(0, 80, (9, 2)):
        after[row : row + 11, col : col + 9] = rng.integers(0, 256)
    found = compare(before, after, data_range=255)
    assert len(found.regions) >= 3
    for region in found.regions.itertuples():
        inside = found.labels == region.label
        assert region.before_mean == pytest.approx(before[inside].mean(dtype=float), abs=1e-9)
        assert region.after_mean == pytest.approx(after[inside].mean(dtype=float), abs=1e-9)
        # differences count in steps of 2^-24
        assert region.difference_mean == pytest.approx(found.difference[inside].mean(dtype=float), abs=2**-24)
        assert region.difference_max == found.difference[inside].max()


def test_means_of_values_far_beyond_the_data_range() -> None:
    before = np.random.default_rng(8).random((60, 60)) * 1e12
    after = before.copy()
    after[20:40, 20:40] = 3e12
    found = compare(before, after, data_range=0.001)
    inside = found.labels == 1
    assert found.regions["before_mean"][0] == pytest.approx(before[inside].mean(), rel=1e-12)
    assert found.regions["after_mean"][0] == pytest.approx(after[inside].mean(), rel=1e-12)


def test_a_hundred_thousand_regions_are_all_there() -> None:
    rows, cols = 320, 330
    mask = np.zeros((2 * rows, 2 * cols), bool)
    mask[::2, ::2] = True
    labels, regions = regions_of(mask)
    assert len(regions) == labels.max() == rows * cols > 100_000
    np.testing.assert_array_equal(labels[::2, ::2].ravel(), np.arange(1, rows * cols + 1))
    np.testing.assert_array_equal(regions["centroid_row"], 2 * np.repeat(np.arange(rows), cols))
    np.testing.assert_array_equal(regions["centroid_col"], 2 * np.tile(np.arange(cols), rows))
    assert (regions["area"] == 1).all()


def test_columns_are_named_and_typed_as_said() -> None:
    for mask in (SHAPES["corners"], SHAPES["empty"]):
        _, regions = regions_of(mask)
        whole = ["label", *BOX, "area"]
        assert [*regions] == [
            *whole,
            "contour_area",
            "centroid_row",
            "centroid_col",
            "difference_mean",
            "difference_max",
        ]
        assert all(regions[name].dtype.kind == ("i" if name in whole else "f") for name in regions)


def test_map_of_any_kind_is_read_and_left_alone() -> None:
    difference = np.random.default_rng(9).random((31, 45))
    labels, regions = find_regions(difference.astype(np.float32), 0.5, min_area=-1)
    masked = np.ma.masked_array(difference, np.zeros(difference.shape, bool))
    for other in (difference, difference.T.copy().T, difference.tolist(), masked, difference.astype(">f4")):
        found, table = find_regions(other, 0.5, min_area=-1)
        np.testing.assert_array_equal(found, labels)
        assert table.equals(regions)
    kept = difference.astype(np.float32)
    kept.flags.writeable = False
    find_regions(kept, 0.5)
    masked[:] = np.ma.masked
    assert not find_regions(masked, -1)[0].any()


@pytest.mark.parametrize(
    ("difference", "options", "kind", "words"),
    [
        (np.zeros((3, 4, 5)), {}, ValueError, r"shape \(3, 4, 5\).*give"),
        (np.zeros(5), {}, ValueError, r"shape \(5,\).*give"),
        (np.zeros((0, 5)), {}, ValueError, r"shape \(0, 5\) and no pixels; give"),
        (np.zeros((5, 5), complex), {}, TypeError, "array of complex128; give real numbers"),
        (np.full((5, 5), "a"), {}, TypeError, "difference is an array of <U1; give real numbers"),
        (np.zeros((5, 5)), {"threshold": np.nan}, ValueError, "threshold is nan; give a number"),
        (np.zeros((5, 5)), {"threshold": "otsu"}, ValueError, "threshold is 'otsu'; give a number"),
        (np.zeros((5, 5)), {"min_area": np.nan}, ValueError, "min_area is nan; give a number"),
        (np.zeros((5, 5)), {"min_area": "all"}, TypeError, "min_area is 'all'; give a number"),
    ],
)
def test_what_cannot_be_cut_is_refused(difference: Any, options: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        find_regions(difference, **{"threshold": 0.5, **options})


def test_progress_counts_to_the_end_and_ends_the_run() -> None:
    calls: list[tuple[int, int]] = []
    find_regions(np.zeros((40, 50)), 0.5, progress=lambda done, total: calls.append((done, total)))
    assert calls
    assert [done for done, _ in calls] == list(range(1, calls[0][1] + 1))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_regions(np.zeros((40, 50)), 0.5, progress=stop)
