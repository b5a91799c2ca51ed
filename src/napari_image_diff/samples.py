"""Sample pairs, made in code: pictures to try a comparison on, with the boxes of what was changed.

Each function returns two layers, before and after, as napari's LayerData tuples. ``metadata["changes"]`` of both holds
the true boxes ``(min_row, min_col, max_row, max_col)``, half-open, in pixels; outside them the two images are equal.
The pictures come from images inside scikit-image's wheel: nothing is downloaded, and they are the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

__all__ = ["board", "cells", "page", "photo"]

Array = npt.NDArray[Any]
Box = tuple[int, int, int, int]
Slices = tuple[slice, slice]
Point = tuple[int, int]
Edit = Callable[[Array], None]
Nucleus = tuple[int, int, Point, dict[str, float]]  # sign, index, centre, how it differs from usual
LayerData = tuple[Array, dict[str, Any], str]

# Colours of the circuit board, RGB.
SOLDER_MASK, TRACE, PAD = (18, 84, 58), (44, 136, 92), (212, 178, 96)
HOLE, PRINT = (24, 30, 28), (226, 232, 224)
NUCLEUS_REACH = 40  # pixels from the centre of a nucleus that its picture has on each side


def photo() -> list[LayerData]:
    """Return a launch pad at dusk, a colour photo, in which objects were erased, moved and added.

    The photo is `skimage.data.rocket`: Falcon 9 with DSCOVR by SpaceX, released in the public domain.

    Returns
    -------
    list of tuple
        Two Image layers, (427, 640, 3) uint8.
    """
    before = _shipped("rocket")
    edits: list[Edit] = [
        partial(_clone, pieces=[(np.s_[116:222, 474:505], (116, 436))]),  # sky over the mast of a tower
        partial(_inpaint, box=np.s_[141:158, 312:333]),  # the emblem on the nose
        partial(_add_light, source=np.s_[330:368, 62:102], corner=(231, 65)),  # the lamp on the left tower goes up ...
        partial(_clone, pieces=[(np.s_[280:320, 76:106], (330, 74))]),  # ... from here
        partial(_add_light, source=np.s_[335:413, 112:190], corner=(149, 159)),  # a beacon on the second tower
        partial(_hang_moon, centre=(66, 520), radius=14),
    ]
    after, changes = _edited(before, edits)
    return _layers("photo", before, after, changes)


def cells() -> list[LayerData]:
    """Return nuclei in a fluorescence microscope, 12 bits in uint16, at two moments.

    The nuclei are drawn, with the grain of `skimage.data.gravel` (Poly Haven, CC0) as chromatin. The noise is the same
    in both images. One nucleus left, one came, one divided, one moved, one lit up, one condensed.

    Returns
    -------
    list of tuple
        Two Image layers, (1024, 1024) uint16 with values up to 4095, 0.325 micrometres a pixel.
    """
    grain = cv2.GaussianBlur(_shipped("gravel").astype(np.float64), (0, 0), 1.6)
    grain = (grain - grain.mean()) / grain.std()
    glow = cv2.resize(cv2.GaussianBlur(grain, (0, 0), 12), (1024, 1024), interpolation=cv2.INTER_CUBIC)
    clean = 140 + 90 * np.asarray(glow)
    *centres, free = _nucleus_centres(clean.shape)
    _change_nuclei(clean, [(1, index, centre, {}) for index, centre in enumerate(centres)], grain)
    daughter = {"size": 0.6, "brightness": 1800.0}
    events: list[list[Nucleus]] = [
        [(-1, 45, centres[45], {})],  # it left
        [(1, len(centres), free, {"brightness": 1400.0})],  # it came
        [(-1, 10, centres[10], {}), (1, 10, (208, 643), daughter), (1, 10, (234, 669), daughter)],  # it divided
        [(-1, 33, centres[33], {}), (1, 33, (556, 362), {})],  # it moved
        [(-1, 23, centres[23], {}), (1, 23, centres[23], {"brightness": 2400.0})],  # it lit up
        [(-1, 105, centres[105], {}), (1, 105, centres[105], {"size": 0.5, "brightness": 2000.0})],  # it condensed
    ]
    after, changes = _edited(clean, [partial(_change_nuclei, nuclei=nuclei, grain=grain) for nuclei in events])
    look = {"scale": (0.325, 0.325), "units": ("um", "um"), "contrast_limits": (0, 3000)}
    return _layers("cells", _exposed(clean), _exposed(after), changes, **look)


def page() -> list[LayerData]:
    """Return a photographed page of text, unevenly lit, in which words and single characters were changed.

    The page is `skimage.data.page` (part of scikit-image, BSD-3-Clause), enlarged twice.

    Returns
    -------
    list of tuple
        Two Image layers, (382, 768) uint8.
    """
    before = np.asarray(cv2.resize(_shipped("page"), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    pasted = [  # rows 244 on from column 480 are bare paper
        [(np.s_[244:262, 480:500], (36, 146))],  # the hyphen goes
        [(np.s_[138:170, 440:520], (103, 560))],  # coins -> pixels
        [(np.s_[244:274, 480:550], (170, 686))],  # "Here," goes
        # two -> four: paper, "fou" of "found", the r of "or"
        [
            (np.s_[244:270, 480:540], (211, 412)),
            (np.s_[207:233, 231:272], (210, 416)),
            (np.s_[182:198, 479:494], (218, 456)),
        ],
        [(np.s_[244:266, 480:494], (250, 330))],  # the colon goes
        [(np.s_[357:377, 399:416], (348, 212))],  # np -> cp
    ]
    after, changes = _edited(before, [partial(_clone, pieces=pieces) for pieces in pasted])
    return _layers("page", before, after, changes)


def board() -> list[LayerData]:
    """Return a bare circuit board, drawn in code, with the defects that inspection looks for.

    Returns
    -------
    list of tuple
        Two Image layers, (800, 1000, 3) uint8.
    """
    drawn = _drawn_board()
    edits: list[Edit] = [
        partial(_line, points=[(338, 182), (354, 182)], colour=SOLDER_MASK, width=12),  # a pad is missing
        partial(_line, points=[(190, 637), (190, 651)]),  # a short between two traces
        partial(_line, points=[(594, 482), (606, 482)], colour=SOLDER_MASK, width=8),  # a trace is open
        partial(_disc, centre=(707, 897), radius=4, colour=SOLDER_MASK),  # a pinhole in the copper
        partial(_clone, pieces=[(np.s_[114:146, 96:176], (121, 96))]),  # a trace runs beside its track
        partial(_ring, centre=(730, 590), hole_offset=4),  # a hole off its centre
    ]
    after, changes = _edited(drawn, edits)
    return _layers("board", _photographed(drawn), _photographed(after), changes)


def _shipped(name: str) -> Array:
    """Return an image that is inside scikit-image's wheel."""
    return np.asarray(getattr(skimage.data, name)())


