"""Pairs of pictures of which it is known what changed, made in code from pictures that come with scikit-image.

The noise of a pair depends on its name alone, so a pair is the same whichever others are made.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

from napari_image_diff import samples

__all__ = ["HALVES", "Scene", "deeppcb", "drawn", "harder", "kinds", "limits", "made", "null", "planted", "tutorial"]

Array = NDArray[Any]
Box = tuple[int, int, int, int]
Disturb = Callable[[Array, np.random.Generator], tuple[Array, Array]]

KINDS = ("added", "removed", "moved", "recoloured", "brighter", "darker", "texture")

# Larger pictures are cut to this side: noise and edges show as well in a part.
LARGEST = 1024


class Scene(NamedTuple):
    """A pair, and what truly changed in it."""

    name: str
    before: Array
    after: Array
    true: NDArray[np.int64]
    """(N, 4): min_row, min_col, max_row, max_col of each change, half-open; none where nothing changed."""
    kinds: tuple[str, ...] = ()


class Made(NamedTuple):
    """From what `made` makes its pairs."""

    levels: tuple[int, ...]
    gray: str
    colour: str


class Half(NamedTuple):
    """Pictures that had a part in choosing the constants of the engine, or that had none.

    All the pairs of the tutorial and of DeepPCB had.
    """

    null: tuple[str, ...]
    harder: tuple[str, ...]
    made: Made
    kinds: tuple[str, ...]


UNSEEN = ("chelsea", "clock", "colorwheel", "stereo_motorcycle", "logo", "horse", "sample board", "sample cells")
HALVES = {
    "tuned on": Half(
        null=("camera", "astronaut", "coffee", "coins", "page", "moon", "text", "rocket"),
        harder=(
            "camera", "astronaut", "coffee", "brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry",
            "retina", "cell",
        ),
        made=Made((5, 50, 200), "camera", "astronaut"),
        kinds=("astronaut", "coffee", "rocket", "camera", "chelsea", "brick", "grass", "moon"),
    ),
    "not tuned on": Half(
        null=UNSEEN,
        harder=UNSEEN,
        made=Made((20, 120, 215), "stereo_motorcycle", "chelsea"),
        kinds=("coins", "page", "hubble_deep_field", "immunohistochemistry", "retina", "text", "clock"),
    ),
}  # fmt: skip

# The three pairs of the PyImageSearch tutorial: boxes of all that differs by more than 25 levels.
TUTORIAL = {
    "01": [(168, 218, 197, 242), (215, 361, 280, 467)],
    "02": [(87, 41, 137, 97), (261, 52, 278, 79), (261, 97, 278, 182)],
    "03": [(30, 525, 44, 560), (47, 127, 56, 262), (70, 548, 86, 554), (190, 477, 222, 533), (242, 334, 251, 344)],
}

NO_CHANGE = np.empty((0, 4), np.int64)


def null(pictures: tuple[str, ...]) -> Iterator[Scene]:
    """Yield pairs that differ by nothing that a person would call a change: noise, JPEG, one grey level."""
    disturbances = {f"noise {sd:g}": _noisy_after(sd) for sd in (0.5, 1, 2, 5, 8)}
    disturbances |= {"photons": lambda image, random: (_photons(image, 4, random), _photons(image, 4, random))}
    disturbances |= {f"JPEG {quality}": _jpeg_after(quality) for quality in (60, 80, 95)}
    disturbances |= {
        "one level": lambda image, random: (image, to_uint8(image + 1.0)),
        "identical": lambda image, random: (image, image.copy()),
    }
    yield from _disturbed(pictures, disturbances)


def planted(pictures: tuple[str, ...], level: int) -> Iterator[Scene]:
    """Yield the pairs of `null` with 12 x 12 pixels moved by so many levels, up where dark and down where bright."""
    for scene in null(pictures):
        random = _random(scene.name, level)
        height, width = scene.before.shape[:2]
        top, left = int(random.integers(20, height - 40)), int(random.integers(20, width - 40))
        after = scene.after.astype(np.float64)
        patch = after[top : top + 12, left : left + 12]
        patch += level if patch.mean() < 128 else -level
        yield scene._replace(after=to_uint8(after), true=_boxes((top, left, top + 12, left + 12)))


def harder(pictures: tuple[str, ...]) -> Iterator[Scene]:
    """Yield pairs in which nothing changed, though much differs: lens, exposure, lamp, both noisy, more bits."""

    def both(make: Callable[[Array, np.random.Generator], Array]) -> Disturb:
        return lambda image, random: (make(image, random), make(image, random))

    def after(make: Callable[[Array], Array]) -> Disturb:
        return lambda image, random: (image, make(image))

    yield from _disturbed(
        pictures,
        {
            "both noisy, 5": both(lambda image, random: to_uint8(image + random.normal(0, 5, image.shape))),
            "photons, read noise 3": both(lambda image, random: _photons(image, 1, random, read=3)),
            "shift 0.3": after(lambda image: _shifted(image, 0.3)),
            "shift 0.7": after(lambda image: _shifted(image, 0.7)),
            "blur 0.6": after(lambda image: cv2.GaussianBlur(image, (0, 0), 0.6)),
            "gain 1.03": after(lambda image: to_uint8(image * 1.03)),
            "gradient 6": after(lambda image: to_uint8(image + _ramp(image, 6))),
            "JPEG 75, JPEG 50": lambda image, random: (_jpeg(image, 75), _jpeg(image, 50)),
            "12 bits, both noisy": both(_in_12_bits),
            "floats, both noisy": both(
                lambda image, random: (image / 255 + random.normal(0, 0.01, image.shape)).astype(np.float32)
            ),
        },
    )


def made(source: Made) -> Iterator[Scene]:
    """Yield pairs with one small change of known box: faint, hardly a pixel, in hue alone, at the border."""
    for level in source.levels:
        for sd in (0, 2, 5):
            after = np.full((256, 256), level, np.float64)
            before = after.copy()
            after[100:120, 80:100] += 20
            name = f"+20 on flat {level}, noise {sd}"
            random = _random(name)
            grainy = [to_uint8(plane + random.normal(0, sd, plane.shape)) for plane in (before, after)]
            yield Scene(name, *grainy, _boxes((100, 80, 120, 100)))
    flat = np.full((256, 256, 3), 120, np.uint8)
    yield _edited("hue on flat", flat, (100, 80, 130, 120), lambda part: np.broadcast_to([160, 100, 119], part.shape))
    gray, colour = _gray(load(source.gray)), load(source.colour)
    height, width = colour.shape[0] // 2, colour.shape[1] // 2
    box = (height, width - 40, height + 40, width)
    yield _edited(f"hue in {source.colour}", colour, box, lambda part: part + np.array([40.0, -20.0, 0.0]))
    for top, left in ((0, 100), (1, 1), (253, 200)):
        box = (top, left, min(top + 3, 256), left + 12)
        name = f"3 x 12 at row {top} of {source.gray}"
        yield _edited(name, gray[:256, :256], box, lambda part: np.where(part > 127, 20, 235))
    top, left = gray.shape[0] * 3 // 4, gray.shape[1] // 2
    for side in (1, 2, 3, 5, 8):
        box = (top, left, top + side, left + side)
        yield _edited(f"{side} x {side} in {source.gray}", gray, box, lambda part: np.where(part > 127, 0, 255))
    line = cv2.line(gray.copy(), (50, 100), (150, 140), 0, 1)
    yield Scene(f"line of 1 px in {source.gray}", gray, line, _boxes((100, 50, 141, 151)))
    yield _spot_in_large(colour, source.colour)


def tutorial(folder: Path) -> Iterator[Scene]:
    """Yield the three pairs of the PyImageSearch tutorial of 2017."""
    for key, boxes in TUTORIAL.items():
        images = (read(folder / f"{which}_{key}.png") for which in ("original", "modified"))
        yield Scene(f"tutorial {key}", *images, _boxes(*boxes))


def deeppcb(folder: Path) -> Iterator[Scene]:
    """Yield the pairs of boards of DeepPCB, with the boxes that were drawn by hand round the defects."""
    truth = json.loads((folder / "truth.json").read_text())
    for key in sorted(truth):
        boxes = np.array(truth[key], np.int64).reshape(-1, 4)[:, [1, 0, 3, 2]]
        yield Scene(f"board {key}", *(read(folder / f"{key}_{which}.jpg") for which in ("before", "after")), boxes)


def kinds(pictures: tuple[str, ...], count: int) -> Iterator[Scene]:
    """Yield pairs with one to three changes of known kind; half of the pairs are noisy."""
    images = [_rgb(load(picture)) for picture in pictures]
    for number in range(count):
        random = _random(*pictures, number)
        stage, prop = (images[index].astype(np.float64) for index in random.choice(len(images), 2, replace=False))
        before, after = stage, stage.copy()
        taken: list[Box] = []
        changes = []
        for kind in random.choice(KINDS, random.integers(1, 4), replace=False):
            box = _act(str(kind), before, after, prop, taken, random)
            if box is not None:
                changes.append((box, str(kind)))
        if number % 2:
            sd = random.uniform(1, 4)
            before, after = (image + random.normal(0, sd, image.shape) for image in (before, after))
        boxes, names = _boxes(*(box for box, _ in changes)), tuple(kind for _, kind in changes)
        yield Scene(f"kinds {number}", to_uint8(before), to_uint8(after), boxes, names)


def drawn() -> Iterator[Scene]:
    """Yield pairs drawn in code on which the default and classic part."""
    board = load("sample board")[180:580, 400:800]
    random = _random("drawn")
    yield Scene("nothing changed, noise of 5 levels", board, _noisy_after(5)(board, random)[1], NO_CHANGE)
    yield Scene("nothing changed, JPEG of quality 60", board, _jpeg(board, 60), NO_CHANGE)
    square = _edited(
        "a square 15 levels brighter, JPEG of quality 80", board, (126, 300, 150, 324), lambda part: part + 15
    )
    yield square._replace(after=_jpeg(square.after, 80))
    hue = np.array([24, -16, 19])
    yield _edited("a square of another hue, as bright", board, (126, 300, 150, 324), lambda part: part + hue)


def limits() -> Iterator[Scene]:
    """Yield pairs drawn in code, one for each thing that the default is known to get wrong, or not to see."""
    random = _random("limits")
    flat = np.full((192, 192), 120, np.uint8)
    square = _edited("12 x 12 pixels, 12 levels up, in noise of 8", flat, (90, 90, 102, 102), lambda part: part + 12)
    grainy = [to_uint8(image + random.normal(0, 8, image.shape)) for image in square[1:3]]
    yield square._replace(before=grainy[0], after=grainy[1])
    print_ = _printed()
    yield Scene("lines of a pixel, blurred by 0.6", print_, cv2.GaussianBlur(print_, (0, 0), 0.6), NO_CHANGE)
    yield Scene("a lamp from the side, 12 levels", print_, to_uint8(print_ + _ramp(print_, 6)), NO_CHANGE)
    blot = np.full((192, 192), 255, np.uint8)
    cv2.ellipse(blot, (90, 100), (75, 50), 30, 0, 360, 0, -1)
    yield Scene("JPEG 75 against JPEG 50, black on white", _jpeg(blot, 75), _jpeg(blot, 50), NO_CHANGE)
    cloth = to_uint8(128 + random.normal(0, 40, (192, 192)))
    spot = (96, 96, 97, 97)
    yield _edited("a pixel in texture, 80 levels", cloth, spot, lambda part: part + np.where(part > 127, -80, 80))
    soft = to_uint8(128 + 3 * (cv2.GaussianBlur(cloth, (0, 0), 1.5) - 128.0))
    yield _edited("a part that moved by a pixel", soft, (70, 70, 120, 120), lambda part: np.roll(part, 1, axis=1))
    yield _edited("6 levels up, three quarters of the picture", soft, (0, 0, 192, 144), lambda part: part + 6)
    stripes = np.full((192, 192, 3), 120, np.uint8)
    hues = np.array([[40, -20, -1], [-40, 20, 1]])[np.arange(40) % 2]
    yield _edited("stripes of a pixel, of two hues as bright", stripes, (76, 76, 116, 116), lambda part: part + hues)


def _printed() -> Array:
    """Return black letters and lines of a pixel on white."""
    image = np.full((192, 192), 255, np.uint8)
    for row in range(5):
        cv2.putText(image, f"Rxk 8{row}, Wg", (12, 32 + 24 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 0, 1 + row % 2)
    for column in range(8):
        cv2.line(image, (12 + 5 * column, 146), (30 + 14 * column, 184), 0, 1)
    return image


def _act(
    kind: str, before: Array, after: Array, prop: Array, taken: list[Box], random: np.random.Generator
) -> Box | None:
    """Make a change of this kind where there is room; return its box, for what moved that of the new place."""
    mask = _shape(random)
    places = [_find_room(mask.shape, before.shape, taken, random) for _ in range(2 if kind == "moved" else 1)]
    if None in places:
        return None
    old, new = (_area(place, mask.shape) for place in (places[0], places[-1]))
    if kind in ("added", "removed", "moved"):
        thing = _thing(prop, mask.shape, random)
        if kind != "added":
            _blend(before, old, thing, mask)
        if kind != "removed":
            _blend(after, new, thing, mask)
    else:
        _blend(after, new, _altered(kind, after[new], random), mask)
    return _box_of(mask, places[-1])


def _altered(kind: str, part: Array, random: np.random.Generator) -> Array:
    """Return a part of a picture in another light, in other colours, or of another grain."""
    if kind == "brighter":
        return part + random.uniform(35, 70)
    if kind == "darker":
        return part * random.uniform(0.45, 0.7)
    if kind == "recoloured":
        hue, saturation, value = cv2.split(cv2.cvtColor(to_uint8(part), cv2.COLOR_RGB2HSV))
        turned = ((hue.astype(np.int64) + random.integers(40, 140)) % 180).astype(np.uint8)
        hsv = cv2.merge([turned, np.maximum(saturation, 110), value])
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)
    grain = cv2.GaussianBlur(random.normal(0, 90, part.shape), (0, 0), random.uniform(0.8, 1.6))
    return part.mean((0, 1)) + grain


def _shape(random: np.random.Generator) -> NDArray[np.float64]:
    """Return a shape of 24 to 70 pixels, 0 to 1 with soft edges: from a lozenge to nearly a rectangle, or a pebble."""
    height, width = (int(side) for side in random.integers(24, 70, 2))
    row, column = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    if random.random() < 0.7:
        power = random.choice([1.2, 2.0, 8.0])
        inside = np.abs(row) ** power + np.abs(column) ** power < 0.9
    else:
        angle = np.arctan2(row, column)
        waves = sum(random.uniform(-0.12, 0.12) * np.cos(k * angle + random.uniform(0, 6)) for k in (2, 3, 5))
        inside = np.hypot(row, column) < 0.75 + waves
    return cv2.GaussianBlur(inside.astype(np.float64), (3, 3), 0)


def _thing(prop: Array, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Return what is put somewhere: a piece of another picture, or a plain colour."""
    if random.random() < 0.5:
        return np.broadcast_to(random.uniform(0, 255, 3), (*shape, 3))
    top, left = (random.integers(0, whole - side) for whole, side in zip(prop.shape, shape, strict=False))
    return prop[top : top + shape[0], left : left + shape[1]]


