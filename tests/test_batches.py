"""Two folders: pairs by their path, in parallel, with what is left on the disk and how to go on."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import jsonschema
import numpy as np
import pytest
import tifffile
import zarr
from calls import Run, assert_one_error
from hypothesis import given
from hypothesis import strategies as st
from selenium.webdriver.support.wait import WebDriverWait
from test_compare import assert_equal

from napari_image_diff import (
    Comparison,
    Settings,
    batches,
    compare,
    compare_folders,
    files,
    reading,
    runs,
    summaries,
    tiles,
)
from napari_image_diff.cli import main
from napari_image_diff.summaries import make_row, make_summary, to_junit

SCHEMA = Path(__file__).parents[1] / "docs" / "summary.schema.json"

Folders = tuple[Path, Path]


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def make_image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 110, (60, 80), dtype=np.uint8)


def change(image: np.ndarray, side: int) -> np.ndarray:
    changed = image.copy()
    changed[10 : 10 + side, 20 : 20 + side] = 250
    return changed


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Two folders: two pairs differ, two are the same, two files lack their other half, one is damaged."""
    before, after = tmp_path / "expected", tmp_path / "build"
    for number in range(6):
        write(before / f"plots/{number}.png", make_image(number))
        write(after / f"plots/{number}.png", make_image(number))
    write(after / "plots/1.png", change(make_image(1), 12))
    write(after / "plots/3.png", change(make_image(3), 30))
    (before / "plots/4.png").rename(before / "gone.png")
    (after / "plots/5.png").write_bytes(b"\x89PNG")
    (before / "notes.txt").write_text("no image")
    write(before / ".cache/hidden.png", make_image(9))
    return before, after


def own_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("image-diff")]


