"""A small window with the keys as they are now."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from .keys import ACTIONS
from .preferences import WHERE

__all__ = ["KeysHelp"]

NONE = "none"

# Round the rows, in pixels
SPARE = 8


class KeysHelp(QDialog):
    """All keys of the dock and what they do. It does not hold up the window; Escape closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys of Image Difference")
        self.table = QTableWidget(len(ACTIONS), 2)
        self.table.setHorizontalHeaderLabels(["Key", "What it does"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setWordWrap(False)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        across, down = self.table.horizontalHeader(), self.table.verticalHeader()
        assert across is not None
        assert down is not None
        self._head = across
        down.hide()
        across.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        across.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        where = QLabel(f"They work when the canvas or the table has the focus: click into it. To change them: {WHERE}.")
        where.setWordWrap(True)
        column = QVBoxLayout(self)
        column.addWidget(self.table)
        column.addWidget(where)
        self.show_keys({})

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Show these keys, of each action that has one."""
        for row, (name, action) in enumerate(ACTIONS.items()):
            for column, text in enumerate((keys.get(name, NONE), action.help)):
                self.table.setItem(row, column, QTableWidgetItem(text))

    def open_window(self) -> None:
        """Show it with all rows in sight, in front."""
        self.show()
        # Only now it has the font and the margins of the theme
        height = self._head.height() + sum(map(self.table.rowHeight, range(len(ACTIONS))))
        width = self.table.sizeHintForColumn(0) + self.table.sizeHintForColumn(1)
        frame = 2 * self.table.frameWidth()
        self.table.setMinimumSize(width + frame + SPARE, height + frame + SPARE)
        self.raise_()
        self.activateWindow()
