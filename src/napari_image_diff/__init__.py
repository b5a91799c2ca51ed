"""See what changed between two images: SSIM map, threshold, regions."""

import lazy_loader as _lazy

from .versions import VERSION as __version__  # noqa: F401

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
del _lazy
