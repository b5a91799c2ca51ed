"""Export: what is shown as files, by a menu; written in a worker thread, whole or not at all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from napari.utils.history import update_save_history
from qtpy.QtCore import QObject, QUrl, Signal
from qtpy.QtGui import QAction, QDesktopServices
from qtpy.QtWidgets import QMenu, QPushButton

from ..folders import write_file
from ..looks import look_of
from ..mixing import Look
from ..reading import explain
from .dialogs import choose_to_save, confirm, last_folder
from .reviewing import describe_layers, frame_shown, review_of, sources_of
from .running import Progress, Run
from .seeing import Sight

if TYPE_CHECKING:
    from napari.layers import Image

    from ..comparison import Comparison
    from ..review import Review

__all__ = ["EXPORTS", "Export", "Exporter"]

Shown: TypeAlias = "tuple[Comparison, Image, Image]"
"""A result, and the two layers that were compared."""


class Export(NamedTuple):
    """What can be written of a result."""

    title: str
    name: str
    """What it is called unless the user says otherwise."""
    kind: str
    """How the files of a report end that it has, "" for all; or "review"."""
    help: str
    in_memory: bool = False
    """Whether there is none of images in chunks."""
    figure: Literal["", "view", "crops", "blink"] = ""
    """Which figure it is, if it is one."""

    @property
    def suffix(self) -> str:
        """How its own name ends."""
        return Path(self.name).suffix

    @property
    def is_folder(self) -> bool:
        """Whether it is one."""
        return self.suffix in ("", ".zarr")


EXPORTS = (
    Export(
        "Report, all files…",
        "report",
        "",
        "A folder with all of these: page, table, record, pictures and maps; of images in chunks table, record and "
        "maps in chunks.",
    ),
    Export(
        "Page to look at (HTML)…",
        "report.html",
        ".html",
        "One file that opens anywhere: the images to swipe and blink, every region in close-up, numbers and settings.",
        in_memory=True,
    ),
    Export("Table of regions (CSV)…", "regions.csv", ".csv", "All regions with all columns, for a spreadsheet."),
    Export("Record (JSON)…", "report.json", ".json", "Numbers, regions, settings and versions, for programs."),
    Export(
        "Review (JSON)…",
        "review.json",
        "review",
        "Verdicts and notes with settings, table and what the images are known by; Review opens it again.",
    ),
    Export(
        "Pictures (PNG)…",
        "pictures",
        ".png",
        "A folder with both images and their boxes, the difference, the filled regions, and these on the after image; "
        "and the record.",
        in_memory=True,
    ),
    Export(
        "Maps (TIFF)…",
        "maps",
        ".tif",
        "A folder with the difference (float32) and the labels of the regions (int32), to the bit; and the record.",
        in_memory=True,
    ),
    Export(
        "Maps in chunks (OME-Zarr)…",
        "result.zarr",
        ".zarr",
        "An OME-Zarr with all maps in several sizes, where the before layer lies, and the tables.",
    ),
    Export(
        "Current view (PNG)…",
        "view.png",
        "",
        "The canvas as it is now, with a line below it: which images, which way to look, the marked region, the scale.",
        figure="view",
    ),
    Export(
        "Regions as pairs of crops (PNG)…",
        "crops",
        "",
        "A folder with a picture for each region, before and after with its box, the largest on one sheet, and the "
        "record.",
        figure="crops",
    ),
    Export(
        "Blinking picture (GIF)…",
        "blink.gif",
        "",
        "Before and after in turns, as fast as the timer of Blink: the marked region in close-up, or all of the image.",
        figure="blink",
    ),
)

# Names of files that a question has, before it only counts them
MOST_NAMES = 12

TOO_LARGE = (
    "Not for images in chunks, which may be larger than memory. Take the maps in chunks (OME-Zarr), or the report, "
    "which has them."
)


class Exporter(QObject):
    """Has the menu of a button, and writes what is asked for there: what is shown then, whatever happens meanwhile.

    `changed` tells that an export began or ended, or that there is another `message`.
    """

    changed = Signal()
    progressed = Signal(int, int)

    def __init__(
        self, button: QPushButton, find_shown: Callable[[], Shown | None], see: Callable[..., Sight], parent: QObject
    ) -> None:
        super().__init__(parent)
        self.message = ""
        self._button = button
        self._find_shown = find_shown
        self._see = see
        self._run: Run | None = None
        self._saved: Path | None = None
        menu = QMenu(button)
        menu.setToolTipsVisible(True)
        self._actions = {export: QAction(export.title, menu) for export in EXPORTS}
        self._open_action = QAction("Open what was saved", menu)
        self._open_action.setToolTip("Open the last export in the program that the system has for it.")
        for export, action in self._actions.items():
            action.triggered.connect(partial(self.ask, export))
            if export.figure == "view":
                menu.addSeparator()
            menu.addAction(action)
        self._open_action.triggered.connect(self.open_saved)
        menu.addSeparator()
        menu.addAction(self._open_action)
        button.setMenu(menu)

    @property
    def running(self) -> bool:
        """Whether an export is under way."""
        return self._run is not None

    def show(self, comparison: Comparison | None, *, busy: bool) -> None:
        """Offer what there is of a comparison, or nothing while it is about to be another."""
        self._button.setEnabled(comparison is not None and not busy)
        in_chunks = comparison is not None and comparison.pyramid is not None
        for export, action in self._actions.items():
            possible = not (export.in_memory and in_chunks)
            action.setEnabled(possible)
            action.setToolTip(export.help if possible else TOO_LARGE)
        self._open_action.setEnabled(self._saved is not None)

    def ask(self, export: Export) -> None:
        """Ask where an export goes, and begin it."""
        shown = self._find_shown()
        if shown is None or self.running:
            return
        # Before the dialog, during which a blink goes on
        sight = self._see(shown, canvas=export.figure == "view") if export.figure else None
        chosen = self._choose(export)
        if chosen is None:
            return
        try:
            place, taken = find_place(export, chosen, *shown[1:])
        except OSError as error:
            self._tell(f"{explain(error)}.")
            return
        if taken and not self._confirm(place):
            return
        update_save_history(str(place))
        self._run = Run(Order.of(export, place, taken, *shown, sight).run)
        self._run.progressed.connect(self.progressed)
        self._run.returned.connect(self._take)
        self._run.failed.connect(self._fail)
        self._run.start()
        self._tell("")

    def cancel(self) -> None:
        """Give up the export under way."""
        if self._run is not None:
            self._run.cancel()
            self._run = None
            self._tell("Not saved: cancelled.")

    def open_saved(self) -> None:
        """Open the last export, of a report the page, of crops the sheet."""
        if self._saved is None:
            return
        pages = (self._saved / name for name in ("report.html", "regions.png"))
        place = next((page for page in pages if page.exists()), self._saved)
        if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(place))):
            self._tell(f"No program opens {place}.")

    def _choose(self, export: Export) -> Path | None:
        """Return the place that the user picks for an export, None if none."""
        start = last_folder() / export.name
        if export.is_folder:
            start = _find_free(start)
        kind = "" if export.is_folder else f"{export.suffix[1:].upper()} (*{export.suffix})"
        return choose_to_save(self._button, f"Export: {export.title.rstrip('…')}", start, kind)

    def _confirm(self, place: Path) -> bool:
        """Ask whether what is at a place may go."""
        names = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
        if len(names) > MOST_NAMES:
            names[MOST_NAMES:] = [f"{len(names) - MOST_NAMES:,} more"]
        there = f", with {', '.join(names)} in it" if names else ""
        return confirm(self._button, "Export", f"{place} is there already{there}. Replace it?")

    def _take(self, place: Path) -> None:
        self._run = None
        self._saved = place
        self._tell(f"Saved {place}.")

    def _fail(self, message: str) -> None:
        self._run = None
        self._tell(f"Not saved: {message}.")

    def _tell(self, message: str) -> None:
        self.message = message
        self.changed.emit()


class Order(NamedTuple):
    """An export with all that it needs, as it was when it was asked for."""

    export: Export
    place: Path
    replace: bool
    """Whether what was there when it was asked for may go; what comes meanwhile stays."""
    comparison: Comparison
    images: Mapping[str, Mapping[str, Any]]
    where: Mapping[str, Any]
    sources: Mapping[str, tuple[Any, str, str | None]]
    """Array, name and file of the two layers."""
    review: Review
    """What was decided."""
    looks: tuple[Look, Look]
    """How the two layers are shown."""
    sight: Sight | None
    """What is on the screen, of figures."""

    @classmethod
    def of(
        cls,
        export: Export,
        place: Path,
        replace: bool,
        comparison: Comparison,
        before: Image,
        after: Image,
        sight: Sight | None = None,
    ) -> Order:
        """Return the order for a result of two layers, which has names and looks that they have now."""
        # No hash of a file: the data of a layer may have been changed since they were read
        layers = {"before": before, "after": after}
        images = {name: {"name": layer.name, "bytes": None, "sha256": None} for name, layer in layers.items()}
        ndim = comparison.difference.ndim
        where = {name: getattr(before, name)[-ndim:] for name in ("scale", "translate", "units")}
        decided, looks = review_of(before, after), (look_of(before), look_of(after))
        return cls(export, place, replace, comparison, images, where, sources_of(before, after), decided, looks, sight)

    def run(self, progress: Progress) -> Path:
        """Write it; return where it is."""
        try:
            self._write(progress)
        except ImportError as error:
            raise ValueError(str(error)) from error
        except (MemoryError, OSError) as error:
            raise ValueError(explain(error)) from error
        return self.place

    def _write(self, progress: Progress) -> None:
        # Here and not above, so that a first import does not hold up the window
        from ..report import KINDS, make_files, make_report, write_report
        from ..zarr_files import write_zarr

        if self.export.kind == ".zarr":
            write_zarr(self.comparison, self.place, **self.where, overwrite=self.replace, progress=progress)
            return
        if self.export.kind == "review":
            from ..review_files import write_review

            images, frame = describe_layers(self.sources), frame_shown(self.comparison)
            write_review(self.place, self.comparison, self.review, images, frame=frame)
            return
        report = make_report(self.comparison, self.images)
        if self.export.figure and self.sight is not None:
            self._draw(self.sight, report, progress)
            return
        if self.export.is_folder:
            # Every folder of ours has the record: by that it is known
            kinds = (self.export.kind, ".json") if self.export.kind else KINDS
            write_report(
                self.comparison,
                self.place,
                report,
                kinds,
                where=self.where,
                replace=self.replace,
                progress=progress,
            )
            return
        (content,) = make_files(self.comparison, report, (self.export.kind,)).values()
        # The last chance to leave
        progress(1, 2)
        write_file(self.place, content)

    def _draw(self, sight: Sight, report: Mapping[str, Any], progress: Progress) -> None:
        """Write a figure."""
        from ..figures import Bar, draw_blink, draw_crops, draw_view, encode, tell_region
        from ..report import write_report

        names = str(self.images["before"]["name"]), str(self.images["after"]["name"])
        given = self.comparison, self.looks, names, sight.theme
        if self.export.figure == "crops":
            crops = draw_crops(*given, progress=progress)
            write_report(
                self.comparison, self.place, report, (".json",), more=crops, replace=self.replace, progress=progress
            )
            return
        if sight.canvas is not None:
            bar = Bar(*sight.scale) if sight.scale is not None else None
            told = [*sight.told, *tell_region(self.comparison, sight.label)]
            content = encode(draw_view(sight.canvas, told, sight.theme, bar, ratio=sight.ratio))
        else:
            content = draw_blink(*given, label=sight.label, index=sight.frame, rate=sight.rate, progress=progress)
        progress(1, 2)
        write_file(self.place, content)


def find_place(export: Export, chosen: Path, *layers: Image) -> tuple[Path, bool]:
    """Return where an export goes, and whether the user must say that what is there may be replaced.

    Raises
    ------
    OSError
        If something is there that has to stay.
    """
    from ..report import check_place
    from ..zarr_files import is_complete

    place = chosen if chosen.suffix.lower() == export.suffix else chosen.with_name(chosen.name + export.suffix)
    if not export.is_folder:
        # What was chosen, the dialog has asked about
        return place, place != chosen and place.exists()
    # Dialogs go into a folder that is there, and then give its name in itself
    if place.name == place.parent.name:
        place = place.parent
    if export.kind != ".zarr":
        return place, check_place(place, [layer.source.path for layer in layers if layer.source.path])
    if place.exists() and not is_complete(place):
        raise OSError(f"{place} is there already, and is no comparison in chunks; give another name")
    return place, place.exists()


def _find_free(place: Path) -> Path:
    """Return a place of this name, or with a number, where nothing is: a dialog goes into a folder that is there."""
    names = itertools.chain([place.name], (f"{place.stem}-{number}{place.suffix}" for number in itertools.count(2)))
    return next(free for name in names if not (free := place.with_name(name)).exists())
