"""The result follows its controls: cut anew while they move, boxes drawn when they are at rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from .controls import LiveControls
from .running import Runs
from .work import Result, rethreshold

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from ..comparison import Comparison

__all__ = ["Cutter"]


class Cutter(QObject):
    """Cuts a comparison where the controls are: one run at a time, the latest wish wins.

    `cut` hands over a result, and `again` asks to follow once more, because the controls have moved meanwhile.
    """

    cut = Signal(object)
    progressed = Signal(int, int)
    again = Signal()
    failed = Signal(str)

    def __init__(
        self, controls: LiveControls, runs: Runs, find_layers: Callable[[], Mapping[str, Layer]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._controls = controls
        self._runs = runs
        self._find_layers = find_layers
        self._stale = False
        self.slow = False
        self._hidden_boxes: Layer | None = None

    @property
    def running(self) -> bool:
        """Whether a cut is under way."""
        return "rethreshold" in self._runs

    def follow(self, comparison: Comparison, before: Image, after: Image) -> None:
        """Cut the comparison where the controls are now."""
        # Images that are read in parts are read again: not at each step of a slider
        if comparison.pyramid is not None and self._controls.dragging:
            return
        if self.running:
            self._stale = True
            return
        if self._controls.dragging:
            self._hide_boxes()
        asked = self._controls.values
        boxes_wait = self._hidden_boxes is not None and not self._controls.dragging
        if boxes_wait or any(getattr(comparison.settings, name) != value for name, value in asked.items()):
            function = partial(rethreshold, comparison, asked, before, after)
            run = self._runs.begin("rethreshold", function, self._take, self.failed.emit)
            self.slow = comparison.pyramid is not None
            if self.slow:
                run.progressed.connect(self.progressed)

    def drop(self) -> None:
        """Give up the cut under way."""
        self._runs.cancel("rethreshold")
        self._stale = False
        self._show_boxes()

    def _take(self, result: Result) -> None:
        """Hand over regions cut anew; boxes, which take long to draw, come back only when the slider is at rest."""
        del self._runs["rethreshold"]
        self.cut.emit(result)
        if not self._controls.dragging:
            self._show_boxes()
        if self._stale:
            self._stale = False
            self.again.emit()

    def _hide_boxes(self) -> None:
        boxes = self._find_layers().get("bounding boxes")
        if boxes is not None and boxes.visible:
            self._hidden_boxes = boxes
            boxes.visible = False

    def _show_boxes(self) -> None:
        if self._hidden_boxes is not None:
            self._hidden_boxes.visible = True
            self._hidden_boxes = None
