"""Our layers in a viewer: putting them there, knowing them again, and leaving alone what is not ours any more.

Layers made here are known again by a mark in their metadata together with a reference kept here, never by name:
a duplicate has the mark without the reference, and a layer that the user edited loses the reference.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from . import boxes
from .geometry import TRANSFORMS, real_layer, same_value, transforms_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Shapes

    from .comparison import Comparison

__all__ = [
    "ALWAYS",
    "EDGE_ON_SCREEN",
    "MARK",
    "Frame",
    "LayerData",
    "annotate",
    "comparison_of",
    "frame_compared",
    "is_ours",
    "lend",
    "masks_compared",
    "place",
    "remove",
    "results_of",
    "role_of",
]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""napari's LayerData tuple: data, attributes, type of layer."""

Frame: TypeAlias = "int | Literal['previous'] | None"
"""Which frame of *before* is compared with each frame of *after*; None: the same one."""

MARK = "napari-image-diff"

# Width of the boxes' edges on the screen, in its pixels
EDGE_ON_SCREEN = 3.0

# The roles of the layers that every comparison has; their names begin as these too
ALWAYS = ("diff map", "filled mask", "bounding boxes")


@dataclasses.dataclass(frozen=True)
class _Origin:
    """What a layer of ours shows: a comparison, and of which two layers."""

    before: weakref.ref[Image]
    after: weakref.ref[Image]
    comparison: Comparison
    frame: Frame
    """Which frame of before was compared with all of after, None for the same ones."""
    masks: Mapping[str, weakref.ref[Layer] | None]
    """What said which pixels count, as `compare` names it; None for an array."""


_origins: weakref.WeakKeyDictionary[Layer, _Origin] = weakref.WeakKeyDictionary()

# Layers of ours that are there for a while, to look at
_lent: weakref.WeakSet[Layer] = weakref.WeakSet()

# What keeps boxes as the view needs them; each lives as long as its layer
_widths: weakref.WeakKeyDictionary[Layer, _WidthFollower] = weakref.WeakKeyDictionary()
_views: weakref.WeakKeyDictionary[Layer, _ViewFollower] = weakref.WeakKeyDictionary()


def place(
    viewer: ViewerModel,
    comparison: Comparison,
    before: Image,
    after: Image,
    layer_data: Sequence[LayerData],
    *,
    add: Container[str] = ALWAYS,
    frame: Frame = None,
    masks: Mapping[str, Any] | None = None,
) -> None:
    """Show `layer_data`, some of the layers of `comparison`, in the viewer.

    Layers that show an earlier comparison of the same two are updated in place, or replaced if they have other axes or
    sizes; missing ones are added if their role is in `add`. `frame` is that of before which was compared with all of
    after, if there was one, and `masks` are the layers or arrays that said which pixels count, those of the result
    that is shown if not given. All of them count as showing `comparison` from now on, those that `layer_data` leaves
    out too.
    """
    existing = results_of(viewer, before, after)
    selected = [real_layer(layer) for layer in viewer.layers.selection]
    known = next((_origins[layer].masks for layer in existing.values()), {})
    held = known if masks is None else {name: _hold_weakly(mask) for name, mask in masks.items()}
    origin = _Origin(weakref.ref(before), weakref.ref(after), comparison, frame, held)
    if comparison.evidence is None and "evidence" in existing:
        viewer.layers.remove(existing.pop("evidence"))
    # napari can give a layer neither other axes nor more sizes
    several = {role_of(attributes): attributes.get("multiscale", False) for _, attributes, _ in layer_data}
    unfit = {
        role
        for role, layer in existing.items()
        if layer.ndim != comparison.labels.ndim or layer.multiscale != several.get(role, layer.multiscale)
    }
    # Where their successors go
    places = {role: viewer.layers.index(existing[role]) for role in unfit}
    for role in unfit:
        viewer.layers.remove(existing.pop(role))
    for data, attributes, kind in layer_data:
        role = role_of(attributes)
        if kind == "shapes":
            data, attributes = _fit_view(viewer, comparison, data, attributes)
        if role in existing and _has_columns_of_theirs(existing[role]):
            # The user has measured something of their own on it
            _origins.pop(existing.pop(role))
        if role in existing:
            _update(existing[role], data, attributes)
        elif role in add or role in unfit:
            layer = _create(data, attributes, kind)
            # Already now, because the dock hears of the new layer as it is added
            _origins[layer] = origin
            if kind == "shapes":
                _widths[layer] = _WidthFollower(viewer, layer, attributes["edge_width"])
                if comparison.settings.spatial_ndim == 3:
                    _views[layer] = _ViewFollower(viewer, layer)
            below = existing.get("diff map") if role not in ALWAYS else None
            index = len(viewer.layers) if below is None else viewer.layers.index(below) + 1
            # Right above the map, on top, or where the last one was
            viewer.layers.insert(min(places.get(role, index), len(viewer.layers)), layer)
    for role, layer in existing.items():
        _keep_up(layer, role, layer_data[0][1])
        # Only now, because an update counts as an edit and releases the layer
        _origins[layer] = origin
    for layer in results_of(viewer, before, after).values():
        if layer in _widths:
            _widths[layer].follow()
    if list(viewer.layers.selection) != selected:
        viewer.layers.selection = [layer for layer in selected if layer in viewer.layers]


