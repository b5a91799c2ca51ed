"""The rooms of the package and who may call whom, as docs/architecture.md has it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from without import QT, run_without

import napari_image_diff

PACKAGE = Path(napari_image_diff.__file__).parent
ARCHITECTURE = Path(__file__).parents[1] / "docs" / "architecture.md"

# A room imports rooms of the floors below its own, never one beside it.
FLOORS = [
    {"settings", "tables", "verdicts", "versions", "words"},
    {
        "ssim",
        "threshold",
        "regions",
        "preparation",
        "noise",
        "displacement",
        "intensity",
        "alignment",
        "resampling",
        "pyramids",
        "sources",
        "ome_zarr",
        "overlaps",
        "folders",
        "reading",
        "mixing",
        "filtering",
        "lettering",
        "world",
    },
    {"tiles", "evidence", "warping", "settings_files"},
    {"planes", "detection", "regridding"},
    {"frames", "sweeps", "kinds", "blocks"},
    {"pairing", "volumes", "measured", "streaming", "cropping"},
    {"surveying", "lazy_maps"},
    {"in_memory", "in_parts"},
    {"comparison"},
    {"boxes", "geometry", "samples", "records", "review", "judging", "page", "files", "options", "loading"},
    {"placing", "zarr_files", "batches", "summaries", "masks", "overlaying"},
    {"layers", "report"},
    {"runs", "review_files", "looks", "scripting", "figures"},
    {"cli", "widget"},
    {"__main__"},
]
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
SCREEN = {"qtpy", "superqt", "magicgui", "napari", *QT}
HEAVY = {*SCREEN, "vispy", "cv2", "numba", "pandas", "dask", "zarr", "skimage", "scipy", "jinja2"}

FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, *, when_loaded: bool = False) -> Iterator[str]:
    """Give the absolute names that a file imports; `when_loaded`, those only that it imports on being imported."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    package = ("napari_image_diff", *path.relative_to(PACKAGE).parent.parts)
    while nodes:
        node = nodes.pop()
        if when_loaded and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_for_types(node)):
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def test_every_room_has_its_floor_and_its_line_in_the_docs() -> None:
    assert {room_of(path) for path in FILES} == FLOOR_OF.keys()
    text = ARCHITECTURE.read_text(encoding="utf-8")
    missing = [room for room in FLOOR_OF if f"`{room}.py`" not in text and f"`{room}/`" not in text]
    assert not missing


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards_only(path: Path) -> None:
    room = room_of(path)
    called = {name.split(".")[1] for name in imports(path) if name.startswith("napari_image_diff.")} - {room}
    upwards = {other for other in called if FLOOR_OF.get(other, len(FLOORS)) >= FLOOR_OF[room]}
    assert not upwards, f"{room} may not import {', '.join(sorted(upwards))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_widget_knows_of_a_screen(path: Path) -> None:
    loaded = {name.partition(".")[0] for name in imports(path, when_loaded=True)}
    assert room_of(path) == "widget" or not loaded & SCREEN
    assert not {name.partition(".")[0] for name in imports(path)} & set(QT), (
        "say qtpy: the Qt binding is the user's choice"
    )


def test_every_other_room_can_be_imported_without_qt_and_napari() -> None:
    rooms = sorted(FLOOR_OF.keys() - {"widget", "__main__"})
    code = "import importlib\n" + "".join(f"importlib.import_module('napari_image_diff.{room}')\n" for room in rooms)
    done = run_without(SCREEN, code)
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import napari_image_diff\nprint(*sorted({HEAVY!r} & sys.modules.keys()))"
    done = run_without((), code)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_public_names_are_there_and_no_module_hides_one() -> None:
    names = set(napari_image_diff.__all__)
    assert {"Comparison", "Settings", "add_comparison", "compare", "find_regions", "layers_of", "ssim_map"} <= names
    assert {"is_complete", "write_zarr"} <= names
    assert {"decide", "reviewed", "describe_image", "describe_mismatch", "read_review", "write_review"} <= names
    assert all(getattr(napari_image_diff, name) for name in names)
    assert not names & FLOOR_OF.keys()
