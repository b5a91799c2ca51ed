"""Every parameter of a comparison, written once: default, bounds, unit and help text.

The form in the dock, the options of the command line, the record in a result and the table in the docs
are made from :class:`Settings`; nothing else holds a default.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import numbers
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

__all__ = ["Settings", "describe_fields"]

# 2 N^2 max^2, with N the pixels of the window, must stay below 2^63 for 16-bit images: that holds up to 181 x 181.
LARGEST_WIN_SIZE = 181

# What the recipes do instead of the defaults.
CLASSIC = {"threshold": "otsu", "min_area": 40.0, "align": "none", "alpha": "drop"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All parameters of a comparison; immutable, hashable and comparable.

    ``Settings()`` detects: evidence against noise and edges, after a small shift is undone. ``Settings.classic()`` and
    ``Settings.wang2004()`` are the older ways. Change single fields with keyword arguments of
    :func:`~napari_image_diff.compare` or with :func:`dataclasses.replace`.

    Raises
    ------
    TypeError
        If a value is of the wrong kind.
    ValueError
        If a value is out of its bounds or not one of the words allowed.

    Examples
    --------
    >>> Settings(threshold=0.2).threshold
    0.2
    """

    threshold: Annotated[
        Literal["auto", "otsu"] | float,
        {
            "label": "Threshold",
            "group": "changes",
            "min": 0.0,
            "max": 2.0,
            "step": 0.001,
            "unit": "1 - SSIM",
            "help": "'auto' finds what noise and edges do not explain. A number cuts the difference: a pixel differs "
            "where 1 - SSIM (0 to 2) is greater. 'otsu' finds that number from the histogram of the difference.",
        },
    ] = "auto"
    sensitivity: Annotated[
        float,
        {
            "label": "Sensitivity",
            "group": "changes",
            "min": 0.1,
            "max": 10.0,
            "step": 0.05,
            "help": "Moves the limit of what noise and edges explain: a pixel differs where evidence x sensitivity is "
            "greater than 1. Above 1 finds fainter changes, and sooner or later noise. Used by threshold 'auto'.",
        },
    ] = 1.0
    shared_threshold: Annotated[
        bool,
        {
            "label": "Shared threshold",
            "group": "changes",
            "help": "Of a stack, what noise and edges explain ('auto') and Otsu's number ('otsu') are found once from "
            "all frames, instead of from each frame for itself.",
        },
    ] = False
    min_area: Annotated[
        float,
        {
            "label": "Minimum area",
            "group": "changes",
            "min": -1.0,
            "max": 1e9,
            "step": 1.0,
            "bounds": "of controls",
            "unit": "square pixels",
            "help": "Regions are kept when their contour area is larger than this. "
            "A region one pixel wide has contour area 0; a negative number keeps every region. "
            "Of volumes it is the number of voxels.",
        },
    ] = -1.0
    align: Annotated[
        Literal["none", "translation", "rigid", "affine"],
        {
            "label": "Align",
            "group": "pair",
            "help": "What of the place of 'after' is found and undone before comparing: a shift, a shift and a "
            "rotation, or scale and shear too. Nothing is moved unless the images become clearly more similar by it.",
        },
    ] = "translation"
    match_intensity: Annotated[
        Literal["none", "gain_offset"],
        {
            "label": "Match light",
            "group": "pair",
            "help": "'gain_offset' fits brightness and contrast of 'after' to 'before', on what did not change, and "
            "undoes them before comparing.",
        },
    ] = "none"
    size: Annotated[
        Literal["error", "overlap", "pad"],
        {
            "label": "Sizes that differ",
            "group": "pair",
            "help": "'error' refuses images of different size. 'overlap' compares what they share, from the first row "
            "and column; 'pad' does too and shows the rest as regions of their own. Nothing is ever resized.",
        },
    ] = "error"
    alpha: Annotated[
        Literal["compare", "drop"],
        {
            "label": "Alpha",
            "group": "pair",
            "help": "'compare' looks at transparency too, and not at the colour of what is fully transparent; a "
            "missing alpha is opaque. 'drop' looks at the colour alone.",
        },
    ] = "compare"
    spatial_ndim: Annotated[
        int,
        {
            "label": "Dimensions",
            "group": "pair",
            "min": 2,
            "max": 3,
            "step": 1,
            "unit": "axes",
            "help": "How many of the last axes make one image: 2 are rows and columns; 3 are planes, rows and columns, "
            "a volume, with windows, regions and boxes in 3-D. Axes before these are frames.",
        },
    ] = 2
    window: Annotated[
        Literal["uniform", "gaussian"],
        {
            "label": "Window",
            "group": "ssim",
            "help": "Weights of the SSIM window: 'uniform' weighs all pixels of a square alike, "
            "'gaussian' is that of Wang et al. (2004).",
        },
    ] = "uniform"
    win_size: Annotated[
        int,
        {
            "label": "Window size",
            "group": "ssim",
            "min": 3,
            "max": LARGEST_WIN_SIZE,
            "step": 2,
            "unit": "pixels",
            "help": "Side of the uniform window, an odd number. A larger window is calmer on noise and coarser in "
            "place. The Gaussian window takes its size from sigma.",
        },
    ] = 7
    sigma: Annotated[
        float,
        {
            "label": "Sigma",
            "group": "ssim",
            "min": 0.3,
            "max": 25.0,
            "step": 0.1,
            "unit": "pixels",
            "help": "Standard deviation of the Gaussian window, which is cut at 3.5 sigma. "
            "Not used by the uniform window.",
        },
    ] = 1.5
    use_sample_covariance: Annotated[
        bool,
        {
            "label": "Sample covariance",
            "group": "ssim",
            "help": "Divide variances by N - 1 (scikit-image's default) instead of N (Wang et al.).",
        },
    ] = True
    data_range: Annotated[
        float,
        {
            "label": "Data range",
            "group": "ssim",
            "min": 0.0,
            "max": 1e300,
            "step": 1.0,
            "zero": "auto",
            "unit": "intensity",
            "help": "Span of the intensities, SSIM's L. 0 resolves it from the two images: 255 for 8 bits, "
            "the fitting one of 255, 1023, 4095, 16383, 65535 for 16 bits, the span of the values for the rest.",
        },
    ] = 0.0
    channels: Annotated[
        Literal["auto", "last", "none"],
        {
            "label": "Channels",
            "group": "pair",
            "help": "Where colour is in an array: 'last' is a last axis of 3 (RGB) or 4 (RGBA), 'none' is no colour, "
            "'auto' takes a last axis of 3 or 4 in a 3-D array as colour. Layers know by themselves.",
        },
    ] = "auto"

    def __post_init__(self) -> None:
        for name, (kind, metadata) in describe_fields().items():
            object.__setattr__(self, name, _checked(name, getattr(self, name), kind, metadata))
        if self.win_size % 2 == 0:
            raise ValueError(
                f"win_size is {self.win_size}, which is even; give an odd number, such as {self.win_size + 1}, "
                "so that the window has a middle"
            )

    @classmethod
    def classic(cls, **changes: Any) -> Settings:
        """Return the settings of the two classic recipes: uniform 7 x 7 window, Otsu, area over 40.

        With ``min_area=-1`` they are those of the PyImageSearch tutorial (2017), as they stand those of the
        StackOverflow answer "Extract differences between two images".
        """
        return cls(**{**CLASSIC, **changes})

    @classmethod
    def wang2004(cls, **changes: Any) -> Settings:
        """Return classic settings with the window of Wang et al. (2004): Gaussian, sigma 1.5, population covariance.

        References
        ----------
        Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli: Image quality assessment: from error visibility
        to structural similarity. IEEE Transactions on Image Processing 13(4), 2004. doi:10.1109/TIP.2003.819861
        """
        gaussian = {"window": "gaussian", "sigma": 1.5, "use_sample_covariance": False}
        return cls(**{**CLASSIC, **gaussian, **changes})

    @classmethod
    def resolve(cls, settings: Settings | Mapping[str, Any] | None = None, **changes: Any) -> Settings:
        """Return `settings` (the defaults for None, a mapping of fields is accepted) with `changes` applied."""
        if settings is None:
            settings = cls()
        elif isinstance(settings, Mapping):
            changes, settings = {**settings, **changes}, cls()
        elif not isinstance(settings, cls):
            raise TypeError(f"settings is a {type(settings).__name__}; give a Settings, a dict of its fields, or None")
        unknown = changes.keys() - describe_fields().keys()
        if unknown:
            raise TypeError(
                f"no such setting: {', '.join(sorted(unknown))}; the settings are {', '.join(describe_fields())}"
            )
        return dataclasses.replace(settings, **changes) if changes else settings


