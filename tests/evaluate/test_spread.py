from __future__ import annotations

import math

import numpy as np
import pytest

from snellen.evaluate.stats.spread import largest, noise_share, ratio, ratio_interval, within


def test_by_hand() -> None:
    scores = [[1.0, 3.0], [5.0, 5.0]]  # variances 2 and 0; means 2 and 5
    assert within(scores) == pytest.approx(1.0)
    assert largest(scores) == 2.0
    assert noise_share(scores) == pytest.approx(1.0 / np.std([2.0, 5.0], ddof=1))


def test_equal_scores_do_not_waver_at_all() -> None:
    scores = [[3.1] * 10, [4.1] * 10]
    assert np.var(scores[0], ddof=1) > 0.0, "the mean of ten times 3.1 is not 3.1"
    assert within(scores) == 0.0
    assert ratio(0.02, within(scores)) == math.inf


def test_the_unit_of_a_measure_does_not_count() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (5, 4)) + np.arange(5)[:, None]
    assert noise_share(100 - 7 * scores) == pytest.approx(noise_share(scores))


def test_undefined() -> None:
    assert math.isnan(within([[1.0], [2.0]]))
    assert math.isnan(within(np.empty((0, 3))))
    assert math.isnan(noise_share([[1.0, 2.0]]))
    assert math.isnan(noise_share([[1.0, 2.0], [2.0, 1.0]]))  # tells nothing apart


def test_ratio() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(0.0, 0.0) == 1.0
    assert ratio(0.1, 0.0) == math.inf
    assert math.isnan(ratio(math.nan, 1.0))


def test_the_interval_of_a_ratio_is_paired() -> None:
    scores = np.random.default_rng(0).normal(0, 1, (6, 4)) + np.arange(6)[:, None]
    value, low, high = ratio_interval(within, 3 * scores, scores, seed=0, n=50)
    assert (value, low, high) == (pytest.approx(3.0),) * 3
    value, low, high = ratio_interval(within, scores, scores[::-1], seed=0, n=50)
    assert value == pytest.approx(1.0) and low < 1.0 < high
    assert math.isnan(ratio_interval(within, [[1.0, 2.0]], [[1.0, 3.0]], seed=0)[1]), "one picture has no interval"
