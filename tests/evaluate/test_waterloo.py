# mypy: disable-error-code="comparison-overlap"
from __future__ import annotations

import math

import numpy as np
import pytest

from snellen.evaluate.stats.waterloo import d_test, discriminable, l_test, p_test


def test_d_test_by_hand() -> None:
    # T = 3: two of three pristine pictures are above, both distorted ones at or under: (2/3 + 1) / 2
    # T = 1: (1 + 1/2) / 2 = 0.75 is less
    assert d_test([5.0, 4.0, 2.0], [3.0, 1.0]) == (pytest.approx(5 / 6), 3.0)


def test_d_test_limits() -> None:
    assert d_test([4.0, 5.0], [1.0, 2.0]) == (1.0, 2.0)
    assert d_test([3.0, 3.0], [3.0])[0] == 0.5  # every threshold puts all on one side
    assert d_test([1.0], [5.0])[0] == 0.5
    assert math.isnan(d_test([], [1.0])[0])


def test_d_test_against_every_threshold() -> None:
    rng = np.random.default_rng(0)
    clean, spoilt = rng.normal(1, 1, 40).round(1), rng.normal(0, 1, 60).round(1)
    rates = [(np.mean(clean > t) + np.mean(spoilt <= t)) / 2 for t in np.arange(-5, 5, 0.05)]
    assert d_test(clean, spoilt)[0] == pytest.approx(max(rates))


def test_l_test_by_hand() -> None:
    right, swapped, flat = [5, 4, 3, 2, 1], [5, 3, 4, 2, 1], [3, 3, 3, 3, 3]
    assert l_test([right]) == pytest.approx(1.0)
    assert l_test([right[::-1]]) == pytest.approx(-1.0)
    # one swap of neighbours: 1 - 6 * 2 / (5 * 24) = 0.9; equal scores rank nothing
    assert l_test([right, swapped, flat]) == pytest.approx(1.9 / 3)
    assert math.isnan(l_test(np.empty((0, 5))))


def test_p_test_by_hand() -> None:
    assert p_test([3, 2, 2], [1, 2, 3]) == pytest.approx(1 / 3)  # a tie prefers neither
    assert math.isnan(p_test([], []))


def test_only_pairs_beyond_both_spreads_are_discriminable() -> None:
    # 4.5 - 3.0 > 0.1 + 0.5 and 4.5 - 2.9 > 0.1 + 0.3, but 3.0 - 2.9 < 0.5 + 0.3
    better, worse = discriminable([4.5, 3.0, 2.9], [0.1, 0.5, 0.3])
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1), (0, 2)]
