"""Print docs/settings.md, made from `Settings`: ``python tools/settings_table.py > docs/settings.md``."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from napari_image_diff import Settings
from napari_image_diff.settings import describe_fields

# Bounds from here on are there for the form alone.
ENDLESS = 1e6

HEAD = """# Settings

Every parameter of a comparison: in the dock, as a keyword (`compare(before, after, min_area=10)`), and as an option
(`--min-area 10`). This page is made from `Settings` by `tools/settings_table.py`; a test keeps it true.

`Settings.classic()` gives the defaults, those of the StackOverflow recipe; with `min_area=-1` they are PyImageSearch's.
`Settings.wang2004()` is the window of Wang et al. (2004).

| setting | default | values | what it does |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page."""
    defaults = Settings()
    rows = [
        f"| `{name}` | `{getattr(defaults, name)}` | {describe_values(kind, metadata)} | {metadata['help']} |"
        for name, (kind, metadata) in describe_fields().items()
    ]
    return HEAD + "\n".join(rows) + "\n"


def describe_values(kind: Any, metadata: dict[str, Any]) -> str:
    """Say what a field may be."""
    if kind is bool:
        return "`True`, `False`"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    words = [describe_values(part, metadata) for part in get_args(kind) if get_origin(part) is Literal]
    least, most = metadata["min"], metadata["max"]
    span = f"{least:g} to {most:g}" if most < ENDLESS else f"{least:g} and more"
    return " or ".join([*words, f"{span} ({metadata['unit']})"])


if __name__ == "__main__":
    print(settings_page(), end="")
