"""Asking for a file, and whether something may be done: as napari asks, and with its list of the last folders."""

from __future__ import annotations

from pathlib import Path

from napari.utils.history import get_open_history, get_save_history, update_open_history
from napari.utils.misc import in_ipython
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

__all__ = ["choose_to_open", "choose_to_save", "confirm", "last_folder"]


def choose_to_open(parent: QWidget, title: str, kind: str) -> Path | None:
    """Return the file that the user picks, None for none; `kind` is as Qt writes it, "Settings (*.json)"."""
    start = str(next(iter(get_open_history()), "."))
    chosen, _ = QFileDialog.getOpenFileName(parent, title, start, kind, options=_options())
    if not chosen:
        return None
    update_open_history(chosen)
    return Path(chosen)


def choose_to_save(parent: QWidget, title: str, start: Path, kind: str) -> Path | None:
    """Return the place that the user picks, None for none; that a file of that name may go the dialog has asked."""
    chosen, _ = QFileDialog.getSaveFileName(parent, title, str(start), kind, options=_options())
    return Path(chosen) if chosen else None


def last_folder() -> Path:
    """Return where something was saved last."""
    return Path(next(iter(get_save_history()), "."))


def confirm(parent: QWidget, title: str, question: str) -> bool:
    """Ask whether something may be done; by default not."""
    answers = QMessageBox.StandardButton
    answer = QMessageBox.question(parent, title, question, answers.Yes | answers.No, defaultButton=answers.No)
    return bool(answer == answers.Yes)


def _options() -> QFileDialog.Option:
    """Return how a dialog is opened: as napari does, where the system's own one would wait for ever."""
    return QFileDialog.Option.DontUseNativeDialog if in_ipython() else QFileDialog.Option(0)
