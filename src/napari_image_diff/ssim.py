"""The structural similarity (SSIM) of one tile of two images.

Every function gives the same bits whatever the tile: a value depends on the pixels of its window alone, never on
where a tile begins. Integer images are summed in integers (or in floats that hold them exactly), where running sums
lose nothing. Float images have no running sums: each window is added in one fixed order.

A volume is laid out as one tall plane, its planes one under the other. Its window is added over the planes first: the
rows that come of it are treated as those of an image.

The kernels share this file although it is long: numba's cache of compiled kernels does not see a change in another.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["SCORE_STEPS", "TileScore", "Window", "make_window", "measure_tile"]

# The constants K1 and K2 of Wang et al. (2004), as in scikit-image.
K1 = 0.01
K2 = 0.03

# scikit-image cuts its Gaussian at this many standard deviations: 11 taps at sigma 1.5, as in Wang et al.
GAUSSIAN_REACH = 3.5

# SSIM is summed as whole numbers, so many to 1, so that the sum does not depend on the order of the tiles.
SCORE_STEPS = 2**30

# Columns worked on at a time, so that the rows of sums stay in the processor's nearer caches.
STRIP = 2048
FLOAT_STRIP = 1024

# Rows of floats added at a time: four share most of what they read.
ROWS_AT_ONCE = 4

# Without error_model="numpy" each division checks for zero and nothing is vectorised.
_compile = njit(nogil=True, error_model="numpy", cache=True)


Box = tuple[int, int, int, int]


class Window(NamedTuple):
    """The weights of SSIM's window and the constants that go with them."""

    size: int
    """Side in pixels, odd."""
    taps: NDArray[np.float64]
    """Weights along one axis, shape (size,); empty for the uniform window, whose pixels count 1 each."""
    c1: float
    """(K1 data_range)^2."""
    c2: float
    """(K2 data_range)^2."""
    ddof: float
    """With n the sum of the weights, covariances are divided by n - ddof."""
    plane_taps: NDArray[np.float64]
    """Weights along the planes of a volume, all 1 for the uniform window; [1] for an image."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns."""
        return self.plane_taps.size, self.size, self.size


class TileScore(NamedTuple):
    """The sum of SSIM over the pixels of a tile that count for the score."""

    total: int
    """In steps, `SCORE_STEPS` to 1."""
    pixels: int


def make_window(
    kind: Literal["uniform", "gaussian"],
    win_size: int,
    sigma: float,
    use_sample_covariance: bool,
    data_range: float,
    plane_share: float = 0.0,
) -> Window:
    """Return the window for the given settings; `win_size` is that of the uniform one, `sigma` shapes the Gaussian.

    `plane_share` is how many planes of a volume are as thick as a row is high, 1 at most; 0 is for single planes. The
    uniform window has the odd number of planes that comes nearest to that share of its rows.
    """
    taps, plane_taps = np.empty(0), np.ones(1)
    plane_share = min(plane_share, 1.0)
    if kind == "gaussian":
        taps = _make_taps(sigma)
        win_size = taps.size
        if plane_share:
            plane_taps = _make_taps(sigma * plane_share)
    elif plane_share:
        plane_taps = np.ones(min(2 * int(win_size * plane_share / 2) + 1, win_size))
    voxels = win_size**2 * plane_taps.size
    weight = 1.0 if kind == "gaussian" else float(voxels)
    ddof = weight / voxels if use_sample_covariance else 0.0
    return Window(win_size, taps, (K1 * data_range) ** 2, (K2 * data_range) ** 2, ddof, plane_taps)


