"""The page of a report: its text, what may run in it, and what it does in a browser."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from selenium import webdriver
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from napari_image_diff import compare
from napari_image_diff.judging import Limits
from napari_image_diff.page import LONGEST_SIDE, MOST_REGIONS, make_page
from napari_image_diff.report import describe_file, make_report, write_report
from napari_image_diff.words import say_number

BEFORE = np.random.default_rng(3).integers(90, 110, (120, 180, 3), dtype=np.uint8)
AFTER = BEFORE.copy()
AFTER[20:34, 30:60] = (250, 10, 10)
AFTER[80:100, 120:140] = 250
AFTER[60:66, 70:76] = 5

HOSTILE = [
    "<img src=x onerror=alert(1)>.png",
    '"><script>alert(1)</script>',
    "'onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "</script><script>alert(1)</script></style></title>",
    "one\ntwo\r\x00\x1b[31m",
    "photo\u202egnp.exe",
    "&lt;b&gt;&amp;",
    "\udcff.png",
    "long" * 60,
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("images")
    paths = {name: folder / f"{name}.npy" for name in ("before", "after")}
    for path, image in zip(paths.values(), (BEFORE, AFTER), strict=True):
        np.save(path, image)
    return make_report(compare(BEFORE, AFTER), {name: describe_file(path) for name, path in paths.items()})


@pytest.fixture
def pictures() -> dict[str, np.ndarray]:
    return {"before": BEFORE.copy(), "after": AFTER.copy(), "difference": np.zeros_like(BEFORE)}


def named(report: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a report with this in the place of every name and reason."""
    changed = copy.deepcopy(report)
    for file in changed["images"].values():
        file["name"] = name
    for row in changed["regions"]:
        row["kind"] = row["reason"] = name
    changed["reasons"] = [name]
    changed["resolved"]["alignment"].update(outcome="aligned", reason=name)
    changed["settings"]["channels"] = name
    return changed


