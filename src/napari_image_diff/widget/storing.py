"""Settings of the form to a file and back, by two buttons."""

from __future__ import annotations

from collections.abc import Callable

from napari.utils.history import update_save_history

from ..reading import explain
from ..settings import Settings, describe_fields
from ..settings_files import read_settings, save_settings
from .dialogs import choose_to_open, choose_to_save, confirm, last_folder
from .panel import Panel

__all__ = ["load_settings", "save_settings_of"]

KIND = "Settings (*.json)"


def save_settings_of(panel: Panel) -> str:
    """Ask for a file, and save the settings of the form in it; return what is to be said."""
    try:
        settings = panel.read_settings()
    except ValueError as error:
        return f"Not saved: {error}."
    place = choose_to_save(panel, "Save settings", last_folder() / "settings.json", KIND)
    if place is None:
        return ""
    if place.suffix.lower() != ".json":
        # What was chosen, the dialog has asked about, but not this
        place = place.with_name(f"{place.name}.json")
        if place.exists() and not confirm(panel, "Save settings", f"{place} is there already. Replace it?"):
            return ""
    try:
        save_settings(settings, place)
    except OSError as error:
        return f"Not saved: {explain(error)}."
    update_save_history(str(place))
    return f"Saved {place}."


def load_settings(panel: Panel, take: Callable[[Settings], None]) -> str:
    """Ask for a file, and hand over the settings in it; return what is to be said."""
    chosen = choose_to_open(panel, "Load settings", KIND)
    if chosen is None:
        return ""
    try:
        settings = Settings.resolve(read_settings(chosen))
    except (OSError, TypeError, ValueError) as error:
        return f"Not loaded: {explain(error)}."
    take(settings)
    return f"Loaded {chosen}{_say_rounded(settings, panel.read_settings())}."


def _say_rounded(asked: Settings, shown: Settings) -> str:
    """Say which numbers the form cannot show as they are in a file; a layer knows by itself whether it is colour."""
    pairs = {name: (getattr(asked, name), getattr(shown, name)) for name in describe_fields() if name != "channels"}
    told = [f"{name} {one!r} as {other!r}" for name, (one, other) in pairs.items() if one != other]
    return f", with {', '.join(told)}" if told else ""
