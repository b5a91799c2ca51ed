"""Verdicts and notes in the window: by button and key, in table and layers, over other cuts and runs, in a file."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_model.types import KeyBinding
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from napari_image_diff import add_comparison, read_review
from napari_image_diff.widget.keys import ACTIONS
from napari_image_diff.widget.reviewing import review_of
from napari_image_diff.widget.work import Result

Wait = Callable[[], None]


@pytest.fixture
def wait(qtbot: Any) -> Callable[[Any], None]:
    """Wait until nothing is under way in a dock."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: not dock.running and "review" not in dock._runs, timeout=20_000)

    return wait


def press(viewer: Any, name: str) -> None:
    viewer.__wrapped__.keymap[KeyBinding.from_str(ACTIONS[name].key)](viewer.__wrapped__)


def verdicts(dock: Any) -> list[str]:
    return dock._comparison.regions["verdict"].tolist()


def notes(dock: Any) -> list[str]:
    return dock._comparison.regions["note"].tolist()


def notice(dock: Any) -> str:
    # There are places where long words may be broken
    return dock.panel.notice.text().replace("\u200b", "")


def buttons_down(dock: Any) -> list[str]:
    return [verdict for verdict, button in dock.panel.review.buttons.items() if button.isChecked()]


def type_note(qtbot: Any, dock: Any, text: str, *, enter: bool = True) -> None:
    line = dock.panel.review.note
    line.setFocus()
    line.clear()
    # Qt's tests have no keys for other letters
    qtbot.keyClicks(line, text[:3])
    line.insert(text[3:])
    if enter:
        qtbot.keyClick(line, Qt.Key.Key_Return)
    else:
        line.setModified(True)


def test_every_region_is_open_at_first(compared: Any) -> None:
    viewer, dock = compared()
    assert verdicts(dock) == ["open"] * 3
    assert notes(dock) == [""] * 3
    assert viewer.layers["filled mask"].features["verdict"].tolist()[1:] == ["open"] * 3
    assert viewer.layers["bounding boxes"].features["verdict"].tolist() == ["open"] * 3
    assert not any(button.isEnabled() for button in dock.panel.review.buttons.values())
    assert not dock.panel.review.note.isEnabled()


def test_two_keys_go_through_all_regions(compared: Any) -> None:
    viewer, dock = compared(show=True)
    press(viewer, "next_region")
    assert buttons_down(dock) == ["open"]
    press(viewer, "real")
    assert (verdicts(dock), dock.panel.table.label) == (["real", "open", "open"], 2)
    press(viewer, "not_real")
    assert (verdicts(dock), dock.panel.table.label) == (["real", "not real", "open"], 3)
    assert dock.panel.position.text() == "3 of 3, 1 open"
    press(viewer, "real")
    assert verdicts(dock) == ["real", "not real", "real"]
    assert dock.panel.table.label == 3
    assert "open any more" in notice(dock)
    assert dock.panel.position.text() == "3 of 3, 0 open"
    press(viewer, "open")
    assert verdicts(dock)[2] == "open"
    assert dock.panel.table.label == 3
    for layer, rows in (("filled mask", slice(1, None)), ("bounding boxes", slice(None))):
        assert viewer.layers[layer].features["verdict"].tolist()[rows] == ["real", "not real", "open"]


def test_buttons_do_what_keys_do_and_name_them(compared: Any) -> None:
    _, dock = compared(show=True)
    dock.tour.go_next()
    for name, verdict in (("real", "real"), ("not_real", "not real"), ("open", "open")):
        assert f"({ACTIONS[name].key})" in dock.panel.review.buttons[verdict].toolTip()
    dock.panel.review.buttons["not real"].click()
    assert verdicts(dock) == ["not real", "open", "open"]
    assert dock.panel.table.label == 2
    assert buttons_down(dock) == ["open"]
    dock.tour.go_previous()
    assert buttons_down(dock) == ["not real"]


def test_the_next_open_one_comes_in_the_order_of_the_table(compared: Any) -> None:
    _, dock = compared()
    table = dock.panel.table
    area = [table.model().headerData(column, Qt.Orientation.Horizontal) for column in range(6)].index("Area")
    table.sortByColumn(area, Qt.SortOrder.DescendingOrder)
    order = [table.model().label_at(row) for row in range(3)]
    assert order != [1, 2, 3]
    dock.tour.go_next()
    for label in order:
        assert table.label == label
        dock.act("real")


