"""Folders and files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

__all__ = ["INCOMPLETE", "check_place", "make_folder", "write_file"]

# How the names end of what is not complete
INCOMPLETE = ".incomplete"


def check_place(
    place: Path, what: str, files: Collection[str], folders: Collection[str], is_ours: Callable[[Path], bool]
) -> bool:
    """Return whether a folder would take the place of an earlier one of its kind; raise OSError if of something else.

    An earlier one is `what` the user knows it as, `is_ours` tells it by what it always has, and nothing is in it but
    these `files` and `folders`.
    """
    if not place.exists():
        return False
    if not place.is_dir():
        raise OSError(f"{place} is a file; give another name for the folder")
    there = sorted(path for path in place.iterdir() if path.suffix != INCOMPLETE)
    for path in there:
        if path.name not in (folders if path.is_dir() else files) or path.is_symlink():
            raise OSError(f"{place} has {path.name} in it, which is no part of a {what}; give another folder")
    # Anybody's files may have these names
    if there and not is_ours(place):
        raise OSError(f"{place} has {there[0].name} in it, and is no {what}; give another folder")
    return bool(there)


@contextlib.contextmanager
def make_folder(place: Path, *, replace: bool) -> Iterator[Path]:
    """Give a folder to write to, which gets the name `place` when that is done.

    What is raised meanwhile removes it, and what was at `place` is there as before. What a killed process leaves has a
    name of its own, with ".incomplete" at the end.

    Parameters
    ----------
    place : Path
        Its parents are made where they are missing.
    replace : bool
        Whether a folder that is there is replaced; it stays until the new one is complete.

    Raises
    ------
    OSError
        If it cannot be written, or without `replace` something came to `place` meanwhile.
    """
    beside = f"{place.name}.{uuid.uuid4().hex[:8]}"
    folder, earlier = place.with_name(f"{beside}{INCOMPLETE}"), place.with_name(f"{beside}.earlier")
    try:
        folder.mkdir(parents=True)
        yield folder
        # Without replace, what came there meanwhile makes the renaming fail
        if replace and place.exists():
            place.rename(earlier)
        folder.rename(place)
    except BaseException:
        if earlier.exists() and not place.exists():
            earlier.rename(place)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def write_file(place: Path, content: bytes) -> None:
    """Write a file, or replace it, whole or not at all; raise OSError where that cannot be."""
    beside = place.with_name(f"{place.name}.{uuid.uuid4().hex[:8]}{INCOMPLETE}")
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError as error:
        raise OSError(
            f"{place} cannot be written: {error.strerror or error}; give another name, or make room"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
