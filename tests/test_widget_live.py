"""Following the viewer: what is on the screen is compared as it changes; switched off, it leaves nothing."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from conftest import choose_preset

import napari_image_diff.comparison as room
from napari_image_diff import compare
from napari_image_diff.widget.running import Run

ROLES = ["diff map", "filled mask", "bounding boxes"]
PLACE = {"scale": (3.0, 0.5, 0.25), "translate": (10.0, 4.0, 2.0)}


@pytest.fixture
def movies(images: Any) -> tuple[np.ndarray, np.ndarray]:
    """Five frames; of the second movie, each one has one more of the changes of `images`."""
    random = np.random.default_rng(1)
    before = np.stack([images[0]] * 5).astype(float)
    after = before.copy()
    for frame in range(1, 5):
        rows = slice(0, (0, 30, 75, 120, 120)[frame])
        after[frame, rows] = images[1][rows]
    one, other = (
        np.clip(stack + random.normal(0, 1, stack.shape), 0, 255).astype(np.uint8) for stack in (before, after)
    )
    return one, other


@pytest.fixture
def compared_pairs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """Collect what is compared from now on."""
    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    real = room.compare

    def noted(before: Any, after: Any, *args: Any, **kwargs: Any) -> Any:
        pairs.append((before, after))
        return real(before, after, *args, **kwargs)

    monkeypatch.setattr(room, "compare", noted)
    return pairs


@pytest.fixture(autouse=True)
def no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_image_diff.widget.dock.warm_up", lambda progress: None)


@pytest.fixture
def following(open_dock: Any, qtbot: Any) -> Any:
    """Open a dock on images of which each may be a stack, and follow the viewer."""

    def following(*stacks: np.ndarray, show: bool = False, wait: bool = True, **place: Any) -> Any:
        viewer, dock = open_dock(show=show)
        if stacks:
            del viewer.layers[:]
            for name, stack in zip("ab", stacks, strict=False):
                viewer.add_image(stack.copy(), name=name, **place)
        dock.panel.follow_box.setChecked(True)
        qtbot.waitUntil(lambda: not wait or not dock.running, timeout=20_000)
        return viewer, dock

    return following


def settle(dock: Any, qtbot: Any) -> None:
    assert dock.running
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def found(dock: Any) -> list[Any]:
    """Return a list that fills with the results that are shown from now on."""
    results: list[Any] = []
    dock.follower.found.connect(lambda result: results.append(result.comparison.resolved.get("shown", "")))
    return results


def handlers(viewer: Any) -> list[int]:
    real = viewer.__wrapped__
    emitters = [real.dims.events.point, real.dims.events.ndisplay, real.dims.events.order]
    for name in "ab":
        if name in real.layers:
            emitters += [real.layers[name].events.data, real.layers[name].events.set_data]
    return [len(emitter.callbacks) for emitter in emitters]


# ---------------------------------------------------------------- what is shown


def test_the_frame_on_the_screen_is_compared(following: Any, qtbot: Any, movies: Any) -> None:
    viewer, dock = following(*movies, **PLACE)
    user = [viewer.layers[name].__wrapped__ for name in "ab"]
    viewer.layers.selection = [user[0]]
    arrays, camera = [layer.data for layer in user], viewer.scene.camera.model_dump()
    for frame, count in (3, 3), (1, 1), (0, 0), (2, 2):
        viewer.dims.set_current_step(0, frame)
        settle(dock, qtbot)
        expected = compare(movies[0][frame], movies[1][frame])
        np.testing.assert_array_equal(viewer.layers["filled mask"].data, expected.labels)
        np.testing.assert_array_equal(viewer.layers["diff map"].data, expected.difference)
        assert dock.panel.table.model().rowCount() == viewer.layers["bounding boxes"].nshapes == count
        assert dock.panel.result.text().startswith(f"Frame {frame} of 0 to 4: score")
        assert (
            viewer.layers["diff map"].metadata["napari-image-diff"]["resolved"]["shown"] == f"frame {frame} of 0 to 4"
        )
        assert viewer.dims.current_step[0] == frame
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES]
    for role in ROLES:
        np.testing.assert_array_equal(viewer.layers[role].scale, PLACE["scale"][1:])
        np.testing.assert_array_equal(viewer.layers[role].translate, PLACE["translate"][1:])
    for layer, movie in zip(user, movies, strict=True):
        np.testing.assert_array_equal(layer.data, movie)
    assert all(layer.data is array for layer, array in zip(user, arrays, strict=True))
    assert viewer.scene.camera.model_dump() == camera
    assert [layer.name for layer in viewer.layers.selection] == ["a"]


def test_nothing_is_compared_without_a_change(following: Any, qtbot: Any, movies: Any, compared_pairs: Any) -> None:
    viewer, dock = following(*movies, show=True)
    assert len(compared_pairs) == 1
    for frame in 0, 4:
        viewer.dims.set_current_step(0, frame)
        settle(dock, qtbot)
        viewer.screenshot(flash=False)
        assert not dock.running
    dock.enterEvent(None)
    assert not dock.running
    assert len(compared_pairs) == 3
    assert all(one.base is None and one.ndim == 2 for pair in compared_pairs for one in pair)


def test_data_and_what_is_written_into_them_are_followed(following: Any, qtbot: Any, images: Any, movies: Any) -> None:
    viewer, dock = following()
    rows = dock.panel.table.model().rowCount
    assert rows() == 3
    viewer.layers["b"].data = images[0].copy()
    settle(dock, qtbot)
    assert rows() == 0
    viewer.layers["b"].data[30:50, 30:50] = 220
    viewer.layers["b"].refresh()
    settle(dock, qtbot)
    assert rows() == 1
    assert dock.panel.notice.text() == ""
    assert dock.panel.result.text().startswith("Score")
    # a plane against frames of several axes, and a layer that the user has taken out
    viewer.layers.remove("diff map")
    viewer.layers["b"].data = np.stack(movies)
    settle(dock, qtbot)
    viewer.dims.set_current_step((0, 1), (1, 3))
    settle(dock, qtbot)
    assert dock.panel.result.text().startswith("Frame (1, 3) of (0, 0) to (1, 4): ")
    assert rows() == 3
    assert [layer.name for layer in viewer.layers] == ["a", "b", *ROLES[1:]]


def test_a_movie_is_followed_against_frames_of_its_own(
    following: Any, qtbot: Any, movies: Any, compared_pairs: Any
) -> None:
    viewer, dock = following(movies[1], wait=False)
    for way in "first", "previous", "shown":
        viewer.dims.set_current_step(0, 2)
        dock.panel.pickers.boxes[0].setCurrentText(f"{way} frame of a")
        qtbot.waitUntil(lambda: not dock.running)
        for frame in 3, 0:
            viewer.dims.set_current_step(0, frame)
            settle(dock, qtbot)
            other = {"first": 0, "previous": max(frame - 1, 0), "shown": 2}[way]
            np.testing.assert_array_equal(compared_pairs[-1][0], movies[1][other])
            np.testing.assert_array_equal(compared_pairs[-1][1], movies[1][frame])
            against = "" if other == frame else f", against frame {other} of 'a'"
            assert dock.panel.result.text().startswith(f"Frame {frame} of 0 to 4{against}: ")


def test_settings_and_masks_count(following: Any, qtbot: Any, movies: Any) -> None:
    viewer, dock = following(*movies)
    viewer.dims.set_current_step(0, 3)
    settle(dock, qtbot)
    choose_preset(dock, "Classic")
    settle(dock, qtbot)
    assert "(Otsu)" in dock.panel.result.text()
    choose_preset(dock, "Detect")
    settle(dock, qtbot)
    mask = np.zeros(movies[0].shape, np.uint8)
    mask[3, :40] = 1
    viewer.add_labels(mask, name="mask")
    dock.panel.pickers.ignore.setCurrentText("mask")
    settle(dock, qtbot)
    rows = dock.panel.table.model().rowCount
    assert rows() == 2
    viewer.layers["mask"].data_setitem(np.nonzero(np.ones_like(mask[:, :75])), 1)
    settle(dock, qtbot)
    assert rows() == 1
    viewer.layers["mask"].data = np.zeros_like(mask)
    settle(dock, qtbot)
    assert rows() == 3
    dock.panel.table.step(1)
    dock.panel.ignore_button.click()
    settle(dock, qtbot)
    assert rows() == 2
    assert dock.panel.follow_box.isChecked()


def test_compare_brings_back_the_whole_stack(following: Any, qtbot: Any, movies: Any) -> None:
    viewer, dock = following(*movies)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert not dock.panel.follow_box.isChecked()
    assert [viewer.layers[role].ndim for role in ROLES] == [3] * 3
    assert dock.panel.result.text().startswith("5 frames")
    assert dock.panel.notice.text() == ""
    viewer.dims.set_current_step(0, 2)
    assert not dock.running
    dock.panel.follow_box.setChecked(True)
    settle(dock, qtbot)
    assert [viewer.layers[role].ndim for role in ROLES] == [2] * 3
    assert len(viewer.layers) == 5


# ---------------------------------------------------------------- what comes late


def test_what_comes_late(following: Any, qtbot: Any, movies: Any, gate: Any) -> None:
    viewer, dock = following(*movies, wait=False)
    shown = found(dock)
    qtbot.waitUntil(gate.entered.is_set)
    for frame in 1, 2, 4, 3:
        viewer.dims.set_current_step(0, frame)
    gate.open()
    settle(dock, qtbot)
    # dropped, since the right one came next
    assert shown == ["frame 3 of 0 to 4"]
    gate.close()
    for frame in 0, 1, 2, 4:
        gate.entered.clear()
        viewer.dims.set_current_step(0, frame)
        gate.open()
        qtbot.waitUntil(gate.entered.is_set)
        gate.close()
        viewer.dims.set_current_step(0, 3)
    gate.open()
    settle(dock, qtbot)
    # one late result after the other is shown, but for the first, until the viewer rests
    assert len(shown) > 2
    assert shown[-1] == "frame 3 of 0 to 4"
    gate.close()
    gate.entered.clear()
    viewer.dims.set_current_step(0, 1)
    qtbot.waitUntil(gate.entered.is_set)
    dock.panel.follow_box.setChecked(False)
    assert not dock.running
    qtbot.waitUntil(lambda: gate.left.is_set() and not Run.any_under_way())
    assert shown[-1] == "frame 3 of 0 to 4"


def test_playing_is_followed(following: Any, qtbot: Any, movies: Any) -> None:
    viewer, dock = following(*movies, show=True)
    shown = found(dock)
    qt_dims = viewer.__wrapped__.window._qt_viewer.dims
    qt_dims.play(0, 20)
    qtbot.waitUntil(lambda: len(shown) > 4, timeout=20_000)
    qt_dims.stop()
    qtbot.waitUntil(lambda: not qt_dims.is_playing and not dock.running, timeout=20_000)
    assert shown[-1] == f"frame {viewer.dims.current_step[0]} of 0 to 4"


# ---------------------------------------------------------------- errors


def test_errors_are_told_and_following_goes_on(following: Any, qtbot: Any, images: Any, movies: Any) -> None:
    viewer, dock = following(movies[0], movies[1][:3])
    assert dock.panel.notice.text() == ""
    assert not dock.panel.compare_button.isEnabled()
    viewer.dims.set_current_step(0, 4)
    settle(dock, qtbot)
    assert "'b' has 3 frames and none where the sliders are" in dock.panel.notice.text()
    assert dock.panel.result.text().startswith("Frame 2 of 0 to 2: ")
    viewer.dims.set_current_step(0, 1)
    settle(dock, qtbot)
    assert dock.panel.notice.text() == ""
    assert dock.panel.table.model().rowCount() == 1
    viewer.dims.ndisplay = 3
    settle(dock, qtbot)
    assert "No single frame of 'a' is on the screen" in dock.panel.notice.text()
    viewer.dims.ndisplay = 2
    settle(dock, qtbot)
    assert dock.panel.notice.text() == ""
    viewer.dims.order = (1, 0, 2)
    settle(dock, qtbot)
    assert "No single frame of 'a'" in dock.panel.notice.text()
    viewer.dims.order = (0, 1, 2)
    viewer.layers["b"].data = movies[1][:, :100]
    settle(dock, qtbot)
    assert "'b' 5 x 100 x 160" in dock.panel.notice.text()
    dock.panel.form.fields["size"].value = "overlap"
    settle(dock, qtbot)
    assert dock.panel.notice.text() == ""
    assert viewer.layers["diff map"].data.shape == (100, 160)
    for name in "ab":
        viewer.layers[name].data = images[0][:5, :5]
    settle(dock, qtbot)
    assert "win_size" in dock.panel.notice.text()
    for name, image in zip("ab", images, strict=True):
        viewer.layers[name].data = image
    settle(dock, qtbot)
    assert dock.panel.result.text().startswith("Score")
    assert dock.panel.table.model().rowCount() == 3
    # each layer is asked for what is on the screen, wherever it lies
    for name, movie in zip("ab", movies, strict=True):
        viewer.layers[name].data = movie
    viewer.layers["b"].translate = (1, 0, 0)
    viewer.dims.set_current_step(0, 4)
    settle(dock, qtbot)
    assert dock.panel.result.text().startswith("Frame 3 of 0 to 4, against frame 4 of 'a': ")


# ---------------------------------------------------------------- nothing is left


def test_switching_off_leaves_the_last_result(open_dock: Any, qtbot: Any, movies: Any) -> None:
    viewer, dock = open_dock()
    for name, movie in zip("ab", movies, strict=True):
        viewer.layers[name].data = movie
    before = handlers(viewer)
    dock.panel.follow_box.setChecked(True)
    viewer.dims.set_current_step(0, 3)
    settle(dock, qtbot)
    assert handlers(viewer) != before
    dock.panel.follow_box.setChecked(False)
    assert handlers(viewer) == before
    assert "the last result stays" in dock.panel.notice.text()
    assert "The result is of frame 3 of 0 to 4 alone. Press Compare for all frames." in dock.panel.notice.text()
    viewer.dims.set_current_step(0, 0)
    viewer.layers["b"].refresh()
    assert not dock.running
    assert dock.panel.table.model().rowCount() == 3
    dock.panel.controls.number.setValue(0.5)
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.result.text().startswith("Frame 3 of 0 to 4: ")


def test_a_hidden_dock_does_not_follow(following: Any, qtbot: Any, movies: Any, compared_pairs: Any) -> None:
    viewer, dock = following(*movies, show=True)
    before = handlers(viewer)
    dock.parent().hide()
    assert max(np.subtract(handlers(viewer), before)) < 0
    viewer.dims.set_current_step(0, 3)
    viewer.layers["b"].refresh()
    assert not dock.running
    assert len(compared_pairs) == 1
    dock.parent().show()
    settle(dock, qtbot)
    assert handlers(viewer) == before
    assert dock.panel.result.text().startswith("Frame 3 of 0 to 4: ")


def test_a_closed_dock_leaves_nothing(
    make_napari_viewer_proxy: Any, following: Any, open_dock: Any, qtbot: Any, images: Any, gate: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    for name, image in zip("ab", images, strict=True):
        viewer.add_image(image, name=name)
    before = handlers(viewer)
    _, dock = open_dock(viewer)
    dock.panel.follow_box.setChecked(True)
    gate.entered.clear()
    qtbot.waitUntil(gate.entered.is_set)
    dock.parent().destroyOnClose()
    qtbot.waitUntil(lambda: gate.left.is_set() and not Run.any_under_way())
    gone = weakref.ref(dock)
    del dock
    gc.collect()
    qtbot.waitUntil(lambda: gone() is None)
    viewer.layers["a"].data = images[1]
    viewer.layers["b"].data = images[1]
    viewer.dims.ndisplay = 3
    viewer.dims.order = (1, 0)
    viewer.dims.set_point(0, 3)
    assert np.less_equal(handlers(viewer), before).all()
    assert len(viewer.layers) == 2


def test_a_removed_layer_ends_the_run_and_another_pair_is_followed(
    following: Any, qtbot: Any, movies: Any, gate: Any
) -> None:
    viewer, dock = following(*movies, wait=False)
    qtbot.waitUntil(gate.entered.is_set)
    removed = weakref.ref(viewer.layers["b"].__wrapped__)
    viewer.layers.remove("b")
    viewer.add_image(movies[1][:, ::-1], name="c")
    dock.panel.pickers.boxes[0].setCurrentText("a")
    dock.panel.pickers.boxes[1].setCurrentText("c")
    gate.open()
    settle(dock, qtbot)
    assert [layer.name for layer in viewer.layers] == ["a", "c", *ROLES]
    gc.collect()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and removed() is None)
    del viewer.layers[:]
    assert "Open two images" in dock.panel.notice.text()
    qtbot.waitUntil(lambda: not dock.running)
