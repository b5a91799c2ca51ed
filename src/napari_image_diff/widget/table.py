"""The table of regions: one row a region, sortable, with next and previous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from qtpy.QtGui import QContextMenuEvent, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QMenu, QTableView

from ..filtering import find_rows
from ..world import name_unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RegionModel", "RegionTable", "describe_region"]


class Column(NamedTuple):
    """How a column of the regions is shown."""

    header: str
    help: str


# The order is that of interest: a narrow dock shows the first few. Columns not named here follow under their own name.
COLUMNS = {
    "label": Column("Label", "Number of the region: its value in the filled mask"),
    "frame": Column("Frame", "Index of the frame, from 0"),
    "verdict": Column("Verdict", "What you decided: open, real or not real"),
    "kind": Column("Kind", "What kind of change it is; hold the pointer over a row to read why"),
    "area": Column("Area", "Pixels of the region (of volumes voxels), holes filled"),
    "physical_area": Column("Area ({area_unit})", "Area of the region in the viewer, of volumes its volume"),
    "evidence_max": Column("Evidence", "Largest evidence in the region: 1 is what noise and edges explain at most"),
    "difference_max": Column("Max", "Largest difference (1 - SSIM) in the region"),
    "difference_mean": Column("Mean", "Mean difference (1 - SSIM) in the region"),
    "centroid_plane": Column("Plane", "Plane of the centre, from 0"),
    "centroid_row": Column("Row", "Row of the centre, in pixels"),
    "centroid_col": Column("Column", "Column of the centre, in pixels"),
    "physical_plane": Column("Plane ({unit})", "Where the centre is in the viewer"),
    "physical_row": Column("Row ({unit})", "Where the centre is in the viewer"),
    "physical_col": Column("Column ({unit})", "Where the centre is in the viewer"),
    "before_mean": Column("Before", "Mean intensity of the before image in the region"),
    "after_mean": Column("After", "Mean intensity of the after image in the region"),
    "moved_rows": Column("Moved rows", "Rows by which what was here moved, downwards positive"),
    "moved_cols": Column("Moved columns", "Columns by which what was here moved, to the right positive"),
    "partner": Column("Other end", "Number of the region that what moved came from or went to; 0 is none"),
    "contour_area": Column("Contour area", "Area of the polygon round the region; minimum area is held against it"),
    "min_plane": Column("Min plane", "First plane of the box"),
    "min_row": Column("Min row", "First row of the box"),
    "min_col": Column("Min column", "First column of the box"),
    "max_plane": Column("Max plane", "Plane after the last of the box"),
    "max_row": Column("Max row", "Row after the last of the box"),
    "max_col": Column("Max column", "Column after the last of the box"),
    "evidence_mean": Column("Mean evidence", "Mean evidence in the region"),
    "note": Column("Note", "Your note on the region"),
    "reason": Column("Why", "Why it is of that kind"),
}

# A box begins with the first of them that there is
BOX_BEGINS = ("min_plane", "min_row")

# Rows that are in sight however low the dock is, beside the head and the scroll bar
LEAST_ROWS = 2


class RegionModel(QAbstractTableModel):
    """The regions of a comparison, as Qt reads them: only the rows on the screen are turned into text."""

    def __init__(self) -> None:
        super().__init__()
        self._regions: pd.DataFrame | None = None
        self._names: list[str] = []
        self._titles: dict[str, str] = {}
        # Of each of them; Qt asks for every cell ten times over, and pandas takes its time
        self._columns: list[NDArray[Any]] = []
        self._order = np.empty(0, np.intp)
        self._filter = ""
        self._sorted_by = (0, Qt.SortOrder.AscendingOrder)

    def show(self, regions: pd.DataFrame | None) -> None:
        """Show these regions, sorted as the last ones were."""
        self.beginResetModel()
        self._regions = regions
        columns = [] if regions is None else list(regions.columns)
        # The columns before the box are the leading axes
        box = [index for index, name in enumerate(columns) if name in BOX_BEGINS]
        axes = columns[1 : box[0]] if box else []
        ours = [name for name in COLUMNS if name in columns and name not in axes]
        # The unit is in the heads of the columns that are in it
        others = [name for name in columns if name not in (*COLUMNS, *axes, "unit")]
        self._names = [*ours[:1], *axes, *ours[1:], *others]
        self._titles = _find_titles(regions, self._names)
        self._columns = [] if regions is None else [regions[name].to_numpy() for name in self._names]
        self._reorder()
        self.endResetModel()

    def label_at(self, row: int) -> int:
        """Return the label of the region in a row."""
        assert self._regions is not None
        return int(self._regions["label"].iloc[self._order[row]])

    def row_of(self, label: int) -> int:
        """Return the row of a region, -1 if it has none."""
        if self._regions is None:
            return -1
        rows = np.flatnonzero(self._regions["label"].to_numpy()[self._order] == label)
        return int(rows[0]) if len(rows) else -1

    def filter(self, words: str) -> None:
        """Show the rows alone that meet a filter (see `filtering.find_rows`); raise ValueError if it is none."""
        if self._regions is not None:
            self._find_rows(words)
        self.beginResetModel()
        self._filter = words
        self._reorder()
        self.endResetModel()

    def find_next(self, row: int, name: str, value: str) -> int:
        """Return the first row after a row, round and round, with this value in a column; -1 if no other has it."""
        if self._regions is None or name not in self._names:
            return -1
        cells = self._columns[self._names.index(name)][self._order]
        others = np.roll(np.arange(len(cells)), -row - 1)
        found = others[(cells[others] == value) & (others != row)]
        return int(found[0]) if len(found) else -1

    def as_text(self) -> str:
        """Return the table as it stands, as a spreadsheet takes it from the clipboard: tabs and a header."""
        if self._regions is None:
            return ""
        text: str = self._regions.iloc[self._order].to_csv(sep="\t", index=False, lineterminator="\n")
        return text

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of regions."""
        return 0 if parent is not None and parent.isValid() else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, how it is aligned, or why its region is what it is."""
        if self._regions is None:
            return None
        region = self._order[index.row()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return describe_region(self._regions.iloc[region])
        value = self._columns[index.column()][region]
        if role == Qt.ItemDataRole.DisplayRole:
            return _as_text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if isinstance(value, str) else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the head of a column and what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._names):
            return None
        name = self._names[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{COLUMNS[name].help if name in COLUMNS else name}. Click to sort."
        return self._titles[name] if role == Qt.ItemDataRole.DisplayRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort the rows by a column."""
        self.beginResetModel()
        self._sorted_by = (column, order)
        self._reorder()
        self.endResetModel()

    def _reorder(self) -> None:
        column, order = self._sorted_by
        if self._regions is None or not 0 <= column < len(self._names):
            self._order = np.arange(0 if self._regions is None else len(self._regions))
            return
        self._order = np.argsort(self._columns[column], kind="stable")
        if order == Qt.SortOrder.DescendingOrder:
            self._order = self._order[::-1]
        if self._filter:
            try:
                rows = self._find_rows(self._filter)
            except ValueError:
                # Its columns are not there any more
                return
            self._order = self._order[rows[self._order]]

    def _find_rows(self, words: str) -> NDArray[np.bool_]:
        return find_rows(dict(zip(self._names, self._columns, strict=True)), words, self._titles)


