"""Settings that outlive a dock: in files, as the command line has them, and in napari's preferences."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import pytest
from conftest import choose_preset
from napari.settings import NapariSettings
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_image_diff import Settings
from napari_image_diff.report import make_report

ASKED = Settings(threshold=0.123, min_area=12.5, align="rigid", window="gaussian", sigma=2.5, shared_threshold=True)


def said(dock: Any) -> str:
    return str(dock.panel.notice.text()).replace("\u200b", "")


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
    dock.panel.save_button.click()
    file = tmp_path / "asked.json"
    assert said(dock) == f"Saved {file}."
    assert [*tmp_path.iterdir()] == [file]
    assert json.loads(file.read_bytes()) == dataclasses.asdict(ASKED)
    choose_preset(dock, "Classic")
    choose(file)
    dock.panel.load_button.click()
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
    dock.panel.load_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock._comparison.settings.min_area == 500
    assert (dock._comparison.regions["contour_area"] > 500).all()
    assert said(dock) == f"Loaded {tmp_path / 'report.json'}."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
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
    dock.panel.load_button.click()
    assert said(dock).startswith("Not loaded: ")
    assert told in said(dock)
    assert dock.panel.read_settings() == ASKED


def test_numbers_that_the_controls_round_are_said(open_dock: Any, choose: Any, tmp_path: Path) -> None:
    _, dock = open_dock()
    file = write(tmp_path / "settings.json", {"min_area": 12.345, "sensitivity": 1.2345})
    choose(file)
    dock.panel.load_button.click()
    assert said(dock) == f"Loaded {file}, with min_area 12.345 as 12.3."
    assert dock.panel.read_settings() == Settings(min_area=12.3, sensitivity=1.2345)


def test_a_file_is_replaced_if_that_was_said_and_whole(
    open_dock: Any, choose: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = open_dock()
    file = write(tmp_path / "settings.json", "mine")
    choose("")
    dock.panel.save_button.click()
    # The dialog asked about the name that was typed, and not about this one
    choose(tmp_path / "settings")
    dock.panel.save_button.click()
    assert file.read_text() == "mine"
    assert not said(dock)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    choose(file)
    dock.panel.save_button.click()
    assert said(dock).startswith("Not saved: ")
    assert "No space left" in said(dock)
    assert file.read_text() == "mine"
    assert [*tmp_path.iterdir()] == [file]


def refuse(*_: object) -> None:
    raise OSError(28, "No space left on device")
