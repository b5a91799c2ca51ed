"""Where layers lie in the world of a viewer: masks seen from *before*, and *after* laid upon it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer, Shapes

    from .comparison import Comparison

__all__ = [
    "MASKS",
    "TRANSFORMS",
    "add_to_mask",
    "array_of",
    "describe_transforms",
    "is_aligned",
    "lift_transforms",
    "mask_of",
    "pixels_of",
    "pixels_of_all",
    "plane_of",
    "real_layer",
    "same_value",
    "sides_of",
    "spacing_of",
    "toggle_alignment",
    "transforms_of",
    "transforms_of_plane",
]

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

# What can say which pixels count
MASKS = ("Labels", "Shapes")

# Pixels of a mask that is made of a layer, one byte each.
LARGEST_MASK = 2**31

# Layers whose pixels lie upon each other within this many of them share a grid
NEAR = 1e-6

# The affine that a layer had before `toggle_alignment`, and the one that it got
_aligned: weakref.WeakKeyDictionary[Layer, tuple[NDArray[np.float64], NDArray[np.float64]]] = (
    weakref.WeakKeyDictionary()
)


def real_layer(layer: Any) -> Any:
    """Return the layer itself: what plugins get from a viewer are proxies, which fail ``is``."""
    return getattr(layer, "__wrapped__", layer)


def array_of(layer: Any) -> Any:
    """Return the array of a layer; of a multiscale layer the full-size level."""
    return layer.data[0] if layer.multiscale else layer.data


def plane_of(layer: Any) -> tuple[int, int]:
    """Return rows and columns of a layer's planes."""
    rows, columns = sides_of(layer, 2)
    return rows, columns


def sides_of(layer: Any, axes: int) -> tuple[int, ...]:
    """Return the lengths of the last so many axes of a layer, colour left out."""
    return tuple(array_of(layer).shape[layer.ndim - axes : layer.ndim])


def spacing_of(layer: Any, axes: int) -> tuple[float, ...] | None:
    """Return the size of a voxel along planes, rows and columns, in the unit of the rows; None for images of 2 `axes`.

    Units that cannot be converted count as they are.
    """
    if axes < 3:
        return None
    units = layer.units[-3:]
    factors = [(1 * unit).m_as(units[1]) if unit.is_compatible_with(units[1]) else 1.0 for unit in units]
    planes, rows, columns = (float(abs(step) * factor) for step, factor in zip(layer.scale[-3:], factors, strict=True))
    return planes, rows, columns


def transforms_of(layer: Any) -> dict[str, Any]:
    """Return where a layer lies, as attributes of another layer."""
    return {name: getattr(layer, name) for name in TRANSFORMS} | {"affine": _affine_of(layer)}


