"""What the halves of a comparison hand on, whether the images are in memory or read in parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .noise import Limits
from .preparation import Pair
from .regions import name_box
from .settings import Settings
from .tables import Columns
from .threshold import otsu_level, threshold_of_level

__all__ = ["Cut", "Cuts", "Measured", "Shared", "add_kinds", "find_cut", "find_shared", "make_boxes"]


Shared = NDArray[np.int64] | Limits | None
"""What the threshold of a frame is taken from, if not from the frame itself."""


class Measured(NamedTuple):
    """What the slow half finds out about a frame; arrays as in `Comparison`."""

    score: float
    histogram: NDArray[np.int64]
    difference: Any
    evidence: Any
    """None where it was not measured."""
    limits: Limits | None
    """What evidence was held against, None where there is nothing."""
    pair: Pair
    resolved: dict[str, Any]
    parts: Any = None
    """Of images that are read in parts, how to go on with them."""


class Cut(NamedTuple):
    """What the fast half finds in a frame; arrays as in `Comparison`."""

    measured: Measured
    """With what else was measured on the way."""
    threshold: float
    labels: Any
    regions: Columns
    forgiven: Columns
    notes: dict[str, Any]
    """``noise``, ``edge_tolerance``, ``threshold_rule`` and ``otsu_level``, as in ``Comparison.resolved``."""


class Cuts(NamedTuple):
    """What the fast half finds in all frames."""

    frames: list[Cut]
    difference: Any
    """Of all frames, with the leading axes, as the following."""
    evidence: Any
    labels: Any
    histogram: NDArray[np.int64]
    pyramid: Any = None
    """Of images that are read in parts, coarser views of the arrays."""


def find_cut(settings: Settings, histogram: NDArray[np.int64]) -> tuple[float, dict[str, Any]]:
    """Return the value above which a pixel of evidence or of the difference differs, and notes on how it was found."""
    notes: dict[str, Any] = {"noise": None, "edge_tolerance": None, "threshold_rule": "number", "otsu_level": None}
    if settings.threshold == "auto":
        # What float32 has, so that all stages cut at the same value
        return float(np.float32(1 / settings.sensitivity)), {**notes, "threshold_rule": "auto"}
    if settings.threshold == "otsu":
        level = otsu_level(histogram)
        return threshold_of_level(level), {**notes, "threshold_rule": "otsu", "otsu_level": level}
    return float(settings.threshold), notes


def find_shared(
    measured: Sequence[Measured], settings: Settings, measure_limits: Callable[[Sequence[Measured]], Limits]
) -> Shared:
    """Return what one threshold for all frames is taken from, a histogram or limits; None where there is nothing.

    `measure_limits` finds what noise and edges explain in some frames.
    """
    if not settings.shared_threshold:
        return None
    if settings.threshold == "otsu":
        return np.asarray(np.sum([each.histogram for each in measured], axis=0))
    # Neither evidence of the user's own nor identical frames have limits
    noisy = [each for each in measured if each.evidence is None or each.limits is not None]
    noisy = [each for each in noisy if not each.resolved["identical"]]
    if settings.threshold != "auto" or not noisy:
        return None
    known = noisy[0].limits
    if known is not None and all(each.limits is known for each in noisy):
        return known
    return measure_limits(noisy)


def make_boxes(boxes: NDArray[np.int64]) -> Columns:
    """Return boxes (N, 4), or of volumes (N, 6), as a table."""
    return dict(zip(name_box(boxes.shape[1] // 2), boxes.T, strict=True))


def add_kinds(regions: Columns, found: Any) -> None:
    """Add to a table what kind of change each region is (`kinds.Kinds`)."""
    regions["kind"], regions["reason"] = np.array(found.kind, object), np.array(found.reason, object)
    regions["moved_rows"], regions["moved_cols"] = found.shift.T
    regions["partner"] = found.partner
