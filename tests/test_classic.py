"""`Settings.classic` gives what it gave before there was another default (commit 97addea), to the bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_image_diff import Comparison, Settings, compare, find_regions, samples, ssim_map

Images = tuple[NDArray[Any], NDArray[Any]]

COLUMNS = [
    "label", "min_row", "min_col", "max_row", "max_col", "area", "contour_area", "centroid_row", "centroid_col",
    "difference_mean", "difference_max", "before_mean", "after_mean",
]  # fmt: skip


def made(channels: int, dtype: Any) -> Images:
    """Return blocks of random intensity with noise, and the same with other noise and some of the blocks changed."""
    rng = np.random.default_rng(97)
    shape = (181, 233, channels) if channels else (181, 233)
    blocks = rng.integers(20, 220, (12, 15, *shape[2:])).repeat(16, 0).repeat(16, 1)[: shape[0], : shape[1]]
    before, after = (blocks + rng.integers(0, 12, shape) for _ in range(2))
    for row, col in ((0, 0), (40, 200), (90, 60), (150, 120)):
        after[row : row + 23, col : col + 31] = 255 - after[row : row + 23, col : col + 31]
    after[120, 20:70] = 255
    scale = {np.uint8: 1.0, np.uint16: 16.0}.get(dtype, 1 / 255)
    return (before * scale).astype(dtype), (after * scale).astype(dtype)


def with_nan() -> Images:
    before, after = made(0, np.float32)
    before[20:33, 70:90], after[100, 101] = np.nan, np.inf
    return before, after


PAIRS: dict[str, Any] = {
    "gray uint8": lambda: made(0, np.uint8),
    "RGB uint8": lambda: made(3, np.uint8),
    "RGBA uint8": lambda: made(4, np.uint8),
    "gray uint16": lambda: made(0, np.uint16),
    "RGB uint16": lambda: made(3, np.uint16),
    "gray float32": lambda: made(0, np.float32),
    "RGB float32": lambda: made(3, np.float32),
    "gray float64": lambda: made(0, np.float64),
    "float32 with NaN": with_nan,
}
SAMPLES = {make.__name__: make for make in (samples.photo, samples.cells, samples.page, samples.board)}


def images_of(name: str) -> Images:
    if name in PAIRS:
        return PAIRS[name]()  # type: ignore[no-any-return]
    before, after = (layer[0] for layer in SAMPLES[name]())
    return before, after


def hash_of(*arrays: NDArray[Any]) -> str:
    """Return the beginning of the SHA-256 of values, shapes and types."""
    digest = hashlib.sha256()
    for array in arrays:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{little.shape} {little.dtype.str}".encode() + little.tobytes())
    return digest.hexdigest()[:16]


def record(found: Comparison) -> tuple[Any, ...]:
    """Return score, data range, threshold and number of regions, and hashes of difference, labels and table."""
    numbers = (found.score.hex(), found.resolved["data_range"], found.threshold.hex(), len(found.regions))
    # All NaN are one
    difference = np.where(np.isnan(found.difference), np.float32(np.nan), found.difference)
    return (*numbers, hash_of(difference), hash_of(found.labels), hash_of(found.regions.to_numpy(np.float64)))


# images, then the record with an area over 40 and the hashes of labels and table of all areas
EXPECTED: dict[str, tuple[Any, ...]] = {
    "gray uint8": (
        "f998ec8ab098156c", "0x1.89a4bcee326eep-1", 255.0, "0x1.1111111111111p-1", 6,
        "20b7571b579628c2", "e0005ba145d8e948", "258232b09657083d", "524f03ae7b635721", "1e9caa1ec164dfd5",
    ),
    "RGB uint8": (
        "69d3d38fe5f0962c", "0x1.a675ba1439debp-1", 255.0, "0x1.0303030303030p-1", 6,
        "4e367a958ace04e2", "151f048876c5829a", "d6c4b734d5e5e442", "151f048876c5829a", "d6c4b734d5e5e442",
    ),
    "RGBA uint8": (
        "05c51a57de0643a6", "0x1.aa99d23cdee54p-1", 255.0, "0x1.f5f5f5f5f5f60p-2", 5,
        "d48b38cbebc068d9", "01c92966617f9753", "b879202c006c8076", "01c92966617f9753", "b879202c006c8076",
    ),
    "gray uint16": (
        "638e8f9d86844c56", "0x1.89f896912f097p-1", 4095.0, "0x1.0f0f0f0f0f0f1p-1", 6,
        "956f5001b28f9feb", "adeb37d85be3ae2c", "39bb43854c53f60c", "0a4ecb618b0974aa", "6e2ddfc067bf563e",
    ),
    "RGB uint16": (
        "cb7cca4801fd2e9d", "0x1.a73fee5061cc8p-1", 4095.0, "0x1.0303030303030p-1", 6,
        "0cd6d8e3fff3ec3a", "151f048876c5829a", "d919143c13ab3ddc", "151f048876c5829a", "d919143c13ab3ddc",
    ),
    "gray float32": (
        "826b7aea77e03639", "0x1.89a4bcdb2f8a2p-1", 1.0, "0x1.1111111111111p-1", 6,
        "9e5e6455ac055dbe", "e0005ba145d8e948", "903a7ac25a40949b", "524f03ae7b635721", "c89e16fbda7fc3fe",
    ),
    "RGB float32": (
        "89c8d11f62ce031f", "0x1.a70546bd96465p-1", 1.0, "0x1.0303030303030p-1", 6,
        "319f05ccaeb233ce", "151f048876c5829a", "66b9692382fed14e", "151f048876c5829a", "66b9692382fed14e",
    ),
    "gray float64": (
        "8ac6a19787ed33c6", "0x1.89a4bcee327c1p-1", 1.0, "0x1.1111111111111p-1", 6,
        "20b7571b579628c2", "e0005ba145d8e948", "7854c48a86d1b3ee", "524f03ae7b635721", "1dfeed823cdec48e",
    ),
    "float32 with NaN": (
        "2d8375049dffc4a8", "0x1.89457597d7ad6p-1", 1.0, "0x1.1111111111111p-1", 6,
        "5c5d23974e6005bc", "e0005ba145d8e948", "903a7ac25a40949b", "524f03ae7b635721", "c89e16fbda7fc3fe",
    ),
    "photo": (
        "a28e8756e4d36b63", "0x1.f8f1ba5d9339bp-1", 255.0, "0x1.a1a1a1a1a1a1ap-2", 6,
        "d2414ad90908d48a", "94ef25fe41d2d0b3", "0f4b0ffc7c325a44", "161ec1ce2227958f", "ee802d46f8c6b0f2",
    ),
    "cells": (
        "be999a4461073b69", "0x1.fa34b5a7444e9p-1", 4095.0, "0x1.c5c5c5c5c5c5cp-2", 6,
        "90268ad48ae5916f", "e1c287c050647fab", "8ee74976b74ae60c", "e1c287c050647fab", "8ee74976b74ae60c",
    ),
    "page": (
        "695075202f5a1018", "0x1.f61fb156026c5p-1", 255.0, "0x1.bdbdbdbdbdbdcp-2", 6,
        "fda03857eb632ff5", "a41593db0a9d1019", "6d5cfba9e3a290ef", "b404595291b9d35d", "bf8b2899233753b3",
    ),
    "board": (
        "10ab6778b59d0681", "0x1.fe4aad9cea7aap-1", 255.0, "0x1.a5a5a5a5a5a5ap-2", 6,
        "2e5c7eb300c537b9", "81e1e136dd2a8fce", "3af7c7e78656bcf2", "81e1e136dd2a8fce", "3af7c7e78656bcf2",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*PAIRS, *SAMPLES])
def test_classic_is_unchanged_to_the_bit(name: str) -> None:
    before, after = images_of(name)
    images, *expected, all_labels, all_regions = EXPECTED[name]
    if hash_of(before, after) != images and name in SAMPLES:
        pytest.skip(f"another version of OpenCV or scikit-image makes another sample {name}")
    assert hash_of(before, after) == images
    found = compare(before, after, Settings.classic())
    assert record(found) == tuple(expected)
    assert list(found.regions) == COLUMNS
    every = compare(before, after, Settings.classic(min_area=-1))
    assert record(every)[5:] == (all_labels, all_regions)
    assert record(found.rethreshold(min_area=-1)) == record(every)
    assert record(compare(before, after).rethreshold("otsu", min_area=40)) == (
        record(compare(before, after, Settings(threshold="otsu", min_area=40)))
    )


@pytest.mark.parametrize("name", ["gray uint8", "RGB uint16", "float32 with NaN"])
def test_stages_on_their_own_are_unchanged(name: str) -> None:
    before, after = images_of(name)
    found = compare(before, after, Settings.classic())
    score, difference = ssim_map(before, after)
    labels, regions = find_regions(difference, found.threshold)
    assert score == found.score
    np.testing.assert_array_equal(difference, found.difference)
    np.testing.assert_array_equal(labels, found.labels)
    assert regions.equals(found.regions[list(regions)])
