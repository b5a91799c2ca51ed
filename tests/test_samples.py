"""The sample pairs: true boxes, no download, and both ways to compare find just those boxes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_image_diff import Settings, compare, samples

PAIRS = [samples.photo, samples.cells, samples.page, samples.board]

# A window of 7 x 7 sees a change from 3 pixels away; a region may reach so far beyond the box, and a pixel more.
REACH = 4

# Run where no socket can be opened, nothing is cached, and neither Qt nor napari can be imported.
WITHOUT_NETWORK = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("no network in this test")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
for name in ("napari", "qtpy", "PyQt6", "PySide6", "pooch"):
    sys.modules[name] = None
from napari_image_diff import samples
for make in (samples.photo, samples.cells, samples.page, samples.board):
    assert len(make()) == 2
"""


def inside(inner: tuple[int, ...], outer: tuple[int, ...], margin: int = 0) -> bool:
    top, left, bottom, right = outer
    return (
        inner[0] >= top - margin
        and inner[1] >= left - margin
        and inner[2] <= bottom + margin
        and inner[3] <= right + margin
    )


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("settings", [Settings(), Settings.classic()], ids=["detect", "classic"])
@pytest.mark.parametrize("make", PAIRS)
def test_comparison_finds_the_changes_and_nothing_else(make, settings):
    (before, options, _), (after, _, _) = make()
    regions = compare(before, after, settings).regions
    found = [tuple(row) for row in regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy()]
    changes = options["metadata"]["changes"]
    assert [change for change in changes if not any(overlap(change, box) for box in found)] == []
    assert [box for box in found if not any(inside(box, change, REACH) for change in changes)] == []


@pytest.mark.parametrize("make", PAIRS)
def test_images_differ_just_inside_the_changes(make):
    (before, options, _), (after, _, _) = make()
    different = before != after
    different = different.any(axis=2) if different.ndim == 3 else different
    changes = options["metadata"]["changes"]
    for top, left, bottom, right in changes:
        assert different[top:bottom, left:right].any()
        different[top:bottom, left:right] = False
    assert not different.any()
    assert len(changes) >= 5
    assert all(inside(change, (0, 0, *before.shape[:2])) for change in changes)


@pytest.mark.parametrize("make", PAIRS)
def test_layers_are_named_alike_and_the_same_each_time(make):
    layers = make()
    assert [options["name"] for _, options, _ in layers] == [f"{make.__name__} before", f"{make.__name__} after"]
    assert [kind for _, _, kind in layers] == ["image", "image"]
    assert layers[0][1]["metadata"] == layers[1][1]["metadata"]
    assert layers[0][1]["metadata"]["changes"] is not layers[1][1]["metadata"]["changes"]
    for (data, options, _), (again, same, _) in zip(layers, make(), strict=True):
        np.testing.assert_array_equal(data, again)
        assert options == same


def test_cells_are_twelve_bits_with_micrometres():
    for data, options, _ in samples.cells():
        assert data.dtype == np.uint16
        assert 1023 < data.max() <= 4095
        assert options["scale"] == (0.325, 0.325)
        assert options["units"] == ("um", "um")


@pytest.mark.parametrize("make", PAIRS)
def test_napari_makes_layers_of_them(make):
    layer_module = pytest.importorskip("napari.layers")
    for data, options, kind in make():
        layer = layer_module.Layer.create(data, options, kind)
        assert layer.rgb == (data.ndim == 3)
        assert layer.metadata["changes"] == options["metadata"]["changes"]


def test_nothing_is_downloaded_and_napari_is_not_needed(tmp_path: Path):
    home = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "SKIMAGE_DATADIR"), str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NETWORK], env=os.environ | home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