def describe_region(region: pd.Series[Any]) -> str | None:
    """Say what kind of change a region is and why, in a line; None where only the difference was cut."""
    return f"Region {region['label']}: {region['kind']}, {region['reason']}" if "kind" in region else None


def _find_titles(regions: pd.DataFrame | None, names: list[str]) -> dict[str, str]:
    """Return the heads of the columns of these names."""
    unit = regions["unit"].iloc[0] if regions is not None and "unit" in regions and len(regions) else ""
    words = {"unit": unit or "world", "area_unit": name_unit(unit, 3 if "min_plane" in names else 2)}
    return {name: COLUMNS[name].header.format(**words) if name in COLUMNS else name for name in names}


def _as_text(value: Any) -> str:
    """Return a number with four digits, or with one after the point where it is large: positions have no exponent.

    Where there is none (of what did not move), the cell is empty.
    """
    if not isinstance(value, float):
        return str(value)
    if np.isnan(value):
        return ""
    return f"{value:.1f}" if abs(value) >= 1000 else f"{value:.4g}"


class RegionTable(QTableView):
    """The table itself. `picked` tells the label of the region that the user goes to."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._model = RegionModel()
        self._label = 0
        self.setModel(self._model)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        # Tab goes on to what comes after the table
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setToolTip("Click a region to go to it.")
        self._shape()
        self.clicked.connect(self._go)
        # A new order of rows is a reset of the model; what was marked stays marked
        self._model.modelReset.connect(lambda: self.mark(self._label))

    @property
    def label(self) -> int:
        """Label of the marked region, 0 for none."""
        return self._label

    @property
    def position(self) -> int:
        """Row of the marked region, -1 for none."""
        return self._model.row_of(self._label)

    def show_regions(self, regions: pd.DataFrame | None, label: int = 0) -> None:
        """Show the regions of a comparison, one of which is marked, or none."""
        self._label = label
        columns = self._model.columnCount()
        self._model.show(regions)
        if columns != self._model.columnCount():
            self.resizeColumnsToContents()

    def filter(self, words: str) -> None:
        """Show the regions alone that meet a filter; raise ValueError if it is none."""
        self._model.filter(words)

    @property
    def count(self) -> int:
        """How many regions meet the filter."""
        return self._model.rowCount()

    def find_next(self, name: str, value: str) -> int:
        """Return the label of the next region after the marked one with this value in a column, 0 if there is none."""
        row = self._model.find_next(self.position, name, value)
        return self._model.label_at(row) if row >= 0 else 0

    def go_to(self, label: int) -> None:
        """Go to a region."""
        self.mark(label)
        self.picked.emit(label)

    def sizeHint(self) -> QSize:
        """Ask for no more height than is needed: it gets what is left in the dock."""
        return QSize(super().sizeHint().width(), self.minimumHeight())

    def mark(self, label: int) -> None:
        """Mark the row of a region, without telling that it was picked."""
        self._label = label
        row = self._model.row_of(label)
        self.clearSelection()
        if row >= 0:
            # not column 0: what the user scrolled to stays in view
            column = max(0, self.columnAt(0))
            self.setCurrentIndex(self._model.index(row, column))

    def step(self, by: int) -> None:
        """Go `by` rows on, round and round."""
        rows = self._model.rowCount()
        if not rows:
            return
        start = self.position
        if start < 0:
            start = -1 if by > 0 else 0
        self._go(self._model.index((start + by) % rows, 0))

    def as_text(self) -> str:
        """Return the table as it stands, as a spreadsheet takes it from the clipboard."""
        return self._model.as_text()

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Offer what can be done with the region under the pointer, and go to it first."""
        viewport = self.viewport()
        if event is None or viewport is None:
            return
        index = self.indexAt(viewport.mapFromGlobal(event.globalPos()))
        if index.isValid():
            self._go(index)
            menu = QMenu(self)
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.addActions(self.actions())
            menu.popup(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go to the row that a key reaches; leave letters and signs to the viewer, where they are commands."""
        if event is not None and event.text().isprintable() and event.text().strip():
            event.ignore()
            return
        super().keyPressEvent(event)
        current = self.currentIndex()
        if current.isValid() and current.row() != self.position:
            self._go(current)

    def _shape(self) -> None:
        """Let columns be as wide as their content, rows as low as their text, and a few of them always in sight."""
        across, down = self.horizontalHeader(), self.verticalHeader()
        assert across is not None
        assert down is not None
        across.setHighlightSections(False)
        down.hide()
        height = down.minimumSectionSize()
        down.setDefaultSectionSize(height)
        self.setMinimumHeight(height * (LEAST_ROWS + 2))

    def _go(self, index: QModelIndex) -> None:
        self.go_to(self._model.label_at(index.row()))
