"""Sample pairs, made in code: pictures to try a comparison on, with the boxes of what was changed.

Each function returns two layers, before and after, as napari's LayerData tuples; ``metadata["changes"]`` of both holds
the true boxes ``(min_row, min_col, max_row, max_col)``, half-open, in pixels. Outside them the two images are equal.
The pictures are made from images inside scikit-image's wheel: nothing is downloaded, and they are the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["board", "cells", "page", "photo"]

Array = npt.NDArray[Any]
Box = tuple[int, int, int, int]
Point = tuple[int, int]
Edit = Callable[[Array], None]
LayerData = tuple[Array, dict[str, Any], str]


def photo() -> list[LayerData]:
    """Return a launch pad at dusk, a colour photo, in which objects were erased, moved and added.

    The photo is `skimage.data.rocket`: Falcon 9 with DSCOVR by SpaceX, released in the public domain.

    Returns
    -------
    list of tuple
        Two Image layers, (427, 640, 3) uint8.
    """
    from skimage.data import rocket

    before = rocket()
    after, changes = _edited(
        before,
        [
            partial(_clone, source=(116, 474, 222, 505), to=(116, 436)),  # sky over the mast of a tower
            partial(_inpaint, box=(141, 312, 158, 333)),  # the emblem on the nose
            partial(_add_light, source=(330, 62, 368, 102), to=(231, 65)),  # the lamp on the left tower goes up ...
            partial(_clone, source=(280, 76, 320, 106), to=(330, 74)),  # ... from here
            partial(_add_light, source=(335, 112, 413, 190), to=(149, 159)),  # a beacon on the second tower
            partial(_hang_moon, centre=(66, 520), radius=14),
        ],
    )
    return _layers("photo", before, after, changes)


def cells() -> list[LayerData]:
    """Return nuclei in a fluorescence microscope, 12 bits in uint16, at two moments.

    Nuclei are drawn with the grain of `skimage.data.gravel` (Poly Haven, CC0) as chromatin. The noise is the same in
    both images. One nucleus left, one came, one divided, one moved, one lit up, one condensed.

    Returns
    -------
    list of tuple
        Two Image layers, (1024, 1024) uint16 with values up to 4095, 0.325 micrometres a pixel.
    """
    clean = np.full((1024, 1024), 140.0)
    for index, centre in enumerate(_nucleus_centres()):
        if index != ARRIVED:
            _add_nucleus(clean, index, centre)
    after, changes = _edited(clean, _cell_events())
    look = {"scale": (0.325, 0.325), "units": ("um", "um"), "contrast_limits": (0, 3000)}
    return _layers("cells", _exposed(clean), _exposed(after), changes, **look)


def page() -> list[LayerData]:
    """Return a photographed page of text, unevenly lit, in which words and single characters were changed.

    The page is `skimage.data.page` (part of scikit-image, BSD-3-Clause), enlarged twice.

    Returns
    -------
    list of tuple
        Two Image layers, (382, 768) uint8.
    """
    import cv2
    from skimage.data import page as scanned_page

    before = np.asarray(cv2.resize(scanned_page(), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    # Ink is what darkens the paper: moved as a factor, it takes on the light of its new place.
    paper = cv2.GaussianBlur(cv2.dilate(before, np.ones((25, 25))), (0, 0), 12).astype(np.float32)
    write = partial(_write, ink=np.minimum(before / paper, 1), paper=paper)
    after, changes = _edited(
        before,
        [
            partial(write, pieces=[(EMPTY_PAPER, (36, 148, 54, 166))]),  # the hyphen of the title
        ],
    )
    return _layers("page", before, after, changes)


def board() -> list[LayerData]:
    """Return a bare circuit board drawn in code, with the defects that inspection looks for.

    Returns
    -------
    list of tuple
        Two Image layers, (800, 1000, 3) uint8.
    """
    drawn = _drawn_board()
    after, changes = _edited(drawn, [])
    return _layers("board", _photographed(drawn), _photographed(after), changes)


def _edited(before: Array, edits: Sequence[Edit]) -> tuple[Array, list[Box]]:
    """Return a changed copy of `before` and, for each of `edits`, the box of the pixels that it changed."""
    after, changes = before.copy(), []
    for edit in edits:
        last = after.copy()
        edit(after)
        different = np.abs(np.subtract(after, last, dtype=np.float32)) > 0.5
        rows, columns = np.nonzero(different.reshape(*different.shape[:2], -1).any(axis=2))
        changes.append((int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1))
    return after, changes


def _layers(name: str, before: Array, after: Array, changes: list[Box], **look: Any) -> list[LayerData]:
    """Return the pair as LayerData tuples."""
    return [
        (data, {"name": f"{name} {moment}", "metadata": {"changes": list(changes)}, **look}, "image")
        for moment, data in (("before", before), ("after", after))
    ]


def _window(image: Array, box: Box) -> Array:
    """Return a view of a box of `image`."""
    return image[box[0] : box[2], box[1] : box[3]]


def _window_at(image: Array, corner: Point, like: Array) -> Array:
    """Return a view of `image` of the size of `like`."""
    return image[corner[0] : corner[0] + like.shape[0], corner[1] : corner[1] + like.shape[1]]
