"""The command line, as it is called: files in, text, pictures and an exit code out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import imageio.v3 as iio
import jsonschema
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from calls import Run, assert_one_error, on_small_disk
from recipe import run_recipe
from without import QT, run_without

from napari_image_diff import Settings, compare, is_complete, reading
from napari_image_diff.cli import main
from napari_image_diff.judging import Limits, judge
from napari_image_diff.options import GROUPS
from napari_image_diff.settings import describe_fields

BEFORE = np.random.default_rng(7).integers(0, 200, (60, 80, 3), dtype=np.uint8)
AFTER = BEFORE.copy()
AFTER[20:40, 30:55] = (250, 10, 10)
FILES_OUT = [
    "after.png",
    "before.png",
    "difference.png",
    "difference.tif",
    "filled_after.png",
    "labels.tif",
    "mask.png",
    "regions.csv",
    "report.html",
    "report.json",
    "thumbnail.jpg",
]

CLASSIC = ("--threshold", "otsu", "--min-area", "40", "--align", "none", "--alpha", "drop")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "before.png", tmp_path / "after.png"
    for path, image in zip(paths, (BEFORE, AFTER), strict=True):
        iio.imwrite(path, image)
    return paths


def test_same_exits_with_0(run: Run, pair: tuple[Path, Path]) -> None:
    code, out, err = run(pair[0], pair[0])
    assert (code, err) == (0, "")
    assert out.splitlines()[0].startswith("score 1.0000, identical")
    assert out.splitlines()[1:3] == ["verdict: identical", "score: 1.0"]
    assert out.splitlines()[4] == "regions: 0"


def test_different_exits_with_1_and_prints_score_threshold_and_regions(run: Run, pair: tuple[Path, Path]) -> None:
    code, out, err = run(*pair)
    expected = compare(BEFORE, AFTER)
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert lines[0] == expected.summary
    assert lines[1:5] == [
        "verdict: different",
        f"score: {expected.score}",
        f"threshold: {expected.threshold} (auto, of the evidence)",
        "regions: 1",
    ]
    assert lines[5].split() == list(expected.regions.columns)
    assert {"kind", "reason"} <= set(lines[5].split())
    assert lines[6].split()[:5] == [str(value) for value in expected.regions.iloc[0, :5].astype(int)]
    assert f" {expected.regions.loc[0, 'kind']} " in lines[6]


def test_first_and_second_as_in_the_tutorial(run: Run, pair: tuple[Path, Path]) -> None:
    expected = run(*pair)
    assert run("--first", pair[0], "--second", pair[1]) == expected
    assert run("-s", pair[1], "-f", pair[0]) == expected


def test_settings_are_options(run: Run, pair: tuple[Path, Path]) -> None:
    _, out, _ = run(*pair, "--threshold", 0.25, "--min-area", -1, "--window", "gaussian", "--no-use-sample-covariance")
    expected = compare(BEFORE, AFTER, Settings.wang2004(threshold=0.25, min_area=-1))
    assert out.splitlines()[2:5] == [
        f"score: {expected.score}",
        "threshold: 0.25 (number)",
        f"regions: {len(expected.regions)}",
    ]


def ask_help(capsys: pytest.CaptureFixture[str], *asked: str) -> str:
    with pytest.raises(SystemExit, match="0"):
        main(["--help", *asked])
    return capsys.readouterr().out


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(ask_help(capsys, "all").split())
    for name, (_, metadata) in describe_fields().items():
        assert f"--{name.replace('_', '-')}" in text
        assert f"{metadata['help']} Default: {getattr(Settings(), name)}." in text


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    outline, whole = ask_help(capsys), ask_help(capsys, "all")
    pages = {group: ask_help(capsys, group) for group in GROUPS}
    for page in (outline, *pages.values()):
        assert len(page.splitlines()) <= 40
        assert max(map(len, page.splitlines())) <= 90
    named = [set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)) for text in (outline, whole, " ".join(pages.values()))]
    assert {"--first", "--out", "--junit", "--threshold", "--data-range"} <= named[1]
    # The outline has one name of each
    assert named[0] - {"--help"} <= named[1] == named[2]


def test_help_on_nothing_says_what_there_is(run: Run) -> None:
    assert_one_error(run("--help", "colours"), "no help on 'colours'", "images, folders", "or all")


def test_pictures_are_those_of_the_recipe(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    assert run(*pair, "--out", folder, *CLASSIC)[0] == 1
    assert sorted(path.name for path in folder.iterdir()) == FILES_OUT
    gray_before, gray_after = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (BEFORE, AFTER))
    recipe = run_recipe(gray_before, gray_after, data_range=255)
    expected = {
        "before": BEFORE.copy(),
        "after": AFTER.copy(),
        "mask": np.zeros_like(AFTER),
        "filled_after": AFTER.copy(),
    }
    for x, y, width, height in recipe.boxes:
        for name in ("before", "after"):
            cv2.rectangle(expected[name], (x, y), (x + width, y + height), (12, 255, 36), 2)
    for name in ("mask", "filled_after"):
        expected[name][recipe.filled] = (0, 255, 0)
    for name, picture in expected.items():
        np.testing.assert_array_equal(iio.imread(folder / f"{name}.png"), picture)


def test_the_difference_is_bright_where_the_images_differ(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    run(*pair, "--out", tmp_path / "pictures")
    picture = iio.imread(tmp_path / "pictures" / "difference.png")
    difference = compare(BEFORE, AFTER).difference.astype(np.float64)
    np.testing.assert_array_equal(picture[:, :, 0], (difference.clip(0, 1) * 255).astype(np.uint8))


def test_nothing_beyond_noise_exits_with_0(run: Run, tmp_path: Path) -> None:
    noise = np.random.default_rng(3).normal(0, 2, (2, 200, 300))
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path, image in zip(paths, np.round(100 + noise).astype(np.uint8), strict=True):
        iio.imwrite(path, image)
    code, out, _ = run(*paths)
    assert (code, out.splitlines()[1]) == (0, "verdict: no difference beyond noise")


def test_volumes_are_compared_in_three_dimensions(run: Run, tmp_path: Path) -> None:
    before = np.random.default_rng(4).integers(90, 110, (9, 60, 70)).astype(np.uint8)
    after = before.copy()
    after[3:7, 20:40, 30:50] += 80
    paths = [tmp_path / "one.tif", tmp_path / "two.tif"]
    for path, volume in zip(paths, (before, after), strict=True):
        tifffile.imwrite(path, volume, photometric="minisblack")
    code, out, _ = run(*paths, "--spatial-ndim", "3", "--threshold", "0.3")
    assert (code, out.splitlines()[4]) == (1, "regions: 1")
    assert "min_plane" in out


def test_pictures_show_after_where_it_was_found_to_lie(run: Run, tmp_path: Path) -> None:
    scene = cv2.GaussianBlur(np.random.default_rng(4).integers(0, 255, (230, 330), dtype=np.uint8), (0, 0), 2)
    scene = cv2.normalize(scene, None, 0, 255, cv2.NORM_MINMAX)
    paths = [tmp_path / "before.png", tmp_path / "after.png"]
    for path, shift in zip(paths, (0, 6), strict=True):
        iio.imwrite(path, scene[10 - shift : 210 - shift, 20:320])
    code, out, _ = run(*paths, "--out", tmp_path / "pictures")
    assert (code, "undone: shift of 6.00 rows" in out) == (0, True)
    before, after = (iio.imread(tmp_path / "pictures" / path.name).astype(int) for path in paths)
    assert np.abs(before - after)[:190].max() <= 1


@pytest.mark.parametrize("size", ["overlap", "pad"])
def test_images_of_different_size_are_compared_if_asked(run: Run, tmp_path: Path, size: str) -> None:
    paths = [tmp_path / "before.png", tmp_path / "after.png"]
    for path, rows in zip(paths, (60, 50), strict=True):
        iio.imwrite(path, BEFORE[:rows])
    code, out, _ = run(*paths, "--size", size, "--out", tmp_path / "pictures")
    assert code == (size == "pad")
    assert ("only in before" in out) == (size == "pad")
    assert iio.imread(tmp_path / "pictures" / "mask.png").shape[0] == (60 if size == "pad" else 50)


def test_pictures_of_16_bits_use_the_data_range(run: Run, tmp_path: Path) -> None:
    before = np.full((40, 40), 4095, np.uint16)
    after = before.copy()
    after[10:30, 10:30] = 0
    tifffile.imwrite(tmp_path / "before.tif", before)
    tifffile.imwrite(tmp_path / "after.tif", after)
    run(tmp_path / "before.tif", tmp_path / "after.tif", "--out", tmp_path / "out")
    assert set(np.unique(iio.imread(tmp_path / "out" / "after.png")[12:28, 12:28])) == {0}
    assert iio.imread(tmp_path / "out" / "before.png")[0, 0].tolist() == [255, 255, 255]


def test_pictures_of_floats_show_what_is_not_valid_black(run: Run, tmp_path: Path) -> None:
    before = np.linspace(-5, 5, 1600, dtype=np.float32).reshape(40, 40)
    before[:3] = np.nan
    tifffile.imwrite(tmp_path / "before.tif", before)
    assert run(tmp_path / "before.tif", tmp_path / "before.tif", "--out", tmp_path / "out")[0] == 0
    picture = iio.imread(tmp_path / "out" / "before.png")
    assert not picture[:3].any()
    assert picture[-1, -1, 0] > 250


def test_pictures_never_replace_the_images(run: Run, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(pair[0].parent)
    contents = [path.read_bytes() for path in pair]
    for folder, force in ((".", ()), (str(pair[0].parent), ("--force",)), ("", ())):
        code, out, err = run(*(path.name for path in pair), "--out", folder, *force)
        assert (code, out) == (2, "")
        assert "give" in err
        assert "folder" in err
    assert [path.read_bytes() for path in pair] == contents


def test_a_report_is_replaced_by_force_only(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run(*pair, "--out", folder)
    (folder / "mask.png").write_bytes(b"touched")
    assert_one_error(run(*pair, "--out", folder), "--force")
    assert (folder / "mask.png").read_bytes() == b"touched"
    assert run(*pair, "--out", folder, "--force")[0] == 1
    assert sorted(path.name for path in folder.iterdir()) == FILES_OUT
    assert (folder / "mask.png").read_bytes() != b"touched"


@pytest.mark.parametrize("record", [None, b"{}", b"[]", b"no JSON"])
def test_pictures_of_the_names_of_ours_are_not_replaced(
    run: Run, pair: tuple[Path, Path], tmp_path: Path, record: bytes | None
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "before.png").write_bytes(b"mine")
    if record is not None:
        (folder / "report.json").write_bytes(record)
    there = sorted(folder.iterdir())
    assert_one_error(run(*pair, "--out", folder, "--force"), "before.png", "is no report")
    assert sorted(folder.iterdir()) == there
    assert (folder / "before.png").read_bytes() == b"mine"


def test_nothing_to_compare_is_an_error(run: Run, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "nothing.tif", np.full((40, 40), np.nan, np.float32))
    tifffile.imwrite(tmp_path / "image.tif", np.ones((40, 40), np.float32))
    code, out, err = run(tmp_path / "nothing.tif", tmp_path / "image.tif")
    assert (code, out) == (2, "")
    assert "nothing can be compared" in err


FORMATS: dict[str, Callable[..., object]] = {
    "png": iio.imwrite,
    "tif": tifffile.imwrite,
    "TIFF": tifffile.imwrite,
    "lzw.tif": partial(iio.imwrite, plugin="pillow", compression="tiff_lzw"),
    "bmp": iio.imwrite,  # by napari's own reader
    "npy": np.save,
}


@pytest.mark.parametrize("suffix", FORMATS)
def test_formats_without_loss_give_the_same(run: Run, pair: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    paths = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for path, image in zip(paths, (BEFORE, AFTER), strict=True):
        FORMATS[suffix](path, image)
    assert run(*paths) == run(*pair)


def test_jpeg(run: Run, tmp_path: Path) -> None:
    for name, image in {"one.jpg": BEFORE, "two.jpeg": AFTER}.items():
        iio.imwrite(tmp_path / name, image, quality=95)
    code, out, err = run(tmp_path / "one.jpg", tmp_path / "two.jpeg")
    assert (code, err) == (1, "")
    assert "regions: 1" in out


def test_colour_of_16_bits_keeps_its_bits(run: Run, tmp_path: Path) -> None:
    deep = BEFORE.astype(np.uint16) * 257, AFTER.astype(np.uint16) * 257
    paths = [tmp_path / "before.png", tmp_path / "after.png"]
    for path, image in zip(paths, deep, strict=True):
        cv2.imwrite(str(path), image[:, :, ::-1])
    assert run(*paths)[1].splitlines()[2] == f"score: {compare(*deep).score}"


def test_other_formats_need_neither_qt_nor_a_display(tmp_path: Path) -> None:
    np.save(tmp_path / "before.npy", BEFORE[:, :, 0])
    np.save(tmp_path / "after.npy", AFTER[:, :, 0])
    script = "from napari_image_diff.cli import main; raise SystemExit(main())"
    done = run_without(QT, script, tmp_path / "before.npy", tmp_path / "after.npy")
    assert (done.returncode, done.stderr) == (1, "")
    assert "regions: 1" in done.stdout


@pytest.mark.parametrize("command", [["napari-image-diff"], [sys.executable, "-m", "napari_image_diff"]])
def test_both_ways_to_start_it(command: list[str], pair: tuple[Path, Path]) -> None:
    command[0] = str(Path(sys.executable).with_name(command[0])) if len(command) == 1 else command[0]
    done = subprocess.run([*command, *map(str, pair)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end otherwise there")
def test_a_reader_of_our_output_may_leave(pair: tuple[Path, Path]) -> None:
    command = f"'{sys.executable}' -m napari_image_diff '{pair[0]}' '{pair[1]}' | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "BEFORE AFTER"),
        (["before.png"], "BEFORE AFTER"),
        (["before.png", "after.png", "third.png"], "third.png"),
        (["before.png", "after.png", "--first", "third.png"], "BEFORE AFTER"),
        (["before.png", "after.png", "--sharpness", "3"], "--sharpness"),
        (["before.png", "after.png", "--win-size", "x"], "--win-size"),
        (["before.png", "after.png", "--win-size", "4"], "even"),
        (["before.png", "after.png", "--win-size", "99"], "win-size"),
        (["before.png", "after.png", "--window", "round"], "'gaussian'"),
        (["before.png", "after.png", "--threshold", "high"], "'otsu' or a number"),
        (["before.png", "after.png", "--threshold", "-3"], "0 to 2"),
        (["before.png", "after.png", "--threshold", "nan"], "0 to 2"),
        (["before.png", "missing.png"], "missing.png does not exist"),
        (["before.png", "."], "folder"),
        (["before.png", "empty.png"], "empty.png"),
        (["before.png", "text.png"], "not a PNG file"),
        (["before.png", "after.png", "--max-changed", "2"], "'2' is no share; give a number from 0 to 1"),
        (["before.png", "after.png", "--max-changed", "some"], "'some' is no share"),
        (["before.png", "after.png", "--max-changed", "nan%"], "'nan%' is no share"),
        (["before.png", "after.png", "--max-regions=-1"], "'-1' is no whole number from 0 on"),
        (["before.png", "after.png", "--min-score", "nan"], "'nan' is no score; give a number from -1 to 1"),
        (["before.png", "after.png", "--max-pixels", "1e6"], "'1e6' is no whole number from 0 on"),
        (["before.png", "zeros.npy"], "zeros.npy"),
        (["before.png", "after.png", "--settings", "nope.json"], "nope.json: No such file"),
        (["before.png", "after.png", "--save-settings", "text.png/s.json"], "s.json cannot be written"),
        (["before.png", "after.png", "--out", "text.png/deep"], "deep cannot be written: "),
        (["before.png", "after.png", "--spacing", "1", "1", "1"], "spacing is"),
        (["before.png", "text.jpg"], "not a JPG file"),
        (["before.png", "text.tif"], "not a TIFF file"),
        (["before.png", "text.xyz"], "text.xyz"),
        (["before.png", "cut.png"], "damaged"),
        (["before.png", "small.png"], "give images of one size"),
        (["stack.tif", "longer.tif"], "before has 5 frames and after has 6"),
        (["before.png", "after.png", "--spatial-ndim", "3"], "before has shape"),
        (["before.png", "after.png", "--out", "text.png"], "text.png"),
    ],
)
def test_bad_input_is_one_line_on_stderr(
    run: Run, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    folder = pair[0].parent
    monkeypatch.chdir(folder)
    for name in ("text.png", "text.jpg", "text.tif", "text.xyz"):
        Path(name).write_text("this is no image")
    Path("empty.png").touch()
    Path("zeros.npy").write_bytes(bytes(5000))
    Path("cut.png").write_bytes(pair[0].read_bytes()[:3000])
    iio.imwrite("small.png", BEFORE[:-1])
    tifffile.imwrite("stack.tif", np.zeros((5, *BEFORE.shape[:2]), np.uint8), photometric="minisblack")
    tifffile.imwrite("longer.tif", np.zeros((6, *BEFORE.shape[:2]), np.uint8), photometric="minisblack")
    before = sorted(folder.rglob("*"))
    assert_one_error(run(*arguments), words)
    assert sorted(folder.rglob("*")) == before


def test_pictures_are_written_whole_or_not_at_all(
    run: Run, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    run(pair[0], pair[0], "--out", folder)
    earlier = {path: path.read_bytes() for path in folder.iterdir()}
    write = Path.write_bytes

    def write_until_full(path: Path, content: bytes) -> int:
        if path.name == "mask.png":
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    assert_one_error(run(*pair, "--out", folder, "--force"), "No space left")
    assert {path: path.read_bytes() for path in folder.iterdir()} == earlier
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after.png", "before.png", "pictures"]


def test_a_folder_of_others_is_left_alone(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    assert run(*pair, "--out", folder)[0] == 1
    (folder / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert_one_error(run(*pair, "--out", folder, "--force"), "notes.txt", "another folder")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_report_says_all_there_is(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    _, printed, _ = run(*pair, "--json", "--out", tmp_path / "out")
    folder, expected = tmp_path / "out", compare(BEFORE, AFTER)
    report = json.loads((folder / "report.json").read_text())
    assert json.loads(printed) == report
    schema = json.loads((Path(__file__).parents[1] / "docs" / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report, schema)
    assert (report["different"], report["reasons"]) == (True, ["1 region"])
    assert report["score"] == expected.score
    assert report["settings"] == dataclasses.asdict(Settings())
    assert report["images"]["after"]["name"] == "after.png"
    assert report["images"]["after"]["sha256"] == hashlib.sha256(pair[1].read_bytes()).hexdigest()
    assert report["regions"][0]["area"] == expected.regions["area"][0]
    np.testing.assert_array_equal(tifffile.imread(folder / "labels.tif"), expected.labels)
    np.testing.assert_array_equal(tifffile.imread(folder / "difference.tif"), expected.difference)
    pd.testing.assert_frame_equal(pd.read_csv(folder / "regions.csv"), expected.regions, check_dtype=False, rtol=1e-14)
    # A stack has a list where a pair has a number
    for name, image in (("before", BEFORE), ("after", AFTER)):
        np.save(tmp_path / f"{name}.npy", np.stack([BEFORE, image]))
    _, printed, _ = run(tmp_path / "before.npy", tmp_path / "after.npy", "--json")
    jsonschema.validate(json.loads(printed), schema)


@pytest.mark.parametrize(
    ("limits", "code", "reason"),
    [
        (["--max-regions", "0"], 1, "1 region, more than 0"),
        (["--max-regions", "1"], 0, ""),
        (["--max-changed", "20%"], 0, ""),
        (["--max-changed", "0.2"], 0, ""),
        (["--max-changed", "0.1%"], 1, "changed, more than 0.1000%"),
        (["--max-regions", "1", "--max-changed", "0"], 1, "more than 0.0000%"),
        (["--min-score", "0.1"], 0, ""),
        (["--min-score", "0.85"], 1, "in a region, less than 0.85"),
    ],
)
def test_limits_decide(run: Run, pair: tuple[Path, Path], limits: list[str], code: int, reason: str) -> None:
    found, out, _ = run(*pair, *limits)
    assert found == code
    assert reason in out.splitlines()[-1]
    assert out.splitlines()[-1].startswith("different: " if code else "same, within the limits")


def test_of_a_stack_the_worst_frame_decides() -> None:
    frames = np.stack([BEFORE] * 9), np.stack([BEFORE] * 8 + [AFTER])
    found = compare(*frames)
    assert found.changed_fraction < 0.02
    assert judge(found, Limits(max_changed=0.05)) == [
        f"{found.frames[8].changed_fraction:.4%} changed, more than 5.0000%"
    ]
    assert judge(found, Limits(min_score=0.99))[0].startswith(f"score {found.score.min():.4f}")


def test_what_has_no_number_does_not_pass() -> None:
    alone = compare(BEFORE, BEFORE[:50], size="pad")
    assert np.isnan(alone.regions["difference_mean"]).all()
    assert "in a region" in judge(alone, Limits(min_score=0.1))[0]
    nothing = compare(np.full((20, 20), np.nan), np.ones((20, 20)))
    assert judge(nothing, Limits(min_score=0.1)) == ["score nan, less than 0.1"]
    assert judge(compare(BEFORE, BEFORE), Limits(0, 0.0, 1.0)) == []


def test_settings_are_saved_and_read_again(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    expected = run(*pair, *CLASSIC, "--save-settings", file)
    assert json.loads(file.read_text()) == dataclasses.asdict(Settings.classic())
    assert run(*pair, "--settings", file) == expected
    assert run(*pair, "--settings", file, "--threshold", "0.3")[1].splitlines()[3] == "threshold: 0.3 (number)"
    assert_one_error(run(*pair, "--save-settings", file), "there already", "--force")
    assert run(*pair, "--save-settings", file, "--force")[0] == 1
    run(*pair, *CLASSIC, "--out", tmp_path / "out")
    assert run(*pair, "--settings", tmp_path / "out" / "report.json") == expected
    for content, word in (("{", "no JSON"), ("[1]", "no settings"), ('{"sharpness": 1}', "no such setting")):
        file.write_text(content)
        assert_one_error(run(*pair, "--settings", file), word)


def test_what_is_known_is_ignored(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    mask = np.zeros(BEFORE.shape[:2], np.uint8)
    mask[15:45, 25:60] = 255
    iio.imwrite(tmp_path / "mask.png", mask)
    assert run(*pair, "--ignore", tmp_path / "mask.png")[0] == 0
    run(*pair, "--out", tmp_path / "out")
    assert run(*pair, "--ignore", tmp_path / "out" / "regions.csv")[0] == 0
    # A picture of a mask may be opaque all over, and frames have the boxes of a plane
    iio.imwrite(tmp_path / "opaque.png", np.dstack([mask, mask, mask, np.full_like(mask, 255)]))
    assert run(*pair, "--ignore", tmp_path / "opaque.png")[0] == 0
    for name, image in (("before", BEFORE), ("after", AFTER)):
        np.save(tmp_path / f"{name}.npy", np.stack([image[..., 0]] * 5))
    frames = tmp_path / "before.npy", tmp_path / "after.npy"
    assert run(*frames)[0] == 1
    assert run(*frames, "--ignore", tmp_path / "out" / "regions.csv")[0] == 0
    (tmp_path / "none.csv").write_text("a,b\r\n1,2\r\n")
    assert_one_error(run(*pair, "--ignore", tmp_path / "none.csv"), "has no boxes", "min_row")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "npy"])
def test_what_is_too_large_is_refused_before_it_is_decoded(
    run: Run, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"bomb.{suffix}"
    FORMATS.get(suffix, iio.imwrite)(path, np.zeros((400, 500, 3), np.uint8))
    monkeypatch.setitem(reading.READERS, f".{suffix}", lambda path: pytest.fail("decoded"))
    assert_one_error(run(path, path, "--max-pixels", "199999"), "has 200,000 pixels", "--max-pixels 200000")
    monkeypatch.undo()
    assert run(path, path, "--max-pixels", "200000")[0] == 0


def test_no_code_in_a_file_is_run(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}] * 9, object), allow_pickle=True)
    assert_one_error(run(tmp_path / "objects.npy", tmp_path / "objects.npy"), "objects.npy", "Python objects")


def test_volumes_have_a_spacing(run: Run, tmp_path: Path) -> None:
    before = np.random.default_rng(4).integers(90, 110, (9, 60, 70)).astype(np.uint8)
    after = before.copy()
    after[3:7, 20:40, 30:50] += 80
    for name, volume in (("before", before), ("after", after)):
        np.save(tmp_path / f"{name}.npy", volume)
    given = (tmp_path / "before.npy", tmp_path / "after.npy", "--spatial-ndim", 3, "--json")
    assert json.loads(run(*given, "--spacing", 2, 1, 1)[1])["resolved"]["window"] == [3, 7, 7]


def test_open_shows_the_result(run: Run, pair: tuple[Path, Path], monkeypatch: Any, make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer()
    monkeypatch.setattr("napari.Viewer", lambda: viewer)
    monkeypatch.setattr("napari.run", lambda: None)
    assert run(*pair, "--open")[0] == 1
    assert [layer.name for layer in viewer.layers] == [
        "before.png", "after.png", "diff map", "filled mask", "bounding boxes",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "word"),
    [(KeyboardInterrupt, "stopped"), (MemoryError, "memory"), (RuntimeError("no\nidea"), "RuntimeError: no idea")],
)
def test_ended_from_outside(
    run: Run,
    pair: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | type[BaseException],
    word: str,
) -> None:
    def end(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("napari_image_diff.files.compare", end)
    assert_one_error(run(*pair), word)


def test_opencv_keeps_its_log_level(run: Run, pair: tuple[Path, Path]) -> None:
    log = getattr(cv2.utils, "logging", cv2)

    level = log.getLogLevel()
    run(*pair)
    assert log.getLogLevel() == level
    # As where two threads read, and the second to begin is the last to end
    with ExitStack() as one, ExitStack() as other:
        one.enter_context(reading._silence)
        other.enter_context(reading._silence)
        one.close()
        assert log.getLogLevel() == reading.SILENT != level
    assert log.getLogLevel() == level


def test_report_of_a_stack_shows_the_frame_of_which_most_changed(run: Run, tmp_path: Path) -> None:
    before = np.stack([BEFORE[..., 0]] * 5)
    after = before.copy()
    after[1, 5:15, 5:15] = 250
    after[2, 20:50, 30:60] = 250
    files = [tmp_path / name for name in ("before.tif", "after.tif")]
    for file, stack in zip(files, (before, after), strict=True):
        tifffile.imwrite(file, stack, photometric="minisblack")
    assert run(*files, "--out", tmp_path / "out")[0] == 1
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == FILES_OUT
    whole = compare(before, after)
    np.testing.assert_array_equal(tifffile.imread(out / "labels.tif"), whole.labels)
    np.testing.assert_array_equal(tifffile.imread(out / "difference.tif"), whole.difference)
    assert len(json.loads((out / "report.json").read_bytes())["regions"]) == 2
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Frame 2 of 5, of which most changed: its regions are below, and all 2 in regions.csv." in page
    assert page.count('<tr data-box="') == 1
    mask = iio.imread(out / "mask.png")
    np.testing.assert_array_equal(mask[..., 1] > 0, whole.labels[2] > 0)


@pytest.mark.parametrize("stacked", [False, True])
def test_report_of_a_volume_shows_the_plane_of_which_most_changed(run: Run, tmp_path: Path, stacked: bool) -> None:
    before = np.stack([BEFORE[..., 0]] * 9)
    after = before.copy()
    after[2:5, 5:15, 5:15] = 250
    after[5:8, 20:40, 30:60] = 250
    after[6, 20:55, 30:60] = 250
    files = [tmp_path / name for name in ("before.npy", "after.npy")]
    for file, volume in zip(files, (before, after), strict=True):
        np.save(file, np.stack([before, volume]) if stacked else volume)
    assert run(*files, "--spatial-ndim", "3", "--out", tmp_path / "out")[0] == 1
    out = tmp_path / "out"
    labels = tifffile.imread(out / "labels.tif")
    assert labels.shape == ((2, 9, 60, 80) if stacked else (9, 60, 80))
    page = (out / "report.html").read_text(encoding="utf-8")
    note = "Frame 1 of 2, plane 6 of 9" if stacked else "Plane 6 of 9"
    assert f"{note}, of which most changed: its regions are below, and all 2 in regions.csv." in page
    assert page.count('<tr data-box="') == 1
    shown = labels[(1, 6) if stacked else 6]
    np.testing.assert_array_equal(iio.imread(out / "mask.png")[..., 1] > 0, shown > 0)
    np.testing.assert_array_equal(iio.imread(out / "after.png")[58, :, 0], after[6, 58])


def test_report_of_images_in_chunks_has_them_in_chunks(run: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("before.zarr", "after.zarr")]
    for file, image in zip(files, (BEFORE[..., 0], AFTER[..., 0]), strict=True):
        zarr.save_array(str(file), image)
    out = tmp_path / "out"
    assert run(*files, "--out", out)[0] == 1
    assert sorted(path.name for path in out.iterdir()) == ["regions.csv", "report.json", "result.zarr"]
    assert is_complete(out / "result.zarr")
    whole = compare(BEFORE[..., 0], AFTER[..., 0])
    np.testing.assert_array_equal(zarr.open(str(out / "result.zarr"))["labels/regions/0"][:], whole.labels)
    assert_one_error(run(*files, "--out", out), "--force")
    assert run(*files, "--out", out, "--force")[0] == 1


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    folders = tmp_path / "before", tmp_path / "after"
    before = np.random.default_rng(0).integers(0, 200, (300, 300, 3), dtype=np.uint8)
    after = before.copy()
    after[50:90, 60:120] = 255
    for number in range(3):
        for folder, image in zip(folders, (before, after), strict=True):
            folder.mkdir(exist_ok=True)
            iio.imwrite(folder / f"{number}.png", image)
    pair = [folder / "0.png" for folder in folders]
    done = on_small_disk(disk, "256k", "-m", "napari_image_diff", *pair, "--out", disk / "out")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"napari-image-diff: error: .*out cannot be written: No space left .*; give .*\n", done.stderr)
    done = on_small_disk(disk, "256k", "-m", "napari_image_diff", *folders, "--out", disk / "out")
    assert done.returncode == 2
    *lines, counts, left = done.stdout.splitlines()
    assert (len(lines), counts, left) == (3, "3 pairs: 3 error", "out")
    assert all("No space left" in line for line in lines)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "npy", "bin"])
def test_half_a_gigabyte_of_zeros_is_no_image(run: Run, pair: tuple[Path, Path], tmp_path: Path, suffix: str) -> None:
    zeros = tmp_path / f"zeros.{suffix}"
    with zeros.open("wb") as file:
        file.truncate(500_000_000)
    assert_one_error(run(pair[0], zeros), f"zeros.{suffix}")
    assert_one_error(run(pair[0], pair[1], "--ignore", zeros), f"zeros.{suffix}")


def test_presets(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(*pair, "--preset", "classic") == run(*pair, *CLASSIC)
    assert run(*pair, "--preset", "classic", "--threshold", "auto", "--json") != run(*pair, "--json")
    run(*pair, "--preset", "wang2004", "--save-settings", tmp_path / "s.json")
    assert json.loads((tmp_path / "s.json").read_bytes()) == dataclasses.asdict(Settings.wang2004())
    # What is in the file goes before the preset
    assert run(*pair, "--preset", "classic", "--settings", tmp_path / "s.json") == run(*pair, "--preset", "wang2004")


@pytest.mark.parametrize(
    ("rows", "same"),
    [
        ("frame,min_row,min_col,max_row,max_col\n1,0,0,60,80\n", True),
        ("frame,min_row,min_col,max_row,max_col\n0,0,0,60,80\n", False),
        ("frame,min_row,min_col,max_row,max_col\n-4,0,0,60,80\n9,0,0,60,80\n", False),
        ("min_row,min_col,max_row,max_col\n-9,-9,400,400\n", None),
        ("min_row,min_col,max_row,max_col\n1e300,0,5,5\n", None),
        ("min_row,min_col,max_row\n0,0,5\n", None),
    ],
)
def test_boxes_of_frames(run: Run, tmp_path: Path, rows: str, same: bool | None) -> None:
    before = np.stack([BEFORE[..., 0]] * 5)
    after = before.copy()
    after[1, 20:40, 20:40] = 250
    files = [tmp_path / name for name in ("before.npy", "after.npy")]
    for file, stack in zip(files, (before, after), strict=True):
        np.save(file, stack)
    (tmp_path / "known.csv").write_text(rows)
    result = run(*files, "--ignore", tmp_path / "known.csv")
    if same is None:
        assert_one_error(result)
    else:
        assert result[0] == (0 if same else 1)


def write_tiff(path: Path, image: np.ndarray, **how: Any) -> Path:
    tifffile.imwrite(path, image, **how)
    return path


def test_lzw_keeps_depth_and_pages(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.tif"), deep[..., ::-1])  # LZW, if nothing else is said
    np.testing.assert_array_equal(reading.read_image(tmp_path / "deep.tif"), deep)
    pages = [np.full((40, 50), level, np.uint8) for level in (10, 200)]
    cv2.imwritemulti(str(tmp_path / "pages.tif"), pages)
    np.testing.assert_array_equal(reading.read_image(tmp_path / "pages.tif"), pages)


def test_colour_models_of_tiff(tmp_path: Path) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    white = write_tiff(tmp_path / "white.tif", ~gray, photometric="miniswhite")
    np.testing.assert_array_equal(reading.read_image(white), gray)
    colours = np.random.default_rng(1).integers(0, 65536, (3, 256), dtype=np.uint16)
    palette = write_tiff(tmp_path / "palette.tif", gray, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(reading.read_image(palette), np.moveaxis(colours[:, gray], 0, -1))
    four = np.dstack([gray] * 4)
    cmyk = write_tiff(tmp_path / "cmyk.tif", four, photometric="separated")
    with pytest.raises(OSError, match="colour model is SEPARATED"):
        reading.read_image(cmyk)
    other = write_tiff(tmp_path / "other.tif", four, photometric="rgb", extrasamples=["unspecified"])
    with pytest.raises(OSError, match="fourth channel is not alpha"):
        reading.read_image(other)
    alpha = write_tiff(tmp_path / "alpha.tif", four, photometric="rgb", extrasamples=["unassalpha"])
    np.testing.assert_array_equal(reading.read_image(alpha), four)


def test_what_comes_to_the_place_meanwhile_stays(
    run: Run, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def write_thesis(*args: Any, **kwargs: Any) -> Any:
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
        return compare(*args, **kwargs)

    monkeypatch.setattr("napari_image_diff.files.compare", write_thesis)
    assert_one_error(run(*pair, "--out", out), "out cannot be written")
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes on Windows are others")
def test_a_pipe_is_no_image(run: Run, pair: tuple[Path, Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert_one_error(run(pair[0], tmp_path / "pipe.png"), "is no file")


def test_numba_is_loaded_without_linear_algebra_and_has_it_still(pair: tuple[Path, Path]) -> None:
    code = f"""
