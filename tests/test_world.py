"""Layers are compared where they lie in the world: against marks at known places, scipy's splines and copies."""

from __future__ import annotations

import itertools
from typing import Any

import dask.array as da
import numpy as np
import pytest
from chunked import in_chunks
from fuzz import hold_against
from made import scene, with_noise
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage import data

from napari_image_diff import Comparison, add_comparison, compare, regridding, resample
from napari_image_diff.geometry import world_of
from napari_image_diff.overlaying import find_overlay, toggle_alignment
from napari_image_diff.warping import find_nearest

Array = NDArray[Any]

MICRONS: dict[str, Any] = {"units": "um"}


def turn(degrees: float) -> Array:
    return np.asarray(Rotation.from_euler("z", degrees, degrees=True).as_matrix()[:2, :2])


def affine(linear: Any, shift: Any) -> Array:
    matrix = np.eye(len(shift) + 1)
    matrix[:-1, :-1], matrix[:-1, -1] = linear, shift
    return matrix


# ---------------------------------------------------------------- marks at known places

Mark = tuple[tuple[float, ...], float, float]
"""Place in the world, radius, height."""


def scatter(size: tuple[float, ...], count: int, keep_off: tuple[float, ...]) -> list[Mark]:
    """Return marks all over a part of the world, but not near a place."""
    rng = np.random.default_rng(1)
    marks: list[Mark] = []
    while len(marks) < count:
        place = rng.uniform(0, size)
        if np.abs(place - keep_off).max() > 14:
            marks.append((tuple(place), rng.uniform(1.8, 4), rng.uniform(200, 1000)))
    return marks


def see(where: dict[str, Any], shape: tuple[int, ...], marks: list[Mark], seed: int) -> Array:
    """Return what a camera that lies in the world as `where` says sees of the marks, with noise, in 16 bits."""
    world = world_of(Image(np.zeros(shape, np.uint8), **where), Image(np.zeros(shape, np.uint8), **MICRONS).units)
    places = np.moveaxis(np.indices(shape), 0, -1) @ world[:-1, :-1].T + world[:-1, -1]
    image = np.full(shape, 1000.0)
    for place, radius, height in marks:
        image += height * np.exp(-((places - place) ** 2).sum(axis=-1) / (2 * radius**2))
    return np.rint(image + np.random.default_rng(seed).normal(0, 6, shape)).astype(np.uint16)


def add_pair(viewer: ViewerModel, before: Any, after: Any) -> tuple[Any, Any]:
    """Add two layers, each given as data and where they lie."""
    (one, here), (other, there) = before, after
    return viewer.add_image(one, name="before", **here), viewer.add_image(other, name="after", **there)


def find_centre(comparison: Comparison, label: int = 1) -> Array:
    """Return the centroid of what is new in a region, in pixels of before: to a fraction of a pixel."""
    axes = comparison.settings.spatial_ndim
    shape = comparison.labels.shape[-axes:]
    one, other = (np.asarray(each, float).reshape(shape) for each in comparison.pair[:2])
    new = np.where(comparison.labels == label, other - one, 0)
    return np.array([(np.indices(shape)[axis] * new).sum() / new.sum() for axis in range(axes)])


LINEAR = turn(4) * 1.02

PLACES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "finer": ({"scale": (0.65, 0.65)}, (170, 200)),
    "coarser": ({"scale": (2, 2), "translate": (0.5, 0.5)}, (60, 70)),
    "much finer along rows": ({"scale": (1, 0.3)}, (110, 420)),
    "translate": ({"translate": (7.3, -5.6)}, (100, 140)),
    "rotate": ({"rotate": 5}, (110, 130)),
    "shear": ({"shear": [0.1]}, (110, 130)),
    "affine": ({"affine": affine(LINEAR, (3.3, -2.2))}, (110, 120)),
    "quarter turn": ({"rotate": 90, "translate": (99, 0)}, (120, 100)),
    "nm": ({"scale": (800, 800), "units": "nm"}, (130, 160)),
    "everything": (
        {
            "scale": (700, 900),
            "translate": (4000, 3000),
            "rotate": 5,
            "shear": [0.05],
            "affine": affine(LINEAR, (3300, -2200)),
            "units": "nm",
        },
        (150, 150),
    ),
}

MARKS = scatter((100, 120), 40, (52.3, 61.7))

NEW: Mark = ((52.3, 61.7), 2.5, 900)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("of_before", [{}, {"scale": (0.9, 1.1), "rotate": -4, "translate": (1, 2)}])
def test_what_is_new_is_found_where_it_is(place: str, of_before: dict[str, Any]) -> None:
    viewer = ViewerModel()
    here, (there, shape) = MICRONS | of_before, PLACES[place]
    there = MICRONS | there
    before, after = add_pair(
        viewer, (see(here, (100, 120), MARKS, 1), here), (see(there, shape, [*MARKS, NEW], 2), there)
    )
    found = add_comparison(viewer, before, after, align="none")
    assert len(found.regions) == 1
    pixel = np.linalg.norm(np.subtract(before.data_to_world((0, 1)), before.data_to_world((0, 0))))
    for result in viewer.layers["diff map"], viewer.layers["filled mask"]:
        assert np.linalg.norm(np.subtract(result.data_to_world(find_centre(found)), NEW[0])) < 0.2 * pixel
    overlay = found.resolved["overlay"]
    assert overlay["way"] == "resampled"
    # The matrix is that of napari's own transforms, whatever they are made of
    nm = 1000 if there["units"] == "nm" else 1
    seen = np.array(overlay["matrix"]) @ (20, 30, 1)
    np.testing.assert_allclose(np.array(after.data_to_world(seen[:2])) / nm, before.data_to_world((20, 30)), atol=1e-6)


