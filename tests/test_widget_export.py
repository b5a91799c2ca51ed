"""Export in the dock: what is shown becomes files, whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask.array as da
import imageio.v3 as iio
import jsonschema
import numpy as np
import pytest
import zarr
from napari.settings import NapariSettings
from napari.utils.theme import get_theme
from PIL import Image
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_image_diff import Comparison, add_comparison, figures, folders, report, tiles, zarr_files
from napari_image_diff.lettering import Theme
from napari_image_diff.mixing import Look, Shades
from napari_image_diff.widget import ComparisonWidget
from napari_image_diff.widget.exporting import EXPORTS, find_place
from napari_image_diff.widget.running import Run

REPORT, PAGE, TABLE, RECORD, REVIEW, PICTURES, MAPS, CHUNKS, VIEW, CROPS, BLINK = (export.title for export in EXPORTS)
FOLDERS = {REPORT: "", PICTURES: ".png", MAPS: ".tif", CROPS: ""}
SINGLE = {PAGE: "report.html", TABLE: "regions.csv", RECORD: "report.json"}
SCHEMA = json.loads(Path(__file__).parents[1].joinpath("docs", "report.schema.json").read_bytes())
FULL = OSError(28, "No space left on device")
FORBIDDEN = PermissionError(13, "Permission denied")


class User:
    """Answers the dialogs, and notes what they asked."""

    def __init__(self) -> None:
        self.place: Path | None = None
        self.replaces = False
        self.starts: list[Path] = []
        self.questions: list[str] = []

    def choose(self, parent: Any, title: str, start: str, kinds: str, options: Any = None) -> tuple[str, str]:
        self.starts.append(Path(start))
        return ("" if self.place is None else str(self.place)), kinds

    def answer(self, parent: Any, title: str, question: str, answers: Any, defaultButton: Any) -> Any:
        assert defaultButton == QMessageBox.StandardButton.No
        self.questions.append(question)
        return QMessageBox.StandardButton.Yes if self.replaces else QMessageBox.StandardButton.No


class Door:
    """Holds up what makes files until it is opened."""

    def __init__(self, make_files: Callable[..., Any]) -> None:
        self._make_files = make_files
        self.reached, self.opened = threading.Event(), threading.Event()

    def make_files(self, *args: Any) -> Any:
        self.reached.set()
        assert self.opened.wait(20)
        return self._make_files(*args)


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    user = User()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", user.choose)
    monkeypatch.setattr(QMessageBox, "question", user.answer)
    monkeypatch.setattr(NapariSettings, "save", lambda *args, **kwargs: None)
    return user


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Door:
    door = Door(report.make_files)
    monkeypatch.setattr(report, "make_files", door.make_files)
    return door


@pytest.fixture
def export(user: User, qtbot: Any) -> Callable[..., str]:
    """Click an entry of the menu, and return what the dock says in the end."""

    def export(dock: Any, title: str, place: Path | None, *, wait: bool = True) -> str:
        user.place = place
        assert dock.panel.export_button.isEnabled()
        action_of(dock, title).trigger()
        qtbot.waitUntil(lambda: not wait or not dock.exporter.running, timeout=20_000)
        return said(dock)

    return export


def action_of(dock: Any, title: str) -> Any:
    return next(action for action in dock.panel.export_button.menu().actions() if action.text() == title)


def said(dock: Any) -> str:
    return str(dock.panel.notice.text()).replace("\u200b", "")


def files_of(comparison: Comparison) -> dict[str, bytes]:
    images = {role: {"name": name, "bytes": None, "sha256": None} for role, name in (("before", "a"), ("after", "b"))}
    return report.make_files(comparison, report.make_report(comparison, images))


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def show(
    open_dock: Any, qtbot: Any, before: Any, after: Any, spatial_ndim: int = 2, *, window: bool = False, **place: Any
) -> Any:
    """Open a dock and compare two arrays in it."""
    viewer, dock = open_dock(show=window)
    del viewer.layers[:]
    for name, array in ("a", before), ("b", after):
        viewer.add_image(array, name=name, contrast_limits=(0, 255), **place)
    dock.panel.form.fields["spatial_ndim"].value = spatial_ndim
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=30_000)
    return viewer, dock


# ---------------------------------------------------------------- what is written


def test_the_report_is_that_of_the_command_line(compared: Any, export: Any, tmp_path: Path) -> None:
    _, dock = compared()
    assert export(dock, REPORT, tmp_path / "new" / "report") == f"Saved {tmp_path / 'new' / 'report'}."
    found = read(tmp_path / "new" / "report")
    assert found == files_of(dock._comparison)
    assert len(found) == 11
    record = json.loads(found["report.json"])
    jsonschema.validate(record, SCHEMA)
    assert record["images"]["before"] == {"name": "a", "bytes": None, "sha256": None}


@pytest.mark.parametrize("title", [*SINGLE, PICTURES, MAPS])
def test_each_part_is_that_of_the_report(title: str, compared: Any, export: Any, tmp_path: Path) -> None:
    _, dock = compared()
    expected = files_of(dock._comparison)
    place = tmp_path / SINGLE.get(title, "folder")
    assert export(dock, title, place) == f"Saved {place}."
    assert list(tmp_path.iterdir()) == [place]
    if title in SINGLE:
        assert place.read_bytes() == expected[SINGLE[title]]
    else:
        kinds = (FOLDERS[title], ".json")
        assert read(place) == {name: text for name, text in expected.items() if name.endswith(kinds)}
        assert len(read(place)) == {PICTURES: 6, MAPS: 3}[title]


@pytest.mark.parametrize("spatial_ndim", [2, 3])
def test_stacks_and_volumes(
    spatial_ndim: int, open_dock: Any, qtbot: Any, images: Any, export: Any, tmp_path: Path
) -> None:
    before = np.stack([images[0]] * 12)
    after = before.copy()
    after[4:8] = images[1]
    _, dock = show(open_dock, qtbot, before, after, spatial_ndim)
    assert dock._comparison.settings.spatial_ndim == spatial_ndim
    export(dock, REPORT, tmp_path / "report")
    assert read(tmp_path / "report") == files_of(dock._comparison)
    export(dock, CHUNKS, tmp_path / "maps")
    np.testing.assert_array_equal(
        zarr.open(tmp_path / "maps.zarr" / "labels" / "regions" / "0"), dock._comparison.labels
    )


@pytest.fixture
def in_parts(open_dock: Any, qtbot: Any, images: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return viewer and dock with a comparison of images in chunks."""
    monkeypatch.setattr(tiles, "BOX_PIXELS", 1)
    lazy = (da.from_array(image, chunks=(40, 40), name=False) for image in images)
    return show(open_dock, qtbot, *lazy, scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))


