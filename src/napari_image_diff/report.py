"""What a comparison leaves on disk: a page, the pictures that the two classic recipes draw, maps, table and record."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from .comparison import Comparison
from .folders import make_folder
from .judging import NO_REGION, Limits, judge
from .page import THUMBNAIL, draw_thumbnail, make_page
from .records import list_rows, make_record, to_csv
from .regions import name_box

__all__ = ["check_place", "describe_file", "draw_pictures", "make_report", "write_report"]

# Of the JSON, as in docs/report.schema.json: it changes where something there changes its meaning or goes
VERSION = 1

FILES = (
    "before.png",
    "after.png",
    "difference.png",
    "mask.png",
    "filled_after.png",
    "difference.tif",
    "labels.tif",
    "regions.csv",
    "report.html",
    "report.json",
    THUMBNAIL,
)

Picture = npt.NDArray[np.uint8]

# The recipe's colours, there in OpenCV's order (36, 255, 12) and (0, 255, 0), and its line width.
BOX_COLOR = (12, 255, 36)
FILL_COLOR = (0, 255, 0)
BOX_WIDTH = 2


def draw_pictures(comparison: Comparison) -> dict[str, Picture]:
    """Draw what was found, as the StackOverflow answer "Extract differences between two images" does.

    Parameters
    ----------
    comparison : Comparison
        The result for two images, which are drawn as they were compared: `after` laid on `before`.

    Returns
    -------
    dict
        Five pictures, RGB, uint8, (H, W, 3): ``before`` and ``after`` with a box round each region, ``difference``
        (gray, 255 where 1 - SSIM is 1 or more, so bright where the recipe's is dark; black where it is not valid),
        ``mask`` (the filled regions in green on black) and ``filled_after`` (the same on the after image).
    """
    return _mark(_plain_pictures(comparison), comparison)


def make_report(
    comparison: Comparison, images: Mapping[str, str | os.PathLike[str]], limits: Limits = NO_REGION
) -> dict[str, Any]:
    """Return what there is to say of a comparison, in the types of JSON.

    Parameters
    ----------
    comparison : Comparison
        The result.
    images : mapping
        The files that were compared, by what they are: "before", "after", and any masks.
    limits : Limits
        What counts as different.

    Returns
    -------
    dict
        As docs/report.schema.json describes it.
    """
    reasons = judge(comparison, limits)
    return {
        "format": "napari-image-diff report",
        "version": VERSION,
        "different": bool(reasons),
        "reasons": reasons,
        "limits": limits._asdict(),
        **make_record(comparison),
        "changed_fraction": comparison.changed_fraction,
        "regions": list_rows(comparison.region_columns),
        "forgiven": list_rows(comparison.forgiven_columns),
        "images": {name: describe_file(Path(path)) for name, path in images.items()},
    }


def check_place(place: Path, images: Sequence[str | os.PathLike[str]], replace: bool) -> None:
    """Raise OSError where a report would take the place of something else.

    `images` are the files that are compared; with `replace` an earlier report may go.
    """
    if not place.exists():
        return
    if not place.is_dir():
        raise OSError(f"{place} is a file; give another name for the folder")
    there = sorted(path.name for path in place.iterdir())
    # That of a link is its folder's, too
    if any(place.resolve() in Path(image).resolve().parents for image in images):
        raise OSError(f"{place} has one of the images in it; give another folder")
    foreign = [name for name in there if name not in FILES]
    if foreign:
        raise OSError(f"{place} has {foreign[0]} in it, which is no file of a report; give another folder")
    if there and not replace:
        raise OSError(f"{place} is there already; give another folder, or --force to replace it")


def write_report(comparison: Comparison, place: str | os.PathLike[str], report: Mapping[str, Any]) -> Path:
    """Write page, pictures, maps, table and record of a comparison into a folder: all of them or none.

    Parameters
    ----------
    comparison : Comparison
        As for :func:`draw_pictures`.
    place : path-like
        The folder; what is there is replaced (see `check_place`).
    report : mapping
        What `make_report` returns.

    Returns
    -------
    Path
        The folder, with the five pictures, ``difference.tif`` (float32), ``labels.tif`` (int32), ``regions.csv``,
        ``report.html``, which shows them all, ``thumbnail.jpg`` and ``report.json``.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    place = Path(place).resolve()
    pictures = _plain_pictures(comparison)
    # First of all, since boxes are drawn into the pictures
    page = make_page(report, pictures)
    contents = {THUMBNAIL: _encode(".jpg", draw_thumbnail(pictures))}
    contents |= {f"{name}.png": _encode(".png", picture) for name, picture in _mark(pictures, comparison).items()}
    contents |= {f"{name}.tif": _tiff_of(getattr(comparison, name)) for name in ("difference", "labels")}
    contents["regions.csv"] = to_csv(comparison.region_columns)
    contents["report.html"] = page.encode()
    contents["report.json"] = json.dumps(report, indent=1, allow_nan=False).encode()
    try:
        with make_folder(place, replace=True) as folder:
            for name, content in contents.items():
                (folder / name).write_bytes(content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{place} cannot be written: {reason}; give another folder, or make room") from error
    return place


def _plain_pictures(comparison: Comparison) -> dict[str, Picture]:
    """Return the images as they were compared and their difference, with nothing drawn on them."""
    black, white = _levels(comparison)
    before, after = comparison.pair.colours or (comparison.pair.before, comparison.pair.after)
    return {
        "before": _as_rgb(before, black, white),
        "after": _as_rgb(after, black, white),
        "difference": _as_rgb(comparison.difference, 0.0, 1.0),
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Return name, size and hash of a file; a folder has neither of the last two."""
    if not path.is_file():
        return {"name": path.name, "bytes": None, "sha256": None}
    with path.open("rb") as file:
        return {
            "name": path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _levels(comparison: Comparison) -> tuple[float, float]:
    """Return the intensities shown black and white: the data range, from zero where no intensity is negative."""
    images = (comparison.pair.before, comparison.pair.after)
    span = float(comparison.resolved["data_range"])
    if comparison.pair.before.dtype.kind in "bu":
        return 0.0, span
    # The range of floats is resolved between these percentiles too: one outlier must not turn the picture black.
    lowest = min(float(np.nanpercentile(image, 0.1)) for image in images)
    return (0.0, span) if 0 <= lowest < span else (lowest, lowest + span)


def _as_rgb(image: npt.NDArray[Any], black: float, white: float) -> Picture:
    """Return a gray, RGB or RGBA image as 8-bit RGB; alpha is dropped, NaN is black."""
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.dtype == np.uint8 and (black, white) == (0, 255):
        shown = image[:, :, :3]
    else:
        scaled = (image[:, :, :3].astype(np.float64) - black) * (255 / (white - black))
        shown = np.nan_to_num(scaled, nan=0.0).clip(0, 255).astype(np.uint8)
    return np.array(np.broadcast_to(shown, (*image.shape[:2], 3)), order="C")


def _mark(pictures: dict[str, Picture], comparison: Comparison) -> dict[str, Picture]:
    """Draw boxes into the two images, and return them with the pictures of the mask."""
    changed = comparison.labels > 0
    filled_after = pictures["after"].copy()
    mask = np.zeros_like(filled_after)
    mask[changed] = filled_after[changed] = FILL_COLOR
    boxes = (comparison.region_columns[name].tolist() for name in name_box())
    for top, left, bottom, right in zip(*boxes, strict=True):
        for name in ("before", "after"):
            cv2.rectangle(pictures[name], (left, top), (right, bottom), BOX_COLOR, BOX_WIDTH)
    return {**pictures, "mask": mask, "filled_after": filled_after}


def _encode(suffix: str, picture: Picture) -> bytes:
    return cv2.imencode(suffix, picture[:, :, ::-1])[1].tobytes()


def _tiff_of(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", compression="zlib", predictor=False)
    return buffer.getvalue()