def statuses(out: Path) -> dict[str, str]:
    return {row["name"]: row["status"] for row in json.loads((out / "summary.json").read_bytes())["pairs"]}


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return what a run found, but for how long it took."""
    return [row | {"seconds": None} for row in json.loads((out / "summary.json").read_bytes())["pairs"]]


# --- from Python ---


def test_pairs_have_the_same_path_and_results_are_those_of_compare(folders: Folders) -> None:
    found = {each.pair.name: each for each in compare_folders(*folders)}
    assert sorted(found) == ["gone.png", *(f"plots/{number}.png" for number in range(6))]
    assert found["gone.png"].pair == ("gone.png", folders[0] / "gone.png", None)
    assert found["plots/4.png"].pair.before is None
    assert "damaged" in found["plots/5.png"].error
    assert [name for name, each in found.items() if each.result is None] == ["gone.png", "plots/4.png", "plots/5.png"]
    for number, other in ((0, make_image(0)), (1, change(make_image(1), 12)), (3, change(make_image(3), 30))):
        result = found[f"plots/{number}.png"].result
        assert isinstance(result, Comparison)
        assert_equal(result, compare(make_image(number), other))
    assert not own_threads()


def test_settings_go_to_every_pair(folders: Folders) -> None:
    results = [each.result for each in compare_folders(*folders, Settings.classic(), min_area=500) if each.result]
    assert {each.settings for each in results} == {Settings.resolve(Settings.classic(), min_area=500)}
    assert sum(each.changed for each in results) == 1
    with pytest.raises(TypeError, match="min_area"):
        compare_folders(*folders, min_area="much")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["gone.png"]),
        ("**/[13].png", ["plots/1.png", "plots/3.png"]),
        ("plots/*", [f"plots/{number}.png" for number in range(6)]),
        ("*.txt", ["notes.txt"]),
        ("*.t?t", ["notes.txt"]),
        ("**/*.pn*", ["gone.png", *(f"plots/{number}.png" for number in range(6))]),
        ("../*.png", None),
        ("/*.png", None),
        ("", None),
    ],
)
def test_pattern(folders: Folders, pattern: str, names: list[str] | None) -> None:
    if names is None:
        with pytest.raises(OSError, match=r"give (another|one as)"):
            batches.find_pairs(*folders, pattern)
    else:
        assert [pair.name for pair in batches.find_pairs(*folders, pattern)] == names


def test_folders_that_are_none(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="none does not exist"):
        compare_folders(tmp_path / "none", folders[1])
    with pytest.raises(OSError, match="is no folder"):
        compare_folders(folders[0], folders[1] / "plots" / "1.png")
    empty = [tmp_path / name for name in ("empty", "empty as well")]
    for folder in empty:
        folder.mkdir()
    with pytest.raises(OSError, match="neither"):
        compare_folders(*empty)


@pytest.mark.skipif(os.name == "nt", reason="links need leave on Windows")
def test_folders_that_are_links_are_entered_once(folders: Folders, tmp_path: Path) -> None:
    for folder in folders:
        (folder / "plots").rename(tmp_path / f"real {folder.name}")
        (folder / "plots").symlink_to(tmp_path / f"real {folder.name}")
        (folder / "again").symlink_to(folder)
    names = [pair.name for pair in batches.find_pairs(*folders)]
    assert names == ["gone.png", *(f"plots/{number}.png" for number in range(6))]


def test_the_last_line_of_a_pair_counts(run: Run, folders: Folders, tmp_path: Path, compared: list[str]) -> None:
    out = tmp_path / "out"
    first = run(*folders, "--out", out)
    run(*folders, "--out", out, "--resume", "--sensitivity", "2")
    compared.clear()
    assert run(*folders, "--out", out, "--resume") == first
    assert len(compared) == 5
    for row in rows_of(out):
        if row["report"]:
            found = json.loads((out / row["report"] / "report.json").read_bytes())
            assert found["settings"]["sensitivity"] == 1


def make_pairs(count: int) -> list[batches.FilePair]:
    return [batches.FilePair(f"{number}.png", Path("a"), Path("b")) for number in range(count)]


def test_no_more_is_begun_than_is_taken_and_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "count_threads", lambda: 3)
    monkeypatch.setattr(batches, "count_pixels", lambda path: 10)
    begun = []
    found = batches.map_pairs(lambda pair, stop: begun.append(pair.name), make_pairs(50))
    for taken in range(1, 30):
        next(found)
        assert len(begun) <= taken + 3 + batches.AHEAD + 3
    found.close()
    assert len(begun) < 50
    assert not own_threads()


def test_closing_stops_those_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "count_threads", lambda: 2)
    # Each header is read, and may be of any size where there is none
    monkeypatch.setattr(batches, "count_pixels", lambda path: 10)
    under_way = threading.Barrier(3)
    stopped = []

    def work(pair: batches.FilePair, stop: Any) -> str:
        if pair.name == "0.png":
            return pair.name
        under_way.wait(timeout=60)
        try:
            while True:
                stop()
        except BaseException:
            stopped.append(pair.name)
            raise

    found = batches.map_pairs(work, make_pairs(20))
    assert next(found).result == "0.png"
    under_way.wait(timeout=60)
    found.close()
    assert len(stopped) == 2
    assert not own_threads()


def test_each_pair_has_one_thread_and_large_ones_are_alone(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(4), raising=False)
    pairs = [pair for pair in batches.find_pairs(*folders) if pair.before and pair.after and pair.name < "plots/5"]
    assert len(pairs) == 4
    together = threading.Barrier(len(pairs))
    threads = []

    def work(pair: batches.FilePair, stop: Any) -> bool:
        threads.append(tiles.count_threads())
        try:
            together.wait(timeout=1)
        except threading.BrokenBarrierError:
            return False
        return True

    assert all(found.result for found in batches.map_pairs(work, pairs))
    assert threads == [1] * 4
    threads.clear()
    together.reset()
    monkeypatch.setattr(batches, "LARGE_PIXELS", 1000)
    assert not any(found.result for found in batches.map_pairs(work, pairs))
    assert threads == [4] * 4


def test_large_pairs_wait_until_the_others_are_done(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in folders:
        write(folder / "a large one.png", make_image(0)[:50])
    # Of the others alone the headers tell
    monkeypatch.setattr(batches, "LARGE_PIXELS", 4500)
    monkeypatch.setattr(batches, "count_pixels", lambda path: 5000 if "large" in path.name else 10)
    began: list[str] = []

    def work(pair: batches.FilePair, stop: Any) -> str:
        began.append(pair.name)
        return threading.current_thread().name

    found = list(batches.map_pairs(work, batches.find_pairs(*folders)))
    assert began[-1] == "a large one.png"
    assert found[-1].result == threading.current_thread().name
    # What tells nothing of its size may be of any
    monkeypatch.setattr(batches, "count_pixels", lambda path: 0)
    assert {each.result for each in batches.map_pairs(work, batches.find_pairs(*folders))} == {
        None, threading.current_thread().name,
    }  # fmt: skip


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a\nreader's own"), SystemExit(3), OSError(28, "full")])
def test_whatever_a_pair_raises_the_others_go_on(error: BaseException) -> None:
    def work(pair: batches.FilePair, stop: Any) -> str:
        if pair.name == "3.png":
            raise error
        return pair.name

    found = {each.pair.name: each for each in batches.map_pairs(work, make_pairs(8))}
    assert len(found) == 8
    assert found["3.png"].result is None
    assert len(found["3.png"].error.splitlines()) == 1
    assert all(each.result == name for name, each in found.items() if name != "3.png")


# --- from the command line ---


def test_folders_on_the_command_line(run: Run, folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, err = run(*folders, "--out", out, "--junit", tmp_path / "junit.xml")
    assert (code, err) == (2, "")
    assert [re.split("  +", line)[:2] for line in text.splitlines()[:-1]] == [
        ["error", "plots/5.png"],
        ["missing", "gone.png"],
        ["missing", "plots/4.png"],
        ["different", "plots/3.png"],
        ["different", "plots/1.png"],
    ]
    assert text.splitlines()[-1] == "7 pairs: 2 same, 2 different, 2 missing, 1 error"
    assert sorted(path.name for path in out.iterdir()) == sorted({*runs.FILES, runs.REPORTS} - {runs.JUNIT})
    summary = json.loads((out / "summary.json").read_bytes())
    jsonschema.validate(summary, json.loads(SCHEMA.read_bytes()), cls=jsonschema.Draft202012Validator)
    assert (summary["left"], summary["different"]) == (0, True)
    for row in summary["pairs"]:
        assert (row["report"] is not None) == (row["status"] == "different")
        if row["report"]:
            assert json.loads((out / row["report"] / "report.json").read_bytes())["summary"] == row["summary"]
    assert len(list((out / "pairs").iterdir())) == 2
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file, strict=True))
    assert [row["name"] for row in table] == [row["name"] for row in summary["pairs"]]
    assert [row["regions"] for row in table[-4:]] == ["1", "1", "0", "0"]
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["7", "4", "1"]
    assert {case.get("name"): [part.tag for part in case] for case in suite.iter("testcase")} == {
        "5.png": ["error"], "gone.png": ["failure"], "4.png": ["failure"], "3.png": ["failure"],
        "1.png": ["failure"], "0.png": [], "2.png": [],
    }  # fmt: skip
    assert next(suite.iter("testcase")).get("classname") == "plots"


def test_exit_codes(run: Run, folders: Folders) -> None:
    only = ("--pattern", "plots/[0-3].png")
    assert run(*folders, *only)[0] == 1
    assert run(*folders, *only, "--max-changed", "50%")[0] == 0
    assert run(*folders, "--pattern", "plots/[02].png") == (0, "2 pairs: 2 same\n", "")
    assert run(*folders, "--pattern", "plots/[04].png")[0] == 1
    assert run(*folders, "--pattern", "plots/[05].png")[0] == 2
    code, text, _ = run(*folders, *only, "--json")
    assert (code, json.loads(text)["counts"]["different"]) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["expected", "build/plots/1.png"], ["expected is a folder", "build/plots/1.png is not"]),
        (["build/plots/1.png", "expected"], ["expected is a folder"]),
        (["expected", "build", "--open"], ["--open is for two files"]),
        (["expected", "build", "--scheduler", "tcp://x"], ["--scheduler is for two files"]),
        (["expected", "build", "--resume"], ["--resume needs --out"]),
        (["expected", "build", "--reports", "all"], ["--reports needs --out"]),
        (["build/plots/1.png", "build/plots/1.png", "--junit", "x.xml"], ["--junit is for two folders"]),
        (["build/plots/1.png", "build/plots/1.png", "--pattern", "*"], ["--pattern is for two folders"]),
        (["expected", "build", "--out", "build/out"], ["build/out lies in build"]),
        (["expected", "build", "--out", "expected"], ["expected lies in expected"]),
        (["expected", "build/plots", "--out", "build"], ["build has build/plots in it"]),
        (["expected", "build", "--out", "build/plots/1.png"], ["lies in build"]),
        (["expected", "build", "--out", "file.txt"], ["file.txt is a file"]),
        (["expected", "build", "--out", "foreign"], ["foreign has my work.txt in it"]),
        (["expected", "build", "--out", "foreign", "--force"], ["foreign has my work.txt in it"]),
        (["expected", "build", "--out", "site", "--force"], ["site has index.html in it, and is no summary"]),
        (["expected", "build", "--out", "site", "--resume"], ["site has index.html in it, and is no summary"]),
        (["expected", "build", "--pattern", "*.bmp"], ["neither expected nor build has an image that fits '*.bmp'"]),
        (["expected", "build", "--junit", "no folder/junit.xml"], ["junit.xml cannot be written"]),
        (["expected", "build", "--junit", "file.txt"], ["file.txt is there, and is no JUnit XML"]),
        (["expected", "build", "--junit", "foreign"], ["foreign is there, and is no JUnit XML"]),
        (["expected", "build", "--junit", "build/junit.xml"], ["junit.xml lies in a folder that is compared"]),
        (["expected", "build", "--ignore", "none"], ["none does not exist"]),
        (["expected", "build", "--out", "file.txt/out"], ["file.txt"]),
        (["expected", "build", "--out", ""], ["out is empty"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(
    run: Run, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "my work.txt").write_text("mine")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    there = sorted(str(path) for path in tmp_path.rglob("*"))
    assert_one_error(run(*arguments), *words)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == there


def test_junit_may_lie_in_the_summary(run: Run, folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = (*folders, "--out", out, "--junit", out / "junit.xml")
    first = run(*call)
    assert first[0] == 2
    assert "Traceback" not in first[2]
    text = (out / "junit.xml").read_bytes()
    assert run(*call, "--resume") == run(*call, "--force") == first
    assert (out / "junit.xml").read_bytes().count(b"testcase") == text.count(b"testcase")


def test_whoever_leaves_before_the_end_has_all_files(folders: Folders, tmp_path: Path) -> None:
    out = tmp_path / "out"
    call = [
        sys.executable,
        "-m",
        "napari_image_diff",
        *map(str, folders),
        "--out",
        str(out),
        "--junit",
        str(tmp_path / "j.xml"),
    ]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 2
    assert {"index.html", "summary.csv", "summary.json"} <= {path.name for path in out.iterdir()}
    assert (tmp_path / "j.xml").exists()


def test_which_pairs_get_a_report(run: Run, folders: Folders, tmp_path: Path) -> None:
    for which, count in (("all", 4), ("none", 0), ("different", 2)):
        run(*folders, "--out", tmp_path / "out", "--reports", which, "--force")
        assert len(list((tmp_path / "out").glob("pairs/*/report.html"))) == count
        reports = [row["report"] for row in rows_of(tmp_path / "out") if row["report"]]
        assert sorted(str(path) for path in (tmp_path / "out").glob("pairs/*")) == sorted(
            str(tmp_path / "out" / report) for report in reports
        )


def test_known_differences_of_each_pair(run: Run, folders: Folders, tmp_path: Path) -> None:
    only = ("--pattern", "plots/[13].png")
    run(*folders, *only, "--out", tmp_path / "out")
    known = tmp_path / "known"
    for row in rows_of(tmp_path / "out"):
        place = known / (row["name"] + ".csv")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "out" / row["report"] / "regions.csv", place)
    assert run(*folders, *only, "--ignore", known)[0] == 0
    (known / "plots" / "1.png.csv").unlink()
    assert run(*folders, *only, "--ignore", known)[1].startswith("different  plots/1.png")
    mask = np.zeros((60, 80), np.uint8)
    mask[5:45, 15:55] = 255
    write(known / "plots/1.png", mask)
    assert run(*folders, *only, "--ignore", known)[0] == 0
    code, _, err = run(*folders, *only, "--ignore", known / "plots/1.png")
    assert (code, err.count("\n")) == (0, 1)
    assert "is ignored in all pairs" in err
    shutil.copy(known / "plots/1.png", known / "plots/none.csv")
    assert "none.csv belongs to no pair" in run(*folders, *only, "--ignore", known)[2]


# --- going on ---


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were compared, as they are."""
    names: list[str] = []
    compare_files = files.compare_files

    def count(images: Any, *args: Any, **kwargs: Any) -> Any:
        names.append(images["before"].name)
        return compare_files(images, *args, **kwargs)

    monkeypatch.setattr(runs, "compare_files", count)
    return names


