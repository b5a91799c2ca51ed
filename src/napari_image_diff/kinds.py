"""What changed in a region, not only where: added, removed, moved, recoloured, brighter, darker, texture.

Three questions, each answered by sums over the region and a margin around it:

- Is what was there still there? Then the steps from pixel to pixel before and after go together, whatever the light.
- Which of the two images has something that does not belong to the surround? The one with the edge along the rim.
- Is what left one place what came to another?

All levels in this room are in units of 1/255 of the data range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from . import tiles
from .planes import read_only

__all__ = [
    "KINDS",
    "Asked",
    "Crop",
    "Kinds",
    "Looks",
    "find_crop",
    "find_reach",
    "match_crop_within",
    "match_crops",
    "measure_crop",
    "name_kinds",
    "name_kinds_by",
]

_compile = njit(nogil=True, error_model="numpy", cache=True)

KINDS = ("added", "removed", "moved", "recoloured", "brighter", "darker", "texture")
HUES = ("red", "yellow", "green", "cyan", "blue", "magenta")

# Pixels around a region's box that are read: some hundreds around the smallest tell the noise and the look there.
MARGIN = 12
# A larger crop is read at every second, third, ... pixel, so that one region costs no more than this squared.
CROP = 256
# Steps are taken over 3 pixels: over 1 or 2 they are mostly noise and what a lens or a codec has smeared.
STEP = 3
# Correlation of the steps from which on the content is the same: of content that is not, the largest in fifty is
# near 0.2; of content that is, clipping and noise leave 0.5 and more. By chance only beyond so many deviations.
SAME_CORRELATION, SAME_DEVIATIONS = 0.5, 3.0
# Levels, and share of the brightest channel, that colour may be off a mere change of light: codecs, noise, warm lamps.
HUE_CHANGE, HUE_SHARE = 4.0, 0.08
# Share of a squared change that is one of colour, not of light: a pure red that only gets darker has two thirds.
MOSTLY = 0.7
# Levels that the largest channel of a plain surface may change by where only the hue did.
VALUE_CHANGE = 8.0
# Lamps lighten by up to a third of the range, shadows darken by a factor of up to 2.5. What goes beyond, where there is
# no structure to tell by, is rather a thing of another colour.
LIGHT_OFFSET, LIGHT_FACTOR = 85.0, 2.5
# Steps (root mean square, levels) under which a surface is called plain, if the noise is no larger.
PLAIN = 2.0
# Largest channel above which a surface is lost in white.
WHITE = 250.0
# Where only the texture changed, this share of the squared change, at most, lies in the means: a patch of coarse
# grain has a mean of its own by chance.
STEADY = 1 / 3
# Grain is the square of the steps as a share of what unrelated pixels have: 1 in fine grain, near 0.3 in things.
GRAIN = 0.55
# How much an unlike texture on the two sides of the rim counts against an edge along it.
TEXTURE_WEIGHT = 0.25
# Share of the squared change that a move must explain; more within one region, where either place may explain a pixel.
MOVED, MOVED_WITHIN = 0.9, 0.95
# Rows and columns, at most, of a move within one region.
REACH = 64
# Old places and new ones of moved things are looked for among so many most similar regions. Their looks may differ by
# so much: 10 levels of colour, 20 of roughness, a quarter of the length.
CANDIDATES, UNLIKE = 4, 10.0
# Larger regions, in pixels a side, are not things that moved.
LARGEST_MOVED = 4096
# Levels of colour that count as much as the way from one side of the image to the other.
FAR = 4.0
# More pairs than these, the least alike, are not looked at: half a second's work.
MOST_PAIRS = 50_000
# Pixels of a region, or some more, that are held against another place.
SAMPLES = 400
# Regions that a thread works on at a time.
SHARE = 16

# Columns of the sums over a region. BEFORE to PRODUCT: steps, all channels; VALUE_...: steps, largest channel
NOISE, CHANGE, RIMS, RIM_BEFORE, RIM_AFTER, SURROUND, STEPS, BEFORE, AFTER, PRODUCT = range(10)
VALUE_BEFORE, VALUE_AFTER, VALUE_PRODUCT, VARIANCE_AFTER, CHROMA, COLUMNS = range(10, 16)


class Kinds(NamedTuple):
    """What changed in each region 1 to N, in this order."""

    kind: list[str]
    """One of `KINDS` for each."""
    reason: list[str]
    """Why, in plain words; with "perhaps" where it is not sure."""
    partner: NDArray[np.int64]
    """(N,): region at the other end of the move, 0 = none."""
    shift: NDArray[np.float64]
    """(N, 2): rows and columns from the old place to the new; NaN = not moved."""


class _Measures(NamedTuple):
    """What the rules look at, for N regions, in levels and squares of levels; (N,), the colours (N, channels)."""

    noise: NDArray[np.float64]
    """Variance of after - before where nothing changed."""
    change: NDArray[np.float64]
    """Mean square of after - before in the region."""
    chroma: NDArray[np.float64]
    """The part of it that is not alike in all channels."""
    rim: NDArray[np.float64]
    """Which image has something unlike the surround: > 0 after, < 0 before; logarithm of a ratio of squares."""
    before: NDArray[np.float64]
    """Mean colour."""
    after: NDArray[np.float64]
    rough_before: NDArray[np.float64]
    """Mean square of the steps inside, less that of the noise."""
    rough_after: NDArray[np.float64]
    grain: NDArray[np.float64]
    """Square of the steps after, as a share of that of unrelated pixels."""
    correlation: NDArray[np.float64]
    """Of the steps before with those after, noise taken out."""
    same: NDArray[np.bool_]
    """Whether what was there still is."""


class Asked(NamedTuple):
    """What the regions are held against each other with; (N,) squares of levels."""

    noise: NDArray[np.float64]
    limits: NDArray[np.float64]
    """A pixel changed where its squared change is greater."""

    def of(self, *regions: int) -> Asked:
        """Return that of some regions."""
        return Asked(self.noise[list(regions)], self.limits[list(regions)])


class Looks(NamedTuple):
    """How regions, given by their numbers from 0 on, are looked at."""

    measure: Callable[[NDArray[np.int64]], Sequence[NDArray[np.float64]]]
    """Sums over each region, and its mean colours before and after."""
    match: Callable[[NDArray[np.int64], Asked], NDArray[np.float64]]
    """For each pair (old, new): the share of the change that a move explains, its rows and columns."""
    match_within: Callable[[NDArray[np.int64], Asked], NDArray[np.float64]]
    """The same of each region by itself."""


class Crop(NamedTuple):
    """A part of two images."""

    before: NDArray[Any]
    """(h, w, channels)"""
    after: NDArray[Any]
    labels: NDArray[np.int32]
    top: int
    left: int


class _Moves(NamedTuple):
    partner: NDArray[np.int64]
    shift: NDArray[np.float64]
    explained: NDArray[np.float64]
    """(N,): share of the squared change that the move explains; 0 = not moved."""


def name_kinds(
    before: NDArray[Any],
    after: NDArray[Any],
    labels: NDArray[np.int32],
    boxes: NDArray[np.int64],
    data_range: float,
    noise: float = 0.0,
    step: tiles.Step | None = None,
) -> Kinds:
    """Say of each region what kind of change it is, and why.

    Parameters
    ----------
    before, after : (H, W) or (H, W, 3) arrays of real numbers
        Aligned, of one shape; pixels that are not finite are left out. Only read.
    labels : (H, W) int32
        0 = unchanged, i = region i of 1 to N.
    boxes : (N, 4) int64
        min_row, min_col, max_row, max_col of each region, half-open, pixels.
    data_range : float
        Span of the intensities.
    noise : float, optional
        Standard deviation of ``after - before`` where nothing changed, in units of the data. More is found around
        a region where there is more.
    step : callable, optional
        Called after each of the regions' shares of the work; what it raises goes on.

    Returns
    -------
    Kinds
        Kind, reason, partner and shift.

    Raises
    ------
    ValueError
        If the shapes do not fit together, or `data_range` is not positive.

    Notes
    -----
    Steps are differences of pixels 3 apart, in colour of all channels, and of the largest (the V of HSV, which a
    turned hue leaves alone). Noise of the two images is independent: it adds to the squares of the steps, from which
    it is subtracted, and not to the products. ``sum(p q) / sqrt((sum(p p) - noise) (sum(q q) - noise))`` is the
    correlation of the contents (C. Spearman's correction for attenuation, 1904).
    A thing differs from its surround across the rim; in the image without it, the surround goes on.
    Each region depends on its own box and 12 pixels around it, and on the regions that it may have moved to or from.

    Examples
    --------
    >>> before = np.full((40, 40), 50, np.uint8)
    >>> after = before.copy()
    >>> after[10:20, 10:20] = 200
    >>> labels = (after > 100).astype(np.int32)
    >>> name_kinds(before, after, labels, np.array([[10, 10, 20, 20]]), 255).kind
    ['added']
    """
    if before.shape != after.shape or before.shape[:2] != labels.shape or before.ndim not in (2, 3):
        raise ValueError(
            f"before {before.shape}, after {after.shape} and labels {labels.shape} do not fit together: "
            "images of one shape, (H, W) or (H, W, 3), and labels (H, W) are wanted"
        )
    if not data_range > 0:
        raise ValueError(f"data_range is {data_range}; a positive number is wanted")
    scale = 255.0 / data_range
    before, after = (read_only(image if image.ndim == 3 else image[..., None]) for image in (before, after))
    images = (before, after, read_only(labels))
    boxes, step = read_only(np.asarray(boxes, np.int64).reshape(-1, 4)), step or tiles.stepper(None, 0)

    def measure(some: NDArray[np.int64]) -> list[NDArray[np.float64]]:
        return _share(some, lambda few: _measure(*images, boxes, scale, few, (noise * scale) ** 2), step)

    def match(pairs: NDArray[np.int64], asked: Asked) -> NDArray[np.float64]:
        return _share(pairs, lambda few: (_match_places(*images, boxes, scale, *asked, few),), step)[0]

    def match_within(some: NDArray[np.int64], asked: Asked) -> NDArray[np.float64]:
        return _share(some, lambda few: (_match_within(*images, boxes, scale, *asked, few),), step)[0]

    return name_kinds_by(Looks(measure, match, match_within), boxes)


def name_kinds_by(looks: Looks, boxes: NDArray[np.int64]) -> Kinds:
    """Do what `name_kinds` does by functions that look at the regions, wherever the images are."""
    found = _derive(*looks.measure(np.arange(len(boxes))))
    moves = _find_moves(looks, boxes, found)
    kind = _choose(found, moves.explained > 0)
    return Kinds(kind, _explain(kind, found, moves), moves.partner, moves.shift)


def _share(
    some: NDArray[Any], measure: Callable[[NDArray[Any]], tuple[NDArray[np.float64], ...]], step: tiles.Step
) -> list[NDArray[np.float64]]:
    """Return ``measure(some)``, whose arrays have a row for each of `some`, worked out on threads."""
    parts = np.array_split(some, max(1, len(some) // SHARE))
    return [np.concatenate(arrays) for arrays in zip(*tiles.map_tiles(measure, parts, step), strict=True)]


def _derive(sums: NDArray[np.float64], means: NDArray[np.float64]) -> _Measures:
    """Return means, correlations and ratios from the sums over each region."""
    noise, steps, surround = sums[:, NOISE], np.maximum(sums[:, STEPS], 1), sums[:, SURROUND]
    before, after = sums[:, BEFORE] / steps, sums[:, AFTER] / steps

    def out_of_place(across: NDArray[np.float64], inside: NDArray[np.float64]) -> NDArray[np.float64]:
        # a step across the rim is as large as the mean of both sides' where the surround just goes on
        edge = np.log((across + noise) / ((surround + inside) / 2 + noise))
        return edge + TEXTURE_WEIGHT * np.abs(np.log((inside + noise) / (surround + noise)))

    rims = np.maximum(sums[:, RIMS], 1)
    rim = out_of_place(sums[:, RIM_AFTER] / rims, after) - out_of_place(sums[:, RIM_BEFORE] / rims, before)
    colour, value = (_correlate(sums[:, first : first + 3], steps, noise) for first in (BEFORE, VALUE_BEFORE))
    return _Measures(
        noise=noise,
        change=sums[:, CHANGE],
        chroma=sums[:, CHROMA],
        rim=np.where(sums[:, RIMS] > 0, rim, 0.0),
        before=means[:, 0],
        after=means[:, 1],
        rough_before=before - noise,
        rough_after=after - noise,
        # unrelated pixels differ by twice their variance, to which each image's noise adds half of that of both
        grain=(after - noise) / np.maximum(2 * sums[:, VARIANCE_AFTER] - noise, 1.0),
        correlation=np.clip(np.maximum(colour[0], value[0]), -1, 1),
        same=np.any([(r > SAME_CORRELATION) & (z > SAME_DEVIATIONS) for r, z in (colour, value)], axis=0),
    )


def _correlate(
    sums: NDArray[np.float64], steps: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the correlation of steps, noise taken out, and in standard deviations of what chance makes."""
    before, after, product = sums.T / steps
    by_chance = np.sqrt(before * after / steps) + 1e-6
    # with less than half of the noise's square left, the rest of the subtraction is itself noise
    least = np.maximum(0.5, 0.5 * noise)
    return product / np.sqrt(np.maximum(before - noise, least) * np.maximum(after - noise, least)), product / by_chance


def _hue_change(found: _Measures) -> NDArray[np.float64]:
    """Return how far the mean colour after is from the nearest that a mere change of light makes, by RMS in levels."""
    before, after = found.before, found.after
    # the channel that changed most was clipped least
    each = after - before
    offset = np.take_along_axis(each, np.abs(each).argmax(axis=1)[:, None], axis=1)
    factor = after.sum(axis=1, keepdims=True) / np.maximum(before.sum(axis=1, keepdims=True), 1.0)
    # both at once is the straight line through the channels
    spread, other = (colour - colour.mean(axis=1, keepdims=True) for colour in (before, after))
    slope = np.sum(spread * other, axis=1, keepdims=True) / np.maximum(np.sum(spread**2, axis=1, keepdims=True), 1e-6)
    line = after - other + np.clip(slope, 1 / LIGHT_FACTOR, LIGHT_FACTOR) * spread
    guesses = np.clip(before + offset, 0, 255), np.clip(before * factor, 0, 255), line
    misfits: NDArray[np.float64] = np.sqrt(np.min([np.mean((guess - after) ** 2, axis=1) for guess in guesses], axis=0))
    return misfits


def _choose(found: _Measures, moved: NDArray[np.bool_]) -> list[str]:
    """Return the kind of each region: the first rule that holds."""
    before, after = found.before.mean(axis=1), found.after.mean(axis=1)
    low, high, lighter = np.minimum(before, after), np.maximum(before, after), after > before
    values = found.before.max(axis=1), found.after.max(axis=1)
    turned = _hue_change(found) > np.maximum(HUE_CHANGE, HUE_SHARE * np.maximum(*values))
    steady = np.mean((found.after - found.before) ** 2, axis=1) < STEADY * found.change
    # things of several hues may each turn to another, and the mean stays; of noise, two thirds is colour
    turned |= found.chroma - 2 / 3 * found.noise > MOSTLY * (found.change - found.noise)
    turned &= found.before.shape[1] > 1
    new_grain = (found.grain > GRAIN) & (found.rim > -1)
    # a plain surface, or one lost in white, may be the same as before; unless before it stood out, and now is gone
    limit = np.maximum(PLAIN**2, found.noise)
    plain = (found.rough_before < limit) & (found.rough_after < limit)
    perhaps = (plain | (np.maximum(*values) > WHITE)) & (found.rim >= 0)
    by_light = np.where(lighter, high - low <= LIGHT_OFFSET, high <= LIGHT_FACTOR * low)
    light = found.same | (perhaps & ~turned & by_light)
    rules = {
        "moved": moved,
        "recoloured": turned & (found.same | (perhaps & (np.abs(values[1] - values[0]) < VALUE_CHANGE))),
        "texture": steady & (found.same | new_grain),
        "brighter": light & lighter,
        "darker": light,
        "removed": found.rim < 0,
    }
    return [str(word) for word in np.select(list(rules.values()), list(rules), "added")]


def find_crop(box: Sequence[int], shape: tuple[int, int]) -> tuple[int, int, int, int, int]:
    """Return top, left, bottom and right of what is measured of a region, and of how many pixels one is."""
    top, left = max(0, box[0] - MARGIN), max(0, box[1] - MARGIN)
    bottom, right = min(shape[0], box[2] + MARGIN), min(shape[1], box[3] + MARGIN)
    return top, left, bottom, right, (max(bottom - top, right - left) + CROP - 1) // CROP


def measure_crop(
    before: NDArray[Any], after: NDArray[Any], labels: NDArray[np.int32], number: int, data_range: float, noise: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what `Looks.measure` does of one region, of which just the pixels that `find_crop` tells are given."""
    scale = 255.0 / data_range
    height, width = labels.shape
    # The box of which the kernel looks at just the crop
    boxes = read_only(np.array([[MARGIN, MARGIN, height - MARGIN, width - MARGIN]], np.int64))
    own = np.where(labels == number, 1, np.where(labels > 0, 2, 0)).astype(np.int32)
    one, other, marks = (read_only(np.ascontiguousarray(image)) for image in (before, after, own))
    first = np.zeros(1, np.int64)
    found: tuple[NDArray[np.float64], NDArray[np.float64]]
    found = _measure(one, other, marks, boxes, scale, first, (noise * scale) ** 2)
    return found


def find_reach(box: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Return how far around two regions is looked to match them."""
    sides = (box[2:] - box[:2]) - (other[2:] - other[:2])
    return int(np.abs(sides).max()) + MARGIN


def match_crops(
    old: Crop,
    new: Crop,
    numbers: tuple[int, int],
    boxes: NDArray[np.int64],
    shape: tuple[int, int],
    data_range: float,
    asked: Asked,
) -> NDArray[np.float64]:
    """Return what `Looks.match` does of one pair of regions, with `find_reach` around each, in images of `shape`.

    `numbers`, `boxes` and `asked` are those of the two.
    """
    origins = [np.array([crop.top, crop.left, crop.top, crop.left]) for crop in (old, new)]
    start, end = (box - origin for box, origin in zip(boxes, origins, strict=True))
    bounds, other_bounds = (np.array([0, 0, *shape]) - origin for origin in origins)
    images = [image for crop in (old, new) for image in crop[:3]]
    before, after, labels, *others = (read_only(np.ascontiguousarray(image)) for image in images)
    share, rows, columns = _match_crops(
        before, after, labels, others[0], others[1], others[2], numbers[0], numbers[1],
        start, end, bounds, other_bounds, 255.0 / data_range, asked.noise, asked.limits,
    )  # fmt: skip
    return np.array([share, rows + new.top - old.top, columns + new.left - old.left])


def match_crop_within(
    crop: Crop, number: int, box: NDArray[np.int64], data_range: float, asked: Asked
) -> NDArray[np.float64]:
    """Return what `Looks.match_within` does of one region, of which the box is given."""
    own = read_only((box - np.array([crop.top, crop.left, crop.top, crop.left]))[None])
    labels = (crop.labels == number).astype(np.int32)
    before, after, marks = (read_only(np.ascontiguousarray(image)) for image in (crop.before, crop.after, labels))
    first = np.zeros(1, np.int64)
    found: NDArray[np.float64]
    found = _match_within(before, after, marks, own, 255.0 / data_range, asked.noise, asked.limits, first)[0]
    return found


def _find_moves(looks: Looks, boxes: NDArray[np.int64], found: _Measures) -> _Moves:
    """Hold what was lost in one region against what is new in another of the same size and look, or in itself."""
    count = len(boxes)
    moves = _Moves(np.zeros(count, np.int64), np.full((count, 2), np.nan), np.zeros(count))
    asked = Asked(found.noise, np.maximum(9 * found.noise, 0.09 * found.change))
    lost = np.flatnonzero(~found.same & ((boxes[:, 2:] - boxes[:, :2]).max(1, initial=0) <= LARGEST_MOVED))
    pairs = _pair_likes(boxes, found, lost)
    matches = looks.match(pairs, asked)
    for row in np.argsort(-matches[:, 0], kind="stable"):
        old, new = pairs[row]
        if matches[row, 0] > 0 and moves.partner[old] == moves.partner[new] == 0:
            moves.partner[old], moves.partner[new] = new + 1, old + 1
            moves.explained[[old, new]], moves.shift[[old, new]] = matches[row, 0], matches[row, 1:]
    rest = lost[moves.partner[lost] == 0]
    matches = looks.match_within(rest, asked)
    within = matches[:, 0] > 0
    moves.explained[rest[within]], moves.shift[rest[within]] = matches[within, 0], matches[within, 1:]
    return moves


def _pair_likes(boxes: NDArray[np.int64], found: _Measures, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return pairs (old, new) of regions of which the one may have held before what the other holds after."""
    if places.size < 2:
        return np.empty((0, 2), np.int64)
    from scipy.spatial import cKDTree  # type: ignore[import-untyped]

    # so much counts alike: a level of colour, two of roughness, 1/40 of the length (and 8 pixels, as boxes are rough)
    sides = 40 * np.log(8.0 + boxes[places, 2:] - boxes[places, :2])
    # of many that look alike, the nearest
    middles = (boxes[places, 2:] + boxes[places, :2]) * (0.5 * FAR / boxes.max())
    looks = [
        np.column_stack([sides, middles, mean[places], 0.5 * np.sqrt(np.maximum(rough[places], 0))])
        for mean, rough in ((found.before, found.rough_before), (found.after, found.rough_after))
    ]
    count = min(CANDIDATES, places.size)
    unlike, likes = cKDTree(looks[1]).query(looks[0], k=count, p=np.inf, distance_upper_bound=UNLIKE)
    rows, ranks = np.nonzero(likes < places.size)
    old, new, unlike = places[rows], places[likes[rows, ranks]], unlike[rows, ranks]
    # it is the thing that moved, not a piece of the surround the other way
    kept = np.flatnonzero((old != new) & (found.rim[new] > found.rim[old]))
    kept = np.sort(kept[np.argsort(unlike[kept], kind="stable")[:MOST_PAIRS]])
    return np.column_stack([old[kept], new[kept]])


def _explain(kind: list[str], found: _Measures, moves: _Moves) -> list[str]:
    """Return why, in words, for each region."""
    words = {"texture": _explain_texture, "recoloured": _explain_colour, "added": _explain_rim, "removed": _explain_rim}
    words |= {"brighter": _explain_light, "darker": _explain_light}
    return [
        _explain_move(found, moves, region) if word == "moved" else words[word](found, region)
        for region, word in enumerate(kind)
    ]


def _explain_move(found: _Measures, moves: _Moves, region: int) -> str:
    rows, cols = (int(length) for length in moves.shift[region])
    share = f"({moves.explained[region]:.0%} of the change explained)"
    partner = moves.partner[region] - 1
    if partner < 0:
        return f"same content {_say_way(rows, cols)}, within the region {share}"
    if found.rim[region] > found.rim[partner]:
        return f"same content was {_say_way(-rows, -cols)} before {share}"
    return f"same content found {_say_way(rows, cols)} {share}"


def _say_way(rows: int, cols: int) -> str:
    ways = (rows, "row", "down" if rows > 0 else "up"), (cols, "column", "right" if cols > 0 else "left")
    return ", ".join(f"{abs(far)} {unit}{'s' * (abs(far) != 1)} {way}" for far, unit, way in ways if far)


def _explain_texture(found: _Measures, region: int) -> str:
    change = "contrast changed" if found.same[region] else "structure unlike"
    return f"mean about the same, {change} (correlation {found.correlation[region]:.2f})"


def _explain_rim(found: _Measures, region: int) -> str:
    words = "stood out from its surround before" if found.rim[region] < 0 else "stands out from its surround after"
    # the ratio of the squares is then less than 2
    return words + (", perhaps: so it does in the other image" if abs(found.rim[region]) < np.log(2) else "")


def _explain_light(found: _Measures, region: int) -> str:
    change = (found.after[region] - found.before[region]).mean() / 255
    words = "lighter" if change > 0 else "darker"
    return f"{words} by {abs(change):.0%} of the data range, {_say_structure(found, region)}"


def _explain_colour(found: _Measures, region: int) -> str:
    before, after = _say_hue(found.before[region]), _say_hue(found.after[region])
    turned = f"hue turned from {before} to {after}" if before != after else f"another {after}"
    return f"{turned}, {_say_structure(found, region)}"


def _say_structure(found: _Measures, region: int) -> str:
    if found.same[region]:
        return f"structure the same (correlation {found.correlation[region]:.2f})"
    return "perhaps: there is hardly any structure to tell by"


def _say_hue(colour: NDArray[np.float64]) -> str:
    red, green, blue = colour
    if colour.max() - colour.min() < max(HUE_CHANGE, 2 * HUE_SHARE * colour.max()):
        return "gray"
    angle = np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue))
    return HUES[round(angle / 60) % 6]


@_compile
def _measure(before, after, labels, boxes, scale, regions, noise):  # type: ignore[no-untyped-def]
    """Return the sums over each of some regions and its mean colours before and after."""
    count, channels = len(regions), before.shape[2]
    sums, means = np.zeros((count, COLUMNS)), np.zeros((count, 2, channels))
    # a region's crop: the images in levels and, for each pixel, 0 = unchanged, 1 = the region, 2 = of no use
    pair = np.empty((2, CROP, CROP, channels))
    state = np.empty((CROP, CROP), np.uint8)
    for k in range(count):
        region = regions[k]
        height, width = _load(before, after, labels, region + 1, boxes[region], scale, pair, state)
        b, a, s = pair[0, :height, :width], pair[1, :height, :width], state[:height, :width]
        sums[k, NOISE] = noise
        _sum_region(b, a, s, sums[k], means[k])
    return sums, means


@_compile
def _load(before, after, labels, number, box, scale, pair, state):  # type: ignore[no-untyped-def]
    top, left = max(0, box[0] - MARGIN), max(0, box[1] - MARGIN)
    bottom, right = min(labels.shape[0], box[2] + MARGIN), min(labels.shape[1], box[3] + MARGIN)
    every = (max(bottom - top, right - left) + CROP - 1) // CROP
    height, width = (bottom - top + every - 1) // every, (right - left + every - 1) // every
    for i in range(height):
        for j in range(width):
            row, col = top + i * every, left + j * every
            label = labels[row, col]
            state[i, j] = 0 if label == 0 else (1 if label == number else 2)
            for c in range(before.shape[2]):
                pair[0, i, j, c] = before[row, col, c] * scale
                pair[1, i, j, c] = after[row, col, c] * scale
                if not np.isfinite(pair[0, i, j, c] + pair[1, i, j, c]):
                    state[i, j] = 2
    return height, width


@_compile
def _distance(one, other):  # type: ignore[no-untyped-def]
    """Mean square over the channels of one colour less another."""
    total = 0.0
    for c in range(one.size):
        total += (one[c] - other[c]) ** 2
    return total / one.size


@_compile
def _largest(colour):  # type: ignore[no-untyped-def]
    value = colour[0]
    for c in range(1, colour.size):
        value = max(value, colour[c])
    return value


@_compile
def _sum_region(b, a, state, sums, means):  # type: ignore[no-untyped-def]
    height, width = state.shape
    inside, outside, surround = 0, 0, 0
    spread = 0.0
    for i in range(height):
        for j in range(width):
            if state[i, j] == 1:
                inside += 1
                distance, mean = _distance(b[i, j], a[i, j]), 0.0
                for c in range(b.shape[2]):
                    mean += (a[i, j, c] - b[i, j, c]) / b.shape[2]
                sums[CHANGE] += distance
                sums[CHROMA] += distance - mean * mean
            elif state[i, j] == 0:
                outside += 1
                for c in range(b.shape[2]):
                    spread += abs(a[i, j, c] - b[i, j, c]) / b.shape[2]
                for row, col in ((i + STEP, j), (i, j + STEP)):
                    if row < height and col < width and state[row, col] == 0:
                        surround += 1
                        sums[SURROUND] += (_distance(b[row, col], b[i, j]) + _distance(a[row, col], a[i, j])) / 2
    sums[CHANGE] /= max(inside, 1)
    sums[CHROMA] /= max(inside, 1)
    sums[SURROUND] /= max(surround, 1)
    # Rounding to whole levels of 8 bits leaves 1/12 in either image. Of the surround the mean deviation is taken, as
    # a few large values must not count much; pi / 2 times its square is the variance of a bell curve.
    sums[NOISE] = max(sums[NOISE], 1 / 6)
    if outside >= 100:
        sums[NOISE] = max(sums[NOISE], np.pi / 2 * (spread / outside) ** 2)
    limit = max(9 * sums[NOISE], 0.09 * sums[CHANGE])
    core = np.zeros((height, width), np.uint8)
    _cross_rim(b, a, state, False, limit, core, sums)
    _cross_rim(b, a, state, True, limit, core, sums)
    pixels = 0
    for i in range(height):
        for j in range(width):
            core[i, j] = core[i, j] == 2
            pixels += core[i, j]
    if pixels < 9:
        for i in range(height):
            for j in range(width):
                core[i, j] = state[i, j] == 1
    _sum_core(b, a, core, sums, means)


@_compile
def _cross_rim(b, a, state, turned, limit, core, sums):  # type: ignore[no-untyped-def]
    """Sum the squared steps across the rim where a row, or column if `turned`, enters and leaves the region.

    The rim is the first pixel that changed by more than `limit`, not the first of the region, which may be wider.
    Steps go from 1 pixel outside to 2 inside: edges are soft by a pixel. What lies 2 pixels behind the rim is counted
    up by one in `core`.
    """
    lines, length = state.shape[::-1] if turned else state.shape
    row, col = (1, 0) if turned else (0, 1)
    for line in range(lines):
        top, left = line * col, line * row
        at = 0
        while at < length:
            if state[top + at * row, left + at * col] != 1:
                at += 1
                continue
            first = at
            while at < length and state[top + at * row, left + at * col] == 1:
                at += 1
            last = at - 1
            while first <= last and not _changed(b, a, top + first * row, left + first * col, limit):
                first += 1
            while last > first and not _changed(b, a, top + last * row, left + last * col, limit):
                last -= 1
            for k in range(first + 2, last - 1):
                core[top + k * row, left + k * col] += 1
            for outer, inner in ((first - 1, first + 2), (last + 1, last - 2)):
                if 0 <= outer < length and first <= inner <= last:
                    i, j, y, x = top + outer * row, left + outer * col, top + inner * row, left + inner * col
                    if state[i, j] != 2:
                        sums[RIMS] += 1
                        sums[RIM_BEFORE] += _distance(b[i, j], b[y, x])
                        sums[RIM_AFTER] += _distance(a[i, j], a[y, x])


@_compile
def _changed(b, a, row, col, limit):  # type: ignore[no-untyped-def]
    largest = 0.0
    for c in range(b.shape[2]):
        largest = max(largest, (a[row, col, c] - b[row, col, c]) ** 2)
    return largest > limit


@_compile
def _sum_core(b, a, core, sums, means):  # type: ignore[no-untyped-def]
    """Sum steps over the core, and means over those of its pixels that are clipped in neither image, if any."""
    height, width = core.shape
    channels = b.shape[2]
    whole, bright = 0, 0
    totals, squares = np.zeros((2, channels)), 0.0
    for i in range(height):
        for j in range(width):
            if not core[i, j]:
                continue
            value_b, value_a = _largest(b[i, j]), _largest(a[i, j])
            clipped = value_b >= 254 or value_a >= 254
            whole += 1
            bright += clipped
            for c in range(channels):
                squares += a[i, j, c] ** 2 / channels
                for k, level in enumerate((b[i, j, c], a[i, j, c])):
                    totals[k, c] += level
                    means[k, c] += 0.0 if clipped else level
            for row, col in ((i + STEP, j), (i, j + STEP)):
                if row < height and col < width and core[row, col]:
                    sums[STEPS] += 1
                    for c in range(channels):
                        step_b, step_a = b[row, col, c] - b[i, j, c], a[row, col, c] - a[i, j, c]
                        sums[BEFORE] += step_b * step_b / channels
                        sums[AFTER] += step_a * step_a / channels
                        sums[PRODUCT] += step_b * step_a / channels
                    step_b, step_a = _largest(b[row, col]) - value_b, _largest(a[row, col]) - value_a
                    sums[VALUE_BEFORE] += step_b * step_b
                    sums[VALUE_AFTER] += step_a * step_a
                    sums[VALUE_PRODUCT] += step_b * step_a
    whole = max(whole, 1)
    sums[VARIANCE_AFTER] = squares / whole
    # if fewer than a tenth are not clipped, they are the darkest of all in either image
    few = 10 * (whole - bright) < whole
    for c in range(channels):
        sums[VARIANCE_AFTER] -= (totals[1, c] / whole) ** 2 / channels
        for k in range(2):
            means[k, c] = totals[k, c] / whole if few else means[k, c] / (whole - bright)


@_compile
def _match_places(before, after, labels, boxes, scale, noise, limits, pairs):  # type: ignore[no-untyped-def]
    """Return for each pair of regions (old, new) the share of the change that a move explains, and the move."""
    found = np.zeros((len(pairs), 3))
    bounds = np.array([0, 0, labels.shape[0], labels.shape[1]])
    last = -1
    for k in range(len(pairs)):
        old, new = pairs[k]
        if old != last:
            lost, total = _sample(before, after, labels, old + 1, boxes[old], scale, noise[old], limits[old])
            last = old
        share, rows, columns = _match_pair(
            before, after, boxes[old], bounds, lost, total, noise[old],
            before, after, boxes[new], bounds, labels, new + 1, noise[new], limits[new], scale,
        )  # fmt: skip
        found[k, 0], found[k, 1], found[k, 2] = share, rows, columns
    return found


@_compile
def _match_crops(  # type: ignore[no-untyped-def]
    before, after, labels, other_before, other_after, other_labels, number, other_number,
    start, end, bounds, other_bounds, scale, noise, limits,
):  # fmt: skip
    """Do the same for one pair, each of which is in a crop of its own; `noise` and `limits` are of the two."""
    lost, total = _sample(before, after, labels, number, start, scale, noise[0], limits[0])
    return _match_pair(
        before, after, start, bounds, lost, total, noise[0],
        other_before, other_after, end, other_bounds, other_labels, other_number, noise[1], limits[1], scale,
    )  # fmt: skip


@_compile
def _match_pair(  # type: ignore[no-untyped-def]
    before, after, start, bounds, lost, lost_total, noise,
    other_before, other_after, end, other_bounds, labels, number, other_noise, limit, scale,
):  # fmt: skip
    """Return the share of the change that a move from `start` to `end` explains, and the move: rows, columns.

    Old place and new are in images of their own, of which the whole image takes the pixels within `bounds`.
    """
    # the same thing's boxes agree, but for pixels that the surround hides: the middles' distance comes first
    height = (end[2] - start[2]) - (end[0] - start[0])
    width = (end[3] - start[3]) - (end[1] - start[1])
    top, left = end[0] - start[0] + height // 2, end[1] - start[1] + width // 2
    reach = min(max(abs(height), abs(width)) // 2 + 2, 8)
    best, sampled = 1 - MOVED, False
    share, rows, columns = 0.0, 0, 0
    for row, col in _spiral(reach):
        down, right = top + row, left + col
        rest = _misfit(before, other_after, other_bounds, lost, lost_total, down, right, scale, noise, best)
        if rest < best:
            if not sampled:
                come, come_total = _sample(other_before, other_after, labels, number, end, scale, other_noise, limit)
                sampled = True
            back = _misfit(other_after, before, bounds, come, come_total, -down, -right, scale, other_noise, best)
            rest = max(rest, back)
        if rest < best:
            best = rest
            share, rows, columns = 1 - best, down, right
            if best == 0:
                break
    return share, rows, columns


@_compile
def _spiral(reach):  # type: ignore[no-untyped-def]
    """Return all rows and columns from -reach to reach, nearest to the middle first."""
    steps = [(0, 0)]
    for ring in range(1, reach + 1):
        for i in range(-ring, ring + 1):
            steps += [(-ring, i), (ring, i)]
        for i in range(1 - ring, ring):
            steps += [(i, -ring), (i, ring)]
    return steps


@_compile
def _sample(before, after, labels, number, box, scale, noise, limit):  # type: ignore[no-untyped-def]
    """Return pixels of a region that changed, as did those 2 away, if there are any such; and their squared change."""
    every = 1
    while (box[2] - box[0]) * (box[3] - box[1]) > SAMPLES * every * every:
        every += 1
    places = np.empty((SAMPLES + 2 * (box[2] - box[0] + box[3] - box[1]) // every + 4, 2), np.int64)
    for margin in (2, 0):
        count, total = 0, 0.0
        for row in range(box[0], box[2], every):
            for col in range(box[1], box[3], every):
                change = _change_at(before, after, labels, number, row, col, scale)
                good = change > limit
                if good and margin:
                    for i, j in ((-margin, 0), (margin, 0), (0, -margin), (0, margin)):
                        good &= _change_at(before, after, labels, number, row + i, col + j, scale) > limit
                if good:
                    places[count, 0], places[count, 1] = row, col
                    count += 1
                    total += change - noise
        if count >= 9:
            break
    return places[:count], total


@_compile
def _change_at(before, after, labels, number, row, col, scale):  # type: ignore[no-untyped-def]
    """Return the mean square of the change at a pixel of a region; 0 outside the region, NaN where not finite."""
    if not (0 <= row < labels.shape[0] and 0 <= col < labels.shape[1]) or labels[row, col] != number:
        return 0.0
    return _difference_at(before, row, col, after, row, col, scale)


@_compile
def _difference_at(one, row, col, other, other_row, other_col, scale):  # type: ignore[no-untyped-def]
    total = 0.0
    for c in range(one.shape[2]):
        total += (one[row, col, c] * scale - other[other_row, other_col, c] * scale) ** 2
    return total / one.shape[2]


@_compile
def _misfit(one, other, bounds, places, total, row, col, scale, noise, enough):  # type: ignore[no-untyped-def]
    """Return the share of the change at `places` of `one` that is left in `other` so many rows and columns on."""
    left = 0.0
    for k in range(len(places)):
        i, j = places[k, 0] + row, places[k, 1] + col
        if not (bounds[0] <= i < bounds[2] and bounds[1] <= j < bounds[3]):
            return 1.0
        rest = _difference_at(one, places[k, 0], places[k, 1], other, i, j, scale)
        # one that is not finite there speaks neither for the move nor against it
        left += rest - noise if rest == rest else enough * total / len(places)
        if not left <= enough * total + 10 * noise:
            return 1.0
    return max(left, 0.0) / total if total > 0 else 1.0


@_compile
def _match_within(before, after, labels, boxes, scale, noise, limits, regions):  # type: ignore[no-untyped-def]
    """Return the same for regions that may hold a thing's old place and its new one, touching or overlapping."""
    found = np.zeros((len(regions), 3))
    for k in range(len(regions)):
        region = regions[k]
        box = boxes[region]
        places, total = _sample(before, after, labels, region + 1, box, scale, noise[region], limits[region])
        rows, cols = min(REACH, (box[2] - box[0]) * 2 // 3), min(REACH, (box[3] - box[1]) * 2 // 3)
        best = 1 - MOVED_WITHIN
        changes = np.empty(len(places))
        for place in range(len(places)):
            i, j = places[place, 0], places[place, 1]
            changes[place] = _difference_at(before, i, j, after, i, j, scale)
        # those that changed most refute a move soonest
        order = np.argsort(-changes, kind="mergesort")
        for row in range(-rows, rows + 1):
            for col in range(-cols, cols + 1):
                left = 0.0
                for place in order:
                    i, j = places[place, 0], places[place, 1]
                    rest = changes[place]
                    if _inside(labels, region + 1, i + row, j + col):
                        rest = min(rest, _difference_at(before, i, j, after, i + row, j + col, scale))
                    if _inside(labels, region + 1, i - row, j - col):
                        rest = min(rest, _difference_at(after, i, j, before, i - row, j - col, scale))
                    left += max(rest - noise[region], 0.0)
                    if not left <= best * total:
                        break
                if left < best * total:
                    best = left / total
                    found[k, 0], found[k, 1], found[k, 2] = 1 - best, row, col
    return found


@_compile
def _inside(labels, number, row, col):  # type: ignore[no-untyped-def]
    return 0 <= row < labels.shape[0] and 0 <= col < labels.shape[1] and labels[row, col] == number
