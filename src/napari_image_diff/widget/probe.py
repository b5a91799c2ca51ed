"""What the two images, and the diff map, have under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import array_of

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = ["describe_values"]


def describe_values(before: Image, after: Image, difference: Image | None, position: tuple[float, ...]) -> str:
    """Return the values of two layers, and of the diff map, at a place in the world; "" where none of them has any.

    Of layers in chunks they are known while they are shown: nothing is read for them.
    """
    layers = {"before": before, "after": after, "difference": difference}
    values = {name: _value_at(layer, position) for name, layer in layers.items() if layer is not None}
    if all(value is None for value in values.values()):
        return ""
    return "  ".join(f"{name} {_say(value)}" for name, value in values.items())


def _value_at(layer: Any, position: tuple[float, ...]) -> Any:
    """Return the value of a layer at a place in the world, None where it has none."""
    array = array_of(layer)
    if isinstance(array, np.ndarray):
        # Also where the layer is hidden
        place = tuple(round(axis) for axis in layer.world_to_data(position))[-layer.ndim :]
        inside = all(0 <= axis < length for axis, length in zip(place, array.shape, strict=False))
        return array[place] if inside else None
    found = layer.get_value(position, world=True)
    return found[1] if isinstance(found, tuple) else found


def _say(value: Any) -> str:
    if value is None:
        return "–"
    numbers = np.atleast_1d(np.asarray(value)).tolist()
    words = [f"{number:.4g}" if isinstance(number, float) else str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"({', '.join(words)})"
