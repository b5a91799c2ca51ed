"""The two classic recipes, written out with scikit-image and OpenCV: what `classic` is held against."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity


class Recipe(NamedTuple):
    score: float
    level: int
    mask: NDArray[np.bool_]
    """The pixels that differ, before filling."""
    boxes: list[tuple[int, int, int, int]]
    """x, y, width, height of each contour that is kept, in raster order of the first pixel."""
    areas: list[float]
    """Contour area of each."""
    filled: NDArray[np.bool_]
    """The kept contours, filled."""
    labels: NDArray[np.int32]
    """The kept contours, filled with their number, from 1."""


def run_recipe(before: NDArray[Any], after: NDArray[Any], min_area: float = 40, **ssim: Any) -> Recipe:
    """Compare two gray images as the recipes do; rounded to 9 decimals and clipped before the cast to 8 bits."""
    score, similarity = structural_similarity(before, after, full=True, **ssim)
    levels = (np.clip(np.round(similarity, 9), 0, 1) * 255).astype(np.uint8)
    level, mask = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(mask.copy(), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    kept = [contour for contour in reversed(contours) if cv2.contourArea(contour) > min_area]
    filled = np.zeros(before.shape, np.uint8)
    labels = np.zeros(before.shape, np.int32)
    for number, contour in enumerate(kept, 1):
        cv2.drawContours(filled, [contour], 0, 255, -1)
        cv2.drawContours(labels, [contour], 0, number, -1)
    boxes = [tuple(map(int, cv2.boundingRect(contour))) for contour in kept]
    areas = [cv2.contourArea(contour) for contour in kept]
    return Recipe(float(score), int(level), mask > 0, boxes, areas, filled > 0, labels)
