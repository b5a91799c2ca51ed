"""The view of a viewer as it was found, to be given back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..geometry import real_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["View"]

GRID = ("enabled", "stride", "shape", "spacing")
TEXT = ("text", "visible", "position")


class View:
    """What is selected, which layers are seen, napari's grid and its text, changed for a while.

    What somebody else changes meanwhile stays so.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.layers = [real_layer(layer) for layer in viewer.layers]
        self._selected = self._select()
        self._hidden: list[Any] = []
        self._point = tuple(viewer.dims.point)
        self._found = {"grid": _values(viewer.canvas.grid, GRID), "text": _values(viewer.canvas.overlays.text, TEXT)}
        self._given: dict[str, dict[str, Any]] = {"grid": {}, "text": {}}

    def hide(self, layer: Any) -> None:
        """Hide a layer."""
        if layer.visible:
            layer.visible = False
            self._hidden.append(layer)

    def set_grid(self, **values: Any) -> None:
        """Change napari's grid."""
        self._set("grid", self._viewer.canvas.grid, values)

    def say(self, text: str) -> None:
        """Write at the top left of the canvas, unless somebody else has written there meanwhile."""
        place = self._viewer.canvas.overlays.text
        if all(getattr(place, name) == value for name, value in self._given["text"].items()):
            self._set("text", place, {"text": text, "position": "top_left", "visible": True})

    def keep_selection(self) -> None:
        """Select what was selected: layers that were added since are selected by napari."""
        self._put_selection(self._selected)

    def take_out(self, made: Iterable[Layer]) -> None:
        """Take out layers that were made meanwhile."""
        made, selected = set(made), self._select()
        if not made & set(selected):
            self._selected = selected
        for layer in made:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def restore(self) -> None:
        """Put all back as it was found."""
        viewer = self._viewer
        for name, place in (("grid", viewer.canvas.grid), ("text", viewer.canvas.overlays.text)):
            for key, value in self._given[name].items():
                if getattr(place, key) == value:
                    setattr(place, key, self._found[name][key])
        for layer in self._hidden:
            if layer in viewer.layers:
                layer.visible = True
        self._put_selection(self._selected)
        if len(self._point) == viewer.dims.ndim:
            # With other layers napari finds another middle of what is shown; sliders stay where they are now
            for axis in viewer.dims.displayed:
                viewer.dims.set_point(axis, self._point[axis])

    def _select(self) -> list[Any]:
        return [real_layer(layer) for layer in self._viewer.layers.selection]

    def _put_selection(self, wanted: list[Any]) -> None:
        there = [layer for layer in wanted if layer in self._viewer.layers]
        if self._select() != there:
            self._viewer.layers.selection = there

    def _set(self, name: str, place: Any, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            if getattr(place, key) != value:
                setattr(place, key, value)
            # As napari has it: a shape may come back as another type
            self._given[name][key] = getattr(place, key)


def _values(place: Any, names: Iterable[str]) -> dict[str, Any]:
    return {name: getattr(place, name) for name in names}