def test_resume_does_what_is_left_or_changed(run: Run, folders: Folders, tmp_path: Path, compared: list[str]) -> None:
    out = tmp_path / "out"
    first = run(*folders, "--out", out)
    done, earlier = sorted(compared), rows_of(out)
    assert_one_error(run(*folders, "--out", out), "--resume")
    for changes, again in (
        (lambda: None, ["5.png"]),
        (lambda: write(folders[1] / "plots/0.png", change(make_image(0), 9)), ["0.png", "5.png"]),
        (lambda: write(folders[0] / "plots/3.png", make_image(4)), ["3.png", "5.png"]),
        (lambda: shutil.rmtree(out / next(row["report"] for row in earlier if row["report"])), ["3.png", "5.png"]),
        (lambda: (out / "journal.jsonl").write_bytes((out / "journal.jsonl").read_bytes()[:-5]), ["5.png"]),
        (lambda: (out / "journal.jsonl").write_bytes(b""), done),
        (lambda: shutil.rmtree(out), done),
    ):
        changes()
        compared.clear()
        text = run(*folders, "--out", out, "--resume")
        assert sorted(compared) == again
        compared.clear()
        assert run(*folders) == text
    assert first[0] == 2
    # What is the same now has no report
    write(folders[1] / "plots/3.png", make_image(4))
    run(*folders, "--out", out, "--resume")
    assert len(list((out / "pairs").iterdir())) == sum(row["report"] is not None for row in rows_of(out))
    for changed in (
        ("--sensitivity", "2"),
        ("--max-regions", "5"),
        ("--reports", "all"),
        ("--spacing", "1", "1", "1"),
        ("--max-pixels", "5000"),
    ):
        compared.clear()
        run(*folders, "--out", out, "--resume", *changed)
        assert sorted(compared) == done


