"""Settings that outlive a dock: in files, as the command line has them, and in napari's preferences."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
import yaml
from conftest import choose_preset
from napari._qt.dialogs.preferences_dialog import PreferencesDialog
from napari.settings import NapariSettings
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit, QMessageBox

import napari_image_diff
from napari_image_diff import Settings
from napari_image_diff.report import make_report
from napari_image_diff.settings import describe_fields
from napari_image_diff.widget import keys
from napari_image_diff.widget.keys import ACTIONS, find_keys
from napari_image_diff.widget.preferences import PLUGIN, WHERE

ASKED = Settings(threshold=0.123, min_area=12.5, align="rigid", window="gaussian", sigma=2.5, shared_threshold=True)


MANIFEST = Path(napari_image_diff.__file__).parent / "napari.yaml"
GROUPS = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["contributions"]["configurations"]


def said(dock: Any) -> str:
    return str(dock.panel.notice.text()).replace("\u200b", "")


def unfold_and_click(panel: Any, button: Any) -> None:
    panel.advanced.expand(animate=False)
    button.click()


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


# ---------------------------------------------------------------- files


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answer the next dialogs."""
    monkeypatch.setattr(NapariSettings, "save", lambda *args, **kwargs: None)

    def choose(place: Path | str, *, replaces: bool = False) -> None:
        answer = QMessageBox.StandardButton.Yes if replaces else QMessageBox.StandardButton.No
        for name in "getSaveFileName", "getOpenFileName":
            monkeypatch.setattr(QFileDialog, name, lambda *args, **kwargs: (str(place), ""))
        monkeypatch.setattr(QMessageBox, "question", lambda *args, **kwargs: answer)

    return choose


def test_what_is_saved_is_loaded_here_and_by_the_command_line(
    open_dock: Any, choose: Any, run: Any, tmp_path: Path, images: Any
) -> None:
    _, dock = open_dock()
    dock.panel.show_settings(ASKED)
    choose(tmp_path / "asked")
    unfold_and_click(dock.panel, dock.panel.save_button)
    file = tmp_path / "asked.json"
    assert said(dock) == f"Saved {file}."
    assert [*tmp_path.iterdir()] == [file]
    assert json.loads(file.read_bytes()) == dataclasses.asdict(ASKED)
    choose_preset(dock, "Classic")
    choose(file)
    unfold_and_click(dock.panel, dock.panel.load_button)
    assert said(dock) == f"Loaded {file}."
    assert dock.panel.read_settings() == ASKED
    for name, image in zip(("before.png", "after.png"), images, strict=True):
        iio.imwrite(tmp_path / name, image)
    saved = tmp_path / "again.json"
    run(tmp_path / "before.png", tmp_path / "after.png", "--settings", file, "--save-settings", saved)
    assert saved.read_bytes() == file.read_bytes()


def test_the_result_follows_what_is_loaded(compared: Any, choose: Any, qtbot: Any, tmp_path: Path) -> None:
    _, dock = compared()
    report = make_report(dock._comparison, {"before": {}, "after": {}})
    report["settings"]["min_area"] = 500.0
    choose(write(tmp_path / "report.json", report))
    unfold_and_click(dock.panel, dock.panel.load_button)
    qtbot.waitUntil(lambda: not dock.running)
    assert dock._comparison.settings.min_area == 500
    assert (dock._comparison.regions["contour_area"] > 500).all()
    assert said(dock) == f"Loaded {tmp_path / 'report.json'}."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ([1], "has no settings"),
        ({"sensitvity": 2}, "no such setting: sensitvity"),
        ({"sensitivity": 99}, "sensitivity is 99; give a number from 0.1 to 10"),
        ({"settings": {"align": "up"}}, "align is 'up'"),
        (None, "No such file"),
    ],
    ids=str,
)
def test_what_cannot_be_loaded_changes_nothing(
    content: Any, told: str, open_dock: Any, choose: Any, tmp_path: Path
) -> None:
    _, dock = open_dock()
    dock.panel.show_settings(ASKED)
    file = tmp_path / "settings.json"
    choose(file if content is None else write(file, content))
    unfold_and_click(dock.panel, dock.panel.load_button)
    assert said(dock).startswith("Not loaded: ")
    assert told in said(dock)
    assert dock.panel.read_settings() == ASKED