def _make_taps(sigma: float) -> NDArray[np.float64]:
    """Return the weights of a Gaussian along an axis; they add up to 1."""
    radius = int(GAUSSIAN_REACH * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    taps = np.exp(-0.5 / sigma**2 * np.arange(-radius, radius + 1) ** 2)
    return np.asarray(taps / taps.sum())


def measure_tile(
    before: NDArray[Any],
    after: NDArray[Any],
    difference: NDArray[np.float32],
    top: int,
    bottom: int,
    window: Window,
    center: float = 0.0,
    planes: int = 1,
    counted: Box | None = None,
) -> TileScore:
    """Write 1 - SSIM of the rows `top` to `bottom` (half-open) into `difference` and return their score.

    Parameters
    ----------
    before, after : (H, W) C-contiguous arrays of one dtype: uint8, uint16, float32 or float64
        The whole images: rows around the tile are read. A float pixel that is not finite in either image is left
        out of every window; where it lies, and where less than half of a window is left, the difference is NaN.
    difference : (H, W) float32
        0 = same, 2 = opposite.
    top, bottom : int
        Rows of the tile.
    window : Window
        No larger than the image.
    center : float
        Subtracted from float images before squaring, against cancellation; any value near the middle of the data.
    planes : int
        Number of planes of a volume, which lie one under the other in the images: rows are counted through all.
    counted : (top, left, bottom, right), optional
        Pixels outside this box, half-open, do not count for the score. By default those less than half a window away
        from the image's border do not; a part of an image has other borders. In a volume it is one of every plane.

    Returns
    -------
    TileScore
        Over the tile's pixels that count.

    Notes
    -----
    With Sx, Sy, Sxx, Syy, Sxy the weighted sums over a window and n the sum of its weights, SSIM is ::

        (2 Sx Sy + n^2 C1) (2 (n Sxy - Sx Sy) + n (n - ddof) C2)
        ----------------------------------------------------------------------------
        (Sx^2 + Sy^2 + n^2 C1) (n (Sxx + Syy) - Sx^2 - Sy^2 + n (n - ddof) C2)

    which is eq. 13 of Wang et al. (2004), both sides multiplied by n^3 (n - ddof). All but C1 and C2 are integers
    for integer images, so that only the last line is rounded. Borders are mirrored with the edge pixel repeated, as
    scikit-image's ``mode="reflect"`` does.
    """
    height, width = before.shape[0] // planes, before.shape[1]
    reach = window.size // 2
    counted = counted or (reach, reach, height - reach, width - reach)
    total, pixels = 0, 0
    for plane in range(top // height, -(-bottom // height)):
        rows = max(top - plane * height, 0), min(bottom - plane * height, height)
        found = _measure_plane(before, after, difference, plane, planes, *rows, counted, window, center)
        total, pixels = total + found.total, pixels + found.pixels
    return TileScore(total, pixels)


def _measure_plane(
    before: NDArray[Any],
    after: NDArray[Any],
    difference: NDArray[np.float32],
    plane: int,
    planes: int,
    top: int,
    bottom: int,
    counted: Box,
    window: Window,
    center: float,
) -> TileScore:
    """Do what `measure_tile` does for rows of one plane."""
    depth, size, _ = window.shape
    height, width = before.shape[0] // planes, before.shape[1]
    place = (before, after, difference, plane, planes, top, bottom, counted)
    dropped = 0
    if before.dtype.kind == "u" and not window.taps.size:
        strip = min(STRIP, width)
        pitch = strip + size - 1
        constants = (strip, size, window.c1, window.c2, window.ddof)
        if depth == 1:
            part = slice(plane * height, (plane + 1) * height)
            images = before[part], after[part], difference[part]
            columns = np.empty(4 * pitch, _exact_dtype(before.dtype, size))
            total = int(_measure_integers(*images, top, bottom, counted, columns, *constants))
        else:
            ring = np.empty((size + 1, 4 * pitch), _sum_dtype(before.dtype, depth * size**2))
            total = int(_measure_integer_volume(*place, ring, depth, *constants))
    else:
        found = _measure_floats_of(*place, window, center, masked=False)
        if math.isnan(found[0]):
            found = _measure_floats_of(*place, window, center, masked=True)
        total, dropped = int(found[0]), found[1]
    if not depth // 2 <= plane < planes - depth // 2:
        return TileScore(0, 0)
    rows = min(bottom, counted[2]) - max(top, counted[0])
    return TileScore(total, max(rows, 0) * max(counted[3] - counted[1], 0) - dropped)


def _measure_floats_of(
    before: NDArray[Any],
    after: NDArray[Any],
    difference: NDArray[np.float32],
    plane: int,
    planes: int,
    top: int,
    bottom: int,
    counted: Box,
    window: Window,
    center: float,
    masked: bool,
) -> tuple[float, int]:
    """Return the total and the number of pixels dropped from it; NaN where pixels not valid call for `masked`."""
    size, taps, c1, c2, ddof, plane_taps = window
    strip = min(FLOAT_STRIP, before.shape[1])
    # Rows that begin on a cache line are read faster
    pitch = -(-(strip + size - 1) // 8) * 8
    levels = 1 if taps.size or size == 7 else size.bit_length() - 1
    ring = np.zeros((levels * (size + ROWS_AT_ONCE - 1), (5 if masked else 4) * pitch))
    tile = (before, after, difference, plane, planes, top, bottom, counted)
    found: tuple[float, int] = _measure_floats(
        *tile, ring, strip, pitch, plane_taps, taps, size, c1, c2, ddof, float(center), masked
    )
    return found


def _exact_dtype(dtype: np.dtype[Any], size: int) -> type[np.number[Any]]:
    """Return the fastest type that holds 2 N^2 max^2, the largest number of the formula, exactly."""
    largest = 2 * size**4 * int(np.iinfo(dtype).max) ** 2
    if largest < 2**31:
        return np.int32
    return np.float64 if largest < 2**53 else np.int64


def _sum_dtype(dtype: np.dtype[Any], voxels: int) -> type[np.number[Any]]:
    """Return the fastest type that holds the sums over a window exactly, of which the largest is 2 N max^2.

    The formula is worked out in float64: exactly while 2 N^2 max^2 is below 2^53, up to 7 x 7 x 7 in 16 bits.
    """
    largest = 2 * voxels * int(np.iinfo(dtype).max) ** 2
    if largest < 2**31:
        return np.int32
    return np.float64 if largest < 2**53 else np.int64


@_compile
def _measure_integers(  # type: ignore[no-untyped-def]
    before, after, difference, top, bottom, counted, columns, strip, size, c1, c2, ddof
):
    """Measure a tile of integers: running sums down the columns, then window sums along the row."""
    height, width = before.shape
    number = columns.dtype.type
    radius = size // 2
    pitch = strip + size - 1
    windows = np.empty_like(columns)
    part = np.empty_like(columns)
    score = np.empty(strip)
    unused = np.empty(strip)
    weight = float(size * size)
    total = 0.0
    for left in range(0, width, strip):
        right = min(left + strip, width)
        start = max(left - radius, 0)
        stop = min(right + radius, width)
        count = stop - start
        first = start - (left - radius)
        columns[:] = 0
        score[:] = 0
        column_x = columns[first:]
        column_y = columns[pitch + first :]
        column_q = columns[2 * pitch + first :]
        column_p = columns[3 * pitch + first :]
        for row in range(top - radius, top + radius + 1):
            x_row = before[_mirror(row, height), start:stop]
            y_row = after[_mirror(row, height), start:stop]
            for j in range(count):
                x, y = number(x_row[j]), number(y_row[j])
                column_x[j] += x
                column_y[j] += y
                column_q[j] += x * x + y * y
                column_p[j] += x * y
        for row in range(top, bottom):
            if row > top:
                x_row = before[_mirror(row + radius, height), start:stop]
                y_row = after[_mirror(row + radius, height), start:stop]
                x_old = before[_mirror(row - radius - 1, height), start:stop]
                y_old = after[_mirror(row - radius - 1, height), start:stop]
                for j in range(count):
                    x, y, u, v = number(x_row[j]), number(y_row[j]), number(x_old[j]), number(y_old[j])
                    column_x[j] += x - u
                    column_y[j] += y - v
                    column_q[j] += (x * x + y * y) - (u * u + v * v)
                    column_p[j] += x * y - u * v
            _mirror_ends(columns, pitch, left - radius, right - left + 2 * radius, width)
            scores = score if counted[0] <= row < counted[2] else unused
            target = difference[row, left:right]
            # Eight numbers of 32 bits fit a register: there more passes with less to read are faster
            if size == 7 and columns.itemsize == 8:
                _finish_integers(columns, pitch, True, target, scores, weight, c1, c2, ddof)
            else:
                _add_windows(columns, windows, size, part)
                _finish_integers(windows, pitch, False, target, scores, weight, c1, c2, ddof)
        total += _total_of(score, left, right, counted)
    return total


@_compile
def _measure_integer_volume(  # type: ignore[no-untyped-def]
    before, after, difference, plane, planes, top, bottom, counted, ring, depth, strip, size, c1, c2, ddof
):
    """Measure rows of a plane of a volume of integers, as `_measure_integers` those of an image.

    `ring` has the moments of the latest rows, added over the planes of the window.
    """
    height, width = before.shape[0] // planes, before.shape[1]
    radius = size // 2
    pitch = strip + size - 1
    columns = np.empty_like(ring[0])
    windows = np.empty_like(columns)
    part = np.empty_like(columns)
    score = np.empty(strip)
    unused = np.empty(strip)
    weight = float(depth * size * size)
    total = 0.0
    for left in range(0, width, strip):
        right = min(left + strip, width)
        start = max(left - radius, 0)
        stop = min(right + radius, width)
        columns[:] = 0
        ring[:] = 0
        score[:] = 0
        for newest in range(top - radius, bottom + radius):
            entering, leaving = ring[newest % len(ring)], ring[(newest + 1) % len(ring)]
            entering[:] = 0
            for other in range(plane - depth // 2, plane + depth // 2 + 1):
                line = _mirror(other, planes) * height + _mirror(newest, height)
                x_row, y_row = before[line, start:stop], after[line, start:stop]
                _add_integer_moments(x_row, y_row, entering, pitch, start - (left - radius))
            for j in range(columns.size):
                columns[j] += entering[j] - leaving[j]
            row = newest - radius
            if row < top:
                continue
            _mirror_ends(columns, pitch, left - radius, right - left + 2 * radius, width)
            _add_windows(columns, windows, size, part)
            target = difference[plane * height + row, left:right]
            scores = score if counted[0] <= row < counted[2] else unused
            _finish_integers(windows, pitch, False, target, scores, weight, c1, c2, ddof)
        total += _total_of(score, left, right, counted)
    return total


@_compile
def _add_integer_moments(x_row, y_row, moments, pitch, first):  # type: ignore[no-untyped-def]
    """Add x, y, x^2 + y^2, x y of a row."""
    number = moments.dtype.type
    m_x, m_y = moments[first:], moments[pitch + first :]
    m_q, m_p = moments[2 * pitch + first :], moments[3 * pitch + first :]
    for j in range(x_row.size):
        x, y = number(x_row[j]), number(y_row[j])
        m_x[j] += x
        m_y[j] += y
        m_q[j] += x * x + y * y
        m_p[j] += x * y


@_compile
def _measure_floats(  # type: ignore[no-untyped-def]
    before,
    after,
    difference,
    plane,
    planes,
    top,
    bottom,
    counted,
    ring,
    strip,
    pitch,
    plane_taps,
    taps,
    size,
    c1,
    c2,
    ddof,
    center,
    masked,
):
    """Measure a tile of floats: every window is added in the same order, down the columns, then along the row.

    `ring` has in its first `slots` rows the moments of the latest rows, added over the planes of the window, `pitch`
    columns each, and in every further `slots` rows their sums over as many rows as `_add_rows` has on the way to
    `size`.
    """
    height, width = before.shape[0] // planes, before.shape[1]
    radius = size // 2
    slots = size + ROWS_AT_ONCE - 1
    columns = np.empty((ROWS_AT_ONCE, ring.shape[1]))
    windows = np.empty_like(columns[0])
    part = np.empty_like(windows)
    score = np.empty(strip)
    unused = np.zeros(strip)
    weight = _full_weight(taps, size, plane_taps)
    total = 0.0
    dropped = 0
    for left in range(0, width, strip):
        right = min(left + strip, width)
        start = max(left - radius, 0)
        stop = min(right + radius, width)
        first = start - (left - radius)
        score[:] = 0
        newest = top - radius
        for row in range(top, bottom):
            group = (row - top) % ROWS_AT_ONCE
            if group == 0:
                while newest < min(row + ROWS_AT_ONCE, bottom) + radius:
                    for k in range(plane_taps.size):
                        line = _mirror(plane - plane_taps.size // 2 + k, planes) * height + _mirror(newest, height)
                        x_row, y_row = before[line, start:stop], after[line, start:stop]
                        if k == 0 and plane_taps[0] == 1.0:
                            _load_moments(x_row, y_row, center, masked, ring[newest % slots], pitch, first)
                            continue
                        if k == 0:
                            ring[newest % slots] = 0
                        _add_moments(x_row, y_row, plane_taps[k], center, masked, ring[newest % slots], pitch, first)
                    if taps.size == 0 and size != 7:
                        available = newest - top + radius + 1
                        _add_rows(ring, slots, newest, available, size, columns[(newest - radius - top) % ROWS_AT_ONCE])
                    newest += 1
                if taps.size == 0 and size == 7:
                    _add_seven_rows(ring, row - radius, columns)
            column = columns[group]
            if taps.size:
                _weigh_rows(ring, slots, row, taps, column)
            _mirror_ends(column, pitch, left - radius, right - left + 2 * radius, width)
            line = plane * height + row
            target = difference[line, left:right]
            in_counted = counted[0] <= row < counted[2]
            scores = score if in_counted else unused
            if size == 7 and taps.size == 0 and not masked:
                _finish_floats(column, pitch, True, target, scores, weight, c1, c2, ddof, center)
                continue
            if taps.size == 0:
                _add_windows(column, windows, size, part)
            else:
                _weigh_windows(column, windows, taps)
            if masked:
                x_row, y_row = before[line, left:right], after[line, left:right]
                _finish_masked(windows, pitch, target, scores, x_row, y_row, weight, c1, c2, ddof, center)
                if in_counted:
                    for j in range(max(left, counted[1]), min(right, counted[3])):
                        dropped += math.isnan(difference[line, j])
            else:
                _finish_floats(windows, pitch, False, target, scores, weight, c1, c2, ddof, center)
        if _has_nan(score) or _has_nan(unused):
            return np.nan, 0
        total += _total_of(score, left, right, counted)
    return total, dropped


@_compile
def _mirror(index, size):  # type: ignore[no-untyped-def]
    """Return where `index` lies with the image mirrored at its borders, edge pixels repeated."""
    if index < 0:
        return -index - 1
    return 2 * size - 1 - index if index >= size else index


@_compile
def _mirror_ends(columns, pitch, origin, needed, width):  # type: ignore[no-untyped-def]
    """Fill, for each moment, those of the `needed` columns from `origin` on that lie beyond the image's borders."""
    for first in range(0, columns.size, pitch):
        column = columns[first : first + pitch]
        for j in range(-origin):
            column[j] = column[_mirror(origin + j, width) - origin]
        for j in range(width - origin, needed):
            column[j] = column[_mirror(origin + j, width) - origin]


@_compile
def _add_windows(columns, windows, size, part):  # type: ignore[no-untyped-def]
    """Set ``windows[j]`` to the sum of ``columns[j : j + size]``.

    The rows of all moments follow each other in `columns`: the sums over an end of one and the begin of the next are
    of no use and of no harm.

    Sums of h columns are doubled, S_2h[j] = S_h[j] + S_h[j + h], or doubled with one more, S_(2h+1)[j] =
    column[j] + S_h[j + 1] + S_h[j + 1 + h], as the binary digits of `size` say: log2(size) passes, one order.
    """
    source = columns
    h = 1
    for bit in range(_bit_length(size) - 2, -1, -1):
        odd = (size >> bit) & 1
        target = part if bit & 1 else windows
        count = columns.size + 1 - 2 * h - odd
        low = source[odd : odd + count]
        high = source[odd + h : odd + h + count]
        if odd:
            for j in range(count):
                target[j] = columns[j] + (low[j] + high[j])
        else:
            for j in range(count):
                target[j] = low[j] + high[j]
        source = target
        h = 2 * h + odd


@_compile
def _add_rows(ring, slots, newest, available, size, columns):  # type: ignore[no-untyped-def]
    """Add the latest `size` rows as `_add_windows` does columns."""
    h = 1
    level = 0
    for bit in range(_bit_length(size) - 2, -1, -1):
        odd = (size >> bit) & 1
        longer = 2 * h + odd
        if available < longer:
            return
        row = newest - longer + 1
        one = row % slots
        low = level + (row + odd) % slots
        high = level + (row + odd + h) % slots
        level += slots
        h = longer
        if bit == 0:
            for j in range(columns.size):
                columns[j] = ring[one, j] + (ring[low, j] + ring[high, j])
        elif odd:
            for j in range(columns.size):
                ring[level + one, j] = ring[one, j] + (ring[low, j] + ring[high, j])
        else:
            for j in range(columns.size):
                ring[level + one, j] = ring[low, j] + ring[high, j]


@_compile
def _add_seven_rows(ring, oldest, columns):  # type: ignore[no-untyped-def]
    """Do what `_add_rows` does, in the same order, for the default window: four sums of seven rows at a time."""
    slots = ring.shape[0]
    row_0, row_1, row_2 = ring[oldest % slots], ring[(oldest + 1) % slots], ring[(oldest + 2) % slots]
    row_3, row_4, row_5 = ring[(oldest + 3) % slots], ring[(oldest + 4) % slots], ring[(oldest + 5) % slots]
    row_6, row_7, row_8 = ring[(oldest + 6) % slots], ring[(oldest + 7) % slots], ring[(oldest + 8) % slots]
    row_9 = ring[(oldest + 9) % slots]
    sum_0, sum_1, sum_2, sum_3 = columns[0], columns[1], columns[2], columns[3]
    for j in range(sum_0.size):
        r1, r2, r3, r4 = row_1[j], row_2[j], row_3[j], row_4[j]
        r5, r6, r7, r8 = row_5[j], row_6[j], row_7[j], row_8[j]
        sum_0[j] = row_0[j] + ((r1 + (r2 + r3)) + (r4 + (r5 + r6)))
        sum_1[j] = r1 + ((r2 + (r3 + r4)) + (r5 + (r6 + r7)))
        sum_2[j] = r2 + ((r3 + (r4 + r5)) + (r6 + (r7 + r8)))
        sum_3[j] = r3 + ((r4 + (r5 + r6)) + (r7 + (r8 + row_9[j])))


@_compile
def _weigh_rows(ring, slots, middle, taps, columns):  # type: ignore[no-untyped-def]
    """Set `columns` to the weighted sum of the rows round `middle`, nearest first."""
    radius = taps.size // 2
    center = middle % slots
    for j in range(columns.size):
        columns[j] = taps[radius] * ring[center, j]
    for k in range(1, radius + 1):
        low, high = (middle - k) % slots, (middle + k) % slots
        tap = taps[radius + k]
        for j in range(columns.size):
            columns[j] += tap * (ring[low, j] + ring[high, j])


@_compile
def _weigh_windows(columns, windows, taps):  # type: ignore[no-untyped-def]
    """Set ``windows[j]`` to the weighted sum of ``columns[j : j + taps.size]``, nearest first."""
    radius = taps.size // 2
    count = columns.size - 2 * radius
    center = columns[radius : radius + count]
    for j in range(count):
        windows[j] = taps[radius] * center[j]
    for k in range(1, radius + 1):
        low = columns[radius - k : radius - k + count]
        high = columns[radius + k : radius + k + count]
        tap = taps[radius + k]
        for j in range(count):
            windows[j] += tap * (low[j] + high[j])


@_compile
def _full_weight(taps, size, plane_taps):  # type: ignore[no-untyped-def]
    """Return the weight of a window without gaps, added as the windows are so that its bits agree with theirs."""
    if not taps.size:
        return float(plane_taps.size * size * size)
    radius = size // 2
    weight = 0.0
    for k in range(plane_taps.size):
        weight += plane_taps[k]
    for _ in range(2):
        total = taps[radius] * weight
        for k in range(1, radius + 1):
            total += taps[radius + k] * (weight + weight)
        weight = total
    return weight


@_compile
def _bit_length(size):  # type: ignore[no-untyped-def]
    length = 0
    while size >> length:
        length += 1
    return length


@_compile
def _load_moments(x_row, y_row, center, masked, moments, pitch, first):  # type: ignore[no-untyped-def]
    """Write x, y, x^2 + y^2, x y (and 1 or 0 for valid or not, where `masked`) of a row, less `center`."""
    m_x, m_y = moments[first:], moments[pitch + first :]
    m_q, m_p = moments[2 * pitch + first :], moments[3 * pitch + first :]
    if masked:
        m_n = moments[4 * pitch + first :]
        for j in range(x_row.size):
            valid = _is_valid(x_row[j], y_row[j])
            x = float(x_row[j]) - center if valid else 0.0
            y = float(y_row[j]) - center if valid else 0.0
            m_x[j], m_y[j], m_q[j], m_p[j] = x, y, x * x + y * y, x * y
            m_n[j] = 1.0 if valid else 0.0
    else:
        for j in range(x_row.size):
            x, y = float(x_row[j]) - center, float(y_row[j]) - center
            m_x[j], m_y[j], m_q[j], m_p[j] = x, y, x * x + y * y, x * y


@_compile
def _add_moments(x_row, y_row, tap, center, masked, moments, pitch, first):  # type: ignore[no-untyped-def]
    """Add what `_load_moments` writes, `tap` times, to what is there."""
    m_x, m_y = moments[first:], moments[pitch + first :]
    m_q, m_p = moments[2 * pitch + first :], moments[3 * pitch + first :]
    if masked:
        m_n = moments[4 * pitch + first :]
        for j in range(x_row.size):
            valid = _is_valid(x_row[j], y_row[j])
            x = float(x_row[j]) - center if valid else 0.0
            y = float(y_row[j]) - center if valid else 0.0
            m_x[j] += tap * x
            m_y[j] += tap * y
            m_q[j] += tap * (x * x + y * y)
            m_p[j] += tap * (x * y)
            m_n[j] += tap if valid else 0.0
    else:
        for j in range(x_row.size):
            x, y = float(x_row[j]) - center, float(y_row[j]) - center
            m_x[j] += tap * x
            m_y[j] += tap * y
            m_q[j] += tap * (x * x + y * y)
            m_p[j] += tap * (x * y)


@_compile
def _is_valid(x, y):  # type: ignore[no-untyped-def]
    return math.isfinite(float(x)) and math.isfinite(float(y))


@_compile
def _window_sum(sums, j, seven):  # type: ignore[no-untyped-def]
    """Return the sum over the window at j: of `seven` columns, in the order of `_add_windows`, or as it stands."""
    if seven:
        left = sums[j + 1] + (sums[j + 2] + sums[j + 3])
        return sums[j] + (left + (sums[j + 4] + (sums[j + 5] + sums[j + 6])))
    return sums[j]


@_compile
def _finish_integers(sums, pitch, seven, difference, scores, weight, c1, c2, ddof):  # type: ignore[no-untyped-def]
    """Write 1 - SSIM of a row from its sums, and add SSIM in steps of 1 / `SCORE_STEPS` to `scores`."""
    number = sums.dtype.type
    s_x, s_y, s_q, s_p = sums[:pitch], sums[pitch:], sums[2 * pitch :], sums[3 * pitch :]
    c1 = weight * weight * c1
    c2 = weight * (weight - ddof) * c2
    for j in range(difference.size):
        # Cast back, because numba adds in 64 bits
        x, y = float(number(_window_sum(s_x, j, seven))), float(number(_window_sum(s_y, j, seven)))
        q, p = float(number(_window_sum(s_q, j, seven))), float(number(_window_sum(s_p, j, seven)))
        xy = 2.0 * (x * y)
        xx = x * x + y * y
        ssim = (xy + c1) * (2.0 * weight * p - xy + c2)
        ssim /= (xx + c1) * (weight * q - xx + c2)
        difference[j] = np.float32(1.0 - ssim)
        scores[j] += np.floor(ssim * SCORE_STEPS + 0.5)


@_compile
def _finish_floats(sums, pitch, seven, difference, scores, weight, c1, c2, ddof, center):  # type: ignore[no-untyped-def]
    """Do what `_finish_integers` does, for sums of values less `center`."""
    s_x, s_y, s_q, s_p = sums[:pitch], sums[pitch:], sums[2 * pitch :], sums[3 * pitch :]
    c1 = weight * weight * c1
    c2 = weight * (weight - ddof) * c2
    for j in range(difference.size):
        x, y = _window_sum(s_x, j, seven), _window_sum(s_y, j, seven)
        q, p = _window_sum(s_q, j, seven), _window_sum(s_p, j, seven)
        ssim = _ssim_of_sums(x, y, q, p, weight, c1, c2, center)
        difference[j] = _difference_of(ssim)
        scores[j] += np.floor(ssim * SCORE_STEPS + 0.5)


@_compile
def _finish_masked(  # type: ignore[no-untyped-def]
    windows, pitch, difference, scores, x_row, y_row, weight, c1, c2, ddof, center
):
    """Do what `_finish_floats` does where some pixels are left out; NaN where too few are left."""
    w_x, w_y, w_q, w_p = windows[:pitch], windows[pitch:], windows[2 * pitch :], windows[3 * pitch :]
    w_n = windows[4 * pitch :]
    for j in range(difference.size):
        n = w_n[j]
        if n < 0.5 * weight or not _is_valid(x_row[j], y_row[j]):
            difference[j] = np.nan
            continue
        ssim = _ssim_of_sums(w_x[j], w_y[j], w_q[j], w_p[j], n, n * n * c1, n * (n - ddof) * c2, center)
        difference[j] = _difference_of(ssim)
        scores[j] += np.floor(ssim * SCORE_STEPS + 0.5)


@_compile
def _ssim_of_sums(x, y, q, p, n, c1, c2, center):  # type: ignore[no-untyped-def]
    """Return SSIM; variance and covariance are kept where rounding, in images of tiny contrast, would leave them."""
    variance = max(n * q - (x * x + y * y), 0.0)
    covariance = min(max(2.0 * n * p - 2.0 * (x * y), -variance), variance)
    x += n * center
    y += n * center
    return (2.0 * (x * y) + c1) * (covariance + c2) / ((x * x + y * y + c1) * (variance + c2))


@_compile
def _difference_of(ssim):  # type: ignore[no-untyped-def]
    """Return 1 - SSIM; rounding may leave SSIM a little above 1. Not by max, which would swallow NaN."""
    difference = 1.0 - ssim
    return np.float32(0.0 if difference < 0.0 else difference)


@_compile
def _has_nan(values):  # type: ignore[no-untyped-def]
    count = 0
    for j in range(values.size):
        count += math.isnan(values[j])
    return count > 0


@_compile
def _total_of(score, left, right, counted):  # type: ignore[no-untyped-def]
    """Return the sum of `score`, which begins at column `left`, over the columns that count."""
    total = 0.0
    for column in range(max(left, counted[1]), min(right, counted[3])):
        total += score[column - left]
    return total
