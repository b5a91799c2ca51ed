"""Data range, luma, containers and layouts: two arrays of any kind become the same pair of planes."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import dask.array as da
import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare, preparation, ssim_map, tiles

SHAPE = (40, 50)
FULL_SCALES = (255, 1023, 4095, 16383, 65535)
INTEGERS = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
WIDE_OR_SIGNED = [np.int8, np.int16, np.int32, np.int64]


def data_range_of(before: Any, after: Any) -> float:
    return float(compare(before, after).resolved["data_range"])


def spread(low: float, high: float, shape: tuple[int, int] = SHAPE) -> NDArray[np.float64]:
    """Return values from `low` to `high`, each equally far from the next, in random places."""
    values = np.linspace(low, high, int(np.prod(shape)))
    return np.random.default_rng(0).permutation(values).reshape(shape)


def span_by_sorting(*images: NDArray[Any]) -> float:
    """Return the span between the order statistics at or just beyond the percentiles 0.1 and 99.9 of all values."""
    values = np.concatenate([image[np.isfinite(image)].astype(np.float64) for image in images])
    low = np.percentile(values, 0.1, method="lower")
    high = np.percentile(values, 99.9, method="higher")
    return float(high - low)


def compared(before: Any, after: Any, **changes: Any) -> list[Any]:
    """Return all numbers of a comparison, to be held against those of another."""
    found = compare(before, after, **changes)
    # The kernels are compiled for planes of this kind only
    planes = [plane for plane in found.pair[:2] if isinstance(plane, np.ndarray)]
    assert all(plane.flags.c_contiguous and plane.flags.aligned for plane in planes)
    return [found.score, found.difference, found.labels, found.threshold, found.resolved["data_range"]]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def gray_pair(dtype: Any = np.uint8) -> tuple[NDArray[Any], NDArray[Any]]:
    before = spread(0, 255).astype(dtype)
    after = before.copy()
    after[10:25, 20:40] = 255 - after[10:25, 20:40]
    return before, after


def rgb_pair(dtype: Any = np.uint8, channels: int = 3) -> tuple[NDArray[Any], NDArray[Any]]:
    before = np.random.default_rng(1).integers(0, 256, (*SHAPE, channels)).astype(dtype)
    after = before.copy()
    after[10:25, 20:40] = 255 - after[10:25, 20:40]
    return before, after


# --- data range


def test_8_bits_and_bool_have_the_range_of_their_type() -> None:
    assert data_range_of(np.zeros(SHAPE, np.uint8), np.full(SHAPE, 3, np.uint8)) == 255
    assert data_range_of(np.zeros(SHAPE, bool), np.ones(SHAPE, bool)) == 1


@pytest.mark.parametrize("scale", FULL_SCALES)
def test_16_bits_have_the_least_full_scale_that_fits(scale: int) -> None:
    before, after = np.zeros((2, *SHAPE), np.uint16)
    after[4:] = scale
    assert data_range_of(before, after) == data_range_of(after, before) == scale
    if scale < 65535:
        after[4:] += 1
        assert data_range_of(before, after) > scale


@pytest.mark.parametrize(("hot", "expected"), [(0, 4095), (3, 4095), (4, 65535)])
def test_hot_pixels_do_not_decide(hot: int, expected: float) -> None:
    """The limit is 0.001 % of the pixels of both images: here 3.2 of 320,000."""
    before, after = np.full((2, 400, 400), 4095, np.uint16)
    for index in range(hot):
        (before, after)[index % 2][17, 30 * index] = 65535
    assert data_range_of(before, after) == expected


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, 1), (0.1, 0.36, 1), (0.5, 0.5, 1), (0, 0, 1), (0.7, 1, 1), (-7, -7, 1), (40, 40, 1)],
)
def test_intensities_from_0_to_1_have_range_1(dtype: Any, low: float, high: float, expected: float) -> None:
    image = spread(low, high).astype(dtype)
    assert data_range_of(image, image.copy()) == expected


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        *itertools.product([*WIDE_OR_SIGNED, np.uint32, np.uint64, np.float32, np.float64], [0], [100, 127]),
        *itertools.product([*WIDE_OR_SIGNED, np.float32, np.float64], [-100, -128], [27, -1]),
    ],
)
def test_the_rest_has_the_span_of_its_values(dtype: Any, low: float, high: float) -> None:
    before, after = spread(low, high).astype(dtype), spread(low, (low + high) / 2).astype(dtype)
    assert data_range_of(before, after) == span_by_sorting(before, after)


@pytest.mark.parametrize(
    ("low", "high"), [(0.4, 0.6), (0, 0.25), (0, 1.001), (-0.001, 1), (1e-30, 3e-30), (-1e30, 5e30)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_outside_0_to_1_or_crowded_have_their_span(dtype: Any, low: float, high: float) -> None:
    image = spread(low, high).astype(dtype)
    assert data_range_of(image, image.copy()) == span_by_sorting(image, image)


def test_wide_integers_keep_all_their_bits() -> None:
    before = spread(0, 2**40).astype(np.int64)
    assert data_range_of(before, before.copy()) == span_by_sorting(before, before)
    large = np.full(SHAPE, np.iinfo(np.uint64).max)
    assert data_range_of(large, large // 2) == 2.0**63


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_span_is_that_of_the_sorted_values(dtype: Any, data: st.DataObject) -> None:
    bits = np.finfo(dtype).bits
    finite = st.floats(-(2.0**99), 2.0**99, width=bits)  # type: ignore[arg-type]
    anything = st.one_of(finite, st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5.0, 1e-40]))
    before, after = (data.draw(hnp.arrays(dtype, (9, 8), elements=anything)) for _ in range(2))
    values = np.concatenate([before, after], axis=None)
    values = values[np.isfinite(values)].astype(np.float64)
    expected = span_by_sorting(values) if values.size else 0
    if not expected or (values.min() >= 0 and values.max() <= 1 and np.ptp(values) > 0.25):
        expected = 1
    if expected < 1e-70:
        return
    assert data_range_of(before, after) == expected


def test_span_is_that_of_all_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = spread(-5, 300, (90, 70)), spread(100, 900, (90, 70))
    expected = data_range_of(before, after)
    assert expected == span_by_sorting(before, after)
    monkeypatch.setattr(tiles, "TILE_PIXELS", 200)
    monkeypatch.setattr(tiles, "count_threads", lambda: 3)
    assert data_range_of(before, after) == expected


def test_outliers_do_not_decide() -> None:
    """One value in a thousand may lie on either side."""
    before = spread(0, 100, (100, 100))
    after = before.copy()
    after[0, :15], after[50, :15] = 1e9, -1e9
    assert data_range_of(before, after) == span_by_sorting(before, after) <= 100
    after[1, :15] = 1e9
    assert data_range_of(before, after) == span_by_sorting(before, after) > 1e8


def test_what_is_not_valid_does_not_decide() -> None:
    before, after = gray_pair(np.float32)
    expected = data_range_of(before[:30], after[:30])
    before[30:34], after[34:37], after[37:] = np.nan, np.inf, -np.inf
    assert data_range_of(before[:30], after[:30]) == expected
    assert data_range_of(before, after) == span_by_sorting(before, after)


def test_data_range_given_is_used() -> None:
    for dtype in (bool, np.uint8, np.uint16, np.int64, np.float32):
        image = np.eye(20).astype(dtype)
        found = compare(image, image, data_range=77)
        assert found.resolved["data_range"] == found.pair.data_range == 77


# --- different dtypes


@pytest.mark.parametrize(
    ("one", "other"), [*itertools.product([np.uint8, *INTEGERS[2:], np.float32, np.float64], repeat=2)]
)
def test_images_of_different_dtype_on_one_scale_are_compared_as_they_are(one: Any, other: Any) -> None:
    before, after = gray_pair()
    score = compare(before, after, data_range=255).score
    assert compare(before.astype(one), after.astype(other), data_range=255).score == score
    assert compare(before.astype(one), after.astype(other)).score == pytest.approx(score, abs=1e-2)


def test_neighbouring_full_scales_may_be_one_scale() -> None:
    """A dark and a bright image of one camera, one of them filtered to floats."""
    before, after = spread(0, 4000).astype(np.uint16), spread(0, 1000).astype(np.float32)
    assert data_range_of(before, after) == span_by_sorting(before, after)
    before[3, 4] = after[5, 6] = 65535  # of 4,000 pixels this is too many to be left out
    with pytest.raises(ValueError, match="scale"):
        compare(before, spread(0, 100).astype(np.float32))


def test_a_hot_pixel_does_not_make_two_scales() -> None:
    before = np.full((400, 400), 3000, np.uint16)
    before[3, 4] = 65535
    after = np.full((400, 400), 3000, np.float32)
    assert not compare(before, after).score < 0.99
    assert not compare(after, before).score < 0.99


@pytest.mark.parametrize(
    ("one", "largest", "other", "other_largest"),
    [
        (np.uint8, 255, np.float32, 1),
        (np.uint8, 255, np.uint16, 65535),
        (np.uint8, 255, np.uint16, 4095),
        (np.uint16, 65535, np.float64, 1),
        (np.float32, 1, np.int32, 200),
        (np.float32, 3e8, np.uint16, 4000),
        (np.float32, 3e8, np.uint16, 65535),
        (np.uint8, 1, bool, 1),
    ],
)
def test_images_of_different_dtype_on_different_scales_are_refused(
    one: Any, largest: float, other: Any, other_largest: float
) -> None:
    before, after = spread(0, largest).astype(one), spread(0, other_largest).astype(other)
    for first, second in ((before, after), (after, before)):
        with pytest.raises(ValueError, match=r"before is .* on a scale of 0 to .* bring both to one scale") as caught:
            compare(first, second)
        assert str(first.dtype) in str(caught.value)
        assert str(second.dtype) in str(caught.value)
        assert compare(first, second, data_range=255).resolved["data_range"] == 255


def test_one_dtype_is_never_refused() -> None:
    assert data_range_of(spread(0, 1), spread(0, 1e6)) == span_by_sorting(spread(0, 1), spread(0, 1e6))


# --- luma


def luma_by_formula(rgb: NDArray[Any]) -> NDArray[np.int64]:
    red, green, blue = np.moveaxis(rgb[..., :3].astype(np.int64), -1, 0)
    return (9798 * red + 19235 * green + 3735 * blue + 2**14) >> 15


def planes_of(image: NDArray[Any]) -> NDArray[Any]:
    return compare(image, image, data_range=1, win_size=3).pair.before


@pytest.mark.parametrize("largest", [255, 65535])
def test_luma_of_whole_numbers_is_that_of_opencv(largest: int) -> None:
    dtype = np.uint8 if largest == 255 else np.uint16
    levels = np.unique(np.linspace(0, largest, 52).astype(dtype))
    rgb = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, levels.size, 3)
    rgb = np.concatenate([rgb, np.random.default_rng(2).integers(0, largest + 1, (2000, levels.size, 3), dtype)])
    found = planes_of(rgb)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, luma_by_formula(rgb))
    np.testing.assert_array_equal(found, cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_in_colour_stays_what_it_is(dtype: Any) -> None:
    gray = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16)
    np.testing.assert_array_equal(planes_of(np.stack([gray] * 3, axis=-1)), gray)


@pytest.mark.parametrize(
    "dtype", [np.int8, np.int16, np.int32, np.uint32, np.int64, np.float16, np.float32, np.float64]
)
def test_luma_of_the_rest_is_weighed_in_float64(dtype: Any) -> None:
    rgb = (np.random.default_rng(3).random((30, 31, 3)) * 100).astype(dtype)
    red, green, blue = (rgb[..., index].astype(np.float64) for index in range(3))
    expected = red * 0.299 + green * 0.587 + blue * 0.114
    found = planes_of(rgb)
    np.testing.assert_array_equal(found, expected.astype(found.dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_alpha_is_not_used_where_it_is_dropped(dtype: Any) -> None:
    before, after = (image.astype(dtype) for image in rgb_pair(channels=4))
    clear = before.copy()
    clear[..., 3] = 0
    assert_same(compared(clear, after, alpha="drop"), compared(before[..., :3], after[..., :3]))
    classic = compared(clear, after, settings=Settings.classic())
    assert_same(classic, compared(before[..., :3], after[..., :3], settings=Settings.classic()))


def test_colour_that_is_not_finite_is_not_valid() -> None:
    before, after = rgb_pair(np.float32)
    after[4, 5] = [np.inf, -np.inf, 0]
    before[30, 7, 2] = np.nan
    found = compare(before, after, data_range=255)
    assert found.resolved["pixels_not_valid"] == np.isnan(found.difference).sum() == 2


def test_luma_of_tiles_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [rgb_pair(dtype) for dtype in (np.uint8, np.uint16, np.float64)]
    whole = [compare(*pair).pair for pair in pairs]
    monkeypatch.setattr(tiles, "TILE_PIXELS", 60)
    for pair, expected in zip(pairs, whole, strict=True):
        found = compare(*pair).pair
        np.testing.assert_array_equal(found.before, expected.before)
        np.testing.assert_array_equal(found.after, expected.after)
        assert found.data_range == expected.data_range


# --- containers and layouts


def unaligned(image: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that begins at an odd address."""
    buffer = np.empty(image.nbytes + 1, np.uint8)
    copy = buffer[1:].view(image.dtype).reshape(image.shape)
    copy[...] = image
    return copy


