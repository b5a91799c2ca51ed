"""What a small shift of the neighbourhood explains, and what it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff.displacement import LARGEST_SIDE, REACH, is_displaced

BOX = np.array([60, 60, 90, 90])


def tracks(seed: int = 0, side: int = 150) -> NDArray[np.uint8]:
    """Return white tracks and dots in random places on a dark board, with soft edges."""
    rng = np.random.default_rng(seed)
    board = np.zeros((side, side))
    for _ in range(14):
        row, col, length = (int(value) for value in rng.integers(0, side, 3))
        board[row : row + 4, col : col + length] = 1
        row, col = (int(value) for value in rng.integers(0, side, 2))
        board[row : row + length, col : col + 4] = 1
    return np.rint(30 + 180 * ndimage.gaussian_filter(board, 0.6)).astype(np.uint8)


def shifted(image: NDArray[Any], rows: int, cols: int) -> NDArray[Any]:
    """Return the picture moved, with its border repeated."""
    reach = max(abs(rows), abs(cols))
    large = np.pad(image, reach, mode="edge")
    return large[reach - rows : reach - rows + image.shape[0], reach - cols : reach - cols + image.shape[1]].copy()


def asked(before: NDArray[Any], after: NDArray[Any], box: Any = BOX, data_range: float = 255.0) -> bool:
    return is_displaced((before, after), (), np.asarray(box), data_range)


@pytest.mark.parametrize("rows", [-6, -2, 0, 3, 6])
@pytest.mark.parametrize("cols", [-6, -1, 0, 4, 6])
def test_a_shift_up_to_the_reach_explains(rows: int, cols: int) -> None:
    board = tracks()
    assert asked(board, shifted(board, rows, cols))
    assert asked(shifted(board, rows, cols), board)


def test_a_shift_beyond_the_reach_does_not_explain() -> None:
    board = tracks()
    for away in (REACH + 4, REACH + 8):
        assert not asked(board, shifted(board, away, 0))
        assert not asked(board, shifted(board, 0, -away))


@pytest.mark.parametrize("size", [4, 6, 12])
@pytest.mark.parametrize("shift", [(0, 0), (2, -3)])
def test_a_defect_stays_one_whatever_the_shift(shift: tuple[int, int], size: int) -> None:
    board = tracks()
    after = shifted(board, *shift)
    area = after[70 : 70 + size, 72 : 72 + size]
    area[:] = 240 - area
    assert not asked(board, after)
    assert not asked(after, board)


def test_only_the_neighbourhood_counts() -> None:
    board = tracks()
    after = shifted(board, 2, 1)
    after[120:140, 120:140] = 255 - after[120:140, 120:140]
    assert asked(board, after)
    assert not asked(board, after, (115, 115, 145, 145))


def test_boxes_at_the_border_and_beyond_the_largest() -> None:
    board = tracks()
    after = shifted(board, -2, 2)
    for box in ((0, 0, 20, 20), (0, 100, 30, 150), (130, 120, 150, 150), (0, 0, 150, 150)):
        assert asked(board, after, box)
    defect = after.copy()
    defect[:9, :9] = 255 - defect[:9, :9]
    assert not asked(board, defect, (0, 0, 20, 20))
    wide = np.zeros((20, LARGEST_SIDE + 10), np.uint8)
    assert asked(wide, wide, (5, 0, 9, LARGEST_SIDE))
    assert not asked(wide, wide, (5, 0, 9, LARGEST_SIDE + 1))


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.float64])
def test_types_and_ranges_do_not_matter(dtype: Any) -> None:
    scale = {np.uint16: 16.0}.get(dtype, 1 / 255)
    board = tracks(3)
    moved = shifted(board, 3, 1)
    defect = moved.copy()
    defect[70:78, 70:78] = 240 - defect[70:78, 70:78]
    for after in (moved, defect):
        expected = asked(board, after)
        assert expected == (after is moved)
        images = [(image * scale).astype(dtype) for image in (board, after)]
        assert asked(*images, data_range=255 * scale) == expected


def test_what_is_not_finite_counts_for_nothing() -> None:
    board = np.float32(tracks(4))
    after = shifted(board, 1, 2)
    after[70:80, 70:80] = 240 - after[70:80, 70:80]
    assert not asked(board, after)
    after[66:84, 66:84] = np.nan
    assert asked(board, after)
    assert np.isnan(after[66:84, 66:84]).all()


def test_noise_is_not_a_reason_to_keep_a_region() -> None:
    rng = np.random.default_rng(5)
    board = tracks(5).astype(float)
    before, after = (image + rng.normal(0, 2, image.shape) for image in (board, shifted(board, 2, 2)))
    assert asked(before, after)


def test_a_shift_has_to_explain_the_colours_too() -> None:
    board = tracks(6)
    before = np.stack([board, board, board], axis=-1)
    for rows, cols in ((0, 0), (2, -3)):
        after = np.stack([shifted(board, rows, cols)] * 3, axis=-1)
        assert is_displaced((board, after[..., 0]), (before, after), BOX, 255.0)
        # Another hue at the same luma, 0.299 R + 0.587 G + 0.114 B
        after[70:82, 70:82] = np.clip(after[70:82, 70:82] + np.array([60.0, -30.0, -3.0]), 0, 255).astype(np.uint8)
        luma = shifted(board, rows, cols)
        assert is_displaced((board, luma), (), BOX, 255.0)
        assert not is_displaced((board, luma), (before, after), BOX, 255.0)
