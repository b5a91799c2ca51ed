"""Measure what the dock promises of speed, in a real window, and print it beside the targets.

Run it on a display, or without one: ``xvfb-run -a python benchmarks/gui.py``.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from numpy.typing import NDArray
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QApplication

from napari_image_diff.layers import layers_of
from napari_image_diff.placing import LayerData, comparison_of, place, results_of
from napari_image_diff.widget import ComparisonWidget
from napari_image_diff.widget.running import Run

LARGE, MIDDLE = 4096, 2048
REPEATS = 5
DRAG_SECONDS = 4.0
FOLLOWED = 20
SWIPED, SWIPED_SIDES = 20, (512, 2048, 4096, 16384)


def make_pair(side: int, changes: int = 300, seed: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return two images with texture, the second with squares of other brightness, in places that `seed` gives."""
    random = np.random.default_rng(1)
    before = random.integers(90, 130, (side, side), dtype=np.uint8)
    after = before.copy()
    random = np.random.default_rng(seed)
    for row, col in random.integers(0, side - 40, (changes, 2)):
        after[row : row + 24, col : col + 24] += random.integers(40, 120, dtype=np.uint8)
    return before, after


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Run the event loop until the condition holds."""
    loop, poll = QEventLoop(), QTimer()
    poll.timeout.connect(lambda: loop.quit() if condition() or time.perf_counter() > end else None)
    end = time.perf_counter() + seconds
    poll.start(2)
    loop.exec()
    if not condition():
        raise TimeoutError("the window did not get there")


def open_dock(side: int, changes: int = 300) -> tuple[Any, ComparisonWidget]:
    """Return a shown viewer with a pair of images, and its dock, warmed up."""
    viewer = napari.Viewer()
    for name, image in zip(("before", "after"), make_pair(side, changes), strict=True):
        viewer.add_image(image, name=name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
    wait_for(lambda: not Run.any_under_way())
    compare(dock)
    return viewer, dock


def compare(dock: ComparisonWidget) -> None:
    """Press Compare and wait for the layers."""
    dock.panel.compare_button.click()
    wait_for(lambda: not dock.running)


def measure_ticks(viewer: Any, dock: ComparisonWidget) -> tuple[float, float]:
    """Return the share of ticks within 50 ms, and the longest in seconds, from Compare to the result's arrival."""
    ticks: list[float] = []
    gaps: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()) if dock.running else None)
    for _ in range(REPEATS):
        viewer.screenshot(flash=False)  # what the last run left to draw is not waited for in this one
        ticks[:] = [time.perf_counter()]
        timer.start(5)
        compare(dock)
        timer.stop()
        # The last tick is the last one before the result was placed: what follows is measured by itself
        gaps.extend(np.diff(ticks))
    return float(np.mean(np.array(gaps) <= 0.05)), max(gaps)


def time_shown(viewer: Any, action: Callable[[], object]) -> float:
    """Return the seconds that an action takes, the canvas drawn included."""
    gc.collect()
    begin = time.perf_counter()
    action()
    viewer.screenshot(canvas_only=True, flash=False)
    return time.perf_counter() - begin


def measure_placing(viewer: Any) -> tuple[float, float, float, float]:
    """Return the best times of placing and of updating in place, each with that of doing the same by hand."""
    before, after = viewer.layers["before"], viewer.layers["after"]
    comparison = comparison_of(viewer, before, after)
    assert comparison is not None

    def clear() -> None:
        for layer in list(viewer.layers)[2:]:
            viewer.layers.remove(layer)

    def add_by_hand(layers: list[LayerData]) -> None:
        for data, attributes, kind in layers:
            viewer.add_layer(Layer.create(data, attributes, kind))

    def set_by_hand(layers: list[LayerData]) -> None:
        for layer, (data, _, _) in zip(list(viewer.layers)[2:], layers, strict=True):
            layer.data = data

    def place_ours(layers: list[LayerData]) -> None:
        place(viewer, comparison, before, after, layers)

    def fresh() -> list[LayerData]:
        return [
            (data.copy() if kind == "image" else data, attributes, kind)
            for data, attributes, kind in layers_of(comparison, before)
        ]

    times: dict[str, list[float]] = {"place": [], "add": [], "update": [], "set": []}
    for _ in range(REPEATS):
        clear()
        times["add"].append(time_shown(viewer, partial(add_by_hand, fresh())))
        times["set"].append(time_shown(viewer, partial(set_by_hand, fresh())))
        clear()
        times["place"].append(time_shown(viewer, partial(place_ours, fresh())))
        times["update"].append(time_shown(viewer, partial(place_ours, fresh())))
    assert len(results_of(viewer, before, after)) == 3
    return min(times["place"]), min(times["add"]), min(times["update"]), min(times["set"])


def measure_drag(viewer: Any, dock: ComparisonWidget) -> float:
    """Return how often a second the labels are updated and drawn while the sensitivity is dragged."""
    slider = dock.panel.controls.slider
    labels = results_of(viewer, viewer.layers["before"], viewer.layers["after"])["filled mask"]
    updates: list[float] = []
    labels.events.data.connect(lambda: updates.append(time.perf_counter()))
    moves = iter(np.linspace(-0.3, 0.3, int(DRAG_SECONDS * 60)))
    timer = QTimer()
    timer.timeout.connect(lambda: slider.setValue(next(moves, 0.3)))
    slider.setSliderDown(True)
    begin = time.perf_counter()
    timer.start(16)
    wait_for(lambda: time.perf_counter() - begin > DRAG_SECONDS)
    timer.stop()
    slider.setSliderDown(False)
    wait_for(lambda: not dock.running)
    return len([moment for moment in updates if moment - begin <= DRAG_SECONDS]) / DRAG_SECONDS


