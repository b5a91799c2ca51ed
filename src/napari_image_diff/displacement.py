"""Whether a region is nothing but a part of the picture that lies a few pixels elsewhere.

Asked only of pairs whose edges are displaced (a board under another lens, a page scanned twice): there the tolerance of
the evidence forgives an edge, and this forgives what a small shift of the whole neighbourhood explains better.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["AROUND_REGION", "LARGEST_SIDE", "is_displaced"]

# Shifts tried, in pixels either way, and how much of the neighbourhood around a region has to fit too.
REACH = 6
MARGIN = 8

# So few pixels may stay unexplained after the best shift.
MOST_UNEXPLAINED = 12

# A pixel is unexplained if it lies outside its neighbours' span by more than this share of the data range and by more
# than this share of the contrast in 65 x 65 pixels around.
FLOOR = 0.012
COLOUR_FLOOR = 0.032
SHARE = 0.25
WIDE = 32

# Larger regions are not parts that moved a little.
LARGEST_SIDE = 2048

# Pixels around the box of a region that are looked at.
AROUND_REGION = MARGIN + REACH + WIDE

NEAR = np.ones((3, 3), np.uint8)
AROUND = np.ones((2 * WIDE + 1,) * 2, np.uint8)

Plane = NDArray[np.float32]

_compile = njit(nogil=True, error_model="numpy", cache=True)


def is_displaced(
    lumas: tuple[NDArray[Any], NDArray[Any]],
    colours: tuple[NDArray[Any], ...],
    box: NDArray[np.int64],
    data_range: float,
) -> bool:
    """Return whether some shift by up to 6 pixels explains a region, in luma and colour at once.

    Parameters
    ----------
    lumas : (before, after), (H, W) arrays
        What is not finite counts for nothing.
    colours : (before, after), (H, W, 3 or 4) arrays, or ()
        The same images in colour, with alpha where that is compared.
    box : (4,) int64
        min_row, min_col, max_row, max_col of the region, half-open.
    data_range : float
        Span of the intensities.
    """
    top, left, bottom, right = (int(side) for side in box)
    if max(bottom - top, right - left) > LARGEST_SIDE:
        return False
    import cv2

    part = tuple(
        slice(max(0, low - AROUND_REGION), high + AROUND_REGION) for low, high in ((top, bottom), (left, right))
    )
    scale = 255 / data_range
    planes = [[plane[part].astype(np.float64) * scale] for plane in lumas]
    for channels, image in zip(planes, colours, strict=False):
        red, green, blue, *alpha = np.moveaxis(image[part].astype(np.float64) * scale, 2, 0)
        channels += [red - green, (red + green) / 2 - blue, *alpha]
    valid = np.isfinite(planes[0][0]) & np.isfinite(planes[1][0])
    # A neighbourhood that reaches out of the picture or to pixels that are not valid explains anything
    known = cv2.erode(valid.astype(np.uint8), NEAR, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    before, after = (_find_envelopes([np.where(valid, channel, 0) for channel in channels]) for channels in planes)
    floors = np.array([FLOOR] + [COLOUR_FLOOR] * (len(planes[0]) - 1), np.float32)[:, None, None]
    limit = np.maximum(255 * floors, np.float32(SHARE) * np.minimum(before[3], after[3]))
    window = np.array([top - part[0].start, left - part[1].start, bottom - part[0].start, right - part[1].start])
    window += np.array([-MARGIN, -MARGIN, MARGIN, MARGIN])
    return bool(_find_shift(*before[:3], *after[:3], limit, known, window))


def _find_envelopes(channels: list[NDArray[np.float64]]) -> tuple[Plane, Plane, Plane, Plane]:
    """Return each channel smoothed, the least and the greatest pixel near each, and the span of those around.

    Each is (channels, H, W).
    """
    import cv2

    found = []
    for channel in channels:
        smooth: Any = cv2.blur(channel.astype(np.float32), (3, 3), borderType=cv2.BORDER_REFLECT)
        span = cv2.dilate(smooth, AROUND) - cv2.erode(smooth, AROUND)
        found.append((smooth, cv2.erode(smooth, NEAR), cv2.dilate(smooth, NEAR), span))
    smooth, low, high, span = (np.stack(planes) for planes in zip(*found, strict=True))
    return smooth, low, high, span


@_compile
def _find_shift(a, low_a, high_a, b, low_b, high_b, limit, known, window):  # type: ignore[no-untyped-def]
    height, width = known.shape
    for down in range(-REACH, REACH + 1):
        for across in range(-REACH, REACH + 1):
            top, left = max(0, window[0], -down), max(0, window[1], -across)
            bottom, right = min(height, window[2], height - down), min(width, window[3], width - across)
            part = (top, left, bottom, right)
            if _explains(a, low_a, high_a, b, low_b, high_b, limit, known, part, down, across):
                return True
    return False


@_compile
def _explains(a, low_a, high_a, b, low_b, high_b, limit, known, part, down, across):  # type: ignore[no-untyped-def]
    unexplained = 0
    for i in range(part[0], part[2]):
        p = i + down
        for j in range(part[1], part[3]):
            q = j + across
            if not (known[i, j] and known[p, q]):
                continue
            for c in range(a.shape[0]):
                x, y = a[c, i, j], b[c, p, q]
                lies_out = max(y - high_a[c, i, j], low_a[c, i, j] - y)
                if max(lies_out, max(x - high_b[c, p, q], low_b[c, p, q] - x)) > limit[c, i, j]:
                    unexplained += 1
                    break
        if unexplained >= MOST_UNEXPLAINED:
            return False
    return True
