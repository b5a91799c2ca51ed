"""Looking at the two images: side by side, in turns, swiped, overlaid; and the view as it was found afterwards."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, Qt, QTimer, Signal
from qtpy.QtWidgets import QWidget

from .. import mixing
from ..geometry import real_layer, same_value
from ..looks import (
    Pair,
    explain_obstacle,
    find_limit,
    grid_of,
    lay_mixture,
    lay_tiles,
    mark,
    mix,
    outline,
    place_in,
    redraw,
    sides_between,
)
from ..placing import EDGE_ON_SCREEN, lend
from ..reading import explain
from .pickers import LayerListener
from .restoring import View
from .swiping import Cut, drag_listener, find_cut, find_width, is_near, needs_line, put_line

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from ..comparison import Comparison

__all__ = ["WAYS", "Looker", "Way"]


class Way(NamedTuple):
    """A way to look at two images."""

    title: str
    help: str
    caption: str = ""
    """What the canvas says meanwhile, with the names of the layers."""
    paint: mixing.Paint | None = None
    """Of a mixture: what is made of either image before they are joined."""


WAYS = {
    "side_by_side": Way("Side", "Before and after side by side, moved and zoomed as one."),
    "blink": Way(
        "Blink",
        "Before and after in turns: each press shows the other one; hold it for a glance.",
        "{shown}",
        mixing.colour,
    ),
    "swipe": Way(
        "Swipe",
        "Before on one side of a line and after on the other; drag the line.",
        "{first}: {before}, {second}: {after}",
        mixing.colour,
    ),
    "overlay": Way(
        "Overlay",
        "Both at once: gray where they are equally bright, magenta where before is brighter, green where after is.",
        "magenta: {before}, green: {after}",
        mixing.level,
    ),
    "signed": Way(
        "Signed",
        "After - before: green where after is greater, magenta where it is less, black where they are the same.",
        "{after} - {before}: green more, magenta less",
        mixing.gray,
    ),
    "checkerboard": Way(
        "Tiles",
        "Before and after in the tiles of a checkerboard: edges that do not go on show a shift.",
        "tiles of {before} and {after}",
        mixing.colour,
    ),
}

# Those that are made of the same: one takes the place of another in the same layer
MIXED_ALIKE = {name for name, way in WAYS.items() if way.paint not in (None, mixing.gray)}

# What a copy of a layer shows as that does, also when it changes
FOLLOWED = ("contrast_limits", "gamma", "colormap", "interpolation2d", "interpolation3d")
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")

# What changes how a mixture looks
SHOWN = ("data", "set_data", "name", *FOLLOWED[:3], *PLACE)

# Tiles of the checkerboard along the shorter side of the canvas, at first
TILES = 8

# What a swipe changes: the canvas is drawn again, and no thumbnail
QUICK: dict[str, Any] = {"thumbnail": False, "highlight": False, "extent": False}

# Who looks at what is in a viewer, told by its id: one at a time
_lookers: weakref.WeakValueDictionary[int, Looker] = weakref.WeakValueDictionary()


class Looker(QObject):
    """Shows the two picked layers in one way or another, and gives the view back as it found it.

    What it shows are layers of its own, which share the data of the two. Nothing of it is left when it ends, and what
    the user changed meanwhile stays changed. `changed` tells that there is another way, or none, and `moved` that only
    the line of a swipe or the picture of a blink is another.
    """

    changed = Signal()
    moved = Signal()
    _stumbled = Signal(str)

    def __init__(
        self,
        viewer: ViewerModel,
        find_pair: Callable[[], Pair | None],
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
        self.tile = 0
        """Side of a tile of the checkerboard, in pixels of the image; 0 until it is first looked at."""
        self._viewer = viewer
        self._find_pair = find_pair
        self._find_results = find_results
        self._comparison: Comparison | None = None
        self._label = 0
        self._found: View | None = None
        self._pair: Pair | None = None
        # The way in which one could not look
        self._refused = ""
        self._layers: list[Layer] = []
        # Whether the message is of what could not be read
        self._unread = False
        self._mixing: mixing.Mixing | None = None
        self._where: dict[str, Any] = {}
        self._listener = LayerListener(SHOWN, self._renew)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.flip)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._settle)
        # Pictures may be worked out on other threads
        self._stumbled.connect(self._say_trouble, Qt.ConnectionType.QueuedConnection)
        self._drag = drag_listener(weakref.ref(self))

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
        same = self._mixing is not None and pair == self._pair and {self.way, way} <= MIXED_ALIKE
        if not same:
            self.leave()
        self.message = self._find_obstacle(way, pair)
        self._refused = way if self.message else ""
        if self.message or pair is None:
            self.leave()
            self.changed.emit()
            return
        self.way, self.which = way, 0
        self._timer.stop()
        if way == "checkerboard" and not self.tile:
            self.tile = self._find_tile(pair.before)
        if self._mixing is not None:
            # Another mixture of the same two takes its place in the same layer
            self._mixing.replace(self._mixing.sides, WAYS[way].paint or mixing.colour)
            self._mix_anew()
        else:
            key = id(real_layer(self._viewer))
            if (other := _lookers.get(key)) is not None:
                other.leave()
            _lookers[key] = self
            self._found, self._pair = View(self._viewer), pair
            try:
                self._show(way, pair)
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
        if self._unread:
            self.message, self._unread = "", False
        made, self._layers = self._layers, []
        self.way, self._pair, self._mixing = "", None, None
        _lookers.pop(id(real_layer(self._viewer)), None)
        self._timer.stop()
        self._later.stop()
        self._rest()
        found.take_out(made)
        if self._dock.isVisible():
            # napari 0.9.2 with vispy 0.17 crashes where a layer is hidden after two were taken out and none was drawn
            self._viewer.screenshot(canvas_only=True, flash=False)
        found.restore()
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
        """Follow the layers: end where some are gone that it shows, or others are picked."""
        if self._refused and not self._find_obstacle(self._refused, self._find_pair()):
            self.message, self._refused = "", ""
        if self._is_over() or (self._found is not None and self._find_pair() != self._pair):
            self.settle()

    def settle(self) -> None:
        """Look again at what there is, or no longer, when what happens now is done: napari is in the midst of it."""
        if self._found is not None:
            self._later.start(0)

    def show(self, comparison: Comparison | None) -> None:
        """Take the boxes of this result, if it shows any of its own."""
        self._comparison, self._label = comparison, 0
        if comparison is None or self._pair is None:
            return
        for layer in self._layers:
            if "label" in getattr(layer, "features", ()):
                redraw(layer, outline(comparison, self._viewer.dims.ndisplay))
                mark(layer, 0)

    def mark(self, label: int) -> None:
        """Mark the box of a region, 0 is none."""
        self._label = label
        for layer in self._layers:
            if "label" in getattr(layer, "features", ()):
                mark(layer, label)

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
        return self.way == "swipe" and is_near(self._viewer, place, self.cut, self.across)

    def _is_over(self) -> bool:
        """Return whether layers are gone that it shows, or others are picked."""
        pair, gone = self._find_pair(), any(layer not in self._viewer.layers for layer in self._layers)
        others = self._pair is None or pair is None or pair[:2] != self._pair[:2]
        return self._found is not None and (gone or others)

    def _settle(self) -> None:
        if self._is_over() or not self._dock.isVisible():
            self.leave()
        elif self._found is not None:
            with self.set_aside():
                pass

    def _find_obstacle(self, way: str, pair: Pair | None) -> str:
        if pair is None:
            return "Pick two images to look at first."
        if way == "side_by_side":
            return ""
        ndim = max(pair.before.ndim, pair.after.ndim)
        planes = {self._viewer.dims.ndim - ndim + axis for axis in (ndim - 2, ndim - 1)}
        if set(self._viewer.dims.displayed) != planes:
            return "This way to look shows planes: switch to the 2-D view, with rows and columns."
        if way == "signed" and pair.before.rgb != pair.after.rgb:
            return "One of the two is gray and the other in colour: they cannot be subtracted. Take the overlay."
        return explain_obstacle(pair)

    def _show(self, way: str, pair: Pair) -> None:
        found, viewer = self._found, self._viewer
        assert found is not None
        results = self._find_results()
        boxes = [results[role] for role in ("bounding boxes", "forgiven") if role in results]
        seen = [layer for layer in boxes if layer.visible]
        if way == "side_by_side":
            boxes_seen = [layer for layer in seen if layer is results.get("bounding boxes")]
            made = self._lay_tiles(pair, next(iter(boxes_seen), None))
            index, kept = len(viewer.layers), []
        else:
            made = self._lay_mixture(way, pair)
            index, kept = min((viewer.layers.index(layer) for layer in seen), default=len(viewer.layers)), seen
        for layer in found.layers:
            if layer not in kept:
                found.hide(layer)
        for place, layer in enumerate(made, index):
            lend(layer)
            viewer.layers.insert(place, layer)
            # All of them are taken out again, whatever goes wrong
            self._layers.append(layer)
        found.keep_selection()
        if way == "side_by_side":
            each = len(made) // 2
            for link in zip((pair.after, pair.before), made[::each], strict=True):
                viewer.layers.link_layers(link, FOLLOWED)
            # From the top of the list, which is the left tile, downwards
            found.set_grid(shape=(1, 2), spacing=0, stride=-each, enabled=True)
        else:
            found.set_grid(enabled=False)
            self._mix_anew()
        self._fit_lines()

    def _lay_tiles(self, pair: Pair, boxes: Any) -> list[Layer]:
        """Return the layers of the two tiles, with the boxes of a layer, if there is one, as lines."""
        lines = None
        if boxes is not None and self._comparison is not None:
            lines = outline(self._comparison, self._viewer.dims.ndisplay)
        made = lay_tiles(pair, boxes, lines)
        for layer in made[1::2] if lines is not None else ():
            mark(layer, self._label)
        return made

    def _lay_mixture(self, way: str, pair: Pair) -> list[Layer]:
        paint = WAYS[way].paint
        assert paint is not None
        self._mixing, self._where = mix(pair, paint, self._find_join(Cut()))
        self._mixing.report = self._report
        where = place_in(self._where, self._viewer.layers.extent.units)
        return lay_mixture(pair, self._mixing, where, find_limit(pair, self._comparison))

    def _find_tile(self, before: Image) -> int:
        """Return a side of tiles of which some are in sight at the zoom that there is, in pixels of the image."""
        pixels = min(self._viewer.canvas.size) * find_width(self._viewer, before) / EDGE_ON_SCREEN
        return int(2 ** np.clip(round(np.log2(pixels / TILES)), 2, 12))

    def _mix_anew(self) -> None:
        """Show the mixture as the controls have it."""
        if self._mixing is None or self._pair is None:
            return
        viewer, mixture = self._viewer, self._layers[0]
        cut = find_cut(viewer, mixture, self.cut, self.across) if self.way == "swipe" else Cut()
        self._mixing.join = self._find_join(cut)
        mixture.refresh(**QUICK)
        for line in self._layers[1:]:
            wanted = self.way == "swipe" and needs_line(viewer, mixture)
            if line.visible != wanted:
                line.visible = wanted
            if wanted:
                put_line(viewer, line, mixture, cut)
        self._say_what(cut)

    def _find_join(self, cut: Cut) -> mixing.Join:
        """Return how the two are mixed, as the controls have it."""
        drawn = bool(self._layers) and needs_line(self._viewer, self._layers[0])
        ways: dict[str, mixing.Join] = {
            "blink": partial(mixing.show, which=self.which),
            "swipe": partial(mixing.swipe, cut=cut.place, axis=cut.axis, line=not drawn),
            "overlay": mixing.overlay,
            "signed": mixing.signed,
            "checkerboard": partial(mixing.checkerboard, tile=self.tile),
        }
        return ways[self.way]

    def _say_what(self, cut: Cut) -> None:
        """Write into the canvas which image is where."""
        assert self._pair is not None
        assert self._found is not None
        before, after = (layer.name for layer in self._pair[:2])
        ends = ("above", "below") if self.across else ("left", "right")
        first, second = ends if cut.ascends else ends[::-1]
        shown = (f"before: {before}", f"after: {after}")[self.which]
        caption = WAYS[self.way].caption
        self._found.say(caption.format(before=before, after=after, first=first, second=second, shown=shown))

    def _renew(self, event: Any) -> None:
        """Take the two as they are now."""
        pair = self._pair
        if pair is None:
            return
        if self._mixing is None:
            self._renew_copy(pair, event)
            return
        grid = grid_of(pair)
        alike = grid.shape == self._mixing.shape and all(
            same_value(value, self._where[name]) for name, value in grid.where.items()
        )
        if not alike or explain_obstacle(pair):
            self.settle()
            return
        self._mixing.replace(sides_between(pair), self._mixing.paint)
        self._mix_anew()

    def _renew_copy(self, pair: Pair, event: Any) -> None:
        """Let the copy of a layer in its tile follow it; what is linked does so by itself."""
        source = real_layer(event.source)
        copies: list[Any] = [layer for layer in self._layers if hasattr(layer, "contrast_limits")]
        for copy, layer in zip(copies, (pair.after, pair.before), strict=False):
            unlike = copy.ndim != source.ndim or copy.multiscale != source.multiscale
            if layer is not source:
                continue
            if event.type in ("name", *PLACE) or (event.type == "data" and unlike):
                self.settle()
            elif event.type == "data":
                copy.data = source.data
            elif event.type == "set_data":
                copy.refresh()

    def _report(self, error: Exception) -> None:
        self._stumbled.emit(explain(error))

    def _say_trouble(self, words: str) -> None:
        self.message = f"A part of the images could not be read: {words}."
        self._unread = True
        self.changed.emit()

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
                lines.edge_width = find_width(self._viewer, layer)

    def _end_if_unfit(self, event: Any) -> None:
        """End where the view has become one in which one cannot look so."""
        if self._pair is not None and self._find_obstacle(self.way, self._pair):
            self.leave()

    def _end_if_mixed_up(self, event: Any) -> None:
        """End where layers of others come between those of the tiles: these come from positions in the list."""
        if self.way == "side_by_side" and getattr(event, "value", None) not in self._layers:
            self._pair = None
            self.settle()

    def _listen(self) -> None:
        viewer = self._viewer
        if self._pair is not None:
            self._listener.follow(dict.fromkeys(self._pair[:2]))
        for event, hear in self._list_events():
            event.connect(hear)
        viewer.mouse_drag_callbacks.insert(0, self._drag)

    def _rest(self) -> None:
        viewer = self._viewer
        self._listener.follow(())
        for event, hear in self._list_events():
            event.disconnect(hear)
        if self._drag in viewer.mouse_drag_callbacks:
            viewer.mouse_drag_callbacks.remove(self._drag)

    def _list_events(self) -> list[tuple[Any, Callable[[Any], None]]]:
        """Return what happens in the viewer that matters, and who hears of it."""
        viewer = self._viewer
        camera, dims, layers = viewer.scene.camera.events, viewer.dims.events, viewer.layers.events
        return [
            *((event, self._follow_view) for event in (camera.zoom, camera.center)),
            *((event, self._end_if_unfit) for event in (dims.ndisplay, dims.order)),
            *((event, self._end_if_mixed_up) for event in (layers.inserted, layers.reordered)),
        ]
