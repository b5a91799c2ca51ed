"""Areas and positions of regions in the world: held against scikit-image, and against where napari says they are."""

from __future__ import annotations

import csv
import io
from typing import Any

import dask.array as da
import numpy as np
import pytest
from made import scene
from napari.components import ViewerModel
from skimage import measure

from napari_image_diff import add_comparison, compare
from napari_image_diff.records import to_csv

TURN = np.deg2rad(20)
PLACES: list[dict[str, Any]] = [
    {"scale": (0.325, 0.325), "units": "um"},
    {"scale": (2, 3), "translate": (1000, -40)},
    {"scale": (-0.5, 0.5), "rotate": 30, "units": "nm"},
    {"shear": [0.3], "scale": (1, 2), "units": "mm"},
    {"affine": [[np.cos(TURN), -np.sin(TURN), 5], [np.sin(TURN), np.cos(TURN), 7], [0, 0, 1]]},
]


def make_pair(*leading: int) -> tuple[Any, Any]:
    """Return two images with noise, of which the second has two squares; of stacks all frames differ."""
    rng = np.random.default_rng(4)
    before = scene(5, 96) + rng.normal(0, 1, (*leading, 96, 96))
    after = before + rng.normal(0, 1, before.shape)
    after[..., 12:30, 20:44] += 70
    after[..., 60:75, 50:61] -= 70
    return before.astype(np.float32), after.astype(np.float32)


def show(pair: tuple[Any, Any], **place: Any) -> tuple[Any, Any]:
    viewer = ViewerModel()
    layers = [viewer.add_image(data, name=name, **place) for name, data in zip("ab", pair, strict=True)]
    return viewer, layers


def hold_positions(table: Any, layer: Any) -> None:
    """Hold positions against napari's own transform of the centroids."""
    axes = [name for name in ("plane", "row", "col") if f"centroid_{name}" in table]
    for _, row in table.iterrows():
        centre = [row[f"centroid_{axis}"] for axis in axes]
        world = layer.data_to_world((*(0,) * (layer.ndim - len(axes)), *centre))[-len(axes) :]
        np.testing.assert_allclose([row[f"physical_{axis}"] for axis in axes], world, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: " ".join(place))
def test_positions_are_where_napari_shows_them(place: dict[str, Any]) -> None:
    viewer, layers = show(make_pair(), **place)
    table = add_comparison(viewer, *layers).regions
    assert len(table) == 2
    hold_positions(table, layers[0])
    pixel = np.linalg.det(layers[0]._transforms[1:].simplified.linear_matrix)
    np.testing.assert_allclose(table["physical_area"], table["area"] * abs(pixel), rtol=1e-12)
    assert set(table["unit"]) == {{"um": "µm", "nm": "nm", "mm": "mm"}.get(place.get("units", ""), "")}


def test_areas_are_those_of_scikit_image() -> None:
    viewer, layers = show(make_pair(), scale=(0.5, 0.2), units="um")
    found = add_comparison(viewer, *layers)
    measured = measure.regionprops(found.labels, spacing=(0.5, 0.2))
    np.testing.assert_allclose(found.regions["physical_area"], [each.area for each in measured])
    np.testing.assert_allclose(
        found.regions[["physical_row", "physical_col"]], [each.centroid for each in measured], atol=1e-9
    )


def test_volumes_have_volumes() -> None:
    before, after = make_pair(7)
    viewer, layers = show((before, after), scale=(2, 0.5, 0.2), translate=(10, 20, 30), units="um")
    found = add_comparison(viewer, *layers, spatial_ndim=3)
    measured = measure.regionprops(found.labels, spacing=(2, 0.5, 0.2))
    np.testing.assert_allclose(found.regions["physical_area"], [each.area for each in measured])
    hold_positions(found.regions, layers[0])


def test_units_that_differ_are_those_of_the_rows() -> None:
    viewer, layers = show(make_pair(7), scale=(1, 500, 0.5), units=("s", "nm", "um"))
    table = add_comparison(viewer, *layers).regions
    assert set(table["unit"]) == {"nm"}
    np.testing.assert_allclose(table["physical_area"], table["area"] * 500 * 500)
    np.testing.assert_allclose(table["physical_col"], table["centroid_col"] * 500)


