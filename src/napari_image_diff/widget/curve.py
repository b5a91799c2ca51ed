"""A curve over the frames of a stack: how much of each changed, and its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

if TYPE_CHECKING:
    from ..comparison import Comparison

__all__ = ["FrameCurve"]

HEIGHT, MARGIN = 56, 4

HELP = (
    "The frames from the first to the last: bars show how much of each changed, the line its score (high = alike). "
    "Click to go to a frame; arrow keys go from one to the next."
)


class FrameCurve(QWidget):
    """Shows all frames of a stack and which one is on the screen; empty and hidden for a single pair."""

    picked = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.scores: NDArray[np.float64] = np.empty(0)
        self.fractions: NDArray[np.float64] = np.empty(0)
        self.current = -1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Frames")
        self.setVisible(False)

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Show the frames of this comparison; nothing if it has none."""
        frames = () if comparison is None else comparison.frames
        self.scores = np.array([frame.score for frame in frames], np.float64)
        self.fractions = np.array([frame.changed_fraction for frame in frames])
        self.setVisible(len(frames) > 1)
        self.update()

    def show_current(self, frame: int) -> None:
        """Mark the frame that is on the screen; -1 is none."""
        if frame != self.current:
            self.current = frame
            self.update()

    def frame_at(self, x: float) -> int:
        """Return the frame at a horizontal place in the widget, the nearest if it lies beside."""
        step = max(self.width() - 2 * MARGIN, 1) / max(len(self.scores), 1)
        return int(np.clip((x - MARGIN) // step, 0, len(self.scores) - 1))

    def describe(self, frame: int) -> str:
        """Say in a line how a frame is."""
        return f"Frame {frame}: score {self.scores[frame]:.4f}, {self.fractions[frame]:.2%} changed"

    def sizeHint(self) -> QSize:
        """Return how large it wants to be."""
        return QSize(200, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Return how small it may be."""
        return QSize(60, HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars, line and mark."""
        count = len(self.scores)
        if not count:
            return
        area = QRectF(self.rect()).adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        step = area.width() / count
        palette = self.palette()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if 0 <= self.current < count:
            mark = QRectF(area.left() + self.current * step, 0, max(step, 2), self.height())
            painter.fillRect(mark, palette.color(QPalette.ColorRole.Highlight))
        bars = palette.color(QPalette.ColorRole.WindowText)
        bars.setAlphaF(0.45)
        heights = _share_of(self.fractions, 0.0) * area.height()
        for frame in np.flatnonzero(heights > 0).tolist():
            height = max(heights[frame], 2.0)
            painter.fillRect(
                QRectF(area.left() + frame * step, area.bottom() - height, max(0.8 * step, 1), height), bars
            )
        painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 1.5))
        tops = area.bottom() - _share_of(self.scores, np.nan) * area.height()
        points = [QPointF(area.left() + (frame + 0.5) * step, top) for frame, top in enumerate(tops) if top == top]
        painter.drawPolyline(QPolygonF(points))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Go to the frame under the pointer."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton and len(self.scores):
            self.picked.emit(self.frame_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Follow the pointer while it is held down."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton and len(self.scores):
            self.picked.emit(self.frame_at(event.position().x()))

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go to a neighbour with the arrow keys; leave all others to the viewer."""
        by = 0 if event is None else (event.key() == Qt.Key.Key_Right) - (event.key() == Qt.Key.Key_Left)
        if by and len(self.scores):
            self.picked.emit(int(np.clip(self.current + by, 0, len(self.scores) - 1)))
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent | None) -> bool:
        """Say how the frame under the pointer is."""
        if isinstance(event, QHelpEvent) and len(self.scores):
            QToolTip.showText(event.globalPos(), f"{self.describe(self.frame_at(event.pos().x()))}\n{HELP}", self)
            return True
        return super().event(event)


def _share_of(values: NDArray[np.float64], low: float) -> NDArray[np.float64]:
    """Return where values lie between `low` (the least of them if NaN) and the greatest, 0 to 1; 1 if all are one."""
    known = values[np.isfinite(values)]
    least = low if low == low else known.min(initial=1.0)
    span = known.max(initial=least) - least
    share: NDArray[np.float64] = (values - least) / span if span > 0 else np.where(values > low, 1.0, 0.0)
    return share