def test_numbers_that_the_controls_round_are_said(open_dock: Any, choose: Any, tmp_path: Path) -> None:
    _, dock = open_dock()
    file = write(tmp_path / "settings.json", {"min_area": 12.345, "sensitivity": 1.2345})
    choose(file)
    unfold_and_click(dock.panel, dock.panel.load_button)
    assert said(dock) == f"Loaded {file}, with min_area 12.345 as 12.3."
    assert dock.panel.read_settings() == Settings(min_area=12.3, sensitivity=1.2345)


def test_a_file_is_replaced_if_that_was_said_and_whole(
    open_dock: Any, choose: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = open_dock()
    file = write(tmp_path / "settings.json", "mine")
    choose("")
    unfold_and_click(dock.panel, dock.panel.save_button)
    # The dialog asked about the name that was typed, and not about this one
    choose(tmp_path / "settings")
    unfold_and_click(dock.panel, dock.panel.save_button)
    assert file.read_text() == "mine"
    assert not said(dock)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    choose(file)
    unfold_and_click(dock.panel, dock.panel.save_button)
    assert said(dock).startswith("Not saved: ")
    assert "No space left" in said(dock)
    assert file.read_text() == "mine"
    assert [*tmp_path.iterdir()] == [file]


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")


# ---------------------------------------------------------------- preferences


def test_the_manifest_says_of_settings_what_they_say() -> None:
    found = GROUPS["defaults"]["properties"]
    assert list(found) == ["sensitivity", "min_area", "align"]
    for name, property_ in found.items():
        _, metadata = describe_fields()[name]
        expected = {"title": metadata["label"], "default": getattr(Settings(), name), "description": metadata["help"]}
        if name == "align":
            expected |= {"type": "string", "enum": ["none", "translation", "rigid", "affine"]}
        else:
            expected |= {"type": "number", "minimum": metadata["min"], "maximum": metadata["max"]}
        assert property_ == expected


def test_the_manifest_has_the_words_of_a_setting_that_settings_takes() -> None:
    for word in GROUPS["defaults"]["properties"]["align"]["enum"]:
        Settings(align=word)
    with pytest.raises(ValueError, match=r"'none' or 'translation' or 'rigid' or 'affine'$"):
        Settings(align="up")  # type: ignore[arg-type]


def test_the_manifest_has_every_key() -> None:
    found = GROUPS["keybindings"]["properties"]
    assert list(found) == list(ACTIONS)
    for name, action in ACTIONS.items():
        title = {"checkerboard": "Tiles"}.get(name, name.replace("_", " ").capitalize())
        assert found[name] == {"title": title, "type": "string", "default": action.key, "description": action.help}


def test_a_new_dock_begins_as_the_user_likes(preferences: Any, open_dock: Any) -> None:
    defaults = preferences().defaults
    defaults.sensitivity, defaults.min_area, defaults.align = 2.5, 30, "affine"
    assert "align: affine" in preferences().config_path.read_text()
    _, dock = open_dock()
    assert dock.panel.read_settings() == Settings(sensitivity=2.5, min_area=30, align="affine")
    assert dock.panel.presets.currentText() == ""
    choose_preset(dock, "Detect")
    assert dock.panel.read_settings() == Settings()


def test_a_result_that_is_there_shows_its_own_settings(preferences: Any, compared: Any, open_dock: Any) -> None:
    viewer, dock = compared("Classic")
    viewer.window.remove_dock_widget(dock)
    preferences().defaults.sensitivity = 3
    _, again = open_dock(viewer)
    assert again.panel.read_settings() == Settings.classic()


def press(viewer: Any, key: Any, modifiers: Any = Qt.KeyboardModifier.NoModifier) -> None:
    QTest.keyClick(viewer.__wrapped__.window._qt_viewer.canvas.native, key, modifiers)


def test_keys_that_change_are_bound_at_once(preferences: Any, compared: Any) -> None:
    viewer, dock = compared(show=True)
    press(viewer, Qt.Key.Key_N)
    assert dock.panel.table.label == 1
    preferences().keybindings.next_region = "Shift-D"
    assert dock.panel.next_button.toolTip().endswith("(Shift-D).")
    press(viewer, Qt.Key.Key_N)
    assert dock.panel.table.label == 1
    press(viewer, Qt.Key.Key_D, Qt.KeyboardModifier.ShiftModifier)
    assert dock.panel.table.label == 2
    preferences().keybindings.swipe = "M"
    assert said(dock).startswith("Not all keys of the plugin settings can be used: M is napari's for ")
    assert dock.panel.ways.buttons["swipe"].toolTip().endswith(f"({ACTIONS['swipe'].key}).")
    preferences().keybindings.swipe = ""
    assert not said(dock)
    preferences().keybindings.update({name: action.key for name, action in ACTIONS.items()})
    press(viewer, Qt.Key.Key_N)
    assert dock.panel.table.label == 3


def test_a_dock_that_is_hidden_or_closed_hears_of_no_keys(preferences: Any, open_dock: Any) -> None:
    viewer, dock = open_dock(show=True)
    group = preferences().keybindings
    before = len(group.events.callbacks)
    dock.parent().hide()
    assert len(group.events.callbacks) == before - 1
    group.next_region = "Shift-D"
    assert "Shift-D" not in [str(key) for key in viewer.keymap]
    dock.parent().show()
    assert len(group.events.callbacks) == before
    assert dock.panel.next_button.toolTip().endswith("(Shift-D).")
    viewer.window.remove_dock_widget(dock)
    assert len(group.events.callbacks) == before - 1


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("M", "napari's for"),
        ("shift-v", "napari's for"),
        ("h", "our 'blink'"),
        ("Shift-", "is no key"),
        ("Ctrl+K Ctrl+C", "is no key"),
        ("+", "is no key"),
        ("größe", "is no key"),
    ],
)
def test_a_key_that_cannot_be_used_is_said_and_not_taken(key: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "wanted_keys", lambda: {"previous_region": "Alt-P", "same_contrast": key, "note": " "})
    found, trouble = find_keys()
    assert key in trouble
    assert why in trouble
    assert "(our 'same contrast' has U)" in trouble
    assert found == {name: action.key for name, action in ACTIONS.items() if name != "note"} | {
        "previous_region": "Alt-P"
    }


