"""Measure the engine against its peers and print ratios, targets and verdicts in one table.

All figures come from one run: calls of ours and of the peer alternate, and their medians are compared.
``--only memory first`` measures the rows whose names contain one of these words, ``--list`` names the rows,
``--quick`` takes smaller pictures and fewer calls (the ratios are then lower than those of the targets).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import peers
import pictures

from napari_image_diff import Settings, compare, ssim_map

PROBE = Path(__file__).with_name("probe.py")
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
DATA_RANGES = {"uint8": 255.0, "uint16": 4095.0, "float32": 1.0}

# Slow peers take seconds a call; then ours, which takes milliseconds, is called more often.
CALLS_A_ROUND = 3
ROUNDS_OF_FAST_PEERS = 15
ROUNDS_OF_SIZES = 3

LINE = "{:<50} {:>16} {:>16} {:>8} {:>8}  {}"


class Bench(NamedTuple):
    """The pictures and how much is measured."""

    before: pictures.Picture
    after: pictures.Picture
    rounds: int
    sides: tuple[int, ...]

    def gray(self, dtype: str = "uint8") -> tuple[Any, Any]:
        """Return the pair in gray."""
        return pictures.to_gray(self.before, dtype), pictures.to_gray(self.after, dtype)


class Row(NamedTuple):
    """A line of the table; `met` is None where nothing was measured."""

    ours: str
    other: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None


def measure_scikit_image(bench: Bench, dtype: str, target: float) -> Row:
    """SSIM map and score against scikit-image."""
    pair, scale = bench.gray(dtype), DATA_RANGES[dtype]
    times = alternate(lambda: ssim_map(*pair, data_range=scale), lambda: peers.scikit_image(*pair, scale), bench.rounds)
    return faster(*times, target)


def measure_volume(bench: Bench, dtype: str, target: float) -> Row:
    """SSIM of a volume against scikit-image: map, score, and ours the regions too."""
    scale = DATA_RANGES[dtype]
    settings = Settings.classic(spatial_ndim=3, data_range=scale)
    pair = [as_volume(plane) for plane in bench.gray(dtype)]
    times = alternate(lambda: compare(*pair, settings), lambda: peers.scikit_image(*pair, scale), bench.rounds)
    return faster(*times, target)


def measure_fast_ssim(bench: Bench) -> Row:
    """SSIM map and score against PyPI's Fast-SSIM, which has no map."""
    pair = bench.gray()
    try:
        peers.fast_ssim(*pair, 255)
    except ImportError:
        return Row("not measured: pip install Fast-SSIM==1.4.0")
    return at_most(*alternate(lambda: ssim_map(*pair, data_range=255), lambda: peers.fast_ssim(*pair, 255)), 1.1)


def measure_one_pass(bench: Bench) -> Row:
    """SSIM map and score against reading both images and writing a float32 map."""
    pair = bench.gray()
    return at_most(*alternate(lambda: ssim_map(*pair, data_range=255), lambda: peers.one_pass(*pair, THREADS)), 4)


def measure_recipe(bench: Bench) -> Row:
    """Whole comparison, in colour, against the recipe."""
    pair = bench.before, bench.after
    return faster(*alternate(lambda: compare(*pair, Settings.classic()), lambda: peers.recipe(*pair), bench.rounds), 40)


def measure_rethreshold(bench: Bench) -> Row:
    """Rethresholding against OpenCV's threshold and contours on the same map in 8 bits."""
    comparison = compare(bench.before, bench.after, Settings.classic())
    levels = (np.clip(1 - comparison.difference, 0, 1) * 255).astype(np.uint8)
    return at_most(*alternate(comparison.rethreshold, lambda: peers.threshold_and_contours(levels)), 3)


def measure_memory(bench: Bench) -> Row:
    """Peak memory above the inputs against the recipe's."""
    if not Path("/proc/self/clear_refs").exists():
        return Row("not measured: only on Linux")
    with saved(bench.before, bench.after) as paths:
        ours, other = (probe("memory", which, *paths) for which in ("compare", "recipe"))
    texts = f"{ours / 2**20:.0f} MB", f"{other / 2**20:.0f} MB"
    return Row(*texts, f"1/{other / ours:.1f}", "<= 1/8", 8 * ours <= other)


