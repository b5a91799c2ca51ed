"""What a person makes of the regions: verdicts and notes, kept for each pair of layers as long as these live."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QMenu

from ..geometry import array_of
from ..verdicts import OPEN, Verdict
from .dialogs import choose_to_open, confirm
from .running import Progress, Runs

if TYPE_CHECKING:
    from napari.layers import Image

    from ..comparison import Comparison
    from ..review import Review
    from ..settings import Settings
    from .exporting import Shown
    from .panel import Panel

__all__ = [
    "IGNORE_NOT_REAL",
    "OPEN_REVIEW",
    "Opened",
    "Reviewer",
    "add_review",
    "describe_layers",
    "frame_shown",
    "keep_review",
    "open_review",
    "review_of",
    "sources_of",
]

OPEN_REVIEW, IGNORE_NOT_REAL = "Open review…", "Ignore all that are not real"

# Of before, by after: docks come and go, and what was decided stays with the two layers
_reviews: weakref.WeakKeyDictionary[Image, weakref.WeakKeyDictionary[Image, Review]] = weakref.WeakKeyDictionary()


class Opened(NamedTuple):
    """A review that was read from a file."""

    review: Review
    settings: Settings
    mismatch: str
    """In what the images that it is about differ from those that are picked, "" if they are the same."""


def frame_shown(comparison: Comparison) -> tuple[int, ...]:
    """Return the index of the frame, of after if that has frames, that alone was compared; () if all were."""
    shown = comparison.resolved.get("shown_frames", {"after": (), "before": ()})
    return tuple(shown["after"] or shown["before"])


def add_review(comparison: Comparison, review: Review) -> Comparison:
    """Return a comparison, of all frames or of the one on the screen, with what was decided of its regions."""
    # Here and not above, so that a first import does not hold up the window
    from ..review import reviewed

    return reviewed(comparison, review, frame=frame_shown(comparison))


def review_of(before: Image | None, after: Image | None) -> Review:
    """Return what was decided about two layers, () if nothing was."""
    if before is None or after is None:
        return ()
    return _reviews.get(before, weakref.WeakKeyDictionary()).get(after, ())


def keep_review(before: Image, after: Image, review: Review) -> None:
    """Keep what was decided about two layers."""
    _reviews.setdefault(before, weakref.WeakKeyDictionary())[after] = review


def describe_layers(layers: Mapping[str, tuple[Any, str, str | None]]) -> dict[str, Any]:
    """Return what two layers can be known by later, from the array, the name and the file of each."""
    from ..review_files import describe_image

    return {role: describe_image(*each) for role, each in layers.items()}


def sources_of(before: Image, after: Image) -> dict[str, tuple[Any, str, str | None]]:
    """Return array, name and file of two layers, as `describe_layers` takes them."""
    return {
        role: (array_of(layer), str(layer.name), layer.source.path)
        for role, layer in (("before", before), ("after", after))
    }


def open_review(place: Path, layers: Mapping[str, tuple[Any, str, str | None]], progress: Progress) -> Opened:
    """Read a review, and hold it against two layers; errors are sentences.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    from ..reading import explain
    from ..review_files import describe_mismatch, read_review

    try:
        saved = read_review(place)
        progress(1, 2)
        return Opened(saved.review, saved.settings, describe_mismatch(saved.images, describe_layers(layers)))
    except OSError as error:
        raise ValueError(explain(error)) from error


