"""Which version this is, and those of the libraries that a result depends on."""

from __future__ import annotations

__all__ = ["VERSION", "find_versions"]

VERSION = "0.1.0"


def find_versions() -> dict[str, str]:
    """Return the versions that a result depends on, by the name of the library."""
    # Looking them up in the metadata of the installed packages takes tens of milliseconds
    import cv2
    import numba
    import numpy as np

    return {
        "napari-image-diff": VERSION,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "opencv": cv2.__version__,
    }
