"""Measure what is found, and what is found by mistake: the default, `Settings.classic()` and a peer, in one table.

Pictures are split into those that had a part in choosing the engine's constants, "tuned on", and those that had none.
The pairs of the tutorial and of DeepPCB, of which all had, are not in the repository: ``--data`` or
NAPARI_IMAGE_DIFF_DATA names the folder that holds ``tutorial/`` and ``deeppcb/``; without it their rows say "no data".
``--only null kinds`` measures the rows that begin with one of these words, ``--quick`` takes one picture of each half,
``--write`` puts the figures into README.md and docs/detection.md and draws docs/pictures, and ``--pictures FOLDER``
draws the pairs that failed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import engine
import numpy as np
import peers
import pictures
import plates
import scenes
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from napari_image_diff import Settings, compare

ROOT = Path(__file__).parents[1]
PEER = "blazediff-interpret"
LEVELS = (15, 25, 40, 80)
KINDS_PAIRS = 240

# What the figures count, for whoever reads them on the screen or in the docs.
MEANING = {
    "null": "pairs with a false region, and in brackets false regions: noise, JPEG, one grey level",
    "planted": "found (IoU over 0.2), and other regions: 12 x 12 pixels moved by so many levels in the pairs of null",
    "harder": "pairs with a false region, and false regions: lens, exposure, lamp, JPEG against JPEG, 12 bits, floats",
    "made": "found with each side within 3 pixels, and other regions: faint, tiny, in hue alone, at the border",
    "tutorial": "true boxes found, and regions that touch none of them: the pairs of the PyImageSearch tutorial",
    "boards": "F1, and false regions an image: DeepPCB; the middle of a region in a true box grown by 4 pixels",
    "kinds": "F1: found (IoU of 0.3) and named right; macro: mean over the seven kinds",
    "step": "the least of 12 steps, in standard deviations of white noise of 5 levels, found each time: flat squares",
    "white noise": "the greatest evidence anywhere (1 = the limit): noise of 1 to 40 levels in both, on flat gray",
}
# For the steps that are found in white noise: its deviation in levels, and steps in deviations.
NOISE = 5.0
STEPS = (0.5, 0.7, 1, 1.4, 2, 2.8, 4, 5.6, 8, 11, 16, 22)

SUMMARY = ("null", "planted 15", "harder", "made", "tutorial", "boards", "kinds, macro")

LINE = "{:<18} {:<12} {:>5} {:>17} {:>17} {:>26}"


class Found(NamedTuple):
    """Regions that a contender found."""

    boxes: NDArray[np.int64]
    """(N, 4): min_row, min_col, max_row, max_col, half-open."""
    kinds: list[tuple[str, ...]]
    """What each may be, by its name for it; empty for a contender that names none."""


class Judged(NamedTuple):
    """What a contender's answer to one scene adds to the count, and what was wrong with it, if anything."""

    counts: Counter[str]
    fault: str = ""


class Row(NamedTuple):
    """A line of the table; a cell for each contender."""

    measure: str
    half: str
    pairs: int
    cells: tuple[str, ...]


class Failure(NamedTuple):
    """A scene that the default got wrong."""

    measure: str
    half: str
    scene: scenes.Scene
    found: Found
    fault: str


class Measure(NamedTuple):
    """One kind of scene, how answers are judged, and the figures made of it."""

    scenes: Iterable[scenes.Scene]
    judge: Callable[[scenes.Scene, Found], Judged]
    figures: dict[str, Callable[[Counter[str]], str]]


class Extent(NamedTuple):
    """How much is measured."""

    pictures: slice
    """Which of the pictures of a half."""
    kinds: int
    """Pairs with changes of known kind."""
    side: int
    """Of the pictures for the time and for white noise."""
    data: Path | None


def find_by_default(scene: scenes.Scene, settings: Settings | None = None) -> Found:
    """Return what `compare` finds."""
    table = compare(scene.before, scene.after, settings).regions
    boxes = table[["min_row", "min_col", "max_row", "max_col"]].to_numpy(np.int64)
    return Found(boxes, [(kind,) for kind in table["kind"]] if "kind" in table else [()] * len(table))


