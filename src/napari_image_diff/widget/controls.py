"""The controls that move with the result: threshold and minimum area."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QDoubleSlider

from ..settings import Settings, describe_fields

__all__ = ["LiveControls", "WheelGuard"]


# Where the threshold by hand begins before a result has given one
UNKNOWN_THRESHOLD = 0.5


class LiveControls(QWidget):
    """Threshold, as a slider with a number and an Auto box, and minimum area.

    `changed` tells of every change by the user; with `dragging`, more will follow, and `released` ends them.
    """

    changed = Signal()
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.slider = QDoubleSlider(Qt.Orientation.Horizontal)
        self.number = _number("threshold", decimals=3)
        # The slider is there for steps; without buttons the number fits a narrow dock
        self.number.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.auto = QCheckBox("Auto (Otsu)")
        self.min_area = _number("min_area", decimals=1)
        self._describe()
        self._lay_out()
        self.reset()
        self.slider.valueChanged.connect(self._take_number)
        self.number.valueChanged.connect(self._take_number)
        self.auto.toggled.connect(self._toggle)
        self.min_area.valueChanged.connect(self.changed)
        self.slider.sliderReleased.connect(self.released)

    @property
    def threshold(self) -> Literal["otsu"] | float:
        """The setting: a number, or the word for the automatic one."""
        return "otsu" if self.auto.isChecked() else self.number.value()

    @property
    def dragging(self) -> bool:
        """Whether the user holds the slider."""
        return self.slider.isSliderDown()

    def reset(self) -> None:
        """Go back to the defaults."""
        self.show_settings(Settings())
        self.changed.emit()

    def show_settings(self, settings: Settings) -> None:
        """Show the values of `settings`, without telling of a change."""
        with QSignalBlocker(self.auto), QSignalBlocker(self.min_area):
            self.auto.setChecked(settings.threshold == "otsu")
            self.min_area.setValue(settings.min_area)
        self.show_number(0.0 if settings.threshold == "otsu" else settings.threshold)

    def show_number(self, threshold: float) -> None:
        """Show the threshold that was used, without telling of a change."""
        # With Auto, there is no number before the first result
        self.number.setSpecialValueText("auto" if self.auto.isChecked() else "")
        with QSignalBlocker(self.slider), QSignalBlocker(self.number):
            self.number.setValue(threshold)
            if not self.dragging:
                self.slider.setValue(threshold)

    def _toggle(self, auto: bool) -> None:
        """Go on by hand from the automatic number; before the first result from one half."""
        self.show_number(self.number.value() if auto or self.number.value() else UNKNOWN_THRESHOLD)
        self.changed.emit()

    def _take_number(self, threshold: float) -> None:
        """Follow the slider or the number that the user moved: they ask for a number, not the automatic one."""
        with QSignalBlocker(self.auto):
            self.auto.setChecked(False)
        self.show_number(threshold)
        self.changed.emit()

    def _describe(self) -> None:
        help_of = {name: metadata["help"] for name, (_, metadata) in describe_fields().items()}
        metadata = describe_fields()["threshold"][1]
        self.slider.setRange(metadata["min"], metadata["max"])
        self.slider.setSingleStep(metadata["step"])
        self.slider.setPageStep(50 * metadata["step"])
        self.slider.setToolTip(f"Drag to set the threshold; the regions follow. {help_of['threshold']}")
        self.number.setToolTip(help_of["threshold"])
        self.auto.setToolTip("Find the threshold by Otsu's rule from the histogram of the difference.")
        self.min_area.setToolTip(help_of["min_area"])

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(_row(QLabel("Threshold"), self.auto, self.number))
        column.addWidget(self.slider)
        column.addLayout(_row(QLabel("Minimum area"), self.min_area))


class WheelGuard(QObject):
    """Lets the wheel scroll the dock instead of changing a value that the pointer happens to cross."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Hold back wheel events from controls without the focus."""
        if event is None or event.type() != QEvent.Type.Wheel or not isinstance(watched, QWidget):
            return False
        if watched.hasFocus():
            return False
        event.ignore()
        return True

    def watch(self, *widgets: QWidget) -> None:
        """Guard these controls; they take the focus by a click or by Tab only."""
        for widget in widgets:
            widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            widget.installEventFilter(self)


def _number(name: str, decimals: int) -> QDoubleSpinBox:
    metadata = describe_fields()[name][1]
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(metadata["min"], metadata["max"])
    box.setSingleStep(metadata["step"])
    # While "0.4" is typed, "0." is not meant
    box.setKeyboardTracking(False)
    # Qt asks for the width of the largest number there may be, which a narrow dock has not
    box.setMinimumWidth(64)
    return box


def _row(*widgets: QWidget) -> QHBoxLayout:
    """Return widgets side by side, of which the last takes the room that is left."""
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, int(widget is widgets[-1]))
    return row
