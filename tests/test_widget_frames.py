"""Stacks in the window: the result lies on them, and going to a region goes to its frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import choose_preset
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage
from test_widget_regions import click_canvas, click_row

from napari_image_diff import add_comparison
from napari_image_diff.geometry import TRANSFORMS, same_value, transforms_of
from napari_image_diff.masks import mask_of

PLACE = {
    "scale": (3.0, 0.5, 0.25),
    "translate": (10.0, 4.0, 2.0),
    "axis_labels": ("time", "y", "x"),
    "units": ("s", "um", "um"),
}
ROLES = ["diff map", "filled mask", "bounding boxes"]


@pytest.fixture
def stacks(images: Any) -> tuple[np.ndarray, np.ndarray]:
    """Five frames; the fourth has the changes of `images`, the others differ by noise."""
    random = np.random.default_rng(1)
    before = np.stack([images[0]] * 5)
    after = before.copy()
    after[3] = images[1]
    noisy = (np.clip(stack + random.normal(0, 1, stack.shape), 0, 255).astype(np.uint8) for stack in (before, after))
    one, other = noisy
    return one, other


@pytest.fixture
def compared_stacks(open_dock: Any, qtbot: Any, stacks: Any) -> Any:
    """Return viewer and dock after Compare was pressed on two stacks."""
    viewer, dock = open_dock(show=True)
    del viewer.layers[:]
    for name, stack in zip("ab", stacks, strict=True):
        viewer.add_image(stack, name=name, **PLACE)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    return viewer, dock


def test_the_result_lies_on_the_stack(compared_stacks: Any) -> None:
    viewer, dock = compared_stacks
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES]
    for role in ROLES:
        layer = viewer.layers[role]
        assert layer.ndim == 3
        for name in TRANSFORMS:
            assert same_value(transforms_of(layer)[name], transforms_of(viewer.layers["a"])[name]), (role, name)
    assert viewer.layers["diff map"].data.shape == viewer.layers["a"].data.shape
    regions = viewer.layers["bounding boxes"].features
    assert regions["time"].tolist() == [3, 3, 3]
    for corners, row in zip(viewer.layers["bounding boxes"].data, regions.itertuples(), strict=True):
        assert np.min(corners, axis=0).tolist() == [row.time, row.min_row - 0.5, row.min_col - 0.5]
        assert np.max(corners, axis=0).tolist() == [row.time, row.max_row - 0.5, row.max_col - 0.5]
    assert "5 frames, 1 different, 3 regions" in dock.panel.notice.text() + dock.panel.result.text()


def test_going_to_a_region_goes_to_its_frame(compared_stacks: Any, qtbot: Any) -> None:
    viewer, dock = compared_stacks
    viewer.dims.set_current_step(0, 0)
    click_row(qtbot, dock, 1)
    assert viewer.dims.current_step[0] == 3
    region = viewer.layers["bounding boxes"].features.iloc[1]
    middle = [(region[f"min_{side}"] + region[f"max_{side}"]) / 2 - 0.5 for side in ("row", "col")]
    world = viewer.layers["a"].data_to_world((3, *middle))
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], world[-2:])


def test_a_click_in_another_frame_is_no_click_on_the_region(compared_stacks: Any, MouseEvent: Any) -> None:
    viewer, dock = compared_stacks
    row, col = viewer.layers["bounding boxes"].features[["centroid_row", "centroid_col"]].iloc[2]
    for frame, label in (2, 0), (3, 3):
        click_canvas(viewer, viewer.layers["a"].data_to_world((frame, row, col)), MouseEvent)
        assert dock.panel.table.label == label


def test_a_second_comparison_updates_the_layers(compared_stacks: Any, qtbot: Any) -> None:
    viewer, dock = compared_stacks
    earlier = [viewer.layers[role].__wrapped__ for role in ROLES]
    viewer.layers["b"].data = np.roll(viewer.layers["b"].data, 1, axis=0)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert [viewer.layers[role].__wrapped__ for role in ROLES] == earlier
    assert viewer.layers["bounding boxes"].features["time"].tolist() == [4, 4, 4]
    assert {float(corners[0][0]) for corners in viewer.layers["bounding boxes"].data} == {4.0}


def test_the_regions_follow_the_sensitivity(compared_stacks: Any, qtbot: Any) -> None:
    viewer, dock = compared_stacks
    rows = dock.panel.table.model().rowCount
    before = viewer.layers["filled mask"].data.max()
    dock.panel.controls.slider.setValue(-1)
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.controls.number.value() == 0.1
    mask = viewer.layers["filled mask"].data
    assert mask.shape == (5, 120, 160)
    assert rows() == mask.max() == viewer.layers["bounding boxes"].nshapes <= before


def test_a_region_can_be_ignored_in_all_frames(compared_stacks: Any, qtbot: Any) -> None:
    viewer, dock = compared_stacks
    click_row(qtbot, dock, 0)
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert viewer.layers["bounding boxes"].features["time"].tolist() == [3, 3]


@pytest.mark.parametrize("alone", ["before", "after"])
def test_a_plane_is_compared_with_every_frame(alone: str, stacks: Any) -> None:
    viewer = ViewerModel()
    before, after = stacks
    plane = {name: PLACE[name][1:] for name in ("scale", "translate")} | {"shear": [0.1], "rotate": 5}
    if alone == "before":
        one, other = Image(before[0], **plane), Image(after, scale=(3, 1, 1), translate=(7, 0, 0))
    else:
        one, other = Image(before, **PLACE), Image(after[3])
    for layer in (one, other):
        viewer.add_layer(layer)
    found = add_comparison(viewer, one, other)
    assert found.labels.shape == before.shape
    assert set(found.regions.iloc[:, 1]) == ({3} if alone == "before" else {0, 1, 2, 3, 4})
    for role in ROLES:
        layer = viewer.layers[role]
        ours = layer.data_to_world((2, 30, 40))
        np.testing.assert_allclose(ours[-2:], one.data_to_world((2, 30, 40)[-one.ndim :])[-2:])
        if alone == "before":
            assert ours[0] == other.data_to_world((2, 30, 40))[0] == 13


def test_axes_without_names_of_their_own_are_frames(stacks: Any) -> None:
    viewer = ViewerModel()
    one, other = (viewer.add_image(stack) for stack in stacks)
    assert list(add_comparison(viewer, one, other).regions)[:2] == ["label", "frame"]


# ---------------------------------------------------------------- frames of one layer


@pytest.mark.parametrize(("way", "frames"), [("first frame of ", {2, 3, 4}), ("previous frame of ", {2})])
def test_a_stack_is_compared_with_frames_of_its_own(
    open_dock: Any, qtbot: Any, images: Any, way: str, frames: set[int]
) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    movie = np.stack([images[index] for index in (0, 0, 1, 1, 1)])
    layer = viewer.add_image(movie, name="movie", **PLACE)
    before, after = dock.panel.pickers.boxes
    assert (before.currentText(), after.currentText()) == ("first frame of movie", "movie")
    before.setCurrentText(f"{way}movie")
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert dock.panel.notice.text() == ""
    regions = viewer.layers["bounding boxes"].features
    assert set(regions["time"]) == frames
    assert viewer.layers["diff map"].data.shape == movie.shape
    assert same_value(viewer.layers["diff map"].scale, layer.scale)
    np.testing.assert_array_equal(layer.data, movie)


def test_the_shown_frame_is_that_of_the_slider(open_dock: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    viewer.add_image(np.stack([images[index] for index in (0, 0, 1, 1, 0)]), name="movie")
    before = dock.panel.pickers.boxes[0]
    before.setCurrentText("shown frame of movie")
    for shown, frames in (3, {0, 1, 4}), (0, {2, 3}):
        viewer.dims.set_current_step(0, shown)
        dock.panel.compare_button.click()
        qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
        assert set(viewer.layers["bounding boxes"].features["frame"]) == frames
    assert dock.panel.notice.text() == ""
    viewer.dims.set_current_step(0, 2)
    assert "The result is against frame 0 of 'movie'. Press Compare" in dock.panel.notice.text()
    before.setCurrentText("first frame of movie")
    assert dock.panel.notice.text() == ""
    before.setCurrentText("previous frame of movie")
    assert "The result is against frame 0" in dock.panel.notice.text()
    before.setCurrentText("movie")
    assert "both 'movie'" in dock.panel.notice.text()
    assert "a frame of it" in dock.panel.notice.text()


def test_frames_of_layers_in_the_console(images: Any) -> None:
    viewer = ViewerModel()
    movie = np.stack([[images[index] for index in row] for row in ((0, 0, 1), (0, 1, 1))])  # (t, z, y, x)
    stack = viewer.add_image(movie)
    plane = viewer.add_image(images[1])
    short = viewer.add_image(movie[0], axis_labels=("z", "y", "x"))
    found = add_comparison(viewer, stack, stack, frame=0)
    assert found.regions[["axis_0", "axis_1"]].drop_duplicates().values.tolist() == [[1, 1]]
    found = add_comparison(viewer, stack, stack, frame="previous")
    assert found.regions[["axis_0", "axis_1"]].drop_duplicates().values.tolist() == [[1, 1]]
    for frame in (-1, np.int64(2)):
        assert not add_comparison(viewer, short, plane, frame=frame).changed
    assert [layer.ndim for layer in viewer.layers][-3:] == [2, 2, 2]
    found = add_comparison(viewer, short, plane, frame="previous")
    assert found.regions["z"].unique().tolist() == [0, 1, 2]
    for before, frame, words in (plane, 0, "no frames"), (short, 3, "3 frames and none of number 3"):
        with pytest.raises(ValueError, match=words):
            add_comparison(viewer, before, stack, frame=frame)


def test_otsu_of_a_stack_in_the_dock(open_dock: Any, qtbot: Any, stacks: Any) -> None:
    viewer, dock = open_dock()
    choose_preset(dock, "Classic")
    for name, stack in zip(("one", "two"), stacks, strict=True):
        viewer.add_image(stack, name=name)
    for box, name in zip(dock.panel.pickers.boxes, ("one", "two"), strict=True):
        box.setCurrentText(name)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert viewer.layers["filled mask"].data.shape == stacks[0].shape
    assert "frames" in dock.panel.result.text()


# ---------------------------------------------------------------- the curve


def test_the_curve_shows_the_frames_and_goes_to_them(compared_stacks: Any, qtbot: Any) -> None:
    viewer, dock = compared_stacks
    curve = dock.panel.curve
    assert curve.isVisible()
    assert np.argmax(curve.fractions) == np.argmin(curve.scores) == 3
    assert np.count_nonzero(curve.fractions) == 1
    for frame in (4, 0):
        where = QPoint(round(curve.width() * (frame + 0.5) / 5), 10)
        qtbot.mouseClick(curve, Qt.MouseButton.LeftButton, pos=where)
        assert viewer.dims.current_step[0] == curve.current == frame
    dock.panel.worst_button.click()
    assert viewer.dims.current_step[0] == 3
    qtbot.keyClick(curve, Qt.Key.Key_Right)
    qtbot.keyClick(curve, Qt.Key.Key_Right)
    assert viewer.dims.current_step[0] == 4
    qtbot.keyClick(curve, Qt.Key.Key_Left)
    assert viewer.dims.current_step[0] == 3
    viewer.dims.set_current_step(0, 1)
    assert curve.current == 1
    assert curve.describe(1).startswith("Frame 1: score 0.")


def test_the_curve_is_drawn(compared_stacks: Any) -> None:
    _, dock = compared_stacks
    curve = dock.panel.curve
    curve.show_current(0)
    marked = pixels_of(curve)
    assert len(np.unique(marked.reshape(-1, marked.shape[2]), axis=0)) > 3
    curve.show_current(4)
    assert not np.array_equal(pixels_of(curve), marked)
    curve.scores[:] = np.nan
    curve.fractions[:] = 0
    pixels_of(curve)


def pixels_of(widget: Any) -> np.ndarray:
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = image.constBits()
    data.setsize(image.sizeInBytes())
    return np.frombuffer(data, np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4).copy()


def test_a_single_pair_has_no_curve(compared: Any) -> None:
    viewer, dock = compared(show=True)
    assert not dock.panel.curve.isVisible()
    assert not dock.panel.worst_button.isVisible()
    dock.go_to_worst_frame()
    assert viewer.dims.ndim == 2


def test_the_curve_goes_over_all_leading_axes(open_dock: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = open_dock(show=True)
    del viewer.layers[:]
    before = np.stack([[images[0]] * 3] * 2)
    after = before.copy()
    after[1, 1] = images[1]
    for name, stack in ("a", before), ("b", after):
        viewer.add_image(stack, name=name, scale=(2, 0.5, 1, 1))
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    dock.panel.worst_button.click()
    assert viewer.dims.current_step[:2] == (1, 1)
    assert dock.panel.curve.current == 4
    viewer.add_image(np.zeros((9, 2, 3, 120, 160), np.uint8))  # one more axis, before ours
    assert dock.panel.curve.current == 4
    viewer.dims.set_current_step(1, 0)
    assert dock.panel.curve.current == 1


# ---------------------------------------------------------------- masks


@pytest.fixture
def changed_everywhere(images: Any) -> tuple[np.ndarray, np.ndarray]:
    """Four frames that all have the three changes of `images`."""
    return np.stack([images[0]] * 4), np.stack([images[1]] * 4)


def count_by_frame(found: Any) -> list[int]:
    return [int(np.count_nonzero(found.regions["frame"] == frame)) for frame in range(4)]


@pytest.mark.parametrize("kind", ["labels", "shapes"])
def test_a_mask_may_be_a_stack_too(changed_everywhere: Any, kind: str) -> None:
    """It begins a frame later than the images, at twice their scale, and covers all but a corner in one frame."""
    viewer = ViewerModel()
    scale = (3, 0.5, 0.5)
    one, other = (viewer.add_image(stack, scale=scale) for stack in changed_everywhere)
    place = {"scale": (3, 1, 1), "translate": (3, 0.25, 0.25)}
    if kind == "labels":
        mask = np.zeros((2, 60, 80), np.uint8)
        mask[1, :, 40:] = 1
        layer = viewer.add_labels(mask, **place)
    else:
        corners = [[1, -0.5, 39.5], [1, -0.5, 79.5], [1, 59.5, 79.5], [1, 59.5, 39.5]]
        layer = viewer.add_shapes([np.array(corners)], shape_type="polygon", **place)
    covered = mask_of(layer, one)
    assert covered.shape == changed_everywhere[0].shape
    assert covered.any(axis=(1, 2)).tolist() == [False, False, True, False]
    assert covered[2, :, 82:].all()
    assert not covered[2, :, :78].any()
    assert count_by_frame(add_comparison(viewer, one, other, ignore=layer)) == [3, 3, 2, 3]
    assert count_by_frame(add_comparison(viewer, one, other, inside=layer)) == [0, 0, 1, 0]


def test_a_mask_of_other_axes_is_refused(changed_everywhere: Any) -> None:
    viewer = ViewerModel()
    one, other = (viewer.add_image(stack) for stack in changed_everywhere)
    labels = viewer.add_labels(np.zeros((1, *changed_everywhere[0].shape), np.uint8))
    with pytest.raises(ValueError, match="Labels layer of 4 dimensions; give a Labels or Shapes layer of 2 or 3"):
        add_comparison(viewer, one, other, ignore=labels)


@pytest.mark.parametrize("given", ["nothing", "plane", "stack", "shapes"])
def test_an_ignored_region_joins_the_mask_there_is(
    open_dock: Any, qtbot: Any, changed_everywhere: Any, given: str
) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    for name, stack in zip("ab", changed_everywhere, strict=True):
        viewer.add_image(stack, name=name, **PLACE)
    if given == "plane":
        viewer.add_labels(np.zeros((120, 160), np.uint8), name="mask", **{k: v[1:] for k, v in PLACE.items()})
    elif given == "stack":
        viewer.add_labels(np.zeros((4, 120, 160), np.uint8), name="mask", **PLACE)
    elif given == "shapes":
        corner = np.array([[0, 0, 0], [0, 0, 5], [0, 5, 5], [0, 5, 0]])
        viewer.add_shapes([corner], shape_type="polygon", name="mask", **PLACE)
    if given != "nothing":
        dock.panel.pickers.ignore.setCurrentText("mask")
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert len(viewer.layers["bounding boxes"].features) == 12
    click_row(qtbot, dock, 0)
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert len(viewer.layers["bounding boxes"].features) == 8
    name = "mask" if given in ("plane", "stack") else "ignore"
    assert viewer.layers[name].ndim == (2 if given in ("nothing", "plane") else 3)
    assert dock.panel.pickers.ignore.currentText() == name


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("ndisplay", [2, 3])
def test_a_result_of_other_axes_takes_the_place_of_the_last(images: Any, ndisplay: int) -> None:
    leading: list[tuple[int, ...]] = [(), (2,), (2, 2), (), (2, 2), (2,), ()]
    for changed in (True, False):
        viewer = ViewerModel()
        one, other = (viewer.add_image(image) for image in images)
        for shape in leading:
            stacks = [np.broadcast_to(image, (*shape, *image.shape)).copy() for image in images]
            one.data, other.data = stacks if changed else (stacks[0], stacks[0].copy())
            viewer.dims.ndisplay = ndisplay if shape else 2
            found = add_comparison(viewer, one, other)
            assert found.changed == changed
            assert [viewer.layers[role].ndim for role in ROLES] == [2 + len(shape)] * 3
            assert len(viewer.layers) == 5


def test_evidence_that_is_shown_follows_to_other_axes(compared_stacks: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = compared_stacks
    dock.panel.evidence_box.click()
    for name, image in zip("ab", images, strict=True):
        viewer.layers[name].data = image
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert [viewer.layers[role].ndim for role in (*ROLES, "evidence")] == [2] * 4
    assert not dock.panel.curve.isVisible()


def test_the_shown_frame_is_found_in_the_world(open_dock: Any, images: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    stack = np.stack([images[0]] * 6)
    viewer.add_image(stack, name="m", scale=(3, 1, 1), translate=(10, 0, 0))
    viewer.add_image(stack, name="n")
    dock.panel.pickers.boxes[0].setCurrentText("shown frame of m")
    for world, frame in (13, 1), (19, 3), (0, 0), (99, 5):
        viewer.dims.set_point(0, world)
        assert dock.panel.pickers.frame == frame


def test_the_way_back_to_what_is_shown_is_no_change(compared_stacks: Any) -> None:
    _, dock = compared_stacks
    before, after = dock.panel.pickers.boxes
    before.setCurrentText("first frame of a")
    assert "against the same frames of 'a'" in dock.panel.notice.text()
    before.setCurrentText("a")
    assert dock.panel.notice.text() == ""
    dock.panel.pickers.swap()
    before.setCurrentText("first frame of a")
    after.setCurrentText("b")
    assert "against the same frames of 'a'" in dock.panel.notice.text()


def test_a_frame_of_three_axes_against_four(images: Any) -> None:
    viewer = ViewerModel()
    one = viewer.add_image(np.stack([images[0]] * 3), scale=(9, 2, 2))
    other = viewer.add_image(np.stack([[images[0], images[1]]] * 2), scale=(5, 7, 2, 2))
    found = add_comparison(viewer, one, other, frame=0)
    assert found.regions["axis_1"].unique().tolist() == [1]
    assert viewer.layers["diff map"].scale.tolist() == [5, 7, 2, 2]


@pytest.mark.parametrize("labels", [("index", "y", "x"), ("area", "y", "x"), ("x", "y", "x")])
def test_axes_named_as_columns_are_frames(stacks: Any, labels: tuple[str, ...]) -> None:
    viewer = ViewerModel()
    one, other = (viewer.add_image(stack, axis_labels=labels) for stack in stacks)
    names = list(add_comparison(viewer, one, other).regions)[:2]
    assert names == ["label", "x" if labels[0] == "x" else "frame"]


def test_a_mask_of_the_stack_counts_for_the_frame_taken_of_it(changed_everywhere: Any) -> None:
    viewer = ViewerModel()
    one = viewer.add_image(changed_everywhere[0])
    plane = viewer.add_image(changed_everywhere[1][0])
    mask = np.zeros(changed_everywhere[0].shape, np.uint8)
    mask[1, :, 80:] = 1
    labels = viewer.add_labels(mask)
    counts = [len(add_comparison(viewer, one, plane, frame=frame, ignore=labels).regions) for frame in range(3)]
    assert counts == [3, 2, 3]
    assert len(add_comparison(viewer, one, plane, frame=1, ignore=mask).regions) == 2


@pytest.mark.parametrize("frame", [True, 1.0, "first"])
def test_what_is_no_frame_is_refused(stacks: Any, frame: Any) -> None:
    viewer = ViewerModel()
    one, other = (viewer.add_image(stack) for stack in stacks)
    with pytest.raises(ValueError, match="give the number of a frame, or 'previous'"):
        add_comparison(viewer, one, other, frame=frame)


def test_pickers_follow_data_of_other_axes(open_dock: Any, images: Any) -> None:
    viewer, dock = open_dock()
    before = dock.panel.pickers.boxes[0]
    ways = [before.itemText(index) for index in range(before.count())]
    assert "first frame of a" not in ways
    viewer.layers["a"].data = np.stack(images)
    before.setCurrentText("first frame of a")
    assert before.currentText() == "first frame of a"
    viewer.layers["a"].data = images[0]
    assert before.currentText() == "a"
