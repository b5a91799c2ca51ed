"""Settings: every parameter once, checked when it is set."""

from __future__ import annotations

import dataclasses
import pickle
from fractions import Fraction
from typing import Any, Literal, get_args, get_origin

import numpy as np
import pytest

from napari_image_diff import Settings
from napari_image_diff.settings import describe_fields

NUMBERS = ["threshold", "sensitivity", "min_area", "win_size", "sigma", "data_range"]

SSIM = {
    "window": "uniform",
    "win_size": 7,
    "sigma": 1.5,
    "use_sample_covariance": True,
    "data_range": 0.0,
    "channels": "auto",
}


def test_default_detects() -> None:
    assert dataclasses.asdict(Settings()) == {
        "threshold": "auto",
        "sensitivity": 1.0,
        "shared_threshold": False,
        "min_area": -1.0,
        "align": "translation",
        "match_intensity": "none",
        "size": "error",
        "alpha": "compare",
        "spatial_ndim": 2,
        **SSIM,
    }


def test_classic_is_the_recipe() -> None:
    classic = Settings.classic()
    assert dataclasses.asdict(classic) == {
        "threshold": "otsu",
        "sensitivity": 1.0,
        "shared_threshold": False,
        "min_area": 40.0,
        "align": "none",
        "match_intensity": "none",
        "size": "error",
        "alpha": "drop",
        "spatial_ndim": 2,
        **SSIM,
    }
    assert Settings.classic(min_area=-1) == dataclasses.replace(classic, min_area=-1)
    assert Settings.classic(threshold=0.3, align="rigid") == dataclasses.replace(classic, threshold=0.3, align="rigid")


def test_wang2004() -> None:
    expected = Settings.classic(window="gaussian", sigma=1.5, use_sample_covariance=False)
    assert Settings.wang2004() == expected
    assert Settings.wang2004(use_sample_covariance=True, align="affine").align == "affine"
    assert Settings.wang2004(sigma=2, min_area=0) == dataclasses.replace(expected, sigma=2.0, min_area=0.0)


def test_every_field_is_described() -> None:
    described = describe_fields()
    assert list(described) == [field.name for field in dataclasses.fields(Settings)]
    for name, (kind, metadata) in described.items():
        assert metadata["label"], name
        assert metadata["help"].endswith("."), name
        numeric = kind in (int, float) or float in get_args(kind)
        assert {"min", "max", "step"} <= metadata.keys() or not numeric, name
        assert "unit" in metadata or not numeric or name == "sensitivity", name
        default = getattr(Settings(), name)
        if isinstance(default, str):
            assert default in str(kind)
        elif numeric:
            assert metadata["min"] <= default <= metadata["max"]


def test_kinds_are_those_that_a_form_can_show() -> None:
    for name, (kind, _) in describe_fields().items():
        parts = get_args(kind) if name == "threshold" else [kind]
        assert all(part in (bool, int, float) or get_origin(part) is Literal for part in parts), name


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_are_inclusive(name: str) -> None:
    metadata = describe_fields()[name][1]
    for value in (metadata["min"], metadata["max"]):
        assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", -0.001),
        ("threshold", 2.001),
        ("threshold", np.inf),
        ("sensitivity", 0.0999),
        ("sensitivity", 10.1),
        ("sensitivity", 0),
        ("sensitivity", -1),
        ("win_size", 1),
        ("win_size", 183),
        ("win_size", -7),
        ("win_size", np.inf),
        ("sigma", 0),
        ("sigma", 25.1),
        ("data_range", -1),
        ("data_range", np.inf),
        *((name, 10**400) for name in NUMBERS),
        *((name, np.nan) for name in NUMBERS),
    ],
)
def test_beyond_bounds_is_refused(name: str, value: float) -> None:
    metadata = describe_fields()[name][1]
    wanted = rf"^{name} is .*; give a number from {metadata['min']:g} to "
    with pytest.raises(ValueError, match=wanted):
        Settings(**{name: value})


@pytest.mark.parametrize("value", [-1000.0, -np.inf, 1e12, np.inf])
def test_any_minimum_area_makes_sense(value: float) -> None:
    assert Settings(min_area=value).min_area == value


@pytest.mark.parametrize(("value", "hint"), [(4, "5"), (180, "181"), (np.uint8(10), "11")])
def test_even_window_is_refused_with_the_next_odd_one(value: int, hint: str) -> None:
    with pytest.raises(ValueError, match=rf"win_size is {value}, which is even; give an odd number, such as {hint}"):
        Settings(win_size=value)


