"""Images in chunks on a `dask.distributed` cluster: the same bits as without one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import dask.array as da
import distributed
import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.typing import NDArray

from napari_image_diff import cli, compare, tiles
from napari_image_diff.cli import main


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two worker processes."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)


def make_pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    picture = 128 + 60 * np.add.outer(np.sin(np.arange(300) / 9), np.cos(np.arange(400) / 7))
    before, after = (np.uint8(np.clip(picture + 3 * rng.standard_normal(picture.shape), 0, 255)) for _ in range(2))
    after[40:70, 250:300] = 255
    after[200:230, 60:66] = 0
    return before, after


def assert_equal(found: Any, expected: Any) -> None:
    assert found.score == expected.score
    pd.testing.assert_frame_equal(found.regions, expected.regions, check_exact=True)
    for name in ("difference", "evidence", "labels"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("container", ["dask", "zarr", "both"])
def test_a_cluster_gives_the_same_bits(client: Any, container: str, tmp_path: Any) -> None:
    before, after = make_pair()
    expected = compare(before, after)
    lazy = [da.from_array(image, chunks=(64, 128)) for image in (before, after)]
    if container != "dask":
        stored = zarr.create_array(tmp_path / "after.zarr", shape=after.shape, chunks=(50, 90), dtype=np.uint8)
        stored[...] = after
        lazy = [before if container == "zarr" else lazy[0], stored]
    calls: list[tuple[int, int]] = []
    found = compare(*lazy, progress=lambda done, total: calls.append((done, total)))
    assert_equal(found, expected)
    assert calls[-1][0] == calls[-1][1]
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    # Whoever worked on the tiles has compiled or loaded the kernels
    assert all(client.run(lambda: "napari_image_diff.streaming" in __import__("sys").modules).values())
    assert not any(client.run(lambda: "napari" in __import__("sys").modules).values())


def test_volumes_on_a_cluster(client: Any, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    scene = 128 + 60 * np.sin(np.arange(12)[:, None, None] / 5 + np.arange(70)[:, None] / 9) * np.cos(np.arange(80) / 7)
    before, after = (np.uint8(scene + 3 * rng.standard_normal(scene.shape)) for _ in range(2))
    after[4:8, 20:34, 30:50] = 255
    ignore = np.zeros((70, 80), bool)
    ignore[:9] = True
    expected = compare(before, after, spatial_ndim=3, ignore=ignore)
    assert expected.changed
    stored = zarr.create_array(tmp_path / "after.zarr", shape=after.shape, chunks=(5, 30, 40), dtype=np.uint8)
    stored[...] = after
    assert_equal(compare(before, stored, spatial_ndim=3, ignore=ignore), expected)


def test_a_killed_worker_costs_time_and_not_the_result(client: Any) -> None:
    before, after = make_pair()
    expected = compare(before, after)
    workers = list(client.run(os.getpid).values())
    killed = []

    def kill(done: int, total: int) -> None:
        if done == total // 2 and not killed:
            killed.append(os.kill(workers[0], signal.SIGKILL))

    assert_equal(
        compare(*(da.from_array(image, chunks=(64, 128)) for image in (before, after)), progress=kill), expected
    )
    assert killed


def test_stopping_and_errors_leave_nothing_on_the_cluster(client: Any) -> None:
    before, after = make_pair()
    lazy = [da.from_array(image, chunks=(64, 128)) for image in (before, after)]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(*lazy, progress=stop)

    def fail(block: NDArray[Any], block_info: Any = None) -> NDArray[Any]:
        if block_info[0]["chunk-location"] == (2, 1):
            raise RuntimeError("the disk is gone")
        return block

    broken = lazy[1].map_blocks(fail, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    with pytest.raises(OSError, match=r"rows .* columns .*RuntimeError: the disk is gone"):
        compare(lazy[0], broken)
    assert compare(*lazy).changed
    floats = lazy[1].map_blocks(lambda block: block / 255, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    with pytest.raises(OSError, match=r"rows .* columns .*TypeError: float64 of shape .* came, not uint8"):
        compare(lazy[0], floats, align="none")


def test_the_command_line_uses_a_cluster(client: Any, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name, image in zip(("before", "after"), make_pair(), strict=True):
        paths.append(str(tmp_path / f"{name}.zarr"))
        stored = zarr.create_array(paths[-1], shape=image.shape, chunks=(64, 128), dtype=np.uint8)
        stored[...] = image
    assert main(paths) == 1
    expected = capsys.readouterr().out
    assert main([*paths, "--scheduler", client.scheduler.address]) == 1
    assert capsys.readouterr().out == expected
    arrays = [str(tmp_path / f"{name}.npy") for name in ("before", "after")]
    for path, image in zip(arrays, make_pair(), strict=True):
        np.save(path, image)
    assert main([*arrays, "--scheduler", client.scheduler.address]) == 1
    assert "not stored in chunks (.zarr), so they were compared here" in capsys.readouterr().err


def test_a_scheduler_that_is_not_there(
    tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "CONNECT_TIMEOUT", 0.5)
    paths = [str(tmp_path / f"{name}.npy") for name in ("before", "after")]
    for path in paths:
        np.save(path, np.zeros((30, 30), np.uint8))
    assert main([*paths, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no scheduler answers at tcp://127.0.0.1:9" in capsys.readouterr().err
