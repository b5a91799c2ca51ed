"""Results on disk: what is written is what was found, others read it, and nothing is ever half there."""

from __future__ import annotations

import csv
import dataclasses
import errno
import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from calls import on_small_disk
from without import run_without

from napari_image_diff import Comparison, Settings, compare, is_complete, write_zarr, zarr_files
from napari_image_diff.review import decide, reviewed
from napari_image_diff.sources import open_source

ROOT = Path(__file__).parents[1]
MARK = "napari-image-diff"


def make_pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    before = np.random.default_rng(0).integers(100, 110, shape, dtype=np.uint8)
    after = before.copy()
    after[..., 20:40, 30:60] = 220
    after[..., -5:, -4:] = 0
    return before, after


def in_chunks(pair: tuple[np.ndarray, np.ndarray], *chunks: int) -> tuple[Any, ...]:
    return tuple(da.from_array(image, chunks=chunks) for image in pair)


def plane() -> Comparison:
    ignore = np.zeros((1130, 301), bool)
    ignore[300:420, 100:220] = True
    return compare(*make_pair(1130, 301), ignore=ignore)


MADE: dict[str, Callable[[], Comparison]] = {
    "plane": plane,
    "otsu": lambda: compare(*make_pair(150, 90), Settings.classic()),
    "stack": lambda: compare(*make_pair(2, 3, 60, 530), axes=("t", "z"), channels="none"),
    "volume": lambda: compare(*make_pair(9, 60, 530), spatial_ndim=3, spacing=(2, 0.5, 0.5), channels="none"),
    "in chunks": lambda: compare(*in_chunks(make_pair(530, 300), 300, 200)),
    "stack in chunks": lambda: compare(*in_chunks(make_pair(2, 90, 130), 1, 61, 130), channels="none"),
}


@pytest.fixture(scope="module")
def made() -> Callable[[str], Comparison]:
    found: dict[str, Comparison] = {}

    def make(name: str) -> Comparison:
        return found.setdefault(name, found.get(name) or MADE[name]())

    return make


@pytest.fixture
def small() -> Comparison:
    return compare(*make_pair(64, 80))


def read(folder: Path, place: str = ".") -> list[np.ndarray]:
    """Return all levels of an image, as its metadata names them."""
    group = zarr.open_group(folder / place, mode="r")
    return [group[each["path"]][...] for each in group.attrs["ome"]["multiscales"][0]["datasets"]]


def pool(array: np.ndarray, factor: int) -> np.ndarray:
    """Return the greatest value in each cell, slowly."""
    for axis in (-2, -1):
        array = np.fmax.reduceat(array, range(0, array.shape[axis], factor), axis=axis)
    return array


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- what is written ---


@pytest.mark.parametrize("name", MADE)
def test_what_is_read_is_what_was_found_to_the_bit(
    made: Callable[[str], Comparison], name: str, tmp_path: Path
) -> None:
    comparison = made(name)
    folder = write_zarr(comparison, tmp_path / "result.zarr")
    assert folder == tmp_path / "result.zarr"
    maps = {".": comparison.difference, "evidence": comparison.evidence, "labels/regions": comparison.labels}
    for place, found in maps.items():
        if found is None:
            assert not (folder / place).exists()
            continue
        levels = read(folder, place)
        whole = np.asarray(found)
        assert levels[0].dtype == whole.dtype
        assert levels[0].tobytes() == whole.tobytes()
        for number, level in enumerate(levels):
            np.testing.assert_array_equal(level, pool(whole, 2**number))
        assert max(levels[-1].shape[-2:]) <= zarr_files.COARSEST
        assert len(levels) == 1 or max(levels[-2].shape[-2:]) > zarr_files.COARSEST


def test_the_levels_are_those_that_the_pyramid_has(made: Callable[[str], Comparison], tmp_path: Path) -> None:
    comparison = made("in chunks")
    assert comparison.pyramid is not None
    folder = write_zarr(comparison, tmp_path / "result.zarr")
    for ours, theirs in zip(comparison.pyramid.difference, read(folder), strict=False):
        np.testing.assert_array_equal(np.asarray(ours), theirs)


def test_the_record_is_json_and_says_what_was_asked_and_found(
    made: Callable[[str], Comparison], tmp_path: Path
) -> None:
    comparison = dataclasses.replace(made("stack"), score=np.array([[0.5, np.nan]]))
    folder = write_zarr(comparison, tmp_path / "result.zarr")

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    found = json.loads((folder / "zarr.json").read_text(), parse_constant=refuse)["attributes"][MARK]
    assert found["score"] == [[0.5, None]]
    assert found["settings"] == dataclasses.asdict(comparison.settings)
    assert found["resolved"]["frames"] == {"t": 2, "z": 3}
    assert found["resolved"]["versions"] == comparison.resolved["versions"]
    assert (found["verdict"], found["summary"]) == (comparison.verdict, comparison.summary)


