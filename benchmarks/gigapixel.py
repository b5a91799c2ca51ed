"""Images larger than memory: throughput, memory and small changes, of images made from coordinates as they are read.

``python benchmarks/gigapixel.py [GIGAPIXELS ...]`` (0.1, 1 and 10 if none are given). Each size is compared in a
process of its own, and memory is that of the whole process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

# The texture repeats with this period, which no chunk has as its side.
PERIOD = 2039
CHUNK = 2048
CHANGE = 5
PRESETS: dict[str, dict[str, Any]] = {"default": {}, "fixed threshold": {"threshold": 0.9, "align": "none"}}


def make_texture(seed: int) -> NDArray[np.uint8]:
    """Return a texture with noise of 2 levels, so long that any chunk is a part of it."""
    side = np.arange(PERIOD) * (2 * np.pi / PERIOD)
    picture = (
        128
        + 50 * np.add.outer(np.sin(17 * side), np.cos(23 * side)) / 2
        + 30 * np.sin(np.add.outer(5 * side, 90 * side))
    )
    noisy = np.clip(picture + 2 * np.random.default_rng(seed).standard_normal(picture.shape), 0, 255).astype(np.uint8)
    return np.pad(noisy, (0, CHUNK), mode="wrap")


def make_image(side: int, seed: int, changes: NDArray[np.int64]) -> Any:
    """Return a dask array of `side` by `side` pixels, with squares of 5 by 5 pixels inverted."""
    import dask.array as da

    texture = make_texture(seed)

    def make_chunk(block_info: Any = None) -> NDArray[np.uint8]:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        row, column = top % PERIOD, left % PERIOD
        chunk = texture[row : row + bottom - top, column : column + right - left].copy()
        near = changes[(changes > (top - CHANGE, left - CHANGE)).all(1) & (changes < (bottom, right)).all(1)] - (
            top,
            left,
        )
        for y, x in near:
            square = chunk[max(y, 0) : y + CHANGE, max(x, 0) : x + CHANGE]
            square[:] = np.where(square > 127, 0, 255)
        return chunk

    rows = [CHUNK] * (side // CHUNK) + ([side % CHUNK] if side % CHUNK else [])
    return da.map_blocks(make_chunk, chunks=(tuple(rows), tuple(rows)), dtype=np.uint8, meta=np.empty((0, 0), np.uint8))


@contextmanager
def watch_memory() -> Iterator[list[int]]:
    """Give the resident bytes of this process, looked up again and again."""
    seen, done = [psutil.Process().memory_info().rss], threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            seen.append(psutil.Process().memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def measure(gigapixels: float, preset: str) -> dict[str, Any]:
    """Compare two images, and return what it took and whether all changes were found."""
    from napari_image_diff import compare

    side = round((gigapixels * 1e9) ** 0.5)
    rng = np.random.default_rng(1)
    changes = np.array([[side // 3, side // 2], [side - CHANGE - 9, 9], *rng.integers(50, side - 50, (14, 2))])
    before, after = make_image(side, 0, np.empty((0, 2), np.int64)), make_image(side, 1, changes)
    small = [image[:600, :600].compute() for image in (before, after)]
    compare(*small, **PRESETS[preset])
    compare(before[:4096, :4096], after[:4096, :4096], **PRESETS[preset])
    with watch_memory() as seen:
        begin = time.perf_counter()
        found = compare(before, after, **PRESETS[preset])
        seconds = time.perf_counter() - begin
    boxes = found.regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy()
    hits = [bool(((boxes[:, :2] <= change + 2) & (boxes[:, 2:] >= change + 3)).all(1).any()) for change in changes]
    return {
        "gigapixels": side**2 / 1e9,
        "seconds": seconds,
        "peak": max(seen) / 2**30,
        "start": seen[0] / 2**30,
        "hits": sum(hits),
        "changes": len(changes),
        "regions": len(boxes),
    }


def measure_in_memory(preset: str) -> float:
    """Return the throughput in memory, in megapixels a second, with the same settings."""
    from napari_image_diff import compare

    side = 10000
    changes = np.array([[side // 3, side // 2]])
    images = [make_image(side, 0, changes[:0]).compute(), make_image(side, 1, changes).compute()]
    compare(*(image[:600, :600] for image in images), **PRESETS[preset])
    begin = time.perf_counter()
    compare(*images, **PRESETS[preset])
    return side**2 / 1e6 / (time.perf_counter() - begin)


def main() -> None:
    """Print a row for each size and preset."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(float(sys.argv[2]), sys.argv[3])))
        return
    if sys.argv[1:2] == ["--memory"]:
        print(json.dumps(measure_in_memory(sys.argv[2])))
        return
    sizes = [float(size) for size in sys.argv[1:]] or [0.1, 1.0, 10.0]
    for preset in PRESETS:
        in_memory = ask("--memory", preset)
        print(f"{preset}: in memory {in_memory:.0f} Mpx/s", flush=True)
        for size in sizes:
            row = ask("--one", str(size), preset)
            speed = row["gigapixels"] * 1e3 / row["seconds"]
            print(
                f"  {row['gigapixels']:5.2f} Gpx  {row['seconds']:7.1f} s  {speed:6.1f} Mpx/s  "
                f"{speed / in_memory:5.2f} of in memory  peak {row['peak']:.2f} GB ({row['start']:.2f} before)  "
                f"{row['hits']} of {row['changes']} changes of 5 x 5 found, {row['regions']} regions",
                flush=True,
            )


def ask(*arguments: str) -> Any:
    """Return what this script prints in a process of its own."""
    done = subprocess.run([sys.executable, __file__, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
