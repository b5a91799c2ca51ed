"""Which layers: the pickers of the two images, and of what of them counts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QPushButton, QWidget

from ..geometry import array_of, real_layer
from ..masks import MASKS
from ..placing import Frame, is_ours
from .controls import make_title
from .viewing import frame_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["LayerListener", "LayerPickers"]

NOTHING, OUTSIDE = "nothing", "outside "

# Of a stack, a frame may be before
FIRST, PREVIOUS, SHOWN = "first frame of ", "previous frame of ", "shown frame of "
FRAMES = (FIRST, PREVIOUS, SHOWN)


class LayerPickers(QWidget):
    """Lists of the layers of a viewer, without our own results: images for before and after, masks for what counts."""

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._alone = False
        self._before = _LayerBox(
            "The image as it was. Of a stack, one frame may be compared with all of After, or each with the last.",
            ("", *FRAMES),
        )
        self._after = _LayerBox("The image to look for changes in.")
        self.ignore = _LayerBox(
            "What is not compared: what lies under some labels or shapes, or all outside them. "
            "They count where they lie over Before.",
            (NOTHING, "", OUTSIDE),
        )
        self.swap_button = QPushButton("Swap")
        self.swap_button.setToolTip("Exchange Before and After.")
        self._lay_out()
        for box in (*self.boxes, self.ignore):
            box.currentIndexChanged.connect(self._tell)
        self.swap_button.clicked.connect(self.swap)
        self.refresh()

    @property
    def boxes(self) -> tuple[_LayerBox, _LayerBox]:
        """The lists of the two images."""
        return self._before, self._after

    @property
    def before(self) -> Image | None:
        """The layer picked as before."""
        return self._before.layer

    @property
    def after(self) -> Image | None:
        """The layer picked as after."""
        return self._after.layer

    @property
    def way(self) -> str:
        """In which way before is picked: the whole layer, "", or one of `FRAMES`."""
        return self._before.way

    @property
    def frame(self) -> Frame:
        """Which frame of before is picked, None for the whole layer."""
        layer, way = self.before, self.way
        if layer is None or way not in FRAMES:
            return None
        if way == SHOWN:
            return int(np.clip(frame_of(self._viewer, layer)[0], 0, len(array_of(layer)) - 1))
        return "previous" if way == PREVIOUS else 0

    @property
    def picked_mask(self) -> dict[str, Any]:
        """The layer picked for what counts, under the name that it has for `compare`: "ignore" or "inside"."""
        layer = self.ignore.layer
        return {} if layer is None else {"inside" if self.ignore.way == OUTSIDE else "ignore": layer}

    @property
    def offered(self) -> Sequence[Image]:
        """The images that can be picked, from the lowest in the layer list up."""
        return tuple(self._before.layers)

    def refresh(self) -> None:
        """Follow the layer list; what was picked stays picked as long as it is there."""
        layers = [layer for layer in map(real_layer, self._viewer.layers) if not is_ours(layer)]
        images = [layer for layer in layers if type(layer).__name__ == "Image"]
        dimensions = {2, *(layer.ndim for layer in images)}
        masks = [layer for layer in layers if type(layer).__name__ in MASKS and layer.ndim in dimensions]
        before = self.before if self.before in images else None
        after = self.after if self.after in images else None
        if before is None:
            before = next((layer for layer in self._suggest(images) if layer is not after), None)
        way = self.way
        if len(images) > 1:
            if self._alone and way == FIRST:
                after, way = None, ""
            self._alone = False
        if after is None:
            after = next((layer for layer in self._suggest(images) if layer is not before), None)
        if after is None and before is not None and before.ndim > 2:
            # A stack alone is compared with itself, until there is another image
            after, way, self._alone = before, way or FIRST, True
        self.ignore.offer(masks, self.ignore.layer, self.ignore.way)
        self._offer(images, before, after, way)

    def pick(self, before: Image | None, after: Image | None, way: str = "") -> None:
        """Show these two as picked."""
        self._offer(self._before.layers, before, after, way)

    def pick_ignored(self, mask: Any) -> None:
        """Show this layer as picked for what is ignored."""
        self.ignore.offer(self.ignore.layers, mask)
        self._tell()

    def pick_selected(self) -> bool:
        """Pick the two layers selected in the layer list, the lower as before; return whether there are just two."""
        selected = self._selected(self._before.layers)
        if len(selected) != 2:
            return False
        self.pick(*selected)
        return True

    def swap(self) -> None:
        """Exchange before and after."""
        self.pick(self.after, self.before)

    def _offer(self, images: list[Any], before: Image | None, after: Image | None, way: str) -> None:
        self._before.offer(images, before, way)
        self._after.offer(images, after)
        self.swap_button.setEnabled(len(images) > 1)
        self._tell()

    def _tell(self) -> None:
        for box in (*self.boxes, self.ignore):
            box.describe()
        self.changed.emit()

    def _suggest(self, images: list[Any]) -> list[Any]:
        """Return the layers in the order in which to fall back on them: two that are selected, or all, from below."""
        selected = self._selected(images)
        return selected if len(selected) == 2 else images

    def _selected(self, images: list[Any]) -> list[Any]:
        return [layer for layer in images if layer in self._viewer.layers.selection]

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        titles = {"Before": self._before, "After": self._after, "Ignore": self.ignore}
        for row, (title, box) in enumerate(titles.items()):
            label = make_title(title)
            label.setBuddy(box)
            grid.addWidget(label, row, 0)
            grid.addWidget(box, row, 1, 1, 1 if box in self.boxes else 2)
        grid.addWidget(self.swap_button, 0, 2, 2, 1)
        for one, other in itertools.pairwise((*self.boxes, self.swap_button, self.ignore)):
            QWidget.setTabOrder(one, other)


class _LayerBox(QComboBox):
    """A list of layers. It holds on to layers, not to names: magicgui's lists lose the choice on a renaming.

    There may be several ways to pick a layer, each with words to put before its name; `NOTHING` is to pick none.
    """

    def __init__(self, help_: str, ways: tuple[str, ...] = ("",)) -> None:
        super().__init__()
        self._help, self._ways = help_, ways
        self._entries: list[tuple[str, Any]] = []
        # A long layer name must not widen the dock
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)

    @property
    def layers(self) -> list[Any]:
        """The layers that can be picked."""
        return list(dict.fromkeys(layer for _, layer in self._entries if layer is not None))

    @property
    def layer(self) -> Any:
        """The layer picked, None for none."""
        return self._entries[self.currentIndex()][1] if self.currentIndex() >= 0 else None

    @property
    def way(self) -> str:
        """How it is picked."""
        return self._entries[self.currentIndex()][0] if self.currentIndex() >= 0 else ""

    def offer(self, layers: Iterable[Any], picked: Any, way: str = "") -> None:
        """Offer these layers, and show one of them as picked, without telling of it."""
        self._entries = [(NOTHING, None)] if NOTHING in self._ways else []
        given = [(words, layer) for words in self._ways if words != NOTHING for layer in layers]
        self._entries += [(words, layer) for words, layer in given if words not in FRAMES or layer.ndim > 2]
        with QSignalBlocker(self):
            self.clear()
            self.addItems([words + ("" if layer is None else layer.name) for words, layer in self._entries])
            unpicked = 0 if NOTHING in self._ways else -1
            # A layer that has no frames any more stays picked as it is
            places = [self._entries.index(entry) for entry in ((way, picked), ("", picked)) if entry in self._entries]
            self.setCurrentIndex(places[0] if places else unpicked)

    def describe(self) -> None:
        """Bring the tooltip up to date: it has long names, which a narrow dock cuts off, in full."""
        self.setToolTip(f"{self._help}\n{self.currentText()}".strip())


class LayerListener:
    """Hears of what happens to a few layers: of those events that they have."""

    def __init__(self, events: Iterable[str], hear: Callable[[Any], None]) -> None:
        self._events, self._hear = tuple(events), hear
        self._layers: list[Any] = []

    def follow(self, layers: Iterable[Any]) -> None:
        """Listen to these layers, None among them left out, and no longer to others."""
        for layer in self._layers:
            for emitter in self._emitters(layer):
                emitter.disconnect(self._hear)
        self._layers = [layer for layer in layers if layer is not None]
        for layer in self._layers:
            for emitter in self._emitters(layer):
                emitter.connect(self._hear)

    def _emitters(self, layer: Any) -> list[Any]:
        return [layer.events[name] for name in self._events if name in layer.events.emitters]
