"""The site of the documentation: `make docs` builds it into site/, and every warning is an error."""

from napari_image_diff import __version__

project = "napari-image-diff"
author = "the napari-image-diff developers"
copyright = author
release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["pictures"]
source_suffix = {".md": "markdown"}

# Headings are targets of links, as they are where the repository is looked at
myst_heading_anchors = 4

# In docstrings `word` is a name
default_role = "code"
autodoc_member_order = "bysource"
# Types are in the docstrings, with shapes
autodoc_typehints = "none"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "napari-image-diff"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