def find_by_peer(scene: scenes.Scene) -> Found:
    """Return what blazediff-interpret finds."""
    data_range = {"uint8": 255, "uint16": 4095, "float32": 1}[scene.before.dtype.name]
    regions = peers.interpret(scene.before, scene.after, data_range)
    boxes = np.array([box for box, _ in regions], np.int64).reshape(-1, 4)
    return Found(boxes, [kinds for _, kinds in regions])


def find_contenders() -> dict[str, Callable[[scenes.Scene], Found] | None]:
    """Return who is measured, by name; None for a peer that is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        return OURS | {f"{PEER} {version(PEER)}": find_by_peer}
    return OURS | {PEER: None}


OURS: dict[str, Callable[[scenes.Scene], Found] | None] = {
    "default": find_by_default,
    "classic": functools.partial(find_by_default, settings=Settings.classic()),
}


def judge_nothing(scene: scenes.Scene, found: Found) -> Judged:
    """Count regions where there is nothing to find."""
    count = len(found.boxes)
    return Judged(Counter(hits=count > 0, other=count), f"{count} false" if count else "")


def judge_one(scene: scenes.Scene, found: Found, least: float, reach: float) -> Judged:
    """Count whether the one change was found, with IoU over `least` and no side further off than `reach` pixels."""
    touching = measure_iou(found.boxes, scene.true)[:, 0] > least
    off = min((int(np.abs(box - scene.true[0]).max()) for box in found.boxes[touching]), default=None)
    hit = off is not None and off <= reach
    other = int(np.count_nonzero(~touching))
    faults = [] if hit else ["missed" if off is None else f"off by {off} pixels"]
    return Judged(Counter(hits=hit, other=other), ", ".join(faults + [f"{other} false"] * (other > 0)))


def judge_places(scene: scenes.Scene, found: Found) -> Judged:
    """Count true boxes that a region touches that is not much larger, and regions that touch none."""
    right = (measure_iou(found.boxes, scene.true) > 0) & is_not_inflated(found.boxes, scene.true)
    hits, other = int(right.any(0).sum()), int((~right.any(1)).sum())
    missed = len(scene.true) - hits
    return Judged(Counter(hits=hits, other=other, true=len(scene.true)), say_fault(other, missed))


def judge_boards(scene: scenes.Scene, found: Found) -> Judged:
    """Count regions with their middle in a true box, one to one."""
    hits = len(match(is_hit(found.boxes, scene.true).astype(float), 1))
    other, missed = len(found.boxes) - hits, len(scene.true) - hits
    return Judged(Counter(hits=hits, other=other, true=len(scene.true), scenes=1), say_fault(other, missed))


def judge_kinds(scene: scenes.Scene, found: Found) -> Judged:
    """Count by kind what was found and named right, named wrong, and missed."""
    overlap = measure_iou(found.boxes, scene.true)
    pairs = match(overlap, 0.3)
    counts: Counter[str] = Counter(found=len(pairs), true=len(scene.true))
    faults = []
    for region, change in pairs:
        named, truth = found.kinds[region], scene.kinds[change]
        if truth in named:
            counts["right", truth] += 1
        else:
            counts["wrong", named[0] if named else ""] += 1
            counts["missed", truth] += 1
            faults.append(f"{truth} named {named[0] if named else 'nothing'}")
    for region in set(range(len(found.boxes))) - {region for region, _ in pairs}:
        # The place that something left may be a region of its own
        if found.kinds[region] != ("moved",):
            counts["wrong", found.kinds[region][0] if found.kinds[region] else ""] += 1
            faults.append("false")
    for change in set(range(len(scene.true))) - {change for _, change in pairs}:
        counts["missed", scene.kinds[change]] += 1
        faults.append(f"{scene.kinds[change]} missed")
    return Judged(counts, ", ".join(faults))


def measure_iou(found: NDArray[np.int64], true: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share that each two boxes (N, 4) and (M, 4) have in common: (N, M)."""
    first = np.maximum(found[:, None, :2], true[None, :, :2])
    last = np.minimum(found[:, None, 2:], true[None, :, 2:])
    common = np.clip(last - first, 0, None).prod(2)
    return common / np.maximum(measure_area(found)[:, None] + measure_area(true) - common, 1)