def _find_room(
    shape: tuple[int, ...], whole: tuple[int, ...], taken: list[Box], random: np.random.Generator
) -> tuple[int, int] | None:
    """Return a free place, 16 pixels from all others; it is taken then."""
    for _ in range(60):
        top, left = (int(random.integers(8, side - part - 8)) for side, part in zip(whole, shape, strict=False))
        bottom, right = top + shape[0], left + shape[1]
        if all(
            top > low + 16 or bottom + 16 < high or left > last + 16 or right + 16 < first
            for high, first, low, last in taken
        ):
            taken.append((top, left, bottom, right))
            return top, left
    return None


def _area(place: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    return np.s_[place[0] : place[0] + shape[0], place[1] : place[1] + shape[1]]


def _blend(image: Array, area: tuple[slice, slice], content: Array, mask: NDArray[np.float64]) -> None:
    image[area] += (content - image[area]) * mask[..., None]


def _box_of(mask: NDArray[np.float64], place: tuple[int, int]) -> Box:
    """Return the box of what is more than half covered."""
    rows, columns = (np.flatnonzero((mask > 0.5).any(axis)) for axis in (1, 0))
    top, left = place
    return top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]) + 1, left + int(columns[-1]) + 1


def load(name: str) -> Array:
    """Return a picture by its name in `skimage.data`, or "sample ..." of this package: uint8, gray or RGB."""
    if name.startswith("sample "):
        image = getattr(samples, name.removeprefix("sample "))()[0][0]
        image = image if image.dtype == np.uint8 else to_uint8(image / 16)
    else:
        image = getattr(skimage.data, name)()
        image = image[0] if isinstance(image, tuple) else image
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * 255
    if image.ndim == 3 and image.shape[2] == 4:  # on white
        share = image[..., 3:] / 255
        image = to_uint8(image[..., :3] * share + 255 * (1 - share))
    return np.ascontiguousarray(image[:LARGEST, :LARGEST])


