"""Transforms are found where they are known, by scipy's splines, and none is found where nothing moved."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage import data

from napari_image_diff.alignment import Alignment, describe, find_alignment
from napari_image_diff.resampling import resample_tile

Image = NDArray[Any]


def picture(name: str) -> Image:
    image = getattr(data, name)()
    return image.astype(float) if image.ndim == 2 else image[..., :3] @ [0.299, 0.587, 0.114]


def to_uint8(image: Image) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def about_middle(linear: Any, shift: tuple[float, float], shape: tuple[int, int]) -> Image:
    """Return the matrix that turns an image of `shape` about its middle and then shifts it."""
    middle = (np.array(shape) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = middle + shift - matrix[:2, :2] @ middle
    return matrix


def turn(degrees: float) -> Image:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([(cos, -sin), (sin, cos)])


def make_pair(image: Image, linear: Any, shift: tuple[float, float], margin: int) -> tuple[Image, Image, Image]:
    """Return before, after and the true matrix: both are cut from a larger picture, so that no border was made up."""
    shape = (image.shape[0] - 2 * margin, image.shape[1] - 2 * margin)
    before = image[margin:-margin, margin:-margin]
    matrix = about_middle(linear, shift, shape)
    inverse = np.linalg.inv(matrix)
    after = ndimage.affine_transform(
        image, inverse[:2, :2], inverse[:2, 2] + margin, output_shape=shape, order=5, mode="mirror"
    )
    return before.copy(), after, matrix


def find(before: Image, after: Image, model: Any = "translation", data_range: float = 255.0) -> Alignment:
    """Find the alignment of two images that nobody may write to."""
    planes = [np.ascontiguousarray(plane) for plane in (before, after)]
    for plane in planes:
        plane.flags.writeable = False
    return find_alignment(planes[0], planes[1], model, data_range)


def corner_error(found: Alignment, matrix: Image) -> float:
    rows, cols = found.shape[0] - 1, found.shape[1] - 1
    ends = np.array([(0, 0, 1), (rows, 0, 1), (0, cols, 1), (rows, cols, 1)])
    return float(np.hypot(*(ends @ (found.matrix - matrix).T)[:, :2].T).max())


def resample(plane: Image, matrix: Image, shape: tuple[int, int], dtype: Any = np.float64, cut: int = 0) -> Image:
    """Resample in tiles of `cut` rows; in one if it is 0."""
    target = np.full(shape, 7, dtype)
    for top in range(0, shape[0], cut or shape[0]):
        resample_tile(plane, matrix, top, min(top + (cut or shape[0]), shape[0]), target)
    return target


def spoil(before: Image, after: Image, how: str) -> tuple[Image, Image]:
    rng = np.random.default_rng(3)
    if how == "noise":
        return tuple(to_uint8(image + rng.normal(0, 8, image.shape)) for image in (before, after))
    if how == "gain and jpeg":
        planes = to_uint8(before * 0.9), to_uint8(after * 0.98 + 9)
        codes = [cv2.imencode(".jpg", plane, [cv2.IMWRITE_JPEG_QUALITY, 60])[1] for plane in planes]
        return tuple(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE) for code in codes)
    if how == "changed":
        after = after.copy()
        side = int(0.5 * min(after.shape))
        after[-side:, -side:] = after[-side:, -side:][::-1, ::-1].copy()
    return to_uint8(before), to_uint8(after)


@pytest.mark.parametrize("how", ["clean", "noise", "gain and jpeg", "changed"])
@pytest.mark.parametrize(
    ("name", "shift"),
    [("camera", (0.3, -0.6)), ("coins", (-31.62, 12.25)), ("brick", (17.4, -22.5)), ("moon", (-8.7, 33.35))],
)
def test_a_shift_is_found(name: str, shift: tuple[float, float], how: str) -> None:
    before, after, matrix = make_pair(picture(name), np.eye(2), shift, 40)
    found = find(*spoil(before, after, how))
    assert found.outcome == "aligned"
    # The faint moon under noise has no more to give
    assert corner_error(found, matrix) < (0.2 if (name, how) == ("moon", "noise") else 0.1)


@pytest.mark.parametrize("name", ["page", "text", "chelsea"])
def test_a_shift_by_a_sixth_of_a_side_is_found(name: str) -> None:
    before, after, matrix = make_pair(picture(name), np.eye(2), (20.4, -15.3), 26)
    assert corner_error(find(to_uint8(before), to_uint8(after)), matrix) < 0.1


@pytest.mark.parametrize("how", ["clean", "noise", "changed"])
@pytest.mark.parametrize(("name", "degrees"), [("camera", 9.5), ("grass", -4), ("coffee", 0.4)])
def test_a_rotation_is_found(name: str, degrees: float, how: str) -> None:
    before, after, matrix = make_pair(picture(name), turn(degrees), (5.3, -6.8), 50)
    found = find(*spoil(before, after, how), "rigid")
    assert corner_error(found, matrix) < 0.5
    assert np.linalg.det(found.matrix[:2, :2]) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("how", ["clean", "noise", "changed"])
@pytest.mark.parametrize(
    ("name", "linear"),
    [
        ("camera", turn(-8) @ [[1.08, 0.02], [0, 0.93]]),
        ("gravel", turn(10) @ [[0.91, -0.03], [0, 1.09]]),
        ("page", [[1.02, 0], [0, 1.05]]),
    ],
)
def test_an_affine_transform_is_found(name: str, linear: Any, how: str) -> None:
    before, after, matrix = make_pair(picture(name), linear, (-3.2, 4.1), 36 if name == "page" else 52)
    assert corner_error(find(*spoil(before, after, how), "affine"), matrix) < 0.5


@pytest.mark.parametrize(
    ("dtype", "scale", "offset", "data_range"),
    [(np.uint16, 16, 0, 4095), (np.float32, 1 / 255, 0, 1), (np.float64, 4e-9, 0, 1e-6), (np.float64, 1, 1e9, 255)],
)
def test_values_may_have_any_type_and_scale(dtype: Any, scale: float, offset: float, data_range: float) -> None:
    before, after, matrix = make_pair(picture("coins"), np.eye(2), (4.3, -2.7), 20)
    planes = [(image.clip(0, 255) * scale + offset).astype(dtype) for image in (before, after)]
    assert corner_error(find(planes[0], planes[1], data_range=data_range), matrix) < 0.05


@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
@pytest.mark.parametrize("name", ["camera", "page", "brick"])
def test_what_lies_right_stays_as_it_is(name: str, model: str) -> None:
    rng = np.random.default_rng(5)
    before = picture(name)
    ramp = np.linspace(-6, 6, before.shape[1])
    code = cv2.imencode(".jpg", to_uint8(before), [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
    for after in (
        before,
        before + rng.normal(0, 8, before.shape),
        before * 0.95 + ramp,
        ndimage.gaussian_filter(before, 0.6),
        cv2.imdecode(code, cv2.IMREAD_GRAYSCALE),
    ):
        found = find(to_uint8(before), to_uint8(after), model)
        assert found.outcome == "not needed"
        assert np.array_equal(found.matrix, np.eye(3))


@pytest.mark.parametrize(
    ("ground", "side"), [("grass", 100), ("grass", 280), ("camera", 100), ("camera", 280), ("flat", 100), ("flat", 200)]
)
def test_an_object_that_moved_moves_nothing_else(ground: str, side: int) -> None:
    rng = np.random.default_rng(1)
    image = np.full((512, 512), 90.0) if ground == "flat" else picture(ground)
    thing = picture("astronaut")[40 : 40 + side, 120 : 120 + side]
    planes = []
    for row, col in ((60, 70), (74, 91)):
        plane = image + rng.normal(0, 2, image.shape)
        plane[row : row + side, col : col + side] = thing
        planes.append(to_uint8(plane))
    assert find(planes[0], planes[1]).outcome == "not needed"


def test_of_equal_shifts_the_smallest_is_taken() -> None:
    tiles = np.tile(to_uint8(picture("coins")[40:104, 40:104]), (9, 9))
    assert find(tiles[:400, :400], tiles[64:464, 64:464]).outcome == "not needed"
    assert describe(find(tiles[:400, :400], tiles[72:472, 124:524]))["shift"] == (-8, 4)
    # So many periods that no search could propose them all, and something in the way
    tiles = np.tile(to_uint8(picture("coins")[40:64, 45:69]), (30, 30))
    before, after = tiles[:400, :400].copy(), tiles[58:458, 70:470].copy()
    after[50:250, 100:300] = np.random.default_rng(0).integers(0, 255, (200, 200))
    assert describe(find(before, after))["shift"] == (-10, 2)
    stripes = to_uint8(np.tile(128 + 60 * np.sin(np.arange(600) * math.tau / 12), (500, 1)))
    shift = describe(find(stripes[:, :500], stripes[:, 38:538]))["shift"]
    assert shift == pytest.approx((0, -2), abs=0.05)


@pytest.mark.parametrize("model", ["rigid", "affine"])
@pytest.mark.parametrize(("degrees", "shift"), [(3, (0.0, 0.0)), (1, (5.0, -9.0)), (6, (0.0, 0.0))])
@pytest.mark.parametrize("name", ["pads", "text"])
def test_a_turned_repetitive_picture_is_not_taken_for_another_of_its_periods(
    name: str, degrees: float, shift: tuple[float, float], model: str
) -> None:
    tile = picture("text")[:128, :128]
    if name == "pads":
        rows, cols = np.ogrid[:48, :64]
        tile = 60.0 + 140 * (np.hypot(rows - 20, cols - 20) < 12) + 60 * ((abs(rows - 25) < 15) & (abs(cols - 47) < 11))
    whole = np.tile(tile, np.ceil(np.divide(1500, tile.shape)).astype(int))
    before, after, matrix = make_pair(whole, turn(degrees), shift, 150)
    noise = np.random.default_rng(0).normal(0, 4, (2, *before.shape))
    found = find(to_uint8(before + noise[0]), to_uint8(after + noise[1]), model)
    assert found.outcome == "could not align" or corner_error(found, matrix) < 0.1
    assert found.outcome == "aligned" or degrees == 6


@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
def test_unrelated_images_are_not_aligned(model: str) -> None:
    for one, other in (("camera", "moon"), ("brick", "grass"), ("coins", "page")):
        before, after = picture(one)[:190, :380], picture(other)[:190, :380]
        found = find(to_uint8(before), to_uint8(after), model)
        assert found.outcome == "could not align"
        assert np.array_equal(found.matrix, np.eye(3))


def test_without_texture_there_is_nothing_to_tell() -> None:
    rng = np.random.default_rng(2)
    flat = np.full((300, 200), 50, np.uint8)
    nothing = np.full((300, 200), np.nan)
    textured = picture("camera")[:300, :200]
    noise = [to_uint8(100 + rng.normal(0, 10, (300, 200))) for _ in range(2)]
    small = to_uint8(picture("camera"))
    for before, after in (
        (flat, flat),
        (noise[0], noise[1]),
        (nothing, nothing),
        (nothing, textured),
        (textured, nothing),
        (small[:8, :8], small[2:10, 3:11]),
        (small[:1, :1], small[1:2, :1]),
    ):
        found = find(before, after)
        assert found.outcome == "not needed"
        assert "too little texture" in found.reason


def test_pixels_that_are_not_finite_do_not_count() -> None:
    before, after, matrix = make_pair(picture("camera"), np.eye(2), (3.25, -5.6), 20)
    rng = np.random.default_rng(4)
    for plane in (before, after):
        plane[100:180, 150:320] = np.nan
        plane[:, :50] = np.inf
        plane[rng.random(plane.shape) < 0.001] = -np.inf
    assert corner_error(find(before, after), matrix) < 0.1


def test_shapes_may_differ() -> None:
    image = to_uint8(picture("camera"))
    assert find(image[:400, :420], image[:430, :390]).outcome == "not needed"
    found = find(image[:400, :420], image[12:440, 7:400])
    assert describe(found)["shift"] == (-12, -7)
    assert found.shape == (400, 420)


def test_a_pair_that_lies_right_is_not_read_whole() -> None:
    row = to_uint8(128 + 60 * np.sin(np.arange(200_000) / 3))
    huge = np.broadcast_to(row, (200_000, 200_000))
    assert find_alignment(huge, huge, "translation", 255).outcome == "not needed"


def test_none_is_off_and_other_words_are_refused() -> None:
    image = to_uint8(picture("coins"))
    assert find(image, image[::-1], "none").outcome == "off"
    with pytest.raises(ValueError, match="'translation', 'rigid' or 'affine'"):
        find(image, image, "perspective")


def test_numbers_of_an_alignment() -> None:
    linear = turn(6) @ [[1, 0.03], [0, 1]] @ np.diag([1.05, 0.97])
    found = Alignment("affine", about_middle(linear, (2.5, -4), (101, 201)), "aligned", "", (101, 201))
    numbers = describe(found)
    assert numbers["shift"] == pytest.approx((2.5, -4))
    assert numbers["rotation"] == pytest.approx(6)
    assert numbers["scale"] == pytest.approx((1.05, 0.97))
    assert numbers["shear"] == pytest.approx(0.03)
    # What lay below the middle now lies to its right: anticlockwise
    assert (found.matrix @ (100, 100, 1))[1] > 100 - 4


def test_the_reason_has_the_numbers() -> None:
    before, after, _ = make_pair(picture("camera"), np.eye(2), (3.0, -5.0), 20)
    assert find(to_uint8(before), to_uint8(after)).reason == "shift of 3.00 rows, -5.00 columns"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_whole_shift_copies(dtype: Any) -> None:
    plane = np.random.default_rng(0).integers(0, 256, (60, 83)).astype(dtype)
    target = resample(plane, about_middle(np.eye(2), (4, -7), (60, 83)), (60, 83), np.float32)
    assert np.array_equal(target[:56, 7:], plane[4:, :-7])
    assert np.isnan(target[56:]).all()
    assert np.isnan(target[:, :7]).all()


@pytest.mark.parametrize("shift", [0.3, 0.5, 0.7])
def test_interpolation_is_close_to_a_spline_and_better_than_cubic(shift: float) -> None:
    image = picture("gravel")[:200, :300]
    found = resample(image, about_middle(np.eye(2), (shift, -shift), (200, 300)), (200, 300))
    true = ndimage.shift(image, (-shift, shift), order=5, mode="mirror")
    matrix = np.array([(1, 0, -shift), (0, 1, shift)], np.float32)
    cubic = cv2.warpAffine(image, matrix, (300, 200), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(found - true)[inner].mean() < 0.6 * np.abs(cubic - true)[inner].mean()


def test_general_and_separable_interpolation_agree() -> None:
    image = picture("coins")
    matrix = about_middle(np.eye(2), (-3.27, 8.61), image.shape)
    nearly = matrix.copy()
    nearly[0, 1] = 1e-12
    assert np.allclose(
        resample(image, matrix, (250, 300)), resample(image, nearly, (250, 300)), atol=0.05, equal_nan=True
    )
    turned = about_middle(turn(7) * 1.04, (2.2, 3.3), image.shape)
    true = ndimage.affine_transform(image, turned[:2, :2], turned[:2, 2], order=5)
    inner = resample(image, turned, image.shape)[60:-60, 60:-60]
    assert np.abs(inner - true[60:-60, 60:-60]).mean() < 0.6


@pytest.mark.parametrize("linear", [np.eye(2), turn(3) * 1.02], ids=["shift", "affine"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_tiles_do_not_matter(linear: Any, dtype: Any) -> None:
    plane = to_uint8(picture("camera")).astype(dtype)
    matrix = about_middle(linear, (3.37, -2.81), plane.shape)
    whole = resample(plane, matrix, (500, 531), np.float32)
    assert np.isfinite(whole).any()
    for cut in (1, 7, 128):
        assert np.array_equal(resample(plane, matrix, (500, 531), np.float32, cut), whole, equal_nan=True)


@pytest.mark.parametrize("linear", [np.eye(2), turn(1e-9)], ids=["shift", "affine"])
def test_the_rim_is_half_a_pixel_wide(linear: Any) -> None:
    plane = np.full((40, 50), 9, np.uint8)
    inside = resample(plane, about_middle(linear, (-0.49, 0.49), (40, 50)), (40, 50))
    assert np.allclose(inside, 9)
    outside = resample(plane, about_middle(linear, (-0.51, 0.51), (40, 50)), (40, 50))
    assert np.isnan(outside[0]).all()
    assert np.isnan(outside[:, -1]).all()
    assert np.allclose(outside[1:, :-1], 9)
    assert np.isnan(resample(plane, about_middle(linear, (0, 80), (40, 50)), (40, 50))).all()


@pytest.mark.parametrize("linear", [np.eye(2), turn(1e-9)], ids=["shift", "affine"])
def test_what_is_not_finite_spoils_the_pixels_it_is_used_for(linear: Any) -> None:
    plane = np.ones((30, 30), np.float32)
    plane[15, 15] = np.inf
    target = resample(plane, about_middle(linear, (0.5, 0.5), (30, 30)), (29, 29))
    rows, cols = np.nonzero(np.isnan(target))
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (12, 17, 12, 17)
    assert rows.size == 36


def test_images_may_be_larger_than_opencv_can_remap() -> None:
    plane = np.tile(np.arange(40_000) % 251, (8, 1)).astype(np.uint8)
    target = resample(plane, about_middle(np.eye(2), (0, 1.0), plane.shape), plane.shape)
    assert np.array_equal(target[:, :-1], plane[:, 1:])
    nearly = about_middle(np.eye(2), (0, 1.0), plane.shape)
    nearly[0, 1] = 1e-15
    assert np.allclose(resample(plane, nearly, plane.shape)[:, :-1], plane[:, 1:], atol=0.01)


@pytest.mark.parametrize("model", ["translation", "affine"])
def test_what_was_found_undoes_what_was_done(model: str) -> None:
    linear = np.eye(2) if model == "translation" else turn(5) * 1.03
    before, after, _ = make_pair(picture("camera"), linear, (6.4, -9.7), 40)
    before, after = to_uint8(before), to_uint8(after)
    found = find(before, after, model)
    after.flags.writeable = False
    back = resample(after, found.matrix, before.shape)
    rest = np.abs(back - before)
    assert np.isfinite(rest).mean() > 0.8
    assert np.nanmean(rest) < 0.1 * np.abs(after.astype(float) - before).mean()
