"""Volumes: the last three axes are one image. Held against scikit-image, scipy and sums written out."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import as_type
from numpy.typing import NDArray
from scipy import ndimage
from skimage.metrics import structural_similarity
from test_detection import board

from napari_image_diff import Comparison, Settings, compare, regions, ssim, tiles

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


def found_in(difference: Array, min_area: float = -1, bands: int = 1) -> tuple[Array, pd.DataFrame]:
    """Return labels and table of the regions above 0.5, found in so many bands of rows."""
    tall = np.ascontiguousarray(difference.reshape(-1, difference.shape[2]), np.float32)
    runs = regions.join_runs([regions.find_runs(part, 0.5) for part in np.array_split(tall, bands)])
    found = regions.make_regions(runs, tall.shape[1], min_area, len(difference))
    labels = np.empty(tall.shape, np.int32)
    regions.paint_tile(found, 0, len(tall), labels)
    return labels.reshape(difference.shape), pd.DataFrame(regions.make_table(found, {}))


def scipy_labels(mask: Array) -> Array:
    """Return the filled mask's labels by scipy, in raster order of the first voxels."""
    labels, count = ndimage.label(ndimage.binary_fill_holes(mask), np.ones((3, 3, 3)))
    _, first = np.unique(labels[labels > 0], return_index=True)
    order = np.zeros(count + 1, np.int32)
    order[1:][np.argsort(first)] = np.arange(1, count + 1)
    return np.asarray(order[labels])


def check_against_scipy(mask: Array) -> None:
    labels, table = found_in(mask)
    expected = scipy_labels(mask)
    np.testing.assert_array_equal(labels, expected)
    assert table["area"].tolist() == np.bincount(expected.ravel(), minlength=len(table) + 1)[1:].tolist()
    boxes = [[*(axis.start for axis in box), *(axis.stop for axis in box)] for box in ndimage.find_objects(expected)]
    assert table[regions.name_box(3)].values.tolist() == boxes
    centroids = ndimage.center_of_mass(np.ones(mask.shape), expected, range(1, len(table) + 1))
    found = table[["centroid_plane", "centroid_row", "centroid_col"]]
    np.testing.assert_allclose(found, np.reshape(centroids, (-1, 3)), rtol=1e-12, atol=1e-12)


def shell(side: int, *holes: tuple[int, int, int]) -> Array:
    """Return the faces of a cube, with holes in it, in some empty space."""
    mask = np.ones((side, side, side), bool)
    mask[1:-1, 1:-1, 1:-1] = False
    for place in holes:
        mask[place] = False
    return np.pad(mask, 2)


def comb(axis: int) -> Array:
    """Return plates that are joined in one line only."""
    mask = np.zeros((9, 10, 11), bool)
    mask[::2] = True
    mask[:, -1, 5] = True
    return np.moveaxis(mask, 0, axis)


