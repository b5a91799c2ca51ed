"""What a person makes of the regions: verdicts and notes, kept for each pair of layers as long as these live."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from qtpy.QtCore import QObject, Signal

from ..geometry import array_of
from ..verdicts import OPEN, Verdict
from .running import Progress, Runs

if TYPE_CHECKING:
    from napari.layers import Image

    from ..comparison import Comparison
    from ..review import Review
    from .panel import Panel

__all__ = ["Opened", "Reviewer", "Shown", "describe_layers", "keep_review", "open_review", "review_of", "sources_of"]

# Of before, by after: docks come and go, and what was decided stays with the two layers
_reviews: weakref.WeakKeyDictionary[Image, weakref.WeakKeyDictionary[Image, Review]] = weakref.WeakKeyDictionary()


class Shown(NamedTuple):
    """A result, and the two layers that were compared."""

    comparison: Comparison
    before: Image
    after: Image
    frame: tuple[int, ...]
    """Where it is of one frame of a stack, the index of that."""


class Opened(NamedTuple):
    """A review that was read from a file."""

    review: Review
    settings: Any
    mismatch: str
    """In what the images that it is about differ from those that are picked, "" if they are the same."""


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

    `decided` hands over the comparison with what was decided, and `said` what there is to say. `wanted` asks for a
    comparison with the settings of a review that was opened.
    """

    decided = Signal(object)
    said = Signal(str)
    wanted = Signal(object)

    def __init__(
        self,
        panel: Panel,
        runs: Runs,
        find_shown: Callable[[], Shown | None],
        go_to: Callable[[int], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._panel = panel
        self._runs = runs
        self._find_shown = find_shown
        self._go_to = go_to
        # The region that the note in the line is about: another may be marked when the line loses the focus
        self._noted = 0
        row = panel.review
        for verdict, button in row.buttons.items():
            button.clicked.connect(partial(self.decide, verdict))
        row.note.editingFinished.connect(self.write_note)

    def tell(self, comparison: Comparison, before: Image, after: Image, frame: tuple[int, ...]) -> Comparison:
        """Return a comparison with what was decided of its regions until now."""
        from ..review import reviewed

        return reviewed(comparison, review_of(before, after), frame=frame)

    def decide(self, verdict: Verdict) -> None:
        """Give the marked region a verdict, and go to the next one that is open."""
        table = self._panel.table
        following = table.find_next("verdict", OPEN) if verdict != OPEN else 0
        if not self._decide(table.label, verdict=verdict):
            return
        if following:
            self._go_to(following)
        elif verdict != OPEN:
            self.said.emit("No region of the table is open any more.")

    def write_note(self) -> None:
        """Give the region that was marked when the line was begun the note in it."""
        note = self._panel.review.note.text()
        self._panel.review.note.setModified(False)
        shown = self._find_shown()
        if shown is None or not self._noted:
            return
        columns = shown.comparison.region_columns
        row = int(np.searchsorted(columns["label"], self._noted))
        if "note" in columns and note != columns["note"][row]:
            self._decide(self._noted, note=note)

    def show(self, comparison: Comparison | None, label: int) -> None:
        """Show what was decided of the marked region."""
        if label != self._noted and self._panel.review.note.isModified():
            # What was typed is not lost, whatever leads on
            self.write_note()
        row = self._panel.review
        columns = {} if comparison is None else comparison.region_columns
        verdict, note = "", ""
        if label and "verdict" in columns:
            place = int(np.searchsorted(columns["label"], label))
            verdict, note = columns["verdict"][place], columns["note"][place]
        self._noted = label if verdict else 0
        row.show_region(verdict, note)

    def open(self, place: Path) -> None:
        """Open a review, about the two layers that are picked."""
        pair = self._panel.pickers.before, self._panel.pickers.after
        if pair[0] is None or pair[1] is None:
            self.said.emit("Pick the two images that the review is about first.")
            return
        sources = sources_of(pair[0], pair[1])
        # Bound to the layers, whatever is picked when it is read
        take = partial(self._take, pair[0], pair[1])
        self._runs.begin("review", partial(open_review, place, sources), take, self._fail)

    def _take(self, before: Image, after: Image, opened: Opened) -> None:
        del self._runs["review"]
        keep_review(before, after, opened.review)
        self.said.emit(opened.mismatch)
        if (self._panel.pickers.before, self._panel.pickers.after) == (before, after):
            self.wanted.emit(opened.settings)

    def _fail(self, message: str) -> None:
        del self._runs["review"]
        self.said.emit(f"{message}.")

    def _decide(self, label: int, **decision: Any) -> bool:
        """Take a decision about a region; return whether there is such a one."""
        shown = self._find_shown()
        if shown is None or not label:
            return False
        from ..review import decide

        review = review_of(shown.before, shown.after)
        try:
            review = decide(review, shown.comparison, label, frame=shown.frame, **decision)
        except ValueError as error:
            self.said.emit(f"{error}.")
            return False
        keep_review(shown.before, shown.after, review)
        self.decided.emit(self.tell(shown.comparison, shown.before, shown.after, shown.frame))
        return True
