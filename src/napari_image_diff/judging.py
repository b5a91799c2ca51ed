"""Whether a comparison counts as different, for programs that need a yes or a no."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .comparison import Comparison
from .tables import count_rows

__all__ = ["NO_REGION", "Limits", "judge"]


class Limits(NamedTuple):
    """How much may differ; where none is given, any region is a difference."""

    max_regions: int | None = None
    """So many regions may be there."""
    max_changed: float | None = None
    """Such a share of the pixels, 0 to 1, may lie in regions; of a stack, of each frame."""
    min_score: float | None = None
    """The score, and SSIM within each region, are at least this; of a stack, in each frame."""


NO_REGION = Limits()


def judge(comparison: Comparison, limits: Limits = NO_REGION) -> list[str]:
    """Return why a comparison counts as different, in words; nothing if it does not.

    A small change hardly moves the mean of a large image: so the worst region is held against the score that is asked
    for, and of a stack the worst frame against each limit.
    """
    count = count_rows(comparison.region_columns)
    if limits == NO_REGION:
        return [f"{count:,} region{'s' * (count != 1)}"] if count else []
    reasons = []
    if limits.max_regions is not None and count > limits.max_regions:
        reasons.append(f"{count:,} region{'s' * (count != 1)}, more than {limits.max_regions:,}")
    changed = max(frame.changed_fraction for frame in comparison.frames or (comparison,))
    if limits.max_changed is not None and changed > limits.max_changed:
        reasons.append(f"{changed:.4%} changed, more than {limits.max_changed:.4%}")
    if limits.min_score is not None:
        # What has no number, of a region that only one image has, say, does not pass
        score = float(np.min(comparison.score))
        if not score >= limits.min_score:
            reasons.append(f"score {score:.4f}, less than {limits.min_score}")
        worst = 1 - float(comparison.region_columns["difference_mean"].max(initial=0))
        if not worst >= limits.min_score:
            reasons.append(f"SSIM of {worst:.4f} in a region, less than {limits.min_score}")
    return reasons
