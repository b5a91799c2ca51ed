"""What is on the dock, from top to bottom; what happens there is the dock's story."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QAction, QContextMenuEvent, QGuiApplication, QIcon, QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QBoxLayout,
    QCheckBox,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from ..settings import Settings
from ..verdicts import NOT_REAL, OPEN, REAL
from .controls import LiveControls, WheelGuard, make_title
from .curve import FrameCurve
from .focus import FocusFrame
from .form import PresetPicker, SettingsForm
from .keys import with_key
from .pickers import LayerPickers
from .review_row import ReviewRow
from .table import RegionTable
from .ways import WayRow
from .work import describe_result

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ..comparison import Comparison

__all__ = ["Panel", "breakable", "scrolling"]

LONGEST_WORD = 16

# A space of no width
BREAK = "\u200b"

# Of a list of words, which it cuts off there
NARROWEST, WIDEST = 70, 112

ALIGN, UNDO = "Align after layer", "Undo"
ALIGN_HELP = "Lay the after layer on before, as it was found to lie: only its affine changes, not its data."


class Panel(QWidget):
    """The controls of the dock."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.pickers = LayerPickers(viewer)
        self.index_box = _check(
            "Compare by index",
            "Compare pixel by pixel, wherever the two layers lie, instead of where they overlap in the viewer.",
        )
        self.compare_button = _button("Compare", "Compare the two images with these settings.")
        self.cancel_button = _button("Cancel", "Give up what is under way; what is shown stays.")
        self.follow_box = _check(
            "Follow viewer",
            "Compare what is on the screen, one frame with one frame, whenever a slider moves, the data are edited or "
            "a setting changes. The result takes the place of one of all frames; Compare ends it and brings that back.",
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("How much of what is under way is done.")
        self.notice = _text("What stands in the way, what went wrong, or what to know about these two layers.")
        self.result = _text("The result for the two images picked above.")
        self.verdict = _text(
            "Whether the two are identical, differ, or differ by no more than noise and edges explain."
        )
        self.verdict.setStyleSheet("font-weight: bold")
        self.controls = LiveControls()
        self.evidence_box = _check(
            "Evidence", "Show how far each pixel exceeds what noise and edges explain: 1 is the limit."
        )
        self.forgiven_box = _check("Forgiven", "Box in gray what a small displacement explains, and so is no region.")
        self.curve = FrameCurve()
        self.worst_button = _button("Worst frame", "Go to the frame of which most changed.")
        self.table = RegionTable()
        self.position = QLabel()
        self.position.setToolTip("Which region of how many of the table, and how many of all are still open.")
        self.previous_button = _button("Previous", "Go to the previous region of the table.")
        self.next_button = _button("Next", "Go to the next region of the table.")
        self.ways = WayRow()
        self.review = ReviewRow()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Filter: area > 100, kind = moved")
        self.filter.setClearButtonEnabled(True)
        self.filter.setToolTip(
            "Regions that meet all of this, with commas between: a column, a sign (< <= > >= = !=) and a value, or a "
            "part of any text in the row. Next and Previous go through these."
        )
        self.review_button = _button("Review", "Open or ignore what was decided; Export saves it.")
        self.ignore_button = _button(
            "Ignore",
            "Ignore the marked region from now on: add it to the layer picked for Ignore, or to a new one; compare.",
        )
        self.copy_button = _button("Copy", "Copy the table, or what was done as Python code.")
        self.export_button = _button("Export", "Save what is shown: a report, or one of its parts.")
        self.presets = PresetPicker()
        self.form = SettingsForm()
        self.align_button = _button(ALIGN, "")
        self.save_button = _button("Save settings…", "Save all settings as JSON, as --save-settings does.")
        self.load_button = _button(
            "Load settings…", "Load settings from JSON: saved here, by --save-settings, or in the record of a report."
        )
        self.advanced = self._fold()
        action = QAction("Ignore this region from now on", self.table)
        action.triggered.connect(self.ignore_button.click)
        self.table.addAction(action)
        for box in (self.presets, self.form.fields["align"].native):
            # Two of them stand side by side in a narrow dock
            box.setMinimumWidth(NARROWEST)
        self.form.fields["align"].native.setMaximumWidth(WIDEST)
        self._keyed: dict[str, QWidget] = {
            "real": self.review.buttons[REAL],
            "not_real": self.review.buttons[NOT_REAL],
            "open": self.review.buttons[OPEN],
            "note": self.review.note,
            "next_region": self.next_button,
            "previous_region": self.previous_button,
            "same_contrast": self.ways.same_contrast,
            **self.ways.buttons,
        }
        self.review.left.connect(self.table.setFocus)
        self._helps = {name: widget.toolTip() for name, widget in self._keyed.items()}
        self._lay_out()
        self._frame = FocusFrame(self)
        self._guard = WheelGuard()
        for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider):
            # Scroll bars belong to what scrolls, by wheel and by keys
            self._guard.watch(*(widget for widget in self.findChildren(kind) if not isinstance(widget, QScrollBar)))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(3)
        column.addWidget(self.pickers)
        column.addWidget(self.index_box)
        column.addLayout(_row(self.presets, QLabel("Align"), self.form.fields["align"].native, title="Preset"))
        column.addWidget(self.notice)
        column.addLayout(_row(self.compare_button, self.cancel_button, self.follow_box))
        column.addWidget(self.verdict)
        column.addWidget(_one_place(self.result, self.progress))
        column.addWidget(self.controls)
        column.addLayout(_row(self.evidence_box, self.forgiven_box, self.align_button))
        column.addWidget(self.curve)
        column.addWidget(self.ways)
        column.addLayout(_row(self.position, self.worst_button, self.previous_button, self.next_button))
        column.addWidget(self.filter)
        column.addWidget(self.table, 1)
        column.addWidget(self.review)
        column.addLayout(_row(self.ignore_button, self.review_button, self.copy_button, self.export_button))
        column.addWidget(self.advanced)

    def read_settings(self) -> Settings:
        """Return the settings as they stand; raise ValueError if they cannot be."""
        return Settings(**self.controls.values, **self.form.values)

    def show_settings(self, settings: Settings) -> None:
        """Show `settings` in all controls."""
        self.controls.show_settings(settings)
        self.form.show_settings(settings)

    def show_keys(self, keys: Mapping[str, str]) -> None:
        """Name the keys in the tooltips of the buttons that do the same."""
        for name, widget in self._keyed.items():
            widget.setToolTip(with_key(self._helps[name], keys.get(name)))

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Say what came out."""
        self.verdict.setText("" if comparison is None else f"{comparison.verdict.capitalize()}.")
        self.curve.show_comparison(comparison)
        self.worst_button.setVisible(comparison is not None and len(comparison.frames) > 1)
        self.result.setText("Not compared yet." if comparison is None else describe_result(comparison))
        if comparison is not None and comparison.settings.threshold == "otsu":
            self.controls.show_otsu(float(np.median(comparison.threshold)))

    def show_extras(self, comparison: Comparison | None, shown: Container[str]) -> None:
        """Show which of the layers that not every comparison has can be shown, and which are."""
        boxes = {"evidence": self.evidence_box, "forgiven": self.forgiven_box}
        there = {
            "evidence": comparison is not None and comparison.evidence is not None,
            "forgiven": comparison is not None and len(comparison.forgiven) > 0,
        }
        for role, box in boxes.items():
            box.setChecked(role in shown)
            box.setEnabled(there[role] or role in shown)

    def show_alignment(self, comparison: Comparison | None, aligned: bool) -> None:
        """Show whether the after layer can be laid on before, or has been and can go back."""
        single = comparison is not None and not comparison.frames and "shown" not in comparison.resolved
        found = comparison.resolved["alignment"] if comparison is not None and single else None
        self.align_button.setText(UNDO if aligned else ALIGN)
        self.align_button.setEnabled(aligned or (found is not None and found["outcome"] == "aligned"))
        self.align_button.setToolTip(
            ALIGN_HELP if found is None else f"{ALIGN_HELP}\nFound: {found['outcome']}, {found['reason']}."
        )

    def show_preset(self) -> None:
        """Show which preset the settings are, if any."""
        try:
            settings = self.read_settings()
        except ValueError:
            settings = None
        self.presets.show_settings(settings)

    def show_progress(self, done: int, total: int) -> None:
        """Show how much of a run is done."""
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def show_running(self, running: bool) -> None:
        """Show the progress of a run, or the result."""
        self.cancel_button.setEnabled(running)
        self.result.setHidden(running)
        if running and self.progress.isHidden():
            self.progress.setRange(0, 0)
        self.progress.setVisible(running)

    def show_position(self, row: int, count: int, total: int | None, left: int = 0) -> None:
        """Say which region is marked of those that meet the filter, `count`, and how many of all are open.

        -1 is none; a `total` of None is before the first result.
        """
        if total is None:
            text = "Regions"
        elif row >= 0:
            text = f"{row + 1:,} of {count:,}"
        elif count < total:
            text = f"{count:,} of {total:,} regions"
        else:
            text = f"{total:,} region{'s' if total != 1 else ''}"
        self.position.setText(text if not total else f"{text}, {left:,} open")
        self.copy_button.setEnabled(total is not None)
        for button in (self.previous_button, self.next_button):
            button.setEnabled(bool(count))
        self.ignore_button.setEnabled(row >= 0)

    def _fold(self) -> QCollapsible:
        fold = QCollapsible()
        if (layout := fold.layout()) is not None:
            layout.setContentsMargins(0, 0, 0, 0)
        fold.toggleButton().setToolTip("Show or hide the settings that are seldom needed.")
        fold.addWidget(self.form)
        files = QWidget()
        files.setLayout(_row(self.save_button, self.load_button))
        fold.addWidget(files)
        # Arrows in the text, which follows the theme: superqt draws its icons once, black in the dark theme too
        for set_icon in fold.setExpandedIcon, fold.setCollapsedIcon:
            set_icon(QIcon())
        fold.toggled.connect(lambda open_: fold.setText("▼ Advanced" if open_ else "▶ Advanced"))
        fold.setText("▶ Advanced")
        # Folded, they are only made low: Tab would go through what is not seen
        fold.toggled.connect(fold.content().setEnabled)
        fold.content().setEnabled(False)
        return fold


class _Area(QScrollArea):
    """An area that scrolls up and down only: it asks for the width of what is in it."""

    def minimumSizeHint(self) -> QSize:
        """Return the least size at which nothing is cut off at the right."""
        hint = super().minimumSizeHint()
        bar = self.verticalScrollBar()
        content = self.widget()
        if bar is not None and content is not None:
            hint.setWidth(content.minimumSizeHint().width() + bar.sizeHint().width())
        return hint

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask again when the content needs another width: Qt watches it for us, but for the scroll bars only."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def scrolling(widget: QWidget) -> QScrollArea:
    """Return an area round a widget that scrolls, so that the dock never sets the height of the window."""
    area = _Area()
    area.setWidget(widget)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    # It scrolls by itself to what has the focus
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return area


def _button(title: str, tooltip: str) -> QPushButton:
    button = QPushButton(title)
    button.setToolTip(tooltip)
    return button


def breakable(text: str) -> str:
    """Return a text that may be broken within long words too: with no place to break, a name would widen the dock."""
    return re.sub(rf"(\S{{{LONGEST_WORD}}})(?=\S)", rf"\1{BREAK}", text)


class _Text(QLabel):
    """A text that can be marked and copied, without the places where it may be broken."""

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Copy what is marked."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Offer to copy what is marked."""
        if event is None or not self.hasSelectedText():
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        action = menu.addAction("Copy")
        assert action is not None
        action.triggered.connect(self._copy)
        menu.popup(event.globalPos())

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.selectedText().replace(BREAK, ""))


def _text(tooltip: str) -> QLabel:
    """Return a text of several lines that can be marked and copied."""
    label = _Text()
    label.setWordWrap(True)
    # What looks like a tag in the name of a layer is part of the name
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    label.setToolTip(tooltip)
    return label


def _one_place(*widgets: QWidget) -> QWidget:
    """Return a place for two lines of text, of which one widget shows at a time: nothing moves when they change."""
    place = QWidget()
    place.setMinimumHeight(2 * place.fontMetrics().lineSpacing() + 8)
    column = QVBoxLayout(place)
    column.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        column.addWidget(widget)
    return place


def _check(title: str, tooltip: str) -> QCheckBox:
    box = QCheckBox(title)
    box.setToolTip(tooltip)
    return box


def _row(first: QWidget, *others: QWidget, title: str = "") -> QBoxLayout:
    """Return widgets side by side, of which the first takes the room that is left."""
    row = QHBoxLayout()
    if title:
        row.addWidget(make_title(title))
    row.addWidget(first, 1)
    for widget in others:
        row.addWidget(widget)
    return row
