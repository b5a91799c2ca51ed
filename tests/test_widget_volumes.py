"""Volumes in a viewer: the layers, boxes on planes and in the 3-D view, and the dock."""

from __future__ import annotations

import gc
import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import Qt

from napari_image_diff import Settings, add_comparison, boxes, geometry, in_parts
from napari_image_diff.geometry import TRANSFORMS, same_value, spacing_of, transforms_of
from napari_image_diff.layers import explain_mismatch
from napari_image_diff.placing import is_ours

SIDES = (14, 60, 70)
PLACE = {
    "scale": (3.0, 1.0, 1.0),
    "translate": (10.0, 4.0, 2.0),
    "units": ("um", "um", "um"),
    "axis_labels": ("z", "y", "x"),
}
ROLES = ["diff map", "filled mask", "bounding boxes"]


def make_volumes() -> list[NDArray[np.uint8]]:
    """Return two volumes: a block of planes 4 to 8, and a smaller one of planes 6 to 11."""
    rng = np.random.default_rng(2)
    rows, cols = np.ogrid[: SIDES[1], : SIDES[2]]
    before, after = (90 + 40 * np.sin(rows / 6) * np.cos(cols / 9) + rng.normal(0, 1, SIDES) for _ in range(2))
    after[4:8, 10:24, 12:30] += 60
    after[6:11, 36:48, 44:56] -= 60
    return [volume.astype(np.uint8) for volume in (before, after)]


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    for name, volume in zip("ab", make_volumes(), strict=True):
        viewer.add_image(volume, name=name, **PLACE)
    return viewer


def add(viewer: ViewerModel, **changes: Any) -> Any:
    return add_comparison(viewer, viewer.layers["a"], viewer.layers["b"], **{"spatial_ndim": 3, **changes})


def planes_of(layer: Any) -> dict[int, list[int]]:
    """Return the planes on which napari shows shapes of each label."""
    found: dict[int, list[int]] = {}
    for corners, label in zip(layer.data, layer.features["label"], strict=True):
        assert np.ptp(corners[:, 0]) == 0
        found.setdefault(int(label), []).append(int(corners[0, 0]))
    return found


def edges_of(corners: NDArray[Any]) -> set[frozenset[tuple[float, ...]]]:
    """Return the edges that a path goes along; each of them changes one coordinate."""
    steps = list(itertools.pairwise(tuple(map(float, corner)) for corner in corners))
    assert all(sum(a != b for a, b in zip(*step, strict=True)) == 1 for step in steps)
    # napari draws nothing where a path turns back at once
    assert all(one[0] != other[1] for one, other in itertools.pairwise(steps))
    return {frozenset(step) for step in steps}


def test_the_layers_lie_on_the_volume(viewer: ViewerModel) -> None:
    found = add(viewer)
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES]
    assert found.resolved["window"] == (3, 7, 7)
    assert len(found.regions) == 2
    for role in ROLES:
        assert viewer.layers[role].ndim == 3
        for name in TRANSFORMS:
            assert same_value(transforms_of(viewer.layers[role])[name], transforms_of(viewer.layers["a"])[name]), name
    np.testing.assert_array_equal(viewer.layers["filled mask"].data, found.labels)
    assert viewer.layers["filled mask"].features["area"].tolist()[1:] == found.regions["area"].tolist()


def test_a_region_has_a_rectangle_on_each_of_its_planes(viewer: ViewerModel) -> None:
    regions = add(viewer).regions
    drawn = viewer.layers["bounding boxes"]
    assert (
        planes_of(drawn)
        == {row.label: list(range(row.min_plane, row.max_plane)) for row in regions.itertuples()}
        == {1: [4, 5, 6, 7], 2: [6, 7, 8, 9, 10]}
    )
    first = regions.iloc[0]
    assert drawn.data[0][:, 1:].min(axis=0).tolist() == [first["min_row"] - 0.5, first["min_col"] - 0.5]
    assert drawn.data[0][:, 1:].max(axis=0).tolist() == [first["max_row"] - 0.5, first["max_col"] - 0.5]
    assert set(drawn.shape_type) == {"rectangle"}


