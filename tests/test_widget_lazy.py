"""Images in chunks in the window: layers of all sizes, nothing loaded whole, a clean stop, errors as a notice."""

from __future__ import annotations

import threading
from typing import Any

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray

from napari_image_diff import add_comparison, compare, in_parts, masks, tiles

ROLES = ["diff map", "filled mask", "bounding boxes"]
CHUNK = 40


class Stored:
    """An array in chunks that counts what is read of it, waits where it is told to, and breaks where it is told to."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.chunks = (*((1,) * (array.ndim - 2)), CHUNK, CHUNK)
        self.largest = 0
        self.go = threading.Event()
        self.go.set()
        self.broken = False

    def __getitem__(self, place: Any) -> NDArray[Any]:
        self.go.wait(60)
        if self.broken:
            raise RuntimeError("the disk is gone")
        part = self.array[place]
        self.largest = max(self.largest, part.size)
        return part


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work on small images as on large ones."""
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    monkeypatch.setattr(in_parts, "OVERVIEW_PIXELS", 2000)


@pytest.fixture
def stored(images: Any) -> tuple[Stored, Stored]:
    before, after = images
    return Stored(before), Stored(after)


@pytest.fixture
def opened(open_dock: Any, stored: Any) -> Any:
    """Return viewer and dock with two layers of dask arrays."""
    viewer, dock = open_dock(show=True)
    del viewer.layers[:]
    for name, source in zip("ab", stored, strict=True):
        array = da.from_array(source, chunks=source.chunks, name=False)
        viewer.add_image(array, name=name, contrast_limits=(0, 255), scale=(0.5, 0.25))
    return viewer, dock


def press_compare(dock: Any, qtbot: Any) -> None:
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=30_000)


def test_the_layers_have_all_sizes_and_the_numbers_of_the_whole(opened: Any, stored: Any, qtbot: Any) -> None:
    viewer, dock = opened
    for source in stored:
        source.largest = 0
    press_compare(dock, qtbot)
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES]
    expected = compare(*(source.array for source in stored))
    for name, whole in (("diff map", expected.difference), ("filled mask", expected.labels)):
        layer = viewer.layers[name]
        assert layer.multiscale
        assert [level.shape for level in layer.data] == [(120, 160), (60, 80), (30, 40)]
        assert isinstance(layer.data[0], da.Array)
        assert isinstance(layer.data[-1], np.ndarray)
        np.testing.assert_array_equal(layer.data[0], whole)
        for level, factor in zip(layer.data, (1, 2, 4), strict=True):
            cells = whole.reshape(120 // factor, factor, 160 // factor, factor).max((1, 3))
            np.testing.assert_array_equal(level, cells)
        np.testing.assert_array_equal(layer.scale, (0.5, 0.25))
    assert viewer.layers["bounding boxes"].features["area"].tolist() == expected.regions["area"].tolist()
    # chunks, and what alignment looks at around its patches
    assert max(source.largest for source in stored) <= CHUNK**2


def test_the_mask_is_looked_up_where_the_mouse_is(opened: Any, qtbot: Any) -> None:
    viewer, dock = opened
    press_compare(dock, qtbot)
    dock.panel.next_button.click()
    label = dock.panel.table.label
    region = viewer.layers["bounding boxes"].features.set_index("label").loc[label]
    middle = (region["centroid_row"], region["centroid_col"])
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], viewer.layers["a"].data_to_world(middle), atol=1)
    assert viewer.layers["filled mask"].get_value(viewer.layers["a"].data_to_world(middle), world=True)[1] == label


def test_the_regions_follow_a_slider_once_it_is_let_go(opened: Any, stored: Any, qtbot: Any) -> None:
    viewer, dock = opened
    press_compare(dock, qtbot)
    slider = dock.panel.controls.slider
    slider.setSliderDown(True)
    slider.setValue(-0.5)
    assert not dock.running
    assert len(dock._comparison.regions) == 3
    slider.setSliderDown(False)
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    sensitivity = dock.panel.controls.values["sensitivity"]
    expected = compare(*(source.array for source in stored), sensitivity=sensitivity)
    np.testing.assert_array_equal(viewer.layers["filled mask"].data[0], expected.labels)
    assert dock._comparison.settings.sensitivity == sensitivity != 1


def test_cancel_stops_soon_and_leaves_nothing(opened: Any, stored: Any, qtbot: Any) -> None:
    viewer, dock = opened
    stored[1].go.clear()
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: dock.running, timeout=20_000)
    dock.panel.cancel_button.click()
    assert not dock.running
    assert "Cancelled." in dock.panel.notice.text()
    stored[1].go.set()
    qtbot.waitUntil(lambda: not [each for each in threading.enumerate() if each.name == "image-diff"], timeout=20_000)
    assert [layer.name for layer in viewer.layers] == ["a", "b"]
    press_compare(dock, qtbot)
    assert "filled mask" in viewer.layers
    # Of a cut, too; the next one that goes through says no more of it
    stored[1].go.clear()
    dock.panel.controls.slider.setValue(-0.5)
    qtbot.waitUntil(lambda: dock.running, timeout=20_000)
    dock.cancel()
    assert "Cancelled." in dock.panel.notice.text()
    stored[1].go.set()
    dock.panel.controls.slider.setValue(-0.4)
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert "Cancelled." not in dock.panel.notice.text()


