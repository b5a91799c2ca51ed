"""Where layers lie in the world of a viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "NEAR",
    "TRANSFORMS",
    "affine_of",
    "array_of",
    "lift_transforms",
    "physical_of",
    "plane_of",
    "real_layer",
    "same_value",
    "sides_of",
    "spacing_of",
    "transforms_of",
    "transforms_of_plane",
    "world_of",
]

TRANSFORMS = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")

# Layers whose pixels lie upon each other within this many of them share a grid
NEAR = 1e-6


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


def physical_of(layer: Any, axes: int) -> tuple[list[list[float]], str] | None:
    """Return where the last `axes` of a layer lie, as `compare` takes it: a matrix and the unit of the rows.

    None where that is their index, and where the layer is tilted, so that each plane lies elsewhere. Units that cannot
    be converted count as they are; napari's "pixel" is none.
    """
    rows = layer.units[-2]
    world, lead = world_of(layer, (rows,) * axes), layer.ndim - axes
    matrix, beside = world[lead:, lead:], (world[lead:-1, :lead], world[:lead, lead:-1])
    mixed = max(np.abs(part).max(initial=0) for part in beside)
    if mixed > NEAR * abs(matrix[:-1, :-1]).max():
        return None
    unit = "" if f"{rows}" == "pixel" else f"{rows:~}"
    return None if not unit and np.array_equal(matrix, np.eye(axes + 1)) else (matrix.tolist(), unit)


def transforms_of(layer: Any) -> dict[str, Any]:
    """Return where a layer lies, as attributes of another layer."""
    return {name: getattr(layer, name) for name in TRANSFORMS} | {"affine": affine_of(layer)}


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
        "affine": affine_of(layer)[lead:, lead:],
    }


def same_value(one: Any, other: Any) -> bool:
    """Return whether two attributes of layers are the same."""
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def affine_of(layer: Layer) -> NDArray[np.float64]:
    """Return the matrix of a layer's affine."""
    return np.array(layer.affine.affine_matrix)


def world_of(layer: Layer, units: Any) -> NDArray[np.float64]:
    """Return the matrix that takes an index of a layer, with a 1 at its end, to the world; the last axes in `units`."""
    steps = np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim)])
    origin, *ends = (np.array(layer.data_to_world(tuple(place)))[-layer.ndim :] for place in steps)
    matrix = np.eye(layer.ndim + 1)
    matrix[:-1] = np.stack([*(end - origin for end in ends), origin], axis=1)
    # napari draws nm and um to one scale, and leaves pixels and um as they are
    shared = min(layer.ndim, len(units))
    factors = [
        (1 * own).m_as(unit) if own.is_compatible_with(unit) else 1.0
        for own, unit in zip(layer.units[-shared:], units[-shared:], strict=True)
    ]
    return np.asarray(np.diag([1.0] * (layer.ndim - shared) + [*factors, 1.0]) @ matrix)
