"""Looking at the two images in six ways, and the view as it was found afterwards."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import dask.array as da
import numpy as np
import psutil
import pytest
from app_model.types import KeyBinding
from napari.components import ViewerModel
from napari.layers import Layer
from qtpy.QtCore import QEvent, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_image_diff import mixing
from napari_image_diff.widget.keys import ACTIONS, find_keys, keys_of_napari
from napari_image_diff.widget.looking import WAYS

MIXED = [way for way in WAYS if way != "side_by_side"]

KEYS = {way: ACTIONS[way].key for way in WAYS}


def view_of(viewer: Any) -> dict[str, Any]:
    """What a person sees, and works with, of a viewer."""
    camera, grid, text = viewer.scene.camera, viewer.canvas.grid, viewer.canvas.overlays.text
    names = ("visible", "opacity", "blending", "mode", "name")
    shades = ("contrast_limits", "contrast_limits_range", "gamma")
    return {
        "layers": [{name: getattr(layer, name) for name in names} for layer in viewer.layers],
        "shades": [[getattr(layer, name, None) for name in shades] for layer in viewer.layers],
        "overlays": [layer.name_overlay.visible for layer in viewer.layers],
        "selection": {layer.name for layer in viewer.layers.selection},
        "active": getattr(viewer.layers.selection.active, "name", None),
        "grid": grid.model_dump(),
        "text": (text.text, text.visible, text.position),
        "camera": (camera.center, camera.zoom, camera.angles, camera.mouse_pan, camera.mouse_zoom),
        "dims": viewer.dims.model_dump(),
    }


def press(viewer: Any, key: str) -> Callable[[], None] | None:
    return viewer.__wrapped__.keymap[KeyBinding.from_str(key)](viewer.__wrapped__)


def mixture(viewer: Any) -> Any:
    """The layer that shows both images in one picture."""
    return viewer.layers["a and b"]


def picture(layer: Any, level: int = 0) -> np.ndarray:
    return np.asarray(layer.data[level])


def draw(viewer: Any) -> None:
    """Wait until the canvas is drawn."""
    drawn: list[Any] = []
    canvas = viewer.__wrapped__.window._qt_viewer.canvas._scene_canvas
    canvas.events.draw.connect(drawn.append)
    canvas.update()
    while not drawn:
        QApplication.processEvents()


def gray(picture: np.ndarray) -> np.ndarray:
    return picture[..., 0]


def handlers(viewer: Any) -> dict[str, int]:
    """How many callbacks the viewer and what it is made of have; dead ones napari puts away with the next layer."""
    gc.collect()
    viewer.layers.insert(0, type(viewer.layers[0].__wrapped__)(np.zeros((2, 2)), name="purge"))
    viewer.layers.pop(0)
    sources = {
        "viewer": viewer,
        "layers": viewer.layers,
        "selection": viewer.layers.selection,
        "dims": viewer.dims,
        "camera": viewer.scene.camera,
        "cursor": viewer.cursor,
        "grid": viewer.canvas.grid,
        **{layer.name: layer for layer in viewer.layers},
    }
    found = {name: sum(map(count_alive, source.events.emitters.values())) for name, source in sources.items()}
    return found | {"drags": len(viewer.mouse_drag_callbacks), "keys": len(viewer.keymap)}


def count_alive(emitter: Any) -> int:
    return sum(not isinstance(callback, tuple) or callback[0]() is not None for callback in emitter.callbacks)


def things() -> Counter[str]:
    """How many layers and pictures there are, shown or forgotten somewhere."""
    gc.collect()
    kinds = (Layer, mixing.Mixing, mixing.Mixture, QTimer)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))


# ---------------------------------------------------------------- each way, and back


@pytest.mark.parametrize("way", WAYS)
def test_each_way_gives_the_view_back_as_it_found_it(compared: Any, way: str) -> None:
    viewer, dock = compared()
    viewer.layers["diff map"].visible = False
    viewer.layers.selection = [viewer.layers["b"], viewer.layers["a"]]
    viewer.canvas.overlays.text.text = "mine"
    viewer.canvas.grid.stride, viewer.canvas.grid.enabled = 3, True
    found = view_of(viewer)
    button = dock.panel.ways.buttons[way]
    button.click()
    assert dock.looker.way == way
    assert button.isChecked()
    assert [other for other, each in dock.panel.ways.buttons.items() if each.isChecked()] == [way]
    assert view_of(viewer) != found
    assert (dock.panel.pickers.before.name, dock.panel.pickers.after.name) == ("a", "b")
    assert [layer.name for layer in dock.panel.pickers.offered] == ["a", "b"]
    assert viewer.canvas.grid.enabled == (way == "side_by_side")
    button.click()
    assert not button.isChecked()
    assert view_of(viewer) == found
    # From one way to each of the others
    for other in WAYS:
        dock.panel.ways.buttons[other].click()
    dock.panel.ways.buttons[other].click()
    assert view_of(viewer) == found


@pytest.mark.parametrize("way", WAYS)
def test_keys_do_what_the_buttons_do(compared: Any, way: str) -> None:
    viewer, dock = compared(show=True)
    found = view_of(viewer)
    press(viewer, KEYS[way])
    assert dock.looker.way == way
    assert KEYS[way] in dock.panel.ways.buttons[way].toolTip()
    if way == "blink":
        dock.panel.ways.buttons[way].click()
    else:
        press(viewer, KEYS[way])
    assert dock.looker.way == ""
    assert view_of(viewer) == found


@pytest.mark.parametrize("way", WAYS)
def test_what_the_user_changed_meanwhile_stays(compared: Any, way: str) -> None:
    viewer, dock = compared()
    dock.looker.toggle(way)
    viewer.layers["b"].contrast_limits = (3, 99)
    viewer.scene.camera.zoom = 7.5
    points = viewer.add_points([[5, 5]], name="mine")
    viewer.layers["filled mask"].visible = True
    dock.looker.toggle(way)
    assert list(viewer.layers["b"].contrast_limits) == [3, 99]
    assert viewer.scene.camera.zoom == 7.5
    assert points in viewer.layers
    assert viewer.layers["filled mask"].visible
    assert [layer.visible for layer in viewer.layers] == [True] * 6


@pytest.mark.parametrize("way", WAYS)
def test_a_way_ends_when_what_it_shows_is_gone(qtbot: Any, compared: Any, way: str) -> None:
    viewer, dock = compared()
    dock.looker.toggle(way)
    viewer.layers.remove("b")
    qtbot.waitUntil(lambda: not dock.looker.way)
    assert all(layer.visible for layer in viewer.layers)
    assert len(viewer.layers) == 4
    assert not viewer.canvas.grid.enabled


@pytest.mark.parametrize("way", WAYS)
def test_a_way_ends_when_somebody_takes_out_its_layer(qtbot: Any, compared: Any, way: str) -> None:
    viewer, dock = compared()
    found = view_of(viewer)
    dock.looker.toggle(way)
    del viewer.layers[-1 if way == "side_by_side" else "a and b"]
    qtbot.waitUntil(lambda: not dock.looker.way)
    assert view_of(viewer) == found


def test_a_way_ends_with_the_dock(compared: Any) -> None:
    viewer, dock = compared(show=True)
    found = view_of(viewer)
    for way in WAYS:
        dock.looker.toggle(way)
    dock.looker.blink(10)
    dock.show_alike(True)
    viewer.window.remove_dock_widget(dock)
    assert view_of(viewer) == found
    assert not dock.looker.blinking


def test_another_pair_ends_it(qtbot: Any, compared: Any) -> None:
    viewer, dock = compared()
    viewer.add_image(np.zeros((120, 160), np.uint8), name="c")
    dock.looker.toggle("swipe")
    dock.panel.pickers.pick(viewer.layers["a"], viewer.layers["c"].__wrapped__)
    dock._sync()
    qtbot.waitUntil(lambda: not dock.looker.way)


def test_fifty_times_leave_nothing_behind(compared: Any) -> None:
    viewer, dock = compared()

    def look() -> None:
        # Each but the last one gives way to another
        for way in WAYS:
            dock.looker.toggle(way)
        dock.looker.leave()

    def add_and_remove() -> None:
        # As many of each kind as the ways have
        gray, colour = np.zeros((120, 160), np.float32), np.zeros((120, 160, 4), np.uint8)
        for _ in range(2):
            viewer.layers.remove(viewer.add_image(gray))
            viewer.layers.remove(viewer.add_vectors(np.zeros((12, 2, 2))))
            viewer.layers.remove(viewer.add_image([colour, colour[::2, ::2], colour[::4, ::4]], rgb=True))
            viewer.layers.remove(viewer.add_image(gray[:1, :1]))
        viewer.layers.remove(viewer.add_image([gray, gray[::2, ::2], gray[::4, ::4]]))

    def grow(action: Callable[[], None], turns: int) -> float:
        """Return by how many bytes the process grows each time."""
        gc.collect()
        begin = psutil.Process().memory_info().rss
        for _ in range(turns):
            action()
        gc.collect()
        return (psutil.Process().memory_info().rss - begin) / turns

    look()
    found, view, there = handlers(viewer), view_of(viewer), things()
    ours = grow(look, 50)
    assert things() == there
    assert handlers(viewer) == found
    assert view_of(viewer) == view
    # napari 0.9.2 keeps one or two megabytes of every layer that was ever shown
    theirs = grow(add_and_remove, 10)
    assert ours < 1.25 * theirs + 1e6, (ours, theirs)


def test_fifty_docks_leave_no_handler_behind(qtbot: Any, open_dock: Any) -> None:
    viewer, dock = open_dock()
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    QApplication.processEvents()
    gc.collect()
    found = handlers(viewer)
    for _ in range(50):
        _, dock = open_dock(viewer, settle=False)
        dock.looker.toggle("swipe")
        viewer.window.remove_dock_widget(dock)
        dock.deleteLater()
        del dock
        QApplication.processEvents()
    gc.collect()
    now = handlers(viewer)
    assert all(now[name] <= found[name] for name in found), (now, found)


# ---------------------------------------------------------------- what is seen


def test_blink_shows_one_and_then_the_other(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    for name in "ab":
        viewer.layers[name].contrast_limits = (0, 255)
    ways = dock.panel.ways
    ways.buttons["blink"].click()
    layer = mixture(viewer)
    for which, name in enumerate("abab"):
        np.testing.assert_array_equal(gray(picture(layer)), images[which % 2])
        assert viewer.canvas.overlays.text.text == f"{('before', 'after')[which % 2]}: {name}"
        assert ways.flip_button.text() == ("Before is shown", "After is shown")[which % 2]
        ways.flip_button.click()


def test_a_key_that_is_held_shows_the_other_for_a_glance(compared: Any) -> None:
    viewer, dock = compared(show=True)
    press(viewer, KEYS["blink"])
    assert (dock.looker.way, dock.looker.which) == ("blink", 0)
    release = press(viewer, KEYS["blink"])
    assert dock.looker.which == 1
    release()
    assert dock.looker.which == 0
    # Let go at once, it stays
    press(viewer, KEYS["blink"])
    assert dock.looker.which == 1
    dock.looker.toggle("blink")
    release()
    assert dock.looker.way == ""


def test_a_timer_blinks_until_it_is_ended(qtbot: Any, compared: Any) -> None:
    _, dock = compared()
    ways = dock.panel.ways
    ways.buttons["blink"].click()
    shown: list[int] = []
    dock.looker.moved.connect(lambda: shown.append(dock.looker.which))
    ways.rate.setValue(10)
    ways.timer_box.click()
    qtbot.waitUntil(lambda: shown[-4:] in ([0, 1, 0, 1], [1, 0, 1, 0]))
    # Going through the regions goes on meanwhile
    for row in range(3):
        ways_row = dock.panel.table
        dock.tour.go_next()
        assert ways_row.position == row
    ways.timer_box.click()
    assert not dock.looker.blinking
    ways.timer_box.click()
    ways.buttons["blink"].click()
    assert not dock.looker.blinking
    assert not ways.timer_box.isChecked()


def test_swipe_shows_before_up_to_the_line_and_after_beyond(compared: Any, images: Any) -> None:
    viewer, dock = compared(show=True)
    for name in "ab":
        viewer.layers[name].contrast_limits = (0, 255)
    ways = dock.panel.ways
    ways.buttons["swipe"].click()
    layer, line = mixture(viewer), viewer.layers["swipe line"]
    for place in 300, 500, 700:
        ways.line.setValue(place)
        found = gray(picture(layer))
        cut = round(line.data_to_world((0, 0))[1] + 0.5)
        np.testing.assert_array_equal(found[:, :cut], images[0][:, :cut])
        np.testing.assert_array_equal(found[:, cut:], images[1][:, cut:])
        # In the canvas the line stands where the slider does
        width = viewer.canvas.size[1]
        center, zoom = viewer.scene.camera.center[-1], viewer.scene.camera.zoom
        assert (cut - 0.5 - center) * zoom / width + 0.5 == pytest.approx(place / 1000, abs=0.51 * zoom / width)
    ways.across_box.click()
    ways.line.setValue(400)
    cut = round(line.data_to_world((0, 0))[0] + 0.5)
    found = gray(picture(layer))
    np.testing.assert_array_equal(found[:cut], images[0][:cut])
    np.testing.assert_array_equal(found[cut:], images[1][cut:])
    assert 0 < cut < 120


def test_the_line_stays_in_its_place_on_the_screen(compared: Any) -> None:
    viewer, dock = compared(show=True)
    dock.looker.toggle("swipe")
    line, camera = viewer.layers["swipe line"], viewer.scene.camera
    for center, zoom in ((60, 40), 8.0), ((30, 100), 3.0), ((90, 20), 12.0):
        camera.center, camera.zoom = (0, *center), zoom
        assert line.data_to_world((0, 0))[1] == pytest.approx(center[1], abs=0.51)
        assert line.scale[1] * zoom == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("across", [False, True])
def test_the_line_is_dragged_in_the_canvas(qtbot: Any, compared: Any, across: bool) -> None:
    viewer, dock = compared(show=True)
    native = viewer.__wrapped__.window._qt_viewer.canvas.native
    dock.looker.toggle("swipe")
    dock.looker.turn(across)
    camera = viewer.scene.camera
    center, size = camera.center, (native.width(), native.height())
    axis = int(across)

    def drag(begin: float, end: float) -> None:
        for kind, share in ("Press", begin), ("Move", (begin + end) / 2), ("Move", end), ("Release", end):
            place = [size[0] / 3, size[1] / 3]
            place[axis] = round(share * size[axis])
            here, button, none = QPointF(*place), Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
            event = QMouseEvent(
                getattr(QEvent.Type, "MouseMove" if kind == "Move" else f"MouseButton{kind}"),
                here,
                QPointF(native.mapToGlobal(here.toPoint())),
                none if kind == "Move" else button,
                none if kind == "Release" else button,
                Qt.KeyboardModifier.NoModifier,
            )
            QApplication.sendEvent(native, event)

    drag(0.5, 0.7)
    assert dock.looker.cut == pytest.approx(0.7, abs=0.01)
    assert dock.panel.ways.line.value() == pytest.approx(700, abs=10)
    # napari tells of the camera when it draws
    draw(viewer)
    assert camera.center == center
    assert camera.mouse_pan
    # Elsewhere the image is moved as ever, and the line stays in its place
    drag(0.2, 0.3)
    assert dock.looker.cut == pytest.approx(0.7, abs=0.01)
    qtbot.waitUntil(lambda: camera.center != center)


def test_overlay_and_signed_difference(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    for name in "ab":
        viewer.layers[name].contrast_limits = (0, 255)
    before, after = images
    dock.looker.toggle("overlay")
    np.testing.assert_array_equal(picture(mixture(viewer))[..., :3], np.dstack([before, after, before]))
    dock.looker.toggle("signed")
    layer = mixture(viewer)
    np.testing.assert_array_equal(picture(layer), after.astype(np.float32) - before)
    low, high = layer.contrast_limits
    assert low == -high < 0
    np.testing.assert_allclose(layer.colormap.map([0.0, 0.5, 1.0])[:, :3], [[1, 0.2, 1], [0, 0, 0], [0.2, 1, 0.2]])


def test_squares_have_the_side_that_is_set(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    for name in "ab":
        viewer.layers[name].contrast_limits = (0, 255)
    dock.looker.toggle("checkerboard")
    rows, cols = np.indices(images[0].shape)
    for tile in 64, 10:
        dock.panel.ways.tile.setValue(tile)
        wanted = np.where((rows // tile + cols // tile) % 2, images[1], images[0])
        np.testing.assert_array_equal(gray(picture(mixture(viewer))), wanted)


def test_side_by_side_is_two_tiles_with_names_and_boxes(compared: Any) -> None:
    viewer, dock = compared()
    dock.looker.toggle("side_by_side")
    shown = [layer for layer in viewer.layers if layer.visible]
    grid = viewer.canvas.grid
    assert grid.enabled
    assert grid.actual_shape(viewer.layers) == (1, 2)
    tiles = {
        position[1]: [viewer.layers[index].name for index in layers if viewer.layers[index].visible]
        for position, layers in grid.iter_viewboxes(viewer.layers)
    }
    assert tiles == {0: ["before: a", "before: boxes"], 1: ["after: b", "after: boxes"]}
    assert [layer.name for layer in shown if layer.name_overlay.visible] == ["after: b", "before: a"]
    for name in "ab":
        copy = next(layer for layer in shown if layer.name.endswith(f": {name}"))
        assert copy.data is viewer.layers[name].data
        viewer.layers[name].contrast_limits = (20, 100)
        assert list(copy.contrast_limits) == [20, 100]


def test_the_region_gone_to_is_marked_in_both_tiles(compared: Any) -> None:
    viewer, dock = compared()
    dock.looker.toggle("side_by_side")
    for label in 1, 2, 3:
        dock.tour.go_next()
        for name in "before: boxes", "after: boxes":
            lines = viewer.layers[name]
            white = (lines.edge_color[:, :3] == 1).all(axis=1)
            assert set(lines.features["label"][white]) == {label}
            box = dock._comparison.regions.set_index("label").loc[label]
            corners = lines.data[white, 0]
            ends = [box["min_row"], box["min_col"], box["max_row"], box["max_col"]]
            assert [*corners.min(axis=0), *corners.max(axis=0)] == [end - 0.5 for end in ends]


@pytest.mark.parametrize("way", WAYS)
def test_frames_are_followed_while_one_looks(
    qtbot: Any, open_dock: Any, make_napari_viewer_proxy: Any, way: str
) -> None:
    viewer = make_napari_viewer_proxy()
    stack = np.random.default_rng(1).integers(90, 100, (3, 80, 90), dtype=np.uint8)
    after = stack.copy()
    after[:, 20:40, 30:50] = 220
    after[1, 60:70, 60:80] = 220
    viewer.add_image(stack, name="a")
    viewer.add_image(after, name="b")
    _, dock = open_dock(viewer)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    dock.looker.toggle(way)
    viewer.dims.set_point(0, 1)
    for box in range(2):
        # A result of one frame, and then that of all again
        with qtbot.waitSignal(dock.follower.found) if not box else nullcontext():
            (dock.panel.compare_button if box else dock.panel.follow_box).click()
        qtbot.waitUntil(lambda: not dock.running)
        assert dock.looker.way == way
        shown = {layer.name for layer in viewer.layers if layer.visible}
        assert not shown & {"a", "b", "diff map", "filled mask"}
        if way == "side_by_side":
            assert len(viewer.layers["after: boxes"].data) == 4 * len(dock._comparison.regions)
    dock.looker.toggle(way)
    assert [layer.name for layer in viewer.layers] == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    assert all(layer.visible for layer in viewer.layers)


def test_boxes_follow_another_cut(qtbot: Any, compared: Any) -> None:
    viewer, dock = compared()
    dock.looker.toggle("side_by_side")
    assert len(viewer.layers["after: boxes"].data) == 12
    dock.panel.controls.min_area.setValue(300)
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers["after: boxes"].data) == 4 * len(dock._comparison.regions) < 12
    assert dock.looker.way == "side_by_side"


@pytest.mark.parametrize("way", MIXED)
def test_boxes_that_were_seen_are_seen_over_the_picture(compared: Any, way: str) -> None:
    viewer, dock = compared()
    dock.looker.toggle(way)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown[-1] == "bounding boxes"
    assert len(shown) == (3 if way == "swipe" else 2)
    dock.looker.toggle(way)
    viewer.layers["bounding boxes"].visible = False
    dock.looker.toggle(way)
    assert "bounding boxes" not in [layer.name for layer in viewer.layers if layer.visible]


@pytest.mark.parametrize("way", WAYS)
def test_a_comparison_meanwhile_leaves_one_looking(qtbot: Any, open_dock: Any, way: str) -> None:
    viewer, dock = open_dock()
    dock.looker.toggle(way)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.looker.way == way
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert not {"diff map", "filled mask", "a", "b"} & set(shown)
    dock.looker.toggle(way)
    assert [layer.name for layer in viewer.layers] == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    assert all(layer.visible for layer in viewer.layers)


def test_each_side_has_its_own_contrast_and_follows_it(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    viewer.layers["a"].contrast_limits, viewer.layers["b"].contrast_limits = (0, 255), (100, 200)
    dock.looker.toggle("blink")
    layer = mixture(viewer)
    np.testing.assert_array_equal(gray(picture(layer)), images[0])
    viewer.layers["a"].contrast_limits = (50, 200)
    wanted = ((images[0].astype(float) - 50) / 150).clip(0, 1) * 255
    np.testing.assert_allclose(gray(picture(layer)), wanted, atol=1)
    viewer.layers["a"].colormap = "green"
    assert gray(picture(layer)).max() == 0
    dock.looker.flip()
    wanted = ((images[1].astype(float) - 100) / 100).clip(0, 1) * 255
    np.testing.assert_allclose(gray(picture(layer)), wanted, atol=1)


def test_other_data_are_shown(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    dock.looker.toggle("signed")
    layer = mixture(viewer)
    viewer.layers["b"].data = images[0] + np.uint8(3)
    assert (picture(layer) == 3).all()


def test_on_the_screen_it_is_what_the_layer_alone_shows(compared: Any) -> None:
    viewer, dock = compared(show=True)
    rows, cols = np.mgrid[:120, :160]
    for name, data in (("a", rows + cols / 2), ("b", 200 - cols)):
        # Soft, because a pixel of the screen may be on either side of where two pixels of an image meet
        viewer.layers[name].data = data.astype(np.uint8)
        viewer.layers[name].colormap, viewer.layers[name].contrast_limits = "viridis", (10, 230)
    # The canvas gets its last size when everything has been shown once
    dock.looker.toggle("swipe")
    viewer.screenshot(flash=False)
    dock.looker.toggle("swipe")
    shots = {}
    for name in "ab":
        for layer in viewer.layers:
            layer.visible = layer.name == name
        shots[name] = viewer.screenshot(canvas_only=True, flash=False).astype(int)
    dock.looker.toggle("swipe")
    viewer.layers["swipe line"].visible = viewer.canvas.overlays.text.visible = False
    found = viewer.screenshot(canvas_only=True, flash=False).astype(int)
    assert found.shape == shots["a"].shape
    middle, width = found.shape[1] // 2, 12
    np.testing.assert_allclose(found[:, : middle - width], shots["a"][:, : middle - width], atol=8)
    np.testing.assert_allclose(found[:, middle + width :], shots["b"][:, middle + width :], atol=8)
    assert np.abs(shots["a"] - shots["b"]).max() > 50


def test_a_layer_can_be_hidden_right_after(open_dock: Any) -> None:
    # Graphics crashed, and this process with it, where two layers were gone and nothing had been drawn since
    viewer, dock = open_dock(show=True)
    for _ in range(3):
        for way in "swipe", "side_by_side":
            dock.looker.toggle(way)
            draw(viewer)
            dock.looker.leave()
            viewer.layers["b"].visible = False
            draw(viewer)
            viewer.layers["b"].visible = True
            draw(viewer)


# ---------------------------------------------------------------- any layers


def test_frames_of_stacks_are_those_on_the_screen(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    stack = np.random.default_rng(1).integers(0, 200, (4, 40, 50), dtype=np.uint8)
    viewer.add_image(stack, name="a")
    viewer.add_image(stack + np.arange(4, dtype=np.uint8)[:, None, None], name="b")
    _, dock = open_dock(viewer)
    dock.looker.toggle("signed")
    layer = mixture(viewer)
    assert layer.ndim == 3
    for frame in 0, 3, 2:
        viewer.dims.set_point(0, frame)
        assert np.unique(layer.__wrapped__._slice.image.raw).tolist() == [frame]
    # Sliders stay where the user has moved them
    for way in ["signed", *WAYS]:
        dock.looker.toggle(way)
        assert viewer.dims.point[0] == 2


def test_a_plane_against_a_stack_and_a_stack_against_itself(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    plane = np.full((40, 50), 10, np.uint8)
    stack = np.stack([plane + 1, plane + 5, plane + 9])
    viewer.add_image(stack, name="b")
    _, dock = open_dock(viewer)
    assert dock.panel.pickers.way == "first frame of "
    dock.looker.toggle("signed")
    assert [float(picture(viewer.layers["b and b"])[frame].max()) for frame in range(3)] == [0, 4, 8]
    dock.looker.toggle("signed")
    dock.panel.pickers.pick(viewer.layers["b"].__wrapped__, viewer.layers["b"].__wrapped__, "previous frame of ")
    dock._sync()
    dock.looker.toggle("signed")
    assert [float(picture(viewer.layers["b and b"])[frame].max()) for frame in range(3)] == [0, 4, 4]
    dock.looker.toggle("signed")
    viewer.add_image(plane, name="a")
    dock.panel.pickers.pick(viewer.layers["a"].__wrapped__, viewer.layers["b"].__wrapped__)
    dock._sync()
    for way in WAYS:
        dock.looker.toggle(way)
    dock.looker.toggle("signed")
    assert [float(picture(mixture(viewer))[frame].max()) for frame in range(3)] == [1, 5, 9]


@pytest.mark.parametrize("way", WAYS)
def test_layers_in_colour_and_in_chunks(open_dock: Any, make_napari_viewer_proxy: Any, way: str) -> None:
    viewer = make_napari_viewer_proxy()
    image = np.random.default_rng(1).integers(0, 255, (256, 300, 3), dtype=np.uint8)
    chunks = da.from_array(image, chunks=(100, 100, 3))
    viewer.add_image(image, name="a", rgb=True)
    viewer.add_image([chunks, chunks[::2, ::2]], name="b", rgb=True, multiscale=True)
    _, dock = open_dock(viewer)
    found = view_of(viewer)
    dock.looker.toggle(way)
    assert dock.looker.way == way
    if way == "signed":
        assert not picture(mixture(viewer)).any()
    elif way != "side_by_side":
        shown = picture(mixture(viewer))
        assert shown.shape == (256, 300, 4)
        if way != "overlay":
            different = (shown[..., :3] != image).any(axis=(0, 2))
            # Where pixels are small, a column of them is the line
            assert different.sum() <= (way == "swipe")
    dock.looker.toggle(way)
    assert view_of(viewer) == found


def test_after_is_seen_where_it_lies(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    rows, cols = np.mgrid[:60, :80]
    viewer.add_image((2.0 * rows + cols).astype(np.float32), name="a", scale=(0.5, 0.5), translate=(3, 4))
    # World row = 1.0 * row + 1, so that a's row r is b's row (0.5 r + 3 - 1) / 1
    world_rows, world_cols = np.mgrid[:40, :60] + np.array([1.0, 2.0])[:, None, None]
    there = 2.0 * (world_rows - 3) / 0.5 + (world_cols - 4) / 0.5
    viewer.add_image((there + 7).astype(np.float32), name="b", translate=(1, 2))
    _, dock = open_dock(viewer)
    dock.looker.toggle("signed")
    layer = mixture(viewer)
    np.testing.assert_allclose(picture(layer), 7, atol=0.3)
    for position in (3, 4), (20, 30):
        np.testing.assert_allclose(layer.data_to_world(position), viewer.layers["a"].data_to_world(position))


def test_volumes_in_the_3d_view_lie_side_by_side_only(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    for name in "ab":
        viewer.add_image(np.random.default_rng(1).random((8, 30, 40)), name=name)
    _, dock = open_dock(viewer)
    dock.looker.toggle("swipe")
    viewer.dims.ndisplay = 3
    assert dock.looker.way == ""
    dock.looker.toggle("swipe")
    assert dock.looker.way == ""
    assert "2-D view" in dock.panel.notice.text()
    assert not dock.panel.ways.buttons["swipe"].isChecked()
    dock.looker.toggle("side_by_side")
    assert dock.looker.way == "side_by_side"
    assert "2-D view" not in dock.panel.notice.text()
    dock.looker.toggle("side_by_side")


def test_without_two_images_there_is_nothing_to_look_at(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    _, dock = open_dock(viewer)
    for way, button in dock.panel.ways.buttons.items():
        button.click()
        assert not button.isChecked(), way
    assert "two images" in dock.panel.notice.text()


def test_gray_and_colour_cannot_be_subtracted(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((40, 50), np.uint8), name="a")
    viewer.add_image(np.zeros((40, 50, 3), np.uint8), name="b", rgb=True)
    _, dock = open_dock(viewer)
    dock.looker.toggle("signed")
    assert dock.looker.way == ""
    assert "overlay" in dock.panel.notice.text()
    dock.looker.toggle("overlay")
    assert dock.looker.way == "overlay"


# ---------------------------------------------------------------- same contrast, values, keys


def test_one_contrast_for_both_and_each_its_own_again(compared: Any) -> None:
    viewer, dock = compared()
    one, other = viewer.layers["a"], viewer.layers["b"]
    one.contrast_limits, other.contrast_limits, other.gamma = (50, 100), (90, 240), 1.5
    found = view_of(viewer)
    box = dock.panel.ways.same_contrast
    box.click()
    assert list(one.contrast_limits) == list(other.contrast_limits) == [50, 240]
    assert one.gamma == other.gamma == 1
    other.contrast_limits = (60, 200)
    one.gamma = 0.5
    assert list(one.contrast_limits) == [60, 200]
    assert other.gamma == 0.5
    one.opacity, one.colormap = 0.5, "green"
    assert other.opacity == 1
    assert other.colormap.name == "gray"
    one.opacity, one.colormap = 1, "gray"
    box.click()
    assert view_of(viewer) == found
    one.contrast_limits = (1, 2)
    assert list(other.contrast_limits) == [90, 240]


def test_one_contrast_ends_with_the_pair_and_is_none_of_colour(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.zeros((40, 50), np.uint8), name="a", contrast_limits=(0, 10))
    viewer.add_image(np.zeros((40, 50), np.uint16), name="b", contrast_limits=(5, 6000))
    _, dock = open_dock(viewer)
    box = dock.panel.ways.same_contrast
    box.click()
    assert list(viewer.layers["a"].contrast_limits) == [0, 6000]
    viewer.add_image(np.zeros((40, 50, 3), np.uint8), name="c", rgb=True)
    dock.panel.pickers.pick(viewer.layers["a"].__wrapped__, viewer.layers["c"].__wrapped__)
    dock._sync()
    assert list(viewer.layers["a"].contrast_limits) == [0, 10]
    assert not box.isChecked()
    assert not box.isEnabled()


def test_values_under_the_pointer(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    values = dock.panel.ways.values
    viewer.layers["a"].visible = False
    difference = dock._comparison.difference
    for row, col in (17, 25), (100, 150):
        viewer.cursor.position = (row + 0.3, col - 0.2)
        shown = f"before {images[0][row, col]}  after {images[1][row, col]}  difference {difference[row, col]:.4g}"
        assert values.text() == shown
    viewer.cursor.position = (-5, 3)
    assert values.text() == ""


def test_values_of_colour_and_of_a_smaller_image(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.full((40, 50, 3), (1, 2, 3), np.uint8), name="a", rgb=True)
    viewer.add_image(np.full((10, 10), 0.25, np.float32), name="b")
    _, dock = open_dock(viewer)
    viewer.cursor.position = (5, 5)
    assert dock.panel.ways.values.text() == "before (1, 2, 3)  after 0.25"
    viewer.cursor.position = (20, 5)
    assert dock.panel.ways.values.text() == "before (1, 2, 3)  after –"


def test_no_key_is_one_of_naparis() -> None:
    taken = keys_of_napari()
    # That they are found at all
    for key in "M", "Ctrl+G", "Shift+V", "Space":
        assert KeyBinding.from_str(key) in taken
    assert KeyBinding.from_str("Shift+Up") in {*ViewerModel.class_keymap} <= {*taken}
    keys = [KeyBinding.from_str(action.key) for action in ACTIONS.values()]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(taken)
    assert find_keys() == ({name: action.key for name, action in ACTIONS.items()}, "")


def test_the_row_fits_a_narrow_dock_in_which_nothing_moves(compared: Any) -> None:
    _, dock = compared(show=True)
    sizes = set()
    for way in WAYS:
        dock.looker.toggle(way)
        QApplication.processEvents()
        hint = dock.panel.ways.minimumSizeHint()
        sizes.add((hint.width(), hint.height()))
    assert len(sizes) == 1
    assert dock.minimumSizeHint().width() <= 320
