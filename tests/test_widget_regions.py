"""Going through the regions: the table, the canvas, and both together."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks
from napari.utils.key_bindings import KeyBinding
from qtpy.QtCore import Qt

from napari_image_diff.widget.table import RegionModel, RegionTable

WHITE, OURS = [1, 1, 1, 1], [0, 216 / 255, 1, 1]


def marked_row(dock: Any) -> int:
    rows = dock.panel.table.selectionModel().selectedRows()
    return rows[0].row() if rows else -1


def box_colors(viewer: Any) -> list[list[float]]:
    return viewer.layers["bounding boxes"].edge_color.round(3).tolist()


def white_boxes(viewer: Any) -> list[int]:
    return [row for row, color in enumerate(box_colors(viewer)) if color == WHITE]


def click_row(qtbot: Any, dock: Any, row: int) -> None:
    table = dock.panel.table
    where = table.visualRect(table.model().index(row, 1)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=where)


def click_canvas(viewer: Any, position: tuple[float, float], event_type: Any, *, drag: int = 0) -> None:
    real = viewer.__wrapped__
    event = event_type("mouse_press", position=position, pos=np.array((50, 50)), button=1)
    event.modifiers = ()
    mouse_press_callbacks(real, event)
    event.type, event.pos = "mouse_move", event.pos + drag
    mouse_move_callbacks(real, event)
    event.type = "mouse_release"
    mouse_release_callbacks(real, event)


def press(viewer: Any, key: str) -> None:
    viewer.__wrapped__.keymap[KeyBinding.from_str(key)](viewer.__wrapped__)


# ---------------------------------------------------------------- the table by itself


@pytest.fixture
def regions() -> pd.DataFrame:
    return pd.DataFrame({"label": [1, 2, 3], "area": [30, 10, 20], "extra": [0.123456, 12345.678, np.nan]})


def column_of(model: RegionModel, column: int) -> list[str]:
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def test_the_table_shows_every_column(qtbot: Any, regions: pd.DataFrame) -> None:
    model = RegionModel()
    model.show(regions)
    heads = [model.headerData(column, Qt.Orientation.Horizontal) for column in range(model.columnCount())]
    assert heads == ["Label", "Area", "extra"]
    assert column_of(model, 1) == ["30", "10", "20"]
    assert column_of(model, 2) == ["0.1235", "12345.7", ""]
    assert "Pixels" in model.headerData(1, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole)


def test_sorting_keeps_rows_together_and_the_marked_region_marked(qtbot: Any, regions: pd.DataFrame) -> None:
    table = RegionTable()
    qtbot.addWidget(table)
    table.show_regions(regions)
    table.mark(2)
    assert table.position == 1
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    assert column_of(table.model(), 0) == ["1", "3", "2"]
    assert (table.label, table.position, table.currentIndex().row()) == (2, 2, 2)
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    assert column_of(table.model(), 1) == ["10", "20", "30"]


def test_new_regions_are_sorted_as_the_last_ones(qtbot: Any, regions: pd.DataFrame) -> None:
    table = RegionTable()
    qtbot.addWidget(table)
    table.show_regions(regions)
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    table.show_regions(regions.assign(area=[1, 3, 2]))
    assert column_of(table.model(), 1) == ["3", "2", "1"]
    assert table.label == 0
    table.show_regions(None)
    assert table.model().rowCount() == table.model().columnCount() == 0


def test_next_and_previous_go_round_in_the_order_shown(qtbot: Any, regions: pd.DataFrame) -> None:
    table = RegionTable()
    qtbot.addWidget(table)
    picked: list[int] = []
    table.picked.connect(picked.append)
    table.step(1)
    assert picked == []
    table.show_regions(regions)
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    for by in 1, 1, 1, 1, -1, -1:
        table.step(by)
    assert picked == [2, 3, 1, 2, 1, 3]
    table.show_regions(regions)
    table.step(-1)
    assert picked[-1] == 1


def test_copy_is_what_a_spreadsheet_takes(qtbot: Any, regions: pd.DataFrame) -> None:
    table = RegionTable()
    qtbot.addWidget(table)
    table.show_regions(regions)
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    copied = pd.read_csv(io.StringIO(table.as_text()), sep="\t")
    pd.testing.assert_frame_equal(copied, regions.iloc[[1, 2, 0]].reset_index(drop=True))


def test_many_regions_are_no_burden(qtbot: Any) -> None:
    count = 200_000
    table = RegionTable()
    qtbot.addWidget(table)
    table.show_regions(pd.DataFrame({"label": np.arange(1, count + 1), "area": np.arange(count)[::-1]}))
    table.sortByColumn(1, Qt.SortOrder.AscendingOrder)
    table.step(1)
    assert table.label == count


# ---------------------------------------------------------------- together with the canvas


def test_a_click_goes_to_the_region_and_marks_it(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared(show=True)
    selection = set(viewer.layers.selection)
    click_row(qtbot, dock, 1)
    region = viewer.layers["bounding boxes"].features.iloc[1]
    middle = [(region.min_row + region.max_row - 1) / 2, (region.min_col + region.max_col - 1) / 2]
    assert viewer.scene.camera.center[-2:] == pytest.approx(middle)
    assert white_boxes(viewer) == [1]
    assert viewer.layers["filled mask"].selected_label == 2
    assert dock.panel.position.text() == "2 of 3, 3 open"
    assert marked_row(dock) == 1
    assert set(viewer.layers.selection) == selection
    click_row(qtbot, dock, 2)
    assert white_boxes(viewer) == [2]
    viewer.scene.camera.center = (0, 0, 0)
    click_row(qtbot, dock, 2)
    assert viewer.scene.camera.center != (0, 0, 0)


def test_the_region_fills_a_third_of_the_view(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared(show=True)
    viewer.layers["bounding boxes"].scale = viewer.layers["filled mask"].scale = (0.5, 0.5)
    click_row(qtbot, dock, 2)
    region = viewer.layers["bounding boxes"].features.iloc[2]
    height, width = viewer.canvas.size
    zoom = viewer.scene.camera.zoom
    shown = max((region.max_row - region.min_row) * zoom / height, (region.max_col - region.min_col) * zoom / width)
    assert 0.1 < shown < 0.8


def test_arrow_keys_in_the_table_go_to_regions(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared(show=True)
    click_row(qtbot, dock, 0)
    qtbot.keyClick(dock.panel.table, Qt.Key.Key_Down)
    assert white_boxes(viewer) == [1]
    assert dock.panel.position.text() == "2 of 3, 3 open"


def test_next_and_previous_by_button_and_by_key(compared: Any) -> None:
    viewer, dock = compared(show=True)
    dock.panel.next_button.click()
    press(viewer, "n")
    press(viewer, "n")
    assert dock.panel.position.text() == "3 of 3, 3 open"
    press(viewer, "n")
    assert dock.panel.position.text() == "1 of 3, 3 open"
    press(viewer, "Shift-N")
    dock.panel.previous_button.click()
    assert dock.panel.position.text() == "2 of 3, 3 open"


def test_keys_pressed_in_the_table_reach_the_viewer(compared: Any, qtbot: Any) -> None:
    _, dock = compared(show=True)
    click_row(qtbot, dock, 0)
    qtbot.keyClick(dock.panel.table, Qt.Key.Key_N)
    assert dock.panel.position.text() == "2 of 3, 3 open"


def test_a_key_of_the_users_stays_theirs(open_dock: Any) -> None:
    pressed: list[str] = []
    viewer, dock = open_dock(show=True)
    dock.hide()
    viewer.bind_key("n", lambda viewer: pressed.append("n"))
    dock.show()
    press(viewer, "n")
    dock.hide()
    press(viewer, "n")
    assert pressed == ["n", "n"]


def test_picking_in_the_canvas_marks_the_row(compared: Any, MouseEvent: Any) -> None:
    viewer, dock = compared(show=True)
    camera = viewer.scene.camera.center, viewer.scene.camera.zoom
    click_canvas(viewer, (60, 110), MouseEvent)
    assert marked_row(dock) == 1
    assert white_boxes(viewer) == [1]
    click_canvas(viewer, (95, 35), MouseEvent, drag=2)
    assert marked_row(dock) == 2
    assert (viewer.scene.camera.center, viewer.scene.camera.zoom) == camera
    click_canvas(viewer, (60, 110), MouseEvent, drag=30)
    assert marked_row(dock) == 2
    click_canvas(viewer, (0, 0), MouseEvent)
    click_canvas(viewer, (-50, 9999), MouseEvent)
    assert marked_row(dock) == 2


def test_picking_works_where_the_images_lie(open_dock: Any, qtbot: Any, MouseEvent: Any) -> None:
    viewer, dock = open_dock(show=True)
    for name in "ab":
        viewer.layers[name].scale = (0.5, 2)
        viewer.layers[name].translate = (100, -40)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    click_canvas(viewer, tuple(viewer.layers["a"].data_to_world((60, 110))), MouseEvent)
    assert marked_row(dock) == 1


def test_a_click_inside_a_box_is_enough(compared: Any, qtbot: Any, MouseEvent: Any) -> None:
    viewer, dock = compared(show=True)
    viewer.layers["b"].data[80:110, 20:50] = viewer.layers["a"].data[80:110, 20:50]
    for offset in range(30):
        viewer.layers["b"].data[80 + offset, 20 + offset : 23 + offset] = 250
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)
    last = dock.panel.table.model().rowCount() - 1
    assert not viewer.layers["filled mask"].data[82, 46]
    click_canvas(viewer, (82, 46), MouseEvent)
    assert marked_row(dock) == last


def test_layers_that_are_hidden_are_not_picked(compared: Any, MouseEvent: Any) -> None:
    viewer, dock = compared(show=True)
    viewer.layers["filled mask"].visible = viewer.layers["bounding boxes"].visible = False
    click_canvas(viewer, (60, 110), MouseEvent)
    assert marked_row(dock) == -1


def test_a_new_cut_takes_the_mark_away(compared: Any, qtbot: Any) -> None:
    viewer, dock = compared()
    dock.panel.next_button.click()
    dock.panel.controls.min_area.setValue(0)
    qtbot.waitUntil(lambda: not dock.running)
    assert white_boxes(viewer) == []
    assert dock.panel.position.text() == "3 regions, 3 open"
    assert marked_row(dock) == -1


def test_a_box_without_a_drawing_is_gone_to_all_the_same(compared: Any) -> None:
    viewer, dock = compared()
    viewer.layers.remove("bounding boxes")
    dock.panel.next_button.click()
    assert dock.panel.position.text() == "1 of 3, 3 open"
    assert viewer.layers["filled mask"].selected_label == 1


def test_regions_are_found_in_a_viewer_with_more_dimensions(compared: Any) -> None:
    viewer, dock = compared()
    viewer.add_image(np.zeros((4, 120, 160)), name="stack")
    dock.panel.next_button.click()
    first = viewer.scene.camera.center
    viewer.dims.ndisplay = 3
    dock.panel.next_button.click()
    assert viewer.scene.camera.center != first
