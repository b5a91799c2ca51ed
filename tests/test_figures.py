"""Figures of a result: held against slices of the images, and read back by the libraries that others read them with."""

from __future__ import annotations

import io
from typing import Any

import cv2
import dask.array as da
import numpy as np
import pytest
from chunked import in_chunks
from numpy.typing import NDArray
from PIL import Image

from napari_image_diff import Comparison, compare, decide, figures, reviewed, tiles
from napari_image_diff.figures import Bar, draw_blink, draw_crops, draw_view
from napari_image_diff.layers import BOX_COLOR
from napari_image_diff.lettering import Theme, draw_lines, measure_text, pack
from napari_image_diff.mixing import Look, Shades

THEME = Theme((36, 40, 44), (240, 240, 240))
LINE = tuple(int(BOX_COLOR[place : place + 2], 16) for place in (1, 3, 5))
BLACK_TO_WHITE = np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float64)
GRAY = Look(Shades(0, 255, 1, BLACK_TO_WHITE))
COLOUR = Look(None, 255)
NAMES = "a", "b"
GAP = 8
LINE_WIDTH = 2
SEEN = tuple[slice, slice]


def crops_of(comparison: Comparison, look: Look = GRAY, names: tuple[str, str] = NAMES) -> dict[str, NDArray[Any]]:
    """Return the pictures of regions and the sheet, decoded."""
    made = dict(draw_crops(comparison, (look, look), names, THEME))
    return {name: cv2.imdecode(np.frombuffer(each, np.uint8), 1)[:, :, ::-1] for name, each in made.items()}


def blink_of(comparison: Comparison, look: Look = GRAY, **told: Any) -> tuple[list[NDArray[Any]], list[int], Any]:
    """Return the frames of a GIF, their durations and how often it is played."""
    picture = Image.open(io.BytesIO(draw_blink(comparison, (look, look), NAMES, THEME, **told)))
    frames, durations = [], []
    for number in range(picture.n_frames):
        picture.seek(number)
        frames.append(np.array(picture.convert("RGB")))
        durations.append(picture.info["duration"])
    return frames, durations, picture.info["loop"]


