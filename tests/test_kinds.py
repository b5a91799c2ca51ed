"""Names of changes against pictures that were changed in a known way."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff.kinds import KINDS, Kinds, name_kinds

Array = NDArray[Any]

FORMATS: dict[str, tuple[Any, float]] = {
    "uint8": (np.uint8, 255.0),
    "uint16": (np.uint16, 65535.0),
    "float32": (np.float32, 1.0),
}
SIZE = 120
BOX = (20, 30, 50, 74)


def picture(seed: int, channels: int = 3, grain: float = 2.5, size: int = SIZE) -> Array:
    """Return a rough reddish surface, in levels of 0 to 255."""
    rng = np.random.default_rng(seed)
    rough = ndimage.gaussian_filter(rng.normal(0, 1, (size, size)), grain)
    colour = np.array([1.0, 0.6, 0.4])[:channels]
    return (130 + 18 * rough / rough.std())[..., None] * colour


def shape(box: tuple[int, int, int, int], size: int = SIZE) -> Array:
    """Return an ellipse in a box, (size, size, 1), soft by a pixel, 0 to 1."""
    top, left, bottom, right = box
    rows, cols = np.ogrid[:size, :size]
    middle = (top + bottom - 1) / 2, (left + right - 1) / 2
    inside = ((rows - middle[0]) / (bottom - top) * 2) ** 2 + ((cols - middle[1]) / (right - left) * 2) ** 2 <= 1
    return ndimage.gaussian_filter(inside.astype(float), 0.6)[..., None]


def thing(seed: int, channels: int = 3) -> Array:
    """Return a smooth bluish surface."""
    return picture(seed, 3, grain=6)[..., ::-1][..., :channels] * 0.6 + 80


def change(kind: str, before: Array, seed: int) -> tuple[Array, Array, Array]:
    """Return before and after with one change, and where they differ."""
    where, channels = shape(BOX), before.shape[2]
    if kind in ("added", "removed"):
        after = before * (1 - where) + thing(seed + 1, channels) * where
        return (before, after, where) if kind == "added" else (after, before, where)
    if kind == "moved":
        what, rows = thing(seed + 1, channels), 46
        there = np.roll(where, rows, axis=0)
        after = before * (1 - there) + np.roll(what, rows, axis=0) * there
        return before * (1 - where) + what * where, after, np.maximum(where, there)
    new = {
        "recoloured": before[..., ::-1],
        "brighter": before + 45,
        "darker": before * 0.6,
        "texture": before.mean((0, 1)) + np.random.default_rng(seed).normal(0, 25, before.shape),
    }[kind]
    return before, before * (1 - where) + new * where, where


def cast(image: Array, name: str) -> Array:
    """Return a picture in a format, (H, W) if gray."""
    dtype, data_range = FORMATS[name]
    image = np.clip(image, 0, 255) * (data_range / 255)
    image = image[..., 0] if image.shape[2] == 1 else image
    return (np.rint(image) if np.issubdtype(dtype, np.integer) else image).astype(dtype)


def label(where: Array) -> tuple[Array, Array]:
    """Return labels and boxes as found: a little wider than what changed."""
    mask = cv2.dilate((where[..., 0] > 0.3).astype(np.uint8), np.ones((3, 3), np.uint8))
    labels = ndimage.label(mask, np.ones((3, 3)))[0].astype(np.int32)
    boxes = [(s[0].start, s[1].start, s[0].stop, s[1].stop) for s in ndimage.find_objects(labels)]
    return labels, np.array(boxes, np.int64).reshape(-1, 4)


def name(before: Array, after: Array, where: Array, format_name: str = "uint8", **options: Any) -> Kinds:
    labels, boxes = label(where)
    images = cast(before, format_name), cast(after, format_name)
    return name_kinds(*images, labels, boxes, FORMATS[format_name][1], **options)


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_known_in_each_format(kind: str, channels: int, format_name: str) -> None:
    if kind == "recoloured" and channels == 1:
        pytest.skip("gray has no hue")
    for seed in range(3):
        found = name(*change(kind, picture(seed, channels), seed), format_name)
        assert set(found.kind) == {kind}
        assert len(found.reason) == len(found.kind)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_does_not_change_the_name(kind: str) -> None:
    rng = np.random.default_rng(5)
    before, after, where = change(kind, picture(3), 3)
    before, after = (image + rng.normal(0, 5, image.shape) for image in (before, after))
    assert set(name(before, after, where, noise=7.0).kind) == {kind}
    assert set(name(before, after, where).kind) == {kind}


@pytest.mark.parametrize(
    ("kind", "reverse"),
    [("added", "removed"), ("brighter", "darker"), ("moved", "moved"), ("recoloured", "recoloured")],
)
def test_the_other_way_round_is_the_reverse(kind: str, reverse: str) -> None:
    before, after, where = change(kind, picture(1), 1)
    assert set(name(after, before, where).kind) == {reverse}


def test_moved_says_where_to() -> None:
    surface, what = picture(0), thing(1)
    old, new = shape((10, 20, 34, 50)), shape((72, 65, 96, 95))
    before = surface * (1 - old) + what * old
    after = surface * (1 - new) + np.roll(what, (62, 45), axis=(0, 1)) * new
    found = name(before, after, np.maximum(old, new))
    assert found.kind == ["moved", "moved"]
    assert found.partner.tolist() == [2, 1]
    assert found.shift.tolist() == [[62, 45], [62, 45]]
    assert found.reason[0].startswith("same content found 62 rows down, 45 columns right (")
    assert found.reason[1].startswith("same content was 62 rows up, 45 columns left before (")


@pytest.mark.parametrize(("rows", "cols"), [(6, 0), (-9, 4), (0, 21), (1, -12), (22, 3)])
def test_a_short_move_within_one_region_is_known(rows: int, cols: int) -> None:
    surface, what, old = picture(0), thing(1), shape((50, 50, 70, 70))
    new = np.roll(old, (rows, cols), axis=(0, 1))
    before = surface * (1 - old) + what * old
    after = surface * (1 - new) + np.roll(what, (rows, cols), axis=(0, 1)) * new
    found = name(before, after, ndimage.maximum_filter(np.maximum(old, new), (5, 5, 1)))
    assert found.kind == ["moved"]
    assert found.partner.tolist() == [0]
    assert found.shift.tolist() == [[rows, cols]]
    assert "within the region" in found.reason[0]


def test_of_many_alike_each_moved_to_the_nearest_place() -> None:
    image = np.full((300, 300), 90, np.uint8)
    before, after, labels, boxes = image.copy(), image.copy(), np.zeros((300, 300), np.int32), []
    for place in range(20):
        row, col = 60 * (place // 5) + 10, 60 * (place % 5) + 10
        for other, box in ((before, (row, col)), (after, (row, col + 25))):
            other[box[0] : box[0] + 12, box[1] : box[1] + 12] = 200
            boxes.append((*box, box[0] + 12, box[1] + 12))
            labels[box[0] : box[0] + 12, box[1] : box[1] + 12] = len(boxes)
    found = name_kinds(before, after, labels, np.array(boxes), 255)
    assert set(found.kind) == {"moved"}
    assert (found.shift == [0, 25]).all()


def test_two_things_that_are_not_alike_did_not_move() -> None:
    surface = picture(0)
    old, new = shape((10, 20, 34, 50)), shape((72, 65, 96, 95))
    before = surface * (1 - old) + thing(1) * old
    after = surface * (1 - new) + 40 * new
    found = name(before, after, np.maximum(old, new))
    assert found.kind == ["removed", "added"]
    assert found.partner.tolist() == [0, 0]
    assert np.isnan(found.shift).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_plain_surface(channels: int) -> None:
    surface, where = np.full((SIZE, SIZE, channels), 100.0), shape(BOX)
    strong, weak = surface * (1 - where) + 220 * where, surface + 30 * where
    assert name(surface, strong, where).kind == ["added"]
    assert name(strong, surface, where).kind == ["removed"]
    slight = name(surface, weak, where)
    assert slight.kind == ["brighter"]
    assert "perhaps" in slight.reason[0]
    assert name(surface, surface - 30 * where, where).kind == ["darker"]
    assert name(weak, surface, where).kind == ["removed"]  # it stood out before, and no longer does


def test_hue_is_told_in_words() -> None:
    before, after, where = change("recoloured", picture(0), 0)
    assert name(before, after, where).reason == ["hue turned from red to blue, structure the same (correlation 1.00)"]


def test_another_hue_as_bright_is_recoloured_not_brighter() -> None:
    before = 0.2 * picture(0, 1) + np.array([10, 94, 58])
    where = shape((20, 30, 60, 80))
    found = name(before, before + where * np.array([24, -16, 19]), where)
    assert found.kind == ["recoloured"]


def test_hues_that_change_places_are_recoloured() -> None:
    before = picture(0, grain=1.0)
    before[:, 1::8], before[:, 5::8] = before[:, 1::8, ::-1], before[:, 5::8, ::-1]
    before[:, 2::8], before[:, 6::8] = before[:, 2::8, ::-1], before[:, 6::8, ::-1]
    where = shape(BOX)
    assert name(before, before * (1 - where) + before[..., ::-1] * where, where).kind == ["recoloured"]


def test_light_is_told_with_its_amount() -> None:
    before, after, where = change("brighter", picture(0), 0)
    assert name(before, after, where).reason == [
        "lighter by 18% of the data range, structure the same (correlation 1.00)"
    ]


def test_contrast_alone_is_texture() -> None:
    before = picture(0)
    where = shape(BOX)
    inside = where[..., 0] > 0.5
    flatter = before + 0.6 * where * (before[inside].mean(0) - before)
    found = name(before, flatter, where)
    assert found.kind == ["texture"]
    assert "contrast changed" in found.reason[0]


@pytest.mark.parametrize("box", [(0, 0, 30, 40), (80, 70, 120, 120), (0, 40, 120, 70)])
@pytest.mark.parametrize("kind", ["added", "removed", "brighter"])
def test_at_the_border(kind: str, box: tuple[int, int, int, int]) -> None:
    where = np.zeros((SIZE, SIZE, 1))
    where[box[0] : box[2], box[1] : box[3]] = 1
    before = picture(0)
    after = before + 45 * where if kind == "brighter" else before * (1 - where) + thing(1) * where
    pair = (after, before) if kind == "removed" else (before, after)
    assert name(*pair, where).kind == [kind]


def test_everything_changed() -> None:
    before, everywhere = picture(0), np.ones((SIZE, SIZE, 1))
    assert name(before, before + 40, everywhere).kind == ["brighter"]
    assert name(before, before[..., ::-1], everywhere).kind == ["recoloured"]
    assert name(before, picture(1, grain=0.5), everywhere).kind == ["texture"]


def test_a_large_region_is_named_from_some_of_its_pixels() -> None:
    size = 1500
    before = cast(picture(0, 1, size=size), "uint8")
    after = before.copy()
    after[100:1400, 50:1450] //= 2
    labels = np.zeros((size, size), np.int32)
    labels[100:1400, 50:1450] = 1
    boxes = np.array([[100, 50, 1400, 1450]])
    assert name_kinds(before, after, labels, boxes, 255).kind == ["darker"]


@pytest.mark.parametrize("channels", [1, 3])
def test_single_pixels_have_a_name(channels: int) -> None:
    before = cast(picture(0, channels), "uint8")
    after = before.copy()
    places = [(0, 0), (0, 119), (60, 60), (119, 119)]
    labels = np.zeros((SIZE, SIZE), np.int32)
    for number, place in enumerate(places, 1):
        after[place] = 255 - after[place]
        labels[place] = number
    boxes = np.array([(row, col, row + 1, col + 1) for row, col in places])
    found = name_kinds(before, after, labels, boxes, 255)
    assert set(found.kind) <= set(KINDS)
    assert all(found.reason)


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_that_are_not_finite_are_left_out(kind: str) -> None:
    before, after, where = change(kind, picture(2), 2)
    labels, boxes = label(where)
    pair = cast(before, "float32"), cast(after, "float32")
    pair[0][45:48, 20:60] = np.nan
    pair[1][100, 40:50] = np.inf
    assert set(name_kinds(*pair, labels, boxes, 1.0).kind) == {kind}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_region_without_finite_pixels_has_a_name(value: float) -> None:
    before, after, where = change("added", picture(2), 2)
    labels, boxes = label(where)
    pair = cast(before, "float32"), cast(after, "float32")
    pair[1][labels > 0] = value
    assert set(name_kinds(*pair, labels, boxes, 1.0).kind) <= set(KINDS)


def test_no_region() -> None:
    image = np.zeros((9, 9), np.uint8)
    found = name_kinds(image, image, np.zeros((9, 9), np.int32), np.empty((0, 4), np.int64), 255)
    assert (found.kind, found.reason) == ([], [])
    assert found.partner.shape == (0,)
    assert found.shift.shape == (0, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_far_away_does_not_matter(kind: str) -> None:
    before, after, where = change(kind, picture(4), 4)
    pair = cast(before, "uint8"), cast(after, "uint8")
    labels, boxes = label(where)
    alone = name_kinds(*pair, labels, boxes, 255)
    wide = [np.random.default_rng(0).integers(0, 255, (SIZE + 300, SIZE + 200, 3), np.uint8) for _ in pair]
    wide_labels = np.zeros((SIZE + 300, SIZE + 200), np.int32)
    wide_labels[200 : 200 + SIZE, 80 : 80 + SIZE] = labels
    for image, part in zip(wide, pair, strict=True):
        image[200 : 200 + SIZE, 80 : 80 + SIZE] = part
    moved = name_kinds(*wide, wide_labels, boxes + np.array([200, 80, 200, 80]), 255)
    assert (moved.kind, moved.reason, moved.partner.tolist()) == (alone.kind, alone.reason, alone.partner.tolist())
    np.testing.assert_array_equal(moved.shift, alone.shift)


def test_layout_does_not_matter_and_nothing_is_written() -> None:
    before, after, where = change("moved", picture(4), 4)
    pair = cast(before, "uint8"), cast(after, "uint8")
    labels, boxes = label(where)
    expected = name_kinds(*pair, labels, boxes, 255)
    for array in (*pair, labels, boxes):
        array.flags.writeable = False
    others = (np.repeat(image, 2, axis=1)[:, ::2] for image in pair)
    found = name_kinds(*others, labels, boxes, 255)
    assert (found.kind, found.reason) == (expected.kind, expected.reason)
    np.testing.assert_array_equal(found.shift, expected.shift)


def test_what_does_not_fit_together_is_refused() -> None:
    image, boxes = np.zeros((9, 9), np.uint8), np.empty((0, 4), np.int64)
    with pytest.raises(ValueError, match=r"\(9, 9\).*\(8, 9\)"):
        name_kinds(image, image[1:], np.zeros((9, 9), np.int32), boxes, 255)
    with pytest.raises(ValueError, match="data_range is 0"):
        name_kinds(image, image, np.zeros((9, 9), np.int32), boxes, 0)