@pytest.mark.parametrize(("title", "inside"), [(CHUNKS, "."), (REPORT, "result.zarr")])
def test_images_in_chunks(title: str, inside: str, in_parts: Any, export: Any, tmp_path: Path) -> None:
    _, dock = in_parts
    place = tmp_path / "result.zarr"
    assert export(dock, title, place) == f"Saved {place}."
    group = zarr.open_group(place / inside, mode="r")
    np.testing.assert_array_equal(group["0"], np.asarray(dock._comparison.difference))
    image = group.attrs["ome"]["multiscales"][0]
    assert [axis["unit"] for axis in image["axes"]] == ["micrometer"] * 2
    scale, translation = image["datasets"][0]["coordinateTransformations"]
    assert (scale["scale"], translation["translation"]) == ([0.5, 0.25], [3, 4])
    if title == REPORT:
        assert read(place) == files_of(dock._comparison)


def test_what_needs_all_in_memory_says_so(in_parts: Any, images: Any) -> None:
    viewer, dock = in_parts
    disabled = [
        action.text() for action in dock.panel.export_button.menu().actions()[: len(EXPORTS)] if not action.isEnabled()
    ]
    assert disabled == [PAGE, PICTURES, MAPS]
    assert "Take the maps in chunks" in action_of(dock, PAGE).toolTip()
    assert dock.panel.export_button.menu().toolTipsVisible()
    for name, image in zip("ab", images, strict=True):
        viewer.layers[name].data = image
    add_comparison(viewer, viewer.layers["a"], viewer.layers["b"])
    dock._sync()
    assert action_of(dock, PAGE).isEnabled()
    assert "opens anywhere" in action_of(dock, PAGE).toolTip()


