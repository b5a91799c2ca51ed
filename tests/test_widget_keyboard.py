"""The dock by keyboard alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QTableView,
    QWidget,
)

from napari_image_diff.widget.focus import COLOR

CONTROLS = (QAbstractButton, QAbstractSlider, QAbstractSpinBox, QComboBox, QLineEdit, QTableView)


def reached_by_tab(qtbot: Any, first: Any) -> Iterator[QWidget]:
    """Press Tab until the focus leaves the dock, and give what has it on the way."""
    first.setFocus(Qt.FocusReason.TabFocusReason)
    qtbot.waitUntil(first.hasFocus)
    seen: list[QWidget] = []
    while (here := QApplication.focusWidget()) is not None and here not in seen:
        seen.append(here)
        yield here
        qtbot.keyClick(here, Qt.Key.Key_Tab)


def parts_of(widget: Any) -> set[QWidget]:
    """A control and what it is made of, of which one has the focus."""
    return {widget, *widget.findChildren(QWidget)}


@pytest.mark.parametrize("way", ["", "blink", "swipe", "checkerboard"])
def test_tab_reaches_every_control_and_nothing_that_is_not_seen(qtbot: Any, compared: Any, way: str) -> None:
    _, dock = compared(show=True)
    dock.window().activateWindow()
    dock.tour.go_next()
    if way:
        dock.looker.toggle(way)
    QApplication.processEvents()
    panel = dock.panel
    reached = [each for each in reached_by_tab(qtbot, panel.pickers.boxes[0]) if dock.isAncestorOf(each)]
    folded = {each for field in panel.form.findChildren(QWidget) for each in parts_of(field)}
    assert not folded & set(reached)
    wanted = [
        each
        for each in panel.findChildren(QWidget)
        if isinstance(each, CONTROLS) and each.isVisible() and each.isEnabled() and each not in folded
    ]
    # The line of a number belongs to the number, heads and scroll bars to the table
    owners = [each for each in wanted if isinstance(each, QAbstractSpinBox | QTableView)]
    owned = {part for each in owners for part in parts_of(each) - {each}}
    missed = [each for each in wanted if each not in owned and not parts_of(each) & set(reached)]
    assert [f"{type(each).__name__} {each.toolTip()[:40]}" for each in missed] == []
    # From above to below, as they are read
    places = [(each.mapTo(dock, each.rect().center()).y(), type(each).__name__, each.toolTip()) for each in reached]
    back = [(one, other) for one, other in itertools.pairwise(places) if other[0] < one[0] - 24]
    assert back == []


def test_a_review_without_a_mouse(qtbot: Any, open_dock: Any) -> None:
    viewer, dock = open_dock(show=True)
    dock.window().activateWindow()
    panel = dock.panel
    panel.compare_button.setFocus()
    qtbot.keyClick(panel.compare_button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: dock._comparison is not None and not dock.running)
    button = panel.ways.buttons["blink"]
    button.setFocus()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert dock.looker.way == "blink"
    panel.table.setFocus()
    qtbot.keyClick(panel.table, Qt.Key.Key_Down)
    assert panel.table.label
    for key in Qt.Key.Key_Period, Qt.Key.Key_Comma, Qt.Key.Key_Period:
        # Signs go past the table to napari, which knows what they mean in the canvas
        qtbot.keyClick(panel.table, key)
    assert set(dock._comparison.regions["verdict"]) == {"real", "not real"}
    qtbot.keyClick(panel.table, Qt.Key.Key_H)
    assert dock.looker.which == 1
    assert viewer.canvas.overlays.text.text == "after: b"
    qtbot.keyClick(panel.table, Qt.Key.Key_Slash)
    qtbot.waitUntil(panel.review.note.hasFocus)
    qtbot.keyClicks(panel.review.note, "dust")
    qtbot.keyClick(panel.review.note, Qt.Key.Key_Return)
    qtbot.waitUntil(panel.table.hasFocus)
    assert "dust" in dock._comparison.regions["note"].tolist()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_focus_is_seen(qtbot: Any, compared: Any, theme: str) -> None:
    viewer, dock = compared(show=True)
    viewer.theme = theme
    dock.window().activateWindow()
    dock.tour.go_next()
    QApplication.processEvents()
    panel = dock.panel
    for widget in reached_by_tab(qtbot, panel.pickers.boxes[0]):
        if not dock.isAncestorOf(widget):
            continue
        QApplication.processEvents()
        shot = dock.grab().toImage()
        corner = widget.mapTo(dock, widget.rect().topLeft())
        if not dock.rect().contains(corner):
            continue
        # The middle of the frame's left edge
        pixel = shot.pixelColor(corner.x(), corner.y() + widget.height() // 2).name()
        assert pixel == COLOR, (type(widget).__name__, widget.toolTip())


def test_sensitivity_hears_keys(qtbot: Any, compared: Any) -> None:
    _, dock = compared(show=True)
    controls = dock.panel.controls
    seen = [controls.values["sensitivity"]]
    for key in Qt.Key.Key_Right, Qt.Key.Key_Up, Qt.Key.Key_PageUp, Qt.Key.Key_End:
        qtbot.keyClick(controls.slider, key)
        seen.append(controls.values["sensitivity"])
    assert seen == sorted(set(seen))
    assert seen[-1] == 10
    for key in Qt.Key.Key_Left, Qt.Key.Key_Down, Qt.Key.Key_PageDown, Qt.Key.Key_Home:
        qtbot.keyClick(controls.slider, key)
        seen.append(controls.values["sensitivity"])
    assert seen[-4:] == sorted(set(seen[-4:]), reverse=True)
    assert seen[-1] == 0.1
    qtbot.waitUntil(lambda: not dock.running)
    assert dock._comparison.settings.sensitivity == 0.1


def test_escape_gives_up_a_note(qtbot: Any, compared: Any) -> None:
    _, dock = compared(show=True)
    dock.window().activateWindow()
    dock.tour.go_next()
    note = dock.panel.review.note
    note.setFocus()
    qtbot.waitUntil(note.hasFocus)
    qtbot.keyClicks(note, "a hair")
    qtbot.keyClick(note, Qt.Key.Key_Return)
    assert dock._comparison.regions["note"][0] == "a hair"
    note.setFocus()
    qtbot.keyClicks(note, " or two")
    qtbot.keyClick(note, Qt.Key.Key_Escape)
    assert note.text() == "a hair"
    assert dock.panel.table.hasFocus()
    dock.tour.go_next()
    assert dock._comparison.regions["note"].tolist() == ["a hair", "", ""]
