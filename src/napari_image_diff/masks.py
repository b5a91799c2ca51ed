"""Which pixels of *before* count: layers of labels and shapes seen on its grid, and regions added to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .geometry import NEAR, array_of, plane_of, real_layer, sides_of, transforms_of, transforms_of_plane, world_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Shapes

    from .comparison import Comparison

__all__ = ["MASKS", "add_to_mask", "mask_of", "pixels_of", "pixels_of_all"]

# What can say which pixels count
MASKS = ("Labels", "Shapes")

# Pixels of a mask that is made of a layer, one byte each.
LARGEST_MASK = 2**31


def mask_of(layer: Any, before: Image, frame: tuple[int, ...] | None = None) -> NDArray[np.bool_]:
    """Return which pixels of `before` lie under a Labels layer (where it is not 0) or in a shape of a Shapes layer.

    With `frame`, the index of one, those of that frame of `before` alone.

    Returns
    -------
    (H, W) or (..., H, W) bool array
        On the grid of `before`, whatever the transforms of the two layers; with the leading axes of `before` if the
        layer has as many, else for all frames or the one asked for.

    Raises
    ------
    ValueError
        If it is another kind of layer, or neither 2-D nor of as many dimensions as `before`.
    """
    layer, before = real_layer(layer), real_layer(before)
    if type(layer).__name__ not in MASKS or layer.ndim not in (2, before.ndim):
        dimensions = "2" if before.ndim == 2 else f"2 or {before.ndim}"
        raise ValueError(
            f"'{layer.name}' is a {type(layer).__name__} layer of {layer.ndim} dimensions; "
            f"give a Labels or Shapes layer of {dimensions}"
        )
    single = layer.ndim == 2 or frame is not None
    _check_size(before, plane_of(before) if single else sides_of(before, before.ndim))
    onto = _find_onto(layer, before)
    if layer.ndim == 2:
        return _mask_of_plane(layer, (), onto, plane_of(before))
    if frame is not None:
        place = layer.world_to_data(before.data_to_world((*frame, 0, 0)))[:-2]
        return _mask_of_plane(layer, tuple(round(axis) for axis in place), onto, plane_of(before))
    leading = array_of(before).shape[: before.ndim - 2]
    return np.stack([mask_of(layer, before, index) for index in np.ndindex(*leading)]).reshape(
        *leading, *plane_of(before)
    )


def _check_size(before: Image, shape: tuple[int, ...]) -> None:
    """Raise ValueError where a mask of this shape for the pixels of a layer would be too large."""
    if math.prod(shape) > LARGEST_MASK:
        raise ValueError(
            f"'{before.name}' has {math.prod(shape):,} pixels to be masked, and masks are drawn for {LARGEST_MASK:,} "
            "at most; give `inside` or `ignore` to add_comparison as an array in chunks"
        )


def _mask_of_plane(
    layer: Any, frame: tuple[int, ...], onto: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return the pixels of a plane of `shape` that a frame of a mask covers; none where it has no such frame."""
    if type(layer).__name__ == "Shapes":
        return _draw(layer, frame, onto, shape)
    data = array_of(layer)
    if not all(0 <= place < length for place, length in zip(frame, data.shape, strict=False)):
        return np.zeros(shape, np.bool_)
    return _sample(np.asarray(data[frame]) != 0, np.linalg.inv(onto), shape)


def pixels_of(comparison: Comparison, label: int, before: Image) -> NDArray[np.bool_]:
    """Return the pixels of a region that are pixels of `before`: what was compared may be larger or smaller.

    They are of one plane, for all frames, (H, W). Of volumes they are voxels, in all frames, with all axes of `before`.
    """
    axes = comparison.settings.spatial_ndim
    sides = sides_of(before, 2 if axes == 2 else before.ndim)
    _check_size(before, sides)
    region: Any = comparison.regions.set_index("label").loc[label]
    names = ("plane", "row", "col")[-axes:]
    box = [slice(int(region[f"min_{name}"]), int(region[f"max_{name}"])) for name in names]
    place: Any = (*(int(region[axis]) for axis in comparison.resolved.get("frames", ())), *box)
    here = np.asarray(comparison.labels[place]) == label
    found = np.zeros(sides, np.bool_)
    where: Any = (..., *box)
    inside = found[where]
    inside[:] = here[tuple(slice(length) for length in inside.shape[-axes:])]
    return found