class Reviewer(QObject):
    """Gives the regions that are shown verdicts and notes, in the table, in the layers and for another day.

    `decided` hands over the comparison with what was decided, and `said` what there is to say. `settings_wanted` asks
    for a comparison with the settings of a review that was opened, and `ignore_wanted` to ignore all regions that are
    not real.
    """

    decided = Signal(object)
    said = Signal(str)
    settings_wanted = Signal(object)
    ignore_wanted = Signal()

    def __init__(self, panel: Panel, runs: Runs, find_shown: Callable[[], Shown | None], parent: QObject) -> None:
        super().__init__(parent)
        self._panel = panel
        self._runs = runs
        self._find_shown = find_shown
        # What the note in the line is about: another region, or result, may be shown when the line loses the focus
        self._noted: _Noted | None = None
        row = panel.review
        for verdict, button in row.buttons.items():
            button.clicked.connect(partial(self.decide, verdict))
        row.note.editingFinished.connect(self.write_note)
        menu = QMenu(panel.review_button)
        menu.setToolTipsVisible(True)
        for title, help_, action in (
            (OPEN_REVIEW, "Settings, verdicts and notes of a review that was saved; compare.", self.ask),
            (
                IGNORE_NOT_REAL,
                "Add all regions that are not real to what is ignored, and compare again.",
                self.ignore_wanted.emit,
            ),
        ):
            entry = menu.addAction(title)
            assert entry is not None
            entry.setToolTip(help_)
            entry.triggered.connect(action)
        panel.review_button.setMenu(menu)

    def decide(self, verdict: Verdict) -> None:
        """Give the marked region a verdict, and go to the next one that is open."""
        table = self._panel.table
        following = table.find_next("verdict", OPEN) if verdict != OPEN else 0
        shown = self._find_shown()
        if shown is None or not table.label or not self._decide(shown, table.label, verdict=verdict):
            return
        if following:
            table.go_to(following)
        elif verdict != OPEN:
            self.said.emit("No region of the table is open any more.")

    def write_note(self) -> None:
        """Give the region that was marked when the line was begun the note in it."""
        note = self._panel.review.note.text()
        self._panel.review.note.setModified(False)
        if self._noted is not None and note != _find_row(self._noted.shown[0], self._noted.label)["note"]:
            self._decide(*self._noted, note=note)

    def show(self, label: int) -> None:
        """Show what was decided of a region of what is shown, 0 for none."""
        shown = self._find_shown()
        known = shown is not None and label and "verdict" in shown[0].region_columns
        noted = _Noted(shown, label) if shown is not None and known else None
        if noted != self._noted and self._panel.review.note.isModified():
            # What was typed is not lost, whatever leads on
            self.write_note()
            # The result has it now
            shown = self._find_shown()
            noted = _Noted(shown, label) if shown is not None and known else None
        self._noted = noted
        row = {"verdict": "", "note": ""} if noted is None else _find_row(noted.shown[0], label)
        self._panel.review.show_region(row["verdict"], row["note"])

    def ask(self) -> None:
        """Ask for the file of a review, and go on with it, about the two layers that are picked."""
        panel = self._panel
        before, after = panel.pickers.before, panel.pickers.after
        if before is None or after is None:
            self.said.emit("Pick the two images that the review is about first.")
            return
        question = "What was decided about these two is replaced by the review. Go on?"
        if review_of(before, after) and not confirm(panel, "Review", question):
            return
        place = choose_to_open(panel, "Open review", "Reviews (*.json)")
        if place is not None:
            self.said.emit("")
            # Bound to the layers, whatever is picked when it is read
            read, take = partial(open_review, place, sources_of(before, after)), partial(self._take, before, after)
            self._runs.begin("review", read, take, self._fail)

    def _take(self, before: Image, after: Image, opened: Opened) -> None:
        del self._runs["review"]
        question = f"{opened.mismatch} Open it all the same, in the place of what was decided about these?"
        if opened.mismatch and not confirm(self._panel, "Review", question):
            self.said.emit(f"Not opened. {opened.mismatch}")
            return
        keep_review(before, after, opened.review)
        self.said.emit(opened.mismatch)
        if (self._panel.pickers.before, self._panel.pickers.after) == (before, after):
            self.settings_wanted.emit(opened.settings)

    def _fail(self, message: str) -> None:
        del self._runs["review"]
        self.said.emit(f"{message}.")

    def _decide(self, about: Shown, label: int, **decision: Any) -> bool:
        """Take a decision about a region of a result, which may have been shown before; return whether that can be."""
        from ..review import decide

        comparison, before, after = about
        try:
            review = decide(review_of(before, after), comparison, label, frame=frame_shown(comparison), **decision)
        except ValueError as error:
            self.said.emit(f"{error}.")
            return False
        keep_review(before, after, review)
        shown = self._find_shown()
        if shown is not None and shown[1:] == (before, after):
            self.decided.emit(add_review(shown[0], review))
        return True


class _Noted(NamedTuple):
    """A region of a result, of which there is a note in the line."""

    shown: Shown
    label: int


def _find_row(comparison: Comparison, label: int) -> dict[str, str]:
    """Return verdict and note of a region."""
    columns = comparison.region_columns
    row = int(np.searchsorted(columns["label"], label))
    return {name: columns[name][row] for name in ("verdict", "note")}