def annotate(
    viewer: ViewerModel, comparison: Comparison, before: Image, after: Image, features: Mapping[str, Any]
) -> None:
    """Give our layers of this pair, by role, other tables: those of `comparison`, which they show from now on.

    It has the same regions with other columns. Layers with columns of the user's keep their tables.
    """
    for role, layer in results_of(viewer, before, after).items():
        origin, table = _origins[layer], features.get(role)
        if table is not None and not _has_columns_of_theirs(layer):
            # Of a volume, or of many regions, a box has other rows than a region
            known: Any = layer
            if role == "bounding boxes":
                rows = np.searchsorted(table["label"], known.features["label"])
                table = table.iloc[rows].reset_index(drop=True)
            known.features = table
        _origins[layer] = dataclasses.replace(origin, comparison=comparison)


def remove(viewer: ViewerModel, before: Image, after: Image, role: str) -> None:
    """Take our layer of this role and pair out of the viewer, if it is there."""
    layer = results_of(viewer, before, after).get(role)
    if layer is not None:
        viewer.layers.remove(layer)


def results_of(viewer: ViewerModel, before: Image, after: Image) -> dict[str, Layer]:
    """Return our layers in the viewer for this pair, by their role ("diff map", "filled mask", ...)."""
    found = {}
    for layer in map(real_layer, viewer.layers):
        origin = _origin_of(layer)
        if origin is not None and origin.before() is before and origin.after() is after:
            found[role_of({"metadata": layer.metadata})] = layer
    return found


def comparison_of(viewer: ViewerModel, before: Image, after: Image) -> Comparison | None:
    """Return the comparison that the viewer shows for this pair, None if it shows none."""
    for layer in results_of(viewer, before, after).values():
        return _origins[layer].comparison
    return None


def frame_compared(viewer: ViewerModel, before: Image, after: Image) -> Frame:
    """Return which frame of before the comparison that is shown is with, None for the same ones."""
    for layer in results_of(viewer, before, after).values():
        return _origins[layer].frame
    return None


def masks_compared(viewer: ViewerModel, before: Image, after: Image) -> dict[str, Any]:
    """Return what said which pixels count in the comparison that is shown, as `compare` names it.

    They are layers, or None for an array and for a layer that is no longer in the viewer.
    """
    layers = [*map(real_layer, viewer.layers)]
    for layer in results_of(viewer, before, after).values():
        held = {name: mask() if mask is not None else None for name, mask in _origins[layer].masks.items()}
        return {name: mask if mask in layers else None for name, mask in held.items()}
    return {}


def is_ours(layer: Layer) -> bool:
    """Return whether we made this layer and the user has not made it their own since."""
    layer = real_layer(layer)
    return layer in _lent or _origin_of(layer) is not None


def lend(layer: Layer) -> None:
    """Count a layer as ours: it is in a viewer for a while, and shows no result."""
    _lent.add(layer)


def role_of(attributes: dict[str, Any]) -> str:
    """Return what a layer of ours with these attributes is there for."""
    return str(attributes["metadata"][MARK]["role"])


def _hold_weakly(mask: Any) -> weakref.ref[Layer] | None:
    """Return a reference to a layer, None for an array."""
    return weakref.ref(real_layer(mask)) if hasattr(mask, "data_to_world") else None


def _origin_of(layer: Layer) -> _Origin | None:
    return _origins.get(layer) if MARK in layer.metadata else None


def _release(event: Any) -> None:
    """Leave a layer to the user who edited it: the next comparison makes a new one."""
    _origins.pop(event.source, None)


def _create(data: Any, attributes: dict[str, Any], kind: str) -> Layer:
    from napari.layers import Layer

    layer = Layer.create(data, attributes, kind)
    layer.events.data.connect(_release)
    if kind == "labels":
        layer.events.labels_update.connect(_release)
        layer.events.paint.connect(_release)
    return layer


def _update(layer: Any, data: Any, attributes: dict[str, Any]) -> None:
    """Give a layer of ours new content; how it is displayed stays as the user may have set it."""
    if attributes.get("shape_type"):
        _redraw(layer, data, attributes)
    elif layer.data is not data:
        layer.data = data
    if "features" in attributes:
        layer.features = attributes["features"]


