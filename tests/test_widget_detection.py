"""What a person does with detection in the dock: presets, sensitivity, evidence, what is ignored, alignment."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import choose_preset
from qtpy.QtCore import Qt
from qtpy.QtGui import QContextMenuEvent
from qtpy.QtWidgets import QApplication, QMenu

import napari_image_diff.comparison as engine
from napari_image_diff import Settings
from napari_image_diff.alignment import find_alignment


def press_compare(dock: Any, qtbot: Any) -> None:
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=20_000)


def record_of(viewer: Any) -> dict[str, Any]:
    return viewer.layers["diff map"].metadata["napari-image-diff"]


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


# ---------------------------------------------------------------- presets and sensitivity


def test_presets_set_all_settings_and_show_which_are_set(open_dock: Any) -> None:
    _, dock = open_dock()
    panel = dock.panel
    assert panel.presets.currentText() == "Detect"
    for name, settings in ("Classic", Settings.classic()), ("Wang 2004", Settings.wang2004()), ("Detect", Settings()):
        choose_preset(dock, name)
        assert panel.read_settings() == settings
        assert panel.presets.currentText() == name
    panel.form.fields["align"].value = "none"
    assert panel.presets.currentIndex() == -1
    assert panel.presets.placeholderText() == "Custom"
    panel.form.fields["align"].value = "translation"
    assert panel.presets.currentText() == "Detect"
    panel.controls.min_area.setValue(3)
    assert panel.presets.currentIndex() == -1


def test_a_result_of_a_script_shows_its_preset(compared: Any) -> None:
    from napari_image_diff import add_comparison

    viewer, dock = compared()
    add_comparison(viewer, viewer.layers["a"], viewer.layers["b"], Settings.wang2004())
    dock.reset_choices()
    assert dock.panel.presets.currentText() == "Wang 2004"


@pytest.fixture
def with_a_faint_one(open_dock: Any, qtbot: Any) -> Any:
    """Compare two images of which the second has something faint too."""
    viewer, dock = open_dock()
    viewer.layers["b"].data[20:40, 90:120] += 10
    press_compare(dock, qtbot)
    assert dock.panel.table.model().rowCount() == 4
    return viewer, dock


def test_sensitivity_is_live(with_a_faint_one: Any, qtbot: Any) -> None:
    viewer, dock = with_a_faint_one
    controls, rows = dock.panel.controls, dock.panel.table.model().rowCount
    assert controls.slider.value() == 0
    controls.slider.setValue(-1)
    assert controls.number.value() == 0.1
    qtbot.waitUntil(lambda: not dock.running)
    assert rows() == viewer.layers["filled mask"].data.max() == viewer.layers["bounding boxes"].nshapes == 3
    assert record_of(viewer)["settings"]["sensitivity"] == 0.1
    assert record_of(viewer)["threshold"] == pytest.approx(10)
    controls.number.setValue(1)
    assert controls.slider.value() == 0
    qtbot.waitUntil(lambda: not dock.running)
    assert rows() == 4


def test_boxes_are_hidden_while_sensitivity_is_dragged(with_a_faint_one: Any, qtbot: Any) -> None:
    viewer, dock = with_a_faint_one
    slider, boxes = dock.panel.controls.slider, viewer.layers["bounding boxes"]
    slider.setSliderDown(True)
    slider.setValue(-1)
    qtbot.waitUntil(lambda: not dock.running and viewer.layers["filled mask"].data.max() == 3)
    assert not boxes.visible
    assert boxes.nshapes == 4
    slider.setSliderDown(False)
    qtbot.waitUntil(lambda: not dock.running)
    assert boxes.visible
    assert boxes.nshapes == 3


def test_rules_of_the_threshold_and_back(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    rule, found = dock.panel.controls.rule, viewer.layers["filled mask"].data.copy()
    for word, title, words in ("Otsu", "1 - SSIM", "(Otsu)"), ("Number", "1 - SSIM", "(set)"):
        rule.setCurrentText(word)
        qtbot.waitUntil(lambda: not dock.running)
        assert dock.panel.controls._title.text() == title
        assert words in dock.panel.result.text()
    rule.setCurrentText("Auto")
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.controls._title.text() == "Sensitivity"
    np.testing.assert_array_equal(viewer.layers["filled mask"].data, found)
    assert len(viewer.layers) == 5


# ---------------------------------------------------------------- what came out


def noisy(seed: int, images: Any) -> np.ndarray:
    return np.clip(images[0] + np.random.default_rng(seed).normal(0, 2, images[0].shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("verdict", ["Identical.", "No difference beyond noise.", "Different."])
def test_the_verdict(open_dock: Any, qtbot: Any, images: Any, verdict: str) -> None:
    viewer, dock = open_dock()
    assert dock.panel.verdict.text() == ""
    if verdict == "Identical.":
        viewer.layers["b"].data = images[0].copy()
    elif verdict != "Different.":
        viewer.layers["a"].data, viewer.layers["b"].data = noisy(1, images), noisy(2, images)
    press_compare(dock, qtbot)
    assert dock.panel.verdict.text() == verdict
    assert record_of(viewer)["verdict"] == verdict[:-1].lower()


def test_the_table_tells_what_kind_and_why(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    model = dock.panel.table.model()
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(4)]
    assert heads == ["Label", "Verdict", "Kind", "Area"]
    assert model.data(model.index(1, 2)) == "added"
    assert "stands out" in model.data(model.index(1, 0), Qt.ItemDataRole.ToolTipRole)
    dock.panel.next_button.click()
    assert "Region 1: added" in viewer.status
    features = viewer.layers["filled mask"].features
    assert features["kind"].tolist()[1:] == ["added"] * 3
    assert pd.isna(features["kind"][0])


def test_a_moved_region_tells_where_it_went(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock()
    random = np.random.default_rng(1)
    ground = random.integers(60, 70, (200, 200), dtype=np.uint8)
    thing = random.integers(120, 250, (24, 24), dtype=np.uint8)
    for name, row in ("a", 40), ("b", 120):
        image = ground.copy()
        image[row : row + 24, 90:114] = thing
        viewer.layers[name].data = image
    press_compare(dock, qtbot)
    model = dock.panel.table.model()
    assert [model.data(model.index(row, 2)) for row in range(2)] == ["moved", "moved"]
    assert "80 rows" in model.data(model.index(0, 1), Qt.ItemDataRole.ToolTipRole)


# ---------------------------------------------------------------- evidence and what was forgiven


def test_evidence_is_shown_updated_and_taken_away(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    box = dock.panel.evidence_box
    selection = set(viewer.layers.selection)
    box.click()
    assert names(viewer) == ["a", "b", "diff map", "evidence", "filled mask", "bounding boxes"]
    layer = viewer.layers["evidence"]
    assert layer.contrast_limits == [0, 2]
    assert layer.data.max() > 1
    assert set(viewer.layers.selection) == selection
    shown = layer.data
    viewer.layers["b"].data[0:20, 100:140] = 250
    viewer.layers["a"].translate = (3, 4)
    press_compare(dock, qtbot)
    assert viewer.layers["evidence"] == layer
    assert layer.data is not shown
    assert layer.translate.tolist() == [3, 4]
    assert len(viewer.layers) == 6
    box.click()
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    box.click()
    viewer.layers.remove("evidence")
    assert not box.isChecked()


def test_evidence_is_there_only_where_it_was_measured(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    dock.panel.evidence_box.click()
    dock.panel.controls.rule.setCurrentText("Otsu")
    qtbot.waitUntil(lambda: not dock.running)
    assert "evidence" not in viewer.layers
    assert not dock.panel.evidence_box.isEnabled()
    assert not dock.panel.evidence_box.isChecked()


def test_what_was_forgiven_can_be_seen(open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compare, box = engine.compare, {"min_row": 3, "min_col": 5, "max_row": 9, "max_col": 15}
    viewer, dock = open_dock()
    found = {name: np.array([number]) for name, number in box.items()}
    monkeypatch.setattr(
        engine,
        "compare",
        lambda *args, **kwargs: dataclasses.replace(compare(*args, **kwargs), forgiven_columns=found),
    )
    assert not dock.panel.forgiven_box.isEnabled()
    press_compare(dock, qtbot)
    assert "1 explained by a local shift" in dock.panel.result.text()
    dock.panel.forgiven_box.click()
    layer = viewer.layers["forgiven"]
    assert layer.data[0].min(axis=0).tolist() == [2.5, 4.5]
    assert layer.data[0].max(axis=0).tolist() == [8.5, 14.5]
    assert viewer.layers["bounding boxes"].nshapes == 3
    dock.panel.forgiven_box.click()
    assert len(viewer.layers) == 5


# ---------------------------------------------------------------- what is ignored


def pick_ignored(dock: Any, text: str) -> None:
    assert dock.panel.pickers.ignore.findText(text) >= 0
    dock.panel.pickers.ignore.setCurrentText(text)


def first_is_left_out(dock: Any) -> bool:
    return dock._comparison.regions["min_row"].tolist()[0] > 40 and len(dock._comparison.regions) == 2


def test_labels_are_ignored(compared: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = compared()
    labels = np.zeros(images[0].shape, np.uint8)
    labels[5:35, 10:45] = 3
    viewer.add_labels(labels, name="mine")
    pick_ignored(dock, "mine")
    assert "Press Compare" in dock.panel.notice.text()
    press_compare(dock, qtbot)
    assert first_is_left_out(dock)
    assert dock.panel.notice.text() == ""
    assert f"{labels.astype(bool).sum():,} pixels not compared" in dock.panel.result.text()
    assert np.isnan(viewer.layers["diff map"].data[20, 20])
    viewer.layers["mine"].fill((0, 0), 1)
    assert "'mine' has other data now" in dock.panel.notice.text()
    viewer.layers.remove("mine")
    assert dock.panel.pickers.ignore.currentText() == "nothing"


def test_shapes_are_ignored_where_they_are_seen(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    for name in "ab":
        viewer.layers[name].scale = (0.5, 0.5)
    viewer.add_shapes([[[3, 6], [3, 25], [17, 25], [17, 6]]], shape_type="polygon", name="drawn")
    pick_ignored(dock, "drawn")
    press_compare(dock, qtbot)
    assert first_is_left_out(dock)


def test_only_what_is_inside_counts(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    viewer.add_shapes([[[45, 0], [45, 160], [120, 160], [120, 0]]], name="drawn")
    pick_ignored(dock, "outside drawn")
    press_compare(dock, qtbot)
    assert first_is_left_out(dock)


def test_masks_of_more_dimensions_and_our_own_results_are_not_offered(compared: Any, images: Any) -> None:
    viewer, dock = compared()
    viewer.add_labels(np.zeros((3, 9, 9), int), name="stack")
    box = dock.panel.pickers.ignore
    assert [box.itemText(index) for index in range(box.count())] == ["nothing"]


def test_a_region_is_ignored_from_now_on(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    pixels = viewer.layers["filled mask"].data == 1
    assert not dock.panel.ignore_button.isEnabled()
    dock.panel.next_button.click()
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert first_is_left_out(dock)
    assert dock.panel.pickers.ignore.currentText() == "ignore"
    np.testing.assert_array_equal(viewer.layers["ignore"].data != 0, pixels)
    dock.panel.next_button.click()
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(dock._comparison.regions) == 1
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes", "ignore"]
    viewer.layers["ignore"].undo()
    np.testing.assert_array_equal(viewer.layers["ignore"].data != 0, pixels)


def test_ignoring_adds_to_what_was_ignored_and_takes_nothing_away(compared: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = compared()
    mine = viewer.add_labels(np.zeros(images[0].shape, np.uint8), name="mine")
    mine.data[5:20, 10:45] = 7
    viewer.add_shapes([[[45, 95], [45, 125], [75, 125], [75, 95]]], name="drawn")
    pick_ignored(dock, "mine")
    dock.panel.next_button.click()
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert (mine.data[5:20, 10:45] == 7).all()
    assert mine.data[22, 25] == 1
    assert "ignore" not in viewer.layers
    pick_ignored(dock, "outside drawn")
    press_compare(dock, qtbot)
    assert len(dock._comparison.regions) == 1
    dock.panel.next_button.click()
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.pickers.ignore.currentText() == "ignore"
    assert viewer.layers["ignore"].data[0, 0]
    assert viewer.layers["drawn"].nshapes == 1
    assert not dock._comparison.changed


def test_shapes_that_were_ignored_stay_so_when_a_region_is_too(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    viewer.add_shapes([[[45, 95], [45, 125], [75, 125], [75, 95]]], name="drawn")
    pick_ignored(dock, "drawn")
    press_compare(dock, qtbot)
    first = viewer.layers["filled mask"].data == 1
    dock.panel.next_button.click()
    dock.panel.ignore_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    ignored = viewer.layers["ignore"].data != 0
    assert ignored[first].all()
    assert ignored[45:76, 95:126].all()
    assert ignored.sum() == first.sum() + 31 * 31
    assert len(dock._comparison.regions) == 1


def test_a_right_click_on_a_row_offers_to_ignore_it(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared(show=True)
    table = dock.panel.table
    where = table.visualRect(table.model().index(1, 1)).center()
    event = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, where, table.viewport().mapToGlobal(where))
    QApplication.sendEvent(table.viewport(), event)
    (menu,) = table.findChildren(QMenu)
    assert table.label == 2
    menu.actions()[0].trigger()
    menu.close()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock._comparison.regions["label"].tolist() == [1, 2]
    assert np.isnan(viewer.layers["diff map"].data[60, 110])


# ---------------------------------------------------------------- alignment and size


@pytest.fixture
def shifted() -> tuple[np.ndarray, np.ndarray]:
    """A scene, and the same 6 rows further down and 4 columns to the left, with something on it."""
    import cv2

    scene = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 255, (260, 330), dtype=np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    before, after = scene[20:220, 20:300].copy(), scene[14:214, 24:304].copy()
    after[80:110, 100:140] = 255
    return before, after


def matrix_of(pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return find_alignment(*pair, "translation", 255.0).matrix


def assert_on_before(viewer: Any, matrix: np.ndarray) -> None:
    for place in (0, 0), (0, 279), (199, 3), (77.5, 100.25):
        there = (matrix @ (*place, 1))[:2]
        world = viewer.layers["a"].data_to_world(place)
        np.testing.assert_allclose(viewer.layers["b"].data_to_world(there), world, atol=1e-6)


WHERE: list[dict[str, Any]] = [
    {},
    {"scale": (0.5, 2), "translate": (7, -3)},
    {"rotate": 30, "shear": [0.2], "affine": [[1, 0.1, 5], [0.2, 2, 6], [0, 0, 1]]},
]


@pytest.mark.parametrize("of_after", WHERE)
@pytest.mark.parametrize("of_before", WHERE)
def test_after_is_laid_on_before_and_put_back(
    open_dock: Any, qtbot: Any, shifted: Any, make_napari_viewer_proxy: Any, of_before: Any, of_after: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    viewer.add_image(shifted[0], name="a", **of_before)
    viewer.add_image(shifted[1], name="b", **of_after)
    _, dock = open_dock(viewer)
    button = dock.panel.align_button
    assert not button.isEnabled()
    # Where they do not lie alike, they hardly overlap
    by_index = of_before != of_after
    dock.panel.index_box.setChecked(by_index)
    press_compare(dock, qtbot)
    assert button.isEnabled()
    earlier = np.array(viewer.layers["b"].affine.affine_matrix)
    button.click()
    assert_on_before(viewer, matrix_of(shifted))
    assert dock.panel.notice.text().startswith("Compared by index, ") == by_index
    assert "Press Compare" not in dock.panel.notice.text()
    assert viewer.layers["b"].data is shifted[1]
    press_compare(dock, qtbot)
    assert record_of(viewer)["resolved"]["alignment"]["shift"] == pytest.approx((6, -4), abs=0.05)
    assert_on_before(viewer, matrix_of(shifted))
    assert button.text() == "Undo"
    button.click()
    np.testing.assert_array_equal(viewer.layers["b"].affine.affine_matrix, earlier)
    assert button.text() == "Align after layer"
    assert button.isEnabled()


def test_there_is_nothing_to_align_where_nothing_is_shifted(compared: Any) -> None:
    _, dock = compared()
    assert not dock.panel.align_button.isEnabled()
    assert "not needed" in dock.panel.align_button.toolTip()


def test_sizes_that_differ_are_compared_if_asked(open_dock: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = open_dock()
    viewer.layers["b"].data = images[1][:100]
    assert "sizes that differ" in dock.panel.notice.text()
    assert not dock.panel.compare_button.isEnabled()
    dock.panel.form.fields["size"].value = "pad"
    assert dock.panel.compare_button.isEnabled()
    press_compare(dock, qtbot)
    assert "only in before" in dock._comparison.regions["kind"].tolist()
    dock.panel.table.mark(int(dock._comparison.regions["label"].iloc[-1]))
    dock.ignore_region()
    qtbot.waitUntil(lambda: not dock.running)
    assert viewer.layers["ignore"].data.shape == images[0].shape


def test_a_mask_that_leaves_nothing_is_said_in_a_line(open_dock: Any, qtbot: Any, images: Any) -> None:
    viewer, dock = open_dock()
    viewer.add_shapes(name="empty", ndim=2)
    pick_ignored(dock, "outside empty")
    press_compare(dock, qtbot)
    assert "leave no pixel" in dock.panel.notice.text()
    assert "\n" not in dock.panel.notice.text()
