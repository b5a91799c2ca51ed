"""Which two layers: the Before and After pickers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QPushButton, QWidget

from ..layers import is_result, real_layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["LayerPickers"]


class LayerPickers(QWidget):
    """Two lists of the Image layers of a viewer, without our own results.

    They hold on to layers, not to names: magicgui's lists lose the choice when a layer is renamed.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._offered: list[Image] = []
        self._before, self._after = QComboBox(), QComboBox()
        self.swap_button = QPushButton("Swap")
        self.swap_button.setToolTip("Exchange Before and After.")
        self._lay_out()
        for box in self.boxes:
            box.currentIndexChanged.connect(self._tell)
        self.swap_button.clicked.connect(self.swap)
        self.refresh()

    @property
    def boxes(self) -> tuple[QComboBox, QComboBox]:
        """The two lists."""
        return self._before, self._after

    @property
    def before(self) -> Image | None:
        """The layer picked as before."""
        return self._picked(self._before)

    @property
    def after(self) -> Image | None:
        """The layer picked as after."""
        return self._picked(self._after)

    @property
    def offered(self) -> Sequence[Image]:
        """The layers that can be picked, from the lowest in the layer list up."""
        return tuple(self._offered)

    def refresh(self) -> None:
        """Follow the layer list; what was picked stays picked as long as it is there."""
        before, after = self.before, self.after
        self._offered = [layer for layer in map(real_layer, self._viewer.layers) if _is_offered(layer)]
        before = before if before in self._offered else None
        after = after if after in self._offered else None
        if before is None:
            before = next((layer for layer in self._suggested() if layer is not after), None)
        if after is None:
            after = next((layer for layer in self._suggested() if layer is not before), None)
        self.pick(before, after)

    def pick(self, before: Image | None, after: Image | None) -> None:
        """Show these two as picked."""
        with QSignalBlocker(self._before), QSignalBlocker(self._after):
            for box, layer in (self._before, before), (self._after, after):
                box.clear()
                box.addItems([offered.name for offered in self._offered])
                box.setCurrentIndex(self._offered.index(layer) if layer in self._offered else -1)
        self.swap_button.setEnabled(len(self._offered) > 1)
        self._tell()

    def pick_selected(self) -> bool:
        """Pick the two layers selected in the layer list, the lower as before; return whether there are just two."""
        selected = self._selected()
        if len(selected) != 2:
            return False
        self.pick(*selected)
        return True

    def swap(self) -> None:
        """Exchange before and after."""
        self.pick(self.after, self.before)

    def _tell(self) -> None:
        """Tell of a change; long names, which a narrow dock cuts off, are whole in the tooltips."""
        self._before.setToolTip(f"The image as it was.\n{self._before.currentText()}".strip())
        self._after.setToolTip(f"The image to look for changes in.\n{self._after.currentText()}".strip())
        self.changed.emit()

    def _picked(self, box: QComboBox) -> Image | None:
        index = box.currentIndex()
        return self._offered[index] if 0 <= index < len(self._offered) else None

    def _suggested(self) -> list[Image]:
        """Return the layers in the order in which to fall back on them: two that are selected, or all, from below."""
        selected = self._selected()
        return selected if len(selected) == 2 else self._offered

    def _selected(self) -> list[Image]:
        return [layer for layer in self._offered if layer in self._viewer.layers.selection]

    def _lay_out(self) -> None:
        for box in self.boxes:
            # A long layer name must not widen the dock
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        for row, (title, box) in enumerate(zip(("Before", "After"), self.boxes, strict=True)):
            label = QLabel(title)
            label.setBuddy(box)
            grid.addWidget(label, row, 0)
            grid.addWidget(box, row, 1)
        grid.addWidget(self.swap_button, 0, 2, 2, 1)


def _is_offered(layer: Image) -> bool:
    return type(layer).__name__ == "Image" and not is_result(layer)
