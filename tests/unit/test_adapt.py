"""Adaptation: fits by hand, what cross-validation may see, and folders of adapted models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from snellen.backend import SNELLEN_1, BackendError
from snellen.snellen1.adaptation import Adaptation
from snellen.snellen1.files import ADAPTATION, ModelFiles, mark, save_adapted
from snellen.train.adapt import (
    Choices,
    Rated,
    adapt,
    choose_ridge,
    cross_adapt,
    cross_adapt_to_choices,
    cross_thresholds,
    fit,
    fit_choices,
    fit_thresholds,
    folds_of,
)

RNG = np.random.default_rng(0)


def rated(count: int, taste: float, noise: float = 0.1, seed: int = 0) -> Rated:
    """Pictures whose owner adds `taste` times the first component to the shipped rating."""
    rng = np.random.default_rng(seed)
    rating, components = rng.uniform(1.5, 4.5, count), rng.normal(size=(count, 6))
    mos = rating + taste * components[:, 0] + noise * rng.normal(size=count)
    return Rated(rating, components, mos, np.arange(count))


def test_a_ridge_of_infinity_fits_the_line_by_hand() -> None:
    # r - mean = (-1, 1), own less shipped, centred = (-1, 1); s = r.y / (r.r + N 0.1 var r) = 2 / (2 + 2 * 0.1)
    own = Rated(np.array([2.0, 4.0]), np.array([[0.0], [3.0]]), np.array([1.0, 5.0]), np.arange(2))
    found = fit(own, np.inf)
    assert found.slope == pytest.approx(1.0 + 2.0 / 2.2)
    assert found.weights.tolist() == [0.0]
    assert found(3.0, np.array([9.0])) == pytest.approx(3.0), "the mean rating stays the mean own rating"


def test_a_finite_ridge_fits_weights_by_hand() -> None:
    # all shipped ratings 3: s = 0. z = (-1, 1), |z|^2 = 1, y = (-1, 1): w = z.y / (z.z + N ridge |z|^2) = 2 / (2 + 2)
    own = Rated(np.array([3.0, 3.0]), np.array([[0.0], [2.0]]), np.array([2.0, 4.0]), np.arange(2))
    found = fit(own, 1.0)
    assert found.weights == pytest.approx([0.5]) and found.slope == pytest.approx(1.0)
    assert found(np.array([3.0]), np.array([[2.0]])) == pytest.approx([3.5])


def test_a_taste_is_learned_and_no_taste_leaves_the_line_alone() -> None:
    own = rated(200, taste=0.5)
    found = adapt(own)
    assert found.weights[0] == pytest.approx(0.5, abs=0.05) and np.abs(found.weights[1:]).max() < 0.05
    assert choose_ridge(rated(60, taste=0.0, noise=0.5)) >= 0.3, "noise is not learned"


def test_cross_validation_does_not_see_the_picture_that_it_rates() -> None:
    own = rated(60, taste=0.5)
    other = own.mos.copy()
    other[7] += 100.0
    changed = Rated(own.rating, own.components, other, own.group)
    assert cross_adapt(own)[7] == cross_adapt(changed)[7]


def test_groups_stay_in_one_fold() -> None:
    group = np.repeat(np.arange(20), 3)
    fold = folds_of(group)
    assert all(len(set(fold[group == one])) == 1 for one in range(20)) and set(fold) == set(range(5))


def choices(taste: float, count: int = 400) -> Choices:
    own = rated(80, taste, noise=0.0)
    pairs = np.array([RNG.choice(80, 2, replace=False) for _ in range(count)])
    return Choices(own.rating, own.components, pairs, (own.mos[pairs[:, 0]] > own.mos[pairs[:, 1]]).astype(float))


def test_choices_teach_the_taste_in_units_of_the_rating() -> None:
    found = fit_choices(choices(taste=0.8, count=2000), 1e-4)
    assert found.weights[0] == pytest.approx(0.8, abs=0.1) and (found.intercept, found.slope) == (0.0, 1.0)


def test_choices_of_another_taste_are_predicted_better_than_by_the_shipped_rating() -> None:
    shipped, adapted = cross_adapt_to_choices(choices(taste=0.8))
    assert adapted.mean() > shipped.mean() + 0.1
    assert set(np.unique(shipped)) <= {0.0, 0.5, 1.0}


def test_thresholds_by_hand() -> None:
    probability = np.array([[0.1], [0.2], [0.3], [0.6]])
    minded = np.array([[False], [True], [True], [True]])
    # no kind is wrong from 0.2 on; 3 pictures of 20 + 3: a share of 3 / 23 of the way from 0.5 to 0.2
    assert fit_thresholds(probability, minded, np.array([0.5])) == pytest.approx([0.5 + 3 / 23 * (0.2 - 0.5)])
    assert fit_thresholds(probability, minded & False, np.array([0.7])) == pytest.approx([0.7]), (
        "none wrong: as shipped"
    )


def test_wrong_kinds_are_counted_with_thresholds_of_the_other_folds() -> None:
    probability = RNG.uniform(size=(100, 1))
    wrong = cross_thresholds(probability, probability > 0.3, np.array([0.9]), np.arange(100))
    assert wrong.mean() < ((probability >= 0.9) != (probability > 0.3)).mean()


def test_an_adapted_folder_uses_the_bundled_weights(tmp_path: Path) -> None:
    adaptation = Adaptation(0.5, 0.9, np.zeros(256), np.full(256, 0.25))
    save_adapted(tmp_path / "own", adaptation, {"name": "mine", "version": "1"})
    files = ModelFiles.open(tmp_path / "own")
    assert files.weights == SNELLEN_1 and files.card["name"] == "mine"
    assert files.card["thresholds"] == ModelFiles.open(SNELLEN_1).card["thresholds"]
    assert files.adaptation is not None and files.adaptation(2.0, np.ones(256)) == pytest.approx(0.5 + 1.8 + 64.0)
    assert sum(file.stat().st_size for file in (tmp_path / "own").iterdir()) < 2_000_000


def test_an_adapted_folder_of_other_weights_is_refused(tmp_path: Path) -> None:
    save_adapted(tmp_path, Adaptation(0.0, 1.0, np.zeros(256), np.zeros(256)), {"name": "mine", "version": "1"})
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["adapts"] == mark(ModelFiles.open(SNELLEN_1).card)
    (tmp_path / "card.json").write_text(json.dumps(card | {"adapts": "0" * 64}))
    with pytest.raises(BackendError, match="adapts other weights"):
        ModelFiles.open(tmp_path)


def test_a_changed_adaptation_is_refused(tmp_path: Path) -> None:
    save_adapted(tmp_path, Adaptation(0.0, 1.0, np.zeros(256), np.zeros(256)), {"name": "mine", "version": "1"})
    (tmp_path / ADAPTATION).write_bytes(b"other")
    with pytest.raises(BackendError, match=r"adaptation\.npz is not the file"):
        ModelFiles.open(tmp_path)
