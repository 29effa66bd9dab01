"""Arithmetic of preferences, on values worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.comparison.preference import (
    accuracy,
    accuracy_by_share,
    choosing,
    difference_interval,
    order,
    prob_better,
    ranks,
    share_interval,
    swapped_mean,
    triples,
)

A_OVER_B_OVER_C = np.array([[0.5, 0.8, 0.9], [0.2, 0.5, 0.6], [0.1, 0.4, 0.5]])
CYCLE = np.array([[0.5, 0.8, 0.2], [0.2, 0.5, 0.8], [0.8, 0.2, 0.5]])


def array(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, np.float64)


def test_the_probability_counts_every_pair_of_ratings_and_half_of_the_equal_ones() -> None:
    # X is 2 (0.4) or 3 (0.6), Y is 1 (0.5) or 3 (0.5): P(X > Y) = 0.5, P(X = Y) = 0.6 * 0.5 = 0.3
    assert prob_better(array(2, 3), array(0.4, 0.6), array(1, 3), array(0.5, 0.5)) == pytest.approx(0.65)
    assert prob_better(array(1, 3), array(0.5, 0.5), array(2, 3), array(0.4, 0.6)) == pytest.approx(0.35)


def test_equal_distributions_are_a_coin_and_disjoint_ones_are_certain() -> None:
    assert prob_better(array(2, 4), array(0.3, 0.7), array(2, 4), array(0.3, 0.7)) == pytest.approx(0.5)
    assert prob_better(array(4), array(1), array(1, 2), array(0.5, 0.5)) == 1.0


def test_the_interval_of_a_difference_adds_the_variances() -> None:
    low, high = difference_interval(1.0, 0.3, 0.4)  # the standard deviation is 0.5, 1.645 of it 0.822
    assert (low, high) == pytest.approx((0.1776, 1.8224), abs=1e-4)
    assert difference_interval(3.9, 0.3, 0.4)[1] == 4.0


def test_people_choose_as_thurstone_says() -> None:
    # Phi(1) = 0.8413 where the difference is sqrt(2) standard deviations of an opinion
    assert choosing(np.sqrt(2) * 0.8, 0.8) == pytest.approx(0.8413, abs=1e-4)
    assert share_interval((0.0, np.sqrt(2) * 0.8), 0.8) == pytest.approx((0.5, 0.8413), abs=1e-4)


def test_swapping_separates_preference_from_position() -> None:
    assert swapped_mean(0.9, 0.5) == pytest.approx((0.7, 0.2))
    assert swapped_mean(1.0, 0.0) == (0.5, 0.5)  # whatever is shown first wins: no preference


def test_pictures_that_are_not_surely_better_share_their_ranks() -> None:
    # A surely beats B and C; B against C is a tie: both are second or third
    assert ranks(A_OVER_B_OVER_C, 0.75) == ([1, 2, 2], [1, 3, 3])
    assert ranks(A_OVER_B_OVER_C, 0.55) == ([1, 2, 3], [1, 2, 3])
    assert ranks(A_OVER_B_OVER_C, 0.95) == ([1, 1, 1], [3, 3, 3])


def test_the_order_is_by_mean_probability_and_equal_ones_keep_theirs() -> None:
    assert order(A_OVER_B_OVER_C[::-1, ::-1]) == [2, 1, 0]
    assert order(CYCLE) == [0, 1, 2]


def test_a_cycle_is_an_inconsistent_triple_and_a_tie_leaves_it_out() -> None:
    assert triples(A_OVER_B_OVER_C) == (1, 1)
    assert triples(CYCLE) == (0, 1)
    assert triples(A_OVER_B_OVER_C, 0.75) == (0, 0)  # B against C is not decided


def test_ties_count_half() -> None:
    # right, wrong, a tie of the judge, a tie of the people
    assert accuracy(array(0.9, 0.8, 0.5, 0.7), array(1, 0, 1, 0.5)) == pytest.approx((1 + 0 + 0.5 + 0.5) / 4)


def test_accuracy_on_the_surest_pairs_comes_first() -> None:
    preferences, human = array(0.95, 0.1, 0.6, 0.55), array(1, 0, 0, 1)
    assert accuracy_by_share(preferences, human, array(0.5, 0.75, 1.0)).tolist() == pytest.approx([1.0, 2 / 3, 0.75])
