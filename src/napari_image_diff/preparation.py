"""From two arrays of any kind to a pair that the kernels accept: planes of one type, and their data range."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "NOTHING",
    "Extent",
    "Grid",
    "Pair",
    "Plane",
    "Volume",
    "check_numbers",
    "check_scales",
    "check_values",
    "common_dtype",
    "count_keys",
    "find_channels",
    "find_middle",
    "find_offset",
    "find_scale",
    "find_span",
    "flatten",
    "fold",
    "full_scale",
    "grid_steps",
    "measure_extent",
    "merge_extents",
    "order_keys",
    "pick_grid",
    "plane_dtype",
    "put_grid",
    "read_array",
    "read_plane",
    "sample_grid",
    "unfold",
    "value_of_key",
    "write_luma",
]

# Full scales of cameras that store 16 bits: 8, 10, 12, 14 and 16 bits.
FULL_SCALES = (255, 1023, 4095, 16383, 65535)

# One hot pixel must not decide: this share of the pixels may lie above the full scale.
HOT_SHARE = 1e-5

# The span of floats and wide integers is taken between these shares of the sorted values (percentiles 0.1 and 99.9) ...
LOW_SHARE, HIGH_SHARE = 0.001, 0.999

# ... unless all lie in [0, 1] and span more than this: then they are intensities of full scale 1.
UNIT_SPAN = 0.25

# Images of different dtype whose full scales differ by more than this factor are not on one scale. Neighbours among
# the full scales (a factor of 4.01) may be: one image is darker than the other.
LARGEST_RATIO = 5

# The formula of SSIM has the fourth power of values and of the data range: within these it neither overflows nor
# vanishes, whatever the window.
LARGEST_VALUE = 1e70
SMALLEST_RANGE = 1e-70

# Bits of a value that are looked up at a time when its rank is sought.
KEY_BITS = 16

_compile = njit(nogil=True, error_model="numpy", cache=True)


class Plane(NamedTuple):
    """An image as it was given, checked but not yet converted."""

    data: NDArray[Any]
    """(H, W) or (H, W, 3 or 4), real numbers, native byte order."""
    channels: Literal["gray", "RGB", "RGBA"]


class Volume(NamedTuple):
    """What there is to know of a volume, which is laid out as one tall plane: its planes one under the other."""

    planes: int
    plane_share: float = 1.0
    """How many planes are as thick as a row is high, 1 at most; 0 where each plane is seen by itself."""


def fold(array: NDArray[Any], volume: Volume | None) -> NDArray[Any]:
    """Return a tall plane as (planes, H, W, ...); an image, of which `volume` is None, as it is."""
    return array if volume is None else array.reshape(volume.planes, -1, *array.shape[1:])


def unfold(array: NDArray[Any]) -> NDArray[Any]:
    """Return what `fold` was given: (H, W) as it is, (planes, H, W) as a tall plane; both share their memory."""
    return array if array.ndim == 2 else array.reshape(-1, array.shape[-1])


class Pair(NamedTuple):
    """Two images as they are compared; volumes as tall planes."""

    before: NDArray[Any]
    """(H, W) uint8, uint16, float32 or float64, C-contiguous, read-only."""
    after: NDArray[Any]
    """Like `before`."""
    data_range: float
    """SSIM's L."""
    center: float
    """A value near the middle of the data, the same for whole numbers of any dtype."""
    quantum: float = 0.0
    """The step from one possible intensity to the next: 1 for whole numbers, of any dtype, else 0."""
    colours: tuple[NDArray[Any], ...] = ()
    """Both images in colour, (H, W, 3), or 4 where transparency is compared too, of one dtype; empty for gray ones."""
    volume: Volume | None = None
    """None for images."""


class Extent(NamedTuple):
    """What the data range is resolved from; extents of tiles merge into that of the image."""

    low: float
    """Least finite value, infinity where there is none."""
    high: float
    """Greatest finite value, minus infinity where there is none."""
    finite: int
    """Number of finite pixels."""
    above: tuple[int, ...]
    """Number of pixels above each of `FULL_SCALES`; empty where nobody asks."""


# That of no pixel
NOTHING = Extent(math.inf, -math.inf, 0, ())


