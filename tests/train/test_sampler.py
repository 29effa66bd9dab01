"""Progressive re-sampling on a skewed toy set: 90 middling pictures, 9 good ones, 1 bad one."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.data.sample import Sample
from snellen.train.sampler import (
    Pool,
    draw,
    flatness,
    mos_bins,
    open_sampler,
    probabilities,
    progressive,
    uniform,
)

MOS = np.array([3.0] * 90 + [4.5] * 9 + [1.1])
UNSEEN = np.full(100, np.nan)


def test_bins_are_of_equal_width() -> None:
    assert mos_bins([1.0, 1.79, 1.81, 3.0, 5.0], 5).tolist() == [0, 0, 1, 2, 4]


def test_the_schedule_rises_in_a_straight_line() -> None:
    values = [flatness(progress, (0.2, 0.6)) for progress in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert values == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_a_pool_remembers_how_far_rollouts_disagree() -> None:
    pool = Pool([Sample(f"{i}.png", mos) for i, mos in enumerate((1.5, 3.0, 3.1))], real=True)
    pool.remember(1, np.array([2.0, 4.0, np.nan]))
    pool.remember(2, np.array([2.0, np.nan, np.nan]))
    assert pool.disagreement[1] == 1.0 and np.isnan(pool.disagreement[[0, 2]]).all()
    assert progressive(pool, 0.0) == pytest.approx([1 / 3] * 3)
    assert progressive(pool, 1.0) == pytest.approx([0.5, 0.25, 0.25]), "unknown counts as the mean of the known"
    assert uniform(pool, 1.0) == pytest.approx([1 / 3] * 3)


def test_samplers_by_name() -> None:
    assert open_sampler("progressive") is progressive and open_sampler("uniform") is uniform
    with pytest.raises(ValueError, match="unknown sampler 'even'"):
        open_sampler("even")


def test_natural_at_first_flat_at_the_end() -> None:
    bins = mos_bins(MOS)
    assert probabilities(bins, UNSEEN, 0.0) == pytest.approx(np.full(100, 0.01))
    flat = probabilities(bins, UNSEEN, 1.0)
    assert [flat[:90].sum(), flat[90:99].sum(), flat[99]] == pytest.approx([1 / 3] * 3)
    # half way: a bin has the mean of its natural and its flat share
    half = probabilities(bins, UNSEEN, 0.5)
    assert [half[:90].sum(), half[99]] == pytest.approx([(0.9 + 1 / 3) / 2, (0.01 + 1 / 3) / 2])


def test_disagreement_draws_within_a_bin_and_leaves_the_bins_alone() -> None:
    bins = mos_bins(MOS)
    disagreement = UNSEEN.copy()
    disagreement[[0, 1, 2]] = [0.6, 0.2, 0.0]
    flat = probabilities(bins, disagreement, 1.0)
    assert flat[0] / flat[1] == pytest.approx(3.0)
    assert flat[2] / flat[1] == pytest.approx(0.05 / 0.2)  # not lost for good
    assert flat[3] / flat[1] == pytest.approx((0.8 / 3) / 0.2)  # unseen: the mean of the seen
    assert flat[:90].sum() == pytest.approx(1 / 3)
    assert probabilities(bins, disagreement, 0.0) == pytest.approx(np.full(100, 0.01))


def test_the_sequence_is_reproducible_and_has_no_picture_twice_in_a_step() -> None:
    p = probabilities(mos_bins(MOS), UNSEEN, 1.0)
    steps = [draw(p, 16, 7, step).tolist() for step in range(20)]
    assert steps == [draw(p, 16, 7, step).tolist() for step in range(20)]
    assert draw(p, 16, 7, 3).tolist() == steps[3]  # needs nothing of the steps before
    assert all(len(set(step)) == 16 for step in steps) and steps[0] != steps[1]
    assert steps != [draw(p, 16, 8, step).tolist() for step in range(20)]
    # the one bad picture in a hundred: seldom in the natural order, in almost every step at the end
    natural = probabilities(mos_bins(MOS), UNSEEN, 0.0)
    often, seldom = (sum(99 in draw(q, 16, 0, step) for step in range(50)) for q in (p, natural))
    assert often > 45 and seldom < 20


def test_too_small_a_set_is_refused() -> None:
    with pytest.raises(ValueError, match="16 pictures a step cannot be drawn from 3"):
        draw(np.full(3, 1 / 3), 16, 0, 0)
