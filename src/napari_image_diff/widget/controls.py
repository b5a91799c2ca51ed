"""The controls that move with the result: threshold, sensitivity and minimum area."""

from __future__ import annotations

import math
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QWidget
from superqt import QDoubleSlider

from ..settings import Settings, describe_fields

__all__ = ["LiveControls", "WheelGuard", "make_title"]

# What `threshold` may be: a word, or a number, which has no word in the settings
RULES = ("auto", "otsu", "number")

# Where the threshold by hand begins before a result has given one
UNKNOWN_THRESHOLD = 0.5

TITLE_WIDTH = 76

DECIMALS = {"sensitivity": 2, "threshold": 3, "min_area": 1}


class LiveControls(QWidget):
    """The rule of the threshold, a slider with a number for its sensitivity or its value, and minimum area.

    `changed` tells of every change by the user; with `dragging`, more will follow, and `released` ends them.
    """

    changed = Signal()
    released = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rule = QComboBox()
        self.rule.addItems([rule.capitalize() for rule in RULES])
        self.slider = _Slider(Qt.Orientation.Horizontal)  # type: ignore[no-untyped-call]
        self.number = _number("threshold")
        self.min_area = _number("min_area")
        self.min_area.setSpecialValueText("any area")
        self.min_area.setPrefix("area > ")
        self.min_area.setAccessibleName("Minimum area")
        self._title = make_title("")
        self._numbers = {"sensitivity": 1.0, "threshold": 0.0}
        self._describe()
        self._lay_out()
        self.show_settings(Settings())
        self.rule.currentIndexChanged.connect(self._take_rule)
        self.slider.valueChanged.connect(lambda place: self._take(10**place if self._name == "sensitivity" else place))
        self.number.valueChanged.connect(self._take)
        self.min_area.valueChanged.connect(self.changed)
        self.slider.sliderReleased.connect(self.released)

    @property
    def values(self) -> dict[str, Any]:
        """The settings as they stand here."""
        rule = RULES[self.rule.currentIndex()]
        return {
            "threshold": self._numbers["threshold"] if rule == "number" else rule,
            "sensitivity": self._numbers["sensitivity"],
            "min_area": self.min_area.value(),
        }

    @property
    def dragging(self) -> bool:
        """Whether the user holds the slider."""
        return self.slider.isSliderDown()

    def show_settings(self, settings: Settings) -> None:
        """Show the values of `settings`, without telling of a change."""
        rule = settings.threshold if isinstance(settings.threshold, str) else "number"
        self._numbers["sensitivity"] = settings.sensitivity
        if not isinstance(settings.threshold, str):
            self._numbers["threshold"] = settings.threshold
        with QSignalBlocker(self.rule), QSignalBlocker(self.min_area):
            self.rule.setCurrentIndex(RULES.index(rule))
            self.min_area.setValue(settings.min_area)
        self._show()

    def show_otsu(self, threshold: float) -> None:
        """Show the number that Otsu's rule found, without telling of a change."""
        self._numbers["threshold"] = round(threshold, DECIMALS["threshold"])
        self._show()

    @property
    def _name(self) -> str:
        """The setting that the slider and the number are there for."""
        return "sensitivity" if RULES[self.rule.currentIndex()] == "auto" else "threshold"

    def _take_rule(self) -> None:
        """Go on by hand from Otsu's number; before the first result from one half."""
        if RULES[self.rule.currentIndex()] == "number":
            self._numbers["threshold"] = self._numbers["threshold"] or UNKNOWN_THRESHOLD
        self._show()
        self.changed.emit()

    def _take(self, number: float) -> None:
        """Follow the slider or the number that the user moved; who moves Otsu's threshold asks for a number."""
        self._numbers[self._name] = round(number, DECIMALS[self._name])
        if self._name == "threshold":
            with QSignalBlocker(self.rule):
                self.rule.setCurrentIndex(RULES.index("number"))
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        """Show the number that belongs to the rule, on its own scale."""
        name = self._name
        value, metadata = self._numbers[name], describe_fields()[name][1]
        scale = math.log10 if name == "sensitivity" else float
        self._title.setText(metadata["label"] if name == "sensitivity" else metadata["unit"])
        with QSignalBlocker(self.slider), QSignalBlocker(self.number):
            self.number.setDecimals(DECIMALS[name])
            self.number.setRange(metadata["min"], metadata["max"])
            self.number.setSingleStep(metadata["step"])
            # Otsu has no number before the first result
            self.number.setSpecialValueText("?" if self.values["threshold"] == "otsu" else "")
            self.number.setValue(value)
            self.number.setToolTip(metadata["help"])
            self.slider.setToolTip(f"Drag, and the regions follow. {metadata['help']}")
            if not self.dragging:
                ends = scale(metadata["min"]), scale(metadata["max"])
                self.slider.setRange(*ends)
                self.slider.setSingleStep((ends[1] - ends[0]) / 100)
                self.slider.setPageStep((ends[1] - ends[0]) / 10)
                self.slider.setValue(scale(value))

    def _describe(self) -> None:
        self.rule.setToolTip(describe_fields()["threshold"][1]["help"])
        self.min_area.setToolTip(describe_fields()["min_area"][1]["help"])

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, (title, widget, number) in enumerate(
            ((make_title("Threshold"), self.rule, self.min_area), (self._title, self.slider, self.number))
        ):
            grid.addWidget(title, row, 0)
            grid.addWidget(widget, row, 1)
            grid.addWidget(number, row, 2)


class _Slider(QDoubleSlider):
    """A slider of superqt, whose sliders of numbers hear no keys (0.9, _generic_slider.py), with those of Qt."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Go a step with the arrows, a larger one with Page Up and Down, and to either end with Home and End."""
        key, step, page = event.key() if event is not None else None, self.singleStep(), self.pageStep()
        steps = {
            Qt.Key.Key_Left: -step,
            Qt.Key.Key_Down: -step,
            Qt.Key.Key_Right: step,
            Qt.Key.Key_Up: step,
            Qt.Key.Key_PageDown: -page,
            Qt.Key.Key_PageUp: page,
            Qt.Key.Key_Home: self.minimum() - self.value(),
            Qt.Key.Key_End: self.maximum() - self.value(),
        }
        if key in steps:
            self.setValue(self.value() + steps[Qt.Key(key)])
        else:
            super().keyPressEvent(event)


def make_title(text: str) -> QLabel:
    """Return the title of a row, as wide as the others, so that what they belong to begins in one line."""
    title = QLabel(text)
    title.setMinimumWidth(TITLE_WIDTH)
    return title


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


def _number(name: str) -> QDoubleSpinBox:
    metadata = describe_fields()[name][1]
    box = QDoubleSpinBox()
    box.setDecimals(DECIMALS[name])
    box.setRange(metadata["min"], metadata["max"])
    box.setSingleStep(metadata["step"])
    # Without buttons it fits a narrow dock; arrow keys and the slider are there for steps
    box.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    # While "0.4" is typed, "0." is not meant
    box.setKeyboardTracking(False)
    # Qt asks for the width of the largest number there may be, which a narrow dock has not
    box.setMinimumWidth(60)
    return box
