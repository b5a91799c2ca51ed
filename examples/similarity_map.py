"""The SSIM map alone, with the Gaussian window of Wang et al. (2004), and regions from a threshold of one's own."""

import numpy as np

from napari_image_diff import find_regions, ssim_map
from napari_image_diff.samples import cells

before, after = (data for data, *_ in cells())

score, difference = ssim_map(before, after, window="gaussian", sigma=1.5, use_sample_covariance=False, data_range=4095)
print(f"mean SSIM {score:.4f}; the most different pixel has 1 - SSIM = {np.nanmax(difference):.2f}")

labels, regions = find_regions(difference, threshold=0.6, min_area=20)
print(f"{len(regions)} regions, {np.count_nonzero(labels)} pixels")
