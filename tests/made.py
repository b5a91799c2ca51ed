"""Pictures made in code: gradients, edges, text and textures, and what happens to pictures that nobody changed."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff import Comparison

Picture = NDArray[np.float64]


def scene(seed: int, side: int = 512, *, colour: bool = False) -> Picture:
    """Return a picture in levels of 0 to 255: a gradient, soft ground, textures, sharp shapes and writing."""
    rng = np.random.default_rng(seed)
    channels = 3 if colour else 1
    ramp = np.linspace(0, 1, side)
    picture = np.empty((side, side, channels))
    for channel in range(channels):
        low, high = rng.uniform(40, 110), rng.uniform(120, 200)
        soft = ndimage.gaussian_filter(rng.normal(0, 1, (side // 8, side // 8)), 4)
        soft = cv2.resize(soft / np.ptp(soft), (side, side), interpolation=cv2.INTER_CUBIC)
        picture[..., channel] = low + (high - low) * (ramp[:, None] + ramp) / 2 + 50 * soft
    for sigma, strength in ((0.7, 14), (1.5, 25), (4.0, 30)):
        row, col = (int(value) for value in rng.integers(0, side // 2, 2))
        size = side // 3
        texture = ndimage.gaussian_filter(rng.normal(0, 1, (size, size, 1)), (sigma, sigma, 0))
        picture[row : row + size, col : col + size] += texture / texture.std() * strength
    for index in range(12):
        paint = rng.uniform(0, 255, channels)
        x, y, radius = (int(value) for value in (*rng.integers(0, side, 2), rng.integers(4, 50)))
        shape = np.zeros((side, side), np.uint8)
        if index % 3 == 0:
            cv2.circle(shape, (x, y), radius, 255, -1, cv2.LINE_AA)
        elif index % 3 == 1:
            cv2.rectangle(shape, (x, y), (x + 2 * radius, y + radius), 255, -1)
        else:
            cv2.putText(shape, "Made", (x, y), cv2.FONT_HERSHEY_SIMPLEX, radius / 25, 255, 2)
        share = shape[..., None] / 255
        picture = picture * (1 - share) + paint * share
    return np.clip(picture if colour else picture[..., 0], 0, 255)


def as_type(picture: Picture, dtype: Any) -> NDArray[Any]:
    """Return a picture as a camera stores it: 8 bits, 12 bits in uint16, or float32 from 0 to 1."""
    if np.dtype(dtype).kind == "f":
        return (picture / 255).astype(dtype)
    scale, most = (1, 255) if dtype == np.uint8 else (16, 4095)
    return np.clip(np.rint(picture * scale), 0, most).astype(dtype)


def muted(picture: Picture, share: float = 0.35) -> Picture:
    """Return a colour picture with so much of its saturation, about that of photographs."""
    gray = picture.mean(axis=-1, keepdims=True)
    return gray + (picture - gray) * share


def through_lens(picture: Picture, sigma: float = 0.7) -> Picture:
    """Return the picture as no lens shows it sharper: resampling errs at edges that are sharper than pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma))


def with_noise(picture: Picture, sd: float, seed: int) -> Picture:
    return picture + np.random.default_rng(seed).normal(0, sd, picture.shape)


def with_photons(picture: Picture, per_level: float, seed: int) -> Picture:
    """Return the picture as so many photons per level of 255 show it."""
    return np.random.default_rng(seed).poisson(picture * per_level) / per_level


def as_jpeg(picture: Picture, quality: int) -> NDArray[np.uint8]:
    image = as_type(picture, np.uint8)
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED))


def boxes_of(found: Comparison) -> list[tuple[int, int, int, int]]:
    """Return min_row, min_col, max_row, max_col of the regions."""
    table = found.regions[["min_row", "min_col", "max_row", "max_col"]]
    return [tuple(int(side) for side in row) for row in table.to_numpy()]  # type: ignore[misc]
