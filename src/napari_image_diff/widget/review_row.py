"""The row of the dock that says what a person makes of the marked region."""

from __future__ import annotations

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QHBoxLayout, QLineEdit, QPushButton, QWidget

from ..verdicts import LONGEST_NOTE, NOT_REAL, OPEN, REAL, Verdict

__all__ = ["ReviewRow"]

HELPS: dict[Verdict, str] = {
    REAL: "The marked region is a real change; go to the next one that is open.",
    NOT_REAL: "The marked region is no real change; go to the next one that is open.",
    OPEN: "The marked region is to be looked at again.",
}


class ReviewRow(QWidget):
    """A button for each verdict, of which that of the marked region is down, and a line for a note.

    `left` tells that the user is done with the note: Enter keeps it, Escape gives up what was typed.
    """

    left = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.buttons: dict[Verdict, QPushButton] = {}
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for verdict, help_ in HELPS.items():
            button = self.buttons[verdict] = QPushButton(verdict.capitalize())
            button.setToolTip(help_)
            button.setCheckable(True)
            row.addWidget(button)
        self.note = _Note()
        self.note.setPlaceholderText("Note")
        self.note.setToolTip("A note on the marked region; Enter keeps it, Escape gives up what was typed.")
        self.note.returnPressed.connect(self.left)
        self.note.escaped.connect(self._give_up)
        self._known = ""
        self.note.setMaxLength(LONGEST_NOTE)
        row.addWidget(self.note, 1)
        for widget in self.buttons.values():
            # Three of them and the note stand side by side in a narrow dock
            widget.setStyleSheet("padding: 3px 4px")
        self.show_region("", "")

    def show_region(self, verdict: str, note: str) -> None:
        """Show verdict and note of a region; without a verdict there is none."""
        for each, button in self.buttons.items():
            button.setChecked(each == verdict)
            button.setEnabled(bool(verdict))
        self.note.setEnabled(bool(verdict))
        self._known = note
        if self.note.text() != note:
            with QSignalBlocker(self.note):
                self.note.setText(note)

    def _give_up(self) -> None:
        self.note.setText(self._known)
        self.note.setModified(False)
        self.left.emit()


class _Note(QLineEdit):
    """A line that tells of Escape, too."""

    escaped = Signal()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Tell of Escape."""
        if event is not None and event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        else:
            super().keyPressEvent(event)