SOLID: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "thick planes": ({"scale": (2, 1, 1), "translate": (0.5, 0, 0)}, (16, 60, 70)),
    "finer": ({"scale": (0.7, 0.8, 0.8)}, (46, 76, 90)),
    "translate": ({"translate": (2.4, -3.7, 4.2)}, (32, 64, 70)),
    "turned about the planes": ({"rotate": Rotation.from_euler("x", 8, degrees=True).as_matrix()}, (34, 70, 80)),
    "turned every way": ({"rotate": Rotation.from_euler("xyz", (4, -5, 6), degrees=True).as_matrix()}, (40, 70, 80)),
    "nm and affine": (
        {
            "scale": (900, 800, 800),
            "units": "nm",
            "affine": affine(Rotation.from_euler("y", 5, degrees=True).as_matrix(), (200, 1300, -700)),
        },
        (40, 80, 90),
    ),
}


# napari says so of layers that are turned out of their planes
NOT_ORTHOGONAL = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing:UserWarning")


@NOT_ORTHOGONAL
@pytest.mark.parametrize("place", SOLID)
def test_what_is_new_in_a_volume_is_found_where_it_is(place: str) -> None:
    viewer = ViewerModel()
    marks, new = scatter((32, 60, 70), 25, (15.2, 31.4, 36.7)), ((15.2, 31.4, 36.7), 3.0, 1500)
    there, shape = SOLID[place]
    there = MICRONS | there
    before, after = add_pair(
        viewer, (see(MICRONS, (32, 60, 70), marks, 1), MICRONS), (see(there, shape, [*marks, new], 2), there)
    )
    found = add_comparison(viewer, before, after, spatial_ndim=3)
    assert len(found.regions) == 1
    result = viewer.layers["filled mask"]
    assert np.linalg.norm(np.subtract(result.data_to_world(find_centre(found)), new[0])) < 0.25


def test_layers_whose_pixels_coincide_are_not_resampled() -> None:
    viewer = ViewerModel()
    image = see({}, (40, 50), MARKS, 1)
    before, after = add_pair(
        viewer,
        (image, {"units": "um", "scale": (2, 3), "translate": (4, 5)}),
        (image.copy(), {"units": "nm", "scale": (2000, 3000), "translate": (4000, 5000)}),
    )
    found = add_comparison(viewer, before, after)
    assert found.verdict == "identical"
    assert "overlay" not in found.resolved
    assert np.shares_memory(found.pair.after, after.data)


def test_units_that_have_nothing_in_common_count_as_they_are() -> None:
    image = see({}, (40, 50), MARKS, 1)
    assert find_overlay(Image(image), Image(image, units="um")) is None
    assert find_overlay(Image(image), Image(image, units="um", scale=(2, 2))) is not None


def test_what_differs_is_said_with_numbers() -> None:
    image = np.zeros((200, 200), np.uint8)
    cases: list[tuple[dict[str, Any], dict[str, Any], str]] = [
        ({"scale": (0.325, 0.325), "units": "um"}, {"scale": (0.65, 0.65), "units": "um"}, "scale 0.65 -> 0.325 µm"),
        ({"units": "um"}, {"scale": (800, 800), "units": "nm"}, "scale 800 nm -> 1 µm, units nm -> µm"),
        ({}, {"translate": (3, 4)}, "translate (3, 4) -> (0, 0)"),
        ({}, {"rotate": 5}, "rotate 5 -> 0 degrees"),
        ({}, {"affine": affine(np.eye(2), (1, 2)), "shear": [0.1]}, "shear, affine"),
    ]
    for here, there, words in cases:
        overlay = find_overlay(Image(image, **here), Image(image, **there))
        assert overlay is not None
        assert overlay.words == words
        assert overlay.describe().startswith(f"after resampled onto before: {words}")
    half = find_overlay(Image(image), Image(image, translate=(100, 0)))
    assert half is not None
    assert half.describe().endswith("; 50% of before overlaps")


def test_only_what_overlaps_is_compared_whatever_the_sizes() -> None:
    viewer = ViewerModel()
    whole = np.rint(with_noise(scene(2, 300), 2, 1)).clip(0, 255).astype(np.uint8)
    again = np.rint(with_noise(scene(2, 300), 2, 2)).clip(0, 255).astype(np.uint8)
    part = again[60:260, 100:].copy()
    # One change within the overlap, one that only before has, beside it
    part[50:70, 60:80] = 255 - part[50:70, 60:80]
    whole[10:30, 200:220] = 255 - whole[10:30, 200:220]
    before, after = add_pair(viewer, (whole, {}), (part, {"translate": (60, 100)}))
    found = add_comparison(viewer, before, after)
    box = found.regions.loc[0, ["min_row", "min_col", "max_row", "max_col"]].astype(float).to_numpy()
    assert len(found.regions) == 1
    np.testing.assert_allclose(box, (110, 160, 130, 180), atol=3)
    there = np.zeros((300, 300), bool)
    there[60:260, 100:] = True
    compared = np.isfinite(found.difference)
    assert not compared[~there].any()
    # In its corners, windows are less than half full
    assert (there & ~compared).sum() < 15
    # Where they are copied by whole pixels, they are the very pixels
    np.testing.assert_array_equal(found.pair.after[compared], part[compared[60:260, 100:]])
    assert found.resolved["overlay"]["share"] == pytest.approx(200 * 200 / 300**2, abs=0.01)


