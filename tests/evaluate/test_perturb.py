from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from evaluate_rows import photograph

from snellen.data.synthesize import Recipe
from snellen.evaluate import perturb
from snellen.evaluate.perturb import DRAWN, DRAWN_SIZE, PERTURBATIONS, drawn, perturbed
from snellen.image import ImageError, load
from snellen.region import FULL, Region


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(photograph(tmp_path / "a.png", 200, 150))


def test_perturbations(path: str) -> None:
    before = load(path).pixels
    after = {name: perturbed(path, name).pixels for name in PERTURBATIONS}
    assert np.array_equal(after["shifted 1 px"], before[1:, 1:])
    assert np.array_equal(after["flipped"][:, ::-1], before)
    assert after["resized 1 %"].shape == (148, 198, 3)  # 148.5 to the even one
    assert np.array_equal(after["png"], before)
    assert np.array_equal(after["webp lossless"], before)
    lost = np.abs(after["jpeg q100"].astype(int) - before)
    assert 0 < lost.max() < 12
    with pytest.raises(ValueError, match="unknown perturbation 'sharpened'"):
        perturbed(path, "sharpened")


def test_reduced_is_about_the_size_of_kadid(tmp_path: Path) -> None:
    large = perturb.reduced(str(photograph(tmp_path / "b.png", 900, 600)))
    assert abs(large.width * large.height - 512 * 384) < 1000
    small = perturb.reduced(str(photograph(tmp_path / "c.png", 90, 60)))
    assert (small.width, small.height) == (90, 60)  # never enlarged


def test_what_makes_pictures_can_be_pickled_and_repeats(path: str) -> None:
    make = pickle.loads(pickle.dumps(partial(perturb.distorted, path, "white_noise", 3, 7)))
    assert np.array_equal(make().pixels, perturb.distorted(path, "white_noise", 3, 7).pixels)
    assert not np.array_equal(make().pixels, perturb.reduced(path).pixels)


def test_clean_pixels_are_restored(path: str) -> None:
    fault = Region(0.0, 0.0, 0.5, 0.5)
    recipe = Recipe(path, Region(0.1, 0.2, 0.9, 1.0), 4.55, "white_noise", 5, fault, 3)
    clean = load(path).pixels[30:150, 20:180]
    spoilt = perturb.realised(recipe).pixels
    half = perturb.recipe_repaired(recipe, Region(0.0, 0.0, 0.25, 1.0)).pixels
    assert np.array_equal(half[:, :40], clean[:, :40])
    assert np.array_equal(half[:, 40:], spoilt[:, 40:])
    assert np.array_equal(perturb.recipe_repaired(recipe, FULL).pixels, clean)
    assert not np.array_equal(spoilt, clean)


def test_pixels_of_a_reference_are_restored(path: str, tmp_path: Path) -> None:
    other = str(photograph(tmp_path / "other.png", 200, 150, seed=9))
    mended = perturb.file_repaired(path, other, Region(0.0, 0.0, 1.0, 0.5)).pixels
    assert np.array_equal(mended, np.concatenate([load(other).pixels[:75], load(path).pixels[75:]]))
    small = str(photograph(tmp_path / "small.png", 100, 75))
    with pytest.raises(ImageError, match="another size"):
        perturb.file_repaired(path, small, FULL)


def test_a_portrait_is_sharp_in_the_middle_only(path: str) -> None:
    before, after = perturb.reduced(path).pixels.astype(int), perturb.portrait(path).pixels.astype(int)
    middle = np.s_[60:90, 85:115]
    assert np.array_equal(after[middle], before[middle])
    corner = np.s_[:25, :30]
    assert np.array_equal(after[corner], perturb.out_of_focus(path).pixels.astype(int)[corner])
    assert before[corner].std() > 2 * after[corner].std()


@pytest.mark.parametrize("kind", DRAWN)
def test_drawn_pictures(kind: str) -> None:
    first = drawn(kind, 0).pixels
    assert first.shape == (DRAWN_SIZE[1], DRAWN_SIZE[0], 3)
    assert np.array_equal(first, drawn(kind, 0).pixels)
    assert not np.array_equal(first, drawn(kind, 1).pixels)


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown kind 'cat'"):
        drawn("cat", 0)
