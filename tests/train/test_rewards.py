"""Every reward worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from snellen.assessor import Assessor
from snellen.backends.scripted import ScriptedBackend
from snellen.data.sample import Fault, Sample
from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.reply import Issue
from snellen.train.rewards import (
    WEIGHTS,
    Outcome,
    Truth,
    claim,
    format_reward,
    grounding,
    last_ratings,
    outcome_of,
    price,
    rank,
    refinement,
    rewards_of,
    score,
    total,
    truth_of,
)

PLACE = Region(0.0, 0.0, 0.5, 0.5)
FAULT = Fault("grain of a rated set", "noise", 3, PLACE)  # not one of ours, so its severity is its level
NOISY = Truth(2.0, False, (FAULT,))
CLEAN = Truth(4.5, False, ())
REAL = Truth(3.0, True, None)
FINAL = Outcome(True, (3.0,), (), ())


def test_format_is_one_or_nothing() -> None:
    assert format_reward([[True, False]]).tolist() == [[1.0, 0.0]]


def test_score_is_continuous_in_the_distance() -> None:
    assert score([3.0, 3.5, 2.5, 4.0], 3.0, 0.5) == pytest.approx([1.0, math.exp(-0.5), math.exp(-0.5), math.exp(-2.0)])
    assert np.isnan(score([math.nan], [3.0], 0.5)).all()


def test_rank_by_hand() -> None:
    """Means 4 and 3, variances 2 and 2: (3 - 3) / 2 = 0 and (5 - 3) / 2 = 1, Phi 0.5 and 0.8413447."""
    half, sure = math.sqrt(0.5), math.sqrt(0.8413447)
    ratings = [[3.0, 5.0], [2.0, 4.0]]
    right = rank(ratings, [4.0, 2.0], [1, 1], gamma=0.0)
    assert right == pytest.approx(np.array([[half, sure], [sure, half]]), abs=1e-6)
    wrong = rank(ratings, [2.0, 4.0], [1, 1], gamma=0.0)
    assert wrong[0] == pytest.approx([half, math.sqrt(1 - 0.8413447)], abs=1e-6)
    # equal MOS: sqrt(p / 2) + sqrt((1 - p) / 2), 1 where p is a half
    equal = rank(ratings, [3.0, 3.0], [1, 1], gamma=0.0)
    assert equal[0] == pytest.approx([1.0, math.sqrt(0.8413447 / 2) + math.sqrt(0.1586553 / 2)], abs=1e-6)


def test_rank_compares_within_one_scale_and_leaves_out_what_was_not_rated() -> None:
    ratings = [[3.0, math.nan], [2.0, 4.0], [math.nan, math.nan], [1.0, 5.0]]
    found = rank(ratings, [3.0, 2.0, 4.0, 1.0], [1, 1, 1, 0])
    # mean 3, variance 0 against mean 3, variance 2, truth 1: sqrt Phi(0)
    assert found[0, 0] == pytest.approx(math.sqrt(0.5)) and math.isnan(found[0, 1])
    assert np.isnan(found[2]).all(), "no rating of its own"
    assert np.isnan(found[3]).all(), "nothing else on its scale"


def test_rank_of_groups_without_spread_is_sure() -> None:
    assert rank([[4.0, 4.0], [2.0, 2.0]], [4.0, 2.0], [1, 1]) == pytest.approx(np.ones((2, 2)))


def test_refinement_is_what_the_last_round_won_over_the_first_rounds_of_the_group() -> None:
    # first scores 0.2, 0.6, 0.7 have the mean 0.5; of the second group one is missing: 0.4
    last, first = [[0.9, 0.3, 0.5], [0.5, 0.4, math.nan]], [[0.2, 0.6, 0.7], [0.4, math.nan, 0.4]]
    wanted = [[0.4, -0.2, 0.0], [0.1, 0.0, math.nan]]
    assert np.allclose(refinement(last, first), wanted, equal_nan=True)
    assert np.isnan(refinement([[0.5, 0.5]], [[math.nan, math.nan]])).all()


def test_a_lucky_or_unlucky_first_rating_does_not_decide_what_a_crop_is_worth() -> None:
    """Both crops end with the same rating: they are worth the same, whatever the draw before them."""
    drawn = [Outcome(True, (first, 3.0), (PLACE,), ()) for first in (3.0, 1.0)]
    assert np.ptp(rewards_of([drawn], [REAL], width=0.5)["refinement"]) == 0.0


def test_grounding_by_hand() -> None:
    whole, exact, right = FULL, PLACE, Region(0.0, 0.0, 1.0, 0.5)
    # 5 i / (4 f + c) with f = 1/4: all of it 1.25 / 2, twice as much 1.25 / 1.5, half of it 0.625 / 1.125
    half = Region(0.0, 0.0, 0.5, 0.25)
    cases = {(): 0.0, (whole,): 0.625, (exact,): 1.0, (right,): 5 / 6, (half,): 5 / 9, (whole, exact): 1.0}
    for crops, wanted in cases.items():
        assert grounding(replace(FINAL, crops=crops), NOISY) == pytest.approx(wanted)
    assert grounding(replace(FINAL, crops=(Region(0.5, 0.5, 1.0, 1.0),)), NOISY) == 0.0
    everywhere = Truth(2.0, False, (replace(FAULT, region=FULL),))
    assert all(math.isnan(grounding(FINAL, truth)) for truth in (REAL, CLEAN, everywhere))


def test_grounding_asks_for_the_worst_of_two_faults() -> None:
    """A crop of the mild fault on the right earns nothing, one of the severe fault on the left everything."""
    right = Region(0.6, 0.6, 1.0, 1.0)
    for faults in ((replace(FAULT, level=4), replace(FAULT, level=2, region=right)),
                   (replace(FAULT, level=2, region=right), replace(FAULT, level=4))):  # fmt: skip
        truth = Truth(2.0, False, faults)
        assert grounding(replace(FINAL, crops=(PLACE,)), truth) == pytest.approx(1.0)
        assert grounding(replace(FINAL, crops=(right,)), truth) == 0.0


def test_claim_by_hand() -> None:
    same = Issue("noise", 3, PLACE)
    assert claim(replace(FINAL, issues=(same,)), NOISY) == pytest.approx(1.0)
    # kind right, severity off by one, place half right: 1/2 + 1/4 * 1/2 + 1/4 * 1/2
    near = Issue("noise", 4, Region(0.0, 0.0, 0.5, 0.25))
    assert claim(replace(FINAL, issues=(near,)), NOISY) == pytest.approx(0.75)
    assert claim(replace(FINAL, issues=(replace(same, severity=5),)), NOISY) == pytest.approx(0.75)
    # one right, one invented: 2 * 1 / (2 + 1)
    assert claim(replace(FINAL, issues=(same, Issue("blur", 2, FULL))), NOISY) == pytest.approx(2 / 3)
    # the same fault claimed twice is matched once
    assert claim(replace(FINAL, issues=(near, same)), NOISY) == pytest.approx(2 / 3)
    assert claim(FINAL, NOISY) == 0.0 and claim(replace(FINAL, issues=(same,)), CLEAN) == 0.0
    assert claim(FINAL, CLEAN) == 1.0
    assert math.isnan(claim(FINAL, REAL)) and math.isnan(claim(replace(FINAL, readable=False), CLEAN))


def test_price_counts_crops() -> None:
    assert price([0, 1, 2]).tolist() == [0.0, -1.0, -2.0]


def test_all_rewards_of_two_groups() -> None:
    zoomed = Outcome(True, (2.5, 2.0), (PLACE,), (Issue("noise", 3, PLACE),))
    broken = Outcome(False, (2.0,), (PLACE,), ())
    outcomes = [[zoomed, broken], [FINAL, FINAL]]
    rewards = rewards_of(outcomes, [NOISY, REAL], width=0.5)
    assert list(rewards) == [name for name, _ in WEIGHTS]
    wanted = {
        "format": [[1.0, 0.0], [1.0, 1.0]],
        "score": [[1.0, math.nan], [1.0, 1.0]],
        "first": [[math.exp(-0.5), 1.0], [1.0, 1.0]],
        "refinement": [[1.0 - (math.exp(-0.5) + 1.0) / 2.0, math.nan], [math.nan, math.nan]],
        "grounding": [[1.0, 1.0], [math.nan, math.nan]],
        "claim": [[1.0, math.nan], [math.nan, math.nan]],
        "price": [[-1.0, -1.0], [0.0, 0.0]],
    }
    for name, value in wanted.items():
        assert np.allclose(rewards[name], value, equal_nan=True), name
    assert np.isnan(rewards["rank"]).all(), "one real and one synthetic picture: nothing to compare"
    assert np.allclose(last_ratings(outcomes), [[2.0, math.nan], [3.0, 3.0]], equal_nan=True)


def test_total_leaves_out_what_does_not_apply_and_what_weighs_nothing() -> None:
    rewards = {"format": np.array([[1.0, 0.0]]), "score": np.array([[0.5, math.nan]]), "price": np.array([[-1.0, 0.0]])}
    assert total(rewards, (("format", 2.0), ("score", 1.0), ("price", 0.0))).tolist() == [[2.5, 0.0]]
    with pytest.raises(ValueError, match="no reward is called 'skore'"):
        total(rewards, (("skore", 1.0),))


def test_a_worse_first_rating_never_pays() -> None:
    """Neither for a rollout nor for a whole group that rates the first view badly."""
    better, worse = (Outcome(True, (first, 3.0), (PLACE,), ()) for first in (3.0, 1.0))
    rewards = rewards_of([[better, better], [better, worse], [worse, worse]], [REAL] * 3, width=0.5)
    good, bad = rewards["refinement"][0, 0], rewards["refinement"][2, 0]
    assert bad > good + 0.9, "refinement alone would pay for it"
    sums = total(rewards, WEIGHTS)
    assert sums[1, 0] > sums[1, 1] + 0.4 and sums[0, 0] > sums[2, 0] + 0.15


def test_outcome_and_truth_are_read_from_assessment_and_manifest() -> None:
    crop = '<think></think><answer>{"bbox_2d": [0, 0, 0.5, 0.5], "rating": 2.50, "tool": "crop"}</answer>'
    last = (
        '<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.00, "tool": "final", '
        '"issues": [{"kind": "noise", "severity": 3, "bbox_2d": [0, 0, 0.5, 0.5]}]}</answer>'
    )
    picture = Picture(np.full((700, 700, 3), 90, np.uint8), "a")
    (assessment,) = Assessor(ScriptedBackend([crop, last])).assess([picture])
    assert outcome_of(assessment) == Outcome(True, (2.5, 2.0), (PLACE,), (Issue("noise", 3, PLACE),))
    (assessment,) = Assessor(ScriptedBackend([crop, "what?"])).assess([picture])
    assert outcome_of(assessment) == Outcome(False, (2.5,), (PLACE,), ())
    (assessment,) = Assessor(ScriptedBackend([last])).assess(["gone.png"])
    with pytest.raises(ValueError, match="gone.png: no such file"):
        outcome_of(assessment)
    assert truth_of(Sample("a", 2.0, faults=(FAULT,)), real=False) == NOISY
    assert truth_of(Sample("a", 3.0), real=True) == REAL
    with pytest.raises(ValueError, match="a: no mos"):
        truth_of(Sample("a"), real=True)


def test_a_repaired_reply_is_rated_but_earns_no_format_reward() -> None:
    fenced = '```\n<think></think><answer>{"bbox_2d": [0, 0, 0, 0], "rating": 2.00, "tool": "final"}</answer>\n```'
    picture = Picture(np.full((64, 64, 3), 90, np.uint8), "a")
    (assessment,) = Assessor(ScriptedBackend([fenced])).assess([picture])
    outcome = outcome_of(assessment)
    assert outcome == Outcome(True, (2.0,), (), (), repaired=True)
    rewards = rewards_of([[outcome, FINAL]], [Truth(2.0, True, None)], width=0.5)
    assert rewards["format"].tolist() == [[0.0, 1.0]] and rewards["score"][0, 0] == 1.0
