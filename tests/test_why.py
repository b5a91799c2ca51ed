"""The page that explains messages: what it quotes is in the source, and what is said in common cases is on it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import cv2
import numpy as np
import pytest
from napari.components import ViewerModel

import napari_image_diff
from napari_image_diff import Comparison, Settings, compare
from napari_image_diff.layers import explain_mismatch
from napari_image_diff.overlaying import Overlay, find_overlay
from napari_image_diff.samples import board, cells, page, photo
from napari_image_diff.widget.work import describe_result

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "why.md").read_text(encoding="utf-8")
QUOTED = [found for row in re.findall(r"^\| (`.*)$", PAGE, re.MULTILINE) for found in re.findall(r"`([^`]+)`", row)]
SHORTEST = 3


def texts_of_the_source() -> Iterator[str]:
    """Give every text that the package has, with "…" for what is filled in."""
    for path in sorted(Path(napari_image_diff.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


SOURCE = "\n".join(texts_of_the_source())


def is_on_the_page(message: str) -> bool:
    """Return whether a message is what the page quotes, from beginning to end or up to its last "…"."""
    patterns = (".*".join(map(re.escape, quoted.split("…"))) for quoted in QUOTED)
    return any(re.fullmatch(pattern, message, re.DOTALL) for pattern in patterns)


@pytest.mark.parametrize("quoted", QUOTED)
def test_what_the_page_quotes_is_in_the_source(quoted: str) -> None:
    # Several are made of "region" and "s"
    fragments = [fragment.strip(" ,;:").removesuffix("s") for fragment in quoted.split("…")]
    told = [fragment for fragment in fragments if len(fragment) >= SHORTEST]
    assert told
    for fragment in told:
        assert fragment in SOURCE, fragment


def test_all_verdicts_are_on_the_page() -> None:
    verdicts = get_args(get_type_hints(Comparison.verdict.fget)["return"])
    assert len(verdicts) == 4
    assert set(verdicts) <= set(QUOTED)


def before_and_after() -> tuple[np.ndarray, np.ndarray]:
    (before, *_), (after, *_) = photo()
    return before, after


def noisy(image: np.ndarray) -> np.ndarray:
    return np.clip(image + np.random.default_rng(0).normal(4, 4, image.shape), 0, 255).astype(np.uint8)


def turned(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1.3)
    return np.asarray(cv2.warpAffine(image, turn, (width, height)))


def summaries() -> Iterator[Comparison]:
    before, after = before_and_after()
    yield compare(before, before)
    yield compare(before, after)
    yield compare(before, noisy(before))
    yield compare(before, after, Settings.classic())
    yield compare(before, before // 2 * 2, threshold=1.5)
    yield compare(before, np.roll(after, 5, 1))
    yield compare(before, turned(after))
    yield compare(before, after[:-9], size="overlap")
    yield compare(before[..., ::-1][:64, :64], before[..., ::-1][:64, :64], Settings.classic())
    yield compare(np.stack([before] * 3), np.stack([before, after, np.roll(before, 4, 0)]))
    # faint, and of colour alone
    hue = before[:64, :64].astype(int)
    hue[20:40, 20:40] += (24, -14, 10)
    yield compare(before[:64, :64], np.clip(hue, 0, 255).astype(np.uint8))


def test_every_part_of_a_summary_is_on_the_page() -> None:
    parts = []
    for comparison in summaries():
        # what was undone, and why a pair could not be aligned, has commas of its own
        text = re.sub(r"(undone|could not align): .*?(?=, [\d,]+ \w+ (?:not|in|by)|$)", r"\1: it", comparison.summary)
        parts += re.split(r", (?!\d{3}\b)", text)
    assert {"undone: it", "could not align: it"} <= set(parts)
    missing = {part for part in parts if not is_on_the_page(part)}
    assert not missing, sorted(missing)


def test_what_was_found_out_is_on_the_page() -> None:
    before, after = before_and_after()
    below = describe_result(compare(before, after)).removeprefix("Score")
    found = below[below.index("Edge tolerance") :].lower().rstrip(".").split(", ")
    assert len(found) == 3
    quoted = re.findall(
        r"`([^`]+)`", PAGE[PAGE.index("Below it stands") : PAGE.index("## The kind of")].replace("\n", " ")
    )
    patterns = [".*".join(map(re.escape, text.split("…"))) for text in quoted]
    for text in found:
        assert any(re.match(pattern, text) for pattern in patterns), text


def test_every_reason_is_on_the_page() -> None:
    tables = [compare(*(image for image, *_ in sample())).regions for sample in (board, cells, page, photo)]
    assert len({kind for table in tables for kind in table["kind"]}) == 7
    reasons = {reason for table in tables for reason in table["reason"]}
    for reason in reasons:
        assert any(is_on_the_page(part) or is_on_the_page(f"{part}, ") for part in (reason, *reason.split(", "))), (
            reason
        )


def with_gaps(text: ast.expr) -> Iterator[str]:
    """Give the texts that an expression may be, with "…" for what is filled in."""
    if isinstance(text, ast.IfExp):
        yield from (*with_gaps(text.body), *with_gaps(text.orelse))
    elif isinstance(text, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in text.values)
    elif isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield text.value


def nodes_of(room: str) -> Iterator[ast.AST]:
    path = Path(napari_image_diff.__file__).parent / f"{room}.py"
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def said_by(room: str) -> Iterator[str]:
    """Give the sentences that a room of the dock returns, raises or says."""
    for node in nodes_of(room):
        said: list[ast.expr] = []
        if (isinstance(node, ast.Return) and node.value is not None) or (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("message")
        ):
            said = [node.value]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("self._say", "ValueError"):
            said = node.args
        yield from (text for each in said for text in with_gaps(each))


@pytest.mark.parametrize(
    "room",
    [
        "layers",
        "overlaying",
        "review_files",
        "widget/notices",
        "widget/dock",
        "widget/following",
        "widget/looking",
        "widget/contrast",
    ],
)
def test_every_sentence_of_the_dock_is_on_the_page(room: str) -> None:
    # An error is a part of a sentence, and so is what stands alone in the name of a layer
    sentences = {text for text in said_by(room) if text.endswith(".") and " " in text}
    assert sentences
    for sentence in sentences:
        assert is_on_the_page(sentence.replace("…", "x")), sentence


def raised_by(room: str) -> Iterator[str]:
    """Give what a room says where it raises an error."""
    for node in nodes_of(room):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            yield from (text for each in node.exc.args for text in with_gaps(each) if " " in text)


@pytest.mark.parametrize(
    "room", ["masks", "regridding", "review", "review_files", "settings_files", "widget/exporting"]
)
def test_every_error_of_a_room_is_on_the_page(room: str) -> None:
    errors = {*raised_by(room)}
    assert errors
    for error in errors:
        assert is_on_the_page(error.replace("…", "x")), error


def layers(*shapes: tuple[int, ...]) -> list[Any]:
    viewer = ViewerModel()
    return [viewer.add_image(np.zeros(shape, np.uint8), name=f"layer {shape}") for shape in shapes]


def test_why_two_layers_cannot_be_compared_is_on_the_page() -> None:
    one, other, stack, shorter = layers((32, 32), (32, 40), (5, 32, 32), (4, 32, 32))
    labels = ViewerModel().add_labels(np.zeros((32, 32), np.uint8))
    for message in (
        explain_mismatch(one, labels),
        explain_mismatch(one, one),
        explain_mismatch(one, other),
        explain_mismatch(stack, shorter),
        explain_mismatch(one, one, spatial_ndim=3),
        explain_mismatch(one, stack, frame=0),
    ):
        assert message
        assert is_on_the_page(message), message


def lie(**moved: Any) -> Iterator[Overlay | None]:
    """Give how the second of two layers, which is moved so, lies on the first one, and the two by index."""
    one, other = layers((32, 32), (32, 32))
    for name, value in moved.items():
        setattr(other, name, value)
    for by_index in (False, True):
        yield find_overlay(one, other, by_index=by_index)


def test_how_two_layers_are_compared_is_on_the_page() -> None:
    ways = [*lie(scale=(2, 2)), *lie(translate=(9, 3)), *lie(rotate=9)]
    told = [way.describe() for way in ways if way is not None]
    assert len(told) == len(ways)
    parts = {part for text in told for part in text.split("; ")}
    assert {part[: part.index(" ")] for part in parts} >= {"after", "before", "compared", "65%"}
    for part in parts:
        assert is_on_the_page(part), part
    assert [*lie()] == [None, None]


IMAGE = np.zeros((32, 32), np.uint8)
CASES: list[Callable[[], Any]] = [
    lambda: compare(IMAGE, IMAGE[:20]),
    lambda: compare(IMAGE + 200, np.eye(32)),
    lambda: compare(np.zeros((3, 32, 32)), np.zeros((3, 32, 32))),
    lambda: compare(np.zeros((3, 32, 3)), np.zeros((3, 32, 3))),
    lambda: compare(np.zeros((32, 32, 3)), np.zeros((32, 32, 3)), channels="none"),
    lambda: compare(IMAGE[:5], IMAGE[:5]),
    lambda: compare(layers((32, 32))[0], IMAGE),
    lambda: compare("before.png", IMAGE),
    lambda: compare(IMAGE * 1j, IMAGE),
    lambda: compare(IMAGE[:0], IMAGE[:0]),
    lambda: compare(IMAGE * 1e80 + np.eye(32) * 1e80, IMAGE * 1e80),
    lambda: compare(IMAGE, IMAGE, ignore=IMAGE == 0),
    lambda: compare(IMAGE, IMAGE, ignore=IMAGE[:5] == 0),
    lambda: compare(IMAGE, IMAGE, no_such=1),
    lambda: compare(IMAGE, IMAGE, sensitivity=-1),
    lambda: compare(IMAGE, IMAGE, win_size=8),
    lambda: compare(IMAGE, IMAGE, threshold=0.5, evidence=lambda before, after: before),
    lambda: compare(IMAGE, IMAGE, spacing=(1, 1, 1)),
    lambda: compare(np.zeros((9, 32, 32)), np.zeros((9, 32, 32)), spatial_ndim=3, align="rigid"),
]


@pytest.mark.parametrize("case", CASES)
def test_errors_are_on_the_page(case: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        case()
    assert is_on_the_page(str(raised.value)), str(raised.value)
