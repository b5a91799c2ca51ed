"""Open napari with a sample pair, the widget docked and the comparison done.

Without a display the same happens on a screen in memory (Xvfb), and a picture of the whole window is saved.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

PICTURE = Path("screenshots", "napari-image-diff.png")
SCREEN = "-screen 0 1600x1000x24"
LONGEST_WAIT_MS = 120_000
SETTLE_MS = 1_500


def main() -> int:
    """Show the demonstration; with ``--save`` take its picture and leave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--save", type=Path, metavar="PNG", help="save a picture of the window and leave")
    parser.add_argument("--sample", default="photo", help="sample pair that is shown; %(default)s if not given")
    options = parser.parse_args()
    if not has_display():
        show_in_memory(options.save or PICTURE, options.sample)
    return show(options.save, options.sample)


def has_display() -> bool:
    """Return whether there is a screen to open a window on."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show_in_memory(picture: Path, sample: str) -> None:
    """Start this again on a screen in memory; does not return."""
    print("There is no display here: napari opens on a screen in memory and its picture is saved.", flush=True)
    command = ["xvfb-run", "--auto-servernum", f"--server-args={SCREEN}", sys.executable, __file__]
    os.execvp(command[0], [*command, "--save", str(picture), "--sample", sample])


def show(picture: Path | None, sample: str) -> int:
    """Open the window; where a `picture` is asked for, return when it is saved, 1 if it could not be."""
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(title="napari-image-diff")
    viewer.window.resize(1480, 800)
    _, widget = viewer.window.add_plugin_dock_widget("napari-image-diff", "Image Difference")
    # napari fits the first layer into the canvas as it is then: the dock must have taken its place
    QApplication.processEvents()
    viewer.open_sample("napari-image-diff", sample)
    if picture is not None:
        save_when_done(viewer, picture)
    widget.compare()
    napari.run()
    if picture is not None and not picture.exists():
        print("The comparison did not end in time: no picture was saved.", file=sys.stderr)
        return 1
    return 0


def save_when_done(viewer: napari.Viewer, picture: Path) -> None:
    """Save a picture of the window as soon as the three layers of the result are there, and close it."""
    from qtpy.QtCore import QTimer

    def save() -> None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        viewer.window.screenshot(str(picture), canvas_only=False, flash=False)
        print(f"Saved a picture of the window: {picture.resolve()}", flush=True)
        viewer.close()

    def await_drawing() -> None:
        if len(viewer.layers) == 5:
            QTimer.singleShot(SETTLE_MS, save)

    picture.unlink(missing_ok=True)
    viewer.layers.events.inserted.connect(await_drawing)
    QTimer.singleShot(LONGEST_WAIT_MS, viewer.close)


if __name__ == "__main__":
    raise SystemExit(main())
