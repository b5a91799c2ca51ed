"""Measure what files cost: the whole process for one pair, and a thousand pairs against decoding them alone.

All figures come from one run: calls of ours and of the peer alternate, and their medians are compared. ``--pairs 100``
takes fewer pairs.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import pictures

from napari_image_diff import Settings, compare_folders

SIDE = 512
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
TEN_LINES = Path(__file__).with_name("ten_lines.py")
CLASSIC = ("--threshold", "otsu", "--min-area", "40", "--align", "none", "--alpha", "drop")

# Times one pair is compared, and all pairs
PROCESSES = 15
ROUNDS = 3

LINE = "{:<46} {:>11} {:>11} {:>7} {:>7}  {}"


def main() -> int:
    """Print one line a figure; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    asked = parser.parse_args()
    print(f"{THREADS} processors, pictures of {SIDE} x {SIDE} in colour, PNG: {pictures.DESCRIPTION}\n")
    print(LINE.format("", "ours", "other", "ratio", "target", ""))
    with tempfile.TemporaryDirectory() as folder:
        met = [*measure_process(Path(folder)), *measure_folders(Path(folder), asked.pairs)]
    return 0 if all(met) else 1


def measure_process(folder: Path) -> list[bool]:
    """Compare one pair, each time in a process of its own."""
    images = [folder / name for name in ("before.png", "after.png")]
    for path, picture in zip(images, pictures.make_pair(SIDE), strict=True):
        cv2.imwrite(str(path), picture[..., ::-1])
    out = folder / "out"
    (folder / "ten").mkdir()
    ours = [sys.executable, "-m", "napari_image_diff", *map(str, images)]
    calls = {
        "ten lines": [sys.executable, str(TEN_LINES), *map(str, images), str(folder / "ten")],
        "whole process, classic": [*ours, *CLASSIC],
        "whole process, default": ours,
        "whole process, classic, pictures and report": [*ours, *CLASSIC, "--out", str(out), "--force"],
        "whole process, default, pictures and report": [*ours, "--out", str(out), "--force"],
    }
    times = alternate({name: lambda call=call: run(call) for name, call in calls.items()}, PROCESSES)
    peer = times.pop("ten lines")
    return [tell(name, took, peer, 2.0, "ten lines with OpenCV and scikit-image") for name, took in times.items()]


def measure_folders(folder: Path, count: int) -> list[bool]:
    """Compare many pairs, in this process."""
    before, after = folder / "A", folder / "B"
    make_pairs(before, after, count)
    paths = [*before.iterdir(), *after.iterdir()]

    def decode() -> None:
        with ThreadPoolExecutor(THREADS) as pool:
            for image in pool.map(lambda path: cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED), paths):
                assert image.shape == (SIDE, SIDE, 3)

    peaks: list[float] = []

    def compare_all(settings: Settings) -> None:
        for number, found in enumerate(compare_folders(before, after, settings)):
            assert found.result is not None, found.error
            if number == count // 10:
                peaks.append(peak())

    calls: dict[str, Callable[[], Any]] = {
        "decoding": decode,
        f"{count:,} pairs, classic": lambda: compare_all(Settings.classic()),
        f"{count:,} pairs, default": lambda: compare_all(Settings()),
    }
    compare_all(Settings())
    begun, ended = peaks[0], peak()
    times = alternate(calls, ROUNDS)
    peer = times.pop("decoding")
    met = [
        tell(name, took, peer, target, f"decoding alone, {THREADS} threads")
        for (name, took), target in zip(times.items(), (1.5, 3.0), strict=True)
    ]
    print(f"\npeak resident size {begun:.0f} MB at a tenth of the pairs, {ended:.0f} MB at the end")
    return met


def make_pairs(before: Path, after: Path, count: int) -> None:
    """Write pairs: a quarter identical, the others with noise, and in a third of all a patch that changed."""
    random = np.random.default_rng(2)
    scene = pictures.make_pair(4 * SIDE)[0]
    for folder in (before, after):
        folder.mkdir()
    for number in range(count):
        row, column = random.integers(0, 3 * SIDE, 2)
        one = scene[row : row + SIDE, column : column + SIDE]
        other = one.astype(np.int16)
        if number % 4:
            other += np.rint(random.normal(0, 1.5, one.shape)).astype(np.int16)
        if number % 3 == 0:
            row, column = random.integers(0, SIDE - 40, 2)
            other[row : row + 30, column : column + 40] = 255 - other[row : row + 30, column : column + 40]
        for folder, picture in ((before, one), (after, other.clip(0, 255).astype(np.uint8))):
            cv2.imwrite(str(folder / f"{number:05}.png"), picture[..., ::-1])


def alternate(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median time of each call, in seconds; they take turns, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if number:
                times[name].append(time.perf_counter() - begun)
    return {name: median(each) for name, each in times.items()}


def run(call: Sequence[str]) -> None:
    """Run a process as one that is installed runs: its modules are compiled once."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr


def peak() -> float:
    """Return the largest resident size so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def tell(name: str, ours: float, other: float, target: float, what: str) -> bool:
    """Print a line; return whether the target is met."""
    ratio = ours / other
    verdict = "met" if ratio <= target else "MISSED"
    print(LINE.format(name, f"{ours:.3f} s", f"{other:.3f} s", f"{ratio:.2f}", f"{target}", f"{verdict}: {what}"))
    return ratio <= target


if __name__ == "__main__":
    sys.exit(main())
