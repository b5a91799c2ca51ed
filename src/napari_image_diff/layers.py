"""From napari's layers to a comparison, and from a comparison back to layers in the same place.

Layers made here are known again by a mark in their metadata together with a reference kept here, never by name:
a duplicate has the mark without the reference, and a layer that the user edited loses the reference.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Layer, Shapes

    from .comparison import Comparison

__all__ = [
    "BOXES_DRAWN",
    "LayerData",
    "add_comparison",
    "array_of",
    "channels_of",
    "comparison_of",
    "describe_transforms",
    "explain_mismatch",
    "is_result",
    "layers_of",
    "place",
    "real_layer",
    "results_of",
]

LayerData: TypeAlias = tuple[Any, dict[str, Any], str]
"""napari's LayerData tuple: data, attributes, type of layer."""

MARK = "napari-image-diff"

# napari draws some 5,000 boxes a second: beyond these, the largest, adding the layer would keep the window waiting.
BOXES_DRAWN = 2000

BOX_COLOR = "#00d8ff"

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


@dataclasses.dataclass(frozen=True)
class _Origin:
    """What a layer of ours shows: a comparison, and of which two layers."""

    before: weakref.ref[Image]
    after: weakref.ref[Image]
    comparison: Comparison


_origins: weakref.WeakKeyDictionary[Layer, _Origin] = weakref.WeakKeyDictionary()