def test_a_verdict_leaves_mark_boxes_and_layers_alone(compared: Any) -> None:
    viewer, dock = compared(show=True)
    dock.tour.go_next()
    layers = list(viewer.layers)
    labels, boxes = viewer.layers["filled mask"].data, viewer.layers["bounding boxes"].data
    viewer.layers["bounding boxes"].edge_width = 5
    camera = viewer.scene.camera.center, viewer.scene.camera.zoom
    dock.act("open")
    assert list(viewer.layers) == layers
    assert viewer.layers["filled mask"].data is labels
    assert all(one is other for one, other in zip(viewer.layers["bounding boxes"].data, boxes, strict=True))
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == camera
    assert (viewer.layers["bounding boxes"].edge_color[0] == 1).all()
    assert dock.panel.table.label == 1


def test_a_note_is_kept_with_enter_and_when_another_region_is_gone_to(qtbot: Any, compared: Any) -> None:
    viewer, dock = compared(show=True)
    dock.tour.go_next()
    press(viewer, "note")
    type_note(qtbot, dock, "=a hair, perhaps; 'ü'")
    assert notes(dock) == ["=a hair, perhaps; 'ü'", "", ""]
    line = dock.panel.review.note
    dock.tour.go_next()
    assert line.text() == ""
    line.setFocus()
    qtbot.keyClicks(line, "dust")
    dock.tour.go_next()
    line.editingFinished.emit()
    assert notes(dock)[2] == ""
    dock.tour.go_previous()
    dock.tour.go_previous()
    assert line.text() == "=a hair, perhaps; 'ü'"
    assert viewer.layers["filled mask"].features["note"].tolist()[1] == "=a hair, perhaps; 'ü'"


def test_a_note_begun_is_not_lost_when_a_key_goes_on(qtbot: Any, compared: Any) -> None:
    _, dock = compared(show=True)
    dock.tour.go_next()
    line = dock.panel.review.note
    line.setFocus()
    qtbot.keyClicks(line, "dust")
    dock.panel.next_button.click()
    assert notes(dock) == ["dust", "", ""]
    assert line.text() == ""


def test_verdicts_outlive_other_cuts(qtbot: Any, compared: Any, wait: Any) -> None:
    _, dock = compared()
    dock.tour.go_next()
    for name in "real", "not_real", "real":
        dock.act(name)
    dock.panel.controls.min_area.setValue(300)
    wait(dock)
    assert verdicts(dock) == ["not real", "real"]
    dock.panel.controls.min_area.setValue(-1)
    wait(dock)
    assert verdicts(dock) == ["real", "not real", "real"]


def test_verdicts_outlive_a_second_run_and_the_dock(qtbot: Any, compared: Any, open_dock: Any, wait: Any) -> None:
    viewer, dock = compared()
    dock.tour.go_next()
    for name in "real", "not_real":
        dock.act(name)
    dock.panel.compare_button.click()
    wait(dock)
    assert verdicts(dock) == ["real", "not real", "open"]
    viewer.window.remove_dock_widget(dock)
    _, other = open_dock(viewer)
    assert verdicts(other) == ["real", "not real", "open"]
    other.panel.compare_button.click()
    wait(other)
    assert verdicts(other) == ["real", "not real", "open"]


def test_what_is_decided_while_a_run_is_under_way_counts(qtbot: Any, compared: Any, gate: Any, wait: Any) -> None:
    gate.open()
    viewer, dock = compared()
    gate.close()
    dock.tour.go_next()
    dock.panel.compare_button.click()
    qtbot.waitUntil(gate.entered.is_set)
    dock.act("not_real")
    gate.open()
    wait(dock)
    assert verdicts(dock) == ["not real", "open", "open"]
    assert viewer.layers["filled mask"].features["verdict"].tolist()[1:] == ["not real", "open", "open"]


def test_a_note_begun_while_a_run_is_under_way_stays_with_its_region(
    qtbot: Any, compared: Any, gate: Any, wait: Any
) -> None:
    gate.open()
    viewer, dock = compared()
    gate.close()
    dock.panel.table.go_to(3)
    place = dock._comparison.regions["min_row"].iloc[2]
    # Without the first two regions the third one has another number
    image = viewer.layers["b"].data.copy()
    for row in dock._comparison.regions.iloc[:2].itertuples():
        image[row.min_row : row.max_row, row.min_col : row.max_col] = viewer.layers["a"].data[
            row.min_row : row.max_row, row.min_col : row.max_col
        ]
    viewer.layers["b"].data = image
    dock.panel.compare_button.click()
    qtbot.waitUntil(gate.entered.is_set)
    type_note(qtbot, dock, "third", enter=False)
    gate.open()
    wait(dock)
    told = dock._comparison.regions.set_index("min_row")["note"]
    assert len(told) < 3
    assert told[place] == "third"
    assert [note for note in told if note] == ["third"]


