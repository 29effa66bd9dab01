"""Correlations, fits and ordered pairs against values worked by hand and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from snellen.evaluate.stats import correlation as metrics
from snellen.evaluate.stats.bootstrap import bootstrap_interval


def test_ranks_share_ties() -> None:
    assert metrics.ranks([30, 10, 30, 20]).tolist() == [3.5, 1.0, 3.5, 2.0]


def test_correlations_worked_by_hand() -> None:
    a, b = [1, 2, 3, 4], [1, 3, 2, 4]
    assert metrics.srcc(a, b) == pytest.approx(0.8)  # 1 - 6 * (0 + 1 + 1 + 0) / (4 * 15)
    assert metrics.krcc(a, b) == pytest.approx(4 / 6)  # five pairs agree, one does not
    assert metrics.plcc(a, b) == pytest.approx(0.8)
    assert metrics.plcc([1, 2, 3], [1, 2, 6]) == pytest.approx(5 / math.sqrt(2 * 14))
    assert metrics.krcc([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))  # one pair tied on one side


def test_limits() -> None:
    up = np.arange(7.0)
    for metric in (metrics.srcc, metrics.krcc, metrics.plcc):
        assert metric(up, up) == 1.0
        assert metric(up, -up) == -1.0
        assert math.isnan(metric(up, np.ones(7)))
        assert math.isnan(metric([1.0], [2.0]))
    assert metrics.srcc(up, np.exp(up)) == 1.0
    assert metrics.plcc(up, np.exp(up)) < 0.9


@pytest.mark.parametrize("n", [2, 3, 17, 64, 501])
@pytest.mark.parametrize("values", [3, 10_000])
def test_correlations_as_in_scipy(n: int, values: int) -> None:
    rng = np.random.default_rng(n * values)
    a = rng.integers(values, size=n).astype(float)
    b = a + rng.integers(values, size=n)
    a[0], b[0] = values + 1, 3 * values  # never all the same
    assert metrics.srcc(a, b) == pytest.approx(stats.spearmanr(a, b)[0], abs=1e-12)
    assert metrics.krcc(a, b) == pytest.approx(stats.kendalltau(a, b)[0], abs=1e-12)
    assert metrics.plcc(a, b) == pytest.approx(stats.pearsonr(a, b)[0], abs=1e-12)


def test_rmse_worked_by_hand() -> None:
    assert metrics.rmse([1, 2, 3], [1, 2, 6]) == pytest.approx(math.sqrt(3))


def test_logistic_at_its_landmarks() -> None:
    found = metrics.logistic([-1e9, 2.0, 2.0 + 0.5 * math.log(3), 1e9], (5.0, 1.0, 2.0, 0.5))
    assert found.tolist() == pytest.approx([1.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_the_fit_finds_the_logistic_that_made_the_labels(direction: float) -> None:
    scores = np.linspace(-40, 60, 200)
    made = (4.8, 1.2, 12.0, 9.0) if direction > 0 else (1.2, 4.8, 12.0, 9.0)
    wanted = metrics.logistic(scores, made)
    assert metrics.fit_logistic(scores, wanted) == pytest.approx(made, rel=1e-4)
    assert metrics.plcc(metrics.logistic(scores, metrics.fit_logistic(scores, wanted)), wanted) == pytest.approx(1.0)
    assert abs(metrics.plcc(scores, wanted)) < 0.99


def test_mean_rank_correlation_counts_a_flat_row_as_none() -> None:
    scores = [[5, 4, 3], [1, 1, 1], [3, 5, 4]]
    assert metrics.mean_rank_correlation(scores, [3, 2, 1]) == pytest.approx((1.0 + 0.0 - 0.5) / 3)


def test_nan_and_uneven_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        metrics.srcc([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="one length"):
        metrics.plcc([1.0, 2.0, 3.0], [1.0, 2.0])


def test_outlier_ratio_worked_by_hand() -> None:
    # errors 0.5, 1.0, 1.1 and 0; two stds are 0.6, 1.0, 1.0 and 0: one over, one on the line
    assert metrics.outlier_ratio([3.5, 4.0, 2.1, 2.0], [3.0, 3.0, 1.0, 2.0], [0.3, 0.5, 0.5, 0.0]) == 0.25


def test_isotonic_worked_by_hand() -> None:
    # 1, 3, 2 pools to 1, 2.5, 2.5; the two pictures predicted 4 share their mean, 5
    assert metrics.isotonic([1, 2, 3, 4, 4], [1, 3, 2, 4, 6]).tolist() == [1, 2.5, 2.5, 5, 5]
    assert metrics.isotonic([3, 2, 1], [1, 2, 3]).tolist() == [2, 2, 2], "a falling line has no rising fit but its mean"


@pytest.mark.skipif(not hasattr(optimize, "isotonic_regression"), reason="scipy has it since 1.12")
def test_isotonic_equals_scipys() -> None:
    rng = np.random.default_rng(2)
    predicted = rng.normal(size=300)
    wanted = predicted + rng.normal(size=300)
    order = np.argsort(predicted)
    fitted = optimize.isotonic_regression(wanted[order]).x
    assert metrics.isotonic(predicted, wanted)[order] == pytest.approx(fitted)
    rounded = np.round(predicted, 1)
    values, group, count = np.unique(rounded, return_inverse=True, return_counts=True)
    pooled = optimize.isotonic_regression(np.bincount(group, wanted) / count, weights=count).x
    assert metrics.isotonic(rounded, wanted) == pytest.approx(pooled[group])


def test_the_isotonic_fit_is_never_below_the_raw_linear_correlation() -> None:
    rng = np.random.default_rng(5)
    predicted = rng.uniform(1, 5, 200)
    wanted = 1 + 4 * (predicted / 5) ** 6 + 0.3 * rng.normal(size=200)
    linear, ranked = metrics.isotonic_fit(predicted, wanted)
    assert linear > metrics.plcc(predicted, wanted) + 0.1
    fitted = metrics.isotonic(predicted, wanted)
    assert ranked == pytest.approx(stats.spearmanr(fitted, wanted)[0])


def test_pair_agreement_worked_by_hand() -> None:
    predicted, wanted = [1.0, 2.0, 2.0, 4.0], [1.0, 3.0, 2.0, 2.0]
    # five pairs differ in MOS: 0<1, 0<2, 0<3 right; 1>2 tied: half; 1>3 wrong
    value, low, high = metrics.pair_agreement(predicted, wanted, seed=0, n=200)
    assert value == pytest.approx(3.5 / 5) and low <= value <= high
    half = np.array([0.4, 0.7, 0.4, 0.4])
    # apart: 0 and 1 (1.4 < 2.3), 0 and 2, 0 and 3 (1.4 < 1.6); 1 touches 2 and 3 (2.3 < 2.4)
    apart = metrics.pair_agreement(predicted, wanted, np.array(wanted) - half, np.array(wanted) + half, seed=0, n=50)
    assert apart == (1.0, 1.0, 1.0)
    assert all(map(math.isnan, metrics.pair_agreement([1, 2], [3, 3], seed=0, n=5)))


def test_pair_agreement_goes_with_kendalls_tau() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.normal(size=700), rng.normal(size=700)
    b += a
    value, low, high = metrics.pair_agreement(a, b, seed=0, n=300)
    assert value == pytest.approx((1 + stats.kendalltau(a, b)[0]) / 2)
    boot = bootstrap_interval(metrics.krcc, a, b, seed=4, n=300)
    assert (low, high) == pytest.approx(((1 + boot[1]) / 2, (1 + boot[2]) / 2), abs=0.01)


def test_two_alternative_accuracy_worked_by_hand() -> None:
    assert metrics.two_alternative_accuracy([3, 1, 2], [2, 4, 2], [0.9, 0.2, 1.0]) == pytest.approx(
        (0.9 + 0.8 + 0.5) / 3
    )
