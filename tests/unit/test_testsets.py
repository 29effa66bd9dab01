"""The synthetic test sets: what is in them, and that every rung is what it says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from snellen.data.levels import level_mos
from snellen.data.photographs import Photograph
from snellen.data.synthesize import VISIBLE, Recipe, visible_change
from snellen.data.testsets import (
    LADDERS,
    Rung,
    local_faults,
    native_detail,
    realise_rung,
    sensor_noise_at,
)
from snellen.image import Picture, load
from snellen.region import FULL

PHOTOGRAPHS = [Photograph("a.jpg", 6000, 4000), Photograph("b.jpg", 3000, 2000), Photograph("small.jpg", 1600, 1200)]


def large_photograph(path: Path, seed: int) -> Photograph:
    detail = np.random.default_rng(seed).integers(0, 255, (250, 350, 3), np.uint8)
    Image.fromarray(detail).resize((2400, 1750)).save(path)
    return Photograph(str(path), 2400, 1750)


def test_local_faults_are_what_the_set_promises(tmp_path: Path) -> None:
    large = large_photograph(tmp_path / "large.jpg", 0)
    recipes = local_faults([large, PHOTOGRAPHS[2]], strong=6, mild=2, clean=3)
    faulty = [recipe for recipe in recipes if recipe.distortion is not None]
    assert [recipe.level >= 3 for recipe in faulty] == [True] * 6 + [False] * 2
    assert len(recipes) == 11
    source = load(large.path)
    for recipe in recipes:
        left, top, right, bottom = recipe.frame.to_pixels(2400, 1750)
        assert (right - left) * (bottom - top) >= 4_000_000
        assert recipe.source == large.path
    for recipe in faulty:
        assert recipe.kind is not None
        assert visible_change(recipe, source) >= VISIBLE
        assert min(recipe.region.width, recipe.region.height) >= 0.199
        assert max(recipe.region.width, recipe.region.height) <= 0.501


def test_what_is_drawn_for_a_photograph_depends_on_its_bytes_alone(tmp_path: Path) -> None:
    one, other = large_photograph(tmp_path / "one.jpg", 0), large_photograph(tmp_path / "other.jpg", 1)
    again = large_photograph(tmp_path / "renamed.jpg", 0)

    def drawn(photographs: list[Photograph], of: Photograph) -> list[Recipe]:
        recipes = local_faults(photographs, strong=1, mild=1, clean=1)
        return [replace(recipe, source="") for recipe in recipes if recipe.source == of.path]

    assert drawn([other, one], one) == drawn([one], one) == drawn([again], again)
    assert drawn([other, one], one) != drawn([other, one], other)


def test_local_faults_need_large_photographs() -> None:
    with pytest.raises(ValueError, match="megapixels"):
        local_faults(PHOTOGRAPHS[2:])


def test_native_detail_is_five_ladders_of_five_for_each_photograph() -> None:
    rungs = native_detail(PHOTOGRAPHS)
    assert len(rungs) == len(set(rungs)) == 3 * 26
    left, top, right, bottom = rungs[0].frame.to_pixels(6000, 4000)
    assert 3_900_000 < (right - left) * (bottom - top) <= 4_005_000
    assert left == pytest.approx(6000 - right, abs=1)
    assert rungs[-1].frame == FULL


@pytest.mark.parametrize("name", sorted(LADDERS))
def test_each_rung_is_further_from_the_original_and_worth_less(name: str) -> None:
    rng = np.random.default_rng(0)
    soft = gaussian_filter(rng.normal(0, 1, (192, 256, 3)), (1.5, 1.5, 0))  # detail at every scale above a pixel
    clean = Picture(np.clip(128 + 40 * soft / soft.std(), 0, 255).astype(np.uint8), "clean")
    pictures = [realise_rung(Rung("clean.png", FULL, name, level, level), clean) for level in range(1, 6)]
    away = [float(np.abs(p.pixels.astype(float) - clean.pixels).mean()) for p in pictures]
    assert away[0] > 0
    assert away == sorted(away)
    means = [LADDERS[name].human_mean(level) for level in range(6)]
    assert means == sorted(means, reverse=True)
    assert len(set(means)) == 6
    assert all(p.pixels.shape == clean.pixels.shape for p in pictures)


def test_human_means_are_those_of_kadid_where_a_setting_is_its() -> None:
    known = {("jpeg", 7): ("jpeg", 4), ("slight_blur", 2.0): ("gaussian_blur", 4), ("upscaled", 4.0): ("pixelate", 5)}
    for (name, setting), (distortion, level) in known.items():
        assert dict(LADDERS[name].human)[setting] == level_mos(distortion, level)[0]
    noise = LADDERS["sensor_noise"].human[1:]
    assert [mean for _, mean in noise] == [level_mos("white_noise", level)[0] for level in range(1, 6)]
    assert [setting for setting, _ in noise] == pytest.approx([8.06, 11.4, 13.97, 18.03, 25.5])
    assert LADDERS["slight_blur"].human_mean(4) == 1.873


def test_sensor_noise_has_its_sigma_and_grows_with_light() -> None:
    pixels = np.repeat(np.array([60, 180], np.uint8), 200)[None, :, None].repeat(200, 0).repeat(3, 2)
    change = sensor_noise_at(pixels, 8.0, np.random.default_rng(0)).astype(float) - pixels
    assert np.sqrt((change**2).mean()) == pytest.approx(8.0, rel=0.02)
    # variance 0.3 + 0.7 x / mean: 0.65 and 1.35 of the mean variance
    assert change[:, :200].std() == pytest.approx(8.0 * 0.65**0.5, rel=0.03)
    assert change[:, 200:].std() == pytest.approx(8.0 * 1.35**0.5, rel=0.03)
