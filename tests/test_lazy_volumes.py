"""Volumes in chunks: the result of the same volumes in memory, to the bit; what is read; what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from chunked import Chunked, in_chunks
from fuzz import hold_against
from made import as_type
from numpy.typing import NDArray
from test_detection import board
from test_volumes import SIDES, changed_pair, found_in, scipy_labels

from napari_image_diff import Settings, compare, in_parts, kinds, regions, sources, tiles, volumes, write_zarr

Array = NDArray[Any]


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a tile of each chunk, on three threads, and keep less in memory than a map of full size."""
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    monkeypatch.setattr(tiles, "SLAB_PLANES", 3)
    monkeypatch.setattr(sources, "UNIT", 1)
    monkeypatch.setattr(in_parts, "OVERVIEW_PIXELS", 5000)
    monkeypatch.setattr(tiles, "count_threads", lambda: 3)


@pytest.mark.parametrize("chunks", [(1, 30, 70), (5, 17, 30), (16, 60, 9)])
@pytest.mark.parametrize(
    "settings", [{}, {"threshold": "otsu"}, {"threshold": 0.4, "spacing": (3, 1, 1)}, {"window": "gaussian"}]
)
def test_the_result_is_that_in_memory(settings: dict[str, Any], chunks: tuple[int, int, int]) -> None:
    before, after = changed_pair()
    whole = compare(before, after, spatial_ndim=3, **settings)
    found = compare(in_chunks(before, *chunks), in_chunks(after, 4, 25, 40), spatial_ndim=3, **settings)
    assert found.changed
    hold_against(found, whole)
    for again in ({"threshold": 0.3}, {"threshold": "auto"}):
        hold_against(found.rethreshold(**again), whole.rethreshold(**again))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_colours_frames_and_masks(dtype: Any) -> None:
    before, after = changed_pair(dtype, 3)
    if dtype == np.float32:
        before[2, 30:40, 3:9] = np.nan
    stack, mask = np.stack([before, after]), np.arange(60 * 70).reshape(60, 70) % 31 > 0
    whole = compare(before, stack, spatial_ndim=3, inside=mask, axes=["t"])
    assert set(whole.regions["t"]) == {1}
    found = compare(before, in_chunks(stack, 1, 6, 20, 33), spatial_ndim=3, inside=mask, axes=["t"])
    hold_against(found, whole)
    solid = np.broadcast_to(mask, SIDES)
    for inside in (
        in_chunks(mask, 13, 70),
        in_chunks(solid, 3, 60, 20),
        in_chunks(np.stack([solid] * 2), 1, 16, 60, 7),
    ):
        hold_against(compare(before, da.from_array(stack), spatial_ndim=3, inside=inside, axes=["t"]), whole)


def test_the_map_is_cut_as_scipy_has_it() -> None:
    before, after = changed_pair()
    found = compare(
        in_chunks(before, 3, 20, 20), in_chunks(after, 3, 20, 20), spatial_ndim=3, threshold=0.5, min_area=-1
    )
    mask = np.asarray(found.difference).astype(np.float64) > 0.5
    np.testing.assert_array_equal(found.labels, scipy_labels(mask))


def test_what_a_shift_explains_in_every_plane_is_forgiven() -> None:
    before, after = (np.stack([as_type(board(1, jitter=jitter), np.uint8)] * 3) for jitter in (0, 4))
    marred = after.copy()
    top, left, bottom, right = (80, 90, 110, 130)
    marred[1, top:bottom, left:right] = 255 - before[1, top:bottom, left:right]
    for other in (after, marred):
        whole = compare(before, other, spatial_ndim=3, spacing=(9, 1, 1))
        assert len(whole.forgiven) > 1
        assert whole.changed == (other is marred)
        found = compare(in_chunks(before, 1, 90, 130), in_chunks(other, 2, 300, 130), spatial_ndim=3, spacing=(9, 1, 1))
        hold_against(found, whole)


def test_the_plane_that_tells_the_kind_is_the_first_of_those_with_most_of_a_region() -> None:
    mask = np.zeros((5, 9, 12), np.float32)
    mask[1:4, 2:6, 2:7] = 1
    mask[4, 2:6, 2:6] = 1
    mask[0, 7:9, 9:12] = mask[1, 7:9, 10:12] = 1
    found = regions.make_regions(regions.find_runs(mask.reshape(-1, 12), 0.5), 12, -1, 5)
    np.testing.assert_array_equal(found_in(mask)[0] > 0, mask > 0)
    assert regions.find_largest_planes(found, 9).tolist() == [0, 1]
    told: list[tuple[int, list[list[int]]]] = []

    def name(plane: int, here: regions.Regions) -> kinds.Kinds:
        told.append((plane, here.boxes.tolist()))
        painted = np.empty((9, 12), np.int32)
        regions.paint_tile(here, 0, 9, painted)
        # That of which another plane tells comes after
        assert np.unique(painted).tolist() == ([0, 1] if plane == 0 else [0, 1, 2])
        return kinds.Kinds([f"of plane {plane}"], ["so"], np.zeros(1, np.int64), np.zeros((1, 2)))

    said = volumes.name_kinds(found, 9, name)
    assert told == [(0, [[7, 9, 9, 12]]), (1, [[2, 2, 6, 7]])]
    assert said.kind == ["of plane 0", "of plane 1"]


