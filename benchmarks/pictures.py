"""The pair of pictures that the benchmarks compare: made in code, the same every time, of any size."""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray

DESCRIPTION = (
    "photos of skimage.data (astronaut, immunohistochemistry, rocket, camera) enlarged and set side by side, "
    "sensor noise of its own in each picture, one changed patch for each 400 x 400 pixels"
)

Picture = NDArray[np.uint8]

TILE = 1024


def make_pair(size: int) -> tuple[Picture, Picture]:
    """Return before and after, (size, size, 3) uint8."""
    random = np.random.default_rng(1)
    scene = _make_scene(size, random)
    changed = scene.copy()
    for _ in range(max(1, (size // 400) ** 2)):
        _change_patch(changed, random)
    return _expose(scene, random), _expose(changed, random)


def to_gray(picture: Picture, dtype: str) -> NDArray[np.generic]:
    """Return a picture in gray: uint8, uint16 of a 12-bit camera, or float32 from 0 to 1."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if dtype == "uint16":
        return gray.astype(np.uint16) * 16
    return gray if dtype == "uint8" else (gray / 255).astype(np.float32)


def _make_scene(size: int, random: np.random.Generator) -> Picture:
    """Set photos side by side, turned and mirrored at random."""
    photos = [skimage.data.astronaut(), skimage.data.immunohistochemistry(), skimage.data.rocket()[:, 100:527]]
    photos.append(np.repeat(skimage.data.camera()[..., None], 3, axis=2))
    tiles = [cv2.resize(photo, (TILE, TILE), interpolation=cv2.INTER_CUBIC) for photo in photos]
    count = -(-size // TILE)
    rows = []
    for _ in range(count):
        chosen = [np.rot90(tiles[random.integers(len(tiles))], random.integers(4)) for _ in range(count)]
        rows.append(np.hstack([tile[:, :: random.choice([-1, 1])] for tile in chosen]))
    return np.ascontiguousarray(np.vstack(rows)[:size, :size])


def _change_patch(picture: Picture, random: np.random.Generator) -> None:
    """Copy an ellipse of 20 to 90 pixels from one place to another."""
    height, width = random.integers(20, 90, 2)
    top, left, from_top, from_left = random.integers(0, len(picture) - 90, 4)
    source = picture[from_top : from_top + height, from_left : from_left + width].copy()
    row, column = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    picture[top : top + height, left : left + width][row**2 + column**2 < 1] = source[row**2 + column**2 < 1]


def _expose(picture: Picture, random: np.random.Generator) -> Picture:
    """Add noise of deviation 1.5, the same in the three channels."""
    for top in range(0, len(picture), TILE):  # in bands: the noise of 16384 x 16384 at once would fill a small machine
        band = picture[top : top + TILE]
        noise = np.rint(1.5 * random.standard_normal(band.shape[:2], np.float32)).astype(np.int16)
        picture[top : top + TILE] = np.clip(band + noise[..., None], 0, 255)
    return picture
