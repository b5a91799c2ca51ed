"""Calls of the command line, and of Python where there is little room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
"""Called with the arguments, it returns exit code, stdout and stderr."""


def assert_one_error(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("napari-image-diff: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def on_small_disk(disk: Path, size: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Call Python where `disk` is a disk of this size; at the end stdout has the names of what is left there."""
    if shutil.which("unshare") is None:
        pytest.skip("a small disk is made by unshare and mount, of Linux")
    script = 'mount -t tmpfs -o size="$SIZE" none "$DISK" || exit 77; "$@"; code=$?; ls -A "$DISK"; exit $code'
    call = ["unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", sys.executable, *map(str, arguments)]
    environment = {**os.environ, "DISK": str(disk), "SIZE": size}
    done = subprocess.run(call, capture_output=True, text=True, env=environment, timeout=120)
    if done.returncode == 77:
        pytest.skip("a small disk cannot be mounted here")
    return done
