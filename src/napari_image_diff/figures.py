"""Figures of a comparison: the view with a caption, regions as pairs of crops, both images in turns.

Images look as a viewer shows them, `Look`, and as they were compared: *after* laid on *before*. Of images in chunks
only what a figure shows is read.
"""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from . import mixing
from .boxes import BOXES_DRAWN
from .comparison import Comparison
from .layers import BOX_COLOR
from .lettering import SIZE, Theme, draw_lines, measure_text, pack
from .mixing import Look, Shades
from .page import surround
from .report import SHEET, name_crop
from .tables import Columns, count_rows
from .verdicts import OPEN
from .words import say_number
from .world import name_unit

__all__ = ["Bar", "draw_blink", "draw_crops", "draw_view", "encode", "tell_region"]

Picture = NDArray[np.uint8]
Progress = Callable[[int, int], None]

Box = tuple[int, int, int, int]
"""Top, left, bottom and right, half-open."""

Names = tuple[str, str]
"""Of before and after."""

LINE_COLOR = tuple(bytes.fromhex(BOX_COLOR[1:]))
LINE_WIDTH = 2

# Round a picture and between two, in pixels
GAP = 8

# Sides of a crop, in pixels of the picture: small ones are enlarged, each pixel to a square
LEAST_CROP, MOST_CROP = 256, 512

# ... and of both images in turns
LEAST_BLINK, MOST_BLINK = 512, 1024

# Crops beside each other are wide enough for a name below them
LEAST_WIDTH = 200

# The sheet has so many regions, the largest, so many in a row, in crops of so many pixels
ON_SHEET, IN_A_ROW, CELL = 100, 5, 128

# Of the width of a view
BAR_SHARE = 0.2
BAR_WIDTH = 4

# Of images in colour that were compared by their luma
GRAYS = np.array([[0, 0, 0, 1], [1, 1, 1, 1]], np.float64)

COLORS_OF_A_GIF = 256

# Of these, from the colour of the ground to that of letters
INKS = 8


class Bar(NamedTuple):
    """The scale of a view."""

    pixel: float
    """How long a pixel of the picture is, in the unit."""
    unit: str


class _Place(NamedTuple):
    """A plane that is drawn."""

    frame: Comparison
    """What it is of: the comparison, or that of a frame."""
    plane: int
    """Of a volume; 0 else."""
    told: tuple[str, ...]
    """Which it is, of several."""

    @property
    def sides(self) -> tuple[int, int]:
        rows, columns = self.frame.difference.shape[-2:]
        return rows, columns


def draw_view(
    canvas: NDArray[np.uint8], told: Sequence[str], theme: Theme, bar: Bar | None = None, *, ratio: float = 1.0
) -> Picture:
    """Return a picture of a canvas with a caption below it.

    Parameters
    ----------
    canvas : (H, W, 3 or 4) uint8
        The picture; alpha is left out.
    told : sequence of str
        The parts of the caption.
    theme : Theme
        Its colours.
    bar : Bar, optional
        The scale, drawn at the right of the caption.
    ratio : float
        Pixels of the picture for each of the screen's units; letters are so much larger.

    Returns
    -------
    (H + caption, W, 3) uint8
        RGB.
    """
    width, size, gap = canvas.shape[1], max(1, round(SIZE * ratio)), round(GAP * ratio)
    scale = _draw_bar(bar, width, theme, size) if bar is not None else _fill(0, 0, theme)
    # Of a narrow canvas the names are more worth than the scale
    if 3 * scale.shape[1] > width:
        scale = _fill(0, 0, theme)
    room = max(1, width - 2 * gap - (scale.shape[1] + gap if scale.size else 0))
    lines = draw_lines(pack(told, room, size), room, theme, size)
    caption = _fill(max(len(lines), len(scale)) + 2 * gap, width, theme)
    # A canvas may be narrower than what is round its caption
    inside = caption[gap : gap + len(lines), gap : gap + room]
    inside[:] = lines[:, : inside.shape[1]]
    if scale.size:
        caption[gap : gap + len(scale), width - gap - scale.shape[1] : width - gap] = scale
    return np.vstack([canvas[..., :3], caption])


