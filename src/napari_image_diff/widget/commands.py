"""What the command palette offers."""

from __future__ import annotations

import napari

from .dock import ComparisonWidget

__all__ = ["compare_selected_layers"]


def compare_selected_layers(viewer: napari.Viewer) -> None:
    """Open the dock and compare the two layers selected in the layer list; the lower one is before."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
    dock.show()
    assert isinstance(widget, ComparisonWidget)
    widget.compare_selected()
