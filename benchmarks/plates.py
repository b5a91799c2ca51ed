"""Plates: pairs side by side with the evidence beside them; those for the docs of pictures drawn in code alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import scenes
from numpy.typing import NDArray

from napari_image_diff import Settings, compare

Array = NDArray[Any]

# Pixels that a tile shows of the picture, and of the screen that it takes.
PART, TILE = 96, 200
GAP, CAPTION = 8, 24
MOST = 20

TRUE, FOUND = (80, 200, 255), (255, 80, 60)


def draw_failures(folder: Path, failures: Sequence[tuple[scenes.Scene, NDArray[np.int64], str]]) -> None:
    """Write ``failures.jpg``: pairs that failed, what was found in them, and what was wrong with it."""
    folder.mkdir(parents=True, exist_ok=True)
    if failures:
        _save_in_two_columns(folder / "failures.jpg", [_show(*failure) for failure in failures[:MOST]])


def draw_drawn(folder: Path) -> None:
    """Write, of pairs drawn in code, ``examples.jpg``, where the two ways part, and ``limits.jpg``, where ours ends."""
    folder.mkdir(parents=True, exist_ok=True)
    titles = ("before", "after", "evidence, and what the default finds", "1 - SSIM, and what classic finds")
    header = np.hstack([_captioned(np.empty((0, TILE + GAP, 3), np.uint8), title) for title in titles])
    _save(folder / "examples.jpg", [header, *(_show_example(scene) for scene in scenes.drawn())])
    _save_in_two_columns(folder / "limits.jpg", [_show_limit(scene) for scene in scenes.limits()])


def _show_limit(scene: scenes.Scene) -> Array:
    """Return a row of tiles of a pair that is beyond the default: before, after, and the evidence."""
    table = compare(scene.before, scene.after).regions
    boxes = table[["min_row", "min_col", "max_row", "max_col"]].to_numpy(np.int64)
    return _show(scene, boxes, f"{len(boxes)} found, {len(scene.true)} true")


def _show(scene: scenes.Scene, boxes: NDArray[np.int64], fault: str) -> Array:
    """Return a row of tiles about the fault: before, after, and the evidence."""
    centre = _find_fault(scene, boxes)
    evidence = compare(scene.before, scene.after).evidence
    assert evidence is not None
    tiles = [_tile(scene.before, centre, scene), _tile(scene.after, centre, scene)]
    tiles.append(_tile(_colour(evidence), centre, scene, boxes))
    return _captioned(np.hstack(tiles), f"{scene.name}: {fault}")


def _show_example(scene: scenes.Scene) -> Array:
    """Return a row of tiles: before, after, evidence with what the default finds, what classic finds."""
    height, width = scene.before.shape[:2]
    centre = tuple(scene.true[0].reshape(2, 2).mean(0)) if len(scene.true) else (height / 2, width / 2)
    default, classic = (compare(scene.before, scene.after, each) for each in (None, Settings.classic()))
    tiles = [_tile(scene.before, centre, scene, part=256), _tile(scene.after, centre, scene, part=256)]
    for comparison, image in ((default, _colour(default.evidence)), (classic, _colour(classic.difference))):
        boxes = comparison.regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy(np.int64)
        tiles.append(_tile(image, centre, scene, boxes, part=256))
    counts = f"default finds {len(default.regions)}, classic {len(classic.regions)}"
    return _captioned(np.hstack(tiles), f"{scene.name}: {counts}")


def _find_fault(scene: scenes.Scene, boxes: NDArray[np.int64]) -> tuple[float, float]:
    """Return the middle of a region that is not true, or else of a change."""
    for box in boxes:
        apart = (box[:2] >= scene.true[:, 2:]) | (box[2:] <= scene.true[:, :2])
        if apart.any(1).all():
            return tuple(box.reshape(2, 2).mean(0))
    places = [*scene.true, *boxes, np.array([0, 0, *scene.before.shape[:2]])]
    return tuple(places[0].reshape(2, 2).mean(0))


def _tile(
    image: Array,
    centre: tuple[float, ...],
    scene: scenes.Scene,
    boxes: NDArray[np.int64] | None = None,
    part: int = PART,
) -> Array:
    """Return what lies around `centre`, with the true boxes, and the found ones where given."""
    sides = [min(part, side) for side in image.shape[:2]]
    corner = [int(np.clip(c - s / 2, 0, whole - s)) for c, s, whole in zip(centre, sides, image.shape, strict=False)]
    crop = image[corner[0] : corner[0] + sides[0], corner[1] : corner[1] + sides[1]]
    scale = TILE / part
    shown = np.full((TILE + GAP, TILE + GAP, 3), 255, np.uint8)
    size = round(crop.shape[1] * scale), round(crop.shape[0] * scale)
    way = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
    enlarged = cv2.resize(_as_rgb(crop), size, interpolation=way)
    for some, colour in ((scene.true, TRUE), (boxes if boxes is not None else [], FOUND)):
        for box in some:
            top, left, bottom, right = ((int(side) - corner[i % 2]) * scale for i, side in enumerate(box))
            # Round the pixels, not on them
            cv2.rectangle(enlarged, (round(left) - 2, round(top) - 2), (round(right) + 1, round(bottom) + 1), colour, 1)
    shown[: size[1], : size[0]] = enlarged
    return shown


def _as_rgb(image: Array) -> NDArray[np.uint8]:
    """Return a picture of any type for the eye."""
    if image.dtype != np.uint8:
        image = scenes.to_uint8(image * (255 / (4095 if image.dtype.kind == "u" else 1)))
    return np.ascontiguousarray(np.repeat(image[..., None], 3, 2) if image.ndim == 2 else image[..., :3])


def _colour(values: Array) -> Array:
    """Return a map from 0, black, over 1, the limit of evidence, to 2."""
    levels = scenes.to_uint8(np.nan_to_num(values) * 127.5)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]


def _captioned(row: Array, text: str) -> Array:
    strip = np.full((CAPTION, row.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, text, (2, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([strip, row])


def _save_in_two_columns(path: Path, rows: list[Array]) -> None:
    rows += [np.full_like(rows[0], 255)] * (len(rows) % 2)
    _save(path, [np.hstack(two) for two in zip(rows[::2], rows[1::2], strict=True)])


def _save(path: Path, rows: list[Array]) -> None:
    """Write rows of tiles; as JPEG, since all colours of photographs make large files otherwise."""
    PIL.Image.fromarray(np.vstack(rows)).save(path, quality=80, subsampling=0, optimize=True)
