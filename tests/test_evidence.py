"""Evidence against its definition written out with scipy, and against itself in other tiles, types and orders."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_image_diff import compare, evidence, noise
from napari_image_diff.evidence import Source
from napari_image_diff.noise import ACTIVITIES, CELLS, INTENSITIES, Counts, Limits

# A limit so high that cells of that size find nothing
NEVER = 1e30

KINDS = ["gray", "RGB", "RGBA", "uint16", "float", "float RGB"]


def random_pair(seed: int, kind: str = "gray", shape: tuple[int, int] = (61, 83)) -> Source:
    """Return two pictures of large and small structures that differ by noise and by some squares."""
    rng = np.random.default_rng(seed)
    channels = {"RGB": 3, "RGBA": 4, "float RGB": 3}.get(kind, 1)
    size = (*shape, channels)
    sigma = (float(rng.uniform(0.5, 4)),) * 2 + (0.0,)
    picture = ndimage.gaussian_filter(rng.normal(0, 1, size), sigma)
    picture = (picture - picture.min()) / np.ptp(picture) * 220 + 10
    before, after = (picture + rng.normal(0, rng.uniform(0, 4), size) for _ in range(2))
    for _ in range(4):
        row, col, side = int(rng.integers(shape[0])), int(rng.integers(shape[1])), int(rng.integers(1, 20))
        after[row : row + side, col : col + side] = rng.integers(0, 256, channels)
    if kind.startswith("float"):
        images = [np.float32(image) for image in (before, after)]
        images[0][5:8, 20:30] = np.nan
        images[1][shape[0] - 1, shape[1] - 1] = np.nan
    else:
        dtype, scale = (np.uint16, 16) if kind == "uint16" else (np.uint8, 1)
        images = [np.clip(np.rint(image * scale), 0, 256 * scale - 1).astype(dtype) for image in (before, after)]
    return source_of(images[0], images[1], 4095.0 if kind == "uint16" else 255.0)


def source_of(before: NDArray[Any], after: NDArray[Any], data_range: float = 255.0, zero: float = 0.0) -> Source:
    """Return two images (H, W) or (H, W, channels) as evidence takes them; here luma is the mean of the colours."""
    images = [image[..., None] if image.ndim == 2 else image for image in (before, after)]
    luma = [np.ascontiguousarray(image[..., :3].mean(2).astype(image.dtype)) for image in images]
    colours = tuple(map(read_only, images)) if images[0].shape[2] > 1 else ()
    difference = np.zeros(luma[0].shape, np.float32)
    return Source(read_only(luma[0]), read_only(luma[1]), colours, difference, data_range, zero)


def read_only(image: NDArray[Any]) -> NDArray[Any]:
    """Return what the kernels take."""
    image = np.ascontiguousarray(image)
    image.flags.writeable = False
    return image


def channels_of(source: Source) -> int:
    return source.colours[0].shape[2] if source.colours else 1


def random_limits(seed: int, radius: int, channels: int) -> Limits:
    """Return limits that are others in each channel, cell, activity and intensity."""
    levels = np.random.default_rng(seed).uniform(3, 12, (channels, len(CELLS), ACTIVITIES, INTENSITIES))
    return Limits(radius, levels.astype(np.float32), np.full(ACTIVITIES, np.inf, np.float32), 1.0)


def same_limits(*of_cells: float, channels: int = 1, radius: int = 1) -> Limits:
    """Return limits that are the same everywhere, for cells of 1, 2, 4 and 8 pixels; `NEVER` for those not given."""
    levels = np.full((channels, len(CELLS), ACTIVITIES, INTENSITIES), NEVER, np.float32)
    for cell, limit in enumerate(of_cells):
        levels[:, cell] = limit
    return Limits(radius, levels, np.full(ACTIVITIES, np.inf, np.float32), 1.0)


def write(source: Source, limits: Limits, cuts: list[int] | None = None) -> NDArray[np.float32]:
    """Return the evidence written tile by tile."""
    height = source.before.shape[0]
    found = np.full(source.before.shape, -1, np.float32)
    edges = [0, *(cuts or []), height]
    for top, bottom in itertools.pairwise(edges):
        evidence.write_tile(source, top, bottom, limits, found)
    return found


# --- tiles


@pytest.mark.parametrize("shape", [(61, 83), (7, 200), (200, 9), (64, 64), (300, 521)])
@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_tiles_give_the_bits_of_the_whole(kind: str, radius: int, shape: tuple[int, int]) -> None:
    source = random_pair(sum(shape) + radius, kind, shape)
    limits = random_limits(3, radius, channels_of(source))
    whole = write(source, limits)
    assert (whole > 0).any()
    rng = np.random.default_rng(shape[0])
    every_row = list(range(1, min(shape[0], 70)))
    for cuts in (every_row, [1], [shape[0] - 1], sorted(rng.choice(np.arange(1, shape[0]), 4, replace=False).tolist())):
        np.testing.assert_array_equal(write(source, limits, cuts), whole)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in blocks within a tile, too."""
    for kind in KINDS:
        source = random_pair(5, kind, (90, 130))
        for radius in (1, 3):
            limits = random_limits(5, radius, channels_of(source))
            whole = write(source, limits)
            with monkeypatch.context() as patch:
                patch.setattr(evidence, "TILE", (16, 24))
                np.testing.assert_array_equal(write(source, limits), whole)