def pixels_of_all(comparison: Comparison, labels: Iterable[int], before: Image, frame: Any = None) -> NDArray[np.bool_]:
    """Return the pixels of some regions that are pixels of `before`, all in one.

    Those of a stack count in their own frame: (..., H, W). Where `before` has one frame for all, or with `frame`, which
    says what was taken of it (see `layers.take_frame`), they count in all frames, as those of `pixels_of` do.
    """
    axes, ndim = comparison.settings.spatial_ndim, comparison.labels.ndim
    sides = sides_of(before, before.ndim)
    own = frame is None and before.ndim == ndim
    shape = sides if own else sides[-axes:]
    _check_size(before, sides)
    wanted = np.zeros(len(comparison.regions) + 1, np.bool_)
    wanted[list(labels)] = True
    here: Any = comparison.labels
    if isinstance(here, np.ndarray):
        here = wanted[here]
    else:
        # Chunk by chunk: numbers take four times as much
        here = here.map_blocks(wanted.__getitem__, dtype=np.bool_, meta=np.empty((0,) * ndim, np.bool_))
    if not own:
        here = here.any(axis=tuple(range(ndim - axes)))
    common = tuple(slice(min(lengths)) for lengths in zip(shape, here.shape, strict=True))
    found = np.zeros(shape, np.bool_)
    found[common] = here[common]
    return found if own or axes == 2 else np.array(np.broadcast_to(found, sides))


def add_to_mask(viewer: ViewerModel, pixels: NDArray[np.bool_], before: Image, mask: Mapping[str, Any]) -> Labels:
    """Add pixels of `before` to those that `mask` ignores, and return the layer that has them all now.

    Parameters
    ----------
    viewer : napari.Viewer
        Where a new layer goes.
    pixels : (H, W) or (..., H, W) bool array
        On the grid of `before`, as `pixels_of` has them.
    before : napari.layers.Image
        The layer that was compared.
    mask : mapping
        ``{"ignore": layer}`` or ``{"inside": layer}`` as `compare` has them, or nothing.

    Returns
    -------
    napari.layers.Labels
        The layer that was ignored, if it is Labels on the grid of `before`; napari can undo it there. Otherwise a new
        one named "ignore".
    """
    from napari.layers import Labels

    ignored: Any = mask.get("ignore")
    fits = type(ignored).__name__ == "Labels" and ignored.ndim >= pixels.ndim
    if fits and isinstance(ignored.data, np.ndarray) and _share_grid(ignored, before):
        seen = ignored.visible
        # napari 0.9 fails at a hidden layer of which it has no slice
        ignored.visible = True
        try:
            ignored.data_setitem(np.nonzero(pixels & (ignored.data == 0)), 1)
        finally:
            ignored.visible = seen
        return ignored
    for name, layer in mask.items():
        pixels = pixels | (mask_of(layer, before) == (name == "ignore"))
    where = transforms_of_plane(before) if pixels.ndim == 2 else transforms_of(before)
    layer = Labels(pixels.astype(np.uint8), name="ignore", opacity=0.4, **where)
    selected = list(viewer.layers.selection)
    viewer.add_layer(layer)
    viewer.layers.selection = selected
    return layer


def _find_onto(layer: Any, before: Image) -> NDArray[np.float64]:
    """Return the matrix that takes (row, column, 1) in the planes of a layer to those of `before`."""
    last = np.ix_([-3, -2, -1], [-3, -2, -1])
    own, theirs = (world_of(each, before.units)[last] for each in (before, layer))
    return np.asarray(np.linalg.inv(own) @ theirs)


def _share_grid(layer: Any, before: Image) -> bool:
    onto = _find_onto(layer, before)
    shape = plane_of(before)
    if (np.abs(onto - np.eye(3)) @ (*shape, 1)).max() >= NEAR or array_of(layer).shape[-2:] != shape:
        return False
    if layer.ndim == 2:
        return True
    ends = [(0,) * before.ndim, tuple(length - 1 for length in array_of(before).shape[: before.ndim])]
    places = [np.subtract(layer.world_to_data(before.data_to_world(end)), end) for end in ends]
    return bool(np.abs(places).max() < NEAR and array_of(layer).shape == array_of(before).shape[: before.ndim])


def _sample(mask: NDArray[np.bool_], matrix: NDArray[np.floating], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return `mask` seen on a grid of `shape`, of whose pixels `matrix` gives the places in it; False outside."""
    found = np.zeros(shape, np.bool_)
    columns = np.arange(shape[1])
    for row in range(shape[0]):
        places = np.rint(matrix[:2, :2] @ [np.full_like(columns, row), columns] + matrix[:2, 2:]).astype(np.intp)
        inside = ((places >= 0) & (places < np.reshape(mask.shape, (2, 1)))).all(axis=0)
        found[row, inside] = mask[tuple(places[:, inside])]
    return found


def _draw(
    layer: Shapes, frame: tuple[int, ...], matrix: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return which pixels of a grid of `shape` lie in the shapes of a frame, which `matrix` takes to the grid."""
    from napari.layers import Shapes

    here = [index for index, each in enumerate(layer.data) if (np.rint(each[:, :-2]) == frame).all()]
    if not here:
        return np.zeros(shape, np.bool_)
    corners = [layer.data[index][:, -2:] @ matrix[:2, :2].T + matrix[:2, 2] for index in here]
    kinds = [layer.shape_type[index] for index in here]
    drawn: NDArray[np.int_] = Shapes(corners, shape_type=kinds, ndim=2).to_labels(shape)
    return drawn > 0
