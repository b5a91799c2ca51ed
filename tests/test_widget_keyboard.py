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