def add_comparison(
    viewer: ViewerModel,
    before: Image,
    after: Image,
    settings: Settings | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Comparison:
    """Compare two Image layers and show the result in the viewer as three layers.

    A second call for the same two layers updates the three layers in place. The camera, the selection and the two
    layers stay as they are.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the result goes.
    before, after : napari.layers.Image
        Two 2-D layers, gray or colour, of the same shape; of a multiscale layer, level 0 is compared.
        They are compared pixel by pixel, whatever their scale or translation.
    settings : Settings or mapping, optional
        The parameters; the defaults if not given. `channels` is not used: the layers know whether they are colour.
    **changes
        Single fields of `settings`.

    Returns
    -------
    Comparison
        The result; its differences, labels and regions are those shown.

    Raises
    ------
    TypeError, ValueError
        If the two cannot be compared; the message says why.

    Examples
    --------
    >>> import napari, numpy as np
    >>> from napari.components import ViewerModel
    >>> image = np.zeros((64, 64), np.uint8)
    >>> changed = image.copy()
    >>> changed[20:40, 20:40] = 200
    >>> viewer = ViewerModel()
    >>> comparison = add_comparison(viewer, viewer.add_image(image, name="a"), viewer.add_image(changed, name="b"))
    >>> [layer.name for layer in viewer.layers]
    ['a', 'b', 'diff map', 'filled mask', 'bounding boxes']
    """
    from .comparison import compare

    before, after = real_layer(before), real_layer(after)
    mismatch = explain_mismatch(before, after)
    if mismatch:
        raise ValueError(mismatch)
    settings = Settings.resolve(settings, **{**changes, "channels": channels_of(before, after)})
    comparison = compare(array_of(before), array_of(after), settings)
    place(viewer, comparison, before, after, layers_of(comparison, before))
    return comparison


def layers_of(comparison: Comparison, before_layer: Image) -> list[LayerData]:
    """Return a comparison as three layers: Image "diff map", Labels "filled mask", Shapes "bounding boxes".

    They lie where `before_layer` lies. The table of regions is in the features of the last two: the rows of the
    Labels layer are the labels from 0, the background, on. Of more than `BOXES_DRAWN` regions the largest have boxes.
    """
    record = {
        "score": comparison.score,
        "threshold": comparison.threshold,
        "settings": dataclasses.asdict(comparison.settings),
        "resolved": dict(comparison.resolved),
    }
    common = {"metadata": {MARK: record}, **_transforms_of(before_layer)}
    boxed = _boxed(comparison.regions)
    return [
        (
            comparison.difference,
            {"name": "diff map", "colormap": "inferno", "contrast_limits": (0, 1), "blending": "additive"} | common,
            "image",
        ),
        (
            # a copy, because the user may paint on the layer
            comparison.labels.copy(),
            {"name": "filled mask", "opacity": 0.4, "features": _features_of_labels(comparison.regions)} | common,
            "labels",
        ),
        (
            _corners(boxed),
            {
                "name": "bounding boxes",
                "shape_type": "rectangle",
                "ndim": 2,
                "face_color": "transparent",
                "edge_color": BOX_COLOR,
                "opacity": 1,
                "edge_width": max(1.0, max(comparison.labels.shape) / 500),
                "features": boxed,
            }
            | common,
            "shapes",
        ),
    ]


def place(
    viewer: ViewerModel,
    comparison: Comparison,
    before: Image,
    after: Image,
    layer_data: Sequence[LayerData],
    *,
    add: bool = True,
) -> None:
    """Show `layer_data`, some of the layers of `comparison`, in the viewer.

    Layers that show an earlier comparison of the same two are updated in place; missing ones are added if `add`.
    All of them count as showing `comparison` from now on, those that `layer_data` leaves out too.
    """
    existing = results_of(viewer, before, after)
    selected = [real_layer(layer) for layer in viewer.layers.selection]
    origin = _Origin(weakref.ref(before), weakref.ref(after), comparison)
    for data, attributes, kind in layer_data:
        if kind in existing and _has_columns_besides(existing[kind], attributes):
            # The user has measured something of their own on it
            _origins.pop(existing.pop(kind))
        if kind in existing:
            _update(existing[kind], data, attributes)
        elif add:
            layer = _create(data, attributes, kind)
            # Already now, because the dock hears of the new layer as it is added
            _origins[layer] = origin
            viewer.add_layer(layer)
    for layer in existing.values():
        _keep_up(layer, layer_data[0][1])
        # Only now, because an update counts as an edit and releases the layer
        _origins[layer] = origin
    if list(viewer.layers.selection) != selected:
        viewer.layers.selection = selected


def results_of(viewer: ViewerModel, before: Image, after: Image) -> dict[str, Layer]:
    """Return our layers in the viewer for this pair, by their type ("image", "labels", "shapes")."""
    found = {}
    for layer in map(real_layer, viewer.layers):
        origin = _origin_of(layer)
        if origin is not None and origin.before() is before and origin.after() is after:
            found[type(layer).__name__.lower()] = layer
    return found


def comparison_of(viewer: ViewerModel, before: Image, after: Image) -> Comparison | None:
    """Return the comparison that the viewer shows for this pair, None if it shows none."""
    for layer in results_of(viewer, before, after).values():
        return _origins[layer].comparison
    return None


def is_result(layer: Layer) -> bool:
    """Return whether we made this layer and the user has not made it their own since."""
    return _origin_of(real_layer(layer)) is not None


def real_layer(layer: Any) -> Any:
    """Return the layer itself: what plugins get from a viewer are proxies, which fail ``is``."""
    return getattr(layer, "__wrapped__", layer)


def array_of(layer: Image) -> Any:
    """Return the array of a layer; of a multiscale layer the full-size level."""
    return layer.data[0] if layer.multiscale else layer.data


def channels_of(before: Image, after: Image) -> str:
    """Return the `channels` setting for two layers, which know whether they are colour."""
    return "last" if before.rgb or after.rgb else "none"


def explain_mismatch(before: Any, after: Any) -> str:
    """Say in a sentence why two layers cannot be compared, and what to do; return "" if they can."""
    for role, layer in ("Before", before), ("After", after):
        if type(layer).__name__ != "Image":
            return f"{role} is a {type(layer).__name__}. Pick an Image layer."
    if before is after:
        return f"Before and After are both '{before.name}'. Pick two different layers."
    for layer in before, after:
        if layer.ndim != 2:
            return (
                f"'{layer.name}' has {layer.ndim} dimensions ({_sides(layer)}). Pick layers of one plane: "
                "right-click a stack in the layer list and choose Split Stack."
            )
    if array_of(before).shape[:2] != array_of(after).shape[:2]:
        return (
            f"'{before.name}' has {_sides(before)} pixels and '{after.name}' {_sides(after)}. "
            "Pick layers of the same size, or crop one to the other first."
        )
    return ""


def describe_transforms(before: Image, after: Image) -> str:
    """Say that two layers lie differently in the viewer, "" if they do not: they are compared by index."""
    ours, theirs = _transforms_of(before), _transforms_of(after)
    different = [name for name in TRANSFORMS if name != "axis_labels" and not _same(ours[name], theirs[name])]
    if not different:
        return ""
    return (
        f"The two layers differ in {', '.join(different)}. "
        "They are compared pixel by pixel, not by where they lie in the viewer."
    )


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


def _has_columns_besides(layer: Any, attributes: dict[str, Any]) -> bool:
    """Return whether the layer's table has columns that ours would not have."""
    return "features" in attributes and bool(set(layer.features) - set(attributes["features"]))


def _keep_up(layer: Any, attributes: dict[str, Any]) -> None:
    """Give a layer of ours, whether it has new content or not, the record of the comparison and its place."""
    layer.metadata[MARK] = attributes["metadata"][MARK]
    current = _transforms_of(layer)
    for name in TRANSFORMS:
        if not _same(current[name], attributes[name]):
            setattr(layer, name, attributes[name])


def _redraw(boxes: Shapes, corners: NDArray[np.float64], attributes: dict[str, Any]) -> None:
    """Draw boxes anew: setting ``data`` fails in the 3-D view, and gives new boxes a width of their own."""
    style = {name: attributes[name] for name in ("edge_color", "edge_width", "face_color")}
    if boxes.nshapes:
        # That of most boxes: one may be marked
        style = {name: _most_frequent(getattr(boxes, name)) for name in style}
        boxes.selected_data = set(range(boxes.nshapes))
        boxes.remove_selected()
    if len(corners):
        boxes.add_rectangles(corners, **style)


def _most_frequent(values: Any) -> Any:
    found, counts = np.unique(np.asarray(values), axis=0, return_counts=True)
    return found[np.argmax(counts)]


def _transforms_of(layer: Any) -> dict[str, Any]:
    """Return where a layer lies, as attributes of another layer."""
    transforms = {name: getattr(layer, name) for name in TRANSFORMS}
    transforms["affine"] = np.asarray(layer.affine.affine_matrix)
    return transforms


def _same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def _boxed(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the regions that get a box, in label order."""
    if len(regions) > BOXES_DRAWN:
        regions = regions.nlargest(BOXES_DRAWN, "area").sort_index()
    return regions.reset_index(drop=True)


def _corners(regions: pd.DataFrame) -> NDArray[np.float64]:
    """Return boxes as (N, 4, 2) corners. Pixel centres are at integers, so a box begins half a pixel before."""
    top, left, bottom, right = (
        regions[name].to_numpy(np.float64) - 0.5 for name in ("min_row", "min_col", "max_row", "max_col")
    )
    return np.stack([top, left, top, right, bottom, right, bottom, left], axis=-1).reshape(-1, 4, 2)


def _features_of_labels(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the table as napari reads it for labels: by position in its table, by "index" in the status bar.

    The background has NaN, which the status bar leaves out; zeros would show as "area: 0" on every hover.
    """
    return regions.set_index("label").reindex(range(len(regions) + 1)).rename_axis("index").reset_index()


def _sides(layer: Image) -> str:
    return " x ".join(str(side) for side in array_of(layer).shape[: layer.ndim])
