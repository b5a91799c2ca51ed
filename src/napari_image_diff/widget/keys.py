"""The keys of the dock: which there are, what the user has made of them, and none that napari uses itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from app_model.types import KeyBinding, KeyCode
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Shapes, Surface, Tracks, Vectors
from napari.settings import get_settings

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
    "blink": Action("H", "Blink; then the other image, for good or as long as the key is held"),
    "swipe": Action("W", "Swipe, or no longer"),
    "overlay": Action("J", "Overlay in magenta and green, or no longer"),
    "signed": Action("K", "Signed difference, or no longer"),
    "checkerboard": Action("Q", "Checkerboard, or no longer"),
    "same_contrast": Action("U", "Same contrast for both, or each its own"),
    "real": Action(".", "The marked region is real; go to the next open one"),
    "not_real": Action(",", "The marked region is not real; go to the next open one"),
    "open": Action(";", "The marked region is open again"),
    "note": Action("/", "Write a note on the marked region"),
}


def find_keys() -> tuple[dict[str, str], str]:
    """Return the key of each action that has one, and a sentence on those that have none, "" if all have.

    They are those of the plugin settings. A key that napari uses, that two actions have, or that is none, is left out.
    """
    wanted = wanted_keys()
    taken, found, troubles = keys_of_napari(), {}, []
    for name, action in ACTIONS.items():
        key = wanted.get(name, action.key).strip()
        if not key:
            continue
        try:
            binding = KeyBinding.from_str(key)
        except (KeyError, ValueError):
            binding = None
        # An unknown sign is a binding to nothing, and napari's canvas hears of no keys one after the other
        if binding is None or len(binding.parts) > 1 or binding.part0.key == KeyCode.UNKNOWN:
            troubles.append(f"{key} is no key")
            continue
        if binding in taken:
            troubles.append(f"{key} is {taken[binding]}")
            continue
        taken[binding] = f"'{action.help.lower()}' already"
        found[name] = key
    words = "; ".join(troubles)
    return found, f"Not all keys of the plugin settings can be used: {words}." if words else ""


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
