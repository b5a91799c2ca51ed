"""Whether a region is nothing but a part of the picture that lies a few pixels elsewhere.

Asked only of pairs whose edges are displaced (a board under another lens, a page scanned twice): there the tolerance of
the evidence forgives an edge, and this forgives what a small shift of the whole neighbourhood explains better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["is_displaced"]

# Shifts tried, in pixels either way, and how much of the neighbourhood around a region has to fit too.
REACH = 6
MARGIN = 8

# So few pixels may stay unexplained after the best shift.
MOST_UNEXPLAINED = 12

# A pixel is unexplained if it lies outside its neighbours' span by more than this share of the data range and by more
# than this share of the contrast in 65 x 65 pixels around.
FLOOR = 0.012
SHARE = 0.25
WIDE = 32

# Larger regions are not parts that moved a little.
LARGEST_SIDE = 2048

_compile = njit(nogil=True, error_model="numpy", cache=True)


def is_displaced(before: NDArray[Any], after: NDArray[Any], box: NDArray[np.int64], data_range: float) -> bool:
    """Return whether some shift by up to 6 pixels explains a region.

    Parameters
    ----------
    before, after : (H, W) arrays
        Luma; what is not finite counts for nothing.
    box : (4,) int64
        min_row, min_col, max_row, max_col of the region, half-open.
    data_range : float
        Span of the intensities.
    """
    top, left, bottom, right = (int(side) for side in box)
    if max(bottom - top, right - left) > LARGEST_SIDE:
        return False
    import cv2

    reach = MARGIN + REACH + WIDE
    rows, columns = (slice(max(0, low - reach), high + reach) for low, high in ((top, bottom), (left, right)))
    scale = 255 / data_range
    images: list[Any] = [
        (image[rows, columns].astype(np.float64) * scale).astype(np.float32) for image in (before, after)
    ]
    valid = np.isfinite(images[0]) & np.isfinite(images[1])
    images = [cv2.blur(np.where(valid, image, 0), (3, 3), borderType=cv2.BORDER_REFLECT) for image in images]
    near, wide = np.ones((3, 3), np.uint8), np.ones((2 * WIDE + 1,) * 2, np.uint8)
    # A neighbourhood that reaches out of the picture or to pixels that are not valid explains anything
    known = cv2.erode(valid.astype(np.uint8), near, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    low, high = [cv2.erode(image, near) for image in images], [cv2.dilate(image, near) for image in images]
    spans = [cv2.dilate(image, wide) - cv2.erode(image, wide) for image in images]
    limit = np.maximum(np.float32(255 * FLOOR), np.float32(SHARE) * np.minimum(*spans))
    window = np.array([top - rows.start, left - columns.start, bottom - rows.start, right - columns.start])
    window += np.array([-MARGIN, -MARGIN, MARGIN, MARGIN])
    return bool(_find_shift(images[0], images[1], low[0], high[0], low[1], high[1], limit, known, window))


@_compile
def _find_shift(a, b, low_a, high_a, low_b, high_b, limit, known, window):  # type: ignore[no-untyped-def]
    for down in range(-REACH, REACH + 1):
        for across in range(-REACH, REACH + 1):
            top, left = max(0, window[0], -down), max(0, window[1], -across)
            bottom = min(a.shape[0], window[2], a.shape[0] - down)
            right = min(a.shape[1], window[3], a.shape[1] - across)
            if _explains(a, b, low_a, high_a, low_b, high_b, limit, known, top, left, bottom, right, down, across):
                return True
    return False


@_compile
def _explains(a, b, low_a, high_a, low_b, high_b, limit, known, top, left, bottom, right, down, across):  # type: ignore[no-untyped-def]
    unexplained = 0
    for i in range(top, bottom):
        p = i + down
        for j in range(left, right):
            q = j + across
            if not (known[i, j] and known[p, q]):
                continue
            x, y = a[i, j], b[p, q]
            residual = max(max(y - high_a[i, j], low_a[i, j] - y), max(x - high_b[p, q], low_b[p, q] - x))
            unexplained += residual > limit[i, j]
        if unexplained >= MOST_UNEXPLAINED:
            return False
    return True