def _has_columns_of_theirs(layer: Any) -> bool:
    """Return whether the layer's table has columns that we did not put there."""
    return bool(set(getattr(layer, "features", ())) - {"index", *_origins[layer].comparison.regions})


def _keep_up(layer: Any, role: str, attributes: dict[str, Any]) -> None:
    """Give a layer of ours, whether it has new content or not, the record of the comparison and its place."""
    layer.metadata[MARK] = attributes["metadata"][MARK] | {"role": role}
    current = transforms_of(layer)
    for name in TRANSFORMS:
        if not same_value(current[name], attributes[name]):
            setattr(layer, name, attributes[name])


def _redraw(layer: Shapes, corners: NDArray[np.float64], attributes: dict[str, Any]) -> None:
    """Draw boxes anew: setting ``data`` fails in the 3-D view, and gives new boxes a width of their own."""
    style = {name: attributes[name] for name in ("edge_color", "edge_width", "face_color")}
    if layer.nshapes:
        # That of most boxes: one may be marked
        style = {name: _most_frequent(getattr(layer, name)) for name in style}
        layer.remove(list(range(layer.nshapes)))
    if len(corners):
        layer.add(corners, shape_type=attributes["shape_type"], **style)


def _fit_view(
    viewer: ViewerModel, comparison: Comparison, data: Any, attributes: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Return boxes as the view needs them: those of volumes are others in the 3-D view."""
    if comparison.settings.spatial_ndim < 3 or viewer.dims.ndisplay < 3:
        return data, attributes
    drawn = _draw_boxes(comparison, role_of(attributes), 3)
    return drawn.corners, attributes | {"shape_type": drawn.shape_type, "features": drawn.table}


def _draw_boxes(comparison: Comparison, role: str, ndisplay: int) -> boxes.Drawn:
    table = comparison.forgiven if role == "forgiven" else comparison.regions
    return boxes.draw(boxes.pick_largest(table), tuple(comparison.resolved.get("frames", ())), ndisplay)


class _WidthFollower:
    """Keeps the edges of boxes thin on the screen as the view zooms in: their widths are in pixels of the image."""

    def __init__(self, viewer: ViewerModel, layer: Shapes, widest: float) -> None:
        self._layer = weakref.ref(layer)
        self._viewer = weakref.ref(viewer)
        self._widest = self._given = widest
        # napari holds bound methods weakly: this one is forgotten with the layer
        viewer.scene.camera.events.zoom.connect(self.follow)

    def follow(self, event: Any = None) -> None:
        """Give all edges the width that fits the view, unless the user gave them one."""
        layer, viewer = self._layer(), self._viewer()
        if layer is None or viewer is None or not layer.nshapes or len(set(layer.edge_width)) > 1:
            return
        # New boxes have the widest; others are the user's own
        if layer.edge_width[0] not in (self._given, self._widest):
            return
        here, there = (layer.data_to_world((*(0,) * (layer.ndim - 1), column)) for column in (0, 1))
        pixel = float(np.linalg.norm(np.subtract(there, here))) * viewer.scene.camera.zoom
        wanted = EDGE_ON_SCREEN / max(pixel, 1e-12)
        # In steps of two, so that it is rarely done
        width = float(np.clip(2.0 ** np.floor(np.log2(wanted)), 1.0, self._widest))
        self._given = width
        if width != layer.edge_width[0]:
            layer.edge_width = width


class _ViewFollower:
    """Draws the boxes of a volume anew when the view becomes one of 2 or of 3 dimensions."""

    def __init__(self, viewer: ViewerModel, layer: Shapes) -> None:
        self._layer = weakref.ref(layer)
        viewer.dims.events.ndisplay.connect(self._follow)

    def _follow(self, event: Any) -> None:
        layer = self._layer()
        origin = _origin_of(layer) if layer is not None else None
        if layer is None or origin is None:
            return
        drawn = _draw_boxes(origin.comparison, role_of({"metadata": layer.metadata}), event.value)
        style = {name: getattr(layer, f"current_{name}") for name in ("edge_color", "edge_width", "face_color")}
        labels, colors = layer.features.get("label"), np.array(layer.edge_color)
        _update(layer, drawn.corners, {"shape_type": drawn.shape_type, "features": drawn.table, **style})
        if labels is not None and len(labels):
            # One may be marked, and stays so
            known, rows = np.unique(labels, return_index=True)
            layer.edge_color = colors[rows[np.searchsorted(known, drawn.table["label"])]]
        # An update counts as an edit
        _origins[layer] = origin


def _most_frequent(values: Any) -> Any:
    found, counts = np.unique(np.asarray(values), axis=0, return_counts=True)
    return found[np.argmax(counts)]
