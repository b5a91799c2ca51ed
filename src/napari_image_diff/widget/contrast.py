"""One contrast for both images, for as long as it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

__all__ = ["SameContrast"]

LINKED = ("contrast_limits", "gamma")

# In the order in which they can be put back: limits lie in their range
KEPT = ("contrast_limits_range", "contrast_limits", "gamma")


class SameContrast:
    """Links contrast limits and gamma of two gray layers, and gives each its own back."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._earlier: dict[Any, dict[str, Any]] = {}
        self._linked: list[str] = []

    @property
    def active(self) -> bool:
        """Whether they are linked."""
        return bool(self._earlier)

    def explain(self, before: Image | None, after: Image | None) -> str:
        """Return why two layers have no contrast to share, "" if they do."""
        if before is None or after is None or before is after:
            return "There are no two layers to show alike."
        if before.rgb or after.rgb:
            return "Layers in colour have no contrast limits."
        return ""

    def start(self, before: Image, after: Image) -> None:
        """Show both from the lower of their black points to the higher of their white points, and link them."""
        self.stop()
        layers = (before, after)
        self._earlier = {layer: {name: getattr(layer, name) for name in KEPT} for layer in layers}
        black = min(float(layer.contrast_limits[0]) for layer in layers)
        white = max(float(layer.contrast_limits[1]) for layer in layers)
        for layer in layers:
            layer.contrast_limits = (black, white)
        after.gamma = before.gamma
        # What the user has linked stays so
        self._linked = [name for name in LINKED if not _are_linked(layers, name)]
        if self._linked:
            self._viewer.layers.link_layers(list(layers), self._linked)

    def stop(self) -> None:
        """Unlink them; each gets back what it had."""
        earlier, self._earlier = self._earlier, {}
        if earlier and self._linked:
            self._viewer.layers.unlink_layers(list(earlier), self._linked)
        for layer, values in earlier.items():
            for name, value in values.items():
                setattr(layer, name, value)


def _are_linked(layers: tuple[Image, Image], name: str) -> bool:
    """Return whether an attribute of two layers is linked: of the links themselves napari 0.9 tells nothing."""
    one, other = layers
    callbacks = [callback for callback in getattr(one.events, name).callbacks if callable(callback)]
    return any(f"set_{name}_on_layer_{id(other)}" == getattr(each, "__qualname__", "") for each in callbacks)