@functools.cache
def describe_fields() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return ``{field: (type, metadata)}`` of `Settings`, in order.

    The metadata have ``label``, ``help`` and ``group`` ("changes", "pair" or "ssim"), and for numbers ``min``, ``max``,
    ``step`` (all inclusive) and ``unit``. ``zero`` is what 0 stands for, where not for a number; ``bounds`` is "of
    controls" where numbers beyond ``min`` and ``max`` make sense too.
    """
    hints = get_type_hints(Settings, include_extras=True)
    return {name: (kind, metadata) for name, (kind, metadata) in zip(hints, map(get_args, hints.values()), strict=True)}


def _checked(name: str, value: Any, kind: Any, metadata: Mapping[str, Any]) -> Any:
    """Return `value` as the plain Python type of its field, or raise."""
    words, plain = _split(kind)
    if isinstance(value, np.generic):
        value = value.item()
    if words and isinstance(value, str):
        if value not in words:
            raise ValueError(f"{name} is {value!r}; give {_say_wanted(kind)}")
        return value
    # To Python True is the number 1; as a number it is a mistake
    if plain is None or isinstance(value, bool) != (plain is bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is {value!r}; give {_say_wanted(kind)}")
    return value if plain is bool else _bounded(name, value, plain, metadata)


def _bounded(name: str, value: Any, plain: type, metadata: Mapping[str, Any]) -> Any:
    """Return the number `value` as the type `plain`, or raise if it is out of bounds."""
    low, high = metadata["min"], metadata["max"]
    try:
        # More than a float has, or infinite as a whole number: out of any bounds
        number = plain(value)
        fits = not math.isnan(value) and (low <= value <= high or metadata.get("bounds") == "of controls")
    except (OverflowError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"{name} is {value!r}; give a number from {low:g} to {high:g}")
    if number != value and plain is int:
        raise ValueError(f"{name} is {value!r}; give a whole number")
    return number


def _split(kind: Any) -> tuple[tuple[str, ...], type | None]:
    """Return the words that a field of this type may be, and the plain type that it may be."""
    if isinstance(kind, type):
        return (), kind
    if get_origin(kind) is Literal:
        return get_args(kind), None
    words, plain = get_args(kind)
    return get_args(words), plain


def _say_wanted(kind: Any) -> str:
    """Say in an error what is wanted."""
    words, plain = _split(kind)
    wanted = [repr(word) for word in words]
    if plain is not None:
        wanted.append({bool: "True or False", int: "a whole number", float: "a number"}[plain])
    return " or ".join(wanted)