def test_a_chunk_that_cannot_be_read_is_a_notice(opened: Any, stored: Any, qtbot: Any) -> None:
    viewer, dock = opened
    stored[1].broken = True
    press_compare(dock, qtbot)
    notice = dock.panel.notice.text().replace("\u200b", "")
    assert "after, rows" in notice
    assert "could not be read: RuntimeError: the disk is gone" in notice
    assert [layer.name for layer in viewer.layers] == ["a", "b"]
    stored[1].broken = False


def test_a_result_in_memory_takes_the_place_of_one_in_chunks(opened: Any, stored: Any, qtbot: Any) -> None:
    viewer, dock = opened
    press_compare(dock, qtbot)
    viewer.layers["a"].data, viewer.layers["b"].data = (source.array for source in stored)
    press_compare(dock, qtbot)
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES]
    assert not viewer.layers["diff map"].multiscale


@pytest.mark.parametrize("frame", [None, 0, "previous"])
def test_frames_of_a_stored_movie(frame: Any, stored: Any, make_napari_viewer: Any) -> None:
    movie = np.stack([stored[0].array, stored[0].array, stored[1].array])
    other = np.stack([stored[0].array] * 3)
    viewer = make_napari_viewer()
    layer = viewer.add_image(da.from_array(Stored(movie), name=False), name="movie", contrast_limits=(0, 255))
    before = layer
    if frame is None:
        before = viewer.add_image(da.from_array(Stored(other), name=False), name="still", contrast_limits=(0, 255))
    found = add_comparison(viewer, before, layer, frame=frame)
    assert isinstance(found.difference, da.Array)
    assert [each.changed for each in found.frames] == [False, False, True]
    assert viewer.layers["diff map"].data[0].shape == movie.shape
    assert found.regions["frame"].unique().tolist() == [2]


def test_edges_of_boxes_stay_thin_on_the_screen(make_napari_viewer: Any) -> None:
    before = np.zeros((3000, 3000), np.uint8)
    after = before.copy()
    after[1000:1010, 1000:1010] = 200
    viewer = make_napari_viewer()
    layers = [viewer.add_image(image, scale=(0.1, 0.1)) for image in (before, after)]
    add_comparison(viewer, *layers, threshold=0.5)
    boxes = viewer.layers["bounding boxes"]
    assert set(boxes.edge_width) == {6}
    camera = viewer.scene.camera
    for zoom, width in ((50, 1), (10, 2), (5, 4), (0.1, 6), (1e-9, 6), (1e9, 1)):
        camera.zoom = zoom
        assert set(boxes.edge_width) == {width}, zoom
    # Another comparison keeps on
    add_comparison(viewer, *layers, threshold=0.6)
    camera.zoom = 10
    assert set(boxes.edge_width) == {2}
    # So do boxes that are drawn anew, and those of a comparison that is made while the view is near
    add_comparison(viewer, *layers, threshold=1.9)
    assert not boxes.nshapes
    add_comparison(viewer, *layers, threshold=0.5)
    assert set(boxes.edge_width) == {2}
    viewer.layers.remove(boxes)
    add_comparison(viewer, *layers, threshold=0.5)
    boxes = viewer.layers["bounding boxes"]
    assert set(boxes.edge_width) == {2}
    # A width of the user's own stays
    boxes.edge_width = 3
    camera.zoom = 50
    assert set(boxes.edge_width) == {3}


def test_a_mask_of_one_plane_is_for_a_movie_of_any_length(
    stored: Any, make_napari_viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (np.stack([source.array] * 3) for source in stored)
    monkeypatch.setattr(masks, "LARGEST_MASK", before[0].size)
    viewer = make_napari_viewer()
    layers = [
        viewer.add_image(da.from_array(Stored(stack), name=False), contrast_limits=(0, 255))
        for stack in (before, after)
    ]
    plane = viewer.add_labels(np.ones(before.shape[1:], np.uint8))
    plane.data[:, 90:] = 0
    found = add_comparison(viewer, *layers, inside=plane)
    assert (found.regions["max_col"] <= 90).all()
    assert found.regions["frame"].unique().tolist() == [0, 1, 2]
    label = int(found.regions["label"].iloc[-1])
    np.testing.assert_array_equal(masks.pixels_of(found, label, layers[0]), np.asarray(found.labels[2]) == label)
    whole = viewer.add_labels(np.ones(before.shape, np.uint8))
    with pytest.raises(ValueError, match=r"57,600 pixels to be masked, and masks are drawn for 19,200 at most; give"):
        add_comparison(viewer, *layers, inside=whole)