SHAPES = {
    "cavity": shell(5),
    "cavity_in_cavity": np.pad(~shell(5)[1:-1, 1:-1, 1:-1], 1),
    "tunnel_through_a_face": shell(5, (0, 2, 2)),
    "tunnel_through_an_edge": shell(5, (0, 0, 2)),
    "tunnel_through_a_corner": shell(5, (0, 0, 0)),
    "two_tunnels": shell(6, (0, 2, 2), (-1, 3, 3)),
    **{f"comb_{axis}": comb(axis) for axis in range(3)},
    "corners": np.indices((4, 4, 4)).sum(axis=0) % 3 == 0,
    "diagonal": np.fromfunction(lambda i, j, k: (i == j) & (j == k), (6, 7, 8)),
    "far_corner": np.pad(np.ones((1, 1, 1), bool), 3) | np.pad(np.ones((1, 1, 1), bool), ((5, 1), (5, 1), (5, 1))),
    "one_plane": shell(5)[3:4],
    "one_row": shell(5)[:, 3:4],
    "one_column": shell(5)[:, :, 3:4],
    "full": np.ones((3, 4, 5), bool),
    "empty": np.zeros((3, 4, 5), bool),
    "open_at_the_first_plane": shell(5)[3:-2],
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_as_scipy_has_them(name: str) -> None:
    check_against_scipy(SHAPES[name])


def test_the_shapes_are_what_they_are_called() -> None:
    area = {name: found_in(mask)[1]["area"].tolist() for name, mask in SHAPES.items()}
    assert area["cavity"] == [125]
    assert area["tunnel_through_a_face"] == [5**3 - 3**3 - 1]
    # Background goes on over faces only
    assert area["tunnel_through_an_edge"] == [5**3 - 1]
    assert area["diagonal"] == [6]
    assert area["far_corner"] == [1, 1]
    assert area["one_plane"] == [16]


def noise(seed: int) -> Array:
    """Return noise of any density and grain."""
    rng = np.random.default_rng(seed)
    image = rng.random(tuple(rng.integers(1, (9, 20, 30))))
    if seed % 3 == 0:
        image = ndimage.gaussian_filter(image, rng.uniform(0.5, 2), mode="wrap")
    return np.asarray(image < np.quantile(image, rng.random()))


@pytest.mark.parametrize("hundred", range(5))
def test_noise_as_scipy_has_it(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        check_against_scipy(noise(seed))


def test_a_voxel_not_valid_opens_a_cavity() -> None:
    difference = SHAPES["cavity"].astype(np.float32)
    difference[4, 3, 5] = np.nan
    labels, table = found_in(difference)
    assert table["area"].tolist() == [5**3 - 3**3]
    np.testing.assert_array_equal(labels == 1, SHAPES["cavity"])


def test_seams_do_not_show() -> None:
    for seed in range(40):
        whole = found_in(noise(seed), 3)
        for bands in (2, 5, 11):
            found = found_in(noise(seed), 3, bands)
            np.testing.assert_array_equal(found[0], whole[0])
            pd.testing.assert_frame_equal(found[1], whole[1])


def test_minimum_area_counts_voxels() -> None:
    mask = SHAPES["cavity"]
    assert len(found_in(mask, 124)[1]) == 1
    assert len(found_in(mask, 125)[1]) == 0
    assert "contour_area" not in found_in(mask)[1]


def test_parts_are_linked_within_planes_and_neighbours_between_them() -> None:
    mask = np.zeros((4, 9, 9), np.float32)
    mask[0, 1, 1] = mask[0, 4, 4] = mask[1, 5, 5] = mask[3, 5, 5] = 1
    runs = regions.find_runs(mask.reshape(-1, 9), 0.5)
    found = regions.connect_runs(runs, 9, 3, planes=4)
    assert found.boxes.tolist() == [[0, 1, 1, 2, 6, 6], [3, 5, 5, 4, 6, 6]]
    # Rows of neighbouring planes that follow each other in memory are far apart
    mask = np.zeros((2, 9, 9), np.float32)
    mask[0, 8, 4] = mask[1, 0, 4] = 1
    assert len(regions.connect_runs(regions.find_runs(mask.reshape(-1, 9), 0.5), 9, 3, planes=2).area) == 2


SIDES = (16, 60, 70)


def changed_pair(dtype: Any = np.uint8, channels: int = 0, noise: float = 2.0) -> tuple[Array, Array]:
    """Return two textured volumes, noisy, with a block of planes 5 to 9 and a ball that reaches the last plane."""
    rng = np.random.default_rng(7)
    planes, rows, cols = np.ogrid[: SIDES[0], : SIDES[1], : SIDES[2]]
    scene = 90 + 40 * np.sin(rows / 6 + planes / 9) * np.cos(cols / 9)
    before, after = (scene + rng.normal(0, noise, SIDES) for _ in range(2))
    after[5:9, 10:24, 12:30] += 60
    after[(planes - 14) ** 2 + (rows - 42) ** 2 + (cols - 48) ** 2 < 64] -= 70
    stacks = [np.clip(volume, 0, 255)[..., None] * np.linspace(1, 0.6, max(channels, 1)) for volume in (before, after)]
    one, other = (volume if channels else volume[..., 0] for volume in stacks)
    factor = {np.uint8: 1, np.uint16: 16, np.float32: 1 / 255}[dtype]
    return (one * factor).astype(dtype), (other * factor).astype(dtype)


def boxes_of(found: Comparison) -> list[list[int]]:
    return [[int(side) for side in row] for row in found.regions[regions.name_box(3)].to_numpy()]


@pytest.mark.parametrize("channels", [0, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_changes_are_found_in_their_planes(dtype: Any, channels: int) -> None:
    found = compare(*changed_pair(dtype, channels), spatial_ndim=3)
    assert found.difference.shape == found.labels.shape == SIDES
    assert isinstance(found.score, float)
    for box, planted in zip(boxes_of(found), ([5, 10, 12, 9, 24, 30], [7, 35, 41, 16, 50, 56]), strict=True):
        assert np.abs(np.subtract(box, planted)).max() <= 2
        assert box[0::3] == planted[0::3]
    assert found.verdict == "different"
    assert found.regions["kind"].tolist() == ["brighter", "darker"]
    for region in found.regions.itertuples():
        inside = found.labels == region.label
        assert region.area == inside.sum()
        middle = ndimage.center_of_mass(inside)
        assert (region.centroid_plane, region.centroid_row, region.centroid_col) == pytest.approx(middle)
        assert region.difference_max == found.difference[inside].max()


def test_difference_and_score_are_those_of_scikit_image() -> None:
    before, after = changed_pair()
    score, expected = structural_similarity(
        before.astype(float), after.astype(float), win_size=5, data_range=255, full=True
    )
    found = compare(before, after, spatial_ndim=3, threshold=0.4, win_size=5)
    assert found.score == pytest.approx(score, abs=1e-10)
    np.testing.assert_allclose(found.difference, 1 - expected, rtol=0, atol=1.5e-7)
    np.testing.assert_array_equal(found.labels, scipy_labels(1 - expected > 0.4))
    otsu = compare(before, after, Settings.classic(), spatial_ndim=3, win_size=5, min_area=100)
    kept = np.bincount(scipy_labels(otsu.difference > otsu.threshold).ravel())[1:] > 100
    assert len(otsu.regions) == kept.sum()


def test_evidence_is_that_of_the_planes_with_limits_of_all() -> None:
    before, after = changed_pair()
    found = compare(before, after, spatial_ndim=3)
    planes = compare(before, after, align="none", shared_threshold=True)
    np.testing.assert_array_equal(found.measured, planes.measured)
    assert found.resolved["noise"] == planes.resolved["noise"][0]


def test_noise_is_no_difference() -> None:
    before, _ = changed_pair()
    after = np.clip(before + np.random.default_rng(8).normal(0, 3, SIDES), 0, 255).astype(np.uint8)
    found = compare(before, after, spatial_ndim=3)
    assert found.verdict == "no difference beyond noise"
    assert list(found.regions.columns[:7]) == ["label", *regions.name_box(3)]
    assert list(found.forgiven.columns) == regions.name_box(3)
    assert compare(before, before, spatial_ndim=3).verdict == "identical"


@pytest.mark.parametrize("settings", [Settings(), Settings.classic()], ids=["default", "classic"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_size_of_tiles_and_number_of_threads_do_not_show(
    dtype: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = changed_pair(dtype)
    if dtype == np.float32:
        before[3, 20:24, 30:40] = np.nan
    whole = compare(before, after, settings, spatial_ndim=3)
    for pixels, threads in ((1000, 1), (4321, 3)):
        monkeypatch.setattr(tiles, "TILE_PIXELS", pixels)
        monkeypatch.setattr(tiles, "LIGHT_TILE_PIXELS", pixels)
        monkeypatch.setattr(tiles, "count_threads", lambda threads=threads: threads)
        found = compare(before, after, settings, spatial_ndim=3)
        assert_same(found, whole)


def test_progress_counts_to_the_end() -> None:
    for leading in ((), (2,)):
        pair = [np.broadcast_to(volume, (*leading, *SIDES)) for volume in changed_pair()]
        calls: list[tuple[int, int]] = []
        compare(*pair, spatial_ndim=3, progress=lambda done, total, calls=calls: calls.append((done, total)))
        done, total = calls[-1]
        assert done == total
        assert calls == sorted(calls)


def assert_same(found: Comparison, expected: Comparison) -> None:
    for name in ("score", "difference", "measured", "threshold", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
    pd.testing.assert_frame_equal(found.regions, expected.regions)


def test_frames_of_volumes_are_compared_one_by_one() -> None:
    before, after = changed_pair()
    pairs = np.stack([before, before, before]), np.stack([before, after, after])
    found = compare(*pairs, spatial_ndim=3)
    assert found.labels.shape == (3, *SIDES)
    assert found.regions["frame"].tolist() == [1, 1, 2, 2]
    assert list(found.regions.columns[:3]) == ["label", "frame", "min_plane"]
    alone = compare(before, after, spatial_ndim=3)
    assert_same(compare(before, pairs[1], spatial_ndim=3), found)
    np.testing.assert_array_equal(found.frames[1].labels, alone.labels)
    np.testing.assert_array_equal(found.labels[2] > 0, alone.labels > 0)
    cut = found.rethreshold(sensitivity=0.5, min_area=300)
    assert np.shares_memory(cut.difference, found.difference)
    areas = alone.rethreshold(sensitivity=0.5, min_area=300).regions["area"].tolist()
    assert [frame.regions["area"].tolist() for frame in cut.frames] == [[], areas, areas]
    assert found.resolved["window"] == (7, 7, 7)


@pytest.mark.parametrize("threshold", ["auto", "otsu", 0.4])
def test_another_threshold_is_as_if_asked_for_at_once(threshold: Any) -> None:
    before, after = changed_pair()
    found = compare(before, after, spatial_ndim=3, threshold=0.7)
    cut = found.rethreshold(threshold=threshold, min_area=50)
    assert cut.difference is found.difference
    expected = compare(before, after, spatial_ndim=3, threshold=threshold, min_area=50)
    assert_same(cut, expected)


def test_masks_are_of_one_plane_or_of_all() -> None:
    before, after = changed_pair()
    ignore = np.zeros(SIDES[1:], bool)
    ignore[5:30, 5:35] = True
    found = compare(before, after, spatial_ndim=3, ignore=ignore)
    assert found.regions["kind"].tolist() == ["darker"]
    assert np.isnan(found.difference[:, ignore]).all()
    assert_same(compare(before, after, spatial_ndim=3, ignore=np.broadcast_to(ignore, SIDES)), found)
    some = np.zeros(SIDES, bool)
    some[:9] = True
    inside = compare(before, after, spatial_ndim=3, inside=some)
    assert [box[3] for box in boxes_of(inside)] == [9, 9]
    assert inside.resolved["pixels_not_valid"] >= 7 * 60 * 70
    with pytest.raises(
        ValueError,
        match=r"ignore is an array of bool of shape \(60, 71\); .* one plane of before, \(60, 70\), or of all",
    ):
        compare(before, after, spatial_ndim=3, ignore=np.zeros((60, 71), bool))


def test_volumes_of_different_size_are_compared_where_they_overlap() -> None:
    before, after = changed_pair()
    found = compare(before[:12], after[:, :50, :65], spatial_ndim=3, size="overlap", inside=np.ones(SIDES[1:], bool))
    expected = compare(before[:12, :50, :65], after[:12, :50, :65], spatial_ndim=3, inside=np.ones((50, 65), bool))
    assert_same(found, expected)
    assert found.resolved["sizes"] == {"before": (12, 60, 70), "after": (16, 50, 65)}
    assert found.resolved["pixels_not_shared"] == 12 * 60 * 70 + 16 * 50 * 65 - 2 * 12 * 50 * 65
    assert compare(before[:12], before, spatial_ndim=3, size="overlap").verdict == "no difference beyond noise"


def test_planes_far_apart_make_the_window_thinner() -> None:
    before, after = changed_pair()
    found = compare(before, after, spatial_ndim=3, spacing=(2.5, 1, 1), threshold=0.4)
    assert found.resolved["window"] == (3, 7, 7)
    assert found.resolved["spacing"] == (2.5, 1.0, 1.0)
    window = window_of({}, 255.0, 0.4)
    np.testing.assert_allclose(found.difference, written_out(before, after, window), rtol=0, atol=1.5e-7)
    assert compare(before[:2], after[:2], spatial_ndim=3, spacing=(9, 1, 1)).resolved["window"] == (1, 7, 7)
    assert compare(before, after, spatial_ndim=3, spacing=(0.1, 1, 1)).resolved["window"] == (7, 7, 7)
    gaussian = compare(before, after, Settings.wang2004(), spatial_ndim=3, spacing=(3, 1, 1))
    assert gaussian.resolved["window"] == (5, 11, 11)


def test_evidence_of_ones_own_is_given_the_volumes() -> None:
    before, after = changed_pair(channels=3)

    def evidence(one: Array, other: Array) -> Array:
        assert one.shape == other.shape == (*SIDES, 3)
        return np.asarray(np.abs(one.astype(float) - other).max(axis=-1) / 40)

    found = compare(before, after, spatial_ndim=3, evidence=evidence)
    np.testing.assert_array_equal(found.evidence, evidence(before, after).astype(np.float32))
    assert len(found.regions) == 2
    with pytest.raises(ValueError, match=r"evidence returned an array of shape \(60, 70\); .*\(16, 60, 70\)"):
        compare(before, after, spatial_ndim=3, evidence=lambda one, other: one[0, ..., 0])


def test_what_a_shift_explains_in_every_plane_is_forgiven() -> None:
    pair = [np.stack([as_type(board(1, jitter=jitter), np.uint8)] * 3) for jitter in (0, 4)]
    flat = compare(*pair, align="none", shared_threshold=True, channels="none").frames[0].forgiven.to_numpy().tolist()
    found = compare(*pair, spatial_ndim=3, spacing=(9, 1, 1))
    assert found.resolved["edge_tolerance"] == 3
    assert found.verdict == "no difference beyond noise"
    boxes = found.forgiven.to_numpy().tolist()
    assert flat
    # Fainter ones are regions by the weight of all planes
    assert all([0, top, left, 3, bottom, right] in boxes for top, left, bottom, right in flat)
    top, left, bottom, right = flat[0]
    pair[1][1, top:bottom, left:right] = 255 - pair[0][1, top:bottom, left:right]
    marred = compare(*pair, spatial_ndim=3, spacing=(9, 1, 1))
    assert len(marred.regions) == 1
    assert len(marred.forgiven) < len(boxes)


def test_a_volume_is_compared_as_it_lies_and_that_is_said() -> None:
    before, after = changed_pair(noise=0)
    found = compare(before, np.roll(before, 3, axis=2), spatial_ndim=3)
    assert found.resolved["alignment"]["outcome"] == "off"
    assert found.resolved["alignment"]["reason"] == "volumes are compared as they lie"
    assert found.changed
    lit = compare(before, (after * 0.9).astype(np.uint8), spatial_ndim=3, match_intensity="gain_offset")
    assert lit.resolved["intensity"]["gain"] == pytest.approx(0.9, abs=0.02)
    assert len(lit.regions) == 2


def test_what_moved_within_a_plane_has_its_other_end() -> None:
    rng = np.random.default_rng(9)
    before = np.full((9, 90, 90), 60.0) + rng.normal(0, 1, (9, 90, 90))
    after = before.copy()
    thing = rng.uniform(120, 240, (14, 14))
    before[2:7, 10:24, 10:24] = after[2:7, 50:64, 60:74] = thing
    found = compare(before.astype(np.uint8), after.astype(np.uint8), spatial_ndim=3)
    assert found.regions["kind"].tolist() == ["moved", "moved"]
    assert found.regions["partner"].tolist() == [2, 1]
    assert found.regions[["moved_rows", "moved_cols"]].to_numpy().tolist() == [[40, 50], [40, 50]]


@pytest.mark.parametrize(
    ("shapes", "changes", "words"),
    [
        (((60, 70), (60, 70)), {}, r"before has shape \(60, 70\), and spatial_ndim=3 wants volumes .*; give volumes"),
        (((60, 70, 3), (60, 70, 3)), {}, r"before has shape \(60, 70, 3\), and spatial_ndim=3 wants volumes"),
        (((60, 70, 3), (60, 70, 3)), {"channels": "last"}, r"before has shape \(60, 70, 3\), and spatial_ndim=3 wants"),
        (((5, 60, 70), (5, 60, 70)), {}, r"5 x 60 x 70 voxels .* window 7 x 7 x 7; give win_size=5, or spacing"),
        (((5, 60, 70), (5, 60, 70)), {"window": "gaussian"}, r"window 11 x 11 x 11; give sigma=0.70, or spacing"),
        (((2, 60, 70), (2, 60, 70)), {}, r"window 7 x 7 x 7; give spacing"),
        (((9, 60, 70), (8, 60, 70)), {}, r"before has 9 x 60 x 70 voxels .* after 8 x 60 x 70; .* size='overlap'"),
        (((9, 60, 70), (8, 60, 70)), {"size": "pad"}, r"give volumes of one size, or size='overlap'"),
        (((9, 60, 70), (9, 60, 70)), {"align": "rigid"}, r"align is 'rigid', and volumes are compared as they lie"),
        (((9, 60, 70), (9, 60, 70)), {"spacing": (1, 1)}, r"spacing is \(1, 1\); give the size of a voxel"),
        (((9, 60, 70), (9, 60, 70)), {"spacing": (0, 1, 1)}, r"spacing is \(0, 1, 1\); give the size of a voxel"),
        (((9, 60, 70), (9, 60, 70)), {"spacing": ("a", 1, 1)}, r"spacing is \('a', 1, 1\); give the size of a voxel"),
        (((9, 60, 70), (9, 60, 70)), {"spacing": 1.0, "spatial_ndim": 2}, r"spacing is 1.0, which is for"),
        (
            ((9, 60, 70), (9, 60, 70)),
            {"ignore": np.zeros((9, 60, 70))},
            r"ignore is an array of float64 of shape \(9, 60, 70\)",
        ),
        (
            ((9, 60, 70), (9, 60, 70)),
            {"spacing": (2, 1, 1), "spatial_ndim": 2},
            r"spacing is \(2, 1, 1\), which is for",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(shapes: Any, changes: dict[str, Any], words: str) -> None:
    before, after = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match=words):
        compare(before, after, **{"spatial_ndim": 3, **changes})
