"""The command line as ``python -m napari_image_diff``."""

from .cli import main

raise SystemExit(main())
