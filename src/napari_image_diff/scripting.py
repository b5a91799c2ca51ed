"""A comparison of two layers as Python code that makes it again: in napari's console, or as a script without napari."""

from __future__ import annotations

import ast
import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .frames import name_axes
from .geometry import array_of, real_layer, sides_of
from .overlaying import covers
from .placing import Frame
from .reading import read_image
from .settings import Settings
from .sources import is_lazy

if TYPE_CHECKING:
    from napari.layers import Image

    from .comparison import Comparison

__all__ = ["write_for_console", "write_script"]

PRESETS = (Settings, Settings.classic, Settings.wang2004)

# What may be imported
PUBLIC = ("Settings", "add_comparison", "compare", "mask_of", "match_resolution", "read_image", "resample")

# A call that is longer has a line for each argument.
LONGEST_LINE = 100

# What is larger is not read to see whether it is still what the layer has.
MOST_READ = 2**27


def write_for_console(
    comparison: Comparison,
    before: Image,
    after: Image,
    *,
    frame: Frame = None,
    masks: Mapping[str, Any] | None = None,
) -> str:
    """Return the lines that make a comparison again in napari's console.

    Parameters
    ----------
    comparison : Comparison
        What is shown, after all cuts.
    before, after : napari.layers.Image
        The layers that were compared; in the code they go by their names, which a layer list has but once.
    frame : int or "previous", optional
        What of `before` was compared, as in `add_comparison`.
    masks : mapping, optional
        The layers that said which pixels count: ``{"ignore": layer}`` or ``{"inside": layer}``; None where it was an
        array.

    Returns
    -------
    str
        A call of `add_comparison`; of a frame on the screen alone, one of `compare`. The result is in ``comparison``.
    """
    before, after, masks = real_layer(before), real_layer(after), masks or {}
    if "shown_frames" in comparison.resolved:
        sources = _find_sources(comparison, before, after, masks)
        return _with_imports([*_compare_arrays(comparison, before, after, frame, masks, sources), "comparison.summary"])
    overlay = comparison.resolved.get("overlay")
    arguments = ["viewer", _name(before), _name(after), *_list_settings(comparison.settings, leave_out=("channels",))]
    arguments += [f"frame={frame!r}"] if frame is not None else []
    arguments += [f"{name}={name if mask is None else _name(mask)}" for name, mask in masks.items()]
    arguments += ["by_index=True"] if overlay is not None and overlay["way"] == "by index" else []
    lines = [f"# {name} is the array that was given" for name, mask in masks.items() if mask is None]
    return _with_imports([*lines, _call("comparison = add_comparison", arguments), "comparison.summary"])


def write_script(
    comparison: Comparison,
    before: Image,
    after: Image,
    *,
    frame: Frame = None,
    masks: Mapping[str, Any] | None = None,
) -> str:
    """Return a script that makes a comparison again without napari.

    Parameters
    ----------
    comparison, before, after, frame, masks
        As in `write_for_console`.

    Returns
    -------
    str
        It reads the files of the two layers, where those have just what the layers have; else it loads arrays, and
        says in its first lines what to run in napari's console to save them. Where the layers lie is in it as numbers.
        The result is in ``comparison``, with the labels and the table of the one that was given.
    """
    before, after, masks = real_layer(before), real_layer(after), masks or {}
    sources, saves = _find_sources(comparison, before, after, masks), []
    for name, source in sources.items():
        layer = {"before": before, "after": after}.get(name)
        path = _find_file(layer) if layer is not None else None
        if path is not None:
            sources[name] = f"read_image({str(path)!r})"
        elif source != "before":
            saves.append(f'np.save("{name}.npy", {source})')
            sources[name] = f'np.load("{name}.npy")'
    lines = _compare_arrays(comparison, before, after, frame, masks, sources)
    shown = ["print(comparison.summary)", "print(comparison.regions.to_string(index=False))"]
    script = _with_imports([*lines, "", *shown])
    if not saves:
        return script
    first = "# What is in no file is saved in napari's console, once, into the folder where this script runs:\n#\n"
    return first + "".join(f"#     {line}\n" for line in _with_imports(saves).splitlines() if line) + "\n" + script


def _find_sources(comparison: Comparison, before: Image, after: Image, masks: Mapping[str, Any]) -> dict[str, str]:
    """Return what gives the arrays in napari's console: those of the layers whole, those of masks as they count."""
    sources = {"before": _data(before), "after": "before" if after is before else _data(after)}
    place = comparison.resolved.get("shown_frames", {}).get("before")
    for name, mask in masks.items():
        arguments = ["" if mask is None else _name(mask), _name(before)]
        if place is not None:
            arguments.append(repr(tuple(place)))
        sources[name] = name if mask is None else f"mask_of({', '.join(arguments)})"
    return sources


