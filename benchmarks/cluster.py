"""Images in chunks on worker processes of this machine, against threads alone: ``python benchmarks/cluster.py``."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import dask.array as da
import numpy as np
import zarr
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
    side = round((GIGAPIXELS * 1e9) ** 0.5)
    change = np.array([[side // 3, side // 2]])
    with tempfile.TemporaryDirectory() as folder:
        stored = []
        for seed, changes in enumerate((change[:0], change)):
            stored.append(
                zarr.create_array(f"{folder}/{seed}.zarr", shape=(side, side), chunks=(1024,) * 2, dtype="u1")
            )
            da.store(make_image(side, seed, changes).rechunk(1024), stored[-1], lock=False)
        run((stored[0], stored[1]))


def run(images: tuple[Any, Any]) -> None:
    """Print the rows for two images."""
    from distributed import Client, LocalCluster

    small = tuple(da.from_zarr(image)[:3000, :3000] for image in images)
    compare(*small)
    print(f"threads of this process  {measure(images):6.1f} Mpx/s")
    for count in (1, 2):
        options = {"n_workers": count, "threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50}
        with LocalCluster(**options) as cluster, Client(cluster) as client:
            compare(*small)
            speed = measure(images)
            memory = max(client.run(find_memory).values())
        print(f"{count} worker(s) of one thread  {speed:6.1f} Mpx/s, at most {memory:.2f} GB in one")


def find_memory() -> float:
    """Return the most memory that this process had, in GB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
