"""Statistics of stated probabilities, with values worked by hand."""

from __future__ import annotations

import math

import pytest

from snellen.evaluate.stats.probabilities import auc, brier_skill, reliability


def test_auc_counts_pairs_in_the_right_order_and_ties_half() -> None:
    # pairs: (0.9, 0.5) right, (0.9, 0.2) right, (0.5, 0.5) tied, (0.5, 0.2) right
    assert auc([0.9, 0.5, 0.5, 0.2], [True, True, False, False]) == pytest.approx(3.5 / 4)
    assert auc([0.1, 0.9], [True, False]) == 0.0
    assert math.isnan(auc([0.1, 0.9], [True, True]))


def test_brier_skill_is_measured_against_the_base_rate() -> None:
    # BS = (0.04 + 0.04) / 2, base (0.25 + 0.25) / 2
    assert brier_skill([0.8, 0.2], [1, 0], [0.5, 0.5]) == pytest.approx(1 - 0.04 / 0.25)
    assert brier_skill([0.5, 0.5], [1, 0], [0.5, 0.5]) == 0.0
    assert math.isnan(brier_skill([0.5], [1], [1.0]))


def test_reliability_lists_the_bins_that_hold_something() -> None:
    found = reliability([0.1, 0.15, 1.0], [False, True, True])
    assert [(low, high, number) for low, high, number, *_ in found] == [(0.1, 0.2, 2), (0.8, 1.0, 1)]
    assert [mean for *_, mean, _ in found] == pytest.approx([0.125, 1.0]) and [part for *_, part in found] == [0.5, 1.0]
