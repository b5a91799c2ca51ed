"""The command line: two image files in, what changed out.

Results go to stdout, messages to stderr. The exit code is 0 for the same, 1 for different, 2 for an error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin

from .reading import MOST_PIXELS, read_image
from .settings import Settings, describe_fields
from .tables import Columns, count_rows
from .versions import VERSION

if TYPE_CHECKING:
    from .comparison import Comparison
    from .judging import Limits

__all__ = ["main"]

PROGRAM = "napari-image-diff"
SAME, DIFFERENT, ERROR = 0, 1, 2

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
    try:
        return _run(argv)
    except BrokenPipeError:
        # whoever read our stdout (`| head`) left; without this Python complains once more when it flushes at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ERROR
    except KeyboardInterrupt:
        return _fail("stopped")
    except MemoryError:
        return _fail("there is not enough memory for images of this size")
    except OSError as error:
        # What the system says has the file beside it
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (TypeError, ValueError) as error:
        return _fail(str(error))


def _run(argv: Sequence[str] | None) -> int:
    asked, changes = _parse(argv)
    images = {"before": asked.before, "after": asked.after, **({"ignore": asked.ignore} if asked.ignore else {})}
    if asked.out is not None:
        _check_folder(asked.out, images, asked.force)
    if asked.save_settings is not None and Path(asked.save_settings).exists() and not asked.force:
        raise ValueError(f"{asked.save_settings} is there already; give another name, or --force to replace it")
    settings = Settings.resolve(_read_settings(asked.settings), **changes)
    before, after = (read_image(Path(images[name]), asked.max_pixels) for name in ("before", "after"))
    ignore = _read_ignored(Path(asked.ignore), before, settings, asked.max_pixels) if asked.ignore else None
    _load_numba()
    # Here and not above, so that --help and a mistyped option do not wait for numba
    from .comparison import compare
    from .judging import judge

    with _cluster(asked.scheduler):
        comparison = compare(before, after, settings, ignore=ignore, spacing=asked.spacing)
    if asked.scheduler is not None and comparison.pyramid is None:
        _warn("these images are not stored in chunks (.zarr), so they were compared here and not on the cluster")
    if comparison.resolved["pixels_not_valid"] == comparison.difference.size:
        raise ValueError("nothing can be compared: no pixel, or too few round any, is a number in both images")
    limits = _limits_of(asked)
    if asked.out is not None:
        _check_single(comparison)
    if asked.save_settings is not None:
        _save_settings(settings, Path(asked.save_settings))
    if asked.out is not None or asked.json:
        from .report import make_report, write_report

        report = make_report(comparison, images, limits)
        if asked.out is not None:
            write_report(comparison, asked.out, report)
    if asked.json:
        print(json.dumps(report, indent=1, allow_nan=False), flush=True)
    else:
        print(_describe(comparison), flush=True)
    reasons = judge(comparison, limits)
    if any(limit is not None for limit in limits) and not asked.json:
        print(f"different: {'; '.join(reasons)}" if reasons else "same, within the limits", flush=True)
    if asked.open:
        _show(comparison, before, after, images)
    return DIFFERENT if reasons else SAME


def _load_numba() -> None:
    """Load numba without linear algebra, of which our kernels have none: that takes a fifth of the time of all we do.

    Numba asks as it is loaded whether BLAS is there, and loads scipy.linalg to know. It is, scipy is installed with us;
    functions that need it ask again when they are compiled.
    """
    with suppress(ImportError, AttributeError):  # in versions to come: then it is loaded as it loads itself
        import numba.np.linalg as linear_algebra

        ask = linear_algebra.ensure_blas
        linear_algebra.ensure_blas = lambda: None
        try:
            import numba.np.arraymath  # noqa: F401
        finally:
            linear_algebra.ensure_blas = ask


def _check_single(comparison: Comparison) -> None:
    """Raise ValueError where there are no pictures to draw of a comparison."""
    if comparison.frames:
        raise ValueError(f"--out draws single images, and these have {len(comparison.frames)} frames; leave it out")
    if comparison.labels.ndim == 3:
        raise ValueError(
            f"--out draws single images, and these are volumes of {len(comparison.labels)} planes; leave it out"
        )
    if comparison.pyramid is not None:
        raise ValueError("--out draws images in memory, and these are read in chunks; leave it out")


def _read_settings(file: str | None) -> dict[str, Any]:
    """Return the settings in a JSON file, or in the record of a report."""
    if file is None:
        return {}
    try:
        found = json.loads(Path(file).read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}); give settings as --save-settings writes them") from error
    found = found.get("settings", found) if isinstance(found, dict) else found
    if not isinstance(found, dict):
        raise ValueError(f"{file} has no settings; give a JSON object of them, as --save-settings writes it")
    return found


def _save_settings(settings: Settings, file: Path) -> None:
    """Write settings as JSON, whole or not at all."""
    beside = file.with_name(f"{file.name}.incomplete")
    try:
        beside.write_text(json.dumps(dataclasses.asdict(settings), indent=1), encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        raise OSError(f"{file} cannot be written: {error.strerror}; give another name") from error
    finally:
        with suppress(OSError):
            beside.unlink()


def _read_ignored(path: Path, before: Any, settings: Settings, most_pixels: int) -> Any:
    """Return which pixels of `before` do not count: those not 0 in a mask, or those in the boxes of a table."""
    import numpy as np

    if path.suffix.lower() != ".csv":
        mask = read_image(path, most_pixels)
        # Of a picture in colour; that it is opaque says nothing
        return mask[..., :3].any(axis=-1) if mask.ndim == 3 and mask.shape[-1] in (3, 4) else mask != 0
    import pandas as pd

    from .preparation import find_channels

    names = ["min_row", "min_col", "max_row", "max_col"]
    try:
        boxes = pd.read_csv(path)[names].to_numpy(np.int64)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} has no boxes; give a CSV with the columns {', '.join(names)}") from error
    shape = before.shape[:-1] if before.ndim > settings.spatial_ndim and before.shape[-1] == 1 else before.shape
    channels = find_channels(shape, "before", settings.channels, stacks=True, axes=settings.spatial_ndim)
    mask = np.zeros(shape[-2:] if channels == "gray" else shape[-3:-1], np.bool_)
    for top, left, bottom, right in np.maximum(boxes, 0):
        mask[top:bottom, left:right] = True
    return mask


def _limits_of(asked: argparse.Namespace) -> Limits:
    from .judging import Limits

    return Limits(asked.max_regions, asked.max_changed, asked.min_score)


def _show(comparison: Comparison, before: Any, after: Any, images: Mapping[str, str]) -> None:
    """Show the images and the result in napari, until it is closed."""
    import napari

    from .layers import layers_of
    from .placing import place

    viewer = napari.Viewer()
    one, other = (
        viewer.add_image(image, name=Path(images[name]).name, rgb=comparison.resolved["channels"][name] != "gray")
        for name, image in (("before", before), ("after", after))
    )
    place(viewer, comparison, one, other, layers_of(comparison, one, other, more=True))
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


def _check_folder(folder: str, images: Mapping[str, str], force: bool) -> None:
    """Raise where a report cannot be written to a folder, before anything is read."""
    if not folder:
        raise ValueError("--out is empty; give the name of a folder")
    from .report import check_place

    check_place(Path(folder), list(images.values()), force)


def _fail(message: str) -> int:
    _warn(f"error: {' '.join(message.split())}")
    return ERROR


def _warn(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {PROGRAM} --help)")


def _parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return what is asked for, and the settings that are given."""
    asked = _parser().parse_args(argv)
    named = [asked.first, asked.second]
    paths = [path for path in (asked.before, asked.after, *named) if path is not None]
    if len(paths) != 2 or (None in named and any(named)):
        raise ValueError(f"give two images: {PROGRAM} BEFORE AFTER (see {PROGRAM} --help)")
    asked.before, asked.after = paths
    return asked, {name: getattr(asked, name) for name in describe_fields() if hasattr(asked, name)}


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [options] BEFORE AFTER",
        description="Compare two images: print verdict, score (mean SSIM), threshold and the changed regions.",
        epilog="The exit code is 0 if the images count as the same, 1 if as different, 2 after an error.",
        allow_abbrev=False,
    )
    images = parser.add_argument_group("images")
    images.add_argument("before", nargs="?", metavar="BEFORE", help="image file, or a .zarr")
    images.add_argument("after", nargs="?", metavar="AFTER", help="image file, or a .zarr")
    images.add_argument("-f", "--first", metavar="BEFORE", help="the same as BEFORE")
    images.add_argument("-s", "--second", metavar="AFTER", help="the same as AFTER")
    images.add_argument(
        "--ignore", metavar="FILE", help="pixels that do not count: not 0 in this image, or in the boxes of this CSV"
    )
    images.add_argument(
        "--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="size of a voxel of volumes, in one unit"
    )
    images.add_argument(
        "--max-pixels",
        type=_count,
        default=MOST_PIXELS,
        metavar="N",
        help="refuse a file whose header tells of more pixels (default: %(default)s)",
    )
    verdict = parser.add_argument_group("verdict", "Without any of these, any region is a difference.")
    verdict.add_argument("--max-regions", type=_count, metavar="N", help="so many regions may be there")
    verdict.add_argument(
        "--max-changed", type=_share, metavar="SHARE", help="such a share of the pixels may change, as 0.1%% or 0.001"
    )
    verdict.add_argument(
        "--min-score", type=_score, metavar="SCORE", help="the score, and SSIM within each region, are at least this"
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        metavar="DIR",
        help="write a page (HTML), pictures, maps (TIFF), table (CSV) and record (JSON) into this folder",
    )
    output.add_argument("--json", action="store_true", help="print the record as JSON")
    output.add_argument("--open", action="store_true", help="show the result in napari")
    output.add_argument("--force", action="store_true", help="replace what an earlier run wrote")
    output.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="compare images stored in chunks (.zarr) on this dask.distributed cluster",
    )
    group = parser.add_argument_group("settings")
    group.add_argument("--settings", metavar="FILE", help="take the settings from this JSON; options go first")
    group.add_argument("--save-settings", metavar="FILE", help="write the settings as JSON")
    for name, (kind, metadata) in describe_fields().items():
        _add_setting(group, name, kind, metadata)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def _share(text: str) -> float:
    """Return a share that is given as such, or in percent."""
    with suppress(ValueError):
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        if 0 <= share <= 1:
            return share
    raise argparse.ArgumentTypeError(f"{text!r} is no share; give a number from 0 to 1, or one from 0% to 100%")


