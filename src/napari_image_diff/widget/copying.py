"""Copy: the table, or what was done as Python code, by a menu."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QMenu, QPushButton

from ..placing import frame_compared, masks_compared
from ..scripting import write_for_console, write_script

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .exporting import Shown

__all__ = ["COPIES", "Copier"]

TABLE, CONSOLE, SCRIPT = COPIES = "Table", "Python for napari's console", "Python for a script"


class Copier(QObject):
    """Has the menu of a button, and puts what is asked for there on the clipboard."""

    def __init__(
        self,
        button: QPushButton,
        viewer: ViewerModel,
        find_shown: Callable[[], Shown | None],
        copy_table: Callable[[], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._find_shown = find_shown
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        for title, help_, copy in (
            (TABLE, "The table as it stands, to paste it into a spreadsheet.", copy_table),
            (
                CONSOLE,
                "What was done, as lines that do it again in napari's console.",
                partial(self._copy, write_for_console),
            ),
            (
                SCRIPT,
                "What was done, as a script that needs no napari: it reads the files of the layers, or says in its "
                "first lines how to save what is in no file.",
                partial(self._copy, write_script),
            ),
        ):
            action = menu.addAction(title)
            assert action is not None
            action.setToolTip(help_)
            action.triggered.connect(lambda *_, copy=copy: copy())
        button.setMenu(menu)

    def _copy(self, write: Callable[..., str]) -> None:
        shown, clipboard = self._find_shown(), QGuiApplication.clipboard()
        if shown is None or clipboard is None:
            return
        comparison, *layers = shown
        how: dict[str, Any] = {
            "frame": frame_compared(self._viewer, *layers),
            "masks": masks_compared(self._viewer, *layers),
        }
        clipboard.setText(write(comparison, *layers, **how))
