"""What a comparison leaves on disk: a page, the pictures that the two classic recipes draw, maps, table and record."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import tifffile

from . import folders
from .comparison import Comparison
from .folders import make_folder
from .judging import NO_REGION, Limits, judge
from .page import THUMBNAIL, draw_thumbnail, make_page
from .preparation import fold
from .records import list_rows, make_record, to_csv
from .regions import name_box
from .tables import Columns, count_rows
from .tiles import map_tiles, stepper
from .zarr_files import write_zarr

__all__ = [
    "KINDS",
    "SHEET",
    "check_place",
    "describe_file",
    "draw_pictures",
    "make_files",
    "make_report",
    "name_crop",
    "write_report",
]

FORMAT = "napari-image-diff report"

# Of the JSON, as in docs/report.schema.json: it changes where something there changes its meaning or goes
VERSION = 1

# The folder of maps in chunks
MAPS = "result.zarr"

# Regions as pairs of crops: all in one picture, and each in one of its own
SHEET = "regions.png"
CROP = re.compile(r"region-[0-9]{4,}\.png")

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
    SHEET,
)

# How they end, by which some of them can be asked for
KINDS = (".csv", ".html", ".jpg", ".json", ".png", ".tif", ".zarr")

Picture = npt.NDArray[np.uint8]

# The recipe's colours, there in OpenCV's order (36, 255, 12) and (0, 255, 0), and its line width.
BOX_COLOR = (12, 255, 36)
FILL_COLOR = (0, 255, 0)
BOX_WIDTH = 2


class Shown(NamedTuple):
    """The planes of a comparison that are drawn: of a stack or a volume those of which most changed."""

    before: npt.NDArray[Any]
    """(H, W) or (H, W, 3 or 4), as it was compared; so is `after`, laid on it."""
    after: npt.NDArray[Any]
    difference: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    frame: Comparison
    """What the planes are of: the comparison, or that of the frame."""
    regions: Columns
    """Those that are to be seen; so are `forgiven`."""
    forgiven: Columns
    note: str
    """Which planes these are, where there are others."""


def pick_shown(comparison: Comparison) -> Shown:
    """Return what is drawn of a comparison in memory."""
    frame, notes = comparison, []
    if comparison.frames:
        index = comparison.worst_frame
        frame = comparison.frames[np.ravel_multi_index(index, np.shape(comparison.score))]
        text = str(index[0]) if len(index) == 1 else str(index)
        notes.append(f"frame {text} of {len(comparison.frames):,}")
    before, after = frame.pair.colours or (frame.pair.before, frame.pair.after)
    shown = Shown(
        before, after, frame.difference, frame.labels, frame, frame.region_columns, frame.forgiven_columns, ""
    )
    if frame.labels.ndim == 3:
        plane = int(np.count_nonzero(frame.labels, axis=(1, 2)).argmax())
        notes.append(f"plane {plane} of {len(frame.labels):,}")
        shown = shown._replace(
            before=fold(before, frame.pair.volume)[plane],
            after=fold(after, frame.pair.volume)[plane],
            difference=frame.difference[plane],
            labels=frame.labels[plane],
            regions=_cut_plane(frame.region_columns, plane),
            forgiven=_cut_plane(frame.forgiven_columns, plane),
        )
    if not notes:
        return shown
    count = count_rows(comparison.region_columns)
    text = ", ".join(notes).capitalize()
    note = f"{text}, of which most changed: its regions are below, and all {count:,} in regions.csv."
    return shown._replace(note=note)


def _cut_plane(table: Columns, plane: int) -> Columns:
    """Return the rows of a table of volumes that are in a plane."""
    here = (table["min_plane"] <= plane) & (plane < table["max_plane"])
    return {name: column[here] for name, column in table.items()}


def draw_pictures(comparison: Comparison) -> dict[str, Picture]:
    """Draw what was found, as the StackOverflow answer "Extract differences between two images" does.

    Parameters
    ----------
    comparison : Comparison
        The result for images in memory, which are drawn as they were compared: `after` laid on `before`. Of stacks and
        volumes the planes are drawn of which most changed.

    Returns
    -------
    dict
        Five pictures, RGB, uint8, (H, W, 3): ``before`` and ``after`` with a box round each region, ``difference``
        (gray, 255 where 1 - SSIM is 1 or more, so bright where the recipe's is dark; black where it is not valid),
        ``mask`` (the filled regions in green on black) and ``filled_after`` (the same on the after image).
    """
    shown = pick_shown(comparison)
    return _mark(_plain_pictures(shown), shown)


def make_report(
    comparison: Comparison, images: Mapping[str, Mapping[str, Any]], limits: Limits = NO_REGION
) -> dict[str, Any]:
    """Return what there is to say of a comparison, in the types of JSON.

    Parameters
    ----------
    comparison : Comparison
        The result.
    images : mapping
        What was compared, by what it is: "before", "after", and any masks; each as `describe_file` tells of it.
    limits : Limits
        What counts as different.

    Returns
    -------
    dict
        As docs/report.schema.json describes it.
    """
    reasons = judge(comparison, limits)
    return {
        "format": FORMAT,
        "version": VERSION,
        "different": bool(reasons),
        "reasons": reasons,
        "limits": limits._asdict(),
        **make_record(comparison),
        "changed_fraction": comparison.changed_fraction,
        "regions": list_rows(comparison.region_columns),
        "forgiven": list_rows(comparison.forgiven_columns),
        "images": {name: dict(image) for name, image in images.items()},
    }


def check_place(place: Path, images: Sequence[str | os.PathLike[str]] = ()) -> bool:
    """Return whether a report would take the place of an earlier one; raise OSError if of something else.

    `images` are the files that are compared.
    """
    # That of a link is its folder's, too
    if any(place.resolve() in Path(image).resolve().parents for image in images):
        raise OSError(f"{place} has one of the images in it; give another folder")
    crops = {path.name for path in place.glob("region-*.png") if CROP.fullmatch(path.name)}
    return folders.check_place(place, "report", crops.union(FILES), (MAPS,), _is_report)


def name_crop(label: int) -> str:
    """Return the name of the picture of a region."""
    return f"region-{label:04d}.png"


def _is_report(place: Path) -> bool:
    """Return whether a folder has the record of a report."""
    try:
        found = json.loads((place / "report.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def write_report(
    comparison: Comparison,
    place: str | os.PathLike[str],
    report: Mapping[str, Any],
    kinds: Container[str] = KINDS,
    *,
    where: Mapping[str, Any] | None = None,
    more: Iterable[tuple[str, bytes]] = (),
    replace: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write page, pictures, maps, table and record of a comparison into a folder: all of them or none.

    Parameters
    ----------
    comparison : Comparison
        The result.
    place : path-like
        The folder (see `check_place`).
    report : mapping
        What `make_report` returns.
    kinds : container of str
        The files that are written, by how they end; all by default.
    where : mapping, optional
        Where the pixels of maps in chunks lie: `scale`, `translate` and `units`, as `zarr_files.write_zarr` takes them.
    more : iterable of str and bytes
        Names and contents of pictures of regions, each of which is written before the next one is asked for.
    replace : bool
        Whether a folder that is there is replaced, when all is written.
    progress : callable, optional
        Called as ``progress(done, total)`` on the calling thread; an exception that it raises ends the run, goes on to
        the caller, and leaves what was there before.

    Returns
    -------
    Path
        The folder, with the five pictures, ``difference.tif`` (float32), ``labels.tif`` (int32), ``regions.csv``,
        ``report.html``, which shows them all, ``thumbnail.jpg`` and ``report.json``. Of images in chunks, with
        ``result.zarr`` (see `zarr_files.write_zarr`), ``regions.csv`` and ``report.json``.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    place = Path(place).resolve()
    contents = make_files(comparison, report, kinds)
    try:
        with make_folder(place, replace=replace) as folder:
            for done, (name, content) in enumerate(contents.items()):
                if progress is not None:
                    progress(done, len(contents))
                (folder / name).write_bytes(content)
            for name, content in more:
                (folder / name).write_bytes(content)
            if comparison.pyramid is not None and ".zarr" in kinds:
                write_zarr(comparison, folder / MAPS, **(where or {}), progress=progress)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(f"{place} cannot be written: {reason}; give another folder, or make room") from error
    return place


def make_files(comparison: Comparison, report: Mapping[str, Any], kinds: Container[str] = KINDS) -> dict[str, bytes]:
    """Return the files of a report by their names, but for maps in chunks: those that end as `kinds` do."""
    jobs: dict[str, Callable[[], bytes]] = {
        "regions.csv": lambda: to_csv(comparison.region_columns),
        "report.json": lambda: json.dumps(report, indent=1, allow_nan=False).encode(),
    }
    if comparison.pyramid is None:
        if any(kind in kinds for kind in (".html", ".jpg", ".png")):
            jobs |= _plan_pictures(comparison, report)
        for name in ("difference", "labels"):
            jobs[f"{name}.tif"] = functools.partial(_tiff_of, getattr(comparison, name))
    wanted = [name for name in jobs if Path(name).suffix in kinds]
    made = map_tiles(lambda name: jobs[name](), wanted, stepper(None, len(wanted)))
    return dict(zip(wanted, made, strict=True))


def _plan_pictures(comparison: Comparison, report: Mapping[str, Any]) -> dict[str, Callable[[], bytes]]:
    """Return what makes page, thumbnail and pictures."""
    shown = pick_shown(comparison)
    pictures = _plain_pictures(shown)
    part = {
        "regions": list_rows(shown.regions),
        "forgiven": list_rows(shown.forgiven),
        "resolved": make_record(shown.frame)["resolved"],
    }
    # Boxes are drawn into copies, since all is encoded side by side
    drawn = _mark({name: picture.copy() for name, picture in pictures.items()}, shown)
    return {
        "report.html": lambda: make_page(report, pictures, shown.note, part).encode(),
        THUMBNAIL: lambda: _encode(".jpg", draw_thumbnail(pictures)),
        **{f"{name}.png": functools.partial(_encode, ".png", picture) for name, picture in drawn.items()},
    }


def _plain_pictures(shown: Shown) -> dict[str, Picture]:
    """Return the images as they were compared and their difference, with nothing drawn on them."""
    black, white = _levels(shown)
    return {
        "before": _as_rgb(shown.before, black, white),
        "after": _as_rgb(shown.after, black, white),
        "difference": _as_rgb(shown.difference, 0.0, 1.0),
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


def _levels(shown: Shown) -> tuple[float, float]:
    """Return the intensities shown black and white: the data range, from zero where no intensity is negative."""
    pair = shown.frame.pair
    span = float(shown.frame.resolved["data_range"])
    if pair.before.dtype.kind in "bu":
        return 0.0, span
    # The range of floats is resolved between these percentiles too: one outlier must not turn the picture black.
    lowest = min(float(np.nanpercentile(image, 0.1)) for image in (pair.before, pair.after))
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


def _mark(pictures: dict[str, Picture], shown: Shown) -> dict[str, Picture]:
    """Draw boxes into the two images, and return them with the pictures of the mask."""
    changed = shown.labels > 0
    filled_after = pictures["after"].copy()
    mask = np.zeros_like(filled_after)
    mask[changed] = filled_after[changed] = FILL_COLOR
    boxes = (shown.regions[name].tolist() for name in name_box())
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