def test_layers_that_do_not_overlap_are_refused_but_can_be_compared_by_index() -> None:
    viewer = ViewerModel()
    image = see({}, (40, 50), MARKS, 1)
    before, after = add_pair(viewer, (image, {}), (image.copy(), {"translate": (0, 50)}))
    with pytest.raises(ValueError, match=r"'before' and 'after' do not overlap .*translate \(0, 50\).*by index"):
        add_comparison(viewer, before, after)
    assert len(viewer.layers) == 2
    found = add_comparison(viewer, before, after, by_index=True)
    assert found.verdict == "identical"
    assert found.resolved["overlay"]["way"] == "by index"
    after.translate = (0, 46)
    assert add_comparison(viewer, before, after).resolved["overlay"]["share"] == pytest.approx(0.08)
    # So few columns leave no window half full
    after.translate = (0, 47)
    with pytest.raises(ValueError, match="less than 4 pixels"):
        add_comparison(viewer, before, after)


def test_by_index_is_what_the_arrays_give() -> None:
    viewer = ViewerModel()
    one, other = see({}, (60, 70), MARKS, 1), see({}, (60, 70), [*MARKS, NEW], 2)
    before, after = add_pair(viewer, (one, {"scale": (2, 2)}), (other, {"rotate": 20}))
    found, expected = add_comparison(viewer, before, after, by_index=True), compare(one, other)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.difference, expected.difference)
    after.data = other[:50]
    with pytest.raises(ValueError, match="same size"):
        add_comparison(viewer, before, after, by_index=True)


def test_nothing_of_the_users_changes() -> None:
    viewer = ViewerModel()
    one, other = see({}, (60, 70), MARKS, 1), see({}, (60, 70), [*MARKS, NEW], 2)
    kept = one.copy(), other.copy()
    where = {"scale": (1.5, 2), "rotate": 20, "translate": (1, 2)}
    before, after = add_pair(viewer, (one, {}), (other, where))
    add_comparison(viewer, before, after)
    assert (before.data is one, after.data is other) == (True, True)
    for layer, array in zip((before, after), kept, strict=True):
        np.testing.assert_array_equal(layer.data, array)
        assert layer.metadata == {}
    np.testing.assert_allclose(after.scale, where["scale"])
    np.testing.assert_allclose(after.rotate, turn(20))


def test_results_say_how_the_layers_lay_after_another_cut_too() -> None:
    viewer = ViewerModel()
    stack = np.stack([see({}, (60, 70), MARKS, seed) for seed in range(3)])
    before, after = add_pair(viewer, (stack, {}), (stack.copy(), {"translate": (0, 3.5, 2)}))
    for layers in ((before, after), (viewer.add_image(stack[0]), viewer.add_image(stack[1], translate=(2.5, 1)))):
        found = add_comparison(viewer, *layers)
        assert found.rethreshold(sensitivity=2).resolved["overlay"] == found.resolved["overlay"]


# ---------------------------------------------------------------- one resolution