@pytest.mark.parametrize("earlier", [False, True])
def test_in_the_3d_view_a_region_has_twelve_edges(viewer: ViewerModel, earlier: bool) -> None:
    if earlier:
        viewer.dims.ndisplay = 3
    regions = add(viewer).regions
    viewer.dims.ndisplay = 3
    drawn = viewer.layers["bounding boxes"]
    assert drawn.features["label"].tolist() == [1, 2]
    for corners, row in zip(drawn.data, regions.itertuples(), strict=True):
        sides = [(row.min_plane, row.max_plane), (row.min_row, row.max_row), (row.min_col, row.max_col)]
        places = itertools.product(*([end - 0.5 for end in side] for side in sides))
        expected = {
            frozenset(pair)
            for pair in itertools.combinations(places, 2)
            if sum(a != b for a, b in zip(*pair, strict=True)) == 1
        }
        assert len(expected) == 12
        assert edges_of(corners) == expected
    assert is_ours(drawn)
    viewer.dims.ndisplay = 2
    assert set(planes_of(drawn)) == {1, 2}
    assert is_ours(drawn)


def test_what_is_shown_is_updated_in_either_view(viewer: ViewerModel) -> None:
    add(viewer)
    layers = list(viewer.layers)
    viewer.dims.ndisplay = 3
    viewer.layers["b"].data = viewer.layers["a"].data.copy()
    assert not add(viewer).changed
    assert list(viewer.layers) == layers
    assert viewer.layers["bounding boxes"].nshapes == 0
    viewer.layers["b"].data = make_volumes()[1]
    add(viewer)
    assert viewer.layers["bounding boxes"].nshapes == 2
    viewer.dims.ndisplay = 2
    assert viewer.layers["bounding boxes"].nshapes == 9


def test_colours_stay_with_their_region_from_view_to_view(viewer: ViewerModel) -> None:
    add(viewer)
    drawn = viewer.layers["bounding boxes"]
    colors = np.array(drawn.edge_color)
    colors[drawn.features["label"] == 2] = (1, 0, 0, 1)
    drawn.edge_color = colors
    for ndisplay, counts in ((3, [1, 1]), (2, [4, 5])):
        viewer.dims.ndisplay = ndisplay
        red = (np.array(drawn.edge_color) == (1, 0, 0, 1)).all(axis=1)
        assert red.tolist() == [False] * counts[0] + [True] * counts[1]


def test_boxes_that_the_user_edited_are_left_alone(viewer: ViewerModel) -> None:
    add(viewer)
    drawn = viewer.layers["bounding boxes"]
    drawn.selected_data = {0}
    drawn.remove_selected()
    viewer.dims.ndisplay = 3
    assert drawn.nshapes == 8
    assert set(drawn.shape_type) == {"rectangle"}


def test_nothing_listens_to_the_view_when_the_boxes_are_gone(viewer: ViewerModel) -> None:
    emitter = viewer.dims.events.ndisplay
    emitter()
    count = len(emitter.callbacks)
    add(viewer)
    add(viewer)
    assert len(emitter.callbacks) == count + 1
    del viewer.layers["bounding boxes"]
    gc.collect()
    viewer.dims.ndisplay = 3
    assert len(emitter.callbacks) == count


