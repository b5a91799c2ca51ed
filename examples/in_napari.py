"""Show a comparison in napari: the diff map, the changed regions and a box round each."""

import napari

from napari_image_diff import add_comparison
from napari_image_diff.samples import board

viewer = napari.Viewer()
before, after = (viewer.add_image(data, **attributes) for data, attributes, _ in board())

comparison = add_comparison(viewer, before, after, min_area=10)
print(comparison.summary)

napari.run()
