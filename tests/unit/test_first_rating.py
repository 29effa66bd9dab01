from __future__ import annotations

import numpy as np
import pytest

from snellen.data.first_rating import out_of_fold, predict_first_ratings
from snellen.features import CELLS, Feature, Features


def measured(sharpness: float) -> Features:
    cells = np.full((CELLS, CELLS), sharpness, np.float32)
    return Features({"sharpness": Feature(sharpness, "", (0.0, None))}, {"sharpness": cells})


def test_ridge_by_hand() -> None:
    # The fold of row 2 is fit on rows 0 and 1: x standardised to -1 and 1, targets 1 and 3, centre 2. Gram 2 + penalty
    # 2 = 4, x . (y - 2) = 2, so the weight is 0.5; row 2 lies at 3 deviations: 2 + 0.5 * 3 = 3.5.
    table, target = np.array([[0.0], [2.0], [4.0]]), np.array([1.0, 3.0, 9.0])
    predicted = out_of_fold(table, target, np.array([0, 0, 1]), 2.0)
    assert predicted[2] == pytest.approx(3.5)
    # Rows 0 and 1 are fit on row 2 alone, which has no spread: its target.
    assert predicted[:2].tolist() == pytest.approx([9.0, 9.0])


def test_ratings_follow_the_features_but_never_the_picture_itself() -> None:
    rng = np.random.default_rng(0)
    mos = rng.uniform(1, 5, 60)
    pictures = [measured(0.1 + 0.1 * label + float(rng.normal(0, 0.02))) for label in mos]
    groups = [str(i) for i in range(60)]
    ratings = predict_first_ratings(pictures, mos, groups)
    assert np.corrcoef([one.rating for one in ratings], mos)[0, 1] > 0.8
    changed = mos.copy()
    changed[7] = 1.0 if changed[7] > 3 else 5.0
    again = predict_first_ratings(pictures, changed, groups)
    assert again[7].rating == pytest.approx(ratings[7].rating)
    assert any(abs(a.rating - b.rating) > 1e-6 for a, b in zip(again, ratings, strict=True))
    with pytest.raises(ValueError, match="two groups"):
        predict_first_ratings(pictures[:2], mos[:2], ["a", "a"])
