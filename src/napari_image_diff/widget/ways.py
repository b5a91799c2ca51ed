"""The row of buttons that look at the two images in another way, and what each of these ways has to set."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QPushButton,
    QSlider,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from .looking import WAYS, Looker

__all__ = ["WayRow"]

# Of the line of a swipe
STEPS = 1000

RATE = 2.0

VALUES_HELP = "The values of the two images, and of the diff map, under the pointer in the canvas."


class WayRow(QWidget):
    """Buttons of which at most one is down, and under them the controls of the way that it stands for."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {way: _button(known.title, known.help) for way, known in WAYS.items()}
        for button in self.buttons.values():
            button.setCheckable(True)
            # Six of them stand side by side in a narrow dock
            button.setStyleSheet("padding: 3px 2px")
        self.same_contrast = QCheckBox("Same contrast")
        self.same_contrast.setToolTip(
            "Show both with the same contrast limits and gamma, and change them together; untick it, and each has its "
            "own again."
        )
        self.keys_button = _button("?", "Keys: what there is on the keyboard, and where to change it.")
        self.keys_button.setStyleSheet("padding: 3px 6px")
        self.flip_button = _button("", "Which image is shown; click for the other one.")
        self.timer_box = QCheckBox("Timer")
        self.timer_box.setToolTip("Show the two in turns by themselves.")
        self.rate = QDoubleSpinBox()
        self.rate.setToolTip("How many pictures a second the timer shows.")
        self.rate.setRange(0.2, 10)
        self.rate.setSingleStep(0.5)
        self.rate.setDecimals(1)
        self.rate.setValue(RATE)
        self.rate.setSuffix(" / s")
        self.rate.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.line = QSlider(Qt.Orientation.Horizontal)
        self.line.setToolTip("Where the line is; it can be dragged in the canvas, too.")
        self.line.setRange(0, STEPS)
        self.across_box = QCheckBox("Across")
        self.across_box.setToolTip("Lay the line across the canvas, with before above it.")
        self.tile = QSpinBox()
        self.tile.setToolTip("Side of a tile of the checkerboard, in pixels of the image.")
        self.tile.setRange(1, 100_000)
        self.tile.setSuffix(" pixels")
        self.values = QElidingLabel()
        self.show_values("")
        # In one place, so that nothing moves when there is another way to look
        self._controls = QStackedWidget()
        self._controls.addWidget(QWidget())
        self._pages = {
            "blink": _side_by_side(self.flip_button, self.timer_box, self.rate),
            "swipe": _side_by_side(self.line, self.across_box),
            "checkerboard": _side_by_side(self.tile),
        }
        for page in self._pages.values():
            self._controls.addWidget(page)
        self._lay_out()

    def connect(self, looker: Looker) -> None:
        """Let the controls lead a looker, and show what it does."""
        self._looker = looker
        for way, button in self.buttons.items():
            button.clicked.connect(partial(self._toggle, way))
        self.flip_button.clicked.connect(looker.flip)
        self.timer_box.toggled.connect(self._set_timer)
        self.rate.valueChanged.connect(self._set_timer)
        self.line.valueChanged.connect(lambda place: looker.swipe_to(place / STEPS))
        self.across_box.toggled.connect(looker.turn)
        self.tile.valueChanged.connect(looker.resize_tiles)
        looker.changed.connect(self.show_way)
        looker.moved.connect(self.show_way)
        self.show_way()

    def show_way(self) -> None:
        """Show which way it is, and how it is set."""
        looker = self._looker
        for way, button in self.buttons.items():
            button.setChecked(way == looker.way)
        self._controls.setCurrentWidget(self._pages.get(looker.way, self._controls.widget(0)))
        self.flip_button.setText(("Before is shown", "After is shown")[looker.which])
        blockers = [QSignalBlocker(each) for each in (self.line, self.across_box, self.tile, self.timer_box)]
        self.line.setValue(round(looker.cut * STEPS))
        self.across_box.setChecked(looker.across)
        self.tile.setValue(looker.tile)
        self.timer_box.setChecked(looker.blinking)
        del blockers

    def show_values(self, text: str) -> None:
        """Show what is under the pointer; what a narrow dock cuts off is in the tooltip."""
        self.values.setText(text)
        self.values.setToolTip("\n".join(filter(None, [VALUES_HELP, text])))

    def _toggle(self, way: str) -> None:
        self._looker.toggle(way)
        # A button goes down by itself, whether or not one can look so
        self.show_way()

    def _set_timer(self) -> None:
        self._looker.blink(self.rate.value() if self.timer_box.isChecked() else 0)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        row = QHBoxLayout()
        row.setSpacing(2)
        for button in self.buttons.values():
            row.addWidget(button, 1)
        column.addLayout(row)
        column.addWidget(self._controls)
        below = QHBoxLayout()
        below.addWidget(self.same_contrast)
        below.addWidget(self.values, 1)
        below.addWidget(self.keys_button)
        column.addLayout(below)


def _button(title: str, tooltip: str) -> QPushButton:
    button = QPushButton(title)
    button.setToolTip(tooltip)
    return button


def _side_by_side(first: QWidget, *others: QWidget) -> QWidget:
    place = QWidget()
    row = QHBoxLayout(place)
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(first, 1)
    for widget in others:
        row.addWidget(widget)
    return place
