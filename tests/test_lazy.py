"""Images in chunks: the result of the same images in memory, to the bit; what is read; what cannot be read.

The long form is ``make fuzz``.
"""

from __future__ import annotations

import itertools
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray
import zarr
from chunked import Chunked, cut_axis, in_chunks
from fuzz import compare_sparse, greatest, hold, hold_against, hold_seams
from made import as_type, boxes_of, scene, through_lens, with_noise
from numpy.typing import NDArray
from recipe import run_recipe
from without import run_without

from napari_image_diff import (
    Settings,
    compare,
    in_parts,
    intensity,
    lazy_maps,
    pyramids,
    regions,
    sources,
    streaming,
    tiles,
)

Array = NDArray[Any]

CLASSIC = {"threshold": "otsu", "align": "none", "min_area": 40, "alpha": "drop"}


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a tile of each chunk, on three threads, and keep less in memory than a map of full size."""
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    monkeypatch.setattr(sources, "UNIT", 1)
    monkeypatch.setattr(in_parts, "OVERVIEW_PIXELS", 5000)
    monkeypatch.setattr(tiles, "count_threads", lambda: 3)


def pair(side: int = 96) -> tuple[Array, Array]:
    """Return a scene and a noisy second look at it, in which three things are new."""
    before = through_lens(scene(3, side))
    after = with_noise(before, 2, seed=1)
    for row, col in ((10, 20), (40, 70), (70, 8)):
        after[row : row + 14, col : col + 15] += 90
    return as_type(before, np.uint8), as_type(after, np.uint8)


def own_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "image-diff"]


@pytest.mark.parametrize("tenth", range(8))
def test_random_pairs_in_random_chunks(tenth: int) -> None:
    for seed in range(20 * tenth, 20 * tenth + 20):
        hold(seed)


@pytest.mark.parametrize("tenth", range(5))
def test_regions_across_seams(tenth: int) -> None:
    for seed in range(100 * tenth, 100 * tenth + 100):
        hold_seams(np.random.default_rng(seed))


@pytest.mark.parametrize("chunks", [(13, 29), (96, 7), (50, 50)])
def test_the_recipe_in_chunks(chunks: tuple[int, int]) -> None:
    """By scikit-image and OpenCV, not by what we do in memory."""
    before, after = pair()
    recipe = run_recipe(before, after)
    found = compare(in_chunks(before, *chunks), in_chunks(after, *chunks), Settings.classic())
    assert found.score == pytest.approx(recipe.score, abs=1e-9)
    assert found.resolved["otsu_level"] == recipe.level
    np.testing.assert_array_equal(found.labels, recipe.labels)
    assert found.regions["contour_area"].tolist() == recipe.areas
    assert boxes_of(found) == [(y, x, y + height, x + width) for x, y, width, height in recipe.boxes]


@pytest.mark.parametrize("order", ["backwards", 1, 2])
def test_the_order_of_tiles_does_not_show(order: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = pair()
    whole = compare(before, after)

    def map_tiles(function: Any, items: Any, step: Any, take: Any = None) -> list[Any]:
        places = np.arange(len(items))[::-1] if order == "backwards" else rng.permutation(len(items))
        found = {}
        for place in places.tolist():
            found[place] = function(items[place])
            if take is not None:
                take(found[place])
            step()
        return [] if take is not None else [found[place] for place in range(len(items))]

    rng = np.random.default_rng(order if isinstance(order, int) else 0)
    monkeypatch.setattr(tiles, "map_tiles", map_tiles)
    hold_against(compare(in_chunks(before, 17, 30), in_chunks(after, 40, 23)), whole)


def test_maps_come_chunk_by_chunk_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_maps, "CHUNK_PIXELS", 1000)
    before, after = pair()
    whole, found = compare(before, after), compare(in_chunks(before, 17, 30), in_chunks(after, 40, 23))
    rng = np.random.default_rng(0)
    for name in ("difference", "evidence", "labels"):
        lazy, full = getattr(found, name), getattr(whole, name)
        assert lazy.numblocks == (5, 4)
        for number in rng.permutation(lazy.npartitions).tolist():
            row, col = np.unravel_index(number, lazy.numblocks)
            top, left = sum(lazy.chunks[0][:row]), sum(lazy.chunks[1][:col])
            part = full[top : top + lazy.chunks[0][row], left : left + lazy.chunks[1][col]]
            np.testing.assert_array_equal(lazy.blocks[row, col], part)
        np.testing.assert_array_equal(lazy[33:36, 29:61], full[33:36, 29:61])


@pytest.mark.parametrize("pixels", [30, 700, 3000])
def test_pyramids_show_the_greatest(pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_parts, "OVERVIEW_PIXELS", pixels)
    monkeypatch.setattr(streaming, "BAND_PIXELS", 500)
    before, after = (image.astype(np.float32) for image in pair())
    before[20:60, 30:41] = after[3, 5] = np.nan
    whole, found = compare(before, after), compare(in_chunks(before, 17, 30), in_chunks(after, 40, 23))
    assert found.pyramid is not None
    assert found.pyramid.evidence is not None
    for name in ("difference", "evidence", "labels"):
        levels = getattr(found.pyramid, name)
        assert levels[-1].size <= pixels < levels[-2].size
        for number, level in enumerate(levels):
            np.testing.assert_array_equal(level, greatest(getattr(whole, name), 2**number))
    # NaN is of no weight beside a value, and stays where there is nothing else
    coarse = np.asarray(found.pyramid.difference[1])
    assert not np.isnan(coarse[1, 2])
    assert np.isnan(coarse[10:30, 15:20]).all()


@pytest.mark.parametrize("settings", [{}, CLASSIC, {"threshold": 0.3, "align": "none"}, {"shared_threshold": True}])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("same", [False, True])
def test_progress_goes_up_to_its_total(settings: dict[str, Any], dtype: Any, same: bool) -> None:
    before, after = (image.astype(dtype) for image in pair())
    one, other = (in_chunks(image, 40, 50) for image in (before, before if same else after))
    calls: list[tuple[int, int]] = []
    found = compare(one, other, **settings, progress=lambda *call: calls.append(call))
    for again in ({}, {"threshold": 0.4}, {"threshold": "otsu"}, {"threshold": "auto"}):
        done, totals = zip(*calls, strict=True)
        assert list(done) == sorted(done)
        assert set(totals) == {done[-1]}
        calls.clear()
        found = found.rethreshold(**again, progress=lambda *call: calls.append(call))


@pytest.mark.parametrize("settings", [{}, CLASSIC])
def test_what_progress_raises_ends_the_run_at_any_call(settings: dict[str, Any]) -> None:
    before, after = pair()
    calls: list[tuple[int, int]] = []
    one, other = in_chunks(before, 40, 50), in_chunks(after, 40, 50)
    compare(one, other, **settings, progress=lambda *call: calls.append(call))
    error = KeyboardInterrupt()
    # How often it is called meanwhile depends on which thread does what
    for last in sorted({done for done, _ in calls}):

        def stop(done: int, total: int, last: int = last) -> None:
            if done >= last:
                raise error

        with pytest.raises(KeyboardInterrupt) as caught:
            compare(one, other, **settings, progress=stop)
        assert caught.value is error
        assert not own_threads()


def test_nothing_is_read_more_often_or_further_than_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lazy_maps, "CHUNK_PIXELS", 4000)
    before = np.random.default_rng(0).integers(90, 110, (200, 230), dtype=np.uint8)
    after = before.copy()
    after[66:90, 70:100] += 90
    sides, rim = (60, 50), 3
    one, other = in_chunks(before, *sides), in_chunks(after, *sides)
    found = compare(one, other, Settings.classic())
    assert len(found.regions) == 1
    # Each chunk once for the map and once for the runs at the threshold, and those around the region for the table
    box = found.regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy()[0]
    assert box[1] < 100 < box[3]
    top, left = np.maximum(0, box[:2] - rim) // 8 * 8
    needed = np.zeros(before.shape, bool)
    needed[top : box[2] + rim, left : box[3] + rim] = True
    expected: Counter[tuple[int, ...]] = Counter()
    for row, col in itertools.product(range(4), range(5)):
        chunk = (row * 60, min(200, row * 60 + 60), col * 50, min(230, col * 50 + 50))
        expected[chunk] = 3 if needed[chunk[0] : chunk[1], chunk[2] : chunk[3]].any() else 2
    for image in (one, other):
        reads = Counter((rows.start, rows.stop, columns.start, columns.stop) for rows, columns in image.reads)
        assert reads == expected
        image.reads.clear()
    # Labels are not made from the images
    found.labels.compute()
    assert not one.reads
    # Nor is the difference where the overview says that there is none
    found.difference[0:10, 0:10].compute()
    assert not one.reads
    found.difference[70:80, 80:90].compute()
    assert len(one.reads) == len(other.reads) == 1
    rows, columns = one.reads[0]
    assert (rows.start, columns.start) == ((60 - rim) // 8 * 8, (50 - rim) // 8 * 8)
    assert (rows.stop, columns.stop) == (120 + rim, 100 + rim)


def test_columns_beyond_sixteen_bits() -> None:
    boxes = [(0, 40, 2, 90), (1, 65_530, 3, 65_560), (0, 69_990, 3, 70_000)]
    compare_sparse((3, 70_000), boxes, 9_000, threshold=0.5, win_size=3)


def test_regions_beyond_two_to_the_31_pixels() -> None:
    """What is known of tiles is put together without the image: 70,000 x 60,000 pixels in 2 x 2 tiles."""
    height, width, seam = 60_000, 70_000, 65_536
    boxes = [(5, 69_000, 30, 69_900), (31_000, 65_000, 31_900, 66_000), (59_990, 69_980, 60_000, 70_000)]
    bands = []
    for top, bottom in ((0, 31_200), (31_200, height)):
        parts = []
        for left, right in ((0, seam), (seam, width)):
            spans = [
                (row - top, max(box[1], left) - left, min(box[3], right) - left)
                for box in boxes
                for row in range(max(box[0], top), min(box[2], bottom))
                if box[1] < right and box[3] > left
            ]
            rows, starts, stops = (np.array(each, np.int32) for each in zip(*spans, strict=True))
            offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=bottom - top))])
            parts.append(regions.Runs(offsets, starts, stops, np.zeros(starts.size + bottom - top, bool)))
        bands.append(regions.join_columns(parts, [0, seam])[0])
    found = regions.make_regions(regions.join_runs(bands), width, -1)
    assert found.boxes.tolist() == [list(box) for box in boxes]
    assert found.area.tolist() == [(bottom - top) * (right - left) for top, left, bottom, right in boxes]
    middles = [[(top + bottom - 1) / 2, (left + right - 1) / 2] for top, left, bottom, right in boxes]
    assert found.centroids.tolist() == middles
    runs, labels = regions.clip_runs(found, 59_989, 69_979, height, width)
    painted = np.empty((11, 21), np.int32)
    regions.paint_runs(runs, labels, painted, 1)
    np.testing.assert_array_equal(painted, np.pad(np.full((10, 20), 3), ((1, 0), (1, 0))))


@pytest.mark.parametrize("after_chunks", [(96, 96), (1, 96), (96, 1), (13, 40)])
def test_chunks_of_the_two_images_may_differ(after_chunks: tuple[int, int]) -> None:
    before, after = pair()
    whole = compare(before, after, Settings.classic())
    hold_against(compare(in_chunks(before, 50, 20), in_chunks(after, *after_chunks), Settings.classic()), whole)
    hold_against(compare(before, in_chunks(after, *after_chunks), Settings.classic()), whole)


@pytest.mark.parametrize("settings", [{}, CLASSIC, {"shared_threshold": True}])
def test_frames_in_chunks(settings: dict[str, Any]) -> None:
    before, after = pair()
    stack = np.stack([after, before, after[::-1]])
    whole = compare(before, stack, **settings, channels="none")
    assert set(whole.regions["frame"]) == {0, 2}
    for chunks in ((1, 50, 20), (3, 30, 96), (2, 96, 96)):
        hold_against(compare(before, in_chunks(stack, *chunks), **settings, channels="none"), whole)


def in_dask(array: Array) -> Any:
    return da.from_array(array, (5, 5, *array.shape[2:])[: array.ndim])


BAD: dict[str, tuple[Array, Array, dict[str, Any]]] = {
    "thin": (np.zeros((5, 90), np.uint8), np.zeros((5, 90), np.uint8), {}),
    "thinner than any window": (np.zeros((2, 90)), np.zeros((2, 90)), {}),
    "thin where they overlap": (np.zeros((9, 20)), np.zeros((20, 5)), {"size": "overlap"}),
    "thin for a Gaussian": (np.zeros((9, 20)), np.zeros((9, 20)), {"window": "gaussian"}),
    "empty": (np.zeros((0, 90), np.uint8), np.zeros((0, 90), np.uint8), {}),
    "no columns": (np.zeros((20, 0)), np.zeros((20, 0)), {}),
    "one axis": (np.zeros(90), np.zeros(90), {}),
    "complex": (np.zeros((20, 20), complex), np.zeros((20, 20)), {}),
    "objects": (np.zeros((20, 20)), np.zeros((20, 20), object), {}),
    "text": (np.zeros((20, 20), "U3"), np.zeros((20, 20)), {}),
    "dates": (np.zeros((20, 20), "M8[s]"), np.zeros((20, 20)), {}),
    "sizes differ": (np.zeros((20, 20)), np.zeros((20, 21)), {}),
    "numbers of frames differ": (np.zeros((2, 20, 20)), np.zeros((3, 20, 20)), {}),
    "a mask of another shape": (np.zeros((20, 20)), np.zeros((20, 20)), {"ignore": np.zeros((20, 21), bool)}),
    "a mask of floats": (np.zeros((20, 20)), np.zeros((20, 20)), {"inside": np.zeros((20, 20))}),
    "a mask of all": (np.zeros((20, 20)), np.zeros((20, 20)), {"ignore": np.ones((20, 20), bool)}),
    "scales differ": (np.linspace(0, 1, 400).reshape(20, 20), np.full((20, 20), 200, np.uint8), {}),
    "too large": (np.full((20, 20), 1e80), np.ones((20, 20)), {}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_in_memory_is_refused_in_chunks(name: str) -> None:
    before, after, settings = BAD[name]
    with pytest.raises((TypeError, ValueError)) as in_memory:
        compare(before, after, **settings)
    for one, other in ((in_dask(before), in_dask(after)), (before, in_dask(after))):
        with pytest.raises(in_memory.type) as lazy:
            compare(one, other, **settings)
        assert str(lazy.value) == str(in_memory.value)


def test_only_nan_is_no_mask_of_all() -> None:
    before, after, ignore = np.full((20, 20), np.nan), np.ones((20, 20)), np.zeros((20, 20), bool)
    ignore[3] = True
    hold_against(compare(in_dask(before), in_dask(after), ignore=ignore), compare(before, after, ignore=ignore))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"size": "pad"}, "size is 'pad'"),
        ({"evidence": lambda before, after: before}, "evidence is a function"),
    ],
)
def test_what_needs_images_in_memory_says_so(settings: dict[str, Any], words: str) -> None:
    image = in_chunks(np.zeros((20, 20), np.uint8), 5, 5)
    with pytest.raises(ValueError, match=rf"{words}, which needs images in memory, .* numpy.asarray, or leave it out"):
        compare(image, np.zeros((20, 20), np.uint8), **settings)
    assert not image.reads


def test_chunks_of_unknown_size() -> None:
    image = in_dask(np.arange(400).reshape(20, 20))
    with pytest.raises(
        ValueError, match=r"after has chunks whose size is not known, its shape is \(nan, 20\)"
    ) as caught:
        compare(image, image[image[:, 0] > 9])
    assert "after.compute_chunk_sizes()" in str(caught.value)


@pytest.mark.parametrize("settings", [{}, CLASSIC, {"match_intensity": "gain_offset"}])
def test_a_chunk_that_cannot_be_read_is_named(settings: dict[str, Any]) -> None:
    """Whichever read of the run it is that fails."""
    before, after = pair()
    reads = [0]

    def count(place: Any) -> None:
        reads[0] += 1

    def fail(place: Any) -> None:
        reads[0] -= 1
        if reads[0] < 0:
            raise RuntimeError("disk on fire")

    image = in_chunks(after, 50, 50)
    compare(before, Chunked(after, image.chunks, count), **settings)
    for last in np.linspace(0, reads[0] - 1, 12).astype(int).tolist():
        reads[0] = last
        with pytest.raises(OSError, match=r"^after, rows \d+ to \d+, columns \d+ to \d+, could not") as caught:
            compare(before, Chunked(after, image.chunks, fail), **settings)
        assert str(caught.value).endswith("could not be read: RuntimeError: disk on fire")
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert not own_threads()


@pytest.mark.parametrize("largest", [3000, 30_000])
def test_light_is_fitted_to_what_is_clipped_in_the_whole(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few pixels are sampled, and the one beyond the data range is not among them."""
    monkeypatch.setattr(intensity, "SAMPLES", 200)
    before = (scene(3, 96) * 12).astype(np.int16)
    after = (before * 0.8 + 100).astype(np.int16)
    before[7, 7] = largest
    asked: dict[str, Any] = {"match_intensity": "gain_offset", "data_range": 3000}
    whole = compare(before, after, **asked)
    assert whole.resolved["intensity"]["gain"] == pytest.approx(0.8, abs=0.01)
    hold_against(compare(in_chunks(before, 30, 40), in_chunks(after, 50, 50), **asked), whole)


