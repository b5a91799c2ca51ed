"""The words of OME-Zarr 0.5 for what our maps are and where their pixels lie (https://ngff.openmicroscopy.org/0.5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Axis", "describe_image", "describe_labels", "make_axes"]

VERSION = {"version": "0.5"}

# What an axis is, by its name, and in which order the kinds stand. An axis of another name counts as one of channels.
TYPES = {"t": "time", "time": "time", "c": "channel", "channel": "channel", "z": "space", "y": "space", "x": "space"}
ORDER = ("time", "channel", "space")

# The units that there are
PREFIXES = "atto centi deci exa femto giga hecto kilo mega micro milli nano peta pico tera yocto yotta zepto zetta"
UNITS = {f"{prefix}{unit}" for prefix in ("", *PREFIXES.split()) for unit in ("meter", "second")} | {
    *("angstrom", "foot", "inch", "mile", "parsec", "yard"),
    *("day", "hour", "minute"),
}

# What maps show, and the value that is shown white, as in napari; that of 0 is black
SHOWN = {"difference": ("1 - SSIM", 1), "evidence": ("1 = the limit", 2)}


class Axis(NamedTuple):
    """An axis of the maps, and where its pixels lie."""

    name: str
    type: str | None
    unit: str | None
    scale: float
    translate: float


def make_axes(names: tuple[str, ...], spatial: int, scale: Any, translate: Any, units: Any) -> list[Axis]:
    """Return the axes of the maps.

    Parameters
    ----------
    names : tuple of str
        Names of the leading axes.
    spatial : int
        How many axes follow: rows and columns, or planes, rows and columns.
    scale, translate, units
        As in `zarr_files.write_zarr`; None is 1, 0 and pixels.

    Raises
    ------
    ValueError
        If OME-Zarr has no place for one of them.
    """
    every = (*names, *"zyx"[-spatial:])
    scales = _spread(scale, "scale", len(every), spatial, 1.0)
    translates = _spread(translate, "translate", len(every), spatial, 0.0)
    if not (np.isfinite(scales).all() and np.all(scales) and np.isfinite(translates).all()):
        raise ValueError(f"scale is {scale!r} and translate {translate!r}; give finite numbers, and no scale of 0")
    named = [_name_unit(unit) for unit in _spread(units, "units", len(every), spatial, "pixel")]
    return [Axis(*each) for each in zip(every, _find_types(every, spatial), named, scales, translates, strict=True)]


def _find_types(names: tuple[str, ...], spatial: int) -> list[str | None]:
    """Return what each axis is, None for what there is no word for."""
    types = [TYPES.get(name.lower()) for name in names]
    order = [ORDER.index(each or "channel") for each in types]
    # Of space there are three axes at most; y and x are the last
    distinct = order[:-2]
    if len(set(names)) < len(names) or distinct != sorted(set(distinct)):
        raise ValueError(
            f"the axes are {', '.join(names)}; before y and x, OME-Zarr takes t, one of c or another name, and z, each "
            f"once at most and in this order. Give other names for the first {len(names) - spatial} with axes=, or "
            "write frame by frame (comparison.frames)"
        )
    return types


def _spread(values: Any, name: str, ndim: int, spatial: int, default: Any) -> list[Any]:
    """Return a value for each axis, given none, one for all of space, or one for each of the last axes."""
    if values is None:
        values = ()
    elif isinstance(values, str) or not hasattr(values, "__len__"):
        values = (values,) * spatial
    if len(values) > ndim:
        raise ValueError(f"{name} has {len(values)} values, and the comparison {ndim} axes; give one for each")
    return [default] * (ndim - len(values)) + [type(default)(value) for value in values]


def _name_unit(name: str) -> str | None:
    """Return a unit as OME-Zarr has it, None for pixels."""
    if name in UNITS:
        return name
    if name in ("", "None", "pixel", "dimensionless"):
        return None
    raise ValueError(f"the unit is {name!r}; give the full name of a length or a time, such as 'micrometer'")


def describe_image(name: str, shape: Sequence[int], axes: list[Axis], levels: int) -> dict[str, Any]:
    """Return the attributes of a map of `shape` in so many levels, in each of which rows and columns are halved."""
    fields = [{"name": axis.name, "type": axis.type, "unit": axis.unit} for axis in axes]
    image: dict[str, Any] = {
        "name": name,
        "type": "maximum",
        "axes": [{key: value for key, value in field.items() if value is not None} for field in fields],
        "datasets": [{"path": str(level), "coordinateTransformations": _place(axes, level)} for level in range(levels)],
    }
    if name not in SHOWN:
        return {"ome": VERSION | {"multiscales": [image]}}
    label, white = SHOWN[name]
    window = {"min": 0, "max": 2, "start": 0, "end": white}
    channel = {"label": label, "color": "FFFFFF", "active": True, "window": window}
    # Without an axis of channels there is one
    count = math.prod(length for length, axis in zip(shape, axes, strict=True) if axis.type == "channel")
    return {"ome": VERSION | {"multiscales": [image], "omero": {"channels": [channel] * count}}}


def _place(axes: list[Axis], level: int) -> list[dict[str, Any]]:
    """Return where the pixels of a level lie."""
    factors = [1] * (len(axes) - 2) + [2**level] * 2
    scale = [axis.scale * factor for axis, factor in zip(axes, factors, strict=True)]
    # The middle of a pixel lies in the middle of those that it stands for
    first = [axis.translate + axis.scale * (factor - 1) / 2 for axis, factor in zip(axes, factors, strict=True)]
    return [{"type": "scale", "scale": scale}, {"type": "translation", "translation": first}]


def describe_labels(names: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the attributes of the group of all labels, and what each of them has beside those of an image."""
    source = {"image": "../../"}
    return {"ome": VERSION | {"labels": list(names)}}, {"image-label": VERSION | {"source": source}}
