"""The ways to look at two layers: which layers each of them shows for a while, made of the two and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import boxes, mixing, warping
from .geometry import affine_of, array_of, lift_transforms, transforms_of, transforms_of_plane, world_of
from .layers import BOX_COLOR, MARK_COLOR
from .overlaying import find_matrix
from .placing import Frame

if TYPE_CHECKING:
    from napari.layers import Image, Layer, Vectors

    from .comparison import Comparison

__all__ = [
    "Grid",
    "Outline",
    "Pair",
    "copy_of",
    "draw_line",
    "draw_outline",
    "explain_obstacle",
    "find_limit",
    "grid_of",
    "lay_mixture",
    "lay_tiles",
    "look_of",
    "mark",
    "mix",
    "outline",
    "place_in",
    "place_line",
    "redraw",
    "sides_between",
]

# Steps of a colour map, which napari goes between
COLORS = 256

# What a copy shows as its layer does, beside its place and its data
SHOWN = ("contrast_limits", "gamma", "colormap", "interpolation2d", "interpolation3d", "rendering")


class Pair(NamedTuple):
    """Two layers that are looked at."""

    before: Image
    after: Image
    frame: Frame = None
    """Which frame of before, as `add_comparison` takes it."""
    by_index: bool = False
    """Whether pixels and frames stand for each other by their numbers, wherever the layers lie."""


class Grid(NamedTuple):
    """Where a mixture of two layers lies: on the pixels of before, with the frames of either."""

    shape: tuple[int, ...]
    where: dict[str, Any]
    """As attributes of a layer."""


class Outline(NamedTuple):
    """The lines of boxes."""

    data: NDArray[np.float64]
    """(N, 2, axes): where each begins, and the way to its end."""
    labels: NDArray[np.int_]
    """(N,): the region of each."""


def explain_obstacle(pair: Pair) -> str:
    """Say in a sentence why two layers cannot be mixed, "" if they can."""
    tilted = None if pair.by_index else find_matrix(*pair[:3], as_shown=True)[1]
    if tilted is None:
        return ""
    return f"'{tilted.name}' is tilted, so that its planes are no planes of the other: look side by side."


def grid_of(pair: Pair) -> Grid:
    """Return where a mixture of two layers lies."""
    before, after, frame, _ = pair
    plane = array_of(before).shape[before.ndim - 2 : before.ndim]
    if before.ndim >= after.ndim and not isinstance(frame, int):
        return Grid((*array_of(before).shape[: before.ndim - 2], *plane), transforms_of(before))
    lead = array_of(after).shape[: after.ndim - 2]
    if not lead:
        return Grid(plane, transforms_of_plane(before))
    return Grid((*lead, *plane), lift_transforms(transforms_of_plane(before), transforms_of(after), after.ndim))


def sides_between(pair: Pair) -> tuple[mixing.Side, mixing.Side]:
    """Return two layers as they are mixed: each as the viewer shows it now, and after where it lies."""
    before, after, frame, by_index = pair
    matrix = np.eye(min(before.ndim, after.ndim) + 1) if by_index else find_matrix(*pair[:3], as_shown=True)[0]
    # Of the axes that both have, those of frames and those of planes
    frames, plane = [*range(len(matrix) - 3), -1], [-3, -2, -1]
    of_frames, of_plane = matrix[np.ix_(frames, frames)], matrix[np.ix_(plane, plane)]
    shared = len(of_frames) - 1
    lengths = [array_of(layer).shape[: layer.ndim - 2] for layer in (before, after)]
    # Frames of a mixture are those of the one that has more axes of them, and of after where a frame of before is taken
    of_after = after.ndim > before.ndim or isinstance(frame, int)

    def frame_before(place: mixing.Index) -> mixing.Index | None:
        count = len(lengths[0])
        if isinstance(frame, int):
            return (frame, *place[len(place) - count + 1 :]) if count else ()
        if frame == "previous" and count:
            return (max(place[0] - 1, 0), *place[1:])
        return _find_frame(
            np.asarray(np.linalg.inv(of_frames), np.float64) if of_after else None, shared, place, lengths[0]
        )

    def frame_after(place: mixing.Index) -> mixing.Index | None:
        moves = frame is None and not of_after
        return _find_frame(of_frames if moves else None, shared, place, lengths[1])

    return _side(before, np.eye(3), frame_before), _side(after, of_plane, frame_after)


def mix(pair: Pair, paint: mixing.Paint, join: mixing.Join) -> tuple[mixing.Mixing, dict[str, Any]]:
    """Return a mixture of two layers, and where it lies."""
    grid = grid_of(pair)
    return mixing.Mixing(sides_between(pair), grid.shape, paint, join), grid.where


def place_in(where: Mapping[str, Any], units: Sequence[Any] | None) -> dict[str, Any]:
    """Return a place in the units of a viewer, None where it has none for all, as attributes of a layer.

    Which size of a picture it shows napari 0.9.2 finds out as if the units of the layer were those.
    """
    ndim = len(where["scale"])
    units = None if units is None else tuple(units[len(units) - ndim :])
    if units is None or units == tuple(where["units"]):
        return dict(where)
    from napari.layers import Image

    layer = Image(np.zeros((1,) * ndim), **where)
    plain = {"scale": np.ones(ndim), "translate": np.zeros(ndim), "rotate": np.eye(ndim), "shear": where["shear"] * 0}
    return {**where, **plain, "affine": world_of(layer, units), "units": units}


def copy_of(layer: Image, data: Any, name: str, where: Mapping[str, Any]) -> Image:
    """Return a layer that shows data of another as that does, and shares them."""
    from napari.layers import Image

    shown = {each: getattr(layer, each) for each in SHOWN if not (layer.rgb and each in SHOWN[:3])}
    return Image(data, name=name, rgb=layer.rgb, multiscale=layer.multiscale, **shown, **where)


def look_of(layer: Image) -> mixing.Look:
    """Return how the viewer shows a layer now."""
    if layer.rgb:
        dtype = np.dtype(layer.dtype)
        return mixing.Look(None, float(np.iinfo(dtype).max) if dtype.kind in "ui" else 1.0)
    colors = np.array(layer.colormap.map(np.linspace(0, 1, COLORS)), np.float64)
    black, white = layer.contrast_limits
    return mixing.Look(mixing.Shades(float(black), float(white), float(layer.gamma), colors))


def outline(comparison: Comparison, ndisplay: int) -> Outline:
    """Return the boxes of the regions as lines, for a view of so many dimensions."""
    axes = tuple(comparison.resolved.get("frames", ()))
    drawn = boxes.draw(boxes.pick_largest(comparison.regions), axes, ndisplay)
    begins = drawn.corners
    ways = np.roll(begins, -1, axis=1) - begins
    if drawn.shape_type == "path":
        # Its ends do not meet
        begins, ways = begins[:, :-1], ways[:, :-1]
    lines = np.stack([begins, ways], axis=2).reshape(-1, 2, comparison.labels.ndim)
    return Outline(lines, np.repeat(drawn.table["label"].to_numpy(), begins.shape[1]))


def draw_outline(lines: Outline, name: str, where: Mapping[str, Any]) -> Vectors:
    """Return a layer of boxes as lines, which are drawn much faster than shapes."""
    from napari.layers import Vectors

    return Vectors(
        lines.data,
        ndim=lines.data.shape[-1],
        name=name,
        edge_color=BOX_COLOR,
        vector_style="line",
        features={"label": lines.labels},
        **where,
    )


def redraw(layer: Any, lines: Outline) -> None:
    """Show other boxes in a layer that `draw_outline` has made."""
    layer.data = lines.data
    layer.features = {"label": lines.labels}


def mark(layer: Any, label: int) -> None:
    """Draw the box of a region in another colour than all others, in a layer that `draw_outline` has made."""
    from napari.utils.colormaps.standardize_color import transform_color

    if len(layer.data):
        colors = np.repeat(np.asarray(transform_color(BOX_COLOR)), len(layer.data), axis=0)
        colors[layer.features["label"].to_numpy() == label] = transform_color(MARK_COLOR)[0]
        layer.edge_color = colors


def lay_tiles(pair: Pair, boxes: Image | None, lines: Outline | None) -> list[Layer]:
    """Return the layers of two tiles side by side, those of after first: a copy of each layer, and lines over it.

    The lines lie where `boxes` lies; without those there are none.
    """
    made: list[Layer] = []
    for name, layer in (("after", pair.after), ("before", pair.before)):
        data, where = _pick_frame(pair) if name == "before" else (layer.data, _place_of_after(pair))
        copy = copy_of(layer, data, f"{name}: {layer.name}", where)
        copy.name_overlay.visible = True
        made.append(copy)
        if boxes is not None and lines is not None:
            made.append(draw_outline(lines, f"{name}: boxes", transforms_of(boxes)))
    return made


def lay_mixture(pair: Pair, mixture: mixing.Mixing, where: Mapping[str, Any], limit: float) -> list[Layer]:
    """Return the layers of a mixture: the picture, and in colour the line of a swipe, which is hidden.

    Of a signed difference `limit` is shown in full colour.
    """
    from napari.layers import Image

    levels: Any = mixture.make_levels()
    name = f"{pair.before.name} and {pair.after.name}"
    if levels[0].ndim == len(mixture.shape):
        shades = {"colormap": mixing.SIGNED_COLORS, "contrast_limits": (-limit, limit)}
        return [Image(levels, name=name, multiscale=True, **shades, **where)]
    image = Image(levels, name=name, multiscale=True, rgb=True, **where)
    return [image, draw_line(image)]


def _pick_frame(pair: Pair) -> tuple[Any, dict[str, Any]]:
    """Return what of before stands beside after, and where: a frame of it for all, or each a frame later."""
    before, _, frame, _ = pair
    if frame is None or before.ndim < 3:
        return before.data, transforms_of(before)
    if isinstance(frame, int):
        data = [level[frame] for level in before.data] if before.multiscale else before.data[frame]
        return data, transforms_of_plane(before, before.ndim - 1)
    where, first = transforms_of(before), (1, *(0,) * (before.ndim - 1))
    way = np.subtract(before.data_to_world(first), before.data_to_world((0,) * before.ndim))
    # The affine comes after all others
    return before.data, where | {"translate": where["translate"] + np.linalg.solve(affine_of(before)[:-1, :-1], way)}


def _place_of_after(pair: Pair) -> dict[str, Any]:
    """Return where after stands: where it lies, or by index on the pixels of before."""
    before, after, _, by_index = pair
    if not by_index:
        return transforms_of(after)
    if after.ndim <= before.ndim:
        return transforms_of(before) if after.ndim == before.ndim else transforms_of_plane(before, after.ndim)
    return lift_transforms(transforms_of(before), transforms_of(after), after.ndim)


def find_limit(pair: Pair, comparison: Comparison | None) -> float:
    """Return the difference to be shown in full colour: twice what a region has, or a quarter of the contrast."""
    if comparison is not None:
        columns = comparison.region_columns
        changes = np.abs(columns["after_mean"] - columns["before_mean"])
        # What only one of the two has has no mean of the other
        most = float(changes[np.isfinite(changes)].max(initial=0))
        if most > 0:
            return 2 * most
    spans = [look_of(layer).white if layer.rgb else float(np.ptp(layer.contrast_limits)) for layer in pair[:2]]
    return max(spans) / 4 or 1.0


def draw_line(before: Image) -> Image:
    """Return the line of a swipe: a single white pixel, which is drawn, and moved, faster than any shape."""
    from napari.layers import Image

    return Image(np.ones((1, 1), np.uint8), name="swipe line", contrast_limits=(0, 1), **transforms_of_plane(before))


def place_line(layer: Image, cut: float, axis: int, width: float) -> dict[str, NDArray[np.float64]]:
    """Return where the line of a swipe is, along all of a mixture in colour, as attributes of the line's layer.

    Before ends at `cut`, a row or column with `axis` 0 or 1, and after begins: half a pixel before its place. The line
    is `width` pixels wide.
    """
    sides = np.array(array_of(layer).shape[-3:-1], np.float64)
    middle = (sides - 1) / 2
    middle[axis] = cut - 0.5
    sides[axis] = width
    lead = (0,) * (layer.ndim - 2)
    way = np.subtract(layer.data_to_world((*lead, *middle)), layer.data_to_world((*lead, 0, 0)))[-2:]
    # The affine comes after all others
    way = np.linalg.solve(affine_of(layer)[-3:-1, -3:-1], way)
    return {"scale": np.asarray(layer.scale[-2:]) * sides, "translate": np.asarray(layer.translate[-2:]) + way}


def _side(
    layer: Image, matrix: NDArray[np.float64], frame_at: Callable[[mixing.Index], mixing.Index | None]
) -> mixing.Side:
    levels = list(layer.data) if layer.multiscale else [layer.data]
    return mixing.Side(levels, matrix, frame_at, look_of(layer).shades)


def _find_frame(
    matrix: NDArray[np.float64] | None, shared: int, place: mixing.Index, lengths: Sequence[int]
) -> mixing.Index | None:
    """Return the frame that is shown at a place in a mixture, of a layer of these lengths; None if there is none.

    Along the last axes, so many as are `shared`, `matrix` tells where it lies; along others, and without it, frames are
    told by their numbers.
    """
    found = np.array(place[len(place) - len(lengths) :], np.float64)
    if matrix is not None and shared:
        found[-shared:] = matrix[:-1, :-1] @ np.array(place[-shared:]) + matrix[:-1, -1]
    index, there = warping.find_nearest(found, lengths)
    return tuple(index.tolist()) if there else None
