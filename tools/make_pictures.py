"""Take the pictures of the documentation, of the real window: ``make pictures`` on a screen in memory.

Names after the command take only those: ``make pictures ARGS="dock stack"``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import napari

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT, TALL = 1280, 720, 800
COLOURS = 256, 128, 64, 48, 32
LARGEST_FILE = 200_000
# seconds
LONGEST_WAIT, SETTLE, PAUSE = 240.0, 1.5, 0.01


class Window(NamedTuple):
    """napari with the dock widget in it."""

    viewer: napari.Viewer
    dock: Any

    def wait(self, until: Callable[[], bool]) -> None:
        """Let the window live until something is so, and a while more."""
        from qtpy.QtWidgets import QApplication

        end, calm = time.monotonic() + LONGEST_WAIT, 0.0
        while not calm or time.monotonic() < calm:
            QApplication.processEvents()
            # or the comparison, which runs beside it, has no time: the first one compiles the kernels
            time.sleep(PAUSE)
            if not calm and until():
                calm = time.monotonic() + SETTLE
            if not calm and time.monotonic() > end:
                raise TimeoutError("the window did not come so far in time")

    def compare(self) -> None:
        """Press Compare and wait for the result."""
        self.dock.panel.compare_button.click()
        self.wait(lambda: not self.dock.running and self.dock.panel.verdict.text() != "")


def take_screenshot(window: Window) -> np.ndarray:
    """Return the whole window with the board compared: the picture of the README."""
    window.viewer.open_sample("napari-image-diff", "board")
    window.compare()
    return whole(window)


def take_opened(window: Window) -> np.ndarray:
    """Return the window with a pair open that is not compared yet."""
    window.viewer.open_sample("napari-image-diff", "photo")
    window.wait(lambda: window.dock.panel.compare_button.isEnabled())
    return whole(window)


def take_compared(window: Window) -> np.ndarray:
    """Return the window with that pair compared."""
    window.viewer.open_sample("napari-image-diff", "photo")
    window.compare()
    return whole(window)


def take_region(window: Window) -> np.ndarray:
    """Return the window as it is when the second region was gone to."""
    window.viewer.open_sample("napari-image-diff", "photo")
    window.compare()
    for _ in range(2):
        window.dock.panel.next_button.click()
    window.wait(lambda: True)
    return whole(window)


def take_swiped(window: Window) -> np.ndarray:
    """Return the window with that pair under a line, before on its left and after on its right."""
    window.viewer.open_sample("napari-image-diff", "photo")
    window.compare()
    window.dock.panel.ways.buttons["swipe"].click()
    window.dock.panel.ways.line.setValue(330)
    window.wait(lambda: True)
    return whole(window)


def take_side_by_side(window: Window) -> np.ndarray:
    """Return the window with that pair side by side, close up on the second region."""
    window.viewer.open_sample("napari-image-diff", "photo")
    window.compare()
    window.dock.panel.ways.buttons["side_by_side"].click()
    for _ in range(2):
        window.dock.panel.next_button.click()
    window.wait(lambda: True)
    return whole(window)


def take_dock(window: Window) -> np.ndarray:
    """Return the dock alone, with cells of 16 bits compared."""
    window.viewer.window.resize(WIDTH, TALL)
    window.viewer.open_sample("napari-image-diff", "cells")
    window.compare()
    return part(window.dock)


def take_shifted(window: Window) -> np.ndarray:
    """Return the window with a pair of which one image is shifted against the other, compared and laid in place."""
    from napari_image_diff.samples import board

    (before, look, _), (after, *_) = board()
    window.viewer.add_image(before[:-20, :-30], **{**look, "name": "first photo"})
    window.viewer.add_image(after[20:, 30:], **{**look, "name": "second photo"})
    window.compare()
    window.dock.panel.align_button.click()
    window.wait(lambda: True)
    return whole(window)


def take_stack(window: Window) -> np.ndarray:
    """Return the window with a movie in which cells change one after the other, compared with its first frame."""
    from napari_image_diff.samples import cells

    (before, look, _), (after, *_) = cells()
    movie = np.stack([before] * 8)
    for number, (top, left, bottom, right) in enumerate(look["metadata"]["changes"]):
        movie[min(7, number + 2) :, top:bottom, left:right] = after[top:bottom, left:right]
    window.viewer.add_image(movie, name="movie", colormap=look.get("colormap"), contrast_limits=(0, int(movie.max())))
    before_box = window.dock.panel.pickers.boxes[0]
    before_box.setCurrentIndex(before_box.findText("first frame of movie"))
    window.compare()
    window.dock.panel.worst_button.click()
    window.wait(lambda: True)
    return whole(window)


# Where a picture goes, and how it is taken
PICTURES: dict[str, tuple[str, Callable[[Window], np.ndarray]]] = {
    "screenshot": ("screenshot.png", take_screenshot),
    "opened": ("pictures/opened.png", take_opened),
    "compared": ("pictures/compared.png", take_compared),
    "region": ("pictures/region.png", take_region),
    "swiped": ("pictures/swiped.png", take_swiped),
    "side": ("pictures/side.png", take_side_by_side),
    "dock": ("pictures/dock.png", take_dock),
    "shifted": ("pictures/shifted.png", take_shifted),
    "stack": ("pictures/stack.png", take_stack),
}


def whole(window: Window) -> np.ndarray:
    """Return the picture of the whole window."""
    return np.asarray(window.viewer.window.screenshot(canvas_only=False, flash=False))


def part(widget: Any) -> np.ndarray:
    """Return the picture of a widget."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "part.png")
        widget.grab().save(str(file))
        import imageio.v3 as iio

        return np.asarray(iio.imread(file))


def open_window() -> Window:
    """Open napari with the dock, in the size that all pictures have."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(title="napari-image-diff")
    viewer.window.resize(WIDTH, HEIGHT)
    _, dock = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
    # napari fits the first layer into the canvas as it is then: the dock must have taken its place
    QApplication.processEvents()
    return Window(viewer, dock)


def save(picture: np.ndarray, file: Path) -> None:
    """Save a picture in as many colours as there is room for, or raise where it is too large all the same."""
    from PIL import Image

    for colours in COLOURS:
        few = Image.fromarray(picture[..., :3]).quantize(colours, kmeans=3, dither=Image.Dither.NONE)
        few.save(file, optimize=True)
        if file.stat().st_size <= LARGEST_FILE:
            return
    raise ValueError(f"{file.name} has {file.stat().st_size:,} bytes; {LARGEST_FILE:,} are the most")


def main() -> int:
    """Take the pictures that are asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], metavar="NAME", help=", ".join(PICTURES))
    for name in parser.parse_args().names or PICTURES:
        target, take = PICTURES[name]
        window = open_window()
        try:
            save(take(window), DOCS / target)
        finally:
            window.viewer.close()
        print(f"docs/{target}: {(DOCS / target).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