def test_part_of_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"win_size is 7.5; give a whole number"):
        Settings(win_size=7.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threshold", "Otsu", "'auto' or 'otsu' or a number"),
        ("threshold", "", "'auto' or 'otsu' or a number"),
        ("align", "shift", "'none' or 'translation' or 'rigid' or 'affine'"),
        ("match_intensity", "gain", "'none' or 'gain_offset'"),
        ("size", "resize", "'error' or 'overlap' or 'pad'"),
        ("alpha", "keep", "'compare' or 'drop'"),
        ("window", "Gaussian", "'uniform' or 'gaussian'"),
        ("channels", "first", "'auto' or 'last' or 'none'"),
    ],
)
def test_other_words_are_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is {value!r}; give {words}$"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("threshold", None, "'auto' or 'otsu' or a number"),
        ("threshold", True, "'auto' or 'otsu' or a number"),
        ("threshold", np.True_, "'auto' or 'otsu' or a number"),
        ("threshold", [0.5], "'auto' or 'otsu' or a number"),
        ("sensitivity", "auto", "a number"),
        ("sensitivity", True, "a number"),
        ("align", None, "'none' or 'translation' or 'rigid' or 'affine'"),
        ("align", False, "'none' or 'translation' or 'rigid' or 'affine'"),
        ("match_intensity", True, "'none' or 'gain_offset'"),
        ("size", 2, "'error' or 'overlap' or 'pad'"),
        ("alpha", True, "'compare' or 'drop'"),
        ("min_area", "40", "a number"),
        ("min_area", False, "a number"),
        ("min_area", 1j, "a number"),
        ("win_size", "7", "a whole number"),
        ("win_size", True, "a whole number"),
        ("win_size", None, "a whole number"),
        ("win_size", np.ones(1), "a whole number"),
        ("use_sample_covariance", 1, "True or False"),
        ("use_sample_covariance", 0.0, "True or False"),
        ("use_sample_covariance", "yes", "True or False"),
        ("use_sample_covariance", None, "True or False"),
        ("window", 7, "'uniform' or 'gaussian'"),
        ("window", None, "'uniform' or 'gaussian'"),
        ("channels", False, "'auto' or 'last' or 'none'"),
    ],
)
def test_other_kinds_are_refused(name: str, value: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"^{name} is .*; give {words}$"):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "plain"),
    [
        ("win_size", np.int64(9), 9),
        ("win_size", np.uint8(9), 9),
        ("win_size", 9.0, 9),
        ("win_size", np.float32(9), 9),
        ("threshold", np.float32(0.25), 0.25),
        ("threshold", np.longdouble(0.25), 0.25),
        ("threshold", 1, 1.0),
        ("threshold", np.str_("otsu"), "otsu"),
        ("threshold", np.str_("auto"), "auto"),
        ("sensitivity", 2, 2.0),
        ("align", np.str_("rigid"), "rigid"),
        ("threshold", Fraction(1, 4), 0.25),
        ("min_area", np.int16(-1), -1.0),
        ("use_sample_covariance", np.False_, False),
        ("window", np.str_("gaussian"), "gaussian"),
    ],
)
def test_numbers_of_numpy_become_plain(name: str, value: Any, plain: Any) -> None:
    found = getattr(Settings(**{name: value}), name)
    assert found == plain
    assert type(found) is type(plain)


def test_immutable_hashable_and_kept_by_pickle() -> None:
    settings = Settings(threshold=0.2, win_size=11)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.win_size = 3  # type: ignore[misc]
    assert {settings: 1}[Settings(win_size=np.int32(11), threshold=np.float64(0.2))] == 1  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert Settings(**dataclasses.asdict(settings)) == settings


def test_resolve_takes_settings_a_mapping_or_none_and_changes() -> None:
    expected = Settings(win_size=9, min_area=3)
    assert Settings.resolve() == Settings.resolve(None) == Settings.resolve({}) == Settings()
    assert Settings.resolve(expected) == expected
    assert Settings.resolve({"win_size": 9}, min_area=3) == expected
    assert Settings.resolve({"win_size": 5}, min_area=3, win_size=9) == expected
    assert Settings.resolve(Settings(win_size=9), min_area=3) == expected


@pytest.mark.parametrize("settings", [None, Settings(), {}, {"min_area": 3}])
def test_resolve_refuses_names_that_are_not_settings(settings: Any) -> None:
    words = "no such setting: sensitivty, winsize; the settings are threshold, sensitivity, shared_threshold, min_area"
    with pytest.raises(TypeError, match=words):
        Settings.resolve(settings, winsize=3, sensitivty=1)
    with pytest.raises(TypeError, match="no such setting: winsize"):
        Settings.resolve({"winsize": 3})


@pytest.mark.parametrize("settings", [7, "classic", [("win_size", 9)], Settings])
def test_resolve_refuses_what_are_no_settings(settings: Any) -> None:
    with pytest.raises(TypeError, match=f"settings is a {type(settings).__name__}; give a Settings, a dict"):
        Settings.resolve(settings)


def test_resolve_checks_the_changes() -> None:
    with pytest.raises(ValueError, match="win_size is 8, which is even"):
        Settings.resolve(Settings(), win_size=8)
