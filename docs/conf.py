"""The site of the documentation: `make docs` builds it into site/, and every warning is an error."""

from typing import Any

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


# Of fields and properties, as their docstrings have it
_told: dict[str, list[str]] = {}


def keep_fields(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Keep the docstring of a field or a property, of which napoleon takes what stands before a colon for its type."""
    if what in ("attribute", "property"):
        # Python's own words, of a field of a named tuple that has none
        _told[name] = [line for line in lines if not line.startswith("Alias for field number")]


def put_back_fields(app: Any, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Put it back after napoleon."""
    if name in _told:
        lines[:] = _told.pop(name)


def setup(app: Any) -> None:
    """Tell Sphinx of these: napoleon has its turn at 500."""
    app.connect("autodoc-process-docstring", keep_fields, priority=400)
    app.connect("autodoc-process-docstring", put_back_fields, priority=600)
