"""Settings in a JSON file, as the command line and the dock save and load them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from .folders import write_file
from .settings import Settings

__all__ = ["read_settings", "save_settings"]


def read_settings(file: Path) -> dict[str, Any]:
    """Return the settings in a JSON file, or in the record of a report, as they stand there: all or some.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it has none. Whether they are settings, and in their bounds, `Settings.resolve` says.
    """
    try:
        found = json.loads(file.read_bytes())
    # RecursionError: brackets in brackets in brackets
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}); give settings as --save-settings writes them") from error
    found = found.get("settings", found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise ValueError(f"{file} has no settings; give a JSON object of them, as --save-settings writes it")
    return found


def save_settings(settings: Settings, file: Path) -> None:
    """Write all settings into a JSON file, whole or not at all."""
    write_file(file, json.dumps(dataclasses.asdict(settings), indent=1).encode())
