"""Images in chunks on worker processes of this machine, against threads alone: ``python benchmarks/cluster.py``."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from gigapixel import make_image

from napari_image_diff import compare

GIGAPIXELS = 0.2


def measure(images: tuple[Any, Any]) -> float:
    """Return the megapixels a second that the images are compared at."""
    begin = time.perf_counter()
    found = compare(*images)
    assert len(found.regions) == 1
    return images[0].size / 1e6 / (time.perf_counter() - begin)


def main() -> None:
    """Print a row for threads, one worker and two."""
    from distributed import Client, LocalCluster

    side = round((GIGAPIXELS * 1e9) ** 0.5)
    change = np.array([[side // 3, side // 2]])
    images = make_image(side, 0, change[:0]), make_image(side, 1, change)
    small = tuple(image[:3000, :3000] for image in images)
    compare(*small)
    print(f"threads of this process  {measure(images):6.1f} Mpx/s")
    for count in (1, 2):
        options = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            compare(*small)
            speed = measure(images)
            memory = max(client.run(find_memory).values())
        print(
            f"{count} worker{'s' * (count > 1)} of one thread     {speed:6.1f} Mpx/s, at most {memory:.2f} GB in a worker"
        )


def find_memory() -> float:
    """Return the most memory that this process had, in GB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
