"""The site of the documentation, as `make docs` builds it: strict, whole, and without anything from elsewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PUBLIC = ROOT / "src" / "napari_image_diff" / "__init__.pyi"

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_parser", "furo")),
    reason="the tools of the site are not installed: pip install --group docs",
)


def build(docs: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Do what `make docs` does, from other folders."""
    (line,) = re.findall(
        r"^docs:\n(?:\t.*\n)*?\t\$\(BIN\)/python (.* docs site)$", (ROOT / "Makefile").read_text(), re.M
    )
    places = {"docs": docs, "site": site, "build/doctrees": site.with_name("doctrees")}
    command = [sys.executable, *(str(places.get(word, word)) for word in shlex.split(line))]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "site"
    done = build(DOCS, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


class Loaded(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_every_page_is_in_the_site(site: Path) -> None:
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in site.glob("*.html")}


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = [*site.glob("*.html")]
    assert len(pages) > 10
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.found
        for target in loaded.found:
            assert not re.match(r"\w+:|//", target), f"{page.name}: {target}"
            assert target.startswith("#") or (site / re.split("[?#]", target)[0]).exists(), f"{page.name}: {target}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet.name


def test_the_api_has_every_public_name(site: Path) -> None:
    imports = [node for node in ast.parse(PUBLIC.read_text()).body if isinstance(node, ast.ImportFrom)]
    names = {alias.asname for node in imports for alias in node.names}
    page = (site / "api.html").read_text(encoding="utf-8")
    assert {name for name in names if f'id="napari_image_diff.{name}"' in page} == names
    assert 'id="napari_image_diff.Comparison.rethreshold"' in page
    assert "the message says what was found" in page  # the docstrings are on it
    assert "Alias for field number" not in page
    # A docstring with a colon is no type with what it is for
    assert "The files that are there, by what they are: “before”, “after”." in page


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    shutil.copytree(DOCS, docs)
    shutil.copy(ROOT / "CHANGELOG.md", tmp_path)
    with (docs / "tour.md").open("a", encoding="utf-8") as page:
        page.write("\n[one](nowhere.md), [two](settings.md#nowhere), ![three](pictures/nowhere.png)\n")
    done = build(docs, tmp_path / "site")
    assert done.returncode != 0
    for told in ("'nowhere.md'", "not found in doc 'settings': 'nowhere'", "pictures/nowhere.png"):
        assert told in done.stderr, done.stderr
