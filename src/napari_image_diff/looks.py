"""The ways to look at two layers: which layers each of them shows for a while, made of the two and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import boxes, mixing
from .geometry import affine_of, array_of, lift_transforms, transforms_of, transforms_of_plane, world_of
from .layers import BOX_COLOR
from .placing import Frame
from .warping import tidy_matrix

if TYPE_CHECKING:
    from napari.layers import Image, Vectors

    from .comparison import Comparison

__all__ = [
    "Grid",
    "Outline",
    "copy_of",
    "draw_line",
    "draw_outline",
    "grid_of",
    "look_of",
    "mix",
    "outline",
    "place_line",
    "redraw",
    "sides_between",
]

# Steps of a colour map, which napari goes between
COLORS = 256

# What a copy shows as its layer does, beside its place and its data
SHOWN = ("contrast_limits", "gamma", "colormap", "interpolation2d", "interpolation3d", "rendering")


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


def grid_of(before: Image, after: Image, frame: Frame) -> Grid:
    """Return where a mixture of two layers lies; `frame` is that of before, as `add_comparison` takes it."""
    plane = array_of(before).shape[before.ndim - 2 : before.ndim]
    if before.ndim >= after.ndim and not isinstance(frame, int):
        return Grid((*array_of(before).shape[: before.ndim - 2], *plane), transforms_of(before))
    lead = array_of(after).shape[: after.ndim - 2]
    where = lift_transforms(transforms_of_plane(before), transforms_of(after), after.ndim)
    return Grid((*lead, *plane), where)


def sides_between(before: Image, after: Image, frame: Frame) -> tuple[mixing.Side, mixing.Side]:
    """Return two layers as they are mixed: each as the viewer shows it now, and after where it lies."""
    lead = len(grid_of(before, after, frame).shape) - 2
    matrix = _matrix_between(before, after)
    ndim = len(matrix) - 1
    plane = np.eye(3)
    plane[:2, :2], plane[:2, 2] = matrix[ndim - 2 : ndim, ndim - 2 : ndim], matrix[ndim - 2 : ndim, ndim]

    def frame_before(place: mixing.Place) -> mixing.Place | None:
        if before.ndim == 2:
            return ()
        if frame == "previous":
            return (max(place[0] - 1, 0), *place[1:])
        return place if frame is None else (frame, *place[1:])

    def frame_after(place: mixing.Place) -> mixing.Place | None:
        if after.ndim == 2:
            return ()
        # Along axes that only after has, and where a frame of before is taken, frames are told by their numbers
        found = np.array(place, np.float64)
        if frame is None and before.ndim == after.ndim:
            found = matrix[:lead, :lead] @ found + matrix[:lead, ndim]
        index = tuple(int(each) for each in np.rint(found))
        inside = all(0 <= each < length for each, length in zip(index, array_of(after).shape, strict=False))
        return index if inside else None

    return _side(before, np.eye(3), frame_before), _side(after, plane, frame_after)


def mix(
    before: Image, after: Image, frame: Frame, paint: mixing.Paint, join: mixing.Join
) -> tuple[mixing.Mixing, dict[str, Any]]:
    """Return a mixture of two layers, and where it lies."""
    grid = grid_of(before, after, frame)
    return mixing.Mixing(sides_between(before, after, frame), grid.shape, paint, join), grid.where


def copy_of(layer: Image, name: str) -> Image:
    """Return a layer that shows the data of another as that does, and shares them."""
    from napari.layers import Image

    shown = {each: getattr(layer, each) for each in SHOWN if not (layer.rgb and each in SHOWN[:3])}
    return Image(
        layer.data, name=name, rgb=layer.rgb, multiscale=layer.multiscale, **shown, **transforms_of(layer), visible=True
    )


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
    layer: Image, matrix: NDArray[np.float64], frame_at: Callable[[mixing.Place], mixing.Place | None]
) -> mixing.Side:
    levels = list(layer.data) if layer.multiscale else [layer.data]
    return mixing.Side(levels, matrix, frame_at, look_of(layer).shades)


def _matrix_between(before: Image, after: Image) -> NDArray[np.float64]:
    """Return the matrix that takes an index of before, in the axes that both have, to the place in after."""
    last = np.ix_(*[range(-min(before.ndim, after.ndim) - 1, 0)] * 2)
    own, theirs = (world_of(layer, before.units)[last] for layer in (before, after))
    return tidy_matrix(np.linalg.inv(theirs) @ own)
