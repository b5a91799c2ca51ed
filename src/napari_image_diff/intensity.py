"""Brightness and contrast of one image against the other: a gain and an offset, fitted on what did not change."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Light", "find_step", "fit_light", "is_clipped_at_ends", "undo_light"]

# Pixels that are looked at, at most.
SAMPLES = 2**18

# A pixel follows the fit while it is so many robust standard deviations from it, and half a level of 255 at least.
REACH = 2.5
FINEST = 0.5

ROUNDS = 20

# What spans less than this share of the data range tells nothing of the contrast.
FLAT = 0.02


class Light(NamedTuple):
    """``after = gain * before + offset`` where nothing changed."""

    gain: float
    offset: float
    """In units of the data."""


def fit_light(
    before: NDArray[Any], after: NDArray[Any], data_range: float, step: int = 0, clipped: bool | None = None
) -> Light:
    """Return gain and offset of `after` against `before`.

    Parameters
    ----------
    before, after : (H, W) arrays of one shape
        What is not finite, or clipped at either end of the data range, is left out.
    data_range : float
        Span of the intensities.
    step : int
        Of how many pixels, down and across, one is looked at; 0: as `find_step` says.
    clipped : bool, optional
        Whether both images may be clipped, where the arrays are samples of them.

    Returns
    -------
    Light
        Gain 1 and the median offset where the images have too little contrast to tell a gain; (1, 0) where nothing
        is left.

    Notes
    -----
    Total least squares, since both images have noise, on the pixels that follow the last fit, again and again
    until they are the same; it begins at the fit that takes the percentiles 5 and 95 of one image to those of the
    other.
    """
    if clipped is None:
        clipped = all(is_clipped_at_ends(plane, data_range) for plane in (before, after))
    x, y = _sample(before, after, data_range, step or find_step(before.shape), clipped)
    if not x.size:
        return Light(1.0, 0.0)
    low, high = np.percentile(x, (5, 95))
    other_low, other_high = np.percentile(y, (5, 95))
    if high - low < FLAT * data_range or other_high - other_low < FLAT * data_range:
        return Light(1.0, float(np.median(y - x)))
    gain = (other_high - other_low) / (high - low)
    offset = other_low - gain * low
    near = np.zeros(x.shape, np.bool_)
    for _ in range(ROUNDS):
        away = np.abs(y - gain * x - offset)
        followers = away <= max(REACH * 1.4826 * np.median(away), FINEST * data_range / 255)
        if np.array_equal(followers, near):
            break
        near = followers
        gain, offset = _fit_line(x[near], y[near])
    return Light(float(gain), float(offset))


def find_step(shape: tuple[int, ...]) -> int:
    """Return of how many pixels, down and across, one is looked at."""
    return max(1, math.ceil(math.sqrt(shape[0] * shape[1] / SAMPLES)))


def _sample(
    before: NDArray[Any], after: NDArray[Any], data_range: float, step: int, clipped: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of both images on a grid that count."""
    found = [plane[::step, ::step].astype(np.float64).ravel() for plane in (before, after)]
    counts = np.isfinite(found[0]) & np.isfinite(found[1])
    if clipped:
        for values in found:
            counts &= (values > 0) & (values < data_range)
    if not counts.any():  # a black image may still have become gray
        counts = np.isfinite(found[0]) & (found[1] > 0) & (found[1] < data_range)
    return found[0][counts], found[1][counts]


def is_clipped_at_ends(plane: NDArray[Any], data_range: float) -> bool:
    """Return whether values lie between 0 and the data range, so that what is there may have been beyond."""
    finite = plane[np.isfinite(plane)]
    return bool(finite.size and finite.min() >= 0 and finite.max() <= data_range)


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Return slope and intercept of the line that is least far from the points, across it."""
    middle_x, middle_y = x.mean(), y.mean()
    xx, yy, xy = np.mean((x - middle_x) ** 2), np.mean((y - middle_y) ** 2), np.mean((x - middle_x) * (y - middle_y))
    if xy <= 0:
        return 1.0, float(middle_y - middle_x)
    slope = (yy - xx + math.hypot(yy - xx, 2 * xy)) / (2 * xy)
    return slope, float(middle_y - slope * middle_x)


def undo_light(
    before: NDArray[Any], after: NDArray[Any], light: Light, data_range: float, clipped: bool | None = None
) -> NDArray[Any]:
    """Return `after`, of any shape, with gain and offset undone: float32, or float64 for wide types.

    Where `after` is clipped at an end of its range, 0 or `data_range`, and `before` is where such pixels come from, it
    is given the value of `before`: what was lost there cannot be held against it. `clipped` says whether the image
    may be, where `after` is a part of it.
    """
    kind = np.result_type(after.dtype, np.float32)
    found: NDArray[Any] = ((after.astype(np.float64) - light.offset) / light.gain).astype(kind)
    if not (is_clipped_at_ends(after, data_range) if clipped is None else clipped):
        return found
    lost = ((after >= data_range) & (found <= before)) | ((after <= 0) & (found >= before))
    np.copyto(found, before, where=lost, casting="same_kind")
    return found
