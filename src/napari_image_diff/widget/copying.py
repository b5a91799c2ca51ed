"""Copy: the table, or what was done as Python code, by a menu."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtGui import QAction, QGuiApplication
from qtpy.QtWidgets import QMenu

from ..placing import frame_compared, masks_compared
from ..scripting import write_for_console, write_script

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .exporting import Shown
    from .panel import Panel

__all__ = ["COPIES", "Copier"]

TABLE, CONSOLE, SCRIPT = COPIES = "Table", "Python for napari's console", "Python for a script"


class Copier(QObject):
    """Has the menu of a button, and puts what is asked for there on the clipboard."""

    def __init__(
        self,
        panel: Panel,
        viewer: ViewerModel,
        find_shown: Callable[[], Shown | None],
        say: Callable[[str], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._find_shown = find_shown
        self._say = say
        menu = QMenu(panel.copy_button)
        menu.setToolTipsVisible(True)
        for title, help_, write in (
            (TABLE, "The table as it stands, to paste it into a spreadsheet.", panel.table.as_text),
            (
                CONSOLE,
                "What was done, as lines that do it again in napari's console.",
                partial(self._write, write_for_console),
            ),
            (
                SCRIPT,
                "What was done, as a script that needs no napari: it reads the files of the layers, or says in its "
                "first lines how to save what is in no file.",
                partial(self._write, write_script),
            ),
        ):
            action = menu.addAction(title)
            assert action is not None
            action.setToolTip(help_)
            action.triggered.connect(partial(self.copy, title, write))
        panel.copy_button.setMenu(menu)
        of_table = QAction("Copy table", panel.table)
        of_table.triggered.connect(partial(self.copy, TABLE, panel.table.as_text))
        panel.table.addAction(of_table)

    def copy(self, title: str, write: Callable[[], str], *_: object) -> None:
        """Put on the clipboard what is written, and say so."""
        clipboard = QGuiApplication.clipboard()
        if self._find_shown() is not None and clipboard is not None:
            clipboard.setText(write())
            self._say(f"{title} copied.")

    def _write(self, write: Callable[..., str]) -> str:
        shown = self._find_shown()
        assert shown is not None
        comparison, *layers = shown
        how: dict[str, Any] = {
            "frame": frame_compared(self._viewer, *layers),
            "masks": masks_compared(self._viewer, *layers),
        }
        return write(comparison, *layers, **how)
