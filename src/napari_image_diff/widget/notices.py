"""What the dock has to say: how two layers are compared, or why not, and that the result is of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..geometry import NEAR, physical_of, spacing_of
from ..layers import explain_mismatch
from ..overlaying import Overlay, find_overlay
from ..placing import frame_compared, results_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from ..comparison import Comparison
    from .panel import Panel

__all__ = ["find_change", "find_obstacle", "find_way"]


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
    frame, by_index = panel.pickers.frame, panel.index_box.isChecked()
    return explain_mismatch(before, after, settings.size, frame, spatial_ndim=settings.spatial_ndim, by_index=by_index)


def find_way(panel: Panel, before: Image | None, after: Image | None) -> tuple[bool, Overlay | None]:
    """Return whether the pixels of the two do not coincide, and how they are compared then, if they can be."""
    types = {type(layer).__name__ for layer in (before, after)}
    if before is None or after is None or types != {"Image"}:
        return False, None
    frame, by_index, whole = panel.pickers.frame, panel.index_box.isChecked(), not panel.follow_box.isChecked()
    ndim = int(panel.form.values["spatial_ndim"]) if whole else 2
    if min(before.ndim, after.ndim) < ndim:
        return False, None
    try:
        overlay = find_overlay(before, after, frame, spatial_ndim=ndim, by_index=by_index, whole=whole)
    except ValueError:
        return True, None
    return overlay is not None, overlay


def find_change(
    viewer: ViewerModel,
    panel: Panel,
    comparison: Comparison,
    before: Image | None,
    after: Image | None,
    overlay: Overlay | None,
) -> str:
    """Return what is picked now that the comparison shown is not of: all frames, others, other settings; "" if none.

    `overlay` is how the two lie now, as `find_way` has it.
    """
    if "shown" in comparison.resolved:
        return f"The result is of {comparison.resolved['shown']} alone. Press Compare for all frames."
    if before is not None and after is not None and results_of(viewer, before, after):
        compared, picked = frame_compared(viewer, before, after), panel.pickers.frame
        if compared != picked:
            told: dict[Any, str] = {None: "the same frames", "previous": "the previous frames"}
            words = told.get(compared, f"frame {compared}")
            return f"The result is against {words} of '{before.name}'. Press Compare for what is picked now."
        changed = _find_move(comparison, overlay)
        if changed:
            return changed
    if comparison.settings.spatial_ndim == 3 and before is not None:
        spacing = spacing_of(before, 3)
        if comparison.resolved["spacing"] != (None if spacing is None else tuple(spacing)):
            return f"The voxels of '{before.name}' have another size now. Press Compare to use it."
    world = None if before is None else physical_of(before, comparison.settings.spatial_ndim)
    known = comparison.resolved.get("world")
    if before is not None and world != (None if known is None else (known["matrix"], known["unit"])):
        return f"'{before.name}' lies elsewhere now. Press Compare for the areas and positions that it has there."
    if all(getattr(comparison.settings, name) == value for name, value in panel.form.values.items()):
        return ""
    return "The settings have changed. Press Compare to use them."


def _find_move(comparison: Comparison, overlay: Overlay | None) -> str:
    """Return that the two lie, or are to be compared, otherwise than when they were compared; "" if not."""
    compared = comparison.resolved.get("overlay")
    now = None if overlay is None else "by index" if overlay.by_index else "resampled"
    if now != (None if compared is None else compared["way"]):
        ways = {None: "as their pixels coincide", "by index": "by index", "resampled": "where the two overlap"}
        way = ways[None if compared is None else compared["way"]]
        return f"The result is of what was compared {way}. Press Compare for what is chosen now."
    if overlay is None or compared is None or overlay.by_index:
        return ""
    earlier = np.array(compared["matrix"])
    if earlier.shape != overlay.matrix.shape or not np.allclose(overlay.matrix, earlier, atol=NEAR):
        return "One of the two layers has moved. Press Compare to compare them where they lie now."
    return ""
