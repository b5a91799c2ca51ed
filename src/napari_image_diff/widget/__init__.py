"""The dock widget: the only room that imports Qt, superqt, magicgui and napari's parts of them."""

from .commands import compare_selected_layers
from .dock import ComparisonWidget

__all__ = ["ComparisonWidget", "compare_selected_layers"]
