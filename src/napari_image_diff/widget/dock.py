"""The dock widget: pick two layers, compare, and see the result follow its controls."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent
from qtpy.QtGui import QEnterEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..layers import comparison_of, describe_transforms, explain_mismatch, place, results_of
from ..settings import Settings
from .panel import Panel, breakable, scrolling
from .running import Run
from .tour import RegionTour
from .work import Job, Result, describe_result, rethreshold, warm_up

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image, Layer

    from ..comparison import Comparison

__all__ = ["ComparisonWidget"]

# What moves a layer in the viewer
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")


class ComparisonWidget(QWidget):
    """Compare two Image layers of a viewer and walk through what changed.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._pair: tuple[Image | None, Image | None] = None, None
        self._comparison: Comparison | None = None
        self._job: Job | None = None
        self._message = ""
        self._stale = False
        self._placing = False
        self._hidden_boxes: Layer | None = None
        self._runs: dict[str, Run] = {}
        # Not a method of this object, which is half gone when it is destroyed
        self.destroyed.connect(partial(_cancel_all, self._runs))
        self.panel = Panel(napari_viewer)
        self.tour = RegionTour(napari_viewer, self.panel.table, self._find_results, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolling(self.panel))
        self._connect()
        self._show(None)
        self._sync()
        self._start("warm up", warm_up, _ignore)

    @property
    def running(self) -> bool:
        """Whether a comparison or a cut is under way."""
        return self._job is not None or "rethreshold" in self._runs

    def compare(self) -> None:
        """Compare the two picked layers with the settings of the form; an earlier run is given up."""
        self._stop()
        self._say("")
        before, after = self._pair
        if self._find_obstacle() or before is None or after is None:
            return
        # What of it is needed now comes with the comparison
        self._runs["warm up"].cancel()
        self._job = Job.of(before, after, self._read_settings())
        run = self._start("compare", self._job.run, self._take_comparison)
        run.progressed.connect(self._show_progress)
        self._refresh()

    def compare_selected(self) -> None:
        """Pick the two layers selected in the layer list, the lower as before, and compare them."""
        if self.panel.pickers.pick_selected():
            self.compare()
        else:
            self._say("Select two Image layers in the layer list first.")

    def cancel(self) -> None:
        """Give up the comparison under way; what is shown stays."""
        if self._job is not None:
            self._stop()
            self._say("Cancelled.")

    def reset(self) -> None:
        """Put all settings back to their defaults; a result that is shown follows."""
        self.panel.form.show_settings(Settings())
        self.panel.controls.reset()

    def reset_choices(self, event: Any = None) -> None:
        """Follow the layer list: napari calls this when a layer is added, removed, moved or renamed."""
        lost = self._job.lost_from(self._viewer.layers) if self._job is not None else ""
        self.panel.pickers.refresh()
        if lost:
            self._stop()
            self._say(f"Stopped: '{lost}' was removed.")

    def showEvent(self, event: QShowEvent | None) -> None:
        """Listen to the canvas, and catch up with what happened while the dock was hidden."""
        super().showEvent(event)
        self.tour.listen()
        self.reset_choices()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave keys and clicks to others. No more than that: minimising and floating hide the dock too."""
        super().hideEvent(event)
        self.tour.rest()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Catch up with what a script did to the result meanwhile."""
        super().enterEvent(event)
        self._sync()

    def changeEvent(self, event: QEvent | None) -> None:
        """Give up what is under way when the dock is closed: napari takes it out of its parent then."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._stop()
            _cancel_all(self._runs)

    def _start(self, kind: str, function: Callable[..., Any], take: Callable[[Any], None]) -> Run:
        run = Run(function)
        run.returned.connect(take)
        run.failed.connect(self._fail)
        self._runs[kind] = run
        run.start()
        return run

    def _stop(self) -> None:
        """Give up what is under way, but for warming up."""
        if "compare" in self._runs:
            self._runs.pop("compare").cancel()
        self._job = None
        self._drop_cut()
        self._refresh()

    def _drop_cut(self) -> None:
        if "rethreshold" in self._runs:
            self._runs.pop("rethreshold").cancel()
        self._stale = False
        self._show_boxes()

    def _fail(self, message: str) -> None:
        self._stop()
        self._say(message)

    def _take_comparison(self, result: Result) -> None:
        """Place a new comparison, unless a layer has other data by now."""
        job = self._job
        self._stop()
        if job is None:
            return
        if replaced := job.replaced():
            self._say(f"'{replaced}' got other data while it was compared. Press Compare again.")
            return
        self._place(result, job.before, job.after, {"image", "labels", "shapes"})
        if self._pair == (job.before, job.after):
            self._show(result.comparison)
            self._follow_controls()

    def _follow_controls(self) -> None:
        """Cut the difference where the controls are now: one run at a time, the latest wish wins."""
        before, controls = self._pair[0], self.panel.controls
        self._refresh()
        if self._comparison is None or before is None or self._job is not None:
            return
        if "rethreshold" in self._runs:
            self._stale = True
            return
        if controls.dragging:
            self._hide_boxes()
        settings = self._comparison.settings
        asked = controls.threshold, controls.min_area.value()
        boxes_wait = self._hidden_boxes is not None and not controls.dragging
        if boxes_wait or asked != (settings.threshold, settings.min_area):
            self._start("rethreshold", partial(rethreshold, self._comparison, *asked, before), self._take_cut)

    def _take_cut(self, result: Result) -> None:
        """Place regions cut anew; boxes, which take long to draw, only when the slider is at rest."""
        del self._runs["rethreshold"]
        before, after = self._pair
        if before is None or after is None:
            return
        dragging = self.panel.controls.dragging
        self._place(result, before, after, {"labels"} if dragging else {"labels", "shapes"}, add=False)
        self._show(result.comparison)
        if not dragging:
            self._show_boxes()
        if self._stale:
            self._stale = False
            self._follow_controls()

    def _place(self, result: Result, before: Image, after: Image, kinds: set[str], *, add: bool = True) -> None:
        self.tour.unmark()
        self._placing = True
        try:
            layers = [layer_data for layer_data in result.layers if layer_data[2] in kinds]
            place(self._viewer, result.comparison, before, after, layers, add=add)
        finally:
            self._placing = False

    def _hide_boxes(self) -> None:
        boxes = self._find_results().get("shapes")
        if boxes is not None and boxes.visible:
            self._hidden_boxes = boxes
            boxes.visible = False

    def _show_boxes(self) -> None:
        if self._hidden_boxes is not None:
            self._hidden_boxes.visible = True
            self._hidden_boxes = None

    def _find_results(self) -> dict[str, Any]:
        before, after = self._pair
        return {} if before is None or after is None else results_of(self._viewer, before, after)

    def _sync(self) -> None:
        """Show what the viewer has for the picked pair, which may come from a script or an earlier dock."""
        pair = self.panel.pickers.before, self.panel.pickers.after
        if pair != self._pair:
            self._listen(pair)
            self._pair, self._message = pair, ""
        before, after = pair
        known = None if before is None or after is None else comparison_of(self._viewer, before, after)
        if known is not self._comparison and not self._placing:
            self._drop_cut()
            if known is not None:
                self.panel.controls.show_settings(known.settings)
                self.panel.form.show_settings(known.settings)
            self._show(known)
        self._refresh()

    def _listen(self, pair: tuple[Image | None, Image | None]) -> None:
        """Hear of it when the picked layers get other data or another place."""
        for layer in self._pair:
            if layer is not None:
                layer.events.data.disconnect(self._hear_of_data)
                for name in PLACE:
                    getattr(layer.events, name).disconnect(self._hear_of_place)
        for layer in pair:
            if layer is not None:
                layer.events.data.connect(self._hear_of_data)
                for name in PLACE:
                    getattr(layer.events, name).connect(self._hear_of_place)

    def _hear_of_data(self, event: Any) -> None:
        """Say that the result is of other data than the layer has now."""
        if self._comparison is not None and self._job is None:
            self._message = f"'{event.source.name}' has other data now. Press Compare again."
        self._refresh()

    def _hear_of_place(self, event: Any) -> None:
        self._refresh()

    def _show(self, comparison: Comparison | None) -> None:
        self._comparison = comparison
        self.tour.show(comparison)
        self.panel.result.setText("Not compared yet." if comparison is None else describe_result(comparison))
        if comparison is not None and self.panel.controls.auto.isChecked():
            self.panel.controls.show_number(comparison.threshold)

    def _show_position(self) -> None:
        count = None if self._comparison is None else len(self._comparison.regions)
        self.panel.show_position(self.panel.table.position, count)

    def _show_progress(self, done: int, total: int) -> None:
        self.panel.progress.setRange(0, total)
        self.panel.progress.setValue(done)

    def _say(self, message: str) -> None:
        self._message = message
        self._refresh()

    def _refresh(self) -> None:
        """Bring buttons, progress and notice up to date."""
        panel, running = self.panel, self._job is not None
        obstacle = self._find_obstacle()
        before, after = self._pair
        remark = "" if obstacle or before is None or after is None else describe_transforms(before, after)
        notice = "\n".join(filter(None, (obstacle, self._message, self._find_change(), remark)))
        panel.notice.setText(breakable(notice))
        panel.notice.setVisible(bool(notice))
        panel.compare_button.setEnabled(not obstacle)
        panel.show_running(running)

    def _find_obstacle(self) -> str:
        """Return why the two cannot be compared, "" if they can."""
        offered = self.panel.pickers.offered
        if not offered:
            return "Open two images to compare: drag them into the window, or try File > Open Sample."
        if len(offered) == 1:
            return f"Open a second image to compare '{offered[0].name}' with."
        try:
            self._read_settings()
        except ValueError as error:
            return f"{error}."
        return explain_mismatch(*self._pair)

    def _find_change(self) -> str:
        """Return that the result is of other settings than the form has now, "" if it is not."""
        if self._comparison is None or self._job is not None:
            return ""
        shown = self._comparison.settings
        if all(getattr(shown, name) == value for name, value in self.panel.form.values.items()):
            return ""
        return "The advanced settings have changed. Press Compare to use them."

    def _read_settings(self) -> Settings:
        controls = self.panel.controls
        return Settings(threshold=controls.threshold, min_area=controls.min_area.value(), **self.panel.form.values)

    def _connect(self) -> None:
        panel, layers = self.panel, self._viewer.layers
        panel.pickers.changed.connect(self._sync)
        panel.compare_button.clicked.connect(self.compare)
        panel.cancel_button.clicked.connect(self.cancel)
        panel.reset_button.clicked.connect(self.reset)
        panel.copy_button.clicked.connect(panel.table.copy)
        panel.next_button.clicked.connect(self.tour.go_next)
        panel.previous_button.clicked.connect(self.tour.go_previous)
        panel.controls.changed.connect(self._follow_controls)
        panel.controls.released.connect(self._follow_controls)
        panel.form.changed.connect(self._refresh)
        self.tour.moved.connect(self._show_position)
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered, layers.events.renamed):
            event.connect(self.reset_choices)


def _cancel_all(runs: dict[str, Run], *_: object) -> None:
    for run in runs.values():
        run.cancel()


def _ignore(_: object) -> None:
    """Take nothing."""
