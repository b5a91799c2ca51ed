"""What the README, the docs and the examples show is run."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v3 as iio
import pytest
from packaging.requirements import Requirement

from napari_image_diff.cli import main
from napari_image_diff.samples import photo

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MODULES = sorted(path.stem for path in (ROOT / "src" / "napari_image_diff").glob("*.py") if path.stem[0] != "_")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


class Block(NamedTuple):
    language: str
    code: str
    line: int
    in_console: bool


def blocks_of(page: Path, language: str) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(r"^(<!-- console -->\n)?```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if found[2] == language:
            yield Block(found[2], found[3], text[: found.start(3)].count("\n"), bool(found[1]))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture
def beside_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where before.png and after.png are, and two folders with the same as a pair and one that did not change."""
    for name, folder, (image, *_) in zip(("before.png", "after.png"), ("expected", "build"), photo(), strict=True):
        iio.imwrite(tmp_path / name, image)
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / name, tmp_path / folder / "photo.png")
        shutil.copy(tmp_path / "before.png", tmp_path / folder / "same.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name_of)
@pytest.mark.usefixtures("beside_images")
def test_python_of_the_docs_runs(page: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of(page, "python"):
        if not block.in_console:
            # empty lines in front, so that an error names the line of the page
            exec(compile("\n" * block.line + block.code, page, "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
@pytest.mark.usefixtures("beside_images")
def test_lines_for_the_shell_work(page: Path) -> None:
    for block in blocks_of(page, "bash"):
        for line in block.code.splitlines():
            check_command(shlex.split(line, comments=True))


def check_command(words: list[str]) -> None:
    """Run our own command; of others see that what they name exists."""
    if not words:
        return
    if words[0] == "napari-image-diff":
        assert main(words[1:]) == 1
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif words[:2] == ["pip", "install"]:
        requirement = Requirement(words[2])
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert requirement.name == project["name"]
        assert requirement.extras <= project["optional-dependencies"].keys()
    else:
        pytest.fail(f"no check for: {shlex.join(words)}")


# In a process of its own: napari's fixture for tests has no console, and IPython is one a process.
IN_CONSOLE = """
import json, sys, napari
viewer = napari.Viewer()
shell = viewer.window._qt_viewer.console.shell
for line in sys.stdin.read().splitlines():
    result = shell.run_cell(line)
    result.raise_error()
print(json.dumps({"layers": [layer.name for layer in viewer.layers], "rows": len(result.result)}), file=sys.stderr)
viewer.close()
"""


def lines_for_the_console(page: Path) -> str:
    return "".join(block.code for block in blocks_of(page, "python") if block.in_console)


@pytest.mark.parametrize("page", [page for page in PAGES if lines_for_the_console(page)], ids=name_of)
def test_the_lines_for_the_console_run_in_the_console(page: Path, beside_images: Path) -> None:
    lines = lines_for_the_console(page)
    environment = {**os.environ, "NAPARI_CONFIG": str(beside_images / "settings.yaml")}
    command = [sys.executable, "-W", "ignore", "-c", IN_CONSOLE]
    done = subprocess.run(command, input=lines, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    # What IPython has to say of its own may come after it
    found = json.loads(next(line for line in done.stderr.splitlines() if line.startswith("{")))
    assert found["layers"] == ["before", "after", "diff map", "filled mask", "bounding boxes"]
    assert found["rows"] >= 5


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_examples_run(
    example: Path,
    make_napari_viewer: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("napari.Viewer", make_napari_viewer)
    monkeypatch.setattr("napari.run", lambda: None)
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("beside_images")
def test_examples_in_docstrings_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(f"napari_image_diff.{name}"), optionflags=doctest.ELLIPSIS)
    assert not failed


def test_there_is_an_example_for_napari_and_one_without() -> None:
    in_napari = {"napari.Viewer" in example.read_text(encoding="utf-8") for example in EXAMPLES}
    assert in_napari == {True, False}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=name_of)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_page_of_settings_is_made_from_settings() -> None:
    expected = runpy.run_path(str(ROOT / "tools" / "settings_table.py"))["settings_page"]()
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert page == expected, "run: python tools/settings_table.py > docs/settings.md"