def test_a_note_begun_as_another_pair_is_picked_is_shown_again(qtbot: Any, compared: Any) -> None:
    viewer, dock = compared()
    viewer.add_image(np.zeros((20, 30)), name="c")
    dock.tour.go_next()
    type_note(qtbot, dock, "mine", enter=False)
    pickers, layers = dock.panel.pickers, [viewer.layers[name].__wrapped__ for name in "abc"]
    pickers.pick(layers[2], layers[1])
    dock._sync()
    pickers.pick(*layers[:2])
    dock._sync()
    assert notes(dock)[0] == "mine"
    assert viewer.layers["filled mask"].features["note"][1] == "mine"


def test_what_is_decided_after_a_run_and_before_it_is_shown_counts(compared: Any) -> None:
    viewer, dock = compared()
    result = Result.of(dock._comparison, *dock._pair)
    dock.tour.go_next()
    dock.act("not_real")
    dock._take_cut(result)
    assert verdicts(dock) == ["not real", "open", "open"]
    assert viewer.layers["filled mask"].features["verdict"].tolist()[1:] == ["not real", "open", "open"]


def test_each_pair_has_a_review_of_its_own(compared: Any, wait: Any) -> None:
    viewer, dock = compared()
    dock.tour.go_next()
    dock.act("real")
    viewer.add_image(viewer.layers["b"].data.copy(), name="c")
    pair = [viewer.layers[name].__wrapped__ for name in "ac"]
    dock.panel.pickers.pick(*pair)
    dock._sync()
    dock.panel.compare_button.click()
    wait(dock)
    assert verdicts(dock) == ["open"] * 3
    dock.panel.pickers.pick(pair[0], viewer.layers["b"].__wrapped__)
    dock._sync()
    assert verdicts(dock) == ["real", "open", "open"]


def test_a_result_of_a_script_can_be_reviewed(open_dock: Any) -> None:
    viewer, dock = open_dock()
    add_comparison(viewer.__wrapped__, viewer.layers["a"], viewer.layers["b"])
    dock._sync()
    assert verdicts(dock) == ["open"] * 3
    dock.tour.go_next()
    dock.act("real")
    assert viewer.layers["bounding boxes"].features["verdict"].tolist() == ["real", "open", "open"]


def test_reviews_do_not_keep_layers_alive(compared: Any) -> None:
    viewer, dock = compared()
    dock.tour.go_next()
    dock.act("real")
    from napari_image_diff.widget import reviewing

    count = len(reviewing._reviews)
    viewer.layers.clear()
    QApplication.processEvents()
    gc.collect()
    assert len(reviewing._reviews) < count


# ---------------------------------------------------------------- filter


def test_the_filter_leaves_what_meets_it(compared: Any) -> None:
    _, dock = compared()
    dock.tour.go_next()
    dock.act("real")
    dock.panel.filter.setText("verdict = open")
    table = dock.panel.table
    assert [table.model().label_at(row) for row in range(table.count)] == [2, 3]
    assert dock.panel.position.text() == "1 of 2, 2 open"
    # What meets it no more goes, and the next one comes
    dock.act("not_real")
    assert [table.model().label_at(row) for row in range(table.count)] == [3]
    assert table.label == 3
    dock.panel.filter.setText("area > 1e9")
    assert dock.panel.position.text() == "0 of 3 regions, 1 open"
    dock.panel.filter.setText("size > 3")
    assert "no column 'size'" in notice(dock)
    dock.panel.filter.setText("area > 300")
    assert "size" not in notice(dock)
    assert [table.model().label_at(row) for row in range(table.count)] == [2, 3]
    dock.tour.go_next()
    dock.tour.go_next()
    assert table.label in (2, 3)
    dock.panel.filter.clear()
    assert table.count == 3


# ---------------------------------------------------------------- ignoring, saving, opening


def test_all_that_are_not_real_can_be_ignored(compared: Any, wait: Any) -> None:
    viewer, dock = compared()
    action = next(action for action in dock.panel.review_button.menu().actions() if "Ignore" in action.text())
    action.trigger()
    assert "not real" in notice(dock)
    dock.tour.go_next()
    for name in "not_real", "real", "not_real":
        dock.act(name)
    labels = dock._comparison.labels.copy()
    action.trigger()
    wait(dock)
    assert len(dock._comparison.regions) == 1
    assert verdicts(dock) == ["real"]
    np.testing.assert_array_equal(viewer.layers["ignore"].data > 0, (labels == 1) | (labels == 3))
    assert dock.panel.pickers.ignore.layer.name == "ignore"


def save(monkeypatch: pytest.MonkeyPatch, qtbot: Any, dock: Any, place: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(place), ""))
    menu = dock.panel.export_button.menu()
    next(action for action in menu.actions() if action.text().startswith("Review")).trigger()
    qtbot.waitUntil(lambda: not dock.exporter.running)


def open_saved(monkeypatch: pytest.MonkeyPatch, dock: Any, place: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args, **kwargs: (str(place), ""))
    next(action for action in dock.panel.review_button.menu().actions() if "Open" in action.text()).trigger()


