"""Results as napari layers: what they hold, where they lie, and whose they are."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils._proxies import PublicOnlyProxy

from napari_image_diff import Comparison, Settings, add_comparison, boxes, compare, layers_of
from napari_image_diff.layers import explain_mismatch
from napari_image_diff.masks import add_to_mask, mask_of, pixels_of, pixels_of_all
from napari_image_diff.placing import comparison_of, is_ours, place, results_of
from napari_image_diff.review import decide, reviewed

SQUARES = [(10, 12), (40, 20), (44, 70)]


def make_images(squares: list[tuple[int, int]] = SQUARES) -> tuple[np.ndarray, np.ndarray]:
    before = np.random.default_rng(0).integers(100, 110, (80, 100), dtype=np.uint8)
    after = before.copy()
    for row, col in squares:
        after[row : row + 12, col : col + 16] = 220
    return before, after


@pytest.fixture
def viewer() -> ViewerModel:
    viewer = ViewerModel()
    for name, image in zip("ab", make_images(), strict=True):
        viewer.add_image(image, name=name)
    return viewer


def add(viewer: ViewerModel, **changes: Any) -> Comparison:
    return add_comparison(viewer, viewer.layers["a"], viewer.layers["b"], **changes)


def names(viewer: ViewerModel) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_three_layers_on_top(viewer: ViewerModel) -> None:
    comparison = add(viewer)
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes"]
    diff_map, mask, boxes = list(viewer.layers)[2:]
    assert isinstance(diff_map, Image)
    assert isinstance(mask, Labels)
    assert isinstance(boxes, Shapes)
    assert diff_map.data is comparison.difference
    assert (diff_map.colormap.name, diff_map.contrast_limits, diff_map.blending) == ("inferno", [0, 1], "additive")
    np.testing.assert_array_equal(mask.data, comparison.labels)
    assert mask.opacity == 0.4
    assert len(boxes.data) == len(comparison.regions) == 3
    assert set(boxes.shape_type) == {"rectangle"}
    assert not boxes.face_color[:, 3].any()


def test_boxes_begin_half_a_pixel_before_the_first_pixel_centre(viewer: ViewerModel) -> None:
    comparison = add(viewer)
    region = comparison.regions.iloc[0]
    box = viewer.layers["bounding boxes"].data[0]
    assert box.min(axis=0).tolist() == [region.min_row - 0.5, region.min_col - 0.5]
    assert box.max(axis=0).tolist() == [region.max_row - 0.5, region.max_col - 0.5]


@pytest.mark.parametrize(("side", "width"), [(100, 1), (2000, 4)])
def test_edges_grow_with_the_image(side: int, width: float) -> None:
    image = np.zeros((8, side), np.uint8)
    _, _, boxes = layers_of(compare(image, image), Image(image))
    assert boxes[1]["edge_width"] == width


def test_the_table_rides_along(viewer: ViewerModel) -> None:
    regions = add(viewer).regions
    features = viewer.layers["filled mask"].features
    assert features["index"].tolist() == [0, 1, 2, 3]
    assert features.drop(columns="index").iloc[0].isna().all()
    assert features["area"].tolist()[1:] == regions["area"].tolist()
    assert viewer.layers["bounding boxes"].features["label"].tolist() == [1, 2, 3]
    record = viewer.layers["diff map"].metadata["napari-image-diff"]
    assert record["settings"]["win_size"] == 7
    assert record["resolved"]["data_range"] == 255


def test_verdicts_and_notes_ride_along(viewer: ViewerModel) -> None:
    comparison = add(viewer)
    review = decide((), comparison, 2, verdict="not real", note="a hair")
    told = reviewed(comparison, decide(review, comparison, 3, verdict="real"))
    images = viewer.layers["a"], viewer.layers["b"]
    place(viewer, told, *images, layers_of(told, *images))
    mask, drawn = viewer.layers["filled mask"], viewer.layers["bounding boxes"]
    assert drawn.features[["verdict", "note"]].values.tolist() == [["open", ""], ["not real", "a hair"], ["real", ""]]
    assert mask.features["verdict"].tolist()[1:] == ["open", "not real", "real"]
    assert mask.features.drop(columns="index").iloc[0].isna().all()
    assert comparison_of(viewer, *images) is told
    notes = [mask.get_status((row + 5, col + 5), world=True)["coordinates"] for row, col in SQUARES]
    assert ["note" in status for status in notes] == [False, True, False]
    assert "verdict: not real, note: a hair" in notes[1]
    # They are ours, and go when the images are compared again
    assert add(viewer).regions.columns[-1] == "partner"
    assert viewer.layers["filled mask"] is mask
    assert "verdict" not in mask.features


def test_the_pixels_of_some_regions(viewer: ViewerModel) -> None:
    comparison = add(viewer)
    np.testing.assert_array_equal(
        pixels_of_all(comparison, [1, 3], viewer.layers["a"]), np.isin(comparison.labels, [1, 3])
    )
    assert not pixels_of_all(comparison, [], viewer.layers["a"]).any()
    for label in (1, 2, 3):
        np.testing.assert_array_equal(
            pixels_of_all(comparison, [label], viewer.layers["a"]), pixels_of(comparison, label, viewer.layers["a"])
        )


@pytest.mark.parametrize("chunked", [False, True])
def test_the_pixels_of_some_regions_of_stacks(chunked: bool) -> None:
    before, after = make_images()
    stacks: list[Any] = [np.stack([before] * 5), np.stack([before, after, before, after, before])]
    if chunked:
        stacks = [da.from_array(stack, chunks=(1, 50, 50)) for stack in stacks]
    comparison = compare(*stacks)
    labels = np.asarray(comparison.labels)
    assert labels.max() == 6
    expected = np.isin(labels, [2, 6])
    stack, alone = Image(stacks[0]), Image(before)
    np.testing.assert_array_equal(pixels_of_all(comparison, [2, 6], stack), expected)
    np.testing.assert_array_equal(pixels_of_all(comparison, [2, 6], alone), expected.any(0))
    np.testing.assert_array_equal(pixels_of_all(comparison, [2, 6], stack, "previous"), expected.any(0))
    longer = pixels_of_all(comparison, [2, 6], Image(np.zeros((7, 90, 95), np.uint8)))
    np.testing.assert_array_equal(longer[:5, :80], expected[:, :, :95])
    assert np.count_nonzero(longer) == np.count_nonzero(expected[:, :, :95])
    # Volumes have no frames here
    solid = compare(*[stack[:, 8:60] for stack in stacks], spatial_ndim=3, win_size=5)
    expected = np.asarray(solid.labels) == 1
    np.testing.assert_array_equal(pixels_of_all(solid, [1], Image(stacks[0][:, 8:60])), expected)
    several = Image(np.zeros((2, *expected.shape), np.uint8))
    np.testing.assert_array_equal(pixels_of_all(solid, [1], several, 1), np.stack([expected] * 2))


def test_the_status_bar_tells_of_regions_and_not_of_the_background(viewer: ViewerModel) -> None:
    regions = add(viewer).regions
    mask = viewer.layers["filled mask"]
    row, col = regions.loc[1, ["centroid_row", "centroid_col"]]
    assert f"area: {regions.loc[1, 'area']:g}" in mask.get_status((row, col))["coordinates"]
    assert "area" not in mask.get_status((0, 0))["coordinates"]


PLACES: list[dict[str, Any]] = [
    {"scale": (0.5, 2), "translate": (7, -3), "units": ("um", "um"), "axis_labels": ("down", "right")},
    {"rotate": 30, "shear": [0.2], "scale": (2, 3)},
    {"affine": [[1, 0.1, 5], [0.2, 2, 6], [0, 0, 1]], "translate": (1, 2)},
]


@pytest.mark.parametrize("where", PLACES)
def test_results_lie_where_before_lies(viewer: ViewerModel, where: dict[str, Any]) -> None:
    before = viewer.add_image(make_images()[0], name="placed", **where)
    add_comparison(viewer, before, viewer.layers["b"])
    for layer in results_of(viewer, before, viewer.layers["b"]).values():
        np.testing.assert_allclose(layer.data_to_world((3, 4)), before.data_to_world((3, 4)))
        assert layer.units == before.units
        assert layer.axis_labels == before.axis_labels


@pytest.mark.parametrize("where", PLACES)
def test_results_follow_when_before_has_moved(viewer: ViewerModel, where: dict[str, Any]) -> None:
    add(viewer)
    for name, value in where.items():
        setattr(viewer.layers["a"], name, value)
    add(viewer)
    assert len(viewer.layers) == 5
    for layer in list(viewer.layers)[2:]:
        np.testing.assert_allclose(layer.data_to_world((3, 4)), viewer.layers["a"].data_to_world((3, 4)))
        assert layer.units == viewer.layers["a"].units


def test_a_second_run_updates_in_place(viewer: ViewerModel) -> None:
    add(viewer)
    layers = list(viewer.layers)
    viewer.layers["diff map"].colormap = "gray"
    viewer.layers["filled mask"].opacity = 0.9
    viewer.layers["bounding boxes"].edge_color = "red"
    viewer.layers["bounding boxes"].name = "renamed"
    viewer.layers["b"].data = make_images([*SQUARES, (10, 60), (64, 6)])[1]
    comparison = add(viewer)
    assert list(viewer.layers) == layers
    diff_map, mask, boxes = layers[2:]
    assert diff_map.data is comparison.difference
    np.testing.assert_array_equal(mask.data, comparison.labels)
    assert boxes.nshapes == len(boxes.features) == len(mask.features) - 1 == 5
    assert diff_map.colormap.name == "gray"
    assert mask.opacity == 0.9
    np.testing.assert_array_equal(boxes.edge_color, np.tile([1, 0, 0, 1], (5, 1)))
    assert boxes.edge_width == [1] * 5


def test_regions_may_go_and_come_back(viewer: ViewerModel) -> None:
    for threshold, count in (1.99, 0), ("otsu", 3), (1.99, 0), ("otsu", 3):
        comparison = add(viewer, threshold=threshold)
        assert len(comparison.regions) == viewer.layers["bounding boxes"].nshapes == count
        assert len(viewer.layers["filled mask"].features) == count + 1
    assert len(viewer.layers) == 5


def test_another_pair_gets_layers_of_its_own(viewer: ViewerModel) -> None:
    add(viewer)
    first = list(viewer.layers)
    viewer.add_image(make_images()[1], name="c")
    add_comparison(viewer, viewer.layers["b"], viewer.layers["c"])
    add_comparison(viewer, viewer.layers["b"], viewer.layers["a"])
    assert len(viewer.layers) == 5 + 1 + 3 + 3
    assert list(viewer.layers)[:5] == first


def test_a_deleted_result_comes_back(viewer: ViewerModel) -> None:
    add(viewer)
    viewer.layers.remove("filled mask")
    add(viewer)
    assert sorted(names(viewer)) == ["a", "b", "bounding boxes", "diff map", "filled mask"]


def test_layers_of_the_user_are_never_taken(viewer: ViewerModel) -> None:
    theirs = viewer.add_image(np.ones((80, 100)), name="diff map")
    add(viewer)
    add(viewer)
    assert theirs.data.all()
    assert theirs.name == "diff map"
    assert len(viewer.layers) == 6


def paint(viewer: ViewerModel) -> Layer:
    viewer.layers["filled mask"].paint((70, 5), 9)
    return viewer.layers["filled mask"]


def fill(viewer: ViewerModel) -> Layer:
    viewer.layers["filled mask"].fill((0, 0), 9)
    return viewer.layers["filled mask"]


def draw(viewer: ViewerModel) -> Layer:
    viewer.layers["bounding boxes"].add_rectangles([[0, 0], [5, 5]])
    return viewer.layers["bounding boxes"]


def delete(viewer: ViewerModel) -> Layer:
    viewer.layers["bounding boxes"].selected_data = {0}
    viewer.layers["bounding boxes"].remove_selected()
    return viewer.layers["bounding boxes"]


def replace(viewer: ViewerModel) -> Layer:
    viewer.layers["diff map"].data = np.ones((80, 100), np.float32)
    return viewer.layers["diff map"]


@pytest.mark.parametrize("edit", [paint, fill, draw, delete, replace])
def test_an_edited_layer_is_the_users(viewer: ViewerModel, edit: Any) -> None:
    add(viewer)
    edited = edit(viewer)
    kept = deepcopy(edited.data)
    assert not is_ours(edited)
    add(viewer)
    assert len(viewer.layers) == 6
    assert edited in viewer.layers
    for was, now in zip(kept, edited.data, strict=True):
        np.testing.assert_array_equal(was, now)


def test_a_layer_with_a_column_of_the_user_is_the_users(viewer: ViewerModel) -> None:
    add(viewer)
    mask = viewer.layers["filled mask"]
    mask.features["verdict"] = "mine"
    add(viewer, threshold=0.3)
    assert (mask.features["verdict"] == "mine").all()
    assert not is_ours(mask)
    assert len(viewer.layers) == 6


def test_painting_leaves_the_comparison_alone(viewer: ViewerModel) -> None:
    comparison = add(viewer)
    viewer.layers["filled mask"].fill((0, 0), 9)
    assert comparison.labels.max() == 3


def test_duplicates_are_not_adopted(viewer: ViewerModel) -> None:
    add(viewer)
    data, state, kind = viewer.layers["filled mask"].as_layer_data_tuple()
    duplicate = viewer.add_layer(Layer.create(deepcopy(data), state, kind))
    assert not is_ours(duplicate)
    duplicate.data[:] = 7
    add(viewer, threshold=1.99)
    assert (duplicate.data == 7).all()
    assert len(viewer.layers) == 6


def test_selection_camera_and_the_two_layers_stay(viewer: ViewerModel) -> None:
    viewer.scene.camera.center = (0, 5, 6)
    viewer.scene.camera.zoom = 3.5
    before, after = viewer.layers
    for selected in [before], [before, after], []:
        viewer.layers.selection = selected
        add(viewer)
        assert viewer.layers.selection == set(selected)
        assert viewer.layers.selection.active == (before if len(selected) == 1 else None)
    assert viewer.scene.camera.center == (0, 5, 6)
    assert viewer.scene.camera.zoom == 3.5
    np.testing.assert_array_equal(before.data, make_images()[0])
    assert [layer.metadata for layer in (before, after)] == [{}, {}]


def test_boxes_are_capped_and_nothing_else(viewer: ViewerModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boxes, "BOXES_DRAWN", 2)
    viewer.layers["b"].data[10:26, 12:40] = 230
    comparison = add(viewer)
    drawn = viewer.layers["bounding boxes"]
    largest = comparison.regions.nlargest(2, "area")["label"]
    assert drawn.features["label"].tolist() == sorted(largest)
    assert drawn.nshapes == 2
    assert len(comparison.regions) == len(viewer.layers["filled mask"].features) - 1 == 3


def test_proxies_are_as_good_as_layers(viewer: ViewerModel) -> None:
    proxy = PublicOnlyProxy(viewer)
    comparison = add(proxy)
    assert add(proxy) is not comparison
    assert len(viewer.layers) == 5
    assert is_ours(proxy.layers["diff map"])
    assert not is_ours(proxy.layers["a"])


def test_the_comparison_of_a_pair_is_found(viewer: ViewerModel) -> None:
    before, after = viewer.layers
    assert comparison_of(viewer, before, after) is None
    comparison = add(viewer)
    assert comparison_of(viewer, before, after) is comparison
    assert comparison_of(viewer, after, before) is None
    del viewer.layers[2:]
    assert comparison_of(viewer, before, after) is None


def test_layers_left_out_belong_to_the_new_comparison_too(viewer: ViewerModel) -> None:
    before, after = viewer.layers
    cut = add(viewer).rethreshold(1.99)
    difference = viewer.layers["diff map"].data
    before.translate = (3, 4)
    place(viewer, cut, before, after, [layers_of(cut, before)[1]], add=())
    assert comparison_of(viewer, before, after) is cut
    assert viewer.layers["diff map"].data is difference
    assert viewer.layers["diff map"].metadata["napari-image-diff"]["threshold"] == 1.99
    for layer in list(viewer.layers)[2:]:
        np.testing.assert_array_equal(layer.translate, (3, 4))


def test_multiscale_layers_are_compared_in_full(viewer: ViewerModel) -> None:
    before, after = make_images()
    viewer.add_image([before, before[::2, ::2]], name="pyramid", multiscale=True)
    comparison = add_comparison(viewer, viewer.layers["pyramid"], viewer.layers["b"])
    np.testing.assert_array_equal(comparison.labels, compare(before, after).labels)


@pytest.mark.parametrize("shape", [(80, 100, 3), (80, 100, 4)])
def test_the_layer_knows_whether_it_is_colour(shape: tuple[int, ...]) -> None:
    viewer = ViewerModel()
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    viewer.add_image(image, name="a", rgb=True)
    viewer.add_image(image, name="b", rgb=True)
    comparison = add(viewer, channels="none")
    assert comparison.score == 1
    assert comparison.labels.shape == (80, 100)
    narrow = image[:, :4, 0]
    viewer.add_image(np.ascontiguousarray(narrow), name="narrow", rgb=False)
    viewer.add_image(np.ascontiguousarray(narrow), name="too", rgb=False)
    assert add_comparison(viewer, viewer.layers["narrow"], viewer.layers["too"], win_size=3).labels.shape == (80, 4)


def test_settings_come_as_settings_mapping_or_keywords(viewer: ViewerModel) -> None:
    before, after = viewer.layers
    for settings, changes in (Settings(win_size=9), {}), ({"win_size": 9}, {}), (None, {"win_size": 9}):
        assert add_comparison(viewer, before, after, settings, **changes).settings.win_size == 9


GRAY = np.zeros((20, 30), np.uint8)


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (Image(GRAY, name="x"), Labels(GRAY, name="y"), ["After is a Labels", "Image"]),
        (None, Image(GRAY), ["Before is a NoneType"]),
        (Image(GRAY, name="x"), Image(GRAY.T, name="y"), ["'x'", "20 x 30", "'y'", "30 x 20", "crop"]),
        (Image(np.zeros((5, 20, 30))), Image(np.zeros((4, 20, 30))), ["5 x 20 x 30", "4 x 20 x 30", "frames"]),
        (Image(np.zeros((5, 30, 20))), Image(GRAY), ["5 x 30 x 20", "20 x 30", "crop"]),
        (Image(np.zeros((20, 30, 3), np.uint8), name="x", rgb=True), Image(GRAY.T), ["20 x 30 pixels"]),
    ],
)
def test_a_mismatch_is_put_in_words(before: Any, after: Any, words: list[str]) -> None:
    reason = explain_mismatch(before, after)
    for word in words:
        assert word in reason
    with pytest.raises(ValueError, match="Pick") as caught:
        add_comparison(ViewerModel(), before, after)
    assert str(caught.value) == reason


def test_the_same_layer_twice_is_a_mismatch() -> None:
    layer = Image(GRAY, name="x")
    assert "both 'x'" in explain_mismatch(layer, layer)


def test_gray_and_colour_of_one_size_match() -> None:
    assert explain_mismatch(Image(GRAY), Image(np.zeros((20, 30, 3), np.uint8), rgb=True)) == ""


# ---------------------------------------------------------------- masks


def add_square(viewer: ViewerModel, kind: str) -> Layer:
    """Add a mask of half the resolution of "a", on the first of the squares that differ."""
    if kind == "labels":
        labels = np.zeros((40, 50), np.uint8)
        labels[4:12, 4:15] = 5
        return viewer.add_labels(labels, scale=(2, 2), translate=(0.5, 0.5))
    return viewer.add_shapes([[[3.5, 3.5], [3.5, 14.5], [11.5, 14.5], [11.5, 3.5]]], scale=(2, 2), translate=(0.5, 0.5))


@pytest.mark.parametrize("kind", ["labels", "shapes"])
def test_what_lies_under_a_layer_is_ignored_or_alone_compared(viewer: ViewerModel, kind: str) -> None:
    mask = add_square(viewer, kind)
    for name, count in ("ignore", 2), ("inside", 1):
        comparison = add(viewer, **{name: mask})
        assert len(comparison.regions) == count
        assert np.isnan(viewer.layers["diff map"].data[16, 20]) == (name == "ignore")
        assert np.isnan(viewer.layers["diff map"].data[46, 26]) == (name == "inside")
    pixels = np.zeros((80, 100), bool)
    pixels[8:24, 8:30] = True
    np.testing.assert_array_equal(
        np.isnan(add(viewer, ignore=pixels).difference), np.isnan(add(viewer, ignore=mask).difference)
    )


@pytest.mark.parametrize("of_mask", PLACES)
@pytest.mark.parametrize("of_before", PLACES)
@pytest.mark.parametrize("kind", ["labels", "shapes"])
def test_a_mask_lies_where_it_is_seen(kind: str, of_before: dict[str, Any], of_mask: dict[str, Any]) -> None:
    of_before, of_mask = ({key: one[key] for key in one if key != "units"} for one in (of_before, of_mask))
    before = Image(np.zeros((60, 70), np.uint8), **of_before)
    data = np.zeros((30, 40), np.uint8)
    data[5:20, 10:30] = 2
    corners = [[[4.5, 9.5], [4.5, 29.5], [19.5, 29.5], [19.5, 9.5]]]
    layer = Labels(data, **of_mask) if kind == "labels" else Shapes(corners, **of_mask)
    expected = np.zeros((60, 70), bool)
    edge = np.zeros((60, 70), bool)
    for pixel in np.ndindex(60, 70):
        row, col = layer.world_to_data(before.data_to_world(pixel))
        depth = min(row - 4.5, 19.5 - row, col - 9.5, 29.5 - col)
        expected[pixel], edge[pixel] = depth > 0, abs(depth) < 1e-6
    assert expected.any()
    np.testing.assert_array_equal(mask_of(layer, before)[~edge], expected[~edge])


def test_units_count_as_the_viewer_draws_them() -> None:
    before = Image(np.zeros((20, 20), np.uint8), units=("um", "um"))
    labels = np.zeros((20, 20), np.uint8)
    labels[3, 4] = 1
    same = Labels(labels, units=("nm", "nm"), scale=(1000, 1000))
    np.testing.assert_array_equal(mask_of(same, before), labels != 0)
    # pixels and um have nothing to do with each other
    np.testing.assert_array_equal(mask_of(Labels(labels), before), labels != 0)


def test_other_layers_and_stacks_are_no_masks(viewer: ViewerModel) -> None:
    for layer in viewer.layers["a"], Labels(np.zeros((2, 80, 100), int), name="stack"):
        with pytest.raises(ValueError, match=layer.name):
            add(viewer, ignore=layer)
    assert len(viewer.layers) == 2


def test_an_ellipse_is_round(viewer: ViewerModel) -> None:
    before = Image(np.zeros((60, 60), np.uint8), scale=(0.5, 0.5))
    ellipse = Shapes([[[5, 5], [5, 25], [25, 25], [25, 5]]], shape_type="ellipse")
    rows, columns = np.mgrid[:60, :60] / 2 - 15
    distance = np.hypot(rows, columns)
    found = mask_of(ellipse, before)
    assert found[distance < 9.5].all()
    assert not found[distance > 10.5].any()


# ---------------------------------------------------------------- evidence and the record


def test_evidence_of_a_script_follows_if_it_is_shown(viewer: ViewerModel) -> None:
    before, after = viewer.layers
    comparison = add(viewer)
    evidence = [layer for layer in layers_of(comparison, before, more=True) if layer[1]["name"] == "evidence"]
    place(viewer, comparison, before, after, evidence, add=["evidence"])
    assert len(viewer.layers) == 6
    shown = viewer.layers["evidence"]
    again = add(viewer, win_size=9)
    assert shown.data is again.evidence
    assert len(viewer.layers) == 6
    add(viewer, threshold="otsu")
    assert names(viewer) == ["a", "b", "diff map", "filled mask", "bounding boxes"]


def test_columns_that_come_and_go_are_not_the_users(viewer: ViewerModel) -> None:
    for threshold in ("auto", "otsu", "auto", 0.3):
        comparison = add(viewer, threshold=threshold)
        assert len(viewer.layers) == 5
        assert ("kind" in viewer.layers["filled mask"].features) == (threshold == "auto")
        assert list(viewer.layers["bounding boxes"].features) == list(comparison.regions)


def test_the_record_says_what_came_out(viewer: ViewerModel) -> None:
    comparison = add(viewer, sensitivity=0.5)
    for layer in list(viewer.layers)[2:]:
        record = layer.metadata["napari-image-diff"]
        assert (record["verdict"], record["score"]) == ("different", comparison.score)
        assert record["settings"]["sensitivity"] == 0.5
        assert record["resolved"]["noise"] == comparison.resolved["noise"]


def test_add_comparison_refuses_before_it_places(viewer: ViewerModel) -> None:
    with pytest.raises(ValueError, match="even"):
        add(viewer, win_size=8)
    with pytest.raises(ValueError, match="fits"):
        add(viewer, win_size=99)
    assert len(viewer.layers) == 2


@pytest.mark.parametrize("visible", [True, False])
def test_more_is_ignored_in_a_layer_that_is_not_on_the_screen(visible: bool) -> None:
    viewer = ViewerModel()
    before = viewer.add_image(np.zeros((120, 160)))
    ignored = viewer.add_labels(np.zeros((120, 160), np.uint8), visible=visible)
    viewer.dims.transpose()
    pixels = np.zeros((120, 160), bool)
    pixels[90:110, 100:150] = True
    assert add_to_mask(viewer, pixels, before, {"ignore": ignored}) is ignored
    np.testing.assert_array_equal(ignored.data, pixels)
    assert ignored.visible == visible
    ignored.undo()
    assert not ignored.data.any()
