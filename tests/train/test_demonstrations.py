"""Decisions to learn from: where a first round crops, and how far a later one moves the rating."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_snellen1 import BOX, picture, random_features

from snellen.data.sample import Fault, Sample
from snellen.region import FULL, Region
from snellen.snellen1.actions import CROP, FINAL, decode
from snellen.snellen1.layout import Finding
from snellen.train.rewards import Truth
from snellen.train.snellen1.demonstrations import demonstrations, region_to_crop, widened
from snellen.train.snellen1.policy import Snellen1Policy

FAULT = Fault("grain of a rated set", "noise", 3, BOX)
FIRST = replace(random_features(picture(0).view()), box=Region(0.5, 0.5, 0.9, 0.9))
LISTED = Finding("noise", 3, BOX, 0.9)


def test_a_box_is_widened_within_the_picture() -> None:
    assert widened(BOX).to_list() == [0.05, 0.05, 0.65, 0.65]
    assert widened(Region(0.0, 0.5, 1.0, 1.0)).to_list() == [0.0, 0.45, 1.0, 1.0]


def test_a_local_fault_is_cropped_where_list_or_rating_is_wrong() -> None:
    truth = Truth(2.0, False, (FAULT,))
    assert region_to_crop(truth, 2.1, FIRST, [LISTED]) is None
    assert region_to_crop(truth, 2.4, FIRST, [LISTED]) == widened(BOX)
    elsewhere = replace(LISTED, region=Region(0.7, 0.7, 1.0, 1.0))
    for found in ([], [replace(LISTED, kind="blur")], [elsewhere]):
        assert region_to_crop(truth, 2.0, FIRST, found) == widened(BOX)


def test_of_two_local_faults_the_worst_is_cropped() -> None:
    other = replace(FAULT, level=5, region=Region(0.6, 0.6, 1.0, 1.0))
    assert region_to_crop(Truth(2.0, False, (FAULT, other)), 2.0, FIRST, []) == widened(other.region)


def test_without_a_local_fault_the_strongest_finding_is_cropped_where_something_is_wrong() -> None:
    known = ((), None, (replace(FAULT, region=FULL),))
    clean, real, everywhere = (Truth(4.0, faults is None, faults) for faults in known)
    assert region_to_crop(clean, 4.0, FIRST, []) is None
    assert region_to_crop(clean, 4.0, FIRST, [LISTED]) == widened(FIRST.box), "an invented fault"
    assert region_to_crop(real, 4.0, FIRST, [LISTED]) is None, "nobody knows whether it is invented"
    assert region_to_crop(real, 3.0, FIRST, []) == widened(FIRST.box)
    assert region_to_crop(everywhere, 4.0, FIRST, []) is None


def test_the_rounds_of_right_replies(policy: Snellen1Policy, samples: tuple[list[Sample], list[Sample]]) -> None:
    rounds = demonstrations(policy, samples[1], False)
    assert [one.reply.token_ids[0] for one in rounds][0] == CROP and len(rounds) == 2
    first, later = (decode(one.reply.token_ids, i > 0) for i, one in enumerate(rounds))
    assert first.region is not None and first.region.iou(BOX) > 0.6
    assert later.tool == "final" and rounds[1].reply.token_ids[-1] == FINAL
    whole, crop = (policy.view_features(turn.views[0]) for turn in rounds[1].conversation if turn.views)
    rating = policy.distribution(whole, crop).mean
    assert later.move == pytest.approx(max(-0.5, min(0.5, 2.0 - rating)), abs=0.025)
    assert rounds[1].reply.actions == (True, False)