def test_the_table_is_that_of_the_threshold_now(compared: Any, export: Any, qtbot: Any, tmp_path: Path) -> None:
    _, dock = compared()
    earlier = files_of(dock._comparison)["regions.csv"]
    dock.panel.controls.min_area.setValue(500)
    qtbot.waitUntil(lambda: not dock.running)
    dock.panel.table.sortByColumn(3, dock.panel.table.horizontalHeader().sortIndicatorOrder())
    export(dock, TABLE, tmp_path / "regions.csv")
    found = (tmp_path / "regions.csv").read_bytes()
    assert found == files_of(dock._comparison)["regions.csv"]
    assert found.count(b"\n") < earlier.count(b"\n")


# ---------------------------------------------------------------- figures

GRAY = Look(Shades(0, 255, 1, np.linspace((0, 0, 0, 1), (1, 1, 1, 1), 256)))


def theme_of(viewer: Any) -> Theme:
    theme = get_theme(viewer.theme)
    return Theme(*(tuple(bytes.fromhex(color.as_hex("long")[1:7])) for color in (theme.background, theme.text)))


def look_of_napari(layer: Any) -> Look:
    """Return how a layer looks, by napari's own table of its colours."""
    return Look(Shades(*layer.contrast_limits, layer.gamma, layer.colormap.map(np.linspace(0, 1, 256))))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[Any, Any]]:
    """Note with what views are drawn."""
    asked: dict[str, tuple[Any, Any]] = {}
    draw_view = figures.draw_view

    def note(*args: Any, **given: Any) -> Any:
        asked["view"] = args, given
        return draw_view(*args, **given)

    monkeypatch.setattr(figures, "draw_view", note)
    return asked


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_view_is_the_canvas_with_a_line_that_says_what_it_is(
    theme: str, open_dock: Any, images: Any, export: Any, asked: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = show(open_dock, qtbot, *images, window=True, scale=(0.5, 0.5), units=("um", "um"))
    viewer.theme = theme
    dock.panel.table.step(1)
    dock.panel.ways.buttons["swipe"].click()
    expected = viewer.screenshot(canvas_only=True, flash=False)
    assert len(np.unique(expected)) > 10
    place = tmp_path / "view.png"
    assert export(dock, VIEW, place) == f"Saved {place}."
    found = iio.imread(place)
    np.testing.assert_array_equal(found[: len(expected)], expected[..., :3])
    assert (found[len(expected)] == theme_of(viewer).ground).all()
    (_, told, *_, bar), _ = asked["view"]
    label = dock.panel.table.label
    kind = dock._comparison.regions["kind"][label - 1]
    area = dock._comparison.regions["area"][label - 1] / 4
    assert told == ["before: a", "after: b", "Swipe", f"region {label}", kind, f"{area:g} µm²"]
    assert bar == (1 / viewer.scene.camera.zoom, "µm")


def test_the_view_says_what_is_shown_where_there_is_no_other_way(
    compared: Any, export: Any, asked: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = compared()
    viewer.layers["a"].visible = False
    export(dock, VIEW, tmp_path / "view.png")
    (_, told, *_, bar), _ = asked["view"]
    assert told[2] == f"shown: {', '.join(layer.name for layer in viewer.layers if layer.visible)}"
    assert "a" not in told[2].removeprefix("shown: ").split(", ")
    # Pixels are no unit
    assert bar is None
    dock.panel.ways.buttons["blink"].click()
    dock.panel.ways.flip_button.click()
    export(dock, VIEW, tmp_path / "view.png")
    assert asked["view"][0][1][2] == "Blink: after"


def test_the_view_is_that_of_before_the_dialog(
    compared: Any, export: Any, asked: Any, user: User, monkeypatch: Any, tmp_path: Path
) -> None:
    viewer, dock = compared(show=True)
    expected = viewer.screenshot(canvas_only=True, flash=False)
    assert len(np.unique(expected)) > 10
    choose = user.choose

    def choose_late(*args: Any, **kwargs: Any) -> Any:
        viewer.layers.select_all()
        for layer in viewer.layers:
            layer.visible = False
        return choose(*args, **kwargs)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose_late)
    export(dock, VIEW, tmp_path / "view.png")
    np.testing.assert_array_equal(iio.imread(tmp_path / "view.png")[: len(expected)], expected[..., :3])


def test_crops_are_as_the_layers_look(open_dock: Any, images: Any, export: Any, qtbot: Any, tmp_path: Path) -> None:
    viewer, dock = show(open_dock, qtbot, *images)
    layers = [viewer.layers[name] for name in "ab"]
    layers[0].contrast_limits, layers[0].gamma, layers[1].colormap = (90, 230), 1.5, "magma"
    place = tmp_path / "crops"
    assert export(dock, CROPS, place) == f"Saved {place}."
    looks = look_of_napari(layers[0]), look_of_napari(layers[1])
    expected = dict(figures.draw_crops(dock._comparison, looks, ("a", "b"), theme_of(viewer)))
    assert len(expected) == 4
    found = read(place)
    record = found.pop("report.json")
    assert found == expected
    jsonschema.validate(json.loads(record), SCHEMA)
    # The same folder again, and one with a picture of somebody else's in it
    user_picture = place / "region-0001 with a note.png"
    user_picture.write_bytes(b"mine")
    assert "is no part of a report" in export(dock, CROPS, place)
    assert user_picture.read_bytes() == b"mine"


def test_many_files_are_counted_in_the_question(
    compared: Any, export: Any, user: User, qtbot: Any, tmp_path: Path
) -> None:
    _, dock = compared()
    place = tmp_path / "crops"
    export(dock, CROPS, place)
    for number in range(100, 120):
        (place / f"region-0{number}.png").write_bytes(b"")
    user.replaces = True
    assert export(dock, CROPS, place) == f"Saved {place}."
    assert user.questions[0].endswith(", 13 more in it. Replace it?")
    assert not (place / "region-0119.png").exists()


def test_cancel_while_crops_are_drawn_leaves_nothing(
    compared: Any, export: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any, tmp_path: Path
) -> None:
    _, dock = compared()
    reached, opened = threading.Event(), threading.Event()
    encode = figures.encode

    def wait(picture: Any) -> bytes:
        reached.set()
        assert opened.wait(20)
        return encode(picture)

    monkeypatch.setattr(figures, "encode", wait)
    export(dock, CROPS, tmp_path / "crops", wait=False)
    qtbot.waitUntil(reached.is_set)
    dock.panel.cancel_button.click()
    opened.set()
    qtbot.waitUntil(lambda: not Run.any_under_way())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("label", [0, 2])
def test_a_blink_shows_the_marked_region_or_all(
    label: int, compared: Any, export: Any, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = compared()
    dock.panel.ways.rate.setValue(5)
    if label:
        dock.panel.table.mark(label)
    place = tmp_path / "blink.gif"
    assert export(dock, BLINK, place) == f"Saved {place}."
    looks = tuple(look_of_napari(viewer.layers[name]) for name in "ab")
    assert place.read_bytes() == figures.draw_blink(
        dock._comparison, looks, ("a", "b"), theme_of(viewer), label=label, rate=5
    )
    picture = Image.open(io.BytesIO(place.read_bytes()))
    assert (picture.n_frames, picture.info["duration"], picture.info["loop"]) == (2, 200, 0)


@pytest.mark.parametrize("spatial_ndim", [2, 3])
def test_figures_of_what_is_on_the_screen(
    spatial_ndim: int, open_dock: Any, qtbot: Any, images: Any, export: Any, asked: Any, tmp_path: Path
) -> None:
    before = np.stack([images[0]] * 12)
    after = before.copy()
    after[4:8] = images[1]
    viewer, dock = show(open_dock, qtbot, before, after, spatial_ndim)
    viewer.dims.set_point(0, 6)
    export(dock, VIEW, tmp_path / "view.png")
    assert f"{'frame' if spatial_ndim == 2 else 'plane'} 6" in asked["view"][0][1]
    export(dock, BLINK, tmp_path / "blink.gif")
    given = dock._comparison, (GRAY, GRAY), ("a", "b"), theme_of(viewer)
    assert (tmp_path / "blink.gif").read_bytes() == figures.draw_blink(*given, index=(6,))
    assert figures.draw_blink(*given, index=(6,)) != figures.draw_blink(*given, index=(5,))
    export(dock, CROPS, tmp_path / "crops")
    assert len(read(tmp_path / "crops")) == len(dock._comparison.regions) + 2
    if spatial_ndim == 2:
        dock.panel.follow_box.setChecked(True)
        dock.follow(True)
        qtbot.waitUntil(lambda: not dock.running and "shown" in dock._comparison.resolved, timeout=20_000)
        export(dock, VIEW, tmp_path / "view.png")
        assert dock._comparison.resolved["shown"] in asked["view"][0][1]


def test_figures_of_images_in_chunks(in_parts: Any, export: Any, tmp_path: Path) -> None:
    viewer, dock = in_parts
    given = dock._comparison, (GRAY, GRAY), ("a", "b"), theme_of(viewer)
    for title, name in (VIEW, "view.png"), (CROPS, "crops"), (BLINK, "blink.gif"):
        assert action_of(dock, title).isEnabled()
        assert export(dock, title, tmp_path / name) == f"Saved {tmp_path / name}."
    assert (tmp_path / "blink.gif").read_bytes() == figures.draw_blink(*given)
    assert dict(figures.draw_crops(*given)).items() <= read(tmp_path / "crops").items()


# ---------------------------------------------------------------- when it can be asked for


def test_it_is_offered_while_a_result_is_shown(open_dock: Any, gate: Any, qtbot: Any) -> None:
    _, dock = open_dock(settle=False)
    button = dock.panel.export_button
    assert not button.isEnabled()
    dock.panel.compare_button.click()
    gate.open()
    assert not button.isEnabled()
    qtbot.waitUntil(button.isEnabled, timeout=20_000)
    dock.panel.pickers.swap()
    assert not button.isEnabled()
    dock.panel.pickers.swap()
    assert button.isEnabled()
    gate.close()
    dock.panel.compare_button.click()
    assert not button.isEnabled()
    dock.panel.cancel_button.click()
    assert button.isEnabled()
    dock.panel.controls.min_area.setValue(500)
    assert not button.isEnabled()
    qtbot.waitUntil(button.isEnabled)


def test_what_is_shown_when_it_is_asked_for_is_written(
    compared: Any, export: Any, door: Door, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = compared()
    expected = door._make_files(dock._comparison, {}, (".csv",))["regions.csv"]
    place = tmp_path / "regions.csv"
    export(dock, TABLE, place, wait=False)
    qtbot.waitUntil(door.reached.is_set)
    assert not dock.panel.export_button.isEnabled()
    assert dock.panel.cancel_button.isEnabled()
    dock.panel.controls.min_area.setValue(500)
    viewer.layers["b"].data = np.zeros((5, 5), np.uint8)
    door.opened.set()
    qtbot.waitUntil(lambda: not dock.exporter.running and not dock.running)
    assert place.read_bytes() == expected
    assert "'b' has other data now" in said(dock)
    assert f"Saved {place}." in said(dock)


def test_one_at_a_time(compared: Any, export: Any, door: Door, user: User, qtbot: Any, tmp_path: Path) -> None:
    _, dock = compared()
    export(dock, TABLE, tmp_path / "one.csv", wait=False)
    user.place = tmp_path / "two.csv"
    action_of(dock, TABLE).trigger()
    assert len(user.starts) == 1
    door.opened.set()
    qtbot.waitUntil(lambda: not dock.exporter.running)
    assert export(dock, TABLE, tmp_path / "two.csv") == f"Saved {tmp_path / 'two.csv'}."
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_of_two_docks_that_write_to_one_place_the_first_does(
    compared: Any, export: Any, user: User, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = compared(show=True)
    second = ComparisonWidget(viewer)
    viewer.window.add_dock_widget(second, name="second")
    qtbot.waitUntil(lambda: not Run.any_under_way(), timeout=20_000)
    place, user.replaces = tmp_path / "report", True
    for each in dock, second:
        export(each, REPORT, place, wait=False)
    qtbot.waitUntil(lambda: not dock.exporter.running and not second.exporter.running, timeout=20_000)
    # Nothing was there when the second was asked for, and so it had no leave to replace it
    assert said(dock) == f"Saved {place}."
    assert said(second).startswith(f"Not saved: {place} cannot be written")
    assert read(place) == files_of(dock._comparison)
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("end", ["close the dock", "remove the layers", "close the viewer"])
def test_an_export_goes_on_without_its_dock(
    end: str, compared: Any, export: Any, door: Door, qtbot: Any, tmp_path: Path
) -> None:
    viewer, dock = compared(show=True)
    place, comparison = tmp_path / "report", dock._comparison
    export(dock, REPORT, place, wait=False)
    qtbot.waitUntil(door.reached.is_set)
    if end == "close the dock":
        dock.parent().destroyOnClose()
    elif end == "remove the layers":
        viewer.layers.clear()
    else:
        viewer.close()
    door.opened.set()
    qtbot.waitUntil(lambda: not Run.any_under_way(), timeout=20_000)
    assert read(place) == files_of(comparison)
    if end == "remove the layers":
        qtbot.waitUntil(lambda: not dock.exporter.running)
        assert f"Saved {place}." in said(dock)
        assert not dock.panel.export_button.isEnabled()


@pytest.mark.parametrize("title", [TABLE, REPORT])
def test_cancel_leaves_nothing(title: str, compared: Any, export: Any, door: Door, qtbot: Any, tmp_path: Path) -> None:
    _, dock = compared()
    export(dock, title, tmp_path / "out", wait=False)
    qtbot.waitUntil(door.reached.is_set)
    dock.panel.cancel_button.click()
    assert said(dock) == "Not saved: cancelled."
    assert dock.panel.export_button.isEnabled()
    door.opened.set()
    qtbot.waitUntil(lambda: not Run.any_under_way())
    assert list(tmp_path.iterdir()) == []
    assert "Saved" not in said(dock)
    dock.panel.compare_button.click()
    assert said(dock) == ""


# ---------------------------------------------------------------- where it goes


def test_nothing_chosen_is_nothing_done(compared: Any, export: Any, tmp_path: Path) -> None:
    _, dock = compared()
    assert export(dock, REPORT, None, wait=False) == ""
    assert not dock.exporter.running


def test_the_dialog_begins_where_the_last_one_ended(compared: Any, export: Any, user: User, tmp_path: Path) -> None:
    _, dock = compared()
    export(dock, REPORT, tmp_path / "report")
    export(dock, REPORT, None)
    export(dock, CHUNKS, None)
    export(dock, PAGE, None)
    names = [place.name for place in user.starts]
    assert names == ["report", "report-2", "result.zarr", "report.html"]
    assert {place.parent for place in user.starts[1:]} == {tmp_path}


def test_names_get_their_ending(compared: Any, export: Any, user: User, tmp_path: Path) -> None:
    _, dock = compared()
    place = tmp_path / "table.csv"
    assert export(dock, TABLE, tmp_path / "table") == f"Saved {place}."
    place.write_bytes(b"mine")
    # The dialog asked about "table", which is not there
    export(dock, TABLE, tmp_path / "table", wait=False)
    assert user.questions == [f"{place} is there already. Replace it?"]
    assert place.read_bytes() == b"mine"
    assert "Saved" in export(dock, TABLE, place)
    assert len(user.questions) == 1
    assert place.read_bytes() != b"mine"


@pytest.mark.parametrize("title", [REPORT, CHUNKS])
def test_what_comes_to_the_place_meanwhile_stays(
    title: str, compared: Any, export: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dock = compared()
    place = tmp_path / ("result.zarr" if title == CHUNKS else "new")
    make_folder = folders.make_folder

    @contextmanager
    def come(*args: Any, **kwargs: Any) -> Iterator[Path]:
        with make_folder(*args, **kwargs) as folder:
            yield folder
            place.mkdir(exist_ok=True)
            (place / "thesis.txt").write_text("mine")

    monkeypatch.setattr(report, "make_folder", come)
    monkeypatch.setattr(zarr_files, "make_folder", come)
    assert "Not saved" in export(dock, title, place)
    assert read(place) == {"thesis.txt": b"mine"}
    assert [path.name for path in tmp_path.iterdir()] == [place.name]


@pytest.mark.parametrize("title", [*FOLDERS, CHUNKS])
def test_an_earlier_one_is_replaced_after_a_question(
    title: str, compared: Any, export: Any, user: User, qtbot: Any, tmp_path: Path
) -> None:
    _, dock = compared()
    place = tmp_path / ("result.zarr" if title == CHUNKS else "earlier")
    export(dock, title, place)
    before = read(place)
    dock.panel.controls.min_area.setValue(500)
    qtbot.waitUntil(lambda: not dock.running)
    export(dock, title, place)
    assert read(place) == before
    assert "is there already, with " in user.questions[0]
    assert sorted(before)[-1] in user.questions[0]
    user.replaces = True
    # As a dialog tells of a folder that one has gone into
    assert export(dock, title, place / place.name) == f"Saved {place}."
    assert read(place) != before
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("title", [*FOLDERS, CHUNKS])
def test_what_is_not_ours_stays(title: str, compared: Any, export: Any, user: User, tmp_path: Path) -> None:
    _, dock = compared()
    place, user.replaces = tmp_path / "mine.zarr", True
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    message = export(dock, title, place)
    assert str(place) in message
    assert "give another" in message
    assert "--" not in message
    assert "overwrite" not in message
    assert read(place) == {"notes.txt": b"mine"}
    (tmp_path / "file.zarr").write_text("mine")
    assert "file.zarr is " in export(dock, title, tmp_path / "file.zarr")
    assert (tmp_path / "file.zarr").read_text() == "mine"
    assert user.questions == []


def test_the_images_are_no_earlier_report(compared: Any, tmp_path: Path) -> None:
    viewer, _ = compared()
    layer = viewer.layers["a"].__wrapped__
    layer._source = layer.source.model_copy(update={"path": str(tmp_path / "before.png")})
    (tmp_path / "before.png").touch()
    with pytest.raises(OSError, match="has one of the images in it"):
        find_place(EXPORTS[0], tmp_path, layer)


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("error", [FULL, FORBIDDEN])
@pytest.mark.parametrize("title", [REPORT, TABLE, CHUNKS])
def test_what_cannot_be_written_is_said(
    title: str, error: OSError, compared: Any, export: Any, user: User, tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    _, dock = compared()
    place, user.replaces = tmp_path / "out.zarr", True
    export(dock, title, place)
    (place,) = tmp_path.iterdir()
    before = place.read_bytes() if title == TABLE else read(place)
    write = Path.write_bytes

    def write_until_full(path: Path, content: bytes) -> int:
        if path.name.startswith(("out.zarr.csv", "mask", "regions", "forgiven")):
            write(path, content[:10])
            raise error
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    message = export(dock, title, place)
    assert message.startswith("Not saved: ")
    assert str(error.strerror) in message
    assert message.count("\n") == 0
    assert list(tmp_path.iterdir()) == [place]
    assert (place.read_bytes() if title == TABLE else read(place)) == before
    assert "Traceback" not in caplog.text
    monkeypatch.undo()
    assert dock.panel.export_button.isEnabled()


def test_without_zarr_it_says_how_to_get_it(compared: Any, export: Any, tmp_path: Path, monkeypatch: Any) -> None:
    _, dock = compared()
    monkeypatch.setitem(sys.modules, "zarr", None)
    message = export(dock, CHUNKS, tmp_path / "out.zarr")
    assert message == 'Not saved: OME-Zarr needs zarr 3; pip install "napari-image-diff[zarr]".'
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- looking at it


@pytest.mark.parametrize(
    ("title", "name"), [(REPORT, "out/report.html"), (PAGE, "out.html"), (MAPS, "out"), (CROPS, "out/regions.png")]
)
def test_what_was_saved_can_be_opened(
    title: str, name: str, compared: Any, export: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    _, dock = compared()
    action, opened = action_of(dock, "Open what was saved"), []
    monkeypatch.setattr(
        QDesktopServices, "openUrl", lambda url: opened.append(Path(url.toLocalFile())) or name != "out"
    )
    assert not action.isEnabled()
    export(dock, title, tmp_path / "out")
    assert action.isEnabled()
    action.trigger()
    assert opened == [tmp_path / name]
    assert ("No program opens" in said(dock)) == (name == "out")