def test_a_chunk_that_ends_the_process_does_not() -> None:
    before, after = pair()

    def leave(place: Any) -> None:
        raise SystemExit(3)

    broken = Chunked(after, ((50, 46), (96,)), leave)
    with pytest.raises(OSError, match=r"^after, rows .* could not be read: SystemExit: 3"):
        compare(before, broken)
    assert not own_threads()


def test_the_frame_and_the_mask_are_named_too() -> None:
    def fail(place: Any) -> None:
        if place[0] in (1, slice(1, 2)):
            raise KeyError("c/1")

    stack = np.zeros((5, 40, 40), np.uint8)
    chunks = ((1, 1, 1, 1, 1), (40,), (25, 15))
    with pytest.raises(OSError, match=r"^before, frame 1, rows 0 to 40, columns \d+ to \d+, could .*KeyError: 'c/1'$"):
        compare(Chunked(stack, chunks, fail), stack[0], align="none")

    def never(place: Any) -> None:
        raise PermissionError("no")

    with pytest.raises(OSError, match=r"^ignore, rows 0 to 40, columns \d+ to \d+, could .* PermissionError: no$"):
        compare(Chunked(stack[0], chunks[1:]), stack[0], ignore=Chunked(stack[0] > 0, chunks[1:], never))


def test_a_map_says_what_it_could_not_read() -> None:
    before, after = pair()
    broken = [False]

    def fail(place: Any) -> None:
        if broken[0]:
            raise OSError("gone")

    chunks = in_chunks(before, 50, 50).chunks
    found = compare(before, Chunked(after, chunks, fail))
    broken[0] = True
    with pytest.raises(OSError, match=r"^after, rows .* could not be read: OSError: gone"):
        found.difference.compute()
    # These need the images no more
    assert found.labels.compute().max() == len(found.regions)