def counted(source: Source, tiles: list[tuple[int, int, int, int]], radius: int) -> Counts:
    counts = [evidence.count_tiles(source, [tile], radius) for tile in tiles]
    total = counts[0]
    for other in counts[1:]:
        total = total + other
    return total


@pytest.mark.parametrize("radius", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_counts_of_tiles_add_up(kind: str, radius: int) -> None:
    source = random_pair(11, kind, (101, 93))
    whole = counted(source, [(0, 0, 101, 93)], radius)
    bands, columns = ((0, 8), (8, 64), (64, 101)), ((0, 40), (40, 93))
    cut = [(top, left, bottom, right) for top, bottom in bands for left, right in columns]
    parts = counted(source, cut, radius)
    np.testing.assert_array_equal(parts.noise, whole.noise)
    np.testing.assert_array_equal(parts.structure, whole.structure)
    # Each valid pixel counts once for its intensity before, and once for that after
    valid = np.isfinite(source.before) & np.isfinite(source.after)
    assert whole.noise[0, 0, 0].sum() == whole.noise[0, 0, 1].sum() == 2 * valid.sum()


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1),
        (255, 257),
        (1024, 1024),
        (1025, 1024),
        (4096, 4096),
        (512, 40_000),
        (40_000, 200),
        (257, 40_000),
        (40_000, 300),
    ],
)
def test_noise_is_measured_all_over_the_image(shape: tuple[int, int]) -> None:
    boxes = np.array(evidence.sample_tiles(shape))
    low, high = boxes[:, :2], boxes[:, 2:]
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert (low >= 0).all()
    assert (low < high).all()
    assert (high <= shape).all()
    assert not (low % 8).any()
    pixels, all_pixels = (high - low).prod(1).sum(), shape[0] * shape[1]
    if all_pixels <= evidence.SAMPLED_PIXELS:
        assert pixels == all_pixels
        return
    assert evidence.SAMPLED_PIXELS / 2 <= pixels <= evidence.SAMPLED_PIXELS * 4
    longest = int(np.argmax(shape))
    assert low[:, longest].min() < shape[longest] / 4
    assert high[:, longest].max() > shape[longest] * 3 / 4


# --- the definition


def levels_of(source: Source, reach: int = 48) -> list[NDArray[np.float64]]:
    """Return both images in levels, mirrored beyond the border with its own pixel repeated, up to whole blocks."""
    pads = [(reach, reach + -size % 8) for size in source.before.shape]
    scale = 255 / source.data_range
    return [np.pad((p.astype(np.float64) - source.zero) * scale, pads, mode="symmetric") for p in source[:2]]


def halved(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3))


def doubled(x: NDArray[Any]) -> NDArray[Any]:
    return x.repeat(2, 0).repeat(2, 1)


def smoothed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return ndimage.uniform_filter(x, 3)


