"""The keys of the dock: which there are, what the user has made of them, and none that napari uses itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from app_model.types import KeyBinding, KeyCode
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Tracks, Vectors
from napari.settings import get_settings

from ..words import shorten
from .preferences import wanted_keys

__all__ = ["ACTIONS", "Action", "find_keys", "keys_of_napari", "with_key"]


class Action(NamedTuple):
    """What a key does."""

    key: str
    """Unless the user has another one in the plugin settings."""
    help: str


ACTIONS = {
    "next_region": Action("N", "Go to the next region of the table"),
    "previous_region": Action("Shift-N", "Go to the previous region of the table"),
    "side_by_side": Action("G", "Side by side, or no longer"),
    "blink": Action("H", "Blink; then each press shows the other image, and holding it shows that as long"),
    "swipe": Action("W", "Swipe, or no longer"),
    "overlay": Action("J", "Overlay in magenta and green, or no longer"),
    "signed": Action("K", "Signed difference, or no longer"),
    "checkerboard": Action("Q", "Tiles of a checkerboard, or no longer"),
    "leave": Action("Shift-H", "No longer blink, nor look in any other of these ways"),
    "same_contrast": Action("U", "Same contrast for both, or each its own"),
    "real": Action(".", "The marked region is real; go to the next open one"),
    "not_real": Action(",", "The marked region is not real; go to the next open one"),
    "open": Action(";", "The marked region is open again"),
    "note": Action("/", "Write a note on the marked region"),
}


def find_keys() -> tuple[dict[str, str], str]:
    """Return the key of each action that has one, and a sentence on those that cannot have theirs, "" if all can.

    They are those of the plugin settings. In the place of a key that napari uses, that two actions have, or that is
    none, an action has the one that it has by itself, if that is free.
    """
    wanted = wanted_keys()
    taken, found, refused = keys_of_napari(), {}, {}
    for name, action in ACTIONS.items():
        key = wanted.get(name, action.key).strip()
        if key and (obstacle := _find_obstacle(key, taken)):
            refused[name] = f"{shorten(key)} {obstacle}"
        elif key:
            found[name] = key
            taken[KeyBinding.from_str(key)] = _describe(name)
    troubles = []
    for name, words in refused.items():
        key = ACTIONS[name].key
        if not _find_obstacle(key, taken):
            found[name] = key
            taken[KeyBinding.from_str(key)] = _describe(name)
        troubles.append(f"{words} ({_describe(name)} has {found.get(name, 'none')})")
    words = "; ".join(troubles)
    return found, f"Not all keys of the plugin settings can be used: {words}." if words else ""


def _find_obstacle(key: str, taken: Mapping[KeyBinding, str]) -> str:
    """Return why a key cannot be one of ours, "" if it can."""
    try:
        binding = KeyBinding.from_str(key)
    except (KeyError, ValueError):
        return "is no key"
    # An unknown sign is a binding to nothing, and napari's canvas hears of no keys one after the other
    if len(binding.parts) > 1 or binding.part0.key == KeyCode.UNKNOWN:
        return "is no key"
    return f"is {taken[binding]}" if binding in taken else ""


def _describe(name: str) -> str:
    return f"our '{name.replace('_', ' ')}'"


def keys_of_napari() -> dict[KeyBinding, str]:
    """Return the keys that napari uses, anywhere in its window, and for what."""
    shortcuts: Mapping[str, Any] = get_settings().shortcuts.shortcuts
    found = {
        _binding_of(key): f"napari's for '{name.partition(':')[2].replace('_', ' ')}'"
        for name, keys in shortcuts.items()
        for key in keys
    }
    # Some are bound to a kind of layer without a name
    for kind in (ViewerModel, Layer, Image, Labels, Points, Shapes, Surface, Tracks, Vectors):
        for key in kind.class_keymap:
            found.setdefault(_binding_of(key), f"napari's, of {kind.__name__}")
    return found


def with_key(help_: str, key: str | None) -> str:
    """Return a tooltip that names the key."""
    return f"{help_.rstrip('.')} ({key})." if key else help_


def _binding_of(key: Any) -> KeyBinding:
    return key if isinstance(key, KeyBinding) else KeyBinding.from_str(str(key))
