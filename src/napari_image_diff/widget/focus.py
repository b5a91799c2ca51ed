"""A frame round the control that has the focus: napari's style shows it of few."""

from __future__ import annotations

from qtpy.QtWidgets import QApplication, QFocusFrame, QProxyStyle, QStyle, QStyleOption, QWidget

__all__ = ["FocusFrame"]

# Seen on the ground of either theme
COLOR = "#1e90ff"


class FocusFrame(QFocusFrame):
    """Goes to whatever has the focus in a widget, and is hidden where nothing there has it."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._inside = widget
        # Qt does not keep the style of a widget alive
        self._tight = _Tight()
        self.setStyle(self._tight)
        self.setStyleSheet(f"QFocusFrame {{border: 2px solid {COLOR}; border-radius: 2px}}")
        application = QApplication.instance()
        assert isinstance(application, QApplication)
        application.focusChanged.connect(self._follow)

    def _follow(self, old: QWidget | None, new: QWidget | None) -> None:
        self.setWidget(new if new is not None and self._inside.isAncestorOf(new) else None)


class _Tight(QProxyStyle):
    """The style in use, but for frames that lie on their widget, since round it is no room for them."""

    def pixelMetric(
        self, metric: QStyle.PixelMetric, option: QStyleOption | None = None, widget: QWidget | None = None
    ) -> int:
        """Return a measure of the style, in pixels."""
        if metric in (QStyle.PixelMetric.PM_FocusFrameHMargin, QStyle.PixelMetric.PM_FocusFrameVMargin):
            return 0
        return super().pixelMetric(metric, option, widget)