def draw_crops(
    comparison: Comparison, looks: tuple[Look, Look], names: Names, theme: Theme, *, progress: Progress | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield PNGs with their names: each region as before and after of its place, and a sheet of the largest ones.

    The regions of the largest area are drawn, `BOXES_DRAWN` at most; their pictures have the names that
    `report.name_crop` gives them.

    Parameters
    ----------
    comparison : Comparison
        The result.
    looks : two of Look
        How before and after are shown.
    names : two of str
        What they are called.
    theme : Theme
        Colours of captions.
    progress : callable, optional
        Called as ``progress(done, total)`` before each region; what it raises goes on to the caller.
    """
    table = comparison.region_columns
    order = np.argsort(-table["area"], kind="stable")[:BOXES_DRAWN]
    cells = []
    for done, row in enumerate(order.tolist()):
        if progress is not None:
            progress(done, len(order) + 1)
        place = _place_of(comparison, table, row)
        box = _box_of(table, row)
        around = surround({name: int(table[name][row]) for name in _BOX}, *place.sides)
        both = _draw_both(place, around, looks, theme, MOST_CROP)
        large = [_mark(_enlarge(each, LEAST_CROP), [box], around) for each in both]
        label = int(table["label"][row])
        told = tell_region(comparison, label)
        yield name_crop(label), encode(_draw_pair(large, names, [*told, *place.told], theme))
        if done < ON_SHEET:
            small = [_mark(_shrink(_enlarge(each, CELL), CELL), [box], around) for each in both]
            cells.append(_draw_cell(small, told, theme))
    count, shown = count_rows(table), min(ON_SHEET, len(order))
    parts = [f"{count:,} region{'s' * (count != 1)}", f"before: {names[0]}", f"after: {names[1]}"]
    if count > shown:
        parts[0] = f"the {shown:,} largest of {count:,} regions"
    if count > len(order):
        parts[0] += f", and the {len(order):,} largest in pictures of their own"
    yield SHEET, encode(_draw_sheet(cells, parts, theme))


def draw_blink(
    comparison: Comparison,
    looks: tuple[Look, Look],
    names: Names,
    theme: Theme,
    *,
    label: int = 0,
    index: Sequence[int] = (),
    rate: float = 2.0,
    progress: Progress | None = None,
) -> bytes:
    """Return a GIF that shows before and after in turns for ever, with their names below and boxes round regions.

    Parameters
    ----------
    comparison, looks, names, theme
        As in `draw_crops`.
    label : int
        The region that is shown in close-up; 0 shows the whole image, at most `MOST_BLINK` pixels a side.
    index : sequence of int
        Of a stack the frame, of volumes with the plane, that is shown whole; where there is none of that index, that of
        which most changed.
    rate : float
        Pictures a second.
    progress : callable, optional
        Called as ``progress(done, total)`` after each part that is read; what it raises goes on to the caller.
    """
    table = comparison.region_columns
    if label:
        row = int(np.flatnonzero(table["label"] == label)[0])
        place, told = _place_of(comparison, table, row), tell_region(comparison, label)
        around = surround({name: int(table[name][row]) for name in _BOX}, *place.sides)
        boxes = [_box_of(table, row)]
    else:
        place, told = _find_place(comparison, tuple(index)), []
        around = (0, 0, *place.sides)
        boxes = _boxes_on(place)
    both = _draw_both(place, around, looks, theme, MOST_BLINK, progress)
    pictures = [_mark(_enlarge(each, LEAST_BLINK), boxes, around) for each in both]
    told = [*told, *place.told]
    frames = []
    for picture, side, name in zip(pictures, ("before", "after"), names, strict=True):
        # Both have as many lines, or the picture would jump
        lines = [f"{side}: {name}", *([" · ".join(told)] if told else [])]
        caption = _thin_out(_draw_caption(lines, picture.shape[1], theme), theme)
        frames.append(_frame(np.vstack([picture, caption]), theme))
    return _encode_gif(frames, theme, rate)


def tell_region(comparison: Comparison, label: int) -> list[str]:
    """Return what there is to say of a region: number, kind, what a person decided, area. Of 0, which is none, []."""
    table = comparison.region_columns
    rows = np.flatnonzero(table["label"] == label).tolist()
    known = [str(table[name][row]) for row in rows for name in ("kind", "verdict") if name in table]
    if "unit" in table and all(table["unit"]):
        ndim = comparison.settings.spatial_ndim
        known += [
            f"{say_number(float(table['physical_area'][row]), 3)} {name_unit(table['unit'][row], ndim)}" for row in rows
        ]
    return [f"region {label}" for _ in rows] + [each for each in known if each not in ("", OPEN)]


def encode(picture: Picture) -> bytes:
    """Return an RGB picture as a PNG."""
    return bytes(cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes())


# --- what is drawn ---

_BOX = ("min_row", "min_col", "max_row", "max_col")


def _box_of(table: Mapping[str, NDArray[Any]], row: int) -> Box:
    top, left, bottom, right = (int(table[name][row]) for name in _BOX)
    return top, left, bottom, right


def _place_of(comparison: Comparison, table: Columns, row: int) -> _Place:
    """Return the plane of a region; of a volume that of its centroid."""
    axes = comparison.resolved.get("frames", {})
    index = tuple(int(table[axis][row]) for axis in axes)
    if "min_plane" in table:
        # Of a bent region the centroid may lie in no plane of it; it is in its box at least
        plane = round(float(table["centroid_plane"][row]))
        index += (min(max(plane, int(table["min_plane"][row])), int(table["max_plane"][row]) - 1),)
    return _find_place(comparison, index)


def _find_place(comparison: Comparison, index: tuple[int, ...]) -> _Place:
    """Return the plane of an index, or of another one that of which most changed."""
    shape = comparison.difference.shape[:-2]
    if len(index) != len(shape) or not all(0 <= each < length for each, length in zip(index, shape, strict=True)):
        index = _find_worst(comparison)
    axes = tuple(comparison.resolved.get("frames", {}))
    told = [f"{axis.replace('_', ' ')} {place}" for axis, place in zip(axes, index, strict=False)]
    frame, plane = comparison, 0
    if axes:
        frame = comparison.frames[int(np.ravel_multi_index(index[: len(axes)], shape[: len(axes)]))]
    if len(index) > len(axes):
        plane = index[-1]
        told.append(f"plane {plane}")
    return _Place(frame, plane, tuple(told))


def _find_worst(comparison: Comparison) -> tuple[int, ...]:
    """Return the index of the plane in which most changed."""
    index = comparison.worst_frame if comparison.frames else ()
    frame = comparison
    if index:
        frame = comparison.frames[int(np.ravel_multi_index(index, np.shape(comparison.score)))]
    if frame.difference.ndim == 2:
        return index
    table = frame.region_columns
    if not count_rows(table):
        return (*index, 0)
    return (*index, round(float(table["centroid_plane"][int(np.argmax(table["area"]))])))


def _boxes_on(place: _Place) -> list[Box]:
    """Return the boxes of the regions on a plane, the largest if there are many."""
    table = place.frame.region_columns
    here = np.ones(count_rows(table), np.bool_)
    if "min_plane" in table:
        here = (table["min_plane"] <= place.plane) & (place.plane < table["max_plane"])
    rows = np.flatnonzero(here)
    rows = rows[np.argsort(-table["area"][rows], kind="stable")[:BOXES_DRAWN]]
    return [_box_of(table, row) for row in rows.tolist()]


# --- pixels ---


def _draw_both(
    place: _Place, box: Box, looks: tuple[Look, Look], theme: Theme, most: int, progress: Progress | None = None
) -> list[Picture]:
    """Return a part of a plane of before and of after as they look, no side of them longer than `most`."""
    pair = place.frame.pair
    images = pair.colours or (pair.before, pair.after)
    if place.frame.resolved.get("intensity") is not None:
        # The light of before lies on both
        looks = looks[0], looks[0]
    above = place.plane * place.sides[0]
    top, left, bottom, right = box
    # Pixels are left out where there are twice as many as are shown, and more
    step = max(1, max(bottom - top, right - left) // most)
    rows, columns = range(above + top, above + bottom, step), slice(left, right, step)
    parts = [_cut_rows(image, rows) for image in images]
    total, done = sum(map(len, parts)), itertools.count(1)
    found = []
    for image, spans, look in zip(images, parts, looks, strict=True):
        read = []
        for span in spans:
            read.append(np.asarray(image[span.start : span.stop : step, columns]))
            if progress is not None:
                progress(next(done), total + 1)
        found.append(_shrink(_paint(np.concatenate(read), look, pair.data_range, theme), most))
    return found


def _cut_rows(image: Any, rows: range) -> list[range]:
    """Return rows in parts that lie in chunks of an image, so that none is read twice and few are in memory."""
    ends = [rows.stop] if not hasattr(image, "chunks") else np.cumsum(image.chunks[0]).tolist()
    places = np.searchsorted(rows, [0, *ends]).tolist()
    return [rows[start:stop] for start, stop in itertools.pairwise(places) if stop > start]


def _paint(values: NDArray[Any], look: Look, data_range: float, theme: Theme) -> Picture:
    """Return (h, w, 3) values of an image as they look; the ground is seen where it is clear, or has no value."""
    shades, there = look.shades, np.ones(values.shape[:2], np.bool_)
    if shades is None and values.ndim == 2:
        shades = Shades(0.0, look.white, 1.0, GRAYS)
    elif shades is not None and values.ndim == 3:
        # Gray beside an image in colour: three times the same
        values = values[..., 0]
    elif shades is None:
        # Transparency is brought to the data range where images are compared
        full = np.array([*(look.white,) * 3, data_range][: values.shape[2]])
        there = np.isfinite(values).all(axis=2)
        with np.errstate(invalid="ignore"):
            values = np.rint(np.nan_to_num(values) * (255 / full)).clip(0, 255).astype(np.uint8)
    painted = mixing.colour(values, there, shades)
    if painted[..., 3].min() == 255:
        return painted[..., :3]
    share = painted[..., 3:] / np.float32(255)
    blended = painted[..., :3] * share + np.array(theme.ground, np.float32) * (1 - share)
    return np.asarray(np.rint(blended), np.uint8)


def _shrink(picture: Picture, most: int) -> Picture:
    """Return a picture with no side longer than that."""
    height, width = picture.shape[:2]
    share = most / max(height, width)
    if share >= 1:
        return picture
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _enlarge(picture: Picture, wanted: int) -> Picture:
    """Return a picture whose longer side has so many pixels, or more: each pixel becomes a square."""
    times = -(-wanted // max(picture.shape[:2]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _mark(picture: Picture, boxes: Iterable[Box], around: Box) -> Picture:
    """Return the picture of a part of an image with lines round boxes, outside of them as far as there is room."""
    found = picture.copy()
    for box in boxes:
        ends = []
        for axis, length in enumerate(picture.shape[:2]):
            times = length / (around[axis + 2] - around[axis])
            first, last = box[axis] - around[axis], box[axis + 2] - around[axis]
            start, stop = round(first * times) - LINE_WIDTH, round(last * times) + LINE_WIDTH
            ends.append((max(0, start), min(length, stop)))
        (top, bottom), (left, right) = ends
        for rows, columns in (
            (slice(top, top + LINE_WIDTH), slice(left, right)),
            (slice(max(0, bottom - LINE_WIDTH), bottom), slice(left, right)),
            (slice(top, bottom), slice(left, left + LINE_WIDTH)),
            (slice(top, bottom), slice(max(0, right - LINE_WIDTH), right)),
        ):
            found[rows, columns] = LINE_COLOR
    return found


# --- layout ---


def _fill(height: int, width: int, theme: Theme) -> Picture:
    return np.full((height, width, 3), theme.ground, np.uint8)


def _widen(picture: Picture, height: int, width: int, theme: Theme) -> Picture:
    """Return a picture in the upper left of a larger one."""
    found = _fill(height, width, theme)
    found[: picture.shape[0], : picture.shape[1]] = picture
    return found


def _frame(picture: Picture, theme: Theme) -> Picture:
    """Return a picture with some ground round it."""
    found = _fill(picture.shape[0] + 2 * GAP, picture.shape[1] + 2 * GAP, theme)
    found[GAP:-GAP, GAP:-GAP] = picture
    return found


def _draw_caption(lines: Sequence[str], width: int, theme: Theme) -> Picture:
    return np.vstack([_fill(GAP // 2, width, theme), draw_lines(lines, width, theme)])


def _side_by_side(pictures: Sequence[Picture], theme: Theme) -> Picture:
    gap = _fill(len(pictures[0]), GAP, theme)
    return np.hstack([*itertools.chain.from_iterable((each, gap) for each in pictures)][:-1])


def _draw_pair(both: Sequence[Picture], names: Names, told: Sequence[str], theme: Theme) -> Picture:
    """Return before and after side by side, with their names below them, and what else is told."""
    height, width = both[0].shape[0], max(both[0].shape[1], LEAST_WIDTH)
    columns = [
        np.vstack([_widen(each, height, width, theme), _draw_caption([f"{side}: {name}"], width, theme)])
        for each, side, name in zip(both, ("before", "after"), names, strict=True)
    ]
    pair = _side_by_side(columns, theme)
    lines = pack(told, pair.shape[1])
    return _frame(np.vstack([pair, draw_lines(lines, pair.shape[1], theme)]), theme)


def _draw_cell(both: Sequence[Picture], told: Sequence[str], theme: Theme) -> Picture:
    pair = _side_by_side([_widen(each, CELL, CELL, theme) for each in both], theme)
    return np.vstack([pair, _draw_caption([" · ".join(told)], pair.shape[1], theme)])


def _draw_sheet(cells: Sequence[Picture], told: Sequence[str], theme: Theme) -> Picture:
    """Return cells in rows, and above them what is told of all."""
    rows = [_side_by_side(cells[first : first + IN_A_ROW], theme) for first in range(0, len(cells), IN_A_ROW)]
    width = max([2 * CELL + GAP, *(row.shape[1] for row in rows)])
    parts = [draw_lines(pack(told, width), width, theme)]
    for row in rows:
        parts += [_fill(GAP, width, theme), _widen(row, len(row), width, theme)]
    return _frame(np.vstack(parts), theme)


def _draw_bar(bar: Bar, width: int, theme: Theme, size: int) -> Picture:
    """Return a line of a round length, and that length below it."""
    longest = max(width * BAR_SHARE * bar.pixel, 1e-300)
    power = 10.0 ** math.floor(math.log10(longest))
    length = next(times * power for times in (5, 2, 1) if times * power <= longest * (1 + 1e-9))
    pixels, text = max(1, round(length / bar.pixel)), f"{length:g} {bar.unit}"
    lines = draw_lines([text], max(pixels, measure_text(text, size)), theme, size)
    line = _fill(BAR_WIDTH, lines.shape[1], theme)
    line[:, lines.shape[1] - pixels :] = theme.ink
    return np.vstack([line, lines])


def _encode_gif(frames: Sequence[Picture], theme: Theme, rate: float) -> bytes:
    """Return pictures as a GIF, with lines of boxes and letters in their own colours however few pixels they have."""
    from PIL import Image

    own = np.vstack([_mix_inks(theme), LINE_COLOR]).astype(np.uint8)
    tall = np.vstack(frames)
    # One palette and no dither: what is the same in both stays so, to the bit
    coded = Image.fromarray(tall).quantize(
        COLORS_OF_A_GIF - len(own), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    places = np.array(coded)
    colors = (coded.getpalette() or [])[: 3 * (int(places.max()) + 1)]
    for number, color in enumerate(own, len(colors) // 3):
        places[(tall == color).all(axis=2)] = number
    pictures = [Image.fromarray(each) for each in np.split(places, len(frames))]
    for picture in pictures:
        picture.putpalette([*colors, *own.ravel().tolist()])
    content = io.BytesIO()
    pictures[0].save(
        content, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / rate), loop=0, optimize=False
    )
    return content.getvalue()


def _mix_inks(theme: Theme) -> Picture:
    """Return (N, 3) the colours that letters have in a GIF, from that of the ground to that of the ink."""
    return np.rint(np.linspace(theme.ground, theme.ink, INKS)).astype(np.uint8)


def _thin_out(letters: Picture, theme: Theme) -> Picture:
    """Return letters in the colours that they have in a GIF."""
    inks = _mix_inks(theme)
    distance = np.abs(letters[:, :, np.newaxis].astype(np.int16) - inks.astype(np.int16)).sum(axis=3)
    return np.asarray(inks[distance.argmin(axis=2)], np.uint8)
