# mypy: disable-error-code="comparison-overlap"
"""Confidence intervals against theory and against values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from snellen.evaluate.stats.bootstrap import (
    Estimate,
    bootstrap_difference,
    bootstrap_interval,
    mean,
    mean_interval,
    percentiles,
    share,
)
from snellen.evaluate.stats.correlation import srcc


def test_the_bootstrap_interval_is_that_of_theory() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 1.0, 400)
    value, low, high = bootstrap_interval(lambda a: float(a.mean()), values, seed=1, n=1000)
    assert value == values.mean()
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(value - half, abs=0.15 * half)
    assert high == pytest.approx(value + half, abs=0.15 * half)
    again = bootstrap_interval(lambda a: float(a.mean()), values, seed=1, n=1000)
    assert again == (value, low, high)


def test_paired_differences_are_narrower_than_unpaired_ones() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(size=300)
    first = wanted + 0.5 * rng.normal(size=300)
    second = first + 0.1 * rng.normal(size=300) - 3.0
    value, low, high = bootstrap_difference(srcc, first, second, wanted, seed=0, n=300)
    assert value == srcc(first, wanted) - srcc(second, wanted)
    assert low < value < high
    alone = bootstrap_interval(srcc, first, wanted, seed=0, n=300)
    assert high - low < 0.5 * (alone[2] - alone[1])


def test_bootstrap_refuses_arrays_of_two_lengths() -> None:
    with pytest.raises(ValueError, match="one length"):
        bootstrap_interval(srcc, [1, 2, 3], [1, 2], seed=0)


def test_share_has_wilsons_interval() -> None:
    value, low, high = share([True] * 8 + [False] * 2)
    assert (value, round(low, 3), round(high, 3)) == (0.8, 0.490, 0.943)  # Brown, Cai and DasGupta 2001
    assert share([True] * 5)[1:] == pytest.approx((0.5655, 1.0), abs=1e-4)
    assert math.isnan(share([])[0])


def test_an_end_among_infinite_draws_is_infinite() -> None:
    draws = np.array([*np.arange(1.0, 91.0), *np.full(10, np.inf)])
    assert percentiles(draws) == (3.0, np.inf), "places 2.475 and 96.525 of 0 to 99, rounded"


def test_percentiles_leave_undefined_draws_out() -> None:
    draws = np.array([math.nan, *range(101)], float)
    assert percentiles(draws) == (pytest.approx(2.5), pytest.approx(97.5))
    assert percentiles(draws, level=0.5) == (25.0, 75.0)
    assert all(map(math.isnan, percentiles(np.array([math.nan]))))


def test_an_estimate_excludes_zero_only_with_its_whole_interval() -> None:
    assert Estimate(0.2, 0.1, 0.3).excludes_zero and Estimate(-0.2, -0.3, -0.1).excludes_zero
    assert not Estimate(0.2, -0.1, 0.3).excludes_zero and not Estimate(0.2, 0.0, 0.3).excludes_zero
    assert not Estimate(0.2, math.nan, math.nan).excludes_zero


def test_the_interval_of_a_mean_is_over_its_groups() -> None:
    values, photographs = [1.0] * 9 + [0.0, math.nan], ["a"] * 9 + ["b", "b"]
    assert mean_interval(values, photographs) == (pytest.approx(0.9), 0.0, 1.0), "one of two photographs may be absent"
    alone = mean_interval(values)
    assert alone.value == pytest.approx(0.9) and alone.low > 0.6
    assert mean_interval([2.0] * 5, ["a"] * 5) == (2.0, 2.0, 2.0)
    assert all(map(math.isnan, (*mean_interval([]), *mean_interval([math.nan]), mean([]))))
