"""Statistics of rating studies: values worked by hand or published, and simulated raters whose truth is recovered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from snellen.region import FULL, Region
from snellen.study.opinions import difference_ratings, mean_opinions, raters_needed
from snellen.study.order_effects import Course, order_effects
from snellen.study.pair_choice import information_gain, next_pairs
from snellen.study.pair_scale import PairScale, count_wins, fit_pairs
from snellen.study.rater_agreement import (
    cohen_kappa,
    intraclass_correlation,
    krippendorff_alpha,
    matched_iou,
    mean_kappa,
)
from snellen.study.rater_model import fit_rater_model
from snellen.study.raters import Extras, Rules, repeat_ratio, report_raters
from snellen.study.screening import bt500_screening
from snellen.study.simulated import CHEATS, SimulatedRater, draw_raters, rate_all

NAN = math.nan


def test_the_mean_of_three_ratings_has_the_interval_of_students_t() -> None:
    found = mean_opinions([[1.0, 2.0, 3.0], [4.0, NAN, NAN], [NAN, NAN, NAN]])
    assert found.mos.tolist()[:2] == [2.0, 4.0] and math.isnan(found.mos[2])
    assert found.std[0] == 1.0 and math.isnan(found.std[1])
    assert found.high[0] - 2.0 == pytest.approx(4.302653 / math.sqrt(3), abs=1e-5)  # t with 2 degrees of freedom
    assert found.n.tolist() == [3, 1, 0] and math.isnan(found.low[1])


def test_difference_ratings_compare_a_rater_with_the_same_rater() -> None:
    ratings = [[5.0, 4.0], [4.0, 5.0], [NAN, 2.0]]  # the first picture is the reference of the others
    found = difference_ratings(ratings, [-1, 0, 0])
    assert np.isnan(found[0]).all() and np.isnan(found[2, 0])
    assert found[1].tolist() == [4.0, 5.25]  # 4 - 5 + 5; 5 - 4 + 5 = 6, crushed to 42 / 8
    assert found[2, 1] == 3.0


def test_raters_needed_is_the_first_number_whose_interval_is_narrow_enough() -> None:
    assert raters_needed([0.8, NAN, 0.0], 0.25).tolist() == [42, 0, 2]  # 2.0195 * 0.8 / sqrt(42) = 0.2493
    with pytest.raises(ValueError, match="above 0"):
        raters_needed([1.0], 0.0)


def test_bt500_rejects_who_is_far_on_both_sides_and_keeps_who_is_strict() -> None:
    lone = np.column_stack([np.full((10, 9), 3.0), np.full(10, 5.0)])
    # mean 3.2, m2 = 0.36, m4 = 1.05, kurtosis 8.1: the limit is sqrt(20) * 0.6 = 2.68, and 1.8 is not far
    assert bt500_screening(lone).share.tolist() == [0.0] * 10
    others = np.tile([2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 4.0, 4.0] * 3, (10, 1))
    # with a 5: mean 3.08, m2 = 0.634, kurtosis 2.65: the limit is 2 * 0.796 = 1.59, and 1.92 is far
    found = bt500_screening(np.column_stack([others, [5.0, 1.0] * 5]))
    assert found.rejected.tolist() == [False] * 24 + [True]
    assert (found.above[-1], found.below[-1], found.share[-1], found.asymmetry[-1]) == (5, 5, 1.0, 0.0)
    strict = bt500_screening(np.column_stack([others, np.full(10, 1.0)]))
    assert strict.share[-1] == 1.0 and strict.asymmetry[-1] == 1.0 and not strict.rejected.any()


def test_the_rater_model_splits_noiseless_ratings_into_quality_and_bias() -> None:
    found = fit_rater_model([[1.0, 2.0], [3.0, 4.0], [NAN, 3.0]])
    assert found.quality == pytest.approx([1.5, 3.5, 2.5])  # rater 2 is 1 step more lenient
    assert found.bias == pytest.approx([-0.5, 0.5])
    assert found.inconsistency == pytest.approx([1 / math.sqrt(12)] * 2)  # nobody is better than rounding
    assert found.high[2] - found.quality[2] == pytest.approx(1.959964 / math.sqrt(12))  # one rater
    assert found.high[0] - found.quality[0] == pytest.approx(1.959964 / math.sqrt(24))  # two
    alone = fit_rater_model([[1.0, NAN], [NAN, 4.0]])
    assert np.isnan(alone.low).all() and np.isfinite(alone.quality).all(), "no picture is rated twice"


def test_the_rater_model_recovers_bias_and_noise_better_than_the_mean() -> None:
    rng = np.random.default_rng(3)
    truth = rng.uniform(1.5, 4.5, 60)
    bias, noise = np.array([-0.8, -0.2, 0.0, 0.3, 0.7]), np.array([0.3, 0.4, 0.5, 0.7, 2.0])
    ratings = truth[:, None] + bias + noise * rng.standard_normal((60, 5))
    found = fit_rater_model(ratings)
    assert found.bias == pytest.approx(bias, abs=0.25)
    assert found.inconsistency == pytest.approx(noise, rel=0.35)
    errors = [np.sqrt(np.mean((e - truth) ** 2)) for e in (found.quality, ratings.mean(axis=1))]
    assert errors[0] < 0.75 * errors[1]
    assert np.mean((found.low <= truth) & (truth <= found.high)) > 0.8


@pytest.mark.parametrize("link", ["bradley-terry", "thurstone"])
def test_three_wins_of_four_are_one_jod(link: str) -> None:
    found = fit_pairs([[0, 300], [100, 0]], link, prior_std=100.0)  # type: ignore[arg-type]
    assert found.quality == pytest.approx([0.5, -0.5], abs=1e-3)
    assert found.chosen()[0, 1] == pytest.approx(0.75, abs=1e-3)
    if link == "bradley-terry":  # Fisher information of the difference: n p (1 - p) = 75, so std = 1 / sqrt(75) logits
        assert 2 * found.std[0] == pytest.approx(1 / math.sqrt(75) / math.log(3), rel=1e-3)


def test_a_picture_that_never_lost_has_a_finite_place_and_a_wide_interval() -> None:
    found = fit_pairs([[0, 3, 3], [0, 0, 2], [0, 1, 0]])
    assert np.isfinite(found.quality).all() and found.quality[0] > found.quality[1] > found.quality[2]
    assert found.std[0] > found.std[1]
    with pytest.raises(ValueError, match="square"):
        fit_pairs([[1, 0], [0, 0]])


def test_ties_count_half_for_both() -> None:
    assert count_wins([0, 0, 1], [1, 1, 0], [1.0, 0.5, 1.0], 2).tolist() == [[0.0, 1.5], [1.5, 0.0]]


def test_information_is_nothing_of_a_known_pair_and_at_most_one_bit() -> None:
    known = PairScale(np.zeros(2), np.zeros((2, 2)), "thurstone")
    assert information_gain(known) == pytest.approx(np.zeros((2, 2)))
    unknown = PairScale(np.zeros(2), np.diag([1e6, 1e6]), "thurstone")
    assert information_gain(unknown)[0, 1] == pytest.approx(math.log(2), abs=1e-3)
    usual = PairScale(np.array([0.5, -0.5]), np.diag([0.5, 0.5]), "thurstone")  # the difference is N(1, 1) JOD
    d = np.linspace(-7.0, 9.0, 4001)
    p, weight = ndtr(ndtri(0.75) * d), np.exp(-((d - 1.0) ** 2) / 2)
    weight /= weight.sum()
    entropy = [-(q * np.log(q) + (1 - q) * np.log(1 - q)) for q in (p @ weight, p)]
    assert information_gain(usual)[1, 0] == pytest.approx(entropy[0] - entropy[1] @ weight, abs=1e-6)


def test_next_pairs_are_close_pairs_and_never_a_pair_twice() -> None:
    rng = np.random.default_rng(0)
    seen = np.zeros((6, 6), bool)
    seen[0, 1] = True
    pairs = next_pairs(np.zeros((6, 6)), 14, rng, seen)
    assert len({frozenset(pair) for pair in pairs}) == 14 and {0, 1} not in map(set, pairs)
    assert {i for pair in pairs[:5] for i in pair} == set(range(6))  # a spanning tree leaves nobody out
    assert next_pairs(np.zeros((6, 6)), 99, rng, ~np.eye(6, dtype=bool)) == []
    ladder = np.zeros((5, 5))
    for i in range(5):
        for j in range(i + 1, 5):
            ladder[j, i] = 20 if j - i > 1 else 13  # neighbours are the open question
            ladder[i, j] = 0 if j - i > 1 else 7
    assert all(abs(i - j) == 1 for i, j in next_pairs(ladder, 4, rng))


KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
).T


def test_alpha_of_krippendorffs_own_example() -> None:
    found = [krippendorff_alpha(KRIPPENDORFF, level) for level in ("nominal", "ordinal", "interval")]
    assert found == pytest.approx([0.743, 0.815, 0.849], abs=6e-4)
    assert math.isnan(krippendorff_alpha([[3, 3], [3, 3]])) and math.isnan(krippendorff_alpha(np.empty((0, 0))))


def test_icc_of_shrout_and_fleiss_example() -> None:
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass_correlation(table) == pytest.approx((0.29, 0.62), abs=0.005)
    assert math.isnan(intraclass_correlation([[1, NAN], [NAN, 2]]).single)


def test_kappa_of_fifty_answers() -> None:
    first, second = ["y"] * 25 + ["n"] * 25, ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)  # 0.7 observed, 0.5 by chance
    assert mean_kappa([first, second, [None] * 50]) == pytest.approx(0.4)
    assert math.isnan(cohen_kappa(["y"], ["y"]))


def test_boxes_are_matched_one_to_one() -> None:
    left, right = Region(0, 0, 0.5, 1), Region(0.5, 0, 1, 1)
    assert matched_iou([left, right], [FULL]) == [0.5, 0.0]
    assert matched_iou([left], [left, right]) == [1.0, 0.0] and matched_iou([], []) == []


def test_order_effects_are_found_where_they_are_made_and_not_elsewhere() -> None:
    rng = np.random.default_rng(5)
    courses = []
    for _ in range(12):
        place, quality = np.linspace(0, 1, 80), rng.uniform(1, 5, 80)
        left = 0.1 * rng.standard_normal(80) - 0.4 * place
        courses.append(Course(left, quality, 4.0 - 2.0 * place))
    found = order_effects(courses)
    assert found.drift.value == pytest.approx(-0.4, abs=0.05) and found.drift.excludes_zero
    assert found.pace.value == pytest.approx(-2.0 / 3.0, abs=0.01)
    assert found.carry_over.value == pytest.approx(0.0, abs=0.01)
    assert math.isnan(order_effects([]).drift.value)


def test_repeats_of_who_does_not_look_differ_as_much_as_unrelated_ratings() -> None:
    assert repeat_ratio([1, 3, 5], [[1, 3], [5, 1]]) == pytest.approx(3.0 / (16 / 6))  # |differences| 2 4 2, each twice
    assert math.isnan(repeat_ratio([1, 3], [])) and math.isnan(repeat_ratio([3, 3], [[3, 3]]))


def test_cheaters_are_left_out_and_honest_raters_stay() -> None:
    rng = np.random.default_rng(1)
    raters = draw_raters(20, rng, cheaters=5)
    quality = rng.uniform(1.2, 4.8, 60)
    ratings = rate_all(quality, raters, rng)
    extras = []
    for rater in raters:
        twice = [[rater.rate(q, 0.9, rng), rater.rate(q, 0.9, rng)] for q in quality[:6]]
        extras.append(Extras(NAN, 0, np.array(twice, float), np.full(60, 3.0)))
    found = report_raters([f"r{n}" for n in range(20)], ratings, extras)
    left_out = {CHEATS[at] for at in range(5) if not found[at].kept}
    assert left_out >= {"random", "constant", "middle", "reversed"}
    assert all(one.kept for one in found[5:])


def test_each_rule_names_its_reason() -> None:
    ratings = np.tile(np.arange(12.0)[:, None] % 5 + 1, (1, 3))
    ratings[:, 1] = [1, 3, 2, 4, 3, 4, 1, 5, 3, 4, 1, 3]  # correlation 0.57 with the others
    extras = [
        Extras(0.25, 4, np.empty((0, 2)), np.full(12, 3.0)),
        Extras(NAN, 0, np.array([[1, 5], [5, 1], [2, 5], [4, 1]], float), np.full(12, 3.0)),
        Extras(NAN, 0, np.empty((0, 2)), np.full(12, 0.2)),
    ]
    reasons = [one.reasons for one in report_raters(["a", "b", "c"], ratings, extras)]
    assert [len(each) for each in reasons] == [1, 1, 1]
    assert "golden" in reasons[0][0] and "repeats" in reasons[1][0] and "under 0.5 s" in reasons[2][0]
    assert all(one.kept for one in report_raters(["a", "b", "c"], ratings[:5], extras, Rules(golden=0.0)))


def test_a_simulated_rater_prefers_the_better_picture_and_a_reversed_one_the_worse() -> None:
    rng = np.random.default_rng(0)
    assert not SimulatedRater(noise=0.0).chooses_first(3.0, 3.2, rng)
    assert SimulatedRater(noise=0.0, cheat="reversed").chooses_first(3.0, 3.2, rng)