def shrink(image: Array, factor: int) -> Array:
    """Return an image averaged over pixels so many times as large; what is left over is cut off."""
    rows, columns = (side // factor * factor for side in image.shape[:2])
    parts = image[:rows, :columns].reshape(rows // factor, factor, columns // factor, factor, *image.shape[2:])
    return np.asarray(parts.mean(axis=(1, 3)))


def to_uint8(image: Array, seed: int) -> Array:
    return np.clip(np.rint(image + np.random.default_rng(seed).normal(0, 2, image.shape)), 0, 255).astype(np.uint8)


PICTURES = ("camera", "page", "astronaut", "coffee")


@pytest.mark.parametrize("sizes", [(1, 2), (1, 3), (2, 3), (2, 1), (3, 1), (3, 2)], ids=str)
@pytest.mark.parametrize("name", PICTURES)
def test_a_scene_in_pixels_of_two_sizes_is_no_difference_and_changes_are_found(
    name: str, sizes: tuple[int, int]
) -> None:
    picture = getattr(data, name)().astype(float)
    side = [length // 6 * 6 for length in picture.shape[:2]]
    picture = picture[: side[0], : side[1]]
    changed = picture.copy()
    row, col = side[0] // 2 // 6 * 6, side[1] // 3 // 6 * 6
    changed[row : row + 30, col : col + 30] = 255 - changed[row : row + 30, col : col + 30]
    for number, second in enumerate((picture, changed)):
        viewer = ViewerModel()
        images = [
            to_uint8(shrink(each, size), seed)
            for seed, (each, size) in enumerate(zip((picture, second), sizes, strict=True))
        ]
        layers = [
            viewer.add_image(image, rgb=image.ndim == 3, scale=(size, size), translate=((size - 1) / 2,) * 2)
            for image, size in zip(images, sizes, strict=True)
        ]
        found = add_comparison(viewer, *layers)
        if not number:
            assert found.verdict == "no difference beyond noise"
            continue
        boxes = found.regions[["min_row", "min_col", "max_row", "max_col"]].to_numpy() * sizes[0]
        assert len(boxes)
        assert (boxes >= np.array([row - 12, col - 12, row - 12, col - 12])).all()
        assert (boxes <= np.array([row + 42, col + 42, row + 42, col + 42])).all()
    assert found.resolved["overlay"]["matched"] == (sizes[1] > sizes[0])
    assert ("larger pixels" in found.resolved["overlay"]["reason"]) == (sizes[1] > sizes[0])


def test_without_one_resolution_there_would_be_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = data.page().astype(float)[:186, :384]
    before, after = Image(to_uint8(picture, 1)), Image(to_uint8(shrink(picture, 3), 2), scale=(3, 3), translate=(1, 1))
    assert not add_comparison(ViewerModel(), before, after).changed
    monkeypatch.setattr(regridding, "FINER", 9)
    assert add_comparison(ViewerModel(), before, after).changed


@pytest.mark.parametrize("name", PICTURES)
def test_a_scene_that_is_turned_is_no_difference(name: str) -> None:
    picture = getattr(data, name)().astype(float)
    matrix = affine(turn(3), (12.3, -9.4))
    channels = [picture] if picture.ndim == 2 else list(np.moveaxis(picture, 2, 0))
    seen = [ndimage.affine_transform(each, matrix[:2, :2], matrix[:2, 2], order=5, mode="mirror") for each in channels]
    other = seen[0] if picture.ndim == 2 else np.stack(seen, axis=2)
    viewer = ViewerModel()
    before = viewer.add_image(to_uint8(picture, 1), rgb=picture.ndim == 3)
    # A pixel of other shows what matrix says of before
    after = viewer.add_image(to_uint8(other, 2), rgb=picture.ndim == 3, affine=matrix)
    assert add_comparison(viewer, before, after, align="none").verdict == "no difference beyond noise"


@pytest.mark.parametrize("reach", [(0, 0), (31, 17)])
def test_larger_pixels_that_hang_over_the_edge_of_before_are_no_difference(reach: tuple[int, int]) -> None:
    picture = data.camera().astype(float)
    coarse = to_uint8(shrink(picture, 4), 1)
    fine = to_uint8(picture, 2)[50 + reach[0] : 350 + reach[0], 70 + reach[1] : 300 + reach[1]]
    viewer = ViewerModel()
    before, after = add_pair(
        viewer,
        (fine, {"translate": (50 + reach[0], 70 + reach[1])}),
        (coarse, {"scale": (4, 4), "translate": (1.5, 1.5)}),
    )
    found = add_comparison(viewer, before, after, align="none")
    assert np.isfinite(found.difference).all()
    assert found.verdict == "no difference beyond noise"


# ---------------------------------------------------------------- frames


def make_movie(count: int) -> Array:
    return np.stack([see({}, (60, 70), MARKS[: 8 + 6 * frame], 10 + frame) for frame in range(count)])


def test_each_frame_is_compared_with_the_nearest_in_time() -> None:
    viewer = ViewerModel()
    movie = make_movie(4)
    # Frames 0 to 7 of half the distance, and the first one at -1
    after = viewer.add_image(np.repeat(movie, 2, axis=0)[:7], scale=(0.5, 1, 1), translate=(-0.25, 0, 0))
    before = viewer.add_image(movie, name="movie")
    found = add_comparison(viewer, before, after)
    assert found.verdict == "identical"
    after.translate = (0.75, 0, 0)
    found = add_comparison(viewer, before, after)
    assert np.isnan(found.difference[0]).all()
    assert np.isfinite(found.difference[1:]).all()
    assert set(found.regions["frame"]) == {1, 2, 3}
    assert found.resolved["overlay"]["share"] == 0.75


@pytest.mark.parametrize("lazy", [False, True])
def test_a_plane_and_a_stack_and_frames_of_before(lazy: bool) -> None:
    movie, where = make_movie(3), {"translate": (0, 5, 4)}
    moved = movie.copy()
    wrap = (lambda array: da.from_array(array, chunks=(1, 33, 70)[-array.ndim :])) if lazy else (lambda array: array)
    there = np.zeros((60, 70), bool)
    there[5:, 4:] = True

    def run(before: Any, after: Any, **options: Any) -> Array:
        viewer = ViewerModel()
        found = add_comparison(viewer, *add_pair(viewer, before, after), align="none", **options)
        return np.asarray(found.labels)

    # Put together by hand
    def expect(one: Array, other: Array) -> Array:
        seen = np.zeros_like(one)
        seen[5:, 4:] = other[:55, :66]
        return compare(one, seen, align="none", data_range=65535, overlap=there).labels

    settings = {"data_range": 65535.0}
    runs = {
        "plane before": (run((wrap(movie[1]), {}), (wrap(moved), where), **settings), [1, 1, 1], [0, 1, 2]),
        "plane after": (
            run((wrap(movie), {}), (wrap(moved[1]), {"translate": (5, 4)}), **settings),
            [0, 1, 2],
            [1, 1, 1],
        ),
        "frame": (run((wrap(movie), {}), (wrap(moved), where), frame=2, **settings), [2, 2, 2], [0, 1, 2]),
        "previous": (run((wrap(movie), {}), (wrap(moved), where), frame="previous", **settings), [0, 0, 1], [0, 1, 2]),
    }
    for name, (labels, ones, others) in runs.items():
        for found, one, other in zip(labels, ones, others, strict=True):
            np.testing.assert_array_equal(found > 0, expect(movie[one], moved[other]) > 0, err_msg=name)


def test_a_frame_of_two_leading_axes_is_held_against_all_times_but_the_nearest_depth() -> None:
    viewer = ViewerModel()
    movie = make_movie(3)
    before = viewer.add_image(np.stack([movie, movie]))
    # It begins when before is long over, a plane deeper, and a row further down
    after = viewer.add_image(np.stack([movie[1:], movie[1:]])[..., 1:, :], translate=(99, 1, 1, 0))
    found = add_comparison(viewer, before, after, frame=1)
    assert np.isnan(found.difference[:, 0]).all()
    assert np.isfinite(found.difference[:, 1:, 1:]).all()
    assert not found.changed


@NOT_ORTHOGONAL
def test_a_layer_against_its_own_frames_needs_no_place() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(make_movie(3), rotate=Rotation.from_euler("x", 20, degrees=True).as_matrix())
    found = add_comparison(viewer, layer, layer, frame=0)
    assert set(found.regions["frame"]) == {1, 2}
    assert "overlay" not in found.resolved


@NOT_ORTHOGONAL
def test_frames_that_are_tilted_are_refused_with_ways_out() -> None:
    viewer = ViewerModel()
    stack = make_movie(3)
    tilt = Rotation.from_euler("z", 20, degrees=True).as_matrix()
    before, after = add_pair(viewer, (stack, {}), (stack.copy(), {"rotate": tilt}))
    plane = viewer.add_image(stack[0])
    for one, other in (before, after), (after, before), (plane, after):
        with pytest.raises(ValueError, match=r"'after' is rotated.*3 dimensions.*by index"):
            add_comparison(viewer, one, other)
        add_comparison(viewer, one, other, by_index=True)
    found = add_comparison(viewer, before, after, spatial_ndim=3, win_size=3)
    assert found.resolved["overlay"]["way"] == "resampled"
    # Both tilted alike: frames are frames
    before.rotate = tilt
    after.translate = before.data_to_world((0, 0, 3.5))
    assert add_comparison(viewer, before, after).resolved["overlay"]["way"] == "resampled"


# ---------------------------------------------------------------- alignment of what is left


def make_shifted() -> tuple[Array, Array]:
    """Return two parts of a scene: after begins 60 rows further down, and 2.4 rows and 3.3 columns beside that."""
    wide = scene(5, 600)
    moved = ndimage.shift(wide, (-2.4, 3.3), order=3)
    one, other = wide[50:450, 50:450], moved[110:500, 10:400]
    return to_uint8(one, 1), to_uint8(other, 2)


def test_alignment_finds_what_is_left_and_brings_in_nothing_from_beyond_the_overlap() -> None:
    viewer = ViewerModel()
    one, other = make_shifted()
    before, after = add_pair(viewer, (one, {}), (other, {"translate": (60, -40)}))
    found = add_comparison(viewer, before, after)
    assert found.resolved["alignment"]["shift"] == pytest.approx((-2.4, 3.3), abs=0.1)
    assert found.verdict == "no difference beyond noise"
    # As if nothing were known of where after is, zeros come in
    seen, overlap = resample(other, affine(np.eye(2), (-60, 40)), one.shape)
    assert compare(one, seen, inside=overlap).changed
    assert not compare(one, seen, overlap=overlap).changed


@pytest.mark.parametrize("of_before", [{}, {"scale": (0.5, 0.5), "rotate": 10, "units": "um"}])
def test_after_is_laid_where_it_was_found_after_it_was_resampled(of_before: dict[str, Any]) -> None:
    viewer = ViewerModel()
    one, other = make_shifted()
    before = viewer.add_image(one, **of_before)
    # Where after would lie if nothing were left to find, as an affine of its own
    world = world_of(before, before.units) @ affine(np.eye(2), (60, -40))
    units = {"units": "um"} if of_before else {}
    after = viewer.add_image(other, affine=world, **units)
    found = add_comparison(viewer, before, after)
    toggle_alignment(found, before, after)
    for place in (100, 100), (350.5, 20.25):
        there = np.subtract(place, (62.4, -43.3))
        ours, theirs = before.data_to_world(place), after.data_to_world(there)
        np.testing.assert_allclose(ours, theirs, atol=0.1)
    # Another comparison finds the same, with the affine that after had
    again = add_comparison(viewer, before, after)
    assert again.resolved["alignment"] == found.resolved["alignment"]
    toggle_alignment(None, before, after)
    np.testing.assert_allclose(np.array(after.affine), world)


# ---------------------------------------------------------------- resample


def make_smooth(shape: tuple[int, ...], seed: int = 0) -> Array:
    image = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, shape), 4 if len(shape) == 2 else 3)
    return np.asarray(image / image.std())


MATRICES = [
    affine(np.diag([0.5, 0.7]), (3.3, -4.2)),
    affine(np.diag([-0.9, 1.0]), (150, 2.25)),
    affine(turn(20) * 0.9, (30, 5)),
    affine(turn(20) * 1.2, (30, 5)),
    affine([[1.3, 0.2], [0, 1.1]], (3, 2)),
    affine([[0, 1.5], [-0.8, 0]], (2.5, 150)),
]

SOLID_MATRICES = [
    affine(np.diag([0.5, 0.8, 1.3]), (2.2, 3.1, -4)),
    affine(Rotation.from_euler("xyz", (10, 20, 5), degrees=True).as_matrix(), (5, -8, 9)),
    affine(Rotation.from_euler("xyz", (10, 20, 5), degrees=True).as_matrix() * 1.3, (5, -8, 9)),
    affine(Rotation.from_euler("x", 15, degrees=True).as_matrix(), (2.5, 5, 5)),
    affine(Rotation.from_euler("y", 15, degrees=True).as_matrix() * [1, 1.2, 1], (2, 5, 5)),
    affine(np.eye(3)[[2, 0, 1]], (2, 5, 5.5)),
]


@pytest.mark.parametrize("matrix", [*MATRICES, *SOLID_MATRICES], ids=lambda matrix: str(matrix[:, 0]))
def test_smooth_images_are_seen_as_splines_see_them(matrix: Array) -> None:
    axes = len(matrix) - 1
    image = make_smooth((200, 230) if axes == 2 else (40, 60, 70))
    shape = (150, 170) if axes == 2 else (30, 50, 60)
    seen, overlap = resample(image, matrix, shape, spatial_ndim=axes)
    expected = ndimage.affine_transform(image, matrix[:-1, :-1], matrix[:-1, -1], shape, order=5, mode="nearest")
    places = np.moveaxis(np.indices(shape), 0, -1) @ matrix[:-1, :-1].T + matrix[:-1, -1]
    well_inside = ((places >= 1) & (places <= np.subtract(image.shape, 2))).all(axis=-1)
    assert overlap[well_inside].all()
    inside = ((places >= -0.5) & (places <= np.subtract(image.shape, 0.5))).all(axis=-1)
    assert not overlap[~inside].any()
    assert np.isfinite(seen[overlap]).all()
    assert np.isnan(seen[~overlap]).all()
    deep = ndimage.binary_erosion(overlap, iterations=4)
    assert deep.mean() > 0.1
    # Lanczos's kernel errs by some hundredths where splines do not, and larger pixels are means
    larger = np.linalg.norm(matrix[:-1, :-1], axis=1).max() > 1.01
    assert np.abs(seen - expected)[deep].max() < (0.05 if larger else 0.02)


@pytest.mark.parametrize("matrix", [*MATRICES, *SOLID_MATRICES], ids=lambda matrix: str(matrix[:, 0]))
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int16, bool])
def test_in_chunks_is_what_it_is_in_memory_to_the_bit(
    matrix: Array, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regridding, "CHUNK_SIDE", {2: (33, 57), 3: (5, 20, 33)})
    axes = len(matrix) - 1
    shape, sides = ((90, 110), (70, 91)) if axes == 2 else ((20, 40, 50), (14, 30, 41))
    image = make_smooth((2, *shape, 3))
    image = (image > 0.3) if dtype is bool else (image * 40 + (100 if dtype == np.uint8 else 0)).astype(dtype)
    chunks = (1, *(7, 13)[: axes - 2], *((17, 1, shape[-2] - 18), (41, shape[-1] - 41)), 3)
    chunks = (1, *((7, 13),) * (axes - 2), (17, 1, shape[-2] - 18), (41, shape[-1] - 41), 3)
    options: dict[str, Any] = {"spatial_ndim": axes, "rgb": True}
    seen, overlap = resample(image, matrix, sides, **options)
    assert (seen.dtype, seen.shape) == (image.dtype, (2, *sides, 3))
    lazy, there = resample(da.from_array(image, chunks=chunks), matrix, sides, **options)
    np.testing.assert_array_equal(lazy.compute(), seen)
    np.testing.assert_array_equal(there.compute(), overlap)
    # Each channel, each frame, by itself
    np.testing.assert_array_equal(resample(image[1, ..., 2], matrix, sides, spatial_ndim=axes)[0], seen[1, ..., 2])
    own = make_smooth((*sides, 3), 1)
    own = (own > 0.3) if dtype is bool else (own * 40 + 100).astype(dtype)
    matched = regridding.match_resolution(own, image, matrix, spatial_ndim=axes, rgb=(True, True))
    assert matched.shape == (2, *sides, 3)
    again = regridding.match_resolution(
        own, da.from_array(image, chunks=chunks), matrix, spatial_ndim=axes, rgb=(True, True)
    )
    np.testing.assert_array_equal(again.compute(), matched)


