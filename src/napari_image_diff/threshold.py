"""From the histogram of the difference to the threshold that cuts it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LEVELS", "count_levels", "otsu_level", "threshold_of_level"]

# The recipes cut an 8-bit image of SSIM.
LEVELS = 256

# OpenCV skips a split that leaves less than this share of the pixels on one side (FLT_EPSILON).
SMALLEST_SHARE = float(np.finfo(np.float32).eps)


@njit(nogil=True, error_model="numpy", cache=True)
def count_levels(difference: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the histogram of SSIM in 8 bits.

    Parameters
    ----------
    difference : (H, W) C-contiguous float32
        1 - SSIM; NaN is not counted.

    Returns
    -------
    (256,) int64
        Pixels at each level, where the level of a difference d is 255 (1 - d) rounded down and clipped to 0..255,
        as the recipes cast SSIM to uint8. Histograms of tiles add up to that of the image.
    """
    # Four histograms, since a processor stalls on adding to one place again and again (an unchanged area is one level)
    # What is not valid comes last
    counts = np.zeros((4, LEVELS + 1), np.int64)
    levels = np.empty(difference.shape[1], np.uint32)
    for i in range(difference.shape[0]):
        line = difference[i]
        for j in range(levels.size):
            d = float(line[j])
            # Below 0 and above 2 there is nothing, unless another thread writes to the images meanwhile
            level = np.int32(min(max((1.0 - d) * 255.0, 0.0), LEVELS - 1.0))
            levels[j] = level if d == d else LEVELS
        for j in range(levels.size):
            counts[j & 3, levels[j]] += 1
    total: NDArray[np.int64] = (counts[0] + counts[1] + counts[2] + counts[3])[:LEVELS]
    return total


def otsu_level(histogram: NDArray[Any]) -> int:
    """Return Otsu's level as OpenCV finds it: the split that parts the two classes best, the first of equals.

    Parameters
    ----------
    histogram : (256,) integers
        Pixels at each level. Their number has no bound (OpenCV's own result depends on its build above 2^31).

    Returns
    -------
    int
        0 to 255: levels up to and including it are the lower class. 0 where there is nothing to split.

    Notes
    -----
    N. Otsu: A threshold selection method from gray-level histograms. IEEE Transactions on Systems, Man, and
    Cybernetics 9(1), 1979. The order of operations and the smallest share are those of OpenCV's ``threshold``, so
    that rounding falls the same way. Where OpenCV hands the search to Intel's IPP, it may choose otherwise between
    splits that are equal to 12 digits.
    """
    counts = [int(count) for count in histogram]
    if not any(counts):
        return 0
    scale = 1.0 / sum(counts)
    mean = sum(level * count for level, count in enumerate(counts)) * scale
    lower_share = lower_mean = best = 0.0
    best_level = 0
    for level, count in enumerate(counts):
        share = count * scale
        lower_mean *= lower_share
        lower_share += share
        upper_share = 1.0 - lower_share
        if min(lower_share, upper_share) < SMALLEST_SHARE or max(lower_share, upper_share) > 1.0 - SMALLEST_SHARE:
            continue
        lower_mean = (lower_mean + level * share) / lower_share
        upper_mean = (mean - lower_share * lower_mean) / upper_share
        between = lower_share * upper_share * (lower_mean - upper_mean) ** 2
        if between > best:
            best, best_level = between, level
    return best_level


def threshold_of_level(level: int) -> float:
    """Return the threshold on the difference that marks the pixels up to and including `level`."""
    return 1.0 - (level + 1) / 255.0
