"""`Settings.classic` against the two recipes themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recipe import run_recipe

from napari_image_diff import Comparison, Settings, compare

# Real pairs that are not part of this repository; IMAGE_DIFF_DATA names another place
DATA = Path(os.environ.get("IMAGE_DIFF_DATA", Path(__file__).parents[2] / "shared" / "data"))


def boxes_of(comparison: Comparison) -> list[tuple[int, int, int, int]]:
    """Return the regions' boxes as x, y, width, height."""
    table = comparison.regions
    return [
        (col, row, end_col - col, end_row - row)
        for row, col, end_row, end_col in table[["min_row", "min_col", "max_row", "max_col"]].values.tolist()
    ]


def random_pair(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a smooth or noisy gray image and the same with rectangles, discs, lines, holes and noise."""
    height, width = (int(side) for side in rng.integers(16, 160, 2))
    before = rng.integers(0, 256, (height, width)).astype(np.float32)
    before = cv2.GaussianBlur(before, (0, 0), float(rng.uniform(0.3, 6)))
    before = cv2.normalize(before, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    after = before.copy()
    for _ in range(rng.integers(1, 9)):
        x, y, radius = (int(value) for value in (rng.integers(width), rng.integers(height), rng.integers(1, 40)))
        gray, thickness = int(rng.integers(256)), int(rng.choice([-1, 1, 2, 4]))
        shape = rng.integers(3)
        if shape == 0:
            cv2.circle(after, (x, y), radius, gray, thickness)
        elif shape == 1:
            cv2.rectangle(after, (x, y), (x + radius, y + 2 * radius), gray, thickness)
        else:
            cv2.line(after, (x, y), (int(rng.integers(width)), int(rng.integers(height))), gray, abs(thickness))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(0.5, 10), after.shape)
        after = np.clip(after + noise, 0, 255).astype(np.uint8)
    return before, after


@pytest.mark.parametrize("min_area", [40, -1], ids=["stackoverflow", "pyimagesearch"])
@pytest.mark.parametrize("seed", range(250))
def test_random_pairs_give_what_the_recipe_gives(seed: int, min_area: float) -> None:
    before, after = random_pair(np.random.default_rng(seed))
    expected = run_recipe(before, after, min_area)
    found = compare(before, after, Settings.classic(min_area=min_area))
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    assert found.resolved["otsu_level"] == expected.level
    np.testing.assert_array_equal(found.difference > found.threshold, expected.mask)
    assert boxes_of(found) == expected.boxes
    assert found.regions["contour_area"].tolist() == expected.areas
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.labels > 0, expected.filled)


@pytest.mark.parametrize("seed", range(20))
def test_sixteen_bits_give_what_the_recipe_gives(seed: int) -> None:
    before, after = (image.astype(np.uint16) * 16 for image in random_pair(np.random.default_rng(seed)))
    expected = run_recipe(before, after, data_range=4095)
    found = compare(before, after, Settings.classic(data_range=4095))
    assert found.score == pytest.approx(expected.score, abs=1e-9)
    assert found.resolved["otsu_level"] == expected.level
    np.testing.assert_array_equal(found.labels, expected.labels)


@pytest.fixture(params=["01", "02", "03"])
def tutorial(request: pytest.FixtureRequest) -> tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, Any]]:
    folder = DATA / "tutorial"
    if not folder.exists():
        pytest.skip(
            "the tutorial's pairs are not part of this repository; IMAGE_DIFF_DATA names the folder that has them"
        )
    before, after = (
        cv2.imread(str(folder / f"{kind}_{request.param}.png"), cv2.IMREAD_UNCHANGED)
        for kind in ("original", "modified")
    )
    expected = json.loads((folder / "classic_expected.json").read_text())[f"pair_{request.param}"]
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(before, codes[before.shape[2]]), cv2.cvtColor(after, codes[after.shape[2]]), expected


def test_tutorial_pairs_give_the_published_boxes_and_areas(
    tutorial: tuple[NDArray[np.uint8], NDArray[np.uint8], dict[str, Any]],
) -> None:
    before, after, expected = tutorial
    found = compare(before, after, Settings.classic(min_area=-1))
    assert found.score == pytest.approx(expected["score"], abs=1e-9)
    assert found.resolved["otsu_level"] == expected["otsu_level"]
    assert int((found.difference > found.threshold).sum()) == expected["mask_pixels"]
    published = [(r["x"], r["y"], r["w"], r["h"], r["contour_area"]) for r in reversed(expected["regions"])]
    ours = [(*box, area) for box, area in zip(boxes_of(found), found.regions["contour_area"], strict=True)]
    assert ours == published
    over_40 = compare(before, after, Settings.classic())
    assert boxes_of(over_40) == [box[:4] for box in published if box[4] > 40]
