"""What the two images, and the diff map, have under the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import array_of

if TYPE_CHECKING:
    from napari.layers import Image

    from ..looks import Pair

__all__ = ["describe_values"]


def describe_values(pair: Pair, difference: Image | None, position: tuple[float, ...]) -> str:
    """Return the values of two layers, and of the diff map, at a place in the world; "" where none of them has any.

    They are those that are compared with each other. Of layers in chunks they are known while they are shown: nothing
    is read for them.
    """
    before, after, frame, by_index = pair
    here = _index_at(before, position)
    there = _index_at(after, position)
    if by_index:
        there = (*there[: max(0, after.ndim - before.ndim)], *here[-after.ndim :])
    if frame is not None and before.ndim > 2:
        here = (max(here[0] - 1, 0) if frame == "previous" else frame, *here[1:])
    values = {"before": _value_at(before, here, position), "after": _value_at(after, there, position)}
    if difference is not None:
        values["difference"] = _value_at(difference, _index_at(difference, position), position)
    if all(value is None for value in values.values()):
        return ""
    return "  ".join(f"{name} {_say(value)}" for name, value in values.items())


def _index_at(layer: Any, position: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(axis) for axis in layer.world_to_data(position))[-layer.ndim :]


def _value_at(layer: Any, index: tuple[int, ...], position: tuple[float, ...]) -> Any:
    """Return the value of a layer at an index, None where it has none; of one in chunks if it is shown there."""
    array = array_of(layer)
    if isinstance(array, np.ndarray):
        # Also where the layer is hidden
        inside = all(0 <= axis < length for axis, length in zip(index, array.shape, strict=False))
        return array[index] if inside else None
    if index != _index_at(layer, position):
        return None
    found = layer.get_value(position, world=True)
    return found[1] if isinstance(found, tuple) else found


def _say(value: Any) -> str:
    if value is None:
        return "–"
    numbers = np.atleast_1d(np.asarray(value)).tolist()
    words = [f"{number:.4g}" if isinstance(number, float) else str(number) for number in numbers]
    return words[0] if len(words) == 1 else f"({', '.join(words)})"