def test_other_versions_compare_again(
    run: Run, folders: Folders, tmp_path: Path, compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*folders, "--out", tmp_path / "out")
    done = sorted(compared)
    compared.clear()
    monkeypatch.setattr(runs, "find_versions", lambda: {"numpy": "9.9"})
    run(*folders, "--out", tmp_path / "out", "--resume")
    assert sorted(compared) == done


def test_what_is_done_is_on_the_disk_before_the_next_is_taken(folders: Folders, tmp_path: Path) -> None:
    rows = runs.run(batches.find_pairs(*folders), runs.Task(Settings(), out=tmp_path / "out"))
    names = {next(rows)["name"] for _ in range(4)}
    journal = (tmp_path / "out" / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["name"] for line in journal} == names - {"gone.png", "plots/4.png", "plots/5.png"}
    rows.close()
    assert not own_threads()


def test_an_end_ends_comparisons_under_way(folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    under_way = threading.Barrier(3)
    stopped = []

    def go_on_for_ever(images: Any, settings: Any, *, progress: Any, **_: Any) -> Any:
        under_way.wait(timeout=20)
        try:
            while True:
                progress(0, 1)
        except tiles.Stopped:
            stopped.append(images["before"].name)
            raise

    monkeypatch.setattr(batches, "count_threads", lambda: 2)
    monkeypatch.setattr(runs, "compare_files", go_on_for_ever)
    rows = runs.run(batches.find_pairs(*folders), runs.Task(Settings(), out=tmp_path / "out"))
    # Those of one file come first, and the next waits for what does not end
    assert {next(rows)["status"] for _ in range(2)} == {"missing"}

    def interrupt(*_: Any, **__: Any) -> Any:
        under_way.wait(timeout=60)
        raise KeyboardInterrupt

    monkeypatch.setattr(batches, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(rows)
    assert len(stopped) == 2
    assert not own_threads()
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == b""


def test_resume_after_a_kill(run: Run, folders: Folders, tmp_path: Path, compared: list[str]) -> None:
    out = tmp_path / "out"
    whole = run(*folders, "--out", out)
    journal = out / "journal.jsonl"
    lines = journal.read_bytes().splitlines()
    journal.write_bytes(b"5\n[]\n" + b"\n".join(lines[1:])[:-7])
    for left in (out / "summary.json.1234abcd.incomplete", out / "pairs" / "x_1.1234abcd.incomplete" / "file"):
        left.parent.mkdir(exist_ok=True)
        left.touch()
    compared.clear()
    assert run(*folders, "--out", out, "--resume") == whole
    assert len(compared) == 3
    assert not list(out.rglob("*.incomplete"))
    compared.clear()
    assert run(*folders, "--out", out, "--resume") == whole
    assert compared == ["5.png"]
    size = journal.stat().st_size
    run(*folders, "--out", out, "--resume")
    assert journal.stat().st_size == size


def test_what_points_to_other_files_is_compared_again(
    run: Run, tmp_path: Path, compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = tmp_path / "before", tmp_path / "after"
    for folder in folders:
        folder.mkdir()
        tifffile.imwrite(folder / "stack.ome.tif", make_image(0), photometric="minisblack")
    run(*folders, "--out", tmp_path / "out")
    run(*folders, "--out", tmp_path / "out", "--resume")
    assert len(compared) == 1
    metadata = '<OME><TiffData><UUID FileName="other.ome.tif"/></TiffData></OME>'
    monkeypatch.setattr(tifffile.TiffFile, "ome_metadata", metadata)
    run(*folders, "--out", tmp_path / "out", "--resume")
    assert len(compared) == 2


def test_a_zarr_is_compared_again(run: Run, tmp_path: Path) -> None:
    folders = tmp_path / "before", tmp_path / "after"
    for folder in folders:
        folder.mkdir()
        zarr.save_array(str(folder / "a.zarr"), make_image(0))
    assert run(*folders, "--out", tmp_path / "out")[0] == 0
    zarr.open(str(folders[1] / "a.zarr"), mode="r+")[10:30, 10:30] = 250
    assert run(*folders, "--out", tmp_path / "out", "--resume")[0] == 1
    (row,) = rows_of(tmp_path / "out")
    assert (row["page"], row["report"] is not None) == (None, True)
    assert f'href="{row["report"]}"' in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def test_interrupted_it_keeps_what_is_done(
    run: Run, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compared: list[str]
) -> None:
    whole = run(*folders, "--out", tmp_path / "whole")
    rows = list(runs.run(batches.find_pairs(*folders), runs.Task(Settings())))
    compared.clear()

    def stop_after_three(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with monkeypatch.context() as patch:
            patch.setattr(runs, "run", original)
            for number, row in enumerate(original(*args, **kwargs)):
                if number == 3:
                    raise KeyboardInterrupt
                yield row

    original = runs.run
    monkeypatch.setattr(runs, "run", stop_after_three)
    out = tmp_path / "out"
    code, text, err = run(*folders, "--out", out)
    assert code == 2
    assert err == ("napari-image-diff: error: stopped after 3 of 7 pairs; go on with the same command and --resume\n")
    assert text.splitlines()[-1].startswith("3 pairs: ")
    assert json.loads((out / "summary.json").read_bytes())["left"] == 4
    assert "Stopped: 4 pairs were not compared." in (out / "index.html").read_text(encoding="utf-8")
    assert not own_threads()
    monkeypatch.setattr(runs, "run", original)
    compared.clear()
    assert run(*folders, "--out", out, "--resume") == whole
    assert "5.png" in compared
    assert len(compared) < len(rows) - 2
    assert rows_of(out) == rows_of(tmp_path / "whole")


@pytest.mark.skipif(os.name == "nt", reason="no signal of this kind on Windows")
@pytest.mark.parametrize("number_of_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_with_what_is_done(
    folders: Folders, tmp_path: Path, number_of_signal: signal.Signals
) -> None:
    for number in range(6, 150):
        for folder in folders:
            shutil.copy(folder / "plots/0.png", folder / f"plots/{number}.png")
    out = tmp_path / "out"
    call = [sys.executable, "-m", "napari_image_diff", *map(str, folders), "--out", str(out)]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not (out / "journal.jsonl").exists() or (out / "journal.jsonl").stat().st_size < 3000:
            assert process.poll() is None
        process.send_signal(number_of_signal)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert re.fullmatch(r"napari-image-diff: error: stopped after \d+ of 151 pairs; go on .*--resume\n", err)
    assert json.loads((out / "summary.json").read_bytes())["left"]
    assert 2 < len(statuses(out)) < 151
    assert not list(out.rglob("*.incomplete"))
    assert main([*call[3:], "--resume"]) == 2
    assert len(statuses(out)) == 151


def test_handlers_of_signals_are_put_back(
    run: Run, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    run(*folders)
    assert [signal.getsignal(number) for number in numbers] == before

    monkeypatch.setattr(runs, "make_row", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    code, _, err = run(*folders, "--out", tmp_path / "out")
    assert (code, "stopped after 0 of 7" in err) == (2, True)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_second_signal_does_not_end_the_writing(
    run: Run, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_summary = summaries.write_summary

    def write_with_a_signal(*args: Any) -> None:
        signal.raise_signal(signal.SIGTERM)
        write_summary(*args)

    handled = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(runs, "make_row", lambda *_, **__: signal.raise_signal(signal.SIGINT))
        monkeypatch.setattr(summaries, "write_summary", write_with_a_signal)
        assert run(*folders, "--out", tmp_path / "out")[0] == 2
    finally:
        signal.signal(signal.SIGINT, handled)
    assert (tmp_path / "out" / "summary.json").exists()


# --- names ---


@given(st.text(st.characters(), min_size=1, max_size=300))
def test_the_name_of_a_report_is_safe(name: str) -> None:
    assert re.fullmatch(r"pairs/[A-Za-z0-9](?:[A-Za-z0-9._-]{0,58}[A-Za-z0-9])?_[0-9a-f]{12}", runs.name_report(name))


def test_names_that_a_report_cannot_have_do_not_meet() -> None:
    names = [
        "a/b.png",
        "a_b.png",
        "A_b.png",
        "ä.png",
        "ö.png",
        "../x.png",
        "..\\x.png",
        "x" * 200,
        "x" * 201,
        "....",
        "-",
    ]
    assert len({runs.name_report(name) for name in names}) == len(names)


HOSTILE = [
    "<img src=x onerror=alert(1)>.png", "=1+1.png", "a\nb.png", "{{7*7}}.png", "'\"&amp;.png", "\u202egnp.exe.png",
    "-o.png", "no text \udcff.png", "写真.png",
]  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
def test_hostile_names_do_nothing(run: Run, tmp_path: Path) -> None:
    before, after, out = tmp_path / "before", tmp_path / "after", tmp_path / "out"
    for number, name in enumerate(HOSTILE):
        write(before / "x.png", make_image(number))
        (before / "x.png").rename(before / name)
        write(after / "x.png", change(make_image(number), 12))
        (after / "x.png").rename(after / name)
    code, text, err = run(before, after, "--out", out, "--junit", tmp_path / "junit.xml", "--reports", "all")
    assert (code, err) == (1, "")
    assert len(text.splitlines()) == len(HOSTILE) + 1
    assert text.replace("\n", "").isprintable()
    assert set(statuses(out)) == set(HOSTILE)
    page = (out / "index.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "{{7*7}}" in page
    assert "\u202e" not in page
    assert not [path for path in out.rglob("*") if not re.fullmatch(r"[A-Za-z0-9._-]+", path.name)]
    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file, strict=True)]
    told = [name.replace("\udcff", "\\udcff") for name in HOSTILE]
    assert sorted(names) == sorted(f"'{name}" if name[0] in "=-" else name for name in told)
    cases = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert len(list(cases)) == len(HOSTILE)


def test_junit_says_what_xml_can_say() -> None:
    told = [make_row("a\x00\ud800\uffff/b\x1b.png", "error", error="\x07")]
    root = ElementTree.fromstring(to_junit(make_summary(told, {}, 3)))
    assert (root.get("tests"), root.get("errors")) == ("2", "2")
    *_, stopped = root.iter("testcase")
    assert (stopped.get("name"), stopped[0].get("message")) == ("stopped", "3 pairs were not compared")
    case = next(root.iter("testcase"))
    assert case.get("classname") == "a" + 3 * "\N{REPLACEMENT CHARACTER}"
    assert case.get("name") == "b\N{REPLACEMENT CHARACTER}.png"


# --- files that are not right ---


def test_the_same_file_twice_is_decoded_once(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def count(path: Path, *_: Any) -> np.ndarray:
        read.append("/".join(path.parts[-3:]))
        return make_image(0)

    monkeypatch.setattr(reading, "read_image", count)
    longer = folders[1] / "plots/2.png"
    longer.write_bytes(longer.read_bytes() + b"\0")
    # Of one length, and not the same
    same_length = bytearray((folders[1] / "plots/3.png").read_bytes())
    same_length[-1] ^= 1
    (folders[0] / "plots/3.png").write_bytes(same_length)
    for number, count_of_reads in ((0, 1), (2, 2), (3, 2)):
        read.clear()
        before, after = reading.read_pair(*(folder / f"plots/{number}.png" for folder in folders))
        assert len(read) == count_of_reads
        assert (before is after) == (count_of_reads == 1)


def test_a_file_that_changed_at_the_same_time_is_seen(folders: Folders) -> None:
    pair = [folder / "plots/same.npy" for folder in folders]
    for place in pair:
        np.save(place, np.zeros((60, 80), np.uint8))
    before, after = reading.read_pair(*pair)
    assert before is after
    times = pair[1].stat()
    content = bytearray(pair[1].read_bytes())
    content[-1] ^= 1  # of the last pixel
    pair[1].write_bytes(content)
    os.utime(pair[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    before, after = reading.read_pair(*pair)
    assert before is not after
    assert (before != after).sum() == 1


def test_files_are_read_with_the_limit_of_pixels(run: Run, folders: Folders) -> None:
    code, text, _ = run(*folders, "--pattern", "plots/[13].png", "--max-pixels", "100")
    assert code == 2
    assert text.count("give --max-pixels 4800") == 2


def test_large_files_are_found_by_their_header(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READERS", None)
    pair = batches.FilePair("1.png", folders[0] / "plots/1.png", folders[1] / "plots/1.png")
    assert not batches._is_large(pair)
    monkeypatch.setattr(batches, "LARGE_PIXELS", 60 * 80 - 1)
    assert batches._is_large(pair)


def test_a_bar_is_shown_on_a_screen_only(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for screen, shown in ((Screen(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", screen)
        main([*map(str, folders), "--pattern", "plots/[0-3].png"])
        assert ("pairs" in screen.getvalue()) == shown


# --- the index, in a browser ---


@pytest.fixture
def index(run: Run, folders: Folders, tmp_path: Path, browser: Any) -> Iterator[Any]:
    """The index of the folders and of a file with a hostile name, at a phone's width; nothing may go wrong in it."""
    hostile = "plots/<img src=x onerror=alert(1)>'\"&.png"
    write(folders[0] / "x.png", make_image(8))
    write(folders[1] / "x.png", change(make_image(8), 20))
    for folder in folders:
        (folder / "x.png").rename(folder / hostile)
    run(*folders, "--out", tmp_path / "out")
    screen = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get((tmp_path / "out" / "index.html").as_uri())
    yield browser
    assert browser.get_log("browser") == []
    asked = re.findall(r'"Network\.requestWillBeSent".*?"url":"(.{30})', str(browser.get_log("performance")))
    assert asked
    assert [url for url in asked if not url.startswith(("data:", "file:///"))] == []


@pytest.mark.skipif(os.name == "nt", reason="no such names on Windows")
def test_index_lists_pairs_from_worst_to_best(index: Any, folders: Folders) -> None:
    def script(code: str) -> Any:
        return index.execute_script(f"return {code}")

    names = script("[...document.querySelectorAll('.pair')].map(x => x.dataset.name)")
    assert names[:4] == ["plots/5.png", "gone.png", "plots/4.png", "plots/3.png"]
    assert names[4].startswith("plots/<img")
    assert names[5:] == ["plots/1.png"]
    titles = script("[...document.querySelectorAll('.pair h3')].map(x => x.textContent)")
    assert titles == names
    assert script("document.querySelector('h1').textContent").split() == ["6", "of", "8", "pairs", "need", "a", "look"]
    assert script("document.documentElement.scrollWidth") <= 360
    # Pictures are loaded as they come into view
    for picture in index.find_elements("css selector", ".pair img"):
        index.execute_script("arguments[0].scrollIntoView()", picture)
        WebDriverWait(index, 20, poll_frequency=0.02).until(
            lambda _, it=picture: it.get_property("naturalWidth") == 248
        )
    assert len(index.find_elements("css selector", "img")) == 3
    field = index.find_element("id", "filter")
    field.send_keys("PLOTS/3")
    assert [row.is_displayed() for row in index.find_elements("css selector", ".pair")] == [
        name == "plots/3.png" for name in names
    ]
    assert script("document.getElementById('shown').value") == "1 of 6"
    details = index.find_element("css selector", "details")
    assert not index.find_element("css selector", ".same-pairs").is_displayed()
    details.find_element("css selector", "summary").click()
    assert index.find_element("css selector", ".same-pairs").text.split()[0] == "plots/0.png"
    index.find_element("partial link text", "plots/3.png").click()
    WebDriverWait(index, 20).until(lambda browser: browser.title.startswith("Different"))
    assert "3.png" in index.find_element("css selector", "header").text
