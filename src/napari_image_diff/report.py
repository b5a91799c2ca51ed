"""What a comparison leaves on disk: the pictures that the two classic recipes draw."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .comparison import Comparison

__all__ = ["draw_pictures", "write_pictures"]

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
    black, white = _levels(comparison)
    images = comparison.pair.colours or (comparison.pair.before, comparison.pair.after)
    shown_before, shown_after = (_as_rgb(image, black, white) for image in images)
    changed = comparison.labels > 0
    mask = np.zeros_like(shown_after)
    filled_after = shown_after.copy()
    mask[changed] = filled_after[changed] = FILL_COLOR
    return {
        "before": _with_boxes(shown_before, comparison),
        "after": _with_boxes(shown_after, comparison),
        "difference": _as_rgb(comparison.difference, 0.0, 1.0),
        "mask": mask,
        "filled_after": filled_after,
    }


def write_pictures(comparison: Comparison, folder: str | os.PathLike[str]) -> list[Path]:
    """Write the five pictures of :func:`draw_pictures` as PNG files into `folder`, all of them or none.

    Parameters
    ----------
    comparison : Comparison
        As for :func:`draw_pictures`.
    folder : path-like
        Made where it does not exist; pictures of an earlier comparison in it are replaced.

    Returns
    -------
    list of Path
        The files written: ``before.png``, ``after.png``, ``difference.png``, ``mask.png``, ``filled_after.png``.

    Raises
    ------
    OSError
        If the folder or a file in it cannot be written.
    """
    pictures = draw_pictures(comparison)
    return _write_whole({f"{name}.png": _png_of(picture) for name, picture in pictures.items()}, Path(folder))


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


def _with_boxes(picture: Picture, comparison: Comparison) -> Picture:
    boxes = comparison.regions[["min_row", "min_col", "max_row", "max_col"]]
    for top, left, bottom, right in boxes.itertuples(index=False):
        cv2.rectangle(picture, (left, top), (right, bottom), BOX_COLOR, BOX_WIDTH)
    return picture


def _png_of(picture: Picture) -> bytes:
    return cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes()


def _write_whole(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write `files` beside their places first, so that a full disk leaves nothing half-written."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as unfinished:
        for name, content in files.items():
            Path(unfinished, name).write_bytes(content)
        return [Path(unfinished, name).replace(folder / name) for name in files]