def _edited(before: Array, edits: Sequence[Edit]) -> tuple[Array, list[Box]]:
    """Return a changed copy of `before` and, for each of `edits`, the box of the pixels that it changed."""
    after, changes = before.copy(), []
    for edit in edits:
        last = after.copy()
        edit(after)
        different = after != last
        rows, columns = np.nonzero(different.reshape(*different.shape[:2], -1).any(axis=2))
        changes.append((int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1))
    return after, changes


def _layers(name: str, before: Array, after: Array, changes: list[Box], **look: Any) -> list[LayerData]:
    """Return the pair as LayerData tuples."""
    return [
        (data, {"name": f"{name} {moment}", "metadata": {"changes": list(changes)}, **look}, "image")
        for moment, data in (("before", before), ("after", after))
    ]


def _view(image: Array, corner: Point, shape: Sequence[int]) -> Array:
    """Return the part of `image` whose top left pixel is `corner`."""
    return image[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]


def _clone(image: Array, pieces: Sequence[tuple[Slices, Point]]) -> None:
    """Paste boxes of the image at other corners, in the light of their new place, with soft edges."""
    for piece, (_, corner) in zip([image[box].astype(float) for box, _ in pieces], pieces, strict=True):
        target = _view(image, corner, piece.shape)
        inward = [np.minimum(np.arange(n), np.arange(n)[::-1]) + 1 for n in piece.shape[:2]]
        depth = np.minimum.outer(*inward)
        light = np.median((target / np.maximum(piece, 1))[depth <= 2], axis=0)
        share = np.minimum(depth / 4, 1).reshape(depth.shape + (1,) * (image.ndim - 2))
        target[:] = np.clip(target + share * (light * piece - target) + 0.5, 0, 255)


