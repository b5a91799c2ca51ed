"""The options of the command line, and its help."""

from __future__ import annotations

import argparse
import functools
import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, NoReturn, get_args, get_origin

from .reading import MOST_PIXELS
from .settings import Settings, describe_fields
from .versions import VERSION

__all__ = ["PROGRAM", "parse", "say_options"]

PROGRAM = "napari-image-diff"

DESCRIPTION = "Compare two images: print verdict, score (mean SSIM), threshold and the changed regions."
EXIT_CODES = "The exit code is 0 if the images count as the same, 1 if as different, 2 after an error."


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {PROGRAM} --help)")


def parse(argv: Sequence[str] | None) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return what is asked for, and the settings that are given.

    Raises
    ------
    ValueError
        If the arguments are not such as the help tells of; the message says which.
    """
    asked = _parser(*GROUPS).parse_args(argv)
    named = [asked.first, asked.second]
    paths = [path for path in (asked.before, asked.after, *named) if path is not None]
    if len(paths) != 2 or (None in named and any(named)):
        raise ValueError(f"give two images: {PROGRAM} BEFORE AFTER (see {PROGRAM} --help)")
    asked.before, asked.after = paths
    for name in ("before", "after", "ignore", "out", "junit", "save_settings"):
        if getattr(asked, name) == "":
            raise ValueError(f"{name.replace('_', '-')} is empty; give the name of a file or a folder")
    return asked, {name: getattr(asked, name) for name in describe_fields() if hasattr(asked, name)}


def say_options(text: str) -> str:
    """Return a message of the engine with its settings as they are given here: size='pad' as --size pad."""
    names = "|".join([*describe_fields(), "max_pixels"])
    return re.sub(rf"\b({names})=(['\"]?)([\w.-]+)\2", lambda found: f"--{found[1].replace('_', '-')} {found[3]}", text)


def _parser(*names: str) -> argparse.ArgumentParser:
    """Return a parser of some groups of options."""
    parser = _Parser(
        prog=PROGRAM, usage=f"{PROGRAM} [options] BEFORE AFTER", add_help=False, allow_abbrev=False, epilog=EXIT_CODES
    )
    for name in names:
        title, description, add = GROUPS[name]
        add(parser.add_argument_group(f"{name}: {title}", description))
    return parser


def _add_images(group: argparse._ArgumentGroup) -> None:
    group.add_argument("before", nargs="?", metavar="BEFORE", help="image file, .zarr, or folder of images")
    group.add_argument("after", nargs="?", metavar="AFTER", help="the same")
    group.add_argument("-f", "--first", metavar="BEFORE", help="the same as BEFORE")
    group.add_argument("-s", "--second", metavar="AFTER", help="the same as AFTER")
    group.add_argument(
        "--ignore",
        metavar="FILE",
        help="pixels that do not count: not 0 in this image, or in the boxes of this CSV; of folders a folder of such",
    )
    group.add_argument(
        "--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="size of a voxel of volumes, in one unit"
    )
    group.add_argument(
        "--max-pixels",
        type=_count,
        default=MOST_PIXELS,
        metavar="N",
        help="refuse a file whose header tells of more pixels (default: %(default)s)",
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="compare images in chunks (.zarr) on this dask.distributed cluster"
    )
    group.add_argument("-h", "--help", nargs="?", const="", metavar="GROUP", action=_Help, help="show help, and end")
    group.add_argument("--version", action="version", version=f"{PROGRAM} {VERSION}", help="show the version, and end")


def _add_folders(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pattern", metavar="GLOB", help="which files, such as '**/*.tif' (default: all images)")
    group.add_argument(
        "--reports", choices=("different", "all", "none"), help="which pairs get a report of their own (with --out)"
    )
    group.add_argument("--resume", action="store_true", help="go on with --out: what is done and unchanged is kept")
    group.add_argument("--junit", metavar="FILE", help="write the verdicts as JUnit XML")


def _add_verdict(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-regions", type=_count, metavar="N", help="so many regions may be there")
    group.add_argument(
        "--max-changed", type=_share, metavar="SHARE", help="such a share of the pixels may change, as 0.1%% or 0.001"
    )
    group.add_argument(
        "--min-score", type=_score, metavar="SCORE", help="the score, and SSIM within each region, are at least this"
    )


def _add_output(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out",
        metavar="DIR",
        help="write a page (HTML), pictures, maps (TIFF), table (CSV) and record (JSON) into this folder; of folders a "
        "summary too",
    )
    group.add_argument("--json", action="store_true", help="print the record as JSON")
    group.add_argument("--open", action="store_true", help="show the result in napari")
    group.add_argument("--force", action="store_true", help="replace what an earlier run wrote")
    group.add_argument(
        "--preset",
        choices=("detect", "classic", "wang2004"),
        default="detect",
        help="settings to begin with: 'classic' is the recipe, SSIM and Otsu's threshold (default: %(default)s)",
    )
    group.add_argument("--settings", metavar="FILE", help="take the settings from this JSON; options go first")
    group.add_argument("--save-settings", metavar="FILE", help="write the settings as JSON")


def _add_settings(name: str, group: argparse._ArgumentGroup) -> None:
    for field, (kind, metadata) in describe_fields().items():
        if metadata["group"] == name:
            _add_setting(group, field, kind, metadata)


GROUPS: dict[str, tuple[str, str | None, Callable[[argparse._ArgumentGroup], None]]] = {
    "images": ("what is compared", None, _add_images),
    "folders": ("all images of two folders", "What has the same path in both is a pair.", _add_folders),
    "verdict": ("what counts as different", "Without any of these, any region is a difference.", _add_verdict),
    "output": ("what is written", None, _add_output),
    "changes": ("settings of what is found", None, functools.partial(_add_settings, "changes")),
    "pair": ("settings of what is compared with what", None, functools.partial(_add_settings, "pair")),
    "ssim": ("settings of the difference", None, functools.partial(_add_settings, "ssim")),
}


class _Help(argparse.Action):
    """Show the help of one group, of all, or which groups there are, and end."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: Any = None) -> NoReturn:
        if values and values not in (*GROUPS, "all"):
            raise ValueError(f"there is no help on {values!r}; give {', '.join(GROUPS)} or all")
        names = GROUPS if values == "all" else [values]
        print(_parser(*names).format_help() if values else _outline(), end="")
        raise SystemExit(0)


def _outline() -> str:
    """Return the groups with the names of their options."""
    lines = [f"usage: {PROGRAM} [options] BEFORE AFTER", "", DESCRIPTION]
    for name, (title, _, _) in GROUPS.items():
        group = _parser(name)
        group.usage = None
        named = " ".join(group.format_usage().removeprefix(f"usage: {PROGRAM}").split())
        wrapped = textwrap.wrap(named, 78, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        lines += ["", f"{name}: {title}", *wrapped]
    lines += ["", f"{PROGRAM} --help GROUP explains the options of one group, --help all every one.", EXIT_CODES]
    return "\n".join(lines) + "\n"


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