def surround(top: int, left: int, bottom: int, right: int, shape: tuple[int, ...]) -> SEEN:
    """Return what a picture has of a region: a square with half of its side round it, 8 pixels at least, as it fits."""
    side = max(bottom - top, right - left)
    whole = side + 2 * max(8, side // 2)
    first = top - (whole - (bottom - top)) // 2, left - (whole - (right - left)) // 2
    spans = [slice(max(0, start), min(start + whole, length)) for start, length in zip(first, shape, strict=False)]
    return spans[0], spans[1]


def box_of(comparison: Comparison, row: int = 0) -> tuple[int, int, int, int]:
    top, left, bottom, right = comparison.regions.loc[row, ["min_row", "min_col", "max_row", "max_col"]].astype(int)
    return top, left, bottom, right


def enlarged(part: NDArray[Any], least: int) -> NDArray[Any]:
    """Return gray or colour as RGB, each pixel as a square, so that its longer side is as long as that or longer."""
    times = -(-least // max(part.shape[:2]))
    whole = np.kron(part, np.ones((times, times) + (1,) * (part.ndim - 2), part.dtype))
    return whole if part.ndim == 3 else np.repeat(whole[..., None], 3, axis=2)


def is_line(picture: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((picture == LINE).all(axis=2))


def same_but_for_lines(found: NDArray[Any], expected: NDArray[Any], most: int = 0) -> bool:
    """Return whether two pictures are the same, but for lines, which have to be there and few."""
    lines = is_line(found)
    assert 0 < lines.mean() < 0.2
    return bool(np.abs(found.astype(int) - expected)[~lines].max() <= most)


# ---------------------------------------------------------------- pairs of crops


@pytest.fixture
def comparison(images: Any) -> Comparison:
    return compare(*images)


def test_each_region_is_a_pair_of_slices_of_the_images(images: Any, comparison: Comparison) -> None:
    found = crops_of(comparison)
    assert list(found) == ["region-0003.png", "region-0002.png", "region-0001.png", "regions.png"]
    for row in range(3):
        box, picture = box_of(comparison, row), found[f"region-{row + 1:04d}.png"]
        place = surround(*box, images[0].shape)
        before, after = (enlarged(image[place], 256) for image in images)
        height, width = before.shape[:2]
        assert same_but_for_lines(picture[GAP : GAP + height, GAP : GAP + width], before)
        left = 2 * GAP + max(width, 200)
        assert same_but_for_lines(picture[GAP : GAP + height, left : left + width], after)
        assert picture.shape[1] == 3 * GAP + 2 * max(width, 200)
        assert (picture[:GAP] == THEME.ground).all()


def test_the_line_is_round_the_region_and_hides_none_of_it(images: Any, comparison: Comparison) -> None:
    box = box_of(comparison, 2)
    rows, columns = surround(*box, images[0].shape)
    times = -(-256 // max(rows.stop - rows.start, columns.stop - columns.start))
    picture = crops_of(comparison)["region-0003.png"]
    height, width = (times * (each.stop - each.start) for each in (rows, columns))
    lines = is_line(picture[GAP : GAP + height, GAP : GAP + width])
    top, left, bottom, right = (times * (side - (rows, columns)[axis % 2].start) for axis, side in enumerate(box))
    expected = np.zeros_like(lines)
    expected[top - LINE_WIDTH : bottom + LINE_WIDTH, left - LINE_WIDTH : right + LINE_WIDTH] = True
    expected[top:bottom, left:right] = False
    np.testing.assert_array_equal(lines, expected)


@pytest.mark.parametrize("corner", [(0, 0), (100, 140)])
def test_a_region_at_the_border_has_all_its_lines(corner: tuple[int, int]) -> None:
    before = np.full((120, 160), 100, np.uint8)
    after = before.copy()
    after[corner[0] : corner[0] + 20, corner[1] : corner[1] + 20] = 220
    comparison = compare(before, after)
    picture = crops_of(comparison)["region-0001.png"]
    lines = is_line(picture[:, : picture.shape[1] // 2])
    rows, columns = np.flatnonzero(lines.any(axis=1)), np.flatnonzero(lines.any(axis=0))
    assert lines[rows[0], columns[0] : columns[-1] + 1].all()
    assert lines[rows[-1], columns[0] : columns[-1] + 1].all()
    assert lines[rows[0] : rows[-1] + 1, columns[0]].all()
    assert lines[rows[0] : rows[-1] + 1, columns[-1]].all()


def test_large_regions_are_shrunk_by_their_means() -> None:
    before = np.tile(np.array([[80, 120], [120, 80]], np.uint8), (400, 400))
    after = before.copy()
    after[100:700, 100:700] = 255 - after[100:700, 100:700] // 2
    picture = crops_of(compare(before, after, align="none"))["region-0001.png"]
    inside = picture[GAP : GAP + 512, GAP : GAP + 512]
    assert picture.shape[1] == 3 * GAP + 2 * 512
    # A checkerboard of single pixels: every second one alone would be all dark or all bright
    assert np.abs(np.median(inside[~is_line(inside)]) - 100) <= 5


def test_the_sheet_has_the_largest_first(comparison: Comparison) -> None:
    found = crops_of(comparison)
    sheet = found["regions.png"]
    step = 2 * 128 + 2 * GAP
    assert sheet.shape[1] == 2 * GAP + 3 * step - GAP
    (top,) = np.flatnonzero(is_line(sheet).any(axis=1))[:1]
    seen = sheet[top - 40 : top + 60]
    counts = [is_line(seen[:, GAP + step * cell : GAP + step * cell + 128]).sum() for cell in range(3)]
    assert all(counts)
    assert [int(name[7:11]) for name in list(found)[:-1]] == [3, 2, 1]


def test_no_more_than_a_hundred_are_on_the_sheet_and_some_have_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    before = np.zeros((360, 360), np.uint8)
    after = before.copy()
    for number in range(120):
        top, left = 10 + 30 * (number // 12), 10 + 30 * (number % 12)
        after[top : top + 8, left : left + 8] = 255
    comparison = compare(before, after, threshold=0.2)
    assert len(comparison.regions) == 120
    found = crops_of(comparison)
    assert len(found) == 121
    sheet = found["regions.png"]
    cell = 128 + GAP // 2 + 18 + GAP
    assert (sheet.shape[0] - 2 * GAP) // cell == 20
    monkeypatch.setattr(figures, "BOXES_DRAWN", 7)
    assert len(crops_of(comparison)) == 8


def test_no_region_is_an_empty_sheet(images: Any) -> None:
    found = crops_of(compare(images[0], images[0]))
    assert list(found) == ["regions.png"]
    assert (found["regions.png"] != THEME.ground).any()


def test_a_verdict_is_told(comparison: Comparison) -> None:
    assert figures.tell_region(comparison, 2) == ["region 2", comparison.regions["kind"][1]]
    decided = reviewed(comparison, decide((), comparison, 2, verdict="not real"))
    assert figures.tell_region(decided, 2)[2:] == ["not real"]
    assert figures.tell_region(decided, 1) == ["region 1", comparison.regions["kind"][0]]
    assert figures.tell_region(comparison, 0) == []
    told, earlier = crops_of(decided), crops_of(comparison)
    assert (told["region-0001.png"] == earlier["region-0001.png"]).all()
    assert (told["region-0002.png"] != earlier["region-0002.png"]).any()


def test_an_area_is_told_in_the_unit_of_the_world(images: Any) -> None:
    found = compare(*images, world=([[0.5, 0, 0], [0, 0.5, 0], [0, 0, 1]], "µm"))
    told = figures.tell_region(found, 1)[-1]
    assert float(told.removesuffix(" µm²").replace(",", "")) == pytest.approx(found.regions["area"][0] / 4, rel=1e-2)


def test_progress_is_called_before_each_and_ends_it(comparison: Comparison) -> None:
    calls: list[tuple[int, int]] = []
    made = draw_crops(comparison, (GRAY, GRAY), NAMES, THEME, progress=lambda *call: calls.append(call))
    next(made)
    assert calls == [(0, 4)]
    list(made)
    assert calls == [(0, 4), (1, 4), (2, 4)]

    def leave(done: int, total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        list(draw_crops(comparison, (GRAY, GRAY), NAMES, THEME, progress=leave))
    with pytest.raises(InterruptedError):
        draw_blink(comparison, (GRAY, GRAY), NAMES, THEME, progress=leave)


# ---------------------------------------------------------------- how images look


def first_half(comparison: Comparison, before: Look, after: Look, which: int) -> NDArray[Any]:
    """Return one of the crops of the first region, without its box."""
    name, content = next(iter(draw_crops(comparison, (before, after), NAMES, THEME)))
    assert name.startswith("region-")
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), 1)[:, :, ::-1]
    half = (picture.shape[1] - 3 * GAP) // 2
    left = GAP + which * (half + GAP)
    return picture[GAP:, left : left + half]


def test_sixteen_bits_look_as_their_contrast_limits_and_gamma(images: Any) -> None:
    before, after = (image.astype(np.uint16) * 10 + 300 for image in images)
    comparison = compare(before, after)
    look = Look(Shades(1000, 2500, 2, BLACK_TO_WHITE))
    place = surround(*box_of(comparison, int(np.argmax(comparison.regions["area"]))), before.shape)
    for which, image in enumerate((before, after)):
        share = np.clip((image[place].astype(float) - 1000) / 1500, 0, 1) ** 2
        expected = enlarged(share * 255, 256)
        found = first_half(comparison, look, look, which)[: expected.shape[0], : expected.shape[1]]
        assert same_but_for_lines(found, expected, 1)


def test_each_image_has_its_own_look_unless_light_was_undone(images: Any) -> None:
    red, blue = (
        Look(Shades(0, 255, 1, np.array([[0, 0, 0, 1], [*color, 1]], np.float64))) for color in ((1, 0, 0), (0, 0, 1))
    )
    comparison = compare(*images)
    for which, channel in enumerate((0, 2)):
        found = first_half(comparison, red, blue, which)[:200, :200]
        assert found[~is_line(found)][:, channel].min() >= 100
        assert found[~is_line(found)][:, 1].max() == 0
    ramp = np.tile(np.linspace(40, 200, 160), (120, 1)) + np.random.default_rng(1).normal(0, 2, (120, 160))
    darker = ramp / 2 + 10
    darker[40:80, 60:100] = 100
    matched = compare(ramp.astype(np.uint8), darker.astype(np.uint8), match_intensity="gain_offset")
    assert matched.resolved["intensity"]["gain"] == pytest.approx(0.5, abs=0.02)
    found = first_half(matched, red, blue, 1)[:200, :200]
    # 100 of after is 180 in the light of before
    assert found[100, 100].tolist() == [pytest.approx(180, abs=8), 0, 0]


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_colour_of_any_type(dtype: Any, white: float, images: Any) -> None:
    bytes_of = [np.stack([image, image // 2, 255 - image], axis=2) for image in images]
    before, after = ((image / 255 * white).astype(dtype) for image in bytes_of)
    comparison = compare(before, after)
    row = int(np.argmax(comparison.regions["area"]))
    place = surround(*box_of(comparison, row), before.shape)
    for which, image in enumerate(bytes_of):
        expected = enlarged(image[place], 256)
        found = first_half(comparison, Look(None, white), Look(None, white), which)
        assert same_but_for_lines(found[: expected.shape[0], : expected.shape[1]], expected, 1)


def test_colour_beside_gray_and_colour_compared_as_luma(images: Any) -> None:
    before, after = images[0], np.stack([images[1]] * 3, axis=2)
    for settings in ({}, {"threshold": 0.5}):
        comparison = compare(before, after, **settings)
        row = int(np.argmax(comparison.regions["area"]))
        place = surround(*box_of(comparison, row), before.shape)
        for which, image in enumerate(images):
            expected = enlarged(image[place], 256)
            found = first_half(comparison, GRAY, COLOUR, which)
            assert same_but_for_lines(found[: expected.shape[0], : expected.shape[1]], expected, 1)


def test_what_is_clear_or_has_no_value_shows_the_ground(images: Any) -> None:
    before, after = (np.dstack([image] * 3 + [np.full(image.shape, 255, np.uint8)]) for image in images)
    after[84:100, 24:40, 3] = 0
    comparison = compare(before, after)
    frames, *_ = blink_of(comparison, COLOUR)
    times = -(-512 // 160)
    # A GIF has few colours
    assert np.abs(frames[1][GAP + times * 90, GAP + times * 30].astype(int) - THEME.ground).max() <= 4
    holed = [image.astype(np.float32) for image in images]
    holed[1][90, 30] = np.nan
    frames, *_ = blink_of(compare(*holed))
    assert np.abs(frames[1][GAP + times * 90, GAP + times * 30].astype(int) - THEME.ground).max() <= 4


# ---------------------------------------------------------------- in turns


@pytest.mark.parametrize(("rate", "duration"), [(2, 500), (5, 200), (0.2, 5000), (10, 100)])
def test_two_frames_for_ever_at_a_rate(rate: float, duration: int, comparison: Comparison) -> None:
    frames, durations, loop = blink_of(comparison, rate=rate)
    assert durations == [duration, duration]
    assert loop == 0
    assert frames[0].shape == frames[1].shape


def test_the_whole_image_is_before_and_after_with_all_boxes(images: Any, comparison: Comparison) -> None:
    frames, *_ = blink_of(comparison)
    times = 4
    for frame, image in zip(frames, images, strict=True):
        expected = enlarged(image, 512)
        height, width = expected.shape[:2]
        assert height == 120 * times
        seen = frame[GAP : GAP + height, GAP : GAP + width]
        assert same_but_for_lines(seen, expected, 2)
        count, _ = cv2.connectedComponents(is_line(seen).astype(np.uint8))
        assert count - 1 == 3
    # The names are below, and differ
    below = slice(GAP + height, None)
    assert (frames[0][below] != frames[1][below]).any()
    unchanged = (slice(GAP + 4 * 110, GAP + height), slice(GAP + 4 * 120, GAP + width))
    assert (frames[0][unchanged] == frames[1][unchanged]).all()


def test_a_region_in_close_up(images: Any, comparison: Comparison) -> None:
    frames, *_ = blink_of(comparison, label=2)
    place = surround(*box_of(comparison, 1), images[0].shape)
    for frame, image in zip(frames, images, strict=True):
        expected = enlarged(image[place], 512)
        height, width = expected.shape[:2]
        assert frame.shape[1] == width + 2 * GAP
        assert same_but_for_lines(frame[GAP : GAP + height, GAP : GAP + width], expected, 2)


def test_large_images_are_shrunk_and_few_colours_keep_lines_and_letters() -> None:
    rng = np.random.default_rng(0)
    before = cv2.resize(rng.integers(0, 255, (40, 60, 3), np.uint8), (3000, 2000), interpolation=cv2.INTER_CUBIC)
    after = before.copy()
    after[500:560, 700:790] = (255, 0, 0)
    comparison = compare(before, after, align="none")
    frames, *_ = blink_of(comparison, COLOUR)
    assert frames[0].shape[1] == 1024 + 2 * GAP
    seen = frames[1][GAP : GAP + 683, GAP : GAP + 1024]
    rows, columns = np.nonzero(is_line(seen))
    top, left, bottom, right = (side * 1024 / 3000 for side in box_of(comparison))
    for found, wanted in ((rows.min(), top - 2), (rows.max(), bottom + 1), (columns.min(), left - 2)):
        assert abs(found - wanted) <= 1
    assert abs(columns.max() - right - 1) <= 1
    expected = cv2.resize(after, (1024, 683), interpolation=cv2.INTER_AREA)
    assert np.abs(seen.astype(int) - expected)[~is_line(seen)].mean() < 12
    below = frames[1][GAP + 683 :].reshape(-1, 3)
    assert tuple(below.max(axis=0)) == THEME.ink
    assert (below[0] == THEME.ground).all()


# ---------------------------------------------------------------- stacks, volumes, chunks


def stacked(images: Any, *changed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    before = np.stack([images[0]] * 12)
    before += np.arange(12, dtype=np.uint8)[:, None, None] * 5
    after = before.copy()
    for plane in changed:
        after[plane, 50:70, 100:120] = 220
    return before, after


@pytest.mark.parametrize("spatial_ndim", [2, 3])
def test_stacks_show_the_frame_and_volumes_the_plane(spatial_ndim: int, images: Any) -> None:
    before, after = stacked(images, 3) if spatial_ndim == 2 else stacked(images, 2, 3, 4)
    comparison = compare(before, after, spatial_ndim=spatial_ndim)
    assert len(comparison.regions) == 1
    place = surround(*box_of(comparison), images[0].shape)
    expected = enlarged(before[3][place], 256)
    found = crops_of(comparison)["region-0001.png"]
    assert same_but_for_lines(found[GAP : GAP + expected.shape[0], GAP : GAP + expected.shape[1]], expected)
    for index, plane in {(1,): 1, (5,): 5, (): 3, (17,): 3, (1, 2): 3, (-1,): 3}.items():
        frames, *_ = blink_of(comparison, index=index)
        seen = frames[0][GAP : GAP + 480, GAP : GAP + 640]
        assert np.abs(seen.astype(int) - enlarged(before[plane], 512))[~is_line(seen)].max() <= 2
        assert is_line(seen).any() == (plane == 3)


def test_frames_of_two_axes(images: Any) -> None:
    before, after = (image.reshape(3, 4, *images[0].shape) for image in stacked(images, 4))
    comparison = compare(before, after)
    expected = enlarged(before[1, 0][surround(*box_of(comparison), images[0].shape)], 256)
    found = crops_of(comparison)["region-0001.png"]
    assert same_but_for_lines(found[GAP : GAP + expected.shape[0], GAP : GAP + expected.shape[1]], expected)
    frames, *_ = blink_of(comparison, index=(0, 2))
    assert np.abs(frames[0][GAP : GAP + 480, GAP : GAP + 640].astype(int) - enlarged(before[0, 2], 512)).max() <= 2


@pytest.mark.parametrize("shape", ["image", "stack", "volume"])
def test_images_in_chunks_give_the_same_pictures(shape: str, images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    before, after = images if shape == "image" else stacked(images, 2, 3)
    settings: dict[str, Any] = {"spatial_ndim": 3} if shape == "volume" else {}
    sides = (40, 40) if shape == "image" else (2, 40, 40)
    whole = compare(before, after, **settings)
    lazy = compare(*(da.from_array(each, chunks=sides) for each in (before, after)), **settings)
    expected, found = crops_of(whole), crops_of(lazy)
    assert expected.keys() == found.keys()
    assert all((found[name] == expected[name]).all() for name in expected)
    for told in ({}, {"label": 1}, {"index": (1,)}):
        given = (GRAY, GRAY), NAMES, THEME
        assert draw_blink(lazy, *given, **told) == draw_blink(whole, *given, **told)


def test_of_chunks_only_what_is_shown_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    monkeypatch.setattr("napari_image_diff.lazy_maps.CHUNK_PIXELS", 100**2)
    before = np.random.default_rng(0).integers(100, 110, (1000, 1000), dtype=np.uint8)
    after = before.copy()
    after[540:560, 240:260] = 220
    sources = [in_chunks(image, 100, 100) for image in (before, after)]
    comparison = compare(*sources, align="none")
    for source in sources:
        source.reads.clear()
    crops_of(comparison)
    for source in sources:
        read = [tuple((part.start, part.stop) for part in place) for place in source.reads]
        assert read
        # The crop is one of 520 to 580, 220 to 280, which is in one chunk
        assert all(start >= 500 and stop <= 600 for (start, stop), _ in read)
        assert all(start >= 200 and stop <= 300 for _, (start, stop) in read)
        source.reads.clear()
    calls: list[tuple[int, int]] = []
    draw_blink(comparison, (GRAY, GRAY), NAMES, THEME, progress=lambda *call: calls.append(call))
    # Each row of chunks of either image
    assert calls == [(done, 21) for done in range(1, 21)]
    for source in sources:
        # Either picture is made of both
        pixels = sum(np.prod([part.stop - part.start for part in place]) for place in source.reads)
        assert pixels == 2 * before.size


# ---------------------------------------------------------------- the view and its caption


def test_a_view_is_the_canvas_and_a_line_below() -> None:
    canvas = np.random.default_rng(0).integers(0, 255, (200, 400, 4), dtype=np.uint8)
    picture = draw_view(canvas, ["before: a", "after: b", "Swipe"], THEME)
    assert picture.shape == (200 + 18 + 2 * GAP, 400, 3)
    np.testing.assert_array_equal(picture[:200], canvas[..., :3])
    assert (picture[200, 0] == THEME.ground).all()
    assert tuple(picture[200:].reshape(-1, 3).max(axis=0)) == THEME.ink
    twice = draw_view(canvas, ["before: a", "after: b", "Swipe"], THEME, ratio=2)
    assert twice.shape[0] > picture.shape[0]


@pytest.mark.parametrize(
    ("pixel", "length"), [(1, 200), (0.4, 50), (0.65, 100), (30, 5000), (0.001, 0.2), (0.0123, 2), (1.01, 200)]
)
def test_the_bar_is_as_long_as_it_says(pixel: float, length: float) -> None:
    canvas = np.zeros((100, 1000, 3), np.uint8)
    picture = draw_view(canvas, [], THEME, Bar(pixel, "µm"))
    row = (picture[100 + GAP] == THEME.ink).all(axis=1)
    bar = int(row.sum())
    assert 80 <= bar <= 200
    assert bar == round(length / pixel)
    assert np.flatnonzero(row)[-1] == 1000 - GAP - 1
    text = draw_lines([f"{length:g} µm"], max(bar, measure_text(f"{length:g} µm")), THEME)
    below = picture[100 + GAP + 4 : 100 + GAP + 4 + len(text), 1000 - GAP - text.shape[1] : 1000 - GAP]
    np.testing.assert_array_equal(below, text)


@pytest.mark.parametrize("width", [1, 10, 60, 300])
def test_a_tiny_canvas_keeps_its_width(width: int) -> None:
    canvas = np.full((20, width, 4), 99, np.uint8)
    for bar in (None, Bar(0.5, "µm")):
        picture = draw_view(canvas, ["before: " + "a" * 200, "after: b"], THEME, bar)
        assert picture.shape[1] == width
        assert (picture[:20] == 99).all()


HOSTILE = (
    "",
    "a" * 5000,
    "x\u202egnp.exe",
    "line\nbreak\ttab\0",
    "日本語 é µ Ж",
    "☃🎉",
    "\udcff.png",
    "<b>&amp;",
    "%s{}",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_in_the_room_there_is(name: str, comparison: Comparison) -> None:
    plain, found = crops_of(comparison), crops_of(comparison, names=(name, name))
    for each in plain.keys() - {"regions.png"}:
        assert found[each].shape == plain[each].shape
    assert draw_blink(comparison, (GRAY, GRAY), (name, name), THEME)
    picture = draw_lines([name], 120, THEME)
    assert picture.shape == (18, 120, 3)
    assert (picture != THEME.ground).any() == bool(name)


def test_what_cannot_be_shown_is_written_out() -> None:
    for text, spelled in {
        "x\u202ey": "x\\u202ey",
        "a\nb": "a\\nb",
        "\udcff": "\\udcff",
        "☃": "\\u2603",
    }.items():
        np.testing.assert_array_equal(draw_lines([text], 200, THEME), draw_lines([spelled], 200, THEME))
    for letter in "éµ日Ж":
        written = letter.encode("unicode_escape").decode()
        assert (draw_lines([letter], 200, THEME) != draw_lines([written], 200, THEME)).any()
    assert measure_text("a" * 100) > measure_text("a" * 99)


def test_without_the_font_there_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_image_diff import lettering

    expected = draw_lines(["region 1"], 100, THEME)
    monkeypatch.setattr(lettering, "FONT", ("no_such_package", "font.ttf"))
    lettering._load_font.cache_clear()
    lettering._has.cache_clear()
    other = draw_lines(["region 1"], 100, THEME)
    lettering._load_font.cache_clear()
    lettering._has.cache_clear()
    assert (other != expected).any()
    assert (other != THEME.ground).any()


def test_parts_are_not_broken() -> None:
    parts = ["before: a", "after: b", "Swipe", "region 3"]
    assert len(pack(parts, 2000)) == 1
    assert pack(parts, 1) == parts
    for width in range(50, 400, 25):
        lines = pack(parts, width)
        assert "  ·  ".join(lines) == "  ·  ".join(parts)
        assert all(measure_text(line) <= width or line in parts for line in lines)