def measure_sizes(bench: Bench, function: Callable[[Any, Any], Any]) -> Row:
    """Cost per pixel over the sizes: one piece with two changes in it, repeated, so that all sizes show the same."""
    least = bench.sides[0]
    pieces = [plane[:least, least : 2 * least] for plane in bench.gray()]
    pairs, times = {}, {side: [] for side in bench.sides}
    for side in bench.sides:
        pairs[side] = [np.tile(piece, (side // least, side // least)) for piece in pieces]
    for _ in range(ROUNDS_OF_SIZES):  # in turn, so that what else the machine does meets all sizes alike
        for side, pair in pairs.items():
            calls = max(2, min(20, 2**25 // side**2))
            times[side] += [seconds(lambda pair=pair: function(*pair)) for _ in range(calls)]
    costs = {side: median(taken) / side**2 for side, taken in times.items()}
    lowest, highest = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    ratio = costs[highest] / costs[lowest]
    texts = [f"{costs[side] * 1e9:.2f} ns at {side}" for side in (highest, lowest)]
    return Row(*texts, f"{ratio:.2f}", "<= 1.25", ratio <= 1.25)


def measure_first_call(bench: Bench, *, compiled: bool) -> Row:
    """How much longer than a later call the first of a process takes, imports included."""
    calls, most = (3, 2) if compiled else (1, 8)
    part = np.s_[:1024, :1024]
    with saved(bench.before[part], bench.after[part]) as paths, tempfile.TemporaryDirectory() as cache:
        if compiled:
            probe("first", *paths, NUMBA_CACHE_DIR=cache)
        longer = median(probe("first", *paths, NUMBA_CACHE_DIR=cache) for _ in range(calls))
    return Row(f"{longer:.1f} s more", "", "", f"<= {most} s", longer <= most)


def measure_import(bench: Bench) -> Row:
    """Time of ``import napari_image_diff``."""
    taken = median(probe("import") for _ in range(7))
    return Row(f"{taken * 1000:.0f} ms", "", "", "<= 100 ms", taken <= 0.1)


ROWS: dict[str, Callable[[Bench], Row]] = {
    "SSIM map, uint8, against scikit-image": lambda bench: measure_scikit_image(bench, "uint8", 80),
    "SSIM map, uint16, against scikit-image": lambda bench: measure_scikit_image(bench, "uint16", 70),
    "SSIM map, float32, against scikit-image": lambda bench: measure_scikit_image(bench, "float32", 45),
    "volume of 64 planes, uint8, against scikit-image": lambda bench: measure_volume(bench, "uint8", 20),
    "volume of 64 planes, uint16, against scikit-image": lambda bench: measure_volume(bench, "uint16", 10),
    "SSIM map, uint8, against Fast-SSIM (no map)": measure_fast_ssim,
    "SSIM map, uint8, against one threaded pass": measure_one_pass,
    "compare, RGB uint8, against the recipe": measure_recipe,
    "rethreshold, against cv2 Otsu + contours": measure_rethreshold,
    "peak memory of compare, against the recipe": measure_memory,
    "sizes: SSIM map, uint8, time per pixel": lambda bench: measure_sizes(bench, ssim_map),
    "sizes: compare, uint8, time per pixel": lambda bench: measure_sizes(bench, compare),
    "first call ever, compiling": lambda bench: measure_first_call(bench, compiled=False),
    "first call of a new process": lambda bench: measure_first_call(bench, compiled=True),
    "import napari_image_diff": measure_import,
}


def seconds(function: Callable[[], Any]) -> float:
    """Return how long a call takes, without the time to free what it returns."""
    start = time.perf_counter()
    result = function()
    taken = time.perf_counter() - start
    del result
    return taken


def as_volume(plane: Any) -> Any:
    """Return the parts of a picture, 8 by 8 of them, as planes."""
    side = len(plane) // 8
    return np.ascontiguousarray(plane.reshape(8, side, 8, side).swapaxes(1, 2).reshape(-1, side, side))


def alternate(ours: Callable[[], Any], other: Callable[[], Any], rounds: int | None = None) -> tuple[float, float]:
    """Return the median times of two functions, called in turn; `rounds` is for slow peers."""
    ours()
    our_times, other_times = [], []
    for _ in range(rounds or ROUNDS_OF_FAST_PEERS):
        our_times += [seconds(ours) for _ in range(CALLS_A_ROUND if rounds else 1)]
        other_times.append(seconds(other))
    return median(our_times), median(other_times)


def faster(ours: float, other: float, target: float) -> Row:
    """Return a row on how many times faster ours is."""
    ratio = other / ours
    return Row(f"{ours * 1000:.1f} ms", f"{other * 1000:.0f} ms", f"{ratio:.1f} x", f">= {target} x", ratio >= target)


def at_most(ours: float, other: float, target: float) -> Row:
    """Return a row on what share of the other's time ours takes."""
    ratio = ours / other
    return Row(f"{ours * 1000:.1f} ms", f"{other * 1000:.1f} ms", f"{ratio:.2f}", f"<= {target}", ratio <= target)


@contextlib.contextmanager
def saved(before: pictures.Picture, after: pictures.Picture) -> Iterator[list[str]]:
    """Give the paths of files that hold the pair, for as long as they are needed."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("before.npy", "after.npy")]
        for path, picture in zip(paths, (before, after), strict=True):
            np.save(path, picture)
        yield paths


def probe(*arguments: str, **environment: str) -> float:
    """Return what `probe.py` measures in a process of its own."""
    command = [sys.executable, str(PROBE), *arguments]
    return float(
        subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True).stdout
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[""])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = {name: row for name, row in ROWS.items() if any(word in name for word in options.only)}
    if options.list:
        print(*ROWS, sep="\n")
        return
    size, rounds, largest = (2048, 1, 4096) if options.quick else (4096, 3, 16384)
    bench = Bench(*pictures.make_pair(size), rounds, tuple(2**power for power in range(9, largest.bit_length())))
    packages = ("napari-image-diff", "numpy", "numba", "scikit-image", "opencv-python-headless")
    print(", ".join(f"{package} {version(package)}" for package in packages))
    print(f"{THREADS} processors; {size} x {size} pixels unless said: {pictures.DESCRIPTION}\n")
    print(LINE.format("measure", "ours", "the other", "ratio", "target", ""))
    verdicts = {True: "met", False: "NOT MET", None: ""}
    met = []
    for name, measure in chosen.items():
        row = measure(bench)
        met.append(row.met)
        print(LINE.format(name, *row[:4], verdicts[row.met]), flush=True)
    print(f"\n{met.count(True)} of {len(met) - met.count(None)} targets met")


if __name__ == "__main__":
    main()