@pytest.mark.parametrize("place", ["finer", "coarser", "rotate", "everything"])
def test_lazy_layers_are_compared_as_those_in_memory(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regridding, "CHUNK_SIDE", {2: (33, 57), 3: (5, 20, 33)})
    there, shape = PLACES[place]
    there = MICRONS | there
    one, other = see(MICRONS, (100, 120), MARKS, 1), see(there, shape, [*MARKS, NEW], 2)
    found = []
    for wrap in (lambda array: array), (lambda array: da.from_array(array, chunks=(37, (50, array.shape[1] - 50)))):
        viewer = ViewerModel()
        found.append(add_comparison(viewer, *add_pair(viewer, (wrap(one), MICRONS), (wrap(other), there))))
    expected, lazy = found
    assert len(expected.regions) == 1
    hold_against(lazy, expected)


@NOT_ORTHOGONAL
@pytest.mark.parametrize("place", ["translate", "thick planes", "turned every way", "movie", "colour"])
def test_lazy_volumes_movies_and_colours_are_compared_as_those_in_memory(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regridding, "CHUNK_SIDE", {2: (33, 57), 3: (5, 20, 33)})
    options: dict[str, Any] = {"spatial_ndim": 3}
    if place == "movie":
        one, there, options = make_movie(3), {"scale": (2, 1.5, 1.5), "translate": (1.8, 3.2, 1)}, {}
        other = make_movie(2)
    elif place == "colour":
        one = data.astronaut()[:90, :80]
        other, there = shrink(data.astronaut().astype(float), 3)[8:60].astype(np.uint8), {"scale": (3, 3)}
        there |= {"translate": (25, 1)}
        options = {}
    else:
        where, shape = SOLID[place]
        there = MICRONS | where
        marks, new = scatter((32, 60, 70), 25, (15.2, 31.4, 36.7)), ((15.2, 31.4, 36.7), 3.0, 1500)
        one, other = see(MICRONS, (32, 60, 70), marks, 1), see(there, shape, [*marks, new], 2)
    here = MICRONS if place in SOLID else {}
    colour = {"rgb": True} if place == "colour" else {}
    found = []
    for lazy in False, True:
        images = [da.from_array(image, chunks=(7, 33, 41)) if lazy else image for image in (one, other)]
        viewer = ViewerModel()
        pair = add_pair(viewer, (images[0], here | colour), (images[1], there | colour))
        found.append(add_comparison(viewer, *pair, **options))
    expected, of_chunks = found
    assert expected.changed == (place != "colour")
    np.testing.assert_array_equal(np.asarray(of_chunks.difference), expected.difference)
    np.testing.assert_array_equal(np.asarray(of_chunks.labels), expected.labels)
    assert of_chunks.summary == expected.summary
    assert repr(of_chunks.resolved) == repr(expected.resolved)


