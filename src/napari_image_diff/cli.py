"""The command line: two image files in, what changed out.

Results go to stdout, messages to stderr. The exit code is 0 for the same, 1 for different, 2 for an error.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin

from .settings import Settings, describe_fields

if TYPE_CHECKING:
    from .comparison import Comparison

__all__ = ["main"]

PROGRAM = "napari-image-diff"
SAME, DIFFERENT, ERROR = 0, 1, 2

# The files in --out
PICTURES = ("before.png", "after.png", "difference.png", "mask.png", "filled_after.png")

# Seconds
CONNECT_TIMEOUT = 10

# OpenCV's level of that name
SILENT = 0


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
    except (OSError, TypeError, ValueError) as error:
        return _fail(str(error))


def _run(argv: Sequence[str] | None) -> int:
    paths, folder, force, scheduler, changes = _parse(argv)
    if folder is not None:
        _check_folder(folder, paths, force)
    settings = Settings.resolve(**changes)
    before, after = (_read_image(Path(path)) for path in paths)
    # here and not above, so that --help and a mistyped option do not wait for numba
    from .comparison import compare

    with _cluster(scheduler):
        comparison = compare(before, after, settings)
    if scheduler is not None and comparison.pyramid is None:
        _say("these images are not stored in chunks (.zarr), so they were compared here and not on the cluster")
    if comparison.resolved["pixels_not_valid"] == comparison.difference.size:
        raise ValueError("nothing can be compared: no pixel, or too few round any, is a number in both images")
    if folder is not None and comparison.frames:
        raise ValueError(f"--out draws single images, and these have {len(comparison.frames)} frames; leave it out")
    if folder is not None and comparison.labels.ndim == 3:
        raise ValueError(
            f"--out draws single images, and these are volumes of {len(comparison.labels)} planes; leave it out"
        )
    if folder is not None and comparison.pyramid is not None:
        raise ValueError("--out draws images in memory, and these are read in chunks; leave it out")
    if folder is not None:
        from .report import write_pictures

        write_pictures(comparison, folder)
    print(_describe(comparison), flush=True)
    return DIFFERENT if comparison.changed else SAME


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


def _check_folder(folder: str, images: Sequence[str], force: bool) -> None:
    """Raise ValueError where the pictures would be written over one of the images, or over others without `force`."""
    if not folder:
        raise ValueError("--out is empty; give the name of a folder")
    for picture in (Path(folder, name) for name in PICTURES):
        if picture.exists() and any(os.path.exists(image) and picture.samefile(image) for image in images):
            raise ValueError(f"--out would write over {picture}, one of the two images; give another folder")
        if picture.exists() and not force:
            raise ValueError(f"{picture} is there already; give another folder, or --force to write over it")


def _fail(message: str) -> int:
    _say(f"error: {' '.join(message.split())}")
    return ERROR


def _say(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message} (see {PROGRAM} --help)")


def _parse(argv: Sequence[str] | None) -> tuple[tuple[str, str], str | None, bool, str | None, dict[str, Any]]:
    """Return the two paths, folder and `force` for the pictures, the scheduler, and the settings."""
    given = vars(_parser().parse_args(argv))
    named = [given.pop("first"), given.pop("second")]
    paths = [path for path in (given.pop("before"), given.pop("after"), *named) if path is not None]
    if len(paths) != 2 or (None in named and any(named)):
        raise ValueError(f"give two images: {PROGRAM} BEFORE AFTER (see {PROGRAM} --help)")
    return (paths[0], paths[1]), given.pop("out"), given.pop("force"), given.pop("scheduler"), given


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=PROGRAM,
        description="Compare two images: print verdict, score (mean SSIM), threshold and the changed regions.",
        epilog="The exit code is 0 if no region changed, 1 if some did, 2 after an error.",
        allow_abbrev=False,
    )
    parser.add_argument("before", nargs="?", metavar="BEFORE", help="image file")
    parser.add_argument("after", nargs="?", metavar="AFTER", help="image file")
    parser.add_argument("-f", "--first", metavar="BEFORE", help="the same as BEFORE")
    parser.add_argument("-s", "--second", metavar="AFTER", help="the same as AFTER")
    parser.add_argument(
        "--out", metavar="DIR", help="write five pictures there: the images with boxes, the difference, ..."
    )
    parser.add_argument("--force", action="store_true", help="write over pictures that are in DIR already")
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="compare images stored in chunks (.zarr) on this dask.distributed cluster",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version(PROGRAM)}")
    group = parser.add_argument_group("settings")
    for name, (kind, metadata) in describe_fields().items():
        _add_setting(group, name, kind, metadata)
    return parser


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
        f"regions: {len(comparison.regions)}",
    ]
    if len(comparison.regions):
        lines.append(comparison.regions.to_string(index=False, float_format="{:.6g}".format))
    return "\n".join(lines)


def _list(values: Any) -> str:
    """Return a number, or those of all frames."""
    return ", ".join(map(str, values.ravel().tolist())) if hasattr(values, "ravel") else str(values)


def _read_image(path: Path) -> Any:
    """Return the image in a file; raise OSError with one sentence if there is none."""
    if not path.exists():
        raise OSError(f"{path} does not exist")
    if path.is_dir() and path.suffix.lower() != ".zarr":
        raise OSError(f"{path} is a folder; give an image file")
    read = READERS.get(path.suffix.lower(), _read_by_plugins)
    try:
        return read(path)
    except Exception as error:  # a reader of others may raise anything
        raise OSError(f"cannot read {path}: {error}") from error


def _read_tiff(path: Path) -> Any:
    import tifffile

    try:
        return tifffile.imread(path)
    except ValueError as error:
        # LZW and JPEG in a TIFF: tifffile wants a package of codecs, Pillow has its own
        if "imagecodecs" not in str(error):
            raise
        import imageio.v3 as imageio

        return imageio.imread(path, plugin="pillow")


def _read_png(path: Path) -> Any:
    import cv2

    return _decode(path, cv2.IMREAD_UNCHANGED)


def _read_jpeg(path: Path) -> Any:
    import cv2

    # turned as the camera was held, as cv2.imread does; a JPEG has no alpha that these flags could drop
    return _decode(path, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)


def _decode(path: Path, flags: int) -> Any:
    """Read with OpenCV: Pillow cuts 16-bit colour to 8 bits without a word and leaves CMYK for RGBA."""
    import cv2
    import numpy as np

    with _silent_opencv():
        image: Any = cv2.imdecode(np.fromfile(path, np.uint8), flags) if path.stat().st_size else None
    if image is None:
        raise ValueError(f"it is damaged, or not a {path.suffix[1:].upper()} file")
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    """Keep OpenCV's own warnings off stderr, where we say it in one line; its log level is of the whole process."""
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # in OpenCV 5 and 4
    level = log.getLogLevel()
    log.setLogLevel(SILENT)
    try:
        yield
    finally:
        log.setLogLevel(level)


def _read_by_plugins(path: Path) -> Any:
    """Return the first image that napari's reader plugins find in a file; needs neither Qt nor a display."""
    import npe2

    npe2.PluginManager.instance().discover()
    layers: list[Any] = npe2.read([str(path)], stack=False)
    for layer in layers:
        data, attributes, kind = _full_layer(*layer)
        if kind == "image" and data is not None:
            multiscale = attributes.get("multiscale", isinstance(data, (list, tuple)))
            return data[0] if multiscale else data
    raise ValueError("no image is in it")


def _full_layer(data: Any, attributes: Mapping[str, Any] | None = None, kind: str = "image") -> tuple[Any, ...]:
    """Fill in what readers may leave out of a LayerData tuple."""
    return data, attributes or {}, kind


READERS = {".png": _read_png, ".jpg": _read_jpeg, ".jpeg": _read_jpeg, ".tif": _read_tiff, ".tiff": _read_tiff}