def _compare_arrays(
    comparison: Comparison,
    before: Image,
    after: Image,
    frame: Frame,
    masks: Mapping[str, Any],
    sources: Mapping[str, str],
) -> list[str]:
    """Return the lines that make a comparison of arrays, which `sources` gives."""
    settings, resolved = comparison.settings, comparison.resolved
    axes, overlay = settings.spatial_ndim, resolved.get("overlay")
    lines = [f"{name} = {source}" for name, source in sources.items() if name != source]
    shown = resolved.get("shown_frames")
    if shown is not None:
        places = {"before": shown["before"], "after": shown["after"]}
        lines += [f"{name} = {name}[{', '.join(map(str, place))}]" for name, place in places.items() if len(place)]
    elif frame is not None:
        # A mask of fewer axes is one for all frames
        taken = ["before", *(name for name, mask in masks.items() if mask is not None and mask.ndim == before.ndim)]
        lines += [f"{name} = {_take_frame(name, before.ndim, frame, axes)}" for name in taken]
    compared, arguments = "after", [*_list_settings(settings), *(f"{name}={name}" for name in masks)]
    if overlay is not None and overlay["way"] == "resampled":
        single = shown is not None or (isinstance(frame, int) and before.ndim == axes + 1)
        laid, whole = _lay(overlay, before, after, axes, axes if single else before.ndim)
        lines += ["", *laid]
        compared = "resampled"
        arguments += [] if whole else ["overlap=overlap"]
    names = tuple(resolved.get("frames", ()))
    if names != name_axes((0,) * len(names), ()) and names:
        arguments.append(f"axes={names!r}")
    if resolved.get("spacing") is not None:
        arguments.append(f"spacing={tuple(resolved['spacing'])!r}")
    if "world" in resolved:
        matrix, unit = resolved["world"]["matrix"], resolved["world"]["unit"]
        lines += ["", "# Where before lies in the viewer", f"world = [\n{_list_rows(matrix)}], {unit!r}"]
        arguments.append("world=world")
    return [*lines, _call("comparison = compare", ["before", compared, *arguments])]


def _take_frame(name: str, ndim: int, frame: Frame, spatial_ndim: int) -> str:
    """Return the code that does what `layers.take_frame` does."""
    if frame == "previous":
        return f"np.concatenate([{name}[:1], {name}[:-1]])"
    taken = f"{name}[{frame}]"
    return taken if ndim == spatial_ndim + 1 else f"np.broadcast_to({taken}, {name}.shape)"


def _lay(
    overlay: Mapping[str, Any], before: Image, after: Image, spatial_ndim: int, ndim: int
) -> tuple[list[str], bool]:
    """Return the lines that do what `overlaying.lay` does with arrays, of which that of before has `ndim` axes.

    And whether all of before overlaps.
    """
    matrix = np.array(overlay["matrix"])
    axes = len(matrix) - 1
    shape = f"before.shape[{-axes - 1}:-1]" if before.rgb else f"before.shape[{-axes}:]"
    if axes == ndim and not before.rgb:
        shape = "before.shape"
    volumes = ["spatial_ndim=3"] if spatial_ndim == 3 else []
    arguments = ["after", "matrix", shape, *volumes, *(["rgb=True"] if after.rgb else [])]
    lines = [
        "# Takes an index of before to the place in after that lies there in the viewer",
        f"matrix = [\n{_list_rows(matrix.tolist())}]",
        _call("resampled, overlap = resample", arguments),
    ]
    if overlay["matched"]:
        colours = [f"rgb={(bool(before.rgb), bool(after.rgb))}"] if before.rgb or after.rgb else []
        lines += [
            "# Before with the larger pixels of after",
            _call("before = match_resolution", ["before", "after", "matrix", *volumes, *colours]),
        ]
    return lines, covers(matrix, sides_of(before, axes), sides_of(after, axes), spatial_ndim)


def _list_rows(matrix: list[list[float]]) -> str:
    return "".join(f"    {row!r},\n" for row in matrix)


def _list_settings(settings: Settings, leave_out: Sequence[str] = ()) -> list[str]:
    """Return the settings as the fewest arguments: those that differ from a preset."""
    asked = {name: value for name, value in dataclasses.asdict(settings).items() if name not in leave_out}
    found = []
    for preset in PRESETS:
        standard = dataclasses.asdict(preset())
        found.append([f"{name}={_literal(value)}" for name, value in asked.items() if value != standard[name]])
    changes = min(found, key=len)
    preset = PRESETS[found.index(changes)]
    return changes if preset is Settings else [f"{preset.__qualname__}({', '.join(changes)})"]


def _literal(value: Any) -> str:
    """Return a setting as code."""
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float('{value}')"


def _name(layer: Any) -> str:
    return f"viewer.layers[{layer.name!r}]"


def _data(layer: Image) -> str:
    return f"{_name(layer)}.data{'[0]' if layer.multiscale else ''}"


def _find_file(layer: Image) -> Path | None:
    """Return the file of which a layer was read, None if there is none, or not with what the layer has now."""
    if layer.source.path is None:
        return None
    path, array = Path(layer.source.path).absolute(), array_of(layer)
    try:
        found = read_image(path, MOST_READ)
        if found.shape != array.shape or found.dtype != array.dtype:
            return None
        # In chunks it may be larger than memory
        same = is_lazy(array) or is_lazy(found) or np.array_equal(found, array, equal_nan=array.dtype.kind in "fc")
    except (OSError, TypeError, ValueError):
        return None
    return path if same else None


def _call(function: str, arguments: Sequence[str]) -> str:
    """Return a call in a line, or with a line for each argument where that is long."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= LONGEST_LINE:
        return line
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _with_imports(lines: Sequence[str]) -> str:
    """Return lines of code as a text, after the imports that they need."""
    code = "\n".join(lines) + "\n"
    used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    imports = ["import numpy as np\n"] if "np" in used else []
    names = ", ".join(name for name in PUBLIC if name in used)
    imports += [f"from napari_image_diff import {names}\n"] if names else []
    return "\n".join([*imports, code])
