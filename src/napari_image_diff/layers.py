"""From napari's layers to a comparison, and from a comparison back to layers in the same place."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from . import boxes
from .geometry import (
    array_of,
    lift_transforms,
    physical_of,
    real_layer,
    sides_of,
    spacing_of,
    transforms_of,
    transforms_of_plane,
)
from .masks import mask_of
from .overlaying import add_record, find_overlay, lay
from .placing import MARK, Frame, LayerData, place
from .settings import Settings
from .sources import as_dask, is_lazy

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Shapes

    from .comparison import Comparison

__all__ = [
    "add_comparison",
    "axes_of",
    "channels_of",
    "explain_mismatch",
    "features_of",
    "layers_of",
    "read_mask",
    "take_frame",
]

BOX_COLOR, FORGIVEN_COLOR, MARK_COLOR = "#00d8ff", "#a0a0a0", "#ffffff"

# Of evidence: from clear to gray up to the limit, at the middle of its contrast, and at once a colour beyond it
EVIDENCE_COLORS = {
    "name": "evidence",
    "colors": [(0.4, 0.4, 0.45, 0), (0.6, 0.6, 0.65, 0.9), (1, 0.4, 0, 1), (1, 1, 0.3, 1)],
    "controls": [0, 0.5, 0.5001, 1],
}


def add_comparison(
    viewer: ViewerModel,
    before: Image,
    after: Image,
    settings: Settings | Mapping[str, Any] | None = None,
    *,
    frame: Frame = None,
    inside: Labels | Shapes | ArrayLike | None = None,
    ignore: Labels | Shapes | ArrayLike | None = None,
    by_index: bool = False,
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
        Two layers, gray or colour; of a multiscale layer, level 0 is compared. They are compared where they lie in the
        viewer: `after` is resampled onto the pixels of `before`, unless those coincide, and what overlaps is compared,
        of each frame with the nearest one in time; a layer of one plane with every frame of the other. With
        ``spatial_ndim=3`` their last three axes are volumes, and the scale of `before` says how far apart planes are.
        Both may be one layer, a stack, if `frame` is given.
    settings : Settings or mapping, optional
        The parameters; the defaults if not given. `channels` is not used: the layers know whether they are colour.
    frame : int or "previous", optional
        Which frame of `before`, along its first axis, each frame of `after` is compared with, if not the same one:
        always that one, or the one before (and the first with itself).
    inside, ignore : Labels, Shapes or (..., H, W) array, optional
        A pixel counts only under `inside`, and not under `ignore`. Layers count where they lie over `before` in the
        viewer, those of one plane in all frames; arrays are on its grid. They are not changed.
    by_index : bool, optional
        Compare pixel by pixel, frame by frame, wherever the two lie.
    **changes
        Single fields of `settings`.

    Returns
    -------
    Comparison
        The result; its differences, labels and regions are those shown. Where the pixels of the layers do not
        coincide, ``resolved["overlay"]`` says how they were compared: ``way`` ("resampled" or "by index"), ``reason``
        in words, ``matrix`` (takes an index of `before` to the place in `after`), ``share`` (of `before` that
        overlaps) and ``matched`` (whether `before` was shown with the larger pixels of `after`).

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
    if isinstance(frame, numbers.Integral) and not isinstance(frame, bool):
        frame = int(frame)
    elif frame not in (None, "previous"):
        raise ValueError(f"frame is {frame!r}; give the number of a frame, or 'previous'")
    settings = Settings.resolve(settings, **changes)
    ndim = settings.spatial_ndim
    mismatch = explain_mismatch(before, after, settings.size, frame, spatial_ndim=ndim, by_index=by_index)
    if mismatch:
        raise ValueError(mismatch)
    settings = dataclasses.replace(settings, channels=channels_of(before, after))
    masks = {name: read_mask(mask, before, frame, ndim) for name, mask in (("inside", inside), ("ignore", ignore))}
    images = take_frame(array_of(before), before.ndim, frame, ndim), array_of(after)
    overlay = find_overlay(before, after, frame, spatial_ndim=ndim, by_index=by_index)
    laid = lay(overlay, images, (before.rgb, after.rgb))
    comparison = compare(
        laid.before,
        laid.after,
        settings,
        axes=axes_of(before, after, frame, ndim),
        spacing=spacing_of(before, ndim),
        world=physical_of(before, ndim),
        overlap=laid.overlap,
        **masks,
    )
    comparison = add_record(comparison, overlay)
    shown = layers_of(comparison, before, after, more=True)
    given = {name: mask for name, mask in (("inside", inside), ("ignore", ignore)) if mask is not None}
    place(viewer, comparison, before, after, shown, frame=frame, masks=given)
    return comparison


def layers_of(
    comparison: Comparison, before_layer: Image, after_layer: Image | None = None, *, more: bool = False
) -> list[LayerData]:
    """Return a comparison as three layers: Image "diff map", Labels "filled mask", Shapes "bounding boxes".

    They lie where `before_layer` lies, in leading axes that it has not where `after_layer` does. The table of regions
    is in the features of the last two: the rows of the Labels layer are the labels from 0, the background, on. Of more
    than `boxes.BOXES_DRAWN` boxes the largest are there; a region of a volume has a rectangle on each of its planes.
    With `more`, there are also Image "evidence", where it was measured, and Shapes "forgiven".
    """
    record = {
        "score": comparison.score,
        "verdict": comparison.verdict,
        "threshold": comparison.threshold,
        "settings": dataclasses.asdict(comparison.settings),
        "resolved": dict(comparison.resolved),
    }
    where, ndim = transforms_of(before_layer), comparison.settings.spatial_ndim
    if comparison.labels.ndim != before_layer.ndim:
        where = transforms_of_plane(before_layer, ndim)
    if comparison.labels.ndim > max(before_layer.ndim, ndim):
        where = lift_transforms(
            where, transforms_of(after_layer) if after_layer is not None else None, comparison.labels.ndim
        )
    axes = tuple(comparison.resolved.get("frames", ()))

    def layer(name: str, kind: str, data: Any, **attributes: Any) -> LayerData:
        return data, {"name": name, "metadata": {MARK: record | {"role": name}}, **attributes, **where}, kind

    def shapes(name: str, regions: pd.DataFrame, color: str) -> LayerData:
        drawn = boxes.draw(boxes.pick_largest(regions), axes, 2)
        return layer(
            name,
            "shapes",
            drawn.corners,
            shape_type=drawn.shape_type,
            ndim=comparison.labels.ndim,
            face_color="transparent",
            edge_color=color,
            opacity=1,
            edge_width=max(1.0, max(comparison.labels.shape[-2:]) / 500),
            features=drawn.table,
        )

    def sizes(name: str, data: Any) -> tuple[Any, dict[str, Any]]:
        """Return a map in all its sizes, and what napari has to be told of that."""
        levels = getattr(comparison.pyramid, name, [data])
        return (levels, {"multiscale": True}) if len(levels) > 1 else (data, {})

    difference, several = sizes("difference", comparison.difference)
    image: dict[str, Any] = {"colormap": "inferno", "contrast_limits": (0, 1), "blending": "additive", **several}
    # a copy, because the user may paint on the layer
    mask, _ = sizes("labels", comparison.labels.copy())
    features = _features_of_labels(comparison.regions)
    layers = [
        layer("diff map", "image", difference, **image),
        layer("filled mask", "labels", mask, opacity=0.4, features=features, **several),
        shapes("bounding boxes", comparison.regions, BOX_COLOR),
    ]
    if more and comparison.evidence is not None:
        evidence, _ = sizes("evidence", comparison.evidence)
        image = {"colormap": EVIDENCE_COLORS, "contrast_limits": (0, 2), "blending": "translucent", **several}
        layers.append(layer("evidence", "image", evidence, **image))
    if more:
        layers.append(shapes("forgiven", comparison.forgiven, FORGIVEN_COLOR))
    return layers


def channels_of(before: Image, after: Image) -> Literal["last", "none"]:
    """Return the `channels` setting for two layers, which know whether they are colour."""
    return "last" if before.rgb or after.rgb else "none"


def take_frame(data: Any, ndim: int, frame: Frame, spatial_ndim: int = 2) -> Any:
    """Return what the frames of *after* are compared with, of the array of a layer of `ndim` axes (and colour)."""
    if frame is None:
        return data
    if is_lazy(data):
        data = as_dask(data)
    if frame == "previous":
        return np.concatenate([data[:1], data[:-1]])
    # Along one leading axis a single plane is compared with all
    return data[frame] if ndim == spatial_ndim + 1 else np.broadcast_to(data[frame][None], data.shape)


def explain_mismatch(
    before: Any,
    after: Any,
    size: str = "error",
    frame: Frame = None,
    *,
    spatial_ndim: int = 2,
    whole: bool = True,
    by_index: bool = False,
) -> str:
    """Say in a sentence why two layers cannot be compared, and what to do; return "" if they can.

    `size` and `spatial_ndim` are settings, `frame` and `by_index` as in `add_comparison`. Unless they are compared as a
    `whole`, but a frame with a frame, they may have as many frames as they like.
    """
    for role, layer in ("Before", before), ("After", after):
        if type(layer).__name__ != "Image":
            return f"{role} is a {type(layer).__name__}. Pick an Image layer."
        if layer.ndim < spatial_ndim:
            return f"'{layer.name}' is a single plane, and 3 dimensions are set. Pick a volume, or set 2."
    if frame is None and before is after:
        ways = ", or a frame of it for Before" if before.ndim > spatial_ndim else ""
        return f"Before and After are both '{before.name}'. Pick two different layers{ways}."
    leading = [array_of(layer).shape[: layer.ndim - spatial_ndim] for layer in (before, after)]
    if frame is not None:
        if not leading[0]:
            kind = "plane" if spatial_ndim == 2 else "volume"
            return f"'{before.name}' is a single {kind}: it has no frames. Pick a stack, or the whole layer."
        if frame != "previous" and not -leading[0][0] <= frame < leading[0][0]:
            return f"'{before.name}' has {leading[0][0]} frames and none of number {frame}. Pick one that it has."
        leading[0] = leading[0] if frame == "previous" or len(leading[0]) > 1 else ()
    try:
        overlay = find_overlay(before, after, frame, spatial_ndim=spatial_ndim, by_index=by_index, whole=whole)
    except ValueError as error:
        return str(error)
    if overlay is not None and not by_index and (not whole or not all(leading) or len(leading[0]) == len(leading[1])):
        # Only what overlaps is compared
        return ""
    alike = leading[0] == leading[1] or (size == "overlap" and len(leading[0]) == len(leading[1]))
    if whole and all(leading) and not alike:
        return (
            f"'{before.name}' is {_sides(before)} and '{after.name}' {_sides(after)}. Pick layers with the same number "
            "of frames, or one of a single plane, which is compared with every frame of the other; or compare the "
            "overlap (see the setting for sizes that differ)."
        )
    if size == "error" and sides_of(before, spatial_ndim) != sides_of(after, spatial_ndim):
        return (
            f"'{before.name}' has {_sides(before)} pixels and '{after.name}' {_sides(after)}. Pick layers of the same "
            "size, or crop one to the other first, or compare the overlap (see the setting for sizes that differ)."
        )
    return ""


def axes_of(before: Any, after: Any, frame: Frame = None, spatial_ndim: int = 2) -> tuple[str, ...]:
    """Return the names of the leading axes of two layers, () where they have none or no names of their own."""
    from .frames import TAKEN

    single = isinstance(frame, int) and before.ndim == spatial_ndim + 1
    layer = after if single else max(before, after, key=lambda each: each.ndim)
    names = tuple(layer.axis_labels[: layer.ndim - spatial_ndim])
    own = not any(name == str(axis - layer.ndim) for axis, name in enumerate(names))
    return names if own and len(set(names)) == len(names) and not set(names) & TAKEN else ()


def read_mask(mask: Any, before: Image, frame: Frame, spatial_ndim: int = 2) -> Any:
    """Return a mask, a layer or an array on the grid of `before`, for what `take_frame` takes of `before`."""
    if mask is None:
        return None
    if hasattr(mask, "data_to_world"):
        pixels = mask_of(real_layer(mask), before)
    else:
        pixels = mask if is_lazy(mask) else np.asarray(mask)
    return pixels if pixels.ndim < before.ndim else take_frame(pixels, before.ndim, frame, spatial_ndim)


def features_of(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Return the tables of regions that the features of layers have, by role."""
    return {"filled mask": _features_of_labels(comparison.regions), "bounding boxes": comparison.regions}


def _features_of_labels(regions: pd.DataFrame) -> pd.DataFrame:
    """Return the table as napari reads it for labels: by position in its table, by "index" in the status bar.

    The background has NaN, which the status bar leaves out; zeros would show as "area: 0" on every hover.
    """
    if "note" in regions:
        # So it leaves out no note, too
        regions = regions.assign(note=regions["note"].where(regions["note"] != ""))
    return regions.set_index("label").reindex(range(len(regions) + 1)).rename_axis("index").reset_index()


def _sides(layer: Image) -> str:
    return " x ".join(str(side) for side in array_of(layer).shape[: layer.ndim])
