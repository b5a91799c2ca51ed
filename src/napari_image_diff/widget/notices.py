"""What the dock has to say: why two layers cannot be compared, and that the result is not of what is picked now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..geometry import spacing_of
from ..layers import explain_mismatch
from ..placing import frame_compared, results_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from ..comparison import Comparison
    from .panel import Panel

__all__ = ["find_change", "find_obstacle"]


def find_obstacle(panel: Panel, before: Image | None, after: Image | None) -> str:
    """Return why the two cannot be compared with the settings of the form, "" if they can."""
    offered = panel.pickers.offered
    if not offered:
        return "Open two images to compare: drag them into the window, or try File > Open Sample."
    if len(offered) == 1 and offered[0].ndim == 2:
        return f"Open a second image to compare '{offered[0].name}' with."
    try:
        settings = panel.read_settings()
    except ValueError as error:
        return f"{error}."
    frame = panel.pickers.frame
    return explain_mismatch(before, after, settings.size, frame, spatial_ndim=settings.spatial_ndim)


def find_change(
    viewer: ViewerModel, panel: Panel, comparison: Comparison, before: Image | None, after: Image | None
) -> str:
    """Return what is picked now that the comparison shown is not of: all frames, others, other settings; "" if none."""
    if "shown" in comparison.resolved:
        return f"The result is of {comparison.resolved['shown']} alone. Press Compare for all frames."
    if before is not None and after is not None and results_of(viewer, before, after):
        compared, picked = frame_compared(viewer, before, after), panel.pickers.frame
        if compared != picked:
            told: dict[Any, str] = {None: "the same frames", "previous": "the previous frames"}
            words = told.get(compared, f"frame {compared}")
            return f"The result is against {words} of '{before.name}'. Press Compare for what is picked now."
    if comparison.settings.spatial_ndim == 3 and before is not None:
        spacing = spacing_of(before, 3)
        if comparison.resolved["spacing"] != (None if spacing is None else tuple(spacing)):
            return f"The voxels of '{before.name}' have another size now. Press Compare to use it."
    if all(getattr(comparison.settings, name) == value for name, value in panel.form.values.items()):
        return ""
    return "The settings have changed. Press Compare to use them."