def _inpaint(image: Array, box: Slices) -> None:
    """Fill a box from what surrounds it."""
    inside = np.zeros(image.shape[:2], np.uint8)
    inside[box] = 1
    image[:] = cv2.inpaint(image, inside, 3, cv2.INPAINT_TELEA)


def _add_light(image: Array, source: Slices, corner: Point) -> None:
    """Add the light of a lamp in `source`, that is what is brighter than its sky, at another corner."""
    light = image[source].astype(float)
    sky = np.percentile(light, 70, axis=(0, 1))
    row, column = np.ogrid[-1 : 1 : light.shape[0] * 1j, -1 : 1 : light.shape[1] * 1j]
    fade = np.clip(1.6 * (1 - np.hypot(row, column)), 0, 1)[..., None]
    target = _view(image, corner, light.shape)
    target[:] = np.minimum(target + fade * np.maximum(light - sky, 0) + 0.5, 255)


def _hang_moon(image: Array, centre: Point, radius: int) -> None:
    """Draw a crescent."""
    light = np.zeros((*image.shape[:2], 1), np.uint8)
    _disc(light, centre, radius, [235])
    _disc(light, (centre[0] - 3, centre[1] - 6), radius, [0])
    image[:] = image + light / 255 * (np.array([252, 246, 226]) - image) + 0.5


def _nucleus_centres(shape: Sequence[int]) -> list[Point]:
    """Return random places, not nearer to each other than nuclei are long."""
    centres: list[Point] = []
    for row, column in np.random.default_rng(5).integers(44, np.array(shape) - 44, (1500, 2)).tolist():
        if all(np.hypot(row - r, column - c) > 58 for r, c in centres):
            centres.append((row, column))
    return centres


def _nucleus(index: int, grain: Array, size: float = 1.0, brightness: float = 0.0) -> Array:
    """Return the picture of a nucleus, 0 outside: an ellipse with a wavy rim and grainy chromatin."""
    random = np.random.default_rng(index)
    radius, flattening, turn = random.uniform((19, 0.68, 0), (28, 0.95, np.pi))
    usual_brightness = min(np.exp(random.normal(7, 0.35)), 2600)
    row, column = np.mgrid[-NUCLEUS_REACH : NUCLEUS_REACH + 1, -NUCLEUS_REACH : NUCLEUS_REACH + 1]
    along = np.cos(turn) * column + np.sin(turn) * row
    across = (np.cos(turn) * row - np.sin(turn) * column) / flattening
    waves = np.stack([k * np.arctan2(across, along) + random.uniform(0, 2 * np.pi) for k in (2, 3, 5)])
    rim = size * radius * (1 + np.tensordot(random.uniform(0, 0.05, 3), np.cos(waves), 1))
    thickness = np.clip((rim - np.hypot(along, across)) / 4, 0, 1) ** 1.5
    chromatin = _view(grain, tuple(random.integers(0, 430, 2)), thickness.shape)
    return np.asarray((brightness or usual_brightness) * thickness * np.clip(1 + 0.28 * chromatin, 0.3, 1.6))


def _change_nuclei(image: Array, nuclei: Sequence[Nucleus], grain: Array) -> None:
    """Add the light of nuclei, or take it away where the sign is -1."""
    for sign, index, (row, column), look in nuclei:
        light = sign * _nucleus(index, grain, **look)
        _view(image, (row - NUCLEUS_REACH, column - NUCLEUS_REACH), light.shape)[:] += light


