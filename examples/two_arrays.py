"""Compare two arrays and look at what changed."""

from napari_image_diff import compare
from napari_image_diff.samples import photo

before, after = (data for data, *_ in photo())

comparison = compare(before, after)
print(comparison.summary)
print(comparison.regions[["label", "min_row", "min_col", "max_row", "max_col", "area", "difference_mean"]])

# the difference map is kept: another threshold or minimum area costs next to nothing
large = comparison.rethreshold(threshold=0.5, min_area=500)
print(large.summary)
