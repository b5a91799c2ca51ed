"""What a user of pip and of napari's plugin list gets: metadata, manifest, wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import npe2
import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
NAME = "napari-image-diff"
QT_BINDINGS = {"pyqt5", "pyqt6", "pyside2", "pyside6", "pyqt", "pyside"}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


@pytest.fixture(scope="module")
def manifest() -> npe2.PluginManifest:
    return npe2.PluginManifest.from_distribution(NAME)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution and the wheel."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    return folder


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- what the napari hub and napari-plugin-checks ask of a plugin ---


def test_metadata_for_the_plugin_list(project: dict[str, Any]) -> None:
    installed = metadata(NAME)
    assert project["name"] == installed["Name"] == NAME
    assert "Framework :: napari" in project["classifiers"]
    assert project["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("BSD 3-Clause License")
    assert 20 < len(project["description"]) < 200
    assert project["authors"]
    assert (ROOT / project["readme"]).stat().st_size > 1000
    assert project["requires-python"] == ">=3.11"


def test_entry_point(project: dict[str, Any]) -> None:
    assert project["entry-points"] == {"napari.manifest": {NAME: "napari_image_diff:napari.yaml"}}


def test_no_qt_binding_is_required(project: dict[str, Any]) -> None:
    requirements = [Requirement(line) for line in project["dependencies"]]
    assert not {requirement.name.lower() for requirement in requirements} & QT_BINDINGS
    assert all(not requirement.extras for requirement in requirements if requirement.name == "napari")
    assert "qtpy" in {requirement.name for requirement in requirements}


# --- the manifest ---


def test_the_manifest_at_the_top_is_the_real_one() -> None:
    top = ROOT / "napari.yaml"
    assert top.is_symlink()
    assert os.readlink(top) == "src/napari_image_diff/napari.yaml"
    assert npe2.PluginManifest.from_file(top).name == NAME


def test_the_manifest_names_python_objects_that_exist(manifest: npe2.PluginManifest) -> None:
    manifest.validate_imports()


def test_contributions(manifest: npe2.PluginManifest) -> None:
    contributions = manifest.contributions
    commands = {command.id: command for command in contributions.commands or ()}
    # the same as the name, or docks from the menu and docks from code do not know each other
    assert manifest.display_name == manifest.name
    assert manifest.categories
    assert [widget.display_name for widget in contributions.widgets or ()] == ["Image Difference"]
    assert commands[f"{NAME}.compare_selected"].title == "Compare the two selected layers"
    menus = contributions.menus or {}
    for menu in ("napari/layers/measure", "napari/layers/visualize"):
        assert [getattr(item, "command", None) for item in menus[menu]] == [f"{NAME}.widget"]
    assert len(contributions.sample_data or ()) >= 4
    used = [*(contributions.widgets or ()), *(contributions.sample_data or ())]
    assert {getattr(item, "command", None) for item in used} <= commands.keys()


# --- the wheel ---


def test_the_wheel_is_complete(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    inside = zipfile.ZipFile(wheel)
    package = ROOT / "src" / "napari_image_diff"
    wanted = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.suffix in (".py", ".pyi", ".yaml", ".typed", ".html", ".css", ".js")
    }
    assert {name for name in inside.namelist() if ".dist-info/" not in name} == wanted
    assert any(name.endswith("licenses/LICENSE") for name in inside.namelist())
    assert inside.read("napari_image_diff/napari.yaml") == (package / "napari.yaml").read_bytes()


def test_the_source_distribution_has_tests_and_docs(distributions: Path) -> None:
    (archive,) = distributions.glob("*.tar.gz")
    with tarfile.open(archive) as inside:
        names = {name.partition("/")[2] for name in inside.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "napari.yaml", "tests/test_packaging.py"} <= names
    assert {"docs/architecture.md", "src/napari_image_diff/napari.yaml"} <= names


def test_napari_finds_the_installed_wheel(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    environment = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
        cwd=tmp_path,
    )
    # the dependencies as installed here, but not our own editable install: .pth files of a borrowed folder do not count
    (site,) = environment.rglob("site-packages")
    (site / "borrowed.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    script = """
import json, npe2, napari_image_diff
manager = npe2.PluginManager.instance()
manager.discover()
manifest = manager.get_manifest("napari-image-diff")
samples = [sample.open() for sample in manifest.contributions.sample_data]
print(json.dumps({
    "file": napari_image_diff.__file__,
    "widgets": [widget.command for widget in manager.iter_widgets() if widget.plugin_name == "napari-image-diff"],
    "samples": [len(sample) for sample in samples],
    "changed": napari_image_diff.compare(*(layer[0] for layer in samples[0])).changed,
}))
"""
    found = json.loads(run(python, "-W", "ignore", "-c", script, cwd=tmp_path))
    assert Path(found["file"]).is_relative_to(site)
    assert found["widgets"] == [f"{NAME}.widget"]
    assert found["samples"] == [2, 2, 2, 2]
    assert found["changed"]
    assert NAME in run(python, "-m", "npe2", "list", "--fields", "name", cwd=tmp_path)
