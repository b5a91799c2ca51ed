"""Print docs/settings.md, made from `Settings`: ``python tools/settings_table.py > docs/settings.md``."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, get_args, get_origin

from napari_image_diff import Settings
from napari_image_diff.settings import describe_fields

# Bounds from here on are there for the form alone.
ENDLESS = 1e6

HEAD = """# Settings

Every parameter of a comparison: in the dock, as a keyword (`compare(before, after, min_area=10)`), and as an option
(`--min-area 10`). This page is made from `Settings` by `tools/settings_table.py`; a test keeps it true.

The defaults detect what noise and edges do not explain.

- `Settings.classic()` is the recipe of StackOverflow, and with `min_area=-1` that of PyImageSearch: {classic}.
- `Settings.wang2004()` is `classic` with the window of Wang et al. (2004): {wang2004}.

| setting | default | values | what it does |
|---|---|---|---|
"""


def settings_page() -> str:
    """Return the page."""
    defaults = Settings()
    classic, wang2004 = Settings.classic(), Settings.wang2004()
    head = HEAD.format(classic=list_changes(classic, defaults), wang2004=list_changes(wang2004, classic))
    rows = [
        f"| `{name}` | `{getattr(defaults, name)}` | {describe_values(kind, metadata)} | {metadata['help']} |"
        for name, (kind, metadata) in describe_fields().items()
    ]
    return head + "\n".join(rows) + "\n"


def list_changes(settings: Settings, others: Settings) -> str:
    """Return the fields of `settings` that are not those of `others`, as keywords."""
    fields = dataclasses.asdict(settings).items() - dataclasses.asdict(others).items()
    return ", ".join(f"`{name}={value!r}`" for name, value in sorted(fields))


def describe_values(kind: Any, metadata: dict[str, Any]) -> str:
    """Say what a field may be."""
    if kind is bool:
        return "`True`, `False`"
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    words = [describe_values(part, metadata) for part in get_args(kind) if get_origin(part) is Literal]
    least, most = metadata["min"], metadata["max"]
    span = f"{least:g} to {most:g}" if most < ENDLESS else f"{least:g} and more"
    unit = f" ({metadata['unit']})" if "unit" in metadata else ""
    return " or ".join([*words, span + unit])


if __name__ == "__main__":
    print(settings_page(), end="")
