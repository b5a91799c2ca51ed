"""One image seen on the grid of another: resampling by a shift or any affine transform, tile by tile."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LENIENT", "Origins", "resample_tile", "round_to"]

# Taps of the Lanczos interpolation, and steps to a pixel in its table.
TAPS = 6

STEPS = 4096

# What lies this close to the edge of an image, in pixels, is still in it: matrices are not exact.
LENIENT = 1e-6

_compile = njit(nogil=True, error_model="numpy", cache=True)


class Origins(NamedTuple):
    """Where parts of images lie in the whole: the first pixel of the target, of the source, and the source's shape."""

    target: tuple[int, int]
    source: tuple[int, int]
    shape: tuple[int, int]


def resample_tile(
    plane: NDArray[Any],
    matrix: NDArray[np.float64],
    top: int,
    bottom: int,
    target: NDArray[Any],
    origins: Origins | None = None,
) -> None:
    """Write the rows `top` to `bottom` (half-open) of `target`: what `plane` shows there by `matrix`.

    Parameters
    ----------
    plane : (H, W) uint8, uint16, float32 or float64
        The image to resample, `after`.
    matrix : (3, 3) float64
        Takes (row, column, 1) of `target` to a place in `plane`; its last row is (0, 0, 1).
    top, bottom : int
        Rows of the tile.
    target : (h, w) float32 or float64
        NaN where `plane` does not reach (half a pixel beyond its outermost pixel centres, there with its edge pixels
        repeated) and where one of the pixels used is not finite.
    origins : Origins, optional
        Where `plane` and `target` are parts of images. The matrix is that of the whole, and `plane` has all that is
        needed: 3 pixels around each place, as far as the whole has them.

    Notes
    -----
    Interpolation by Lanczos's kernel of 6 x 6 pixels with weights of sum 1 (Duchon 1979). Shifted by 0.3 to 0.7
    pixels, photographs differ from their Fourier interpolation by 0.76 of what the cubic kernel of Keys (1981)
    leaves. An axis on which the shift is whole is copied. Each pixel is computed from its own place alone, so that
    tiles do not matter.
    """
    place = origins or Origins((0, 0), (0, 0), (plane.shape[0], plane.shape[1]))
    where = np.array([*place.target, *place.source, *place.shape])
    if np.array_equal(matrix[:2, :2], np.eye(2)):
        down, right = float(matrix[0, 2]), float(matrix[1, 2])
        down_taps, right_taps = (
            np.ones(1) if shift == math.floor(shift) else _weigh(shift - math.floor(shift)) for shift in (down, right)
        )
        _shift(plane, target, top, bottom, down, right, down_taps, right_taps, where)
    else:
        _warp(plane, target, top, bottom, np.ascontiguousarray(matrix, np.float64), _table(), where)


