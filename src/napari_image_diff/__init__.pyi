from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .layers import add_comparison as add_comparison
from .layers import layers_of as layers_of
from .settings import Settings as Settings
from .sweeps import find_regions as find_regions
from .sweeps import ssim_map as ssim_map
