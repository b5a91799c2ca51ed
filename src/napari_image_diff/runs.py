"""A run over the pairs of two folders: what is done is on the disk at once, and need not be done again."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Literal, NamedTuple

from . import folders
from .batches import FilePair, Found, map_pairs
from .files import compare_files
from .judging import NO_REGION, Limits, judge
from .reading import MOST_PIXELS, is_whole
from .report import describe_file, make_report, write_report
from .settings import Settings
from .summaries import Row, make_row
from .versions import find_versions

__all__ = ["JUNIT", "Task", "check_place", "run"]

# Of the journal: it changes where a line changes its meaning
VERSION = 1

JOURNAL = "journal.jsonl"
REPORTS = "pairs"
JUNIT = "junit.xml"
FILES = ("index.html", JOURNAL, JUNIT, "summary.csv", "summary.json")


class Task(NamedTuple):
    """What is to be done with each pair of files."""

    settings: Settings
    limits: Limits = NO_REGION
    spacing: Sequence[float] | None = None
    max_pixels: int = MOST_PIXELS
    ignore: Path | None = None
    """A file for all pairs, or a folder that has one for some: of the name of the pair, or of this and ".csv"."""
    out: Path | None = None
    """The folder of the summary."""
    reports: Literal["different", "all", "none"] = "different"
    """Which pairs get a report there."""


def check_place(place: Path, compared: Sequence[Path]) -> bool:
    """Return whether a summary would take the place of an earlier one; raise OSError if of something else.

    Nor may it lie among what is `compared`.
    """
    whole = place.resolve()
    for folder in compared:
        if folder.resolve() in (whole, *whole.parents):
            raise OSError(f"{place} lies in {folder}, which is compared; give another folder")
        if whole in folder.resolve().parents:
            raise OSError(f"{place} has {folder} in it, which is compared; give another folder")
    return folders.check_place(place, "summary", FILES, (REPORTS,), lambda place: (place / JOURNAL).is_file())


def run(pairs: Sequence[FilePair], task: Task, *, resume: bool = False) -> Generator[Row, None, None]:
    """Compare pairs, and yield a row of the summary for each as it is done.

    With `task.out` each has a line in the journal there at once. With `resume` what the journal has of the same task is
    taken from it, where the files are the same; else what an earlier run left is removed.
    """
    with ExitStack() as stack:
        done: dict[str, Row] = {}
        journal = None
        if task.out is not None:
            if resume:
                done = _read_journal(task)
            else:
                for name in (*FILES, REPORTS):
                    _remove(task.out / name)
            task.out.mkdir(parents=True, exist_ok=True)
            for left in (
                *task.out.glob(f"*{folders.INCOMPLETE}"),
                *(task.out / REPORTS).glob(f"*{folders.INCOMPLETE}"),
            ):
                _remove(left)
            _end_line(task.out / JOURNAL)
            journal = stack.enter_context((task.out / JOURNAL).open("a", encoding="utf-8"))
        work = functools.partial(_work, task=task, done=done)
        for found in stack.enter_context(closing(map_pairs(work, pairs))):
            row = found.result or _tell_why(found)
            if journal is not None and found.result and row is not done.get(row["name"]):
                journal.write(json.dumps({"key": _make_key(task), **row}, allow_nan=False) + "\n")
                journal.flush()
            yield row


def _work(pair: FilePair, stop: Callable[[], None], task: Task, done: Mapping[str, Row]) -> Row:
    """Compare a pair, write its report, and return its row."""
    began = time.perf_counter()
    images = _find_images(pair, task.ignore)
    place = name_report(pair.name)
    # Hashing takes time, and only who goes on later needs to know whether the files are the same
    described = {name: describe_file(path) for name, path in images.items()} if task.out is not None else {}
    earlier = done.get(pair.name)
    if earlier is not None and earlier["images"] == described and _is_kept(task, pair, earlier):
        return earlier
    files = compare_files(
        images,
        task.settings,
        spacing=task.spacing,
        max_pixels=task.max_pixels,
        progress=lambda done, total: stop(),
    )
    reasons = judge(files.comparison, task.limits)
    report = None
    if task.out is not None:
        _remove(task.out / place)
        if task.reports == "all" or (task.reports == "different" and reasons):
            write_report(files.comparison, task.out / place, make_report(files.comparison, described, task.limits))
            report = place
    page = f"{place}/report.html"
    return make_row(
        pair.name,
        "different" if reasons else "same",
        files.comparison,
        reasons=reasons,
        seconds=round(time.perf_counter() - began, 3),
        report=report,
        page=page if report and files.comparison.pyramid is None else None,
        images=described,
    )


def _is_kept(task: Task, pair: FilePair, row: Row) -> bool:
    """Return whether a row says all there is: its report is there, and no file points to others, which may change."""
    there = task.out is not None and (row["report"] is None or (task.out / row["report"]).is_dir())
    return there and all(map(is_whole, pair.files.values()))


def _tell_why(found: Found[Row]) -> Row:
    """Return the row of a pair that was not compared."""
    if found.error:
        return make_row(found.pair.name, "error", error=found.error)
    return make_row(found.pair.name, "missing", reasons=[f"only in {'before' if found.pair.before else 'after'}"])


def _find_images(pair: FilePair, ignore: Path | None) -> dict[str, Path]:
    """Return the files of a pair as `compare_files` takes them."""
    if ignore is not None and ignore.is_dir():
        ways = (ignore / f"{pair.name}.csv", ignore / pair.name)
        ignore = next((way for way in ways if way.exists()), None)
    return pair.files | ({"ignore": ignore} if ignore is not None else {})


def _make_key(task: Task) -> str:
    """Return a hash of what was asked, and of the versions that a result depends on."""
    asked = [VERSION, str(task.settings), task.limits, task.spacing, task.max_pixels, task.reports, find_versions()]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _read_journal(task: Task) -> dict[str, Row]:
    """Return the rows of the journal by the names of their pairs: those of this task that were compared."""
    assert task.out is not None
    try:
        lines = (task.out / JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return {}
    rows: dict[str, Row | None] = {}
    key = _make_key(task)
    for line in lines:
        with suppress(ValueError, RecursionError):  # where the process was killed meanwhile
            row = json.loads(line)
            if isinstance(row, dict) and "key" in row:
                # The last line of a pair tells of what was found last, and of the report that is there
                rows[row["name"]] = row if row.pop("key") == key else None
    return {name: row for name, row in rows.items() if row is not None}


def _end_line(journal: Path) -> None:
    """End the last line of a journal, where a process was killed in the middle of one."""
    content = journal.read_bytes() if journal.exists() else b""
    if content and not content.endswith(b"\n"):
        with journal.open("a", encoding="utf-8") as file:
            file.write("\n")


def name_report(name: str) -> str:
    """Return where the report of a pair lies below the folder of the summary, in a few letters that are safe."""
    safe = re.sub(r"[^A-Za-z0-9.-]+", "_", name)[-60:].strip("._-")
    # What is left out may tell two names apart, and so may the case
    return f"{REPORTS}/{safe or 'pair'}_{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _remove(place: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