def measure_following(preset: str) -> tuple[float, float]:
    """Return how often a second an image that is edited is followed, and how often its three layers can be set alone.

    The next edit comes as soon as the last one was followed. Both are medians, taken in turns.
    """
    viewer, dock = open_dock(MIDDLE, changes=40)
    frames = [make_pair(MIDDLE, changes=40, seed=seed)[1] for seed in range(4)]
    presets = dock.panel.presets
    presets.setCurrentText(preset)
    presets.activated.emit(presets.currentIndex())
    scene = viewer.window._qt_viewer.canvas._scene_canvas
    drawn: list[float] = []
    scene.events.draw.connect(lambda event: drawn.append(time.perf_counter()))
    moments: list[float] = []
    layers_found: list[list[LayerData]] = []

    def edit() -> None:
        viewer.layers["after"].data = frames[len(moments) % len(frames)].copy()

    def go_on(result: Any) -> None:
        moments.append(time.perf_counter())
        layers_found.append(result.layers[:3])
        edit()

    def follow() -> list[float]:
        moments.clear()
        layers_found.clear()
        dock.panel.follow_box.setChecked(True)
        wait_for(lambda: len(moments) > FOLLOWED)
        dock.panel.follow_box.setChecked(False)
        return list(np.diff(moments[1:]))

    def set_by_hand() -> list[float]:
        layers, seconds = list(viewer.layers)[2:], []
        for results in layers_found[1:]:
            begin, count = time.perf_counter(), len(drawn)
            for layer, (data, _, _) in zip(layers, results, strict=True):
                layer.data = data
            wait_for(lambda count=count: len(drawn) > count)
            seconds.append(time.perf_counter() - begin)
        for layer in layers:
            viewer.layers.remove(layer)
        return seconds

    dock.follower.found.connect(go_on)
    followed: list[float] = []
    alone: list[float] = []
    for _ in range(REPEATS):
        followed += follow()
        alone += set_by_hand()
    viewer.close()
    return 1 / float(np.median(followed)), 1 / float(np.median(alone))


def measure_swiping(side: int) -> tuple[float, float]:
    """Return how often a second the line of a swipe moves, and a layer's visibility is toggled, each time drawn.

    Both are means, of turns that change places: every other toggle only hides.
    """
    viewer = napari.Viewer()
    for name, image in zip(("before", "after"), make_pair(side), strict=True):
        viewer.add_image(image, name=name)
    _, dock = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
    wait_for(lambda: not Run.any_under_way())
    drawn: list[float] = []
    viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(lambda event: drawn.append(time.perf_counter()))

    def time_steps(steps: list[Callable[[], object]]) -> list[float]:
        seconds = []
        for step in steps:
            begin, count = time.perf_counter(), len(drawn)
            step()
            while len(drawn) == count:
                QApplication.processEvents()
            seconds.append(time.perf_counter() - begin)
        return seconds

    layer = viewer.layers["after"]
    swiped: list[float] = []
    toggled: list[float] = []
    for _ in range(REPEATS):
        toggled += time_steps([partial(setattr, layer, "visible", turn % 2 == 1) for turn in range(SWIPED)])
        dock.looker.enter("swipe")
        swiped += time_steps([partial(dock.looker.swipe_to, place) for place in np.linspace(0.1, 0.9, SWIPED)])
        dock.looker.leave()
    viewer.close()
    return 1 / float(np.mean(swiped)), 1 / float(np.mean(toggled))


def main() -> None:
    """Measure everything and print the table."""
    viewer, dock = open_dock(LARGE)
    share, longest = measure_ticks(viewer, dock)
    placed, added, updated, set_ = measure_placing(viewer)
    viewer.close()
    viewer, dock = open_dock(MIDDLE)
    rate = measure_drag(viewer, dock)
    viewer.close()
    swipes = {side: measure_swiping(side) for side in SWIPED_SIDES}
    followed = {preset: measure_following(preset) for preset in ("Classic", "Detect")}
    rows = [
        (f"ticks within 50 ms while comparing {LARGE} x {LARGE}", f"{share:.2%}", "99 %", f"longest {longest:.2f} s"),
        ("placing, over adding three layers by hand", f"{placed / added:.2f}", "1.50", f"{placed:.2f} / {added:.2f} s"),
        (
            "updating in place, over setting data",
            f"{updated / set_:.2f}",
            "1.50",
            f"{updated:.2f} / {set_:.2f} s",
        ),
        (f"updates a second, threshold dragged at {MIDDLE} x {MIDDLE}", f"{rate:.1f}", "5", ""),
        *(
            (f"edits followed, {preset}, over setting data, {MIDDLE} x {MIDDLE}", f"{live / alone:.2f}", "0.75", detail)
            for preset, (live, alone) in followed.items()
            for detail in [f"{live:.1f} / {alone:.1f} a second"]
        ),
        *(
            (f"swipe, over toggling visibility, {side} x {side}", f"{rate / toggled:.2f}", "0.80", detail)
            for side, (rate, toggled) in swipes.items()
            for detail in [f"{rate:.1f} / {toggled:.1f} a second"]
        ),
    ]
    print(f"| {'measure':<58} | {'measured':>8} | {'target':>6} | {'detail':<22} |")
    print(f"|{'-' * 60}|{'-' * 10}|{'-' * 8}|{'-' * 24}|")
    for measure, value, target, detail in rows:
        print(f"| {measure:<58} | {value:>8} | {target:>6} | {detail:<22} |")


if __name__ == "__main__":
    main()