def _exposed(clean: Array) -> Array:
    """Return what a 12-bit camera records: shot noise and read noise, the same in each picture."""
    shot, read = np.random.default_rng(7).standard_normal((2, *clean.shape))
    return np.asarray(np.clip(clean + np.sqrt(0.8 * clean) * shot + 4 * read + 0.5, 0, 4095), np.uint16)


def _line(image: Array, points: Sequence[Point], colour: Sequence[int] = TRACE, width: int = 5) -> None:
    """Draw a line through points (row, column)."""
    cv2.polylines(image, [np.array(points, np.int32)[:, ::-1]], False, colour, width, cv2.LINE_AA)


def _disc(image: Array, centre: Point, radius: int, colour: Sequence[int]) -> None:
    """Draw a disc."""
    cv2.circle(image, centre[::-1], radius, colour, -1, cv2.LINE_AA)


def _ring(image: Array, centre: Point, radius: int = 9, hole_offset: int = 0) -> None:
    """Draw a pad with a hole."""
    _disc(image, centre, radius, PAD)
    _disc(image, (centre[0], centre[1] + hole_offset), radius // 2, HOLE)


def _drawn_board() -> Array:
    """Return a board in plain colours: a chip, fanned out to pins on four sides through resistors on two."""
    image = np.full((800, 1000, 3), SOLDER_MASK, np.uint8)
    for corner in ((70, 80), (70, 920), (730, 80), (730, 920)):
        _disc(image, corner, 40, TRACE)
        _ring(image, corner, 26)
    for side, reach in enumerate((330, 430, 330, 430)):
        for pin in range(16):
            _draw_connection(image, partial(_place, side), reach, pin)
        outline = [_place(side, reach + o, a) for o, a in ((20, 284), (20, -284), (-20, -284), (-20, 284), (20, 284))]
        _line(image, outline, PRINT, 1)
    _disc(image, (344, 444), 6, PRINT)
    _line(image, [(324, 424), (324, 576), (476, 576), (476, 424), (324, 424)], PRINT, 2)
    cv2.putText(image, "U1", (474, 408), cv2.FONT_HERSHEY_SIMPLEX, 1.2, PRINT, 1, cv2.LINE_AA)
    return image


def _place(side: int, out: int, along: int) -> Point:
    """Return the point so far out from the middle of the board and along one of its four sides."""
    row, column = [(-out, along), (along, out), (out, -along), (-along, -out)][side]
    return 400 + row, 500 + column


def _draw_connection(image: Array, at: Callable[[int, int], Point], reach: int, pin: int) -> None:
    """Draw the trace from the chip to a pin, with its pads."""
    near, far = 14 * pin - 105, 36 * pin - 270
    _line(image, [at(112, near), at(150, near), at(150 + abs(far - near), far), at(reach, far)])
    _line(image, [at(112, near), at(132, near)], PAD, 8)
    _ring(image, at(reach, far))
    if reach > 400 and 0 < pin < 15:  # a resistor: two pads in every second of two columns
        middle = 360 - 30 * (pin % 2)
        _line(image, [at(middle - 12, far), at(middle + 12, far)], SOLDER_MASK, 7)
        for out in (middle - 12, middle + 12):
            _line(image, [at(out, far - 8), at(out, far + 8)], PAD, 9)


def _photographed(drawn: Array) -> Array:
    """Return the drawing as a camera sees it: unevenly lit, with the same noise in each picture."""
    row, column = np.ogrid[-1:1:800j, -1:1:1000j]
    light = 1.12 - 0.22 * (row**2 + column**2) + 0.08 * (column - row)
    noise = np.random.default_rng(3).normal(0, 2, drawn.shape[:2])
    return np.asarray(np.clip(drawn * light[..., None] + noise[..., None] + 0.5, 0, 255), np.uint8)
