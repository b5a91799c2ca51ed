"""Copy in the dock: the table, and what was done as Python, which gives the same result when it is pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from test_scripting import paste, run_script

from napari_image_diff import Comparison
from napari_image_diff.widget.copying import CONSOLE, COPIES, SCRIPT, TABLE

REVIEW = ["verdict", "note"]


def copy(dock: Any, title: str) -> str:
    """Choose an entry of the menu; return what is on the clipboard then."""
    QGuiApplication.clipboard().clear()
    assert dock.panel.copy_button.isEnabled()
    actions = dock.panel.copy_button.menu().actions()
    assert tuple(action.text() for action in actions) == COPIES
    assert all(action.toolTip() != action.text() for action in actions)
    next(action for action in actions if action.text() == title).trigger()
    return str(QGuiApplication.clipboard().text())


def hold(found: Comparison, expected: Comparison) -> None:
    """Hold a result against what is shown: same labels to the bit, same table but for what was decided."""
    assert len(expected.regions)
    np.testing.assert_array_equal(found.labels, expected.labels)
    tables = [each.regions.drop(columns=REVIEW, errors="ignore") for each in (found, expected)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def hold_both(viewer: Any, dock: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Paste both copies, and return that for the console."""
    expected = dock._comparison
    script, console = copy(dock, SCRIPT), copy(dock, CONSOLE)
    hold(run_script(script, viewer, tmp_path, monkeypatch), expected)
    hold(paste(console, viewer), expected)
    return console


def test_the_table(compared: Any) -> None:
    _, dock = compared()
    text = copy(dock, TABLE)
    assert text.splitlines()[0].split("\t") == list(dock._comparison.regions.columns)
    assert len(text.splitlines()) == len(dock._comparison.regions) + 1
    assert dock.panel.notice.text() == "Table copied."
    (*_, action) = dock.panel.table.actions()
    QGuiApplication.clipboard().clear()
    action.trigger()
    assert QGuiApplication.clipboard().text() == text


def test_what_is_said_is_copied_as_it_is(qtbot: Any, open_dock: Any) -> None:
    viewer, dock = open_dock(show=True)
    name = "a_name_without_any_place_at_which_it_could_be_broken"
    viewer.layers["a"].name = name
    viewer.layers["b"].data = np.zeros((5, 6))
    notice = dock.panel.notice
    assert name not in notice.text()
    notice.setSelection(0, len(notice.text()))
    qtbot.keyClick(notice, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert name in QGuiApplication.clipboard().text()


def test_before_the_first_result_there_is_nothing_to_copy(open_dock: Any) -> None:
    _, dock = open_dock()
    assert not dock.panel.copy_button.isEnabled()


def test_what_the_sliders_made_of_it(
    compared: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, dock = compared("Classic")
    dock.panel.controls.min_area.setValue(300)
    qtbot.waitUntil(lambda: not dock.running)
    console = hold_both(viewer, dock, tmp_path, monkeypatch)
    assert "Settings.classic(min_area=300.0)" in console


def test_what_was_ignored_is_that_of_the_result(
    compared: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, dock = compared()
    dock.panel.table.mark(1)
    dock.ignore_region()
    qtbot.waitUntil(lambda: not dock.running)
    dock.panel.controls.slider.setValue(0.1)
    qtbot.waitUntil(lambda: not dock.running)
    # Another mask is picked now, and nothing was compared with it
    dock.panel.pickers.pick_ignored(viewer.add_labels(np.ones((120, 160), np.uint8), name="all"))
    console = hold_both(viewer, dock, tmp_path, monkeypatch)
    assert "ignore=viewer.layers['ignore']" in console


def test_by_index_and_against_a_frame(
    open_dock: Any, make_napari_viewer_proxy: Any, images: Any, qtbot: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(np.stack([images[0], images[1], images[0]]), name="a")
    viewer.add_image(np.stack([images[0], images[0], images[1]]), name="b", translate=(0, 3, 2))
    _, dock = open_dock(viewer)
    before, after = dock._pair
    dock.panel.pickers.pick(before, after, "first frame of ")
    dock.panel.index_box.setChecked(True)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    console = hold_both(viewer, dock, tmp_path, monkeypatch)
    assert "frame=0" in console
    assert "by_index=True" in console


@pytest.mark.parametrize("way", ["", "first frame of ", "previous frame of "])
@pytest.mark.parametrize("shift", [0, 2.5])
def test_the_frame_on_the_screen(
    way: str,
    shift: float,
    open_dock: Any,
    make_napari_viewer_proxy: Any,
    images: Any,
    qtbot: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewer = make_napari_viewer_proxy()
    rng = np.random.default_rng(2)
    for name, order, move in ("a", (0, 0, 0, 1), 0), ("b", (1, 0, 1, 0), shift):
        frames = np.stack([images[index] for index in order])
        noisy = np.clip(frames + rng.normal(0, 1, frames.shape), 0, 255).astype(np.uint8)
        viewer.add_image(noisy, name=name, translate=(0, move, 0))
    mask = viewer.add_labels(np.zeros((4, 120, 160), np.uint8), name="mask")
    mask.data[2, :40, :60] = mask.data[0, :, :8] = 1
    _, dock = open_dock(viewer)
    dock.panel.pickers.pick(*dock._pair, way)
    dock.panel.pickers.pick_ignored(mask)
    viewer.dims.set_current_step(0, 2)
    dock.panel.follow_box.setChecked(True)
    qtbot.waitUntil(lambda: dock._comparison is not None and not dock.running, timeout=20_000)
    assert dock._comparison.labels.shape == (120, 160)
    console = hold_both(viewer, dock, tmp_path, monkeypatch)
    assert f"before = before[{({'': 2, 'first frame of ': 0, 'previous frame of ': 1})[way]}]" in console
    assert "after = after[2]" in console
