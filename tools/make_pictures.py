"""Take the pictures of the documentation, of the real window: ``make pictures`` on a screen in memory.

Names after the command take only those: ``make pictures ARGS="dock stack"``. One of them, "animation", moves.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import napari
    from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
WIDTH, HEIGHT, TALL = 1280, 720, 800
COLOURS = 256, 128, 64, 48, 32
LARGEST_FILE = 200_000
ANIMATION, LARGEST_ANIMATION = "animation.gif", 2_000_000
ANIMATION_SIZE, ANIMATION_WIDTH = (1020, 690), 820
# GIF has 256 colours; one of them stands for what stays as it was
ANIMATION_COLOURS = 255
# seconds
LONGEST_WAIT, SETTLE, PAUSE = 240.0, 1.5, 0.01
# Of the animation: how often events are worked off before a frame, milliseconds from which one counts as looked at
ROUNDS, LONG = 5, 400
# The arrow of a pointer, from its tip
POINTER = ((0, 0), (0, 22), (5, 17), (9, 26), (13, 24), (9, 16), (16, 16))


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
    """Return the whole window with the board compared: the picture of the first page."""
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


class Film:
    """The frames of the animation: the whole window, smaller, with a pointer drawn into it.

    Nothing in it depends on how long things take: a frame is taken when all is drawn, and says how long it is shown.
    """

    def __init__(self, window: Window) -> None:
        self.window = window
        self.frames: list[Image.Image] = []
        self.times: list[int] = []
        self._pointer: tuple[float, float] | None = None

    def show(self, milliseconds: int) -> None:
        """Take the window as it is now."""
        from PIL import Image
        from qtpy.QtWidgets import QApplication

        for _ in range(ROUNDS):
            QApplication.processEvents()
        picture = Image.fromarray(whole(self.window)[..., :3])
        if self._pointer is not None:
            draw_pointer(picture, self._pointer)
        height = round(picture.height * ANIMATION_WIDTH / picture.width)
        self.frames.append(picture.resize((ANIMATION_WIDTH, height), Image.Resampling.LANCZOS))
        self.times.append(milliseconds)

    def press(self, button: Any, act: Callable[[], object], milliseconds: int) -> None:
        """Go to a button, press it, and show what comes of it; a button that is out of sight is not pointed at."""
        if not button.visibleRegion().isEmpty():
            self.go_to(button, (0.5, 0.6))
            button.setDown(True)
            self.show(100)
            button.setDown(False)
        act()
        self.show(milliseconds)

    def go_to(self, widget: Any, share: tuple[float, float], steps: int = 4) -> None:
        """Move the pointer to a place in a widget, told by its shares of width and height."""
        goal = self.place_in(widget, share)
        begin = self._pointer or goal
        for step in range(1, steps + 1):
            self._pointer = tuple(b + (g - b) * step / steps for b, g in zip(begin, goal, strict=True))
            if self._pointer != begin:
                self.show(40)

    def point_at(self, widget: Any, share: tuple[float, float]) -> None:
        """Put the pointer there at once."""
        self._pointer = self.place_in(widget, share)

    def place_in(self, widget: Any, share: tuple[float, float]) -> tuple[float, float]:
        """Return a place in a widget in pixels of the window."""
        corner = widget.mapTo(widget.window(), widget.rect().topLeft())
        return corner.x() + share[0] * widget.width(), corner.y() + share[1] * widget.height()


def film(window: Window) -> Film:
    """Return what the README shows: compare, go to regions, look at one of them in four ways."""
    from qtpy.QtWidgets import QApplication, QDockWidget

    viewer, dock = window.viewer, window.dock
    panel, looker, ways = dock.panel, dock.looker, dock.panel.ways.buttons
    main = dock.window()
    main.resize(*ANIMATION_SIZE)
    canvas = main.centralWidget()
    for other in main.findChildren(QDockWidget):
        # napari's own, which can be hidden: the picture is small
        other.setVisible(other.isAncestorOf(dock))
    # As for the dock: the canvas must have taken its place
    QApplication.processEvents()
    viewer.open_sample("napari-image-diff", "photo")
    window.wait(panel.compare_button.isEnabled)
    taken = Film(window)
    taken.point_at(canvas, (0.7, 0.85))
    taken.show(800)
    taken.press(panel.compare_button, window.compare, 1300)
    for _ in range(2):
        taken.press(panel.next_button, dock.tour.go_next, 800)
    taken.press(ways["blink"], partial(looker.toggle, "blink"), LONG)
    for _ in range(3):
        looker.flip()
        taken.show(LONG)
    taken.press(ways["swipe"], partial(looker.toggle, "swipe"), 300)
    taken.go_to(canvas, (looker.cut, 0.75))
    for cut in (*np.linspace(looker.cut, 0.25, 8)[1:], *np.linspace(0.25, 0.8, 14)[1:]):
        looker.swipe_to(float(cut))
        taken.point_at(canvas, (looker.cut, 0.75))
        taken.show(60)
    taken.show(200)
    taken.press(ways["overlay"], partial(looker.toggle, "overlay"), 1000)
    taken.press(ways["side_by_side"], partial(looker.toggle, "side_by_side"), 1200)
    taken.press(ways["side_by_side"], partial(looker.toggle, "side_by_side"), LONG)
    viewer.reset_view()
    taken.show(800)
    return taken


def draw_pointer(picture: Image.Image, place: tuple[float, float]) -> None:
    """Draw an arrow whose tip is at a place."""
    from PIL import ImageDraw

    outline = [(place[0] + x, place[1] + y) for x, y in POINTER]
    ImageDraw.Draw(picture).polygon(outline, fill="white", outline="black", width=2)


def save_film(taken: Film, file: Path) -> None:
    """Save an animation in colours that all of its frames share, of each frame only what is another one."""
    from PIL import Image

    still = [np.asarray(frame) for frame, time in zip(taken.frames, taken.times, strict=True) if time >= LONG]
    colours, counts = np.unique(np.concatenate(still).reshape(-1, 3) // 4 * 4 + 2, axis=0, return_counts=True)
    # By their roots: or what is small, like a region in magenta, has a colour of the sky
    weighed = np.repeat(colours, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    palette = Image.fromarray(weighed[None]).quantize(ANIMATION_COLOURS, kmeans=3, dither=Image.Dither.NONE)
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in taken.frames]
    first.save(file, save_all=True, append_images=others, duration=taken.times, loop=0, optimize=True)
    if file.stat().st_size > LARGEST_ANIMATION:
        raise ValueError(f"{file.name} has {file.stat().st_size:,} bytes; {LARGEST_ANIMATION:,} are the most")


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
    known = [*PICTURES, "animation"]
    parser.add_argument("names", nargs="*", choices=[[], *known], metavar="NAME", help=", ".join(known))
    for name in parser.parse_args().names or known:
        target, take = PICTURES.get(name, (ANIMATION, None))
        window = open_window()
        try:
            if take is None:
                save_film(film(window), DOCS / target)
            else:
                save(take(window), DOCS / target)
        finally:
            window.viewer.close()
        print(f"docs/{target}: {(DOCS / target).stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
