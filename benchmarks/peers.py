"""What the engine is measured against."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

Array = NDArray[Any]

# What blazediff-interpret calls a change, and the kinds that it may mean by it.
WORDS = {
    "addition": ("added",),
    "deletion": ("removed",),
    "shift": ("moved",),
    "color-change": ("recoloured", "brighter", "darker"),
    "content-change": ("texture",),
}


def scikit_image(before: Array, after: Array, data_range: float) -> tuple[float, Array]:
    """Return score and SSIM map."""
    score, similarity = structural_similarity(before, after, full=True, data_range=data_range)
    return score, similarity


def fast_ssim(before: Array, after: Array, data_range: float) -> float:
    """Return the score by PyPI's Fast-SSIM."""
    import fast_ssim as module

    return float(module.ssim(before, after, data_range=data_range, win_size=7))


def recipe(before: Array, after: Array) -> tuple[float, list[tuple[int, ...]], Array]:
    """Return score, boxes and filled mask of two colour images, as the two recipes do, without painting pictures."""
    gray_before = cv2.cvtColor(before, cv2.COLOR_RGB2GRAY)
    gray_after = cv2.cvtColor(after, cv2.COLOR_RGB2GRAY)
    score, similarity = structural_similarity(gray_before, gray_after, full=True)
    contours = threshold_and_contours((similarity * 255).astype("uint8"))
    filled = np.zeros(gray_before.shape, np.uint8)
    boxes = []
    for contour in contours:
        if cv2.contourArea(contour) > 40:
            boxes.append(tuple(cv2.boundingRect(contour)))
            cv2.drawContours(filled, [contour], 0, 255, -1)
    return score, boxes, filled


def threshold_and_contours(levels: NDArray[np.uint8]) -> list[Array]:
    """Return the external contours of what Otsu's threshold finds dark."""
    _, mask = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return list(contours)


def interpret(
    before: Array, after: Array, data_range: float
) -> list[tuple[tuple[int, int, int, int], tuple[str, ...]]]:
    """Return box (half-open) and possible kinds of each region that PyPI's blazediff-interpret finds.

    It reads files of 8 bits, so the pair is brought to that. The margin that it puts round its boxes is taken off.
    """
    import blazediff_interpret as module

    files = (_as_png(image, data_range) for image in (before, after))
    found = []
    for region in module.interpret_buffers(*files)["regions"]:
        box = region["bbox"]
        rows = _without_margin(box["y"], box["height"], before.shape[0])
        columns = _without_margin(box["x"], box["width"], before.shape[1])
        found.append(((rows[0], columns[0], rows[1], columns[1]), WORDS.get(region["changeType"], ())))
    return found


def one_pass(before: Array, after: Array, threads: int) -> NDArray[np.float32]:
    """Read both images once and write a fresh float32 map: about the least that any comparison can cost."""
    difference = np.empty(before.shape, np.float32)
    edges = np.linspace(0, len(before), threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(_subtract, *[[each] * threads for each in (before, after, difference)], edges[:-1], edges[1:]))
    return difference


def _as_png(image: Array, data_range: float) -> bytes:
    if image.dtype != np.uint8:
        image = np.clip(np.rint(image * (255 / data_range)), 0, 255).astype(np.uint8)
    if image.ndim == 3:
        image = image[..., [2, 1, 0, *range(3, image.shape[2])]]
    png: bytes = cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()
    return png


def _without_margin(start: int, length: int, whole: int) -> tuple[int, int]:
    """Undo the margin of a third of the length, 2 to 12 pixels, where it does not end at the border."""
    margins = ((length - inner) / 2 for inner in range(length) if inner + 2 * min(max(inner // 3, 2), 12) == length)
    margin = int(next(margins, 0))
    stop = start + length
    return start + margin * (start > 0), stop - margin * (stop < whole)


@njit(nogil=True, error_model="numpy", cache=True)
def _subtract(before, after, difference, top, bottom):
    for i in range(top, bottom):
        for j in range(before.shape[1]):
            difference[i, j] = np.float32(before[i, j]) - np.float32(after[i, j])
