"""What can happen to a viewer while it compares: no exception, no thread and no handler may be left."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer

from napari_image_diff.widget import ComparisonWidget
from napari_image_diff.widget.running import Run

NAME = "Image Difference (napari-image-diff)"


@pytest.fixture
def under_way(open_dock: Any, gate: Any, qtbot: Any) -> Any:
    """Open a dock and begin a comparison, which waits at the gate."""

    def under_way(**kwargs: Any) -> Any:
        viewer, dock = open_dock(**kwargs)
        gate.entered.clear()
        dock.panel.compare_button.click()
        qtbot.waitUntil(gate.entered.is_set)
        return viewer, dock

    return under_way


def press_compare(dock: Any, qtbot: Any) -> None:
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running)


@pytest.fixture(autouse=True)
def no_gate_for_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_image_diff.widget.dock.warm_up", lambda progress: None)


def handlers(viewer: Any) -> list[Any]:
    events = viewer.__wrapped__.layers.events
    emitters = events.inserted, events.removed, events.reordered, events.renamed
    real = viewer.__wrapped__
    return [[len(emitter.callbacks) for emitter in emitters], list(real.mouse_drag_callbacks), dict(real.keymap)]


def ours(viewer: Any) -> int:
    return sum(callback.__module__.startswith("napari_image_diff") for callback in viewer.mouse_drag_callbacks)


def test_a_run_shows_progress_and_can_be_cancelled(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way(show=True)
    panel = dock.panel
    qtbot.waitUntil(lambda: panel.progress.value() == 1)
    assert panel.progress.isVisible()
    assert not panel.result.isVisible()
    assert panel.cancel_button.isEnabled()
    panel.cancel_button.click()
    assert "Cancelled" in panel.notice.text()
    assert not dock.running
    assert not panel.progress.isVisible()
    assert not panel.cancel_button.isEnabled()
    qtbot.waitUntil(gate.left.is_set)
    assert len(viewer.layers) == 2
    gate.open()
    panel.compare_button.click()
    assert panel.notice.text() == ""
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5


def test_cancel_keeps_the_earlier_result(compared: Any, gate: Any, qtbot: Any) -> None:
    gate.open()
    _, dock = compared()
    gate.close()
    dock.panel.compare_button.click()
    dock.panel.cancel_button.click()
    qtbot.waitUntil(lambda: not Run.any_under_way())
    assert dock.panel.table.model().rowCount() == 3
    assert "3 regions" in dock.panel.result.text()


def test_compare_pressed_again_begins_anew(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    dock.panel.form.fields["win_size"].value = 11
    dock.panel.compare_button.click()
    dock.panel.compare_button.click()
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5
    assert viewer.layers["diff map"].metadata["napari-image-diff"]["settings"]["win_size"] == 11


def test_a_removed_layer_stops_the_run(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    viewer.layers.remove("b")
    assert "'b' was removed" in dock.panel.notice.text()
    assert not dock.running
    qtbot.waitUntil(gate.left.is_set)
    gate.open()
    qtbot.waitUntil(lambda: not Run.any_under_way())
    assert len(viewer.layers) == 1


def test_renamed_and_moved_layers_go_on(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    viewer.layers["b"].name = "other"
    viewer.layers.move(0, 2)
    viewer.layers["a"].scale = (2, 2)
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5
    np.testing.assert_array_equal(viewer.layers["filled mask"].scale, (2, 2))


def test_replaced_data_is_not_given_the_result_of_the_old(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    viewer.layers["b"].data = np.zeros((7, 7), np.uint8)
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert "'b' got other data" in dock.panel.notice.text()
    assert len(viewer.layers) == 2


def test_other_layers_picked_meanwhile_do_not_mix_in(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    dock.panel.pickers.swap()
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5
    assert dock.panel.table.model().rowCount() == 0
    dock.panel.pickers.swap()
    assert dock.panel.table.model().rowCount() == 3


def test_controls_moved_meanwhile_count_in_the_end(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way()
    dock.panel.controls.rule.setCurrentText("Number")
    dock.panel.controls.number.setValue(1.9)
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert dock.panel.controls.number.value() == 1.9
    assert not viewer.layers["filled mask"].data.any()
    assert "1.900 (set)" in dock.panel.result.text()


def test_a_hidden_dock_goes_on_and_leaves_the_canvas_alone(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way(show=True)
    assert ours(viewer) == 1
    for _ in range(3):
        dock.parent().hide()
    assert ours(viewer) == 0
    assert not viewer.__wrapped__.keymap
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5
    viewer.add_image(np.zeros((9, 9)), name="meanwhile")
    dock.parent().show()
    assert ours(viewer) == 1
    assert dock.panel.table.model().rowCount() == 3


def test_a_floating_dock_goes_on(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, dock = under_way(show=True)
    dock.parent().setFloating(True)
    dock.parent().setFloating(False)
    assert ours(viewer) == 1
    gate.open()
    qtbot.waitUntil(lambda: not dock.running)
    assert len(viewer.layers) == 5


def test_a_closed_dock_stops_its_run_and_leaves_nothing(
    make_napari_viewer_proxy: Any, open_dock: Any, gate: Any, qtbot: Any, images: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    for image in images:
        viewer.add_image(image)
    before = handlers(viewer)
    _, dock = open_dock(viewer)
    dock.panel.compare_button.click()
    qtbot.waitUntil(gate.entered.is_set)
    dock.parent().destroyOnClose()
    qtbot.waitUntil(lambda: gate.left.is_set() and not Run.any_under_way())
    gone = weakref.ref(dock)
    del dock
    gc.collect()
    qtbot.waitUntil(lambda: gone() is None)
    viewer.layers.move(0, 2)  # napari drops callbacks of dead objects when it calls them
    viewer.add_image(images[0], name="c")
    viewer.layers["c"].name = "d"
    viewer.layers.remove("d")
    assert handlers(viewer) == before
    assert len(viewer.layers) == 2
    gate.open()
    _, again = open_dock(viewer)
    again.panel.compare_button.click()
    qtbot.waitUntil(lambda: not again.running)
    assert len(viewer.layers) == 5


def test_a_reopened_dock_shows_the_result(compared: Any, open_dock: Any) -> None:
    viewer, dock = compared(show=True)
    dock.parent().destroyOnClose()
    _, again = open_dock(viewer)
    assert again is not dock
    assert again.panel.table.model().rowCount() == 3
    assert "3 regions" in again.panel.result.text()


def test_a_viewer_closed_during_a_run(under_way: Any, gate: Any, qtbot: Any) -> None:
    viewer, _ = under_way(show=True)
    viewer.close()
    qtbot.waitUntil(lambda: gate.left.is_set() and not Run.any_under_way())
    gate.open()


def test_two_viewers_do_not_mix(under_way: Any, open_dock: Any, gate: Any, qtbot: Any, images: Any) -> None:
    first, dock = under_way()
    second, other = open_dock(settle=False)
    second.layers["b"].data = images[0].copy()
    other.panel.compare_button.click()
    gate.open()
    qtbot.waitUntil(lambda: not dock.running and not other.running)
    assert len(first.layers) == len(second.layers) == 5
    assert "3 regions" in dock.panel.result.text()
    assert "identical" in other.panel.result.text()
    first.close()
    other.panel.compare_button.click()
    qtbot.waitUntil(lambda: not other.running)
    assert len(second.layers) == 5


def test_two_docks_on_one_viewer(compared: Any, qtbot: Any) -> None:
    viewer, _ = compared(show=True)
    second = ComparisonWidget(viewer)
    viewer.window.add_dock_widget(second, name="second")
    qtbot.waitUntil(lambda: not Run.any_under_way())
    assert second.panel.table.model().rowCount() == 3
    second.panel.compare_button.click()
    qtbot.waitUntil(lambda: not second.running)
    assert len(viewer.layers) == 5
    viewer.window.remove_dock_widget(second)
    assert ours(viewer) == 1


def test_warnings_of_a_run_are_logged(
    open_dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warn(*args: Any, **kwargs: Any) -> None:
        with warnings.catch_warnings(action="always"):
            warnings.warn("something to know", UserWarning, stacklevel=1)
        raise ValueError("enough")

    _, dock = open_dock()
    monkeypatch.setattr("napari_image_diff.comparison.compare", warn)
    press_compare(dock, qtbot)
    assert dock.panel.notice.text() == "enough"
    assert [record.getMessage() for record in caplog.records].count("UserWarning: something to know") <= 1


def test_results_do_not_keep_images_alive(compared: Any, qtbot: Any) -> None:
    viewer, _ = compared()
    layer = weakref.ref(viewer.layers["b"].__wrapped__)
    viewer.layers.clear()
    qtbot.waitUntil(lambda: not Run.any_under_way())
    gc.collect()
    qtbot.waitUntil(lambda: gc.collect() >= 0 and layer() is None, timeout=5_000)


def test_the_window_stays_awake_while_it_compares(open_dock: Any, qtbot: Any) -> None:
    viewer, dock = open_dock(show=True)
    random = np.random.default_rng(0)
    for name in "ab":
        viewer.layers[name].data = random.integers(0, 255, (4096, 4096), dtype=np.uint8)
    dock.panel.controls.number.setValue(0.1)
    moments: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: moments.append(time.perf_counter()) if dock.running else None)
    timer.start(5)
    viewer.screenshot(flash=False)
    dock.panel.compare_button.click()
    qtbot.waitUntil(lambda: not dock.running, timeout=60_000)
    timer.stop()
    gaps = np.diff(moments)
    assert len(gaps) > 5
    assert np.quantile(gaps, 0.9) < 0.2


@pytest.mark.parametrize("pressed", [False, True])
def test_quitting_at_once_is_clean(pressed: bool) -> None:
    code = f"""
import numpy as np, napari
from qtpy.QtCore import QTimer
viewer = napari.Viewer(show=False)
for seed in 1, 2:
    viewer.add_image(np.random.default_rng(seed).integers(0, 255, (3000, 3000), dtype=np.uint8))
_, dock = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
if {pressed}:
    dock.panel.compare_button.click()
QTimer.singleShot(0, viewer.close)
QTimer.singleShot(200, napari.qt.get_qapp().quit)
napari.run(force=True)
print("through")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "through"), done.stderr
    assert "Traceback" not in done.stderr
