"""The controls that move with the result: threshold and minimum area."""

from __future__ import annotations

from typing import Literal

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QGridLayout, QLabel, QWidget
from superqt import QDoubleSlider

from ..settings import Settings, describe_fields

__all__ = ["LiveControls", "WheelGuard"]


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
        self.auto.toggled.connect(self.changed)
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
        self.slider.setToolTip(f"Drag to set the threshold; the regions follow. {help_of['threshold']}")
        self.number.setToolTip(help_of["threshold"])
        self.auto.setToolTip("Find the threshold by Otsu's rule from the histogram of the difference.")
        self.min_area.setToolTip(help_of["min_area"])

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(2, 1)
        grid.addWidget(QLabel("Threshold"), 0, 0)
        grid.addWidget(self.auto, 0, 1)
        grid.addWidget(self.number, 0, 2)
        grid.addWidget(self.slider, 1, 0, 1, 3)
        grid.addWidget(QLabel("Minimum area"), 2, 0)
        grid.addWidget(self.min_area, 2, 1, 1, 2)


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
    return box
