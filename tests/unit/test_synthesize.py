from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from snellen.data.synthesize import (
    PRISTINE_MOS,
    Recipe,
    developed,
    plan,
    read_recipes,
    realise,
    synthetic_mos,
    visible_change,
    write_recipes,
)
from snellen.image import load
from snellen.region import FULL, Region


def picture() -> np.ndarray:
    y, x = np.mgrid[0:96, 0:128]
    return np.stack([x * 2, y * 2, 128 + 60 * np.sin(x) * np.cos(y)], axis=2).astype(np.uint8)


def test_a_whole_fault_lowers_a_pristine_picture_to_the_level_mean() -> None:
    assert synthetic_mos(PRISTINE_MOS, 2.0, 1.0) == pytest.approx(2.0)


def test_the_mos_of_a_fault_in_a_quarter_by_hand() -> None:
    # from 4.65 to 2.0 costs 2.65; a quarter costs 0.3 + 0.7 * 0.5 = 0.65 of it
    assert synthetic_mos(PRISTINE_MOS, 2.0, 0.25) == pytest.approx(4.65 - 0.65 * 2.65)


def test_a_fault_never_raises_the_mos() -> None:
    assert synthetic_mos(3.0, 5.0, 1.0) == pytest.approx(3.0)


def test_recipes_read_back_and_make_the_same_pixels(tmp_path: Path) -> None:
    sources = [("a.png", 128, 96, 4.5), ("b.png", 128, 96, 4.2)]
    recipes = plan(sources, 24, seed=3, min_megapixels=0.005, develop=0.5)
    assert 0 < sum(recipe.develop is not None for recipe in recipes) < 24
    write_recipes(recipes, tmp_path / "recipes.jsonl")
    again = list(read_recipes(tmp_path / "recipes.jsonl"))
    assert again == recipes
    source = load(picture())
    for one, two in zip(recipes, again, strict=True):
        assert np.array_equal(realise(one, source).pixels, realise(two, source).pixels)
    assert {recipe.source for recipe in recipes} == {"a.png", "b.png"}
    assert any(recipe.distortion is None and recipe.kind is None and recipe.mos == recipe.base for recipe in recipes)


def test_outside_the_region_nothing_changes() -> None:
    source = load(picture())
    recipe = Recipe("a.png", FULL, 4.5, "white_noise", 5, Region(0.5, 0.5, 1.0, 1.0), 1)
    made = realise(recipe, source).pixels
    assert np.array_equal(made[:48], source.pixels[:48]) and np.array_equal(made[:, :64], source.pixels[:, :64])
    assert not np.array_equal(made, source.pixels)


def test_a_developed_picture_differs_but_little() -> None:
    y, x = np.mgrid[0:900, 0:1200]
    pixels = np.stack([x / 5, y / 4, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], axis=2).astype(np.uint8)
    sizes, means, gray, toned = set(), [], 0, 0
    for seed in range(60):
        made = developed(pixels, seed)
        assert np.array_equal(made, developed(pixels, seed))
        sizes.add(made.shape)
        shades = len(np.unique(made[::9, ::9].reshape(-1, 3), axis=0))
        gray += bool((made == made[..., :1]).all())
        toned += shades <= 256 and not (made == made[..., :1]).all()
        if shades > 256:
            means.append(made.mean(axis=(0, 1)) - pixels.mean(axis=(0, 1)))
    assert 1 <= gray <= 10 and 1 <= toned <= 10
    assert (900, 1200, 3) in sizes and len(sizes) > 10
    assert min(min(shape[:2]) for shape in sizes) >= 512
    assert 2.0 < np.std(means) < 12.0 and np.abs(means).max() < 40.0
    assert developed(pixels[:300], 1).shape == pixels[:300].shape  # never below 512 px


def test_a_whole_picture_without_color_is_no_fault_and_a_part_of_one_is() -> None:
    part = Region(0.2, 0.2, 0.7, 0.7)
    assert Recipe("a", FULL, 4.5, "saturation_hsv", 4, FULL, 1).kind is None
    assert Recipe("a", FULL, 4.5, "saturation_hsv", 4, part, 1).kind == "saturation"
    assert Recipe("a", FULL, 4.5, "saturation_hsv", 3, FULL, 1).kind == "saturation"
    gray = load(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    made = realise(Recipe("a", FULL, 4.5, "saturation_hsv", 4, FULL, 1), gray).pixels
    assert np.ptp(made.astype(int), axis=2).max() <= 1


def test_a_fault_is_applied_to_the_developed_picture() -> None:
    source = load(picture())
    clean = Recipe("a.png", FULL, 4.5, None, 1, FULL, 1, develop=7)
    faulty = Recipe("a.png", FULL, 4.5, "white_noise", 5, Region(0.5, 0.5, 1.0, 1.0), 1, develop=7)
    before, after = realise(clean, source).pixels, realise(faulty, source).pixels
    assert not np.array_equal(before, source.pixels)
    assert np.array_equal(after[:48], before[:48]) and not np.array_equal(after, before)
    assert visible_change(clean, source) == 0.0


def test_blur_on_a_plain_wall_is_not_visible_and_noise_is() -> None:
    wall = load(np.full((96, 128, 3), 180, np.uint8))
    region = Region(0.2, 0.2, 0.7, 0.7)
    assert visible_change(Recipe("a", FULL, 4.5, "gaussian_blur", 5, region, 1), wall) == pytest.approx(0.0, abs=0.01)
    assert visible_change(Recipe("a", FULL, 4.5, "white_noise", 3, region, 1), wall) > 2.5
    assert visible_change(Recipe("a", FULL, 4.5, None, 1, FULL, 1), wall) == 0.0
