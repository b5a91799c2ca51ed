"""Measure what can be measured only in a process of its own; prints one number.

``probe.py import``: seconds that ``import napari_image_diff`` takes.
``probe.py first BEFORE AFTER``: seconds from the import to the first result, less those of a later call.
``probe.py memory compare|recipe BEFORE AFTER``: bytes of memory needed above the loaded images, at the peak.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from statistics import median


def measure_import() -> float:
    """Return the seconds of the import."""
    start = time.perf_counter()
    import napari_image_diff  # noqa: F401

    return time.perf_counter() - start


def measure_first(before_path: str, after_path: str) -> float:
    """Return how much longer the first comparison takes, imports included, than a later one."""
    start = time.perf_counter()
    import numpy as np

    before, after = np.load(before_path), np.load(after_path)
    loaded = time.perf_counter()
    from napari_image_diff import compare

    compare(before, after)
    first = time.perf_counter() - loaded
    later = []
    for _ in range(5):
        start = time.perf_counter()
        compare(before, after)
        later.append(time.perf_counter() - start)
    return first - median(later)


def measure_memory(which: str, before_path: str, after_path: str) -> float:
    """Return the peak of the resident memory in a comparison, less that before it."""
    import numpy as np

    if which == "compare":
        from napari_image_diff import compare as run
    else:
        from peers import recipe as run
    before, after = np.load(before_path), np.load(after_path)
    tiny = before[:64, :64].copy(), after[:64, :64].copy()
    run(*tiny)  # imports and compiled code are not part of it
    reset_peak()
    start = read_status("VmRSS")
    result = run(before, after)
    peak = read_status("VmHWM") - start
    del result
    return peak


def reset_peak() -> None:
    """Make the kernel forget the highest memory use so far (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def read_status(name: str) -> int:
    """Return an entry of this process's status in bytes (Linux)."""
    # not resource.getrusage: its peak is inherited from the process that started this one
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print({"import": measure_import, "first": measure_first, "memory": measure_memory}[what](*arguments))
