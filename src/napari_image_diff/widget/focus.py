"""A frame round the control that has the focus: napari's style shows it of few."""

from __future__ import annotations

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QApplication, QWidget

__all__ = ["COLOR", "FocusFrame"]

# Seen on the ground of either theme
COLOR = "#1e90ff"

WIDTH = 2


class FocusFrame(QWidget):
    """Lies on whatever has the focus in a widget, and is hidden where nothing there has it.

    Qt's own QFocusFrame lies round a control, where there is no room, and draws nothing in most styles.
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._inside = widget
        self._on: QWidget | None = None
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._follow)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the frame."""
        painter = QPainter(self)
        painter.setPen(QPen(QColor(COLOR), WIDTH))
        # A pen draws half of its width to either side
        half = WIDTH // 2
        painter.drawRect(self.rect().adjusted(half, half, -half, -half))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Go with the control."""
        if event is not None and event.type() in (QEvent.Type.Move, QEvent.Type.Resize) and self._on is not None:
            self.setGeometry(self._on.geometry())
        return False

    def _follow(self, old: QWidget | None, new: QWidget | None) -> None:
        if self._on is not None and isalive(self._on):
            self._on.removeEventFilter(self)
        self._on = new if new is not None and self._inside.isAncestorOf(new) else None
        self.setVisible(self._on is not None)
        if self._on is not None:
            self._on.installEventFilter(self)
            # Where it moves, the frame moves, too
            self.setParent(self._on.parentWidget())
            self.setGeometry(self._on.geometry())
            self.show()
            self.raise_()
