"""A comparison as one page to look at: numbers, the two images on a stage, and every region in close-up."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib import resources
from itertools import islice
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .tiles import map_tiles, stepper
from .words import printable, say_number
from .world import name_unit

__all__ = ["draw_thumbnail", "make_index", "make_page", "surround"]

Picture = npt.NDArray[np.uint8]
Row = Mapping[str, Any]

# Pixels: more than a screen shows, and few enough that the page can be sent by mail
LONGEST_SIDE = 2000
LONGEST_SIDE_OF_A_CLOSE_UP = 160
LONGEST_SIDE_OF_A_THUMBNAIL = 160

# Between the pictures of a thumbnail
GAP = 4

# Its name in the folder of a report
THUMBNAIL = "thumbnail.jpg"

# Of PNG, 1 to 9: said, OpenCV also finds what repeats, which halves drawings; 6 takes photographs four times as long
COMPRESSION = 1

# Rows of a table and boxes in a picture beyond which a browser is slow and nobody looks
MOST_REGIONS = 200
MOST_BOXES = 10_000

# What is round a region in its close-up: half its longer side, and at least so many pixels
LEAST_SURROUND = 8

# Columns of regions.csv that are shown, by their headings
COLUMNS = {
    "area": "Area",
    "difference_mean": "Difference, mean",
    "difference_max": "Difference, max",
    "evidence_max": "Evidence, max",
    "before_mean": "Mean before",
    "after_mean": "Mean after",
}


class _Rectangle(NamedTuple):
    """As SVG has it."""

    x: int
    y: int
    width: int
    height: int


class _View(NamedTuple):
    """A picture of the stage."""

    name: str
    title: str
    alt: str
    address: str


class _CloseUp(NamedTuple):
    """A region, cut out of both images with some surround."""

    label: int
    kind: str
    reason: str
    verdict: str
    """Of a person; "" if there is none. The note has lines."""
    note: list[str]
    box: _Rectangle
    cut: _Rectangle
    before: str
    after: str
    small: bool
    numbers: list[tuple[str, str]]


def make_page(
    report: Mapping[str, Any],
    pictures: Mapping[str, Picture],
    note: str = "",
    part: Mapping[str, Any] | None = None,
) -> str:
    r"""Return a comparison as HTML that needs no other file.

    Parameters
    ----------
    report : mapping
        What `make_report` returns.
    pictures : mapping
        ``before``, ``after`` and ``difference`` (gray), without boxes: RGB, uint8, (H, W, 3), in the pixels that the
        regions are in.
    note : str
        What else there is to say of the pictures.
    part : mapping, optional
        Where the pictures show a part of what was compared, ``regions``, ``forgiven`` and ``resolved`` of that.

    Returns
    -------
    str
        The page. The same report and pictures give the same page.

    Notes
    -----
    Every text of the report is escaped, and characters that cannot be seen are written as ``\u202e``. The page may not
    load anything or run any script but its own, which its content security policy names by hash.
    """
    height, width = pictures["before"].shape[:2]
    part = part or report
    regions = sorted(part["regions"], key=lambda row: (-row["area"], row["label"]))
    return _render(
        "report.html",
        style=_read("report.css"),
        script=_read("report.js"),
        pictures="data:",
        record=report,
        note=note,
        headline=_headline(report),
        facts=list(_facts(report)),
        width=width,
        height=height,
        shrunk=_shrunk_size((height, width), LONGEST_SIDE),
        views=_views(pictures),
        colors=_colors(),
        boxes=_outline(islice(regions, MOST_BOXES)),
        forgiven=_outline(islice(part["forgiven"], MOST_BOXES)),
        count=len(regions),
        most_boxes=MOST_BOXES,
        regions=[_close_up(row, pictures) for row in regions[:MOST_REGIONS]],
        found=list(_flatten(part["resolved"])),
    )


def make_index(summary: Mapping[str, Any]) -> str:
    """Return the summary of many comparisons as HTML; pictures and reports it links to lie in folders beside it.

    Parameters
    ----------
    summary : mapping
        What `summaries.make_summary` returns.
    """
    pairs = [(row, f"{row['report']}/{THUMBNAIL}") for row in summary["pairs"]]
    return _render(
        "index.html",
        style=_read("report.css") + _read("index.css"),
        script=_read("index.js"),
        pictures="'self' file: data:",
        record=summary,
        worst=[pair for pair in pairs if pair[0]["status"] != "same"],
        same=[pair for pair in pairs if pair[0]["status"] == "same"],
    )


def draw_thumbnail(pictures: Mapping[str, Picture]) -> Picture:
    """Return before, after and difference side by side, small."""
    difference = _in_color(_shrink_by_greatest(pictures["difference"][:, :, 0], LONGEST_SIDE_OF_A_THUMBNAIL))
    before, after = (_shrink(pictures[name], LONGEST_SIDE_OF_A_THUMBNAIL) for name in ("before", "after"))
    gap = np.full((len(before), GAP, 3), 255, np.uint8)
    return np.hstack([before, gap, after, gap, difference])


def _render(template: str, *, style: str, script: str, pictures: str, record: Mapping[str, Any], **given: Any) -> str:
    """Fill in a template; `pictures` is where the page may load some from."""
    from markupsafe import Markup

    blocks = {"style": Markup(style), "script": Markup(script)}
    hashes = {f"{name}_hash": _hash(block) for name, block in blocks.items()}
    limits = {name: limit for name, limit in record["limits"].items() if limit is not None}
    asked = [*record["settings"].items(), *limits.items()]
    page: str = _load(template).render(**blocks, **hashes, **given, pictures=pictures, record=record, asked=asked)
    return page


@functools.cache
def _load(template: str) -> Any:
    """Return a template, which takes longer to make than to fill in."""
    # Here and not above: the command line without --out does not need it
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finish,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=PackageLoader(__package__, "web"),
    )
    environment.filters["number"] = say_number
    environment.filters["share"] = _share
    return environment.get_template(template)


def _read(name: str) -> str:
    return (resources.files(__package__) / "web" / name).read_text(encoding="utf-8")


def _hash(block: str) -> str:
    """Return how a content security policy names a script or a style."""
    return f"sha256-{base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()}"


# --- words and numbers ---


def _headline(report: Mapping[str, Any]) -> tuple[str, str]:
    """Return the verdict, and what there is to say about it."""
    count = len(report["regions"])
    if report["different"]:
        return "Different", "; ".join(report["reasons"])
    if count:
        return "Same", f"{count:,} region{'s' * (count != 1)}, within the limits"
    return str(report["verdict"]).capitalize(), ""


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Give the numbers on top: name, value, and a word about it."""
    resolved = report["resolved"]
    rule = resolved["threshold_rule"]
    yield "Score", _spread(report["score"], 6), "mean SSIM, 1 = same"
    yield "Regions", say_number(len(report["regions"])), ""
    verdicts = [row["verdict"] for row in report["regions"] if "verdict" in row]
    if verdicts:
        real, not_real = (verdicts.count(verdict) for verdict in ("real", "not real"))
        done = f"{real + not_real:,} of {len(verdicts):,}"
        yield "Reviewed", done, f"{real:,} real, {not_real:,} not real"
    yield "Changed", _share(report["changed_fraction"]), "of the pixels"
    found = {"auto": "auto, of the evidence", "otsu": "Otsu's, of 1 − SSIM", "number": "set, of 1 − SSIM"}
    yield "Threshold", _spread(report["threshold"]), found[rule]
    if _list(resolved.get("noise")):
        yield "Noise", _spread(resolved["noise"]), "standard deviation"
    if resolved.get("overlay"):
        yield "Layers", resolved["overlay"]["way"], resolved["overlay"]["reason"]
    if isinstance(resolved["alignment"], list):
        outcomes = [frame["outcome"] for frame in resolved["alignment"]]
        for outcome in ("aligned", "could not align"):
            if outcome in outcomes:
                yield "Alignment", outcome, f"{outcomes.count(outcome):,} of {len(outcomes):,} frames"
    elif resolved["alignment"]["outcome"] in ("aligned", "could not align"):
        yield "Alignment", resolved["alignment"]["outcome"], resolved["alignment"]["reason"]
    if isinstance(resolved.get("intensity"), dict):
        gain, offset = (say_number(resolved["intensity"][name]) for name in ("gain", "offset"))
        yield "Intensity", "matched", f"gain {gain}, offset {offset}"
    counts = {
        "Forgiven": (len(report["forgiven"]), "explained by a local shift"),
        "In one image only": (resolved["pixels_not_shared"], "pixels"),
        "Not compared": (resolved["pixels_not_valid"], "pixels"),
    }
    yield from ((name, say_number(count), note) for name, (count, note) in counts.items() if count)