def read_plane(
    image: ArrayLike, name: str, channels: Literal["auto", "last", "none"], stacks: bool = False, axes: int = 2
) -> Plane:
    """Return `image` as an array of real numbers, and whether it is gray or colour.

    Parameters
    ----------
    image : array-like
        numpy, dask, zarr, xarray, memory-mapped or nested lists: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4).
        Masked pixels of a numpy masked array become NaN, and its values floats.
    name : str
        What to call the image in errors.
    channels : {"auto", "last", "none"}
        Whether a last axis is colour.
    stacks : bool
        Whether it may have leading axes before these.
    axes : int
        2 for images, 3 for volumes, which have planes before rows and columns.

    Raises
    ------
    TypeError
        If the image is not an array of real numbers.
    ValueError
        If it is empty or its shape is not that of one image.
    """
    if hasattr(image, "layer_type") or type(image).__module__.startswith("napari.layers"):
        raise TypeError(f"{name} is a napari layer; give its data, or use add_comparison for layers")
    data = read_array(image, name)
    if data.ndim > axes and data.shape[-1] == 1:
        data = data[..., 0]
    return Plane(data, find_channels(data.shape, name, channels, stacks, axes))


def find_channels(
    shape: tuple[int, ...], name: str, channels: Literal["auto", "last", "none"], stacks: bool = False, axes: int = 2
) -> Literal["gray", "RGB", "RGBA"]:
    """Return what an image of this shape is; parameters and errors are those of `read_plane`."""
    # With so few columns it is rather a plane in colour
    if axes == 3 and (len(shape) < 3 or (len(shape) == 3 and shape[2] in (3, 4) and channels != "none")):
        raise ValueError(
            f"{name} has shape {shape}, and spatial_ndim=3 wants volumes (planes, rows, columns); give volumes, or "
            "spatial_ndim=2"
        )
    if len(shape) == axes:
        return "gray"
    colour = len(shape) > axes and shape[-1] in (3, 4) and channels != "none"
    leading = len(shape) - axes - colour
    # An axis of 3 or 4 may be colour wherever it is
    ambiguous = channels == "auto" and len(shape) == 3 and shape[0] in (3, 4)
    if ambiguous or leading < 0 or (leading and not stacks):
        raise ValueError(_explain_shape(name, shape, channels, stacks))
    if not colour:
        return "gray"
    return "RGB" if shape[-1] == 3 else "RGBA"


def read_array(image: ArrayLike, name: str) -> NDArray[Any]:
    """Return `image` as an array of real numbers in native byte order, masked pixels as NaN."""
    if isinstance(image, (str, os.PathLike)):
        raise TypeError(f"{name} is a file name; read the file first: imageio.v3.imread does, zarr.open_array a .zarr")
    if hasattr(image, "array_keys"):
        raise TypeError(
            f"{name} is a zarr group; give one of its arrays: of an OME-Zarr, group['0'] is the image in full size"
        )
    try:
        data = image if isinstance(image, np.ma.MaskedArray) else np.asarray(image)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} cannot be read as an array ({error}); give rows of one length") from error
    check_numbers(data.dtype, data.shape, name)
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        kind = np.result_type(plane_dtype(data.dtype), np.float32)
        data = np.ma.filled(data.astype(kind), np.nan)
    return np.asarray(data, data.dtype.newbyteorder("="))


