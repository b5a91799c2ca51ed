"""Images in files: PNG, JPEG, TIFF and NPY directly, whatever else through napari's readers; no Qt, no display.

What a header tells of the size is asked before anything is decoded, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["MOST_PIXELS", "read_image"]

# What an image may have unless more is asked for; a comparison of so many in memory takes some 10 GB.
MOST_PIXELS = 500_000_000

# OpenCV's level of that name
SILENT = 0


def read_image(path: Path, most_pixels: int = MOST_PIXELS) -> Any:
    """Return the image in a file as an array; one that is stored in chunks (.zarr) stays on the disk.

    Parameters
    ----------
    path : Path
        A file, or a folder that is a .zarr.
    most_pixels : int
        A file whose header tells of more pixels is refused before it is decoded; frames and planes count.

    Raises
    ------
    OSError
        If there is none, it cannot be read, or it is too large; the message says which.
    """
    if not path.exists():
        raise OSError(f"{path} does not exist")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise OSError(f"{path} is a folder; give an image file")
    if path.is_file() and not path.stat().st_size:
        raise OSError(f"{path} is empty; give an image file")
    suffix = path.suffix.lower()
    try:
        pixels = math.prod(SIZES[suffix](path)) if suffix in SIZES else 0
        if pixels <= most_pixels:
            return READERS.get(suffix, _read_by_plugins)(path)
    except Exception as error:  # a reader of others may raise anything
        raise OSError(f"cannot read {path}: {error}") from error
    raise OSError(
        f"{path} has {pixels:,} pixels, and {most_pixels:,} are the most that are read; give --max-pixels {pixels} to "
        "read it"
    )


# --- sizes by the header ---


def _size_of_picture(path: Path) -> tuple[int, ...]:
    """Return rows and columns of a PNG or JPEG."""
    from PIL import Image, UnidentifiedImageError

    # Pillow has a limit of its own, of the whole process, that only warns
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path) as picture:
            return picture.height, picture.width
    except UnidentifiedImageError as error:
        raise ValueError(f"it is damaged, or not a {path.suffix[1:].upper()} file") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _size_of_tiff(path: Path) -> tuple[int, ...]:
    """Return the shape of the first image of a TIFF, without its channels."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        return tuple(side for side, axis in zip(series.shape, series.axes, strict=True) if axis != "S")


def _size_of_array(path: Path) -> tuple[int, ...]:
    shape = tuple(np.load(path, mmap_mode="r", allow_pickle=False).shape)
    return shape[:-1] if len(shape) > 2 and shape[-1] in (3, 4) else shape


# --- readers ---


def _read_tiff(path: Path) -> Any:
    import tifffile

    try:
        return tifffile.imread(path)
    except ValueError as error:
        # LZW and JPEG in a TIFF: tifffile wants a package of codecs, Pillow has its own
        if "imagecodecs" not in str(error):
            raise
        import imageio.v3 as imageio

        return imageio.imread(path, plugin="pillow")


def _read_array(path: Path) -> Any:
    # Objects would be unpickled, which runs whatever code is in them
    return np.load(path, allow_pickle=False)


def _read_png(path: Path) -> Any:
    import cv2

    return _decode(path, cv2.IMREAD_UNCHANGED)


def _read_jpeg(path: Path) -> Any:
    import cv2

    # Turned as the camera was held, as cv2.imread does; a JPEG has no alpha that these flags could drop
    return _decode(path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)


def _decode(path: Path, flags: int) -> Any:
    """Read with OpenCV: Pillow cuts 16-bit colour to 8 bits without a word and leaves CMYK for RGBA."""
    import cv2

    with _silent_opencv():
        image: Any = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if image is None:
        raise ValueError(f"it is damaged, or not a {path.suffix[1:].upper()} file")
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own warnings off stderr, where we say it in one line; its log level is of the whole process."""
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # in OpenCV 5 and 4
    level = log.getLogLevel()
    log.setLogLevel(SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _read_by_plugins(path: Path) -> Any:
    """Return the first image that napari's reader plugins find in a file."""
    import npe2

    npe2.PluginManager.instance().discover()
    layers: list[Any] = npe2.read([str(path)], stack=False)
    for layer in layers:
        data, attributes, kind = _full_layer(*layer)
        if kind == "image" and data is not None:
            multiscale = attributes.get("multiscale", isinstance(data, (list, tuple)))
            return data[0] if multiscale else data
    raise ValueError("no image is in it")


def _full_layer(data: Any, attributes: Mapping[str, Any] | None = None, kind: str = "image") -> tuple[Any, ...]:
    """Fill in what readers may leave out of a LayerData tuple."""
    return data, attributes or {}, kind


SIZES = {
    ".png": _size_of_picture,
    ".jpg": _size_of_picture,
    ".jpeg": _size_of_picture,
    ".tif": _size_of_tiff,
    ".tiff": _size_of_tiff,
    ".npy": _size_of_array,
}
READERS = {
    ".png": _read_png,
    ".jpg": _read_jpeg,
    ".jpeg": _read_jpeg,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
    ".npy": _read_array,
}