def test_frames_have_them_too_and_another_cut_keeps_them() -> None:
    viewer, layers = show(make_pair(3), scale=(5, 0.25, 0.25), translate=(9, 1, 2), units=("s", "um", "um"))
    found = add_comparison(viewer, *layers)
    assert len(found.regions) == 6
    for each in (found, found.rethreshold(sensitivity=2), *found.frames):
        np.testing.assert_allclose(each.regions["physical_area"], each.regions["area"] / 16)
        np.testing.assert_allclose(each.regions["physical_row"], each.regions["centroid_row"] / 4 + 1)
    assert found.resolved["world"] == {"matrix": [[0.25, 0, 1], [0, 0.25, 2], [0, 0, 1]], "unit": "µm"}


def test_in_chunks_they_are_the_same() -> None:
    pair = make_pair()
    place = {"scale": (0.325, 0.65), "units": "um"}
    viewer, layers = show(pair, **place)
    lazy_viewer, lazy_layers = show((da.from_array(pair[0], 40), da.from_array(pair[1], 40)), **place)
    columns = ["physical_area", "physical_row", "physical_col", "unit"]
    expected = add_comparison(viewer, *layers).regions[columns]
    found = add_comparison(lazy_viewer, *lazy_layers).regions[columns]
    assert found.values.tolist() == expected.values.tolist()


@pytest.mark.parametrize("scale", [0.01, 1e-6])
def test_a_place_far_away_is_one_too(scale: float) -> None:
    viewer, layers = show(make_pair(), scale=(scale, scale), translate=(5.6e6, -4e5), units="m")
    table = add_comparison(viewer, *layers).regions
    np.testing.assert_allclose(table["physical_area"], table["area"] * scale**2, rtol=1e-2)


def test_pixels_have_none() -> None:
    viewer, layers = show(make_pair())
    found = add_comparison(viewer, *layers)
    assert not [name for name in found.regions if name.startswith("physical")]
    assert "world" not in found.resolved


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")
def test_tilted_planes_have_none() -> None:
    viewer, layers = show(make_pair(4), rotate=(30, 0, 0), scale=(1, 0.5, 0.5))
    assert layers[0].rotate[1:, 0].any()
    found = add_comparison(viewer, *layers, by_index=True)
    assert "physical_area" not in found.regions


def test_no_change_has_the_columns() -> None:
    before, _ = make_pair()
    viewer, layers = show((before, before.copy()), scale=(0.5, 0.5))
    table = add_comparison(viewer, *layers).regions
    assert len(table) == 0
    assert table["physical_area"].dtype == float


def test_features_and_exports_have_them() -> None:
    viewer, layers = show(make_pair(), scale=(0.5, 0.5), units="um")
    found = add_comparison(viewer, *layers)
    assert (
        viewer.layers["filled mask"].features["physical_area"][1:].tolist() == found.regions["physical_area"].tolist()
    )
    assert viewer.layers["bounding boxes"].features["unit"].tolist() == ["µm", "µm"]
    rows = list(csv.DictReader(io.StringIO(to_csv(found.region_columns).decode("utf-8-sig"))))
    assert [float(row["physical_area"]) for row in rows] == found.regions["physical_area"].tolist()
    assert {row["unit"] for row in rows} == {"µm"}


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (np.eye(3), "give a matrix and a unit"),
        ((np.eye(3), 1), "give a matrix and a unit"),
        ((np.eye(4), "um"), r"shape \(4, 4\), or other numbers in its last row; give an affine matrix \(3, 3\)"),
        ((np.diag([1, 0, 1]), "um"), "several pixels to one place"),
        (([[1, 0, np.nan], [0, 1, 0], [0, 0, 1]], "um"), "finite numbers"),
        (([[1, 2, 0], [2, 4, 0], [0, 0, 1]], "um"), "several pixels to one place"),
        (([[1, 0, 0], [0, 1, 0], [0, 1, 1]], "um"), "last row"),
        ((["a", "b"], "um"), "give a matrix and a unit"),
    ],
)
def test_what_is_no_world_is_refused(world: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        compare(*make_pair(), world=world)
