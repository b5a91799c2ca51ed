"""A review in a file: settings, table, decisions, and which images they are about."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .comparison import Comparison
from .folders import write_file
from .records import list_rows, make_record
from .report import describe_file
from .review import Decision, Review, count_verdicts, reviewed
from .settings import Settings
from .sources import Part, Source, open_source
from .verdicts import LONGEST_NOTE, VERDICTS
from .words import printable, shorten

__all__ = ["Saved", "describe_image", "describe_mismatch", "read_review", "write_review"]

FORMAT = "napari-image-diff review"

# As in docs/review.schema.json: it changes where something there changes its meaning or goes
VERSION = 1

# Of 10,000 regions a review has some MB
LARGEST_FILE = 2**30

# No image has more rows, columns or frames
LONGEST_AXIS = 2**31

# Images of more bytes are known by samples: to read all of them takes minutes
LARGEST_WHOLE = 2**28
BAND = 2**26

# Samples along the two longest axes, their side, and those along the other axes
SAMPLES = 4
SIDE = 256
PLANES = 3

IMAGES = ("before", "after")


class Saved(NamedTuple):
    """What is in the file of a review."""

    review: Review
    settings: Settings
    images: dict[str, Any]
    """"before" and "after", as `describe_image` tells of them."""
    record: dict[str, Any]
    """All of it, as docs/review.schema.json describes it."""


def describe_image(array: Any, name: str, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return what an image can be known by later.

    Parameters
    ----------
    array : array
        In memory or in chunks.
    name : str
        What it is called, such as the name of its layer.
    path : path-like, optional
        Its file, if it has one.

    Returns
    -------
    dict
        ``name``, ``path``, ``bytes`` and ``sha256`` of the file (None where there is none), and ``pixels``: ``shape``,
        ``dtype``, ``sha256`` of the values (in the order of C, little-endian) and ``sampled``. Of more than 256 MB
        only samples count, `sampled` is true, and two images that differ elsewhere look the same.

    Raises
    ------
    OSError
        If a part of an image in chunks cannot be read.
    """
    file: dict[str, Any] = {"bytes": None, "sha256": None}
    if path is not None:
        # A review can be saved without it
        with contextlib.suppress(OSError):
            file |= describe_file(Path(path))
    place = None if path is None else str(Path(path).absolute())
    return file | {"name": name, "path": place, "pixels": _describe_pixels(open_source(array, name))}


def write_review(
    place: str | os.PathLike[str],
    comparison: Comparison,
    review: Sequence[Decision],
    images: Mapping[str, Mapping[str, Any]],
    *,
    frame: tuple[int, ...] = (),
) -> None:
    """Write a review into a file, whole or not at all; one that is there is replaced.

    Parameters
    ----------
    place : path-like
        The file, such as "review.json".
    comparison : Comparison
        A result for the images; what was decided of its regions is written, too.
    review : sequence of Decision
        All that was decided.
    images : mapping
        "before" and "after", each as `describe_image` tells of it.
    frame : tuple of int
        As for `review.reviewed`.

    Raises
    ------
    OSError
        If the file cannot be written; what was there before is there still.
    """
    told = reviewed(comparison, review, frame=frame)
    record = {
        "format": FORMAT,
        "version": VERSION,
        **make_record(told),
        "counts": count_verdicts(told),
        "images": {name: images[name] for name in IMAGES},
        "regions": list_rows(told.region_columns),
        "decisions": [
            {"frame": list(each.frame), "verdict": each.verdict, "note": each.note, "runs": each.runs.tolist()}
            for each in review
        ],
    }
    write_file(Path(place), _lay_out(record).encode())