def test_a_review_is_saved_and_opened_again(
    monkeypatch: pytest.MonkeyPatch, qtbot: Any, compared: Any, open_dock: Any, wait: Any, tmp_path: Path
) -> None:
    _, dock = compared()
    dock.tour.go_next()
    for name in "real", "not_real":
        dock.act(name)
    type_note(qtbot, dock, "dust")
    dock.panel.controls.number.setValue(0.9)
    wait(dock)
    before = verdicts(dock), notes(dock), dock._comparison.settings
    save(monkeypatch, qtbot, dock, tmp_path / "kept.json")
    assert f"Saved {tmp_path / 'kept.json'}" in notice(dock)
    saved = json.loads((tmp_path / "kept.json").read_text())
    assert saved["counts"] == {"open": 1, "real": 1, "not real": 1}
    assert saved["images"]["before"]["name"] == "a"
    assert len(read_review(tmp_path / "kept.json").review) == 3
    # Another day: other layers of the same images
    viewer, other = open_dock()
    open_saved(monkeypatch, other, tmp_path / "kept.json")
    wait(other)
    assert (verdicts(other), notes(other), other._comparison.settings) == before
    assert notice(other) == ""
    # And of other ones
    viewer.layers["b"].data = viewer.layers["b"].data[::-1].copy()
    wait(other)
    other.tour.go_next()
    other.act("real")
    decided = verdicts(other)
    # That what was decided goes may be, and that the images are others may not
    monkeypatch.setattr("napari_image_diff.widget.reviewing.confirm", lambda *args: "other images" not in args[2])
    open_saved(monkeypatch, other, tmp_path / "kept.json")
    wait(other)
    assert notice(other).startswith("Not opened. The review is of other images")
    assert verdicts(other) == decided
    monkeypatch.setattr("napari_image_diff.widget.reviewing.confirm", lambda *args: True)
    open_saved(monkeypatch, other, tmp_path / "kept.json")
    wait(other)
    assert "The review is of other images" in notice(other)
    assert notice(other).startswith("The review")


def test_a_review_that_is_there_is_not_replaced_unasked(
    monkeypatch: pytest.MonkeyPatch, qtbot: Any, compared: Any, wait: Any, tmp_path: Path
) -> None:
    viewer, dock = compared()
    save(monkeypatch, qtbot, dock, tmp_path / "empty.json")
    dock.tour.go_next()
    dock.act("real")
    kept = review_of(*dock._pair)
    monkeypatch.setattr(QMessageBox, "question", lambda *args, **kwargs: QMessageBox.StandardButton.No)
    open_saved(monkeypatch, dock, tmp_path / "empty.json")
    wait(dock)
    assert review_of(*dock._pair) is kept
    assert verdicts(dock) == ["real", "open", "open"]
    monkeypatch.setattr(QMessageBox, "question", lambda *args, **kwargs: QMessageBox.StandardButton.Yes)
    open_saved(monkeypatch, dock, tmp_path / "empty.json")
    wait(dock)
    assert verdicts(dock) == ["open"] * 3
    assert len(viewer.layers) == 5


@pytest.mark.parametrize("content", ["", "[]", '{"format": "napari-image-diff review", "version": 99}', "\0" * 100])
def test_a_broken_file_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, compared: Any, wait: Any, tmp_path: Path, content: str
) -> None:
    _, dock = compared()
    (tmp_path / "broken.json").write_text(content)
    settings = dock.panel.read_settings()
    open_saved(monkeypatch, dock, tmp_path / "broken.json")
    wait(dock)
    assert "broken.json" in notice(dock)
    assert dock.panel.read_settings() == settings
    open_saved(monkeypatch, dock, tmp_path / "missing.json")
    wait(dock)
    assert "missing.json" in notice(dock)


def test_frames_that_are_followed_share_the_review_of_the_stack(
    qtbot: Any, open_dock: Any, make_napari_viewer_proxy: Any, wait: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    stack = np.random.default_rng(1).integers(90, 100, (3, 80, 90), dtype=np.uint8)
    after = stack.copy()
    for frame in range(3):
        after[frame, 20 + frame : 40, 30:50] = 220
    viewer.add_image(stack, name="a")
    viewer.add_image(after, name="b")
    _, dock = open_dock(viewer)
    dock.panel.compare_button.click()
    wait(dock)
    assert verdicts(dock) == ["open"] * 3
    dock.tour.go_next()
    dock.act("real")
    viewer.dims.set_point(0, 1)
    with qtbot.waitSignal(dock.follower.found):
        dock.panel.follow_box.click()
    wait(dock)
    assert verdicts(dock) == ["open"]
    dock.tour.go_next()
    dock.act("not_real")
    dock.panel.compare_button.click()
    wait(dock)
    assert verdicts(dock) == ["real", "not real", "open"]
