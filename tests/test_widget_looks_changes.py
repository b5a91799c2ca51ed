"""What a person does, and what else happens, while one looks; and layers that lie in unusual ways."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
from qtpy.QtWidgets import QApplication
from test_widget_looks import MIXED, mixture, picture, press, view_of

from napari_image_diff import compare
from napari_image_diff.overlaying import find_overlay, lay
from napari_image_diff.widget.keys import ACTIONS
from napari_image_diff.widget.looking import WAYS


def notice(dock: Any) -> str:
    return str(dock.panel.notice.text()).replace("\u200b", "")


@pytest.fixture
def looking_at(open_dock: Any, make_napari_viewer_proxy: Any) -> Any:
    """Open a dock on two layers."""

    def open_on(before: Any, after: Any, *places: dict[str, Any], show: bool = False) -> Any:
        viewer = make_napari_viewer_proxy(show=show)
        for name, data, place in zip("ab", (before, after), [*places, {}, {}], strict=False):
            viewer.add_image(data, name=name, contrast_limits=(0, 255), **place)
        return open_dock(viewer)

    return open_on


def ramp(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 200, shape, dtype=np.uint8)


# ---------------------------------------------------------------- layers that change


@pytest.mark.parametrize("way", ["side_by_side", "swipe", "signed"])
def test_a_layer_with_more_axes_may_come_and_go(compared: Any, way: str) -> None:
    viewer, dock = compared()
    found = view_of(viewer)
    dock.looker.toggle(way)
    viewer.add_image(np.zeros((5, 30, 40)), name="stack")
    dock.looker.leave()
    assert dock.looker.way == ""
    assert not dock.panel.ways.buttons[way].isChecked()
    viewer.layers.remove("stack")
    assert view_of(viewer)["layers"] == found["layers"]
    viewer.add_image(np.zeros((5, 30, 40)), name="stack")
    viewer.dims.set_point(0, 3)
    dock.looker.toggle(way)
    viewer.layers.remove("stack")
    dock.looker.leave()
    assert view_of(viewer)["layers"] == found["layers"]


def test_tiles_follow_their_layers(looking_at: Any, qtbot: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    dock.looker.toggle("side_by_side")
    other = ramp(60, 80)[::-1].copy()
    viewer.layers["b"].data = other
    assert viewer.layers["after: b"].data is other
    viewer.layers["b"].scale = (2, 2)
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["after: b"].scale, (2, 2)))
    viewer.layers["a"].name = "monday"
    qtbot.waitUntil(lambda: "before: monday" in viewer.layers)
    assert dock.looker.way == "side_by_side"


def test_tiles_end_where_a_layer_comes_between(looking_at: Any, qtbot: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    dock.looker.toggle("side_by_side")
    viewer.add_points([[5, 5]], name="mine")
    qtbot.waitUntil(lambda: not dock.looker.way)
    assert [layer.visible for layer in viewer.layers] == [True] * 3


@pytest.mark.parametrize("way", ["swipe", "signed"])
def test_a_mixture_follows_where_its_layers_lie(looking_at: Any, qtbot: Any, way: str) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    dock.looker.toggle(way)
    viewer.layers["a"].translate = (5, 7)
    qtbot.waitUntil(lambda: np.allclose(mixture(viewer).data_to_world((0, 0)), (5, 7)))
    viewer.layers["a"].data = ramp(90, 70)
    qtbot.waitUntil(lambda: mixture(viewer).data[0].shape[:2] == (90, 70))
    viewer.layers["b"].name = "c"
    qtbot.waitUntil(lambda: "c" in viewer.canvas.overlays.text.text)
    assert dock.looker.way == way


def test_what_the_user_sets_meanwhile_stays(looking_at: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80))
    dock.looker.toggle("overlay")
    text, grid = viewer.canvas.overlays.text, viewer.canvas.grid
    text.text, text.position, grid.enabled = "mine", "bottom_right", True
    viewer.layers.selection = [viewer.layers["a"]]
    viewer.layers["a"].gamma = 0.5
    dock.looker.leave()
    assert (text.text, text.position, grid.enabled) == ("mine", "bottom_right", True)
    assert [layer.name for layer in viewer.layers.selection] == ["a"]


@pytest.mark.parametrize("ways", [("side_by_side", "overlay"), ("blink", "side_by_side"), ("swipe", "swipe")])
def test_of_two_docks_one_looks(looking_at: Any, ways: tuple[str, str]) -> None:
    from napari_image_diff.widget import ComparisonWidget

    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80))
    other = ComparisonWidget(viewer)
    found = view_of(viewer)
    dock.looker.toggle(ways[0])
    other.looker.toggle(ways[1])
    assert dock.looker.way == ""
    dock.looker.leave()
    other.looker.leave()
    assert view_of(viewer) == found
    other.close()


def test_it_ends_where_the_dock_is_hidden(looking_at: Any, qtbot: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    found = view_of(viewer)
    dock.looker.toggle("blink")
    dock.looker.blink(5)
    dock.parent().hide()
    qtbot.waitUntil(lambda: not dock.looker.way)
    assert not dock.looker.blinking
    assert view_of(viewer) == found
    dock.parent().show()


def test_what_could_not_be_is_said_until_it_can(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    _, dock = open_dock(viewer)
    dock.looker.toggle("swipe")
    assert "Pick two images to look at first." in notice(dock)
    for name in "ab":
        viewer.add_image(ramp(30, 40), name=name)
    assert "look at first" not in notice(dock)


def test_what_cannot_be_read_is_said(looking_at: Any, qtbot: Any) -> None:
    def fail(block: Any) -> Any:
        raise OSError("disk gone")

    chunks = da.from_array(ramp(60, 80), chunks=30).map_blocks(fail, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    viewer, dock = looking_at(ramp(60, 80), chunks, {}, {"visible": False})
    for way in MIXED:
        dock.looker.toggle(way)
        found = picture(mixture(viewer))
        assert way in ("overlay", "signed") or not found[..., :3].all()
        qtbot.waitUntil(lambda: "A part of the images could not be read: disk gone." in notice(dock))
        dock.looker.leave()


def test_a_key_ends_any_way(looking_at: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    for way in WAYS:
        press(viewer, ACTIONS[way].key)
        assert dock.looker.way == way
        press(viewer, ACTIONS["leave"].key)
        assert dock.looker.way == ""


# ---------------------------------------------------------------- what is the user's


def test_a_link_of_the_user_stays(looking_at: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80))
    viewer.layers.link_layers([viewer.layers[name].__wrapped__ for name in "ab"], ["contrast_limits"])
    dock.show_alike(True)
    dock.show_alike(False)
    viewer.layers["a"].contrast_limits = (3, 9)
    viewer.layers["a"].gamma = 0.5
    assert list(viewer.layers["b"].contrast_limits) == [3, 9]
    assert viewer.layers["b"].gamma == 1


def test_a_key_of_the_user_stays(looking_at: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), show=True)
    mine = []
    viewer.bind_key("G", mine.append, overwrite=True)
    dock.parent().hide()
    press(viewer, "G")
    dock.parent().show()
    press(viewer, "G")
    assert len(mine) == 2
    assert dock.looker.way == ""
    assert "Keys that are bound to something else in this viewer stay so: G." in notice(dock)
    assert "(" not in dock.panel.ways.buttons["side_by_side"].toolTip()


# ---------------------------------------------------------------- where layers lie


@pytest.mark.parametrize(
    ("place", "first"),
    [
        ({}, "left: a"),
        ({"rotate": 180}, "right: a"),
        ({"scale": (1, -1)}, "right: a"),
        ({"rotate": 90}, "left: a"),
        ({"rotate": 270}, "right: a"),
    ],
)
def test_the_line_of_turned_layers_moves_and_names_its_sides(looking_at: Any, place: Any, first: str) -> None:
    dark, light = np.zeros((60, 60), np.uint8), np.full((60, 60), 255, np.uint8)
    viewer, dock = looking_at(dark, light, place, place, show=True)
    dock.looker.toggle("swipe")
    assert viewer.canvas.overlays.text.text.startswith(first)
    shares = []
    for cut in 0.3, 0.5, 0.7:
        dock.looker.swipe_to(cut)
        viewer.canvas.overlays.text.visible = False
        shot = viewer.screenshot(canvas_only=True, flash=False)[..., 0]
        middle = shot[shot.shape[0] // 2]
        # Of an image in the middle of a canvas; beyond it there is nothing
        at = int(cut * middle.size)
        shares.append((int(middle[at - 20]), int(middle[at + 20])))
    assert shares == [(0, 255) if first == "left: a" else (255, 0)] * 3


def test_volumes_against_stacks_of_volumes(looking_at: Any) -> None:
    before = np.zeros((4, 20, 30), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None]
    after = 10 * np.arange(1, 4, dtype=np.uint8)[:, None, None, None] + before
    viewer, dock = looking_at(before, after)
    for way in MIXED:
        dock.looker.toggle(way)
        picture(mixture(viewer))
    dock.looker.enter("signed")
    found = picture(mixture(viewer))
    assert found.shape == (3, 4, 20, 30)
    assert np.unique(found[1]).tolist() == [20]


def test_frames_looked_at_are_those_compared(looking_at: Any) -> None:
    frames = np.arange(6, dtype=np.uint8)[:, None, None]
    before, after = np.zeros((6, 20, 30), np.uint8) + frames, np.zeros((6, 20, 30), np.uint8) + 10 * frames
    viewer, dock = looking_at(before, after, {"scale": (1, 1, 1)}, {"scale": (2, 1, 1)})
    dock.looker.toggle("signed")
    layers = [viewer.layers[name].__wrapped__ for name in "ab"]
    laid = lay(find_overlay(*layers), (before, after), (False, False))
    np.testing.assert_array_equal(picture(mixture(viewer)), np.asarray(laid.after, np.float32) - before)


def test_tilted_volumes_are_not_mixed(looking_at: Any) -> None:
    volume = ramp(8, 30, 40)
    viewer, dock = looking_at(volume, volume)
    viewer.dims.ndisplay = 3
    viewer.layers["b"].rotate = (0, 20, 0)
    viewer.layers["b"].visible = False
    viewer.dims.ndisplay = 2
    dock.looker.toggle("signed")
    assert dock.looker.way == ""
    assert "'b' is tilted" in notice(dock) or "'a' is tilted" in notice(dock)


def test_by_index_is_looked_at_by_index(looking_at: Any, qtbot: Any) -> None:
    image = ramp(60, 80)
    viewer, dock = looking_at(image, image.copy(), {}, {"translate": (0, 10)}, show=True)
    dock.looker.toggle("signed")
    assert np.isnan(picture(mixture(viewer))).any()
    dock.panel.index_box.click()
    # One goes on looking in the same way
    qtbot.waitUntil(lambda: not np.isnan(picture(mixture(viewer))).any())
    assert dock.looker.way == "signed"
    assert not picture(mixture(viewer)).any()
    dock.looker.toggle("side_by_side")
    assert np.array_equal(viewer.layers["after: b"].translate, (0, 0))
    dock.looker.leave()
    viewer.cursor.position = (30, 50)
    words = dock.panel.ways.values.text().split()
    assert words[1] == words[3] == str(image[30, 50])


def test_units_do_not_make_it_coarse(looking_at: Any) -> None:
    image = ramp(480, 640)
    places = {"units": "um"}, {"units": "nm", "scale": (1000, 1000)}
    viewer, dock = looking_at(image, image, *places, show=True)
    viewer.reset_view()
    for way in ("blink", "signed"):
        dock.looker.enter(way)
        viewer.screenshot(canvas_only=True, flash=False)
        shown = mixture(viewer).__wrapped__._slice.image.raw.shape[:2]
        assert min(shown) >= 240
        np.testing.assert_allclose(mixture(viewer).extent.world[1], viewer.layers.extent.world[1], rtol=1e-2)


def test_units_that_do_not_go_together_are_no_obstacle(looking_at: Any) -> None:
    viewer, dock = looking_at(ramp(60, 80), ramp(60, 80), {"units": "um"}, {"units": "um"}, show=True)
    viewer.add_points([[5, 5]], units=("pixel", "pixel"), name="other")
    assert viewer.layers.extent.units is None
    for way in WAYS:
        dock.looker.enter(way)
        assert dock.looker.way == way
        viewer.screenshot(canvas_only=True, flash=False)


def test_tiles_show_the_frames_compared(looking_at: Any, qtbot: Any) -> None:
    stack = np.zeros((4, 20, 30), np.uint8) + 10 * np.arange(4, dtype=np.uint8)[:, None, None]
    viewer, dock = looking_at(stack, ramp(4, 20, 30), show=True)
    layer = viewer.layers["a"].__wrapped__
    for way, wanted in (("previous frame of ", [0, 10, 20]), ("first frame of ", [0, 0, 0])):
        dock.panel.pickers.pick(layer, layer, way)
        dock._sync()
        dock.looker.enter("side_by_side")
        shown = []
        for frame in 1, 2, 3:
            viewer.dims.set_point(0, frame)
            shown.append(
                [int(viewer.layers[f"{name}: a"].__wrapped__._slice.image.raw.max()) for name in ("before", "after")]
            )
        assert shown == [[one, 10 * frame] for frame, one in zip((1, 2, 3), wanted, strict=True)]
        dock.looker.leave()
    dock.panel.pickers.pick(layer, layer, "previous frame of ")
    dock._sync()
    dock.looker.enter("side_by_side")
    viewer.layers["a"].data = stack[::-1].copy()
    assert all(viewer.layers[f"{name}: a"].data is viewer.layers["a"].data for name in ("before", "after"))


def test_colour_is_subtracted_on_its_own_scale(open_dock: Any, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy()
    for name, level in (("a", 0.25), ("b", 0.75)):
        viewer.add_image(np.full((40, 50, 3), level, np.float32), name=name, rgb=True)
    _, dock = open_dock(viewer)
    dock.looker.toggle("signed")
    assert mixture(viewer).contrast_limits == [-0.25, 0.25]


def test_values_are_those_of_the_frames_compared(looking_at: Any) -> None:
    stack = np.zeros((3, 20, 30), np.uint8) + np.array([5, 7, 9], np.uint8)[:, None, None]
    viewer, dock = looking_at(stack, ramp(3, 20, 30))
    layer = viewer.layers["a"].__wrapped__
    for way, told in (("previous frame of ", "before 7  after 9"), ("first frame of ", "before 5  after 9")):
        dock.panel.pickers.pick(layer, layer, way)
        dock._sync()
        viewer.cursor.position = (0, 3, 3)
        viewer.cursor.position = (2, 3, 3)
        assert dock.panel.ways.values.text() == told


def test_tiles_are_in_sight(compared: Any) -> None:
    viewer, dock = compared(show=True)
    dock.tour.go_next()
    QApplication.processEvents()
    dock.looker.toggle("checkerboard")
    visible = min(viewer.canvas.size) / viewer.scene.camera.zoom
    assert 2 <= visible / dock.looker.tile <= 32
    assert dock.panel.ways.tile.value() == dock.looker.tile


def test_regions_of_which_one_image_has_nothing_are_subtracted(looking_at: Any) -> None:
    image = ramp(60, 80)
    viewer, dock = looking_at(image, image[:, :60])
    dock.looker.show(compare(image, image[:, :60], size="pad"))
    dock.looker.toggle("signed")
    assert np.nanmax(np.abs(picture(mixture(viewer)))) == 0
