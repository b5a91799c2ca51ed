"""The dock in a viewer, by what a person does with it."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest
from conftest import choose_preset
from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSlider,
    QTableView,
)

from napari_image_diff import Settings, add_comparison, boxes
from napari_image_diff.settings import describe_fields
from napari_image_diff.widget import compare_selected_layers
from napari_image_diff.widget.form import ELSEWHERE


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def offered(dock: Any) -> list[str]:
    box = dock.panel.pickers.boxes[0]
    return [box.itemText(index) for index in range(box.count())]


def picked(dock: Any) -> tuple[str, str]:
    before, after = dock.panel.pickers.boxes
    return before.currentText(), after.currentText()


# ---------------------------------------------------------------- how it looks


def test_every_control_has_a_tooltip(open_dock: Any) -> None:
    panel = open_dock()[1].panel
    controls = [
        control
        for kind in (QPushButton, QCheckBox, QSlider, QAbstractSpinBox, QComboBox, QProgressBar, QTableView)
        for control in panel.findChildren(kind)
        if control.parent() is not panel.table
    ]
    assert len(controls) > 20
    for control in [*controls, panel.notice, panel.result, panel.position]:
        assert control.toolTip(), control


def test_it_fits_a_narrow_dock(compared: Any) -> None:
    # In the font and with the margins of the window
    viewer, dock = compared(show=True)
    viewer.layers["a"].name = "a very long name " * 10
    dock.panel.advanced.expand(animate=False)
    assert dock.minimumSizeHint().width() <= 320
    assert dock.minimumSizeHint().height() < 400


def test_nothing_is_cut_off_at_the_right(compared: Any, qtbot: Any) -> None:
    _, dock = compared(show=True)

    def overhang() -> int:
        right = dock.mapToGlobal(dock.rect().topRight()).x()
        buttons = [button for button in dock.panel.findChildren(QPushButton) if button.isVisible()]
        return max(button.mapToGlobal(button.rect().topRight()).x() for button in buttons) - right

    dock.window().resizeDocks([dock.parent()], [10], Qt.Orientation.Horizontal)
    qtbot.waitUntil(lambda: overhang() <= 0)


def test_all_of_it_fits_a_small_screen(compared: Any, qtbot: Any) -> None:
    _, dock = compared(show=True)
    dock.window().resize(1280, 720)
    bar = dock.findChild(QScrollArea).verticalScrollBar()
    for way in dock.panel.ways.buttons:
        dock.looker.toggle(way)
        qtbot.waitUntil(lambda: dock.window().height() <= 720 and not bar.isVisible())
    # With a message, too
    dock._say("The settings have changed. Press Compare to use them.")
    qtbot.waitUntil(lambda: dock.panel.notice.isVisible() and not bar.isVisible())


def test_long_names_do_not_widen_the_dock(open_dock: Any) -> None:
    viewer, dock = open_dock(show=True)
    viewer.layers["a"].name = "x" * 5000
    viewer.add_image(np.zeros((9, 9)), name="y" * 5000)
    dock.panel.pickers.boxes[1].setCurrentIndex(2)
    assert "yyy" in dock.panel.notice.text()
    assert dock.minimumSizeHint().width() <= 320


# ---------------------------------------------------------------- which layers


def test_the_lower_layer_is_before(open_dock: Any) -> None:
    _, dock = open_dock()
    assert picked(dock) == ("a", "b")


def test_of_two_selected_layers_the_lower_is_before(make_napari_viewer_proxy: Any, open_dock: Any) -> None:
    viewer = make_napari_viewer_proxy()
    layers = [viewer.add_image(np.zeros((9, 9)), name=name) for name in "wxyz"]
    viewer.layers.selection = [layers[3], layers[1]]
    _, dock = open_dock(viewer)
    assert picked(dock) == ("x", "z")


def test_pickers_follow_the_layer_list(open_dock: Any, images: Any) -> None:
    viewer, dock = open_dock()
    viewer.add_labels(images[0])
    viewer.add_image(images[0], name="c")
    assert offered(dock) == ["a", "b", "c"]
    viewer.layers["b"].name = "renamed"
    assert offered(dock) == ["a", "renamed", "c"]
    assert picked(dock) == ("a", "renamed")
    viewer.layers.move(0, 3)
    assert offered(dock) == ["renamed", "a", "c"]
    assert picked(dock) == ("a", "renamed")
    viewer.layers.remove("a")
    assert picked(dock) == ("c", "renamed")
    viewer.layers.clear()
    assert picked(dock) == ("", "")


def test_our_results_are_never_offered(compared: Any) -> None:
    viewer, dock = compared()
    assert len(viewer.layers) == 5
    viewer.layers["diff map"].name = "renamed"
    assert offered(dock) == ["a", "b"]


def test_swap(open_dock: Any) -> None:
    _, dock = open_dock()
    dock.panel.pickers.swap_button.click()
    assert picked(dock) == ("b", "a")
    assert dock.panel.compare_button.isEnabled()


# ---------------------------------------------------------------- what stands in the way


def test_without_layers_it_says_what_to_do(make_napari_viewer_proxy: Any, open_dock: Any, images: Any) -> None:
    viewer, dock = open_dock(make_napari_viewer_proxy())
    panel = dock.panel
    assert "Open two images" in panel.notice.text()
    assert not panel.compare_button.isEnabled()
    viewer.add_image(images[0], name="one")
    assert "second image" in panel.notice.text()
    assert "'one'" in panel.notice.text()
    assert not panel.compare_button.isEnabled()
    viewer.add_image(images[1], name="two")
    assert panel.notice.text() == ""
    assert panel.compare_button.isEnabled()


def test_obstacles_stand_in_the_dock_before_compare_can_be_pressed(open_dock: Any, images: Any) -> None:
    viewer, dock = open_dock()
    viewer.add_image(images[0][:50], name="small")
    viewer.add_image(np.stack(images), name="stack")
    viewer.add_image(np.stack([*images, images[0]]), name="short")
    after = dock.panel.pickers.boxes[1]
    dock.panel.pickers.boxes[0].setCurrentText("stack")
    after.setCurrentText("short")
    assert "number of frames" in dock.panel.notice.text()
    dock.panel.pickers.boxes[0].setCurrentText("a")
    for name, words in ("small", "50 x 160"), ("a", "both 'a'"):
        after.setCurrentText(name)
        assert words in dock.panel.notice.text()
        assert not dock.panel.compare_button.isEnabled()
        dock.compare()
        assert not dock.running
    after.setCurrentText("b")
    assert dock.panel.compare_button.isEnabled()
    assert dock.panel.notice.text() == ""


# ---------------------------------------------------------------- comparing


def test_compare_shows_layers_table_and_result(compared: Any) -> None:
    viewer, dock = compared()
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    text = dock.panel.result.text()
    for words in "Score 0.", "3 regions", "% changed", "noise 0.", "dge tolerance 1 pixel", "data range 255":
        assert words in text
    assert dock.panel.verdict.text() == "Different."
    assert dock.panel.table.model().rowCount() == 3


def test_the_classic_way(compared: Any) -> None:
    viewer, dock = compared("Classic")
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    text = dock.panel.result.text()
    for words in "Score 0.", "3 regions", "% changed", "(Otsu)", "Data range 255":
        assert words in text
    assert dock.panel.table.model().rowCount() == 3
    assert dock.panel.controls.number.value() > 0
    assert dock.panel.controls.rule.currentText() == "Otsu"


def test_compare_again_updates_in_place(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    layers = list(viewer.layers)
    viewer.layers["b"].data[0:20, 100:140] = 250
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert list(viewer.layers) == layers
    assert dock.panel.table.model().rowCount() == 4


def test_no_difference_is_a_result(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    viewer.layers["b"].data = viewer.layers["a"].data.copy()
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert "identical" in dock.panel.result.text()
    assert dock.panel.position.text() == "0 regions"
    assert not dock.panel.next_button.isEnabled()


def test_multiscale_layers_are_compared_in_full(
    make_napari_viewer_proxy: Any, open_dock: Any, qtbot: Any, images: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    for image in images:
        viewer.add_image([image, image[::2, ::2]], multiscale=True)
    _, dock = open_dock(viewer)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert viewer.layers["filled mask"].data.shape == images[0].shape


def test_settings_of_the_form_are_used(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    dock.panel.form.fields["win_size"].value = 11
    dock.panel.form.fields["window"].value = "uniform"
    dock.panel.controls.min_area.setValue(500)
    dock.panel.controls.rule.setCurrentText("Number")
    dock.panel.controls.number.setValue(0.4)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    record = viewer.layers["diff map"].metadata["napari-image-diff"]["settings"]
    assert (record["win_size"], record["min_area"], record["threshold"]) == (11, 500, 0.4)


def test_what_the_engine_refuses_is_said(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    dock.panel.form.fields["win_size"].value = 181
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert "181 x 181" in dock.panel.notice.text()
    assert len(viewer.layers) == 2
    assert dock.panel.compare_button.isEnabled()


def test_what_nobody_foresaw_is_said_and_logged(
    open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _, dock = open_dock()

    def fail(*args: Any, **kwargs: Any) -> None:
        raise MemoryError("no room for 1 TB")

    monkeypatch.setattr("napari_image_diff.comparison.compare", fail)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert "there is not enough memory" in dock.panel.notice.text()
    assert "no room" in caplog.text


def test_boxes_not_drawn_are_counted(open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, dock = open_dock()
    monkeypatch.setattr(boxes, "BOXES_DRAWN", 2)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert "2 largest regions are drawn, 1 are not" in dock.panel.result.text()
    assert viewer.layers["bounding boxes"].nshapes == 2
    assert dock.panel.table.model().rowCount() == 3


def test_results_of_scripts_and_earlier_docks_are_shown(open_dock: Any) -> None:
    viewer, dock = open_dock()
    comparison = add_comparison(viewer, viewer.layers["a"], viewer.layers["b"], threshold=0.6, min_area=10)
    assert dock.panel.table.model().rowCount() == len(comparison.regions)
    assert dock.panel.controls.values["threshold"] == 0.6
    assert dock.panel.controls.min_area.value() == 10
    dock.panel.pickers.swap()
    assert dock.panel.result.text() == "Not compared yet."
    assert dock.panel.table.model().rowCount() == 0
    dock.panel.pickers.swap()
    assert "0.600" in dock.panel.result.text()


def test_a_script_may_change_the_result_while_the_dock_is_open(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    comparison = add_comparison(viewer, viewer.layers["a"], viewer.layers["b"], threshold=0.2)
    QApplication.sendEvent(dock, QEnterEvent(*[QPointF()] * 3))
    assert "threshold 0.200" in dock.panel.result.text()
    assert dock.panel.controls.values["threshold"] == comparison.settings.threshold == 0.2


def test_comparing_in_the_3d_view(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    viewer.dims.ndisplay = 3
    for min_area in (300.0, 1e6, 40.0):
        dock.panel.controls.min_area.setValue(min_area)
        qtbot.waitUntil(lambda: not dock.running)
        assert viewer.layers["bounding boxes"].nshapes == dock.panel.table.model().rowCount()
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5
    viewer.dims.ndisplay = 2
    assert viewer.layers["bounding boxes"].nshapes == 3


def test_what_changed_since_the_result_is_said(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    dock.panel.form.fields["window"].value = "gaussian"
    assert "settings have changed" in dock.panel.notice.text()
    assert not dock.panel.form.fields["win_size"].enabled
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.notice.text() == ""
    viewer.layers["b"].data = viewer.layers["a"].data.copy()
    assert "'b' has other data now" in dock.panel.notice.text()
    viewer.layers["b"].data = np.zeros((5, 5), np.uint8)
    assert not dock.panel.compare_button.isEnabled()
    viewer.layers["b"].data = viewer.layers["a"].data.copy()
    assert dock.panel.compare_button.isEnabled()
    viewer.layers["b"].translate = (3, 4)
    assert "resampled onto before: translate (3, 4) -> (0, 0)" in dock.panel.notice.text()


def test_warnings_during_a_run_are_logged_once(
    open_dock: Any, qtbot: Any, gate: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, dock = open_dock(settle=False)
    dock.panel.compare_button.click()
    qtbot.waitUntil(gate.entered.is_set)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("something else", UserWarning, stacklevel=1)
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert [record.getMessage() for record in caplog.records].count("UserWarning: something else") <= 1


def test_a_threshold_by_hand_begins_in_the_middle(open_dock: Any) -> None:
    _, dock = open_dock()
    dock.panel.controls.rule.setCurrentText("Number")
    assert dock.panel.controls.values["threshold"] == 0.5
    assert dock.panel.controls.number.text() == "0.500"


def test_compare_does_not_wait_for_the_warming_up(open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def warm_up_for_ever(progress: Any) -> None:
        while not wait(0.005):
            progress(0, 1)

    wait = threading.Event().wait
    monkeypatch.setattr("napari_image_diff.widget.dock.warm_up", warm_up_for_ever)
    viewer, dock = open_dock(settle=False)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 5, timeout=20_000)


def test_the_command_compares_the_two_selected_layers(open_dock: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = open_dock()
    viewer.add_image(images[1], name="c")
    viewer.layers.selection = [viewer.layers["b"], viewer.layers["c"]]
    compare_selected_layers(viewer)
    qtbot.waitUntil(lambda: not dock.running)
    assert picked(dock) == ("b", "c")
    assert "identical" in dock.panel.result.text()
    viewer.layers.selection = [viewer.layers["b"]]
    compare_selected_layers(viewer)
    assert "Select two Image layers" in dock.panel.notice.text()
    assert not dock.running


def test_the_command_is_in_the_palette(make_napari_viewer: Any, images: Any, qtbot: Any) -> None:
    from napari._app_model import get_app_model

    viewer = make_napari_viewer()
    for image in images:
        viewer.add_image(image)
    viewer.layers.select_all()
    get_app_model().commands.execute_command("napari-image-diff.compare_selected").result()
    dock = viewer.window.dock_widgets["Image Difference (napari-image-diff)"]
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    assert len(viewer.layers) == 5


# ---------------------------------------------------------------- live controls


def test_a_threshold_by_hand_and_back_to_auto(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared("Classic")
    layers, controls = list(viewer.layers), dock.panel.controls
    automatic = controls.number.value()
    controls.number.setValue(1.9)
    assert controls.rule.currentText() == "Number"
    qtbot.waitUntil(lambda: not dock.running)
    assert not viewer.layers["filled mask"].data.any()
    assert "1.900 (set)" in dock.panel.result.text()
    controls.rule.setCurrentText("Otsu")
    qtbot.waitUntil(lambda: not dock.running)
    assert viewer.layers["filled mask"].data.max() == 3
    assert controls.number.value() == automatic == pytest.approx(controls.slider.value(), abs=1e-3)
    assert list(viewer.layers) == layers


def test_a_cut_stays_whatever_happens_to_other_layers(compared: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = compared("Classic", show=True)
    dock.panel.controls.number.setValue(1.9)
    qtbot.waitUntil(lambda: not dock.running)
    viewer.add_image(images[0])
    dock.parent().hide()
    dock.parent().show()
    assert dock.panel.controls.values["threshold"] == 1.9
    assert "1.900 (set)" in dock.panel.result.text()
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert "1.900 (set)" in dock.panel.result.text()


def test_minimum_area_is_live(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    dock.panel.controls.min_area.setValue(800)
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.table.model().rowCount() == 1
    assert viewer.layers["bounding boxes"].nshapes == viewer.layers["filled mask"].data.max() == 1


def test_dragging_hides_the_boxes_until_the_slider_is_released(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared("Classic")
    slider, boxes, mask = dock.panel.controls.slider, viewer.layers["bounding boxes"], viewer.layers["filled mask"]
    slider.setSliderDown(True)
    with qtbot.waitSignal(dock.panel.controls.changed):
        slider.setValue(1.9)
    qtbot.waitUntil(lambda: not mask.data.any())
    assert not boxes.visible
    assert boxes.nshapes == 3
    slider.setSliderDown(False)
    qtbot.waitUntil(lambda: not dock.running)
    assert boxes.visible
    assert boxes.nshapes == 0


def test_boxes_that_the_user_hid_stay_hidden(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared("Classic")
    slider, boxes = dock.panel.controls.slider, viewer.layers["bounding boxes"]
    boxes.visible = False
    slider.setSliderDown(True)
    slider.setValue(1.9)
    slider.setSliderDown(False)
    qtbot.waitUntil(lambda: not dock.running)
    assert not boxes.visible
    assert boxes.nshapes == 0


def test_boxes_come_back_when_another_pair_is_picked_during_a_drag(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared("Classic")
    dock.panel.controls.slider.setSliderDown(True)
    dock.panel.controls.slider.setValue(1.9)
    assert not viewer.layers["bounding boxes"].visible
    dock.panel.pickers.swap()
    assert viewer.layers["bounding boxes"].visible
    assert not dock.running


def test_of_many_moves_the_last_one_counts(compared: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, dock = compared("Classic")
    updates: list[int] = []
    viewer.layers["filled mask"].events.data.connect(lambda: updates.append(1))
    for value in np.linspace(0.1, 1.9, 200):
        dock.panel.controls.slider.setValue(value)
    qtbot.waitUntil(lambda: not dock.running)
    assert "1.900 (set)" in dock.panel.result.text()
    assert len(updates) == 2  # the first, and the last of those that came meanwhile


def test_a_painted_mask_is_left_alone_by_the_slider(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared("Classic")
    mask = viewer.layers["filled mask"]
    mask.fill((0, 0), 9)
    dock.panel.controls.number.setValue(1.9)
    qtbot.waitUntil(lambda: not dock.running)
    assert mask.data[0, 0] == 9
    assert mask.data.any()
    assert viewer.layers["bounding boxes"].nshapes == 0
    assert len(viewer.layers) == 5


def test_a_preset_sets_every_setting_and_the_result_follows(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    panel = dock.panel
    panel.controls.rule.setCurrentText("Number")
    panel.controls.number.setValue(1.9)
    panel.controls.min_area.setValue(7)
    panel.form.fields["win_size"].value = 21
    qtbot.waitUntil(lambda: not dock.running)
    assert not viewer.layers["filled mask"].data.any()
    choose_preset(dock, "Detect")
    qtbot.waitUntil(lambda: not dock.running)
    assert panel.read_settings() == Settings()
    assert viewer.layers["filled mask"].data.max() == 3


# ---------------------------------------------------------------- advanced settings


def test_the_form_is_made_from_the_settings(open_dock: Any) -> None:
    _, dock = open_dock()
    fields = dock.panel.form.fields
    assert {*fields, *ELSEWHERE} == set(describe_fields())
    for name, field in fields.items():
        kind, metadata = describe_fields()[name]
        assert field.value == getattr(Settings(), name)
        assert metadata["help"] in field.tooltip
        if "min" in metadata:
            assert (field.min, field.max, field.step) == (metadata["min"], metadata["max"], metadata["step"])
        assert isinstance(field, CheckBox) == (kind is bool)
        assert isinstance(field, ComboBox) == ("min" not in metadata and kind is not bool)


def test_a_setting_that_cannot_be_stands_in_the_way(open_dock: Any) -> None:
    _, dock = open_dock()
    dock.panel.form.fields["win_size"].value = 8
    assert "even" in dock.panel.notice.text()
    assert not dock.panel.compare_button.isEnabled()
    dock.panel.form.fields["win_size"].value = 9
    assert dock.panel.compare_button.isEnabled()


def test_the_wheel_scrolls_the_dock_and_changes_nothing(open_dock: Any, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint, QPointF, Qt
    from qtpy.QtGui import QWheelEvent
    from qtpy.QtWidgets import QApplication

    _, dock = open_dock()
    for control in dock.panel.controls.min_area, dock.panel.controls.slider, dock.panel.pickers.boxes[0]:
        event = QWheelEvent(
            QPointF(5, 5),
            QPointF(5, 5),
            QPoint(0, -120),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(control, event)
    assert dock.panel.read_settings() == Settings()
    assert picked(dock) == ("a", "b")