def lift_transforms(own: Mapping[str, Any], other: Mapping[str, Any] | None, ndim: int) -> dict[str, Any]:
    """Return `own`, of a layer of one frame, for `ndim` axes, the leading ones as in `other` (by index if None)."""
    lead = ndim - len(own["scale"])
    found: dict[str, Any] = {
        "scale": np.ones(ndim),
        "translate": np.zeros(ndim),
        "rotate": np.eye(ndim),
        "shear": np.zeros(ndim * (ndim - 1) // 2),
        "affine": np.eye(ndim + 1),
        "units": ("pixel",) * ndim,
        "axis_labels": tuple(str(axis - ndim) for axis in range(ndim)),
    }
    found |= other or {}
    for name in ("scale", "translate"):
        found[name] = np.concatenate([found[name][:lead], own[name]])
    for name in ("units", "axis_labels"):
        found[name] = (*found[name][:lead], *own[name])
    for name in ("rotate", "affine"):
        matrix = np.array(found[name], np.float64)
        matrix[lead:, :lead] = 0
        matrix[:lead, lead:ndim] = 0
        matrix[lead:, lead:] = own[name]
        found[name] = matrix
    found["shear"] = np.append(np.zeros(ndim * (ndim - 1) // 2 - len(own["shear"])), own["shear"])
    return found


def transforms_of_plane(layer: Any, axes: int = 2) -> dict[str, Any]:
    """Return where the planes of a layer lie (of 3 `axes`: the volumes), as attributes of a layer of one of them."""
    found = {name: value[-axes:] for name, value in transforms_of(layer).items() if name not in ("shear", "affine")}
    lead = layer.ndim - axes
    return found | {
        "rotate": layer.rotate[lead:, lead:],
        "shear": layer.shear[-axes * (axes - 1) // 2 :],
        "affine": _affine_of(layer)[lead:, lead:],
    }


def same_value(one: Any, other: Any) -> bool:
    """Return whether two attributes of layers are the same."""
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def describe_transforms(before: Image, after: Image) -> str:
    """Say that two layers lie differently in the viewer, "" if they do not: they are compared by index."""
    axes = min(before.ndim, after.ndim)
    ours, theirs = (
        transforms_of(layer) if before.ndim == after.ndim else transforms_of_plane(layer, axes)
        for layer in (before, after)
    )
    different = [name for name in TRANSFORMS if name != "axis_labels" and not same_value(ours[name], theirs[name])]
    if not different or is_aligned(after):
        return ""
    return (
        f"The two layers differ in {', '.join(different)}. "
        "They are compared pixel by pixel, not by where they lie in the viewer."
    )


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
    if type(layer).__name__ not in MASKS or layer.ndim not in (2, before.ndim):
        dimensions = "2" if before.ndim == 2 else f"2 or {before.ndim}"
        raise ValueError(
            f"'{layer.name}' is a {type(layer).__name__} layer of {layer.ndim} dimensions; "
            f"give a Labels or Shapes layer of {dimensions}"
        )
    single = layer.ndim == 2 or frame is not None
    _check_size(before, plane_of(before) if single else sides_of(before, before.ndim))
    onto = np.linalg.inv(_world_of(before, before.units)) @ _world_of(layer, before.units)
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
        ignored.data_setitem(np.nonzero(pixels & (ignored.data == 0)), 1)
        return ignored
    for name, layer in mask.items():
        pixels = pixels | (mask_of(layer, before) == (name == "ignore"))
    where = transforms_of_plane(before) if pixels.ndim == 2 else transforms_of(before)
    layer = Labels(pixels.astype(np.uint8), name="ignore", opacity=0.4, **where)
    selected = list(viewer.layers.selection)
    viewer.add_layer(layer)
    viewer.layers.selection = selected
    return layer


def toggle_alignment(comparison: Comparison | None, before: Image, after: Image) -> None:
    """Lay `after` on `before` in the viewer, where `comparison` found it, or put it back where it was before that.

    Only the layer's affine changes. Comparing goes by pixels, so another comparison finds the same.
    """
    if is_aligned(after):
        after.affine, _ = _aligned.pop(after)
    elif comparison is not None:
        earlier = _affine_of(after)
        after.affine = _find_affine(comparison, before, after)
        _aligned[after] = earlier, _affine_of(after)


def is_aligned(layer: Layer) -> bool:
    """Return whether a layer still has the affine that `toggle_alignment` gave it."""
    return layer in _aligned and same_value(_affine_of(layer), _aligned[layer][1])


def _affine_of(layer: Layer) -> NDArray[np.float64]:
    return np.array(layer.affine.affine_matrix)


def _world_of(layer: Layer, units: Any) -> NDArray[np.float64]:
    """Return the matrix that takes (row, column, 1) in a layer's planes to the world, in `units`."""
    steps = np.eye(layer.ndim)[-2:]
    origin, down, right = (np.array(layer.data_to_world(tuple(place)))[-2:] for place in (np.zeros(layer.ndim), *steps))
    matrix = np.eye(3)
    matrix[:2] = np.stack([down - origin, right - origin, origin], axis=1)
    # napari draws nm and um to one scale, and leaves pixels and um as they are
    factors = [
        (1 * own).m_as(unit) if own.is_compatible_with(unit) else 1.0
        for own, unit in zip(layer.units[-2:], units[-2:], strict=True)
    ]
    return np.diag([*factors, 1.0]) @ matrix


def _find_affine(comparison: Comparison, before: Image, after: Image) -> NDArray[np.floating]:
    """Return the affine with which `after` lies on `before`."""
    world = _world_of(after, before.units)
    # From where after lies to where it shall lie, in the units of before, and then in its own
    change = _world_of(before, before.units) @ np.linalg.inv(_matrix_of(comparison)) @ np.linalg.inv(world)
    units = world @ np.linalg.inv(_world_of(after, after.units))
    affine: NDArray[np.floating] = np.linalg.inv(units) @ change @ units @ _affine_of(after)
    return affine


def _share_grid(layer: Any, before: Image) -> bool:
    onto = np.linalg.inv(_world_of(before, before.units)) @ _world_of(layer, before.units)
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


def _matrix_of(comparison: Comparison) -> NDArray[np.float64]:
    """Return the matrix that takes (row, column, 1) in before to the place in after that shows the same."""
    return np.array(comparison.resolved["alignment"]["matrix"], np.float64)
