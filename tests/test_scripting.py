"""A comparison as Python: what is copied is run as a person pastes it, and gives the same result to the bit."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from made import scene
from napari.components import ViewerModel
from napari.layers import Image
from napari.layers._source import layer_source
from without import QT, run_without

from napari_image_diff import Comparison, Settings, add_comparison, compare
from napari_image_diff.placing import masks_compared
from napari_image_diff.scripting import write_for_console, write_script

NAMES = ["plain", "it's", 'two "words"', "back\\slash\\n", "line\nbreak", "{curly} %s", "größe 測", "# note", "'''", ""]


def make_pair(leading: tuple[int, ...] = (), *, colour: bool = False) -> tuple[Any, Any]:
    """Return two pictures with noise of their own, of which the second has two squares; of stacks all frames differ."""
    rng = np.random.default_rng(1)
    picture = scene(3, 128, colour=colour)
    before, after = (picture + rng.normal(0, 2, (*leading, *picture.shape)) for _ in range(2))
    after[..., 20:45, 30:52, *[slice(None)] * colour] += 60
    after[..., 80:90, 90:101, *[slice(None)] * colour] -= 50
    return tuple(np.clip(each, 0, 255).astype(np.uint8) for each in (before, after))


def add_pair(pair: tuple[Any, Any], *places: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return a viewer of two layers, and the layers."""
    viewer = ViewerModel()
    where = [*places, {}, {}][:2]
    layers = [viewer.add_image(data, name=name, **each) for name, data, each in zip("ab", pair, where, strict=True)]
    return viewer, *layers


def paste(code: str, viewer: Any) -> Any:
    """Run lines in napari's console."""
    console = {"viewer": viewer}
    exec(compile(code, "console", "exec"), console)
    return console.get("comparison")


def prepare(script: str, viewer: Any) -> None:
    """Run the lines for the console that a script begins with."""
    lines = [line.removeprefix("#").strip() for line in script.splitlines() if line.startswith("#     ")]
    paste("\n".join(lines), viewer)