def test_boxes_of_the_largest_regions_are_drawn(viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOXES_DRAWN", 8)
    regions = add(viewer).regions
    assert regions["area"].is_monotonic_decreasing
    assert set(planes_of(viewer.layers["bounding boxes"])) == {1}


def test_masks_may_be_layers_of_the_volume_or_of_a_plane(viewer: ViewerModel) -> None:
    mask = np.zeros(SIDES, np.uint8)
    mask[:, 5:30, 5:40] = 1
    found = add(viewer, ignore=Labels(mask, **PLACE))
    assert found.regions["min_plane"].tolist() == [6]
    flat = Labels(mask[0], scale=PLACE["scale"][1:], translate=PLACE["translate"][1:])
    np.testing.assert_array_equal(add(viewer, ignore=flat).labels, found.labels)
    np.testing.assert_array_equal(add(viewer, ignore=mask[0]).labels, found.labels)


def test_a_volume_against_frames_of_volumes_keeps_its_place() -> None:
    viewer = ViewerModel()
    before, after = make_volumes()
    one = viewer.add_image(before, name="a", scale=(3, 1, 1), translate=(1, 2, 3), shear=(0.1, 0.2, 0.3))
    viewer.add_image(np.stack([before, after]), name="b", scale=(7, 1, 1, 1), translate=(5, 0, 0, 0))
    found = add(viewer, by_index=True)
    assert found.regions["frame"].tolist() == [1, 1]
    assert found.resolved["window"] == (3, 7, 7)
    for role in ROLES:
        layer = viewer.layers[role]
        np.testing.assert_allclose(layer.data_to_world((1, 2, 3, 4)), (12, *one.data_to_world((2, 3, 4))))
    assert [corners[0, 0] for corners in viewer.layers["bounding boxes"].data] == [1] * 9


@pytest.mark.parametrize(
    ("scale", "units", "spacing"),
    [
        ((3, 1, 1), ("pixel",) * 3, (3, 1, 1)),
        ((300, -0.1, 0.1), ("nm", "um", "um"), (0.3, 0.1, 0.1)),
        ((2, 1, 1), ("s", "um", "um"), (2, 1, 1)),
        ((9, 300, 0.1, 100), ("s", "nm", "um", "nm"), (0.3, 0.1, 0.1)),
    ],
)
def test_scale_and_units_say_how_far_apart_planes_are(scale: Any, units: Any, spacing: Any) -> None:
    layer = Image(np.zeros((9,) * len(scale), np.uint8), scale=scale, units=units)
    assert spacing_of(layer, 3) == pytest.approx(spacing)
    assert spacing_of(layer, 2) is None


def test_what_cannot_be_compared_is_said() -> None:
    plane, volume, thin = (Image(np.zeros(shape, np.uint8), name="v") for shape in (SIDES[1:], SIDES, (9, 60, 70)))
    stack = Image(np.zeros((2, *SIDES), np.uint8), name="s")
    assert "'v' is a single plane, and 3 dimensions are set" in explain_mismatch(plane, volume, spatial_ndim=3)
    assert "'v' has 14 x 60 x 70 pixels" in explain_mismatch(volume, thin, spatial_ndim=3)
    assert "single volume: it has no frames" in explain_mismatch(volume, volume, frame=2, spatial_ndim=3)
    assert explain_mismatch(volume, stack, spatial_ndim=3) == ""
    assert explain_mismatch(stack, stack, frame=1, spatial_ndim=3) == ""


@pytest.fixture(params=["in memory", "in chunks"])
def compared_volumes(request: Any, open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return viewer and dock after Compare was pressed on two volumes."""
    monkeypatch.setattr(in_parts, "OVERVIEW_PIXELS", 20_000)
    viewer, dock = open_dock(show=True)
    del viewer.layers[:]
    for name, volume in zip("ab", make_volumes(), strict=True):
        data = volume if request.param == "in memory" else da.from_array(volume, chunks=(4, 30, 40))
        viewer.add_image(data, name=name, contrast_limits=(0, 255), **PLACE)
    dock.panel.form.fields["spatial_ndim"].value = 3
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert viewer.layers["filled mask"].multiscale == (request.param == "in chunks")
    return viewer, dock


def test_the_dock_goes_to_regions_of_a_volume(compared_volumes: Any, qtbot: Any) -> None:
    viewer, dock = compared_volumes
    assert "2 regions" in dock.panel.result.text()
    assert "window 3 x 7 x 7 voxels" in dock.panel.result.text()
    model = dock.panel.table.model()
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]
    assert heads[:4] == ["Label", "Verdict", "Kind", "Area"]
    assert {"Plane", "Min plane", "Max plane"} <= {*heads}
    assert "Contour area" not in heads
    dock.panel.next_button.click()
    assert viewer.dims.current_step[0] == 6
    dock.panel.next_button.click()
    assert viewer.dims.current_step[0] == 8
    world = viewer.layers["a"].data_to_world((8, 41.5, 49.5))
    assert viewer.scene.camera.center[1:] == pytest.approx(world[1:], abs=1)
    drawn = viewer.layers["bounding boxes"]
    white = (np.array(drawn.edge_color) == 1).all(axis=1)
    assert white.tolist() == [False] * 4 + [True] * 5
    viewer.dims.ndisplay = 3
    assert (np.array(drawn.edge_color) == 1).all(axis=1).tolist() == [False, True]
    dock.panel.next_button.click()
    assert (np.array(drawn.edge_color) == 1).all(axis=1).tolist() == [True, False]
    world = viewer.layers["a"].data_to_world((5.5, 16.5, 20.5))
    assert viewer.scene.camera.center == pytest.approx(world, abs=1)


def test_regions_of_a_volume_are_cut_anew_and_ignored(compared_volumes: Any, qtbot: Any) -> None:
    viewer, dock = compared_volumes
    areas = viewer.layers["filled mask"].features["area"]
    dock.panel.controls.min_area.setValue(areas[2])
    qtbot.waitUntil(lambda: not dock.running and dock.panel.table.model().rowCount() == 1, timeout=20_000)
    assert viewer.layers["bounding boxes"].nshapes == 4
    dock.panel.controls.min_area.setValue(-1)
    qtbot.waitUntil(lambda: not dock.running and dock.panel.table.model().rowCount() == 2, timeout=20_000)
    dock.panel.next_button.click()
    region = np.asarray(geometry.array_of(viewer.layers["filled mask"])) == 1
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    np.testing.assert_array_equal(viewer.layers["ignore"].data > 0, region)
    assert dock.panel.table.model().rowCount() == 1


def test_a_region_of_a_volume_in_a_stack_is_ignored_in_its_planes(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    del viewer.layers[:]
    before, after = make_volumes()
    after[9:, 12:22, 14:28] += 70
    for name, stack in ("a", np.stack([before] * 2)), ("b", np.stack([after, before])):
        viewer.add_image(stack, name=name, contrast_limits=(0, 255))
    dock.panel.form.fields["spatial_ndim"].value = 3
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert dock.panel.table.model().rowCount() == 3
    dock.panel.next_button.click()
    region = np.asarray(viewer.layers["filled mask"].data[0]) == dock.panel.table.label
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    np.testing.assert_array_equal(viewer.layers["ignore"].data > 0, np.stack([region] * 2))
    # Another in the same rows and columns, of other planes, is still there
    assert dock.panel.table.model().rowCount() == 2


def test_another_size_of_voxels_is_told(compared_volumes: Any, qtbot: Any) -> None:
    viewer, dock = compared_volumes
    assert dock.panel.notice.text() == ""
    for name in "ab":
        viewer.layers[name].scale = [9, *PLACE["scale"][1:]]
    qtbot.waitUntil(lambda: "The voxels of 'a' have another size now" in dock.panel.notice.text(), timeout=5000)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert dock.panel.notice.text() == ""


def test_planes_are_not_followed_where_volumes_are_compared(compared_volumes: Any, qtbot: Any) -> None:
    viewer, dock = compared_volumes
    shown = geometry.array_of(viewer.layers["filled mask"])
    dock.panel.follow_box.setChecked(True)
    qtbot.waitUntil(lambda: "Single planes are followed" in dock.panel.notice.text(), timeout=5000)
    assert dock.panel.table.model().rowCount() == 2
    assert geometry.array_of(viewer.layers["filled mask"]) is shown
    dock.panel.form.fields["spatial_ndim"].value = 2
    qtbot.waitUntil(lambda: not dock.running and "Frame" in dock.panel.result.text(), timeout=20_000)
    dock.panel.follow_box.setChecked(False)


def test_layers_of_other_dimensions_differ_in_what_they_share_alone(open_dock: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    before, after = make_volumes()
    viewer.add_image(before[0], name="a", contrast_limits=(0, 255))
    viewer.add_image(after, name="b", contrast_limits=(0, 255))
    assert "resampled" not in dock.panel.notice.text()
    viewer.layers["b"].scale = (3, 1, 1)
    assert "resampled" not in dock.panel.notice.text()
    viewer.layers["b"].scale = (1, 2, 2)
    assert "After resampled onto before: scale 2 -> 1; " in dock.panel.notice.text()


def test_the_dock_says_that_planes_are_no_volumes(open_dock: Any) -> None:
    _, dock = open_dock()
    dock.panel.form.fields["spatial_ndim"].value = 3
    assert "is a single plane, and 3 dimensions are set" in dock.panel.notice.text()
    assert not dock.panel.compare_button.isEnabled()
    dock.panel.presets.chosen.emit(Settings())
    assert dock.panel.compare_button.isEnabled()