def _list(value: Any) -> list[float]:
    """Return a number, or those of all frames, as a flat list of what is known."""
    if isinstance(value, list):
        return [number for each in value for number in _list(each)]
    return [] if value is None else [value]


def _spread(value: Any, digits: int = 4) -> str:
    """Return a number, or of those of all frames the least and the greatest."""
    known = _list(value)
    return " to ".join(dict.fromkeys(say_number(end, digits) for end in (min(known), max(known)))) if known else "–"


def _share(share: float) -> str:
    return f"{say_number(100 * share, 3)} %"


def _flatten(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Give what is in nested mappings as one list of names and values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{above}{name}: ")
        else:
            yield f"{above}{name}", _words(value)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return f"({', '.join(map(_words, value))})"
    return "none" if value is None else say_number(value)


def _finish(value: Any) -> Any:
    """Return what is written of a value: text so that all of it can be seen, unless it is part of the page."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


# --- pictures ---


def _views(pictures: Mapping[str, Picture]) -> list[_View]:
    difference = _shrink_by_greatest(pictures["difference"][:, :, 0], LONGEST_SIDE)
    shown = {
        "before": ("Before", "The image before", _shrink(pictures["before"], LONGEST_SIDE)),
        "after": ("After", "The image after", _shrink(pictures["after"], LONGEST_SIDE)),
        "difference": ("Difference", "Map of the difference", _in_color(difference)),
    }
    # Beside the pictures, since they leave a processor free
    jobs: list[Callable[[], Any]] = [functools.partial(_address, picture) for *_, picture in shown.values()]
    jobs.append(lambda: _load("report.html"))
    *addresses, _ = map_tiles(lambda job: job(), jobs, stepper(None, 1))
    titles = [(name, title, alt) for name, (title, alt, _) in shown.items()]
    return [_View(*told, address) for told, address in zip(titles, addresses, strict=True)]


def _shrunk_size(size: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Return height and width of a picture of which no side is longer than `longest`."""
    height, width = size[:2]
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _shrink(picture: Picture, longest: int) -> Picture:
    height, width = _shrunk_size(picture.shape, longest)
    if (height, width) == picture.shape[:2]:
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _shrink_by_greatest(gray: Picture, longest: int) -> Picture:
    """Return a smaller map with the greatest value of each cell: a changed pixel is not to vanish in a mean."""
    for axis, length in enumerate(_shrunk_size(gray.shape, longest)):
        if length < gray.shape[axis]:
            starts = np.arange(length) * gray.shape[axis] // length
            gray = np.maximum.reduceat(gray, starts, axis=axis)
    return gray


def _in_color(gray: Picture) -> Picture:
    """Return a map in the colours that it has in napari, as RGB."""
    return np.asarray(cv2.applyColorMap(gray, cv2.COLORMAP_INFERNO)[:, :, ::-1], np.uint8)


def _colors() -> list[tuple[str, str]]:
    """Return places from 0 to 1 on the scale of the difference, and their colours."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    colors = _in_color(levels[:, np.newaxis])[:, 0]
    return [
        (f"{level / 255:.3f}", f"#{red:02x}{green:02x}{blue:02x}")
        for level, (red, green, blue) in zip(levels, colors, strict=True)
    ]


def _address(picture: Picture) -> str:
    """Return a picture as a data URI of a PNG, of one channel if it is gray."""
    gray = bool((picture == picture[:, :, :1]).all())
    shown = picture[:, :, 0] if gray else picture[:, :, ::-1]
    content = cv2.imencode(".png", shown, [cv2.IMWRITE_PNG_COMPRESSION, COMPRESSION])[1]
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"


def _box(row: Row) -> _Rectangle:
    top, left, bottom, right = (int(row[name]) for name in ("min_row", "min_col", "max_row", "max_col"))
    return _Rectangle(left, top, right - left, bottom - top)


def _outline(rows: Iterable[Row]) -> str:
    """Return boxes as one path of SVG."""
    return "".join(f"M{x} {y}h{width}v{height}h{-width}z" for x, y, width, height in map(_box, rows))


def _close_up(row: Row, pictures: Mapping[str, Picture]) -> _CloseUp:
    """Cut a region out of the images as they are, in a square as far as they reach."""
    box = _box(row)
    height, width = pictures["before"].shape[:2]
    top, left, bottom, right = surround(row, height, width)
    before, after = (
        _address(_shrink(pictures[name][top:bottom, left:right], LONGEST_SIDE_OF_A_CLOSE_UP))
        for name in ("before", "after")
    )
    return _CloseUp(
        label=row["label"],
        kind=row.get("kind") or "",
        reason=row.get("reason") or "",
        verdict=row.get("verdict") or "",
        note=(row.get("note") or "").splitlines(),
        box=box,
        cut=_Rectangle(left, top, right - left, bottom - top),
        before=before,
        after=after,
        small=_side_of(box) <= LONGEST_SIDE_OF_A_CLOSE_UP // 2,
        numbers=list(_numbers(row)),
    )


def surround(row: Row, height: int, width: int) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the part of an image that is shown of a region: a square, as it reaches."""
    box = _box(row)
    side = _side_of(box)
    left, right = _span(box.x, box.width, side, width)
    top, bottom = _span(box.y, box.height, side, height)
    return top, left, bottom, right


def _side_of(box: _Rectangle) -> int:
    """Return the side of the square that is shown of a region."""
    side = max(box.width, box.height)
    return side + 2 * max(LEAST_SURROUND, side // 2)


def _span(start: int, length: int, wanted: int, limit: int) -> tuple[int, int]:
    """Return the span of a wanted length that has another in its middle, as far as it is between 0 and a limit."""
    first = start - (wanted - length) // 2
    return max(0, first), min(limit, first + wanted)


def _numbers(row: Row) -> Iterator[tuple[str, str]]:
    box = _box(row)
    yield "Rows", f"{box.y:,}–{box.y + box.height - 1:,}"
    yield "Columns", f"{box.x:,}–{box.x + box.width - 1:,}"
    for name, heading in COLUMNS.items():
        if name in row:
            yield heading, say_number(row[name])
        if name == "area" and "unit" in row:
            yield f"Area, {name_unit(row['unit'], 3 if 'min_plane' in row else 2)}", say_number(row["physical_area"])