def read_review(place: str | os.PathLike[str]) -> Saved:
    """Return what is in the file of a review. Nothing else is opened, whatever the file says.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is no review, or one of a newer version; the message says what is wrong.
    """
    path = Path(place)
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is no file; give the file of a review")
    if path.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; reviews of {LARGEST_FILE:,} at most are read")
    try:
        found = json.loads(path.read_bytes(), parse_constant=_refuse)
    # RecursionError: brackets in brackets in brackets
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no review, for it is no JSON: {error}") from error
    _require(isinstance(found, dict) and found.get("format") == FORMAT, path, f"its format is not {FORMAT!r}")
    version = found.get("version")
    _require(type(version) is int and version > 0, path, f"its version is {shorten(repr(version))}")
    if version > VERSION:
        raise ValueError(
            f"{path} was written by a newer version of napari-image-diff (its format is {shorten(str(version))}, and "
            f"{VERSION} is the newest that is known here); update napari-image-diff"
        )
    for name, kind in {"settings": dict, "images": dict, "regions": list, "decisions": list, "counts": dict}.items():
        _require(isinstance(found.get(name), kind), path, f"it has no {name}")
    _require(all(isinstance(row, dict) for row in found["regions"]), path, "a row of its regions is none")
    for name in IMAGES:
        _require(_is_image(found["images"].get(name)), path, f"it does not say what {name} was")
    try:
        settings = Settings.resolve(found["settings"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} has settings that cannot be used: {printable(str(error))}") from error
    review = tuple(_read_decision(each, path, number) for number, each in enumerate(found["decisions"], 1))
    return Saved(review, settings, found["images"], found)


def describe_mismatch(saved: Mapping[str, Mapping[str, Any]], images: Mapping[str, Mapping[str, Any]]) -> str:
    """Say in a sentence how images differ from those that a review was saved of; return "" if they are the same.

    Parameters
    ----------
    saved, images : mapping
        "before" and "after", each as `describe_image` tells of it: those of `Saved`, and those that are here. The same
        pixels are the same image, whatever file they are from.
    """
    found = [(name, _list_differences(saved[name], images[name])) for name in IMAGES]
    if not any(differences for _, differences in found):
        return ""
    if not any(_list_differences(saved[one], images[other]) for one, other in (IMAGES, IMAGES[::-1])):
        return "The review is of the same two images the other way round: before was what is after here. Swap them."
    told = [
        f"{name}, {_quote(saved[name])} there and {_quote(images[name])} here, {' and '.join(differences)}"
        for name, differences in found
        if differences
    ]
    return f"The review is of other images: {'; '.join(told)}."


def _quote(image: Mapping[str, Any]) -> str:
    return f"'{shorten(image['name'])}'"


def _list_differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return in words what differs of two images, each as `describe_image` tells of it; nothing of the same pixels."""
    old, new = there["pixels"], here["pixels"]
    found = []
    if list(old["shape"]) != list(new["shape"]):
        sides = (" x ".join(map(str, each["shape"])) or "nothing" for each in (old, new))
        found.append("was {} and is {}".format(*map(shorten, sides)))
    if old["dtype"] != new["dtype"]:
        found.append(f"was {shorten(old['dtype'])} and is {new['dtype']}")
    if not found and old["sha256"] != new["sha256"]:
        found.append("has other values")
    if found and None not in (there["sha256"], here["sha256"]) and there["sha256"] != here["sha256"]:
        found.append("its file is another one")
    return found


# --- pixels ---


def _describe_pixels(source: Source) -> dict[str, Any]:
    size = math.prod(source.shape) * source.dtype.itemsize
    places = _list_bands(source, size) if size <= LARGEST_WHOLE else _list_samples(source.shape)
    found = hashlib.sha256()
    for place in places:
        try:
            part = Part(source, place).fetch()
        except (Exception, SystemExit) as error:  # whatever storage or a task of the user's may raise
            raise OSError(f"{source.name} could not be read: {type(error).__name__}: {error}") from error
        ordered = part.astype(part.dtype.newbyteorder("<"), copy=False)
        found.update(ordered.reshape(-1).view(np.uint8).data)
    return {
        "shape": list(source.shape),
        "dtype": source.dtype.name,
        "sha256": found.hexdigest(),
        "sampled": size > LARGEST_WHOLE,
    }


def _list_bands(source: Source, size: int) -> Iterator[tuple[slice, ...]]:
    """Give all of an image in parts of some MB, and in whole chunks."""
    length, chunk = source.shape[0], max(source.chunks[0], default=1)
    band = max(1, -(-BAND * length // max(1, size) // chunk)) * chunk
    for start in range(0, length, band):
        yield (slice(start, min(start + band, length)), *(slice(0, side) for side in source.shape[1:]))


def _list_samples(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Give blocks that are spread evenly over an image; where they lie depends on its shape alone."""
    longest = sorted(range(len(shape)), key=lambda axis: shape[axis])[-2:]
    spans = []
    for axis, length in enumerate(shape):
        side = min(SIDE, length) if axis in longest else 1
        count = SAMPLES if axis in longest else min(PLANES, length)
        starts = sorted({int(start) for start in np.linspace(0, length - side, count)})
        spans.append([slice(start, start + side) for start in starts])
    yield from itertools.product(*spans)


# --- the file ---


def _lay_out(record: Mapping[str, Any]) -> str:
    """Return a record as JSON of which a person can read the lines: one for each row and each decision."""
    lines = []
    for name, value in record.items():
        if isinstance(value, list) and value:
            text = "[\n" + ",\n".join(json.dumps(each, allow_nan=False) for each in value) + "\n]"
        else:
            text = json.dumps(value, allow_nan=False)
        lines.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _require(so: bool, path: Path, otherwise: str) -> None:
    if not so:
        raise ValueError(f"{path} is no review: {otherwise}; give a file that was saved as one")


def _is_image(image: Any) -> bool:
    """Return whether this is what `describe_image` may tell."""
    if not isinstance(image, dict) or not isinstance(image.get("pixels"), dict):
        return False
    pixels, shape = image["pixels"], image["pixels"].get("shape")
    texts = [image.get("name"), pixels.get("dtype"), pixels.get("sha256")]
    return (
        all(isinstance(text, str) for text in texts)
        and all(image.get(name) is None or isinstance(image[name], str) for name in ("path", "sha256"))
        and (image.get("bytes") is None or type(image["bytes"]) is int)
        and isinstance(pixels.get("sampled"), bool)
        and isinstance(shape, list)
        and all(map(_is_index, shape))
    )


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < LONGEST_AXIS


def _read_decision(found: Any, path: Path, number: int) -> Decision:
    given: dict[str, Any] = found if isinstance(found, dict) else {}
    frame, verdict, note = given.get("frame"), given.get("verdict"), given.get("note")
    read: Any = _read_runs(given.get("runs"))
    wrong = {
        "frame is no list of indices": not isinstance(frame, list) or not all(map(_is_index, frame)),
        f"verdict is none of {', '.join(VERDICTS)}": not isinstance(verdict, str) or verdict not in VERDICTS,
        f"note is no text of {LONGEST_NOTE:,} letters at most": not isinstance(note, str) or len(note) > LONGEST_NOTE,
        "runs are not [row, start, stop], or of volumes [plane, row, start, stop], in their order": read is None,
    }
    for words, is_so in wrong.items():
        if is_so:
            raise ValueError(f"{path} is damaged: of decision {number} the {words}; take another copy of the file")
    return Decision(tuple(given["frame"]), read, given["verdict"], given["note"])


def _read_runs(found: Any) -> NDArray[np.int64] | None:
    """Return the runs of a decision, None if these are none."""
    try:
        runs = np.array(found)
    except (ValueError, OverflowError):  # of several lengths, or too large
        return None
    if runs.dtype.kind != "i" or runs.ndim != 2 or runs.shape[1] not in (3, 4) or not len(runs):
        return None
    runs = runs.astype(np.int64)
    starts, stops = runs[:, -2], runs[:, -1]
    if runs.min() < 0 or runs.max() >= LONGEST_AXIS or (starts >= stops).any():
        return None
    lines = runs[:, -3] + (runs[:, 0] * LONGEST_AXIS if runs.shape[1] == 4 else 0)
    steps = np.diff(lines)
    return None if ((steps < 0) | ((steps == 0) & (starts[1:] < stops[:-1]))).any() else runs
