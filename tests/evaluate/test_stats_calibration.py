# mypy: disable-error-code="comparison-overlap"
"""Calibration statistics against values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from snellen.backend import Calibration
from snellen.evaluate.stats.calibration import (
    Scored,
    card_fields,
    conditional_coverage,
    conformal_quantile,
    fit_calibration,
    fit_ends,
    quantile_calibration,
    risk_coverage,
    split_half_coverage,
)


def test_conformal_quantile_worked_by_hand() -> None:
    scores = [9, 1, 8, 2, 7, 3, 6, 4, 5]  # nine: the 0.9 quantile is the (9 + 1) * 0.9 = 9th, the 0.5 the 5th
    assert conformal_quantile(scores, 0.9) == 9
    assert conformal_quantile(scores, 0.5) == 5
    with pytest.raises(ValueError, match="too few"):
        conformal_quantile(scores, 0.95)


def test_conformal_quantile_keeps_its_promise() -> None:
    rng = np.random.default_rng(3)
    inside = [rng.exponential() <= conformal_quantile(rng.exponential(size=19), 0.9) for _ in range(4000)]
    assert 0.88 < np.mean(inside) < 0.92


def test_conditional_coverage_finds_where_an_interval_fails() -> None:
    key = np.arange(10.0)
    wanted = np.where(key < 5, 3.0, 9.0)
    low_bin, high_bin = conditional_coverage(np.full(10, 2.0), np.full(10, 4.0), wanted, key[::-1], bins=2)
    assert (low_bin[:3], high_bin[:3]) == ((0.0, 4.0, 5), (5.0, 9.0, 5))
    assert (low_bin[3][0], high_bin[3][0]) == (0.0, 1.0)


def test_quantile_calibration_worked_by_hand() -> None:
    quantiles = [[2.0, 3.0], [2.0, 3.0], [2.0, 4.0], [1.0, 4.0]]
    observed, error = quantile_calibration(quantiles, [0.25, 0.75], [2.0, 2.5, 3.5, 4.5])
    assert observed.tolist() == [0.25, 0.75] and error == 0.0
    sure, error = quantile_calibration(quantiles, [0.25, 0.75], [5.0, 5.0, 5.0, 5.0])
    assert sure.tolist() == [0.0, 0.0] and error == 0.5


def test_quantile_calibration_of_the_true_distribution_is_small() -> None:
    rng = np.random.default_rng(1)
    levels = np.arange(1, 20) / 20
    quantiles = np.tile(stats.norm.ppf(levels), (4000, 1))
    assert quantile_calibration(quantiles, levels, rng.normal(size=4000))[1] < 0.01
    assert quantile_calibration(0.5 * quantiles, levels, rng.normal(size=4000))[1] > 0.1


def test_risk_coverage_worked_by_hand() -> None:
    coverage, risk, area = risk_coverage([4.0, 0.0, 2.0, 2.0], [0.9, 0.1, 0.5, 0.5])
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == [0.0, 1.0, pytest.approx(4 / 3), 2.0]
    assert area == pytest.approx((0 + 1 + 4 / 3 + 2) / 4)
    assert risk_coverage([1.0, 3.0], [0.5, 0.5])[1].tolist() == [2.0, 2.0], "ties have no order"


def test_the_fit_worked_by_hand() -> None:
    # nine pictures of one std: |error| / std is 1..9, and the 0.9 quantile of nine is the ninth
    score, std = np.full(9, 3.0), np.full(9, 0.1)
    wanted = score + 0.1 * np.arange(1, 10)
    fitted = fit_calibration(score, std, wanted, 0.9)
    assert fitted.q * fitted.floor == pytest.approx(0.9) and fitted.coverage == 0.9


def test_a_fit_on_one_half_covers_the_other() -> None:
    rng = np.random.default_rng(0)
    std = rng.uniform(0.1, 0.5, 400)
    score = rng.uniform(2, 4, 400)
    covered = [split_half_coverage(score, std, score + std * rng.normal(size=400), 0.9, seed) for seed in range(10)]
    assert np.mean(covered) == pytest.approx(0.9, abs=0.03)


def test_the_fit_takes_the_floor_of_the_narrowest_intervals() -> None:
    # all errors are 0.1; with the floor 0.01 the quantile is 10 and the mean width 0.53, with 0.1 it is 1 and 0.1
    std = np.array([0.01] * 10 + [0.1] * 9)
    fitted = fit_calibration(np.full(19, 3.0), std, np.full(19, 3.1), 0.9)
    assert (fitted.q, fitted.floor) == (pytest.approx(1.0), pytest.approx(0.1))


def test_each_end_is_fitted_to_the_set_that_needs_more() -> None:
    # level 0.5, so each end is the 0.75 quantile: of three pictures the third smallest. std 0.2, below the floor of 0.5
    def scored(*errors: float) -> Scored:
        return Scored(np.full(3, 3.0), np.full(3, 0.2), 3.0 + np.array(errors))

    ends = fit_ends(Calibration(9.0, 0.5, 0.5), [scored(-0.2, 0.1, 0.3), scored(-0.8, -0.4, 0.1)])
    assert (ends.below, ends.above) == (pytest.approx(1.6), pytest.approx(0.6)), "0.8 and 0.3, in s = 0.5"
    assert (ends.q, ends.floor, ends.coverage) == (9.0, 0.5, 0.5)
    assert ends.interval(3.0, 0.2) == pytest.approx((2.2, 3.3))
    assert ends.interval(1.5, 1.0) == pytest.approx((1.0, 2.1)), "clipped to the scale"
    with pytest.raises(ValueError, match="too few"):
        fit_ends(Calibration(9.0, 0.5, 0.9), [scored(-0.2, 0.1, 0.3)])


def test_a_card_holds_the_fields_that_are_set() -> None:
    assert card_fields(Calibration(1.234567, 0.1)) == {"q": 1.23457, "floor": 0.1, "coverage": 0.9}
    full = Calibration(1.0, 0.1, 0.9, 2.0, 0.5)
    assert Calibration(**card_fields(full)) == full


def test_the_ends_of_an_interval_belong_to_it() -> None:
    ((_, _, count, inside),) = conditional_coverage([2.0] * 4, [4.0] * 4, [2.0, 4.0, 1.9, 4.1], [1, 2, 3, 4], bins=1)
    assert count == 4 and inside.value == 0.5