class Reader(HTMLParser):
    """Takes a page apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        # What stands right behind a tag, and the tag
        self.pieces: list[tuple[str, str]] = []
        self._tag = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._tag = tag

    def handle_endtag(self, tag: str) -> None:
        self._tag = f"/{tag}"

    def handle_data(self, data: str) -> None:
        self.pieces.append((self._tag, data))

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attrs)) for tag, attrs in self.elements]

    def texts(self, wanted: str) -> list[str]:
        return [text for tag, text in self.pieces if tag == wanted]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def embedded(page: str) -> list[str]:
    return re.findall(r'href="(data:image/png;base64,[^"]+)"', page)


def decoded(address: str) -> np.ndarray:
    """Return an embedded picture as RGB."""
    content = base64.b64decode(address.partition(",")[2])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def words(page: str) -> str:
    """Return the text of a page, without style and script."""
    pieces = Reader(page).pieces
    return " ".join(" ".join(text for tag, text in pieces if tag not in ("style", "script")).split())


# --- the text ---


def test_the_same_report_gives_the_same_page(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    kept = copy.deepcopy(report)
    assert make_page(report, pictures) == make_page(report, pictures)
    assert report == kept
    np.testing.assert_array_equal(pictures["after"], AFTER)


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_names_are_nothing_but_text(name: str, report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    page = make_page(named(report, name), pictures)
    reader, harmless = Reader(page), Reader(make_page(named(report, "a.png"), pictures))
    assert reader.shape == harmless.shape
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
    assert reader.texts("title") == [f"Different: {seen} → {seen}"]
    assert reader.texts("bdi") == [seen] * 4
    assert seen in reader.texts("strong")
    assert all(letter.isprintable() or letter == "\n" for letter in page)
    page.encode()


def test_nothing_runs_and_nothing_loads_but_what_the_policy_names(
    report: dict[str, Any], pictures: dict[str, np.ndarray]
) -> None:
    page = make_page(report, pictures)
    reader = Reader(page)
    (policy,) = [meta["content"] for meta in reader.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    hashes = {
        tag: base64.b64encode(hashlib.sha256("".join(reader.texts(tag)).encode()).digest()).decode()
        for tag in ("style", "script")
    }
    assert policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        f"style-src 'sha256-{hashes['style']}'",
        f"script-src 'sha256-{hashes['script']}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert (len(reader.all("style")), len(reader.all("script"))) == (1, 1)
    assert "referrer" in {meta.get("name") for meta in reader.all("meta")}
    for _, attrs in reader.elements:
        assert not {name for name in attrs if name == "style" or name.startswith("on")}
        for name in ("src", "href", "action", "srcset", "data", "xlink:href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:"))
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"data:image/png[^\"]+", "", page))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval|Function", page)


def test_each_picture_is_there_once_and_as_it_is(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    page = make_page(report, pictures)
    addresses = embedded(page)
    assert len(addresses) == len(set(addresses)) == 3 + 2 * 3
    np.testing.assert_array_equal(decoded(addresses[0]), BEFORE)
    np.testing.assert_array_equal(decoded(addresses[1]), AFTER)
    # The largest comes first
    largest = max(report["regions"], key=lambda row: row["area"])
    cut = tuple(
        slice(max(0, (low + high) // 2 - half), (low + high) // 2 + half)
        for low, high, half in (
            (largest["min_row"], largest["max_row"], 3),
            (largest["min_col"], largest["max_col"], 3),
        )
    )
    close_up = decoded(addresses[4])
    middle = [length // 2 for length in close_up.shape[:2]]
    np.testing.assert_array_equal(close_up[middle[0], middle[1]], AFTER[cut][3, 3])
    assert "<svg" in page
    assert "Shown in" not in words(page)


def test_gray_pictures_take_one_channel(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    pictures["before"][:] = pictures["before"][:, :, :1]
    content = base64.b64decode(embedded(make_page(report, pictures))[0].partition(",")[2])
    assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 2


def test_large_images_are_shrunk_and_close_ups_are_not(report: dict[str, Any]) -> None:
    shape = (700, 3 * LONGEST_SIDE + 1, 3)
    pictures = {
        "before": np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8),
        "after": np.zeros(shape, np.uint8),
        "difference": np.zeros(shape, np.uint8),
    }
    pictures["difference"][350, 4321] = 255
    page = make_page(report, pictures)
    before, _, difference, first, *_ = map(decoded, embedded(page))
    assert before.shape == difference.shape == (233, LONGEST_SIDE, 3)
    assert "6,001 × 700 pixels. Shown in 2,000 × 233;" in words(page)
    assert {svg["viewbox"] for svg in Reader(page).all("svg") if svg.get("class") == "picture"} == {"0 0 6001 700"}
    # One changed pixel is still as bright as it was, where it was
    ((row, col),) = np.argwhere(difference.sum(axis=2) > 400)
    assert (row, col) == (350 * 233 // 700, 4321 * 2000 // 6001)
    cut = Reader(page).all("tr")[1]["data-box"]
    assert cut is not None
    x, y, width, height = map(int, cut.split())
    side = max(width, height) + 2 * max(8, max(width, height) // 2)
    top, left = max(0, y - (side - height) // 2), max(0, x - (side - width) // 2)
    np.testing.assert_array_equal(
        first, pictures["before"][top : y - (side - height) // 2 + side, left:][:, : first.shape[1]]
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (7, 7)])
def test_pictures_of_any_shape(shape: tuple[int, int], report: dict[str, Any]) -> None:
    pictures = {name: np.zeros((*shape, 3), np.uint8) for name in ("before", "after", "difference")}
    small = {**report, "regions": [{**report["regions"][0], "min_row": 0, "min_col": 0, "max_row": 1, "max_col": 1}]}
    page = make_page(small, pictures)
    assert [decoded(address).shape[:2] for address in embedded(page)[:3]] == [tuple(min(n, 2000) for n in shape)] * 3


def test_of_many_regions_the_largest_are_shown_and_the_rest_is_counted(
    report: dict[str, Any], pictures: dict[str, np.ndarray]
) -> None:
    (row,) = report["regions"][:1]
    many = [{**row, "label": label, "area": label * 7 % 1009} for label in range(1, 1001)]
    page = make_page({**report, "regions": many}, pictures)
    assert f"The {MOST_REGIONS} largest of 1,000; regions.csv has all of them." in words(page)
    rows = [attrs for attrs in Reader(page).all("tr") if "data-box" in attrs]
    assert len(rows) == MOST_REGIONS
    labels = [int(label) for label in re.findall(r'aria-label="Region (\d+): show"', page)]
    assert labels == [row["label"] for row in sorted(many, key=lambda row: -row["area"])][:MOST_REGIONS]
    (outline,) = {attrs["d"] for attrs in Reader(page).all("path")}
    assert outline is not None
    assert outline.count("M") == 1000


def decided(report: dict[str, Any], *told: tuple[str, str]) -> dict[str, Any]:
    """Return a report in which each region has a verdict and a note."""
    changed = copy.deepcopy(report)
    for row, (verdict, note) in zip(changed["regions"], told, strict=True):
        row.update(verdict=verdict, note=note)
    return changed


def test_verdicts_and_notes_are_shown_and_counted(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    page = make_page(decided(report, ("not real", "a hair,\n\nor two"), ("open", ""), ("real", "")), pictures)
    text = words(page)
    assert "Reviewed 2 of 3 1 real, 1 not real" in text
    assert "not real a hair, or two" in text
    assert "<bdi>a hair,</bdi><br><bdi></bdi><br><bdi>or two</bdi>" in page
    (cells,) = {len(re.findall(r"<t[hd] ", row)) for row in re.findall(r"<tr data-box.*?</tr>", page, re.DOTALL)}
    assert cells == len(re.findall(r"<th ", re.findall(r"<thead>.*?</thead>", page)[0]))
    plain = make_page(report, pictures)
    assert not {"Reviewed", "Verdict", "open"} & set(words(plain).split())


@pytest.mark.parametrize("note", HOSTILE)
def test_a_note_is_text_and_nothing_else(note: str, report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    page = make_page(decided(report, *[("real", note)] * 3), pictures)
    plain = make_page(decided(report, *[("real", "note\n" * len(note.splitlines()))] * 3), pictures)
    assert Reader(page).shape == Reader(plain).shape
    assert not {"\r", "\x00", "\x1b", "\u202e", "\udcff"} & set(page)


def test_columns_that_are_not_there_are_left_out(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    keys = ("label", "min_row", "min_col", "max_row", "max_col", "area", "difference_mean")
    plain = [{key: row[key] for key in keys} for row in report["regions"]]
    assert "Evidence, max" in words(make_page(report, pictures))
    text = words(make_page({**report, "regions": plain}, pictures))
    assert "Difference, mean" in text
    assert not {"Evidence, max", "Change"} & set(re.findall(r"Evidence, max|Change\b", text))


def test_areas_have_the_unit_of_the_world(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    assert "Area," not in words(make_page(report, pictures))
    regions = [{**row, "physical_area": 12.5, "unit": "<b>m"} for row in report["regions"]]
    page = make_page({**report, "regions": regions}, pictures)
    assert {"Area, <b>m²", "12.5"} <= {text for _, text in Reader(page).pieces}
    assert "<b>m" not in page


def headline(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> str:
    page = make_page(report, pictures)
    (found,) = re.findall(r"<h1.*?</h1>", page)
    return words(found)


def test_the_verdict_comes_first_in_words(tmp_path: Path, pictures: dict[str, np.ndarray]) -> None:
    images = {"before": describe_file(tmp_path / "a"), "after": describe_file(tmp_path / "b")}
    noisy = (BEFORE + np.random.default_rng(0).integers(0, 3, BEFORE.shape)).astype(np.uint8)
    different, same, noise = compare(BEFORE, AFTER), compare(BEFORE, BEFORE), compare(BEFORE, noisy)
    limits = Limits(max_regions=5)
    assert headline(make_report(different, images), pictures) == "Different : 3 regions"
    assert headline(make_report(different, images, limits), pictures) == "Same : 3 regions, within the limits"
    assert headline(make_report(same, images), pictures) == "Identical"
    assert headline(make_report(noise, images), pictures) == "No difference beyond noise"
    strict = make_report(noise, images, Limits(min_score=0.9999))
    assert headline(strict, pictures).startswith("Different : score 0.")
    assert "None." in words(make_page(strict, pictures))


def test_what_was_undone_and_forgiven_is_said(report: dict[str, Any], pictures: dict[str, np.ndarray]) -> None:
    plain = words(make_page(report, pictures))
    assert not {"Alignment", "Intensity", "Forgiven", "Dashed"} & set(plain.split())
    changed = copy.deepcopy(report)
    changed["resolved"]["alignment"].update(outcome="aligned", reason="shift of 4.00 rows")
    changed["resolved"]["intensity"] = {"gain": 0.80012345, "offset": 20.0}
    changed["forgiven"] = [{"min_row": 1, "min_col": 2, "max_row": 5, "max_col": 9}]
    page = make_page(changed, pictures)
    text = words(page)
    assert "Alignment aligned shift of 4.00 rows" in text
    assert "Intensity matched gain 0.8001, offset 20" in text
    assert "Forgiven 1 explained by a local shift" in text
    assert "Dashed: explained by a local shift" in text
    assert 'class="box forgiven" d="M2 1h7v4h-7z"' in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9862192382075706, "0.9862"),
        (117.24999999, "117.2"),
        (1234567, "1,234,567"),
        (1234567.89, "1,234,568"),
        (0.00012345, "0.0001234"),
        (1.5e-9, "1.500e-09"),
        (2.5e15, "2.500e+15"),
        (-1.0, "-1"),
        (1200.0, "1,200"),
        (0.0, "0"),
        (None, "–"),
        (True, "True"),
        ("auto", "auto"),
    ],
)
def test_numbers_are_for_people(value: Any, text: str) -> None:
    assert say_number(value) == text


def test_the_report_has_the_page(report: dict[str, Any], tmp_path: Path) -> None:
    folder = write_report(compare(BEFORE, AFTER), tmp_path / "out", report)
    page = (folder / "report.html").read_text(encoding="utf-8")
    before, after, difference, *_ = map(decoded, embedded(page))
    # Boxes are lines over the pictures, not in them
    np.testing.assert_array_equal(before, BEFORE)
    np.testing.assert_array_equal(after, AFTER)
    assert difference[90, 130].sum() > difference[5, 170].sum()
    for name in ("before", "after"):
        assert report["images"][name]["sha256"] in page


# --- in a browser ---

Open = Callable[..., webdriver.Chrome]

# Two pictures that can be told apart at any place
RED, BLUE = (200, 20, 20), (20, 20, 200)


@pytest.fixture
def open_page(browser: webdriver.Chrome, report: dict[str, Any], tmp_path: Path) -> Iterator[Open]:
    """Open a page with a red picture before and a blue one after; at the end nothing may have gone wrong in it."""

    def open_page(
        changes: dict[str, Any] | None = None, width: int = 1200, height: int = 900, **media: str
    ) -> webdriver.Chrome:
        pictures = {"before": np.full_like(BEFORE, RED), "after": np.full_like(BEFORE, BLUE)}
        page = make_page(changes or report, {**pictures, "difference": np.zeros_like(BEFORE)})
        path = tmp_path / "report.html"
        path.write_text(page, encoding="utf-8")
        command = browser.execute_cdp_cmd
        command(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        command("Emulation.setEmulatedMedia", {"media": "", "features": features})
        for kind in ("browser", "performance"):
            browser.get_log(kind)
        browser.get(path.as_uri())
        return browser

    yield open_page
    assert browser.get_log("browser") == []


def run(browser: webdriver.Chrome, code: str) -> Any:
    return browser.execute_script(f"return {code}")


def click(browser: webdriver.Chrome, selector: str) -> None:
    browser.find_element(By.CSS_SELECTOR, selector).click()


def wait(browser: webdriver.Chrome, code: str) -> None:
    WebDriverWait(browser, 20, poll_frequency=0.02).until(lambda browser: run(browser, code))


def rectangle(browser: webdriver.Chrome, selector: str) -> dict[str, float]:
    found: dict[str, float] = run(browser, f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()")
    return found


def share_of_after(browser: webdriver.Chrome) -> float:
    """Return how much of what is seen of the two pictures is the one after."""
    stage = browser.find_element(By.ID, "stage").screenshot_as_png
    pixels = cv2.imdecode(np.frombuffer(stage, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    red, blue = (np.abs(pixels - color).max(axis=2) < 8 for color in (RED, BLUE))
    return float(blue.sum() / (blue.sum() + red.sum()))


def view_box(browser: webdriver.Chrome) -> str:
    (found,) = run(
        browser, "[...new Set([...document.querySelectorAll('.picture')].map(x => x.getAttribute('viewBox')))]"
    )
    return str(found)


def test_the_page_renders_and_asks_nobody(open_page: Open) -> None:
    browser = open_page()
    assert browser.find_element(By.TAG_NAME, "h1").text == "Different: 3 regions"
    assert share_of_after(browser) == pytest.approx(0.5, abs=0.02)
    for mode in ("blink", "side", "before", "after", "difference", "swipe"):
        click(browser, f"button[data-mode={mode}]")
        pressed = browser.find_elements(By.CSS_SELECTOR, "button[data-mode][aria-pressed=true]")
        assert [button.get_attribute("data-mode") for button in pressed] == [mode]
    asked = re.findall(r'"Network\.requestWillBeSent".*?"url":"(.{30})', str(browser.get_log("performance")))
    assert asked
    assert [url for url in asked if not url.startswith(("data:", "file:///"))] == []


def test_swipe_by_keys(open_page: Open) -> None:
    browser = open_page()
    slider = browser.find_element(By.ID, "swipe")
    slider.send_keys(Keys.HOME)
    assert share_of_after(browser) > 0.98
    slider.send_keys(Keys.END)
    assert share_of_after(browser) < 0.02
    slider.send_keys(*[Keys.ARROW_LEFT] * 3)
    assert 0.01 < share_of_after(browser) < 0.2


def test_swipe_by_dragging(open_page: Open) -> None:
    browser = open_page()
    picture = browser.find_element(By.CSS_SELECTOR, ".after .picture")
    shown = rectangle(browser, ".after image")
    # From the middle to three quarters
    ActionChains(browser).move_to_element(picture).click_and_hold().move_by_offset(
        round(shown["width"] / 4), 3
    ).perform()
    assert share_of_after(browser) == pytest.approx(0.25, abs=0.03)
    assert float(run(browser, "document.querySelector('#swipe').value")) == pytest.approx(75, abs=1)
    ActionChains(browser).release().move_by_offset(-200, 0).perform()
    assert share_of_after(browser) == pytest.approx(0.25, abs=0.03)


def test_blink_goes_to_and_fro_and_pauses(open_page: Open) -> None:
    browser = open_page()
    click(browser, "button[data-mode=blink]")
    for _ in range(2):
        for shown, share in (("after", 1), ("before", 0)):
            wait(browser, f"document.querySelector('#stage').dataset.shown === '{shown}'")
            click(browser, "#blink")
            # It may have gone on before the click
            seen = run(browser, "document.querySelector('#stage').dataset.shown")
            assert share_of_after(browser) == pytest.approx(share if seen == shown else 1 - share, abs=0.01)
            assert browser.find_element(By.ID, "blink").text == "Play"
            click(browser, "#blink")
    assert browser.find_element(By.ID, "blink").text == "Pause"
    # Five times a second, and then not at all
    browser.find_element(By.ID, "rate").send_keys(Keys.END)
    click(browser, "#blink")
    changes = browser.execute_async_script(
        "const done = arguments[0]; let changes = 0;"
        "new MutationObserver(() => { changes += 1; }).observe(document.querySelector('#stage'), {attributes: true});"
        "setTimeout(() => done(changes), 500);"
    )
    assert changes == 0


def test_nothing_blinks_by_itself_for_who_does_not_want_it(open_page: Open) -> None:
    browser = open_page(prefers_reduced_motion="reduce")
    click(browser, "button[data-mode=blink]")
    assert browser.find_element(By.ID, "blink").text == "Play"
    click(browser, "#blink")
    wait(browser, "document.querySelector('#stage').dataset.shown === 'after'")


def test_what_is_held_shows_the_other(open_page: Open) -> None:
    browser = open_page()
    click(browser, "button[data-mode=before]")
    run(browser, "document.activeElement.blur()")
    assert share_of_after(browser) < 0.01
    ActionChains(browser).key_down(" ").perform()
    assert share_of_after(browser) > 0.99
    ActionChains(browser).key_up(" ").perform()
    assert share_of_after(browser) < 0.01
    picture = browser.find_element(By.CSS_SELECTOR, ".before .picture")
    ActionChains(browser).move_to_element(picture).click_and_hold().perform()
    assert share_of_after(browser) > 0.99
    ActionChains(browser).release().perform()
    assert share_of_after(browser) < 0.01


def test_boxes_can_be_hidden(open_page: Open) -> None:
    browser = open_page()
    assert rectangle(browser, ".before .boxes")["width"] > 100
    click(browser, "#boxes-button")
    assert rectangle(browser, ".before .boxes")["width"] == 0
    click(browser, "#boxes-button")
    assert rectangle(browser, ".before .boxes")["width"] > 100


def is_seen(browser: webdriver.Chrome, picture: str) -> bool:
    """Return whether the box that is chosen lies within a picture and the window, and is large there."""
    box, frame = rectangle(browser, f".{picture} .chosen"), rectangle(browser, f".{picture} .picture")
    high, wide = run(browser, "innerHeight"), run(browser, "innerWidth")
    inside = frame["left"] <= box["left"] and frame["top"] <= box["top"]
    inside &= box["right"] <= frame["right"] and box["bottom"] <= frame["bottom"]
    inside &= min(box["left"], box["top"]) >= 0 and box["right"] <= wide and box["bottom"] <= high
    return inside and max(box["width"] / frame["width"], box["height"] / frame["height"]) > 0.25


@pytest.mark.parametrize("width", [1200, 360])
def test_a_click_on_a_region_goes_to_it(open_page: Open, width: int) -> None:
    browser = open_page(width=width, height=740)
    for number, row in enumerate(browser.find_elements(By.CSS_SELECTOR, "tr[data-box]")):
        row.find_element(By.TAG_NAME, "button").click()
        assert is_seen(browser, "before")
        assert is_seen(browser, "after")
        assert view_box(browser) != "0 0 180 120"
        current = browser.find_elements(By.CSS_SELECTOR, "[aria-current]")
        assert [each.get_attribute("data-box") for each in current] == [row.get_attribute("data-box")]
        label = row.find_element(By.TAG_NAME, "button").text
        assert browser.find_element(By.ID, "status").text.startswith(f"Region {label}: ")
        assert number < 3
    click(browser, "#whole")
    assert view_box(browser) == "0 0 180 120"
    assert not browser.find_elements(By.CSS_SELECTOR, "[aria-current]")


def test_a_click_on_a_box_and_keys_go_to_regions(open_page: Open, report: dict[str, Any]) -> None:
    browser = open_page()
    (row,) = [row for row in report["regions"] if row["min_row"] < 40]
    center = (row["min_col"] + row["max_col"]) / 2, (row["min_row"] + row["max_row"]) / 2
    shown = rectangle(browser, ".after image")
    x, y = (
        round((where / size - 0.5) * shown[name])
        for where, size, name in zip(center, (180, 120), ("width", "height"), strict=True)
    )
    picture = browser.find_element(By.CSS_SELECTOR, ".after .picture")
    # Offsets are from the middle of what is in view
    run(browser, "document.querySelector('#stage').scrollIntoView()")
    ActionChains(browser).move_to_element_with_offset(picture, x, y).click().perform()
    status = browser.find_element(By.ID, "status")
    assert status.text.startswith(f"Region {row['label']}: ")
    order = [str(each["label"]) for each in sorted(report["regions"], key=lambda each: -each["area"])]
    place = order.index(str(row["label"]))
    for key, step in (("n", 1), ("n", 2), ("p", 1), ("p", 0)):
        ActionChains(browser).send_keys(key).perform()
        assert status.text.startswith(f"Region {order[(place + step) % 3]}: ")
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert view_box(browser) == "0 0 180 120"
    click(browser, "#previous")
    assert status.text.startswith(f"Region {order[-1]}: ")


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_hostile_names_do_nothing(open_page: Open, report: dict[str, Any], name: str) -> None:
    count = "document.querySelectorAll('*').length"
    harmless = run(open_page(named(report, "a.png")), count)
    browser = open_page(named(report, name))
    click(browser, "tr[data-box] button")
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert.dismiss()
    assert run(browser, count) == harmless
    seen = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
    assert browser.title == f"Different: {seen} → {seen}"
    assert seen in run(browser, "document.querySelector('#status').textContent")


@pytest.mark.parametrize("name", ["a.png", "long" * 60])
def test_a_phone_needs_no_scrolling_sideways(open_page: Open, report: dict[str, Any], name: str) -> None:
    browser = open_page(named(report, name), width=360, height=740)
    for mode in ("swipe", "blink", "side", "difference"):
        click(browser, f"button[data-mode={mode}]")
        assert run(browser, "document.documentElement.scrollWidth") <= 360
    assert rectangle(browser, "tr[data-box]")["right"] <= 360


def assert_all_is_there(browser: webdriver.Chrome) -> None:
    before, after, difference = (rectangle(browser, f".{name} .picture") for name in ("before", "after", "difference"))
    assert before["top"] == after["top"]
    assert before["right"] < after["left"]
    assert difference["top"] > 0
    for name in ("before", "after", "difference"):
        style = f"getComputedStyle(document.querySelector('.{name} .picture'))"
        assert run(browser, f"[{style}.visibility, {style}.clipPath]") == ["visible", "none"]
        assert rectangle(browser, f".{name} .boxes")["width"] > 0
    hidden = "[...document.querySelectorAll('.controls')].every(x => getComputedStyle(x).display === 'none')"
    assert run(browser, hidden)
    assert rectangle(browser, "tr[data-box]:last-child .close-up image")["width"] > 20


@pytest.mark.parametrize("mode", ["swipe", "blink", "difference"])
def test_paper_has_all_of_it(open_page: Open, mode: str) -> None:
    browser = open_page(prefers_color_scheme="dark")
    dark = run(browser, "getComputedStyle(document.body).backgroundColor")
    click(browser, f"button[data-mode={mode}]")
    click(browser, "#boxes-button")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert_all_is_there(browser)
    assert run(browser, "getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)" != dark


def test_paper_has_the_whole_image_after_a_close_look(open_page: Open) -> None:
    browser = open_page()
    click(browser, "tr[data-box] button")
    near = view_box(browser)
    run(
        browser,
        "void matchMedia('print').addEventListener('change', event => { if (event.matches) "
        "document.title = document.querySelector('.after .picture').getAttribute('viewBox'); })",
    )
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert pdf.startswith(b"%PDF")
    assert browser.title == "0 0 180 120"
    assert view_box(browser) == near


def test_without_scripts_it_can_be_read(open_page: Open) -> None:
    browser = open_page()
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.refresh()
        assert_all_is_there(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_page_of_no_regions(open_page: Open, report: dict[str, Any]) -> None:
    browser = open_page({**report, "different": False, "verdict": "identical", "reasons": [], "regions": []})
    assert browser.find_element(By.TAG_NAME, "h1").text == "Identical"
    ActionChains(browser).send_keys("n").send_keys("p").send_keys(Keys.ESCAPE).perform()
    assert not browser.find_elements(By.CSS_SELECTOR, "#next, #whole")
    click(browser, "button[data-mode=after]")
    assert share_of_after(browser) > 0.99
