"""Settings of the form to a file and back, by two buttons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from napari.utils.history import get_open_history, get_save_history, update_open_history, update_save_history
from napari.utils.misc import in_ipython
from qtpy.QtWidgets import QFileDialog, QMessageBox

from ..reading import explain
from ..settings import Settings, describe_fields
from ..settings_files import read_settings, save_settings
from .panel import Panel

__all__ = ["load_settings", "save_settings_of"]

KIND = "Settings (*.json)"


def save_settings_of(panel: Panel) -> str:
    """Ask for a file, and save the settings of the form in it; return what is to be said."""
    try:
        settings = panel.read_settings()
    except ValueError as error:
        return f"Not saved: {error}."
    start = Path(next(iter(get_save_history()), ".")) / "settings.json"
    chosen, _ = QFileDialog.getSaveFileName(panel, "Save settings", str(start), KIND, options=_options())
    if not chosen:
        return ""
    place = Path(chosen)
    if place.suffix.lower() != ".json":
        # What was chosen, the dialog has asked about, but not this
        place = place.with_name(f"{place.name}.json")
        if place.exists() and not _confirm(panel, f"{place} is there already. Replace it?"):
            return ""
    try:
        save_settings(settings, place)
    except OSError as error:
        return f"Not saved: {explain(error)}."
    update_save_history(str(place))
    return f"Saved {place}."


def load_settings(panel: Panel, take: Callable[[Settings], None]) -> str:
    """Ask for a file, and hand over the settings in it; return what is to be said."""
    start = str(next(iter(get_open_history()), "."))
    chosen, _ = QFileDialog.getOpenFileName(panel, "Load settings", start, KIND, options=_options())
    if not chosen:
        return ""
    try:
        settings = Settings.resolve(read_settings(Path(chosen)))
    except (OSError, TypeError, ValueError) as error:
        return f"Not loaded: {explain(error)}."
    update_open_history(chosen)
    take(settings)
    return f"Loaded {chosen}{_say_rounded(settings, panel.read_settings())}."


def _say_rounded(asked: Settings, shown: Settings) -> str:
    """Say which numbers the form cannot show as they are in a file; a layer knows by itself whether it is colour."""
    pairs = {name: (getattr(asked, name), getattr(shown, name)) for name in describe_fields() if name != "channels"}
    told = [f"{name} {one!r} as {other!r}" for name, (one, other) in pairs.items() if one != other]
    return f", with {', '.join(told)}" if told else ""


def _confirm(panel: Panel, question: str) -> bool:
    answers = QMessageBox.StandardButton
    answer = QMessageBox.question(panel, "Save settings", question, answers.Yes | answers.No, defaultButton=answers.No)
    return bool(answer == answers.Yes)


def _options() -> QFileDialog.Option:
    """Return how a dialog is opened: as napari does, where the system's own one would wait for ever."""
    return QFileDialog.Option.DontUseNativeDialog if in_ipython() else QFileDialog.Option(0)