def _score(text: str) -> float:
    with suppress(ValueError):
        if -1 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no score; give a number from -1 to 1")


def _add_setting(group: argparse._ArgumentGroup, name: str, kind: Any, metadata: dict[str, Any]) -> None:
    """Make one option from a field of `Settings`; an option that is not given leaves no trace in the result."""
    default = getattr(Settings(), name)
    text = f"{metadata['help']} Default: {default}.".replace("%", "%%")
    option = f"--{name.replace('_', '-')}"
    if kind is bool:
        group.add_argument(option, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text)
    elif get_origin(kind) is Literal:
        group.add_argument(option, choices=get_args(kind), default=argparse.SUPPRESS, help=text)
    elif kind in (int, float):
        group.add_argument(option, type=kind, metavar="NUMBER", default=argparse.SUPPRESS, help=text)
    else:
        group.add_argument(option, type=_number_or_word, metavar="NUMBER|WORD", default=argparse.SUPPRESS, help=text)


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _describe(comparison: Comparison) -> str:
    """Return what is printed: verdict, score, threshold, number of regions, table of regions."""
    rule = comparison.resolved["threshold_rule"]
    lines = [
        comparison.summary,
        f"verdict: {comparison.verdict}",
        f"score: {_list(comparison.score)}",
        f"threshold: {_list(comparison.threshold)} ({rule})",
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
    """Return a cell of the table as text; where there is no number, nothing."""
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _list(values: Any) -> str:
    """Return a number, or those of all frames."""
    return ", ".join(map(str, values.ravel().tolist())) if hasattr(values, "ravel") else str(values)
