"""Findings and decisions of snellen-1, from made-up features."""

from __future__ import annotations

import numpy as np
import pytest

from snellen.image import Picture
from snellen.region import FULL, Region
from snellen.snellen1 import rule
from snellen.snellen1.layout import Decision, ViewFeatures, findings
from snellen.vocabulary import KINDS

BOX = Region(0.2, 0.3, 0.6, 0.7)
THRESHOLDS = np.full(len(KINDS), 0.3)


def view(probabilities: dict[str, float], severity: float = 2.4, box: Region = BOX) -> ViewFeatures:
    kinds = np.zeros(len(KINDS) + 1, np.float32)
    for kind, probability in probabilities.items():
        kinds[1 + KINDS.index(kind)] = probability
    kinds[0] = 1.0 - kinds.sum()
    none = np.zeros(1, np.float32)
    return ViewFeatures(
        FULL, kinds, np.full(len(KINDS), severity, np.float32), box, box.area, 3.0, 3.0, none, none, none
    )


def test_a_fault_is_found_where_its_mean_probability_passes_the_threshold() -> None:
    first, last = view({"blur": 0.5, "noise": 0.1}), view({"blur": 0.2, "noise": 0.4}, severity=3.6)
    assert [one.kind for one in findings(first, last, THRESHOLDS, 0.9)] == ["blur"], "0.35, and 0.25 of noise"
    (found,) = findings(first, last, THRESHOLDS, 0.9)
    assert found.probability == pytest.approx(0.35) and found.severity == 4, "of the last view"
    assert not findings(view({}), view({}), THRESHOLDS, 0.9)


def test_each_kind_has_its_own_threshold_and_the_likeliest_comes_first() -> None:
    seen = view({"blur": 0.35, "noise": 0.45, "banding": 0.2})
    assert [one.kind for one in findings(seen, seen, THRESHOLDS, 0.9)] == ["noise", "blur"]
    raised = THRESHOLDS.copy()
    raised[KINDS.index("noise")] = 0.5
    assert [one.kind for one in findings(seen, seen, raised, 0.9)] == ["blur"]


def test_a_fault_of_the_whole_picture_must_be_more_probable() -> None:
    whole = Region(0.0, 0.0, 1.0, 0.9)
    assert not findings(view({"blur": 0.8}, box=whole), view({"blur": 0.8}, box=whole), THRESHOLDS, 0.9)
    assert findings(view({"blur": 0.95}, box=whole), view({"blur": 0.95}, box=whole), THRESHOLDS, 0.9)


def test_the_box_of_a_finding_is_that_of_the_last_view() -> None:
    closer = view({"blur": 0.9}, box=Region(0.3, 0.3, 0.4, 0.4))
    assert findings(view({"blur": 0.9}), closer, THRESHOLDS, 0.9)[0].region == Region(0.3, 0.3, 0.4, 0.4)


def test_expected_severity_is_weighted_by_the_kinds() -> None:
    severities = np.ones(len(KINDS), np.float32)
    severities[KINDS.index("noise")] = 5.0
    seen = view({"blur": 0.3, "noise": 0.1})
    mixed = ViewFeatures(**{**vars(seen), "severities": severities})
    assert mixed.severity == pytest.approx((0.3 * 1.0 + 0.1 * 5.0) / 0.4)


def test_the_rule_zooms_once_into_a_likely_local_fault() -> None:
    large = Picture(np.zeros((800, 1200, 3), np.uint8), "large")
    assert rule.decide(large, view({"blur": 0.6}), 1) == Decision("crop", BOX)
    assert rule.decide(large, view({"blur": 0.4}), 1) == Decision("final")
    assert rule.decide(large, view({"blur": 0.3, "noise": 0.3}), 1) == Decision("crop", BOX), "any fault counts"
    assert rule.decide(large, view({"blur": 0.6}), 2) == Decision("final")
    assert rule.decide(large, view({"blur": 0.6}, box=Region(0.1, 0.0, 1.0, 1.0)), 1) == Decision("final"), "not local"


@pytest.mark.parametrize(
    ("side", "box", "worth"),
    [
        (512, Region(0.2, 0.2, 0.6, 0.6), True),  # the crop is 320 px, the least: 512 / 320 = 1.6
        (512, Region(0.2, 0.2, 0.9, 0.6), False),  # 0.7 of a side: 1.43
        (448, Region(0.4, 0.4, 0.5, 0.5), False),  # 320 px again: 1.4
        (3000, Region(0.0, 0.0, 0.6, 0.6), True),
        (3000, Region(0.0, 0.0, 0.7, 0.6), False),
    ],
)
def test_a_crop_must_show_finer_pixels(side: int, box: Region, worth: bool) -> None:
    assert rule.is_worth_a_crop(Picture(np.zeros((side, side, 3), np.uint8), "square"), box) is worth


def test_a_decision_to_crop_names_a_region_and_no_other_does() -> None:
    with pytest.raises(ValueError, match="a crop has a region"):
        Decision("crop")
    with pytest.raises(ValueError, match="a crop has a region"):
        Decision("final", BOX)
