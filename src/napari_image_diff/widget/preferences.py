"""What the user has set for this plugin in napari's preferences: settings to begin with, and keys."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

from ..settings import Settings

__all__ = ["PLUGIN", "WHERE", "begin_settings", "key_events", "wanted_keys"]

PLUGIN = "napari-image-diff"

# In napari's menus
WHERE = "File > Preferences > napari-image-diff"

# The groups of the manifest. "shortcuts" would be the better word, but napari 0.9.2 takes a group of that name for its
# own list of shortcuts, and its preferences do not open (napari/_qt/dialogs/preferences_dialog.py, _get_page_dict).
DEFAULTS, KEYS = "defaults", "keybindings"


def begin_settings() -> Settings:
    """Return the settings with which a dock begins."""
    found = _find_group(DEFAULTS)
    return Settings() if found is None else Settings(**dict(found))


def wanted_keys() -> dict[str, str]:
    """Return the key that the user wants for each action; {} where napari does not know the plugin, as in a script."""
    found = _find_group(KEYS)
    return {} if found is None else {name: str(key) for name, key in found}


def key_events() -> Any:
    """Return the events that tell that the user has changed a key; None where napari does not know the plugin."""
    found = _find_group(KEYS)
    return None if found is None else found.events


def _find_group(name: str) -> Any:
    """Return a group of the plugin settings, a model with an attribute for each; None where there is none."""
    try:
        return getattr(get_plugin_settings(PLUGIN), name, None)
    except KeyError:
        return None