@pytest.mark.parametrize("through_dask", [False, True])
@pytest.mark.parametrize("when", ["during the run", "afterwards"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning:zarr")
def test_a_zarr_store_that_is_gone_is_noticed(tmp_path: Path, through_dask: bool, when: str) -> None:
    """Of chunks that are not there zarr gives the fill value, as if they were empty."""
    images = []
    for name, image in zip(("before", "after"), pair(), strict=True):
        stored = zarr.create_array(tmp_path / name, shape=image.shape, chunks=(40, 40), dtype=image.dtype)
        stored[:] = image
        images.append(da.from_zarr(stored) if through_dask else stored)

    def remove(done: int = 1, total: int = 1) -> None:
        if done:
            shutil.rmtree(tmp_path / "after", ignore_errors=True)

    words = (
        r"^after, rows \d+ to \d+, columns \d+ to \d+, could not be read: ArrayNotFoundError: No array found in store"
    )
    if when == "during the run":
        with pytest.raises(OSError, match=words):
            compare(*images, progress=remove)
        assert not own_threads()
    else:
        found = compare(*images)
        remove()
        with pytest.raises(OSError, match=words):
            found.difference.compute()


def test_dask_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import numpy, napari_image_diff\n"
        "napari_image_diff.compare(numpy.zeros((20, 20)), numpy.ones((20, 20)))\n"
        "print(*sorted({'dask', 'zarr'} & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = run_without((), code)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_ways_to_cut_cover_the_axis() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        length, most = int(rng.integers(1, 50)), int(rng.integers(2, 30))
        chunks = cut_axis(rng, length, most)
        assert sum(chunks) == length
        assert 1 <= len(chunks) <= most
        assert min(chunks) > 0


def test_labels_of_any_size_are_pooled_whole() -> None:
    labels = np.array([[0, 2**24 + 1, 0], [2**31 - 1, 3, 0], [0, 0, 0]], np.int32)
    assert pyramids.pool(labels, 0, 0, 2).tolist() == [[2**31 - 1, 0], [0, 0]]
    assert pyramids.pool(labels[:1], 0, 0, 2).tolist() == [[2**24 + 1, 0]]
    assert pyramids.pool(labels, 1, 1, 2).tolist() == [[0, 2**24 + 1], [2**31 - 1, 3]]


def test_a_tile_that_takes_long_can_be_stopped_within(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BOX_PIXELS", 2**22)
    monkeypatch.setattr(tiles, "count_threads", lambda: 1)
    monkeypatch.setattr(streaming, "BAND_PIXELS", 1000)
    before, after = pair()
    calls: list[int] = []
    whole = [in_chunks(image, 96, 96) for image in (before, after)]
    compare(*whole, **CLASSIC, progress=lambda done, total: calls.append(done))
    # One tile, of which the two sweeps that look at it have many bands each
    assert calls.count(1) > 10
    worked_on: list[int] = []
    look = streaming._look_at_plane

    def count(*args: Any) -> Any:
        worked_on.append(1)
        return look(*args)

    monkeypatch.setattr(streaming, "_look_at_plane", count)

    def stop(done: int, total: int) -> None:
        if len(worked_on) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(*whole, **CLASSIC, progress=stop)
    assert len(worked_on) == 3


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("through_dask", [False, True])
def test_zarr_of_both_formats(zarr_format: Any, through_dask: bool, tmp_path: Path) -> None:
    before, after = pair()
    stored = zarr.create_array(
        tmp_path / "after", shape=after.shape, chunks=(40, 50), dtype=np.uint8, zarr_format=zarr_format
    )
    stored[...] = after
    found = compare(before, da.from_zarr(stored) if through_dask else stored)
    hold_against(found, compare(before, after))


def lie(array: Array, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return a dask array that says that it is another than it is."""
    return da.from_delayed(dask.delayed(lambda: array, pure=False)(), shape, dtype)


@pytest.mark.parametrize("kept", [0, 2**28])
@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((96, 96), np.float32), r"float32 of shape \(96, 96\) came, not uint8"),
        (np.full((96, 96), np.nan), "float64 of shape"),
        (np.zeros((96, 1), np.uint8), r"uint8 of shape \(96, 1\) came, not uint8 of shape \(96, 96\)"),
        (np.zeros((99, 96), np.uint8), r"uint8 of shape"),
        (np.ma.masked_equal(np.eye(96, dtype=np.uint8), 1), "it has masked values; give dask.array.ma.filled"),
    ],
)
def test_chunks_that_are_not_what_was_said(
    array: Array, words: str, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "KEPT_BYTES", kept)
    before, _ = pair()
    for other in (array, array[:, ::-1]):
        # Read in parts, a larger chunk is cut to what is asked for
        if kept or other.shape != (99, 96):
            with pytest.raises(OSError, match=rf"^after, rows .* columns .* could not be read: TypeError: .*{words}"):
                compare(before, lie(other, np.uint8, (96, 96)))


def test_masked_pixels_are_not_valid_in_chunks_either() -> None:
    before, after = pair()
    masked = np.ma.masked_greater(after, 200)
    assert masked.mask.any()
    whole = compare(before, masked)
    assert whole.resolved["pixels_not_valid"] >= masked.mask.sum()
    hold_against(compare(da.from_array(before, (40, 40)), masked), whole)
    hold_against(compare(before, da.ma.masked_greater(da.from_array(after, (40, 40)), 200)), whole)


def test_chunks_without_a_row() -> None:
    before, after = pair()
    whole = compare(before, after)
    hold_against(compare(da.from_array(before, ((30, 0, 66), (0, 50, 46))), after), whole)


class Closed:
    """A dataset of a file that was closed, as h5py has it."""

    def __getattr__(self, name: str) -> Any:
        if name in ("chunks", "shape", "dtype"):
            raise ValueError("Invalid dataset")
        raise AttributeError(name)


def test_what_is_no_array_says_so(tmp_path: Path) -> None:
    image = np.zeros((20, 20), np.uint8)
    with pytest.raises(OSError, match=r"^after cannot be read \(Invalid dataset\); is its file closed\? Open it again"):
        compare(image, Closed())
    table = xarray.Dataset({"a": (("y", "x"), image)}).chunk()
    with pytest.raises(TypeError, match=r"^before is a Dataset; give an array: of a Dataset one of its variables"):
        compare(table, image)
    group = zarr.open_group(tmp_path / "g.zarr", mode="w")
    group.create_array("0", data=image)
    with pytest.raises(TypeError, match=r"^before is a zarr group; .* group\['0'\] is the image in full size"):
        compare(group, image)
    with pytest.raises(TypeError, match=r"file name; .*zarr.open_array a .zarr"):
        compare(str(tmp_path / "g.zarr"), image)
    with pytest.raises(
        TypeError, match=r"^after is a Delayed.*; give an array: .* of a Delayed dask.array.from_delayed"
    ):
        compare(image, dask.delayed(image))
    with pytest.raises(ValueError, match=r"^after cannot be read as an array \(.*\); give rows of one"):
        compare(image, [[1, 2], [3]])
