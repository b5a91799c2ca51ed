"""Python as it is where some packages are not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable

QT = ("PyQt5", "PyQt6", "PySide2", "PySide6")

BLOCK = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run_without(absent: Iterable[str], code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run `code` in a new process, without a display, that does not find the packages named."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-c", BLOCK.format(absent=set(absent)) + code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
