"""Compare each frame of a time series with the one before it and tell when something happened."""

import numpy as np

from napari_image_diff import Settings, compare

rng = np.random.default_rng(0)
movie = np.repeat(rng.integers(0, 4096, (1, 128, 128), dtype=np.uint16), 6, axis=0)
movie[3:, 40:60, 70:90] = 4000  # something arrives in frame 3 ...
movie[5:, 40:60, 70:90] = movie[0, 40:60, 70:90]  # ... and is gone in frame 5

# one data range for the whole series, so that the scores can be held against each other
settings = Settings(data_range=4095)
for frame in range(1, len(movie)):
    comparison = compare(movie[frame - 1], movie[frame], settings)
    print(f"frame {frame}: {comparison.summary}")
