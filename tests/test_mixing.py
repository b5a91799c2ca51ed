"""Two images mixed into one picture, held against the same done at once on the whole."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from napari.utils.colormaps import AVAILABLE_COLORMAPS
from numpy.typing import NDArray
from scipy import ndimage
from skimage.util import img_as_ubyte

from napari_image_diff import mixing
from napari_image_diff.mixing import Mixing, Shades, Side

GRAY = Shades(0, 255, 1.0, np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float64))

RANDOM = np.random.default_rng(3)


def side(array: Any, matrix: Any = None, shades: Shades | None = GRAY, levels: Any = ()) -> Side:
    return Side([array, *levels], np.eye(3) if matrix is None else matrix, lambda place: place, shades)


def shifted(down: float, right: float) -> NDArray[np.float64]:
    matrix = np.eye(3)
    matrix[:2, 2] = down, right
    return matrix


def mix(before: Any, after: Any, paint: Any, join: Any, **changes: Any) -> Mixing:
    shape = before.shape[:2] if changes.get("shades", GRAY) is None else before.shape
    return Mixing((side(before, **changes), side(after, **changes)), shape, paint, join)


@pytest.fixture
def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    one, other = RANDOM.integers(0, 256, (2, 90, 130), dtype=np.uint8)
    return one, other


def as_rgba(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.dstack([gray, gray, gray, np.full_like(gray, 255)])


@pytest.mark.parametrize("step", mixing.STEPS[:7])
def test_each_size_is_every_so_many_pixels(pair: Any, step: int) -> None:
    before, _ = pair
    level = mix(*pair, mixing.colour, partial(mixing.show, which=0)).make_levels()[mixing.STEPS.index(step)]
    first = (step - 1) // 2
    wanted = as_rgba(before)[first::step, first::step]
    assert (level.shape, level.dtype, level.ndim, level.size) == (wanted.shape, np.uint8, 3, wanted.size)
    np.testing.assert_array_equal(np.asarray(level), wanted)


def test_sizes_go_down_to_one_that_is_not_for_looking_at() -> None:
    for shape in (1, 1), (3, 4), (90, 130), (5000, 20), (70_000, 90_000):
        empty = np.broadcast_to(np.uint8(0), shape)
        sizes = [level.shape[:2] for level in mix(empty, empty, mixing.colour, mixing.swipe).make_levels()]
        assert sizes[0] == shape
        assert max(sizes[-1]) <= mixing.COARSEST
        assert len(sizes) > 1
        for one, other in itertools.pairwise(sizes):
            assert all(a >= b for a, b in zip(one, other, strict=True))
            assert np.prod(one) <= 4 * np.prod(np.add(other, 1))


def test_show_swipe_and_checkerboard(pair: Any) -> None:
    before, after = pair
    rows, cols = np.indices(before.shape)
    for join, taken in (
        (partial(mixing.show, which=0), rows >= 0),
        (partial(mixing.show, which=1), rows < 0),
        (partial(mixing.swipe, cut=40, axis=1), cols < 40),
        (partial(mixing.swipe, cut=0, axis=1), cols < 0),
        (partial(mixing.swipe, cut=999, axis=1), cols >= 0),
        (partial(mixing.swipe, cut=33, axis=0), rows < 33),
        (partial(mixing.checkerboard, tile=16), (rows // 16 + cols // 16) % 2 == 0),
        (partial(mixing.checkerboard, tile=1), (rows + cols) % 2 == 0),
    ):
        found = np.asarray(mix(before, after, mixing.colour, join).make_levels()[0])
        np.testing.assert_array_equal(found, as_rgba(np.where(taken, before, after)))


def test_overlay_is_magenta_and_green(pair: Any) -> None:
    before, after = pair
    found = np.asarray(mix(before, after, mixing.level, mixing.overlay).make_levels()[0])
    np.testing.assert_array_equal(found, np.dstack([before, after, before, np.full_like(before, 255)]))
    same = np.asarray(mix(before, before, mixing.level, mixing.overlay).make_levels()[0])
    np.testing.assert_array_equal(same, as_rgba(before))


def test_overlay_is_gray_where_one_alone_is_there(pair: Any) -> None:
    before, after = pair
    sides = side(before), side(after, shifted(0, -40))
    found = np.asarray(Mixing(sides, before.shape, mixing.level, mixing.overlay).make_levels()[0])
    np.testing.assert_array_equal(found[:, :40], as_rgba(before[:, :40]))
    np.testing.assert_array_equal(found[:, 40:, 1], after[:, :-40])
    beyond = side(before, shifted(0, -40)), side(after, shifted(0, -40))
    found = np.asarray(Mixing(beyond, before.shape, mixing.level, mixing.overlay).make_levels()[0])
    assert not found[:, :40].any()


@pytest.mark.parametrize("dtype", [np.int32, np.uint64, np.float64, ">i4"])
def test_small_differences_of_large_numbers_are_seen(dtype: Any) -> None:
    before = np.full((4, 5), 2**30, dtype)
    found = np.asarray(mix(before, before + np.ones((), dtype), mixing.gray, mixing.signed).make_levels()[0])
    assert (found == 1).all()


def test_infinite_values_are_subtracted_without_a_warning() -> None:
    before = np.array([[np.inf, 1e300, 0]])
    found = np.asarray(mix(before, before[:, ::-1], mixing.gray, mixing.signed).make_levels()[0])
    np.testing.assert_array_equal(found, [[-np.inf, 0, np.inf]])
    assert np.isnan(np.asarray(mix(before, before, mixing.gray, mixing.signed).make_levels()[0])[0, 0])


@pytest.mark.parametrize("dtype", [">u2", "u4", "i4", "f8", "?"])
def test_colour_of_any_type_between_pixels(dtype: str) -> None:
    kind = np.dtype(dtype)
    half = {"f": 0.5, "b": True}.get(kind.kind) or np.iinfo(kind).max // 2
    image = np.zeros((6, 8, 3), kind)
    image[..., 1] = half
    sides = side(image, shifted(0.25, 0.25), None), side(image, None, None)
    found = np.asarray(Mixing(sides, (6, 8), mixing.colour, partial(mixing.show, which=0)).make_levels()[0])
    wanted = 255 if kind.kind == "b" else 127.5
    np.testing.assert_allclose(found[2, 3], [0, wanted, 0, 255], atol=1)


def test_what_is_replaced_meanwhile_does_not_stay(pair: Any) -> None:
    before, after = pair
    shown = mix(before, before, mixing.colour, partial(mixing.show, which=0))

    def paint(*values: Any) -> Any:
        painted = mixing.colour(*values)
        shown.replace((side(after), side(after)), mixing.colour)
        return painted

    shown.paint = paint
    (level, *_) = shown.make_levels()
    np.testing.assert_array_equal(np.asarray(level), as_rgba(before))
    np.testing.assert_array_equal(np.asarray(level), as_rgba(after))


def test_what_cannot_be_read_is_clear_and_told(pair: Any) -> None:
    before, after = pair

    def fail(place: Any) -> Any:
        raise OSError("gone")

    broken = Side([after], np.eye(3), fail, GRAY)
    shown = Mixing((side(before), broken), before.shape, mixing.colour, partial(mixing.show, which=1))
    with pytest.raises(OSError, match="gone"):
        np.asarray(shown.make_levels()[0])
    told: list[Exception] = []
    shown.report = told.append
    assert not np.asarray(shown.make_levels()[0]).any()
    assert [str(error) for error in told] == ["gone"]


def test_signed_is_after_minus_before(pair: Any) -> None:
    before, after = pair
    level = mix(before, after, mixing.gray, mixing.signed).make_levels()[0]
    assert (level.dtype, level.ndim) == (np.float32, 2)
    np.testing.assert_array_equal(np.asarray(level), after.astype(np.float32) - before)


def test_colour_is_overlaid_and_subtracted_as_luma() -> None:
    before, after = RANDOM.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    luma = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) for image in (before, after)]
    found = np.asarray(mix(before, after, mixing.gray, mixing.signed, shades=None).make_levels()[0])
    np.testing.assert_allclose(found, luma[1] - luma[0], atol=1.01)
    found = np.asarray(mix(before, after, mixing.level, mixing.overlay, shades=None).make_levels()[0])
    np.testing.assert_allclose(found[..., :2], np.dstack(luma), atol=1.01)


def test_any_part_of_any_part_is_that_of_the_whole(pair: Any) -> None:
    level = mix(*pair, mixing.colour, partial(mixing.swipe, cut=50, axis=1)).make_levels()[1]
    whole = np.asarray(level)
    for first, second in (
        ((slice(5, 30), slice(10, 60), slice(None)), (slice(None), slice(None))),
        ((slice(5, 30),), (slice(3, 9), slice(2, None, 2))),
        ((slice(None), slice(7, 8)), (slice(None), slice(None))),
        ((4,), (slice(3, 40),)),
    ):
        np.testing.assert_array_equal(np.asarray(level[first][second]), whole[first][second])


def test_nothing_is_worked_out_before_it_is_asked_for() -> None:
    class Untouchable:
        shape, dtype, ndim = (10**6, 10**6), np.dtype(np.uint8), 2

        def __init__(self) -> None:
            self.asked: list[Any] = []

        def __getitem__(self, key: Any) -> NDArray[np.uint8]:
            self.asked.append(key)
            return np.zeros([each.stop - each.start for each in key], np.uint8)

    array = Untouchable()
    levels = mix(array, array, mixing.colour, partial(mixing.swipe, cut=50, axis=1)).make_levels()
    part = levels[0][500:700, 1000:1100, :]
    assert array.asked == []
    assert np.asarray(part).shape == (200, 100, 4)
    assert len(array.asked) == 2
    assert all(each.stop - each.start < 210 for key in array.asked for each in key)


def test_what_is_dragged_over_two_images_reads_them_once(pair: Any) -> None:
    mixing_ = mix(*pair, mixing.colour, partial(mixing.swipe, cut=50, axis=1))
    painted: list[int] = []
    mixing_.paint = lambda *args: painted.append(1) or mixing.colour(*args)
    level = mixing_.make_levels()[0]
    for cut in 10, 60, 20:
        mixing_.join = partial(mixing.swipe, cut=cut, axis=1)
        assert (np.asarray(level)[:, :cut] == as_rgba(pair[0])[:, :cut]).all()
    assert len(painted) == 2
    mixing_.replace((side(pair[1]), side(pair[0])), mixing.colour)
    assert (np.asarray(level)[:, :20] == as_rgba(pair[1])[:, :20]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64, np.bool_, ">u2"])
@pytest.mark.parametrize("name", ["gray", "inferno", "magenta", "PiYG"])
def test_gray_values_get_the_colours_that_napari_gives_them(dtype: Any, name: str) -> None:
    values = (RANDOM.random((30, 40)) * 200 > 100 if dtype == np.bool_ else RANDOM.random((30, 40)) * 200).astype(dtype)
    limits, gamma = ((0, 1) if dtype == np.bool_ else (20, 150)), 0.7
    table = AVAILABLE_COLORMAPS[name]
    shades = Shades(*limits, gamma, table.map(np.linspace(0, 1, 256)))
    found = mixing.colour(values, np.ones(values.shape, np.bool_), shades)
    shares = ((values.astype(np.float64) - limits[0]) / (limits[1] - limits[0])).clip(0, 1) ** gamma
    np.testing.assert_allclose(found, table.map(shares.ravel()).reshape(30, 40, 4) * 255, atol=2.5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_any_depth_are_shown(dtype: Any, channels: int) -> None:
    image = RANDOM.random((20, 30, channels))
    values = (image * (np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1)).astype(dtype)
    found = mixing.colour(values, np.ones((20, 30), np.bool_), None)
    np.testing.assert_allclose(found[..., :channels], img_as_ubyte(values), atol=1.01)
    assert (found[..., channels:] == 255).all()


def test_where_an_image_is_not_there_is_nothing(pair: Any) -> None:
    before, after = pair
    sides = side(before), side(after, shifted(-20, 30))
    rows, cols = np.indices(before.shape)
    there = (rows >= 20) & (cols < 100)
    moved = np.roll(after, (20, -30), axis=(0, 1))
    found = np.asarray(Mixing(sides, before.shape, mixing.colour, partial(mixing.show, which=1)).make_levels()[0])
    np.testing.assert_array_equal(found, np.where(there[..., None], as_rgba(moved), 0))
    found = np.asarray(Mixing(sides, before.shape, mixing.gray, mixing.signed).make_levels()[0])
    wanted = np.where(there, moved.astype(np.float32) - before, np.nan)
    np.testing.assert_array_equal(found, wanted)
    beyond = Mixing((side(before), side(after, shifted(0, 500))), before.shape, mixing.gray, mixing.signed)
    assert np.isnan(np.asarray(beyond.make_levels()[0])).all()


def test_not_a_number_is_clear() -> None:
    image = np.array([[0, np.nan, 1.0]], np.float32)
    shades = Shades(0, 1, 1.0, np.array([[1, 0, 0, 1], [0, 1, 0, 1]], np.float64))
    assert mixing.colour(image, np.ones((1, 3), np.bool_), shades).tolist() == [
        [[255, 0, 0, 255], [0] * 4, [0, 255, 0, 255]]
    ]


@pytest.mark.parametrize("matrix", [shifted(0.25, -0.5), np.array([[0.5, 0.1, 3], [-0.1, 0.5, 9], [0, 0, 1]])])
def test_between_pixels_it_is_linear(pair: Any, matrix: NDArray[np.float64]) -> None:
    image = ndimage.gaussian_filter(pair[1].astype(np.float64) * 3, 2).astype(np.float32)
    sides = side(image), side(image, matrix)
    found = np.asarray(Mixing(sides, image.shape, mixing.gray, lambda before, after, *_: after).make_levels()[0])
    wanted = ndimage.affine_transform(
        image, matrix[:2, :2], matrix[:2, 2], order=1, mode="constant", cval=np.nan, prefilter=False
    )
    inside = np.isfinite(wanted)
    assert inside.mean() > 0.9
    # OpenCV goes by steps of 1/32 of a pixel
    np.testing.assert_allclose(found[inside], wanted[inside], atol=float(np.ptp(image)) / 32)


def test_the_frame_of_each_image_is_asked_for() -> None:
    stack = RANDOM.integers(0, 255, (5, 3, 40, 50), dtype=np.uint8)
    late = Side([stack], np.eye(3), lambda place: (place[0] - 1, place[1]) if place[0] else None, GRAY)
    level = Mixing((side(stack), late), stack.shape, mixing.gray, mixing.signed).make_levels()[0]
    assert level.shape == stack.shape
    assert np.isnan(np.asarray(level[0, 2])).all()
    floats = stack.astype(np.float32)
    np.testing.assert_array_equal(np.asarray(level[3, 2]), floats[2, 2] - floats[3, 2])
    np.testing.assert_array_equal(np.asarray(level[1:, :, 7]), (floats[:-1] - floats[1:])[:, :, 7])


def test_coarser_sizes_of_an_image_are_read_for_coarser_pictures() -> None:
    full = RANDOM.integers(0, 255, (256, 256), dtype=np.uint8)
    half, quarter = np.full((128, 128), 50, np.uint8), np.full((64, 64), 100, np.uint8)
    sides = side(full, levels=[half, quarter]), side(full)
    level = Mixing(sides, full.shape, mixing.colour, partial(mixing.show, which=0)).make_levels()
    assert [int(np.asarray(level[mixing.STEPS.index(step)])[5, 5, 0]) for step in (2, 3, 4, 6)] == [50, 50, 100, 100]