def test_of_an_image_in_chunks_only_what_is_needed_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regridding, "CHUNK_SIDE", {2: (64, 64), 3: (5, 20, 33)})
    array = in_chunks(make_smooth((512, 512)), 64, 64)
    seen, overlap = resample(array, affine(turn(5), (3, 20)), (512, 512))
    assert not array.reads
    overlap.compute()
    assert not array.reads
    seen[130:180, 200:250].compute()
    read = sum(np.prod([span.stop - span.start for span in place]) for place in array.reads)
    assert 50 * 50 < read < 4 * 90 * 90
    viewer = ViewerModel()
    array.reads.clear()
    # Compared with a small image, of a large one only that part is read
    small = viewer.add_image(make_smooth((64, 64)), contrast_limits=(-3, 3))
    large = viewer.add_image(array, translate=(-200.5, -300.5), contrast_limits=(-3, 3), multiscale=False)
    array.reads.clear()
    add_comparison(viewer, small, large)
    spans = [[(span.start, span.stop) for span in place] for place in array.reads]
    assert min(rows[0] for rows, _ in spans) >= 190
    assert max(rows[1] for rows, _ in spans) <= 275
    assert min(columns[0] for _, columns in spans) >= 290
    assert max(columns[1] for _, columns in spans) <= 375


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, bool])
def test_whole_shifts_flips_and_quarter_turns_are_copies(dtype: Any) -> None:
    image = np.random.default_rng(0).integers(0, 2, (30, 40)).astype(dtype)
    if dtype == np.int64:
        image = image + (2**62 + 1)
    if dtype == np.float32:
        image[4, 5] = np.nan
    cases = [
        (affine(np.eye(2), (3, -4)), lambda i, j: (i + 3, j - 4)),
        (affine(np.diag([1, -1]), (-2, 39)), lambda i, j: (i - 2, 39 - j)),
        (affine([[0, 1], [-1, 0]], (0, 39)), lambda i, j: (j, 39 - i)),
    ]
    for matrix, place in cases:
        seen, overlap = resample(image, matrix + 1e-13, (35, 45))
        for i, j in itertools.product(range(35), range(45)):
            row, col = place(i, j)
            inside = 0 <= row < 30 and 0 <= col < 40
            assert overlap[i, j] == inside
            expected = image[row, col] if inside else (np.nan if dtype == np.float32 else 0)
            np.testing.assert_array_equal(seen[i, j], expected)


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_larger_pixels_are_the_means_of_what_lies_in_them(factor: int) -> None:
    image = np.random.default_rng(0).uniform(0, 200, (120, 120))
    middle = (factor - 1) / 2
    seen, overlap = resample(image, affine(np.eye(2) * factor, (middle, middle)), (120 // factor,) * 2)
    assert overlap.all()
    np.testing.assert_allclose(seen, shrink(image, factor), atol=1e-9)
    # Where axes are exchanged or mix, and in 3-D, too
    again = np.swapaxes(resample(image, affine(factor * np.eye(2)[::-1], (middle, middle)), seen.shape)[0], 0, 1)
    np.testing.assert_allclose(again, seen, atol=1e-9)
    turned = affine(factor * np.array([[1, 1e-9], [-1e-9, 1]]), (middle, middle))
    np.testing.assert_allclose(resample(image, turned, seen.shape)[0], seen, atol=1e-3)
    stack = np.repeat(image[None], 6, axis=0)
    solid = affine(np.diag([2, factor, factor]) + np.eye(3)[[1, 0, 2]] * 1e-9, (0.5, middle, middle))
    of_stack, _ = resample(stack, solid, (3, *seen.shape), spatial_ndim=3)
    np.testing.assert_allclose(of_stack, np.stack([seen] * 3), atol=1e-3)


def test_smaller_pixels_are_averaged_not_skipped() -> None:
    stripes = np.zeros((120, 120))
    stripes[::2] = 200
    for linear in np.diag([4.0, 1.0]), np.diag([2.0, 2.0]), turn(30) * 6:
        seen, overlap = resample(stripes, affine(linear, (20, 50)), (16, 10))
        inner = ndimage.binary_erosion(overlap, iterations=1)
        assert inner.any()
        # Taken from next to each place alone, there would be anything from 0 to 200
        assert np.abs(seen[inner] - 100).max() < 15


def test_values_are_rounded_clipped_and_nan_spreads_by_the_kernel() -> None:
    edge = np.zeros((30, 30), np.uint8)
    edge[:, 15:] = 255
    seen, _ = resample(edge, affine(np.eye(2), (0, 0.5)), edge.shape)
    # Lanczos's kernel overshoots at an edge
    assert (seen[:, :10] == 0).all()
    assert (seen[:, 20:29] == 255).all()
    signed = np.where(edge > 0, 127, -128).astype(np.int8)
    assert set(np.unique(resample(signed, affine(np.eye(2), (0, 0.5)), edge.shape)[0][:, [5, 25]])) == {-128, 127}
    halves, _ = resample(edge > 0, affine(np.eye(2), (0, 0.5)), edge.shape)
    assert halves.dtype == bool
    assert halves[:, 14:].all()
    assert not halves[:, :14].any()
    holed = np.ones((30, 30), np.float32)
    holed[10, 10] = np.nan
    gone = np.isnan(resample(holed, affine(np.eye(2), (0.5, 0.5)), holed.shape)[0])
    gone[:, -1] = gone[-1] = False
    assert gone.sum() == 36
    assert gone[7:13, 7:13].all()
    # On whole places it stays where it is
    gone = np.isnan(resample(holed, affine(np.eye(2) / 2, (0, 0)), (58, 58))[0])
    assert gone[::2, ::2].sum() == 1
    assert gone[20, 20]


def test_transparency_outside_is_none() -> None:
    image = np.full((20, 20, 4), 200, np.uint8)
    seen, overlap = resample(image, affine(np.eye(2), (5, 0)), (20, 20), rgb=True)
    assert (seen[~overlap] == (0, 0, 0, 255)).all()


def test_frames_and_progress() -> None:
    stack = np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((20, 20), np.uint8)
    matrix = affine(np.diag([0.5, 1, 1]), (-0.6, 0, 0.25))
    told: list[tuple[int, int]] = []
    seen, overlap = resample(stack, matrix, (8, 20, 20), progress=lambda *each: told.append(each))
    assert overlap[:, 5, 5].tolist() == [False, *[True] * 6, False]
    assert seen[:, 5, 5].tolist() == [0, 0, 0, 1, 1, 2, 2, 0]
    assert told[-1] == (8, 8)
    lazy, there = resample(da.from_array(stack, chunks=(2, 7, 20)), matrix, (8, 20, 20))
    np.testing.assert_array_equal(lazy.compute(), seen)
    np.testing.assert_array_equal(there.compute(), overlap)


@pytest.mark.parametrize(
    ("array", "matrix", "shape", "words"),
    [
        (np.zeros((9, 9)), np.eye(4), (9, 9), r"\(3, 3\)"),
        (np.zeros((9, 9)), np.zeros((3, 3)), (9, 9), "inverted"),
        (np.zeros((9, 9)), np.eye(3), (9,), "2 to 2 lengths"),
        (np.zeros((9, 9)), np.eye(4), (2, 9, 9), "2 to 2 lengths"),
        (np.zeros(9), np.eye(3), (9, 9), "2 axes"),
        (np.zeros((2, 9, 9)), affine(Rotation.from_euler("z", 9).as_matrix(), (0, 0, 0)), (2, 9, 9), "spatial_ndim=3"),
    ],
)
def test_what_does_not_go_together_is_refused(array: Array, matrix: Array, shape: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        resample(array, matrix, shape)


def test_complex_numbers_are_refused() -> None:
    with pytest.raises(TypeError, match="complex"):
        resample(np.zeros((9, 9), complex), np.eye(3), (9, 9))


def test_of_two_frames_that_are_as_near_the_later_one_counts() -> None:
    places = np.array([[-0.51], [-0.5], [0.5], [1.4], [1.5 - 1e-9], [3.5], [3.51]])
    index, there = find_nearest(places, (4,))
    assert index[:, 0].tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert there.tolist() == [False, True, True, True, True, True, False]
