"""What the pages say of detection is what the code does."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageSequence

from napari_image_diff import Settings, compare
from napari_image_diff.samples import photo

ROOT = Path(__file__).parents[1]
METHOD = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
DETECTION = (ROOT / "docs" / "detection.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Constants of how it is computed, not of what counts.
NOT_TOLD = {
    "evidence": {"DISCS", "TILE", "SAMPLE"},
    "noise": {"OCTAVE", "BINS", "FIRST_BIN", "VALUES"},
    "displacement": {"NEAR", "AROUND", "AROUND_REGION"},
    "detection": {"SMALLEST_RANGE"},
}
ROOMS = ("noise", "evidence", "detection", "displacement")


def room(name: str) -> ModuleType:
    return importlib.import_module(f"napari_image_diff.{name}")


def said(value: Any) -> str:
    """Return a constant as the page writes it."""
    if isinstance(value, tuple):
        return ", ".join(said(each) for each in value)
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def constants_of(name: str) -> dict[str, str]:
    values = vars(room(name)).items()
    source = Path(str(room(name).__file__)).read_text(encoding="utf-8")
    names = {key: value for key, value in values if re.search(rf"^{key} = ", source, re.MULTILINE) and key.isupper()}
    return {f"{name}.{key}": said(names[key]) for key in names.keys() - NOT_TOLD.get(name, set())}


def test_the_page_names_every_constant_with_its_value() -> None:
    on_page = dict(re.findall(r"^\| `(\w+\.[A-Z_]+)` \| ([^|]+) \|", METHOD, re.MULTILINE))
    in_code = {key: value for name in ROOMS for key, value in constants_of(name).items()}
    assert on_page == in_code


def test_the_promise_on_false_alarms_follows_from_the_constants() -> None:
    evidence, detection = room("noise"), room("detection")
    pixels = math.ceil(detection.LEAST_WEIGHT / detection.MOST_WEIGHT)
    deviations = evidence.LUMA_FACTOR * (1 - 1 / evidence.OCTAVE)
    each = math.erfc(deviations / math.sqrt(2))
    false = len(evidence.CELLS) * each / pixels
    calmer = math.erfc(deviations / 1.5 / math.sqrt(2)) * len(evidence.CELLS) / pixels
    promise = METHOD[METHOD.index("Promised, for white noise") : METHOD.index("Measured only")].replace("\n", " ")
    for text in (
        f"measured to 1/{evidence.OCTAVE}",
        f"limit of {evidence.LUMA_FACTOR:g} deviations",
        f"p = erfc({deviations:g} / √2) = {each:.1e}",
        f"There are {len(evidence.CELLS)} sizes",
        f"at least {pixels} of them",
        f"4 p / 3 = {false:.1e}",
        f"at {evidence.COLOUR_FACTOR:g} deviations",
        f"is {calmer * 1e6:.1f} a megapixel",
    ):
        assert text in promise, text
    assert false * 1e9 < 1e-4  # "one in ten thousand pictures of 1,000 megapixels"


def test_white_noise_keeps_the_promise() -> None:
    random = np.random.default_rng(4)
    for sd in (0.3, 2, 10, 40):
        pair = [128 + sd * random.standard_normal((512, 512)) for _ in range(2)]
        comparison = compare(*pair, data_range=255)
        assert comparison.verdict == "no difference beyond noise"
        assert np.nanmax(comparison.evidence) < 1


@pytest.mark.parametrize(
    ("change", "settings", "verdict"),
    [
        (0, {}, "identical"),
        (1, {}, "no difference beyond noise"),
        (1, {"threshold": 0.5}, "no difference beyond the threshold"),
        (90, {}, "different"),
    ],
)
def test_the_verdicts_are_those_of_the_page(change: int, settings: dict[str, Any], verdict: str) -> None:
    before = np.full((64, 64), 100, np.uint8)
    after = before.copy()
    after[20:40, 20:40] += change
    assert compare(before, after, **settings).verdict == verdict
    assert verdict in METHOD


def test_classic_always_splits_as_the_page_says() -> None:
    random = np.random.default_rng(0)
    pair = [np.rint(128 + 3 * random.standard_normal((256, 256))).astype(np.uint8) for _ in range(2)]
    assert "Otsu always splits" in METHOD
    assert compare(*pair, Settings.classic()).changed
    assert not compare(*pair).changed


@pytest.mark.parametrize(
    "source", ["Huttenlocher", "Janesick", "Immerkær", "Canny", "Burt", "Witkin", "Rosin", "Serra"]
)
def test_the_sources_are_listed(source: str) -> None:
    assert re.search(rf"^- .*{source}", METHOD, re.MULTILINE)


@pytest.mark.parametrize("name", ["alignment", "kinds"])
def test_the_sources_of_the_rooms_are_on_the_page(name: str) -> None:
    text = Path(str(room(name).__file__)).read_text(encoding="utf-8")
    # "(Lowe 2004)", "(Spearman's correction for attenuation, 1904)"
    cited = re.findall(r"\((?:[A-Z]\. )?([A-Z]\w+)[^()]{0,60}?,? ((?:19|20)\d\d)\)", text)
    assert cited
    for author, year in cited:
        assert re.search(rf"^- .*{author}(?:.|\n  )*{year}", METHOD, re.MULTILINE), f"{author} {year}"


@pytest.fixture(scope="module")
def short_form() -> str:
    """Return what the benchmark prints in its short form."""
    script = ROOT / "benchmarks" / "detection.py"
    environment = {key: value for key, value in os.environ.items() if key != "NAPARI_IMAGE_DIFF_DATA"}
    command = [sys.executable, "-W", "ignore", str(script), "--quick"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_benchmark_of_detection_prints_the_rows_of_the_page(short_form: str) -> None:
    printed = re.findall(r"^(\w[\w ,]*?)  +((?:not )?tuned on|) +\d+ ", short_form, re.MULTILINE)
    assert {measure for measure, _ in printed} >= {
        "null",
        "planted 15",
        "harder",
        "made",
        "kinds, macro",
        "white noise",
    }
    assert re.search(r"^tutorial .*no data", short_form, re.MULTILINE)
    assert "NAPARI_IMAGE_DIFF_DATA" in short_form
    assert re.search(r"^time of compare, .*, ratio [\d.]+, target <= 4: not judged", short_form, re.MULTILINE)
    for page in (DETECTION, README):
        figures = page[page.index("<!-- figures -->") : page.index("<!-- end of figures -->")]
        rows = re.findall(r"^\| ([^|]+) \| (not tuned on|tuned on|) \|", figures, re.MULTILINE)
        assert rows
        assert {(measure, half.strip()) for measure, half in rows} <= set(printed)


def test_the_benchmark_finds_what_is_there_and_nothing_else(short_form: str) -> None:
    cells = {
        (measure, half): value
        for measure, half, value in re.findall(
            r"^(\w[\w ]*?) +(not tuned on|tuned on) +\d+ +(\d+) \([\d,]+\)", short_form, re.MULTILINE
        )
    }
    for half in ("tuned on", "not tuned on"):
        assert cells["null", half] == "0"
        assert cells["planted 80", half] == "11"


def test_a_form_of_the_benchmark_that_writes_wants_all_figures() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "detection.py"), "--write", "--quick"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "--write wants all figures" in done.stderr


def test_scenes_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    scenes = runpy.run_path(str(ROOT / "benchmarks" / "scenes.py"))
    half = scenes["HALVES"]["not tuned on"]
    for scene in [*scenes["planted"](half.null[:1], 40), *list(scenes["made"](half.made))[9:12]]:
        outside = np.ones(scene.before.shape[:2], bool)
        top, left, bottom, right = scene.true[0]
        outside[top:bottom, left:right] = False
        apart = np.abs(scene.after.astype(float) - scene.before)
        assert apart[~outside].mean() > 5 + apart[outside].mean(), scene.name
    for scene in scenes["kinds"](half.kinds, 6):
        assert len(scene.true) == len(scene.kinds)
        assert scene.before.shape == scene.after.shape
        assert set(scene.kinds) <= set(room("kinds").KINDS)


def test_the_peer_and_what_the_tests_need_are_in_their_groups() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert any(name.startswith("blazediff-interpret==") for name in groups["bench"])
    assert any(name.startswith("flip-evaluator") for name in groups["test"])


@pytest.mark.skipif(
    importlib.util.find_spec("flip_evaluator") is None,
    reason="flip-evaluator is not installed: pip install flip-evaluator",
)
def test_evidence_by_flip_as_the_page_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (image, *_) in zip(("before.png", "after.png"), photo(), strict=True):
        iio.imwrite(tmp_path / name, image)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "own-evidence.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python flip\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(code, "own-evidence.md", "exec"), names)
    comparison = names["comparison"]
    boxes = comparison.regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy()
    for top, left, bottom, right in photo()[0][1]["metadata"]["changes"]:
        apart = (boxes[:, :2] >= [bottom, right]) | (boxes[:, 2:] <= [top, left])
        assert (~apart.any(1)).any(), (top, left, bottom, right)
    same = compare(photo()[0][0], photo()[0][0], evidence=names["by_flip"])
    assert not same.changed


def test_the_pictures_are_those_that_are_made() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "make_pictures.py"))
    made = {target for target, _ in tool["PICTURES"].values()}
    docs = ROOT / "docs"
    assert made == {path.relative_to(docs).as_posix() for path in docs.rglob("*.png")}
    assert all((docs / target).stat().st_size <= tool["LARGEST_FILE"] for target in made)
    shown = {
        target for page in docs.glob("*.md") for target in re.findall(r"!\[[^]]*\]\(([^)]+)", page.read_text("utf-8"))
    }
    assert made <= shown


def test_the_animation_of_the_readme_is_small_and_short() -> None:
    tool = runpy.run_path(str(ROOT / "tools" / "make_pictures.py"))
    file = ROOT / "docs" / tool["ANIMATION"]
    assert f"](docs/{file.name})" in README
    assert file.stat().st_size <= tool["LARGEST_ANIMATION"] <= 2_000_000
    with Image.open(file) as animation:
        assert animation.width <= 850  # what a page of GitHub has room for
        assert animation.info["loop"] == 0  # without end
        milliseconds = sum(frame.info["duration"] for frame in ImageSequence.Iterator(animation))
    assert 8_000 <= milliseconds <= 13_000


def test_the_pages_count_the_regions_of_the_sample_right() -> None:
    (before, *_), (after, look, _) = photo()
    comparison = compare(before, after)
    assert (len(look["metadata"]["changes"]), len(comparison.regions)) == (6, 7)
    assert "seven rows for six changes" in (ROOT / "docs" / "tour.md").read_text("utf-8")
    assert "| this project | 7 regions" in (ROOT / "docs" / "comparison.md").read_text("utf-8")
    noisy = np.clip(before + np.random.default_rng(0).normal(0, 8, before.shape), 0, 255).astype(np.uint8)
    assert compare(before, noisy).verdict == "no difference beyond noise"


def test_the_ways_to_look_are_on_the_page() -> None:
    ways, keys = room("widget.looking").WAYS, room("widget.keys").ACTIONS
    page = (ROOT / "docs" / "compare.md").read_text("utf-8")
    told = re.findall(r"^\| (\w+) \| (\S+) \| .+ \|$", page[page.index("## Ways to look") :], re.MULTILINE)
    assert [each for each in told if each[0] != "button"] == [(way.title, keys[name].key) for name, way in ways.items()]
    assert f"**Same contrast** ({keys['same_contrast'].key})" in page
    assert f"**{keys['previous_region'].key}** and **{keys['next_region'].key}**" in page
