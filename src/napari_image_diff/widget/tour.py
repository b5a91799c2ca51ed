"""Going through the regions of a result, in the table and in the canvas together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from .table import RegionTable, describe_region
from .viewing import BoxMark, go_to, region_at

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from ..comparison import Comparison

__all__ = ["RegionTour"]


class RegionTour(QObject):
    """Keeps the marked row of the table and the marked region in the canvas the same one.

    `moved` tells that another region, or none, is marked.
    """

    moved = Signal()

    def __init__(
        self, viewer: ViewerModel, table: RegionTable, find_layers: Callable[[], dict[str, Any]], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._table = table
        self._find_layers = find_layers
        self._comparison: Comparison | None = None
        self._mark = BoxMark()
        table.picked.connect(self._go)

    def show(self, comparison: Comparison | None) -> None:
        """Go through the regions of this result from now on; none is marked."""
        self.unmark()
        self._comparison = comparison
        self._table.show_regions(None if comparison is None else comparison.regions)
        self.moved.emit()

    def renew(self, comparison: Comparison) -> None:
        """Show the same regions with other columns; what is marked stays so."""
        self._comparison = comparison
        self._table.show_regions(comparison.regions, self._table.label)
        self.moved.emit()

    def unmark(self) -> None:
        """Give the marked box its own look back, as before its layer is changed."""
        self._mark.remove()

    def go_next(self) -> None:
        """Go to the next row of the table."""
        self._table.step(1)

    def go_previous(self) -> None:
        """Go to the previous row of the table."""
        self._table.step(-1)

    def _go(self, label: int) -> None:
        """Show a region in the canvas and mark it there."""
        layers = self._find_layers()
        if self._comparison is None or not layers:
            return
        go_to(self._viewer, next(iter(layers.values())), _region(self._comparison, label))
        self._point_out(label, layers)

    def pick_at(self, position: tuple[float, ...]) -> None:
        """Mark the region that was clicked in the canvas, and its row."""
        layers = self._find_layers()
        seen = [layers[role] for role in ("filled mask", "bounding boxes") if role in layers and layers[role].visible]
        if self._comparison is None or not seen:
            return
        label = region_at(self._comparison, seen[0], position)
        if label:
            self._table.mark(label)
            self._point_out(label, layers)

    def _point_out(self, label: int, layers: dict[str, Any]) -> None:
        self._mark.put(layers.get("bounding boxes"), label)
        if "filled mask" in layers:
            layers["filled mask"].selected_label = label
        if self._comparison is not None:
            self._viewer.status = describe_region(_region(self._comparison, label)) or ""
        self.moved.emit()


def _region(comparison: Comparison, label: int) -> pd.Series[Any]:
    """Return the row of a region in its table."""
    return comparison.regions.iloc[int(comparison.regions["label"].searchsorted(label))]
