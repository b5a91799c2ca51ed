"""Following the viewer: what is on the screen is compared, frame against frame, whenever it changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal

from ..geometry import array_of, physical_of
from ..layers import channels_of, explain_mismatch
from ..masks import mask_of
from ..overlaying import Overlay, add_record, find_overlay, lay
from ..placing import Frame
from ..settings import Settings
from ..sources import Part, as_dask, is_lazy, open_source
from .pickers import LayerListener
from .running import Progress, Runs
from .viewing import frame_of
from .work import Result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from .panel import Panel

__all__ = ["Follower"]

Place: TypeAlias = tuple[int, ...]
"""Index of a frame, one number for each leading axis; () of a single plane."""

# Frames of more numbers are compared in chunks, if they are stored so.
MOST_READ = 2**26

# napari tells of other data, and of what a script wrote into them, once it refreshes the layer
CONTENT = ("data", "set_data")


class Follower(QObject):
    """Compares the frames on the screen whenever something changes: one run at a time, the latest wish wins.

    `found` hands over a result, `stumbled` tells that there is other `trouble` now, or none.

    What is under way when something changes comes late. The first result that does so is dropped, since the right one
    comes next. If that one is late, too, the viewer is moving (played, painted on, fed by a camera), and results are
    shown as they come, frames in between left out, until it rests.
    """

    found = Signal(object)
    stumbled = Signal()
    _wished = Signal()

    def __init__(self, viewer: ViewerModel, panel: Panel, runs: Runs, parent: QObject) -> None:
        super().__init__(parent)
        self.active = False
        self.trouble = ""
        self._viewer = viewer
        self._panel = panel
        self._runs = runs
        self._picked: tuple[Any, ...] = ()
        self._frame: Frame = None
        self._late = False
        self._moving = False
        self._listener = LayerListener(CONTENT, self.wish)
        # What happens in one turn of the event loop is one change; a timer would come after napari has drawn it
        self._waiting = False
        self._wished.connect(self._begin_waiting, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        """Whether a comparison is under way, or about to be."""
        return "follow" in self._runs or self._waiting

    def start(self) -> None:
        """Follow from now on."""
        if not self.active:
            self.active = True
            for event in self._events():
                event.connect(self.wish)
            self.sync()

    def stop(self) -> None:
        """Follow no longer, and leave nothing behind in the viewer."""
        if self.active:
            self.active = False
            for event in self._events():
                event.disconnect(self.wish)
            self._listener.follow(())
            self._picked = ()
            self._drop()

    def sync(self) -> None:
        """Follow the layers that are picked now."""
        pickers = self._panel.pickers
        picked = pickers.before, pickers.after, pickers.way, pickers.picked_mask, self._panel.index_box.isChecked()
        if self.active and picked != self._picked:
            self._drop()
            self._picked = picked
            # The frame that was shown stays the one that the others are held against
            self._frame = pickers.frame
            self._listener.follow(dict.fromkeys(picked[:2]))
            self.wish()

    def wish(self, event: Any = None) -> None:
        """Compare what is on the screen, as soon as what is under way is through."""
        if not self.active:
            return
        if "follow" in self._runs:
            self._late = True
        elif not self._waiting:
            self._waiting = True
            self._wished.emit()

    def _begin_waiting(self) -> None:
        if self._waiting:
            self._waiting = False
            self._begin()

    def _begin(self) -> None:
        self._late = False
        if None in self._picked[:2]:
            return
        try:
            job = self._find_job()
        except ValueError as error:
            self._tell(str(error))
            return
        self._runs.begin("follow", job.run, self._take, self._fail, stand_back=False)

    def _find_job(self) -> _Job:
        """Return what is to be compared now; raise ValueError if it cannot be."""
        before, after, *_ = self._picked
        settings = self._panel.read_settings()
        if settings.spatial_ndim == 3:
            raise ValueError(
                "Single planes are followed, and 3 dimensions are set. Set 2 (Advanced) to follow, or press Compare."
            )
        by_index = self._panel.index_box.isChecked()
        obstacle = explain_mismatch(before, after, settings.size, self._frame, whole=False, by_index=by_index)
        if obstacle:
            raise ValueError(obstacle)
        overlay = find_overlay(before, after, self._frame, by_index=by_index, whole=False)
        places = _place_of(self._viewer, before, self._frame), _place_of(self._viewer, after, None)
        settings = Settings.resolve(settings, channels=channels_of(before, after), spatial_ndim=2)
        drawn = {name: mask_of(layer, before, places[0]) for name, layer in self._panel.pickers.picked_mask.items()}
        return _Job(before, after, (array_of(before), array_of(after)), places, drawn, settings, overlay)

    def _take(self, result: Result) -> None:
        """Hand over a result; the next comparison is begun before, to run while napari draws."""
        del self._runs["follow"]
        late, dropped = self._late, self._late and not self._moving
        self._moving = late
        self._tell("")
        if late:
            self._begin()
        if not dropped:
            self.found.emit(result)

    def _fail(self, message: str) -> None:
        del self._runs["follow"]
        if self._late:
            self._begin()
        else:
            self._tell(message)

    def _drop(self) -> None:
        self._runs.cancel("follow")
        self._late = self._moving = self._waiting = False
        self._tell("")

    def _tell(self, trouble: str) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self.stumbled.emit()

    def _events(self) -> list[Any]:
        events = self._viewer.dims.events
        return [events.point, events.ndisplay, events.order]


class _Job(NamedTuple):
    """A frame of each of two layers to compare, and what of it counts."""

    before: Image
    after: Image
    arrays: tuple[Any, Any]
    places: tuple[Place, Place]
    mask: Mapping[str, Any]
    settings: Settings
    overlay: Overlay | None

    def run(self, progress: Progress) -> Result:
        """Compare copies of the two frames, which hold still while the layers are painted on."""
        from ..comparison import compare

        layers = self.before, self.after
        one, other = (_pick(*each) for each in zip(layers, self.arrays, self.places, strict=True))
        laid = lay(self.overlay, (one, other), (self.before.rgb, self.after.rgb), progress)
        found = compare(
            laid.before,
            laid.after,
            self.settings,
            world=physical_of(self.before, 2),
            overlap=laid.overlap,
            progress=progress,
            **self.mask,
        )
        found = add_record(found, self.overlay)
        if shown := self._describe():
            frames = dict(zip(("before", "after"), self.places, strict=True))
            found = dataclasses.replace(found, resolved={**found.resolved, "shown": shown, "shown_frames": frames})
        return Result.of(found, self.before, self.after)

    def _describe(self) -> str:
        """Say which frames they are, "" of single planes."""
        before, after = self.places
        place, array = (after, self.arrays[1]) if after else (before, self.arrays[0])
        if not place:
            return ""
        ends = (0,) * len(place), tuple(length - 1 for length in array.shape[: len(place)])
        words = f"frame {_plain(place)} of {_plain(ends[0])} to {_plain(ends[1])}"
        return words if before in ((), place) else f"{words}, against frame {_plain(before)} of '{self.before.name}'"


def _pick(layer: Image, array: Any, place: Place) -> Any:
    """Return a copy of a frame; one that is read in chunks, and has too many pixels for memory, as it is."""
    if not is_lazy(array):
        return np.array(array[place])
    if math.prod(array.shape[len(place) :]) > MOST_READ:
        return as_dask(array)[place]
    rows, columns = array.shape[len(place) : len(place) + 2]
    return Part(open_source(array, f"'{layer.name}'"), (*place, slice(0, rows), slice(0, columns))).read()


def _place_of(viewer: ViewerModel, layer: Image, frame: Frame) -> Place:
    """Return the index of the frame of a layer on the screen, or of what `frame` takes instead (see `add_comparison`).

    Raises
    ------
    ValueError
        If there is none.
    """
    lead = layer.ndim - 2
    first = viewer.dims.ndim - layer.ndim
    if any(first <= axis < first + lead for axis in viewer.dims.displayed):
        raise ValueError(
            f"No single frame of '{layer.name}' is on the screen. Show its rows and columns, in 2-D, to follow."
        )
    place, lengths = frame_of(viewer, layer), array_of(layer).shape[:lead]
    if isinstance(frame, int):
        place = (frame, *place[1:])
    if not all(0 <= index < length for index, length in zip(place, lengths, strict=True)):
        raise ValueError(
            f"'{layer.name}' has {_plain(lengths)} frames and none where the sliders are. Move them, to follow."
        )
    return (max(place[0] - 1, 0), *place[1:]) if frame == "previous" else place


def _plain(place: Place) -> str:
    """Return an index or lengths as a number, or as several where there are several axes."""
    return str(place[0]) if len(place) == 1 else f"({', '.join(map(str, place))})"
