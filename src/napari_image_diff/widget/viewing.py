"""What the dock does in the canvas: going to a region, marking its box, listening to clicks and keys."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from app_model.types import KeyBinding
from numpy.typing import NDArray

from ..layers import MARK_COLOR

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Layer, Shapes

    from ..comparison import Comparison

__all__ = ["BoxMark", "CanvasHooks", "frame_of", "go_to", "go_to_frame", "region_at"]

# A region takes up a third of the view; of tiny ones, this many pixels of their surroundings are shown.
REGION_SHARE = 1 / 3
LEAST_VIEW = 96.0

# A hand that trembles by as many canvas pixels still clicks; beyond them it drags.
CLICK_REACH = 3


def go_to(viewer: ViewerModel, layer: Layer, region: pd.Series[Any]) -> None:
    """Centre and zoom the view on a region, which is in the data coordinates of `layer`.

    In the 2-D view of a volume that is on the plane of its centroid.
    """
    axes = ("plane", "row", "col") if "min_plane" in region else ("row", "col")
    # The columns after the label are the leading axes
    frame = tuple(region.iloc[1 : layer.ndim - len(axes) + 1])
    ends = [(region[f"min_{axis}"] - 0.5, region[f"max_{axis}"] - 0.5) for axis in axes]
    corners = [layer.data_to_world((*frame, *corner)) for corner in itertools.product(*ends)]
    # In a viewer with more dimensions, a layer's axes are the last ones
    offset = viewer.dims.ndim - layer.ndim
    centroid = [round(region[f"centroid_{axis}"]) for axis in axes[:-2]]
    middle = [np.mean(end) for end in ends[-2:]]
    _set_sliders(viewer, layer, np.array(layer.data_to_world((*frame, *centroid, *middle))))
    shown = [axis - offset for axis in viewer.dims.displayed if axis >= offset]
    if len(shown) < 2:
        return
    world = np.array(corners)[:, shown]
    origin, right = (layer.data_to_world((*np.zeros(layer.ndim - 1), place)) for place in (0, 1))
    pixel = np.linalg.norm(np.subtract(right, origin))
    extent = np.maximum(np.ptp(world, axis=0) / REGION_SHARE, LEAST_VIEW * pixel)
    camera = viewer.scene.camera
    camera.center = (*camera.center[: -len(shown)], *(world.min(axis=0) + world.max(axis=0)) / 2)
    camera.zoom = float(np.min(np.array(viewer.canvas.viewbox_size(viewer.layers)) / extent[-2:]))


def go_to_frame(viewer: ViewerModel, layer: Layer, frame: tuple[int, ...]) -> None:
    """Move the sliders to a frame of `layer`; of volumes the plane stays."""
    here = layer.world_to_data(viewer.dims.point)[-layer.ndim :]
    _set_sliders(viewer, layer, np.array(layer.data_to_world((*frame, *here[len(frame) :]))))


def frame_of(viewer: ViewerModel, layer: Layer) -> tuple[int, ...]:
    """Return the frame of `layer`, of volumes with the plane, that is on the screen, if there is one there or not."""
    return tuple(round(place) for place in layer.world_to_data(viewer.dims.point)[-layer.ndim : -2])


def _set_sliders(viewer: ViewerModel, layer: Layer, world: NDArray[np.float64]) -> None:
    offset = viewer.dims.ndim - layer.ndim
    hidden = [axis for axis in range(layer.ndim) if axis + offset not in viewer.dims.displayed]
    if hidden:
        viewer.dims.set_point([axis + offset for axis in hidden], [float(world[axis]) for axis in hidden])


def region_at(comparison: Comparison, layer: Layer, position: tuple[float, ...]) -> int:
    """Return the label of the region at a place in the world, or of the smallest box round it; 0 if there is none."""
    index = tuple(round(place) for place in layer.world_to_data(position)[-comparison.labels.ndim :])
    if not all(0 <= place < length for place, length in zip(index, comparison.labels.shape, strict=True)):
        return 0
    if comparison.labels[index]:
        return int(comparison.labels[index])
    regions = comparison.regions
    here = np.ones(len(regions), np.bool_)
    sides = comparison.settings.spatial_ndim
    for axis, place in zip(("plane", "row", "col")[-sides:], index[-sides:], strict=True):
        here &= (regions[f"min_{axis}"] <= place).to_numpy() & (place < regions[f"max_{axis}"]).to_numpy()
    for axis, place in zip(comparison.resolved.get("frames", ()), index[:-sides], strict=True):
        here &= (regions[axis] == place).to_numpy()
    inside = np.flatnonzero(here)
    smallest = inside[np.argsort(regions["area"].to_numpy()[inside], kind="stable")[:1]]
    return int(regions["label"].iloc[smallest[0]]) if len(smallest) else 0


class BoxMark:
    """The box in another colour, on all planes: one at a time, and it gets its own colour back."""

    def __init__(self) -> None:
        self._boxes: weakref.ref[Shapes] | None = None
        self._label = 0
        self._color: Any = None

    def put(self, boxes: Shapes | None, label: int) -> None:
        """Mark the box of a region; without a box (beyond those drawn) no mark is put."""
        self.remove()
        if boxes is not None and len(_rows_of(boxes, label)):
            self._boxes, self._label = weakref.ref(boxes), label
            self._color = _paint(boxes, label, MARK_COLOR)

    def remove(self) -> None:
        """Take the mark away."""
        boxes = self._boxes() if self._boxes is not None else None
        if boxes is not None and len(_rows_of(boxes, self._label)):
            _paint(boxes, self._label, self._color)
        self._boxes = None


def _rows_of(boxes: Shapes, label: int) -> NDArray[np.intp]:
    """Return which shapes are of a region; it has more than one in a volume, and none beyond those drawn."""
    if "label" not in boxes.features:
        return np.empty(0, np.intp)
    return np.flatnonzero(boxes.features["label"].to_numpy()[: boxes.nshapes] == label)


def _paint(boxes: Shapes, label: int, color: Any) -> Any:
    """Give the shapes of a region a colour and return the one they had."""
    from napari.utils.colormaps.standardize_color import transform_color

    colors, rows = np.array(boxes.edge_color), _rows_of(boxes, label)
    earlier = colors[rows[0]].copy()
    colors[rows] = transform_color(color)[0]
    boxes.edge_color = colors
    return earlier


class CanvasHooks:
    """Keys and clicks in a viewer's canvas, for as long as the dock is shown: `act` is called with the name of a key.

    The viewer keeps what is bound to it alive, so it gets functions that hold the dock's methods weakly.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        click: Callable[[tuple[float, ...]], None],
        act: Callable[[str], Callable[[], None] | None],
        keys: Mapping[str, str],
    ) -> None:
        self._viewer = viewer
        self._on_drag = _click_listener(click)
        self._keys = {key: _key_listener(act, name) for name, key in keys.items()}
        self._bound: list[str] = []
        self._attached = False

    def attach(self) -> list[str]:
        """Start to listen; return the keys that the user has bound to something else, which stay so."""
        self._attached = True
        self._viewer.mouse_drag_callbacks.append(self._on_drag)
        for key, function in self._keys.items():
            try:
                self._viewer.bind_key(key, function)
            except ValueError:
                continue
            self._bound.append(key)
        return [key for key in self._keys if key not in self._bound]

    def release(self) -> None:
        """Stop listening."""
        if not self._attached:
            return
        self._attached = False
        if self._on_drag in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_drag)
        for key in self._bound:
            # Another function may have come in its place since
            if self._viewer.keymap.get(KeyBinding.from_str(key)) is self._keys[key]:
                self._viewer.bind_key(key, None)
        self._bound.clear()


def _key_listener(act: Callable[[str], Callable[[], None] | None], name: str) -> Callable[[Any], Any]:
    """Return what napari calls when a key is pressed.

    What `act` returns napari calls when the key is let go after it was held (as long as its settings say).
    """
    weak = weakref.WeakMethod(act)

    def on_key(viewer: Any) -> Callable[[], None] | None:
        released = bound(name) if (bound := weak()) is not None else None
        return None if released is None else _weakly(released)

    return on_key


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls a method of what may be gone by then: napari keeps it until the next key."""
    weak = weakref.WeakMethod(method)

    def on_release() -> None:
        if (bound := weak()) is not None:
            bound()

    return on_release


def _click_listener(method: Callable[[tuple[float, ...]], None]) -> Callable[[Any, Any], Iterator[None]]:
    weak = weakref.WeakMethod(method)

    def on_drag(viewer: Any, event: Any) -> Iterator[None]:
        position, button, pressed = tuple(event.position), event.button, np.array(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        is_click = np.abs(np.array(event.pos) - pressed).max() <= CLICK_REACH
        if is_click and button == 1 and (bound := weak()) is not None:
            bound(position)

    return on_drag