def read(path: Path) -> Array:
    """Return an image file as it is stored: gray, RGB or RGBA."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise FileNotFoundError(f"no image can be read from {path}; --data names the folder that holds it")
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., [2, 1, 0, *range(3, image.shape[2])]])


def to_uint8(image: Array) -> NDArray[np.uint8]:
    """Return the nearest picture of 8 bits."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _disturbed(pictures: tuple[str, ...], disturbances: dict[str, Disturb]) -> Iterator[Scene]:
    for picture in pictures:
        image = load(picture)
        for name, disturb in disturbances.items():
            before, after = disturb(image, _random(picture, name))
            yield Scene(f"{picture}, {name}", before, after, NO_CHANGE)


def _noisy_after(sd: float) -> Disturb:
    return lambda image, random: (image, to_uint8(image + random.normal(0, sd, image.shape)))


def _jpeg_after(quality: int) -> Disturb:
    return lambda image, random: (image, _jpeg(image, quality))


def _jpeg(image: Array, quality: int) -> Array:
    code = cv2.imencode(".jpg", _swapped(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.ascontiguousarray(_swapped(cv2.imdecode(code, cv2.IMREAD_UNCHANGED)))


def _swapped(image: Array) -> Array:
    """Return RGB as BGR and the other way round."""
    return image if image.ndim == 2 else image[..., ::-1]


def _photons(image: Array, gain: float, random: np.random.Generator, read: float = 0.0) -> NDArray[np.uint8]:
    """Return a picture taken with `gain` photons to a level, and read noise in levels."""
    return to_uint8(random.poisson(image * gain) / gain + random.normal(0, read, image.shape))


def _in_12_bits(image: Array, random: np.random.Generator) -> NDArray[np.uint16]:
    return np.clip(np.rint(image * 16.0 + random.normal(0, 24, image.shape)), 0, 4095).astype(np.uint16)


def _shifted(image: Array, columns: float) -> Array:
    matrix = np.array([[1, 0, columns], [0, 1, columns / 2]])
    size = image.shape[1], image.shape[0]
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def _ramp(image: Array, most: float) -> NDArray[np.float64]:
    """Return a light that rises from the left, -most, to the right, +most."""
    return np.linspace(-most, most, image.shape[1]).reshape((1, -1) + (1,) * (image.ndim - 2))


def _edited(name: str, before: Array, box: Box, edit: Callable[[Array], Array]) -> Scene:
    """Return a scene with one changed box."""
    after = before.copy()
    part = np.s_[box[0] : box[2], box[1] : box[3]]
    after[part] = to_uint8(edit(before[part].astype(np.float64)))
    return Scene(name, before, after, _boxes(box))


def _spot_in_large(tile: Array, name: str) -> Scene:
    """Return 4096 x 4096 pixels of tiles, noisy in both, with 9 pixels inverted."""
    rows, columns = (-(-4096 // side) for side in tile.shape[:2])
    clean = np.tile(tile, (rows, columns, 1))[:4096, :4096]
    scene = _edited(
        f"3 x 3 in 4096 x 4096 of {name}, noise 3", clean, (3000, 2000, 3003, 2003), lambda part: 255 - part
    )
    random = _random(scene.name)
    grainy = [to_uint8(image + 3 * random.standard_normal(image.shape, np.float32)) for image in scene[1:3]]
    return scene._replace(before=grainy[0], after=grainy[1])


def _gray(image: Array) -> Array:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def _rgb(image: Array) -> Array:
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _boxes(*boxes: Box) -> NDArray[np.int64]:
    return np.array(boxes, np.int64).reshape(-1, 4)


def _random(*name: Any) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(name).encode()))
