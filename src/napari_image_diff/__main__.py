"""The command line as ``python -m napari_image_diff``."""

from napari_image_diff.cli import main

raise SystemExit(main())
