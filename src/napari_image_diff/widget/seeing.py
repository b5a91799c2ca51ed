"""What the window shows at a moment, as figures need it: the canvas, the way to look, the marked region, the theme."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..lettering import Theme
from ..placing import results_of
from .looking import WAYS, Looker
from .viewing import frame_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from ..comparison import Comparison
    from .panel import Panel

__all__ = ["Sight", "see"]


class Sight(NamedTuple):
    """What is shown."""

    theme: Theme
    frame: tuple[int, ...]
    """Its index, of volumes with the plane, on the screen."""
    label: int
    """The marked region, 0 is none."""
    rate: float
    """Pictures a second of a blink."""
    told: tuple[str, ...] = ()
    """What is on the canvas, in parts, but for the region."""
    canvas: NDArray[np.uint8] | None = None
    """(H, W, 4), where it was asked for."""
    ratio: float = 1.0
    """Its pixels for each of the screen's units."""
    scale: tuple[float, str] | None = None
    """How long a pixel of it is, in which unit; None where the layers have none."""


def see(
    viewer: ViewerModel,
    looker: Looker,
    panel: Panel,
    shown: tuple[Comparison, Image, Image],
    *,
    canvas: bool,
) -> Sight:
    """Return what the window shows now, with a picture of the `canvas` or without."""
    from napari.utils.theme import get_theme

    _, before, after = shown
    theme = get_theme(viewer.theme)
    colors = Theme(*(color.as_rgb_tuple(alpha=False) for color in (theme.background, theme.text)))
    results = results_of(viewer, before, after)
    frame = frame_of(viewer, next(iter(results.values()))) if results else ()
    sight = Sight(colors, frame, panel.table.label, panel.ways.rate.value())
    if not canvas:
        return sight
    window: Any = viewer
    picture = window.screenshot(canvas_only=True, flash=False)
    # A canvas that is not on a screen yet has no size
    ratio = picture.shape[0] / (viewer.canvas.size[0] or picture.shape[0])
    told = tuple(_tell(viewer, looker, shown, sight))
    return sight._replace(canvas=picture, ratio=ratio, told=told, scale=_find_scale(viewer, before, ratio))


def _tell(viewer: ViewerModel, looker: Looker, shown: tuple[Comparison, Image, Image], sight: Sight) -> Iterator[str]:
    """Give what is on the canvas, in words."""
    comparison, before, after = shown
    yield f"before: {before.name}"
    yield f"after: {after.name}"
    if looker.way:
        title = WAYS[looker.way].title
        yield f"{title}: {('before', 'after')[looker.which]}" if looker.way == "blink" else title
    else:
        seen = [layer.name for layer in viewer.layers if layer.visible]
        yield f"shown: {', '.join(seen) or 'nothing'}"
    if "shown" in comparison.resolved:
        # One frame alone was compared, while the viewer was followed
        yield str(comparison.resolved["shown"])
    axes = tuple(comparison.resolved.get("frames", ()))
    planes = ("plane",) if comparison.settings.spatial_ndim == 3 and viewer.dims.ndisplay == 2 else ()
    yield from (f"{axis.replace('_', ' ')} {place}" for axis, place in zip((*axes, *planes), sight.frame, strict=False))


def _find_scale(viewer: ViewerModel, before: Image, ratio: float) -> tuple[float, str] | None:
    """Return how long a pixel of the canvas is, and in which unit; None if in none, or not everywhere the same."""
    units = viewer.layers.extent.units
    if viewer.dims.ndisplay != 2 or not units:
        return None
    down, right = (units[axis - viewer.dims.ndim] for axis in viewer.dims.displayed)
    if down != right or right.dimensionless or str(right) == "pixel":
        return None
    return 1 / (viewer.scene.camera.zoom * ratio), f"{right:~P}"
