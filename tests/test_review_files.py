"""A review in a file: what comes back, what is refused, and how other images are told from the same ones."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import dask.array as da
import jsonschema
import numpy as np
import pytest
from calls import on_small_disk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_image_diff import Settings, compare, review_files
from napari_image_diff.files import compare_files
from napari_image_diff.records import to_csv
from napari_image_diff.report import make_report
from napari_image_diff.review import Decision, Review, decide, reviewed
from napari_image_diff.review_files import Saved, describe_image, describe_mismatch, read_review, write_review
from napari_image_diff.verdicts import REAL

Array = NDArray[Any]

SCHEMA = json.loads(Path(__file__).parents[1].joinpath("docs", "review.schema.json").read_bytes())

BEFORE = np.random.default_rng(2).integers(90, 110, (60, 80, 3), dtype=np.uint8)
AFTER = BEFORE.copy()
AFTER[10:24, 12:30] = AFTER[30:50, 50:62] = 250

NOTES = ['=HYPERLINK("http://x")', "one\ntwo\r\nthree", 'says "no", twice', "ü ☂ \U0001f600 \u202e", "\ud800", "\t", ""]


def save(place: Path, review: Review | None = None, **changes: Any) -> Saved:
    found = compare(BEFORE, AFTER, **changes)
    if review is None:
        review = decide((), found, 1, verdict=REAL, note="a crack")
    images = {"before": describe_image(BEFORE, "b"), "after": describe_image(AFTER, "a")}
    write_review(place, found, review, images)
    return read_review(place)


def same(one: Review, other: Review) -> bool:
    plain = [[(each.frame, each.runs.tolist(), each.verdict, each.note) for each in review] for review in (one, other)]
    return plain[0] == plain[1]


def test_a_review_comes_back_as_it_was(tmp_path: Path) -> None:
    found = compare(BEFORE, AFTER, sensitivity=1.5)
    review: Review = ()
    for label, note in enumerate(NOTES, 1):
        review = (*review, *decide((), found, 1 + label % 2, verdict=REAL, note=note))
    saved = save(tmp_path / "r.json", review, sensitivity=1.5)
    assert same(saved.review, review)
    assert all(each.runs.dtype == np.int64 for each in saved.review)
    assert saved.settings == Settings(sensitivity=1.5)
    assert [row["verdict"] for row in saved.record["regions"]] == ["real", "real"]
    assert saved.record["counts"] == {"open": 0, "real": 2, "not real": 0}
    assert saved.record["score"] == found.score
    table = reviewed(found, saved.review).regions
    assert table["note"].tolist() == [row["note"] for row in saved.record["regions"]]
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(json.loads((tmp_path / "r.json").read_bytes()), SCHEMA)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("ndim", [2, 3])
def test_stacks_and_volumes_come_back_too(tmp_path: Path, ndim: int, chunked: bool) -> None:
    images: list[Any] = [np.stack([image[..., 0]] * 8) for image in (BEFORE, AFTER)]
    images[1][5:] = images[0][5:]
    if chunked:
        images = [da.from_array(image, chunks=(2, 30, 30)) for image in images]
    found = compare(*images, spatial_ndim=ndim)
    review = decide((), found, found.regions["label"], verdict="not real")
    described = {"before": describe_image(images[0], "b"), "after": describe_image(images[1], "a")}
    write_review(tmp_path / "r.json", found, review, described)
    saved = read_review(tmp_path / "r.json")
    assert same(saved.review, review)
    assert {len(each.frame) for each in review} == {3 - ndim}
    assert reviewed(found, saved.review).regions["verdict"].tolist() == ["not real"] * len(found.regions)
    jsonschema.validate(saved.record, SCHEMA)


def test_a_person_can_read_it_line_by_line(tmp_path: Path) -> None:
    save(tmp_path / "r.json")
    lines = (tmp_path / "r.json").read_text(encoding="utf-8").splitlines()
    assert sum('"runs"' in line for line in lines) == 1
    assert sum('"area"' in line for line in lines) == 2


def test_the_record_of_a_report_has_verdicts_and_notes() -> None:
    schema = json.loads(Path(__file__).parents[1].joinpath("docs", "report.schema.json").read_bytes())
    found = compare(BEFORE, AFTER)
    images = {name: {"name": name, "bytes": None, "sha256": None} for name in ("before", "after")}
    plain = make_report(found, images)
    assert "verdict" not in plain["regions"][0]
    report = make_report(reviewed(found, decide((), found, 2, verdict=REAL, note="=1\n2")), images)
    assert [(row["verdict"], row["note"]) for row in report["regions"]] == [("open", ""), ("real", "=1\n2")]
    for each in plain, report:
        jsonschema.validate(each, schema)
    report["regions"][0]["verdict"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(report, schema)
    # What a person decided is no matter of limits
    assert plain["different"]
    assert report["reasons"] == plain["reasons"]


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    place = tmp_path / "r.json"
    save(place)
    earlier = place.read_bytes()
    save(place, ())
    assert place.read_bytes() != earlier
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    with pytest.raises(OSError, match=r"cannot be written"):
        save(tmp_path / "missing" / "r.json")
    code = (
        "import sys; from test_review_files import save, Path\n"
        "place = Path(sys.argv[1]); place.write_text('earlier')\n"
        "try: save(place)\n"
        "except OSError as error: print(error)\n"
        "print(place.read_text() == 'earlier')"
    )
    here = Path(__file__).parent
    disk = tmp_path / "disk"
    disk.mkdir()
    done = on_small_disk(disk, "4k", "-c", f"import sys; sys.path.insert(0, {str(here)!r})\n{code}", disk / "r.json")
    assert "make room" in done.stdout, done.stderr
    assert done.stdout.splitlines()[-2:] == ["True", "r.json"]


def test_notes_come_out_right_in_the_table(tmp_path: Path) -> None:
    found = compare(BEFORE, AFTER)
    for note in NOTES:
        told = reviewed(found, decide((), found, 1, note=note, verdict="not real"))
        table = to_csv(told.region_columns)
        row, other = csv.DictReader(io.StringIO(table.decode(), newline=""), strict=True)
        assert (row["verdict"], other["verdict"]) == ("not real", "open")
        cell = f"'{note}" if note.startswith(("=", "\t")) else note
        assert row["note"] == cell.encode(errors="backslashreplace").decode()
        assert other["note"] == ""
        # The table of what is known is one that --ignore takes
        (tmp_path / "regions.csv").write_bytes(table)
        for name, image in (("b.npy", BEFORE), ("a.npy", AFTER)):
            np.save(tmp_path / name, image)
        places = (tmp_path / "b.npy", tmp_path / "a.npy")
        images = dict(zip(("before", "after"), places, strict=True)) | {"ignore": tmp_path / "regions.csv"}
        again = compare_files(images, Settings()).comparison
        assert not again.changed


# --- files that are none ---


def without(*names: str) -> Any:
    def change(record: dict[str, Any]) -> None:
        place = record
        for name in names[:-1]:
            place = place[name]
        del place[names[-1]]

    return change


def put(value: Any, *names: Any) -> Any:
    def change(record: Any) -> None:
        for name in names[:-1]:
            record = record[name]
        record[names[-1]] = value

    return change


BROKEN = [
    (without("format"), "format"),
    (put("napari-image-diff report", "format"), "its format is not"),
    (put(True, "version"), "its version is True"),
    (put(0, "version"), "its version is 0"),
    (put("1", "version"), "its version is '1'"),
    (put(2, "version"), "newer version.*update"),
    (without("decisions"), "it has no decisions"),
    (put({}, "decisions"), "it has no decisions"),
    (put([1], "regions"), "a row of its regions"),
    (put([], "settings"), "it has no settings"),
    (put("never", "settings", "threshold"), "settings that cannot be used.*never"),
    (put(1, "settings", "new"), "no such setting: new"),
    (put(1, "settings", "a\nb\u202e"), r"no such setting: a\\nb\\u202e"),
    (put(10**400, "settings", "sensitivity"), "settings that cannot be used"),
    (without("images", "after"), "what after was"),
    (put(5, "images", "after", "name"), "what after was"),
    (put(["x"], "images", "before", "path"), "what before was"),
    (put([True], "images", "before", "pixels", "shape"), "what before was"),
    (put([-1], "images", "before", "pixels", "shape"), "what before was"),
    (put(None, "images", "before", "pixels"), "what before was"),
    (put(7, "decisions", 0), "decision 1 the frame"),
    (put([0.5], "decisions", 0, "frame"), "decision 1 the frame"),
    (put([2**31], "decisions", 0, "frame"), "decision 1 the frame"),
    (put("perhaps", "decisions", 0, "verdict"), "decision 1 the verdict"),
    (put(["real"], "decisions", 0, "verdict"), "decision 1 the verdict"),
    (put(None, "decisions", 0, "note"), "decision 1 the note"),
    (put("a" * 10_001, "decisions", 0, "note"), "decision 1 the note"),
]

RUNS: list[Any] = [
    None,
    [],
    {},
    "runs",
    [[]],
    [1, 2, 3],
    [[0, 1]],
    [[0, 1, 2], [0, 1]],
    [[0, 1, 2, 3, 4]],
    [[0, 2, 2]],
    [[0, 3, 2]],
    [[-1, 1, 2]],
    [[0, 1.5, 2]],
    [[0, "1", 2]],
    [[0, None, 2]],
    [[0, 1, 2**31]],
    [[2**63, 1, 2]],
    [[10**30, 1, 2]],
    [[True, False, True]],
    [[1, 1, 2], [0, 1, 2]],
    [[0, 1, 5], [0, 4, 7]],
    [[1, 0, 1, 2], [0, 5, 1, 2]],
    [[[0, 1, 2]]],
]


@pytest.mark.parametrize(
    ("change", "words"), BROKEN + [(put(runs, "decisions", 0, "runs"), "the runs") for runs in RUNS]
)
def test_what_is_no_review_is_one_error(tmp_path: Path, change: Any, words: str) -> None:
    place = tmp_path / "r.json"
    record = save(place).record
    change(record)
    place.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=words) as caught:
        read_review(place)
    assert str(caught.value).startswith(str(place))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x89PNG\r\n\x1a\n\x00",
        b"null",
        b"[]",
        b'"napari-image-diff review"',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"\xff\xfe\x00",
        b'{"format": NaN}',
        b'{"format": ' + b"9" * 5000 + b"}",
        b"cos\nsystem\n(S'echo'\ntR.",
    ],
)
def test_other_files_are_one_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    with pytest.raises(ValueError, match="is no review"):
        read_review(tmp_path / "r.json")


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_file_with_any_damage_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    place = tmp_path_factory.getbasetemp() / "damaged.json"
    if not place.exists():
        save(place)
        place.with_suffix(".whole").write_bytes(place.read_bytes())
    content = bytearray(place.with_suffix(".whole").read_bytes())
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 40)))
    content[begin:end] = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"null", b"-1", b"{}", b"1e999"])))
    place.write_bytes(content)
    try:
        saved = read_review(place)
    except ValueError:
        return
    reviewed(compare(BEFORE, AFTER), saved.review)
    describe_mismatch(saved.images, saved.images)


def test_places_that_are_no_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="missing"):
        read_review(tmp_path / "missing.json")
    with pytest.raises(OSError, match="is no file"):
        read_review(tmp_path)
    with pytest.raises(OSError, match="is no file"):
        read_review("/dev/zero")
    save(tmp_path / "r.json")
    monkeypatch.setattr(review_files, "LARGEST_FILE", 100)
    with pytest.raises(ValueError, match="bytes; reviews of 100 at most"):
        read_review(tmp_path / "r.json")


def test_pixels_that_no_image_has_are_read_without_filling_the_memory(tmp_path: Path) -> None:
    place = tmp_path / "r.json"
    record = save(place).record
    most = 2**31 - 1
    record["decisions"][0]["runs"] = [[0, 0, most], [most, 0, most]]
    place.write_text(json.dumps(record))
    review = read_review(place).review
    assert reviewed(compare(BEFORE, AFTER), review).regions["verdict"].tolist() == ["open", "open"]


# --- which images ---


def described(before: Any, after: Any, path: Path | None = None) -> dict[str, Any]:
    """Return what the two are known by, where `path` is the file of the second."""
    return {"before": describe_image(before, "before.tif"), "after": describe_image(after, "after.tif", path)}


def test_the_same_pixels_are_the_same_image(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", AFTER)
    there = described(BEFORE, AFTER)
    for other in (
        AFTER.copy(order="F"),
        np.ascontiguousarray(AFTER[::-1])[::-1],
        da.from_array(AFTER, chunks=(7, 80, 2)),
        np.load(tmp_path / "a.npy", mmap_mode="r"),
    ):
        assert describe_mismatch(there, described(BEFORE, other, tmp_path / "a.npy")) == ""
    wide = AFTER.astype(np.uint16)
    assert describe_mismatch(described(wide, wide), described(wide.astype(">u2"), wide)) == ""


def test_what_differs_is_said(tmp_path: Path) -> None:
    edited, smaller, wider = AFTER.copy(), AFTER[:50], AFTER.astype(np.uint16)
    edited[3, 4, 1] += 1
    for name, image in (("a.npy", AFTER), ("e.npy", edited)):
        np.save(tmp_path / name, image)
    there = described(BEFORE, AFTER, tmp_path / "a.npy")
    said = {
        "edited": describe_mismatch(there, described(BEFORE, edited)),
        "file": describe_mismatch(there, described(BEFORE, edited, tmp_path / "e.npy")),
        "smaller": describe_mismatch(there, described(BEFORE, smaller)),
        "wider": describe_mismatch(there, described(BEFORE, wider)),
        "swapped": describe_mismatch(there, described(AFTER, BEFORE)),
    }
    assert said["edited"] == (
        "The review is of other images: after, 'after.tif' there and 'after.tif' here, has other values."
    )
    assert "has other values and its file is another one" in said["file"]
    assert "was 60 x 80 x 3 and is 50 x 80 x 3" in said["smaller"]
    assert "was uint8 and is uint16" in said["wider"]
    assert "other way round" in said["swapped"]
    assert all("before," not in said[name] for name in ("edited", "file", "smaller", "wider"))


def test_a_file_is_told_by_its_hash_and_one_that_is_gone_does_not_matter(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", AFTER)
    told = describe_image(AFTER, "layer", tmp_path / "a.npy")
    assert (told["name"], told["path"]) == ("layer", str(tmp_path / "a.npy"))
    assert told["bytes"] == (tmp_path / "a.npy").stat().st_size
    gone = describe_image(AFTER, "layer", tmp_path / "gone.npy")
    assert (gone["bytes"], gone["sha256"]) == (None, None)


def test_large_images_are_known_by_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(review_files, "LARGEST_WHOLE", 1000)
    monkeypatch.setattr(review_files, "SIDE", 8)
    image = np.random.default_rng(0).integers(0, 255, (9, 100, 70, 3), dtype=np.uint8)
    whole = describe_image(image, "x")["pixels"]
    assert whole["sampled"]
    assert describe_image(da.from_array(image, chunks=(2, 30, 40, 3)), "x")["pixels"] == whole
    seen = 0
    for place in np.random.default_rng(1).integers(0, (9, 100, 70, 3), (200, 4)):
        changed = image.copy()
        changed[tuple(place)] ^= 1
        seen += describe_image(changed, "x")["pixels"]["sha256"] != whole["sha256"]
    # 3 of 9 frames, 32 of 100 rows, 32 of 70 columns
    assert 0 < seen < 40
    for corner in ((0, 0, 0, 0), (8, 99, 69, 2), (4, 0, 69, 1)):
        changed = image.copy()
        changed[corner] ^= 1
        assert describe_image(changed, "x")["pixels"]["sha256"] != whole["sha256"]


def test_a_chunk_that_cannot_be_read_is_told() -> None:
    def fail(block: Array) -> Array:
        raise RuntimeError("gone")

    image = da.from_array(BEFORE, chunks=20).map_blocks(fail, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    with pytest.raises(OSError, match=r"slide could not be read.*gone"):
        describe_image(image, "slide")


def test_two_decisions_are_kept_in_order(tmp_path: Path) -> None:
    runs = np.array([[12, 14, 20]])
    review = (Decision((), runs, "real", "1"), Decision((), runs, "not real", "2"))
    assert [each.note for each in save(tmp_path / "r.json", review).review] == ["1", "2"]
