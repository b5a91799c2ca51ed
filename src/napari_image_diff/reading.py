"""Images in files: PNG, JPEG, TIFF and NPY directly, whatever else through napari's readers; no Qt, no display.

What a header tells of the size is asked before anything is decoded, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import filecmp
import math
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

__all__ = ["MOST_PIXELS", "SUFFIXES", "count_pixels", "explain", "is_whole", "read_image", "read_pair"]

# What an image may have unless more is asked for; a comparison of so many in memory takes some 10 GB.
MOST_PIXELS = 500_000_000

# How a PNG begins, with the length and the name of its first chunk (PNG specification, 5.2 and 11.2.1)
PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

# Of TIFF, by the names of its specification; what is not among these would be compared by the wrong channels
COLOUR_MODELS = ("MINISBLACK", "MINISWHITE", "PALETTE", "RGB", "YCBCR")

# OpenCV's level of that name
SILENT = 0


def read_image(path: str | os.PathLike[str], max_pixels: int = MOST_PIXELS) -> Any:
    """Return the image in a file as an array; one that is stored in chunks (.zarr) stays on the disk.

    Parameters
    ----------
    path : path-like
        A file, or a folder that is a .zarr.
    max_pixels : int
        A file whose header tells of more pixels is refused before it is decoded; frames and planes count.

    Raises
    ------
    OSError
        If there is none, it cannot be read, or it is too large; the message says which.
    """
    path = Path(path)
    if not path.exists():
        raise OSError(f"{path} does not exist")
    if not (path.is_file() or path.is_dir()):
        raise OSError(f"{path} is no file; give an image file")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise OSError(f"{path} is a folder; give an image file")
    if path.is_file() and not path.stat().st_size:
        raise OSError(f"{path} is empty; give an image file")
    suffix = path.suffix.lower()
    try:
        pixels = count_pixels(path)
        if pixels <= max_pixels:
            return READERS.get(suffix, _read_by_plugins)(path)
    except Exception as error:  # a reader of others may raise anything
        raise OSError(f"cannot read {path}: {error}") from error
    raise OSError(
        f"{path} has {pixels:,} pixels, and {max_pixels:,} are the most that are read; give max_pixels={pixels} to "
        "read it"
    )


def read_pair(before: Path, after: Path, max_pixels: int = MOST_PIXELS) -> tuple[Any, Any]:
    """Return two images as `read_image` does; what is the same file, byte by byte, is decoded once.

    Most pictures of a build are as they were, and decoding takes longer than comparing.
    """
    image = read_image(before, max_pixels)
    # It remembers, and knows a file that was changed by its time alone
    filecmp.clear_cache()
    same = before.suffix == after.suffix and is_whole(before) and is_whole(after)
    if same and filecmp.cmp(before, after, shallow=False):
        return image, image
    return image, read_image(after, max_pixels)


def is_whole(path: Path) -> bool:
    """Return whether a file has all of its image, and does not point to other files that have some."""
    suffix = path.suffix.lower()
    if suffix not in (".tif", ".tiff"):
        return suffix in READERS and path.is_file()
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return not set(re.findall('FileName="([^"]*)"', file.ome_metadata or "")) - {path.name}
    except Exception:  # said when it is read
        return False


def count_pixels(path: Path) -> int:
    """Return how many pixels an image has by its header, frames and planes counted; 0 where the header is not read."""
    suffix = path.suffix.lower()
    return math.prod(SIZES[suffix](path)) if suffix in SIZES else 0


def explain(error: BaseException) -> str:
    """Return in a line why something could not be read or compared."""
    if isinstance(error, MemoryError):
        return "there is not enough memory for images of this size"
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return text if isinstance(error, OSError | TypeError | ValueError) else f"{type(error).__name__}: {text}"


# --- sizes by the header ---


def _size_of_png(path: Path) -> tuple[int, ...]:
    """Return rows and columns of a PNG, which are in its first chunk."""
    with path.open("rb") as file:
        start = file.read(24)
    if not start.startswith(PNG_START) or len(start) < 24:
        raise ValueError("it is damaged, or not a PNG file")
    columns, rows = struct.unpack(">II", start[16:])
    return rows, columns


def _size_of_jpeg(path: Path) -> tuple[int, ...]:
    """Return rows and columns of a JPEG."""
    # Not Image.open, which has a limit of its own, of the whole process, that only warns
    from PIL.JpegImagePlugin import JpegImageFile

    try:
        with JpegImageFile(path) as picture:
            return picture.height, picture.width
    except SyntaxError as error:
        raise ValueError(f"it is damaged, or not a {path.suffix[1:].upper()} file") from error


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

    with tifffile.TiffFile(path) as file:
        page = file.series[0].keyframe
        model, colours = tifffile.PHOTOMETRIC(page.photometric).name, page.colormap
        if model not in COLOUR_MODELS:
            raise ValueError(f"its colour model is {model}, which is not read; save it as gray, RGB or RGBA")
        if model == "RGB" and 0 in page.extrasamples:
            raise ValueError("its fourth channel is not alpha; save it as RGB or RGBA")
        pages = len(file.pages)
        try:
            image = file.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            # LZW and JPEG in a TIFF: tifffile wants a package of codecs, OpenCV has its own
            return _read_pages(path, pages)
    if model == "MINISWHITE":
        return ~image if image.dtype.kind in "bu" else -image
    return np.moveaxis(np.asarray(colours)[:, image], 0, -1) if model == "PALETTE" else image


def _read_pages(path: Path, pages: int) -> Any:
    """Return all pages of a TIFF, in their depth."""
    import cv2

    with _silence:
        done, found = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
    if not done or len(found) != pages or len({page.shape for page in found}) > 1:
        raise ValueError("its compression is read by the package imagecodecs alone; pip install imagecodecs")
    images = [_as_rgb(page) for page in found]
    return images[0] if pages == 1 else np.stack(images)


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

    with _silence:
        image: Any = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if image is None:
        raise ValueError(f"it is damaged, or not a {path.suffix[1:].upper()} file")
    return _as_rgb(image)


def _as_rgb(image: Any) -> Any:
    """Return an image as OpenCV reads it with its channels in order."""
    import cv2

    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


class _Silence:
    """Keeps OpenCV's own warnings off stderr, where we say it in one line, while any thread reads.

    Its log level is of the whole process.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._readers = 0
        self._level: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                log = _find_log()
                self._level = log.getLogLevel()
                log.setLogLevel(SILENT)
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                _find_log().setLogLevel(self._level)


def _find_log() -> Any:
    import cv2

    return getattr(cv2.utils, "logging", cv2)  # in OpenCV 5 and 4


_silence = _Silence()
# Who writes a reader need not think of threads
_by_plugins = Lock()


def _read_by_plugins(path: Path) -> Any:
    """Return the first image that napari's reader plugins find in a file."""
    import npe2

    with _by_plugins:
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
    ".png": _size_of_png,
    ".jpg": _size_of_jpeg,
    ".jpeg": _size_of_jpeg,
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

# What is read directly, and so is an image for sure
SUFFIXES = frozenset(READERS)