def round_to(plane: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return `plane` in `dtype`; in integers clipped and rounded, 0 where there is nothing."""
    if dtype.kind == "f":
        return plane.astype(dtype)
    found: NDArray[Any] = np.rint(np.minimum(np.fmax(plane, 0), np.iinfo(dtype).max)).astype(dtype)
    return found


def _weigh(fraction: float) -> NDArray[np.float64]:
    """Return the weights of the six pixels around a place that lies `fraction` (0 to 1) behind the third of them."""
    distance = np.arange(TAPS) - (TAPS // 2 - 1) - fraction
    weights = np.where(np.abs(distance) < TAPS // 2, np.sinc(distance) * np.sinc(distance / (TAPS // 2)), 0.0)
    return np.asarray(weights / weights.sum())


@functools.cache
def _table() -> NDArray[np.float64]:
    return np.array([_weigh(step / STEPS) for step in range(STEPS + 1)])


@_compile
def _shift(  # type: ignore[no-untyped-def]
    plane, target, top, bottom, row_shift, col_shift, row_taps, col_taps, where
):
    """Resample by a translation: down the columns into a line, then along it. One tap copies."""
    height, width = plane.shape
    columns = target.shape[1]
    first_row = where[0] - where[2] + math.floor(row_shift) - (row_taps.size - 1) // 2
    left = min(max(math.ceil(-0.5 - col_shift) - where[1], 0), columns)
    right = max(min(math.floor(where[5] - 0.5 - col_shift) + 1 - where[1], columns), left)
    first_col = where[1] - where[3] + left + math.floor(col_shift) - (col_taps.size - 1) // 2
    line = np.empty(width)
    padded = np.empty(right - left + col_taps.size - 1)
    for row in range(top, bottom):
        out = target[row]
        # Loops, for numba takes 2 s to compile the assignment of a slice
        for j in range(columns):
            out[j] = np.nan
        if left == right or not -0.5 <= where[0] + row + row_shift <= where[4] - 0.5:
            continue
        if row_taps.size == 1:
            source = plane[min(max(row + first_row, 0), height - 1)]
            for j in range(width):
                line[j] = source[j]
        else:
            _add_lines(plane, row + first_row, row_taps, line)
        for j in range(padded.size):
            padded[j] = line[min(max(first_col + j, 0), width - 1)]
        done = out[left:right]
        if col_taps.size == 1:
            for j in range(done.size):
                done[j] = padded[j] if math.isfinite(padded[j]) else np.nan
        else:
            _add_columns(padded, col_taps, done)


@_compile
def _add_columns(line, taps, done):  # type: ignore[no-untyped-def]
    """Set `done` to the weighted sums of six neighbours of `line`, the first of which has the same index."""
    a, b, c, d, e, f = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    for j in range(done.size):
        p, q, r = line[j], line[j + 1], line[j + 2]
        s, t, u = line[j + 3], line[j + 4], line[j + 5]
        total = a * p + b * q + c * r + d * s + e * t + f * u
        done[j] = total if math.isfinite(total) else np.nan


@_compile
def _add_lines(plane, top, taps, line):  # type: ignore[no-untyped-def]
    """Set `line` to the weighted sum of six rows from `top` on; rows beyond the image are its edge rows."""
    last = plane.shape[0] - 1
    a, b, c, d, e, f = taps[0], taps[1], taps[2], taps[3], taps[4], taps[5]
    p = plane[min(max(top, 0), last)]
    q = plane[min(max(top + 1, 0), last)]
    r = plane[min(max(top + 2, 0), last)]
    s = plane[min(max(top + 3, 0), last)]
    t = plane[min(max(top + 4, 0), last)]
    u = plane[min(max(top + 5, 0), last)]
    for j in range(line.size):
        line[j] = a * p[j] + b * q[j] + c * r[j] + d * s[j] + e * t[j] + f * u[j]


@_compile
def _warp(plane, target, top, bottom, matrix, table, where):  # type: ignore[no-untyped-def]
    """Resample by any affine transform, pixel by pixel."""
    height, width = plane.shape
    pixels = plane.reshape(-1)
    steps = table.shape[0] - 1
    rim = 0.5 + LENIENT
    # Unsigned numbers are not checked for being negative, which makes it faster by a quarter
    six = np.uint64(6)
    for row in range(top, bottom):
        out = target[row]
        line = where[0] + row
        for col in range(out.size):
            y = matrix[0, 0] * line + matrix[0, 1] * (where[1] + col) + matrix[0, 2]
            x = matrix[1, 0] * line + matrix[1, 1] * (where[1] + col) + matrix[1, 2]
            if not (-rim <= y <= where[4] - 1 + rim and -rim <= x <= where[5] - 1 + rim):
                out[col] = np.nan
                continue
            i, j = math.floor(y), math.floor(x)
            down, along = table[int((y - i) * steps + 0.5)], table[int((x - j) * steps + 0.5)]
            i, j = i - where[2], j - where[3]
            if 2 <= i < height - 3 and 2 <= j < width - 3:
                place = np.uint64((i - 2) * width + j - 2)
                a = b = c = d = e = f = 0.0
                for k in range(six):
                    w = down[k]
                    a += w * pixels[place]
                    b += w * pixels[place + np.uint64(1)]
                    c += w * pixels[place + np.uint64(2)]
                    d += w * pixels[place + np.uint64(3)]
                    e += w * pixels[place + np.uint64(4)]
                    f += w * pixels[place + np.uint64(5)]
                    place += np.uint64(width)
            else:
                a = _down(plane, i, j - 2, down)
                b = _down(plane, i, j - 1, down)
                c = _down(plane, i, j, down)
                d = _down(plane, i, j + 1, down)
                e = _down(plane, i, j + 2, down)
                f = _down(plane, i, j + 3, down)
            total = along[0] * a + along[1] * b + along[2] * c + along[3] * d + along[4] * e + along[5] * f
            out[col] = total if math.isfinite(total) else np.nan


@_compile
def _down(plane, row, col, taps):  # type: ignore[no-untyped-def]
    """Return the weighted sum down a column about `row`; pixels beyond the image are those of its edge."""
    height, width = plane.shape
    total = 0.0
    for k in range(6):
        total += taps[k] * plane[min(max(row - 2 + k, 0), height - 1), min(max(col, 0), width - 1)]
    return total
