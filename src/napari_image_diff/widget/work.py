"""What the dock has done in worker threads, and what it says of the results."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..boxes import pick_largest
from ..geometry import array_of, physical_of, spacing_of
from ..layers import axes_of, channels_of, layers_of, read_mask, take_frame
from ..overlaying import Overlay, add_record, find_overlay, lay
from ..placing import Frame, LayerData
from ..settings import Settings
from .reviewing import add_review, review_of
from .running import Progress

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from ..comparison import Comparison
    from ..review import Review

__all__ = ["Job", "Result", "describe_result", "rethreshold", "warm_up"]


class Result(NamedTuple):
    """A comparison and its layers, ready to be placed: all that takes time is done in the worker."""

    comparison: Comparison
    layers: list[LayerData]
    review: Review
    """What had been decided of its regions, which its tables say."""

    @classmethod
    def of(cls, comparison: Comparison, before: Image, after: Image) -> Result:
        """Return the result of comparing two layers."""
        review = review_of(before, after)
        comparison = add_review(comparison, review)
        return cls(comparison, layers_of(comparison, before, after, more=True), review)


class Job(NamedTuple):
    """Two layers to compare, with the arrays and the mask that they had when it began."""

    before: Image
    after: Image
    arrays: tuple[Any, Any]
    mask: Mapping[str, Any]
    settings: Settings
    frame: Frame
    overlay: Overlay | None
    layers: Mapping[str, Layer]
    """Those that the mask was drawn of."""

    @classmethod
    def of(
        cls,
        before: Image,
        after: Image,
        mask: Mapping[str, Layer],
        settings: Settings,
        frame: Frame,
        by_index: bool = False,
    ) -> Job:
        """Return the job for two layers, and for what counts of them, as they are now."""
        settings = Settings.resolve(settings, channels=channels_of(before, after))
        drawn = {name: read_mask(layer, before, frame, settings.spatial_ndim) for name, layer in mask.items()}
        overlay = find_overlay(before, after, frame, spatial_ndim=settings.spatial_ndim, by_index=by_index)
        return cls(before, after, (array_of(before), array_of(after)), drawn, settings, frame, overlay, dict(mask))

    def run(self, progress: Progress) -> Result:
        """Compare the two; the engine is imported here, so that a first import does not hold up the window."""
        from ..comparison import compare

        ndim = self.settings.spatial_ndim
        before = take_frame(self.arrays[0], self.before.ndim, self.frame, ndim)
        laid = lay(self.overlay, (before, self.arrays[1]), (self.before.rgb, self.after.rgb), progress)
        comparison = compare(
            laid.before,
            laid.after,
            self.settings,
            axes=axes_of(self.before, self.after, self.frame, ndim),
            spacing=spacing_of(self.before, ndim),
            world=physical_of(self.before, ndim),
            overlap=laid.overlap,
            progress=progress,
            **self.mask,
        )
        comparison = add_record(comparison, self.overlay)
        return Result.of(comparison, self.before, self.after)

    def lost_from(self, layers: Container[Image]) -> str:
        """Return the name of the layer that is not among `layers`, "" if both are."""
        return next((str(layer.name) for layer in (self.before, self.after) if layer not in layers), "")

    def replaced(self) -> str:
        """Return the name of the layer that has another array by now, "" if neither has."""
        pairs = zip((self.before, self.after), self.arrays, strict=True)
        return next((str(layer.name) for layer, array in pairs if array_of(layer) is not array), "")


def rethreshold(
    comparison: Comparison, changes: Mapping[str, Any], before: Image, after: Image, progress: Progress
) -> Result:
    """Cut a comparison anew."""
    cut = comparison.rethreshold(**changes, progress=progress)
    return Result.of(cut, before, after)


def warm_up(progress: Progress) -> None:
    """Import the engine and compile its kernels, so that the first Compare does not wait for them."""
    from ..comparison import compare

    ramp = np.linspace(0, 255, 32 * 32).reshape(32, 32)
    colour = np.stack([ramp] * 3, axis=-1).astype(np.uint8)
    images: tuple[NDArray[Any], ...] = ramp.astype(np.uint8), colour, ramp.astype(np.uint16), ramp.astype(np.float32)
    for done, image in enumerate(images):
        progress(done, len(images))
        compare(image, np.flip(image, axis=0).copy())


def describe_result(comparison: Comparison) -> str:
    """Return what the dock says of a result: its summary, what was resolved, boxes not drawn."""
    summary, resolved = comparison.summary, comparison.resolved
    found = [f"data range {resolved['data_range']:g}"]
    frames = comparison.frames or (comparison,)
    if all(frame.resolved["alignment"]["outcome"] == "not needed" for frame in frames):
        found.insert(0, "alignment not needed")
    tolerances = sorted({frame.resolved["edge_tolerance"] for frame in frames} - {None})
    if tolerances:
        found.insert(0, f"edge tolerance {' or '.join(map(str, tolerances))} pixel{'s' * (tolerances[-1] > 1)}")
    if "window" in resolved:
        found.append(f"window {' x '.join(map(str, resolved['window']))} voxels, volumes compared as they lie")
    if "shown" in resolved:
        summary = f"{resolved['shown']}: {summary}"
    lines = [_sentence(summary), _sentence(", ".join(found))]
    drawn = len(pick_largest(comparison.regions))
    missing = len(comparison.regions) - drawn
    if missing > 0:
        lines.append(f"Boxes of the {drawn:,} largest regions are drawn, {missing:,} are not.")
    return " ".join(lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
