"""Calls of the command line."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Called with the arguments, it returns exit code, stdout and stderr."""


def assert_one_error(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.startswith("napari-image-diff: error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