def test_the_key_of_an_action_may_go_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"blink": "U", "same_contrast": "M", "swipe": "J", "overlay": "W"}
    monkeypatch.setattr(keys, "wanted_keys", lambda: wanted)
    found, trouble = find_keys()
    assert (found["blink"], found["swipe"], found["overlay"]) == ("U", "J", "W")
    assert "same_contrast" not in found
    assert trouble.endswith("(our 'same contrast' has none).")
    assert "blink" not in trouble


def test_the_preferences_of_napari_show_them(preferences: Any, open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    dialog = PreferencesDialog(viewer.__wrapped__.window._qt_window)
    qtbot.addWidget(dialog)
    titles = [dialog._list.item(row).text() for row in range(dialog._list.count())]
    assert WHERE.endswith(f"> {titles[-1]}")
    assert titles[-1] == PLUGIN
    page = dialog._stack.widget(len(titles) - 1)
    lines = [line for line in page.findChildren(QLineEdit) if line.text() == ACTIONS["swipe"].key]
    (line,) = lines
    line.setText("Shift-D")
    assert preferences().keybindings.swipe == "Shift-D"
    assert dock.panel.ways.buttons["swipe"].toolTip().endswith("(Shift-D).")
    dialog.reject()
    assert dock.panel.ways.buttons["swipe"].toolTip().endswith(f"({ACTIONS['swipe'].key}).")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_window_with_the_keys(theme: str, preferences: Any, open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    viewer.theme = theme
    dock.panel.ways.keys_button.click()
    window = dock.keys_help
    assert window.isVisible()
    assert not window.isModal()
    assert rows_of(window) == [[action.key, action.help] for action in ACTIONS.values()]
    preferences().keybindings.blink = ""
    preferences().keybindings.swipe = "Shift-D"
    shown = dict(zip(ACTIONS, rows_of(window), strict=True))
    assert (shown["blink"][0], shown["swipe"][0]) == ("none", "Shift-D")
    QApplication.processEvents()
    assert not window.table.verticalScrollBar().isVisible()
    assert not window.table.horizontalScrollBar().isVisible()
    pixel = window.grab().toImage().pixelColor(3, 3)
    assert (pixel.lightness() > 128) == (theme == "light")
    qtbot.keyClick(window, Qt.Key.Key_Escape)
    assert not window.isVisible()


def rows_of(window: Any) -> list[list[str]]:
    table = window.table
    return [[table.item(row, column).text() for column in range(2)] for row in range(table.rowCount())]


def test_the_dock_stays_narrow(open_dock: Any) -> None:
    _, dock = open_dock(show=True)
    dock.panel.advanced.expand(animate=False)
    QApplication.processEvents()
    assert dock.panel.advanced.minimumSizeHint().width() <= 300
    assert dock.panel.ways.minimumSizeHint().width() <= 300
    assert dock.panel.save_button.isVisible()