def test_progress_and_a_stop() -> None:
    before, after = (in_chunks(volume, 6, 30, 40) for volume in changed_pair())
    calls: list[tuple[int, int]] = []
    compare(before, after, spatial_ndim=3, progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}

    def stop(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(before, after, spatial_ndim=3, progress=stop)


def test_planes_are_read_as_the_window_takes_them() -> None:
    before, after = (in_chunks(volume, 2, 60, 70) for volume in changed_pair())
    found = compare(before, after, Settings.classic(), spatial_ndim=3, win_size=5, threshold=0.5)
    # Each chunk once for the runs and once for the table, since regions are in the reach of all but the first
    reads = Counter((planes.start, planes.stop) for planes, *_ in before.reads)
    assert set(reads) == {(first, first + 2) for first in range(0, 16, 2)}
    assert max(reads.values()) == 2
    before.reads.clear()
    found.difference[7, 5:9, 5:9].compute()
    assert [(planes.start, planes.stop) for planes, *_ in before.reads] == [(4, 10)]


def test_evidence_reads_its_own_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "KEPT_BYTES", 0)
    before, after = (in_chunks(volume, 2, 60, 70) for volume in changed_pair())
    found = compare(before, after, spatial_ndim=3)
    assert found.evidence is not None
    # Once for noise and edges, a few times with the window's reach, and of a region the plane that tells its kind
    reads = Counter((planes.start, planes.stop) for planes, *_ in before.reads if isinstance(planes, slice))
    assert max(reads.values()) <= 2
    assert len(before.reads) <= 8 + 8 + 8 + 4
    before.reads.clear()
    found.evidence[7, 15:19, 15:19].compute()
    assert [(planes.start, planes.stop) for planes, *_ in before.reads] == [(6, 8)]


def test_chunks_of_several_planes_are_not_read_too_many_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "UNIT", 64)
    monkeypatch.setattr(sources, "KEPT_BYTES", 8 * 16 * 16 * 16)
    before, after = (in_chunks(volume, 16, 8, 8) for volume in changed_pair())
    compare(before, after, spatial_ndim=3, threshold=0.5)
    # As many voxels as 64 x 64 pixels have: 16 planes of 16 x 16, which are small enough to be kept
    assert {tuple(span.stop - span.start for span in place[1:]) for place in before.reads} <= {
        (rows, columns) for rows in (16, 12) for columns in (16, 6)
    }


def test_a_volume_is_written_as_it_is_from_memory(tmp_path: Path) -> None:
    before, after = changed_pair()
    write_zarr(compare(before, after, spatial_ndim=3), tmp_path / "memory")
    chunked = in_chunks(before, 5, 30, 40)
    lazy = compare(chunked, after, spatial_ndim=3)
    chunked.reads.clear()
    write_zarr(lazy, tmp_path / "chunks")
    # No part of a map is worked out twice, although it has several planes
    assert lazy.evidence is not None
    assert len(chunked.reads) <= lazy.difference.npartitions + lazy.evidence.npartitions
    whole, found = (zarr.open_group(tmp_path / name) for name in ("memory", "chunks"))
    for name in ("0", "evidence/0", "labels/regions/0"):
        np.testing.assert_array_equal(found[name][:], whole[name][:])


@pytest.mark.parametrize(
    "settings",
    [{"size": "overlap"}, {"match_intensity": "gain_offset"}, {"shared_threshold": True, "threshold": "otsu"}],
)
def test_settings_that_look_at_the_whole(settings: dict[str, Any]) -> None:
    before, after = changed_pair()
    other = (np.stack([after, before, after]) * 0.9).astype(np.uint8)
    other = other[:, :12, :, :65] if "size" in settings else other
    ignore = np.zeros(SIDES[1:], bool)
    ignore[40:, 60:] = True
    given = {"spatial_ndim": 3, "ignore": ignore, **settings}
    whole = compare(np.stack([before] * 3), other, **given)
    hold_against(
        compare(in_chunks(np.stack([before] * 3), 1, 5, 30, 40), in_chunks(other, 2, 4, 60, 33), **given), whole
    )