def measure_area(boxes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pixels in each box (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def is_not_inflated(found: NDArray[np.int64], true: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether a found box is at most four times as large as a true one; specks may have 100 pixels."""
    return measure_area(found)[:, None] <= np.maximum(4 * measure_area(true), 100)


def is_hit(found: NDArray[np.int64], true: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the middle of a found box lies in a true one, or within 4 pixels, and it is not much larger."""
    middle = (found[:, None, :2] + found[:, None, 2:]) / 2
    inside = (middle >= true[None, :, :2] - 4) & (middle <= true[None, :, 2:] + 4)
    return inside.all(2) & is_not_inflated(found, true)


def match(agreement: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Return the best one-to-one pairs (found, true) that agree by `least` or more."""
    return [
        (int(i), int(j)) for i, j in zip(*linear_sum_assignment(-agreement), strict=True) if agreement[i, j] >= least
    ]


def say_fault(other: int, missed: int) -> str:
    """Say what was wrong, if anything."""
    return ", ".join(f"{count} {word}" for count, word in ((other, "false"), (missed, "missed")) if count)


def say_hits(counts: Counter[str]) -> str:
    """Say how many were found, of how many where that is not the number of pairs, and what else was."""
    of = f" of {counts['true']}" if counts["true"] else ""
    return f"{counts['hits']}{of} ({counts['other']:,})"


def say_f1(counts: Counter[str]) -> str:
    """Say F1 and false regions a scene."""
    score = 2 * counts["hits"] / max(counts["true"] + counts["hits"] + counts["other"], 1)
    return f"{score:.3f} ({counts['other'] / counts['scenes']:.2f})"


def measure_kind(counts: Counter[Any], kind: str) -> float:
    """Return F1 of a kind; NaN if there was none and none was named."""
    right, wrong, missed = (counts[word, kind] for word in ("right", "wrong", "missed"))
    every = 2 * right + wrong + missed
    return 2 * right / every if every else np.nan


def say_kinds(counts: Counter[str], kinds: tuple[str, ...]) -> str:
    """Say the mean F1 of some kinds; nothing where none is named."""
    if not any(key[0] == "right" for key in counts if isinstance(key, tuple)):
        return "names none"
    scores = [score for score in (measure_kind(counts, kind) for kind in kinds) if score == score]
    return f"{np.mean(scores):.3f}" if scores else "none there"


def make_measures(half: scenes.Half, extent: Extent) -> dict[str, Measure]:
    """Return what is measured on one half."""
    null, harder = half.null[extent.pictures], half.harder[extent.pictures]
    offset = functools.partial(judge_one, least=0.2, reach=np.inf)
    within = functools.partial(judge_one, least=0, reach=3)
    small = extent.side < pictures.TILE
    made = (scene for scene in scenes.made(half.made) if not (small and scene.before.shape[0] == 4096))
    by_kind = {"kinds, macro": functools.partial(say_kinds, kinds=scenes.KINDS)}
    by_kind |= {"kinds, found": lambda counts: f"{counts['found']} of {counts['true']}"}
    by_kind |= {f"kinds, {kind}": functools.partial(say_kinds, kinds=(kind,)) for kind in scenes.KINDS}
    measures = {"null": Measure(scenes.null(null), judge_nothing, {"null": say_hits})}
    for level in LEVELS:
        measures[f"planted {level}"] = Measure(scenes.planted(null, level), offset, {f"planted {level}": say_hits})
    measures["harder"] = Measure(scenes.harder(harder), judge_nothing, {"harder": say_hits})
    measures["made"] = Measure(made, within, {"made": say_hits})
    if half is scenes.HALVES["tuned on"]:
        measures["tutorial"] = Measure(find_pairs(extent, scenes.tutorial), judge_places, {"tutorial": say_hits})
        measures["boards"] = Measure(find_pairs(extent, scenes.deeppcb), judge_boards, {"boards": say_f1})
    measures["kinds"] = Measure(scenes.kinds(half.kinds, extent.kinds), judge_kinds, by_kind)
    return measures


def find_pairs(extent: Extent, read: Callable[[Path], Iterator[scenes.Scene]]) -> Iterable[scenes.Scene]:
    """Return the pairs of a folder of the data; none if it is not there."""
    name = "tutorial" if read is scenes.tutorial else "deeppcb"
    return read(extent.data / name) if extent.data is not None and (extent.data / name).is_dir() else ()


def measure_scenes(
    name: str, half: str, measure: Measure, contenders: dict[str, Callable[[scenes.Scene], Found] | None]
) -> tuple[list[Row], list[Failure]]:
    """Let each contender answer each scene, and return the figures."""
    counts: dict[str, Counter[str]] = {contender: Counter() for contender in contenders}
    failures = []
    pairs = 0
    for scene in measure.scenes:
        pairs += 1
        for contender, find in contenders.items():
            if find is None:
                continue
            found = find(scene)
            judged = measure.judge(scene, found)
            counts[contender].update(judged.counts)
            if judged.fault and contender == "default":
                failures.append(Failure(name, half, scene, found, judged.fault))
    rows = []
    for label, say in measure.figures.items():
        cells = (say(counts[name]) if find is not None else "not installed" for name, find in contenders.items())
        rows.append(Row(label, half, pairs, tuple(cells) if pairs else ("no data",) * len(contenders)))
    return rows, failures


def measure_white_noise(extent: Extent, contenders: int) -> Row:
    """Return how near to the limit white noise comes."""
    random = np.random.default_rng(0)
    deviations = (1, 2, 5, 10, 20, 40)
    greatest = 0.0
    for sd in deviations:
        pair = [128 + sd * random.standard_normal((extent.side, extent.side), np.float32) for _ in range(2)]
        comparison = compare(*pair, data_range=255)
        greatest = max(greatest, float(np.nanmax(comparison.evidence)))
    return Row("white noise", "", len(deviations), (f"{greatest:.2f}", *[""] * (contenders - 1)))


def measure_steps(extent: Extent, contenders: int) -> list[Row]:
    """Return how large a step in white noise has to be for the default to find it, for squares of some sides."""
    rows = []
    random = np.random.default_rng(1)
    rounds = 10 if extent.side > pictures.TILE else 2
    for side in (1, 3, 6, 12, 24, 48):
        found = (step for step in STEPS if all(_is_found(side, step, random) for _ in range(rounds)))
        least = next((f"{step:g} sd" for step in found), "none")
        rows.append(Row(f"step, {side} px", "", rounds, (least, *[""] * (contenders - 1))))
    return rows


def _is_found(side: int, step: float, random: np.random.Generator) -> bool:
    """Return whether a square moved by so many standard deviations of the noise is found."""
    before, after = (128 + NOISE * random.standard_normal((192, 192), np.float32) for _ in range(2))
    top, left = random.integers(60, 100, 2)
    after[top : top + side, left : left + side] += step * NOISE
    return compare(before, after, data_range=255).changed


def measure_time(extent: Extent) -> str:
    """Say how much longer the default takes than classic."""
    pair = pictures.make_pair(extent.side)
    ways = [functools.partial(compare, *pair), functools.partial(compare, *pair, Settings.classic())]
    for way in ways:
        way()
    times = [[engine.seconds(way) for way in ways] for _ in range(5)]
    default, classic = (median(column) for column in zip(*times, strict=True))
    ratio = default / classic
    verdict = "not judged at this size" if extent.side < 4096 else "met" if ratio <= 4 else "NOT MET"
    return (
        f"time of compare, {extent.side} x {extent.side} RGB: default {default * 1000:.0f} ms, classic "
        f"{classic * 1000:.0f} ms, ratio {ratio:.1f}, target <= 4: {verdict}"
    )


def say_failures(failures: list[Failure]) -> list[str]:
    """Return a line for each measure and half that has failures: which scenes, for kinds which faults."""
    told: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        faults = told.setdefault((failure.measure, failure.half), [])
        if failure.measure == "kinds":
            faults += failure.fault.split(", ")
        else:
            faults.append(f"{failure.scene.name} ({failure.fault})")
    lines = []
    for (measure, half), faults in told.items():
        counts = Counter(faults).most_common()
        names = (f"{fault} x {count}" for fault, count in counts) if measure == "kinds" else faults
        lines.append(f"{measure}, {half}: {'; '.join(names)}")
    return lines


def make_markdown(rows: list[Row], contenders: list[str], only: tuple[str, ...] = ()) -> str:
    """Return the table, or some rows of it, for the docs."""
    lines = ["| measure | pictures | pairs | " + " | ".join(contenders) + " |", "|---" * (3 + len(contenders)) + "|"]
    for row in rows:
        if not only or row.measure in only:
            lines.append("| " + " | ".join([row.measure, row.half, str(row.pairs), *row.cells]) + " |")
    return "\n".join(lines)


def write_between_marks(page: Path, text: str) -> None:
    """Put text between ``<!-- figures -->`` and ``<!-- end of figures -->`` of a page."""
    old = page.read_text(encoding="utf-8")
    new, count = re.subn(
        r"(<!-- figures -->\n).*?(<!-- end of figures -->)",
        lambda found: found[1] + text + found[2],
        old,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page} has {count} places between figures and end of figures; one is wanted")
    page.write_text(new, encoding="utf-8")


def write_docs(rows: list[Row], contenders: list[str], failures: list[Failure], heading: str, time: str) -> None:
    """Put the figures into the pages that show them."""
    told = "".join(f"- {line}\n" for line in say_failures(failures))
    page = f"\n{heading}.\n\n{make_markdown(rows, contenders)}\n\n{time}.\n\nWhat the default got wrong:\n\n{told}\n"
    write_between_marks(ROOT / "docs" / "detection.md", page)
    write_between_marks(ROOT / "README.md", f"\n{make_markdown(rows, contenders, SUMMARY)}\n\n{time}.\n\n")


def say_heading() -> str:
    """Say what was measured, on what."""
    packages = ("napari-image-diff", "numpy", "numba", "scikit-image", "opencv-python-headless")
    return ", ".join(f"{package} {version(package)}" for package in packages) + f"; {engine.THREADS} processors"


def parse_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("NAPARI_IMAGE_DIFF_DATA"))
    parser.add_argument("--only", nargs="+", metavar="WORD", default=[""])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.write and (options.quick or options.only != [""]):
        parser.error("--write wants all figures: leave out --quick and --only")
    return options


def main() -> None:
    """Measure and print."""
    options = parse_options()
    data = Path(options.data) if options.data else None
    extent = Extent(slice(1), 4, 512, data) if options.quick else Extent(slice(None), KINDS_PAIRS, 4096, data)
    contenders = find_contenders()
    wanted = tuple(options.only)
    rows: list[Row] = []
    failures: list[Failure] = []
    print(say_heading())
    print(
        *(f"{name}: {text}" for name, text in MEANING.items() if name.startswith(wanted) or wanted == ("",)), sep="\n"
    )
    print("\n" + LINE.format("measure", "pictures", "pairs", *contenders))
    halves = {name: make_measures(half, extent) for name, half in scenes.HALVES.items()}
    for measure in halves["tuned on"]:
        for half, measures in halves.items():
            if measure not in measures or not measure.startswith(wanted):
                continue
            found, failed = measure_scenes(measure, half, measures[measure], contenders)
            print(*(LINE.format(*row[:3], *row.cells) for row in found), sep="\n", flush=True)
            rows += found
            failures += failed
    if "white noise".startswith(wanted):
        rows.append(measure_white_noise(extent, len(contenders)))
        print(LINE.format(*rows[-1][:3], *rows[-1].cells))
    if "step".startswith(wanted):
        rows += measure_steps(extent, len(contenders))
        print(*(LINE.format(*row[:3], *row.cells) for row in rows[-6:]), sep="\n")
    time = measure_time(extent) if "time".startswith(wanted) else ""
    print(f"\n{time}" if time else "")
    if any("no data" in row.cells for row in rows):
        print("no data: --data or NAPARI_IMAGE_DIFF_DATA has to name the folder that holds tutorial/ and deeppcb/")
    print("\nWhat the default got wrong:", *say_failures(failures), sep="\n  ")
    if options.pictures:
        plates.draw_failures(
            options.pictures, [(each.scene, each.found.boxes, f"{each.fault} ({each.measure})") for each in failures]
        )
    if options.write:
        plates.draw_drawn(ROOT / "docs" / "pictures")
        write_docs(rows, list(contenders), failures, say_heading(), time)


if __name__ == "__main__":
    main()
