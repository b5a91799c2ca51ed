"""The dock widget: pick two layers, compare, and see the result follow its controls."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent
from qtpy.QtGui import QEnterEvent, QHideEvent, QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..layers import features_of
from ..looks import Pair
from ..masks import add_to_mask, pixels_of, pixels_of_all
from ..overlaying import Overlay, is_aligned, toggle_alignment
from ..placing import ALWAYS, Frame, annotate, comparison_of, frame_compared, place, remove, results_of, role_of
from ..settings import Settings
from ..tables import count_rows
from ..verdicts import NOT_REAL, OPEN, REAL, Verdict
from .contrast import SameContrast
from .copying import Copier
from .cutting import Cutter
from .exporting import Exporter
from .following import Follower
from .keys import find_keys
from .keys_help import KeysHelp
from .looking import WAYS, Looker
from .notices import find_change, find_obstacle, find_way
from .panel import Panel, breakable, scrolling
from .pickers import SHOWN, LayerListener
from .preferences import begin_settings, key_events
from .probe import describe_values
from .reviewing import Reviewer, add_review, review_of
from .running import Runs
from .seeing import see
from .storing import load_settings, save_settings_of
from .tour import RegionTour
from .viewing import CanvasHooks, frame_of, go_to_frame
from .work import Job, Result, warm_up

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image, Layer

    from ..comparison import Comparison

__all__ = ["ComparisonWidget"]

# What moves a layer in the viewer, and what changes a mask
PLACE = ("scale", "translate", "rotate", "shear", "affine", "units")
DRAWING = ("data", "labels_update", "paint", *PLACE)

ROLES = (*ALWAYS, "evidence", "forgiven")

VERDICT_KEYS: dict[str, Verdict] = {"real": REAL, "not_real": NOT_REAL, "open": OPEN}

CANCELLED = "Cancelled."
PREPARING = "Preparing: the first time on a machine this takes some 20 seconds."


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
        self._mask: dict[str, Layer] = {}
        self._comparison: Comparison | None = None
        self._job: Job | None = None
        self._message = ""
        self._placing = False
        self._runs = Runs()
        # Not a method of this object, which is half gone when it is destroyed
        self.destroyed.connect(partial(_cancel_all, self._runs))
        self._listeners = {
            "data": LayerListener(["data"], self._hear_of_data),
            "place": LayerListener(PLACE, self._hear_of_other),
            "mask": LayerListener(DRAWING, self._hear_of_data),
        }
        self.panel = Panel(napari_viewer)
        self.tour = RegionTour(napari_viewer, self.panel.table, self._find_results, self)
        self.cutter = Cutter(self.panel.controls, self._runs, self._find_results, self)
        self.contrast = SameContrast(napari_viewer)
        self.looker = Looker(napari_viewer, self._find_pair, self._find_results, self)
        self.panel.ways.connect(self.looker)
        self._hooks: CanvasHooks | None = None
        self._keys_trouble = ""
        self.keys_help = KeysHelp(self)
        self.reviewer = Reviewer(self.panel, self._runs, self._find_shown, self)
        self.follower = Follower(napari_viewer, self.panel, self._runs, self)
        sight = partial(see, napari_viewer, self.looker, self.panel)
        self.exporter = Exporter(self.panel.export_button, self._find_shown, sight, self)
        self.copier = Copier(self.panel, napari_viewer, self._find_shown, self._say, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(scrolling(self.panel))
        self.panel.show_settings(begin_settings())
        self._connect()
        self._show(None)
        self._sync()
        self._runs.begin("warm up", warm_up, partial(_forget, self._runs, "warm up"), self._fail)

    @property
    def running(self) -> bool:
        """Whether a comparison or a cut is under way."""
        return self._job is not None or self.cutter.running or self.follower.running

    def compare(self) -> None:
        """Compare the two picked layers with the settings of the form; an earlier run is given up."""
        self.panel.follow_box.setChecked(False)
        self._stop()
        self._say("")
        before, after = self._pair
        if find_obstacle(self.panel, *self._pair) or before is None or after is None:
            return
        if "warm up" in self._runs:
            self._message = PREPARING
            # What of it is needed now comes with the comparison
            self._runs.cancel("warm up")
        try:
            panel = self.panel
            by_index = panel.index_box.isChecked()
            self._job = Job.of(before, after, self._mask, panel.read_settings(), panel.pickers.frame, by_index)
        except ValueError as error:
            self._say(f"{error}.")
            return
        run = self._runs.begin("compare", self._job.run, self._take_comparison, self._fail)
        run.progressed.connect(self.panel.show_progress)
        self._refresh()

    def compare_selected(self) -> None:
        """Pick the two layers selected in the layer list, the lower as before, and compare them."""
        if self.panel.pickers.pick_selected():
            self.compare()
        else:
            self._say("Select two Image layers in the layer list first.")

    def cancel(self) -> None:
        """Give up what is under way; what is shown stays."""
        if self._job is not None or self.cutter.running:
            self._stop()
            self._say(CANCELLED)
        self.exporter.cancel()

    def follow(self, wanted: bool) -> None:
        """Compare what is on the screen whenever it changes, or no longer."""
        if wanted:
            self._stop()
            self._runs.cancel("warm up")
            self._message = ""
            self.follower.start()
        else:
            self.follower.stop()
            self._message = "The viewer is not followed any more: the last result stays." if self._comparison else ""
        self._refresh()

    def ignore_region(self) -> None:
        """Add the marked region to what is ignored, and compare again."""
        before, label = self._pair[0], self.panel.table.label
        if self._comparison is not None and before is not None and label:
            self._ignore(partial(pixels_of, self._comparison, label, before), before)

    def align_after(self) -> None:
        """Lay the after layer on before as it was found to lie, or put it back."""
        before, after = self._pair
        if before is not None and after is not None:
            toggle_alignment(self._comparison, before, after)
            self._refresh()

    def show_extra(self, role: str, wanted: bool) -> None:
        """Show a layer that not every comparison has, or take it out of the viewer."""
        before, after = self._pair
        if self._comparison is None or before is None or after is None:
            return
        if wanted:
            result = Result.of(self._comparison, before, after)
            frame = frame_compared(self._viewer, before, after)
            with self.looker.set_aside():
                self._place(result, before, after, frame=frame, roles=[role], add=[role])
        else:
            remove(self._viewer, before, after, role)
        self._refresh()

    def go_to_frame(self, index: int) -> None:
        """Show a frame, told by its number from the first on, of the stack that was compared."""
        layers = self._find_results()
        if self._comparison is not None and layers:
            place = np.unravel_index(index, np.shape(self._comparison.score))
            go_to_frame(self._viewer, next(iter(layers.values())), tuple(int(step) for step in place))

    def go_to_worst_frame(self) -> None:
        """Show the frame with the lowest score."""
        if self._comparison is not None and self._comparison.frames:
            self.go_to_frame(int(np.ravel_multi_index(self._comparison.worst_frame, np.shape(self._comparison.score))))

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
        if (events := key_events()) is not None:
            events.connect(self._bind_keys)
        self._bind_keys()
        self.reset_choices()
        if self.panel.follow_box.isChecked():
            self.follow(True)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Leave keys and clicks to others, and follow nothing. No more than that: floating hides the dock too."""
        super().hideEvent(event)
        if (events := key_events()) is not None:
            events.disconnect(self._bind_keys)
        self._release_keys()
        self.follower.stop()
        # Without its keys and buttons nothing would end it; it goes on if the dock only floats
        self.looker.settle()

    def enterEvent(self, event: QEnterEvent | None) -> None:
        """Catch up with what a script did to the result meanwhile."""
        super().enterEvent(event)
        self._sync()

    def changeEvent(self, event: QEvent | None) -> None:
        """Give up what is under way when the dock is closed: napari takes it out of its parent then."""
        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._stop()
            self.follower.stop()
            self._runs.cancel()
            self.looker.leave()
            self.contrast.stop()

    def show_alike(self, wanted: bool) -> None:
        """Show both images with the same contrast, or each with its own again."""
        before, after = self._pair
        if wanted and before is not None and after is not None and not self.contrast.explain(before, after):
            self.contrast.start(before, after)
        else:
            self.contrast.stop()
        self._refresh()

    def act(self, name: str) -> Callable[[], None] | None:
        """Do what a key stands for (its name in `keys.ACTIONS`); return what is done when it is let go, if anything."""
        if name == "blink":
            return self.looker.hold()
        if name in WAYS:
            self.looker.toggle(name)
        elif name == "leave":
            self.looker.leave()
        elif name == "same_contrast":
            self.show_alike(not self.contrast.active)
        elif name in VERDICT_KEYS:
            self.reviewer.decide(VERDICT_KEYS[name])
        elif name == "note":
            self.panel.review.note.setFocus()
        elif name in ("next_region", "previous_region"):
            self.panel.table.step(1 if name == "next_region" else -1)
        return None

    def _bind_keys(self, event: Any = None) -> None:
        """Listen to clicks in the canvas, and to the keys that the user wants now."""
        self._release_keys()
        keys, self._keys_trouble = find_keys()
        self._hooks = CanvasHooks(self._viewer, self.tour.pick_at, self.act, keys)
        if taken := self._hooks.attach():
            words = f"Keys that are bound to something else in this viewer stay so: {', '.join(taken)}."
            self._keys_trouble = f"{self._keys_trouble} {words}".strip()
            keys = {name: key for name, key in keys.items() if key not in taken}
        self.panel.show_keys(keys)
        self.keys_help.show_keys(keys)
        self._refresh()

    def _release_keys(self) -> None:
        if self._hooks is not None:
            self._hooks.release()
            self._hooks = None

    def _show_values(self, event: Any = None) -> None:
        """Show what is under the pointer."""
        pair, text = self._find_pair(), ""
        if pair is not None:
            text = describe_values(pair, self._find_results().get("diff map"), tuple(self._viewer.cursor.position))
        self.panel.ways.show_values(text)

    def _stop(self) -> None:
        """Give up what is under way, but for warming up."""
        self._message = self._message.removeprefix(PREPARING)
        self._runs.cancel("compare")
        self._job = None
        self.cutter.drop()
        self._refresh()

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
        with self.looker.set_aside():
            comparison = self._place(result, job.before, job.after, add=ALWAYS, frame=job.frame, masks=job.layers)
            if self._pair == (job.before, job.after):
                self._show(comparison)
        if self._pair == (job.before, job.after):
            self._follow_controls()

    def _follow_controls(self) -> None:
        """Cut the difference or the evidence where the controls are now."""
        before, after = self._pair
        if self.follower.active:
            self.follower.wish()
        elif self._comparison is not None and before is not None and after is not None and self._job is None:
            self.cutter.follow(self._comparison, before, after)
        if not self.panel.controls.dragging:
            # While it is dragged, each cut does so
            self._refresh()

    def _take_cut(self, result: Result) -> None:
        before, after = self._pair
        if before is not None and after is not None:
            dragging = self.panel.controls.dragging
            frame = frame_compared(self._viewer, before, after)
            roles = ["filled mask"] if dragging else ROLES
            comparison = self._place(result, before, after, frame=frame, roles=roles)
            self._message = self._message.removeprefix(CANCELLED)
            self._show(comparison)
            self._refresh()

    def _take_frame(self, result: Result) -> None:
        """Place what is on the screen; layers that the user has taken out of the viewer stay out."""
        before, after = self._pair
        if before is not None and after is not None:
            results = self._find_results().values()
            shown, ndim = bool(results), result.comparison.labels.ndim
            # Layers that are added, or take the place of others, would lie over what is looked at
            same = shown and all(layer.ndim == ndim for layer in results)
            with nullcontext() if same else self.looker.set_aside():
                comparison = self._place(
                    result, before, after, frame=None, add=() if shown else ALWAYS, masks=self._mask
                )
                self._show(comparison)
            self._refresh()

    def _place(
        self,
        result: Result,
        before: Image,
        after: Image,
        *,
        frame: Frame,
        roles: Container[str] = ROLES,
        add: Container[str] = (),
        masks: Mapping[str, Layer] | None = None,
    ) -> Comparison:
        """Put layers of a result into the viewer; return the comparison, with what was decided of it until now."""
        comparison = result.comparison
        self.tour.unmark()
        self._placing = True
        try:
            layers = [layer_data for layer_data in result.layers if role_of(layer_data[1]) in roles]
            place(self._viewer, comparison, before, after, layers, add=add, frame=frame, masks=masks)
            if review_of(before, after) is not result.review:
                # Something was decided while it was worked out
                comparison = add_review(comparison, review_of(before, after))
                annotate(self._viewer, comparison, before, after, features_of(comparison))
        finally:
            self._placing = False
        return comparison

    def _find_results(self) -> dict[str, Any]:
        before, after = self._pair
        return {} if before is None or after is None else results_of(self._viewer, before, after)

    def _sync(self) -> None:
        """Show what the viewer has for the picked pair, which may come from a script or an earlier dock."""
        pickers = self.panel.pickers
        pair, mask = (pickers.before, pickers.after), pickers.picked_mask
        pair_changed = pair != self._pair
        if pair_changed:
            self._message = ""
        elif mask != self._mask and self._comparison is not None and not self.follower.active:
            self._message = "Other pixels are to count now. Press Compare."
        self._pair, self._mask = pair, mask
        for name, layers in ("data", pair), ("place", pair), ("mask", mask.values()):
            self._listeners[name].follow(layers)
        before, after = pair
        known = None if before is None or after is None else comparison_of(self._viewer, before, after)
        if known is not self._comparison and not self._placing:
            self.cutter.drop()
            if known is not None and before is not None and after is not None:
                self.panel.show_settings(known.settings)
                if "verdict" not in known.region_columns or review_of(before, after):
                    # It comes from a script, or something was decided as another pair was picked
                    known = add_review(known, review_of(before, after))
                    annotate(self._viewer, known, before, after, features_of(known))
            self._show(known)
        self.follower.sync()
        self.looker.sync()
        if pair_changed:
            self.contrast.stop()
        self._refresh()

    def _hear_of_data(self, event: Any) -> None:
        """Say that the result is of other data than a layer has now, which may have other axes."""
        self.panel.pickers.refresh()
        if self.follower.active:
            self.follower.wish()
        elif self._comparison is not None and self._job is None:
            self._message = f"'{event.source.name}' has other data now. Press Compare again."
        self._refresh()

    def _follow_sliders(self, event: Any = None) -> None:
        """Mark the frame that is on the screen in the curve."""
        layers = self._find_results() if self._comparison is not None and self._comparison.frames else {}
        if self._comparison is None or not layers:
            return
        leading = np.shape(self._comparison.score)
        if self.panel.pickers.way == SHOWN:
            self._refresh()
        frame = frame_of(self._viewer, next(iter(layers.values())))[: len(leading)]
        inside = all(0 <= place < length for place, length in zip(frame, leading, strict=True))
        self.panel.curve.show_current(int(np.ravel_multi_index(frame, leading)) if inside else -1)

    def _change_way(self, by_index: bool) -> None:
        """Compare by index, or where the layers lie, from the next comparison on."""
        self.follower.sync()
        self._refresh()
        self.looker.sync()

    def _hear_of_other(self, event: Any = None) -> None:
        """Follow settings of the form, or layers that moved."""
        self.follower.wish()
        self._refresh()

    def _show(self, comparison: Comparison | None) -> None:
        self._comparison = comparison
        self.tour.show(comparison)
        self.looker.show(comparison)
        self.panel.show_comparison(comparison)
        self._follow_sliders()

    def _show_position(self) -> None:
        table, found = self.panel.table, self._comparison
        left = 0 if found is None else int(np.count_nonzero(found.region_columns.get("verdict", ()) == OPEN))
        total = None if found is None else count_rows(found.region_columns)
        self.panel.show_position(table.position, table.count, total, left)
        self.looker.mark(table.label)
        self.reviewer.show(table.label)

    def _find_pair(self) -> Pair | None:
        """Return the two layers to look at."""
        before, after = self._pair
        box = self.panel.index_box
        by_index = box.isChecked() and not box.isHidden()
        return None if before is None or after is None else Pair(before, after, self.panel.pickers.frame, by_index)

    def _take_decision(self, comparison: Comparison) -> None:
        """Show what was decided of the regions, in the table and in the layers."""
        before, after = self._pair
        if before is None or after is None:
            return
        self._comparison = comparison
        annotate(self._viewer, comparison, before, after, features_of(comparison))
        self.tour.renew(comparison)
        self._refresh()

    def _filter(self, words: str) -> None:
        """Show the regions alone that meet a filter."""
        try:
            self.panel.table.filter(words)
            self._say("")
        except ValueError as error:
            self._say(f"{error}.")
        self._show_position()

    def _take_settings(self, settings: Settings) -> None:
        """Compare with the settings of a review, whose verdicts are shown then."""
        message = self._message
        self.panel.show_settings(settings)
        self.compare()
        self._say(message)

    def ignore_not_real(self) -> None:
        """Add all regions that are not real to what is ignored, and compare again."""
        before, found = self._pair[0], self._comparison
        if found is None or before is None or self._job is not None:
            return
        columns = found.region_columns
        labels = columns["label"][columns["verdict"] == NOT_REAL].tolist()
        if labels:
            self._ignore(partial(pixels_of_all, found, labels, before, self.panel.pickers.frame), before)
        else:
            self._say("No region is decided to be not real.")

    def _ignore(self, find_pixels: Callable[[], NDArray[np.bool_]], before: Image) -> None:
        """Add pixels to what is ignored, in the layer picked for it or in a new one, and compare again."""
        try:
            mask = add_to_mask(self._viewer, find_pixels(), before, self._mask)
        except ValueError as error:
            self._say(f"{error}.")
            return
        self.panel.pickers.pick_ignored(mask)
        if not self.follower.active:
            self.compare()

    def _find_shown(self) -> tuple[Comparison, Image, Image] | None:
        before, after = self._pair
        found = self._comparison
        return None if found is None or before is None or after is None else (found, before, after)

    def _say(self, message: str) -> None:
        self._message, self.exporter.message = message, ""
        self._refresh()

    def _refresh(self) -> None:
        """Bring buttons, progress and notice up to date."""
        panel, obstacle = self.panel, find_obstacle(self.panel, *self._pair)
        before, after = self._pair
        differs, overlay = find_way(panel, *self._pair)
        remark = "" if obstacle or overlay is None else f"{overlay.describe()}."
        remark = remark[:1].upper() + remark[1:]
        panel.index_box.setVisible(differs)
        stands = self.follower.trouble if self.follower.active and None not in self._pair else obstacle
        change = "" if obstacle else self._say_change(overlay)
        said = stands, self._message, self.looker.message, change, remark, self.exporter.message
        notice = "\n".join(filter(None, (*said, self._keys_trouble)))
        panel.notice.setText(breakable(notice))
        panel.notice.setVisible(bool(notice))
        panel.compare_button.setEnabled(not obstacle)
        slow = self._job is not None or (self.cutter.running and self.cutter.slow) or self.exporter.running
        panel.show_running(slow)
        self.exporter.show(self._comparison, busy=slow or self.cutter.running)
        panel.ways.same_contrast.setChecked(self.contrast.active)
        panel.ways.same_contrast.setEnabled(not self.contrast.explain(before, after))
        panel.show_preset()
        panel.show_extras(self._comparison, self._find_results())
        panel.show_alignment(self._comparison, after is not None and is_aligned(after))

    def _say_change(self, overlay: Overlay | None) -> str:
        """Say that what is picked now is not what was compared; it asks for Compare, which can be pressed."""
        if self._comparison is None or self._job is not None or self.follower.active:
            return ""
        return find_change(self._viewer, self.panel, self._comparison, *self._pair, overlay)

    def _take_preset(self, settings: Settings) -> None:
        """Show the settings of a preset; a result that is shown follows, as far as it can."""
        self.panel.show_settings(settings)
        self._follow_controls()

    def save_settings(self) -> None:
        """Ask for a file, and save the settings in it."""
        self._say(save_settings_of(self.panel))

    def load_settings(self) -> None:
        """Ask for a file of settings, and show them; a result that is shown follows, as far as it can."""
        self._say(load_settings(self.panel, self._take_preset))

    def _connect(self) -> None:
        panel, layers = self.panel, self._viewer.layers
        panel.pickers.changed.connect(self._sync)
        panel.compare_button.clicked.connect(self.compare)
        panel.cancel_button.clicked.connect(self.cancel)
        panel.presets.chosen.connect(self._take_preset)
        panel.ways.keys_button.clicked.connect(self.keys_help.open_window)
        panel.save_button.clicked.connect(self.save_settings)
        panel.load_button.clicked.connect(self.load_settings)
        panel.align_button.clicked.connect(self.align_after)
        panel.evidence_box.clicked.connect(partial(self.show_extra, "evidence"))
        panel.forgiven_box.clicked.connect(partial(self.show_extra, "forgiven"))
        panel.ignore_button.clicked.connect(self.ignore_region)
        panel.next_button.clicked.connect(self.tour.go_next)
        panel.curve.picked.connect(self.go_to_frame)
        panel.worst_button.clicked.connect(self.go_to_worst_frame)
        self._viewer.dims.events.point.connect(self._follow_sliders)
        panel.previous_button.clicked.connect(self.tour.go_previous)
        panel.controls.changed.connect(self._follow_controls)
        panel.controls.released.connect(self._follow_controls)
        panel.form.changed.connect(self._hear_of_other)
        panel.follow_box.toggled.connect(self.follow)
        panel.index_box.toggled.connect(self._change_way)
        self.cutter.cut.connect(self._take_cut)
        self.cutter.progressed.connect(panel.show_progress)
        self.cutter.again.connect(self._follow_controls)
        self.cutter.failed.connect(self._fail)
        self.exporter.changed.connect(self._refresh)
        self.exporter.progressed.connect(panel.show_progress)
        self.follower.found.connect(self._take_frame)
        self.follower.stumbled.connect(self._refresh)
        self.tour.moved.connect(self._show_position)
        self.reviewer.decided.connect(self._take_decision)
        self.reviewer.said.connect(self._say)
        self.reviewer.settings_wanted.connect(self._take_settings)
        panel.filter.textChanged.connect(self._filter)
        self.reviewer.ignore_wanted.connect(self.ignore_not_real)
        self.looker.changed.connect(self._refresh)
        panel.ways.same_contrast.clicked.connect(self.show_alike)
        self._viewer.cursor.events.position.connect(self._show_values)
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered, layers.events.renamed):
            event.connect(self.reset_choices)


def _cancel_all(runs: Runs, *_: object) -> None:
    runs.cancel()


def _forget(runs: Runs, kind: str, _: object) -> None:
    runs.cancel(kind)
