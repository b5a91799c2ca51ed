"""The command line: two image files in, what changed out.

Results go to stdout, messages to stderr. The exit code is 0 for the same, 1 for different, 2 for an error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .folders import write_file
from .loading import load_engine
from .options import PROGRAM, parse, say_options
from .reading import explain
from .settings import Settings
from .settings_files import read_settings, save_settings
from .tables import Columns, count_rows
from .words import printable

if TYPE_CHECKING:
    from .comparison import Comparison
    from .files import Files
    from .judging import Limits

__all__ = ["main"]

SAME, DIFFERENT, ERROR = 0, 1, 2

PRESETS: dict[str, Callable[[], Settings]] = {
    "detect": Settings,
    "classic": Settings.classic,
    "wang2004": Settings.wang2004,
}

T = TypeVar("T")

# Seconds
CONNECT_TIMEOUT = 10


def main(argv: Sequence[str] | None = None) -> int:
    """Compare two image files as the command line asks.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process by default.

    Returns
    -------
    int
        The exit code: 0 same, 1 different, 2 error.

    Examples
    --------
    >>> main(["before.png", "missing.png"])
    2
    """
    with suppress(AttributeError):  # where stdout is not a stream of the system
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        return _run(argv)
    except BrokenPipeError:
        # whoever read our stdout (`| head`) left; without this Python complains once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except KeyboardInterrupt:
        return _fail("stopped")
    except Exception as error:  # whatever it is: Python would exit with 1, and that says "different"
        return _fail(explain(error))


def _run(argv: Sequence[str] | None) -> int:
    asked, changes = parse(argv)
    images = {name: Path(file) for name in ("before", "after", "ignore") if (file := getattr(asked, name))}
    if asked.save_settings is not None and Path(asked.save_settings).exists() and not asked.force:
        raise ValueError(f"{asked.save_settings} is there already; give another name, or --force to replace it")
    if asked.ignore and not images["ignore"].exists():
        raise OSError(f"{asked.ignore} does not exist; give a mask, a CSV of boxes, or for folders a folder of them")
    preset = dataclasses.asdict(PRESETS[asked.preset]())
    given = {} if asked.settings is None else read_settings(Path(asked.settings))
    settings = Settings.resolve(preset | given, **changes)
    folders = [images[name].is_dir() and images[name].suffix.lower() != ".zarr" for name in ("before", "after")]
    if all(folders):
        return _run_folders(asked, images, settings)
    if any(folders):
        one, other = (images[name] for name in (("before", "after") if folders[0] else ("after", "before")))
        raise ValueError(f"{one} is a folder, and {other} is not; give two files or two folders")
    return _run_pair(asked, images, settings)


def _run_pair(asked: argparse.Namespace, images: Mapping[str, Path], settings: Settings) -> int:
    """Compare two files."""
    for name in ("junit", "pattern", "resume", "reports"):
        if getattr(asked, name):
            raise ValueError(f"--{name} is for two folders, and {images['before']} is a file; leave it out")
    # Here and not above, so that --help and a mistyped option do not wait for numba
    load_engine()
    if asked.out is not None:
        _check_folder(asked.out, images, asked.force)
    from .files import compare_files
    from .judging import judge

    with _cluster(asked.scheduler):
        files = compare_files(images, settings, spacing=asked.spacing, max_pixels=asked.max_pixels)
    comparison, limits = files.comparison, _limits_of(asked)
    if asked.scheduler is not None and comparison.pyramid is None:
        _warn("these images are not stored in chunks (.zarr), so they were compared here and not on the cluster")
    if asked.save_settings is not None:
        save_settings(settings, Path(asked.save_settings))
    if asked.out is not None or asked.json:
        from .report import describe_file, make_report, write_report

        described = {name: describe_file(path) for name, path in images.items()}
        report = make_report(comparison, described, limits)
        if asked.out is not None:
            write_report(comparison, asked.out, report, replace=asked.force)
    if asked.json:
        print(json.dumps(report, indent=1, allow_nan=False), flush=True)
    else:
        print(_describe(comparison), flush=True)
    reasons = judge(comparison, limits)
    if any(limit is not None for limit in limits) and not asked.json:
        print(f"different: {'; '.join(reasons)}" if reasons else "same, within the limits", flush=True)
    if asked.open:
        _show(files, images)
    return DIFFERENT if reasons else SAME


def _run_folders(asked: argparse.Namespace, folders: Mapping[str, Path], settings: Settings) -> int:
    """Compare the files of two folders."""
    for name in ("open", "scheduler"):
        if getattr(asked, name):
            raise ValueError(f"--{name} is for two files, and {folders['before']} is a folder; leave it out")
    if asked.out is None and (asked.resume or asked.reports):
        raise ValueError(f"--{'resume' if asked.resume else 'reports'} needs --out, the folder of the summary")
    out = Path(asked.out) if asked.out is not None else None
    if asked.junit is not None:
        _check_junit(Path(asked.junit), folders, out)
    load_engine()
    from . import batches, runs, summaries

    if out is not None and runs.check_place(out, list(folders.values())) and not (asked.force or asked.resume):
        raise OSError(f"{out} is there already; give another folder, --resume to go on, or --force to replace it")
    pairs = batches.find_pairs(folders["before"], folders["after"], asked.pattern or "**/*")
    if asked.save_settings is not None:
        save_settings(settings, Path(asked.save_settings))
    limits = _limits_of(asked)
    if "ignore" in folders:
        _tell_ignored(folders["ignore"], {pair.name for pair in pairs})
    task = runs.Task(
        settings, limits, asked.spacing, asked.max_pixels, folders.get("ignore"), out, asked.reports or "different"
    )
    rows: list[dict[str, Any]] = []
    stopped = False
    decides = {"settings": dataclasses.asdict(settings), "limits": limits._asdict(), "spacing": asked.spacing}
    with _interrupted_once():
        try:
            with closing(runs.run(pairs, task, resume=asked.resume)) as under_way:
                told = (row | {"error": say_options(row["error"] or "") or None} for row in under_way)
                rows.extend(_with_bar(told, len(pairs)))
        except KeyboardInterrupt:
            stopped = True
        summary = summaries.make_summary(rows, decides, len(pairs) - len(rows))
        if out is not None:
            summaries.write_summary(out, summary)
        if asked.junit is not None:
            write_file(Path(asked.junit), summaries.to_junit(summary))
    print(json.dumps(summary, indent=1, allow_nan=False) if asked.json else _describe_all(summary), flush=True)
    if stopped:
        way = "go on with the same command and --resume" if out is not None else "with --out they could go on"
        return _fail(f"stopped after {len(rows):,} of {len(pairs):,} pairs; {way}")
    return ERROR if summary["counts"]["error"] else DIFFERENT if summary["different"] else SAME


def _check_junit(file: Path, folders: Mapping[str, Path], out: Path | None) -> None:
    """Raise OSError where JUnit XML cannot be written, or would take the place of something else."""
    if out is not None and file.parent == out and file.name == "junit.xml":
        return
    if not file.parent.is_dir():
        raise OSError(f"{file} cannot be written: there is no such folder; give another name")
    if any(folders[name].resolve() in file.resolve().parents for name in ("before", "after")):
        raise OSError(f"{file} lies in a folder that is compared; give another name")
    if file.exists() and not (file.is_file() and b"<testsuites" in file.read_bytes()[:200]):
        raise OSError(f"{file} is there, and is no JUnit XML; give another name")


def _tell_ignored(ignore: Path, names: Collection[str]) -> None:
    """Say what is ignored where: one file in all pairs; of a folder what belongs to none."""
    if ignore.is_file():
        _warn(f"what {ignore} has is ignored in all pairs; give a folder of such files for single ones")
        return
    files = [path.relative_to(ignore).as_posix() for path in sorted(ignore.rglob("*")) if path.is_file()]
    for name in files:
        if name not in names and name.removesuffix(".csv") not in names:
            _warn(f"{ignore / name} belongs to no pair, and is not used")


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Let SIGTERM, by which build servers end what takes too long, do what Ctrl-C does, and either only once.

    What is done is written then, and a second signal would end that in the middle.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _with_bar(rows: Iterator[T], count: int) -> Iterator[T]:
    """Yield what is given, with a bar on stderr where that is a screen."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    return iter(tqdm(rows, total=count, unit=" pairs", file=sys.stderr, disable=None, leave=False))


