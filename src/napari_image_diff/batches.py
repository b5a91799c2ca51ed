"""Two folders of images: which files are pairs, and their comparisons, a few at a time."""

from __future__ import annotations

import dataclasses
import fnmatch
import glob
import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event
from typing import Any, Generic, NamedTuple, TypeVar

from .comparison import Comparison
from .files import compare_files
from .reading import MOST_PIXELS, SUFFIXES, count_pixels, explain
from .settings import Settings
from .tiles import Stopped, count_threads, on_one_thread

__all__ = ["FilePair", "Found", "compare_folders", "find_pairs", "map_pairs"]

T = TypeVar("T")

# A pair of which either image has more pixels is compared by itself, on all processors, when the others are done.
LARGE_PIXELS = 2**24

# What is an image for sure
KINDS = SUFFIXES | {".zarr"}

# So many pairs more than there are processors are begun or done, and not taken yet.
AHEAD = 2


class FilePair(NamedTuple):
    """Two files of one name; `before` or `after` is None where that folder has none."""

    name: str
    """Path below either folder, with "/" between its parts."""
    before: Path | None
    after: Path | None

    @property
    def files(self) -> dict[str, Path]:
        """The files that are there, by what they are: "before", "after"."""
        return {name: path for name, path in (("before", self.before), ("after", self.after)) if path is not None}


@dataclasses.dataclass(frozen=True, eq=False)
class Found(Generic[T]):
    """What came of a pair."""

    pair: FilePair
    result: T | None
    """None where there is no pair, or it could not be compared."""
    error: str = ""
    """Why it could not."""


def compare_folders(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    settings: Settings | None = None,
    *,
    pattern: str = "**/*",
    max_pixels: int = MOST_PIXELS,
    **changes: Any,
) -> Generator[Found[Comparison], None, None]:
    """Compare the images of two folders that have the same path in both.

    Pairs are read and compared on all processors, each on one of them, and memory holds a few at a time: the next is
    begun when a result is taken. Large images are compared one by one, when the others are done.

    Parameters
    ----------
    before, after : path-like
        The folders.
    settings : Settings, optional
        All parameters; ``Settings()`` by default.
    pattern : str
        Which files are compared, as ``glob.glob`` has it, such as ``"**/*.tif"``. Without a suffix, as by default,
        those of PNG, JPEG, TIFF, NPY and zarr.
    max_pixels : int
        A file whose header tells of more pixels is an error before it is decoded.
    **changes
        Single fields of `Settings`.

    Yields
    ------
    Found
        With the ``pair`` (its ``name``, and both files), the `Comparison` as ``result``, and the ``error`` of files
        that cannot be read or compared; first those that only one folder has, the others as they come.

    Raises
    ------
    OSError
        If either is no folder, or neither has a file that fits the pattern.
    TypeError, ValueError
        If a setting cannot be used.

    Examples
    --------
    >>> for found in compare_folders("expected", "build"):  # doctest: +SKIP
    ...     print(found.pair.name, found.result.verdict if found.result else found.error or "only in one folder")
    """
    asked = Settings.resolve(settings, **changes)
    pairs = find_pairs(Path(before), Path(after), pattern)

    def compare_pair(pair: FilePair, stop: Callable[[], None]) -> Comparison:
        return compare_files(pair.files, asked, max_pixels=max_pixels, progress=lambda done, total: stop()).comparison

    return map_pairs(compare_pair, pairs)


def find_pairs(before: Path, after: Path, pattern: str = "**/*") -> list[FilePair]:
    """Return what two folders have, in order of the names; raise OSError where that is nothing."""
    for folder in (before, after):
        if not folder.is_dir():
            raise OSError(f"{folder} is no folder" if folder.exists() else f"{folder} does not exist")
    one, other = (_list_images(folder, pattern) for folder in (before, after))
    if not one and not other:
        raise OSError(f"neither {before} nor {after} has an image that fits {pattern!r}; give another pattern")
    return [FilePair(name, one.get(name), other.get(name)) for name in sorted(one.keys() | other.keys())]


def _list_images(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the images of a folder by their path in it; what is hidden is none."""
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not pattern:
        raise OSError(f"{pattern!r} is no pattern of files in a folder; give one as '**/*.png'")
    for _ in os.walk(folder, onerror=_raise, followlinks=False):
        pass  # glob passes over what it may not list
    # Whatever a pattern asks for by its suffix, its reader may be installed
    asked = Path(pattern).suffix.lower()
    found = {}
    # Not Path.glob, which does not go into folders that are links
    for name in glob.glob(pattern, root_dir=folder, recursive=True):
        path = folder / name
        suffix = path.suffix.lower()
        if (suffix in KINDS or (asked and fnmatch.fnmatch(suffix, asked))) and not _is_loop(folder, Path(name)):
            found[Path(name).as_posix()] = path
    return {name: path for name, path in found.items() if not path.is_dir() or path.suffix.lower() == ".zarr"}


def _raise(error: OSError) -> None:
    raise error


def _is_loop(folder: Path, name: Path) -> bool:
    """Return whether the way to a file goes into a folder twice, by a link to one above."""
    above = [folder.resolve(), *((folder / parent).resolve() for parent in list(name.parents)[:-1])]
    return len(set(above)) < len(above)


def map_pairs(
    function: Callable[[FilePair, Callable[[], None]], T], pairs: Sequence[FilePair]
) -> Generator[Found[T], None, None]:
    """Yield what ``function(pair, stop)`` returns of each pair, or what it raised; those of one file first.

    The function is called on threads, a few pairs ahead of what is taken, and in the end for large pairs one by one.
    Where the iterator is closed, ``stop()`` raises in those under way, and they are waited for: no thread is left
    behind.
    """
    yield from (Found[T](pair, None) for pair in pairs if len(pair.files) == 1)
    whole = [pair for pair in pairs if len(pair.files) == 2]
    is_large = {pair.name: _is_large(pair) for pair in whole}
    waiting = deque(pair for pair in whole if not is_large[pair.name])
    stopped = Event()

    def stop() -> None:
        if stopped.is_set():
            raise Stopped

    def work(pair: FilePair) -> Found[T]:
        try:
            return Found(pair, function(pair, stop))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a reader of others may raise anything
            return Found(pair, None, explain(error))

    def work_alone(pair: FilePair) -> Found[T]:
        with on_one_thread():
            return work(pair)

    workers = count_threads()
    with ThreadPoolExecutor(workers, thread_name_prefix="image-diff") as pool:
        under_way: set[Future[Found[T]]] = set()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < workers + AHEAD:
                    under_way.add(pool.submit(work_alone, waiting.popleft()))
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            stopped.set()
            for future in under_way:
                future.cancel()
    stopped.clear()
    yield from (work(pair) for pair in whole if is_large[pair.name])


def _is_large(pair: FilePair) -> bool:
    """Return whether the header of either image tells of many pixels, or cannot be asked."""
    try:
        sizes = [count_pixels(path) for path in pair.files.values()]
    except Exception:  # said when it is read
        return False
    return not all(0 < size <= LARGE_PIXELS for size in sizes)