def residual_and_span(
    a: NDArray[np.float64], b: NDArray[np.float64], footprint: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far either image lies outside the span of the other around it, and the lesser of the two spans."""
    low_a, low_b = (ndimage.minimum_filter(x, footprint=footprint) for x in (a, b))
    high_a, high_b = (ndimage.maximum_filter(x, footprint=footprint) for x in (a, b))
    residual = np.max([b - high_a, low_a - b, a - high_b, low_b - a, np.zeros_like(a)], axis=0)
    return residual, np.minimum(high_a - low_a, high_b - low_b)


def activity_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of activity of each pixel: 0 for a span of 3 x 3 blocks under 2 levels, 1 under 4, ..."""
    spans = []
    for x in (smoothed(a), smoothed(b)):
        blocks = x.reshape(x.shape[0] // 8, 8, x.shape[1] // 8, 8)
        low, high = ndimage.minimum_filter(blocks.min((1, 3)), 3), ndimage.maximum_filter(blocks.max((1, 3)), 3)
        spans.append((high - low).repeat(8, 0).repeat(8, 1))
    return np.sum([np.minimum(*spans) >= 2.0**k for k in range(1, ACTIVITIES)], axis=0)


def looked_up(
    table: NDArray[np.float32], activity: NDArray[np.int64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the lesser of the limits at the intensities of both images."""
    bins = (np.clip(np.floor(x / 32), 0, INTENSITIES - 1).astype(int) for x in (a, b))
    return np.minimum(*(table[activity, of_image] for of_image in bins)).astype(np.float64)


SQUARE = np.ones((3, 3), bool)


def reference(source: Source, limits: Limits) -> NDArray[np.float64]:
    """Return the evidence of luma in cells of 1 and 2 pixels, with a tolerance of 1."""
    a, b = levels_of(source)
    activity = activity_of(a, b)
    a1, b1, a2, b2 = smoothed(a), smoothed(b), smoothed(halved(a)), smoothed(halved(b))
    found = []
    for x, y, of_pixels, table in (
        (a1, b1, activity, limits.levels[0, 0]),
        (a2, b2, activity[::2, ::2], limits.levels[0, 1]),
    ):
        residual, span = residual_and_span(x, y, SQUARE)
        limit = np.maximum(looked_up(table, of_pixels, x, y), 0.35 * span)
        found.append(residual / limit)
    # What two pixels find, each of them inherits that takes part in it by 70 %
    fine, direction = b1 - a1, doubled(b2 - a2)
    takes_part = (fine * direction >= 0.7 * direction**2) & (direction != 0)
    every = np.maximum(found[0], np.where(takes_part, doubled(found[1]), 0))
    return every[48:, 48:][: source.before.shape[0], : source.before.shape[1]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("cells", ["1", "2", "1 and 2"])
def test_cells_of_one_and_two_pixels_are_as_defined(cells: str, seed: int) -> None:
    source = random_pair(seed, ["gray", "uint16"][seed % 2], [(40, 51), (33, 64), (9, 70)][seed % 3])
    limits = random_limits(seed, 1, 1)
    limits.levels[:, 2:] = NEVER
    if cells == "1":
        limits.levels[:, 1] = NEVER
    if cells == "2":
        limits.levels[:, 0] = NEVER
    expected = reference(source, limits)
    assert (expected > 1).any()
    found = write(source, limits)
    # Where a bin or a share lies at its bound to 7 digits, float32 may fall on its other side
    close = np.isclose(found, expected, rtol=1e-4, atol=1e-4)
    assert close.mean() > 0.999


def test_a_number_by_hand() -> None:
    """A square of 9 x 9 on flat ground: 40 levels of a limit of 5 in its middle, a third less at its rim."""
    before = np.full((40, 40), 100, np.uint8)
    after = before.copy()
    after[10:19, 20:29] = 140
    found = write(source_of(before, after), same_limits(5.0))
    assert found[14, 24] == 8
    # At the rim two thirds of the 3 x 3 are in the square; before is flat, so no span explains anything
    assert found[10, 24] == pytest.approx(40 * 2 / 3 / 5, rel=1e-6)
    assert found[9, 24] == pytest.approx(40 / 3 / 5, rel=1e-6)
    assert found[10, 20] == pytest.approx(40 * 4 / 9 / 5, rel=1e-6)
    assert not found[8].any()
    doubled_limit = write(source_of(before, after), same_limits(10.0))
    np.testing.assert_allclose(doubled_limit, found / 2, rtol=1e-6)


def test_an_edge_explains_a_share_of_its_contrast() -> None:
    rows = np.where(np.arange(48) < 24, 50, 200).astype(np.uint8)
    before = np.tile(rows[:, None], (1, 48))
    after = before.copy()
    after[20:28, 10:40] = 125
    found = write(source_of(before, after), same_limits(5.0))
    a, b = (smoothed(image.astype(float)) for image in (before, after))
    residual, span = residual_and_span(a, b, SQUARE)
    np.testing.assert_allclose(found, residual / np.maximum(5, 0.35 * span), rtol=1e-4, atol=1e-5)
    assert not write(source_of(before, np.roll(before, 1, axis=0)), same_limits(5.0))[2:-2].any()


def test_tolerance_of_three_pixels_is_a_disc() -> None:
    source = random_pair(4, "gray", (70, 60))
    limits = same_limits(4.0, radius=3)
    a, b = (smoothed(x) for x in levels_of(source))
    rows, cols = np.mgrid[-3:4, -3:4]
    disc = np.abs(cols) <= np.array([3, 3, 2, 1])[np.abs(rows)]
    residual, _ = residual_and_span(a, b, disc)
    # The limit is a share of the contrast of 9 x 9 blocks around
    spans = []
    for x in (a, b):
        blocks = x.reshape(x.shape[0] // 8, 8, x.shape[1] // 8, 8)
        low, high = ndimage.minimum_filter(blocks.min((1, 3)), 9), ndimage.maximum_filter(blocks.max((1, 3)), 9)
        spans.append((high - low).repeat(8, 0).repeat(8, 1))
    # 48 pixels are mirrored: the outermost block is not whole in 9 x 9 blocks, so only the middle is looked at
    expected = (residual / np.maximum(4, 0.25 * np.minimum(*spans)))[48:118, 48:108]
    expected[:3] = expected[-3:] = expected[:, :3] = expected[:, -3:] = 0
    found = write(source, limits)
    assert (expected > 1).any()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((100, 100, 100), (120, 90, 100), 30 / 5),  # R - G
        ((100, 100, 100), (100, 100, 120), 20 / 5),  # (R + G) / 2 - B
        ((100, 100, 100, 255), (100, 100, 100, 155), 100 / 5),
        ((100, 100, 100), (110, 110, 110), 0.0),  # no colour
    ],
)
def test_channels_of_colour(before: tuple[int, ...], after: tuple[int, ...], expected: float) -> None:
    one = np.full((40, 40, len(before)), before, np.uint8)
    other = one.copy()
    other[10:30, 8:28] = after
    limits = same_limits(NEVER, 5.0, channels=len(before))
    limits.levels[0] = NEVER
    found = write(source_of(one, other), limits)
    assert found[20, 18] == pytest.approx(expected)
    assert not found[:6].any()


@pytest.mark.parametrize("channel", [1, 2, 3])
def test_each_channel_of_colour_by_itself(channel: int) -> None:
    before = np.full((40, 40, 4), 100, np.uint8)
    after = before.copy()
    after[10:30, 8:28] = (140, 110, 95, 60)
    limits = same_limits(NEVER, NEVER, channels=4)
    limits.levels[channel, 1] = 5
    expected = {1: 140 - 110, 2: (140 + 110) / 2 - 95, 3: 100 - 60}[channel] / 5
    assert write(source_of(before, after), limits)[20, 18] == pytest.approx(expected)


def test_coarse_evidence_goes_only_to_pixels_that_take_part() -> None:
    before = np.full((64, 64), 100, np.uint8)
    after = before.copy()
    after[16:32, 16:32] = 110
    after[20:24, 20:24] = 100
    found = write(source_of(before, after), same_limits(NEVER, NEVER, NEVER, 1.0))
    assert found[28, 28] > 1
    assert not found[21:23, 21:23].any()
    assert not found[40:].any()


# --- borders, types, order


def test_borders_are_mirrored() -> None:
    """A picture with its mirror images around it has the same evidence, up to its border."""
    for kind in ("gray", "RGB"):
        source = random_pair(2, kind, (48, 64))
        limits = same_limits(3.0, 3.0, 3.0, 3.0, channels=channels_of(source))
        found = write(source, limits)

        def mirrored(image: NDArray[Any]) -> NDArray[Any]:
            return read_only(np.pad(image, [(48, 48), (64, 64)] + [(0, 0)] * (image.ndim - 2), mode="symmetric"))

        large = Source(
            *map(mirrored, source[:2]), tuple(map(mirrored, source.colours)), mirrored(source.difference), 255.0, 0.0
        )
        np.testing.assert_array_equal(write(large, limits)[48:96, 64:128], found)


def test_a_change_at_the_border_is_as_strong_as_inside() -> None:
    before = np.full((40, 40), 100, np.uint8)
    for rows, cols in ((slice(0, 3), slice(5, 15)), (slice(37, 40), slice(30, 40)), (slice(5, 15), slice(0, 3))):
        after = before.copy()
        after[rows, cols] = 160
        assert write(source_of(before, after), same_limits(5.0))[rows, cols].max() == 12


@pytest.mark.parametrize("radius", [1, 3])
def test_same_values_in_any_type_give_the_same_bits(radius: int) -> None:
    source = random_pair(6)
    limits = random_limits(6, radius, 1)
    expected = write(source, limits)
    for dtype in (np.uint16, np.float32, np.float64):
        other = source_of(source.before.astype(dtype), source.after.astype(dtype))
        np.testing.assert_array_equal(write(other, limits), expected)
        counts, others = counted(source, [(0, 0, 61, 83)], radius), counted(other, [(0, 0, 61, 83)], radius)
        np.testing.assert_array_equal(others.noise, counts.noise)
        np.testing.assert_array_equal(others.edges, counts.edges)


def test_compare_gives_the_same_evidence_whatever_the_type() -> None:
    before, after = (np.array(image) for image in random_pair(7, shape=(120, 90))[:2])
    expected = compare(before, after)
    for dtype in (np.uint16, np.int32, np.float32, np.float64):
        found = compare(before.astype(dtype), after.astype(dtype), data_range=255)
        np.testing.assert_array_equal(found.evidence, expected.evidence)
        np.testing.assert_array_equal(found.labels, expected.labels)
    for scale, dtype in ((16, np.uint16), (1 / 255, np.float32), (1 / 255, np.float64), (1e6, np.float64)):
        images = [(image * np.float64(scale)).astype(dtype) for image in (before, after)]
        found = compare(*images, data_range=255 * scale)
        assert found.evidence is not None
        np.testing.assert_allclose(found.evidence, expected.evidence, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("radius", [1, 3])
def test_before_and_after_may_change_places(kind: str, radius: int) -> None:
    source = random_pair(8, kind)
    swapped = source._replace(before=source.after, after=source.before, colours=source.colours[::-1])
    limits = random_limits(8, radius, channels_of(source))
    np.testing.assert_array_equal(write(swapped, limits), write(source, limits))
    tile = (0, 0, *source.before.shape)
    counts, others = (evidence.count_tiles(pair, [tile], radius) for pair in (source, swapped))
    np.testing.assert_array_equal(others.noise, counts.noise)
    np.testing.assert_array_equal(others.edges, counts.edges)


def test_what_is_not_valid_has_no_evidence_and_makes_none() -> None:
    before = np.full((50, 60), 100, np.float32)
    after = before.copy()
    before[10:20, 30:40], after[40, 50], before[0, 0] = np.nan, np.inf, -np.inf
    found = write(source_of(before, after), same_limits(3.0, 3.0, 3.0, 3.0))
    missing = ~(np.isfinite(before) & np.isfinite(after))
    np.testing.assert_array_equal(np.isnan(found), missing)
    assert not found[~missing].any()


# --- limits


def limits_of(before: NDArray[Any], after: NDArray[Any], data_range: float = 255.0) -> Limits:
    source = source_of(before, after, data_range)
    found = noise.make_limits(counted(source, evidence.sample_tiles(before.shape[:2]), 1), 1, data_range, 1.0)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("data_range", "quantum", "floor"),
    [
        (255.0, 1.0, 3.0),  # three steps of whole numbers
        (100.0, 1.0, 255 * 0.012),  # never more than 1.2 % of the data range
        (65535.0, 1.0, 255 * noise.LEAST_FLOOR),  # never less than the least
        (1.0, 0.0, 255 * noise.LEAST_FLOOR),
    ],
)
def test_without_noise_the_limit_is_its_floor(data_range: float, quantum: float, floor: float) -> None:
    for channels in (1, 3):
        flat = np.full((128, 128, channels), data_range / 3, np.float32)
        source = source_of(flat, flat, data_range)
        found = noise.make_limits(counted(source, [(0, 0, 128, 128)], 1), 1, data_range, quantum)
        assert found is not None
        np.testing.assert_allclose(found.levels[0], floor, rtol=1e-6)
        np.testing.assert_allclose(found.levels[1:], floor * noise.COLOUR_FLOOR, rtol=1e-6)
        assert found.noise == 0


def test_the_floor_rises_with_the_noise_up_to_its_most() -> None:
    rng = np.random.default_rng(2)
    floors = []
    for sd in (0.0, 0.1, 0.4, 1.5):
        before, after = (rng.normal(100, sd, (256, 256)).astype(np.float32) for _ in range(2))
        found = noise.make_limits(counted(source_of(before, after), [(0, 0, 256, 256)], 1), 1, 255.0, 0.0)
        assert found is not None
        floors.append(float(found.levels[0, 3].min()))
        assert floors[-1] == pytest.approx(
            np.clip(noise.NOISE_FLOOR * sd * 2**0.5, 255 * noise.LEAST_FLOOR, 3.06), rel=0.1
        )
    assert floors == sorted(floors)


@pytest.mark.parametrize("sd", [2.0, 5.0, 12.0])
def test_noise_is_measured(sd: float) -> None:
    rng = np.random.default_rng(3)
    before, after = (rng.normal(100, sd, (512, 512)).astype(np.float32) for _ in range(2))
    found = limits_of(before, after)
    assert found.noise == pytest.approx(sd * 2**0.5, rel=0.03)
    # 100 levels are bin 3; the mean of 9 pixels has a third of the deviation, and each doubling of cells halves it
    of_difference = sd * 2**0.5 / 3
    for cell in range(3):
        limit = found.levels[0, cell, :, 3]
        assert limit.min() >= 0.85 * 8 * of_difference / 2**cell
        assert limit.min() <= max(1.25 * 8 * of_difference / 2**cell, 255 * 0.0121)


def test_noise_is_in_units_of_the_data() -> None:
    rng = np.random.default_rng(4)
    before, after = (rng.normal(0.4, 0.02, (256, 256)).astype(np.float32) for _ in range(2))
    assert limits_of(before, after, 1.0).noise == pytest.approx(0.02 * 2**0.5, rel=0.03)


def test_noise_that_grows_with_the_signal_is_measured_at_each_intensity() -> None:
    rng = np.random.default_rng(5)
    steps = np.repeat(np.array([20, 84, 148, 212]), 128)
    before, after = (rng.poisson(np.tile(steps, (512, 1))).astype(np.float32) for _ in range(2))
    limit = limits_of(before, after).levels[0, 0, 3]
    assert limit[0] < limit[2] < limit[4] < limit[6]
    assert limit[6] / limit[0] == pytest.approx((212 / 20) ** 0.5, rel=0.25)


def test_a_large_change_is_not_noise() -> None:
    """Half of a noisy picture becomes 60 levels brighter: the limit stays far below that."""
    rng = np.random.default_rng(6)
    before, after = (rng.normal(100, 3, (512, 512)) for _ in range(2))
    quiet = limits_of(np.float32(before), np.float32(after))
    after[:, :256] += 60
    found = limits_of(np.float32(before), np.float32(after))
    # The activity of such noise is below 32 levels
    assert found.levels[0, 0, :5, 3:5].max() <= 20
    assert found.noise == pytest.approx(quiet.noise, rel=0.05)


@pytest.mark.parametrize(("shift", "displaced"), [(0, False), (1, False), (2, True), (3, True)])
def test_edges_that_lie_elsewhere_ask_for_more_tolerance(shift: int, displaced: bool) -> None:
    rng = np.random.default_rng(7)
    blocks = np.where(rng.random((24, 24)) < 0.5, 20, 220).repeat(12, 0).repeat(12, 1).astype(np.uint8)
    source = source_of(blocks[:, 6:-6], blocks[:, 6 + shift : blocks.shape[1] - 6 + shift])
    counts = counted(source, evidence.sample_tiles(source.before.shape), 1)
    assert (noise.make_limits(counts, 1, 255.0, 1.0) is None) == displaced
    last = noise.make_limits(counted(source, evidence.sample_tiles(source.before.shape), 3), 3, 255.0, 1.0)
    assert last is not None
    assert last.radius == 3


def test_alpha_that_is_not_finite_says_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.random((40, 50, 4)).astype(np.float32)
    before[..., 3] = 1
    after = before.copy()
    after[20, 30, 3] = np.inf
    alone = compare(before, after, data_range=1.0, align="none")
    assert alone.evidence is not None
    assert np.isfinite(alone.evidence).all()
    # Whether a pixel far away is valid does not change that
    for image in (before, after):
        image[2, 2] = np.nan
    beside = compare(before, after, data_range=1.0, align="none")
    assert beside.evidence is not None
    np.testing.assert_array_equal(beside.evidence[16:], alone.evidence[16:])
