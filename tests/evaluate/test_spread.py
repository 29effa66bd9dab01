# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import math

import numpy as np
import pytest

from snellen.evaluate.stats.spread import largest_difference, ratio, ratio_interval, relative_spread, within_std


def test_by_hand() -> None:
    scores = [[1.0, 3.0], [5.0, 5.0]]  # variances 2 and 0; means 2 and 5
    assert within_std(scores) == pytest.approx(1.0)
    assert largest_difference(scores) == 2.0
    assert relative_spread(scores) == pytest.approx(1.0 / np.std([2.0, 5.0], ddof=1))


def test_equal_scores_have_a_spread_of_exactly_zero() -> None:
    scores = [[3.1] * 10, [4.1] * 10]
    assert np.var(scores[0], ddof=1) > 0.0, "the mean of ten times 3.1 is not 3.1"
    assert within_std(scores) == 0.0
    assert ratio(0.02, within_std(scores)) == math.inf


def test_the_unit_of_a_measure_does_not_count() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (5, 4)) + np.arange(5)[:, None]
    assert relative_spread(100 - 7 * scores) == pytest.approx(relative_spread(scores))


def test_undefined() -> None:
    assert math.isnan(within_std([[1.0], [2.0]]))
    assert math.isnan(within_std(np.empty((0, 3))))
    assert math.isnan(relative_spread([[1.0, 2.0]]))
    assert math.isnan(relative_spread([[1.0, 2.0], [2.0, 1.0]]))  # equal means


def test_ratio() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(0.0, 0.0) == 1.0
    assert ratio(0.1, 0.0) == math.inf
    assert math.isnan(ratio(math.nan, 1.0))


def test_the_interval_of_a_ratio_is_paired() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (6, 4)) + np.arange(6)[:, None]
    value, low, high = ratio_interval(within_std, 3 * scores, scores, n=50)
    assert (value, low, high) == (pytest.approx(3.0),) * 3
    value, low, high = ratio_interval(within_std, scores, scores[::-1], n=50)
    assert value == pytest.approx(1.0) and low < 1.0 < high
    assert math.isnan(ratio_interval(within_std, [[1.0, 2.0]], [[1.0, 3.0]])[1]), "one picture has no interval"