import gc, sys
from napari_image_diff.cli import main
assert main({list(map(str, pair))!r}) == 1
assert not {{"scipy.linalg", "pandas", "dask", "jinja2", "tifffile"}} & sys.modules.keys()
assert gc.isenabled()
import numba, numpy
multiply = numba.njit(lambda one, other: numpy.dot(one, other))
assert multiply(numpy.full((2, 2), 3.0), numpy.eye(2)).sum() == 12
assert "scipy.linalg" in sys.modules
"""
    done = run_without((), code)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_to_do_is_said_as_options(run: Run, tmp_path: Path) -> None:
    for name, image in (("before", BEFORE), ("after", AFTER[:50]), ("frames", np.zeros((3, 40, 50), np.uint8))):
        np.save(tmp_path / f"{name}.npy", image)
    pair = [tmp_path / f"{name}.npy" for name in ("before", "after")]
    assert_one_error(run(*pair), "--size overlap")
    assert_one_error(run(tmp_path / "frames.npy", tmp_path / "frames.npy"), "--channels none")
    for folder, file in zip(("a", "b"), pair, strict=True):
        (tmp_path / folder).mkdir()
        file.rename(tmp_path / folder / "x.npy")
    assert "--size overlap" in run(tmp_path / "a", tmp_path / "b")[1]