def _describe_all(summary: Mapping[str, Any]) -> str:
    """Return what is printed of two folders: each pair that is not the same, the worst first, and how many are what."""
    told = [row for row in summary["pairs"] if row["status"] != "same"]
    cells = [[row["status"], row["name"], row["error"] or _say_why(row, summary["limits"])] for row in told]
    cells = [list(map(printable, row)) for row in cells]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(2)]
    lines = [f"{status:{widths[0]}}  {name:{widths[1]}}  {text}" for status, name, text in cells]
    counts = ", ".join(f"{count:,} {status}" for status, count in reversed(summary["counts"].items()) if count)
    count = len(summary["pairs"])
    return "\n".join([*lines, f"{count:,} pair{'s' * (count != 1)}: {counts}"])


def _say_why(row: Mapping[str, Any], limits: Mapping[str, Any]) -> str:
    """Return why a pair is different: which limit it is over, or else what was found."""
    return row["summary"] if row["summary"] and set(limits.values()) == {None} else "; ".join(row["reasons"])


def _limits_of(asked: argparse.Namespace) -> Limits:
    from .judging import Limits

    return Limits(asked.max_regions, asked.max_changed, asked.min_score)


def _show(files: Files, images: Mapping[str, Path]) -> None:
    """Show the images and the result in napari, until it is closed."""
    import napari

    from .layers import layers_of
    from .placing import place

    viewer = napari.Viewer()
    one, other = (
        viewer.add_image(image, name=images[name].name, rgb=files.comparison.resolved["channels"][name] != "gray")
        for name, image in (("before", files.before), ("after", files.after))
    )
    place(viewer, files.comparison, one, other, layers_of(files.comparison, one, other, more=True))
    napari.run()


@contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Let images that are read in chunks be compared on the cluster at this address, if there is one."""
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "--scheduler needs dask.distributed, which is not installed; pip install 'napari-image-diff[distributed]'"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise OSError(f"no scheduler answers at {address}; start one with 'dask scheduler', and workers") from error
    with client:
        yield


def _check_folder(folder: str, images: Mapping[str, Path], force: bool) -> None:
    """Raise where a report cannot be written to a folder, before anything is read."""
    from .report import check_place

    if check_place(Path(folder), list(images.values())) and not force:
        raise OSError(f"{folder} is there already; give another folder, or --force to replace it")


def _fail(message: str) -> int:
    _warn(f"error: {say_options(message)}")
    return ERROR


def _warn(message: str) -> None:
    with suppress(AttributeError, OSError):  # stderr may be closed, or its disk full
        print(f"{PROGRAM}: {printable(message)}", file=sys.stderr, flush=True)


def _describe(comparison: Comparison) -> str:
    """Return what is printed: verdict, score, threshold, number of regions, table of regions."""
    rule = comparison.resolved["threshold_rule"]
    lines = [
        comparison.summary,
        f"verdict: {comparison.verdict}",
        f"score: {_list(comparison.score)}",
        f"threshold: {_list(comparison.threshold)} ({rule}{', of the evidence' * (rule == 'auto')})",
        f"regions: {count_rows(comparison.region_columns)}",
    ]
    if comparison.changed:
        lines += _lay_out(comparison.region_columns)
    return "\n".join(lines)


def _lay_out(table: Columns) -> list[str]:
    """Return a table as lines of text, a heading first."""
    columns = [[name, *map(_write_cell, column.tolist())] for name, column in table.items()]
    widths = [max(map(len, column)) for column in columns]
    return [
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in zip(*columns, strict=True)
    ]


def _write_cell(value: Any) -> str:
    """Return a cell of the table as text; where there is no number, a dash."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _list(values: Any) -> str:
    """Return a number, or those of all frames."""
    return ", ".join(map(str, values.ravel().tolist())) if hasattr(values, "ravel") else str(values)
