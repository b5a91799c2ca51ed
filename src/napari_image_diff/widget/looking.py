"""Looking at the two images: side by side, in turns, swiped, overlaid; and the view as it was found afterwards."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from .. import mixing
from ..geometry import real_layer, transforms_of
from ..layers import BOX_COLOR
from ..looks import (
    copy_of,
    draw_line,
    draw_outline,
    mix,
    outline,
    place_line,
    redraw,
    sides_between,
)
from ..placing import EDGE_ON_SCREEN, Frame, lend
from .pickers import LayerListener
from .viewing import MARK_COLOR

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from ..comparison import Comparison

__all__ = ["WAYS", "Looker", "Way"]


class Way(NamedTuple):
    """A way to look at two images."""

    title: str
    help: str
    caption: str
    """What the canvas says meanwhile, with the names of the layers."""


WAYS = {
    "side_by_side": Way("Side", "Before and after side by side, moved and zoomed as one.", ""),
    "blink": Way("Blink", "Before and after in turns: each press shows the other one; hold it for a glance.", ""),
    "swipe": Way(
        "Swipe",
        "Before on one side of a line and after on the other; drag the line.",
        "{before}  |  {after}",
    ),
    "overlay": Way(
        "Overlay",
        "Both at once: gray where they are equally bright, magenta where before is brighter, green where after is.",
        "magenta: {before}, green: {after}",
    ),
    "signed": Way(
        "Signed",
        "After - before: green where after is greater, magenta where it is less, black where they are the same.",
        "{after} - {before}",
    ),
    "checkerboard": Way(
        "Tiles",
        "Before and after in the tiles of a checkerboard: edges that do not go on show a shift.",
        "tiles of {before} and {after}",
    ),
}

# Of a mixture: what is made of either image before they are joined
PAINTS: dict[str, mixing.Paint] = {
    "blink": mixing.colour,
    "swipe": mixing.colour,
    "overlay": mixing.level,
    "signed": mixing.gray,
    "checkerboard": mixing.colour,
}

# What a copy of a layer shows as that does, also when it changes
FOLLOWED = ("contrast_limits", "gamma", "colormap", "interpolation2d")

# What changes how a mixture looks
SHOWN = ("data", "set_data", "contrast_limits", "gamma", "colormap", "scale", "translate", "rotate", "shear", "affine")

# Canvas pixels from the line of a swipe within which it is taken hold of
REACH = 8

# Where pixels of the image are larger than so many of the screen, the line of a swipe is none of them
LARGEST_PIXEL = 2.0

# What a swipe changes: the canvas is drawn again, and no thumbnail
QUICK: dict[str, Any] = {"thumbnail": False, "highlight": False, "extent": False}


@dataclasses.dataclass
class _Found:
    """What a way to look changes in the viewer, as it was found."""

    layers: list[Any]
    selected: list[Any]
    grid: dict[str, Any]
    text: dict[str, Any]
    point: tuple[float, ...]
    hidden: list[Any]
    """The layers that were seen, and are not meanwhile."""

    @classmethod
    def of(cls, viewer: ViewerModel) -> _Found:
        grid, text = viewer.canvas.grid, viewer.canvas.overlays.text
        return cls(
            [real_layer(layer) for layer in viewer.layers],
            [real_layer(layer) for layer in viewer.layers.selection],
            {name: getattr(grid, name) for name in ("enabled", "stride", "shape", "spacing")},
            {name: getattr(text, name) for name in ("text", "visible", "position")},
            tuple(viewer.dims.point),
            [],
        )

    def restore(self, viewer: ViewerModel) -> None:
        """Put it back, but for what somebody else has changed meanwhile."""
        for name, value in self.grid.items():
            setattr(viewer.canvas.grid, name, value)
        for name, value in self.text.items():
            setattr(viewer.canvas.overlays.text, name, value)
        for layer in self.hidden:
            if layer in viewer.layers:
                layer.visible = True
        self.select(viewer)
        # With other layers napari finds another middle of what is shown; sliders stay where they are now
        for axis in viewer.dims.displayed:
            viewer.dims.set_point(axis, self.point[axis])

    def hide(self, layer: Any) -> None:
        """Hide a layer for as long as the way to look lasts."""
        if layer.visible:
            layer.visible = False
            self.hidden.append(layer)

    def select(self, viewer: ViewerModel) -> None:
        """Select what was selected."""
        selected = [layer for layer in self.selected if layer in viewer.layers]
        if [real_layer(layer) for layer in viewer.layers.selection] != selected:
            viewer.layers.selection = selected


class Looker(QObject):
    """Shows the two picked layers in one way or another, and gives the view back as it found it.

    What it shows are layers of its own, which share the data of the two. Nothing of it is left when it ends, and what
    the user changed meanwhile stays changed. `changed` tells that there is another way, or none, and `moved` that only
    the line of a swipe or the picture of a blink is another.
    """

    changed = Signal()
    moved = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        find_pair: Callable[[], tuple[Image, Image, Frame] | None],
        find_results: Callable[[], Mapping[str, Any]],
        dock: QWidget,
    ) -> None:
        super().__init__(dock)
        self._dock = dock
        self.way = ""
        self.message = ""
        self.which = 0
        """Which image a blink shows: 0 before, 1 after."""
        self.cut = 0.5
        """Where the line of a swipe is, from the left or the top of the canvas (0) to the other end (1)."""
        self.across = False
        """Whether that line lies across the canvas, and not up and down."""
        self.tile = 64
        """Side of a tile of the checkerboard, in pixels of the image."""
        self._viewer = viewer
        self._find_pair = find_pair
        self._find_results = find_results
        self._comparison: Comparison | None = None
        self._label = 0
        self._found: _Found | None = None
        self._pair: tuple[Image, Image, Frame] | None = None
        self._layers: list[Layer] = []
        self._links: list[list[Layer]] = []
        self._mixing: mixing.Mixing | None = None
        self._listener = LayerListener(SHOWN, self._renew)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.flip)
        self._drag = _line_listener(weakref.ref(self))

    @property
    def blinking(self) -> bool:
        """Whether a timer shows the two in turns."""
        return self._timer.isActive()

    def toggle(self, way: str) -> None:
        """Look in this way, or no longer."""
        if self.way == way:
            self.leave()
        else:
            self.enter(way)

    def enter(self, way: str) -> None:
        """Look in this way instead of the one until now; `message` says why that cannot be, if it cannot."""
        pair = self._find_pair()
        same = self._mixing is not None and {self.way, way} <= PAINTS.keys() - {"signed"}
        if not same:
            self.leave()
        self.message = self._find_obstacle(way, pair)
        if self.message or pair is None:
            self.leave()
            self.changed.emit()
            return
        self.way, self.which = way, 0
        self._timer.stop()
        if self._mixing is not None:
            # Another mixture of the same two takes its place in the same layer
            self._mixing.replace(self._mixing.sides, PAINTS[way])
            self._mix_anew()
        else:
            self._found, self._pair = _Found.of(self._viewer), pair
            try:
                self._show(way, *pair)
            except Exception:
                self.leave()
                raise
            self._listen()
        self.changed.emit()

    def leave(self) -> None:
        """Give the view back."""
        if self._found is None:
            return
        found, self._found = self._found, None
        self.way, self._pair, self._mixing = "", None, None
        self._timer.stop()
        self._rest()
        for pair in self._links:
            self._viewer.layers.unlink_layers(pair)
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layers, self._links = [], []
        if self._dock.isVisible():
            # napari 0.9.2 with vispy 0.17 crashes where a layer is hidden after two were taken out and none was drawn
            self._viewer.screenshot(canvas_only=True, flash=False)
        found.restore(self._viewer)
        self.changed.emit()

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Give the view back, and look in the same way again afterwards, at what has come meanwhile."""
        way, which, interval = self.way, self.which, self._timer.interval() if self.blinking else 0
        self.leave()
        yield
        if way and not self.way:
            self.enter(way)
            if which != self.which:
                self.flip()
            if interval:
                self._timer.start(interval)

    def sync(self) -> None:
        """Leave where the layers are gone that it shows, or others are picked."""
        gone = any(layer not in self._viewer.layers for layer in self._layers)
        if self._layers and self._found is not None and (gone or self._find_pair() != self._pair):
            self.leave()

    def show(self, comparison: Comparison | None) -> None:
        """Take the boxes of this result, if it shows any of its own."""
        self._comparison, self._label = comparison, 0
        if comparison is None or self._pair is None:
            return
        for layer in self._layers:
            if "label" in getattr(layer, "features", ()):
                redraw(layer, outline(comparison, self._viewer.dims.ndisplay))
                _mark(layer, 0)

    def mark(self, label: int) -> None:
        """Mark the box of a region, 0 is none."""
        self._label = label
        for layer in self._layers:
            if "label" in getattr(layer, "features", ()):
                _mark(layer, label)

    def flip(self) -> None:
        """Show the other image, if they are shown in turns."""
        if self.way != "blink":
            return
        self.which = 1 - self.which
        self._mix_anew()
        self.moved.emit()

    def blink(self, rate: float) -> None:
        """Show the two in turns, so many of them a second; 0 ends that."""
        if rate > 0:
            self._timer.start(round(1000 / rate))
        else:
            self._timer.stop()
        self.changed.emit()

    def hold(self) -> Callable[[], None] | None:
        """Show the other image; return what shows the first one again, for a key that was held and is let go."""
        if self.way != "blink":
            self.enter("blink")
            return None
        self.flip()
        return self.flip

    def swipe_to(self, cut: float) -> None:
        """Move the line of the swipe."""
        self.cut = float(np.clip(cut, 0, 1))
        self._mix_anew()
        self.moved.emit()

    def turn(self, across: bool) -> None:
        """Lay the line of the swipe across the canvas, or up and down."""
        self.across = across
        self._mix_anew()
        self.changed.emit()

    def resize_tiles(self, tile: int) -> None:
        """Give the tiles of the checkerboard another side, in pixels of the image."""
        self.tile = max(1, tile)
        self._mix_anew()

    def is_near_line(self, place: tuple[float, float]) -> bool:
        """Return whether a place in the canvas (x, y, in its pixels) is on the line of the swipe."""
        axis = int(self.across)
        return self.way == "swipe" and abs(place[axis] - self.cut * self._viewer.canvas.size[1 - axis]) <= REACH

    def _find_obstacle(self, way: str, pair: tuple[Image, Image, Frame] | None) -> str:
        if pair is None:
            return "Pick two images to look at first."
        if way == "side_by_side":
            return ""
        ndim = max(pair[0].ndim, pair[1].ndim)
        planes = {self._viewer.dims.ndim - ndim + axis for axis in (ndim - 2, ndim - 1)}
        if set(self._viewer.dims.displayed) != planes:
            return "This way to look shows planes: switch to the 2-D view, with rows and columns."
        if way == "signed" and pair[0].rgb != pair[1].rgb:
            return "One of the two is gray and the other in colour: they cannot be subtracted. Take the overlay."
        return ""

    def _show(self, way: str, before: Image, after: Image, frame: Frame) -> None:
        found, viewer = self._found, self._viewer
        assert found is not None
        results = self._find_results()
        boxes = [results[role] for role in ("bounding boxes", "forgiven") if role in results]
        seen = [layer for layer in boxes if layer.visible]
        if way == "side_by_side":
            boxes_seen = [layer for layer in seen if layer is results.get("bounding boxes")]
            made = self._lay_side_by_side(before, after, next(iter(boxes_seen), None))
            index, kept = len(viewer.layers), []
        else:
            made = self._make_mixture(way, before, after, frame)
            index, kept = min((viewer.layers.index(layer) for layer in seen), default=len(viewer.layers)), seen
        for layer in found.layers:
            if layer not in kept:
                found.hide(layer)
        for place, layer in enumerate(made, index):
            lend(layer)
            viewer.layers.insert(place, layer)
        self._layers = made
        for pair in self._links:
            viewer.layers.link_layers(pair, FOLLOWED)
        found.select(viewer)
        if way == "side_by_side":
            grid = viewer.canvas.grid
            grid.shape, grid.spacing = (1, 2), 0
            # From the top of the list, which is the left tile, downwards
            grid.stride, grid.enabled = -(len(made) // 2), True
        else:
            viewer.canvas.grid.enabled = False
            self._mix_anew()
        self._fit_lines()

    def _lay_side_by_side(self, before: Image, after: Image, boxes: Any) -> list[Layer]:
        """Return the layers of the two tiles, the right one's first, with the boxes of a layer as lines."""
        made: list[Layer] = []
        for name, layer in (("after", after), ("before", before)):
            copy = copy_of(layer, f"{name}: {layer.name}")
            self._links.append([layer, copy])
            copy.name_overlay.visible = True
            made.append(copy)
            if boxes is not None and self._comparison is not None:
                lines = outline(self._comparison, self._viewer.dims.ndisplay)
                made.append(draw_outline(lines, f"{name}: boxes", transforms_of(boxes)))
                _mark(made[-1], self._label)
        return made

    def _make_mixture(self, way: str, before: Image, after: Image, frame: Frame) -> list[Layer]:
        from napari.layers import Image

        self._mixing, where = mix(before, after, frame, PAINTS[way], self._find_join(0, 1))
        levels: Any = self._mixing.make_levels()
        name = f"{before.name} and {after.name}"
        if way == "signed":
            limit = self._find_limit(before, after)
            shades = {"colormap": mixing.SIGNED_COLORS, "contrast_limits": (-limit, limit)}
            return [Image(levels, name=name, multiscale=True, **shades, **where)]
        image = Image(levels, name=name, multiscale=True, rgb=True, **where)
        return [image, draw_line(before)]

    def _find_limit(self, before: Image, after: Image) -> float:
        """Return the signed difference shown in full colour: twice what a region has, or a quarter of the contrast."""
        regions = None if self._comparison is None else self._comparison.regions
        if regions is not None and len(regions):
            most = float(np.nanmax(np.abs(regions["after_mean"] - regions["before_mean"])))
            if most > 0:
                return 2 * most
        spans = [255.0 if layer.rgb else float(np.ptp(layer.contrast_limits)) for layer in (before, after)]
        return max(spans) / 4 or 1.0

    def _mix_anew(self) -> None:
        """Show the mixture as the controls have it."""
        if self._mixing is None or self._pair is None:
            return
        cut, axis = self._find_cut()
        self._mixing.join = self._find_join(cut, axis)
        self._layers[0].refresh(**QUICK)
        for line in self._layers[1:]:
            wanted = self.way == "swipe" and self._needs_line()
            if line.visible != wanted:
                line.visible = wanted
            if wanted:
                self._put_line(line, cut, axis)
        self._say_what()

    def _needs_line(self) -> bool:
        """Return whether the pixels of the image are too large on the screen for a column of them to be the line.

        A line of its own costs more than the picture.
        """
        return bool(self._layers) and self._find_width(self._layers[0]) < EDGE_ON_SCREEN / LARGEST_PIXEL

    def _put_line(self, line: Any, cut: int, axis: int) -> None:
        """Lay the line of a swipe where before ends, as wide on the screen as ever."""
        mixture: Any = self._layers[0]
        for name, value in place_line(mixture, cut, axis, self._find_width(mixture)).items():
            if not np.array_equal(getattr(line, name), value):
                setattr(line, name, value)

    def _find_join(self, cut: int, axis: int) -> mixing.Join:
        """Return how the two are mixed, as the controls have it, with the line of a swipe at a row or column."""
        ways: dict[str, mixing.Join] = {
            "blink": partial(mixing.show, which=self.which),
            "swipe": partial(mixing.swipe, cut=cut, axis=axis, line=not self._needs_line()),
            "overlay": mixing.overlay,
            "signed": mixing.signed,
            "checkerboard": partial(mixing.checkerboard, tile=self.tile),
        }
        return ways[self.way]

    def _say_what(self) -> None:
        """Write into the canvas which image is where."""
        assert self._pair is not None
        names = dict(zip(("before", "after"), (layer.name for layer in self._pair[:2]), strict=True))
        text = self._viewer.canvas.overlays.text
        name = ("before", "after")[self.which]
        says = f"{name}: {names[name]}" if self.way == "blink" else WAYS[self.way].caption.format(**names)
        if (text.text, text.position, text.visible) != (says, "top_left", True):
            text.text, text.position, text.visible = says, "top_left", True

    def _find_cut(self) -> tuple[int, int]:
        """Return the first row or column of after where the line of the swipe is, and which of the two it is."""
        if self.way != "swipe" or self._mixing is None:
            return 0, 1
        viewer, layer = self._viewer, self._layers[0]
        place = list(viewer.dims.point)
        camera, size = viewer.scene.camera, viewer.canvas.size
        share = (self.cut, 0.5) if self.across else (0.5, self.cut)
        ways = [1 if name in ("down", "right") else -1 for name in map(str, camera.orientation2d)]
        for axis, center, part, length, way in zip(
            viewer.dims.displayed, camera.center[-2:], share, size, ways, strict=True
        ):
            place[axis] = center + way * (part - 0.5) * length / camera.zoom
        axis = viewer.dims.displayed[0 if self.across else 1] - (viewer.dims.ndim - 2)
        where = layer.world_to_data(place)[layer.ndim - 2 + axis] + 0.5
        return int(np.clip(round(where), 0, self._mixing.shape[axis - 2])), axis

    def _renew(self, event: Any = None) -> None:
        """Take the two as they are now."""
        if self._mixing is not None and self._pair is not None:
            self._mixing.replace(sides_between(*self._pair), self._mixing.paint)
            self._layers[0].refresh(**QUICK)

    def _follow_view(self, event: Any = None) -> None:
        """Keep lines as wide on the screen as they are, and the line of the swipe in its place there."""
        if self._pair is None or self._find_obstacle(self.way, self._pair):
            # The view is about to become another, and this way ends
            return
        self._fit_lines()
        if self.way == "swipe":
            self._mix_anew()

    def _fit_lines(self) -> None:
        for layer in self._layers:
            if hasattr(layer, "edge_width"):
                lines: Any = layer
                lines.edge_width = self._find_width(layer)

    def _find_width(self, layer: Layer) -> float:
        """Return how many pixels of a layer are as wide as lines are on the screen."""
        here, there = (layer.data_to_world((*(0,) * (layer.ndim - 1), column)) for column in (0, 1))
        pixel = float(np.linalg.norm(np.subtract(there, here))) * self._viewer.scene.camera.zoom
        return float(max(EDGE_ON_SCREEN / max(pixel, 1e-12), 1e-3))

    def _end_if_unfit(self, event: Any) -> None:
        """End where the view has become one in which one cannot look so."""
        if self._pair is not None and self._find_obstacle(self.way, self._pair):
            self.leave()

    def _listen(self) -> None:
        viewer = self._viewer
        if self._mixing is not None and self._pair is not None:
            self._listener.follow(dict.fromkeys(self._pair[:2]))
        for event in (viewer.scene.camera.events.zoom, viewer.scene.camera.events.center):
            event.connect(self._follow_view)
        for event in (viewer.dims.events.ndisplay, viewer.dims.events.order):
            event.connect(self._end_if_unfit)
        viewer.mouse_drag_callbacks.insert(0, self._drag)

    def _rest(self) -> None:
        viewer = self._viewer
        self._listener.follow(())
        for event in (viewer.scene.camera.events.zoom, viewer.scene.camera.events.center):
            event.disconnect(self._follow_view)
        for event in (viewer.dims.events.ndisplay, viewer.dims.events.order):
            event.disconnect(self._end_if_unfit)
        if self._drag in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._drag)


def _mark(lines: Any, label: int) -> None:
    """Draw the box of a region in another colour than all others."""
    from napari.utils.colormaps.standardize_color import transform_color

    if len(lines.data):
        colors = np.repeat(np.asarray(transform_color(BOX_COLOR)), len(lines.data), axis=0)
        colors[lines.features["label"].to_numpy() == label] = transform_color(MARK_COLOR)[0]
        lines.edge_color = colors


def _line_listener(looker: weakref.ref[Looker]) -> Callable[[Any, Any], Iterator[None]]:
    """Return what drags the line of the swipe: the viewer keeps it alive, so it holds the looker weakly."""

    def on_drag(viewer: Any, event: Any) -> Iterator[None]:
        here = looker()
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