def test_identical_volumes() -> None:
    before, _ = changed_pair(np.float32)
    before[np.random.default_rng(0).random(SIDES) < 0.45] = np.nan
    whole = compare(before, before, spatial_ndim=3)
    assert whole.verdict == "identical"
    assert (np.isnan(np.asarray(whole.evidence)) & ~np.isnan(before)).any()
    hold_against(compare(in_chunks(before, 4, 30, 40), before, spatial_ndim=3), whole)
    # With an axis of one channel, too
    found = compare(in_chunks(before[..., None], 4, 30, 40), before, spatial_ndim=3)
    assert (
        found.resolved["identical"] is compare(before[..., None], before, spatial_ndim=3).resolved["identical"] is True
    )


@pytest.mark.parametrize(("planes", "chunks"), [(16, (1,) * 16), (16, (64, 64)), (7, (3, 3, 3)), (40, (40,))])
def test_every_voxel_is_in_one_tile(planes: int, chunks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = tiles.cut_boxes((30, 50), ((20, 20), (20, 20, 20)), 300)
    for voxels in (1, 1000, 2**25):
        monkeypatch.setattr(tiles, "SLAB_VOXELS", voxels)
        tiling = tiles.Tiling(boxes, tiles.cut_slabs(planes, chunks, boxes))
        count = np.zeros((planes, 30, 50), int)
        for slab, (top, left, bottom, right) in tiling.in_strips():
            count[slice(*slab), top:bottom, left:right] += 1
        assert (count == 1).all()
        assert tiling.total == len(tiling.in_strips())
        assert max(last - first for first, last in tiling.slabs) <= max(min(max(chunks), planes), 3)


BAD: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "planes": ((20, 20), (20, 20), {}),
    "colour planes": ((20, 20, 3), (20, 20, 3), {}),
    "another size": ((9, 20, 20), (8, 20, 20), {}),
    "fewer planes than the window": ((5, 20, 20), (5, 20, 20), {}),
    "frames that differ": ((2, 9, 20, 20), (3, 9, 20, 20), {}),
    "placed": ((9, 20, 20), (9, 20, 20), {"align": "rigid"}),
    "padded": ((9, 20, 20), (9, 20, 21), {"size": "pad"}),
    "spacing": ((9, 20, 20), (9, 20, 20), {"spacing": (1, 2)}),
    "a mask of another size": ((9, 20, 20), (9, 20, 20), {"ignore": np.zeros((9, 20, 21), bool)}),
    "a mask of other frames": ((9, 20, 20), (9, 20, 20), {"ignore": np.zeros((2, 9, 20, 20), bool)}),
    "a mask of floats": ((9, 20, 20), (9, 20, 20), {"ignore": np.zeros((9, 20, 20))}),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused_in_memory_is_refused_in_chunks(name: str) -> None:
    shapes, settings = BAD[name][:2], BAD[name][2]
    before, after = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match=r"\bgive\b") as in_memory:
        compare(before, after, spatial_ndim=3, **settings)
    with pytest.raises(ValueError, match=r"\bgive\b") as lazy:
        compare(da.from_array(before), da.from_array(after), spatial_ndim=3, **settings)
    assert str(lazy.value) == str(in_memory.value)


def test_a_part_that_cannot_be_read_is_named_with_its_planes() -> None:
    before, after = changed_pair()

    def look(place: Any) -> None:
        if place[0].start == 4:
            raise OSError("gone")

    broken = Chunked(after, ((4, 4, 8), (60,), (70,)), look)
    with pytest.raises(
        OSError, match=r"^after, planes 4 to 8, rows 0 to 60, columns 0 to 70, could not be read: OSError"
    ):
        compare(in_chunks(before, 4, 60, 70), broken, spatial_ndim=3)
    source = sources.open_source(broken, "after")._replace(solid=True)
    assert (
        sources.Part(source, (4, slice(0, 6), slice(0, 7))).describe() == "after, plane 4, rows 0 to 6, columns 0 to 7,"
    )
    stack = Chunked(np.stack([before, after]), ((1, 1), (4, 4, 8), (60,), (70,)), lambda place: look(place[1:]))
    with pytest.raises(OSError, match=r"^after, frame 0, planes \d+ to \d+, rows 0 to 60, columns 0 to 70, could not"):
        compare(before, stack, Settings.classic(), spatial_ndim=3)


def test_masked_voxels_and_chunks_without_a_plane() -> None:
    before, after = changed_pair()
    masked = np.ma.masked_less(after, 60)
    whole = compare(before, masked, spatial_ndim=3)
    assert whole.resolved["pixels_not_valid"] > 0
    lazy = da.ma.masked_less(da.from_array(after, ((7, 0, 9), (60,), (70,))), 60)
    hold_against(compare(before, lazy, spatial_ndim=3), whole)