def test_tables_are_read_again(made: Callable[[str], Comparison], tmp_path: Path) -> None:
    comparison = made("stack")
    folder = write_zarr(comparison, tmp_path / "result.zarr")
    for name in ("regions", "forgiven"):
        table = getattr(comparison, name)
        # Python reads a number as it was written, which older pandas does only nearly
        found = pd.read_csv(folder / f"{name}.csv", dtype=str)
        pd.testing.assert_frame_equal(found.astype(table.dtypes), table, check_exact=True)


def test_text_of_a_table_is_no_formula_and_numbers_stay_numbers(small: Comparison, tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@a", "\tx", 'say "a, b"\nand c', "plain"]
    columns = {"=label": range(len(texts)), "shift": [-1.5] * len(texts), "reason": texts}
    table = {name: np.array(column) for name, column in columns.items()}
    folder = write_zarr(dataclasses.replace(small, forgiven_columns=table), tmp_path / "result.zarr")
    with open(folder / "forgiven.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["'=label", "shift", "reason"]
    assert {row[1] for row in rows} == {"-1.5"}
    assert [row[2] for row in rows] == ["'=1+1", "'+1", "'-1", "'@a", "'\tx", *texts[5:]]
    assert (folder / "forgiven.csv").read_bytes().count(b"\r\n") == len(texts) + 1


# --- one writer a chunk, once ---


def test_what_is_in_chunks_is_worked_out_once(
    small: Comparison, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(zarr_files, "CHUNK", 128)
    counted: Counter[tuple[int, ...]] = Counter()
    whole = np.arange(300 * 500, dtype=np.float32).reshape(300, 500)

    def work_out(block: np.ndarray, block_info: Any) -> np.ndarray:
        counted[tuple(block_info[0]["chunk-location"])] += 1
        return block

    lazy = da.from_array(whole, chunks=(64, 200)).map_blocks(work_out, meta=np.empty((0, 0), np.float32))
    labels = da.zeros(whole.shape, dtype=np.int32, chunks=(64, 200))
    comparison = dataclasses.replace(small, difference=lazy, measured=None, labels=labels)
    folder = write_zarr(comparison, tmp_path / "result.zarr")
    np.testing.assert_array_equal(read(folder)[0], whole)
    assert counted == dict.fromkeys(np.ndindex(5, 3), 1)


@pytest.mark.parametrize("chunks", [(4096, 4096), (100, 2500), ((7, 2000, 993), (1000, 1, 1999)), (2049, 3000)])
def test_no_two_write_to_one_chunk(chunks: Any) -> None:
    array = da.zeros((3, 3000, 3000), chunks=(1, *chunks))
    for level in zarr_files._plan_levels(open_source(array, "")):
        covered = np.zeros(level.shape, np.uint8)
        for plane, (top, left, bottom, right) in level.blocks:
            assert (top % level.chunks[-2], left % level.chunks[-1]) == (0, 0)
            assert bottom % level.chunks[-2] == 0 or bottom == level.shape[-2]
            assert right % level.chunks[-1] == 0 or right == level.shape[-1]
            covered[*plane, top:bottom, left:right] += 1
        assert (covered == 1).all()


def test_chunks_of_any_lengths_are_written_right(small: Comparison, tmp_path: Path) -> None:
    whole = np.random.default_rng(0).random((70, 90), np.float32)
    lazy = da.from_array(whole, chunks=((7, 40, 23), (50, 1, 39)))
    comparison = dataclasses.replace(small, difference=lazy, measured=lazy, labels=(whole * 9).astype(np.int32))
    folder = write_zarr(comparison, tmp_path / "result.zarr")
    assert read(folder)[0].tobytes() == read(folder, "evidence")[0].tobytes() == whole.tobytes()


# --- where it lies ---


def axes_of(folder: Path, place: str = ".") -> tuple[list[dict[str, Any]], list[Any], list[Any]]:
    """Return axes, and scale and translation of each level."""
    (image,) = zarr.open_group(folder / place, mode="r").attrs["ome"]["multiscales"]
    where = [each["coordinateTransformations"] for each in image["datasets"]]
    assert all([each["type"] for each in both] == ["scale", "translation"] for both in where)
    return image["axes"], [both[0]["scale"] for both in where], [both[1]["translation"] for both in where]


def test_axes_have_their_kinds_and_units(made: Callable[[str], Comparison], tmp_path: Path) -> None:
    units = ("second", None, "micrometer", "micrometer")
    folder = write_zarr(made("stack"), tmp_path / "result.zarr", scale=(60, 2, 0.5, 0.25), units=units)
    for place in (".", "evidence", "labels/regions"):
        axes, scales, _ = axes_of(folder, place)
        assert axes == [
            {"name": "t", "type": "time", "unit": "second"},
            {"name": "z", "type": "space"},
            {"name": "y", "type": "space", "unit": "micrometer"},
            {"name": "x", "type": "space", "unit": "micrometer"},
        ]
        assert scales == [[60, 2, 0.5, 0.25], [60, 2, 1, 0.5]]
        assert zarr.open_group(folder / place, mode="r")["0"].metadata.dimension_names == ("t", "z", "y", "x")


def test_a_pixel_of_a_coarser_level_lies_amid_those_that_it_stands_for(
    made: Callable[[str], Comparison], tmp_path: Path
) -> None:
    size, first = (0.5, 0.25), (10, -3)
    folder = write_zarr(made("plane"), tmp_path / "result.zarr", scale=size, translate=first)
    _, scales, translations = axes_of(folder)
    assert len(scales) == 3
    for level, (scale, translation) in enumerate(zip(scales, translations, strict=True)):
        pixels = np.arange(4 * 2**level).reshape(4, 2**level)
        for axis in range(2):
            places = first[axis] + size[axis] * pixels
            np.testing.assert_allclose(translation[axis] + scale[axis] * np.arange(4), places.mean(axis=1))


def test_volumes_have_the_spacing_with_which_they_were_compared(
    made: Callable[[str], Comparison], tmp_path: Path
) -> None:
    axes, scales, _ = axes_of(write_zarr(made("volume"), tmp_path / "a.zarr"))
    assert [axis["name"] for axis in axes] == ["z", "y", "x"]
    assert {axis["type"] for axis in axes} == {"space"}
    assert scales == [[2, 0.5, 0.5], [2, 1, 1]]
    _, scales, _ = axes_of(write_zarr(made("volume"), tmp_path / "b.zarr", scale=3))
    assert scales[0] == [3, 3, 3]


@pytest.mark.parametrize(
    ("names", "types"),
    [
        (("frame",), [None]),
        (("T",), ["time"]),
        (("c",), ["channel"]),
        (("z",), ["space"]),
        (("time", "place"), ["time", None]),
        (("place", "z"), [None, "space"]),
        (("t", "c", "z"), ["time", "channel", "space"]),
    ],
)
def test_what_axes_are_by_their_names(names: tuple[str, ...], types: list[str | None], tmp_path: Path) -> None:
    comparison = compare(*make_pair(*(2 for _ in names), 20, 30), channels="none")
    axes, _, _ = axes_of(write_zarr(comparison, tmp_path / "result.zarr", axes=names))
    assert [axis.get("type") for axis in axes] == [*types, "space", "space"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the axes are axis_0, axis_1, y, x; .* with axes="),
        ({"axes": ("z", "t")}, "in this order"),
        ({"axes": ("t", "x")}, "the axes are t, x, y, x"),
        ({"axes": ("t",)}, "of which there are 2"),
        ({"axes": "tz", "units": "um"}, "'um'; give the full name"),
        ({"axes": "tz", "scale": 0}, "scale is 0"),
        ({"axes": "tz", "scale": (1, np.inf)}, "finite"),
        ({"axes": "tz", "translate": (1, np.nan)}, "finite"),
        ({"axes": "tz", "scale": (1, 1, 1, 1, 1)}, "scale has 5 values, and the comparison 4 axes"),
    ],
)
def test_what_ome_zarr_has_no_place_for(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    comparison = compare(*make_pair(2, 2, 20, 30), channels="none")
    with pytest.raises(ValueError, match=words):
        write_zarr(comparison, tmp_path / "result.zarr", **changes)
    assert not list(tmp_path.iterdir())


# --- what others make of it ---


@pytest.mark.skipif(
    importlib.util.find_spec("napari_ome_zarr") is None,
    reason="napari-ome-zarr is not installed: pip install napari-ome-zarr",
)
@pytest.mark.parametrize("name", ["stack", "in chunks"])
def test_napari_opens_it_where_the_layer_lay(made: Callable[[str], Comparison], name: str, tmp_path: Path) -> None:
    import npe2
    from napari.components import ViewerModel
    from napari.layers import Image

    comparison = made(name)
    ndim = comparison.difference.ndim
    units = ("second", "pixel", "um", "um")[-ndim:]
    # napari-ome-zarr 0.10 leaves out where an image begins, its translation
    layer = Image(np.zeros((2,) * ndim), scale=(2, 3, 0.5, 0.25)[-ndim:], units=units)
    folder = write_zarr(comparison, tmp_path / "result.zarr", scale=layer.scale, units=layer.units)
    npe2.PluginManager.instance().discover()
    viewer = ViewerModel()
    viewer.open(folder, plugin="napari-ome-zarr")
    shown, labels = viewer.layers
    assert (type(shown).__name__, type(labels).__name__) == ("Image", "Labels")
    np.testing.assert_array_equal(shown.data[0], comparison.difference)
    np.testing.assert_array_equal(labels.data[0], comparison.labels)
    assert shown.contrast_limits == [0, 1]
    for each in (shown, labels):
        assert each.multiscale
        assert each.axis_labels == ("t", "z", "y", "x")[-ndim:]
        assert [str(unit) for unit in each.units] == [str(unit) for unit in layer.units]
        for place in (np.zeros(ndim), np.arange(ndim)):
            np.testing.assert_allclose(each.data_to_world(place), layer.data_to_world(place))


VALIDATE = """
import sys, warnings, zarr
from ome_zarr_models import open_ome_zarr
from ome_zarr_models.v05 import Image, ImageLabel, Labels
warnings.simplefilter("error")
for folder in sys.argv[1:]:
    group = zarr.open_group(folder, mode="r")
    assert isinstance(open_ome_zarr(group), Image), folder
    images = [Image.from_zarr(each) for each in (group, group.get("evidence")) if each is not None]
    assert images[0].labels.label_paths == ["regions"]
    Labels.from_zarr(group["labels"])
    assert ImageLabel.from_zarr(group["labels/regions"]).ome_attributes.image_label.source.image == "../../"
    print(*(image.ome_attributes.multiscales[0].name for image in images))
"""


@pytest.fixture(scope="module")
def validator() -> Path:
    """Return the Python of an environment that has ome-zarr-models, made the first time."""
    environment = ROOT / ".venv-validate"
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    installed = environment / ".installed"
    if installed.exists() and installed.stat().st_mtime > (ROOT / "pyproject.toml").stat().st_mtime:
        return python
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", environment], check=True, timeout=120)
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--retries", "1"]
    done = subprocess.run([*pip, "--group", "pyproject.toml:validate"], cwd=ROOT, capture_output=True, timeout=300)
    if done.returncode:
        pytest.skip(f"ome-zarr-models could not be installed: {done.stderr.decode().strip()[-300:]}")
    installed.touch()
    return python


def test_ome_zarr_models_finds_it_valid(made: Callable[[str], Comparison], validator: Path, tmp_path: Path) -> None:
    folders = [write_zarr(made(name), tmp_path / f"{name}.zarr", units="micrometer") for name in MADE]
    frames = compare(*make_pair(3, 40, 50), channels="none")
    folders += [write_zarr(frames, tmp_path / f"{name}.zarr", axes=(name,)) for name in ("frame", "c")]
    done = subprocess.run([validator, "-c", VALIDATE, *folders], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    with_evidence = [(folder / "evidence").exists() for folder in folders]
    assert done.stdout.splitlines() == ["difference evidence" if each else "difference" for each in with_evidence]


# --- whole or not at all ---


def test_what_is_there_already_is_kept_unless_overwritten(small: Comparison, tmp_path: Path) -> None:
    folder = write_zarr(small, tmp_path / "result.zarr", scale=2)
    before = files_of(folder)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_zarr(small, folder)
    assert files_of(folder) == before
    other = compare(*make_pair(30, 40), Settings.classic())
    write_zarr(other, folder, overwrite=True)
    assert [level.shape for level in read(folder)] == [(30, 40)]
    assert not (folder / "evidence").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_of_two_who_write_to_one_place_the_first_stays(small: Comparison, tmp_path: Path) -> None:
    folder = tmp_path / "result.zarr"

    def overtake(done: int, total: int) -> None:
        if done == total:
            write_zarr(small, folder, scale=2)

    with pytest.raises(OSError, match="result"):
        write_zarr(small, folder, progress=overtake)
    assert axes_of(folder)[1] == [[2, 2]]
    assert list(tmp_path.iterdir()) == [folder]


def test_only_a_result_is_overwritten(small: Comparison, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    zarr.create_group(folder, attributes={"of": "the user"})
    (tmp_path / "file").write_text("of the user")
    before = files_of(tmp_path)
    for place in (folder, tmp_path / "file", tmp_path):
        with pytest.raises(FileExistsError, match="no result of write_zarr"):
            write_zarr(small, place, overwrite=True)
    assert files_of(tmp_path) == before


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("at", ["first part", "last part", "table", "name"])
def test_a_failure_leaves_what_was_there(
    small: Comparison, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, at: str, overwrite: bool
) -> None:
    folder = tmp_path / "result.zarr"
    if overwrite:
        write_zarr(small, folder, scale=2)
    before = files_of(tmp_path)

    def stop(done: int, total: int) -> None:
        if (at, done) in (("first part", 1), ("last part", total)):
            raise StoppedError

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rename = Path.rename

    def rename_others(path: Path, target: Path) -> Path:
        return rename(path, target) if path.suffix != ".incomplete" else fail()  # type: ignore[return-value]

    if at == "table":
        monkeypatch.setattr(zarr_files.records, "to_csv", fail)
    elif at == "name":
        monkeypatch.setattr(Path, "rename", rename_others)
    with pytest.raises(StoppedError if "part" in at else OSError):
        write_zarr(small, folder, overwrite=overwrite, progress=stop)
    assert files_of(tmp_path) == before
    assert is_complete(folder) == overwrite


def test_progress_counts_every_part(made: Callable[[str], Comparison], tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    write_zarr(made("plane"), tmp_path / "result.zarr", progress=lambda *both: said.append(both))
    # two chunks, one and one of each of three maps
    assert said == [(done, 12) for done in range(1, 13)]


def test_a_place_that_cannot_be_written(small: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the user")
    with pytest.raises(OSError, match="file"):
        write_zarr(small, tmp_path / "file" / "result.zarr")
    assert files_of(tmp_path) == {"file": b"of the user"}


# Writes a result; where there is a second argument, it says when the first part is written and goes no further.
WRITE = """
import sys, threading
import numpy as np
from napari_image_diff import Settings, compare, write_zarr

image = np.random.default_rng(0).random((900, 1000))

def wait(done, total):
    if len(sys.argv) > 2:
        print("written", flush=True)
        threading.Event().wait()

write_zarr(compare(image, image[::-1], Settings.classic()), sys.argv[1], progress=wait)
"""


def test_killed_in_the_middle_it_is_known_as_incomplete(small: Comparison, tmp_path: Path) -> None:
    folder = tmp_path / "result.zarr"
    command = [sys.executable, "-c", WRITE, str(folder), "and wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.kill()
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("result.zarr.")
    assert left.suffix == ".incomplete"
    assert list(left.rglob("c/0/0"))
    assert not is_complete(left)
    assert not is_complete(folder)
    with pytest.raises(FileNotFoundError):
        zarr.open_group(left, mode="r")
    write_zarr(small, folder)
    assert is_complete(folder)


def test_a_full_disk_is_an_error_and_leaves_it_as_it_was(tmp_path: Path) -> None:
    done = on_small_disk(tmp_path, "1m", "-c", WRITE, tmp_path / "result.zarr")
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert done.stdout == ""


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"attributes": {"ome": {}}}'])
def test_what_is_no_complete_result(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "zarr.json").write_text(content)
    assert not is_complete(tmp_path)


def test_without_zarr_it_says_how_to_get_it(tmp_path: Path) -> None:
    code = """
from napari_image_diff import write_zarr
try:
    write_zarr(None, sys.argv[1])
except ImportError as error:
    print(error)
"""
    done = run_without({"zarr"}, code, tmp_path / "result.zarr")
    assert 'pip install "napari-image-diff[zarr]"' in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


def test_the_table_has_verdicts_and_notes(tmp_path: Path) -> None:
    comparison = MADE["in chunks"]()
    review = decide((), comparison, 1, verdict="not real", note='=1+1,\n"2"')
    place = write_zarr(reviewed(comparison, review), tmp_path / "r.zarr")
    table = pd.read_csv(place / "regions.csv", keep_default_na=False)
    assert table["verdict"].tolist() == ["not real", "open"]
    assert table["note"].tolist() == ['\'=1+1,\n"2"', ""]
    assert "verdict" not in pd.read_csv(write_zarr(comparison, tmp_path / "plain.zarr") / "regions.csv")
