"""The line of a swipe: where in the image it is, how it is drawn, and how it is dragged."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..looks import place_line
from ..placing import EDGE_ON_SCREEN

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["Cut", "drag_listener", "find_cut", "find_width", "is_near", "needs_line", "put_line"]

# Canvas pixels from the line within which it is taken hold of
REACH = 8

# Where pixels of the image are larger than so many of the screen, the line is none of them
LARGEST_PIXEL = 2.0


class Cut(NamedTuple):
    """Where the line is in the image."""

    place: int = 0
    """First row or column beyond it."""
    axis: int = 1
    """0 where it parts rows, 1 where columns."""
    ascends: bool = True
    """Whether rows, or columns, grow from the left or the top of the canvas to the other end."""


class Swiped(Protocol):
    """Who has the line of a swipe."""

    across: bool

    def is_near_line(self, place: tuple[float, float]) -> bool:
        """Return whether a place in the canvas is on the line."""

    def swipe_to(self, cut: float) -> None:
        """Move the line."""


def find_cut(viewer: ViewerModel, layer: Any, share: float, across: bool) -> Cut:
    """Return where a line is in a picture that is shown by `layer`, at a share of the canvas, 0 to 1.

    It goes from the left to the right of the canvas, and stands upright; with `across` from top to bottom.
    """
    # Of a layer that is turned, rows may run from left to right
    begin, end = (_find_pixel(viewer, layer, each, across) for each in (0.0, 1.0))
    axis = int(np.argmax(np.abs(end - begin)))
    where = begin[axis] + share * (end - begin)[axis] + 0.5
    # The sides of a picture in colour
    length = layer.data[0].shape[-3:-1][axis]
    return Cut(int(np.clip(round(where), 0, length)), axis, bool(end[axis] >= begin[axis]))


def is_near(viewer: ViewerModel, place: tuple[float, float], share: float, across: bool) -> bool:
    """Return whether a place in the canvas (x, y, in its pixels) is on the line."""
    axis = int(across)
    return bool(abs(place[axis] - share * viewer.canvas.size[1 - axis]) <= REACH)


def find_width(viewer: ViewerModel, layer: Layer) -> float:
    """Return how many pixels of a layer are as wide as lines are on the screen."""
    here, there = (layer.data_to_world((*(0,) * (layer.ndim - 1), column)) for column in (0, 1))
    pixel = float(np.linalg.norm(np.subtract(there, here))) * viewer.scene.camera.zoom
    return float(max(EDGE_ON_SCREEN / max(pixel, 1e-12), 1e-3))


def needs_line(viewer: ViewerModel, layer: Layer) -> bool:
    """Return whether the pixels of the image are too large on the screen for a column of them to be the line.

    A line of its own costs more than the picture.
    """
    return find_width(viewer, layer) < EDGE_ON_SCREEN / LARGEST_PIXEL


def put_line(viewer: ViewerModel, line: Any, layer: Any, cut: Cut) -> None:
    """Lay the line where before ends, as wide on the screen as ever."""
    for name, value in place_line(layer, cut.place, cut.axis, find_width(viewer, layer)).items():
        if not np.array_equal(getattr(line, name), value):
            setattr(line, name, value)


def drag_listener(swiped: weakref.ref[Swiped]) -> Callable[[Any, Any], Iterator[None]]:
    """Return what drags the line: the viewer keeps it alive, so it holds who has the line weakly."""

    def on_drag(viewer: Any, event: Any) -> Iterator[None]:
        here = swiped()
        if here is None or event.button != 1 or not here.is_near_line(tuple(event.pos)):
            return
        camera = viewer.scene.camera
        pan, camera.mouse_pan = camera.mouse_pan, False
        try:
            yield
            moved = False
            # Where it is let go counts, too: napari leaves out some of what comes between
            while event.type == "mouse_move" or (moved and event.type == "mouse_release"):
                moved = event.type == "mouse_move"
                axis = int(here.across)
                here.swipe_to(event.pos[axis] / viewer.canvas.size[1 - axis])
                if moved:
                    yield
        finally:
            camera.mouse_pan = pan

    return on_drag


def _find_pixel(viewer: ViewerModel, layer: Any, share: float, across: bool) -> NDArray[np.float64]:
    """Return row and column of a layer in the middle of the canvas, at a share of the way that the line goes."""
    place = list(viewer.dims.point)
    camera, size = viewer.scene.camera, viewer.canvas.size
    shares = (share, 0.5) if across else (0.5, share)
    ways = [1 if name in ("down", "right") else -1 for name in map(str, camera.orientation2d)]
    for axis, center, part, length, way in zip(
        viewer.dims.displayed, camera.center[-2:], shares, size, ways, strict=True
    ):
        place[axis] = center + way * (part - 0.5) * length / camera.zoom
    return np.array(layer.world_to_data(place)[-2:])