def read_only(image: NDArray[Any]) -> NDArray[Any]:
    copy = image.copy()
    copy.flags.writeable = False
    return copy


def on_disk(image: NDArray[Any], folder: Path) -> NDArray[Any]:
    np.save(folder / "image.npy", image)
    return np.load(folder / "image.npy", mmap_mode="r")  # type: ignore[no-any-return]


class Lazy:
    """What only knows how to become an array, as many containers do."""

    def __init__(self, image: NDArray[Any]) -> None:
        self.image = image

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.image, dtype)


LAYOUTS = {
    "fortran": lambda image, _: np.asfortranarray(image),
    "every_other": lambda image, _: np.repeat(np.repeat(image, 2, axis=0), 3, axis=1)[::2, ::3],
    "backwards": lambda image, _: image[::-1, ::-1].copy()[::-1, ::-1],
    "padded_rows": lambda image, _: np.pad(image, [(0, 0), (3, 4), *[(0, 0)] * (image.ndim - 2)])[:, 3:-4],
    "transposed": lambda image, _: image.swapaxes(0, 1).copy().swapaxes(0, 1),
    "big_endian": lambda image, _: image.astype(image.dtype.newbyteorder(">")),
    "little_endian": lambda image, _: image.astype(image.dtype.newbyteorder("<")),
    "read_only": lambda image, _: read_only(image),
    "unaligned": lambda image, _: unaligned(image),
    "memmap": on_disk,
    "dask": lambda image, _: da.from_array(image, chunks=(17, 23, *image.shape[2:])),
    "zarr": lambda image, _: zarr.array(image),
    "xarray": lambda image, _: xarray.DataArray(image),
    "xarray_of_dask": lambda image, _: xarray.DataArray(da.from_array(image)),
    "array_protocol": lambda image, _: Lazy(image),
    "masked_nowhere": lambda image, _: np.ma.masked_array(image, np.zeros(image.shape, bool)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("make", [gray_pair, rgb_pair])
def test_same_values_in_any_layout_and_container(make: Any, dtype: Any, layout: str, tmp_path: Path) -> None:
    before, after = (image.astype(dtype) for image in make())
    expected = compared(before, after)
    kept = before.copy(), after.copy()
    assert_same(compared(LAYOUTS[layout](before, tmp_path), after), expected)
    other = LAYOUTS[layout](after, tmp_path)
    assert_same(compared(before, other), expected)
    for image, as_it_was in zip((before, after, np.asarray(other)), (*kept, kept[1]), strict=True):
        np.testing.assert_array_equal(image, as_it_was)


def test_lists_are_arrays() -> None:
    before, after = gray_pair(np.int64)
    assert_same(compared(before.tolist(), after.tolist()), compared(before, after))


def test_one_value_for_all_pixels() -> None:
    """A broadcast array has no memory of its own for its pixels."""
    flat = np.broadcast_to(np.uint8(7), SHAPE)
    assert compare(flat, flat).score == 1


@pytest.mark.parametrize("dtype", [*INTEGERS[1:], np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("win_size", [3, 7, 13])
def test_dtype_does_not_matter_with_one_data_range(dtype: Any, win_size: int) -> None:
    before, after = gray_pair()
    expected = compared(before, after, data_range=255, win_size=win_size)
    assert_same(compared(before.astype(dtype), after.astype(dtype), data_range=255, win_size=win_size), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_masked_pixels_are_not_valid(dtype: Any) -> None:
    before, after = gray_pair(dtype)
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 30:38] = mask[20, 20] = True
    masked = np.ma.masked_array(before, mask)
    as_floats = before.astype(np.float64)
    as_floats[mask] = np.nan
    for one, other in ((masked, after), (masked, np.ma.masked_array(after, mask))):
        found = compare(one, other, data_range=255)
        assert found.resolved["pixels_not_valid"] == mask.sum() == np.isnan(found.difference).sum()
        assert_same(compared(one, other, data_range=255), compared(as_floats, after, data_range=255))
    np.testing.assert_array_equal(masked.data, before)


def test_longdouble_beyond_float64_is_not_valid() -> None:
    before, after = gray_pair(np.longdouble)
    before[5, 6] = np.longdouble("1e400")
    if np.isinf(np.float64(np.finfo(np.longdouble).max)):
        assert compare(before, after).resolved["pixels_not_valid"] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, bool])
@pytest.mark.parametrize("make", [gray_pair, rgb_pair])
def test_inputs_keep_every_byte_and_stay_writeable(make: Any, dtype: Any) -> None:
    before, after = (image.astype(dtype) for image in make())
    raw = before.tobytes(), after.tobytes()
    found = compare(before, after)
    found.rethreshold(0.3, -1)
    ssim_map(before, after)
    assert (before.tobytes(), after.tobytes()) == raw
    assert before.flags.writeable
    assert after.flags.writeable
    for plane in found.pair[:2]:
        assert not plane.flags.writeable


def check_refused(before: Any, after: Any, words: str, **changes: Any) -> None:
    with pytest.raises(ValueError, match=words):
        compare(before, after, **changes)


def test_numbers_that_overflow_are_refused() -> None:
    before, after = gray_pair(np.float64)
    too_large = r"reach 2.55e\+202 .* up to 1e\+70 .*: multiply both images by one factor, or put NaN"
    check_refused(before * 1e200, after * 1e200, too_large)
    check_refused(before * 1e200, after * 1e200, too_large, data_range=255)
    check_refused(before * 1e-200, after * 1e-200, "data range is 2.5[0-9]*e-198; .* from 1e-70")
    check_refused(before, after, "data range is 1e-200", data_range=1e-200)
    check_refused(gray_pair()[0], gray_pair()[1], r"data range is 1e\+90", data_range=1e90)
    check_refused(before - 1e300, before + 1e308, "reach 1e.308")


@pytest.mark.parametrize("scale", [1e-65, 1e-30, 1e30, 1e65])
@pytest.mark.parametrize("window", ["uniform", "gaussian"])
def test_scale_of_the_numbers_does_not_matter(scale: float, window: str) -> None:
    before, after = gray_pair(np.float64)
    expected = compare(before, after, data_range=255, window=window)
    found = compare(before * scale, after * scale, data_range=255 * scale, window=window)
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    np.testing.assert_allclose(found.difference, expected.difference, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.regions["after_mean"] / scale, expected.regions["after_mean"], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("data_range", [1e-70, 1e-30, 1e30, 1e70])
def test_any_data_range_gives_numbers(dtype: Any, data_range: float) -> None:
    before, after = gray_pair(dtype)
    before[:9] = after[:9] = 0
    found: Comparison = compare(before, after, Settings.classic(data_range=data_range))
    assert np.isfinite(found.score)
    assert np.isfinite(found.difference).all()
    assert not found.difference[:5].any()


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
@pytest.mark.parametrize("data_range", [1e-70, 1e-30, 1e30, 1e70])
def test_any_data_range_gives_evidence(dtype: Any, data_range: float) -> None:
    before, after = gray_pair(dtype)
    before[:9] = after[:9] = 0
    found: Comparison = compare(before, after, data_range=data_range)
    assert found.evidence is not None
    assert np.isfinite(found.evidence).all()
    assert not found.evidence[:5].any()
    assert (found.evidence > 1).any() == (data_range < 255)


def test_keys_of_floats_sort_as_the_floats_do() -> None:
    for dtype in (np.float32, np.float64):
        values = np.array([-np.finfo(dtype).max, -1.5, -1e-40, -0.0, 0.0, 1e-40, 1.0, 1.5, np.finfo(dtype).max], dtype)
        counts = preparation.count_keys(
            preparation.order_keys(values[None]),
            0,
            1,
            values.itemsize * 8 - preparation.KEY_BITS,
            np.zeros(1, np.uint64),
        )
        heads = np.repeat(np.arange(counts.size), counts[0])
        assert len(heads) == values.size
        shift = values.itemsize * 8 - preparation.KEY_BITS
        lowest = [preparation.value_of_key(int(head) << shift, values.dtype) for head in heads]
        assert all(low <= value for low, value in zip(lowest, values, strict=True))