def run_script(script: str, viewer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Comparison:
    """Save what the script asks for, and run it."""
    monkeypatch.chdir(folder)
    prepare(script, viewer)
    file = folder / "script.py"
    file.write_text(script, encoding="utf-8")
    found: Comparison = runpy.run_path(str(file))["comparison"]
    return found


def hold(found: Comparison, expected: Comparison) -> None:
    """Hold a result against another one: same labels to the bit, same table, same settings but for where colour is."""
    assert len(expected.regions)
    assert found.labels.dtype == expected.labels.dtype
    np.testing.assert_array_equal(np.asarray(found.labels), np.asarray(expected.labels))
    pd.testing.assert_frame_equal(found.regions, expected.regions, check_exact=True)
    np.testing.assert_array_equal(found.score, expected.score)
    np.testing.assert_array_equal(np.asarray(found.difference), np.asarray(expected.difference))
    assert found.settings == expected.settings
    assert found.resolved["pixels_not_valid"] == expected.resolved["pixels_not_valid"]


COARSE = {"scale": (2.3, 2.3), "units": "um"}
CASES: dict[str, Any] = {
    "plain": ((), (), {}, {}),
    "preset": ((), (), {"settings": Settings.classic(min_area=20)}, {}),
    "numbers": ((), (), {"threshold": 0.3, "align": "none", "win_size": 9}, {}),
    "resampled": ((), ({}, {"translate": (4.5, 3.25), "rotate": 1.0}), {}, {}),
    "covered, with larger pixels": ((), ({"translate": (30, 30)}, {"scale": (1.5, 1.5)}), {"min_area": 30}, {}),
    "larger pixels": ((), (COARSE, {"scale": (5e3, 5e3), "translate": (4e4, 1e4), "units": "nm"}), {}, {}),
    "by index": ((), ({}, {"translate": (4.5, 3.25)}), {"by_index": True}, {}),
    "stack": ((3,), (), {}, {}),
    "named axes": ((3,), ({"axis_labels": ("time", "y", "x")},) * 2, {}, {}),
    "two axes": ((2, 2), (), {"frame": 1}, {}),
    "frame": ((4,), (), {"frame": 1}, {}),
    "from the end": ((4,), (), {"frame": -1}, {}),
    "previous": ((3,), (), {"frame": "previous"}, {}),
    "frame that lies elsewhere": ((3,), ({}, {"translate": (0, 2.5, 0)}), {"frame": 2}, {}),
    "frames in time": ((3,), ({}, {"translate": (1, 2.5, 0)}), {"align": "none"}, {}),
    "volume": ((8,), ({"scale": (3, 1, 1)},) * 2, {"spatial_ndim": 3, "min_area": 5}, {}),
    "volumes that lie elsewhere": ((8,), ({}, {"translate": (1, 2.5, 0)}), {"spatial_ndim": 3}, {}),
    "colour": ((), (), {}, {"colour": True}),
    "colour, covered, with larger pixels": ((), ({}, {"scale": (1.7, 1.7)}), {}, {"colour": True}),
    "colour in stacks": ((2,), ({}, {"translate": (0, 2.5, 1)}), {"shared_threshold": True}, {"colour": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_both_give_the_same_result(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leading, places, asked, kind = CASES[case]
    viewer, before, after = add_pair(make_pair(leading, **kind), *places)
    expected = add_comparison(viewer, before, after, **asked)
    frame = asked.get("frame")
    script = write_script(expected, before, after, frame=frame)
    assert "viewer" not in {name.id for name in ast.walk(ast.parse(script)) if isinstance(name, ast.Name)}
    hold(paste(write_for_console(expected, before, after, frame=frame), viewer), expected)
    hold(run_script(script, viewer, tmp_path, monkeypatch), expected)
    overlay = expected.resolved.get("overlay")
    assert ("resample(" in script) == (overlay is not None and overlay["way"] == "resampled")
    assert ("match_resolution(" in script) == ("larger" in case)
    assert ("overlap=" in script) == ("resample(" in script and "covered" not in case)


def test_code_is_short_where_nothing_was_set() -> None:
    viewer, before, after = add_pair(make_pair())
    found = add_comparison(viewer, before, after)
    assert write_for_console(found, before, after) == (
        "from napari_image_diff import add_comparison\n\n"
        "comparison = add_comparison(viewer, viewer.layers['a'], viewer.layers['b'])\ncomparison.summary\n"
    )
    found = add_comparison(viewer, before, after, Settings.wang2004(sensitivity=2))
    assert "Settings.wang2004(sensitivity=2.0)" in write_for_console(found, before, after)
    found = add_comparison(viewer, before, after, sensitivity=2)
    assert "viewer.layers['b'], sensitivity=2.0)" in write_for_console(found, before, after)


def test_a_frame_against_all_of_one_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, before, _ = add_pair((np.stack(make_pair()), np.zeros((8, 8), np.uint8)))
    expected = add_comparison(viewer, before, before, frame=0)
    hold(paste(write_for_console(expected, before, before, frame=0), viewer), expected)
    script = write_script(expected, before, before, frame=0)
    assert script.count("np.load") == 1
    hold(run_script(script, viewer, tmp_path, monkeypatch), expected)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_valid_python(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, before, after = add_pair(make_pair())
    mask = viewer.add_labels(np.eye(128, dtype=np.uint8), name="mask")
    mask.name = before.name = name
    expected = add_comparison(viewer, before, after, ignore=mask)
    console = write_for_console(expected, before, after, masks={"ignore": mask})
    assert before.name != mask.name
    hold(paste(console, viewer), expected)
    hold(
        run_script(write_script(expected, before, after, masks={"ignore": mask}), viewer, tmp_path, monkeypatch),
        expected,
    )


@pytest.mark.parametrize("frame", [None, 1, "previous"])
@pytest.mark.parametrize("role", ["inside", "ignore"])
@pytest.mark.parametrize("leading", [(), (3,)])
def test_masks(role: str, leading: Any, frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, before, after = add_pair(make_pair((3,)))
    drawn = np.zeros((*leading, 128, 128), np.uint8)
    drawn[..., :70, :] = 1
    drawn[(0,) * len(leading)][:28, :60] = 0
    mask = viewer.add_labels(drawn, name="mask", translate=(0,) * len(leading) + (2, 3))
    expected = add_comparison(viewer, before, after, frame=frame, **{role: mask})
    masks = masks_compared(viewer, before, after)
    assert masks == {role: mask}
    hold(paste(write_for_console(expected, before, after, frame=frame, masks=masks), viewer), expected)
    script = write_script(expected, before, after, frame=frame, masks=masks)
    hold(run_script(script, viewer, tmp_path, monkeypatch), expected)


def test_a_mask_that_is_an_array_or_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, before, after = add_pair(make_pair())
    ignore = np.zeros((128, 128), bool)
    ignore[:64] = True
    expected = add_comparison(viewer, before, after, ignore=ignore)
    masks = masks_compared(viewer, before, after)
    assert masks == {"ignore": None}
    code = write_for_console(expected, before, after, masks=masks)
    assert "# ignore is the array that was given" in code
    script = write_script(expected, before, after, masks=masks)
    np.save(tmp_path / "ignore.npy", ignore)
    for name, layer in ("before", before), ("after", after):
        np.save(tmp_path / f"{name}.npy", layer.data)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "script.py"
    file.write_text(script)
    hold(runpy.run_path(str(file))["comparison"], expected)
    mask = viewer.add_labels(ignore.astype(int), name="mask")
    add_comparison(viewer, before, after, inside=mask)
    viewer.layers.remove(mask)
    assert masks_compared(viewer, before, after) == {"inside": None}


@pytest.mark.parametrize(
    "asked",
    [
        {"sensitivity": 2.37},
        {"min_area": 100.0},
        {"threshold": 0.123},
        {"threshold": "otsu"},
        {"threshold": "otsu", "min_area": 12.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("leading", [(), (3,)])
def test_a_later_cut_is_one_call(asked: Mapping[str, Any], colour: bool, leading: Any) -> None:
    pair = make_pair(leading, colour=colour)
    viewer, before, after = add_pair(pair)
    for start in Settings(), Settings.classic():
        first = add_comparison(viewer, before, after, start)
        wanted = dict(asked) if start == Settings() else {"threshold": "auto", "sensitivity": 1.5}
        cut = first.rethreshold(**wanted)
        hold(compare(*pair, cut.settings), cut)
        hold(paste(write_for_console(cut, before, after), viewer), cut)


def test_a_script_runs_where_there_is_no_napari(tmp_path: Path) -> None:
    pair = make_pair()
    layers = []
    for name, picture in zip(("before", "after"), pair, strict=True):
        path = tmp_path / f"{name}'s.png"
        iio.imwrite(path, picture)
        with layer_source(path=str(path)):
            layers.append(Image(picture, name=name, translate=(0, 0) if name == "before" else (2.5, 1)))
    viewer = ViewerModel()
    for layer in layers:
        viewer.add_layer(layer)
    expected = add_comparison(viewer, *layers, sensitivity=1.5)
    script = write_script(expected, *layers)
    assert "np.load" not in script
    assert "console" not in script
    saving = f"\nimport numpy\nnumpy.save({str(tmp_path / 'labels.npy')!r}, comparison.labels)\n"
    done = run_without({"qtpy", "superqt", "magicgui", "napari", "npe2", *QT}, script + saving)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(expected.summary.partition(", undone")[0])
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected.labels)
    # It is edited: the file has no longer what was compared
    layers[1].data = layers[1].data // 2
    script = write_script(add_comparison(viewer, *layers), *layers)
    assert "before = read_image(" in script
    assert 'after = np.load("after.npy")' in script
