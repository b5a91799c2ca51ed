"""What tests share."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from calls import Run

from napari_image_diff.cli import main

Images = tuple[np.ndarray, np.ndarray]

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")

# Who asks for one of these opens a window
WINDOWS = {"qtbot", "make_napari_viewer", "make_napari_viewer_proxy"}

# Of a process of those that run side by side: windows of two on one screen would take the focus from each other
_screens: list[subprocess.Popen[bytes]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Give each of the processes that run side by side a screen of its own, where it can have one."""
    if not hasattr(config, "workerinput") or shutil.which("Xvfb") is None:
        return
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x1200x24", "-nolisten", "tcp"]
    _screens.append(subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL))
    os.close(write)
    with os.fdopen(read) as pipe:
        os.environ["DISPLAY"] = f":{pipe.readline().strip()}"


def pytest_unconfigure() -> None:
    """Take the screen away."""
    for screen in _screens:
        screen.terminate()
        screen.wait()


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Keep the tests of a file together, and those that open windows by themselves."""
    for item in items:
        kind = "windows of " if WINDOWS & set(item.fixturenames) else ""
        item.add_marker(pytest.mark.xdist_group(kind + item.path.stem))


@pytest.fixture(autouse=True)
def quick_collections(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for garbage of this test alone, and not whenever napari takes a layer out: most time would go there."""
    if WINDOWS & set(request.fixturenames):
        gc.freeze()
        monkeypatch.setattr("napari._vispy.canvas.gc", SimpleNamespace(collect=lambda: 0))


@pytest.fixture
def images() -> Images:
    """Two noisy images; the second has three bright rectangles, the last of them the largest."""
    before = np.random.default_rng(0).integers(100, 110, (120, 160), dtype=np.uint8)
    after = before.copy()
    for row, col, side in (12, 20, 14), (50, 100, 20), (80, 20, 30):
        after[row : row + side, col : col + side] = 220
    return before, after


def choose_preset(dock: Any, preset: str) -> None:
    """Choose a preset as a person does."""
    presets = dock.panel.presets
    presets.setCurrentText(preset)
    presets.activated.emit(presets.currentIndex())


class Gate:
    """Holds comparisons up until it is opened; they go on reporting progress, so they can be cancelled."""

    def __init__(self, compare: Callable[..., Any]) -> None:
        self._compare = compare
        self._open = threading.Event()
        self.entered = threading.Event()
        self.left = threading.Event()

    def compare(self, *args: Any, progress: Callable[[int, int], None] | None = None, **changes: Any) -> Any:
        self.left.clear()
        self.entered.set()
        try:
            while not self._open.wait(0.005):
                if progress is not None:
                    progress(1, 2)
            return self._compare(*args, progress=progress, **changes)
        finally:
            self.left.set()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Comparisons wait at a gate."""
    import napari_image_diff.comparison as room

    gate = Gate(room.compare)
    monkeypatch.setattr(room, "compare", gate.compare)
    yield gate
    gate.open()


@pytest.fixture
def preferences(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Any]]:
    """What the user has set for the plugin: nothing to begin with, whatever there is on this machine."""
    from napari import settings

    monkeypatch.setattr(settings, "_CFG_PATH", str(tmp_path_factory.mktemp("preferences") / "settings.yaml"))
    settings._clear_plugin_settings_cache()
    yield lambda: settings.get_plugin_settings("napari-image-diff")
    settings._clear_plugin_settings_cache()


@pytest.fixture
def open_dock(
    preferences: Any, qtbot: Any, make_napari_viewer_proxy: Any, images: Images
) -> Iterator[Callable[..., Any]]:
    """Open docks as napari does, by default on a viewer of two images; at the end no run and no thread may be left."""
    from napari_image_diff.widget.running import Run, _one_thread

    def open_dock(viewer: Any = None, *, show: bool = False, settle: bool = True) -> Any:
        if viewer is None:
            viewer = make_napari_viewer_proxy(show=show)
            for name, image in zip("ab", images, strict=True):
                viewer.add_image(image.copy(), name=name)
        _, dock = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
        qtbot.waitUntil(lambda: not settle or not Run.any_under_way(), timeout=120_000)
        return viewer, dock

    yield open_dock
    qtbot.waitUntil(lambda: not Run.any_under_way() and not _one_thread().activeThreadCount(), timeout=20_000)
    gc.collect()


@pytest.fixture
def compared(qtbot: Any, open_dock: Callable[..., Any]) -> Callable[..., Any]:
    """Open a dock and press Compare in it, with the settings of a preset."""

    def compared(preset: str = "Detect", **kwargs: Any) -> Any:
        viewer, dock = open_dock(**kwargs)
        choose_preset(dock, preset)
        dock.panel.compare_button.click()
        qtbot.waitUntil(lambda: not dock.running, timeout=20_000)
        return viewer, dock

    return compared


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Call the command line; give exit code, stdout and stderr, with what C libraries print."""

    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capfd.readouterr()

    return call


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser without a window, with its logs of messages and of what it loads."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip(f"{CHROMIUM} or {DRIVER} is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()