def check_numbers(dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> None:
    """Raise TypeError where an array is not of real numbers, ValueError where it is empty."""
    if dtype.kind not in "buif":
        raise TypeError(f"{name} is an array of {dtype}; give real numbers: bool, integers or floats")
    if 0 in shape:
        raise ValueError(f"{name} has shape {shape} and no pixels; give an image of at least 3 x 3 pixels")


def _explain_shape(name: str, shape: tuple[int, ...], channels: str, stacks: bool) -> str:
    wanted = "give a gray image (H, W) or a colour image (H, W, 3 or 4)"
    first = f"numpy.moveaxis({name}, 0, -1)"
    frames = "channels='none' if these are frames" if stacks else f"{name}[0] if it is a stack"
    if len(shape) < 2:
        return f"{name} has shape {shape}; {wanted}"
    if channels == "auto" and len(shape) == 3 and shape[2] in (3, 4) and shape[0] in (3, 4):
        return f"{name} has shape {shape}, colour may be its first axis or its last; give {first} or channels='last'"
    if channels == "auto" and len(shape) == 3 and shape[0] in (3, 4):
        return f"{name} has shape {shape}, its first axis may be colour; give {first} if it is, {frames}"
    if channels == "none" and len(shape) == 3 and shape[2] in (3, 4):
        return f"{name} has shape {shape} and channels='none' says that it has no colour; say 'last', or {wanted}"
    return f"{name} has shape {shape}, a stack; give one plane of it at a time, {name}[0] or {name}[..., 0]"


def plane_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype, of those the kernels take, that holds the values of `dtype`."""
    if dtype in (np.bool_, np.uint8):
        return np.dtype(np.uint8)
    if dtype == np.uint16:
        return np.dtype(np.uint16)
    return np.dtype(np.float32 if dtype in (np.int8, np.int16, np.float16, np.float32) else np.float64)


def common_dtype(before: np.dtype[Any], after: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the planes of a pair: the least of those the kernels take that holds both exactly."""
    one, other = plane_dtype(before), plane_dtype(after)
    return one if one == other else np.dtype(np.promote_types(one, other))


def write_luma(plane: Plane, top: int, bottom: int, target: NDArray[Any]) -> None:
    """Write the rows `top` to `bottom` of an image as gray into those of `target` (H, W).

    Notes
    -----
    Luma is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601). In 8 and 16 bits it is OpenCV's ``cvtColor``, which rounds
    (9798 R + 19235 G + 3735 B + 2^14) / 2^15 down; in floats it is added in float64 from left to right. A fourth
    channel is not used.
    """
    rows = plane.data[top:bottom]
    if plane.channels == "gray":
        with np.errstate(over="ignore"):  # a long double may become infinite: not valid
            target[top:bottom] = rows
        return
    kind = plane_dtype(rows.dtype)
    if kind.kind == "u":
        import cv2

        code = cv2.COLOR_RGB2GRAY if plane.channels == "RGB" else cv2.COLOR_RGBA2GRAY
        target[top:bottom] = cv2.cvtColor(np.ascontiguousarray(rows, kind), code)
        return
    red, green, blue = (rows[..., channel].astype(np.float64) for channel in range(3))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not valid
        target[top:bottom] = red * 0.299 + green * 0.587 + blue * 0.114


def flatten(image: NDArray[Any], data_range: float) -> NDArray[Any]:
    """Return an image as it looks on gray where it is transparent."""
    if image.ndim == 2 or image.shape[2] == 3:
        return image
    opaque = image[..., 3:].astype(np.float32) / np.float32(data_range)
    with np.errstate(invalid="ignore"):  # what is not finite does not count
        flat: NDArray[Any] = image[..., :3] * opaque + np.float32(data_range / 2) * (1 - opaque)
    return flat


def measure_extent(plane: NDArray[Any], top: int, bottom: int, with_scales: bool = False) -> Extent:
    """Return the extent of the rows `top` to `bottom` of a plane; `with_scales`, count for floats too what is above."""
    rows = plane[top:bottom]
    if rows.dtype == np.uint8:
        return Extent(0.0, 255.0, rows.size, ())
    above = _count_above(rows, FULL_SCALES) if with_scales or rows.dtype == np.uint16 else ()
    if rows.dtype == np.uint16:
        return Extent(0.0, 65535.0, rows.size, above)
    low, high, finite = _measure_floats(rows)
    return Extent(low, high, finite, above)


def merge_extents(extents: list[Extent]) -> Extent:
    """Return the extent of all pixels of `extents`."""
    above = tuple(sum(counts) for counts in zip(*(extent.above for extent in extents), strict=True))
    low, high = min(extent.low for extent in extents), max(extent.high for extent in extents)
    return Extent(low, high, sum(extent.finite for extent in extents), above)


def full_scale(dtype: np.dtype[Any], extent: Extent) -> float | None:
    """Return the data range that `dtype`, the images' own, and `extent` settle; None where ranks are needed.

    255 for uint8, 1 for bool; for uint16 the least of 255, 1023, 4095, 16383 and 65535 that holds all but 0.001 % of
    the pixels; for the rest 1, if the values lie in [0, 1] and span more than 0.25 or do not span anything.
    """
    if dtype == np.bool_:
        return 1.0
    if dtype == np.uint8:
        return 255.0
    if dtype == np.uint16:
        allowed = HOT_SHARE * extent.finite
        return float(next(scale for scale, above in zip(FULL_SCALES, extent.above, strict=True) if above <= allowed))
    if extent.high <= extent.low:
        return 1.0
    if extent.low >= 0 and extent.high <= 1 and extent.high - extent.low > UNIT_SPAN:
        return 1.0
    return None


def check_scales(before: np.dtype[Any], after: np.dtype[Any], extents: list[Extent]) -> None:
    """Raise ValueError where two images of different dtype are plainly not on one scale (0 to 255 and 0 to 1, say)."""
    scales = [_nominal_scale(dtype, extent) for dtype, extent in zip((before, after), extents, strict=True)]
    if any(scale is None for scale in scales):
        return
    low, high = sorted(scale for scale in scales if scale is not None)
    if high > LARGEST_RATIO * low:
        raise ValueError(
            f"before is {before} on a scale of 0 to {scales[0]:g} and after is {after} on a scale of 0 to "
            f"{scales[1]:g}; values are compared as they are, so bring both to one scale, or give data_range"
        )


def _nominal_scale(dtype: np.dtype[Any], extent: Extent) -> float | None:
    """Return the full scale that an image alone seems to have; None for a constant one of no certain scale."""
    if dtype.kind in "bu" and dtype.itemsize <= 2:
        return full_scale(dtype, extent)
    if extent.high <= extent.low:
        return None
    if extent.low >= 0 and extent.high <= 1:
        return 1.0
    allowed = HOT_SHARE * extent.finite
    scales = zip(FULL_SCALES, extent.above, strict=True)
    return next((float(scale) for scale, above in scales if above <= allowed), extent.high)


def check_values(data_range: float, extents: list[Extent]) -> None:
    """Raise ValueError where the formula of SSIM would overflow or vanish."""
    largest = max((max(-extent.low, extent.high) for extent in extents), default=0.0)
    if largest > LARGEST_VALUE or not SMALLEST_RANGE <= data_range <= LARGEST_VALUE:
        reach = f"the values reach {largest:g} and " if largest > LARGEST_VALUE else ""
        raise ValueError(
            f"{reach}the data range is {data_range:g}; SSIM needs values up to "
            f"{LARGEST_VALUE:g} and a data range from {SMALLEST_RANGE:g} to {LARGEST_VALUE:g}: multiply both images by "
            "one factor, or put NaN where a value means that the pixel does not count"
        )


def find_scale(dtypes: tuple[np.dtype[Any], np.dtype[Any]], extents: list[Extent]) -> float | None:
    """Return the data range of two images of these types and extents, None where ranks are needed (`find_span`).

    Raises
    ------
    ValueError
        If they are plainly not on one scale.
    """
    one, other = dtypes
    if one != other:
        check_scales(one, other, extents)
    return full_scale(one if one == other else common_dtype(one, other), merge_extents(extents))


def find_span(
    count: Callable[[int, NDArray[np.uint64]], NDArray[np.int64]], pixels: int, dtype: np.dtype[Any]
) -> float:
    """Return the span of two images between the percentiles 0.1 and 99.9, 1 if that is 0.

    The value of a rank is found from its leading bits to its last, by histograms.

    Parameters
    ----------
    count : callable
        ``count(shift, prefixes)`` is what `count_keys` returns, of all pixels of both images.
    pixels : int
        Number of those that are finite.
    dtype : dtype
        float32 or float64.
    """
    ranks = [int(LOW_SHARE * (pixels - 1)), -int(-HIGH_SHARE * (pixels - 1) // 1)]
    keys = [0, 0]
    for shift in range(dtype.itemsize * 8 - KEY_BITS, -1, -KEY_BITS):
        counts = count(shift, np.array(keys, np.uint64))
        for k in range(2):
            upto = np.cumsum(counts[k])
            digit = int(np.searchsorted(upto, ranks[k], side="right"))
            ranks[k] -= int(upto[digit - 1]) if digit else 0
            keys[k] = (keys[k] << KEY_BITS) | digit
    low, high = (value_of_key(key, dtype) for key in keys)
    return high - low if high > low else 1.0


def grid_steps(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the steps of `sample_grid` down and across."""
    return max(1, shape[0] // 64), max(1, shape[1] // 64)


def sample_grid(plane: NDArray[Any]) -> NDArray[np.float64]:
    """Return some thousands of pixels spread over a plane."""
    down, across = grid_steps(plane.shape)
    return plane[::down, ::across].astype(np.float64)


class Grid(NamedTuple):
    """Some of the pixels that are sampled of an image, and where the first of them stands among all."""

    row: int
    column: int
    part: NDArray[Any]


def pick_grid(part: NDArray[Any], top: int, left: int, steps: tuple[int, int]) -> Grid:
    """Return those of a part of an image, whose first pixel is (top, left), that are sampled in these steps."""
    picked = part[-top % steps[0] :: steps[0], -left % steps[1] :: steps[1]].copy()
    return Grid(-(-top // steps[0]), -(-left // steps[1]), picked)


def put_grid(target: NDArray[Any], grid: Grid) -> None:
    """Put some of the pixels that are sampled in their place."""
    rows, columns = grid.part.shape
    target[grid.row : grid.row + rows, grid.column : grid.column + columns] = grid.part


def find_middle(
    dtype: np.dtype[Any], before: NDArray[Any], after: NDArray[Any], data_range: float
) -> tuple[float, float]:
    """Return the center and the quantum of a pair (see `Pair`), whose planes are of type `dtype`, from `sample_grid`.

    The center of floats is the median, rounded to a power of two not above `data_range`: as a multiple of that it
    leaves whole numbers whole, so that their sums stay exact. The squares of 8 and 16 bits need no center.
    """
    if dtype.kind == "u":
        return 0.0, 1.0
    values = np.concatenate([sample_grid(plane).ravel() for plane in (before, after)])
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    grain = 2.0 ** math.floor(math.log2(data_range))
    return float(grain * np.round(np.median(values) / grain)), float(np.array_equal(values, np.rint(values)))


def find_offset(before: NDArray[Any], after: NDArray[Any]) -> float:
    """Return the median of after - before in `sample_grid`; 0 if none is finite in both."""
    grids = (sample_grid(plane) for plane in (before, after))
    one, other = (np.where(np.isfinite(grid), grid, np.nan) for grid in grids)
    change = (other - one)[~np.isnan(other - one)]
    return float(np.median(change)) if change.size else 0.0


def order_keys(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the bits of a float plane as unsigned integers (a view), as `count_keys` takes them."""
    return plane.view(np.uint32 if plane.dtype.itemsize == 4 else np.uint64)


@_compile
def count_keys(bits, top, bottom, shift, prefixes):  # type: ignore[no-untyped-def]
    """Return, for each prefix, how many finite pixels have keys of that prefix, by their next `KEY_BITS` bits.

    The key of a float is its bits, turned so that keys sort as the floats do. The prefix of a key is what stands left
    of the `KEY_BITS` bits that begin at `shift`.
    """
    width = bits.itemsize * 8
    sign = bits.dtype.type(1) << bits.dtype.type(width - 1)
    infinity = bits.dtype.type(0x7F800000 if width == 32 else 0x7FF0000000000000)
    counts = np.zeros((prefixes.size, 1 << KEY_BITS), np.int64)
    for i in range(top, bottom):
        row = bits[i]
        for j in range(row.size):
            value = row[j]
            if value & infinity == infinity:
                continue
            key = np.uint64(value ^ (sign | (sign - bits.dtype.type(1)))) if value & sign else np.uint64(value | sign)
            head = key >> np.uint64(shift)
            for k in range(prefixes.size):
                if head >> np.uint64(KEY_BITS) == prefixes[k]:
                    counts[k, head & np.uint64((1 << KEY_BITS) - 1)] += 1
    return counts


def value_of_key(key: int, dtype: np.dtype[Any]) -> float:
    """Return the float whose key is `key`."""
    width = dtype.itemsize * 8
    sign = 1 << (width - 1)
    bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return float(np.array(bits, np.uint32 if width == 32 else np.uint64).view(dtype))


@_compile
def _count_above(rows, scales):  # type: ignore[no-untyped-def]
    a, b, c, d, e = scales
    above_a, above_b, above_c, above_d, above_e = 0, 0, 0, 0, 0
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(row.size):
            above_a += row[j] > a
            above_b += row[j] > b
            above_c += row[j] > c
            above_d += row[j] > d
            above_e += row[j] > e
    return above_a, above_b, above_c, above_d, above_e


@_compile
def _measure_floats(rows):  # type: ignore[no-untyped-def]
    low, high = np.inf, -np.inf
    finite = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        for j in range(row.size):
            value = float(row[j])
            if math.isfinite(value):
                low = min(low, value)
                high = max(high, value)
                finite += 1
    return low, high, finite
