"""The dock on layers that lie differently in the viewer: what it says, what it offers, what it compares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from test_world import make_movie, make_shifted

ELSEWHERE = {"translate": (30, 20)}


@pytest.fixture(autouse=True)
def no_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_image_diff.widget.dock.warm_up", lambda progress: None)


def press_compare(dock: Any, qtbot: Any) -> None:
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def notice(dock: Any) -> str:
    return str(dock.panel.notice.text()).replace("\u200b", "")


def overlay_of(dock: Any) -> Any:
    return dock._comparison.resolved.get("overlay")


@pytest.fixture
def opened(open_dock: Any, images: Any) -> Any:
    """Return viewer and dock on two images, of which the second lies where its part of the first is."""
    viewer, dock = open_dock(show=True)
    viewer.layers["b"].data = images[1][30:, 20:]
    viewer.layers["b"].translate = ELSEWHERE["translate"]
    return viewer, dock


def test_the_way_is_offered_only_where_it_matters(open_dock: Any) -> None:
    viewer, dock = open_dock(show=True)
    box = dock.panel.index_box
    assert not box.isVisible()
    assert notice(dock) == ""
    viewer.layers["b"].translate = (0, 5)
    assert box.isVisible()
    assert notice(dock) == "After resampled onto before: translate (0, 5) -> (0, 0); 97% of before overlaps."
    box.click()
    assert notice(dock) == "Compared by index, though they differ in place: translate (0, 5) -> (0, 0)."
    viewer.layers["a"].translate = (0, 5)
    assert not box.isVisible()
    assert notice(dock) == ""


def test_layers_are_compared_where_they_overlap(opened: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = opened
    press_compare(dock, qtbot)
    assert overlay_of(dock)["way"] == "resampled"
    # Of three changes one lies outside the overlap
    expected = {(50, 100), (80, 20)}
    corners = dock._comparison.regions[["min_row", "min_col"]].to_numpy()
    assert {min(expected, key=lambda place: np.abs(corner - place).max()) for corner in corners} == expected
    result = viewer.layers["diff map"]
    np.testing.assert_array_equal(result.translate, viewer.layers["a"].translate)
    assert np.isnan(result.data[:29]).all()
    assert viewer.layers["b"].data.shape == (90, 140)


def test_the_other_way_is_one_click_away_and_the_dock_tells_of_it(opened: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = opened
    viewer.layers["b"].data = images[1]
    press_compare(dock, qtbot)
    dock.panel.index_box.click()
    assert "compared where the two overlap. Press Compare" in notice(dock)
    press_compare(dock, qtbot)
    assert overlay_of(dock)["way"] == "by index"
    assert len(dock._comparison.regions) == 3
    assert "Press Compare" not in notice(dock)
    dock.panel.index_box.click()
    assert "compared by index. Press Compare" in notice(dock)
    viewer.layers["b"].translate = (0, 0)
    assert "compared by index. Press Compare" in notice(dock)
    press_compare(dock, qtbot)
    assert overlay_of(dock) is None
    assert notice(dock) == ""


def test_a_layer_that_has_moved_since_is_told_of(opened: Any, qtbot: Any) -> None:
    viewer, dock = opened
    press_compare(dock, qtbot)
    assert "moved" not in notice(dock)
    viewer.layers["b"].translate = (31, 20)
    assert "One of the two layers has moved. Press Compare" in notice(dock)
    press_compare(dock, qtbot)
    assert "moved" not in notice(dock)


def test_no_overlap_stands_in_the_way_until_by_index_is_chosen(opened: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = opened
    viewer.layers["b"].data = images[1]
    viewer.layers["b"].translate = (0, 500)
    assert "do not overlap" in notice(dock)
    assert not dock.panel.compare_button.isEnabled()
    dock.panel.index_box.click()
    assert dock.panel.compare_button.isEnabled()
    press_compare(dock, qtbot)
    assert len(dock._comparison.regions) == 3


def test_what_is_on_the_screen_is_followed_where_it_lies(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    movie = make_movie(3)
    before = viewer.add_image(movie, name="before")
    after = viewer.add_image(movie[:, 5:], name="after", translate=(0, 5, 0))
    dock.panel.follow_box.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
    assert dock._comparison.verdict == "no difference beyond noise"
    assert np.isnan(viewer.layers["diff map"].data[:5]).all()
    assert overlay_of(dock)["way"] == "resampled"
    after.translate = (0, 0, 0)
    qtbot.waitUntil(lambda: overlay_of(dock) is None or "55 x 70" in notice(dock), timeout=20_000)
    after.data = movie
    after.translate = (0, 500, 0)
    qtbot.waitUntil(lambda: "do not overlap" in notice(dock), timeout=20_000)
    dock.panel.index_box.click()
    qtbot.waitUntil(lambda: not dock.running and "do not overlap" not in notice(dock), timeout=20_000)
    assert overlay_of(dock)["way"] == "by index"
    assert dock._comparison.verdict == "identical"
    before.translate = (0, 500, 0)
    qtbot.waitUntil(lambda: overlay_of(dock) is None, timeout=20_000)


def test_after_is_laid_on_before_from_where_it_lies(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    one, other = make_shifted()
    before = viewer.add_image(one, name="before", scale=(0.5, 0.5))
    after = viewer.add_image(other, name="after", scale=(0.5, 0.5), translate=(30, -20))
    press_compare(dock, qtbot)
    dock.panel.align_button.click()
    there = np.subtract((100, 100), (62.4, -43.3))
    np.testing.assert_allclose(after.data_to_world(there), before.data_to_world((100, 100)), atol=0.05)
    assert "Press Compare" not in notice(dock)
    shift = dock._comparison.resolved["alignment"]["shift"]
    press_compare(dock, qtbot)
    assert dock._comparison.resolved["alignment"]["shift"] == shift
    dock.panel.align_button.click()
    np.testing.assert_array_equal(after.affine.affine_matrix, np.eye(3))


def test_volumes_are_compared_where_they_lie(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    del viewer.layers[:]
    volume = np.random.default_rng(0).integers(90, 110, (14, 60, 70)).astype(np.uint8)
    changed = volume.copy()
    changed[6:11, 20:40, 20:40] = 250
    viewer.add_image(volume, name="before")
    viewer.add_image(changed[2:, 5:], name="after", translate=(2, 5, 0))
    dock.panel.form.fields["spatial_ndim"].value = 3
    press_compare(dock, qtbot)
    regions = dock._comparison.regions
    assert len(regions) == 1
    assert regions.loc[0, ["min_plane", "min_row", "min_col"]].tolist() == pytest.approx([6, 20, 20], abs=1)
    assert np.isnan(viewer.layers["diff map"].data[:2]).all()


def test_the_table_has_areas_and_positions_in_the_unit_of_the_layer(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    for layer in viewer.layers:
        layer.scale, layer.units = (0.5, 0.5), ("um", "um")
    press_compare(dock, qtbot)
    model = dock.panel.table.model()
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]
    assert {"Area", "Area (µm²)", "Row (µm)", "Column (µm)"} < set(heads)
    assert heads.index("Area (µm²)") == heads.index("Area") + 1
    # What all rows have is in no row
    assert not {"unit", "Plane (µm)"} & set(heads)
    area, physical = (float(model.index(0, heads.index(name)).data()) for name in ("Area", "Area (µm²)"))
    assert physical == pytest.approx(area / 4, rel=1e-3)
    dock.panel.filter.setText(f"area (µm²) > {physical - 1}, physical_area < {physical + 1}")
    assert dock.panel.table.label == 0
    assert dock.panel.table.count == 1
    assert notice(dock) == ""


def test_another_scale_is_said(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    press_compare(dock, qtbot)
    for layer in viewer.layers:
        layer.scale = (0.5, 0.5)
    assert notice(dock) == "'a' lies elsewhere now. Press Compare for the areas and positions that it has there."
    press_compare(dock, qtbot)
    assert notice(dock) == ""
    assert dock._comparison.regions["physical_area"].tolist() == (dock._comparison.regions["area"] / 4).tolist()
